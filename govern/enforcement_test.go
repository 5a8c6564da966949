package govern

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// TestWhatTheAPIServerDeniesGoesBeforeWhatIsSaid holds the fourth row to the canary that
// must be denied, beside everything that Azure may say.
func TestWhatTheAPIServerDeniesGoesBeforeWhatIsSaid(t *testing.T) {
	const id = "/subscriptions/s/resourcegroups/g/providers/microsoft.containerservice/managedclusters/c"
	hour := int64(time.Hour)
	denied := Canary{Kind: CanaryDenial, Sent: testNow - hour, Denied: testNow - hour, Seen: testNow - hour, By: "admission webhook validate.example", Answer: "no"}
	through := Canary{Kind: CanaryDenial, Sent: testNow - hour, Seen: testNow - hour, Denied: testNow - 9*hour, Answer: "let in by everyone but the quota"}
	old := denied
	old.Sent, old.Denied = testNow-60*hour, testNow-60*hour
	hiccup := denied
	hiccup.NotAssessed = "a webhook does not answer"
	yes := true
	gate := cloud.Cluster{DefenderGating: &yes}
	deny := []cloud.PolicyState{{Resource: id, State: "NonCompliant", Action: "deny", Definition: "/d/pods"}, {Resource: id, State: "Compliant", Action: "audit"},
		{Resource: id, State: "Compliant", Action: "deny", Definition: "/d/resource"}, {Resource: id, State: "Compliant", Action: "deny", Definition: "/d/unread"}} // these judge the cluster as a resource, as far as is known
	audit := []cloud.PolicyState{{Resource: id, State: "Compliant", Action: "audit"}}
	for _, c := range []struct {
		name     string
		canary   *Canary
		addon    bool
		states   []cloud.PolicyState
		cluster  cloud.Cluster
		provider string
		state    string
		says     string
		proof    string
		found    bool
	}{
		{"nothing, no canary", nil, false, nil, cloud.Cluster{}, "", RowNotAssessed, "no canary was sent", "", false},
		{"nothing, denied", &denied, false, nil, cloud.Cluster{}, "", RowClosed, "is denied by admission webhook validate.example", "denied 60 min ago by admission webhook validate.example", false},
		{"nothing, let in", &through, false, nil, cloud.Cluster{}, "", RowOpen, "nobody denied it (let in by everyone but the quota)", "", false},
		{"nothing, not tried", &Canary{Kind: CanaryDenial, NotAssessed: "no right"}, false, nil, cloud.Cluster{}, "", RowNotAssessed, "no right", "", false},
		{"nothing, denied long ago", &old, false, nil, cloud.Cluster{}, "", RowNotAssessed, "validate.example denied last 2 days ago, and nobody tried since", "", false},
		{"denied, then not assessed", &hiccup, false, nil, cloud.Cluster{}, "", RowClosed, "is denied by", "denied 60 min ago", false},
		{"the add-on, no canary", nil, true, audit, cloud.Cluster{}, "", RowNotAssessed, "1 verdicts on the cluster, 0 of them not compliant", "", false},
		{"the add-on that denies, no canary", nil, true, deny, cloud.Cluster{}, "", RowNotAssessed, "1 verdicts of policies that deny; that they do is not proven", "", false},
		{"the add-on, denied", &denied, true, deny, cloud.Cluster{}, "", RowClosed, "is denied by", "denied 60 min ago by", false},
		{"the add-on that denies, let in", &through, true, deny, cloud.Cluster{}, "", RowOpen, "although the Azure Policy add-on runs, with 1 verdicts of policies that deny", "", true},
		{"the add-on that audits, let in", &through, true, audit, cloud.Cluster{}, "", RowOpen, "although the Azure Policy add-on runs (", "", false},
		{"the gate, no canary", nil, false, nil, gate, "", RowClosed, "Defender's gate", "securityGating", false},
		{"the gate, let in", &through, false, nil, gate, "", RowOpen, "although Defender's gate is on, which judges images only", "", false},
		{"the gate, denied by another", &denied, false, nil, gate, "", RowClosed, "; Defender's gate judges", "denied 60 min ago", false},
		{"denied, and only Defender counts", &denied, false, nil, cloud.Cluster{}, "defender", RowClosed, "is denied by", "denied 60 min ago", false},
		{"denied, and only we count", &denied, false, nil, cloud.Cluster{}, "dockreeve", RowClosed, "is denied by", "denied 60 min ago", false},
		{"a node's word", &Canary{Kind: CanaryDenial, Node: "n1", Sent: testNow, Denied: testNow, By: "n1"}, false, nil, cloud.Cluster{}, "", RowNotAssessed, "no canary was sent", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cluster.ID, c.cluster.Name, c.cluster.Kind, c.cluster.Subscription, c.cluster.PolicyAddon = id, "c", cloud.KindAKS, "/subscriptions/s", &c.addon
			o := Observed{Cluster: "c", ID: id, Agent: "1", LastWord: testNow, Nodes: 1, NodesWatched: 1}
			if c.canary != nil {
				o.Canaries = []Canary{*c.canary}
			}
			ev := Evaluate(&Input{Now: testNow, Config: Config{Provider: c.provider}, Observed: []Observed{o}, Tenant: &cloud.Tenant{Collected: testNow - hour, Finished: testNow - hour,
				Subscriptions: []cloud.Subscription{{ID: "/subscriptions/s", Name: "s", Plan: &cloud.Plan{Standard: true}}}, Clusters: []cloud.Cluster{c.cluster}, States: c.states, Definitions: []cloud.Definition{{ID: "/D/Pods", Inside: true}, {ID: "/d/resource"}}}})
			r := ev.Clusters[0].Enforcement
			if r.State != c.state || !strings.Contains(r.Why, c.says) || !strings.Contains(r.Proof, c.proof) || (r.State == RowClosed) != (r.Proof != "" && len(r.By) > 0) || r.State != RowClosed && r.Do == "" {
				t.Errorf("%+v", r)
			}
			if found := slices.ContainsFunc(ev.Findings, func(f Finding) bool { return f.Rule == RuleInName }); found != c.found {
				t.Errorf("the finding: %v", found)
			}
		})
	}
}

// TestADenialWithoutAuditIsNotOverdue: who denied, the answer says; that the audit log
// does not tell of it is overdue only where somebody watches.
func TestADenialWithoutAuditIsNotOverdue(t *testing.T) {
	k := Canary{Kind: CanaryDenial, Sent: testNow, Denied: testNow, By: "a webhook", Answer: "no"}
	for untold, want := range map[string]bool{"": true, "nobody watches": false} {
		k.Untold = untold
		ev := Evaluate(&Input{Now: testNow, Observed: []Observed{{Cluster: "c", Agent: "1", LastWord: testNow, Canaries: []Canary{k}}}})
		got := slices.ContainsFunc(ev.Findings, func(f Finding) bool { return f.Rule == RuleCanary && strings.Contains(f.Key, "denial") })
		if got != want || ev.Clusters[0].Enforcement.State != RowClosed {
			t.Errorf("untold %q: overdue %v, %+v", untold, got, ev.Clusters[0].Enforcement)
		}
	}
}
