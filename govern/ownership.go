package govern

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// ownership finds whose a cluster is. The chain: tag of the cluster, of its resource
// group, of its subscription; a role Owner of the subscription held by a person or group;
// else nobody, which is a finding. A mandatory tag that was found nowhere is missing even
// where the chain found an owner.
func (x *index) ownership(places []place, subscription string, seen *Observed, extra []Suggestion) Ownership {
	o := Ownership{Owner: inventory.Unowned, From: "no tag, and nobody holds the role Owner of the subscription"}
	for _, m := range x.config.Tags {
		value, from := "", ""
		for i, p := range places {
			if i > 0 && m.Inherit != nil && !*m.Inherit {
				break
			}
			if name, v, ok := tagged(p.tags, m.Tags); ok {
				value, from = v, "tag "+name+" of "+p.what
				break
			}
		}
		switch {
		case value == "":
			o.Missing = append(o.Missing, m.Name)
			continue
		case !allowed(m.Allowed, value):
			if o.Invalid == nil {
				o.Invalid = map[string]string{}
			}
			o.Invalid[m.Name] = value
			continue
		}
		switch m.Name {
		case tagOwner:
			o.Owner, o.From = x.spell(value), from
		case tagUnit:
			o.BusinessUnit = value
		case tagCentre:
			o.CostCentre = value
		}
	}
	if o.Owner != inventory.Unowned {
		return o
	}
	o.Suggested = append(x.suggestions(subscription, seen), extra...)
	if subscription == "" {
		o.From = "not of Azure, and no owner is configured"
		return o
	}
	if h, ok := x.holder(subscription); ok {
		o.Owner, o.From = h, "role Owner of the subscription: the end of the chain"
	} else if why := x.unread(cloud.ReadRoles, "/subscriptions/"+guid(subscription)); why != "" {
		o.From = "no tag; who holds the role Owner is not known: " + why
	}
	return o
}

// spellings counts how owners are written. One team is one team however it is spelt: owners
// that differ in case only are shown, and counted, in the spelling that is met most often;
// of those met equally often, the first in order.
func spellings(in *Input, tags []MandatoryTag) map[string]string {
	met := map[string]int{}
	var names []string
	for _, m := range tags {
		if m.Name == tagOwner {
			names = append(names, m.Tags...)
		}
	}
	take := func(tags map[string]string) {
		if _, v, ok := tagged(tags, names); ok {
			met[v]++
		}
	}
	if t := in.Tenant; t != nil {
		for i := range t.Clusters {
			take(t.Clusters[i].Tags)
		}
		for i := range t.ResourceGroups {
			take(t.ResourceGroups[i].Tags)
		}
		for i := range t.Subscriptions {
			take(t.Subscriptions[i].Tags)
		}
		for i := range t.Roles {
			if r := &t.Roles[i]; strings.EqualFold(r.Role, "Owner") {
				met[cmp.Or(r.Name, r.Principal)]++
			}
		}
	}
	for i := range in.Observed {
		for _, n := range in.Observed[i].Namespaces {
			if n.Owner != "" {
				met[n.Owner]++
			}
		}
	}
	out := map[string]string{}
	for _, s := range sortedKeys(met) {
		if best, ok := out[strings.ToLower(s)]; !ok || met[s] > met[best] {
			out[strings.ToLower(s)] = s
		}
	}
	return out
}

// spell is an owner in the spelling that is met most often.
func (x *index) spell(owner string) string { return cmp.Or(x.spelled[strings.ToLower(owner)], owner) }

// holder is who holds the role Owner at a subscription itself: one name, or several joined.
func (x *index) holder(subscription string) (string, bool) {
	var names []string
	for _, h := range x.holders["/subscriptions/"+guid(subscription)] {
		if h.Kind == "ServicePrincipal" { // a machine answers for nothing
			continue
		}
		name := h.Name
		if name == "" {
			name = h.Principal
		}
		names = append(names, x.spell(name))
	}
	slices.Sort(names)
	names = slices.Compact(names)
	switch {
	case len(names) == 0:
		return "", false
	case len(names) > 3:
		return strings.Join(names[:3], ", ") + fmt.Sprintf(" and %d more", len(names)-3), true
	}
	return strings.Join(names, ", "), true
}

// suggestions guess at an owner from what its namespaces say and who changed it.
func (x *index) suggestions(subscription string, seen *Observed) []Suggestion {
	var out []Suggestion
	if seen != nil {
		of, total := map[string]int{}, 0
		for _, n := range seen.Namespaces {
			if n.Owner != "" && n.Owner != inventory.Unowned {
				of[x.spell(n.Owner)] += n.Workloads
			}
			total += n.Workloads
		}
		best := ""
		for _, o := range sortedKeys(of) {
			if best == "" || of[o] > of[best] {
				best = o
			}
		}
		if best != "" && of[best] > 0 {
			out = append(out, Suggestion{best, fmt.Sprintf("its namespaces hold %d of %d workloads of %s", of[best], total, seen.Cluster)})
		}
	}
	return out
}

// changers counts, by cluster, who changed it through ARM, people only.
func (x *index) changers() map[string]map[string]int {
	out := map[string]map[string]int{}
	for i := range x.tenant.Activity {
		a := &x.tenant.Activity[i]
		if a.IdentityID != "" || !strings.Contains(a.Caller, "@") || !strings.EqualFold(a.Status, "Succeeded") {
			continue
		}
		id := strings.ToLower(a.Resource)
		if at := strings.Index(id, "/agentpools/"); at > 0 {
			id = id[:at]
		}
		if !strings.Contains(id, "/managedclusters/") {
			continue
		}
		if out[id] == nil {
			out[id] = map[string]int{}
		}
		out[id][a.Caller]++
	}
	return out
}

func suggestChanger(of map[string]int) []Suggestion {
	best := ""
	for _, who := range sortedKeys(of) {
		if best == "" || of[who] > of[best] {
			best = who
		}
	}
	if best == "" {
		return nil
	}
	return []Suggestion{{best, fmt.Sprintf("changed it %d times, more than anybody else in the Activity Log that was read", of[best])}}
}

func allowed(list []string, value string) bool {
	if len(list) == 0 {
		return true
	}
	return slices.ContainsFunc(list, func(a string) bool {
		head, wild := strings.CutSuffix(a, "*")
		if wild {
			if tail, both := strings.CutPrefix(head, "*"); both {
				return strings.Contains(strings.ToLower(value), strings.ToLower(tail))
			}
			return len(value) >= len(head) && strings.EqualFold(value[:len(head)], head)
		}
		if tail, ok := strings.CutPrefix(a, "*"); ok {
			return len(value) >= len(tail) && strings.EqualFold(value[len(value)-len(tail):], tail)
		}
		return strings.EqualFold(a, value)
	})
}
