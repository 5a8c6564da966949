package governance

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/store"
)

// Rights that expire for a day: alerts of what cannot be read are not told to be over, and
// are not told again once it can.
func TestWhatCannotBeReadIsNotOver(t *testing.T) {
	f := open(t, Options{})
	readable := func() *cloud.Tenant {
		t := unowned()
		t.Subscriptions[0].Plan = &cloud.Plan{}
		t.Collected, t.Finished = f.now(), f.now()
		for _, what := range []string{cloud.ReadSubscriptions, cloud.ReadClusters, cloud.ReadArc, cloud.ReadRegistries, cloud.ReadPlan, cloud.ReadRoles} {
			t.Reads = append(t.Reads, cloud.Read{What: what, Outcome: cloud.ReadOK})
		}
		return t
	}
	f.judge(t, readable())
	before := map[string]store.Alert{}
	for _, rule := range []string{govern.RuleUnowned, govern.RulePlanOff} {
		before[rule] = f.alert(t, rule)
	}
	f.clock.Advance(24 * time.Hour)
	blind := readable()
	blind.Clusters, blind.Subscriptions[0].Plan = nil, nil
	for _, what := range []string{cloud.ReadClusters, cloud.ReadPlan} {
		blind.Reads = append(blind.Reads, cloud.Read{What: what, Scope: "/subscriptions/s", Outcome: cloud.ReadDenied})
	}
	if out := f.judge(t, blind); out.Raised.Gone != 0 {
		t.Errorf("%+v: what cannot be read is told to be over", out.Raised)
	}
	if a := f.alert(t, govern.RuleUnread); a.Severity != finding.Medium {
		t.Errorf("%+v", a)
	}
	f.clock.Advance(24 * time.Hour)
	if out := f.judge(t, readable()); out.Raised.New != 0 || out.Raised.Gone != 1 {
		t.Errorf("%+v: want only the note that all can be read again", out.Raised)
	}
	for rule, old := range before {
		if a := f.alert(t, rule); a.ID != old.ID || a.Count != old.Count || a.Note != "" {
			t.Errorf("%s: %d times, %q", rule, a.Count, a.Note)
		}
	}
}

// An alert that somebody dismissed here does not swallow what Defender tells of the same
// pod and technique afterwards, unless its rule is there for that very alert.
func TestADismissedAlertHidesNoneOfDefenders(t *testing.T) {
	for _, c := range []struct {
		name, answers, status string
		merged                int
	}{{"another matter", "K8S_Other", "Active", 0}, {"the same matter", "K8S_Miner", "Active", 1}, {"dismissed there too", "K8S_Other", "Dismissed", 1}} {
		f := open(t, Options{})
		f.state(t, "prod", inventory.Document{Cluster: &inventory.ClusterDoc{Agent: "1", ResourceID: aks1}})
		ours := &finding.Finding{ID: "x", Fingerprint: "1:x", Rule: finding.Rule{ID: "shell", Answers: []string{c.answers}, Techniques: []string{"T1059"}}, Severity: finding.Low, Time: f.now() - hour/2, Event: json.RawMessage(`{}`),
			Subject: finding.Subject{Cluster: "prod", Workload: "shop/Deployment/web", Container: &finding.Container{Pod: "web-1", Namespace: "shop"}}}
		f.tell(t, store.Item{Finding: ours})
		if _, err := f.db.SetStatus(t.Context(), []string{finding.AlertID("1:x")}, finding.Dismissed, "kim", "a drill"); err != nil {
			t.Fatal(err)
		}
		tenant := unowned()
		tenant.DefenderAlerts = []cloud.DefenderAlert{{ID: "/A/1", Type: "K8S_Miner", Title: "Mining", Severity: "High", Status: c.status, Resource: aks1, Start: f.now() - hour/4, Namespace: "shop", Pod: "web-1", Techniques: []string{"T1059"}}}
		if out := f.judge(t, tenant); out.Raised.Merged != c.merged {
			t.Errorf("%s: %d merged", c.name, out.Raised.Merged)
		}
		page, err := f.db.Alerts(t.Context(), store.AlertQuery{})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, a := range page.Alerts {
			if strings.HasPrefix(a.Latest.Rule.ID, store.DefenderRule) {
				n++
			}
		}
		if n != 1-c.merged {
			t.Errorf("%s: %d alerts of Defender's own", c.name, n)
		}
	}
}
