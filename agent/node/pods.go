package node

import (
	"maps"
	"slices"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/sensor/container"
)

// maxPendingPods bounds what is kept of pods told before the sensor is open.
const maxPendingPods = 4096

// Pods takes what the cluster agent tells of this node's pods: their workload, owner and
// tenant are in events and findings of their containers from then on. A message for
// another node is passed over. Until the first one, containers are told by what their
// runtime knows: pod, namespace and image, but no workload. It may be called at any time
// from any goroutine, before Open too; on a replay, where the trace tells, it does nothing.
func (n *Node) Pods(p inventory.PodsFor) {
	if p.Node != n.opt.Name || n.opt.Replay != "" {
		return
	}
	put := make([]container.Pod, 0, len(p.Put))
	for i := range p.Put {
		put = append(put, podOf(&p.Put[i]))
	}
	n.podsMu.Lock()
	defer n.podsMu.Unlock()
	n.near.take(&p)
	n.mu.Lock()
	s := n.view.sensor
	n.mu.Unlock()
	if s != nil {
		s.SetPods(p.Full, put, p.Gone)
		return
	}
	if p.Full || n.pods == nil {
		n.pods = map[string]container.Pod{}
	}
	for _, q := range put {
		if _, have := n.pods[q.UID]; have || len(n.pods) < maxPendingPods {
			n.pods[q.UID] = q
		}
	}
	for _, uid := range p.Gone {
		delete(n.pods, uid)
	}
}

// givePods hands the sensor what was told before it was open.
func (n *Node) givePods() {
	n.podsMu.Lock()
	defer n.podsMu.Unlock()
	n.mu.Lock()
	s := n.view.sensor
	n.mu.Unlock()
	if s != nil && n.pods != nil {
		s.SetPods(true, slices.Collect(maps.Values(n.pods)), nil)
		n.pods = nil
	}
}

func podOf(m *inventory.PodMeta) container.Pod {
	p := container.Pod{UID: m.UID, Name: m.Name, Namespace: m.Namespace, Workload: m.Workload, Owner: m.Owner, Tenant: m.Tenant}
	for _, i := range m.Images {
		p.Images = append(p.Images, container.PodImage{Container: i.Container, Digest: i.Digest, ImageID: i.ImageID})
	}
	return p
}
