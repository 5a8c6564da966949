package inuse

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/event"
)

const at = int64(1_000_000) * second

func web() *event.Container {
	return &event.Container{ID: "c1", Name: "web", Image: "r.example/web:1", ImageDigest: "sha256:ab", CreatedTime: at + 5*second, Rootfs: "/r", Runtime: "runc"}
}

func proc(pid int32, c *event.Container, exe string) *event.Process {
	return &event.Process{PID: pid, Start: int64(pid), Container: c, ExePath: exe}
}

func ev(t event.Type, when int64, p *event.Process) *event.Event {
	return &event.Event{Type: t, Time: when, Process: p, Container: p.Container}
}

func loaded(path string, when int64, p *event.Process) *event.Event {
	e := ev(event.TypeLoad, when, p)
	e.Path = path
	return e
}

func paths(r Report) string {
	var out []string
	for _, l := range r.Loads {
		out = append(out, l.Path)
	}
	return strings.Join(out, " ")
}

// only is the one report that is due.
func only(t *testing.T, tr *Tracker, now int64) Report {
	t.Helper()
	rs := tr.Due(now)
	if len(rs) != 1 {
		t.Fatalf("%d reports due at +%d s, want 1: %+v", len(rs), (now-at)/second, rs)
	}
	return rs[0]
}

func none(t *testing.T, tr *Tracker, now int64) {
	t.Helper()
	if rs := tr.Due(now); len(rs) != 0 {
		t.Fatalf("due at +%d s: %+v", (now-at)/second, rs)
	}
}

func TestOneLifeOfAContainer(t *testing.T) {
	tr := New(Options{Node: "n"})
	tr.Begin(at, nil)
	c := web()
	init := proc(10, c, "/usr/bin/runc")
	init.Phase = event.PhaseInit
	tr.Observe(ev(event.TypeClone, at+6*second, init))
	tr.Observe(loaded("/host/lib.so", at+6*second, init)) // of the runtime that sets it up
	init.Phase, init.ExePath = event.PhaseRun, "/bin/sh"
	tr.Observe(ev(event.TypeExecve, at+7*second, init))
	tr.Observe(loaded("/lib/libc.so", at+7*second, init))

	r := only(t, tr, at+8*second)
	want := Report{Node: "n", Container: "c1", Name: "web", Workload: "container/web", Image: "r.example/web:1", Digest: "sha256:ab", Runtime: "runc", Rootfs: "/r", PID: 10,
		Started: at + 5*second, Since: at + 5*second, Until: at + 8*second, Full: true,
		Loads: []Load{{Path: "bin/sh", First: at + 7*second, Last: at + 7*second}, {Path: "lib/libc.so", First: at + 7*second, Last: at + 7*second}}}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("first report\n%+v, want\n%+v", r, want)
	}

	none(t, tr, at+20*second)
	tr.Observe(loaded("/lib/libz.so", at+21*second, init))
	tr.Observe(loaded("/lib/libc.so", at+22*second, init)) // again: no news
	if r := only(t, tr, at+22*second); r.Full || paths(r) != "lib/libz.so" {
		t.Errorf("what is new: %+v", r)
	}
	tr.Observe(loaded("/lib/liby.so", at+23*second, init))
	none(t, tr, at+24*second) // five seconds between reports
	if r := only(t, tr, at+27*second); paths(r) != "lib/liby.so" {
		t.Errorf("what is new: %+v", r)
	}
	if r := only(t, tr, at+8*second+FullEvery); !r.Full || paths(r) != "bin/sh lib/libc.so lib/liby.so lib/libz.so" || r.Loads[1].Last != at+22*second {
		t.Errorf("full report: %+v", r)
	}

	tr.Observe(ev(event.TypeProcexit, at+400*second, init))
	none(t, tr, at+405*second)
	if r := only(t, tr, at+410*second); !r.Ended || !r.Full || r.Until != at+400*second || r.PID != 0 {
		t.Errorf("last report: %+v", r)
	}
	none(t, tr, at+1000*second)
	if s := tr.Stats(); s.Containers != 0 || s.Paths != 0 {
		t.Errorf("kept after the end: %+v", s)
	}
}

// A name that is taken again at once, as `docker restart` and a pod's next try do, is two
// lives: what the first one loaded is not said of the second, whose image may be another.
func TestANameTakenAgainIsAnotherLife(t *testing.T) {
	tr := New(Options{Node: "n"})
	tr.Begin(at, nil)
	first := proc(10, web(), "/usr/bin/runc")
	first.Phase = event.PhaseInit
	tr.Observe(ev(event.TypeClone, at+6*second, first))
	first.Phase, first.ExePath = event.PhaseRun, "/bin/old"
	tr.Observe(ev(event.TypeExecve, at+7*second, first))
	only(t, tr, at+7*second)
	// What is set up inside while it runs (an exec) is the same life.
	inside := proc(11, first.Container, "/usr/bin/runc")
	inside.Phase = event.PhaseInit
	tr.Observe(ev(event.TypeClone, at+8*second, inside))
	tr.Observe(ev(event.TypeProcexit, at+9*second, inside))
	tr.Observe(ev(event.TypeProcexit, at+20*second, first))

	next := web()
	next.Image, next.ImageDigest, next.CreatedTime = "r.example/web:2", "sha256:cd", at+21*second
	other := proc(20, next, "/usr/bin/runc")
	other.Phase = event.PhaseInit
	tr.Observe(ev(event.TypeClone, at+22*second, other))
	other.Phase, other.ExePath = event.PhaseRun, "/bin/new"
	tr.Observe(ev(event.TypeExecve, at+23*second, other))
	rs := tr.Due(at + 24*second)
	if len(rs) != 2 {
		t.Fatalf("%d reports, want the last one of the first life and the first one of the second: %+v", len(rs), rs)
	}
	if r := rs[0]; !r.Ended || !r.Full || r.Digest != "sha256:ab" || r.Until != at+20*second || paths(r) != "bin/old" {
		t.Errorf("last report of the first life: %+v", r)
	}
	if r := rs[1]; r.Ended || !r.Full || r.Digest != "sha256:cd" || r.Started != at+21*second || r.Since != at+21*second || paths(r) != "bin/new" {
		t.Errorf("first report of the second life: %+v", r)
	}
	if s := tr.Stats(); s.Containers != 1 || s.Paths != 1 {
		t.Errorf("kept: %+v", s)
	}
}

func TestAContainerThatWasThereIsWatchedSinceTheWatchBegan(t *testing.T) {
	tr := New(Options{})
	c := web()
	c.CreatedTime = at - 100*second
	tr.Begin(at, []event.Kept{{Process: proc(10, c, "/bin/app")}, {Process: proc(11, nil, "/bin/host")}, {Process: &event.Process{PID: 12, Container: c, ExePath: "/bin/dead", ExitTime: 1}}})
	r := only(t, tr, at)
	if r.Since != at || r.Started != at-100*second || paths(r) != "bin/app" || r.Loads[0].First != at {
		t.Errorf("%+v", r)
	}
}

// Since is honest when the container's first events were not known to be its own.
func TestAContainerNamedLateIsWatchedSinceItWasNamed(t *testing.T) {
	tr := New(Options{})
	tr.Begin(at, nil)
	tr.Observe(ev(event.TypeExecve, at+9*second, proc(10, web(), "/bin/app")))
	if r := only(t, tr, at+9*second); r.Since != at+9*second || r.Started != at+5*second {
		t.Errorf("since %d, started %d", r.Since, r.Started)
	}
}

// The start that a runtime tells may come late, be that of an earlier life, or never
// come: a container whose set-up was seen is watched from its start all the same.
func TestAContainerWhoseSetUpWasSeenIsWatchedFromItsStart(t *testing.T) {
	for name, tc := range map[string]struct{ told, started, since int64 }{
		"never told":      {0, at + 9*second, at + 9*second},
		"an earlier life": {at - 50*second, at + 9*second, at + 9*second},
		"a moment before": {at + 8*second, at + 8*second, at + 8*second},
		"a moment after":  {at + 10*second, at + 10*second, at + 9*second},
	} {
		tr := New(Options{})
		tr.Begin(at, nil)
		early := &event.Container{ID: "c1", Unknown: "still being looked up"}
		p := proc(10, early, "/usr/bin/runc")
		p.Phase = event.PhaseInit
		tr.Observe(ev(event.TypeClone, at+9*second, p))
		late := web()
		late.CreatedTime = tc.told
		tr.Replace(early, late)
		if r := only(t, tr, at+20*second); r.Started != tc.started || r.Since != tc.since {
			t.Errorf("%s: started +%d, since +%d, want +%d, +%d", name, (r.Started-at)/second, (r.Since-at)/second, (tc.started-at)/second, (tc.since-at)/second)
		}
		// A loss moves the watch behind the start for good.
		tr.Loss(event.Loss{Hop: "sensor.kernel", Reason: "ring_full", Lane: event.LaneLoad, Count: 1, To: at + 30*second})
		if r := only(t, tr, at+30*second); r.Started != tc.started || r.Since != at+30*second {
			t.Errorf("%s: after a loss started %d, since %d", name, r.Started, r.Since)
		}
	}
}

func TestWhatIsNoLoad(t *testing.T) {
	tr := New(Options{})
	tr.Begin(at, nil)
	c := web()
	p := proc(10, c, "/bin/app")
	outside := loaded("/lib/out.so", at, p)
	outside.Flags = event.FlagPathPartial
	failed := ev(event.TypeExecve, at, proc(10, c, "/bin/absent"))
	failed.Flags, failed.Ret = event.FlagHasRet, -2
	memory := proc(10, c, "memfd:x")
	memory.ExeMemfd = true
	for _, e := range []*event.Event{outside, failed, ev(event.TypeExecve, at, memory), loaded("", at, p), loaded("/", at, p), loaded("…/cut.so", at, p), loaded("/h.so", at, proc(9, nil, "/bin/host")), ev(event.TypeOpenat, at, p)} {
		tr.Observe(e)
	}
	if r := only(t, tr, at); len(r.Loads) != 0 || !r.Full {
		t.Errorf("%+v", r)
	}
	if s := tr.Stats(); s.Outside != 4 {
		t.Errorf("%+v", s)
	}
}

func TestScripts(t *testing.T) {
	for _, tc := range []struct {
		name, exe, cwd, want string
		args                 []string
	}{
		{"/app/tool", "/usr/bin/python3.11", "/", "app/tool", []string{"/app/tool", "-v"}},
		{"/app/tool", "/usr/bin/python3.11", "/", "app/tool", []string{"-I", "/app/tool"}},
		{"./tool", "/bin/sh", "/app/x/", "app/x/tool", []string{"./tool"}},
		{"../tool", "/bin/sh", "/app/x/", "app/tool", []string{"../tool"}},
		{"/bin/sh", "/bin/busybox", "/", "", []string{"-c", "ls"}},
		{"/usr/bin/python3", "/usr/bin/python3.11", "/", "", []string{"/app/tool"}},
		{"/dev/fd/3", "/bin/sh", "/", "", []string{"/dev/fd/3"}},
		{"tool", "/bin/sh", "", "", []string{"tool"}},
	} {
		tr := New(Options{})
		tr.Begin(at, nil)
		p := proc(10, web(), tc.exe)
		p.Args, p.Cwd = tc.args, tc.cwd
		e := ev(event.TypeExecve, at, p)
		e.Raw = tc.name
		tr.Observe(e)
		want := strings.TrimPrefix(tc.exe, "/")
		if tc.want != "" {
			both := []string{tc.want, want}
			slices.Sort(both)
			want = strings.Join(both, " ")
		}
		if r := only(t, tr, at); paths(r) != want {
			t.Errorf("%s by %s with %q: %q, want %q", tc.name, tc.exe, tc.args, paths(r), want)
		}
	}
}

func TestLossesMoveTheWatch(t *testing.T) {
	tr := New(Options{})
	c := web()
	tr.Begin(at, []event.Kept{{Process: proc(10, c, "/bin/app")}})
	tr.Due(at)
	for _, l := range []event.Loss{
		{Hop: "sensor.kernel", Reason: "ring_full", Lane: event.LaneActivity, Count: 9, From: at, To: at + second},
		{Hop: "sensor.blind", Reason: "io_uring", Lane: event.LaneActivity, Count: 9, From: at, To: at + second},
	} {
		tr.Loss(l)
		none(t, tr, at+10*second)
	}
	for i, l := range []event.Loss{
		{Hop: "sensor.kernel", Reason: "ring_full", Lane: event.LaneLoad, Count: 3, To: at + 11*second},
		{Hop: "sensor.kernel", Reason: "nested_hook", Lane: event.LaneProcess, Count: 3, To: at + 22*second},
		{Hop: "sensor.kernel", Reason: "missed_hook", Lane: event.LaneActivity, Count: 3, To: at + 33*second},
	} {
		tr.Loss(l)
		r := only(t, tr, l.To)
		if r.Since != l.To || !strings.Contains(r.NotWatched, l.Reason) {
			t.Errorf("%d: %+v", i, r)
		}
	}
	// A container whose first events were held back while the loss was told.
	tr.Observe(ev(event.TypeExecve, at+30*second, proc(20, &event.Container{ID: "c2"}, "/bin/x")))
	if r := only(t, tr, at+40*second); r.Container != "c2" || r.Since != at+33*second || r.NotWatched == "" {
		t.Errorf("%+v", r)
	}
}

func TestBlindSpotsEndTheClaim(t *testing.T) {
	for want, change := range map[string]func(*event.Event){
		"32-bit":   func(e *event.Event) { e.Type, e.Flags = event.TypeOpen, event.FlagCompat },
		"io_uring": func(e *event.Event) { e.Type = event.TypeIoUringSetup },
	} {
		tr := New(Options{})
		c := web()
		tr.Begin(at, []event.Kept{{Process: proc(10, c, "/bin/app")}})
		tr.Due(at)
		e := ev(event.TypeOpen, at+second, proc(10, c, "/bin/app"))
		change(e)
		tr.Observe(ev(event.TypeOpen, at+second, proc(10, c, "/bin/app")))
		tr.Observe(e)
		if r := only(t, tr, at+10*second); r.Since != 0 || !strings.Contains(r.NotWatched, want) {
			t.Errorf("%s: %+v", want, r)
		}
	}
	tr := New(Options{NotWatched: "the trace holds no loads"})
	tr.Begin(at, []event.Kept{{Process: proc(10, web(), "/bin/app")}})
	if r := only(t, tr, at); r.Since != 0 || r.NotWatched != "the trace holds no loads" {
		t.Errorf("%+v", r)
	}
}

func TestMetadataThatComesLate(t *testing.T) {
	tr := New(Options{})
	tr.Begin(at, nil)
	unknown := &event.Container{ID: "c1", Unknown: "still being looked up"}
	tr.Observe(ev(event.TypeExecve, at, proc(10, unknown, "/bin/app")))
	if r := only(t, tr, at); r.Unknown != "still being looked up" || r.Workload != "container/c1" {
		t.Errorf("%+v", r)
	}
	tr.Replace(unknown, web())
	if r := only(t, tr, at+10*second); r.Unknown != "" || r.Image != "r.example/web:1" || r.Full || len(r.Loads) != 0 {
		t.Errorf("%+v", r)
	}
	tr.Replace(nil, web())
	tr.Replace(&event.Container{ID: "other"}, web())
	tr.Observe(ev(event.TypeExecve, at, proc(11, &event.Container{}, "/bin/app")))
	none(t, tr, at+20*second)
	if tr.Stats().Unnamed != 1 {
		t.Errorf("%+v", tr.Stats())
	}
}

func TestExitsThatWereLost(t *testing.T) {
	tr := New(Options{})
	c := web()
	tr.Begin(at, []event.Kept{{Process: proc(10, c, "/bin/app")}, {Process: proc(11, c, "/bin/app")}})
	tr.Due(at)
	tr.Prune(func(pid int32) bool { return pid == 11 })
	none(t, tr, at+30*second)
	if r := only(t, tr, at+FullEvery); r.PID != 11 || r.Ended {
		t.Errorf("%+v", r)
	}
	tr.Prune(func(int32) bool { return false })
	if r := only(t, tr, at+2*FullEvery); !r.Ended {
		t.Errorf("%+v", r)
	}
}

func TestBounds(t *testing.T) {
	tr := New(Options{Node: "n"})
	tr.Begin(at, nil)
	p := proc(10, web(), "/bin/app")
	for i := range MaxPaths + 10 {
		tr.Observe(loaded(fmt.Sprintf("/lib/%d.so", i), at, p))
	}
	rs := tr.Due(at)
	got := map[string]bool{}
	for _, r := range rs {
		if r.Full || r.Since != 0 || !strings.Contains(r.NotWatched, "8192") {
			t.Errorf("full %v, since %d, %q", r.Full, r.Since, r.NotWatched)
		}
		b, err := json.Marshal(r)
		if err != nil || len(b) > 1<<20 {
			t.Errorf("%d bytes, %v", len(b), err)
		}
		for _, l := range r.Loads {
			got[l.Path] = true
		}
	}
	if len(got) != MaxPaths || len(rs) < 2 {
		t.Errorf("%d files in %d reports", len(got), len(rs))
	}

	// The worst names there are: JSON writes each of their bytes as six.
	tr = New(Options{})
	tr.Begin(at, nil)
	bad := &event.Container{ID: strings.Repeat("c", maxID), Rootfs: strings.Repeat("\x01", 9000), Image: strings.Repeat("\xff", 9000), Unknown: strings.Repeat("\x02", 9000)}
	for i := range 300 {
		tr.Observe(loaded("/"+strings.Repeat("\x01", maxPath-9)+fmt.Sprint(i), at, proc(10, bad, "")))
	}
	rs = tr.Due(at)
	for _, r := range rs {
		if b, err := json.Marshal(r); err != nil || len(b) > 1<<20 {
			t.Errorf("%d bytes, %v", len(b), err)
		}
	}
	if len(rs) < 10 {
		t.Errorf("%d reports", len(rs))
	}

	tr = New(Options{})
	tr.Begin(at, nil)
	for i := range int32(MaxContainers + 5) {
		tr.Observe(ev(event.TypeExecve, at, proc(i+1, &event.Container{ID: fmt.Sprint("c", i)}, "/bin/app")))
	}
	if s := tr.Stats(); s.Containers != MaxContainers || s.Untracked != 5 {
		t.Errorf("%+v", s)
	}

	tr = New(Options{})
	tr.Begin(at, nil)
	for i := range 9 {
		for k := range MaxPaths {
			tr.Observe(loaded(fmt.Sprintf("/lib/%d.so", k), at, proc(int32(i+1), &event.Container{ID: fmt.Sprint("c", i)}, "/bin/app")))
		}
	}
	if s := tr.Stats(); s.Paths != MaxNodePaths {
		t.Errorf("%+v", s)
	}
	last := tr.Due(at)
	if r := last[len(last)-1]; r.Container != "c8" || r.Since != 0 || r.NotWatched == "" {
		t.Errorf("the container that found no room: %q %d %q", r.Container, r.Since, r.NotWatched)
	}
}

// TestReportsAddUp holds, for any sequence of events and questions, that the reports
// joined by path say what a plain model of the same events says, that each fits its
// bounds, and that asking more or less often changes nothing in the end.
func TestReportsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type step struct {
			what, box, pid, file int
			dt                   int64
			ask                  bool
		}
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{rapid.IntRange(0, 5).Draw(t, "what"), rapid.IntRange(0, 2).Draw(t, "box"), rapid.IntRange(1, 4).Draw(t, "pid"), rapid.IntRange(0, 6).Draw(t, "file"),
				rapid.Int64Range(0, 200*second).Draw(t, "dt"), rapid.Bool().Draw(t, "ask")}
		}), 1, 60).Draw(t, "steps")
		often, once := New(Options{}), New(Options{})
		often.Begin(at, nil)
		once.Begin(at, nil)
		type key struct{ box, path string }
		said := map[key]Load{}
		model := map[key]Load{}
		since := map[string]int64{}
		take := func(rs []Report) {
			for _, r := range rs {
				if r.Since > r.Until || r.Since == 0 {
					t.Fatalf("since %d until %d", r.Since, r.Until)
				}
				if !slices.IsSortedFunc(r.Loads, func(a, b Load) int { return strings.Compare(a.Path, b.Path) }) {
					t.Fatal("loads are not in order")
				}
				for _, l := range r.Loads {
					said[key{r.Container, l.Path}] = l
				}
				since[r.Container] = r.Since
			}
		}
		now := at
		boxes := []*event.Container{{ID: "a"}, {ID: "b"}, {ID: "c"}}
		for _, s := range steps {
			now += s.dt % second // containers do not end in between: what ends is told and forgotten
			c := boxes[s.box]
			// One process that stays keeps each container alive.
			for _, tr := range []*Tracker{often, once} {
				tr.Observe(ev(event.TypeClone, now, proc(int32(100+s.box), c, "")))
			}
			p := proc(int32(10*s.box+s.pid), c, fmt.Sprintf("/bin/%d", s.file))
			var e *event.Event
			switch s.what {
			case 0:
				e = ev(event.TypeExecve, now, p)
			case 1:
				e = ev(event.TypeProcexit, now, p)
			default:
				e = loaded(fmt.Sprintf("/bin/%d", s.file), now, p)
			}
			if s.what != 1 {
				k := key{c.ID, fmt.Sprintf("bin/%d", s.file)}
				l, ok := model[k]
				if !ok {
					l = Load{Path: k.path, First: now}
				}
				l.Last = now
				model[k] = l
			}
			often.Observe(e)
			once.Observe(e)
			if s.ask {
				take(often.Due(now))
			}
		}
		take(often.Due(now + 2*FullEvery))
		if !maps.Equal(said, model) {
			t.Fatalf("asked often: %v, want %v", said, model)
		}
		clear(said)
		take(once.Due(now + 2*FullEvery))
		if !maps.Equal(said, model) {
			t.Fatalf("asked once: %v, want %v", said, model)
		}
	})
}

// BenchmarkObserve is what the tracker costs for the events of which there are most.
func BenchmarkObserve(b *testing.B) {
	tr := New(Options{})
	tr.Begin(at, nil)
	p := proc(10, web(), "/bin/app")
	tr.Observe(ev(event.TypeExecve, at, p))
	e := ev(event.TypeOpenat, at, p)
	b.ReportAllocs()
	for b.Loop() {
		tr.Observe(e)
	}
}
