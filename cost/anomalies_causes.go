package cost

import (
	"fmt"
	"math"
	"sort"
	"strings"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// whys finds causes and money of anomalies.
type whys struct {
	l        *ledger
	clusters map[string]*cloud.Cluster
	pools    map[string][]*cloud.Activity // changes of pools, by cluster, oldest first
	sizes    map[string]*cloud.Size       // by name in lower case
	rates    map[string]rates
	book     *priceBook
}

// rates are a cluster's own prices in the last weeks, in units of the currency; 0 = not known.
type rates struct{ node, core, gb float64 }

func newWhys(l *ledger) *whys {
	w := &whys{l: l, clusters: map[string]*cloud.Cluster{}, pools: map[string][]*cloud.Activity{}, sizes: map[string]*cloud.Size{}}
	for i := range l.in.Sizes {
		w.sizes[lower(l.in.Sizes[i].Name)] = &l.in.Sizes[i]
	}
	t := l.in.Tenant
	if t == nil {
		return w
	}
	for i := range t.Sizes {
		w.sizes[lower(t.Sizes[i].Name)] = &t.Sizes[i]
	}
	for i := range t.Clusters {
		w.clusters[lower(t.Clusters[i].ID)] = &t.Clusters[i]
	}
	for i := range t.Activity {
		a := &t.Activity[i]
		id := clusterID(lower(a.Resource))
		if id != "" && strings.HasSuffix(lower(a.Operation), "/agentpools/write") && !strings.EqualFold(a.Status, "Failed") {
			w.pools[id] = append(w.pools[id], a)
		}
	}
	for _, as := range w.pools {
		sort.SliceStable(as, func(i, j int) bool { return as[i].At < as[j].At })
	}
	return w
}

// changes gives the changes of pools of a cluster in a time, one for each pool: an
// operation is logged when it starts and again when it ends.
func (w *whys) changes(cluster string, from, to int64) []*cloud.Activity {
	var out []*cloud.Activity
	seen := map[string]bool{}
	for _, a := range w.pools[cluster] {
		if pool := lastOf(lower(a.Resource)); a.At >= from && a.At < to && !seen[pool] {
			seen[pool] = true
			out = append(out, a)
		}
	}
	return out
}

// pool describes a changed pool as it is now; gone says that it is no more.
func (w *whys) pool(cluster string, a *cloud.Activity) (text string, p *cloud.Pool) {
	name := lastOf(lower(a.Resource))
	text = fmt.Sprintf("node pool %s was written by %s on %s", name, a.Caller, when(a.At))
	c := w.clusters[cluster]
	if c == nil {
		return text, nil
	}
	for i := range c.Pools {
		p := &c.Pools[i]
		if !strings.EqualFold(p.Name, name) {
			continue
		}
		what := []string{p.Size, fmt.Sprintf("%d nodes", p.Count)}
		if s := w.sizes[lower(p.Size)]; s != nil && s.GPUs > 0 {
			what = append(what, fmt.Sprintf("%d GPUs each", s.GPUs))
		}
		if p.Spot {
			what = append(what, "spot")
		}
		return text + " (" + strings.Join(what, ", ") + ")", p
	}
	return text + " (it is gone since)", nil
}

// ratesOf learns a cluster's own prices from four weeks of its bill.
func (w *whys) ratesOf(id string) rates {
	if r, ok := w.rates[id]; ok {
		return r
	}
	if w.rates == nil {
		// Once for all clusters: one pass over the bill.
		w.learnRates()
	}
	return w.rates[id]
}

func (w *whys) learnRates() {
	type sums struct{ nodes, billedHours, bandwidth, gb, hours, cores float64 }
	l := w.l
	by := map[string]*sums{}
	end := l.complete()
	for c := range l.all() {
		if c.cluster == "" || c.day >= end || c.day < end-ingestionDays || !c.usage {
			continue
		}
		s := by[c.cluster]
		if s == nil {
			s = &sums{}
			by[c.cluster] = s
		}
		if c.nodes {
			s.nodes += c.spend.Float()
			if h, ok := c.nodeHours(); ok {
				s.billedHours += h
			}
		} else if lower(c.MeterCategory) == "bandwidth" {
			s.bandwidth += c.spend.Float()
			if gb, ok := c.gigabytes(); ok {
				s.gb += gb
			}
		}
	}
	w.rates = map[string]rates{}
	for id, s := range by {
		for _, u := range l.hours(id, (end-ingestionDays)*day, end*day) {
			if u.Namespace == "" {
				s.hours += u.Nodes
				s.cores += u.Cores
			}
		}
		var r rates
		if s.nodes > 0 && s.cores > 0 {
			r.core = s.nodes / s.cores
		}
		switch {
		case s.nodes > 0 && s.billedHours > 0:
			r.node = s.nodes / s.billedHours
		case s.nodes > 0 && s.hours > 0:
			r.node = s.nodes / s.hours
		}
		if s.bandwidth > 0 && s.gb > 0 {
			r.gb = s.bandwidth / s.gb
		}
		w.rates[id] = r
	}
}

// explain writes what an anomaly costs an hour and what may have caused it.
func (w *whys) explain(a *Anomaly) {
	l := w.l
	more := a.Got - a.Expected
	priced := func(rate float64, what string) {
		if rate == 0 {
			a.PerHour = l.none("the bill does not tell what %s costs there", what)
			return
		}
		a.PerHour = l.money(bounded(more * rate))
		a.PerHour.Source = "at the cluster's own rate of the last four weeks"
	}
	switch a.Series {
	case SeriesSpend:
		a.PerHour = l.money(bounded(more / 24))
		if why := w.meterThatRose(a); why != "" {
			a.Causes = append(a.Causes, why)
		}
	case SeriesCores:
		priced(w.ratesOf(a.Cluster).core, "a core-hour")
	case SeriesNodes:
		priced(w.ratesOf(a.Cluster).node, "a node")
	case SeriesEgress:
		priced(w.ratesOf(a.Cluster).gb, "a GB that is sent")
	}
	if a.Cluster == "" {
		return
	}
	for _, c := range w.changes(a.Cluster, a.From-around, a.To) {
		text, _ := w.pool(a.Cluster, c)
		a.Causes = append(a.Causes, text)
		a.Evidence = append(a.Evidence, c.ID)
	}
}

// meterThatRose compares the meters of an anomaly's days with those of the week before.
func (w *whys) meterThatRose(a *Anomaly) string {
	l := w.l
	sub := a.Key
	if a.Cluster != "" {
		sub = subscriptionOf(a.Cluster)
	}
	from, to := a.From/day, a.To/day
	before, in := map[string]float64{}, map[string]float64{}
	for c := range l.of(sub) {
		if c.cluster != a.Cluster || !c.usage {
			continue
		}
		switch {
		case c.day >= from-7 && c.day < from:
			before[meterOf(c.Charge)] += c.spend.Float() / 7
		case c.day >= from && c.day < to:
			in[meterOf(c.Charge)] += c.spend.Float() / float64(to-from)
		}
	}
	best, rise := "", 0.0
	for _, m := range sortedKeys(in) {
		if d := in[m] - before[m]; d > rise {
			best, rise = m, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("%s rose most: %.2f → %.2f %s a day", best, before[best], in[best], l.currency)
}

// mining joins, cluster by cluster, alerts of miners with what rose there and with pools
// that were changed, each within a day or two of the other.
func (w *whys) mining(all []Anomaly) []Anomaly {
	l := w.l
	by := map[string][]*Miner{}
	for i := range l.in.Miners {
		m := &l.in.Miners[i]
		id := l.idOf(m.Cluster)
		by[id] = append(by[id], m)
	}
	used := make([]bool, len(all))
	var out []Anomaly
	for _, id := range sortedKeys(by) {
		ms := by[id]
		sort.SliceStable(ms, func(a, b int) bool { return ms[a].First < ms[b].First })
		for i := 0; i < len(ms); {
			from, to, k := ms[i].First, lastOfMiner(ms[i]), i+1
			for ; k < len(ms) && ms[k].First <= to+day; k++ {
				to = max(to, lastOfMiner(ms[k]))
			}
			if a, ok := w.join(id, ms[i:k], from, to, all, used); ok {
				out = append(out, a)
			}
			i = k
		}
	}
	for i, a := range all {
		if !used[i] {
			out = append(out, a)
		}
	}
	return out
}

func lastOfMiner(m *Miner) int64 { return max(m.First, m.Last) }

// mostTelling orders series by how well they show mining.
var mostTelling = map[string]int{SeriesCores: 4, SeriesNodes: 3, SeriesSpend: 2, SeriesEgress: 1}

func (w *whys) join(id string, ms []*Miner, from, to int64, all []Anomaly, used []bool) (Anomaly, bool) {
	var joined []int
	for i := range all {
		if a := &all[i]; !used[i] && a.Cluster == id && a.From < to+day && a.To > from-day {
			joined = append(joined, i)
		}
	}
	changes := w.changes(id, from-around, to+around)
	if len(joined) == 0 && len(changes) == 0 {
		// The alert stands for itself: no rise was seen, no pool was changed.
		return Anomaly{}, false
	}
	sort.SliceStable(joined, func(x, y int) bool {
		a, b := &all[joined[x]], &all[joined[y]]
		if mostTelling[a.Series] != mostTelling[b.Series] {
			return mostTelling[a.Series] > mostTelling[b.Series]
		}
		return a.Got-a.Expected > b.Got-b.Expected
	})
	out := Anomaly{Series: SeriesSpend, Cluster: id, Key: id, From: from, To: max(to, from+1), Evidence: []string{},
		PerHour: w.l.none("no rise was measured and the price of the changed pools is not known")}
	if len(joined) > 0 {
		out = all[joined[0]]
		out.Causes = nil
		out.Evidence = []string{}
	}
	out.Mining = true
	out.ID = anomalyID("mining", id, ms[0].Alert)
	for _, m := range ms {
		text := "an alert says that something mines"
		if m.Workload != "" {
			text += " in " + m.Workload
		}
		if m.Namespace != "" {
			text += " (namespace " + m.Namespace + ")"
		}
		out.Causes = append(out.Causes, text+" since "+when(m.First))
		out.Evidence = append(out.Evidence, m.Alert)
	}
	for _, i := range joined {
		a := &all[i]
		used[i] = true
		out.From, out.To = min(out.From, a.From), max(out.To, a.To)
		out.Causes = append(out.Causes, fmt.Sprintf("%s of %s rose from %.1f to %.1f %s from %s", a.Series, lastOf(a.Key), a.Expected, a.Got, a.Unit, when(a.From)))
		if a.PerHour.NotAssessed == "" && (out.PerHour.NotAssessed != "" || a.PerHour.Amount > out.PerHour.Amount) {
			out.PerHour = a.PerHour
		}
	}
	var pools float64
	priced := ""
	for _, c := range changes {
		text, p := w.pool(id, c)
		out.Causes = append(out.Causes, text)
		out.Evidence = append(out.Evidence, c.ID)
		if p == nil || p.Count <= 0 || p.Power == "Stopped" || strings.EqualFold(p.Mode, "System") {
			// A cluster cannot be without its system pool: it is no miner's.
			continue
		}
		if rate, asOf := w.nodeHour(id, p); rate > 0 {
			pools += rate * float64(p.Count)
			priced = asOf
		}
	}
	// What rose is in part not billed yet; what the new pools can cost is known at once.
	if m := bounded(pools); pools > 0 && (out.PerHour.NotAssessed != "" || m > out.PerHour.Amount) {
		out.PerHour = Money{Amount: m, Currency: w.l.currency, AsOf: priced, Source: "what the changed node pools cost an hour"}
	}
	out.Score = math.Max(out.Score, thresholdZ)
	return out, true
}

// nodeHour is what a node of a pool costs an hour, by price, else at the cluster's rate.
func (w *whys) nodeHour(id string, p *cloud.Pool) (rate float64, asOf string) {
	c := w.clusters[id]
	if w.book == nil {
		w.book = bookOf(w.l.in, w.l.currency)
	}
	if price, why := w.book.price(PriceComputeHour, p.Size, c.Location, nil); why == "" {
		return price.Amount.Float(), price.AsOf
	}
	r := w.ratesOf(id)
	if s := w.sizes[lower(p.Size)]; s != nil && s.GPUs == 0 && r.core > 0 {
		return r.core * float64(s.VCPUs), w.l.last
	}
	return r.node, w.l.last
}
