package posture

import "slices"

// Scores add results up by framework: first one with an empty name over all controls,
// then those of Frameworks that a control of the results maps to. Counts are of results,
// so of a control at a resource. Manual controls are apart, and neither they nor what was
// not assessed count as passed.
func Scores(results []Result) []Score {
	byID := map[string]*Control{}
	for i := range controls() {
		byID[controls()[i].ID] = &controls()[i]
	}
	names := append([]string{""}, Frameworks()...)
	sums := make([]Score, len(names))
	for i := range results {
		r := &results[i]
		c := byID[r.Control]
		for j, f := range names {
			if c == nil && f != "" || c != nil && f != "" && c.Maps[f] == nil {
				continue
			}
			sums[j].add(r, c != nil && c.Manual)
		}
	}
	var out []Score
	for i := range sums {
		s := &sums[i]
		if s.Pass+s.Fail+s.NotAssessed+s.Exempt+s.Manual == 0 {
			continue
		}
		s.Framework = names[i]
		if n := s.Pass + s.Fail; n > 0 {
			s.Ratio = float64(s.Pass) / float64(n)
		}
		out = append(out, *s)
	}
	return out
}

func (s *Score) add(r *Result, manual bool) {
	switch {
	case manual:
		s.Manual++
	case r.Verdict == Pass:
		s.Pass++
	case r.Verdict == Fail:
		s.Fail++
	case r.Verdict == Exempt:
		s.Exempt++
	case r.Verdict == NotAssessed:
		s.NotAssessed++
	}
}

// ScoresBy adds results up by whatever key gives to each, such as its cluster or its
// owner. Results that key has no name for are left out.
func ScoresBy(results []Result, key func(*Result) string) map[string][]Score {
	groups := map[string][]Result{}
	for i := range results {
		if k := key(&results[i]); k != "" {
			groups[k] = append(groups[k], results[i])
		}
	}
	out := make(map[string][]Score, len(groups))
	for k, list := range groups {
		out[k] = Scores(list)
	}
	return out
}

// ByCluster is a key of ScoresBy.
func ByCluster(r *Result) string { return r.Cluster }

// Compare orders verdicts by how much they matter: fail first.
func Compare(a, b Verdict) int { return slices.Index(gravity, a) - slices.Index(gravity, b) }

var gravity = []Verdict{Fail, NotAssessed, Exempt, Pass, NotRelevant}
