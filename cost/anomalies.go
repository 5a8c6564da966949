package cost

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"sort"
	"strings"
	"time"
)

// Series of anomalies.
const (
	SeriesSpend  = "spend"
	SeriesCores  = "core-hours"
	SeriesNodes  = "nodes"
	SeriesEgress = "egress"
)

// The smallest rises worth telling, in the unit of each series. They are about attention,
// not money: see docs/cost-anomalies.md.
const (
	floorSpend  = 5.0        // of the currency, a day
	floorCores  = 1.0        // core-hours an hour
	floorNodes  = 2.0        // nodes: an autoscaler adds one whenever it likes
	floorEgress = float64(1) // GB an hour
)

const (
	mostAnomalies   = 1000
	anomalyDays     = 30 // that are told at least
	mostHistoryDays = 400
	around          = 48 * hour // of an anomaly in which activity may be its cause
)

// measured is a signal and what it is of.
type measured struct {
	signal
	series  string
	cluster string
	key     string // ARM id, or namespace
	unit    string
}

// anomalies tells what rose out of the usual in the window, or in the last thirty days
// where that is more: spend by day, of clusters and of what else is in subscriptions; by
// hour, of clusters and namespaces, core-hours, nodes and bytes sent, as agents measured
// them, and nodes by day from the bill where they did not. Falls are no anomalies here.
// Where a namespace explains most of its cluster's rise, it alone is told. What a miner
// alert, a rise and changed node pools say of one cluster becomes one anomaly.
func anomalies(in *Input, r *Report) {
	l := billOf(in)
	since := min(l.from, l.to-anomalyDays*day)
	found, short, all := l.unusual(since)
	found = fold(found)
	w := newWhys(l)
	for i := range found {
		w.explain(&found[i])
	}
	found = w.mining(found)
	sort.Slice(found, func(a, b int) bool {
		x, y := &found[a], &found[b]
		if x.Mining != y.Mining {
			return x.Mining
		}
		if x.PerHour.Amount != y.PerHour.Amount {
			return x.PerHour.Amount > y.PerHour.Amount
		}
		if x.Score != y.Score {
			return x.Score > y.Score
		}
		return x.ID < y.ID
	})
	if n := len(found); n > mostAnomalies {
		r.Gaps = append(r.Gaps, Gap{What: fmt.Sprintf("%d more anomalies", n-mostAnomalies), Reason: fmt.Sprintf("only the %d dearest are told", mostAnomalies)})
		found = found[:mostAnomalies]
	}
	r.Anomalies = found
	if short > 0 {
		r.Gaps = append(r.Gaps, Gap{What: fmt.Sprintf("anomalies of %d of %d series", short, all), Reason: fmt.Sprintf("they have less than %d days of history", minimum),
			Remedy: "give charges and usage of the last sixty days"})
	}
	for _, m := range in.Miners {
		if !l.in.belongs.clusters[l.idOf(m.Cluster)] {
			r.Gaps = append(r.Gaps, Gap{What: "money at risk from alert " + m.Alert, Reason: fmt.Sprintf("its cluster %q is none of the tenant's, or several have that name", m.Cluster)})
		}
	}
	if len(l.usage) == 0 {
		r.Gaps = append(r.Gaps, Gap{What: "anomalies of core-hours and egress", Reason: "nobody measured them", Remedy: "run Dockreeve's agents"})
	}
}

// unusual finds the episodes of all series.
func (l *ledger) unusual(since int64) (found []Anomaly, short, all int) {
	mined := map[string]bool{}
	for i := range l.in.Miners {
		mined[l.idOf(l.in.Miners[i].Cluster)] = true
	}
	for _, m := range append(l.daily(), l.hourly()...) {
		m.short = mined[m.cluster]
		unit := hour
		if m.daily {
			unit = day
		}
		all++
		es, judged := m.find(since / unit)
		if !judged {
			short++
		}
		for _, e := range es {
			a := Anomaly{Series: m.series, Cluster: m.cluster, Key: m.key, From: e.from * unit, To: e.to * unit,
				Expected: e.expected, Got: e.got, Unit: m.unit, Score: math.Min(e.score, 1e6), Evidence: []string{}}
			a.ID = anomalyID(m.series, m.cluster, m.key, dayName(a.From/day))
			switch {
			case e.slow:
				a.Causes = append(a.Causes, "it rose slowly, over weeks: no single day stands out")
			case e.stays:
				a.Causes = append(a.Causes, fmt.Sprintf("it stayed so for %d days: from then on it counts as normal", settles))
			}
			found = append(found, a)
		}
	}
	return found, short, all
}

func anomalyID(of ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(of, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// daily gives the series of the bill: spend, and nodes where no agent counts them.
func (l *ledger) daily() []measured {
	type at struct{ series, cluster, key, sub string }
	sums, of := map[at]*perDay{}, make([][2]*perDay, len(l.facts))
	today := l.to / day
	put := func(to **perDay, k at, c *row, v float64) {
		if *to == nil {
			if sums[k] == nil {
				sums[k] = &perDay{today: today}
			}
			*to = sums[k]
		}
		// A charge for several days is so much a day.
		n := min(31, max(1, (c.end-c.start+day-1)/day))
		for d := c.day; d < min(c.day+n, today); d++ {
			(*to).add(d, v/float64(n))
		}
	}
	for c := range l.all() {
		if !c.usage || c.day >= today || c.day < today-mostHistoryDays {
			continue
		}
		k := at{SeriesSpend, c.cluster, c.cluster, c.sub}
		if c.cluster == "" {
			k.key = c.sub
		} else {
			k.sub = subscriptionOf(c.cluster)
		}
		put(&of[c.fact][0], k, c, c.spend.Float())
		if h, ok := c.nodeHours(); ok && c.cluster != "" && len(l.usage[c.cluster]) == 0 {
			k.series = SeriesNodes
			put(&of[c.fact][1], k, c, h/24)
		}
	}
	keys := make([]at, 0, len(sums))
	for k := range sums {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(a, b int) bool {
		x, y := &keys[a], &keys[b]
		return cmp.Or(strings.Compare(x.series, y.series), strings.Compare(x.cluster, y.cluster), strings.Compare(x.key, y.key)) < 0
	})
	out := make([]measured, 0, len(keys))
	for _, k := range keys {
		days := sums[k]
		first := today - int64(len(days.values))
		if first >= today {
			continue
		}
		m := measured{series: k.series, cluster: k.cluster, key: k.key, unit: l.currency + " a day"}
		m.signal = signal{daily: true, first: first, floor: floorSpend, values: make([]float64, today-first)}
		if k.series == SeriesNodes {
			m.unit, m.floor = "nodes", floorNodes
		}
		known := l.known[k.sub]
		for d := first; d < today; d++ {
			v := days.values[today-1-d]
			if !days.has[today-1-d] && !known[d] {
				v = math.NaN()
			}
			m.values[d-first] = v
		}
		out = append(out, m)
	}
	return out
}

// perDay is a sum of each day, counted back from the last whole one, until the first of
// which anything was told.
type perDay struct {
	today  int64
	values []float64
	has    []bool // of whether anything was told
}

func (p *perDay) add(d int64, v float64) {
	at := int(p.today - 1 - d)
	if n := at + 1 - len(p.values); n > 0 {
		p.values, p.has = append(p.values, make([]float64, n)...), append(p.has, make([]bool, n)...)
	}
	p.values[at] += v
	p.has[at] = true
}

// hourly gives the series of what agents measured. A namespace that is not told of in an
// hour in which its cluster is used nothing in it.
func (l *ledger) hourly() []measured {
	var out []measured
	end := l.to / hour
	for _, id := range sortedKeys(l.usage) {
		us := l.hours(id, l.to-mostHistoryDays*day, l.to-l.to%hour)
		if len(us) == 0 {
			continue
		}
		first := us[0].Hour / day * 24
		n := int(end - first)
		blank := func() []float64 {
			v := make([]float64, n)
			for i := range v {
				v[i] = math.NaN()
			}
			return v
		}
		cores, sent, nodes, seen := blank(), blank(), blank(), make([]bool, n)
		byNS := map[string]*[2][]float64{}
		total := false
		for i := range us {
			u := &us[i]
			at := int(u.Hour/hour - first)
			seen[at] = true
			if u.Namespace == "" {
				if u.Nodes > 0 {
					nodes[at] = u.Nodes
				}
				if u.Egress > 0 {
					sent[at], total = u.Egress/1e9, true
				}
				continue
			}
			ns := byNS[u.Namespace]
			if ns == nil {
				ns = &[2][]float64{blank(), blank()}
				byNS[u.Namespace] = ns
			}
			used := u.Used
			if u.UsedWhy != "" {
				used = u.Charged
			}
			ns[0][at], ns[1][at] = used, u.Egress/1e9
		}
		names := sortedKeys(byNS)
		for _, name := range names {
			ns := byNS[name]
			begun := false
			for at := range n {
				begun = begun || !math.IsNaN(ns[0][at])
				if begun && seen[at] && math.IsNaN(ns[0][at]) {
					ns[0][at], ns[1][at] = 0, 0
				}
				if !math.IsNaN(ns[0][at]) {
					cores[at] = over(cores[at]) + ns[0][at]
					if !total {
						sent[at] = over(sent[at]) + ns[1][at]
					}
				}
			}
		}
		put := func(series, key, unit string, floor float64, v []float64) {
			i := 0
			for i < len(v) && math.IsNaN(v[i]) {
				i++
			}
			if i -= i % 24; i < len(v) {
				out = append(out, measured{signal: signal{first: first + int64(i), floor: floor, values: v[i:]}, series: series, cluster: id, key: key, unit: unit})
			}
		}
		put(SeriesCores, id, "core-hours an hour", floorCores, cores)
		put(SeriesNodes, id, "nodes", floorNodes, nodes)
		put(SeriesEgress, id, "GB an hour", floorEgress, sent)
		for _, name := range names {
			put(SeriesCores, name, "core-hours an hour", floorCores, byNS[name][0])
			put(SeriesEgress, name, "GB an hour", floorEgress, byNS[name][1])
		}
	}
	return out
}

func over(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}

// fold drops what a cluster's rise says again of one of its namespaces, and ends it
// where hours and days tell the same twice.
func fold(all []Anomaly) []Anomaly {
	out := all[:0:0]
	for _, a := range all {
		drop := false
		if a.Cluster != "" && a.Key == a.Cluster && (a.Series == SeriesCores || a.Series == SeriesEgress) {
			for _, b := range all {
				if b.Series == a.Series && b.Cluster == a.Cluster && b.Key != a.Key && b.From < a.To && a.From < b.To && b.Got-b.Expected >= 0.6*(a.Got-a.Expected) {
					drop = true
				}
			}
		}
		if !drop {
			out = append(out, a)
		}
	}
	return out
}

func when(t int64) string { return time.Unix(0, t).UTC().Format("2006-01-02 15:04") }
