package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inventory"
)

const (
	hour  = int64(3600e9)
	start = int64(1_790_000_000e9)
)

// req is one audit event in short.
type req struct {
	user, verb, group, resource, sub, ns, name, ip, agent string
	extra                                                 map[string][]string
	code                                                  int
	stage, id                                             string
	body, resp                                            string
	as                                                    string
}

var serial int

func (r req) event(at int64) *event.Event {
	serial++
	if r.id == "" {
		r.id = fmt.Sprintf("id-%d", serial)
	}
	if r.stage == "" {
		r.stage = "ResponseComplete"
	}
	if r.code == 0 {
		r.code = 200
	}
	if r.ip == "" {
		r.ip = "192.0.2.9"
	}
	m := map[string]any{
		"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": r.id, "stage": r.stage, "requestURI": "/x/y/z", "verb": r.verb,
		"user": map[string]any{"username": r.user, "extra": r.extra}, "sourceIPs": []string{r.ip}, "userAgent": r.agent, "responseStatus": map[string]any{"code": r.code},
	}
	if r.resource != "" {
		m["objectRef"] = map[string]any{"resource": r.resource, "apiGroup": r.group, "subresource": r.sub, "namespace": r.ns, "name": r.name}
	}
	if r.as != "" {
		m["impersonatedUser"] = map[string]any{"username": r.as}
	}
	if r.body != "" {
		m["requestObject"] = json.RawMessage(r.body)
	}
	if r.resp != "" {
		m["responseObject"] = json.RawMessage(r.resp)
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return &event.Event{Type: event.TypePluginevent, Source: event.SourceK8sAudit, Time: at, JSON: b}
}

func cluster(t *testing.T, docs ...string) *inventory.State {
	t.Helper()
	s := inventory.NewState(inventory.Options{Cluster: "test", Config: inventory.Config{Tenants: []inventory.TenantRule{{Name: "red", Namespaces: []string{"red"}}, {Name: "blue", Namespaces: []string{"blue"}}}}})
	for _, d := range docs {
		o, err := inventory.Decode([]byte(d))
		if err != nil {
			t.Fatalf("%s: %v", d, err)
		}
		s.Put(o)
	}
	return s
}

func pod(ns, name, ip, node, hostIP string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":%q,"name":%q,"uid":"u-%s-%s"},"spec":{"nodeName":%q,"serviceAccountName":"app","containers":[{"name":"c","image":"shop/app:1"}]},"status":{"podIP":%q,"podIPs":[{"ip":%q}],"hostIP":%q,"phase":"Running"}}`, ns, name, ns, name, node, ip, ip, hostIP)
}

func node(name, ip string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Node","metadata":{"name":%q},"status":{"addresses":[{"type":"InternalIP","address":%q}]}}`, name, ip)
}

func TestWhoAndFromWhere(t *testing.T) {
	s := cluster(t, node("n1", "10.0.0.1"), node("n2", "10.0.0.2"), pod("red", "web", "10.1.0.5", "n1", "10.0.0.1"), pod("blue", "db", "10.1.0.6", "n2", "10.0.0.2"))
	const app = "system:serviceaccount:red:app"
	bound := map[string][]string{"authentication.kubernetes.io/pod-name": {"web"}, "authentication.kubernetes.io/node-name": {"n1"}}
	for _, c := range []struct {
		name string
		r    req
		want event.AuditFacts
	}{
		{"anonymous from outside", req{user: "system:anonymous", verb: "get", ip: "203.0.113.7"}, event.AuditFacts{Actor: "anonymous", From: "internet"}},
		{"a person, private address", req{user: "jo@example.org", verb: "list", resource: "pods", ip: "10.9.9.9"}, event.AuditFacts{Actor: "user", From: "private"}},
		{"kubelet", req{user: "system:node:n1", verb: "get", resource: "nodes", name: "n1", ip: "10.0.0.1"}, event.AuditFacts{Actor: "node", From: "node", FromNode: "n1", Platform: true}},
		{"a made-up name of the platform, from outside", req{user: "system:made-up", verb: "get", ip: "203.0.113.7"}, event.AuditFacts{Actor: "control-plane", From: "internet"}},
		{"scheduler", req{user: "system:kube-scheduler", verb: "get", ip: "127.0.0.1"}, event.AuditFacts{Actor: "control-plane", From: "loopback", Platform: true}},
		{"managed control plane", req{user: "aksService", verb: "get", ip: "127.0.0.1"}, event.AuditFacts{Actor: "control-plane", From: "loopback", Platform: true}},
		{"a pod with its own token", req{user: app, extra: bound, verb: "get", resource: "pods", ns: "red", ip: "10.1.0.5"}, event.AuditFacts{Actor: "service-account", From: "pod", FromPod: "red/web", TokenPod: "red/web", ActorTenant: "red", TargetTenant: "red"}},
		{"its token from another pod", req{user: app, extra: bound, verb: "get", resource: "pods", ns: "red", ip: "10.1.0.6"}, event.AuditFacts{Actor: "service-account", From: "pod", FromPod: "blue/db", TokenPod: "red/web", Elsewhere: true, ActorTenant: "red", TargetTenant: "red", CrossTenant: true}},
		{"its token from another node", req{user: app, extra: bound, verb: "get", resource: "pods", ns: "red", ip: "10.0.0.2"}, event.AuditFacts{Actor: "service-account", From: "node", FromNode: "n2", TokenPod: "red/web", Elsewhere: true}},
		{"its token from its own node", req{user: app, extra: bound, verb: "get", resource: "pods", ns: "red", ip: "10.0.0.1"}, event.AuditFacts{Actor: "service-account", From: "node", FromNode: "n1", TokenPod: "red/web"}},
		{"its token from outside", req{user: app, extra: bound, verb: "get", resource: "pods", ns: "red", ip: "203.0.113.7"}, event.AuditFacts{Actor: "service-account", From: "internet", TokenPod: "red/web", Elsewhere: true}},
		{"into another tenant", req{user: app, extra: bound, verb: "get", resource: "secrets", ns: "blue", ip: "10.1.0.5"}, event.AuditFacts{Actor: "service-account", From: "pod", FromPod: "red/web", TokenPod: "red/web", CrossTenant: true}},
		{"impersonating the platform", req{user: "jo@example.org", as: "system:kube-scheduler", verb: "get", ip: "10.9.9.9"}, event.AuditFacts{Actor: "control-plane", By: "jo@example.org", From: "private"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := New(Options{State: s, Cluster: "test"})
			f := a.Facts(c.r.event(start))
			got := event.AuditFacts{Actor: f.Actor, By: f.By, From: f.From, FromPod: f.FromPod, TokenPod: f.TokenPod, Elsewhere: f.Elsewhere, CrossTenant: f.CrossTenant, Platform: f.Platform}
			if f.From == event.FromNode {
				got.FromNode = f.FromNode
			}
			want := c.want
			want.ActorTenant, want.TargetTenant = "", ""
			if g, w := js(t, got), js(t, want); g != w {
				t.Errorf("facts\n got %s\nwant %s", g, w)
			}
			if c.want.ActorTenant != "" && f.ActorTenant != c.want.ActorTenant {
				t.Errorf("tenant %q, want %q", f.ActorTenant, c.want.ActorTenant)
			}
		})
	}
}

func js(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestForwardedAddressesAreNotBelieved(t *testing.T) {
	a := New(Options{State: cluster(t, pod("red", "web", "10.1.0.5", "n1", "10.0.0.1")), Cluster: "test"})
	r := req{user: "system:serviceaccount:red:app", verb: "get", ip: "127.0.0.1"}.event(start)
	r.JSON = bytes.Replace(r.JSON, []byte(`["127.0.0.1"]`), []byte(`["127.0.0.1","10.1.0.5"]`), 1)
	if f := a.Facts(r); f.From != event.FromPod {
		t.Errorf("from %q: a header that the client wrote was believed", f.From)
	}
}

func TestNodesTeachTheWayOut(t *testing.T) {
	a := New(Options{State: cluster(t, node("n1", "10.0.0.1"), node("n2", "10.0.0.2"), pod("red", "web", "10.1.0.5", "n1", "10.0.0.1")), Cluster: "test"})
	use := req{user: "system:serviceaccount:red:app", verb: "get", resource: "pods", ns: "red", ip: "198.51.100.20", extra: map[string][]string{"authentication.kubernetes.io/pod-name": {"web"}}}
	if f := a.Facts(use.event(start)); !f.Elsewhere {
		t.Error("an address nobody knows is not elsewhere")
	}
	a.Facts(req{user: "system:node:n1", verb: "get", resource: "nodes", name: "n1", ip: "198.51.100.20"}.event(start + 1))
	if f := a.Facts(use.event(start + 2)); !f.Elsewhere {
		t.Error("one kubelet's word is enough: whoever holds its credentials teaches an address of theirs")
	}
	a.Facts(req{user: "system:node:n2", verb: "get", resource: "nodes", name: "n2", ip: "198.51.100.20"}.event(start + 2))
	if f := a.Facts(use.event(start + 3)); f.Elsewhere || f.From != event.FromNode {
		t.Errorf("from %s, elsewhere %v: kubelets come from there, so pods do", f.From, f.Elsewhere)
	}
	if f := a.Facts(use.event(start + 8*day)); !f.Elsewhere {
		t.Error("an address that no kubelet used for a week still counts as the nodes'")
	}
}

func TestALongRequestIsJudgedOnce(t *testing.T) {
	a := New(Options{State: cluster(t), Cluster: "test"})
	r := req{user: "jo", verb: "create", resource: "pods", sub: "exec", ns: "red", name: "web", id: "same", code: 101}
	r.stage = "RequestReceived"
	if a.Facts(r.event(start)).First {
		t.Error("a request that nobody answered is first")
	}
	r.stage = "ResponseStarted"
	if !a.Facts(r.event(start)).First {
		t.Error("the start of the answer is not first")
	}
	r.stage = "ResponseComplete"
	if a.Facts(r.event(start)).First {
		t.Error("the end is first a second time")
	}
	r.id = "other"
	if !a.Facts(r.event(start)).First {
		t.Error("without a start told the end is not first")
	}
}

func TestGrants(t *testing.T) {
	s := cluster(t,
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"cluster-admin"},"rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]}`,
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"reader"},"rules":[{"verbs":["get","list"],"apiGroups":[""],"resources":["secrets"]}]}`,
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"has"},"roleRef":{"kind":"ClusterRole","name":"reader"},"subjects":[{"kind":"ServiceAccount","namespace":"red","name":"app"}]}`,
	)
	a := New(Options{State: s, Cluster: "test"})
	bind := func(role, name, account string) event.AuditFacts {
		body := fmt.Sprintf(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":%q},"roleRef":{"kind":"ClusterRole","name":%q},"subjects":[{"kind":"ServiceAccount","namespace":"red","name":%q}]}`, name, role, account)
		return a.Facts(req{user: "jo", verb: "create", group: "rbac.authorization.k8s.io", resource: "clusterrolebindings", name: name, body: body, code: 201}.event(start))
	}
	if f := bind("cluster-admin", "new", "app"); !slices.Contains(f.Grants, event.PowerClusterAdmin) || !f.GrantsNew || f.GrantsScope != "cluster" || !slices.Contains(f.GrantsTo, "ServiceAccount/red/app") {
		t.Errorf("cluster-admin: %+v", f)
	}
	if f := bind("reader", "again", "app"); !slices.Contains(f.Grants, event.PowerSecretsRead) || f.GrantsNew {
		t.Errorf("what it holds already is new: %s", js(t, f))
	}
	if f := bind("reader", "has", "app"); !f.GrantsNew {
		t.Errorf("the binding itself, seen in the inventory first, counts as held before: %s", js(t, f))
	}
	if f := bind("reader", "x", "other"); !f.GrantsNew {
		t.Errorf("new to another account: %s", js(t, f))
	}
	if f := bind("nowhere", "x", "other"); len(f.NotAssessed) == 0 || len(f.Grants) > 0 {
		t.Errorf("a role nobody knows: %s", js(t, f))
	}
}

func TestARoleAndItsBindingInOneInstant(t *testing.T) {
	a := New(Options{State: cluster(t), Cluster: "test"}) // which has heard of neither yet
	role := `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"quick"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["secrets"]}]}`
	a.Facts(req{user: "jo", verb: "create", group: "rbac.authorization.k8s.io", resource: "clusterroles", name: "quick", body: role, code: 201}.event(start))
	binding := `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"b"},"roleRef":{"kind":"ClusterRole","name":"quick"},"subjects":[{"kind":"User","name":"eve"}]}`
	f := a.Facts(req{user: "jo", verb: "create", group: "rbac.authorization.k8s.io", resource: "clusterrolebindings", name: "b", body: binding, code: 201}.event(start + 1))
	if !slices.Contains(f.Grants, event.PowerSecretsRead) || !f.GrantsNew || len(f.NotAssessed) > 0 {
		t.Errorf("the binding of a role written just before: %s", js(t, f))
	}
}

func TestPodInATemplateAndInAPatch(t *testing.T) {
	a := New(Options{State: cluster(t), Cluster: "test"})
	f := a.Facts(req{user: "jo", verb: "patch", group: "apps", resource: "deployments", ns: "red", name: "web", body: `{"spec":{"template":{"spec":{"hostPID":true,"containers":[{"name":"c","image":"evil.example/xmrig:1","securityContext":{"privileged":true},"volumeMounts":[{"name":"h","mountPath":"/d"}]}],"volumes":[{"name":"h","hostPath":{"path":"/var/run/../run/docker.sock"}}]}}}}`}.event(start))
	if !slices.Contains(f.Powers, "privileged") || !slices.Contains(f.Powers, "hostPID") || len(f.Mounts) != 1 || !slices.Contains(f.Tools, "miner:xmrig") || len(f.NewImages) != 1 {
		t.Errorf("facts of a merge patch: %s", js(t, f))
	}
	f = a.Facts(req{user: "jo", verb: "patch", group: "apps", resource: "deployments", ns: "red", name: "web", body: `[{"op":"copy","from":"/metadata/name","path":"/spec/x"}]`}.event(start))
	if len(f.NotAssessed) == 0 {
		t.Errorf("a patch that copies is assessed without the answer: %s", js(t, f))
	}
}

func TestCountsOfTenMinutes(t *testing.T) {
	a := New(Options{State: cluster(t), Cluster: "test"})
	var f event.AuditFacts
	for i := range 30 {
		f = a.Facts(req{user: "jo", verb: "get", resource: "secrets", ns: "red", name: fmt.Sprintf("s%d", i%20)}.event(start + int64(i)*1e9))
	}
	if f.SecretsRead != 20 {
		t.Errorf("%d different secrets, want 20", f.SecretsRead)
	}
	for range 7 {
		f = a.Facts(req{user: "jo", verb: "delete", resource: "secrets", ns: "red", code: 403}.event(start + 60e9))
	}
	if f.Denied != 7 || f.Probes != 1 || f.Deleted != 0 {
		t.Errorf("denied %d, probes %d, deleted %d", f.Denied, f.Probes, f.Deleted)
	}
	f = a.Facts(req{user: "jo", verb: "get", resource: "secrets", ns: "red", name: "one"}.event(start + 2000e9))
	if f.SecretsRead != 1 || f.Denied != 0 {
		t.Errorf("after half an hour: %d secrets, %d denied", f.SecretsRead, f.Denied)
	}
}

func TestWhatWasLearnedSurvives(t *testing.T) {
	s := cluster(t)
	a := New(Options{State: s, Cluster: "test"})
	work := func(a *Auditor, at int64) event.AuditFacts {
		return a.Facts(req{user: "system:serviceaccount:red:app", verb: "list", resource: "configmaps", ns: "red", agent: "app/1", ip: "10.1.0.5"}.event(at))
	}
	for at := start; at < start+4*day; at += hour {
		work(a, at)
	}
	var b bytes.Buffer
	if err := a.Snapshot(&b); err != nil {
		t.Fatal(err)
	}
	again := New(Options{State: s, Cluster: "test"})
	if err := again.Restore(bytes.NewReader(b.Bytes())); err != nil {
		t.Fatal(err)
	}
	steal := req{user: "system:serviceaccount:red:app", verb: "list", resource: "secrets", agent: "curl/8", ip: "10.1.0.5"}
	for _, x := range []*Auditor{a, again} {
		if f := work(x, start+4*day); len(f.Unusual) != 0 {
			t.Errorf("its daily work is unusual: %v", f.Why)
		}
		f := x.Facts(steal.event(start + 4*day + 1))
		if !slices.Contains(f.Unusual, ModelSecrets) || !slices.Contains(f.Unusual, ModelAccounts) || f.Learned < 3*day || len(f.Why) == 0 {
			t.Errorf("a service account that never read secrets lists all: %s", js(t, f))
		}
		if f := x.Facts(steal.event(start + 4*day + hour/2)); !slices.Contains(f.Unusual, ModelAccounts) {
			t.Error("half an hour later the same step counts as a habit")
		}
	}
	if err := New(Options{State: s, Cluster: "other"}).Restore(bytes.NewReader(b.Bytes())); err == nil {
		t.Error("another cluster's habits were taken")
	}
	if err := again.Restore(bytes.NewReader(b.Bytes()[:b.Len()/2])); err == nil {
		t.Error("half a snapshot was taken")
	}
	if f := work(again, start+4*day+2); len(f.Unusual) != 0 {
		t.Error("a snapshot that failed changed what was known")
	}
}

func TestNothingIsUnusualWhileLearning(t *testing.T) {
	a := New(Options{State: cluster(t), Cluster: "test"})
	for at := start; at < start+2*day; at += hour {
		f := a.Facts(req{user: "system:serviceaccount:red:app", verb: "list", resource: "secrets", ns: fmt.Sprint("ns", at), agent: "curl/8"}.event(at))
		if len(f.Unusual) > 0 {
			t.Fatalf("after %v: %v", (at-start)/hour, f.Why)
		}
	}
	for _, l := range a.Learned(start + 2*day) {
		if l.Ready || l.Model == ModelSecrets && (l.Since != start || l.Until != start+3*day) {
			t.Errorf("%+v", l)
		}
	}
}
