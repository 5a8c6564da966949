package inventory

import (
	"hash/maphash"
	"maps"
	"slices"
)

// sharer makes equal texts, maps and lists of different objects one: the pods of a
// workload are all but equal to each other. It is bounded: when full it forgets, and
// what it gave stays as it is.
type sharer struct {
	seed   maphash.Seed
	texts  map[string]string
	labels map[uint64]map[string]string
	words  map[uint64][]string
	mounts map[uint64][]Mount
	ports  map[uint64][]Port
	vols   map[uint64][]PodVolume
}

const maxShared = 1 << 17

func newSharer() *sharer {
	s := &sharer{seed: maphash.MakeSeed()}
	s.forget()
	return s
}

func (s *sharer) forget() {
	s.texts, s.labels = map[string]string{}, map[uint64]map[string]string{}
	s.words, s.mounts = map[uint64][]string{}, map[uint64][]Mount{}
	s.ports, s.vols = map[uint64][]Port{}, map[uint64][]PodVolume{}
}

func (s *sharer) text(p *string) {
	if *p == "" {
		return
	}
	if t, ok := s.texts[*p]; ok {
		*p = t
	} else {
		s.texts[*p] = *p
	}
}

func (s *sharer) kv(p *map[string]string) {
	m := *p
	if len(m) == 0 {
		*p = nil
		return
	}
	h := uint64(len(m))
	for k, v := range m { // in no order: the sum does not depend on it
		h += maphash.String(s.seed, k)*31 ^ maphash.String(s.seed, v)
	}
	if have, ok := s.labels[h]; ok && maps.Equal(have, m) {
		*p = have
		return
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		s.text(&k)
		s.text(&v)
		out[k] = v
	}
	s.labels[h] = out
	*p = out
}

func share[T comparable](s *sharer, known map[uint64][]T, p *[]T, each func(*T)) {
	if len(*p) == 0 {
		*p = nil
		return
	}
	h := uint64(len(*p))
	for _, x := range *p {
		h = h*1099511628211 + maphash.Comparable(s.seed, x)
	}
	if have, ok := known[h]; ok && slices.Equal(have, *p) {
		*p = have
		return
	}
	out := slices.Clip(*p)
	for i := range out {
		each(&out[i])
	}
	known[h] = out
	*p = out
}

func (s *sharer) list(p *[]string) { share(s, s.words, p, s.text) }

// object shares what an object holds. It writes to it, so it is done once, before
// anybody else sees the object.
func (s *sharer) object(o *Object) {
	if len(s.texts)+len(s.labels)+len(s.words)+len(s.mounts)+len(s.ports)+len(s.vols) > maxShared {
		s.forget()
	}
	for _, p := range []*string{(*string)(&o.Kind), &o.Namespace, &o.Name, &o.APIVersion, &o.APIKind} {
		s.text(p)
	}
	s.kv(&o.Labels)
	s.kv(&o.Annotations)
	if w := o.Owner; w != nil {
		for _, p := range []*string{&w.APIVersion, &w.Kind, &w.Name, &w.UID} {
			s.text(p)
		}
	}
	if p := o.Pod; p != nil {
		s.spec(&p.PodSpec)
		for _, t := range []*string{&p.NodeName, &p.HostIP, &p.Phase, &p.Unassigned} {
			s.text(t)
		}
	}
	if w := o.Workload; w != nil {
		s.spec(&w.Template)
		s.kv(&w.Selector)
		s.kv(&w.Labels)
		s.kv(&w.Annotations)
	}
	if v := o.Service; v != nil {
		s.kv(&v.Selector)
	}
}

func (s *sharer) spec(p *PodSpec) {
	s.text(&p.ServiceAccount)
	s.kv(&p.NodeSelector)
	share(s, s.vols, &p.Volumes, func(v *PodVolume) {
		s.text(&v.Name)
		s.text(&v.Type)
		s.text(&v.Source)
	})
	p.Containers = slices.Clip(p.Containers)
	for i := range p.Containers {
		c := &p.Containers[i]
		for _, t := range []*string{&c.Name, &c.Image, &c.ImageID, &c.Digest, &c.Reason, &c.Seccomp, &c.ProcMount} {
			s.text(t)
		}
		s.list(&c.AddCaps)
		s.list(&c.DropCaps)
		s.list(&c.Args)
		s.list(&c.SecretEnv)
		s.kv(&c.Env)
		share(s, s.ports, &c.Ports, func(p *Port) { s.text(&p.Name) })
		share(s, s.mounts, &c.Mounts, func(m *Mount) {
			s.text(&m.Volume)
			s.text(&m.Path)
			s.text(&m.SubPath)
		})
	}
}
