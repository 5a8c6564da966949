package inventory

// Assessment is what follows from one object.
type Assessment struct {
	Workload string   // namespace/Kind/name that it is or belongs to; "" = none
	Reach    string   // one of the Reach… words; "" = says nothing of it
	Ports    []string // 80/TCP
	Apps     []string // what it, or what it lets in to, is known to be
	Risks    []string // no-password, trust-auth, any-source, broad-source, plain-text
	Powers   []string // of a pod or template: privileged, hostPID, SYS_ADMIN…
	Mounts   []string // sensitive host paths, cleaned
	Images   []string // as written

	NotAssessed []string // what could not be told, and why
}

// Assess judges an object as if it were in the state, whether it is or not.
func (s *State) Assess(o *Object) Assessment { return Assessment{} }

// Repository returns an image's registry and path, without tag and digest and with the
// registry and library/ that a short name stands for.
func Repository(image string) string { return image }
