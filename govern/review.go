package govern

import (
	"strings"
	"time"
)

// The subjects of a review.
const (
	ReviewRecommendations = "recommendations"
	ReviewExemptions      = "exemptions"
	ReviewSuppressions    = "suppressions"
	ReviewAccess          = "access"
	ReviewRules           = "rules"
)

// Due is when the next review is due: as the record says, else one interval after it,
// and never later than that.
func (r Review) Due(every time.Duration) int64 {
	due := r.At + int64(every)
	if r.NextDue > 0 && r.NextDue < due {
		return r.NextDue
	}
	return due
}

// Overdue says whether the next review should have been made.
func (r Review) Overdue(now int64, every time.Duration) bool { return now > r.Due(every) }

// Covers says whether the review looked at something of this owner or scope: a review of
// everything does, one of an ARM id does for all below it.
func (r Review) Covers(scope string) bool {
	if r.Scope == "" || strings.EqualFold(r.Scope, scope) {
		return true
	}
	return strings.HasPrefix(strings.ToLower(scope), strings.TrimSuffix(strings.ToLower(r.Scope), "/")+"/")
}

// LastReview is the newest review of a subject that covers a scope, made before now: a
// record from the future proves nothing.
func LastReview(reviews []Review, subject, scope string, now int64) (Review, bool) {
	var last Review
	for _, r := range reviews {
		if r.Subject == subject && r.By != "" && r.At > last.At && r.At <= now && r.Covers(scope) {
			last = r
		}
	}
	return last, last.At > 0
}
