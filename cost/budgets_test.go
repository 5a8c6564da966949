package cost

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// daily bills one cluster's nodes from a day of October (1 = 1 October) to one before testNow.
func daily(cluster string, first int, units func(d time.Time) float64) []Charge {
	var out []Charge
	for t := time.Date(2026, 10, first, 0, 0, 0, 0, time.UTC); t.Before(testNow.Truncate(24 * time.Hour)); t = t.AddDate(0, 0, 1) {
		out = append(out, nodes(cluster, t.UnixNano(), t.AddDate(0, 0, 1).UnixNano(), units(t)))
	}
	return out
}

func TestBudgetBurnsAndBreaks(t *testing.T) {
	flat := func(time.Time) float64 { return 10 }
	told := 333.0
	in := &Input{Now: testNow.UnixNano(), Tenant: testTenant(), Charges: daily(aks1, 1, flat)}
	in.Tenant.Collected = testNow.UnixNano()
	in.Tenant.Budgets = []cloud.Budget{{ID: subA + "/resourceGroups/nodes-one/providers/Microsoft.Consumption/budgets/b1", Name: "b1",
		Scope: subA + "/resourceGroups/Nodes-One", Amount: 250, Grain: "Monthly", Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano(), Spent: 188, Forecast: &told,
		Notices: []cloud.BudgetThreshold{{Percent: 75, Enabled: true}, {Percent: 90, Enabled: true}, {Percent: 110, Forecasted: true, Enabled: true}, {Percent: 10}}}}
	r := Compute(in)
	b := r.Budgets[0]
	// 19 days at 10, 11 days to come.
	if b.Spent.Amount != 190*Unit || b.Forecast.Amount != 300*Unit || b.Breach != "2026-11-26" || b.Cluster != aks1 {
		t.Errorf("got %+v", b)
	}
	if b.AzureSpent.Amount != 188*Unit || b.AzureForecast.Amount != 333*Unit || b.Spent.Currency != "EUR" || len(b.Notes) != 1 {
		t.Errorf("Azure's: %+v", b)
	}
	if got := b.Thresholds; len(got) != 3 || !got[0].Crossed || got[1].Crossed || !got[2].Crossed {
		t.Errorf("thresholds: %+v", got)
	}
	if c := r.Clusters[aks1]; c.Budget.Amount != 250*Unit || c.Forecast.Amount != 300*Unit || c.MonthToDate.Amount != 190*Unit {
		t.Errorf("cluster: %+v", c)
	}
	if c := r.Clusters[aks2]; c.Budget.NotAssessed == "" {
		t.Errorf("another cluster: %+v", c.Budget)
	}
}

func TestBudgetsThatCannotBeAppliedSayWhy(t *testing.T) {
	base := cloud.Budget{ID: "x", Scope: subA, Amount: 100, Grain: "Monthly", Spent: 7}
	for _, tt := range []struct {
		name   string
		change func(*cloud.Budget)
		want   string
	}{
		{"dimension", func(b *cloud.Budget) {
			b.Filters = []cloud.BudgetFilter{{Name: "InvoiceSectionId", Values: []string{"a"}}}
		}, "InvoiceSectionId"},
		{"currency", func(b *cloud.Budget) { b.Currency = "USD" }, "USD"},
		{"too long ago", func(b *cloud.Budget) { b.Grain = "Annually" }, "the bill begins on 2026-10-01"},
		{"scope", func(b *cloud.Budget) { b.Scope = "/providers/Microsoft.Billing/billingAccounts/1" }, "scope"},
		{"amount", func(b *cloud.Budget) { b.Amount = math.NaN() }, "amount"},
		{"grain", func(b *cloud.Budget) { b.Grain = "weekly" }, "grain"},
		{"over", func(b *cloud.Budget) { b.End = at(1, 0) }, "ended on 2026-11-01"},
		{"other subscription", func(b *cloud.Budget) { b.Scope = "/subscriptions/other" }, "no row"},
		{"nothing passes", func(b *cloud.Budget) {
			b.Filters = []cloud.BudgetFilter{{Name: "MeterCategory", Values: []string{"Storage"}}}
		}, "no row"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := base
			tt.change(&b)
			r := Compute(&Input{Now: testNow.UnixNano(), Tenant: testTenant(), Charges: daily(aks1, 1, func(time.Time) float64 { return 1 }), Budgets: []cloud.Budget{b}})
			got := r.Budgets[0]
			if !strings.Contains(got.Spent.NotAssessed, tt.want) || got.Forecast.NotAssessed == "" || got.Burn != 0 || got.Breach != "" {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestSecurityBudgets(t *testing.T) {
	f := func(name string, values ...string) cloud.BudgetFilter {
		return cloud.BudgetFilter{Name: name, Values: values}
	}
	for _, tt := range []struct {
		name    string
		filters []cloud.BudgetFilter
		want    bool
	}{
		{"none", nil, false},
		{"defender", []cloud.BudgetFilter{f("MeterCategory", "Microsoft Defender for Cloud")}, true},
		{"defender and logs, some group", []cloud.BudgetFilter{f("ResourceGroupName", "a"), f("ServiceName", "Security Center", "log analytics")}, true},
		{"not only", []cloud.BudgetFilter{f("MeterCategory", "Log Analytics", "Virtual Machines")}, false},
		{"a tag of that name", []cloud.BudgetFilter{{Tag: true, Name: "ServiceName", Values: []string{"Sentinel"}}}, false},
		{"empty", []cloud.BudgetFilter{f("MeterCategory")}, false},
	} {
		if got := isSecurity(tt.filters); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}

func TestBudgetOfACluster(t *testing.T) {
	tenant := testTenant()
	tenant.Clusters[0].Tags = map[string]string{"App": "one", "Team": "x"}
	tenant.Clusters[1].Tags = map[string]string{"app": "two", "team": "x"}
	s := newScopes(newLedger(&Input{Tenant: tenant, Now: testNow.UnixNano()}))
	for _, tt := range []struct {
		name string
		b    cloud.Budget
		want string
	}{
		{"subscription", cloud.Budget{Scope: subA}, ""},
		{"node group", cloud.Budget{Scope: strings.ToUpper(subA + "/resourceGroups/nodes-two")}, aks2},
		{"group with two clusters", cloud.Budget{Scope: subA + "/resourcegroups/shop"}, ""},
		{"resource", cloud.Budget{Scope: subA, Filters: []cloud.BudgetFilter{{Name: "ResourceId", Values: []string{aks1}}}}, aks1},
		{"two resources", cloud.Budget{Scope: subA, Filters: []cloud.BudgetFilter{{Name: "ResourceId", Values: []string{aks1, aks2}}}}, ""},
		{"two and nobody's", cloud.Budget{Scope: subA, Filters: []cloud.BudgetFilter{{Name: "ResourceId", Values: []string{"/x", aks2}}}}, ""},
		{"group by name", cloud.Budget{Scope: subA, Filters: []cloud.BudgetFilter{{Name: "ResourceGroupName", Values: []string{"Nodes-One"}}}}, aks1},
		{"tag", cloud.Budget{Scope: subA, Filters: []cloud.BudgetFilter{{Tag: true, Name: "APP", Values: []string{"Two"}}}}, aks2},
		{"tag of two", cloud.Budget{Scope: subA, Filters: []cloud.BudgetFilter{{Tag: true, Name: "team", Values: []string{"x"}}}}, ""},
		{"security of one", cloud.Budget{Scope: aks1, Filters: []cloud.BudgetFilter{{Name: "MeterCategory", Values: []string{"Log Analytics"}}}}, ""},
	} {
		if got := s.clusterOf(&tt.b); got != tt.want {
			t.Errorf("%s: got %q", tt.name, got)
		}
	}
}

// The forecast knows weekends, and neither a refund nor a purchase nor a day that is
// missing moves it.
func TestForecast(t *testing.T) {
	week := func(d time.Time) float64 {
		if d.Weekday() == time.Saturday || d.Weekday() == time.Sunday {
			return 20
		}
		return 100
	}
	whole := 0.0
	for d := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC); d.Month() == 11; d = d.AddDate(0, 0, 1) {
		whole += week(d)
	}
	for _, tt := range []struct {
		name   string
		change func([]Charge) []Charge
		want   float64
	}{
		{"plain", func(c []Charge) []Charge { return c }, whole},
		{"a day is missing", func(c []Charge) []Charge { return append(c[:40:40], c[41:]...) }, whole},
		{"the newest days are missing", func(c []Charge) []Charge { return c[:len(c)-2] }, whole},
		{"a refund", func(c []Charge) []Charge {
			return append(c, Charge{SubAccount: subA, Start: at(10, 0), Category: "Usage", Class: "Correction", Currency: "EUR", Billed: -500 * Unit, Resource: aks1})
		}, whole - 500},
		{"a purchase", func(c []Charge) []Charge {
			return append(c, Charge{SubAccount: subA, Start: at(10, 0), Category: "Purchase", Currency: "EUR", Billed: 900 * Unit, Resource: aks1})
		}, whole + 900},
		{"one strange day", func(c []Charge) []Charge { c[45].Billed += 700 * Unit; return c }, whole + 700},
		{"half of today", func(c []Charge) []Charge { return append(c, nodes(aks1, at(20, 0), at(21, 0), 30)) }, whole},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Compute(&Input{Now: testNow.UnixNano(), Tenant: testTenant(), Charges: tt.change(daily(aks1, 1, week))})
			if got := r.Clusters[aks1].Forecast; math.Abs(got.Amount.Float()-tt.want) > 0.01 {
				t.Errorf("forecast %v (%s), want %v", got.Amount, got.NotAssessed, tt.want)
			}
		})
	}
	if c := Compute(&Input{Now: testNow.UnixNano(), Tenant: testTenant(), Charges: []Charge{nodes(aks1, at(18, 0), at(19, 0), 5)}}).Clusters[aks1]; c.Forecast.NotAssessed == "" || c.MonthToDate.Amount != 5*Unit {
		t.Errorf("a forecast from one day: %+v", c)
	}
}

// Eight of ten months end inside the interval; fewer than seven of ten would be a lie.
func TestForecastInterval(t *testing.T) {
	inside, n := 0, 300
	for i := range n {
		rnd := rand.New(rand.NewPCG(uint64(i), 5))
		days, known := map[int64]Amount{}, dayset{}
		for d := int64(20000); d < 20090; d++ {
			days[d], known[d] = FromFloat(100*(1+0.1*rnd.NormFloat64())), true
		}
		var truth float64
		for d := int64(20060); d < 20090; d++ {
			truth += days[d].Float()
		}
		past, pastKnown := map[int64]Amount{}, dayset{}
		for d := int64(20000); d < 20070; d++ {
			past[d], pastKnown[d] = days[d], true
		}
		o := foresee(past, past, pastKnown, 20060, 20090, 20070, 0)
		if o.low.Float() <= truth && truth <= o.high.Float() {
			inside++
		}
	}
	t.Logf("%d of %d months ended inside the interval", inside, n)
	if inside < n*7/10 {
		t.Errorf("%d of %d months ended inside an interval of 80 %%", inside, n)
	}
}
