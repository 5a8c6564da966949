package scan_test

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/dockreeve/dockreeve/test/need"
	"github.com/dockreeve/dockreeve/test/testimage"
)

// What the image is made of. npm's and Go's are old versions.
var (
	debs = []string{"python3-requests", "python3-yaml", "libcommons-lang3-java", "libjackson2-databind-java"}
	npms = []string{"lodash@4.17.4", "minimist@1.2.0", "express@4.16.0", "left-pad@1.3.0", "@babel/parser@7.0.0"}
)

const goMain = `package main

import (
	"fmt"

	"golang.org/x/text/language"
	"gopkg.in/yaml.v2"
)

func main() {
	b, _ := yaml.Marshal(language.German.String())
	fmt.Printf("%s", b)
}
`

const goMod = `module example.test/old

go 1.20

require (
	golang.org/x/text v0.3.5
	gopkg.in/yaml.v2 v2.2.2
)
`

// A Python package as pip leaves it, of a name that Debian has installed too.
const pipMetadata = "Metadata-Version: 2.1\nName: urllib3\nVersion: 1.26.4\nSummary: HTTP library\n\n"

// real is the image that most tests scan, and the tree it unpacks to.
type real struct {
	dir    string // kept between runs
	root   string // what the image unpacks to
	layers []string
	image  v1.Image
}

var realOnce struct {
	sync.Mutex
	r *real
}

// realImage makes the image, or takes the one that an earlier run made. It skips where
// the machine cannot make one.
func realImage(t testing.TB) *real {
	t.Helper()
	realOnce.Lock()
	defer realOnce.Unlock()
	if realOnce.r != nil {
		return realOnce.r
	}
	cache := cacheDir(t)
	key := sha256.Sum256([]byte(strings.Join([]string{"2", strings.Join(debs, " "), strings.Join(npms, " "), goMain, goMod, pipMetadata, runtime.Version(), runtime.GOARCH}, "\x00")))
	dir := filepath.Join(cache, fmt.Sprintf("scan-%x", key[:6]))
	lock := must(os.OpenFile(filepath.Join(cache, "scan.lock"), os.O_CREATE|os.O_RDWR, 0o644))(t)
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		if os.Getuid() != 0 {
			need.Skip(t, need.Debian, "not root, which debootstrap needs")
		}
		need.Command(t, need.Debian, "debootstrap")
		need.Command(t, need.Debian, "npm")
		old, _ := filepath.Glob(filepath.Join(cache, "scan-*"))
		for _, o := range old {
			if err := os.RemoveAll(o); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		part := dir + ".part"
		if err := makeReal(part); err != nil {
			if offline(err) {
				need.Skip(t, need.Debian, "no registry could be reached to make the image: "+err.Error())
			}
			t.Fatal(err)
		}
		if err := os.Rename(part, dir); err != nil {
			t.Fatal(err)
		}
		t.Logf("made the image in %v; it is kept in %s", time.Since(start).Round(time.Second), dir)
	}
	r := &real{dir: dir, root: filepath.Join(dir, "rootfs")}
	var layers []v1.Layer
	for i := range 4 {
		r.layers = append(r.layers, filepath.Join(dir, fmt.Sprintf("layer%d.tar", i)))
		layers = append(layers, must(testimage.LayerFile(r.layers[i]))(t))
	}
	r.image = must(testimage.Image(v1.Config{Entrypoint: []string{"/usr/local/bin/old"}, User: "nobody"}, layers...))(t)
	realOnce.r = r
	return r
}

// cacheDir is where big things stay between runs.
func cacheDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("DOCKREEVE_TEST_CACHE")
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			user = os.TempDir()
		}
		dir = filepath.Join(user, "dockreeve-test")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// offline tells errors of a machine without a network from those of a broken test.
func offline(err error) bool {
	for _, s := range []string{"dial tcp", "no such host", "ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT", "ECONNREFUSED", "Failed getting release file", "unable to resolve"} {
		if strings.Contains(err.Error(), s) {
			return true
		}
	}
	return false
}

// makeReal builds the tree step by step; what each step changed is a layer.
func makeReal(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	root := filepath.Join(dir, "rootfs")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	var before testimage.Snapshot
	for i, step := range []func() error{
		func() error { return testimage.Debootstrap(ctx, root, nil, debs...) },
		func() error {
			if err := files(root, map[string]string{
				"srv/app/package.json": `{"name":"app","version":"1.0.0","private":true}`,
				"usr/local/lib/python3.11/dist-packages/urllib3-1.26.4.dist-info/METADATA":  pipMetadata,
				"usr/local/lib/python3.11/dist-packages/urllib3-1.26.4.dist-info/INSTALLER": "pip\n",
			}); err != nil {
				return err
			}
			return command(ctx, filepath.Join(root, "srv/app"), "npm", append([]string{"install", "--no-audit", "--no-fund", "--ignore-scripts"}, npms...)...)
		},
		func() error {
			src := filepath.Join(dir, "src")
			if err := files(src, map[string]string{"main.go": goMain, "go.mod": goMod}); err != nil {
				return err
			}
			if err := command(ctx, src, "go", "mod", "tidy"); err != nil {
				return err
			}
			if err := command(ctx, src, "go", "build", "-trimpath", "-o", filepath.Join(root, "usr/local/bin/old"), "."); err != nil {
				return err
			}
			return jarOf(filepath.Join(root, "srv/app.jar"), filepath.Join(root, "usr/share/java/commons-lang3.jar"))
		},
		// A package that a later layer deletes is not in the image.
		func() error {
			return command(ctx, filepath.Join(root, "srv/app"), "npm", "uninstall", "--no-audit", "--no-fund", "left-pad")
		},
	} {
		if err := step(); err != nil {
			return err
		}
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("layer%d.tar", i)))
		if err != nil {
			return err
		}
		if err := errors.Join(testimage.Diff(f, root, before), f.Close()); err != nil {
			return err
		}
		if before, err = testimage.Take(root); err != nil {
			return err
		}
	}
	return nil
}

func files(root string, list map[string]string) error {
	for name, body := range list {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(p, []byte(body), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// command runs somebody else's program.
func command(ctx context.Context, dir, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod", "GOWORK=off", "LC_ALL=C")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%.4000s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// jarOf packs a jar into another, as application jars do.
func jarOf(path, inner string) error {
	b, err := os.ReadFile(inner)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	z := zip.NewWriter(f)
	for name, body := range map[string][]byte{
		"META-INF/MANIFEST.MF":                  []byte("Manifest-Version: 1.0\r\nMain-Class: app.Main\r\n\r\n"),
		"BOOT-INF/lib/commons-lang3-3.12.0.jar": b,
	} {
		w, err := z.Create(name)
		if err != nil {
			return err
		}
		if _, err := w.Write(body); err != nil {
			return err
		}
	}
	return errors.Join(z.Close(), f.Close())
}

// deb is a package as dpkg tells it.
type deb struct{ name, version, source, sourceVersion string }

// installed asks dpkg what a tree has installed.
func installed(t testing.TB, root string) []deb {
	t.Helper()
	dpkg := need.Command(t, need.Debian, "dpkg-query")
	out, err := exec.Command(dpkg, "--admindir="+filepath.Join(root, "var/lib/dpkg"), "-W",
		"-f=${db:Status-Status}\t${binary:Package}\t${Version}\t${source:Package}\t${source:Version}\n").Output()
	if err != nil {
		t.Fatalf("dpkg-query: %v", err)
	}
	var list []deb
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 5 || f[0] != "installed" {
			continue
		}
		name, _, _ := strings.Cut(f[1], ":") // libc6:amd64
		list = append(list, deb{name, f[2], f[3], f[4]})
	}
	if len(list) < 60 {
		t.Fatalf("dpkg tells of only %d packages:\n%s", len(list), out)
	}
	return list
}

// npmList asks npm what a directory has installed: name version.
func npmList(t testing.TB, dir string) []string {
	t.Helper()
	need.Command(t, need.Debian, "npm")
	list := must(testimage.NPMPackages(context.Background(), dir))(t)
	for i, p := range list {
		at := strings.LastIndexByte(p, '@')
		list[i] = p[:at] + " " + p[at+1:]
	}
	slices.Sort(list)
	return list
}

// goList asks go what a program is made of: module and version, stdlib without "go".
func goList(t testing.TB, path string) []string {
	t.Helper()
	out, err := exec.Command("go", "version", "-m", "-json", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		GoVersion string
		Deps      []struct{ Path, Version string }
	}
	if err := json.Unmarshal(out, &info); err != nil {
		t.Fatal(err)
	}
	list := []string{"stdlib " + strings.TrimPrefix(info.GoVersion, "go")}
	for _, d := range info.Deps {
		list = append(list, d.Path+" "+d.Version)
	}
	slices.Sort(list)
	return list
}

// older asks dpkg whether a sorts before b. Answers are kept: versions repeat.
type debOrder map[[2]string]bool

func (o debOrder) older(t testing.TB, a, b string) bool {
	t.Helper()
	k := [2]string{a, b}
	if yes, ok := o[k]; ok {
		return yes
	}
	err := exec.Command("dpkg", "--compare-versions", a, "lt", b).Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	o[k] = err == nil
	return o[k]
}

func copyFile(t testing.TB, to, from string) {
	t.Helper()
	in := must(os.Open(from))(t)
	defer in.Close()
	out := must(os.Create(to))(t)
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
