package azure

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

const scopeA = "/subscriptions/00000000-0000-0000-0000-00000000000a"

// bothWays reads documents as pages and as any document: what comes of them is the same.
func bothWays(t interface {
	Helper()
	Fatalf(string, ...any)
}, docs ...string) *Builder {
	t.Helper()
	quick, slow := NewBuilder(), NewBuilder()
	for i, d := range docs {
		what := []string{cloud.ReadCosts, cloud.ReadAmortized}[i%2]
		if taken := quick.addPage(what, scopeA, []byte(d)); taken && !json.Valid([]byte(d)) {
			t.Fatalf("taken, and no JSON: %s", d)
		} else if !taken {
			_ = quick.Add(Record{What: what, Scope: scopeA, Doc: json.RawMessage(d)})
		}
		_ = slow.Add(Record{What: what, Scope: scopeA, Doc: json.RawMessage(d)})
	}
	tell := func(b *Builder) string {
		bad := map[string]badRows{}
		for k, v := range b.bad {
			bad[k.what+k.scope] = *v
		}
		var out strings.Builder
		fmt.Fprintf(&out, "%v %v", b.seen, bad)
		for _, bill := range []*cost.Bill{&b.bill, &b.amortized} {
			fmt.Fprintf(&out, "\n%+v", slices.Collect(bill.All()))
		}
		return out.String()
	}
	if a, b := tell(quick), tell(slow); a != b {
		t.Fatalf("%s\nas pages:     %s\nas documents: %s", docs, a, b)
	}
	return quick
}

func costPage(columns string, rows ...string) string {
	var b strings.Builder
	b.WriteString(`{"columns":[`)
	for i, c := range strings.Split(columns, " ") {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"name":%q,"type":"Any"}`, c)
	}
	return b.String() + `],"rows":[` + strings.Join(rows, ",") + `]}`
}

func TestPagesOfCostAreReadAsAnyDocumentIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.SampledFrom([]string{"Cost UsageQuantity UsageDate ResourceId Meter ChargeType Currency", "Cost UsageDate ResourceId Meter ChargeType Currency SubscriptionId",
			"PreTaxCost Cost UsageDate ResourceId Meter ChargeType Currency", "Currency UsageDate cost Quantity ResourceId Meter ChargeType", "Cost BillingMonth ResourceId Currency ChargeType Meter Meter"})
		number := rapid.OneOf(rapid.SampledFrom([]string{"0", "-0", "1.5", "-2.25", "1e3", "12.345678901234567", "9000000001", "null", `"1.5"`, `"x"`, "01", "1.", "true", "123456789012345678901234567890123456789012"}), rapid.StringMatching(`-?[1-9][0-9]{0,9}(\.[0-9]{1,17})?`))
		day := rapid.SampledFrom([]string{"20260901", "20260902", "20261301", `"2026-09-01T00:00:00Z"`, "null", "0", "20260901.5"})
		text := rapid.SampledFrom([]string{`"a"`, `"A"`, `""`, "null", "7", `"\u0041"`, `"ü"`, `"Usage"`, `"Refund"`, `"/subscriptions/00000000-0000-0000-0000-00000000000b/resourceGroups/x"`, "{}", `"open`})
		currency := rapid.SampledFrom([]string{`"EUR"`, `"EUR"`, `"eur"`, `""`})
		var docs []string
		for range rapid.IntRange(1, 4).Draw(t, "pages") {
			heading := columns.Draw(t, "columns")
			var rows []string
			for range rapid.IntRange(0, 8).Draw(t, "rows") {
				var cells []string
				for _, c := range strings.Split(heading, " ") {
					switch c {
					case "Cost", "cost", "PreTaxCost", "UsageQuantity", "Quantity":
						cells = append(cells, number.Draw(t, c))
					case "UsageDate", "BillingMonth":
						cells = append(cells, day.Draw(t, c))
					case "Currency":
						cells = append(cells, currency.Draw(t, c))
					default:
						cells = append(cells, text.Draw(t, c))
					}
				}
				if rapid.IntRange(0, 30).Draw(t, "short") == 0 {
					cells = cells[1:]
				}
				rows = append(rows, "["+strings.Join(cells, ",")+"]")
			}
			docs = append(docs, costPage(heading, rows...))
		}
		bothWays(t, docs...)
	})
}

// TestRowsOfPagesAreReadQuickly fails when the quick way is no longer taken.
func TestRowsOfPagesAreReadQuickly(t *testing.T) {
	var rows []string
	for d := range 20 {
		rows = append(rows, fmt.Sprintf(`[%d.5,24,202609%02d,"/x","D4s v5","Usage","EUR"]`, d, d+1))
	}
	d := costPage("Cost UsageQuantity UsageDate ResourceId Meter ChargeType Currency", rows...)
	b := bothWays(t, d)
	if p := b.pages[cloud.ReadCosts]; len(p.alike) != 1 || len(p.days) != 19 || b.bill.Len() != 20 {
		t.Errorf("%d kinds of rows, %d days, %d rows", len(p.alike), len(p.days), b.bill.Len())
	}
}

func FuzzPages(f *testing.F) {
	f.Add(costPage("Cost UsageDate ResourceId Currency", `[1.5,20260901,"/x","EUR"]`, `[-2,20260902,"/x","EUR"]`))
	f.Add(costPage("Cost UsageDate Currency"))
	f.Add(`{"columns":[{"name":"Cost","type":"Number"}],"rows":[[1],[2]]} `)
	f.Fuzz(func(t *testing.T, doc string) { bothWays(t, doc, doc, doc) })
}

// FuzzSplit holds lines taken apart against encoding/json.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{`{"what":"clusters","scope":"/x","doc":{"id":1}}`, `{"what":"a","doc":{}}`, `{"what":"a","doc":{},"doc":{"b":[]}}`, `{"what":"a","scope":"b","scope":"c","doc":{}}`, `{"what":"a\n","doc":{ } }`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		what, scope, doc, ok := split(line)
		if !ok || !json.Valid(doc) {
			return
		}
		var want Record
		if err := json.Unmarshal(line, &want); err != nil || want.What != what || want.Scope != scope || want.Read != nil || !bytes.Equal(want.Doc, doc) {
			t.Fatalf("%q: got %q %q %q, want %+v (%v)", line, what, scope, doc, want, err)
		}
	})
}
