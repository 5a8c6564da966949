package running

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	apiv1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/internal/sandbox"
	"github.com/dockreeve/dockreeve/test/need"
	"github.com/dockreeve/dockreeve/test/testimage"
)

// What a small Debian-like root file system says of itself.
const (
	smallRelease = "ID=debian\nVERSION_ID=12\nVERSION_CODENAME=bookworm\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"
	smallStatus  = "Package: dockreeve-small\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.34+dfsg-1.2\nMaintainer: x\nDescription: x\n\n"
)

// plain makes a root file system directory with busybox.
func plain(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	body := must(os.ReadFile(need.Command(t, need.Kernel, "busybox")))(t)
	for name, b := range map[string][]byte{"bin/busybox": body, "etc/os-release": []byte(smallRelease), "var/lib/dpkg/status": []byte(smallStatus), "proc/.keep": nil} {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// runc starts a container of a root file system with runc alone; nothing tells of an image.
func runc(t testing.TB, root, id string, argv ...string) {
	t.Helper()
	bin := need.Command(t, need.Kernel, "runc")
	bundle := t.TempDir()
	var namespaces []map[string]string
	for _, n := range []string{"pid", "mount", "network", "ipc", "uts"} {
		namespaces = append(namespaces, map[string]string{"type": n})
	}
	config := must(json.Marshal(map[string]any{
		"ociVersion": "1.0.2", "root": map[string]any{"path": root}, "hostname": "x",
		"process": map[string]any{"args": argv, "cwd": "/", "env": []string{"PATH=/bin"}},
		"mounts":  []map[string]any{{"destination": "/proc", "type": "proc", "source": "proc"}},
		"linux":   map[string]any{"cgroupsPath": "/" + id, "namespaces": namespaces},
	}))(t)
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "run", "--detach", "--bundle", bundle, id)
	if err := cmd.Run(); err != nil {
		t.Fatalf("runc run %s: %v", id, err)
	}
	t.Cleanup(func() { _ = exec.Command(bin, "delete", "--force", id).Run() })
}

// small are the images of this test's root file systems; others may run on the machine.
func (u *server) small() []*apiv1.Image {
	var out []*apiv1.Image
	have := map[string]bool{}
	for _, r := range u.images("package:dockreeve-small") {
		have[r.Key] = true
	}
	for _, r := range u.images("") {
		own := func(name string) bool { return strings.HasPrefix(name, "dockreeve-test-") }
		if have[r.Key] || own(r.Name) || slices.ContainsFunc(r.Workloads, own) {
			out = append(out, r)
		}
	}
	return out
}

// TestRootFileSystemsAreFewImages starts many containers without any image: of one
// directory, and of copies of it.
func TestRootFileSystemsAreFewImages(t *testing.T) {
	s := newStore(t)
	db := filepath.Join(t.TempDir(), "none.db")
	root := plain(t)
	u := up(t, s, db)
	name := func(i int) string { return fmt.Sprintf("dockreeve-test-%d-%d", os.Getpid(), i) }
	for i := range 10 {
		runc(t, root, name(i), "/bin/busybox", "usleep", "700000")
	}
	// The last one goes on: with it every report of those before is in.
	runc(t, root, name(10), "/bin/busybox", "sleep", "1000")
	var rows []*apiv1.Image
	until(t, "the root file system is scanned once", func() (bool, string) {
		rows = u.small()
		return len(rows) == 1 && rows[0].ScannedAt != 0 && rows[0].Running == 1, fmt.Sprint(rows)
	})
	if r := rows[0]; r.Source != "rootfs" || !strings.HasPrefix(r.Key, "rootfs:") || r.Packages != 1 || !strings.HasPrefix(r.Distro, "Debian") {
		t.Errorf("%+v", r)
	}

	// Copies in places of their own are known to be the same once they are read.
	files := map[string]string{"/etc/os-release": smallRelease, "/var/lib/dpkg/status": smallStatus}
	for i := range 3 {
		box := must(sandbox.Create(t.Context(), sandbox.Options{Files: files}))(t)
		t.Cleanup(func() { _ = box.Close() })
		until(t, "copies are one image", func() (bool, string) {
			rows = u.small()
			running := int64(0)
			for _, r := range rows {
				running += r.Running
			}
			return running == int64(i)+2 && len(rows) <= 2, fmt.Sprint(rows)
		})
	}
	for _, r := range u.small() {
		if strings.Contains(r.NotAssessed, "configuration checks") {
			t.Errorf("no verdict because of %q", r.NotAssessed)
		}
	}
}

// TestAlertsArriveWhileImagesAreScanned has a shell read the passwords while a big image
// is scanned for the first time.
func TestAlertsArriveWhileImagesAreScanned(t *testing.T) {
	s := newStore(t)
	debian, versions := base(t)
	db := advisories(t, versions)
	digest := s.load("registry.example/shop/big:1", image(t, debian, "4.17.4", "big"))
	box := must(sandbox.Create(t.Context(), sandbox.Options{Files: map[string]string{"/etc/shadow": "demo:*:1::::::\n"}}))(t)
	t.Cleanup(func() { _ = box.Close() })
	u := up(t, s, db)
	before, wall := u.cpu(), time.Now()
	s.start("registry.example/shop/big:1", "big", "big-1")
	until(t, "the image is known to run", func() (bool, string) {
		d := u.image(digest)
		return d.Image.Running == 1, fmt.Sprint(d.Image)
	})
	alerts, during := int64(0), 0
	var slowest time.Duration
	// No more than 15: from the twentieth on, repeats of one finding are counted together
	// every few seconds, scan or no scan.
	for during < 15 && u.image(digest).Image.ScannedAt == 0 {
		must(box.Exec(t.Context(), "/bin/cat", "/etc/shadow"))(t)
		took := until(t, "the alert", func() (bool, string) {
			res := must(u.api.Alerts.ListAlerts(t.Context(), connect.NewRequest(&apiv1.ListAlertsRequest{Filter: "rule:credential-file-read"})))(t)
			n := int64(0)
			for _, a := range res.Msg.Alerts {
				n += a.Count
			}
			if n > alerts {
				alerts = n
				return true, ""
			}
			return false, fmt.Sprint(res.Msg.Alerts)
		})
		slowest = max(slowest, took)
		during++
	}
	u.verdict(digest, 1)
	t.Logf("%d alerts arrived while the image was scanned, the slowest after %v; %v of processor time in %v", during, slowest.Round(time.Millisecond), u.cpu()-before, time.Since(wall).Round(time.Millisecond))
	if during == 0 {
		t.Skip("the image was scanned before an alert could be asked for")
	}
	status := must(u.api.Status.GetStatus(t.Context(), connect.NewRequest(&apiv1.GetStatusRequest{})))(t).Msg
	if len(status.Losses) > 0 {
		t.Errorf("lost while scanning: %v", status.Losses)
	}
}

// small is an image of busybox and one package, of a mark's own.
func small(t testing.TB, mark string) v1.Image {
	t.Helper()
	body := must(os.ReadFile(need.Command(t, need.Kernel, "busybox")))(t)
	return must(testimage.Of(v1.Config{Cmd: []string{"/bin/busybox"}},
		[]testimage.File{{Name: "bin/"}, {Name: "bin/busybox", Body: string(body), Mode: 0o755}},
		[]testimage.File{{Name: "etc/os-release", Body: smallRelease}, {Name: "var/lib/dpkg/status", Body: smallStatus}, {Name: "mark", Body: mark}}))(t)
}

// TestWhatContainerdThrewAway runs an image whose layers were discarded after unpacking,
// as clusters are often configured, and a container whose tag was given to another image.
func TestWhatContainerdThrewAway(t *testing.T) {
	s := newStore(t)
	discarded := small(t, "discarded")
	digest := s.load("registry.example/small:1", discarded)
	for _, l := range must(discarded.Layers())(t) {
		s.ctr("content", "rm", must(l.Digest())(t).String())
	}
	first, second := small(t, "first"), small(t, "second")
	old := s.load("registry.example/moved:1", first)
	s.run("registry.example/moved:1", "moved", "moved-1", "/bin/busybox", "sleep", "1000")
	newer := s.load("registry.example/moved:1", second)
	u := up(t, s, filepath.Join(t.TempDir(), "none.db"))
	s.run("registry.example/small:1", "small", "small-1", "/bin/busybox", "sleep", "1000")

	var d *apiv1.GetImageResponse
	until(t, "an image without its layers' blobs is read from its snapshots", func() (bool, string) {
		d = u.image(digest)
		return d.Image.ScannedAt != 0 && d.Image.Running == 1, fmt.Sprint(d.Image, u.images(""))
	})
	if d.Image.Source != "containerd" || d.Image.Packages != 1 {
		t.Errorf("%+v, not assessed: %v", d.Image, d.NotAssessed)
	}
	var moved []*apiv1.Image
	until(t, "a container of an image that lost its name", func() (bool, string) {
		moved = u.images("workload:shop/pod/moved-1")
		return len(moved) == 1 && moved[0].ScannedAt != 0, fmt.Sprint(u.images(""))
	})
	if m := moved[0]; m.Key == newer || m.Key != old && !strings.HasPrefix(m.Key, "rootfs:") || m.Packages != 1 {
		t.Errorf("the container of %s, whose tag is now %s's, is said to be of %+v", old, newer, m)
	}
	t.Logf("known by %.20s from its %s", moved[0].Key, moved[0].Source)
}
