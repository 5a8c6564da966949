package cost

import (
	"math"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// onlyOne leaves the first cluster of small, with a bill of its plan for the 1st: the day
// that its bill covers. Computed are 216 vCore-hours at 0.01: 2.16.
func onlyOne(plan ...Charge) *Input {
	in := small()
	in.Tenant.Clusters = in.Tenant.Clusters[:1]
	in.Scans = nil
	in.Charges = append(in.Charges, plan...)
	for i := range in.Tenant.Clusters[0].Pools { // it stood still: counting its nodes is no guess
		in.Tenant.Clusters[0].Pools[i].Autoscaled = false
	}
	return in
}

func planCharge(cost Amount, change func(*Charge)) Charge {
	c := Charge{Start: instant("2026-09-01T00:00:00Z"), End: instant("2026-09-02T00:00:00Z"), Category: "Usage", Currency: "EUR", Billed: cost, Effective: cost, SubAccount: subA, Resource: aks1,
		Quantity: 216, QuantityUnit: "vCore Hours", MeterCategory: "Microsoft Defender for Cloud", MeterSub: "Microsoft Defender for Containers", Meter: "Standard vCore"}
	if change != nil {
		change(&c)
	}
	return c
}

func reconciled(t *testing.T, r *Report, what string) Reconciliation {
	t.Helper()
	for _, c := range r.Reconciled {
		if c.What == what {
			return c
		}
	}
	t.Fatalf("no %s in %+v", what, r.Reconciled)
	return Reconciliation{}
}

func TestThePlanAgainstItsBill(t *testing.T) {
	for _, tt := range []struct {
		name       string
		in         *Input
		difference float64
		finding    bool
		why        string
	}{
		{"as computed", onlyOne(planCharge(2_160_000, nil)), 0, false, "billed: 216 vCore Hours at 0.01 EUR each"},
		{"1 % more", onlyOne(planCharge(2_180_000, nil)), 2.16/2.18 - 1, false, ""},
		{"3 % more", onlyOne(planCharge(2_224_800, nil)), 2.16/2.2248 - 1, true, "not known here"},
		{"negotiated", onlyOne(planCharge(1_944_000, func(c *Charge) { c.List = 2_160_000 })), 2.16/1.944 - 1, true, "negotiated price: effective cost is 10.0 % below list"},
		{"reservation", onlyOne(planCharge(1_944_000, func(c *Charge) { c.Pricing = "Committed" })), 2.16/1.944 - 1, true, "reservation or commitment"},
		{"commit units", onlyOne(planCharge(1_080_000, nil), planCharge(0, func(c *Charge) { c.MeterSub, c.Meter = "", "Defender Commit Unit" })), 1, true, "commit units"},
		{"refunds", onlyOne(planCharge(2_160_000, nil), planCharge(-1_080_000, func(c *Charge) { c.Class = "Correction" })), 1, true, "1 rows are refunds"},
		{"not billed", onlyOne(), 1, true, "nothing was billed"},
		{"not read", func() *Input {
			in := onlyOne(planCharge(4_000_000, nil))
			in.Tenant.Reads = []cloud.Read{{Scope: subA, What: cloud.ReadArc, Outcome: cloud.ReadDenied}}
			return in
		}(), 2.16/4 - 1, true, "arc-clusters of this subscription could not be read: denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := reconciled(t, Compute(tt.in), ReconcilePlan)
			wantMoney(t, "computed", c.Computed, 2_160_000, "EUR")
			if c.Scope != subA || math.Abs(c.Difference-tt.difference) > 1e-9 || c.Finding != tt.finding || !strings.Contains(strings.Join(c.Why, "\n"), tt.why) {
				t.Errorf("got %+v", c)
			}
		})
	}
}

func TestWhatCouldNotBeComputedIsNoFinding(t *testing.T) {
	in := small() // with a cluster of a size nobody knows
	in.Charges = append(in.Charges, planCharge(9_000_000, nil))
	c := reconciled(t, Compute(in), ReconcilePlan)
	if c.Finding || !strings.Contains(c.Computed.NotAssessed, "1 of 3 clusters") || c.Computed.Amount != 0 || c.Billed.Amount != 9_000_000 {
		t.Errorf("got %+v", c)
	}
	in = onlyOne(planCharge(9_000_000, nil))
	in.Prices = nil // then only dollars are known
	c = reconciled(t, Compute(in), ReconcilePlan)
	if c.Finding || !strings.Contains(c.Computed.NotAssessed, "USD") {
		t.Errorf("got %+v", c)
	}
}

// Autoscaled nodes that nobody told of are a guess, which says nothing against a bill.
func TestAGuessIsNoFinding(t *testing.T) {
	in := onlyOne(planCharge(9_000_000, nil))
	in.Tenant.Clusters[0].Pools[0].Autoscaled = true
	c := reconciled(t, Compute(in), ReconcilePlan)
	if c.Finding || math.Abs(c.Difference) < 0.02 || !strings.Contains(strings.Join(c.Why, "\n"), "an estimate: of 1 of 1 clusters") {
		t.Errorf("got %+v", c)
	}
}

func TestScansIngestionAndComputeAgainstTheirBill(t *testing.T) {
	in := onlyOne(planCharge(2_160_000, nil), planCharge(700_000, func(c *Charge) { c.Meter = "Standard Images" }))
	in.Scans = map[string]int{aks1: 200}
	day1 := func(c Charge) Charge {
		c.Start, c.End, c.Category, c.Currency, c.SubAccount = instant("2026-09-01T00:00:00Z"), instant("2026-09-02T00:00:00Z"), "Usage", "EUR", subA
		c.Effective = c.Billed
		return c
	}
	ws := subA + "/resourcegroups/logs/providers/microsoft.operationalinsights/workspaces/w"
	in.Charges = append(in.Charges,
		day1(Charge{Billed: 20_000_000, Quantity: 10, QuantityUnit: "GB", Resource: ws, MeterCategory: "Log Analytics", Meter: "Analytics Logs Data Ingestion"}),
		day1(Charge{Billed: 9_000_000, Quantity: 1, QuantityUnit: "1/Day", Resource: ws + "2", MeterCategory: "Log Analytics", Meter: "100 GB Commitment Tier Capacity Reservation"}))
	in.Prices = append(in.Prices,
		Price{Meter: "Analytics Logs Data Ingestion", Service: "Log Analytics", Unit: "1 GB", Amount: 2_500_000, Currency: "EUR", AsOf: "2026-09-01", Source: "retail"},
		Price{Meter: "D4s v5", Service: "Virtual Machines", SKU: "Standard_D4s_v5", Region: "westeurope", Type: "Consumption", Unit: "1 Hour", Amount: 250_000, Currency: "EUR", AsOf: "2026-09-01", Source: "retail"},
		Price{Meter: "D4s v5 Spot", Service: "Virtual Machines", SKU: "Standard_D4s_v5", Region: "westeurope", Type: "Consumption", Unit: "1 Hour", Amount: 1, Currency: "EUR", AsOf: "2026-09-01", Source: "retail"},
		Price{Meter: "D4s v5", Service: "Virtual Machines", SKU: "Standard_D4s_v5", Product: "Virtual Machines Dsv5 Series Windows", Region: "westeurope", Type: "Consumption", Unit: "1 Hour", Amount: 2, Currency: "EUR", AsOf: "2026-09-01", Source: "retail"},
		Price{Meter: "D4s v5", Service: "Virtual Machines", SKU: "Standard_D4s_v5", Region: "westeurope", Type: "Reservation", Unit: "1 Year", Amount: 3, Currency: "EUR", AsOf: "2026-09-01", Source: "retail"})
	r := Compute(in)

	// 7 scans too many, 2.10, of which the 1st has 216/696.
	if c := reconciled(t, r, ReconcileScans); c.Computed.Amount != 651_724 || c.Billed.Amount != 700_000 || !c.Finding {
		t.Errorf("scans: %+v", c)
	}
	ok, tier := Reconciliation{}, Reconciliation{}
	for _, c := range r.Reconciled {
		if c.Scope == ws {
			ok = c
		}
		if c.Scope == ws+"2" {
			tier = c
		}
	}
	if ok.Computed.Amount != 25_000_000 || ok.Billed.Amount != 20_000_000 || ok.Difference != 0.25 || !ok.Finding {
		t.Errorf("ingestion: %+v", ok)
	}
	if tier.Finding || !strings.Contains(tier.Computed.NotAssessed, "commitment tier") {
		t.Errorf("commitment tier: %+v", tier)
	}
	// sys: 48 h at 0.25 against 9.60; mem has no price, and is left out on both sides.
	if c := reconciled(t, r, ReconcileCompute); c.Computed.Amount != 12_000_000 || c.Billed.Amount != 9_600_000 || math.Abs(c.Difference-0.25) > 1e-9 || !strings.Contains(strings.Join(c.Why, "\n"), "left out on both sides") {
		t.Errorf("compute: %+v", c)
	}
}

func TestAQuantityOfABillIsWrittenInItsUnit(t *testing.T) {
	for unit, want := range map[string]string{"1 GB": "188.984 GB", "GB": "188.984 GB", "100 GB": "188.984 × 100 GB", "10K": "188.984 × 10K", "1 Hour": "188.984 Hour"} {
		if got := amountOf(188.984, unit); got != want {
			t.Errorf("%q: %q, want %q", unit, got, want)
		}
	}
}
