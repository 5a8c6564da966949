package api

import (
	"fmt"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/cost"
)

// The series of an allocation stay beside the days that are told.
func TestAWindowCutsDaysAndSeriesAlike(t *testing.T) {
	day := func(n int) int64 { return time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC).UnixNano() }
	for _, want := range []struct{ from, to, lo, hi int }{{1, 5, 1, 5}, {2, 4, 2, 4}, {4, 30, 4, 5}, {6, 9, 6, 5}} {
		r := &cost.Report{Allocated: []cost.AllocationSeries{{Kind: cost.SeriesTeam, Key: "a"}, {Kind: cost.SeriesIdle}}}
		for n := 1; n <= 5; n++ {
			r.Days = append(r.Days, cost.DayCost{Day: fmt.Sprintf("2026-11-%02d", n), Billed: cost.Amount(n * 11)})
			r.Allocated[0].Days = append(r.Allocated[0].Days, cost.Amount(n*10))
			r.Allocated[1].Days = append(r.Allocated[1].Days, cost.Amount(n))
		}
		window(r, day(want.from), day(want.to))
		if len(r.Days) != want.hi-want.lo+1 {
			t.Fatalf("%+v: %d days are left", want, len(r.Days))
		}
		for i, d := range r.Days {
			if sum := r.Allocated[0].Days[i] + r.Allocated[1].Days[i]; sum != d.Billed || d.Billed != cost.Amount((want.lo+i)*11) {
				t.Errorf("%+v: %s was billed %v, its series add up to %v", want, d.Day, d.Billed, sum)
			}
		}
	}
}
