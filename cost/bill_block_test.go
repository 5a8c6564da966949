package cost

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// loaded are the charges that a Loader makes of blocks.
func loaded(t interface{ Fatal(...any) }, most int, blocks ...Block) (*Bill, int) {
	b := &Bill{}
	l := NewLoader(b)
	over := 0
	for _, x := range blocks {
		n, err := l.Add(x.Rows, func() ([]byte, error) { return x.Facts, nil }, most)
		if err != nil {
			t.Fatal(err)
		}
		over += n
	}
	return b, over
}

// blockOf are charges of one day, or whatever day they are of, as one block.
func blockOf(list ...Charge) Block {
	b := billOfAll(list)
	of := make([]uint32, b.Len())
	for i := range of {
		of[i] = uint32(i)
	}
	return b.block(of)
}

// However a bill is cut into blocks, what they hold is the bill, to the micro and in its order.
func TestBlocksHoldTheBill(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := anyCharges(t, "charges")
		for i := range list {
			if rapid.IntRange(0, 9).Draw(t, "extreme") == 0 {
				list[i].Billed, list[i].List, list[i].Start = rapid.SampledFrom([]Amount{math.MaxInt64, math.MinInt64, -1}).Draw(t, "billed"), math.MinInt64, math.MaxInt64
				list[i].Quantity = rapid.SampledFrom([]float64{math.Inf(-1), math.SmallestNonzeroFloat64, math.Copysign(0, -1)}).Draw(t, "quantity")
			}
		}
		cut := rapid.IntRange(0, len(list)).Draw(t, "cut")
		most := rapid.IntRange(0, len(list)+1).Draw(t, "most")
		b, over := loaded(t, most, blockOf(list[:cut]...), blockOf(list[cut:]...))
		want := list[:min(most, len(list))]
		if got := slices.Collect(b.All()); over != len(list)-len(want) || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("%d over; got %+v\nof %+v", over, got, want)
		}
	})
}

// By day, each row is in one block, in its order, and no block has more than it may.
func TestDaysOfABillAreTheBill(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := anyCharges(t, "charges")
		most := rapid.IntRange(1, 7).Draw(t, "most")
		var blocks []Block
		last := int64(math.MinInt64)
		for at, block := range billOfAll(list).Days(most) {
			b, _ := loaded(t, 1000, block)
			for c := range b.All() {
				if floorDay(c.Start) != at || at < last || b.Len() > most || b.Distinct() > b.Len() {
					t.Fatalf("%d rows of %d facts, of %d in the block of %d", b.Len(), b.Distinct(), c.Start, at)
				}
			}
			blocks, last = append(blocks, block), at
		}
		b, _ := loaded(t, 1000, blocks...)
		slices.SortStableFunc(list, func(x, y Charge) int { return int(floorDay(x.Start)/day - floorDay(y.Start)/day) })
		if got := slices.Collect(b.All()); len(got) != len(list) || len(list) > 0 && !reflect.DeepEqual(got, list) {
			t.Fatalf("got %+v\nof %+v", got, list)
		}
	})
}

// A field that is added to Charge must be in blocks too.
func TestABlockHoldsEveryField(t *testing.T) {
	var c Charge
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString(v.Type().Field(i).Name)
		case reflect.Int64:
			f.SetInt(int64(i) + 1)
		case reflect.Float64:
			f.SetFloat(float64(i) + 0.5)
		case reflect.Map:
			f.Set(reflect.ValueOf(map[string]string{v.Type().Field(i).Name: "x"}))
		default:
			t.Fatalf("%s is a %s: blocks do not hold such", v.Type().Field(i).Name, f.Kind())
		}
	}
	b, _ := loaded(t, 9, blockOf(c))
	if got := slices.Collect(b.All()); len(got) != 1 || !reflect.DeepEqual(got[0], c) {
		t.Fatalf("%+v\n%+v", got, c)
	}
}

// Facts that are known are not read again, and equal texts and tags are held once.
func TestALoaderReadsFactsOnce(t *testing.T) {
	list := []Charge{{SubAccount: "/subscriptions/1", Currency: "EUR", Start: 1, End: 2, Tags: map[string]string{"a": "b"}}, {SubAccount: "/subscriptions/2", Currency: "EUR", Start: 1, End: 2, Tags: map[string]string{"a": "b"}}}
	block := blockOf(list...)
	b := &Bill{}
	l := NewLoader(b)
	asked := 0
	for range 3 {
		if _, err := l.Add(block.Rows, func() ([]byte, error) { asked++; return block.Facts, nil }, 100); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 1 || len(b.facts) != 2 || b.Len() != 6 {
		t.Errorf("asked %d times; %d facts of %d charges", asked, len(b.facts), b.Len())
	}
	if reflect.ValueOf(b.facts[0].Tags).Pointer() != reflect.ValueOf(b.facts[1].Tags).Pointer() {
		t.Error("equal tags are held twice")
	}
}

func TestABadBlockIsNoBill(t *testing.T) {
	block := blockOf(Charge{Currency: "EUR", Start: 1, End: 2, Billed: 3})
	none := func() ([]byte, error) { return nil, nil }
	gone := errors.New("gone")
	for name, x := range map[string]struct {
		rows  []byte
		facts func() ([]byte, error)
		want  error
	}{
		"empty":           {nil, none, ErrBlock},
		"another version": {append([]byte{9}, block.Rows[1:]...), none, ErrBlock},
		"cut short":       {block.Rows[:len(block.Rows)-1], func() ([]byte, error) { return block.Facts, nil }, ErrBlock},
		"too long":        {append(slices.Clone(block.Rows), 0), func() ([]byte, error) { return block.Facts, nil }, ErrBlock},
		"no facts":        {block.Rows, none, ErrBlock},
		"cut facts":       {block.Rows, func() ([]byte, error) { return block.Facts[:9], nil }, ErrBlock},
		"unread facts":    {block.Rows, func() ([]byte, error) { return nil, gone }, gone},
	} {
		b := &Bill{}
		if _, err := NewLoader(b).Add(x.rows, x.facts, 9); !errors.Is(err, x.want) || b.Len() != 0 {
			t.Errorf("%s: %v, with %d charges", name, err, b.Len())
		}
	}
}

func FuzzBlock(f *testing.F) {
	block := blockOf(Charge{Currency: "EUR", Start: 1, End: 2, Billed: 3, Tags: map[string]string{"a": "b"}}, Charge{Currency: "EUR", Start: 5, End: 6, Quantity: 1.5})
	f.Add(block.Rows, block.Facts)
	f.Add([]byte{1, 0, 0}, []byte(nil))
	f.Add([]byte{1, 1, 1}, []byte(strings.Repeat("\xff", 40)))
	f.Fuzz(func(t *testing.T, rows, facts []byte) {
		b := &Bill{}
		if _, err := NewLoader(b).Add(rows, func() ([]byte, error) { return facts, nil }, 1000); err != nil {
			return
		}
		list := slices.Collect(b.All())
		again, _ := loaded(t, 1000, blockOf(list...)) // what was understood can be written, and is the same
		x, y := blockOf(slices.Collect(again.All())...), blockOf(list...)
		if string(x.Rows) != string(y.Rows) || string(x.Facts) != string(y.Facts) {
			t.Fatal("another bill")
		}
	})
}
