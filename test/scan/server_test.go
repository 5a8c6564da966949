package scan_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/test/scenario"
	"github.com/dockreeve/dockreeve/test/testimage"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// up starts a server of its own that plays a short trace instead of watching this
// machine, and returns its address.
func (h *home) up() string {
	h.t.Helper()
	list := must(scenario.Parse("quiet", []byte("scenario: quiet\n  process 100 cron /usr/sbin/cron\n  fork 100 101\n")))(h.t)
	tape := must(list[0].Tell())(h.t)
	var trace bytes.Buffer
	if err := tape.WriteTrace(&trace, "test-node"); err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := h.command(ctx, "up", "--listen", "127.0.0.1:0", "--replay", h.write("trace.ndjson", trace.Bytes()))
	var out locked
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		if err := c.Process.Signal(syscall.SIGINT); err != nil {
			h.t.Error(err)
		}
		stop := time.AfterFunc(30*time.Second, cancel)
		defer stop.Stop()
		if err := c.Wait(); err != nil {
			h.t.Errorf("up ended with %v\n%s", err, out.String())
		}
		cancel()
	})
	address := ""
	h.await("the server's address", func() bool {
		b, err := os.ReadFile(h.path("state/address"))
		address = strings.TrimSpace(string(b))
		return err == nil && address != ""
	})
	h.await("an answer of the server", func() bool { return h.run(nil, "images", "list").code == 0 })
	return address
}

// locked is a buffer that may be read while it is written.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// await tries until what another process is about to do has been done.
func (h *home) await(what string, done func() bool) {
	h.t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatalf("%s did not come within a minute", what)
		}
	}
}

// TestServer scans for a real server: it keeps what was scanned, and new advisories
// find what it has kept though the image is gone.
func TestServer(t *testing.T) {
	h := newHome(t)
	other := osv{id: "GHSA-test-othr-aaaa", cve: "CVE-2031-3000", ecosystem: "npm", name: "somebody-else", events: "introduced 0 fixed 9.0.0", severity: "high"}
	minimist := osv{id: "GHSA-test-mini-aaaa", cve: "CVE-2031-2500", ecosystem: "npm", name: "minimist", events: "introduced 0 fixed 1.2.6", severity: "medium"}
	zlib := h.write("tracker.json", zlibOpen)
	h.importing(zlib, h.write("npm.zip", osvZip(t, &other, &minimist)), h.write("kev.json", kev("CVE-2031-9999")))
	url := h.up()

	img := must(testimage.Of(v1.Config{User: "1000"}, debian(
		testimage.File{Name: "app/node_modules/lodash/package.json", Body: `{"name":"lodash","version":"4.17.4"}`},
		testimage.File{Name: "app/node_modules/minimist/package.json", Body: `{"name":"minimist","version":"1.2.0"}`})))(t)
	dir := ociLayout(t, h.path("layout"), img)
	key := must(img.Digest())(t).String()
	mini := "npm minimist 1.2.0 CVE-2031-2500 fixed 1.2.6 medium"
	lod := "npm lodash 4.17.4 CVE-2031-2000 fixed 4.17.5 critical"

	// Before anything was scanned.
	h.want(1, "scan", "--fail-on", "medium", dir) // here, by the local database
	o := h.want(0, "images", "list")
	if !strings.Contains(o.stdout, "0 of 0 images") {
		t.Errorf("images: %s", o.stdout)
	}

	x := h.scan(0, "--server", url, dir)
	same(t, "matched by the server", x.findings(), []string{mini})
	if x.Image.Digest != key {
		t.Errorf("digest %s, want %s", x.Image.Digest, key)
	}
	h.want(0, "scan", "--server", url, "--record", "--fail-on", "critical", "--commit", "0123abcd", "--pipeline", "build", "--run-url", "https://ci.example/7", dir)
	h.want(1, "scan", "--server", url, "--record", "--fail-on", "medium", "--commit", "4567abcd", "--pipeline", "build", dir)

	// The server keeps it, so the same digest elsewhere is not pulled.
	s := serve(t)
	ref := s.push(t, "team/app:1", img)
	s.denying(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/blobs/"+must(must(img.Layers())(t)[0].Digest())(t).String()) {
			t.Errorf("%s %s though the server has the verdict", r.Method, r.URL.Path)
		}
		return false
	})
	same(t, "the stored verdict", h.scan(0, "--server", url, "--insecure-registry", s.host, "registry:"+ref).findings(), []string{mini})
	s.denying(nil)

	o = h.want(0, "images", "show", key)
	for _, w := range []string{key, "CVE-2031-2500", "minimist 1.2.0", "fixed in 1.2.6", "1 of 1 vulnerabilities"} {
		if !strings.Contains(o.stdout, w) {
			t.Errorf("images show has no %q:\n%s", w, o.stdout)
		}
	}
	var shown struct {
		Gates []struct {
			Commit, Pipeline, URL string
			Passed                bool
		}
	}
	if err := json.Unmarshal([]byte(h.want(0, "images", "show", "-o", "json", key).stdout), &shown); err != nil {
		t.Fatal(err)
	}
	gates := map[string]bool{}
	for _, g := range shown.Gates {
		gates[fmt.Sprint(g.Commit, " ", g.Pipeline, " ", g.Passed)] = true
	}
	if len(gates) != 2 || !gates["0123abcd build true"] || !gates["4567abcd build false"] {
		t.Errorf("gates %v", gates)
	}
	h.want(3, "images", "show", "sha256:"+strings.Repeat("0", 64))

	// Are we affected? Yes; no, though the advisories know it; and it cannot be said.
	o = h.want(1, "images", "affected", "CVE-2031-2500")
	if !strings.Contains(o.stdout, "minimist 1.2.0") || !strings.Contains(o.stdout, "Affected: 1 images") {
		t.Errorf("affected: %s", o.stdout)
	}
	h.want(1, "images", "affected", "ghsa-test-mini-aaaa")
	h.want(0, "images", "affected", "CVE-2031-3000")
	h.want(4, "images", "affected", "CVE-2031-2000")
	h.want(2, "images", "affected")
	h.want(0, "images", "remediation")

	// The image is gone. New advisories say that it was exploited all along.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	alerts := h.want(0, "alerts", "list").stdout
	if strings.Contains(alerts, "xploited vulnerability") {
		t.Errorf("an alert too early:\n%s", alerts)
	}
	h.importing(h.write("npm.zip", osvZip(t, &other, &minimist, &lodash)), h.write("kev.json", kev("CVE-2031-9999", "CVE-2031-2000")))
	h.await("the new finding", func() bool { return h.run(nil, "images", "affected", "CVE-2031-2000").code == 1 })
	o = h.want(0, "images", "show", key)
	for _, w := range []string{"CVE-2031-2000", "exploited", "lodash 4.17.4", "fixed in 4.17.5", "2 of 2 vulnerabilities"} {
		if !strings.Contains(o.stdout, w) {
			t.Errorf("images show has no %q:\n%s", w, o.stdout)
		}
	}
	h.await("an alert", func() bool { return strings.Contains(h.run(nil, "alerts", "list").stdout, "xploited vulnerability") })
	list := h.want(0, "alerts", "list", "-o", "json").stdout
	if !strings.Contains(list, "CVE-2031-2000") {
		t.Errorf("the alert does not name the vulnerability:\n%.3000s", list)
	}
	if strings.Contains(list, "CVE-2031-2500") {
		t.Errorf("an alert about a medium vulnerability:\n%.3000s", list)
	}
	// The gate of the same digest fails now, without the image.
	s.denying(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/blobs/"+must(must(img.Layers())(t)[0].Digest())(t).String()) {
			w.WriteHeader(http.StatusNotFound)
			return true
		}
		return false
	})
	o = h.want(1, "scan", "--server", url, "--insecure-registry", s.host, "--fail-on", "kev", "-o", "json", "registry:"+ref)
	same(t, "matched again", parse(t, o.stdout).findings(), []string{lod, mini})

	// A filter, in the console's language, and wrong use.
	o = h.want(0, "images", "list", "kev:yes")
	if !strings.Contains(o.stdout, "1 of 1 images") {
		t.Errorf("kev:yes: %s", o.stdout)
	}
	o = h.want(0, "images", "list", "kev:no")
	if !strings.Contains(o.stdout, "0 of 0 images (1 in all)") {
		t.Errorf("kev:no: %s", o.stdout)
	}
	h.want(2, "images", "list", "colour:purple")
	// Nobody there, and a wrong token.
	h.want(3, "scan", "--server", "http://127.0.0.1:1", "registry:"+ref, "--insecure-registry", s.host)
	h.env = append(h.env, "DOCKREEVE_TOKEN=wrong")
	h.want(3, "images", "list")
	h.env = nil
}
