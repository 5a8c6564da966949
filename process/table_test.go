package process

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/process/processtest"
	"pgregory.net/rapid"
)

// world feeds a table in the words a kernel would use.
type world struct {
	t     testing.TB
	table *Table
	now   int64
}

func newWorld(t testing.TB, opt Options) *world {
	w := &world{t: t, table: New(opt), now: 1000}
	w.table.Seed(Snapshot{Processes: []event.Kept{
		{Process: &event.Process{PID: 1, Start: 1, Comm: "systemd", Cmdline: "systemd", VPID: 1, MntNS: 10, PIDNS: 20, Seeded: true}},
		{Process: &event.Process{PID: 50, PPID: 1, Start: 2, Comm: "bash", Cmdline: "bash", VPID: 50, MntNS: 10, PIDNS: 20, Seeded: true}},
	}})
	return w
}

func (w *world) apply(ev *event.Event, f *event.Facts) *event.Event {
	w.now++
	ev.Boot, ev.Time = w.now, w.now
	w.table.Apply(ev, f)
	if ev.Process == nil {
		w.t.Fatal("event without process")
	}
	return ev
}

// start is the start of a pid in these tests: fork sets it, reuse raises it.
func start(pid int32) int64 { return int64(pid) * 10 }

func (w *world) fork(parent, child int32) *event.Event {
	return w.apply(&event.Event{Type: event.TypeClone}, &event.Facts{
		PID: child, Start: start(child), Image: &event.Process{PID: child, PPID: parent, Start: start(child), VPID: child},
	})
}

func (w *world) exec(pid int32, comm string, change ...func(*event.Facts)) *event.Event {
	f := &event.Facts{PID: pid, Start: start(pid), Image: &event.Process{PID: pid, Start: start(pid), Comm: comm, Cmdline: comm, ExePath: "/bin/" + comm}}
	for _, c := range change {
		c(f)
	}
	return w.apply(&event.Event{Type: event.TypeExecve, Flags: event.FlagHasRet}, f)
}

func (w *world) dup(pid int32, to int64, pipe uint64) *event.Event {
	return w.apply(&event.Event{
		Type: event.TypeDup2, Flags: event.FlagHasFD | event.FlagHasRet, FD: to, Ret: to, FDKind: event.FDPipe, Ino: pipe,
	}, &event.Facts{PID: pid, Start: start(pid)})
}

func (w *world) exit(pid int32, reaper int32) *event.Event {
	return w.apply(&event.Event{Type: event.TypeProcexit}, &event.Facts{PID: pid, Start: start(pid), ReaperPID: reaper, ExitCode: 256})
}

func (w *world) write(pid int32, ino uint64) *event.Event {
	return w.apply(&event.Event{
		Type: event.TypeOpenat, Flags: event.FlagHasRet | event.FlagHasFD, FD: 3, Ret: 3, FDKind: event.FDFile, OpenFlags: 0x41, Path: "/tmp/x", Dev: 1, Ino: ino,
	}, &event.Facts{PID: pid, Start: start(pid)})
}

func in(c *event.Container) func(*event.Facts) {
	return func(f *event.Facts) { f.HasContainer, f.Container = true, c }
}

func pipe(fd int, ino uint64) func(*event.Facts) {
	return func(f *event.Facts) { f.Image.Stdio[fd] = event.Stream{Kind: event.FDPipe, Ino: ino} }
}

// names is the lineage by name, self first.
func names(p *event.Process) []string {
	var out []string
	for n := 0; p != nil && n <= event.MaxLineage; n, p = n+1, p.Parent {
		out = append(out, p.Comm)
	}
	return out
}

func (w *world) lineage(pid int32, want ...string) {
	w.t.Helper()
	if got := names(w.table.Lookup(pid)); !slices.Equal(got, want) {
		w.t.Errorf("lineage of %d: %v, want %v", pid, got, want)
	}
}

func TestForkExecExit(t *testing.T) {
	w := newWorld(t, Options{})
	if ev := w.fork(50, 60); ev.Process.PID != 60 || ev.Process.Comm != "bash" || ev.Process.Parent.PID != 50 {
		t.Errorf("a clone is the child's event: %+v", ev.Process)
	}
	w.exec(60, "sh")
	w.fork(60, 70)
	ev := w.exec(70, "sleep")
	if ev.Process.ExecGen != 1 || ev.Process.PPID != 60 || ev.Process.VPID != 70 {
		t.Errorf("after exec: %+v", ev.Process)
	}
	w.lineage(70, "sleep", "sh", "bash", "systemd")
	if ev := w.exit(60, 0); ev.Process.ExitCode != 256 || ev.Process.Parent.Comm != "bash" {
		t.Errorf("exit: %+v", ev.Process)
	}
	w.lineage(70, "sleep", "systemd")
	if p := w.table.Lookup(70); p.PPID != 1 {
		t.Errorf("reparented to %d", p.PPID)
	}
	if w.table.Lookup(60) != nil || w.table.Get(60, start(60)) == nil {
		t.Error("the dead must leave the living and stay known for a while")
	}
	w.now += int64(time.Minute)
	w.fork(50, 80)
	if w.table.Get(60, start(60)) != nil {
		t.Error("the dead must go in time")
	}
}

func TestReaper(t *testing.T) {
	w := newWorld(t, Options{})
	// A container's own pid 1 adopts inside its pid namespace.
	w.fork(50, 60)
	w.apply(&event.Event{Type: event.TypeClone}, &event.Facts{PID: 61, Start: 610, Image: &event.Process{PID: 61, PPID: 60, Start: 610, VPID: 1, PIDNS: 99, Comm: "init"}})
	w.apply(&event.Event{Type: event.TypeClone}, &event.Facts{PID: 62, Start: 620, Image: &event.Process{PID: 62, PPID: 61, Start: 620, VPID: 2, PIDNS: 99, Comm: "mid"}})
	w.apply(&event.Event{Type: event.TypeClone}, &event.Facts{PID: 63, Start: 630, Image: &event.Process{PID: 63, PPID: 62, Start: 630, VPID: 3, PIDNS: 99, Comm: "leaf"}})
	w.exit(62, 0)
	w.lineage(63, "leaf", "init", "bash", "bash", "systemd")
	// The one the kernel names wins.
	w.fork(50, 70)
	w.fork(70, 71)
	w.exit(70, 50)
	w.lineage(71, "bash", "bash", "systemd")
}

func TestCloneParent(t *testing.T) {
	w := newWorld(t, Options{})
	w.fork(50, 60)
	w.exec(60, "runc")
	ev := w.apply(&event.Event{Type: event.TypeClone}, &event.Facts{
		PID: 61, Start: 610, ForkPID: 60, ForkStart: start(60), Image: &event.Process{PID: 61, PPID: 50, Start: 610},
	})
	if ev.Process.Comm != "runc" || ev.Process.Parent.PID != 50 {
		t.Errorf("CLONE_PARENT: %q under %d", ev.Process.Comm, ev.Process.Parent.PID)
	}
}

func TestPidReuseAndGaps(t *testing.T) {
	w := newWorld(t, Options{})
	w.fork(50, 60)
	w.fork(60, 61)
	again := &event.Process{PID: 60, PPID: 50, Start: 9000, Comm: "new", Cmdline: "new"}
	w.apply(&event.Event{Type: event.TypeClone}, &event.Facts{PID: 60, Start: 9000, Image: again})
	if s := w.table.Stats(); s.MissedExits != 1 {
		t.Errorf("missed exits: %d", s.MissedExits)
	}
	w.lineage(61, "bash", "systemd") // not under the pid's new owner
	if ev := w.write(60, 5); ev.Process.Start != start(60) || w.table.Lookup(60).Start != 9000 {
		t.Error("a late event of the old owner must find the old owner")
	}
	// An exec nobody announced brings its own parent.
	w.exec(90, "cat", func(f *event.Facts) { f.Image.PPID = 50 })
	w.lineage(90, "cat", "bash", "systemd")
	// An open of a process never seen.
	ev := w.apply(&event.Event{Type: event.TypeOpenat}, &event.Facts{PID: 95, Start: 950, Comm: "ghost"})
	if !ev.Process.Seeded || ev.Process.Comm != "ghost" || w.table.Stats().Missing != 2 {
		t.Errorf("ghost: %+v", ev.Process)
	}
	// An exit nobody announced, and an exec after the exit.
	w.exit(96, 0)
	if ev := w.exec(96, "late"); ev.Process.Comm != "late" || w.table.Lookup(96) != nil {
		t.Error("a late exec must not raise the dead")
	}
	// A fork after its own exec.
	w.exec(97, "early")
	if ev := w.fork(50, 97); ev.Process.Comm != "early" || ev.Process.Parent == nil || ev.Process.Parent.PID != 50 {
		t.Errorf("fork after exec: %+v", ev.Process)
	}
}

func TestHeal(t *testing.T) {
	w := newWorld(t, Options{})
	if k := w.table.Knows(60, 600, 1); k != Absent {
		t.Errorf("knows %v", k)
	}
	ev := w.apply(&event.Event{Type: event.TypeOpenat}, &event.Facts{PID: 61, Start: 610, ExecGen: 2, Heal: []event.Process{
		{PID: 60, PPID: 50, Start: 600, Comm: "nginx", ExecGen: 1},
		{PID: 61, PPID: 60, Start: 610, Comm: "sh", ExecGen: 2},
	}})
	if ev.Flags&event.FlagHealed == 0 || w.table.Stats().Healed != 2 || w.table.Stats().Missing != 0 {
		t.Errorf("healed: %+v", w.table.Stats())
	}
	w.lineage(61, "sh", "nginx", "bash", "systemd")
	if k := w.table.Knows(61, 610, 3); k != Behind {
		t.Errorf("knows %v", k)
	}
	// The exec that the heal overtook arrives late, with an older generation.
	ev = w.exec(61, "old", func(f *event.Facts) { f.Image.ExecGen = 1 })
	if ev.Process.Comm != "sh" || w.table.Stats().Stale != 1 {
		t.Errorf("stale exec replaced the newer image: %q", ev.Process.Comm)
	}
	// Heals that would close a circle are refused.
	w.apply(&event.Event{Type: event.TypeOpenat}, &event.Facts{PID: 61, Start: 610, Heal: []event.Process{
		{PID: 60, PPID: 61, Start: 600, Comm: "nginx", ExecGen: 9},
	}})
	if n := len(names(w.table.Lookup(61))); n > 4 {
		t.Errorf("lineage of %d after a circular heal", n)
	}
}

func TestEviction(t *testing.T) {
	w := newWorld(t, Options{MaxProcesses: 4})
	w.fork(50, 60)
	w.fork(60, 61)
	w.exit(61, 0)
	w.fork(60, 62) // the dead one goes first
	w.fork(60, 63) // then the longest silent: systemd, seeded first
	s := w.table.Stats()
	if s.EvictedDead != 1 || s.EvictedAlive != 1 || s.Alive+s.Dead != 4 {
		t.Errorf("%+v", s)
	}
	w.lineage(62, "bash", "bash", "bash")
}

// TestHostView holds that an escape is told by the kernel's numbers: the mount namespace
// where both are known, the root directory as its source saw it.
func TestHostView(t *testing.T) {
	w := newWorld(t, Options{}) // whose host is mount namespace 10
	web := &event.Container{ID: "web", CgroupPath: "/web"}
	look := func(what string, ev *event.Event, mnt, root event.Tristate, field string) {
		t.Helper()
		if p := ev.Process; p.HostMnt != mnt || p.HostRoot != root {
			t.Errorf("%s: mounts %v, root %v; want %v, %v", what, p.HostMnt, p.HostRoot, mnt, root)
		}
		f, _ := event.LookupField("proc.in_host_root")
		v, ok := f.Bool(ev, nil)
		if got := fmt.Sprint(v, ok); got != field {
			t.Errorf("%s: proc.in_host_root is %s, want %s", what, got, field)
		}
	}
	view := func(ns uint32, root event.Tristate) func(*event.Facts) {
		return func(f *event.Facts) { f.Image.MntNS, f.Image.HostRoot = ns, root }
	}
	w.fork(50, 60)
	look("a container's program", w.exec(60, "app", in(web), view(77, event.No)), event.No, event.No, "false true")
	w.fork(60, 61)
	look("nsenter to the host", w.exec(61, "sh", view(10, event.Yes)), event.Yes, event.Yes, "true true")
	if p := w.table.Lookup(61); p.Phase != event.PhaseRun || p.Container != web {
		t.Errorf("an escape is not set-up and stays its container's: %v %v", p.Phase, p.Container)
	}
	w.fork(61, 62)
	look("a namespace of its own, on the host's root", w.exec(62, "id", view(88, event.Yes)), event.No, event.Yes, "true true")
	look("a source that does not say", w.exec(62, "id", view(0, event.Unknown)), event.No, event.Yes, "true true")
	blind := New(Options{})
	ev := &event.Event{Type: event.TypeExecve, Flags: event.FlagHasRet}
	blind.Apply(ev, &event.Facts{PID: 9, Start: 9, Image: &event.Process{PID: 9, MntNS: 10, Comm: "sh"}})
	look("a host that is not known", ev, event.Unknown, event.Unknown, "false false")
}

func TestPhaseAndDrift(t *testing.T) {
	w := newWorld(t, Options{})
	web := &event.Container{ID: "web", CgroupPath: "/web"}
	w.fork(50, 60)
	w.exec(60, "runc", func(f *event.Facts) { f.Image.MntNS = 10 })
	ev := w.apply(&event.Event{Type: event.TypeOpenat, Flags: event.FlagHasRet, OpenFlags: 1, Dev: 1, Ino: 8}, &event.Facts{PID: 60, Start: start(60), HasContainer: true, Container: web})
	if ev.Process.Phase != event.PhaseInit || ev.Container != web {
		t.Errorf("joining the cgroup must start set-up: %v", ev.Process.Phase)
	}
	if ev := w.exec(60, "runc:init", in(web), func(f *event.Facts) { f.Image.MntNS = 10 }); ev.Process.Phase != event.PhaseInit {
		t.Error("an exec in the host's mount namespace is still set-up")
	}
	w.fork(60, 61)
	if p := w.table.Lookup(61); p.Phase != event.PhaseInit || p.Container != web {
		t.Error("a child shares phase and container")
	}
	written := func(f *event.Facts) { f.Image.ExeDev, f.Image.ExeIno, f.Image.MntNS = 1, 8, 77 }
	if ev := w.exec(61, "app", in(web), written); ev.Process.Phase != event.PhaseRun || ev.Process.ExeWritten {
		t.Errorf("first exec: phase %v written %v; what set-up wrote is no drift", ev.Process.Phase, ev.Process.ExeWritten)
	}
	w.write(61, 8)
	w.fork(61, 62)
	if ev := w.exec(62, "dropped", written); !ev.Process.ExeWritten {
		t.Error("written, then started: drift")
	}
	other := &event.Container{ID: "db"}
	w.fork(50, 63)
	if ev := w.exec(63, "same-inode", in(other), written); ev.Process.ExeWritten {
		t.Error("drift is per container")
	}
	unnamed := &event.Container{CgroupPath: "/late", Unknown: "not asked yet"}
	w.fork(50, 64)
	w.exec(64, "app", in(unnamed))
	w.write(64, 8)
	named := &event.Container{ID: "late", CgroupPath: "/late"}
	w.apply(&event.Event{Type: event.TypeConnect}, &event.Facts{PID: 64, Start: start(64), HasContainer: true, Container: named})
	if ev := w.exec(64, "dropped", written); ev.Process.Phase != event.PhaseRun || !ev.Process.ExeWritten {
		t.Errorf("an id that arrives is no other container: phase %v, written %v", ev.Process.Phase, ev.Process.ExeWritten)
	}
	newer := &event.Container{ID: "web", CgroupPath: "/web", Name: "web"}
	w.table.SetContainer(web, newer)
	if ev := w.write(61, 9); ev.Container != newer || ev.Process.Phase != event.PhaseRun {
		t.Error("late metadata must reach running processes and leave their phase alone")
	}
}

// TestPipeline runs `curl | sh` as a shell does, in both orders: the one that
// starts second sees the other, and nobody ever sees the copy of the shell that
// was to become one of them.
func TestPipeline(t *testing.T) {
	for _, curlFirst := range []bool{true, false} {
		t.Run(fmt.Sprint("curl first ", curlFirst), func(t *testing.T) {
			w := newWorld(t, Options{})
			w.fork(50, 60)
			w.fork(50, 61)
			if ev := w.dup(60, 1, 500); ev.Process.Stdio[1].Peer != "" {
				t.Error("peer before either started")
			}
			w.dup(61, 0, 500)
			curl := func() *event.Event { return w.exec(60, "curl", pipe(1, 500)) }
			sh := func() *event.Event { return w.exec(61, "sh", pipe(0, 500)) }
			if curlFirst {
				if ev := curl(); ev.Process.Stdio[1].Peer != "" {
					t.Errorf("curl writes to %q before sh started", ev.Process.Stdio[1].Peer)
				}
				if ev := sh(); ev.Process.Stdio[0].Peer != "curl" {
					t.Errorf("sh reads from %q", ev.Process.Stdio[0].Peer)
				}
			} else {
				if ev := sh(); ev.Process.Stdio[0].Peer != "" {
					t.Errorf("sh reads from %q before curl started", ev.Process.Stdio[0].Peer)
				}
				if ev := curl(); ev.Process.Stdio[1].Peer != "sh" {
					t.Errorf("curl writes to %q", ev.Process.Stdio[1].Peer)
				}
			}
			w.exit(60, 0)
			if ev := w.write(61, 3); ev.Process.Stdio[0].Peer != "curl" {
				t.Error("the name must outlive the downloader")
			}
		})
	}
}

// TestExitImage shows that an exit which brings its status in an image, and a
// generation the table has not seen, does not wipe out what the process ran.
func TestExitImage(t *testing.T) {
	w := newWorld(t, Options{})
	w.fork(50, 60)
	w.exec(60, "app")
	ev := w.apply(&event.Event{Type: event.TypeProcexit}, &event.Facts{PID: 60, Start: start(60), ExecGen: 9, Image: &event.Process{ExitCode: 9}})
	if ev.Process.Comm != "app" || ev.Process.ExitCode != 9 {
		t.Errorf("exit: %q, status %d", ev.Process.Comm, ev.Process.ExitCode)
	}
	// A fork whose parent is not known still has the name the kernel gave.
	ev = w.apply(&event.Event{Type: event.TypeClone}, &event.Facts{PID: 70, Start: 700, Comm: "kid", Image: &event.Process{PID: 70, PPID: 69, Start: 700}})
	if ev.Process.Comm != "kid" || !ev.Process.Seeded {
		t.Errorf("orphan fork: %+v", ev.Process)
	}
}

// TestPipelineInheritsWithoutImage does the same for a source that gives no
// streams with the exec: the dups before it count.
func TestPipelineInheritsWithoutImage(t *testing.T) {
	w := newWorld(t, Options{})
	w.fork(50, 60)
	w.fork(50, 61)
	w.dup(60, 1, 500)
	w.dup(61, 0, 500)
	w.exec(60, "curl")
	if ev := w.exec(61, "sh"); ev.Process.Stdio[0].Peer != "curl" {
		t.Errorf("sh reads from %q", ev.Process.Stdio[0].Peer)
	}
}

// run applies steps and returns each event as seen by a handler.
func run(table *Table, steps []processtest.Step) []string {
	var out []string
	for _, s := range steps {
		ev := *s.Event
		table.Apply(&ev, s.Facts)
		out = append(out, string(ev.AppendJSON(nil)))
	}
	return out
}

// check holds a table to its invariants.
func check(t interface{ Fatalf(string, ...any) }, table *Table, opt Options) {
	s := table.Stats()
	if n := s.Alive + s.Dead; n != len(table.all) || n > opt.MaxProcesses {
		t.Fatalf("%d processes held, %d listed, at most %d", len(table.all), n, opt.MaxProcesses)
	}
	if s.Written > opt.MaxWritten || s.Pipes > opt.MaxPipes || len(table.pids) != s.Alive {
		t.Fatalf("out of bounds: %+v, %d pids", s, len(table.pids))
	}
	for k, n := range table.all {
		if k.pid != n.p.PID || k.start != n.p.Start || n.ring == nil {
			t.Fatalf("node %v is lost", k)
		}
		if (n.parent == nil) != (n.p.Parent == nil) || n.parent != nil && n.p.Parent != &n.parent.p {
			t.Fatalf("node %v: the two parents differ", k)
		}
		steps := 0
		for p := &n.p; p != nil; p = p.Parent {
			if steps++; steps > 4*opt.MaxProcesses {
				t.Fatalf("node %v: lineage does not end", k)
			}
		}
		if n.parent != nil && !n.dead && n.parent.dead {
			t.Fatalf("node %v lives under the dead", k)
		}
	}
}

// TestSeedContinues cuts random histories in two: a table seeded with a snapshot
// of the first half sees the second as the original does.
func TestSeedContinues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := processtest.Script(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "d") }, rapid.IntRange(1, 60).Draw(t, "n"))
		opt := Options{MaxProcesses: 9, MaxWritten: 3, MaxPipes: 3, KeepDead: 5}
		cut := rapid.IntRange(0, len(steps)).Draw(t, "cut")
		live := New(opt)
		run(live, steps[:cut])
		replay := New(opt)
		replay.Seed(live.Snapshot())
		want, got := run(live, steps[cut:]), run(replay, steps[cut:])
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("step %d:\nlive   %s\nreplay %s", cut+i, want[i], got[i])
			}
		}
		check(t, live, opt)
		check(t, replay, opt)
	})
}

// FuzzTable drives a small table with any history at all.
func FuzzTable(f *testing.F) {
	f.Add([]byte("0123456789 some history, many forks and exits, enough to fill and to evict"))
	f.Fuzz(func(t *testing.T, data []byte) {
		at := 0
		draw := func(n int) int {
			if len(data) == 0 {
				return 0
			}
			at++
			return int(data[at%len(data)]+byte(at/len(data))) % n
		}
		opt := Options{MaxProcesses: 7, MaxWritten: 3, MaxPipes: 3, KeepDead: 5}
		table := New(opt)
		run(table, processtest.Script(draw, min(len(data), 200)))
		check(t, table, opt)
	})
}

func BenchmarkApplyOpen(b *testing.B) {
	w := newWorld(b, Options{})
	ev := event.Event{Type: event.TypeOpenat, Flags: event.FlagHasRet, OpenFlags: 1, Dev: 1, Ino: 5}
	f := event.Facts{PID: 50, Start: 2}
	b.ReportAllocs()
	for b.Loop() {
		w.table.Apply(&ev, &f)
	}
}

func BenchmarkForkExecExit(b *testing.B) {
	w := newWorld(b, Options{})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		pid, start := int32(1000+i%30000), int64(1000+i)
		img := event.Process{PID: pid, PPID: 50, Start: start, Comm: "true", Cmdline: "true"}
		f := event.Facts{PID: pid, Start: start, Image: &img}
		for _, typ := range []event.Type{event.TypeClone, event.TypeExecve, event.TypeProcexit} {
			ev := event.Event{Type: typ, Boot: start}
			w.table.Apply(&ev, &f)
		}
	}
}

// TestPipePeerOfManyPrograms shows whose name a pipe's end carries when one file
// is many programs: busybox runs its own through /proc/self/exe.
func TestPipePeerOfManyPrograms(t *testing.T) {
	for _, c := range []struct{ comm, argv0, want string }{
		{"exe", "wget", "wget"}, {"exe", "/bin/wget", "wget"}, {"exe", "", "exe"}, {"exe", "/", "exe"},
		{"curl", "harmless", "curl"}, // nobody hides by his argv[0]
	} {
		w := newWorld(t, Options{})
		w.fork(50, 60)
		w.fork(50, 61)
		img := &event.Process{PID: 60, PPID: 50, Start: start(60), Comm: c.comm, Exe: c.argv0}
		img.Stdio[1] = event.Stream{Kind: event.FDPipe, Ino: 500}
		w.apply(&event.Event{Type: event.TypeExecve}, &event.Facts{PID: 60, Start: start(60), Image: img})
		if ev := w.exec(61, "sh", pipe(0, 500)); ev.Process.Stdio[0].Peer != c.want {
			t.Errorf("%q started as %q: the reader sees %q, not %q", c.comm, c.argv0, ev.Process.Stdio[0].Peer, c.want)
		}
	}
}

// TestWhoConnected shows that a copied socket is known to be this machine's own
// connection when its connect was seen, also one that was still under way.
func TestWhoConnected(t *testing.T) {
	for _, c := range []struct {
		ret  int64
		ino  uint64
		want event.Role
	}{
		{0, 700, event.RoleClient}, {-einprogress, 700, event.RoleClient}, {-111, 700, event.RoleUnknown}, {0, 701, event.RoleUnknown},
	} {
		w := newWorld(t, Options{})
		w.fork(50, 60)
		facts := &event.Facts{PID: 60, Start: start(60)}
		w.apply(&event.Event{Type: event.TypeConnect, Flags: event.FlagHasRet | event.FlagHasFD, Ret: c.ret, FD: 3, FDKind: event.FDIPv4, Ino: c.ino}, facts)
		later := New(Options{})
		later.Seed(w.table.Snapshot())
		for name, table := range map[string]*Table{"the table": w.table, "one restored from it": later} {
			ev := event.Event{Type: event.TypeDup2, Flags: event.FlagHasRet | event.FlagHasFD, FDKind: event.FDIPv4, Ino: 700}
			table.Apply(&ev, facts)
			if ev.Role != c.want {
				t.Errorf("connect of socket %d gave %d: %s says %q of socket 700, not %q", c.ino, c.ret, name, ev.Role, c.want)
			}
		}
	}
}

// TestForeignImagesAreRedacted: a trace that nobody redacted brings no secret into
// the table, by whichever way a process enters it, and is left as it was.
func TestForeignImagesAreRedacted(t *testing.T) {
	img := func(pid int32) event.Process {
		return event.Process{PID: pid, PPID: 1, Start: int64(pid), Comm: "mysql", Args: []string{"-phunter2", "--token", "t0ken"}, Cmdline: "mysql -phunter2 --token t0ken", Env: []string{"A_SECRET=s3cret"}}
	}
	table := New(Options{})
	kept, dead := img(10), img(11)
	dead.ExitTime = 12
	table.Seed(Snapshot{Processes: []event.Kept{{Process: &kept}, {Process: &dead}}})
	run := img(20)
	table.Apply(&event.Event{Type: event.TypeExecve}, &event.Facts{PID: 20, Start: 20, Image: &run, Heal: []event.Process{img(21)}})
	again := img(20)
	again.ExecGen = 5
	table.Apply(&event.Event{Type: event.TypeExecve}, &event.Facts{PID: 20, Start: 20, Image: &again})
	child := img(22)
	table.Apply(&event.Event{Type: event.TypeClone}, &event.Facts{PID: 22, Start: 22, Image: &child})
	late := img(23)
	table.Apply(&event.Event{Type: event.TypeOpenat}, &event.Facts{PID: 23, Start: 23, Image: &late})
	snap := table.Snapshot()
	if len(snap.Processes) != 6 {
		t.Fatalf("%d processes", len(snap.Processes))
	}
	for _, k := range snap.Processes {
		p := k.Process
		if p.Cmdline != "mysql -p*** --token ***" || p.Args[0] != "-p***" || p.Args[2] != "***" || p.Env[0] != "A_SECRET=***" {
			t.Errorf("pid %d: %q %q %q", p.PID, p.Cmdline, p.Args, p.Env)
		}
	}
	if run.Args[0] != "-phunter2" || kept.Args[0] != "-phunter2" {
		t.Error("what was handed in was written to")
	}
}
