package govern

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

const notListed = "Azure does not list the subscription: rights are missing, or it is no more"

func newestDay(days []Day) *Day {
	if n := len(days); n > 0 {
		return &days[n-1]
	}
	return &Day{}
}

// lost says why a cluster of an earlier day may be there although Azure did not tell of it;
// "" = it was looked for where it was, and is gone.
func (x *index) lost(id string, old DayRow) string {
	sub := guid(id)
	switch {
	case x.tenant.ID == "" && len(x.tenant.Reads) == 0 && len(x.tenant.Subscriptions) == 0, !strings.HasPrefix(id, "/subscriptions/"):
		return ""
	case x.tenant.Finished == 0:
		return "collection from Azure did not end"
	}
	what := cloud.ReadClusters
	if strings.Contains(id, "/connectedclusters/") {
		what = cloud.ReadArc
	}
	scope := "/subscriptions/" + sub
	for _, s := range []string{scope, ""} {
		if r := x.reads[what][s]; r != nil && r.Bad > 0 {
			return fmt.Sprintf("%d clusters that Azure told of were not understood", r.Bad)
		}
	}
	if x.subscriptions[sub] == nil {
		if old.Unread > 0 && x.now-old.Unread > int64(x.config.Thresholds.KeepUnlisted) {
			return ""
		}
		return notListed
	}
	return x.unread(what, scope)
}

// stillCounts says whether a subscription that held something, and that Azure does not list
// now, stays in the denominators.
func (x *index) stillCounts(old DayHeld) bool {
	return (x.tenant.ID != "" || len(x.tenant.Reads)+len(x.tenant.Subscriptions) > 0) && (old.Unread == 0 || x.now-old.Unread <= int64(x.config.Thresholds.KeepUnlisted))
}

// heldBefore says of a subscription that Azure does not list, and of which nothing else is
// seen, what is kept of it: that it held registries is not known to have ended.
func (x *index) heldBefore(r *SubscriptionRow, old DayHeld, unlisted bool) {
	if !unlisted || r.Clusters+r.Registries > 0 {
		return
	}
	why := notListed
	if x.tenant.Finished == 0 {
		why = "collection from Azure did not end"
	}
	r.Registries, r.Relevant = old.Registries, inventory.Assessed{NotAssessed: why}
	r.Gaps = append(r.Gaps, inventory.Gap{What: "Azure", Reason: why, Remedy: remedy(why)})
	if old.Owner != "" && r.Owner.Owner == inventory.Unowned {
		r.Owner.Owner, r.Owner.From = old.Owner, "as it was read last; now not: "+why
	}
}

// kept is a cluster that Azure could not be asked for, with what is kept of it and what
// Dockreeve sees in it (o may be nil).
func (x *index) kept(id string, old DayRow, why string, o *Observed) ClusterRow {
	no := inventory.Assessed{NotAssessed: why}
	sub := "/subscriptions/" + guid(id)
	r := ClusterRow{ID: id, Name: id[strings.LastIndexByte(id, '/')+1:], Kind: cloud.KindAKS, Subscription: sub, Unread: why, FirstSeen: old.First,
		Environment: cmp.Or(old.Environment, unknownEnvironment), EnvironmentFrom: "as it was read last; now not: " + why,
		Ownership: Ownership{Owner: cmp.Or(old.Owner, inventory.Unowned), From: "as it was read last; now not: " + why},
		Plan:      no, Profile: no, PolicyAddon: no, RegistryScan: no, AuditExport: x.auditExport(nil, o)}
	if strings.Contains(id, "/connectedclusters/") {
		r.Kind = cloud.KindArc
	}
	if _, rest, ok := strings.Cut(id, "/resourcegroups/"); ok {
		r.ResourceGroup, _, _ = strings.Cut(rest, "/")
	}
	if s := x.subscription(sub); s != nil {
		r.SubscriptionName = s.Name
	}
	r.Production = !x.knownEnvironment(r.Environment) || x.production(r.Environment)
	r.Gaps = append(r.Gaps, inventory.Gap{What: "Azure", Reason: why, Remedy: remedy(why)})
	x.here(&r, o)
	x.protect(&r, nil, o)
	return r
}

// namedTwice says of clusters that agents tell of under more than one name which names are
// not looked at.
func namedTwice(list []Observed, used map[string]*Observed) map[string][]inventory.Gap {
	out := map[string][]inventory.Gap{}
	for i := range list {
		o := &list[i]
		if id := strings.ToLower(o.ID); id != "" && used[id] != o {
			out[id] = append(out[id], inventory.Gap{What: "agents", Reason: "they tell of it under the name " + o.Cluster + " too, last heard earlier: that is not looked at", Remedy: "take the cluster " + o.Cluster + " off where it was onboarded before"})
		}
	}
	return out
}

// unreadFinding tells once that there are clusters that cannot be read, and which.
func unreadFinding(ev *Evaluation, x *index, tell teller) map[string]bool {
	unread := map[string]bool{}
	var names []string
	why := ""
	for i := range ev.Clusters {
		if r := &ev.Clusters[i]; r.Unread != "" {
			unread[r.ID] = true
			names = append(names, r.Name)
			why = cmp.Or(why, r.Unread)
		}
	}
	var subs []string // that held registries only
	for i := range ev.Subscriptions {
		if s := &ev.Subscriptions[i]; s.Clusters == 0 && s.Registries > 0 && s.Relevant.NotAssessed != "" {
			subs = append(subs, s.Name)
			why = cmp.Or(why, s.Relevant.NotAssessed)
		}
	}
	var parts []string
	for _, p := range []struct {
		of    []string
		thing string
	}{{names, "cluster"}, {subs, "subscription"}} {
		if len(p.of) > 0 {
			parts = append(parts, count(len(p.of), p.thing)+" can no longer be read and "+map[bool]string{true: "counts", false: "count"}[len(p.of) == 1]+" as not assessed: "+some(p.of, 5))
		}
	}
	if len(parts) > 0 {
		tell(RuleUnread, finding.Medium, Ref{Kind: "tenant", ID: x.tenant.ID, Name: x.tenant.Name}, "", strings.Join(append(parts, why), "; "), remedy(why))
	}
	return unread
}

// Unproven says of a finding's key that its absence from this evaluation proves nothing:
// what it is about could not be read, or not what it says of it.
func (ev *Evaluation) Unproven() func(key string) bool {
	unread, unknown, plans, gaps := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i := range ev.Clusters {
		r := &ev.Clusters[i]
		unread[strings.ToLower(r.ID)], unknown[strings.ToLower(r.ID)] = r.Unread != "", r.Protected.NotAssessed != ""
	}
	for i := range ev.Subscriptions {
		s := &ev.Subscriptions[i]
		plans[strings.ToLower(s.ID)], gaps[guid(s.ID)] = s.Plan.NotAssessed != "" || s.Relevant.NotAssessed != "", len(s.Gaps) > 0
	}
	return func(key string) bool {
		rule, subject, _ := strings.Cut(key, "|")
		subject, _, _ = strings.Cut(subject, "|")
		subject = strings.ToLower(subject)
		switch rule {
		case RuleUnowned, RuleTag:
			return unread[subject]
		case RuleUnprotected, RuleNoSensor:
			return unread[subject] || unknown[subject]
		case RulePlanOff, RulePlanIncomplete:
			return plans[subject]
		case RuleBudget, RuleExemption:
			return strings.HasPrefix(subject, "/subscriptions/") && gaps[guid(subject)]
		}
		return false
	}
}
