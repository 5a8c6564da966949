package detect

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/detect/rules"
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/rule"
)

// auditMix makes the requests of an ordinary cluster, the same on every run: 40 % leases
// and status of nodes and controllers, 25 % watches and lists, 20 % objects read, 10 %
// objects written, with a body of 2 to 4 KiB, 5 % access reviews. None is an attack.
func auditMix(n int) []*event.Event {
	rnd := rand.New(rand.NewPCG(1, 2))
	pod := map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "web-7d4b9c6f5d-x2x4z", "namespace": "shop", "labels": map[string]any{"app": "web"}},
		"spec": map[string]any{
			"containers": []any{map[string]any{
				"name": "web", "image": "registry.example.com/shop/web:1.27.3", "env": strings.Fields(strings.Repeat("NAME=value ", 60)),
				"resources": map[string]any{"limits": map[string]any{"cpu": "500m", "memory": "256Mi"}}, "securityContext": map[string]any{"runAsNonRoot": true, "runAsUser": 1000},
				"volumeMounts": []any{map[string]any{"name": "data", "mountPath": "/data"}},
			}},
			"volumes": []any{map[string]any{"name": "data", "emptyDir": map[string]any{}}}, "serviceAccountName": "web", "nodeName": "n1",
		},
		"status": map[string]any{"phase": "Running", "podIP": "10.1.0.5", "conditions": strings.Fields(strings.Repeat("condition ", 120))},
	}
	var out []*event.Event
	for i := range n {
		f := event.AuditFacts{Cluster: "prod", First: true, Platform: true, From: event.FromNode, FromNode: "n1", Learned: 9e14}
		doc := map[string]any{
			"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": fmt.Sprintf("0f3a-%d", i), "stage": "ResponseComplete",
			"sourceIPs": []string{"10.0.0.4"}, "userAgent": "kubelet/v1.33.1 (linux/amd64) kubernetes/abcdef", "responseStatus": map[string]any{"metadata": map[string]any{}, "code": 200},
			"requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z", "stageTimestamp": "2026-01-01T00:00:00.000100Z",
			"annotations": map[string]any{"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "RBAC: allowed by ClusterRoleBinding of a controller"},
		}
		say := func(user, verb, uri, group, resource, ns, name string) {
			doc["user"] = map[string]any{"username": user, "groups": []string{"system:serviceaccounts", "system:authenticated"}}
			doc["verb"], doc["requestURI"] = verb, uri
			doc["objectRef"] = map[string]any{"resource": resource, "namespace": ns, "name": name, "apiGroup": group, "apiVersion": "v1"}
			f.ActorName = user
		}
		switch k := rnd.IntN(100); {
		case k < 40:
			say("system:node:n1", "update", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1", "coordination.k8s.io", "leases", "kube-node-lease", "n1")
			f.Actor = event.ActorNode
		case k < 65:
			say("system:kube-controller-manager", "watch", "/apis/apps/v1/replicasets?allowWatchBookmarks=true&resourceVersion=1&watch=true", "apps", "replicasets", "", "")
			f.Actor = event.ActorControlPlane
		case k < 85:
			say("system:serviceaccount:shop:web", "get", "/api/v1/namespaces/shop/configmaps/settings", "", "configmaps", "shop", "settings")
			f.Actor, f.Platform, f.From, f.FromPod, f.TargetTenant, f.ActorTenant = event.ActorServiceAccount, false, event.FromPod, "shop/web-7d4b9c6f5d-x2x4z", "red", "red"
		case k < 95:
			say("system:serviceaccount:kube-system:replicaset-controller", "create", "/api/v1/namespaces/shop/pods", "", "pods", "shop", "")
			doc["level"], doc["requestObject"], doc["responseObject"] = "RequestResponse", pod, pod
			f.Actor, f.Target, f.TargetOwner, f.Images = event.ActorControlPlane, "shop/Deployment/web", "team-shop", []string{"registry.example.com/shop/web:1.27.3"}
		default:
			say("system:kube-scheduler", "create", "/apis/authorization.k8s.io/v1/subjectaccessreviews", "authorization.k8s.io", "subjectaccessreviews", "", "")
			f.Actor = event.ActorControlPlane
		}
		b, err := json.Marshal(doc)
		if err == nil {
			b, err = event.WithAuditFacts(b, &f)
		}
		if err != nil {
			panic(err)
		}
		out = append(out, &event.Event{ID: event.ID{Lane: event.LaneAudit, Seq: uint64(i + 1)}, Type: event.TypePluginevent, Source: event.SourceK8sAudit, Time: 1e18 + int64(i)*1e6, CPU: -1, FD: -1, JSON: b})
	}
	return out
}

// auditRules are the shipped pack and, where DOCKREEVE_FALCO_PLUGINS names them, the
// public audit rules without the two that report every event.
func auditRules(b testing.TB) *rule.Rules {
	files, err := rules.Files()
	if err != nil {
		b.Fatal(err)
	}
	if dir := os.Getenv("DOCKREEVE_FALCO_PLUGINS"); dir != "" {
		name := filepath.Join(dir, "plugins/k8saudit/rules/k8s_audit_rules.yaml")
		data, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		files = append(files, rule.File{Name: name, Data: data})
	}
	src, _ := rule.Load(files, rule.LoadOptions{})
	set, _ := rule.Compile(src, rule.CompileOptions{Disable: []string{"All K8s Audit Events", "Disallowed K8s User"}})
	return set
}

// BenchmarkAuditEvents is the engine alone, from an event's bytes to its findings: one
// index of the document an event, every rule of the source, no findings but those of
// rules that think ordinary work worth one.
func BenchmarkAuditEvents(b *testing.B) {
	set := auditRules(b)
	n := 0
	for _, r := range set.All() {
		if r.Info().Enabled && r.Info().Source == "k8s_audit" {
			n++
		}
	}
	mix, e := auditMix(10_000), New(Options{Rules: set})
	size := 0
	for _, ev := range mix {
		size += len(ev.JSON)
	}
	found := 0
	emit := func(*finding.Finding) { found++ }
	b.ReportAllocs()
	b.ResetTimer()
	start := cpu(b)
	for i := range b.N {
		ev := mix[i%len(mix)]
		ev.Invalidate()
		e.Observe(ev, emit)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/(cpu(b)-start).Seconds(), "events/cpu-s")
	b.ReportMetric(float64(n), "rules")
	b.ReportMetric(float64(size)/float64(len(mix)), "bytes/event")
	b.ReportMetric(float64(found)/float64(b.N), "findings/event")
}

// cpu is the processor time of this process: what counts on a machine others use too.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestOrdinaryAuditEventsCostNoMemory holds that an event which no rule matches is judged
// without allocation, once the event's own memory is warm.
func TestOrdinaryAuditEventsCostNoMemory(t *testing.T) {
	mix, e := auditMix(200), New(Options{Rules: bothRulesQuiet(t)})
	emit := func(f *finding.Finding) { t.Errorf("found %s", f.Output) }
	run := func() {
		for _, ev := range mix {
			ev.Invalidate()
			e.Observe(ev, emit)
		}
	}
	run()
	if n := testing.AllocsPerRun(3, run); n != 0 {
		t.Errorf("%v allocations for %d events", n, len(mix))
	}
}

func bothRulesQuiet(t testing.TB) *rule.Rules {
	t.Helper()
	src, diags := rule.Load([]rule.File{{Name: "t.yaml", Data: []byte(`
- {rule: a, desc: d, condition: "ka.verb in (create, update) and ka.target.resource = secrets and not ka.user.name startswith system:", output: o, priority: ERROR, source: k8s_audit}
- {rule: b, desc: d, condition: "ka.req.pod.containers.privileged intersects (true) or ka.req.pod.volumes.hostpath intersects (/etc)", output: o, priority: ERROR, source: k8s_audit}
- {rule: c, desc: d, condition: "audit.count.secrets > 10 or audit.grants exists or audit.token.elsewhere = true", output: o, priority: ERROR, source: k8s_audit}
- {rule: d, desc: d, condition: "tolower(ka.useragent) contains kube-hunter or jevt.value[/requestObject/spec/hostPID] = true", output: o, priority: ERROR, source: k8s_audit}
`)}}, rule.LoadOptions{})
	set, more := rule.Compile(src, rule.CompileOptions{})
	for _, d := range append(diags, more...) {
		t.Fatal(d)
	}
	return set
}
