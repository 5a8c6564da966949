package images

import (
	"testing"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// What a digest names does not change: a later look that saw less of it takes nothing
// away, and a later one that saw more does.
func TestALaterScanThatSawLessTakesNothingAway(t *testing.T) {
	h := open(t, nil)
	h.book.say("openssl", "CVE-2024-1", finding.High, "3.0.5-1")
	h.turnOver(t)
	full := catalogOf(1, "r.example/web:1", "openssl=3.0.1-1", "zlib=1.2-1")
	if c := h.submit(t, full); c.Total != 1 {
		t.Fatalf("%+v", c)
	}
	broken := catalogOf(1, "r.example/web:1", "zlib=1.2-1")
	broken.Image.Layers[0].NotAssessed = "the registry hung up"
	list := catalogOf(1, "r.example/web:1", "zlib=1.2-1")
	list.Image.Kind = scan.KindSBOM
	for _, c := range []*scan.Catalog{broken, list} {
		if n := h.submit(t, c); n.Total != 1 {
			t.Errorf("told %+v, want what is stored", n)
		}
		if got := h.ids(t, digest(1)); got != "CVE-2024-1" {
			t.Errorf("left of the findings: %q", got)
		}
	}
	if n := h.submit(t, catalogOf(1, "r.example/web:1", "openssl=3.0.5-1")); n.Total != 0 {
		t.Errorf("a whole scan that says otherwise: %+v, want it taken", n)
	}
}
