package cost

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestAmortiseKeepsBothSums holds that both readings keep their sums, whatever of one row is
// in the other, and that a subscription of which only one was read stays as it was.
func TestAmortiseKeepsBothSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		row := rapid.Custom(func(t *rapid.T) Charge {
			day := rapid.Int64Range(0, 3).Draw(t, "day") * nanosPerDay
			amount := Amount(rapid.Int64Range(-5e6, 5e6).Draw(t, "amount"))
			return Charge{SubAccount: fmt.Sprintf("/subscriptions/%d", rapid.IntRange(0, 2).Draw(t, "sub")), Resource: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "resource"), Category: rapid.SampledFrom([]string{"Usage", "Purchase"}).Draw(t, "category"),
				Currency: "EUR", Start: day, End: day + nanosPerDay, Billed: amount, Effective: amount, Quantity: 2}
		})
		actual, use := &Bill{}, &Bill{}
		billed, effective := map[string]Amount{}, map[string]Amount{}
		told := func(sub string) bool { return sub != "/subscriptions/2" }
		for _, c := range rapid.SliceOfN(row, 0, 12).Draw(t, "actual") {
			actual.Add(&c)
			billed[c.SubAccount] += c.Billed
			if !told(c.SubAccount) {
				effective[c.SubAccount] += c.Billed
			}
		}
		for _, c := range rapid.SliceOfN(row, 1, 12).Draw(t, "amortised") {
			use.Add(&c)
			if told(c.SubAccount) {
				effective[c.SubAccount] += c.Effective
			}
		}
		actual.Amortise(use, told)
		for c := range actual.All() {
			billed[c.SubAccount] -= c.Billed
			effective[c.SubAccount] -= c.Effective
			if c.Pricing == "Committed" && c.Effective <= c.Billed {
				t.Errorf("%+v is no commitment", c)
			}
		}
		for sub, a := range billed {
			if a != 0 {
				t.Errorf("%s: billed is off by %d", sub, a)
			}
		}
		for sub, a := range effective {
			if a != 0 {
				t.Errorf("%s: effective is off by %d", sub, a)
			}
		}
	})
}

func TestAmortiseJoinsRowsAndKeepsQuantities(t *testing.T) {
	node := Charge{SubAccount: "s", Resource: "node", Meter: "D4s v5", Category: "Usage", Currency: "EUR", Start: 0, End: nanosPerDay, Quantity: 24}
	actual, use := &Bill{}, &Bill{}
	actual.Add(&node) // covered: nothing was billed
	bought := Charge{SubAccount: "s", Resource: "order", Category: "Purchase", Currency: "EUR", Start: 0, End: nanosPerDay, Billed: 900, Effective: 900}
	actual.Add(&bought)
	node.Billed, node.Effective = 70, 70
	use.Add(&node)
	idle := Charge{SubAccount: "s", Resource: "order", Category: "Usage", CommitmentUse: "Unused", Currency: "EUR", Start: 0, End: nanosPerDay, Billed: 30, Effective: 30, Quantity: 10}
	use.Add(&idle)
	actual.Amortise(use, func(string) bool { return true })
	got := map[string]Charge{}
	for c := range actual.All() {
		got[c.Resource+" "+c.Category] = c
	}
	if c := got["node Usage"]; len(got) != 3 || c.Billed != 0 || c.Effective != 70 || c.Quantity != 24 || c.Pricing != "Committed" {
		t.Errorf("covered: %+v of %d", c, len(got))
	}
	if c := got["order Purchase"]; c.Billed != 900 || c.Effective != 0 {
		t.Errorf("bought: %+v", c)
	}
	if c := got["order Usage"]; c.Billed != 0 || c.Effective != 30 || c.Quantity != 10 {
		t.Errorf("idle: %+v", c)
	}
}
