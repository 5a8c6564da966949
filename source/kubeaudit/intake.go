package kubeaudit

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/internal/clock"
)

// Handler takes what an Intake hands on. The Intake calls it from one goroutine at a
// time, whatever the number of ways in.
type Handler struct {
	// Event takes one event; it and its strings are valid only until Event returns. nil
	// means that the event is safe (stored, or queued where a crash does not lose it):
	// the sender is then told to forget it. An error means that it could not be taken now:
	// the way in stops there, does not acknowledge, and offers it again. Required.
	Event func(*event.Event, Source) error
	// Loss is told what could not be made an event, in order with Event. nil: only counted.
	Loss func(event.Loss)
}

// Source is where an event came from, beside the event itself. Its strings are bounded
// and hold printable ASCII only.
type Source struct {
	Way        string // hop name of the way in: webhook, file, reader, hubs
	Cluster    string // name of the cluster; Options.Cluster where the way does not tell
	ResourceID string // Azure resource id in lower case, from the envelope; "" elsewhere
	Category   string // kube-audit or kube-audit-admin from the envelope; "" elsewhere
}

// The categories of AKS that hold audit events.
const (
	CategoryAudit      = "kube-audit"       // every request
	CategoryAuditAdmin = "kube-audit-admin" // without get, list and watch
)

// Options of an Intake. Handler.Event is required.
type Options struct {
	Handler Handler
	// Cluster names the cluster of events whose way in does not say which.
	Cluster string
	// ClusterOf names the cluster of an Azure resource id (lower case). nil, or "" from
	// it: the last segment of the id. Two clusters of one name in different resource groups
	// need a ClusterOf to be told apart by name; Source.ResourceID always tells them apart.
	ClusterOf func(resourceID string) string
	Clock     clock.Clock  // nil: the machine's
	Log       *slog.Logger // nil: slog.Default
}

// MaxEvent bounds one event as handed on, in bytes. Of a larger one responseObject, then
// requestObject is replaced by TooBig.
const MaxEvent = 1 << 20

// TooBig stands where an object was left out for its size. It is the word that AKS
// itself writes in its exported audit rows. Such an event carries event.FlagTruncated.
const TooBig = "skipped-too-big-size-object"

// Unreadable stands where an object went beyond the bounds of depth or number of values.
const Unreadable = "skipped-unreadable-object"

// ahead is how far in the future an event may claim to be before the time of its
// arrival orders it instead.
const ahead = 5 * time.Minute

// Intake makes events of what its ways in bring: it parses, redacts, drops repeats,
// counts, and hands on. Make the ways with Webhook, File, Reader and Hubs; all may run at
// once. Safe for concurrent use.
type Intake struct {
	opt   Options
	turn  chan struct{} // held by who hands on
	mu    sync.Mutex
	hops  map[string]*Hop // one for each way: at most four
	seen  *coverage
	told  map[string]time.Time // last log line by matter; keys are our own words
	start time.Time

	recent recent // under turn
}

// New returns an Intake without any way in.
func New(opt Options) *Intake {
	if opt.Clock == nil {
		opt.Clock = clock.Real{}
	}
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	in := &Intake{opt: opt, turn: make(chan struct{}, 1), hops: map[string]*Hop{}, told: map[string]time.Time{}}
	in.start = opt.Clock.Now()
	in.seen = newCoverage(in.start)
	return in
}

// Hop is what one way in has counted since the start. In = Out + Duplicates + the sum of
// Lost, once nothing is under way. Reasons are this package's own words; the set is small.
type Hop struct {
	Way        string
	In         uint64            // events, or pieces that should have been one
	Out        uint64            // handed on
	Duplicates uint64            // had been handed on before: not a loss
	Lost       map[string]uint64 // by reason
	Skipped    map[string]uint64 // records of other categories, which hold no audit events, by category
	Notes      map[string]uint64 // handed on, but changed: clock_ahead, time_missing, trimmed, unreadable_object, redacted, invalid_utf8, foreign_facts
	Refused    map[string]uint64 // callers turned away, by reason (webhook)
	Errors     map[string]uint64 // troubles that cost no event: handler, auth, broker, throttled, checkpoint…
	Last       int64             // when the last event was handed on, Unix nanoseconds; 0 never
}

// Stats is what an Intake has counted.
type Stats struct {
	Since    int64 // Unix nanoseconds
	Hops     []Hop // sorted by way
	Coverage Coverage
}

// Stats returns the counts so far.
func (in *Intake) Stats() Stats {
	in.mu.Lock()
	defer in.mu.Unlock()
	s := Stats{Since: in.start.UnixNano(), Coverage: in.seen.report()}
	for _, way := range slices.Sorted(maps.Keys(in.hops)) {
		h := *in.hops[way]
		h.Lost, h.Skipped, h.Notes = maps.Clone(h.Lost), maps.Clone(h.Skipped), maps.Clone(h.Notes)
		h.Refused, h.Errors = maps.Clone(h.Refused), maps.Clone(h.Errors)
		s.Hops = append(s.Hops, h)
	}
	return s
}

// Coverage says which audit events have been seen and what they cannot show.
func (in *Intake) Coverage() Coverage {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.seen.report()
}

// hop returns the counts of a way; in.mu is held.
func (in *Intake) hop(way string) *Hop {
	h := in.hops[way]
	if h == nil {
		h = &Hop{Way: way, Lost: map[string]uint64{}, Skipped: map[string]uint64{}, Notes: map[string]uint64{},
			Refused: map[string]uint64{}, Errors: map[string]uint64{}}
		in.hops[way] = h
	}
	return h
}

// trouble counts an error that cost no event and logs it, once a minute for each reason.
func (in *Intake) trouble(way, reason string, err error) {
	in.mu.Lock()
	in.hop(way).Errors[reason]++
	in.mu.Unlock()
	in.say("audit intake: trouble", way, reason, err)
}

// say logs once a minute for each way and reason.
func (in *Intake) say(what, way, reason string, err error) {
	now := in.opt.Clock.Now()
	in.mu.Lock()
	last, ok := in.told[what+way+reason]
	tell := !ok || now.Sub(last) >= time.Minute
	if tell {
		in.told[what+way+reason] = now
	}
	in.mu.Unlock()
	if tell {
		in.opt.Log.Warn(what, "way", way, "reason", reason, "error", err)
	}
}

// cluster names the cluster of a resource id.
func (in *Intake) cluster(resourceID string) string {
	if resourceID == "" {
		return in.opt.Cluster
	}
	if in.opt.ClusterOf != nil {
		if name := in.opt.ClusterOf(resourceID); name != "" {
			return name
		}
	}
	return resourceID[strings.LastIndexByte(resourceID, '/')+1:]
}

// batch is one piece of work of one way: a request, a chunk of a file, a message. It
// collects losses so that each reason is told once for each piece. Not safe for
// concurrent use.
type batch struct {
	in     *Intake
	way    string
	source Source // what is known before looking inside
	p      parser
	r      redactor

	noted, spare tally
	out          []byte
}

func (in *Intake) batch(way string) *batch {
	return &batch{in: in, way: way, source: Source{Way: way, Cluster: in.opt.Cluster}}
}

// tally is what was noted, by reason or category.
type tally struct{ lost, skipped map[string]uint64 }

func (t *tally) clear() {
	clear(t.lost)
	clear(t.skipped)
}

// lose notes one piece that could not be made an event. It is counted when the batch is
// done, because what is not acknowledged comes again.
func (b *batch) lose(reason string) { b.loseN(reason, 1) }

func (b *batch) loseN(reason string, n uint64) {
	if b.noted.lost == nil {
		b.noted = tally{map[string]uint64{}, map[string]uint64{}}
	}
	b.noted.lost[reason] += n
}

// skip notes a record of a category without audit events.
func (b *batch) skip(category string) {
	if b.noted.lost == nil {
		b.noted = tally{map[string]uint64{}, map[string]uint64{}}
	}
	b.noted.skipped[category]++
}

// whole takes one document. After an error, which is the handler's, nothing of it is
// noted: it has to be offered again.
func (b *batch) whole(ctx context.Context, raw []byte, src Source) error {
	before := b.noted
	b.noted, b.spare = b.spare, tally{}
	err := b.document(ctx, raw, src, "", 0)
	inner := b.noted
	b.noted = before
	if err == nil {
		if len(inner.lost)+len(inner.skipped) > 0 && b.noted.lost == nil {
			b.noted = tally{map[string]uint64{}, map[string]uint64{}}
		}
		for k, n := range inner.lost {
			b.noted.lost[k] += n
		}
		for k, n := range inner.skipped {
			b.noted.skipped[k] += n
		}
	}
	inner.clear()
	b.spare = inner
	return err
}

// done counts what the batch lost and skipped and tells the handler. It waits for its
// turn, or for ctx.
func (b *batch) done(ctx context.Context) error {
	if len(b.noted.lost)+len(b.noted.skipped) == 0 {
		return nil
	}
	in := b.in
	select {
	case in.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-in.turn }()
	in.mu.Lock()
	h := in.hop(b.way)
	for reason, n := range b.noted.lost {
		h.In += n
		h.Lost[reason] += n
	}
	for category, n := range b.noted.skipped {
		h.Skipped[category] += n
	}
	in.mu.Unlock()
	if in.opt.Handler.Loss != nil {
		now := in.opt.Clock.Now().UnixNano()
		for _, reason := range slices.Sorted(maps.Keys(b.noted.lost)) {
			in.opt.Handler.Loss(event.Loss{Hop: "kubeaudit." + b.way, Reason: reason, Lane: event.LaneAudit, Count: b.noted.lost[reason], From: now, To: now})
		}
	}
	b.noted.clear()
	return nil
}

// hand gives one event to the handler unless it has had it. The error is the handler's.
func (b *batch) hand(ctx context.Context, ev *event.Event, src Source, about about) error {
	in := b.in
	select {
	case in.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-in.turn }()
	now := in.opt.Clock.Now()
	again := in.recent.has(ev.ID, now)
	if !again {
		if err := in.opt.Handler.Event(ev, src); err != nil {
			return err
		}
		in.recent.add(ev.ID, now)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	h := in.hop(b.way)
	h.In++
	if again {
		h.Duplicates++
	} else {
		h.Out++
		h.Last = now.UnixNano()
		for _, n := range about.notes {
			h.Notes[n]++
		}
	}
	in.seen.add(src, about, now.UnixNano())
	return nil
}
