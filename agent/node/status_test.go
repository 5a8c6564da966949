package node

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/agent"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/rule"
)

// Whoever can make a finding long must not be able to make it vanish, or stop the node.
func TestFindingsAreCutToFitAnEnvelope(t *testing.T) {
	long := strings.Repeat("\x01", 300<<10)
	f := finding.Finding{ID: "a", Summary: long, Output: long, Event: json.RawMessage("{}"), Lineage: make([]finding.Process, 24)}
	f.Rule = finding.Rule{ID: "r", Desc: long, Response: []string{long}}
	b, err := encode(&f)
	if err != nil || len(b) > link.MaxBytes {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	var back finding.Finding
	if err := json.Unmarshal(b, &back); err != nil || back.ID != "a" || !strings.HasSuffix(back.Summary, "too large to send)") {
		t.Fatalf("%v: %.100q", err, back.Summary)
	}
	f.Subject.Object = strings.Repeat("x", link.MaxBytes)
	if _, err := encode(&f); !errors.Is(err, link.ErrTooBig) {
		t.Fatalf("%v, want ErrTooBig", err)
	}
}

// sent keeps what a node sends.
type sent map[link.Kind][]byte

func (s sent) Send(_ context.Context, _ link.Lane, kind link.Kind, payload []byte) error {
	s[kind] = payload
	return nil
}

// A node sees no API server: rules on one are not counted as watching there, and say so.
func TestRulesOnTheAPIServerAreNotTheNodes(t *testing.T) {
	set, diags, err := RuleSet{NoBuiltin: true, More: []rule.File{{Name: "r.yaml", Data: []byte(`
- {rule: shells, desc: d, condition: evt.type = execve and proc.name = sh, output: o, priority: NOTICE}
- {rule: execs, desc: d, source: k8s_audit, condition: ka.verb = create, output: o, priority: NOTICE}
`)}}}.Load()
	if err != nil || len(diags) > 0 {
		t.Fatal(err, diags)
	}
	s := sent{}
	n, err := New(Options{Name: "n", Rules: set, Sender: s})
	if err != nil {
		t.Fatal(err)
	}
	if st := n.Status(); st.RulesWatching != 1 || st.RulesNotAssessed != 0 || len(st.Gaps) > 0 {
		t.Errorf("%d watching, %d not assessed, gaps %v; want 1, 0 and none", st.RulesWatching, st.RulesNotAssessed, st.Gaps)
	}
	if err := n.sendRules(); err != nil {
		t.Fatal(err)
	}
	var told link.RuleSet
	err = json.Unmarshal(s[link.KindRules], &told)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range told.Rules {
		if want := map[string]string{"shells": "", "execs": agent.AtCluster}[r.Name]; r.NotAssessed != want {
			t.Errorf("%s: %q, want %q", r.Name, r.NotAssessed, want)
		}
	}
}
