package cost

import (
	"fmt"
	"math"
	"sort"
	"strings"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// What is reconciled.
const (
	ReconcilePlan      = "defender-plan"  // of a subscription
	ReconcileScans     = "defender-scans" // of a subscription
	ReconcileIngestion = "ingestion"      // of a workspace
	ReconcileCompute   = "compute"        // of the clusters of a subscription
)

// tolerance is the part of a bill that what was computed may be off by without a finding.
const tolerance = 0.02

// billedPart is what a bill says of one kind of charge at one scope.
type billedPart struct {
	spend     Amount
	effective Amount
	list      Amount
	listed    Amount // effective cost of the rows that have a list cost
	rows      int
	quantity  float64
	unit      string
	mixed     bool // more than one unit
	committed bool
	units     bool
	refunds   int
	computed  float64 // for ingestion: quantity by our price
	why       string
	source    string
	asOf      string
	fixed     bool // rows that no quantity explains: commitment tiers
}

// reconcile compares what was computed with what was billed, at effective cost, over the
// days for which the subscription has a bill. A difference above 2 % is a finding; what is
// known to cause one is told.
func reconcile(in *Input, r *Report) {
	p := in.protected
	if p == nil || len(p.l.rows) == 0 {
		return
	}
	parts := p.billedParts()
	subs := map[string][]string{}
	for _, id := range p.order {
		s := subscriptionOf(id)
		subs[s] = append(subs[s], id)
	}
	scopes := map[string]bool{}
	for s := range subs {
		scopes[s] = true
	}
	for k := range parts[MeterPlan] {
		scopes[k] = true
	}
	for k := range parts[MeterScans] {
		scopes[k] = true
	}
	for _, s := range sortedKeys(scopes) {
		for _, what := range []string{ReconcilePlan, ReconcileScans} {
			if c, ok := p.reconcileDefender(what, s, subs[s], parts); ok {
				r.Reconciled = append(r.Reconciled, c)
			}
		}
		if c, ok := p.reconcileCompute(s, subs[s]); ok {
			r.Reconciled = append(r.Reconciled, c)
		}
	}
	for _, w := range sortedKeys(parts[MeterIngestion]) {
		r.Reconciled = append(r.Reconciled, p.reconcileIngestion(w, parts[MeterIngestion][w]))
	}
	sort.SliceStable(r.Reconciled, func(a, b int) bool { return r.Reconciled[a].Finding && !r.Reconciled[b].Finding })
	r.Prices = p.book.used
}

// billedParts adds the bill up by kind and scope: Defender's meters by subscription,
// ingestion by workspace.
func (p *protector) billedParts() map[string]map[string]*billedPart {
	out := map[string]map[string]*billedPart{}
	get := func(kind, scope string) *billedPart {
		if out[kind] == nil {
			out[kind] = map[string]*billedPart{}
		}
		b := out[kind][scope]
		if b == nil {
			b = &billedPart{}
			out[kind][scope] = b
		}
		return b
	}
	for row := range p.l.all() {
		if !p.l.within(row) || p.index(row.day) < 0 {
			continue
		}
		kind := p.kind(row)
		switch kind {
		case MeterPlan, MeterScans:
			get(kind, row.sub).add(row)
		case MeterUnits:
			get(MeterPlan, row.sub).units = true
		case MeterIngestion:
			w := row.resource
			if w == "" {
				w = row.sub
			}
			b := get(kind, w)
			b.add(row)
			p.priceIngestion(b, row)
		}
	}
	return out
}

func (b *billedPart) add(c *row) {
	b.rows++
	b.spend += c.spend
	b.effective += c.Effective
	if c.List > 0 {
		b.list += c.List
		b.listed += c.spend
	}
	b.committed = b.committed || c.Pricing == "Committed" || c.Commitment != ""
	if c.Billed < 0 || c.Class == "Correction" {
		b.refunds++
	}
	if c.usage {
		if b.unit != "" && b.unit != c.QuantityUnit {
			b.mixed = true
		}
		b.unit = c.QuantityUnit
		b.quantity += c.Quantity
	}
}

// priceIngestion computes what a row of ingestion would be by our price.
func (p *protector) priceIngestion(b *billedPart, row *row) {
	if !row.usage {
		return
	}
	text := lower(row.MeterSub + " " + row.Meter + " " + row.Description)
	key := PriceAnalytics
	switch {
	case strings.Contains(text, "commitment tier"), strings.Contains(text, "capacity reservation"):
		b.fixed = true
		return
	case strings.Contains(text, "basic"):
		key = PriceBasic
	case strings.Contains(text, "auxiliary"):
		key = PriceAuxiliary
	}
	if u := lower(strings.TrimSpace(row.QuantityUnit)); u != "gb" && u != "1 gb" {
		b.why = fmt.Sprintf("its quantity is in %.40q, not in GB", row.QuantityUnit)
		return
	}
	price, why := p.book.price(key, "", row.Region, nil)
	if why != "" {
		b.why = why
		return
	}
	b.source, b.asOf = price.Source, price.AsOf
	b.computed += price.Amount.Float() * row.Quantity
}

// billedDays says which days of the window a subscription has a bill for.
func (p *protector) billedDays(sub string) []bool {
	out := make([]bool, len(p.days))
	for k, d := range p.days {
		out[k] = p.l.known[sub][d]
	}
	return out
}

func (p *protector) reconcileDefender(what, sub string, ids []string, parts map[string]map[string]*billedPart) (Reconciliation, bool) {
	b := parts[what][sub]
	if b == nil {
		b = &billedPart{}
	}
	out := Reconciliation{What: what, Scope: sub}
	days := p.billedDays(sub)
	var sum Amount
	on, unknown, counted, trial, late, held := 0, 0, 0, false, false, true
	why := ""
	for _, id := range ids {
		x := p.by[id]
		d := x.actual[ProviderDefender]
		line := &d.plan
		if what == ReconcileScans {
			line = &d.scans
		}
		if line.why != "" && (d.on || d.plan.why != "") {
			unknown++
			why = line.why
			continue
		}
		if !d.on {
			continue
		}
		on++
		if x.counted {
			counted++
		}
		trial, late = trial || x.trial, late || x.late
		for k, v := range line.days {
			if days[k] && held {
				sum, held = add(sum, v)
			}
		}
		out.Computed.Source, out.Computed.AsOf = line.source, line.asOf
	}
	if b.rows == 0 && sum == 0 && (unknown == 0 || what == ReconcileScans) {
		return out, false
	}
	out.Computed.Amount, out.Computed.Currency = sum, p.book.to
	if unknown > 0 {
		out.Computed.NotAssessed = fmt.Sprintf("%d of %d clusters could not be computed: %s", unknown, len(ids), why)
		out.Computed.Amount = 0
	}
	if !held {
		out.Computed.Amount, out.Computed.NotAssessed = 0, ErrOverflow.Error()
	}
	if out.Computed.Source == "" {
		out.Computed.Source = "computed"
	}
	out.Why = b.causes()
	if trial {
		out.Why = append(out.Why, "trial: some of these days lie in the plan's free trial, and what is left of it is rounded")
	}
	if late {
		out.Why = append(out.Why, "the plan was switched on within the window")
	}
	if what == ReconcilePlan && on > 0 {
		out.Why = append(out.Why, fmt.Sprintf("computed at %s %s a vCore-month (%s, %s%s)", decimal(p.plan.Amount), p.plan.Currency, p.plan.Source, p.plan.AsOf, unverified(p.plan)))
	}
	if what == ReconcileScans {
		out.Why = append(out.Why, "scans are counted here by Dockreeve, and there by what Azure scanned in the month before")
	}
	if w := p.unread(sub); w != "" {
		out.Why = append(out.Why, w)
		if len(ids) == 0 {
			out.Computed.NotAssessed = w
		}
	}
	p.compare(&out, b)
	if counted > 0 && what == ReconcilePlan {
		out.Why = append(out.Why, fmt.Sprintf("an estimate: of %d of %d clusters autoscaled nodes were counted as they are now, since neither the bill nor agents tell what ran; a FOCUS export would", counted, on))
		out.Finding = false // what is guessed here says nothing against the bill
	}
	if out.Finding && b.rows > 0 && out.Computed.Amount < b.spend {
		out.Why = append(out.Why, "the bill may hold clusters that are not known here: of other clouds, or not readable")
	}
	return out, true
}

func unverified(p Price) string {
	if p.Verified {
		return ""
	}
	return ", not verified at its publisher"
}

// unread tells that clusters or plans of a subscription could not be read.
func (p *protector) unread(sub string) string {
	for i := range p.in.Tenant.Reads {
		x := &p.in.Tenant.Reads[i]
		if x.Outcome == cloud.ReadOK || x.Outcome == cloud.ReadAbsent || x.Outcome == cloud.ReadSkipped || lower(x.Scope) != sub {
			continue
		}
		if x.What == cloud.ReadClusters || x.What == cloud.ReadArc || x.What == cloud.ReadPlan {
			return x.What + " of this subscription could not be read: " + x.Outcome
		}
	}
	return ""
}

// causes are what a bill itself shows that makes it differ from a price list.
func (b *billedPart) causes() []string {
	var out []string
	if b.list > 0 {
		if off := 1 - b.listed.Float()/b.list.Float(); math.Abs(off) > 0.005 {
			out = append(out, fmt.Sprintf("negotiated price: effective cost is %.1f %% below list cost in the bill", 100*off))
		}
	}
	if b.units {
		out = append(out, "commit units: pre-purchased units pay for a part")
	}
	if b.committed {
		out = append(out, "reservation or commitment: rows of it are in the bill")
	}
	if b.refunds > 0 {
		out = append(out, fmt.Sprintf("%d rows are refunds or corrections", b.refunds))
	}
	if b.fixed {
		out = append(out, "commitment tier: the day is paid for, whatever is ingested")
	}
	return out
}

// compare fills difference and finding.
func (p *protector) compare(out *Reconciliation, b *billedPart) {
	out.Billed = p.l.money(b.spend)
	out.Billed.Source = "bill, effective cost"
	switch {
	case b.rows == 0:
		out.Billed.Source = "no row of it in the bill"
	case b.quantity > 0 && !b.mixed && b.unit != "":
		out.Why = append(out.Why, fmt.Sprintf("billed: %s at %.6g %s each", amountOf(b.quantity, b.unit), b.spend.Float()/b.quantity, p.l.currency))
	}
	switch {
	case out.Computed.NotAssessed != "":
	case out.Computed.Currency != p.l.currency:
		out.Computed.NotAssessed = fmt.Sprintf("it is priced in %s, the bill is in %s: they are not compared", out.Computed.Currency, p.l.currency)
		out.Computed.Amount = 0
	case b.spend == 0:
		if out.Computed.Amount != 0 {
			out.Difference, out.Finding = 1, true
			out.Why = append(out.Why, "nothing was billed: the difference is of what was computed")
		}
	default:
		out.Difference = (out.Computed.Amount.Float() - b.spend.Float()) / math.Abs(b.spend.Float())
		out.Finding = math.Abs(out.Difference) > tolerance
	}
}

// amountOf writes a quantity of a bill in its unit, which Azure begins with how many are one:
// 12 of "1 GB" are 12 GB, 12 of "100 GB" are 12 × 100 GB.
func amountOf(quantity float64, unit string) string {
	unit = strings.TrimSpace(unit)
	if one, ok := strings.CutPrefix(unit, "1 "); ok {
		return fmt.Sprintf("%.6g %s", quantity, strings.TrimSpace(one))
	}
	if unit != "" && unit[0] >= '0' && unit[0] <= '9' {
		return fmt.Sprintf("%.6g × %s", quantity, unit)
	}
	return fmt.Sprintf("%.6g %s", quantity, unit)
}

func (p *protector) reconcileIngestion(workspace string, b *billedPart) Reconciliation {
	out := Reconciliation{What: ReconcileIngestion, Scope: workspace, Why: b.causes()}
	out.Computed = Money{Currency: p.book.to, Source: "billed GB at " + b.source, AsOf: b.asOf}
	switch {
	case b.fixed:
		out.Computed.NotAssessed = "it is billed by a commitment tier, which no price by GB explains"
	case b.why != "":
		out.Computed.NotAssessed = b.why
	case math.Abs(b.computed) > mostOfRow.Float():
		out.Computed.NotAssessed = ErrOverflow.Error()
	default:
		out.Computed.Amount = FromFloat(b.computed)
	}
	p.compare(&out, b)
	return out
}

// reconcileCompute compares what nodes were billed with list prices for the same hours.
func (p *protector) reconcileCompute(sub string, ids []string) (Reconciliation, bool) {
	out := Reconciliation{What: ReconcileCompute, Scope: sub}
	b := &billedPart{}
	var computed float64
	lack := ""
	priced := map[string]Price{}
	for _, id := range ids {
		x := p.by[id]
		for k := range x.use {
			for i := range x.use[k].pools {
				n := &x.use[k].pools[i]
				if !n.billed || n.nodeHours == 0 {
					continue
				}
				key := fmt.Sprint(n.size, n.spot, n.windows, x.cluster.Location)
				price, ok := priced[key]
				if !ok {
					var why string
					if price, why = p.vmPrice(n, x.cluster.Location); why != "" {
						lack = why
					}
					priced[key] = price
				}
				if price.Currency == "" {
					continue // left out on both sides
				}
				b.rows++
				b.spend += n.cost
				computed += price.Amount.Float() * n.nodeHours
				out.Computed.Source, out.Computed.AsOf = "billed hours at "+price.Source, price.AsOf
			}
		}
	}
	if b.rows == 0 || computed > mostOfRow.Float() {
		return out, false
	}
	for row := range p.l.of(sub) {
		if row.cluster == "" || !p.l.within(row) || p.kind(row) != MeterCompute {
			continue
		}
		b.committed = b.committed || row.Pricing == "Committed" || row.Commitment != ""
		if row.List > 0 {
			b.list += row.List
			b.listed += row.spend
		}
		if row.Billed < 0 || row.Class == "Correction" {
			b.refunds++
		}
	}
	out.Computed.Amount, out.Computed.Currency = FromFloat(computed), p.book.to
	out.Why = b.causes()
	if lack != "" {
		out.Why = append(out.Why, "some sizes are left out on both sides: "+lack)
	}
	p.compare(&out, b)
	return out, true
}
