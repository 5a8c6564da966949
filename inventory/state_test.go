package inventory

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// world draws objects from few names, so that they meet.
type world struct{ t *rapid.T }

func (w world) pick(label string, from ...string) string {
	return rapid.SampledFrom(from).Draw(w.t, label)
}

func (w world) namespace() string { return w.pick("namespace", "a", "b", "kube-system") }

func (w world) object() *Object {
	var kinds []Kind
	for _, k := range []Kind{KindNode, KindNamespace, KindDeployment, KindReplicaSet, KindJob, KindCronJob, KindDaemonSet, KindService,
		KindIngress, KindGateway, KindRoute, KindNetworkPolicy, KindServiceAccount, KindRole, KindClusterRole, KindRoleBinding,
		KindClusterBinding, KindConfigMap, KindVolume, KindClaim, KindSecret} {
		kinds = append(kinds, k, k)
	}
	for range 20 {
		kinds = append(kinds, KindPod)
	}
	return w.objectOf(rapid.SampledFrom(kinds).Draw(w.t, "kind"))
}

func (w world) objectOf(k Kind) *Object {
	o := &Object{Key: Key{Kind: k, Namespace: w.namespace(), Name: w.pick("name", "x", "y", "z")}}
	o.UID = w.pick("uid", "1", "2") + string(k) + o.Namespace + o.Name
	o.Created = int64(rapid.IntRange(1, 3).Draw(w.t, "created"))
	labels := func(label string) map[string]string {
		return map[string]string{"app": w.pick(label, "web", "db")}
	}
	owner := func(kinds ...string) {
		if kind := w.pick("owner", append(kinds, "")...); kind != "" {
			group := map[string]string{"Job": "batch/v1", "CronJob": "batch/v1", "Widget": "acme.io/v1", "Node": "v1"}[kind]
			if group == "" {
				group = "apps/v1"
			}
			o.Owner = &OwnerRef{APIVersion: group, Kind: kind, Name: w.pick("ownerName", "x", "y", "z")}
			if w.pick("ownerUID", "y", "n") == "y" {
				o.Owner.UID = w.pick("ouid", "1", "2") + kind + o.Namespace + o.Owner.Name
			}
		}
	}
	spec := func() PodSpec {
		p := PodSpec{ServiceAccount: w.pick("account", "default", "x"), HostNetwork: w.pick("hostNetwork", "n", "n", "y") == "y"}
		c := Container{Name: "c", Image: w.pick("image", "redis:7", "shop/web:1", "traefik")}
		if w.pick("hostPort", "n", "y") == "y" {
			c.Ports = []Port{{Port: 80, HostPort: 8080}}
		}
		switch w.pick("volume", "none", "claim", "config") {
		case "claim":
			p.Volumes = []PodVolume{{Name: "v", Type: "persistentVolumeClaim", Source: "x"}}
			c.Mounts = []Mount{{Volume: "v", Path: "/data"}}
		case "config":
			p.Volumes = []PodVolume{{Name: "v", Type: "configMap", Source: "x"}}
			c.Mounts = []Mount{{Volume: "v", Path: "/data"}}
		}
		p.Containers = []Container{c}
		return p
	}
	switch k {
	case KindNode:
		o.Namespace = ""
		o.Node = &Node{Ready: w.pick("ready", "y", "n") == "y", Addresses: []string{"10.0.0." + w.pick("address", "1", "2")}}
	case KindNamespace:
		o.Name, o.Namespace = o.Namespace, ""
		o.Labels = map[string]string{}
		if t := w.pick("tenant", "", "red", "blue"); t != "" {
			o.Labels["tenant"] = t
		}
		if t := w.pick("team", "", "shop"); t != "" {
			o.Labels["team"] = t
		}
	case KindPod:
		o.Labels = labels("label")
		owner("ReplicaSet", "ReplicaSet", "Job", "DaemonSet", "Widget", "Node")
		if w.pick("hash", "y", "n") == "y" {
			o.Labels["pod-template-hash"] = "h"
		}
		o.Pod = &Pod{PodSpec: spec(), NodeName: w.pick("node", "", "x", "y"), Phase: w.pick("phase", "Running", "Pending", "Succeeded")}
		if o.Pod.NodeName != "" {
			o.Pod.IPs = []string{"10.1.0." + w.pick("ip", "1", "2", "3", "4")}
			o.Pod.HostIP = "10.0.0.1"
		}
	case KindDeployment, KindReplicaSet, KindJob, KindCronJob, KindDaemonSet:
		switch k {
		case KindReplicaSet:
			owner("Deployment", "Widget", "ReplicaSet")
		case KindJob:
			owner("CronJob")
		case KindDeployment:
			owner("Widget")
		}
		if t := w.pick("team", "", "pay"); t != "" {
			o.Labels = map[string]string{"team": t}
		}
		o.Workload = &Workload{Template: spec(), Labels: labels("label"), Replicas: 1}
	case KindService:
		o.Service = &Service{Type: w.pick("type", "ClusterIP", "NodePort", "LoadBalancer"), Selector: labels("selector"), Ports: []Port{{Port: 80, NodePort: 30080}}}
		if w.pick("addressed", "y", "n") == "y" {
			o.Service.Addresses = []string{w.pick("address", "20.1.1.1", "10.9.9.9")}
		}
	case KindIngress, KindGateway, KindRoute:
		in := &Ingress{}
		if w.pick("addressed", "y", "n") == "y" {
			in.Addresses = []string{w.pick("address", "20.1.1.1", "10.9.9.9", "10.0.0.1")}
		}
		if k != KindGateway {
			in.Backends = []Backend{{Service: w.pick("backend", "x", "y"), Namespace: w.pick("backendNS", "", "a")}}
		}
		if k == KindRoute {
			o.APIKind = "HTTPRoute"
			in.Addresses = nil
			in.Parents = []OwnerRef{{Kind: "Gateway", Name: w.pick("parent", "x", "a/x", "b/y")}}
		}
		o.Ingress = in
	case KindNetworkPolicy:
		o.Policy = &NetPolicy{Ingress: true, Selector: labels("selector"), Complex: w.pick("complex", "n", "n", "y") == "y", FromNamespaces: w.pick("fromNS", "n", "y") == "y"}
		if w.pick("all", "y", "n") == "y" {
			o.Policy.Selector = nil
		}
	case KindServiceAccount:
		o.Account = &Account{}
		if w.pick("automount", "y", "n") == "n" {
			o.Account.Automount = new(bool)
		}
	case KindRole, KindClusterRole:
		if k == KindClusterRole {
			o.Namespace = ""
			o.Labels = map[string]string{"to": w.pick("to", "", "x")}
		}
		o.Role = &Role{Rules: []Rule{{Verbs: []string{w.pick("verb", "get", "*")}, Groups: []string{""}, Resources: []string{w.pick("resource", "pods", "secrets")}}}}
		if k == KindClusterRole && o.Name == "x" {
			o.Role.Aggregate = []map[string]string{{"to": "x"}}
		}
	case KindRoleBinding, KindClusterBinding:
		o.Binding = &Binding{RoleKind: w.pick("roleKind", "Role", "ClusterRole"), RoleName: w.pick("role", "x", "y", "z")}
		if k == KindClusterBinding {
			o.Namespace, o.Binding.RoleKind = "", "ClusterRole"
		}
		for range rapid.IntRange(0, 2).Draw(w.t, "subjects") {
			o.Binding.Subjects = append(o.Binding.Subjects, rapid.SampledFrom([]Subject{
				{Kind: "ServiceAccount", Namespace: "a", Name: "x"}, {Kind: "ServiceAccount", Namespace: "b", Name: "default"},
				{Kind: "User", Name: "eve"}, {Kind: "User", Name: "system:serviceaccount:a:x"},
				{Kind: "Group", Name: "system:serviceaccounts"}, {Kind: "Group", Name: "system:serviceaccounts:a"}, {Kind: "Group", Name: "system:authenticated"},
			}).Draw(w.t, "subject"))
		}
	case KindConfigMap:
		o.ConfigMap = &ConfigMap{}
		if w.pick("says", "y", "n") == "y" {
			o.ConfigMap.Says = []string{"redis-password"}
		}
	case KindVolume:
		o.Namespace = ""
		o.Volume = &Volume{HostPath: w.pick("path", "", "/etc", "/data")}
	case KindClaim:
		o.Volume = &Volume{Volume: w.pick("volume", "x", "y")}
	case KindSecret:
		o.Secret = "Opaque"
	}
	return o
}

// copyOf is an object apart: a state may share what it is given.
func copyOf(t *rapid.T, o *Object) *Object {
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	c := new(Object)
	if err := json.Unmarshal(b, c); err != nil {
		t.Fatal(err)
	}
	return c
}

func rendered(t *rapid.T, docs []Document) map[string]string {
	out := map[string]string{}
	for i := range docs {
		b, err := json.Marshal(docs[i])
		if err != nil {
			t.Fatal(err)
		}
		kind, key := docs[i].Key()
		if out[kind+" "+key] != "" {
			t.Fatalf("%s %s twice", kind, key)
		}
		out[kind+" "+key] = string(b)
	}
	return out
}

func compare(t *rapid.T, what string, got, want map[string]string) {
	t.Helper()
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if got[k] != want[k] {
			t.Fatalf("%s: %s\n got %s\nwant %s", what, k, got[k], want[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if want[k] == "" {
			t.Fatalf("%s: %s should be gone: %s", what, k, got[k])
		}
	}
}

// TestAnyWayToTheSameObjectsGivesTheSameDocuments holds that it does not matter how a
// state came to its objects, and that what Dirty and DirtyPods told on the way adds up.
func TestAnyWayToTheSameObjectsGivesTheSameDocuments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := world{t}
		opt := Options{Cluster: "c", Config: Config{
			Owners:  []OwnerRule{{Namespaces: []string{"b*"}, Owner: "ops"}},
			Tenants: []TenantRule{{Name: "green", Namespaces: []string{"b"}}},
		}}
		if rapid.Bool().Draw(t, "byLabel") {
			opt.Tenants = nil
		}
		s := NewState(opt)
		held := map[Key]*Object{}
		told := map[string]string{}
		nodes := map[string]map[string]string{}
		listen := func() {
			put, gone := s.Dirty()
			for k, v := range rendered(t, put) {
				if told[k] == v {
					t.Fatalf("%s was told again unchanged", k)
				}
				told[k] = v
			}
			for _, g := range gone {
				if told[g.Kind+" "+g.Key] == "" {
					t.Fatalf("%v is gone but was never told", g)
				}
				delete(told, g.Kind+" "+g.Key)
			}
			for node, c := range s.DirtyPods() {
				if nodes[node] == nil {
					nodes[node] = map[string]string{}
				}
				for _, p := range c.Put {
					b, _ := json.Marshal(p)
					nodes[node][p.UID] = string(b)
				}
				for _, uid := range c.Gone {
					if nodes[node][uid] == "" {
						t.Fatalf("pod %s of %s is gone but was never told", uid, node)
					}
					delete(nodes[node], uid)
				}
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch w.pick("step", "put", "put", "put", "put", "put", "delete", "delete", "replace", "listen", "listen") {
			case "put":
				o := w.object()
				held[o.Key] = o
				s.Put(copyOf(t, o))
			case "delete":
				o := w.object()
				if h := held[o.Key]; h != nil && h.UID == o.UID {
					delete(held, o.Key)
				}
				s.Delete(o.Key, o.UID)
			case "replace":
				k := w.object().Kind
				maps.DeleteFunc(held, func(have Key, _ *Object) bool { return have.Kind == k })
				var list []*Object
				for range rapid.IntRange(0, 3).Draw(t, "listed") {
					o := w.objectOf(k)
					held[o.Key] = o
					list = append(list, copyOf(t, o))
				}
				s.Replace(k, "", list)
			case "listen":
				listen()
			}
		}
		listen()
		fresh := NewState(opt)
		keys := slices.SortedFunc(maps.Keys(held), compareKeys)
		for _, k := range rapid.Permutation(keys).Draw(t, "order") {
			fresh.Put(copyOf(t, held[k]))
		}
		want := rendered(t, fresh.Full())
		compare(t, "full", rendered(t, s.Full()), want)
		compare(t, "told", told, want)
		if put, gone := s.Dirty(); len(put)+len(gone) > 0 {
			t.Fatalf("nothing happened, yet changed: %v %v", put, gone)
		}
		for _, node := range []string{"x", "y"} {
			want := map[string]string{}
			for _, p := range fresh.PodsOf(node) {
				b, _ := json.Marshal(p)
				want[p.UID] = string(b)
			}
			compare(t, "pods of "+node, nodes[node], want)
		}
		for i := range 5 {
			ip := fmt.Sprint("10.1.0.", i)
			a, _ := s.PodByIP(ip)
			b, live := fresh.PodByIP(ip)
			if live && (a == nil || a.Key != b.Key) {
				t.Fatalf("pod of %s: %v, want %v", ip, a, b)
			}
		}
	})
}

// Admission webhooks of one name come in two kinds (cert-manager ships such a pair), and so
// do routes.
func TestTwoKindsOfOneNameAreTwo(t *testing.T) {
	s := NewState(Options{})
	for _, kind := range []string{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"} {
		o, err := Decode([]byte(`{"apiVersion":"admissionregistration.k8s.io/v1","kind":"` + kind + `","metadata":{"name":"same","uid":"` + kind + `"},"webhooks":[]}`))
		if err != nil {
			t.Fatal(err)
		}
		s.Put(o)
	}
	if n := s.Len(KindWebhook); n != 2 {
		t.Fatalf("%d objects, want 2", n)
	}
	s.Replace(KindWebhook, "MutatingWebhookConfiguration", nil)
	if _, ok := s.Get(Key{Kind: KindWebhook, Name: "same", As: "ValidatingWebhookConfiguration"}); !ok || s.Len(KindWebhook) != 1 {
		t.Errorf("the other kind went too: %d left", s.Len(KindWebhook))
	}
	s.Delete(Key{Kind: KindWebhook, Name: "same", As: "ValidatingWebhookConfiguration"}, "")
	if s.Len(KindWebhook) != 0 {
		t.Errorf("%d left", s.Len(KindWebhook))
	}
}
