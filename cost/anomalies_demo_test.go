package cost_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/demo/tenant"
	"github.com/dockreeve/dockreeve/source/azure"
)

// demo computes the costs of the demo's tenant, as the hub would.
func demo(t *testing.T, o tenant.Options) (*tenant.World, *cost.Input) {
	t.Helper()
	w := tenant.New(o)
	b := azure.NewBuilder()
	if err := w.Records(b.Add); err != nil {
		t.Fatal(err)
	}
	in := &cost.Input{Now: w.Now().UnixNano(), Tenant: b.Snapshot().Tenant, Charges: w.Charges(), Prices: w.Prices(), Usage: w.Usage(),
		Owners: map[string]string{}, Here: map[string]bool{}, AuditLoses: []string{"a-rule-on-reads"}}
	for _, a := range w.Alerts().Alerts {
		if a.Miner {
			in.Miners = append(in.Miners, cost.Miner{Alert: a.ID, Cluster: a.Cluster, First: a.First, Last: a.Last})
		}
	}
	return w, in
}

func TestDemoTenant(t *testing.T) {
	w, in := demo(t, tenant.Options{Seed: 1, Now: time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)})
	r := cost.Compute(in)
	sum := r.Idle.Amount + r.Shared.Amount + r.Unassigned.Amount
	for _, a := range r.Namespaces {
		sum += a.Cost.Amount
	}
	if sum != r.Billed.Amount || sum == 0 || r.Bad != 0 || len(r.Others) != 1 {
		t.Errorf("parts add up to %v, the bill to %v; bad %d; others %v", sum, r.Billed.Amount, r.Bad, r.Others)
	}
	told := map[string]tenant.Story{}
	for _, s := range w.Stories() {
		told[s.Name] = s
	}
	var mining []cost.Anomaly
	for _, a := range r.Anomalies {
		if a.Mining {
			mining = append(mining, a)
		}
	}
	// The alert, the pool that was made at night, and what rose: hours, nodes, spend.
	if len(mining) != 1 || mining[0].Cluster != told["miner"].Cluster || len(mining[0].Evidence) < 2 || mining[0].PerHour.Amount < 20*cost.Unit {
		t.Errorf("mining: %+v, want one at %s", mining, told["miner"].Cluster)
	} else if all := strings.Join(mining[0].Causes, "\n"); !strings.Contains(all, "gpuburst") || !strings.Contains(all, "core-hours of batch rose") || !strings.Contains(all, "spend of") {
		t.Errorf("causes of mining:\n%s", all)
	}
	if n := len(r.Anomalies); n > 15 {
		t.Errorf("%d anomalies in a tenant in which half a dozen things happened", n)
	}
	grew := false
	for _, x := range r.Increases {
		grew = grew || x.Cluster == told["audit-cost"].Cluster && x.Table == "AKSAudit" && x.GB > 10 && strings.Contains(x.Text, "kube-audit (AKSAudit)")
	}
	if !grew {
		t.Errorf("no increase names the cluster whose audit log grew: %+v", r.Increases[:min(5, len(r.Increases))])
	}
	cheaper := false
	for _, x := range r.Ingestion {
		if x.GBPerDay == 0 && x.NotAssessed == "" {
			t.Errorf("a bare zero: %+v", x)
		}
		if x.Cluster == told["audit-cost"].Cluster && x.Category == "kube-audit" {
			// The demo makes it 18 %.
			share := x.Cheaper.Amount.Float() / x.Money.Amount.Float()
			cheaper = share > 0.1 && share < 0.25 && len(x.Loses) == 1
		}
	}
	if !cheaper {
		t.Errorf("what kube-audit-admin would cost is not told for %s", told["audit-cost"].Cluster)
	}
	security, breaks := 0, false
	for _, b := range r.Budgets {
		if b.Security {
			security++
		}
		if b.Cluster == told["budget-breach"].Cluster {
			breaks = b.Breach > "2026-11-20" && b.Forecast.Amount > b.Amount.Amount && r.Clusters[b.Cluster].Budget.Amount == b.Amount.Amount
		}
	}
	if security == 0 || !breaks {
		t.Errorf("%d budgets for security; the one that breaks does: %v", security, breaks)
	}
}
