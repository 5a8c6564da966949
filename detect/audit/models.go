package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inventory"
)

// The models. Each learns pairs of properties that go together, and calls an event
// unusual when the pairs it has never seen weigh enough. A pair counts against an event
// only where its first half is well known: of a stranger everything would be new.
const (
	ModelPods     = "pod-deployment"
	ModelSecrets  = "secret-access"
	ModelAccounts = "service-account"
)

const (
	threshold  = 3.0
	wellKnown  = 5 // times the first half of a pair was seen before its second can be new
	maxPairs   = 200_000
	manyPeers  = 3 // identities that do a thing before it is common
	burst      = 5 // new harmless habits in ten minutes that together are a search
	probation  = int64(3600e9)
	quarantine = 7 * day // what was unusual is none the less until it has gone on for so long
	manyPlaces = 5       // namespaces after which one who deploys into a new one is a deployer
)

type models struct {
	Pairs map[string]*pair
	By    map[string]*learned

	forgot  int64 // when room was looked for last
	dropped int64 // pairs that found none
}

type pair struct {
	N     int64
	First int64
	Last  int64
	// Of a highest count: what it was before First, which is when it rose to N.
	Before int64
}

type learned struct {
	Events uint64 // it was asked about
}

func newModels() models {
	return models{Pairs: map[string]*pair{}, By: map[string]*learned{ModelPods: {}, ModelSecrets: {}, ModelAccounts: {}}}
}

func (m *models) seen(key string) int64 {
	if p := m.Pairs[key]; p != nil {
		return p.N
	}
	return 0
}

// fresh reports whether a pair is new: never seen, or first seen so lately that it may be
// of the same attack.
func (m *models) fresh(key string, now int64) bool {
	p := m.Pairs[key]
	return p == nil || now-p.First < probation
}

// most returns the highest count that is no news any more.
func (m *models) most(key string, now int64) int64 {
	switch p := m.Pairs[key]; {
	case p == nil:
		return 0
	case now-p.First < probation:
		return p.Before
	default:
		return p.N
	}
}

// raise learns a count, where it is the highest.
func (m *models) raise(key string, n, now int64, odd bool) {
	p := m.Pairs[key]
	if p == nil {
		m.learn(now, odd, key)
		if p = m.Pairs[key]; p == nil {
			return
		}
		p.N = 0
	}
	p.Last = now
	if n > p.N {
		if now-p.First >= probation {
			p.Before, p.First = p.N, now
		}
		if odd && p.First <= now {
			p.First = now + quarantine
		}
		p.N = n
	}
}

// learn takes in pairs; those of an unusual event stay news for long.
func (m *models) learn(now int64, odd bool, keys ...string) {
	for _, k := range keys {
		p := m.Pairs[k]
		if p == nil {
			if len(m.Pairs) >= maxPairs {
				m.forget(now)
				if len(m.Pairs) >= maxPairs {
					m.dropped++
					continue
				}
			}
			p = &pair{First: now}
			if odd {
				p.First += quarantine
			}
			m.Pairs[k] = p
		}
		p.N++
		p.Last = max(p.Last, now)
	}
}

func (m *models) forget(now int64) {
	if m.forgot != 0 && now-m.forgot < forgetEvery {
		return
	}
	m.forgot = now
	for k, p := range m.Pairs {
		if now-p.Last > forgetAfter {
			delete(m.Pairs, k)
		}
	}
}

// Learned says how far each model has come at a time.
func (a *Auditor) Learned(now int64) []inventory.Learned {
	out := make([]inventory.Learned, 0, 3)
	for _, name := range []string{ModelPods, ModelSecrets, ModelAccounts} {
		l := a.models.By[name]
		one := inventory.Learned{Model: name, Since: a.habits.Since, Events: l.Events}
		for k := range a.models.Pairs {
			if strings.HasPrefix(k, name) {
				one.Known++
			}
		}
		if name == ModelAccounts {
			one.Known = a.habits.total
		}
		if one.Since > 0 {
			one.Until = one.Since + a.opt.LearnFor
			one.Ready = now >= one.Until
		}
		out = append(out, one)
	}
	return out
}

// judge collects what is new about one event for one model.
type judge struct {
	score float64
	why   []string
}

func (j *judge) add(weight float64, format string, args ...any) {
	j.score += weight
	j.why = append(j.why, fmt.Sprintf(format, args...))
}

// ready reports whether a model judges yet. Each has learned since events are taken in,
// also where nothing it asks about ever happened: that is what it has learned.
func (a *Auditor) ready(model string, now int64) bool {
	a.models.By[model].Events++
	return now-a.habits.Since >= a.opt.LearnFor
}

func (a *Auditor) unusual(f *event.AuditFacts, model string, j judge, now int64) {
	f.Unusual = append(f.Unusual, model)
	f.Why = bounded(append(f.Why, j.why...))
	f.Learned = max(f.Learned, now-a.habits.Since)
}

// learn asks the models about an event, then lets them learn it. It returns the habit
// that the event belongs to, nil where there was no room for it.
func (a *Auditor) learn(d *doc, f *event.AuditFacts) *habit {
	if a.habits.Since == 0 { // an older event that comes later does not make the learning longer
		a.habits.Since = d.time
	}
	p := a.habits.person(d.identity, d.time)
	a.deployment(d, f, p)
	a.secret(d, f, p)
	return a.account(d, f, p)
}

// deployment is the model of who deploys what where.
func (a *Auditor) deployment(d *doc, f *event.AuditFacts, p *person) {
	ref := d.ObjectRef
	if ref == nil || len(f.Images) == 0 || f.Platform || !d.done() || ref.Subresource != "" {
		return
	}
	m, ns, agent := &a.models, ref.Namespace, product(d.UserAgent)
	key := func(parts ...string) string { return ModelPods + "\x00" + strings.Join(parts, "\x00") }
	actor, in := key("actor", d.identity), key("namespace", ns)
	learn := []string{actor, in}
	var j judge
	known, home := m.seen(actor), m.seen(in)
	settled := p != nil && d.time-p.First > a.opt.Settle
	if known == 0 {
		j.add(2, "%s has never deployed anything", d.identity)
	}
	if k := key("actor-namespace", d.identity, ns); true {
		if m.seen(k) == 0 {
			learn = append(learn, key("places", d.identity))
		}
		if m.fresh(k, d.time) {
			switch {
			case known >= wellKnown && m.seen(key("places", d.identity)) >= manyPlaces:
				j.add(0.5, "%s deploys to %s for the first time, as it has to other namespaces", d.identity, ns)
			case known >= wellKnown || known > 0 && settled && !p.at(ns, d.time):
				j.add(2, "%s has never deployed to %s", d.identity, ns)
			}
		}
		learn = append(learn, k)
	}
	if settled && fresh(p.Agents, agent, d.time) {
		j.add(1.5, "%s has never used %s", d.identity, agent)
	}
	for _, registry := range registries(f.Images) {
		k, mine := key("namespace-registry", ns, registry), key("actor-registry", d.identity, registry)
		if home >= wellKnown && m.fresh(k, d.time) {
			j.add(2, "nothing in %s came from %s before", ns, registry)
		}
		if known >= wellKnown && m.fresh(mine, d.time) {
			j.add(1, "%s has never deployed from %s", d.identity, registry)
		}
		learn = append(learn, k, mine)
	}
	if powers := slices.Concat(f.Powers, f.Mounts); len(powers) > 0 {
		slices.Sort(powers)
		k := key("namespace-powers", ns, strings.Join(powers, ","))
		if home >= wellKnown && m.fresh(k, d.time) {
			j.add(2, "nothing in %s had %s before", ns, strings.Join(powers, ", "))
		}
		learn = append(learn, k)
	}
	odd := a.ready(ModelPods, d.time) && j.score >= threshold
	if odd {
		a.unusual(f, ModelPods, j, d.time)
	}
	m.learn(d.time, odd, learn...)
}

// secret is the model of who reads which secrets.
func (a *Auditor) secret(d *doc, f *event.AuditFacts, p *person) {
	ref := d.ObjectRef
	if ref == nil || ref.Resource != "secrets" || ref.APIGroup != "" || !reads(d.Verb) || f.Platform && !f.Elsewhere {
		return
	}
	m, agent, name := &a.models, product(d.UserAgent), foldName(ref.Name)
	scope := scopeOf(d.identity, ref.Namespace, a.opt.State.PlatformNamespace)
	where := ref.Namespace
	if where == "" {
		where = "all namespaces"
	}
	key := func(parts ...string) string { return ModelSecrets + "\x00" + strings.Join(parts, "\x00") }
	actor := key("actor", d.identity)
	known := m.seen(actor)
	learn := []string{actor}
	var j judge
	if known == 0 && scope != "own" {
		j.add(1, "%s has never read a secret", d.identity)
	}
	newPlace := false
	if k := key("actor-namespace", d.identity, ref.Namespace); true {
		if m.seen(k) == 0 {
			learn = append(learn, key("places", d.identity))
		}
		if m.fresh(k, d.time) {
			newPlace = true
			switch {
			case scope == "own":
			case scope == "all":
				j.add(2.5, "%s has never read secrets of all namespaces", d.identity)
			case m.seen(key("places", d.identity)) >= manyPlaces:
				j.add(0.5, "%s reads secrets in %s for the first time, as it has in other namespaces", d.identity, where)
			case p != nil && p.at(ref.Namespace, d.time):
				j.add(1, "%s works in %s but has never read secrets there", d.identity, where)
			default:
				j.add(2, "%s has never read secrets in %s", d.identity, where)
			}
		}
		learn = append(learn, k)
	}
	if k := key("actor-verb", d.identity, d.Verb); true {
		if known >= wellKnown && m.fresh(k, d.time) {
			j.add(1, "%s has never done a %s of secrets", d.identity, d.Verb)
		}
		learn = append(learn, k)
	}
	if p != nil && d.time-p.First > a.opt.Settle && fresh(p.Agents, agent, d.time) {
		j.add(1.5, "%s has never used %s", d.identity, agent)
	}
	if name != "" {
		k := key("actor-name", d.identity, ref.Namespace, name)
		if known >= wellKnown && !newPlace && m.fresh(k, d.time) {
			j.add(1, "%s has never read the secret %s in %s", d.identity, ref.Name, where)
		}
		learn = append(learn, k)
	}
	// How many it reads in ten minutes, against the most it ever did.
	most := key("most", d.identity)
	if n, before := int64(f.SecretsRead), m.most(most, d.time); n >= 10 && n > 3*before {
		j.add(2, "%s read %d different secrets in ten minutes; before, at most %d", d.identity, n, before)
	}
	if d.denied() {
		j.add(1, "it was refused")
	}
	if f.Elsewhere {
		j.add(2, "its token was used from where its pod is not")
	}
	odd := a.ready(ModelSecrets, d.time) && j.score >= threshold
	if odd {
		a.unusual(f, ModelSecrets, j, d.time)
	}
	if !d.denied() {
		m.raise(most, int64(f.SecretsRead), d.time, odd)
		m.learn(d.time, odd, learn...)
	}
}

// account is the model of what service accounts do; habits are kept of all identities.
func (a *Auditor) account(d *doc, f *event.AuditFacts, p *person) *habit {
	if p == nil {
		a.habits.dropped++
		return nil
	}
	ns := ""
	if d.ObjectRef != nil {
		ns = d.ObjectRef.Namespace
	}
	k := habitKey{d.identity, d.Verb, d.resource(), ns}
	one, _ := a.habits.of(p, k, d.time)
	if d.actor == event.ActorServiceAccount {
		var j judge
		a.newHabit(d, f, p, k, one, &j)
		if a.ready(ModelAccounts, d.time) && j.score >= threshold {
			a.unusual(f, ModelAccounts, j, d.time)
			if one != nil && one.Settled == 0 {
				one.Settled, one.Odd = d.time+quarantine, true
			}
		}
	}
	if _, ok := p.From[f.From]; !ok && f.From != "" {
		p.From[f.From] = d.time
	}
	if agent := product(d.UserAgent); len(p.Agents) < maxAgents {
		if _, ok := p.Agents[agent]; !ok {
			if p.Agents[agent] = d.time; len(f.Unusual) > 0 {
				p.Agents[agent] += quarantine
			}
		}
	}
	if one != nil {
		a.habits.note(p, k, one, d, f)
	}
	return one
}

func (a *Auditor) newHabit(d *doc, f *event.AuditFacts, p *person, k habitKey, one *habit, j *judge) {
	settled := d.time-p.First > a.opt.Settle
	scope := scopeOf(d.identity, k.namespace, a.opt.State.PlatformNamespace)
	where := "in " + k.namespace
	if k.namespace == "" {
		where = "in the whole cluster"
	}
	if _, ok := p.From[f.From]; !ok && settled && len(p.From) > 0 && (f.From == event.FromInternet || f.From == event.FromAnonymiser || f.From == event.FromPrivate || f.Elsewhere) {
		j.add(3, "%s has never been used from there (%s)", d.identity, f.From)
	}
	if one != nil && one.OK > 0 && d.time >= one.Settled {
		return
	}
	peer := peerKey(k.verb, k.resource, scopeOf(d.identity, k.namespace, func(string) bool { return false }))
	high := sensitive(k.verb, d.ObjectRef)
	need := manyPeers
	if high { // what a few operators may do is not common
		need = max(2*manyPeers, a.habits.accounts/5)
	}
	if !f.Elsewhere && (a.habits.peers[peer] >= need || p.does[peer] >= manyPlaces && scope != "platform") {
		return // many do it, or it does so itself in many namespaces
	}
	switch {
	case high && (settled || scope != "own"):
		j.add(3, "%s has never done %s %s %s", d.identity, k.verb, k.resource, where)
	case !settled:
	case d.denied():
		j.add(2, "%s tried %s %s %s for the first time and was refused", d.identity, k.verb, k.resource, where)
		p.fresh.add(d.time)
	default:
		j.add(1, "%s has never done %s %s %s", d.identity, k.verb, k.resource, where)
		p.fresh.add(d.time)
	}
	if n := p.fresh.sum(d.time); settled && n >= burst {
		j.add(2, "%d things it never did before in ten minutes", n)
	}
}

// sensitive reports whether a request reads secrets, runs something, or changes who may
// do what.
func sensitive(verb string, ref *objectRef) bool {
	if ref == nil {
		return false
	}
	if verb == "impersonate" || verb == "escalate" || verb == "bind" || verb == "approve" || verb == "sign" {
		return true
	}
	write := changes(verb) || verb == "delete" || verb == "deletecollection"
	switch ref.APIGroup {
	case "rbac.authorization.k8s.io", "admissionregistration.k8s.io", "certificates.k8s.io":
		return write
	case "apps", "batch":
		return changes(verb) && (ref.Subresource == "" || ref.Subresource == "scale")
	case "":
	default:
		return false
	}
	switch ref.Resource + "/" + ref.Subresource {
	case "secrets/":
		return true
	case "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy", "nodes/proxy", "serviceaccounts/token":
		return true
	case "pods/", "pods/ephemeralcontainers", "replicationcontrollers/", "nodes/", "persistentvolumes/", "serviceaccounts/":
		return write
	case "events/":
		return verb == "delete" || verb == "deletecollection"
	}
	return false
}

// product is the program of a user agent, without version and machine.
func product(agent string) string {
	if i := strings.IndexAny(agent, "/ ("); i > 0 {
		agent = agent[:i]
	}
	if agent == "" {
		return "no user agent"
	}
	if len(agent) > 64 {
		agent = strings.ToValidUTF8(agent[:64], "")
	}
	return agent
}

// registries are the registry and first step of the path of each image.
func registries(images []string) []string {
	var out []string
	for _, i := range images {
		parts := strings.SplitN(inventory.Repository(i), "/", 3)
		out = append(out, strings.Join(parts[:min(2, len(parts))], "/"))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// foldName takes numbers and generated endings out of a name, so that each release of a
// chart and each generated token is no new secret.
func foldName(name string) string {
	var b strings.Builder
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '-' || r == '.' }) {
		if b.Len() > 0 {
			b.WriteByte('-')
		}
		if strings.ContainsAny(part, "0123456789") {
			part = "#"
		}
		b.WriteString(part)
	}
	return b.String()
}
