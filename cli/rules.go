package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule"
	"github.com/dockreeve/dockreeve/rule/filter"
)

func newRules() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Check, list, explain, format and replay rules",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		// These commands have nothing to tidy up, and may wait on a pipe or work on a
		// huge file: the first interrupt ends them.
		PersistentPreRun: func(*cobra.Command, []string) { signal.Reset(os.Interrupt, syscall.SIGTERM) },
	}
	cmd.AddCommand(newRulesCheck(), newRulesList(), newRulesExplain(), newRulesFmt(), newRulesReplay())
	return cmd
}

func newRulesCheck() *cobra.Command {
	var f ruleFlags
	var output string
	var warningsFail bool
	cmd := &cobra.Command{
		Use:   "check [FILE|DIR]...",
		Short: "Say what is wrong with rule files, by file, line and column",
		Long: `Load rule files as the sensor would and say everything that is wrong with them.
Without an argument our own rules are checked. Files of Falco load unchanged.

Exits with 1 when a file has an error. A rule that is in order but cannot fire yet,
because nothing supplies a field it needs, is no error: it is listed as not assessed.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(output, "text", "json"); err != nil {
				return err
			}
			f.set.NoBuiltin = f.set.NoBuiltin || len(args) > 0
			set, diags, err := f.load(args...)
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			var bad, warn int
			if output == "json" {
				for _, d := range diags {
					if d.Severity == rule.SeverityError {
						bad++
					} else {
						warn++
					}
				}
				if diags == nil {
					diags = []rule.Diagnostic{}
				}
				if err := writeJSON(w, map[string]any{"errors": bad, "warnings": warn, "rules": len(set.All()), "diagnostics": diags}); err != nil {
					return err
				}
			} else {
				bad, warn = printDiagnostics(w, diags)
				for _, r := range set.All() {
					if i := r.Info(); i.Enabled && i.Assessment.State != rule.AssessedFully {
						fmt.Fprintf(w, "%s:%d: rule %q: %s\n", clean(i.File), i.Line, clean(i.Name), clean(ruleState(i)))
					}
				}
				watching, partly, blind := assessed(set)
				off := len(set.All()) - watching - partly - blind
				fmt.Fprintf(w, "%d rules loaded: %d watching, %d partly, %d not assessed yet, %d disabled; %d errors, %d warnings\n",
					len(set.All()), watching, partly, blind, off, bad, warn)
			}
			if bad > 0 || warningsFail && warn > 0 {
				return &exitError{exitFindings, errors.New("")}
			}
			return nil
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	cmd.Flags().BoolVar(&warningsFail, "strict", false, "exit with 1 on warnings too")
	return cmd
}

// assessed counts enabled rules by how much of them can be judged today.
func assessed(set *rule.Rules) (watching, partly, blind int) {
	for _, r := range set.All() {
		info := r.Info()
		switch {
		case !info.Enabled:
		case info.Assessment.State == rule.NotAssessed:
			blind++
		case info.Assessment.State == rule.AssessedPartly:
			partly++
		default:
			watching++
		}
	}
	return
}

// onAPIServer counts those of the rules that assessed counts as watching which judge audit
// events.
func onAPIServer(set *rule.Rules) (n int) {
	for _, r := range set.All() {
		if i := r.Info(); i.Enabled && i.Source == event.SourceK8sAudit.String() && i.Assessment.State == rule.AssessedFully {
			n++
		}
	}
	return n
}

func newRulesList() *cobra.Command {
	var f ruleFlags
	var output string
	cmd := &cobra.Command{
		Use:   "list [FILE|DIR]...",
		Short: "List rules and whether each can fire today",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(output, "table", "json"); err != nil {
				return err
			}
			set, diags, err := f.load(args...)
			if err != nil {
				return err
			}
			printDiagnostics(cmd.ErrOrStderr(), errorsOnly(diags))
			w := cmd.OutOrStdout()
			if output == "json" {
				infos := []*rule.Info{}
				for _, r := range set.All() {
					infos = append(infos, r.Info())
				}
				return writeJSON(w, infos)
			}
			tw := columns(w)
			fmt.Fprintln(tw, "ID\tPRIORITY\tSTATE\tNAME")
			for _, r := range set.All() {
				i := r.Info()
				fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", clean(i.ID), i.Priority, ruleState(i), clean(i.Name))
			}
			return tw.Flush()
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}

func ruleState(i *rule.Info) string {
	switch {
	case !i.Enabled:
		return "disabled"
	case i.Assessment.State == rule.NotAssessed:
		return "not assessed: " + clean(i.Assessment.Reason)
	case i.Assessment.State == rule.AssessedPartly:
		return "partly: " + clean(i.Assessment.Reason)
	}
	return "watching"
}

func errorsOnly(diags []rule.Diagnostic) []rule.Diagnostic {
	var out []rule.Diagnostic
	for _, d := range diags {
		if d.Severity == rule.SeverityError {
			out = append(out, d)
		}
	}
	return out
}

func newRulesExplain() *cobra.Command {
	var f ruleFlags
	cmd := &cobra.Command{
		Use:   "explain RULE",
		Short: "Show a rule as the engine sees it: expanded, with what it needs and what to do",
		Long:  "RULE is an id or a name. The condition is printed after macros, lists and exceptions were put in.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, diags, err := f.load()
			if err != nil {
				return err
			}
			printDiagnostics(cmd.ErrOrStderr(), errorsOnly(diags))
			var near []string
			for _, r := range set.All() {
				i := r.Info()
				if i.ID == args[0] || strings.EqualFold(i.Name, args[0]) {
					return explainRule(cmd.OutOrStdout(), r)
				}
				if strings.Contains(strings.ToLower(i.ID+" "+i.Name), strings.ToLower(args[0])) {
					near = append(near, i.ID)
				}
			}
			if len(near) > 0 {
				return withCode(exitUsage, "no rule is called %q; did you mean %s?", args[0], clean(strings.Join(near, ", ")))
			}
			return withCode(exitUsage, "no rule is called %q; \"dockreeve rules list\" names them all", args[0])
		},
	}
	f.flags(cmd)
	return cmd
}

func explainRule(w io.Writer, r *rule.Rule) error {
	i := r.Info()
	p := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	p("%s  (%s, %s)", clean(i.Name), clean(i.ID), i.Priority)
	p("%s:%d", clean(i.File), i.Line)
	p("\n%s", clean(strings.Join(strings.Fields(i.Desc), " ")))
	p("\nstate       %s", ruleState(i))
	p("ATT&CK      %s  %s", orDash(clean(strings.Join(i.Tactics, ", "))), clean(strings.Join(i.Techniques, " ")))
	p("answers     %s", orDash(clean(strings.Join(i.Answers, ", "))))
	var types []string
	for t := range i.Types.All() {
		types = append(types, t.String())
	}
	p("event types %s", orDash(strings.Join(types, " ")))
	p("fields      %s", clean(strings.Join(i.Fields, " ")))
	p("\ncondition, expanded:\n%s", indentText(strings.Join(cleanAll(strings.Split(filter.Pretty(r.Resolved().Condition, 100), "\n")), "\n"), "  "))
	if len(i.Response) > 0 {
		p("\nwhat to do")
		for n, s := range i.Response {
			p("  %d. %s", n+1, clean(s))
		}
	}
	return nil
}

func indentText(s, by string) string {
	return by + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n"+by)
}

func newRulesFmt() *cobra.Command {
	var write, list bool
	cmd := &cobra.Command{
		Use:   "fmt FILE...",
		Short: "Print rule files in the canonical form, or rewrite them with -w",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			differ := false
			for _, name := range args {
				files, err := rule.ReadPaths([]string{name})
				if err != nil {
					return withCode(exitFailed, "%w", err)
				}
				for _, file := range files {
					out, err := rule.FormatFile(file)
					if err != nil {
						return withCode(exitFailed, "%w", err)
					}
					same := string(out) == string(file.Data)
					differ = differ || !same
					switch {
					case list:
						if !same {
							fmt.Fprintln(cmd.OutOrStdout(), clean(file.Name))
						}
					case write:
						if !same {
							if err := os.WriteFile(file.Name, out, 0o644); err != nil {
								return withCode(exitFailed, "%w", err)
							}
						}
					default:
						if _, err := cmd.OutOrStdout().Write(out); err != nil {
							return err
						}
					}
				}
			}
			if list && differ {
				return &exitError{exitFindings, errors.New("")}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&write, "write", "w", false, "write the result back to the file")
	cmd.Flags().BoolVarP(&list, "list", "l", false, "only name files whose form differs; exit with 1 if there are any")
	return cmd
}

func writeJSON(w io.Writer, v any) error {
	return encodeJSON(w, v, "  ")
}

func writeJSONLine(w io.Writer, v any) error { return encodeJSON(w, v, "") }

func encodeJSON(w io.Writer, v any, indent string) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", indent)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(cleanJSON(b.Bytes()))
	return err
}
