package license

import (
	"fmt"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// Policy says which licences are not wanted. The zero value denies nothing.
type Policy struct {
	// Deny holds SPDX ids and categories. GPL-3.0 denies -only and -or-later alike; a star at
	// the end stands for any rest (AGPL-*).
	Deny []string
	// DenyUnknown denies what is stated but not known. Packages that state nothing are
	// never denied: they are not assessed.
	DenyUnknown bool
}

// Denial is one package whose licence the policy denies.
type Denial struct {
	Package int    // index into what was judged
	License string // the expression
	By      string // the entry of Deny, or "unknown"
}

// Result is what a policy made of a list of packages. Stated + NotStated is their number.
type Result struct {
	Denied    []Denial
	Stated    int // packages that state a licence: those that were assessed
	NotStated int
	Unknown   int // of Stated: with a licence not known here
	// Categories counts the stated ones, each once by the category that asks most.
	Categories map[Category]int
}

// Validate reports the first entry of Deny that is no id, no category and no pattern
// known here: a misspelt one would deny nothing.
func (p Policy) Validate() error {
	for i, d := range p.Deny {
		if _, _, ok := denies(d, "MIT"); !ok {
			return fmt.Errorf("deny[%d] %q: no SPDX id and no category; categories are permissive, weak-copyleft, strong-copyleft, network-copyleft, proprietary, unknown", i, d)
		}
	}
	return nil
}

// Evaluate judges packages. A package with several fields must meet each of them; of
// alternatives one that is not denied is enough.
func (p Policy) Evaluate(packages []scan.Package) Result {
	r := Result{Categories: map[Category]int{}}
	for i := range packages {
		stated := Normalize(packages[i].Licenses)
		if len(stated) == 0 {
			r.NotStated++
			continue
		}
		r.Stated++
		worst, unknown := Permissive, false
		for _, e := range stated {
			c := CategoryOf(e)
			unknown = unknown || c == Unknown
			if order(c) > order(worst) {
				worst = c
			}
			if by := p.denies(e); by != "" {
				r.Denied = append(r.Denied, Denial{i, e, by})
			}
		}
		r.Categories[worst]++
		if unknown {
			r.Unknown++
		}
	}
	return r
}

// Gap says how many packages could not be assessed; ok is false when there are none.
func (r Result) Gap() (gap scan.Gap, ok bool) {
	return scan.Gap{
		What:   "licences",
		Reason: fmt.Sprintf("%d of %d packages state none", r.NotStated, r.Stated+r.NotStated),
		Remedy: "look at their sources",
	}, r.NotStated > 0
}

func (p Policy) denies(expression string) string {
	n := parse(expression)
	if n == nil {
		n = &node{id: expression}
	}
	by := ""
	if n.denied(func(id string) bool {
		for _, d := range p.Deny {
			if yes, entry, _ := denies(d, id); yes {
				by = entry
				return true
			}
		}
		if p.DenyUnknown && categoryOf(id) == Unknown {
			by = "unknown"
			return true
		}
		return false
	}) {
		return by
	}
	return ""
}

// denies reports whether entry d covers id, and whether d means anything.
func denies(d, id string) (yes bool, entry string, ok bool) {
	switch c := Category(strings.ToLower(d)); c {
	case Permissive, WeakCopyleft, StrongCopyleft, NetworkCopyleft, Proprietary, Unknown:
		return categoryOf(id) == c, d, true
	}
	if prefix, star := strings.CutSuffix(d, "*"); star && prefix != "" {
		for k := range categories {
			if hasPrefixFold(k, prefix) {
				return hasPrefixFold(id, prefix), d, true
			}
		}
		return false, d, false
	}
	want := lookup(d)
	if want == "" {
		return false, d, false
	}
	if base, only := strings.CutSuffix(want, "-only"); only && !strings.HasSuffix(strings.ToLower(d), "only") {
		return id == want || id == base+"-or-later", d, true
	}
	return id == want, d, true
}

func hasPrefixFold(s, p string) bool { return len(s) >= len(p) && strings.EqualFold(s[:len(p)], p) }
