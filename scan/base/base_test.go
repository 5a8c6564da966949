package base

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/scan"
)

func layers(ids ...string) (out []scan.Layer) {
	for _, id := range ids {
		out = append(out, scan.Layer{DiffID: id})
	}
	return out
}

func TestTheBaseIsTheLongestKnownPrefix(t *testing.T) {
	known := []Known{
		{Name: "debian:12", Digest: "sha256:d1", DiffIDs: []string{"a"}, Created: 10},
		{Name: "node:20-slim", Digest: "sha256:n1", DiffIDs: []string{"a", "b"}, Created: 20},
		{Name: "node:20.9-slim", Digest: "sha256:n2", DiffIDs: []string{"x", "y"}, Created: 40},
		{Name: "node:20-alpine", Digest: "sha256:n3", DiffIDs: []string{"q"}, Created: 50},
		{Name: "node:22-slim", Digest: "sha256:n4", DiffIDs: []string{"r"}, Created: 60},
		{Name: "other/node:20-slim", Digest: "sha256:n5", DiffIDs: []string{"s"}, Created: 70},
	}
	b := Find(&scan.Image{Layers: layers("a", "b", "c")}, known)
	if b == nil || b.Name != "node:20-slim" || b.Layers != 2 || b.Newer != "node:20.9-slim@sha256:n2" {
		t.Fatalf("%+v", b)
	}
	img := &scan.Image{Layers: layers("a", "b", "c")}
	Mark(img, b)
	if !img.Layers[0].Base || !img.Layers[1].Base || img.Layers[2].Base {
		t.Errorf("marked %+v", img.Layers)
	}
	if b := Find(&scan.Image{Layers: layers("a", "z")}, known); b == nil || b.Name != "debian:12" || b.Newer != "" {
		t.Errorf("%+v", b)
	}
	// The image itself, and an image with the very same layers, are no base.
	if b := Find(&scan.Image{Layers: layers("q")}, known); b != nil {
		t.Errorf("%+v", b)
	}
	// Nothing known: only what the builder wrote, and no layers claimed.
	b = Find(&scan.Image{Layers: layers("m", "n"), Config: scan.Config{Labels: map[string]string{labelName: "alpine:3.20"}}}, known)
	if b == nil || b.Name != "alpine:3.20" || b.Layers != 0 {
		t.Errorf("%+v", b)
	}
	if b := Find(&scan.Image{Layers: layers("m")}, known); b != nil {
		t.Errorf("%+v", b)
	}
}

func TestOrderOfKnownDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var known []Known
		for i := range rapid.IntRange(0, 6).Draw(t, "n") {
			known = append(known, Known{Name: string(rune('a'+i)) + ":1", DiffIDs: rapid.SliceOfN(rapid.SampledFrom([]string{"1", "2"}), 0, 3).Draw(t, "ids"), Created: rapid.Int64Range(0, 2).Draw(t, "created")})
		}
		img := &scan.Image{Layers: layers(rapid.SliceOfN(rapid.SampledFrom([]string{"1", "2"}), 0, 4).Draw(t, "img")...)}
		a := Find(img, known)
		b := Find(img, rapid.Permutation(known).Draw(t, "order"))
		if (a == nil) != (b == nil) || a != nil && *a != *b {
			t.Fatalf("%+v, in another order %+v", a, b)
		}
	})
}

func TestCompareCountsWhatANewerBaseChanges(t *testing.T) {
	pkg := func(name string, layer int) scan.Package {
		return scan.Package{Type: scan.Deb, Name: name, Layer: layer}
	}
	r := &scan.Report{}
	r.Base = &scan.BaseImage{Layers: 1}
	r.Packages = []scan.Package{pkg("libssl3", 0), pkg("app", 1)}
	r.Vulnerabilities = []scan.Vulnerability{{ID: "CVE-1", Package: 0}, {ID: "CVE-2", Package: 0}, {ID: "CVE-3", Package: 1}}
	newer := &scan.Report{}
	newer.Image.Layers = layers("x")
	newer.Packages = []scan.Package{pkg("libssl3", 0)}
	newer.Vulnerabilities = []scan.Vulnerability{{ID: "CVE-2", Package: 0}, {ID: "CVE-9", Package: 0}}
	if removes, adds := Compare(r, newer); removes != 1 || adds != 1 {
		t.Fatalf("removes %d, adds %d", removes, adds)
	}
}
