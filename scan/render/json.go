package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"

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

func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return writeQuiet(w, b.Bytes())
}

// writeQuiet writes JSON so that nobody who only prints it obeys a part of it: what
// plain would escape is written with JSON's own escape, which says the same. None of it
// occurs outside of strings.
func writeQuiet(w io.Writer, doc []byte) error {
	out := make([]byte, 0, len(doc)+len(doc)/16)
	var last rune
	for i := 0; i < len(doc); {
		r, n := rune(doc[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(doc[i:])
		}
		switch {
		case r == '\n' || r < 0x7f && (r != '#' || last != '#') || r > 0x7f && shown(r):
			out = append(out, doc[i:i+n]...)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		last = r
		i += n
	}
	if _, err := w.Write(out); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
