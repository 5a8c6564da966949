package inventory

import (
	"maps"
	"reflect"
	"slices"
)

// marks says what must be rendered anew. A mark too many costs time only: what did not
// change is not sent. All sets are bounded by what the state holds, or held at the last
// Dirty.
type marks struct {
	all, cluster, exposeAll bool
	works, nodes, spaces    map[string]bool
	exposeNS, exposures     map[string]bool
	ids                     map[Subject]bool
	pods                    map[Key]bool
	podGone                 map[string]gonePod // by PodMeta.UID
}

// gonePod is a pod that went; meta is set when no node has heard of it yet.
type gonePod struct {
	node string
	meta *PodMeta
}

func newMarks() marks {
	return marks{
		all: true, works: map[string]bool{}, nodes: map[string]bool{}, spaces: map[string]bool{},
		exposeNS: map[string]bool{}, exposures: map[string]bool{}, ids: map[Subject]bool{},
		pods: map[Key]bool{}, podGone: map[string]gonePod{},
	}
}

// touch marks what an object's change from old to new, either of which may be nil,
// touches. The indexes hold new already.
func (s *State) touch(old, o *Object) {
	x := either(o, old)
	came := old == nil || o == nil
	m := &s.marks
	if came {
		m.cluster = true
	}
	switch k := x.Kind; {
	case k == KindPod:
		s.touchPod(old, o, came)
	case makesPods(k):
		s.touchWork(old, o, came)
	case k == KindNode:
		m.nodes[x.Name], m.cluster = true, true
		if o == nil {
			delete(s.kubelets, x.Name)
		}
		if came || !slices.Equal(old.Node.Addresses, o.Node.Addresses) || !slices.Equal(old.Node.External, o.Node.External) {
			m.exposeAll = true
		}
	case k == KindNamespace:
		s.touchNamespace(old, o, came)
	case k == KindService:
		s.markExpose(x.Namespace)
		if old != nil && outside(old.Service) || o != nil && outside(o.Service) {
			m.exposeAll = true // an ingress elsewhere may have its address
		}
	case k == KindIngress:
		m.exposeNS[x.Namespace] = true
	case k == KindGateway || k == KindRoute:
		m.exposeAll = true
	case k == KindNetworkPolicy:
		s.markExpose(x.Namespace)
		s.markWorks(x.Namespace)
	case k == KindConfigMap:
		if came || !slices.Equal(old.ConfigMap.Says, o.ConfigMap.Says) {
			s.markExpose(x.Namespace)
		}
	case k == KindServiceAccount:
		m.ids[Subject{Kind: "ServiceAccount", Namespace: x.Namespace, Name: x.Name}] = true
		s.markWorks(x.Namespace)
	case k == KindVolume || k == KindClaim:
		s.touchVolume(old, o)
	default:
		s.touchRights(old, o)
	}
}

func (s *State) touchPod(old, o *Object, came bool) {
	m := &s.marks
	moved := came || old.Pod.NodeName != o.Pod.NodeName
	regrouped := came || workKey(old.Namespace, s.topOf(old)) != workKey(o.Namespace, s.topOf(o))
	m.cluster = m.cluster || regrouped
	for _, p := range []*Object{old, o} {
		if p == nil {
			continue
		}
		m.works[workKey(p.Namespace, s.topOf(p))] = true
		if !moved && !regrouped && old.Pod.ServiceAccount == o.Pod.ServiceAccount {
			continue
		}
		s.markMembers(p.Namespace, workKey(p.Namespace, s.topOf(p)))
		m.spaces[p.Namespace] = true
		m.ids[accountOf(p.Namespace, &p.Pod.PodSpec)] = true
		if node := p.Pod.NodeName; node != "" {
			m.nodes[node] = true
			if n := s.nodeNS[node][p.Namespace]; moved && (n == 0 || n == 1) {
				// The first or last pod of a namespace on this node: its neighbours may now
				// share it with another tenant.
				for k := range s.onNode[node] {
					if w := s.workOf[k]; w != nil {
						m.works[w.key] = true
					}
				}
			}
		}
	}
	if moved || old.Pod.Phase != o.Pod.Phase || !maps.Equal(old.Labels, o.Labels) ||
		!slices.Equal(old.Pod.IPs, o.Pod.IPs) || !reflect.DeepEqual(old.Pod.PodSpec, o.Pod.PodSpec) {
		s.markExpose(either(old, o).Namespace)
	}
	if o != nil {
		s.markPod(o)
	}
}

// either is the object before a change or, where there was none, after it.
func either(old, o *Object) *Object {
	if old != nil {
		return old
	}
	return o
}

func accountOf(namespace string, p *PodSpec) Subject {
	return Subject{Kind: "ServiceAccount", Namespace: namespace, Name: p.ServiceAccount}
}

func (s *State) touchWork(old, o *Object, came bool) {
	m := &s.marks
	for _, w := range []*Object{old, o} {
		if w != nil {
			m.works[workKey(w.Namespace, s.topOf(w))], m.works[workKeyOf(w.Key)] = true, true
		}
	}
	x := either(old, o)
	if came || old.UID != o.UID || !sameOwner(old.Owner, o.Owner) {
		s.reattach(x.Key)
		m.cluster = true
	}
	if came || !reflect.DeepEqual(old.Workload.Template, o.Workload.Template) || !maps.Equal(old.Workload.Labels, o.Workload.Labels) ||
		!same(old, o) || !maps.Equal(old.Workload.Annotations, o.Workload.Annotations) || !sameOwner(old.Owner, o.Owner) {
		s.markExpose(x.Namespace)
		for _, w := range []*Object{old, o} {
			if w != nil {
				m.ids[accountOf(w.Namespace, &w.Workload.Template)] = true
			}
		}
		if w := s.works[x.Namespace][workKeyOf(x.Key)]; w != nil {
			for _, p := range w.pods {
				s.markPod(p)
				m.ids[accountOf(p.Namespace, &p.Pod.PodSpec)] = true
			}
		}
	}
}

// markMembers marks the identities of a workload that is known by its pods only: which
// of them speaks for it may have changed.
func (s *State) markMembers(namespace, key string) {
	w := s.works[namespace][key]
	if w == nil || s.get(Key{Kind: Kind(w.kind), Namespace: namespace, Name: w.name}) != nil {
		return
	}
	for _, p := range w.pods {
		s.marks.ids[accountOf(namespace, &p.Pod.PodSpec)] = true
	}
}

func sameOwner(a, b *OwnerRef) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func (s *State) touchNamespace(old, o *Object, came bool) {
	m := &s.marks
	name := either(old, o).Name
	m.spaces[name], m.cluster = true, true
	if same(old, o) {
		return
	}
	said := func(n *Object) (tenant, owner string) {
		if n == nil {
			return "", ""
		}
		_, tenant, _ = s.tenantKeys.find(n.Labels)
		owner, from, _ := s.named(n.Labels, n.Annotations, "")
		return tenant, owner + "\x00" + from
	}
	t1, o1 := said(old)
	t2, o2 := said(o)
	if t1 != t2 || came && s.tenant(name) != "" {
		m.all, m.exposeAll = true, true
	} else if o1 != o2 {
		s.markWorks(name)
		s.markExpose(name)
		for _, a := range s.kinds[KindServiceAccount][name] {
			m.ids[Subject{Kind: "ServiceAccount", Namespace: name, Name: a.Name}] = true
		}
		for sub := range s.bindings {
			if sub.Namespace == name {
				m.ids[sub] = true
			}
		}
	}
	for _, p := range s.kinds[KindPod][name] {
		s.markPod(p)
	}
}

// touchVolume marks the workloads that mount a claim, or the claim of a volume, whose
// path on the node changed.
func (s *State) touchVolume(old, o *Object) {
	for _, v := range []*Object{old, o} {
		if v == nil || v.Volume == nil {
			continue
		}
		ns := v.Namespace
		if v.Kind == KindVolume {
			if v.Volume.HostPath == "" {
				continue
			}
			for _, names := range s.kinds[KindClaim] {
				for _, c := range names {
					if c.Volume != nil && c.Volume.Volume == v.Name {
						s.markWorks(c.Namespace)
					}
				}
			}
			continue
		}
		if old == nil || o == nil || old.Volume.Volume != o.Volume.Volume {
			s.markWorks(ns)
		}
	}
}

func (s *State) touchRights(old, o *Object) {
	for _, x := range []*Object{old, o} {
		switch {
		case x == nil:
		case x.Binding != nil:
			for _, sub := range x.Binding.Subjects {
				s.markSubject(subjectKey(sub))
			}
		case x.Role != nil:
			s.markRole(x.Key)
			if x.Kind == KindClusterRole {
				for _, r := range s.kinds[KindClusterRole][""] {
					if r.Role != nil && len(r.Role.Aggregate) > 0 {
						s.markRole(r.Key)
					}
				}
			}
		}
	}
}

func (s *State) markRole(role Key) {
	for b := range s.boundBy[role] {
		for _, sub := range s.get(b).Binding.Subjects {
			s.markSubject(subjectKey(sub))
		}
	}
}

// markSubject marks an identity and, of a group that the API server fills, its members.
func (s *State) markSubject(sub Subject) {
	m := &s.marks
	m.ids[sub] = true
	if sub.Kind != "Group" {
		return
	}
	for _, ns := range s.spaces() {
		if sub.Name == groupAccounts || sub.Name == groupAuthenticated || sub.Name == groupAccounts+":"+ns {
			for name := range s.kinds[KindServiceAccount][ns] {
				m.ids[Subject{Kind: "ServiceAccount", Namespace: ns, Name: name}] = true
			}
			s.markWorks(ns) // pods may name an account that is not there
		}
	}
	for other := range s.bindings {
		if slices.Contains(groupsOf(other, s.seen[other]), sub.Name) {
			m.ids[other] = true
		}
	}
	for other, groups := range s.seen {
		if slices.Contains(groups, sub.Name) {
			m.ids[other] = true
		}
	}
}

// markWorks marks all workloads of a namespace.
func (s *State) markWorks(namespace string) {
	for _, k := range s.workKeys(namespace) {
		s.marks.works[k] = true
	}
}

// markExpose marks the ways into a namespace, also those that begin in another, and with
// them what its own document says of them.
func (s *State) markExpose(namespace string) {
	s.marks.exposeNS[namespace], s.marks.spaces[namespace] = true, true
	kinds := []Kind{KindGateway, KindRoute}
	for _, svc := range s.kinds[KindService][namespace] {
		if outside(svc.Service) {
			kinds = append(kinds, KindIngress) // one without address is judged by the controllers
			break
		}
	}
	for _, k := range kinds {
		for ns := range s.kinds[k] {
			s.marks.exposeNS[ns] = true
		}
	}
}

// outside reports whether a service has, or will have, an address beyond the cluster.
func outside(v *Service) bool {
	return v.Type == "LoadBalancer" || len(v.Addresses)+len(v.ExternalIPs) > 0
}

// markPod notes that a node may have to hear of a pod.
func (s *State) markPod(o *Object) {
	if o.Pod.NodeName != "" {
		s.marks.pods[o.Key] = true
	}
}

// maxUnheard bounds the pods that went before their node heard of them.
const maxUnheard = 10_000

// forgetPod notes that a pod is gone, before it leaves the indexes.
func (s *State) forgetPod(o *Object) {
	s.recent.add(o)
	delete(s.marks.pods, o.Key)
	if o.Pod.NodeName == "" {
		return
	}
	meta := s.podMeta(o)
	g := gonePod{node: o.Pod.NodeName}
	if sent, heard := s.podSent[meta.UID]; heard {
		g.node = sent.node
	} else if len(s.marks.podGone) < maxUnheard {
		g.meta = &meta
	} else {
		return
	}
	s.marks.podGone[meta.UID] = g
}
