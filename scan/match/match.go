// Package match joins what an image holds with what is known to be wrong: a catalogue's
// packages and the advisory database give vulnerabilities, one per matter and package.
//
// Distribution packages answer to their distribution's advisories alone, language
// packages to their ecosystem's; nothing is guessed from names that look alike. What
// could not be judged comes back as gaps: a database without the ecosystem of a package
// never looks like a package without vulnerabilities.
//
// Everything here is a function of its arguments: no I/O but the database's own reads,
// no clock.
package match

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/advisory"
)

// Advisories is what matching reads of the advisory database; *advisory.DB is one.
type Advisories interface {
	// Affected gives every entry about a package; none is no error.
	Affected(ecosystem, name string) ([]advisory.Entry, error)
	// Has reports whether the database holds the ecosystem at all.
	Has(ecosystem string) bool
	EPSS(cve string) *scan.EPSS
	KEV(cve string) *scan.KEV
}

// rater is the part of a database that knows the score of a CVE whichever package it is
// about. Where it is there, a vulnerability that its distribution has not rated takes
// the CVSS score that the same CVE has elsewhere.
type rater interface {
	Rating(cve string) *advisory.Rating
}

// filterer is the part of a database that reads only what is wanted: most advisories of
// a package are about versions long gone.
type filterer interface {
	AffectedIf(ecosystem, name string, keep func(*advisory.Affected) bool) ([]advisory.Entry, error)
}

// Options say how to match. The zero value is useful.
type Options struct {
	// Now (Unix nanoseconds) judges whether a distribution still gets fixes; 0 leaves
	// that unjudged.
	Now int64
	// Memo, where it is set, lets Again share what it finds out between catalogues that
	// hold the same packages. It belongs to one database and one set of options.
	Memo *Memo
	// Dev matches packages too that only a lock file speaks of.
	Dev bool
}

// Match gives the vulnerabilities of a catalogue, highest rank first, and what could
// not be judged. Its error is a database that could not be read; nothing is returned
// then, because half a list looks like a whole one. It may be called from several
// goroutines when db allows it; c is not changed.
func Match(c *scan.Catalog, db Advisories, opt Options) (vulns []scan.Vulnerability, gaps []scan.Gap, err error) {
	m := newMatcher(c, db, opt)
	for i := range c.Packages {
		found, err := m.packageAt(i)
		if err != nil {
			return nil, nil, err
		}
		vulns = append(vulns, found...)
	}
	Sort(vulns, c.Packages)
	return vulns, m.gaps(), nil
}

// Sort orders vulnerabilities: highest rank first, then by severity, id and package, so
// that the same findings always stand in the same order.
func Sort(vulns []scan.Vulnerability, packages []scan.Package) {
	// The values are large: what moves while sorting is their places.
	order := make([]int, len(vulns))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &vulns[i], &vulns[j]
		if c := cmp.Compare(b.Rank, a.Rank); c != 0 {
			return c
		}
		if c := cmp.Compare(b.Severity, a.Severity); c != 0 {
			return c
		}
		if c := strings.Compare(a.ID, b.ID); c != 0 {
			return c
		}
		if c := strings.Compare(packages[a.Package].Name, packages[b.Package].Name); c != 0 {
			return c
		}
		if c := cmp.Compare(a.Package, b.Package); c != 0 {
			return c
		}
		return cmp.Compare(i, j)
	})
	sorted := make([]scan.Vulnerability, len(vulns))
	for to, from := range order {
		sorted[to] = vulns[from]
	}
	copy(vulns, sorted)
}

// ask is one question to the database: what is known of name, and the version to judge.
type ask struct {
	key     advisory.Key
	version string
	order   string
	source  bool // asks by the source package's name after the binary's
}

// matcher matches one catalogue.
type matcher struct {
	c       *scan.Catalog
	db      Advisories
	opt     Options
	release *release
	reason  string // why release is nil
	has     map[string]bool
	done    map[string][]scan.Vulnerability // of packages that ask the same
	n       tally
	shared  *Memo // nil where gaps are wanted: they are counted while judging
}

func newMatcher(c *scan.Catalog, db Advisories, opt Options) *matcher {
	m := &matcher{c: c, db: db, opt: opt, has: map[string]bool{}, done: map[string][]scan.Vulnerability{}}
	m.release, m.reason = releaseOf(c.Distro)
	m.n.init()
	return m
}

func (m *matcher) hasEcosystem(e string) bool {
	has, known := m.has[e]
	if !known {
		has = m.db.Has(e)
		m.has[e] = has
	}
	return has
}

// asks are the questions that decide about a package, whatever the database holds.
func asks(p *scan.Package, r *release) []ask {
	if eco, ok := language(p.Type); ok {
		if p.OwnedBy != "" {
			return nil
		}
		return []ask{{key: key(eco, p.Name), version: languageVersion(p.Type, p.Name, p.Version), order: eco}}
	}
	if r == nil || r.typ != p.Type {
		return nil
	}
	source, sourceVersion := or(p.Source, p.Name), or(p.SourceVersion, p.Version)
	if p.Type == scan.Deb {
		source, sourceVersion = debSource(p)
	}
	var out []ask
	for _, eco := range r.ecosystems {
		if r.naming != bySource {
			out = append(out, ask{key: key(eco, p.Name), version: p.Version, order: r.order})
		}
	}
	if r.naming == byBinary || r.naming == byBoth && source == p.Name {
		return out
	}
	for _, eco := range r.ecosystems {
		out = append(out, ask{key: key(eco, source), version: sourceVersion, order: r.order, source: r.naming == byBoth})
	}
	return out
}

// key is a name as the database spells it.
func key(ecosystem, name string) advisory.Key {
	ecosystem = advisory.Ecosystem(ecosystem)
	return advisory.Key{Ecosystem: ecosystem, Name: advisory.PackageName(ecosystem, name)}
}

// packageAt gives the vulnerabilities of one package and counts what cannot be judged.
func (m *matcher) packageAt(i int) ([]scan.Vulnerability, error) {
	p := &m.c.Packages[i]
	if p.Dev && !m.opt.Dev {
		m.n.dev++
		return nil, nil
	}
	if p.OwnedBy != "" && !p.Type.Distribution() {
		m.n.owned++
		return nil, nil
	}
	questions := asks(p, m.release)
	if len(questions) == 0 {
		m.n.unknown[p.Type]++
		return nil, nil
	}
	live := questions[:0:0]
	for _, q := range questions {
		if m.hasEcosystem(q.key.Ecosystem) {
			live = append(live, q)
		}
	}
	if len(live) == 0 {
		m.n.missing[questions[0].key.Ecosystem]++
		return nil, nil
	}
	m.noteVendor(p)

	id := ""
	for _, q := range live {
		id += q.key.Ecosystem + "\x00" + q.key.Name + "\x00" + q.version + "\x00"
	}
	id += p.Arch + "\x00" + p.Module
	found, ok := m.done[id]
	if !ok && m.shared != nil {
		found, ok = m.shared.get(id)
	}
	if !ok {
		var err error
		if found, err = m.judge(p, live); err != nil {
			return nil, err
		}
		m.done[id] = found
		if m.shared != nil {
			m.shared.put(id, found)
		}
	}
	out := make([]scan.Vulnerability, len(found))
	copy(out, found)
	for k := range out {
		out[k].Package = i
	}
	return out, nil
}

// judge asks the database about a package.
func (m *matcher) judge(p *scan.Package, questions []ask) ([]scan.Vulnerability, error) {
	var said []statement
	for _, q := range questions {
		more, err := m.answer(p, q)
		if err != nil {
			return nil, fmt.Errorf("advisories of %s %s: %w", q.key.Ecosystem, clip(q.key.Name, 100), err)
		}
		said = append(said, more...)
	}
	if len(said) == 0 {
		return nil, nil
	}
	return m.findings(p, said), nil
}

// answer asks one question.
func (m *matcher) answer(p *scan.Package, q ask) ([]statement, error) {
	v, bad := parseVersion(q.version, q.order)
	var said []statement // of the entries that are kept, in their order
	consider := func(a *advisory.Affected) bool {
		if bad != nil {
			if q.version == "" {
				m.n.unversioned.add(p.Name)
			} else {
				m.n.incomparable.add(p.Name + ": " + bad.Error())
			}
			return false
		}
		if !archMatches(a.Arches, p.Arch) {
			return false
		}
		switch moduleMatches(a.Module, p) {
		case no:
			return false
		case unknown:
			m.n.moduleless.add(p.Name)
			return false
		}
		s := statement{version: v, source: q.source, none: nothingAffected(a)}
		if !s.none {
			var err error
			if s.hit, err = v.affected(a); err != nil {
				m.n.incomparable.add(p.Name + ": " + err.Error())
			}
		}
		// Who is asked by source name alone has one entry for each matter: what does
		// not apply has nothing more to say. Elsewhere it links ids, or overrules.
		if !s.hit && !s.none && m.release != nil && p.Type == m.release.typ && m.release.naming == bySource {
			return false
		}
		said = append(said, s)
		return true
	}
	var entries []advisory.Entry
	var err error
	if f, ok := m.db.(filterer); ok {
		entries, err = f.AffectedIf(q.key.Ecosystem, q.key.Name, consider)
	} else if entries, err = m.db.Affected(q.key.Ecosystem, q.key.Name); err == nil {
		kept := entries[:0:0]
		for i := range entries {
			if consider(&entries[i].Affected) {
				kept = append(kept, entries[i])
			}
		}
		entries = kept
	}
	if err != nil {
		return nil, err
	}
	if len(entries) != len(said) {
		return nil, fmt.Errorf("the database answered %d entries where %d were asked for", len(entries), len(said))
	}
	for i := range said {
		said[i].entry = &entries[i]
	}
	return said, nil
}

// answer is a yes or no that may not be known.
type answer uint8

const (
	no answer = iota
	yes
	unknown
)

// moduleMatches compares module streams: nodejs:18 with nodejs:18:8080020230:rhel8 too.
func moduleMatches(want string, p *scan.Package) answer {
	if want == "" {
		return yes
	}
	if p.Module != "" {
		if stream(want) == stream(p.Module) {
			return yes
		}
		return no
	}
	// A package of a module whose record of it is lost: its release says so.
	if strings.Contains(p.Version, ".module+") || strings.Contains(p.Version, ".module_") {
		return unknown
	}
	return no
}

// stream cuts a module to name:stream.
func stream(m string) string {
	if i := strings.IndexByte(m, ':'); i >= 0 {
		if j := strings.IndexByte(m[i+1:], ':'); j >= 0 {
			return m[:i+1+j]
		}
	}
	return m
}

// archMatches compares architectures however either side spells them. A package for
// every architecture, or of an unknown one, matches all.
func archMatches(want []string, have string) bool {
	if len(want) == 0 || have == "" || have == "noarch" || have == "all" {
		return true
	}
	for _, w := range want {
		if w == "noarch" || w == "all" || arch(w) == arch(have) {
			return true
		}
	}
	return false
}

func arch(a string) string {
	switch a {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	case "i386", "i586", "i486", "x86":
		return "i686"
	case "ppc64el":
		return "ppc64le"
	case "armhf", "armv7":
		return "armv7hl"
	}
	return a
}
