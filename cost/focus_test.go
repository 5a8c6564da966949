package cost

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"math/big"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write golden files")

func readAll(t testing.TB, file string, opt FOCUSOptions) ([]Charge, FOCUSSummary) {
	t.Helper()
	var bill Bill
	sum, err := ReadFOCUS(strings.NewReader(file), opt, &bill)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(bill.All()), sum
}

func readErr(file string, opt FOCUSOptions) error {
	_, err := ReadFOCUS(strings.NewReader(file), opt, &Bill{})
	return err
}

const head3 = "BilledCost,BillingCurrency,ChargePeriodStart\n"

func TestNumbers(t *testing.T) {
	for _, tt := range []struct {
		in      string
		decimal byte
		want    string // "" = an error
	}{
		{"12.5", '.', "12.5"}, {"-12.5", '.', "-12.5"}, {"12,5", ',', "12.5"}, {"1,234.5", '.', "1234.5"}, {"1.234,5", ',', "1234.5"},
		{"1 234,5", ',', "1234.5"}, {"1\u202f234\u202f567,5", ',', "1234567.5"}, {"1'234.5", '.', "1234.5"}, {"(1.50)", '.', "-1.50"}, {"1.50-", '.', "-1.50"},
		{"−3", '.', "-3"}, {"+3", '.', "3"}, {".5", '.', "0.5"}, {"5.", '.', "5"}, {"1.5E-05", '.', "1.5e-5"}, {"1e+3", '.', "1e3"}, {"7", 0, "7"},
		{"1,23", '.', ""}, {"12,34,567", '.', ""}, {"1234,567", '.', ""}, {"1.2.3", '.', ""}, {"abc", '.', ""}, {"", '.', ""}, {"-", '.', ""}, {"1e", '.', ""},
		{"1e9999", '.', ""}, {"$5", '.', ""}, {"0x10", '.', ""}, {"NaN", '.', ""}, {"1 2", '.', ""}, {"--1", '.', ""},
	} {
		got, err := canonical(tt.in, tt.decimal)
		if (err != nil) != (tt.want == "") || got != tt.want {
			t.Errorf("%q with %q: got %q (%v), want %q", tt.in, tt.decimal, got, err, tt.want)
		}
	}
}

func TestFiguresAreExact(t *testing.T) {
	for in, want := range map[string]figure{
		"0": {}, "1": {1_000_000, 0}, "-0.000001": {-1, 0}, "0.0000015": {1, 500_000_000_000}, "-1.0000005": {-1_000_000, -500_000_000_000},
		"1.5e-5": {15, 0}, "12.3e1": {123_000_000, 0}, "1e-18": {0, 1}, "1e-19": {}, "9e-500": {}, "0e999": {},
		"999999999999.999999999999999999": {999_999_999_999_999_999, 999_999_999_999}, "1000000000000": {1_000_000_000_000_000_000, 0},
	} {
		got, err := figureOf(in)
		if err != nil || got != want {
			t.Errorf("%s: got %+v (%v), want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"1000000000001", "1e13", "1e999", "99999999999999999999999999"} {
		if got, err := figureOf(in); err == nil {
			t.Errorf("%s: got %+v, want an error", in, got)
		}
	}
}

func TestDates(t *testing.T) {
	want := instant("2026-09-03T00:00:00Z")
	for _, tt := range []struct {
		in, order string
		ok        bool
	}{
		{"2026-09-03", "", true}, {"2026-09-03T00:00:00Z", "", true}, {"2026-09-03T02:00:00+02:00", "", true}, {"2026-09-03 00:00:00", "", true}, {"20260903", "", true},
		{"03.09.2026", "", true}, {"3.9.2026 00:00", "", true}, {"09/03/2026", MonthDay, true}, {"03/09/2026", DayMonth, true}, {"9/3/2026 12:00:00 AM", MonthDay, true}, {"03-09-2026", DayMonth, true},
		{"03.09.26", "", false}, {"2026-13-03", "", false}, {"31.02.2026", "", false}, {"yesterday", "", false}, {"00/00/2026", DayMonth, false}, {"1899-01-01", "", false}, {"13/13/2026", "", false}, {"", "", false},
	} {
		got, _, either, err := dateOf(tt.in, tt.order)
		if tt.ok && (err != nil || either || got != want) || !tt.ok && err == nil && !either {
			t.Errorf("%q %s: got %d, either %v, %v", tt.in, tt.order, got, either, err)
		}
	}
	if _, _, either, _ := dateOf("03/09/2026", ""); !either {
		t.Error("03/09/2026 may be two dates")
	}
	if _, shows, _, _ := dateOf("03/19/2026", ""); shows != MonthDay {
		t.Errorf("03/19/2026 shows %q", shows)
	}
}

func TestTheFormsOfAFile(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		opt        FOCUSOptions
		billed     Amount // of all rows
		rows       int
		err        string
	}{
		{"points", head3 + "1.5,EUR,2026-09-01\n", FOCUSOptions{}, 1_500_000, 1, ""},
		{"mark of order, capitals, other order", "\ufeffCHARGEPERIODSTART, billing_currency ,BilledCost\n2026-09-01,EUR,2\n", FOCUSOptions{}, 2_000_000, 1, ""},
		{"commas between semicolons", "BilledCost;BillingCurrency;ChargePeriodStart\n1,5;EUR;01.09.2026\n1.234,5;EUR;02.09.2026\n", FOCUSOptions{}, 1_236_000_000, 2, ""},
		{"a later row proves what an earlier one means", "BilledCost;BillingCurrency;ChargePeriodStart\n1.234;EUR;2026-09-01\n0,5;EUR;2026-09-01\n", FOCUSOptions{}, 1_234_500_000, 2, ""},
		{"nothing proves", "BilledCost;BillingCurrency;ChargePeriodStart\n1.234;EUR;2026-09-01\n7;EUR;2026-09-01\n", FOCUSOptions{}, 0, 0, "line 2, column BilledCost: the separator in \"1.234\""},
		{"told", "BilledCost;BillingCurrency;ChargePeriodStart\n1.234;EUR;2026-09-01\n", FOCUSOptions{Decimal: ","}, 1_234_000_000, 1, ""},
		{"a comma of three in a comma file", head3 + "\"1,234\",EUR,2026-09-01\n", FOCUSOptions{}, 0, 0, "thousands"},
		{"tabs", strings.ReplaceAll(head3, ",", "\t") + "1.234\tEUR\t2026-09-01\n", FOCUSOptions{}, 1_234_000, 1, ""},
		{"Excel's first line", "sep=;\nBilledCost;BillingCurrency;ChargePeriodStart\n1,5;EUR;2026-09-01\n", FOCUSOptions{}, 1_500_000, 1, ""},
		{"months first, proved by the second", head3 + "1,EUR,09/03/2026\n1,EUR,09/13/2026\n", FOCUSOptions{}, 2_000_000, 2, ""},
		{"day or month", head3 + "1,EUR,09/03/2026\n1,EUR,09/04/2026\n", FOCUSOptions{}, 0, 0, "line 2, column ChargePeriodStart: \"09/03/2026\" may be day or month first"},
		{"day and month alike", head3 + "1,EUR,09/09/2026\n", FOCUSOptions{}, 1_000_000, 1, ""},
		{"both in doubt, one told later", "BilledCost;BillingCurrency;ChargePeriodStart\n1.234;EUR;09/03/2026\n0,5;EUR;09/04/2026\n", FOCUSOptions{}, 0, 0, "day or month"},
		{"both in doubt, both told later", "BilledCost;BillingCurrency;ChargePeriodStart\n1.234;EUR;09/03/2026\n0,5;EUR;09/04/2026\n1;EUR;21/09/2026\n", FOCUSOptions{}, 1_235_500_000, 3, ""},
		{"refunds", head3 + "-3,EUR,2026-09-01\n1,EUR,2026-09-01\n", FOCUSOptions{}, -2_000_000, 2, ""},
		{"NULL is nothing", "BilledCost,BillingCurrency,ChargePeriodStart,ListCost,Tags,ResourceId\n1,EUR,2026-09-01,NULL,NULL,null\n", FOCUSOptions{}, 1_000_000, 1, ""},
		{"no rows", head3, FOCUSOptions{}, 0, 0, ""},
		{"empty", "", FOCUSOptions{}, 0, 0, "it is empty"},
		{"Parquet", "PAR1xxxx", FOCUSOptions{}, 0, 0, "Parquet"},
		{"workbook", "PK\x03\x04xx", FOCUSOptions{}, 0, 0, "zip"},
		{"UTF-16", "\xff\xfeB\x00", FOCUSOptions{}, 0, 0, "UTF-16"},
		{"JSON", "{}", FOCUSOptions{}, 0, 0, "JSON"},
		{"another file", "a,b\n1,2\n", FOCUSOptions{}, 0, 0, "no column BilledCost, BillingCurrency, Date among 2 columns"},
		{"lacks one", "BilledCost,BillingCurrency\n1,EUR\n", FOCUSOptions{}, 0, 0, "no column ChargePeriodStart"},
		{"twice", "BilledCost,Billed Cost,BillingCurrency,ChargePeriodStart\n", FOCUSOptions{}, 0, 0, "are both BilledCost"},
		{"a quote that never ends", head3 + "1,EUR,2026-09-01\n\"1,EUR\n2,EUR,2026-09-01\n", FOCUSOptions{}, 0, 0, "line 3: a quote is not closed"},
		{"a row that never ends", head3 + "\"" + strings.Repeat("x\n", 1<<20), FOCUSOptions{}, 0, 0, "longer than 1024 KiB"},
		{"none understood", head3 + "x,EUR,2026-09-01\n", FOCUSOptions{}, 0, 0, "none of its 1 rows"},
		{"a sum that overflows", head3 + strings.Repeat("999999999999,EUR,2026-09-01\n", 10), FOCUSOptions{}, 0, 0, ErrOverflow.Error()},
		{"wrong option", head3, FOCUSOptions{Decimal: ";"}, 0, 0, "expected . or ,"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got Amount
			var bill Bill
			_, err := ReadFOCUS(strings.NewReader(tt.file), tt.opt, &bill)
			for c := range bill.All() {
				got += c.Billed
			}
			rows := bill.Len()
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got %v, want an error with %q", err, tt.err)
				}
				return
			}
			if err != nil || got != tt.billed || rows != tt.rows {
				t.Errorf("got %d in %d rows (%v), want %d in %d", got, rows, err, tt.billed, tt.rows)
			}
		})
	}
}

func TestBadRowsAreCountedWithTheirMoney(t *testing.T) {
	got, sum := readAll(t, "BilledCost,BillingCurrency,ChargePeriodStart,EffectiveCost,Tags\n"+
		"1,EUR,2026-09-01,1,{}\n"+ // good
		"2.5,EUR,neverday,1,{}\n"+ // 2.50 EUR are not in the sum
		"3,euro,2026-09-01,1,{}\n"+ // money unknown
		"1,EUR,2026-09-01\n"+ // short
		"4,EUR,2026-09-01,1;5,{}\n"+
		"5,USD,2026-09-01,,{broken\n"+ // good: only its tags are not
		"6,EUR,2026-09-01,1,\"x\"y\n", FOCUSOptions{})
	if len(got) != 2 || sum.Rows != 7 || sum.Bad != 5 || sum.BadUnknown != 3 || sum.BadTags != 1 || sum.Assumed != 1 {
		t.Errorf("%d charges, %+v", len(got), sum)
	}
	if !reflect.DeepEqual(sum.BadBilled, []Money{{Amount: 6_500_000, Currency: "EUR", Source: "bill"}}) {
		t.Errorf("money of bad rows: %+v", sum.BadBilled)
	}
	if !reflect.DeepEqual(sum.Billed, []Money{{Amount: 1_000_000, Currency: "EUR", Source: "bill"}, {Amount: 5_000_000, Currency: "USD", Source: "bill"}}) {
		t.Errorf("money: %+v", sum.Billed)
	}
	if got[1].More["Tags"] != "{broken" || got[1].Effective != 5_000_000 {
		t.Errorf("tags that are none: %+v", got[1])
	}
	var told []string
	for _, p := range sum.Problems {
		told = append(told, p.String())
	}
	want := []string{
		`line 3, column ChargePeriodStart: "neverday" is no date: expected one like 2026-11-30 or 2026-11-30T00:00:00Z`,
		`line 4, column BillingCurrency: "EURO" is no currency: expected three letters`,
		`line 5: 3 columns, the heading has 5`,
		`line 6, column EffectiveCost: "1;5" is no number: expected digits`,
		`line 8: extraneous or missing " in quoted-field`,
	}
	if !slices.Equal(told, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}

func TestASumIsExactThoughRowsAreRounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		exact := map[string]*big.Rat{"EUR": new(big.Rat), "USD": new(big.Rat)}
		var b strings.Builder
		b.WriteString(head3)
		for range rapid.IntRange(1, 50).Draw(t, "rows") {
			s := rapid.StringMatching(`-?[0-9]{1,6}\.[0-9]{0,18}(e-?[0-9])?`).Draw(t, "amount")
			c := rapid.SampledFrom([]string{"EUR", "USD"}).Draw(t, "currency")
			v, ok := new(big.Rat).SetString(strings.Replace(s, ".e", "e", 1))
			if !ok {
				t.Skip("no number")
			}
			if f, _ := v.Float64(); f > 1e12 || f < -1e12 {
				t.Skip("too large")
			}
			exact[c].Add(exact[c], v)
			fmt.Fprintf(&b, "%s,%s,2026-09-01\n", s, c)
		}
		got := map[string]Amount{}
		var bill Bill
		sum, err := ReadFOCUS(strings.NewReader(b.String()), FOCUSOptions{}, &bill)
		for c := range bill.All() {
			got[c.Currency] += c.Billed
		}
		if err != nil || sum.Bad > 0 {
			t.Fatalf("%v, %+v\n%s", err, sum.Problems, b.String())
		}
		for c, want := range exact {
			off := new(big.Rat).Sub(new(big.Rat).SetFrac64(int64(got[c]), 1_000_000), want)
			if off.Abs(off).Cmp(big.NewRat(1, 1_000_000)) > 0 {
				t.Fatalf("%s: got %d micros, want %s", c, got[c], want.FloatString(20))
			}
		}
	})
}

func TestCompressedAndCutShort(t *testing.T) {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	fmt.Fprint(w, head3+strings.Repeat("1,EUR,2026-09-01\n", 20_000))
	w.Close()
	if got, sum := readAll(t, z.String(), FOCUSOptions{}); len(got) != 20_000 || sum.Rows != 20_000 {
		t.Errorf("%d charges, %+v", len(got), sum)
	}
	var bill Bill
	_, err := ReadFOCUS(bytes.NewReader(z.Bytes()[:z.Len()-12]), FOCUSOptions{}, &bill)
	if err == nil || !strings.Contains(err.Error(), "cut short") || bill.Len() == 0 {
		t.Errorf("a file cut short: %v after %d rows", err, bill.Len())
	}
}

func TestOlderExports(t *testing.T) {
	file := `SubscriptionId,SubscriptionName,ResourceGroup,ResourceLocation,Date,ProductName,MeterCategory,MeterSubCategory,MeterId,MeterName,UnitOfMeasure,Quantity,CostInBillingCurrency,Cost,CostCenter,ResourceId,Tags,AdditionalInfo,ChargeType,PricingModel,BillingCurrencyCode,BillingPeriodStartDate,BillingPeriodEndDate,PayGPrice
0000000A-aaaa,Shop,nodes,westeurope,09/02/2026,Dsv5,Virtual Machines,Dsv5 Series,m1,D4s v5,1 Hour,48,9.6,10.4,cc7,/subscriptions/0000000A-aaaa/resourceGroups/nodes/providers/Microsoft.Compute/virtualMachineScaleSets/aks-sys-1-vmss,"""owner"": ""ann"",""env"":""prod""","{""ServiceType"":""Standard_D4s_v5""}",Usage,Spot,EUR,09/01/2026,09/30/2026,0.2
0000000A-aaaa,Shop,nodes,westeurope,09/02/2026,,,,,,,,-1.5,-1.6,,,,,Refund,,EUR,09/01/2026,09/30/2026,
0000000A-aaaa,Shop,nodes,westeurope,09/02/2026,,,,,,,,2,2,,,,,Teleport,,EUR,09/01/2026,09/30/2026,
`
	got, sum := readAll(t, file, FOCUSOptions{})
	if sum.Format != "Azure cost export" || sum.Dates != MonthDay || sum.Bad != 1 || len(got) != 2 || sum.BadBilled[0].Amount != 2_000_000 {
		t.Fatalf("%+v", sum)
	}
	c := got[0]
	if c.Billed != 9_600_000 || c.Effective != 9_600_000 || c.Start != instant("2026-09-02T00:00:00Z") || c.End != instant("2026-09-03T00:00:00Z") || c.PeriodEnd != instant("2026-10-01T00:00:00Z") ||
		c.SubAccount != "/subscriptions/0000000a-aaaa" || c.Meter != "D4s v5" || c.MeterCategory != "Virtual Machines" || c.Quantity != 48 || c.CostCentre != "cc7" ||
		c.Tags["owner"] != "ann" || c.Tags["env"] != "prod" || c.Pricing != "Dynamic" || c.Category != "Usage" || c.More["x_ResourceGroupName"] != "nodes" || c.More["Cost"] != "10.4" || c.More["PayGPrice"] != "0.2" ||
		!strings.HasSuffix(c.Resource, "virtualmachinescalesets/aks-sys-1-vmss") {
		t.Errorf("%+v", c)
	}
	if r := got[1]; r.Billed != -1_500_000 || r.Category != "Purchase" || r.Class != "Correction" {
		t.Errorf("refund: %+v", r)
	}

	german := "Abonnement-GUID (SubscriptionGuid);Ressourcengruppe (ResourceGroup);UsageDateTime (UsageDateTime);Kategorie der Verbrauchseinheit (MeterCategory);Verbrauch (UsageQuantity);Kosten (PreTaxCost);Currency;Maßeinheit (UnitOfMeasure)\n" +
		"abc;nodes;01.09.2026;Virtual Machines;24;1.234,50;EUR;1 Stunde\n"
	got, sum = readAll(t, german, FOCUSOptions{})
	if len(got) != 1 || got[0].Billed != 1_234_500_000 || got[0].SubAccount != "/subscriptions/abc" || got[0].MeterCategory != "Virtual Machines" || got[0].Quantity != 24 || sum.Decimal != "," {
		t.Errorf("%+v, %+v", got, sum)
	}
	plain := "Datum;Kosten;Abrechnungswährung\n01.09.2026;0,5;EUR\n"
	if got, _ = readAll(t, plain, FOCUSOptions{}); got[0].Billed != 500_000 {
		t.Errorf("%+v", got)
	}
}

func TestTagsInBothForms(t *testing.T) {
	for in, want := range map[string]map[string]string{
		`{"a":"b","n":1,"t":true,"z":null,"o":{"x":1}}`: {"a": "b", "n": "1", "t": "true", "z": "", "o": `{"x":1}`},
		`"a": "b","c":"d",`:                             {"a": "b", "c": "d"},
		`"a": "=1+1, \"q\""`:                            {"a": `=1+1, "q"`},
		"NULL":                                          nil, "": nil, "{}": nil, "{ }": nil,
	} {
		if got, err := Normalise(in); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"a=b", "{", `{"a":"b"} {"c":"d"}`, "[1]", `{"a":"` + strings.Repeat("x", mostTagBytes) + `"}`} {
		if got, err := Normalise(in); err == nil {
			t.Errorf("%.40s: got %v, want an error", in, got)
		}
	}
}

func TestColumnsWithoutAPlace(t *testing.T) {
	file := "BilledCost,BillingCurrency,ChargePeriodStart,X_RESOURCEGROUPNAME,x_Own,RegionName,x_Long,x_own2\n1,EUR,2026-09-01,nodes,v,West," + strings.Repeat("y", mostMoreBytes+1) + ",NULL\n"
	got, sum := readAll(t, file, FOCUSOptions{})
	if want := map[string]string{"x_ResourceGroupName": "nodes", "x_Own": "v", "RegionName": "West"}; !reflect.DeepEqual(got[0].More, want) || sum.Cut != 1 {
		t.Errorf("%v, %+v", got[0].More, sum)
	}
	got, _ = readAll(t, file, FOCUSOptions{Lean: true})
	if want := map[string]string{"x_ResourceGroupName": "nodes"}; !reflect.DeepEqual(got[0].More, want) {
		t.Errorf("lean: %v", got[0].More)
	}
}

// chargeOf draws a charge with a value in every field.
func chargeOf(t *rapid.T) Charge {
	s := func(name string) string {
		return rapid.SampledFrom([]string{"", "x", "ünï", "=1+1", "a,b;c\t\"d\"", "two\nlines", " space ", "nullable", "-0"}).Draw(t, name)
	}
	a := func(name string) Amount { return Amount(rapid.Int64Range(-1e15, 1e15).Draw(t, name)) }
	d := func(name string) int64 {
		return rapid.Int64Range(instant("2001-01-01T00:00:00Z"), instant("2198-01-01T00:00:00Z")).Draw(t, name)
	}
	c := Charge{Provider: s("provider"), Publisher: s("publisher"), Issuer: s("issuer"), BillingAccount: s("account"), SubAccount: lower(s("sub")), SubAccountName: s("subname"),
		PeriodStart: d("ps"), PeriodEnd: d("pe"), Start: d("s"), Category: s("category"), Class: s("class"), Description: s("description"),
		Currency: rapid.SampledFrom([]string{"EUR", "USD", "JPY"}).Draw(t, "currency"), Billed: a("billed"), Effective: a("effective"), List: a("list"), Contracted: a("contracted"),
		Quantity: rapid.Float64Range(-1e12, 1e12).Draw(t, "quantity"), QuantityUnit: s("unit"), Priced: rapid.Float64Range(0, 1e-9).Draw(t, "priced"), PricedUnit: s("punit"), Pricing: s("pricing"),
		Commitment: s("commitment"), CommitmentUse: s("use"), Region: s("region"), Resource: lower(s("resource")), ResourceName: s("name"), ResourceType: s("type"), Service: s("service"), ServiceClass: s("sclass"),
		SKU: s("sku"), SKUPrice: s("skuprice"), Meter: s("meter"), MeterCategory: s("mcat"), MeterSub: s("msub"), MeterID: s("mid"), CostCentre: s("centre")}
	c.End = c.Start + rapid.Int64Range(0, 40*day).Draw(t, "length")
	for range rapid.IntRange(0, 3).Draw(t, "tags") {
		if c.Tags == nil {
			c.Tags = map[string]string{}
		}
		c.Tags[rapid.SampledFrom([]string{"owner", "a\"b", "<&>"}).Draw(t, "key")] = s("value")
	}
	for _, k := range []string{"AvailabilityZone", "x_ResourceGroupName", "x_Own", "x_PricingCurrency"} {
		if v := s(k); v != "" {
			if c.More == nil {
				c.More = map[string]string{}
			}
			c.More[k] = v
		}
	}
	return c
}

func TestWhatIsWrittenIsReadTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []Charge
		for range rapid.IntRange(0, 8).Draw(t, "charges") {
			want = append(want, chargeOf(t))
		}
		var file bytes.Buffer
		if err := WriteFOCUS(&file, slices.Values(want)); err != nil {
			t.Fatal(err)
		}
		var bill Bill
		sum, err := ReadFOCUS(&file, FOCUSOptions{}, &bill)
		got := slices.Collect(bill.All())
		if err != nil || sum.Bad > 0 || sum.BadTags > 0 || sum.Cut > 0 || sum.Assumed > 0 {
			t.Fatalf("%v, %+v", err, sum)
		}
		for i := range want {
			if i >= len(got) || !reflect.DeepEqual(got[i], want[i]) {
				t.Fatalf("charge %d: got\n%+v\nwant\n%+v", i, got, want[i])
			}
		}
	})
}

func TestFOCUSGolden(t *testing.T) {
	in := small()
	in.Charges[0].More = map[string]string{"x_ResourceGroupName": "nodes-one", "x_Own": "=kept as it is", "RegionName": "West Europe"}
	in.Charges[0].Tags = map[string]string{"owner": "ann", "env": "prod"}
	in.Charges[1].Billed, in.Charges[1].Class = -1, "Correction"
	var got bytes.Buffer
	if err := WriteFOCUS(&got, slices.Values(in.Charges)); err != nil {
		t.Fatal(err)
	}
	const path = "testdata/focus.csv"
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s is not what is written now:\n%s", path, got.Bytes())
	}
	if n := strings.Count(strings.SplitN(got.String(), "\n", 2)[0], ","); n != 57+6+1-1 {
		t.Errorf("%d columns", n+1)
	}
}

func TestColumnsThatCannotBeTold(t *testing.T) {
	for _, more := range []map[string]string{{"x_a": "1", "X_A": "2"}, {" ": "1"}} {
		if err := WriteFOCUS(&bytes.Buffer{}, slices.Values([]Charge{{More: more}})); err == nil {
			t.Errorf("%v: no error", more)
		}
	}
}

func FuzzReadFOCUS(f *testing.F) {
	f.Add(head3 + "1.5,EUR,2026-09-01\n-2e-3,USD,03/04/2026\n")
	f.Add("BilledCost;BillingCurrency;ChargePeriodStart;Tags\n1.234,5;EUR;01.09.2026;\"\"\"a\"\":\"\"b\"\"\"\n")
	f.Add("sep=;\nDatum;Kosten (PreTaxCost);Currency\n01.09.2026;0,5;EUR\n")
	f.Add("Date\tCost\tCurrency\n\"")
	f.Add("\x1f\x8b\x08")
	f.Fuzz(func(t *testing.T, file string) {
		var sum Amount
		var bill Bill
		s, err := ReadFOCUS(strings.NewReader(file), FOCUSOptions{}, &bill)
		for c := range bill.All() {
			if !isCurrency(c.Currency) || c.Start == 0 || c.End != 0 && c.End < c.Start {
				t.Errorf("a charge that is none: %+v", c)
			}
			sum += c.Billed
		}
		if bill.Len() != s.Rows-s.Bad {
			t.Errorf("%d charges, summary %+v", bill.Len(), s)
		}
		var told Amount
		for _, m := range s.Billed {
			told += m.Amount
		}
		if err == nil && told != sum {
			t.Errorf("charges add up to %d, the summary to %d", sum, told)
		}
	})
}

func FuzzNormalise(f *testing.F) {
	f.Add(`{"a":"b"}`)
	f.Add(`"a": "b",`)
	f.Fuzz(func(t *testing.T, s string) {
		m, err := Normalise(s)
		if err != nil && m != nil || len(m) > mostTags {
			t.Errorf("%v, %v", m, err)
		}
	})
}
