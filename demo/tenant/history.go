package tenant

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/posture"
	"github.com/dockreeve/dockreeve/source/azure"
)

// History are the days before today, oldest first: coverage that grows, with setbacks. It
// evaluates the world without its bill to know what today's day is, so that between
// yesterday and today only the stories lie; who has an evaluation already asks HistoryFrom.
// It panics where the world's own documents cannot be read, which is a mistake in here.
func (w *World) History() []govern.Day {
	b := azure.NewBuilder()
	if err := w.each(func(what string) bool {
		return what != cloud.ReadCosts && what != cloud.ReadAmortized && what != cloud.ReadPrices && what != cloud.ReadOthers
	}, b.Add); err != nil {
		panic("demo/tenant: " + err.Error())
	}
	t := b.Snapshot().Tenant
	now := w.now.UnixNano()
	ev := govern.Evaluate(&govern.Input{Now: now, Tenant: t, Observed: w.Observed(), Images: w.Images(), Alerts: w.Alerts(), Gates: w.Gates(), Reviews: w.Reviews(),
		Posture: posture.Evaluate(&posture.Input{Now: now, Tenant: t, Clusters: w.Clusters()}), Controls: posture.Controls()})
	return w.HistoryFrom(ev.Day)
}

// HistoryFrom are the days before the given one, as they led to it.
func (w *World) HistoryFrom(today govern.Day) []govern.Day {
	out := make([]govern.Day, 0, w.opts.Days)
	for n := w.opts.Days; n >= 1; n-- {
		out = append(out, w.pastDay(today, n))
	}
	return out
}

// pastDay is the day n days before: some clusters were not there yet, some not protected.
func (w *World) pastDay(today govern.Day, n int) govern.Day {
	at := w.day(n).Add(3 * time.Hour)
	d := govern.Day{At: at.UnixNano(), Values: maps.Clone(today.Values), Clusters: make(map[string]govern.DayRow, len(today.Clusters)), Findings: map[string]int64{}, Recommendations: map[string]int64{}}
	if d.Values == nil {
		d.Values = map[string]float64{}
	}
	gone, profile, protected := 0.0, 0.0, 0.0 // less than today
	for _, id := range slices.Sorted(maps.Keys(today.Clusters)) {
		row := today.Clusters[id]
		c := w.byID[id]
		if c == nil {
			d.Clusters[id] = row
			continue
		}
		if c.Created.After(at) {
			gone++
			profile += count(row.Profile == "yes")
			protected += count(row.Protected == "yes")
			continue
		}
		row.First = c.Created.UnixNano()
		// A quarter of the protected got their protection within two months.
		if gained := w.ago(time.Duration(c.Flags>>13%(240*24)) * time.Hour); gained.After(at) && c.Story == "" && gained.Before(w.day(0)) {
			profile += count(row.Profile == "yes")
			protected += count(row.Protected == "yes")
			if row.Profile == "yes" {
				row.Profile = "no"
			}
			if row.Protected == "yes" {
				row.Protected, row.Since = "no", c.Created.UnixNano()
			}
		}
		if c.Story == "lost-profile" {
			profile -= count(row.Profile != "yes")
			protected -= count(row.Protected != "yes")
			row.Profile, row.Protected, row.Since = "yes", "yes", 0
		}
		if row.Protected == "no" && row.Since == 0 || row.Since > d.At {
			row.Since = c.Created.UnixNano()
		}
		if row.Score != nil {
			s := max(0, *row.Score-0.0011*float64(n))
			row.Score = &s
		}
		d.Clusters[id] = row
	}
	r := w.rng("history", n)
	less := map[string]float64{"profile": profile, "any": protected, "clusters": protected}
	for key, v := range today.Values {
		name, part, _ := strings.Cut(strings.TrimPrefix(key, "coverage."), ".")
		switch {
		case strings.HasPrefix(key, "coverage.") && part == "n":
			d.Values[key] = max(0, v-less[name]-count(less[name] == 0)*min(v, gone/2))
		case strings.HasPrefix(key, "coverage.") && part == "of" && name != "subscriptions":
			d.Values[key] = max(d.Values["coverage."+name+".n"], v-gone)
		case strings.HasPrefix(key, "score."):
			d.Values[key] = min(1, max(0, v-0.0011*float64(n)+0.003*(r.Float64()-0.5)))
		case key == "kpi.mttr-critical":
			d.Values[key] = v + 0.08*float64(n) + r.Float64()
		}
	}
	for kpi, of := range map[string]string{"kpi.defender-profile": "coverage.profile", "kpi.protected-any": "coverage.any", "kpi.owned": "coverage.owned"} {
		if whole := d.Values[of+".of"]; whole > 0 && today.Values[kpi+".of"] > 0 {
			d.Values[kpi], d.Values[kpi+".of"] = 100*d.Values[of+".n"]/whole, whole
		}
	}
	since := func(kind, key string, most int) int64 {
		return w.ago(time.Duration(26+w.rng(kind+"|"+key, 0).IntN(most*24)) * time.Hour).UnixNano()
	}
	for _, key := range slices.Sorted(maps.Keys(today.Findings)) {
		if first := since("finding", key, 40); first <= d.At && !w.fresh(key) {
			d.Findings[key] = first
		}
	}
	for _, key := range slices.Sorted(maps.Keys(today.Recommendations)) {
		if first := since("recommendation", key, 100); first <= d.At {
			d.Recommendations[key] = first
		}
	}
	return d
}

// fresh says whether a finding is of a story that began since yesterday.
func (w *World) fresh(key string) bool {
	c := w.storyOf("lost-profile")
	return c != nil && (strings.Contains(key, c.id()) || strings.Contains(key, c.Name))
}

func count(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
