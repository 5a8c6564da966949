package inventory

import (
	"strings"
)

// work is a workload: what the pods of one top owner have in common.
type work struct {
	key, namespace, kind, name string
	pods                       map[string]*Object // by name
}

// top is where the chain of an object's owners ends.
type top struct {
	kind Kind // as Kubernetes writes it
	name string
	via  string // Kind/name of an owner that is not followed: a custom resource
}

// maxChain bounds how many owners are followed.
const maxChain = 8

// topOf follows the owners of an object as far as their kinds are known. An owner that
// is not in the state is still named by whoever it owns; one of another UID is not the
// owner but its namesake. Callers hold the lock.
func (s *State) topOf(o *Object) top {
	t := top{kind: o.Kind, name: o.Name}
	if o.APIKind != "" {
		t.kind = Kind(o.APIKind)
	}
	for range maxChain {
		ref := o.Owner
		if ref == nil {
			return t
		}
		group, _, ok := strings.Cut(ref.APIVersion, "/")
		if !ok {
			group = ""
		}
		kind, known := kindOf(group, ref.Kind)
		switch {
		case known && kind == KindNode && o.Kind == KindPod:
			return top{kind: KindNode, name: ref.Name}
		case !known || !makesPods(kind):
			t.via = ref.Kind + "/" + ref.Name
			return t
		}
		up := s.get(Key{Kind: kind, Namespace: o.Namespace, Name: ref.Name})
		if up != nil && ref.UID != "" && up.UID != "" && up.UID != ref.UID {
			up = nil
		}
		t = top{kind: kind, name: ref.Name}
		if up == nil {
			// The name of a replica set that a deployment made ends with the hash its pods
			// carry as a label.
			if hash := o.Labels["pod-template-hash"]; kind == KindReplicaSet && hash != "" {
				if name, ok := strings.CutSuffix(ref.Name, "-"+hash); ok && name != "" {
					return top{kind: KindDeployment, name: name}
				}
			}
			return t
		}
		o = up
	}
	return t
}

func makesPods(k Kind) bool {
	switch k {
	case KindDeployment, KindReplicaSet, KindStatefulSet, KindDaemonSet, KindJob, KindCronJob, KindRC:
		return true
	}
	return false
}

func workKey(namespace string, t top) string {
	return namespace + "/" + string(t.kind) + "/" + t.name
}

// TopOwner returns namespace/Kind/name of the workload that an object is or belongs to;
// of one that is not in the state, its own.
func (s *State) TopOwner(k Key) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if o := s.get(k); o != nil {
		return workKey(k.Namespace, s.topOf(o))
	}
	return k.Namespace + "/" + string(k.Kind) + "/" + k.Name
}

// keyRanks finds the best of a list of keys in labels.
type keyRanks struct {
	exact  map[string]int
	suffix map[string]int // by the part behind the prefix
}

func rankKeys(keys []string) keyRanks {
	r := keyRanks{exact: map[string]int{}, suffix: map[string]int{}}
	for i, k := range keys {
		k = strings.ToLower(k)
		m := r.exact
		if rest, ok := strings.CutPrefix(k, "*/"); ok {
			k, m = rest, r.suffix
		}
		if _, ok := m[k]; !ok {
			m[k] = i
		}
	}
	return r
}

// find returns the value of the first of the keys that is there and not empty. Case does
// not matter.
func (r *keyRanks) find(m map[string]string) (key, value string, ok bool) {
	best := -1
	for k, v := range m {
		if strings.TrimSpace(v) == "" {
			continue
		}
		low := strings.ToLower(k)
		rank, found := r.exact[low]
		if !found {
			if i := strings.LastIndexByte(low, '/'); i > 0 {
				rank, found = r.suffix[low[i+1:]]
			}
		}
		if found && (best < 0 || rank < best || rank == best && k < key) {
			best, key, value, ok = rank, k, strings.TrimSpace(v), true
		}
	}
	return key, value, ok
}

// named looks for an owner in labels, then annotations.
func (s *State) named(labels, annotations map[string]string, where string) (owner, from string, ok bool) {
	if k, v, ok := s.ownerKeys.find(labels); ok {
		return v, "label " + k + " on the " + where, true
	}
	if k, v, ok := s.ownerKeys.find(annotations); ok {
		return v, "annotation " + k + " on the " + where, true
	}
	return "", "", false
}

// namespaceOwner is whose a namespace is.
func (s *State) namespaceOwner(namespace string) (owner, from string) {
	if ns := s.get(Key{Kind: KindNamespace, Name: namespace}); ns != nil {
		if owner, from, ok := s.named(ns.Labels, ns.Annotations, "namespace"); ok {
			return owner, from
		}
	}
	for _, r := range s.opt.Owners {
		if matches(r.Namespaces, namespace) {
			return r.Owner, "configuration for namespace " + namespace
		}
	}
	return Unowned, ""
}

// ownerOf is whose an object is: by itself, by the workload it belongs to, by that
// one's template, by its namespace, by configuration.
func (s *State) ownerOf(o *Object) (owner, from string) {
	if o.Kind == KindNamespace {
		return s.namespaceOwner(o.Name)
	}
	if o.Kind == KindPod || makesPods(o.Kind) {
		t := s.topOf(o)
		if up := s.get(Key{Kind: t.kind, Namespace: o.Namespace, Name: t.name}); up != nil && up.Kind != KindPod && up.Kind != o.Kind {
			if owner, from, ok := s.declared(up); ok {
				return owner, from
			}
		}
	}
	if owner, from, ok := s.declared(o); ok {
		return owner, from
	}
	if o.Namespace == "" {
		return Unowned, ""
	}
	return s.namespaceOwner(o.Namespace)
}

// declared looks for an owner on an object and on its pod template.
func (s *State) declared(o *Object) (owner, from string, ok bool) {
	where := "object"
	switch {
	case o.Kind == KindPod:
		where = "pod"
	case o.Workload != nil:
		where = "workload"
	case o.Kind == KindNode:
		where = "node"
	}
	if owner, from, ok := s.named(o.Labels, o.Annotations, where); ok {
		return owner, from, true
	}
	if o.Workload != nil {
		return s.named(o.Workload.Labels, o.Workload.Annotations, "pod template")
	}
	return "", "", false
}

// OwnerOf returns whose an object is, and where that was read: "label team on the
// namespace". Where nobody claims it, Unowned and "". An object that is not in the state
// is its namespace's owner's.
func (s *State) OwnerOf(k Key) (owner, from string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if o := s.get(k); o != nil {
		return s.ownerOf(o)
	}
	if k.Kind == KindNamespace {
		return s.namespaceOwner(k.Name)
	}
	if k.Namespace == "" {
		return Unowned, ""
	}
	return s.namespaceOwner(k.Namespace)
}

// Tenant returns the tenant of a namespace: by configuration, else by its labels. ""
// when it has none, as namespaces of the platform never do.
func (s *State) Tenant(namespace string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tenant(namespace)
}

func (s *State) tenant(namespace string) string {
	if namespace == "" || s.platform(namespace) {
		return ""
	}
	for _, t := range s.opt.Tenants {
		if matches(t.Namespaces, namespace) {
			return t.Name
		}
	}
	if ns := s.get(Key{Kind: KindNamespace, Name: namespace}); ns != nil {
		if _, v, ok := s.tenantKeys.find(ns.Labels); ok {
			return v
		}
	}
	return ""
}

// PlatformNamespace reports whether a namespace belongs to the distribution.
func (s *State) PlatformNamespace(namespace string) bool { return s.platform(namespace) }

func (s *State) platform(namespace string) bool {
	return matches(s.opt.PlatformNamespaces, namespace)
}

// tenants lists the tenants that namespaces of the state belong to, sorted.
func (s *State) tenants() []string {
	set := map[string]bool{}
	for _, ns := range s.kinds[KindNamespace][""] {
		if t := s.tenant(ns.Name); t != "" {
			set[t] = true
		}
	}
	return sorted(set)
}
