package event

import "strings"

// ShortID returns the first 12 characters of the container's id.
func (c *Container) ShortID() string {
	if len(c.ID) > 12 {
		return c.ID[:12]
	}
	return c.ID
}

// known returns the container when its metadata is known: nil on the host and
// while Unknown says why it is not.
func (e *Event) known() *Container {
	if c := e.Container; c != nil && c.Unknown == "" {
		return c
	}
	return nil
}

func (e *Event) meta(get func(*Container) string) (string, bool) {
	if c := e.known(); c != nil {
		return text(get(c))
	}
	return "", false
}

// orHost is meta for the fields that say "host" outside containers.
func (e *Event) orHost(get func(*Container) string) (string, bool) {
	if e.Container == nil {
		return "host", true
	}
	return e.meta(get)
}

func containerID(e *Event, _ *Arg) (string, bool) {
	if e.Container == nil {
		return "host", true
	}
	return text(e.Container.ShortID())
}

func containerFullID(e *Event, _ *Arg) (string, bool) {
	if e.Container == nil {
		return "host", true
	}
	return text(e.Container.ID)
}

func containerName(e *Event, _ *Arg) (string, bool) {
	return e.orHost(func(c *Container) string { return c.Name })
}

func containerType(e *Event, _ *Arg) (string, bool) {
	return e.orHost(func(c *Container) string { return c.Runtime })
}

func containerImage(e *Event, _ *Arg) (string, bool) {
	return e.meta(func(c *Container) string { return c.Image })
}

func containerImageID(e *Event, _ *Arg) (string, bool) {
	return e.meta(func(c *Container) string { return c.ImageID })
}

func containerImageRepo(e *Event, _ *Arg) (string, bool) {
	return e.meta(func(c *Container) string { return c.ImageRepo })
}

func containerImageTag(e *Event, _ *Arg) (string, bool) {
	return e.meta(func(c *Container) string { return c.ImageTag })
}

func containerImageDigest(e *Event, _ *Arg) (string, bool) {
	return e.meta(func(c *Container) string { return c.ImageDigest })
}

func k8sPodName(e *Event, _ *Arg) (string, bool) {
	return e.meta(func(c *Container) string { return c.PodName })
}

func k8sNSName(e *Event, _ *Arg) (string, bool) {
	return e.meta(func(c *Container) string { return c.PodNamespace })
}

func k8sPodUID(e *Event, _ *Arg) (string, bool) {
	return e.meta(func(c *Container) string { return c.PodUID })
}

func containerPrivileged(e *Event, _ *Arg) (bool, bool) {
	c := e.known()
	if c == nil || c.Privileged == Unknown {
		return false, false
	}
	return c.Privileged == Yes, true
}

func containerStart(e *Event, _ *Arg) (int64, bool) {
	if c := e.known(); c != nil && c.StartTime != 0 {
		return c.StartTime, true
	}
	return 0, false
}

func containerDuration(e *Event, _ *Arg) (int64, bool) {
	if c := e.known(); c != nil && c.StartTime != 0 {
		return e.Time - c.StartTime, true
	}
	return 0, false
}

func containerLabel(e *Event, a *Arg) (string, bool) {
	if c := e.known(); c != nil && a != nil {
		for i := range c.Labels {
			if c.Labels[i].Key == a.Key {
				return c.Labels[i].Value, true
			}
		}
	}
	return "", false
}

func containerLabels(e *Event, _ *Arg) (string, bool) {
	if s, ok, built := e.cached(derLabels); built {
		return s, ok
	}
	c := e.known()
	if c == nil || len(c.Labels) == 0 {
		return e.keepNone(derLabels)
	}
	from := len(e.scratch)
	for i := range c.Labels {
		if i > 0 {
			e.scratch = append(e.scratch, ", "...)
		}
		e.scratch = append(e.scratch, c.Labels[i].Key...)
		e.scratch = append(e.scratch, ':')
		e.scratch = append(e.scratch, c.Labels[i].Value...)
	}
	return e.keep(derLabels, from)
}

func containerMounts(e *Event, _ *Arg) (string, bool) {
	if s, ok, built := e.cached(derMounts); built {
		return s, ok
	}
	c := e.known()
	if c == nil || len(c.Mounts) == 0 {
		return e.keepNone(derMounts)
	}
	from := len(e.scratch)
	for i := range c.Mounts {
		if i > 0 {
			e.scratch = append(e.scratch, ',')
		}
		e.scratch = c.Mounts[i].append(e.scratch)
	}
	return e.keep(derMounts, from)
}

func (m *Mount) append(b []byte) []byte {
	b = append(append(b, m.Source...), ':')
	b = append(append(b, m.Dest...), ':')
	b = append(append(b, m.Mode...), ':')
	b = append(append(b, m.rdwr()...), ':')
	return append(b, m.Propagation...)
}

func (m *Mount) rdwr() string {
	if m.ReadOnly {
		return "false"
	}
	return "true"
}

// mount picks one mount by number or by a glob over what key returns.
func (e *Event) mount(a *Arg, key func(*Mount) string) *Mount {
	c := e.known()
	if c == nil || a == nil {
		return nil
	}
	if a.IsNum {
		if a.Index < len(c.Mounts) {
			return &c.Mounts[a.Index]
		}
		return nil
	}
	for i := range c.Mounts {
		if glob(a.Key, key(&c.Mounts[i])) {
			return &c.Mounts[i]
		}
	}
	return nil
}

func bySource(m *Mount) string { return m.Source }
func byDest(m *Mount) string   { return m.Dest }

// containerMount builds its text anew each time: an event is rarely asked for
// more than one mount.
func containerMount(e *Event, a *Arg) (string, bool) {
	m := e.mount(a, bySource)
	if m == nil {
		return "", false
	}
	from := len(e.scratch)
	e.scratch = m.append(e.scratch)
	return e.view(span{from, len(e.scratch)}), true
}

func containerMountSource(e *Event, a *Arg) (string, bool) {
	if m := e.mount(a, byDest); m != nil {
		return m.Source, true
	}
	return "", false
}

func containerMountDest(e *Event, a *Arg) (string, bool) {
	if m := e.mount(a, bySource); m != nil {
		return m.Dest, true
	}
	return "", false
}

func containerMountMode(e *Event, a *Arg) (string, bool) {
	if m := e.mount(a, bySource); m != nil {
		return m.Mode, true
	}
	return "", false
}

func containerMountRdwr(e *Event, a *Arg) (string, bool) {
	if m := e.mount(a, bySource); m != nil {
		return m.rdwr(), true
	}
	return "", false
}

func containerMountPropagation(e *Event, a *Arg) (string, bool) {
	if m := e.mount(a, bySource); m != nil {
		return m.Propagation, true
	}
	return "", false
}

// glob matches * (any text, slashes included), ? and [set] as fnmatch(3) with no
// flags does; a backslash quotes. It takes O(len(pattern)·len(s)) time.
func glob(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		if p < len(pattern) && pattern[p] == '*' {
			star, mark = p, i
			p++
			continue
		}
		if n := matchOne(pattern[p:], s[i]); n > 0 {
			p, i = p+n, i+1
			continue
		}
		if star < 0 {
			return false
		}
		mark++
		p, i = star+1, mark
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// matchOne matches c against the first element of pattern and returns the
// element's length, 0 when it does not match.
func matchOne(pattern string, c byte) int {
	if pattern == "" {
		return 0
	}
	switch pattern[0] {
	case '?':
		return 1
	case '\\':
		if len(pattern) > 1 && pattern[1] == c {
			return 2
		}
		return 0
	case '[':
		if n, ok := matchSet(pattern, c); n > 0 {
			if ok {
				return n
			}
			return 0
		}
	}
	if pattern[0] == c {
		return 1
	}
	return 0
}

// matchSet matches c against the bracket expression pattern starts with and
// returns its length, 0 when it is not closed.
func matchSet(pattern string, c byte) (n int, ok bool) {
	i, negate := 1, false
	if i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^') {
		negate = true
		i++
	}
	for first := true; i < len(pattern); first = false {
		if pattern[i] == ']' && !first {
			return i + 1, ok != negate
		}
		lo := pattern[i]
		hi := lo
		if i+2 < len(pattern) && pattern[i+1] == '-' && pattern[i+2] != ']' {
			hi = pattern[i+2]
			i += 2
		}
		if lo <= c && c <= hi {
			ok = true
		}
		i++
	}
	return 0, false
}
