package inventory

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// SetCluster gives the fields of the cluster's document that the state cannot know: its
// version, address, agent, audit source, gaps and baselines. Counts are the state's own,
// and so are UID and Platform, and Name where it is empty.
func (s *State) SetCluster(base ClusterDoc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if base.Name == "" {
		base.Name = s.opt.Cluster
	}
	s.base = base
	s.marks.cluster = true
}

// NodeNames lists the nodes that have a kubelet, sorted: virtual ones have none. Safe for
// concurrent use.
func (s *State) NodeNames() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	nodes := s.kinds[KindNode][""]
	return slices.DeleteFunc(sorted(nodes), func(name string) bool { return nodes[name].Node == nil || nodes[name].Node.Virtual })
}

// SetKubelet gives what is known of a node's kubelet, which no object of the API tells:
// its configuration, its files, or both. The part that it does not speak of stays. What was
// given of a node is forgotten with the node. The value belongs to the state
// from then on. Safe for concurrent use.
func (s *State) SetKubelet(k *Kubelet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k == nil || s.get(Key{Kind: KindNode, Name: k.Node}) == nil {
		return
	}
	if len(k.Files) > MaxNodeFiles {
		k.Files = k.Files[:MaxNodeFiles]
	}
	if old := s.kubelets[k.Node]; old != nil {
		k.keep(old)
	}
	s.kubelets[k.Node] = k
	s.marks.nodes[k.Node] = true
}

// Dirty returns the documents that changed, and the names of those that are gone, since
// the last call: each once however often it changed, and none that is again as it was
// sent. The first call returns all. Order is by kind and key.
func (s *State) Dirty() (put []Document, gone []Gone) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	m := &s.marks
	seen := map[docKey]bool{}
	offer := func(kind, key string, d *Document) {
		k := docKey{kind, key}
		if seen[k] {
			return
		}
		seen[k] = true
		if d == nil {
			if _, ok := s.sent[k]; ok {
				delete(s.sent, k)
				gone = append(gone, Gone{Kind: kind, Key: key})
			}
			return
		}
		doc, err := json.Marshal(d)
		if err != nil {
			return // cannot be: documents hold nothing that JSON cannot
		}
		if h := hashOf(doc); s.sent[k] != h {
			s.sent[k] = h
			put = append(put, *d)
		}
	}
	if m.all {
		s.each(offer)
		for k := range s.sent {
			offer(k.kind, k.key, nil) // of those not seen yet
		}
	} else {
		if m.cluster {
			d := s.clusterDoc()
			offer(DocCluster, d.Name, &Document{Cluster: d})
		}
		for name := range m.nodes {
			offer(DocNode, name, s.nodeDocument(name))
		}
		for name := range m.spaces {
			offer(DocNamespace, name, s.namespaceDocument(name))
		}
		for key := range m.works {
			offer(DocWorkload, key, s.workloadDocument(key))
		}
		for sub := range m.ids {
			offer(DocIdentity, IdentityKey(sub), s.identityDocument(sub))
		}
		for key := range m.exposures {
			var d *Document
			if e := s.exposed[key]; e != nil {
				d = &Document{Exposure: e}
			}
			offer(DocExposure, key, d)
		}
	}
	pods, podGone := m.pods, m.podGone
	s.marks = newMarks()
	s.marks.all, s.marks.pods, s.marks.podGone = false, pods, podGone
	sortDocuments(put)
	slices.SortFunc(gone, func(a, b Gone) int { return strings.Compare(a.Kind+"\x00"+a.Key, b.Kind+"\x00"+b.Key) })
	return put, gone
}

// Full returns all documents, ordered by kind and key. It does not touch what Dirty will
// return.
func (s *State) Full() []Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	var out []Document
	s.each(func(_, _ string, d *Document) { out = append(out, *d) })
	sortDocuments(out)
	return out
}

func sortDocuments(docs []Document) {
	slices.SortFunc(docs, func(a, b Document) int {
		ak, akey := a.Key()
		bk, bkey := b.Key()
		return strings.Compare(ak+"\x00"+akey, bk+"\x00"+bkey)
	})
}

// each renders all documents.
func (s *State) each(yield func(kind, key string, d *Document)) {
	c := s.clusterDoc()
	yield(DocCluster, c.Name, &Document{Cluster: c})
	for name := range s.kinds[KindNode][""] {
		yield(DocNode, name, s.nodeDocument(name))
	}
	for name := range s.kinds[KindNamespace][""] {
		yield(DocNamespace, name, s.namespaceDocument(name))
	}
	for _, ns := range s.spaces() {
		for _, key := range s.workKeys(ns) {
			if d := s.workloadDocument(key); d != nil {
				yield(DocWorkload, key, d)
			}
		}
		for name := range s.kinds[KindServiceAccount][ns] {
			sub := Subject{Kind: "ServiceAccount", Namespace: ns, Name: name}
			yield(DocIdentity, IdentityKey(sub), s.identityDocument(sub))
		}
	}
	for sub := range s.bindings {
		if d := s.identityDocument(sub); d != nil && (sub.Kind != "ServiceAccount" || s.get(accountKey(sub)) == nil) {
			yield(DocIdentity, IdentityKey(sub), d)
		}
	}
	for sub := range s.seen {
		if len(s.bindings[sub]) == 0 {
			yield(DocIdentity, IdentityKey(sub), s.identityDocument(sub))
		}
	}
	for key, e := range s.exposed {
		yield(DocExposure, key, &Document{Exposure: e})
	}
}

func accountKey(sub Subject) Key {
	return Key{Kind: KindServiceAccount, Namespace: sub.Namespace, Name: sub.Name}
}

// settle works out the ways in that are marked and marks what they lead to; then the
// workloads of the identities that are marked.
func (s *State) settle() {
	m := &s.marks
	if m.all || m.exposeAll {
		for ns := range s.exposeNS {
			m.exposeNS[ns] = true
		}
		for _, ns := range s.spaces() {
			m.exposeNS[ns] = true
		}
		m.exposeAll = false
	}
	for ns := range m.exposeNS {
		now := s.exposuresOf(ns)
		for key := range s.exposeNS[ns] {
			if e := now[key]; e == nil || !reflect.DeepEqual(e, s.exposed[key]) {
				s.lead(s.exposed[key], false)
				delete(s.exposed, key)
				drop(s.exposeNS, ns, key)
				m.exposures[key] = true
			}
		}
		for key, e := range now {
			if s.exposed[key] == nil {
				s.exposed[key] = e
				add(s.exposeNS, ns, key)
				s.lead(e, true)
				m.exposures[key] = true
			}
		}
	}
	clear(m.exposeNS)
	accounts := map[string]map[string]bool{}
	for sub := range m.ids {
		if sub.Kind == "ServiceAccount" {
			add(accounts, sub.Namespace, sub.Name)
		}
	}
	for ns, names := range accounts {
		for _, key := range s.workKeys(ns) {
			if v := s.view(ns, key); v != nil && names[v.spec().ServiceAccount] {
				m.works[key] = true
			}
		}
	}
}

// lead notes or forgets that an exposure leads to its workloads.
func (s *State) lead(e *ExposureDoc, there bool) {
	for _, key := range e.Workloads {
		s.marks.works[key] = true
		if !there {
			delete(s.ways[key], e.Key)
			if len(s.ways[key]) == 0 {
				delete(s.ways, key)
			}
			continue
		}
		if s.ways[key] == nil {
			s.ways[key] = map[string]*ExposureDoc{}
		}
		s.ways[key][e.Key] = e
	}
}

func (s *State) clusterDoc() *ClusterDoc {
	d := s.base
	d.Shape = Shape
	if ns := s.get(Key{Kind: KindNamespace, Name: "kube-system"}); ns != nil {
		d.UID = ns.UID
	}
	for _, n := range s.kinds[KindNode][""] {
		d.Nodes++
		if n.Node != nil && n.Node.Ready {
			d.NodesReady++
		}
	}
	if p := s.guessPlatform(); p != "" {
		d.Platform = p
	}
	d.Pods, d.Namespaces, d.Tenants = s.lenOf(KindPod), s.lenOf(KindNamespace), len(s.tenants())
	d.Workloads = s.countWorks()
	for _, g := range []*Gap{s.refusal(), s.rightsGap()} {
		if g != nil {
			d.Gaps = append(slices.Clip(d.Gaps), *g)
		}
	}
	return &d
}

func (s *State) countWorks() (n int) {
	for _, ns := range s.spaces() {
		n += len(s.workKeys(ns))
	}
	return n
}

// guessPlatform tells the distribution by what it writes on its nodes. The first node by
// name that says something decides.
func (s *State) guessPlatform() string {
	nodes := s.kinds[KindNode][""]
	for _, name := range sorted(nodes) {
		o := nodes[name]
		if o.Node == nil {
			continue
		}
		has := func(label string) bool { _, ok := o.Labels[label]; return ok }
		id, kubelet := o.Node.ProviderID, o.Node.Kubelet
		switch {
		case has("kubernetes.azure.com/cluster"), has("kubernetes.azure.com/agentpool"):
			return "AKS"
		case has("eks.amazonaws.com/nodegroup"), strings.Contains(kubelet, "-eks-"):
			return "EKS"
		case has("cloud.google.com/gke-nodepool"), strings.Contains(kubelet, "-gke."):
			return "GKE"
		case has("node.openshift.io/os_id"):
			return "OpenShift"
		case strings.Contains(kubelet, "+rke2"):
			return "RKE2"
		case strings.Contains(kubelet, "+k3s"), strings.HasPrefix(id, "k3s://"):
			return "k3s"
		case strings.Contains(kubelet, "+k0s"):
			return "k0s"
		case has("minikube.k8s.io/name"):
			return "minikube"
		case strings.HasPrefix(id, "kind://"):
			return "kind"
		case has("microk8s.io/cluster"):
			return "MicroK8s"
		case has("doks.digitalocean.com/node-id"):
			return "DOKS"
		case has("node.kubernetes.io/kwok") || o.Annotations["kwok.x-k8s.io/node"] != "":
			return "kwok"
		case o.Annotations["kubeadm.alpha.kubernetes.io/cri-socket"] != "":
			return "kubeadm"
		}
	}
	return ""
}

func (s *State) nodeDocument(name string) *Document {
	o := s.get(Key{Kind: KindNode, Name: name})
	if o == nil || o.Node == nil {
		return nil
	}
	d := &NodeDoc{
		Name: name, Node: *o.Node, Labels: o.Labels, Since: o.Created, Pods: len(s.onNode[name]), Tenants: s.nodeTenants(name, ""),
		Kubelet: s.kubelets[name],
	}
	d.Owner, _ = s.ownerOf(o)
	return &Document{Node: d}
}

// nodeTenants lists the tenants whose pods run on a node, but one.
func (s *State) nodeTenants(node, but string) []string {
	set := map[string]bool{}
	for ns := range s.nodeNS[node] {
		if t := s.tenant(ns); t != "" && t != but {
			set[t] = true
		}
	}
	return none(sorted(set))
}

func (s *State) namespaceDocument(name string) *Document {
	o := s.get(Key{Kind: KindNamespace, Name: name})
	if o == nil {
		return nil
	}
	d := &NamespaceDoc{
		Name: name, Labels: o.Labels, Tenant: s.tenant(name), Since: o.Created,
		Pods: len(s.kinds[KindPod][name]), PodSecurity: o.Labels["pod-security.kubernetes.io/enforce"], Isolated: s.isolated(name),
		Policies: len(s.kinds[KindNetworkPolicy][name]),
	}
	d.Owner, d.OwnerFrom = s.namespaceOwner(name)
	return &Document{Namespace: d}
}

// isolated tells whether a network policy limits what comes in to all pods of a namespace.
func (s *State) isolated(namespace string) Assessed {
	keys := s.workKeys(namespace)
	all, unread := len(keys) > 0, ""
	for _, p := range s.kinds[KindNetworkPolicy][namespace] {
		if p.Policy != nil && p.Policy.Ingress && !p.Policy.Complex && len(p.Policy.Selector) == 0 && !p.Policy.AllowsAnywhere {
			return Assessed{Value: true}
		}
	}
	for _, key := range keys {
		v := s.view(namespace, key)
		if v == nil {
			continue
		}
		g := s.gateOf(v)
		if g.unread != "" {
			unread = max(unread, g.unread)
		}
		all = all && g.limited && !g.anywhere
	}
	if !all && unread != "" {
		return Assessed{NotAssessed: "network policy " + unread + " selects pods by expressions"}
	}
	return Assessed{Value: all}
}
