package images

import (
	"testing"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

func TestAPipelineAddsToWhatIsKnownAndTakesNothingAway(t *testing.T) {
	h := open(t, nil)
	h.book.say("openssl", "CVE-2024-1", finding.Critical, "3")
	h.must(t, h.Refresh(t.Context()))
	h.submit(t, catalogOf(1, "shop:1", "openssl=1", "zlib=1"))
	other := catalogOf(1, "shop:1", "openssl=1", "zlib=1")
	other.Distro = scan.Distro{ID: "none"}
	owned := catalogOf(1, "shop:1", "openssl=1", "zlib=1")
	owned.Packages[0].OwnedBy = "base-files"
	for what, c := range map[string]*scan.Catalog{
		"nothing":        catalogOf(1, "shop:1"),
		"less":           catalogOf(1, "shop:1", "zlib=1"),
		"another one":    catalogOf(1, "shop:1", "openssl=3", "zlib=1"),
		"no distro":      other,
		"said to be own": owned,
	} {
		if _, _, err := h.SubmitFromPipeline(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if got := h.ids(t, digest(1)); got != "CVE-2024-1" {
			t.Errorf("%s: the findings are now %q", what, got)
		}
	}
	more := catalogOf(1, "shop:1", "openssl=1", "zlib=1", "curl=1")
	h.book.say("curl", "CVE-2024-2", finding.High, "2")
	h.must(t, h.Refresh(t.Context()))
	if _, counts, err := h.SubmitFromPipeline(t.Context(), more); err != nil || counts.Total != 2 {
		t.Fatalf("%+v %v", counts, err)
	}
}
