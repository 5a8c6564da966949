package posture

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// A fixture is testdata/controls/CONTROL.yaml: what differs from testdata/world.yaml for
// the control to pass, to fail, and not to be assessed.
type fixture struct {
	Pass        *variant  `json:"pass"`
	Fail        *variant  `json:"fail"`
	NotAssessed *variant  `json:"notAssessed"`
	More        []variant `json:"more,omitempty"` // further ones, each with its verdict
}

// variant changes the world. Members that hold an object are merged into the one of the
// world as JSON merge patches do (null takes a member away); objects replace those of
// their kind and name, or are added.
type variant struct {
	Name         string            `json:"name,omitempty"`
	Verdict      Verdict           `json:"verdict,omitempty"` // in More only
	At           string            `json:"at,omitempty"`      // arc: judged at the Arc cluster; subscription: where its clusters are not listed
	Tenant       json.RawMessage   `json:"tenant,omitempty"`
	Cluster      json.RawMessage   `json:"cluster,omitempty"`
	Arc          json.RawMessage   `json:"arc,omitempty"`
	Registry     json.RawMessage   `json:"registry,omitempty"`
	Subscription json.RawMessage   `json:"subscription,omitempty"`
	Kubelet      json.RawMessage   `json:"kubelet,omitempty"`
	Settings     json.RawMessage   `json:"settings,omitempty"`
	Scan         json.RawMessage   `json:"scan,omitempty"`
	Unscanned    bool              `json:"unscanned,omitempty"`
	Reads        []cloud.Read      `json:"reads,omitempty"` // added
	Objects      []json.RawMessage `json:"objects,omitempty"`
	Without      []string          `json:"without,omitempty"` // Kind/namespace/name
	Gaps         []inventory.Gap   `json:"gaps,omitempty"`
	Unseen       bool              `json:"unseen,omitempty"` // the cluster is not onboarded
	Heard        string            `json:"heard,omitempty"`  // when it was last heard
	Exempt       string            `json:"exempt,omitempty"`
	Reason       string            `json:"reason"`             // that the result's reason contains
	Evidence     string            `json:"evidence,omitempty"` // that one of its pieces of evidence contains
}

type scene struct {
	Now      time.Time         `json:"now"`
	Tenant   json.RawMessage   `json:"tenant"`
	Settings json.RawMessage   `json:"settings"`
	Scan     json.RawMessage   `json:"scan"`
	Kubelets []json.RawMessage `json:"kubelets"`
	Objects  []json.RawMessage `json:"objects"`
}

func strict(t *testing.T, doc []byte, v any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(doc, v); err != nil {
		t.Fatal(err)
	}
}

// merge is a JSON merge patch (RFC 7396).
func merge(base, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	out := map[string]any{}
	if b, ok := base.(map[string]any); ok {
		maps.Copy(out, b)
	}
	for k, v := range p {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = merge(out[k], v)
		}
	}
	return out
}

func patched(t *testing.T, doc, patch json.RawMessage, into any) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal(doc, &a); err != nil {
		t.Fatal(err)
	}
	if len(patch) > 0 {
		if err := json.Unmarshal(patch, &b); err != nil {
			t.Fatal(err)
		}
		a = merge(a, b)
	}
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	strict(t, text, into)
}

func merged[T any](t *testing.T, x *T, patch json.RawMessage) {
	t.Helper()
	doc, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	var out T
	patched(t, doc, patch, &out)
	*x = out
}

// input makes the world with a variant's changes, by the way that objects really take:
// decoded, joined in a State, written as documents, gathered.
func (w *scene) input(t *testing.T, v *variant) *Input {
	t.Helper()
	in := &Input{Now: w.Now.UnixNano(), Tenant: &cloud.Tenant{}}
	patched(t, w.Tenant, v.Tenant, in.Tenant)
	patched(t, w.Settings, v.Settings, &in.Settings)
	if len(in.Tenant.Clusters) > 0 {
		merged(t, &in.Tenant.Clusters[0], v.Cluster)
	}
	if len(in.Tenant.Clusters) > 1 {
		merged(t, &in.Tenant.Clusters[1], v.Arc)
	}
	if len(in.Tenant.Registries) > 0 {
		merged(t, &in.Tenant.Registries[0], v.Registry)
	}
	merged(t, &in.Tenant.Subscriptions[0], v.Subscription)
	in.Tenant.Reads = append(in.Tenant.Reads, v.Reads...)
	if v.Exempt != "" {
		in.Exempt = func(_, _ string) (string, bool) { return v.Exempt, true }
	}
	if v.Unseen {
		return in
	}
	s := inventory.NewState(inventory.Options{Cluster: "shop"})
	s.SetCluster(inventory.ClusterDoc{Name: "shop", ResourceID: clusterID, Gaps: v.Gaps})
	for _, list := range [][]json.RawMessage{w.Objects, v.Objects} {
		for _, doc := range list {
			o, err := inventory.Decode(doc)
			if err != nil {
				t.Fatalf("%s: %v", doc, err)
			}
			s.Put(o)
		}
	}
	for _, key := range v.Without {
		p := strings.Split(key, "/")
		s.Delete(inventory.Key{Kind: inventory.Kind(p[0]), Namespace: p[1], Name: p[2]}, "")
	}
	for _, doc := range w.Kubelets {
		var k Kubelet
		patched(t, doc, v.Kubelet, &k)
		s.SetKubelet(&k)
	}
	heard := in.Now
	if v.Heard != "" {
		at, err := time.Parse(time.RFC3339, v.Heard)
		if err != nil {
			t.Fatal(err)
		}
		heard = at.UnixNano()
	}
	c := Gather("shop", heard, s.Full())
	c.Scan = &Scan{}
	patched(t, w.Scan, v.Scan, c.Scan)
	if v.Unscanned {
		c.Scan = nil
	}
	in.Clusters = []Cluster{c}
	return in
}

const (
	clusterID  = "/subscriptions/s1/resourcegroups/shop/providers/microsoft.containerservice/managedclusters/shop"
	arcID      = "/subscriptions/s1/resourcegroups/shop/providers/microsoft.kubernetes/connectedclusters/store-12"
	registryID = "/subscriptions/s1/resourcegroups/shop/providers/microsoft.containerregistry/registries/shop"
)

func loadScene(t *testing.T) *scene {
	t.Helper()
	doc, err := os.ReadFile("testdata/world.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w := &scene{}
	strict(t, doc, w)
	return w
}

func where(c *Control, at string) string {
	switch {
	case at == "arc":
		return arcID
	case at == "subscription" || c.Scope == OnSubscription:
		return "/subscriptions/s1"
	case c.Scope == OnRegistry:
		return registryID
	}
	return clusterID
}

// TestFixtures walks all controls: each that is automated has a fixture that passes, one
// that fails and one that is not assessed.
func TestFixtures(t *testing.T) {
	w := loadScene(t)
	files, err := filepath.Glob("testdata/controls/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if checks()[strings.TrimSuffix(filepath.Base(f), ".yaml")] == nil {
			t.Errorf("%s is a fixture of no automated control", f)
		}
	}
	for _, c := range Controls() {
		if c.Manual {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			doc, err := os.ReadFile("testdata/controls/" + c.ID + ".yaml")
			if err != nil {
				t.Fatalf("the control has no fixture: %v", err)
			}
			var f fixture
			strict(t, doc, &f)
			if f.Pass == nil || f.Fail == nil || f.NotAssessed == nil {
				t.Fatal("pass, fail and notAssessed are all needed")
			}
			f.Pass.Name, f.Pass.Verdict = "pass", Pass
			f.Fail.Name, f.Fail.Verdict = "fail", Fail
			f.NotAssessed.Name, f.NotAssessed.Verdict = "notAssessed", NotAssessed
			for _, v := range append([]variant{*f.Pass, *f.Fail, *f.NotAssessed}, f.More...) {
				t.Run(v.Name, func(t *testing.T) { v.check(t, w, &c) })
			}
		})
	}
}

func (v *variant) check(t *testing.T, w *scene, c *Control) {
	var got *Result
	results := Evaluate(w.input(t, v))
	for i := range results {
		r := &results[i]
		if r.Verdict == Pass && len(r.Evidence) == 0 || r.Verdict == Fail && len(r.Evidence) == 0 {
			t.Errorf("%s at %s: %s without evidence", r.Control, r.Resource, r.Verdict)
		}
		if r.Reason == "" || len(r.Evidence) > MaxEvidence {
			t.Errorf("%s at %s: reason %q, %d pieces of evidence", r.Control, r.Resource, r.Reason, len(r.Evidence))
		}
		if r.Control == c.ID && r.Resource == where(c, v.At) {
			got = r
		}
	}
	switch {
	case got == nil:
		t.Fatal("there is no result")
	case got.Verdict != v.Verdict:
		t.Fatalf("%s: %s, want %s\nevidence %+v", got.Verdict, got.Reason, v.Verdict, got.Evidence)
	case v.Reason == "" || !strings.Contains(got.Reason, v.Reason):
		t.Errorf("reason %q, want %q in it", got.Reason, v.Reason)
	case v.Evidence != "" && !slices.ContainsFunc(got.Evidence, func(e Evidence) bool {
		return strings.Contains(e.Where+" "+e.Field+" "+e.Value+" "+e.From, v.Evidence)
	}):
		t.Errorf("evidence %+v, want %q in it", got.Evidence, v.Evidence)
	case got.Verdict == Fail && (got.Failing == 0 || got.Failing > got.Checked):
		t.Errorf("%d of %d fail", got.Failing, got.Checked)
	}
}
