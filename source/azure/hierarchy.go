package azure

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

const groupPrefix = "/providers/microsoft.management/managementgroups/"

var errNoID = errors.New("id: missing")

// tenant counts which directory documents name.
func (b *Builder) tenant(n node) {
	for _, key := range []string{"tenantId", "homeTenantId"} {
		if s := n.prop(key).text(); isGUID(s) {
			if s = strings.ToLower(s); b.tenants[s] > 0 || len(b.tenants) < 1000 {
				b.tenants[s]++
			}
			return
		}
	}
}

// group takes a management group in as any of its lists shows it: the list itself, its
// descendants or entities (which hold subscriptions too), or one group expanded.
func (b *Builder) group(_ string, n node) error { return b.groupUnder("", n, 0) }

func (b *Builder) groupUnder(parent string, n node, depth int) error {
	id := n.at("id").id()
	name := n.at("name").text()
	for _, at := range []node{n.prop("parent", "id"), n.prop("details", "parent", "id")} {
		if p := at.id(); p != "" {
			parent = p
		}
	}
	if sub := subscriptionOf(id); sub != "" || strings.HasSuffix(strings.ToLower(n.at("type").text()), "/subscriptions") {
		if sub == "" && isGUID(name) {
			sub = "/subscriptions/" + strings.ToLower(name)
		}
		if sub == "" {
			return errNoID
		}
		if _, ok := b.names[sub]; !ok && len(b.names) >= maxKind {
			return fmt.Errorf("more than %d of one kind: passed over", maxKind)
		}
		if parent > b.parents[sub] {
			b.parents[sub] = parent
		}
		if title := n.prop("displayName").text(); title > b.names[sub] {
			b.names[sub] = title
		} else if _, ok := b.names[sub]; !ok {
			b.names[sub] = ""
		}
		return nil
	}
	if !strings.HasPrefix(id, groupPrefix) {
		return errors.New("id: want one of a management group or a subscription")
	}
	if name == "" || strings.Contains(name, "/") {
		name = id[len(groupPrefix):]
	}
	b.tenant(n)
	if err := mergeGroup(b.groups, cloud.Group{ID: id, Name: name, Title: n.prop("displayName").text(), Parent: parent}); err != nil {
		return err
	}
	if depth > 10 { // Azure allows six levels
		return errors.New("children: nested deeper than ten levels")
	}
	for _, child := range n.prop("children").items() {
		if err := b.groupUnder(id, child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// mergeGroup adds what another list says of a group: not each names its parent.
func mergeGroup(m map[string]cloud.Group, g cloud.Group) error {
	old, had := m[g.ID]
	if had {
		g.Title, g.Parent, g.Name = max(g.Title, old.Title), max(g.Parent, old.Parent), max(g.Name, old.Name)
		m[g.ID] = g
		return nil
	}
	return keep(m, g.ID, g)
}

// subscription takes a subscription in as ARM, Resource Graph or az account list shows it.
func (b *Builder) subscription(_ string, n node) error {
	id := n.at("id").id()
	if isGUID(id) {
		id = "/subscriptions/" + id
	}
	if subscriptionOf(id) != id || id == "" {
		return errors.New("id: want one of a subscription")
	}
	b.tenant(n)
	name := n.prop("displayName").text()
	if name == "" {
		name = n.at("name").text()
	}
	s := cloud.Subscription{
		ID: id, GUID: id[len("/subscriptions/"):], Name: name, State: n.prop("state").text(),
		Quota: n.prop("subscriptionPolicies", "quotaId").text(), Tags: n.at("tags").texts(),
	}
	if s.Quota == "" {
		s.Quota = n.prop("subscriptionPolicies", "quotaID").text()
	}
	if chain := n.prop("managementGroupAncestorsChain").items(); len(chain) > 0 {
		if p := chain[0].at("name").text(); p != "" {
			b.parents[id] = max(b.parents[id], groupPrefix+strings.ToLower(p))
		}
	}
	return keep(b.subs, id, s)
}

func (b *Builder) resourceGroup(_ string, n node) error {
	id := n.at("id").id()
	if after(id, "resourcegroups") == "" {
		return errors.New("id: want one of a resource group")
	}
	return keep(b.rgs, id, cloud.ResourceGroup{
		ID: id, Name: nameOf(n, id), Location: region(n.at("location").text()),
		ManagedBy: n.at("managedBy").id(), Tags: n.at("tags").texts(),
	})
}

// other counts a resource of a type that nothing here judges.
func (b *Builder) other(_ string, n node) error {
	id := n.at("id").id()
	if id == "" {
		return errNoID
	}
	if isJudged(typeOfID(id)) {
		return nil // it has a read of its own
	}
	return keep(b.others, id, true)
}

// nameOf gives the name of a resource, from its id where it tells none.
func nameOf(n node, id string) string {
	if name := n.at("name").text(); name != "" {
		return name
	}
	return id[strings.LastIndexByte(id, '/')+1:]
}

// join brings together what came in documents of its own: parents, plans, diagnostic
// settings, extensions.
func (b *Builder) join() {
	for id := range b.names { // seen in the hierarchy only: it cannot be read, and counts
		if _, ok := b.subs[id]; !ok {
			b.subs[id] = cloud.Subscription{ID: id, GUID: id[len("/subscriptions/"):]}
		}
	}
	for id, s := range b.subs {
		if s.Group = b.parents[id]; s.Name == "" {
			s.Name = b.names[id]
		}
		s.Plan = joinPlan(b.plans[id])
		b.subs[id] = s
	}
	for id, c := range b.clusters {
		c.Plan = joinPlan(b.plans[id])
		c.Diagnostics = values(b.diagnostics[id])
		b.joinExtensions(&c)
		b.clusters[id] = c
	}
}
