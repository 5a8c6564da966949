// Package governance keeps the answers of governance up to date at the hub: it holds the
// last snapshot of the tenant (collected here or handed in), takes bills in, puts together
// what the store knows of clusters, alerts, images and gates, has govern judge it, stores
// the evaluation, and hands what matters to server/ingest as findings.
//
// It promises that one evaluation runs at a time; that a snapshot or a bill takes the
// place of the one before only once all of it was understood; that what fails is tried
// again and told by Status, with the last good evaluation still in place; and that an alert
// is never closed because its grounds are gone: it is told so by a note. It judges nothing
// itself, and asks Azure only where Options.Collect is given.
package governance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/internal/clock"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/source/azure"
	"github.com/dockreeve/dockreeve/store"
)

// Options say what to do. DB is needed.
type Options struct {
	DB     *store.DB
	Config govern.Config
	// Raise stores findings; nil = what is found is only listed.
	Raise func(ctx context.Context, list []*finding.Finding) error

	// Collect reads the tenant and gives every record to sink; nil = snapshots are only
	// handed in. CollectEvery is how often; 0 = 6 hours.
	Collect      func(ctx context.Context, sink func(azure.Record) error) error
	CollectEvery time.Duration
	// Dir is where the snapshot is kept; "" = in memory until the program ends.
	Dir string

	// Prices, Meters, Agents and Budgets are the organisation's own; they go before those
	// that are shipped. AuditLoses are the rules that need what kube-audit-admin leaves out.
	Prices     []cost.Price
	Meters     []cost.Meter
	Agents     []cost.AgentCost
	Budgets    []cloud.Budget
	AuditLoses []string

	// Amend may add to what the store knows before each evaluation; nil = nothing does.
	Amend func(*govern.Known)
	// Mail sends each owner who is a mail address what to know each week; nil = nobody.
	Mail *Mail

	Every time.Duration // between evaluations; 0 = 15 minutes
	Clock clock.Clock   // nil means the machine's
	Log   *slog.Logger  // nil means nowhere
}

// Governance is the keeper. Its methods are safe for concurrent use.
type Governance struct {
	opt  Options
	wake chan struct{} // one token: something changed

	turn   sync.Mutex // held by the one evaluation that runs
	taking sync.Mutex // held by whoever puts a snapshot in place

	mu       sync.Mutex
	snapshot *azure.Snapshot // nil = none
	state    State
}

// State is how the keeper stands. Times are Unix nanoseconds.
type State struct {
	Evaluated  int64         // when the last evaluation was judged; 0 = none was, in this life
	Took       time.Duration // of it
	Failing    string        // why the last one failed; "" = it did not
	FailingAt  int64
	Collecting bool
	Collect    string // why the last collection failed
	CollectAt  int64
	Snapshot   string // why the snapshot that was kept cannot be read
	Raising    string // why findings could not all be handed on
	Mailing    string // why this week's mails could not all be sent
	Twins      string // which clusters are taken for the same one of Azure
	Snapshots  int    // that were put in place, in this life
	// Activity is what of the Activity Log could not be judged, as while it is learned what is usual.
	Activity []inventory.Gap
}

// New returns a keeper that Run starts.
func New(opt Options) *Governance {
	if opt.Clock == nil {
		opt.Clock = clock.Real{}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Every <= 0 {
		opt.Every = 15 * time.Minute
	}
	if opt.CollectEvery <= 0 {
		opt.CollectEvery = 6 * time.Hour
	}
	return &Governance{opt: opt, wake: make(chan struct{}, 1)}
}

// firstAfter lets agents tell what they hold before the first evaluation of a life.
const firstAfter = 30 * time.Second

// Run works until ctx ends, which is not an error.
func (g *Governance) Run(ctx context.Context) error {
	if err := g.load(); err != nil {
		g.opt.Log.Warn("the snapshot of the tenant that was kept cannot be read", "error", err)
		g.set(func(s *State) { s.Snapshot = err.Error() })
	}
	var group sync.WaitGroup
	if g.opt.Collect != nil {
		group.Go(func() { g.collectEvery(ctx) })
	}
	group.Go(func() { g.evaluateEvery(ctx) })
	if g.opt.Mail != nil {
		group.Go(func() { g.mailWeekly(ctx) })
	}
	group.Wait()
	return nil
}

func (g *Governance) evaluateEvery(ctx context.Context) {
	for wait := min(firstAfter, g.opt.Every); ; wait = g.opt.Every {
		if !g.wait(ctx, wait) {
			return
		}
		if _, err := g.Reevaluate(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrClosed) {
			g.opt.Log.Warn("evaluating governance failed, trying again", "error", err)
		}
	}
}

// Changed has an evaluation made soon, because something that it rests on changed.
func (g *Governance) Changed() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// wait sleeps, or until something changed, and reports whether to go on.
func (g *Governance) wait(ctx context.Context, d time.Duration) bool {
	ring, stop := g.opt.Clock.After(d)
	defer stop()
	select {
	case <-ring:
	case <-g.wake:
	case <-ctx.Done():
		return false
	}
	return true
}

func (g *Governance) collectEvery(ctx context.Context) {
	for {
		wait := g.opt.CollectEvery
		if err := g.collect(ctx); err != nil && ctx.Err() == nil {
			g.opt.Log.Warn("collecting from Azure failed, trying again; the snapshot before stays", "error", err)
			wait = min(wait, 15*time.Minute)
		}
		ring, stop := g.opt.Clock.After(wait)
		select {
		case <-ring:
		case <-ctx.Done():
			stop()
			return
		}
		stop()
	}
}

func (g *Governance) set(f func(*State)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(&g.state)
}

// State tells how the keeper stands.
func (g *Governance) State() State {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state
}

// Snapshot is the tenant that is in force; nil = none was taken in. It must not be written to.
func (g *Governance) Snapshot() *azure.Snapshot {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.snapshot
}

// Evaluated says what an evaluation did.
type Evaluated struct {
	At     int64
	Took   time.Duration
	Stored store.GovStored
	Raised Raised
}

// Reevaluate judges everything again, now. One runs at a time; a second caller waits.
func (g *Governance) Reevaluate(ctx context.Context) (Evaluated, error) {
	g.turn.Lock()
	defer g.turn.Unlock()
	select { // what changed before now is in this one
	case <-g.wake:
	default:
	}
	begun := g.opt.Clock.Now()
	out, err := g.evaluate(ctx, begun.UnixNano())
	debug.FreeOSMemory() // an evaluation needs for a moment several times what is held between two
	now := g.opt.Clock.Now()
	out.Took = now.Sub(begun)
	g.set(func(s *State) {
		if err != nil {
			s.Failing, s.FailingAt = err.Error(), now.UnixNano()
			return
		}
		s.Evaluated, s.Took, s.Failing = out.At, out.Took, ""
	})
	if err != nil {
		return out, fmt.Errorf("evaluate governance: %w", err)
	}
	return out, nil
}

func (g *Governance) evaluate(ctx context.Context, now int64) (Evaluated, error) {
	out := Evaluated{At: now}
	known, err := g.known(ctx, now)
	if err != nil {
		return out, err
	}
	if g.opt.Amend != nil {
		g.opt.Amend(known)
	}
	ev, in := govern.Judge(known)
	known = nil // the clusters' documents are the bulk of it
	if out.Stored, err = g.opt.DB.SetGovernance(ctx, &store.Governance{Evaluation: ev, Costs: in.Costs, Controls: in.Controls, Results: in.Posture}); err != nil {
		return out, err
	}
	if out.Raised, err = g.raise(ctx, ev, in, now); err != nil {
		// The evaluation stands; what was not handed on is so the next time.
		g.set(func(s *State) { s.Raising = err.Error() })
		g.opt.Log.Warn("handing on what governance found failed, trying again", "error", err)
		return out, nil
	}
	g.set(func(s *State) { s.Raising = "" })
	return out, nil
}

// Status says what of governance does not work, and what to do about it.
func (g *Governance) Status() []inventory.Gap {
	s := g.State()
	var out []inventory.Gap
	add := func(what, reason, remedy string) {
		if reason != "" {
			out = append(out, inventory.Gap{What: what, Reason: reason, Remedy: remedy})
		}
	}
	add("governance", s.Failing, "the last good evaluation stays in place, and it is tried again")
	add("Azure", s.Collect, "the snapshot before stays in place, and it is tried again")
	add("Azure", s.Snapshot, "collect again: dockreeve azure collect, then dockreeve azure import")
	add("alerts of governance", s.Raising, "they are handed on with the next evaluation")
	add("clusters that are one in Azure", s.Twins, "give each agent its own cluster's audit events; delete a cluster here that is no more")
	add("weekly mails", s.Mailing, "they are tried again each hour")
	return append(out, s.Activity...)
}

// temporary makes a file beside the snapshot, to be put in its place when it is whole.
func (g *Governance) temporary() (*os.File, error) {
	if g.opt.Dir != "" {
		if err := os.MkdirAll(g.opt.Dir, 0o700); err != nil {
			return nil, err
		}
	}
	return os.CreateTemp(g.opt.Dir, ".azure-snapshot-*") // mode 0600
}
