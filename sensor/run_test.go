package sensor

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/test/need"
)

// everything is an interest in all the sensor supplies.
func everything() event.Interest {
	var i event.Interest
	i.Add(event.Need{Reason: "test", Types: event.AllTypes(), Opens: event.OpenReads | event.OpenWrites | event.OpenCreates | event.OpenFailures, Env: []string{"GREETING"}})
	return i
}

// seen collects clones of the events a test asks for.
type seen struct {
	mu     sync.Mutex
	more   *sync.Cond
	events []*event.Event
	losses []event.Loss
	want   func(*event.Event) bool
}

// watch runs a sensor until the test ends and keeps the events that want accepts.
func watch(t *testing.T, o Options, want func(*event.Event) bool) (*Sensor, *seen) {
	t.Helper()
	need.Root(t)
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	w := &seen{want: want}
	w.more = sync.NewCond(&w.mu)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- s.Run(ctx, Handler{
			Event: func(e *event.Event, _ *event.Facts) {
				w.mu.Lock()
				defer w.mu.Unlock()
				if w.want(e) && len(w.events) < 100000 {
					w.events = append(w.events, e.Clone())
					w.more.Broadcast()
				}
			},
			Loss: func(l event.Loss) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.losses = append(w.losses, l)
				w.more.Broadcast()
			},
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s, w
}

// find waits for an event that ok accepts and returns it.
func (w *seen) find(t *testing.T, what string, ok func(*event.Event) bool) *event.Event {
	t.Helper()
	var found *event.Event
	w.until(t, what, func() bool {
		i := slices.IndexFunc(w.events, ok)
		if i >= 0 {
			found = w.events[i]
		}
		return i >= 0
	})
	return found
}

// until waits until ok, called with the lock held, says true.
func (w *seen) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	defer context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.more.Broadcast()
	})()
	w.mu.Lock()
	defer w.mu.Unlock()
	for !ok() {
		if ctx.Err() != nil {
			for _, e := range w.events[max(0, len(w.events)-20):] {
				b := e.AppendJSON(nil)
				t.Logf("saw %s", b[:min(len(b), 1500)])
			}
			t.Fatalf("no %s among %d events", what, len(w.events))
		}
		w.more.Wait()
	}
}

// run runs a host command, which may fail.
func run(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		t.Fatal(err)
	}
	return string(out)
}

func TestLineage(t *testing.T) {
	_, w := watch(t, Options{Interest: everything()}, func(e *event.Event) bool { return e.Type != event.TypeOpenat })
	run(t, "/bin/sh", "-c", "GREETING=hello /bin/sh -c '/bin/echo marker-lineage; true'; true")
	e := w.find(t, "exec of echo", func(e *event.Event) bool {
		return e.Type == event.TypeExecve && slices.Contains(e.Process.Args, "marker-lineage")
	})
	p := e.Process
	if p.ExePath != "/usr/bin/echo" && p.ExePath != "/bin/echo" || p.Exe != "/bin/echo" || p.Comm != "echo" || p.Cmdline != "echo marker-lineage" {
		t.Errorf("echo: %+v", p)
	}
	if !slices.Equal(p.Env, []string{"GREETING=hello"}) {
		t.Errorf("environment %q", p.Env)
	}
	if !strings.HasSuffix(p.Cwd, "/sensor/") {
		t.Errorf("cwd %q", p.Cwd)
	}
	if p.User != "root" || p.Group != "root" || p.CapEffective == 0 {
		t.Errorf("ids: %+v", p)
	}
	if e.Container != nil {
		t.Errorf("the host's own process is in container %+v", e.Container)
	}
	sh := p.Parent
	if sh == nil || sh.Comm != "sh" || sh.Parent == nil || sh.Parent.Comm != "sh" || sh.Parent.Parent == nil {
		t.Fatalf("lineage of echo: %+v", sh)
	}
	if e.Time < time.Now().Add(-time.Minute).UnixNano() || e.Time > time.Now().UnixNano() {
		t.Errorf("time %d", e.Time)
	}
	x := w.find(t, "exit of echo", func(x *event.Event) bool { return x.Type == event.TypeProcexit && x.Process.PID == p.PID })
	if x.Process.ExitTime == 0 || x.Process.ExitCode != 0 {
		t.Errorf("exit: %+v", x.Process)
	}
}

// started is a program that waits for its standard input.
type started struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

func command(t *testing.T, argv ...string) *started {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // ends it
		_ = cmd.Wait() // its exit status says nothing
	})
	return &started{cmd, in}
}

// poke lets it go on one step.
func (s *started) poke(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(s.in, "go\n"); err != nil {
		t.Fatal(err)
	}
}

// TestIdsNeverComeAgainInOneBoot holds that a restart gives no id twice: the store
// counts an id once, so a repeated one would make a new finding vanish.
func TestIdsNeverComeAgainInOneBoot(t *testing.T) {
	ids := map[event.ID]bool{}
	for run := range 2 {
		t.Run("", func(t *testing.T) {
			_, w := watch(t, Options{}, func(e *event.Event) bool { return e.Type == event.TypeExecve })
			if out, err := exec.Command("/bin/true").CombinedOutput(); err != nil {
				t.Fatal(err, string(out))
			}
			w.find(t, "the exec", func(e *event.Event) bool { return strings.HasSuffix(e.Process.ExePath, "/true") })
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, e := range w.events {
				if ids[e.ID] {
					t.Errorf("run %d: id %v came before", run, e.ID)
				}
				ids[e.ID] = true
			}
		})
	}
}
