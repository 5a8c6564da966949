package process

import "github.com/dockreeve/dockreeve/event"

// Snapshot is everything a table knows, in an order that restores it: a table
// that Seed filled answers every later event as the original does. It shares
// strings and containers with the table but no memory that the table writes to.
type Snapshot struct {
	Processes []event.Kept        // the living, the longest silent first, then the dead, the longest dead first; Process.Container is set
	Written   []event.WrittenFile // oldest first
	Pipes     []event.PipeEnds    // oldest first
	Sockets   []uint64            // inodes of the internet sockets that this machine connected, oldest first
	HostMntNS uint32              // mount namespace of the host; 0 unknown

	// Exact says that a table made it: a process without ParentPID has no parent
	// there, and Pipes are all there is. Otherwise parents are found by PPID and
	// pipes by what the processes hold.
	Exact bool
}

// Snapshot copies the table's knowledge.
func (t *Table) Snapshot() Snapshot {
	s := Snapshot{HostMntNS: t.hostNS, Exact: true}
	for _, l := range [...]*list{&t.alive, &t.dead} {
		for n := l.oldest; n != nil; n = n.nextAge {
			p := n.p
			p.Parent = nil
			k := event.Kept{Process: &p}
			if n.parent != nil {
				k.ParentPID, k.ParentStart = n.parent.p.PID, n.parent.p.Start
			}
			s.Processes = append(s.Processes, k)
		}
	}
	t.written.each(func(w event.WrittenFile, _ *struct{}) { s.Written = append(s.Written, w) })
	t.pipes.each(func(ino uint64, e *ends) {
		s.Pipes = append(s.Pipes, event.PipeEnds{Ino: ino, Writer: e.writer, Reader: e.reader})
	})
	t.sockets.each(func(ino uint64, _ *struct{}) { s.Sockets = append(s.Sockets, ino) })
	return s
}

// Seed takes up a snapshot: another table's, or what iter/task found at the
// start. What does not fit is evicted as
// always; a process that is there already is left alone.
func (t *Table) Seed(s Snapshot) {
	added := make([]*node, len(s.Processes))
	for i, k := range s.Processes {
		if k.Process == nil || t.all[key{k.Process.PID, k.Process.Start}] != nil {
			continue
		}
		p := *k.Process
		p.Parent = nil
		p.Redact()
		if p.ExitTime != 0 {
			added[i] = t.insertDead(p)
		} else {
			added[i] = t.insert(p)
		}
	}
	for i, n := range added {
		if n == nil || n.ring == nil { // evicted again
			continue
		}
		k := s.Processes[i]
		if k.ParentPID == 0 {
			if !s.Exact && !n.dead {
				t.link(n)
			}
			continue
		}
		if parent := t.all[key{k.ParentPID, k.ParentStart}]; parent != nil && !below(parent, n) {
			t.adopt(n, parent)
		}
	}
	if s.HostMntNS != 0 || s.Exact {
		t.hostNS = s.HostMntNS
	}
	for _, w := range s.Written {
		t.written.touch(w)
	}
	for _, ino := range s.Sockets {
		t.sockets.touch(ino)
	}
	for _, p := range s.Pipes {
		*t.pipes.touch(p.Ino) = ends{writer: p.Writer, reader: p.Reader}
	}
	if !s.Exact {
		for _, n := range added {
			if n != nil && !n.dead {
				t.hold(&n.p)
			}
		}
	}
}

// insertDead adds a process that has ended already.
func (t *Table) insertDead(p event.Process) *node {
	t.room()
	n := &node{p: p, dead: true}
	t.all[key{p.PID, p.Start}] = n
	t.dead.append(n)
	return n
}
