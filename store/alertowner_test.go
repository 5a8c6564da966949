package store

import (
	"fmt"
	"testing"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/govern"
)

// An alert whose workload names nobody goes to the owner of its cluster, from the moment
// that owner is known, and to the next one when the cluster changes hands.
func TestAlertsGoToTheOwnerOfTheirCluster(t *testing.T) {
	db := open(t, Options{})
	n := 0
	happens := func(rule, cluster, owner string) string {
		t.Helper()
		n++
		f := sample(rule, cluster+"/shop/web", n, db.now.Load()+int64(n), finding.High)
		f.Subject.Cluster, f.Subject.Owner = cluster, owner
		if _, err := db.Ingest(t.Context(), []Item{{Finding: f}}); err != nil {
			t.Fatal(err)
		}
		return finding.AlertID(f.Fingerprint)
	}
	judged := func(owner string) {
		t.Helper()
		ev := &govern.Evaluation{At: db.now.Load()}
		if owner != "" {
			ev.Clusters = []govern.ClusterRow{{ID: "/subscriptions/1/blue", Name: "blue-arm", Here: "blue", Ownership: govern.Ownership{Owner: owner}}, {ID: "/subscriptions/1/red", Name: "red", Ownership: govern.Ownership{Owner: "team-red"}}}
		}
		if _, err := db.SetGovernance(t.Context(), &Governance{Evaluation: ev}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(id, owner, from string) {
		t.Helper()
		d, err := db.Alert(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Latest.Subject.Owner; got != owner || d.OwnerFrom != from {
			t.Errorf("alert %s goes to %q from %q, want %q from %q", id, got, d.OwnerFrom, owner, from)
		}
	}
	early, named, elsewhere, host := happens("early", "blue", "unowned"), happens("named", "blue", "payments"), happens("elsewhere", "green", ""), happens("host", "", "")
	want(early, "unowned", "")
	judged("platform")
	want(early, "platform", RoutedByCluster)
	want(named, "payments", "")
	want(elsewhere, "", "")
	want(host, "", "")
	late, silent := happens("late", "blue", "unowned"), happens("silent", "blue", "")
	want(late, "platform", RoutedByCluster)
	want(silent, "platform", RoutedByCluster)
	seq := db.Seq()
	judged("platform")
	if list, err := db.Alerts(t.Context(), AlertQuery{Filter: parse(t, AlertFields(), "owner:platform")}); err != nil || list.Total != 3 {
		t.Fatalf("owner:platform finds %d alerts, %v", list.Total, err)
	} else {
		for _, a := range list.Alerts {
			if a.ChangeSeq > seq {
				t.Errorf("alert %s was told as changed though nothing did", a.ID)
			}
		}
	}
	judged("sre")
	want(early, "sre", RoutedByCluster)
	want(late, "sre", RoutedByCluster)
	judged("unowned")
	want(early, "unowned", RoutedByCluster)
	judged("sre")
	want(early, "sre", RoutedByCluster)
	if happens("late", "blue", "payments"); true {
		want(late, "payments", "") // its workload has got an owner since
	}
	judged("platform")
	want(late, "payments", "")
	want(early, "platform", RoutedByCluster)
	judged("") // a cluster that is not known any more takes nothing away
	want(early, "platform", RoutedByCluster)
}

// More alerts than one transaction moves.
func TestManyAlertsGoToAnotherOwner(t *testing.T) {
	db := open(t, Options{})
	var items []Item
	for i := range rerouteStep + 7 {
		f := sample(fmt.Sprint("r", i), "blue/shop/web", i, db.now.Load()+int64(i), finding.Low)
		f.Subject.Cluster = "blue"
		items = append(items, Item{Finding: f})
	}
	if _, err := db.Ingest(t.Context(), items); err != nil {
		t.Fatal(err)
	}
	ev := &govern.Evaluation{At: db.now.Load(), Clusters: []govern.ClusterRow{{ID: "b", Name: "b", Here: "blue", Ownership: govern.Ownership{Owner: "sre"}}}}
	if _, err := db.SetGovernance(t.Context(), &Governance{Evaluation: ev}); err != nil {
		t.Fatal(err)
	}
	if list, err := db.Alerts(t.Context(), AlertQuery{Filter: parse(t, AlertFields(), "owner:sre")}); err != nil || list.Total != int64(len(items)) {
		t.Fatalf("%d of %d alerts go to the owner of their cluster, %v", list.Total, len(items), err)
	}
}
