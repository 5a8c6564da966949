package detect

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/detect/audit"
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/rule"
)

func bothRules(t testing.TB) *rule.Rules {
	t.Helper()
	src, diags := rule.Load([]rule.File{{Name: "t.yaml", Data: []byte(`
- {rule: Any request, desc: d, condition: ka.verb exists, output: "%ka.user.name did %ka.verb %ka.req.configmap.obj", priority: ERROR, source: k8s_audit, dockreeve: {id: any, summary: "%ka.user.name asked the API server"}}
- {rule: Opened, desc: d, condition: evt.type = openat, output: "opened %fd.name", priority: NOTICE}
`)}}, rule.LoadOptions{})
	set, more := rule.Compile(src, rule.CompileOptions{})
	for _, d := range append(diags, more...) {
		t.Fatal(d)
	}
	return set
}

var auditSeq uint64

// asked makes an audit event of a user, a verb, an object reference and further members.
func asked(user, verb, ref, more string, f *event.AuditFacts) *event.Event {
	doc := fmt.Sprintf(`{"auditID":"x","stage":"ResponseComplete","verb":%q,"user":{"username":%q},"sourceIPs":["203.0.113.9","10.0.0.1"],"userAgent":"kubectl/v1.30"`, verb, user)
	if ref != "" {
		doc += `,"objectRef":` + ref
	}
	doc += more + "}"
	b := []byte(doc)
	if f != nil {
		var err error
		if b, err = event.WithAuditFacts(b, f); err != nil {
			panic(err)
		}
	}
	auditSeq++
	return &event.Event{
		ID: event.ID{Node: 1, Lane: event.LaneAudit, Seq: auditSeq}, Type: event.TypePluginevent, Source: event.SourceK8sAudit, CPU: -1, FD: -1,
		Time: 1e18 + int64(auditSeq)*1e12, JSON: b,
	}
}

func one(t *testing.T, e *Engine, ev *event.Event) *finding.Finding {
	t.Helper()
	var got []*finding.Finding
	e.Observe(ev, func(f *finding.Finding) { got = append(got, f) })
	if len(got) != 1 {
		t.Fatalf("%d findings of %s", len(got), ev.JSON)
	}
	return got[0]
}

func TestWhatAnAuditEventIsAbout(t *testing.T) {
	e := New(Options{Rules: bothRules(t), Node: "not shown"})
	const pod = `{"resource":"pods","namespace":"shop","name":"web-7d4b9c6f5d-x2x4z","subresource":"exec"}`
	for _, c := range []struct {
		ev   *event.Event
		want finding.Subject
		said string
	}{
		{
			asked("alice", "create", pod, "", &event.AuditFacts{Cluster: "prod", ActorName: "alice", Target: "shop/Deployment/web", TargetOwner: "team-shop", TargetTenant: "b", CrossTenant: true}),
			finding.Subject{
				Cluster: "prod", Identity: "user:alice", Source: "203.0.113.9", Agent: "kubectl/v1.30", User: "alice", Workload: "shop/Deployment/web", Owner: "team-shop", Tenant: "b",
				Object: "create pods/exec shop/web-7d4b9c6f5d-x2x4z", ObjectClass: "api:create pods/exec web", Reaches: []string{"tenant:b", "shop/Deployment/web"},
				Container: &finding.Container{Pod: "web-7d4b9c6f5d-x2x4z", Namespace: "shop"},
			},
			"alice asked the API server, in pod shop/web-7d4b9c6f5d-x2x4z of cluster prod.",
		},
		{
			asked("system:serviceaccount:shop:web", "list", `{"resource":"secrets","namespace":"kube-system"}`, "", nil),
			finding.Subject{
				Identity: "serviceaccount:shop/web", Source: "203.0.113.9", Agent: "kubectl/v1.30", User: "system:serviceaccount:shop:web", Workload: "kube-system/Secret",
				Object: "list secrets kube-system", ObjectClass: "api:read secrets",
			},
			"system:serviceaccount:shop:web asked the API server, in namespace kube-system.",
		},
		{
			asked("eve", "create", `{"resource":"clusterrolebindings","apiGroup":"rbac.authorization.k8s.io","name":"grab-42"}`, `,"impersonatedUser":{"username":"system:node:n1"}`, &event.AuditFacts{Cluster: "prod", ActorOwner: "infra"}),
			finding.Subject{
				Cluster: "prod", Identity: "node:n1", Source: "203.0.113.9", Agent: "kubectl/v1.30", User: "eve", Workload: "cluster/ClusterRoleBinding", Owner: "infra",
				Object: "create clusterrolebindings.rbac.authorization.k8s.io grab-42", ObjectClass: "api:write clusterrolebindings.rbac.authorization.k8s.io grab",
			},
			"eve asked the API server, on cluster prod.",
		},
		{
			asked("system:anonymous", "get", "", `,"requestURI":"/version?timeout=32s"`, nil),
			finding.Subject{
				Identity: "anonymous", Source: "203.0.113.9", Agent: "kubectl/v1.30", User: "system:anonymous", Workload: "cluster", Object: "get /version", ObjectClass: "api:read /version",
			},
			"system:anonymous asked the API server, on the cluster.",
		},
		{
			asked("eve", "create", `{"resource":"pods","namespace":"shop"}`, `,"responseObject":{"metadata":{"name":"miner-q7x2k"}}`, nil),
			finding.Subject{
				Identity: "user:eve", Source: "203.0.113.9", Agent: "kubectl/v1.30", User: "eve", Workload: "shop/Pod", Object: "create pods shop/miner-q7x2k", ObjectClass: "api:write pods miner",
				Container: &finding.Container{Pod: "miner-q7x2k", Namespace: "shop"},
			},
			"eve asked the API server, in pod shop/miner-q7x2k.",
		},
	} {
		f := one(t, e, c.ev)
		got, _ := json.Marshal(f.Subject)
		want, _ := json.Marshal(c.want)
		if string(got) != string(want) {
			t.Errorf("%s\ngot  %s\nwant %s", c.ev.JSON, got, want)
		}
		if f.Summary != c.said {
			t.Errorf("said %q, want %q", f.Summary, c.said)
		}
		if len(f.Lineage) != 0 || f.Severity != finding.High {
			t.Errorf("lineage %v, severity %s", f.Lineage, f.Severity)
		}
		var back event.Event
		if err := back.UnmarshalJSON(f.Event); err != nil || string(back.JSON) != string(c.ev.JSON) {
			t.Errorf("the finding's event is not the event: %v", err)
		}
	}
}

// TestOneAttackIsOneAlert holds which requests share a fingerprint and which do not.
func TestOneAttackIsOneAlert(t *testing.T) {
	e := New(Options{Rules: bothRules(t)})
	print := func(ev *event.Event) string { return one(t, e, ev).Fingerprint }
	secret := func(user, verb, name string) *event.Event {
		return asked(user, verb, `{"resource":"secrets","namespace":"shop","name":"`+name+`"}`, "", nil)
	}
	exec := func(pod, cluster, target string) *event.Event {
		return asked("eve", "create", `{"resource":"pods","subresource":"exec","namespace":"shop","name":"`+pod+`"}`, "", &event.AuditFacts{Cluster: cluster, Target: target})
	}
	base := print(secret("eve", "get", "db"))
	for _, ev := range []*event.Event{secret("eve", "get", "mail"), secret("eve", "list", "")} {
		if print(ev) != base {
			t.Errorf("another alert for %s", ev.JSON)
		}
	}
	for _, ev := range []*event.Event{secret("bob", "get", "db"), secret("eve", "delete", "db"), secret("eve", "create", "db")} {
		if print(ev) == base {
			t.Errorf("the same alert for %s", ev.JSON)
		}
	}
	base = print(exec("web-7d4b9c6f5d-x2x4z", "a", "shop/Deployment/web"))
	for what, ev := range map[string]*event.Event{
		"another pod of it":       exec("web-7d4b9c6f5d-bbbbb", "a", "shop/Deployment/web"),
		"its owner not known yet": exec("web-7d4b9c6f5d-ccccc", "a", "shop/Pod/web-7d4b9c6f5d-ccccc"),
	} {
		if print(ev) != base {
			t.Errorf("another alert for %s", what)
		}
	}
	for what, ev := range map[string]*event.Event{
		"another cluster":  exec("web-7d4b9c6f5d-x2x4z", "b", "shop/Deployment/web"),
		"another workload": exec("db-0", "a", "shop/StatefulSet/db"),
	} {
		if print(ev) == base {
			t.Errorf("the same alert for %s", what)
		}
	}
}

// TestAnOwnerToldLateMakesNoSecondAlert is about kernel events of a pod before and after
// the cluster agent told what owns it.
func TestAnOwnerToldLateMakesNoSecondAlert(t *testing.T) {
	e := New(Options{Rules: bothRules(t), Node: "n"})
	at := func(seq uint64, c event.Container) *finding.Finding {
		ev := opened(seq, int64(1e18+seq*1e12), "/etc/shadow")
		ev.Container = &c
		return one(t, e, ev)
	}
	early := at(1, event.Container{ID: "c1", PodNamespace: "shop", PodName: "web-7d4b9c6f5d-x2x4z"})
	late := at(2, event.Container{ID: "c1", PodNamespace: "shop", PodName: "web-7d4b9c6f5d-x2x4z", Workload: "shop/Deployment/web", Owner: "team-shop", Tenant: "a"})
	if early.Fingerprint != late.Fingerprint {
		t.Error("two alerts")
	}
	if early.Subject.Workload != "shop/pod/web-7d4b9c6f5d-x2x4z" || late.Subject.Workload != "shop/Deployment/web" || late.Subject.Owner != "team-shop" || late.Subject.Tenant != "a" {
		t.Errorf("%+v\n%+v", early.Subject, late.Subject)
	}
	if other := at(3, event.Container{ID: "c2", PodNamespace: "shop", PodName: "db-0"}); other.Fingerprint == early.Fingerprint {
		t.Error("another workload is the same alert")
	}
}

func TestStem(t *testing.T) {
	for pod, want := range map[string]string{
		"web-7d4b9c6f5d-x2x4z": "web", "web-1-7d4b9c6f5d-x2x4z": "web-1", "agent-x7k2p": "agent", "backup-29012345-zxcvb": "backup", "db-0": "db", "db-12": "db",
		"web": "web", "my-app": "my-app", "kube-proxy": "kube-proxy", "-x": "-x", "a-": "a-", "": "", "kube-apiserver-node1": "kube-apiserver-node1", "web-6": "web",
	} {
		if got := stem(pod); got != want {
			t.Errorf("%q: %q, want %q", pod, got, want)
		}
	}
}

func TestALargeAuditEventKeepsWhatMatters(t *testing.T) {
	e := New(Options{Rules: bothRules(t)})
	big := strings.Repeat(`\"x`, 40_000)
	f := one(t, e, asked("eve", "create", `{"resource":"configmaps","namespace":"shop","name":"c"}`, `,"requestObject":{"data":{"k":"`+big+`"}}`, &event.AuditFacts{Cluster: "prod"}))
	if len(f.Event) > maxEventJSON || len(f.Output) > maxOutput+8 || len(f.Summary) > maxSummary+256 {
		t.Fatalf("event %d, output %d, summary %d bytes", len(f.Event), len(f.Output), len(f.Summary))
	}
	var back event.Event
	if err := back.UnmarshalJSON(f.Event); err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(back.JSON, &doc); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"objectRef", "user", "verb", "sourceIPs", event.FactsKey, "omitted"} {
		if doc[key] == nil {
			t.Errorf("%s is gone", key)
		}
	}
	if doc["requestObject"] != nil {
		t.Error("the object is still there")
	}
	long := strings.Repeat("é", 90_000)
	f = one(t, e, asked(long, "get", `{"resource":"secrets","namespace":"shop"}`, "", nil))
	if whole, err := json.Marshal(f); err != nil || len(whole) > 96<<10 {
		t.Errorf("a finding of %d bytes: %v", len(whole), err)
	}
	if !strings.HasSuffix(f.Subject.User, "é…") || len(f.Subject.User) > maxWord+4 {
		t.Errorf("user of %d bytes", len(f.Subject.User))
	}
}

// TestAFloodOfOneIdentityDoesNotFoldAnother is the wide limit for audit events.
func TestAFloodOfOneIdentityDoesNotFoldAnother(t *testing.T) {
	e := New(Options{Rules: bothRules(t)})
	told, stands := 0, uint64(0)
	keep := func(f *finding.Finding) { told++; stands += 1 + f.Repeats }
	const n = 5000
	for i := range n {
		ev := asked("eve", "create", fmt.Sprintf(`{"resource":"configmaps","namespace":"shop","name":"%c%c%c"}`, 'a'+i%26, 'a'+i/26%26, 'a'+i/676), "", nil)
		ev.Time = 1e18 + int64(i)
		e.Observe(ev, keep)
	}
	if told > spreadWhole {
		t.Errorf("%d findings passed, want at most %d", told, spreadWhole)
	}
	before := told
	other := asked("bob", "create", `{"resource":"configmaps","namespace":"shop","name":"q"}`, "", nil)
	other.Time = 1e18 + n
	if e.Observe(other, keep); told != before+1 {
		t.Error("another identity's request was folded into the flood")
	}
	if e.Flush(keep); stands != n+1 {
		t.Errorf("the findings stand for %d matches, want %d", stands, n+1)
	}
}

func TestTheEngineKeepsSourcesApart(t *testing.T) {
	e := New(Options{Rules: bothRules(t), Which: All})
	var got []string
	keep := func(f *finding.Finding) { got = append(got, f.Rule.Name) }
	e.Observe(asked("eve", "get", "", "", nil), keep)
	e.Observe(opened(1, 1e18, "/x"), keep)
	if !slices.Equal(got, []string{"Any request", "Opened"}) {
		t.Errorf("%q", got)
	}
}

// FuzzAuditFinding makes a finding of any document: it is bounded, can be sent, and its
// event reads back.
func FuzzAuditFinding(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, `{"user":[],"objectRef":"x","sourceIPs":{"0":"y"},"dockreeve":null}`, `{"verb":1,"objectRef":{"resource":"pods","name":{"a":[ 1 ]},"namespace":"\ud800"}}`,
		`{"verb":"create","objectRef":{"resource":"pods","namespace":"a"},"responseObject":{"metadata":{"name":"-"}},"dockreeve":{"target":"//","crossTenant":true}}`, `{"verb":"get"`,
	} {
		f.Add([]byte(s))
	}
	src, _ := rule.Load([]rule.File{{Name: "t.yaml", Data: []byte(`
- {rule: Every, desc: d, condition: evt.type exists, output: "%ka.user.name %jevt.obj %audit.grants", priority: ERROR, source: k8s_audit, dockreeve: {id: every, summary: "%ka.user.name asked"}}
`)}}, rule.LoadOptions{})
	set, _ := rule.Compile(src, rule.CompileOptions{})
	f.Fuzz(func(t *testing.T, doc []byte) {
		if len(doc) > 1<<18 {
			return
		}
		e, n := New(Options{Rules: set}), 0
		ev := &event.Event{ID: event.ID{Lane: event.LaneAudit, Seq: 1}, Type: event.TypePluginevent, Source: event.SourceK8sAudit, JSON: doc}
		e.Observe(ev, func(fd *finding.Finding) {
			n++
			b, err := json.Marshal(fd)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) > 8*(maxEventJSON+maxOutput) {
				t.Fatalf("a finding of %d bytes", len(b))
			}
			if strings.HasPrefix(string(fd.Event), `{"omitted"`) {
				return
			}
			var back event.Event
			if err := back.UnmarshalJSON(fd.Event); err != nil {
				t.Fatalf("%s: %v", fd.Event, err)
			}
		})
		if n != 1 {
			t.Fatalf("%d findings", n)
		}
	})
}

// TestIdentitiesAreThoseOfTheHabits holds that a finding names who acted in the words by
// which detect/audit counts and learns.
func TestIdentitiesAreThoseOfTheHabits(t *testing.T) {
	for _, name := range []string{
		"alice", "", "system:anonymous", "system:serviceaccount:shop:web", "system:serviceaccount:shop", "system:serviceaccount::", "system:node:n1", "system:node:", "system:kube-scheduler", "aksService",
	} {
		if key, _ := audit.Identity(name); key != identity(name) {
			t.Errorf("%q: %s here, %s there", name, identity(name), key)
		}
	}
}
