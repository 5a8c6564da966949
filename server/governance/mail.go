package governance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/notify"
	"github.com/dockreeve/dockreeve/report"
	"github.com/dockreeve/dockreeve/store"
)

// Mail says by what server and for whom weekly mails go.
type Mail struct {
	Server  *notify.Mail
	Link    string // of the console; "" = none is named
	Version string
	Only    []string // owners; none = everybody who is a mail address
}

// mailed is the document that says to whom this week's mail went.
const mailed = "mailed"

// weekOf names a week as ISO 8601 does: 2026-W48.
func weekOf(t time.Time) string {
	y, w := t.UTC().ISOWeek()
	return fmt.Sprintf("%d-W%02d", y, w)
}

// mailWeekly sends on Mondays from 07:00 UTC on, or later in the week where the server
// did not run then, once an owner and week, also across restarts.
func (g *Governance) mailWeekly(ctx context.Context) {
	for {
		if now := g.opt.Clock.Now().UTC(); now.Weekday() != time.Monday || now.Hour() >= 7 {
			if err := g.MailTeams(ctx); err != nil && ctx.Err() == nil {
				g.opt.Log.Warn("weekly mails did not all go out, trying again", "error", err)
				g.set(func(s *State) { s.Mailing = err.Error() })
			} else {
				g.set(func(s *State) { s.Mailing = "" })
			}
		}
		ring, stop := g.opt.Clock.After(time.Hour)
		select {
		case <-ring:
		case <-ctx.Done():
			stop()
			return
		}
	}
}

type sentMails struct {
	Week string          `json:"week"`
	To   map[string]bool `json:"to"`
}

// MailTeams sends each owner this week's summary, but for those who have it already. A
// mail that fails does not keep the others back.
func (g *Governance) MailTeams(ctx context.Context) error {
	ev, err := g.Stored(ctx, store.GovCluster, store.GovSubscription, store.GovRecommendation)
	if errors.Is(err, store.ErrNotFound) {
		return nil // nothing was evaluated yet
	} else if err != nil {
		return err
	}
	costs, err := g.StoredCosts(ctx)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	now := g.opt.Clock.Now()
	sent := sentMails{}
	if doc, _, _, err := g.opt.DB.GovDocument(ctx, mailed); err == nil {
		if err := json.Unmarshal(doc, &sent); err != nil {
			return fmt.Errorf("who has this week's mail: %w", err)
		}
	} else if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if sent.Week != weekOf(now) {
		sent = sentMails{Week: weekOf(now)}
	}
	if sent.To == nil {
		sent.To = map[string]bool{}
	}
	wanted := map[string]bool{}
	for _, o := range g.opt.Mail.Only {
		wanted[o] = true
	}
	var failed []error
	for _, owner := range report.Owners(ev) {
		if _, err := mail.ParseAddress(owner); err != nil || sent.To[owner] || len(wanted) > 0 && !wanted[owner] {
			continue
		}
		if err := g.mailTeam(ctx, owner, ev, costs, now); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", owner, err))
			if len(failed) == 5 {
				break // the server does not want us: the next hour may be better
			}
			continue
		}
		sent.To[owner] = true
		doc, err := json.Marshal(&sent)
		if err != nil {
			return err
		}
		if err := g.opt.DB.SetGovDocument(ctx, mailed, now.UnixNano(), doc); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

func (g *Governance) mailTeam(ctx context.Context, owner string, ev *govern.Evaluation, costs *cost.Report, now time.Time) error {
	o := report.TeamOptions{Owner: owner, Evaluation: ev, Costs: costs, Exemptions: g.opt.Config.Exemptions, Link: g.opt.Mail.Link, Version: g.opt.Mail.Version}
	if s := g.Snapshot(); s != nil {
		o.Tenant = s.Tenant
	}
	s, err := report.Team(o)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := s.Mail(&b, report.MailOptions{From: g.opt.Mail.Server.From, To: []string{owner}, At: now.UnixNano()}); err != nil {
		return err
	}
	return g.opt.Mail.Server.Send(ctx, owner, b.Bytes())
}
