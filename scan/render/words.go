package render

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// severities, highest first; SeverityNone shows as unrated.
var severities = []finding.Severity{finding.Critical, finding.High, finding.Medium, finding.Low, finding.Informational, finding.SeverityNone}

func severityWord(s finding.Severity) string {
	if s == finding.SeverityNone {
		return "unrated"
	}
	if s == finding.Informational {
		return "info"
	}
	return s.String()
}

// statusWords are what stands in for a fixed version where there is none.
var statusWords = map[scan.Status]string{
	scan.Unfixed:     "no fix yet",
	scan.WontFix:     "won't fix",
	scan.Deferred:    "deferred",
	scan.EndOfLife:   "end of life",
	scan.UnderReview: "under review",
}

func fixWord(v *scan.Vulnerability) string {
	if v.Fixable() {
		return v.FixedIn
	}
	if w := statusWords[v.Status]; w != "" {
		return w
	}
	return "no fix known"
}

func useWord(u scan.Use) string {
	switch u.State {
	case scan.Loaded:
		return "in use"
	case scan.NotSeen:
		return "not seen"
	}
	return "–"
}

// marks are what makes a vulnerability urgent: KEV, and EPSS from one per cent on.
func marks(v *scan.Vulnerability) string {
	var m []string
	if v.KEV != nil {
		m = append(m, "KEV")
	}
	if v.EPSS != nil && v.EPSS.Score >= 0.01 {
		m = append(m, fmt.Sprintf("EPSS %.0f%%", 100*v.EPSS.Score))
	}
	return strings.Join(m, ", ")
}

// plural counts a thing in words.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func day(ns int64) string {
	if ns == 0 {
		return "unknown date"
	}
	return time.Unix(0, ns).UTC().Format("2006-01-02")
}

// age tells how old ns is; "" where now is not known.
func age(ns, now int64) string {
	if now == 0 || ns == 0 {
		return ""
	}
	d := time.Duration(now - ns)
	switch {
	case d < 0:
		return "dated in the future"
	case d < 2*time.Hour:
		return plural(int(d/time.Minute), "minute", "minutes") + " old"
	case d < 48*time.Hour:
		return plural(int(d/time.Hour), "hour", "hours") + " old"
	}
	return plural(int(d/(24*time.Hour)), "day", "days") + " old"
}

func distroName(d scan.Distro) string {
	if d.Name != "" {
		return d.Name
	}
	if d.ID == "" {
		return "no distribution found"
	}
	return strings.TrimSpace(d.ID + " " + d.Version)
}

// subject is what was scanned, in a few words: name, platform, short digest.
func subject(i *scan.Image) string {
	name := i.Name
	if name == "" {
		name = "unnamed " + string(i.Kind)
	}
	var in []string
	if i.Platform != "" {
		in = append(in, i.Platform)
	}
	if k := i.Key(); k != "" && !strings.Contains(name, k) {
		in = append(in, short(k))
	}
	if len(in) == 0 {
		return name
	}
	return name + " (" + strings.Join(in, ", ") + ")"
}

func short(digest string) string {
	if algorithm, hex, ok := strings.Cut(digest, ":"); ok && len(hex) > 12 {
		return algorithm + ":" + hex[:12]
	}
	return digest
}

// advisories says which advisories the report rests on and how old they are.
func advisories(d scan.DatabaseInfo, now int64) string {
	if d.Built == 0 {
		return "vulnerabilities were not assessed"
	}
	n := 0
	for _, f := range d.Feeds {
		n += f.Records
	}
	of := d.Built
	if d.AsOf != 0 {
		of = d.AsOf // as old as what they know, whenever they were read
	}
	s := "advisories of " + day(of)
	if a := age(of, now); a != "" {
		s += " (" + a + ")"
	}
	if len(d.Feeds) > 0 {
		s += fmt.Sprintf(", %d records of %s", n, plural(len(d.Feeds), "feed", "feeds"))
	}
	return s
}

// totals are the closing sentences about vulnerabilities; each count says what it is of.
func totals(r *scan.Report) []string {
	if r.Database.Built == 0 && notAskedFor(r) {
		return []string{"Vulnerabilities: not asked for."}
	}
	if r.Database.Built == 0 {
		return []string{"Vulnerabilities: not assessed, because there is no advisory database (dockreeve db update)."}
	}
	c := scan.Count(r)
	states := map[scan.UseState]int{}
	reasons := map[string]int{}
	since := int64(0)
	seen := map[string]bool{}
	for i := range r.Vulnerabilities {
		v := &r.Vulnerabilities[i]
		k := identity(r, v)
		if seen[k] {
			continue
		}
		seen[k] = true
		states[v.Use.State]++
		if v.Use.State == scan.UseNotAssessed && v.Use.Reason != "" {
			reasons[v.Use.Reason]++
		}
		if v.Use.Since != 0 && (since == 0 || v.Use.Since < since) {
			since = v.Use.Since
		}
	}
	packages := plural(len(r.Packages), "package", "packages")
	if c.Total == 0 {
		if len(r.Packages) == 0 {
			return []string{"No packages were found, so there was nothing to match."}
		}
		if n := len(r.Suppressed); n > 0 {
			return []string{fmt.Sprintf("%s, and none of them is left: see what was left out, below.", plural(n, "known vulnerability in "+packages, "known vulnerabilities in "+packages))}
		}
		if len(r.NotAssessed) > 0 {
			return []string{"No known vulnerabilities in " + packages + ", as far as they were assessed: see what was not, below."}
		}
		return []string{"No known vulnerabilities in " + packages + "."}
	}
	by := []string{}
	for _, part := range []struct {
		n    int
		word string
	}{{c.Critical, "critical"}, {c.High, "high"}, {c.Medium, "medium"}, {c.Low, "low"}, {c.Unrated, "unrated"}} {
		by = append(by, fmt.Sprintf("%d %s", part.n, part.word))
	}
	lines := []string{
		fmt.Sprintf("%s in %d of %s: %s.", plural(c.Total, "vulnerability", "vulnerabilities"), hit(r), packages, strings.Join(by, ", ")),
		fmt.Sprintf("Of %d: %d known to be exploited (KEV), %d with a fix.", c.Total, c.KEV, c.Fixable),
	}
	use := fmt.Sprintf("In use, of %d: ", c.Total)
	switch {
	case since == 0 && states[scan.Loaded] == 0:
		use += "not assessed"
	case since == 0:
		use += fmt.Sprintf("%d seen loaded; for the other %d it is not assessed", states[scan.Loaded], states[scan.UseNotAssessed])
	default:
		use += fmt.Sprintf("%d seen loaded, %d not seen loaded, watched since %s; %d not assessed",
			states[scan.Loaded], states[scan.NotSeen], day(since), states[scan.UseNotAssessed])
	}
	if why := commonest(reasons); why != "" {
		use += ": " + why
	}
	return append(lines, use+".")
}

// notAskedFor reports whether vulnerabilities were left out by whoever scanned.
func notAskedFor(r *scan.Report) bool {
	return slices.ContainsFunc(r.NotAssessed, func(g scan.Gap) bool { return g.What == "vulnerabilities" && g.Reason == "not asked for" })
}

// identity is what scan.Count counts once.
func identity(r *scan.Report, v *scan.Vulnerability) string {
	p := pkg(r, v)
	return v.ID + "\x00" + string(p.Type) + "\x00" + p.Name + "\x00" + p.Version
}

// pkg is the package of v; an empty one where the index is wrong.
func pkg(r *scan.Report, v *scan.Vulnerability) *scan.Package {
	if v.Package < 0 || v.Package >= len(r.Packages) {
		return &scan.Package{Name: "unknown", Layer: -1}
	}
	return &r.Packages[v.Package]
}

func commonest(counts map[string]int) string {
	keys := make([]string, 0, len(counts))
	for k := range counts {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		if counts[keys[i]] != counts[keys[j]] {
			return counts[keys[i]] > counts[keys[j]]
		}
		return keys[i] < keys[j]
	})
	if len(keys) == 0 {
		return ""
	}
	return keys[0]
}

// layerName names a layer for people: its number counted from one, and its digest.
func layerName(r *scan.Report, i int) string {
	if i < 0 || i >= len(r.Image.Layers) {
		return ""
	}
	l := r.Image.Layers[i]
	d := l.DiffID
	if d == "" {
		d = l.Digest
	}
	s := fmt.Sprintf("layer %d", i+1)
	if l.Base {
		s += " (base)"
	}
	if d != "" {
		s += " " + short(d)
	}
	return s
}
