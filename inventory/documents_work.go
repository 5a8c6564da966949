package inventory

import (
	"cmp"
	"slices"
	"strings"
)

func (s *State) workloadDocument(key string) *Document {
	namespace, _, _ := strings.Cut(key, "/")
	v := s.view(namespace, key)
	if v == nil {
		return nil
	}
	spec, o := v.spec(), v.owned()
	d := &WorkloadDoc{
		Key: key, Namespace: namespace, Kind: v.kind, Name: v.name, Via: s.topOf(o).via,
		Labels: o.Labels, Tenant: s.tenant(namespace), Platform: s.platform(namespace), Created: o.Created,
		PodsTotal: len(v.pods), Images: v.images(), TokenMounted: s.tokenMounted(v),
		Powers: podPowers(spec), Mounts: s.hostMounts(namespace, spec), Secrets: secretsOf(spec),
	}
	d.Owner, d.OwnerFrom = s.ownerOf(o)
	account := accountOf(namespace, spec)
	d.Identity = IdentityKey(account)
	d.Grants = PowersOf(s.rights(account, nil))
	d.Apps, _ = s.appsOf(namespace, spec, podLabels(o))
	d.Reach, d.Exposures = s.reachOf(v)
	if v.obj != nil && v.obj.Workload != nil {
		w := v.obj.Workload
		d.Wanted, d.Ready, d.Schedule, d.Suspended, d.Template = w.Replicas, w.Ready, w.Schedule, w.Suspended, &w.Template
	} else {
		d.Template = stateless(spec)
		for _, p := range v.pods {
			if !ended(p.Pod) {
				d.Wanted++
			}
			if p.Pod.Ready {
				d.Ready++
			}
		}
	}
	if d.Tenant != "" {
		set := map[string]bool{}
		for _, p := range v.pods {
			for _, t := range s.nodeTenants(p.Pod.NodeName, d.Tenant) {
				set[t] = true
			}
		}
		d.SharedNodes = none(sorted(set))
	}
	d.Pods = v.podDocs()
	return &Document{Workload: d}
}

// stateless is a pod's specification without what changes while it runs.
func stateless(p *PodSpec) *PodSpec {
	out := *p
	out.Containers = slices.Clone(p.Containers)
	for i := range out.Containers {
		c := &out.Containers[i]
		c.ImageID, c.Digest, c.ID, c.Started, c.Running, c.Reason, c.Restarts = "", "", "", 0, false, "", 0
	}
	return &out
}

// podDocs describes the newest pods.
func (v *view) podDocs() []PodDoc {
	pods := slices.Clone(v.pods)
	slices.SortStableFunc(pods, func(a, b *Object) int { return cmp.Compare(b.Created, a.Created) })
	var out []PodDoc
	for _, o := range pods[:min(len(pods), MaxPodDocs)] {
		p := PodDoc{Name: o.Name, UID: o.UID, Node: o.Pod.NodeName, Phase: o.Pod.Phase, Reason: o.Pod.Unassigned, Started: o.Pod.Started}
		if len(o.Pod.IPs) > 0 {
			p.IP = o.Pod.IPs[0]
		}
		for _, c := range o.Pod.Containers {
			p.Restarts += c.Restarts
			if p.Reason == "" {
				p.Reason = c.Reason
			}
		}
		out = append(out, p)
	}
	return out
}

// images lists what the workload's containers use: as its pods run it, and of the
// template what no pod runs yet.
func (v *view) images() []ImageDoc {
	type id struct{ container, image, digest string }
	found := map[id]*ImageDoc{}
	told := map[string]bool{} // container and image for which a pod told the digest
	for _, o := range v.pods {
		for _, c := range o.Pod.Containers {
			k := id{c.Name, c.Image, c.Digest}
			d := found[k]
			if d == nil {
				d = &ImageDoc{Container: c.Name, Role: c.Role, Image: c.Image, Digest: c.Digest, ImageID: c.ImageID}
				found[k] = d
			}
			if d.ImageID == "" || c.ImageID != "" && c.ImageID < d.ImageID {
				d.ImageID = c.ImageID
			}
			d.Pods++
			if c.Running && c.Started != 0 && (d.Since == 0 || c.Started < d.Since) {
				d.Since = c.Started
			}
			told[c.Name+"\x00"+c.Image] = true
		}
	}
	if v.obj != nil && v.obj.Workload != nil {
		for _, c := range v.obj.Workload.Template.Containers {
			if k := (id{c.Name, c.Image, ""}); !told[c.Name+"\x00"+c.Image] && found[k] == nil {
				found[k] = &ImageDoc{Container: c.Name, Role: c.Role, Image: c.Image}
			}
		}
	}
	out := make([]ImageDoc, 0, len(found))
	for _, d := range found {
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b ImageDoc) int {
		return cmp.Or(strings.Compare(a.Container, b.Container), strings.Compare(a.Image, b.Image), strings.Compare(a.Digest, b.Digest), strings.Compare(a.Role, b.Role))
	})
	return none(out)
}

// reachOf says how far a workload can be reached, and through which exposures.
func (s *State) reachOf(v *view) (reach string, keys []string) {
	for _, key := range sorted(s.ways[v.key]) {
		keys = append(keys, key)
		reach = wider(reach, s.ways[v.key][key].Reach)
	}
	if rank(reach) > rank(ReachCluster) {
		return reach, keys
	}
	g := s.gateOf(v)
	inside := ReachCluster
	switch {
	case v.spec().HostNetwork && len(keys) == 0:
		inside = ReachUnknown // it may listen on its node without saying so
	case g.limited && !g.anywhere && !g.namespaces && !g.inside && len(g.cidrs) == 0 && g.unread == "":
		inside = ReachNone
	}
	return wider(reach, inside), keys
}

// usual are the cluster roles that the API server binds to everybody: they say nothing
// about an identity and are left out of its document.
var usual = []string{
	"ClusterRole/system:basic-user", "ClusterRole/system:discovery", "ClusterRole/system:public-info-viewer",
	"ClusterRole/system:service-account-issuer-discovery", "ClusterRole/system:cluster-trust-bundle-discovery",
}

// clusterOnly are resources of no namespace: a right on them in the whole cluster is none
// in anybody's namespace. What is not listed counts as of namespaces.
var clusterOnly = []string{
	"nodes", "namespaces", "persistentvolumes", "storageclasses", "volumeattachments", "csinodes", "csidrivers", "clusterroles", "clusterrolebindings",
	"customresourcedefinitions", "apiservices", "certificatesigningrequests", "clustertrustbundles", "priorityclasses", "runtimeclasses", "ingressclasses",
	"flowschemas", "prioritylevelconfigurations", "tokenreviews", "subjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews",
	"mutatingwebhookconfigurations", "validatingwebhookconfigurations", "componentstatuses",
}

// everywhere reports whether a rule of the whole cluster reaches into namespaces.
func everywhere(r *Right) bool {
	return r.Namespace == "" && slices.ContainsFunc(r.Resources, func(name string) bool {
		name, _, _ = strings.Cut(name, "/")
		return !slices.Contains(clusterOnly, name)
	})
}

func (s *State) identityDocument(sub Subject) *Document {
	account := s.get(accountKey(sub))
	if sub.Kind != "ServiceAccount" {
		account = nil
	}
	groups, seen := s.seen[sub]
	if account == nil && len(s.bindings[sub]) == 0 && !seen {
		return nil
	}
	d := &IdentityDoc{Key: IdentityKey(sub), Kind: sub.Kind, Namespace: sub.Namespace, Name: sub.Name, Owner: Unowned, Scope: "none"}
	if sub.Kind == "ServiceAccount" {
		d.Tenant, d.Platform = s.tenant(sub.Namespace), s.platform(sub.Namespace)
		d.Workloads = none(s.worksAs(sub.Namespace, sub.Name))
		d.Owner, d.OwnerFrom = s.namespaceOwner(sub.Namespace)
	} else {
		d.Platform = strings.HasPrefix(sub.Name, "system:")
	}
	if account != nil {
		d.Created = account.Created
		d.Owner, d.OwnerFrom = s.ownerOf(account)
		if account.Account != nil {
			d.CloudID = account.Account.CloudID
		}
	}
	rights := slices.DeleteFunc(s.rights(sub, groups), func(r Right) bool { return r.Through != "" && slices.Contains(usual, r.Role) })
	d.Grants = PowersOf(rights)
	tenants := map[string]bool{}
	wide := slices.DeleteFunc(slices.Clone(rights), func(r Right) bool { return r.Namespace != "" || len(r.Resources) == 0 })
	switch { // how far its dangerous rights go; those of a reader only where it has no other
	case len(PowersOf(wide)) > 0 || len(d.Grants) == 0 && len(wide) > 0:
		d.Scope = "cluster"
	case len(d.Grants) > 0 || slices.ContainsFunc(rights, func(r Right) bool { return r.Namespace != "" }):
		d.Scope = "namespaces"
	}
	for i := range rights {
		r := &rights[i]
		if r.Namespace != "" {
			tenants[s.tenant(r.Namespace)] = true
		} else if d.Tenant != "" && everywhere(r) {
			for _, t := range s.tenants() {
				tenants[t] = true
			}
		}
	}
	delete(tenants, d.Tenant)
	delete(tenants, "")
	// Whoever belongs to no tenant crosses a border only from the second on.
	if d.Tenant != "" || len(tenants) > 1 {
		d.Crosses = none(sorted(tenants))
	}
	d.Rights = none(rights[:min(len(rights), MaxRights)])
	d.More = len(rights) - len(d.Rights)
	return &Document{Identity: d}
}
