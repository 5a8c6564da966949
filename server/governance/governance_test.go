package governance

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/internal/clock"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/source/azure"
	"github.com/dockreeve/dockreeve/store"
)

const hour = int64(time.Hour)

var start = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// fixture is a keeper over a store, with a clock moved by hand.
type fixture struct {
	*Governance
	db    *store.DB
	clock *clock.Manual
}

func open(t *testing.T, opt Options) *fixture {
	t.Helper()
	c := clock.NewManual(start)
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "x.db"), Now: func() int64 { return c.Now().UnixNano() }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	opt.DB, opt.Clock = db, c
	if opt.Raise == nil {
		opt.Raise = func(ctx context.Context, list []*finding.Finding) error {
			var items []store.Item
			for _, f := range list {
				items = append(items, store.Item{Finding: f})
			}
			_, err := db.Ingest(ctx, items)
			return err
		}
	}
	return &fixture{New(opt), db, c}
}

func (f *fixture) now() int64 { return f.clock.Now().UnixNano() }

func (f *fixture) tell(t *testing.T, items ...store.Item) {
	t.Helper()
	if _, err := f.db.Ingest(t.Context(), items); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) state(t *testing.T, cluster string, docs ...inventory.Document) {
	t.Helper()
	for i := range docs {
		if docs[i].Cluster != nil {
			docs[i].Cluster.Name = cluster
		}
	}
	f.tell(t, store.Item{Inventory: &inventory.Delta{Cluster: cluster, Generation: f.now(), Done: true, Time: f.now(), Put: docs}})
}

func (f *fixture) observed(t *testing.T, tenant *cloud.Tenant) map[string]govern.Observed {
	t.Helper()
	list, inside, err := f.Governance.observed(t.Context(), tenant, f.now())
	if err != nil || len(list) != len(inside) {
		t.Fatal(list, inside, err)
	}
	out := map[string]govern.Observed{}
	for i, o := range list {
		out[o.Cluster] = o
		if inside[i].Name != o.Cluster || inside[i].ID != o.ID {
			t.Errorf("%s: its inside is of another: %q %q", o.Cluster, inside[i].Name, inside[i].ID)
		}
	}
	return out
}

const (
	aks1 = "/subscriptions/s/resourcegroups/g/providers/microsoft.containerservice/managedclusters/one"
	aks2 = "/subscriptions/s/resourcegroups/g/providers/microsoft.containerservice/managedclusters/two"
	aks3 = "/subscriptions/s/resourcegroups/g/providers/microsoft.containerservice/managedclusters/three"
)

func world() *cloud.Tenant {
	return &cloud.Tenant{ID: "t", Clusters: []cloud.Cluster{
		{ID: aks1, Name: "one", Kind: cloud.KindAKS, Subscription: "/subscriptions/s", NodeGroup: "MC_g_one_west"},
		{ID: aks2, Name: "two", Kind: cloud.KindAKS, Subscription: "/subscriptions/s", NodeGroup: "MC_g_two_west"},
		{ID: aks3, Name: "three", Kind: cloud.KindAKS, Subscription: "/subscriptions/s", FQDN: "three-dns.hcp.westeurope.azmk8s.io"},
	}}
}

func TestWhichClusterOfAzureOursIs(t *testing.T) {
	f := open(t, Options{})
	node := func(provider string) inventory.Document {
		return inventory.Document{Node: &inventory.NodeDoc{Name: "n", Node: inventory.Node{OS: "linux", ProviderID: provider}}}
	}
	vm := "azure:///subscriptions/S/resourceGroups/mc_g_TWO_west/providers/Microsoft.Compute/virtualMachineScaleSets/x/virtualMachines/0"
	f.state(t, "told", inventory.Document{Cluster: &inventory.ClusterDoc{ResourceID: strings.ToUpper(aks1)}}, node(vm)) // what it was told goes before
	f.state(t, "nodes", inventory.Document{Cluster: &inventory.ClusterDoc{}}, node(vm))
	f.state(t, "name", inventory.Document{Cluster: &inventory.ClusterDoc{Server: "https://THREE-dns.hcp.westeurope.azmk8s.io:443"}}, node("aws:///eu/i-1"))
	f.state(t, "elsewhere", inventory.Document{Cluster: &inventory.ClusterDoc{ResourceID: aks1 + "x"}})
	f.state(t, "none", inventory.Document{Cluster: &inventory.ClusterDoc{Server: "https://10.0.0.1:6443"}}, node("azure:///subscriptions/s"))
	got := f.observed(t, world())
	for name, want := range map[string][2]string{
		"told": {aks1, "told its ARM id"}, "nodes": {aks2, "node n is of the cluster's node resource group"}, "name": {aks3, "three-dns.hcp.westeurope.azmk8s.io"},
		"elsewhere": {aks1 + "x", "does not hold"}, "none": {"", ""},
	} {
		if o := got[name]; o.ID != want[0] || !strings.Contains(o.IDFrom, want[1]) {
			t.Errorf("%s: %q, %q", name, o.ID, o.IDFrom)
		}
	}
	if o := f.observed(t, nil)["nodes"]; o.ID != "" {
		t.Errorf("without a tenant: %q", o.ID)
	}
}

func TestACloudsClusterIsOneHere(t *testing.T) {
	vm := "azure:///subscriptions/s/resourceGroups/MC_g_one_west/providers/Microsoft.Compute/virtualMachineScaleSets/x/virtualMachines/0"
	doc := func(uid, id string) inventory.Document {
		return inventory.Document{Cluster: &inventory.ClusterDoc{UID: uid, ResourceID: id, Agent: "1"}}
	}
	ids := func(f *fixture) (out []string) {
		list, inside, err := f.Governance.observed(t.Context(), world(), f.now())
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range list {
			if inside[i].ID != o.ID {
				t.Errorf("%s: its inside is of %q", o.Cluster, inside[i].ID)
			}
			out = append(out, o.Cluster+"="+o.ID[strings.LastIndexByte(o.ID, '/')+1:])
		}
		return out
	}
	twins := func(f *fixture) string {
		for _, g := range f.Status() {
			if strings.HasPrefix(g.What, "clusters that") {
				return g.Reason
			}
		}
		return ""
	}
	t.Run("nodes prove more than words", func(t *testing.T) {
		f := open(t, Options{})
		f.state(t, "a-told", doc("1", aks1))
		f.state(t, "real", doc("2", ""), inventory.Document{Node: &inventory.NodeDoc{Name: "n", Node: inventory.Node{ProviderID: vm}}})
		for range 2 { // whoever spoke last
			if got := ids(f); !reflect.DeepEqual(got, []string{"a-told=", "real=one"}) || !strings.Contains(twins(f), "real and a-told are both taken for "+aks1+"; real keeps it: its node n") {
				t.Errorf("%v, %q", got, twins(f))
			}
			f.clock.Advance(time.Minute)
			f.state(t, "a-told", doc("1", aks1))
		}
		// The row that Azure knows is the real one's; the other stands beside it.
		f.judge(t, world())
		f.state(t, "a-told", doc("1", ""))
		if ids(f); twins(f) != "" {
			t.Errorf("still told of: %q", twins(f))
		}
	})
	t.Run("onboarded anew", func(t *testing.T) {
		f := open(t, Options{})
		f.state(t, "before", doc("1", aks1))
		if got := ids(f); !reflect.DeepEqual(got, []string{"before=one"}) {
			t.Error(got)
		}
		f.clock.Advance(time.Hour)
		f.state(t, "now", doc("1", aks1))
		if got := ids(f); !reflect.DeepEqual(got, []string{"before=", "now=one"}) || twins(f) != "" {
			t.Errorf("%v, %q", got, twins(f))
		}
	})
	t.Run("two that speak", func(t *testing.T) {
		f := open(t, Options{})
		f.state(t, "x", doc("1", aks1))
		f.state(t, "y", doc("2", aks1))
		for range 2 {
			if got := ids(f); !reflect.DeepEqual(got, []string{"x=one", "y="}) || twins(f) == "" {
				t.Errorf("%v, %q", got, twins(f))
			}
			f.clock.Advance(time.Minute)
			f.state(t, "y", doc("2", aks1))
		}
	})
}

func TestWhatIsSeenInAClusterAndWhatIsNot(t *testing.T) {
	f := open(t, Options{})
	work := func(kind, ns, name, image string, ready int32) inventory.Document {
		return inventory.Document{Workload: &inventory.WorkloadDoc{Key: ns + "/" + kind + "/" + name, Kind: kind, Namespace: ns, Name: name, Wanted: 3, Ready: ready, Images: []inventory.ImageDoc{{Image: image}}}}
	}
	f.state(t, "addon", inventory.Document{Cluster: &inventory.ClusterDoc{}}, work("DaemonSet", "kube-system", "microsoft-defender-collector-ds", "x", 2), work("Deployment", "kube-system", "azure-policy", "x", 3), work("Deployment", "gatekeeper-system", "gatekeeper-audit", "x", 1))
	f.state(t, "helm", inventory.Document{Cluster: &inventory.ClusterDoc{}}, work("DaemonSet", "mdc", "sensor", "mcr.microsoft.com/azuredefender/stable/low-level-collector:2", 3), work("Deployment", "shop", "azure-policy", "x", 3))
	f.state(t, "blind", inventory.Document{Cluster: &inventory.ClusterDoc{Gaps: []inventory.Gap{{What: "daemonsets.apps", Reason: "no right to list"}}}})
	f.tell(t, store.Item{Inventory: &inventory.Delta{Cluster: "new", Generation: 1, Time: f.now(), Put: []inventory.Document{{Cluster: &inventory.ClusterDoc{Name: "new"}}}}})
	got := f.observed(t, nil)
	if s := got["addon"].Sensor; !s.Seen || s.Ready != 2 || s.Wanted != 3 || len(s.Where) != 1 {
		t.Errorf("%+v", s)
	}
	if s := got["addon"].PolicyAddon; !s.Seen || len(s.Where) != 2 {
		t.Errorf("%+v", s)
	}
	if s := got["helm"].Sensor; !s.Seen || s.Where[0] != "mdc/DaemonSet/sensor" {
		t.Errorf("one that Helm installed: %+v", s)
	}
	if s := got["helm"].PolicyAddon; s.Seen || s.NotAssessed != "" {
		t.Errorf("a workload of that name anywhere is not it: %+v", s)
	}
	for _, name := range []string{"blind", "new"} {
		if s := got[name].Sensor; s.Seen || s.NotAssessed == "" {
			t.Errorf("%s: not seen is said of what was not looked at: %+v", name, s)
		}
	}
}

func TestWhatOurOwnAgentsProve(t *testing.T) {
	f := open(t, Options{})
	f.state(t, "prod", inventory.Document{Cluster: &inventory.ClusterDoc{Agent: "1", AuditLast: 5, AuditAs: "kube-audit"}},
		inventory.Document{Node: &inventory.NodeDoc{Name: "n1"}}, inventory.Document{Node: &inventory.NodeDoc{Name: "n2"}}, inventory.Document{Node: &inventory.NodeDoc{Name: "n3"}},
		inventory.Document{Namespace: &inventory.NamespaceDoc{Name: "shop", Owner: "payments", OwnerFrom: "label"}},
		inventory.Document{Workload: &inventory.WorkloadDoc{Key: "shop/Deployment/web", Namespace: "shop", Kind: "Deployment", Name: "web"}})
	status := func(node string, since int64, why string) store.Item {
		return store.Item{Status: &link.Status{Node: node, Since: since, Time: f.now(), Every: int64(time.Second), NotAssessed: why, Mode: link.ModeLive}}
	}
	f.tell(t, status("prod/n1", f.now()-24*hour, ""), status("n2", f.now()-12*hour, ""), status("dev/n3", f.now()-12*hour, ""), status("prod/n3", 0, "no BTF"))
	f.tell(t, store.Item{Canaries: &inventory.CanaryReport{Cluster: "prod", Time: f.now(), List: []inventory.Canary{{Kind: "exec", Node: "n1", Sent: 10, Seen: 0}, {Kind: "exec", Node: "gone", Sent: 9, Seen: 9}, {Kind: "audit", Sent: 8}}}},
		store.Item{Canaries: &inventory.CanaryReport{Cluster: "", Time: f.now(), List: []inventory.Canary{{Kind: "exec", Node: "n2", Sent: 20}, {Kind: "exec", Node: "other", Sent: 20}}}},
		store.Item{CameBack: &store.CameBack{Cluster: "prod", Node: "n2", Kind: "exec", Time: 21}}, store.Item{CameBack: &store.CameBack{Cluster: "prod", Node: "n1", Kind: "exec", Time: 11}})
	o := f.observed(t, nil)["prod"]
	if o.Nodes != 3 || o.NodesWatched != 2 || o.Agent != "1" || o.AuditAs != "kube-audit" || o.AuditLast != 5 || o.AlertsOpen == nil || o.Running != nil || o.RunningWhy == "" {
		t.Errorf("%+v", o)
	}
	if o.NodeDays7d < 1.49 || o.NodeDays7d > 1.51 {
		t.Errorf("node-days: %v", o.NodeDays7d)
	}
	want := []govern.Canary{{Kind: "audit", Sent: 8}, {Kind: "exec", Node: "n1", Sent: 10, Seen: 11}, {Kind: "exec", Node: "n2", Sent: 20, Seen: 21}}
	if !reflect.DeepEqual(o.Canaries, want) {
		t.Errorf("%+v", o.Canaries)
	}
	if len(o.Namespaces) != 1 || o.Namespaces[0] != (govern.NamespaceOwner{Namespace: "shop", Owner: "payments", From: "label", Workloads: 1}) {
		t.Errorf("%+v", o.Namespaces)
	}
	f.clock.Advance(time.Hour) // they fell silent
	if o := f.observed(t, nil)["prod"]; o.NodesWatched != 0 {
		t.Errorf("silent nodes watch: %+v", o)
	}
}

func TestTwoProductsOneMatter(t *testing.T) {
	twin := store.Twin{Namespace: "shop", Pod: "web-1", Workload: "shop/Deployment/web", Image: "acr.azurecr.io/shop/web:2", Techniques: []string{"T1059.004"}, Answers: []string{"K8S.NODE_Shell"}}
	byWorkload := twin
	byWorkload.Pod = ""
	nowhere := store.Twin{Techniques: []string{"T1059"}, Answers: []string{"K8S_ExposedKubelet"}}
	for _, c := range []struct {
		name string
		a    cloud.DefenderAlert
		t    store.Twin
		want bool
	}{
		{"same pod, same type", cloud.DefenderAlert{Type: "K8S_Shell", Namespace: "shop", Pod: "web-1"}, twin, true},
		{"same pod, same technique", cloud.DefenderAlert{Type: "K8S_X", Techniques: []string{"T1059"}, Namespace: "shop", Pod: "web-1"}, twin, true},
		{"same pod, another technique", cloud.DefenderAlert{Type: "K8S_X", Techniques: []string{"T1105"}, Namespace: "shop", Pod: "web-1"}, twin, false},
		{"a technique whose number begins alike", cloud.DefenderAlert{Type: "K8S_X", Techniques: []string{"T105"}, Namespace: "shop", Pod: "web-1"}, twin, false},
		{"another pod", cloud.DefenderAlert{Type: "K8S_Shell", Namespace: "shop", Pod: "web-2"}, twin, false},
		{"another namespace", cloud.DefenderAlert{Type: "K8S_Shell", Namespace: "dev", Pod: "web-1"}, twin, false},
		{"a pod of the workload", cloud.DefenderAlert{Type: "K8S_Shell", Namespace: "shop", Pod: "web-7d4-abc"}, byWorkload, true},
		{"a pod of a workload that begins alike", cloud.DefenderAlert{Type: "K8S_Shell", Namespace: "shop", Pod: "website-1"}, byWorkload, false},
		{"same image", cloud.DefenderAlert{Type: "K8S_Shell", Image: "acr.azurecr.io/shop/web@sha256:1"}, twin, true},
		{"another image", cloud.DefenderAlert{Type: "K8S_Shell", Image: "shop/api"}, twin, false},
		{"the namespace alone, same type", cloud.DefenderAlert{Type: "K8S_Shell", Namespace: "shop"}, twin, true},
		{"the namespace alone, same technique", cloud.DefenderAlert{Type: "K8S_X", Techniques: []string{"T1059"}, Namespace: "shop"}, twin, false},
		{"the cluster, same type", cloud.DefenderAlert{Type: "K8S_ExposedKubelet"}, nowhere, true},
		{"the cluster, same technique", cloud.DefenderAlert{Type: "K8S_X", Techniques: []string{"T1059"}}, nowhere, false},
	} {
		if got := same(&c.a, &c.t); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// unowned is a tenant with one running cluster that nobody owns.
func unowned() *cloud.Tenant {
	return &cloud.Tenant{ID: "t", Source: "live", Collected: start.UnixNano(), Finished: start.UnixNano(), Subscriptions: []cloud.Subscription{{ID: "/subscriptions/s", Name: "s", State: "Enabled"}},
		Clusters: []cloud.Cluster{{ID: aks1, Name: "one", Kind: cloud.KindAKS, Subscription: "/subscriptions/s", ResourceGroup: "g", Power: "Running"}}}
}

func (f *fixture) judge(t *testing.T, tenant *cloud.Tenant) Evaluated {
	t.Helper()
	f.mu.Lock()
	f.snapshot = nil
	if tenant != nil {
		f.snapshot = &azure.Snapshot{Tenant: tenant}
	}
	f.mu.Unlock()
	out, err := f.Reevaluate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (f *fixture) alert(t *testing.T, rule string) store.Alert {
	t.Helper()
	page, err := f.db.Alerts(t.Context(), store.AlertQuery{Limit: store.MaxPage})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range page.Alerts {
		if a.Latest.Rule.ID == store.GovernanceRule+rule {
			return a
		}
	}
	t.Fatalf("no alert of %s among %d", rule, len(page.Alerts))
	return store.Alert{}
}

func TestAnAlertIsRaisedOnceAndNeverClosedInSilence(t *testing.T) {
	f := open(t, Options{})
	if out := f.judge(t, unowned()); out.Raised.New == 0 {
		t.Fatal("nothing was raised", out)
	}
	a := f.alert(t, govern.RuleUnowned)
	if a.Count != 1 || a.Status != finding.Open || a.Latest.Subject.Cluster != "one" || a.Latest.Subject.ObjectClass != "cluster" {
		t.Fatalf("%+v", a)
	}
	f.clock.Advance(time.Hour)
	if out := f.judge(t, unowned()); out.Raised.New != 0 {
		t.Error("the same was raised again", out)
	}
	// Azure is not known for a while: that proves nothing.
	f.clock.Advance(time.Hour)
	if out := f.judge(t, nil); out.Raised.Gone != 0 {
		t.Error("what nobody looked at counts as gone", out)
	}
	owned := unowned()
	owned.Clusters[0].Tags = map[string]string{"owner": "payments"}
	f.clock.Advance(time.Hour)
	if out := f.judge(t, owned); out.Raised.Gone == 0 {
		t.Error("what is gone is not told", out)
	}
	a = f.alert(t, govern.RuleUnowned)
	if a.Status != finding.Open || strings.Count(a.Note, "no longer found") != 1 {
		t.Errorf("%s: %q", a.Status, a.Note)
	}
	f.clock.Advance(time.Hour)
	f.judge(t, owned)
	if again := f.alert(t, govern.RuleUnowned); again.Note != a.Note || again.Count != 1 {
		t.Errorf("told again: %q", again.Note)
	}
	// It is back: the same alert, once more.
	f.clock.Advance(time.Hour)
	f.judge(t, unowned())
	if again := f.alert(t, govern.RuleUnowned); again.Count != 2 || again.ID != a.ID {
		t.Errorf("%+v", again)
	}
}

func TestWhatCouldNotBeHandedOnIsTriedAgain(t *testing.T) {
	fail := errors.New("no room")
	var taken int
	f := open(t, Options{Raise: func(_ context.Context, list []*finding.Finding) error {
		if fail != nil {
			return fail
		}
		taken += len(list)
		return nil
	}})
	of := func() []string {
		var out []string
		for _, g := range f.Status() {
			if g.What == "alerts of governance" {
				out = append(out, g.Reason)
			}
		}
		return out
	}
	out := f.judge(t, unowned())
	if told := of(); out.Raised.New != 0 || len(told) != 1 || !strings.Contains(told[0], "no room") {
		t.Error(out, f.Status())
	}
	if _, _, _, err := f.db.GovDocument(t.Context(), store.GovEvaluation); err != nil {
		t.Error("the evaluation does not stand", err)
	}
	fail = nil
	if out = f.judge(t, unowned()); out.Raised.New == 0 || taken != out.Raised.New || len(of()) != 0 {
		t.Error(out, taken, f.Status())
	}
}

func TestOursThatComesLaterTakesDefendersPlace(t *testing.T) {
	f := open(t, Options{})
	tenant := unowned()
	tenant.DefenderAlerts = []cloud.DefenderAlert{{ID: "/A/1", Type: "K8S_Shell", Title: "A shell\nran", Severity: "High", Status: "Active", Resource: aks1 + "/pods/x", Start: f.now() - hour/2, Namespace: "shop", Pod: "web-1"},
		{ID: "/A/2", Type: "K8S_Old", Title: "Long ago", Severity: "High", Status: "Active", Resource: aks1, Start: f.now() - 90*day}}
	f.state(t, "prod", inventory.Document{Cluster: &inventory.ClusterDoc{Agent: "1", ResourceID: aks1}})
	f.judge(t, tenant)
	page, err := f.db.Alerts(t.Context(), store.AlertQuery{})
	if err != nil {
		t.Fatal(err)
	}
	var theirs string
	for _, a := range page.Alerts {
		if strings.HasPrefix(a.Latest.Rule.ID, store.DefenderRule) {
			if theirs != "" {
				t.Error("one too many", a.Latest.Rule.ID)
			}
			theirs = a.ID
		}
	}
	ours := &finding.Finding{ID: "x", Fingerprint: "1:x", Rule: finding.Rule{ID: "shell", Answers: []string{"K8S_Shell"}}, Severity: finding.High, Time: f.now() - hour/2, Event: json.RawMessage(`{}`),
		Subject: finding.Subject{Cluster: "prod", Workload: "shop/Deployment/web", Container: &finding.Container{Pod: "web-1", Namespace: "shop"}}}
	f.tell(t, store.Item{Finding: ours})
	f.clock.Advance(time.Minute)
	if out := f.judge(t, tenant); out.Raised.Merged != 1 {
		t.Error(out)
	}
	d, err := f.db.Alert(t.Context(), theirs)
	if err != nil || d.Status != finding.Resolved || len(d.History) != 1 || !strings.Contains(d.History[0].Why, finding.AlertID("1:x")) {
		t.Errorf("%+v %v", d, err)
	}
	if d, err = f.db.Alert(t.Context(), finding.AlertID("1:x")); err != nil || !strings.Contains(d.Note, "A shell ran (K8S_Shell, High)") {
		t.Errorf("%q %v", d.Note, err)
	}
	f.clock.Advance(time.Minute)
	if out := f.judge(t, tenant); out.Raised.Merged != 0 || out.Raised.New != 0 {
		t.Error("merged again", out)
	}
}

func TestACollectionThatFailsLeavesTheSnapshotBefore(t *testing.T) {
	dir := t.TempDir()
	var fail error
	collect := func(_ context.Context, sink func(azure.Record) error) error {
		doc := json.RawMessage(`{"id":"/subscriptions/s","subscriptionId":"s","displayName":"one","state":"Enabled"}`)
		if err := sink(azure.Record{What: cloud.ReadSubscriptions, Doc: doc}); err != nil {
			return err
		}
		return fail
	}
	f := open(t, Options{Dir: dir, Collect: collect})
	if err := f.collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := f.Snapshot()
	if first == nil || len(first.Tenant.Subscriptions) != 1 || first.Tenant.Source != "live" {
		t.Fatalf("%+v", first)
	}
	fail = errors.New("the sign-in has expired")
	f.clock.Advance(time.Hour)
	if err := f.collect(t.Context()); err == nil {
		t.Fatal("no error")
	}
	if f.Snapshot() != first || len(f.Status()) != 1 || !strings.Contains(f.Status()[0].Reason, "expired") {
		t.Error(f.Status())
	}
	left, err := filepath.Glob(filepath.Join(dir, ".azure-snapshot-*"))
	if err != nil || len(left) != 0 {
		t.Error("files are left behind", left, err)
	}
	// Another life finds it.
	again := open(t, Options{Dir: dir})
	if err := again.load(); err != nil || again.Snapshot() == nil || len(again.Snapshot().Tenant.Subscriptions) != 1 {
		t.Error(err)
	}
}
