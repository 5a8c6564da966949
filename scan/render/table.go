package render

import (
	"bufio"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// Lines shown of one list before it is cut short.
const (
	tableRows   = 40
	tableGroups = 25
	minLast     = 12 // columns of a text that is worth showing
)

// Table writes the report for people: what was scanned, one line per vulnerability
// grouped by where it was found and what type of package it is in, what else is wrong,
// and last what the counts are of and what was not assessed.
func Table(w io.Writer, r *scan.Report, o Options) error {
	t := &table{w: bufio.NewWriter(w), r: r, o: o, cols: o.Width}
	if t.cols <= 0 {
		t.cols = 120
	}
	t.cols = max(t.cols, 40)
	t.header()
	t.vulnerabilities()
	t.secrets()
	t.malware()
	t.config()
	if o.Licences {
		t.licences()
	}
	t.closing()
	if err := t.w.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

type table struct {
	w    *bufio.Writer
	r    *scan.Report
	o    Options
	cols int
}

// paints are the colours of words; they are put round text that is escaped already.
var paints = map[string]string{
	"bold": "1", "dim": "2", "critical": "1;31", "high": "31", "medium": "33", "low": "36", "info": "2", "unrated": "2", "good": "32",
}

func (t *table) paint(how, s string) string {
	if !t.o.Color || s == "" || paints[how] == "" {
		return s
	}
	return "\x1b[" + paints[how] + "m" + s + "\x1b[0m"
}

func (t *table) line(s string) { t.w.WriteString(s + "\n") }

func (t *table) title(s, note string) {
	t.line("")
	if note != "" {
		note = "  " + t.paint("dim", plain(note))
	}
	t.line(t.paint("bold", plain(s)) + note)
}

func (t *table) header() {
	r := t.r
	t.line(t.paint("bold", plain(subject(&r.Image))))
	what := plain(distroName(r.Distro)) + " · " + plural(len(r.Packages), "package", "packages")
	if n := len(r.Image.Layers); n > 0 {
		what += " in " + plural(n, "layer", "layers")
	}
	t.line(what)
	t.line(plain(advisories(r.Database, t.o.Now)))
	if b := r.Base; b != nil {
		t.line(plain(baseLine(r)))
	}
}

func baseLine(r *scan.Report) string {
	b := r.Base
	s := fmt.Sprintf("base image %s (%d of %s)", b.Name, b.Layers, plural(len(r.Image.Layers), "layer", "layers"))
	if b.Newer == "" {
		return s + "; no newer one is known"
	}
	return fmt.Sprintf("%s; %s would remove %s and add %d", s, b.Newer, plural(b.Removes, "vulnerability", "vulnerabilities"), b.Adds)
}

// group is the vulnerabilities of one place and type.
type group struct {
	target, kind string
	packages     int
	rows         []*scan.Vulnerability
}

// typeWords name the packages of a type for people.
var typeWords = map[scan.Type]string{
	scan.Deb: "deb", scan.Apk: "apk", scan.RPM: "rpm", scan.Golang: "Go", scan.NPM: "npm", scan.PyPI: "Python",
	scan.Maven: "Java", scan.Gem: "Ruby", scan.Composer: "PHP", scan.NuGet: ".NET", scan.Cargo: "Rust",
}

func typeWord(t scan.Type) string {
	if w := typeWords[t]; w != "" {
		return w
	}
	return string(t)
}

// target is where a package was found, as far as it tells groups apart: one file that
// carries many packages, else all of its kind.
func target(r *scan.Report, p *scan.Package) string {
	switch p.Type {
	case scan.Golang, scan.Cargo, scan.Composer, scan.NuGet:
		return p.Location
	case scan.Maven:
		outer, _, _ := strings.Cut(p.Location, "!")
		return outer
	case scan.Deb, scan.Apk, scan.RPM:
		return distroName(r.Distro)
	}
	return ""
}

// groups in the order of their worst finding; within one by rank, as the report has it.
func groups(r *scan.Report) []*group {
	type key struct {
		target string
		t      scan.Type
	}
	index := map[key]*group{}
	var out []*group
	seen := map[string]bool{}
	for i := range r.Vulnerabilities {
		v := &r.Vulnerabilities[i]
		p := pkg(r, v)
		k := key{target(r, p), p.Type}
		g := index[k]
		if g == nil {
			g = &group{target: k.target, kind: typeWord(p.Type)}
			index[k] = g
			out = append(out, g)
		}
		if id := k.target + "\x00" + identity(r, v); !seen[id] {
			seen[id] = true
			g.rows = append(g.rows, v)
		}
	}
	for i := range r.Packages {
		p := &r.Packages[i]
		if g := index[key{target(r, p), p.Type}]; g != nil {
			g.packages++
		}
	}
	for _, g := range out {
		sort.SliceStable(g.rows, func(i, j int) bool { return g.rows[i].Rank > g.rows[j].Rank })
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].rows[0].Rank > out[j].rows[0].Rank })
	return out
}

func (t *table) vulnerabilities() {
	all := groups(t.r)
	for i, g := range all {
		if i == tableGroups && !t.o.All {
			t.line("")
			t.more(len(all)-i, "place", "places")
			return
		}
		name := g.kind + " packages"
		if g.target != "" {
			name = g.target + " · " + name
		}
		t.title(name, fmt.Sprintf("%s among %s", plural(len(g.rows), "vulnerability", "vulnerabilities"), plural(g.packages, "package", "packages")))
		rows := g.rows
		if len(rows) > tableRows && !t.o.All {
			rows = rows[:tableRows]
		}
		grid := [][]string{{"SEVERITY", "ID", "EXPLOITED", "USE", "PACKAGE", "INSTALLED → FIXED", "TITLE"}}
		for _, v := range rows {
			p := pkg(t.r, v)
			grid = append(grid, []string{severityWord(v.Severity), v.ID, marks(v), useWord(v.Use), p.Name,
				p.Version + " → " + fixWord(v), v.Title})
		}
		t.grid(grid, func(row int) string { return severityWord(rows[row].Severity) })
		t.more(len(g.rows)-len(rows), "vulnerability", "vulnerabilities")
	}
}

func (t *table) more(n int, one, many string) {
	if n > 0 {
		t.line(t.paint("dim", fmt.Sprintf("  and %s more (-o json, --all)", plural(n, one, many))))
	}
}

// grid writes rows in columns. The last column takes what room is left; where there is
// none, the widest of the others give. Whatever is cut is whole in the other formats.
func (t *table) grid(rows [][]string, paint func(row int) string) {
	n := len(rows[0])
	widths := make([]int, n)
	for r := range rows {
		for c := range rows[r] {
			rows[r][c] = plain(rows[r][c])
			widths[c] = max(widths[c], width(rows[r][c]))
		}
	}
	used := make([]bool, n) // columns that are empty throughout are left out
	for _, row := range rows[1:] {
		for c := range row {
			used[c] = used[c] || row[c] != "" && row[c] != "–"
		}
	}
	total := func() int {
		sum := 0
		for c, w := range widths {
			if used[c] {
				sum += w + 2
			}
		}
		return sum
	}
	// The first two columns say what it is and stay whole as far as that is sane; the
	// last explains, and goes where it would come out too short to say anything.
	for c := range min(2, n) {
		widths[c] = min(widths[c], 24)
	}
	if over := total() - t.cols; over > 0 && used[n-1] {
		if room := widths[n-1] - over; room >= minLast || n < 6 {
			widths[n-1] = max(minLast, room)
		} else {
			used[n-1] = false
		}
	}
	for total() > t.cols {
		widest := -1
		for c := 2; c < n; c++ {
			if used[c] && (widest < 0 || widths[c] > widths[widest]) {
				widest = c
			}
		}
		if widest < 0 || widths[widest] <= 8 {
			break
		}
		widths[widest]--
	}
	for r, row := range rows {
		var b strings.Builder
		for c, cell := range row {
			if !used[c] {
				continue
			}
			cell = clip(cell, widths[c])
			pad := strings.Repeat(" ", max(0, widths[c]-width(cell)))
			switch {
			case r == 0:
				cell = t.paint("dim", cell)
			case c == 0 && paint != nil:
				cell = t.paint(paint(r-1), cell)
			case cell == "in use" || strings.HasPrefix(cell, "KEV"):
				cell = t.paint("bold", cell)
			}
			b.WriteString("  " + cell + pad)
		}
		t.line(strings.TrimRight(b.String(), " "))
	}
}

// listed writes a section of rows, cut short if need be; nothing where there are none.
func (t *table) listed(title string, header []string, rows [][]string, severity func(int) finding.Severity) {
	if len(rows) == 0 {
		return
	}
	t.title(title, fmt.Sprint(len(rows)))
	show := rows
	if len(show) > tableRows && !t.o.All {
		show = show[:tableRows]
	}
	var paint func(int) string
	if severity != nil {
		paint = func(i int) string { return severityWord(severity(i)) }
	}
	t.grid(append([][]string{header}, show...), paint)
	t.more(len(rows)-len(show), "line", "lines")
}

func (t *table) secrets() {
	var rows [][]string
	for i := range t.r.Secrets {
		s := &t.r.Secrets[i]
		rows = append(rows, []string{severityWord(s.Severity), s.Title, s.Redacted, secretPlace(s), layerName(t.r, s.Layer)})
	}
	t.listed("Secrets", []string{"SEVERITY", "SECRET", "BEGINS", "WHERE", "LAYER"}, rows,
		func(i int) finding.Severity { return t.r.Secrets[i].Severity })
}

func secretPlace(s *scan.Secret) string {
	where := s.Path
	if s.Line > 0 {
		where = fmt.Sprintf("%s:%d", where, s.Line)
	}
	if s.Where != "" {
		where = strings.TrimPrefix(where+", "+s.Where, ", ")
	}
	if s.Deleted {
		where += " (deleted later, still in the image)"
	}
	return where
}

func (t *table) malware() {
	var rows [][]string
	for _, m := range t.r.Malware {
		rows = append(rows, []string{m.Name, m.Path, m.List, layerName(t.r, m.Layer)})
	}
	t.listed("Malware", []string{"NAME", "FILE", "LIST", "LAYER"}, rows, nil)
}

func (t *table) config() {
	var rows [][]string
	for i := range t.r.Config {
		m := &t.r.Config[i]
		detail := m.Detail
		if m.Path != "" && !strings.Contains(detail, m.Path) {
			detail = strings.TrimPrefix(detail+" ("+m.Path+")", " ")
		}
		rows = append(rows, []string{severityWord(m.Severity), m.Check, m.Title, detail, m.Remedy})
	}
	t.listed("How the image is built", []string{"SEVERITY", "CHECK", "TITLE", "DETAIL", "REMEDY"}, rows,
		func(i int) finding.Severity { return t.r.Config[i].Severity })
}

// licences are one line: the commonest, and how many packages name none.
func (t *table) licences() {
	counts, none := licenceCounts(t.r)
	if len(counts) == 0 {
		return
	}
	t.title("Licences", fmt.Sprintf("named by %d of %s", len(t.r.Packages)-none, plural(len(t.r.Packages), "package", "packages")))
	var parts []string
	for i, c := range counts {
		if i == 12 && !t.o.All {
			parts = append(parts, fmt.Sprintf("and %d more (-o json, --all)", len(counts)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%s %d", clip(plain(c.name), 40), c.n))
	}
	t.wrap("  ", strings.Join(parts, ", "))
}

type licenceCount struct {
	name string
	n    int
}

func licenceCounts(r *scan.Report) (counts []licenceCount, none int) {
	m := map[string]int{}
	for i := range r.Packages {
		if len(r.Packages[i].Licenses) == 0 {
			none++
		}
		for _, l := range r.Packages[i].Licenses {
			m[l]++
		}
	}
	for name, n := range m {
		counts = append(counts, licenceCount{name, n})
	}
	sort.Slice(counts, func(i, j int) bool {
		if counts[i].n != counts[j].n {
			return counts[i].n > counts[j].n
		}
		return counts[i].name < counts[j].name
	})
	return counts, none
}

// wrap writes text, which is escaped already, broken at spaces to the width.
func (t *table) wrap(indent, text string) {
	var b strings.Builder
	n := 0
	for _, word := range strings.Fields(text) {
		if n > 0 && len(indent)+n+1+width(word) > t.cols {
			t.line(indent + b.String())
			b.Reset()
			n = 0
		}
		if n > 0 {
			b.WriteByte(' ')
			n++
		}
		b.WriteString(word)
		n += width(word)
	}
	if n > 0 {
		t.line(indent + b.String())
	}
}

func (t *table) closing() {
	t.line("")
	for _, s := range totals(t.r) {
		t.wrap("", plain(s))
	}
	if n := len(t.r.Suppressed); n > 0 {
		t.wrap("", plain(suppressedLine(t.r)))
		if t.o.ShowSuppressed {
			var rows [][]string
			for i := range t.r.Suppressed {
				s := &t.r.Suppressed[i]
				until := s.Until
				if until != "" {
					until = "until " + until
				}
				rows = append(rows, []string{s.ID, pkg(t.r, &s.Vulnerability).Name, s.By, until, s.Reason})
			}
			t.listed("Suppressed", []string{"ID", "PACKAGE", "BY", "UNTIL", "REASON"}, rows, nil)
		}
	}
	if gaps := t.r.NotAssessed; len(gaps) > 0 {
		t.line("")
		t.line(t.paint("bold", fmt.Sprintf("Not assessed: %s", plural(len(gaps), "thing", "things"))))
		for i, g := range gaps {
			if i == tableRows && !t.o.All {
				t.more(len(gaps)-i, "gap", "gaps")
				break
			}
			t.wrap("  ", plain(gapLine(g)))
		}
	}
	if len(t.o.Failed) > 0 {
		t.line("")
		for _, f := range t.o.Failed {
			t.wrap("", t.paint("critical", plain("Gate failed: "+f)))
		}
	}
}

func suppressedLine(r *scan.Report) string {
	by := map[string]int{}
	for i := range r.Suppressed {
		by[r.Suppressed[i].By]++
	}
	s := fmt.Sprintf("%d left out, most by %s", len(r.Suppressed), commonest(by))
	if len(by) == 1 {
		s = fmt.Sprintf("%d suppressed by %s", len(r.Suppressed), commonest(by))
	}
	return s + " (--show-suppressed lists them)."
}

func gapLine(g scan.Gap) string {
	s := g.What + ": " + g.Reason
	if g.Remedy != "" {
		s += " (" + g.Remedy + ")"
	}
	return s
}
