package posture

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

func TestTheWorldOfTheFixturesPasses(t *testing.T) {
	for _, r := range Evaluate(loadScene(t).input(t, &variant{})) {
		c := byID(r.Control)
		if r.Resource == clusterID && r.Verdict != Pass && r.Verdict != NotRelevant && !c.Manual {
			t.Errorf("%s: %s: %s", r.Control, r.Verdict, r.Reason)
		}
	}
}

func byID(id string) *Control {
	for _, c := range Controls() {
		if c.ID == id {
			return &c
		}
	}
	return nil
}

// TestNothingKnownIsNothingPassed takes every piece of evidence away.
func TestNothingKnownIsNothingPassed(t *testing.T) {
	in := &Input{Now: 10, Tenant: &cloud.Tenant{
		Subscriptions: []cloud.Subscription{{ID: "/subscriptions/s1"}},
		Clusters:      []cloud.Cluster{{ID: "/subscriptions/s1/x/aks", Kind: cloud.KindAKS, Subscription: "/subscriptions/s1"}, {ID: "/subscriptions/s1/x/arc", Kind: cloud.KindArc, Subscription: "/subscriptions/s1"}},
		Registries:    []cloud.Registry{{ID: "/subscriptions/s1/x/r", Subscription: "/subscriptions/s1"}},
	}, Clusters: []Cluster{{Name: "other"}, {Name: "aks", ID: "/subscriptions/s1/x/AKS", At: 9}}}
	// What ARM leaves out because there is none of it counts as told of.
	absent := map[string]bool{"registry-private-link": true, "aks-network-policy": true, "aks-upgrades": true}
	results := Evaluate(in)
	for _, r := range results {
		if r.Verdict == Pass || r.Verdict == Fail && !absent[r.Control] {
			t.Errorf("%s at %s: %s (%s) of nothing", r.Control, r.Resource, r.Verdict, r.Reason)
		}
	}
	for _, s := range Scores(results) {
		if s.Pass != 0 || s.NotAssessed == 0 {
			t.Errorf("%+v", s)
		}
	}
	if got := Evaluate(&Input{}); len(got) != 0 {
		t.Errorf("%d results of no cluster", len(got))
	}
}

// TestDeniedReadsStayInTheCount holds that each control of clusters has a result for a
// subscription whose clusters could not be listed.
func TestDeniedReadsStayInTheCount(t *testing.T) {
	in := &Input{Tenant: &cloud.Tenant{
		Subscriptions: []cloud.Subscription{{ID: "/subscriptions/s1"}, {ID: "/subscriptions/s2"}},
		Reads: []cloud.Read{
			{Scope: "/subscriptions/s1", What: cloud.ReadClusters, Outcome: cloud.ReadDenied, Reason: "no role", Remedy: "assign Reader"},
			{Scope: "/subscriptions/s2", What: cloud.ReadClusters, Outcome: cloud.ReadAbsent},
		},
	}}
	results := Evaluate(in)
	want := 0
	for _, c := range Controls() {
		if c.Scope == OnCluster || c.Scope == OnSubscription {
			want++
		}
	}
	if len(results) != want {
		t.Errorf("%d results, want %d", len(results), want)
	}
	for _, r := range results {
		if r.Verdict != NotAssessed || r.Resource != "/subscriptions/s1" || !byID(r.Control).Manual && !strings.Contains(r.Reason, "no role (assign Reader)") {
			t.Errorf("%+v", r)
		}
	}
}

func TestFrameworksLimitWhatIsJudged(t *testing.T) {
	in := loadScene(t).input(t, &variant{})
	in.Frameworks = []string{FrameworkCIS}
	results := Evaluate(in)
	if len(results) == 0 {
		t.Fatal("no results")
	}
	for _, r := range results {
		if byID(r.Control).Maps[FrameworkCIS] == nil {
			t.Errorf("%s is not of CIS", r.Control)
		}
	}
}

// TestScoresAddUp holds that every result but those of no relevance is counted once in
// all, and that groups add up to it.
func TestScoresAddUp(t *testing.T) {
	ids := []string{"gone"}
	for _, c := range Controls() {
		ids = append(ids, c.ID)
	}
	rapid.Check(t, func(t *rapid.T) {
		results := rapid.SliceOf(rapid.Custom(func(t *rapid.T) Result {
			return Result{
				Control: rapid.SampledFrom(ids).Draw(t, "control"), Cluster: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "cluster"),
				Verdict: rapid.SampledFrom(gravity).Draw(t, "verdict"),
			}
		})).Draw(t, "results")
		relevant := 0
		for _, r := range results {
			if c := byID(r.Control); r.Verdict != NotRelevant || c != nil && c.Manual {
				relevant++
			}
		}
		total := func(list []Score) (n Score) {
			for _, s := range list {
				if s.Framework == "" {
					return s
				}
			}
			return n
		}
		all := total(Scores(results))
		if n := all.Pass + all.Fail + all.NotAssessed + all.Exempt + all.Manual; n != relevant {
			t.Fatalf("%d counted of %d", n, relevant)
		}
		if all.Ratio < 0 || all.Ratio > 1 || all.Pass+all.Fail == 0 && all.Ratio != 0 {
			t.Fatalf("ratio %v", all.Ratio)
		}
		var sum Score
		for _, list := range ScoresBy(results, ByCluster) {
			s := total(list)
			sum.Pass, sum.Fail, sum.NotAssessed, sum.Exempt, sum.Manual = sum.Pass+s.Pass, sum.Fail+s.Fail, sum.NotAssessed+s.NotAssessed, sum.Exempt+s.Exempt, sum.Manual+s.Manual
		}
		if sum.Ratio = all.Ratio; sum != all {
			t.Fatalf("clusters add up to %+v, all are %+v", sum, all)
		}
	})
}

// TestEvidenceIsBounded gives thousands of hostile objects.
func TestEvidenceIsBounded(t *testing.T) {
	long := strings.Repeat("<script>\xff\n", 10_000)
	c := Cluster{Name: "c", At: 1, Namespaces: []inventory.NamespaceDoc{}, Nodes: []inventory.NodeDoc{}, Identities: []inventory.IdentityDoc{}}
	for i := range 3000 {
		ns := fmt.Sprintf("n%d", i)
		c.Workloads = append(c.Workloads, inventory.WorkloadDoc{
			Key: ns + "/Pod/p", Namespace: ns, Owner: long, Secrets: []string{long}, TokenMounted: true,
			Template: &inventory.PodSpec{HostPID: true, Containers: []inventory.Container{{Name: "c", Image: long, Privileged: true, SecretEnv: []string{long}, AddCaps: []string{long[:64]}}}},
		})
		c.Identities = append(c.Identities, inventory.IdentityDoc{Key: "user:u", Kind: "User", Name: "u", Grants: []string{"read-secrets"}, Rights: []inventory.Right{{
			Rule: inventory.Rule{Verbs: []string{"get"}, Groups: []string{""}, Resources: []string{"secrets"}}, Role: long, Binding: long,
		}}})
		c.Exposures = append(c.Exposures, inventory.ExposureDoc{Key: long, Kind: "Ingress", Namespace: ns, Ports: []string{long}})
	}
	for _, r := range Evaluate(&Input{Now: 1, Clusters: []Cluster{c}, Settings: Settings{ServicePorts: []int{443}}}) {
		size := len(r.Reason)
		for _, e := range r.Evidence {
			size += len(e.Where) + len(e.Field) + len(e.Value)
		}
		if len(r.Evidence) > MaxEvidence || size > 40_000 {
			t.Errorf("%s: %d pieces of evidence, %d bytes", r.Control, len(r.Evidence), size)
		}
		if r.Control == "pods-privileged" && (r.Failing != 3000 || r.Checked != 3000) {
			t.Errorf("%s: %d of %d", r.Control, r.Failing, r.Checked)
		}
	}
}

func TestTheSameInputGivesTheSameResults(t *testing.T) {
	w := loadScene(t)
	first := Evaluate(w.input(t, &variant{}))
	for range 3 {
		if !reflect.DeepEqual(first, Evaluate(w.input(t, &variant{}))) {
			t.Fatal("the results are others")
		}
	}
	order := func(a, b Result) int {
		ids := func(id string) int { return slices.IndexFunc(controls(), func(c Control) bool { return c.ID == id }) }
		if a.Control != b.Control {
			return ids(a.Control) - ids(b.Control)
		}
		return strings.Compare(a.Resource, b.Resource)
	}
	if !slices.IsSortedFunc(first, order) {
		t.Error("the results are not in the order of controls and resources")
	}
}

// many is a tenant of n clusters with 40 workloads, 60 identities and 5 nodes each.
func many(n int) *Input {
	in := &Input{Now: 100, Tenant: &cloud.Tenant{Collected: 99}}
	yes, no := true, false
	for i := range n {
		sub := fmt.Sprintf("/subscriptions/s%d", i/4)
		if i%4 == 0 {
			in.Tenant.Subscriptions = append(in.Tenant.Subscriptions, cloud.Subscription{ID: sub, Plan: &cloud.Plan{Standard: true}})
			in.Tenant.Registries = append(in.Tenant.Registries, cloud.Registry{ID: sub + "/registries/r", Subscription: sub, Server: fmt.Sprintf("r%d.azurecr.io", i), Admin: &no})
		}
		id := fmt.Sprintf("%s/managedclusters/c%d", sub, i)
		in.Tenant.Clusters = append(in.Tenant.Clusters, cloud.Cluster{ID: id, Kind: cloud.KindAKS, Subscription: sub, RBAC: &yes, Private: &no, NetworkPlugin: "azure", NetworkPolicy: "cilium"})
		c := Cluster{Name: fmt.Sprintf("c%d", i), ID: id, At: 99, Identities: []inventory.IdentityDoc{}, Exposures: []inventory.ExposureDoc{}}
		for j := range 40 {
			ns := fmt.Sprintf("team-%d", j/8)
			c.Workloads = append(c.Workloads, inventory.WorkloadDoc{
				Key: fmt.Sprintf("%s/Deployment/w%d", ns, j), Namespace: ns, Owner: ns, Identity: "serviceaccount:" + ns + "/w",
				Template: &inventory.PodSpec{RunAsNonRoot: &yes, Seccomp: "RuntimeDefault", Containers: []inventory.Container{
					{Name: "a", Image: fmt.Sprintf("r%d.azurecr.io/w:1", i-i%4), Escalation: &no, DropCaps: []string{"ALL"}, Seccomp: "RuntimeDefault", CPULimit: 1, MemLimit: 1, ReadOnly: j%3 == 0},
					{Name: "b", Image: "docker.io/library/envoy:1", CPULimit: 1, MemLimit: 1, AddCaps: []string{"NET_ADMIN"}},
				}, Volumes: []inventory.PodVolume{{Name: "v", Type: "emptyDir"}}},
			})
		}
		for j := range 60 {
			c.Identities = append(c.Identities, inventory.IdentityDoc{Key: fmt.Sprintf("serviceaccount:team-%d/w%d", j/12, j), Kind: "ServiceAccount", Namespace: fmt.Sprintf("team-%d", j/12), Name: fmt.Sprintf("w%d", j),
				Grants: []string{"read-secrets"}, Rights: []inventory.Right{{Rule: inventory.Rule{Verbs: []string{"get"}, Groups: []string{""}, Resources: []string{"secrets"}}, Namespace: fmt.Sprintf("team-%d", j/12), Role: "Role/r", Binding: "RoleBinding/r"}}})
		}
		for j := range 5 {
			c.Nodes = append(c.Nodes, inventory.NodeDoc{Name: fmt.Sprintf("n%d", j), Node: inventory.Node{OS: "linux"}})
			c.Namespaces = append(c.Namespaces, inventory.NamespaceDoc{Name: fmt.Sprintf("team-%d", j), Pods: 8, Policies: j})
			c.Kubelets = append(c.Kubelets, Kubelet{Node: fmt.Sprintf("n%d", j), Config: map[string]string{"readOnlyPort": "0", "authorization.mode": "Webhook"}})
		}
		in.Clusters = append(in.Clusters, c)
	}
	return in
}

// BenchmarkEvaluate judges all controls at 2,000 clusters.
func BenchmarkEvaluate(b *testing.B) {
	in := many(2000)
	b.ReportAllocs()
	for b.Loop() {
		if n := len(Evaluate(in)); n < 100_000 {
			b.Fatal(n)
		}
	}
}

func TestWhereAnImageComesFrom(t *testing.T) {
	var r registries
	for _, s := range []string{"Shop.azurecr.io", "docker.io/bitnami/", "quay.io/org/tool", ""} {
		r.add(s)
	}
	for image, want := range map[string]bool{
		"shop.azurecr.io/web:1": true, "SHOP.azurecr.io/a/b@sha256:aa": true, "shop.azurecr.io.evil.example/web": false, "shop.azurecr.io": false,
		"bitnami/redis": true, "docker.io/bitnami/redis:8": true, "bitnamix/redis": false, "redis": false, "docker.io/redis": false,
		"quay.io/org/tool:1": true, "quay.io/org/tool": true, "quay.io/org/toolbox": false, "": false, "/": false,
	} {
		if got := r.holds(image); got != want {
			t.Errorf("%q: %v", image, got)
		}
	}
}

// TestClustersOfOthers: settings of AKS say nothing of another platform, and are not known
// of a cluster of AKS that the tenant does not hold.
func TestClustersOfOthers(t *testing.T) {
	doc := func(platform, id string) Cluster {
		return Gather("c-"+platform+id, 5, []inventory.Document{{Cluster: &inventory.ClusterDoc{Platform: platform, ResourceID: id}}})
	}
	results := Evaluate(&Input{Now: 6, Tenant: &cloud.Tenant{}, Clusters: []Cluster{doc("EKS", ""), doc("AKS", ""), doc("AKS", "/Subscriptions/x/c")}})
	want := map[string]map[string]Verdict{
		"aks-rbac":             {"c-EKS": NotRelevant, "c-AKS": NotAssessed, "/subscriptions/x/c": NotAssessed},
		"arc-policy-extension": {"c-EKS": NotAssessed, "c-AKS": NotRelevant, "/subscriptions/x/c": NotRelevant},
	}
	seen := 0
	for _, r := range results {
		if want[r.Control] != nil {
			seen++
			if r.Verdict != want[r.Control][r.Resource] {
				t.Errorf("%s at %s: %s: %s", r.Control, r.Resource, r.Verdict, r.Reason)
			}
		}
	}
	if seen != 6 {
		t.Errorf("%d results", seen)
	}
}

// TestWhatOlderAgentsTellIsNotJudgedByWhatTheyLack: the same cluster, told by an agent
// from before its documents held what Pod Security reads.
func TestWhatOlderAgentsTellIsNotJudgedByWhatTheyLack(t *testing.T) {
	judge := func(shape int) map[string]Result {
		yes := true
		docs := []inventory.Document{
			{Cluster: &inventory.ClusterDoc{Agent: "1.4.0", Shape: shape}},
			{Namespace: &inventory.NamespaceDoc{Name: "shop", Pods: 1}},
			{Workload: &inventory.WorkloadDoc{Key: "shop/Deployment/web", Namespace: "shop", Kind: "Deployment", Name: "web", Owner: "a",
				Template: &inventory.PodSpec{HostPID: true, Containers: []inventory.Container{{Name: "c", RunAsNonRoot: &yes}}}}},
		}
		out := map[string]Result{}
		for _, r := range Evaluate(&Input{Now: 6, Clusters: []Cluster{Gather("c", 5, docs)}}) {
			out[r.Control] = r
		}
		return out
	}
	now, old := judge(inventory.Shape), judge(0)
	changed, kept := 0, 0
	for id, r := range now {
		if r.Verdict != Pass && r.Verdict != Fail {
			continue
		}
		switch o := old[id]; {
		case o.Verdict == NotAssessed && strings.Contains(o.Reason, "its agent 1.4.0 is of a version") && strings.Contains(o.Reason, "upgrade the cluster agent"):
			changed++
		case o.Verdict == r.Verdict:
			kept++
		default:
			t.Errorf("%s: %s of an older agent, %s of this one: %s", id, o.Verdict, r.Verdict, o.Reason)
		}
	}
	if changed < 15 || kept == 0 {
		t.Errorf("%d controls wait for a newer agent, %d do not", changed, kept)
	}
}

// TestGatherSaysWhatIsMissing holds gaps of resources to the parts that need them.
func TestGatherSaysWhatIsMissing(t *testing.T) {
	for what, parts := range map[string]string{
		"pods": "workloads", "replicasets.apps": "workloads", "nodes": "nodes", "roles.rbac.authorization.k8s.io": "identities",
		"networkpolicies.networking.k8s.io": "namespaces", "services": "exposures", "API server": "", "secrets": "", "configmaps": "",
		"inventory": "exposures identities namespaces nodes workloads", "serviceaccounts": "identities workloads",
	} {
		c := Gather("c", 1, []inventory.Document{{Cluster: &inventory.ClusterDoc{Gaps: []inventory.Gap{{What: what, Reason: "no right"}}}}})
		var got []string
		for p, why := range c.Missing {
			got = append(got, p)
			if why != what+": no right" {
				t.Errorf("%s: %q", what, why)
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != parts {
			t.Errorf("%s: %v, want %s", what, got, parts)
		}
	}
	if c := Gather("c", 1, nil); len(c.Missing) != 5 {
		t.Errorf("without a document of the cluster: %v", c.Missing)
	}
}
