// Package render writes a scan.Report in the formats that people and other programs read.
//
// Everything in a report that comes from an image, an advisory or a document is hostile
// text: each format escapes it by its own rules (escape.go), so that a package name can
// neither move a terminal's cursor nor give a build agent a command. No format shows a
// count without what it is of, and all of them say what was not assessed. Writing is
// deterministic, does no I/O but on the writer given, and reads no clock. All functions
// are safe for concurrent use.
package render

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/sbom"
)

// Options say how to write. The zero value works.
type Options struct {
	Now     int64  // Unix nanoseconds: ages are told against it; 0 = ages are left out
	Version string // of the program
	Width   int    // columns of the terminal; 0 = 120
	Color   bool   // ANSI colours; see UseColor
	All     bool   // nothing is cut short in what people read
	// ShowSuppressed lists what ignore rules and VEX took away, one line each.
	ShowSuppressed bool
	// Vulnerabilities puts them into CycloneDX too; without it an SBOM lists packages.
	Vulnerabilities bool
	// Licences shows which licences the packages state, in what people read.
	Licences bool
	// StepSummary takes a page in Markdown beside the GitHub annotations; nil = none.
	StepSummary io.Writer
	// Failed are the reasons the gate failed, in words; empty = passed or no gate.
	Failed []string
}

// Format is one way to write a report.
type Format struct {
	Name string // as in -o
	Doc  string // one line for people
	File string // usual ending of its files
	// Write writes the report. Errors are those of the writer.
	Write func(io.Writer, *scan.Report, Options) error
}

// Formats are all formats, in the order of the help text. Adding one is a file and a
// line here.
func Formats() []Format {
	return []Format{
		{"table", "for people", ".txt", Table},
		{"json", "everything; see docs/scan-format.md", ".json", JSON},
		{"sarif", "SARIF 2.1.0, for code scanning", ".sarif", SARIF},
		{"cyclonedx", "CycloneDX 1.6, a list of packages", ".cdx.json", CycloneDX},
		{"spdx", "SPDX 2.3, a list of packages", ".spdx.json", SPDX},
		{"junit", "JUnit XML, one case per package", ".xml", JUnit},
		{"github", "annotations and step summary of GitHub Actions", ".github.txt", GitHub},
		{"azure", "issues in the log of Azure Pipelines", ".azure.txt", AzurePipelines},
		{"html", "one page to keep or to send", ".html", HTML},
	}
}

// Find returns the format of that name. The error lists all.
func Find(name string) (Format, error) {
	var names []string
	for _, f := range Formats() {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return Format{}, fmt.Errorf("unknown output format %q: want one of %s", name, strings.Join(names, ", "))
}

// UseColor decides on colour as terminals' users expect it: asked for, or a terminal
// without NO_COLOR (https://no-color.org: set and not empty) and not a dumb one.
func UseColor(terminal bool, getenv func(string) string) bool {
	if getenv("NO_COLOR") != "" {
		return false
	}
	if v := getenv("CLICOLOR_FORCE"); v != "" && v != "0" {
		return true
	}
	return terminal && getenv("TERM") != "dumb"
}

// CycloneDX writes the packages as a CycloneDX document, with the vulnerabilities if
// the options ask for them.
func CycloneDX(w io.Writer, r *scan.Report, o Options) error {
	opt := sbom.Options{Now: o.Now, Version: o.Version}
	if o.Vulnerabilities {
		opt.Vulnerabilities, opt.Suppressed = r.Vulnerabilities, r.Suppressed
	}
	var b bytes.Buffer
	if err := sbom.EncodeCycloneDX(&b, &r.Catalog, opt); err != nil {
		return err
	}
	return writeQuiet(w, b.Bytes())
}

// SPDX writes the packages as an SPDX document.
func SPDX(w io.Writer, r *scan.Report, o Options) error {
	var b bytes.Buffer
	if err := sbom.EncodeSPDX(&b, &r.Catalog, sbom.Options{Now: o.Now, Version: o.Version}); err != nil {
		return err
	}
	return writeQuiet(w, b.Bytes())
}
