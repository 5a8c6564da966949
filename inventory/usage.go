package inventory

// Usage is what one namespace of a cluster used in one hour, or, with Namespace "", what
// the cluster had in it. Agents add it up from samples (link.KindUsage); times are Unix
// nanoseconds, the hour begins at a full hour in UTC.
type Usage struct {
	Cluster   string  `json:"cluster"`
	Boot      int64   `json:"boot,omitempty"` // when the agent that tells it started: parts of an hour told by two starts are two rows, which add up
	Hour      int64   `json:"hour"`
	Namespace string  `json:"namespace,omitempty"`
	Owner     string  `json:"owner,omitempty"`
	Requested float64 `json:"requested"`         // core-hours that pods requested
	Used      float64 `json:"used,omitempty"`    // core-hours that pods used
	UsedWhy   string  `json:"usedWhy,omitempty"` // why Used means nothing
	Charged   float64 `json:"charged"`           // core-hours by max(requested, used), pod by pod and sample by sample
	Memory    float64 `json:"memory,omitempty"`  // GiB-hours requested
	Nodes     float64 `json:"nodes,omitempty"`   // of the cluster: average
	Cores     float64 `json:"cores,omitempty"`   // of the cluster: core-hours that its nodes had
	Egress    float64 `json:"egress,omitempty"`  // bytes sent
	Samples   int     `json:"samples"`           // of about 60
}
