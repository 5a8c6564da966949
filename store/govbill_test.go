package store

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/cost"
)

// gobPart writes charges as versions before did.
func (f *fixture) gobPart(t *testing.T, origin, day string, list []cost.Charge) {
	t.Helper()
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(list); err != nil {
		t.Fatal(err)
	}
	err := f.update(t.Context(), func(tx *tx) error {
		return tx.chargeParts(origin, 1, 1, []packedCharges{{day, len(list), f.zip.EncodeAll(b.Bytes(), nil)}})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A database of a version before is read as it is, and what comes beside it later joins it.
func TestChargesOfAnEarlierVersionAreRead(t *testing.T) {
	f := open(t, Options{})
	at := f.now.Load()
	old := charge(at-day, "vm", "cores", 2)
	old.Tags, old.Quantity = map[string]string{"a": "b"}, 0.25
	same, other := charge(at, "vm", "cores", 3), charge(at, "disk", "space", 4)
	f.gobPart(t, ChargesBill, dayOf(at-day), []cost.Charge{old})
	f.gobPart(t, ChargesBill, dayOf(at), []cost.Charge{same, other})
	f.deliver(t, false, charge(at, "vm", "cores", 5))
	bill, over, err := f.Bill(t.Context(), ChargesBill, "0000", "9999", 100)
	want := []cost.Charge{old, charge(at, "vm", "cores", 5), other}
	if got := slices.Collect(bill.All()); err != nil || over != 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: got %+v\nof %+v", err, got, want)
	}
	for most := range 4 {
		bill, over, err := f.Bill(t.Context(), ChargesBill, "0000", "9999", most)
		if got := slices.Collect(bill.All()); err != nil || over != 3-most || !reflect.DeepEqual(got, append([]cost.Charge(nil), want[:most]...)) {
			t.Errorf("at most %d: %d over, %v: got %+v", most, over, err, got)
		}
	}
}

func TestChargesOfALaterVersionAreAnError(t *testing.T) {
	f := open(t, Options{})
	for _, blob := range [][]byte{nil, {9, 9}, {chargesBlock}, {chargesBlock, 200, 200}, {chargesBlock, 1, 0}} {
		if err := f.update(t.Context(), func(tx *tx) error {
			if _, err := tx.exec("DELETE FROM gov_charges"); err != nil {
				return err
			}
			if blob == nil {
				blob = []byte{}
			}
			return tx.chargeParts(ChargesBill, 1, 1, []packedCharges{{"2026-01-01", 1, blob}})
		}); err != nil {
			t.Fatal(err)
		}
		if bill, _, err := f.Bill(t.Context(), ChargesBill, "0000", "9999", 9); err == nil {
			t.Errorf("%v is read as a bill of %d charges", blob, bill.Len())
		}
	}
}

// Whatever the order in which subscriptions and days of a bill are handed in, what is kept
// is the same bill.
func TestEveryOrderOfArrivalGivesTheSameBill(t *testing.T) {
	f := open(t, Options{})
	at := f.now.Load()
	rapid.Check(t, func(rt *rapid.T) {
		var list []cost.Charge
		for i := range rapid.IntRange(1, 20).Draw(rt, "charges") {
			c := charge(at-rapid.Int64Range(0, 3).Draw(rt, "day")*day, rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "resource"), "m", 1)
			c.SubAccount, c.Billed = fmt.Sprint(rapid.IntRange(0, 2).Draw(rt, "sub")), cost.Amount(i)
			list = append(list, c)
		}
		take := func(list []cost.Charge) []cost.Charge {
			if err := f.update(t.Context(), func(tx *tx) error { _, err := tx.exec("DELETE FROM gov_charges"); return err }); err != nil {
				t.Fatal(err)
			}
			// Each subscription is a delivery of its own, in the order of its first charge.
			var subs []string
			by := map[string][]cost.Charge{}
			for _, c := range list {
				if by[c.SubAccount] == nil {
					subs = append(subs, c.SubAccount)
				}
				by[c.SubAccount] = append(by[c.SubAccount], c)
			}
			for _, s := range subs {
				f.deliver(t, true, by[s]...)
			}
			bill, _, err := f.Bill(t.Context(), ChargesBill, "0000", "9999", math.MaxInt)
			if err != nil {
				t.Fatal(err)
			}
			bill.Sort()
			return slices.Collect(bill.All())
		}
		if a, b := take(list), take(rapid.Permutation(list).Draw(rt, "order")); len(a) != len(list) || !reflect.DeepEqual(a, b) {
			t.Fatalf("%+v\n%+v", a, b)
		}
	})
}

// Rows of versions before keep their hashes: what did not change is not written again.
func TestColumnsAreHashedAsBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cols := rapid.SliceOf(rapid.OneOf(rapid.Just[any](nil), rapid.Map(rapid.Int64(), func(n int64) any { return n }), rapid.Map(rapid.String(), func(s string) any { return s }))).Draw(t, "columns")
		if got, want := string(appendColumns(nil, cols)), fmt.Sprint(cols...); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	})
}
