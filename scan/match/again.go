package match

import (
	"slices"
	"sync"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/advisory"
)

// Keys are all database keys that a catalogue's packages ask for, each once, sorted:
// index stored catalogues by them, and a database update that says which keys it has
// changed says whom to match again. They do not depend on what a database holds.
func Keys(c *scan.Catalog) []advisory.Key {
	r, _ := releaseOf(c.Distro)
	var out []advisory.Key
	for i := range c.Packages {
		for _, q := range asks(&c.Packages[i], r) {
			out = append(out, q.key)
		}
	}
	slices.SortFunc(out, compareKeys)
	return slices.Compact(out)
}

func compareKeys(a, b advisory.Key) int {
	if a.Ecosystem != b.Ecosystem {
		if a.Ecosystem < b.Ecosystem {
			return -1
		}
		return 1
	}
	switch {
	case a.Name < b.Name:
		return -1
	case a.Name > b.Name:
		return 1
	}
	return 0
}

// Changed is the set of keys of a database update, made once and used for every
// catalogue.
type Changed map[advisory.Key]struct{}

// ChangedSet makes a Changed of a list.
func ChangedSet(keys []advisory.Key) Changed {
	set := make(Changed, len(keys))
	for _, k := range keys {
		set[k] = struct{}{}
	}
	return set
}

// Memo remembers what packages of many catalogues have in common. It may be used from
// several goroutines. Its size is bounded; what does not fit is found out again.
type Memo struct {
	mu    sync.Mutex
	known map[string][]scan.Vulnerability
	size  int // findings and entries
}

// maxMemo bounds the findings and packages that a Memo keeps: some 100 MB.
const maxMemo = 200_000

// NewMemo makes an empty Memo.
func NewMemo() *Memo { return &Memo{known: map[string][]scan.Vulnerability{}} }

func (m *Memo) get(id string) ([]scan.Vulnerability, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.known[id]
	return v, ok
}

func (m *Memo) put(id string, v []scan.Vulnerability) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.size+len(v)+1 > maxMemo {
		clear(m.known)
		m.size = 0
	}
	m.known[id] = v
	m.size += len(v) + 1
}

// Again matches anew only the packages whose keys have changed; the rest of before, the
// vulnerabilities of the same catalogue against the database before the update, stays
// as it is, its use information too. touched is false when no package asks for a
// changed key: then before is returned as it is. Scores and lists of exploited
// vulnerabilities have no key: see Rescore.
func Again(c *scan.Catalog, before []scan.Vulnerability, changed Changed, db Advisories, opt Options) (vulns []scan.Vulnerability, touched bool, err error) {
	m := newMatcher(c, db, opt)
	m.shared = opt.Memo
	again := make([]bool, len(c.Packages))
	for i := range c.Packages {
		for _, q := range asks(&c.Packages[i], m.release) {
			if _, hit := changed[q.key]; hit {
				again[i], touched = true, true
				break
			}
		}
	}
	if !touched {
		return before, false, nil
	}
	uses := map[int]scan.Use{}
	for i := range before {
		v := &before[i]
		if v.Package < 0 || v.Package >= len(again) {
			continue // of another catalogue: nothing of ours
		}
		uses[v.Package] = v.Use
		if !again[v.Package] {
			vulns = append(vulns, *v)
		}
	}
	for i, do := range again {
		if !do {
			continue
		}
		found, err := m.packageAt(i)
		if err != nil {
			return nil, false, err
		}
		for k := range found {
			if u, ok := uses[i]; ok {
				found[k].Use = u
				found[k].Rank = Rank(&found[k])
			}
		}
		vulns = append(vulns, found...)
	}
	Sort(vulns, c.Packages)
	return vulns, true, nil
}

// Rescore joins EPSS and KEV anew and ranks again, in place; it reports whether
// anything is different.
func Rescore(vulns []scan.Vulnerability, packages []scan.Package, db Advisories) (different bool) {
	for i := range vulns {
		v := &vulns[i]
		if cveOf(v.ID) != v.ID {
			continue
		}
		e, k := db.EPSS(v.ID), db.KEV(v.ID)
		if !same(e, v.EPSS) || !same(k, v.KEV) {
			v.EPSS, v.KEV = e, k
			v.Rank = Rank(v)
			different = true
		}
	}
	if different {
		Sort(vulns, packages)
	}
	return different
}

func same[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
