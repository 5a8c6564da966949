package vex

import (
	"testing"

	"github.com/dockreeve/dockreeve/scan"
)

// TestAliasOfSeveralCVEs: a notice that mends two CVEs is an alias of both. Who says
// that one of them does not apply has said nothing of the other.
func TestAliasOfSeveralCVEs(t *testing.T) {
	for _, c := range []struct {
		ids  []string
		left string
	}{
		{[]string{"CVE-2024-0001", "GHSA-aaaa-bbbb-cccc"}, "CVE-2024-0002"},
		{[]string{"CVE-2024-0001"}, "CVE-2024-0002"},
		{[]string{"GHSA-aaaa-bbbb-cccc"}, ""}, // the notice as a whole
		{[]string{"cve-2024-0001", "CVE-2024-0002"}, ""},
	} {
		r := &scan.Report{
			Catalog: scan.Catalog{Image: scan.Image{Name: "app"}, Packages: []scan.Package{{Type: scan.NPM, Name: "a", Version: "1.0.0", PURL: "pkg:npm/a@1.0.0"}}},
			Vulnerabilities: []scan.Vulnerability{
				{ID: "CVE-2024-0001", Aliases: []string{"GHSA-aaaa-bbbb-cccc"}},
				{ID: "CVE-2024-0002", Aliases: []string{"GHSA-aaaa-bbbb-cccc"}},
			},
		}
		Apply(r, &Document{Name: "d", Statements: []Statement{{IDs: c.ids, Status: NotAffected, Justification: "vulnerable_code_not_present", Products: []Product{{IDs: []string{"pkg:npm/a"}}}}}})
		left := ""
		for _, v := range r.Vulnerabilities {
			left += v.ID
		}
		if left != c.left {
			t.Errorf("%v: left %q, want %q", c.ids, left, c.left)
		}
	}
}
