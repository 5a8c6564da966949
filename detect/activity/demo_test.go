package activity_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/demo/tenant"
	"github.com/dockreeve/dockreeve/detect/activity"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/source/azure"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func demo(t *testing.T, seed int64, clusters int) (*tenant.World, *cloud.Tenant) {
	t.Helper()
	w := tenant.New(tenant.Options{Seed: seed, Now: now, Clusters: clusters, Subscriptions: max(4, clusters/5)})
	b := azure.NewBuilder()
	if err := w.Records(b.Add); err != nil {
		t.Fatal(err)
	}
	return w, b.Snapshot().Tenant
}

// TestTheDemosStoriesAreFoundOnceAndTheRestIsSilent holds over ten worlds that each thing
// that was stolen or switched off is one finding, of the cluster it belongs to, and that
// nothing else is said of a month of ordinary work.
func TestTheDemosStoriesAreFoundOnceAndTheRestIsSilent(t *testing.T) {
	for seed := range int64(10) {
		w, tn := demo(t, seed, 40)
		want := map[string]int{}
		for _, s := range w.Stories() {
			switch s.Name {
			case "stolen-identity":
				want["azure-mi-keys|"+s.Cluster+"|high"]++
				want["azure-mi-compute|"+s.Cluster+"|high"]++
				want["azure-mi-compute|"+s.Cluster+"|medium"]++ // tried and failed, by the other identity
			case "miner":
				want["azure-admin-credentials-stranger|"+s.Cluster+"|high"]++
			case "lost-profile":
				want["azure-defender-profile-off|"+s.Cluster+"|medium"]++
			}
		}
		if len(want) != 5 {
			t.Fatalf("seed %d: stories %v", seed, want)
		}
		id := map[string]string{}
		for _, c := range tn.Clusters {
			id[c.Name] = c.ID
		}
		out := activity.Judge(&activity.Input{Tenant: tn})
		got := map[string]int{}
		for _, f := range out.Findings {
			got[f.Rule.ID+"|"+id[f.Subject.Cluster]+"|"+f.Severity.String()]++
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("seed %d:\ngot  %v\nwant %v", seed, got, want)
			for _, f := range out.Findings {
				t.Log(f.Time, f.Summary, f.Output)
			}
		}
		if out.Expected < 20 || out.Active < 20 || out.Events != len(tn.Activity) {
			t.Errorf("seed %d: %d events, %d identities did something, %d acts expected", seed, out.Events, out.Active, out.Expected)
		}
	}
}

// TestOrderAndRepetitionDoNotMatter holds that the same log gives the same report in any
// order of its records, of clusters and of their identities.
func TestOrderAndRepetitionDoNotMatter(t *testing.T) {
	_, tn := demo(t, 3, 60)
	want := activity.Judge(&activity.Input{Tenant: tn})
	if len(want.Findings) == 0 {
		t.Fatal("nothing to compare")
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		other := *tn
		other.Activity, other.Clusters = slices.Clone(tn.Activity), slices.Clone(tn.Clusters)
		r.Shuffle(len(other.Activity), func(i, j int) { other.Activity[i], other.Activity[j] = other.Activity[j], other.Activity[i] })
		r.Shuffle(len(other.Clusters), func(i, j int) { other.Clusters[i], other.Clusters[j] = other.Clusters[j], other.Clusters[i] })
		for i := range other.Clusters {
			ids := slices.Clone(other.Clusters[i].Identities)
			r.Shuffle(len(ids), func(a, b int) { ids[a], ids[b] = ids[b], ids[a] })
			other.Clusters[i].Identities = ids
		}
		if got := activity.Judge(&activity.Input{Tenant: &other}); !reflect.DeepEqual(got, want) {
			t.Fatalf("another order, another report:\n%+v\n%+v", got, want)
		}
	}
}

// TestADayThatGoesOnIsTheSameJudgement holds that ids and fingerprints do not change when
// the log is read again, later and from a later beginning.
func TestADayThatGoesOnIsTheSameJudgement(t *testing.T) {
	w, tn := demo(t, 5, 60)
	stolen := int64(0)
	for _, s := range w.Stories() {
		if s.Name == "stolen-identity" {
			stolen = s.At
		}
	}
	ids := func(from, to int64) map[string]string {
		part := *tn
		part.Activity = nil
		for _, a := range tn.Activity {
			if a.At >= from && a.At <= to {
				part.Activity = append(part.Activity, a)
			}
		}
		out := map[string]string{}
		for _, f := range activity.Judge(&activity.Input{Tenant: &part}).Findings {
			if f.Severity >= finding.High && f.Time >= stolen && f.Time < stolen+int64(time.Hour) {
				out[f.ID] = f.Fingerprint
			}
		}
		return out
	}
	whole := ids(0, now.UnixNano())
	if len(whole) != 2 {
		t.Fatalf("%v", whole)
	}
	if got := ids(stolen-int64(24*time.Hour), now.UnixNano()); !reflect.DeepEqual(got, whole) {
		t.Errorf("a week's log: %v, want %v", got, whole)
	}
	if got := ids(0, stolen+int64(5*time.Minute)); len(got) != 1 {
		t.Errorf("five minutes in: %v, want one of them", got)
	} else {
		for id, print := range got {
			if whole[id] != print {
				t.Errorf("%s was %s, is %s", id, print, whole[id])
			}
		}
	}
}
