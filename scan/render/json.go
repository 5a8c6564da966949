package render

import (
	"bytes"
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
	return writeJSON(w, document{Schema, scan.Count(r), r.Database.Built != 0, o.Failed, &c})
}

// writeJSON writes v so that no build agent takes a part of it for a command: two number
// signs in a row, which occur within strings only, are written with an escape.
func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if _, err := w.Write(bytes.ReplaceAll(b.Bytes(), []byte("##"), []byte(`\u0023#`))); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
