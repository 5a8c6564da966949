package cost

import (
	"fmt"
	"math"
	"sort"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// securityMeters are the meter categories and services of protection and of the logs it
// needs, in lower case, old names too: a budget that is filtered to such only is one for
// security.
var securityMeters = map[string]bool{
	"microsoft defender for cloud": true, "security center": true, "advanced threat protection": true, "azure defender": true,
	"microsoft defender": true, "log analytics": true, "azure monitor": true, "sentinel": true, "microsoft sentinel": true,
	"azure sentinel": true, "insight and analytics": true,
}

// budgets compares each budget of the tenant and of the input with what was spent. Spent
// and forecast are from the bill where it reaches back to the start of the budget's
// period and the budget's filters can be applied to it; else what Azure says of the
// budget. Azure's figures stand beside ours where it gave any. A period begins at the
// budget's start and every month, quarter or year after it.
func budgets(in *Input, r *Report) {
	l := billOf(in)
	var all []*cloud.Budget
	if in.Tenant != nil {
		for i := range in.Tenant.Budgets {
			all = append(all, &in.Tenant.Budgets[i])
		}
	}
	for i := range in.Budgets {
		all = append(all, &in.Budgets[i])
	}
	s := newScopes(l)
	r.Budgets = make([]BudgetState, 0, len(all))
	for _, b := range all {
		r.Budgets = append(r.Budgets, s.state(b))
	}
	sort.SliceStable(r.Budgets, func(a, b int) bool { return r.Budgets[a].ID < r.Budgets[b].ID })
	s.ofClusters(r, all)
	unreadBudgets(in.Tenant, r)
}

// unreadBudgets tells of how many subscriptions the budgets are not known, where those of
// others are: a shorter list would look like fewer budgets.
func unreadBudgets(t *cloud.Tenant, r *Report) {
	if t == nil {
		return
	}
	whole, reason := map[string]bool{}, map[string]*cloud.Read{}
	for i := range t.Reads {
		switch x := &t.Reads[i]; {
		case x.What != cloud.ReadBudgets:
		case x.Outcome == cloud.ReadOK, x.Outcome == cloud.ReadAbsent:
			whole[lower(x.Scope)] = true
		default:
			reason[lower(x.Scope)] = x
		}
	}
	if len(whole)+len(reason) == 0 {
		return // of nobody: that no budget is known says it
	}
	n, how := 0, map[string]bool{}
	for i := range t.Subscriptions {
		id := lower(t.Subscriptions[i].ID)
		if whole[id] {
			continue
		}
		n++
		if x := reason[id]; x != nil {
			how[x.Outcome] = true
		} else {
			how["not asked for"] = true
		}
	}
	if n == 0 {
		return
	}
	r.Gaps = append(r.Gaps, Gap{What: fmt.Sprintf("budgets of %d of %d subscriptions", n, len(t.Subscriptions)), Reason: strings.Join(sortedKeys(how), ", "),
		Remedy: "dockreeve azure export-role lists the rights; then collect the tenant again"})
}

// scopes finds the rows of a scope.
type scopes struct {
	l      *ledger
	groups map[string][]string          // management group → subscriptions below it
	tags   map[string]map[string]string // tag=value → the only cluster that has it; "" = several
	node   map[string]string            // resource group of nodes → cluster
	home   map[string]string            // resource group → the only cluster in it; "" = several
}

func newScopes(l *ledger) *scopes {
	s := &scopes{l: l, groups: map[string][]string{}, tags: map[string]map[string]string{}, node: map[string]string{}, home: map[string]string{}}
	t := l.in.Tenant
	if t == nil {
		return s
	}
	parent := map[string]string{}
	for i := range t.Groups {
		parent[lower(t.Groups[i].ID)] = lower(t.Groups[i].Parent)
	}
	for i := range t.Subscriptions {
		sub := &t.Subscriptions[i]
		// A hierarchy has six levels; what goes deeper is a circle.
		for g, n := lower(sub.Group), 0; g != "" && n < 10; g, n = parent[g], n+1 {
			s.groups[g] = append(s.groups[g], lower(sub.ID))
		}
	}
	for g, id := range l.in.belongs.groups {
		s.node[g] = id
	}
	for i := range t.Clusters {
		c := &t.Clusters[i]
		id := lower(c.ID)
		if g := groupOf(id); g != "" {
			alone(s.home, g, id)
		}
		for k, v := range c.Tags {
			k = lower(k)
			if s.tags[k] == nil {
				s.tags[k] = map[string]string{}
			}
			alone(s.tags[k], lower(v), id)
		}
	}
	return s
}

func alone(of map[string]string, key, id string) {
	if had, ok := of[key]; ok && had != id {
		id = ""
	}
	of[key] = id
}

// rows calls f with the rows of a scope, or says why it cannot tell them.
func (s *scopes) rows(scope string, f func(*row)) (known dayset, why string) {
	l := s.l
	scope = strings.TrimSuffix(lower(scope), "/")
	switch {
	case scope == "":
		known = dayset{}
		for c := range l.all() {
			f(c)
		}
		for _, k := range l.known {
			for d := range k {
				known[d] = true
			}
		}
		return known, ""
	case strings.HasPrefix(scope, "/subscriptions/"):
		sub := subscriptionOf(scope)
		for c := range l.of(sub) {
			if res := c.resource; scope == sub || res == scope || strings.HasPrefix(res, scope+"/") || res == "" && groupOfRow(c.Charge) == scope {
				f(c)
			}
		}
		if l.known[sub] == nil {
			return nil, "the bill has no row of its subscription"
		}
		return l.known[sub], ""
	case strings.HasPrefix(scope, "/providers/microsoft.management/managementgroups/"):
		subs := s.groups[scope]
		known = dayset{}
		for _, sub := range subs {
			for c := range l.of(sub) {
				f(c)
			}
			for d := range l.known[sub] {
				known[d] = true
			}
		}
		if len(known) == 0 {
			return nil, "the bill has no row of the subscriptions below it"
		}
		return known, ""
	}
	return nil, "the bill does not say what belongs to a scope of this kind"
}

func groupOfRow(c *Charge) string {
	if g := groupOf(lower(c.Resource)); g != "" {
		return g
	}
	if n := c.More["x_ResourceGroupName"]; n != "" {
		return subOf(c) + "/resourcegroups/" + lower(n)
	}
	return ""
}

// dimension gives the values a row has in a dimension of budgets; ok is false for
// dimensions that a bill does not tell.
func dimension(c *Charge, name string) (values []string, ok bool) {
	switch strings.ToLower(name) {
	case "metercategory":
		return []string{c.MeterCategory}, true
	case "metersubcategory":
		return []string{c.MeterSub}, true
	case "meter":
		return []string{c.Meter, c.MeterID}, true
	case "resourceguid":
		return []string{c.MeterID}, true
	case "servicename":
		return []string{c.Service, c.MeterCategory, c.More["x_ServiceName"]}, true
	case "servicefamily":
		return []string{c.More["x_SkuServiceFamily"], c.ServiceClass}, true
	case "resourcegroup", "resourcegroupname":
		g := groupOfRow(c)
		return []string{g, lastOf(g)}, true
	case "resourceid":
		return []string{c.Resource}, true
	case "resourcetype":
		return []string{c.ResourceType, c.More["x_ResourceType"]}, true
	case "resourcelocation":
		return []string{c.Region}, true
	case "subscriptionid":
		sub := subOf(c)
		return []string{sub, lastOf(sub)}, true
	case "subscriptionname":
		return []string{c.SubAccountName}, true
	case "chargetype":
		return []string{c.Category}, true
	}
	return nil, false
}

// matches says whether a row passes all filters.
func matches(c *Charge, filters []cloud.BudgetFilter) (match bool, why string) {
	for _, f := range filters {
		var got []string
		if f.Tag {
			for k, v := range c.Tags {
				if strings.EqualFold(k, f.Name) {
					got = append(got, v)
				}
			}
		} else {
			var ok bool
			if got, ok = dimension(c, f.Name); !ok {
				return false, "the bill does not tell the dimension " + f.Name + " that it is filtered by"
			}
		}
		found := false
		for _, g := range got {
			for _, v := range f.Values {
				found = found || g != "" && strings.EqualFold(g, v)
			}
		}
		if !found {
			return false, ""
		}
	}
	return true, ""
}

// state judges one budget.
func (s *scopes) state(b *cloud.Budget) BudgetState {
	l := s.l
	st := BudgetState{ID: b.ID, Name: b.Name, Scope: lower(b.Scope), Security: isSecurity(b.Filters), Thresholds: []Threshold{}}
	st.Cluster = s.clusterOf(b)
	currency := b.Currency
	if currency == "" {
		currency = l.currency
		st.Notes = append(st.Notes, "the budget does not say its currency: that of the bill is taken")
	}
	in := func(a Amount, source string) Money {
		return Money{Amount: a, Currency: currency, AsOf: l.last, Source: source}
	}
	azure := func(f float64, source string) Money {
		m := in(bounded(f), source)
		m.AsOf = ""
		if t := l.in.Tenant; t != nil && t.Collected > 0 {
			m.AsOf = dayName(t.Collected / day)
		}
		return m
	}
	from, to, why := periodOf(b, l.to)
	st.From, st.To = from, to
	if why == "" && !(b.Amount > 0 && b.Amount <= mostOfRow.Float()) {
		why = "its amount is not a sum of money above zero"
	}
	if why != "" {
		none := Money{Currency: currency, NotAssessed: why}
		st.Amount, st.Spent, st.Forecast, st.ForecastLow, st.ForecastHigh, st.AzureSpent, st.AzureForecast = none, none, none, none, none, none, none
		if b.Amount > 0 && b.Amount <= mostOfRow.Float() {
			st.Amount = in(FromFloat(b.Amount), "budget")
		}
		return st
	}
	st.Amount = in(FromFloat(b.Amount), "budget")
	st.Expected = math.Max(0, math.Min(1, float64(l.to-from)/float64(to-from)))
	st.AzureForecast = Money{Currency: currency, NotAssessed: "Azure gave no forecast for it"}
	if b.Forecast != nil && plain(math.Abs(*b.Forecast)) {
		st.AzureForecast = azure(*b.Forecast, "Azure's forecast")
	}
	st.AzureSpent = Money{Currency: currency, NotAssessed: "it is not Azure's"}
	if strings.Contains(lower(b.ID), "/providers/microsoft.consumption/budgets/") && plain(math.Abs(b.Spent)) {
		st.AzureSpent = azure(b.Spent, "Azure's budget")
	}
	o, why := s.foresee(b, currency, from, to, st.Amount.Amount)
	switch {
	case why == "":
		st.Spent = in(o.spent, "bill")
		st.Forecast, st.ForecastLow, st.ForecastHigh = l.foretold(o.end), l.foretold(o.low), l.foretold(o.high)
		if o.why != "" {
			none := Money{Currency: currency, NotAssessed: o.why}
			st.Forecast, st.ForecastLow, st.ForecastHigh = none, none, none
		}
		if o.breach > 0 {
			st.Breach = dayName(o.breach)
		}
	default:
		st.Notes = append(st.Notes, "not from the bill: "+why)
		st.Spent, st.Forecast = st.AzureSpent, st.AzureForecast
		none := Money{Currency: currency, NotAssessed: why}
		st.ForecastLow, st.ForecastHigh = none, none
		if st.Spent.NotAssessed != "" {
			st.Spent.NotAssessed = why
		}
		if st.Forecast.NotAssessed != "" {
			st.Forecast.NotAssessed = why
		}
	}
	if st.Spent.NotAssessed == "" {
		st.Burn = st.Spent.Amount.Float() / b.Amount
	}
	for _, n := range b.Notices {
		if !n.Enabled {
			continue
		}
		of := st.Spent
		if n.Forecasted {
			of = st.Forecast
		}
		st.Thresholds = append(st.Thresholds, Threshold{Percent: n.Percent, Forecasted: n.Forecasted,
			Crossed: of.NotAssessed == "" && of.Amount.Float() > b.Amount*n.Percent/100})
	}
	if len(st.Thresholds) == 0 {
		st.Notes = append(st.Notes, "no threshold of it tells anybody")
	}
	return st
}

func (s *scopes) foresee(b *cloud.Budget, currency string, from, to int64, amount Amount) (outlook, string) {
	l := s.l
	if len(l.rows) == 0 {
		return outlook{}, "there is no bill"
	}
	if currency != l.currency {
		return outlook{}, fmt.Sprintf("the budget is in %s, the bill in %s", currency, l.currency)
	}
	all, usage, why := map[int64]Amount{}, map[int64]Amount{}, ""
	n := 0
	type matched struct {
		is  bool
		why string
	}
	of := map[uint32]matched{} // by what rows are
	known, unknown := s.rows(b.Scope, func(c *row) {
		if c.start >= l.to || why != "" {
			return
		}
		m, ok := of[c.fact]
		if !ok {
			m.is, m.why = matches(c.Charge, b.Filters)
			of[c.fact] = m
		}
		if why = m.why; !m.is {
			return
		}
		n++
		all[c.day] += c.Billed
		if c.usage {
			usage[c.day] += c.Billed
		}
	})
	if why == "" {
		why = unknown
	}
	if why != "" {
		return outlook{}, why
	}
	first := int64(math.MaxInt64 / day)
	for d := range known {
		first = min(first, d)
	}
	if first*day > from {
		return outlook{}, "the bill begins on " + dayName(first) + ", its period on " + dayName(from/day)
	}
	if n == 0 {
		return outlook{}, "the bill has no row of its scope and filters"
	}
	return foresee(all, usage, known, from/day, to/day, l.to/day, amount), ""
}

// periodOf gives the budget's period that a time lies in.
func periodOf(b *cloud.Budget, now int64) (from, to int64, why string) {
	months := 0
	switch strings.ToLower(b.Grain) {
	case "monthly", "billingmonth", "":
		months = 1
	case "quarterly", "billingquarter":
		months = 3
	case "annually", "billingannual":
		months = 12
	default:
		return 0, 0, fmt.Sprintf("its time grain %q is not known", b.Grain)
	}
	if b.End != 0 && b.End <= now {
		return 0, 0, "it ended on " + dayName(b.End/day)
	}
	if b.Start > now {
		return 0, 0, "it begins on " + dayName(b.Start/day)
	}
	n := time.Unix(0, now).UTC()
	start := time.Unix(0, b.Start).UTC()
	since := (n.Year()-start.Year())*12 + int(n.Month()) - int(start.Month())
	first := time.Date(start.Year(), start.Month()+time.Month(since-since%months), 1, 0, 0, 0, 0, time.UTC)
	return first.UnixNano(), first.AddDate(0, months, 0).UnixNano(), ""
}

// isSecurity says whether filters let only meters of protection and its logs through.
func isSecurity(filters []cloud.BudgetFilter) bool {
	for _, f := range filters {
		switch strings.ToLower(f.Name) {
		case "metercategory", "servicename", "servicefamily":
		default:
			continue
		}
		if f.Tag || len(f.Values) == 0 {
			continue
		}
		all := true
		for _, v := range f.Values {
			all = all && (securityMeters[strings.ToLower(v)] || strings.EqualFold(f.Name, "servicefamily") && strings.EqualFold(v, "security"))
		}
		if all {
			return true
		}
	}
	return false
}

// clusterOf is the cluster that a budget applies to alone: by its scope, or by a filter
// on the cluster's id, group or a tag that no other cluster has. A budget of security
// meters only is not the cluster's budget.
func (s *scopes) clusterOf(b *cloud.Budget) string {
	if isSecurity(b.Filters) {
		return ""
	}
	scope := strings.TrimSuffix(lower(b.Scope), "/")
	if id := clusterID(scope); id != "" && s.l.in.belongs.clusters[id] {
		return id
	}
	if id := s.node[scope]; id != "" {
		return id
	}
	if id := s.home[scope]; id != "" {
		return id
	}
	for _, f := range b.Filters {
		if len(f.Values) == 0 {
			continue
		}
		found := ""
		for i, v := range f.Values {
			v = lower(v)
			id := ""
			switch {
			case f.Tag:
				id = s.tags[lower(f.Name)][v]
			case strings.EqualFold(f.Name, "ResourceId"):
				id = clusterID(v)
				if !s.l.in.belongs.clusters[id] {
					id = s.node[groupOf(v)]
				}
			case strings.EqualFold(f.Name, "ResourceGroup"), strings.EqualFold(f.Name, "ResourceGroupName"):
				g := v
				if groupOf(g) == "" {
					g = subscriptionOf(scope) + "/resourcegroups/" + lastOf(v)
				}
				if id = s.node[g]; id == "" {
					id = s.home[g]
				}
			}
			if i > 0 && id != found {
				id = ""
			}
			if found = id; id == "" {
				break
			}
		}
		if found != "" {
			return found
		}
	}
	return ""
}

// ofClusters writes the budget that applies to a cluster alone: the monthly one if there
// is one, of several the smallest; of others the month's share.
func (s *scopes) ofClusters(r *Report, all []*cloud.Budget) {
	type choice struct {
		money   Money
		monthly bool
	}
	chosen := map[string]choice{}
	months := map[string]Amount{"monthly": 1, "billingmonth": 1, "": 1, "quarterly": 3, "billingquarter": 3, "annually": 12, "billingannual": 12}
	grain := map[string]string{}
	for _, b := range all {
		grain[b.ID] = strings.ToLower(b.Grain)
	}
	for _, st := range r.Budgets {
		if st.Cluster == "" || st.Amount.NotAssessed != "" || st.To <= st.From {
			continue
		}
		n := months[grain[st.ID]]
		m := st.Amount
		m.Amount /= n
		m.Source = "budget " + st.Name
		if n > 1 {
			m.Source += fmt.Sprintf(": a %dth of it", n)
		}
		if had, ok := chosen[st.Cluster]; !ok || n == 1 && !had.monthly || (n == 1) == had.monthly && m.Amount < had.money.Amount {
			chosen[st.Cluster] = choice{m, n == 1}
		}
	}
	for id, c := range chosen {
		cl, ok := r.Clusters[id]
		if !ok {
			continue
		}
		cl.Budget = c.money
		r.Clusters[id] = cl
	}
}
