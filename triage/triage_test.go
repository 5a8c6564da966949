package triage

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/dockreeve/dockreeve/finding"
	"pgregory.net/rapid"
)

func one(id string, at int64, s finding.Severity) *finding.Finding {
	return &finding.Finding{ID: id, Fingerprint: "1:a", Time: at, Severity: s}
}

func TestFirstFindingOpensAnAlert(t *testing.T) {
	a, out := Apply(nil, one("f", 10, finding.High), 20)
	if !out.Created || a.Status != finding.Open || a.Count != 1 || a.FirstSeen != 10 || a.LastSeen != 10 || a.StoredAt != 20 {
		t.Fatalf("%+v %+v", a, out)
	}
	if a.ID != finding.AlertID("1:a") {
		t.Fatalf("alert id %q does not come from the fingerprint", a.ID)
	}
}

func TestRecurrenceReopensResolvedOnly(t *testing.T) {
	for s := finding.Open; s <= finding.Dismissed; s++ {
		a, _ := Apply(nil, one("f", 10, finding.Low), 20)
		a.Status = s
		b, out := Apply(&a, one("g", 11, finding.Low), 21)
		if out.Reopened != (s == finding.Resolved) || b.Count != 2 || a.Count != 1 || out.From != s {
			t.Errorf("from %s: %+v, %s, count %d (before %d)", s, out, b.Status, b.Count, a.Count)
		}
	}
}

func TestOrderOfArrivalDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "n")
		fs := make([]*finding.Finding, n)
		for i := range fs {
			fs[i] = one(fmt.Sprint("f", i), rapid.Int64Range(1, 5).Draw(t, "time"),
				finding.Severity(rapid.IntRange(1, 5).Draw(t, "severity")))
		}
		fold := func(fs []*finding.Finding) finding.Alert {
			var prev *finding.Alert
			for _, f := range fs {
				a, _ := Apply(prev, f, 100)
				prev = &a
			}
			return *prev
		}
		if a, b := fold(fs), fold(rapid.Permutation(fs).Draw(t, "order")); !reflect.DeepEqual(a, b) {
			t.Fatalf("%+v\n%+v", a, b)
		}
	})
}

func TestAFindingCountsForTheMatchesItStandsFor(t *testing.T) {
	f := one("a", 10, finding.High)
	f.Repeats = 41
	a, _ := Apply(nil, f, 20)
	if a.Count != 42 {
		t.Errorf("count is %d, want 42", a.Count)
	}
	g := one("b", 11, finding.High)
	g.Repeats = ^uint64(0)
	if b, _ := Apply(&a, g, 21); b.Count <= a.Count {
		t.Errorf("a hostile weight made the count %d", b.Count)
	}
}
