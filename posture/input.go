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
}

// Cluster is a cluster from the inside. A nil slice with its name in Missing is not assessed.
type Cluster struct {
	Name       string
	ID         string // ARM id in lower case, "" = not of Azure, or not known
	At         int64  // when it was last heard
	Workloads  []inventory.WorkloadDoc
	Nodes      []inventory.NodeDoc
	Namespaces []inventory.NamespaceDoc
	Identities []inventory.IdentityDoc
	Exposures  []inventory.ExposureDoc
	Kubelets   []Kubelet
	Missing    map[string]string // workloads, nodes, kubelets… → why it is not known
}

// Kubelet is what a node's kubelet and files say (inside the cluster: GET
// /api/v1/nodes/NODE/proxy/configz; on the node: modes and owners of files).
type Kubelet struct {
	Node   string            `json:"node"`
	At     int64             `json:"at"`
	Config map[string]string `json:"config,omitempty"` // authentication.anonymous.enabled → false
	Files  []File            `json:"files,omitempty"`
	Why    map[string]string `json:"why,omitempty"` // config, files → why it is not known
}

// File is a file on a node.
type File struct {
	Path   string `json:"path"` // kubelet.conf, azure.json… as found
	Role   string `json:"role"` // kubeconfig, kubelet-config, azure-json
	Mode   uint32 `json:"mode"` // permission bits
	UID    uint32 `json:"uid"`
	GID    uint32 `json:"gid"`
	Absent bool   `json:"absent,omitempty"`
}

// Evaluate judges every control at everything it speaks of, in a stable order.
func Evaluate(in *Input) []Result { return nil }

// Controls are the controls that this build knows, in a stable order.
func Controls() []Control { return nil }

// Scores add results up: by framework over everything.
func Scores(results []Result) []Score { return nil }
