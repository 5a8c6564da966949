package cost

import (
	"testing"

	"pgregory.net/rapid"
)

// A bill that comes by two ways is counted once: each subscription's day comes from one.
func TestMergeCountsEachDayOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) []Charge {
			return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Charge {
				d := rapid.Int64Range(-3, 10).Draw(t, "day") * nanosPerDay
				return Charge{SubAccount: rapid.SampledFrom([]string{"/subscriptions/A", "/subscriptions/b"}).Draw(t, "sub"), Start: d + rapid.Int64Range(0, nanosPerDay-2).Draw(t, "in"), Billed: Amount(rapid.Int64Range(-9, 9).Draw(t, "m"))}
			}), 0, 20).Draw(t, name)
		}
		better, other := draw("better"), draw("other")
		for i := range better {
			better[i].End = floorDay(better[i].Start) + nanosPerDay
		}
		all, left := Merge(better, other)
		if len(all)+left != len(better)+len(other) {
			t.Fatalf("%d and %d left out of %d", len(all), left, len(better)+len(other))
		}
		days := map[[2]any]bool{}
		for i := range better {
			days[[2]any{better[i].SubAccount, floorDay(better[i].Start)}] = true
		}
		for _, c := range all[len(better):] {
			if days[[2]any{c.SubAccount, floorDay(c.Start)}] {
				t.Fatalf("%s on day %d is told twice", c.SubAccount, floorDay(c.Start)/nanosPerDay)
			}
		}
	})
}
