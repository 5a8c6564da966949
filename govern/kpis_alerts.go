package govern

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/finding"
)

// A week is compared with those before it; when it is a rise, thresholds.json says.
const (
	trendWeeks = 8
	maxRises   = 20 // findings
)

// week names the ISO week of a time, in UTC: 2026-W48.
func week(t int64) string {
	y, w := time.Unix(0, t).UTC().ISOWeek()
	return fmt.Sprintf("%d-W%02d", y, w)
}

// weeks are the last n ISO weeks, oldest first, the current one last.
func weeks(now int64, n int) (names []string, starts []int64) {
	d := time.Unix(0, now).UTC().Truncate(24 * time.Hour)
	monday := d.AddDate(0, 0, -(int(d.Weekday())+6)%7)
	for i := n - 1; i >= 0; i-- {
		s := monday.AddDate(0, 0, -7*i)
		names, starts = append(names, week(s.UnixNano())), append(starts, s.UnixNano())
	}
	return names, starts
}

// high says whether an alert counts as one of high severity.
func (a *AlertFact) high() bool { return a.Severity >= finding.High }

// alertWeek is one week of high alerts.
type alertWeek struct {
	name     string
	start    int64
	alerts   []*AlertFact
	nodeDays float64
	known    bool // alerts were kept the whole week, and nodes were watched
}

// alertWeeks splits the high alerts of our own sensors by the week in which they began.
// Alerts of Defender have no node-days here and are counted apart.
func alertWeeks(in *Input) (out []alertWeek, theirs map[string]int) {
	names, starts := weeks(in.Now, trendWeeks+1)
	at := map[string]int{}
	for i, n := range names {
		at[n] = i
		d := in.Alerts.NodeDays[n]
		out = append(out, alertWeek{name: n, start: starts[i], nodeDays: d, known: d > 0 && in.Alerts.Since <= starts[i]})
	}
	theirs = map[string]int{}
	for i := range in.Alerts.Alerts {
		a := &in.Alerts.Alerts[i]
		w, ok := at[week(a.First)]
		if !a.high() || !ok || a.First > in.Now {
			continue
		}
		if a.Source == "defender" {
			theirs[names[w]]++
			continue
		}
		out[w].alerts = append(out[w].alerts, a)
	}
	return out, theirs
}

func (w *alertWeek) rate() float64 { return float64(len(w.alerts)) / w.nodeDays }

// highAlerts is the KPI of high-severity runtime alerts.
func highAlerts(in *Input) KPI {
	k := KPI{ID: "high-alerts", Title: "High-severity runtime alerts per node-day", Unit: "alerts per node-day", Better: "down",
		Rule: "alerts of high or critical severity that began in the last whole week (ISO, UTC) ÷ the days that nodes were watched in it; the trend is of the eight weeks before this one, weeks without watched nodes are left out of it"}
	if in.Alerts == nil {
		k.NotAssessed = "no alerts are kept"
		return k
	}
	ws, theirs := alertWeeks(in)
	k.Trend = []Point{}
	for i := range ws {
		w := &ws[i]
		v := map[string]float64{"alerts": float64(len(w.alerts)), "nodeDays": w.nodeDays}
		if n := theirs[w.name]; n > 0 {
			v["defender"] = float64(n)
		}
		if w.nodeDays > 0 {
			v["rate"] = w.rate()
		}
		k.By = append(k.By, Slice{Name: w.name, Values: v})
		if w.known && i < trendWeeks {
			k.Trend = append(k.Trend, Point{At: w.start, Value: w.rate(), Of: w.nodeDays})
		}
	}
	whole, now := &ws[trendWeeks-1], &ws[trendWeeks]
	k.N, k.Of = float64(len(whole.alerts)), whole.nodeDays
	switch {
	case whole.nodeDays <= 0:
		k.NotAssessed = "no node was watched in " + whole.name
	case !whole.known:
		k.NotAssessed = "alerts are kept since " + date(in.Alerts.Since) + ", which is not the whole of " + whole.name
	}
	k.set(k.N, k.Of)
	k.Note = fmt.Sprintf("this week so far: %d in %.1f node-days", len(now.alerts), now.nodeDays)
	if in.Alerts.Dropped > 0 {
		k.Note = join(k.Note, fmt.Sprintf("%d alerts beyond the bound of what is read are missing", in.Alerts.Dropped))
	}
	return k
}

func date(t int64) string { return time.Unix(0, t).UTC().Format(time.DateOnly) }

// rises are findings for weeks with unusually many high alerts: this week, or the one
// before it, with those right before that rose as well. Each names the rules, the workloads,
// what changed, and what it looks like. Where the whole is as usual, each cluster and each
// rule is looked at alone, with more doubt, for many looks find more by chance.
func rises(in *Input, ev *Evaluation) []Finding {
	if in.Alerts == nil {
		return nil
	}
	ws, _ := alertWeeks(in)
	t := in.thresholds()
	if out := risesOf(in, ev, ws, t.RiseDoubt); len(out) > 0 {
		return out
	}
	var out []Finding
	told := map[string]bool{}
	for _, of := range []func(*AlertFact) string{func(a *AlertFact) string { return a.Cluster }, func(a *AlertFact) string { return a.Rule }} {
		parts := map[string][]alertWeek{}
		for i := range ws {
			for _, a := range ws[i].alerts {
				part := parts[of(a)]
				if part == nil {
					part = slices.Clone(ws)
					for j := range part {
						part[j].alerts = nil
					}
					parts[of(a)] = part
				}
				part[i].alerts = append(part[i].alerts, a)
			}
		}
		for _, name := range sortedKeys(parts) {
			for _, f := range risesOf(in, ev, parts[name], t.RiseDoubtAlone) {
				if !told[f.Subject.ID] && len(out) < maxRises {
					told[f.Subject.ID] = true
					out = append(out, f)
				}
			}
		}
	}
	return out
}

// risesOf looks at one series of weeks; doubt is how many robust standard deviations are
// no chance.
func risesOf(in *Input, ev *Evaluation, ws []alertWeek, doubt float64) []Finding {
	t := in.thresholds()
	for i := trendWeeks; i >= trendWeeks-1; i-- {
		middle, risen := rose(&t, ws, i, doubt)
		if !risen {
			continue
		}
		w := ws[i]
		for from := i - 1; from > 0; from-- { // a rise that goes on is one, and is explained from its beginning
			m, risen := rose(&t, ws, from, doubt)
			if !risen {
				break
			}
			middle = m
			w = alertWeek{name: ws[from].name, start: ws[from].start, alerts: slices.Concat(ws[from].alerts, w.alerts), nodeDays: ws[from].nodeDays + w.nodeDays, known: true}
		}
		var out []Finding
		for _, g := range alike(w.alerts) {
			if len(out) < maxRises && (len(g) >= t.RiseLeast || 4*len(g) >= len(w.alerts) && len(g) >= 2) {
				out = append(out, explain(in, ev, &w, g, middle))
			}
		}
		if len(out) == 0 { // many small things at once
			out = append(out, explain(in, ev, &w, w.alerts, middle))
		}
		return out
	}
	return nil
}

// rose compares a week with the median of those before it.
func rose(t *Thresholds, ws []alertWeek, i int, doubt float64) (middle float64, risen bool) {
	w := &ws[i]
	var before []float64
	for j := range ws[:i] {
		if ws[j].known {
			before = append(before, ws[j].rate())
		}
	}
	if w.nodeDays <= 0 || len(before) < t.RiseWeeks || len(w.alerts) < t.RiseLeast {
		return 0, false
	}
	middle = quantile(before, 0.5)
	var off []float64
	for _, b := range before {
		off = append(off, max(b-middle, middle-b))
	}
	// A quiet series has no spread of its own: what chance alone does (the root of the count) is the least.
	spread := max(1.4826*quantile(off, 0.5), math.Sqrt(max(1, middle*w.nodeDays))/w.nodeDays)
	return middle, w.rate() > t.RiseFactor*middle && w.rate() > middle+doubt*spread
}

// alike puts alerts together that share a workload, or a rule and an image: what one cause
// would have raised. Largest first.
func alike(list []*AlertFact) [][]*AlertFact {
	root := make([]int, len(list))
	var find func(int) int
	find = func(i int) int {
		if root[i] != i {
			root[i] = find(root[i])
		}
		return root[i]
	}
	key := map[string]int{}
	for i, a := range list {
		root[i] = i
		for _, k := range []string{"w|" + a.Cluster + "|" + a.Workload, "d|" + a.Rule + "|" + a.Digest} {
			if strings.HasSuffix(k, "|") {
				continue
			}
			if j, ok := key[k]; ok {
				root[find(i)] = find(j)
			} else {
				key[k] = i
			}
		}
	}
	groups := map[int][]*AlertFact{}
	for i, a := range list {
		groups[find(i)] = append(groups[find(i)], a)
	}
	var out [][]*AlertFact
	for _, g := range groups {
		slices.SortFunc(g, func(a, b *AlertFact) int { return cmp.Or(cmp.Compare(a.First, b.First), strings.Compare(a.ID, b.ID)) })
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b []*AlertFact) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a[0].ID, b[0].ID))
	})
	return out
}
