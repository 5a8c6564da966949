package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The versions the lab is made of. Kubernetes and etcd are those of test/lab/go.mod.
const (
	containerdVersion = "v2.4.2"
	cniVersion        = "v1.9.1"
	kwokVersion       = "v0.8.0"
	buildVersion      = "1" // raise it when what build.go does changes in a way the keys below do not show
)

// The images that every node of the lab holds.
const (
	PauseImage   = "registry.k8s.io/pause:3.10.1" // by name; the program is our own
	BusyboxImage = "docker.io/library/busybox:1.35"
	ToolsImage   = "registry.dockreeve.lab/tools:1" // busybox and apicall
)

// programs are the links to kubelab.
var programs = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"}

// part is something that is built once and kept by content.
type part struct {
	name string
	key  func(b *builder, h io.Writer) error // writes everything that its content depends on
	make func(ctx context.Context, b *builder, dir string) error
}

func parts() map[string]part {
	return map[string]part{
		"kube":       {"kube", keyFiles("go.mod", "go.sum", "kubelab"), makeKube},
		"hook":       {"hook", keyFiles("go.mod", "hook"), makeHook},
		"containerd": {"containerd", keyText(containerdVersion, containerdTags), makeContainerd},
		"cni":        {"cni", keyText(cniVersion), makeCNI},
		"images":     {"images", keyImages, makeImages},
		"kwok":       {"kwok", keyText(kwokVersion), makeKwok},
	}
}

// ControlParts and NodeParts are what a control plane and a lab with nodes need; kwok is
// asked for by its name.
var (
	ControlParts = []string{"kube", "hook"}
	NodeParts    = []string{"kube", "hook", "containerd", "cni", "images"}
)

type builder struct {
	source string // test/lab
	log    io.Writer
	goVer  string
}

// CacheDir is where what was built is kept: DOCKREEVE_LAB_CACHE, else dockreeve/lab in the
// user's cache directory. To build everything anew costs a quarter of an hour of CPU time,
// so nothing here ever deletes it.
func CacheDir() (string, error) {
	if d := os.Getenv("DOCKREEVE_LAB_CACHE"); d != "" {
		return filepath.Abs(d)
	}
	d, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("the lab needs a cache: %w; set DOCKREEVE_LAB_CACHE", err)
	}
	return filepath.Join(d, "dockreeve", "lab"), nil
}

// Build makes the named parts unless the cache has them, and returns the directory of
// each. What it does is told on log, one line a step.
func Build(ctx context.Context, names []string, log io.Writer) (map[string]string, error) {
	source, err := sourceDir()
	if err != nil {
		return nil, err
	}
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, fmt.Errorf("make the lab's cache: %w", err)
	}
	v, err := exec.CommandContext(ctx, "go", "version").Output()
	if err != nil {
		return nil, fmt.Errorf("the lab is built with go: %w", err)
	}
	b := &builder{source: source, log: log, goVer: strings.TrimSpace(string(v))}
	dirs := map[string]string{}
	for _, n := range names {
		p, ok := parts()[n]
		if !ok {
			return nil, fmt.Errorf("the lab has no part %q", n)
		}
		if dirs[n], err = b.have(ctx, cache, p); err != nil {
			return nil, err
		}
	}
	return dirs, nil
}

// have returns the part's directory in the cache, and makes it first where it is missing.
// Two processes that want the same part at once make it once.
func (b *builder) have(ctx context.Context, cache string, p part) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, buildVersion, b.goVer, runtime.GOARCH)
	if err := p.key(b, h); err != nil {
		return "", fmt.Errorf("the lab's %s: %w", p.name, err)
	}
	dir := filepath.Join(cache, p.name+"-"+hex.EncodeToString(h.Sum(nil))[:16])
	if complete(dir) {
		return dir, nil
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("the lab's cache: %w", err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock the lab's cache: %w", err)
	}
	if complete(dir) {
		return dir, nil
	}
	tmp, err := os.MkdirTemp(cache, p.name+"-making-")
	if err != nil {
		return "", fmt.Errorf("the lab's cache: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", fmt.Errorf("the lab's cache: %w", err)
	}
	begin := time.Now()
	fmt.Fprintf(b.log, "building the lab's %s (once; kept in %s)\n", p.name, dir)
	if err := p.make(ctx, b, tmp); err != nil {
		return "", fmt.Errorf("build the lab's %s: %w", p.name, err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return "", fmt.Errorf("keep the lab's %s: %w", p.name, err)
	}
	fmt.Fprintf(b.log, "built %s in %.0f s\n", p.name, time.Since(begin).Seconds())
	return dir, nil
}

// complete reports whether a part is there: it is renamed to its place only when whole.
func complete(dir string) bool {
	st, err := os.Stat(dir)
	return err == nil && st.IsDir()
}

// sourceDir finds test/lab from the directory of this module's root.
func sourceDir() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/dockreeve/dockreeve").Output()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w; run it inside", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "test", "lab"), nil
}

func keyText(s ...string) func(*builder, io.Writer) error {
	return func(_ *builder, h io.Writer) error { _, err := fmt.Fprintln(h, s); return err }
}

// keyFiles depends on files of test/lab and on the Go files of its directories.
func keyFiles(names ...string) func(*builder, io.Writer) error {
	return func(b *builder, h io.Writer) error {
		for _, n := range names {
			files := []string{filepath.Join(b.source, n)}
			if st, err := os.Stat(files[0]); err == nil && st.IsDir() {
				files, err = filepath.Glob(filepath.Join(b.source, n, "*.go"))
				if err != nil || len(files) == 0 {
					return fmt.Errorf("no Go files in %s", filepath.Join(b.source, n))
				}
				sort.Strings(files)
			}
			for _, f := range files {
				text, err := os.ReadFile(f)
				if err != nil {
					return err
				}
				fmt.Fprintln(h, filepath.Base(f), len(text))
				if _, err := h.Write(text); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// run runs a build command; what it says goes to the log as it comes.
func (b *builder) run(ctx context.Context, dir string, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, "nice", append([]string{"-n", "10", name}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, b.log, b.log
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="), env...)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args[:min(len(args), 3)], " "), err)
	}
	return nil
}

func makeKube(ctx context.Context, b *builder, dir string) error {
	out, err := b.module(ctx, "k8s.io/kubernetes")
	if err != nil {
		return err
	}
	version := out.Version
	minor, _, _ := strings.Cut(strings.TrimPrefix(version, "v1."), ".")
	flags := "-s -w"
	for _, p := range []string{"k8s.io/client-go/pkg/version", "k8s.io/component-base/version"} {
		flags += fmt.Sprintf(" -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=1 -X %[1]s.gitMinor=%[3]s -X %[1]s.gitTreeState=clean", p, version, minor)
	}
	if err := b.run(ctx, b.source, nil, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", filepath.Join(dir, "kubelab"), "./kubelab"); err != nil {
		return err
	}
	for _, n := range programs {
		if err := os.Symlink("kubelab", filepath.Join(dir, n)); err != nil {
			return err
		}
	}
	return nil
}

func makeHook(ctx context.Context, b *builder, dir string) error {
	return b.run(ctx, b.source, nil, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", filepath.Join(dir, "hook"), "./hook")
}

const containerdTags = "netgo osusergo static_build no_btrfs no_zfs no_devmapper"

func makeContainerd(ctx context.Context, b *builder, dir string) error {
	const path = "github.com/containerd/containerd/v2"
	args := []string{"install", "-trimpath", "-tags", containerdTags, "-ldflags", "-s -w -X " + path + "/version.Version=" + containerdVersion}
	for _, c := range []string{"containerd", "containerd-shim-runc-v2", "ctr"} {
		args = append(args, path+"/cmd/"+c+"@"+containerdVersion)
	}
	return b.run(ctx, dir, []string{"GOBIN=" + dir}, "go", args...)
}

func makeCNI(ctx context.Context, b *builder, dir string) error {
	args := []string{"install", "-trimpath", "-ldflags", "-s -w"}
	for _, p := range []string{"main/bridge", "main/loopback", "ipam/host-local", "meta/portmap"} {
		args = append(args, "github.com/containernetworking/plugins/plugins/"+p+"@"+cniVersion)
	}
	return b.run(ctx, dir, []string{"GOBIN=" + dir}, "go", args...)
}

// makeKwok also keeps the stages that make nodes ready and pods run at once.
func makeKwok(ctx context.Context, b *builder, dir string) error {
	if err := b.run(ctx, dir, []string{"GOBIN=" + dir}, "go", "install", "-trimpath", "-ldflags", "-s -w", "sigs.k8s.io/kwok/cmd/kwok@"+kwokVersion); err != nil {
		return err
	}
	m, err := b.module(ctx, "sigs.k8s.io/kwok@"+kwokVersion)
	if err != nil {
		return err
	}
	stages, err := filepath.Glob(filepath.Join(m.Dir, "kustomize/stage/pod/fast/*.yaml"))
	if err != nil {
		return err
	}
	stages = append(stages, filepath.Join(m.Dir, "kustomize/stage/node/fast/node-initialize.yaml"), filepath.Join(m.Dir, "kustomize/stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml"))
	var all []byte
	for _, s := range stages {
		if strings.HasPrefix(filepath.Base(s), "kustomization") {
			continue
		}
		text, err := os.ReadFile(s)
		if err != nil {
			return err
		}
		all = append(append(all, "---\n"...), text...)
	}
	if len(all) == 0 {
		return errors.New("the module has no stages")
	}
	return os.WriteFile(filepath.Join(dir, "stages.yaml"), all, 0o644)
}
