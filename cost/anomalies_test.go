package cost

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// days makes a daily signal that begins on a Thursday.
func days(n int, f func(d int) float64) *signal {
	s := &signal{daily: true, first: 20000 - 20000%7, floor: 5, values: make([]float64, n)}
	for d := range n {
		s.values[d] = f(d)
	}
	return s
}

func TestFind(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    *signal
		want string // from–to in days of the signal
	}{
		{"steady", days(60, func(int) float64 { return 100 }), ""},
		{"it never moved, then a bit", days(60, func(d int) float64 { return 100 + 10*float64(d/50) }), ""},
		{"it never moved, then it doubled", days(60, func(d int) float64 { return 100 + 100*float64(d/57) }), "57–60"},
		{"nothing for weeks, then a little", days(60, func(d int) float64 { return 4 * float64(d/57) }), ""},
		{"nothing for weeks, then much", days(60, func(d int) float64 { return 40 * float64(d/57) }), "57–60"},
		{"weekends", days(60, func(d int) float64 { return []float64{100, 100, 20, 20, 100, 100, 100}[d%7] }), ""},
		{"a Saturday like a Monday", days(60, func(d int) float64 {
			if d == 51 {
				return 100
			}
			return []float64{100, 100, 20, 20, 100, 100, 100}[d%7]
		}), "51–52"},
		{"a size of its own forever", days(100, func(d int) float64 { return 100 + 80*float64(min(1, d/50)) }), "50–65 stays"},
		{"missing days are not zero", days(60, func(d int) float64 {
			if d > 40 && d < 48 || d == 3 {
				return math.NaN()
			}
			return 100
		}), ""},
		{"a fall", days(60, func(d int) float64 { return 100 - 90*float64(d/55) }), ""},
		{"refunds", days(60, func(d int) float64 {
			if d%20 == 19 {
				return -400
			}
			return 100
		}), ""},
		{"slowly, over weeks", days(100, func(d int) float64 { return 100 * (1 + 0.02*max(0, float64(d-60))) }), "slow"},
		{"too short", days(13, func(d int) float64 { return 100 + 900*float64(d/12) }), "not judged"},
		{"all missing", days(60, func(int) float64 { return math.NaN() }), "not judged"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			es, judged := tt.s.find(tt.s.first)
			var got []string
			for _, e := range es {
				g := fmt.Sprintf("%d–%d", e.from-tt.s.first, e.to-tt.s.first)
				switch {
				case e.slow:
					g = "slow"
				case e.stays:
					g += " stays"
				}
				got = append(got, g)
			}
			if !judged {
				got = append(got, "not judged")
			}
			if strings.Join(got, ", ") != tt.want {
				t.Errorf("got %v, want %s", got, tt.want)
			}
		})
	}
}

// miningWorld has a quiet cluster of which namespace web mines from 18 November, 03:00,
// on, in a pool of GPUs that was made two hours before.
func miningWorld() *Input {
	in := &Input{Now: testNow.UnixNano(), Tenant: testTenant(), Currency: "EUR"}
	in.Charges = daily(aks1, 1, func(time.Time) float64 { return 96 }) // 2 nodes of 4 cores: 0.50 a core-hour
	in.Tenant.Clusters[0].Pools = []cloud.Pool{{Name: "gpu", Size: "Standard_X", Count: 3, Spot: true}}
	in.Tenant.Sizes = []cloud.Size{{Name: "Standard_X", VCPUs: 6, GPUs: 1}}
	in.Prices = []Price{{Key: PriceComputeHour, SKU: "Standard_X", Amount: 3 * Unit, Currency: "EUR", Unit: "1 Hour", AsOf: "2026-11-01", Source: "list price", Verified: true}}
	pool := aks1 + "/agentPools/gpu"
	in.Tenant.Activity = []cloud.Activity{
		{ID: "e1", At: at(18, 1), Resource: pool, Operation: "Microsoft.ContainerService/managedClusters/agentPools/write", Status: "Started", Caller: "app"},
		{ID: "e2", At: at(18, 1) + hour/2, Resource: pool, Operation: "Microsoft.ContainerService/managedClusters/agentPools/write", Status: "Succeeded", Caller: "app"},
		{ID: "old", At: at(2, 1), Resource: aks1 + "/agentPools/other", Operation: "Microsoft.ContainerService/managedClusters/agentPools/write", Status: "Succeeded", Caller: "ann"},
	}
	in.Miners = []Miner{{Alert: "alert-7", Cluster: aks1, Namespace: "web", Workload: "shop", First: at(18, 4), Last: at(18, 20)}}
	for t := time.Date(2026, 10, 10, 0, 0, 0, 0, time.UTC).UnixNano(); t < testNow.UnixNano(); t += hour {
		used := 2.0
		if t >= at(18, 3) {
			used = 6
		}
		in.Usage = append(in.Usage, inventory.Usage{Cluster: aks1, Hour: t, Nodes: 2, Cores: 8, Samples: 60},
			inventory.Usage{Cluster: aks1, Hour: t, Namespace: "web", Used: used, Charged: used, Samples: 60},
			inventory.Usage{Cluster: aks1, Hour: t, Namespace: "db", Used: 1, Charged: 1, Samples: 60})
	}
	return in
}

func TestMiningIsOneAnomaly(t *testing.T) {
	r := Compute(miningWorld())
	if len(r.Anomalies) != 1 {
		t.Fatalf("got %+v", r.Anomalies)
	}
	a := r.Anomalies[0]
	if !a.Mining || a.Series != SeriesCores || a.Key != "web" || a.Cluster != aks1 || a.From != at(18, 3) {
		t.Errorf("got %+v", a)
	}
	if got := strings.Join(a.Evidence, " "); got != "alert-7 e1" {
		t.Errorf("evidence: %s", got)
	}
	// Three nodes at 3 are more than the four cores that the bill already shows at 0.50.
	if a.PerHour.Amount != 9*Unit || a.PerHour.Currency != "EUR" || a.PerHour.AsOf == "" {
		t.Errorf("money: %+v", a.PerHour)
	}
	all := strings.Join(a.Causes, "\n")
	for _, want := range []string{"mines in shop (namespace web)", "core-hours of web rose from 2.0 to 6.0", "node pool gpu was written by app", "1 GPUs each", "spot"} {
		if !strings.Contains(all, want) {
			t.Errorf("causes do not say %q:\n%s", want, all)
		}
	}
	if again := Compute(miningWorld()).Anomalies[0]; again.ID != a.ID || a.ID == "" {
		t.Errorf("ids %q and %q", again.ID, a.ID)
	}
}

func TestARiseWithoutAMiner(t *testing.T) {
	in := miningWorld()
	in.Miners, in.Tenant.Activity = nil, nil
	a := Compute(in).Anomalies
	// Four cores at 96 EUR ÷ 192 core-hours.
	if len(a) != 1 || a[0].Mining || a[0].PerHour.Amount != 2*Unit || math.Abs(a[0].Got-6) > 0.01 {
		t.Errorf("got %+v", a)
	}
}

func TestAMinerWithoutARise(t *testing.T) {
	in := miningWorld()
	in.Usage, in.Miners[0].First, in.Miners[0].Last = nil, at(10, 4), at(10, 5)
	if a := Compute(in).Anomalies; len(a) != 0 {
		t.Errorf("got %+v", a)
	}
	in.Miners[0].First, in.Miners[0].Last = at(18, 4), at(18, 5)
	if a := Compute(in).Anomalies; len(a) != 1 || !a[0].Mining || a[0].PerHour.Amount != 9*Unit {
		t.Errorf("a new pool and a miner: %+v", a)
	}
}

func TestSpendSpike(t *testing.T) {
	in := &Input{Now: testNow.UnixNano(), Tenant: testTenant(), Charges: daily(aks1, 1, func(d time.Time) float64 {
		if d.Month() == 11 && d.Day() >= 16 && d.Day() < 18 {
			return 340
		}
		return 100
	})}
	a := Compute(in).Anomalies
	if len(a) != 1 || a[0].Series != SeriesSpend || a[0].From != at(16, 0) || a[0].To != at(18, 0) || a[0].PerHour.Amount != 10*Unit {
		t.Fatalf("got %+v", a)
	}
	if want := "Virtual Machines / D4s v5 rose most: 100.00 → 340.00 EUR a day"; len(a[0].Causes) != 1 || a[0].Causes[0] != want {
		t.Errorf("causes: %v", a[0].Causes)
	}
}
