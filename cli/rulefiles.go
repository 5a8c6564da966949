package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/agent/node"
	"github.com/dockreeve/dockreeve/rule"
)

// ruleFlags choose which rules a command loads.
type ruleFlags struct {
	set node.RuleSet
	all bool
}

func (f *ruleFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&f.set.Paths, "rules", "r", nil, "also load this rule file or directory, after ours (may be repeated)")
	cmd.Flags().BoolVar(&f.set.NoBuiltin, "no-builtin-rules", false, "do not load Dockreeve's own rules")
	cmd.Flags().StringArrayVarP(&f.set.Disable, "disable", "D", nil, "disable rules whose name contains this text (may be repeated)")
	cmd.Flags().BoolVar(&f.all, "all-matches", false, "report every rule that matches an event, not only the first")
}

func (f *ruleFlags) mode() rule.Mode {
	if f.all {
		return rule.All
	}
	return rule.First
}

// load compiles the chosen rules and those of extra paths. Diagnostics say what is
// wrong with single rules; an error means that nothing could be loaded.
func (f *ruleFlags) load(extra ...string) (*rule.Rules, []rule.Diagnostic, error) {
	set := f.set
	set.Paths = append(append([]string(nil), set.Paths...), extra...)
	compiled, diags, err := set.Load()
	switch {
	case errors.Is(err, node.ErrNoRules):
		return nil, nil, withCode(exitUsage, "%w: give a file or directory with --rules, or leave out --no-builtin-rules", err)
	case err != nil:
		return nil, nil, withCode(exitFailed, "%w", err)
	}
	return compiled, diags, nil
}

func printDiagnostics(w io.Writer, diags []rule.Diagnostic) (errors, warnings int) {
	for _, d := range diags {
		fmt.Fprintln(w, clean(d.String()))
		if d.Severity == rule.SeverityError {
			errors++
		} else {
			warnings++
		}
	}
	return errors, warnings
}
