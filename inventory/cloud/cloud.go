// Package cloud owns what a cloud tenant holds, as far as Dockreeve judges it: value
// types of Azure's hierarchy, its clusters, registries, protection plans, policies,
// budgets and activity, and lookups over them.
//
// It does no I/O, reads no clock and parses no ARM: source/azure reduces ARM's documents
// to these types, and govern, posture and cost judge them. What could not be read is part
// of the value (Tenant.Reads), so that nothing missing can look like nothing wrong.
// Ids are ARM ids in lower case; times are Unix nanoseconds, 0 = not known.
package cloud

import "github.com/dockreeve/dockreeve/inventory"

// Tenant is what is known of one Azure tenant at one time.
type Tenant struct {
	ID        string `json:"id"` // directory id; "" = not told
	Name      string `json:"name,omitempty"`
	Source    string `json:"source"`    // live, snapshot, exports, demo
	Collected int64  `json:"collected"` // when collection began
	Finished  int64  `json:"finished"`  // when it ended; 0 = it did not: cut short
	Reads     []Read `json:"reads"`     // what was asked for, and what came of it

	Groups         []Group         `json:"groups,omitempty"`
	Subscriptions  []Subscription  `json:"subscriptions,omitempty"`
	ResourceGroups []ResourceGroup `json:"resourceGroups,omitempty"`
	Clusters       []Cluster       `json:"clusters,omitempty"` // AKS and Arc
	Registries     []Registry      `json:"registries,omitempty"`
	Definitions    []Definition    `json:"definitions,omitempty"` // only those that assignments name
	Assignments    []Assignment    `json:"assignments,omitempty"`
	Exemptions     []Exemption     `json:"exemptions,omitempty"`
	States         []PolicyState   `json:"states,omitempty"`
	Roles          []RoleHolder    `json:"roles,omitempty"` // owners of subscriptions
	Budgets        []Budget        `json:"budgets,omitempty"`
	CostAlerts     []CostAlert     `json:"costAlerts,omitempty"`
	Sizes          []Size          `json:"sizes,omitempty"`
	Activity       []Activity      `json:"activity,omitempty"`
	DefenderAlerts []DefenderAlert `json:"defenderAlerts,omitempty"`
	Assessments    []Assessment    `json:"assessments,omitempty"`
	Suppressions   []Suppression   `json:"suppressions,omitempty"`
	Others         int             `json:"others,omitempty"` // resources of other types, counted only
}

// Read is one thing that was asked of one scope, and what came of it.
type Read struct {
	Scope   string `json:"scope"` // ARM id; "" = the tenant
	What    string `json:"what"`  // one of the Read… words
	At      int64  `json:"at"`
	Outcome string `json:"outcome"` // one of the outcomes below
	Reason  string `json:"reason,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
	Rows    int    `json:"rows"`
	Bad     int    `json:"bad,omitempty"` // rows whose shape was not understood: passed over, and counted here
}

// What is asked for.
const (
	ReadGroups         = "management-groups"
	ReadSubscriptions  = "subscriptions"
	ReadResourceGroups = "resource-groups"
	ReadClusters       = "clusters"
	ReadArc            = "arc-clusters"
	ReadRegistries     = "registries"
	ReadPlan           = "defender-plan"         // of a subscription
	ReadClusterPlan    = "defender-cluster-plan" // of one cluster
	ReadDefinitions    = "policy-definitions"
	ReadAssignments    = "policy-assignments"
	ReadExemptions     = "policy-exemptions"
	ReadStates         = "policy-states"
	ReadDiagnostics    = "diagnostic-settings" // of one cluster
	ReadExtensions     = "arc-extensions"      // of one Arc cluster
	ReadRoles          = "role-assignments"
	ReadBudgets        = "budgets"
	ReadCostAlerts     = "cost-alerts"
	ReadCosts          = "costs"
	ReadAmortized      = "amortized-costs"
	ReadPrices         = "retail-prices"
	ReadSizes          = "vm-sizes"
	ReadActivity       = "activity-log"
	ReadAlerts         = "defender-alerts"
	ReadAssessments    = "defender-assessments"
	ReadSuppressions   = "defender-suppressions"
	ReadOthers         = "other-resources" // counted only
	ReadSnapshot       = "snapshot"        // a file of earlier reads; partial = it is cut short
	ReadExport         = "export"          // a file of az's output
)

// What came of a read.
const (
	ReadOK        = "ok"
	ReadDenied    = "denied"    // rights are missing or expired
	ReadThrottled = "throttled" // gave up while told to wait
	ReadFailed    = "failed"
	ReadPartial   = "partial" // some pages came, not all
	ReadAbsent    = "absent"  // the service is not registered there: it truly holds none
	ReadSkipped   = "skipped" // not asked for
)

// Group is a management group.
type Group struct {
	ID     string `json:"id"` // /providers/microsoft.management/managementgroups/name
	Name   string `json:"name"`
	Title  string `json:"title,omitempty"`
	Parent string `json:"parent,omitempty"` // id of the group above
}

// Subscription is a subscription.
type Subscription struct {
	ID    string            `json:"id"` // /subscriptions/guid
	GUID  string            `json:"guid"`
	Name  string            `json:"name"`
	State string            `json:"state"`           // Enabled, Disabled, Warned, PastDue, Deleted
	Group string            `json:"group,omitempty"` // id of its management group
	Quota string            `json:"offer,omitempty"` // quotaId of its offer
	Tags  map[string]string `json:"tags,omitempty"`
	Plan  *Plan             `json:"plan,omitempty"` // Defender for Containers; nil = not read: see Reads
}

// ResourceGroup is a resource group.
type ResourceGroup struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Location  string            `json:"location,omitempty"`
	ManagedBy string            `json:"managedBy,omitempty"` // the cluster whose nodes it holds
	Tags      map[string]string `json:"tags,omitempty"`
}

// Plan is Defender for Containers as it stands at a subscription or a cluster
// (Microsoft.Security/pricings/Containers).
type Plan struct {
	Standard      bool        `json:"standard"`         // pricingTier
	Legacy        string      `json:"legacy,omitempty"` // the plan is on by an older name: KubernetesService, ContainerRegistry
	Inherited     bool        `json:"inherited,omitempty"`
	InheritedFrom string      `json:"inheritedFrom,omitempty"`
	Since         int64       `json:"since,omitempty"`        // enablementTime
	TrialSeconds  int64       `json:"trialSeconds,omitempty"` // left of the free trial
	Extensions    []Extension `json:"extensions,omitempty"`
}

// Extension is a part of a plan, or of an Arc cluster.
type Extension struct {
	Name    string            `json:"name"`
	Enabled bool              `json:"enabled"`
	State   string            `json:"state,omitempty"` // operationStatus, provisioningState
	More    map[string]string `json:"more,omitempty"`  // additionalExtensionProperties
}

// The five extensions of the plan.
const (
	ExtRegistries = "ContainerRegistriesVulnerabilityAssessments"
	ExtDiscovery  = "AgentlessDiscoveryForKubernetes"
	ExtVMScanning = "AgentlessVmScanning"
	ExtSensor     = "ContainerSensor"
	ExtIntegrity  = "ContainerIntegrityContribution"
)

// Cluster is an AKS or Arc cluster as Azure describes it. A *bool that is nil was not told.
type Cluster struct {
	ID            string            `json:"id"`
	Name          string            `json:"name"`
	Kind          string            `json:"kind"` // aks, arc
	Subscription  string            `json:"subscription"`
	ResourceGroup string            `json:"resourceGroup"` // name
	Location      string            `json:"location"`
	Tags          map[string]string `json:"tags,omitempty"`
	Created       int64             `json:"created,omitempty"`
	Version       string            `json:"version,omitempty"`
	Power         string            `json:"power,omitempty"`        // Running, Stopped, "" = not told
	State         string            `json:"state,omitempty"`        // provisioningState
	Tier          string            `json:"tier,omitempty"`         // Free, Standard, Premium
	Distribution  string            `json:"distribution,omitempty"` // of Arc clusters
	Pools         []Pool            `json:"pools,omitempty"`
	NodeGroup     string            `json:"nodeGroup,omitempty"` // resource group of its nodes
	FQDN          string            `json:"fqdn,omitempty"`
	PrivateFQDN   string            `json:"privateFQDN,omitempty"`
	Nodes         int               `json:"nodes,omitempty"` // as Arc tells
	Cores         int               `json:"cores,omitempty"` // as Arc tells

	DefenderProfile *bool       `json:"defenderProfile,omitempty"` // securityProfile.defender.securityMonitoring.enabled; AKS without the property: false
	DefenderGating  *bool       `json:"defenderGating,omitempty"`
	Workspace       string      `json:"workspace,omitempty"`   // that the Defender profile writes to
	PolicyAddon     *bool       `json:"policyAddon,omitempty"` // Arc: from extensions
	Insights        *bool       `json:"insights,omitempty"`    // monitoring add-on
	InsightsTo      string      `json:"insightsTo,omitempty"`  // its workspace
	SecretsProvider *bool       `json:"secretsProvider,omitempty"`
	Extensions      []Extension `json:"extensions,omitempty"` // of Arc clusters

	RBAC             *bool    `json:"rbac,omitempty"`
	Entra            *bool    `json:"entra,omitempty"` // aadProfile.managed
	AzureRBAC        *bool    `json:"azureRBAC,omitempty"`
	LocalAccounts    *bool    `json:"localAccounts,omitempty"` // true = they can be used
	AuthorizedRanges []string `json:"authorizedRanges,omitempty"`
	Private          *bool    `json:"private,omitempty"`
	PrivatePublic    *bool    `json:"privatePublic,omitempty"` // a private cluster with a public name
	PublicAccess     *bool    `json:"publicAccess,omitempty"`
	RunCommand       *bool    `json:"runCommand,omitempty"` // true = az aks command can be used
	NetworkPlugin    string   `json:"networkPlugin,omitempty"`
	NetworkPolicy    string   `json:"networkPolicy,omitempty"` // azure, calico, cilium, "" or none
	Dataplane        string   `json:"dataplane,omitempty"`
	Outbound         string   `json:"outbound,omitempty"`
	KMS              *bool    `json:"kms,omitempty"`
	DiskEncryption   string   `json:"diskEncryption,omitempty"` // disk encryption set
	ImageCleaner     *bool    `json:"imageCleaner,omitempty"`
	WorkloadIdentity *bool    `json:"workloadIdentity,omitempty"`
	OIDCIssuer       *bool    `json:"oidcIssuer,omitempty"`
	Upgrade          string   `json:"upgrade,omitempty"`          // channel
	NodeUpgrade      string   `json:"nodeUpgrade,omitempty"`      // channel of node images
	ServicePrincipal string   `json:"servicePrincipal,omitempty"` // client id; "" = managed identity

	Identities  []Identity   `json:"identities,omitempty"`
	Plan        *Plan        `json:"plan,omitempty"`        // at the cluster itself; nil = not read, or not there: see Reads
	Diagnostics []Diagnostic `json:"diagnostics,omitempty"` // read where Reads says so
}

// The kinds of cluster.
const (
	KindAKS = "aks"
	KindArc = "arc"
)

// Pool is a node pool.
type Pool struct {
	Name       string   `json:"name"`
	Size       string   `json:"size"`  // Standard_D4s_v5
	Count      int      `json:"count"` // nodes now
	Min        int      `json:"min,omitempty"`
	Max        int      `json:"max,omitempty"`
	Autoscaled bool     `json:"autoscaled,omitempty"`
	Spot       bool     `json:"spot,omitempty"`
	Power      string   `json:"power,omitempty"` // Running, Stopped
	OS         string   `json:"os,omitempty"`
	SKU        string   `json:"sku,omitempty"` // osSKU
	Mode       string   `json:"mode,omitempty"`
	Image      string   `json:"image,omitempty"` // nodeImageVersion
	Version    string   `json:"version,omitempty"`
	PublicIP   *bool    `json:"publicIP,omitempty"`
	Encrypted  *bool    `json:"encrypted,omitempty"` // at host
	SSH        string   `json:"ssh,omitempty"`       // securityProfile.sshAccess
	Zones      []string `json:"zones,omitempty"`
}

// Identity is a managed identity that a cluster uses.
type Identity struct {
	Use      string `json:"use"` // cluster, kubelet, or the add-on's name
	ID       string `json:"id,omitempty"`
	ClientID string `json:"clientID,omitempty"`
	ObjectID string `json:"objectID,omitempty"`
}

// Diagnostic is a diagnostic setting.
type Diagnostic struct {
	Name       string   `json:"name"`
	Workspace  string   `json:"workspace,omitempty"`
	Storage    string   `json:"storage,omitempty"`
	EventHub   string   `json:"eventHub,omitempty"`
	Dedicated  bool     `json:"dedicated,omitempty"`  // resource-specific tables
	Categories []string `json:"categories,omitempty"` // enabled ones; a group as group:allLogs
}

// Registry is a container registry.
type Registry struct {
	ID            string            `json:"id"`
	Name          string            `json:"name"`
	Subscription  string            `json:"subscription"`
	ResourceGroup string            `json:"resourceGroup"`
	Location      string            `json:"location"`
	Server        string            `json:"server,omitempty"`
	SKU           string            `json:"sku,omitempty"`
	Tags          map[string]string `json:"tags,omitempty"`
	Admin         *bool             `json:"admin,omitempty"`
	Anonymous     *bool             `json:"anonymous,omitempty"`
	PublicAccess  *bool             `json:"publicAccess,omitempty"`
	DefaultDeny   *bool             `json:"defaultDeny,omitempty"` // networkRuleSet.defaultAction
	PrivateLinks  int               `json:"privateLinks,omitempty"`
	CustomerKey   *bool             `json:"customerKey,omitempty"`
}

// Definition is what of a policy or initiative definition is needed to name it.
type Definition struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Title   string   `json:"title,omitempty"`
	Set     bool     `json:"set,omitempty"`
	Inside  bool     `json:"inside,omitempty"`  // it judges what a cluster runs (mode Microsoft.Kubernetes.Data), not the resource
	Members []string `json:"members,omitempty"` // definitions of a set
}

// Assignment is a policy assignment.
type Assignment struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Title       string   `json:"title,omitempty"`
	Scope       string   `json:"scope"`
	NotScopes   []string `json:"notScopes,omitempty"`
	Definition  string   `json:"definition"`
	Enforced    bool     `json:"enforced"` // enforcementMode Default
	HasIdentity bool     `json:"hasIdentity,omitempty"`
}

// Exemption is a policy exemption.
type Exemption struct {
	ID         string   `json:"id"`
	Title      string   `json:"title,omitempty"`
	Scope      string   `json:"scope"`
	Assignment string   `json:"assignment"`
	References []string `json:"references,omitempty"`
	Category   string   `json:"category"` // Waiver, Mitigated
	Expires    int64    `json:"expires,omitempty"`
	Created    int64    `json:"created,omitempty"`
	By         string   `json:"by,omitempty"`
	Why        string   `json:"why,omitempty"`
}

// PolicyState is one verdict of Azure Policy.
type PolicyState struct {
	Resource   string `json:"resource"`
	Assignment string `json:"assignment"`
	Definition string `json:"definition"`
	Reference  string `json:"reference,omitempty"`
	State      string `json:"state"`            // Compliant, NonCompliant, Exempt, Conflict, Error, Unknown…
	Action     string `json:"action,omitempty"` // what the policy does, as assigned: audit, deny…
	At         int64  `json:"at"`
}

// RoleHolder is somebody who holds a role at a scope.
type RoleHolder struct {
	Scope     string `json:"scope"`
	Role      string `json:"role"` // Owner…
	Principal string `json:"principal"`
	Kind      string `json:"kind"` // User, Group, ServicePrincipal
	Name      string `json:"name,omitempty"`
}

// Budget is a Consumption budget. Amounts are in units of Currency.
type Budget struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Scope    string            `json:"scope"`
	Amount   float64           `json:"amount"`
	Grain    string            `json:"grain"` // Monthly, Quarterly, Annually
	Start    int64             `json:"start"`
	End      int64             `json:"end,omitempty"`
	Spent    float64           `json:"spent"`
	Forecast *float64          `json:"forecast,omitempty"`
	Currency string            `json:"currency,omitempty"`
	Filters  []BudgetFilter    `json:"filters,omitempty"` // all must hold
	Notices  []BudgetThreshold `json:"notices,omitempty"`
}

// BudgetFilter limits a budget.
type BudgetFilter struct {
	Tag    bool     `json:"tag,omitempty"` // a tag, else a dimension
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// BudgetThreshold is a notification of a budget.
type BudgetThreshold struct {
	Percent    float64  `json:"percent"`
	Forecasted bool     `json:"forecasted,omitempty"`
	Enabled    bool     `json:"enabled"`
	Contacts   []string `json:"contacts,omitempty"`
}

// CostAlert is an alert of Cost Management.
type CostAlert struct {
	ID     string `json:"id"`
	Scope  string `json:"scope"`
	Type   string `json:"type"` // Budget, Credit, Quota, Anomaly…
	Status string `json:"status"`
	Text   string `json:"text,omitempty"`
	At     int64  `json:"at"`
}

// Size is a VM size.
type Size struct {
	Name   string  `json:"name"`
	VCPUs  int     `json:"vcpus"` // that a guest has: vCPUsAvailable, else vCPUs
	Memory float64 `json:"memoryGiB"`
	GPUs   int     `json:"gpus,omitempty"`
	Source string  `json:"source,omitempty"`
}

// Activity is one event of the Activity Log.
type Activity struct {
	ID           string            `json:"id"` // eventDataId
	At           int64             `json:"at"`
	Subscription string            `json:"subscription"`
	Resource     string            `json:"resource"`
	Operation    string            `json:"operation"` // Microsoft.ContainerService/managedClusters/agentPools/write
	Status       string            `json:"status"`    // Started, Accepted, Succeeded, Failed
	SubStatus    string            `json:"subStatus,omitempty"`
	Category     string            `json:"category,omitempty"`
	Caller       string            `json:"caller"`               // user principal name or object id
	ObjectID     string            `json:"objectID,omitempty"`   // claims: oid
	AppID        string            `json:"appID,omitempty"`      // claims: appid
	IdentityID   string            `json:"identityID,omitempty"` // claims: xms_mirid: ARM id of a managed identity
	Address      string            `json:"address,omitempty"`
	Correlation  string            `json:"correlation,omitempty"`
	Properties   map[string]string `json:"properties,omitempty"` // short ones only
}

// DefenderAlert is an alert of Defender for Cloud.
type DefenderAlert struct {
	ID         string            `json:"id"`
	Type       string            `json:"type"` // K8S_PrivilegedContainer…
	Title      string            `json:"title"`
	Text       string            `json:"text,omitempty"`
	Severity   string            `json:"severity"`
	Status     string            `json:"status"` // Active, InProgress, Resolved, Dismissed
	Resource   string            `json:"resource"`
	Start      int64             `json:"start"`
	End        int64             `json:"end,omitempty"`
	Generated  int64             `json:"generated,omitempty"`
	Intent     string            `json:"intent,omitempty"`
	Techniques []string          `json:"techniques,omitempty"`
	Namespace  string            `json:"namespace,omitempty"` // of its entities
	Pod        string            `json:"pod,omitempty"`
	Container  string            `json:"container,omitempty"`
	Image      string            `json:"image,omitempty"`
	Identity   string            `json:"identity,omitempty"`
	Process    string            `json:"process,omitempty"`
	Link       string            `json:"link,omitempty"`
	Properties map[string]string `json:"properties,omitempty"` // short ones only
}

// Assessment is a recommendation of Defender for Cloud at one resource.
type Assessment struct {
	ID       string `json:"id"`
	Key      string `json:"key"` // name of the assessment: a guid
	Title    string `json:"title"`
	Resource string `json:"resource"`
	Status   string `json:"status"` // Healthy, Unhealthy, NotApplicable
	Cause    string `json:"cause,omitempty"`
	Severity string `json:"severity,omitempty"`
	Policy   string `json:"policy,omitempty"` // policyDefinitionId
	First    int64  `json:"first,omitempty"`
	Changed  int64  `json:"changed,omitempty"`
}

// Suppression is an alert suppression rule of Defender for Cloud.
type Suppression struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Reason  string `json:"reason"`
	State   string `json:"state"` // Enabled, Disabled, Expired
	Expires int64  `json:"expires,omitempty"`
	Text    string `json:"text,omitempty"`
	// Scope narrows it; all must hold.
	Scope []SuppressionScope `json:"scope,omitempty"`
}

// Told turns a pointer into an assessment: nil is not assessed, for the reason given.
func Told(b *bool, why string) inventory.Assessed {
	if b == nil {
		return inventory.Assessed{NotAssessed: why}
	}
	return inventory.Assessed{Value: *b}
}
