// Package hostile tries to break the built commands as a careless user, an attacker in
// a container and one on the network would, with real processes. What it holds: a
// clear error or a counted loss, never a crash, a hang or a silent gap.
package hostile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"
)

// bin is where TestMain builds the commands.
var bin string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (_ int, err error) {
	if bin, err = os.MkdirTemp("", "dockreeve-hostile-"); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(bin)) }()
	if err := os.Chmod(bin, 0o755); err != nil { // another user runs them too
		return 0, err
	}
	cmd := exec.Command("go", "build", "-o", bin, "./cmd/...")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// patience bounds every wait; nothing is judged by how long it took.
const patience = 20 * time.Second

// output may be read while a process writes it.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// proc is a command that runs.
type proc struct {
	*exec.Cmd
	out, err output
	ended    chan struct{}
	code     int
}

func start(t *testing.T, as *syscall.SysProcAttr, name string, args ...string) *proc {
	t.Helper()
	p := &proc{Cmd: exec.Command(filepath.Join(bin, name), args...), ended: make(chan struct{})}
	p.Stdout, p.Stderr, p.SysProcAttr = &p.out, &p.err, as
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.Wait() // the code says it
		p.code = p.ProcessState.ExitCode()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill() // gone already when all went well
		<-p.ended
	})
	return p
}

// end waits for the end and returns the exit code, -1 after a signal.
func (p *proc) end(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.code
	case <-time.After(patience):
		t.Fatalf("%v hangs\n%s\n%s", p.Args, p.out.String(), p.err.String())
		return 0
	}
}

// stop asks it to end, once, as an init system does.
func (p *proc) stop(t *testing.T) int {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	return p.end(t)
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("this did not come within %v: %s", patience, what)
		}
	}
}

// hub is a running `up`.
type hub struct {
	*proc
	state string
}

func up(t *testing.T, state string, args ...string) *hub {
	t.Helper()
	h := &hub{proc: start(t, nil, "dockreeve", append([]string{"up", "--listen", "127.0.0.1:0", "--state", state}, args...)...), state: state}
	until(t, "up greets: "+h.err.String(), func() bool {
		select {
		case <-h.ended:
			t.Fatalf("up ended with %d: %s", h.code, h.err.String())
		default:
		}
		_, err := os.Stat(filepath.Join(state, "token"))
		return err == nil && strings.Contains(h.out.String(), "this machine")
	})
	return h
}

// call runs a command of the client side against the hub.
func (h *hub) call(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return command(t, append(args, "--state", h.state)...)
}

func command(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "dockreeve"), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%v hangs\n%s\n%s", args, out.String(), errs.String())
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// status is what the tests read of `status -o json`.
type status struct {
	Watched struct {
		EventsLost string
	}
	Losses []struct {
		Hop, Reason, Count string
	}
	Hops []struct {
		Hop, In, Out, Lost string
	}
	NotAssessed []struct{ What, Reason, Remedy string }
	Nodes       []struct{ NotAssessed, Remedy, Lost, Containers string }
}

func (h *hub) status(t *testing.T) (s status) {
	t.Helper()
	out, errs, _ := h.call(t, "status", "-o", "json")
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("status: %v\n%s%s", err, out, errs)
	}
	return s
}

// alert is what the tests read of `alerts list -o json`.
type alert struct {
	ID             string `json:"id"`
	RuleID         string `json:"ruleId"`
	Count          string
	AffectedByLoss bool
	Summary        string
}

func (h *hub) alerts(t *testing.T) []alert {
	t.Helper()
	out, errs, _ := h.call(t, "alerts", "list", "-o", "json", "--limit", "5000")
	var list struct{ Alerts []alert }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("alerts: %v\n%s%s", err, out, errs)
	}
	return list.Alerts
}

// safe fails when text could steer a terminal.
func safe(t *testing.T, what, text string) {
	t.Helper()
	for i, r := range text {
		if r != '\n' && (unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)) {
			t.Errorf("%s prints %U raw: …%q", what, r, text[max(0, i-40):min(len(text), i+20)])
			return
		}
	}
}
