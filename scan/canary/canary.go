// Package canary makes test images whose verdict is known beforehand, so that a scanner
// can be seen to find what it must: one package, at a version that the advisory database
// calls vulnerable, and again at the version that it calls fixed.
//
// What the verdict must be is read from the advisories themselves and never asked of
// scan/match, which is among what is tested. It matches and stores nothing.
package canary

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/advisory"
)

// Advisories is what is asked of the advisory database; *advisory.DB is one.
type Advisories interface {
	Ecosystems() map[string]int
	NamesAfter(ecosystem, after string, limit int) ([]string, error)
	Affected(ecosystem, name string) ([]advisory.Entry, error)
}

// ErrNone says that no record looked at names a version that mends it in a way that
// leaves no doubt.
var ErrNone = errors.New("no record that names its fixed version plainly")

// Bounds of looking for a case: packages of one ecosystem, and of all.
const (
	maxNames  = 500
	maxLooked = 2000
	namesStep = 50
	maxText   = 100 // of a version
)

// Case is one vulnerability and two versions of one package: that it must be found for,
// and that it must not be found for.
type Case struct {
	CVE        string `json:"cve"`    // the id by which it must be found
	Record     string `json:"record"` // of the database
	Ecosystem  string `json:"ecosystem"`
	Package    string `json:"package"`
	Vulnerable string `json:"vulnerable"`
	Fixed      string `json:"fixed"`
}

func (c *Case) String() string {
	return fmt.Sprintf("%s in %s %s, fixed in %s (%s)", c.CVE, c.Package, c.Vulnerable, c.Fixed, c.Ecosystem)
}

// family is an ecosystem that a test image can be made of.
type family struct {
	ecosystem *regexp.Regexp // its group is the release
	name      *regexp.Regexp
	fixed     *regexp.Regexp // versions that lie above vulnerable without comparing them
	// vulnerable is older than every version that fixed accepts: those begin with a number
	// above 0.
	vulnerable string
	files      func(c *Case, release, version string) map[string]string
}

// families in the order in which they are tried.
var families = []family{
	{regexp.MustCompile(`^Debian:([0-9]{1,3})$`), distroName, debVersion, "0-1", func(c *Case, release, version string) map[string]string {
		return debFiles("debian", release, c.Package, version)
	}},
	{regexp.MustCompile(`^Ubuntu:([0-9]{2}\.[0-9]{2})(?::LTS)?$`), distroName, debVersion, "0-1", func(c *Case, release, version string) map[string]string {
		return debFiles("ubuntu", release, c.Package, version)
	}},
	{regexp.MustCompile(`^Alpine:v([0-9]{1,3}\.[0-9]{1,3})$`), distroName, regexp.MustCompile(`^[1-9][0-9]*(\.[0-9]+)*-r[0-9]+$`), "0-r0", func(c *Case, release, version string) map[string]string {
		return map[string]string{
			"etc/os-release":       "ID=alpine\nVERSION_ID=" + release + ".0\n",
			"lib/apk/db/installed": "P:" + c.Package + "\nV:" + version + "\nA:x86_64\no:" + c.Package + "\n\n",
		}
	}},
	{regexp.MustCompile(`^npm()$`), regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,80}$`), regexp.MustCompile(`^[1-9][0-9]*\.[0-9]+\.[0-9]+$`), "0.0.1", func(c *Case, _, version string) map[string]string {
		return map[string]string{"app/node_modules/" + c.Package + "/package.json": `{"name":"` + c.Package + `","version":"` + version + `"}`}
	}},
}

var (
	distroName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]{1,80}$`)
	debVersion = regexp.MustCompile(`^([0-9]+:)?[1-9][0-9A-Za-z.+~-]*$`)
)

func debFiles(id, release, name, version string) map[string]string {
	return map[string]string{
		"etc/os-release":      "ID=" + id + "\nVERSION_ID=\"" + release + "\"\n",
		"var/lib/dpkg/status": "Package: " + name + "\nStatus: install ok installed\nArchitecture: amd64\nVersion: " + version + "\n\n",
	}
}

// familyOf finds what an ecosystem is; release is "" where it has none.
func familyOf(ecosystem string) (at int, release string) {
	for i := range families {
		if m := families[i].ecosystem.FindStringSubmatch(ecosystem); m != nil {
			return i, m[1]
		}
	}
	return -1, ""
}

// Choose finds a case: the first that serves, by family, newest release and name, so that
// the same database always gives the same, and one whose record was withdrawn the next.
// What is read is bounded. The error wraps ErrNone, or is the database's own.
func Choose(db Advisories) (Case, error) {
	type place struct {
		family    int
		release   []int
		ecosystem string
	}
	var places []place
	for e := range db.Ecosystems() {
		if i, release := familyOf(e); i >= 0 {
			p := place{family: i, ecosystem: e}
			for part := range strings.SplitSeq(release, ".") {
				n, _ := strconv.Atoi(part) // digits, by the expression; of npm there is none
				p.release = append(p.release, n)
			}
			places = append(places, p)
		}
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.family, b.family), slices.Compare(b.release, a.release), cmp.Compare(a.ecosystem, b.ecosystem))
	})
	looked := 0
	for _, p := range places {
		f := &families[p.family]
		for after, here := "", 0; here < maxNames; {
			names, err := db.NamesAfter(p.ecosystem, after, namesStep)
			if err != nil {
				return Case{}, err
			}
			if len(names) == 0 {
				break
			}
			for _, name := range names {
				here++
				if looked++; looked > maxLooked {
					return Case{}, fmt.Errorf("%w among the first %d packages", ErrNone, maxLooked)
				}
				// Kernels have thousands of records, and names of their own.
				if !f.name.MatchString(name) || strings.HasPrefix(name, "linux") {
					continue
				}
				entries, err := db.Affected(p.ecosystem, name)
				if err != nil {
					return Case{}, err
				}
				if c, ok := plain(f, entries); ok {
					c.Ecosystem, c.Package, c.Vulnerable = p.ecosystem, name, f.vulnerable
					return c, nil
				}
			}
			after = names[len(names)-1]
		}
	}
	if len(places) == 0 {
		return Case{}, fmt.Errorf("%w: it holds nothing of Debian, Ubuntu, Alpine or npm", ErrNone)
	}
	return Case{}, fmt.Errorf("%w among %d packages of %s", ErrNone, looked, places[0].ecosystem)
}

// plain finds the first entry that leaves no doubt: one CVE, affected from the first
// version on until one that mends it, and no other entry of the package speaks of it.
func plain(f *family, entries []advisory.Entry) (Case, bool) {
	said := map[string]int{}
	for i := range entries {
		for _, cve := range entries[i].Record.CVEs() {
			said[cve]++
		}
	}
	var out []Case
	for i := range entries {
		e := &entries[i]
		cves := e.Record.CVEs()
		if len(cves) != 1 || said[cves[0]] != 1 || e.NotAffected || e.Module != "" || len(e.Arches)+len(e.Versions) > 0 || len(e.Ranges) != 1 || e.Status != "" && e.Status != scan.Fixed {
			continue
		}
		r := &e.Ranges[0]
		if r.Introduced != "" && r.Introduced != "0" || r.LastAffected != "" || len(r.Fixed) > maxText || !f.fixed.MatchString(r.Fixed) {
			continue
		}
		out = append(out, Case{CVE: cves[0], Record: e.Record.ID, Fixed: r.Fixed})
	}
	if len(out) == 0 {
		return Case{}, false
	}
	return slices.MinFunc(out, func(a, b Case) int { return cmp.Or(cmp.Compare(a.CVE, b.CVE), cmp.Compare(a.Record, b.Record)) }), true
}
