package cost

import (
	"cmp"
	"slices"
)

// The kinds of an AllocationSeries.
const (
	SeriesTeam       = "team"
	SeriesRest       = "rest" // all teams that have no series of their own, together
	SeriesIdle       = "idle"
	SeriesShared     = "shared"
	SeriesUnassigned = "unassigned"
)

// maxSeries is how many teams have a series of their own: the largest of the window.
const maxSeries = 8

// overTime is what became of each day's money. Added up over everything it is what was
// billed that day.
type overTime struct {
	teams                    map[string]map[int64]Amount // by Allocation.Key in Report.Teams
	idle, shared, unassigned map[int64]Amount
}

// add puts in one cluster, whose allocations say who owns its namespaces.
func (o *overTime) add(p *parts, list []Allocation) {
	owner := map[string]string{}
	for i := range list {
		owner[list[i].Namespace] = list[i].Owner
	}
	for ns, days := range p.became {
		to := o.idle
		switch ns {
		case mixIdle:
		case mixPlatform:
			to = o.shared
		default:
			key := cmp.Or(owner[ns], Unowned)
			if to = o.teams[key]; to == nil {
				to = map[int64]Amount{}
				o.teams[key] = to
			}
		}
		for d, a := range days {
			to[d] += a
		}
	}
}

// write makes the series, teams in the order of r.Teams.
func (o *overTime) write(r *Report) {
	at := make(map[int64]int, len(r.Days))
	for i := range r.Days {
		at[dayOf(r.Days[i].Day)] = i
	}
	fill := func(s *AllocationSeries, days map[int64]Amount) {
		for d, a := range days {
			s.Days[at[d]] += a
		}
	}
	add := func(kind, key string, parts ...map[int64]Amount) {
		s := AllocationSeries{Kind: kind, Key: key, Days: make([]Amount, len(r.Days))}
		for _, p := range parts {
			fill(&s, p)
		}
		if slices.ContainsFunc(s.Days, func(a Amount) bool { return a != 0 }) {
			r.Allocated = append(r.Allocated, s)
		}
	}
	var rest []map[int64]Amount
	for i := range r.Teams {
		t := &r.Teams[i]
		if i < maxSeries {
			add(SeriesTeam, t.Key, o.teams[t.Key])
		} else {
			rest = append(rest, o.teams[t.Key])
		}
	}
	add(SeriesRest, "", rest...)
	add(SeriesIdle, "", o.idle)
	add(SeriesShared, "", o.shared)
	add(SeriesUnassigned, "", o.unassigned)
}
