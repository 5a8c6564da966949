package govern

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// TestEveryCommandNamesItsSubscription looks at every command of az that an evaluation says.
func TestEveryCommandNamesItsSubscription(t *testing.T) {
	bare, off, untagged := aks(subA, "bare", no(), nil), aks(subB, "off", no(), nil), aks(subA, "untagged", yes(), nil)
	bare.PolicyAddon, off.PolicyAddon = no(), no()
	arc := aks(subA, "far", no(), nil)
	arc.Kind, arc.ID, arc.PolicyAddon = cloud.KindArc, strings.Replace(arc.ID, "microsoft.containerservice/managedclusters", "microsoft.kubernetes/connectedclusters", 1), no()
	ev := Evaluate(&Input{Now: testNow, Tenant: tenantOf(bare, off, untagged, arc)})
	raw, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, text := range regexp.MustCompile(`"az [^"]*"`).FindAllString(string(raw), -1) {
		found[strings.Join(strings.Fields(strings.Trim(text, `"`))[:3], " ")] = true
		if !strings.Contains(text, " --subscription 11111111-0000-") && !strings.Contains(text, " --resource-id /subscriptions/11111111-0000-") {
			t.Errorf("runs in whatever subscription somebody is signed in to: %s", text)
		}
	}
	for _, want := range []string{"az aks update", "az k8s-extension create", "az aks enable-addons", "az security pricing", "az tag update"} {
		if !found[want] {
			t.Errorf("%q is not among them: %v", want, found)
		}
	}
}

// TestWhatIsNotKnownIsNotToldToBeBought: the remedy fits the cause.
func TestWhatIsNotKnownIsNotToldToBeBought(t *testing.T) {
	for outcome, want := range map[string]string{cloud.ReadDenied: exportRole, cloud.ReadPartial: collect, cloud.ReadThrottled: collect, cloud.ReadFailed: collect, cloud.ReadSkipped: collect} {
		tn := tenantOf(aks(subA, "one", no(), nil), aks(subB, "two", no(), nil))
		tn.Subscriptions[1].Plan = nil
		tn.Reads = append(tn.Reads, cloud.Read{What: cloud.ReadPlan, Scope: subB, Outcome: outcome, Reason: "rights of somebody"})
		ev := Evaluate(&Input{Now: testNow, Tenant: tn})
		missing := ev.Coverage.Subscriptions.Missing
		if len(missing) != 1 || missing[0].Do != want || !strings.HasPrefix(missing[0].Why, "not assessed: ") {
			t.Errorf("%s: %+v", outcome, missing)
		}
		if r := rowNamed(t, ev, "two"); r.Inside.Do != want {
			t.Errorf("%s: inside: %+v", outcome, r.Inside)
		}
		for _, g := range ev.Gaps {
			if g.What == cloud.ReadPlan && strings.Contains(g.Remedy, exportRole) != (outcome == cloud.ReadDenied) {
				t.Errorf("%s: %+v", outcome, g)
			}
		}
	}
	tn := tenantOf()
	tn.Reads = append(tn.Reads, cloud.Read{What: cloud.ReadExport, Scope: "a.json", Outcome: cloud.ReadPartial, Reason: "cut short", Remedy: "export it again", Bad: 1})
	for _, g := range Evaluate(&Input{Now: testNow, Tenant: tn}).Gaps {
		if strings.HasPrefix(g.What, cloud.ReadExport) && g.Remedy != "export it again" {
			t.Errorf("%+v", g)
		}
	}
}

// TestManyCausesHaveManyRemedies: of reads that failed for different reasons none is told the
// remedy of another.
func TestManyCausesHaveManyRemedies(t *testing.T) {
	tn := tenantOf()
	tn.Reads = append(tn.Reads, cloud.Read{What: cloud.ReadStates, Scope: subA, Outcome: cloud.ReadDenied, Remedy: "give it Reader on " + subA}, cloud.Read{What: cloud.ReadStates, Scope: subB, Outcome: cloud.ReadThrottled})
	for _, g := range Evaluate(&Input{Now: testNow, Tenant: tn}).Gaps {
		if g.What == cloud.ReadStates && (!strings.Contains(g.Remedy, exportRole) || !strings.Contains(g.Remedy, collect) || strings.Contains(g.Remedy, subA)) {
			t.Errorf("%+v", g)
		}
	}
}

// TestNoDriftAgainstNothing: a hub whose tenant cannot be read for two days tells no drift of
// what Azure says, says so, and compares with the last day that was read when it is again.
func TestNoDriftAgainstNothing(t *testing.T) {
	tags := map[string]string{"owner": "payments"}
	tenant := tenantOf(aks(subA, "one", yes(), tags), aks(subA, "two", yes(), tags))
	seen := []Observed{watched(&tenant.Clusters[0], int64(time.Hour))}
	days := []Day{Evaluate(&Input{Now: testNow, Tenant: tenant, Observed: seen}).Day}
	for n := int64(1); n <= 2; n++ {
		tn := map[int64]*cloud.Tenant{2: {}}[n] // nil, and one of which nothing is known
		ev := Evaluate(&Input{Now: testNow + n*testDay, Tenant: tn, Observed: seen, History: days})
		for _, c := range ev.Coverage.Drift {
			if c.What != "agents" {
				t.Errorf("day %d: %+v", n, c)
			}
		}
		if !strings.Contains(ev.Coverage.DriftNotAssessed, "no tenant was read") {
			t.Errorf("day %d: why it is not told: %q", n, ev.Coverage.DriftNotAssessed)
		}
		for i := range ev.Findings {
			if r := ev.Findings[i].Rule; r == RuleWorse || r == RuleGone {
				t.Errorf("day %d: %s", n, ev.Findings[i].Key)
			}
		}
		days = append(days, ev.Day)
	}
	tenant.Collected, tenant.Finished = testNow+3*testDay, testNow+3*testDay
	tenant.Clusters[1].Tags = nil
	ev := Evaluate(&Input{Now: testNow + 3*testDay, Tenant: tenant, History: days})
	var told []string
	for _, c := range ev.Coverage.Drift {
		if c.What == "appeared" || c.What == "owner" {
			told = append(told, c.Name+" "+c.What+" "+c.Before)
		}
	}
	if strings.Join(told, ", ") != "two owner payments" || ev.Coverage.DriftNotAssessed != "" {
		t.Errorf("%q, %q", told, ev.Coverage.DriftNotAssessed)
	}
	if r := rowNamed(t, ev, "two"); r.FirstSeen != testNow && r.FirstSeen != tenant.Clusters[1].Created {
		t.Errorf("seen first %d", r.FirstSeen)
	}
}
