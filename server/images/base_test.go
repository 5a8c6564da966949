package images

import (
	"testing"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

func TestANewerBaseIsNamedWithWhatItWouldRemove(t *testing.T) {
	h := open(t, nil)
	h.book.say("openssl", "CVE-2024-1", finding.High, "3")
	h.book.say("openssl", "CVE-2024-2", finding.High, "2")
	h.book.say("zlib", "CVE-2024-3", finding.Low, "9")
	h.must(t, h.Refresh(t.Context()))

	old := catalogOf(1, "debian:12.1", "openssl=1", "zlib=1")
	app := catalogOf(3, "shop:1", "openssl=1", "zlib=1", "own=1")
	app.Image.Layers = append(app.Image.Layers, scan.Layer{DiffID: digest(6)})
	h.submit(t, old)
	h.submit(t, app)
	b, err := h.Base(t.Context(), app)
	h.must(t, err)
	if b == nil || b.Name != "debian:12.1" || b.Layers != 1 || b.Newer != "" || !app.Image.Layers[0].Base || app.Image.Layers[1].Base {
		t.Fatalf("%+v %+v", b, app.Image.Layers)
	}
	// Later a newer build of the same track comes by, with openssl mended in part.
	newer := catalogOf(2, "debian:12.2", "openssl=2", "zlib=1")
	newer.Image.Layers, newer.Image.Created = []scan.Layer{{DiffID: digest(7)}}, 99
	h.submit(t, newer)
	b, err = h.Base(t.Context(), app)
	h.must(t, err)
	if b == nil || b.Newer != "debian:12.2@"+digest(2) || b.Removes != 1 || b.Adds != 0 {
		t.Fatalf("%+v", b)
	}
	// An image that stands on none of them has no base.
	if b, err := h.Base(t.Context(), newer); err != nil || b != nil {
		t.Fatalf("%+v %v", b, err)
	}
}
