package catalog

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// item is one entry of a layer made by a test: a file, or with a slash at the end a
// directory, or a link ("name -> target"), or a hard link ("name => target").
type item struct {
	name string
	body string
	mode int64
}

func layerOf(t testing.TB, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, it := range items {
		h := &tar.Header{Name: it.name, Mode: it.mode, Typeflag: tar.TypeReg, Size: int64(len(it.body))}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if name, target, ok := strings.Cut(it.name, " -> "); ok {
			h.Name, h.Linkname, h.Typeflag = name, target, tar.TypeSymlink
		} else if name, target, ok := strings.Cut(it.name, " => "); ok {
			h.Name, h.Linkname, h.Typeflag = name, target, tar.TypeLink
		} else if strings.HasSuffix(it.name, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, it.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// stored is an image in memory: layers as they are stored.
type stored struct {
	image  scan.Image
	layers [][]byte
	reads  atomic.Int64
}

func (s *stored) Layer(_ context.Context, i int) (io.ReadCloser, error) {
	s.reads.Add(1)
	if s.layers[i] == nil {
		return nil, errors.New("the content is not there")
	}
	return io.NopCloser(bytes.NewReader(s.layers[i])), nil
}

// imageOf stores tars as layers, compressed in turn with gzip, zstd and not at all.
func imageOf(t testing.TB, tars ...[]byte) *stored {
	t.Helper()
	s := &stored{image: scan.Image{Name: "test"}}
	for i, b := range tars {
		s.image.Layers = append(s.image.Layers, scan.Layer{DiffID: fmt.Sprintf("sha256:%x", sha256.Sum256(b))})
		var z bytes.Buffer
		switch i % 3 {
		case 0:
			w := gzip.NewWriter(&z)
			_, _ = w.Write(b)
			w.Close()
		case 1:
			w, err := zstd.NewWriter(&z)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = w.Write(b)
			w.Close()
		case 2:
			z.Write(b)
		}
		s.layers = append(s.layers, z.Bytes())
	}
	return s
}

func read(t testing.TB, s *stored, opt Options) *scan.Catalog {
	t.Helper()
	if opt.Now == nil {
		opt.Now = func() int64 { return 1 }
	}
	c, err := ReadLayers(context.Background(), s.image, s, opt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// named lists packages as name version@layer, sorted.
func named(c *scan.Catalog) []string {
	var out []string
	for _, p := range c.Packages {
		out = append(out, fmt.Sprintf("%s %s@%d", p.Name, p.Version, p.Layer))
	}
	slices.Sort(out)
	return out
}

func find(t testing.TB, c *scan.Catalog, name string) scan.Package {
	t.Helper()
	for _, p := range c.Packages {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no package %s in %v", name, named(c))
	return scan.Package{}
}

func want1(t testing.TB, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

func noGaps(t testing.TB, c *scan.Catalog) {
	t.Helper()
	for _, g := range c.NotAssessed {
		t.Errorf("unexpected gap: %s: %s", g.What, g.Reason)
	}
}

const debianRelease = "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"

func stanza(name, version string, more ...string) string {
	return "Package: " + name + "\nStatus: install ok installed\nArchitecture: amd64\n" + strings.Join(append(more, ""), "\n") + "Version: " + version + "\nDescription: x\n more\n\n"
}

// realKey makes a private key as openssl writes it.
func realKey(t testing.TB) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}
