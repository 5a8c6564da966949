package govern

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/posture"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC).UnixNano()

const sub1 = "/subscriptions/00000000-0000-0000-0000-000000000001"

func clusterID(name string) string {
	return sub1 + "/resourcegroups/rg/providers/microsoft.containerservice/managedclusters/" + name
}

func row(name, owner string) ClusterRow {
	return ClusterRow{ID: clusterID(name), Name: name, Here: name, Subscription: sub1, Production: true, Environment: "production", Ownership: Ownership{Owner: owner}}
}

func verdict(control, cluster string, v posture.Verdict) posture.Result {
	return posture.Result{Control: control, Cluster: clusterID(cluster), Resource: clusterID(cluster), Verdict: v, Reason: "as seen", At: noon}
}

func control(id, severity string, effort int, assessments ...string) posture.Control {
	return posture.Control{ID: id, Title: "Demand " + id, Why: "because", Remediation: []string{"do it"}, Severity: severity, Effort: effort, Assessments: assessments}
}

func find(list []Recommendation, id, owner string) *Recommendation {
	for i := range list {
		if list[i].ID == id && list[i].Owner == owner {
			return &list[i]
		}
	}
	return nil
}

func recommend(in *Input, rows ...ClusterRow) []Recommendation {
	ev := &Evaluation{At: in.Now, Clusters: rows}
	recommendations(in, ev)
	return ev.Recommendations
}

func TestRecommendationsGroupByControlAndOwner(t *testing.T) {
	in := &Input{Now: noon, Controls: []posture.Control{control("a", "high", 1), control("b", "low", 2)},
		Observed: []Observed{{Cluster: "one", ID: clusterID("one"), Workloads: 40}},
		Posture: []posture.Result{verdict("a", "one", posture.Fail), verdict("a", "two", posture.Fail), verdict("a", "three", posture.Fail),
			verdict("b", "one", posture.Fail), verdict("b", "two", posture.Pass)}}
	got := recommend(in, row("one", "ann"), row("two", "ann"), row("three", "bob"))
	if len(got) != 3 {
		t.Fatalf("%d recommendations, want a@ann, a@bob, b@ann: %+v", len(got), got)
	}
	a := got[0]
	if a.ID != "a" || a.Owner != "ann" || a.Count != 2 || a.Workloads != 41 || a.Rank != 5*2*41 {
		t.Errorf("first is %+v, want a@ann at 2 clusters, 41 workloads, rank 410", a)
	}
	if a.FirstSeen != noon || a.Due != noon+int64(30*24*time.Hour) || a.Overdue {
		t.Errorf("clock of a@ann: first %d due %d overdue %v", a.FirstSeen, a.Due, a.Overdue)
	}
	if b := find(got, "b", "ann"); b == nil || b.Rank != 1*2*40/2 {
		t.Errorf("b@ann: %+v, want rank 40", b)
	}
}

func TestRecommendationsMergeDefender(t *testing.T) {
	in := &Input{Now: noon, Controls: []posture.Control{control("a", "high", 1, "key-a")},
		Posture: []posture.Result{verdict("a", "one", posture.Fail), verdict("a", "two", posture.Pass), verdict("a", "three", posture.Fail), verdict("a", "four", posture.Exempt)},
		Tenant: &cloud.Tenant{Assessments: []cloud.Assessment{
			{Key: "KEY-A", Resource: clusterID("one"), Status: "Unhealthy", First: noon - 40*dayLength},
			{Key: "key-a", Resource: clusterID("two"), Status: "Unhealthy", Cause: "OffByPolicy"},
			{Key: "key-a", Resource: clusterID("three"), Status: "Healthy"},
			{Key: "key-a", Resource: clusterID("four"), Status: "Unhealthy"},
			{Key: "key-z", Title: "Only theirs", Resource: clusterID("one"), Status: "Unhealthy", Severity: "Low"},
		}}}
	got := recommend(in, row("one", "ann"), row("two", "ann"), row("three", "ann"), row("four", "ann"))
	if len(got) != 2 {
		t.Fatalf("%d recommendations, want 2: a and defender:key-z: %+v", len(got), got)
	}
	a := find(got, "a", "ann")
	if a == nil || !slices.Equal(a.Sources, []string{"dockreeve", "defender"}) || a.Count != 3 || a.Workloads != 2 {
		t.Fatalf("merged: %+v, want both sources, 3 resources, of which 2 count", a)
	}
	if !a.Overdue || a.FirstSeen != noon-40*dayLength {
		t.Errorf("Defender has said so for 40 days, and high is due after 30: %+v", a)
	}
	for _, want := range []string{"Defender says unhealthy where Dockreeve passes, at 1: two", "Dockreeve fails it where Defender does not, at 1: three (healthy)"} {
		if !strings.Contains(a.Disagree, want) {
			t.Errorf("disagreement %q does not say %q", a.Disagree, want)
		}
	}
	if z := find(got, "defender:key-z", "ann"); z == nil || z.Title != "Only theirs" || z.Severity != "low" || len(z.Do) == 0 {
		t.Errorf("what only Defender says: %+v", z)
	}
}

func TestFixedNeedsANewLook(t *testing.T) {
	day := func(ago int, keys ...string) Day {
		d := Day{At: noon - int64(ago)*dayLength, Recommendations: map[string]int64{}}
		for _, k := range keys {
			d.Recommendations[k] = noon - 50*dayLength
		}
		return d
	}
	controls := []posture.Control{control("a", "high", 1)}
	t.Run("passes now", func(t *testing.T) {
		in := &Input{Now: noon, Controls: controls, History: []Day{day(2, "a@ann"), day(1, "a@ann")}, Posture: []posture.Result{verdict("a", "one", posture.Pass)}}
		got := recommend(in, row("one", "ann"))
		if len(got) != 1 || got[0].Fixed != noon || got[0].FirstSeen != noon-50*dayLength {
			t.Fatalf("%+v, want it fixed now", got)
		}
	})
	t.Run("was fixed a week ago", func(t *testing.T) {
		in := &Input{Now: noon, Controls: controls, History: []Day{day(8, "a@ann"), day(7), day(1)}, Posture: []posture.Result{verdict("a", "one", posture.Pass)}}
		if got := recommend(in, row("one", "ann")); len(got) != 1 || got[0].Fixed != noon-7*dayLength {
			t.Fatalf("%+v, want it fixed 7 days ago", got)
		}
	})
	t.Run("cannot be seen now", func(t *testing.T) {
		in := &Input{Now: noon, Controls: controls, History: []Day{day(1, "a@ann")}, Posture: []posture.Result{verdict("a", "one", posture.NotAssessed)}}
		got := recommend(in, row("one", "ann"))
		if len(got) != 1 || got[0].Fixed != 0 || !got[0].Overdue || !strings.Contains(got[0].Resources[0].Why, "not assessed now") {
			t.Fatalf("%+v, want it open and overdue: nobody knows that it is fixed", got)
		}
	})
	t.Run("is no longer judged at all", func(t *testing.T) {
		in := &Input{Now: noon, Controls: controls, History: []Day{day(1, "a@ann")}}
		if got := recommend(in, row("one", "ann")); len(got) != 0 {
			t.Fatalf("%+v, want nothing: not judged is not fixed", got)
		}
	})
	t.Run("a new owner is no repair and keeps the clock", func(t *testing.T) {
		d := day(1, "a@ann")
		d.Clusters = map[string]DayRow{clusterID("one"): {Owner: "ann"}}
		in := &Input{Now: noon, Controls: controls, History: []Day{d}, Posture: []posture.Result{verdict("a", "one", posture.Fail), verdict("a", "two", posture.Pass)}}
		got := recommend(in, row("one", "bob"), row("two", "ann"))
		if len(got) != 1 || got[0].Owner != "bob" || got[0].Fixed != 0 || got[0].FirstSeen != noon-50*dayLength {
			t.Fatalf("%+v, want one, bob's, 50 days old", got)
		}
	})
}

// Whatever fails is in exactly one recommendation, and the order of what comes in makes no
// difference.
func TestRecommendationsKeepEverything(t *testing.T) {
	owners := []string{"ann", "bob", inventory.Unowned}
	rapid.Check(t, func(t *rapid.T) {
		in := &Input{Now: noon}
		var rows []ClusterRow
		n := rapid.IntRange(1, 6).Draw(t, "clusters")
		for i := range n {
			rows = append(rows, row(fmt.Sprint("c", i), rapid.SampledFrom(owners).Draw(t, "owner")))
		}
		fails := 0
		for c := range 4 {
			in.Controls = append(in.Controls, control(fmt.Sprint("k", c), rapid.SampledFrom([]string{"critical", "high", "medium", "low"}).Draw(t, "severity"), rapid.IntRange(0, 3).Draw(t, "effort")))
			for i := range n {
				v := rapid.SampledFrom([]posture.Verdict{posture.Pass, posture.Fail, posture.NotAssessed, posture.Exempt}).Draw(t, "verdict")
				in.Posture = append(in.Posture, verdict(fmt.Sprint("k", c), fmt.Sprint("c", i), v))
				if v == posture.Fail {
					fails++
				}
			}
		}
		got := recommend(in, rows...)
		sum := 0
		for i, r := range got {
			sum += r.Count
			if r.Rank <= 0 || i > 0 && got[i-1].Rank < r.Rank {
				t.Fatalf("rank %v after %v", r.Rank, got[max(0, i-1)].Rank)
			}
		}
		if sum != fails {
			t.Fatalf("%d resources in recommendations, %d fail", sum, fails)
		}
		slices.Reverse(in.Posture)
		slices.Reverse(rows)
		if again := recommend(in, rows...); !reflect.DeepEqual(got, again) {
			t.Fatalf("the order of input changes the answer:\n%+v\n%+v", got, again)
		}
	})
}
