package cost

import (
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/inventory"
)

// An agent that was started again in the middle of an hour tells the rest of that hour:
// both parts are the hour. Two agents that told all of it at once told the same twice.
func TestPartsOfAnHourAddUp(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC).UnixNano()
	h := now - 2*int64(time.Hour)
	at := func(boot int64, samples int, charged float64) inventory.Usage {
		return inventory.Usage{Cluster: "c", Hour: h, Boot: boot, Namespace: "shop", Requested: charged / 2, Used: charged, Charged: charged, Memory: 2 * charged, Cores: 4 * charged, Nodes: 3, Egress: 1000 * charged, Samples: samples}
	}
	for name, c := range map[string]struct {
		rows    []inventory.Usage
		charged float64
		bad     int
	}{
		"two starts":          {[]inventory.Usage{at(1, 20, 2), at(2, 40, 4)}, 6, 0},
		"three starts":        {[]inventory.Usage{at(3, 10, 1), at(1, 20, 2), at(2, 30, 3)}, 6, 0},
		"the same told twice": {[]inventory.Usage{at(1, 20, 2), at(1, 30, 3)}, 3, 1},
		"two agents at once":  {[]inventory.Usage{at(1, 60, 6), at(2, 58, 5.8)}, 6, 1},
	} {
		got, again := wholeHours(c.rows)
		if len(got) != 1 || got[0].Charged != c.charged || again != c.bad {
			t.Errorf("%s: %+v, %d again", name, got, again)
			continue
		}
		if u := got[0]; u.Used != c.charged || u.Requested != c.charged/2 || u.Memory != 2*c.charged || u.Cores != 4*c.charged || u.Egress != 1000*c.charged || u.Nodes != 3 {
			t.Errorf("%s: %+v", name, u)
		}
	}
}
