package tenant

import (
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/source/azure"
)

// TestAFewClustersHavePoliciesInNameOnly: policies that deny have verdicts there, and what
// they should deny was let in. Every denial canary says what an agent would say of it.
func TestAFewClustersHavePoliciesInNameOnly(t *testing.T) {
	w := New(Options{Seed: 1, Now: testNow, Clusters: 200})
	b := azure.NewBuilder()
	if err := w.each(func(what string) bool { return what != cloud.ReadCosts && what != cloud.ReadAmortized }, b.Add); err != nil {
		t.Fatal(err)
	}
	observed := w.Observed()
	ev := govern.Evaluate(&govern.Input{Now: w.now.UnixNano(), Tenant: b.Snapshot().Tenant, Observed: observed})
	only := 0
	for i := range ev.Findings {
		if ev.Findings[i].Rule == govern.RuleInName {
			only++
		}
	}
	if only < 2 || only > 10 {
		t.Errorf("%d clusters have policies in name only", only)
	}
	denied, untold := 0, 0
	for i := range observed {
		for _, k := range observed[i].Canaries {
			switch {
			case k.Kind != govern.CanaryDenial:
			case k.NotAssessed != "":
				if k.Sent != 0 || k.Denied != 0 || k.By != "" {
					t.Errorf("not tried, and yet: %+v", k)
				}
			case k.Denied == k.Sent:
				denied++
				if k.By == "" || k.Answer == "" {
					t.Errorf("denied by nobody: %+v", k)
				}
			case k.By != "" || !strings.Contains(k.Answer, "let in"):
				t.Errorf("let in, and yet: %+v", k)
			}
			if k.Untold != "" {
				untold++
			}
		}
	}
	if denied == 0 || untold == 0 {
		t.Errorf("%d denied, %d untold", denied, untold)
	}
}
