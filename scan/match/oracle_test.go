package match_test

import (
	"archive/zip"
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/advisory"
	"github.com/dockreeve/dockreeve/scan/match"
	"github.com/dockreeve/dockreeve/test/need"
)

// These tests hold the matcher against somebody else's judgement. The real advisories
// are read twice: by the database under test, and here by plain JSON decoding. Versions
// are chosen around what the advisories call fixed, and compared by the tool that owns
// their order, or by a comparison written here from that order's definition.

// pack returns the directory of real advisories, or skips.
func pack(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("DOCKREEVE_ADVISORIES")
	if dir == "" {
		dir = "../../../shared/advisories"
	}
	if _, err := os.Stat(filepath.Join(dir, "osv")); err != nil {
		need.Skip(t, need.Shared, "no advisory pack (set DOCKREEVE_ADVISORIES): "+err.Error())
	}
	return dir
}

// imported is the real database of one ecosystem's advisories.
func imported(t testing.TB, files ...string) *advisory.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "advisories.db")
	if _, err := advisory.Import(context.Background(), path, files, advisory.Options{}); err != nil {
		t.Fatal(err)
	}
	d, err := advisory.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// osvRecord is the part of an OSV record that decides whether a version is affected.
type osvRecord struct {
	ID        string   `json:"id"`
	Aliases   []string `json:"aliases"`
	Upstream  []string `json:"upstream"`
	Withdrawn string   `json:"withdrawn"`
	Affected  []struct {
		Package struct {
			Ecosystem string `json:"ecosystem"`
			Name      string `json:"name"`
		} `json:"package"`
		Versions []string `json:"versions"`
		Ranges   []struct {
			Type   string              `json:"type"`
			Events []map[string]string `json:"events"`
		} `json:"ranges"`
	} `json:"affected"`
}

// claim is one advisory's word on one package name.
type claim struct {
	ids      []string // CVEs, else the record's id
	versions []string
	ranges   [][]map[string]string
	silent   bool // neither ranges nor versions are given
}

// claims reads a zip of OSV records by plain decoding: package name → claims.
func claims(t testing.TB, file, ecosystem string) map[string][]claim {
	t.Helper()
	z, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	out := map[string][]claim{}
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, ".json") {
			continue
		}
		rc, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(rc)
		rc.Close()
		if err != nil {
			t.Fatal(err)
		}
		var r osvRecord
		if err := json.Unmarshal(b, &r); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		if r.Withdrawn != "" {
			continue
		}
		var ids []string
		for _, id := range append(append([]string{r.ID}, r.Aliases...), r.Upstream...) {
			if cveForm.MatchString(id) && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		for _, a := range r.Affected {
			if a.Package.Ecosystem != ecosystem {
				continue
			}
			c := claim{ids: ids, versions: a.Versions, silent: len(a.Ranges) == 0 && len(a.Versions) == 0}
			if len(ids) == 0 {
				c.ids = append(append([]string{r.ID}, r.Aliases...), r.Upstream...)
			}
			for _, rg := range a.Ranges {
				if rg.Type != "GIT" {
					c.ranges = append(c.ranges, rg.Events)
				}
			}
			name := a.Package.Name
			if ecosystem == "PyPI" {
				name = pythonName.ReplaceAllString(strings.ToLower(name), "-")
			}
			out[name] = append(out[name], c)
		}
	}
	return out
}

var cveForm = regexp.MustCompile(`^CVE-\d{4}-\d{4,}$`)

// pythonName is the expression by which PEP 503 normalises names.
var pythonName = regexp.MustCompile(`[-_.]+`)

// pair is a comparison somebody has to make.
type pair struct{ a, b string }

// affectedBy applies OSV's rule: sorted events switch a range on and off. cmp compares
// and is only asked for pairs of the version with an event.
func (c claim) affectedBy(v string, cmp func(a, b string) int) bool {
	if slices.Contains(c.versions, v) || len(c.versions) == 0 && c.silent {
		return true // nothing said of versions means all of them, to the database
	}
	// Each introduced opens an interval, in whatever order the intervals stand; every
	// fixed and last_affected behind it closes it, the lowest first.
	for _, events := range c.ranges {
		in := false
		for _, e := range events {
			switch {
			case e["introduced"] != "":
				if in {
					return true
				}
				in = e["introduced"] == "0" || cmp(v, e["introduced"]) >= 0
			case e["fixed"] != "":
				in = in && cmp(v, e["fixed"]) < 0
			case e["last_affected"] != "":
				in = in && cmp(v, e["last_affected"]) <= 0
			}
		}
		if in {
			return true
		}
	}
	return false
}

// bounds are the versions that a claim's ranges name.
func (c claim) bounds() []string {
	var out []string
	for _, events := range c.ranges {
		for _, e := range events {
			for _, k := range []string{"introduced", "fixed", "last_affected"} {
				if v := e[k]; v != "" && v != "0" {
					out = append(out, v)
				}
			}
		}
	}
	return out
}

// around chooses up to n versions at and next to what the claims of a package name.
func around(r *rand.Rand, list []claim, n int, variants func(v string) []string) []string {
	var all []string
	for _, c := range list {
		for _, b := range c.bounds() {
			all = append(all, variants(b)...)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(n, len(all))]
}

// compareSets reports what is missing and what is too much.
func compareSets(t *testing.T, what string, got, want map[string]bool) {
	t.Helper()
	var missing, extra []string
	for k := range want {
		if !got[k] {
			missing = append(missing, k)
		}
	}
	for k := range got {
		if !want[k] {
			extra = append(extra, k)
		}
	}
	slices.Sort(missing)
	slices.Sort(extra)
	t.Logf("%s: %d expected findings, %d missing, %d extra", what, len(want), len(missing), len(extra))
	if len(want) < 100 {
		t.Errorf("only %d findings are expected: the test asks nothing", len(want))
	}
	if len(missing)+len(extra) > 0 {
		t.Errorf("missing %d: %q\nextra %d: %q", len(missing), missing[:min(10, len(missing))], len(extra), extra[:min(10, len(extra))])
	}
}

// found lists findings as "name version id".
func found(t *testing.T, c *scan.Catalog, d match.Advisories) map[string]bool {
	t.Helper()
	vulns, gaps, err := match.Match(c, d, match.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if g := gapWith(gaps, "comparison"); g != nil {
		t.Logf("gap: %+v", *g)
	}
	out := map[string]bool{}
	for _, v := range vulns {
		p := c.Packages[v.Package]
		out[or(p.Source, p.Name)+" "+or(p.SourceVersion, p.Version)+" "+v.ID] = true
	}
	return out
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// expected applies the claims with an order that answers from a table made before.
func expected(versions map[string][]string, by map[string][]claim, cmp func(a, b string) int) map[string]bool {
	want := map[string]bool{}
	for name, list := range versions {
		for _, v := range list {
			for _, c := range by[name] {
				if c.affectedBy(v, cmp) {
					for _, id := range c.ids {
						want[name+" "+v+" "+id] = true
					}
				}
			}
		}
	}
	return want
}

// batch sends all pairs to a program's standard input, one "a b" a line, and reads one
// of -1, 0, 1 a line.
func batch(t *testing.T, pairs []pair, name string, args ...string) map[pair]int {
	t.Helper()
	var in strings.Builder
	for _, p := range pairs {
		fmt.Fprintf(&in, "%s %s\n", p.a, p.b)
	}
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(in.String())
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	answers := strings.Fields(string(b))
	if len(answers) != len(pairs) {
		t.Fatalf("%s answered %d of %d comparisons", name, len(answers), len(pairs))
	}
	out := make(map[pair]int, len(pairs))
	for i, p := range pairs {
		n, err := strconv.Atoi(answers[i])
		if err != nil {
			t.Fatal(err)
		}
		out[p] = n
	}
	return out
}

// allPairs are every version with every bound of its package, each once.
func allPairs(versions map[string][]string, by map[string][]claim) []pair {
	seen := map[pair]bool{}
	var out []pair
	for name, list := range versions {
		for _, c := range by[name] {
			for _, b := range c.bounds() {
				for _, v := range list {
					if p := (pair{v, b}); !seen[p] {
						seen[p] = true
						out = append(out, p)
					}
				}
			}
		}
	}
	return out
}

// answered compares by a table that holds every pair.
func answered(t *testing.T, table map[pair]int) func(a, b string) int {
	return func(a, b string) int {
		n, ok := table[pair{a, b}]
		if !ok {
			t.Fatalf("nobody has compared %q with %q", a, b)
		}
		return n
	}
}

func TestDebianAgreesWithDpkg(t *testing.T) {
	dir := pack(t)
	dpkg := need.Command(t, need.Shared, "dpkg")
	file := filepath.Join(dir, "osv", "Debian", "all.zip")
	by := claims(t, file, "Debian:12")
	r := rand.New(rand.NewSource(1))
	versions := map[string][]string{}
	c := &scan.Catalog{Distro: bookworm}
	names := make([]string, 0, len(by))
	for n := range by {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		versions[n] = around(r, by[n], 6, func(v string) []string {
			out := []string{v, v + "~", v + "~deb12u1", v + "+deb12u1", "1:" + v, "9:" + v}
			if _, rest, ok := strings.Cut(v, ":"); ok {
				out = append(out, rest) // without its epoch
				out[4], out[5] = "0:"+rest, "9:"+rest
			}
			if i := strings.LastIndexByte(v, '-'); i > 0 {
				out = append(out, v[:i], v[:i]+"-0", v[:i]+"-99", v[:i]+".1-1", v[:i]+"a-1", v[:i]+"~rc1-1")
			}
			return out
		})
		for _, v := range versions[n] {
			c.Packages = append(c.Packages, scan.Package{Type: scan.Deb, Name: n + "-bin", Version: "1", Source: n, SourceVersion: v})
		}
	}
	pairs := allPairs(versions, by)

	// dpkg's own comparison takes a process each: a sample goes there, and all to a
	// shell that asks dpkg for the pairs a library of dpkg's project cannot batch.
	table := map[pair]int{}
	if exec.Command("perl", "-MDpkg::Version", "-e", "1").Run() == nil {
		table = batch(t, pairs, "perl", "-MDpkg::Version", "-ne", `chomp; my ($a, $b) = split / /; print version_compare($a, $b), "\n"`)
	} else {
		t.Logf("Dpkg::Version is not here: fewer packages are compared, by dpkg alone")
		c.Packages = c.Packages[:min(1500, len(c.Packages))]
		kept := map[string][]string{}
		for _, p := range c.Packages {
			kept[p.Source] = append(kept[p.Source], p.SourceVersion)
		}
		versions = kept
		pairs = allPairs(versions, by)
	}
	// The program itself, in batches of one shell each.
	sample := pairs
	if len(table) > 0 {
		sample = slices.Clone(pairs)
		r.Shuffle(len(sample), func(i, j int) { sample[i], sample[j] = sample[j], sample[i] })
		sample = sample[:min(600, len(sample))]
	}
	own := batch(t, sample, "sh", "-c", `while read a b; do if "$0" --compare-versions "$a" lt "$b"; then echo -1; elif "$0" --compare-versions "$a" eq "$b"; then echo 0; else echo 1; fi; done`, dpkg)
	for p, n := range own {
		if have, ok := table[p]; ok && have != n {
			t.Fatalf("dpkg and Dpkg::Version disagree on %v: %d and %d", p, n, have)
		}
		table[p] = n
	}
	t.Logf("%d packages, %d comparisons, %d of them by dpkg itself", len(c.Packages), len(pairs), len(own))
	compareIgnoringAliases(t, "Debian 12", found(t, c, imported(t, file)), expected(versions, by, answered(t, table)), by)
}

func TestAlpineAgreesWithItsOrder(t *testing.T) {
	file := filepath.Join(pack(t), "osv", "Alpine", "all.zip")
	by := claims(t, file, "Alpine:v3.20")
	r := rand.New(rand.NewSource(2))
	versions := map[string][]string{}
	c := &scan.Catalog{Distro: scan.Distro{ID: "alpine", Version: "3.20.3"}}
	names := make([]string, 0, len(by))
	for n := range by {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		var fits []string
		for _, v := range around(r, by[n], 12, func(v string) []string {
			base, _, _ := strings.Cut(v, "-r")
			return []string{v, base + "-r0", base + "-r99", base + ".1-r0", base + "_rc1-r0", base + "_p1-r0", base + "_alpha-r1", base + "_git20240101-r0", base + "a-r0"}
		}) {
			if _, ok := parseApk(v); ok {
				fits = append(fits, v)
			}
		}
		versions[n] = fits
		for _, v := range fits {
			c.Packages = append(c.Packages, scan.Package{Type: scan.Apk, Name: "lib" + n, Version: v, Source: n})
		}
	}
	// apk itself is no program of this system, so its order is written down here anew.
	cmp := func(a, b string) int {
		x, ok := parseApk(a)
		y, ok2 := parseApk(b)
		if !ok || !ok2 {
			t.Fatalf("compared %q with %q, which this order does not know", a, b)
		}
		return x.compare(y)
	}
	got := found(t, c, imported(t, file))
	leaveOut(t, by, versions, got, func(b string) bool { _, ok := parseApk(b); return !ok })
	compareIgnoringAliases(t, "Alpine 3.20", got, expected(versions, by, cmp), by)
}

// leaveOut takes out of both sides what advisories say with versions that the oracle
// cannot read: nobody's order holds for them.
func leaveOut(t *testing.T, by map[string][]claim, versions map[string][]string, got map[string]bool, odd func(string) bool) {
	n := 0
	for name, list := range by {
		by[name] = slices.DeleteFunc(list, func(c claim) bool {
			if !slices.ContainsFunc(c.bounds(), odd) {
				return false
			}
			n++
			for _, v := range versions[name] {
				for _, id := range c.ids {
					delete(got, name+" "+v+" "+id)
				}
			}
			return true
		})
	}
	t.Logf("%d claims have versions outside of their ecosystem's grammar and are left out", n)
}

// apkVersion is a version by the grammar of Alpine's APKBUILD reference: numbers with
// dots, a letter, suffixes with numbers, a build number.
type apkVersion struct {
	numbers  []string
	letter   byte
	suffixes []apkSuffix
	build    int
}

type apkSuffix struct{ weight, number int }

func parseApk(s string) (v apkVersion, ok bool) {
	num := func() string {
		i := 0
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		n := s[:i]
		s = s[i:]
		return n
	}
	for {
		n := num()
		if n == "" {
			return v, false
		}
		v.numbers = append(v.numbers, n)
		if !strings.HasPrefix(s, ".") {
			break
		}
		s = s[1:]
	}
	if s != "" && s[0] >= 'a' && s[0] <= 'z' {
		v.letter, s = s[0], s[1:]
	}
	weights := map[string]int{"alpha": -4, "beta": -3, "pre": -2, "rc": -1, "cvs": 1, "svn": 2, "git": 3, "hg": 4, "p": 5}
	for strings.HasPrefix(s, "_") {
		i := 1
		for i < len(s) && s[i] >= 'a' && s[i] <= 'z' {
			i++
		}
		w, known := weights[s[1:i]]
		if !known {
			return v, false
		}
		s = s[i:]
		n, _ := strconv.Atoi(num())
		v.suffixes = append(v.suffixes, apkSuffix{w, n})
	}
	if strings.HasPrefix(s, "-r") {
		s = s[2:]
		n := num()
		if n == "" {
			return v, false
		}
		v.build, _ = strconv.Atoi(n)
	}
	return v, s == ""
}

func (v apkVersion) compare(w apkVersion) int {
	sign := func(less bool) int {
		if less {
			return -1
		}
		return 1
	}
	for i := range max(len(v.numbers), len(w.numbers)) {
		if i >= len(v.numbers) || i >= len(w.numbers) {
			return sign(i >= len(v.numbers)) // more numbers are later
		}
		a, b := v.numbers[i], w.numbers[i]
		if i > 0 && (a[0] == '0' || b[0] == '0') { // like digits behind a decimal point
			if a != b {
				return sign(a < b)
			}
			continue
		}
		x, _ := strconv.Atoi(a)
		y, _ := strconv.Atoi(b)
		if x != y {
			return sign(x < y)
		}
	}
	if v.letter != w.letter {
		return sign(v.letter < w.letter)
	}
	for i := range max(len(v.suffixes), len(w.suffixes)) {
		var a, b apkSuffix
		if i < len(v.suffixes) {
			a = v.suffixes[i]
		}
		if i < len(w.suffixes) {
			b = w.suffixes[i]
		}
		if a.weight != b.weight {
			return sign(a.weight < b.weight)
		}
		if a.number != b.number {
			return sign(a.number < b.number)
		}
	}
	if v.build != w.build {
		return sign(v.build < w.build)
	}
	return 0
}

func TestRPMAgreesWithRPM(t *testing.T) {
	rpm := need.Command(t, need.Shared, "rpm")
	// Versions of the shapes that rpm distributions build, made up around each other.
	var evrs []string
	for _, epoch := range []string{"", "0:", "1:", "32:"} {
		for _, version := range []string{"1.1.1k", "1.1.1", "3.0.7", "3.0.7~rc1", "3.0.7^git1", "20240101", "2.06", "2.6", "1.0a", "1.0.a", "1_0", "10"} {
			for _, release := range []string{"1.el9", "1.el9_4", "12.el9_4.1", "2.azl3", "0.1.rc1.el9", "27.module+el8.9.0+21+abc", "1~bootstrap.el9", "150400.3.1"} {
				evrs = append(evrs, epoch+version+"-"+release)
			}
		}
	}
	r := rand.New(rand.NewSource(3))
	var pairs []pair
	versions := map[string][]string{}
	by := map[string][]claim{}
	var records []advisory.Record
	c := &scan.Catalog{Distro: scan.Distro{ID: "rocky", Version: "9.4"}}
	for i := range 4000 {
		a, b, name := evrs[r.Intn(len(evrs))], evrs[r.Intn(len(evrs))], fmt.Sprintf("p%d", i)
		id := fmt.Sprintf("CVE-2024-%d", 10000+i)
		pairs = append(pairs, pair{a, b})
		versions[name] = []string{a}
		by[name] = []claim{{ids: []string{id}, ranges: [][]map[string]string{{{"introduced": "0"}, {"fixed": b}}}}}
		records = append(records, one(id, "Rocky Linux:9", name, below(b)))
		c.Packages = append(c.Packages, scan.Package{Type: scan.RPM, Name: name, Version: a})
	}
	list := filepath.Join(t.TempDir(), "pairs")
	f, err := os.Create(list)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	for _, p := range pairs {
		fmt.Fprintf(w, "%s %s\n", p.a, p.b)
	}
	if err := w.Flush(); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(rpm, "--eval", `%{lua: for l in io.lines("`+list+`") do local a, b = l:match("(%S+) (%S+)"); print(rpm.vercmp(a, b) .. "\n") end}`).Output()
	answers := strings.Fields(string(out))
	if err != nil || len(answers) != len(pairs) {
		t.Skipf("this rpm cannot compare versions in Lua: %v, %d answers", err, len(answers))
	}
	table := map[pair]int{}
	for i, p := range pairs {
		table[p], _ = strconv.Atoi(answers[i])
	}
	compareSets(t, "rpm", found(t, c, db(records...)), expected(versions, by, answered(t, table)))
}

func TestPythonAgreesWithPackaging(t *testing.T) {
	file := filepath.Join(pack(t), "osv", "PyPI", "all.zip")
	const module = `import sys
try:
    from packaging.version import Version, InvalidVersion
except ImportError:
    from pip._vendor.packaging.version import Version, InvalidVersion
def v(s):
    try: return Version(s)
    except InvalidVersion: return None
for l in sys.stdin:
    a, b = map(v, l.split())
    print(9 if a is None or b is None else (a > b) - (a < b))
`
	if err := exec.Command("python3", "-c", strings.Replace(module, "for l in sys.stdin", "for l in []", 1)).Run(); err != nil {
		need.Skip(t, need.Shared, "python3 has no packaging module to compare with: "+err.Error())
	}
	by := claims(t, file, "PyPI")
	r := rand.New(rand.NewSource(4))
	versions := map[string][]string{}
	c := &scan.Catalog{}
	names := make([]string, 0, len(by))
	for n := range by {
		names = append(names, n)
	}
	slices.Sort(names)
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, n := range names[:min(500, len(names))] {
		versions[n] = around(r, by[n], 6, func(v string) []string {
			return []string{v, v + "rc1", v + ".dev1", v + ".post1", v + ".1", v + ".0"}
		})
	}
	pairs := slices.DeleteFunc(allPairs(versions, by), func(p pair) bool { return strings.ContainsAny(p.a+p.b, " \t") })
	table := batch(t, pairs, "python3", "-c", module)
	// What Python calls no version has no order that anybody could hold us to.
	odd := map[string]bool{}
	var selves []pair
	for p, n := range table {
		if n == 9 { // one of the two
			selves = append(selves, pair{p.a, p.a}, pair{p.b, p.b})
		}
	}
	for p, n := range batch(t, selves, "python3", "-c", module) {
		odd[p.a] = odd[p.a] || n == 9
	}
	for n, list := range versions {
		versions[n] = slices.DeleteFunc(list, func(v string) bool { return odd[v] })
		for _, v := range versions[n] {
			c.Packages = append(c.Packages, scan.Package{Type: scan.PyPI, Name: n, Version: v})
		}
	}
	got := found(t, c, imported(t, file))
	leaveOut(t, by, versions, got, func(b string) bool { return odd[b] })
	// Listed versions count as Python's order has them: equal is the same.
	want := map[string]bool{}
	var listed []pair
	for n, vs := range versions {
		for _, v := range vs {
			for _, c := range by[n] {
				for _, l := range c.versions {
					if !strings.ContainsAny(l, " \t") && l != v {
						listed = append(listed, pair{v, l})
					}
				}
			}
		}
	}
	equal := batch(t, listed, "python3", "-c", module)
	cmp := answered(t, table)
	for n, vs := range versions {
		for _, v := range vs {
			for _, c := range by[n] {
				hit := c.affectedBy(v, cmp)
				for _, l := range c.versions {
					hit = hit || l == v || equal[pair{v, l}] == 0 && !strings.ContainsAny(l, " \t")
				}
				if hit {
					for _, id := range c.ids {
						want[n+" "+v+" "+id] = true
					}
				}
			}
		}
	}
	compareIgnoringAliases(t, "PyPI", got, want, by)
}

func TestGoAgreesWithSemanticVersioning(t *testing.T) {
	file := filepath.Join(pack(t), "osv", "Go", "all.zip")
	by := claims(t, file, "Go")
	r := rand.New(rand.NewSource(5))
	versions := map[string][]string{}
	c := &scan.Catalog{}
	for n, list := range by {
		if n == "stdlib" || n == "toolchain" {
			continue // their installed versions are spelled another way; see below
		}
		versions[n] = around(r, list, 8, func(v string) []string {
			base, _, _ := strings.Cut(v, "-")
			return []string{v, base, base + "-0", base + "-rc.1", base + "-0.20240101000000-abcdefabcdef", base + "+incompatible"}
		})
		for i, v := range versions[n] {
			if v == "0.0.0" { // means no version at all in a Go binary
				versions[n][i] = "0.0.1"
			}
		}
		for _, v := range versions[n] {
			c.Packages = append(c.Packages, scan.Package{Type: scan.Golang, Name: n, Version: v})
		}
	}
	got := found(t, c, imported(t, file))
	compareIgnoringAliases(t, "Go", got, expected(versions, by, compareSemver), by)
}

// compareIgnoringAliases compares sets where a matter without a CVE may be shown under
// any of its names.
func compareIgnoringAliases(t *testing.T, what string, got, want map[string]bool, by map[string][]claim) {
	t.Helper()
	one := map[string]string{} // id → the least id it is the same as
	var find func(string) string
	find = func(s string) string {
		if p, ok := one[s]; ok && p != s {
			return find(p)
		}
		return s
	}
	for _, list := range by {
		for _, c := range list {
			if len(c.ids) > 1 && !strings.HasPrefix(c.ids[0], "CVE-") {
				for _, id := range c.ids[1:] {
					a, b := find(c.ids[0]), find(id)
					one[max(a, b)] = min(a, b)
				}
			}
		}
	}
	fold := func(set map[string]bool) map[string]bool {
		out := map[string]bool{}
		for k := range set {
			i := strings.LastIndexByte(k, ' ')
			out[k[:i+1]+find(k[i+1:])] = true
		}
		return out
	}
	compareSets(t, what, fold(got), fold(want))
}

// compareSemver is semver.org's order, item 11, written down anew.
func compareSemver(a, b string) int {
	cut := func(v string) (core [3]int, pre []string) {
		v = strings.TrimPrefix(v, "v")
		v, _, _ = strings.Cut(v, "+")
		v, p, has := strings.Cut(v, "-")
		for i, n := range strings.SplitN(v, ".", 3) {
			core[i], _ = strconv.Atoi(n)
		}
		if has {
			pre = strings.Split(p, ".")
		}
		return core, pre
	}
	ca, pa := cut(a)
	cb, pb := cut(b)
	if n := slices.Compare(ca[:], cb[:]); n != 0 {
		return n
	}
	switch {
	case len(pa) == 0 && len(pb) == 0:
		return 0
	case len(pa) == 0:
		return 1
	case len(pb) == 0:
		return -1
	}
	for i := range min(len(pa), len(pb)) {
		x, errX := strconv.ParseUint(pa[i], 10, 64)
		y, errY := strconv.ParseUint(pb[i], 10, 64)
		switch {
		case errX == nil && errY == nil:
			if x != y {
				if x < y {
					return -1
				}
				return 1
			}
		case errX == nil:
			return -1
		case errY == nil:
			return 1
		default:
			if n := strings.Compare(pa[i], pb[i]); n != 0 {
				return n
			}
		}
	}
	return len(pa) - len(pb)
}
