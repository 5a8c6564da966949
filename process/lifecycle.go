package process

import "github.com/dockreeve/dockreeve/event"

// insert adds a living process. A process that still holds the pid has ended
// without our seeing it, if it started earlier; if it started later, the new one
// is old news and enters as dead.
func (t *Table) insert(p event.Process) *node {
	t.room()
	n := &node{p: p}
	n.p.Parent = nil
	if have := t.pids[p.PID]; have != nil {
		if have.p.Start > p.Start {
			n.dead = true
		} else {
			t.stats.MissedExits++
			t.end(have, p.Start, nil)
		}
	}
	t.all[key{p.PID, p.Start}] = n
	if n.dead {
		n.p.ExitTime = max(n.p.ExitTime, n.p.Start)
		t.dead.append(n)
	} else {
		n.p.ExitTime = 0
		t.pids[p.PID] = n
		t.alive.append(n)
	}
	if (p.PID == 1 || p.PID == 2) && p.MntNS != 0 && p.Container == nil {
		t.hostNS = p.MntNS
	}
	return n
}

// link finds the parent of n by its pid. Only a process that started no later
// can be one, which also rules out a circle through a reused pid.
func (t *Table) link(n *node) {
	parent := t.pids[n.p.PPID]
	if n.p.PPID <= 0 || parent == nil || parent.p.Start > n.p.Start || parent == n || n.child != nil && below(parent, n) {
		parent = nil
	}
	if parent != nil || n.parent == nil || n.parent.p.PID != n.p.PPID {
		t.adopt(n, parent)
	}
}

// describes reports whether the facts' image is of the process they name.
func describes(facts *event.Facts) bool {
	return facts.Image != nil && facts.Image.PID == facts.PID
}

// actor finds who did something. A process that nothing announced enters with
// what the facts say.
func (t *Table) actor(facts *event.Facts) *node {
	n := t.all[key{facts.PID, facts.Start}]
	switch {
	case n == nil:
		t.stats.Missing++
		t.fresh = true
		p := event.Process{PID: facts.PID, Start: facts.Start, Comm: facts.Comm, Cmdline: facts.Comm, LoginUID: 1<<32 - 1}
		if describes(facts) {
			p = flat(facts.Image)
			p.Start = facts.Start
		}
		p.Seeded = true
		p.ExecGen = max(p.ExecGen, facts.ExecGen)
		n = t.insert(p)
		t.link(n)
	case facts.ExecGen > n.p.ExecGen:
		t.stats.MissedExecs++
		if describes(facts) {
			t.replace(n, facts.Image)
			n.p.Seeded = true
		}
		n.p.ExecGen = facts.ExecGen
	}
	t.touch(n)
	return n
}

// fork adds a child: its image over what it inherits from who called clone.
func (t *Table) fork(facts *event.Facts) *node {
	img := facts.Image
	if img == nil {
		return t.actor(facts)
	}
	t.stats.Forks++
	if n := t.all[key{facts.PID, facts.Start}]; n != nil {
		// Its exec, exit or heal came first: what it runs is known better.
		if img.PPID != 0 && !n.dead {
			n.p.PPID = img.PPID
		}
		t.link(n)
		t.touch(n)
		return n
	}
	from := t.pids[img.PPID]
	if facts.ForkPID != 0 {
		from = t.pids[facts.ForkPID]
		if facts.ForkStart != 0 {
			from = t.all[key{facts.ForkPID, facts.ForkStart}]
		}
	}
	p := flat(img)
	p.PID, p.Start = facts.PID, facts.Start
	if from != nil {
		p = inherit(&from.p, p)
	} else if p.Comm == "" {
		p.Comm, p.Cmdline, p.Seeded = facts.Comm, facts.Comm, true
	}
	for i := range p.Stdio {
		p.Stdio[i].Pending = p.Stdio[i].Kind != event.FDNone
	}
	n := t.insert(p)
	t.link(n)
	return n
}

// inherit lays a child's image over its parent's.
func inherit(from *event.Process, img event.Process) event.Process {
	p := *from
	p.Parent = nil
	p.PID, p.PPID, p.Start, p.Time = img.PID, img.PPID, img.Start, img.Time
	p.VPID, p.VPPID = img.VPID, img.VPPID
	p.ExitTime, p.ExitCode, p.Seeded = 0, 0, false
	p.ExecGen = img.ExecGen
	if img.Phase == event.PhaseInit {
		p.Phase = event.PhaseInit
	}
	for _, n := range [...]struct{ to, from *uint32 }{{&p.PIDNS, &img.PIDNS}, {&p.MntNS, &img.MntNS}} {
		if *n.from != 0 {
			*n.to = *n.from
		}
	}
	if img.CgroupID != 0 {
		p.CgroupID = img.CgroupID
	}
	if img.Stdio != ([3]event.Stream{}) {
		p.Stdio = img.Stdio
	}
	if img.Comm == "" {
		return p
	}
	if p.Comm != img.Comm { // renamed before it forked
		p.Cmdline = img.Comm + p.Cmdline[min(len(p.Comm), len(p.Cmdline)):]
		p.Comm = img.Comm
	}
	p.PGID, p.VPGID, p.SID, p.VSID, p.TTY = img.PGID, img.VPGID, img.SID, img.VSID, img.TTY
	p.UID, p.GID, p.LoginUID = img.UID, img.GID, img.LoginUID
	p.User, p.LoginUser, p.Group = img.User, img.LoginUser, img.Group
	p.CapInheritable, p.CapPermitted, p.CapEffective = img.CapInheritable, img.CapPermitted, img.CapEffective
	return p
}

// exec replaces the image of a process in place. started is false when the call
// failed or when what the process runs is known better already.
func (t *Table) exec(ev *event.Event, facts *event.Facts) (n *node, started bool) {
	img := facts.Image
	failed := ev.Flags&event.FlagHasRet != 0 && ev.Ret < 0
	if img == nil || failed {
		return t.actor(facts), false
	}
	t.stats.Execs++
	n = t.all[key{facts.PID, facts.Start}]
	switch {
	case n == nil:
		t.stats.Missing++
		t.fresh = true
		p := flat(img)
		p.PID, p.Start = facts.PID, facts.Start
		n = t.insert(p)
		t.link(n)
	case img.ExecGen != 0 && (img.ExecGen < n.p.ExecGen || img.ExecGen == n.p.ExecGen && n.p.Seeded):
		t.stats.Stale++ // a heal brought this program, or a later one
		t.touch(n)
		return n, false
	default:
		t.replace(n, img)
	}
	t.touch(n)
	return n, true
}

// started does what follows from a new program in its place: phase, drift, and
// its name on the pipes it was started with.
func (t *Table) started(n *node, ev *event.Event, facts *event.Facts) {
	p := &n.p
	p.Seeded = false
	if facts.Image.ExecTime == 0 {
		p.ExecTime = ev.Time
	}
	img := facts.Image
	setup := img.Phase == event.PhaseInit || img.ExeMemfd || img.MntNS != 0 && img.MntNS == t.hostNS
	if p.Container == nil || !setup {
		p.Phase = event.PhaseRun
	}
	if p.Container != nil && p.ExeIno != 0 {
		_, p.ExeWritten = t.written.peek(event.WrittenFile{
			Container: containerKey(p.Container), Dev: p.ExeDev, Ino: p.ExeIno,
		})
	}
	t.hold(p)
}

// replace lays a new image over a process, keeping what belongs to the process
// and not to the program.
func (t *Table) replace(n *node, img *event.Process) {
	old := n.p
	p := flat(img)
	p.PID, p.Start = old.PID, old.Start
	p.Parent, p.Container, p.Phase = old.Parent, old.Container, old.Phase
	p.ExitTime, p.ExitCode = old.ExitTime, old.ExitCode
	p.ExeWritten = false
	if img.Phase == event.PhaseInit {
		p.Phase = event.PhaseInit
	}
	if p.ExecGen == 0 {
		p.ExecGen = old.ExecGen + 1
	}
	p.ExecGen = max(p.ExecGen, old.ExecGen)
	keep(&p.Time, old.Time)
	keep(&p.VPID, old.VPID)
	keep(&p.VPPID, old.VPPID)
	keep(&p.PIDNS, old.PIDNS)
	keep(&p.MntNS, old.MntNS)
	keep(&p.HostRoot, old.HostRoot)
	keep(&p.CgroupID, old.CgroupID)
	keep(&p.Cwd, old.Cwd)
	if img.Stdio == ([3]event.Stream{}) {
		p.Stdio = old.Stdio
		for i := range p.Stdio {
			p.Stdio[i].Pending = false
		}
	}
	ppid := p.PPID
	keep(&p.PPID, old.PPID)
	n.p = p
	if ppid != 0 && ppid != old.PPID {
		t.link(n) // reparented while we were not looking
	}
}

// keep leaves a value alone that the image did not bring.
func keep[T comparable](to *T, old T) {
	var zero T
	if *to == zero {
		*to = old
	}
}

// exit ends a process and hands its children to the reaper.
func (t *Table) exit(n *node, ev *event.Event, facts *event.Facts) {
	t.stats.Exits++
	n.p.ExitCode = facts.ExitCode
	if facts.ExitCode == 0 && facts.Image != nil {
		n.p.ExitCode = facts.Image.ExitCode
	}
	if n.dead {
		return
	}
	var reaper *node
	if facts.ReaperPID > 0 {
		reaper = t.pids[facts.ReaperPID]
	}
	t.end(n, ev.Boot, reaper)
}

// end marks a process dead and reparents its children: to the reaper the kernel
// named, else to the first process of their pid namespace among the ancestors,
// else to pid 1. A subreaper that the kernel did not name is not found.
func (t *Table) end(n *node, when int64, reaper *node) {
	n.dead = true
	n.p.ExitTime = max(when, n.p.Start, 1)
	if reaper == nil {
		for a := n.parent; a != nil; a = a.parent {
			if a.p.VPID == 1 && a.p.PIDNS == n.p.PIDNS {
				reaper = a
				break
			}
		}
	}
	if reaper == nil {
		reaper = t.pids[1]
	}
	for c := n.child; c != nil; {
		next := c.next
		if !c.dead { // the dead keep the lineage they died with
			if reaper != nil && reaper != n && !below(reaper, c) {
				c.p.PPID = reaper.p.PID
				t.adopt(c, reaper)
			} else {
				t.adopt(c, nil)
			}
		}
		c = next
	}
	if t.pids[n.p.PID] == n {
		delete(t.pids, n.p.PID)
	}
	n.ring.remove(n)
	t.dead.append(n)
}

// heal takes a process as iter/task found it: new, or newer than what is known.
func (t *Table) heal(p *event.Process) *node {
	n := t.all[key{p.PID, p.Start}]
	img := flat(p)
	img.Container = p.Container
	switch {
	case n == nil:
		img.Seeded = true
		n = t.insert(img)
		t.stats.Healed++
	case n.dead:
		t.stats.Stale++
		return n
	case p.ExecGen > n.p.ExecGen:
		container := p.Container
		t.replace(n, &img)
		n.p.Container, n.p.Seeded = container, true
		t.stats.Healed++
	default:
		if p.PPID != 0 {
			n.p.PPID = p.PPID
		}
	}
	t.link(n)
	t.hold(&n.p)
	return n
}

// flat is a copy of an image without what the table decides and without secrets:
// the sensor took them out already, a trace from elsewhere may hold them still.
func flat(img *event.Process) event.Process {
	p := *img
	p.Redact()
	p.Parent, p.Container, p.ExeWritten = nil, nil, false
	for i := range p.Stdio {
		p.Stdio[i].Peer = ""
	}
	return p
}
