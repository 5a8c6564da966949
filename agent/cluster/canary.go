package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/source/kube"
)

// notWatched is why nothing that is asked of the API server can come back as a finding.
const notWatched = "the API server is not watched: see docs/audit.md"

// trial is when one canary is due.
type trial struct {
	due  time.Time
	wait time.Duration // after a failure, the longer the more there were; 0 = it was sent
}

// over notes how it went. What could not be tried is tried again soon, an API server that
// starts refuses everybody, and then ever more rarely: who goes on asking without the right
// looks like somebody who feels his way.
func (t *trial) over(now time.Time, every time.Duration, failed bool) {
	next := every
	if t.wait = 2 * t.wait; !failed {
		t.wait = 0
	} else {
		t.wait = min(max(t.wait, min(canaryAgain, every)), canaryRetry)
		next = min(t.wait, max(every, canaryRetry))
	}
	t.due = now.Add(next)
}

// canary asks the API server something harmless now and then, and something that it must
// deny. That its audit log arrives, the findings of the rules canary-audit and
// canary-denial prove; who denied, its answer says.
func (a *Agent) canary(ctx context.Context, synced <-chan struct{}) error {
	if a.opt.CanaryEvery < 0 {
		return nil
	}
	every := a.opt.CanaryEvery
	if every == 0 {
		every = canaryEvery
	}
	select {
	case <-synced:
	case <-ctx.Done():
		return nil
	}
	first := a.opt.Clock.Now().Add(min(canaryFirst, every))
	askedAudit, askedDenial := trial{due: first}, trial{due: first}
	var audit, denial inventory.Canary
	there := false // the namespace of the denial canary, as far as the inventory tells
	for {
		now := a.opt.Clock.Now()
		wait := min(askedAudit.due.Sub(now), askedDenial.due.Sub(now))
		if !there {
			wait = min(wait, canaryAgain) // to look whether somebody made it
		}
		ring, stop := a.opt.Clock.After(max(0, wait))
		select {
		case <-ring:
		case <-ctx.Done():
			stop()
			return nil
		}
		now = a.opt.Clock.Now()
		before := there
		if _, there = a.state.Get(inventory.Key{Kind: inventory.KindNamespace, Name: kube.CanaryNamespace}); there && !before && askedDenial.wait > 0 {
			askedDenial = trial{due: now}
		}
		dueAudit, dueDenial := !now.Before(askedAudit.due), !now.Before(askedDenial.due)
		if !dueAudit && !dueDenial {
			continue
		}
		a.mu.Lock()
		watched := len(a.ways) > 0
		a.mu.Unlock()
		if dueAudit {
			audit = inventory.Canary{Kind: "audit", Every: int64(every), Sent: now.UnixNano()}
			failed := false
			if !watched {
				audit.Sent, audit.NotAssessed = 0, notWatched
			} else if err := a.opt.Objects.Canary(ctx); err != nil {
				audit.Sent, audit.NotAssessed, failed = 0, "the canary could not be sent: "+err.Error(), true
			}
			askedAudit.over(now, every, failed)
		}
		if dueDenial {
			sent := a.opt.Clock.Now()
			answer, err := a.opt.Objects.Deny(ctx)
			denial = denialCanary(answer, err, sent.UnixNano())
			denial.Every = int64(every)
			if errors.Is(err, kube.ErrNoCanary) && !there {
				askedDenial.wait = canaryRetry // nobody set it up; that somebody does is seen
			}
			askedDenial.over(sent, every, err != nil)
		}
		if ctx.Err() != nil {
			return nil
		}
		denial.Untold = ""
		if !watched {
			denial.Untold = notWatched
		}
		b, err := json.Marshal(inventory.CanaryReport{Cluster: a.opt.Name, Time: a.opt.Clock.Now().UnixNano(), List: []inventory.Canary{audit, denial}})
		if err != nil {
			return fmt.Errorf("encode canaries: %w", err)
		}
		if err := a.opt.Sender.Send(ctx, link.LaneInventory, link.KindCanary, b); err != nil && ctx.Err() == nil && !errors.Is(err, link.ErrFull) {
			return fmt.Errorf("send canaries: %w", err)
		}
	}
}

// denialCanary is how the dry run fared that was sent then.
func denialCanary(answer kube.Denial, err error, sent int64) inventory.Canary {
	c := inventory.Canary{Kind: "denial"}
	if err != nil {
		c.NotAssessed = err.Error()
		return c
	}
	c.Sent, c.By, c.Answer = sent, answer.By, answer.Answer
	if answer.Denied {
		c.Denied = sent
	}
	return c
}
