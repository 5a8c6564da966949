package cost

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

func instant(s string) int64 {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t.UnixNano()
}

func yes(b bool) *bool { return &b }

const (
	nodes1 = subA + "/resourcegroups/nodes-one"
	aks3   = subA + "/resourcegroups/shop/providers/microsoft.containerservice/managedclusters/three"
)

// vmCharge is one day of a pool's machines.
func vmCharge(day, group, pool string, hours float64, cost Amount) Charge {
	start := instant(day + "T00:00:00Z")
	return Charge{Start: start, End: start + 24*hour, Category: "Usage", Currency: "EUR", Billed: cost, Effective: cost,
		Quantity: hours, QuantityUnit: "Hours", MeterCategory: "Virtual Machines", SubAccount: subA,
		Resource: group + "/providers/microsoft.compute/virtualmachinescalesets/aks-" + pool + "-12345678-vmss"}
}

// small is a tenant whose numbers can be computed by hand, on 4 September at midnight:
// three days of the month are over, of which the bill of the first is complete.
//
//   - one: pool sys of 2 × D4s_v5 (4 vCPU, 16 GiB), pool mem of 1 × E4-2ads_v5 (2 vCPU,
//     32 GiB). Billed for the 1st: sys 48 h for 9.60, mem 12 h for 3.60.
//   - two: stopped, and the plan is off at the cluster itself.
//   - three: a VM size nobody knows.
func small() *Input {
	plan := &cloud.Plan{Standard: true, Since: instant("2025-01-01T00:00:00Z")}
	return &Input{
		Now: instant("2026-09-04T00:00:00Z"),
		Tenant: &cloud.Tenant{
			Collected:     instant("2026-09-04T00:00:00Z"),
			Subscriptions: []cloud.Subscription{{ID: subA, Plan: plan}},
			Clusters: []cloud.Cluster{
				{ID: aks1, Name: "one", Kind: "aks", ResourceGroup: "shop", NodeGroup: "nodes-one", Location: "westeurope", Power: "Running", DefenderProfile: yes(true),
					Pools: []cloud.Pool{{Name: "sys", Size: "Standard_D4s_v5", Count: 2}, {Name: "mem", Size: "Standard_E4-2ads_v5", Count: 1, Autoscaled: true}}},
				{ID: aks2, Name: "two", Kind: "aks", ResourceGroup: "shop", NodeGroup: "nodes-two", Location: "westeurope", Power: "Stopped", DefenderProfile: yes(false),
					Plan: &cloud.Plan{}, Pools: []cloud.Pool{{Name: "sys", Size: "Standard_D4s_v5", Count: 2}}},
				{ID: aks3, Name: "three", Kind: "aks", ResourceGroup: "shop", NodeGroup: "nodes-three", Location: "westeurope", Power: "Running", DefenderProfile: yes(true),
					Pools: []cloud.Pool{{Name: "new", Size: "Standard_Z16-9_v9", Count: 4}}},
			},
		},
		Charges: []Charge{
			vmCharge("2026-09-01", nodes1, "sys", 48, 9_600_000),
			vmCharge("2026-09-01", nodes1, "mem", 12, 3_600_000),
			{Start: instant("2026-09-01T00:00:00Z"), End: instant("2026-09-02T00:00:00Z"), Category: "Usage", Currency: "EUR", Billed: 1_000_000, Effective: 1_000_000, SubAccount: subA},
		},
		Prices: []Price{
			{Key: PriceVCore, Unit: "vCore-month", Amount: 7_300_000, Currency: "EUR", AsOf: "2026-09-01", Source: "negotiated price"}, // 0.01 an hour
			{Key: PriceScan, Unit: "digest", Amount: 300_000, Currency: "EUR", AsOf: "2026-09-01", Source: "negotiated price"},
		},
		Scans: map[string]int{aks1: 200, aks3: 10},
		Here:  map[string]bool{aks1: true},
		Agents: []AgentCost{
			{Provider: ProviderDefender, NodeCPU: 0.4, NodeMemory: 0.5, AsOf: "2026-09-01", Source: "test"},
			{Provider: ProviderDockreeve, NodeCPU: 0.1, NodeMemory: 0.25, ClusterCPU: 0.1, ClusterMemory: 0.25, AsOf: "2026-09-01", Source: "test"},
		},
	}
}

func TestProtectionOfASmallTenantByHand(t *testing.T) {
	r := Compute(small())
	c := r.Clusters[aks1]

	// vCore-hours: 1st 48×4 + 12×2 = 216, as billed; 2nd and 3rd 2×24×4 + 24×2 = 240 each,
	// by present counts. At 0.01: 2.16 + 2.40 + 2.40 = 6.96.
	def := c.Protection[0]
	wantMoney(t, "plan", def.Plan, 6_960_000, "EUR")
	// Average vCores 696/72 = 9.667, which include 193.3 scans: 200 are 7 too many, at 0.30.
	wantMoney(t, "scans", def.Scans, 2_100_000, "EUR")
	wantMoney(t, "ingestion", def.Ingestion, 0, "EUR")
	// A sys node costs 0.20 an hour, of which 0.5×0.4/4 + 0.5×0.5/16 = 0.065625 is reserved;
	// a mem node 0.30, of which 0.5×0.4/2 + 0.5×0.5/32 = 0.1078125.
	// 1st 48×0.013125 + 12×0.03234375 = 1.018125; then 48×0.013125 + 24×0.03234375 = 1.40625.
	wantMoney(t, "agents", def.Agents, 1_018_125+2*1_406_250, "EUR")
	wantMoney(t, "total", def.Total, 6_960_000+2_100_000+3_830_625, "EUR")

	// Dockreeve: sys 0.0203125×0.20, mem 0.02890625×0.30, and once per cluster what a sys
	// node's price is for 0.1 cores and 0.25 GiB: 1st 0.195 + 0.1040625 + 0.0975, then
	// 0.195 + 0.208125 + 0.0975.
	own := c.Protection[1]
	wantMoney(t, "own plan", own.Plan, 0, "EUR")
	wantMoney(t, "own agents", own.Agents, 396_563+2*500_625, "EUR")

	if got, want := c.VCores, 696.0/72; math.Abs(got-want) > 1e-9 {
		t.Errorf("vCores: got %g, want %g", got, want)
	}
	if len(c.Days) != 3 || c.Days[0].VCores != 9 || c.Days[1].VCores != 10 || c.Days[0].Nodes != 2.5 {
		t.Errorf("days: %+v", c.Days)
	}
	// On the 1st, the only day with a bill: protection 2.16 + its part of the scans
	// (2.10×216/696) + 1.018125 + 0.396563; the cluster 13.20 + plan + scans.
	scans := 2.1 * 216 / 696
	if want := (2.16 + scans + 1.018125 + 0.396563) / (13.2 + 2.16 + scans); c.ShareWhy != "" || math.Abs(c.Share-want) > 1e-6 {
		t.Errorf("share: got %g (%s), want %g", c.Share, c.ShareWhy, want)
	}
	var mem PoolCost
	for _, p := range c.Pools {
		if p.Pool == "mem" {
			mem = p
		}
	}
	if mem.VCPUs != 2 || mem.Hours != 60 || mem.VCoreDays != 5 {
		t.Errorf("pool mem: %+v", mem)
	}
	wantMoney(t, "pool mem", mem.Compute, 18_000_000, "EUR")
	wantGap(t, c.Gaps, "nodes", "autoscaled")

	off := r.Clusters[aks2]
	wantMoney(t, "stopped and off", off.Protection[0].Total, 0, "EUR")
	if off.Protection[0].Plan.Source != "the plan is off" || off.PerVCore.NotAssessed != "no vCore ran" {
		t.Errorf("stopped and off: %+v, %+v", off.Protection[0].Plan, off.PerVCore)
	}

	unknown := r.Clusters[aks3]
	if why := unknown.Protection[0].Total.NotAssessed; !strings.Contains(why, "Standard_Z16-9_v9") || !strings.Contains(why, "not guessed") {
		t.Errorf("unknown size: %q", why)
	}
	wantGap(t, unknown.Gaps, "vCores", "Standard_Z16-9_v9")

	if len(r.Protection) != 6 {
		t.Fatalf("protection: %d sums", len(r.Protection))
	}
	d := r.Protection[0]
	wantMoney(t, "sum of plans", d.Plan, 6_960_000, "EUR")
	if d.Provider != ProviderDefender || d.Hypothetic || d.Clusters != 2 || d.NotAssessed != 1 || !strings.Contains(d.Note, "1 of 3 clusters not assessed") {
		t.Errorf("sum of defender: %+v", d)
	}
	if h := r.Protection[3]; !h.Hypothetic || h.Clusters != 3 || h.NotAssessed != 1 {
		t.Errorf("were it on everywhere: %+v", h)
	}
	wantMoney(t, "both", r.Protection[2].Total, def.Total.Amount+own.Total.Amount, "EUR")
}

func wantMoney(t *testing.T, what string, got Money, amount Amount, currency string) {
	t.Helper()
	if got.NotAssessed != "" || got.Amount != amount || got.Currency != currency {
		t.Errorf("%s: got %d %s (%s), want %d %s", what, got.Amount, got.Currency, got.NotAssessed, amount, currency)
	}
}

func wantGap(t *testing.T, gaps []Gap, what, reason string) {
	t.Helper()
	for _, g := range gaps {
		if strings.Contains(g.What, what) && strings.Contains(g.Reason, reason) {
			return
		}
	}
	t.Errorf("no gap %q because of %q in %+v", what, reason, gaps)
}

func TestWhatTurnsProtectionOnAndOff(t *testing.T) {
	sept4 := instant("2026-09-04T00:00:00Z")
	for _, tt := range []struct {
		name   string
		change func(*Input)
		plan   Amount
		why    string
	}{
		{"trial that ends at noon of the 2nd", func(in *Input) {
			// Collected at the start of the month with a day and a half left: 12 of 24 hours
			// of the 2nd count, and the 3rd.
			in.Tenant.Collected = instant("2026-09-01T00:00:00Z")
			in.Tenant.Subscriptions[0].Plan.TrialSeconds = 36 * 3600
		}, 1_200_000 + 2_400_000, ""},
		{"on since the 3rd", func(in *Input) { in.Tenant.Subscriptions[0].Plan.Since = instant("2026-09-03T00:00:00Z") }, 2_400_000, ""},
		{"off for the subscription", func(in *Input) { in.Tenant.Subscriptions[0].Plan = &cloud.Plan{} }, 0, ""},
		{"off for the subscription, on at the cluster", func(in *Input) {
			in.Tenant.Subscriptions[0].Plan = &cloud.Plan{}
			in.Tenant.Clusters[0].Plan = &cloud.Plan{Standard: true}
		}, 6_960_000, ""},
		{"inherited", func(in *Input) { in.Tenant.Clusters[0].Plan = &cloud.Plan{Inherited: true} }, 6_960_000, ""},
		{"not read", func(in *Input) { in.Tenant.Subscriptions[0].Plan = nil }, 0, "was not read"},
		{"by its older name", func(in *Input) { in.Tenant.Subscriptions[0].Plan.Legacy = "KubernetesService" }, 0, "KubernetesService"},
		{"stopped pool", func(in *Input) {
			in.Charges = nil
			in.Currency = "EUR"
			in.Tenant.Clusters[0].Pools[1].Power = "Stopped"
		}, 3 * 1_920_000, ""},
		{"made on the 3rd at noon", func(in *Input) {
			in.Charges = nil
			in.Currency = "EUR"
			in.Tenant.Clusters[0].Created = sept4 - 12*hour
		}, 1_200_000, ""},
		{"agents saw other cores", func(in *Input) {
			in.Charges = nil
			in.Currency = "EUR"
			for h := instant("2026-09-01T00:00:00Z"); h < sept4; h += hour {
				in.Usage = append(in.Usage, inventory.Usage{Cluster: aks1, Hour: h, Cores: 5, Nodes: 2, Samples: 60})
			}
		}, 3 * 24 * 5 * 10_000, ""},
		{"size that the tenant names", func(in *Input) {
			in.Charges = nil
			in.Currency = "EUR"
			in.Tenant.Clusters[0].Pools = []cloud.Pool{{Name: "x", Size: "Standard_New_v1", Count: 1}}
			in.Tenant.Sizes = []cloud.Size{{Name: "standard_new_v1", VCPUs: 3, Memory: 8}}
		}, 3 * 24 * 3 * 10_000, ""},
		{"billed as not running on the 1st", func(in *Input) {
			in.From = instant("2026-08-31T00:00:00Z")
			in.Charges = append(in.Charges, Charge{Start: instant("2026-08-31T00:00:00Z"), Category: "Usage", Currency: "EUR", Billed: 1, Effective: 1, SubAccount: subA})
		}, 6_960_000, ""},
		{"an exchange rate of the bill", func(in *Input) {
			in.Prices[0].Currency = "USD"
			in.Charges[0].More = map[string]string{"x_PricingCurrency": "USD", "x_BillingExchangeRate": "0.5"}
		}, 3_480_000, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := small()
			tt.change(in)
			got := Compute(in).Clusters[aks1].Protection[0].Plan
			if tt.why != "" {
				if !strings.Contains(got.NotAssessed, tt.why) || got.Amount != 0 {
					t.Errorf("got %+v, want not assessed: %s", got, tt.why)
				}
				return
			}
			wantMoney(t, "plan", got, tt.plan, "EUR")
		})
	}
}

func TestAPriceInAnotherCurrencyIsNotAdded(t *testing.T) {
	in := small()
	in.Prices = nil
	r := Compute(in)
	c := r.Clusters[aks1]
	if p := c.Protection[0].Plan; p.Currency != "USD" || p.NotAssessed != "" || p.Amount == 0 {
		t.Errorf("plan: %+v", p)
	}
	if c.Days[0].Protection != 0 || !strings.Contains(c.ShareWhy, "USD") {
		t.Errorf("days %+v, share: %q", c.Days[0], c.ShareWhy)
	}
	wantGap(t, r.Gaps, "cost of protection in EUR", "exchange rate")
	wantGap(t, c.Gaps, "protection by day", "USD")
}

// tenantOf draws a tenant with a bill.
func tenantOf(t *rapid.T) *Input {
	in := small()
	in.Tenant.Clusters, in.Charges, in.Scans, in.Here = nil, nil, map[string]int{}, map[string]bool{}
	sizes := []string{"Standard_D4s_v5", "Standard_E4-2ads_v5", "Standard_B2ms", "Standard_NC6s_v3", "Standard_Z9_v9"}
	in.Now = instant("2026-09-01T00:00:00Z") + int64(rapid.IntRange(1, 20*24).Draw(t, "hours"))*hour
	for i := range rapid.IntRange(0, 5).Draw(t, "clusters") {
		name := fmt.Sprint("c", i)
		id := subA + "/resourcegroups/g/providers/microsoft.containerservice/managedclusters/" + name
		c := cloud.Cluster{ID: id, Name: name, Kind: "aks", ResourceGroup: "g", NodeGroup: "n-" + name,
			Power: rapid.SampledFrom([]string{"Running", "Stopped", ""}).Draw(t, "power"), DefenderProfile: rapid.SampledFrom([]*bool{nil, yes(true), yes(false)}).Draw(t, "profile")}
		for k := range rapid.IntRange(0, 3).Draw(t, "pools") {
			c.Pools = append(c.Pools, cloud.Pool{Name: fmt.Sprint("p", k), Size: rapid.SampledFrom(sizes).Draw(t, "size"), Count: rapid.IntRange(0, 9).Draw(t, "count")})
		}
		if rapid.Bool().Draw(t, "own plan") {
			c.Plan = &cloud.Plan{Standard: rapid.Bool().Draw(t, "on"), Since: in.Now - rapid.Int64Range(0, 20*day).Draw(t, "since")}
		}
		if rapid.Bool().Draw(t, "hub") {
			c.Diagnostics = []cloud.Diagnostic{{EventHub: subA + "/resourceGroups/hubs/providers/Microsoft.EventHub/namespaces/one/authorizationRules/send", Categories: []string{"kube-audit"}}}
		}
		in.Here[id] = rapid.Bool().Draw(t, "here")
		in.Scans[id] = rapid.IntRange(0, 3000).Draw(t, "scans")
		in.Tenant.Clusters = append(in.Tenant.Clusters, c)
	}
	for range rapid.IntRange(0, 60).Draw(t, "charges") {
		day := fmt.Sprintf("2026-09-%02d", rapid.IntRange(1, 25).Draw(t, "day"))
		group := subA + "/resourcegroups/n-c" + fmt.Sprint(rapid.IntRange(0, 7).Draw(t, "of"))
		c := vmCharge(day, group, fmt.Sprint("p", rapid.IntRange(0, 4).Draw(t, "pool")), rapid.Float64Range(0, 240).Draw(t, "hours"), Amount(rapid.Int64Range(-5e6, 900e6).Draw(t, "cost")))
		c.Currency = rapid.SampledFrom([]string{"EUR", "EUR", "EUR", "USD"}).Draw(t, "currency")
		if rapid.IntRange(0, 5).Draw(t, "other") == 0 {
			c.Resource = subA + "/resourcegroups/hubs/providers/microsoft.eventhub/namespaces/one"
			c.MeterCategory = "Event Hubs"
		}
		in.Charges = append(in.Charges, c)
	}
	in.Currency = "EUR"
	return in
}

func TestDaysAddUpToTotalsAndClustersToTheBill(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := tenantOf(t)
		r := Compute(in)
		for id, c := range r.Clusters {
			var days, total Amount
			for _, d := range c.Days {
				days += d.Protection
			}
			for _, p := range c.Protection {
				if p.Total.NotAssessed != "" && p.Total.Amount != 0 {
					t.Fatalf("%s %s: not assessed, and %d", id, p.Provider, p.Total.Amount)
				}
				total += p.Total.Amount
				for _, m := range []Money{p.Plan, p.Scans, p.Ingestion, p.Agents, p.Total} {
					if m.Currency == "" || m.Source == "" && m.NotAssessed == "" {
						t.Fatalf("%s %s: a figure without currency or source: %+v", id, p.Provider, p)
					}
				}
			}
			if days != total {
				t.Fatalf("%s: days add up to %d, providers to %d", id, days, total)
			}
			if c.Share < 0 || c.Share > 1 || math.IsNaN(c.Share) {
				t.Fatalf("%s: share %g", id, c.Share)
			}
		}
		var mine Amount
		for _, x := range billsOf(in) {
			mine += x
		}
		if r.Billed.NotAssessed == "" && mine+r.Unassigned.Amount != r.Billed.Amount {
			t.Fatalf("clusters %d and unassigned %d are not the bill %d", mine, r.Unassigned.Amount, r.Billed.Amount)
		}
	})
}

// billsOf gives what each cluster was billed.
func billsOf(in *Input) map[string]Amount {
	r := &Report{}
	p := newProtector(in, r)
	out := map[string]Amount{}
	for id, b := range p.bills {
		out[id] = b.billed
	}
	return out
}
