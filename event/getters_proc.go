package event

func procName(e *Event, _ *Arg) (string, bool) {
	if e.Process == nil {
		return "", false
	}
	return e.Process.Comm, e.Process.Comm != ""
}

func procExePath(e *Event, _ *Arg) (string, bool) {
	if e.Process == nil {
		return "", false
	}
	return e.Process.ExePath, e.Process.ExePath != ""
}

func procCmdline(e *Event, _ *Arg) (string, bool) {
	if e.Process == nil {
		return "", false
	}
	return e.Process.Cmdline, e.Process.Cmdline != ""
}

func procPName(e *Event, _ *Arg) (string, bool) {
	if p := e.Process.Ancestor(1); p != nil {
		return p.Comm, p.Comm != ""
	}
	return "", false
}

func procAName(e *Event, a *Arg) (string, bool) {
	if p := ancestorArg(e, a); p != nil {
		return p.Comm, p.Comm != ""
	}
	return "", false
}

// ancestorArg picks the ancestor an argument names: 0 the process itself, 1 its
// parent; without an argument the parent.
func ancestorArg(e *Event, a *Arg) *Process {
	n := 1
	if a != nil {
		if !a.IsNum {
			return nil
		}
		n = a.Index
	}
	return e.Process.Ancestor(n)
}

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

func userUID(e *Event, _ *Arg) (int64, bool) {
	if e.Process == nil {
		return 0, false
	}
	return int64(e.Process.UID), true
}
