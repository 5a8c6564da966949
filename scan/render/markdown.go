package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// markdown escapes s so that Markdown, with the HTML that it lets through, shows it as
// text, also within a table.
func markdown(s string) string {
	var b strings.Builder
	for _, r := range plain(s) {
		switch r {
		case '&':
			b.WriteString("&amp;")
		case '<':
			b.WriteString("&lt;")
		case '>':
			b.WriteString("&gt;")
		case '\\', '`', '*', '_', '{', '}', '[', ']', '(', ')', '#', '!', '|', '~', '@', ':', '$':
			fmt.Fprintf(&b, "&#%d;", r) // a backslash would not hold for @ and within tables
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// summaryRows bounds the step summary: GitHub takes 1 MiB of it.
const summaryRows = 500

// summary writes the report as a page in Markdown, for a job's summary.
func summary(w io.Writer, r *scan.Report, o Options) error {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", markdown(clip(subject(&r.Image), 300)))
	fmt.Fprintf(&b, "%s · %s · %s\n\n", markdown(clip(distroName(r.Distro), 200)), plural(len(r.Packages), "package", "packages"), markdown(advisories(r.Database, o.Now)))
	for _, f := range o.Failed {
		fmt.Fprintf(&b, "**Gate failed:** %s\n\n", markdown(clip(f, 500)))
	}
	for _, s := range totals(r) {
		fmt.Fprintf(&b, "%s\n", markdown(clip(s, 1000)))
	}
	all := issues(r, false)
	if len(all) > 0 {
		b.WriteString("\n| Severity | What | Where | Remedy |\n|---|---|---|---|\n")
	}
	for i := range all {
		if i == summaryRows {
			fmt.Fprintf(&b, "\nand %d more; the other outputs have all of them\n", len(all)-i)
			break
		}
		is := &all[i]
		text := is.text
		if is.v != nil {
			text = is.rule + ": " + text
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", severityWord(is.severity), markdown(clip(text, 400)), markdown(clip(is.path, 200)), markdown(clip(is.remedy, 200)))
	}
	if n := len(r.Suppressed); n > 0 {
		fmt.Fprintf(&b, "\n%s\n", markdown(clip(suppressedLine(r), 500)))
	}
	if len(r.NotAssessed) > 0 {
		b.WriteString("\n**Not assessed**\n\n")
		for i, g := range r.NotAssessed {
			if i == 50 {
				fmt.Fprintf(&b, "- and %d more\n", len(r.NotAssessed)-i)
				break
			}
			fmt.Fprintf(&b, "- %s\n", markdown(clip(gapLine(g), 500)))
		}
	}
	b.WriteByte('\n')
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the step summary: %w", err)
	}
	return nil
}
