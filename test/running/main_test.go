// Package running tries the promise about images that run, with the built command and a
// real containerd of its own: what is first seen running is scanned from the node's
// store, joined with what its containers load, and followed from build to build. What
// should be found is told by dpkg, by the kernel and by hand, never by the scanner.
package running

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/dockreeve/dockreeve/server/client"
	"github.com/dockreeve/dockreeve/test/need"
	"github.com/dockreeve/dockreeve/test/testimage"
)

// patience bounds every wait. Nothing here takes nearly as long on a machine that works.
const patience = 2 * time.Minute

var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if program = os.Getenv("DOCKREEVE_PROGRAM"); program != "" {
			return m.Run()
		}
		if os.Getuid() != 0 {
			return m.Run() // every test skips
		}
		dir, err := os.MkdirTemp("", "dockreeve-test-running-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "dockreeve")
		c := exec.Command("go", "build", "-trimpath", "-o", program, "./cmd/dockreeve")
		c.Dir, c.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build dockreeve: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// until asks again and again, without a fixed wait, and fails the test with what when
// nothing comes of it.
func until(t testing.TB, what string, ok func() (done bool, state string)) time.Duration {
	t.Helper()
	start := time.Now()
	for {
		done, state := ok()
		if done {
			return time.Since(start)
		}
		if time.Since(start) > patience {
			t.Fatalf("not within %v: %s; now: %s", patience, what, state)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// store is a containerd of this test alone.
type store struct {
	t                    testing.TB
	dir, root, namespace string
	socket               string
	layouts              map[string]string // of what was loaded, by name
}

// newStore starts containerd with directories of its own.
func newStore(t testing.TB) *store {
	t.Helper()
	need.Root(t)
	need.Command(t, need.Kernel, "runc")
	need.Command(t, need.Kernel, "ctr")
	bin := need.Command(t, need.Kernel, "containerd")
	dir := must(os.MkdirTemp("", "dockreeve-ctd-"))(t)
	s := &store{t: t, dir: dir, root: filepath.Join(dir, "root"), namespace: fmt.Sprintf("dockreeve-test-%d", os.Getpid()), socket: filepath.Join(dir, "c.sock"), layouts: map[string]string{}}
	config := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = %q\n", s.root, filepath.Join(dir, "state"), s.socket)
	if err := os.WriteFile(filepath.Join(dir, "config.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(bin, "-c", filepath.Join(dir, "config.toml"))
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, id := range s.containers() {
			s.remove(id)
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		unmountBelow(dir)
		if err := errors.Join(os.RemoveAll(dir), os.RemoveAll("/run/containerd/runc/"+s.namespace)); err != nil {
			t.Error(err)
		}
		if t.Failed() && testing.Verbose() {
			t.Logf("containerd said:\n%.4000s", log.String())
		}
	})
	until(t, "containerd answers", func() (bool, string) {
		out, err := s.try("version")
		return err == nil, out
	})
	return s
}

func (s *store) try(args ...string) (string, error) {
	out, err := exec.Command("ctr", append([]string{"-a", s.socket, "-n", s.namespace}, args...)...).CombinedOutput()
	return string(out), err
}

func (s *store) ctr(args ...string) string {
	s.t.Helper()
	out, err := s.try(args...)
	if err != nil {
		s.t.Fatalf("ctr %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (s *store) containers() []string {
	out, _ := s.try("containers", "list", "-q")
	return strings.Fields(out)
}

// remove ends a container and forgets it; it may have ended.
func (s *store) remove(id string) {
	_, _ = s.try("tasks", "kill", "-s", "SIGKILL", id)
	until(s.t, "container "+id+" is gone", func() (bool, string) {
		_, _ = s.try("tasks", "delete", id)
		out, _ := s.try("containers", "delete", id)
		return !slices.Contains(s.containers(), id), out
	})
}

// load puts an image into the store under a name, with the digest it has anywhere else.
func (s *store) load(ref string, img v1.Image) string {
	s.t.Helper()
	dir := s.t.TempDir()
	p := must(layout.Write(filepath.Join(dir, "layout"), empty.Index))(s.t)
	if err := p.AppendImage(img, layout.WithAnnotations(map[string]string{"io.containerd.image.name": ref})); err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(dir, "image.tar")
	if err := pack(file, filepath.Join(dir, "layout")); err != nil {
		s.t.Fatal(err)
	}
	s.ctr("images", "import", file)
	s.layouts[ref] = filepath.Join(dir, "layout")
	return must(img.Digest())(s.t).String()
}

func pack(file, dir string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := tar.NewWriter(f)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(w.Close(), f.Close())
}

func unmountBelow(dir string) {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return
	}
	var places []string
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], dir+"/") {
			places = append(places, f[1])
		}
	}
	slices.Reverse(places)
	for _, p := range places {
		_ = syscall.Unmount(p, syscall.MNT_DETACH)
	}
}

// debs are what the base image has beside Debian's own.
var debs = []string{"python3", "nodejs"}

// base is a Debian with Python and Node, made once and kept: its layer, and the versions
// that dpkg says it has, by source package.
func base(t testing.TB) (layer v1.Layer, versions map[string]string) {
	t.Helper()
	cache := os.Getenv("DOCKREEVE_TEST_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			user = os.TempDir()
		}
		cache = filepath.Join(user, "dockreeve-test")
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	lock := must(os.OpenFile(filepath.Join(cache, "running.lock"), os.O_CREATE|os.O_RDWR, 0o644))(t)
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	key := sha256.Sum256([]byte(strings.Join(debs, " ")))
	dir := filepath.Join(cache, fmt.Sprintf("running-%x", key[:6]))
	file, root := filepath.Join(dir, "layer.tar.gz"), filepath.Join(dir, "rootfs")
	if _, err := os.Stat(root); err != nil {
		need.Command(t, need.Debian, "debootstrap")
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
		defer cancel()
		part := dir + ".part"
		if err := os.RemoveAll(part); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(part, "rootfs"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := testimage.Debootstrap(ctx, filepath.Join(part, "rootfs"), nil, debs...); err != nil {
			need.Skip(t, need.Debian, "debootstrap could not make the image: "+err.Error())
		}
		if err := os.Rename(part, dir); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(file); err != nil {
		if err := compressed(file+".part", root); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".part", file); err != nil {
			t.Fatal(err)
		}
	}
	dpkg := need.Command(t, need.Debian, "dpkg-query")
	out, err := exec.Command(dpkg, "--admindir="+filepath.Join(root, "var/lib/dpkg"), "-W", "-f=${source:Package}\t${source:Version}\n").Output()
	if err != nil {
		t.Fatalf("dpkg-query: %v", err)
	}
	versions = map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, version, _ := strings.Cut(strings.TrimSpace(line), "\t")
		versions[name] = version
	}
	return must(tarball.LayerFromFile(file))(t), versions
}

func compressed(file, root string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return err
	}
	return errors.Join(testimage.Diff(z, root, nil), z.Close(), f.Close())
}

// server is `dockreeve up`, watching this machine.
type server struct {
	t     testing.TB
	api   *client.Client
	url   string
	state string
	db    string
	cmd   *exec.Cmd
}

// up starts it and returns when it watches.
func up(t testing.TB, s *store, db string) *server {
	t.Helper()
	u := &server{t: t, state: t.TempDir(), db: db}
	var said lockedBuffer
	u.cmd = exec.Command(program, "up", "--state", u.state, "--listen", "127.0.0.1:0", "--db", db, "--containerd-root", s.root, "-v")
	u.cmd.Env = append(os.Environ(), "HOME="+u.state)
	u.cmd.Stdout, u.cmd.Stderr = &said, &said
	if err := u.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = u.cmd.Process.Signal(os.Interrupt)
		if err := u.cmd.Wait(); err != nil {
			t.Errorf("dockreeve up ended with %v:\n%.8000s", err, said.String())
		}
		if t.Failed() {
			t.Logf("dockreeve up said:\n%.8000s", said.String())
		}
	})
	until(t, "dockreeve up greets", func() (bool, string) {
		return strings.Contains(said.String(), "Watching this machine"), said.String()
	})
	u.url = strings.TrimSpace(string(must(os.ReadFile(filepath.Join(u.state, "address")))(t)))
	until(t, "there is a token", func() (bool, string) {
		var err error
		u.api, err = client.New(client.Options{URL: u.url, StateDir: u.state})
		return err == nil, fmt.Sprint(err)
	})
	return u
}

// run runs another command of the program against the server.
func (u *server) run(args ...string) (string, error) {
	c := exec.Command(program, args...)
	c.Env = append(os.Environ(), "HOME="+u.state, "DOCKREEVE_STATE="+u.state, "CI=1", "LC_ALL=C")
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("dockreeve %s: %w\n%s", strings.Join(args, " "), err, errs.String())
	}
	return string(out), err
}

// cpu is the processor time that `up` has used.
func (u *server) cpu() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", u.cmd.Process.Pid))
	if err != nil {
		u.t.Fatal(err)
	}
	var user, system int64
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	_, _ = fmt.Sscan(f[11], &user)
	_, _ = fmt.Sscan(f[12], &system)
	return time.Duration(user+system) * 10 * time.Millisecond // the kernel's user interface counts hundredths
}

var _ io.Writer = (*lockedBuffer)(nil)
