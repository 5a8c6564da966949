package cost

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func billOfAll(list []Charge) *Bill {
	b := &Bill{}
	for i := range list {
		b.Add(&list[i])
	}
	return b
}

// anyCharges draws rows of which many have much in common.
func anyCharges(t *rapid.T, name string) []Charge {
	few := rapid.SampledFrom([]string{"", "a", "b", "ab"})
	tags := rapid.SampledFrom([]map[string]string{nil, {}, {"a": "b"}, {"a": "", "b": "a"}, {"b": "a"}, {"ab": ""}})
	money := rapid.Custom(func(t *rapid.T) Amount { return Amount(rapid.Int64Range(-9, 9).Draw(t, "m")) })
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Charge {
		return Charge{SubAccount: few.Draw(t, "sub"), Resource: few.Draw(t, "resource"), CostCentre: few.Draw(t, "centre"), PeriodStart: rapid.Int64Range(0, 1).Draw(t, "period"), Currency: "EUR",
			Tags: tags.Draw(t, "tags"), More: tags.Draw(t, "more"), Start: rapid.Int64Range(1, 3).Draw(t, "start") * day, End: rapid.Int64Range(1, 3).Draw(t, "end") * day,
			Billed: money.Draw(t, "billed"), Effective: money.Draw(t, "effective"), List: money.Draw(t, "list"), Contracted: money.Draw(t, "contracted"),
			Quantity: float64(rapid.IntRange(-2, 2).Draw(t, "quantity")), Priced: float64(rapid.IntRange(-2, 2).Draw(t, "priced"))}
	}), 0, 30).Draw(t, name)
}

func TestABillGivesWhatWasAdded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := anyCharges(t, "charges")
		b := billOfAll(list)
		if got := slices.Collect(b.All()); b.Len() != len(list) || len(list) > 0 && !reflect.DeepEqual(got, list) {
			t.Fatalf("got %+v\nof %+v", got, list)
		}
	})
}

func TestASortedBillDoesNotTellTheOrderOfAdding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := anyCharges(t, "charges")
		a, b := billOfAll(list), billOfAll(rapid.Permutation(list).Draw(t, "order"))
		a.Sort()
		b.Sort()
		if x, y := slices.Collect(a.All()), slices.Collect(b.All()); !reflect.DeepEqual(x, y) {
			t.Fatalf("%+v\n%+v", x, y)
		}
		if !slices.IsSortedFunc(slices.Collect(a.All()), func(x, y Charge) int { return int(x.Start - y.Start) }) {
			t.Fatal("not by time")
		}
	})
}

// More rows than one part of a bill holds.
func TestALargeBillGivesWhatWasAdded(t *testing.T) {
	b := &Bill{}
	const n = 2*entriesPart + 7
	for i := range n {
		b.Add(&Charge{Resource: []string{"x", "y"}[i%2], Start: int64(n - i)})
	}
	b.Sort()
	i := 0
	for c := range b.All() {
		if i++; c.Start != int64(i) || c.Resource != []string{"x", "y"}[(n-i)%2] {
			t.Fatalf("row %d: %+v", i, c)
		}
	}
	if i != n || len(b.facts) != 2 {
		t.Errorf("%d rows of %d, %d facts", i, n, len(b.facts))
	}
}

// A bill that comes by two ways is counted once: each subscription's day comes from one.
func TestMergeCountsEachDayOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) []Charge {
			return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Charge {
				d := rapid.Int64Range(-3, 10).Draw(t, "day") * nanosPerDay
				return Charge{SubAccount: rapid.SampledFrom([]string{"/subscriptions/A", "/subscriptions/b", ""}).Draw(t, "sub"), Start: d + rapid.Int64Range(0, nanosPerDay-2).Draw(t, "in"), Billed: Amount(rapid.Int64Range(-9, 9).Draw(t, "m"))}
			}), 0, 20).Draw(t, name)
		}
		better, other := draw("better"), draw("other")
		for i := range better {
			better[i].End = floorDay(better[i].Start) + nanosPerDay
		}
		b := billOfAll(better)
		left := b.Merge(billOfAll(other))
		all := slices.Collect(b.All())
		if len(all)+left != len(better)+len(other) {
			t.Fatalf("%d and %d left out of %d", len(all), left, len(better)+len(other))
		}
		days := map[[2]any]bool{}
		for i := range better {
			days[[2]any{better[i].SubAccount, floorDay(better[i].Start)}], days[[2]any{"", floorDay(better[i].Start)}] = true, true
		}
		for _, c := range all[len(better):] {
			if days[[2]any{c.SubAccount, floorDay(c.Start)}] {
				t.Fatalf("%s on day %d is told twice", c.SubAccount, floorDay(c.Start)/nanosPerDay)
			}
			if !slices.ContainsFunc(other, func(o Charge) bool { return reflect.DeepEqual(o, c) }) {
				t.Fatalf("%+v was not told", c)
			}
		}
	})
}
