package inventory

import (
	"strings"
	"testing"
)

// put decodes documents, one a line, into a state.
func put(t *testing.T, s *State, docs string) {
	t.Helper()
	for line := range strings.Lines(docs) {
		if line = strings.TrimSpace(line); line != "" {
			s.Put(mustDecode(t, line))
		}
	}
}

// backend is a workload of redis, labelled app=r, with a service in front of it.
const backend = `
{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"r","namespace":"n"},"spec":{"template":{"metadata":{"labels":{"app":"r"}},"spec":{"containers":[{"name":"c","image":"redis:7","ports":[{"containerPort":6379}]}]}}}}
{"kind":"Service","apiVersion":"v1","metadata":{"name":"in","namespace":"n"},"spec":{"selector":{"app":"r"},"ports":[{"port":443,"targetPort":6379}]}}
{"kind":"Node","apiVersion":"v1","metadata":{"name":"node"},"status":{"addresses":[{"type":"InternalIP","address":"10.0.0.4"}]}}
`

func TestReachOfServices(t *testing.T) {
	service := func(annotations, spec, address string) string {
		return `{"kind":"Service","apiVersion":"v1","metadata":{"name":"s","namespace":"n","annotations":{` + annotations + `}},"spec":{"selector":{"app":"r"},"ports":[{"port":443,"targetPort":6379,"nodePort":30443}],` + spec + `},"status":{"loadBalancer":{"ingress":[{"ip":"` + address + `"}]}}}`
	}
	policy := func(spec string) string {
		return `{"kind":"NetworkPolicy","apiVersion":"networking.k8s.io/v1","metadata":{"name":"p","namespace":"n"},"spec":{"podSelector":{},` + spec + `}}`
	}
	balancer := service("", `"type":"LoadBalancer"`, "20.1.1.1")
	for _, c := range []struct{ what, docs, reach, risks, unknown string }{
		{"a load balancer", balancer, "internet", "any-source no-password plain-text", "firewalls"},
		{"inside Azure", service(`"service.beta.kubernetes.io/azure-load-balancer-internal":"true"`, `"type":"LoadBalancer"`, "10.1.1.1"), "private", "no-password plain-text", ""},
		{"inside AWS", service(`"service.beta.kubernetes.io/aws-load-balancer-scheme":"internal"`, `"type":"LoadBalancer"`, "internal-x.elb.amazonaws.com"), "private", "no-password plain-text", ""},
		{"inside Google", service(`"networking.gke.io/load-balancer-type":"Internal"`, `"type":"LoadBalancer"`, ""), "private", "no-password plain-text", "no address yet"},
		{"without annotation, but a private address", service("", `"type":"LoadBalancer"`, "10.1.1.1"), "private", "no-password plain-text", ""},
		{"for some", service("", `"type":"LoadBalancer","loadBalancerSourceRanges":["51.4.3.0/24"]`, "20.1.1.1"), "restricted", "no-password plain-text", "firewalls"},
		{"for many", service("", `"type":"LoadBalancer","loadBalancerSourceRanges":["51.4.3.0/24","8.0.0.0/6"]`, "20.1.1.1"), "restricted", "broad-source no-password plain-text", "firewalls"},
		{"for all after all", service("", `"type":"LoadBalancer","loadBalancerSourceRanges":["51.4.3.0/24","0.0.0.0/0"]`, "20.1.1.1"), "internet", "any-source no-password plain-text", "firewalls"},
		{"for the company's network", service("", `"type":"LoadBalancer","loadBalancerSourceRanges":["10.0.0.0/8"]`, "20.1.1.1"), "private", "no-password plain-text", ""},
		{"a node port", service("", `"type":"NodePort"`, ""), "node-port", "no-password plain-text", "nodes' addresses"},
		{"an external address", service("", `"type":"ClusterIP","externalIPs":["20.2.2.2"]`, ""), "internet", "any-source no-password plain-text", "firewalls"},
		{"inside the cluster", service("", `"type":"ClusterIP"`, ""), "", "", ""},
		{"nobody let in", balancer + "\n" + policy(`"policyTypes":["Ingress"]`), "none", "no-password plain-text", "enforces policies"},
		{"only pods let in", balancer + "\n" + policy(`"ingress":[{"from":[{"podSelector":{}}]}]`), "cluster", "no-password plain-text", "enforces policies"},
		{"only addresses let in", balancer + "\n" + policy(`"ingress":[{"from":[{"ipBlock":{"cidr":"51.4.3.0/24"}}]}]`), "restricted", "no-password plain-text", "enforces policies"},
		{"everybody let in", balancer + "\n" + policy(`"ingress":[{}]`), "internet", "any-source no-password plain-text", "firewalls"},
		{"everybody let in to another port", balancer + "\n" + policy(`"ingress":[{"ports":[{"port":9999}]}]`), "none", "no-password plain-text", "enforces policies"},
		{"a policy of egress only", balancer + "\n" + policy(`"policyTypes":["Egress"]`), "internet", "any-source no-password plain-text", "firewalls"},
		{"a policy by expressions", balancer + "\n" + strings.Replace(policy(`"policyTypes":["Ingress"]`), `"podSelector":{}`, `"podSelector":{"matchExpressions":[{"key":"app","operator":"Exists"}]}`, 1), "internet", "any-source no-password plain-text", "by expressions"},
	} {
		s := NewState(Options{})
		put(t, s, backend+c.docs)
		var got *ExposureDoc
		for _, d := range s.Full() {
			if d.Exposure != nil && d.Exposure.Key == "Service/n/s" {
				got = d.Exposure
			}
		}
		if got == nil {
			if c.reach != "" {
				t.Errorf("%s: no exposure", c.what)
			}
			continue
		}
		if got.Reach != c.reach || strings.Join(got.Risks, " ") != c.risks || !strings.Contains(got.NotAssessed, c.unknown) {
			t.Errorf("%s: reach %q risks %q not assessed %q; want %q %q %q", c.what, got.Reach, got.Risks, got.NotAssessed, c.reach, c.risks, c.unknown)
		}
		if len(got.Workloads) != 1 || got.Workloads[0] != "n/Deployment/r" || len(got.Apps) != 1 || got.Apps[0] != "redis" {
			t.Errorf("%s: leads to %v, %v", c.what, got.Workloads, got.Apps)
		}
	}
}

func TestReachOfIngressesAndRoutes(t *testing.T) {
	ingress := func(class, address string) string {
		return `{"kind":"Ingress","apiVersion":"networking.k8s.io/v1","metadata":{"name":"i","namespace":"n"},"spec":{"ingressClassName":"` + class + `","tls":[{}],"defaultBackend":{"service":{"name":"in","port":{"number":443}}}},"status":{"loadBalancer":{"ingress":[{"ip":"` + address + `"}]}}}`
	}
	const (
		route      = `{"kind":"HTTPRoute","apiVersion":"gateway.networking.k8s.io/v1","metadata":{"name":"h","namespace":"n"},"spec":{"parentRefs":[{"name":"g","namespace":"infra"}],"rules":[{"backendRefs":[{"name":"in","port":443}]}]}}`
		gateway    = `{"kind":"Gateway","apiVersion":"gateway.networking.k8s.io/v1","metadata":{"name":"g","namespace":"infra"},"spec":{"gatewayClassName":"c","listeners":[{"port":443,"protocol":"HTTPS"}]},"status":{"addresses":[{"value":"20.1.1.1"}]}}`
		controller = `{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"c","namespace":"ingress"},"spec":{"template":{"metadata":{"labels":{"app":"c"}},"spec":{"containers":[{"name":"c","image":"registry.k8s.io/ingress-nginx/controller:v1"}]}}}}
{"kind":"Service","apiVersion":"v1","metadata":{"name":"c","namespace":"ingress"},"spec":{"type":"LoadBalancer","selector":{"app":"c"},"ports":[{"port":443}],"loadBalancerSourceRanges":["51.4.3.0/24"]},"status":{"loadBalancer":{"ingress":[{"ip":"20.1.1.9"}]}}}`
	)
	for _, c := range []struct{ what, docs, key, reach, unknown string }{
		{"a public address", ingress("nginx", "20.1.1.1"), "Ingress/n/i", "internet", "firewalls"},
		{"a private address", ingress("nginx", "10.7.7.7"), "Ingress/n/i", "private", ""},
		{"the node's address", ingress("nginx", "10.0.0.4"), "Ingress/n/i", "node-port", ""},
		{"an internal class", ingress("nginx-internal", "20.1.1.1"), "Ingress/n/i", "private", ""},
		{"no address, no controller", ingress("nginx", ""), "Ingress/n/i", "unknown", "no address yet"},
		{"no address, a controller for some", ingress("nginx", "") + "\n" + controller, "Ingress/n/i", "restricted", "controllers"},
		{"the address of a controller for some", ingress("nginx", "20.1.1.9") + "\n" + controller, "Ingress/n/i", "restricted", "firewalls"},
		{"a route", route + "\n" + gateway, "HTTPRoute/n/h", "internet", "firewalls"},
		{"a gateway of another namespace", route + "\n" + gateway, "Gateway/infra/g", "internet", "firewalls"},
		{"a route without its gateway", route, "HTTPRoute/n/h", "unknown", "does not exist"},
	} {
		s := NewState(Options{})
		put(t, s, backend+c.docs)
		found := false
		for _, d := range s.Full() {
			if e := d.Exposure; e != nil && e.Key == c.key {
				found = true
				if e.Reach != c.reach || !strings.Contains(e.NotAssessed, c.unknown) {
					t.Errorf("%s: reach %q, not assessed %q; want %q %q", c.what, e.Reach, e.NotAssessed, c.reach, c.unknown)
				}
				if len(e.Workloads) != 1 || e.Workloads[0] != "n/Deployment/r" {
					t.Errorf("%s: leads to %v", c.what, e.Workloads)
				}
			}
		}
		if !found {
			t.Errorf("%s: no exposure %s", c.what, c.key)
		}
	}
}

func TestAssessJudgesWhatIsOnlyAsked(t *testing.T) {
	s := NewState(Options{})
	put(t, s, backend)
	a := s.Assess(mustDecode(t, `{"kind":"Service","apiVersion":"v1","metadata":{"name":"new","namespace":"n"},"spec":{"type":"LoadBalancer","selector":{"app":"r"},"ports":[{"port":6379}]}}`))
	if a.Reach != ReachInternet || strings.Join(a.Ports, " ") != "6379/TCP" || strings.Join(a.Apps, " ") != "redis" || strings.Join(a.Risks, " ") != "any-source no-password plain-text" {
		t.Errorf("service: %+v", a)
	}
	if _, ok := s.Get(Key{Kind: KindService, Namespace: "n", Name: "new"}); ok {
		t.Error("what was only judged is now in the state")
	}
	a = s.Assess(mustDecode(t, `{"kind":"Pod","apiVersion":"v1","metadata":{"generateName":"x-","namespace":"n"},"spec":{"hostPID":true,"containers":[{"name":"c","image":"alpine","securityContext":{"privileged":true,"capabilities":{"add":["NET_BIND_SERVICE","SYS_ADMIN"]}},"volumeMounts":[{"name":"h","mountPath":"/h","subPath":"../etc//kubernetes"},{"name":"ok","mountPath":"/tz"}]}],"volumes":[{"name":"h","hostPath":{"path":"/var/x/.."}},{"name":"ok","hostPath":{"path":"/etc/localtime"}}]}}`))
	if strings.Join(a.Powers, " ") != "privileged hostPID SYS_ADMIN" || strings.Join(a.Images, " ") != "alpine" || a.Workload != "n/Pod/x-" {
		t.Errorf("pod: %+v", a)
	}
	if strings.Join(a.Mounts, " ") != "/etc/kubernetes" {
		t.Errorf("mounts: %v", a.Mounts)
	}
}

func TestOwnersAndTenants(t *testing.T) {
	opt := Options{Config: Config{
		Owners:  []OwnerRule{{Namespaces: []string{"lab-*"}, Owner: "research"}},
		Tenants: []TenantRule{{Name: "gold", Namespaces: []string{"lab-1", "kube-system"}}},
	}}
	if err := opt.Validate(); err != nil {
		t.Fatal(err)
	}
	s := NewState(opt)
	put(t, s, `
{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"a","labels":{"Team":"anna","capsule.clastix.io/tenant":"oil"}}}
{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","namespace":"a","labels":{"app.kubernetes.io/managed-by":"Helm"}}}
{"kind":"Pod","apiVersion":"v1","metadata":{"name":"q","namespace":"a","labels":{"acme.example/owner":"quinn"},"annotations":{"owner":"not asked first"}}}
{"kind":"Pod","apiVersion":"v1","metadata":{"name":"orphan-6f-x","namespace":"a","labels":{"pod-template-hash":"6f"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"orphan-6f","controller":true}]}}
{"kind":"Job","apiVersion":"batch/v1","metadata":{"name":"j","namespace":"a","uid":"new"}}
{"kind":"Pod","apiVersion":"v1","metadata":{"name":"l","namespace":"a","ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"loop","controller":true}]}}
{"kind":"ReplicaSet","apiVersion":"apps/v1","metadata":{"name":"loop","namespace":"a","ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"loop","controller":true}]}}`)
	for name, want := range map[string]string{
		"a/p": "anna, label Team on the namespace", "a/q": "quinn, label acme.example/owner on the pod",
		"lab-1/x": "research, configuration for namespace lab-1", "other/x": "unowned, ",
	} {
		ns, pod, _ := strings.Cut(name, "/")
		if owner, from := s.OwnerOf(Key{Kind: KindPod, Namespace: ns, Name: pod}); owner+", "+from != want {
			t.Errorf("%s: %s, %s; want %s", name, owner, from, want)
		}
	}
	for ns, want := range map[string]string{"a": "oil", "lab-1": "gold", "lab-2": "", "kube-system": ""} {
		if got := s.Tenant(ns); got != want {
			t.Errorf("tenant of %s: %q, want %q", ns, got, want)
		}
	}
	for pod, want := range map[string]string{"orphan-6f-x": "a/Deployment/orphan", "l": "a/ReplicaSet/loop", "p": "a/Pod/p", "none": "a/Pod/none"} {
		if got := s.TopOwner(Key{Kind: KindPod, Namespace: "a", Name: pod}); got != want {
			t.Errorf("top of %s: %s, want %s", pod, got, want)
		}
	}
	bad := Config{Tenants: []TenantRule{{Name: "x", Namespaces: []string{"a", "[b"}}}}
	if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), "tenants[0].namespaces[1]") {
		t.Errorf("a broken glob: %v", err)
	}
}

func TestRepository(t *testing.T) {
	for image, want := range map[string]string{
		"redis": "docker.io/library/redis", "redis:7": "docker.io/library/redis", "a/b@sha256:1": "docker.io/a/b",
		"localhost:5000/x:1": "localhost:5000/x", "index.docker.io/redis": "docker.io/library/redis", "ghcr.io/a/b:v1@sha256:2": "ghcr.io/a/b", "": "",
	} {
		if got := Repository(image); got != want {
			t.Errorf("%q: %q, want %q", image, got, want)
		}
	}
}

func TestAStateThatIsFullSaysSo(t *testing.T) {
	s := NewState(Options{Cluster: "c", MaxObjects: 1})
	put(t, s, backend)
	if s.Refused() != 2 {
		t.Errorf("%d refused", s.Refused())
	}
	for _, d := range s.Full() {
		if d.Cluster != nil && len(d.Cluster.Gaps) != 1 {
			t.Errorf("gaps: %+v", d.Cluster.Gaps)
		}
	}
}

func TestAnObjectWithoutItsPartIsTakenAsEmpty(t *testing.T) {
	s := NewState(Options{})
	for _, k := range []Kind{KindNode, KindPod, KindDeployment, KindService, KindIngress, KindGateway, KindRoute, KindNetworkPolicy,
		KindServiceAccount, KindRole, KindRoleBinding, KindWebhook, KindVolume, KindClaim, KindSecret, KindConfigMap} {
		for range 2 {
			s.Put(&Object{Key: Key{Kind: k, Namespace: "n", Name: "x"}})
			s.Full()
		}
		if s.Len(k) != 1 {
			t.Errorf("%s: %d held", k, s.Len(k))
		}
		s.Delete(Key{Kind: k, Namespace: "n", Name: "x"}, "")
	}
	s.Full()
	if s.Len(KindPod) != 0 {
		t.Error("a pod stayed")
	}
}
