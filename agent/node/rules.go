package node

import (
	"errors"
	"slices"

	"github.com/dockreeve/dockreeve/agent"
	"github.com/dockreeve/dockreeve/detect/rules"
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule"
)

// RuleSet chooses which rules a node runs. The zero value is Dockreeve's own pack.
type RuleSet struct {
	Paths     []string    // files and directories of the user's own, read after ours
	NoBuiltin bool        // leave our own pack out
	Disable   []string    // parts of rule names to switch off
	More      []rule.File // read after all others
}

// ErrNoRules says that a RuleSet names no file at all.
var ErrNoRules = errors.New("there are no rules to load")

// Load reads, resolves and compiles the rules. The diagnostics name everything that
// is wrong; rules without an error are in the set all the same. An error means that
// a path could not be read, or wraps ErrNoRules.
func (s RuleSet) Load() (*rule.Rules, []rule.Diagnostic, error) {
	var files []rule.File
	if !s.NoBuiltin {
		own, err := rules.Files()
		if err != nil {
			return nil, nil, err
		}
		files = own
	}
	read, err := rule.ReadPaths(s.Paths)
	if err != nil {
		return nil, nil, err
	}
	files = slices.Concat(files, read, s.More)
	if len(files) == 0 {
		return nil, nil, ErrNoRules
	}
	src, diags := rule.Load(files, rule.LoadOptions{ValidField: rule.ValidField})
	set, more := rule.Compile(src, rule.CompileOptions{Disable: s.Disable})
	diags = append(diags, more...)
	rule.SortDiagnostics(diags)
	return set, diags, nil
}

// setHash names a rule set by what its enabled rules do and say.
func setHash(set *rule.Rules) string { return agent.Hash(set) }

// elsewhere says why a node does not assess rules of a source; "" = it does.
func elsewhere(source string) string {
	if source == event.SourceSyscall.String() {
		return ""
	}
	return agent.AtCluster
}
