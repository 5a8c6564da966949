package inventory

// SetCluster gives the fields of the cluster's document that the state cannot know: its
// version, address, agent, audit source, gaps and baselines. Counts, UID and, where they
// are empty, Name and Platform are the state's own.
func (s *State) SetCluster(base ClusterDoc) {}

// Dirty returns the documents that changed, and those that are gone, since the last
// call, each once however often it changed. The first call returns all.
func (s *State) Dirty() (put []Document, gone []Gone) { return nil, nil }

// Full returns all documents, in the order of kind and key. It does not touch what Dirty
// will return.
func (s *State) Full() []Document { return nil }

// PodsOf returns what a node needs to know of its pods, ordered by UID.
func (s *State) PodsOf(node string) []PodMeta { return nil }

// PodChange is what changed of a node's pods.
type PodChange struct {
	Put  []PodMeta
	Gone []string // UIDs, as PodMeta.UID
}

// DirtyPods returns by node what changed of its pods since the last call.
func (s *State) DirtyPods() map[string]PodChange { return nil }
