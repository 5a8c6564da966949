package arm

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/demo/tenant"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/source/azure"
)

// leaps is a clock on which every wait is over at once, and time has passed.
type leaps struct {
	mu  sync.Mutex
	now time.Time
}

func (c *leaps) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *leaps) After(d time.Duration) (<-chan time.Time, func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(max(d, 0))
	ring := make(chan time.Time, 1)
	ring <- c.now
	return ring, func() {}
}

// TestACollectionGetsWhatTheWorldTells holds the two ways to the same documents together:
// what a collection over HTTP gives and what World.Records gives make the same tenant.
func TestACollectionGetsWhatTheWorldTells(t *testing.T) {
	w := tenant.New(tenant.Options{Seed: 7, Now: testNow, Days: 10, Subscriptions: 40, Clusters: 80})
	told := azure.NewBuilder()
	if err := w.Records(told.Add); err != nil {
		t.Fatal(err)
	}
	s := serve(t, Options{World: w, GraphRows: 100, Faults: WorldFaults(w)})
	read := azure.NewBuilder()
	if err := azure.Collect(t.Context(), azure.Options{Endpoint: s.URL, PricesEndpoint: s.URL, Credential: s.Credential(), Sink: read.Add, Clock: &leaps{now: w.Now()}, Patience: time.Minute, Currency: "EUR", ActivityDays: 60, CostDays: 10}); err != nil {
		t.Fatal(err)
	}
	a, b := told.Snapshot(), read.Snapshot()
	// Who is told to wait for two hours may find no time for the rest of that subscription.
	slow := ""
	for _, r := range a.Tenant.Reads {
		if r.Outcome == cloud.ReadThrottled {
			slow = r.Scope
		}
	}
	ids := func(t *cloud.Tenant) map[string]int {
		n := map[string]int{}
		for _, c := range t.Clusters {
			n[c.ID]++
			if strings.HasPrefix(c.ID, slow+"/") {
				continue
			}
			n["diagnostics"] += len(c.Diagnostics)
			n["extensions"] += len(c.Extensions)
			n["pools"] += len(c.Pools)
			if c.Plan != nil && c.Plan.Standard {
				n["cluster plans"]++
			}
		}
		for _, s := range t.Subscriptions {
			n[s.ID+" in "+s.Group]++
			if s.Plan != nil && s.Plan.Standard {
				n["plans"]++
			}
		}
		for what, k := range map[string]int{"groups": len(t.Groups), "resource groups": len(t.ResourceGroups), "registries": len(t.Registries), "assignments": len(t.Assignments), "exemptions": len(t.Exemptions), "states": len(t.States),
			"roles": len(t.Roles), "budgets": len(t.Budgets), "cost alerts": len(t.CostAlerts)} {
			n[what] = k
		}
		for _, x := range t.DefenderAlerts {
			if !strings.HasPrefix(x.ID, slow+"/") {
				n["alerts"]++
			}
		}
		for _, x := range t.Suppressions {
			if !strings.HasPrefix(x.ID, slow+"/") {
				n["suppressions"]++
			}
		}
		return n
	}
	x, y := ids(a.Tenant), ids(b.Tenant)
	for _, k := range slices.Sorted(maps.Keys(x)) {
		if x[k] != y[k] {
			t.Errorf("%s: %d told, %d collected", k, x[k], y[k])
		}
	}
	for k := range y {
		if _, ok := x[k]; !ok {
			t.Errorf("%s was collected and not told", k)
		}
	}
	sum := func(cs *cost.Bill) (n cost.Amount) {
		for c := range cs.All() {
			if c.Currency == "EUR" {
				n += c.Billed
			}
		}
		return n
	}
	if p, q := sum(a.Bill).Float(), sum(b.Bill).Float(); p == 0 || p-q > 1 || q-p > 1 {
		t.Errorf("%.2f EUR told, %.2f collected", p, q)
	}
	outcomes := map[string]int{}
	for _, r := range b.Tenant.Reads {
		outcomes[r.Outcome]++
		if r.Bad > 0 {
			t.Errorf("%s of %s: %d documents were not understood: %s", r.What, r.Scope, r.Bad, r.Reason)
		}
	}
	for _, o := range []string{cloud.ReadOK, cloud.ReadDenied, cloud.ReadThrottled, cloud.ReadPartial, cloud.ReadAbsent} {
		if outcomes[o] == 0 {
			t.Errorf("no read came out as %s: %v", o, outcomes)
		}
	}
}
