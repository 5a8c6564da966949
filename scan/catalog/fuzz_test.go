package catalog

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/scan"
)

// small are bounds under which a fuzzer cannot have the reader work long.
var small = Limits{LayerBytes: 4 << 20, Entries: 2000, FileBytes: 1 << 20, SpillBytes: 4 << 20, Files: 500, Packages: 2000, Links: 500, Window: 1 << 20, NestedBytes: 1 << 20}

// FuzzLayers reads two layers of any bytes: no panic, no hang, and either everything
// was read or something says that it was not.
func FuzzLayers(f *testing.F) {
	a := layerOf(f, item{name: "lib -> usr/lib"}, item{name: "etc/os-release", body: debianRelease}, item{name: "var/lib/dpkg/status", body: stanza("a", "1")}, item{name: "var/lib/dpkg/info/a.list", body: "/usr/bin/a\n"},
		item{name: "node_modules/a/package.json", body: pkg("a", "1.0.0")}, item{name: "x.jar", body: zipOf(f, "META-INF/MANIFEST.MF", "Implementation-Version: 1\n")})
	b := layerOf(f, item{name: ".wh.lib"}, item{name: "node_modules/.wh..wh..opq"}, item{name: "b => node_modules/a/package.json"}, item{name: "lib/node_modules/a/package.json", body: pkg("a", "2.0.0")})
	f.Add(a, b)
	s := imageOf(f, a, b)
	f.Add(s.layers[0], s.layers[1])
	f.Fuzz(func(t *testing.T, one, two []byte) {
		s := &stored{image: scan.Image{Layers: make([]scan.Layer, 2)}, layers: [][]byte{append([]byte{}, one...), append([]byte{}, two...)}}
		c, err := ReadLayers(context.Background(), s.image, s, Options{Limits: small, Config: true, Temp: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range c.Packages {
			if strings.Contains(p.Location, "../") || strings.HasPrefix(p.Location, "/") || p.Layer < 0 || p.Layer > 1 || p.Name == "" || p.Version == "" && p.Type != scan.Golang {
				t.Errorf("package %+v", p)
			}
		}
	})
}

var textFiles = []string{
	"var/lib/dpkg/status", "var/lib/dpkg/status.d/a", "var/lib/dpkg/info/a.list", "var/lib/dpkg/status.d/a.md5sums", "usr/share/doc/a/copyright", "lib/apk/db/installed",
	"etc/os-release", "node_modules/a/package.json", "lib/python3/site-packages/a.dist-info/METADATA", "lib/python3/site-packages/a.dist-info/RECORD", "a.egg-info/top_level.txt",
	"a.egg-info/installed-files.txt", "gems/specifications/a-1.gemspec", "vendor/composer/installed.json", "a.deps.json", "package-lock.json", "composer.lock", "poetry.lock", "Cargo.lock", "Gemfile.lock", "go.mod", "requirements.txt",
	"var/lib/rpmmanifest/container-manifest-2", "var/lib/rpm/rpmdb.sqlite-wal",
}

// FuzzText gives any bytes to each parser of text.
func FuzzText(f *testing.F) {
	for i, body := range []string{stanza("a", "1", "Source: b (2)"), stanza("a", "1"), "/a\n/usr/bin/x\n", strings.Repeat("0", 32) + "  usr/lib/a.so.1\n", "License: MIT\n", "P:a\nV:1\nF:usr/bin\nR:a\n\n",
		debianRelease, pkg("a", "1"), "Name: a\nVersion: 1\n\n", "a/__init__.py,,\n../../bin/a,,\n", "a\n", "../a/b.py\n", "# stub: a 1 ruby lib\ns.licenses = [\"MIT\", 'x']\n", `[{"name":"a/b","version":"1"}]`,
		`{"libraries":{"A/1":{"type":"package"}}}`, `{"dependencies":{"a":{"version":"1"}}}`, `{"packages":[{"name":"a/b","version":"1"}]}`, "[[package]]\nname = \"a\"\nversion = \"1\"\n", "", "    a (1)\n", "require (\n a v1\n)\n", "a[b]==1 ; x\n",
		strings.Repeat("a\t", 10) + "\n", ""} {
		f.Add(uint8(i), []byte(body))
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		p := textFiles[int(which)%len(textFiles)]
		k := want(p, 1)
		if k == unwanted {
			t.Fatalf("%s is not wanted", p)
		}
		got := file{Path: p, Kind: k}
		_ = parse(&got, bytes.Clone(b))
		for _, q := range got.Packages {
			if len(q.Name) > 2*maxField+1 || len(q.Version) > 2*maxField+1 {
				t.Errorf("unbounded: %d, %d", len(q.Name), len(q.Version))
			}
		}
	})
}

// FuzzRandom gives any bytes to each parser with random access.
func FuzzRandom(f *testing.F) {
	kinds := []kind{rpmSQLite, rpmNDB, rpmBDB, javaArchive, program}
	f.Add(uint8(1), packNDB([][]byte{bytes.Repeat([]byte{0, 0, 0, 1}, 30)}))
	f.Add(uint8(0), []byte("SQLite format 3\x00\x02\x00"+strings.Repeat("\x00", 2000)))
	f.Add(uint8(2), append(append(make([]byte, 12), 0x61, 0x15, 6, 0, 9, 0, 0, 0, 0, 2, 0, 0), make([]byte, 2000)...))
	f.Add(uint8(3), []byte(zipOf(f, "a.jar", zipOf(f, "META-INF/maven/a/b/pom.properties", "groupId=a\nartifactId=b\nversion=1\n"))))
	f.Add(uint8(4), []byte("\x7fELF\x02\x01\x01"+strings.Repeat("\x00", 200)))
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		got := file{Path: "opt/a-1.jar", Kind: kinds[int(which)%len(kinds)]}
		_ = parseAt(&got, bytes.NewReader(b), int64(len(b)), small)
	})
}

// FuzzRPMHeader gives any bytes to the parser of one package's header.
func FuzzRPMHeader(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x02\x00\x00\x00\x08\x00\x00\x03\xe8\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x03\xe9\x00\x00\x00\x06\x00\x00\x00\x02\x00\x00\x00\x01a\x001\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got file
		_ = rpmPackage(&got, b)
	})
}

// FuzzProgram looks for Go's build information in any bytes, in one piece and in
// several, which must agree.
func FuzzProgram(f *testing.F) {
	f.Add([]byte("\x7fELF" + strings.Repeat("\x00", 12) + goMagic + "\x08\x02" + strings.Repeat("\x00", 16) + "\x08go1.22.3\x00" + strings.Repeat("\x00", 64)))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = sectionNames(b)
		var whole, pieces goScan
		whole.write(b)
		for rest := b; len(rest) > 0; {
			n := min(16, len(rest))
			pieces.write(rest[:n])
			rest = rest[n:]
		}
		if (whole.info == nil) != (pieces.info == nil) {
			t.Errorf("whole %v, pieces %v", whole.info, pieces.info)
		}
	})
}

// FuzzRecord reads any bytes as a cached record.
func FuzzRecord(f *testing.F) {
	b, err := encodeRecord(&record{Files: []file{{Path: "a"}}, Plain: hashes{1}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = decodeRecord(b) })
}

// FuzzPath: a clean path never climbs and is its own clean form.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"", "/", "a/./b", "./a", "a//b/", "../a", "a/..", ".wh.a", "...", "a/...b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, ok := cleanPath(s)
		if !ok {
			return
		}
		if again, ok := cleanPath(p); !ok || again != p {
			t.Errorf("%q gives %q, which gives %q", s, p, again)
		}
		if strings.HasPrefix(p, "/") || strings.HasSuffix(p, "/") || strings.Contains("/"+p+"/", "/../") || strings.Contains("/"+p+"/", "/./") || strings.Contains(p, "//") {
			t.Errorf("%q gives %q", s, p)
		}
	})
}
