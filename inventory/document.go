package inventory

// Document is what the hub keeps of one thing: rendered by the cluster agent from its
// State, stored whole by key, so that the hub answers without a State of its own.
// Exactly one pointer is set. Counts that come from elsewhere (findings, verdicts of
// images, what an identity has done) are joined at the hub.
type Document struct {
	Cluster   *ClusterDoc   `json:"cluster,omitempty"`
	Node      *NodeDoc      `json:"node,omitempty"`
	Namespace *NamespaceDoc `json:"namespace,omitempty"`
	Workload  *WorkloadDoc  `json:"workload,omitempty"`
	Identity  *IdentityDoc  `json:"identity,omitempty"`
	Exposure  *ExposureDoc  `json:"exposure,omitempty"`
}

// The kinds of document, as the store and the link name them.
const (
	DocCluster   = "cluster"
	DocNode      = "node"
	DocNamespace = "namespace"
	DocWorkload  = "workload"
	DocIdentity  = "identity"
	DocExposure  = "exposure"
)

// Delta is what a cluster agent sends of its inventory (link.KindInventory): documents
// that are new or changed, and names of those that are gone. A Sync begins a full
// statement: it carries Generation, every Delta of the statement carries the same, and
// the one with Done ends it, upon which the hub drops documents of the cluster that the
// generation did not name. So nothing that vanished while a link was down stays.
type Delta struct {
	Cluster    string     `json:"cluster"`
	Generation int64      `json:"generation,omitempty"` // Unix nanoseconds of the statement's start; 0 = a change only
	Done       bool       `json:"done,omitempty"`
	Time       int64      `json:"time"`
	Put        []Document `json:"put,omitempty"`
	Gone       []Gone     `json:"gone,omitempty"`
}

// Gone names a document that exists no more.
type Gone struct {
	Kind string `json:"kind"` // one of the Doc… words
	Key  string `json:"key"`
}

// Key is the document's kind and its key within the cluster: namespace/Kind/name for
// workloads, the name for nodes and namespaces, kind:name for identities, the entry's
// kind/namespace/name for exposures.
func (d *Document) Key() (kind, key string) {
	switch {
	case d.Cluster != nil:
		return DocCluster, d.Cluster.Name
	case d.Node != nil:
		return DocNode, d.Node.Name
	case d.Namespace != nil:
		return DocNamespace, d.Namespace.Name
	case d.Workload != nil:
		return DocWorkload, d.Workload.Key
	case d.Identity != nil:
		return DocIdentity, d.Identity.Key
	case d.Exposure != nil:
		return DocExposure, d.Exposure.Key
	}
	return "", ""
}

// ClusterDoc is the cluster as a whole.
type ClusterDoc struct {
	Name       string   `json:"name"`
	UID        string   `json:"uid,omitempty"`        // of the kube-system namespace: names a cluster for good
	Version    string   `json:"version,omitempty"`    // of the API server
	Platform   string   `json:"platform,omitempty"`   // AKS, EKS, GKE, OpenShift, k3s, kubeadm…; "" = not known
	ResourceID string   `json:"resourceID,omitempty"` // ARM id, where configured or told by the audit stream
	Server     string   `json:"server,omitempty"`     // address of the API server
	Custom     []string `json:"custom,omitempty"`     // custom resources that say what is, or was, installed: at most 16
	Agent      string   `json:"agent,omitempty"`      // version of the cluster agent; "" = inspected once, from outside
	Shape      int      `json:"shape,omitempty"`      // how much its documents tell: Shape of who told; 0 = before there was one
	Nodes      int      `json:"nodes"`
	NodesReady int      `json:"nodesReady"`
	Pods       int      `json:"pods"`
	Workloads  int      `json:"workloads"`
	Namespaces int      `json:"namespaces"`
	Tenants    int      `json:"tenants"` // 0 = none configured

	Since      int64     `json:"since"`             // the inventory is kept without a break since
	AuditMode  string    `json:"auditMode"`         // webhook, file, stdin, event-hub, …; "" = the API server is not watched
	AuditAs    string    `json:"auditAs,omitempty"` // kube-audit, kube-audit-admin, or ""
	AuditSince int64     `json:"auditSince,omitempty"`
	AuditLast  int64     `json:"auditLast,omitempty"` // time of the last audit event
	Audited    uint64    `json:"audited,omitempty"`   // events since AuditSince
	Gaps       []Gap     `json:"gaps,omitempty"`      // what is not assessed, and why
	Baselines  []Learned `json:"baselines,omitempty"`
}

// Shape is how much the documents of this version tell. It grows when judgements need what
// older documents lack, so that absence in them is not taken for a setting's absence.
// 1: all of a pod that Pod Security reads; network policies of namespaces.
const Shape = 1

// Gap is one thing that is not assessed.
type Gap struct {
	What   string `json:"what"`
	Reason string `json:"reason"`
	Remedy string `json:"remedy,omitempty"`
}

// Learned says how far one of the models of usual behaviour has come.
type Learned struct {
	Model  string `json:"model"`           // pod-deployment, secret-access, service-account
	Since  int64  `json:"since"`           // event time of the first it learned from
	Events uint64 `json:"events"`          // it learned from
	Known  int    `json:"known"`           // habits it holds
	Ready  bool   `json:"ready"`           // it has learned long enough to judge
	Until  int64  `json:"until,omitempty"` // when it will be ready, where it is not
}

// NodeDoc is a machine.
type NodeDoc struct {
	Name    string            `json:"name"`
	Node    Node              `json:"node"`
	Labels  map[string]string `json:"labels,omitempty"`
	Since   int64             `json:"since,omitempty"`
	Pods    int               `json:"pods"`
	Tenants []string          `json:"tenants,omitempty"` // whose pods run on it
	Owner   string            `json:"owner"`
	Kubelet *Kubelet          `json:"kubelet,omitempty"` // nil = nothing was told of it
}

// NamespaceDoc is a namespace.
type NamespaceDoc struct {
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels,omitempty"`
	Owner       string            `json:"owner"`
	OwnerFrom   string            `json:"ownerFrom,omitempty"`
	Tenant      string            `json:"tenant,omitempty"`
	Since       int64             `json:"since,omitempty"`
	Pods        int               `json:"pods"`
	PodSecurity string            `json:"podSecurity,omitempty"` // enforce level of its labels
	Policies    int               `json:"policies,omitempty"`    // network policies in it
	Isolated    Assessed          `json:"isolated"`              // a network policy limits what reaches all its pods
}

// Assessed is a yes or no that may not be known.
type Assessed struct {
	Value       bool   `json:"value"`
	NotAssessed string `json:"notAssessed,omitempty"` // why the value means nothing
}

// WorkloadDoc is what runs: the top of an owner chain, or a pod without owner.
type WorkloadDoc struct {
	Key       string            `json:"key"` // namespace/Kind/name
	Namespace string            `json:"namespace"`
	Kind      string            `json:"kind"` // as Kubernetes writes it
	Name      string            `json:"name"`
	Via       string            `json:"via,omitempty"` // what made it, beyond what we follow: a custom resource
	Labels    map[string]string `json:"labels,omitempty"`
	Owner     string            `json:"owner"`               // never empty: Unowned
	OwnerFrom string            `json:"ownerFrom,omitempty"` // where the owner was read: "label owner on the namespace"
	Tenant    string            `json:"tenant,omitempty"`
	Platform  bool              `json:"platform,omitempty"` // of the distribution or its add-ons
	Created   int64             `json:"created,omitempty"`
	Wanted    int32             `json:"wanted"`
	Ready     int32             `json:"ready"`
	Schedule  string            `json:"schedule,omitempty"`
	Suspended bool              `json:"suspended,omitempty"`

	Pods         []PodDoc   `json:"pods,omitempty"` // at most MaxPodDocs, newest first
	PodsTotal    int        `json:"podsTotal"`
	Images       []ImageDoc `json:"images,omitempty"`
	Identity     string     `json:"identity,omitempty"` // serviceaccount:namespace/name
	TokenMounted bool       `json:"tokenMounted"`
	Powers       []string   `json:"powers,omitempty"`    // as in event.AuditFacts
	Mounts       []string   `json:"mounts,omitempty"`    // sensitive host paths
	Grants       []string   `json:"grants,omitempty"`    // dangerous powers of its identity
	Reach        string     `json:"reach"`               // one of the Reach… words
	Exposures    []string   `json:"exposures,omitempty"` // keys of ExposureDoc
	Apps         []string   `json:"apps,omitempty"`
	Secrets      []string   `json:"secrets,omitempty"`     // names it mounts or reads
	SharedNodes  []string   `json:"sharedNodes,omitempty"` // other tenants that run on the same nodes
	Template     *PodSpec   `json:"template,omitempty"`    // of its object; of what has none that of a pod, without its state
}

// MaxPodDocs bounds WorkloadDoc.Pods.
const MaxPodDocs = 100

// PodDoc is one pod of a workload.
type PodDoc struct {
	Name     string `json:"name"`
	UID      string `json:"uid,omitempty"`
	Node     string `json:"node,omitempty"`
	IP       string `json:"ip,omitempty"`
	Phase    string `json:"phase"`
	Reason   string `json:"reason,omitempty"`
	Started  int64  `json:"started,omitempty"`
	Restarts int32  `json:"restarts,omitempty"`
}

// ImageDoc is an image that a workload's containers use.
type ImageDoc struct {
	Container string `json:"container"`
	Role      string `json:"role,omitempty"`
	Image     string `json:"image"`            // as written
	Digest    string `json:"digest,omitempty"` // as run; "" = none of the pods has told yet
	ImageID   string `json:"imageID,omitempty"`
	Since     int64  `json:"since,omitempty"` // running since, the oldest of its pods
	Pods      int    `json:"pods"`
}

// IdentityDoc is a service account, user or group that rights are given to.
type IdentityDoc struct {
	Key       string   `json:"key"`  // serviceaccount:namespace/name, user:name, group:name
	Kind      string   `json:"kind"` // ServiceAccount, User, Group
	Namespace string   `json:"namespace,omitempty"`
	Name      string   `json:"name"`
	Owner     string   `json:"owner"`
	OwnerFrom string   `json:"ownerFrom,omitempty"`
	Tenant    string   `json:"tenant,omitempty"`
	Platform  bool     `json:"platform,omitempty"`
	CloudID   string   `json:"cloudID,omitempty"`
	Created   int64    `json:"created,omitempty"`
	Workloads []string `json:"workloads,omitempty"` // that run as it, at most 100
	Grants    []string `json:"grants,omitempty"`    // Power… words, gravest first
	Scope     string   `json:"scope"`               // of its dangerous rights, else of all: cluster, namespaces, none; unknown where only its use of the API is known
	Rights    []Right  `json:"rights,omitempty"`    // at most MaxRights
	More      int      `json:"more,omitempty"`      // rights beyond that
	Crosses   []string `json:"crosses,omitempty"`   // other tenants whose namespaces it has rights in
}

// MaxRights bounds IdentityDoc.Rights.
const MaxRights = 200

// Right is one rule that an identity holds, with how it came to hold it.
type Right struct {
	Rule
	Namespace string `json:"namespace,omitempty"` // "" = the whole cluster
	Role      string `json:"role"`                // ClusterRole/view
	Binding   string `json:"binding"`             // RoleBinding/team-a/readers
	Through   string `json:"through,omitempty"`   // the group it holds it by
}

// How far something can be reached.
const (
	ReachInternet   = "internet"   // from any address outside
	ReachRestricted = "restricted" // from some addresses outside
	ReachPrivate    = "private"    // through an internal load balancer or gateway
	ReachNodePort   = "node-port"  // on every node's address
	ReachHostPort   = "host-port"  // on the address of the nodes it runs on
	ReachCluster    = "cluster"    // from inside
	ReachNone       = "none"       // nothing listens, or a policy lets nobody in
	ReachUnknown    = "unknown"
)

// ExposureDoc is one way in: an object that lets something be reached from outside.
type ExposureDoc struct {
	Key         string   `json:"key"` // Kind/namespace/name of Through
	Kind        string   `json:"kind"`
	Namespace   string   `json:"namespace"`
	Name        string   `json:"name"`
	Reach       string   `json:"reach"`
	Addresses   []string `json:"addresses,omitempty"`
	Hosts       []string `json:"hosts,omitempty"`
	Ports       []string `json:"ports,omitempty"` // 443/TCP
	TLS         bool     `json:"tls,omitempty"`
	Path        []string `json:"path,omitempty"`    // the objects on the way: Ingress/shop/web, Service/shop/web
	Sources     []string `json:"sources,omitempty"` // addresses let in; empty = any
	Workloads   []string `json:"workloads,omitempty"`
	Apps        []string `json:"apps,omitempty"`
	Risks       []string `json:"risks,omitempty"`
	Owner       string   `json:"owner"`
	Tenant      string   `json:"tenant,omitempty"`
	Policy      string   `json:"policy,omitempty"` // a network policy on the way, and what it does
	Created     int64    `json:"created,omitempty"`
	NotAssessed string   `json:"notAssessed,omitempty"` // what could not be told of it: traffic policies of a mesh, a cloud firewall…
}

// Unowned is the owner of what nobody claims.
const Unowned = "unowned"

// PodMeta is what a node needs to know of one of its pods (link.KindPods). A node asks
// for those of its own name only.
type PodMeta struct {
	UID       string            `json:"uid"`              // as cgroups name it: of a static pod the kubelet's, not the API's
	APIUID    string            `json:"apiUID,omitempty"` // of the API object, where it differs
	Namespace string            `json:"namespace"`
	Name      string            `json:"name"`
	Workload  string            `json:"workload"` // namespace/Kind/name of the top owner
	Owner     string            `json:"owner,omitempty"`
	Tenant    string            `json:"tenant,omitempty"`
	Account   string            `json:"account,omitempty"` // service account
	IPs       []string          `json:"ips,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"` // at most 64
	// Images are the containers whose image the API knows exactly, in the order of
	// Pod.Containers: the runtime's state on the node says an image's name, not its digest.
	Images []PodImage `json:"images,omitempty"`
}

// PodImage is the image that one container of a pod runs.
type PodImage struct {
	Container string `json:"container"`
	Digest    string `json:"digest,omitempty"` // sha256:… of the manifest
	ImageID   string `json:"imageID,omitempty"`
}

// PodsFor is the message that carries them down to a node.
type PodsFor struct {
	Cluster string    `json:"cluster"`
	Node    string    `json:"node"`
	Full    bool      `json:"full,omitempty"` // what it does not name is gone
	Put     []PodMeta `json:"put,omitempty"`
	Gone    []string  `json:"gone,omitempty"` // UIDs
	Time    int64     `json:"time"`
}
