//go:build conformance

package rule

import (
	"path/filepath"
	"testing"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule/internal/cppsource"
)

// TestStockRulesCompile compiles Falco's own syscall rules from a checked-out tree:
// each has to compile, whatever is supplied.
func TestStockRulesCompile(t *testing.T) {
	dir := cppsource.Dir(t, "DOCKREEVE_FALCO_RULES")
	src, diags := Load(readRules(t, filepath.Join(dir, "rules")), LoadOptions{ValidField: ValidField})
	rules, more := Compile(src, CompileOptions{})
	for _, d := range append(diags, more...) {
		if d.Severity == SeverityError {
			t.Error(d)
		}
	}
	states := map[Assessed]int{}
	for _, r := range rules.All() {
		states[r.info.Assessment.State]++
		t.Logf("%-70s %d types, %s", r.info.Name, r.info.Types.Len(), r.info.Assessment.Reason)
	}
	t.Logf("%d rules: %v; %d nodes, %d tests, %d groups, %d instructions", len(rules.All()), states,
		len(rules.graph.nodes), len(rules.graph.tests), len(rules.program.groups), len(rules.program.code))
	if n := len(rules.All()); n < 90 {
		t.Errorf("only %d rules", n)
	}
	if s := rules.Types(event.SourceSyscall); !s.Has(event.TypeOpenat) {
		t.Error("no rule on openat")
	}
}

// TestStockAuditRulesCompile does the same for the Kubernetes audit rules; nothing
// supplies audit events yet, so each is not assessed.
func TestStockAuditRulesCompile(t *testing.T) {
	dir := cppsource.Dir(t, "DOCKREEVE_FALCO_PLUGINS")
	src, diags := Load(readRules(t, filepath.Join(dir, "plugins", "k8saudit", "rules")), LoadOptions{ValidField: ValidField})
	rules, more := Compile(src, CompileOptions{})
	for _, d := range append(diags, more...) {
		if d.Severity == SeverityError {
			t.Error(d)
		}
	}
	for _, r := range rules.All() {
		if a := r.info.Assessment; a.State != NotAssessed && !a.Never {
			t.Errorf("%s: %+v", r.info.Name, a)
		}
	}
	if n := len(rules.All()); n < 45 {
		t.Errorf("only %d rules", n)
	}
}
