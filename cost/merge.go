package cost

import "strings"

const nanosPerDay = int64(24 * 3600e9)

// Merge joins two readings of one bill. Where better has rows of a subscription and a day
// (UTC), those of other for that day are left out: an export and the Cost Management
// query tell the same money twice. It returns how many were left out; neither input is
// changed.
func Merge(better, other []Charge) (all []Charge, left int) {
	if len(better) == 0 || len(other) == 0 {
		return append(append([]Charge(nil), better...), other...), 0
	}
	type where struct {
		sub string
		day int64
	}
	at := func(c *Charge) where { return where{strings.ToLower(c.SubAccount), floorDay(c.Start)} }
	have := map[where]bool{}
	for i := range better {
		c := &better[i]
		for d := floorDay(c.Start); d < max(c.End, c.Start+1) && d < floorDay(c.Start)+32*nanosPerDay; d += nanosPerDay {
			have[where{strings.ToLower(c.SubAccount), d}] = true
		}
	}
	all = append(make([]Charge, 0, len(better)+len(other)), better...)
	for i := range other {
		if have[at(&other[i])] {
			left++
			continue
		}
		all = append(all, other[i])
	}
	return all, left
}

func floorDay(ns int64) int64 {
	d := ns % nanosPerDay
	if d < 0 {
		d += nanosPerDay
	}
	return ns - d
}
