package ingest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
)

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func delta(cluster string, docs ...inventory.Document) inventory.Delta {
	return inventory.Delta{Cluster: cluster, Time: 5, Put: docs}
}

func TestWhoMaySpeakForACluster(t *testing.T) {
	habits := inventory.Habits{Cluster: "prod", Time: 5, List: []inventory.Habit{{Identity: "user:a", Verb: "get", Count: 1, First: 1, Last: 2}}}
	for _, tc := range []struct {
		origin string
		good   bool
	}{
		{"", true}, {"local", true}, {"cluster/prod", true}, {"cluster/dev", false}, {"cluster/", false}, {"node/prod/n1", false}, {"n1", false}, {"cluster/prod/x", false}, {"clusterprod", false},
	} {
		for kind, v := range map[link.Kind]any{link.KindInventory: delta("prod"), link.KindHabits: habits, link.KindAudit: json.RawMessage(auditOf(t, "prod", ""))} {
			_, _, err := decode(link.Envelope{Origin: tc.origin, Lane: link.LaneInventory, Seq: 1, Kind: kind, Bytes: encode(t, v)})
			if (err == nil) != tc.good {
				t.Errorf("%q, kind %d: %v", tc.origin, kind, err)
			}
		}
	}
}

func TestAFindingIsOfItsSendersCluster(t *testing.T) {
	for origin, want := range map[string]string{"cluster/prod": "prod", "node/prod/n1": "prod", "local": "said", "": "said", "n1": "said"} {
		f := finding.Finding{ID: "x", Fingerprint: "1:a", Rule: finding.Rule{ID: "r"}, Severity: finding.Low, Time: 1, Event: json.RawMessage("{}"), Subject: finding.Subject{Cluster: "said"}}
		it, _, err := decode(link.Envelope{Origin: origin, Kind: link.KindFinding, Bytes: encode(t, f)})
		if err != nil || it.Finding.Subject.Cluster != want || (it.Raw == nil) != (want != "said") {
			t.Errorf("%q: %q %v", origin, it.Finding.Subject.Cluster, err)
		}
	}
}

// What cannot be kept is left out and counted; it does not take the rest with it.
func TestHostileInventory(t *testing.T) {
	good := inventory.Document{Workload: &inventory.WorkloadDoc{Key: "a/Pod/x"}}
	long := strings.Repeat("x", 20<<10)
	many := make([]string, 5000)
	for name, bad := range map[string]inventory.Document{
		"of no kind":        {},
		"of two kinds":      {Node: &inventory.NodeDoc{Name: "n"}, Workload: &inventory.WorkloadDoc{Key: "n"}},
		"without a key":     {Workload: &inventory.WorkloadDoc{}},
		"with a long key":   {Workload: &inventory.WorkloadDoc{Key: long}},
		"with NUL":          {Node: &inventory.NodeDoc{Name: "a\x00b"}},
		"of another":        {Cluster: &inventory.ClusterDoc{Name: "dev"}},
		"with a long text":  {Workload: &inventory.WorkloadDoc{Key: "k", Owner: long}},
		"with a long label": {Workload: &inventory.WorkloadDoc{Key: "k", Labels: map[string]string{long: "x"}}},
		"with many powers":  {Workload: &inventory.WorkloadDoc{Key: "k", Powers: many}},
	} {
		it, dropped, err := decode(link.Envelope{Origin: "cluster/prod", Kind: link.KindInventory, Bytes: encode(t, delta("prod", bad, good, bad))})
		if err != nil || dropped != 2 || len(it.Inventory.Put) != 1 || it.Inventory.Put[0].Workload.Key != "a/Pod/x" {
			t.Errorf("%s: %d dropped, %+v, %v", name, dropped, it.Inventory, err)
		}
	}
	for name, bad := range map[string]string{
		"no cluster":     `{"time":1}`,
		"no time":        `{"cluster":"prod"}`,
		"no generation":  `{"cluster":"prod","time":1,"generation":-1}`,
		"no JSON":        `{"cluster":"prod","time":1`,
		"a blank line":   "{\"cluster\":\"prod\\u000a\",\"time\":1}",
		"many documents": `{"cluster":"prod","time":1,"gone":[` + strings.Repeat(`{},`, 10_000) + `{}]}`,
		"a bomb":         `{"cluster":` + strings.Repeat("[", 20_000),
	} {
		if _, _, err := decode(link.Envelope{Kind: link.KindInventory, Bytes: []byte(bad)}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	it, dropped, err := decode(link.Envelope{Kind: link.KindInventory, Bytes: []byte(`{"cluster":"prod","time":1,"gone":[{"kind":"secret","key":"x"},{"kind":"workload","key":""},{"kind":"node","key":"n"}]}`)})
	if err != nil || dropped != 2 || len(it.Inventory.Gone) != 1 {
		t.Errorf("%+v %d %v", it.Inventory, dropped, err)
	}
	it, dropped, err = decode(link.Envelope{Kind: link.KindHabits, Bytes: []byte(`{"cluster":"prod","time":1,"list":[{"identity":"a","verb":"get","count":1,"denied":2,"first":1,"last":1},
		{"identity":"","verb":"get","count":1},{"identity":"a","verb":"get","count":-1},{"identity":"a","verb":"get","count":1,"first":5,"last":1},
		{"identity":"a","verb":"get","count":1,"first":1,"last":1,"sources":["1","2","3","4","5","6","7","8","9"]}]}`)})
	if err != nil || dropped != 4 || len(it.Habits.List) != 1 || len(it.Habits.List[0].Sources) != 8 {
		t.Errorf("%+v %d %v", it.Habits, dropped, err)
	}
}

// auditOf is an event of an audit log as a cluster's agent sends it; more is members of
// its JSON.
func auditOf(t testing.TB, cluster, more string) []byte {
	t.Helper()
	doc := []byte(`{"kind":"Event","level":"Metadata","auditID":"u1","stage":"ResponseComplete","requestURI":"/api/v1/x?y=1","verb":"create","user":{"username":"system:serviceaccount:shop:web"},
		"sourceIPs":["10.0.0.7"],"userAgent":"kubectl/1","objectRef":{"resource":"deployments","namespace":"shop","name":"api","apiGroup":"apps","subresource":"scale"},
		"responseStatus":{"code":403,"reason":"Forbidden"},"annotations":{"authorization.k8s.io/decision":"forbid"}` + more + `}`)
	doc, err := event.WithAuditFacts(doc, &event.AuditFacts{Cluster: cluster, From: event.FromPod, FromPod: "shop/web-1", Target: "shop/Deployment/api", Unusual: []string{"service-account"}})
	if err != nil {
		t.Fatal(err)
	}
	ev := event.Event{ID: event.ID{Node: 1, Boot: 2, Lane: event.LaneAudit, Seq: 3}, Source: event.SourceK8sAudit, Type: event.TypePluginevent, Time: 77, FD: -1, CPU: -1, JSON: doc}
	return ev.AppendJSON(nil)
}

func TestAnAuditEventIsTakenApart(t *testing.T) {
	it, _, err := decode(link.Envelope{Origin: "cluster/prod", Lane: link.LaneEvent, Seq: 1, Kind: link.KindAudit, Bytes: auditOf(t, "prod", "")})
	if err != nil {
		t.Fatal(err)
	}
	a := it.Audit
	got := fmt.Sprint(a.Cluster, " ", a.Time, " ", a.Verb, " ", a.Resource, " ", a.Namespace, " ", a.Name, " ", a.User, " ", a.Identity, " ", a.Sources, a.Agent, " ", a.Code, a.Decision, a.Reason, " ", a.Unusual, a.From, a.FromName, " ", a.Workload, " ", a.Stage, a.Level)
	const want = "prod 77 create deployments.apps/scale shop api system:serviceaccount:shop:web serviceaccount:shop/web [10.0.0.7]kubectl/1 403forbidForbidden [service-account]podshop/web-1 shop/Deployment/api ResponseCompleteMetadata"
	if got != want || a.ID != (event.ID{Node: 1, Boot: 2, Lane: event.LaneAudit, Seq: 3}).String() || !strings.Contains(string(a.Doc), `"dockreeve":{"cluster":"prod"`) {
		t.Fatalf("%s\n%s\n%s", got, a.ID, a.Doc)
	}
	it, _, err = decode(link.Envelope{Kind: link.KindAudit, Bytes: auditOf(t, "prod", `,"impersonatedUser":{"username":"system:node:n1"},"objectRef":null`)})
	if err != nil || it.Audit.Impersonator != "system:serviceaccount:shop:web" || it.Audit.Identity != "node:n1" || it.Audit.Resource != "/api/v1/x" {
		t.Fatalf("%+v %v", it.Audit, err)
	}
	for user, want := range map[string]string{"": "", "system:anonymous": "anonymous", "system:node:n": "node:n", "system:serviceaccount:a:b": "serviceaccount:a/b", "system:serviceaccount:a": "user:system:serviceaccount:a", "eve": "user:eve"} {
		if got := identityOf(user); got != want {
			t.Errorf("%q: %q, want %q", user, got, want)
		}
	}
	for name, bad := range map[string]event.Event{
		"a kernel's":  {ID: event.ID{Node: 1}, Time: 1, JSON: []byte("{}")},
		"without id":  {Source: event.SourceK8sAudit, Time: 1, JSON: []byte("{}")},
		"without end": {ID: event.ID{Node: 1}, Source: event.SourceK8sAudit, Time: 1, JSON: []byte(`{"verb":`)},
		"of nowhere":  {ID: event.ID{Node: 1}, Source: event.SourceK8sAudit, Time: 1, JSON: []byte(`{"verb":"get"}`)},
	} {
		if _, _, err := decode(link.Envelope{Kind: link.KindAudit, Bytes: bad.AppendJSON(nil)}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestANodeCannotBeCalledACluster(t *testing.T) {
	if _, _, err := decode(link.Envelope{Kind: link.KindUse, Bytes: []byte(`{"node":"cluster/prod","container":"c","since":1,"until":2}`)}); err == nil {
		t.Fatal("taken")
	}
}

func TestPartsThatCannotBeKeptAreCounted(t *testing.T) {
	r := start(t)
	r.run(t.Context())
	b := encode(t, delta("prod", inventory.Document{}, inventory.Document{Node: &inventory.NodeDoc{Name: "n"}}))
	if err := r.pipe.Send(t.Context(), link.LaneInventory, link.KindInventory, b); err != nil {
		t.Fatal(err)
	}
	r.finish(t)
	for _, it := range r.shelf.items {
		if l := it.Loss; l != nil && l.Hop == Hop && l.Reason == "invalid_part" && l.Count == 1 {
			return
		}
	}
	t.Fatalf("no loss stored: %+v", r.shelf.items)
}
