package tenant

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/source/azure"
)

var testNow = time.Date(2026, 11, 26, 14, 0, 0, 0, time.UTC)

func testWorld(clusters int) *World {
	return New(Options{Seed: 7, Now: testNow, Clusters: clusters})
}

// sum is a digest of everything that Records gives.
func sum(t *testing.T, w *World) (string, map[string]int) {
	t.Helper()
	h, docs := sha256.New(), map[string]int{}
	if err := w.Records(func(r azure.Record) error {
		b, err := json.Marshal(r)
		h.Write(b)
		if r.Doc != nil {
			docs[r.What]++
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), docs
}

func TestTheSameOptionsGiveTheSameWorld(t *testing.T) {
	o := Options{Seed: 7, Now: testNow, Days: 20}
	a, docs := sum(t, New(o))
	if b, _ := sum(t, New(o)); a != b {
		t.Error("two worlds of the same options differ")
	}
	x, _ := sum(t, New(Options{Seed: 7, Now: testNow, Clusters: 5, Days: 5}))
	if y, _ := sum(t, New(Options{Seed: 8, Now: testNow, Clusters: 5, Days: 5})); x == y {
		t.Error("another seed gave the same world")
	}
	for _, what := range append([]string{cloud.ReadGroups, cloud.ReadSubscriptions, cloud.ReadSizes, cloud.ReadPrices, cloud.ReadDefinitions, cloud.ReadClusterPlan, cloud.ReadDiagnostics, cloud.ReadExtensions}, perSubscription...) {
		if docs[what] == 0 {
			t.Errorf("no document of %s", what)
		}
	}
}

func TestEveryReadEndsAndSomeGoWrong(t *testing.T) {
	w := testWorld(0)
	outcomes := map[string]int{}
	rows := map[Ask]int{}
	if err := w.Records(func(r azure.Record) error {
		ask := Ask{r.What, r.Scope}
		if r.Scope != strings.ToLower(r.Scope) {
			t.Errorf("scope %q is not in lower case", r.Scope)
		}
		if r.Read == nil {
			rows[ask]++
			return nil
		}
		outcomes[r.Read.Outcome]++
		if r.Read.Rows != rows[ask] {
			t.Errorf("%s of %s: told %d rows, gave %d", r.What, r.Scope, r.Read.Rows, rows[ask])
		}
		if r.Read.Outcome != cloud.ReadOK && r.Read.Reason == "" {
			t.Errorf("%s of %s: %s without a reason", r.What, r.Scope, r.Read.Outcome)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, o := range []string{cloud.ReadOK, cloud.ReadDenied, cloud.ReadThrottled, cloud.ReadPartial, cloud.ReadAbsent} {
		if outcomes[o] == 0 {
			t.Errorf("no read came out as %s", o)
		}
	}
}

func TestTheWorldHasEveryStory(t *testing.T) {
	w := testWorld(0)
	have := map[string]bool{}
	for _, s := range w.Stories() {
		have[s.Name] = true
		if s.Cluster != "" && w.byID[s.Cluster] == nil {
			t.Errorf("story %s is of %s, which is no cluster", s.Name, s.Cluster)
		}
	}
	for _, name := range []string{"miner", "stolen-identity", "audit-cost", "alert-rise", "budget-breach", "unknown-size", "helm-sensor", "lost-profile"} {
		if !have[name] {
			t.Errorf("the world has no story %s", name)
		}
	}
}

// TestABigWorldIsWhole makes the world of the benchmark: as many things as were asked for,
// each with an id of its own.
func TestABigWorldIsWhole(t *testing.T) {
	w := New(Options{Seed: 1, Now: testNow, Subscriptions: 500, Clusters: 2000, Resources: 20_000})
	ids := map[string]bool{}
	clusters := 0
	for _, s := range w.Subscriptions() {
		for _, what := range []string{cloud.ReadClusters, cloud.ReadArc, cloud.ReadRegistries, cloud.ReadOthers} {
			if err := w.Whole(Ask{what, s}, func(d json.RawMessage) error {
				var x struct{ ID string }
				if err := json.Unmarshal(d, &x); err != nil {
					return err
				}
				id := strings.ToLower(x.ID)
				if ids[id] || !strings.HasPrefix(id, s+"/") {
					t.Errorf("%s: twice, or not in %s", id, s)
				}
				ids[id] = true
				if what == cloud.ReadClusters || what == cloud.ReadArc {
					clusters++
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(ids) != 20_000 || clusters != 2000 {
		t.Errorf("%d resources, %d of them clusters", len(ids), clusters)
	}
}

// TestTinyWorldsAreMade holds New to any numbers.
func TestTinyWorldsAreMade(t *testing.T) {
	for _, o := range []Options{{Subscriptions: 1, Clusters: 1, Resources: 1, Days: 1}, {Subscriptions: 2, Clusters: 3, Days: 2}, {Subscriptions: 13, Clusters: 1, Days: 3}} {
		for seed := range int64(20) {
			o.Seed, o.Now = seed, testNow.AddDate(0, 0, int(seed))
			w := New(o)
			if _, docs := sum(t, w); docs[cloud.ReadSubscriptions] != o.Subscriptions {
				t.Fatalf("%+v: %v", o, docs)
			}
			w.Charges()
			w.Usage()
			w.Clusters()
			w.Observed()
			w.Alerts()
			w.Images()
			w.Gates()
			if len(w.HistoryFrom(govern.Day{})) != o.Days {
				t.Fatalf("%+v: not %d days", o, o.Days)
			}
		}
	}
}
