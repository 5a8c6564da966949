package audit

import (
	"encoding/json"
	"hash/fnv"
	"strconv"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inventory"
)

// The window over which an actor's doings are counted, nanoseconds, and its bounds.
const (
	windowFor   = int64(600e9)
	maxActors   = 10_000
	maxDistinct = 1024 // different things counted of one actor
)

// window counts what each actor did in the last ten minutes.
type window struct {
	actors map[string]*recent
}

func newWindow() window { return window{actors: map[string]*recent{}} }

// recent holds when each different thing was last done.
type recent struct {
	last    int64
	secrets map[string]int64
	probes  map[string]int64
	denied  stamps
	deleted stamps
}

// stamps counts events by minute.
type stamps struct {
	minute [10]int64
	count  [10]int
}

func (s *stamps) add(now int64) {
	m := now / 60e9
	i := int(m % 10)
	if s.minute[i] != m {
		s.minute[i], s.count[i] = m, 0
	}
	s.count[i]++
}

func (s *stamps) sum(now int64) (n int) {
	m := now / 60e9
	for i := range s.minute {
		if s.minute[i] > m-10 {
			n += s.count[i]
		}
	}
	return n
}

func (w *window) of(identity string, now int64) *recent {
	r := w.actors[identity]
	if r == nil {
		if len(w.actors) >= maxActors {
			w.forget(now)
		}
		r = &recent{secrets: map[string]int64{}, probes: map[string]int64{}}
		w.actors[identity] = r
	}
	r.last = max(r.last, now)
	return r
}

// forget makes room: whoever was silent for the window goes; if nobody was, all do, and
// counting begins anew.
func (w *window) forget(now int64) {
	for k, r := range w.actors {
		if now-r.last > windowFor {
			delete(w.actors, k)
		}
	}
	if len(w.actors) >= maxActors {
		clear(w.actors)
	}
}

func distinct(m map[string]int64, key string, now int64) {
	if _, ok := m[key]; !ok && len(m) >= maxDistinct {
		for k, at := range m {
			if now-at > windowFor {
				delete(m, k)
			}
		}
		if len(m) >= maxDistinct {
			return // the count says maxDistinct, which is many
		}
	}
	m[key] = now
}

func live(m map[string]int64, now int64) (n int) {
	for k, at := range m {
		if now-at > windowFor {
			delete(m, k)
			continue
		}
		n++
	}
	return n
}

// count takes an event into the window and fills the counts.
func (a *Auditor) count(d *doc, f *event.AuditFacts) {
	r := a.window.of(d.identity, d.time)
	ref := d.ObjectRef
	switch {
	case ref != nil && ref.Resource == "secrets" && ref.APIGroup == "" && reads(d.Verb) && d.done():
		distinct(r.secrets, ref.Namespace+"/"+ref.Name, d.time)
	case ref != nil && ref.APIGroup == "authorization.k8s.io" && d.Verb == "create" && (ref.Resource == "selfsubjectaccessreviews" || ref.Resource == "selfsubjectrulesreviews"):
		h := fnv.New64a()
		h.Write(d.RequestObject)
		distinct(r.probes, ref.Resource+strconv.FormatUint(h.Sum64(), 36), d.time)
	}
	if d.denied() && !a.inVain(d) {
		r.denied.add(d.time)
		ns := ""
		if ref != nil {
			ns = ref.Namespace
		}
		distinct(r.probes, d.Verb+" "+d.resource()+" "+ns, d.time)
	}
	if (d.Verb == "delete" || d.Verb == "deletecollection") && d.done() && !d.dry() {
		for range d.deletes() {
			r.deleted.add(d.time)
		}
	}
	r.fill(d.time, f)
}

// inVain reports whether a refusal says nothing of what its caller may do: roles allow it,
// so it came from an API server that starts and has not read its roles yet, which refuses
// whoever comes; or it was allowed, and what would have become of a dry run was refused.
func (a *Auditor) inVain(d *doc) bool {
	decision, ref := d.Annotations["authorization.k8s.io/decision"], d.ObjectRef
	if decision == "allow" && d.dry() {
		return true
	}
	if decision != "forbid" || ref == nil {
		return false // by another's word than an authorizer's, of impersonation for one
	}
	who := d.who()
	return a.opt.State.Permitted(inventory.Subject{Kind: "User", Name: who.Username}, who.Groups, d.time, d.Verb, ref.APIGroup, ref.Resource, ref.Subresource, ref.Namespace, ref.Name)
}

func (r *recent) fill(now int64, f *event.AuditFacts) {
	f.SecretsRead, f.Probes = live(r.secrets, now), live(r.probes, now)
	f.Denied, f.Deleted = r.denied.sum(now), r.deleted.sum(now)
}

// read fills the counts without taking anything in.
func (w *window) read(identity string, now int64, f *event.AuditFacts) {
	if r := w.actors[identity]; r != nil {
		r.fill(now, f)
	}
}

// deletes is how many objects a request deleted: of a collection as many as the answer
// lists, where it is recorded, at most maxDistinct; else one.
func (d *doc) deletes() int {
	var list struct{ Items []struct{} }
	if d.Verb != "deletecollection" || json.Unmarshal(d.ResponseObject, &list) != nil {
		return 1
	}
	return min(max(1, len(list.Items)), maxDistinct)
}

func reads(verb string) bool { return verb == "get" || verb == "list" || verb == "watch" }
