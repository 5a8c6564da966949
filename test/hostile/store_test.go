package hostile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dockreeve/dockreeve/test/need"
)

// trigger gives a rule file that fires on opens below a directory, and what opens: each
// call makes an alert of its own. The names hold no digits, which would be folded.
func trigger(t *testing.T) (rules string, pull func(n int)) {
	t.Helper()
	need.Root(t)
	dir := t.TempDir()
	rules = write(t, "trigger.yaml", "- rule: Trigger opened\n  desc: d\n  condition: evt.type in (open, openat, openat2) and fd.name startswith "+dir+"/\n  output: opened %fd.name\n  priority: ERROR\n")
	made := 0
	return rules, func(n int) {
		t.Helper()
		for range n {
			made++
			name := filepath.Join(dir, strings.Map(func(r rune) rune { return r - '0' + 'a' }, fmt.Sprint(made)))
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A disk that fills up under a running `up`: it says so, holds what it cannot store,
// and stores it when there is room again.
func TestFullDiskLosesNothing(t *testing.T) {
	rules, pull := trigger(t)
	state := t.TempDir()
	if err := syscall.Mount("tmpfs", state, "tmpfs", 0, "size=24m"); err != nil {
		need.Skip(t, need.Kernel, "cannot mount a small disk: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(state, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	h := up(t, state, "-r", rules)
	pull(5)
	until(t, "the first alerts", func() bool { return len(h.alerts(t)) == 5 })
	fill, err := os.Create(filepath.Join(state, "fill"))
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = fill.Write(block)
	}
	fill.Close()
	const more = 200
	pull(more)
	until(t, "status says that the disk is full", func() bool {
		for _, g := range h.status(t).NotAssessed {
			if strings.Contains(g.Reason, "is full: make room") {
				return true
			}
		}
		return false
	})
	if _, errs, code := h.call(t, "login"); code != 3 || !strings.Contains(errs, "make room") {
		t.Errorf("login on a full disk: %d %s", code, errs)
	}
	if err := os.Remove(fill.Name()); err != nil {
		t.Fatal(err)
	}
	until(t, "what was held is stored", func() bool { return len(h.alerts(t)) == 5+more })
	if s := h.status(t); len(s.Losses) > 0 {
		t.Errorf("losses: %+v", s.Losses)
	}
	if code := h.stop(t); code != 0 {
		t.Errorf("up ended with %d: %s", code, h.err.String())
	}
}

// kill -9 in a stream of findings: the file stays sound, and what was shown before is
// there after.
func TestKilledInMidStream(t *testing.T) {
	rules, pull := trigger(t)
	state := t.TempDir()
	h := up(t, state, "-r", rules)
	pull(600)
	until(t, "some of the stream is stored", func() bool { return len(h.alerts(t)) > 0 })
	shown := h.alerts(t)
	if err := h.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	h.end(t)
	h = up(t, state, "-r", rules)
	after := map[string]string{}
	for _, a := range h.alerts(t) {
		after[a.ID] = a.Count
	}
	for _, a := range shown {
		if after[a.ID] != a.Count {
			t.Fatalf("alert %s was shown with count %s and has %q after the restart", a.ID, a.Count, after[a.ID])
		}
	}
}

// The file goes away under the running program: nothing more is acknowledged into
// nowhere, and status says what to do.
func TestDatabaseRemovedUnderneath(t *testing.T) {
	need.Root(t) // a node that watches reports every second, so there is always something to store
	state := t.TempDir()
	h := up(t, state)
	if err := os.Remove(filepath.Join(state, "dockreeve.db")); err != nil {
		t.Fatal(err)
	}
	until(t, "status says that the file is gone", func() bool {
		out, errs, _ := h.call(t, "status")
		return strings.Contains(out+errs, "was removed or replaced")
	})
	if code := h.stop(t); code != 0 && code != 3 {
		t.Errorf("up ended with %d: %s", code, h.err.String())
	}
}

// What must not start says why, with what to do, and leaves the other alone.
func TestStartsThatMustFail(t *testing.T) {
	state := t.TempDir()
	tape := write(t, "t.ndjson", evilTrace(t))
	h := up(t, state, "--replay", tape)
	address, err := os.ReadFile(filepath.Join(state, "address"))
	if err != nil {
		t.Fatal(err)
	}
	taken := strings.TrimPrefix(strings.TrimSpace(string(address)), "http://")
	seen := t.TempDir()
	if err := os.WriteFile(filepath.Join(seen, "token"), []byte("dockreeve_x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "dockreeve.db"), []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ listen, state, says string }{
		{"127.0.0.1:0", state, "in use by process " + fmt.Sprint(h.Process.Pid)},
		{taken, t.TempDir(), "is another server running?"},
		{"0.0.0.0:0", t.TempDir(), "more than this machine"},
		{"127.0.0.1:0", seen, "can be read by others"},
		{"127.0.0.1:0", damaged, "database is damaged"},
		{"127.0.0.1:0", "/proc/nosuch", "/proc/nosuch"},
		{"127.0.0.1:0", tape, "not a directory"},
	} {
		p := start(t, nil, "dockreeve", "up", "--listen", x.listen, "--state", x.state, "--replay", tape)
		if code := p.end(t); code != 3 || !strings.Contains(p.err.String(), x.says) {
			t.Errorf("up on %s with %s: exit %d, want 3 saying %q: %s", x.listen, x.state, code, x.says, p.err.String())
		}
	}
	if _, errs, code := h.call(t, "login"); code != 0 {
		t.Errorf("the first one suffered: %d %s", code, errs)
	}
}

// An init system may change its mind at once.
func TestTerminatedWhileStarting(t *testing.T) {
	state := t.TempDir()
	for range 12 {
		p := start(t, nil, "dockreeve", "up", "--listen", "127.0.0.1:0", "--state", state)
		if code := p.stop(t); code > 0 || strings.Contains(p.err.String(), "goroutine ") {
			t.Errorf("exit %d: %s", code, p.err.String())
		}
	}
	up(t, state, "--replay", write(t, "t.ndjson", evilTrace(t)))
}

// Who may not watch the kernel is told why, and everything else works; and so it is in
// a pid namespace of one's own.
func TestNotWatchingSaysWhyAndGoesOn(t *testing.T) {
	need.Root(t)
	state := t.TempDir()
	for p := state; p != "/" && p != os.TempDir(); p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for name, x := range map[string]struct {
		as   *syscall.SysProcAttr
		says string
	}{
		"nobody":        {&syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}, "run as root"},
		"pid namespace": {&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}, "host"},
	} {
		dir := filepath.Join(state, strings.ReplaceAll(name, " ", "-"))
		p := start(t, x.as, "dockreeve", "up", "--listen", "127.0.0.1:0", "--state", dir)
		h := &hub{proc: p, state: dir}
		until(t, name+" is told why: "+p.err.String(), func() bool { return strings.Contains(p.out.String(), "NOT WATCHING this machine") })
		if !strings.Contains(p.out.String(), x.says) {
			t.Errorf("%s: want a remedy naming %q:\n%s", name, x.says, p.out.String())
		}
		until(t, "status says so too", func() bool {
			_, errs, code := h.call(t, "status")
			return code == 4 && strings.Contains(errs, "nothing is watched")
		})
		h.stop(t)
	}
	n := start(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}, "dockreeve-node")
	if code := n.end(t); code != 3 || !strings.Contains(n.err.String(), "run as root") {
		t.Errorf("dockreeve-node as nobody: %d %s", code, n.err.String())
	}
}
