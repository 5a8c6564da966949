package cost

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

const workspace = subA + "/resourcegroups/logs/providers/microsoft.operationalinsights/workspaces/central"

// logDays bills a workspace for a table from 1 October on.
func logDays(table string, gb func(d time.Time) float64) []Charge {
	var out []Charge
	for t := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC); t.Before(testNow.Truncate(24 * time.Hour)); t = t.AddDate(0, 0, 1) {
		c := Charge{SubAccount: subA, Start: t.UnixNano(), End: t.AddDate(0, 0, 1).UnixNano(), Category: "Usage", Currency: "EUR",
			Resource: workspace, MeterCategory: "Log Analytics", Meter: "Analytics Logs Data Ingestion", Quantity: gb(t), QuantityUnit: "GB", Billed: FromFloat(2 * gb(t))}
		if table != "" {
			c.More = map[string]string{"x_Table": table}
		}
		out = append(out, c)
	}
	return out
}

func exporting(t *cloud.Tenant, i int, dedicated bool, categories ...string) {
	t.Clusters[i].Diagnostics = append(t.Clusters[i].Diagnostics, cloud.Diagnostic{Name: "d", Workspace: strings.ToUpper(workspace), Dedicated: dedicated, Categories: categories})
	t.Reads = append(t.Reads, cloud.Read{Scope: t.Clusters[i].ID, What: cloud.ReadDiagnostics, Outcome: cloud.ReadOK})
}

func steady(gb float64) func(time.Time) float64 { return func(time.Time) float64 { return gb } }

func ingestionFor(r *Report, cluster, category string) *Ingestion {
	for i := range r.Ingestion {
		if x := &r.Ingestion[i]; x.Cluster == cluster && x.Category == category {
			return x
		}
	}
	return &Ingestion{}
}

func TestIngestionByTable(t *testing.T) {
	in := &Input{Now: testNow.UnixNano(), Tenant: testTenant(), AuditLoses: []string{"k8s-secrets-listed"}, AuditKeeps: map[string]float64{aks1: 0.1}}
	in.Tenant.Clusters[0].Pools = []cloud.Pool{{Count: 3}}
	in.Tenant.Clusters[1].Pools = []cloud.Pool{{Count: 1}, {Count: 9, Power: "Stopped"}}
	exporting(in.Tenant, 0, true, "kube-audit", "guard", "kube-apiserver")
	exporting(in.Tenant, 1, true, "kube-audit")
	in.Charges = append(logDays("AKSAudit", steady(8)), logDays("AKSControlPlane", steady(1))...)
	in.Charges = append(in.Charges, logDays("SigninLogs", steady(50))...)
	r := Compute(in)
	a := ingestionFor(r, aks1, "kube-audit")
	if a.GBPerDay != 6 || a.Money.Amount != 360*Unit || a.Table != "AKSAudit" || !strings.Contains(a.Money.Source, "2 clusters share") {
		t.Errorf("kube-audit of three of four nodes: %+v", a)
	}
	if a.Cheaper.Amount != 36*Unit || len(a.Loses) != 1 {
		t.Errorf("cheaper: %+v", a)
	}
	if b := ingestionFor(r, aks2, "kube-audit"); b.GBPerDay != 2 || b.Cheaper.NotAssessed == "" || b.Cheaper.Amount != 0 {
		t.Errorf("the other: %+v", b)
	}
	if c := ingestionFor(r, aks1, "guard+kube-apiserver"); c.GBPerDay != 1 || c.Cheaper.NotAssessed == "" {
		t.Errorf("control plane: %+v", c)
	}
	if len(r.Ingestion) != 3 {
		t.Errorf("others' logs became the clusters': %+v", r.Ingestion)
	}
}

func TestIngestionWithoutTables(t *testing.T) {
	in := &Input{Now: testNow.UnixNano(), Tenant: testTenant(), Charges: logDays("", steady(8))}
	exporting(in.Tenant, 0, false, "group:audit")
	r := Compute(in)
	x := ingestionFor(r, aks1, "guard+kube-audit+kube-audit-admin")
	if x.GBPerDay != 8 || !strings.Contains(x.Money.Source, "what others send there is in it") || !strings.Contains(x.Cheaper.NotAssessed, "apart") {
		t.Errorf("got %+v", x)
	}
	if y := ingestionFor(r, aks2, ""); !strings.Contains(y.NotAssessed, "not read") || y.Money.NotAssessed == "" {
		t.Errorf("settings that were not read: %+v", y)
	}
}

func TestIngestionNotAssessed(t *testing.T) {
	in := &Input{Now: testNow.UnixNano(), Tenant: testTenant(), Charges: daily(aks1, 1, steady(1))}
	exporting(in.Tenant, 0, true, "kube-audit")
	in.Tenant.Reads = append(in.Tenant.Reads, cloud.Read{Scope: aks2, What: cloud.ReadDiagnostics, Outcome: cloud.ReadDenied, Reason: "no right"})
	r := Compute(in)
	if x := ingestionFor(r, aks1, "kube-audit"); !strings.Contains(x.NotAssessed, "no ingestion of the workspace central") || x.Money.NotAssessed == "" {
		t.Errorf("a workspace without bill: %+v", x)
	}
	if x := ingestionFor(r, aks2, ""); !strings.Contains(x.NotAssessed, "denied") {
		t.Errorf("denied: %+v", x)
	}
	in.Tenant.Reads[1].Outcome = cloud.ReadOK
	if x := Compute(in).Ingestion; len(x) != 1 {
		t.Errorf("a cluster that exports nothing has %+v", x)
	}
}

// A tenant's own clusters tell what kube-audit-admin keeps.
func TestIngestionFromOthers(t *testing.T) {
	in := &Input{Now: testNow.UnixNano(), Tenant: &cloud.Tenant{}}
	for i := range 6 {
		id := fmt.Sprintf("%s/resourcegroups/g%d/providers/microsoft.containerservice/managedclusters/c%d", subA, i, i)
		in.Tenant.Clusters = append(in.Tenant.Clusters, cloud.Cluster{ID: id, Kind: "aks", Pools: []cloud.Pool{{Count: 2}}})
		exporting(in.Tenant, i, true, []string{"kube-audit", "kube-audit-admin"}[i%2])
	}
	in.Charges = append(logDays("AKSAudit", steady(60)), logDays("AKSAuditAdmin", steady(3))...)
	x := ingestionFor(Compute(in), in.Tenant.Clusters[0].ID, "kube-audit")
	if math.Abs(x.Cheaper.Amount.Float()-x.Money.Amount.Float()/20) > 0.01 || x.GBPerDay != 20 {
		t.Errorf("got %+v", x)
	}
}

func TestIncreaseNamesWhatGrew(t *testing.T) {
	in := &Input{Now: testNow.UnixNano(), Tenant: testTenant()}
	exporting(in.Tenant, 0, true, "kube-audit")
	in.Charges = append(daily(aks1, 1, func(d time.Time) float64 {
		if d.After(time.Date(2026, 11, 14, 0, 0, 0, 0, time.UTC)) {
			return 20
		}
		return 10
	}), logDays("AKSAudit", func(d time.Time) float64 {
		if !d.Before(time.Date(2026, 11, 12, 0, 0, 0, 0, time.UTC)) {
			return 30
		}
		return 10
	})...)
	r := Compute(in)
	var got []string
	for _, x := range r.Increases {
		got = append(got, x.Text)
	}
	want := `one: logs kube-audit (AKSAudit) cost 280.00 EUR more in the week from 2026-11-12 than in the one before (140.00 → 420.00 EUR), for 140.0 GB more (70.0 → 210.0 GB).
one: Virtual Machines / D4s v5 cost 40.00 EUR more in the week from 2026-11-12 than in the one before (70.00 → 110.00 EUR).`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if x := r.Increases[0]; x.GB != 140 || x.More.Amount != 280*Unit || x.Cluster != aks1 || x.Table != "AKSAudit" {
		t.Errorf("got %+v", x)
	}
}

// A week that the bill does not hold is not a week that cost nothing.
func TestIncreaseNeedsBothWeeks(t *testing.T) {
	c := daily(aks1, 1, steady(10))
	r := Compute(&Input{Now: testNow.UnixNano(), Tenant: testTenant(), Charges: append(c[:36:36], c[42:]...)})
	if len(r.Increases) != 0 {
		t.Errorf("got %+v", r.Increases)
	}
	found := false
	for _, g := range r.Gaps {
		found = found || strings.Contains(g.What, "increases in 1 subscription")
	}
	if !found {
		t.Errorf("gaps %+v", r.Gaps)
	}
}
