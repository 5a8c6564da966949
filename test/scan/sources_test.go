package scan_test

import (
	"archive/tar"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/dockreeve/dockreeve/test/testimage"
)

// dockerArchive writes an image as docker save does.
func dockerArchive(t testing.TB, path, tag string, img v1.Image) string {
	t.Helper()
	ref := must(name.NewTag(tag))(t)
	if err := tarball.WriteToFile(path, ref, img); err != nil {
		t.Fatal(err)
	}
	return path
}

// ociLayout writes an image as a layout directory.
func ociLayout(t testing.TB, dir string, img v1.Image) string {
	t.Helper()
	p := must(layout.Write(dir, empty.Index))(t)
	if err := p.AppendImage(img); err != nil {
		t.Fatal(err)
	}
	return dir
}

// ociArchive packs a layout directory.
func ociArchive(t testing.TB, path, dir string) string {
	t.Helper()
	f := must(os.Create(path))(t)
	w := tar.NewWriter(f)
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: rel, Mode: 0o644, Size: info.Size(), Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		in, err := os.Open(p)
		if err != nil {
			return err
		}
		defer in.Close()
		_, err = io.Copy(w, in)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// served is a registry that counts what is asked of it.
type served struct {
	host  string
	mu    sync.Mutex
	asked []string
	// deny may refuse a request: it answers and returns true.
	deny func(w http.ResponseWriter, r *http.Request) bool
}

func serve(t testing.TB) *served {
	t.Helper()
	s := &served{}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.Method+" "+r.URL.Path)
		deny := s.deny
		s.mu.Unlock()
		if deny != nil && deny(w, r) {
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	s.host = strings.TrimPrefix(srv.URL, "http://")
	return s
}

func (s *served) denying(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deny = f
}

// requests gives what was asked since the last call, of paths that hold a word.
func (s *served) requests(word string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, a := range s.asked {
		if strings.Contains(a, word) {
			out = append(out, a)
		}
	}
	s.asked = nil
	return out
}

func (s *served) push(t testing.TB, ref string, img v1.Image, opt ...remote.Option) string {
	t.Helper()
	full := s.host + "/" + ref
	r := must(name.ParseReference(full, name.Insecure))(t)
	if err := remote.Write(r, img, opt...); err != nil {
		t.Fatal(err)
	}
	return full
}

// debian is a layer of a Debian 12 that has one package, of which no advisory here
// speaks, and more files.
func debian(more ...testimage.File) []testimage.File {
	return append([]testimage.File{
		{Name: "etc/os-release", Body: "ID=debian\nVERSION_ID=\"12\"\n"},
		{Name: "var/lib/dpkg/status", Body: "Package: nothing-special\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-1\nMaintainer: a <a@debian.org>\nDescription: x\n\n"},
	}, more...)
}

// small makes an image with one npm package.
func small(t testing.TB, npm, version string) v1.Image {
	t.Helper()
	doc := must(json.Marshal(map[string]string{"name": npm, "version": version}))(t)
	return must(testimage.Of(v1.Config{User: "1000"}, debian(testimage.File{Name: "app/node_modules/" + npm + "/package.json", Body: string(doc)})))(t)
}

// TestRealImage scans one real image from every place it can be in. What is installed
// is told by dpkg, npm and go; what is wrong with it by dpkg and by hand.
func TestRealImage(t *testing.T) {
	r := realImage(t)
	h := newHome(t)
	v := h.invent(r)
	archive := dockerArchive(t, h.path("real.tar"), "example.test/real:1", r.image)
	digest := must(r.image.Digest())(t).String()
	id := must(r.image.ConfigName())(t).String()

	cold := h.scan(0, archive)
	t.Run("packages", func(t *testing.T) {
		var debs []string
		for _, d := range installed(t, r.root) {
			debs = append(debs, d.name+" "+d.version)
		}
		slices.Sort(debs)
		same(t, "Debian packages beside dpkg", cold.packages("deb"), slices.Compact(debs))
		for _, d := range installed(t, r.root) {
			for _, p := range cold.Packages {
				if p.Type == "deb" && p.Name == d.name && p.Version == d.version {
					if s, v := or(p.Source, p.Name), or(p.SourceVersion, p.Version); s != d.source || v != d.sourceVersion {
						t.Errorf("%s %s: source %s %s, dpkg says %s %s", d.name, d.version, s, v, d.source, d.sourceVersion)
					}
				}
			}
		}
		npm := npmList(t, filepath.Join(r.root, "srv/app"))
		have := slices.DeleteFunc(cold.packages("npm"), func(s string) bool { return s == "app 1.0.0" })
		same(t, "npm packages beside npm", have, npm)
		// The program itself has no version that anybody could ask about.
		var of []string
		for _, p := range cold.Packages {
			if p.Type == "golang" && p.Location == "usr/local/bin/old" && p.Name != "example.test/old" {
				of = append(of, p.Name+" "+p.Version)
			}
		}
		slices.Sort(of)
		same(t, "Go modules beside go version -m", of, goList(t, filepath.Join(r.root, "usr/local/bin/old")))
		for _, p := range cold.Packages {
			if strings.HasPrefix(p.Location, "usr/lib/python3/dist-packages/") && p.OwnedBy == "" {
				t.Errorf("%s %s in %s is Debian's, and nobody owns it", p.Name, p.Version, p.Location)
			}
		}
	})
	t.Run("vulnerabilities", func(t *testing.T) {
		if len(v.want) < 500 {
			t.Fatalf("only %d findings are expected: the advisories do not fit the image", len(v.want))
		}
		same(t, "docker archive", cold.findings(), v.want)
		if cold.Image.Kind != "archive" || cold.Image.ConfigDigest != id || cold.Distro.ID != "debian" || cold.Distro.Version != "12" || !cold.Assessed {
			t.Errorf("image %+v distro %+v", cold.Image, cold.Distro)
		}
		for _, vu := range cold.Vulnerabilities {
			if (vu.KEV != nil) != (vu.ID == "CVE-2032-1001") {
				t.Errorf("%s: exploited: %v", vu.ID, vu.KEV)
			}
			if (vu.EPSS != nil) != (vu.ID == "CVE-2032-2001") {
				t.Errorf("%s: EPSS %v", vu.ID, vu.EPSS)
			}
		}
		if first := cold.Vulnerabilities[0].ID; first != "CVE-2032-1001" {
			t.Errorf("%s stands first, not the one that is exploited", first)
		}
		if cold.Counts.KEV != 1 {
			t.Errorf("%d exploited", cold.Counts.KEV)
		}
	})
	if t.Failed() {
		return // every source would only say the same
	}

	// What does not depend on the place: packages, findings, gaps.
	facts := func(x *report) string {
		var lines []string
		for _, p := range x.Packages {
			lines = append(lines, fmt.Sprintf("%s %s %s %s %s %s %v", p.Type, p.Name, p.Version, p.Arch, p.Location, p.OwnedBy, p.Dev))
		}
		slices.Sort(lines)
		return strings.Join(append(lines, x.findings()...), "\n")
	}
	alike := func(t *testing.T, x *report, kind, wantDigest string) {
		t.Helper()
		if x.Image.Kind != kind {
			t.Errorf("kind %q, want %q", x.Image.Kind, kind)
		}
		if wantDigest != "" && x.Image.Digest != wantDigest {
			t.Errorf("digest %q, want %q", x.Image.Digest, wantDigest)
		}
		same(t, kind, strings.Split(facts(x), "\n"), strings.Split(facts(cold), "\n"))
	}
	t.Run("again, from the cache", func(t *testing.T) { alike(t, h.scan(0, archive), "archive", "") })
	t.Run("docker archive on standard input", func(t *testing.T) {
		f := must(os.Open(archive))(t)
		defer f.Close()
		o := h.run(f, "scan", "-o", "json", "--no-cache", "-")
		if o.code != 0 {
			t.Fatalf("code %d: %s", o.code, o.stderr)
		}
		alike(t, parse(t, o.stdout), "archive", "")
	})
	dir := ociLayout(t, h.path("layout"), r.image)
	t.Run("OCI layout", func(t *testing.T) { alike(t, h.scan(0, "--no-cache", dir), "oci", digest) })
	t.Run("OCI archive on standard input", func(t *testing.T) {
		f := must(os.Open(ociArchive(t, h.path("oci.tar"), dir)))(t)
		defer f.Close()
		o := h.run(f, "scan", "-o", "json", "-")
		if o.code != 0 {
			t.Fatalf("code %d: %s", o.code, o.stderr)
		}
		alike(t, parse(t, o.stdout), "oci", digest)
	})
	t.Run("root file system", func(t *testing.T) { alike(t, h.scan(0, "dir:"+r.root), "rootfs", "") })
	t.Run("registry", func(t *testing.T) {
		s := serve(t)
		ref := s.push(t, "team/real:1", r.image)
		alike(t, h.scan(0, "--insecure-registry", s.host, "registry:"+ref), "registry", digest)
		alike(t, h.scan(0, "--insecure-registry", s.host, "--no-cache", "registry:"+s.host+"/team/real@"+digest), "registry", digest)
		// All layers are known by now: none is pulled.
		s.requests("")
		h.scan(0, "--insecure-registry", s.host, "registry:"+ref)
		if pulled := len(s.requests("/blobs/")); pulled > 1 {
			t.Errorf("%d blobs were pulled though every layer is in the cache (one is the configuration)", pulled)
		}
	})
	t.Run("registry with a password", func(t *testing.T) {
		s := serve(t)
		ref := s.push(t, "team/real:1", r.image)
		word := "Basic " + base64.StdEncoding.EncodeToString([]byte("ann:s3cret-word"))
		s.denying(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Authorization") == word {
				return false
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		})
		o := h.want(3, "scan", "--insecure-registry", s.host, "registry:"+ref)
		if !strings.Contains(o.stderr, "login") && !strings.Contains(o.stderr, "credential") {
			t.Errorf("what to do is not said: %s", o.stderr)
		}
		h.write(".docker/config.json", fmt.Appendf(nil, `{"auths": {%q: {"auth": %q}}}`, s.host, strings.TrimPrefix(word, "Basic ")))
		o = h.want(0, "scan", "-o", "json", "--insecure-registry", s.host, "registry:"+ref)
		alike(t, parse(t, o.stdout), "registry", digest)
		if strings.Contains(o.stdout+o.stderr, "s3cret-word") {
			t.Error("the password is printed")
		}
	})
	t.Run("manifest list", func(t *testing.T) {
		s := serve(t)
		arm := small(t, "minimist", "1.2.0")
		list := mutate.AppendManifests(empty.Index,
			mutate.IndexAddendum{Add: r.image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
			mutate.IndexAddendum{Add: arm, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}}})
		ref := must(name.NewTag(s.host+"/team/both:1", name.Insecure))(t)
		if err := remote.WriteIndex(ref, list, remote.WithAuth(authn.Anonymous)); err != nil {
			t.Fatal(err)
		}
		at := []string{"--insecure-registry", s.host, "registry:" + s.host + "/team/both:1"}
		alike(t, h.scan(0, append([]string{"--platform", "linux/amd64"}, at...)...), "registry", digest)
		one := h.scan(0, append([]string{"--platform", "linux/arm64"}, at...)...)
		if want := must(arm.Digest())(t).String(); one.Image.Digest != want {
			t.Errorf("arm64 is %s, want %s", one.Image.Digest, want)
		}
		same(t, "arm64", one.findings(), []string{"npm minimist 1.2.0 CVE-2032-1005 unfixed  critical"})
		h.want(0, append([]string{"scan", "--platform", "all", "-o", "json=" + h.path("each-{}.json")}, at...)...)
		files := must(filepath.Glob(h.path("each-*.json")))(t)
		if len(files) != 2 {
			t.Fatalf("two platforms gave %v", files)
		}
		h.want(3, append([]string{"scan", "--platform", "linux/s390x"}, at...)...)
	})
	for _, format := range []string{"cyclonedx", "spdx"} {
		t.Run("SBOM "+format, func(t *testing.T) {
			file := h.path(format + ".json")
			h.want(0, "scan", "-o", format+"="+file, archive)
			back := h.scan(0, file)
			if back.Image.Kind != "archive" && back.Image.Kind != "sbom" {
				t.Errorf("kind %q", back.Image.Kind)
			}
			same(t, format, back.findings(), cold.findings())
			if !strings.Contains(back.gaps(), "SBOM") && !strings.Contains(back.gaps(), "list of packages") {
				t.Errorf("that files were not looked at is not said:\n%s", back.gaps())
			}
		})
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
