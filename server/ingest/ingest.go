// Package ingest moves what nodes send into the store: it receives envelopes,
// decodes and checks them, stores them in batches and acknowledges what is
// stored. It is the only writer of findings. It promises that nothing is
// acknowledged before it is on disk, that a bad envelope is counted as lost with
// its reason and never blocks the good ones, and that a store without room is
// tried again until it has some. It judges nothing.
package ingest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/internal/clock"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/store"
)

// Hop is the name under which this package counts.
const Hop = "server.ingest"

// batch bounds the envelopes of one transaction.
const batch = 100

// Store is the part of store.DB that ingest uses; tests make it fail.
type Store interface {
	Ingest(ctx context.Context, items []store.Item) (store.Ingested, error)
}

// Options say what to move where. Store and Receiver are needed.
type Options struct {
	Store    Store
	Receiver link.Receiver
	Ledger   *link.Ledger // where it counts; nil means a new one
	Clock    clock.Clock  // nil means the machine's
	Log      *slog.Logger // nil means nowhere
}

// Ingest is one running intake. Its methods are safe for concurrent use.
type Ingest struct {
	opt     Options
	latency Histogram

	mu      sync.Mutex
	failing error // why storing fails now
	since   int64 // since when, Unix nanoseconds
}

// New returns an intake that Run starts.
func New(opt Options) *Ingest {
	if opt.Clock == nil {
		opt.Clock = clock.Real{}
	}
	if opt.Ledger == nil {
		opt.Ledger = &link.Ledger{}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Ingest{opt: opt}
}

// Latency is the time from the event in the kernel to its finding on disk.
func (in *Ingest) Latency() *Histogram { return &in.latency }

// Ledger is where the intake counts.
func (in *Ingest) Ledger() *link.Ledger { return in.opt.Ledger }

// Failing says why storing fails now and since when (Unix nanoseconds); nil when
// it does not.
func (in *Ingest) Failing() (error, int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.failing, in.since
}

// Run moves envelopes until ctx ends or the link closes; both are not errors.
func (in *Ingest) Run(ctx context.Context) error {
	if r, ok := in.opt.Receiver.(interface{ Reconnect() }); ok {
		r.Reconnect() // an earlier run may have taken what it did not store
	}
	for {
		envelopes, err := in.opt.Receiver.Receive(ctx, batch)
		switch {
		case errors.Is(err, io.EOF), err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		if err := in.move(ctx, envelopes); errors.Is(err, errStopped) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (in *Ingest) move(ctx context.Context, envelopes []link.Envelope) error {
	now := in.opt.Clock.Now().UnixNano()
	in.opt.Ledger.In(Hop, uint64(len(envelopes)))
	items := make([]store.Item, 0, len(envelopes))
	bad := 0
	for _, e := range envelopes {
		it, dropped, err := decode(e)
		if dropped > 0 {
			in.opt.Log.Warn("parts of a message could not be kept, counted as lost", "origin", e.Origin, "lane", e.Lane.String(), "seq", e.Seq, "parts", dropped)
			in.opt.Ledger.Lost(event.Loss{Hop: Hop, Reason: "invalid_part", Count: uint64(dropped), From: now, To: now})
		}
		if err != nil {
			bad++
			in.opt.Log.Warn("envelope not understood, counted as lost", "origin", e.Origin, "lane", e.Lane.String(), "seq", e.Seq, "error", err)
			in.opt.Ledger.Lost(event.Loss{Hop: Hop, Reason: "invalid", Count: 1, From: now, To: now})
		}
		items = append(items, it)
	}
	// Our own losses are stored with the batch they were noticed in.
	losses := in.opt.Ledger.Take()
	for i := range losses {
		items = append(items, store.Item{Loss: &losses[i]})
	}
	done, err := in.store(ctx, items)
	if errors.Is(err, store.ErrRejected) {
		// One of them failed all. Each alone, the others get in.
		for i := range items {
			one, oneErr := in.store(ctx, items[i:i+1])
			if errors.Is(oneErr, store.ErrRejected) {
				bad++
				in.opt.Log.Error("refused by the store, counted as lost", "origin", items[i].Origin, "lane", items[i].Lane.String(), "seq", items[i].Seq, "error", oneErr)
				in.opt.Ledger.Lost(event.Loss{Hop: Hop, Reason: "rejected", Count: 1, From: now, To: now})
				oneErr = nil
			}
			if err = oneErr; err != nil {
				break
			}
			done.Inserted = append(done.Inserted, one.Inserted...)
		}
	}
	if err != nil {
		in.opt.Ledger.Return(losses)
		return err
	}
	in.opt.Ledger.Out(Hop, uint64(max(0, len(envelopes)-bad)))
	stored := in.opt.Clock.Now().UnixNano()
	for _, f := range done.Inserted {
		in.latency.Add(stored - f.Time)
	}
	return in.acknowledge(envelopes)
}

// store tries until it succeeds, ctx ends, or the database refuses for good. Waiting here holds the link back,
// and with it the senders: nothing is dropped for want of disk.
func (in *Ingest) store(ctx context.Context, items []store.Item) (store.Ingested, error) {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		done, err := in.opt.Store.Ingest(ctx, items)
		if err == nil {
			in.state(nil)
			return done, nil
		}
		if ctx.Err() != nil || errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrRejected) {
			return done, stopped(ctx, err)
		}
		in.state(err)
		ring, stop := in.opt.Clock.After(wait)
		select {
		case <-ring:
		case <-ctx.Done():
			stop()
			return store.Ingested{}, errStopped
		}
	}
}

// errStopped says that ctx ended while a batch was not stored: it stays
// unacknowledged and comes again.
var errStopped = errors.New("stopped before the batch was stored")

func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errStopped
	}
	return err
}

func (in *Ingest) state(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case err == nil && in.failing != nil:
		in.opt.Log.Info("storing works again", "failed_for", time.Duration(in.opt.Clock.Now().UnixNano()-in.since).String())
		in.failing = nil
	case err != nil && in.failing == nil:
		in.since = in.opt.Clock.Now().UnixNano()
		in.opt.Log.Error("storing fails, trying again; nothing is acknowledged meanwhile", "error", err)
		in.failing = err
	case err != nil:
		in.failing = err
	}
}

type lane struct {
	origin string
	epoch  uint64
	lane   link.Lane
}

func (in *Ingest) acknowledge(envelopes []link.Envelope) error {
	top := map[lane]uint64{}
	for _, e := range envelopes {
		k := lane{e.Origin, e.Epoch, e.Lane}
		top[k] = max(top[k], e.Seq)
	}
	for k, seq := range top {
		if err := in.opt.Receiver.Ack(k.origin, k.epoch, k.lane, seq); err != nil {
			return err
		}
	}
	return nil
}
