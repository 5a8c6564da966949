package posture

import (
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// Input is what controls are judged from. Times are Unix nanoseconds.
type Input struct {
	Now        int64
	Tenant     *cloud.Tenant                                        // nil = no cloud was read
	Clusters   []Cluster                                            // whose objects are known
	Exempt     func(control, resource string) (why string, ok bool) // nil = nothing is exempt
	Frameworks []string                                             // limits what is judged; nil = all
	Settings   Settings

	StaleTenant int64 // nanoseconds after Tenant.Collected from which what the cloud said passes nothing; 0 = it always does
}

// Settings are what an organisation decides for itself. The zero value is strict.
type Settings struct {
	Registries       []string `json:"registries,omitempty"`       // that images may come from (host, or host/path), beside the tenant's own and mcr.microsoft.com
	ServicePorts     []int    `json:"servicePorts,omitempty"`     // that may be reached from outside; nil = it was not decided: not assessed
	HostPaths        []string `json:"hostPaths,omitempty"`        // that pods may mount, with all below them
	SystemNamespaces []string `json:"systemNamespaces,omitempty"` // left out of the controls of workloads; nil = SystemNamespaces()
	StaleAfter       int64    `json:"staleAfter,omitempty"`       // nanoseconds after which what a cluster told proves nothing; 0 = 24 hours
}

// Cluster is a cluster from the inside. A nil slice with its name in Missing is not assessed.
type Cluster struct {
	Name       string
	ID         string // ARM id in lower case, "" = not of Azure, or not known
	Platform   string // as inventory.ClusterDoc tells it: AKS, EKS…; "" = not known
	At         int64  // when it was last heard
	Workloads  []inventory.WorkloadDoc
	Nodes      []inventory.NodeDoc
	Namespaces []inventory.NamespaceDoc
	Identities []inventory.IdentityDoc
	Exposures  []inventory.ExposureDoc
	Kubelets   []Kubelet
	Scan       *Scan             // nil = nothing scanned what runs there
	Old        string            // why its documents lack what controls of pods and network policies read; "" = they tell it
	Missing    map[string]string // workloads, nodes, namespaces, identities, exposures, kubelets → why it is not all known
}

// Scan is what is known of the vulnerabilities of images that run in a cluster.
type Scan struct {
	At      int64    // when it was last matched
	Running int      // digests
	Scanned int      // of them
	Failing []string // images with an open, fixable vulnerability of high or critical severity; at most MaxEvidence
	Count   int      // of all that fail
}

// Kubelet and File are what a node tells of itself.
type (
	Kubelet = inventory.Kubelet
	File    = inventory.NodeFile
)
