// Package activity owns what Azure's Activity Log says of abuse: managed identities of
// clusters that do what their use never needs, and the few things that others do there
// which should not go by (administrator's credentials fetched by strangers, protection and
// logs switched off, alerts suppressed).
//
// Judge is a pure function of a cloud.Tenant: the order of its records does not matter, a
// snapshot, exports and a live run give the same findings with the same ids, and it reads
// no clock. There is one finding for each identity, rule, cluster and day of UTC. What is
// usual is learned from the same log; what could not be judged is part of the Report.
//
// It reads nothing itself, and does not know what was asked of data planes (vaults, storage,
// registries): the Activity Log holds writes and actions of ARM, no reads of data.
package activity

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// MaxFindings bounds Report.Findings; the gravest stay.
const MaxFindings = 500

// Input is what is judged.
type Input struct {
	Tenant *cloud.Tenant     // nil = nothing was read
	Owners map[string]string // by ARM id of the cluster in lower case
	Names  map[string]string // what a cluster is called here, by ARM id; else its name in Azure
	Rules  *Rules            // nil = Shipped
}

// Report is what followed. Times are Unix nanoseconds.
type Report struct {
	Findings []finding.Finding `json:"findings"` // gravest first, then newest
	Places   map[string]string `json:"places"`   // by id of a finding: ARM id of its cluster, else of its subscription

	Events     int   `json:"events"`         // records of the log that were judged
	Acts       int   `json:"acts"`           // operations that they tell of: one has several records
	From       int64 `json:"from,omitempty"` // of the first record
	To         int64 `json:"to,omitempty"`   // of the last
	Identities int   `json:"identities"`     // of clusters, that are known
	Active     int   `json:"active"`         // of these, that did something
	Expected   int   `json:"expected"`       // acts of theirs that their use needs
	Usual      int   `json:"usual"`          // acts of theirs beyond that which are not new
	// Learning counts acts that only what is usual could judge and that fall into the time
	// in which it is learned.
	Learning int             `json:"learning"`
	Dropped  int             `json:"dropped,omitempty"` // findings beyond MaxFindings
	Gaps     []inventory.Gap `json:"gaps,omitempty"`
}

// judge is one judging.
type judge struct {
	in    *Input
	rules *Rules
	who   *identities
	acts  []*act
	out   *Report

	learned int64                        // from here on something can be new
	first   map[string]int64             // of an operation of an identity, of a rule at a resource
	callers map[string]int64             // first work on clusters, by caller that is no cluster's identity
	places  map[string]map[string]int64  // the same by address, then caller
	last    map[string]*act              // last success of an operation at a resource
	at      map[string][]*act            // by resource
	writes  map[string][]*act            // successes by parent of the resource
	byKey   map[string]*group            // what is found
	byDay   map[string]map[string]*group // the same by identity and day, then key
	rulesOf map[string][]*Rule           // by operation
	plans   map[string]*cloud.Subscription
	inSub   map[string][]*cloud.Cluster
}

// group is one judgement: a rule, an actor, a cluster and a day.
type group struct {
	rule    *Rule
	who     *ident // nil = no identity of a cluster
	how     string // field by which it was known
	holder  *holder
	cluster *cloud.Cluster // nil = of no cluster: a subscription's
	sub     string
	actor   string
	day     string
	acts    []*act
	pattern string
	notes   []string // what else belongs to it
	grave   finding.Severity
}

const dayLayout = time.DateOnly

func dayOf(at int64) string { return time.Unix(0, at).UTC().Format(dayLayout) }

// Judge says what the Activity Log of a tenant shows. It changes nothing it is given.
func Judge(in *Input) *Report {
	out := &Report{Findings: []finding.Finding{}, Places: map[string]string{}}
	if in.Tenant == nil {
		out.Gaps = []inventory.Gap{{What: "Activity Log", Reason: "no tenant of Azure was read", Remedy: "dockreeve azure collect"}}
		return out
	}
	j := &judge{in: in, rules: in.Rules, out: out, first: map[string]int64{}, callers: map[string]int64{}, places: map[string]map[string]int64{},
		last: map[string]*act{}, at: map[string][]*act{}, writes: map[string][]*act{}, byKey: map[string]*group{}, byDay: map[string]map[string]*group{}, rulesOf: map[string][]*Rule{}, plans: map[string]*cloud.Subscription{}, inSub: map[string][]*cloud.Cluster{}}
	if j.rules == nil {
		j.rules = Shipped()
	}
	t := in.Tenant
	for i := range t.Subscriptions {
		j.plans[strings.ToLower(t.Subscriptions[i].ID)] = &t.Subscriptions[i]
	}
	for i := range t.Clusters {
		c := &t.Clusters[i]
		sub := strings.ToLower(c.Subscription)
		j.inSub[sub] = append(j.inSub[sub], c)
	}
	for _, list := range j.inSub {
		slices.SortFunc(list, func(a, b *cloud.Cluster) int { return cmp.Compare(strings.ToLower(a.ID), strings.ToLower(b.ID)) })
	}
	j.who = identitiesOf(t, j.rules)
	j.acts = actsOf(t.Activity)
	out.Events, out.Acts = len(t.Activity), len(j.acts)
	for i := range t.Activity {
		at := t.Activity[i].At
		if out.From == 0 || at < out.From {
			out.From = at
		}
		out.To = max(out.To, at)
	}
	j.learned = out.From + int64(j.rules.Learn)
	j.index()
	out.Identities = len(j.who.all)
	active := map[*ident]bool{}
	refused := map[*ident][]*act{}
	for _, a := range j.acts {
		if a.who == nil {
			j.others(a)
			continue
		}
		active[a.who] = true
		if j.identity(a) && a.outcome == refusedOut {
			refused[a.who] = append(refused[a.who], a)
		}
	}
	for who, list := range refused {
		j.probing(who, list)
	}
	out.Active = len(active)
	j.fold()
	j.findings()
	j.gaps()
	return out
}

// index notes when what was first done, before anything is judged.
func (j *judge) index() {
	for _, a := range j.acts {
		a.who, a.how = j.who.of(a.rec)
		j.at[a.resource] = append(j.at[a.resource], a)
		if a.who != nil {
			earliest(j.first, a.who.key+"|"+a.lower, a.at)
		} else if strings.HasPrefix(a.lower, "microsoft.containerservice/") {
			earliest(j.callers, a.caller, a.at)
			if a.address != "" {
				if j.places[a.address] == nil {
					j.places[a.address] = map[string]int64{}
				}
				earliest(j.places[a.address], a.caller, a.at)
			}
		}
		if a.outcome == doneOut {
			j.last[a.lower+"|"+a.resource] = a
			if parent := parentOf(a.resource); parent != "" && strings.HasSuffix(a.lower, "/write") {
				j.writes[parent] = append(j.writes[parent], a)
			}
		}
	}
}

func earliest(m map[string]int64, key string, at int64) {
	if old, ok := m[key]; !ok || at < old {
		m[key] = at
	}
}

func parentOf(resource string) string {
	i := strings.LastIndexByte(resource, '/')
	if i < 0 {
		return ""
	}
	return resource[:i]
}

// rulesFor are the rules that an operation by such an actor can be of: a log repeats few
// operations often.
func (j *judge) rulesFor(a *act) []*Rule {
	key := a.lower
	if a.who != nil {
		key = "identity|" + key
	}
	list, ok := j.rulesOf[key]
	if !ok {
		for i := range j.rules.Rules {
			r := &j.rules.Rules[i]
			if _, about := r.Operations.match(a.lower); about && (r.Actor == actorIdentity) == (a.who != nil) {
				list = append(list, r)
			}
		}
		j.rulesOf[key] = list
	}
	return list
}

// identity judges what an identity of a cluster did. It reports whether that was beyond
// what its use needs.
func (j *judge) identity(a *act) bool {
	if a.who.allows(a) {
		j.out.Expected++
		return false
	}
	for _, r := range j.rulesFor(a) {
		pattern, ok := r.matches(a)
		if !ok {
			continue
		}
		if r.Learned {
			switch first := j.first[a.who.key+"|"+a.lower]; {
			case a.at < j.learned:
				j.out.Learning++
				return true
			case first < j.learned || dayOf(first) != dayOf(a.at):
				j.out.Usual++
				return true
			}
		}
		j.found(r, a, pattern)
		return true
	}
	j.out.Usual++
	return true
}

// probing looks for different refusals in quick succession.
func (j *judge) probing(who *ident, list []*act) {
	for i := range j.rules.Rules {
		r := &j.rules.Rules[i]
		if r.Refused == 0 {
			continue
		}
		in := map[*act]bool{}
		for from := range list {
			different := map[string]bool{}
			to := from
			for ; to < len(list) && list[to].at-list[from].at <= int64(r.Within); to++ {
				different[list[to].lower+"|"+list[to].resource] = true
			}
			if len(different) < r.Refused {
				continue
			}
			for _, a := range list[from:to] {
				in[a] = true
			}
		}
		for _, a := range list {
			if in[a] {
				j.found(r, a, fmt.Sprintf("%d different refusals within %s", r.Refused, hours(r.Within)))
			}
		}
	}
}

// others judges what anybody else did.
func (j *judge) others(a *act) {
	for _, r := range j.rulesFor(a) {
		pattern, ok := r.matches(a)
		if !ok {
			continue
		}
		cluster := j.who.clusters[clusterID(a.resource)]
		if cluster == nil && (strings.Contains(a.resource, "/managedclusters/") || len(j.inSub[a.sub]) == 0) {
			return // gone by now, or nothing here to protect
		}
		if r.Actor == actorStranger && (cluster == nil || !j.stranger(a, cluster)) {
			return
		}
		if r.Learned {
			if a.at < j.learned {
				j.out.Learning++
				return
			}
			if r.Actor != actorStranger && j.before(r, a) {
				return
			}
		}
		if r.Still != "" && !j.still(r.Still, a, cluster) || r.Undone != nil && j.undone(r.Undone, a) {
			return
		}
		j.found(r, a, pattern)
		return
	}
}

// before says whether the rule held at the same resource before, in what was read.
func (j *judge) before(r *Rule, a *act) bool {
	key := "rule|" + r.ID + "|" + a.resource
	first, ok := j.first[key]
	if !ok { // acts come in order of time, so that the first to ask for it is the first
		first = a.at
		for _, b := range j.at[a.resource] {
			if b.at >= a.at {
				break
			}
			if _, same := r.matches(b); same && b.who == nil {
				first = b.at
				break
			}
		}
		j.first[key] = first
	}
	return first < j.learned || dayOf(first) != dayOf(a.at)
}

// stranger says whether somebody is no owner, not known to work on clusters, and not
// where others work.
func (j *judge) stranger(a *act, c *cloud.Cluster) bool {
	known := a.at - int64(j.rules.Known)
	if first, ok := j.callers[a.caller]; ok && first <= known {
		return false
	}
	for who, first := range j.places[a.address] {
		if who != a.caller && first <= known {
			return false
		}
	}
	if owner := strings.ToLower(j.in.Owners[strings.ToLower(c.ID)]); a.caller != "" && strings.Contains(owner, a.caller) {
		return false
	}
	for i := range j.in.Tenant.Roles {
		h := &j.in.Tenant.Roles[i]
		if strings.EqualFold(h.Scope, c.Subscription) && (h.Principal != "" && strings.EqualFold(h.Principal, a.rec.ObjectID) || h.Name != "" && strings.EqualFold(h.Name, a.caller)) {
			return false
		}
	}
	return true
}

// What of the tenant must hold now.
const (
	stillPlanOff    = "plan-off"
	stillProfileOff = "profile-off"
)

func (j *judge) still(what string, a *act, c *cloud.Cluster) bool {
	if what == stillProfileOff {
		return c != nil && c.DefenderProfile != nil && !*c.DefenderProfile
	}
	if tier := a.rec.Properties["asked.pricingTier"]; tier != "" && !strings.EqualFold(tier, "Free") || j.last[a.lower+"|"+a.resource] != a {
		return false // it was switched on, or written again later
	}
	plan := (*cloud.Plan)(nil)
	if c != nil {
		plan = c.Plan
	} else if s := j.plans[a.sub]; s != nil {
		plan = s.Plan
	}
	return plan != nil && !plan.Standard
}

func (j *judge) undone(u *Undone, a *act) bool {
	for _, b := range j.writes[parentOf(a.resource)] {
		if _, ok := u.Operations.match(b.lower); ok && b.at >= a.at && b.at-a.at <= int64(u.Within) {
			return true
		}
	}
	return false
}

// matches says whether a rule is about an act, whoever did it, and by which pattern.
func (r *Rule) matches(a *act) (string, bool) {
	pattern, ok := r.Operations.match(a.lower)
	if !ok || r.Outcome == "succeeded" && a.outcome != doneOut {
		return "", false
	}
	if len(r.Resources) > 0 {
		if _, ok := r.Resources.match(a.resource); !ok {
			return "", false
		}
	}
	for k, want := range r.Asked {
		if !strings.EqualFold(a.rec.Properties[k], want) {
			return "", false
		}
	}
	return pattern, true
}

// found puts an act into its judgement.
func (j *judge) found(r *Rule, a *act, pattern string) {
	g := &group{rule: r, who: a.who, how: a.how, actor: a.caller, day: dayOf(a.at), sub: a.sub, pattern: pattern, grave: r.Severity}
	if a.who != nil {
		g.holder = a.who.holderFor(a)
		g.cluster, g.actor = g.holder.cluster, a.who.key
		if g.grave == finding.SeverityNone {
			g.grave = g.holder.use.Unusual
		}
	} else {
		g.cluster = j.who.clusters[clusterID(a.resource)]
	}
	key := strings.Join([]string{r.ID, g.actor, g.place(), g.day}, "|")
	if old := j.byKey[key]; old != nil {
		old.acts = append(old.acts, a)
		return
	}
	g.acts = []*act{a}
	j.byKey[key] = g
	if day := g.actor + "|" + g.day; a.who != nil {
		if j.byDay[day] == nil {
			j.byDay[day] = map[string]*group{}
		}
		j.byDay[day][key] = g
	}
}

// place is the cluster, or the subscription where it is no cluster's.
func (g *group) place() string {
	if g.cluster != nil {
		return strings.ToLower(g.cluster.ID)
	}
	return g.sub
}

// fold makes what is only odd a note at what is grave, where one identity did both on one
// day: one matter, one alert.
func (j *judge) fold() {
	for _, of := range j.byDay {
		var grave, odd []string
		for key, g := range of {
			if g.rule.Learned || g.rule.Refused > 0 {
				odd = append(odd, key)
			} else {
				grave = append(grave, key)
			}
		}
		if len(grave) == 0 {
			continue
		}
		slices.SortFunc(grave, func(a, b string) int {
			return cmp.Or(cmp.Compare(of[b].severity(), of[a].severity()), cmp.Compare(of[a].acts[0].at, of[b].acts[0].at), cmp.Compare(a, b))
		})
		slices.Sort(odd)
		to := of[grave[0]]
		for _, key := range odd {
			to.notes = append(to.notes, "it also "+of[key].rule.Did+": "+of[key].operations())
			delete(j.byKey, key)
		}
		for _, key := range grave[1:] {
			to.notes = append(to.notes, "it also "+of[key].rule.Did+", which is an alert of its own")
		}
	}
}

func (j *judge) gaps() {
	t, out := j.in.Tenant, j.out
	add := func(what, reason, remedy string) {
		out.Gaps = append(out.Gaps, inventory.Gap{What: what, Reason: reason, Remedy: remedy})
	}
	read := false
	for i := range t.Reads {
		r := &t.Reads[i]
		if r.What != cloud.ReadActivity || r.Outcome == cloud.ReadAbsent || r.Outcome == cloud.ReadSkipped {
			continue
		}
		read = true
		if r.Outcome != cloud.ReadOK {
			add("Activity Log of "+cmp.Or(r.Scope, "the tenant"), cmp.Or(r.Reason, r.Outcome), r.Remedy)
		} else if r.Bad > 0 {
			add("Activity Log of "+cmp.Or(r.Scope, "the tenant"), fmt.Sprintf("%d of its records were not understood", r.Bad), "")
		}
	}
	if !read && len(t.Activity) == 0 {
		add("Activity Log", "it was not read", "dockreeve azure collect, without --skip activity-log")
		return
	}
	if span := out.To - out.From; span < int64(j.rules.Learn) {
		add("what is new in the Activity Log", fmt.Sprintf("what was read spans %.0f hours, and %s are needed to say what is usual", time.Duration(span).Hours(), hours(j.rules.Learn)), "dockreeve azure collect --activity-days 7, or more")
	}
	silent := 0
	for i := range t.Clusters {
		if c := &t.Clusters[i]; c.Kind == cloud.KindAKS && len(c.Identities) == 0 && c.ServicePrincipal == "" {
			silent++
		}
	}
	if silent > 0 {
		add("identities of clusters", fmt.Sprintf("Azure names none for %d of the clusters: what they do there is not judged", silent), "")
	}
	if out.Dropped > 0 {
		add("abuse in the Activity Log", fmt.Sprintf("%d findings beyond %d are left out", out.Dropped, MaxFindings), "look at the gravest first")
	}
}
