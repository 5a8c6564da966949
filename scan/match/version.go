package match

import (
	"fmt"
	"sort"
	"strings"

	"github.com/dockreeve/dockreeve/scan/advisory"
	"github.com/google/osv-scalibr/semantic"
)

// maxVersion bounds the length of a version that is compared: no ecosystem's own is
// near it, and some orders take more than linear time.
const maxVersion = 256

// maxCandidates bounds how many fixed versions are tried as the one to recommend.
const maxCandidates = 128

// version is an installed version, parsed once and compared with many.
type version struct {
	text  string
	order string
	v     semantic.Version // nil where compareFast does without it
}

// parseVersion reads a version in the order of an ecosystem ("Debian", "PyPI", …).
func parseVersion(text, order string) (ver version, err error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return version{}, fmt.Errorf("it has no version")
	}
	if len(text) > maxVersion {
		return version{}, fmt.Errorf("its version is longer than %d bytes", maxVersion)
	}
	if order == "Red Hat" {
		text = strings.TrimPrefix(text, "(none):")
	}
	if fastOrder(order, text) {
		return version{text, order, nil}, nil
	}
	v, err := semantic.Parse(text, order)
	if err != nil {
		return version{}, fmt.Errorf("its version %q is none that %s knows: %w", clip(text, 60), order, err)
	}
	return version{text, order, v}, nil
}

// compare orders v against another version text: -1, 0 or 1.
func (v version) compare(other string) (int, error) {
	if len(other) > maxVersion {
		return 0, fmt.Errorf("version of the advisory is longer than %d bytes", maxVersion)
	}
	other = strings.TrimSpace(other)
	if n, ok := compareFast(v.order, v.text, other); ok {
		return n, nil
	}
	parsed := v.v
	if parsed == nil {
		var err error
		if parsed, err = semantic.Parse(v.text, v.order); err != nil {
			return 0, fmt.Errorf("version %q: %w", clip(v.text, 60), err)
		}
	}
	n, err := parsed.CompareStr(other)
	if err != nil {
		return 0, fmt.Errorf("version %q of the advisory: %w", clip(other, 60), err)
	}
	return n, nil
}

// inRange reports whether v lies in r. A range fixed in "0" is a feed's way to say
// that nothing is affected.
func (v version) inRange(r *advisory.Range) (bool, error) {
	if r.Fixed == "0" {
		return false, nil
	}
	if r.Introduced != "" && r.Introduced != "0" {
		if n, err := v.compare(r.Introduced); err != nil || n < 0 {
			return false, err
		}
	}
	switch {
	case r.Fixed != "":
		n, err := v.compare(r.Fixed)
		return err == nil && n < 0, err
	case r.LastAffected != "":
		n, err := v.compare(r.LastAffected)
		return err == nil && n <= 0, err
	}
	return true, nil
}

// affected reports whether an advisory's entry covers v. An entry with neither ranges
// nor versions covers nothing, unless its source has decided what becomes of it: then
// it speaks of every version.
func (v version) affected(a *advisory.Affected) (bool, error) {
	if len(a.Ranges) == 0 && len(a.Versions) == 0 {
		return a.Status != "" && !a.NotAffected, nil
	}
	var bad error // one range that cannot be read leaves the others
	for i := range a.Ranges {
		in, err := v.inRange(&a.Ranges[i])
		if in {
			return true, nil
		}
		if err != nil {
			bad = err
		}
	}
	if len(a.Versions) == 0 {
		return false, bad
	}
	loose := looseVersion(v.text)
	for _, s := range a.Versions {
		if s == v.text {
			return true, nil
		}
		// The same version may be written in more than one way ("1.0", "v1.0.0").
		// Only what looks alike is compared in full.
		if looseVersion(s) == loose {
			if n, err := v.compare(s); err == nil && n == 0 {
				return true, nil
			}
		}
	}
	return false, bad
}

// looseVersion cuts away what never tells two versions apart in any order.
func looseVersion(s string) string {
	s = strings.TrimPrefix(s, "v")
	for strings.HasSuffix(s, ".0") {
		s = strings.TrimSuffix(s, ".0")
	}
	return strings.ToLower(s)
}

// nothingAffected reports whether an entry is a statement that the package is not
// affected in any version.
func nothingAffected(a *advisory.Affected) bool {
	if a.NotAffected {
		return true
	}
	if len(a.Ranges) == 0 || len(a.Versions) > 0 || a.Status != "" {
		return false
	}
	for i := range a.Ranges {
		if a.Ranges[i].Fixed != "0" {
			return false
		}
	}
	return true
}

// fixedIn is the lowest version above v that no entry of the group covers. Where one
// entry knows of no end, what the others call fixed is taken; "" = nobody knows one.
func (v version) fixedIn(entries []*advisory.Entry) string {
	var candidates []version
	for _, e := range entries {
		for i := range e.Ranges {
			f := e.Ranges[i].Fixed
			if f == "" || f == "0" {
				continue
			}
			if n, err := v.compare(f); err != nil || n >= 0 {
				continue
			}
			if c, err := parseVersion(f, v.order); err == nil {
				candidates = append(candidates, c)
			}
		}
	}
	sort.SliceStable(candidates, func(i, j int) bool {
		n, err := candidates[i].compare(candidates[j].text)
		return err == nil && n < 0
	})
	if len(candidates) > maxCandidates {
		candidates = candidates[:maxCandidates]
	}
	for _, c := range candidates {
		if !c.coveredByAny(entries) {
			return c.text
		}
	}
	// Nothing satisfies everybody: the highest of what each entry that has a fix asks for.
	best := ""
	var bestV version
	for _, e := range entries {
		for _, c := range candidates {
			if !hasFix(e, c.text) || c.coveredByAny([]*advisory.Entry{e}) {
				continue
			}
			if best == "" {
				best, bestV = c.text, c
			} else if n, err := bestV.compare(c.text); err == nil && n < 0 {
				best, bestV = c.text, c
			}
			break
		}
	}
	return best
}

func (v version) coveredByAny(entries []*advisory.Entry) bool {
	for _, e := range entries {
		if in, err := v.affected(&e.Affected); in && err == nil {
			return true
		}
	}
	return false
}

func hasFix(e *advisory.Entry, version string) bool {
	for i := range e.Ranges {
		if e.Ranges[i].Fixed == version {
			return true
		}
	}
	return false
}
