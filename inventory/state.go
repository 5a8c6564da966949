package inventory

import (
	"sync"
)

// State joins the objects of one cluster. It is safe for concurrent use; what it
// returns must not be written to.
type State struct {
	opt Options

	mu      sync.RWMutex
	objects map[Key]*Object
}

// NewState returns an empty state.
func NewState(opt Options) *State {
	return &State{opt: opt, objects: map[Key]*Object{}}
}

// Put adds an object or replaces the one of its key. The object belongs to the state
// from now on: it may share its strings with others of the same content.
func (s *State) Put(o *Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[o.Key] = o
}

// Delete removes an object; with a uid only if it is still that one.
func (s *State) Delete(k Key, uid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.objects[k]; o != nil && (uid == "" || o.UID == uid) {
		delete(s.objects, k)
	}
}

// Replace states all objects of a kind (and, where it folds several, of one APIKind;
// "" = all of them): what is not among them is gone.
func (s *State) Replace(kind Kind, apiKind string, objects []*Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, o := range s.objects {
		if k.Kind == kind && (apiKind == "" || o.APIKind == apiKind) {
			delete(s.objects, k)
		}
	}
	for _, o := range objects {
		s.objects[o.Key] = o
	}
}

// Get returns the object of a key.
func (s *State) Get(k Key) (*Object, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, ok := s.objects[k]
	return o, ok
}

// PodByIP returns the pod that has an address. Pods in the host's network have none of
// their own and are never returned.
func (s *State) PodByIP(ip string) (*Object, bool) { return nil, false }

// PodByUID returns a pod by the uid of its API object or, of a static pod, the kubelet's.
func (s *State) PodByUID(uid string) (*Object, bool) { return nil, false }

// NodeByIP returns the node that has an internal or external address.
func (s *State) NodeByIP(ip string) (*Object, bool) { return nil, false }

// TopOwner returns namespace/Kind/name of the workload that an object is or belongs to.
func (s *State) TopOwner(k Key) string { return k.Namespace + "/" + string(k.Kind) + "/" + k.Name }

// OwnerOf returns whose an object is, and where that was read; Unowned and "" where
// nobody claims it.
func (s *State) OwnerOf(k Key) (owner, from string) { return Unowned, "" }

// Tenant returns the tenant of a namespace, "" for none.
func (s *State) Tenant(namespace string) string { return "" }

// PlatformNamespace reports whether a namespace belongs to the distribution.
func (s *State) PlatformNamespace(namespace string) bool { return namespace == "kube-system" }

// ImagesIn returns the repositories (see Repository) of the images that the pods and
// workloads of a namespace name.
func (s *State) ImagesIn(namespace string) map[string]bool { return nil }

// WorkloadsAs returns the workloads (namespace/Kind/name, sorted, at most 100) that run
// as a service account.
func (s *State) WorkloadsAs(namespace, account string) []string { return nil }
