package images

import (
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/store"
)

// An image that only a cluster tells of is scanned from its registry by digest, and its
// history says where it was found; without leave to pull, its workload says so.
func TestAnImageFoundRunningInAClusterIsScanned(t *testing.T) {
	for _, pull := range []bool{true, false} {
		h := open(t, func(o *Options) { o.Pull = pull })
		h.turnOver(t)
		now := h.clock.Now().UnixNano()
		w := inventory.WorkloadDoc{Key: "shop/Deployment/web", Images: []inventory.ImageDoc{{Container: "web", Image: "r.example/web:1", Digest: digest(1), ImageID: "r.example/web@" + digest(1), Pods: 2}}}
		_, err := h.db.Ingest(t.Context(), []store.Item{{Inventory: &inventory.Delta{Cluster: "prod", Time: now, Put: []inventory.Document{{Workload: &w}}}}})
		h.must(t, err)
		for more := true; more; {
			more, err = h.db.Settle(t.Context())
			h.must(t, err)
		}
		h.have["registry:r.example/web@"+digest(1)] = func() ([]*scan.Catalog, error) {
			return []*scan.Catalog{catalogOf(1, "r.example/web@"+digest(1), "zlib=1.2-1")}, nil
		}
		if !h.work.one(t.Context()) {
			t.Fatal("nothing to scan")
		}
		x, err := h.db.Workload(t.Context(), "prod", w.Key)
		h.must(t, err)
		d, err := h.db.Image(t.Context(), digest(1))
		h.must(t, err)
		if !pull {
			if why := x.Images[0].NotAssessed; !strings.Contains(why, "not pulled: --pull-images is off") || x.Images[0].Key != digest(1) {
				t.Errorf("%+v", x.Images)
			}
			continue
		}
		if x.Images[0].NotAssessed != "" || x.Images[0].ScannedAt == 0 || d.Image.Running != 2 || len(d.Running) != 1 {
			t.Errorf("%+v", x.Images)
		}
		if len(d.History) != 1 || d.History[0].Cause != "found running in cluster prod" {
			t.Errorf("%+v", d.History)
		}
	}
}
