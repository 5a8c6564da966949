package link

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/internal/ring"
)

// Bound limits what one lane holds until it is acknowledged. Zero fields mean
// the default of the lane.
type Bound struct {
	Envelopes int
	Bytes     int // of payload; one envelope always fits an empty lane
}

var defaultBounds = map[Lane]Bound{
	LaneAlert:  {Envelopes: 2048, Bytes: 16 << 20},
	LaneLoss:   {Envelopes: 1024, Bytes: 1 << 20},
	LaneStatus: {Envelopes: 64, Bytes: 4 << 20},
	LaneEvent:  {Envelopes: 8192, Bytes: 8 << 20},

	LaneInventory: {Envelopes: 1024, Bytes: 32 << 20},
}

// PipeOptions say how a Pipe is made. The zero value works.
type PipeOptions struct {
	Origin string         // whose envelopes these are; "" means "local"
	Epoch  uint64         // 0 means the time of NewPipe
	Bounds map[Lane]Bound // lanes not named keep their defaults
	Ledger *Ledger        // where the pipe counts, under hops link.<lane>; nil means a new one
	Now    func() int64   // wall clock, Unix nanoseconds; nil means the machine's
}

// Pipe is a link within one process: Sender and Receiver over bounded memory. It
// keeps each envelope until it is acknowledged and delivers it again after
// Reconnect, so a receiver that restarts or failed to store loses nothing. What
// it holds dies with the process. Safe for concurrent use.
type Pipe struct {
	origin string
	epoch  uint64
	ledger *Ledger
	now    func() int64

	mu     sync.Mutex
	lanes  [len(lanes)]*pipeLane
	closed bool
	moved  chan struct{} // closed and replaced on every change
}

// pipeLane holds the envelopes after acked, oldest first. The first sent of
// them were delivered and wait for their acknowledgement.
type pipeLane struct {
	lane      Lane
	q         *ring.Ring[Envelope]
	bytes     int
	maxBytes  int
	sent      int
	seq       uint64 // last given
	delivered uint64 // highest ever delivered
	gap       *event.Loss
}

var (
	_ Sender   = (*Pipe)(nil)
	_ Receiver = (*Pipe)(nil)
)

// NewPipe returns an open pipe.
func NewPipe(opt PipeOptions) *Pipe {
	p := &Pipe{origin: opt.Origin, epoch: opt.Epoch, ledger: opt.Ledger, now: opt.Now, moved: make(chan struct{})}
	if p.origin == "" {
		p.origin = "local"
	}
	if p.now == nil {
		p.now = func() int64 { return time.Now().UnixNano() }
	}
	if p.epoch == 0 {
		p.epoch = uint64(p.now())
	}
	if p.ledger == nil {
		p.ledger = &Ledger{}
	}
	for i, lane := range lanes {
		b, d := opt.Bounds[lane], defaultBounds[lane]
		if b.Envelopes <= 0 {
			b.Envelopes = d.Envelopes
		}
		if b.Bytes <= 0 {
			b.Bytes = d.Bytes
		}
		p.lanes[i] = &pipeLane{lane: lane, q: ring.New[Envelope]("link."+lane.String(), b.Envelopes, "lane_full"), maxBytes: b.Bytes}
	}
	return p
}

// Ledger is where the pipe counts.
func (p *Pipe) Ledger() *Ledger { return p.ledger }

// Send queues a copy of payload. See Sender for when it blocks. On LaneStatus it
// replaces what waits undelivered of the same kind.
func (p *Pipe) Send(ctx context.Context, lane Lane, kind Kind, payload []byte) error {
	if !lane.Valid() {
		return fmt.Errorf("link: send on %s: no such lane", lane)
	}
	hop := "link." + lane.String()
	p.ledger.In(hop, 1)
	lose := func(reason string, err error) error {
		now := p.now()
		p.ledger.Lost(event.Loss{Hop: hop, Reason: reason, Count: 1, From: now, To: now})
		return fmt.Errorf("link: send on lane %s: %w", lane, err)
	}
	if len(payload) > MaxBytes {
		return lose("too_big", fmt.Errorf("%w: %d bytes, at most %d", ErrTooBig, len(payload), MaxBytes))
	}
	l := p.lanes[lane-1]
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return lose("closed", ErrClosed)
		}
		if lane == LaneStatus && l.replace(kind, payload) {
			p.ledger.Out(hop, 1) // the older one is superseded, not lost
			p.mu.Unlock()
			return nil
		}
		l.announce(p.origin, p.epoch)
		if l.fits(len(payload)) {
			l.push(Envelope{Origin: p.origin, Epoch: p.epoch, Lane: lane, Kind: kind, Bytes: bytes.Clone(payload)})
			p.wake()
			p.mu.Unlock()
			return nil
		}
		if !lane.Precious() {
			now := p.now()
			l.lose(event.Loss{Hop: hop, Reason: "lane_full", Count: 1, From: now, To: now})
			p.mu.Unlock()
			p.ledger.count(hop, 1) // announced in the stream, so not kept for Take
			return fmt.Errorf("link: send on lane %s: %w", lane, ErrFull)
		}
		moved := p.moved
		p.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return lose("gave_up", context.Cause(ctx))
		}
	}
}

// Receive returns waiting envelopes in order of their lanes. A flood on one lane
// cannot starve another: while max allows, each lane that waits gets one place
// before the precious ones fill the rest.
func (p *Pipe) Receive(ctx context.Context, max int) ([]Envelope, error) {
	if max < 1 {
		max = 1
	}
	for {
		p.mu.Lock()
		out := p.take(max)
		closed, moved := p.closed, p.moved
		p.mu.Unlock()
		if len(out) > 0 {
			return out, nil
		}
		if closed {
			return nil, io.EOF
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (p *Pipe) take(max int) []Envelope {
	var share [len(lanes)]int
	room := max
	for i, l := range p.lanes {
		if room > 0 && l.waiting() > 0 {
			share[i]++
			room--
		}
	}
	for i, l := range p.lanes {
		more := min(room, l.waiting()-share[i])
		share[i] += more
		room -= more
	}
	var out []Envelope
	for i, l := range p.lanes {
		for range share[i] {
			e := *l.q.At(l.sent)
			l.sent++
			if e.Seq > l.delivered {
				l.delivered = e.Seq
				p.ledger.Out("link."+l.lane.String(), 1)
			}
			e.Bytes = bytes.Clone(e.Bytes) // ours must survive for a redelivery
			out = append(out, e)
		}
	}
	return out
}

// Ack forgets everything of the lane up to seq and makes room. Acknowledging
// again, or an older epoch, changes nothing. An error wraps ErrAck.
func (p *Pipe) Ack(origin string, epoch uint64, lane Lane, seq uint64) error {
	if !lane.Valid() {
		return fmt.Errorf("link: acknowledge %s: no such lane", lane)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if origin != p.origin || epoch != p.epoch {
		return nil
	}
	l := p.lanes[lane-1]
	if seq > l.delivered {
		return fmt.Errorf("link: lane %s acknowledged to %d, delivered to %d: %w", lane, seq, l.delivered, ErrAck)
	}
	for l.q.Len() > 0 && l.q.At(0).Seq <= seq {
		l.drop()
	}
	l.announce(p.origin, p.epoch)
	p.wake()
	return nil
}

// Reconnect starts delivery again at the first envelope not acknowledged. A
// receiver calls it when it starts.
func (p *Pipe) Reconnect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lanes {
		l.sent = 0
	}
	p.wake()
}

// Close ends sending; the receiver gets what waits and then io.EOF.
func (p *Pipe) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.wake()
	return nil
}

// Pending is how many envelopes of the lane are not acknowledged.
func (p *Pipe) Pending(lane Lane) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lanes[lane-1].q.Len()
}

func (p *Pipe) wake() {
	close(p.moved)
	p.moved = make(chan struct{})
}

func (l *pipeLane) waiting() int { return l.q.Len() - l.sent }

func (l *pipeLane) fits(n int) bool {
	return !l.q.Full() && (l.q.Len() == 0 || l.bytes+n <= l.maxBytes)
}

func (l *pipeLane) push(e Envelope) {
	l.seq++
	e.Seq = l.seq
	l.q.Push(e)
	l.bytes += len(e.Bytes)
}

func (l *pipeLane) drop() {
	e, _ := l.q.Pop()
	l.bytes -= len(e.Bytes)
	l.sent = max(0, l.sent-1)
}

// replace puts a newer snapshot where one of its kind waits undelivered.
func (l *pipeLane) replace(kind Kind, payload []byte) bool {
	for i := l.sent; i < l.q.Len(); i++ {
		if e := l.q.At(i); e.Kind == kind && e.Seq > l.delivered {
			l.bytes += len(payload) - len(e.Bytes)
			e.Bytes = bytes.Clone(payload)
			return true
		}
	}
	return false
}

// lose remembers a loss until it can be announced in the stream.
func (l *pipeLane) lose(loss event.Loss) {
	if l.gap == nil {
		l.gap = &loss
		return
	}
	l.gap.Count += loss.Count
	l.gap.To = max(l.gap.To, loss.To)
}

// announce puts the loss envelope where the lost ones would have been.
func (l *pipeLane) announce(origin string, epoch uint64) {
	if l.gap == nil {
		return
	}
	b, err := json.Marshal(l.gap)
	if err != nil || !l.fits(len(b)) {
		return // event.Loss always marshals; without room it waits for the next acknowledgement
	}
	l.push(Envelope{Origin: origin, Epoch: epoch, Lane: l.lane, Kind: KindLoss, Bytes: b})
	l.gap = nil
}
