package image

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	layoutlib "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// entry is a header and its content, for tars that no honest tool writes.
type entry struct {
	h tar.Header
	b string
}

func file(name, content string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, content}
}

func writeTar(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		e.h.Size = int64(len(e.b))
		if err := w.WriteHeader(&e.h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, e.b)
	}
	w.Close()
	return b.Bytes()
}

func config(layers ...[]byte) string {
	var ids []string
	for _, l := range layers {
		ids = append(ids, sum(l))
	}
	b, _ := json.Marshal(map[string]any{"os": "linux", "architecture": "amd64", "rootfs": map[string]any{"type": "layers", "diff_ids": ids}})
	return string(b)
}

func piped(b []byte) Options { return Options{Stdin: bytes.NewReader(b)} }

func TestHostileDockerSave(t *testing.T) {
	one, two := layerTar(t, "a", "1"), layerTar(t, "b", "2")
	list := func(config string, layers ...string) entry {
		b, _ := json.Marshal([]saved{{Config: config, RepoTags: []string{"app:1"}, Layers: layers}})
		return file("manifest.json", string(b))
	}
	cfg := file("c.json", config(one, two))
	for _, c := range []struct {
		what    string
		entries []entry
		want    string
	}{
		{"no config", []entry{list("none.json")}, "none.json"},
		{"config out of the archive", []entry{list("../../etc/passwd")}, "out of the archive"},
		{"absolute config", []entry{list("/etc/passwd")}, "out of the archive"},
		{"config is no JSON", []entry{list("c.json"), file("c.json", "…")}, "not an image configuration"},
		{"config says nothing", []entry{list("c.json"), file("c.json", "{}")}, "not an image configuration"},
		{"huge config", []entry{list("c.json"), file("c.json", strings.Repeat(" ", MaxDocument+1))}, "larger than 8 MiB"},
		{"huge manifest", []entry{file("manifest.json", strings.Repeat(" ", MaxDocument+1))}, "larger than 8 MiB"},
		{"no image", []entry{file("manifest.json", "[]")}, "names no image"},
		{"object for a list", []entry{file("manifest.json", "{}")}, "docker save"},
		{"config under another's digest", []entry{list(strings.Repeat("0", 64) + ".json"), file(strings.Repeat("0", 64)+".json", config())}, "damaged or tampered with"},
		{"diff id is none", []entry{list("c.json"), file("c.json", `{"os":"linux","rootfs":{"diff_ids":["sha256:../../x"]}}`)}, "not a digest"},
		{"only files", []entry{file("etc/passwd", "root")}, "rootfs:DIR"},
		{"docker of old", []entry{file("repositories", "{}")}, "before 1.10"},
		{"link circle", []entry{list("c.json"), {tar.Header{Name: "c.json", Typeflag: tar.TypeSymlink, Linkname: "d.json"}, ""}, {tar.Header{Name: "d.json", Typeflag: tar.TypeSymlink, Linkname: "c.json"}, ""}}, "circle"},
	} {
		if err := refused(t, "-", piped(writeTar(t, c.entries...))); !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: want %q in: %v", c.what, c.want, err)
		}
	}

	// One layer that cannot be had does not hide the other.
	for _, c := range []struct {
		what, name, want string
		extra            []entry
	}{
		{"missing", "none/layer.tar", "none/layer.tar", nil},
		{"out of the archive", "../../../etc/passwd", "out of the archive", nil},
		{"a link out", "l.tar", "link out of the archive", []entry{{tar.Header{Name: "l.tar", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, ""}}},
		{"a link out, relative", "x/l.tar", "link out of the archive", []entry{{tar.Header{Name: "x/l.tar", Typeflag: tar.TypeSymlink, Linkname: "../../etc/passwd"}, ""}}},
	} {
		b := writeTar(t, append([]entry{list("c.json", c.name, "two.tar"), cfg, file("two.tar", string(two))}, c.extra...)...)
		o := open(t, "-", piped(b))[0]
		if _, err := o.Layer(context.Background(), 0); err == nil || !strings.Contains(err.Error(), c.want) || o.Missing(0) == nil || o.Missing(1) != nil || len(o.Gaps) != 0 {
			t.Errorf("%s: %v, %+v", c.what, err, o.Gaps)
		}
		if got := plain(t, o, 1); !bytes.Equal(got, two) {
			t.Errorf("%s: the other layer cannot be read", c.what)
		}
	}

	// Links of the docker of 2016: a layer that two images share.
	b := writeTar(t, list("c.json", "x/layer.tar", "y/layer.tar"), cfg, file("x/layer.tar", string(one)),
		entry{tar.Header{Name: "y/layer.tar", Typeflag: tar.TypeSymlink, Linkname: "../x/layer.tar"}, ""})
	if got := plain(t, open(t, "-", piped(b))[0], 1); !bytes.Equal(got, one) {
		t.Error("a link within the archive is not followed")
	}

	// More layers than the configuration knows.
	o := open(t, "-", piped(writeTar(t, list("c.json", "one.tar"), cfg, file("one.tar", string(one)))))[0]
	if len(o.Gaps) != 1 || o.Image.Layers[0].DiffID != "" || !bytes.Equal(plain(t, o, 0), one) {
		t.Errorf("counts that differ: %+v %+v", o.Gaps, o.Image.Layers)
	}
}

func TestTruncatedArchives(t *testing.T) {
	tars := twoLayers(t)
	img := makeImage(t, "amd64", tars...)
	path := filepath.Join(t.TempDir(), "app.tar")
	tag, _ := name.NewTag("app:1")
	if err := tarball.WriteToFile(path, tag, img); err != nil {
		t.Fatal(err)
	}
	whole, _ := os.ReadFile(path)
	for cut := 0; cut < len(whole)-1024; cut += 97 {
		cutFile := filepath.Join(t.TempDir(), "cut.tar")
		os.WriteFile(cutFile, whole[:cut], 0o600)
		got, err := Open(t.Context(), cutFile, Options{})
		if err != nil {
			continue
		}
		// manifest.json is last, so all but its padding and the end mark is there.
		for i := range tars {
			if !bytes.Equal(plain(t, got[0], i), tars[i]) {
				t.Errorf("cut at %d: layer %d differs", cut, i)
			}
		}
		got[0].Close()
	}

	// Where manifest.json is first, what is whole can be read.
	one := layerTar(t, "a", strings.Repeat("1", 5000))
	b, _ := json.Marshal([]saved{{Config: "c.json", Layers: []string{"1.tar", "2.tar"}}})
	all := writeTar(t, file("manifest.json", string(b)), file("c.json", config(one, one)), file("1.tar", string(one)), file("2.tar", string(one)))
	o := open(t, "-", piped(all[:len(all)-4000]))[0]
	if !bytes.Equal(plain(t, o, 0), one) || !strings.Contains(fmt.Sprint(o.Missing(1)), "cut off") || len(o.Gaps) != 1 {
		t.Errorf("%+v %+v", o.Image.Layers, o.Gaps)
	}

	for what, in := range map[string]io.Reader{"empty": strings.NewReader(""), "broken pipe": iotest.ErrReader(errors.New("broken pipe")), "noise": strings.NewReader(strings.Repeat("noise", 1000)), "cut gzip": bytes.NewReader([]byte{0x1f, 0x8b, 8, 0, 0})} {
		refused(t, "-", Options{Stdin: in})
		_ = what
	}
	if err := refused(t, "-", Options{Stdin: io.LimitReader(zeros{}, 1<<20), MaxSpool: 1 << 16}); !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a bound on temporary space: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// blobDir is an OCI layout made by hand.
type blobDir struct {
	t   testing.TB
	dir string
}

func newBlobDir(t testing.TB) *blobDir {
	d := &blobDir{t: t, dir: t.TempDir()}
	os.MkdirAll(filepath.Join(d.dir, "blobs/sha256"), 0o700)
	os.WriteFile(filepath.Join(d.dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600)
	return d
}

func (d *blobDir) put(b []byte) map[string]any {
	os.WriteFile(filepath.Join(d.dir, blobName(sum(b))), b, 0o600)
	return map[string]any{"digest": sum(b), "size": len(b)}
}

func (d *blobDir) putJSON(v any) map[string]any {
	b, err := json.Marshal(v)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.put(b)
}

func (d *blobDir) index(manifests ...any) {
	b, _ := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": append([]any{}, manifests...)})
	os.WriteFile(filepath.Join(d.dir, "index.json"), b, 0o600)
}

func TestHostileLayouts(t *testing.T) {
	layer := layerTar(t, "a", "1")
	for what, c := range map[string]struct {
		want string
		make func(d *blobDir)
	}{
		"no index":       {"index.json", func(d *blobDir) {}},
		"index is noise": {"not a manifest", func(d *blobDir) { os.WriteFile(d.dir+"/index.json", []byte("["), 0o600) }},
		"empty index":    {"image not found", func(d *blobDir) { d.index() }},
		"huge index":     {"larger than", func(d *blobDir) { os.WriteFile(d.dir+"/index.json", make([]byte, MaxDocument+1), 0o600) }},
		"path as digest": {"not a digest", func(d *blobDir) { d.index(map[string]any{"digest": "sha256:../../../../etc/passwd", "size": 1}) }},
		"sha512":         {"not supported", func(d *blobDir) { d.index(map[string]any{"digest": "sha512:" + strings.Repeat("a", 128), "size": 1}) }},
		"negative size":  {"negative", func(d *blobDir) { d.index(map[string]any{"digest": sum(nil), "size": -1}) }},
		"missing blob":   {"not there", func(d *blobDir) { d.index(map[string]any{"digest": sum(nil), "size": 1}) }},
		"other content": {"damaged or tampered", func(d *blobDir) {
			m := d.put([]byte("{}"))
			os.WriteFile(filepath.Join(d.dir, blobName(m["digest"].(string))), []byte("{ }"), 0o600)
			d.index(m)
		}},
		"link out of the layout": {"escapes", func(d *blobDir) {
			os.Symlink("/etc/passwd", filepath.Join(d.dir, blobName(sum(nil))))
			d.index(map[string]any{"digest": sum(nil), "size": 1})
		}},
		"two images in one": {"manifest and index at once", func(d *blobDir) {
			d.index(d.putJSON(map[string]any{"manifests": []any{}, "layers": []any{}, "config": d.put([]byte("{}"))}))
		}},
		"schema 1": {"schema 1", func(d *blobDir) { d.index(d.putJSON(map[string]any{"schemaVersion": 1, "fsLayers": []any{}})) }},
		"helm chart": {"Helm chart", func(d *blobDir) {
			c := d.put([]byte("{}"))
			c["mediaType"] = "application/vnd.cncf.helm.config.v1+json"
			m := d.putJSON(map[string]any{"schemaVersion": 2, "config": c, "layers": []any{}})
			d.index(m)
		}},
		"signature": {"not a container image", func(d *blobDir) {
			d.index(d.putJSON(map[string]any{"schemaVersion": 2, "config": d.put([]byte(config())), "layers": []any{
				map[string]any{"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "digest": sum(layer), "size": 1}}}))
		}},
		"too deep": {"indexes within each other", func(d *blobDir) {
			m := d.putJSON(map[string]any{"schemaVersion": 2, "config": d.put([]byte(config())), "layers": []any{}})
			for range maxDepth + 1 {
				m = d.putJSON(map[string]any{"schemaVersion": 2, "manifests": []any{m}})
			}
			d.index(m)
		}},
		"too many layers": {"layers; at most", func(d *blobDir) {
			var all []any
			for range MaxLayers + 1 {
				all = append(all, map[string]any{"digest": sum(layer), "size": 1})
			}
			d.index(d.putJSON(map[string]any{"schemaVersion": 2, "config": d.put([]byte(config())), "layers": all}))
		}},
		"config larger than it says": {"more than the", func(d *blobDir) {
			c := d.put([]byte(config()))
			c["size"] = 2
			d.index(d.putJSON(map[string]any{"schemaVersion": 2, "config": c, "layers": []any{}}))
		}},
	} {
		d := newBlobDir(t)
		c.make(d)
		if got, err := Open(t.Context(), d.dir, Options{}); err == nil {
			t.Errorf("%s: no error: %+v", what, got[0].Image)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: want %q in: %v", what, c.want, err)
		}
	}
}

func TestTooWideIndexIsReadInPart(t *testing.T) {
	d := newBlobDir(t)
	var all []any
	for i := range maxImages + 1 {
		all = append(all, d.putJSON(map[string]any{"schemaVersion": 2, "annotations": map[string]string{"n": fmt.Sprint(i)}, "config": d.put([]byte(config())), "layers": []any{}}))
	}
	d.index(d.putJSON(map[string]any{"schemaVersion": 2, "manifests": all}))
	o := open(t, d.dir, Options{Platform: "linux/amd64"})[0]
	if len(o.Gaps) == 0 || !strings.Contains(o.Gaps[0].Reason, "more than 256 manifests") {
		t.Errorf("%+v", o.Gaps)
	}
	if err := refused(t, d.dir, Options{Platform: "linux/arm64"}); !strings.Contains(err.Error(), "more than 256 manifests") {
		t.Errorf("%v", err)
	}
}

// A digest cannot be made to lead back to itself, but a content store that lies can.
func TestIndexCycle(t *testing.T) {
	digest := sum([]byte("any"))
	raw := []byte(`{"schemaVersion":2,"manifests":[{"digest":"` + digest + `","size":1},{"digest":"` + digest + `","size":1}]}`)
	s := &source{name: "liar", content: &overlay{digest: digest, raw: raw}, opt: &Options{}}
	if _, err := s.open(context.Background(), descriptor{Digest: digest}); err == nil || !strings.Contains(err.Error(), "back to itself") {
		t.Errorf("%v", err)
	}
}

func TestDamagedLayersSayWhere(t *testing.T) {
	tars := twoLayers(t)
	img := makeImage(t, "amd64", tars...)
	dir := t.TempDir()
	l, _ := layoutlib.Write(dir, empty.Index)
	if err := l.AppendImage(img); err != nil {
		t.Fatal(err)
	}
	layers, _ := img.Layers()
	d, _ := layers[0].Digest()
	path := filepath.Join(dir, blobName(d.String()))
	b, _ := os.ReadFile(path)
	b[len(b)/2] ^= 1
	os.Chmod(path, 0o600)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	o := open(t, dir, Options{})[0]
	r, err := o.Layer(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); err == nil || !strings.Contains(err.Error(), "damaged or tampered with") || !strings.Contains(err.Error(), "layer 0") {
		t.Errorf("%v", err)
	}
	r.Close()
	if !bytes.Equal(plain(t, o, 1), tars[1]) {
		t.Error("the other layer cannot be read")
	}
	os.WriteFile(path, b[:10], 0o600)
	o = open(t, dir, Options{})[0]
	if !strings.Contains(fmt.Sprint(o.Missing(0)), "promises") {
		t.Errorf("a short blob: %v", o.Missing(0))
	}
	if _, err := o.Layer(t.Context(), 7); err == nil {
		t.Error("a layer that the image does not have: no error")
	}
}

func TestEncryptedLayerIsMissing(t *testing.T) {
	d := newBlobDir(t)
	secret, open1 := d.put([]byte("…")), d.put(layerTar(t, "a", "1"))
	secret["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted"
	open1["mediaType"] = "application/vnd.oci.image.layer.v1.tar"
	d.index(d.putJSON(map[string]any{"schemaVersion": 2, "config": d.put([]byte(config([]byte("…"), layerTar(t, "a", "1")))), "layers": []any{secret, open1}}))
	o := open(t, d.dir, Options{})[0]
	if !strings.HasPrefix(fmt.Sprint(o.Missing(0)), "encrypted") || o.Missing(1) != nil || !bytes.Equal(plain(t, o, 1), layerTar(t, "a", "1")) {
		t.Errorf("%+v", o.Gaps)
	}
}

func TestRedactionThatIsGiven(t *testing.T) {
	tar := layerTar(t, "a", "1")
	b, _ := json.Marshal([]saved{{Config: "c.json", Layers: []string{"1.tar"}}})
	cfg := `{"os":"linux","rootfs":{"diff_ids":["` + sum(tar) + `"]},"config":{"Env":["A=zap"],"Cmd":"zap","Labels":{"x":"zap"}},"history":[{"created_by":"RUN zap"}]}`
	in := piped(writeTar(t, file("manifest.json", string(b)), file("c.json", cfg), file("1.tar", string(tar))))
	in.Redact = func(s string) string { return strings.ReplaceAll(s, "zap", "***") }
	o := open(t, "-", in)[0]
	if shown := fmt.Sprintf("%+v", o.Image); strings.Contains(shown, "zap") || strings.Count(shown, "***") != 5 {
		t.Errorf("%s", shown)
	}
	if o.Unredacted.Env[0] != "A=zap" || o.Unredacted.Cmd[0] != "zap" {
		t.Errorf("%+v", o.Unredacted)
	}
}

func TestRedaction(t *testing.T) {
	red := redactor{}
	for in, want := range map[string]string{
		"PATH=/usr/bin": "PATH=/usr/bin", "DB_PASSWORD=a b=c": "DB_PASSWORD=***", "EMPTY_TOKEN=": "EMPTY_TOKEN=", "KEYBOARD=us": "KEYBOARD=us",
		"URL=postgres": "URL=postgres", "NPM_TOKEN=npm_x": "NPM_TOKEN=***", "OPTS=-Dpassword=x -v": "OPTS=-Dpassword=*** -v", "no assignment": "no assignment",
	} {
		if got := red.entry(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"RUN A=1 API_TOKEN='x y' make": "RUN A=1 API_TOKEN=*** make", "RUN curl --password=x;ls": "RUN curl --password=***;ls", `ENV SECRET="a b"`: `ENV SECRET=***`,
		"|1 NPM_TOKEN=abc /bin/sh": "|1 NPM_TOKEN=*** /bin/sh", "PASSWORD=": "PASSWORD=", "PASSWORD='open": "PASSWORD=***",
	} {
		if got := red.text(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if again := red.text(red.text(in)); again != want {
			t.Errorf("%q: redacted twice is %q", in, again)
		}
	}
}

func FuzzArchive(f *testing.F) {
	one := layerTar(f, "a", "1")
	b, _ := json.Marshal([]saved{{Config: "c.json", RepoTags: []string{"app:1"}, Layers: []string{"1.tar"}}})
	f.Add(writeTar(f, file("manifest.json", string(b)), file("c.json", config(one)), file("1.tar", string(one))))
	f.Add(writeTar(f, file("index.json", `{"schemaVersion":2,"manifests":[]}`)))
	f.Add(writeTar(f, entry{tar.Header{Name: "manifest.json", Typeflag: tar.TypeSymlink, Linkname: "x"}, ""}))
	f.Fuzz(func(t *testing.T, b []byte) {
		ix, err := indexTar(bytes.NewReader(b), int64(len(b)), "fuzz")
		if err != nil {
			return
		}
		s := &source{name: "fuzz", opt: &Options{}, want: wanted{all: true}}
		got, err := s.openIndexed(context.Background(), ix, "")
		if err != nil {
			return
		}
		for _, o := range got {
			if len(o.Image.Layers) > MaxLayers {
				t.Fatal("too many layers")
			}
			for i := range o.Image.Layers {
				r, err := o.Layer(context.Background(), i)
				if err != nil {
					continue
				}
				if n, _ := io.Copy(io.Discard, r); n > int64(len(b)) {
					t.Fatalf("layer %d has %d bytes in an archive of %d", i, n, len(b))
				}
				r.Close()
			}
			o.Close()
		}
	})
}

func FuzzDocuments(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"digest":"` + sum(nil) + `","size":3,"platform":{"os":"linux","architecture":"arm","variant":"v7"}}]}`))
	f.Add([]byte(`{"schemaVersion":2,"config":{"digest":"` + sum(nil) + `"},"layers":[]}`))
	f.Add([]byte(config([]byte("x"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := parseLayoutIndex(b, "fuzz"); err == nil {
			for _, m := range d.Manifests {
				if strings.ContainsAny(blobName(m.Digest)[len("blobs/sha256/"):], "/.\\") {
					t.Fatalf("a digest that is a path: %q", m.Digest)
				}
				m.names()
			}
		}
		if d, err := parseDocument(b, "fuzz"); err == nil && !d.index() {
			d.notImage("fuzz")
		}
		if c, err := parseConfig(b, "fuzz"); err == nil {
			o := &Opened{}
			o.describe(c, &Options{})
		}
		parseSaved(b, "fuzz")
	})
}

func FuzzContainerdMeta(f *testing.F) {
	root := writeStore(f, map[[2]string]string{{"k8s.io", "docker.io/library/app:1"}: sum(nil), {"default", "b:2"}: sum([]byte("b"))}, nil)
	b, err := os.ReadFile(filepath.Join(root, containerdMeta))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		db, err := openBolt(bytes.NewReader(b))
		if err != nil {
			return
		}
		db.budget = 1000
		names, _ := db.names("")
		for _, n := range names {
			if validDigest(n.digest) != nil {
				t.Fatalf("%+v", n)
			}
		}
		db.find("v1", "k8s.io", "snapshots", "overlayfs", "x")
	})
}
