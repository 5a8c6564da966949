package match_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/advisory"
	"github.com/dockreeve/dockreeve/scan/match"
)

// An image that names a distribution and lists none of its packages was not judged; one
// that names none is a program alone.
func TestDistributionWithoutPackages(t *testing.T) {
	c := &scan.Catalog{Distro: scan.Distro{ID: "debian", Version: "12"}}
	said := func() bool {
		_, gaps, err := match.Match(c, nothing{}, match.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(gaps, func(g scan.Gap) bool { return strings.HasPrefix(g.What, match.UnknownDistribution) })
	}
	if !said() {
		t.Error("a Debian without packages is told as one without vulnerabilities")
	}
	c.Packages = []scan.Package{{Type: scan.NPM, Name: "a", Version: "1"}}
	if !said() {
		t.Error("a Debian with npm packages only is told as judged")
	}
	c.Distro = scan.Distro{}
	if said() {
		t.Error("an image without a distribution is told to lack its packages")
	}
	c.Distro = scan.Distro{ID: "debian", Version: "12"}
	c.Packages = append(c.Packages, scan.Package{Type: scan.Deb, Name: "base-files", Version: "12"})
	if said() {
		t.Error("a Debian with packages is told to lack them")
	}
}

// nothing is a database that has every ecosystem and knows of no advisory.
type nothing struct{}

func (nothing) Affected(string, string) ([]advisory.Entry, error) { return nil, nil }
func (nothing) Has(string) bool                                   { return true }
func (nothing) EPSS(string) *scan.EPSS                            { return nil }
func (nothing) KEV(string) *scan.KEV                              { return nil }
