package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/store"
)

// settled waits until what was sent is stored: what is sent last on each lane is.
func (h *hub) settled(t *testing.T) {
	t.Helper()
	for {
		changed := h.db.Changed()
		left := 0
		for _, l := range []link.Lane{link.LaneAlert, link.LaneStatus, link.LaneEvent, link.LaneInventory} {
			left += h.pipe.Pending(l)
		}
		if left == 0 {
			return
		}
		select {
		case <-changed:
		case <-time.After(10 * time.Millisecond):
		}
	}
}

const web = "shop/Deployment/web"

func (h *hub) seedCluster(t *testing.T, now int64) {
	t.Helper()
	docs := []inventory.Document{
		{Cluster: &inventory.ClusterDoc{Name: "prod", Version: "v1.34.1", Platform: "AKS", Agent: "test", Nodes: 2, NodesReady: 2, AuditMode: "event-hub", AuditAs: "kube-audit-admin", AuditSince: now,
			Baselines: []inventory.Learned{{Model: "secret-access", Since: now, Events: 5, Known: 2, Until: now + 9}}}},
		{Node: &inventory.NodeDoc{Name: "node-1", Node: inventory.Node{OS: "linux"}}}, {Node: &inventory.NodeDoc{Name: "node-2", Node: inventory.Node{OS: "linux"}}},
		{Node: &inventory.NodeDoc{Name: "virtual", Node: inventory.Node{Virtual: true}}}, {Node: &inventory.NodeDoc{Name: "win", Node: inventory.Node{OS: "windows"}}},
		{Namespace: &inventory.NamespaceDoc{Name: "shop", Owner: "payments", Isolated: inventory.Assessed{NotAssessed: "a policy with expressions"}}},
		{Workload: &inventory.WorkloadDoc{Key: web, Namespace: "shop", Kind: "Deployment", Name: "web", Identity: "serviceaccount:shop/web", Reach: inventory.ReachInternet, Exposures: []string{"Ingress/shop/web", "gone"},
			PodsTotal: 1, Pods: []inventory.PodDoc{{Name: "web-1", Node: "node-1", Phase: "Running"}}, Images: []inventory.ImageDoc{{Container: "web", Image: "web:1", Digest: "sha256:" + strings.Repeat("a", 64), Pods: 1}},
			Template: &inventory.PodSpec{ServiceAccount: "web"}}},
		{Exposure: &inventory.ExposureDoc{Key: "Ingress/shop/web", Kind: "Ingress", Namespace: "shop", Name: "web", Reach: inventory.ReachInternet, Workloads: []string{web}}},
		{Identity: &inventory.IdentityDoc{Key: "serviceaccount:shop/web", Kind: "ServiceAccount", Namespace: "shop", Name: "web", Scope: "namespaces", Rights: []inventory.Right{
			{Rule: inventory.Rule{Verbs: []string{"create"}, Groups: []string{""}, Resources: []string{"pods/exec"}}, Namespace: "shop", Role: "Role/x", Binding: "RoleBinding/shop/x"},
			{Rule: inventory.Rule{Verbs: []string{"get", "list"}, Groups: []string{""}, Resources: []string{"secrets"}}, Namespace: "shop", Role: "Role/y", Binding: "RoleBinding/shop/y"},
			{Rule: inventory.Rule{Verbs: []string{"delete"}, Groups: []string{"apps"}, Resources: []string{"*"}}, Role: "ClusterRole/z", Binding: "ClusterRoleBinding/z"},
		}}},
		{Identity: &inventory.IdentityDoc{Key: "group:devs", Kind: "Group", Name: "devs", Rights: []inventory.Right{{Rule: inventory.Rule{Verbs: []string{"*"}, Groups: []string{"*"}, Resources: []string{"*"}}}}}},
		{Identity: &inventory.IdentityDoc{Key: "user:idle", Kind: "User", Name: "idle"}},
	}
	h.send(t, link.LaneInventory, link.KindInventory, inventory.Delta{Cluster: "prod", Generation: now, Done: true, Time: now, Put: docs})
	h.send(t, link.LaneInventory, link.KindHabits, inventory.Habits{Cluster: "prod", Since: now - 9, Time: now, List: []inventory.Habit{
		{Identity: "serviceaccount:shop/web", Verb: "create", Resource: "pods/exec", Namespace: "shop", Count: 3, First: now - 5, Last: now - 1, Sources: []string{"10.0.0.7"}},
		{Identity: "serviceaccount:shop/web", Verb: "delete", Resource: "deployments.apps", Namespace: "shop", Count: 2, Denied: 2, First: now - 5, Last: now - 1},
	}})
	h.send(t, link.LaneStatus, link.KindStatus, link.Status{Node: "cluster/prod", Mode: link.ModeCluster, Since: now, Every: int64(time.Hour), RulesWatching: 3})
	h.settled(t) // a newer status takes the place of one that waits
	h.send(t, link.LaneStatus, link.KindStatus, link.Status{Node: "node-1", Mode: link.ModeLive, Since: now, Every: int64(time.Hour), RulesWatching: 8})
	ev := event.Event{ID: event.ID{Node: 1, Boot: 2, Lane: event.LaneAudit, Seq: 3}, Source: event.SourceK8sAudit, Type: event.TypePluginevent, Time: now, FD: -1, CPU: -1,
		JSON: []byte(`{"verb":"create","user":{"username":"system:serviceaccount:shop:web"},"objectRef":{"resource":"pods","subresource":"exec","namespace":"shop","name":"web-1"},"dockreeve":{"cluster":"prod","from":"pod"}}`)}
	if err := h.pipe.Send(t.Context(), link.LaneEvent, link.KindAudit, ev.AppendJSON(nil)); err != nil {
		t.Fatal(err)
	}
	f := sample(1)
	f.Subject.Cluster, f.Subject.Workload, f.Subject.Identity, f.EventIDs = "prod", web, "serviceaccount:shop/web", []string{ev.ID.String()}
	h.send(t, link.LaneAlert, link.KindFinding, f)
	h.settled(t)
}

func TestClustersOverTheAPI(t *testing.T) {
	h := startAs(t, "local")
	c := h.client(t).Clusters
	ctx := t.Context()

	// Nothing has reported: no list is a bare nought.
	works, err := c.ListWorkloads(ctx, connect.NewRequest(&v1.ListWorkloadsRequest{}))
	if err != nil || len(works.Msg.NotAssessed) != 1 || works.Msg.NotAssessed[0].Reason != "no cluster has reported yet" {
		t.Fatal(works, err)
	}
	events, err := c.ListAudit(ctx, connect.NewRequest(&v1.ListAuditRequest{}))
	if err != nil || len(events.Msg.NotAssessed) != 1 {
		t.Fatal(events, err)
	}

	now := time.Now().UnixNano()
	h.seedCluster(t, now)

	list, err := c.ListClusters(ctx, connect.NewRequest(&v1.ListClustersRequest{}))
	if err != nil || list.Msg.Total != 1 {
		t.Fatal(list, err)
	}
	row := list.Msg.Clusters[0]
	if row.Name != "prod" || !row.Connected || row.NodesWatched != 1 || row.AlertsOpen != 1 || row.AlertsHigh != 1 || row.Exposed != 1 || row.AuditAs != "kube-audit-admin" || len(row.Gaps) != 0 {
		t.Fatal(row)
	}
	one, err := c.GetCluster(ctx, connect.NewRequest(&v1.GetClusterRequest{Name: "prod"}))
	if err != nil || len(one.Msg.Nodes) != 4 || len(one.Msg.Namespaces) != 1 || len(one.Msg.Baselines) != 1 {
		t.Fatal(one, err)
	}
	for i, want := range []string{"", "no sensor has reported from it", "virtual node", "runs windows"} {
		n := one.Msg.Nodes[i]
		if n.Watched != (want == "") || !strings.Contains(n.NotAssessed, want) {
			t.Errorf("%s: %v %q", n.Name, n.Watched, n.NotAssessed)
		}
	}

	w, err := c.GetWorkload(ctx, connect.NewRequest(&v1.GetWorkloadRequest{Cluster: "prod", Key: web}))
	if err != nil || w.Msg.Workload.Owner != "unowned" || len(w.Msg.Pods) != 1 || len(w.Msg.Exposures) != 1 || len(w.Msg.Rights) != 3 || len(w.Msg.Alerts) != 1 || !strings.Contains(w.Msg.TemplateJson, `"serviceAccount":"web"`) {
		t.Fatal(w, err)
	}
	if i := w.Msg.Workload.Images[0]; i.Counts != nil || i.NotAssessed == "" || w.Msg.Workload.VerdictNotAssessed == "" || w.Msg.Workload.Verdict != "" {
		t.Fatal(w.Msg.Workload)
	}
	if s := w.Msg.Alerts[0].Subject; s.Cluster != "prod" || s.Identity != "serviceaccount:shop/web" {
		t.Fatal(s)
	}

	id, err := c.GetIdentity(ctx, connect.NewRequest(&v1.GetIdentityRequest{Cluster: "prod", Key: "serviceaccount:shop/web"}))
	if err != nil || id.Msg.Identity.Requests != 5 || id.Msg.Identity.Denied != 2 || len(id.Msg.Uses) != 2 || len(id.Msg.Alerts) != 1 {
		t.Fatal(id, err)
	}
	for i, want := range []string{"true ", "false reads are not audited (kube-audit-admin)", "false "} { // what was refused was not used
		if r := id.Msg.Rights[i]; fmt.Sprint(r.Used, " ", r.UsedNotAssessed) != want {
			t.Errorf("right %d: %v %q, want %s", i, r.Used, r.UsedNotAssessed, want)
		}
	}
	for key, want := range map[string]string{"group:devs": "audit logs tell users", "user:idle": "whether it has read is not known"} {
		id, err := c.GetIdentity(ctx, connect.NewRequest(&v1.GetIdentityRequest{Cluster: "prod", Key: key}))
		if err != nil || !strings.Contains(id.Msg.Identity.UsageNotAssessed, want) {
			t.Errorf("%s: %v %v", key, id, err)
		}
	}

	ids, err := c.ListIdentities(ctx, connect.NewRequest(&v1.ListIdentitiesRequest{Filter: "requests:>0"}))
	if err != nil || ids.Msg.Total != 1 || ids.Msg.TotalAll != 3 {
		t.Fatal(ids, err)
	}
	exposed, err := c.ListExposures(ctx, connect.NewRequest(&v1.ListExposuresRequest{Filter: "reach:internet"}))
	if err != nil || exposed.Msg.Total != 1 || exposed.Msg.Exposures[0].Owner != "unowned" {
		t.Fatal(exposed, err)
	}

	events, err = c.ListAudit(ctx, connect.NewRequest(&v1.ListAuditRequest{Filter: "resource:pods/exec alert:*"}))
	if err != nil || events.Msg.Total != 1 || events.Msg.KeptSince != now || len(events.Msg.NotAssessed) != 1 || events.Msg.NotAssessed[0].What != "reads in prod" {
		t.Fatal(events, err)
	}
	ev, err := c.GetAuditEvent(ctx, connect.NewRequest(&v1.GetAuditEventRequest{Id: events.Msg.Events[0].Id}))
	if err != nil || len(ev.Msg.AlertIds) != 1 || strings.Contains(ev.Msg.EventJson, "dockreeve") || !json.Valid([]byte(ev.Msg.EventJson)) || ev.Msg.FactsJson != `{"cluster":"prod","from":"pod"}` {
		t.Fatal(ev, err)
	}

	st, err := h.client(t).Status.GetStatus(ctx, connect.NewRequest(&v1.GetStatusRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for _, g := range st.Msg.NotAssessed {
		told[g.What] = g.Reason
	}
	if !strings.HasPrefix(told["kernels of prod"], "no sensor has reported from 3 of 4 nodes") || st.Msg.RulesWatching != 11 {
		t.Fatal(told, st.Msg.RulesWatching)
	}
}

func TestAClusterThatIsNotWatchedSaysSo(t *testing.T) {
	h := startAs(t, "local")
	long := time.Now().Add(-time.Hour).UnixNano()
	h.send(t, link.LaneInventory, link.KindInventory, inventory.Delta{Cluster: "dev", Time: long, Put: []inventory.Document{{Cluster: &inventory.ClusterDoc{Name: "dev", Agent: "1"}},
		{Identity: &inventory.IdentityDoc{Key: "user:a", Kind: "User", Rights: []inventory.Right{{Rule: inventory.Rule{Verbs: []string{"get"}}}}}}}})
	h.send(t, link.LaneStatus, link.KindStatus, link.Status{Node: "cluster/dev", Mode: link.ModeCluster, NotAssessed: "the API server is not watched: no way for audit events is set up", Every: 1})
	h.settled(t)
	c := h.client(t)
	id, err := c.Clusters.GetIdentity(t.Context(), connect.NewRequest(&v1.GetIdentityRequest{Cluster: "dev", Key: "user:a"}))
	const why = "the API server of dev is not watched"
	if err != nil || id.Msg.Identity.UsageNotAssessed != why || id.Msg.Rights[0].UsedNotAssessed != why {
		t.Fatal(id, err)
	}
	row, err := c.Clusters.GetCluster(t.Context(), connect.NewRequest(&v1.GetClusterRequest{Name: "dev"}))
	if err != nil {
		t.Fatal(err)
	}
	var gaps []string
	for _, g := range row.Msg.Cluster.Gaps {
		gaps = append(gaps, g.What)
	}
	if got := strings.Join(gaps, "; "); got != "inventory of dev; API server of dev" {
		t.Fatal(got)
	}
	st, err := c.Status.GetStatus(t.Context(), connect.NewRequest(&v1.GetStatusRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range st.Msg.NotAssessed {
		if g.What == "API server of dev" {
			n++
		}
		if strings.HasPrefix(g.What, "kernel of cluster/") {
			t.Errorf("an agent of a cluster has no kernel to watch: %v", g)
		}
	}
	if n != 1 {
		t.Fatalf("told %d times: %v", n, st.Msg.NotAssessed)
	}
}

func TestWrongCallsAboutClusters(t *testing.T) {
	h := startAs(t, "local")
	c := h.client(t).Clusters
	ctx := t.Context()
	_, get := c.GetCluster(ctx, connect.NewRequest(&v1.GetClusterRequest{Name: "nosuch"}))
	_, work := c.GetWorkload(ctx, connect.NewRequest(&v1.GetWorkloadRequest{Cluster: "x", Key: "nosuch"}))
	_, id := c.GetIdentity(ctx, connect.NewRequest(&v1.GetIdentityRequest{Cluster: "x", Key: "nosuch"}))
	_, ev := c.GetAuditEvent(ctx, connect.NewRequest(&v1.GetAuditEventRequest{Id: "nosuch"}))
	_, filter := c.ListWorkloads(ctx, connect.NewRequest(&v1.ListWorkloadsRequest{Filter: "ownr:x"}))
	_, order := c.ListClusters(ctx, connect.NewRequest(&v1.ListClustersRequest{Order: "colour"}))
	_, cursor := c.ListAudit(ctx, connect.NewRequest(&v1.ListAuditRequest{Cursor: "%%"}))
	_, page := c.ListIdentities(ctx, connect.NewRequest(&v1.ListIdentitiesRequest{PageSize: 501}))
	_, token := c.CreateJoinToken(ctx, connect.NewRequest(&v1.CreateJoinTokenRequest{Role: "node", Cluster: "x"}))
	for _, x := range []struct {
		err  error
		code connect.Code
		says string
	}{
		{get, connect.CodeNotFound, "nosuch"}, {work, connect.CodeNotFound, "nosuch"}, {id, connect.CodeNotFound, "nosuch"}, {ev, connect.CodeNotFound, "older than what is kept"},
		{filter, connect.CodeInvalidArgument, "did you mean owner:?"}, {order, connect.CodeInvalidArgument, "name"}, {cursor, connect.CodeInvalidArgument, "first page"}, {page, connect.CodeInvalidArgument, "1 to 500"},
		{token, connect.CodeUnimplemented, "dockreeve server"},
	} {
		if connect.CodeOf(x.err) != x.code || !strings.Contains(x.err.Error(), x.says) {
			t.Errorf("%v: want %s saying %q", x.err, x.code, x.says)
		}
	}
}

func TestClusterChangesReachWatchers(t *testing.T) {
	h := startAs(t, "local")
	stream, err := h.client(t).Changes.Watch(t.Context(), connect.NewRequest(&v1.WatchRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if !stream.Receive() {
		t.Fatal(stream.Err())
	}
	h.send(t, link.LaneInventory, link.KindInventory, inventory.Delta{Cluster: "prod", Time: 1})
	if ch := next(t, stream, store.ChangeCluster); ch.Id != "prod" {
		t.Fatal(ch)
	}
}
