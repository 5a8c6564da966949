package event

import (
	"net/netip"
	"strings"
)

// Ancestor returns the n-th ancestor: 0 is p itself, 1 its parent. It returns
// nil when there is none or n is over MaxLineage, and may be called on nil.
func (p *Process) Ancestor(n int) *Process {
	if n < 0 || n > MaxLineage {
		return nil
	}
	for ; n > 0 && p != nil; n-- {
		p = p.Parent
	}
	return p
}

// ancestorArg picks the ancestor an argument names: 0 the process itself, 1 its
// parent; without an argument the parent.
func ancestorArg(e *Event, a *Arg) *Process {
	if a == nil {
		return e.Process.Ancestor(1)
	}
	if !a.IsNum {
		return nil
	}
	return e.Process.Ancestor(a.Index)
}

// text is a string whose empty value means "not known".
func text(s string) (string, bool) { return s, s != "" }

func procName(e *Event, _ *Arg) (string, bool)      { return e.Process.comm() }
func procExe(e *Event, _ *Arg) (string, bool)       { return e.Process.exe() }
func procExePath(e *Event, _ *Arg) (string, bool)   { return e.Process.exePath() }
func procCmdline(e *Event, _ *Arg) (string, bool)   { return e.Process.cmdline() }
func procPName(e *Event, _ *Arg) (string, bool)     { return e.Process.Ancestor(1).comm() }
func procPExe(e *Event, _ *Arg) (string, bool)      { return e.Process.Ancestor(1).exe() }
func procPExePath(e *Event, _ *Arg) (string, bool)  { return e.Process.Ancestor(1).exePath() }
func procPCmdline(e *Event, _ *Arg) (string, bool)  { return e.Process.Ancestor(1).cmdline() }
func procAName(e *Event, a *Arg) (string, bool)     { return ancestorArg(e, a).comm() }
func procAExe(e *Event, a *Arg) (string, bool)      { return ancestorArg(e, a).exe() }
func procAExePath(e *Event, a *Arg) (string, bool)  { return ancestorArg(e, a).exePath() }
func procACmdline(e *Event, a *Arg) (string, bool)  { return ancestorArg(e, a).cmdline() }
func procSName(e *Event, _ *Arg) (string, bool)     { return e.Process.sessionLeader().comm() }
func procSIDExe(e *Event, _ *Arg) (string, bool)    { return e.Process.sessionLeader().exe() }
func procPGName(e *Event, _ *Arg) (string, bool)    { return e.Process.groupLeader().comm() }
func procPGExe(e *Event, _ *Arg) (string, bool)     { return e.Process.groupLeader().exe() }
func procPGExePath(e *Event, _ *Arg) (string, bool) { return e.Process.groupLeader().exePath() }
func procSIDExePath(e *Event, _ *Arg) (string, bool) {
	return e.Process.sessionLeader().exePath()
}

func (p *Process) comm() (string, bool) {
	if p == nil {
		return "", false
	}
	return text(p.Comm)
}

func (p *Process) exe() (string, bool) {
	if p == nil {
		return "", false
	}
	return text(p.Exe)
}

func (p *Process) exePath() (string, bool) {
	if p == nil {
		return "", false
	}
	return text(p.ExePath)
}

func (p *Process) cmdline() (string, bool) {
	if p == nil {
		return "", false
	}
	return text(p.Cmdline)
}

// sessionLeader returns the leader of p's session when it is p or an ancestor,
// else the oldest known ancestor in the session.
func (p *Process) sessionLeader() *Process {
	return p.leader(func(q *Process) (member, leads bool) { return q.SID == p.SID, q.PID == p.SID })
}

// groupLeader is sessionLeader for the process group.
func (p *Process) groupLeader() *Process {
	return p.leader(func(q *Process) (member, leads bool) { return q.PGID == p.PGID, q.PID == p.PGID })
}

func (p *Process) leader(in func(*Process) (member, leads bool)) *Process {
	var last *Process
	for n, q := 0, p; q != nil && n <= MaxLineage; n, q = n+1, q.Parent {
		member, leads := in(q)
		if !member {
			break
		}
		last = q
		if leads {
			break
		}
	}
	return last
}

// argText returns the arguments as one text: the tail of Cmdline, which is Comm,
// a blank and the arguments.
func (p *Process) argText() (string, bool) {
	if p == nil {
		return "", false
	}
	rest, ok := strings.CutPrefix(p.Cmdline, p.Comm)
	if !ok {
		return "", false
	}
	return strings.TrimPrefix(rest, " "), true
}

func procArgs(e *Event, a *Arg) (string, bool) {
	if a == nil {
		return e.Process.argText()
	}
	if e.Process == nil || !a.IsNum || a.Index >= len(e.Process.Args) {
		return "", false
	}
	return e.Process.Args[a.Index], true
}

func procAArgs(e *Event, a *Arg) (string, bool) { return ancestorArg(e, a).argText() }

func procExeline(e *Event, _ *Arg) (string, bool) {
	args, ok := e.Process.argText()
	if !ok || args == "" {
		return e.Process.exe()
	}
	if s, ok, built := e.cached(derExeline); built {
		return s, ok
	}
	from := len(e.scratch)
	e.scratch = append(e.scratch, e.Process.Exe...)
	e.scratch = append(e.scratch, ' ')
	e.scratch = append(e.scratch, args...)
	return e.keep(derExeline, from)
}

func procCmdNArgs(e *Event, _ *Arg) (int64, bool) {
	if e.Process == nil {
		return 0, false
	}
	return int64(len(e.Process.Args)), true
}

func procCmdLenArgs(e *Event, _ *Arg) (int64, bool) {
	if e.Process == nil {
		return 0, false
	}
	n := 0
	for _, a := range e.Process.Args {
		n += len(a)
	}
	return int64(n), true
}

func procEnv(e *Event, a *Arg) (string, bool) {
	if a != nil {
		return e.Process.env(a.Key)
	}
	if e.Process == nil {
		return "", false
	}
	if len(e.Process.Env) < 2 {
		return strings.Join(e.Process.Env, " "), true // no more than one: nothing is built
	}
	if s, ok, built := e.cached(derEnv); built {
		return s, ok
	}
	from := len(e.scratch)
	for i, kv := range e.Process.Env {
		if i > 0 {
			e.scratch = append(e.scratch, ' ')
		}
		e.scratch = append(e.scratch, kv...)
	}
	return e.keep(derEnv, from)
}

// env returns the value of one variable.
func (p *Process) env(key string) (string, bool) {
	if p == nil || key == "" {
		return "", false
	}
	for _, kv := range p.Env {
		if len(kv) > len(key) && kv[len(key)] == '=' && kv[:len(key)] == key {
			return kv[len(key)+1:], true
		}
	}
	return "", false
}

// procAEnv reads an ancestor's environment: by number, or one variable of the
// nearest ancestor that has it.
func procAEnv(e *Event, a *Arg) (string, bool) {
	if a == nil || a.IsNum {
		p := ancestorArg(e, a)
		if p == nil || len(p.Env) != 1 {
			return "", false
		}
		return p.Env[0], true
	}
	for n := 1; n <= MaxLineage; n++ {
		p := e.Process.Ancestor(n)
		if p == nil {
			break
		}
		if v, ok := p.env(a.Key); ok {
			return v, true
		}
	}
	return "", false
}

func procCwd(e *Event, _ *Arg) (string, bool) {
	if e.Process == nil {
		return "", false
	}
	return text(e.Process.Cwd)
}

func number[T int32 | uint32 | int64 | uint64](p *Process, get func(*Process) T) (int64, bool) {
	if p == nil {
		return 0, false
	}
	return int64(get(p)), true
}

func procPID(e *Event, _ *Arg) (int64, bool) {
	return number(e.Process, func(p *Process) int32 { return p.PID })
}

func procPPID(e *Event, _ *Arg) (int64, bool) {
	return number(e.Process, func(p *Process) int32 { return p.PPID })
}

func procAPID(e *Event, a *Arg) (int64, bool) {
	return number(ancestorArg(e, a), func(p *Process) int32 { return p.PID })
}

func procVPID(e *Event, _ *Arg) (int64, bool) {
	return number(e.Process, func(p *Process) int32 { return p.VPID })
}

func procPVPID(e *Event, _ *Arg) (int64, bool) {
	return number(e.Process.Ancestor(1), func(p *Process) int32 { return p.VPID })
}

func procSID(e *Event, _ *Arg) (int64, bool) {
	return number(e.Process, func(p *Process) int32 { return p.SID })
}

func procVPGID(e *Event, _ *Arg) (int64, bool) {
	return number(e.Process, func(p *Process) int32 { return p.VPGID })
}

func procPGID(e *Event, _ *Arg) (int64, bool) {
	return number(e.Process, func(p *Process) int32 { return p.PGID })
}

func procTTY(e *Event, _ *Arg) (int64, bool) {
	return number(e.Process, func(p *Process) uint32 { return p.TTY })
}

func procExeIno(e *Event, _ *Arg) (int64, bool) {
	return number(e.Process, func(p *Process) uint64 { return p.ExeIno })
}

func procLoginShellID(e *Event, _ *Arg) (int64, bool) {
	pid, ok := int64(0), false
	for n := 0; n <= MaxLineage; n++ {
		p := e.Process.Ancestor(n)
		if p == nil {
			break
		}
		if strings.HasSuffix(p.Comm, "sh") {
			pid, ok = int64(p.PID), true
		}
	}
	return pid, ok
}

// since is how long before the event p started, by the boot clock if both have it.
func (e *Event) since(p *Process) (int64, bool) {
	switch {
	case p == nil:
		return 0, false
	case e.Boot > 0 && p.Start > 0:
		return e.Boot - p.Start, true
	case p.Time > 0:
		return e.Time - p.Time, true
	}
	return 0, false
}

func procDuration(e *Event, _ *Arg) (int64, bool) { return e.since(e.Process) }

func procPDuration(e *Event, _ *Arg) (int64, bool) { return e.since(e.Process.Ancestor(1)) }

// positive is a time or duration that is known when it is not zero.
func positive(p *Process, get func(*Process) int64) (int64, bool) {
	if p == nil {
		return 0, false
	}
	v := get(p)
	return v, v != 0
}

func procTime(e *Event, _ *Arg) (int64, bool) {
	return positive(e.Process, func(p *Process) int64 { return p.Time })
}

func procPTime(e *Event, _ *Arg) (int64, bool) {
	return positive(e.Process.Ancestor(1), func(p *Process) int64 { return p.Time })
}

func procExeCtime(e *Event, _ *Arg) (int64, bool) {
	return positive(e.Process, func(p *Process) int64 { return p.ExeCtime })
}

func procExeMtime(e *Event, _ *Arg) (int64, bool) {
	return positive(e.Process, func(p *Process) int64 { return p.ExeMtime })
}

func procExeCtimeAge(e *Event, _ *Arg) (int64, bool) {
	p := e.Process
	if p == nil || p.ExeCtime == 0 || p.Time == 0 {
		return 0, false
	}
	return p.Time - p.ExeCtime, true
}

func flag(p *Process, get func(*Process) bool) (bool, bool) {
	if p == nil {
		return false, false
	}
	return get(p), true
}

func procIsSIDLeader(e *Event, _ *Arg) (bool, bool) {
	return flag(e.Process, func(p *Process) bool { return p.SID == p.PID })
}

func procIsVPGIDLeader(e *Event, _ *Arg) (bool, bool) {
	return flag(e.Process, func(p *Process) bool { return p.VPGID == p.VPID })
}

func procIsPGIDLeader(e *Event, _ *Arg) (bool, bool) {
	return flag(e.Process, func(p *Process) bool { return p.PGID == p.PID })
}

func procIsExeWritable(e *Event, _ *Arg) (bool, bool) {
	return flag(e.Process, func(p *Process) bool { return p.ExeWritable })
}

func procIsExeUpper(e *Event, _ *Arg) (bool, bool) {
	return flag(e.Process, func(p *Process) bool { return p.ExeUpper })
}

func procIsExeMemfd(e *Event, _ *Arg) (bool, bool) {
	return flag(e.Process, func(p *Process) bool { return p.ExeMemfd })
}

// procInHostRoot is true when either way says so, and false only when what is known says
// no: one of the two is enough to see the host's files.
func procInHostRoot(e *Event, _ *Arg) (bool, bool) {
	if e.Process == nil {
		return false, false
	}
	m, r := e.Process.HostMnt, e.Process.HostRoot
	return m == Yes || r == Yes, m != Unknown || r != Unknown
}

func procExeWritten(e *Event, _ *Arg) (bool, bool) {
	return flag(e.Process, func(p *Process) bool { return p.ExeWritten })
}

func procPhase(e *Event, _ *Arg) (string, bool) {
	if e.Process == nil {
		return "", false
	}
	return e.Process.Phase.String(), true
}

func (e *Event) stdio(n int) Stream {
	if e.Process == nil {
		return Stream{}
	}
	return e.Process.Stdio[n]
}

func procStdinType(e *Event, _ *Arg) (string, bool)  { return text(e.stdio(0).Kind.Word()) }
func procStdoutType(e *Event, _ *Arg) (string, bool) { return text(e.stdio(1).Kind.Word()) }
func procStderrType(e *Event, _ *Arg) (string, bool) { return text(e.stdio(2).Kind.Word()) }
func procStdinPeer(e *Event, _ *Arg) (string, bool)  { return text(e.stdio(0).Peer) }
func procStdoutPeer(e *Event, _ *Arg) (string, bool) { return text(e.stdio(1).Peer) }
func procStdinRIP(e *Event, _ *Arg) (netip.Addr, bool) {
	return addrOf(e.stdio(0).Remote, true)
}
func procStdoutRIP(e *Event, _ *Arg) (netip.Addr, bool) {
	return addrOf(e.stdio(1).Remote, true)
}
func procStdinRPort(e *Event, _ *Arg) (int64, bool)  { return portOf(e.stdio(0).Remote, true) }
func procStdoutRPort(e *Event, _ *Arg) (int64, bool) { return portOf(e.stdio(1).Remote, true) }

func threadTID(e *Event, _ *Arg) (int64, bool) { return int64(e.TID), e.TID != 0 }

func threadIsMain(e *Event, _ *Arg) (bool, bool) {
	if e.Process == nil || e.TID == 0 {
		return false, false
	}
	return e.TID == e.Process.PID, true
}

func (e *Event) caps(k derivedKey, get func(*Process) uint64) (string, bool) {
	if e.Process == nil {
		return "", false
	}
	if s, ok, built := e.cached(k); built {
		return s, ok
	}
	from := len(e.scratch)
	e.scratch = appendCaps(e.scratch, get(e.Process))
	return e.keep(k, from)
}

func threadCapPermitted(e *Event, _ *Arg) (string, bool) {
	return e.caps(derCapPermitted, func(p *Process) uint64 { return p.CapPermitted })
}

func threadCapInheritable(e *Event, _ *Arg) (string, bool) {
	return e.caps(derCapInheritable, func(p *Process) uint64 { return p.CapInheritable })
}

func threadCapEffective(e *Event, _ *Arg) (string, bool) {
	return e.caps(derCapEffective, func(p *Process) uint64 { return p.CapEffective })
}

func userUID(e *Event, _ *Arg) (int64, bool) {
	return number(e.Process, func(p *Process) uint32 { return p.UID })
}

func userLoginUID(e *Event, _ *Arg) (int64, bool) {
	v, ok := number(e.Process, func(p *Process) uint32 { return p.LoginUID })
	if v == 1<<32-1 {
		v = -1
	}
	return v, ok
}

func groupGID(e *Event, _ *Arg) (int64, bool) {
	return number(e.Process, func(p *Process) uint32 { return p.GID })
}

func userName(e *Event, _ *Arg) (string, bool) {
	if e.Process == nil {
		return "", false
	}
	return text(e.Process.User)
}

func userLoginName(e *Event, _ *Arg) (string, bool) {
	if e.Process == nil {
		return "", false
	}
	return text(e.Process.LoginUser)
}

func groupName(e *Event, _ *Arg) (string, bool) {
	if e.Process == nil {
		return "", false
	}
	return text(e.Process.Group)
}
