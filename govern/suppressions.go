package govern

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// dismissedBy counts alerts of 30 days that stand dismissed at Defender and that a rule of
// suppression covers.
func dismissedBy(in *Input, s *cloud.Suppression) (n int64) {
	for i := range in.Tenant.DefenderAlerts {
		a := &in.Tenant.DefenderAlerts[i]
		if covers, _ := s.Covers(a); covers && dismissedLately(in, a) {
			n++
		}
	}
	return n
}

func dismissedLately(in *Input, a *cloud.DefenderAlert) bool {
	return strings.EqualFold(a.Status, "Dismissed") && in.Now-cmp.Or(a.Start, a.Generated) <= 30*dayLength
}

// defenderQuiet says what Defender's suppression rules dismissed, of how many, and where that
// cannot be judged. They are in every count of Defender's alerts all the same.
func defenderQuiet(in *Input) string {
	all, by, fields := 0, 0, map[string]bool{}
	unknown := 0
	for i := range in.Tenant.DefenderAlerts {
		a := &in.Tenant.DefenderAlerts[i]
		if !dismissedLately(in, a) {
			continue
		}
		all++
		covered, why := false, ""
		for j := range in.Tenant.Suppressions {
			yes, part := in.Tenant.Suppressions[j].Covers(a)
			covered, why = covered || yes, cmp.Or(why, part)
		}
		switch {
		case covered:
			by++
		case why != "":
			unknown++
			fields[why] = true
		}
	}
	if all == 0 {
		return ""
	}
	out := fmt.Sprintf("%d of %d alerts that stand dismissed at Defender in 30 days are covered by a suppression rule there", by, all)
	if unknown > 0 {
		out += fmt.Sprintf("; of %d it is not assessed, as their scope asks for %s", unknown, strings.Join(sortedKeys(fields), ", "))
	}
	return out
}
