package governance

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/store"
)

// Raised says what became of findings and of Defender's alerts.
type Raised struct {
	New    int // findings handed on
	Gone   int // alerts noted to have lost their grounds
	Merged int // alerts of Defender noted at ours
}

// raiseFrom is the severity from which a judgement of governance is an alert; lesser ones
// are listed.
const raiseFrom = finding.Medium

// batch bounds the findings handed on at once.
const batch = 50

// raise hands on what is new or graver, notes at alerts whose grounds are gone that they
// are, and joins Defender's alerts with ours.
func (g *Governance) raise(ctx context.Context, ev *govern.Evaluation, in *govern.Input, now int64) (Raised, error) {
	var out Raised
	if g.opt.Raise == nil {
		return out, nil
	}
	known, err := g.opt.DB.Raised(ctx)
	if err != nil {
		return out, err
	}
	r := &raising{g: g, known: known, now: now, out: &out, here: map[string]string{}, names: map[string]string{}, abuse: map[string]string{}}
	for i := range ev.Clusters {
		c := &ev.Clusters[i]
		r.here[strings.ToLower(c.ID)] = c.Here
		r.names[strings.ToLower(c.ID)] = cmp.Or(c.Here, c.Name)
		r.owners = append(r.owners, owned{strings.ToLower(c.ID), c.Ownership.Owner})
	}
	if err := r.findings(ctx, ev); err != nil {
		return out, err
	}
	if in.Tenant != nil {
		if err := r.activity(ctx, in.Tenant); err != nil {
			return out, err
		}
		// They are stored before Defender's are joined with them.
		if err := r.flush(ctx); err != nil {
			return out, err
		}
		if err := r.defender(ctx, in.Tenant.DefenderAlerts, in.Tenant.Suppressions); err != nil {
			return out, err
		}
	}
	if err := r.flush(ctx); err != nil {
		return out, err
	}
	if in.Tenant == nil {
		return out, nil // nothing of Azure is known: that proves nothing gone
	}
	return out, r.gone(ctx, ev)
}

type owned struct{ id, owner string }

// raising is one handing on.
type raising struct {
	g      *Governance
	known  map[string]store.Raised
	now    int64
	out    *Raised
	here   map[string]string // ARM id → name here
	names  map[string]string // ARM id → name here, else in Azure
	owners []owned
	abuse  map[string]string // alerts of the Activity Log → ARM id of what they are of

	list []*finding.Finding
	done []store.Raised // in force once list is stored
	then []func(context.Context) error
}

func (r *raising) add(ctx context.Context, f *finding.Finding, mark store.Raised, then func(context.Context) error) error {
	r.list, r.done = append(r.list, f), append(r.done, mark)
	if then != nil {
		r.then = append(r.then, then)
	}
	if len(r.list) < batch {
		return nil
	}
	return r.flush(ctx)
}

// flush stores what waits, and only then remembers it: a crash between raises again what
// is then known by its id.
func (r *raising) flush(ctx context.Context) error {
	if len(r.list) == 0 {
		return nil
	}
	if err := r.g.opt.Raise(ctx, r.list); err != nil {
		return fmt.Errorf("store %d findings of governance: %w", len(r.list), err)
	}
	r.out.New += len(r.list)
	for _, f := range r.then {
		if err := f(ctx); err != nil {
			return err
		}
	}
	err := r.g.opt.DB.SetRaised(ctx, r.done)
	r.list, r.done, r.then = nil, nil, nil
	return err
}

func hashOf(parts ...string) []byte {
	h := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return h[:8]
}

// findings hands on judgements of governance. One that says the same as before, whatever
// its numbers are by now, is not news; one that was gone and is back is.
func (r *raising) findings(ctx context.Context, ev *govern.Evaluation) error {
	for i := range ev.Findings {
		f := &ev.Findings[i]
		if f.Severity < raiseFrom {
			continue
		}
		hash := hashOf(f.Rule, f.Severity.String())
		old, ok := r.known[f.Key]
		if ok && old.Gone == 0 && bytes.Equal(old.Hash, hash) {
			continue
		}
		x := r.findingOf(f)
		if err := r.add(ctx, x, store.Raised{Key: f.Key, Hash: hash, Alert: finding.AlertID(x.Fingerprint), At: r.now}, nil); err != nil {
			return err
		}
	}
	return nil
}

func (r *raising) findingOf(f *govern.Finding) *finding.Finding {
	rule := store.GovernanceRule + f.Rule
	x := &finding.Finding{
		ID: finding.ID(rule, f.Key, f.Severity.String(), time.Unix(0, r.now).UTC().Format(time.RFC3339Nano)), Fingerprint: finding.Fingerprint(rule, f.Key, "", f.Subject.Kind),
		Severity: f.Severity, Summary: f.Summary, Output: f.Summary, Time: r.now, Received: r.now, Event: json.RawMessage(`{}`), EventIDs: []string{f.Key},
		Rule:    finding.Rule{ID: rule, Name: titleOf(f.Rule), Hash: "governance", Priority: f.Severity.String(), Desc: f.Summary, Tags: []string{"governance"}, Response: slices.Clone(f.Do)},
		Subject: finding.Subject{Node: "hub", Workload: cmp.Or(f.Subject.Name, f.Subject.ID), Object: f.Subject.ID, ObjectClass: f.Subject.Kind, Owner: f.Owner},
	}
	if f.Subject.Kind == "cluster" {
		x.Subject.Cluster = cmp.Or(r.names[strings.ToLower(f.Subject.ID)], f.Subject.Name)
	}
	if f.Money != nil && f.Money.NotAssessed == "" {
		x.Why = append(x.Why, finding.Condition{Expr: "money", Field: "money", Op: "=", Want: "", Got: fmt.Sprintf("%.2f %s", f.Money.Amount.Float(), f.Money.Currency), True: true})
	}
	for _, e := range f.Facts {
		x.Why = append(x.Why, finding.Condition{Expr: e.Field + " at " + e.Where, Field: e.Field, Op: "=", Want: e.Value, Got: e.Value, True: true})
	}
	return x
}

// titleOf writes a rule's id as a title: cluster-unowned → Cluster unowned.
func titleOf(rule string) string {
	s := strings.ReplaceAll(rule, "-", " ")
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// gone notes at alerts what an evaluation no longer finds. They stay as they are: whoever
// works on one decides.
func (r *raising) gone(ctx context.Context, ev *govern.Evaluation) error {
	found := make(map[string]bool, len(ev.Findings))
	for i := range ev.Findings {
		found[ev.Findings[i].Key] = true
	}
	if len(ev.Findings) >= govern.MaxFindings {
		return nil // what is not among them may only have been too many
	}
	unproven := ev.Unproven()
	for key, old := range r.known {
		if found[key] || old.Gone != 0 || strings.HasPrefix(key, defenderKey) || strings.HasPrefix(key, activityKey) || unproven(key) {
			continue
		}
		_, err := r.g.opt.DB.AddNote(ctx, old.Alert, "no longer found since the evaluation of "+stamp(r.now)+": close this alert if that is what you did")
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		r.out.Gone++
		old.Gone = r.now
		if err := r.g.opt.DB.SetRaised(ctx, []store.Raised{old}); err != nil {
			return err
		}
	}
	return nil
}

func stamp(at int64) string { return time.Unix(0, at).UTC().Format("2006-01-02 15:04 UTC") }
