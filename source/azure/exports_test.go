package azure

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAFolderOfExportsIsReadByContent(t *testing.T) {
	dir := folder(t, map[string]string{
		"1.json":  `[{"cloudName":"AzureCloud","id":"` + guidA + `","name":"a","state":"Enabled","tenantId":"` + guidB + `","isDefault":true}]`,
		"2.json":  "\xef\xbb\xbf[" + aksFlat + "]",
		"3.json":  `{"value":[{"id":"` + subA + `/providers/Microsoft.Security/pricings/Containers","name":"Containers","type":"Microsoft.Security/pricings","pricingTier":"Standard","freeTrialRemainingTime":"0:00:00","extensions":[]}]}`,
		"4.json":  `{"count":1,"data":[{"id":"` + subA + `/resourceGroups/rg-one","name":"rg-one","type":"microsoft.resources/subscriptions/resourcegroups","location":"westeurope"}],"skip_token":"abc","total_records":9}`,
		"5.json":  `[{"id":"` + aksA + `/providers/microsoft.insights/diagnosticSettings/audit","name":"audit","logs":[{"category":"kube-audit","enabled":true}]}]`,
		"6.json":  `[{"eventDataId":"e","eventTimestamp":"2026-11-01T00:00:00Z","operationName":{"value":"x/write"},"resourceId":"` + aksA + `","status":{"value":"Succeeded"}}]`,
		"7.json":  `{"columns":[{"name":"Cost"},{"name":"UsageDate"},{"name":"Currency"},{"name":"ResourceId"}],"rows":[[1,20261101,"EUR","` + aksA + `"]],"id":"` + subA + `/providers/Microsoft.CostManagement/query/x","type":"Microsoft.CostManagement/query"}`,
		"8.json":  `{"BillingCurrency":"USD","Items":[{"currencyCode":"USD","retailPrice":0.2,"meterId":"M","meterName":"D4s v5","unitOfMeasure":"1 Hour"}],"NextPageLink":null,"Count":1}`,
		"9.json":  `[{"resourceType":"virtualMachines","name":"Standard_D4s_v5","capabilities":[{"name":"vCPUs","value":"4"}]}]`,
		"a.json":  `[{"policyAssignmentId":"p","policyDefinitionId":"d","complianceState":"Compliant","resourceId":"` + aksA + `","timestamp":"2026-11-01T00:00:00+00:00"}]`,
		"b.json":  `[{"id":"` + subA + `/providers/Microsoft.Web/sites/x","type":"Microsoft.Web/sites","name":"x"}]`,
		"c.json":  `{"what":"is this"}`,
		"d.json":  `[]`,
		"e.json":  `[{"id":"` + arcA + `","type":"Microsoft.Kubernetes/connectedClusters","name":"arc-one"},{"id":"`,
		"f.json":  ``,
		"g.json":  "\xff\xfe[\x00]\x00",
		"n.txt":   `not looked at`,
		"h.json":  `[{"id":"` + aksA + `/providers/Microsoft.Security/pricings/Containers","name":"Containers","type":"Microsoft.Security/pricings","pricingTier":"Free"}]`,
		"i.json":  `[{"displayName":"Root","id":"/providers/Microsoft.Management/managementGroups/root","name":"root","tenantId":"` + guidB + `","type":"Microsoft.Management/managementGroups"}]`,
		"j1.json": `{"id":"/providers/Microsoft.Management/managementGroups/root","name":"root","type":"Microsoft.Management/managementGroups","displayName":"Root","children":[{"id":"` + subA + `","name":"` + guidA + `","displayName":"a","type":"/subscriptions"}]}`,
	})
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	tn := s.Tenant
	if tn.Source != "exports" || tn.ID != guidB || tn.Finished == 0 {
		t.Errorf("tenant: %+v", tn)
	}
	if len(tn.Subscriptions) != 1 || tn.Subscriptions[0].Group != "/providers/microsoft.management/managementgroups/root" || tn.Subscriptions[0].Plan == nil || !tn.Subscriptions[0].Plan.Standard {
		t.Errorf("subscriptions: %+v", tn.Subscriptions)
	}
	if len(tn.Clusters) != 2 || len(tn.Clusters[0].Diagnostics) != 1 || tn.Clusters[0].Plan == nil {
		t.Errorf("clusters: %+v", tn.Clusters)
	}
	if len(tn.ResourceGroups) != 1 || len(tn.Activity) != 1 || s.Bill.Len() != 1 || len(s.Prices) != 1 || len(tn.Sizes) != 1 || len(tn.States) != 1 || tn.Others != 1 || len(tn.Groups) != 1 {
		t.Errorf("got %+v, %d charges, %d prices", tn, s.Bill.Len(), len(s.Prices))
	}
	for _, c := range []struct{ what, scope, outcome, reason string }{
		{cloud.ReadClusters, subA, cloud.ReadOK, ""},
		{cloud.ReadDiagnostics, aksA, cloud.ReadOK, ""},
		{cloud.ReadClusterPlan, aksA, cloud.ReadOK, ""},
		{cloud.ReadResourceGroups, subA, cloud.ReadPartial, "only a part"},
		{cloud.ReadArc, subA, cloud.ReadPartial, ""},
		{cloud.ReadExport, "c.json", cloud.ReadFailed, "not recognised"},
		{cloud.ReadExport, "d.json", cloud.ReadSkipped, "empty list"},
		{cloud.ReadExport, "e.json", cloud.ReadPartial, "cut short"},
		{cloud.ReadExport, "f.json", cloud.ReadFailed, "empty"},
		{cloud.ReadExport, "g.json", cloud.ReadFailed, "UTF-16"},
	} {
		if r := readOf(t, s, c.what, c.scope); r.Outcome != c.outcome || !strings.Contains(r.Reason, c.reason) {
			t.Errorf("%s of %s: %+v", c.what, c.scope, r)
		}
	}
}

func TestAFolderWithoutExports(t *testing.T) {
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "docs/azure.md") {
		t.Errorf("got %v", err)
	}
}

// TestEveryDocumentIsRecognised holds that what Collect reads, saved as az would print it,
// is known by its content.
func TestEveryDocumentIsRecognised(t *testing.T) {
	for _, r := range documents() {
		if r.Doc == nil || r.What == cloud.ReadArc {
			continue
		}
		n, err := open(r.Doc)
		if err != nil {
			t.Fatal(err)
		}
		if got := recognise(n); got != r.What {
			t.Errorf("%s: taken for %q: %s", r.What, got, r.Doc)
		}
		if scope := scopeOf(r.What, n); scope != r.Scope && r.What != cloud.ReadCosts && r.What != cloud.ReadAssessments {
			t.Errorf("%s: scope %q, want %q", r.What, scope, r.Scope)
		}
	}
}

func FuzzExports(f *testing.F) {
	for _, r := range documents() {
		if r.Doc != nil {
			f.Add([]byte(r.Doc))
			f.Add([]byte("[" + string(r.Doc) + "," + string(r.Doc)))
		}
	}
	f.Add([]byte(`{"value":[{}],"nextLink":"x"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b := NewBuilder()
		told := 0
		x := &exports{reads: map[readKey]*cloud.Read{}, each: func(r Record) error { told++; return b.Add(r) }}
		if err := x.content("f.json", raw); err != nil {
			t.Fatal(err)
		}
		if told == 0 {
			t.Fatal("a file of which nothing is told")
		}
		if err := x.end(); err != nil {
			t.Fatal(err)
		}
		if _, err := json.Marshal(b.Snapshot()); err != nil {
			t.Fatal(err)
		}
	})
}

// TestAnEmptyListWithANameIsAFact: of an empty list the file's name says what and where.
func TestAnEmptyListWithANameIsAFact(t *testing.T) {
	const a, b = "11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"
	registry := `[{"id":"/subscriptions/` + b + `/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/r","name":"r","type":"Microsoft.ContainerRegistry/registries"}]`
	dir := t.TempDir()
	for name, text := range map[string]string{
		"registries." + a + ".json":                "[]",
		"Clusters." + strings.ToUpper(a) + ".JSON": `{"value":[]}`,
		"registries." + b + ".json":                registry,
		"clusters." + b + ".json":                  registry, // not what it says
		"budgets." + a + ".json":                   strings.ReplaceAll(registry, b, a),
		"policy-states." + a + ".json":             `{"value":[],"@odata.nextLink":"https://x"}`,
		"nothing.json":                             "[]",
		"other-resources." + a + ".json":           "[]", // one kind of them says nothing of the others
		"defender-plan.not-a-subscription.json":    "[]",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]cloud.Read{}
	for _, r := range s.Tenant.Reads {
		got[r.What+" "+r.Scope] = r
	}
	for key, want := range map[string]struct {
		outcome string
		rows    int
		reason  string
	}{
		"registries /subscriptions/" + a:               {cloud.ReadOK, 0, ""},
		"clusters /subscriptions/" + a:                 {cloud.ReadOK, 0, ""},
		"registries /subscriptions/" + b:               {cloud.ReadOK, 1, ""},
		"policy-states /subscriptions/" + a:            {cloud.ReadPartial, 0, "only a part"},
		"export clusters." + b + ".json":               {cloud.ReadFailed, 0, "the file's name says clusters, it holds registries"},
		"export budgets." + a + ".json":                {cloud.ReadFailed, 0, "the file's name says budgets, it holds registries"},
		"export nothing.json":                          {cloud.ReadSkipped, 0, "does not say of what"},
		"export other-resources." + a + ".json":        {cloud.ReadSkipped, 0, "does not say of what"},
		"export defender-plan.not-a-subscription.json": {cloud.ReadSkipped, 0, "does not say of what"},
	} {
		if r, ok := got[key]; !ok || r.Outcome != want.outcome || r.Rows != want.rows || !strings.Contains(r.Reason, want.reason) {
			t.Errorf("%s: %+v, want %+v", key, r, want)
		}
	}
	if len(got) != 9 {
		t.Errorf("%d reads: %+v", len(got), got)
	}
}

// TestNoFolderOfExportsDoublesABill: whatever files of one subscription's cost a folder
// holds, in whatever order, its bill is at most what was billed (or, where the files do not
// say that they are amortised, what use cost), and never the sum of two readings.
func TestNoFolderOfExportsDoublesABill(t *testing.T) {
	const sub = "11111111-0000-4000-8000-000000000001"
	page := func(next, rows string) string {
		return `{"id":"subscriptions/` + sub + `/providers/Microsoft.CostManagement/query/q","name":"q","type":"Microsoft.CostManagement/query","properties":{"nextLink":` + next +
			`,"columns":[{"name":"Cost"},{"name":"UsageDate"},{"name":"ResourceId"},{"name":"ChargeType"},{"name":"Currency"}],"rows":[` + rows + `]}}`
	}
	row := func(cost, day, name, kind string) string {
		return `[` + cost + `,` + day + `,"/subscriptions/` + sub + `/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/` + name + `","` + kind + `","EUR"]`
	}
	actual := page("null", row("10", "20261101", "a", "Usage")+","+row("0", "20261101", "b", "Usage")+","+row("7", "20261101", "r", "Purchase")+","+row("5", "20261102", "a", "Usage"))
	spread := page("null", row("10", "20261101", "a", "Usage")+","+row("4", "20261101", "b", "Usage")+","+row("5", "20261102", "a", "Usage"))
	unused := page("null", row("10", "20261101", "a", "Usage")+","+row("4", "20261101", "b", "Usage")+","+row("3", "20261101", "r", "UnusedReservation")+","+row("5", "20261102", "a", "Usage"))
	first, second := page(`"https://management.azure.com/next"`, row("10", "20261101", "a", "Usage")+","+row("0", "20261101", "b", "Usage")), page("null", row("7", "20261101", "r", "Purchase")+","+row("5", "20261102", "a", "Usage"))
	flat := `[{"cost":10,"usageDate":"2026-11-01","currency":"EUR","subscriptionId":"` + sub + `"},{"cost":12,"usageDate":"2026-11-01","currency":"EUR","subscriptionId":"` + sub + `"}]`
	for name, c := range map[string]struct {
		files             map[string]string
		billed, effective float64
		said              bool // something was left out
	}{
		"actual only, any name":           {map[string]string{"x.json": actual}, 22, 22, false},
		"actual only, named":              {map[string]string{"costs." + sub + ".json": actual}, 22, 22, false},
		"amortised only, named":           {map[string]string{"amortized-costs." + sub + ".json": spread}, 0, 0, false},
		"amortised only, by its content":  {map[string]string{"x.json": unused}, 0, 0, false},
		"amortised only, nothing says so": {map[string]string{"x.json": spread}, 19, 19, false},
		"both, named":                     {map[string]string{"costs." + sub + ".json": actual, "amortized-costs." + sub + ".json": unused}, 22, 22, false},
		"both, one named at large":        {map[string]string{"z.json": actual, "my-AmortisedCost-17.json": unused}, 22, 22, false},
		"both, unnamed, content says":     {map[string]string{"a.json": unused, "b.json": actual}, 22, 22, false},
		"both, unnamed, billed first":     {map[string]string{"a.json": actual, "b.json": spread}, 22, 22, true},
		"both, unnamed, amortised first":  {map[string]string{"a.json": spread, "b.json": actual}, 19, 19, true},
		"both in one file":                {map[string]string{"a.json": "[" + actual + "," + spread + "]"}, 22, 22, true},
		"billed twice":                    {map[string]string{"costs." + sub + ".json": actual, "copy.json": actual}, 22, 22, true},
		"billed twice in one file":        {map[string]string{"copy.json": "[" + actual + "," + actual + "]"}, 22, 22, true},
		"amortised twice":                 {map[string]string{"costs.json": actual, "amortized-a.json": unused, "amortized-b.json": unused}, 22, 22, true},
		"pages in files":                  {map[string]string{"1.json": first, "2.json": second}, 22, 22, false},
		"pages in files, and again":       {map[string]string{"1.json": first, "2.json": second, "3.json": first, "4.json": second}, 22, 22, true},
		"pages in one file":               {map[string]string{"1.json": "[" + first + "," + second + "]"}, 22, 22, false},
		"pages and the other reading":     {map[string]string{"1.json": first, "2.json": second, "3.json": spread}, 22, 22, true},
		"rows as objects, twice":          {map[string]string{"1.json": flat, "2.json": flat}, 22, 22, true},
		"rows as objects, and a query":    {map[string]string{"1.json": actual, "2.json": flat}, 22, 22, true},
		"of a group and the subscription": {map[string]string{"1.json": actual, "2.json": strings.Replace(actual, "/providers/Microsoft.CostManagement", "/resourceGroups/g/providers/Microsoft.CostManagement", 1)}, 22, 22, true},
	} {
		s, err := Open(folder(t, c.files))
		if err != nil {
			t.Fatal(err)
		}
		var billed, effective float64
		for ch := range s.Bill.All() {
			billed, effective = billed+ch.Billed.Float(), effective+ch.Effective.Float()
		}
		if billed != c.billed || effective != c.effective {
			t.Errorf("%s: billed %v, effective %v; want %v, %v", name, billed, effective, c.billed, c.effective)
		}
		said := slices.ContainsFunc(s.Tenant.Reads, func(r cloud.Read) bool { return strings.Contains(r.Reason, "left out: another export") })
		if said != c.said {
			t.Errorf("%s: told of what was left out: %v; reads %+v", name, said, s.Tenant.Reads)
		}
	}
	two := func(group, name string) string {
		return strings.Replace(page("null", row("3", "20261101", name, "Usage")), "/providers/Microsoft.CostManagement", "/resourceGroups/"+group+"/providers/Microsoft.CostManagement", 1)
	}
	s, err := Open(folder(t, map[string]string{"1.json": two("g", "a"), "2.json": two("h", "b")}))
	if err != nil || s.Bill.Len() != 2 {
		t.Errorf("two groups of one subscription: %d rows, %v", s.Bill.Len(), err)
	}
}
