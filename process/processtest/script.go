// Package processtest makes long scripts of events and facts for tests of what
// consumes them: forks, execs, exits, opens and dups of few pids, in and out of
// order, with reuse, gaps and heals. It is for tests only.
package processtest

import (
	"fmt"
	"net/netip"

	"github.com/dockreeve/dockreeve/event"
)

// Step is one input of a process table.
type Step struct {
	Event *event.Event
	Facts *event.Facts
}

// Containers are the containers that scripts use.
func Containers() []*event.Container {
	return []*event.Container{
		{ID: "aaaa", Name: "web", CgroupPath: "/a"},
		{ID: "bbbb", Name: "db", CgroupPath: "/b"},
		{CgroupPath: "/c", Unknown: "not seen yet"},
	}
}

// Script draws n steps. draw(k) gives a number in [0, k); the script depends on
// nothing else.
func Script(draw func(int) int, n int) []Step {
	containers := Containers()
	pick := func() *event.Container {
		if i := draw(len(containers) + 1); i > 0 {
			return containers[i-1]
		}
		return nil
	}
	types := []event.Type{
		event.TypeClone, event.TypeExecve, event.TypeProcexit, event.TypeOpenat, event.TypeConnect, event.TypeDup2,
	}
	comms := []string{"sh", "curl", "cat", "", "b\xff\x00"}
	pid := func() int32 { return int32(draw(12)) }
	streams := func() (s [3]event.Stream) {
		for i := range s {
			switch draw(4) {
			case 0:
				s[i] = event.Stream{Kind: event.FDPipe, Ino: uint64(draw(6))}
			case 1:
				s[i] = event.Stream{Kind: event.FDIPv4, Remote: netip.MustParseAddrPort("10.0.0.1:80")}
			}
		}
		return s
	}
	image := func() *event.Process {
		comm := comms[draw(len(comms))]
		return &event.Process{
			PID: pid(), PPID: pid(), Start: int64(draw(4)), Comm: comm, Cmdline: comm, ExecGen: uint32(draw(5)),
			VPID: int32(draw(3)), PIDNS: uint32(draw(2)), MntNS: uint32(draw(3)), ExeDev: 1, ExeIno: uint64(draw(5)),
			Stdio: streams(), Args: []string{fmt.Sprint(draw(9))}, Phase: event.Phase(draw(5) / 4),
		}
	}
	var steps []Step
	boot := int64(0)
	for i := range n {
		boot += int64(draw(3))
		ev := &event.Event{
			ID: event.ID{Node: 1, Boot: 2, Lane: event.LaneProcess, Seq: uint64(i + 1)}, Type: types[draw(len(types))],
			Time: 1_000_000 + boot, Boot: boot, Flags: event.FlagHasRet, Ret: int64(draw(5) - 1),
		}
		f := &event.Facts{PID: pid(), Start: int64(draw(4)), ExecGen: uint32(draw(4)), Comm: comms[draw(len(comms))]}
		if draw(2) == 0 {
			f.HasContainer, f.Container = true, pick()
		}
		switch ev.Type {
		case event.TypeClone:
			f.Image = image()
			if draw(3) == 0 {
				f.ForkPID, f.ForkStart = pid(), int64(draw(3))
			}
		case event.TypeExecve:
			f.Image = image()
		case event.TypeProcexit:
			f.ReaperPID, f.ExitCode = pid(), int32(draw(300))
		case event.TypeOpenat:
			ev.OpenFlags, ev.Dev, ev.Ino = uint32(draw(4)), 1, uint64(draw(5))
			ev.Path, ev.FDKind = "/tmp/x", event.FDFile
		case event.TypeDup2:
			ev.Flags |= event.FlagHasFD
			ev.FD, ev.FDKind, ev.Ino = int64(draw(5)), event.FDPipe, uint64(draw(6))
			if draw(3) == 0 {
				ev.FDKind = event.FDIPv4
			}
		case event.TypeConnect:
			ev.Flags |= event.FlagHasFD
			ev.FDKind, ev.Ino = event.FDIPv4, uint64(draw(6))
		}
		if draw(8) == 0 {
			f.Image = image()
			f.Image.PID = f.PID
		}
		for range draw(10) / 8 {
			p := *image()
			p.Container = pick()
			f.Heal = append(f.Heal, p)
		}
		steps = append(steps, Step{ev, f})
	}
	return steps
}
