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

	// Of kind denial, beside Sent: when the API server last denied it, who did and what was
	// said of the last one that was sent. Denied before Sent = the last one was let through.
	Denied int64  `json:"denied,omitempty"`
	By     string `json:"by,omitempty"`
	Answer string `json:"answer,omitempty"`
	Untold string `json:"untold,omitempty"` // why it cannot come back as a finding

	Failed int `json:"failed,omitempty"` // of kind image: tries in a row that came back, and not as they must
}

// UsageReport is what namespaces of a cluster used (link.KindUsage).
type UsageReport struct {
	Cluster string  `json:"cluster"`
	Time    int64   `json:"time"`
	List    []Usage `json:"list"`
}
