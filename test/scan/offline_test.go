package scan_test

import (
	"archive/tar"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/dockreeve/dockreeve/test/need"
	"github.com/dockreeve/dockreeve/test/testimage"
)

// alone is a user on a machine without any network, not even a loopback that is up.
func alone(t testing.TB) *home {
	t.Helper()
	unshare := need.Command(t, need.Debian, "unshare")
	if out, err := exec.Command(unshare, "-n", "true").CombinedOutput(); err != nil {
		need.Skip(t, need.Debian, "unshare -n: "+err.Error()+": "+string(out))
	}
	h := newHome(t)
	h.pre = []string{unshare, "-n"}
	return h
}

// tiny is an image with an npm package and a Debian package.
func tiny(t testing.TB, h *home) string {
	t.Helper()
	img := must(testimage.Of(v1.Config{User: "1000"},
		[]testimage.File{{Name: "etc/os-release", Body: "ID=debian\nVERSION_ID=\"12\"\n"},
			{Name: "var/lib/dpkg/status", Body: "Package: zlib1g\nStatus: install ok installed\nArchitecture: amd64\nSource: zlib\nVersion: 1:1.2.13.dfsg-1\nMaintainer: a <a@debian.org>\nDescription: x\n\n"}},
		[]testimage.File{{Name: "app/node_modules/lodash/package.json", Body: `{"name":"lodash","version":"4.17.4"}`}}))(t)
	return dockerArchive(t, h.path("tiny.tar"), "example.test/tiny:1", img)
}

var (
	zlibOpen = []byte(`{"zlib": {"CVE-2031-1000": {"description": "x", "releases": {"bookworm": {"status": "open", "urgency": "medium"}}}}}`)
	lodash   = osv{id: "GHSA-test-tiny-aaaa", cve: "CVE-2031-2000", ecosystem: "npm", name: "lodash", events: "introduced 0 fixed 4.17.5", severity: "critical"}
)

func TestWithoutNetwork(t *testing.T) {
	h := alone(t)
	archive := tiny(t, h)
	h.importing(h.write("tracker.json", zlibOpen), h.write("npm.zip", osvZip(t, &lodash)))
	x := h.scan(0, "--offline", archive)
	want := []string{"deb zlib1g 1:1.2.13.dfsg-1 CVE-2031-1000 unfixed  medium", "npm lodash 4.17.4 CVE-2031-2000 fixed 4.17.5 critical"}
	same(t, "offline", x.findings(), want)
	same(t, "without saying so", h.scan(0, archive).findings(), want)

	// There really is no network, and what needs one says so and does not hang.
	o := h.want(3, "scan", "registry:registry.example/app:1")
	if !strings.Contains(o.stderr, "registry.example") {
		t.Errorf("the registry is not named: %s", o.stderr)
	}
	o = h.want(3, "scan", "--offline", "registry:registry.example/app:1")
	if !strings.Contains(o.stderr, "offline") {
		t.Errorf("that this is by choice is not said: %s", o.stderr)
	}
	h.want(2, "scan", "registry", "--offline", "registry.example")
	if o := h.run(nil, "db", "update", "--feed", "kev"); o.code != 3 {
		t.Errorf("db update without a network: code %d: %s", o.code, o.stderr)
	}
	same(t, "after an update that failed", h.scan(0, "--offline", archive).findings(), want)
}

// TestOfflineAsksNobody: --offline holds where there is a network.
func TestOfflineAsksNobody(t *testing.T) {
	h := newHome(t)
	s := serve(t)
	ref := s.push(t, "app:1", small(t, "lodash", "4.17.4"))
	s.requests("")
	h.want(3, "scan", "--offline", "--insecure-registry", s.host, "registry:"+ref)
	if r := s.requests(""); len(r) > 0 {
		t.Errorf("asked: %v", r)
	}
}

func TestExitCodes(t *testing.T) {
	h := newHome(t)
	archive := tiny(t, h)
	tracker, npm := h.write("tracker.json", zlibOpen), h.write("npm.zip", osvZip(t, &lodash))
	says := func(o outcome, words ...string) {
		t.Helper()
		for _, w := range words {
			if !strings.Contains(o.stdout+o.stderr, w) {
				t.Errorf("%q is not said:\n%s\n%s", w, o.stdout, o.stderr)
			}
		}
	}
	// 4: no database.
	says(h.want(4, "scan", archive), "dockreeve db update")
	says(h.want(4, "scan", "--fail-on", "critical", archive), "dockreeve db update")
	// …but what needs no advisories passes.
	h.want(0, "scan", "--scanners", "secret,config", archive)
	h.want(0, "scan", "--scanners", "secret", "--fail-on", "secret", archive)

	// 4: an ecosystem of the image is missing, and which is said.
	h.importing(tracker)
	says(h.want(4, "scan", archive), "npm")
	h.want(4, "scan", "--fail-on", "critical", archive)
	x := h.scan(4, archive)
	if !strings.Contains(x.gaps(), "npm") || strings.Contains(x.gaps(), "Debian") {
		t.Errorf("gaps:\n%s", x.gaps())
	}
	same(t, "the other ecosystem is judged all the same", x.findings(), []string{"deb zlib1g 1:1.2.13.dfsg-1 CVE-2031-1000 unfixed  medium"})

	// 0: found, and nothing says that it should fail.
	h.importing(npm)
	says(h.want(0, "scan", archive), "CVE-2031-2000", "CVE-2031-1000", "4.17.5")
	// 1: the gate.
	says(h.want(1, "scan", "--fail-on", "critical", archive), "CVE-2031-2000")
	h.want(1, "scan", "--fail-on", "medium", archive)
	h.want(1, "scan", "--fail-on", "critical+fixable", archive)
	h.want(1, "scan", "--fail-on", "fixable", archive)
	// The gate sees what is not shown.
	h.want(1, "scan", "--fail-on", "medium", "--severity", "critical", archive)
	// 4: a rule rests on a feed that is not there.
	says(h.want(4, "scan", "--fail-on", "kev", archive), "KEV")
	h.importing(h.write("kev.json", kev("CVE-2031-9999")))
	h.want(0, "scan", "--fail-on", "kev", archive)
	h.importing(h.write("kev.json", kev("CVE-2031-9999", "CVE-2031-2000")))
	says(h.want(1, "scan", "--fail-on", "kev", archive), "CVE-2031-2000")
	// 1 gone: decided about, with a reason.
	h.write(".dockreeveignore.yaml", []byte("ignore:\n  - id: CVE-2031-2000\n    reason: not reachable here\n    until: 2099-01-01\n"))
	says(h.want(0, "scan", "--fail-on", "critical", archive), "")
	h.want(1, "scan", "--no-default-ignore", "--fail-on", "critical", archive)
	if err := os.Remove(h.path(".dockreeveignore.yaml")); err != nil {
		t.Fatal(err)
	}
	// 4: too old.
	says(h.want(4, "scan", "--max-db-age", "1ns", archive), "dockreeve db update")
	h.want(4, "scan", "--max-db-age", "1ns", "--fail-on", "critical", archive)
	h.want(0, "scan", "--max-db-age", "0", archive)
	// 4: damaged, and no last good one.
	bad := h.write("bad.db", []byte("this is no database"))
	h.want(4, "scan", "--db", bad, archive)
	h.want(4, "scan", "--db", h.path("nowhere.db"), archive)

	// 2: usage.
	for _, args := range [][]string{
		{}, {"--fail-on", "purple", archive}, {"--nonsense", archive}, {"-o", "yaml", archive}, {"--severity", "purple", archive}, {"--scanners", "smell", archive},
		{"-o", "json,sarif", archive}, {"-o", "json=one.json", archive, archive}, {"--malware-list", "x", archive}, {"--record", archive}, {"--in-use", archive}, {"--fail-on", "", archive}, {"--server", "http://127.0.0.1:1", "--record", archive}, {"--registry-mirror", "x", archive},
		{"--ignore-file", "nowhere.yaml", archive}, {"--vex", "nowhere.json", archive},
	} {
		if o := h.run(nil, append([]string{"scan"}, args...)...); o.code != 2 || o.stderr == "" || strings.Contains(o.stdout, "CVE-") {
			t.Errorf("scan %v: code %d, want 2: %s%s", args, o.code, o.stdout, o.stderr)
		}
	}
	// 3: cannot be scanned, and what it was is said.
	for _, what := range []string{h.path("nowhere.tar"), h.write("words.tar", []byte("milk and bread\n")), h.write("empty.tar", nil), "dir:" + h.path("nowhere"), "registry:127.0.0.1:1/a:1"} {
		says(h.want(3, "scan", what), filepath.Base(strings.TrimPrefix(what, "dir:")))
	}
	// One that cannot be scanned does not hide the other.
	o := h.want(3, "scan", h.path("nowhere.tar"), archive)
	says(o, "nowhere.tar", "CVE-2031-2000")
	// 0: clean.
	clean := dockerArchive(t, h.path("clean.tar"), "example.test/clean:1", small(t, "lodash", "4.17.21"))
	x = h.scan(0, "--fail-on", "low,secret", clean)
	// 3: a rule about what was not looked for is no pass.
	says(h.want(3, "scan", "--fail-on", "malware", clean), "malware")
	says(h.want(2, "scan", "--scanners", "vuln,malware", "--fail-on", "malware", clean), "--malware-list")
	list := h.write("bad.txt", []byte(strings.Repeat("0f", 32)+"\n"))
	h.want(0, "scan", "--scanners", "vuln,malware", "--malware-list", list, "--fail-on", "malware", clean)
	if len(x.Vulnerabilities) != 0 || len(x.Packages) != 2 {
		t.Errorf("%d packages, findings %v", len(x.Packages), x.findings())
	}
}

// TestTruncatedArchive: an archive that ends in the middle of a layer still gives the
// layers before it, and is not clean.
func TestTruncatedArchive(t *testing.T) {
	h := newHome(t)
	h.importing(h.write("tracker.json", zlibOpen), h.write("npm.zip", osvZip(t, &lodash)))
	img := must(testimage.Of(v1.Config{},
		debian(testimage.File{Name: "app/node_modules/lodash/package.json", Body: `{"name":"lodash","version":"4.17.4"}`}),
		[]testimage.File{{Name: "noise", Body: noise(1 << 20)}, {Name: "app/node_modules/minimist/package.json", Body: `{"name":"minimist","version":"1.2.0"}`}}))(t)
	whole := dockerArchive(t, h.path("whole.tar"), "example.test/cut:1", img)
	x := h.scan(0, whole)
	if len(x.packages("npm")) != 2 {
		t.Fatalf("packages %v", x.packages("npm"))
	}
	// The manifest is moved to the front, where docker puts it, and the end is cut off.
	front := reorder(t, must(os.ReadFile(whole))(t), "manifest.json")
	same(t, "moved", h.scan(0, h.write("front.tar", front)).findings(), x.findings())
	cut := h.write("cut.tar", front[:len(front)-700<<10])
	// Nothing that an earlier scan remembers of these layers may help.
	o := h.want(3, "scan", "--no-cache", "-o", "json", cut)
	x = parse(t, o.stdout)
	same(t, "the whole layer", x.findings(), []string{"npm lodash 4.17.4 CVE-2031-2000 fixed 4.17.5 critical"})
	if !strings.Contains(x.gaps(), "layer 1") {
		t.Errorf("gaps: %s", x.gaps())
	}
	h.want(3, "scan", "--no-cache", "--fail-on", "secret", cut)
	h.want(0, "scan", "--no-cache", "--allow-gaps", cut)
	h.want(1, "scan", "--no-cache", "--allow-gaps", "--fail-on", "critical", cut)

	// A layer of a layout that was cut short, and one that was changed.
	for name, change := range map[string]func(b []byte) []byte{
		"cut":     func(b []byte) []byte { return b[:len(b)/2] },
		"changed": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
	} {
		dir := ociLayout(t, h.path("layout-"+name), img)
		digest := must(must(img.Layers())(t)[1].Digest())(t)
		blob := filepath.Join(dir, "blobs/sha256", digest.Hex)
		if err := os.WriteFile(blob, change(must(os.ReadFile(blob))(t)), 0o644); err != nil {
			t.Fatal(err)
		}
		o := h.want(3, "scan", "--no-cache", "-o", "json", dir)
		x := parse(t, o.stdout)
		if !strings.Contains(x.gaps(), "layer 1") {
			t.Errorf("%s: gaps: %s", name, x.gaps())
		}
		if len(x.packages("npm")) == 0 || x.packages("npm")[0] != "lodash 4.17.4" {
			t.Errorf("%s: the whole layer is not reported: %v", name, x.packages("npm"))
		}
		// What could not be read is not remembered as read.
		for range 2 {
			x := parse(t, h.want(3, "scan", "--cache-dir", h.path("cache-"+name), "-o", "json", dir).stdout)
			if !strings.Contains(x.gaps(), "layer 1") {
				t.Errorf("%s: the cache forgot the gap", name)
			}
		}
	}
}

// reorder moves one entry of a tar to the front.
func reorder(t testing.TB, doc []byte, first string) []byte {
	t.Helper()
	type entry struct {
		h *tar.Header
		b []byte
	}
	var list []entry
	r := tar.NewReader(bytes.NewReader(doc))
	for {
		h, err := r.Next()
		if err != nil {
			break
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(r); err != nil {
			t.Fatal(err)
		}
		if e := (entry{h, b.Bytes()}); h.Name == first {
			list = append([]entry{e}, list...)
		} else {
			list = append(list, e)
		}
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range list {
		if err := w.WriteHeader(e.h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// noise is text that does not compress, the same each time.
func noise(n int) string {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return string(b)
}
