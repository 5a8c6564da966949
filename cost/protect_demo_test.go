package cost_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/demo/tenant"
)

// The demo's world bills its plans by what ran, with a noise of ±0.4 % a day; what is
// computed from ARM, prices and usage must come to the same.
func TestProtectionOfTheDemoTenantComesToItsBill(t *testing.T) {
	_, in := demo(t, tenant.Options{Seed: 1, Clusters: 70, Now: time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)})
	r := cost.Compute(in)
	for id, c := range r.Clusters {
		var days, total cost.Amount
		for _, d := range c.Days {
			days += d.Protection
		}
		for _, p := range c.Protection {
			total += p.Total.Amount
		}
		if days != total {
			t.Errorf("%s: days add up to %v, providers to %v", id, days, total)
		}
	}
	for _, p := range r.Protection {
		if sum := p.Plan.Amount + p.Scans.Amount + p.Ingestion.Amount + p.Agents.Amount; p.Total.NotAssessed == "" && p.Total.Amount != sum {
			t.Errorf("%s: a total of %v under columns that add up to %v", p.Provider, p.Total.Amount, sum)
		}
	}
	compared, close := 0, 0
	for _, c := range r.Reconciled {
		if c.What != cost.ReconcilePlan || c.Computed.NotAssessed != "" || c.Billed.Amount == 0 {
			continue
		}
		compared++
		if math.Abs(c.Difference) < 0.005 {
			close++
		}
		if c.Finding != (math.Abs(c.Difference) > 0.02) {
			t.Errorf("a difference of %g, finding %v", c.Difference, c.Finding)
		}
	}
	if compared < 20 || close < compared*9/10 {
		t.Errorf("of %d subscriptions %d come within 0.5 %% of their bill", compared, close)
	}
	if len(r.Protection) != 6 || r.Protection[0].Plan.Amount == 0 || r.Protection[0].NotAssessed == 0 || !strings.Contains(r.Protection[0].Note, "not guessed") {
		t.Errorf("defender: %+v", r.Protection)
	}
	if all := r.Protection[3]; !all.Hypothetic || all.Plan.Amount <= r.Protection[0].Plan.Amount {
		t.Errorf("were it on everywhere: %+v", all)
	}
	for _, p := range r.Prices {
		if p.AsOf == "" || p.Source == "" {
			t.Errorf("a price that was used without date or source: %+v", p)
		}
	}
}
