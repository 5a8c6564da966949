package audit

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inventory"
)

// What an attacker who may use the API writes into a request to go unseen.

func TestAChosenAuditIDHidesNothing(t *testing.T) {
	a := New(Options{State: cluster(t), Cluster: "test"})
	at := func(r req, received string) *event.Event {
		ev := r.event(start)
		ev.JSON = bytes.Replace(ev.JSON, []byte(`{"`), []byte(`{"requestReceivedTimestamp":"`+received+`","`), 1)
		return ev
	}
	watch := req{user: "jo", verb: "watch", resource: "configmaps", ns: "red", id: "chosen", stage: "ResponseStarted"}
	if !a.Facts(at(watch, "2026-09-21T10:00:00.000001Z")).First {
		t.Fatal("a watch that begins is not first")
	}
	for i, r := range []req{
		{user: "jo", verb: "list", resource: "secrets", id: "chosen"},
		{user: "jo", verb: "create", resource: "pods", sub: "exec", ns: "red", name: "web", id: "chosen", stage: "ResponseStarted", code: 101},
		{user: "jo", verb: "watch", resource: "configmaps", ns: "red", id: "chosen"},
	} {
		if !a.Facts(at(r, fmt.Sprintf("2026-09-21T10:00:0%d.000001Z", i+1))).First {
			t.Errorf("%s %s/%s with the audit id of an earlier watch is judged by no rule", r.verb, r.resource, r.sub)
		}
	}
	watch.stage = "ResponseComplete"
	if a.Facts(at(watch, "2026-09-21T10:00:00.000001Z")).First {
		t.Error("the end of the watch is first a second time")
	}
}

func TestWhoImpersonatesIsNotThePlatform(t *testing.T) {
	s := cluster(t, pod("red", "web", "10.1.0.5", "n1", "10.0.0.1"), pod("kube-system", "dns", "10.1.0.7", "n1", "10.0.0.1"), node("n1", "10.0.0.1"))
	const addon = "system:serviceaccount:kube-system:dns"
	for _, c := range []struct {
		name string
		r    req
		want bool
	}{
		{"an add-on", req{user: addon, ip: "10.1.0.7"}, true},
		{"an add-on by its node", req{user: addon, ip: "10.0.0.1"}, true},
		{"a person as an add-on", req{user: "jo", as: addon, ip: "10.9.9.9"}, false},
		{"a pod as an add-on", req{user: "system:serviceaccount:red:app", as: addon, ip: "10.1.0.5"}, false},
		{"an add-on's token in somebody's pod", req{user: addon, ip: "10.1.0.5"}, false},
		{"a kubelet's certificate in somebody's pod", req{user: "system:node:n1", ip: "10.1.0.5"}, false},
		{"a certificate of the control plane in somebody's pod", req{user: "system:kube-controller-manager", ip: "10.1.0.5"}, false},
		{"an add-on's bound token outside", req{user: addon, ip: "203.0.113.7", extra: map[string][]string{"authentication.kubernetes.io/pod-name": {"dns"}}}, false},
		{"a kubelet", req{user: "system:node:n1", ip: "10.0.0.1"}, true},
	} {
		c.r.verb, c.r.resource = "list", "secrets"
		if f := New(Options{State: s, Cluster: "test"}).Facts(c.r.event(start)); f.Platform != c.want {
			t.Errorf("%s: platform %v, want %v (from %s %s)", c.name, f.Platform, c.want, f.From, f.FromPod)
		}
	}
}

// The policy of docs/audit.md records requests and no answers, so a patch is all there is.
func TestEveryFormOfAPatchIsRead(t *testing.T) {
	const d = "deployments"
	for name, r := range map[string]req{
		"json patch of a field":     {resource: d, body: `[{"op":"test","path":"/metadata/name","value":"web"},{"op":"add","path":"/spec/template/spec/containers/0/securityContext","value":{"privileged":true}}]`},
		"json patch of a leaf":      {resource: d, body: `[{"op":"replace","path":"/spec/template/spec/containers/0/securityContext/privileged","value":true}]`},
		"json patch of a container": {resource: d, body: `[{"op":"add","path":"/spec/template/spec/containers/-","value":{"name":"x","image":"a","securityContext":{"privileged":true}}}]`},
		"json patch of a template":  {resource: d, body: `[{"op":"add","path":"/spec/template","value":{"spec":{"containers":[{"name":"x","image":"a","securityContext":{"privileged":true}}]}}}]`},
		"json patch of everything":  {resource: d, body: `[{"op":"replace","path":"","value":{"spec":{"template":{"spec":{"containers":[{"name":"x","image":"a","securityContext":{"privileged":true}}]}}}}}]`},
		"answer as a table":         {resource: d, body: `[{"op":"add","path":"/spec/template/spec/containers/0/securityContext","value":{"privileged":true}}]`, resp: `{"kind":"Table","apiVersion":"meta.k8s.io/v1","rows":[]}`},
		"answer as metadata only":   {resource: d, body: `[{"op":"add","path":"/spec/template/spec/containers/0/securityContext","value":{"privileged":true}}]`, resp: `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"web"}}`},
		"names in another case":     {resource: d, body: `{"spec":{"template":{"spec":{"containers":[{"name":"c","securityContext":{"privileged":true,"Privileged":false}}],"Containers":[]}}},"Spec":{},"KIND":"Status"}`},
	} {
		t.Run(name, func(t *testing.T) {
			r.user, r.verb, r.group, r.ns, r.name = "jo", "patch", "apps", "red", "web"
			f := New(Options{State: cluster(t), Cluster: "test"}).Facts(r.event(start))
			if !slices.Contains(f.Powers, "privileged") {
				t.Errorf("the privileged container is not seen: %s", js(t, f))
			}
		})
	}
}

func TestTooWildAPatchIsSaidNotToBeAssessed(t *testing.T) {
	for _, body := range []string{
		`[{"op":"copy","from":"/metadata/annotations/a","path":"/spec/template/spec/containers/0/securityContext"}]`,
		`[{"op":"add","path":"/spec/template/spec/hostPID/x","value":true},{"op":"add","path":"/spec/template/spec/hostPID","value":[1]}]`,
		`[7]`,
	} {
		f := New(Options{State: cluster(t), Cluster: "test"}).Facts(req{user: "jo", verb: "patch", group: "apps", resource: "deployments", ns: "red", name: "web", body: body}.event(start))
		if len(f.NotAssessed) == 0 {
			t.Errorf("%s is said to be assessed: %s", body, js(t, f))
		}
	}
}

func TestAnOldEventDoesNotEndTheLearning(t *testing.T) {
	a := New(Options{State: cluster(t), Cluster: "test"})
	a.Facts(req{user: "jo", verb: "get", resource: "pods"}.event(start))
	a.Facts(req{user: "jo", verb: "get", resource: "pods"}.event(1e9)) // of an API server whose clock stands in 1970
	for _, l := range a.Learned(start + hour) {
		if l.Ready {
			t.Errorf("%s judges after an hour, because of one event of 1970", l.Model)
		}
	}
}

func TestAnAttackInTwoPatchesIsSeen(t *testing.T) {
	const template = `"template":{"metadata":{"labels":{"app":"db"}},"spec":{"containers":[{"name":"c","image":"redis:7"%s}]%s}}`
	deployment := func(mounts, volumes string) string {
		return `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"namespace":"red","name":"web"},"spec":{` + fmt.Sprintf(template, mounts, volumes) + `}}`
	}
	const (
		volume  = `"volumes":[{"name":"v","hostPath":{"path":"/"}}]`
		mount   = `"volumeMounts":[{"name":"v","mountPath":"/host"}]`
		admin   = `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"cluster-admin"},"rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]}`
		binding = `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"b"},"roleRef":{"kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"kind":"User","name":"old"}]}`
		service = `{"apiVersion":"v1","kind":"Service","metadata":{"namespace":"red","name":"db"},"spec":{"selector":{"app":"db"},"ports":[{"port":6379}]}}`
	)
	patch := func(state, group, resource, name, body string) event.AuditFacts {
		ns := "red"
		if resource == "clusterrolebindings" {
			ns = ""
		}
		return New(Options{State: cluster(t, admin, deployment("", ""), state), Cluster: "test"}).Facts(req{user: "jo", verb: "patch", group: group, resource: resource, ns: ns, name: name, body: body}.event(start))
	}
	f := patch(deployment("", ","+volume), "apps", "deployments", "web", `{"spec":{"template":{"spec":{"containers":[{"name":"c",`+mount+`}]}}}}`)
	if !slices.Contains(f.Mounts, "/") {
		t.Errorf("a mount of a volume that was there: %s", js(t, f))
	}
	f = patch(deployment(","+mount, `,"volumes":[{"name":"v","emptyDir":{}}]`), "apps", "deployments", "web", `{"spec":{"template":{"spec":{`+volume+`}}}}`)
	if !slices.Contains(f.Mounts, "/") {
		t.Errorf("a volume for a mount that was there: %s", js(t, f))
	}
	f = patch(deployment(","+mount, ","+volume), "apps", "deployments", "web", `{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"redis:8"}]}}}}`)
	if len(f.Mounts) > 0 {
		t.Errorf("a new image alone is told as a mount: %s", js(t, f))
	}
	for _, body := range []string{`{"subjects":[{"kind":"User","name":"new"}]}`, `[{"op":"add","path":"/subjects/-","value":{"kind":"User","name":"new"}}]`} {
		f = patch(binding, "rbac.authorization.k8s.io", "clusterrolebindings", "b", body)
		if !slices.Contains(f.Grants, event.PowerClusterAdmin) || !f.GrantsNew || !slices.Contains(f.GrantsTo, "User/new") {
			t.Errorf("a subject put into a binding: %s", js(t, f))
		}
	}
	f = patch(service, "", "services", "db", `{"spec":{"type":"LoadBalancer"}}`)
	if f.Exposure != inventory.ReachInternet || !slices.Contains(f.Apps, "redis") || len(f.Ports) != 1 {
		t.Errorf("a service opened by its type alone: %s", js(t, f))
	}
}

func TestAWebhookThatAPatchAddsIsRead(t *testing.T) {
	for _, body := range []string{
		`[{"op":"add","path":"/webhooks/-","value":{"name":"d.e.f","clientConfig":{"url":"https://203.0.113.5/x"}}}]`,
		`[{"op":"replace","path":"/webhooks/3/clientConfig","value":{"url":"https://203.0.113.5/x"}}]`,
		`{"webhooks":[{"name":"d.e.f","clientConfig":{"url":"https://203.0.113.5/x","Url":""}}],"WEBHOOKS":[]}`,
	} {
		f := New(Options{State: cluster(t), Cluster: "test"}).Facts(req{user: "jo", verb: "patch", group: "admissionregistration.k8s.io", resource: "validatingwebhookconfigurations", name: "vw", body: body}.event(start))
		if !slices.Equal(f.HookURLs, []string{"https://203.0.113.5/x"}) {
			t.Errorf("%s: %s", body, js(t, f))
		}
	}
}

func TestTheSourceIsWhatTheServerSaw(t *testing.T) {
	for list, want := range map[string]string{`["10.1.0.5","203.0.113.9"]`: "203.0.113.9", `["203.0.113.9","192.0.2.1"]`: "203.0.113.9", `["192.0.2.1"]`: "192.0.2.1", `["x"]`: "", `[]`: ""} {
		a := New(Options{State: cluster(t), Cluster: "test", Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
		ev := req{user: "jo", verb: "get", ip: "127.0.0.9"}.event(start)
		ev.JSON = bytes.Replace(ev.JSON, []byte(`["127.0.0.9"]`), []byte(list), 1)
		if f := a.Facts(ev); f.Source != want {
			t.Errorf("%s came from %q, want %q", list, f.Source, want)
		}
	}
}

func TestALongListHidesNothing(t *testing.T) {
	list := func(n int, one string) string { return strings.TrimSuffix(strings.Repeat(one+",", n), ",") }
	told := func(f event.AuditFacts) bool {
		return slices.Contains(f.NotAssessed, ObjectNotAssessed+errTooBig.Error())
	}
	const benign, mount = `{"name":"c","image":"a"}`, `{"name":"v","mountPath":"/v"}`
	for name, body := range map[string]string{
		"containers": `{"spec":{"containers":[` + list(64, benign) + `,{"name":"x","image":"a","securityContext":{"privileged":true}}]}}`,
		"volumes":    `{"spec":{"volumes":[` + list(64, `{"name":"e","emptyDir":{}}`) + `,{"name":"h","hostPath":{"path":"/"}}],"containers":[{"name":"c","image":"a","volumeMounts":[{"name":"h","mountPath":"/h"}]}]}}`,
		"mounts":     `{"spec":{"volumes":[{"name":"h","hostPath":{"path":"/"}}],"containers":[{"name":"c","image":"a","volumeMounts":[` + list(64, mount) + `,{"name":"h","mountPath":"/h"}]}]}}`,
		"too big":    `"skipped-too-big-size-object"`,
	} {
		f := New(Options{State: cluster(t), Cluster: "test"}).Facts(req{user: "jo", verb: "create", resource: "pods", ns: "red", name: "web", body: body}.event(start))
		if !told(f) && len(f.Powers)+len(f.Mounts) == 0 {
			t.Errorf("%s: neither seen nor said: %s", name, js(t, f))
		}
	}
	s := cluster(t, `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"cluster-admin"},"rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]}`,
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"old"},"roleRef":{"kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"kind":"User","name":"old"}]}`)
	for name, others := range map[string]string{"the same again and again": list(1000, `{"kind":"User","name":"old"}`), "a hundred others": func() (s string) {
		for i := range 100 {
			s += fmt.Sprintf(`{"kind":"Group","name":"g%d"},`, i)
		}
		return strings.TrimSuffix(s, ",")
	}()} {
		body := `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"new"},"roleRef":{"kind":"ClusterRole","name":"cluster-admin"},"subjects":[` + others + `,{"kind":"User","name":"evil"}]}`
		f := New(Options{State: s, Cluster: "test"}).Facts(req{user: "jo", verb: "create", group: "rbac.authorization.k8s.io", resource: "clusterrolebindings", name: "new", body: body}.event(start))
		if !f.GrantsNew || len(f.GrantsTo) > maxFacts {
			t.Errorf("%s: new %v to %d", name, f.GrantsNew, len(f.GrantsTo))
		}
	}
}

func TestAFloodOfNamesIsCountedAndNotLookedThroughEachTime(t *testing.T) {
	h := newHabits()
	for i := range maxIdentities {
		h.person(fmt.Sprintf("user:%d", i), start)
	}
	if h.person("user:one more", start+1) != nil || h.forgot != start+1 {
		t.Fatal("more identities than the bound, or no room was looked for")
	}
	if h.person("user:another", start+2); h.forgot != start+1 {
		t.Error("everything is looked through again for the next event")
	}
	if h.person("user:much later", start+forgetAfter+2) == nil {
		t.Error("no room is made when the others are long gone")
	}
	m := newModels()
	for i := range maxPairs {
		m.Pairs[fmt.Sprint(i)] = &pair{Last: start}
	}
	m.learn(start+1, false, "a", "b")
	if m.dropped != 2 || len(m.Pairs) != maxPairs {
		t.Errorf("%d pairs dropped, %d kept", m.dropped, len(m.Pairs))
	}
}
