package event

import (
	"slices"
	"strings"
)

// Clone returns a deep copy that stays valid: every string is copied, the
// process comes with its lineage (at most MaxLineage ancestors) and the
// container with its labels and mounts.
func (e *Event) Clone() *Event {
	c := *e
	c.scratch, c.derived, c.tape = nil, derived{}, tape{}
	c.Path = strings.Clone(e.Path)
	c.Raw = strings.Clone(e.Raw)
	c.SockPath = strings.Clone(e.SockPath)
	c.JSON = slices.Clone(e.JSON)
	var seen copies
	c.Container = seen.container(e.Container)
	c.Process = seen.process(e.Process)
	return &c
}

// Clone returns a deep copy with its lineage and containers, nil for nil.
func (p *Process) Clone() *Process {
	var seen copies
	return seen.process(p)
}

// Flat returns a deep copy without Parent and Container.
func (p *Process) Flat() Process {
	c := cloneProcess(p)
	c.Parent, c.Container = nil, nil
	return c
}

// Clone returns a deep copy, nil for nil.
func (c *Container) Clone() *Container {
	var seen copies
	return seen.container(c)
}

// copies remembers the last container copied: most of a lineage shares one.
type copies struct{ from, to *Container }

func (s *copies) process(p *Process) *Process {
	if p == nil {
		return nil
	}
	var first *Process
	at := &first
	for n := 0; p != nil && n <= MaxLineage; n, p = n+1, p.Parent {
		c := cloneProcess(p)
		c.Parent = nil
		c.Container = s.container(p.Container)
		*at = &c
		at = &c.Parent
	}
	return first
}

func cloneProcess(p *Process) Process {
	c := *p
	for _, s := range [...]*string{&c.Comm, &c.Exe, &c.ExePath, &c.Cmdline, &c.Cwd, &c.User, &c.LoginUser, &c.Group} {
		*s = strings.Clone(*s)
	}
	for i := range c.Stdio {
		c.Stdio[i].Peer = strings.Clone(c.Stdio[i].Peer)
	}
	c.Args = cloneStrings(p.Args)
	c.Env = cloneStrings(p.Env)
	return c
}

func (s *copies) container(c *Container) *Container {
	if c == nil || c == s.from {
		if c == nil {
			return nil
		}
		return s.to
	}
	n := *c
	for _, t := range [...]*string{
		&n.ID, &n.Runtime, &n.Name, &n.Image, &n.ImageRepo, &n.ImageTag, &n.ImageDigest, &n.ImageID,
		&n.PodName, &n.PodNamespace, &n.PodUID, &n.Workload, &n.Owner, &n.Tenant, &n.CgroupPath, &n.Rootfs, &n.Unknown,
	} {
		*t = strings.Clone(*t)
	}
	n.Labels = slices.Clone(c.Labels)
	for i := range n.Labels {
		l := &n.Labels[i]
		l.Key, l.Value = strings.Clone(l.Key), strings.Clone(l.Value)
	}
	n.Mounts = slices.Clone(c.Mounts)
	for i := range n.Mounts {
		m := &n.Mounts[i]
		m.Source, m.Dest = strings.Clone(m.Source), strings.Clone(m.Dest)
		m.Mode, m.Propagation = strings.Clone(m.Mode), strings.Clone(m.Propagation)
	}
	s.from, s.to = c, &n
	return &n
}

func cloneStrings(in []string) []string {
	out := slices.Clone(in)
	for i := range out {
		out[i] = strings.Clone(out[i])
	}
	return out
}
