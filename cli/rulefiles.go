package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/agent/node"
	"github.com/dockreeve/dockreeve/detect"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/rule"
)

// ruleFlags choose which rules a command loads.
type ruleFlags struct {
	set     node.RuleSet
	matches string
}

func (f *ruleFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&f.set.Paths, "rules", "r", nil, "also load this rule file or directory, after ours (may be repeated)")
	cmd.Flags().BoolVar(&f.set.NoBuiltin, "no-builtin-rules", false, "do not load Dockreeve's own rules")
	cmd.Flags().StringArrayVarP(&f.set.Disable, "disable", "D", nil, "disable rules whose name contains this text (may be repeated)")
}

// whichFlag is for commands that also run the rules.
func (f *ruleFlags) whichFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.matches, "matches", "severest", "of the rules that match one event report the severest, the first (as Falco does) or all")
}

func (f *ruleFlags) which() (detect.Which, error) {
	w, err := detect.ParseWhich(f.matches)
	if err != nil {
		return 0, withCode(exitUsage, "--matches: %w", err)
	}
	return w, nil
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

// pushedRules reads the rules of paths that a server sends down. What is wrong with them
// is an error: receivers would refuse them.
func pushedRules(paths []string) (link.RuleFiles, error) {
	files, err := rule.ReadPaths(paths)
	if err != nil {
		return link.RuleFiles{}, fmt.Errorf("--push-rules: %w", err)
	}
	var m link.RuleFiles
	sum := sha256.New()
	for _, f := range files {
		m.Files = append(m.Files, link.RuleFile{Name: filepath.Base(f.Name), Text: string(f.Data)})
		fmt.Fprintf(sum, "%d %s %d ", len(filepath.Base(f.Name)), filepath.Base(f.Name), len(f.Data))
		sum.Write(f.Data)
	}
	m.Hash = hex.EncodeToString(sum.Sum(nil)[:12])
	if _, err := (node.RuleSet{}).With(m); err != nil {
		return link.RuleFiles{}, fmt.Errorf("--push-rules: %w", err)
	}
	return m, nil
}

// pushing is pushedRules for a server's link; nil where there are no paths.
func pushing(paths []string) func() (link.RuleFiles, error) {
	if len(paths) == 0 {
		return nil
	}
	return func() (link.RuleFiles, error) { return pushedRules(paths) }
}
