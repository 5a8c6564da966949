package azure_test

import (
	"testing"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/source/azure"
	"github.com/dockreeve/dockreeve/test/arm"
)

// TestALiveRunReadsTheLogPriceOfEachRegion: logs are sold by region, a live run asks for
// those of the clusters' regions, and gets what the snapshot holds for them.
func TestALiveRunReadsTheLogPriceOfEachRegion(t *testing.T) {
	w := world(t, 2)
	live, _, _ := collected(t, w, arm.Options{}, nil)
	b := azure.NewBuilder()
	if err := w.Records(b.Add); err != nil {
		t.Fatal(err)
	}
	logs := func(prices []cost.Price) map[string]cost.Amount {
		out := map[string]cost.Amount{}
		for _, p := range prices {
			if p.Service == "Azure Monitor" {
				out[p.Region+" "+p.Meter] = p.Amount
			}
		}
		return out
	}
	whole, regions := logs(b.Snapshot().Prices), map[string]bool{}
	got := logs(live.Prices)
	for key, amount := range got {
		if whole[key] != amount {
			t.Errorf("%s: %d live, %d in the snapshot", key, amount, whole[key])
		}
	}
	for _, c := range live.Tenant.Clusters {
		regions[c.Location] = len(c.Pools) > 0
	}
	for r, asked := range regions {
		found := !asked
		for key := range got {
			found = found || len(key) > len(r) && key[:len(r)+1] == r+" "
		}
		if !found {
			t.Errorf("no price of logs in %s: %v", r, got)
		}
	}
}
