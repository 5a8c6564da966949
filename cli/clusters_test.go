package cli

import (
	"context"
	"encoding/json"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/store"
)

// seed fills the store of a state directory with what the agent of one cluster tells:
// seed DIR.
func seed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: seed DIR")
	}
	ctx := context.Background()
	db, err := store.Open(ctx, store.Options{Path: filepath.Join(ts.MkAbs(args[0]), "dockreeve.db")})
	ts.Check(err)
	now := time.Now().UnixNano()
	ago := func(d time.Duration) int64 { return now - int64(d) }
	web, db1 := "shop/Deployment/web", "shop/StatefulSet/db"
	docs := []inventory.Document{
		{Cluster: &inventory.ClusterDoc{Name: "prod", Version: "v1.34.1", Platform: "AKS", Agent: "test", Nodes: 1, NodesReady: 1, Pods: 2, Workloads: 2, Namespaces: 1, AuditMode: "event-hub", AuditAs: "kube-audit-admin",
			AuditSince: ago(time.Hour), AuditLast: ago(time.Minute), Audited: 12, Since: ago(time.Hour), Baselines: []inventory.Learned{{Model: "secret-access", Since: ago(time.Hour), Events: 12, Known: 3}}}},
		{Node: &inventory.NodeDoc{Name: "aks-1", Node: inventory.Node{OS: "linux", OSImage: "Ubuntu 24.04", Kubelet: "v1.34.1", Ready: true}, Pods: 2}},
		{Namespace: &inventory.NamespaceDoc{Name: "shop", Owner: "payments", Pods: 2, PodSecurity: "baseline"}},
		{Workload: &inventory.WorkloadDoc{Key: web, Namespace: "shop", Kind: "Deployment", Name: "web", Owner: "payments", OwnerFrom: "label owner on the namespace", Wanted: 1, Ready: 1, PodsTotal: 1,
			Pods: []inventory.PodDoc{{Name: "web-1", Node: "aks-1", Phase: "Running"}}, Images: []inventory.ImageDoc{{Container: "web", Image: "registry.example/web:1", Pods: 1}},
			Identity: "serviceaccount:shop/web", TokenMounted: true, Grants: []string{event.PowerSecretsRead}, Reach: inventory.ReachInternet, Exposures: []string{"Ingress/shop/web"}}},
		{Workload: &inventory.WorkloadDoc{Key: db1, Namespace: "shop", Kind: "StatefulSet", Name: "db", Owner: inventory.Unowned, Wanted: 1, PodsTotal: 1, Reach: inventory.ReachCluster}},
		{Exposure: &inventory.ExposureDoc{Key: "Ingress/shop/web", Kind: "Ingress", Namespace: "shop", Name: "web", Reach: inventory.ReachInternet, Hosts: []string{"shop.example"}, Ports: []string{"443/TCP"}, TLS: true,
			Workloads: []string{web}, Owner: "payments"}},
		{Identity: &inventory.IdentityDoc{Key: "serviceaccount:shop/web", Kind: "ServiceAccount", Namespace: "shop", Name: "web", Owner: "payments", Workloads: []string{web}, Grants: []string{event.PowerSecretsRead}, Scope: "namespaces",
			Rights: []inventory.Right{{Rule: inventory.Rule{Verbs: []string{"create"}, Groups: []string{""}, Resources: []string{"pods/exec"}}, Namespace: "shop", Role: "Role/exec", Binding: "RoleBinding/shop/exec"},
				{Rule: inventory.Rule{Verbs: []string{"get"}, Groups: []string{""}, Resources: []string{"secrets"}}, Namespace: "shop", Role: "Role/read", Binding: "RoleBinding/shop/read"}}}},
	}
	ev := &store.AuditEvent{ID: "1-2-3-4", Cluster: "prod", Time: ago(time.Minute), Verb: "create", Resource: "pods/exec", Namespace: "shop", Name: "db-0", User: "system:serviceaccount:shop:web", Identity: "serviceaccount:shop/web",
		Sources: []string{"10.0.0.7"}, Agent: "curl/8", Code: 101, Decision: "allow", From: "pod", FromName: "shop/web-1", Unusual: []string{"service-account"},
		Doc: []byte(`{"verb":"create","dockreeve":{"cluster":"prod","from":"pod"}}`)}
	f := &finding.Finding{ID: finding.ID("exec", "1"), Fingerprint: finding.Fingerprint("exec", db1, "", ""), Rule: finding.Rule{ID: "exec", Name: "Command run in a pod through the API"}, Severity: finding.High,
		Time: ago(time.Minute), Summary: "serviceaccount:shop/web ran a command in a pod", Subject: finding.Subject{Cluster: "prod", Workload: web, Identity: "serviceaccount:shop/web"}, EventIDs: []string{ev.ID}, Event: json.RawMessage("{}")}
	_, err = db.Ingest(ctx, []store.Item{
		{Inventory: &inventory.Delta{Cluster: "prod", Generation: now, Done: true, Time: now, Put: docs}}, {Audit: ev}, {Finding: f},
		{Habits: &inventory.Habits{Cluster: "prod", Since: ago(time.Hour), Time: now, List: []inventory.Habit{{Identity: "serviceaccount:shop/web", Verb: "create", Resource: "pods/exec", Namespace: "shop", Count: 4, First: ago(time.Hour), Last: ago(time.Minute), Sources: []string{"10.0.0.7"}, Agents: []string{"curl/8\x1b[31m"}}}}},
	})
	ts.Check(err)
	ts.Check(db.Close())
}
