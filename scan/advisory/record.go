// Package advisory owns the advisory database: a read-only file built from public
// feeds and replaced as a whole, so that a failed update leaves the last good one.
package advisory

import (
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// Record is one advisory, normalised from whatever its feed publishes.
type Record struct {
	ID         string           `json:"id"`                   // as the feed names it: DEBIAN-CVE-2024-1, GHSA-…, CVE-…
	Feed       string           `json:"feed"`                 // name of the feed it came from
	Aliases    []string         `json:"aliases,omitempty"`    // other ids of the very same matter
	Upstream   []string         `json:"upstream,omitempty"`   // CVEs that this one advisory deals with together: of a DSA, a USN, an RHSA
	Title      string           `json:"title,omitempty"`      // at most 300 bytes
	Severity   finding.Severity `json:"severity,omitempty"`   // as the feed words it; SeverityNone = it does not
	Vector     string           `json:"vector,omitempty"`     // CVSS vector, the newest version given
	CVSS       float64          `json:"cvss,omitempty"`       // its base score
	Published  int64            `json:"published,omitempty"`  // Unix nanoseconds
	Modified   int64            `json:"modified,omitempty"`   // Unix nanoseconds
	References []string         `json:"references,omitempty"` // at most 10, https first
	Affected   []Affected       `json:"affected"`
}

// Affected says which versions of one package in one ecosystem a Record is about.
type Affected struct {
	// Ecosystem in OSV's spelling, release included: "Debian:12", "Alpine:v3.20",
	// "Ubuntu:24.04:LTS", "Red Hat:enterprise_linux:9", "Azure Linux:3", "npm", "Go", "PyPI", "Maven",
	// "crates.io", "RubyGems", "Packagist", "NuGet".
	Ecosystem string `json:"ecosystem"`
	// Name of the package as the ecosystem's advisories name it: the source package
	// for Debian and Ubuntu, the origin for Alpine, the binary package for RPM
	// distributions, group:artifact for Maven, normalised (PEP 503) for PyPI.
	Name     string           `json:"name"`
	Ranges   []Range          `json:"ranges,omitempty"`
	Versions []string         `json:"versions,omitempty"` // affected one by one, at most 4,096
	Status   scan.Status      `json:"status,omitempty"`   // where the feed decides: won't fix, deferred, end of life, under review; "" = by Ranges
	Severity finding.Severity `json:"severity,omitempty"` // the distribution's own rating for this release, over Record.Severity
	Module   string           `json:"module,omitempty"`   // rpm modularity name:stream; "" = any or none
	Arches   []string         `json:"arches,omitempty"`   // empty = all
	// NotAffected is a statement of the distribution that this package is not
	// affected: it overrules what other feeds say of the same package there.
	NotAffected bool `json:"notAffected,omitempty"`
}

// Range is one half-open interval [Introduced, Fixed) or closed [Introduced,
// LastAffected] of versions in the ecosystem's own order.
type Range struct {
	Introduced   string `json:"introduced,omitempty"` // "" or "0" = from the first version
	Fixed        string `json:"fixed,omitempty"`
	LastAffected string `json:"lastAffected,omitempty"` // both this and Fixed empty = no end
}

// Key names one package of one ecosystem, both spelled as in Affected.
type Key struct {
	Ecosystem string `json:"ecosystem"`
	Name      string `json:"name"`
}

// Entry is what the database returns for a package: one Record with the one
// Affected that was asked for.
type Entry struct {
	*Record // shared, never to be changed; its Affected is nil
	Affected
}
