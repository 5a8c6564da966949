package cost

import (
	"fmt"
	"strings"
)

// protection writes what one provider costs a cluster.
func (p *protector) protection(provider string, d *parcel, vcores float64) Protection {
	out := Protection{Provider: provider, VCores: vcores,
		Plan: d.plan.money(p.book.to), Scans: d.scans.money(p.book.to), Ingestion: d.ingestion.money(p.book.to), Agents: d.agents.money(p.book.to)}
	out.Total = totalOf(&out, p.book.to)
	if d.unknown != "" {
		out.Total = Money{Currency: p.book.to, NotAssessed: d.unknown}
	}
	return out
}

// totalOf adds the parts that are assessed. A total without the plan would mislead: then
// it is not assessed; which other parts are not in it, its source says.
func totalOf(q *Protection, currency string) Money {
	out := Money{Currency: currency, Source: "computed"}
	var without []string
	for _, part := range []struct {
		name string
		m    Money
	}{{"plan", q.Plan}, {"scans", q.Scans}, {"ingestion", q.Ingestion}, {"agents", q.Agents}} {
		if part.m.NotAssessed != "" {
			without = append(without, part.name)
			if part.name == "plan" {
				out.NotAssessed = "plan: " + part.m.NotAssessed
			}
			continue
		}
		a, ok := add(out.Amount, part.m.Amount)
		if !ok {
			out.NotAssessed = ErrOverflow.Error()
			continue
		}
		out.Amount = a
		if part.m.Amount != 0 && part.m.AsOf != "" && (out.AsOf == "" || part.m.AsOf < out.AsOf) {
			out.AsOf = part.m.AsOf
		}
	}
	if len(without) > 0 {
		out.Source += ", without " + strings.Join(without, ", ") + " (not assessed)"
	}
	if out.NotAssessed != "" {
		out.Amount = 0
	}
	return out
}

// write fills what protection costs into a cluster's part of the report.
func (p *protector) write(id string, x *protected, cc *ClusterCost) {
	cc.VCores = x.vcores(p.hours)
	cc.Pools = p.poolsOf(x.cluster, x)
	cc.Protection = nil
	var sum Amount
	why := ""
	byDay := make([]Amount, len(p.days))
	for _, provider := range []string{ProviderDefender, ProviderDockreeve} {
		d := x.actual[provider]
		q := p.protection(provider, d, cc.VCores)
		cc.Protection = append(cc.Protection, q)
		if d.unknown != "" {
			continue // told once for all, as a gap of the report
		}
		if q.Total.NotAssessed != "" {
			why = provider + ": " + q.Total.NotAssessed
			continue
		}
		a, ok := add(sum, q.Total.Amount)
		if !ok {
			why = ErrOverflow.Error()
			continue
		}
		sum = a
		for _, l := range []*line{&d.plan, &d.scans, &d.ingestion, &d.agents} {
			if l.why == "" {
				for k, v := range l.days {
					byDay[k] += v
				}
			}
		}
	}
	same := p.book.to == p.l.currency || p.l.currency == ""
	cc.Days = cc.Days[:0]
	for k, d := range p.days {
		u := &x.use[k]
		dc := DayCost{Day: dayName(d)}
		if same {
			dc.Protection = byDay[k]
		}
		if u.why == "" && p.hours[k] > 0 {
			dc.Nodes, dc.VCores = u.nodeHours/p.hours[k], u.vcoreHours/p.hours[k]
		}
		cc.Days = append(cc.Days, dc)
	}
	if !same {
		cc.Gaps = append(cc.Gaps, Gap{What: "protection by day", Reason: "protection is priced in " + p.book.to + ", the bill is in " + p.l.currency})
	}
	for k := range x.use {
		if w := x.use[k].why; w != "" {
			cc.Gaps = append(cc.Gaps, Gap{What: "vCores", Reason: w, Remedy: "collect VM sizes, or give a table of sizes that has it"})
			break
		}
	}
	p.perVCore(x, cc, sum, why)
	p.share(id, cc, byDay, why, same)
}

// perVCore is what protection costs by vCore and month.
func (p *protector) perVCore(x *protected, cc *ClusterCost, sum Amount, why string) {
	var vh float64
	for k := range x.use {
		vh += x.use[k].vcoreHours
		if x.use[k].why != "" && why == "" {
			why = x.use[k].why
		}
	}
	month := p.book.fact(PriceMonth)
	cc.PerVCore = Money{Currency: p.book.to, Source: "computed", AsOf: p.plan.AsOf}
	switch f := sum.Float() / vh * month; {
	case why != "":
		cc.PerVCore.NotAssessed = why
	case vh == 0:
		cc.PerVCore.NotAssessed = "no vCore ran"
	case month == 0:
		cc.PerVCore.NotAssessed = "the fact " + PriceMonth + " is not known"
	case f > mostOfRow.Float():
		cc.PerVCore.NotAssessed = ErrOverflow.Error()
	default:
		cc.PerVCore.Amount = FromFloat(f)
	}
}

// share is protection as part of the cluster's cost, over the days that the bill covers:
// what the cluster cost by effective cost without protection's own meters, and with plan,
// scans and ingestion as computed. What agents reserve is in the nodes already.
func (p *protector) share(id string, cc *ClusterCost, byDay []Amount, why string, same bool) {
	b := p.bills[id]
	x := p.by[id]
	switch {
	case why != "":
		cc.ShareWhy = why
		return
	case !same:
		cc.ShareWhy = "protection is priced in " + p.book.to + ", the bill is in " + p.l.currency
		return
	case b == nil || b.rows == 0:
		cc.ShareWhy = "the bill has no row of this cluster"
		return
	}
	var mine, all float64
	for k, d := range p.days {
		if d > p.l.lastDay {
			continue
		}
		mine += byDay[k].Float()
		all += b.spend[k].Float()
		for _, provider := range []string{ProviderDefender, ProviderDockreeve} {
			q := x.actual[provider]
			for _, l := range []*line{&q.plan, &q.scans, &q.ingestion} {
				if l.why == "" {
					all += l.days[k].Float()
				}
			}
		}
	}
	if all <= 0 || mine < 0 || mine > all {
		cc.ShareWhy = "the cluster's effective cost is less than what protects it: the bill holds refunds, or no effective costs"
		return
	}
	cc.Share = mine / all
}

// total compares providers over all clusters: as it is, then as if each were everywhere.
func (p *protector) total(r *Report) {
	for _, asIf := range []bool{false, true} {
		var both ProtectionSum
		for _, provider := range []string{ProviderDefender, ProviderDockreeve} {
			s := p.sum(provider, asIf)
			r.Protection = append(r.Protection, s)
			if provider == ProviderDefender {
				both = s
				continue
			}
			both.Provider = ProviderBoth
			both.Plan = plusOf(both.Plan, s.Plan)
			both.Scans = plusOf(both.Scans, s.Scans)
			both.Ingestion = plusOf(both.Ingestion, s.Ingestion)
			both.Agents = plusOf(both.Agents, s.Agents)
			both.Total = plusOf(both.Total, s.Total)
			both.NotAssessed = max(both.NotAssessed, s.NotAssessed)
			both.Clusters, both.VCores = p.either(asIf)
			both.Note = ""
			if asIf {
				both.Note = "as if both were on everywhere, without a trial"
			}
		}
		r.Protection = append(r.Protection, both)
	}
}

func plusOf(a, b Money) Money {
	if a.NotAssessed != "" {
		return a
	}
	if b.NotAssessed != "" {
		return b
	}
	return plus(a, b)
}

func (p *protector) either(asIf bool) (n int, vcores float64) {
	for _, id := range p.order {
		x := p.by[id]
		if asIf || x.actual[ProviderDefender].on || x.actual[ProviderDockreeve].on {
			n++
			vcores += x.vcores(p.hours)
		}
	}
	return n, vcores
}

// sum adds one provider up. A part that was not assessed for some clusters is the sum of
// the others, and the note says so; one assessed for none is not assessed.
func (p *protector) sum(provider string, asIf bool) ProtectionSum {
	s := ProtectionSum{Hypothetic: asIf}
	s.Provider = provider
	type part struct {
		name    string
		of      func(*Protection) *Money
		got     Money
		n, lack int
		why     string
		off     string
	}
	parts := []*part{
		{name: "plan", of: func(q *Protection) *Money { return &q.Plan }},
		{name: "scans", of: func(q *Protection) *Money { return &q.Scans }},
		{name: "ingestion", of: func(q *Protection) *Money { return &q.Ingestion }},
		{name: "agents", of: func(q *Protection) *Money { return &q.Agents }},
		{name: "total", of: func(q *Protection) *Money { return &q.Total }},
	}
	for _, id := range p.order {
		x := p.by[id]
		d := x.parcels(asIf)[provider]
		if d.on || asIf {
			s.Clusters++
			s.VCores += x.vcores(p.hours)
		}
		q := p.protection(provider, d, 0)
		for _, t := range parts {
			m := *t.of(&q)
			if !d.on && !asIf && m.NotAssessed == "" {
				if t.off == "" {
					t.off = m.Source
				}
				continue // where it is off it costs nothing: that is no assessment of the others
			}
			if m.NotAssessed != "" {
				t.lack++
				if t.why == "" {
					t.why = m.NotAssessed
				}
				continue
			}
			a, ok := add(t.got.Amount, m.Amount)
			if !ok {
				t.lack++
				t.why = ErrOverflow.Error()
				continue
			}
			t.n++
			t.got.Amount = a
			if m.Amount != 0 && m.AsOf != "" && (t.got.AsOf == "" || m.AsOf < t.got.AsOf) {
				t.got.AsOf = m.AsOf
			}
			switch {
			case m.Source == "" || m.Source == t.got.Source || m.Amount == 0 && t.got.Source != "":
			case t.got.Source == "" || t.got.Amount == m.Amount:
				t.got.Source = m.Source
			default:
				t.got.Source = "several"
			}
		}
		if q.Total.NotAssessed != "" {
			s.NotAssessed++
		}
	}
	// Agents of a cluster whose plan is not known count as agents here, so they count in the
	// total too: a reader adds the columns up.
	var whole Amount
	held := true
	for _, t := range parts[:4] {
		if held {
			whole, held = add(whole, t.got.Amount)
		}
	}
	if parts[4].got.Amount != 0 && held {
		parts[4].got.Amount = whole
	}
	var notes []string
	for _, t := range parts {
		t.got.Currency = p.book.to
		switch {
		case t.lack > 0 && t.got.Amount == 0:
			t.got.NotAssessed = t.why
		case t.n == 0:
			t.got.Source = t.off
		}
		if t.lack > 0 {
			notes = append(notes, fmt.Sprintf("%s of %d of %d clusters not assessed (%s)", t.name, t.lack, len(p.order), t.why))
		}
	}
	s.Plan, s.Scans, s.Ingestion, s.Agents, s.Total = parts[0].got, parts[1].got, parts[2].got, parts[3].got, parts[4].got
	if asIf {
		notes = append([]string{"as if it were on everywhere, without a trial"}, notes...)
	}
	s.Note = strings.Join(notes, "; ")
	return s
}
