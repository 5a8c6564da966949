package running

import (
	"archive/zip"
	"bytes"
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
	"github.com/dockreeve/dockreeve/test/testimage"
)

// The application of the images: a Python server that speaks TLS, and a Node program
// that uses one of its two modules.
const (
	appPy = "import ssl, time\nssl.create_default_context()\nopen('/ready', 'w').close()\ntime.sleep(1 << 20)\n"
	appJS = "require('lodash'); require('fs').writeFileSync('/ready.js', ''); setTimeout(() => {}, 1 << 30)\n"
)

// app is the layer with the application and lodash of a version.
func app(lodash, mark string) v1.Layer {
	module := func(name, version string) []testimage.File {
		return []testimage.File{
			{Name: "app/node_modules/" + name + "/package.json", Body: fmt.Sprintf(`{"name":%q,"version":%q,"main":"index.js"}`, name, version)},
			{Name: "app/node_modules/" + name + "/index.js", Body: "module.exports = {}\n"},
		}
	}
	files := []testimage.File{
		{Name: "app/app.py", Body: appPy}, {Name: "app/app.js", Body: appJS}, {Name: "app/mark", Body: mark},
		{Name: "app/package.json", Body: `{"name":"shop-web","version":"1.0.0","private":true}`},
	}
	files = append(append(files, module("lodash", lodash)...), module("left-pad", "1.3.0")...)
	l, err := testimage.Layer(testimage.Tar(files...))
	if err != nil {
		panic(err) // a mistake in the test itself
	}
	return l
}

// advisories makes a database about what dpkg says is installed, and about the modules
// by hand: each pair of the same severity, one of something used and one of something not.
func advisories(t testing.TB, versions map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	feeds := filepath.Join(dir, "feeds")
	tracker := map[string]any{}
	for source, id := range map[string]string{"openssl": "CVE-2031-1001", "tar": "CVE-2031-1002", "python3.11": "CVE-2031-1003"} {
		v := versions[source]
		if v == "" {
			t.Fatalf("dpkg knows no %s", source)
		}
		tracker[source] = map[string]any{id: map[string]any{"description": "invented for a test", "scope": "remote", "releases": map[string]any{
			"bookworm": map[string]any{"status": "resolved", "fixed_version": v + ".1", "urgency": "high", "repositories": map[string]string{"bookworm": v}}}}}
	}
	var z bytes.Buffer
	w := zip.NewWriter(&z)
	for name, id := range map[string]string{"lodash": "GHSA-test-used-aaaa", "left-pad": "GHSA-test-idle-aaaa"} {
		fixed := map[string]string{"lodash": "4.17.5", "left-pad": "1.3.1"}[name]
		f := must(w.Create(id + ".json"))(t)
		record := map[string]any{"schema_version": "1.6.0", "id": id, "modified": time.Now().UTC().Format(time.RFC3339), "published": "2026-01-01T00:00:00Z", "summary": "invented for a test",
			"database_specific": map[string]string{"severity": "HIGH"},
			"affected": []any{map[string]any{"package": map[string]string{"ecosystem": "npm", "name": name},
				"ranges": []any{map[string]any{"type": "SEMVER", "events": []map[string]string{{"introduced": "0"}, {"fixed": fixed}}}}}}}
		if err := json.NewEncoder(f).Encode(record); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{"tracker.json": must(json.Marshal(tracker))(t), "osv/npm/all.zip": z.Bytes()} {
		p := filepath.Join(feeds, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	db := filepath.Join(dir, "advisories.db")
	if out, err := exec.Command(program, "db", "import", "--db", db, feeds).CombinedOutput(); err != nil {
		t.Fatalf("db import: %v\n%s", err, out)
	}
	return db
}

// start runs the application as Kubernetes would name it.
func (s *store) start(ref, id, pod string) {
	s.t.Helper()
	s.run(ref, id, pod, "/bin/sh", "-c", "python3 /app/app.py & exec node /app/app.js")
}

func (s *store) run(ref, id, pod string, argv ...string) {
	s.t.Helper()
	args := []string{"run", "-d", "--null-io"}
	if pod != "" {
		for k, v := range map[string]string{"sandbox-name": pod, "sandbox-namespace": "shop", "container-name": "web"} {
			args = append(args, "--annotation", "io.kubernetes.cri."+k+"="+v)
		}
	}
	s.ctr(append(append(args, ref, id), argv...)...)
}

func (u *server) images(filter string) []*apiv1.Image {
	u.t.Helper()
	res := must(u.api.Images.ListImages(u.t.Context(), connect.NewRequest(&apiv1.ListImagesRequest{Filter: filter})))(u.t)
	return res.Msg.Images
}

func (u *server) image(key string) *apiv1.GetImageResponse {
	res, err := u.api.Images.GetImage(u.t.Context(), connect.NewRequest(&apiv1.GetImageRequest{Key: key}))
	if connect.CodeOf(err) == connect.CodeNotFound {
		return &apiv1.GetImageResponse{Image: &apiv1.Image{NotAssessed: "not seen"}}
	}
	return must(res, err)(u.t).Msg
}

// verdict waits until a digest has one and runs as often as wanted.
func (u *server) verdict(key string, running int64) (*apiv1.GetImageResponse, time.Duration) {
	u.t.Helper()
	var d *apiv1.GetImageResponse
	took := until(u.t, "a verdict of "+key, func() (bool, string) {
		d = u.image(key)
		return d.Image.ScannedAt != 0 && d.Image.NotAssessed == "" && d.Image.Running == running, fmt.Sprintf("%+v; all: %+v", d.Image, u.images(""))
	})
	return d, took
}

func (u *server) packages(key, filter string) map[string]*apiv1.ImagePackage {
	u.t.Helper()
	res := must(u.api.Images.ListImagePackages(u.t.Context(), connect.NewRequest(&apiv1.ListImagePackagesRequest{Key: key, Filter: filter, PageSize: 500})))(u.t)
	out := map[string]*apiv1.ImagePackage{}
	for _, p := range res.Msg.Packages {
		out[p.Name] = p
	}
	return out
}

func (u *server) vulnerabilities(key, filter string) []*apiv1.ImageVulnerability {
	u.t.Helper()
	return must(u.api.Images.ListImageVulnerabilities(u.t.Context(), connect.NewRequest(&apiv1.ListImageVulnerabilitiesRequest{Key: key, Filter: filter})))(u.t).Msg.Vulnerabilities
}

// packageOf asks the container's own dpkg which package a file belongs to. Debian's
// packages name files as they were before /lib became a link to /usr/lib.
func (s *store) packageOf(id, path string) string {
	said := ""
	for _, p := range []string{path, strings.TrimPrefix(path, "/usr")} {
		out, err := s.try("tasks", "exec", "--exec-id", fmt.Sprint("q", time.Now().UnixNano()), id, "dpkg", "-S", p)
		if err == nil {
			name, _, _ := strings.Cut(out, ":")
			return strings.TrimSpace(name)
		}
		said += out
	}
	return said
}

func image(t testing.TB, debian v1.Layer, lodash, mark string) v1.Image {
	t.Helper()
	return must(testimage.Image(v1.Config{Cmd: []string{"node"}}, debian, app(lodash, mark)))(t)
}

// TestWhatRunsIsScannedAndFollowed is the promise from end to end.
func TestWhatRunsIsScannedAndFollowed(t *testing.T) {
	s := newStore(t)
	debian, versions := base(t)
	old := s.load("registry.example/shop/old:1", image(t, debian, "4.17.4", "old"))
	s.start("registry.example/shop/old:1", "before", "old-1") // before anybody watches
	first := s.load("registry.example/shop/web:1", image(t, debian, "4.17.4", "one"))
	u := up(t, s, advisories(t, versions))

	idle := u.cpu()
	s.start("registry.example/shop/web:1", "web-a", "web-1")
	d, took := u.verdict(first, 1)
	t.Logf("verdict %v after the container was started; `up` used %v of processor time", took.Round(10*time.Millisecond), u.cpu()-idle)

	t.Run("identity", func(t *testing.T) {
		if d.Image.Key != first || d.Image.Source != "containerd" || d.Image.Name != "registry.example/shop/web:1" || !strings.HasPrefix(d.Image.Distro, "Debian") || len(d.Layers) != 2 {
			t.Errorf("%+v, %d layers", d.Image, len(d.Layers))
		}
		if n := len(u.images("workload:shop/pod/*")); n != 2 {
			t.Errorf("%d images, want those of two containers: %v", n, u.images("workload:shop/pod/*"))
		}
		host, _ := os.Hostname()
		i := slices.IndexFunc(d.Running, func(r *apiv1.Running) bool { return r.Container == "web-a" })
		if i < 0 || d.Running[i].Workload != "shop/pod/web-1" || d.Running[i].Name != "web" || d.Running[i].Node != host || d.Running[i].Since == 0 || d.Running[i].Until != 0 {
			t.Errorf("runs as %+v", d.Running)
		}
	})

	t.Run("use", func(t *testing.T) {
		var have map[string]*apiv1.ImagePackage
		loaded := []string{"libc6", "libssl3", "python3.11-minimal", "nodejs", "lodash", "dash"}
		until(t, "what the application loads", func() (bool, string) {
			have = u.packages(first, "")
			for _, name := range loaded {
				if p := have[name]; p == nil || p.Use.State != "loaded" {
					return false, fmt.Sprintf("%s: %+v", name, p)
				}
			}
			return true, ""
		})
		for _, name := range loaded {
			if p := have[name].Use; p.Path == "" || p.First == 0 || p.Last < p.First || p.Since == 0 {
				t.Errorf("%s: %+v", name, p)
			}
		}
		if p := have["libssl3"].Use.Path; !strings.Contains(p, "libssl.so.3") && !strings.Contains(p, "libcrypto.so.3") {
			t.Errorf("libssl3 was seen loaded by %s", p)
		}
		if p := have["lodash"].Use.Path; p != "app/node_modules/lodash/index.js" && p != "app/node_modules/lodash/package.json" {
			t.Errorf("lodash was seen loaded by %s", p)
		}
		for _, name := range []string{"tar", "gzip", "left-pad"} {
			if p := have[name]; p == nil || p.Use.State != "not-seen" || p.Use.Since == 0 {
				t.Errorf("%s: %+v, want not-seen since the watch", name, p)
			}
		}
		// dpkg itself says whose the loaded files are.
		for _, name := range []string{"libc6", "nodejs", "dash"} {
			if owner := s.packageOf("web-a", "/"+have[name].Use.Path); owner != name {
				t.Errorf("%s, by which %s was seen loaded, is of %s by dpkg", have[name].Use.Path, name, owner)
			}
		}
	})

	t.Run("what was there before", func(t *testing.T) {
		u.verdict(old, 1)
		states := map[string]int{}
		until(t, "the use of an older container", func() (bool, string) {
			clear(states)
			for name, p := range u.packages(old, "") {
				states[p.Use.State]++
				if p.Use.State == "not-seen" || p.Use.State == "" && p.Use.Reason == "" {
					t.Fatalf("%s of a container that nobody saw start: %+v", name, p.Use)
				}
			}
			return states["loaded"] > 3, fmt.Sprint(states)
		})
		if p := u.packages(old, "")["libssl3"].Use; p.State != "loaded" {
			t.Errorf("libssl3 is still mapped, and is %+v", p)
		}
	})

	t.Run("ranking", func(t *testing.T) {
		var order []string
		until(t, "the vulnerabilities with their use", func() (bool, string) {
			order = order[:0]
			for _, v := range u.vulnerabilities(first, "") {
				order = append(order, v.Id+" "+v.Package+" "+v.Use.State)
			}
			return slices.ContainsFunc(order, func(s string) bool { return strings.HasPrefix(s, "CVE-2031-1001") && strings.HasSuffix(s, " loaded") }) &&
				slices.Contains(order, "GHSA-test-used-aaaa lodash loaded"), strings.Join(order, "; ")
		})
		at := func(id, use string) int {
			return slices.IndexFunc(order, func(s string) bool { return strings.HasPrefix(s, id+" ") && strings.HasSuffix(s, " "+use) })
		}
		for _, pair := range [][2]string{{"CVE-2031-1001", "CVE-2031-1002"}, {"GHSA-test-used-aaaa", "GHSA-test-idle-aaaa"}} {
			if a, b := at(pair[0], "loaded"), at(pair[1], "not-seen"); a < 0 || b < 0 || a > b {
				t.Errorf("%s, which is loaded, does not come before %s, which is not:\n%s", pair[0], pair[1], strings.Join(order, "\n"))
			}
		}
		for _, v := range u.vulnerabilities(first, "in_use:yes") {
			if v.Use.State != "loaded" || v.Use.Path == "" {
				t.Errorf("in_use:yes gives %+v", v)
			}
		}
	})

	t.Run("commands", func(t *testing.T) {
		show, err := u.run("images", "show", first)
		if err != nil || !strings.Contains(show, "shop/pod/web-1") || !strings.Contains(show, "GHSA-test-used-aaaa") || !strings.Contains(show, "loaded") {
			t.Errorf("images show: %v\n%s", err, show)
		}
		affected, _ := u.run("images", "affected", "CVE-2031-1001") // its exit code says that something is
		if !strings.Contains(affected, "registry.example/shop/web:1") || !strings.Contains(affected, "shop/pod/web-1") {
			t.Errorf("images affected:\n%s", affected)
		}
		used, err := u.run("scan", "--server", u.url, "--in-use", "oci:"+s.layouts["registry.example/shop/web:1"])
		if err != nil || !strings.Contains(used, "CVE-2031-1001") || !strings.Contains(used, "GHSA-test-used-aaaa") || strings.Contains(used, "CVE-2031-1002") || strings.Contains(used, "GHSA-test-idle-aaaa") {
			t.Errorf("scan --server --in-use: %v\n%s", err, used)
		}
	})

	t.Run("a rebuild and a mend", func(t *testing.T) {
		open := func() int64 {
			res := must(u.api.Images.GetRemediation(t.Context(), connect.NewRequest(&apiv1.GetRemediationRequest{Filter: "workload:shop/pod/*"})))(t)
			n := int64(0)
			for _, r := range res.Msg.Rows {
				if r.Severity == apiv1.Severity_SEVERITY_HIGH {
					n = r.Open
				}
			}
			return n
		}
		// Five advisories concern each of two workloads.
		const opened = 10
		until(t, "the clocks run", func() (bool, string) { n := open(); return n == opened, fmt.Sprint(n) })
		// The same workload, and the same container's name, with a rebuild that still has it.
		second := s.load("registry.example/shop/web:2", image(t, debian, "4.17.4", "two"))
		s.remove("web-a")
		s.start("registry.example/shop/web:2", "web-a", "web-1")
		d, took := u.verdict(second, 1)
		t.Logf("verdict %v after the rebuild was started, with most layers known", took.Round(10*time.Millisecond))
		if len(d.Running) != 1 || d.Running[0].Workload != "shop/pod/web-1" {
			t.Errorf("runs as %+v", d.Running)
		}
		u.verdict(first, 0)
		until(t, "as many clocks run as before the rebuild, which changed nothing", func() (bool, string) { n := open(); return n == opened, fmt.Sprint(n) })
		third := s.load("registry.example/shop/web:3", image(t, debian, "4.17.5", "three"))
		// The pipeline that built it ran the gate on the digest that now runs.
		if out, err := u.run("scan", "--server", u.url, "--record", "--commit", "abc123", "--pipeline", "shop/web", "--fail-on", "critical", "oci:"+s.layouts["registry.example/shop/web:3"]); err != nil {
			t.Errorf("scan --record: %v\n%s", err, out)
		}
		s.remove("web-a")
		s.start("registry.example/shop/web:3", "web-a", "web-1")
		d, _ = u.verdict(third, 1)
		if d.Image.Gate != "passed" || len(d.Gates) != 1 || d.Gates[0].Commit != "abc123" {
			t.Errorf("gate %q, %+v", d.Image.Gate, d.Gates)
		}
		for _, v := range u.vulnerabilities(third, "") {
			if v.Id == "GHSA-test-used-aaaa" {
				t.Errorf("the mended image has %+v", v)
			}
		}
		until(t, "the rebuild runs no more", func() (bool, string) {
			d := u.image(second)
			return d.Image.Running == 0, fmt.Sprint(d.Running)
		})
		c := must(u.api.Images.ListImages(t.Context(), connect.NewRequest(&apiv1.ListImagesRequest{})))(t).Msg.Coverage
		if c.Running < 2 || c.RunningAssessed < 2 || c.GatedRunning != 1 { // others may run on the machine
			t.Errorf("coverage %+v, want two that run and are assessed, one of which passed a gate", c)
		}
	})
}
