package process

import (
	"strings"

	"github.com/dockreeve/dockreeve/event"
)

// ends are the programs last started on the two ends of a pipe.
type ends struct{ writer, reader event.PipeEnd }

// einprogress is what a connect that does not wait returns when it has begun.
const einprogress = 115

// observe learns from what a process does: the files its container writes, the
// sockets that this machine connected, and what a dup puts on a standard stream.
func (t *Table) observe(ev *event.Event, n *node) {
	if ev.Type == event.TypeConnect && inet(ev.FDKind) && ev.Ino != 0 && (ev.Ret >= 0 || ev.Ret == -einprogress) {
		t.sockets.touch(ev.Ino)
	}
	if ev.Flags&event.FlagHasRet != 0 && ev.Ret < 0 {
		return
	}
	p := &n.p
	switch ev.Type {
	case event.TypeOpen, event.TypeOpenat, event.TypeOpenat2, event.TypeCreat:
		written := ev.OpensForWrite() || ev.Flags&event.FlagCreated != 0
		if written && ev.Ino != 0 && p.Container != nil && p.Phase == event.PhaseRun {
			t.written.touch(event.WrittenFile{Container: containerKey(p.Container), Dev: ev.Dev, Ino: ev.Ino})
		}
	case event.TypeDup, event.TypeDup2, event.TypeDup3:
		if ev.Flags&event.FlagHasFD != 0 && ev.FD >= 0 && ev.FD < int64(len(p.Stdio)) {
			// The socket itself does not say which end connected: we remember.
			if _, ours := t.sockets.peek(ev.Ino); ours && ev.Role == event.RoleUnknown && inet(ev.FDKind) {
				ev.Role = event.RoleClient
			}
			p.Stdio[ev.FD] = event.Stream{Kind: ev.FDKind, Ino: ev.Ino, Remote: ev.RemoteOf(), Pending: true}
		}
	}
}

func inet(k event.FDKind) bool { return k == event.FDIPv4 || k == event.FDIPv6 }

// called is the name of a program for who reads a pipe's other end: the kernel's,
// except where one file is many programs. Those start each other through
// /proc/self/exe, which the kernel then calls "exe", and only argv[0] says which
// program it is.
func called(p *event.Process) string {
	if p.Comm != "exe" || p.Exe == "" {
		return p.Comm
	}
	name := p.Exe[strings.LastIndexByte(p.Exe, '/')+1:]
	if name == "" {
		return p.Comm
	}
	return name
}

// hold puts the program on the pipes it was started with. A stream that a fork or
// a dup set since is left out: `a | b` passes through two copies of the shell
// that already hold the pipe but are neither a nor b.
func (t *Table) hold(p *event.Process) {
	end := event.PipeEnd{PID: p.PID, Start: p.Start, Comm: called(p)}
	for i, s := range p.Stdio {
		if s.Kind != event.FDPipe || s.Ino == 0 || s.Pending {
			continue
		}
		if e := t.pipes.touch(s.Ino); i == 0 {
			e.reader = end
		} else {
			e.writer = end
		}
	}
}

// peers reads the other ends' names as they are now. Whichever of a | b starts
// second finds the other's name; the one that started first finds it too from
// its next event on.
func (t *Table) peers(p *event.Process) {
	for i := range p.Stdio {
		s := &p.Stdio[i]
		s.Peer = ""
		if s.Kind != event.FDPipe {
			continue
		}
		e, ok := t.pipes.peek(s.Ino)
		if !ok {
			continue
		}
		other := e.writer
		if i > 0 {
			other = e.reader
		}
		if other.PID != p.PID || other.Start != p.Start {
			s.Peer = other.Comm
		}
	}
}

// views says whether the process is in the host's mount namespace, where both are known;
// elsewhere what its source said of it stands.
func (t *Table) views(p *event.Process) {
	switch {
	case p.MntNS == 0 || t.hostNS == 0:
	case p.MntNS == t.hostNS:
		p.HostMnt = event.Yes
	default:
		p.HostMnt = event.No
	}
}
