package node

import (
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
	n.mu.Lock()
	s := n.view.sensor
	n.mu.Unlock()
	if s != nil {
		s.SetPods(p.Full, put, p.Gone)
		return
	}
	if p.Full {
		n.pods = nil
	}
	n.pods = slices.DeleteFunc(n.pods, func(o container.Pod) bool {
		return slices.Contains(p.Gone, o.UID) || slices.ContainsFunc(put, func(q container.Pod) bool { return q.UID == o.UID })
	})
	n.pods = append(n.pods, put[:min(len(put), maxPendingPods-len(n.pods))]...)
	n.toldPods = true
}

// givePods hands the sensor what was told before it was open.
func (n *Node) givePods() {
	n.podsMu.Lock()
	defer n.podsMu.Unlock()
	n.mu.Lock()
	s := n.view.sensor
	n.mu.Unlock()
	if s != nil && n.toldPods {
		s.SetPods(true, n.pods, nil)
		n.pods, n.toldPods = nil, false
	}
}

func podOf(m *inventory.PodMeta) container.Pod {
	p := container.Pod{UID: m.UID, Name: m.Name, Namespace: m.Namespace, Workload: m.Workload, Owner: m.Owner, Tenant: m.Tenant}
	for _, i := range m.Images {
		p.Images = append(p.Images, container.PodImage{Container: i.Container, Digest: i.Digest, ImageID: i.ImageID})
	}
	return p
}
