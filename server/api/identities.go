package api

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"connectrpc.com/connect"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/store"
)

// auditAdmin is the AKS category that leaves out reads.
const auditAdmin = "kube-audit-admin"

// reads are the verbs that the cheaper audit category leaves out.
var reads = []string{"get", "list", "watch"}

// usageGap is why what an identity has done is not known at all; "" when something is.
func usageGap(c *store.Cluster, d *inventory.IdentityDoc) string {
	switch {
	case c.Doc.AuditMode == "" && c.HabitsSince == 0:
		return "the API server of " + c.Name + " is not watched"
	case d.Kind == "Group":
		return "audit logs tell users, not through which group they hold a right"
	case c.HabitsSince == 0:
		return "nothing that was audited has been added up yet"
	}
	return ""
}

func (a *API) identityRow(x *store.ClusterIdentity, c *store.Cluster) *v1.IdentityRow {
	d, u := &x.Doc, &x.Usage
	out := &v1.IdentityRow{
		Cluster: x.Cluster, Key: text(d.Key), Kind: text(d.Kind), Namespace: text(d.Namespace), Name: text(d.Name), Owner: ownerOf(d.Owner), OwnerFrom: text(d.OwnerFrom), Tenant: text(d.Tenant),
		Platform: d.Platform, CloudId: text(d.CloudID), Grants: textsOf(d.Grants), Scope: text(d.Scope), Rights: int32(len(d.Rights) + d.More), Workloads: textsOf(d.Workloads), Crosses: textsOf(d.Crosses),
		FirstUsed: u.First, LastUsed: u.Last, Requests: u.Requests, Denied: u.Denied, Unusual: u.Unusual, AlertsOpen: x.AlertsOpen, ChangeSeq: x.ChangeSeq, UsageNotAssessed: usageGap(c, d),
	}
	if out.UsageNotAssessed == "" && u.Requests == 0 && c.Doc.AuditAs == auditAdmin {
		out.UsageNotAssessed = "reads are not audited (" + auditAdmin + "): it has written nothing; whether it has read is not known"
	}
	return out
}

// clustersOf reads the clusters that rows name, once each.
type clustersOf struct {
	a    *API
	have map[string]*store.Cluster
}

func (c *clustersOf) get(ctx context.Context, name string) (*store.Cluster, error) {
	if x, ok := c.have[name]; ok {
		return x, nil
	}
	x, err := c.a.opt.DB.ClusterByName(ctx, name)
	if errors.Is(err, store.ErrNotFound) { // forgotten meanwhile
		x, err = store.Cluster{Name: name}, nil
	}
	if err != nil {
		return nil, err
	}
	if c.have == nil {
		c.have = map[string]*store.Cluster{}
	}
	c.have[name] = &x
	return &x, nil
}

// ListIdentities answers one page.
func (a *API) ListIdentities(ctx context.Context, req *connect.Request[v1.ListIdentitiesRequest]) (*connect.Response[v1.ListIdentitiesResponse], error) {
	q, err := a.imageQuery(store.IdentityFields(), req.Msg.Filter, req.Msg.Order, req.Msg.Cursor, req.Msg.PageSize)
	if err != nil {
		return nil, a.fail(err)
	}
	page, err := a.opt.DB.Identities(ctx, q)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.ListIdentitiesResponse{NextCursor: page.Next, Total: page.Total, TotalAll: page.TotalAll, ChangeSeq: page.Seq}
	clusters := clustersOf{a: a}
	for i := range page.Identities {
		x := &page.Identities[i]
		c, err := clusters.get(ctx, x.Cluster)
		if err != nil {
			return nil, a.fail(err)
		}
		out.Identities = append(out.Identities, a.identityRow(x, c))
	}
	if out.NotAssessed, err = a.notAssessed(ctx, q.Now, func(c *store.Cluster, s senders) []*v1.Gap { return gapsOf(c, s, q.Now) }); err != nil {
		return nil, a.fail(err)
	}
	return connect.NewResponse(out), nil
}

// rights are an identity's rights, each with whether it was used.
func (a *API) rights(ctx context.Context, cluster, key string) ([]*v1.Right, *store.ClusterIdentity, error) {
	x, err := a.opt.DB.Identity(ctx, cluster, key, a.now())
	if err != nil {
		return nil, nil, err
	}
	c, err := a.opt.DB.ClusterByName(ctx, cluster)
	if err != nil {
		return nil, nil, err
	}
	uses, err := a.opt.DB.Uses(ctx, cluster, key)
	if err != nil {
		return nil, nil, err
	}
	var out []*v1.Right
	for i := range x.Doc.Rights {
		r := &x.Doc.Rights[i]
		m := &v1.Right{Verbs: textsOf(r.Verbs), Groups: textsOf(r.Groups), Resources: textsOf(r.Resources), Names: textsOf(r.Names), Urls: textsOf(r.URLs), Namespace: text(r.Namespace),
			Role: text(r.Role), Binding: text(r.Binding), Through: text(r.Through)}
		m.Used, m.UsedNotAssessed = usedRight(r, uses, usageGap(&c, &x.Doc), &c)
		out = append(out, m)
	}
	return out, &x, nil
}

// usedRight says whether something that a right allows was done, as far as was audited,
// and where that is not known, why.
func usedRight(r *inventory.Right, uses []inventory.Habit, gap string, c *store.Cluster) (used bool, notAssessed string) {
	if gap != "" {
		return false, gap
	}
	for i := range uses {
		if h := &uses[i]; h.Count > h.Denied && allows(r, h) {
			if len(r.Names) > 0 {
				return false, "it was used on such a resource, but sums do not keep on which by name"
			}
			return true, ""
		}
	}
	switch {
	case c.Doc.AuditAs == auditAdmin && slices.ContainsFunc(r.Verbs, func(v string) bool { return v == "*" || slices.Contains(reads, v) }):
		return false, "reads are not audited (" + auditAdmin + ")"
	case c.HabitsDropped > 0:
		return false, "not everything that identities did was added up"
	}
	return false, ""
}

// allows reports whether what was done is something that a right allows, as RBAC
// judges it.
func allows(r *inventory.Right, h *inventory.Habit) bool {
	if strings.HasPrefix(h.Resource, "/") {
		return (has(r.Verbs, strings.ToLower(h.Verb)) || has(r.Verbs, "*")) && slices.ContainsFunc(r.URLs, func(u string) bool {
			prefix, wild := strings.CutSuffix(u, "*")
			// A sum keeps the first two steps of a path only.
			return u == h.Resource || wild && strings.HasPrefix(h.Resource, strings.TrimSuffix(prefix, "/")) || !wild && strings.HasPrefix(u, h.Resource+"/")
		})
	}
	if r.Namespace != "" && r.Namespace != h.Namespace {
		return false
	}
	resource, sub, _ := strings.Cut(h.Resource, "/")
	resource, group, _ := strings.Cut(resource, ".")
	if !has(r.Verbs, h.Verb) && !has(r.Verbs, "*") || !has(r.Groups, group) && !has(r.Groups, "*") {
		return false
	}
	if sub == "" {
		return has(r.Resources, resource) || has(r.Resources, "*")
	}
	return has(r.Resources, resource+"/"+sub) || has(r.Resources, "*/"+sub) || has(r.Resources, "*")
}

func has(list []string, s string) bool { return slices.Contains(list, s) }

// GetIdentity answers one identity whole: what it can do, and what it has done.
func (a *API) GetIdentity(ctx context.Context, req *connect.Request[v1.GetIdentityRequest]) (*connect.Response[v1.GetIdentityResponse], error) {
	rights, x, err := a.rights(ctx, req.Msg.Cluster, req.Msg.Key)
	if err != nil {
		return nil, a.fail(err)
	}
	c, err := a.opt.DB.ClusterByName(ctx, x.Cluster)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.GetIdentityResponse{Identity: a.identityRow(x, &c), Rights: rights, MoreRights: int32(x.Doc.More), Baselines: baselinesOf(c.Doc.Baselines)}
	uses, err := a.opt.DB.Uses(ctx, x.Cluster, x.Doc.Key)
	if err != nil {
		return nil, a.fail(err)
	}
	for i := range uses {
		h := &uses[i]
		out.Uses = append(out.Uses, &v1.IdentityUse{Verb: h.Verb, Resource: h.Resource, Namespace: h.Namespace, Count: h.Count, Denied: h.Denied, First: h.First, Last: h.Last, Sources: h.Sources, Agents: h.Agents})
	}
	if out.Alerts, err = a.alertsWhere(ctx, x.Cluster, "identity", store.HabitKey(x.Doc.Key)); err != nil {
		return nil, a.fail(err)
	}
	return connect.NewResponse(out), nil
}

// ListAudit answers one page, newest first.
func (a *API) ListAudit(ctx context.Context, req *connect.Request[v1.ListAuditRequest]) (*connect.Response[v1.ListAuditResponse], error) {
	q, err := a.imageQuery(store.AuditFields(), req.Msg.Filter, "", req.Msg.Cursor, req.Msg.PageSize)
	if err != nil {
		return nil, a.fail(err)
	}
	page, err := a.opt.DB.Audit(ctx, q)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.ListAuditResponse{NextCursor: page.Next, KeptSince: page.KeptSince, Total: page.Total, ChangeSeq: page.Seq}
	for i := range page.Events {
		out.Events = append(out.Events, auditOf(&page.Events[i]))
	}
	if out.NotAssessed, err = a.notAssessed(ctx, q.Now, func(c *store.Cluster, s senders) []*v1.Gap { return auditGaps(c, s, q.Now) }); err != nil {
		return nil, a.fail(err)
	}
	return connect.NewResponse(out), nil
}

// auditGaps are those that make the list of what was done too short.
func auditGaps(c *store.Cluster, s senders, now int64) []*v1.Gap {
	var out []*v1.Gap
	for _, g := range gapsOf(c, s, now) {
		if !strings.HasPrefix(g.What, "inventory of ") && !strings.HasPrefix(g.What, "habits in ") {
			out = append(out, g)
		}
	}
	if c.Doc.AuditMode != "" && c.Doc.AuditAs == auditAdmin {
		out = append(out, &v1.Gap{What: "reads in " + c.Name, Reason: auditAdmin + " leaves out get, list and watch", Remedy: "stream kube-audit instead, where what reads secrets is to be seen"})
	}
	return out
}

// GetAuditEvent answers one event whole, and the alerts that rest on it.
func (a *API) GetAuditEvent(ctx context.Context, req *connect.Request[v1.GetAuditEventRequest]) (*connect.Response[v1.GetAuditEventResponse], error) {
	e, alerts, err := a.opt.DB.AuditByID(ctx, req.Msg.Id)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.GetAuditEventResponse{Event: auditOf(&e), EventJson: text(string(e.Doc)), AlertIds: alerts}
	// The facts stand apart, so that what the API server said can be told from what we made of it.
	var doc map[string]json.RawMessage
	if json.Unmarshal(e.Doc, &doc) == nil && doc[event.FactsKey] != nil {
		out.FactsJson = text(string(doc[event.FactsKey]))
		delete(doc, event.FactsKey)
		b, err := json.Marshal(doc)
		if err != nil {
			return nil, a.fail(err)
		}
		out.EventJson = text(string(b))
	}
	return connect.NewResponse(out), nil
}
