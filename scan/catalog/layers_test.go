package catalog

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOrigin: the layer a package is said to come from is the one in which its
// version appeared, whoever wrote the database last.
func TestOrigin(t *testing.T) {
	s := imageOf(t,
		layerOf(t, item{name: "etc/os-release", body: debianRelease}, item{name: "var/lib/dpkg/status", body: stanza("libc6", "2.36-9", "Source: glibc", "Maintainer: Debian") + stanza("bash", "5.2-1")}),
		layerOf(t, item{name: "var/lib/dpkg/status", body: stanza("libc6", "2.36-9", "Source: glibc") + stanza("bash", "5.2-2") + stanza("curl", "7.88.1-10+deb12u5")}),
		layerOf(t, item{name: "var/lib/dpkg/status", body: stanza("libc6", "2.36-9", "Source: glibc") + stanza("bash", "5.2-2") + strings.ReplaceAll(stanza("curl", "7.88.1-10+deb12u5"), "install ok installed", "deinstall ok config-files")}),
	)
	c := read(t, s, Options{})
	noGaps(t, c)
	want1(t, "packages", named(c), "[bash 5.2-2@1 libc6 2.36-9@0]")
	want1(t, "purl", find(t, c, "libc6").PURL, "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12&upstream=glibc")
	want1(t, "distro", c.Distro.ID+c.Distro.Version+c.Distro.Codename, "debian12bookworm")
}

func pkg(name, version string) string { return `{"name":"` + name + `","version":"` + version + `"}` }

// TestWhiteouts walks through what an upper layer can do to a lower one.
func TestWhiteouts(t *testing.T) {
	base := layerOf(t,
		item{name: "app/node_modules/a/package.json", body: pkg("a", "1.0.0")},
		item{name: "app/node_modules/b/package.json", body: pkg("b", "1.0.0")},
		item{name: "app/node_modules/b/node_modules/c/package.json", body: pkg("c", "1.0.0")},
		item{name: "srv/node_modules/d/package.json", body: pkg("d", "1.0.0")},
	)
	for _, test := range []struct {
		name string
		top  []item
		want string
	}{
		{"a deleted file", []item{{name: "app/node_modules/a/.wh.package.json"}}, "[b 1.0.0@0 c 1.0.0@0 d 1.0.0@0]"},
		{"a deleted directory", []item{{name: "app/node_modules/.wh.b"}}, "[a 1.0.0@0 d 1.0.0@0]"},
		{"a deleted tree", []item{{name: ".wh.app"}}, "[d 1.0.0@0]"},
		{"an opaque directory", []item{{name: "app/.wh..wh..opq"}, {name: "app/node_modules/e/package.json", body: pkg("e", "2.0.0")}}, "[d 1.0.0@0 e 2.0.0@1]"},
		{"an opaque root", []item{{name: ".wh..wh..opq"}}, "[]"},
		{"an overwritten file", []item{{name: "app/node_modules/a/package.json", body: pkg("a", "1.1.0")}}, "[a 1.1.0@1 b 1.0.0@0 c 1.0.0@0 d 1.0.0@0]"},
		{"a rewritten file", []item{{name: "app/node_modules/a/package.json", body: pkg("a", "1.0.0") + " "}}, "[a 1.0.0@0 b 1.0.0@0 c 1.0.0@0 d 1.0.0@0]"},
		{"a file made empty", []item{{name: "app/node_modules/a/package.json"}}, "[b 1.0.0@0 c 1.0.0@0 d 1.0.0@0]"},
		{"a directory in place of a file", []item{{name: "app/node_modules/a/package.json/"}}, "[b 1.0.0@0 c 1.0.0@0 d 1.0.0@0]"},
		{"a link in place of a directory", []item{{name: "app/node_modules/b -> a"}}, "[a 1.0.0@0 d 1.0.0@0]"},
		{"a whiteout does not touch its own layer", []item{{name: "app/node_modules/f/package.json", body: pkg("f", "1.0.0")}, {name: "app/node_modules/.wh.f"}}, "[a 1.0.0@0 b 1.0.0@0 c 1.0.0@0 d 1.0.0@0 f 1.0.0@1]"},
		{"bookkeeping", []item{{name: ".wh..wh.plnk/"}, {name: "app/.wh..wh.aufs"}}, "[a 1.0.0@0 b 1.0.0@0 c 1.0.0@0 d 1.0.0@0]"},
		{"names with a dot and a slash", []item{{name: "./app/node_modules/./.wh.b"}, {name: "/srv//node_modules/.wh.d"}}, "[a 1.0.0@0]"},
		{"a file twice", []item{{name: "z/node_modules/z/package.json", body: pkg("z", "1.0.0")}, {name: "z/node_modules/z/package.json", body: pkg("z", "2.0.0")}}, "[a 1.0.0@0 b 1.0.0@0 c 1.0.0@0 d 1.0.0@0 z 2.0.0@1]"},
		{"a hard link", []item{{name: "srv/node_modules/g => app/node_modules/a/package.json"}, {name: "srv/node_modules/a/package.json => app/node_modules/a/package.json"}}, "[a 1.0.0@0 a 1.0.0@1 b 1.0.0@0 c 1.0.0@0 d 1.0.0@0]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := read(t, imageOf(t, base, layerOf(t, test.top...)), Options{})
			noGaps(t, c)
			want1(t, "packages", named(c), test.want)
		})
	}
}

// TestMergedUsr: one file has two spellings where lib is a link, and lists, layers and
// the kernel use different ones.
func TestMergedUsr(t *testing.T) {
	s := imageOf(t,
		layerOf(t, item{name: "lib -> usr/lib"}, item{name: "bin -> usr/bin"}, item{name: "usr/bin/"},
			item{name: "usr/bin/tool", body: "x", mode: 0o755},
			item{name: "usr/lib/x86_64-linux-gnu/libt.so.1 -> libt.so.1.2"},
			item{name: "usr/lib/x86_64-linux-gnu/libt.so.1.2", body: "x"},
			item{name: "usr/lib/python3/dist-packages/six-1.16.0.egg-info", body: "Metadata-Version: 1.2\nName: six\nVersion: 1.16.0\n\n"},
			item{name: "usr/lib/python3/dist-packages/own-1.dist-info/METADATA", body: "Metadata-Version: 2.1\nName: own\nVersion: 1\n\n"},
			item{name: "usr/share/doc/tool/copyright", body: "Format: x\n\nFiles: *\nLicense: GPL-2+\n\nLicense: MIT\n"},
			item{name: "usr/lib/sysimage/dpkg/status", body: stanza("tool", "1.0")},
			item{name: "usr/lib/sysimage/dpkg/info/tool.list", body: "/.\n/bin\n/bin/tool\n/lib/x86_64-linux-gnu/libt.so.1\n/lib/x86_64-linux-gnu/libt.so.1.2\n/usr/share/doc/tool/copyright\n/lib/python3/dist-packages/six-1.16.0.egg-info\n/usr/lib/python3/dist-packages/six.py\n/usr/lib/python3/dist-packages/tool/__init__.py\n"},
			item{name: "var/lib/dpkg -> ../../usr/lib/sysimage/dpkg"},
			item{name: "etc/os-release -> ../usr/lib/os-release"}, item{name: "usr/lib/os-release", body: debianRelease},
		),
		layerOf(t, item{name: "lib/python3/dist-packages/late-2.dist-info/METADATA", body: "Name: late\nVersion: 2\n\n"}),
		layerOf(t, item{name: "lib/python3/dist-packages/.wh.own-1.dist-info"}),
	)
	c := read(t, s, Options{})
	noGaps(t, c)
	want1(t, "packages", named(c), "[late 2@1 six 1.16.0@0 tool 1.0@0]")
	tool := find(t, c, "tool")
	want1(t, "files", tool.Files, "[usr/bin/tool usr/lib/x86_64-linux-gnu/libt.so.1.2 usr/lib/python3/dist-packages/six.py]")
	want1(t, "dirs", tool.Dirs, "[usr/lib/python3/dist-packages/tool]")
	want1(t, "licences", tool.Licenses, "[GPL-2+ MIT]")
	want1(t, "six is the distribution's", find(t, c, "six").OwnedBy, "tool")
	want1(t, "late is not", find(t, c, "late").OwnedBy, "")
	want1(t, "late lies at", find(t, c, "late").Location, "usr/lib/python3/dist-packages/late-2.dist-info/METADATA")
	want1(t, "distro", c.Distro.ID, "debian")
}

// TestCache: a warm cache reads no layer and gives the same answer; what is damaged is
// removed and read again.
func TestCache(t *testing.T) {
	s := imageOf(t,
		layerOf(t, item{name: "etc/os-release", body: debianRelease}, item{name: "var/lib/dpkg/status", body: stanza("bash", "5.2-1")}),
		layerOf(t, item{name: "app/node_modules/a/package.json", body: pkg("a", "1.0.0")}),
	)
	dir := t.TempDir()
	now := int64(4e18) // later than the clock that stamps the files which the test damages
	opt := Options{Cache: dir, Now: func() int64 { return now }}
	cold := read(t, s, opt)
	want1(t, "layers read cold", s.reads.Load(), 2)
	warm := read(t, s, opt)
	want1(t, "layers read warm", s.reads.Load(), 2)
	want1(t, "warm result", warm, cold)

	other := opt
	other.LockFiles = true
	read(t, s, other)
	want1(t, "layers read with other options", s.reads.Load(), 4)

	files, _ := filepath.Glob(filepath.Join(dir, "*"+cacheExt))
	want1(t, "records", len(files), 4)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 1
		if err := os.WriteFile(f, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := read(t, s, opt)
	want1(t, "layers read after damage", s.reads.Load(), 6)
	want1(t, "result after damage", again, cold)

	// The least recently used records go first.
	now += 1e12
	read(t, s, opt)
	used := map[string]bool{newCache(opt.orDefault()).path(s.image.Layers[0].DiffID): true, newCache(opt.orDefault()).path(s.image.Layers[1].DiffID): true}
	var size int64
	for f := range used {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	small := opt.orDefault()
	small.CacheBytes = size + size/5
	newCache(small).evict()
	files, _ = filepath.Glob(filepath.Join(dir, "*"+cacheExt))
	want1(t, "records kept", len(files), 2)
	for _, f := range files {
		if !used[f] {
			t.Errorf("%s was kept, a record used later was not", f)
		}
	}
}

// TestMismatch: a layer that is not what the configuration says is reported, said and
// never cached.
func TestMismatch(t *testing.T) {
	s := imageOf(t, layerOf(t, item{name: "node_modules/a/package.json", body: pkg("a", "1.0.0")}))
	s.image.Layers[0].DiffID = "sha256:" + strings.Repeat("0", 64)
	dir := t.TempDir()
	c := read(t, s, Options{Cache: dir})
	want1(t, "packages", named(c), "[a 1.0.0@0]")
	if len(c.NotAssessed) != 1 || c.NotAssessed[0].What != "layer 0" || !strings.Contains(c.NotAssessed[0].Reason, "hashes to") || c.Image.Layers[0].NotAssessed == "" {
		t.Errorf("gaps: %+v, layer: %+v", c.NotAssessed, c.Image.Layers[0])
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("cached: %v", files)
	}
}

func TestCancel(t *testing.T) {
	s := imageOf(t, layerOf(t, item{name: "node_modules/a/package.json", body: pkg("a", "1.0.0")}))
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("enough")
	cancel(why)
	if _, err := ReadLayers(ctx, s.image, s, Options{}); !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
}
