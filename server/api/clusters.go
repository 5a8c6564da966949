package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/api/dockreeve/v1/dockreevev1connect"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/query"
	"github.com/dockreeve/dockreeve/store"
)

var _ dockreevev1connect.ClusterServiceHandler = (*API)(nil)

// clusterSilence is how long after its last word the agent of a cluster that reports no
// status of its own counts as not connected.
const clusterSilence = 5 * time.Minute

// senders are those that report status, by name.
type senders map[string]*store.Node

func (a *API) senders(ctx context.Context) (senders, error) {
	nodes, err := a.opt.DB.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	out := make(senders, len(nodes))
	for i := range nodes {
		out[nodes[i].Node] = &nodes[i]
	}
	return out, nil
}

// agentPrefix begins the name under which a cluster's agent reports its own status.
const agentPrefix = "cluster/"

// connected says whether a cluster's agent is heard of now.
func (s senders) connected(c *store.Cluster, now int64) bool {
	if c.Doc.Agent == "" {
		return false // inspected once, from outside
	}
	if n := s[agentPrefix+c.Name]; n != nil {
		return Reporting(n, now)
	}
	return now-c.ReceivedAt <= int64(clusterSilence)
}

// node is the sensor of a cluster's node: one that joined as such, else the one in this
// process, which goes by its bare name.
func (s senders) node(cluster, name string) *store.Node {
	if n := s[cluster+"/"+name]; n != nil {
		return n
	}
	return s[name]
}

// notWatched is why no sensor watches a node of a cluster; "" when one does.
func (s senders) notWatched(cluster string, n *inventory.NodeDoc, now int64) string {
	if r := s.node(cluster, n.Name); r != nil {
		return notWatching(r, now)
	}
	switch {
	case n.Node.Virtual:
		return "it is a virtual node: no sensor can run there"
	case n.Node.OS != "" && n.Node.OS != "linux":
		return "it runs " + n.Node.OS + ": sensors are for Linux"
	}
	return "no sensor has reported from it: run dockreeve-node there"
}

func (a *API) now() int64 { return a.opt.Clock.Now().UnixNano() }

// gapsOf is everything a cluster does not tell, with its reason.
func gapsOf(c *store.Cluster, s senders, now int64) []*v1.Gap {
	var out []*v1.Gap
	add := func(what, reason, remedy string) {
		out = append(out, &v1.Gap{What: text(what), Reason: text(reason), Remedy: text(remedy)})
	}
	switch {
	case c.Doc.Agent == "" && c.StatedAt != 0:
		add("what changes in "+c.Name, "it was inspected once, "+age(now, c.ReceivedAt)+" ago", "run dockreeve cluster to keep it up to date")
	case !s.connected(c, now) && c.Doc.Agent != "":
		add("what goes on in "+c.Name, "its agent has not been heard of for "+age(now, c.ReceivedAt), "look at its pod; what is shown here is what it last said")
	}
	if c.StatedAt == 0 {
		add("inventory of "+c.Name, "its agent has not yet told all it holds", "")
	}
	if c.Stale > 0 {
		add("inventory of "+c.Name, fmt.Sprintf("the last %d messages were older than what is stored", c.Stale), "an agent that was replaced may still run, or its clock goes wrong: look at both")
	}
	if c.Doc.AuditMode == "" {
		add("API server of "+c.Name, "it is not watched: no audit log comes in", "send its audit log to dockreeve cluster (docs/cluster.md)")
	}
	if c.HabitsDropped > 0 {
		add("habits in "+c.Name, fmt.Sprintf("%d things that identities did are in no sum: an identity does more different things than are kept", c.HabitsDropped), "")
	}
	for _, g := range c.Doc.Gaps {
		add(g.What, g.Reason, g.Remedy)
	}
	return out
}

func age(now, at int64) string {
	d := time.Duration(max(0, now-at))
	if d > time.Hour {
		return d.Round(time.Minute).String()
	}
	return d.Round(time.Second).String()
}

func (a *API) clusterRow(ctx context.Context, c *store.Cluster, s senders, now int64) (*v1.ClusterRow, error) {
	names, err := a.opt.DB.ClusterNodeNames(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	watched := int32(0)
	for _, n := range names {
		if r := s.node(c.Name, n); r != nil && notWatching(r, now) == "" {
			watched++
		}
	}
	d := &c.Doc
	return &v1.ClusterRow{
		Name: c.Name, Uid: text(d.UID), Version: text(d.Version), Platform: text(d.Platform), ResourceId: text(d.ResourceID), Server: text(d.Server), Agent: text(d.Agent), Reported: c.ReceivedAt,
		Connected: s.connected(c, now), Since: d.Since, Nodes: int32(d.Nodes), NodesReady: int32(d.NodesReady), NodesWatched: watched, Pods: int32(d.Pods), Workloads: int32(d.Workloads),
		Namespaces: int32(d.Namespaces), Tenants: int32(d.Tenants), AuditMode: text(d.AuditMode), AuditAs: text(d.AuditAs), AuditSince: d.AuditSince, AuditLast: d.AuditLast, Audited: int64(d.Audited),
		AlertsOpen: c.AlertsOpen, AlertsCritical: c.AlertsCritical, AlertsHigh: c.AlertsHigh, Exposed: int32(c.Exposed), Unowned: int32(c.Unowned), Gaps: gapsOf(c, s, now), ChangeSeq: c.ChangeSeq,
	}, nil
}

// ListClusters answers one page.
func (a *API) ListClusters(ctx context.Context, req *connect.Request[v1.ListClustersRequest]) (*connect.Response[v1.ListClustersResponse], error) {
	q, err := a.imageQuery(store.ClusterFields(), req.Msg.Filter, req.Msg.Order, req.Msg.Cursor, req.Msg.PageSize)
	if err != nil {
		return nil, a.fail(err)
	}
	page, err := a.opt.DB.Clusters(ctx, q)
	if err != nil {
		return nil, a.fail(err)
	}
	s, err := a.senders(ctx)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.ListClustersResponse{NextCursor: page.Next, Total: page.Total, TotalAll: page.TotalAll, ChangeSeq: page.Seq}
	for i := range page.Clusters {
		row, err := a.clusterRow(ctx, &page.Clusters[i], s, q.Now)
		if err != nil {
			return nil, a.fail(err)
		}
		out.Clusters = append(out.Clusters, row)
	}
	return connect.NewResponse(out), nil
}

// GetCluster answers one cluster with its nodes and namespaces.
func (a *API) GetCluster(ctx context.Context, req *connect.Request[v1.GetClusterRequest]) (*connect.Response[v1.GetClusterResponse], error) {
	c, err := a.opt.DB.ClusterByName(ctx, req.Msg.Name)
	if err != nil {
		return nil, a.fail(err)
	}
	s, err := a.senders(ctx)
	if err != nil {
		return nil, a.fail(err)
	}
	now := a.now()
	out := &v1.GetClusterResponse{Baselines: baselinesOf(c.Doc.Baselines)}
	if out.Cluster, err = a.clusterRow(ctx, &c, s, now); err != nil {
		return nil, a.fail(err)
	}
	nodes, err := a.opt.DB.ClusterNodes(ctx, c.Name)
	if err != nil {
		return nil, a.fail(err)
	}
	for i := range nodes {
		n := &nodes[i]
		why := s.notWatched(c.Name, n, now)
		out.Nodes = append(out.Nodes, &v1.ClusterNode{Name: text(n.Name), OsImage: text(n.Node.OSImage), Kernel: text(n.Node.Kernel), Kubelet: text(n.Node.Kubelet), Runtime: text(n.Node.Runtime),
			Arch: text(n.Node.Arch), InstanceType: text(n.Node.InstanceType), Ready: n.Node.Ready, Watched: why == "", NotAssessed: text(why), Since: n.Since, Pods: int32(n.Pods),
			CpuMillicores: n.Node.CPU, MemoryBytes: n.Node.Memory, Tenants: textsOf(n.Tenants), Addresses: textsOf(slices.Concat(n.Node.Addresses, n.Node.External)), Owner: text(n.Owner)})
	}
	spaces, err := a.opt.DB.Namespaces(ctx, c.Name)
	if err != nil {
		return nil, a.fail(err)
	}
	for i := range spaces {
		n := &spaces[i]
		out.Namespaces = append(out.Namespaces, &v1.ClusterNamespace{Name: text(n.Name), Owner: text(n.Owner), OwnerFrom: text(n.OwnerFrom), Tenant: text(n.Tenant), Pods: int32(n.Pods),
			PodSecurity: text(n.PodSecurity), Isolated: n.Isolated.Value, IsolatedNotAssessed: text(n.Isolated.NotAssessed), Since: n.Since})
	}
	return connect.NewResponse(out), nil
}

// notAssessed is what stands behind a list over clusters: why it may be too short.
func (a *API) notAssessed(ctx context.Context, now int64, of func(*store.Cluster, senders) []*v1.Gap) ([]*v1.Gap, error) {
	s, err := a.senders(ctx)
	if err != nil {
		return nil, err
	}
	page, err := a.opt.DB.Clusters(ctx, store.ImageQuery{Limit: store.MaxPage, Now: now})
	if err != nil {
		return nil, err
	}
	if len(page.Clusters) == 0 {
		return []*v1.Gap{{What: "every cluster", Reason: "no cluster has reported yet", Remedy: "run dockreeve cluster in one, or dockreeve cluster inspect from here"}}, nil
	}
	var out []*v1.Gap
	for i := range page.Clusters {
		if out = append(out, of(&page.Clusters[i], s)...); len(out) > maxListGaps {
			return append(out[:maxListGaps], &v1.Gap{What: "further clusters", Reason: "the list of what is not assessed is longer than is told: see each cluster's page"}), nil
		}
	}
	return out, nil
}

// maxListGaps bounds the gaps told beside a list.
const maxListGaps = 50

// inventoryGaps are those that make a list of inventory too short or too old.
func inventoryGaps(now int64) func(*store.Cluster, senders) []*v1.Gap {
	return func(c *store.Cluster, s senders) []*v1.Gap {
		var out []*v1.Gap
		for _, g := range gapsOf(c, s, now) {
			if !strings.HasPrefix(g.What, "API server of ") && !strings.HasPrefix(g.What, "habits in ") {
				out = append(out, g)
			}
		}
		return out
	}
}

// ListWorkloads answers one page.
func (a *API) ListWorkloads(ctx context.Context, req *connect.Request[v1.ListWorkloadsRequest]) (*connect.Response[v1.ListWorkloadsResponse], error) {
	q, err := a.imageQuery(store.WorkloadFields(), req.Msg.Filter, req.Msg.Order, req.Msg.Cursor, req.Msg.PageSize)
	if err != nil {
		return nil, a.fail(err)
	}
	page, err := a.opt.DB.Workloads(ctx, q)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.ListWorkloadsResponse{NextCursor: page.Next, Total: page.Total, TotalAll: page.TotalAll, ChangeSeq: page.Seq}
	for i := range page.Workloads {
		out.Workloads = append(out.Workloads, workloadOf(&page.Workloads[i]))
	}
	if out.NotAssessed, err = a.notAssessed(ctx, q.Now, inventoryGaps(q.Now)); err != nil {
		return nil, a.fail(err)
	}
	return connect.NewResponse(out), nil
}

// newestAlerts bounds the alerts told beside a workload or an identity.
const newestAlerts = 20

// GetWorkload answers one workload whole.
func (a *API) GetWorkload(ctx context.Context, req *connect.Request[v1.GetWorkloadRequest]) (*connect.Response[v1.GetWorkloadResponse], error) {
	w, err := a.opt.DB.Workload(ctx, req.Msg.Cluster, req.Msg.Key)
	if err != nil {
		return nil, a.fail(err)
	}
	d := &w.Doc
	out := &v1.GetWorkloadResponse{Workload: workloadOf(&w), PodsTotal: int32(d.PodsTotal), TokenMounted: d.TokenMounted, Secrets: textsOf(d.Secrets), Via: text(d.Via)}
	for i := range d.Pods {
		p := &d.Pods[i]
		out.Pods = append(out.Pods, &v1.WorkloadPod{Name: text(p.Name), Uid: text(p.UID), Node: text(p.Node), Ip: text(p.IP), Phase: text(p.Phase), Reason: text(p.Reason), Started: p.Started, Restarts: p.Restarts})
	}
	if d.Template != nil {
		b, err := json.Marshal(d.Template)
		if err != nil {
			return nil, a.fail(err)
		}
		out.TemplateJson = text(string(b))
	}
	for _, key := range d.Exposures {
		x, err := a.opt.DB.Exposure(ctx, w.Cluster, key)
		if errors.Is(err, store.ErrNotFound) {
			continue // its own message is on its way, or it has just gone
		}
		if err != nil {
			return nil, a.fail(err)
		}
		out.Exposures = append(out.Exposures, exposureOf(&x))
	}
	if d.Identity != "" {
		rights, _, err := a.rights(ctx, w.Cluster, d.Identity)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, a.fail(err)
		}
		out.Rights = rights
	}
	if out.Alerts, err = a.alertsWhere(ctx, w.Cluster, "workload", d.Key); err != nil {
		return nil, a.fail(err)
	}
	return connect.NewResponse(out), nil
}

// alertsWhere is the newest alerts of a cluster with a value in one field.
func (a *API) alertsWhere(ctx context.Context, cluster, field, value string) ([]*v1.Alert, error) {
	return a.alertsWith(ctx, "cluster", cluster, field, value)
}

// alertsWith is the newest alerts with these values, given as field, value, field, value.
func (a *API) alertsWith(ctx context.Context, fields ...string) ([]*v1.Alert, error) {
	var q query.Query
	schema := store.AlertFields()
	for i := 0; i+1 < len(fields); i += 2 {
		at := slices.IndexFunc(schema.Fields, func(f query.Field) bool { return f.Name == fields[i] })
		q.Terms = append(q.Terms, query.Term{Field: &schema.Fields[at], Values: []query.Value{{Text: fields[i+1]}}})
	}
	page, err := a.opt.DB.Alerts(ctx, store.AlertQuery{Filter: q, Limit: newestAlerts, Now: a.now()})
	if err != nil {
		return nil, err
	}
	var out []*v1.Alert
	for i := range page.Alerts {
		out = append(out, alertOf(&page.Alerts[i]))
	}
	return out, nil
}

// ListExposures answers one page.
func (a *API) ListExposures(ctx context.Context, req *connect.Request[v1.ListExposuresRequest]) (*connect.Response[v1.ListExposuresResponse], error) {
	q, err := a.imageQuery(store.ExposureFields(), req.Msg.Filter, req.Msg.Order, req.Msg.Cursor, req.Msg.PageSize)
	if err != nil {
		return nil, a.fail(err)
	}
	page, err := a.opt.DB.Exposures(ctx, q)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.ListExposuresResponse{NextCursor: page.Next, Total: page.Total, TotalAll: page.TotalAll, ChangeSeq: page.Seq}
	for i := range page.Exposures {
		out.Exposures = append(out.Exposures, exposureOf(&page.Exposures[i]))
	}
	if out.NotAssessed, err = a.notAssessed(ctx, q.Now, inventoryGaps(q.Now)); err != nil {
		return nil, a.fail(err)
	}
	return connect.NewResponse(out), nil
}

// The bounds of a token's life.
const (
	defaultTokenLife = time.Hour
	maxTokenLife     = 7 * 24 * time.Hour
)

// CreateJoinToken makes a token with which a cluster agent or a node joins once.
func (a *API) CreateJoinToken(ctx context.Context, req *connect.Request[v1.CreateJoinTokenRequest]) (*connect.Response[v1.CreateJoinTokenResponse], error) {
	if a.opt.JoinToken == nil {
		return nil, connect.NewError(connect.CodeUnimplemented, errors.New("this server takes nothing in from other machines: start it with dockreeve server, which has a certificate authority"))
	}
	role, cluster := req.Msg.Role, req.Msg.Cluster
	life := time.Duration(min(max(req.Msg.TtlSeconds, 0), int64(maxTokenLife/time.Second)+1)) * time.Second
	if life == 0 {
		life = defaultTokenLife
	}
	switch {
	case role != "cluster" && role != "node":
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("role %.40q: want cluster or node", role))
	case cluster == "":
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("cluster: name the cluster that joins, or that the node belongs to"))
	case len(cluster) > 253 || strings.ContainsFunc(cluster, func(r rune) bool { return r <= ' ' || r == '/' || r == 0x7f }):
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("cluster: a name has at most 253 bytes, without blanks and slashes"))
	case life > maxTokenLife:
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("ttl_seconds: at most seven days"))
	}
	token, expires, hash, err := a.opt.JoinToken(ctx, role, cluster, life)
	if err != nil {
		return nil, a.fail(err)
	}
	return connect.NewResponse(&v1.CreateJoinTokenResponse{Token: token, Expires: expires.UnixNano(), CaHash: hash}), nil
}
