package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/test/need"
)

// eachRuntime runs a test in both kinds of container.
func eachRuntime(t *testing.T, test func(t *testing.T, native bool)) {
	need.Root(t)
	need.Command(t, need.Kernel, "busybox")
	for _, native := range []bool{false, true} {
		name := map[bool]string{false: "runc", true: "native"}[native]
		t.Run(name, func(t *testing.T) {
			if !native {
				need.Command(t, need.Kernel, "runc")
			}
			test(t, native)
		})
	}
}

func create(t *testing.T, o Options) *Sandbox {
	t.Helper()
	s, err := Create(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func itoa(n int) string { return strconv.Itoa(n) }

func mustExec(t *testing.T, s *Sandbox, argv ...string) string {
	t.Helper()
	out, err := s.Exec(t.Context(), argv...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSandbox checks that commands inside are really apart from the host.
func TestSandbox(t *testing.T) {
	eachRuntime(t, func(t *testing.T, native bool) {
		s := create(t, Options{
			Native: native, Hostname: "shop", Image: "registry.example/shop:4", Env: []string{"GREETING=hello"},
			Files: map[string]string{
				"/srv/run.sh": "#!/bin/sh\necho $GREETING $(hostname)\n",
				"/bin/tac":    "#!/bin/sh\necho mine\n", // takes the place of busybox's link
				"/etc/secret": "x",
			},
			Modes: map[string]os.FileMode{"/etc/secret": 0o600},
		})
		if want := map[bool]string{false: "runc", true: "native"}[native]; s.Runtime != want {
			t.Errorf("runtime %s, want %s", s.Runtime, want)
		}
		for _, c := range []struct{ command, want string }{
			{"/srv/run.sh", "hello shop\n"},
			{"/bin/tac", "mine\n"},
			{"readlink /bin/cat", "busybox\n"},
			{"stat -c %a /etc/secret", "600\n"},
			{"cat /proc/1/comm", "sleep\n"},
			{"id -u", "0\n"},
		} {
			if got := mustExec(t, s, "/bin/sh", "-c", c.command); got != c.want {
				t.Errorf("%s: got %q, want %q", c.command, got, c.want)
			}
		}
		if host, err := os.Readlink("/bin/cat"); err == nil && host == "busybox" {
			t.Error("the host's own /bin/cat was changed")
		}
		for _, ns := range []string{"pid", "mnt", "net", "uts", "ipc"} {
			inside, err := os.Readlink("/proc/" + itoa(s.Pid) + "/ns/" + ns)
			if err != nil {
				t.Fatal(err)
			}
			if outside, _ := os.Readlink("/proc/self/ns/" + ns); inside == outside {
				t.Errorf("the %s namespace is the host's", ns)
			}
			if got := strings.TrimSpace(mustExec(t, s, "readlink", "/proc/self/ns/"+ns)); got != inside {
				t.Errorf("a command runs in %s, the container in %s", got, inside)
			}
		}
		if _, err := os.Stat(s.Rootfs + "/srv/run.sh"); err != nil {
			t.Errorf("the container's files are not to be seen from outside: %v", err)
		}
		mustExec(t, s, "sh", "-c", "echo x > /tmp/f")
		if _, err := os.Stat(s.Rootfs + "/tmp/f"); err != nil {
			t.Errorf("what the container wrote is not in its root: %v", err)
		}
		b, err := os.ReadFile(filepath.Join(s.dir, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		var spec ociSpec
		if err := json.Unmarshal(b, &spec); err != nil {
			t.Fatal(err)
		}
		if got := spec.Annotations[ImageAnnotation]; got != "registry.example/shop:4" {
			t.Errorf("the bundle names the image %q", got)
		}
	})
}

func TestNoWayOut(t *testing.T) {
	eachRuntime(t, func(t *testing.T, native bool) {
		meta := netip.MustParseAddr("169.254.169.254")
		s := create(t, Options{Native: native, Addresses: []netip.Addr{meta}, Capabilities: []string{}})
		links := mustExec(t, s, "ls", "/proc/sys/net/ipv4/conf")
		for _, l := range strings.Fields(links) {
			// The kernel may put its own tunnel templates into each namespace; all are down.
			if l != "lo" && l != "all" && l != "default" {
				if up := mustExec(t, s, "ip", "-o", "link", "show", "up", "dev", l); strings.TrimSpace(up) != "" {
					t.Errorf("the container has an interface besides lo that is up: %s", up)
				}
			}
		}
		if routes := mustExec(t, s, "ip", "route"); strings.TrimSpace(routes) != "" {
			t.Errorf("the container has routes: %s", routes)
		}
		addrs := mustExec(t, s, "ip", "-4", "-o", "addr")
		for _, want := range []string{"127.0.0.1/8", "169.254.169.254/32"} {
			if !strings.Contains(addrs, want) {
				t.Errorf("no %s in %s", want, addrs)
			}
		}
		_, err := s.Exec(t.Context(), "nc", "-w", "5", "192.0.2.1", "80")
		if err == nil || !strings.Contains(err.Error(), "unreachable") {
			t.Errorf("a connection to the outside: %v, want unreachable", err)
		}
		_, err = s.Exec(t.Context(), "nc", "-w", "5", meta.String(), "80")
		if err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("a connection to the added address: %v, want refused", err)
		}
		if err := exec.Command("ip", "-o", "addr", "show", "to", meta.String()).Run(); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("ip", "-o", "addr", "show", "to", meta.String(), "dev", "lo").Output(); err != nil || len(out) > 0 {
			t.Errorf("the host got the address: %s %v", out, err)
		}
		if !native {
			if _, err := s.Exec(t.Context(), "ip", "link", "set", "lo", "down"); err == nil {
				t.Error("a container without capabilities changed its network")
			}
		}
	})
}

func TestExec(t *testing.T) {
	eachRuntime(t, func(t *testing.T, native bool) {
		s := create(t, Options{Native: native})
		out, err := s.Exec(t.Context(), "sh", "-c", "echo out; echo err >&2; exit 7")
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 7 {
			t.Errorf("got %v, want exit code 7", err)
		}
		if out != "out\n" || !strings.Contains(err.Error(), "err") {
			t.Errorf("printed %q and %v", out, err)
		}
		if _, err := s.Exec(t.Context(), "sh", "-c", "yes | head -c 5000000"); err == nil || !strings.Contains(err.Error(), "more than") {
			t.Errorf("a flood of output gave %v", err)
		}
		listener, err := s.Start(t.Context(), "nc", "-l", "-p", "4444", "-e", "cat")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.WaitListening(t.Context(), 4444); err != nil {
			t.Fatal(err)
		}
		if out := mustExec(t, s, "sh", "-c", "echo hello | nc 127.0.0.1 4444"); out != "hello\n" {
			t.Errorf("the service started in the background answered %q", out)
		}
		if err := listener.Wait(); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.WaitListening(ctx, 4445); !errors.Is(err, context.Canceled) {
			t.Errorf("waiting for nobody: %v", err)
		}
	})
}

// leftovers lists what is still there of a sandbox.
func leftovers(t *testing.T, name, dir string) []string {
	t.Helper()
	var found []string
	where, err := hierarchies()
	if err != nil {
		t.Fatal(err)
	}
	places := []string{dir, "/run/runc/" + name, stateDir(name)}
	for _, root := range where {
		places = append(places, filepath.Join(root, name))
	}
	for _, p := range places {
		if _, err := os.Lstat(p); !errors.Is(err, os.ErrNotExist) {
			found = append(found, p)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), dir) {
		found = append(found, "a mount")
	}
	return found
}

func TestCloseLeavesNothing(t *testing.T) {
	eachRuntime(t, func(t *testing.T, native bool) {
		a, b := create(t, Options{Native: native}), create(t, Options{Native: native, Name: "second-" + itoa(os.Getpid())})
		if a.Name == b.Name || a.Pid == b.Pid {
			t.Fatal("two sandboxes are one")
		}
		paths, err := a.CgroupPaths()
		if err != nil {
			t.Fatal(err)
		}
		if len(paths) == 0 {
			t.Error("it is in no cgroup of its own")
		}
		for key, p := range paths {
			procs, err := os.ReadFile(filepath.Join(p, "cgroup.procs"))
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Base(p) == a.Name && !strings.Contains(string(procs), itoa(a.Pid)) {
				t.Errorf("%s (%s) does not hold process %d: %s", p, key, a.Pid, procs)
			}
		}
		// Someone still at work must not keep it from closing.
		busy, err := a.Start(t.Context(), "sh", "-c", "trap '' TERM HUP INT; while :; do sleep 1; done")
		if err != nil {
			t.Fatal(err)
		}
		nameA, dirA := a.Name, a.dir
		if len(leftovers(t, nameA, dirA)) < 3 {
			t.Error("the check for left-overs sees nothing while the sandbox runs")
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if err := busy.Wait(); err == nil {
			t.Error("the command inside outlived its sandbox")
		}
		if left := leftovers(t, nameA, dirA); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if err := a.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
		if out := mustExec(t, b, "echo", "alive"); out != "alive\n" {
			t.Errorf("the other sandbox says %q", out)
		}
	})
}

// TestFailedStartLeavesNothing starts a program that is not there.
func TestFailedStartLeavesNothing(t *testing.T) {
	eachRuntime(t, func(t *testing.T, native bool) {
		tmp := t.TempDir()
		t.Setenv("TMPDIR", tmp)
		name := "broken-" + itoa(os.Getpid())
		_, err := Create(t.Context(), Options{Native: native, Name: name, Init: []string{"/no/such/program"}})
		if err == nil || !strings.Contains(err.Error(), "/no/such/program") {
			t.Errorf("got %v", err)
		}
		if left := leftovers(t, name, tmp+"/"+dirPrefix); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if left, _ := filepath.Glob(tmp + "/*"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// TestSweep kills a process that owns a sandbox and cleans up after it.
func TestSweep(t *testing.T) {
	if name := os.Getenv("DOCKREEVE_TEST_SANDBOX"); name != "" {
		s, err := Create(t.Context(), Options{Native: os.Getenv("DOCKREEVE_TEST_NATIVE") != "", Name: name})
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("made " + s.dir + "\n")
		if err := kill(os.Getpid()); err != nil {
			t.Fatal(err)
		}
		select {}
	}
	eachRuntime(t, func(t *testing.T, native bool) {
		// A directory of its own: other tests of this machine sweep too.
		t.Setenv("TMPDIR", t.TempDir())
		living := create(t, Options{Native: native})
		name := "orphan-" + itoa(os.Getpid())
		child := exec.Command(os.Args[0], "-test.run=^TestSweep$")
		child.Env = append(os.Environ(), "DOCKREEVE_TEST_SANDBOX="+name)
		if native {
			child.Env = append(child.Env, "DOCKREEVE_TEST_NATIVE=1")
		}
		out, err := child.Output()
		_, dir, made := strings.Cut(strings.TrimSpace(string(out)), "made ")
		if err == nil || !made {
			t.Fatalf("the child should have died after making a sandbox: %v: %s", err, out)
		}
		if left := leftovers(t, name, dir); len(left) < 3 {
			t.Errorf("its death took the sandbox with it; only %v is left", left)
		}
		removed, err := Sweep()
		if err != nil {
			t.Fatal(err)
		}
		if len(removed) != 1 || removed[0] != name {
			t.Errorf("removed %v, want only %s", removed, name)
		}
		if left := leftovers(t, name, dir); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		mustExec(t, living, "true")
	})
}

func TestWrongOptions(t *testing.T) {
	need.Root(t)
	for _, o := range []Options{
		{Name: "../x"}, {Name: ".x"}, {Name: strings.Repeat("x", 129)}, {Name: "a b"},
		{Addresses: []netip.Addr{netip.MustParseAddr("::2")}},
		{Busybox: "/proc/version"}, {Busybox: "/no/such/busybox"}, {Busybox: "/bin/bash"},
	} {
		s, err := Create(t.Context(), o)
		if err == nil {
			t.Errorf("%+v gave no error", o)
			_ = s.Close()
		}
		if o.Busybox != "" && (!errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "busybox-static")) {
			t.Errorf("%s: %v", o.Busybox, err)
		}
	}
}
