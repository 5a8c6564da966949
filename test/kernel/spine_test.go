// Package kernel tests the whole spine on a real kernel, with real containers: what the
// commands promise, and that a recording of a run gives the same findings again.
package kernel

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/agent/node"
	"github.com/dockreeve/dockreeve/detect"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/internal/sandbox"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/process"
	"github.com/dockreeve/dockreeve/test/need"
	"github.com/dockreeve/dockreeve/trace"
)

// build compiles a command of this module once per test binary.
func build(t *testing.T, name string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", "build", "-o", bin, "./cmd/"+name)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", name, err, out)
	}
	return bin
}

func needContainer(t *testing.T) {
	t.Helper()
	need.Root(t)
	need.Command(t, need.Kernel, "runc")
	need.Command(t, need.Kernel, "busybox")
}

// TestDemoAttackRaisesEveryAlert is the command a newcomer runs: three attacks in a
// real container, every expected alert through the API, or exit code 1.
func TestDemoAttackRaisesEveryAlert(t *testing.T) {
	needContainer(t)
	bin := build(t, "dockreeve")
	cmd := exec.Command(bin, "demo", "attack", "-o", "json", "--timeout", "30s")
	cmd.Env = append(os.Environ(), "DOCKREEVE_STATE="+t.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("demo attack: %v\n%s\n%s", err, stderr.String(), out)
	}
	var report struct {
		Alerts []struct {
			Rule  string
			Found bool
		}
		Missing []string
		Also    []struct{ Rule string }
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("the report is not JSON: %v\n%s", err, out)
	}
	want := []string{
		"shell-from-network-service", "drift", "ld-so-preload-write", "credential-file-read", "service-account-token-read",
		"metadata-service-by-hand", "reverse-shell", "download-to-shell",
	}
	var got []string
	for _, a := range report.Alerts {
		if a.Found {
			got = append(got, a.Rule)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || len(report.Missing) > 0 {
		t.Errorf("found %v, want %v; missing %v", got, want, report.Missing)
	}
	for _, a := range report.Also {
		if !slices.Contains(want, a.Rule) {
			t.Errorf("the attacks also raised %s, which none of them should", a.Rule)
		}
	}
}

// TestNodeAloneWritesNDJSON is the second door of the node.
func TestNodeAloneWritesNDJSON(t *testing.T) {
	needContainer(t)
	bin := build(t, "dockreeve-node")
	box, err := sandbox.Create(t.Context(), sandbox.Options{Files: map[string]string{"/etc/shadow": "demo:*:1::::::\n"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, "--name", "edge-1", "--status-every", "100ms")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(pipe)
	kinds := map[string]bool{}
	attacked := false
	for {
		var line struct {
			Kind string
			Data json.RawMessage
		}
		if err := dec.Decode(&line); err != nil {
			t.Fatalf("the stream ended before the finding: %v\n%s", err, stderr.String())
		}
		kinds[line.Kind] = true
		if line.Kind == "status" && !attacked {
			// The first status says that the sensor is attached.
			attacked = true
			if _, err := box.Exec(ctx, "/bin/cat", "/etc/shadow"); err != nil {
				t.Fatal(err)
			}
		}
		if line.Kind != "finding" {
			continue
		}
		var f finding.Finding
		if err := json.Unmarshal(line.Data, &f); err != nil {
			t.Fatal(err)
		}
		if f.Rule.ID != "credential-file-read" {
			t.Errorf("found %s: %s", f.Rule.ID, f.Summary)
			continue
		}
		if f.Subject.Node != "edge-1" || f.Subject.Container == nil || f.Subject.Container.ID != box.Name {
			t.Errorf("attributed to %+v %+v, want node edge-1 and container %s", f.Subject, f.Subject.Container, box.Name)
		}
		break
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for dec.More() {
		var rest json.RawMessage
		if err := dec.Decode(&rest); err != nil {
			t.Fatalf("the last line is torn: %v", err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("dockreeve-node did not end cleanly: %v\n%s", err, stderr.String())
	}
	if !kinds["rules"] || !kinds["status"] {
		t.Errorf("kinds seen: %v, want rules and status too", kinds)
	}
}

// memory keeps what a node sends.
type memory struct {
	mu    sync.Mutex
	found []finding.Finding
	seen  chan struct{}
}

func (m *memory) Send(_ context.Context, _ link.Lane, kind link.Kind, payload []byte) error {
	if kind != link.KindFinding {
		return nil
	}
	var f finding.Finding
	if err := json.Unmarshal(payload, &f); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.found = append(m.found, f)
	select {
	case m.seen <- struct{}{}:
	default:
	}
	return nil
}

func (m *memory) has(rule string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.found, func(f finding.Finding) bool { return f.Rule.ID == rule })
}

// TestReplayFindsWhatTheLiveRunFound holds law 5 on a real run: a node watches and
// records a container under attack; the recording, replayed, gives the same findings
// with the same ids, fingerprints, reasons and lineage.
func TestReplayFindsWhatTheLiveRunFound(t *testing.T) {
	needContainer(t)
	set, diags, err := node.RuleSet{}.Load()
	if err != nil || len(diags) > 0 {
		t.Fatal(err, diags)
	}
	box, err := sandbox.Create(t.Context(), sandbox.Options{Files: map[string]string{
		"/etc/shadow": "demo:*:1::::::\n", "/var/run/secrets/kubernetes.io/serviceaccount/token": "none",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	live := &memory{seen: make(chan struct{}, 1)}
	var rec bytes.Buffer
	n, err := node.New(node.Options{Name: "n", Rules: set, Sender: live, Record: &rec})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := n.Open(ctx); err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- n.Run(run) }()
	const script = "cat /etc/shadow; cat /var/run/secrets/kubernetes.io/serviceaccount/token; cp /bin/busybox /tmp/ls; /tmp/ls /; echo x >> /etc/ld.so.preload; echo done"
	out, err := box.Exec(ctx, "/bin/sh", "-c", script)
	if err != nil || !strings.Contains(out, "done") {
		t.Fatalf("attack: %v\n%s", err, out)
	}
	for !live.has("ld-so-preload-write") {
		select {
		case <-live.seen:
		case <-ctx.Done():
			t.Fatal("the last attack was not found within a minute")
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}

	r, err := trace.NewReader(&rec, trace.ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	engine := detect.New(detect.Options{Rules: set, Node: "n"})
	var again []finding.Finding
	err = trace.Replay(r, process.New(process.Options{}), func(rec *trace.Record) error {
		if rec.Loss != nil {
			engine.ObserveLoss(*rec.Loss)
		}
		if rec.Event != nil {
			engine.Observe(rec.Event, func(f *finding.Finding) { again = append(again, *f) })
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(live.found) < 4 || len(again) != len(live.found) {
		t.Fatalf("live found %d, replay %d", len(live.found), len(again))
	}
	for i := range again {
		a, b := encoded(t, &live.found[i]), encoded(t, &again[i])
		if a != b {
			t.Errorf("finding %d differs\nlive   %s\nreplay %s", i, a, b)
		}
	}
}

func encoded(t *testing.T, f *finding.Finding) string {
	t.Helper()
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
