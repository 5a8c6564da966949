package govern

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// TestHostileKnowledgeIsStillJudged: whatever numbers, ids and dates came from outside,
// there is an evaluation, it can be written down, and its ratios add up. One number that is
// none would lose all of it.
func TestHostileKnowledgeIsStillJudged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		float := rapid.SampledFrom([]float64{0, 1, -1, 0.5, 100, 1e-300, 5e-324, 1e300, math.MaxFloat64, -math.MaxFloat64, math.NaN(), math.Inf(1), math.Inf(-1)})
		stamp := rapid.SampledFrom([]int64{0, 1, -1, testNow, testNow - int64(time.Hour), testNow - 20*testDay, testNow - 400*testDay, testNow + testDay, math.MaxInt64, math.MinInt64})
		micros := rapid.SampledFrom([]cost.Amount{0, 1, -1, cost.Unit, -40 * cost.Unit, 1e17, math.MaxInt64, math.MinInt64})
		word := rapid.SampledFrom([]string{"", "x", "\xff\xfe", "critical", "prod", "Defender", "/", "//", "/subscriptions/", "*"})
		count := rapid.SampledFrom([]int{0, 1, 3, -5, math.MaxInt32, math.MaxInt, math.MinInt})
		id := rapid.SampledFrom([]string{subA + "/resourcegroups/rg-a/providers/microsoft.containerservice/managedclusters/a", subB + "/resourcegroups/rg-b/providers/microsoft.containerservice/managedclusters/b", "/subscriptions/zz/x", "here", "", "/"})
		currency := rapid.SampledFrom([]string{"EUR", "USD", "", "eu"})
		tri := rapid.SampledFrom([]*bool{nil, yes(), no()})
		k := &Known{Money: &cost.Input{}}
		k.Now = testNow
		some := func(what string, f func(i int)) {
			for i := range rapid.IntRange(0, 4).Draw(t, what) {
				f(i)
			}
		}
		tenant := tenantOf()
		tenant.Collected, tenant.Finished = stamp.Draw(t, "collected"), stamp.Draw(t, "finished")
		some("clusters", func(i int) {
			c := aks(subA, "a", tri.Draw(t, "profile"), map[string]string{"env": word.Draw(t, "env"), "owner": word.Draw(t, "owner")})
			c.ID, c.Created = id.Draw(t, "id"), stamp.Draw(t, "created")
			for j := range tenant.Clusters { // the builder of snapshots keeps ids apart
				if c.ID == tenant.Clusters[j].ID {
					c.ID += fmt.Sprint("-again", i)
				}
			}
			c.Pools = []cloud.Pool{{Name: "p", Size: "Standard_D4s_v5", Count: count.Draw(t, "count"), Min: count.Draw(t, "min"), Max: count.Draw(t, "max")}}
			tenant.Clusters = append(tenant.Clusters, c)
		})
		some("budgets", func(i int) {
			f := float.Draw(t, "foreseen")
			tenant.Budgets = append(tenant.Budgets, cloud.Budget{ID: fmt.Sprint("budget", i), Name: word.Draw(t, "name"), Scope: id.Draw(t, "scope"), Amount: float.Draw(t, "amount"), Spent: float.Draw(t, "spent"), Forecast: &f,
				Start: stamp.Draw(t, "start"), End: stamp.Draw(t, "end"), Currency: currency.Draw(t, "currency"), Grain: word.Draw(t, "grain"), Notices: []cloud.BudgetThreshold{{Percent: float.Draw(t, "percent"), Enabled: true}}})
		})
		some("exemptions", func(i int) {
			tenant.Exemptions = append(tenant.Exemptions, cloud.Exemption{ID: id.Draw(t, "id"), Expires: stamp.Draw(t, "expires"), Created: stamp.Draw(t, "created")})
		})
		some("assessments", func(i int) {
			tenant.Assessments = append(tenant.Assessments, cloud.Assessment{Key: word.Draw(t, "key"), Resource: id.Draw(t, "resource"), Status: "Unhealthy", Severity: word.Draw(t, "severity"), First: stamp.Draw(t, "first")})
		})
		some("reads", func(i int) {
			tenant.Reads = append(tenant.Reads, cloud.Read{What: cloud.ReadClusters, Scope: id.Draw(t, "scope"), Outcome: rapid.SampledFrom([]string{cloud.ReadOK, cloud.ReadDenied, "?"}).Draw(t, "outcome"), Bad: count.Draw(t, "bad")})
		})
		tenant.Sizes = []cloud.Size{{Name: "Standard_D4s_v5", VCPUs: count.Draw(t, "vcpus"), Memory: float.Draw(t, "memory")}}
		if rapid.Bool().Draw(t, "tenant") {
			k.Tenant = tenant
		}
		some("observed", func(i int) {
			o := Observed{Cluster: fmt.Sprint("here", i), ID: id.Draw(t, "id"), Agent: word.Draw(t, "agent"), LastWord: stamp.Draw(t, "last"), Nodes: count.Draw(t, "nodes"), NodesWatched: count.Draw(t, "watched"), AuditLast: stamp.Draw(t, "audit"),
				NodeDays7d: float.Draw(t, "days"), Workloads: count.Draw(t, "workloads"), Running: map[string]int{"critical": count.Draw(t, "critical")}, AlertsOpen: map[string]int{"high": count.Draw(t, "high")},
				Canaries: []Canary{{Kind: CanaryExec, Sent: stamp.Draw(t, "sent"), Seen: stamp.Draw(t, "seen"), Every: stamp.Draw(t, "every")}}, Sensor: Sighting{Seen: true, At: stamp.Draw(t, "at"), Ready: count.Draw(t, "ready")}}
			k.Observed = append(k.Observed, o)
		})
		k.Alerts = &AlertFacts{Since: stamp.Draw(t, "since"), NodeDays: map[string]float64{}}
		names, _ := weeks(testNow, 9)
		for _, w := range names {
			k.Alerts.NodeDays[w] = float.Draw(t, "node-days")
		}
		some("alerts", func(i int) {
			for j := range rapid.IntRange(1, 6).Draw(t, "of it") {
				k.Alerts.Alerts = append(k.Alerts.Alerts, AlertFact{ID: fmt.Sprint(i, "-", j), Severity: finding.High, Cluster: "here0", Workload: word.Draw(t, "workload"), First: stamp.Draw(t, "first"), Last: stamp.Draw(t, "last"), Acked: stamp.Draw(t, "acked"), Miner: rapid.Bool().Draw(t, "miner")})
			}
		})
		k.Images = &ImageFacts{Running: rapid.IntRange(0, 9).Draw(t, "running"), Scanned: rapid.IntRange(0, 12).Draw(t, "scanned"), Stale: rapid.IntRange(0, 12).Draw(t, "stale"), Advisories: stamp.Draw(t, "advisories")}
		some("remedies", func(i int) {
			k.Images.Remediation = append(k.Images.Remediation, Remedy{Severity: "critical", From: stamp.Draw(t, "from"), To: stamp.Draw(t, "to")})
		})
		k.Gates = &GateFacts{Running: rapid.IntRange(0, 9).Draw(t, "running"), Gated: rapid.IntRange(0, 12).Draw(t, "gated"), Failed: rapid.IntRange(0, 12).Draw(t, "failed")}
		some("reviews", func(i int) {
			k.Reviews = append(k.Reviews, Review{ID: fmt.Sprint(i), Subject: ReviewRecommendations, Scope: word.Draw(t, "scope"), At: stamp.Draw(t, "at"), NextDue: stamp.Draw(t, "due")})
		})
		some("days", func(i int) {
			f := float.Draw(t, "score")
			k.History = append(k.History, Day{At: testNow - int64(4-i)*testDay, Values: map[string]float64{"kpi.compliance": f, "kpi.high-alerts": f}, Clusters: map[string]DayRow{id.Draw(t, "id"): {Protected: "yes", Score: &f, Since: stamp.Draw(t, "since"), First: stamp.Draw(t, "first"), Unread: stamp.Draw(t, "unread")}},
				Findings: map[string]int64{word.Draw(t, "key"): stamp.Draw(t, "at")}, Recommendations: map[string]int64{word.Draw(t, "key"): stamp.Draw(t, "at")}})
		})
		some("charges", func(i int) {
			for d := range int64(rapid.IntRange(1, 40).Draw(t, "for days")) {
				k.Money.Charges = append(k.Money.Charges, cost.Charge{Start: testNow - d*testDay, End: testNow - d*testDay + testDay, Category: "Usage", Currency: currency.Draw(t, "currency"), Billed: micros.Draw(t, "billed"), Effective: micros.Draw(t, "effective"),
					Quantity: float.Draw(t, "quantity"), Priced: float.Draw(t, "priced"), Resource: id.Draw(t, "resource"), SubAccount: subA, MeterCategory: rapid.SampledFrom([]string{"Virtual Machines", "Microsoft Defender for Cloud", "Log Analytics"}).Draw(t, "meter")})
			}
		})
		some("odd charges", func(i int) {
			k.Money.Charges = append(k.Money.Charges, cost.Charge{Start: stamp.Draw(t, "start"), End: stamp.Draw(t, "end"), Category: word.Draw(t, "category"), Currency: currency.Draw(t, "currency"), Billed: micros.Draw(t, "billed")})
		})
		some("prices", func(i int) {
			k.Money.Prices = append(k.Money.Prices, cost.Price{Key: rapid.SampledFrom([]string{"defender.vcore-month", "logs.analytics-gb", "defender.image-scan"}).Draw(t, "key"), SKU: word.Draw(t, "sku"), Amount: micros.Draw(t, "price"), Currency: currency.Draw(t, "currency"), AsOf: "2026-01-01"})
		})
		some("usage", func(i int) {
			k.Money.Usage = append(k.Money.Usage, inventory.Usage{Cluster: id.Draw(t, "cluster"), Hour: stamp.Draw(t, "hour"), Namespace: word.Draw(t, "ns"), Requested: float.Draw(t, "r"), Used: float.Draw(t, "u"), Charged: float.Draw(t, "c"), Memory: float.Draw(t, "m"), Nodes: float.Draw(t, "n"), Cores: float.Draw(t, "cores"), Egress: float.Draw(t, "e"), Samples: count.Draw(t, "samples")})
		})
		some("agents", func(i int) {
			k.Money.Agents = append(k.Money.Agents, cost.AgentCost{Provider: rapid.SampledFrom([]string{"defender", "dockreeve"}).Draw(t, "provider"), NodeCPU: float.Draw(t, "cpu"), NodeMemory: float.Draw(t, "mem")})
		})
		k.Money.AuditKeeps = map[string]float64{id.Draw(t, "id"): float.Draw(t, "keeps")}
		ev, in := Judge(k)
		if _, err := json.Marshal(ev); err != nil {
			t.Fatalf("the evaluation cannot be written down: %v", err)
		}
		if _, err := json.Marshal(in.Costs); err != nil {
			t.Fatalf("the costs cannot be written down: %v", err)
		}
		c := &ev.Coverage
		for n, r := range map[string]Ratio{"subscriptions": c.Subscriptions, "clusters": c.Clusters, "production": c.Production, "profile": c.Profile, "any": c.Any, "owned": c.Owned} {
			if r.N+len(r.Missing)+r.More != r.Of || r.Unknown > r.Of-r.N || r.N < 0 {
				t.Fatalf("%s: %+v", n, r)
			}
		}
		for _, check := range append(ev.Playbook, ev.Pitfalls...) {
			if r := check.Ratio; r.N < 0 || r.N > r.Of && r.Of >= 0 {
				t.Fatalf("%s: %d of %d", check.ID, r.N, r.Of)
			}
		}
		seen := map[string]bool{}
		for _, r := range ev.Clusters {
			if seen[r.ID] {
				t.Fatalf("two rows of %q", r.ID)
			}
			seen[r.ID] = true
		}
	})
}
