package catalog

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/malware"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// TestBrokenLayers: one layer that cannot be read costs that layer, whose gap says
// why, and nothing else; a broken one is never cached.
func TestBrokenLayers(t *testing.T) {
	good := layerOf(t, item{name: "node_modules/good/package.json", body: pkg("good", "1.0.0")})
	other := layerOf(t, item{name: "node_modules/other/package.json", body: pkg("other", "2.0.0")})
	var stub [512]byte
	copy(stub[:], "not a tar header")
	cut := func(b []byte, n int) []byte { return bytes.Clone(b[:len(b)-n]) }
	flip := func(b []byte, at int) []byte { b = bytes.Clone(b); b[at] ^= 0xff; return b }
	packed := imageOf(t, good, good, good).layers // gzip, zstd, plain
	var window bytes.Buffer
	z, _ := zstd.NewWriter(&window, zstd.WithWindowSize(64<<20))
	_, _ = z.Write(make([]byte, 70<<20))
	z.Close()
	for _, test := range []struct {
		name   string
		layer  []byte
		opt    Options
		reason string
	}{
		{name: "missing", layer: nil, reason: "not there"},
		{name: "gzip cut off", layer: cut(packed[0], 9), reason: "unexpected EOF"},
		{name: "gzip with a wrong sum", layer: flip(packed[0], len(packed[0])-6), reason: "checksum"},
		{name: "gzip and nothing", layer: []byte{0x1f, 0x8b}, reason: "gzip"},
		{name: "zstd cut off", layer: cut(packed[1], 9), reason: "unexpected EOF"},
		{name: "tar cut off in a file", layer: packed[2][:520], reason: "ends in the middle"},
		{name: "tar cut off in a header", layer: packed[2][:100], reason: "ends in the middle"},
		{name: "no tar", layer: bytes.Repeat(stub[:], 3), reason: "not a tar"},
		{name: "bzip2", layer: []byte("BZh91AY&SY"), reason: "bzip2"},
		{name: "xz", layer: []byte{0xfd, '7', 'z', 'X', 'Z', 0}, reason: "xz"},
		{name: "a window too big", layer: window.Bytes(), opt: Options{Limits: Limits{Window: 1 << 20}}, reason: "window"},
		{name: "too many bytes", layer: packed[0], opt: Options{Limits: Limits{LayerBytes: 1000}}, reason: "more than 1000 uncompressed bytes"},
		{name: "too many entries", layer: imageOf(t, layerOf(t, item{name: "a"}, item{name: "b"}, item{name: "c"})).layers[0], opt: Options{Limits: Limits{Entries: 2, LayerBytes: 1 << 30}}, reason: "more than 2 entries"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := imageOf(t, layerOf(t, item{name: "x"}), layerOf(t, item{name: "y"}))
			s.layers[0] = test.layer
			if test.opt.Limits.LayerBytes == 1000 {
				s.layers[1] = []byte{}
				s.image.Layers[1].DiffID = ""
			} else if test.opt.Limits.Entries == 0 || test.opt.Limits.Entries == 2 {
				s.layers[1] = other
				s.image.Layers[1].DiffID = fmt.Sprintf("sha256:%x", sha256.Sum256(other))
			}
			s.image.Layers[0].DiffID = "" // so that only the fault itself can be the reason
			dir := t.TempDir()
			opt := test.opt
			opt.Cache = dir
			c := read(t, s, opt)
			if got := c.Image.Layers[0].NotAssessed; !strings.Contains(got, test.reason) {
				t.Errorf("layer 0 is not assessed because %q, want %q", got, test.reason)
			}
			if len(c.NotAssessed) != 1 || c.NotAssessed[0].What != "layer 0" || c.NotAssessed[0].Remedy == "" {
				t.Errorf("gaps: %+v", c.NotAssessed)
			}
			if test.opt.Limits.LayerBytes != 1000 {
				want1(t, "layer 1", find(t, c, "other").Layer, 1)
			}
			if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 1 {
				t.Errorf("%d records cached, want that of layer 1", len(files))
			}
		})
	}
}

// zeros is an endless stream of nothing, as a bomb unpacks to.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type bomb struct{ head []byte }

// Layer streams a gzip that never ends, made while it is read.
func (b bomb) Layer(ctx context.Context, _ int) (io.ReadCloser, error) {
	r, w := io.Pipe()
	go func() {
		z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
		_, _ = z.Write(b.head)
		_, err := io.Copy(z, zeros{})
		w.CloseWithError(err)
	}()
	return r, nil
}

// TestBomb: what unpacks without end is cut off at the bound, with what came before it.
func TestBomb(t *testing.T) {
	var head bytes.Buffer
	w := tar.NewWriter(&head)
	body := pkg("before", "1.0.0")
	_ = w.WriteHeader(&tar.Header{Name: "node_modules/before/package.json", Typeflag: tar.TypeReg, Size: int64(len(body)), Mode: 0o644})
	_, _ = w.Write([]byte(body))
	_ = w.WriteHeader(&tar.Header{Name: "usr/lib/big.jar", Typeflag: tar.TypeReg, Size: 1 << 60, Mode: 0o644, Format: tar.FormatGNU})
	img := scan.Image{Layers: []scan.Layer{{}}}
	c, err := ReadLayers(context.Background(), img, bomb{head.Bytes()}, Options{Limits: Limits{LayerBytes: 64 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	want1(t, "packages", named(c), "[before 1.0.0@0]")
	if got := c.Image.Layers[0].NotAssessed; !strings.Contains(got, "more than 67108864 uncompressed bytes") {
		t.Error(got)
	}
	// And a cancelled read of it ends.
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, err := ReadLayers(ctx, img, bomb{head.Bytes()}, Options{})
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestHostileNames: names and links that climb, loop or are absurd reach nothing, are
// counted, and hide nothing else.
func TestHostileNames(t *testing.T) {
	long := strings.Repeat("n", 5000)
	c := read(t, imageOf(t, layerOf(t,
		item{name: "../../etc/node_modules/out/package.json", body: pkg("out", "1.0.0")},
		item{name: "a/../../node_modules/out2/package.json", body: pkg("out2", "1.0.0")},
		item{name: "/node_modules/rooted/package.json", body: pkg("rooted", "1.0.0")},
		item{name: long + "/node_modules/long/package.json", body: pkg("long", "1.0.0")},
		item{name: "loop -> loop"}, item{name: "a1 -> a2"}, item{name: "a2 -> a1/x"},
		item{name: "loop/node_modules/looped/package.json", body: pkg("looped", "1.0.0")},
		item{name: "up -> ../../../../up2"}, item{name: "up/node_modules/upped/package.json", body: pkg("upped", "1.0.0")},
		item{name: "grow -> grow/grow/grow/grow"}, item{name: "grow/node_modules/grown/package.json", body: pkg("grown", "1.0.0")},
		item{name: "hard => ../../../etc/shadow"},
		item{name: "node_modules/hardly/package.json => node_modules/none/package.json"},
		item{name: "etc/os-release -> ../../../../../../etc/os-release"},
		item{name: "var/lib/dpkg -> dpkg"},
		item{name: ".wh."}, item{name: ".wh..wh..opq/x"},
	)), Options{})
	want1(t, "packages", named(c), "[grown 1.0.0@0 looped 1.0.0@0 rooted 1.0.0@0 upped 1.0.0@0]")
	for _, p := range c.Packages {
		if p.Name == "upped" {
			want1(t, "a link that climbs stays inside", p.Location, "up2/node_modules/upped/package.json")
		}
	}
	var all string
	for _, g := range c.NotAssessed {
		all += g.What + "; "
	}
	if !strings.Contains(all, "3 names that climb") || !strings.Contains(all, "1 hard links") {
		t.Errorf("gaps: %s", all)
	}
	want1(t, "the scanner's own distribution is not the image's", c.Distro.ID, "")
}

// TestHostileFiles: files that claim or hold too much are gaps by name.
func TestHostileFiles(t *testing.T) {
	many := make([]string, 0, 20)
	for i := range 10 {
		many = append(many, fmt.Sprintf("%d.jar", i), zipOf(t, "big", strings.Repeat("x", 1<<20)))
	}
	deep := zipOf(t, "META-INF/MANIFEST.MF", "Implementation-Version: 1\n")
	for range 8 {
		deep = zipOf(t, "in.jar", deep)
	}
	c := read(t, imageOf(t, layerOf(t,
		item{name: "var/lib/dpkg/status", body: strings.Repeat("x", 3000)},
		item{name: "opt/nested.jar", body: zipOf(t, many...)},
		item{name: "opt/deep.jar", body: deep},
		item{name: "opt/cut.jar", body: zipOf(t, "a", "b")[:20]},
		item{name: "opt/text.jar", body: "no archive at all"},
		item{name: "app/node_modules/bad/package.json", body: `{"name":`},
		item{name: "var/lib/rpm/Packages", body: strings.Repeat("\x00", 600)},
		item{name: "var/lib/rpm/rpmdb.sqlite", body: "SQLite format 3\x00" + strings.Repeat("\xff", 600)},
		item{name: "usr/bin/fake", body: "\x7fELF" + strings.Repeat("\x02\x01", 200) + strings.Repeat("\xff Go buildinf:\x08\x02", 40)},
		item{name: "node_modules/ok/package.json", body: pkg("ok", "1.0.0")},
	)), Options{Limits: Limits{FileBytes: 2000, NestedBytes: 4000}})
	want1(t, "packages", named(c), "[ok 1.0.0@0]")
	reasons := map[string]string{}
	for _, g := range c.NotAssessed {
		reasons[strings.TrimPrefix(g.What, "layer 0: ")] = g.Reason
	}
	for name, part := range map[string]string{
		"var/lib/dpkg/status": "more than the bound", "opt/nested.jar": "more than the bound", "opt/deep.jar": "nested more than",
		"opt/cut.jar": "damaged archive", "app/node_modules/bad/package.json": "not a package.json", "var/lib/rpm/Packages": "not a Berkeley DB", "var/lib/rpm/rpmdb.sqlite": "SQLite",
	} {
		if !strings.Contains(reasons[name], part) {
			t.Errorf("gap of %s: %q, want %q", name, reasons[name], part)
		}
	}
	if r, ok := reasons["opt/text.jar"]; ok {
		t.Errorf("a file that is only named like an archive: %s", r)
	}
}

// TestSecretsAndMalware: both are found where a later layer deletes the file too, and a
// gap of a deleted file is none.
func TestSecretsAndMalware(t *testing.T) {
	eicar := "X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
	bad := "a program that somebody put on a list" + strings.Repeat(".", 200)
	lists, err := malware.Read("list", strings.NewReader(fmt.Sprintf("%x,bad thing,test,%d\n", sha256.Sum256([]byte(bad)), len(bad))))
	if err != nil {
		t.Fatal(err)
	}
	s := imageOf(t, layerOf(t, item{name: "root/.ssh/id_rsa", body: realKey(t)}, item{name: "tmp/eicar.com", body: eicar}, item{name: "usr/bin/bad", body: bad, mode: 0o4755},
		item{name: "gone.jar", body: zipOf(t, "a", "b")[:20]}, item{name: "node_modules/a/package.json", body: pkg("a", "1.0.0")}),
		layerOf(t, item{name: "root/.wh..ssh"}, item{name: ".wh.gone.jar"}))
	c := read(t, s, Options{Secrets: true, Config: true, Malware: lists})
	if len(c.Secrets) != 1 || !c.Secrets[0].Deleted || c.Secrets[0].Layer != 0 || c.Secrets[0].Path != "root/.ssh/id_rsa" {
		t.Errorf("secrets: %+v", c.Secrets)
	}
	var names []string
	for _, m := range c.Malware {
		names = append(names, m.Path+" "+m.Name)
	}
	want1(t, "malware", names, "[tmp/eicar.com EICAR test file usr/bin/bad bad thing]")
	found := false
	for _, m := range c.Config {
		found = found || m.Path == "usr/bin/bad" && m.Layer == 0
	}
	if !found {
		t.Errorf("the setuid program is not named: %+v", c.Config)
	}
	for _, g := range c.NotAssessed {
		if strings.Contains(g.What, "gone.jar") {
			t.Errorf("gap of a deleted file: %+v", g)
		}
	}
}

// TestRootStaysInside: links of a tree never lead the reader out of it, pipes do not
// hold it up, and what cannot be read is said.
func TestRootStaysInside(t *testing.T) {
	out, root := t.TempDir(), t.TempDir()
	write(t, filepath.Join(out, "node_modules/outside/package.json"), pkg("outside", "1.0.0"), 0o644)
	write(t, filepath.Join(root, "node_modules/inside/package.json"), pkg("inside", "1.0.0"), 0o644)
	write(t, filepath.Join(root, "proc/node_modules/kernel/package.json"), pkg("kernel", "1.0.0"), 0o644)
	if err := os.Symlink(out, filepath.Join(root, "out")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(out, "node_modules/outside/package.json"), filepath.Join(root, "package.json")); err != nil {
		t.Fatal(err)
	}
	c, err := ReadRoot(context.Background(), scan.Image{Kind: scan.KindRootfs}, root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want1(t, "packages", named(c), "[inside 1.0.0@-1]")
	if _, err := ReadRoot(context.Background(), scan.Image{}, filepath.Join(root, "nowhere"), Options{}); err == nil {
		t.Error("a root that is not there was read")
	}
}

// TestNoRoom: what this machine could not do is said, and not remembered as if the
// image were at fault.
func TestNoRoom(t *testing.T) {
	inner := zipOf(t, "META-INF/maven/a/b/pom.properties", "groupId=a\nartifactId=b\nversion=1\n")
	s := imageOf(t, layerOf(t, item{name: "big.jar", body: strings.Repeat("x", inMemory+1) + inner}))
	opt := Options{Cache: t.TempDir(), Temp: filepath.Join(t.TempDir(), "nowhere")}
	c := read(t, s, opt)
	if len(c.NotAssessed) != 1 || !strings.Contains(c.NotAssessed[0].Reason, "no room") {
		t.Errorf("gaps: %+v", c.NotAssessed)
	}
	opt.Temp = t.TempDir()
	c = read(t, s, opt)
	noGaps(t, c)
	want1(t, "packages", named(c), "[a:b 1@0]")
	if list, _ := os.ReadDir(opt.Temp); len(list) != 0 {
		t.Errorf("left behind: %v", list)
	}
}
