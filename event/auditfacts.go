package event

import "encoding/json"

// AuditFacts is what an audit event does not say of itself but its judge needs: who
// acted and from where, whose the object is, and what it would allow. They are
// computed once, where the event is taken in and the inventory is at hand, and
// travel inside the event's JSON under FactsKey, so that the same event gives the same
// findings on replay without an inventory. A field left zero had nothing to say;
// what could not be computed is named in NotAssessed.
type AuditFacts struct {
	Cluster string `json:"cluster,omitempty"`

	// First is set on the first stage told of a request that says what came of it, so that a
	// rule which asks for it judges each request once.
	First bool `json:"first,omitempty"`

	// The actor is the impersonated user where there is one; the real one then is in By.
	Actor         string `json:"actor,omitempty"` // one of the Actor… words
	ActorName     string `json:"actorName,omitempty"`
	By            string `json:"by,omitempty"`            // who impersonates
	Platform      bool   `json:"platform,omitempty"`      // of the distribution: control plane, kubelets, its add-ons
	ActorWorkload string `json:"actorWorkload,omitempty"` // namespace/kind/name that runs as this service account, when there is one
	ActorTenant   string `json:"actorTenant,omitempty"`
	ActorOwner    string `json:"actorOwner,omitempty"`

	// Where the request came from: the last source address, which the API server saw itself,
	// but for known proxies. Those before it a client may have made up.
	Source       string `json:"source,omitempty"`
	From         string `json:"from,omitempty"`    // one of the From… words
	FromPod      string `json:"fromPod,omitempty"` // namespace/name
	FromNode     string `json:"fromNode,omitempty"`
	FromWorkload string `json:"fromWorkload,omitempty"`
	FromTenant   string `json:"fromTenant,omitempty"`

	// The pod and node a service account token is bound to, and whether the request came
	// from neither of them.
	TokenPod  string `json:"tokenPod,omitempty"` // namespace/name
	TokenNode string `json:"tokenNode,omitempty"`
	Elsewhere bool   `json:"elsewhere,omitempty"`

	// The object.
	Target       string `json:"target,omitempty"` // workload it is or belongs to: namespace/kind/name
	TargetTenant string `json:"targetTenant,omitempty"`
	TargetOwner  string `json:"targetOwner,omitempty"`
	CrossTenant  bool   `json:"crossTenant,omitempty"` // actor and object belong to different tenants

	// What a role or binding in the request allows, once roles are looked up: one of the
	// Power… words each, the gravest first.
	Grants      []string `json:"grants,omitempty"`
	GrantsTo    []string `json:"grantsTo,omitempty"`    // User/name, Group/name, ServiceAccount/namespace/name
	GrantsScope string   `json:"grantsScope,omitempty"` // cluster or the namespace
	GrantsNew   bool     `json:"grantsNew,omitempty"`   // the subject did not hold them before

	// What a pod, or the template of a workload, in the request may do.
	Powers    []string `json:"powers,omitempty"`    // privileged, hostPID, hostNetwork, hostIPC, the capabilities that matter…
	Mounts    []string `json:"mounts,omitempty"`    // sensitive host paths, cleaned
	Images    []string `json:"images,omitempty"`    // all images, as written
	NewImages []string `json:"newImages,omitempty"` // repositories not seen in this namespace before
	Tools     []string `json:"tools,omitempty"`     // attack tools known by user agent or image: kube-hunter, peirates…; miners as "miner" and "miner:xmrig"

	// What a service, ingress or route in the request exposes.
	Exposure string   `json:"exposure,omitempty"` // one of the inventory's reach words
	Ports    []string `json:"ports,omitempty"`    // 80/TCP
	Apps     []string `json:"apps,omitempty"`     // redis, postgres, kubernetes-dashboard…: what the backends are known to be
	Risks    []string `json:"risks,omitempty"`    // no-password, trust-auth, any-source, broad-source…

	// Addresses outside the cluster to which an admission webhook in the request sends objects.
	HookURLs []string `json:"hookURLs,omitempty"`

	// What is unusual for this identity, by the learned models: their names, and why in words.
	Unusual []string `json:"unusual,omitempty"` // pod-deployment, secret-access, service-account
	Why     []string `json:"why,omitempty"`
	Learned int64    `json:"learned,omitempty"` // how long the model has learned, nanoseconds

	// Counts of this actor's last ten minutes, this event included.
	SecretsRead int `json:"secretsRead,omitempty"` // distinct secrets read or listed
	Denied      int `json:"denied,omitempty"`      // refused requests
	Probes      int `json:"probes,omitempty"`      // distinct discovery requests: self-subject reviews, API lists, version, health
	Deleted     int `json:"deleted,omitempty"`     // objects deleted

	NotAssessed []string `json:"notAssessed,omitempty"` // facts that could not be computed, and why
}

// FactsKey is the member of an audit event's JSON that holds AuditFacts. Sources drop a
// member of that name from what comes from outside.
const FactsKey = "dockreeve"

// The kinds of actor.
const (
	ActorAnonymous      = "anonymous"
	ActorServiceAccount = "service-account"
	ActorNode           = "node"
	ActorControlPlane   = "control-plane"
	ActorUser           = "user"
)

// Where requests come from.
const (
	FromLoopback = "loopback"
	FromNode     = "node"
	FromPod      = "pod"
	FromPrivate  = "private"
	FromInternet = "internet"
	FromUnknown  = "unknown"
	// FromAnonymiser is an address of the list of anonymising networks that people gave.
	FromAnonymiser = "anonymiser"
)

// Powers that a role can give, gravest first in their order of danger.
const (
	PowerClusterAdmin = "cluster-admin"     // * on *
	PowerEscalate     = "escalate"          // escalate or bind roles
	PowerImpersonate  = "impersonate"       // users, groups, service accounts
	PowerWebhooks     = "webhooks"          // write admission webhooks or policies
	PowerApproveCerts = "approve-csr"       // approve or sign certificates
	PowerTokens       = "create-tokens"     // serviceaccounts/token
	PowerSecretsRead  = "read-secrets"      // get, list or watch secrets
	PowerExec         = "exec"              // pods/exec, attach, portforward
	PowerNodesProxy   = "nodes-proxy"       // the kubelet's API
	PowerPodsCreate   = "create-pods"       // pods or what makes pods
	PowerNodesWrite   = "write-nodes"       // nodes, nodes/status
	PowerVolumesWrite = "write-volumes"     // persistent volumes (host paths)
	PowerEphemeral    = "ephemeral"         // pods/ephemeralcontainers
	PowerWildcard     = "wildcard"          // a * on verbs, resources or groups, less than cluster-admin
	PowerEventsDelete = "delete-events"     // delete events
	PowerConfigMaps   = "write-kube-config" // configmaps in kube-system
)

// WithAuditFacts appends the facts to an audit event's JSON object, which must hold no
// member FactsKey yet. The result is a new slice.
func WithAuditFacts(doc []byte, f *AuditFacts) ([]byte, error) {
	b, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	end := len(doc)
	for end > 0 && doc[end-1] != '}' {
		end--
	}
	if end == 0 {
		return nil, ErrCodec
	}
	out := make([]byte, 0, end+len(b)+len(FactsKey)+5)
	out = append(out, doc[:end-1]...)
	if n := len(out); n > 0 && out[n-1] != '{' {
		out = append(out, ',')
	}
	out = append(out, '"')
	out = append(out, FactsKey...)
	out = append(out, '"', ':')
	out = append(out, b...)
	return append(out, '}'), nil
}
