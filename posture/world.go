package posture

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// world is an input with what is looked up in it often.
type world struct {
	in         *Input
	at         int64 // of what ARM told
	subjects   map[string][]*subject
	reads      map[readKey]*cloud.Read
	subs       map[string]*cloud.Subscription
	exemptions []exemption
	assessed   map[string][]*cloud.Assessment // by resource
	trusted    registries                     // that images may come from, beside Microsoft's
	old        string                         // why what the cloud said passes nothing; "" = it was read lately
}

type readKey struct{ what, scope string }

// subject is one thing that controls are judged at.
type subject struct {
	w       *world
	id      string // ARM id, else the cluster's name
	cluster string
	unread  string // nothing of it could be read, and why
	arm     *cloud.Cluster
	in      *Cluster
	sub     *cloud.Subscription
	reg     *cloud.Registry
	pods    []podVerdict // of in.Workloads; made once
	judged  bool
}

// SystemNamespaces are the namespaces of Kubernetes, AKS and Arc themselves, which
// controls of workloads leave out: their owners are not the cluster's.
func SystemNamespaces() []string {
	return []string{
		"kube-system", "kube-public", "kube-node-lease", "gatekeeper-system", "azure-arc", "azure-arc-release", "calico-system", "tigera-operator",
		"app-routing-system", "aks-command", "aks-istio-system", "aks-istio-ingress", "aks-istio-egress",
	}
}

func newWorld(in *Input) *world {
	w := &world{
		in: in, subjects: map[string][]*subject{}, reads: map[readKey]*cloud.Read{},
		subs: map[string]*cloud.Subscription{}, assessed: map[string][]*cloud.Assessment{},
	}
	inside := map[string]*Cluster{}
	for i := range in.Clusters {
		c := &in.Clusters[i]
		if old := inside[strings.ToLower(c.ID)]; c.ID != "" && (old == nil || old.At < c.At) { // onboarded again: who spoke last is it
			inside[strings.ToLower(c.ID)] = c
		}
	}
	if t := in.Tenant; t != nil {
		w.tenant(t, inside)
	}
	for i := range in.Clusters {
		c := &in.Clusters[i]
		id := cmp.Or(strings.ToLower(c.ID), c.Name)
		if c.ID != "" && inside[id] != c {
			continue // of the tenant, or one of two with one id
		}
		w.add(OnCluster, &subject{id: id, cluster: id, in: c})
	}
	for _, r := range in.Settings.Registries {
		w.trusted.add(r)
	}
	for _, list := range w.subjects {
		slices.SortFunc(list, func(a, b *subject) int { return strings.Compare(a.id, b.id) })
	}
	return w
}

func (w *world) add(on string, s *subject) {
	s.w = w
	w.subjects[on] = append(w.subjects[on], s)
}

// tenant takes in what a cloud holds, and takes out of inside the clusters that are of it.
func (w *world) tenant(t *cloud.Tenant, inside map[string]*Cluster) {
	w.at = cmp.Or(t.Finished, t.Collected)
	if w.in.StaleTenant > 0 && w.in.Now-t.Collected > w.in.StaleTenant {
		w.old = "it was so when Azure was read, " + day(t.Collected) + ": collect again"
	}
	for i := range t.Reads {
		r := &t.Reads[i]
		k := readKey{r.What, strings.ToLower(r.Scope)}
		if old := w.reads[k]; old == nil || old.At <= r.At {
			w.reads[k] = r
		}
	}
	holds := map[string]bool{}
	for i := range t.Subscriptions {
		w.subs[t.Subscriptions[i].ID] = &t.Subscriptions[i]
	}
	for i := range t.Clusters {
		c := &t.Clusters[i]
		sub := w.subscription(c.Subscription)
		holds[subscriptionID(c.Subscription)] = true
		w.add(OnCluster, &subject{id: c.ID, cluster: c.ID, arm: c, in: inside[c.ID], sub: sub})
		delete(inside, c.ID)
	}
	for i := range t.Registries {
		r := &t.Registries[i]
		holds[subscriptionID(r.Subscription)] = true
		w.add(OnRegistry, &subject{id: r.ID, reg: r, sub: w.subscription(r.Subscription)})
		w.trusted.add(r.Server)
	}
	for i := range t.Subscriptions {
		s := &t.Subscriptions[i]
		gap := map[string]string{}
		for _, what := range []string{cloud.ReadClusters, cloud.ReadArc, cloud.ReadRegistries} {
			if why := w.denied(what, s.ID); why != "" {
				gap[what] = why
			}
		}
		if holds[s.ID] {
			w.add(OnSubscription, &subject{id: s.ID, sub: s})
		} else if len(gap) > 0 {
			w.add(OnSubscription, &subject{id: s.ID, sub: s, unread: "whether it holds clusters or registries is not known: " + join(gap)})
		}
		// What could not be listed stays in the count: once, as its subscription.
		if why := join(pick(gap, cloud.ReadClusters, cloud.ReadArc)); why != "" {
			w.add(OnCluster, &subject{id: s.ID, sub: s, unread: "the clusters of this subscription are not all known: " + why})
		}
		if why := gap[cloud.ReadRegistries]; why != "" {
			w.add(OnRegistry, &subject{id: s.ID, sub: s, unread: "the registries of this subscription are not all known: " + why})
		}
	}
	for i := range t.Assessments {
		a := &t.Assessments[i]
		w.assessed[strings.ToLower(a.Resource)] = append(w.assessed[strings.ToLower(a.Resource)], a)
	}
	w.exempt(t)
}

func pick(m map[string]string, keys ...string) map[string]string {
	out := map[string]string{}
	for _, k := range keys {
		if v, ok := m[k]; ok {
			out[k] = v
		}
	}
	return out
}

// join lists reasons once each, in a fixed order.
func join(m map[string]string) string {
	var out []string
	for _, v := range m {
		out = append(out, v)
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), "; ")
}

// subscriptionID gives an ARM id to what may be a bare GUID.
func subscriptionID(s string) string {
	s = strings.ToLower(s)
	if s == "" || strings.HasPrefix(s, "/") {
		return s
	}
	return "/subscriptions/" + s
}

func (w *world) subscription(s string) *cloud.Subscription { return w.subs[subscriptionID(s)] }

// exempt resolves the tenant's exemptions to policies. Of an exemption for a part of an
// initiative only the part's name is known, so it counts where the name is a policy's id.
func (w *world) exempt(t *cloud.Tenant) {
	assignments := map[string]*cloud.Assignment{}
	for i := range t.Assignments {
		assignments[t.Assignments[i].ID] = &t.Assignments[i]
	}
	definitions := map[string]*cloud.Definition{}
	for i := range t.Definitions {
		definitions[t.Definitions[i].ID] = &t.Definitions[i]
	}
	for i := range t.Exemptions {
		e := &t.Exemptions[i]
		a := assignments[e.Assignment]
		if a == nil || e.Expires != 0 && e.Expires <= w.in.Now {
			continue
		}
		x := exemption{Exemption: e}
		d := definitions[a.Definition]
		switch {
		case len(e.References) > 0:
			x.policies = e.References
		case d != nil && d.Set:
			for _, m := range d.Members {
				x.policies = append(x.policies, base(m))
			}
		default:
			x.policies = []string{base(a.Definition)}
		}
		x.why = fmt.Sprintf("Azure Policy exemption %q (%s)", cmp.Or(e.Title, base(e.ID)), e.Category)
		if e.By != "" {
			x.why += " by " + e.By
		}
		if e.Why != "" {
			x.why += ": " + e.Why
		}
		if e.Expires != 0 {
			x.why += ", until " + day(e.Expires)
		} else {
			x.why += ", without an end"
		}
		x.why = text(x.why)
		w.exemptions = append(w.exemptions, x)
	}
}

func base(id string) string { return strings.ToLower(id[strings.LastIndexByte(id, '/')+1:]) }

// read finds what came of asking something of a scope, or of one that holds it.
func (w *world) read(what, scope string) *cloud.Read {
	scope = strings.ToLower(scope)
	for s := scope; s != ""; s = s[:max(strings.LastIndexByte(s, '/'), 0)] {
		if r := w.reads[readKey{what, s}]; r != nil {
			return r
		}
	}
	return w.reads[readKey{what, ""}]
}

// denied says why something could not be read; "" when it could, or was never asked for.
func (w *world) denied(what, scope string) string {
	r := w.read(what, scope)
	if r == nil || r.Outcome == cloud.ReadOK || r.Outcome == cloud.ReadAbsent {
		return ""
	}
	return why(r)
}

func why(r *cloud.Read) string {
	s := r.What + " was " + r.Outcome
	if r.Outcome == cloud.ReadPartial {
		s = "only a part of " + r.What + " was read"
	}
	if r.Reason != "" {
		s += ": " + r.Reason
	}
	if r.Remedy != "" {
		s += " (" + r.Remedy + ")"
	}
	return s
}

// missing says why something that is nil is not known.
func (w *world) missing(what, scope string) string {
	if s := w.denied(what, scope); s != "" {
		return s
	}
	if w.read(what, scope) == nil {
		return what + " was not asked for"
	}
	return what + " was read and does not tell"
}

// inside gives the cluster as its agent told it, or says why nothing of it counts.
func (s *subject) inside(t *tally, parts ...string) *Cluster {
	c := s.in
	switch {
	case c == nil && s.stopped():
		t.unknown("the cluster is stopped, and was never seen from the inside")
		return nil
	case c == nil:
		t.unknown("the cluster is not seen from the inside: onboard it with Dockreeve's cluster agent")
		return nil
	}
	t.at = c.At
	stale := cmp.Or(s.w.in.Settings.StaleAfter, 24*3600*1e9)
	if s.w.in.Now-c.At > stale {
		why := "the cluster was last heard " + day(c.At)
		if s.stopped() {
			why += " and is stopped"
		}
		t.unknown(why)
		return nil
	}
	for _, p := range parts {
		if why, ok := c.Missing[p]; ok {
			t.unknown(p + " are not all known: " + why)
		} else if !c.has(p) {
			t.unknown("nothing was told of " + p)
		}
	}
	return c
}

// has reports whether a part was told of; an empty list that is there was.
func (c *Cluster) has(part string) bool {
	switch part {
	case partWorkloads:
		return c.Workloads != nil
	case partNodes:
		return c.Nodes != nil
	case partNamespaces:
		return c.Namespaces != nil
	case partIdentities:
		return c.Identities != nil
	}
	// There need be no way in: what told of workloads would have told of it.
	return c.Exposures != nil || c.Workloads != nil
}

// The parts of a Cluster, as Missing names them.
const (
	partWorkloads  = "workloads"
	partNodes      = "nodes"
	partNamespaces = "namespaces"
	partIdentities = "identities"
	partExposures  = "exposures"
	partKubelets   = "kubelets"
)

func (s *subject) stopped() bool { return s.arm != nil && strings.EqualFold(s.arm.Power, "Stopped") }

// system reports whether a namespace is left out.
func (w *world) system(namespace string) bool {
	if w.in.Settings.SystemNamespaces != nil {
		return slices.Contains(w.in.Settings.SystemNamespaces, namespace)
	}
	return slices.Contains(systemNamespaces, namespace)
}

var systemNamespaces = SystemNamespaces()

// workloads lists those that controls speak of, and says what was left out.
func (s *subject) workloads(t *tally) []*inventory.WorkloadDoc {
	c := s.inside(t, partWorkloads)
	if c == nil {
		return nil
	}
	var out []*inventory.WorkloadDoc
	left := 0
	for i := range c.Workloads {
		if s.w.system(c.Workloads[i].Namespace) {
			left++
			continue
		}
		out = append(out, &c.Workloads[i])
	}
	if left > 0 {
		t.left = fmt.Sprintf("%d workloads of system namespaces are left out", left)
	}
	if len(out) == 0 {
		t.notRelevant("no workload runs outside of system namespaces")
	}
	return out
}
