package container

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/event"
)

var hexID = strings.Repeat("0123456789abcdef", 4)

func TestParseCgroup(t *testing.T) {
	const uid = "0e5c1d2a-1111-2222-3333-444455556666"
	under := strings.ReplaceAll(uid, "-", "_")
	other := strings.Repeat("f", 64)
	for _, tc := range []struct{ path, id, runtime, pod string }{
		{"/docker/" + hexID, hexID, "docker", ""},
		{"/system.slice/docker-" + hexID + ".scope", hexID, "docker", ""},
		{"/docker/" + hexID + "/system.slice/nginx.service", hexID, "docker", ""},
		{"/kubepods/burstable/pod" + uid + "/" + hexID, hexID, "", uid},
		{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + under + ".slice/cri-containerd-" + hexID + ".scope", hexID, "containerd", uid},
		{"/kubepods.slice/kubepods-pod" + under + ".slice/crio-" + hexID + ".scope/container", hexID, "cri-o", uid},
		{"/system.slice/containerd.service/kubepods-besteffort-pod" + under + ".slice:cri-containerd:" + hexID, hexID, "containerd", ""},
		{"/machine.slice/libpod-" + hexID + ".scope", hexID, "podman", ""},
		{"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + hexID + ".scope/container", hexID, "podman", ""},
		{"/docker/" + other + "/kubepods/pod" + uid + "/" + hexID, hexID, "", uid},
		{"/" + hexID, hexID, "", ""},
		{"/libpod_parent/libpod-" + hexID, hexID, "podman", ""},
		// No container: the watcher, the pod itself, services, names of one's own.
		{"/machine.slice/libpod-conmon-" + hexID + ".scope", "", "", ""},
		{"/kubepods.slice/kubepods-pod" + under + ".slice/crio-conmon-" + hexID + ".scope", "", "", ""},
		{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + under + ".slice", "", "", ""},
		{"/system.slice/sshd.service", "", "", ""},
		{"/plain-name", "", "", ""},
		{"/" + hexID[:63], "", "", ""},
		{"/", "", "", ""},
		{"", "", "", ""},
	} {
		n, ok := ParseCgroup(tc.path)
		if ok != (tc.id != "") || n.ID != tc.id || n.Runtime != tc.runtime || n.PodUID != tc.pod {
			t.Errorf("%s: %+v %v", tc.path, n, ok)
		}
	}
}

func FuzzParseCgroup(f *testing.F) {
	f.Add("/docker/" + hexID)
	f.Add("/kubepods.slice/kubepods-pod1_2.slice/crio-" + hexID + ".scope")
	f.Add("a:b:" + hexID)
	f.Fuzz(func(t *testing.T, path string) {
		n, ok := ParseCgroup(path)
		if ok != (n.ID != "") || ok && (!isID(n.ID) || !strings.Contains(path, n.ID)) {
			t.Errorf("%q: %+v %v", path, n, ok)
		}
		systemUnit(path)
	})
}

// write makes a file with its directories.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

const pod = `{"process":{"capabilities":{"bounding":["CAP_SYS_ADMIN","CAP_SYS_MODULE","CAP_SYS_RAWIO","CAP_SYS_PTRACE","CAP_MAC_ADMIN","CAP_NET_ADMIN","CAP_SYSLOG"]}},
"root":{"path":"rootfs"},"linux":{},
"mounts":[{"destination":"/data","type":"bind","source":"/srv/data","options":["rbind","rprivate","ro"]}],
"annotations":{"io.kubernetes.cri.container-name":"web","io.kubernetes.cri.sandbox-name":"shop-1","io.kubernetes.cri.sandbox-namespace":"prod",
"io.kubernetes.cri.sandbox-uid":"u-1","io.kubernetes.cri.image-name":"reg.example:5000/shop/web:2.1@sha256:aa"}}`

func TestMetadata(t *testing.T) {
	dir := t.TempDir()
	d := Dirs{Runc: []string{filepath.Join(dir, "runc/*")}, Tasks: []string{filepath.Join(dir, "tasks/*")}, Docker: []string{filepath.Join(dir, "docker")}, Storage: []string{}}
	if c, err := d.describe(Name{ID: hexID}, "/x"); c != nil || err == nil {
		t.Fatalf("nothing there: %+v %v", c, err)
	}
	write(t, filepath.Join(dir, "tasks/k8s.io", hexID, "config.json"), pod)
	c, err := d.describe(Name{ID: hexID, PodUID: "u-1"}, "/kubepods/"+hexID)
	if err != nil {
		t.Fatal(err)
	}
	want := event.Mount{Source: "/srv/data", Dest: "/data", Mode: "rbind,rprivate,ro", Propagation: "rprivate", ReadOnly: true}
	if c.Name != "web" || c.PodName != "shop-1" || c.PodNamespace != "prod" || c.PodUID != "u-1" || c.Runtime != "containerd" ||
		c.Image != "reg.example:5000/shop/web:2.1@sha256:aa" || c.ImageRepo != "reg.example:5000/shop/web" || c.ImageTag != "2.1" || c.ImageDigest != "sha256:aa" ||
		c.Privileged != event.Yes || len(c.Mounts) != 1 || c.Mounts[0] != want || c.Rootfs != filepath.Join(dir, "tasks/k8s.io", hexID, "rootfs") {
		t.Errorf("%+v", c)
	}
	write(t, filepath.Join(dir, "docker", hexID, "config.v2.json"), `{"ID":"x","Name":"/cool","Created":"2026-01-02T03:04:05Z","Image":"sha256:bb",
"State":{"StartedAt":"0001-01-01T00:00:00Z"},"Config":{"Image":"nginx","Labels":{"b":"2","a":"1"}},"MountPoints":{"/m":{"Source":"/s","Destination":"/m","RW":false}}}`)
	write(t, filepath.Join(dir, "docker", hexID, "hostconfig.json"), `{"Privileged":false}`)
	if c, err = d.describe(Name{ID: hexID}, "/docker/"+hexID); err != nil {
		t.Fatal(err)
	}
	if c.Name != "cool" || c.ImageRepo != "nginx" || c.ImageTag != "" || c.ImageID != "sha256:bb" || c.Privileged != event.No || c.Runtime != "docker" ||
		c.StartTime != 0 || c.CreatedTime == 0 || c.Labels[0].Key != "a" || len(c.Mounts) != 1 || !c.Mounts[0].ReadOnly {
		t.Errorf("%+v", c)
	}
	// A broken file is said, and spoils nothing else.
	write(t, filepath.Join(dir, "docker", hexID, "hostconfig.json"), `{"Privileged":`)
	if c, err = d.describe(Name{ID: hexID}, "/"); c == nil || err == nil || !strings.Contains(err.Error(), "hostconfig.json") || c.Name != "cool" {
		t.Errorf("%+v %v", c, err)
	}
}

// TestHeals lets a container's state appear late: unknown first, with the reason,
// known afterwards.
func TestHeals(t *testing.T) {
	dir := t.TempDir()
	now := time.Unix(1700000000, 0)
	changed := 0
	r := NewResolver(Hierarchy{RootID: 1, Root: dir}, Options{
		Dirs: Dirs{Runc: []string{filepath.Join(dir, "runc")}, Tasks: []string{}, Docker: []string{}, Storage: []string{}},
		Now:  func() time.Time { return now }, Changed: func() { changed++ },
	})
	if a := r.Get(1, 0); a.Status != Host {
		t.Errorf("the root: %+v", a)
	}
	r.Created(7, "/docker/"+hexID)
	// step does what Run would do at this time.
	step := func() {
		r.retry()
		for {
			select {
			case e := <-r.work:
				r.resolve(e)
			default:
				return
			}
		}
	}
	if a := r.Get(7, 0); a.Status != Pending || a.Container == nil || a.Container.ID != hexID || a.Container.Unknown == "" {
		t.Errorf("just made: %+v", a)
	}
	for range hostAfter + 2 {
		step()
		now = now.Add(time.Second)
	}
	a := r.Get(7, 0)
	if a.Status != Unknown || a.Container.ID != hexID || !strings.Contains(a.Container.Unknown, "no runtime keeps state") {
		t.Errorf("without state: %+v", a)
	}
	write(t, filepath.Join(dir, "runc", hexID, "state.json"), `{"id":"x","config":{"rootfs":"/r","labels":["bundle=/nowhere","org.opencontainers.image.ref.name=app:1"]}}`)
	now = now.Add(time.Hour)
	step()
	if a = r.Get(7, 0); a.Status != Known || a.Container.Unknown != "" || a.Container.ImageTag != "1" {
		t.Errorf("with state: %+v", a)
	}
	if s := r.Stats(); s.Healed != 1 || s.Resolved != 1 || s.Containers != 1 || changed < 2 {
		t.Errorf("%+v, %d changes", s, changed)
	}
	// A cgroup that no runtime claims turns out to be the host's.
	r.Created(8, "/my-own")
	for range hostAfter + 2 {
		step()
		now = now.Add(time.Second)
	}
	if a = r.Get(8, 0); a.Status != Host {
		t.Errorf("a cgroup of nobody's: %+v", a)
	}
	r.Created(9, "/system.slice/x.service")
	if a = r.Get(9, 0); a.Status != Host {
		t.Errorf("a service: %+v", a)
	}
}

func TestBounds(t *testing.T) {
	r := NewResolver(Hierarchy{RootID: 1}, Options{Max: 8})
	for id := uint64(2); id < 100; id++ {
		r.Created(id, "/system.slice/a.service")
	}
	if s := r.Stats(); s.Cgroups != 8 || s.Evicted != 90 {
		t.Errorf("%+v", s)
	}
}

func TestUsers(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "etc/real"), "root:x:0:0::/:/bin/sh\nweb:x:33:33::/:\nweb2:x:33:1::/:\nbad\n:x:5:5\nneg:x:-1:\nbig:x:4294967296:\n")
	if err := os.Symlink("/etc/real", filepath.Join(root, "etc/passwd")); err != nil {
		t.Fatal(err)
	}
	// A link that leads out must stay inside, where it leads to nothing.
	if err := os.Symlink("/../../../../../../etc/hostname", filepath.Join(root, "etc/group")); err != nil {
		t.Fatal(err)
	}
	u := readUsers(root)
	if len(u.user) != 2 || u.user[0] != "root" || u.user[33] != "web" {
		t.Errorf("users %v (%v)", u.user, u.err)
	}
	if len(u.group) != 0 || u.err == nil {
		t.Errorf("groups %v (%v)", u.group, u.err)
	}
}

func FuzzNames(f *testing.F) {
	f.Add([]byte("root:x:0:0\nweb:x:33:"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m := parseNames(b); len(m) > maxUsers {
			t.Errorf("%d names", len(m))
		}
	})
}

// FuzzState reads any bytes as any of the runtimes' files.
func FuzzState(f *testing.F) {
	f.Add([]byte(pod))
	f.Add([]byte(`{"id":"x","config":{"labels":["bundle=/b","a=b"]}}`))
	f.Add([]byte(`{"Name":"/x","MountPoints":{"a":{"RW":true}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c := &event.Container{ID: hexID}
		var b bundle
		var d dockerConfig
		var s runcState
		if json.Unmarshal(text, &b) == nil {
			fromBundle(c, &b, "/bundle", Dirs{})
		}
		if json.Unmarshal(text, &d) == nil {
			fromDocker(c, &d)
		}
		_ = json.Unmarshal(text, &s) // only its errors are of interest, and they are errors
		if c.ID != hexID || len(c.Labels) > maxLabels || len(c.Mounts) > maxMounts || len(c.Image) > maxText || len(c.Name) > maxText || len(c.PodName) > maxText {
			t.Errorf("%+v", c)
		}
	})
}
