//go:build conformance

package rule

import (
	"fmt"
	"path/filepath"
	"slices"
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

// TestStockAuditRulesCompile does the same for the Kubernetes audit rules: every field
// in their conditions and outputs is supplied, so that each is assessed fully.
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
		if a := r.info.Assessment; a.State != AssessedFully && !a.Never {
			t.Errorf("%s: %+v", r.info.Name, a)
		}
		for _, v := range r.output.values {
			for _, u := range v.value.uses {
				if !u.field.Types.Has(event.TypePluginevent) {
					t.Errorf("%s: its output names %s, which nothing supplies", r.info.Name, u.name)
				}
			}
		}
	}
	if n := len(rules.All()); n < 45 {
		t.Errorf("only %d rules", n)
	}
}

// TestStockAuditRulesMatch runs them over a few requests: the first rule that matches
// is the one whose name says what happened.
func TestStockAuditRulesMatch(t *testing.T) {
	dir := cppsource.Dir(t, "DOCKREEVE_FALCO_PLUGINS")
	m := NewMatcher(compileFiles(t, readRules(t, filepath.Join(dir, "plugins", "k8saudit", "rules"))), All)
	const head = `{"auditID":"x","stage":"%s","level":"RequestResponse","sourceIPs":["203.0.113.9"],"user":{"username":"eve"},"responseStatus":{"code":%d},"annotations":{"authorization.k8s.io/decision":"allow"},`
	const done, begun = "ResponseComplete", "ResponseStarted"
	for _, c := range []struct {
		code int
		at   string
		doc  string
		want string
	}{
		{201, done, `"verb":"create","objectRef":{"resource":"pods","namespace":"shop"},"requestObject":{"spec":{"containers":[{"image":"busybox","securityContext":{"privileged":true}}]}}}`, "Create Privileged Pod"},
		{201, done, `"verb":"create","objectRef":{"resource":"pods","namespace":"shop"},"requestObject":{"spec":{"containers":[{"image":"busybox"}],"volumes":[{"hostPath":{"path":"/etc"}}]}}}`, "Create Sensitive Mount Pod"},
		{201, done, `"verb":"create","objectRef":{"resource":"pods","namespace":"shop"},"requestObject":{"spec":{"hostNetwork":true,"containers":[{"image":"busybox"}]}}}`, "Create HostNetwork Pod"},
		{201, done, `"verb":"create","objectRef":{"resource":"clusterrolebindings","name":"b"},"requestObject":{"roleRef":{"name":"cluster-admin"},"subjects":[]}}`, "Attach to cluster-admin Role"},
		{201, done, `"verb":"create","objectRef":{"resource":"roles","name":"r"},"requestObject":{"rules":[{"verbs":["*"],"resources":["*"]}]}}`, "ClusterRole With Wildcard Created"},
		{201, done, `"verb":"create","objectRef":{"resource":"roles","name":"r"},"requestObject":{"rules":[{"verbs":["create"],"resources":["pods/exec"]}]}}`, "ClusterRole With Pod Exec Created"},
		{201, done, `"verb":"create","objectRef":{"resource":"services","name":"s"},"requestObject":{"spec":{"type":"NodePort","ports":[{"port":1}]}}}`, "Create NodePort Service"},
		{101, begun, `"verb":"create","objectRef":{"resource":"pods","subresource":"exec","name":"p"},"requestURI":"/api/v1/namespaces/a/pods/p/exec?command=sh"}`, "Attach/Exec Pod"},
	} {
		ev := &event.Event{Type: event.TypePluginevent, Source: event.SourceK8sAudit, Time: 1e18, JSON: []byte(fmt.Sprintf(head, c.at, c.code) + c.doc)}
		if got := matches(m, ev); !slices.Contains(got, c.want) {
			t.Errorf("%s: got %q, not %q", c.doc, got, c.want)
		}
	}
}
