package cost

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// habit is how much a day of something costs, as its past days say. Amounts are in
// currency units.
type habit struct {
	level  float64 // an average day now
	factor [7]float64
	spread float64 // robust standard deviation of a day around that
	days   int     // that it was learned from
	weekly bool    // weekdays count
	why    string  // why it says nothing
}

const (
	habitDays = 56 // days looked back at
	habitMin  = 5  // days without which nothing is said
	recent    = 14 // days that make the level
)

// learn looks at the days before a day. days holds what was spent on each; known the days
// on which there is a bill at all, so that a day that cost nothing and a day that is
// missing are not taken for each other.
//
// The level is the median of the last 14 days, each divided by what its weekday usually
// is against the others: one outlier, a refund or a purchase does not move it. Weekdays
// count once each was seen three times.
func learn(days map[int64]Amount, known dayset, before int64) habit {
	h := habit{}
	for i := range h.factor {
		h.factor[i] = 1
	}
	var vals []float64
	var at []int64
	first := int64(math.MaxInt64)
	for d := range days {
		first = min(first, d)
	}
	for d := max(before-habitDays, first); d < before; d++ {
		if known[d] {
			vals = append(vals, days[d].Float())
			at = append(at, d)
		}
	}
	h.days = len(vals)
	if len(vals) < habitMin {
		h.why = fmt.Sprintf("there are %d days of it in the bill; %d are needed", len(vals), habitMin)
		return h
	}
	all := median(slices.Clone(vals))
	if all > 0 {
		var by [7][]float64
		for i, d := range at {
			by[weekday(d)] = append(by[weekday(d)], vals[i])
		}
		full := true
		for _, b := range by {
			full = full && len(b) >= 3
		}
		h.weekly = full
		for w := range by {
			if full {
				// A weekday that usually costs nothing would divide by it.
				h.factor[w] = max(0.05, median(by[w])/all)
			}
		}
	}
	lately := make([]float64, 0, recent)
	for i := max(0, len(vals)-recent); i < len(vals); i++ {
		lately = append(lately, vals[i]/h.factor[weekday(at[i])])
	}
	h.level = median(slices.Clone(lately))
	for i := range lately {
		lately[i] = math.Abs(lately[i] - h.level)
	}
	h.spread = 1.4826 * median(lately)
	return h
}

// of is what a day is expected to cost.
func (h *habit) of(d int64) float64 { return h.level * h.factor[weekday(d)] }

// outlook is what a period will have cost at its end.
type outlook struct {
	spent     Amount // so far, of all kinds of charges
	end       Amount
	low, high Amount // eight of ten such periods should end between them
	breach    int64  // day on which a limit breaks; 0 = none
	why       string
}

// foresee tells the end of a period [from, to) in days. Days before today that have a
// bill count as billed; days that have none yet, and those to come, as the habit says.
// Purchases, taxes and refunds count where they are and are not expected again.
func foresee(all, usage map[int64]Amount, known dayset, from, to, today int64, limit Amount) outlook {
	var o outlook
	for d := from; d < to; d++ {
		o.spent += all[d]
	}
	h := learn(usage, known, today)
	run, factors, guessed := 0.0, 0.0, 0
	var by [7]float64
	for d := from; d < to; d++ {
		run += all[d].Float()
		if (d >= today || !known[d]) && h.why == "" {
			more := h.of(d)
			if d <= today {
				// Part of it may be in the bill already.
				more = max(0, more-max(0, usage[d].Float()))
			}
			run += more
			factors += h.factor[weekday(d)]
			by[weekday(d)]++
			guessed++
		}
		if limit > 0 && o.breach == 0 && run > limit.Float() {
			o.breach = d
		}
	}
	if h.why != "" && to > today {
		o.why, o.end, o.low, o.high = h.why, o.spent, o.spent, o.spent
		return o
	}
	o.end = bounded(run)
	// A day's own noise averages out over days; that of the level and of the weekdays,
	// learned from few, does not. A median's variance is 1.57 times that of a mean.
	last := float64(min(h.days, recent))
	noise := float64(guessed) + 1.57*factors*factors/last
	if h.weekly {
		for _, n := range by {
			noise += 1.57 * n * n * 7 / float64(h.days)
		}
	}
	wide := 1.2816 * h.spread * last / (last - 0.8) * math.Sqrt(noise)
	o.low, o.high = bounded(run-wide), bounded(run+wide)
	return o
}

func bounded(f float64) Amount {
	return FromFloat(max(-mostOfRow.Float(), min(mostOfRow.Float(), f)))
}

func weekday(d int64) int { return int((d + 4) % 7) } // 1970-01-01 was a Thursday

// median sorts what it is given; 0 of nothing.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	if m := len(v) / 2; len(v)%2 == 1 {
		return v[m]
	} else {
		return (v[m-1] + v[m]) / 2
	}
}

// months writes each cluster's month to date and forecast.
func (l *ledger) months(r *Report) {
	type series struct{ all, usage map[int64]Amount }
	by := map[string]*series{}
	for c := range l.all() {
		if c.cluster == "" || c.start >= l.to {
			continue
		}
		s := by[c.cluster]
		if s == nil {
			s = &series{map[int64]Amount{}, map[int64]Amount{}}
			by[c.cluster] = s
		}
		s.all[c.day] += c.Billed
		if c.usage {
			s.usage[c.day] += c.Billed
		}
	}
	if t := l.in.Tenant; t != nil {
		for i := range t.Clusters {
			id := lower(t.Clusters[i].ID)
			if _, ok := r.Clusters[id]; !ok {
				r.Clusters[id] = ClusterCost{}
			}
		}
	}
	from := l.month / day
	to := time.Unix(0, l.month).UTC().AddDate(0, 1, 0).UnixNano() / day
	today := l.to / day
	for id, c := range r.Clusters {
		c.Budget = l.none("no budget applies to this cluster alone")
		for i := range c.Days {
			d := &c.Days[i]
			d.NotBilled = d.Billed == 0 && !l.known[subscriptionOf(id)][dayOf(d.Day)]
		}
		s := by[id]
		if s == nil {
			why := "the bill has no row of this cluster"
			if len(l.rows) == 0 {
				why = "there is no bill"
			}
			c.MonthToDate, c.Forecast = l.none("%s", why), l.none("%s", why)
			if c.Idle.Currency == "" {
				c.Idle = l.none("%s", why)
			}
			r.Clusters[id] = c
			continue
		}
		if c.Idle.Currency == "" {
			c.Idle = l.none("the bill has no row of this cluster in the window")
		}
		o := foresee(s.all, s.usage, l.known[subscriptionOf(id)], from, to, today, 0)
		c.MonthToDate = l.money(o.spent)
		if l.month < l.firstDay(id)*day {
			c.Gaps = append(c.Gaps, Gap{What: "month to date", Reason: "the bill begins on " + dayName(l.firstDay(id)) + ", after the month did"})
		}
		c.Forecast = l.foretold(o.end)
		c.ForecastLow, c.ForecastHigh = l.foretold(o.low), l.foretold(o.high)
		if o.why != "" {
			c.Forecast = l.none("%s", o.why)
			c.ForecastLow, c.ForecastHigh = c.Forecast, c.Forecast
		}
		r.Clusters[id] = c
	}
}

func (l *ledger) foretold(a Amount) Money {
	m := l.money(a)
	m.Source = "our forecast: the bill so far and usual days of the week"
	return m
}

// firstDay is the first day on which the subscription of a cluster has a bill.
func (l *ledger) firstDay(cluster string) int64 {
	first := int64(math.MaxInt64 / day)
	for d := range l.known[subscriptionOf(cluster)] {
		first = min(first, d)
	}
	return first
}
