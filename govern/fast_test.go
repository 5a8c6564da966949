package govern

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// plainOwner looks at everything, as ownersOf says it in words.
func plainOwner(ev *Evaluation, scope string) string {
	best, n := "", -1
	for i := range ev.Clusters {
		if strings.EqualFold(ev.Clusters[i].ID, scope) {
			return ev.Clusters[i].Ownership.Owner
		}
	}
	for i := range ev.Subscriptions {
		s := &ev.Subscriptions[i]
		if strings.HasPrefix(strings.ToLower(scope)+"/", strings.ToLower(s.ID)+"/") && len(s.ID) > n {
			best, n = s.Owner.Owner, len(s.ID)
		}
	}
	return best
}

func TestOwnersAreFoundAsByLookingAtEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.SampledFrom([]string{"/subscriptions/A", "/subscriptions/a/resourceGroups/g", "/subscriptions/a/resourcegroups/g/c", "/subscriptions/ab", "/Subscriptions/b", "x"})
		ev := &Evaluation{}
		for i := range rapid.IntRange(0, 4).Draw(t, "clusters") {
			ev.Clusters = append(ev.Clusters, ClusterRow{ID: id.Draw(t, "cluster"), Ownership: Ownership{Owner: string(rune('a' + i))}})
		}
		for i := range rapid.IntRange(0, 4).Draw(t, "subscriptions") {
			ev.Subscriptions = append(ev.Subscriptions, SubscriptionRow{ID: id.Draw(t, "subscription"), Owner: Ownership{Owner: string(rune('A' + i))}})
		}
		of := ownersOf(ev)
		for _, scope := range []string{"", "x", "/subscriptions/a", "/SUBSCRIPTIONS/A/resourcegroups/g/c/d", "/subscriptions/ab/x", "/subscriptions/b/", "/subscriptions/abc"} {
			if got, want := of(scope), plainOwner(ev, scope); got != want {
				t.Fatalf("%s: %q, want %q, of %+v", scope, got, want, ev)
			}
		}
	})
}

// What each provider alone would say is what the rows say where it alone is accepted.
func TestProvidersAreAskedOnceForAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		answer := func(name string) inventory.Assessed {
			return rapid.SampledFrom([]inventory.Assessed{{}, {Value: true}, {NotAssessed: "denied"}}).Draw(t, name)
		}
		c := &cloud.Cluster{ID: "/subscriptions/s/c", Name: "c", Kind: cloud.KindAKS}
		var o *Observed
		in := &Input{Now: testNow, Tenant: &cloud.Tenant{Collected: testNow, Finished: testNow}}
		if rapid.Bool().Draw(t, "here") {
			in.Observed = []Observed{{Cluster: "c", ID: c.ID, Agent: "a", LastWord: testNow - rapid.SampledFrom([]int64{0, int64(time.Hour)}).Draw(t, "silent"), Nodes: 1, NodesWatched: rapid.IntRange(0, 1).Draw(t, "watched"), AuditLast: testNow,
				Running: rapid.SampledFrom([]map[string]int{nil, {}}).Draw(t, "scanned"), Canaries: []Canary{{Kind: CanaryExec, Node: "n", Sent: testNow, Seen: rapid.SampledFrom([]int64{0, testNow}).Draw(t, "back")}, {Kind: CanaryAudit, Sent: testNow, Seen: testNow}}}}
			o = &in.Observed[0]
		}
		x := newIndex(in)
		r := &ClusterRow{ID: c.ID, Name: c.Name, Kind: c.Kind, Plan: answer("plan"), Profile: answer("profile"), Stopped: rapid.Bool().Draw(t, "stopped"), Sensor: Sighting{Seen: rapid.Bool().Draw(t, "sensor"), NotAssessed: rapid.SampledFrom([]string{"", "nobody looked"}).Draw(t, "looked")},
			Extensions: rapid.SampledFrom([][]cloud.Extension{nil, {{Name: cloud.ExtRegistries, Enabled: true}}}).Draw(t, "extensions")}
		providers := []string{providerDefender, providerDockreeve, providerEither}
		for i, got := range x.by(providers, r, c, o) {
			y := *x
			y.config.Provider = providers[i]
			alone := *r
			y.protect(&alone, c, o)
			if alone.Protected != got {
				t.Fatalf("%s: %+v, want %+v", providers[i], got, alone.Protected)
			}
		}
	})
}
