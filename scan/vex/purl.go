package vex

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/package-url/packageurl-go"
)

// maxPURL bounds a package URL that is read.
const maxPURL = 4096

// purl is a package URL taken apart, brought to one spelling.
type purl struct {
	typ, namespace, name, version, subpath string
	qualifiers                             map[string]string
}

func isPURL(s string) bool { return len(s) > 4 && strings.EqualFold(s[:4], "pkg:") }

func parsePURL(s string) (purl, error) {
	if len(s) > maxPURL {
		return purl{}, fmt.Errorf("package URL of %d bytes: at most %d are read", len(s), maxPURL)
	}
	u, err := packageurl.FromString(s)
	if err != nil {
		return purl{}, fmt.Errorf("package URL %q: %w", short(s), err)
	}
	p := purl{typ: strings.ToLower(u.Type), namespace: u.Namespace, name: u.Name, version: u.Version, subpath: u.Subpath, qualifiers: u.Qualifiers.Map()}
	if p.qualifiers == nil {
		p.qualifiers = map[string]string{}
	}
	switch p.typ {
	case "pypi":
		p.name = strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(p.name))
	case "golang", "nuget", "composer", "deb", "rpm", "apk", "oci", "docker", "github":
		p.namespace, p.name = strings.ToLower(p.namespace), strings.ToLower(p.name)
	}
	if p.typ == "npm" {
		// A scope is written %40scope or, wrongly, @scope.
		p.namespace = strings.TrimPrefix(p.namespace, "%40")
	}
	return p, nil
}

// full is namespace and name together.
func (p purl) full() string {
	if p.namespace == "" {
		return p.name
	}
	return p.namespace + "/" + p.name
}

// covers reports whether a statement's package URL means the one at hand; near says how
// close it came, why what is different. What the statement leaves out (version,
// qualifiers) it leaves open.
func (p purl) covers(have purl) (ok bool, near int, why string) {
	if p.typ != have.typ || p.full() != have.full() {
		return false, 0, fmt.Sprintf("it speaks of %s, the package is %s", short(p.typ+"/"+p.full()), short(have.typ+"/"+have.full()))
	}
	if p.version != "" && !sameVersion(p.typ, p.version, have.version) {
		return false, 2, fmt.Sprintf("version differs: it speaks of %s, installed is %s", short(p.version), short(have.version))
	}
	keys := make([]string, 0, len(p.qualifiers))
	for k := range p.qualifiers {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		want, got := p.qualifiers[k], have.qualifiers[k]
		if got == "" && k == "epoch" && want == "0" {
			continue
		}
		if !strings.EqualFold(want, got) {
			if got == "" {
				got = "none"
			}
			return false, 3, fmt.Sprintf("qualifier %s differs: it speaks of %s, the package has %s", short(k), short(want), short(got))
		}
	}
	if p.subpath != "" && p.subpath != have.subpath {
		return false, 3, fmt.Sprintf("it speaks of the part %q only", short(p.subpath))
	}
	return true, 4, ""
}

// sameVersion compares as written, but for a Go version's v.
func sameVersion(typ, a, b string) bool {
	if typ == "golang" {
		a, b = strings.TrimPrefix(a, "v"), strings.TrimPrefix(b, "v")
	}
	return a == b
}

// ofPackage is what the package URL of a statement is compared with: the package's own,
// or its source package's where the statement speaks of sources.
func ofPackage(p *scan.Package, source bool) (purl, bool) {
	have, err := parsePURL(p.PURL)
	if err != nil {
		return purl{}, false
	}
	if source && p.Type.Distribution() {
		if p.Source != "" {
			have.name = strings.ToLower(p.Source)
		}
		if p.SourceVersion != "" {
			have.version = p.SourceVersion
			delete(have.qualifiers, "epoch")
		}
		have.qualifiers["arch"] = map[scan.Type]string{scan.Deb: "source", scan.RPM: "src", scan.Apk: "source"}[p.Type]
	}
	return have, true
}

// MatchPURL reports whether a package URL as a statement or rule has it means the
// package. What it leaves out (version, qualifiers) it leaves open; arch=source (deb)
// and arch=src (rpm) make it speak of the source package. why says what is different.
func MatchPURL(want string, p *scan.Package) (ok bool, why string) {
	u, err := parsePURL(want)
	if err != nil {
		return false, err.Error()
	}
	ok, _, why = u.matches(p)
	return ok, why
}

// ofSource reports whether a package URL speaks of a source package.
func (p purl) ofSource() bool {
	arch := p.qualifiers["arch"]
	return arch == "source" || arch == "src"
}

func (p purl) matches(pkg *scan.Package) (ok bool, near int, why string) {
	have, readable := ofPackage(pkg, p.ofSource())
	if !readable {
		return false, 0, "the package " + short(pkg.Name) + " has no package URL"
	}
	return p.covers(have)
}

// memo remembers what was taken apart, and bounds the work of one Apply.
type memo struct {
	purls map[string]parsed
	own   map[ownKey]parsed
	left  int // comparisons that may still be made
}

type parsed struct {
	purl
	err error
}

type ownKey struct {
	pkg    *scan.Package
	source bool
}

const maxMemo = 100_000

func newMemo() *memo {
	return &memo{purls: map[string]parsed{}, own: map[ownKey]parsed{}, left: maxComparisons}
}

func (m *memo) parse(s string) (purl, error) {
	p, ok := m.purls[s]
	if !ok {
		p.purl, p.err = parsePURL(s)
		if len(m.purls) < maxMemo {
			m.purls[s] = p
		}
	}
	return p.purl, p.err
}

// matches is purl.matches with the package's own URL remembered.
func (m *memo) matches(p purl, pkg *scan.Package) (ok bool, near int, why string) {
	m.left--
	key := ownKey{pkg, p.ofSource()}
	have, known := m.own[key]
	if !known {
		readable := false
		if have.purl, readable = ofPackage(pkg, key.source); !readable {
			have.err = fmt.Errorf("the package %s has no package URL", short(pkg.Name))
		}
		if len(m.own) < maxMemo {
			m.own[key] = have
		}
	}
	if have.err != nil {
		return false, 0, have.err.Error()
	}
	return p.covers(have.purl)
}

// CheckPURL says what is wrong with a package URL; nil = it can be compared.
func CheckPURL(s string) error {
	if !isPURL(s) {
		return fmt.Errorf("%q is no package URL: want pkg:type/name@version", short(s))
	}
	_, err := parsePURL(s)
	return err
}

func short(s string) string {
	if len(s) > 120 {
		s = s[:120] + "…"
	}
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s), "?")
}
