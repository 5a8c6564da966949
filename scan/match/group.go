package match

import (
	"slices"
	"sort"
	"strings"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/advisory"
)

// statement is what one advisory entry says of the package at hand.
type statement struct {
	entry   *advisory.Entry
	version version
	hit     bool // the installed version is affected
	none    bool // no version is affected
	source  bool // said of the source package where the binary was asked for first
}

// matter is everything said about one vulnerability: a CVE, or what has none.
type matter struct {
	id      string
	aliases map[string]bool
	said    []statement
}

// findings merges what was said into one vulnerability per matter. An advisory for
// several CVEs counts for each of them and never makes them one. Ids are the same
// matter when an advisory names them as aliases of each other; being related is not.
func (m *matcher) findings(p *scan.Package, said []statement) []scan.Vulnerability {
	slices.SortStableFunc(said, func(a, b statement) int {
		if c := strings.Compare(a.entry.ID, b.entry.ID); c != 0 {
			return c
		}
		return strings.Compare(a.entry.Feed, b.entry.Feed)
	})
	matters := group(said)
	var out []scan.Vulnerability
	for _, g := range matters {
		if v, ok := m.verdict(p, g); ok {
			out = append(out, v)
		}
	}
	return out
}

// group sorts statements by matter.
func group(said []statement) []*matter {
	byID := map[string]*matter{}
	var order []*matter
	get := func(id string) *matter {
		g := byID[id]
		if g == nil {
			g = &matter{id: id, aliases: map[string]bool{}}
			byID[id] = g
			order = append(order, g)
		}
		return g
	}
	add := func(g *matter, s statement, several bool) {
		g.said = append(g.said, s)
		g.aliases[s.entry.ID] = true
		if several {
			return // its other ids may belong to another of its CVEs
		}
		for _, a := range s.entry.Aliases {
			g.aliases[a] = true
		}
	}

	// Ids without a CVE lead to one through other advisories of the same package: GO-1
	// names GHSA-1, and GHSA-1 names the CVE.
	links := newUnion()
	cvesOf := map[string][]string{} // by id that is no CVE: the CVEs of the record it names
	cvesOfStatement := make([][]string, len(said))
	for i, s := range said {
		cves := cveIDs(s.entry.Record)
		cvesOfStatement[i] = cves
		if len(cves) > 0 {
			cvesOf[s.entry.ID] = append(cvesOf[s.entry.ID], cves...)
			if len(cves) == 1 { // aliases of an advisory for several may belong to either
				for _, a := range s.entry.Aliases {
					if cveOf(a) == "" {
						cvesOf[a] = append(cvesOf[a], cves[0])
					}
				}
			}
			continue
		}
		links.add(s.entry.ID)
		for _, a := range s.entry.Aliases {
			links.join(s.entry.ID, a)
		}
	}
	for i, s := range said {
		cves := cvesOfStatement[i]
		if len(cves) == 0 {
			members := links.members(s.entry.ID)
			for _, id := range members {
				cves = append(cves, cvesOf[id]...)
			}
			slices.Sort(cves)
			cves = slices.Compact(cves)
			if len(cves) == 0 {
				add(get(preferred(members)), s, false)
				continue
			}
		}
		for _, cve := range cves {
			add(get(cve), s, len(cves) > 1)
		}
	}
	return order
}

// verdict judges one matter; ok is false when the package is not affected.
func (m *matcher) verdict(p *scan.Package, g *matter) (out scan.Vulnerability, ok bool) {
	said := g.said
	// What is said of the binary package itself decides over what is said of its source.
	if i := slices.IndexFunc(said, func(s statement) bool { return !s.source }); i >= 0 {
		own := said[:0:0]
		for _, s := range said {
			if !s.source {
				own = append(own, s)
			}
		}
		said = own
	}
	var hits []statement
	var entries []*advisory.Entry
	for _, s := range said {
		if s.none {
			return out, false
		}
		entries = append(entries, s.entry)
		if s.hit {
			hits = append(hits, s)
		}
	}
	if len(hits) == 0 {
		return out, false
	}
	out.ID = g.id
	delete(g.aliases, g.id)
	for a := range g.aliases {
		if cveOf(a) != a { // another CVE is another matter
			out.Aliases = append(out.Aliases, a)
		}
	}
	sort.Strings(out.Aliases)
	if len(out.Aliases) > maxAliases {
		out.Aliases = out.Aliases[:maxAliases]
	}

	out.FixedIn = hits[0].version.fixedIn(entries)
	decider := hits[0].entry
	out.Status, decider = m.status(p, hits, out.FixedIn, decider)
	out.Source = decider.Feed
	m.rate(p, &out, hits, said)

	seen := map[string]bool{}
	for _, s := range hits {
		r := s.entry.Record
		if out.Title == "" {
			out.Title = r.Title
		}
		if r.Published != 0 && (out.Published == 0 || r.Published < out.Published) {
			out.Published = r.Published
		}
		out.Modified = max(out.Modified, r.Modified)
		for _, ref := range r.References {
			if len(out.References) < maxReferences && !seen[ref] {
				seen[ref] = true
				out.References = append(out.References, ref)
			}
		}
	}
	if cveOf(out.ID) == out.ID {
		out.EPSS, out.KEV = m.db.EPSS(out.ID), m.db.KEV(out.ID)
	}
	out.Rank = Rank(&out)
	return out, true
}

const (
	maxReferences = 10
	maxAliases    = 32
)

// status tells what can be done. A fix that can be had outweighs what anybody decided
// before there was one; a release without fixes turns "none yet" into "none any more".
func (m *matcher) status(p *scan.Package, hits []statement, fixedIn string, decider *advisory.Entry) (scan.Status, *advisory.Entry) {
	if fixedIn != "" {
		for _, h := range hits {
			if hasFix(h.entry, fixedIn) {
				return scan.Fixed, h.entry
			}
		}
		return scan.Fixed, decider
	}
	open := false
	for _, want := range []scan.Status{scan.WontFix, scan.EndOfLife, scan.Deferred} {
		for _, h := range hits {
			if h.entry.Affected.Status == want {
				return want, h.entry
			}
		}
	}
	for _, h := range hits {
		if h.entry.Affected.Status != scan.UnderReview {
			open = true
			decider = h.entry
			break
		}
	}
	if !open {
		return scan.UnderReview, decider
	}
	if p.Type.Distribution() && m.release != nil {
		if _, over := m.release.ended(m.opt.Now); over {
			return scan.EndOfLife, decider
		}
	}
	return scan.Unfixed, decider
}

// rate sets severity and score: the distribution's own rating of this release, else the
// word of an advisory, else its CVSS score.
func (m *matcher) rate(p *scan.Package, v *scan.Vulnerability, hits, said []statement) {
	score := func(list []statement) {
		for _, s := range list {
			if r := s.entry.Record; r.Vector != "" && (v.Vector == "" || r.CVSS > v.CVSS) {
				v.CVSS, v.Vector = r.CVSS, r.Vector
			}
		}
	}
	score(hits)
	if v.Vector == "" {
		score(said)
	}
	for _, h := range hits {
		if s := h.entry.Affected.Severity; s > v.Severity {
			v.Severity, v.SeverityFrom = s, h.entry.Feed
			if p.Type.Distribution() && m.release != nil {
				v.SeverityFrom = m.release.family
			}
		}
	}
	if v.Severity == finding.SeverityNone {
		for _, h := range hits {
			if s := h.entry.Record.Severity; s > v.Severity {
				v.Severity, v.SeverityFrom = s, h.entry.Record.ID
			}
		}
	}
	from := ""
	if v.Vector == "" {
		from = m.borrowScore(v)
	}
	if v.Severity == finding.SeverityNone && v.Vector != "" {
		v.Severity, v.SeverityFrom = band(v.CVSS), "CVSS"
		if from != "" {
			v.SeverityFrom = "CVSS of " + from
		}
	}
}

// borrowScore takes the CVSS score that another advisory gives the same CVE: the score
// belongs to the CVE, not to the package. It returns that advisory's id.
func (m *matcher) borrowScore(v *scan.Vulnerability) (from string) {
	f, ok := m.db.(rater)
	if !ok || cveOf(v.ID) != v.ID {
		return ""
	}
	r := f.Rating(v.ID)
	if r == nil {
		return ""
	}
	v.CVSS, v.Vector = r.CVSS, r.Vector
	return r.From
}

// band is the severity that CVSS 3 and 4 give a base score.
func band(score float64) finding.Severity {
	switch {
	case score >= 9:
		return finding.Critical
	case score >= 7:
		return finding.High
	case score >= 4:
		return finding.Medium
	case score > 0:
		return finding.Low
	}
	return finding.Informational
}

func cveIDs(r *advisory.Record) []string { return r.CVEs() }

func cveOf(id string) string { return advisory.CVEOf(id) }

// preferred chooses the id to show for a matter without a CVE: the most widely known
// kind first.
func preferred(ids []string) string {
	rank := func(id string) int {
		for i, prefix := range []string{"GHSA-", "GO-", "PYSEC-", "RUSTSEC-"} {
			if strings.HasPrefix(id, prefix) {
				return i
			}
		}
		return 9
	}
	return slices.MinFunc(ids, func(a, b string) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
}

// union is a union-find over ids.
type union struct {
	parent map[string]string
	sets   map[string][]string // by root, once the first is asked for; nothing is joined then
}

func newUnion() *union { return &union{parent: map[string]string{}} }

func (u *union) add(id string) {
	if _, ok := u.parent[id]; !ok {
		u.parent[id] = id
	}
}

func (u *union) find(id string) string {
	u.add(id)
	for u.parent[id] != id {
		u.parent[id] = u.parent[u.parent[id]]
		id = u.parent[id]
	}
	return id
}

func (u *union) join(a, b string) {
	if ra, rb := u.find(a), u.find(b); ra != rb {
		u.parent[rb] = ra
	}
}

// members are all ids joined with one, sorted.
func (u *union) members(id string) []string {
	if u.sets == nil {
		u.sets = map[string][]string{}
		for m := range u.parent {
			root := u.find(m)
			u.sets[root] = append(u.sets[root], m)
		}
		for _, set := range u.sets {
			sort.Strings(set)
		}
	}
	return u.sets[u.find(id)]
}
