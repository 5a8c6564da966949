// Package govern owns the questions of a governance lead: is protection on everywhere
// (coverage), whose is it (ownership), what does it cost against its budget, is it working
// (KPIs, the playbook and its pitfalls), and what should be done next (recommendations).
//
// Evaluate is one pure function from what is known (Input) to what follows (Evaluation),
// the same in CI over a snapshot and at the hub over a live tenant. It does no I/O and
// reads no clock. Every number has its denominator, and what could not be assessed stays
// in the denominator and says why.
package govern

import (
	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/posture"
)

// Input is all that is known at one moment. Times are Unix nanoseconds.
type Input struct {
	Now      int64
	Config   Config
	Tenant   *cloud.Tenant    // nil = no cloud was read: all that needs it is not assessed
	Observed []Observed       // clusters that Dockreeve itself sees
	Images   *ImageFacts      // nil = no images were watched
	Alerts   *AlertFacts      // nil = no alerts were kept
	Gates    *GateFacts       // nil = no gate was told of
	Costs    *cost.Report     // nil = no bill and no prices were read
	Posture  []posture.Result // of every control at every cluster, subscription and registry
	Controls []posture.Control
	Reviews  []Review
	History  []Day // of earlier evaluations, oldest first, at most MaxDays
}

// MaxDays bounds Input.History.
const MaxDays = 400

// Observed is a cluster as Dockreeve's own agents tell it.
type Observed struct {
	Cluster      string           `json:"cluster"`          // its name here
	ID           string           `json:"id,omitempty"`     // ARM id in lower case, where known
	IDFrom       string           `json:"idFrom,omitempty"` // how that is known
	UID          string           `json:"uid,omitempty"`
	Platform     string           `json:"platform,omitempty"`
	Agent        string           `json:"agent,omitempty"` // version; "" = inspected once
	LastWord     int64            `json:"lastWord"`
	Nodes        int              `json:"nodes"`
	NodesWatched int              `json:"nodesWatched"` // by our sensor now
	AuditLast    int64            `json:"auditLast,omitempty"`
	AuditAs      string           `json:"auditAs,omitempty"`
	Sensor       Sighting         `json:"sensor"` // of Defender, seen in the cluster
	PolicyAddon  Sighting         `json:"policyAddon"`
	Canaries     []Canary         `json:"canaries,omitempty"`
	Namespaces   []NamespaceOwner `json:"namespaces,omitempty"`
	Workloads    int              `json:"workloads"`
	Unowned      int              `json:"unowned"`           // workloads
	Running      map[string]int   `json:"running,omitempty"` // open vulnerabilities of running images by severity; nil = not assessed
	Exploited    int              `json:"exploited,omitempty"`
	RunningWhy   string           `json:"runningWhy,omitempty"` // why Running means nothing
	AlertsOpen   map[string]int   `json:"alertsOpen,omitempty"` // by severity; nil = not watched
	HighAlerts7d int              `json:"highAlerts7d,omitempty"`
	NodeDays7d   float64          `json:"nodeDays7d,omitempty"`
}

// Sighting is something looked for in a cluster: its DaemonSet, its custom resources.
type Sighting struct {
	Seen        bool     `json:"seen"`
	At          int64    `json:"at,omitempty"`
	Where       []string `json:"where,omitempty"`  // kube-system/DaemonSet/microsoft-defender-collector-ds
	Custom      []string `json:"custom,omitempty"` // its custom resources, which alone are no sensor: runtimepolicies.defender.microsoft.com
	Ready       int      `json:"ready,omitempty"`
	Wanted      int      `json:"wanted,omitempty"`
	NotAssessed string   `json:"notAssessed,omitempty"`
}

// NamespaceOwner is what a namespace says of its owner.
type NamespaceOwner struct {
	Namespace string `json:"namespace"`
	Owner     string `json:"owner"`
	From      string `json:"from,omitempty"`
	Workloads int    `json:"workloads"`
}

// The kinds of canary: a harmless thing that must come back as a finding.
const (
	CanaryExec   = "exec"   // runtime threats, inside pods
	CanaryAudit  = "audit"  // the API server
	CanaryImage  = "image"  // images
	CanaryDenial = "denial" // enforcement: a dry run that must be denied
)

// Canary is how one canary of one cluster fared last.
type Canary struct {
	Kind        string `json:"kind"`
	Node        string `json:"node,omitempty"`
	Sent        int64  `json:"sent,omitempty"`  // last
	Seen        int64  `json:"seen,omitempty"`  // last that came back as a finding
	Every       int64  `json:"every,omitempty"` // how often it is sent, nanoseconds
	NotAssessed string `json:"notAssessed,omitempty"`

	// Of kind denial: when the API server last denied it, by whom and in which words. Denied
	// before Sent = the last one was let through.
	Denied int64  `json:"denied,omitempty"`
	By     string `json:"by,omitempty"`
	Answer string `json:"answer,omitempty"`
	Untold string `json:"untold,omitempty"` // why it cannot come back as a finding

	Failed int `json:"failed,omitempty"` // of kind image: tries in a row that came back, and not as they must
}

// ImageFacts are the clocks of vulnerabilities that run, and how fresh scans are.
type ImageFacts struct {
	Running     int         `json:"running"` // digests
	Scanned     int         `json:"scanned"`
	Stale       int         `json:"stale"`       // last matched longer ago than Config.StaleScan
	Advisories  int64       `json:"advisories"`  // age of the database: its time
	Remediation []Remedy    `json:"remediation"` // fixed in the window, and still open
	Overage     *cost.Money `json:"overage,omitempty"`
}

// Remedy is one vulnerability on its way out of one workload.
type Remedy struct {
	Vulnerability string `json:"vulnerability"`
	Severity      string `json:"severity"`
	Cluster       string `json:"cluster,omitempty"`
	Workload      string `json:"workload"`
	Owner         string `json:"owner"`
	From          int64  `json:"from"`         // first seen in a running image
	To            int64  `json:"to,omitempty"` // last pod replaced; 0 = still running
}

// AlertFacts are the alerts of the last 60 days, reduced to what KPIs need.
type AlertFacts struct {
	Alerts     []AlertFact        `json:"alerts"`
	Since      int64              `json:"since"` // alerts are kept since
	Suppressed []Suppressed       `json:"suppressed,omitempty"`
	NodeDays   map[string]float64 `json:"nodeDays,omitempty"` // watched node-days by week, 2026-W48
	Dropped    uint64             `json:"dropped,omitempty"`  // beyond the bound of what was read
}

// AlertFact is one alert.
type AlertFact struct {
	ID       string           `json:"id"`
	Rule     string           `json:"rule"`
	Title    string           `json:"title"`
	Severity finding.Severity `json:"severity"`
	Status   finding.Status   `json:"status"`
	Cluster  string           `json:"cluster,omitempty"`
	Workload string           `json:"workload"`
	Owner    string           `json:"owner,omitempty"`
	Source   string           `json:"source"` // dockreeve, defender
	First    int64            `json:"first"`
	Last     int64            `json:"last"`
	Acked    int64            `json:"acked,omitempty"`
	Closed   int64            `json:"closed,omitempty"`
	Count    int64            `json:"count"`
	Image    string           `json:"image,omitempty"`
	Digest   string           `json:"digest,omitempty"`
	Tactics  []string         `json:"tactics,omitempty"` // ATT&CK names of its rule
	Miner    bool             `json:"miner,omitempty"`   // it says that something mines
}

// Suppressed says what a rule or suppression keeps quiet.
type Suppressed struct {
	Rule     string `json:"rule"`
	By       string `json:"by,omitempty"`
	Why      string `json:"why,omitempty"`
	Since    int64  `json:"since,omitempty"`
	Expires  int64  `json:"expires,omitempty"`
	Count30d int64  `json:"count30d"` // what it kept quiet
	Source   string `json:"source"`

	end bool // past its end, and still enabled
}

// GateFacts say which running digests passed a gate in a pipeline.
type GateFacts struct {
	Running int      `json:"running"`
	Gated   int      `json:"gated"`  // passed or warned
	Failed  int      `json:"failed"` // run although the gate said no
	Last    int64    `json:"last"`
	Without []string `json:"without,omitempty"` // images that ran without, at most 50
}

// Review is a record that somebody looked: who, when, what, and when next.
type Review struct {
	ID      string `json:"id"`
	Subject string `json:"subject"`         // recommendations, exemptions, suppressions, access, rules
	Scope   string `json:"scope,omitempty"` // ARM id, cluster or owner; "" = everything
	By      string `json:"by"`
	At      int64  `json:"at"`
	NextDue int64  `json:"nextDue"`
	Note    string `json:"note,omitempty"`
	Items   int    `json:"items,omitempty"` // how many things were open when it was made
}

// Ratio is a share with its denominator. Unknown are part of Of and not of N: what could
// not be read is not covered.
type Ratio struct {
	N           int     `json:"n"`
	Of          int     `json:"of"`
	Unknown     int     `json:"unknown,omitempty"`
	Goal        float64 `json:"goal,omitempty"` // 1 = all
	NotAssessed string  `json:"notAssessed,omitempty"`
	Missing     []Ref   `json:"missing,omitempty"` // by name, at most MaxMissing
	More        int     `json:"more,omitempty"`
}

// MaxMissing bounds Ratio.Missing.
const MaxMissing = 500

// Ref names a thing and says why it is here.
type Ref struct {
	Kind string `json:"kind"` // subscription, cluster, registry, alert, control, budget…
	ID   string `json:"id"`
	Name string `json:"name"`
	Why  string `json:"why,omitempty"`
	Do   string `json:"do,omitempty"` // what to do: a command
}

// The states of a protection row.
const (
	RowClosed      = "closed" // protected
	RowOpen        = "open"
	RowNotAssessed = "not-assessed"
)

// Row is one of the four protections of a cluster, in the words of the problem.
type Row struct {
	State string   `json:"state"`
	By    []string `json:"by,omitempty"` // defender, dockreeve
	Why   string   `json:"why"`          // one sentence
	Proof string   `json:"proof,omitempty"`
	At    int64    `json:"at,omitempty"` // of the last proof
	Do    string   `json:"do,omitempty"` // the command that closes it
}

// ClusterRow is a cluster with everything a governance lead asks of it.
type ClusterRow struct {
	ID               string    `json:"id"` // ARM id, else the name here
	Name             string    `json:"name"`
	Kind             string    `json:"kind"` // aks, arc, other
	Subscription     string    `json:"subscription,omitempty"`
	SubscriptionName string    `json:"subscriptionName,omitempty"`
	ResourceGroup    string    `json:"resourceGroup,omitempty"`
	Location         string    `json:"location,omitempty"`
	Here             string    `json:"here,omitempty"`     // its name in Dockreeve; "" = not onboarded
	HereFrom         string    `json:"hereFrom,omitempty"` // how it is known that Here is this cluster of Azure
	Version          string    `json:"version,omitempty"`
	Stopped          bool      `json:"stopped,omitempty"`
	Unread           string    `json:"unread,omitempty"` // why Azure could not be asked for it; it is known from an earlier day
	Environment      string    `json:"environment"`      // production, staging…; unknown counts as production
	EnvironmentFrom  string    `json:"environmentFrom"`
	Production       bool      `json:"production"`
	Ownership        Ownership `json:"ownership"`

	Plan           inventory.Assessed `json:"plan"` // Defender for Containers, at the cluster
	PlanFrom       string             `json:"planFrom,omitempty"`
	Extensions     []cloud.Extension  `json:"extensions,omitempty"`
	Profile        inventory.Assessed `json:"profile"` // Defender profile, as ARM says
	Sensor         Sighting           `json:"sensor"`  // as seen in the cluster
	PolicyAddon    inventory.Assessed `json:"policyAddon"`
	AuditExport    AuditExport        `json:"auditExport"`
	RegistryScan   inventory.Assessed `json:"registryScan"`
	Agents         inventory.Assessed `json:"agents"` // Dockreeve's own, all of them
	Inside         Row                `json:"inside"` // eyes inside pods
	Images         Row                `json:"images"`
	Runtime        Row                `json:"runtime"` // runtime threats and the API server
	Enforcement    Row                `json:"enforcement"`
	Canaries       []Canary           `json:"canaries,omitempty"`
	CanaryAge      int64              `json:"canaryAge,omitempty"` // of the oldest of those that came back, nanoseconds
	Protected      inventory.Assessed `json:"protected"`           // by the provider that Config accepts
	FirstSeen      int64              `json:"firstSeen,omitempty"`
	UncoveredSince int64              `json:"uncoveredSince,omitempty"`
	Onboard        string             `json:"onboard,omitempty"` // the command that onboards it

	Scores        []posture.Score `json:"scores,omitempty"`
	Score         *float64        `json:"score,omitempty"` // of Config.Benchmark
	ScoreChange7d *float64        `json:"scoreChange7d,omitempty"`
	Critical      *int            `json:"critical,omitempty"` // running vulnerabilities; nil = not assessed
	Exploited     int             `json:"exploited,omitempty"`
	AlertsOpen    *int            `json:"alertsOpen,omitempty"` // high and critical; nil = not watched
	MonthToDate   cost.Money      `json:"monthToDate"`
	Budget        cost.Money      `json:"budget"`
	Forecast      cost.Money      `json:"forecast"`
	Security      cost.Money      `json:"security"` // protection, month to date
	Anomaly       string          `json:"anomaly,omitempty"`
	Risk          float64         `json:"risk"`      // 0…100
	RiskMoney     float64         `json:"riskMoney"` // the order of the screen: risk × money
	RiskWhy       []string        `json:"riskWhy,omitempty"`
	Gaps          []inventory.Gap `json:"gaps,omitempty"`
}

// AuditExport says whether and how a cluster's audit log leaves it.
type AuditExport struct {
	inventory.Assessed
	Kinds []string `json:"kinds,omitempty"` // kube-audit, kube-audit-admin, guard
	To    []string `json:"to,omitempty"`    // workspace, storage, event-hub, dockreeve
	Loses []string `json:"loses,omitempty"` // detections that kube-audit-admin alone cannot make
}

// Ownership says whose a thing is, and how that is known.
type Ownership struct {
	Owner        string            `json:"owner"` // never empty: inventory.Unowned
	From         string            `json:"from"`  // tag owner of the cluster, … ; role Owner of the subscription
	BusinessUnit string            `json:"businessUnit,omitempty"`
	CostCentre   string            `json:"costCentre,omitempty"`
	Missing      []string          `json:"missing,omitempty"` // mandatory tags
	Invalid      map[string]string `json:"invalid,omitempty"` // tag → its value, which is not allowed
	Suggested    []Suggestion      `json:"suggested,omitempty"`
}

// Suggestion is a guess at an owner, with its grounds.
type Suggestion struct {
	Owner string `json:"owner"`
	Why   string `json:"why"`
}

// SubscriptionRow is a subscription with its plan.
type SubscriptionRow struct {
	ID         string             `json:"id"`
	Name       string             `json:"name"`
	Path       []string           `json:"path,omitempty"` // management groups, outermost first
	Relevant   inventory.Assessed `json:"relevant"`       // holds a cluster or a registry
	Plan       inventory.Assessed `json:"plan"`
	Extensions []cloud.Extension  `json:"extensions,omitempty"`
	Missing    []string           `json:"missing,omitempty"` // extensions that are off
	Clusters   int                `json:"clusters"`
	Registries int                `json:"registries"`
	Owner      Ownership          `json:"owner"`
	Gaps       []inventory.Gap    `json:"gaps,omitempty"`
}

// Coverage is how much of what is relevant is protected.
type Coverage struct {
	Subscriptions Ratio            `json:"subscriptions"` // relevant ones with the plan on
	Clusters      Ratio            `json:"clusters"`      // protected by the accepted provider
	Production    Ratio            `json:"production"`    // the same of production
	Profile       Ratio            `json:"profile"`       // % with Defender profile enabled
	Any           Ratio            `json:"any"`           // % protected by any
	Owned         Ratio            `json:"owned"`
	Rows          map[string]Ratio `json:"rows"` // inside, images, runtime, enforcement
	ByEnvironment map[string]Ratio `json:"byEnvironment"`
	ByProvider    map[string]Ratio `json:"byProvider"`
	NotOnboarded  []Ref            `json:"notOnboarded,omitempty"`
	Drift         []Change         `json:"drift,omitempty"` // since yesterday
	// DriftNotAssessed is why drift of what Azure tells is not known; "" = it is.
	DriftNotAssessed string `json:"driftNotAssessed,omitempty"`
}

// Change is something that is not as it was.
type Change struct {
	Ref
	What   string `json:"what"` // profile, plan, agents, owner, appeared, gone…
	Before string `json:"before"`
	After  string `json:"after"`
	Worse  bool   `json:"worse"`
	Since  int64  `json:"since,omitempty"`
}

// KPI is one number with its trend.
type KPI struct {
	ID          string   `json:"id"`
	Title       string   `json:"title"`
	Unit        string   `json:"unit"`            // days, percent, alerts per node-day
	Value       *float64 `json:"value,omitempty"` // nil = not assessed
	N           float64  `json:"n"`
	Of          float64  `json:"of"`
	Better      string   `json:"better"` // up, down
	Rule        string   `json:"rule"`   // how it is computed, in words
	NotAssessed string   `json:"notAssessed,omitempty"`
	Trend       []Point  `json:"trend,omitempty"`
	By          []Slice  `json:"by,omitempty"` // owner, benchmark, week
	Note        string   `json:"note,omitempty"`
}

// Point is a value at a time.
type Point struct {
	At    int64   `json:"at"`
	Value float64 `json:"value"`
	Of    float64 `json:"of,omitempty"`
}

// Slice is a part of a number.
type Slice struct {
	Name   string             `json:"name"`
	Values map[string]float64 `json:"values"` // p50, p90, open, n…
}

// Check is one item of the playbook, or one pitfall. None can be ticked by hand.
type Check struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	State string `json:"state"` // done, open, not-assessed
	Ratio Ratio  `json:"ratio"`
	Rule  string `json:"rule"`            // the data rule, written out
	Found []Ref  `json:"found,omitempty"` // instances of a pitfall
	Note  string `json:"note,omitempty"`
}

// Recommendation is one thing to do, at all the resources that need it.
type Recommendation struct {
	ID        string              `json:"id"` // of the control, or defender:key
	Title     string              `json:"title"`
	Why       string              `json:"why"`
	Do        []string            `json:"do"`
	Sources   []string            `json:"sources"` // dockreeve, defender
	Severity  string              `json:"severity"`
	Owner     string              `json:"owner"`
	Resources []Ref               `json:"resources"` // at most MaxMissing
	Count     int                 `json:"count"`
	Workloads int                 `json:"workloads"` // that it touches
	Effort    int                 `json:"effort"`
	Rank      float64             `json:"rank"` // risk × workloads ÷ effort
	FirstSeen int64               `json:"firstSeen,omitempty"`
	Due       int64               `json:"due,omitempty"`
	Overdue   bool                `json:"overdue,omitempty"`
	Fixed     int64               `json:"fixed,omitempty"`    // verified by evaluation
	Disagree  string              `json:"disagree,omitempty"` // where Defender and Dockreeve do not say the same
	Maps      map[string][]string `json:"maps,omitempty"`
}

// Finding is a judgement of governance; server/ingest makes alerts of those that matter.
type Finding struct {
	Key      string             `json:"key"` // rule and subject: stable
	Rule     string             `json:"rule"`
	Severity finding.Severity   `json:"severity"`
	Subject  Ref                `json:"subject"`
	Owner    string             `json:"owner"`
	Summary  string             `json:"summary"`
	Do       []string           `json:"do,omitempty"`
	At       int64              `json:"at"`
	Money    *cost.Money        `json:"money,omitempty"`
	Facts    []posture.Evidence `json:"facts,omitempty"`
}

// Day is what is kept of an evaluation for trends and drift.
type Day struct {
	At              int64              `json:"at"`
	Values          map[string]float64 `json:"values"`                    // kpi.…, coverage.…n, coverage.…of, score.<framework>
	Clusters        map[string]DayRow  `json:"clusters,omitempty"`        // by id
	Subscriptions   map[string]DayHeld `json:"subscriptions,omitempty"`   // those that hold a cluster or a registry, by id
	Findings        map[string]int64   `json:"findings,omitempty"`        // key → first seen
	Recommendations map[string]int64   `json:"recommendations,omitempty"` // id@owner → first seen
}

// DayRow is what is kept of a cluster.
type DayRow struct {
	Protected string   `json:"protected"` // yes, no, unknown
	Profile   string   `json:"profile"`
	Plan      string   `json:"plan"`
	Agents    string   `json:"agents"`
	Owner     string   `json:"owner"`
	Score     *float64 `json:"score,omitempty"`
	Since     int64    `json:"since,omitempty"` // uncovered since
	First     int64    `json:"first,omitempty"`
	// Environment and Unread keep a cluster that cannot be read for a while in its
	// denominators: Unread is since when it cannot, 0 = it can.
	Environment string `json:"environment,omitempty"`
	Unread      int64  `json:"unread,omitempty"`
}

// DayHeld is what is kept of a subscription, so that one that Azure no longer lists stays
// in the denominators for a while. Unread is since when it is not listed; 0 = it is.
type DayHeld struct {
	Name       string `json:"name"`
	Registries int    `json:"registries,omitempty"`
	Owner      string `json:"owner,omitempty"`
	Unread     int64  `json:"unread,omitempty"`
}

// Evaluation is what follows.
type Evaluation struct {
	At              int64                      `json:"at"`
	TenantID        string                     `json:"tenantID,omitempty"`
	TenantAt        int64                      `json:"tenantAt,omitempty"` // when Azure was read
	Clusters        []ClusterRow               `json:"clusters"`           // by RiskMoney
	Subscriptions   []SubscriptionRow          `json:"subscriptions"`
	Coverage        Coverage                   `json:"coverage"`
	Scores          map[string][]posture.Score `json:"scores"` // "" = everything, owner:…, cluster:…
	KPIs            []KPI                      `json:"kpis"`
	Playbook        []Check                    `json:"playbook"`
	Pitfalls        []Check                    `json:"pitfalls"`
	Recommendations []Recommendation           `json:"recommendations"`
	Findings        []Finding                  `json:"findings"`
	Gaps            []inventory.Gap            `json:"gaps"` // of the whole
	Day             Day                        `json:"day"`  // to keep
}
