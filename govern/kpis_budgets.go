package govern

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// budgetBurn is what is spent of budgets in the currency of the totals, each unit of money
// once: of budgets that cover the same money one is added, all are shown.
func budgetBurn(in *Input) KPI {
	k := KPI{ID: "budget-burn", Title: "Budget burn", Unit: "percent", Better: "down",
		Rule: "spent ÷ amount over budgets that share no money, wide scopes before narrow ones and those without a filter first; the others, and those filtered to security meters, are slices only"}
	if in.Costs == nil || len(in.Costs.Budgets) == 0 {
		k.NotAssessed = "no budget was read"
		if in.Costs == nil {
			k.NotAssessed = noMoney(in)
		}
		return k
	}
	h := newHoldings(in)
	list := slices.Clone(in.Costs.Budgets)
	slices.SortStableFunc(list, func(a, b cost.BudgetState) int {
		return cmp.Or(cmp.Compare(len(h.filters(a.ID)), len(h.filters(b.ID))), cmp.Compare(h.depth(a.Scope), h.depth(b.Scope)), cmp.Compare(b.Burn, a.Burn), strings.Compare(a.ID, b.ID))
	})
	counted := map[string]bool{}
	var added []cost.BudgetState
	over, left, shared := 0, 0, 0
	for _, b := range list {
		switch {
		case b.Amount.NotAssessed != "" || b.Spent.NotAssessed != "" || b.Amount.Amount <= 0:
			left++
			continue
		case b.Security || b.Amount.Currency != in.Costs.Currency:
		case slices.ContainsFunc(added, func(o cost.BudgetState) bool { return h.share(&b, &o) }):
			shared++
		default:
			added, counted[b.ID] = append(added, b), true
			k.N, k.Of = k.N+b.Spent.Amount.Float(), k.Of+b.Amount.Amount.Float()
		}
		if b.Breach != "" {
			over++
		}
	}
	slices.SortStableFunc(list, func(a, b cost.BudgetState) int { return cmp.Compare(b.Burn, a.Burn) })
	for _, b := range list {
		if b.Amount.NotAssessed == "" && b.Spent.NotAssessed == "" && b.Amount.Amount > 0 {
			v := map[string]float64{"burn": 100 * b.Burn, "expected": 100 * b.Expected, "spent": b.Spent.Amount.Float(), "amount": b.Amount.Amount.Float(), "counted": 0}
			if counted[b.ID] {
				v["counted"] = 1
			}
			k.By = append(k.By, Slice{Name: b.Name, Values: v})
		}
	}
	if k.Of == 0 {
		k.NotAssessed = fmt.Sprintf("none of %d budgets can be added up in %s", len(list), in.Costs.Currency)
	}
	k.set(100*k.N, k.Of)
	k.Note = join(fmt.Sprintf("%d of %d budgets break at this rate", over, len(list)), "in "+in.Costs.Currency)
	if shared > 0 {
		k.Note = join(k.Note, fmt.Sprintf("%d cover money that others cover: shown, not added", shared))
	}
	if left > 0 {
		k.Note = join(k.Note, fmt.Sprintf("%d could not be assessed", left))
	}
	return k
}

// holdings say which scopes lie in which, and what budgets are filtered by.
type holdings struct {
	parents map[string]string // management group or subscription → management group
	filter  map[string][]cloud.BudgetFilter
}

func newHoldings(in *Input) *holdings {
	h := &holdings{parents: map[string]string{}, filter: map[string][]cloud.BudgetFilter{}}
	if in.Tenant == nil {
		return h
	}
	for _, g := range in.Tenant.Groups {
		h.parents[scopeKey(g.ID)] = scopeKey(g.Parent)
	}
	for _, s := range in.Tenant.Subscriptions {
		h.parents[scopeKey(s.ID)] = scopeKey(s.Group)
	}
	for _, b := range in.Tenant.Budgets {
		h.filter[b.ID] = b.Filters
	}
	return h
}

func scopeKey(id string) string { return strings.TrimSuffix(strings.ToLower(id), "/") }

func (h *holdings) filters(id string) []cloud.BudgetFilter { return h.filter[id] }

// path lists a scope and what holds it, outwards: path segments to the subscription, then
// management groups.
func (h *holdings) path(scope string) []string {
	at := scopeKey(scope)
	out := []string{at}
	if strings.HasPrefix(at, "/subscriptions/") {
		for strings.Count(at, "/") > 2 {
			at = at[:strings.LastIndexByte(at, '/')]
			out = append(out, at)
		}
	}
	for n := 0; n < 16; n++ { // Azure allows six levels; a loop must end
		if at = h.parents[at]; at == "" {
			break
		}
		out = append(out, at)
	}
	return out
}

// depth orders scopes: who holds another comes before it. What Azure bills by (accounts,
// invoices) holds subscriptions of which nobody told: it comes first.
func (h *holdings) depth(scope string) int {
	if unplaced(scope) {
		return 0
	}
	return len(h.path(scope))
}

// unplaced says of a scope that it is neither a subscription, nor in one, nor a management
// group: which money it covers is not known.
func unplaced(scope string) bool {
	s := scopeKey(scope)
	return !strings.HasPrefix(s, "/subscriptions/") && !strings.HasPrefix(s, "/providers/microsoft.management/managementgroups/")
}

// share says whether two budgets may cover the same money: one's scope lies in the other's,
// or where that is is not known, and their filters do not keep them apart.
func (h *holdings) share(a, b *cost.BudgetState) bool {
	if !unplaced(a.Scope) && !unplaced(b.Scope) && !slices.Contains(h.path(a.Scope), scopeKey(b.Scope)) && !slices.Contains(h.path(b.Scope), scopeKey(a.Scope)) {
		return false
	}
	for _, x := range h.filters(a.ID) {
		for _, y := range h.filters(b.ID) {
			if x.Tag == y.Tag && strings.EqualFold(x.Name, y.Name) && len(x.Values) > 0 && len(y.Values) > 0 &&
				!slices.ContainsFunc(x.Values, func(v string) bool {
					return slices.ContainsFunc(y.Values, func(w string) bool { return strings.EqualFold(v, w) })
				}) {
				return false
			}
		}
	}
	return true
}
