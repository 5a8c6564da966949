package activity

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dockreeve/dockreeve/finding"
)

const (
	maxIDs   = 20 // of events that a finding names
	maxNamed = 5  // of resources, operations, addresses in a text
	maxText  = 1024
	after    = int64(time.Hour) // what a caller did so soon after belongs to it
)

// findings writes what was found, gravest first.
func (j *judge) findings() {
	list := make([]finding.Finding, 0, len(j.byKey))
	for _, g := range j.byKey {
		f := j.finding(g)
		list = append(list, f)
		j.out.Places[f.ID] = g.place()
	}
	slices.SortFunc(list, func(a, b finding.Finding) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Time, a.Time), cmp.Compare(a.ID, b.ID))
	})
	if len(list) > MaxFindings {
		j.out.Dropped = len(list) - MaxFindings
		for i := range list[MaxFindings:] {
			delete(j.out.Places, list[MaxFindings+i].ID)
		}
		list = list[:MaxFindings]
	}
	j.out.Findings = list
}

// severity is one less than the rule's where nothing of it succeeded.
func (g *group) severity() finding.Severity {
	if g.done() == 0 && g.rule.Refused == 0 && g.grave > finding.Low {
		return g.grave - 1
	}
	return g.grave
}

func (g *group) done() (n int) {
	for _, a := range g.acts {
		if a.outcome == doneOut {
			n++
		}
	}
	return n
}

func (j *judge) finding(g *group) finding.Finding {
	r, a := g.rule, g.acts[0]
	severity := g.severity()
	rule := finding.Rule{ID: r.ID, Name: r.Title, Hash: r.hash, Priority: severity.String(), Desc: strings.TrimSpace(r.Desc), Tags: []string{"azure", "activity-log"},
		Tactics: slices.Clone(r.Tactics), Techniques: slices.Clone(r.Techniques), Answers: slices.Clone(r.Answers), Response: slices.Clone(r.Response)}
	place, name, owner := g.place(), "", ""
	if g.cluster != nil {
		name, owner = cmp.Or(j.in.Names[place], g.cluster.Name), j.in.Owners[place]
	} else if s := j.plans[g.sub]; s != nil {
		name = cmp.Or(s.Name, g.sub)
	} else {
		name = g.sub
	}
	f := finding.Finding{
		// A day that is read again, when it has gone on, is the same judgement.
		ID: finding.ID(r.ID, "azure activity", g.actor, place, g.day, severity.String()), Fingerprint: finding.Fingerprint(r.ID, place, g.actor, "azure-activity"),
		Rule: rule, Severity: severity, Time: a.at, Repeats: uint64(len(g.acts) - 1), Event: json.RawMessage(`{}`),
		Subject: finding.Subject{Node: "azure", Workload: name, Object: a.resource, ObjectClass: "azure-activity", Source: a.address, Owner: owner, Identity: "user:" + a.caller},
	}
	if g.cluster != nil {
		f.Subject.Cluster = name
	}
	for _, x := range g.acts {
		for _, id := range x.ids {
			if len(f.EventIDs) < maxIDs {
				f.EventIDs = append(f.EventIDs, id)
			}
		}
	}
	from := ""
	if list := g.named(func(a *act) string { return a.address }); list != "" {
		from = ", from " + list
	}
	times := g.times()
	condition := func(field, op, want, got string) {
		f.Why = append(f.Why, finding.Condition{Expr: strings.Join([]string{field, op, want}, " "), Field: field, Op: op, Want: want, Got: clip(got), True: true})
	}
	var text []string
	if g.who != nil {
		f.Subject.Identity = "managedIdentity:" + g.who.name
		f.Summary = fmt.Sprintf("%s of %s %s: %s%s", upper(g.holder.use.Title), name, r.Did, times, from)
		condition(g.how, "is an identity of", name, g.who.key)
		condition("use", "=", cmp.Or(g.holder.named, "unknown"), g.holder.use.Title+", which "+g.holder.use.Does)
		condition("operation", "not in", "what that use needs", g.operations())
		text = append(text, fmt.Sprintf("%s is %s; it %s.", g.who.name, g.holder.use.Title, g.holder.use.Does))
		if others := g.otherClusters(); len(others) > 0 {
			f.Subject.Reaches = others
			text = append(text, fmt.Sprintf("Others use the same identity: %s.", some(others)))
		}
	} else {
		f.Summary = fmt.Sprintf("%s %s at %s: %s%s", cmp.Or(a.rec.Caller, a.caller, "somebody unnamed"), r.Did, name, times, from)
	}
	if r.Refused > 0 {
		condition("refused", ">=", fmt.Sprint(r.Refused), fmt.Sprintf("%d, %s", len(g.acts), g.pattern))
	} else {
		condition("operation", "like", g.pattern, g.operations())
	}
	for k, want := range r.Asked { // one at most, in what is shipped
		condition(k, "=", want, a.rec.Properties[k])
	}
	switch {
	case r.Actor == actorStranger:
		condition("caller", "not seen before", hours(j.rules.Known), cmp.Or(a.rec.Caller, a.caller))
		condition("address", "not used by others", hours(j.rules.Known), cmp.Or(a.address, "not told"))
		condition("owner", "is not", "the caller", cmp.Or(owner, "unowned"))
		text = append(text, fmt.Sprintf("Usual here are the owner (%s), people who worked on clusters more than %s before, and the addresses they worked from.", cmp.Or(owner, "nobody is known to own it"), hours(j.rules.Known)))
	case r.Learned:
		condition("seen before", "=", "never", "in what was read since "+stamp(j.out.From))
	}
	if r.Still != "" {
		condition("now", "=", r.Still, "as of the snapshot")
	}
	condition("outcome", "=", "succeeded", fmt.Sprintf("%d of %d", g.done(), len(g.acts)))
	f.Why[len(f.Why)-1].True = g.done() > 0
	if from != "" && r.Actor != actorStranger {
		condition("address", "=", strings.TrimPrefix(from, ", from "), strings.TrimPrefix(from, ", from "))
	}
	text = append([]string{fmt.Sprintf("%s: %s at %s, %s.", upper(r.Did), g.operations(), g.named(func(a *act) string { return a.resource }), when(a.at, g.acts[len(g.acts)-1].at))}, text...)
	if g.cluster == nil {
		var names []string
		for _, c := range j.inSub[g.sub] {
			names = append(names, c.Name)
		}
		f.Subject.Reaches = names[:min(len(names), maxNamed)]
		text = append(text, "Clusters of this subscription: "+some(names)+".")
	}
	g.notes = append(g.notes, j.soonAfter(g)...)
	for _, n := range g.notes {
		text = append(text, upper(n)+".")
	}
	f.Summary, f.Output = clip(f.Summary), clip(strings.Join(text, " "))
	return f
}

// times says how often, and how much of it succeeded.
func (g *group) times() string {
	n, done := len(g.acts), g.done()
	switch {
	case done == n && n == 1:
		return "once"
	case done == n:
		return fmt.Sprintf("%d times", n)
	case done == 0 && n == 1:
		return "one attempt, which failed"
	case done == 0:
		return fmt.Sprintf("%d attempts, all of which failed", n)
	}
	return fmt.Sprintf("%d attempts, %d of which succeeded", n, done)
}

func (g *group) operations() string { return g.named(func(a *act) string { return a.op }) }

// named lists different values of the acts, the first ones.
func (g *group) named(of func(*act) string) string {
	var list []string
	for _, a := range g.acts {
		if s := of(a); s != "" && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return some(list)
}

func some(list []string) string {
	if len(list) > maxNamed {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:maxNamed], ", "), len(list)-maxNamed)
	}
	return strings.Join(list, ", ")
}

// otherClusters names the other clusters that use the identity.
func (g *group) otherClusters() (out []string) {
	for _, h := range g.who.of {
		if h.cluster != g.cluster && !slices.Contains(out, h.cluster.Name) {
			out = append(out, h.cluster.Name)
		}
	}
	return out
}

// soonAfter says what else the caller did at clusters within an hour.
func (j *judge) soonAfter(g *group) (out []string) {
	if g.who != nil {
		return nil
	}
	last := g.acts[len(g.acts)-1].at
	from, _ := slices.BinarySearchFunc(j.acts, last, func(a *act, at int64) int { return cmp.Compare(a.at, at) })
	for _, a := range j.acts[from:] {
		if a.at-last > after || len(out) == maxNamed {
			break
		}
		if a.caller == g.actor && strings.HasPrefix(a.lower, "microsoft.containerservice/") && !slices.Contains(g.acts, a) {
			out = append(out, fmt.Sprintf("within an hour the same caller did %s at %s", a.op, a.resource))
		}
	}
	return out
}

func stamp(at int64) string { return time.Unix(0, at).UTC().Format("2006-01-02 15:04 UTC") }

func when(from, to int64) string {
	if stamp(from) == stamp(to) {
		return stamp(from)
	}
	return stamp(from) + " to " + stamp(to)
}

// hours writes a duration as people do.
func hours(s span) string {
	if d := time.Duration(s); d < time.Hour {
		return fmt.Sprintf("%.0f minutes", d.Minutes())
	}
	return fmt.Sprintf("%.0f hours", time.Duration(s).Hours())
}

// upper writes the first letter large.
func upper(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return strings.ToUpper(string(r)) + s[n:]
}

// clip bounds a text.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}
