package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/detect/audit"
	"github.com/dockreeve/dockreeve/detect/rules"
	"github.com/dockreeve/dockreeve/inventory"
)

// misuse is one way of misusing the API, done by an identity of its own, so that what is
// found tells by itself whose doing it was.
type misuse struct {
	name   string // of the identity too, where not said otherwise
	rule   string // "" = nothing may be found
	also   []string
	groups []string // of the user; nil = system:masters
	before func(a *act)
	do     func(a *act)
}

// act is a misuse being done.
type act struct {
	*Lab
	t    *testing.T
	name string
	ns   string // a namespace of its own
	kube string // kubeconfig of who does it
	ids  *[]string
}

// as names further identities that the misuse acts as.
func (a *act) as(ids ...string) { *a.ids = append(*a.ids, ids...) }

// k runs kubectl in the namespace as the one who does it, and has to succeed.
func (a *act) k(args ...string) string { return a.in("", args...) }

func (a *act) in(stdin string, args ...string) string {
	a.t.Helper()
	out, err := a.KubectlAs(a.t.Context(), a.kube, stdin, append([]string{"-n", a.ns}, args...)...)
	if err != nil {
		a.t.Fatal(err)
	}
	return out
}

// refused runs kubectl, and has to be refused.
func (a *act) refused(args ...string) {
	a.t.Helper()
	if out, err := a.KAs(a.t, a.kube, append([]string{"-n", a.ns}, args...)...); err == nil || !strings.Contains(err.Error(), "orbidden") {
		a.t.Fatalf("kubectl %v was not refused: %s %v", args, out, err)
	}
}

// admin runs kubectl as the administrator, to prepare; what is found of that does not count.
func (a *act) admin(args ...string) string { return a.K(a.t, append([]string{"-n", a.ns}, args...)...) }

// who is the one who does it, as a program with headers of its own.
func (a *act) who(headers ...string) *caller {
	return a.caller(a.t, "user-"+fileOf(a.name), "", headers...)
}

// root is the administrator as a program.
func (a *act) root() *caller { return a.caller(a.t, "admin", "") }

// token makes a service account with rules in the namespace and returns its token.
func (a *act) token(name string) string {
	a.admin("create", "serviceaccount", name)
	a.as("serviceaccount:" + a.ns + "/" + name)
	return strings.TrimSpace(a.admin("create", "token", name))
}

// workload makes a deployment of an image that has a port, and the labels app=name.
func (a *act) workload(name, image string, port int, env string) {
	a.t.Helper()
	a.Apply(a.t, a.ns, deployment(name, fmt.Sprintf(`{name: c, image: %q, ports: [{containerPort: %d}], env: [%s]}`, image, port, env), ""))
}

func deployment(name, container, spec string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      containers: [%[2]s]
      %[3]s
`, name, container, spec)
}

const plain = `{name: c, image: "registry.example/shop/web:1"}`

const mighty = `{name: c, image: "registry.example/shop/web:1", securityContext: {privileged: true}}`

// misuses has a row for each rule that needs no learned habits and no node, and rows of
// ordinary work.
func misuses() []misuse {
	return []misuse{
		// Workloads, by each of the ways in which an object is written.
		{name: "privileged-create", rule: "k8s-privileged-container", do: func(a *act) { a.in(deployment("web", mighty, ""), "create", "-f", "-") }},
		{name: "privileged-apply", rule: "k8s-privileged-container", before: func(a *act) { a.Apply(a.t, a.ns, deployment("web", plain, "")) },
			do: func(a *act) { a.in(deployment("web", mighty, ""), "apply", "-f", "-") }},
		{name: "privileged-server-side", rule: "k8s-privileged-container", do: func(a *act) { a.in(deployment("web", plain, "hostPID: true"), "apply", "--server-side", "-f", "-") }},
		{name: "privileged-json-patch", rule: "k8s-privileged-container", before: func(a *act) { a.Apply(a.t, a.ns, deployment("web", plain, "")) },
			do: func(a *act) {
				a.k("patch", "deployment", "web", "--type=json", "-p", `[{"op":"add","path":"/spec/template/spec/hostPID","value":true}]`)
			}},
		{name: "privileged-merge-patch", rule: "k8s-privileged-container", before: func(a *act) { a.Apply(a.t, a.ns, deployment("web", plain, "")) },
			do: func(a *act) {
				a.k("patch", "deployment", "web", "--type=merge", "-p", `{"spec":{"template":{"spec":{"hostIPC":true}}}}`)
			}},
		{name: "privileged-strategic-patch", rule: "k8s-privileged-container", before: func(a *act) { a.Apply(a.t, a.ns, deployment("web", plain, "")) },
			do: func(a *act) {
				a.k("patch", "deployment", "web", "-p", `{"spec":{"template":{"spec":{"containers":[{"name":"c","securityContext":{"capabilities":{"add":["SYS_ADMIN"]}}}]}}}}`)
			}},
		{name: "privileged-generated", rule: "k8s-privileged-container", do: func(a *act) {
			a.in("apiVersion: v1\nkind: Pod\nmetadata: {generateName: web-}\nspec: {containers: ["+mighty+"]}\n", "create", "-f", "-")
		}},
		{name: "host-network-alone", do: func(a *act) {
			a.in(deployment("web", `{name: c, image: "registry.example/shop/web:1"}`, "hostNetwork: true"), "create", "-f", "-")
		}},
		{name: "sensitive-mount", rule: "k8s-sensitive-mount", do: func(a *act) {
			a.in(deployment("web", `{name: c, image: "registry.example/shop/web:1", volumeMounts: [{name: v, mountPath: /s}]}`, "volumes: [{name: v, hostPath: {path: /var/run/./docker.sock}}]"), "create", "-f", "-")
		}},
		{name: "kube-system", rule: "k8s-kube-system-workload", do: func(a *act) {
			a.k("-n", "kube-system", "create", "deployment", "hidden", "--image=registry.example/hidden/helper:1")
		}},
		{name: "miner", rule: "k8s-miner-image", do: func(a *act) { a.k("run", "m", "--image=docker.io/somebody/xmrig:6") }},
		{name: "tool-agent", rule: "k8s-attack-tool", do: func(a *act) {
			a.who("User-Agent=kube-hunter").must(a.t, 200, "GET", "/api/v1/namespaces/"+a.ns+"/pods", "")
		}},
		{name: "tool-image", rule: "k8s-attack-tool", do: func(a *act) { a.k("run", "m", "--image=docker.io/aquasec/kube-hunter:0.6") }},
		{name: "system:node:paper", rule: "k8s-static-pod", groups: []string{"system:nodes"}, before: func(a *act) { a.paperNode("paper") }, do: func(a *act) {
			a.as("node:paper")
			var node struct{ Metadata struct{ UID string } }
			if err := json.Unmarshal([]byte(a.admin("get", "node", "paper", "-o", "json")), &node); err != nil {
				a.t.Fatal(err)
			}
			a.who("User-Agent=kubelet/v1.37.2").must(a.t, 201, "POST", "/api/v1/namespaces/"+a.ns+"/pods", fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"fixed-paper",
				"annotations":{"kubernetes.io/config.mirror":"1","kubernetes.io/config.source":"file"},"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"paper","uid":%q,"controller":true}]},
				"spec":{"nodeName":"paper","containers":[{"name":"c","image":"registry.example/implant:1"}]}}`, node.Metadata.UID))
		}},
		{name: "cronjob", rule: "k8s-cronjob", do: func(a *act) {
			a.k("create", "cronjob", "again", "--image=registry.example/shop/web:1", "--schedule=*/5 * * * *")
		}},
		{name: "ephemeral", rule: "k8s-ephemeral-container", before: func(a *act) { a.admin("run", "web", "--image=registry.example/shop/web:1") }, do: func(a *act) {
			a.k("debug", "pod/web", "--image=registry.example/debug:1", "--profile=general", "--attach=false", "-q", "-c", "dbg")
		}},

		// Rights.
		{name: "admin-binding", rule: "k8s-cluster-admin-binding", do: func(a *act) {
			a.k("create", "clusterrolebinding", "a-"+a.ns, "--clusterrole=cluster-admin", "--serviceaccount="+a.ns+":default")
		}},
		{name: "admin-by-another-name", rule: "k8s-cluster-admin-binding", before: func(a *act) {
			a.Apply(a.t, a.ns, "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r-"+a.ns+"}\nrules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]\n")
		}, do: func(a *act) {
			a.in("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: b-"+a.ns+"}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: r-"+a.ns+"}\nsubjects: [{kind: User, name: someone-"+a.ns+", apiGroup: rbac.authorization.k8s.io}]\n",
				"apply", "--server-side", "-f", "-")
		}},
		{name: "for-everybody", rule: "k8s-rights-for-everybody", do: func(a *act) {
			a.k("create", "rolebinding", "all", "--clusterrole=view", "--group=system:authenticated")
		}},
		{name: "for-everybody-later", rule: "k8s-rights-for-everybody", before: func(a *act) {
			a.admin("create", "rolebinding", "some", "--clusterrole=view", "--user=nobody-"+a.ns)
		}, do: func(a *act) {
			a.k("patch", "rolebinding", "some", "--type=json", "-p", `[{"op":"add","path":"/subjects/-","value":{"kind":"User","name":"system:anonymous","apiGroup":"rbac.authorization.k8s.io"}}]`)
		}},
		{name: "secret-reader", rule: "k8s-dangerous-grant", before: func(a *act) { a.admin("create", "role", "viewer", "--verb=get,list", "--resource=secrets") }, do: func(a *act) {
			a.k("create", "rolebinding", "viewer", "--role=viewer", "--serviceaccount="+a.ns+":default")
		}},
		{name: "powerful-role", rule: "k8s-powerful-role", do: func(a *act) { a.k("create", "clusterrole", "r-"+a.ns, "--verb=impersonate", "--resource=users") }},
		{name: "climber", rule: "k8s-escalation-refused", groups: []string{}, before: func(a *act) {
			a.admin("create", "role", "roles", "--verb=create,get", "--resource=roles.rbac.authorization.k8s.io")
			a.admin("create", "rolebinding", "roles", "--role=roles", "--user="+a.name)
		}, do: func(a *act) { a.refused("create", "role", "more", "--verb=get", "--resource=secrets") }},
		{name: "puppeteer", rule: "k8s-impersonation", do: func(a *act) {
			a.as("user:puppet")
			a.refused("get", "pods", "--as=puppet")
		}},
		{name: "king", rule: "k8s-masters-impersonated", do: func(a *act) {
			a.as("user:crown")
			a.k("get", "pods", "--as=crown", "--as-group=system:masters")
		}},
		{name: "csr", rule: "k8s-csr-approved", before: func(a *act) { a.in(signingRequest(a.t, "csr-"+a.ns), "create", "-f", "-") }, do: func(a *act) { a.k("certificate", "approve", "csr-"+a.ns) }},
		{name: "token-request", rule: "k8s-token-request", do: func(a *act) { a.k("create", "token", "default") }},
		{name: "tenant-binding", rule: "k8s-cross-tenant-grant", before: func(a *act) { a.tenants() }, do: func(a *act) {
			a.k("-n", "blue", "create", "rolebinding", "from-red", "--clusterrole=view", "--serviceaccount=red:default")
		}},

		// Tampering.
		{name: "admission-webhook", rule: "k8s-admission-changed", do: func(a *act) {
			a.in(webhook("w-"+a.ns, `{service: {name: none, namespace: `+a.ns+`}}`), "create", "-f", "-")
		}},
		{name: "admission-policy", rule: "k8s-admission-changed", before: func(a *act) {
			a.in(`apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: p-`+a.ns+`}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [none.example], apiVersions: [v1], resources: [things], operations: [CREATE]}]}
  validations: [{expression: "true"}]
`, "--kubeconfig", a.Kubeconfig(), "create", "-f", "-")
		}, do: func(a *act) { a.k("delete", "validatingadmissionpolicy", "p-"+a.ns) }},
		{name: "webhook-outside", rule: "k8s-admission-webhook-outside", do: func(a *act) { a.in(webhook("w-"+a.ns, `{url: "https://198.51.100.1/x"}`), "create", "-f", "-") }},
		{name: "webhook-outside-second", rule: "k8s-admission-webhook-outside", do: func(a *act) {
			a.in(webhook("w-"+a.ns, `{service: {name: none, namespace: `+a.ns+`}}`, `{url: "https://198.51.100.1/x"}`), "create", "-f", "-")
		}},
		{name: "webhook-outside-later", rule: "k8s-admission-webhook-outside", before: func(a *act) {
			a.Apply(a.t, a.ns, webhook("w-"+a.ns, `{service: {name: none, namespace: `+a.ns+`}}`))
		}, do: func(a *act) {
			a.k("patch", "validatingwebhookconfiguration", "w-"+a.ns, "--type=json", "-p", `[{"op":"replace","path":"/webhooks/0/clientConfig","value":{"url":"https://198.51.100.1/x"}}]`)
		}},
		{name: "dns", rule: "k8s-dns-changed", before: func(a *act) {
			a.admin("-n", "kube-system", "create", "configmap", "coredns", "--from-literal=Corefile=.")
		}, do: func(a *act) {
			a.k("-n", "kube-system", "patch", "configmap", "coredns", "--type=merge", "-p", `{"data":{"Corefile":"rewrite"}}`)
		}},
		{name: "events-deleted", rule: "k8s-events-deleted", before: func(a *act) { a.event("one") }, do: func(a *act) { a.k("delete", "events", "--all") }},
		{name: "events-deleted-at-once", rule: "k8s-events-deleted", before: func(a *act) { a.event("one") }, do: func(a *act) {
			a.who().must(a.t, 200, "DELETE", "/apis/events.k8s.io/v1/namespaces/"+a.ns+"/events", "")
		}},
		{name: "mass-deletion", rule: "k8s-mass-deletion", before: func(a *act) { a.many("configmaps", 55) }, do: func(a *act) { a.k("delete", "configmaps", "-l", "many=yes", "--wait=false") }},
		{name: "mass-deletion-at-once", rule: "k8s-mass-deletion", before: func(a *act) { a.many("serviceaccounts", 55) }, do: func(a *act) {
			a.who().must(a.t, 200, "DELETE", "/api/v1/namespaces/"+a.ns+"/serviceaccounts?labelSelector=many%3Dyes", "")
		}},
		{name: "too-large", rule: "k8s-too-large-to-judge", do: func(a *act) {
			many := ""
			for i := range 65 { // one more than is looked into
				many += fmt.Sprintf("{name: c%d, image: \"registry.example/shop/web:1\"},", i)
			}
			a.in("apiVersion: v1\nkind: Pod\nmetadata: {name: many}\nspec: {containers: ["+many+"]}\n", "create", "-f", "-")
		}},
		{name: "data-deleted", rule: "k8s-data-deleted", before: func(a *act) {
			a.Apply(a.t, a.ns, "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n")
		}, do: func(a *act) { a.k("delete", "pvc", "data", "--wait=false") }},

		// Large by one long value, which alone is left out: the rest is judged.
		{name: "large-and-readable", do: func(a *act) {
			a.who().must(a.t, 201, "POST", "/api/v1/namespaces/"+a.ns+"/pods", `{"metadata":{"name":"huge"},"spec":{"containers":[{"name":"c","image":"registry.example/shop/web:1","env":[{"name":"A","value":"`+strings.Repeat("x", 1_200_000)+`"}]}]}}`)
		}},

		// Access.
		{name: "secrets-listed", rule: "k8s-secrets-listed", do: func(a *act) { a.k("get", "secrets", "-A") }},
		{name: "secrets-in-bulk", rule: "k8s-secrets-read-in-bulk", before: func(a *act) { a.many("secrets", 22) }, do: func(a *act) {
			args := []string{"get", "secret", "-o", "name"}
			for i := range 22 {
				args = append(args, fmt.Sprintf("many-%d", i))
			}
			a.k(args...)
		}},
		{name: "stolen-token", rule: "k8s-service-account-recon", do: func(a *act) {
			a.kube = a.kubeconfig(a.token("app"))
			a.k("auth", "can-i", "--list")
		}},
		{name: "token-abroad", rule: "k8s-token-elsewhere", before: func(a *act) { a.paperNode("paper-two") }, do: func(a *act) {
			a.admin("create", "serviceaccount", "app")
			a.in("apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {nodeName: paper-two, serviceAccountName: app, containers: ["+plain+"]}\n", "--kubeconfig", a.Kubeconfig(), "create", "-f", "-")
			a.root().must(a.t, 200, "PATCH", "/api/v1/namespaces/"+a.ns+"/pods/web/status", `{"status":{"phase":"Running","podIP":"10.240.9.9","podIPs":[{"ip":"10.240.9.9"}],"hostIP":"10.9.9.9"}}`, "Content-Type=application/merge-patch+json")
			a.as("serviceaccount:" + a.ns + "/app")
			a.fromAfar(strings.TrimSpace(a.admin("create", "token", "app", "--bound-object-kind=Pod", "--bound-object-name=web")))
		}},
		{name: "nobody", rule: "k8s-anonymous-access", before: func(a *act) {
			a.admin("create", "role", "open", "--verb=get,list", "--resource=configmaps")
			a.admin("create", "rolebinding", "open", "--role=open", "--user=system:anonymous")
		}, do: func(a *act) {
			a.as("anonymous")
			c := a.caller(a.t, "", "")
			c.must(a.t, 200, "GET", "/version", "")
			c.must(a.t, 403, "GET", "/api/v1/secrets", "")
			c.must(a.t, 200, "GET", "/api/v1/namespaces/"+a.ns+"/configmaps", "")
		}},
		{name: "knocker", rule: "k8s-refused-often", groups: []string{}, do: func(a *act) {
			for i := range 25 {
				a.who("User-Agent=kubectl/v1.37").must(a.t, 403, "GET", fmt.Sprintf("/api/v1/namespaces/n-%d/secrets", i), "")
			}
		}},
		{name: "tenant-reader", rule: "k8s-cross-tenant-access", before: func(a *act) {
			a.tenants()
			a.admin("-n", "blue", "create", "secret", "generic", "key", "--from-literal=a=b")
			a.admin("-n", "blue", "create", "role", "reader", "--verb=get", "--resource=secrets")
			a.admin("-n", "blue", "create", "rolebinding", "reader", "--role=reader", "--serviceaccount=red:reader")
		}, do: func(a *act) {
			a.ns = "red"
			token := a.token("reader")
			a.caller(a.t, "", token, "User-Agent=reader/1").must(a.t, 200, "GET", "/api/v1/namespaces/blue/secrets/key", "")
		}},
		{name: "onion", rule: "k8s-anonymiser", do: func(a *act) {
			a.who("X-Forwarded-For=203.0.113.66").must(a.t, 200, "GET", "/api/v1/namespaces/"+a.ns+"/pods", "")
		}},

		// Exposure, of what the inventory knows to be behind it.
		{name: "dashboard", rule: "k8s-dashboard-exposed", before: func(a *act) { a.workload("dash", "docker.io/kubernetesui/dashboard:v2.7.0", 8443, "") }, do: func(a *act) {
			a.k("expose", "deployment", "dash", "--type=NodePort", "--port=443", "--target-port=8443")
		}},
		{name: "notebook", rule: "k8s-interface-exposed", before: func(a *act) { a.workload("nb", "quay.io/jupyter/base-notebook:1", 8888, "") }, do: func(a *act) {
			a.k("expose", "deployment", "nb", "--type=LoadBalancer", "--port=80", "--target-port=8888")
		}},
		{name: "database", rule: "k8s-database-exposed", before: func(a *act) {
			a.workload("db", "docker.io/library/postgres:16", 5432, `{name: POSTGRES_PASSWORD, valueFrom: {secretKeyRef: {name: db, key: p}}}`)
		}, do: func(a *act) { a.k("expose", "deployment", "db", "--type=LoadBalancer", "--port=5432") }},
		{name: "open-database", rule: "k8s-open-database-exposed", before: func(a *act) {
			a.workload("db", "docker.io/library/postgres:16", 5432, `{name: POSTGRES_HOST_AUTH_METHOD, value: trust}`)
		}, do: func(a *act) { a.k("expose", "deployment", "db", "--type=LoadBalancer", "--port=5432") }},
		{name: "opened-later", rule: "k8s-open-database-exposed", before: func(a *act) {
			a.workload("db", "docker.io/library/redis:7", 6379, "")
			a.admin("expose", "deployment", "db", "--port=6379")
		}, do: func(a *act) { a.k("patch", "service", "db", "-p", `{"spec":{"type":"NodePort"}}`) }},
		{name: "way-in", rule: "k8s-way-in-opened", before: func(a *act) { a.workload("web", "registry.example/shop/web:1", 80, "") }, do: func(a *act) {
			a.k("expose", "deployment", "web", "--type=LoadBalancer", "--port=80")
		}},

		// Ordinary work.
		{name: "deployer", do: func(a *act) {
			a.in(deployment("web", plain, ""), "apply", "-f", "-")
			a.in(deployment("web", plain, ""), "apply", "-f", "-")
			a.in(deployment("web", plain, ""), "apply", "--server-side", "--force-conflicts", "-f", "-")
			a.k("set", "image", "deployment/web", "c=registry.example/shop/web:2")
			a.k("scale", "deployment/web", "--replicas=3")
			a.k("rollout", "restart", "deployment/web")
			a.k("rollout", "undo", "deployment/web")
			a.k("autoscale", "deployment", "web", "--max=4")
			a.k("create", "job", "once", "--image=registry.example/shop/web:1")
			a.k("delete", "job", "once", "--wait=false")
		}},
		{name: "keeper", do: func(a *act) {
			a.k("create", "serviceaccount", "web")
			a.k("create", "role", "web", "--verb=get,list,watch", "--resource=pods,configmaps")
			a.k("create", "rolebinding", "web", "--role=web", "--serviceaccount="+a.ns+":web")
			a.k("auth", "can-i", "get", "pods")
			a.k("auth", "can-i", "--list")
			a.k("create", "secret", "generic", "web", "--from-literal=key=value")
			a.k("get", "secret", "web")
			a.k("get", "secrets")
			a.k("create", "configmap", "web", "--from-literal=a=b")
			a.k("delete", "configmap", "web")
			a.k("get", "pods,services,events,deployments", "-A")
			a.k("create", "service", "clusterip", "web", "--tcp=80:80")
			a.in("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web}\nspec: {podSelector: {}}\n", "create", "-f", "-")
			a.in(signingRequest(a.t, "kept-"+a.ns), "create", "-f", "-")
		}},
		{name: "visitor", groups: []string{}, do: func(a *act) {
			a.refused("get", "secrets", "-A")
			a.refused("create", "clusterrolebinding", "x", "--clusterrole=cluster-admin", "--user=visitor")
			a.refused("run", "m", "--image=docker.io/somebody/xmrig:6")
			a.refused("certificate", "approve", "none")
		}},
	}
}

// fromAfar uses a token from the pod's address, and then from beyond the cluster.
func (a *act) fromAfar(token string) {
	a.caller(a.t, "", token, "User-Agent=web/1", "X-Forwarded-For=10.240.9.9").must(a.t, 403, "GET", "/api/v1/namespaces/"+a.ns+"/pods", "")
	a.caller(a.t, "", token, "User-Agent=curl/8", "X-Forwarded-For=198.51.100.7").must(a.t, 403, "GET", "/api/v1/namespaces/"+a.ns+"/services", "")
}

func (a *act) kubeconfig(token string) string {
	file, err := a.TokenKubeconfig(a.name, token)
	if err != nil {
		a.t.Fatal(err)
	}
	return file
}

// paperNode makes a node that is an object alone.
func (a *act) paperNode(name string) {
	a.t.Helper()
	a.root().must(a.t, 201, "POST", "/api/v1/nodes", `{"apiVersion":"v1","kind":"Node","metadata":{"name":"`+name+`"}}`)
}

func (a *act) event(name string) {
	a.t.Helper()
	a.root().must(a.t, 201, "POST", "/api/v1/namespaces/"+a.ns+"/events", `{"apiVersion":"v1","kind":"Event","metadata":{"name":"`+name+`"},"reason":"X","involvedObject":{"kind":"Pod","name":"x","namespace":"`+a.ns+`"}}`)
}

func (a *act) many(resource string, n int) {
	a.t.Helper()
	c := a.root()
	for i := range n {
		c.must(a.t, 201, "POST", "/api/v1/namespaces/"+a.ns+"/"+resource, fmt.Sprintf(`{"metadata":{"name":"many-%d","labels":{"many":"yes"}}}`, i))
	}
}

// tenants makes the namespaces red and blue unless they are there.
func (a *act) tenants() {
	c := a.root()
	for _, ns := range []string{"red", "blue"} {
		if code, answer := c.do(a.t.Context(), "POST", "/api/v1/namespaces", `{"metadata":{"name":"`+ns+`"}}`); code != 201 && code != 409 {
			a.t.Fatal(answer)
		}
	}
}

func webhook(name string, clients ...string) string {
	text := "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: " + name + "}\nwebhooks:\n"
	for i, c := range clients {
		text += fmt.Sprintf(`- name: w%d.none.example
  clientConfig: %s
  failurePolicy: Ignore
  sideEffects: None
  admissionReviewVersions: [v1]
  rules: [{apiGroups: [none.example], apiVersions: [v1], resources: [things], operations: [CREATE]}]
`, i, c)
	}
	return text
}

// TestAWatchedControlPlane has one control plane whose API server calls the webhook of an
// agent, which sends to a hub: three programs and their processes, as somebody would run
// them.
func TestAWatchedControlPlane(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := map[string]string{
		"inventory.yaml":  "tenants:\n- {name: red, namespaces: [red]}\n- {name: blue, namespaces: [blue]}\n",
		"anonymisers.txt": "203.0.113.64/29\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, h := watchedLab(t, "--inventory-config", filepath.Join(dir, "inventory.yaml"), "--anonymisers", filepath.Join(dir, "anonymisers.txt"), "--api-proxies", "127.0.0.1")
	t.Run("EveryRule", func(t *testing.T) { everyRule(t, l, h) })
	t.Run("BadCallers", func(t *testing.T) { badCallers(t, l, h) })
	t.Run("BadNames", func(t *testing.T) { badNames(t, l, h) })
	t.Run("Restarts", func(t *testing.T) { restarts(t, l, h) })
}

// everyRule does to a real API server what each rule is there for, and ordinary work beside
// it, and reads from the hub's API what came of it: of each misuse its rule, and nothing
// else.
func everyRule(t *testing.T, l *Lab, h *hub) {
	all := misuses()
	ids := map[string]string{} // identity → misuse
	acts := make([]*act, len(all))
	mine := make([][]string, len(all))
	for i, m := range all { // what is prepared has time to reach the inventory
		groups := m.groups
		if groups == nil {
			groups = []string{"system:masters"}
		}
		ns := "m-" + strings.ReplaceAll(m.name, ":", "-")
		acts[i] = &act{Lab: l, t: t, name: m.name, ns: ns, kube: l.User(t, m.name, groups...), ids: &mine[i]}
		mine[i] = []string{"user:" + m.name}
		acts[i].root().must(t, 201, "POST", "/api/v1/namespaces", `{"metadata":{"name":"`+ns+`"}}`)
	}
	l.Until(t, "default service account of the last namespace", func() bool {
		code, _ := acts[0].root().do(t.Context(), "GET", "/api/v1/namespaces/"+acts[len(all)-1].ns+"/serviceaccounts/default", "")
		return code == 200
	})
	for i, m := range all {
		if m.before != nil {
			admin := *acts[i]
			admin.kube = l.Kubeconfig()
			m.before(&admin)
		}
	}
	var rec *recorder
	if recordings() != "" {
		rec = record(t, l, inventory.Config{Tenants: []inventory.TenantRule{{Name: "red", Namespaces: []string{"red"}}, {Name: "blue", Namespaces: []string{"blue"}}}},
			audit.Options{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Anonymisers: network{netip.MustParsePrefix("203.0.113.64/29")}})
	}
	for i, m := range all {
		m.do(acts[i])
		for _, id := range mine[i] {
			ids[id] = m.name
		}
	}
	found := func() map[string][]string {
		got := map[string][]string{}
		for _, a := range h.alerts() {
			if name, ok := ids[a.Subject.Identity]; ok && !slices.Contains(got[name], a.RuleID) {
				got[name] = append(got[name], a.RuleID)
			}
		}
		return got
	}
	var got map[string][]string
	complete := func() bool {
		got = found()
		return !slices.ContainsFunc(all, func(m misuse) bool { return m.rule != "" && !slices.Contains(got[m.name], m.rule) })
	}
	// What comes after everything else has been told says that everything else was.
	last := func(name string) {
		l.K(t, "create", "cronjob", name, "--image=x", "--schedule=0 0 1 1 *")
		l.Until(t, "alert of what was done last", func() bool {
			return slices.ContainsFunc(h.alerts("rule:k8s-cronjob"), func(a told) bool { return strings.HasSuffix(a.Subject.Object, "/"+name) })
		})
	}
	last("lasta")
	if !complete() { // batches may overtake each other
		last("lastb")
		complete()
	}
	if rec != nil {
		rec.split(t, all)
	}
	for _, m := range all {
		var want []string
		if m.rule != "" {
			want = append([]string{m.rule}, m.also...)
		}
		slices.Sort(want)
		slices.Sort(got[m.name])
		if !slices.Equal(got[m.name], want) {
			t.Errorf("%s: found %v, want %v", m.name, got[m.name], want)
			for _, a := range h.alerts() {
				if ids[a.Subject.Identity] == m.name {
					t.Logf("   %s: %s (%s)", a.RuleID, a.Summary, a.Subject.Object)
				}
			}
		}
	}
	t.Run("no rule is left out", func(t *testing.T) {
		done := map[string]bool{}
		for _, m := range all {
			done[m.rule] = true
		}
		// Needs a node: TestWaysIntoPodsAreSeen. Needs habits: TestHabitsOfARecordedCluster.
		elsewhere := map[string]bool{
			"k8s-exec": true, "k8s-attach": true, "k8s-port-forward": true, "k8s-kubelet-proxy": true,
			"k8s-unusual-deployment": true, "k8s-unusual-secret-access": true, "k8s-unusual-service-account": true,
		}
		have := apiRules(t)
		for id := range have {
			if done[id] == elsewhere[id] {
				t.Errorf("%s: done here %v, elsewhere %v; want one of them", id, done[id], elsewhere[id])
			}
		}
		if len(have) < 40 {
			t.Errorf("only %d rules: %v", len(have), slices.Sorted(maps.Keys(have)))
		}
	})
}

// apiRules are the ids of the shipped rules on the API server.
func apiRules(t *testing.T) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	files, err := rules.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.Contains(f.Name, "k8s-") {
			continue
		}
		for line := range strings.Lines(string(f.Data)) {
			if id, ok := strings.CutPrefix(strings.TrimSpace(line), "id: "); ok {
				ids[id] = true
			}
		}
	}
	return ids
}

// signingRequest is a certificate request for a client.
func signingRequest(t *testing.T, name string) string {
	t.Helper()
	return "apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {name: " + name + "}\nspec: {request: " + csrPEM(t, name) + ", signerName: kubernetes.io/kube-apiserver-client, usages: [client auth]}\n"
}
