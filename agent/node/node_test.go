package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inuse"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/process"
	"github.com/dockreeve/dockreeve/sensor"
	"github.com/dockreeve/dockreeve/test/scenario"
	"github.com/dockreeve/dockreeve/trace"
)

// outbox keeps what a node sends; full makes it fail as a broken link does.
type outbox struct {
	mu   sync.Mutex
	sent []link.Envelope
	full error
	got  chan struct{}
}

func (o *outbox) Send(_ context.Context, lane link.Lane, kind link.Kind, payload []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.full != nil && kind == link.KindFinding {
		return o.full
	}
	o.sent = append(o.sent, link.Envelope{Lane: lane, Kind: kind, Bytes: bytes.Clone(payload)})
	if o.got != nil {
		select {
		case o.got <- struct{}{}:
		default:
		}
	}
	return nil
}

func (o *outbox) kinds() map[link.Kind]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := map[link.Kind]int{}
	for _, e := range o.sent {
		m[e.Kind]++
	}
	return m
}

func (o *outbox) status(t *testing.T) link.Status {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	var last link.Status
	for _, e := range o.sent {
		if e.Kind == link.KindStatus {
			if err := json.Unmarshal(e.Bytes, &last); err != nil {
				t.Fatal(err)
			}
		}
	}
	return last
}

const story = `scenario: a shell, and a gap
  container web image=docker.io/library/nginx:1.27
  process 100 nginx /usr/sbin/nginx in=web
  fork 100 101
  loss ring_full 12
  exec 101 /bin/sh -c id
`

func traceFile(t *testing.T) string {
	t.Helper()
	list, err := scenario.Parse("story", []byte(story))
	if err != nil {
		t.Fatal(err)
	}
	tape, err := list[0].Tell()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := tape.WriteTrace(&b, "edge"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "t.ndjson")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func newNode(t *testing.T, o *outbox, replay string) *Node {
	t.Helper()
	set, diags, err := RuleSet{}.Load()
	if err != nil || len(diags) > 0 {
		t.Fatal(err, diags)
	}
	n, err := New(Options{Name: "edge", Rules: set, Sender: o, Replay: replay})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAReplaySendsRulesStatusFindingsAndLosses(t *testing.T) {
	o := &outbox{}
	if err := newNode(t, o, traceFile(t)).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	k := o.kinds()
	if k[link.KindRules] != 1 || k[link.KindStatus] < 2 || k[link.KindFinding] != 1 || k[link.KindLoss] != 1 {
		t.Fatalf("sent %v, want the rules, a status at each end, one finding and one loss", k)
	}
	for _, e := range o.sent {
		if e.Kind != link.KindFinding {
			continue
		}
		var f finding.Finding
		if err := json.Unmarshal(e.Bytes, &f); err != nil {
			t.Fatal(err)
		}
		if e.Lane != link.LaneAlert || f.Rule.ID != "shell-from-network-service" || f.Subject.Node != "edge" {
			t.Errorf("lane %v: %+v", e.Lane, f.Subject)
		}
		if len(f.Losses) != 1 || f.Losses[0].Count != 12 {
			t.Errorf("the finding names losses %+v, want the 12 just before it", f.Losses)
		}
	}
	st := o.status(t)
	if st.Mode != link.ModeReplay || st.Events != 2 || st.Lost != 12 || st.Since == 0 || st.RulesWatching == 0 {
		t.Errorf("status %+v", st)
	}
	if len(st.Gaps) != 1 || !strings.Contains(st.Gaps[0].Reason, "a trace of edge") {
		t.Errorf("gaps %+v, want that this machine is not watched", st.Gaps)
	}
}

// TestANodeThatCannotDeliverStops holds that a node never looks as if it watched
// while what it finds goes nowhere.
func TestANodeThatCannotDeliverStops(t *testing.T) {
	broken := errors.New("the disk is gone")
	err := newNode(t, &outbox{full: broken}, traceFile(t)).Run(t.Context())
	if !errors.Is(err, broken) {
		t.Fatalf("got %v, want the link's error", err)
	}
}

func TestABlindNodeSaysWhyAsLongAsItLives(t *testing.T) {
	o := &outbox{got: make(chan struct{}, 1)}
	n := newNode(t, o, "")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- n.RunBlind(ctx, &sensor.Unsupported{Check: "capabilities", Why: "not root", Remedy: "run as root", Err: errors.New("EPERM")})
	}()
	<-o.got
	for o.kinds()[link.KindStatus] == 0 {
		<-o.got
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	st := o.status(t)
	if st.NotAssessed != "not root: EPERM" || st.Remedy != "run as root" || st.Since != 0 {
		t.Errorf("status %+v", st)
	}
}

// A trace that holds loads is reported as the run would have been; one that does not
// still says where images run, and that their use was not watched.
func TestAReplaySendsWhatContainersUse(t *testing.T) {
	for _, loads := range []bool{true, false} {
		c := &event.Container{ID: "c1", Name: "web", Image: "r.example/web:1", ImageDigest: "sha256:ab", CreatedTime: 500}
		var b bytes.Buffer
		w, err := trace.NewWriter(&b, trace.Header{Started: 1000, Loads: loads}, process.Snapshot{
			Processes: []event.Kept{{Process: &event.Process{PID: 5, Start: 7, ExePath: "/bin/app", Comm: "app", Container: c}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		e := &event.Event{ID: event.ID{Node: 1, Boot: 1, Lane: event.LaneLoad, Seq: 1}, Type: event.TypeLoad, Time: 2000, Boot: 1, Path: "/lib/libz.so", FDKind: event.FDFile, FD: -1, Flags: event.FlagMapped}
		if err := errors.Join(w.Event(e, &event.Facts{PID: 5, Start: 7, HasContainer: true, Container: c}), w.Close("end")); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "loads.ndjson")
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		o := &outbox{}
		if err := newNode(t, o, path).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []inuse.Report
		for _, s := range o.sent {
			if s.Kind == link.KindUse {
				var r inuse.Report
				if err := json.Unmarshal(s.Bytes, &r); err != nil || s.Lane != link.LaneEvent {
					t.Fatalf("lane %v, %v", s.Lane, err)
				}
				got = append(got, r)
			}
		}
		if len(got) != 1 || got[0].Node != "edge" || got[0].Container != "c1" || got[0].Digest != "sha256:ab" || got[0].Workload != "container/web" {
			t.Fatalf("loads %v: reports %+v", loads, got)
		}
		want := []inuse.Load{{Path: "bin/app", First: 1000, Last: 1000}, {Path: "lib/libz.so", First: 2000, Last: 2000}}
		if r := got[0]; loads && (r.Since != 1000 || r.NotWatched != "" || !slices.Equal(r.Loads, want)) || !loads && (r.Since != 0 || r.NotWatched != "the trace holds no loads") {
			t.Errorf("loads %v: %+v", loads, r)
		}
		if st := o.status(t); st.Events != 0 {
			t.Errorf("%d events were counted; no rule sees loads", st.Events)
		}
	}
}

func TestABadTraceNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bad.ndjson")
	if err := os.WriteFile(path, []byte("not a trace\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, path + ".missing"} {
		if err := newNode(t, &outbox{}, p).Run(t.Context()); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("got %v, want an error that names %s", err, p)
		}
	}
}

func TestAFindingAlwaysFitsAnEnvelope(t *testing.T) {
	f := &finding.Finding{ID: "x", Event: json.RawMessage(`"` + strings.Repeat("e", 900<<10) + `"`)}
	for range 20 {
		f.Lineage = append(f.Lineage, finding.Process{Cmdline: strings.Repeat("a", 64<<10)})
	}
	b, err := encode(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > link.MaxBytes {
		t.Errorf("%d bytes, an envelope takes %d", len(b), link.MaxBytes)
	}
	if !bytes.Contains(b, []byte("omitted")) {
		t.Error("what was left out is not said")
	}
}

func TestNDJSONRefusesWhatIsNoJSONAndReportsABrokenPipe(t *testing.T) {
	var b bytes.Buffer
	n := NewNDJSON(&b)
	if err := n.Send(t.Context(), link.LaneAlert, link.KindFinding, []byte(`{"a":1}`)); err != nil || b.String() != "{\"kind\":\"finding\",\"data\":{\"a\":1}}\n" {
		t.Errorf("wrote %q, %v", b.String(), err)
	}
	if err := n.Send(t.Context(), link.LaneAlert, link.KindFinding, []byte(`{`)); err == nil {
		t.Error("a torn payload was written")
	}
	if err := NewNDJSON(broken{}).Send(t.Context(), link.LaneAlert, link.KindFinding, []byte(`{}`)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want the writer's error", err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, os.ErrClosed }
