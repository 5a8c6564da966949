package tenant

import (
	"testing"

	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/source/azure"
)

// TestNothingIsLostOnTheWayToATenant holds the documents to the shapes that source/azure
// knows: none is passed over, none loses a member.
func TestNothingIsLostOnTheWayToATenant(t *testing.T) {
	w := testWorld(0)
	b := azure.NewBuilder()
	if err := w.Records(b.Add); err != nil {
		t.Fatal(err)
	}
	s := b.Snapshot()
	for _, r := range s.Tenant.Reads {
		if r.Bad > 0 {
			t.Errorf("%s of %s: %d documents were not understood: %s", r.What, r.Scope, r.Bad, r.Reason)
		}
	}
	known := map[string]*cloud.Cluster{}
	for i := range s.Tenant.Clusters {
		known[s.Tenant.Clusters[i].ID] = &s.Tenant.Clusters[i]
	}
	for _, c := range w.clusters {
		got := known[c.id()]
		if c.sub.Fault == faultDenied {
			if got != nil {
				t.Errorf("%s: came although its subscription is denied", c.Name)
			}
			continue
		}
		if got == nil {
			t.Errorf("%s: did not come", c.id())
			continue
		}
		if got.Name != c.Name || got.Created != c.Created.UnixNano() || len(got.Tags) != len(c.Tags) {
			t.Errorf("%s: came as %+v", c.Name, got)
		}
		if c.Arc {
			continue
		}
		if got.DefenderProfile == nil || *got.DefenderProfile != c.Profile || len(got.Pools) != len(c.Pools) || got.NodeGroup == "" {
			t.Errorf("%s: profile %v, %d pools; want %v, %d", c.Name, got.DefenderProfile, len(got.Pools), c.Profile, len(c.Pools))
		}
		if want := c.planned() && (c.sub.Plan != planLegacy || c.Override != ""); (got.Plan == nil) != (c.sub.Fault == faultAbsent) || got.Plan != nil && got.Plan.Standard != want {
			t.Errorf("%s: plan %+v, want %v", c.Name, got.Plan, want)
		}
	}
	for _, x := range s.Tenant.Subscriptions {
		sub := w.bySub[x.ID]
		if x.Group == "" || sub.Fault == "" && (x.Plan == nil || x.Plan.Standard != (sub.Plan != planOff)) {
			t.Errorf("%s (%s): group %q, plan %+v", x.Name, sub.Plan, x.Group, x.Plan)
		}
	}
	if len(s.Tenant.Activity) == 0 || len(s.Tenant.Budgets) == 0 || s.Bill.Len() == 0 || len(s.Prices) == 0 || len(s.Tenant.Roles) == 0 || s.Tenant.Others == 0 || s.Tenant.ID != w.TenantID() {
		t.Errorf("tenant %s: %d activities, %d budgets, %d charges, %d prices, %d roles", s.Tenant.ID, len(s.Tenant.Activity), len(s.Tenant.Budgets), s.Bill.Len(), len(s.Prices), len(s.Tenant.Roles))
	}
}
