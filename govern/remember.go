package govern

import (
	"cmp"
	"strings"
)

// remember fills the day that is kept for trends and drift: numbers, and of each cluster
// just what the next evaluation compares with.
func remember(in *Input, ev *Evaluation) {
	d := Day{At: in.Now, Values: map[string]float64{}, Clusters: map[string]DayRow{}, Findings: map[string]int64{}, Recommendations: map[string]int64{}}
	for name, r := range map[string]Ratio{"subscriptions": ev.Coverage.Subscriptions, "clusters": ev.Coverage.Clusters, "production": ev.Coverage.Production,
		"profile": ev.Coverage.Profile, "any": ev.Coverage.Any, "owned": ev.Coverage.Owned} {
		if _, ok := r.Share(); ok {
			d.Values["coverage."+name+".n"], d.Values["coverage."+name+".of"], d.Values["coverage."+name+".unknown"] = float64(r.N), float64(r.Of), float64(r.Unknown)
		}
	}
	for _, k := range ev.KPIs {
		if k.Value != nil {
			d.Values["kpi."+k.ID], d.Values["kpi."+k.ID+".of"] = *k.Value, k.Of
		}
	}
	for _, s := range ev.Scores[""] {
		if s.Pass+s.Fail > 0 {
			d.Values["score."+s.Framework] = s.Ratio
		}
	}
	for i := range ev.Clusters {
		r := &ev.Clusters[i]
		d.Clusters[r.ID] = DayRow{Protected: word(r.Protected), Profile: word(r.Profile), Plan: word(r.Plan), Agents: word(r.Agents), Owner: r.Ownership.Owner,
			Score: r.Score, Since: r.UncoveredSince, First: r.FirstSeen, Environment: r.Environment}
		if r.Unread != "" {
			kept, old := d.Clusters[r.ID], newestDay(in.History).Clusters[r.ID]
			kept.Unread = cmp.Or(old.Unread, in.Now)
			d.Clusters[r.ID] = kept
		}
	}
	keepUnread(in, &d)
	kept := newestDay(in.History).Subscriptions
	for i := range ev.Subscriptions {
		s := &ev.Subscriptions[i]
		held := DayHeld{Name: s.Name, Registries: s.Registries, Owner: s.Owner.Owner}
		if s.Relevant.NotAssessed != "" {
			if s.Registries == 0 { // never known to hold one
				continue
			}
			held.Unread = cmp.Or(kept[strings.ToLower(s.ID)].Unread, in.Now)
		} else if !s.Relevant.Value {
			continue
		}
		if d.Subscriptions == nil {
			d.Subscriptions = map[string]DayHeld{}
		}
		d.Subscriptions[strings.ToLower(s.ID)] = held
	}
	var before map[string]int64
	var recs map[string]int64
	if n := len(in.History); n > 0 {
		before, recs = in.History[n-1].Findings, in.History[n-1].Recommendations
	}
	for i := range ev.Findings {
		f := &ev.Findings[i]
		if at, ok := before[f.Key]; ok {
			f.At = at // since when it holds
		}
		d.Findings[f.Key] = f.At
	}
	unproven := ev.Unproven()
	for key, at := range before { // what nobody could look at has not ended
		if _, ok := d.Findings[key]; !ok && unproven(key) {
			d.Findings[key] = at
		}
	}
	for i := range ev.Recommendations {
		r := &ev.Recommendations[i]
		if r.Fixed > 0 {
			continue
		}
		key := r.ID + "@" + r.Owner
		at := r.FirstSeen
		if at == 0 {
			at = in.Now
		}
		if old, ok := recs[key]; ok && old < at {
			at = old
		}
		d.Recommendations[key] = at
	}
	ev.Day = d
}

// keepUnread keeps, where no tenant was read, what was known of it last: the day on which it
// is read again is compared with that, not with nothing.
func keepUnread(in *Input, d *Day) {
	if tenantRead(in.Tenant) {
		return
	}
	longest := int64(newIndex(in).config.Thresholds.KeepUnlisted)
	for id, old := range newestDay(in.History).Clusters {
		if !strings.HasPrefix(id, "/subscriptions/") {
			continue
		}
		old.Unread = cmp.Or(old.Unread, in.Now)
		seen, ok := d.Clusters[id]
		switch {
		case ok:
			old.Agents, old.Score = seen.Agents, seen.Score
		case in.Now-old.Unread > longest:
			continue
		}
		d.Clusters[id] = old
	}
	for id, old := range newestDay(in.History).Subscriptions {
		if old.Unread = cmp.Or(old.Unread, in.Now); in.Now-old.Unread <= longest {
			if d.Subscriptions == nil {
				d.Subscriptions = map[string]DayHeld{}
			}
			d.Subscriptions[id] = old
		}
	}
}
