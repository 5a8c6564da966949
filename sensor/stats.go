package sensor

import (
	"sync/atomic"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/process"
	"github.com/dockreeve/dockreeve/sensor/bpf"
	"github.com/dockreeve/dockreeve/sensor/container"
)

// Lane counts one lane, hop by hop, since Open.
type Lane struct {
	Sent      uint64 // records the kernel put on the ring
	RingFull  uint64 // lost: no room on the ring
	Nested    uint64 // lost: the hook was interrupted by itself
	TooLong   uint64 // lost: larger than a record can be
	Received  uint64 // records taken off the ring
	Torn      uint64 // lost: made no sense
	Delivered uint64 // events handed over
}

// Stats counts what the sensor did since Open. Missed hook runs and 32-bit calls
// are not in a lane: what they would have been is not known.
type Stats struct {
	Since             time.Time
	Process, Activity Lane
	Loads             Lane   // files loaded in containers
	Missed            uint64 // hook runs the kernel skipped; read once a second

	Uring       uint64 // io_uring_setup calls: work that makes no system calls begins
	Compat      uint64 // 32-bit system calls, which are not watched
	CompatBlank uint64 // of those reported, without a name

	HostLoads  uint64 // loads of the host's own programs, left out
	Cgroups    uint64 // cgroup changes seen
	Held       uint64 // containers whose first records waited for metadata
	HeldInVain uint64 // of these, released without it
	HeldShort  uint64 // records that went on early because too much was held
	Awaited    uint64 // records that waited for a process record being written

	Seeded   uint64 // processes found at the start
	Scans    uint64 // runs of iter/task
	Healed   uint64 // processes rebuilt after a loss
	Unhealed uint64 // events whose process could not be rebuilt: it had ended

	Table      process.Stats
	Containers container.Stats
}

// counts are the reader's own numbers; only its goroutine touches them.
type counts struct {
	in, out, torn      [5]uint64 // by event.Lane
	cgroups, unnamed   uint64
	held, heldInVain   uint64
	heldShort, awaited uint64
	seeded, scans      uint64
	healed, unhealed   uint64
	hostLoads          uint64
	turns              uint64
	env                atomic.Pointer[[]string]
	kernel             bpf.SensorCounters
	missed             uint64
}

// lossMeter turns the kernel's counters into losses at their place in the stream.
type lossMeter struct {
	looked int64 // boot time
	from   int64 // wall time up to which losses were told
	last   bpf.SensorCounters
	missed uint64
	slow   int64 // boot time of the last look at what is costly to read
	torn   [5]uint64
}

// Stats returns the counts as of the last turn of the reader (at most 100 ms and
// one batch ago while it runs).
func (s *Sensor) Stats() Stats {
	p := s.pub.Load()
	if p == nil {
		return Stats{}
	}
	st := *p
	st.Containers = s.resolver.Stats()
	return st
}

func (s *Sensor) torn(lane event.Lane) { s.n.torn[lane]++ }

// lost reads the kernel's counters now and then and tells what was lost since.
func (s *Sensor) lost(boot int64, now bool) error {
	m := &s.losses
	if !now && boot-m.looked < int64(100*time.Millisecond) {
		return nil
	}
	m.looked = boot
	c, err := s.k.counters()
	if err != nil {
		return err
	}
	if now || boot-m.slow > int64(time.Second) {
		m.slow = boot
		if s.n.missed, err = s.k.missed(); err != nil {
			return err
		}
	}
	s.n.kernel = c
	to := boot + s.conv.wall
	if m.from == 0 {
		m.from = s.started.UnixNano()
	}
	tell := func(hop, reason string, lane event.Lane, count, last uint64) {
		if count > last {
			s.h.Loss(event.Loss{Hop: hop, Reason: reason, Lane: lane, Count: count - last, From: m.from, To: to})
		}
	}
	for i, lane := range []event.Lane{event.LaneProcess, event.LaneActivity, event.LaneLoad} {
		tell("sensor.kernel", "ring_full", lane, c.RingFull[i], m.last.RingFull[i])
		tell("sensor.kernel", "nested_hook", lane, c.Nested[i], m.last.Nested[i])
		tell("sensor.kernel", "too_long", lane, c.TooLong[i], m.last.TooLong[i])
		tell("sensor.reader", "torn_record", lane, s.n.torn[lane], m.torn[lane])
	}
	tell("sensor.kernel", "missed_hook", event.LaneActivity, s.n.missed, m.missed)
	tell("sensor.blind", "io_uring", event.LaneActivity, c.Uring, m.last.Uring)
	tell("sensor.blind", "syscall_32bit", event.LaneActivity, c.Compat, m.last.Compat)
	m.last, m.missed, m.torn, m.from = c, s.n.missed, s.n.torn, to
	s.publish()
	return nil
}

// publish makes the counts readable for others.
func (s *Sensor) publish() {
	n, k := &s.n, &s.n.kernel
	lane := func(i int, l event.Lane) Lane {
		return Lane{Sent: k.Out[i], RingFull: k.RingFull[i], Nested: k.Nested[i], TooLong: k.TooLong[i],
			Received: n.in[l], Torn: n.torn[l], Delivered: n.out[l]}
	}
	s.pub.Store(&Stats{
		Since: s.started, Process: lane(0, event.LaneProcess), Activity: lane(1, event.LaneActivity), Loads: lane(2, event.LaneLoad), Missed: n.missed,
		Uring: k.Uring, Compat: k.Compat, CompatBlank: n.unnamed, Cgroups: n.cgroups, HostLoads: n.hostLoads,
		Held: n.held, HeldInVain: n.heldInVain, HeldShort: n.heldShort, Awaited: n.awaited,
		Seeded: n.seeded, Scans: n.scans, Healed: n.healed, Unhealed: n.unhealed, Table: s.table.Stats(),
	})
}
