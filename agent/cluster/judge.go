package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/dockreeve/dockreeve/detect"
	"github.com/dockreeve/dockreeve/detect/audit"
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/rule"
)

// judge carries each audit event from its source to the link. Sources call it from
// goroutines of their own; it takes one event at a time.
type judge struct {
	sender link.Sender
	now    func() int64
	log    *slog.Logger
	file   string // where what was learned is kept; "" = nowhere
	// history says that events are sent to be kept.
	history bool
	// next are rules that were sent; the next event begins with them. The lock is no way to
	// hand them over: who holds it may wait for room on the link, which is only made while
	// whoever brings rules is listening.
	next atomic.Pointer[rule.Rules]

	mu       sync.Mutex
	auditor  *audit.Auditor
	engine   *detect.Engine
	failed   error // of handing on the present event
	events   uint64
	findings uint64
	lost     uint64
	last     int64 // time of the newest event
	buf      []byte
}

func (j *judge) event(ev *event.Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.takeRules(); err != nil {
		return err
	}
	facts := j.auditor.Facts(ev)
	doc, err := event.WithAuditFacts(ev.JSON, &facts)
	if err != nil {
		return j.refuse(ev, err)
	}
	ev.JSON = doc
	j.events++
	j.last = max(j.last, ev.Time)
	j.failed = nil
	j.engine.Observe(ev, j.send)
	if j.failed != nil {
		return j.failed
	}
	if j.history && j.auditor.Keep() {
		j.keep(ev)
	}
	return nil
}

// takeRules begins with rules that were sent. What those before had folded goes first.
func (j *judge) takeRules() error {
	if j.next.Load() == nil {
		return nil
	}
	j.failed = nil
	j.engine.Flush(j.send)
	if set := j.next.Swap(nil); set != nil {
		j.engine = j.engine.Next(set)
	}
	return j.failed
}

// refuse counts an event that cannot be judged: to give it again would not help.
func (j *judge) refuse(ev *event.Event, err error) error {
	j.log.Warn("audit event not understood, counted as lost", "error", err)
	j.lost++
	l := event.Loss{Hop: "detect.audit", Reason: "invalid", Lane: event.LaneAudit, Count: 1, From: ev.Time, To: ev.Time}
	return j.put(link.LaneLoss, link.KindLoss, l.AppendJSON(nil))
}

func (j *judge) send(f *finding.Finding) {
	if j.failed != nil {
		return
	}
	b, err := json.Marshal(f)
	if err != nil {
		j.failed = fmt.Errorf("encode finding %s: %w", f.ID, err)
		return
	}
	if len(b) > link.MaxBytes {
		f.Event = []byte(`{"omitted":"too large to send"}`)
		if b, err = json.Marshal(f); err != nil || len(b) > link.MaxBytes {
			j.failed = fmt.Errorf("finding %s: %w", f.ID, link.ErrTooBig)
			return
		}
	}
	j.findings++
	j.failed = j.put(link.LaneAlert, link.KindFinding, b)
}

// keep puts an event into the history. What does not fit is counted by the link.
func (j *judge) keep(ev *event.Event) {
	j.buf = ev.AppendJSON(j.buf[:0])
	if len(j.buf) > link.MaxBytes {
		j.lost++
		l := event.Loss{Hop: "cluster.history", Reason: "too_big", Lane: event.LaneAudit, Count: 1, From: ev.Time, To: ev.Time}
		if err := j.put(link.LaneLoss, link.KindLoss, l.AppendJSON(nil)); err != nil {
			j.log.Warn("the loss of an event of the history could not be told", "error", err)
		}
		return
	}
	if err := j.sender.Send(context.Background(), link.LaneEvent, link.KindAudit, j.buf); err != nil && !errors.Is(err, link.ErrFull) {
		j.log.Warn("an event of the history could not be sent", "error", err)
	}
}

func (j *judge) put(lane link.Lane, kind link.Kind, payload []byte) error {
	if err := j.sender.Send(context.Background(), lane, kind, payload); err != nil && !errors.Is(err, link.ErrFull) {
		return fmt.Errorf("send on the link: %w", err)
	}
	return nil
}

func (j *judge) loss(l event.Loss) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lost += l.Count
	j.engine.ObserveLoss(l)
	if err := j.put(link.LaneLoss, link.KindLoss, l.AppendJSON(nil)); err != nil {
		j.log.Error("a loss could not be told", "error", err, "hop", l.Hop, "reason", l.Reason, "count", l.Count)
	}
}

// flush ends every burst that is being folded.
func (j *judge) flush() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failed = nil
	j.engine.Flush(j.send)
	return j.failed
}

func (j *judge) seed(state *inventory.State) {
	var names []string
	for _, d := range state.Full() {
		if d.Namespace != nil {
			names = append(names, d.Namespace.Name)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.auditor.Seed(names)
}

func (j *judge) learned() []inventory.Learned {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.auditor.Learned(max(j.last, j.now()))
}

// restore reads what was learned in earlier runs.
func (j *judge) restore() error {
	f, err := os.Open(j.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read what was learned: %w", err)
	}
	defer f.Close()
	if err := j.auditor.Restore(f); err != nil {
		return fmt.Errorf("%s: %w: move the file away to learn anew", j.file, err)
	}
	return nil
}

// save writes what was learned, whole or not at all.
func (j *judge) save() error {
	if j.file == "" {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(j.file), ".habits-*")
	if err != nil {
		return fmt.Errorf("keep what was learned: %w", err)
	}
	j.mu.Lock()
	err = j.auditor.Snapshot(f)
	j.mu.Unlock()
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), j.file)
	}
	if err != nil {
		return fmt.Errorf("keep what was learned: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
