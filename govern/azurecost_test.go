package govern

import (
	"slices"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// What Azure Cost Management says and nobody closed is told with whose it is.
func TestCostAlertsOfAzureAreTold(t *testing.T) {
	tenant := tenantOf(aks(subA, "a", yes(), nil))
	tenant.Subscriptions[0].Tags = map[string]string{"owner": "kim@example.org"}
	tenant.CostAlerts = []cloud.CostAlert{{ID: subA + "/alerts/1", Scope: subA, Type: "Budget", Status: "Active", Text: "90 % of the budget is spent", At: testNow - int64(7200e9)},
		{ID: subA + "/alerts/2", Scope: subA, Type: "Budget", Status: "Dismissed", Text: "no matter"}}
	ev := Evaluate(&Input{Now: testNow, Tenant: tenant})
	var got []Finding
	for _, f := range ev.Findings {
		if f.Rule == RuleCostAlert {
			got = append(got, f)
		}
	}
	if len(got) != 1 || got[0].Owner != "kim@example.org" || !strings.Contains(got[0].Summary, "subscription alpha: 90 %") {
		t.Errorf("%+v", got)
	}
	if slices.ContainsFunc(ev.Findings, func(f Finding) bool { return strings.Contains(f.Summary, "no matter") }) {
		t.Error("a closed alert is told")
	}
}
