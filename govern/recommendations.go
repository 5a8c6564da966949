package govern

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/posture"
)

// MaxRecommendations bounds Evaluation.Recommendations; the rest is told as a gap.
const MaxRecommendations = 5000

// fixedShown is how long a recommendation that was verified as fixed stays in the list.
const fixedShown = 30 * 24 * time.Hour

// weight is what a severity counts in a rank.
func weight(severity string) float64 {
	switch strings.ToLower(severity) {
	case "critical":
		return 10
	case "high":
		return 5
	case "medium":
		return 2
	}
	return 1
}

// recommendations groups what fails by control and owner, joins what Defender says of the
// same demand, and ranks: severity's weight (doubled in production, where unknown counts as
// production) × workloads of each resource, summed, ÷ effort.
func recommendations(in *Input, ev *Evaluation) {
	b := newAdvice(in, ev)
	b.judged()
	b.defender()
	b.unreadable()
	var out []Recommendation
	for _, k := range sortedKeys(b.groups) {
		if r, ok := b.finish(b.groups[k]); ok {
			out = append(out, r)
		}
	}
	out = append(out, b.fixed(out)...)
	slices.SortFunc(out, func(a, b Recommendation) int {
		return cmp.Or(cmp.Compare(min(a.Fixed, 1), min(b.Fixed, 1)), cmp.Compare(b.Fixed, a.Fixed), cmp.Compare(b.Rank, a.Rank),
			cmp.Compare(weight(b.Severity), weight(a.Severity)), strings.Compare(a.ID, b.ID), strings.Compare(a.Owner, b.Owner))
	})
	if n := len(out) - MaxRecommendations; n > 0 {
		out = out[:MaxRecommendations]
		ev.Gaps = append(ev.Gaps, inventory.Gap{What: "recommendations", Reason: fmt.Sprintf("%d of the lowest rank are not kept", n), Remedy: "deal with those above, or exempt what is accepted"})
	}
	ev.Recommendations = out
}

// advice is the state of building recommendations.
type advice struct {
	in       *Input
	ev       *Evaluation
	config   Config
	controls map[string]*posture.Control
	clusters map[string]*ClusterRow // by id in lower case and by name here
	subs     map[string]*SubscriptionRow
	seen     map[string]*Observed
	groups   map[string]*group
	at       map[string]*posture.Result // control|resource → verdict
}

// group is one recommendation at one owner while it is put together.
type group struct {
	id, owner, severity     string
	control                 *posture.Control
	title, why              string
	resources               map[string]Ref
	ours, theirs            map[string]bool // resource → said so
	passes                  int
	unread                  []Ref
	exempt                  int
	rank                    float64
	workloads               int
	owners                  map[string]bool // earlier owners of its resources
	disagree, disagreeOther []string
	first                   int64
}

func newAdvice(in *Input, ev *Evaluation) *advice {
	b := &advice{in: in, ev: ev, config: in.Config.with(), controls: map[string]*posture.Control{}, clusters: map[string]*ClusterRow{},
		subs: map[string]*SubscriptionRow{}, seen: map[string]*Observed{}, groups: map[string]*group{}, at: map[string]*posture.Result{}}
	for i := range in.Controls {
		b.controls[in.Controls[i].ID] = &in.Controls[i]
	}
	for i := range ev.Clusters {
		c := &ev.Clusters[i]
		b.clusters[strings.ToLower(c.ID)] = c
		if c.Here != "" {
			b.clusters[strings.ToLower(c.Here)] = c
		}
	}
	for i := range ev.Subscriptions {
		b.subs[guid(ev.Subscriptions[i].ID)] = &ev.Subscriptions[i]
	}
	for i := range in.Observed {
		o := &in.Observed[i]
		b.seen[strings.ToLower(o.Cluster)] = o
		if o.ID != "" {
			b.seen[strings.ToLower(o.ID)] = o
		}
	}
	return b
}

// cluster finds the row of a cluster or of anything below one.
func (b *advice) cluster(names ...string) *ClusterRow {
	for _, n := range names {
		n = strings.ToLower(n)
		if c := b.clusters[n]; c != nil {
			return c
		}
		for _, kind := range []string{"/managedclusters/", "/connectedclusters/"} {
			if i := strings.Index(n, kind); i >= 0 {
				if j := strings.IndexByte(n[i+len(kind):], '/'); j >= 0 {
					if c := b.clusters[n[:i+len(kind)+j]]; c != nil {
						return c
					}
				}
			}
		}
	}
	return nil
}

// place says whose a resource is, how many workloads it touches, and whether it counts as production.
func (b *advice) place(cluster, resource string, failing int) (owner string, c *ClusterRow, workloads int, production bool) {
	if c = b.cluster(cluster, resource); c != nil {
		o := b.seen[strings.ToLower(c.Here)]
		if o == nil {
			o = b.seen[strings.ToLower(c.ID)]
		}
		workloads = 1
		switch {
		case failing > 0:
			workloads = failing
		case o != nil && o.Workloads > 0:
			workloads = o.Workloads
		}
		return c.Ownership.Owner, c, workloads, c.Production
	}
	owner, workloads, production = inventory.Unowned, 1, true
	if s := b.subs[guid(resource)]; s != nil {
		owner = cmp.Or(s.Owner.Owner, inventory.Unowned)
		workloads = max(1, s.Clusters+s.Registries)
	}
	return owner, nil, workloads, production
}

func (b *advice) group(id, owner string) *group {
	owner = cmp.Or(owner, inventory.Unowned)
	g := b.groups[id+"@"+owner]
	if g == nil {
		g = &group{id: id, owner: owner, control: b.controls[id], resources: map[string]Ref{}, ours: map[string]bool{}, theirs: map[string]bool{}, owners: map[string]bool{}}
		if g.control != nil {
			g.severity = g.control.Severity
		}
		b.groups[id+"@"+owner] = g
	}
	return g
}

func (b *advice) add(g *group, cluster, resource, why string, failing int, counts bool) {
	_, c, n, production := b.place(cluster, resource, failing)
	key := strings.ToLower(resource)
	if _, have := g.resources[key]; !have && counts {
		w := weight(g.severity)
		if production {
			w *= 2
		}
		g.rank += w * float64(n)
		g.workloads += n
	}
	if old, have := g.resources[key]; have {
		why = old.Why + "; " + why
	}
	g.resources[key] = Ref{Kind: kindOf(resource, c), ID: resource, Name: nameOf(resource, c), Why: why}
	if c != nil {
		if n := len(b.in.History); n > 0 {
			if was := b.in.History[n-1].Clusters[c.ID].Owner; was != "" && !strings.EqualFold(was, g.owner) {
				g.owners[was] = true
			}
		}
	}
}

func kindOf(resource string, c *ClusterRow) string {
	low := strings.ToLower(resource)
	switch {
	case c != nil && (strings.EqualFold(c.ID, resource) || strings.EqualFold(c.Here, resource)):
		return "cluster"
	case strings.Contains(low, "/registries/"):
		return "registry"
	case strings.HasPrefix(low, "/subscriptions/") && strings.Count(low, "/") == 2:
		return "subscription"
	}
	return "resource"
}

func nameOf(resource string, c *ClusterRow) string {
	if c != nil && strings.EqualFold(c.ID, resource) {
		return c.Name
	}
	return resource[strings.LastIndexByte(resource, '/')+1:]
}

// judged takes our own verdicts.
func (b *advice) judged() {
	for i := range b.in.Posture {
		r := &b.in.Posture[i]
		b.at[r.Control+"|"+strings.ToLower(r.Resource)] = r
		owner, c, _, _ := b.place(r.Cluster, r.Resource, 0)
		g := b.group(r.Control, owner)
		switch r.Verdict {
		case posture.Fail:
			b.add(g, r.Cluster, r.Resource, r.Reason, r.Failing, true)
			g.ours[strings.ToLower(r.Resource)] = true
		case posture.Pass:
			g.passes++
		case posture.Exempt:
			g.exempt++
		case posture.NotAssessed:
			g.unread = append(g.unread, Ref{Kind: kindOf(r.Resource, c), ID: r.Resource, Name: nameOf(r.Resource, c), Why: "not assessed now: " + r.Reason})
		}
	}
}

// unreadable keeps what was recommended to owners of clusters that can no longer be read:
// nobody can tell whether it is mended there.
func (b *advice) unreadable() {
	unread := map[string][]Ref{} // owner → clusters
	for i := range b.ev.Clusters {
		if c := &b.ev.Clusters[i]; c.Unread != "" {
			unread[c.Ownership.Owner] = append(unread[c.Ownership.Owner], ref(c, "not assessed now: "+c.Unread, ""))
		}
	}
	if len(unread) == 0 {
		return
	}
	for key := range newestDay(b.in.History).Recommendations {
		for i := range key { // an owner may have an @ as well
			if key[i] != '@' || unread[key[i+1:]] == nil {
				continue
			}
			g := b.group(key[:i], key[i+1:])
			if g.control == nil && g.title == "" {
				g.title, g.why = g.id, "Defender for Cloud reported it."
			}
			g.unread = append(g.unread, unread[key[i+1:]]...)
			break
		}
	}
}

// demands maps Defender's keys and policies to the controls that demand the same.
func (b *advice) demands() map[string][]string {
	out := map[string][]string{}
	for i := range b.in.Controls {
		for _, a := range b.in.Controls[i].Assessments {
			a = last(a)
			out[a] = append(out[a], b.in.Controls[i].ID)
		}
	}
	return out
}

func last(id string) string { return strings.ToLower(id[strings.LastIndexByte(id, '/')+1:]) }

// defender merges what Defender for Cloud says.
func (b *advice) defender() {
	if b.in.Tenant == nil {
		return
	}
	same := b.demands()
	for i := range b.in.Tenant.Assessments {
		a := &b.in.Tenant.Assessments[i]
		owner, c, _, _ := b.place("", a.Resource, 0)
		id, r := b.ourOf(same, a, c)
		unhealthy := strings.EqualFold(a.Status, "Unhealthy")
		if id == "" {
			id = "defender:" + last(a.Key)
		}
		g := b.group(id, owner)
		if g.control == nil && g.title == "" {
			g.title, g.severity = cmp.Or(a.Title, a.Key), strings.ToLower(cmp.Or(a.Severity, "medium"))
			g.why = "Defender for Cloud reports it; no control of Dockreeve demands the same."
		}
		name := nameOf(a.Resource, c)
		switch {
		case r != nil && r.Verdict == posture.Exempt:
			continue
		case unhealthy && r != nil && r.Verdict == posture.Pass:
			g.disagree = append(g.disagree, name)
			b.add(g, "", a.Resource, told(a)+", Dockreeve passes it: "+r.Reason, 0, false)
		case unhealthy:
			b.add(g, "", a.Resource, told(a), 0, !g.ours[strings.ToLower(a.Resource)])
			if a.First > 0 && (g.first == 0 || a.First < g.first) {
				g.first = a.First
			}
		case r != nil && r.Verdict == posture.Fail:
			g.disagreeOther = append(g.disagreeOther, name+" ("+strings.ToLower(a.Status)+")")
			continue
		default:
			g.passes++
			continue
		}
		g.theirs[strings.ToLower(a.Resource)] = true
	}
}

// ourOf finds the control that demands what an assessment does, where it can the one that
// was judged at the same resource, and its verdict there.
func (b *advice) ourOf(same map[string][]string, a *cloud.Assessment, c *ClusterRow) (string, *posture.Result) {
	ids := slices.Concat(same[last(a.Key)], same[last(a.Policy)])
	for _, id := range ids {
		if r := b.at[id+"|"+strings.ToLower(a.Resource)]; r != nil {
			return id, r
		}
		if c != nil && strings.EqualFold(c.ID, a.Resource) && c.Here != "" {
			if r := b.at[id+"|"+strings.ToLower(c.Here)]; r != nil {
				return id, r
			}
		}
	}
	if len(ids) > 0 {
		return ids[0], nil
	}
	return "", nil
}

func told(a *cloud.Assessment) string {
	s := "Defender says unhealthy"
	if a.Cause != "" {
		s += " (" + a.Cause + ")"
	}
	return s
}

// finish makes the recommendation of a group; false = there is nothing to do.
func (b *advice) finish(g *group) (Recommendation, bool) {
	var before int64
	if n := len(b.in.History); n > 0 {
		recs := b.in.History[n-1].Recommendations
		before = recs[g.id+"@"+g.owner]
		for o := range g.owners { // a new owner does not set the clock back
			if was := recs[g.id+"@"+o]; was > 0 && (before == 0 || was < before) {
				before = was
			}
		}
	}
	if len(g.resources) == 0 {
		if before == 0 || len(g.unread) == 0 {
			return Recommendation{}, false
		}
		for _, r := range g.unread { // it failed, and nobody can tell whether it still does: not fixed
			b.add(g, "", r.ID, r.Why, 0, true)
		}
	}
	r := Recommendation{ID: g.id, Title: g.title, Why: g.why, Severity: cmp.Or(g.severity, "medium"), Owner: g.owner, Effort: 2, Count: len(g.resources), Workloads: g.workloads}
	if c := g.control; c != nil {
		r.Title, r.Why, r.Do, r.Effort, r.Maps = c.Title, c.Why, c.Remediation, max(1, c.Effort), c.Maps
	} else {
		r.Do = []string{"Open Defender for Cloud, Recommendations, and search for: " + g.title}
	}
	if len(g.ours) > 0 || len(g.theirs) == 0 {
		r.Sources = append(r.Sources, "dockreeve")
	}
	if len(g.theirs) > 0 {
		r.Sources = append(r.Sources, "defender")
	}
	for _, k := range sortedKeys(g.resources) {
		if len(r.Resources) == MaxMissing {
			break
		}
		r.Resources = append(r.Resources, g.resources[k])
	}
	r.Rank = g.rank / float64(r.Effort)
	r.Disagree = g.disagreement()
	r.FirstSeen = b.ev.At
	for _, t := range []int64{before, g.first} {
		if t > 0 && t < r.FirstSeen {
			r.FirstSeen = t
		}
	}
	if within := b.config.Fix[strings.ToLower(r.Severity)]; within > 0 {
		r.Due = r.FirstSeen + int64(within)
		r.Overdue = b.ev.At > r.Due
	}
	return r, true
}

func (g *group) disagreement() string {
	var out []string
	if n := len(g.disagree); n > 0 {
		out = append(out, fmt.Sprintf("Defender says unhealthy where Dockreeve passes, at %d: %s (Defender's verdict can be a day old)", n, some(g.disagree, 5)))
	}
	if n := len(g.disagreeOther); n > 0 {
		out = append(out, fmt.Sprintf("Dockreeve fails it where Defender does not, at %d: %s", n, some(g.disagreeOther, 5)))
	}
	return strings.Join(out, "; ")
}

// some names the first of a list and counts the rest.
func some(names []string, n int) string {
	names = slices.Clone(names)
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) <= n {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), len(names)-n)
}

// fixed finds what was recommended, is no longer, and was looked at again: gone without a
// new look is not fixed.
func (b *advice) fixed(open []Recommendation) []Recommendation {
	still := map[string]bool{}
	for _, r := range open {
		still[r.ID+"@"+r.Owner] = true
	}
	type end struct{ first, fixed int64 }
	ends := map[string]end{}
	since := b.ev.At - int64(fixedShown)
	for i, d := range b.in.History {
		next := b.ev.At
		if i+1 < len(b.in.History) {
			next = b.in.History[i+1].At
		}
		if next < since {
			continue
		}
		for k, first := range d.Recommendations {
			ends[k] = end{first, next} // a later day that still has it moves the end
		}
	}
	// A resource that still fails and left this owner for another is no repair.
	moved := map[string]bool{}
	for _, g := range b.groups {
		for was := range g.owners {
			moved[g.id+"@"+was] = true
		}
	}
	var out []Recommendation
	for _, k := range sortedKeys(ends) {
		g := b.groups[k]
		if still[k] || g == nil || g.passes == 0 || len(g.unread) > 0 || moved[k] {
			continue
		}
		e := ends[k]
		r := Recommendation{ID: g.id, Title: g.title, Why: g.why, Severity: cmp.Or(g.severity, "medium"), Owner: g.owner, Effort: 2, FirstSeen: e.first, Fixed: e.fixed, Sources: []string{"dockreeve"}}
		if c := g.control; c != nil {
			r.Title, r.Why, r.Effort, r.Maps = c.Title, c.Why, max(1, c.Effort), c.Maps
		} else {
			r.Sources = []string{"defender"}
		}
		out = append(out, r)
	}
	return out
}
