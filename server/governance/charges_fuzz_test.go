package governance

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/dockreeve/dockreeve/cost"
)

// A line that is taken has a period within what is kept and a currency, and says the same
// when it is written and read again.
func FuzzChargeLine(f *testing.F) {
	now := start.UnixNano()
	for _, c := range []cost.Charge{
		{Start: now - day, End: now, Currency: "EUR", Billed: -5, Tags: map[string]string{"a": "b"}},
		{Start: now - 500*day, End: now, Currency: "EUR"}, {Start: now - day, End: now - 2*day, Currency: "EUR"}, {Start: now - day, End: now, Currency: "Euro"},
	} {
		b, err := json.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"start":1e400}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, line []byte) {
		c, err := parseCharge(line, now)
		if err != nil {
			return
		}
		if c.Start < now-(keepDays+2)*day || c.Start > now+2*day || c.End <= c.Start || len(c.Currency) != 3 {
			t.Fatalf("%+v", c)
		}
		b, err := json.Marshal(&c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseCharge(b, now)
		if err != nil || !reflect.DeepEqual(normal(c), normal(again)) {
			t.Fatalf("%+v, read again %+v: %v", c, again, err)
		}
	})
}

// normal has no empty maps, which JSON leaves out.
func normal(c cost.Charge) cost.Charge {
	if len(c.Tags) == 0 {
		c.Tags = nil
	}
	if len(c.More) == 0 {
		c.More = nil
	}
	return c
}
