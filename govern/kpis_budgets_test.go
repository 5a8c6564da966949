package govern

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

func managementGroup(n int) string {
	return fmt.Sprintf("/providers/Microsoft.Management/managementGroups/g%d", n)
}

func euros(n int64) cost.Money { return cost.Money{Amount: cost.Amount(n * 1e6), Currency: "EUR"} }

// A management group's budget and those of its subscriptions cover the same money.
func TestBudgetsOfGroupAndSubscriptionCountOnce(t *testing.T) {
	in := &Input{Tenant: &cloud.Tenant{
		Groups:        []cloud.Group{{ID: managementGroup(1)}, {ID: managementGroup(2), Parent: managementGroup(1)}},
		Subscriptions: []cloud.Subscription{{ID: "/subscriptions/a", Group: managementGroup(2)}, {ID: "/subscriptions/b", Group: managementGroup(2)}, {ID: "/subscriptions/c"}},
	}, Costs: &cost.Report{Currency: "EUR", Budgets: []cost.BudgetState{
		{ID: "1", Name: "group", Scope: strings.ToUpper(managementGroup(1)), Amount: euros(100), Spent: euros(50)},
		{ID: "2", Name: "a", Scope: "/subscriptions/a", Amount: euros(60), Spent: euros(59), Burn: 0.98},
		{ID: "3", Name: "b", Scope: "/subscriptions/b", Amount: euros(40), Spent: euros(5)},
		{ID: "4", Name: "c", Scope: "/subscriptions/c", Amount: euros(10), Spent: euros(5)},
	}}}
	k := budgetBurn(in)
	if k.N != 55 || k.Of != 110 || k.Value == nil || *k.Value != 50 {
		t.Errorf("%v of %v (%v): want 55 of 110", k.N, k.Of, k.Value)
	}
	if len(k.By) != 4 || k.By[0].Name != "a" || k.By[0].Values["counted"] != 0 || !strings.Contains(k.Note, "2 cover money that others cover") {
		t.Errorf("%+v %s", k.By, k.Note)
	}
	// The group's is in another currency: those below it are all that is known.
	in.Costs.Budgets[0].Amount.Currency = "USD"
	if k = budgetBurn(in); k.N != 69 || k.Of != 110 {
		t.Errorf("%v of %v: want 69 of 110", k.N, k.Of)
	}
}

// TestEveryUnitOfMoneyIsInOneCountedBudgetAtMost makes hierarchies and budgets, and looks at
// each resource group and owner's tag: the smallest money that these budgets tell apart.
func TestEveryUnitOfMoneyIsInOneCountedBudgetAtMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tenant := &cloud.Tenant{}
		parent := map[string]string{}
		var scopes []string
		for g := range 4 {
			id, above := managementGroup(g), ""
			if g > 0 && rapid.Bool().Draw(t, "held") {
				above = managementGroup(rapid.IntRange(0, g-1).Draw(t, "by"))
			}
			tenant.Groups = append(tenant.Groups, cloud.Group{ID: id, Parent: above})
			parent[id], scopes = above, append(scopes, id)
		}
		for s := range 4 {
			id, above := fmt.Sprintf("/subscriptions/%d", s), managementGroup(rapid.IntRange(0, 3).Draw(t, "group"))
			tenant.Subscriptions = append(tenant.Subscriptions, cloud.Subscription{ID: id, Group: above})
			parent[id], scopes = above, append(scopes, id)
			for r := range 2 {
				rg := fmt.Sprintf("%s/resourceGroups/r%d", id, r)
				parent[rg], scopes = id, append(scopes, rg)
			}
		}
		costs := &cost.Report{Currency: "EUR"}
		for i := range rapid.IntRange(1, 10).Draw(t, "budgets") {
			b := cloud.Budget{ID: fmt.Sprint("b", i), Scope: rapid.SampledFrom(scopes).Draw(t, "scope")}
			if rapid.Bool().Draw(t, "filtered") {
				b.Filters = []cloud.BudgetFilter{{Tag: true, Name: "owner", Values: rapid.SampledFrom([][]string{{"x"}, {"y"}, {"x", "y"}}).Draw(t, "owners")}}
			}
			tenant.Budgets = append(tenant.Budgets, b)
			spent := rapid.Int64Range(0, 200).Draw(t, "spent")
			costs.Budgets = append(costs.Budgets, cost.BudgetState{ID: b.ID, Name: b.ID, Scope: b.Scope, Amount: euros(100), Spent: euros(spent), Burn: float64(spent) / 100})
		}
		k := budgetBurn(&Input{Tenant: tenant, Costs: costs})
		counted := map[string]bool{}
		var n, of float64
		for _, s := range k.By {
			if s.Values["counted"] == 1 {
				counted[s.Name] = true
				n, of = n+s.Values["spent"], of+s.Values["amount"]
			}
		}
		if len(k.By) != len(costs.Budgets) || n != k.N || of != k.Of || of == 0 {
			t.Fatalf("%v of %v, counted %v of %v over %d of %d", k.N, k.Of, n, of, len(k.By), len(costs.Budgets))
		}
		covers := func(b *cloud.Budget, leaf, owner string) bool {
			in := false
			for at := leaf; at != ""; at = parent[at] {
				in = in || at == b.Scope
			}
			return in && (len(b.Filters) == 0 || strings.Contains(strings.Join(b.Filters[0].Values, " "), owner))
		}
		for _, leaf := range scopes {
			if !strings.Contains(leaf, "/resourceGroups/") {
				continue
			}
			for _, owner := range []string{"x", "y"} {
				by := ""
				for i := range tenant.Budgets {
					if b := &tenant.Budgets[i]; counted[b.ID] && covers(b, leaf, owner) {
						if by != "" {
							t.Fatalf("money of %s in %s is in %s and in %s", owner, leaf, by, b.ID)
						}
						by = b.ID
					}
				}
			}
		}
		for i := range tenant.Budgets { // who is left out shares money with one that counts
			b := &tenant.Budgets[i]
			if counted[b.ID] {
				continue
			}
			shares := false
			for j := range tenant.Budgets {
				o := &tenant.Budgets[j]
				for _, leaf := range scopes {
					for _, owner := range []string{"x", "y", ""} {
						shares = shares || counted[o.ID] && (covers(b, leaf, owner) && covers(o, leaf, owner))
					}
				}
			}
			if !shares {
				t.Fatalf("%s is left out and shares money with none: %+v", b.ID, tenant.Budgets)
			}
		}
	})
}
