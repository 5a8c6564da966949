// Package process owns the table of processes: who is alive, who started whom,
// what each one runs, which container it is in, which files its container wrote
// and which program is at the other end of a pipe.
//
// The live sensor and a replayed trace feed it the same way, an event with its
// Facts at a time, and get the same processes: the table reads no clock, does no
// I/O and keeps no state but what it was fed. Everything it keeps is bounded and
// what it has to drop is counted in Stats.
//
// One goroutine owns a Table. A Process it hands out is the table's own: valid
// until the next call, Clone it to keep it.
package process

import (
	"time"

	"github.com/dockreeve/dockreeve/event"
)

// Options bound a Table. The zero value is ready to use.
type Options struct {
	MaxProcesses int           // living and recently dead, default 65,536
	MaxWritten   int           // files written in containers, default 65,536
	MaxPipes     int           // pipes joining standard streams, default 8,192
	MaxSockets   int           // internet sockets that this machine connected, default 8,192
	KeepDead     time.Duration // how long after its exit a process can still be looked up, event time; default 30 s
}

func (o Options) withDefaults() Options {
	if o.MaxProcesses <= 0 {
		o.MaxProcesses = 65536
	}
	if o.MaxWritten <= 0 {
		o.MaxWritten = 65536
	}
	if o.MaxPipes <= 0 {
		o.MaxPipes = 8192
	}
	if o.MaxSockets <= 0 {
		o.MaxSockets = 8192
	}
	if o.KeepDead <= 0 {
		o.KeepDead = 30 * time.Second
	}
	return o
}

// Stats counts what the table holds and what it had to guess or drop.
type Stats struct {
	Alive, Dead, Written, Pipes, Sockets int // held now

	Forks, Execs, Exits uint64 // applied
	Missing             uint64 // events of a process that nothing had announced
	Healed              uint64 // processes rebuilt from iter/task
	MissedExecs         uint64 // events of a generation whose exec was not seen
	MissedExits         uint64 // ended because their pid was seen in use again
	Stale               uint64 // facts older than what was known, not applied

	EvictedAlive, EvictedDead, EvictedWritten, EvictedPipes, EvictedSockets uint64 // dropped for room
}

// key identifies a process for good.
type key struct {
	pid   int32
	start int64
}

// node is a process in the table. Its links hold the tree by its children, so
// that an exit can hand them to the reaper.
type node struct {
	p           event.Process
	parent      *node
	child       *node // first child
	older, next *node // siblings
	dead        bool
	ring        *list // the age list it is in
	prevAge     *node
	nextAge     *node
}

// list is a list of nodes by age: the living by last event, the dead by exit.
type list struct {
	oldest, newest *node
	n              int
}

// Table is the process table. See the package comment for its contract.
type Table struct {
	opt     Options
	pids    map[int32]*node // the living, by pid
	all     map[key]*node   // the living and the recently dead
	alive   list
	dead    list
	written *lru[event.WrittenFile, struct{}]
	pipes   *lru[uint64, ends]
	sockets *lru[uint64, struct{}] // that this machine connected, by inode
	hostNS  uint32                 // mount namespace of the host, from pid 1 or 2; 0 unknown
	fresh   bool                   // the event at hand is the first of its process
	stats   Stats
}

// New returns an empty table.
func New(opt Options) *Table {
	opt = opt.withDefaults()
	return &Table{
		opt: opt, pids: map[int32]*node{}, all: map[key]*node{},
		written: newLRU[event.WrittenFile, struct{}](opt.MaxWritten),
		pipes:   newLRU[uint64, ends](opt.MaxPipes),
		sockets: newLRU[uint64, struct{}](opt.MaxSockets),
	}
}

// Apply takes one event and its facts in event order: it changes the table by
// what happened, then points ev.Process and ev.Container to who did it and
// where. ev.Process is not nil afterwards. The table copies what it keeps of
// facts' strings by reference: a source that reuses its buffers must hand over
// strings of their own in Image, Heal and Comm.
func (t *Table) Apply(ev *event.Event, facts *event.Facts) {
	t.forget(ev.Boot)
	for i := range facts.Heal {
		t.heal(&facts.Heal[i])
		ev.Flags |= event.FlagHealed
	}
	t.fresh = false
	started := false
	var n *node
	switch ev.Type {
	case event.TypeClone, event.TypeFork, event.TypeVfork, event.TypeClone3:
		n = t.fork(facts)
	case event.TypeExecve, event.TypeExecveat:
		n, started = t.exec(ev, facts)
	default:
		n = t.actor(facts)
	}
	t.place(n, facts)
	if started {
		t.started(n, ev, facts)
	}
	t.observe(ev, n)
	t.peers(&n.p)
	t.views(&n.p)
	if ev.Type == event.TypeProcexit {
		t.exit(n, ev, facts)
	}
	ev.Process, ev.Container = &n.p, n.p.Container
}

// Known says how well the table knows the process that facts would name.
type Known uint8

// The answers of Known.
const (
	Absent  Known = iota // never seen: heal it
	Behind               // an exec was missed: heal it
	Current              // as new as asked for
)

// Knows tells a source whether it has to bring Heal or Image with an event of
// this process. gen 0 asks for any generation.
func (t *Table) Knows(pid int32, start int64, gen uint32) Known {
	n := t.all[key{pid, start}]
	switch {
	case n == nil:
		return Absent
	case gen > n.p.ExecGen:
		return Behind
	}
	return Current
}

// Lookup returns the living process with this pid, nil when there is none.
func (t *Table) Lookup(pid int32) *event.Process {
	if n := t.pids[pid]; n != nil {
		return &n.p
	}
	return nil
}

// Get returns the process with this pid and start, living or recently dead.
func (t *Table) Get(pid int32, start int64) *event.Process {
	if n := t.all[key{pid, start}]; n != nil {
		return &n.p
	}
	return nil
}

// SetContainer replaces a container by a newer description of it in every
// process that is in it, whichever description of it that process has: metadata
// that arrives late heals what is known already.
func (t *Table) SetContainer(old, new *event.Container) {
	if old == nil {
		return
	}
	for _, n := range t.all {
		if sameContainer(n.p.Container, old) {
			n.p.Container = new
		}
	}
}

// Stats returns the counters.
func (t *Table) Stats() Stats {
	s := t.stats
	s.Alive, s.Dead = t.alive.n, t.dead.n
	s.Written, s.Pipes, s.Sockets = len(t.written.at), len(t.pipes.at), len(t.sockets.at)
	s.EvictedWritten, s.EvictedPipes, s.EvictedSockets = t.written.evicted, t.pipes.evicted, t.sockets.evicted
	return s
}

// place puts the process where the event's cgroup says it is. Joining a
// container starts the phase in which its runtime sets it up; a process that was
// not known before is past that for all we know.
func (t *Table) place(n *node, facts *event.Facts) {
	if !facts.HasContainer {
		return
	}
	old := n.p.Container
	n.p.Container = facts.Container
	switch {
	case facts.Container == nil:
		n.p.Phase = event.PhaseRun
	case !t.fresh && !sameContainer(old, facts.Container):
		n.p.Phase = event.PhaseInit
	}
}

// containerKey names a container the same before and after its id is known: by
// its cgroup path, or by its id where a source gives no path.
func containerKey(c *event.Container) string {
	if c.CgroupPath != "" {
		return c.CgroupPath
	}
	return c.ID
}

// sameContainer reports whether two descriptions are of one container.
func sameContainer(a, b *event.Container) bool {
	if a == b || a == nil || b == nil {
		return a == b
	}
	if a.ID != "" && b.ID != "" {
		return a.ID == b.ID
	}
	key := containerKey(a)
	return key != "" && key == containerKey(b)
}

// append puts n at the young end.
func (l *list) append(n *node) {
	n.ring, n.prevAge, n.nextAge = l, l.newest, nil
	if l.newest != nil {
		l.newest.nextAge = n
	} else {
		l.oldest = n
	}
	l.newest = n
	l.n++
}

func (l *list) remove(n *node) {
	if n.prevAge != nil {
		n.prevAge.nextAge = n.nextAge
	} else {
		l.oldest = n.nextAge
	}
	if n.nextAge != nil {
		n.nextAge.prevAge = n.prevAge
	} else {
		l.newest = n.prevAge
	}
	n.ring, n.prevAge, n.nextAge = nil, nil, nil
	l.n--
}

// touch makes a living process the youngest.
func (t *Table) touch(n *node) {
	if n.ring == &t.alive && t.alive.newest != n {
		t.alive.remove(n)
		t.alive.append(n)
	}
}

// forget drops the dead whose time is over.
func (t *Table) forget(now int64) {
	for n := t.dead.oldest; n != nil && now-n.p.ExitTime > int64(t.opt.KeepDead); n = t.dead.oldest {
		t.drop(n)
	}
}

// room makes sure that one more process fits: the longest dead goes first, then
// the living process that was silent longest.
func (t *Table) room() {
	for len(t.all) >= t.opt.MaxProcesses {
		if n := t.dead.oldest; n != nil {
			t.drop(n)
			t.stats.EvictedDead++
			continue
		}
		t.drop(t.alive.oldest)
		t.stats.EvictedAlive++
	}
}

// drop removes a process from everything. Its children, if any, lose their
// parent but keep its pid.
func (t *Table) drop(n *node) {
	n.ring.remove(n)
	delete(t.all, key{n.p.PID, n.p.Start})
	if t.pids[n.p.PID] == n {
		delete(t.pids, n.p.PID)
	}
	for n.child != nil {
		t.adopt(n.child, nil)
	}
	t.adopt(n, nil)
}

// adopt makes parent the parent of n, nil for none.
func (t *Table) adopt(n, parent *node) {
	if n.parent == parent {
		return
	}
	if n.parent != nil {
		if n.older != nil {
			n.older.next = n.next
		} else {
			n.parent.child = n.next
		}
		if n.next != nil {
			n.next.older = n.older
		}
		n.older, n.next = nil, nil
	}
	n.parent, n.p.Parent = parent, nil
	if parent != nil {
		n.p.Parent = &parent.p
		n.next = parent.child
		if n.next != nil {
			n.next.older = n
		}
		parent.child = n
	}
}

// below reports whether n is a or a descendant of a.
func below(n, a *node) bool {
	for ; n != nil; n = n.parent {
		if n == a {
			return true
		}
	}
	return false
}
