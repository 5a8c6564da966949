package sbom

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/advisory"
	"github.com/dockreeve/dockreeve/scan/match"
)

// everything is a database in which every package anyone asks for is vulnerable below
// version 999; what is asked is a part of the answer.
type everything struct{}

func (everything) Affected(ecosystem, name string) ([]advisory.Entry, error) {
	return []advisory.Entry{{Record: &advisory.Record{ID: "CVE-2026-1", Feed: "test", Title: ecosystem + " " + name, Severity: finding.High},
		Affected: advisory.Affected{Ecosystem: ecosystem, Name: name, Ranges: []advisory.Range{{Introduced: "0", Fixed: "999:999"}, {Introduced: "0", Fixed: "999.0.0"}}}}}, nil
}
func (everything) Has(string) bool        { return true }
func (everything) EPSS(string) *scan.EPSS { return nil }
func (everything) KEV(string) *scan.KEV   { return nil }

// Scanning the SBOM of an image gives the vulnerabilities that scanning the image gave.
func TestAnSBOMHasTheSameVulnerabilities(t *testing.T) {
	for _, distro := range []scan.Distro{{ID: "debian", Version: "12", Codename: "bookworm"}, {ID: "alpine", Version: "3.20.1"}, {ID: "rhel", Version: "9.2"}} {
		c := sample()
		c.Distro = distro
		want, _, err := match.Match(c, everything{}, match.Options{Dev: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(want) < 4 {
			t.Fatalf("%s: only %d vulnerabilities to compare", distro.ID, len(want))
		}
		for name, encode := range formats {
			var doc bytes.Buffer
			if err := encode(&doc, c, Options{}); err != nil {
				t.Fatal(err)
			}
			read, err := Decode(&doc)
			if err != nil {
				t.Fatal(err)
			}
			have, _, err := match.Match(read, everything{}, match.Options{Dev: true})
			if err != nil {
				t.Fatal(err)
			}
			a, _ := json.Marshal(have)
			b, _ := json.Marshal(want)
			if !bytes.Equal(a, b) {
				t.Errorf("%s of %s: have %s\nwant %s", name, distro.ID, a, b)
			}
		}
	}
}
