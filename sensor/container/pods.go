package container

import (
	"slices"
	"time"

	"github.com/dockreeve/dockreeve/event"
)

// Pod is what the cluster tells of one pod of this node. UID is as cgroups name it.
type Pod struct {
	UID, Name, Namespace    string
	Workload, Owner, Tenant string
	Images                  []PodImage // by container, at most 64
}

// PodImage is the image of one container of a pod, as the cluster tells.
type PodImage struct{ Container, Digest, ImageID string }

// maxPods bounds the pods remembered. A node runs a few hundred at the most; those that
// are gone are forgotten when the cluster says so.
const maxPods = 4096

// maxPodImages bounds Pod.Images.
const maxPodImages = 64

// awaitPod is the number of tries, 155 ms in all, for which a container that has just
// begun waits for the cluster to tell of its pod, where the cluster tells of pods at all.
const awaitPod = 5

// keepGone is how long a pod that is gone is remembered: its last programs, or those of a
// pod that came and went between two messages, may still be on their way here.
const keepGone = time.Minute

// knownPod is a Pod remembered, and when the cluster said that it is gone.
type knownPod struct {
	Pod
	gone time.Time
}

// SetPods takes what the cluster tells: with full, pods that are not put are gone, and
// always those in gone, which may name what is put in the same call: a pod that came and
// went. Containers of a pod that is put are known better from now on; those of one that is
// gone stay as they are.
func (r *Resolver) SetPods(full bool, put []Pod, gone []string) {
	r.mu.Lock()
	now := r.o.Now()
	if r.pods == nil {
		r.pods = map[string]*knownPod{}
	}
	for uid, p := range r.pods {
		if full && p.gone.IsZero() {
			p.gone = now
		}
		if !p.gone.IsZero() && now.Sub(p.gone) > keepGone {
			delete(r.pods, uid)
		}
	}
	fresh := make(map[string]bool, len(put))
	for i := range put {
		p := put[i]
		if p.UID == "" {
			continue
		}
		if _, have := r.pods[p.UID]; !have && len(r.pods) >= maxPods && !r.forgetGone() {
			r.stats.PodsRefused++
			continue
		}
		for _, s := range []*string{&p.UID, &p.Name, &p.Namespace, &p.Workload, &p.Owner, &p.Tenant} {
			*s = clip(*s)
		}
		p.Images = slices.Clone(p.Images[:min(len(p.Images), maxPodImages)])
		r.pods[p.UID] = &knownPod{Pod: p}
		fresh[p.UID] = true
	}
	for _, uid := range gone {
		if p := r.pods[uid]; p != nil && p.gone.IsZero() {
			p.gone = now
		}
	}
	changed := false
	for _, e := range r.entries {
		c := e.answer.Container
		if c == nil || !fresh[c.PodUID] {
			continue
		}
		if better := r.withPod(c); better != c {
			e.answer.Container, changed = better, true
		}
		changed = r.stopAwaiting(e) || changed
	}
	r.mu.Unlock()
	if changed {
		r.o.Changed()
	}
}

// forgetGone makes room for a pod, and reports whether it could; the caller holds mu.
func (r *Resolver) forgetGone() bool {
	room := false
	for uid, p := range r.pods {
		if !p.gone.IsZero() {
			delete(r.pods, uid)
			room = true
		}
	}
	return room
}

// stopAwaiting lets a container go that waited for its pod only, and reports whether it
// did; the caller holds mu.
func (r *Resolver) stopAwaiting(e *entry) bool {
	if !e.awaits {
		return false
	}
	e.awaits, e.next, e.answer.Status = false, time.Time{}, Known
	r.known(e, Pending)
	return true
}

// withPod returns the container with what the cluster tells of its pod; the same one
// where that changes nothing. The caller holds mu.
func (r *Resolver) withPod(c *event.Container) *event.Container {
	p := r.pods[c.PodUID]
	if p == nil || c.PodUID == "" {
		return c
	}
	n := *c
	n.Workload, n.Owner, n.Tenant = p.Workload, p.Owner, p.Tenant
	if n.PodName == "" {
		n.PodName, n.PodNamespace = p.Name, p.Namespace
	}
	for _, i := range p.Images {
		if i.Container != n.Name {
			continue
		}
		if n.ImageDigest == "" {
			n.ImageDigest = clip(i.Digest)
		}
		if n.ImageID == "" {
			n.ImageID = clip(i.ImageID)
		}
	}
	if n.Workload == c.Workload && n.Owner == c.Owner && n.Tenant == c.Tenant && n.PodName == c.PodName && n.PodNamespace == c.PodNamespace &&
		n.ImageDigest == c.ImageDigest && n.ImageID == c.ImageID {
		return c
	}
	return &n
}
