package cost

import (
	"testing"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// Budgets that could not be read are missing from the list, and the report says how many.
func TestBudgetsThatWereNotReadAreCounted(t *testing.T) {
	tenant := &cloud.Tenant{Subscriptions: []cloud.Subscription{{ID: "/subscriptions/A"}, {ID: "/subscriptions/b"}, {ID: "/subscriptions/c"}, {ID: "/subscriptions/d"}}}
	r := &Report{}
	unreadBudgets(tenant, r)
	if len(r.Gaps) != 0 {
		t.Errorf("nobody's budgets were asked for: %+v", r.Gaps)
	}
	tenant.Reads = []cloud.Read{
		{Scope: "/subscriptions/a", What: cloud.ReadBudgets, Outcome: cloud.ReadOK}, {Scope: "/subscriptions/b", What: cloud.ReadBudgets, Outcome: cloud.ReadDenied, Reason: "403", Remedy: "the role"},
		{Scope: "/subscriptions/c", What: cloud.ReadBudgets, Outcome: cloud.ReadAbsent}, {Scope: "/subscriptions/d", What: cloud.ReadClusters, Outcome: cloud.ReadOK}}
	unreadBudgets(tenant, r)
	wantGap(t, r.Gaps, "budgets of 2 of 4 subscriptions", "denied, not asked for")
	r.Gaps, tenant.Reads[1].Outcome = nil, cloud.ReadOK
	tenant.Reads[3].What = cloud.ReadBudgets
	unreadBudgets(tenant, r)
	if len(r.Gaps) != 0 {
		t.Errorf("everybody's budgets were read: %+v", r.Gaps)
	}
}
