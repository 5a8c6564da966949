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
// that the next lab removes it, takes that one down too, and looks for any trace of them.
// Other labs may be up meanwhile.
func TestLabLeavesNothing(t *testing.T) {
	if err := lab.Possible(1); err != nil {
		need.Skip(t, need.Lab, err.Error())
	}
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
	l := &Lab{crashed}
	l.Pod(t, "default", "left") // so that there are shims, mounts and cgroups of pods to leave
	during := traces(t, crashed)
	lives := func(pid string) bool { _, err := os.Stat("/proc/" + pid + "/exe"); return err == nil } // not of a dead one that nobody has reaped
	if len(during.files) < 10 || len(during.pids) < 10 || len(during.routes) < 2 {
		t.Errorf("a lab that is up shows too few traces to tell that it is gone: %+v", during)
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
	after := traces(t, crashed)
	for _, f := range append(during.files, dir) {
		if entries, err := os.ReadDir(f); err == nil && !(f == dir && len(entries) == 1 && entries[0].Name() == "log") {
			t.Errorf("left behind: %s %v", f, entries)
		}
	}
	for _, r := range after.routes {
		t.Errorf("left behind: route %s", r)
	}
	for _, p := range during.pids {
		if lives(p) {
			t.Errorf("left behind: process %s", p)
		}
	}
	if err := next.Down(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(next.Dir); !os.IsNotExist(err) {
		t.Errorf("the directory of a temporary lab: %v", err)
	}
	for _, m := range append(mounts(t, dir), mounts(t, next.Dir)...) {
		t.Errorf("left behind: mount %s", m)
	}
	if left, err := filepath.Glob("/run/dockreeve-lab/*"); err != nil || slices.Equal(left, []string{"/run/dockreeve-lab/lock", "/run/dockreeve-lab/made"}) {
		t.Errorf("no lab is up, and what they made together is still there: %v, %v", left, err)
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

// trace is what there is of one lab outside of its directory.
type trace struct{ files, pids, routes []string }

func traces(t *testing.T, l *lab.Lab) (tr trace) {
	t.Helper()
	for _, n := range l.Nodes {
		top, _, _ := strings.Cut(n.Cgroup, "/")
		for _, pattern := range []string{"/sys/class/net/" + n.Wire, "/sys/fs/cgroup/" + top, "/sys/fs/cgroup/*/" + top} {
			names, err := filepath.Glob(pattern)
			if err != nil {
				t.Fatal(err)
			}
			tr.files = append(tr.files, names...)
		}
		routes, err := exec.CommandContext(t.Context(), "ip", "route").Output()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(routes)) {
			if strings.Contains(line, " "+n.Wire+" ") {
				tr.routes = append(tr.routes, strings.TrimSpace(line))
			}
		}
	}
	// Programs of a lab name its directory; those on its nodes are in their namespaces.
	spaces := map[string]bool{}
	for _, p := range l.Programs {
		if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", p.PID)); err == nil && strings.HasPrefix(p.Name, "node-") {
			spaces[ns] = true
		}
	}
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range names {
		ns, err := os.Readlink(dir + "/ns/mnt")
		if err != nil {
			continue
		}
		if cmdline, _ := os.ReadFile(dir + "/cmdline"); spaces[ns] || strings.Contains(string(cmdline), l.Dir+"/") {
			tr.pids = append(tr.pids, filepath.Base(dir))
		}
	}
	return tr
}

// mounts are those below a directory.
func mounts(t *testing.T, dir string) (at []string) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); strings.HasPrefix(f[4], dir) {
			at = append(at, f[4])
		}
	}
	return at
}

// TestALabNeedsADirectoryOfItsOwn holds that what is not a lab's is never emptied.
func TestALabNeedsADirectoryOfItsOwn(t *testing.T) {
	if err := lab.Possible(0); err != nil {
		need.Skip(t, need.Lab, err.Error())
	}
	dir := t.TempDir()
	mine := filepath.Join(dir, "mine")
	if err := os.WriteFile(mine, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := lab.Up(t.Context(), lab.Options{Dir: dir, Log: os.Stderr}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a lab in a directory with other things: %v %v", l, err)
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
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
