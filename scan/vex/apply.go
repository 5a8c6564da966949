package vex

import (
	"fmt"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// Note says what became of one statement about one vulnerability of a report.
type Note struct {
	Document      string `json:"document"`
	Statement     string `json:"statement"`
	Vulnerability string `json:"vulnerability"`
	Package       string `json:"package,omitempty"` // empty where the note is about all of them
	Status        Status `json:"status"`
	// Applied: the statement decided. Otherwise Text says why it did not apply.
	Applied bool   `json:"applied"`
	Text    string `json:"text"`
}

// String is the note as one line.
func (n Note) String() string {
	s := n.Document + ", " + n.Statement + ": " + n.Vulnerability
	if n.Package != "" {
		s += " in " + n.Package
	}
	if n.Applied {
		return s + " is " + string(n.Status) + ": " + n.Text
	}
	return s + " (" + string(n.Status) + ") does not apply: " + n.Text
}

// maxComparisons bounds how often a product is held against a package in one Apply.
const maxComparisons = 5_000_000

// MaxNotes bounds the notes of one Apply; a last one says how many more there are.
const MaxNotes = 10_000

// Apply applies documents to a report. Of all statements that cover a finding, the
// newest decides; of equally new ones the last. Not affected and fixed move it to
// r.Suppressed; affected and under investigation leave it and are told in a note.
// Every statement that names a vulnerability of the report, and covers none of its
// packages with it, has a note saying why.
func Apply(r *scan.Report, docs ...*Document) []Note {
	if len(docs) == 0 || len(r.Vulnerabilities) == 0 {
		return nil
	}
	a := &applying{r: r, byID: map[string][]int{}, decided: map[int]decision{}, memo: newMemo()}
	for i := range r.Vulnerabilities {
		v := &r.Vulnerabilities[i]
		if v.Package < 0 || v.Package >= len(r.Packages) {
			continue
		}
		a.byID[strings.ToUpper(v.ID)] = append(a.byID[strings.ToUpper(v.ID)], i)
		for _, id := range v.Aliases {
			a.byID[strings.ToUpper(id)] = append(a.byID[strings.ToUpper(id)], i)
		}
	}
	for _, d := range docs {
		for i := range d.Statements {
			a.consider(d, &d.Statements[i])
		}
	}
	kept := make([]scan.Vulnerability, 0, len(r.Vulnerabilities))
	for i := range r.Vulnerabilities {
		v := r.Vulnerabilities[i]
		got, ok := a.decided[i]
		if !ok {
			kept = append(kept, v)
			continue
		}
		s := got.s
		text := join(": ", s.Justification, distinct(s.Detail, s.Justification))
		if !s.Status.suppresses() {
			kept = append(kept, v)
			a.note(Note{got.d.Name, s.Position, v.ID, r.Packages[v.Package].Name, s.Status, true, or(text, "no more is said")})
			continue
		}
		r.Suppressed = append(r.Suppressed, scan.Suppressed{Vulnerability: v,
			By: got.d.Name + ", " + s.Position, Reason: join(": ", strings.ReplaceAll(string(s.Status), "_", " "), text)})
	}
	r.Vulnerabilities = kept
	if a.more > 0 {
		a.notes = append(a.notes, Note{Document: "VEX", Statement: "further statements", Text: fmt.Sprintf("%d more notes are left out", a.more)})
	}
	return a.notes
}

type decision struct {
	d *Document
	s *Statement
}

type applying struct {
	r       *scan.Report
	byID    map[string][]int // upper-case id → findings
	decided map[int]decision
	memo    *memo
	notes   []Note
	more    int
}

func (a *applying) note(n Note) {
	if len(a.notes) >= MaxNotes {
		a.more++
		return
	}
	a.notes = append(a.notes, n)
}

// consider holds one statement against the findings it names.
func (a *applying) consider(d *Document, s *Statement) {
	named := map[int]bool{}
	var findings []int
	for _, id := range s.IDs {
		for _, i := range a.byID[strings.ToUpper(id)] {
			if !named[i] && !otherCVE(s.IDs, a.r.Vulnerabilities[i].ID) {
				named[i] = true
				findings = append(findings, i)
			}
		}
	}
	if len(findings) == 0 || a.memo.left < 0 {
		return
	}
	id := a.r.Vulnerabilities[findings[0]].ID
	if s.Status == NotAffected && s.Justification == "" && s.Detail == "" {
		a.note(Note{d.Name, s.Position, id, "", s.Status, false, "no justification: not_affected has to say why"})
		return
	}
	if len(s.Products) == 0 {
		a.note(Note{d.Name, s.Position, id, "", s.Status, false, "it names no product"})
		return
	}
	covered := false
	var best outcome
	for _, i := range findings {
		v := &a.r.Vulnerabilities[i]
		t := target{a.r, &a.r.Packages[v.Package], a.memo}
		var o outcome
		for k := range s.Products {
			if a.memo.left--; a.memo.left < 0 {
				a.note(Note{d.Name, s.Position, id, "", s.Status, false, fmt.Sprintf("more than %d comparisons were needed: the rest of the documents was not applied", maxComparisons)})
				return
			}
			if o.closer(s.Products[k].covers(t)); o.ok {
				break
			}
		}
		if !o.ok {
			best.closer(o)
			continue
		}
		covered = true
		old, ok := a.decided[i]
		if !ok || s.Time >= old.s.Time {
			a.decided[i] = decision{d, s}
			if ok && old.s.Status != s.Status {
				a.note(Note{old.d.Name, old.s.Position, v.ID, t.pkg.Name, old.s.Status, false, "a newer statement says " + string(s.Status) + " (" + d.Name + ", " + s.Position + ")"})
			}
		} else if old.s.Status != s.Status {
			a.note(Note{d.Name, s.Position, v.ID, t.pkg.Name, s.Status, false, "a newer statement says " + string(old.s.Status) + " (" + old.d.Name + ", " + old.s.Position + ")"})
		}
	}
	if !covered {
		why := best.why
		if n := len(s.Products); n > 1 {
			why += fmt.Sprintf(" (the closest of %d products)", n)
		}
		a.note(Note{d.Name, s.Position, id, "", s.Status, false, why})
	}
}

// otherCVE: the ids name CVEs, and the finding is another one. An advisory for several
// CVEs is an alias of each; what is said of one of them is not said of the rest.
func otherCVE(ids []string, finding string) bool {
	isCVE := func(id string) bool { return len(id) > 4 && strings.EqualFold(id[:4], "CVE-") }
	if !isCVE(finding) {
		return false
	}
	other := false
	for _, id := range ids {
		if strings.EqualFold(id, finding) {
			return false
		}
		other = other || isCVE(id)
	}
	return other
}

func distinct(a, b string) string {
	if a == b {
		return ""
	}
	return strings.TrimPrefix(a, b+"; ")
}
