package detect

import (
	"net/netip"
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
)

// place names where something happened, for people.
func place(s *finding.Subject) string {
	c := s.Container
	switch {
	case c == nil:
		return "on the host " + s.Node
	case c.Pod != "":
		return "in pod " + c.Namespace + "/" + c.Pod
	case c.Name != "" && c.Image != "":
		return "in container " + c.Name + " (" + c.Image + ")"
	case c.Name != "":
		return "in container " + c.Name
	case c.ID != "":
		return "in container " + short(c.ID)
	}
	return "in a container that is not identified yet"
}

func short(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}

func (e *Engine) subject(ev *event.Event) finding.Subject {
	s := finding.Subject{Node: e.node, Workload: "host"}
	if c := ev.Container; c != nil {
		s.Container = &finding.Container{
			ID: strings.Clone(c.ID), Name: strings.Clone(c.Name), Image: strings.Clone(c.Image), Digest: strings.Clone(c.ImageDigest),
			Pod: strings.Clone(c.PodName), Namespace: strings.Clone(c.PodNamespace), Runtime: strings.Clone(c.Runtime), Unknown: strings.Clone(c.Unknown),
		}
		s.Owner, s.Tenant = strings.Clone(c.Owner), strings.Clone(c.Tenant)
		switch {
		case c.Workload != "":
			s.Workload = strings.Clone(c.Workload)
		case c.PodName != "":
			s.Workload = c.PodNamespace + "/pod/" + c.PodName
		case c.Name != "":
			s.Workload = "container/" + c.Name
		case c.ID != "":
			s.Workload = "container/" + short(c.ID)
		default:
			s.Workload = "container/unknown"
		}
	}
	if p := ev.Process; p != nil {
		s.Process = strings.Clone(name(p))
		s.Executable = strings.Clone(p.ExePath)
		s.User = strings.Clone(p.User)
	}
	s.Object, s.ObjectClass = object(ev)
	return s
}

// object names what the event acted upon, and the class of it that takes part in
// the fingerprint: runs of digits are folded, so that a token's dated folder or a
// numbered temporary file does not make a new alert each time.
func object(ev *event.Event) (name, class string) {
	switch {
	case ev.FDKind == event.FDIPv4 || ev.FDKind == event.FDIPv6:
		far := ev.Server
		if ev.Role == event.RoleServer {
			far = ev.Client
		}
		if far == (netip.AddrPort{}) {
			return "", "none"
		}
		if ev.Role == event.RoleServer {
			return far.String(), "address:" + far.Addr().String() // a caller's port says nothing
		}
		return far.String(), "address:" + far.String()
	case ev.SockPath != "":
		return strings.Clone(ev.SockPath), "socket:" + fold(ev.SockPath)
	case ev.Path != "":
		return strings.Clone(ev.Path), "file:" + fold(ev.Path)
	}
	return "", "none"
}

func fold(path string) string {
	var b strings.Builder
	digits := false
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c >= '0' && c <= '9' {
			if !digits {
				b.WriteByte('#')
			}
			digits = true
			continue
		}
		digits = false
		b.WriteByte(c)
	}
	return b.String()
}

// matter is the workload as the fingerprint has it. Of a pod that is its namespace and the
// stem of its name, whether or not the cluster agent has told yet what owns it: told
// late, the owner must not make a second alert of the same matter, and the pods of one
// workload are one matter from the start.
func matter(ev *event.Event, s *finding.Subject) string {
	if c := ev.Container; c != nil && c.PodName != "" {
		return c.PodNamespace + "/" + stem(c.PodName)
	}
	return s.Workload
}

// stem takes from a pod's name what its controller added: five random letters, and before
// them a template's hash or a time; or a number.
func stem(pod string) string {
	name := pod
	if rest, last, ok := cutLast(name); ok && len(last) == 5 && random(last) {
		name = rest
		if rest, last, ok = cutLast(name); ok && (len(last) >= 6 && len(last) <= 10 && random(last) || len(last) >= 8 && numeric(last)) {
			name = rest
		}
		return name
	}
	if rest, last, ok := cutLast(name); ok && numeric(last) {
		return rest
	}
	return name
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '-')
	if i <= 0 || i == len(s)-1 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// random reports whether a text has only the letters that Kubernetes makes suffixes of:
// no vowels, and no digits that look like letters.
func random(s string) bool {
	for i := 0; i < len(s); i++ {
		if strings.IndexByte("bcdfghjklmnpqrstvwxz2456789", s[i]) < 0 {
			return false
		}
	}
	return true
}

func numeric(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
