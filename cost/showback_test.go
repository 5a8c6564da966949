package cost

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/inventory"
)

func showbackReport() *Report {
	u := func(h int, ns string, charged, cores float64) inventory.Usage {
		return inventory.Usage{Cluster: aks1, Hour: at(3, h), Namespace: ns, Requested: charged / 2, Used: charged, Charged: charged, Cores: cores, Samples: 60}
	}
	in := &Input{Now: testNow.UnixNano(), Tenant: testTenant(), Owners: map[string]string{aks1: `=HYPERLINK("http://x","Ann")`, aks1 + "|db": "data, base", aks2: "-2+3"},
		Charges: []Charge{
			nodes(aks1, at(3, 0), at(4, 0), 10),
			nodes(aks2, at(3, 0), at(4, 0), 7.5),
			{SubAccount: subA, Start: at(3, 0), End: at(4, 0), Category: "Usage", Currency: "EUR", Billed: -Unit / 3, Resource: aks1},
			{SubAccount: subA, Start: at(4, 0), End: at(5, 0), Category: "Usage", Currency: "USD", Billed: 9 * Unit, Resource: aks1},
			{SubAccount: subA, Start: at(4, 0), End: at(5, 0), Category: "Tax", Currency: "EUR", Billed: 3 * Unit},
		},
		Usage: []inventory.Usage{u(1, "", 0, 8), u(1, "web", 1, 0), u(1, "db", 2, 0), u(1, "kube-system", 0.5, 0)}}
	in.Usage[1].UsedWhy = "no metrics server"
	return Compute(in)
}

func TestShowbackGolden(t *testing.T) {
	for _, format := range []string{ShowbackCSV, ShowbackText} {
		var out bytes.Buffer
		if err := WriteShowback(&out, showbackReport(), format); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", "showback."+format)
		if *update {
			if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), want) {
			t.Errorf("%s differs; have:\n%s\n(go test ./cost -update writes it anew)", path, out.String())
		}
	}
	if err := WriteShowback(&bytes.Buffer{}, &Report{}, "xls"); err == nil || !strings.Contains(err.Error(), "csv") {
		t.Errorf("an unknown format: %v", err)
	}
}

// What a spreadsheet adds up in the column cost is the total, and no cell is a formula.
func TestShowbackAddsUpAndIsSafe(t *testing.T) {
	var out bytes.Buffer
	if err := WriteShowback(&out, showbackReport(), ShowbackCSV); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	parse := func(s string) (a Amount) {
		neg := strings.HasPrefix(s, "-")
		for _, c := range strings.TrimPrefix(s, "-") {
			if c != '.' {
				a = a*10 + Amount(c-'0')
			}
		}
		if neg {
			return -a
		}
		return a
	}
	var sum, total Amount
	for _, r := range rows[1:] {
		switch r[0] {
		case "total":
			total = parse(r[9])
		case "other currency":
		default:
			sum += parse(r[9])
		}
		for i, c := range r {
			if c != "" && strings.ContainsRune("=+-@\t\r", rune(c[0])) && (i < 6 || i > 11) {
				t.Errorf("cell %q of column %s is a formula", c, rows[0][i])
			}
		}
	}
	if sum != total || total == 0 {
		t.Errorf("lines add up to %v, the total is %v", sum, total)
	}
}
