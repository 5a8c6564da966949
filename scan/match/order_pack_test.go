package match_test

import (
	"testing"

	"github.com/dockreeve/dockreeve/scan/match"
	"github.com/google/osv-scalibr/semantic"
)

// Every pair of versions that the real advisories name for one package is ordered the
// same way by both.
func TestFastOrdersAgreeOnRealVersions(t *testing.T) {
	for order, from := range map[string][2]string{"Debian": {"Debian", "Debian:12"}, "Red Hat": {"AlmaLinux", "AlmaLinux:9"}} {
		pairs := 0
		for name, list := range claims(t, pack(t)+"/osv/"+from[0]+"/all.zip", from[1]) {
			var versions []string
			for _, c := range list {
				versions = append(versions, c.bounds()...)
			}
			if len(versions) > 60 {
				versions = versions[:60]
			}
			for _, a := range versions {
				v, err := semantic.Parse(a, order)
				if err != nil {
					continue
				}
				for _, b := range versions {
					want, err := v.CompareStr(b)
					got, ok := match.CompareFast(order, a, b)
					if !ok || err != nil {
						t.Fatalf("%s: %q against %q is not answered (%v)", name, a, b, err)
					}
					if got < 0 != (want < 0) || got > 0 != (want > 0) {
						t.Fatalf("%s: %q against %q is %d, elsewhere %d", name, a, b, got, want)
					}
					pairs++
				}
			}
		}
		if pairs == 0 {
			t.Errorf("%s: no versions", order)
		}
		t.Logf("%s: %d pairs", order, pairs)
	}
}
