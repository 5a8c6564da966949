package governance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/store"
)

// The hub's test image proves the row of images of every cluster that runs an image with a
// verdict, and of no other; no agent can speak for it.
func TestTheTestImageIsOfEveryClusterThatIsScanned(t *testing.T) {
	f := open(t, Options{})
	digest := fmt.Sprintf("sha256:%064x", 1)
	if _, _, err := f.db.PutImage(t.Context(), store.ImageScan{Matched: true, Version: "v1", Catalog: &scan.Catalog{
		Image: scan.Image{Kind: scan.KindRegistry, Name: "r.example/web:1", Digest: digest}, Packages: []scan.Package{{Type: scan.Deb, Name: "zlib", Version: "1"}}}}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"prod", "test"} {
		f.state(t, name, inventory.Document{Cluster: &inventory.ClusterDoc{Agent: "1"}}, inventory.Document{Node: &inventory.NodeDoc{Name: "n1"}},
			inventory.Document{Workload: &inventory.WorkloadDoc{Key: "shop/Deployment/web", Namespace: "shop", Kind: "Deployment", Name: "web", Images: []inventory.ImageDoc{{Container: "web", Image: "r.example/web:1", Digest: digest, Since: f.now(), Pods: 1}}}})
	}
	f.state(t, "idle", inventory.Document{Cluster: &inventory.ClusterDoc{Agent: "1"}}, inventory.Document{Node: &inventory.NodeDoc{Name: "n1"}})
	for more := true; more; {
		var err error
		if more, err = f.db.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	f.tell(t, store.Item{Canaries: &inventory.CanaryReport{Cluster: "prod", Time: f.now(), List: []inventory.Canary{{Kind: "image", Sent: f.now(), Seen: f.now()}}}}) // an agent that lies
	row := func(name string) govern.Row {
		t.Helper()
		in := &govern.Input{Now: f.now()}
		for _, o := range f.observed(t, nil) {
			in.Observed = append(in.Observed, o)
		}
		ev := govern.Evaluate(in)
		for i := range ev.Clusters {
			if r := &ev.Clusters[i]; r.Name == name {
				return r.Images
			}
		}
		t.Fatalf("no cluster %s", name)
		return govern.Row{}
	}
	set := func(c store.ImageCanary) {
		t.Helper()
		if err := f.db.SetImageCanary(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	say := func(what, state, says string, names ...string) {
		t.Helper()
		for _, name := range names {
			if r := row(name); r.State != state || !strings.Contains(r.Why+"|"+r.Proof, says) {
				t.Errorf("%s: %s is %+v", what, name, r)
			}
		}
	}
	say("nothing sent", govern.RowNotAssessed, "no canary was sent", "prod", "test")
	sent := store.ImageCanary{Sent: f.now(), Seen: f.now(), Done: f.now(), Every: int64(24 * time.Hour), What: "CVE-2024-1 in alpha 0-1, fixed in 1.2-3 (Debian:12)", Built: start.UnixNano()}
	set(sent)
	say("came back", govern.RowClosed, "test image was found vulnerable 0 s ago (CVE-2024-1 in alpha 0-1, fixed in 1.2-3 (Debian:12); advisories of "+start.UTC().Format(time.DateOnly)+")", "prod", "test")
	say("came back", govern.RowNotAssessed, "no verdict", "idle")
	none := sent
	none.NotAssessed = "there is no advisory database"
	set(none)
	say("no database", govern.RowNotAssessed, "not proven: there is no advisory database", "prod", "test")
	// A known failure does not wait until the last good one is stale.
	wrong := sent
	wrong.Missed, wrong.Why, wrong.Failed = "alpha 1.2-3 was found vulnerable", "alpha 1.2-3 was found vulnerable", 2
	set(wrong)
	say("twice wrong", govern.RowClosed, "the one after it did not come back: alpha 1.2-3 was found vulnerable", "prod", "test")
	wrong.Missed, wrong.Failed = "", 3 // the next is on its way
	set(wrong)
	say("wrong thrice", govern.RowOpen, "came back wrong 3 times in a row: it runs and does not detect (alpha 1.2-3 was found vulnerable)", "prod", "test")
	f.judge(t, nil)
	if a := f.alert(t, govern.RuleCanary); !strings.Contains(a.Alert.Latest.Summary, "came back wrong 3 times in a row, so images of 2 clusters are scanned in name only: prod, test") {
		t.Errorf("%+v", a)
	}
	old := sent
	old.Sent, old.Seen, old.Missed = f.now()-1, f.now()-int64(49*time.Hour), "alpha 0-1 was not found vulnerable"
	set(old)
	say("stale", govern.RowOpen, "did not come back in time: it runs and does not detect (alpha 0-1 was not found vulnerable)", "prod", "test")
	f.judge(t, nil)
	if a := f.alert(t, govern.RuleCanary); !strings.Contains(a.Alert.Latest.Summary, "images of 2 clusters are scanned in name only: prod, test") {
		t.Errorf("%+v", a)
	}
}
