package event

import (
	"net/netip"
	"strconv"
)

// param renders parameter name of the event: raw text first, and resolved text
// after it when there is one. split is where the resolved text starts, -1 when
// the raw text is all there is.
func (e *Event) param(b []byte, name string) (out []byte, split int, ok bool) {
	switch e.Type {
	case TypeOpen, TypeOpenat, TypeOpenat2, TypeCreat:
		return e.openParam(b, name)
	case TypeConnect:
		return e.connectParam(b, name)
	case TypeDup, TypeDup2, TypeDup3:
		return e.dupParam(b, name)
	case TypeExecve, TypeExecveat, TypeClone:
		return e.procParam(b, name)
	case TypeProcexit:
		return e.exitParam(b, name)
	}
	return b, -1, false
}

func (e *Event) openParam(b []byte, name string) ([]byte, int, bool) {
	switch name {
	case "fd":
		return e.fdParam(b, e.FD)
	case "name":
		if e.Raw == "" {
			return append(b, e.Path...), -1, e.Path != ""
		}
		b = append(b, e.Raw...)
		if e.Raw[0] != '/' && e.Path != "" {
			split := len(b)
			return append(b, e.Path...), split, true
		}
		return b, -1, true
	case "flags":
		flags := ruleOpenFlags(e.OpenFlags, e.Flags&FlagCreated != 0)
		b = strconv.AppendUint(b, uint64(flags), 10)
		split := len(b)
		return appendOpenFlags(b, flags), split, true
	case "creat_flags":
		flags := uint32(0)
		if e.Flags&FlagCreated != 0 {
			flags = flagCreated
		}
		b = strconv.AppendUint(b, uint64(flags), 10)
		split := len(b)
		return appendOpenFlags(b, flags), split, true
	case "mode":
		if e.Mode != 0 {
			b = append(b, '0')
		}
		return strconv.AppendUint(b, uint64(e.Mode), 8), -1, true
	case "dev":
		return strconv.AppendUint(b, userDev(e.Dev), 16), -1, e.hasDev()
	case "ino":
		return strconv.AppendUint(b, e.Ino, 10), -1, e.hasDev()
	}
	return b, -1, false
}

func (e *Event) connectParam(b []byte, name string) ([]byte, int, bool) {
	switch name {
	case "res":
		return e.resParam(b)
	case "fd":
		return e.fdParam(b, e.FD)
	case "tuple":
		s, ok := fdName(e, nil)
		return append(b, s...), -1, ok
	case "addr":
		if e.SockPath != "" {
			return append(b, e.SockPath...), -1, true
		}
		if !e.Server.IsValid() {
			return b, -1, false
		}
		return appendAddrPort(b, e.Server), -1, true
	}
	return b, -1, false
}

func (e *Event) dupParam(b []byte, name string) ([]byte, int, bool) {
	switch name {
	case "res":
		if e.Flags&FlagHasRet == 0 {
			return b, -1, false
		}
		return e.fdParam(b, e.Ret)
	case "oldfd":
		return e.fdParam(b, e.OldFD)
	case "newfd":
		return e.fdParam(b, e.FD)
	case "flags":
		b = strconv.AppendUint(b, uint64(ruleOpenFlags(e.OpenFlags, false)&^openModeMask), 10)
		if e.OpenFlags&openCloexec != 0 {
			split := len(b)
			return append(b, "O_CLOEXEC"...), split, true
		}
		return b, -1, true
	}
	return b, -1, false
}

func (e *Event) exitParam(b []byte, name string) ([]byte, int, bool) {
	p := e.Process
	if p == nil {
		return b, -1, false
	}
	switch name {
	case "status":
		return strconv.AppendInt(b, int64(p.ExitCode), 10), -1, true
	case "ret":
		return strconv.AppendInt(b, int64(p.ExitCode>>8&0xff), 10), -1, true
	case "sig":
		return strconv.AppendInt(b, int64(p.ExitCode&0x7f), 10), -1, true
	case "core":
		return strconv.AppendInt(b, int64(p.ExitCode>>7&1), 10), -1, true
	}
	return b, -1, false
}

func (e *Event) procParam(b []byte, name string) ([]byte, int, bool) {
	if name == "res" {
		return e.resParam(b)
	}
	p := e.Process
	if p == nil {
		return b, -1, false
	}
	switch name {
	case "exe":
		return append(b, p.Exe...), -1, true
	case "args":
		for _, a := range p.Args {
			b = append(append(b, a...), '.')
		}
		return b, -1, true
	case "tid":
		return pidParam(b, int64(e.TID), p.Comm)
	case "pid":
		return pidParam(b, int64(p.PID), p.Comm)
	case "ptid":
		comm, _ := p.Parent.comm()
		return pidParam(b, int64(p.PPID), comm)
	case "cwd":
		return append(b, p.Cwd...), -1, p.Cwd != ""
	case "comm":
		return append(b, p.Comm...), -1, p.Comm != ""
	case "env":
		for _, kv := range p.Env {
			b = append(append(b, kv...), '.')
		}
		return b, -1, true
	case "tty":
		return strconv.AppendUint(b, uint64(p.TTY), 10), -1, true
	case "pgid":
		return strconv.AppendInt(b, int64(p.PGID), 10), -1, true
	case "vpgid":
		return strconv.AppendInt(b, int64(p.VPGID), 10), -1, true
	case "vpid":
		return strconv.AppendInt(b, int64(p.VPID), 10), -1, true
	case "loginuid":
		v, _ := userLoginUID(e, nil)
		return strconv.AppendInt(b, v, 10), -1, true
	case "uid":
		return pidParam(b, int64(p.UID), p.User)
	case "gid":
		return pidParam(b, int64(p.GID), p.Group)
	case "flags":
		if e.Type == TypeClone {
			return b, -1, false
		}
		return appendExeFlags(b, p)
	case "cap_inheritable":
		return capParam(b, p.CapInheritable)
	case "cap_permitted":
		return capParam(b, p.CapPermitted)
	case "cap_effective":
		return capParam(b, p.CapEffective)
	case "exe_ino":
		return strconv.AppendUint(b, p.ExeIno, 10), -1, p.ExeIno != 0
	case "exe_ino_ctime":
		return strconv.AppendInt(b, p.ExeCtime, 10), -1, p.ExeCtime != 0
	case "exe_ino_mtime":
		return strconv.AppendInt(b, p.ExeMtime, 10), -1, p.ExeMtime != 0
	case "trusted_exepath":
		return append(b, p.ExePath...), -1, p.ExePath != ""
	case "filename":
		return append(b, e.Raw...), -1, e.Raw != ""
	}
	return b, -1, false
}

func (e *Event) resParam(b []byte) ([]byte, int, bool) {
	if e.Flags&FlagHasRet == 0 {
		return b, -1, false
	}
	b = strconv.AppendInt(b, e.Ret, 10)
	if name := errnoName(-e.Ret); name != "" {
		split := len(b)
		return append(b, name...), split, true
	}
	return b, -1, true
}

// fdParam renders a descriptor: its number, and its letter in angle brackets
// with its name; an error number by name.
func (e *Event) fdParam(b []byte, fd int64) ([]byte, int, bool) {
	b = strconv.AppendInt(b, fd, 10)
	split := len(b)
	if fd < 0 {
		if name := errnoName(-fd); name != "" {
			return append(b, name...), split, true
		}
		return b, -1, true
	}
	name, ok := fdName(e, nil)
	if !ok || e.FDKind == FDNone {
		return b, -1, true
	}
	b = append(append(b, '<'), e.FDKind.Letter()...)
	switch {
	case e.isInet() && e.L4 == L4TCP:
		b = append(b, 't')
	case e.isInet() && e.L4 == L4UDP:
		b = append(b, 'u')
	}
	return append(append(b, '>'), name...), split, true
}

// pidParam renders a number with the name it stands for.
func pidParam(b []byte, n int64, name string) ([]byte, int, bool) {
	b = strconv.AppendInt(b, n, 10)
	if name == "" {
		return b, -1, true
	}
	split := len(b)
	return append(b, name...), split, true
}

func capParam(b []byte, set uint64) ([]byte, int, bool) {
	b = strconv.AppendUint(b, set, 10)
	if set == 0 {
		return b, -1, true
	}
	split := len(b)
	b = appendCaps(b, set)
	for i := split; i < len(b); i++ {
		if b[i] == ' ' {
			b[i] = '|'
		}
	}
	return b, split, true
}

func appendExeFlags(b []byte, p *Process) ([]byte, int, bool) {
	n, text := 0, [...]struct {
		on   bool
		bit  int
		name string
	}{{p.ExeWritable, 1, "EXE_WRITABLE"}, {p.ExeUpper, 2, "EXE_UPPER_LAYER"}, {p.ExeMemfd, 4, "EXE_FROM_MEMFD"}}
	for _, f := range text {
		if f.on {
			n |= f.bit
		}
	}
	b = strconv.AppendInt(b, int64(n), 10)
	split := len(b)
	for _, f := range text {
		if !f.on {
			continue
		}
		if len(b) > split {
			b = append(b, '|')
		}
		b = append(b, f.name...)
	}
	if n == 0 {
		return b, -1, true
	}
	return b, split, true
}

// findParam returns the position of a parameter given by name or number.
func (e *Event) findParam(a *Arg) int {
	params := e.Type.Params()
	if a == nil {
		return -1
	}
	if a.IsNum {
		if a.Index < len(params) {
			return a.Index
		}
		return -1
	}
	for i, name := range params {
		if name == a.Key {
			return i
		}
	}
	return -1
}

func evtArg(e *Event, a *Arg) (string, bool)    { return e.arg(a, false) }
func evtRawArg(e *Event, a *Arg) (string, bool) { return e.arg(a, true) }

func (e *Event) arg(a *Arg, raw bool) (string, bool) {
	i := e.findParam(a)
	if i < 0 {
		return "", false
	}
	for _, s := range e.derived.args {
		if s.param == i && s.raw == raw {
			return e.view(s.span), !s.none
		}
	}
	name := e.Type.Params()[i]
	fdName(e, nil) // what a parameter may quote is built first, so that nothing is built inside it
	from := len(e.scratch)
	out, split, ok := e.param(e.scratch, name)
	e.scratch = out
	s := argSpan{param: i, raw: raw, none: !ok, span: span{from, len(out)}}
	switch {
	case split >= 0 && raw:
		s.to = split
	case split >= 0:
		s.from = split
	}
	e.derived.args = append(e.derived.args, s)
	return e.view(s.span), ok
}

func evtArgs(e *Event, _ *Arg) (string, bool) {
	if s, ok, built := e.cached(derEvtArgs); built {
		return s, ok
	}
	fdName(e, nil)
	from := len(e.scratch)
	b := e.scratch
	for _, name := range e.Type.Params() {
		mark := len(b)
		b = append(append(b, name...), '=')
		out, split, ok := e.param(b, name)
		if !ok {
			b = out[:mark]
			continue
		}
		b = out
		if split >= 0 {
			b = append(b, 0)
			copy(b[split+1:], b[split:])
			b[split] = '('
			b = append(b, ')')
		}
		b = append(b, ' ')
	}
	e.scratch = b
	return e.keep(derEvtArgs, from)
}

// The rule language's own encoding of open flags.
const (
	openModeMask = 0x3
	flagCreated  = 1 << 14
)

// openFlagTable maps kernel open flags to the rule language's, in the order it
// renders them: largest kernel mask first where one includes another.
var openFlagTable = [...]struct {
	kernel uint32
	rule   uint32
	name   string
}{
	{openCreat, 1 << 2, "O_CREAT"},
	{openAppend, 1 << 3, "O_APPEND"},
	{openDsync, 1 << 4, "O_DSYNC"},
	{openExcl, 1 << 5, "O_EXCL"},
	{openNonblock, 1 << 6, "O_NONBLOCK"},
	{openSync, 1 << 7, "O_SYNC"},
	{openTrunc, 1 << 8, "O_TRUNC"},
	{openDirect, 1 << 9, "O_DIRECT"},
	{openDirectory, 1 << 10, "O_DIRECTORY"},
	{openLargefile, 1 << 11, "O_LARGEFILE"},
	{openCloexec, 1 << 12, "O_CLOEXEC"},
	{openTmpfile, 1 << 13, "O_TMPFILE"},
}

// ruleOpenFlags turns kernel open flags into the rule language's encoding.
func ruleOpenFlags(kernel uint32, created bool) uint32 {
	var out uint32
	switch kernel & openAccess {
	case 0:
		out = 1
	case openWronly:
		out = 2
	case openRdwr:
		out = 3
	}
	for _, f := range openFlagTable {
		if kernel&f.kernel == f.kernel {
			out |= f.rule
		}
	}
	if kernel&openSync == openSync {
		out &^= 1 << 4
	}
	if kernel&openTmpfile == openTmpfile {
		out &^= 1 << 10
	}
	if created {
		out |= flagCreated
	}
	return out
}

// appendOpenFlags renders flags in the rule language's encoding, in its order:
// most flags from the largest down, the access mode, then the few that came later.
func appendOpenFlags(b []byte, flags uint32) []byte {
	start := len(b)
	add := func(name string) {
		if len(b) > start {
			b = append(b, '|')
		}
		b = append(b, name...)
	}
	const late = 1<<12 | 1<<13 // O_CLOEXEC, O_TMPFILE
	for i := len(openFlagTable) - 1; i >= 0; i-- {
		if f := openFlagTable[i]; flags&f.rule != 0 && f.rule&late == 0 {
			add(f.name)
		}
	}
	switch flags & openModeMask {
	case 1:
		add("O_RDONLY")
	case 2:
		add("O_WRONLY")
	case 3:
		add("O_RDWR")
	}
	for _, f := range openFlagTable {
		if flags&f.rule&late != 0 {
			add(f.name)
		}
	}
	if flags&flagCreated != 0 {
		add("O_F_CREATED")
	}
	return b
}

// RemoteOf returns the other end of the connection the event's descriptor
// refers to; the zero value when it is no internet socket or not known.
func (e *Event) RemoteOf() netip.AddrPort {
	if !e.isInet() {
		return netip.AddrPort{}
	}
	return e.remote()
}
