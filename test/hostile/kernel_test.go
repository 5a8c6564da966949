package hostile

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dockreeve/dockreeve/internal/sandbox"
	"github.com/dockreeve/dockreeve/test/need"
)

func box(t *testing.T, o sandbox.Options) *sandbox.Sandbox {
	t.Helper()
	need.Root(t)
	need.Command(t, need.Kernel, "runc")
	need.Command(t, need.Kernel, "busybox")
	b, err := sandbox.Create(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// A command line of 120 KiB and an environment of 1.5 MiB, in a real container, with names
// that try the terminal: the alert comes, attributed and bounded.
func TestHugeArgumentsInAContainer(t *testing.T) {
	b := box(t, sandbox.Options{Files: map[string]string{"/etc/shadow": "demo:*:1::::::\n"}})
	h := up(t, t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// The shell builds what would not fit its own command line.
	script := `x=a; while [ ${#x} -lt 120000 ]; do x=$x$x; done; x=$(printf %.120000s "$x"); n=0
while [ $n -lt 12 ]; do export BIG$n="$x"; n=$((n+1)); done
e=$(printf '\033]0;pwned\007\302\233\342\200\256\377'); exec cat /etc/shadow "/no/$e" "$x"`
	out, err := b.Exec(ctx, "/bin/sh", "-c", script)
	if !strings.Contains(out, "demo:") {
		t.Fatalf("the attack did not work: %v %.200s", err, out)
	}
	var id string
	until(t, "the alert", func() bool {
		for _, a := range h.alerts(t) {
			if a.RuleID == "credential-file-read" {
				id = a.ID
			}
		}
		return id != ""
	})
	for _, o := range []string{"text", "json"} {
		out, errs, _ := h.call(t, "alerts", "show", id, "-o", o)
		safe(t, "alerts show", out+errs)
		if len(out) > 1<<20 || !strings.Contains(out, b.Name[:12]) {
			t.Errorf("%d bytes, container %s: %.300s", len(out), b.Name[:12], out)
		}
	}
	if s := h.status(t); len(s.Losses) > 0 {
		t.Errorf("lost: %+v", s.Losses)
	}
}

// A ring that overflows, because the reader is held while the machine goes on: the
// loss is in status with its place and reason, and on the alert that follows.
func TestOverflowIsSeenEverywhere(t *testing.T) {
	rules, pull := trigger(t)
	h := up(t, t.TempDir(), "-r", rules)
	if err := h.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	name := filepath.Join(dir, strings.Repeat("x", 200))
	for range 60_000 { // 8 MiB of records, several times
		f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if err := h.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	until(t, "the loss in status", func() bool {
		for _, l := range h.status(t).Losses {
			if strings.HasPrefix(l.Hop, "sensor.") {
				return true
			}
		}
		return false
	})
	pull(1)
	until(t, "the alert says that it may be affected", func() bool {
		list := h.alerts(t)
		return len(list) == 1 && list[0].AffectedByLoss
	})
	if out, _, _ := h.call(t, "alerts", "list"); !strings.Contains(out, "LOST in 24 h") || !strings.Contains(out, "events were lost around it") {
		t.Errorf("alerts list hides the loss:\n%s", out)
	}
	if out, _, _ := h.call(t, "status"); !strings.Contains(out, "\nLOST ") {
		t.Errorf("status hides the loss:\n%s", out)
	}
}

// A rule triggered in a tight loop must not hide another one.
func TestAFloodOfOneAlertHidesNoOther(t *testing.T) {
	b := box(t, sandbox.Options{Files: map[string]string{"/etc/shadow": "demo:*:1::::::\n"}})
	rules, pull := trigger(t)
	h := up(t, t.TempDir(), "-r", rules)
	ctx, cancel := context.WithCancel(t.Context())
	flood, err := b.Start(ctx, "/bin/sh", "-c", "while :; do read x < /etc/shadow; done")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = flood.Wait() // killed
	})
	until(t, "the flood's alert", func() bool { return len(h.alerts(t)) > 0 })
	pull(1)
	until(t, "the other alert in the flood", func() bool {
		for _, a := range h.alerts(t) {
			if strings.Contains(a.RuleID, "Trigger opened") {
				return true
			}
		}
		return false
	})
}

// rss is a process's resident memory, KiB.
func (p *proc) rss(t *testing.T) (kib int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	if _, err := fmt.Sscan(after, &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}

// Containers that come and go leave nothing behind in the node's tables.
func TestContainersThatComeAndGo(t *testing.T) {
	box(t, sandbox.Options{})
	h := up(t, t.TempDir())
	const turns = 15
	before, known := h.rss(t), h.containers(t)
	for range turns {
		b, err := sandbox.Create(t.Context(), sandbox.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err = b.Exec(ctx, "/bin/sh", "-c", "n=0; while [ $n -lt 40 ]; do /bin/true; n=$((n+1)); done")
		cancel()
		if cerr := b.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
	}
	t.Logf("resident: %d KiB before, %d after", before, h.rss(t))
	if s := h.status(t); len(s.Losses) > 0 {
		t.Errorf("lost: %+v", s.Losses)
	}
	until(t, "the containers are forgotten", func() bool { return h.containers(t) < known+turns })
}

func (h *hub) containers(t *testing.T) (n int) {
	t.Helper()
	for _, node := range h.status(t).Nodes {
		if _, err := fmt.Sscan(node.Containers, &n); err != nil {
			t.Fatal(err)
		}
	}
	return n
}
