package cluster

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/detect/rules"
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/rule"
	"github.com/dockreeve/dockreeve/source/kubeaudit"
)

// TestRulesOfTheHub: a good set judges every cluster's next event, a bad one changes
// nothing and is told.
func TestRulesOfTheHub(t *testing.T) {
	s := &sink{}
	a := agentWith(t, s, nil)
	a.Way("file")
	names := func() (out []string) {
		t.Helper()
		for _, b := range s.kind(link.KindFinding) {
			var f finding.Finding
			if err := json.Unmarshal(b, &f); err != nil {
				t.Fatal(err)
			}
			out = append(out, f.Rule.Name+" @"+f.Subject.Cluster)
		}
		return out
	}
	status := func() (st link.Status) {
		t.Helper()
		if err := a.sendStatus(t.Context()); err != nil {
			t.Fatal(err)
		}
		all := s.kind(link.KindStatus)
		if err := json.Unmarshal(all[len(all)-1], &st); err != nil {
			t.Fatal(err)
		}
		return st
	}
	load := func(m link.RuleFiles) (*rule.Rules, error) {
		if m.Hash == "bad" {
			return nil, errors.New("x.yaml:3: no such field")
		}
		files, err := rules.Files()
		if err != nil {
			return nil, err
		}
		for _, f := range m.Files {
			files = append(files, rule.File{Name: f.Name, Data: []byte(f.Text)})
		}
		src, _ := rule.Load(files, rule.LoadOptions{ValidField: rule.ValidField})
		set, _ := rule.Compile(src, rule.CompileOptions{})
		return set, nil
	}
	ask := func(id, cluster string) {
		t.Helper()
		if err := a.event(request(id, "jo", "get", "pods", "shop"), kubeaudit.Source{Cluster: cluster}); err != nil {
			t.Fatal(err)
		}
	}
	ask("a", "")
	ask("bb", "other")
	if got := names(); len(got) != 0 {
		t.Fatalf("before anything was sent: %q", got)
	}
	own := status().RulesHash
	a.judge.loss(event.Loss{Hop: "audit", Reason: "cut", Lane: event.LaneAudit, Count: 2, From: 1_790_000_000e9 - 1e9, To: 1_790_000_000e9 - 1})
	a.Rules(link.RuleFiles{Hash: "h", Files: []link.RuleFile{{Name: "x.yaml", Text: `- rule: Jo asks
  desc: a test
  condition: ka.user.name = jo
  output: jo asks
  priority: CRITICAL
  source: k8s_audit
`}}}, load)
	ask("ccc", "")
	ask("dddd", "other")
	ask("eeeee", "third")
	if got := strings.Join(names(), ", "); got != "Jo asks @prod, Jo asks @other, Jo asks @third" {
		t.Fatalf("with the rule that was sent: %s", got)
	}
	var f finding.Finding
	if err := json.Unmarshal(s.kind(link.KindFinding)[0], &f); err != nil || len(f.Losses) != 1 {
		t.Errorf("the loss before the change is forgotten: %+v %v", f.Losses, err)
	}
	good := status().RulesHash
	if good == own || own == "" || len(s.kind(link.KindRules)) != 1 {
		t.Fatalf("rules %q after %q, told %d times", good, own, len(s.kind(link.KindRules)))
	}
	a.Rules(link.RuleFiles{Hash: "bad"}, load)
	ask("ffffff", "")
	st := status()
	said := false
	for _, g := range st.Gaps {
		said = said || g.What == "rules sent from above" && strings.Contains(g.Reason, "x.yaml:3") && g.Remedy != ""
	}
	if got := names(); !said || st.RulesHash != good || len(got) != 4 {
		t.Errorf("after a bad set: told %v, rules %q of %q, findings %q", said, st.RulesHash, good, got)
	}
	a.Rules(link.RuleFiles{}, load)
	ask("ggggggg", "")
	if got := names(); len(got) != 4 || status().RulesHash != own {
		t.Errorf("after it was taken back: %q", got)
	}
}

// TestNewRulesDoNotWaitForTheLink: the goroutine that brings rules is the one that hears
// acknowledgements; were it to wait for a judge that waits for room, both would for ever.
func TestNewRulesDoNotWaitForTheLink(t *testing.T) {
	a := agentWith(t, &sink{}, nil)
	a.judge.mu.Lock() // as it is while a finding waits for room
	defer a.judge.mu.Unlock()
	a.Rules(link.RuleFiles{Hash: "x"}, func(link.RuleFiles) (*rule.Rules, error) {
		set, _ := rule.Compile(&rule.Source{}, rule.CompileOptions{})
		return set, nil
	})
	if a.judge.next.Load() == nil {
		t.Error("the rules are not handed over")
	}
}
