package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
)

const blueUID = "bbbbbbbb-0000-4000-8000-000000000002"

func escape(object string, tags ...string) finding.Finding {
	return finding.Finding{
		Summary: "sh left.", Rule: finding.Rule{Tags: append(tags, tagEscape)},
		Subject: finding.Subject{Node: "node1", Tenant: "red", Workload: "red/Deployment/tool", Object: object, Container: &finding.Container{Pod: "tool-0", Namespace: "red"}},
	}
}

func TestReach(t *testing.T) {
	var n neighbours
	f := escape("")
	n.reach(&f)
	if len(f.Subject.Reaches) > 0 || !strings.Contains(f.Summary, "not assessed: no cluster agent") {
		t.Errorf("nobody has told of pods: %v %s", f.Subject.Reaches, f.Summary)
	}
	n.take(&inventory.PodsFor{Full: true, Put: []inventory.PodMeta{
		{UID: "aaaaaaaa-0000-4000-8000-000000000001", Workload: "red/Deployment/tool", Tenant: "red"},
		{UID: "aaaaaaaa-0000-4000-8000-000000000009", Workload: "red/Deployment/web", Tenant: "red"},
		{UID: blueUID, Workload: "blue/Deployment/db", Tenant: "blue"},
		{UID: "bbbbbbbb-0000-4000-8000-000000000003", Workload: "blue/Deployment/db", Tenant: "blue"},
		{UID: "cccccccc-0000-4000-8000-000000000004", Workload: "kube-system/DaemonSet/proxy"},
		{UID: "dddddddd-0000-4000-8000-000000000005", Workload: "amber/Job/gone", Tenant: "amber"},
	}})
	n.take(&inventory.PodsFor{Put: []inventory.PodMeta{{UID: "eeeeeeee-0000-4000-8000-000000000006", Workload: "green/Job/sum", Tenant: "green"}}, Gone: []string{"dddddddd-0000-4000-8000-000000000005"}})
	kubelet := "/host/var/lib/kubelet/pods/"
	for _, tc := range []struct {
		name, object string
		reaches      []string
		summary      string
	}{
		{"the node", "", []string{"tenant:blue", "tenant:green", "blue/Deployment/db", "green/Job/sum"}, "sh left. On node node1 it reaches tenant blue's blue/Deployment/db and 1 more of other tenants."},
		{"one pod", kubelet + blueUID + "/volumes/x/token", []string{"tenant:blue", "blue/Deployment/db"}, "sh left. It is tenant blue's blue/Deployment/db."},
		{"a pod of its own tenant", kubelet + "aaaaaaaa-0000-4000-8000-000000000009/volumes/x/token", []string{"red/Deployment/web"}, "sh left. It is tenant red's red/Deployment/web."},
		{"its own", kubelet + "aaaaaaaa-0000-4000-8000-000000000001/volumes/x/token", nil, "sh left."},
		{"one nobody told of", kubelet + "ffffffff-0000-4000-8000-000000000007/volumes/x/token", nil, "sh left. Whose pod it is is not assessed: no cluster agent has told of pod ffffffff-0000-4000-8000-000000000007."},
	} {
		f := escape(tc.object)
		n.reach(&f)
		if !slices.Equal(f.Subject.Reaches, tc.reaches) || f.Summary != tc.summary {
			t.Errorf("%s: reaches %q, %s", tc.name, f.Subject.Reaches, f.Summary)
		}
	}
	renamed := escape("/x/token")
	renamed.Why = []finding.Condition{{Field: "fd.host_path", Null: true}, {Field: "fd.host_path", Got: "/var/lib/kubelet/pods/" + blueUID + "/volumes/x/token"}}
	n.reach(&renamed)
	if !slices.Equal(renamed.Subject.Reaches, []string{"tenant:blue", "blue/Deployment/db"}) {
		t.Errorf("under another name: reaches %q", renamed.Subject.Reaches)
	}
	plain := escape("")
	plain.Rule.Tags = []string{"container"}
	n.reach(&plain)
	if plain.Subject.Reaches != nil || plain.Summary != "sh left." {
		t.Errorf("a finding of another rule reaches %v", plain.Subject.Reaches)
	}
}

// TestFindingsOfToldPodsNameTheCluster: other containers of the machine are not the cluster's.
func TestFindingsOfToldPodsNameTheCluster(t *testing.T) {
	var n neighbours
	n.take(&inventory.PodsFor{Cluster: "lab", Put: []inventory.PodMeta{{UID: blueUID, Workload: "blue/Deployment/db", Owner: "unowned"}}})
	told, other, host := escape(""), escape(""), finding.Finding{}
	told.Subject.Owner = "unowned"
	for _, f := range []*finding.Finding{&told, &other, &host} {
		n.place(f)
	}
	if told.Subject.Cluster != "lab" || other.Subject.Cluster != "" || host.Subject.Cluster != "" {
		t.Errorf("clusters: %q of a pod that was told of, %q of another container, %q of the host", told.Subject.Cluster, other.Subject.Cluster, host.Subject.Cluster)
	}
}

// TestReachIsBounded has more pods on the node than are remembered or named.
func TestReachIsBounded(t *testing.T) {
	var n neighbours
	for i := range maxPendingPods + 100 {
		n.take(&inventory.PodsFor{Put: []inventory.PodMeta{{UID: fmt.Sprintf("uid-%020d", i), Workload: fmt.Sprintf("blue/Job/j%05d", i), Tenant: "blue"}}})
	}
	f := escape("")
	n.reach(&f)
	if len(n.pods) != maxPendingPods || len(f.Subject.Reaches) != maxReached+1 || !strings.Contains(f.Summary, fmt.Sprintf("and %d more", maxPendingPods-1)) {
		t.Errorf("%d pods, %d reached: %s", len(n.pods), len(f.Subject.Reaches), f.Summary)
	}
}
