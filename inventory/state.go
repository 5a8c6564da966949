package inventory

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// State joins the objects of one cluster. It is safe for concurrent use; what it
// returns must not be written to.
//
// What follows from the objects is worked out when it is asked for (Dirty, Full): a Put
// only notes what it touches. Memory is bounded by Options.MaxObjects.
type State struct {
	opt        Options
	ownerKeys  keyRanks
	tenantKeys keyRanks

	mu      sync.RWMutex
	share   *sharer
	kinds   map[Kind]map[string]map[string]*Object // kind → namespace → name
	count   int
	refused uint64 // objects beyond MaxObjects

	byUID    map[string]*Object      // pods
	byStatic map[string]*Object      // static pods, by the kubelet's uid
	byIP     map[string]*Object      // pods with an address of their own
	rivals   map[string]map[Key]bool // address → pods, where several claim it
	nodeIP   map[string]*Object
	onNode   map[string]map[Key]*Object // pods
	nodeNS   map[string]map[string]int  // node → namespace → pods
	children map[Key]map[Key]bool       // direct owner → what it owns
	works    map[string]map[string]*work
	workOf   map[Key]*work // of pods
	bindings map[Subject]map[Key]bool
	boundBy  map[Key]map[Key]bool // role → bindings that give it
	seen     map[Subject][]string // users that used the API → the groups they came with, sorted
	kubelets map[string]*Kubelet  // by node that is known
	unread   map[Key]string       // roles and bindings that were not read whole → Object.Unread
	recent   recent

	marks    marks
	base     ClusterDoc
	exposed  map[string]*ExposureDoc            // by key
	exposeNS map[string]map[string]bool         // namespace → keys of exposed
	ways     map[string]map[string]*ExposureDoc // workload → exposures that lead to it
	sent     map[docKey]uint64                  // hash of each document that Dirty returned
	podSent  map[string]sentPod                 // by PodMeta.UID
}

type docKey struct{ kind, key string }

// NewState returns an empty state.
func NewState(opt Options) *State {
	opt = opt.withDefaults()
	return &State{
		opt: opt, ownerKeys: rankKeys(opt.OwnerKeys), tenantKeys: rankKeys(opt.TenantKeys),
		share: newSharer(), kinds: map[Kind]map[string]map[string]*Object{},
		byUID: map[string]*Object{}, byStatic: map[string]*Object{}, byIP: map[string]*Object{}, rivals: map[string]map[Key]bool{}, nodeIP: map[string]*Object{},
		onNode: map[string]map[Key]*Object{}, nodeNS: map[string]map[string]int{}, children: map[Key]map[Key]bool{},
		works: map[string]map[string]*work{}, workOf: map[Key]*work{},
		bindings: map[Subject]map[Key]bool{}, boundBy: map[Key]map[Key]bool{}, seen: map[Subject][]string{},
		kubelets: map[string]*Kubelet{}, unread: map[Key]string{},
		marks: newMarks(), base: ClusterDoc{Name: opt.Cluster},
		exposed: map[string]*ExposureDoc{}, exposeNS: map[string]map[string]bool{}, ways: map[string]map[string]*ExposureDoc{},
		sent: map[docKey]uint64{}, podSent: map[string]sentPod{},
	}
}

// Put adds an object or replaces the one of its key. The object belongs to the state
// from now on: it may share its strings with others of the same content.
func (s *State) Put(o *Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(o)
}

// Delete removes an object; with a uid only if it is still that one.
func (s *State) Delete(k Key, uid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.get(k); o != nil && (uid == "" || o.UID == uid) {
		s.remove(o)
	}
}

// Replace states all objects of a kind (and, where it folds several, of one APIKind;
// "" = all of them): what is not among them is gone.
func (s *State) Replace(kind Kind, apiKind string, objects []*Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	named := make(map[Key]bool, len(objects))
	for _, o := range objects {
		named[o.Key] = true
	}
	var gone []*Object
	for _, names := range s.kinds[kind] {
		for _, o := range names {
			if !named[o.Key] && (apiKind == "" || o.APIKind == apiKind) {
				gone = append(gone, o)
			}
		}
	}
	for _, o := range gone {
		s.remove(o)
	}
	for _, o := range objects {
		if o.Kind == kind {
			s.put(o)
		}
	}
}

func (s *State) get(k Key) *Object { return s.kinds[k.Kind][k.Namespace][k.index()] }

func (s *State) put(o *Object) {
	old := s.get(o.Key)
	if old == o {
		return
	}
	if old == nil && s.count >= s.opt.MaxObjects {
		s.refused++
		s.marks.cluster = true
		return
	}
	o.complete()
	s.share.object(o)
	if old != nil && o.Kind == KindPod && (old.UID != o.UID || old.Pod.NodeName != o.Pod.NodeName || old.Pod.StaticUID != o.Pod.StaticUID) {
		s.forgetPod(old)
	}
	if old != nil {
		s.unindex(old, o)
	} else {
		s.count++
	}
	byNS := s.kinds[o.Kind]
	if byNS == nil {
		byNS = map[string]map[string]*Object{}
		s.kinds[o.Kind] = byNS
	}
	names := byNS[o.Namespace]
	if names == nil {
		names = map[string]*Object{}
		byNS[o.Namespace] = names
	}
	names[o.Key.index()] = o
	s.index(o)
	s.noteUnread(o.Key, o.Unread)
	s.touch(old, o)
}

// complete gives an object that was not decoded the part that its kind asks for.
func (o *Object) complete() {
	switch k := o.Kind; {
	case k == KindNode && o.Node == nil:
		o.Node = &Node{}
	case k == KindPod && o.Pod == nil:
		o.Pod = &Pod{}
	case makesPods(k) && o.Workload == nil:
		o.Workload = &Workload{}
	case k == KindService && o.Service == nil:
		o.Service = &Service{Type: "ClusterIP"}
	case (k == KindIngress || k == KindGateway || k == KindRoute) && o.Ingress == nil:
		o.Ingress = &Ingress{}
	case k == KindConfigMap && o.ConfigMap == nil:
		o.ConfigMap = &ConfigMap{}
	case (k == KindVolume || k == KindClaim) && o.Volume == nil:
		o.Volume = &Volume{}
	}
}

func (s *State) remove(o *Object) {
	if o.Kind == KindPod {
		s.forgetPod(o)
	}
	s.unindex(o, nil)
	delete(s.kinds[o.Kind][o.Namespace], o.Key.index())
	if len(s.kinds[o.Kind][o.Namespace]) == 0 {
		delete(s.kinds[o.Kind], o.Namespace)
	}
	s.count--
	s.noteUnread(o.Key, "")
	s.touch(o, nil)
}

// noteUnread remembers roles and bindings of which only a part is known: identities may
// have rights beyond those that are told.
func (s *State) noteUnread(k Key, what string) {
	switch k.Kind {
	case KindRole, KindClusterRole, KindRoleBinding, KindClusterBinding:
	default:
		return
	}
	if s.unread[k] == what {
		return
	}
	s.marks.cluster = true
	if what == "" {
		delete(s.unread, k)
	} else {
		s.unread[k] = what
	}
}

// rightsGap says that rights are not all known; nil when they are.
func (s *State) rightsGap() *Gap {
	if len(s.unread) == 0 {
		return nil
	}
	keys := make([]Key, 0, len(s.unread))
	for k := range s.unread {
		keys = append(keys, k)
	}
	first := slices.MinFunc(keys, compareKeys)
	return &Gap{
		What:   "roles and bindings",
		Reason: fmt.Sprintf("%d were not read whole, the first is %s %s/%s: %s", len(keys), first.Kind, first.Namespace, first.Name, s.unread[first]),
		Remedy: "split a role of more than 512 rules and a binding of more than 1,024 subjects; what has a shape that is not known needs a newer version of Dockreeve",
	}
}

func (s *State) index(o *Object) {
	if ref := ownerKey(o); ref.Kind != "" {
		add(s.children, ref, o.Key)
	}
	switch {
	case o.Pod != nil:
		s.indexPod(o)
	case o.Node != nil:
		for _, list := range [][]string{o.Node.Addresses, o.Node.External} {
			for _, ip := range list {
				// A name or address that two nodes claim is the one's whose name sorts first,
				// so that the order of arrival decides nothing.
				if have := s.nodeIP[ip]; have == nil || o.Name <= have.Name {
					s.nodeIP[ip] = o
				}
			}
		}
	case o.Binding != nil:
		for _, sub := range o.Binding.Subjects {
			add(s.bindings, subjectKey(sub), o.Key)
		}
		add(s.boundBy, roleKey(o), o.Key)
	}
}

func (s *State) indexPod(o *Object) {
	p := o.Pod
	if o.UID != "" {
		s.byUID[o.UID] = o
	}
	if p.StaticUID != "" {
		s.byStatic[p.StaticUID] = o
	}
	if !p.HostNetwork && !ended(p) {
		for _, ip := range p.IPs {
			// An address is reused as soon as its pod has ended: the younger holds it.
			have := s.byIP[ip]
			if have != nil {
				add(s.rivals, ip, have.Key)
				add(s.rivals, ip, o.Key)
			}
			if have == nil || younger(o, have) {
				s.byIP[ip] = o
			}
		}
	}
	if p.NodeName != "" {
		if s.onNode[p.NodeName] == nil {
			s.onNode[p.NodeName] = map[Key]*Object{}
			s.nodeNS[p.NodeName] = map[string]int{}
		}
		s.onNode[p.NodeName][o.Key] = o
		s.nodeNS[p.NodeName][o.Namespace]++
	}
	s.attach(o)
}

// ended reports whether a pod holds no address any more.
func ended(p *Pod) bool { return p.Phase == "Succeeded" || p.Phase == "Failed" }

func younger(a, b *Object) bool {
	if a.Created != b.Created {
		return a.Created > b.Created
	}
	return a.Namespace+"/"+a.Name > b.Namespace+"/"+b.Name
}

// attach gives a pod to its workload.
func (s *State) attach(o *Object) {
	t := s.topOf(o)
	key := workKey(o.Namespace, t)
	w := s.works[o.Namespace][key]
	if w == nil {
		w = &work{key: key, namespace: o.Namespace, kind: string(t.kind), name: t.name, pods: map[string]*Object{}}
		if s.works[o.Namespace] == nil {
			s.works[o.Namespace] = map[string]*work{}
		}
		s.works[o.Namespace][key] = w
	}
	w.pods[o.Name] = o
	s.workOf[o.Key] = w
}

func (s *State) detach(k Key) {
	w := s.workOf[k]
	if w == nil {
		return
	}
	delete(s.workOf, k)
	delete(w.pods, k.Name)
	if len(w.pods) == 0 {
		delete(s.works[w.namespace], w.key)
		if len(s.works[w.namespace]) == 0 {
			delete(s.works, w.namespace)
		}
	}
}

// unindex takes an object out of the indexes; next is what takes its place, nil for none.
func (s *State) unindex(o, next *Object) {
	if ref := ownerKey(o); ref.Kind != "" && (next == nil || ownerKey(next) != ref) {
		drop(s.children, ref, o.Key)
	}
	switch {
	case o.Pod != nil:
		s.unindexPod(o)
	case o.Node != nil:
		for _, list := range [][]string{o.Node.Addresses, o.Node.External} {
			for _, ip := range list {
				if s.nodeIP[ip] == o {
					delete(s.nodeIP, ip)
					s.reclaimNode(ip, o)
				}
			}
		}
	case o.Binding != nil:
		for _, sub := range o.Binding.Subjects {
			drop(s.bindings, subjectKey(sub), o.Key)
		}
		drop(s.boundBy, roleKey(o), o.Key)
	}
}

// reclaimNode gives an address that a node held to the next that claims it.
func (s *State) reclaimNode(ip string, but *Object) {
	var best *Object
	for _, n := range s.kinds[KindNode][""] {
		if n != but && n.Node != nil && (slices.Contains(n.Node.Addresses, ip) || slices.Contains(n.Node.External, ip)) &&
			(best == nil || n.Name < best.Name) {
			best = n
		}
	}
	if best != nil {
		s.nodeIP[ip] = best
	}
}

func (s *State) unindexPod(o *Object) {
	p := o.Pod
	if s.byUID[o.UID] == o {
		delete(s.byUID, o.UID)
	}
	if s.byStatic[p.StaticUID] == o {
		delete(s.byStatic, p.StaticUID)
	}
	for _, ip := range p.IPs {
		drop(s.rivals, ip, o.Key)
		if s.byIP[ip] == o {
			delete(s.byIP, ip)
			for k := range s.rivals[ip] {
				if x := s.get(k); x != nil && (s.byIP[ip] == nil || younger(x, s.byIP[ip])) {
					s.byIP[ip] = x
				}
			}
		}
	}
	if node := p.NodeName; node != "" {
		delete(s.onNode[node], o.Key)
		if s.nodeNS[node][o.Namespace]--; s.nodeNS[node][o.Namespace] == 0 {
			delete(s.nodeNS[node], o.Namespace)
		}
		if len(s.onNode[node]) == 0 {
			delete(s.onNode, node)
			delete(s.nodeNS, node)
		}
	}
	s.detach(o.Key)
}

// reattach moves the pods below an object that came, went or changed its owner to the
// workload they now belong to.
func (s *State) reattach(k Key) {
	seen := map[Key]bool{k: true}
	for todo := []Key{k}; len(todo) > 0; todo = todo[1:] {
		for c := range s.children[todo[0]] {
			if seen[c] {
				continue
			}
			seen[c] = true
			if o := s.get(c); o != nil && o.Pod != nil {
				if w := s.workOf[c]; w != nil {
					s.marks.works[w.key] = true
				}
				s.detach(c)
				s.attach(o)
				s.markPod(o)
				s.marks.works[s.workOf[c].key] = true
				s.marks.ids[accountOf(c.Namespace, &o.Pod.PodSpec)] = true
				s.markMembers(c.Namespace, s.workOf[c].key)
			} else {
				s.marks.works[workKeyOf(c)] = true
				todo = append(todo, c)
			}
		}
	}
}

func workKeyOf(k Key) string { return k.Namespace + "/" + string(k.Kind) + "/" + k.Name }

// ownerKey is the key of an object's owner, when that is of a kind we follow.
func ownerKey(o *Object) Key {
	if o.Owner == nil || o.Kind != KindPod && !makesPods(o.Kind) {
		return Key{}
	}
	if k := Kind(o.Owner.Kind); makesPods(k) {
		return Key{Kind: k, Namespace: o.Namespace, Name: o.Owner.Name}
	}
	return Key{}
}

func add[K, V comparable](m map[K]map[V]bool, k K, v V) {
	set := m[k]
	if set == nil {
		set = map[V]bool{}
		m[k] = set
	}
	set[v] = true
}

func drop[K, V comparable](m map[K]map[V]bool, k K, v V) {
	delete(m[k], v)
	if len(m[k]) == 0 {
		delete(m, k)
	}
}

// Get returns the object of a key.
func (s *State) Get(k Key) (*Object, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o := s.get(k)
	return o, o != nil
}

// PodByIP returns the pod that has an address, or had it and was deleted lately when
// nobody has it now: audit events come after the fact. Pods in the host's network have
// no address of their own and are never returned.
func (s *State) PodByIP(ip string) (*Object, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if o := s.byIP[ip]; o != nil {
		return o, true
	}
	return s.recent.find(func(o *Object) bool { return !o.Pod.HostNetwork && slices.Contains(o.Pod.IPs, ip) })
}

// PodByUID returns a pod, or one deleted lately, by the uid of its API object or, of a
// static pod, the kubelet's.
func (s *State) PodByUID(uid string) (*Object, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if o := s.byUID[uid]; o != nil {
		return o, true
	}
	if o := s.byStatic[uid]; o != nil {
		return o, true
	}
	return s.recent.find(func(o *Object) bool { return uid != "" && (o.UID == uid || o.Pod.StaticUID == uid) })
}

// NodeByIP returns the node that has an internal or external address or, for what has
// only names, that name.
func (s *State) NodeByIP(ip string) (*Object, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o := s.nodeIP[ip]
	return o, o != nil
}

// recent keeps the pods deleted last, oldest overwritten first.
type recent struct {
	ring [1024]*Object
	next int
}

func (r *recent) add(o *Object) {
	r.ring[r.next%len(r.ring)] = o
	r.next++
}

// find looks from the newest to the oldest.
func (r *recent) find(match func(*Object) bool) (*Object, bool) {
	for i := range min(r.next, len(r.ring)) {
		if o := r.ring[(r.next-1-i)%len(r.ring)]; match(o) {
			return o, true
		}
	}
	return nil, false
}

// Len returns how many objects of a kind the state holds.
func (s *State) Len(kind Kind) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.lenOf(kind)
}

func (s *State) lenOf(kind Kind) (n int) {
	for _, names := range s.kinds[kind] {
		n += len(names)
	}
	return n
}

// Refused returns how many objects were not taken because the state was full.
func (s *State) Refused() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.refused
}

func (s *State) refusal() *Gap {
	if s.refused == 0 {
		return nil
	}
	return &Gap{
		What:   "objects beyond the bound of the inventory",
		Reason: fmt.Sprintf("%d objects came when it held %d", s.refused, s.opt.MaxObjects),
		Remedy: "raise the bound of the inventory",
	}
}

// ImagesIn returns the repositories (see Repository) of the images that the pods and
// workloads of a namespace name.
func (s *State) ImagesIn(namespace string) map[string]bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	images := map[string]bool{}
	for _, k := range []Kind{KindPod, KindDeployment, KindReplicaSet, KindStatefulSet, KindDaemonSet, KindJob, KindCronJob, KindRC} {
		for _, o := range s.kinds[k][namespace] {
			for _, c := range specOf(o).Containers {
				images[Repository(c.Image)] = true
			}
		}
	}
	return images
}

// specOf is the pod specification of a pod or of a workload's template.
func specOf(o *Object) *PodSpec {
	switch {
	case o.Pod != nil:
		return &o.Pod.PodSpec
	case o.Workload != nil:
		return &o.Workload.Template
	}
	return &PodSpec{}
}

// podLabels are the labels that selectors see.
func podLabels(o *Object) map[string]string {
	if o.Workload != nil {
		return o.Workload.Labels
	}
	return o.Labels
}

// WorkloadsAs returns the workloads (namespace/Kind/name, sorted, at most 100) that run
// as a service account.
func (s *State) WorkloadsAs(namespace, account string) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.worksAs(namespace, account)
}

const maxWorks = 100

func (s *State) worksAs(namespace, account string) []string {
	set := map[string]bool{}
	for _, key := range s.workKeys(namespace) {
		if v := s.view(namespace, key); v != nil && v.spec().ServiceAccount == account {
			set[key] = true
		}
	}
	out := sorted(set)
	return out[:min(len(out), maxWorks)]
}

// same reports whether two objects have the same labels and annotations.
func same(a, b *Object) bool {
	return a != nil && b != nil && maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations)
}

func hashOf(doc []byte) uint64 { return xxhash.Sum64(doc) }
