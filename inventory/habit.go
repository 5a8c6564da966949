package inventory

// Habit is one thing that an identity has done through the API, added up by the cluster
// agent, which keeps the sums over its own restarts: a receiver replaces, never adds.
type Habit struct {
	Identity  string   `json:"identity"`            // serviceaccount:namespace/name, user:name, node:name, anonymous
	Verb      string   `json:"verb"`                // as audited: get, list, watch, create…; the HTTP method for what is no resource
	Resource  string   `json:"resource"`            // resource.group/subresource; the path's first two steps for what is no resource
	Namespace string   `json:"namespace,omitempty"` // "" = none, or all
	Count     int64    `json:"count"`
	Denied    int64    `json:"denied,omitempty"`
	First     int64    `json:"first"` // Unix nanoseconds
	Last      int64    `json:"last"`
	Sources   []string `json:"sources,omitempty"` // addresses, at most 8, the newest first
	Agents    []string `json:"agents,omitempty"`  // user agents, at most 8, the newest first
	Unusual   []string `json:"unusual,omitempty"` // models that found it unusual when it was last new
}

// Habits is a message of those that changed since the last one (link.KindHabits).
type Habits struct {
	Cluster string  `json:"cluster"`
	Since   int64   `json:"since"` // the sums go back to here
	Time    int64   `json:"time"`
	List    []Habit `json:"list"`
	// Dropped counts things done that are in no habit, because an identity does more
	// different things than are kept.
	Dropped int64 `json:"dropped,omitempty"`
}
