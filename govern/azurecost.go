package govern

import (
	"cmp"
	"strings"

	"github.com/dockreeve/dockreeve/finding"
)

// RuleCostAlert is of an alert of Azure Cost Management that nobody has closed.
const RuleCostAlert = "azure-cost-alert"

// costAlertFindings passes on what Azure Cost Management itself says of money, where it
// is still open: it may see budgets and credits that no bill here tells of.
func costAlertFindings(x *index, ownerOf func(string) string, tell teller) {
	for i := range x.tenant.CostAlerts {
		a := &x.tenant.CostAlerts[i]
		if !strings.EqualFold(a.Status, "Active") && !strings.EqualFold(a.Status, "Overridden") {
			continue
		}
		name := scopeName(x, a.Scope)
		tell(RuleCostAlert, finding.Low, Ref{Kind: "cost-alert", ID: a.ID, Name: cmp.Or(a.Type, "cost alert") + " of " + name}, ownerOf(a.Scope),
			"Azure Cost Management says of "+name+": "+cmp.Or(a.Text, a.Type)+since(x.now, a.At), "close it in Cost Management once it is dealt with")
	}
}
