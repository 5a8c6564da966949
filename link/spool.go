package link

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/dockreeve/dockreeve/event"
)

// spoolBounds are those of a Spool's lanes on disk.
var spoolBounds = map[Lane]Bound{
	LaneAlert:     {Envelopes: 32768, Bytes: 64 << 20},
	LaneLoss:      {Envelopes: 4096, Bytes: 8 << 20},
	LaneStatus:    {Envelopes: 4096, Bytes: 32 << 20},
	LaneEvent:     {Envelopes: 16384, Bytes: 64 << 20},
	LaneInventory: {Envelopes: 16384, Bytes: 128 << 20},
}

// maxSegment bounds one file of a lane: the least that is given back to the disk at once.
const maxSegment = 4 << 20

// HopSpool is the name under which a Spool counts, with a point and the lane.
const HopSpool = "link.spool"

// SpoolOptions say how a Spool is opened. Dir and Origin are needed.
type SpoolOptions struct {
	Dir    string // its own; made where it is missing
	Origin string // whose envelopes Send makes
	Bounds map[Lane]Bound

	// Lazy lets Send return once the kernel has the payload, and brings it to the disk
	// within 100 ms: it outlives the process at once, and a power cut costs that much.
	// Append always waits for the disk.
	Lazy bool

	Ledger *Ledger      // nil means a new one
	Now    func() int64 // wall clock, Unix nanoseconds; nil means the machine's
}

// Spool is a Sender and a Source that keeps what it holds on disk until that is
// acknowledged. It outlives its process: Epoch is the time at which the spool was
// made, and Seq goes on where the last process left off, so that what is sent again
// is known by its number. Its bounds are of the disk: lanes that are not precious
// drop, and where the disk itself is full events make way for the rest. Safe for
// concurrent use; one process at a time has it open.
type Spool struct {
	opt    SpoolOptions
	ledger *Ledger
	now    func() int64
	epoch  uint64
	lock   *os.File

	mu      sync.Mutex
	lanes   [len(lanes)]*spoolLane
	closed  bool
	failing error         // why the disk takes nothing now
	moved   chan struct{} // closed and replaced on every change
	dirty   chan struct{} // capacity one: something waits for the disk
	synced  sync.WaitGroup
}

var (
	_ Sender = (*Spool)(nil)
	_ Source = (*Spool)(nil)
)

// spoolMeta is the file that names a spool.
type spoolMeta struct {
	Version int    `json:"version"`
	Origin  string `json:"origin"`
	Epoch   uint64 `json:"epoch"`
	Starts  uint64 `json:"starts"`
}

const (
	spoolVersion = 1
	metaFile     = "spool.json"
	// startBits leaves room for so many numbers between two starts of a process, so that
	// a number lost with a power cut is never given twice.
	startBits = 40
	maxStarts = 1 << 22
)

// OpenSpool opens or makes a spool and reads what an earlier process left. What is cut
// or damaged is counted as lost and announced.
func OpenSpool(opt SpoolOptions) (_ *Spool, err error) {
	if opt.Origin == "" || len(opt.Origin) > maxOrigin {
		return nil, fmt.Errorf("spool: an origin of %d bytes, want 1 to %d", len(opt.Origin), maxOrigin)
	}
	s := &Spool{opt: opt, ledger: opt.Ledger, now: opt.Now, moved: make(chan struct{}), dirty: make(chan struct{}, 1)}
	if s.ledger == nil {
		s.ledger = &Ledger{}
	}
	if s.now == nil {
		s.now = func() int64 { return time.Now().UnixNano() }
	}
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	s.lock, err = os.OpenFile(filepath.Join(opt.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	defer func() {
		if err != nil {
			s.lock.Close()
		}
	}()
	if err := syscall.Flock(int(s.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("spool: %s is in use by another process: %w", opt.Dir, err)
	}
	meta, err := s.begin()
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	s.epoch = meta.Epoch
	for i, lane := range lanes {
		b, d := opt.Bounds[lane], spoolBounds[lane]
		if b.Envelopes <= 0 {
			b.Envelopes = d.Envelopes
		}
		if b.Bytes <= 0 {
			b.Bytes = d.Bytes
		}
		l := &spoolLane{
			lane: lane, dir: opt.Dir, bound: b, segment: int64(min(maxSegment, max(4<<10, b.Bytes/8))),
			tracks: map[place]*track{}, seq: meta.Starts << startBits,
		}
		if err := l.load(); err != nil {
			return nil, fmt.Errorf("spool: lane %s: %w", lane, err)
		}
		now := s.now()
		for _, cut := range l.cut {
			s.lose(l, cut, 1, now)
		}
		s.lanes[i] = l
	}
	s.synced.Go(s.sync)
	return s, nil
}

// begin reads or makes the file that names the spool, and counts this start in it.
func (s *Spool) begin() (spoolMeta, error) {
	path := filepath.Join(s.opt.Dir, metaFile)
	var m spoolMeta
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		m = spoolMeta{Version: spoolVersion, Origin: s.opt.Origin, Epoch: uint64(s.now())}
	case err != nil:
		return m, err
	default:
		if err := json.Unmarshal(b, &m); err != nil || m.Version != spoolVersion {
			return m, fmt.Errorf("%s is not a spool's of version %d: use another directory, or remove it and lose what it holds", path, spoolVersion)
		}
		if m.Origin != s.opt.Origin {
			return m, fmt.Errorf("%s is the spool of %.200q, not of %.200q: each has a directory of its own", s.opt.Dir, m.Origin, s.opt.Origin)
		}
	}
	if m.Starts++; m.Starts >= maxStarts {
		m.Epoch, m.Starts = max(m.Epoch+1, uint64(s.now())), 1
	}
	if b, err = json.Marshal(m); err != nil {
		return m, err
	}
	return m, replaceFile(path, b)
}

// Origin and Epoch are what Send gives its envelopes.
func (s *Spool) Origin() string { return s.opt.Origin }
func (s *Spool) Epoch() uint64  { return s.epoch }

// Ledger is where the spool counts.
func (s *Spool) Ledger() *Ledger { return s.ledger }

// Failing says why the disk takes nothing now; nil when it does.
func (s *Spool) Failing() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failing
}

// Pending is how many envelopes of the lane are not acknowledged.
func (s *Spool) Pending(lane Lane) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lanes[lane-1].live
}

// Send stores a payload and gives it its number. See Sender for when it blocks. On
// LaneStatus it replaces what waits of the same kind.
func (s *Spool) Send(ctx context.Context, lane Lane, kind Kind, payload []byte) error {
	if !lane.Valid() {
		return fmt.Errorf("link: send on %s: no such lane", lane)
	}
	l := s.lanes[lane-1]
	s.ledger.In(l.hop(), 1)
	if len(payload) > MaxBytes {
		s.mu.Lock()
		s.lose(l, "too_big", 1, s.now())
		s.mu.Unlock()
		return fmt.Errorf("link: send on lane %s: %w: %d bytes, at most %d", lane, ErrTooBig, len(payload), MaxBytes)
	}
	e := Envelope{Origin: s.opt.Origin, Epoch: s.epoch, Lane: lane, Kind: kind, Bytes: payload}
	at, err := s.put(ctx, l, &e, true)
	if err != nil {
		return fmt.Errorf("link: send on lane %s: %w", lane, err)
	}
	if s.opt.Lazy {
		return nil
	}
	return s.onDisk(ctx, []spot{at})
}

// Append stores envelopes of others as they are: what a relay has received. It returns
// once they are on disk, and only then may they be acknowledged; until there is room it
// waits. What is there already is passed over, and what does not fit a lane that is not
// precious is counted as lost.
func (s *Spool) Append(ctx context.Context, list []Envelope) error {
	spots := make([]spot, 0, len(list))
	for i := range list {
		e := &list[i]
		if !e.Lane.Valid() || len(e.Bytes) > MaxBytes || e.Origin == "" || len(e.Origin) > maxOrigin || e.Seq == 0 {
			return fmt.Errorf("link: append %s number %d of %.200q with %d bytes: %w", e.Lane, e.Seq, e.Origin, len(e.Bytes), ErrWire)
		}
		l := s.lanes[e.Lane-1]
		s.ledger.In(l.hop(), 1)
		at, err := s.put(ctx, l, e, false)
		if errors.Is(err, ErrFull) {
			continue
		}
		if err != nil {
			return fmt.Errorf("link: append to lane %s: %w", e.Lane, err)
		}
		spots = append(spots, at)
	}
	return s.onDisk(ctx, spots)
}

// put writes an envelope into its lane and, where it is ours, gives it its number.
func (s *Spool) put(ctx context.Context, l *spoolLane, e *Envelope, own bool) (spot, error) {
	for {
		s.mu.Lock()
		if s.closed {
			s.lose(l, "closed", 1, s.now())
			s.mu.Unlock()
			return spot{}, ErrClosed
		}
		if !own && l.known(e) {
			s.ledger.Out(l.hop(), 1)
			s.mu.Unlock()
			return spot{}, nil
		}
		s.announce(l)
		err := ErrFull
		if l.room(recordSize(e)) {
			if own {
				e.Seq = l.seq + 1
			}
			var at spot
			if at, err = l.write(e); err == nil {
				if own {
					l.seq++
				}
				if l.lane == LaneStatus {
					s.ledger.Out(l.hop(), uint64(l.supersede(e)))
				}
				s.failing = nil
				if l.lane.Precious() {
					select {
					case s.dirty <- struct{}{}:
					default:
					}
				}
				s.wake()
				s.mu.Unlock()
				return at, nil
			}
			s.failing = err
			if l.lane.Precious() && errors.Is(err, syscall.ENOSPC) && s.evict() {
				s.mu.Unlock()
				continue
			}
		}
		if !l.lane.Precious() {
			reason := "lane_full"
			if !errors.Is(err, ErrFull) {
				reason = "disk"
			}
			s.lose(l, reason, 1, s.now())
			s.mu.Unlock()
			return spot{}, fmt.Errorf("%w: %w", ErrFull, err)
		}
		moved := s.moved
		s.mu.Unlock()
		if err := s.waitFor(ctx, moved, err); err != nil {
			if own { // a relay's sender still has it
				s.mu.Lock()
				s.lose(l, "gave_up", 1, s.now())
				s.mu.Unlock()
			}
			return spot{}, err
		}
	}
}

// waitFor waits for room; where the disk refuses, also for a while, for nobody tells
// when it has some again.
func (s *Spool) waitFor(ctx context.Context, moved <-chan struct{}, why error) error {
	var again <-chan time.Time
	if !errors.Is(why, ErrFull) {
		t := time.NewTimer(200 * time.Millisecond)
		defer t.Stop()
		again = t.C
	}
	select {
	case <-moved:
	case <-again:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// onDisk returns once all the spots of precious lanes are on disk.
func (s *Spool) onDisk(ctx context.Context, spots []spot) error {
	for _, at := range spots {
		if at.seg == nil || !at.seg.precious {
			continue
		}
		for {
			s.mu.Lock()
			done := at.onDisk()
			closed, moved := s.closed, s.moved
			s.mu.Unlock()
			if done {
				break
			}
			if closed {
				return ErrClosed
			}
			select {
			case <-moved:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// sync brings what is written to the disk, all that has gathered at once, until the
// spool is closed.
func (s *Spool) sync() {
	const lazy = 100 * time.Millisecond
	for range s.dirty {
		if s.opt.Lazy {
			time.Sleep(lazy)
		}
		for s.syncOnce() {
			time.Sleep(lazy) // the disk failed: nobody is told that something is stored
		}
	}
}

func (s *Spool) syncOnce() (again bool) {
	s.mu.Lock()
	var list []spot
	for _, l := range s.lanes {
		for _, g := range l.segs {
			if g.precious && g.synced < g.size {
				list = append(list, spot{g, g.size, g.emptied})
			}
		}
	}
	s.mu.Unlock()
	for _, t := range list {
		err := t.seg.f.Sync()
		s.mu.Lock()
		switch {
		case err == nil && t.seg.emptied != t.emptied:
		case err == nil:
			t.seg.synced = max(t.seg.synced, t.end)
		case !t.seg.gone && !s.closed:
			s.failing, again = err, true
		}
		s.wake()
		s.mu.Unlock()
	}
	return again
}

// Receive returns waiting envelopes in order of their lanes; each lane that waits gets
// one place before the precious ones fill the rest.
func (s *Spool) Receive(ctx context.Context, max int) ([]Envelope, error) {
	if max < 1 {
		max = 1
	}
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, io.EOF // what there is stays for the next process
		}
		out, moved := s.take(max), s.moved
		s.mu.Unlock()
		if len(out) > 0 {
			return out, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (s *Spool) take(most int) []Envelope {
	var out []Envelope
	for _, share := range []int{1, most} {
		for _, l := range s.lanes {
			for n := 0; n < share && most > 0; {
				e, first, err := l.deliver()
				if err == io.EOF {
					break
				}
				if err != nil { // damaged on the disk
					s.lose(l, "damaged", 1, s.now())
					continue
				}
				if first {
					s.ledger.Out(l.hop(), 1)
				}
				out = append(out, e)
				n++
				most--
			}
		}
	}
	return out
}

// Ack forgets everything of the lane up to seq, also for the next process. An error
// wraps ErrAck.
func (s *Spool) Ack(origin string, epoch uint64, lane Lane, seq uint64) error {
	if !lane.Valid() {
		return fmt.Errorf("link: acknowledge %s: no such lane", lane)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[lane-1]
	if err := l.ack(place{origin, epoch, lane}, seq); err != nil {
		return err
	}
	if !s.closed {
		s.announce(l)
	}
	s.wake()
	return nil
}

// Reconnect starts delivery again at the first envelope that is not acknowledged.
func (s *Spool) Reconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lanes {
		l.rewind()
	}
	s.wake()
}

// Close ends sending and brings everything to the disk. What is not acknowledged is
// there for the next process.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.dirty)
	s.wake()
	s.mu.Unlock()
	s.synced.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, l := range s.lanes {
		errs = append(errs, l.close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

func (s *Spool) wake() {
	close(s.moved)
	s.moved = make(chan struct{})
}

// lose counts a loss and remembers it until it is announced in the stream.
func (s *Spool) lose(l *spoolLane, reason string, n uint64, now int64) {
	s.ledger.count(l.hop(), n)
	for i := range l.gaps {
		if g := &l.gaps[i]; g.Reason == reason {
			g.Count += n
			g.To = max(g.To, now)
			return
		}
	}
	l.gaps = append(l.gaps, event.Loss{Hop: l.hop(), Reason: reason, Count: n, From: now, To: now})
}

// announce puts loss envelopes where the lost ones would have been.
func (s *Spool) announce(l *spoolLane) {
	for len(l.gaps) > 0 {
		b, err := json.Marshal(&l.gaps[0])
		e := Envelope{Origin: s.opt.Origin, Epoch: s.epoch, Lane: l.lane, Seq: l.seq + 1, Kind: KindLoss, Bytes: b}
		if err != nil || !l.room(recordSize(&e)) {
			return // without room it waits for the next acknowledgement
		}
		if _, err := l.write(&e); err != nil {
			return
		}
		l.seq++
		l.gaps = l.gaps[1:]
	}
}

// evict gives the disk room: the oldest events that are not on their way are lost.
func (s *Spool) evict() bool {
	l := s.lanes[LaneEvent-1]
	n := l.evict()
	if n == 0 {
		return false
	}
	s.lose(l, "disk_full", uint64(n), s.now())
	return true
}

// Relay moves what a receiver gets into a spool, and acknowledges it once it is on disk
// there: a cluster agent's way from its nodes to the hub. It returns nil when ctx ends
// or the receiver closes.
func Relay(ctx context.Context, from Receiver, to *Spool) error {
	if r, ok := from.(interface{ Reconnect() }); ok {
		r.Reconnect()
	}
	for {
		list, err := from.Receive(ctx, 100)
		if errors.Is(err, io.EOF) || err != nil && ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := to.Append(ctx, list); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		top := map[place]uint64{}
		for _, e := range list {
			p := place{e.Origin, e.Epoch, e.Lane}
			top[p] = max(top[p], e.Seq)
		}
		for p, seq := range top {
			if err := from.Ack(p.origin, p.epoch, p.lane, seq); err != nil {
				return err
			}
		}
	}
}
