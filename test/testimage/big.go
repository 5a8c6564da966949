package testimage

import (
	"archive/zip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// BigOptions say how to make the big image.
type BigOptions struct {
	Dir    string    // working directory, kept: a second run reuses what is there
	Module string    // root of this repository, whose programs are the Go content
	Log    io.Writer // nil = silent
}

// BigTag is the reference that the big image carries.
const BigTag = "dockreeve.test/big:1"

// Parts of the big image. npm's packages are old versions with known
// vulnerabilities; Debian's are those of the release, with Java and Python libraries.
var (
	bigBase = []string{"ca-certificates"}
	bigDebs = []string{"nodejs", "python3", "python3-requests", "python3-yaml", "python3-jinja2", "python3-cryptography",
		"libcommons-lang3-java", "libjackson2-databind-java", "liblog4j2-java", "libguava-java", "libcommons-io-java", "libcommons-compress-java"}
	bigNPM = []string{"express@4.16.0", "lodash@4.17.4", "axios@0.18.0", "minimist@1.2.0", "ws@7.0.0", "moment@2.18.1"}
)

// Big makes the image that benchmarks scan, as a docker archive: about 300 MB of
// Debian with Node, Python, Go and Java content in four layers. It needs root,
// debootstrap, npm, go, and their registries. It returns the archive's path.
func Big(ctx context.Context, o BigOptions) (string, error) {
	out := filepath.Join(o.Dir, "big.tar")
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return "", err
	}
	root := filepath.Join(o.Dir, "rootfs")
	if err := os.RemoveAll(root); err != nil {
		return "", err
	}
	var layers []v1.Layer
	var before Snapshot
	step := func(what string, do func() error) error {
		o.say(what)
		if err := do(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		file := filepath.Join(o.Dir, fmt.Sprintf("layer%d.tar", len(layers)))
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		if err := Diff(f, root, before); err != nil {
			f.Close()
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		if before, err = Take(root); err != nil {
			return err
		}
		l, err := LayerFile(file)
		if err != nil {
			return err
		}
		layers = append(layers, l)
		return nil
	}
	for _, s := range []struct {
		what string
		do   func() error
	}{
		{"base system", func() error { return Debootstrap(ctx, root, o.Log, bigBase...) }},
		{"Debian packages", func() error {
			if err := o.run(ctx, "", "chroot", root, "apt-get", "update", "-q"); err != nil {
				return err
			}
			if err := o.run(ctx, "", "chroot", append([]string{root, "apt-get", "install", "-y", "-q", "--no-install-recommends"}, bigDebs...)...); err != nil {
				return err
			}
			return clean(root)
		}},
		{"npm packages", func() error {
			app := filepath.Join(root, "srv/app")
			if err := os.MkdirAll(app, 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(app, "package.json"), []byte(`{"name":"app","version":"1.0.0","private":true}`), 0o644); err != nil {
				return err
			}
			return o.run(ctx, app, "npm", append([]string{"install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"}, bigNPM...)...)
		}},
		{"Go programs and a fat jar", func() error {
			if err := o.run(ctx, o.Module, "go", "build", "-trimpath", "-o", filepath.Join(root, "usr/local/bin")+"/", "./cmd/..."); err != nil {
				return err
			}
			return fatJar(filepath.Join(root, "srv/app.jar"), filepath.Join(root, "usr/share/java"))
		}},
	} {
		if err := step(s.what, s.do); err != nil {
			return "", err
		}
	}
	img, err := Image(v1.Config{Entrypoint: []string{"/usr/bin/node", "/srv/app/index.js"}, Env: []string{"PATH=/usr/bin:/bin"}}, layers...)
	if err != nil {
		return "", err
	}
	ref, err := name.NewTag(BigTag)
	if err != nil {
		return "", err
	}
	o.say("archive")
	if err := tarball.WriteToFile(out+".part", ref, img); err != nil {
		return "", err
	}
	return out, os.Rename(out+".part", out)
}

func (o *BigOptions) say(what string) {
	if o.Log != nil {
		fmt.Fprintf(o.Log, "test image: %s\n", what)
	}
}

func (o *BigOptions) run(ctx context.Context, dir, cmd string, args ...string) error {
	return run(ctx, dir, o.Log, cmd, args...)
}

func run(ctx context.Context, dir string, log io.Writer, cmd string, args ...string) error {
	c := exec.CommandContext(ctx, cmd, args...)
	c.Dir = dir
	// Nothing here has to survive a power cut: dpkg need not wait for the disk.
	c.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "DPKG_FORCE=unsafe-io")
	var tail tailBuffer
	c.Stdout, c.Stderr = &tail, &tail
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", cmd, strings.Join(args, " "), err, tail.b)
	}
	return nil
}

// tailBuffer keeps the last few kilobytes of a command's output, for its error.
type tailBuffer struct{ b []byte }

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - 4096; over > 0 {
		t.b = t.b[over:]
	}
	return len(p), nil
}

// Debootstrap makes a Debian 12 root file system, without package lists and caches.
// It needs root.
func Debootstrap(ctx context.Context, root string, log io.Writer, packages ...string) error {
	args := []string{"--variant=minbase"}
	if len(packages) > 0 {
		args = append(args, "--include="+strings.Join(packages, ","))
	}
	if err := run(ctx, "", log, "debootstrap", append(args, "bookworm", root, mirror())...); err != nil {
		return err
	}
	return clean(root)
}

// clean removes what apt keeps to itself, as a careful image does.
func clean(root string) error {
	for _, glob := range []string{"var/cache/apt/*", "var/lib/apt/lists/*", "var/log/*.log", "var/log/apt"} {
		names, err := filepath.Glob(filepath.Join(root, glob))
		if err != nil {
			return err
		}
		for _, n := range names {
			if err := os.RemoveAll(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// mirror is the Debian mirror this machine's apt uses, so that where apt works
// debootstrap does.
func mirror() string {
	const usual = "http://deb.debian.org/debian"
	names, _ := filepath.Glob("/etc/apt/sources.list.d/*.sources") // the pattern is right, which is all Glob complains of
	for _, file := range append(names, "/etc/apt/sources.list") {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for _, w := range strings.Fields(string(b)) {
			if (strings.HasPrefix(w, "http://") || strings.HasPrefix(w, "https://")) && strings.HasSuffix(strings.TrimSuffix(w, "/"), "/debian") && !strings.Contains(w, "snapshot") {
				return w
			}
		}
	}
	return usual
}

// fatJar packs every jar of a directory into one, as application servers want them.
func fatJar(path, dir string) error {
	jars, err := filepath.Glob(filepath.Join(dir, "*.jar"))
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	z := zip.NewWriter(f)
	for _, jar := range jars {
		if info, err := os.Lstat(jar); err != nil || !info.Mode().IsRegular() {
			continue // links to the same jar under a name without a version
		}
		b, err := os.ReadFile(jar)
		if err != nil {
			return err
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: "BOOT-INF/lib/" + filepath.Base(jar), Method: zip.Store})
		if err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	w, err := z.Create("META-INF/MANIFEST.MF")
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, "Manifest-Version: 1.0\r\nImplementation-Title: app\r\nImplementation-Version: 1.0.0\r\n\r\n"); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Close()
}

// NPMPackages lists, by npm itself, what is installed below a directory: name@version.
func NPMPackages(ctx context.Context, dir string) ([]string, error) {
	c := exec.CommandContext(ctx, "npm", "ls", "--all", "--json", "--prefix", dir)
	b, err := c.Output()
	if len(b) == 0 && err != nil {
		return nil, err
	}
	type node struct {
		Version      string          `json:"version"`
		Dependencies map[string]node `json:"dependencies"`
	}
	var top node
	if err := json.Unmarshal(b, &top); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var visit func(n node)
	visit = func(n node) {
		for name, d := range n.Dependencies {
			if d.Version != "" {
				seen[name+"@"+d.Version] = true
			}
			visit(d)
		}
	}
	visit(top)
	var out []string
	for p := range seen {
		out = append(out, p)
	}
	return out, nil
}
