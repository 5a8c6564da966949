// Package posture owns controls and benchmarks: what a control demands, how it is judged
// from evidence (the tenant as Azure tells it, a cluster's inventory, its nodes), and what
// the verdicts of a benchmark add up to. It does no I/O and reads no clock.
//
// A pass is impossible without evidence: a Result that passes names what it saw, and what
// could not be seen is not assessed, never passed and never failed.
package posture

// Verdict is what came of judging a control at a resource.
type Verdict string

// The verdicts.
const (
	Pass        Verdict = "pass"
	Fail        Verdict = "fail"
	NotAssessed Verdict = "not-assessed"
	Exempt      Verdict = "exempt"         // would fail, and somebody with a name said it may until a date
	NotRelevant Verdict = "not-applicable" // the control says nothing of such a resource
)

// Result is one control judged at one resource.
type Result struct {
	Control  string     `json:"control"`           // id of Control
	Cluster  string     `json:"cluster,omitempty"` // ARM id, else the name Dockreeve knows it by
	Resource string     `json:"resource"`          // what was judged: an ARM id, or the cluster
	Verdict  Verdict    `json:"verdict"`
	Reason   string     `json:"reason"`             // one sentence
	Evidence []Evidence `json:"evidence,omitempty"` // never empty for pass and fail
	Failing  int        `json:"failing,omitempty"`  // objects that fail; Evidence names the first of them
	Checked  int        `json:"checked,omitempty"`  // objects that were looked at
	At       int64      `json:"at"`                 // of the evidence, Unix nanoseconds
	Exempted string     `json:"exempted,omitempty"` // by whom, why and until when
}

// Evidence is one thing that was seen.
type Evidence struct {
	Where string `json:"where"` // an ARM id, namespace/Kind/name, node/file
	Field string `json:"field"`
	Value string `json:"value"`
	From  string `json:"from"` // arm, kubernetes, node
}

// Control is one demand.
type Control struct {
	ID          string              `json:"id"` // aks-authorized-ranges: ours, stable
	Title       string              `json:"title"`
	Why         string              `json:"why"`
	Remediation []string            `json:"remediation"` // our own words, commands where there are
	Severity    string              `json:"severity"`    // critical, high, medium, low
	Effort      int                 `json:"effort"`      // 1 = a setting, 2 = a change of a workload, 3 = a project
	Needs       []string            `json:"needs"`       // arm, kubernetes, node
	Scope       string              `json:"scope"`       // what it is judged at: cluster, registry, subscription
	Manual      bool                `json:"manual,omitempty"`
	ManualWhy   string              `json:"manualWhy,omitempty"`   // why no machine judges it, and what a person looks at
	Maps        map[string][]string `json:"maps"`                  // framework → its ids: "cis-aks-1.8": ["5.4.1"]
	MapSource   map[string]string   `json:"mapSource,omitempty"`   // framework → who maps it so: benchmark (its own id), azure (Microsoft's initiatives), own (our judgement)
	Assessments []string            `json:"assessments,omitempty"` // Defender's keys and policy ids of the same demand
}

// Score is what results of one benchmark add up to. Ratio is passed/(passed+failed);
// controls that were not assessed are outside it and always told beside it.
type Score struct {
	Framework   string  `json:"framework"`
	Pass        int     `json:"pass"`
	Fail        int     `json:"fail"`
	NotAssessed int     `json:"notAssessed"`
	Exempt      int     `json:"exempt"`
	Manual      int     `json:"manual"`
	Ratio       float64 `json:"ratio"` // meaningless where Pass+Fail is 0
}
