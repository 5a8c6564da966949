package inventory

import (
	"fmt"
	"runtime"
	"testing"
)

// clusterOf puts a cluster of so many nodes and pods into a state: ten daemon set pods of
// each hundred, the others of deployments with ten pods each in a hundred namespaces.
func clusterOf(b *testing.B, nodes, pods int) *State {
	s := NewState(Options{Cluster: "bench"})
	put := func(format string, args ...any) {
		o, err := Decode(fmt.Appendf(nil, format, args...))
		if err != nil {
			b.Fatal(err)
		}
		s.Put(o)
	}
	for i := range 100 {
		put(`{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"ns-%d","labels":{"dockreeve.io/tenant":"t%d"}}}`, i, i%20)
		put(`{"kind":"ServiceAccount","apiVersion":"v1","metadata":{"name":"app","namespace":"ns-%d"}}`, i)
		put(`{"kind":"RoleBinding","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{"name":"app","namespace":"ns-%d"},"roleRef":{"kind":"ClusterRole","name":"view"},"subjects":[{"kind":"ServiceAccount","name":"app","namespace":"ns-%d"}]}`, i, i)
		put(`{"kind":"Service","apiVersion":"v1","metadata":{"name":"app","namespace":"ns-%d"},"spec":{"type":"LoadBalancer","selector":{"app":"app-1"},"ports":[{"port":80}]}}`, i)
	}
	put(`{"kind":"ClusterRole","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{"name":"view"},"rules":[{"apiGroups":[""],"resources":["pods","services"],"verbs":["get","list","watch"]}]}`)
	for i := range nodes {
		put(`{"kind":"Node","apiVersion":"v1","metadata":{"name":"node-%d","uid":"n%d","labels":{"kubernetes.io/hostname":"node-%d","topology.kubernetes.io/zone":"z1","kubernetes.azure.com/agentpool":"p"}},"status":{"addresses":[{"type":"InternalIP","address":"10.%d.%d.1"}],"conditions":[{"type":"Ready","status":"True"}],"nodeInfo":{"osImage":"Ubuntu","kubeletVersion":"v1.37.2"}}}`, i, i, i, i/250, i%250)
	}
	const spec = `"serviceAccountName":"app","containers":[{"name":"app","image":"registry.example/team/app:%[1]d","args":["serve","--port=8080"],"ports":[{"containerPort":8080}],"resources":{"requests":{"cpu":"100m","memory":"128Mi"}},"volumeMounts":[{"name":"kube-api-access-ab%03[1]d","mountPath":"/var/run/secrets/kubernetes.io/serviceaccount","readOnly":true}]},{"name":"proxy","image":"registry.example/mesh/proxy:1.29","ports":[{"containerPort":15001}]}],"volumes":[{"name":"kube-api-access-ab%03[1]d","projected":{"sources":[{"serviceAccountToken":{"path":"token"}}]}}]`
	for i := range pods {
		work := i / 10
		if i%10 == 0 {
			put(`{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"app-%[1]d","namespace":"ns-%[2]d","uid":"d%[1]d"},"spec":{"replicas":10,"selector":{"matchLabels":{"app":"app-%[1]d"}},"template":{"metadata":{"labels":{"app":"app-%[1]d","tier":"web"}},"spec":{"containers":[{"name":"app","image":"registry.example/team/app:1"}]}}}}`, work, work%100)
			put(`{"kind":"ReplicaSet","apiVersion":"apps/v1","metadata":{"name":"app-%[1]d-5d","namespace":"ns-%[2]d","uid":"r%[1]d","ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"app-%[1]d","uid":"d%[1]d","controller":true}]},"spec":{"template":{"spec":{"containers":[{"name":"app","image":"registry.example/team/app:1"}]}}}}`, work, work%100)
		}
		put(`{"kind":"Pod","apiVersion":"v1","metadata":{"name":"app-%[2]d-5d-%05[3]d","namespace":"ns-%[4]d","uid":"8b1d7a50-0000-4000-8000-%012[3]d","creationTimestamp":"2026-01-01T00:00:00Z","labels":{"app":"app-%[2]d","tier":"web","pod-template-hash":"5d"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"app-%[2]d-5d","uid":"r%[2]d","controller":true}]},"spec":{"nodeName":"node-%[5]d",`+spec+`},
		 "status":{"phase":"Running","hostIP":"10.0.0.1","podIPs":[{"ip":"10.%[6]d.%[7]d.%[8]d"}],"startTime":"2026-01-01T00:00:01Z","conditions":[{"type":"Ready","status":"True"}],"containerStatuses":[{"name":"app","imageID":"registry.example/team/app@sha256:%064[1]d","containerID":"containerd://%064[3]d","state":{"running":{"startedAt":"2026-01-01T00:00:02Z"}}},{"name":"proxy","imageID":"registry.example/mesh/proxy@sha256:%064[9]d","containerID":"containerd://1%063[3]d","state":{"running":{"startedAt":"2026-01-01T00:00:02Z"}}}]}}`,
			work%50, work, i, work%100, i%max(nodes, 1), 100+i/60000, i/250%250, i%250, 7)
	}
	return s
}

// BenchmarkState measures what a state of 1,000 nodes and 10,000 pods holds, what it
// costs to fill and to tell all of it, and what one changed pod costs.
func BenchmarkState(b *testing.B) {
	b.Run("fill", func(b *testing.B) {
		for b.Loop() {
			clusterOf(b, 1000, 10_000).Dirty()
		}
	})
	b.Run("held", func(b *testing.B) {
		heap := func() uint64 {
			runtime.GC()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		for b.Loop() {
			before := heap()
			s := clusterOf(b, 1000, 10_000)
			s.Dirty()
			s.DirtyPods()
			b.ReportMetric(float64(heap()-before), "held-B")
			runtime.KeepAlive(s)
		}
	})
	b.Run("change", func(b *testing.B) {
		s := clusterOf(b, 1000, 10_000)
		s.Dirty()
		i := 0
		for b.Loop() {
			o, _ := s.Get(Key{Kind: KindPod, Namespace: "ns-7", Name: "app-7-5d-00070"})
			c, p := *o, *o.Pod
			p.Ready = i%2 == 0
			c.Pod, i = &p, i+1
			s.Put(&c)
			s.Dirty()
		}
	})
}
