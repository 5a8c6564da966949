package node

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/sensor"
	"github.com/dockreeve/dockreeve/trace"
)

// RecordOptions tunes Record.
type RecordOptions struct {
	Name    string // of this node, for the header
	Comment string // what the recording is for
	// Interest says what to collect; the zero value means everything that can be.
	Interest event.Interest
}

// Everything is the Interest of a recording that leaves nothing out.
func Everything() event.Interest {
	var i event.Interest
	types := event.SuppliedTypes()
	types.Add(event.TypeLoad)
	i.Add(event.Need{
		Reason: "recording everything", Types: types,
		Opens: event.OpenReads | event.OpenWrites | event.OpenCreates | event.OpenFailures,
	})
	return i
}

// Record writes what happens on this machine as a trace until ctx ends, and returns
// what it holds. No rules run.
func Record(ctx context.Context, w io.Writer, opt RecordOptions) (trace.End, error) {
	if len(opt.Interest.Needs) == 0 {
		opt.Interest = Everything()
	}
	s, err := sensor.Open(ctx, sensor.Options{Interest: opt.Interest})
	if err != nil {
		return trace.End{}, err
	}
	rec, err := trace.NewWriter(w, trace.Header{
		Kernel: kernelRelease(), Node: opt.Name, Started: s.Since(), Environment: environment(), Comment: opt.Comment,
		Loads: opt.Interest.Types.Has(event.TypeLoad),
	}, s.Snapshot())
	if err != nil {
		return trace.End{}, errors.Join(fmt.Errorf("record: %w", err), s.Close())
	}
	run, stop := context.WithCancel(ctx)
	defer stop()
	var failed error
	keep := func(err error) {
		if err != nil && failed == nil {
			failed = fmt.Errorf("record: %w", err)
			stop()
		}
	}
	err = s.Run(run, sensor.Handler{
		Event:   func(ev *event.Event, facts *event.Facts) { keep(rec.Event(ev, facts)) },
		Loss:    func(l event.Loss) { keep(rec.Loss(l)) },
		Replace: func(old, new *event.Container) { keep(rec.Replace(old, new)) },
	})
	keep(rec.Close("stopped"))
	held, _ := rec.Counts()
	return held, errors.Join(err, failed, s.Close())
}
