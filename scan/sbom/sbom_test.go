package sbom

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/scan"
	"pgregory.net/rapid"
)

func digest(c string) string { return "sha256:" + strings.Repeat(c, 64) }

func sample() *scan.Catalog {
	return &scan.Catalog{
		Image: scan.Image{Kind: scan.KindRegistry, Name: "registry.example/team/app:1.4", Repository: "registry.example/team/app",
			Tags: []string{"1.4", "latest"}, Digest: digest("a"), IndexDigest: digest("9"), ConfigDigest: digest("b"), Platform: "linux/amd64", Created: 5, Size: 7,
			Layers: []scan.Layer{{Digest: digest("1"), DiffID: digest("2"), Base: true}, {Digest: digest("3"), DiffID: digest("4"), NotAssessed: "it is corrupt"}}},
		Distro: scan.Distro{ID: "debian", Version: "12", Codename: "bookworm", Name: "Debian GNU/Linux 12 (bookworm)"},
		Packages: []scan.Package{
			{Type: scan.Deb, Name: "libssl3", Version: "3.0.9-1+b1", Arch: "amd64", Source: "openssl", SourceVersion: "3.0.9-1", Vendor: "Debian", Licenses: []string{"Apache-2.0"}, Location: "var/lib/dpkg/status", Layer: 0},
			{Type: scan.Deb, Name: "zlib1g", Version: "1:1.2.13.dfsg-1", Arch: "amd64", Source: "zlib", Licenses: []string{"Zlib", "a licence, (with) AND odd words"}, Location: "var/lib/dpkg/status", Layer: 0},
			{Type: scan.RPM, Name: "nodejs", Version: "1:18.1.0-2.el9", Arch: "x86_64", Source: "nodejs", Module: "nodejs:18", Layer: 1},
			{Type: scan.Apk, Name: "busybox-binsh", Version: "1.36.1-r2", Source: "busybox", Layer: 1},
			{Type: scan.Golang, Name: "github.com/BurntSushi/toml", Version: "v1.0.0+incompatible", Location: "app/server", Layer: 1},
			{Type: scan.Golang, Name: "stdlib", Version: "1.22.1", Location: "app/server", Layer: 1},
			{Type: scan.NPM, Name: "@acme/left", Version: "1.0.0", Licenses: []string{"MIT OR Apache-2.0"}, Location: "app/node_modules/@acme/left/package.json", Layer: 1},
			{Type: scan.NPM, Name: "@acme/left", Version: "1.0.0", Location: "srv/node_modules/@acme/left/package.json", Layer: 1, Dev: true},
			{Type: scan.PyPI, Name: "requests", Version: "2.0", Location: "usr/lib/python3/dist-packages/requests", OwnedBy: "python3-requests", Layer: 0},
			{Type: scan.Maven, Name: "org.example:core", Version: "2.0", Location: "app/fat.jar!/lib/core-2.0.jar", Layer: 1},
			{Type: scan.Composer, Name: "vendor/thing", Version: "1", Layer: -1},
		},
		Base:        &scan.BaseImage{Name: "debian:12", Digest: digest("d"), Layers: 1},
		NotAssessed: []scan.Gap{{What: "layer 2", Reason: "it is corrupt", Remedy: "push it again"}},
	}
}

// kept is what a catalogue is after a round trip through an SBOM: what such a list
// cannot carry is taken away by hand.
func kept(c *scan.Catalog) *scan.Catalog {
	k := *c
	k.Image.Kind, k.Image.Config = scan.KindSBOM, scan.Config{}
	k.Packages = slices.Clone(c.Packages)
	for i := range k.Packages {
		p := &k.Packages[i]
		if p.PURL == "" {
			p.PURL = PURL(p, c.Distro)
		}
		p.Files, p.Dirs = nil, nil
	}
	k.NotAssessed = append(slices.Clone(c.NotAssessed), scan.Gap{What: "secrets, configuration, malware", Reason: "an SBOM lists packages only", Remedy: "scan the image itself"})
	return &k
}

var formats = map[string]func(*bytes.Buffer, *scan.Catalog, Options) error{
	"CycloneDX": func(w *bytes.Buffer, c *scan.Catalog, o Options) error { return EncodeCycloneDX(w, c, o) },
	"SPDX":      func(w *bytes.Buffer, c *scan.Catalog, o Options) error { return EncodeSPDX(w, c, o) },
}

func same(t interface {
	Helper()
	Errorf(string, ...any)
}, have, want *scan.Catalog) {
	t.Helper()
	a, _ := json.MarshalIndent(have, "", " ")
	b, _ := json.MarshalIndent(want, "", " ")
	if !bytes.Equal(a, b) {
		la, lb := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
		for i := range min(len(la), len(lb)) {
			if la[i] != lb[i] {
				t.Errorf("line %d: have %s\nwant %s", i, la[i], lb[i])
				return
			}
		}
		t.Errorf("have %s\nwant %s", a, b)
	}
}

func TestRoundTrip(t *testing.T) {
	for name, encode := range formats {
		t.Run(name, func(t *testing.T) {
			var b, again bytes.Buffer
			if err := encode(&b, sample(), Options{Now: 1e18, Version: "1"}); err != nil {
				t.Fatal(err)
			}
			c, err := Decode(bytes.NewReader(b.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			same(t, c, kept(sample()))
			if err := encode(&again, sample(), Options{Now: 1e18, Version: "1"}); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b.Bytes(), again.Bytes()) {
				t.Error("writing twice gives two documents")
			}
			// A list made of a list says the same.
			b.Reset()
			if err := encode(&b, c, Options{}); err != nil {
				t.Fatal(err)
			}
			c2, err := Decode(&b)
			if err != nil {
				t.Fatal(err)
			}
			same(t, c2, c)
		})
	}
}

// Whatever strings an image holds, a package read back is the package written.
func TestRoundTripOfAnyStrings(t *testing.T) {
	word := rapid.OneOf(rapid.StringMatching(`[a-z0-9.+~-]{1,12}`), rapid.StringN(0, 20, 40))
	rapid.Check(t, func(rt *rapid.T) {
		c := &scan.Catalog{Image: scan.Image{Name: "x", Layers: []scan.Layer{{DiffID: digest("1")}}},
			Distro: scan.Distro{ID: rapid.SampledFrom([]string{"", "debian", "rhel"}).Draw(rt, "id"), Version: "9"}}
		for range rapid.IntRange(0, 4).Draw(rt, "n") {
			p := scan.Package{Type: rapid.SampledFrom(types).Draw(rt, "type"), Name: "n" + word.Draw(rt, "name"), Version: "1" + word.Draw(rt, "version"),
				Arch: word.Draw(rt, "arch"), Source: word.Draw(rt, "source"), SourceVersion: word.Draw(rt, "sv"), Module: word.Draw(rt, "module"),
				Vendor: word.Draw(rt, "vendor"), PURL: word.Draw(rt, "purl"), Location: word.Draw(rt, "location"), OwnedBy: word.Draw(rt, "owner"),
				Layer: rapid.IntRange(-1, 0).Draw(rt, "layer"), Licenses: rapid.SliceOfN(word, 0, 3).Draw(rt, "licences")}
			c.Packages = append(c.Packages, p)
		}
		for name, encode := range formats {
			var b bytes.Buffer
			if err := encode(&b, c, Options{}); err != nil {
				rt.Fatal(err)
			}
			got, err := Decode(&b)
			if err != nil {
				rt.Fatalf("%s: %v", name, err)
			}
			same(rt, &scan.Catalog{Packages: got.Packages}, &scan.Catalog{Packages: kept(c).Packages})
		}
	})
}
