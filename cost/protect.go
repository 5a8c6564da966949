package cost

import (
	"fmt"
	"math"
	"sort"
	"strings"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// The providers of protection.
const (
	ProviderDefender  = "defender"
	ProviderDockreeve = "dockreeve"
	ProviderBoth      = "both"
)

const (
	mostDays = 400     // of a window
	billLag  = 2 * day // the newest days of a bill are not complete
)

// protector computes what protection costs. It is made by protect and read by reconcile.
type protector struct {
	in      *Input
	l       *ledger
	book    *priceBook
	meters  *meters
	kinds   []kindOf // of the ledger's facts, as they are asked for
	sizes   sizeTable
	agents  map[string]AgentCost
	subs    map[string]*cloud.Subscription
	from    int64
	days    []int64 // since 1970
	hours   []float64
	bills   map[string]*clusterBill
	hubs    map[string]*hub
	perHour float64 // of a vCore, in units of book.to
	plan    Price
	planWhy string
	by      map[string]*protected
	order   []string
}

// protected is what protection costs one cluster.
type protected struct {
	cluster *cloud.Cluster
	use     []useDay
	actual  map[string]*parcel
	asIf    map[string]*parcel
	trial   bool // some of the window lies in the plan's free trial
	late    bool // some of it lies before the plan was on
	counted bool // on some days its nodes are counted as they are now, though autoscaled: an estimate
}

// parcel is what one provider costs a cluster, by day.
type parcel struct {
	on        bool
	unknown   string // why nobody can say whether it is on; "" = on says it
	plan      line
	scans     line
	ingestion line
	agents    line
}

// line is one part of a cost by day. why says that it was not assessed.
type line struct {
	days   []Amount
	why    string
	source string
	asOf   string
}

func (a *line) sum() (Amount, bool) {
	var s Amount
	ok := true
	for _, d := range a.days {
		if s, ok = add(s, d); !ok {
			return 0, false
		}
	}
	return s, true
}

func (a *line) money(currency string) Money {
	s, ok := a.sum()
	m := Money{Amount: s, Currency: currency, AsOf: a.asOf, Source: a.source, NotAssessed: a.why}
	if !ok {
		m.NotAssessed = ErrOverflow.Error()
	}
	if m.NotAssessed != "" {
		m.Amount = 0
	}
	return m
}

// protect fills what protection costs: per cluster and day, per vCore, as share of the
// cluster, and over all, for each provider, as it is and as if it were on everywhere.
func protect(in *Input, r *Report) {
	if r.Clusters == nil {
		r.Clusters = map[string]ClusterCost{}
	}
	if in.Tenant == nil {
		r.Gaps = append(r.Gaps, Gap{What: "cost of protection", Reason: "no tenant is known: neither clusters nor plans", Remedy: "collect the tenant (dockreeve azure collect)"})
		return
	}
	p := newProtector(in, r)
	in.protected = p
	for i := range in.Tenant.Clusters {
		c := &in.Tenant.Clusters[i]
		id := lower(c.ID)
		if p.by[id] == nil {
			p.order = append(p.order, id)
			p.by[id] = &protected{cluster: c}
		}
	}
	sort.Strings(p.order)
	p.readHubs()
	for _, id := range p.order {
		x := p.by[id]
		cc := r.Clusters[id]
		p.measure(id, x, &cc)
		p.charge(id, x)
		r.Clusters[id] = cc
	}
	p.chargeScans()
	if in.HereWhy != "" {
		r.Gaps = append(r.Gaps, Gap{What: "what Dockreeve costs", Reason: in.HereWhy, Remedy: "dockreeve cost against the server"})
	}
	for _, id := range p.order {
		cc := r.Clusters[id]
		p.write(id, p.by[id], &cc)
		r.Clusters[id] = cc
	}
	p.total(r)
	r.Prices = p.book.used
}

func newProtector(in *Input, r *Report) *protector {
	l := billOf(in)
	p := &protector{in: in, l: l, meters: metersOf(in), sizes: sizesOf(in), agents: map[string]AgentCost{},
		subs: map[string]*cloud.Subscription{}, from: l.from, by: map[string]*protected{}}
	if (l.to-l.from)/day > mostDays {
		p.from = l.to - l.to%day - mostDays*day
		r.Gaps = append(r.Gaps, Gap{What: "cost of protection", Reason: fmt.Sprintf("the window is longer than %d days: protection is computed for the last ones", mostDays)})
	}
	for d := p.from / day; d*day < l.to; d++ {
		p.days = append(p.days, d)
		p.hours = append(p.hours, float64(min(l.to, (d+1)*day)-max(p.from, d*day))/float64(hour))
	}
	for _, a := range append(append([]AgentCost(nil), in.Agents...), Shipped().Agents...) {
		if _, ok := p.agents[a.Provider]; !ok && plain(a.NodeCPU) && plain(a.NodeMemory) && plain(a.ClusterCPU) && plain(a.ClusterMemory) {
			p.agents[a.Provider] = a
		}
	}
	for i := range in.Tenant.Subscriptions {
		s := &in.Tenant.Subscriptions[i]
		p.subs[lower(s.ID)] = s
	}
	// Protection is in the currency of the bill. Where no price can be had in it, it is in
	// the price's own: two currencies are told apart, never added.
	to := l.currency
	p.book = bookOf(in, to)
	if p.plan, p.planWhy = p.book.price(PriceVCore, "", "", nil); p.planWhy != "" && len(p.book.by[PriceVCore]) > 0 {
		other := p.book.by[PriceVCore][0].Currency
		if to != "" {
			r.Gaps = append(r.Gaps, Gap{What: "cost of protection in " + to, Reason: p.planWhy + "; it is shown in " + other + ", and in no share or allocation of the bill",
				Remedy: "give a price file with " + PriceVCore + " in " + to})
		}
		p.book = bookOf(in, other)
		p.plan, p.planWhy = p.book.price(PriceVCore, "", "", nil)
	}
	p.perHour = p.book.perVCoreHour(p.plan)
	if p.perHour == 0 && p.planWhy == "" && p.plan.Amount != 0 {
		p.planWhy = "the fact " + PriceMonth + " is not known"
	}
	p.readBill()
	return p
}

// charge computes each provider's cost of one cluster, but for scans.
func (p *protector) charge(id string, x *protected) {
	c := x.cluster
	x.actual = map[string]*parcel{ProviderDefender: p.parcel(), ProviderDockreeve: p.parcel()}
	x.asIf = map[string]*parcel{ProviderDefender: p.parcel(), ProviderDockreeve: p.parcel()}

	d, asIf := x.actual[ProviderDefender], x.asIf[ProviderDefender]
	p.chargePlan(x, &asIf.plan, 0)
	p.chargeAgents(x, &asIf.agents, ProviderDefender)
	d.ingestion.source = "none: the plan reads the API server's audit by itself"
	asIf.ingestion.source = d.ingestion.source
	plan, why := p.planOf(id, c)
	switch {
	case why != "":
		d.plan.why = why
	case !plan.Standard:
		d.plan.source = "the plan is off"
	case plan.Legacy != "":
		d.on = true
		d.plan.why = "the plan is on by its older name " + plan.Legacy + ", whose price is not known"
	default:
		d.on = true
		begins := plan.Since
		x.late = begins > p.from
		if plan.TrialSeconds > 0 && p.in.Tenant.Collected > 0 && plan.TrialSeconds < 400*86400 {
			end := p.in.Tenant.Collected + plan.TrialSeconds*int64(1e9)
			x.trial = end > p.from
			begins = max(begins, end)
		}
		p.chargePlan(x, &d.plan, begins)
		if x.trial {
			d.plan.source += ", free trial not charged"
		}
	}
	sensor, told := sensorOf(c)
	switch {
	case why == "" && !plan.Standard:
		d.agents.source = "the plan is off"
	case !told:
		d.agents.why = "whether the sensor is there was not told"
	case !sensor:
		d.agents.source = "no sensor by profile or extension; one installed by Helm is not seen by Azure"
	default:
		p.chargeAgents(x, &d.agents, ProviderDefender)
	}

	own, asIf := x.actual[ProviderDockreeve], x.asIf[ProviderDockreeve]
	for _, o := range []*parcel{own, asIf} {
		o.plan.source, o.scans.source = "no charge", "no charge"
	}
	p.chargeAgents(x, &asIf.agents, ProviderDockreeve)
	p.chargeHub(id, c, &asIf.ingestion, true)
	own.on = p.in.Here[id] || p.in.Here[c.ID]
	switch {
	case p.in.HereWhy != "":
		own.agents.why, own.ingestion.why, own.unknown = p.in.HereWhy, p.in.HereWhy, p.in.HereWhy
	case own.on:
		p.chargeAgents(x, &own.agents, ProviderDockreeve)
		p.chargeHub(id, c, &own.ingestion, false)
	default:
		own.agents.source, own.ingestion.source = "no agents there", "no agents there"
	}
}

func (p *protector) parcel() *parcel {
	days := func() line { return line{days: make([]Amount, len(p.days))} }
	return &parcel{plan: days(), scans: days(), ingestion: days(), agents: days()}
}

// planOf gives the plan that holds at a cluster: its own, which overrides, else its
// subscription's.
func (p *protector) planOf(id string, c *cloud.Cluster) (*cloud.Plan, string) {
	s := p.subs[subscriptionOf(id)]
	switch {
	case c.Plan != nil && (!c.Plan.Inherited || s == nil || s.Plan == nil):
		return c.Plan, ""
	case s != nil && s.Plan != nil:
		return s.Plan, ""
	}
	return nil, "whether the plan is on was not read: see what could not be read"
}

// sensorOf says whether Azure tells of the sensor, and whether it tells at all.
func sensorOf(c *cloud.Cluster) (on, told bool) {
	if c.Kind == cloud.KindArc {
		for _, e := range c.Extensions {
			if strings.EqualFold(e.Name, "microsoft.azuredefender.kubernetes") {
				return e.Enabled, true
			}
		}
		return false, c.Extensions != nil || c.DefenderProfile != nil
	}
	if c.DefenderProfile == nil {
		return false, false
	}
	return *c.DefenderProfile, true
}

// chargePlan charges a plan for the vCores that ran, from a time on.
func (p *protector) chargePlan(x *protected, to *line, begins int64) {
	to.source, to.asOf = "computed, "+p.plan.Source, p.plan.AsOf
	if p.planWhy != "" {
		to.why = p.planWhy
		return
	}
	for i := range x.use {
		u := &x.use[i]
		if u.why != "" {
			to.why = u.why
			return
		}
		a, z := max(p.from, p.days[i]*day), min(p.l.to, (p.days[i]+1)*day)
		if begins >= z {
			continue
		}
		part := 1.0
		if begins > a {
			part = float64(z-begins) / float64(z-a)
		}
		f := p.perHour * u.vcoreHours * part
		if f > mostOfRow.Float() {
			to.why = ErrOverflow.Error()
			return
		}
		to.days[i] = FromFloat(f)
	}
}

// chargeAgents charges the part of each node that a provider's agents reserve, at what
// that node costs: its CPU's share of the price by cores, the rest by GiB.
func (p *protector) chargeAgents(x *protected, to *line, provider string) {
	a, ok := p.agents[provider]
	if !ok {
		to.why = "what its agents reserve is not known"
		return
	}
	to.source, to.asOf = "nodes' own price for "+a.Source, a.AsOf
	cpu := p.book.fact(PriceCPUShare)
	for i := range x.use {
		u := &x.use[i]
		if u.why != "" && len(u.pools) == 0 {
			to.why = u.why
			return
		}
		var f float64
		var big *poolDay
		for k := range u.pools {
			n := &u.pools[k]
			if n.nodeHours == 0 || n.windows {
				continue
			}
			if n.priceWhy != "" {
				to.why = n.priceWhy
				return
			}
			if n.vcpus <= 0 || n.memory <= 0 {
				to.why = fmt.Sprintf("VM size %s of pool %s is not known", n.size, n.pool)
				return
			}
			f += n.perHour * n.nodeHours * (cpu*min(1, a.NodeCPU/float64(n.vcpus)) + (1-cpu)*min(1, a.NodeMemory/n.memory))
			if big == nil || n.nodeHours > big.nodeHours {
				big = n
			}
		}
		if big != nil {
			f += big.perHour * u.hours * (cpu*min(1, a.ClusterCPU/float64(big.vcpus)) + (1-cpu)*min(1, a.ClusterMemory/big.memory))
		} else if u.vcoreHours > 0 && !u.onlyWindows() {
			to.why = "what its nodes cost is not known: Azure does not bill them"
			return
		}
		if math.Abs(f) > mostOfRow.Float() {
			to.why = ErrOverflow.Error()
			return
		}
		to.days[i] = FromFloat(f)
	}
}

// chargeScans charges scans beyond what the plans of a subscription include together, on
// the clusters that scan more than their own part. The allowance is of the average vCores.
func (p *protector) chargeScans() {
	price, why := p.book.price(PriceScan, "", "", nil)
	included := p.book.fact(PriceIncluded)
	for _, asIf := range []bool{false, true} {
		subs := map[string][]string{}
		for _, id := range p.order {
			x := p.by[id]
			d := x.parcels(asIf)[ProviderDefender]
			d.scans.source, d.scans.asOf = "computed, "+price.Source, price.AsOf
			n, known := p.in.Scans[id]
			if !known {
				n, known = p.in.Scans[x.cluster.ID]
			}
			switch {
			case !asIf && d.plan.source == "the plan is off":
				d.scans.source, d.scans.asOf = "the plan is off", ""
			case d.plan.why != "":
				d.scans.why = "the vCores that include scans are not known: " + d.plan.why
			case why != "":
				d.scans.why = why
			case !known || n < 0:
				d.scans.why = "how many images were scanned is not known"
			default:
				s := subscriptionOf(id)
				subs[s] = append(subs[s], id)
			}
		}
		for _, ids := range subs {
			var scanned, free float64
			among := make([]share, len(ids))
			for i, id := range ids {
				x := p.by[id]
				n := p.in.Scans[id]
				if n == 0 {
					n = p.in.Scans[x.cluster.ID]
				}
				allowed := included * x.vcores(p.hours)
				scanned += float64(n)
				free += allowed
				among[i] = share{id, float64(n) - allowed}
			}
			over := math.Ceil(scanned - free - 1e-6)
			if over <= 0 {
				continue
			}
			f := over * price.Amount.Float()
			parts, ok := split(FromFloat(f), among)
			for i, id := range ids {
				s := &p.by[id].parcels(asIf)[ProviderDefender].scans
				if !ok || f > mostOfRow.Float() {
					s.why = ErrOverflow.Error()
					continue
				}
				s.days = p.spread(parts[i], p.by[id])
			}
		}
	}
}

// spread divides an amount over the days by the vCores that ran.
func (p *protector) spread(a Amount, x *protected) []Amount {
	among := make([]share, len(p.days))
	for i := range among {
		among[i] = share{dayName(p.days[i]), x.use[i].vcoreHours}
	}
	parts, ok := split(a, among)
	if !ok {
		for i := range among {
			among[i].weight = p.hours[i]
		}
		parts, _ = split(a, among)
	}
	return parts
}

func (x *protected) parcels(asIf bool) map[string]*parcel {
	if asIf {
		return x.asIf
	}
	return x.actual
}

// vcores is the average over the window.
func (x *protected) vcores(hours []float64) float64 {
	var v, h float64
	for i := range x.use {
		v += x.use[i].vcoreHours
		h += hours[i]
	}
	if h == 0 {
		return 0
	}
	return v / h
}

// hub is an Event Hubs namespace that clusters export their audit log to.
type hub struct {
	clusters []string
	days     []Amount
	rows     int
	parts    map[string][]Amount
}

func hubOf(d *cloud.Diagnostic) string {
	audit := false
	for _, c := range d.Categories {
		switch lower(c) {
		case "kube-audit", "kube-audit-admin", "group:alllogs", "group:audit":
			audit = true
		}
	}
	if id := lower(d.EventHub); audit && strings.Contains(id, "/providers/microsoft.eventhub/namespaces/") {
		return head(id, 8)
	}
	return ""
}

// readHubs adds up what the event hubs cost that audit logs are exported to, and divides
// it equally among the clusters that do.
func (p *protector) readHubs() {
	p.hubs = map[string]*hub{}
	for _, id := range p.order {
		seen := map[string]bool{}
		for i := range p.by[id].cluster.Diagnostics {
			if h := hubOf(&p.by[id].cluster.Diagnostics[i]); h != "" && !seen[h] {
				seen[h] = true
				if p.hubs[h] == nil {
					p.hubs[h] = &hub{days: make([]Amount, len(p.days)), parts: map[string][]Amount{}}
				}
				p.hubs[h].clusters = append(p.hubs[h].clusters, id)
			}
		}
	}
	if len(p.hubs) == 0 {
		return
	}
	for row := range p.l.all() {
		h := p.hubs[head(row.resource, 8)]
		if k := p.index(row.day); h != nil && k >= 0 && p.l.within(row) {
			h.days[k] += row.Billed
			h.rows++
		}
	}
	for _, h := range p.hubs {
		among := make([]share, len(h.clusters))
		for i, id := range h.clusters {
			among[i] = share{id, 1}
			h.parts[id] = make([]Amount, len(p.days))
		}
		for k, a := range h.days {
			parts, _ := split(a, among)
			for i, id := range h.clusters {
				h.parts[id][k] = parts[i]
			}
		}
	}
}

// index is the place of a day in the window, -1 if it is not in it.
func (p *protector) index(d int64) int {
	if len(p.days) == 0 || d < p.days[0] || d > p.days[len(p.days)-1] {
		return -1
	}
	return int(d - p.days[0])
}

// chargeHub charges a cluster its part of the event hubs that bring its audit log.
func (p *protector) chargeHub(id string, c *cloud.Cluster, to *line, asIf bool) {
	found := false
	for i := range c.Diagnostics {
		name := hubOf(&c.Diagnostics[i])
		h := p.hubs[name]
		if h == nil {
			continue
		}
		if h.rows == 0 {
			to.why = "the bill has no row of the event hub " + name[strings.LastIndexByte(name, '/')+1:] + " that its audit log goes to"
			return
		}
		if p.book.to != p.l.currency {
			to.why = "the event hub is billed in " + p.l.currency + ", protection is priced in " + p.book.to
			return
		}
		if !found {
			found = true
			to.source = fmt.Sprintf("bill of the event hub, divided equally among %d clusters", len(h.clusters))
			to.asOf = p.l.last
		}
		for k, a := range h.parts[id] {
			to.days[k] += a
		}
	}
	switch {
	case found:
	case c.Kind == cloud.KindArc:
		to.source = "none: its API server sends its audit log itself"
	case asIf:
		to.why = "its audit log goes to no event hub: how much it would be is not known"
	default:
		to.source = "none: its audit log goes to no event hub"
	}
}
