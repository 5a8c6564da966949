// Package triage decides what a finding means for the alert it belongs to. It is
// pure: state and time come in as arguments, the new state goes out, so every
// decision replays from a file. It stores nothing and does not judge whether a
// finding is new: the caller applies a finding once, by its id.
package triage

import "github.com/dockreeve/dockreeve/finding"

// Outcome says what applying a finding did.
type Outcome struct {
	Created  bool           // the alert did not exist
	Reopened bool           // it was resolved and is open again
	From     finding.Status // the status before; zero when Created
	Latest   bool           // the finding became the alert's newest occurrence
}

// Apply folds one new finding into its alert. prev is nil for the first finding
// of a fingerprint; it is not written to. storedAt is when the finding is being
// stored, Unix nanoseconds. Findings may come in any order of time.
func Apply(prev *finding.Alert, f *finding.Finding, storedAt int64) (finding.Alert, Outcome) {
	if prev == nil {
		return finding.Alert{
			ID:          finding.AlertID(f.Fingerprint),
			Fingerprint: f.Fingerprint,
			Status:      finding.Open,
			Severity:    f.Severity,
			FirstSeen:   f.Time,
			LastSeen:    f.Time,
			Count:       weight(f),
			StoredAt:    storedAt,
			Latest:      *f,
		}, Outcome{Created: true, Latest: true}
	}
	a := *prev
	out := Outcome{From: a.Status}
	a.Count += weight(f)
	a.StoredAt = max(a.StoredAt, storedAt)
	a.Severity = max(a.Severity, f.Severity)
	a.FirstSeen = min(a.FirstSeen, f.Time)
	a.LastSeen = max(a.LastSeen, f.Time)
	if later(f, &a.Latest) {
		a.Latest = *f
		out.Latest = true
	}
	a.Status = a.Status.Recur()
	out.Reopened = a.Status != out.From
	return a, out
}

// later orders occurrences by time, then by id, so that the newest one is the
// same whatever order they arrived in.
func later(f, g *finding.Finding) bool {
	if f.Time != g.Time {
		return f.Time > g.Time
	}
	return f.ID > g.ID
}

// weight is how many matches a finding stands for. What a hostile sender could make
// of it is bounded, so that a count never overflows.
func weight(f *finding.Finding) int64 { return 1 + int64(min(f.Repeats, 1<<32)) }
