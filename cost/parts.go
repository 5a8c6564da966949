package cost

import (
	"slices"
	"sort"

	"github.com/dockreeve/dockreeve/inventory"
)

// wholeSamples is how many samples an hour has at most, with some play: two rows with more
// of them told the same time twice.
const wholeSamples = 66

// wholeHours sorts what was used of a cluster by hour and namespace, one row of each. What
// different starts of an agent told of an hour are parts of it, which add up; of what was
// told twice (by one start, or by two agents at once) the row with more samples counts, and
// the others are counted in again.
func wholeHours(us []inventory.Usage) (kept []inventory.Usage, again int) {
	sort.SliceStable(us, func(a, b int) bool {
		x, y := &us[a], &us[b]
		if x.Hour != y.Hour {
			return x.Hour < y.Hour
		}
		if x.Namespace != y.Namespace {
			return x.Namespace < y.Namespace
		}
		return x.Samples > y.Samples
	})
	kept = us[:0]
	var boots []int64 // that are in the last of kept
	for i := range us {
		u := us[i]
		if k := len(kept); k > 0 && kept[k-1].Hour == u.Hour && kept[k-1].Namespace == u.Namespace {
			old := &kept[k-1]
			if slices.Contains(boots, u.Boot) || u.Samples <= 0 || old.Samples > wholeSamples-u.Samples {
				again++
				continue
			}
			boots = append(boots, u.Boot)
			old.Nodes = (old.Nodes*float64(old.Samples) + u.Nodes*float64(u.Samples)) / float64(old.Samples+u.Samples)
			old.Requested += u.Requested
			old.Used += u.Used
			old.Charged += u.Charged
			old.Memory += u.Memory
			old.Cores += u.Cores
			old.Egress += u.Egress
			old.Samples += u.Samples
			if old.UsedWhy == "" {
				old.UsedWhy = u.UsedWhy
			}
			if old.Owner == "" {
				old.Owner = u.Owner
			}
			continue
		}
		kept, boots = append(kept, u), append(boots[:0], u.Boot)
	}
	return kept, again
}
