package kube

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/test/kube/lab"
	"github.com/dockreeve/dockreeve/test/need"
)

// TestLabLeavesNothing brings up a lab with a node in a process that is then killed, sees
// that the next lab removes it, takes that one down too, and looks for anything that was
// not there before.
func TestLabLeavesNothing(t *testing.T) {
	if err := lab.Possible(1); err != nil {
		need.Skip(t, need.Lab, err.Error())
	}
	// The parts are built by now where other tests ran before; this one must not count them.
	if _, err := lab.Build(t.Context(), lab.NodeParts, os.Stderr); err != nil {
		t.Fatal(err)
	}
	before := traces(t)
	dir := filepath.Join(t.TempDir(), "crashed")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env, cmd.Stderr = append(os.Environ(), "DOCKREEVE_TEST_CRASHING_LAB="+dir), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil { // which nobody writes to
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || said != "up\n" {
		t.Fatalf("the lab of the other process: %q, %v", said, err)
	}
	crashed, err := lab.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if during := traces(t); len(during) < len(before)+8 {
		t.Errorf("a lab that is up shows %d traces more than none: too few to tell that it is gone", len(during)-len(before))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if _, err := crashed.API(t.Context(), "GET", "/readyz", nil); err != nil {
		t.Errorf("a lab lives on when who started it dies: %v", err)
	}
	next, err := lab.Up(t.Context(), lab.Options{Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lab.Open(dir); err == nil {
		t.Error("the lab of the dead process is still there")
	}
	if err := next.Down(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(next.Dir); !os.IsNotExist(err) {
		t.Errorf("the directory of a temporary lab: %v", err)
	}
	for trace := range traces(t) {
		if !before[trace] {
			t.Errorf("left behind: %s", trace)
		}
	}
}

// crashingLab is the other process of that test.
func crashingLab(dir string) {
	if _, err := lab.Up(context.Background(), lab.Options{Dir: dir, Nodes: 1, Log: os.Stderr}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("up")
	_, _ = io.Copy(io.Discard, os.Stdin) // until killed
	os.Exit(1)
}

// traces are what labs could leave on this machine.
func traces(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, pattern := range []string{"/sys/class/net/drlab*", "/sys/fs/cgroup/drlab*", "/sys/fs/cgroup/*/drlab*", "/run/dockreeve-lab/*.json",
		"/opt/*", "/etc/cni/*", "/etc/kubernetes", "/var/lib/kubelet", "/var/lib/cni", "/var/lib/containerd", "/run/containerd", "/var/log/pods", "/var/log/containers"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			found["file "+n] = true
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		found["mount "+strings.Fields(line)[4]] = true
	}
	routes, err := exec.CommandContext(t.Context(), "ip", "route").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(routes)) {
		found["route "+strings.TrimSpace(line)] = true
	}
	cache, err := lab.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	programs, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		if exe, err := os.Readlink(p); err == nil && strings.HasPrefix(exe, cache) {
			found["process "+p+" "+exe] = true
		}
	}
	return found
}

// TestLabPartsAreKept holds that a second build does nothing, and that the images are what
// the tests name.
func TestLabPartsAreKept(t *testing.T) {
	if err := lab.Possible(0); err != nil {
		need.Skip(t, need.Lab, err.Error())
	}
	l := labs.Control(t)
	var said strings.Builder
	dirs, err := lab.Build(t.Context(), lab.ControlParts, &said)
	if err != nil || said.Len() > 0 {
		t.Fatalf("a second build: %v, it says %q", err, said.String())
	}
	for _, part := range slices.Sorted(maps.Keys(dirs)) {
		if dirs[part] != l.Parts[part] {
			t.Errorf("%s: %s for the lab, %s now", part, l.Parts[part], dirs[part])
		}
	}
}

// TestControlPlane is what tests may rely on: identities, their rights, a restart, and the
// audit of it all in the file and at the webhook.
func TestControlPlane(t *testing.T) {
	l := labs.Control(t)
	ns := l.Namespace(t, "team=a")
	reader := l.Account(t, ns, "reader", `{apiGroups: [""], resources: [pods], verbs: [get, list]}`)
	if _, err := l.KAs(t, reader, "-n", ns, "get", "pods"); err != nil {
		t.Error(err)
	}
	if _, err := l.KAs(t, reader, "-n", ns, "get", "secrets"); err == nil || !strings.Contains(err.Error(), "forbidden") {
		t.Errorf("secrets are not the reader's: %v", err)
	}
	alice := l.User(t, "alice", "developers")
	if out, err := l.KAs(t, alice, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username} {.status.userInfo.groups}"); err != nil || !strings.HasPrefix(out, "alice ") || !strings.Contains(out, "developers") {
		t.Errorf("alice is %q, %v", out, err)
	}
	l.RestartAPIServer(t)
	l.K(t, "-n", ns, "create", "configmap", "after")
	for _, want := range []string{`"resource":"secrets","namespace":"` + ns, `"name":"after"`} {
		l.Until(t, want+" in the audit file", func() bool { return hasEvent(t, l, want) })
		l.Until(t, want+" at the webhook", func() bool {
			b, err := os.ReadFile(l.AuditWebhookFile())
			return err == nil && strings.Contains(string(b), want)
		})
	}
}

func hasEvent(t *testing.T, l *Lab, text string) bool {
	t.Helper()
	for _, e := range l.AuditEvents(t) {
		if strings.Contains(string(e), text) {
			return true
		}
	}
	return false
}
