package inventory

import (
	"encoding/json"
	"slices"
	"strings"
)

// PodChange is what changed of a node's pods. A pod that came and went since the last
// call is in both: apply Put first.
type PodChange struct {
	Put  []PodMeta
	Gone []string // UIDs, as PodMeta.UID
}

// sentPod is what DirtyPods last said of a pod.
type sentPod struct {
	node string
	hash uint64
}

func (s *State) podMeta(o *Object) PodMeta {
	m := PodMeta{
		UID: o.UID, Namespace: o.Namespace, Name: o.Name, Workload: workKey(o.Namespace, s.topOf(o)),
		Tenant: s.tenant(o.Namespace), Account: o.Pod.ServiceAccount, IPs: o.Pod.IPs, Labels: o.Labels,
	}
	if o.Pod.StaticUID != "" {
		m.UID, m.APIUID = o.Pod.StaticUID, o.UID
	}
	m.Owner, _ = s.ownerOf(o)
	for _, c := range o.Pod.Containers {
		if c.Digest != "" || c.ImageID != "" {
			m.Images = append(m.Images, PodImage{Container: c.Name, Digest: c.Digest, ImageID: c.ImageID})
		}
	}
	return m
}

// PodsOf returns what a node needs to know of its pods, ordered by UID.
func (s *State) PodsOf(node string) []PodMeta {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]PodMeta, 0, len(s.onNode[node]))
	for _, o := range s.onNode[node] {
		out = append(out, s.podMeta(o))
	}
	sortPods(out)
	return out
}

func sortPods(list []PodMeta) {
	slices.SortFunc(list, func(a, b PodMeta) int { return strings.Compare(a.UID, b.UID) })
}

// DirtyPods returns by node what changed of its pods since the last call, for nodes
// whose pods did.
func (s *State) DirtyPods() map[string]PodChange {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]PodChange{}
	for uid, g := range s.marks.podGone {
		c := out[g.node]
		if g.meta != nil {
			c.Put = append(c.Put, *g.meta)
		}
		c.Gone = append(c.Gone, uid)
		out[g.node] = c
		delete(s.podSent, uid)
	}
	for k := range s.marks.pods {
		o := s.get(k)
		if o == nil || o.Pod == nil {
			continue
		}
		m := s.podMeta(o)
		doc, err := json.Marshal(m)
		if err != nil {
			continue // cannot be: it holds strings only
		}
		now := sentPod{node: o.Pod.NodeName, hash: hashOf(doc)}
		if s.podSent[m.UID] == now {
			continue
		}
		s.podSent[m.UID] = now
		c := out[now.node]
		c.Put = append(c.Put, m)
		c.Gone = slices.DeleteFunc(c.Gone, func(uid string) bool { return uid == m.UID })
		out[now.node] = c
	}
	for node, c := range out {
		sortPods(c.Put)
		slices.Sort(c.Gone)
		out[node] = c
	}
	clear(s.marks.pods)
	clear(s.marks.podGone)
	return out
}
