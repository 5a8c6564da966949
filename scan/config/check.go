package config

import (
	"cmp"
	"slices"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// Options say how to judge. The zero value leaves the age of the image unassessed.
type Options struct {
	Now    int64 // Unix nanoseconds; 0 = the age is not assessed
	MaxAge int64 // nanoseconds; 0 = 180 days
}

// needs says what a check looks at.
type needs uint8

const (
	needConfig  needs = 1 << iota // user, ports, environment…
	needHistory                   // the steps the image was built in
	needFiles                     // Facts
	needCreated
)

// check is one entry of the table. Find returns one Misstep for each fault, of which
// it fills Detail, Path and Layer, and Severity where it differs from the table's.
type check struct {
	id, title string
	severity  finding.Severity
	remedy    string
	needs     needs
	find      func(*subject) []scan.Misstep
}

type subject struct {
	image *scan.Image
	facts *Facts
	opt   Options
}

// Description describes one check.
type Description struct {
	ID, Title, Remedy string
	Severity          finding.Severity
}

// Describe lists every check in the order of their reports.
func Describe() []Description {
	var out []Description
	for _, c := range table() {
		out = append(out, Description{c.id, c.title, c.remedy, c.severity})
	}
	return out
}

// Check is Judge with the zero Options and without what was not assessed.
func Check(image *scan.Image, facts *Facts) []scan.Misstep {
	found, _ := Judge(image, facts, Options{})
	return found
}

// maxPerCheck bounds the faults one check reports; the last of them says how many more there are.
const maxPerCheck = 50

// Judge runs every check whose evidence is there and returns the faults, worst first,
// and one Gap for each kind of evidence that is not, naming the checks that could not
// be made. facts may be nil: then the files were not looked at. Layer is -1 for what
// belongs to no layer.
func Judge(image *scan.Image, facts *Facts, opt Options) ([]scan.Misstep, []scan.Gap) {
	if facts == nil {
		facts = &Facts{}
	}
	s := &subject{image, facts, opt}
	lacks := missing(s)
	var out []scan.Misstep
	skipped := map[needs]int{}
	for _, c := range table() {
		if without := c.needs & lacks; without != 0 {
			for _, n := range []needs{needConfig, needHistory, needFiles, needCreated} {
				if without&n != 0 {
					skipped[n]++
					break
				}
			}
			continue
		}
		found := c.find(s)
		more := len(found) - maxPerCheck
		if more > 0 {
			found = found[:maxPerCheck]
			found[maxPerCheck-1].Detail += andMore(more)
		}
		for _, m := range found {
			m.Check, m.Title, m.Remedy = c.id, c.title, c.remedy
			if m.Severity == finding.SeverityNone {
				m.Severity = c.severity
			}
			out = append(out, m)
		}
	}
	slices.SortStableFunc(out, func(a, b scan.Misstep) int { return cmp.Compare(b.Severity, a.Severity) })
	return out, gaps(s, skipped)
}
