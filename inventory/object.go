// Package inventory owns what a cluster holds and what follows from it: who runs what
// since when, whose it is, what it may do, and from where it can be reached.
//
// It has value types and pure functions over them only: no I/O, no clock, no Kubernetes
// library, so that a node can hold them too. Objects (this file) come in from
// source/kube, already reduced to what matters and free of secret values; a State joins
// them; Documents (document.go) go out to the hub. Everything is bounded.
package inventory

// Kind names a kind of object by its Kubernetes kind.
type Kind string

// The kinds that are kept.
const (
	KindNode           Kind = "Node"
	KindNamespace      Kind = "Namespace"
	KindPod            Kind = "Pod"
	KindDeployment     Kind = "Deployment"
	KindReplicaSet     Kind = "ReplicaSet"
	KindStatefulSet    Kind = "StatefulSet"
	KindDaemonSet      Kind = "DaemonSet"
	KindJob            Kind = "Job"
	KindCronJob        Kind = "CronJob"
	KindRC             Kind = "ReplicationController"
	KindService        Kind = "Service"
	KindIngress        Kind = "Ingress"
	KindGateway        Kind = "Gateway"
	KindRoute          Kind = "Route" // HTTPRoute, GRPCRoute, TCPRoute, TLSRoute, UDPRoute: the kind is in Object.APIKind
	KindNetworkPolicy  Kind = "NetworkPolicy"
	KindServiceAccount Kind = "ServiceAccount"
	KindRole           Kind = "Role"
	KindClusterRole    Kind = "ClusterRole"
	KindRoleBinding    Kind = "RoleBinding"
	KindClusterBinding Kind = "ClusterRoleBinding"
	KindWebhook        Kind = "Webhook" // validating and mutating configurations, and admission policies: the kind is in Object.APIKind
	KindVolume         Kind = "PersistentVolume"
	KindClaim          Kind = "PersistentVolumeClaim"
	KindStorageClass   Kind = "StorageClass"
	KindSecret         Kind = "Secret"    // name and type only, never data
	KindConfigMap      Kind = "ConfigMap" // name only; of a few known ones the keys that decide exposure
	KindOther          Kind = "Other"     // an owner of a kind we do not know: a custom resource
)

// Key names one object of a cluster.
type Key struct {
	Kind      Kind   `json:"kind"`
	Namespace string `json:"namespace,omitempty"` // "" for what has none
	Name      string `json:"name"`
	// As is the Kubernetes kind where Kind folds several (Route, Webhook), so that two of
	// one name are two.
	As string `json:"as,omitempty"`
}

// index is the key's place among those of its kind and namespace.
func (k Key) index() string {
	if k.As == "" {
		return k.Name
	}
	return k.As + "/" + k.Name
}

// Folds reports whether a kind stands for several of Kubernetes, which Key.As tells.
func (k Kind) Folds() bool { return k == KindRoute || k == KindWebhook }

// Object is one Kubernetes object, reduced. Exactly the part that its Kind asks for is
// set. An Object given to a State belongs to it and is not written to afterwards.
// Times are Unix nanoseconds, 0 = not known.
type Object struct {
	Key
	APIVersion  string            `json:"apiVersion,omitempty"` // group/version as read
	APIKind     string            `json:"apiKind,omitempty"`    // where Kind folds several
	UID         string            `json:"uid,omitempty"`
	Version     string            `json:"version,omitempty"` // resourceVersion
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"` // values cut at 1 KiB; last-applied-configuration is dropped
	Owner       *OwnerRef         `json:"owner,omitempty"`       // the controlling owner, else the first
	Created     int64             `json:"created,omitempty"`
	Deleting    int64             `json:"deleting,omitempty"` // since when it is being deleted

	Node      *Node      `json:"node,omitempty"`
	Pod       *Pod       `json:"pod,omitempty"`
	Workload  *Workload  `json:"workload,omitempty"` // Deployment to ReplicationController
	Service   *Service   `json:"service,omitempty"`
	Ingress   *Ingress   `json:"ingress,omitempty"` // Ingress, Gateway, Route
	Policy    *NetPolicy `json:"policy,omitempty"`
	Account   *Account   `json:"account,omitempty"`
	Role      *Role      `json:"role,omitempty"`    // Role, ClusterRole
	Binding   *Binding   `json:"binding,omitempty"` // RoleBinding, ClusterRoleBinding
	Webhook   *Webhook   `json:"webhook,omitempty"`
	Volume    *Volume    `json:"volume,omitempty"` // PersistentVolume, PersistentVolumeClaim, StorageClass
	Secret    string     `json:"secret,omitempty"` // type of a Secret
	ConfigMap *ConfigMap `json:"configMap,omitempty"`

	Unread string `json:"unread,omitempty"` // first field whose shape was not the known one: it was passed over
}

// OwnerRef points to an owner in the same namespace, or without one.
type OwnerRef struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind"` // as Kubernetes writes it
	Name       string `json:"name"`
	UID        string `json:"uid,omitempty"`
	Controller bool   `json:"controller,omitempty"`
}

// Node is a machine of the cluster.
type Node struct {
	ProviderID    string   `json:"providerID,omitempty"` // azure:///subscriptions/…
	OSImage       string   `json:"osImage,omitempty"`
	Kernel        string   `json:"kernel,omitempty"`
	Kubelet       string   `json:"kubelet,omitempty"`
	Runtime       string   `json:"runtime,omitempty"` // containerd://2.4.2
	OS            string   `json:"os,omitempty"`
	Arch          string   `json:"arch,omitempty"`
	Addresses     []string `json:"addresses,omitempty"` // internal first
	External      []string `json:"external,omitempty"`  // external addresses
	PodCIDRs      []string `json:"podCIDRs,omitempty"`
	Ready         bool     `json:"ready"`
	Unschedulable bool     `json:"unschedulable,omitempty"`
	CPU           int64    `json:"cpu,omitempty"`    // allocatable, millicores
	Memory        int64    `json:"memory,omitempty"` // allocatable, bytes
	InstanceType  string   `json:"instanceType,omitempty"`
	Taints        []string `json:"taints,omitempty"`  // key=value:Effect
	Virtual       bool     `json:"virtual,omitempty"` // a virtual kubelet: no sensor can run there
}

// Pod is one pod.
type Pod struct {
	PodSpec
	NodeName    string   `json:"nodeName,omitempty"`
	IPs         []string `json:"ips,omitempty"`
	HostIP      string   `json:"hostIP,omitempty"`
	Phase       string   `json:"phase,omitempty"`
	Started     int64    `json:"started,omitempty"`
	StaticUID   string   `json:"staticUID,omitempty"`  // what the kubelet calls a static pod: kubernetes.io/config.hash
	StaticFrom  string   `json:"staticFrom,omitempty"` // kubernetes.io/config.source other than api
	Ready       bool     `json:"ready,omitempty"`
	Unassigned  string   `json:"unassigned,omitempty"` // why it has no node
	RestartedAt int64    `json:"restartedAt,omitempty"`
}

// PodSpec is what decides a pod's powers, whether of a pod or of a template.
type PodSpec struct {
	ServiceAccount string            `json:"serviceAccount,omitempty"`
	Automount      *bool             `json:"automount,omitempty"` // nil = as the account says
	HostPID        bool              `json:"hostPID,omitempty"`
	HostIPC        bool              `json:"hostIPC,omitempty"`
	HostNetwork    bool              `json:"hostNetwork,omitempty"`
	HostUsers      *bool             `json:"hostUsers,omitempty"`
	RunAsUser      *int64            `json:"runAsUser,omitempty"`
	RunAsNonRoot   *bool             `json:"runAsNonRoot,omitempty"`
	Seccomp        string            `json:"seccomp,omitempty"`     // of the pod as a whole
	AppArmor       string            `json:"appArmor,omitempty"`    // of the pod as a whole
	SELinux        string            `json:"seLinux,omitempty"`     // user:role:type, where one is set
	HostProcess    bool              `json:"hostProcess,omitempty"` // of Windows
	Sysctls        []string          `json:"sysctls,omitempty"`     // names, at most 64
	OS             string            `json:"os,omitempty"`          // spec.os.name
	RuntimeClass   string            `json:"runtimeClass,omitempty"`
	NodeSelector   map[string]string `json:"nodeSelector,omitempty"`
	Containers     []Container       `json:"containers,omitempty"` // init, ephemeral and ordinary, in this order, at most 64
	Volumes        []PodVolume       `json:"volumes,omitempty"`    // at most 64
}

// Container is one container of a pod or template.
type Container struct {
	Name         string   `json:"name"`
	Role         string   `json:"role,omitempty"` // "", init, ephemeral
	Image        string   `json:"image"`          // as written
	ImageID      string   `json:"imageID,omitempty"`
	Digest       string   `json:"digest,omitempty"` // sha256:… of ImageID, where it names a manifest
	ID           string   `json:"id,omitempty"`     // container id without the runtime's prefix
	Started      int64    `json:"started,omitempty"`
	Running      bool     `json:"running,omitempty"`
	Reason       string   `json:"reason,omitempty"` // why it waits or ended: ImagePullBackOff, OOMKilled…
	Restarts     int32    `json:"restarts,omitempty"`
	Privileged   bool     `json:"privileged,omitempty"` // or a host process of Windows
	Escalation   *bool    `json:"escalation,omitempty"` // allowPrivilegeEscalation
	RunAsUser    *int64   `json:"runAsUser,omitempty"`
	RunAsNonRoot *bool    `json:"runAsNonRoot,omitempty"`
	ReadOnly     bool     `json:"readOnly,omitempty"` // root file system
	AddCaps      []string `json:"addCaps,omitempty"`
	DropCaps     []string `json:"dropCaps,omitempty"`
	// Capabilities as they are written, where one of AddCaps or DropCaps is written
	// otherwise: Pod Security compares letter by letter, runtimes do not.
	AddCapsAs   []string          `json:"addCapsAs,omitempty"`
	DropCapsAs  []string          `json:"dropCapsAs,omitempty"`
	Seccomp     string            `json:"seccomp,omitempty"`     // its own, else the pod's
	AppArmor    string            `json:"appArmor,omitempty"`    // its own field
	AppArmorAs  string            `json:"appArmorAs,omitempty"`  // of the older annotation for it
	SELinux     string            `json:"seLinux,omitempty"`     // user:role:type, where one is set
	HostProcess bool              `json:"hostProcess,omitempty"` // of Windows; Privileged is set too
	ProbeHosts  []string          `json:"probeHosts,omitempty"`  // hosts that probes and lifecycle hooks name
	ProcMount   string            `json:"procMount,omitempty"`
	Ports       []Port            `json:"ports,omitempty"`
	Mounts      []Mount           `json:"mounts,omitempty"`
	Env         map[string]string `json:"env,omitempty"`    // only names in the list of settings that decide exposure (POSTGRES_HOST_AUTH_METHOD…); presence of a password is "set", never its value
	Args        []string          `json:"args,omitempty"`   // command and args, redacted, at most 4 KiB
	CPU         int64             `json:"cpu,omitempty"`    // request, millicores
	Memory      int64             `json:"memory,omitempty"` // request, bytes
	CPULimit    int64             `json:"cpuLimit,omitempty"`
	MemLimit    int64             `json:"memLimit,omitempty"`
	SecretEnv   []string          `json:"secretEnv,omitempty"` // names of secrets that its environment reads
}

// Port is a port of a container or service.
type Port struct {
	Name     string `json:"name,omitempty"`
	Port     int32  `json:"port"`
	Target   string `json:"target,omitempty"` // number or name
	NodePort int32  `json:"nodePort,omitempty"`
	HostPort int32  `json:"hostPort,omitempty"`
	Protocol string `json:"protocol,omitempty"` // TCP when empty
}

// Mount is a mount of a container.
type Mount struct {
	Volume      string `json:"volume"`
	Path        string `json:"path"`
	SubPath     string `json:"subPath,omitempty"`
	ReadOnly    bool   `json:"readOnly,omitempty"`
	Propagation string `json:"propagation,omitempty"`
}

// PodVolume is a volume of a pod: Type is the key it is written under (hostPath,
// secret, configMap, emptyDir, persistentVolumeClaim, projected, csi…).
type PodVolume struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Source string `json:"source,omitempty"` // host path, secret, claim…
}

// Workload is what makes pods.
type Workload struct {
	Replicas  int32             `json:"replicas,omitempty"` // wanted
	Ready     int32             `json:"ready,omitempty"`
	Selector  map[string]string `json:"selector,omitempty"`
	Schedule  string            `json:"schedule,omitempty"` // of a CronJob
	Suspended bool              `json:"suspended,omitempty"`
	Template  PodSpec           `json:"template"`
	Labels    map[string]string `json:"templateLabels,omitempty"`
	// Annotations of the template: an owner may be named there.
	Annotations map[string]string `json:"templateAnnotations,omitempty"`
}

// Service is a service.
type Service struct {
	Type         string            `json:"type"` // ClusterIP, NodePort, LoadBalancer, ExternalName
	Selector     map[string]string `json:"selector,omitempty"`
	Ports        []Port            `json:"ports,omitempty"`
	ClusterIPs   []string          `json:"clusterIPs,omitempty"`
	ExternalIPs  []string          `json:"externalIPs,omitempty"`
	Addresses    []string          `json:"addresses,omitempty"` // of the load balancer, as reported
	SourceRanges []string          `json:"sourceRanges,omitempty"`
	Internal     bool              `json:"internal,omitempty"` // an annotation asks for an internal load balancer
	ExternalName string            `json:"externalName,omitempty"`
}

// Ingress is an Ingress, a Gateway or a Route.
type Ingress struct {
	Class     string     `json:"class,omitempty"`
	Ports     []Port     `json:"ports,omitempty"` // that a Gateway listens on
	Addresses []string   `json:"addresses,omitempty"`
	Hosts     []string   `json:"hosts,omitempty"`
	TLS       bool       `json:"tls,omitempty"`
	Backends  []Backend  `json:"backends,omitempty"`
	Parents   []OwnerRef `json:"parents,omitempty"` // gateways of a route; Name may be namespace/name
	Internal  bool       `json:"internal,omitempty"`
}

// Backend is where an Ingress or Route sends requests.
type Backend struct {
	Namespace string `json:"namespace,omitempty"` // "" = the object's own
	Service   string `json:"service"`
	Port      string `json:"port,omitempty"`
	Path      string `json:"path,omitempty"`
}

// NetPolicy is a network policy, as far as exposure needs it.
type NetPolicy struct {
	Selector       map[string]string `json:"selector,omitempty"`
	Complex        bool              `json:"complex,omitempty"` // the selector has expressions: not assessed
	Ingress        bool              `json:"ingress"`           // it limits what comes in
	Egress         bool              `json:"egress"`
	AllowsAnywhere bool              `json:"allowsAnywhere,omitempty"` // a rule lets everybody in
	AllowsPorts    []string          `json:"allowsPorts,omitempty"`
	FromCIDRs      []string          `json:"fromCIDRs,omitempty"`
	FromNamespaces bool              `json:"fromNamespaces,omitempty"` // lets in pods of other namespaces
	FromPods       bool              `json:"fromPods,omitempty"`       // lets in pods of its own namespace
}

// Account is a service account.
type Account struct {
	Automount *bool    `json:"automount,omitempty"`
	Secrets   []string `json:"secrets,omitempty"`
	CloudID   string   `json:"cloudID,omitempty"` // azure.workload.identity/client-id, eks.amazonaws.com/role-arn…
}

// Role is a role's rules; an aggregated cluster role carries what it selects.
type Role struct {
	Rules     []Rule              `json:"rules,omitempty"` // at most 512
	Aggregate []map[string]string `json:"aggregate,omitempty"`
}

// Rule is one RBAC rule.
type Rule struct {
	Verbs     []string `json:"verbs"`
	Groups    []string `json:"groups,omitempty"`
	Resources []string `json:"resources,omitempty"`
	Names     []string `json:"names,omitempty"`
	URLs      []string `json:"urls,omitempty"`
}

// Binding gives a role to subjects.
type Binding struct {
	RoleKind string    `json:"roleKind"` // Role, ClusterRole
	RoleName string    `json:"roleName"`
	Subjects []Subject `json:"subjects,omitempty"` // at most 1,024
}

// Subject is a user, group or service account.
type Subject struct {
	Kind      string `json:"kind"` // User, Group, ServiceAccount
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// Webhook is an admission webhook configuration or policy.
type Webhook struct {
	Mutating bool         `json:"mutating,omitempty"`
	Hooks    []WebhookRef `json:"hooks,omitempty"`
}

// WebhookRef is one webhook of a configuration.
type WebhookRef struct {
	Name      string   `json:"name"`
	URL       string   `json:"url,omitempty"`     // outside the cluster
	Service   string   `json:"service,omitempty"` // namespace/name
	Resources []string `json:"resources,omitempty"`
	Failure   string   `json:"failure,omitempty"` // Fail, Ignore
}

// Volume is storage.
type Volume struct {
	Class    string `json:"class,omitempty"`
	HostPath string `json:"hostPath,omitempty"`
	Driver   string `json:"driver,omitempty"`
	Claim    string `json:"claim,omitempty"`  // namespace/name bound to it
	Volume   string `json:"volume,omitempty"` // that a claim is bound to
	Size     int64  `json:"size,omitempty"`   // bytes
	Modes    string `json:"modes,omitempty"`
}

// ConfigMap is what is kept of one: whether settings in it decide exposure, as words
// (postgres-trust, redis-no-password), never its content.
type ConfigMap struct {
	Keys   []string `json:"keys,omitempty"` // at most 64 names
	Says   []string `json:"says,omitempty"`
	Digest string   `json:"digest,omitempty"` // hash of the content, to see that it changed
}
