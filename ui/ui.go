// Package ui owns the console: its TypeScript source, the bundle built from it
// (dist, written only by `make ui`) and the handler that serves that bundle.
//
// It promises that every byte of the console comes from this handler: the
// Content-Security-Policy it sends lets the browser run, style and connect to
// nothing else, without 'unsafe-inline'. It knows no API and checks no session:
// the bundle holds nothing secret.
package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

//go:embed all:dist
var embedded embed.FS

// ContentSecurityPolicy is sent with every answer of Handler.
const ContentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// types names every kind of file a bundle may hold; nothing is sniffed.
var types = map[string]string{
	".html":   "text/html; charset=utf-8",
	".js":     "text/javascript; charset=utf-8",
	".css":    "text/css; charset=utf-8",
	".svg":    "image/svg+xml",
	".woff2":  "font/woff2",
	".txt":    "text/plain; charset=utf-8",
	".sha256": "text/plain; charset=utf-8",
}

// rooms are the first steps of screens' addresses. What follows them are names of
// others, which may have dots (a user alice@example.com), so that nothing beneath
// is taken for a file.
var rooms = []string{"alerts", "audit", "clusters", "compliance", "exposure", "governance", "identities", "images", "recommendations", "vulnerabilities", "workloads"}

type file struct {
	body, packed []byte // packed is nil where gzip does not help
	kind, etag   string
	forever      bool // the name carries the content's hash
}

// Handler serves the console: the files of the bundle under their own names, and
// index.html for every other address without a file extension or beneath a room,
// because screens have addresses of their own. It answers GET and HEAD only, and is safe for
// concurrent use. A binary built with a broken bundle answers 500 with the
// reason; the API beside it still works, and a test keeps that from being committed.
func Handler() http.Handler {
	dist, err := fs.Sub(embedded, "dist")
	if err != nil {
		return broken(err)
	}
	h, err := newHandler(dist)
	if err != nil {
		return broken(err)
	}
	return h
}

func broken(err error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the console of this build does not work: "+err.Error(), http.StatusInternalServerError)
	})
}

func newHandler(dist fs.FS) (http.Handler, error) {
	files := map[string]*file{}
	err := fs.WalkDir(dist, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(dist, name)
		if err != nil {
			return err
		}
		kind, ok := types[path.Ext(name)]
		if !ok {
			return fmt.Errorf("%s: no content type is known for %q: add it to types in ui/ui.go", name, path.Ext(name))
		}
		f := &file{body: body, kind: kind, forever: strings.HasPrefix(name, "assets/")}
		sum := sha256.Sum256(body)
		f.etag = hex.EncodeToString(sum[:8])
		if kind != "font/woff2" {
			if f.packed, err = pack(body); err != nil {
				return fmt.Errorf("%s: compress: %w", name, err)
			}
		}
		files[name] = f
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ui: read the embedded bundle: %w", err)
	}
	if files["index.html"] == nil {
		return nil, fmt.Errorf("ui: the embedded bundle has no index.html: build it with make ui, then build the program again")
	}
	return handler(files), nil
}

func pack(body []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if b.Len() >= len(body) {
		return nil, nil
	}
	return b.Bytes(), nil
}

type handler map[string]*file

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", ContentSecurityPolicy)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "the console answers GET and HEAD only", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	f := h[name]
	first, _, under := strings.Cut(name, "/")
	if f == nil && (path.Ext(name) == "" || under && slices.Contains(rooms, first)) && first != "assets" {
		f = h["index.html"]
	}
	if f == nil {
		http.Error(w, "no such file in the console", http.StatusNotFound)
		return
	}
	head.Set("Content-Type", f.kind)
	head.Set("Vary", "Accept-Encoding")
	if f.forever {
		head.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		head.Set("Cache-Control", "no-cache")
	}
	body, tag := f.body, f.etag
	if f.packed != nil && acceptsGzip(r.Header.Get("Accept-Encoding")) {
		head.Set("Content-Encoding", "gzip")
		body, tag = f.packed, tag+"-gz"
	}
	head.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// acceptsGzip reads the one coding this handler offers; q=0 refuses it.
func acceptsGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		coding, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if coding == "gzip" || coding == "*" {
			q = strings.ReplaceAll(q, " ", "")
			return q != "q=0" && q != "q=0.0" && q != "q=0.00" && q != "q=0.000"
		}
	}
	return false
}
