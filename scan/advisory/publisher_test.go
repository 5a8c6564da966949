package advisory

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// publisher serves files as publishers do: with ETag, ranges and conditional answers,
// and with trouble where a test asks for it.
type publisher struct {
	t     *testing.T
	mu    sync.Mutex
	files map[string][]byte
	// trouble is handled instead of the file, first things first.
	trouble map[string][]http.HandlerFunc
	log     []string // "200 /path", "304 /path"…
	*httptest.Server
}

func newPublisher(t *testing.T) *publisher {
	p := &publisher{t: t, files: map[string][]byte{}, trouble: map[string][]http.HandlerFunc{}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Server.Close)
	return p
}

func (p *publisher) put(path string, content any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch c := content.(type) {
	case string:
		p.files[path] = []byte(c)
	case []byte:
		p.files[path] = c
	case nil:
		delete(p.files, path)
	}
}

func (p *publisher) fail(path string, h ...http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble[path] = append(p.trouble[path], h...)
}

func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	path := r.URL.Path
	rec := &recorder{ResponseWriter: w, code: 200}
	defer func() {
		p.log = append(p.log, fmt.Sprintf("%d %s%s", rec.code, path, map[bool]string{true: " " + r.Header.Get("Range")}[r.Header.Get("Range") != ""]))
	}()
	if list := p.trouble[path]; len(list) > 0 {
		p.trouble[path] = list[1:]
		list[0](rec, r)
		return
	}
	content, ok := p.files[path]
	if !ok {
		http.NotFound(rec, r)
		return
	}
	rec.Header().Set("ETag", fmt.Sprintf(`"%08x"`, crc32.ChecksumIEEE(content)))
	http.ServeContent(rec, r, "", time.Time{}, bytes.NewReader(content))
}

type recorder struct {
	http.ResponseWriter
	code int
}

func (r *recorder) WriteHeader(code int) {
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

// requests returns and forgets what was asked.
func (p *publisher) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.log
	p.log = nil
	slices.Sort(l)
	return l
}

// world is a publisher, a configuration that points to it, and a database.
type world struct {
	t    *testing.T
	pub  *publisher
	path string
	now  int64
	opt  UpdateOptions
	wait []time.Duration
}

func newWorld(t *testing.T, feeds ...Feed) *world {
	w := &world{t: t, pub: newPublisher(t), path: filepath.Join(t.TempDir(), "advisories.db"), now: 1_900_000_000e9}
	for i := range feeds {
		feeds[i].URL = w.pub.URL + feeds[i].URL
	}
	w.opt = UpdateOptions{
		Options: Options{Now: func() int64 { return w.now }},
		Config:  &Config{Feeds: feeds},
		Wait:    func(_ context.Context, d time.Duration) error { w.wait = append(w.wait, d); return nil },
	}
	return w
}

func (w *world) update() *Result {
	w.t.Helper()
	w.now += 3600e9
	res, err := Update(context.Background(), w.path, w.opt)
	if err != nil {
		w.t.Fatal(err)
	}
	return res
}

func (w *world) open() *DB {
	w.t.Helper()
	db, err := Open(w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = db.Close() })
	if err := db.Verify(); err != nil {
		w.t.Fatal(err)
	}
	return db
}

// feed returns the result of one feed.
func feedOf(t *testing.T, res *Result, name string) FeedResult {
	t.Helper()
	for _, f := range res.Feeds {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("no feed %s in %+v", name, res.Feeds)
	return FeedResult{}
}

// said writes an entry's Affected and the parts of its record that tests look at.
func said(e Entry) string {
	s := e.ID + " " + e.Feed
	a := e.Affected
	if a.NotAffected {
		s += " not-affected"
	}
	for _, r := range a.Ranges {
		s += fmt.Sprintf(" [%s,%s)", r.Introduced, r.Fixed)
		if r.LastAffected != "" {
			s += "≤" + r.LastAffected
		}
	}
	if a.Status != "" {
		s += " " + string(a.Status)
	}
	if a.Severity != 0 {
		s += " " + a.Severity.String()
	}
	if a.Module != "" {
		s += " module " + a.Module
	}
	return s
}

func expect(t *testing.T, db *DB, ecosystem, name string, want ...string) []Entry {
	t.Helper()
	list, err := db.Affected(ecosystem, name)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, said(e))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s %s:\n got %s\nwant %s", ecosystem, name, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
	return list
}

func zipOf(files map[string]string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		w, _ := z.Create(name)
		_, _ = w.Write([]byte(text))
	}
	_ = z.Close()
	return b.Bytes()
}

func gzipped(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.Bytes()
}

func tarZst(files map[string]string) []byte {
	var b bytes.Buffer
	z, _ := zstd.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, text := range files {
		_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg})
		_, _ = w.Write([]byte(text))
	}
	_ = w.Close()
	_ = z.Close()
	return b.Bytes()
}

// osvText is a small record as OSV writes it.
func osvText(id, modified, ecosystem, name, fixed string, more ...string) string {
	return fmt.Sprintf(`{"schema_version":"1.6.0","id":%q,"modified":%q,"affected":[{"package":{"ecosystem":%q,"name":%q},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":%q}]}]}]%s}`,
		id, modified, ecosystem, name, fixed, strings.Join(more, ""))
}

func answer(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// cut sends the beginning of a file and breaks the connection.
func cut(content []byte, at int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", fmt.Sprintf(`"%08x"`, crc32.ChecksumIEEE(content)))
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content[:at])
		w.(*recorder).ResponseWriter.(http.Flusher).Flush()
		c, _, err := w.(*recorder).ResponseWriter.(http.Hijacker).Hijack()
		if err == nil {
			_ = c.Close()
		}
	}
}
