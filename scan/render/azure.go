package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// AzurePipelines writes logging commands for Azure Pipelines: at most 10 errors and 10
// warnings (which stands for notices too: there is nothing below), those of the highest
// rank, and how many were left out. It never ends the task: the exit code does.
func AzurePipelines(w io.Writer, r *scan.Report, o Options) error {
	b := bufio.NewWriter(w)
	log := func(level, code, path string, line int, text string) {
		if level != "error" {
			level = "warning"
		}
		fmt.Fprintf(b, "##vso[task.logissue type=%s", level)
		if path != "" {
			fmt.Fprintf(b, ";sourcepath=%s", azureProperty(clip(path, 500)))
			if line > 0 {
				fmt.Fprintf(b, ";linenumber=%d", line)
			}
		}
		if code != "" {
			fmt.Fprintf(b, ";code=%s", azureProperty(clip(code, 100)))
		}
		fmt.Fprintf(b, ";]%s\n", azureData(clip(text, 1000)))
	}
	left := annotate(r, o, func(level string, is *issue) {
		path := is.path
		if is.v != nil {
			path = ""
		}
		log(level, is.rule, path, is.line, severityWord(is.severity)+" "+is.rule+": "+is.text+" "+is.remedy)
	})
	if r.Database.Built == 0 {
		log("warning", "not-assessed", "", 0, totals(r)[0])
	}
	if len(r.NotAssessed) > 0 {
		log("warning", "not-assessed", "", 0, "not assessed: "+gapSummary(r))
	}
	if len(o.Failed) > 0 {
		log("error", "gate", "", 0, "gate failed: "+strings.Join(o.Failed, "; "))
	}
	for _, s := range totals(r) {
		b.WriteString(plain(s) + "\n")
	}
	if left > 0 {
		fmt.Fprintf(b, "%d more are in the other outputs.\n", left)
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write the issues: %w", err)
	}
	return nil
}

// azureData escapes the message of a logging command.
func azureData(s string) string {
	return strings.NewReplacer("%", "%AZP25", "\r", "%0D", "\n", "%0A").Replace(plain(s))
}

// azureProperty escapes a property of one.
func azureProperty(s string) string {
	return strings.NewReplacer("%", "%AZP25", "\r", "%0D", "\n", "%0A", "]", "%5D", ";", "%3B").Replace(plain(s))
}
