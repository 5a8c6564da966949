package governance

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/report"
	"github.com/dockreeve/dockreeve/store"
)

// What is read in part for a document makes the same document as all of it.
func TestDocumentsOfAPartAreThoseOfTheWhole(t *testing.T) {
	f := open(t, Options{})
	for _, err := range f.StoredClusters(t.Context()) {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("clusters before anything was evaluated: %v", err)
		}
	}
	ev := &govern.Evaluation{At: f.now(), Playbook: []govern.Check{{ID: "owner-tags", Title: "Owners", State: govern.CheckOpen, Ratio: govern.Ratio{N: 1, Of: 3}}}}
	for i := range 2*report.Top + 7 {
		r := govern.Recommendation{ID: fmt.Sprintf("rule-%02d", i), Title: fmt.Sprintf("do %d", i), Severity: "high", Owner: "team", Rank: float64(i * 37 % 41), Count: i}
		if i%5 == 0 {
			r.Fixed = f.now() - hour
		}
		ev.Recommendations = append(ev.Recommendations, r)
		ev.Findings = append(ev.Findings, govern.Finding{Key: fmt.Sprintf("key-%02d", i*29%47), Rule: "r", Severity: finding.Informational + finding.Severity(i%4), Summary: fmt.Sprintf("found %d", i), At: f.now()})
	}
	for i := range store.MaxPage + 20 {
		ev.Clusters = append(ev.Clusters, govern.ClusterRow{ID: fmt.Sprintf("/c/%03d", i), Name: fmt.Sprintf("c%03d", i), Risk: float64(i % 90), RiskMoney: float64(i)})
	}
	eur := func(a cost.Amount) cost.Money {
		return cost.Money{Amount: a * cost.Unit, Currency: "EUR", AsOf: "2026-11-19"}
	}
	costs := &cost.Report{From: f.now() - 2*day, To: f.now(), Billed: eur(10), Idle: eur(2), Shared: eur(1), Unassigned: eur(3), Others: []cost.Money{{Amount: 5, Currency: "USD"}},
		Namespaces: []cost.Allocation{{Key: "k", Cluster: "/c/001", Namespace: "shop", Owner: "team", CoreHours: 3, Cost: eur(4)}}, Teams: []cost.Allocation{{Key: "team", Cost: eur(4)}}}
	if _, err := f.db.SetGovernance(t.Context(), &store.Governance{Evaluation: ev, Costs: costs}); err != nil {
		t.Fatal(err)
	}

	whole, err := f.Stored(t.Context(), store.GovCluster, store.GovRecommendation, store.GovFinding)
	if err != nil {
		t.Fatal(err)
	}
	part, rest, err := f.StoredFirst(t.Context(), report.Top)
	if err != nil {
		t.Fatal(err)
	}
	if len(part.Recommendations) != report.Top || len(part.Findings) != report.Top || len(whole.Findings) != len(ev.Findings) {
		t.Errorf("%d recommendations and %d findings were read", len(part.Recommendations), len(part.Findings))
	}
	for _, format := range []string{"html", "pdf", "csv", "md"} {
		var want, got bytes.Buffer
		if err := errors.Join(report.Playbook(&want, format, whole, report.Options{}), report.Playbook(&got, format, part, report.Options{Rest: rest})); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want.Bytes(), got.Bytes()) {
			t.Errorf("%s differs:\n%s\nwant\n%s", format, got.Bytes(), want.Bytes())
		}
	}

	var want, got bytes.Buffer
	if err := errors.Join(report.Clusters(&want, whole), report.ClusterRows(&got, f.StoredClusters(t.Context()))); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want.Bytes(), got.Bytes()) || bytes.Count(got.Bytes(), []byte("\n")) != 1+len(ev.Clusters) {
		t.Errorf("clusters differ: %d bytes, want %d", got.Len(), want.Len())
	}

	all, err := f.StoredCosts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	some, err := f.StoredShowback(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want.Reset()
	got.Reset()
	if err := errors.Join(cost.WriteShowback(&want, all, cost.ShowbackCSV), cost.WriteShowback(&got, some, cost.ShowbackCSV)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want.Bytes(), got.Bytes()) || !bytes.Contains(got.Bytes(), []byte("shop")) {
		t.Errorf("showback: %s\nwant %s", got.Bytes(), want.Bytes())
	}
}
