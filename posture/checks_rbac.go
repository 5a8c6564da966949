package posture

import (
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inventory"
)

// A power is what a control wants to be held by few: words of event, and the sentence.
type powerRule struct {
	words []string
	may   string // "{n} identities may …"
}

var (
	powerSecrets    = powerRule{[]string{event.PowerSecretsRead}, "read secrets"}
	powerWildcard   = powerRule{[]string{event.PowerWildcard, event.PowerClusterAdmin}, "do whatever a star stands for"}
	powerPods       = powerRule{[]string{event.PowerPodsCreate}, "create pods"}
	powerEscalate   = powerRule{[]string{event.PowerEscalate, event.PowerImpersonate}, "give itself rights or act as another"}
	powerVolumes    = powerRule{[]string{event.PowerVolumesWrite}, "create persistent volumes"}
	powerNodesProxy = powerRule{[]string{event.PowerNodesProxy}, "reach the kubelets through the API server"}
	powerApprove    = powerRule{[]string{event.PowerApproveCerts}, "approve certificates"}
	powerWebhooks   = powerRule{[]string{event.PowerWebhooks}, "change admission webhooks or policies"}
	powerTokens     = powerRule{[]string{event.PowerTokens}, "create tokens of service accounts"}
)

// identities lists those that controls of rights speak of: not the platform's own.
func (s *subject) identities(t *tally) []*inventory.IdentityDoc {
	c := s.inside(t, partIdentities)
	if c == nil {
		return nil
	}
	var out []*inventory.IdentityDoc
	left := 0
	for i := range c.Identities {
		d := &c.Identities[i]
		if s.w.platform(d) {
			left++
			continue
		}
		out = append(out, d)
	}
	if left > 0 {
		t.left = plural(left, "identity", "identities") + " of Kubernetes and of system namespaces left out"
	}
	return out
}

// platform reports whether an identity is Kubernetes' or AKS's own. Groups that stand
// for everybody are not: what they hold, everybody holds.
func (w *world) platform(d *inventory.IdentityDoc) bool {
	if d.Kind == "ServiceAccount" {
		return w.system(d.Namespace)
	}
	switch d.Name {
	case "system:authenticated", "system:unauthenticated", "system:anonymous", "system:serviceaccounts":
		return false
	}
	if ns, ok := strings.CutPrefix(d.Name, "system:serviceaccounts:"); ok {
		return w.system(ns)
	}
	// aks-service is AKS itself; clusterAdmin and clusterUser are its local accounts,
	// which have a control of their own.
	return strings.HasPrefix(d.Name, "system:") || slices.Contains([]string{"aks-service", "clusterAdmin", "clusterUser", "masterclient"}, d.Name)
}

// power judges who holds a power. In a namespace of its own a service account may hold
// any; elsewhere, or over the whole cluster, it fails.
func power(p powerRule) check {
	return func(s *subject, t *tally) {
		t.say("none of {of} identities may "+p.may+" beyond its own namespace", "{n} of {of} identities may "+p.may+" beyond their own namespace")
		for _, d := range s.identities(t) {
			held, more := beyond(d, p.words)
			switch {
			case held != nil:
				t.fail(d.Key, p.words[0], describe(held), FromKubernetes)
			case more:
				t.unknown(d.Key + " holds more rights than are kept, and one of those gives this power")
			default:
				t.saw(d.Key, p.words[0], "no", FromKubernetes)
			}
		}
	}
}

// beyond finds the right by which an identity holds one of the powers outside of its own
// namespace; more is true when it may be among the rights that were not kept.
func beyond(d *inventory.IdentityDoc, words []string) (held *inventory.Right, more bool) {
	if !slices.ContainsFunc(d.Grants, func(g string) bool { return slices.Contains(words, g) }) {
		return nil, false
	}
	for i := range d.Rights {
		r := &d.Rights[i]
		if !outside(d, r) {
			continue
		}
		for _, g := range inventory.PowersIn([]inventory.Rule{r.Rule}, r.Namespace) {
			if slices.Contains(words, g) {
				return r, false
			}
		}
	}
	// Some powers need two rules; one that takes the whole cluster is told by what is left.
	var wide []inventory.Right
	for i := range d.Rights {
		if outside(d, &d.Rights[i]) {
			wide = append(wide, d.Rights[i])
		}
	}
	for _, g := range inventory.PowersOf(wide) {
		if slices.Contains(words, g) {
			return &wide[0], false
		}
	}
	return nil, d.More > 0
}

// outside reports whether a right counts against its holder: one in a service account's
// own namespace does not, nor one that everybody of a group holds, as the group is judged.
func outside(d *inventory.IdentityDoc, r *inventory.Right) bool {
	if r.Through != "" && r.Through != "system:masters" {
		return false
	}
	return d.Kind != "ServiceAccount" || r.Namespace != d.Namespace
}

func describe(r *inventory.Right) string {
	where := "whole cluster"
	if r.Namespace != "" {
		where = "namespace " + r.Namespace
	}
	return r.Role + " by " + r.Binding + " in the " + where
}

func clusterAdmin(s *subject, t *tally) {
	t.say("none of {of} identities is administrator of the cluster", "{n} of {of} identities are administrators of the whole cluster")
	for _, d := range s.identities(t) {
		i := slices.IndexFunc(d.Rights, func(r inventory.Right) bool {
			return r.Namespace == "" && outside(d, &r) && (r.Role == "ClusterRole/cluster-admin" || slices.Contains(inventory.PowersIn([]inventory.Rule{r.Rule}, ""), event.PowerClusterAdmin))
		})
		switch {
		case i >= 0:
			t.fail(d.Key, "cluster-admin", describe(&d.Rights[i]), FromKubernetes)
		case d.More > 0 && slices.Contains(d.Grants, event.PowerClusterAdmin):
			t.fail(d.Key, "cluster-admin", "by a right beyond those that are kept", FromKubernetes)
		default:
			t.saw(d.Key, "cluster-admin", "no", FromKubernetes)
		}
	}
}

// defaultAccounts wants the account that every namespace has to be without rights and
// without workloads.
func defaultAccounts(s *subject, t *tally) {
	t.say("no workload uses one of {of} default service accounts, and none has rights", "{n} of {of} default service accounts are used, or have rights")
	for _, d := range s.identities(t) {
		if d.Kind != "ServiceAccount" || d.Name != "default" {
			continue
		}
		own := slices.DeleteFunc(slices.Clone(d.Rights), func(r inventory.Right) bool { return r.Through != "" })
		switch {
		case len(own) > 0:
			t.fail(d.Key, "rights", describe(&own[0]), FromKubernetes)
		case len(d.Workloads) > 0:
			t.fail(d.Key, "workloads", strings.Join(d.Workloads[:min(len(d.Workloads), 5)], ", "), FromKubernetes)
		default:
			t.saw(d.Key, "rights and workloads", "none", FromKubernetes)
		}
	}
	if t.checked == 0 && len(t.unknowns) == 0 {
		t.notRelevant("no namespace outside of the system's has a default service account")
	}
}
