package audit

import (
	"cmp"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inventory"
)

// Bounds of what is learned.
const (
	maxIdentities  = 20_000
	maxPerIdentity = 1000
	maxHabits      = 200_000
	maxSeen        = 8        // addresses, user agents of a habit
	maxAgents      = 64       // programs of one identity
	forgetAfter    = 60 * day // a habit that was not seen for so long is none
)

// habits is what every identity has done.
type habits struct {
	Since    int64
	Who      map[string]*person
	accounts int // of Who, those that are service accounts
	total    int
	dropped  int64
	forgot   int64 // when room was looked for last
	dirty    map[habitKey]*habit
	// peers counts the service accounts that have a habit, by verb, resource and scope: what
	// many do is unusual for none.
	peers map[string]int
}

type habitKey struct{ identity, verb, resource, namespace string }

// person is one identity.
type person struct {
	First  int64
	Last   int64
	Habits map[string]*habit // by verb, resource and namespace
	From   map[string]int64  // kinds of places it came from, and when first
	Agents map[string]int64  // programs it used, and when first
	does   map[string]int    // habits by verb, resource and scope
	fresh  stamps            // new harmless habits of the last minutes
}

// habit is one thing an identity does.
type habit struct {
	inventory.Habit
	OK      int64 // requests that were not refused: only these make a habit
	Settled int64 // until then it is still unusual: an attack's second step is no habit yet
	Odd     bool  // unusual when it was new: what several stolen accounts do is not common
	keptAt  int64 // event time of the last one kept in the history
}

func newHabits() habits {
	return habits{Who: map[string]*person{}, dirty: map[habitKey]*habit{}, peers: map[string]int{}}
}

func (h *habits) person(identity string, now int64) *person {
	p := h.Who[identity]
	if p == nil {
		if len(h.Who) >= maxIdentities {
			h.forget(now)
			if len(h.Who) >= maxIdentities {
				return nil
			}
		}
		p = &person{First: now, Habits: map[string]*habit{}, From: map[string]int64{}, Agents: map[string]int64{}}
		h.Who[identity] = p
		if strings.HasPrefix(identity, "serviceaccount:") {
			h.accounts++
		}
	}
	p.Last = max(p.Last, now)
	return p
}

// at reports whether the identity has a habit in a namespace that is no news: what was
// unusual there gives nobody a place in it.
func (p *person) at(namespace string, now int64) bool {
	for _, one := range p.Habits {
		if one.Namespace == namespace && one.OK > 0 && now-one.First >= probation && now >= one.Settled {
			return true
		}
	}
	return false
}

func fresh(seen map[string]int64, key string, now int64) bool {
	at, ok := seen[key]
	return !ok || now-at < probation
}

// forgetEvery is how often room is looked for: when all is full and fresh, a look at
// everything for each event would hold up the events.
const forgetEvery = int64(3600e9)

// forget drops what was not seen for long.
func (h *habits) forget(now int64) {
	if h.forgot != 0 && now-h.forgot < forgetEvery {
		return
	}
	h.forgot = now
	for id, p := range h.Who {
		for k, one := range p.Habits {
			if now-one.Last > forgetAfter {
				h.peer(id, p, one, -1)
				delete(p.Habits, k)
				h.total--
			}
		}
		if len(p.Habits) == 0 && now-p.Last > forgetAfter {
			delete(h.Who, id)
			if strings.HasPrefix(id, "serviceaccount:") {
				h.accounts--
			}
		}
	}
}

// of returns the habit, making it where there is room; nil where there is none.
func (h *habits) of(p *person, k habitKey, now int64) (one *habit, isNew bool) {
	name := k.verb + "\x00" + k.resource + "\x00" + k.namespace
	if one = p.Habits[name]; one != nil {
		return one, false
	}
	if h.total >= maxHabits {
		h.forget(now)
	}
	if len(p.Habits) >= maxPerIdentity || h.total >= maxHabits {
		h.dropped++
		return nil, true
	}
	one = &habit{Habit: inventory.Habit{Identity: k.identity, Verb: k.verb, Resource: k.resource, Namespace: k.namespace, First: now}}
	p.Habits[name] = one
	h.total++
	return one, true
}

// scopeOf says where something is done as seen from who does it, so that the same habit
// of two identities in two namespaces is the same.
func scopeOf(identity, namespace string, platform func(string) bool) string {
	rest, is := strings.CutPrefix(identity, "serviceaccount:")
	own, _, _ := strings.Cut(rest, "/")
	switch {
	case namespace == "":
		return "all"
	case is && own == namespace:
		return "own"
	case platform(namespace):
		return "platform"
	}
	return "other"
}

func peerKey(verb, resource, scope string) string { return verb + " " + resource + " " + scope }

// peer counts an identity's habit in or out of what its peers do: an identity counts once
// for a thing, in however many namespaces it does it. The platform's namespaces count as
// others here, so that the count needs no inventory.
func (h *habits) peer(identity string, p *person, one *habit, by int) {
	if one.OK == 0 || one.Odd || !strings.HasPrefix(identity, "serviceaccount:") {
		return
	}
	key := peerKey(one.Verb, one.Resource, scopeOf(identity, one.Namespace, func(string) bool { return false }))
	before := p.does[key]
	if p.does == nil {
		p.does = map[string]int{}
	}
	p.does[key] += by
	switch {
	case before == 0 && by > 0:
		h.peers[key]++
	case before > 0 && p.does[key] <= 0:
		delete(p.does, key)
		if h.peers[key]--; h.peers[key] <= 0 {
			delete(h.peers, key)
		}
	}
}

func sawText(list []string, s string) []string {
	if s == "" {
		return list
	}
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "")
	}
	if i := slices.Index(list, s); i == 0 {
		return list
	} else if i > 0 {
		list = slices.Delete(list, i, i+1)
	}
	list = slices.Insert(list, 0, s)
	return list[:min(len(list), maxSeen)]
}

// note takes an event into a habit.
func (h *habits) note(p *person, k habitKey, one *habit, d *doc, f *event.AuditFacts) {
	one.Count++
	one.Last = max(one.Last, d.time)
	if d.denied() {
		one.Denied++
	} else if one.OK++; one.OK == 1 {
		h.peer(k.identity, p, one, 1)
	}
	if d.peer.IsValid() {
		one.Sources = sawText(one.Sources, d.peer.String())
	}
	one.Agents = sawText(one.Agents, d.UserAgent)
	if len(f.Unusual) > 0 {
		one.Unusual = slices.Clone(f.Unusual)
	}
	h.dirty[k] = one
}

// Changed returns the habits that changed since the last call, at most max of them, the
// rest next time. Call it from the goroutine that calls Facts.
func (a *Auditor) Changed(max int) inventory.Habits {
	out := inventory.Habits{Cluster: a.opt.Cluster, Since: a.habits.Since, Dropped: a.habits.dropped + a.models.dropped}
	for k, one := range a.habits.dirty {
		if len(out.List) >= max {
			break
		}
		h := one.Habit
		h.Sources, h.Agents = slices.Clone(h.Sources), slices.Clone(h.Agents)
		out.List = append(out.List, h)
		delete(a.habits.dirty, k)
	}
	slices.SortFunc(out.List, func(x, y inventory.Habit) int {
		return cmp.Or(strings.Compare(x.Identity, y.Identity), strings.Compare(x.Verb, y.Verb), strings.Compare(x.Resource, y.Resource), strings.Compare(x.Namespace, y.Namespace))
	})
	return out
}

// AllChanged marks every habit as changed, for a receiver that may have lost some.
func (a *Auditor) AllChanged() {
	for id, p := range a.habits.Who {
		for _, one := range p.Habits {
			a.habits.dirty[habitKey{id, one.Verb, one.Resource, one.Namespace}] = one
		}
	}
}
