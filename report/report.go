// Package report owns the documents that leave Dockreeve: the playbook (HTML, PDF, CSV,
// Markdown, JSON), the signed evidence bundle for auditors, and a team's own summary with
// its mail. It only writes what govern has concluded: it computes no number of its own.
//
// It promises that every number stands beside its denominator, its rule and its evidence,
// that what was not assessed says so and why, that documents ask for nothing from anywhere
// (no script, no remote font, no remote image), that what others wrote cannot become
// markup, a formula or a mail header, and that the same input gives the same bytes: all
// times come from the evaluation, none from a clock. It sends nothing.
package report

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/govern"
)

// ErrFormat reports a format that a document does not have.
var ErrFormat = errors.New("unknown format")

// Formats are the formats of the playbook.
func Formats() []string { return []string{"html", "pdf", "csv", "md", "json"} }

// Options of a document. The zero value works.
type Options struct {
	Title    string // default: Container protection playbook
	Name     string // of the organisation
	Version  string // of Dockreeve
	Evidence int    // lines of evidence shown at each number: default 25 in PDF and Markdown, all that were kept in HTML and CSV
	Top      int    // recommendations shown: default Top
	Rest     Rest   // of lists of which the evaluation holds only the first; JSON wants them whole
}

// Top is how many recommendations and findings are shown.
const Top = 20

// Rest counts what there is beyond the lists of an evaluation.
type Rest struct {
	Recommendations int // of lower rank, not fixed
	Fixed           int
	Findings        int // that are not worse
}

// Playbook writes the playbook of an evaluation. Errors are ErrFormat, and those of w.
func Playbook(w io.Writer, format string, ev *govern.Evaluation, o Options) error {
	if !slices.Contains(Formats(), format) {
		return fmt.Errorf("%w %q: the playbook is written as %s", ErrFormat, format, strings.Join(Formats(), ", "))
	}
	if format == "json" {
		return writeJSON(w, ev, o)
	}
	d := newDocument(ev, o, format)
	switch format {
	case "pdf":
		return writePDF(w, d)
	case "csv":
		return writeCSV(w, d)
	case "md":
		return writeMarkdown(w, d)
	}
	return writeHTML(w, d)
}
