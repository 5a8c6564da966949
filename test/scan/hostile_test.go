package scan_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/dockreeve/dockreeve/test/testimage"
)

// peakAllowed is how much memory a scan of any of these may take. Ordinary images take
// less than half of it.
const peakAllowed = 200 << 20

// blobs makes an OCI layout by hand: layers as they are stored, gzip, with the diff ids
// that are claimed for them.
func blobs(t testing.TB, dir string, layers ...[]byte) string {
	t.Helper()
	put := func(b []byte) map[string]any {
		h, _, err := v1.SHA256(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		p := filepath.Join(dir, "blobs/sha256", h.Hex)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return map[string]any{"digest": h.String(), "size": len(b)}
	}
	typed := func(m map[string]any, mediaType string) map[string]any { m["mediaType"] = mediaType; return m }
	var list []any
	var ids []string
	for _, l := range layers {
		list = append(list, typed(put(l), "application/vnd.oci.image.layer.v1.tar+gzip"))
		ids = append(ids, diffID(t, l))
	}
	config := put(must(json.Marshal(map[string]any{"os": "linux", "architecture": "amd64", "config": map[string]any{}, "rootfs": map[string]any{"type": "layers", "diff_ids": ids}}))(t))
	manifest := put(must(json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": typed(config, "application/vnd.oci.image.config.v1+json"), "layers": list}))(t))
	index := must(json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []any{typed(manifest, "application/vnd.oci.image.manifest.v1+json")}}))(t)
	for name, b := range map[string][]byte{"index.json": index, "oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// diffID unpacks a layer to tell its digest; of one that is too big or broken it makes
// one up.
func diffID(t testing.TB, layer []byte) string {
	t.Helper()
	made := "sha256:" + strings.Repeat("ab", 32)
	if len(layer) == 0 || bytes.HasPrefix(layer, []byte(bombMark)) {
		return made
	}
	z, err := gzip.NewReader(bytes.NewReader(layer))
	if err != nil {
		return made
	}
	h, n, err := v1.SHA256(io.LimitReader(z, 1<<30))
	if err != nil || n == 1<<30 {
		return made
	}
	return h.String()
}

// bombMark begins the gzip of the bomb: a header with a comment.
var bombMark = string(zipped(nil, "bomb")[:16])

func zipped(b []byte, comment string) []byte {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		panic(err)
	}
	z.Comment = comment
	if _, err := z.Write(b); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// bomb is a layer of some 30 MB that unpacks to 30 GB: one member of zeros, many times.
func bomb() []byte {
	var head bytes.Buffer
	w := tar.NewWriter(&head)
	if err := w.WriteHeader(&tar.Header{Name: "var/lib/dpkg/status", Mode: 0o644, Size: 30 << 30, Typeflag: tar.TypeReg, Format: tar.FormatGNU}); err != nil {
		panic(err)
	}
	out := zipped(head.Bytes(), "bomb")
	zeros := zipped(make([]byte, 32<<20), "")
	for range 960 {
		out = append(out, zeros...)
	}
	return out
}

// entries is a layer of many tiny files with long names.
func entries(n int) []byte {
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	w := tar.NewWriter(z)
	for i := range n {
		h := &tar.Header{Name: fmt.Sprintf("srv/%03d/node_modules/%s-%d/package.json", i%500, strings.Repeat("n", 60), i), Mode: 0o644, Typeflag: tar.TypeReg, Size: 2}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		if _, err := io.WriteString(w, "{}"); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// TestHostileImages scans images that want to hurt the scanner. Each has a good layer
// too, which is reported; memory stays bounded; the gap says what happened.
func TestHostileImages(t *testing.T) {
	good := zipped(testimage.Tar(debian(testimage.File{Name: "app/node_modules/lodash/package.json", Body: `{"name":"lodash","version":"4.17.4"}`})...), "")
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	up := strings.Repeat("../", 30)
	tarOf := func(f ...testimage.File) []byte { return zipped(testimage.Tar(f...), "") }
	secret := `{"name":"climbed","version":"6.6.6"}`
	broken := tarOf(testimage.File{Name: "a", Body: noise(200 << 10)})
	cases := []struct {
		name  string
		layer []byte
		code  int
		gap   string // what the gaps must say
	}{
		{"bomb", bomb(), 3, "layer 1"},
		{"names that climb", tarOf(testimage.File{Name: up + "etc/passwd", Body: "x"}, testimage.File{Name: "/" + up + strings.TrimPrefix(outside, "/"), Body: "changed"},
			testimage.File{Name: up + "app/node_modules/climbed/package.json", Body: secret}), 3, "climb"},
		{"links that climb", tarOf(testimage.File{Name: "app/node_modules/climbed", Link: up + "etc"}, testimage.File{Name: "app/node_modules/climbed/package.json", Body: secret},
			testimage.File{Name: "var/lib/dpkg/status", Link: outside}, testimage.File{Name: "usr/lib/os-release", Hard: up + "etc/shadow"}), 3, "point out of the image"},
		{"truncated gzip", broken[:len(broken)/2], 3, "layer 1"},
		{"no gzip at all", []byte(strings.Repeat("milk and bread ", 500)), 3, "layer 1"},
		{"an empty layer", nil, 3, "layer 1"},
		{"a hundred thousand entries", entries(100_000), 0, ""},
		{"links in a circle", tarOf(testimage.File{Name: "a", Link: "b"}, testimage.File{Name: "b", Link: "a"}, testimage.File{Name: "c/", Mode: 0o755}, testimage.File{Name: "c/d", Link: "../c"},
			testimage.File{Name: "usr/lib/os-release", Link: "../../usr/lib/os-release"}, testimage.File{Name: "usr/bin/x", Hard: "usr/bin/y"}, testimage.File{Name: "usr/bin/y", Hard: "usr/bin/x"}), 0, ""},
		{"a giant os-release", tarOf(testimage.File{Name: "etc/os-release", Body: strings.Repeat("NAME=a\n", 20<<20)}), 3, "os-release"},
		{"a giant package.json", tarOf(testimage.File{Name: "app/node_modules/big/package.json", Body: `{"name":"big","version":"1.0.0","x":"` + strings.Repeat("a", 80<<20) + `"}`}), 3, "package.json"},
		{"deep JSON", tarOf(testimage.File{Name: "app/node_modules/deep/package.json", Body: strings.Repeat(`{"a":`, 1<<20)}), 3, "package.json"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := newHome(t)
			dir := blobs(t, h.path("layout"), good, c.layer)
			h.importing(h.write("tracker.json", zlibOpen), h.write("npm.zip", osvZip(t, &lodash)))
			o := h.run(nil, "scan", "-o", "json", dir)
			t.Logf("code %d, %d MB, %v", o.code, o.peak>>20, o.took)
			if o.code != c.code {
				t.Errorf("code %d, want %d: %.2000s", o.code, c.code, o.stderr)
			}
			if o.peak > peakAllowed {
				t.Errorf("it took %d MB", o.peak>>20)
			}
			x := parse(t, o.stdout)
			if c.gap != "" && !strings.Contains(x.gaps(), c.gap) {
				t.Errorf("gaps do not speak of %q:\n%.2000s", c.gap, x.gaps())
			}
			t.Logf("%.600s", x.gaps())
			if !strings.Contains(strings.Join(x.packages("npm"), "\n"), "lodash 4.17.4") {
				t.Errorf("the good layer is not reported: %.500v", x.packages("npm"))
			}
			if strings.Contains(o.stdout, "untouched") || string(must(os.ReadFile(outside))(t)) != "untouched" {
				t.Error("the scan left the image")
			}
			left, _ := filepath.Glob(filepath.Join(os.TempDir(), "dockreeve-scan-*"))
			if len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	t.Run("root file system with links out of it", func(t *testing.T) {
		h := newHome(t)
		h.importing(h.write("tracker.json", zlibOpen), h.write("npm.zip", osvZip(t, &lodash)))
		root := h.path("root")
		if err := files(root, map[string]string{"etc/os-release": "ID=debian\nVERSION_ID=12\n", "app/node_modules/lodash/package.json": `{"name":"lodash","version":"4.17.4"}`}); err != nil {
			t.Fatal(err)
		}
		out := h.path("elsewhere")
		if err := files(out, map[string]string{"node_modules/climbed/package.json": secret, "status": "Package: climbed\nStatus: install ok installed\nVersion: 1\n\n"}); err != nil {
			t.Fatal(err)
		}
		for link, to := range map[string]string{"srv": out, "loop": ".", "app/up": "../..", "var/lib/dpkg/status": out + "/status"} {
			p := filepath.Join(root, link)
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(to, p); err != nil {
				t.Fatal(err)
			}
		}
		o := h.run(nil, "scan", "-o", "json", "dir:"+root)
		x := parse(t, o.stdout)
		if len(x.Packages) != 1 || x.Packages[0].Name != "lodash" {
			t.Errorf("code %d packages %+v", o.code, x.Packages)
		}
	})
}
