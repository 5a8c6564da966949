package sensor

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/internal/sandbox"
	"github.com/dockreeve/dockreeve/process"
	"github.com/dockreeve/dockreeve/test/need"
	"github.com/dockreeve/dockreeve/trace"
)

// TestReplayIsLive records a container's life as a trace and replays it: every
// event must come out with the same process, lineage and container.
func TestReplayIsLive(t *testing.T) {
	need.Root(t)
	s, err := Open(t.Context(), Options{Interest: everything()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var tape bytes.Buffer
	w, err := trace.NewWriter(&tape, trace.Header{Kernel: Look().Release}, s.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	var live []string
	done := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	errs := make(chan error, 1)
	go func() {
		var bad error
		seen := false
		note := func(err error) {
			if bad == nil {
				bad = err
			}
		}
		err := s.Run(ctx, Handler{
			Event: func(e *event.Event, f *event.Facts) {
				note(w.Event(e, f))
				live = append(live, string(e.AppendJSON(nil)))
				if !seen && e.Type == event.TypeProcexit && slices.Contains(e.Process.Args, "marker-replay") {
					seen = true
					close(done)
				}
			},
			Loss:    func(l event.Loss) { note(w.Loss(l)) },
			Replace: func(o, n *event.Container) { note(w.Replace(o, n)) },
		})
		note(err)
		note(w.Close("end"))
		errs <- bad
	}()
	b := box(t, sandbox.Options{Image: "example/replay:1"})
	if _, err := b.Exec(t.Context(), "/bin/sh", "-c", "cat /etc/passwd | grep root > /tmp/x; /bin/echo marker-replay"); err != nil {
		t.Fatal(err)
	}
	run(t, "/bin/sh", "-c", "/bin/true; /bin/echo marker-replay")
	<-done
	stop()
	if err := <-errs; err != nil {
		t.Fatal(err)
	}
	r, err := trace.NewReader(&tape, trace.ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = trace.Replay(r, process.New(process.Options{}), func(rec *trace.Record) error {
		if rec.Event == nil {
			return nil
		}
		got := string(rec.Event.AppendJSON(nil))
		if n >= len(live) || got != live[n] {
			return fmt.Errorf("event %d\nlive   %s\nreplay %s", n, live[min(n, len(live)-1)], got)
		}
		n++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n != len(live) || n == 0 {
		t.Errorf("%d events replayed of %d", n, len(live))
	}
}

// TestHealing stalls the reader until process records are lost, and wants what
// still runs to be rebuilt and the loss to be said.
func TestHealing(t *testing.T) {
	need.Root(t)
	s, err := Open(t.Context(), Options{Interest: everything(), ProcessRing: os.Getpagesize()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	// Nobody reads yet: the process ring fills, and the last of these is lost.
	var last string
	for i := range 40 {
		last = fmt.Sprintf("marker-stall-%d", i)
		run(t, "/bin/true", last)
	}
	healed := make(chan *event.Event, 1)
	var lost uint64
	flagged := false
	var wrong []string
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	dir := t.TempDir()
	// It starts unseen, and does something only when it is told to.
	cat := command(t, "/bin/sh", "-c", "read x; read y < "+dir+"/poked; read z", "marker-heal")
	if err := os.WriteFile(dir+"/poked", []byte("y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 1)
	go func() {
		errs <- s.Run(ctx, Handler{
			Event: func(e *event.Event, _ *event.Facts) {
				if e.Flags&event.FlagHealed != 0 && slices.Contains(e.Process.Args, "marker-heal") {
					flagged = true
					var st unix.Stat_t
					if e.FDKind == event.FDFile && e.Ret >= 0 && (unix.Stat(e.Path, &st) != nil || st.Ino != e.Ino) {
						wrong = append(wrong, e.Type.String()+" "+e.Path)
					}
				}
				if strings.HasSuffix(e.Path, "/poked") && e.Process.Comm == "sh" && len(healed) == 0 {
					healed <- e.Clone()
				}
			},
			Loss: func(l event.Loss) {
				if l.Lane == event.LaneProcess && l.Reason == "ring_full" {
					lost += l.Count
				}
			},
		})
	}()
	cat.poke(t)
	e := <-healed
	stop()
	if err := <-errs; err != nil {
		t.Fatal(err)
	}
	if !flagged || !e.Process.Seeded || !e.Process.ArgsUser || !slices.Contains(e.Process.Args, "marker-heal") || e.Process.Parent == nil {
		t.Errorf("not healed: %s", e.AppendJSON(nil))
	}
	if len(wrong) > 0 {
		t.Errorf("healing spoilt the paths of the events it healed: %q", wrong)
	}
	if lost == 0 || s.Stats().Healed == 0 || s.Stats().Process.RingFull != lost {
		t.Errorf("lost %d, stats %+v", lost, s.Stats())
	}
}
