package main

import (
	"fmt"
	"testing"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/process"
)

// BenchmarkApply is the process table alone: 400 processes in 40 containers open files
// (one in five for writing), connect and copy descriptors; of a hundred events one
// each is the birth, the program and the end of a process, as under the load of this
// harness, or ten each.
func BenchmarkApply(b *testing.B) {
	for _, births := range []int{1, 10} {
		b.Run(fmt.Sprintf("births=%d%%", births), func(b *testing.B) { benchmarkApply(b, births) })
	}
}

func benchmarkApply(b *testing.B, births int) {
	t := process.New(process.Options{})
	boot := int64(1e9)
	var living []event.Facts
	var seq uint64
	step := func(typ event.Type, f *event.Facts, ev *event.Event) {
		boot += 500_000 // 2,000 a second
		seq++
		ev.ID.Seq, ev.Type, ev.Boot, ev.Time = seq, typ, boot, 1e18+boot
		t.Apply(ev, f)
	}
	image := func(pid, ppid int32, start int64) *event.Process {
		return &event.Process{PID: pid, PPID: ppid, Start: start, Comm: "worker", Exe: "/usr/bin/worker", ExePath: "/usr/bin/worker",
			Args: []string{"--queue", "default"}, Cmdline: "worker --queue default", Cwd: "/app/", ExeDev: 1, ExeIno: 77, MntNS: 5, PIDNS: 6}
	}
	var ev event.Event
	for c := range 40 {
		box := &event.Container{ID: fmt.Sprintf("%064x", 0xabc+c), Name: fmt.Sprintf("app-%d", c), CgroupPath: fmt.Sprintf("/app-%d", c)}
		for i := range 10 {
			pid := int32(1000 + c*10 + i)
			f := event.Facts{PID: pid, Start: boot, Comm: "worker", HasContainer: true, Container: box}
			exec := f
			exec.Image, exec.ExecGen = image(pid, 1, boot), 1
			exec.Image.ExecGen = 1
			f.ExecGen = 1
			step(event.TypeExecve, &exec, &ev)
			living = append(living, f)
		}
	}
	seeded := t.Stats().Missing // none of them was announced by a fork
	pid := int32(100_000)
	var child event.Facts
	var childImage event.Process
	var actor int
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		n := i % 100
		switch {
		case n < 3*births && n%3 == 0:
			actor = (actor + 7) % len(living)
			from := &living[actor]
			if pid++; pid > 4_000_000 {
				pid = 100_000
			}
			childImage = *image(pid, from.PID, boot)
			child = event.Facts{PID: pid, Start: boot, Comm: "worker", HasContainer: true, Container: from.Container, Image: &childImage, ForkPID: from.PID, ForkStart: from.Start, ExecGen: 1}
			ev.Flags = event.FlagHasRet
			step(event.TypeClone, &child, &ev)
		case n < 3*births && n%3 == 1:
			child.ExecGen++
			child.ForkPID, child.ForkStart = 0, 0
			childImage.ExecGen = child.ExecGen
			step(event.TypeExecve, &child, &ev)
		case n < 3*births:
			child.Image = nil
			step(event.TypeProcexit, &child, &ev)
		default:
			actor = (actor + 7) % len(living)
			ev.Reset()
			ev.Flags = event.FlagHasRet | event.FlagHasFD
			switch {
			case n%10 == 9:
				ev.FD, ev.FDKind, ev.Family = 9, event.FDIPv4, 2
				step(event.TypeConnect, &living[actor], &ev)
			case n%20 == 18:
				ev.FD, ev.OldFD, ev.FDKind, ev.Ino = 1, 5, event.FDPipe, uint64(4000+actor)
				step(event.TypeDup2, &living[actor], &ev)
			default:
				ev.FD, ev.FDKind, ev.Ret, ev.Path, ev.Dev, ev.Ino = 7, event.FDFile, 7, "/app/data/17", 1, uint64(i%3000)
				if n%5 == 4 {
					ev.OpenFlags = 1
				}
				step(event.TypeOpenat, &living[actor], &ev)
			}
		}
	}
	b.StopTimer()
	if st := t.Stats(); b.N > 1000 && (st.Missing > seeded || st.MissedExecs > seeded || st.Alive < len(living)) {
		b.Fatalf("the script does not do what it says: %+v", st)
	}
}
