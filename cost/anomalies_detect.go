package cost

import (
	"math"
	"slices"
)

// signal is something measured every hour or day. A sample that is missing is NaN and is
// never taken for zero.
type signal struct {
	daily  bool
	first  int64     // hour or day, since 1970, of the first value
	values []float64 //
	floor  float64   // the smallest rise worth telling
	short  bool      // four days of history will do: something else says that there is a rise
}

// episode is a time in which a signal was higher than it should have been.
type episode struct {
	from, to int64   // hours or days, since 1970, end exclusive
	expected float64 // mean over the samples in it
	got      float64
	score    float64 // largest robust z
	slow     bool    // a rise over weeks, found by its cumulative sum
	stays    bool    // after two weeks it was taken for the new normal
}

const (
	weeksBack  = 8    // history that the season is learned from
	noiseWeeks = 5    // history that the noise is learned from
	thresholdZ = 5.0  // robust standard deviations
	leastRise  = 0.25 // of what was expected
	leastNoise = 0.04 // nothing is taken to be steadier than this share of itself
	settles    = 14   // days after which a change is the new normal
	minimum    = 14   // days of history without which nothing is said
	shortest   = 4    // where an alert says that something mines there

	cusumSlack = 1.0  // standard deviations a day that are let pass
	cusumLimit = 12.0 // sum at which a slow rise is told
	cusumClip  = 3.0  // of one day, so that a spike is no slow rise
	cusumLag   = 21   // days between a day and what it is compared with
	cusumRef   = 28   // days of that
)

func (s *signal) perDay() int {
	if s.daily {
		return 1
	}
	return 24
}

// least is the history, in samples, without which nothing is said.
func (s *signal) least() int {
	if s.short {
		return shortest * s.perDay()
	}
	return minimum * s.perDay()
}

// profile is what is usual on one day.
type profile struct {
	level  float64
	factor []float64 // by place in the week
	sigma  float64
}

// find gives the episodes that last until at least since, oldest first, and whether there
// was history enough to judge anything.
//
// What is expected of a sample is the level of the last seven days times what its place
// in the week (hour of the week, or weekday) usually is against its week's level: both
// medians, over up to eight weeks before that day. The noise is the median absolute
// deviation from that, but at least 4 % of what is expected, so that a signal that never
// moved does not raise an alarm over nothing. An episode begins where a sample is five
// such deviations, a quarter and the floor above; for hours two of three in a row must
// be. While it lasts, what is expected is frozen; it ends when samples are normal again,
// and then does not count as history; or after 14 days, and then is the new normal.
func (s *signal) find(since int64) ([]episode, bool) {
	n := s.perDay()
	per := 7 * n
	hist := slices.Clone(s.values)
	var out []episode
	var open *episode
	var p profile
	var sumE, sumG float64
	var count, calm, hot, lastHot int
	judged := false
	var shifts []int64 // where a new normal began, for slow rises
	start := max(s.least(), int(since-s.first)-(settles+7)*n)
	start -= start % n
	closeAt := func(stays bool) {
		open.expected, open.got = sumE/float64(count), sumG/float64(count)
		open.to = s.first + int64(lastHot) + 1
		open.stays = stays
		if stays {
			shifts = append(shifts, open.from)
		} else {
			for i := int(open.from - s.first); i <= lastHot; i++ {
				hist[i] = math.NaN()
			}
		}
		if open.to > since {
			out = append(out, *open)
		}
		open = nil
	}
	for i := start; i < len(s.values); i++ {
		switch {
		case p.factor == nil && (i-start)%n == 0, open == nil && (i-start)%per == 0, open == nil && s.daily:
			p = s.profile(hist, i, per)
		case open == nil && (i-start)%n == 0:
			// The season of hours is learned anew each week, the level each day.
			p.level = s.level(hist, i, per, p)
		}
		v := s.values[i]
		if p.factor == nil || math.IsNaN(v) {
			continue
		}
		judged = true
		e := p.level * p.factor[s.place(i)]
		sigma := max(p.sigma, leastNoise*math.Abs(e), s.floor/thresholdZ)
		least := max(thresholdZ*sigma, leastRise*math.Abs(e), s.floor)
		rise := v - e
		if open == nil {
			if rise < least {
				hot = max(0, hot-1)
				continue
			}
			hot += 2
			// A single hour is told only where it is enormous.
			if !s.daily && hot < 3 && rise < 4*least {
				continue
			}
			open = &episode{from: s.first + int64(i)}
			sumE, sumG, count, calm, hot = 0, 0, 0, 0, 0
		}
		if rise >= least/2 {
			calm, lastHot = 0, i
			sumE, sumG = sumE+e, sumG+v
			count++
			open.score = max(open.score, rise/sigma)
		} else {
			calm++
		}
		switch {
		case s.daily && calm >= 2, !s.daily && calm >= 6:
			closeAt(false)
			p = s.profile(hist, i+1-(i+1)%n, per)
		case s.first+int64(i)-open.from >= int64(settles*n):
			closeAt(true)
		}
	}
	if open != nil {
		closeAt(false)
	}
	for _, e := range s.slow(hist, shifts) {
		if e.to > since && !overlaps(out, e) {
			out = append(out, e)
		}
	}
	return out, judged
}

func overlaps(of []episode, e episode) bool {
	for _, o := range of {
		if o.from < e.to && e.from < o.to {
			return true
		}
	}
	return false
}

// place is where in its week a sample lies.
func (s *signal) place(i int) int {
	if s.daily {
		return weekday(s.first + int64(i))
	}
	return int((s.first + int64(i)) % 168)
}

// profile learns from the samples before one; without factors if they are too few.
//
// Levels and factors are learned from each other, twice: a week that misses some of its
// days has the level of a whole one. The noise is how far weeks lay from what the level
// of the week before had promised.
func (s *signal) profile(hist []float64, before, per int) profile {
	before = min(before, len(hist))
	var levels [weeksBack]float64
	var has [weeksBack]bool
	p := profile{factor: make([]float64, per)}
	for i := range p.factor {
		p.factor[i] = 1
	}
	scratch := make([]float64, 0, per)
	present := 0
	for pass := range 2 {
		for k := range weeksBack {
			lo, hi := before-per*(k+1), before-per*k
			if hi <= 0 {
				break
			}
			scratch = scratch[:0]
			for i := max(lo, 0); i < hi; i++ {
				if f := p.factor[s.place(i)]; !math.IsNaN(hist[i]) && f > 0.02 {
					scratch = append(scratch, hist[i]/f)
				}
			}
			if pass == 0 {
				present += len(scratch)
			}
			if len(scratch)*2 >= per {
				levels[k], has[k] = median(scratch), true
			}
		}
		if present*2 < s.least() {
			return profile{}
		}
		for slot := range per {
			// Sample before-per+slot and those whole weeks before it are in one place.
			f := 1.0
			scratch = scratch[:0]
			for k := range weeksBack {
				if i := before - per*(k+1) + slot; i >= 0 && has[k] && levels[k] > 0 && !math.IsNaN(hist[i]) {
					scratch = append(scratch, hist[i]/levels[k])
				}
			}
			if len(scratch) >= 3 {
				f = median(scratch)
			} else if !s.daily {
				f = s.hourOfDay(hist, before, slot, per, levels[:], has[:])
			}
			p.factor[s.place(before-per+slot)] = f
		}
	}
	known := false
	for k := range weeksBack {
		if has[k] {
			p.level, known = levels[k], true
			break
		}
	}
	if !known {
		return profile{}
	}
	scratch = scratch[:0]
	for k := 0; k+1 < weeksBack && k < noiseWeeks; k++ {
		if !has[k] || !has[k+1] {
			continue
		}
		for i := max(0, before-per*(k+1)); i < before-per*k; i++ {
			if !math.IsNaN(hist[i]) {
				scratch = append(scratch, math.Abs(hist[i]-levels[k+1]*p.factor[s.place(i)])*scale(p.level, levels[k+1]))
			}
		}
	}
	if len(scratch) < per/2 {
		for i := max(0, before-per); i < before; i++ {
			if !math.IsNaN(hist[i]) {
				scratch = append(scratch, 1.5*math.Abs(hist[i]-p.level*p.factor[s.place(i)]))
			}
		}
	}
	p.sigma = 1.4826 * median(scratch)
	return p
}

// level is that of the last week, as the profile's season sees it.
func (s *signal) level(hist []float64, before, per int, p profile) float64 {
	v := make([]float64, 0, per)
	for i := max(0, before-per); i < before; i++ {
		if f := p.factor[s.place(i)]; !math.IsNaN(hist[i]) && f > 0.02 {
			v = append(v, hist[i]/f)
		}
	}
	if len(v)*2 < per {
		return p.level
	}
	return median(v)
}

// hourOfDay is the factor of an hour where its place in the week was seen too seldom.
func (s *signal) hourOfDay(hist []float64, before, slot, per int, levels []float64, has []bool) float64 {
	var v []float64
	for i := before - per + slot%24; i >= 0 && i >= before-weeksBack*per; i -= 24 {
		k := (before - 1 - i) / per
		if has[k] && levels[k] > 0 && !math.IsNaN(hist[i]) {
			v = append(v, hist[i]/levels[k])
		}
	}
	for i := before - per + slot%24 + 24; i < before; i += 24 {
		if i >= 0 && has[0] && levels[0] > 0 && !math.IsNaN(hist[i]) {
			v = append(v, hist[i]/levels[0])
		}
	}
	if len(v) < 3 {
		return 1
	}
	return median(v)
}

func scale(now, then float64) float64 {
	if now <= 0 || then <= 0 {
		return 1
	}
	return min(4, max(0.25, now/then))
}

// slow looks for a rise too slow for a single day to show: each day's level against that
// of four weeks, three weeks before; what is above by more than one deviation adds up,
// each day by three at most, and twelve is told, where the last week is also two deviations and a quarter
// above. Days before a new normal, or before a rise that was told, are not compared with.
func (s *signal) slow(hist []float64, shifts []int64) []episode {
	n := s.perDay()
	days := len(hist) / n
	y := make([]float64, days)
	for d := range days {
		sum, k := 0.0, 0
		for _, v := range hist[d*n : (d+1)*n] {
			if !math.IsNaN(v) {
				sum += v
				k++
			}
		}
		y[d] = math.NaN()
		if k*2 >= n {
			y[d] = sum / float64(k)
		}
	}
	// Weekdays: the mean of seven days around has each of them once.
	week := make([]float64, days)
	for d := range days {
		sum, k := 0.0, 0
		for i := max(0, d-6); i <= d; i++ {
			if !math.IsNaN(y[i]) {
				sum += y[i]
				k++
			}
		}
		week[d] = math.NaN()
		if k >= 6 {
			week[d] = sum / float64(k)
		}
	}
	var found []episode
	from, last, start := 0, 0.0, 0
	for d := range days {
		for len(shifts) > 0 && shifts[0] <= s.first+int64(d*n) {
			from, last, shifts = d, 0, shifts[1:]
		}
		lo, hi := max(from, d-cusumLag-cusumRef), d-cusumLag
		if hi-lo < minimum || math.IsNaN(week[d]) {
			continue
		}
		ref := make([]float64, 0, cusumRef)
		for i := lo; i < hi; i++ {
			if !math.IsNaN(week[i]) {
				ref = append(ref, week[i])
			}
		}
		if len(ref) < minimum/2 {
			continue
		}
		m := median(slices.Clone(ref))
		for i := range ref {
			ref[i] = math.Abs(ref[i] - m)
		}
		sigma := max(1.4826*1.25*median(ref), 1.5*leastNoise*math.Abs(m), s.floor/thresholdZ)
		z := (week[d] - m) / sigma
		if last == 0 {
			start = d
		}
		last = max(0, last+min(cusumClip, z)-cusumSlack)
		if last > cusumLimit && z >= 2 && week[d]-m >= max(leastRise*math.Abs(m), s.floor) {
			found = append(found, episode{from: s.first + int64(start*n), to: s.first + int64((d+1)*n), expected: m, got: week[d], score: z, slow: true})
			from, last = d, 0
		}
	}
	return found
}
