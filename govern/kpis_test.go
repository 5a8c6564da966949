package govern

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/posture"
)

func kpi(t *testing.T, in *Input, ev *Evaluation, id string) KPI {
	t.Helper()
	ev.At = in.Now
	kpis(in, ev)
	for _, k := range ev.KPIs {
		if k.ID == id {
			if k.Rule == "" || k.Unit == "" && k.Value != nil || k.Better == "" {
				t.Errorf("%s lacks its rule, unit or direction: %+v", id, k)
			}
			return k
		}
	}
	t.Fatalf("no KPI %s", id)
	return KPI{}
}

// Nothing known must never look like nothing wrong.
func TestNothingKnownIsNotAssessed(t *testing.T) {
	ev := &Evaluation{}
	in := &Input{Now: noon}
	kpi(t, in, ev, "mttr-critical")
	for _, k := range ev.KPIs {
		if k.Value != nil || k.NotAssessed == "" {
			t.Errorf("%s has the value %v and the reason %q where nothing is known", k.ID, k.Value, k.NotAssessed)
		}
	}
	playbook(in, ev)
	pitfalls(in, ev)
	for _, c := range append(ev.Playbook, ev.Pitfalls...) {
		if c.State == CheckDone {
			t.Errorf("%s is done where nothing is known", c.ID)
		}
		if c.Rule == "" {
			t.Errorf("%s does not say its rule", c.ID)
		}
		if c.ID != "set-and-forget" && (c.State != CheckNotAssessed || c.Ratio.NotAssessed == "") {
			t.Errorf("%s is %s (%q) where nothing is known", c.ID, c.State, c.Ratio.NotAssessed)
		}
	}
}

func TestMTTR(t *testing.T) {
	in := &Input{Now: noon, Images: &ImageFacts{Running: 10, Scanned: 8}}
	for i := 1; i <= 10; i++ {
		in.Images.Remediation = append(in.Images.Remediation, Remedy{Severity: "critical", Owner: "ann", From: noon - 30*dayLength, To: noon - int64(30-i)*dayLength})
	}
	in.Images.Remediation = append(in.Images.Remediation,
		Remedy{Severity: "critical", Owner: "bob", From: noon - 90*dayLength},
		Remedy{Severity: "high", Owner: "bob", From: noon - 400*dayLength})
	k := kpi(t, in, &Evaluation{}, "mttr-critical")
	if k.Value == nil || *k.Value != 5 || k.N != 10 || k.Of != 11 {
		t.Fatalf("%+v, want a median of 5 days over 10 of 11", k)
	}
	for _, want := range []string{"p90 9.0 days", "1 still run", "oldest 90.0", "2 of 10 running images were never scanned"} {
		if !strings.Contains(k.Note, want) {
			t.Errorf("note %q does not say %q", k.Note, want)
		}
	}
	if len(k.By) != 2 || k.By[1].Name != "bob" || k.By[1].Values["oldest"] != 90 || k.By[1].Values["open"] != 1 {
		t.Errorf("by owner: %+v", k.By)
	}
	in.Images.Remediation[10].Owner, in.Images.Remediation[10].Cluster = inventory.Unowned, "blue"
	k = kpi(t, in, &Evaluation{Clusters: []ClusterRow{{ID: "other"}, {ID: "b", Here: "blue", Ownership: Ownership{Owner: "sre"}}}}, "mttr-critical")
	if len(k.By) != 2 || k.By[1].Name != "sre" || k.By[1].Values["open"] != 1 {
		t.Errorf("nobody is named for the workload, so its cluster's owner answers: %+v", k.By)
	}
	in.Images.Remediation = in.Images.Remediation[10:]
	if k := kpi(t, in, &Evaluation{}, "mttr-critical"); k.Value != nil || k.NotAssessed == "" || k.Of != 1 {
		t.Errorf("nothing was fixed, which is no time of zero: %+v", k)
	}
}

func TestMoneyKPIs(t *testing.T) {
	eur := func(f float64) cost.Money {
		return cost.Money{Amount: cost.FromFloat(f), Currency: "EUR", AsOf: "2026-11-01", Source: "bill"}
	}
	in := &Input{Now: noon, Costs: &cost.Report{Currency: "EUR", Billed: eur(1000), Others: []cost.Money{{Currency: "USD"}},
		Teams: []cost.Allocation{{Owner: "ann", Cost: eur(600)}, {Owner: inventory.Unowned, Cost: eur(200)}},
		Budgets: []cost.BudgetState{
			{ID: "1", Name: "all", Scope: sub1, Amount: eur(100), Spent: eur(80), Burn: .8, Breach: "2026-11-29"},
			{ID: "2", Name: "part", Scope: sub1 + "/resourcegroups/rg", Amount: eur(50), Spent: eur(10), Burn: .2},
			{ID: "3", Name: "security", Scope: "/subscriptions/2", Security: true, Amount: eur(50), Spent: eur(10), Burn: .2},
		},
		Clusters: map[string]cost.ClusterCost{"a": {PerVCore: eur(7), VCores: 10}, "b": {PerVCore: eur(4), VCores: 20}, "c": {PerVCore: cost.Money{NotAssessed: "size not known"}}}}}
	ev := &Evaluation{Clusters: []ClusterRow{{Security: eur(30), MonthToDate: eur(300)}, {Security: cost.Money{NotAssessed: "x"}}}}
	for id, want := range map[string]float64{"spend-attributed": 60, "budget-burn": 80, "security-per-vcore": 5, "security-share": 10} {
		k := kpi(t, in, ev, id)
		if k.Value == nil || math.Abs(*k.Value-want) > 1e-9 {
			t.Errorf("%s is %+v, want %v", id, k, want)
		} else if !strings.Contains(k.Note+k.Unit, "EUR") {
			t.Errorf("%s names no currency: %q", id, k.Note)
		}
	}
	if k := kpi(t, in, ev, "security-per-vcore"); !strings.Contains(k.Note, "1 of 3 clusters could not be computed") || !strings.Contains(k.Note, "as of 2026-11-01") {
		t.Errorf("what was left out, and the price's date: %q", k.Note)
	}
}

func TestExemptionsCountAndAge(t *testing.T) {
	in := &Input{Now: noon, Config: Config{Exemptions: []Exemption{{Control: "a", Expires: "2026-11-26"}, {Control: "b", Expires: "2026-11-25"}}},
		Tenant: &cloud.Tenant{Exemptions: []cloud.Exemption{{ID: "x", Created: noon - 100*dayLength}}, Reads: []cloud.Read{{What: cloud.ReadExemptions, Outcome: cloud.ReadOK}, {What: cloud.ReadExemptions, Outcome: cloud.ReadDenied}}}}
	k := kpi(t, in, &Evaluation{}, "exemptions")
	if k.Value == nil || *k.Value != 2 || !strings.Contains(k.Note, "1 without an end, 1 ended") || !strings.Contains(k.Note, "oldest 100") || !strings.Contains(k.Note, "1 of 2 scopes") {
		t.Fatalf("%+v: one ends today and still holds, one ended yesterday, one has no end", k)
	}
	if k := kpi(t, &Input{Now: noon, Tenant: &cloud.Tenant{Reads: []cloud.Read{{What: cloud.ReadExemptions, Outcome: cloud.ReadDenied}}}}, &Evaluation{}, "exemptions"); k.Value != nil || k.NotAssessed == "" {
		t.Errorf("exemptions that could not be read are none: %+v", k)
	}
}

func TestComplianceKeepsWhatIsOutside(t *testing.T) {
	ev := &Evaluation{Scores: map[string][]posture.Score{"": {{Framework: "cis-aks-1.8", Pass: 3, Fail: 1, NotAssessed: 5}, {Framework: "pci", NotAssessed: 4}}}}
	k := kpi(t, &Input{Now: noon}, ev, "compliance")
	if k.Value == nil || *k.Value != 75 || !strings.Contains(k.Note, "5 not assessed") {
		t.Fatalf("%+v", k)
	}
	if _, ok := k.By[1].Values["percent"]; ok {
		t.Errorf("a score of nothing has a percentage: %+v", k.By[1])
	}
}

// alerts makes the facts of nine weeks with so many high alerts each, the newest last.
func alerts(perWeek ...int) *AlertFacts {
	f := &AlertFacts{Since: noon - 80*dayLength, NodeDays: map[string]float64{}}
	names, starts := weeks(noon, len(perWeek))
	for i, n := range perWeek {
		f.NodeDays[names[i]] = 100
		for j := range n {
			at := starts[i] + int64(j+1)*int64(time.Hour)
			f.Alerts = append(f.Alerts, AlertFact{ID: fmt.Sprintf("a%d-%d", i, j), Rule: "shell", Title: "Shell", Severity: finding.High, Status: finding.Acknowledged,
				Cluster: "one", Workload: fmt.Sprintf("ns/Deployment/w%d", j), Source: "dockreeve", First: at, Last: at, Acked: at, Digest: "sha256:old" + fmt.Sprint(j)})
		}
	}
	return f
}

func TestHighAlertsAreNormalised(t *testing.T) {
	in := &Input{Now: noon, Alerts: alerts(1, 2, 1, 2, 1, 2, 1, 3, 2)}
	in.Alerts.Alerts = append(in.Alerts.Alerts, AlertFact{ID: "d", Severity: finding.High, Source: "defender", First: in.Now - 8*dayLength}, AlertFact{ID: "l", Severity: finding.Low, First: in.Now - 8*dayLength})
	k := kpi(t, in, &Evaluation{}, "high-alerts")
	if k.Value == nil || *k.Value != 0.03 || k.N != 3 || k.Of != 100 || len(k.Trend) != 8 || !strings.Contains(k.Note, "this week so far: 2 in 100.0") {
		t.Fatalf("%+v, want 3 alerts in 100 node-days and a trend of 8 weeks", k)
	}
	if k.By[7].Values["defender"] != 1 {
		t.Errorf("Defender's alert is not told apart: %+v", k.By[7])
	}
	delete(in.Alerts.NodeDays, k.By[7].Name)
	if k := kpi(t, in, &Evaluation{}, "high-alerts"); k.Value != nil || len(k.Trend) != 7 {
		t.Errorf("nobody watched that week: %+v", k)
	}
	if got := rises(&Input{Now: noon, Alerts: alerts(2, 1, 2, 3, 2, 2, 1, 2, 3)}, &Evaluation{}); len(got) != 0 {
		t.Errorf("an ordinary week is a rise: %+v", got)
	}
	if got := rises(&Input{Now: noon, Alerts: alerts(0, 0, 0, 0, 0, 0, 0, 0, 3)}, &Evaluation{}); len(got) != 0 {
		t.Errorf("three alerts are fewer than a rise needs: %+v", got)
	}
}

// A rise that goes on is one finding with one key, explained from the week it began in.
func TestARiseThatGoesOnIsOne(t *testing.T) {
	in := &Input{Now: noon, Alerts: alerts(1, 1, 1, 1, 1, 1, 1, 9, 8)}
	for i := range in.Alerts.Alerts {
		in.Alerts.Alerts[i].Workload = "ns/Deployment/w0"
	}
	names, _ := weeks(noon, 2)
	got := rises(in, &Evaluation{At: noon})
	if len(got) != 1 || !strings.Contains(got[0].Key, names[0]) || !strings.Contains(got[0].Summary, "since then 17 began in 200.0 node-days, where 2.0 would be usual") {
		t.Fatalf("%+v, want one finding since %s", got, names[0])
	}
}

// Among many clusters a rise in one is seen, though the sum is as usual.
func TestARiseInOneClusterIsNotDrowned(t *testing.T) {
	in := &Input{Now: noon, Alerts: alerts(90, 110, 95, 105, 100, 92, 108, 100, 96)}
	if got := rises(in, &Evaluation{At: noon}); len(got) != 0 {
		t.Fatalf("an ordinary week is a rise: %+v", got)
	}
	_, starts := weeks(noon, 1)
	for i := range 9 {
		at := starts[0] + int64(i)*int64(time.Hour)
		in.Alerts.Alerts = append(in.Alerts.Alerts, AlertFact{ID: fmt.Sprint("n", i), Rule: "mode-changed", Severity: finding.High, Status: finding.Open, Cluster: "two", Workload: "lake/Deployment/web", Source: "dockreeve", First: at, Last: at})
	}
	got := rises(in, &Evaluation{At: noon})
	if len(got) != 1 || got[0].Subject.ID != "mode-changed" || !strings.Contains(got[0].Summary, "lake/Deployment/web") {
		t.Fatalf("%+v, want the one rule in the one workload", got)
	}
}

func TestRiseLooksLikeAThreat(t *testing.T) {
	in := &Input{Now: noon, Alerts: alerts(1, 1, 1, 1, 1, 1, 1, 1, 0)}
	_, starts := weeks(noon, 1)
	for i, tactic := range []string{"Initial Access", "Execution", "Credential Access", "Lateral Movement", "Impact"} {
		at := starts[0] + int64(i)*int64(time.Hour)
		in.Alerts.Alerts = append(in.Alerts.Alerts, AlertFact{ID: fmt.Sprint("t", i), Rule: fmt.Sprint("rule-", i), Severity: finding.High, Status: finding.Open, Cluster: "one",
			Workload: fmt.Sprintf("shop/Deployment/w%d", i/2), Source: "dockreeve", First: at, Last: at, Tactics: []string{tactic}, Owner: "ann"})
		if i > 0 { // the step that joins two workloads
			a := in.Alerts.Alerts[len(in.Alerts.Alerts)-1]
			a.ID, a.Rule, a.Digest = fmt.Sprint("u", i), "spread", "sha256:same"
			in.Alerts.Alerts = append(in.Alerts.Alerts, a)
		}
	}
	got := rises(in, &Evaluation{At: noon})
	if len(got) != 1 {
		t.Fatalf("%d findings, want one: %+v", len(got), got)
	}
	f := got[0]
	if f.Subject.Why != looksThreat || f.Severity != finding.Critical || f.Owner != "ann" || f.Rule != RuleRise {
		t.Errorf("looks like %q, %s, of %s", f.Subject.Why, f.Severity, f.Owner)
	}
	for _, want := range []string{"spread", "shop/Deployment/w", "5 tactics follow each other", "had not fired since"} {
		if !strings.Contains(f.Summary, want) {
			t.Errorf("%q does not say %q", f.Summary, want)
		}
	}
	if len(f.Facts) == 0 {
		t.Error("no alert is named as evidence")
	}
}

func TestRiseLooksLikeAMistake(t *testing.T) {
	in := &Input{Now: noon, Alerts: alerts(1, 1, 1, 1, 1, 1, 1, 1, 0)}
	for i := range in.Alerts.Alerts {
		in.Alerts.Alerts[i].Status = finding.Dismissed
	}
	_, starts := weeks(noon, 1)
	for i := range 6 {
		at := starts[0] + int64(i)*int64(time.Hour)
		in.Alerts.Alerts = append(in.Alerts.Alerts, AlertFact{ID: fmt.Sprint("m", i), Rule: "shell", Severity: finding.High, Status: finding.Open, Cluster: fmt.Sprint("c", i),
			Workload: "ns/Deployment/w0", Source: "dockreeve", First: at, Last: at, Image: "registry.example/shop:2", Digest: "sha256:0123456789abcdef"})
	}
	in.Observed = []Observed{{Cluster: "c0", ID: clusterID("one")}}
	in.Tenant = &cloud.Tenant{Activity: []cloud.Activity{{At: starts[0] - int64(time.Hour), Resource: clusterID("one"), Operation: "Microsoft.ContainerService/managedClusters/write", Status: "Succeeded", Caller: "ann@example.com"}}}
	got := rises(in, &Evaluation{At: noon})
	if len(got) != 1 || got[0].Subject.Why != looksMisconfig || got[0].Severity != finding.Medium {
		t.Fatalf("%+v, want one finding that looks like a misconfiguration", got)
	}
	for _, want := range []string{"8 of 8 earlier alerts of the rule were dismissed", "registry.example/shop:2 (sha256:0123456789ab)", "ann@example.com did"} {
		if !strings.Contains(got[0].Summary, want) {
			t.Errorf("%q does not say %q", got[0].Summary, want)
		}
	}
}
