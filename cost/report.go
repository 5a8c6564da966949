package cost

// Report is what money says of a tenant over a window. Maps are by ARM id in lower case.
type Report struct {
	From       int64                  `json:"from"`
	To         int64                  `json:"to"`
	Currency   string                 `json:"currency"` // of the totals; charges in others are in Others
	Billed     Money                  `json:"billed"`
	Clusters   map[string]ClusterCost `json:"clusters"`
	Teams      []Allocation           `json:"teams"`               // by owner
	Namespaces []Allocation           `json:"namespaces"`          // by cluster and namespace
	Days       []DayCost              `json:"days"`                // of everything, oldest first
	Allocated  []AllocationSeries     `json:"allocated,omitempty"` // day by day: the largest teams, the rest, then what is no team's
	Protection []ProtectionSum        `json:"protection"`          // defender, dockreeve, both
	Reconciled []Reconciliation       `json:"reconciled"`
	Budgets    []BudgetState          `json:"budgets"`
	Anomalies  []Anomaly              `json:"anomalies"`
	Increases  []Increase             `json:"increases"`
	Ingestion  []Ingestion            `json:"ingestion"`
	Idle       Money                  `json:"idle"`
	Shared     Money                  `json:"shared"`           // belongs to clusters, to no namespace
	Unassigned Money                  `json:"unassigned"`       // belongs to no cluster
	Others     []Money                `json:"others,omitempty"` // totals in other currencies, kept apart
	Gaps       []Gap                  `json:"gaps,omitempty"`
	Rows       int                    `json:"rows"`             // charges read
	Bad        int                    `json:"bad"`              // rows that were not understood: counted, their amounts unknown
	Prices     []Price                `json:"prices,omitempty"` // that were used
}

// Gap is something that money does not say.
type Gap struct {
	What   string `json:"what"`
	Reason string `json:"reason"`
	Remedy string `json:"remedy,omitempty"`
}

// ClusterCost is one cluster's money.
type ClusterCost struct {
	MonthToDate  Money        `json:"monthToDate"`
	Forecast     Money        `json:"forecast"`    // of the whole month
	ForecastLow  Money        `json:"forecastLow"` // eight of ten such months end between these
	ForecastHigh Money        `json:"forecastHigh"`
	Budget       Money        `json:"budget"`             // that applies to it alone; else not assessed
	Protection   []Protection `json:"protection"`         // month to date, by provider
	PerVCore     Money        `json:"perVCore"`           // protection by vCore and month
	Share        float64      `json:"share"`              // protection ÷ cluster, 0…1
	ShareWhy     string       `json:"shareWhy,omitempty"` // why Share means nothing
	VCores       float64      `json:"vcores"`
	Idle         Money        `json:"idle"`
	Days         []DayCost    `json:"days"`
	Pools        []PoolCost   `json:"pools"`
	Gaps         []Gap        `json:"gaps,omitempty"`
}

// PoolCost is one node pool in the window.
type PoolCost struct {
	Pool      string  `json:"pool"`
	Size      string  `json:"size"`
	VCPUs     int     `json:"vcpus"` // of a node; 0 = size not known
	Nodes     float64 `json:"nodes"` // average
	Hours     float64 `json:"hours"` // node-hours that ran
	VCoreDays float64 `json:"vcoreDays"`
	Spot      bool    `json:"spot,omitempty"`
	Stopped   bool    `json:"stopped,omitempty"`
	Compute   Money   `json:"compute"`
}

// DayCost is one day (UTC).
type DayCost struct {
	Day        string  `json:"day"` // YYYY-MM-DD
	Billed     Amount  `json:"billed"`
	NotBilled  bool    `json:"notBilled,omitempty"` // the bill has no row of that day (yet): Billed means nothing
	Protection Amount  `json:"protection"`
	Idle       Amount  `json:"idle,omitempty"`
	Nodes      float64 `json:"nodes,omitempty"`
	VCores     float64 `json:"vcores,omitempty"`
}

// AllocationSeries is what one team, or what belongs to none, was charged with day by day.
// All series of a report add up to what was billed, each day. Those that are always 0 are
// left out.
type AllocationSeries struct {
	Kind string   `json:"kind"`          // team, rest (of the teams), idle, shared, unassigned
	Key  string   `json:"key,omitempty"` // of a team: Allocation.Key in Report.Teams
	Days []Amount `json:"days"`          // one for each of Report.Days
}

// Allocation is what one owner, team or namespace is charged with.
type Allocation struct {
	Key        string  `json:"key"`
	Cluster    string  `json:"cluster,omitempty"`
	Namespace  string  `json:"namespace,omitempty"`
	Owner      string  `json:"owner,omitempty"`
	CoreHours  float64 `json:"coreHours"` // max(request, usage)
	Requested  float64 `json:"requested"`
	Used       float64 `json:"used"`
	UsedWhy    string  `json:"usedWhy,omitempty"` // why Used means nothing
	Cost       Money   `json:"cost"`
	IdleShare  Money   `json:"idleShare"` // beside Cost, not in it
	Protection Money   `json:"protection"`
}

// ProtectionSum compares what protection costs by each provider.
type ProtectionSum struct {
	Protection
	Clusters    int    `json:"clusters"`
	NotAssessed int    `json:"notAssessed"`          // clusters it could not be computed for
	Hypothetic  bool   `json:"hypothetic,omitempty"` // what it would cost, were it on
	Note        string `json:"note,omitempty"`
}

// Reconciliation compares what was computed with what was billed.
type Reconciliation struct {
	What       string   `json:"what"` // defender-plan, defender-scans, ingestion, compute
	Scope      string   `json:"scope"`
	Computed   Money    `json:"computed"`
	Billed     Money    `json:"billed"`
	Difference float64  `json:"difference"`    // (computed-billed)÷billed
	Finding    bool     `json:"finding"`       // above 2 %
	Why        []string `json:"why,omitempty"` // known causes: trial, negotiated price, commitment, reservation
}

// BudgetState is a budget against what is spent.
type BudgetState struct {
	ID            string      `json:"id"`
	Name          string      `json:"name"`
	Scope         string      `json:"scope"`
	Security      bool        `json:"security,omitempty"` // filtered to security and ingestion meters
	Amount        Money       `json:"amount"`
	Spent         Money       `json:"spent"`
	Forecast      Money       `json:"forecast"`    // at the end of its period, by our model
	ForecastLow   Money       `json:"forecastLow"` // eight of ten such periods end between these
	ForecastHigh  Money       `json:"forecastHigh"`
	AzureSpent    Money       `json:"azureSpent"` // as the budget itself says
	AzureForecast Money       `json:"azureForecast"`
	From          int64       `json:"from"` // of the current period
	To            int64       `json:"to"`
	Cluster       string      `json:"cluster,omitempty"` // that it applies to alone
	Notes         []string    `json:"notes,omitempty"`   // what was taken for granted
	Burn          float64     `json:"burn"`              // spent ÷ amount
	Expected      float64     `json:"expected"`          // share of the period that is over
	Thresholds    []Threshold `json:"thresholds"`
	Breach        string      `json:"breach,omitempty"` // date on which it breaks, at this rate
}

// Threshold is a threshold of a budget.
type Threshold struct {
	Percent    float64 `json:"percent"`
	Forecasted bool    `json:"forecasted,omitempty"`
	Crossed    bool    `json:"crossed"`
}

// Anomaly is something unusual in a series.
type Anomaly struct {
	ID       string   `json:"id"`     // stable
	Series   string   `json:"series"` // spend, core-hours, nodes, egress
	Cluster  string   `json:"cluster,omitempty"`
	Key      string   `json:"key"` // what it is of: ARM id, namespace
	From     int64    `json:"from"`
	To       int64    `json:"to"`
	Expected float64  `json:"expected"`
	Got      float64  `json:"got"`
	Unit     string   `json:"unit"`
	Score    float64  `json:"score"`   // robust z
	PerHour  Money    `json:"perHour"` // money at risk
	Causes   []string `json:"causes,omitempty"`
	Mining   bool     `json:"mining,omitempty"`   // joined with a miner finding
	Evidence []string `json:"evidence,omitempty"` // alert ids, activity ids
}

// Increase explains what became dearer.
type Increase struct {
	Cluster string  `json:"cluster"`
	Table   string  `json:"table,omitempty"` // log table or category, meter
	GB      float64 `json:"gb,omitempty"`
	Before  Money   `json:"before"`
	After   Money   `json:"after"`
	More    Money   `json:"more"`
	Text    string  `json:"text"`
}

// Ingestion is what exporting logs of a cluster costs.
type Ingestion struct {
	Cluster     string   `json:"cluster"`
	Category    string   `json:"category"` // kube-audit, kube-audit-admin…
	Table       string   `json:"table,omitempty"`
	GBPerDay    float64  `json:"gbPerDay"`
	Money       Money    `json:"money"`           // a month
	Cheaper     Money    `json:"cheaper"`         // the same with kube-audit-admin
	Loses       []string `json:"loses,omitempty"` // detections that the cheaper one cannot make
	NotAssessed string   `json:"notAssessed,omitempty"`
}
