package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/dockreeve/dockreeve/govern"
)

// cell guards text against being taken for a formula by a spreadsheet: what begins like
// one gets an apostrophe before it.
func cell(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if t := strings.TrimLeft(s, " \u00a0"); t != "" && strings.ContainsRune("=+-@\t\r\n|%", rune(t[0])) {
		return "'" + s
	}
	return s
}

var csvHeader = []string{"section", "id", "title", "state", "n", "of", "unknown", "goal", "value", "unit", "kind", "name", "resource", "owner", "why", "do", "rule", "note"}

// writeCSV writes one table: a row for each number, and below it a row for each line of
// its evidence, with the same section and id.
func writeCSV(w io.Writer, d *document) error {
	out := csv.NewWriter(w)
	row := func(cells map[string]string) {
		line := make([]string, len(csvHeader))
		for i, h := range csvHeader {
			line[i] = cell(cells[h])
		}
		out.Write(line) // the error is kept, and returned by Error
	}
	out.Write(csvHeader)
	row(map[string]string{"section": "about", "title": d.Title, "name": d.Name, "value": d.At, "note": join(d.Headline, d.TenantAt, d.Version)})
	checks := func(section string, list []check) {
		for _, c := range list {
			row(map[string]string{"section": section, "id": c.ID, "title": c.Title, "state": c.State, "n": strconv.Itoa(c.N), "of": strconv.Itoa(c.Of), "unknown": strconv.Itoa(c.Unknown),
				"goal": decimal(c.Goal), "why": c.Why, "rule": c.Rule, "note": c.Note})
			for _, e := range c.Evidence {
				row(map[string]string{"section": section, "id": c.ID, "title": c.Title, "state": "evidence", "kind": e.Kind, "name": e.Name, "resource": e.ID, "why": e.Why, "do": e.Do})
			}
			if c.More > 0 {
				row(map[string]string{"section": section, "id": c.ID, "title": c.Title, "state": "evidence", "note": fmt.Sprintf("%d more are not listed", c.More)})
			}
		}
	}
	checks("playbook", d.Checks)
	for _, k := range d.KPIs {
		state, value := "assessed", ""
		if k.raw == nil {
			state = govern.CheckNotAssessed
		} else {
			value = strconv.FormatFloat(*k.raw, 'f', -1, 64)
		}
		num := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
		row(map[string]string{"section": "kpi", "id": k.ID, "title": k.Title, "state": state, "n": num(k.n), "of": num(k.of), "value": value, "unit": k.Unit, "why": k.Why, "rule": k.Rule, "note": join(k.Note, k.Change)})
		for _, s := range slices.Concat(k.By, k.Rest) {
			var parts []string
			for i, c := range s.Cells {
				parts = append(parts, k.Columns[i]+" "+c)
			}
			row(map[string]string{"section": "kpi", "id": k.ID, "title": k.Title, "state": "evidence", "name": s.Name, "note": strings.Join(parts, "; ")})
		}
		for _, p := range k.Trend {
			row(map[string]string{"section": "kpi", "id": k.ID, "title": k.Title, "state": "trend", "name": date(p.At), "value": num(p.Value), "of": num(p.Of)})
		}
	}
	checks("pitfall", d.Pitfalls)
	for _, r := range d.Recommendations {
		row(map[string]string{"section": "recommendation", "id": r.ID, "title": r.Title, "state": r.Severity, "n": strconv.Itoa(r.Count), "value": strconv.FormatFloat(r.Rank, 'f', -1, 64), "unit": "rank",
			"owner": r.Owner, "why": r.Recommendation.Why, "do": strings.Join(r.Do, " "), "note": join("due "+r.Due, r.Sources, r.Disagree), "name": r.Where})
	}
	if d.MoreRecommendations > 0 {
		row(map[string]string{"section": "recommendation", "note": fmt.Sprintf("%d more of lower rank are not listed", d.MoreRecommendations)})
	}
	for _, f := range d.Findings {
		row(map[string]string{"section": "finding", "id": f.Rule, "title": f.Summary, "state": f.Severity, "owner": f.Owner})
	}
	if d.MoreFindings > 0 {
		row(map[string]string{"section": "finding", "note": fmt.Sprintf("%d more are not listed", d.MoreFindings)})
	}
	for _, g := range d.Gaps {
		row(map[string]string{"section": "gap", "title": g.What, "why": g.Reason, "do": g.Remedy})
	}
	out.Flush()
	return out.Error()
}

func join(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, "; ")
}

var markdown = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "|", `\|`, "#", `\#`, "~", `\~`, "!", `\!`, "\n", " ", "\r", " ")

// md escapes text so that it stays text.
func md(s string) string { return markdown.Replace(strings.ToValidUTF8(s, "\uFFFD")) }

// code sets text as code: nothing in it is markup.
func code(s string) string {
	return "`` " + strings.NewReplacer("`", "'", "\n", " ", "\r", " ").Replace(strings.ToValidUTF8(s, "\uFFFD")) + " ``"
}

// writeMarkdown writes the playbook for a wiki or a pull request.
func writeMarkdown(w io.Writer, d *document) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# %s\n", md(d.Title))
	line("%s\n", md(join(d.Name, "evaluated "+d.At, d.TenantAt, d.Version)))
	line("**%s**\n", md(d.Headline))
	checks := func(title string, list []check) {
		line("## %s\n", title)
		line("| state | item | counted |\n|---|---|---|")
		for _, c := range list {
			line("| %s | %s | %s |", md(c.Word), md(c.Title), md(c.Count))
		}
		for _, c := range list {
			line("\n### %s: %s\n", md(c.Title), md(c.Word))
			line("%s. Rule: %s.\n", md(join(c.Count, c.Why, c.Note)), md(c.Rule))
			for _, e := range c.Evidence {
				text := md(e.Kind) + " **" + md(e.Name) + "**: " + md(e.Why)
				if e.Do != "" {
					text += " → " + code(e.Do)
				}
				line("- %s", text)
			}
			if c.More > 0 {
				line("- and %d more", c.More)
			}
		}
		line("")
	}
	checks("Checklist", d.Checks)
	line("## Numbers\n")
	for _, k := range d.KPIs {
		line("### %s: %s\n", md(k.Title), md(strings.TrimSpace(k.Value+" "+k.Unit)))
		line("%s. Rule: %s.\n", md(join(k.Count, k.Why, k.Change, k.Note)), md(k.Rule))
		if len(k.By) > 0 {
			line("| | %s |\n|---%s|", md2(k.Columns), strings.Repeat("|---:", len(k.Columns)))
			for _, s := range k.By {
				line("| %s | %s |", md(s.Name), md2(s.Cells))
			}
			if k.More > 0 {
				line("\nand %d more", k.More)
			}
			line("")
		}
	}
	checks("Pitfalls", d.Pitfalls)
	line("## What to do first\n")
	for i, r := range d.Recommendations {
		line("%d. **%s** (%s, %s, due %s): %s at %s. %s", i+1, md(r.Title), md(r.Severity), md(r.Owner), md(r.Due), md(r.Sources), md(r.Where), md(join(r.Recommendation.Why, r.Disagree)))
	}
	line("\n%s", md(d.tail()))
	if len(d.Findings) > 0 {
		line("\n## Findings\n")
		for _, f := range d.Findings {
			line("- %s, %s: %s", md(f.Severity), md(f.Owner), md(f.Summary))
		}
	}
	line("\n## What this does not say\n")
	for _, g := range d.Gaps {
		line("- %s: %s", md(g.What), md(join(g.Reason, g.Remedy)))
	}
	if len(d.Gaps) == 0 {
		line("No gap was told of.")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func md2(cells []string) string {
	var out []string
	for _, c := range cells {
		out = append(out, md(c))
	}
	return strings.Join(out, " | ")
}

// tail says what the list of recommendations leaves out.
func (d *document) tail() string {
	if d.MoreRecommendations == 0 {
		return fmt.Sprintf("All that are open are listed. Verified as fixed in the last 30 days: %d.", d.Fixed)
	}
	return fmt.Sprintf("Of lower rank and not listed: %d. Verified as fixed in the last 30 days: %d.", d.MoreRecommendations, d.Fixed)
}
