package match

import (
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// Rank says how soon a vulnerability should be dealt with, 0 to 1000; higher is sooner.
// It is a sum, so that nothing that makes a finding worse can ever lower it:
//
//	300  CISA lists it as exploited; 50 more when by ransomware
//	250  × EPSS probability
//	200  × severity: critical 1, high 0.75, medium 0.45, low 0.15, unrated 0.35
//	100  × CVSS score / 10; without a score the severity's share stands in
//	 60  a fixed version can be had
//	 40  its package was seen loaded; 20 where that is not known, 0 only where it was
//	     watched and not seen
//
// Known and likely exploitation weigh more than what could happen, and a rating
// nobody has given counts as nearly medium: unknown is not harmless.
func Rank(v *scan.Vulnerability) float64 {
	var r float64
	if v.KEV != nil {
		r += 300
		if v.KEV.Ransomware {
			r += 50
		}
	}
	if v.EPSS != nil {
		r += 250 * clamp(v.EPSS.Score)
	}
	s := severityShare(v.Severity)
	r += 200 * s
	if v.Vector != "" {
		r += 100 * clamp(v.CVSS/10)
	} else {
		r += 100 * s
	}
	if v.Fixable() {
		r += 60
	}
	switch v.Use.State {
	case scan.Loaded:
		r += 40
	case scan.NotSeen:
	default:
		r += 20
	}
	return r
}

func severityShare(s finding.Severity) float64 {
	switch s {
	case finding.Critical:
		return 1
	case finding.High:
		return 0.75
	case finding.Medium:
		return 0.45
	case finding.Low:
		return 0.15
	case finding.Informational:
		return 0.05
	}
	return 0.35
}

func clamp(f float64) float64 {
	if f > 1 {
		return 1
	}
	if f > 0 { // not for NaN either
		return f
	}
	return 0
}
