package node

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
)

// tagEscape marks the rules whose findings reach beyond a container.
const tagEscape = "escape"

// maxReached bounds the workloads that one finding names; its summary counts the rest.
const maxReached = 24

// neighbours are the pods of this node as the cluster agent tells of them, for what an
// escape can reach. The zero value knows of none. Its owner guards it.
type neighbours struct {
	told    bool                 // the cluster agent has told of this node's pods
	cluster string               // which it looks after
	pods    map[string]neighbour // by uid, at most maxPendingPods
}

type neighbour struct{ workload, tenant string }

// take notes a change of the node's pods.
func (n *neighbours) take(p *inventory.PodsFor) {
	n.told, n.cluster = true, p.Cluster
	if p.Full || n.pods == nil {
		n.pods = map[string]neighbour{}
	}
	for i := range p.Put {
		m := &p.Put[i]
		if _, have := n.pods[m.UID]; have || len(n.pods) < maxPendingPods {
			n.pods[m.UID] = neighbour{workload: m.Workload, tenant: m.Tenant}
		}
	}
	for _, uid := range p.Gone {
		delete(n.pods, uid)
	}
}

// podIn is the uid of the pod whose directory of the kubelet a path lies in; "" = none.
func podIn(path string) string {
	_, rest, ok := strings.Cut(path, "/pods/")
	if !ok {
		return ""
	}
	uid, _, ok := strings.Cut(rest, "/")
	if !ok || len(uid) < 16 {
		return ""
	}
	return uid
}

// hostPath is what the host calls the file that a finding is about, where its rule asked;
// else what its container calls it.
func hostPath(f *finding.Finding) string {
	for i := range f.Why {
		if c := &f.Why[i]; c.Field == "fd.host_path" && !c.Null {
			return c.Got
		}
	}
	return f.Subject.Object
}

// place names the cluster of a finding in a pod that its agent has told of. A hub knows it
// by who sends; under up, where node and hub are one process, nobody else says it.
func (n *neighbours) place(f *finding.Finding) {
	if f.Subject.Container != nil && f.Subject.Owner != "" {
		f.Subject.Cluster = n.cluster
	}
}

// reach adds to the finding of an escape whom it reaches: the workload of the pod whose
// directory it is about, else every workload on this node that is another tenant's.
func (n *neighbours) reach(f *finding.Finding) {
	if f.Subject.Container == nil || !slices.Contains(f.Rule.Tags, tagEscape) {
		return
	}
	own := f.Subject.Tenant
	if uid := podIn(hostPath(f)); uid != "" {
		switch p, known := n.pods[uid]; {
		case known && p.workload == f.Subject.Workload:
		case known:
			if p.tenant != own && p.tenant != "" {
				f.Subject.Reaches = append(f.Subject.Reaches, "tenant:"+p.tenant)
			}
			f.Subject.Reaches = append(f.Subject.Reaches, p.workload)
			f.Summary += " It is " + of(p) + "."
		default:
			f.Summary += " Whose pod it is is not assessed: no cluster agent has told of pod " + clip(uid) + "."
		}
		return
	}
	if !n.told {
		if f.Subject.Container.Pod != "" {
			f.Summary += " Which workloads of the node it reaches is not assessed: no cluster agent has told of the node's pods."
		}
		return
	}
	reached := map[neighbour]bool{}
	for _, p := range n.pods {
		if p.tenant != "" && p.tenant != own && p.workload != "" {
			reached[p] = true
		}
	}
	if len(reached) == 0 {
		return
	}
	list := make([]neighbour, 0, len(reached))
	for p := range reached {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b neighbour) int {
		return strings.Compare(a.tenant+"\x00"+a.workload, b.tenant+"\x00"+b.workload)
	})
	var workloads []string
	for _, p := range list[:min(len(list), maxReached)] {
		if t := "tenant:" + p.tenant; !slices.Contains(f.Subject.Reaches, t) {
			f.Subject.Reaches = append(f.Subject.Reaches, t)
		}
		workloads = append(workloads, p.workload)
	}
	f.Subject.Reaches = append(f.Subject.Reaches, workloads...)
	f.Summary += fmt.Sprintf(" On node %s it reaches %s", f.Subject.Node, of(list[0]))
	if more := len(list) - 1; more > 0 {
		f.Summary += fmt.Sprintf(" and %d more of other tenants", more)
	}
	f.Summary += "."
}

func of(p neighbour) string {
	if p.tenant == "" {
		return p.workload
	}
	return "tenant " + p.tenant + "'s " + p.workload
}

func clip(uid string) string { return uid[:min(len(uid), 64)] }
