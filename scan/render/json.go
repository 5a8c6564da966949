package render

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"

	"github.com/dockreeve/dockreeve/scan"
)

// Schema names the JSON form of a report. The number rises when a field changes its
// meaning or goes; fields may come without that.
const Schema = "dockreeve.scan/1"

// document is the JSON form: the report with what a reader would otherwise have to
// count for himself.
type document struct {
	Schema string      `json:"schema"`
	Counts scan.Counts `json:"counts"`
	// Assessed is false where no advisories were at hand: the counts are then no answer.
	Assessed bool     `json:"assessed"`
	Failed   []string `json:"failed,omitempty"`
	*scan.Report
}

// JSON writes the whole report, as docs/scan-format.md describes it. Lists are never
// null.
func JSON(w io.Writer, r *scan.Report, o Options) error {
	c := *r
	if c.Packages == nil {
		c.Packages = []scan.Package{}
	}
	if c.Vulnerabilities == nil {
		c.Vulnerabilities = []scan.Vulnerability{}
	}
	b := bufio.NewWriterSize(w, 64<<10)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(document{Schema, scan.Count(r), r.Database.Built != 0, o.Failed, &c}); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
