package posture

import (
	"cmp"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/inventory"
)

// Gather makes a Cluster of the documents that the hub keeps of it. at is when it was
// last heard, in Unix nanoseconds. The order of documents does not matter. Without the
// document of the cluster nothing is known, and all parts are missing.
func Gather(name string, at int64, docs []inventory.Document) Cluster {
	c := Cluster{
		Name: name, At: at, Missing: map[string]string{},
		Workloads: []inventory.WorkloadDoc{}, Nodes: []inventory.NodeDoc{}, Namespaces: []inventory.NamespaceDoc{},
		Identities: []inventory.IdentityDoc{}, Exposures: []inventory.ExposureDoc{},
	}
	var whole *inventory.ClusterDoc
	for i := range docs {
		switch d := &docs[i]; {
		case d.Cluster != nil:
			whole = d.Cluster
		case d.Workload != nil:
			c.Workloads = append(c.Workloads, *d.Workload)
		case d.Node != nil:
			c.Nodes = append(c.Nodes, *d.Node)
			if k := d.Node.Kubelet; k != nil {
				c.Kubelets = append(c.Kubelets, *k)
			}
		case d.Namespace != nil:
			c.Namespaces = append(c.Namespaces, *d.Namespace)
		case d.Identity != nil:
			c.Identities = append(c.Identities, *d.Identity)
		case d.Exposure != nil:
			c.Exposures = append(c.Exposures, *d.Exposure)
		}
	}
	if whole == nil {
		for _, p := range []string{partWorkloads, partNodes, partNamespaces, partIdentities, partExposures} {
			c.Missing[p] = "the cluster agent has not told of the cluster as a whole yet"
		}
	} else {
		c.ID, c.Platform = strings.ToLower(whole.ResourceID), whole.Platform
		if whole.Shape < 1 {
			c.Old = "its agent" + strings.TrimSuffix(" "+whole.Agent, " ") + " is of a version that does not tell all that this control reads: upgrade the cluster agent"
		}
		for _, g := range whole.Gaps {
			for _, p := range partsOf(g.What) {
				c.Missing[p] = cmp.Or(c.Missing[p], g.What+": "+g.Reason)
			}
		}
	}
	slices.SortFunc(c.Workloads, func(a, b inventory.WorkloadDoc) int { return strings.Compare(a.Key, b.Key) })
	slices.SortFunc(c.Nodes, func(a, b inventory.NodeDoc) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(c.Kubelets, func(a, b Kubelet) int { return strings.Compare(a.Node, b.Node) })
	slices.SortFunc(c.Namespaces, func(a, b inventory.NamespaceDoc) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(c.Identities, func(a, b inventory.IdentityDoc) int { return strings.Compare(a.Key, b.Key) })
	slices.SortFunc(c.Exposures, func(a, b inventory.ExposureDoc) int { return strings.Compare(a.Key, b.Key) })
	return c
}

// partsOf says which parts of a cluster suffer when a resource (pods,
// roles.rbac.authorization.k8s.io…) is not known.
func partsOf(what string) []string {
	resource, _, _ := strings.Cut(what, ".")
	switch resource {
	case "namespaces":
		return []string{partNamespaces, partWorkloads}
	case "nodes":
		return []string{partNodes}
	case "pods", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs", "replicationcontrollers":
		return []string{partWorkloads}
	case "serviceaccounts":
		return []string{partIdentities, partWorkloads}
	case "roles and bindings", "roles", "clusterroles", "rolebindings", "clusterrolebindings":
		return []string{partIdentities}
	case "services", "ingresses", "gateways", "httproutes", "grpcroutes", "tlsroutes", "tcproutes", "udproutes", "routes":
		return []string{partExposures}
	case "networkpolicies":
		return []string{partNamespaces}
	case "objects beyond the bound of the inventory", "inventory", "other namespaces":
		return []string{partWorkloads, partNodes, partNamespaces, partIdentities, partExposures}
	}
	return nil
}
