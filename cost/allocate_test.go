package cost

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"pgregory.net/rapid"
)

var testNow = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

// at is a moment of the test's November.
func at(d, h int) int64 { return time.Date(2026, 11, d, h, 0, 0, 0, time.UTC).UnixNano() }

func testTenant() *cloud.Tenant {
	return &cloud.Tenant{Clusters: []cloud.Cluster{
		{ID: aks1, Name: "one", Kind: "aks", Subscription: subA, ResourceGroup: "shop", Location: "westeurope", NodeGroup: "nodes-one"},
		{ID: aks2, Name: "two", Kind: "aks", Subscription: subA, ResourceGroup: "shop", Location: "westeurope", NodeGroup: "nodes-two"},
	}}
}

func nodes(cluster string, start, end int64, units float64) Charge {
	return Charge{SubAccount: subA, Start: start, End: end, Category: "Usage", Currency: "EUR", Billed: FromFloat(units), Effective: FromFloat(units),
		Resource:      subA + "/resourcegroups/nodes-" + lastOf(cluster) + "/providers/microsoft.compute/virtualmachinescalesets/pool",
		MeterCategory: "Virtual Machines", Meter: "D4s v5", Service: "Virtual Machines"}
}

func checkSum(t interface{ Fatalf(string, ...any) }, r *Report) {
	var sum Amount
	for _, a := range r.Namespaces {
		sum += a.Cost.Amount
	}
	teams := Amount(0)
	for _, a := range r.Teams {
		teams += a.Cost.Amount
	}
	if teams != sum {
		t.Fatalf("teams have %v, namespaces %v", teams, sum)
	}
	sum += r.Idle.Amount + r.Shared.Amount + r.Unassigned.Amount
	if sum != r.Billed.Amount {
		t.Fatalf("parts add up to %v, the bill to %v", sum, r.Billed.Amount)
	}
	days := Amount(0)
	for _, d := range r.Days {
		days += d.Billed
	}
	if days != r.Billed.Amount {
		t.Fatalf("days add up to %v, the bill to %v", days, r.Billed.Amount)
	}
	left := map[string]Amount{SeriesIdle: r.Idle.Amount, SeriesShared: r.Shared.Amount, SeriesUnassigned: r.Unassigned.Amount}
	for i, a := range r.Teams {
		if i < maxSeries {
			left[SeriesTeam+a.Key] = a.Cost.Amount
		} else {
			left[SeriesRest] += a.Cost.Amount
		}
	}
	for i, d := range r.Days {
		for _, s := range r.Allocated {
			d.Billed -= s.Days[i]
			left[s.Kind+s.Key] -= s.Days[i]
		}
		if d.Billed != 0 {
			t.Fatalf("%s: series miss the bill by %v", d.Day, d.Billed)
		}
	}
	for k, a := range left {
		if a != 0 {
			t.Fatalf("series %s misses what it is of by %v", k, a)
		}
	}
}

// Whatever is billed and whatever was measured of it, every micro is somewhere, once.
func TestAllocationAddsUpToTheBill(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := &Input{Now: testNow.UnixNano(), Tenant: testTenant(), Owners: map[string]string{aks1: "ann", aks1 + "|web": "bob"}}
		for i := range rapid.IntRange(0, maxSeries+3).Draw(t, "owners") {
			in.Owners[aks2+"|"+fmt.Sprint("n", i)] = fmt.Sprint("team ", i)
		}
		in.Currency = rapid.SampledFrom([]string{"", "EUR", "USD"}).Draw(t, "currency")
		resources := []string{aks1, aks2, subA + "/resourcegroups/nodes-one/providers/microsoft.compute/virtualmachinescalesets/p",
			subA + "/resourcegroups/nodes-two/providers/microsoft.compute/virtualmachinescalesets/p",
			subA + "/resourcegroups/nodes-one/providers/microsoft.network/publicipaddresses/a", subA + "/resourcegroups/other/providers/x/y/z", ""}
		want := map[string]Amount{}
		for i, n := 0, rapid.IntRange(0, 30).Draw(t, "charges"); i < n; i++ {
			c := Charge{SubAccount: subA, Resource: rapid.SampledFrom(resources).Draw(t, "resource"),
				Category: rapid.SampledFrom([]string{"Usage", "Usage", "Purchase", "Credit", "Tax"}).Draw(t, "category"),
				Class:    rapid.SampledFrom([]string{"", "", "Correction"}).Draw(t, "class"),
				Currency: rapid.SampledFrom([]string{"EUR", "EUR", "USD"}).Draw(t, "billed in"),
				Billed:   Amount(rapid.OneOf(rapid.Int64Range(-5, 5), rapid.Int64Range(-1e9, 1e9), rapid.Int64Range(-1e15, 1e15)).Draw(t, "amount"))}
			c.Start = at(rapid.IntRange(1, 19).Draw(t, "day"), rapid.IntRange(0, 23).Draw(t, "hour"))
			c.End = c.Start + int64(rapid.SampledFrom([]time.Duration{0, time.Hour, 24 * time.Hour, 72 * time.Hour}).Draw(t, "length"))
			if rapid.IntRange(0, 5).Draw(t, "tagged") == 0 {
				c.Tags = map[string]string{"kubernetes.io-created-for-pvc-namespace": rapid.SampledFrom([]string{"web", "db", "kube-system", "n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9", "n10"}).Draw(t, "tag")}
			}
			want[c.Currency] += c.Billed
			in.Charges = append(in.Charges, c)
		}
		for i, n := 0, rapid.IntRange(0, 60).Draw(t, "hours"); i < n; i++ {
			in.Usage = append(in.Usage, inventory.Usage{Cluster: rapid.SampledFrom([]string{aks1, aks2}).Draw(t, "cluster"),
				Hour:      at(rapid.IntRange(1, 19).Draw(t, "usage day"), rapid.IntRange(0, 23).Draw(t, "usage hour")),
				Namespace: rapid.SampledFrom([]string{"", "web", "db", "jobs", "kube-system", "n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9", "n10"}).Draw(t, "namespace"),
				Charged:   rapid.SampledFrom([]float64{0, 1e-9, 0.5, 3, 1e6}).Draw(t, "charged"), Cores: rapid.SampledFrom([]float64{0, 4, 8}).Draw(t, "cores")})
		}
		r := Compute(in)
		checkSum(t, r)
		if in.Currency != "" && len(r.Billed.NotAssessed) == 0 && r.Billed.Amount != want[in.Currency] {
			t.Fatalf("billed %v, want %v", r.Billed.Amount, want[in.Currency])
		}
		for _, m := range r.Others {
			if m.Amount != want[m.Currency] {
				t.Fatalf("%s: %v, want %v", m.Currency, m.Amount, want[m.Currency])
			}
		}
		if len(r.Others) > 1 || r.Bad != 0 {
			t.Fatalf("others %v, bad %d", r.Others, r.Bad)
		}
	})
}

func TestSplitIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		of := Amount(rapid.Int64().Draw(t, "amount"))
		var among []share
		for i, n := 0, rapid.IntRange(1, 20).Draw(t, "shares"); i < n; i++ {
			among = append(among, share{fmt.Sprint(i), rapid.Float64().Draw(t, "weight")})
		}
		parts, ok := split(of, among)
		var sum Amount
		for i, p := range parts {
			if !(among[i].weight > 0) && p != 0 {
				t.Fatalf("weight %v gets %v", among[i].weight, p)
			}
			if p != 0 && (p > 0) != (of > 0) {
				t.Fatalf("part %v of %v has the other sign", p, of)
			}
			sum += p
		}
		if ok && sum != of || !ok && sum != 0 {
			t.Fatalf("parts add up to %d, want %d (%v)", sum, of, ok)
		}
	})
}

func TestSplitIsProportional(t *testing.T) {
	parts, ok := split(100, []share{{"a", 1}, {"b", 1}, {"c", 1}})
	if fmt.Sprint(parts, ok) != "[0.000034 0.000033 0.000033] true" {
		t.Errorf("got %v %v", parts, ok)
	}
}

func TestAllocateByTheHour(t *testing.T) {
	u := func(h int, ns string, charged, cores float64) inventory.Usage {
		return inventory.Usage{Cluster: aks1, Hour: at(3, h), Namespace: ns, Charged: charged, Cores: cores, Samples: 60}
	}
	in := &Input{Now: testNow.UnixNano(), Tenant: testTenant(), Owners: map[string]string{aks1: "ann", aks1 + "|db": "dba"},
		Charges: []Charge{
			nodes(aks1, at(3, 0), at(4, 0), 24),
			{SubAccount: subA, Start: at(3, 0), End: at(4, 0), Category: "Usage", Currency: "EUR", Billed: 2 * Unit, Resource: aks1, MeterCategory: "Azure Kubernetes Service"},
			{SubAccount: subA, Start: at(3, 0), End: at(4, 0), Category: "Usage", Currency: "EUR", Billed: 3 * Unit, MeterCategory: "Storage",
				Resource: subA + "/resourcegroups/nodes-one/providers/microsoft.compute/disks/pvc-1", Tags: map[string]string{"kubernetes.io-created-for-pvc-namespace": "db"}},
			{SubAccount: subA, Start: at(3, 0), End: at(4, 0), Category: "Usage", Currency: "EUR", Billed: 5 * Unit, Resource: subA + "/resourcegroups/x/providers/a/b/c"},
		},
		// Two of 24 hours were measured. In the first, a quarter of 8 cores each is web's, db's and the platform's; in the
		// second, 4 cores are overcommitted: 6 are charged.
		Usage: []inventory.Usage{
			u(1, "", 0, 8), u(1, "web", 2, 0), u(1, "db", 2, 0), u(1, "kube-system", 2, 0),
			u(2, "", 0, 4), u(2, "web", 6, 0),
		}}
	r := Compute(in)
	checkSum(t, r)
	got := map[string]Amount{"idle": r.Idle.Amount, "shared": r.Shared.Amount, "unassigned": r.Unassigned.Amount}
	for _, a := range r.Namespaces {
		got[a.Namespace+" of "+a.Owner] = a.Cost.Amount
	}
	// 12 core-hours at 2 each: web 2+4, db 2, platform 2, idle 2.
	want := map[string]Amount{"web of ann": 12 * Unit, "db of dba": (4 + 3) * Unit, "idle": 4 * Unit, "shared": (4 + 2) * Unit, "unassigned": 5 * Unit}
	for k, w := range want {
		if got[k] != w {
			t.Errorf("%s: %v, want %v", k, got[k], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	c := r.Clusters[aks1]
	for _, d := range c.Days {
		if third := d.Day == "2026-11-03"; third && (d.Billed != 29*Unit || d.Idle != 4*Unit || d.NotBilled) || !third && (d.Billed != 0 || !d.NotBilled) {
			t.Errorf("day: %+v", d)
		}
	}
	for _, d := range r.Days {
		if d.NotBilled != (d.Day != "2026-11-03") {
			t.Errorf("day of everything: %+v", d)
		}
	}
	if c.Idle.Amount != 4*Unit || c.MonthToDate.Amount != 29*Unit {
		t.Errorf("cluster: %+v", c)
	}
	if why := r.Clusters[aks2].MonthToDate.NotAssessed; why == "" {
		t.Error("a cluster that the bill does not know costs a bare zero")
	}
}

func TestAllocateWithoutUsage(t *testing.T) {
	in := &Input{Now: testNow.UnixNano(), Tenant: testTenant(), Owners: map[string]string{aks1: "ann"}, Charges: []Charge{nodes(aks1, at(3, 0), at(4, 0), 24)}}
	r := Compute(in)
	checkSum(t, r)
	if len(r.Teams) != 1 || r.Teams[0].Owner != "ann" || r.Teams[0].UsedWhy == "" || r.Idle.NotAssessed == "" || r.Teams[0].IdleShare.NotAssessed == "" {
		t.Errorf("teams %+v, idle %+v", r.Teams, r.Idle)
	}
}

func TestSumsAreChecked(t *testing.T) {
	big := Money{Amount: math.MaxInt64, Currency: "EUR"}
	if _, err := Sum(big, Money{Amount: 1, Currency: "EUR"}); err == nil {
		t.Error("a sum that cannot be held was given")
	}
	if _, err := Sum(Money{Currency: "EUR"}, Money{Currency: "USD"}); err == nil {
		t.Error("two currencies were added")
	}
	if m, err := Sum(Money{Amount: 2, Currency: "EUR", AsOf: "2026-02-01"}, Money{Amount: -5, Currency: "EUR", AsOf: "2026-01-01"}); err != nil || m.Amount != -3 || m.AsOf != "2026-01-01" {
		t.Errorf("got %+v, %v", m, err)
	}
}

// What cannot be added is counted; the rest goes on.
func TestBadRowsAreCounted(t *testing.T) {
	in := &Input{Now: testNow.UnixNano(), Tenant: testTenant(), Charges: []Charge{
		nodes(aks1, at(3, 0), at(4, 0), 24),
		{Start: at(3, 0), Currency: "euro", Billed: Unit},
		{Start: 0, Currency: "EUR", Billed: Unit},
		{Start: at(3, 0), Currency: "EUR", Billed: math.MinInt64},
		{Start: at(3, 0), Currency: "EUR", Billed: math.MaxInt64},
	}}
	for range 10 {
		in.Charges = append(in.Charges, Charge{Start: at(3, 0), Currency: "EUR", Billed: mostOfRow})
	}
	r := Compute(in)
	checkSum(t, r)
	if want := 4 + 1; r.Bad != want || r.Rows != 15 || r.Billed.Amount != 24*Unit+9*mostOfRow {
		t.Errorf("bad %d, rows %d, billed %v, gaps %v", r.Bad, r.Rows, r.Billed.Amount, r.Gaps)
	}
}
