package ui

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// sources lists what the bundle is built from; the same list as in scripts/finish.mjs.
func sources(t *testing.T) []string {
	t.Helper()
	list := []string{"index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "scripts/finish.mjs"}
	for _, root := range []string{"public", "src"} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && !strings.HasSuffix(name, ".test.ts") {
				list = append(list, filepath.ToSlash(name))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(list)
	return list
}

func TestTheBundleWasBuiltFromTheseSources(t *testing.T) {
	var b strings.Builder
	for _, name := range sources(t) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(data), name)
	}
	sum := sha256.Sum256([]byte(b.String()))
	want, err := embedded.ReadFile("dist/source.sha256")
	if err != nil {
		t.Fatalf("ui/dist has no source.sha256: build the bundle with make ui: %v", err)
	}
	if got := hex.EncodeToString(sum[:]); got != strings.TrimSpace(string(want)) {
		t.Fatalf("ui/dist was built from other sources (%s) than those beside it (%s): run make ui and commit ui/dist alone", strings.TrimSpace(string(want)), got)
	}
}

func get(t *testing.T, h http.Handler, url string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest("GET", url, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	var in io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		in = z
	}
	data, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestTheCommittedBundleIsServedWhole(t *testing.T) {
	h := Handler()
	index := get(t, h, "/")
	if index.StatusCode != 200 || index.Header.Get("Cache-Control") != "no-cache" {
		t.Fatalf("index: status %d, Cache-Control %q", index.StatusCode, index.Header.Get("Cache-Control"))
	}
	if index.Header.Get("Content-Security-Policy") != ContentSecurityPolicy {
		t.Errorf("index has no Content-Security-Policy")
	}
	page := body(t, index)
	if regexp.MustCompile(`<script(?:[^>]*)>[^<]`).MatchString(page) || strings.Contains(page, "<style") || strings.Contains(page, " style=") || regexp.MustCompile(`\son\w+=`).MatchString(page) {
		t.Errorf("index.html has inline code or style, which its own policy forbids:\n%s", page)
	}
	refs := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(refs) < 3 {
		t.Fatalf("index.html names %d files, expected script, style and icon:\n%s", len(refs), page)
	}
	for _, m := range refs {
		if !strings.HasPrefix(m[1], "/") || strings.HasPrefix(m[1], "//") {
			t.Errorf("index.html loads %s from somewhere else", m[1])
			continue
		}
		for _, coding := range []string{"", "gzip"} {
			r := get(t, h, m[1], "Accept-Encoding", coding)
			if r.StatusCode != 200 || len(body(t, r)) == 0 {
				t.Errorf("%s (%q): status %d", m[1], coding, r.StatusCode)
			}
			if strings.HasPrefix(m[1], "/assets/") && !strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
				t.Errorf("%s may not be cached for ever: %q", m[1], r.Header.Get("Cache-Control"))
			}
		}
	}
}

func TestNoFileOfTheBundleNamesAnotherOrigin(t *testing.T) {
	// Names that are identifiers or documentation, never fetched.
	allowed := regexp.MustCompile(`^https?://(www\.w3\.org/|react\.dev/errors/|localhost/?$|github\.com/|reactjs\.org/)`)
	url := regexp.MustCompile(`https?://[^\s"'` + "`" + `\\)<>]*`)
	err := fs.WalkDir(embedded, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !regexp.MustCompile(`\.(js|css|html)$`).MatchString(name) {
			return err
		}
		data, err := fs.ReadFile(embedded, name)
		if err != nil {
			return err
		}
		for _, u := range url.FindAllString(string(data), -1) {
			if !allowed.MatchString(u) {
				t.Errorf("%s names %s", name, u)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAddressesOfScreensAndOfFilesAreToldApart(t *testing.T) {
	h, err := newHandler(fstest.MapFS{
		"index.html":         {Data: []byte("<!doctype html>console")},
		"favicon.svg":        {Data: []byte("<svg/>")},
		"assets/app-1a2b.js": {Data: []byte(strings.Repeat("let a;", 100))},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		url, accept string
		code        int
		kind, body  string
	}{
		{"/", "", 200, "text/html; charset=utf-8", "<!doctype html>console"},
		{"/alerts/4f1c?x=1", "", 200, "text/html; charset=utf-8", "<!doctype html>console"},
		{"/alerts/", "gzip", 200, "text/html; charset=utf-8", "<!doctype html>console"},
		{"/favicon.svg", "gzip;q=0", 200, "image/svg+xml", "<svg/>"},
		{"/assets/app-1a2b.js", "br, gzip", 200, "text/javascript; charset=utf-8", strings.Repeat("let a;", 100)},
		{"/identities/prod/user:alice@example.com", "", 200, "text/html; charset=utf-8", "<!doctype html>console"},
		{"/workloads/prod/shop/Deployment/web.js", "", 200, "text/html; charset=utf-8", "<!doctype html>console"},
		{"/workloads.js", "", 404, "", ""},
		{"/assets/gone.js", "", 404, "", ""},
		{"/assets/gone", "", 404, "", ""},
		{"/missing.css", "", 404, "", ""},
		{"/../../etc/passwd.txt", "", 404, "", ""},
	} {
		r := get(t, h, c.url, "Accept-Encoding", c.accept)
		if r.StatusCode != c.code {
			t.Errorf("%s: status %d, want %d", c.url, r.StatusCode, c.code)
		}
		if c.code != 200 {
			continue
		}
		if got := r.Header.Get("Content-Type"); got != c.kind {
			t.Errorf("%s: Content-Type %q, want %q", c.url, got, c.kind)
		}
		if got := body(t, r); got != c.body {
			t.Errorf("%s: body %q", c.url, got)
		}
	}
	r := get(t, h, "/assets/app-1a2b.js")
	if again := get(t, h, "/assets/app-1a2b.js", "If-None-Match", r.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
		t.Errorf("an unchanged file is sent again: status %d", again.StatusCode)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d", w.Code)
	}
}

func TestABrokenBundleSaysSo(t *testing.T) {
	for name, dist := range map[string]fs.FS{
		"no index":     fstest.MapFS{"favicon.svg": {Data: []byte("<svg/>")}},
		"unknown kind": fstest.MapFS{"index.html": {}, "a.wasm": {}},
	} {
		if _, err := newHandler(dist); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			w := httptest.NewRecorder()
			broken(err).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			if w.Code != 500 || !strings.Contains(w.Body.String(), err.Error()) {
				t.Errorf("%s: answered %d %q", name, w.Code, w.Body)
			}
		}
	}
}
