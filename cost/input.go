package cost

import (
	"fmt"
	"sync"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// Input is all that Compute judges money from. Times are Unix nanoseconds.
type Input struct {
	Now      int64
	From     int64  // start of the window, UTC midnight; 0 = start of the month of Now
	Currency string // of the totals; "" = the one most is billed in
	Tenant   *cloud.Tenant
	Bill     *Bill             // what was billed, in little memory
	Charges  []Charge          // beside Bill, for bills of a few rows
	Bad      int               // rows of the bill's files that were not understood: they are no charges
	Prices   []Price           // in order of trust: negotiated before list before shipped
	Sizes    []cloud.Size      // beside Tenant.Sizes
	Meters   []Meter           // by what charges are recognised; none = the shipped ones
	Usage    []inventory.Usage // what namespaces and clusters used, by hour
	Owners   map[string]string // ARM id of a cluster → owner; "cluster id|namespace" → owner
	Scans    map[string]int    // images scanned this month, by cluster id
	Miners   []Miner
	Agents   []AgentCost     // what agents reserve; before the shipped ones
	Here     map[string]bool // clusters where Dockreeve's agents run, by id
	HereWhy  string          // why Here is not known at all: what Dockreeve costs is then not assessed; "" = it is known

	Budgets    []cloud.Budget     // of a user's own, beside Tenant.Budgets
	AuditLoses []string           // rules that need what kube-audit-admin leaves out (get and list), by id; nil = not told
	AuditKeeps map[string]float64 // share of the bytes of kube-audit that kube-audit-admin keeps, 0…1, as measured, by cluster id

	belongs   *belonging // made by Compute: see clusterOf
	protected *protector // made by protect, for reconcile
	bill      *ledger    // made by Compute: see billOf
}

// Miner is an alert that says that something mines.
type Miner struct {
	Alert     string
	Cluster   string // id
	Namespace string
	Workload  string
	First     int64
	Last      int64
}

// AgentCost is what the agents of one provider reserve: per node and per cluster.
type AgentCost struct {
	Provider      string  `json:"provider"`
	NodeCPU       float64 `json:"nodeCPU"`    // cores per node
	NodeMemory    float64 `json:"nodeMemory"` // GiB per node
	ClusterCPU    float64 `json:"clusterCPU"`
	ClusterMemory float64 `json:"clusterMemory"`
	AsOf          string  `json:"asOf"`
	Source        string  `json:"source"`
	Verified      bool    `json:"verified"`
}

// whole is the bill with the charges beside it.
func (in *Input) whole() *Bill {
	if len(in.Charges) == 0 {
		if in.Bill == nil {
			return &Bill{}
		}
		return in.Bill
	}
	all := &Bill{}
	for c := range in.Bill.All() {
		all.Add(&c)
	}
	for i := range in.Charges {
		all.Add(&in.Charges[i])
	}
	return all
}

// Compute says what the tenant's money means. It never fails on a bad row: what it could
// not use is counted in Report.Bad and told in Report.Gaps.
func Compute(in *Input) *Report {
	given := *in
	given.belongs = belongingOf(in)
	given.Prices = keyed(in.Prices)
	given.Bill, given.Charges = in.whole(), nil
	in = &given
	given.bill = newLedger(in)
	r := &Report{Bad: in.Bad}
	if in.Bad > 0 {
		r.Gaps = append(r.Gaps, Gap{What: fmt.Sprintf("%d rows of the bill's files", in.Bad), Reason: "they were not understood: their amounts are in no total",
			Remedy: "read the bill again and look at the rows that are told"})
	}
	// What rests on the bill alone is computed beside what rests on the clusters' costs.
	// None changes the input but protect, which leaves there what only reconcile asks for.
	beside := &Report{}
	var group sync.WaitGroup
	group.Go(func() {
		ingestion(in, beside)
		increases(in, beside)
		anomalies(in, beside)
	})
	protect(in, r)
	allocate(in, r)
	budgets(in, r)
	reconcile(in, r)
	group.Wait()
	r.Ingestion, r.Increases, r.Anomalies = beside.Ingestion, beside.Increases, beside.Anomalies
	r.Gaps = append(r.Gaps, beside.Gaps...)
	return r
}
