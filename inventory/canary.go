package inventory

// CanaryReport is how the canaries of a cluster fared last (link.KindCanary): harmless
// things that must come back as findings. Times are Unix nanoseconds.
type CanaryReport struct {
	Cluster string   `json:"cluster"`
	Time    int64    `json:"time"`
	List    []Canary `json:"list"`
}

// Canary is one of them; its kinds are those of govern.Canary.
type Canary struct {
	Kind        string `json:"kind"`           // exec, audit, image, denial
	Node        string `json:"node,omitempty"` // "" = the cluster as a whole
	Sent        int64  `json:"sent,omitempty"` // last
	Seen        int64  `json:"seen,omitempty"` // last that came back as a finding
	Every       int64  `json:"every,omitempty"`
	NotAssessed string `json:"notAssessed,omitempty"`
}

// UsageReport is what namespaces of a cluster used (link.KindUsage).
type UsageReport struct {
	Cluster string  `json:"cluster"`
	Time    int64   `json:"time"`
	List    []Usage `json:"list"`
}
