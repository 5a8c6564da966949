package inventory

import (
	"slices"

	"github.com/dockreeve/dockreeve/event"
)

// Powers returns what rules that hold in the whole cluster allow, as Power… words of
// package event, gravest first.
func Powers(rules []Rule) []string { return PowersIn(rules, "") }

// PowersIn is Powers for rules that hold in one namespace only ("" = in all): there,
// what has no namespace is out of their reach, and so is the word cluster-admin.
//
// A rule for named objects gives a power only where one of that name is as good as any:
// it does not make read-secrets, and makes no create that the server would refuse.
func PowersIn(rules []Rule, namespace string) []string {
	cluster := namespace == ""
	var out []string
	may := func(word string, ok bool) {
		if ok {
			out = append(out, word)
		}
	}
	can := func(group, resource, sub string, verbs ...string) bool {
		return slices.ContainsFunc(rules, func(r Rule) bool { return len(r.Names) == 0 && r.allowsAny(group, resource, sub, verbs) })
	}
	canNamed := func(group, resource, sub string, verbs ...string) bool {
		return slices.ContainsFunc(rules, func(r Rule) bool { return r.allowsAny(group, resource, sub, verbs) })
	}
	const (
		rbac      = "rbac.authorization.k8s.io"
		admission = "admissionregistration.k8s.io"
		certs     = "certificates.k8s.io"
	)
	may(event.PowerClusterAdmin, cluster && slices.ContainsFunc(rules, func(r Rule) bool {
		return len(r.Names) == 0 && slices.Contains(r.Verbs, "*") && slices.Contains(r.Groups, "*") && slices.Contains(r.Resources, "*")
	}))
	may(event.PowerEscalate, canNamed(rbac, "roles", "", "escalate", "bind") || canNamed(rbac, "clusterroles", "", "bind") ||
		cluster && canNamed(rbac, "clusterroles", "", "escalate"))
	may(event.PowerImpersonate, canNamed("", "serviceaccounts", "", "impersonate") ||
		cluster && (canNamed("", "users", "", "impersonate") || canNamed("", "groups", "", "impersonate")))
	may(event.PowerWebhooks, cluster && slices.ContainsFunc([]string{
		"validatingwebhookconfigurations", "mutatingwebhookconfigurations",
		"validatingadmissionpolicies", "validatingadmissionpolicybindings",
		"mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
	}, func(resource string) bool {
		return can(admission, resource, "", "create") || canNamed(admission, resource, "", "update", "patch")
	}))
	// An approval needs the request's subresource and the signer both.
	may(event.PowerApproveCerts, cluster && (canNamed(certs, "certificatesigningrequests", "approval", "update", "patch") && canNamed(certs, "signers", "", "approve") ||
		canNamed(certs, "certificatesigningrequests", "status", "update", "patch") && canNamed(certs, "signers", "", "sign")))
	may(event.PowerTokens, canNamed("", "serviceaccounts", "token", "create"))
	may(event.PowerSecretsRead, can("", "secrets", "", "get", "list", "watch"))
	// A websocket is opened with get, so get is as good as create.
	may(event.PowerExec, canNamed("", "pods", "exec", "create", "get") || canNamed("", "pods", "attach", "create", "get") ||
		canNamed("", "pods", "portforward", "create", "get"))
	may(event.PowerNodesProxy, cluster && canNamed("", "nodes", "proxy", "get", "create", "update", "patch", "delete"))
	may(event.PowerPodsCreate, can("", "pods", "", "create") || slices.ContainsFunc([][2]string{
		{"apps", "deployments"}, {"apps", "daemonsets"}, {"apps", "statefulsets"}, {"apps", "replicasets"},
		{"batch", "jobs"}, {"batch", "cronjobs"}, {"", "replicationcontrollers"},
	}, func(r [2]string) bool {
		return can(r[0], r[1], "", "create") || canNamed(r[0], r[1], "", "update", "patch")
	}))
	may(event.PowerNodesWrite, cluster && (can("", "nodes", "", "create") || canNamed("", "nodes", "", "update", "patch", "delete") ||
		canNamed("", "nodes", "status", "update", "patch")))
	may(event.PowerVolumesWrite, cluster && can("", "persistentvolumes", "", "create"))
	may(event.PowerEphemeral, canNamed("", "pods", "ephemeralcontainers", "update", "patch"))
	may(event.PowerWildcard, slices.ContainsFunc(rules, func(r Rule) bool {
		return len(r.Resources) > 0 && (slices.Contains(r.Verbs, "*") || slices.Contains(r.Resources, "*") || slices.Contains(r.Groups, "*"))
	}))
	may(event.PowerEventsDelete, canNamed("", "events", "", "delete", "deletecollection") ||
		canNamed("events.k8s.io", "events", "", "delete", "deletecollection"))
	may(event.PowerConfigMaps, (cluster || namespace == "kube-system") && slices.ContainsFunc(rules, func(r Rule) bool {
		return r.allowsAny("", "configmaps", "", []string{"update", "patch"}) && (len(r.Names) == 0 || slices.ContainsFunc(r.Names, kubeConfig))
	}))
	return out
}

// kubeConfig names the ConfigMaps of kube-system that the cluster itself runs by.
func kubeConfig(name string) bool {
	switch name {
	case "aws-auth", "coredns", "coredns-custom", "kube-proxy", "kubeadm-config", "kubelet-config",
		"extension-apiserver-authentication", "kube-root-ca.crt":
		return true
	}
	return false
}

// allowsAny reports whether the rule allows one of the verbs, on some object.
func (r *Rule) allowsAny(group, resource, sub string, verbs []string) bool {
	if !slices.Contains(r.Groups, "*") && !slices.Contains(r.Groups, group) {
		return false
	}
	if !slices.Contains(r.Verbs, "*") && !slices.ContainsFunc(verbs, func(v string) bool { return slices.Contains(r.Verbs, v) }) {
		return false
	}
	full := resource
	if sub != "" {
		full += "/" + sub
	}
	return slices.ContainsFunc(r.Resources, func(x string) bool {
		return x == "*" || x == full || sub != "" && x == "*/"+sub
	})
}

// Allows reports whether the rule allows a request: for name the object's, "" for none
// (create, list, watch, deletecollection).
func (r *Rule) Allows(verb, group, resource, sub, name string) bool {
	return r.allowsAny(group, resource, sub, []string{verb}) && (len(r.Names) == 0 || name != "" && slices.Contains(r.Names, name))
}

// order is the order of powers, gravest first.
var order = [...]string{
	event.PowerClusterAdmin, event.PowerEscalate, event.PowerImpersonate, event.PowerWebhooks, event.PowerApproveCerts,
	event.PowerTokens, event.PowerSecretsRead, event.PowerExec, event.PowerNodesProxy, event.PowerPodsCreate,
	event.PowerNodesWrite, event.PowerVolumesWrite, event.PowerEphemeral, event.PowerWildcard, event.PowerEventsDelete, event.PowerConfigMaps,
}

// PowersOf returns what rights allow together, gravest first.
func PowersOf(rights []Right) []string {
	byNS := map[string][]Rule{}
	for _, r := range rights {
		byNS[r.Namespace] = append(byNS[r.Namespace], r.Rule)
	}
	have := map[string]bool{}
	for ns, rules := range byNS {
		if ns != "" {
			// What holds everywhere helps here too: approvals, say, need two rules.
			rules = append(slices.Clip(byNS[""]), rules...)
		}
		for _, w := range PowersIn(rules, ns) {
			have[w] = true
		}
	}
	var out []string
	for _, w := range order {
		if have[w] {
			out = append(out, w)
		}
	}
	return out
}
