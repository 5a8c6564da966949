package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// annotationsEach is how many annotations of each level GitHub keeps of one step; it
// drops what is beyond without a word.
const annotationsEach = 10

// GitHub writes workflow commands for GitHub Actions: at most 10 errors, 10 warnings and
// 10 notices, those of the highest rank, and all of it to Options.StepSummary where
// that is given. The last line says how many were left out.
func GitHub(w io.Writer, r *scan.Report, o Options) error {
	b := bufio.NewWriter(w)
	left := annotate(r, o, func(level string, is *issue) {
		if level == "note" {
			level = "notice"
		}
		title := is.rule
		if is.v == nil {
			title = is.title
		}
		properties := "title=" + githubProperty(clip(severityWord(is.severity)+": "+title, 200))
		if is.path != "" && is.v == nil {
			properties += ",file=" + githubProperty(clip(is.path, 500))
			if is.line > 0 {
				properties += fmt.Sprintf(",line=%d", is.line)
			}
		}
		fmt.Fprintf(b, "::%s %s::%s\n", level, properties, githubData(clip(is.text+" "+is.remedy, 1000)))
	})
	if r.Database.Built == 0 {
		fmt.Fprintf(b, "::warning title=not assessed::%s\n", githubData(totals(r)[0]))
	}
	if n := len(r.NotAssessed); n > 0 {
		fmt.Fprintf(b, "::warning title=not assessed::%s\n", githubData(clip(gapSummary(r), 1000)))
	}
	if len(o.Failed) > 0 {
		fmt.Fprintf(b, "::error title=gate failed::%s\n", githubData(clip(strings.Join(o.Failed, "; "), 1000)))
	}
	for _, s := range totals(r) {
		b.WriteString(plain(s) + "\n")
	}
	if left > 0 {
		fmt.Fprintf(b, "%d more are in the step summary and the other outputs.\n", left)
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write the annotations: %w", err)
	}
	if o.StepSummary != nil {
		return summary(o.StepSummary, r, o)
	}
	return nil
}

// annotate calls f for the issues that fit, in order, and returns how many did not.
// Places stay free for the gate and for what was not assessed.
func annotate(r *scan.Report, o Options, f func(level string, is *issue)) (left int) {
	used := map[string]int{}
	if len(o.Failed) > 0 {
		used["error"]++
	}
	if r.Database.Built == 0 {
		used["warning"]++
	}
	if len(r.NotAssessed) > 0 {
		used["warning"]++
	}
	all := issues(r, false)
	for i := range all {
		l := level(all[i].severity)
		if used[l] >= annotationsEach {
			left++
			continue
		}
		used[l]++
		f(l, &all[i])
	}
	return left
}

func gapSummary(r *scan.Report) string {
	var parts []string
	for i, g := range r.NotAssessed {
		if i == 3 {
			parts = append(parts, fmt.Sprintf("and %d more", len(r.NotAssessed)-i))
			break
		}
		parts = append(parts, gapLine(g))
	}
	return strings.Join(parts, "; ")
}

// githubData escapes the message of a workflow command.
func githubData(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(plain(s))
}

// githubProperty escapes a property of one.
func githubProperty(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(plain(s))
}
