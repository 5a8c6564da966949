package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	layoutlib "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// layerTar is a tar with one file for each pair of name and content.
func layerTar(t testing.TB, pairs ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: pairs[i], Mode: 0o644, Size: int64(len(pairs[i+1])), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, pairs[i+1])
	}
	w.Close()
	return b.Bytes()
}

// makeImage builds an image with another library: what we read must be what it wrote.
func makeImage(t testing.TB, arch string, tars ...[]byte) v1.Image {
	t.Helper()
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: arch,
		Created: v1.Time{Time: time.Unix(1_700_000_000, 0).UTC()},
		Config: v1.Config{User: "1000", Env: []string{"PATH=/bin", "DB_PASSWORD=correct horse"}, Cmd: []string{"/bin/app", "--token=tiny"},
			Entrypoint: []string{"/init"}, ExposedPorts: map[string]struct{}{"80/tcp": {}}, Labels: map[string]string{"team": "blue", "api_token": "hidden"},
			Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "true"}}}})
	if err != nil {
		t.Fatal(err)
	}
	var adds []mutate.Addendum
	for i, b := range tars {
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil })
		if err != nil {
			t.Fatal(err)
		}
		adds = append(adds, mutate.Addendum{History: v1.History{CreatedBy: "ENV SECRET_KEY=value", EmptyLayer: true}},
			mutate.Addendum{Layer: l, History: v1.History{CreatedBy: fmt.Sprintf("COPY step %d", i)}})
	}
	if len(adds) > 0 {
		if img, err = mutate.Append(img, adds...); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(s[:])
}

// plain reads a layer and decompresses it.
func plain(t testing.TB, o *Opened, i int) []byte {
	t.Helper()
	r, err := o.Layer(context.Background(), i)
	if err != nil {
		t.Fatalf("layer %d: %v", i, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("layer %d: %v", i, err)
	}
	if size := o.LayerSize(i); size != int64(len(b)) {
		t.Errorf("layer %d: LayerSize says %d of %d bytes", i, size, len(b))
	}
	if compression(b) == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if b, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func open(t testing.TB, ref string, opt Options) []*Opened {
	t.Helper()
	if opt.Getenv == nil {
		opt.Getenv = func(string) string { return "" }
	}
	got, err := Open(context.Background(), ref, opt)
	if err != nil {
		t.Fatalf("open %s: %v", ref, err)
	}
	t.Cleanup(func() {
		for _, o := range got {
			if err := o.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
	})
	return got
}

// refused opens what must not open, and returns why.
func refused(t testing.TB, ref string, opt Options) error {
	t.Helper()
	if opt.Getenv == nil {
		opt.Getenv = func(string) string { return "" }
	}
	got, err := Open(context.Background(), ref, opt)
	if err == nil {
		for _, o := range got {
			o.Close()
		}
		t.Fatalf("open %s: no error", ref)
	}
	return err
}

// same checks an opened image against what the other library says of it.
func same(t *testing.T, o *Opened, img v1.Image, tars [][]byte, compressed bool) {
	t.Helper()
	cfg, _ := img.ConfigName()
	if o.Image.ConfigDigest != cfg.String() {
		t.Errorf("config digest %s, want %s", o.Image.ConfigDigest, cfg)
	}
	if o.Image.Created != 1_700_000_000e9 || o.Image.Config.User != "1000" || !o.Image.Config.Healthcheck {
		t.Errorf("created %d, user %q, healthcheck %v", o.Image.Created, o.Image.Config.User, o.Image.Config.Healthcheck)
	}
	if len(o.Image.Layers) != len(tars) {
		t.Fatalf("%d layers, want %d", len(o.Image.Layers), len(tars))
	}
	// Backwards: no order is promised.
	layers, _ := img.Layers()
	for i := len(tars) - 1; i >= 0; i-- {
		l := o.Image.Layers[i]
		if got := plain(t, o, i); !bytes.Equal(got, tars[i]) {
			t.Errorf("layer %d: %d bytes, want %d", i, len(got), len(tars[i]))
		}
		if l.DiffID != sum(tars[i]) {
			t.Errorf("layer %d: diff id %s, want %s", i, l.DiffID, sum(tars[i]))
		}
		if want := fmt.Sprintf("COPY step %d", i); l.CreatedBy != want {
			t.Errorf("layer %d: created by %q, want %q", i, l.CreatedBy, want)
		}
		if compressed {
			d, _ := layers[i].Digest()
			if l.Digest != d.String() {
				t.Errorf("layer %d: digest %s, want %s", i, l.Digest, d)
			}
		}
	}
	if len(o.Gaps) > 0 {
		t.Errorf("gaps: %+v", o.Gaps)
	}
	hidden := []string{"correct horse", "tiny", "hidden"}
	if len(tars) > 0 {
		hidden = append(hidden, "SECRET_KEY=value")
	}
	for _, hidden := range hidden {
		if strings.Contains(fmt.Sprintf("%+v", o.Image), hidden) {
			t.Errorf("%q is shown: %+v", hidden, o.Image.Config)
		}
		if !strings.Contains(fmt.Sprintf("%+v", o.Unredacted), hidden) {
			t.Errorf("%q is not in the configuration that secrets are looked for in", hidden)
		}
	}
	if !slices.Contains(o.Image.Config.Env, "PATH=/bin") || !slices.Contains(o.Image.Config.Env, "DB_PASSWORD=***") || o.Image.Config.Labels["team"] != "blue" {
		t.Errorf("env %q, labels %v", o.Image.Config.Env, o.Image.Config.Labels)
	}
}

func twoLayers(t testing.TB) [][]byte {
	return [][]byte{layerTar(t, "etc/os-release", "ID=debian\n", "bin/app", strings.Repeat("x", 9000)), layerTar(t, "bin/app", "second")}
}

func TestDockerSaveArchive(t *testing.T) {
	tars := twoLayers(t)
	img := makeImage(t, "amd64", tars...)
	path := filepath.Join(t.TempDir(), "app.tar")
	tag, _ := name.NewTag("registry.example/team/app:1.2")
	if err := tarball.WriteToFile(path, tag, img); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{path, "archive:" + path, "docker-archive:" + path + ":team/app:1.2"} {
		if strings.HasSuffix(ref, ":1.2") {
			ref = "archive:" + path + ":registry.example/team/app:1.2"
		}
		o := open(t, ref, Options{})[0]
		same(t, o, img, tars, false)
		if o.Image.Kind != scan.KindArchive || o.Image.Digest != "" || o.Image.Repository != "registry.example/team/app" || o.Image.Platform != "linux/amd64" {
			t.Errorf("%+v", o.Image)
		}
	}
	if err := refused(t, path+":other", Options{}); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "team/app:1.2") {
		t.Errorf("a tag that is not there: %v", err)
	}
	if err := refused(t, path, Options{Platform: "linux/arm64"}); !errors.Is(err, ErrPlatform) || !strings.Contains(err.Error(), "linux/amd64") {
		t.Errorf("a platform that is not there: %v", err)
	}

	raw, _ := os.ReadFile(path)
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(raw)
	w.Close()
	for what, in := range map[string][]byte{"plain": raw, "gzip": z.Bytes()} {
		o := open(t, "-", Options{Stdin: bytes.NewReader(in), TempDir: t.TempDir()})[0]
		same(t, o, img, tars, false)
		if o.Image.Kind != scan.KindArchive {
			t.Errorf("%s standard input: kind %s", what, o.Image.Kind)
		}
	}
	gz := path + ".gz"
	os.WriteFile(gz, z.Bytes(), 0o600)
	same(t, open(t, gz, Options{})[0], img, tars, false)
}

func TestLayoutDirectoryAndArchive(t *testing.T) {
	tars := twoLayers(t)
	img := makeImage(t, "amd64", tars...)
	dir := t.TempDir()
	l, err := layoutlib.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.AppendImage(img, layoutlib.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "stable"})); err != nil {
		t.Fatal(err)
	}
	archive := tarDir(t, dir)
	digest, _ := img.Digest()
	for _, ref := range []string{dir, "oci:" + dir, "oci:" + dir + ":stable", "oci:" + dir + "@" + digest.String(), archive, "oci:" + archive + ":stable"} {
		o := open(t, ref, Options{})[0]
		same(t, o, img, tars, true)
		if o.Image.Kind != scan.KindOCI || o.Image.Digest != digest.String() || o.Image.IndexDigest != "" {
			t.Errorf("%s: %+v", ref, o.Image)
		}
	}
	if err := refused(t, "oci:"+dir+":other", Options{}); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "stable") {
		t.Errorf("a name that is not there: %v", err)
	}
	raw, _ := os.ReadFile(archive)
	same(t, open(t, "-", Options{Stdin: bytes.NewReader(raw)})[0], img, tars, true)
}

// tarDir packs a directory.
func tarDir(t testing.TB, dir string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dir.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// serve runs a registry of another's making and returns its host.
func serve(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(registry.New(registry.Logger(discard())))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func push(t testing.TB, ref string, img v1.Image) {
	t.Helper()
	r, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(r, img); err != nil {
		t.Fatal(err)
	}
}

func TestRegistry(t *testing.T) {
	tars := twoLayers(t)
	img := makeImage(t, "amd64", tars...)
	host := serve(t)
	push(t, host+"/team/app:1.2", img)
	digest, _ := img.Digest()
	for _, ref := range []string{host + "/team/app:1.2", host + "/team/app@" + digest.String(), host + "/team/app:old@" + digest.String()} {
		o := open(t, "registry:"+ref, Options{Registry: Registry{Keychain: authn.NewMultiKeychain()}})[0]
		same(t, o, img, tars, true)
		if o.Image.Kind != scan.KindRegistry || o.Image.Digest != digest.String() || o.Image.Repository != host+"/team/app" {
			t.Errorf("%s: %+v", ref, o.Image)
		}
	}
	if err := refused(t, "registry:"+host+"/team/app:none", Options{Registry: Registry{Keychain: authn.NewMultiKeychain()}}); !errors.Is(err, ErrNotFound) {
		t.Errorf("a tag that is not there: %v", err)
	}
}

func TestManifestListPlatforms(t *testing.T) {
	host := serve(t)
	var adds []mutate.IndexAddendum
	digests := map[string]string{}
	for _, p := range []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64", Variant: "v8"}, {OS: "linux", Architecture: "arm", Variant: "v6"}, {OS: "linux", Architecture: "arm", Variant: "v7"}} {
		img := makeImage(t, p.Architecture, layerTar(t, "arch", p.String()))
		d, _ := img.Digest()
		digests[platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}.String()] = d.String()
		adds = append(adds, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &p}})
	}
	adds = append(adds, mutate.IndexAddendum{Add: makeImage(t, "unknown", layerTar(t, "attestation", "…")), Descriptor: v1.Descriptor{
		Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}, Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest"}}})
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), adds...)
	ref, _ := name.ParseReference(host + "/team/multi:1")
	if err := remote.WriteIndex(ref, index); err != nil {
		t.Fatal(err)
	}
	indexDigest, _ := index.Digest()
	dir := t.TempDir()
	l, _ := layoutlib.Write(dir, empty.Index)
	if err := l.AppendIndex(index); err != nil {
		t.Fatal(err)
	}
	flat := t.TempDir() // the platforms side by side in index.json
	if _, err := layoutlib.Write(flat, index); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{"registry:" + host + "/team/multi:1", "oci:" + dir, "oci:" + flat} {
		for ask, want := range map[string][]string{"": {"linux/amd64"}, "linux/arm64": {"linux/arm64"}, "linux/arm": {"linux/arm/v7"}, "arm/v6": nil, "linux/arm/v6": {"linux/arm/v6"},
			"all": {"linux/amd64", "linux/arm64", "linux/arm/v6", "linux/arm/v7"}, "linux/s390x": nil, "windows/amd64": nil} {
			opt := Options{Platform: ask, Registry: Registry{Keychain: authn.NewMultiKeychain()}}
			if want == nil {
				if err := refused(t, from, opt); !errors.Is(err, ErrPlatform) || !strings.Contains(err.Error(), "linux/arm/v7") {
					t.Errorf("%s for %q: %v", from, ask, err)
				}
				continue
			}
			var got []string
			for _, o := range open(t, from, opt) {
				got = append(got, o.Image.Platform)
				if o.Image.Digest != digests[o.Image.Platform] {
					t.Errorf("%s for %q: digest %s", from, o.Image.Platform, o.Image.Digest)
				}
				if want := indexDigest.String(); !strings.HasSuffix(from, flat) && o.Image.IndexDigest != want {
					t.Errorf("%s: index digest %q, want %s", from, o.Image.IndexDigest, want)
				}
				if len(plain(t, o, 0)) == 0 {
					t.Error("an empty layer")
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s for %q: got %v, want %v", from, ask, got, want)
			}
		}
	}
}

func TestScratchImageWithoutLayers(t *testing.T) {
	img := makeImage(t, "amd64")
	path := filepath.Join(t.TempDir(), "scratch.tar")
	tag, _ := name.NewTag("scratch:1")
	if err := tarball.WriteToFile(path, tag, img); err != nil {
		t.Fatal(err)
	}
	same(t, open(t, path, Options{})[0], img, nil, false)
	host := serve(t)
	push(t, host+"/scratch:1", img)
	same(t, open(t, "registry:"+host+"/scratch:1", Options{Registry: Registry{Keychain: authn.NewMultiKeychain()}})[0], img, nil, true)
}

func TestRootfsAndHost(t *testing.T) {
	dir := t.TempDir()
	for ref, kind := range map[string]scan.Kind{dir: scan.KindRootfs, "rootfs:" + dir: scan.KindRootfs, "dir:" + dir: scan.KindRootfs, "host:" + dir: scan.KindHost} {
		o := open(t, ref, Options{})[0]
		if o.Root != dir || o.Image.Kind != kind || len(o.Image.Layers) != 0 {
			t.Errorf("%s: %+v", ref, o)
		}
	}
	if o := open(t, "host:", Options{})[0]; o.Root != "/" {
		t.Errorf("host: is %s", o.Root)
	}
	if err := refused(t, "rootfs:"+dir+"/none", Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}

func TestSBOMIsHandedBack(t *testing.T) {
	for _, text := range []string{`{"bomFormat":"CycloneDX"}`, "\xef\xbb\xbf\n {\"spdxVersion\":\"SPDX-2.3\"}", "SPDXVersion: SPDX-2.3\nDataLicense: CC0-1.0\n"} {
		path := filepath.Join(t.TempDir(), "bom")
		os.WriteFile(path, []byte(text), 0o600)
		for _, err := range []error{refused(t, path, Options{}), refused(t, "-", Options{Stdin: strings.NewReader(text)})} {
			var bom *SBOMError
			if !errors.Is(err, ErrSBOM) || !errors.As(err, &bom) {
				t.Fatalf("%q: %v", text, err)
			}
			if b, _ := io.ReadAll(bom.Content); string(b) != text {
				t.Errorf("content %q, want %q", b, text)
			}
			bom.Content.Close()
		}
	}
}
