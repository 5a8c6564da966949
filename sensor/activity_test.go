package sensor

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockreeve/dockreeve/event"
)

// spawn runs this binary as a watched process and returns its pid.
func spawn(t *testing.T, what string, args ...string) int32 {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), childEnv+"="+what)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("child %s: %v: %s", what, err, out)
	}
	return int32(cmd.Process.Pid)
}

func TestOpens(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, w := watch(t, Options{Interest: everything()}, func(e *event.Event) bool {
		return strings.HasPrefix(e.Path, dir) || e.Type == event.TypeProcexit
	})
	pid := spawn(t, "open", dir)
	w.find(t, "exit", func(e *event.Event) bool { return e.Type == event.TypeProcexit && e.Process.PID == pid })
	for _, tc := range []struct {
		what    string
		typ     event.Type
		path    string
		raw     string
		access  uint32
		flags   event.Flags
		without event.Flags
		mode    uint32
		ret     int64
	}{
		{what: "create", typ: event.TypeOpenat, path: "created", access: unix.O_WRONLY | unix.O_CREAT, flags: event.FlagCreated, without: event.FlagUserMemory, mode: 0o640},
		{what: "read", typ: event.TypeOpenat, path: "there", access: unix.O_RDONLY | unix.O_NOFOLLOW, without: event.FlagCreated},
		{what: "write", typ: event.TypeOpenat, path: "there", access: unix.O_WRONLY | unix.O_APPEND, without: event.FlagCreated},
		{what: "read and write", typ: event.TypeOpenat, path: "there", access: unix.O_RDWR | unix.O_SYNC, without: event.FlagCreated},
		{what: "through a link", typ: event.TypeOpenat, path: "there", raw: filepath.Join(dir, "link")},
		{what: "relative", typ: event.TypeOpenat, path: "sub/rel", raw: "./../sub//deep/../rel", access: unix.O_EXCL, flags: event.FlagCreated},
		{what: "openat2", typ: event.TypeOpenat2, path: "sub/deep/two", raw: "two", access: unix.O_RDWR | unix.O_CREAT, flags: event.FlagCreated, mode: 0o600},
		{what: "failed, absolute", typ: event.TypeOpenat, path: "absent-abs", flags: event.FlagUserMemory, ret: -2},
		{what: "failed, relative", typ: event.TypeOpenat, path: "absent-rel", raw: "../absent-rel", flags: event.FlagUserMemory, without: event.FlagPathPartial, ret: -2},
		{what: "failed, at a descriptor", typ: event.TypeOpenat, path: "sub/deep/absent-at", raw: "absent-at", flags: event.FlagUserMemory, without: event.FlagPathPartial, ret: -2},
		{what: "creat", typ: event.TypeCreat, path: "old", access: unix.O_CREAT | unix.O_WRONLY | unix.O_TRUNC, flags: event.FlagCreated, mode: 0o600},
	} {
		if _, ok := sysCreat(); !ok && tc.typ == event.TypeCreat {
			continue
		}
		ok := slices.ContainsFunc(w.events, func(e *event.Event) bool {
			var st unix.Stat_t
			ino := e.Ret < 0 || unix.Stat(e.Path, &st) == nil && st.Ino == e.Ino
			return e.Process.PID == pid && e.Type == tc.typ && e.Path == filepath.Join(dir, tc.path) && (tc.raw == "" || e.Raw == tc.raw) &&
				e.OpenFlags&tc.access == tc.access && (tc.raw != "" || e.OpenFlags&3 == tc.access&3) && e.Flags&tc.flags == tc.flags && e.Flags&tc.without == 0 &&
				(tc.mode == 0 || e.Mode == tc.mode) && (tc.ret == 0 && e.Ret >= 0 && e.FD == e.Ret || e.Ret == tc.ret && tc.ret != 0) && ino
		})
		if !ok {
			t.Errorf("%s: not among the events", tc.what)
		}
	}
	if t.Failed() {
		for _, e := range w.events {
			if e.Process.PID == pid {
				e.Process = nil
				t.Logf("%s", e.AppendJSON(nil))
			}
		}
	}
}

func TestOpenInterest(t *testing.T) {
	dir := t.TempDir()
	var i event.Interest
	i.Add(event.Need{Reason: "test", Types: event.NewTypeSet(event.TypeOpenat), Opens: event.OpenCreates})
	s, w := watch(t, Options{Interest: i}, func(e *event.Event) bool {
		return e.Type != event.TypeClone && e.Type != event.TypeExecve
	})
	pid := spawn(t, "open", dir)
	w.find(t, "exit", func(e *event.Event) bool { return e.Type == event.TypeProcexit && e.Process.PID == pid })
	mine := 0
	for _, e := range w.events {
		if e.Process.PID != pid || e.Type == event.TypeProcexit {
			continue
		}
		mine++
		if e.Type != event.TypeOpenat || e.Flags&event.FlagCreated == 0 {
			t.Errorf("%s %s came though only creating opens were asked for", e.Type, e.Path)
		}
	}
	if mine == 0 {
		t.Error("no creating open came")
	}
	if err := s.SetInterest(event.Interest{}); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.events = nil
	w.mu.Unlock()
	pid = spawn(t, "open", t.TempDir())
	w.find(t, "exit", func(e *event.Event) bool { return e.Type == event.TypeProcexit && e.Process.PID == pid })
	for _, e := range w.events {
		if e.Process.PID == pid && e.Type != event.TypeProcexit {
			t.Errorf("%s %s came though nothing was asked for", e.Type, e.Path)
		}
	}
}

func TestConnects(t *testing.T) {
	dir := t.TempDir()
	var addrs []string
	for _, l := range [][2]string{{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}, {"unix", filepath.Join(dir, "sock")}} {
		ln, err := net.Listen(l[0], l[1])
		if err != nil {
			t.Skipf("listen on %v: %v", l, err)
		}
		defer ln.Close()
		addrs = append(addrs, ln.Addr().String())
	}
	_, w := watch(t, Options{Interest: everything()}, func(e *event.Event) bool {
		return e.Type == event.TypeConnect || e.Type == event.TypeProcexit
	})
	pid := spawn(t, "connect", addrs...)
	w.find(t, "exit", func(e *event.Event) bool { return e.Type == event.TypeProcexit && e.Process.PID == pid })
	has := func(what string, ok func(*event.Event) bool) {
		if !slices.ContainsFunc(w.events, func(e *event.Event) bool {
			return e.Process.PID == pid && e.Type == event.TypeConnect && ok(e)
		}) {
			t.Errorf("%s: not among the events", what)
		}
	}
	tcp := func(kind event.FDKind, addr string) func(*event.Event) bool {
		return func(e *event.Event) bool {
			// Go connects without blocking: EINPROGRESS, with both ends in the socket.
			return e.FDKind == kind && e.L4 == event.L4TCP && e.Role == event.RoleClient && e.Server.String() == addr &&
				e.Client.Port() != 0 && e.Flags&event.FlagUserMemory == 0 && e.Ret == -int64(unix.EINPROGRESS)
		}
	}
	has("tcp4", tcp(event.FDIPv4, addrs[0]))
	has("tcp6", tcp(event.FDIPv6, addrs[1]))
	has("unix", func(e *event.Event) bool {
		return e.FDKind == event.FDUnix && e.SockPath == addrs[2] && e.Flags&event.FlagUserMemory == 0 && e.Ret == 0
	})
	has("udp", func(e *event.Event) bool {
		return e.L4 == event.L4UDP && e.Server.String() == "127.0.0.9:5353" && e.Ret == 0
	})
	has("refused", func(e *event.Event) bool {
		return e.L4 == event.L4TCP && e.Server.String() == "127.0.0.11:1" && e.Ret == -int64(unix.ECONNREFUSED)
	})
	has("refused abstract unix", func(e *event.Event) bool {
		return e.SockPath == "@absent" && e.Flags&event.FlagUserMemory != 0 && e.Ret == -int64(unix.ECONNREFUSED)
	})
	if t.Failed() {
		for _, e := range w.events {
			if e.Process.PID == pid {
				e.Process = nil
				t.Logf("%s", e.AppendJSON(nil))
			}
		}
	}
}

func TestDups(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, w := watch(t, Options{Interest: everything()}, func(e *event.Event) bool {
		return e.Type == event.TypeDup2 || e.Type == event.TypeDup3 || e.Type == event.TypeExecve
	})
	pid := spawn(t, "dup", ln.Addr().String())
	x := w.find(t, "exec after the dups", func(e *event.Event) bool {
		return e.Type == event.TypeExecve && e.Process.PID == pid && slices.Contains(e.Process.Args, "marker-dup")
	})
	for fd, s := range x.Process.Stdio {
		if s.Kind != event.FDIPv4 || s.Remote.String() != ln.Addr().String() || s.Ino == 0 {
			t.Errorf("stream %d of the exec: %+v", fd, s)
		}
		if !slices.ContainsFunc(w.events, func(e *event.Event) bool {
			return e.Process.PID == pid && e.FD == int64(fd) && e.Ret == int64(fd) && e.OldFD > 2 && e.FDKind == event.FDIPv4 && e.Ino == s.Ino &&
				e.Server.String() == ln.Addr().String()
		}) {
			t.Errorf("no dup onto %d", fd)
		}
	}
}

func TestArguments(t *testing.T) {
	_, w := watch(t, Options{Interest: everything()}, func(e *event.Event) bool { return e.Type == event.TypeExecve })
	long := "head-" + strings.Repeat("x", 120<<10) + "-tail"
	run(t, "/bin/true", "marker-long", long, "last")
	run(t, "/bin/true", "marker-odd", "", "bad\xff\xfeutf8", "new\nline\x01", "")
	e := w.find(t, "exec with 128 KiB", func(e *event.Event) bool { return slices.Contains(e.Process.Args, "marker-long") })
	if p := e.Process; !p.ArgsTruncated || e.Flags&event.FlagTruncated == 0 || p.Args[len(p.Args)-1] != "last" ||
		!strings.HasPrefix(p.Args[1], "head-xxx") || !strings.HasSuffix(p.Args[len(p.Args)-2], "xxx-tail") {
		t.Errorf("arguments of %d bytes: truncated %v, %d of them", len(p.Cmdline), p.ArgsTruncated, len(p.Args))
	}
	e = w.find(t, "exec with odd bytes", func(e *event.Event) bool { return slices.Contains(e.Process.Args, "marker-odd") })
	if want := []string{"marker-odd", "", "bad\xff\xfeutf8", "new\nline\x01", ""}; !slices.Equal(e.Process.Args, want) || e.Process.ArgsTruncated {
		t.Errorf("arguments %q, want %q", e.Process.Args, want)
	}
}

// TestBlindSpots makes an io_uring and a 32-bit system call, and wants both said.
func TestBlindSpots(t *testing.T) {
	s, w := watch(t, Options{Interest: everything()}, func(e *event.Event) bool {
		return e.Type == event.TypeIoUringSetup || e.Flags&event.FlagCompat != 0
	})
	pid := spawn(t, "uring")
	w.find(t, "io_uring_setup", func(e *event.Event) bool { return e.Type == event.TypeIoUringSetup && e.Process.PID == pid })
	w.until(t, "loss for io_uring", func() bool {
		return slices.ContainsFunc(w.losses, func(l event.Loss) bool { return l.Reason == "io_uring" && l.Count > 0 })
	})
	if s.Stats().Uring == 0 {
		t.Error("io_uring is not counted")
	}
	if runtime.GOARCH != "amd64" {
		return
	}
	if out, err := exec.CommandContext(t.Context(), compatProgram(t)).CombinedOutput(); err != nil {
		t.Skipf("this kernel runs no 32-bit system calls: %v %s", err, out)
	}
	w.find(t, "32-bit open", func(e *event.Event) bool { return e.Type == event.TypeOpen && e.Flags&event.FlagCompat != 0 })
	w.until(t, "loss for 32-bit calls", func() bool {
		return slices.ContainsFunc(w.losses, func(l event.Loss) bool { return l.Reason == "syscall_32bit" && l.Count > 0 })
	})
}

// compatProgram writes a 64-bit program that makes 32-bit calls: open, then exit.
func compatProgram(t *testing.T) string {
	t.Helper()
	const base = 0x10000
	code := []byte{
		0x31, 0xdb, // xor ebx, ebx: no path, so open fails
		0x31, 0xc9, // xor ecx, ecx
		0xb8, 5, 0, 0, 0, 0xcd, 0x80, // mov eax, 5; int 0x80
		0x31, 0xdb, 0xb8, 1, 0, 0, 0, 0xcd, 0x80, // exit(0)
	}
	var b bytes.Buffer
	b.Write([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	size := uint64(64 + 56 + len(code))
	for _, v := range []any{
		uint16(2), uint16(62), uint32(1), uint64(base + 64 + 56), uint64(64), uint64(0), uint32(0), uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(5), uint64(0), uint64(base), uint64(base), size, size, uint64(4096),
	} {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	b.Write(code)
	path := filepath.Join(t.TempDir(), "compat")
	if err := os.WriteFile(path, b.Bytes(), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestOverflow floods a tiny ring and wants every open delivered or counted lost.
func TestOverflow(t *testing.T) {
	const opens = 20000
	file := filepath.Join(t.TempDir(), "flooded")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, w := watch(t, Options{Interest: everything(), ActivityRing: os.Getpagesize()}, func(e *event.Event) bool {
		return e.Path == file || e.Type == event.TypeProcexit
	})
	pid := spawn(t, "flood", file, fmt.Sprint(opens))
	w.find(t, "exit", func(e *event.Event) bool { return e.Type == event.TypeProcexit && e.Process.PID == pid })
	var lost uint64
	w.until(t, "loss", func() bool {
		lost = 0
		for _, l := range w.losses {
			if l.Hop == "sensor.kernel" && l.Reason == "ring_full" && l.Lane == event.LaneActivity && l.From < l.To {
				lost += l.Count
			}
		}
		got := 0
		for _, e := range w.events {
			if e.Path == file {
				got++
			}
		}
		return uint64(got)+lost >= opens && lost > 0
	})
	st := s.Stats()
	if st.Process.RingFull != 0 {
		t.Errorf("%d process records lost by a flood of opens", st.Process.RingFull)
	}
	if a := st.Activity; a.RingFull != lost || a.Torn != 0 {
		t.Errorf("losses told: %d, counted: %+v", lost, a)
	}
}

// TestFloodLosesNoExec runs a known number of programs while others flood the
// sensor with opens, and wants every one of them, with the right parent.
func TestFloodLosesNoExec(t *testing.T) {
	const opens, execs, shells = 100000, 200, 4
	file := filepath.Join(t.TempDir(), "flooded")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, w := watch(t, Options{Interest: everything(), ActivityRing: 1 << 20}, func(e *event.Event) bool {
		return e.Type == event.TypeExecve && len(e.Process.Args) > 0 && strings.HasPrefix(e.Process.Args[0], "marker-flood-")
	})
	flooding, stop := context.WithCancel(t.Context())
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	for range 2 {
		go func() {
			cmd := exec.CommandContext(flooding, self, file, fmt.Sprint(opens*100))
			cmd.Env = append(os.Environ(), childEnv+"=flood")
			err := cmd.Run()
			var ee *exec.ExitError
			if errors.As(err, &ee) || errors.Is(err, context.Canceled) {
				err = nil // killed, as it should be
			}
			done <- err
		}()
	}
	w.until(t, "flood", func() bool { return s.Stats().Activity.Sent > opens/10 })
	script := fmt.Sprintf("for i in $(seq 1 %d); do /bin/true marker-flood-$0-$i; done; true", execs)
	for i := range shells {
		run(t, "/bin/sh", "-c", script, fmt.Sprint(i))
	}
	w.until(t, "all execs", func() bool { return len(w.events) >= execs*shells })
	stop()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	names := map[string]int{}
	for _, e := range w.events {
		names[e.Process.Args[0]]++
		if p := e.Process.Parent; p == nil || p.Comm != "sh" || p.PID != e.Process.PPID {
			t.Errorf("%s has the wrong parent %+v", e.Process.Cmdline, p)
		}
		if e.Flags&event.FlagHealed != 0 {
			t.Errorf("%s had to be healed", e.Process.Cmdline)
		}
	}
	if len(names) != execs*shells {
		t.Errorf("%d different execs of %d", len(names), execs*shells)
	}
	st := s.Stats()
	if st.Process.RingFull+st.Process.Nested+st.Missed != 0 {
		t.Errorf("process records lost: %+v, %d missed", st.Process, st.Missed)
	}
	t.Logf("opens sent %d, lost %d; execs %d; healed %d, unhealed %d", st.Activity.Sent, st.Activity.RingFull, len(names), st.Healed, st.Unhealed)
}
