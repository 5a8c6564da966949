package cost

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// bothWays reads a file as ReadFOCUS does, and with every row read by encoding/csv and
// understood by itself: charges, summaries and errors must be the same.
func bothWays(t interface {
	Helper()
	Fatalf(string, ...any)
}, file string, opt FOCUSOptions) {
	t.Helper()
	var got, want Bill
	sum, err := ReadFOCUS(strings.NewReader(file), opt, &got)
	slow := newFocusReader(opt, &want)
	slow.closely = true
	sum2, err2 := slow.all(strings.NewReader(file))
	if fmt.Sprint(err) != fmt.Sprint(err2) || !reflect.DeepEqual(sum, sum2) {
		t.Fatalf("%q\nquick  %+v, %v\nclosely %+v, %v", file, sum, err, sum2, err2)
	}
	// As text: NaN is not itself, and of -0 the sign shows.
	a, b := slices.Collect(got.All()), slices.Collect(want.All())
	if fmt.Sprintf("%+v", a) != fmt.Sprintf("%+v", b) {
		t.Fatalf("%q\nquick   %+v\nclosely %+v", file, a, b)
	}
}

// anyBill draws a file whose rows repeat each other, with what bills do that no rule foresees.
func anyBill(t *rapid.T) (string, FOCUSOptions) {
	sep := rapid.SampledFrom([]string{",", ";", "\t"}).Draw(t, "separator")
	end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end of lines")
	head := rapid.SampledFrom([][]string{
		{"Tags", "BilledCost", "BillingCurrency", "x_Own", "ChargePeriodStart", "ChargePeriodEnd", "EffectiveCost", "ConsumedQuantity", "ResourceId", "PricingQuantity", "x_Last"},
		{"SubscriptionId", "CostInBillingCurrency", "BillingCurrency", "MeterName", "Date", "BillingPeriodEndDate", "Cost", "Quantity", "ResourceId", "ChargeType", "PricingModel"},
	}).Draw(t, "head")
	amount := rapid.OneOf(rapid.SampledFrom([]string{"1", "0", "-0", "1.5", "-2.25", "0,5", "1.234", "1.234,5", "12.3456789012345678", "NULL", "", " 1.5 ", "1e3", "x", "007.50", "5.", ".5", "\"3\"", "999999999999", "1000000000000", "0.1", "85.12661664779722"}),
		rapid.StringMatching(`-?[0-9]{1,13}(\.[0-9]{1,20})?`), rapid.StringMatching(`[0-9]{1,4},[0-9]{1,8}`))
	date := rapid.SampledFrom([]string{"2026-09-01T00:00:00Z", "2026-09-02T00:00:00Z", "2026-09-01", "01.09.2026", "09/03/2026", "09/30/2026", "31/08/2026", "", "null", "never", "2026-09-01T02:00:00+02:00"})
	text := rapid.SampledFrom([]string{"a", "A", "", "NULL", "\"q\"", "\"a,b;c\"", "\"say \"\"so\"\"\"", "\"two\nlines\"", "\"crlf\r\nin it\"", "x\"y", "\"x\"y", "\xff", "a\rb", "{}", "\"{\"\"k\"\":\"\"v\"\"}\"", "Usage", "Spot", "Refund"})
	few := map[int]*rapid.Generator[string]{1: amount, 4: date, 5: date, 6: amount, 7: amount, 9: amount}
	if len(head[1]) > len("BilledCost") { // an older export
		few = map[int]*rapid.Generator[string]{1: amount, 4: date, 5: date, 6: amount, 7: amount}
	}
	var b strings.Builder
	b.WriteString(strings.Join(head, sep) + end)
	texts := make([][]string, rapid.IntRange(1, 3).Draw(t, "kinds of rows"))
	for i := range texts {
		for range head {
			texts[i] = append(texts[i], text.Draw(t, "text"))
		}
		texts[i][2] = rapid.SampledFrom([]string{"EUR", "EUR", "EUR", "eur", "USD", "euro", ""}).Draw(t, "currency")
		if rapid.Bool().Draw(t, "of a known kind") {
			texts[i][9], texts[i][10] = "Usage", ""
		}
	}
	for range rapid.IntRange(0, 12).Draw(t, "rows") {
		row := slices.Clone(rapid.SampledFrom(texts).Draw(t, "row"))
		for i, g := range few {
			row[i] = g.Draw(t, head[i])
			if strings.Contains(row[i], sep) {
				row[i] = `"` + row[i] + `"`
			}
		}
		switch rapid.IntRange(0, 20).Draw(t, "odd") {
		case 0:
			b.WriteString(end)
		case 1:
			row = row[1:]
		}
		b.WriteString(strings.Join(row, sep) + end)
	}
	file := b.String()
	if rapid.IntRange(0, 9).Draw(t, "cut") == 0 {
		file = file[:rapid.IntRange(0, len(file)).Draw(t, "at")]
	}
	return file, FOCUSOptions{Decimal: rapid.SampledFrom([]string{"", "", ".", ","}).Draw(t, "decimal"), Dates: rapid.SampledFrom([]string{"", DayMonth, MonthDay}).Draw(t, "dates"),
		Lean: rapid.Bool().Draw(t, "lean")}
}

func TestRowsThatAreAlikeAreReadAsIfTheyWereNot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		file, opt := anyBill(t)
		bothWays(t, file, opt)
	})
}

// TestMostRowsOfABillAreReadQuickly fails when the quick way is no longer taken.
func TestMostRowsOfABillAreReadQuickly(t *testing.T) {
	var b strings.Builder
	b.WriteString("ResourceId,BilledCost,BillingCurrency,ChargePeriodStart,ConsumedQuantity,Tags\n")
	for d := range 30 {
		for r := range 20 {
			fmt.Fprintf(&b, "/x/%d,%d.%02d,EUR,2026-09-%02dT00:00:00Z,%d.25,\"{\"\"a\"\":\"\"%d\"\"}\"\n", r, d, r, d+1, d, r)
		}
	}
	var bill Bill
	f := newFocusReader(FOCUSOptions{}, &bill)
	if _, err := f.all(strings.NewReader(b.String())); err != nil || bill.Len() != 600 {
		t.Fatal(err, bill.Len())
	}
	if len(f.alikes.by) != 20 || len(f.alikes.dates) < 29 {
		t.Errorf("%d kinds of rows, %d dates", len(f.alikes.by), len(f.alikes.dates))
	}
	f.rows = newRows(strings.NewReader("/x/3,7.5,EUR,2026-09-01T00:00:00Z,1.25,\"{\"\"a\"\":\"\"3\"\"}\"\n"), ',')
	if rec, err := f.rows.next(); rec != nil || err != nil {
		t.Fatalf("the row is not plain: %q, %v", rec, err)
	}
	if done, err := f.quick(2); !done || err != nil {
		t.Errorf("a row like one before: %v, %v", done, err)
	}
}

// sameRows holds what rows gives against encoding/csv itself: fields, lines, errors.
func sameRows(t testing.TB, file string, separator rune, wrap func(io.Reader) io.Reader) {
	t.Helper()
	got, want := newRows(wrap(strings.NewReader(file)), separator), csv.NewReader(strings.NewReader(file))
	want.Comma, want.FieldsPerRecord = separator, -1
	for n := 0; ; n++ {
		a, err := got.next()
		if a == nil && err == nil {
			a = got.record()
		}
		b, err2 := want.Read()
		var wrong, wrong2 *csv.ParseError
		if errors.As(err, &wrong) && errors.As(err2, &wrong2) && wrong.Err == wrong2.Err && got.line == wrong2.StartLine && wrong.Line-wrong.StartLine == wrong2.Line-wrong2.StartLine {
			err, err2 = nil, nil
		}
		line := got.line
		if len(b) > 0 && err2 == nil && wrong2 == nil {
			line, _ = want.FieldPos(0)
		}
		if !slices.Equal(a, b) || err != err2 || line != got.line {
			t.Fatalf("%q, row %d:\ngot  %q (line %d, %v)\nwant %q (line %d, %v)", file, n, a, got.line, err, b, line, err2)
		}
		if err == io.EOF {
			return
		}
		if n > len(file) {
			t.Fatalf("%q: more rows than bytes", file)
		}
	}
}

func FuzzRows(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "a,\"b\"\r\n\r\n\"x\"\"y\",\"two\nlines\"\r\n,\n", "a\"b,c\n\"a\"b,c\n\"a\nb\"c\n\n1", "\r\r\n\"\"\n\"\"\r\n", "\"never closed\n1,2", "a\rb,\"c\r\"\n", "\"a\"\rb\n"} {
		f.Add(s, byte(','))
	}
	f.Fuzz(func(t *testing.T, file string, separator byte) {
		if separator == '"' || separator == '\r' || separator == '\n' || separator == 0 || separator >= 0x80 || len(file) > 4096 {
			return
		}
		sameRows(t, file, rune(separator), func(r io.Reader) io.Reader { return r })
		sameRows(t, file, rune(separator), iotest.OneByteReader)
	})
}

// Rows that lie across the ends of the buffer, and rows longer than it.
func TestRowsAcrossTheBuffer(t *testing.T) {
	var b bytes.Buffer
	for i := range 9000 {
		fmt.Fprintf(&b, "%d,\"a \"\"%s\"\" b\",%s\r\n", i, strings.Repeat("x", i%97), strings.Repeat("y", i%61))
	}
	fmt.Fprintf(&b, "long,%s,z\nlonger,\"%s\",\"%s\"\n\nlast,1,2", strings.Repeat("l", 300<<10), strings.Repeat("m", 300<<10), strings.Repeat("n\n", 100<<10))
	sameRows(t, b.String(), ',', func(r io.Reader) io.Reader { return r })
	sameRows(t, b.String(), ',', iotest.HalfReader)
}

func FuzzFOCUSBothWays(f *testing.F) {
	f.Add(head3 + "1.5,EUR,2026-09-01\n2.5,EUR,2026-09-02\n-2e-3,EUR,03/04/2026\n")
	f.Add("BilledCost;BillingCurrency;ChargePeriodStart;Tags\n1.234,5;EUR;01.09.2026;\"\"\"a\"\":\"\"b\"\"\"\n7,25;EUR;02.09.2026;\"\"\"a\"\":\"\"b\"\"\"\n")
	f.Add("sep=;\nDatum;Kosten (PreTaxCost);Currency\n01.09.2026;0,5;EUR\n02.09.2026;0,75;EUR\n")
	f.Add("Date\tCost\tCurrency\tx\n2026-09-01\t1\tEUR\t\"a\nb\"\n2026-09-01\t1\tEUR\tc\r\n2026-09-01\t2\tEUR\tc\r\n\"")
	f.Fuzz(func(t *testing.T, file string) { bothWays(t, file, FOCUSOptions{}) })
}
