package inventory

import "slices"

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

// Assess judges an object as if it were in the state, whether it is or not: what a
// request would allow. Reach is of services, ingresses, gateways, routes and of pods and
// templates with ports on their node.
func (s *State) Assess(o *Object) Assessment {
	var a Assessment
	if o == nil {
		return a
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if o.Unread != "" {
		a.NotAssessed = append(a.NotAssessed, "field "+o.Unread+" has a shape that is not known")
	}
	var e *ExposureDoc
	switch {
	case o.Pod != nil || o.Workload != nil:
		spec := specOf(o)
		a.Workload = workKey(o.Namespace, s.topOf(o))
		a.Powers, a.Mounts = podPowers(spec), s.hostMounts(o.Namespace, spec)
		a.Apps, a.Risks = s.appsOf(o.Namespace, spec, podLabels(o))
		for _, c := range spec.Containers {
			a.Images = addWord(a.Images, c.Image)
		}
		e = s.hostExposure(&view{key: a.Workload, namespace: o.Namespace, kind: string(o.Kind), name: o.Name, obj: o})
	case o.Service != nil:
		if e = s.exposure(o); e == nil {
			a.Reach = ReachCluster
			for _, p := range o.Service.Ports {
				a.Ports = append(a.Ports, number(p.Port, p.Protocol))
			}
		}
	case o.Ingress != nil:
		e = s.exposure(o)
	}
	if e == nil {
		return a
	}
	a.Reach, a.Ports, a.Apps = e.Reach, e.Ports, e.Apps
	for _, r := range e.Risks {
		a.Risks = addWord(slices.Clip(a.Risks), r)
	}
	slices.Sort(a.Risks)
	if e.NotAssessed != "" {
		a.NotAssessed = append(a.NotAssessed, e.NotAssessed)
	}
	return a
}
