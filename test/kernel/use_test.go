package kernel

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/internal/sandbox"
	"github.com/dockreeve/dockreeve/inuse"
	"github.com/dockreeve/dockreeve/process"
	"github.com/dockreeve/dockreeve/sensor"
	"github.com/dockreeve/dockreeve/test/need"
	"github.com/dockreeve/dockreeve/trace"
)

// useWatch is a sensor with a tracker behind it, and everything the tracker said.
type useWatch struct {
	mu     sync.Mutex
	more   *sync.Cond
	track  *inuse.Tracker
	said   map[string]*inuse.Report // by container, joined
	loads  map[string]int           // load events by path
	events map[event.Type]int
	ofHost int // loads without a container
	marks  int // execs with mark-flood among their arguments
	losses []event.Loss
	tape   *trace.Writer
	sensor *sensor.Sensor
	stop   func()
}

func useInterest() event.Interest {
	i := inuse.Interest()
	i.Merge(process.Interest())
	return i
}

// openUse opens the sensor; begin must follow.
func openUse(t *testing.T, o sensor.Options) *useWatch {
	t.Helper()
	needContainer(t)
	if o.Interest.Types.Empty() {
		o.Interest = useInterest()
	}
	s, err := sensor.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the sensor: %v", err)
		}
	})
	w := &useWatch{sensor: s, said: map[string]*inuse.Report{}, loads: map[string]int{}, events: map[event.Type]int{}}
	w.more = sync.NewCond(&w.mu)
	return w
}

// begin runs it until the test ends or stop is called; tape, which may be nil, gets a trace.
func (w *useWatch) begin(t *testing.T, tape io.Writer) {
	t.Helper()
	if tape != nil {
		var err error
		w.tape, err = trace.NewWriter(tape, trace.Header{Started: w.sensor.Since(), Loads: true}, w.sensor.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
	}
	w.track = inuse.New(inuse.Options{Node: "n"})
	w.track.Begin(w.sensor.Since(), w.sensor.Snapshot().Processes)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- w.sensor.Run(ctx, sensor.Handler{
			Event: func(e *event.Event, f *event.Facts) {
				w.mu.Lock()
				defer w.mu.Unlock()
				if w.tape != nil {
					w.note(t, w.tape.Event(e, f))
				}
				w.events[e.Type]++
				if e.Type == event.TypeLoad {
					w.loads[strings.Clone(e.Path)]++
					if e.Container == nil {
						w.ofHost++
					}
				}
				if e.Type == event.TypeExecve && slices.Contains(e.Process.Args, "mark-flood") {
					w.marks++
				}
				w.track.Observe(e)
				w.more.Broadcast()
			},
			Loss: func(l event.Loss) {
				w.mu.Lock()
				defer w.mu.Unlock()
				if w.tape != nil {
					w.note(t, w.tape.Loss(l))
				}
				w.losses = append(w.losses, l)
				w.track.Loss(l)
				w.more.Broadcast()
			},
			Replace: func(old, new *event.Container) {
				w.mu.Lock()
				defer w.mu.Unlock()
				if w.tape != nil {
					w.note(t, w.tape.Replace(old, new))
				}
				w.track.Replace(old, new)
			},
		})
	}()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(w.stop)
}

func (w *useWatch) note(t *testing.T, err error) {
	if err != nil {
		t.Errorf("record: %v", err)
	}
}

// join adds what the tracker says now to what it said before. The lock is held.
func (w *useWatch) join() {
	for _, r := range w.track.Rest() {
		joinUse(w.said, r)
	}
}

func joinUse(said map[string]*inuse.Report, r inuse.Report) {
	have := said[r.Container]
	all := map[string]inuse.Load{}
	if have != nil {
		for _, l := range have.Loads {
			all[l.Path] = l
		}
	}
	for _, l := range r.Loads {
		all[l.Path] = l
	}
	r.Loads = nil
	for _, p := range slices.Sorted(maps.Keys(all)) {
		r.Loads = append(r.Loads, all[p])
	}
	said[r.Container] = &r
}

// until waits until ok, given what is known of a container, says true.
func (w *useWatch) until(t *testing.T, container, what string, ok func(*inuse.Report) bool) *inuse.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	defer context.AfterFunc(ctx, func() { w.mu.Lock(); defer w.mu.Unlock(); w.more.Broadcast() })()
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		w.join()
		if r := w.said[container]; r != nil && ok(r) {
			c := *r
			c.Loads = slices.Clone(r.Loads)
			return &c
		}
		if ctx.Err() != nil {
			t.Fatalf("%s of container %.12s was not reported; known: %+v", what, container, w.said[container])
		}
		w.more.Wait()
	}
}

func (w *useWatch) path(t *testing.T, b *sandbox.Sandbox, path string) *inuse.Report {
	t.Helper()
	return w.until(t, b.Name, path, func(r *inuse.Report) bool { return loadOf(r, path) != nil })
}

func loadOf(r *inuse.Report, path string) *inuse.Load {
	i, ok := slices.BinarySearchFunc(r.Loads, path, func(l inuse.Load, p string) int { return strings.Compare(l.Path, p) })
	if !ok {
		return nil
	}
	return &r.Loads[i]
}

func pathsOf(r *inuse.Report) []string {
	var out []string
	for _, l := range r.Loads {
		out = append(out, l.Path)
	}
	return out
}

// python is the host's interpreter with what it needs to import some modules, for the
// root file system of a sandbox: path inside to path on the host.
func python(t *testing.T) map[string]string {
	t.Helper()
	const py = "/usr/bin/python3"
	if _, err := os.Stat(py); err != nil {
		need.Skip(t, need.Kernel, "the host has no "+py+" to put into a container")
	}
	real, err := filepath.EvalSymlinks(py)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"/usr/bin/python3": real}
	list := `import sys, json, ctypes, zlib, email.message, decimal, unittest.mock
for m in list(sys.modules.values()):
    f = getattr(m, "__file__", None)
    if f: print(f)
for l in open("/proc/self/maps"):
    f = l.split(None, 5)
    if len(f) == 6 and f[5].startswith("/"): print(f[5].strip())
`
	out, err := exec.CommandContext(t.Context(), py, "-I", "-S", "-B", "-c", list).Output()
	if err != nil {
		t.Fatalf("ask %s what it loads: %v", py, err)
	}
	for f := range strings.FieldsSeq(string(out)) {
		if at, err := filepath.EvalSymlinks(f); err == nil && f != real {
			files[f] = at
		}
	}
	// The dynamic loader and the libraries by the names the programs look them up by.
	objects := []string{real}
	for _, f := range files {
		if strings.Contains(f, ".so") {
			objects = append(objects, f)
		}
	}
	ldd, err := exec.CommandContext(t.Context(), "ldd", objects...).Output()
	if err != nil {
		need.Skip(t, need.Kernel, fmt.Sprintf("ldd: %v", err))
	}
	for f := range strings.FieldsSeq(string(ldd)) {
		if strings.HasPrefix(f, "/") && !strings.HasSuffix(f, ":") {
			files[f] = f
		}
	}
	return files
}

// mapped is what /proc/PID/maps says is mapped executable, without the leading slash:
// the oracle.
func mapped(t *testing.T, pid int) []string {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	set := map[string]bool{}
	for s := bufio.NewScanner(f); s.Scan(); {
		w := strings.Fields(s.Text())
		if len(w) >= 6 && strings.Contains(w[1], "x") && strings.HasPrefix(w[5], "/") {
			set[w[5][1:]] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// pidOf finds the process in a sandbox whose arguments hold a mark.
func pidOf(t *testing.T, mark string) int {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		b, _ := os.ReadFile(d) // it may have ended
		if bytes.Contains(b, []byte(mark)) && !bytes.HasPrefix(b, []byte("runc")) && !bytes.Contains(b, []byte("/runc\x00")) {
			var pid int
			if _, err := fmt.Sscanf(d, "/proc/%d/", &pid); err == nil && pid != os.Getpid() {
				return pid
			}
		}
	}
	t.Fatalf("no process with %q among its arguments", mark)
	return 0
}

// asleep starts a Python program in a sandbox that ends with waiting, and returns the
// files of its modules, by its own word, once it waits.
func asleep(t *testing.T, b *sandbox.Sandbox, mark, script string) (pid int, modules []string) {
	t.Helper()
	script += `
import sys
for m in list(sys.modules.values()):
    f = getattr(m, "__file__", None)
    if f and m.__spec__.origin != "frozen": print(f) # a frozen module is part of the program
print("waiting", "` + mark + `", flush=True)
sys.stdin.read()
`
	ctx, cancel := context.WithCancel(context.Background())
	cmd := b.Command(ctx, "/usr/bin/python3", "-I", "-S", "-B", "-c", script)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		cancel()
		_ = cmd.Wait()
	})
	s := bufio.NewScanner(out)
	for s.Scan() {
		if strings.HasPrefix(s.Text(), "waiting") {
			return pidOf(t, mark), modules
		}
		modules = append(modules, strings.TrimPrefix(s.Text(), "/"))
	}
	t.Fatalf("python ended early: %s", said.String())
	return 0, nil
}

// TestLoadsAreWhatIsMappedAndImported compares what is reported of a container with two
// oracles: the kernel's maps of the process, and the interpreter's own list of modules.
func TestLoadsAreWhatIsMappedAndImported(t *testing.T) {
	files := python(t)
	w := openUse(t, sensor.Options{})
	w.begin(t, nil)
	b, err := sandbox.Create(t.Context(), sandbox.Options{
		Image:    "registry.example/shop/web:1.2@sha256:" + strings.Repeat("ab", 32),
		Binaries: files,
		Annotations: map[string]string{
			"io.kubernetes.cri.container-name": "web", "io.kubernetes.cri.sandbox-name": "web-1", "io.kubernetes.cri.sandbox-namespace": "shop",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	pid, modules := asleep(t, b, "mark-maps", "import json, ctypes, zlib")
	want := append(mapped(t, pid), mapped(t, b.Pid)...)
	want = append(want, modules...)
	slices.Sort(want)
	want = slices.Compact(want)
	r := w.until(t, b.Name, "everything mapped and imported", func(r *inuse.Report) bool {
		return !slices.ContainsFunc(want, func(p string) bool { return loadOf(r, p) == nil })
	})
	if got := pathsOf(r); !slices.Equal(got, want) {
		t.Errorf("reported beyond what is mapped and imported: %q", slices.DeleteFunc(got, func(p string) bool { return slices.Contains(want, p) }))
	}
	if len(want) < 20 {
		t.Errorf("only %d files: %q", len(want), want)
	}
	if r.Image != "registry.example/shop/web:1.2@sha256:"+strings.Repeat("ab", 32) || r.Digest != "sha256:"+strings.Repeat("ab", 32) || r.Workload != "shop/pod/web-1" ||
		r.Name != "web" || r.Rootfs != b.Rootfs || r.PID != int32(b.Pid) || r.Runtime == "" || r.Unknown != "" {
		t.Errorf("identity: %+v", *r)
	}
	if r.NotWatched != "" || r.Since == 0 || r.Started == 0 || r.Since > r.Started || r.Since < w.sensor.Since() {
		t.Errorf("a container seen from its first process is watched since it started: since %d, started %d, sensor since %d, %q", r.Since, r.Started, w.sensor.Since(), r.NotWatched)
	}
	for _, l := range r.Loads {
		if l.Changed || l.First < r.Since || l.Last < l.First {
			t.Errorf("load %+v", l)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestLoadsFromBeforeTheWatch starts the container first: what is still mapped counts as
// loaded when the watch began.
func TestLoadsFromBeforeTheWatch(t *testing.T) {
	files := python(t)
	needContainer(t)
	b, err := sandbox.Create(t.Context(), sandbox.Options{Image: "example/before:1", Binaries: files})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	pid, _ := asleep(t, b, "mark-before", "import json, ctypes, zlib")
	want := mapped(t, pid)
	w := openUse(t, sensor.Options{})
	w.begin(t, nil)
	r := w.until(t, b.Name, "what is mapped", func(r *inuse.Report) bool {
		return !slices.ContainsFunc(want, func(p string) bool { return loadOf(r, p) == nil })
	})
	if r.Since != w.sensor.Since() || r.Started >= r.Since || r.NotWatched != "" {
		t.Errorf("since %d, want the start of the watch, %d; %q", r.Since, w.sensor.Since(), r.NotWatched)
	}
	for _, p := range want {
		if l := loadOf(r, p); l.First != r.Since {
			t.Errorf("%s was loaded before the watch began; first is %d, want %d", p, l.First, r.Since)
		}
	}
	if loadOf(r, "bin/busybox") == nil {
		t.Error("the program of the container's first process is not loaded")
	}
}

// TestLoadsByName goes through names: links, renames, scripts, files written in the
// container, files that are gone.
func TestLoadsByName(t *testing.T) {
	files := python(t)
	w := openUse(t, sensor.Options{})
	w.begin(t, nil)
	b, err := sandbox.Create(t.Context(), sandbox.Options{Binaries: files, Files: map[string]string{
		"/app/real.py": "x = 1\n", "/app/moves.py": "x = 1\n", "/app/readme.txt": "text\n", "/app/tool": "#!/usr/bin/python3 -ISB\nimport sys\n", "/app/run": "#!/bin/sh\n:\n",
		"/app/x.deps.json": "{}", "/app/y.json": "{}", "/app/UPPER.JAR": "x", "/app/gone.pyc": "x",
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	overlay := strings.Contains(mountOf(t, b.Rootfs), "overlay")
	for _, argv := range [][]string{
		{"/bin/sh", "-c", "cd /app && ln -s real.py link.py && cat link.py readme.txt x.deps.json y.json UPPER.JAR > /dev/null"},
		{"/bin/sh", "-c", "cat /app/moves.py > /dev/null; mv /app/moves.py /app/moved.py; cat /app/moved.py > /dev/null"},
		{"/bin/sh", "-c", "echo 'x = 2' > /app/written.py; cat /app/written.py > /dev/null; echo > /app/never.py"},
		{"/bin/sh", "-c", "exec 3< /app/gone.pyc; rm /app/gone.pyc"},
		{"/app/tool"},
		{"/bin/sh", "-c", "cd /app && exec ./run"},
		{"/bin/sh", "-c", "cp /bin/busybox /tmp/true && /tmp/true"},
		{"/bin/sh", "-c", "echo > /app/last.py; cat /app/last.py"},
	} {
		if _, err := b.Exec(t.Context(), argv...); err != nil {
			t.Fatal(err)
		}
	}
	r := w.path(t, b, "app/last.py")
	for _, p := range []string{"app/real.py", "app/x.deps.json", "app/UPPER.JAR", "app/moves.py", "app/moved.py", "app/written.py", "app/gone.pyc", "app/tool", "app/run", "tmp/true", "bin/busybox", "usr/bin/python3"} {
		l := loadOf(r, p)
		if l == nil {
			t.Errorf("%s is not among the loads", p)
			continue
		}
		if want := p == "app/written.py" || p == "tmp/true" || p == "app/moved.py" && l.Changed; overlay && l.Changed != want {
			t.Errorf("%s: changed %v, want %v", p, l.Changed, want)
		}
	}
	for _, p := range []string{"app/link.py", "app/readme.txt", "app/y.json", "app/never.py"} {
		if loadOf(r, p) != nil {
			t.Errorf("%s is among the loads", p)
		}
	}
	if t.Failed() {
		t.Logf("loads: %q", pathsOf(r))
	}
}

func mountOf(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == path {
			return f[2]
		}
	}
	return ""
}

// TestAMillionOpensAreOneLoad floods with opens of the same few files.
func TestAMillionOpensAreOneLoad(t *testing.T) {
	files := python(t)
	w := openUse(t, sensor.Options{Interest: inuse.Interest()})
	w.begin(t, nil)
	b, err := sandbox.Create(t.Context(), sandbox.Options{Binaries: files, Files: map[string]string{"/app/a.py": "x\n", "/app/b.so": "x\n", "/app/last.py": "x\n"}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	const script = "import os\nfor i in range(500000):\n for n in ('/app/a.py', '/app/b.so'):\n  os.close(os.open(n, os.O_RDONLY))\nopen('/app/last.py').close()"
	if _, err := b.Exec(t.Context(), "/usr/bin/python3", "-I", "-S", "-B", "-c", script); err != nil {
		t.Fatal(err)
	}
	w.path(t, b, "app/last.py")
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range []string{"/app/a.py", "/app/b.so", "/app/last.py"} {
		if w.loads[p] != 1 {
			t.Errorf("%s came %d times, want once", p, w.loads[p])
		}
	}
	for _, l := range w.losses {
		t.Errorf("lost: %+v", l)
	}
}

// TestTheHostAloneTellsNoLoads watches what the host's own processes load.
func TestTheHostAloneTellsNoLoads(t *testing.T) {
	w := openUse(t, sensor.Options{})
	w.begin(t, nil)
	own := filepath.Join(t.TempDir(), "own.py")
	if err := os.WriteFile(own, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if out, err := exec.CommandContext(t.Context(), "/bin/cat", own).CombinedOutput(); err != nil {
			t.Fatal(err, string(out))
		}
	}
	// What comes behind it has come when a container's load has.
	b, err := sandbox.Create(t.Context(), sandbox.Options{Files: map[string]string{"/app/last.py": "x"}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.Exec(t.Context(), "/bin/cat", "/app/last.py"); err != nil {
		t.Fatal(err)
	}
	w.path(t, b, "app/last.py")
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.loads[own] != 0 || w.ofHost != 0 {
		t.Errorf("%d loads of the host came, %d of them of our own file", w.ofHost, w.loads[own])
	}
}

// TestAFloodOfLoadsLosesNoExec loads thousands of files, each a new one, over the
// smallest ring there can be, with a known number of execs meanwhile.
func TestAFloodOfLoadsLosesNoExec(t *testing.T) {
	files := python(t)
	w := openUse(t, sensor.Options{LoadRing: os.Getpagesize()})
	w.begin(t, nil)
	b, err := sandbox.Create(t.Context(), sandbox.Options{Binaries: files})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	const flood = "import os\nfor i in range(5000):\n open('/tmp/f%d.py' % i, 'w').close()\nfor i in range(5000):\n open('/tmp/f%d.py' % i).close()"
	run, err := b.Start(t.Context(), "/usr/bin/python3", "-I", "-S", "-B", "-c", flood)
	if err != nil {
		t.Fatal(err)
	}
	const execs = 200
	if _, err := b.Exec(t.Context(), "/bin/sh", "-c", fmt.Sprintf("for i in $(seq %d); do /bin/true mark-flood; done", execs)); err != nil {
		t.Fatal(err)
	}
	if err := run.Wait(); err != nil {
		t.Fatal(err)
	}
	r := w.until(t, b.Name, "the loss of loads", func(r *inuse.Report) bool { return r.NotWatched != "" })
	w.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.marks != execs {
		t.Errorf("%d of %d execs came", w.marks, execs)
	}
	for _, l := range w.losses {
		if l.Lane != event.LaneLoad {
			t.Errorf("lost besides loads: %+v", l)
		}
	}
	if st := w.sensor.Stats(); st.Loads.RingFull == 0 || st.Process.RingFull+st.Activity.RingFull != 0 {
		t.Errorf("stats %+v", st)
	}
	t.Logf("loads %+v, told as %q", w.sensor.Stats().Loads, r.NotWatched)
}

// TestLostLoadsBreakTheWatchAndNothingElse stalls the reader until loads are lost: the
// container says so, its execs are all there, and what was lost is told when it is
// loaded again.
func TestLostLoadsBreakTheWatchAndNothingElse(t *testing.T) {
	files := python(t)
	w := openUse(t, sensor.Options{LoadRing: os.Getpagesize()})
	b, err := sandbox.Create(t.Context(), sandbox.Options{Binaries: files})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	const touch = "import os\nfor i in range(300):\n open('/tmp/f%d.py' % i, 'w').close()\n open('/tmp/f%d.py' % i).close()"
	if _, err := b.Exec(t.Context(), "/usr/bin/python3", "-I", "-S", "-B", "-c", touch); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if _, err := b.Exec(t.Context(), "/bin/true", fmt.Sprint("mark-", i)); err != nil {
			t.Fatal(err)
		}
	}
	w.begin(t, nil)
	r := w.until(t, b.Name, "the loss", func(r *inuse.Report) bool { return r.NotWatched != "" })
	if r.Since <= w.sensor.Since() || !strings.Contains(r.NotWatched, "lost") {
		t.Errorf("since %d (sensor %d): %q", r.Since, w.sensor.Since(), r.NotWatched)
	}
	w.mu.Lock()
	execs := w.events[event.TypeExecve]
	for _, l := range w.losses {
		if l.Lane != event.LaneLoad {
			t.Errorf("lost besides loads: %+v", l)
		}
	}
	w.mu.Unlock()
	if execs < 6 {
		t.Errorf("%d execs came, want those of the container", execs)
	}
	if loadOf(r, "tmp/f299.py") != nil {
		t.Skip("the last load was not lost: the ring is larger than a page here")
	}
	if _, err := b.Exec(t.Context(), "/bin/cat", "/tmp/f299.py"); err != nil {
		t.Fatal(err)
	}
	w.path(t, b, "tmp/f299.py")
}

// TestUseOfATraceIsThatOfTheRun records a run and asks a tracker behind the replay at
// the same moments: the same reports, byte for byte.
func TestUseOfATraceIsThatOfTheRun(t *testing.T) {
	files := python(t)
	needContainer(t)
	before, err := sandbox.Create(t.Context(), sandbox.Options{Image: "example/old:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	var tape bytes.Buffer
	w := openUse(t, sensor.Options{})
	w.begin(t, &tape)
	b, err := sandbox.Create(t.Context(), sandbox.Options{Image: "example/new:1", Binaries: files})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.Exec(t.Context(), "/usr/bin/python3", "-I", "-S", "-B", "-c", "import json; open('/tmp/last.py', 'w'); open('/tmp/last.py')"); err != nil {
		t.Fatal(err)
	}
	w.path(t, b, "tmp/last.py")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	w.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note(t, w.tape.Close("end"))
	live := lines(t, append(finish(w.track), slices.Collect(maps.Values(w.said))...))

	r, err := trace.NewReader(bytes.NewReader(tape.Bytes()), trace.ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	track := inuse.New(inuse.Options{Node: "n"})
	track.Begin(r.Header().Started, r.Snapshot().Processes)
	err = trace.Replay(r, process.New(process.Options{}), func(rec *trace.Record) error {
		switch {
		case rec.Event != nil:
			track.Observe(rec.Event)
		case rec.Loss != nil:
			track.Loss(*rec.Loss)
		case rec.Old != nil:
			track.Replace(rec.Old, rec.New)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	again := lines(t, finish(track))
	if !slices.Equal(live[:len(again)], again) {
		t.Errorf("live\n%s\nreplayed\n%s", strings.Join(live, "\n"), strings.Join(again, "\n"))
	}
	if len(again) < 2 {
		t.Errorf("only %d reports", len(again))
	}
}

// finish is everything a tracker knows, at a time that makes all of it due.
func finish(t *inuse.Tracker) []*inuse.Report {
	var out []*inuse.Report
	for _, r := range t.Due(1 << 62) {
		out = append(out, &r)
	}
	return out
}

func lines(t *testing.T, reports []*inuse.Report) []string {
	t.Helper()
	var out []string
	for _, r := range reports {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(errors.Join(err))
		}
		out = append(out, string(b))
	}
	return out
}

// TestTheNodeSaysWhatContainersUse is dockreeve-node as somebody runs it alone.
func TestTheNodeSaysWhatContainersUse(t *testing.T) {
	needContainer(t)
	bin := build(t, "dockreeve-node")
	cmd := exec.CommandContext(t.Context(), bin, "-name", "edge", "-status-every", "100ms")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}()
	s := bufio.NewScanner(out)
	s.Buffer(nil, 4<<20)
	next := func(what string, ok func(kind string, data []byte) bool) {
		t.Helper()
		for s.Scan() {
			var l struct {
				Kind string
				Data json.RawMessage
			}
			if err := json.Unmarshal(s.Bytes(), &l); err != nil {
				t.Fatal(err)
			}
			if ok(l.Kind, l.Data) {
				return
			}
		}
		t.Fatalf("the node ended without %s: %v", what, s.Err())
	}
	next("a status", func(kind string, _ []byte) bool { return kind == "status" })
	b, err := sandbox.Create(t.Context(), sandbox.Options{Image: "example/node:1", Files: map[string]string{"/app/a.py": "x"}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.Exec(t.Context(), "/bin/cat", "/app/a.py"); err != nil {
		t.Fatal(err)
	}
	next("a report of what was read", func(kind string, data []byte) bool {
		var r inuse.Report
		if kind != "use" {
			return false
		}
		if err := json.Unmarshal(data, &r); err != nil {
			t.Fatal(err)
		}
		return r.Container == b.Name && r.Node == "edge" && r.Image == "example/node:1" && loadOf(&r, "app/a.py") != nil
	})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	next("the last report", func(kind string, data []byte) bool {
		var r inuse.Report
		return kind == "use" && json.Unmarshal(data, &r) == nil && r.Container == b.Name && r.Ended && r.Full && loadOf(&r, "app/a.py") != nil && loadOf(&r, "bin/busybox") != nil
	})
}
