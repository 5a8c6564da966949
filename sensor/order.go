package sensor

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/internal/ring"
	"github.com/dockreeve/dockreeve/process"
	"github.com/dockreeve/dockreeve/sensor/bpf"
	"github.com/dockreeve/dockreeve/sensor/container"
)

// batch is how many records are delivered between looks at clocks, holds and
// counters, so that a flood cannot keep the sensor from them.
const batch = 1024

// turn delivers what the rings hold. The ring whose oldest record is older goes
// first, the process ring first where equal, loads last; and loads wait while
// another ring is filling up, since nothing may be lost for their sake. That is causal order for each
// process: its exec is in the ring before it can do anything else, and a record of
// one of its threads is complete before another thread can exec.
func (s *Sensor) turn(ctx context.Context) error {
	for {
		boot, wall := s.clock()
		if boot-s.synced > int64(time.Second) {
			s.sync()
		}
		s.n.turns++
		for n := 0; ; n++ {
			if n == batch {
				break
			}
			l, a, u := s.k.life.peek(), s.k.act.peek(), s.k.loads.peek()
			switch {
			case u != nil && s.loadNext(l, a, u):
				s.record(u, boot, wall, event.LaneLoad)
				s.k.loads.take()
			case l == nil && a == nil:
				s.release(boot, false)
				return s.lost(boot, false)
			case a == nil || l != nil && bootOf(l) <= bootOf(a):
				s.record(l, boot, wall, event.LaneProcess)
				s.k.life.take()
			default:
				s.record(a, boot, wall, event.LaneActivity)
				s.k.act.take()
			}
		}
		s.release(boot, false)
		if err := s.lost(boot, false); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// loadNext says whether a load is to be taken before the oldest records of the other
// rings, which may be nil.
func (s *Sensor) loadNext(l, a, u []byte) bool {
	if l == nil && a == nil {
		return true
	}
	at := bootOf(u)
	if l != nil && bootOf(l) <= at || a != nil && bootOf(a) <= at {
		return false
	}
	return s.k.life.pending() < uint64(s.o.ProcessRing)/4 && s.k.act.pending() < uint64(s.o.ActivityRing)/4
}

// bootOf reads a record's time without the rest; 0 where it is too short.
func bootOf(b []byte) uint64 {
	if len(b) < 16 {
		return 0
	}
	return binary.LittleEndian.Uint64(b[8:])
}

// record takes one record off a ring: to the resolver, into a hold, or on.
func (s *Sensor) record(b []byte, boot, wall int64, lane event.Lane) {
	s.n.in[lane]++
	var h bpf.SensorHdr
	if err := header(b, &h); err != nil {
		s.torn(lane)
		return
	}
	switch h.Kind {
	case kindCgroupMkdir, kindCgroupRmdir, kindCgroupAttach:
		s.cgroup(b, lane)
		return
	}
	if s.holds.held(h.Cgroup) {
		if s.holds.add(h.Cgroup, b) {
			return
		}
		// No room: what waits goes on as it is, this one behind it.
		s.n.heldShort++
		s.releaseOne(h.Cgroup, s.answer(&h))
	} else if a := s.answer(&h); a.Status == container.Pending && s.holds.begin(h.Cgroup, boot, b) {
		s.n.held++
		return
	}
	s.deliver(b, &h, wall, lane)
}

func (s *Sensor) answer(h *bpf.SensorHdr) container.Answer {
	return s.resolver.Get(h.Cgroup, int32(h.Pid))
}

func (s *Sensor) cgroup(b []byte, lane event.Lane) {
	var r bpf.SensorCgroupRec
	tx, err := unpack(b, &r)
	if err != nil {
		s.torn(lane)
		return
	}
	path, err := tx.next(int(r.PathLen))
	if err != nil {
		s.torn(lane)
		return
	}
	switch r.H.Kind {
	case kindCgroupMkdir:
		s.resolver.Created(r.Id, string(cstr(path)))
	case kindCgroupAttach:
		s.resolver.Get(r.Id, int32(r.H.Pid))
	case kindCgroupRmdir:
		s.resolver.Removed(r.Id)
		delete(s.given, r.Id)
	}
	s.n.cgroups++
}

// deliver converts a record, brings the process table up to it, and hands the
// event over.
func (s *Sensor) deliver(b []byte, h *bpf.SensorHdr, wall int64, lane event.Lane) {
	c := &s.conv
	if env := s.n.env.Load(); env != nil {
		c.env = *env
	}
	behind := false
	if h.Kind >= kindOpen {
		behind = s.table.Knows(int32(h.Pid), int64(h.Start), h.Gen) != process.Current
		if behind {
			s.await(h, wall)
			behind = s.table.Knows(int32(h.Pid), int64(h.Start), h.Gen) != process.Current
		}
	}
	var err error
	switch h.Kind {
	case kindFork:
		err = c.fork(b, wall)
	case kindExec:
		err = c.exec(b, wall)
	case kindExit:
		err = c.exit(b, wall)
	case kindOpen:
		err = c.open(b, wall)
	case kindConnect:
		err = c.connect(b, wall)
	case kindDup:
		err = c.dup(b, wall)
	case kindUring, kindCompat:
		err = c.blind(b, wall)
	case kindLoad:
		err = c.load(b, wall)
	default:
		err = errTorn
	}
	if err != nil {
		s.torn(lane)
		return
	}
	if c.ev.Type == event.TypeNone {
		s.n.unnamed++ // a 32-bit call without a name; counted as a blind spot
		return
	}
	f := &c.facts
	switch {
	case behind:
		s.heal(f.PID, f.Start, h.Boot)
	case h.Kind == kindFork:
		if s.table.Get(f.ForkPID, f.ForkStart) == nil {
			s.heal(f.ForkPID, f.ForkStart, h.Boot)
		}
	case h.Kind == kindExec && s.table.Get(f.PID, f.Start) == nil:
		if ppid := f.Image.PPID; ppid != 0 && s.table.Lookup(ppid) == nil {
			s.heal(ppid, 0, h.Boot)
		}
	}
	f.HasContainer, f.Container = true, s.containerOf(h)
	if h.Kind == kindExec {
		s.phase(f, c.root)
	}
	if h.Kind == kindLoad && f.Container == nil {
		s.hostLoad(h.Cgroup)
		return
	}
	s.hand()
	s.n.out[lane]++
}

// hand brings the process table up to the event at hand and gives it to the handler.
func (s *Sensor) hand() {
	s.table.Apply(&s.conv.ev, &s.conv.facts)
	s.h.Event(&s.conv.ev, &s.conv.facts)
}

// phase says whether a program just started is on the host's root directory, and
// whether it still belongs to the setting up of a
// container: a runtime that runs itself on the host's root directory does, but only
// where it was setting up before. A container's process that broke out to the
// host's root is not.
func (s *Sensor) phase(f *event.Facts, root fileID) {
	f.Image.HostRoot = s.onHostRoot(root)
	if f.Container == nil {
		s.hostRoot(f.Image, root)
		return
	}
	p := s.table.Get(f.PID, f.Start)
	if p != nil && (p.Container == nil || p.Phase == event.PhaseInit) && s.roots[root] {
		f.Image.Phase = event.PhaseInit
	}
}

// maxGiven bounds what is remembered of answers given; forgetting only means that
// a late correction does not reach processes that stay silent.
const maxGiven = 16384

// containerOf is the container of a record's cgroup, and carries a change of what
// is known about it to the processes already in it.
func (s *Sensor) containerOf(h *bpf.SensorHdr) *event.Container {
	c := s.answer(h).Container
	was, ok := s.given[h.Cgroup]
	if ok && was == c {
		return c
	}
	if ok && was != nil && c != nil {
		s.table.SetContainer(was, c)
		s.h.Replace(was, c)
	}
	if ok && was == nil && c != nil {
		s.k.noCgroup(h.Cgroup)
	}
	if len(s.given) >= maxGiven {
		clear(s.given)
	}
	s.given[h.Cgroup] = c
	return c
}

// await gives a process record that is being written right now up to 20 ms to
// appear, before an activity record of a process the table does not know.
func (s *Sensor) await(h *bpf.SensorHdr, wall int64) {
	if s.k.life.pending() == 0 {
		return
	}
	s.n.awaited++
	until := time.Now().Add(20 * time.Millisecond)
	for s.k.life.pending() > 0 && time.Now().Before(until) {
		b := s.k.life.peek()
		if b == nil {
			continue // being written, on another processor, at this moment
		}
		if bootOf(b) > h.Boot {
			return
		}
		boot, _ := s.clock()
		s.record(b, boot, wall, event.LaneProcess)
		s.k.life.take()
	}
}

// holds keep the records of containers whose metadata is on its way, in order, a
// queue for each cgroup.
type holds struct {
	limit int64 // nanoseconds a record may wait
	by    map[uint64]*hold
	late  map[uint64]bool // waited in vain; not held again while unanswered
	bytes int
}

type hold struct {
	since int64
	recs  *ring.Ring[[]byte]
}

// Bounds of what is held: all containers together, and one of them.
const (
	maxHeldBytes   = 8 << 20
	maxHeldRecords = 8192
	maxHolds       = 1024
)

func newHolds(limit int64) holds {
	return holds{limit: limit, by: map[uint64]*hold{}, late: map[uint64]bool{}}
}

func (h *holds) empty() bool { return len(h.by) == 0 }

func (h *holds) held(cgroup uint64) bool {
	if len(h.by) == 0 {
		return false
	}
	_, ok := h.by[cgroup]
	return ok
}

func (h *holds) begin(cgroup uint64, now int64, b []byte) bool {
	if h.late[cgroup] || len(h.by) >= maxHolds || h.bytes+len(b) > maxHeldBytes {
		return false
	}
	h.by[cgroup] = &hold{since: now, recs: ring.New[[]byte]("sensor.hold", maxHeldRecords, "released early")}
	return h.add(cgroup, b)
}

func (h *holds) add(cgroup uint64, b []byte) bool {
	q := h.by[cgroup]
	if h.bytes+len(b) > maxHeldBytes || q.recs.Full() {
		return false
	}
	h.bytes += len(b)
	return q.recs.Push(append([]byte(nil), b...))
}

// release lets go of what has an answer, or has waited long enough; all of it
// when all is set.
func (s *Sensor) release(now int64, all bool) {
	for cgroup, q := range s.holds.by {
		a := s.resolver.Get(cgroup, 0)
		if a.Status != container.Pending || all || now-q.since >= s.holds.limit {
			s.releaseOne(cgroup, a)
		}
	}
	for cgroup := range s.holds.late {
		if s.resolver.Get(cgroup, 0).Status != container.Pending {
			delete(s.holds.late, cgroup)
		}
	}
}

func (s *Sensor) releaseOne(cgroup uint64, a container.Answer) {
	q := s.holds.by[cgroup]
	delete(s.holds.by, cgroup)
	if a.Status == container.Pending {
		s.n.heldInVain++
		if len(s.holds.late) < maxHolds {
			s.holds.late[cgroup] = true
		}
	}
	_, wall := s.clock()
	for {
		b, ok := q.recs.Pop()
		if !ok {
			return
		}
		s.holds.bytes -= len(b)
		var h bpf.SensorHdr
		if header(b, &h) != nil {
			continue // it was read once already
		}
		s.deliver(b, &h, wall, laneOf(h.Kind))
	}
}
