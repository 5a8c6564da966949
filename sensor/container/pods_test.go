package container

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	uidA = "0e5c1d2a-1111-2222-3333-444455556666"
	uidB = "9f9f9f9f-1111-2222-3333-444455556666"
)

// stepper is a resolver whose look-ups and clock a test moves by hand.
type stepper struct {
	*Resolver
	dir     string
	now     time.Time
	changed int
}

func newStepper(t *testing.T, o Options) *stepper {
	t.Helper()
	s := &stepper{dir: t.TempDir(), now: time.Unix(1700000000, 0)}
	o.Dirs = Dirs{Runc: []string{"/run/none"}, Tasks: []string{filepath.Join(s.dir, "tasks/*")}, Docker: []string{}, Storage: []string{}}
	o.Now, o.Changed = func() time.Time { return s.now }, func() { s.changed++ }
	s.Resolver = NewResolver(Hierarchy{RootID: 1, Root: s.dir}, o)
	return s
}

// step does what is due and then moves the clock.
func (s *stepper) step(d time.Duration) {
	s.retry()
	for {
		select {
		case e := <-s.work:
			s.resolve(e)
			continue
		default:
		}
		break
	}
	s.now = s.now.Add(d)
}

func (s *stepper) config(t *testing.T, uid string) {
	t.Helper()
	write(t, filepath.Join(s.dir, "tasks/k8s.io", hexID, "config.json"), fmt.Sprintf(`{"annotations":{"io.kubernetes.cri.container-name":"web",
"io.kubernetes.cri.sandbox-name":"shop-1","io.kubernetes.cri.sandbox-namespace":"prod","io.kubernetes.cri.sandbox-uid":%q,"io.kubernetes.cri.image-name":"reg/web:1"}}`, uid))
}

func kubepods(uid string) string { return "/kubepods/burstable/pod" + uid + "/" + hexID }

// TestAContainerAwaitsItsPod holds a new container back for as long as its pod may still be
// on its way, and no longer.
func TestAContainerAwaitsItsPod(t *testing.T) {
	s := newStepper(t, Options{})
	s.config(t, uidA)
	s.SetPods(true, nil, nil) // the cluster tells of pods, of none so far
	s.Created(7, kubepods(uidA))
	s.step(5 * time.Millisecond)
	if a := s.Get(7, 0); a.Status != Pending || a.Container.Name != "web" || a.Container.Workload != "" {
		t.Fatalf("before its pod is told: %+v", a)
	}
	before := s.changed
	s.SetPods(false, []Pod{{UID: uidB, Workload: "x"}, {UID: uidA, Workload: "prod/Deployment/shop", Owner: "team-a", Tenant: "a",
		Images: []PodImage{{Container: "other", Digest: "sha256:no"}, {Container: "web", Digest: "sha256:aa", ImageID: "reg/web@sha256:aa"}}}}, nil)
	a := s.Get(7, 0)
	if a.Status != Known || a.Container.Workload != "prod/Deployment/shop" || a.Container.Owner != "team-a" || a.Container.Tenant != "a" ||
		a.Container.PodName != "shop-1" || a.Container.ImageDigest != "sha256:aa" || a.Container.ImageID != "reg/web@sha256:aa" || s.changed == before {
		t.Errorf("when its pod is told: %+v %+v", a, a.Container)
	}
	if st := s.Stats(); st.Resolved != 1 || st.Pods != 2 || st.Failed != 0 {
		t.Errorf("%+v", st)
	}
	// The same again changes nothing, and the pod's end leaves the container as it is.
	before = s.changed
	s.SetPods(false, []Pod{{UID: uidA, Workload: "prod/Deployment/shop", Owner: "team-a", Tenant: "a"}}, nil)
	s.SetPods(false, nil, []string{uidA})
	if b := s.Get(7, 0); b.Container != a.Container || s.changed != before {
		t.Errorf("told again, and gone: %+v, %d changes", b.Container, s.changed-before)
	}
}

func TestAContainerWhosePodIsNeverToldIsKnownAllTheSame(t *testing.T) {
	s := newStepper(t, Options{})
	s.config(t, uidA)
	s.SetPods(true, nil, nil)
	s.Created(7, kubepods(uidA))
	waited := time.Duration(0)
	for s.Get(7, 0).Status == Pending && waited < time.Second {
		s.step(5 * time.Millisecond)
		waited += 5 * time.Millisecond
	}
	if a := s.Get(7, 0); a.Status != Known || a.Container.PodName != "shop-1" || a.Container.Workload != "" || waited > 200*time.Millisecond {
		t.Fatalf("after %v: %+v", waited, a)
	}
	// It heals late.
	s.SetPods(false, []Pod{{UID: uidA, Workload: "prod/Job/shop"}}, nil)
	if a := s.Get(7, 0); a.Container.Workload != "prod/Job/shop" {
		t.Errorf("told late: %+v", a.Container)
	}
	// Where nothing tells of pods nothing waits for them.
	s = newStepper(t, Options{})
	s.config(t, uidA)
	s.Created(7, kubepods(uidA))
	s.step(0)
	if a := s.Get(7, 0); a.Status != Known {
		t.Errorf("without a cluster agent: %+v", a)
	}
	// One that ends while it waits is known by what there is.
	s = newStepper(t, Options{})
	s.config(t, uidA)
	s.SetPods(true, nil, nil)
	s.Created(7, kubepods(uidA))
	s.step(time.Millisecond)
	s.Removed(7)
	if a := s.Get(7, 0); a.Status != Known || a.Container.Name != "web" {
		t.Errorf("ended while it waited: %+v", a)
	}
}

// TestAPodWithoutStateStaysUnknown gives it the names that the cluster tells, and keeps
// saying that the rest is not known.
func TestAPodWithoutStateStaysUnknown(t *testing.T) {
	s := newStepper(t, Options{})
	s.SetPods(true, []Pod{{UID: uidA, Name: "shop-1", Namespace: "prod", Workload: "prod/Deployment/shop"}}, nil)
	s.Created(7, kubepods(uidA))
	for range hostAfter + 2 {
		s.step(time.Second)
	}
	a := s.Get(7, 0)
	if a.Status != Unknown || a.Container.Unknown == "" || a.Container.PodName != "shop-1" || a.Container.PodNamespace != "prod" || a.Container.Workload == "" || a.Container.Name != "" {
		t.Errorf("%+v %+v", a, a.Container)
	}
}

func TestPodsAreBounded(t *testing.T) {
	s := newStepper(t, Options{})
	put := make([]Pod, maxPods+10)
	for i := range put {
		put[i] = Pod{UID: strconv.Itoa(i), Workload: strings.Repeat("w", maxText+1), Images: make([]PodImage, maxPodImages+1)}
	}
	s.SetPods(true, put, nil)
	if st := s.Stats(); st.Pods != maxPods || st.PodsRefused != 10 {
		t.Errorf("%+v", st)
	}
	if p := s.pods["0"]; len(p.Workload) != maxText || len(p.Images) != maxPodImages {
		t.Errorf("a pod of %d bytes, %d images", len(p.Workload), len(p.Images))
	}
	s.SetPods(true, put[:1], nil)
	if st := s.Stats(); st.Pods != 1 {
		t.Errorf("after a full statement: %+v", st)
	}
	// Those that are gone make room, at once where it is needed and after a while by themselves.
	s.SetPods(false, []Pod{{UID: "new"}}, nil)
	if st := s.Stats(); st.Pods != 2 || st.PodsRefused != 10 {
		t.Errorf("a pod more: %+v", st)
	}
	s.SetPods(false, nil, []string{"0"})
	s.now = s.now.Add(2 * keepGone)
	if s.SetPods(false, nil, nil); len(s.pods) != 1 {
		t.Errorf("%d pods remembered", len(s.pods))
	}
}

// TestAPodThatCameAndWent between two messages is told as put and gone at once; what it ran
// may be seen only afterwards.
func TestAPodThatCameAndWent(t *testing.T) {
	s := newStepper(t, Options{})
	s.config(t, uidA)
	s.SetPods(false, []Pod{{UID: uidA, Workload: "prod/Job/shop"}}, []string{uidA})
	s.Created(7, kubepods(uidA))
	s.step(0)
	if a := s.Get(7, 0); a.Status != Known || a.Container.Workload != "prod/Job/shop" {
		t.Errorf("%+v %+v", a, a.Container)
	}
}

func TestTheCgroupOfAPodIsTheHosts(t *testing.T) {
	for path, want := range map[string]bool{
		"/kubepods/besteffort/pod" + uidA: true, "/drlab0/node1/kubepods/pod" + strings.Repeat("a", 32): true,
		"/kubepods.slice/kubepods-pod" + strings.ReplaceAll(uidA, "-", "_") + ".slice": true, "/": true,
		"/podman": false, "/a/pod-1": false, kubepods(uidA) + "/x": false,
	} {
		if hostPath(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}

func TestTheSandboxIsCalledPOD(t *testing.T) {
	s := newStepper(t, Options{})
	write(t, filepath.Join(s.dir, "tasks/k8s.io", hexID, "config.json"), `{"annotations":{"io.kubernetes.cri.container-type":"sandbox",
"io.kubernetes.cri.podsandbox.image-name":"registry.k8s.io/pause:3.10","io.kubernetes.cri.sandbox-name":"shop-1","io.kubernetes.cri.sandbox-namespace":"prod"}}`)
	s.Created(7, kubepods(uidA))
	s.step(0)
	if c := s.Get(7, 0).Container; c.Name != SandboxName || c.ImageRepo != "registry.k8s.io/pause" || c.PodName != "shop-1" {
		t.Errorf("%+v", c)
	}
}

// procs writes processes as /proc shows them: pid → comm, mount namespace, user namespace,
// cgroup of pids.
func procs(t *testing.T, list map[string][4]string) string {
	t.Helper()
	proc := t.TempDir()
	for pid, p := range list {
		dir := filepath.Join(proc, pid)
		write(t, filepath.Join(dir, "comm"), p[0]+"\n")
		write(t, filepath.Join(dir, "cgroup"), "9:cpu:/\n8:pids:"+p[3]+"\n0::/\n")
		if err := os.MkdirAll(filepath.Join(dir, "ns"), 0o755); err != nil {
			t.Fatal(err)
		}
		for name, ns := range map[string]string{"mnt": p[1], "user": p[2]} {
			if err := os.Symlink(ns, filepath.Join(dir, "ns", name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return proc
}

// TestOnlyRuntimesOutsideOfContainersAreBelieved lists who could pass for a runtime.
func TestOnlyRuntimesOutsideOfContainersAreBelieved(t *testing.T) {
	const host, own = "user:[1]", "mnt:[1]"
	proc := procs(t, map[string][4]string{
		"self": {"dockreeve-node", own, host, "/"},
		"1":    {"init", "mnt:[2]", host, "/"},
		"10":   {"containerd", own, host, "/system.slice/containerd.service"},          // sees what we see
		"11":   {"containerd", "mnt:[3]", host, "/system.slice/k.service"},             // lives apart
		"12":   {"containerd-shim", "mnt:[3]", host, "/"},                              // the same place
		"13":   {"containerd", "mnt:[4]", host, "/docker/" + hexID},                    // in a container
		"14":   {"containerd", "mnt:[5]", "user:[2]", "/"},                             // root of a user namespace only
		"15":   {"sh", "mnt:[6]", host, "/"},                                           // no runtime
		"16":   {"dockerd", "mnt:[7]", host, "/kubepods/pod" + uidA + "/" + hexID},     // in a pod
		"17":   {"crio", "mnt:[8]", host, "/kubepods/pod" + uidA + "/" + hexID + "/x"}, // below one
	})
	now := time.Unix(1700000000, 0)
	r := &roots{proc: proc, mode: ModePids, given: []string{"/host"}, now: func() time.Time { return now }}
	if !r.search() {
		t.Fatal("nothing found")
	}
	want := []string{"", "/host", filepath.Join(proc, "1/root"), filepath.Join(proc, "11/root")}
	if got := r.list(); strings.Join(got, " ") != strings.Join(want, " ") && strings.Join(got, " ") != strings.Join(append(want[:3:3], filepath.Join(proc, "12/root")), " ") {
		t.Errorf("looks in %q, want %q", got, want)
	}
	if r.search() {
		t.Error("a second search within a second")
	}
	// The runtime ends, and its number is used again in a container.
	for _, pid := range []string{"11", "12"} {
		link := filepath.Join(proc, pid, "ns/mnt")
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("mnt:[4]", link); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(proc, pid, "cgroup"), "8:pids:/docker/"+hexID+"\n")
	}
	if got := r.list(); len(got) != 3 {
		t.Errorf("still looks in %q", got)
	}
}

// TestStateOfAnotherRoot reads a runtime's state through a directory that leads to it.
func TestStateOfAnotherRoot(t *testing.T) {
	root := t.TempDir()
	s := newStepper(t, Options{Roots: []string{root}})
	write(t, filepath.Join(root, s.dir, "tasks/k8s.io", hexID, "config.json"), `{"root":{"path":"/var/lib/rootfs"},"annotations":{"io.kubernetes.cri.container-name":"web"}}`)
	s.Created(7, kubepods(uidA))
	s.step(0)
	if c := s.Get(7, 0).Container; c.Name != "web" || c.Rootfs != filepath.Join(root, "var/lib/rootfs") || c.Unknown != "" {
		t.Errorf("%+v", c)
	}
}
