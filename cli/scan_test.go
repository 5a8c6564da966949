package cli

import (
	"testing"

	"github.com/dockreeve/dockreeve/scan"
)

// A stored report is taken only where it says all that is asked for.
func TestStoredReportThatSaysTooLittle(t *testing.T) {
	for _, c := range []struct {
		gap      scan.Gap
		scanners []string
		want     bool
	}{
		{scan.Gap{What: scan.GapMalware}, []string{"vuln", "secret", "config"}, true},
		{scan.Gap{What: scan.GapMalware}, []string{"malware"}, false},
		{scan.Gap{What: scan.GapSecrets}, []string{"vuln", "secret"}, false},
		{scan.Gap{What: "secrets, configuration, malware"}, []string{"vuln", "config"}, false},
		{scan.Gap{What: "secrets, configuration, malware"}, []string{"vuln"}, true},
		{scan.Gap{What: "layer 2", Reason: "the registry hung up"}, []string{"vuln"}, false},
		{scan.Gap{What: "var/lib/dpkg/status", Unread: true}, []string{"vuln"}, false},
		{scan.Gap{What: "3 packages of npm", Data: true}, []string{"vuln"}, true},
	} {
		f := scanFlags{scanners: c.scanners}
		if got := f.answers(&scan.Report{Catalog: scan.Catalog{NotAssessed: []scan.Gap{c.gap}}}); got != c.want {
			t.Errorf("%+v asked for %v: taken %v, want %v", c.gap, c.scanners, got, c.want)
		}
	}
}
