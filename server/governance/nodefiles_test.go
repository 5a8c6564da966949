package governance

import (
	"testing"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/posture"
	"github.com/dockreeve/dockreeve/store"
)

// TestFilesOfNodesComeByEitherRoad: what a node says to this hub fills in what the agent of
// its cluster does not tell, and takes nothing from what it does.
func TestFilesOfNodesComeByEitherRoad(t *testing.T) {
	f := open(t, Options{})
	file := func(p string) []inventory.NodeFile {
		return []inventory.NodeFile{{Path: p, Role: inventory.FileKubeconfig}}
	}
	for node, path := range map[string]string{"direct": "/a", "both": "/b", "configured": "/c", "gone": "/d"} {
		f.tell(t, store.Item{Files: &store.NodeFiles{Cluster: "prod", Kubelet: inventory.Kubelet{Node: node, At: f.now(), Files: file(path)}}})
	}
	c := posture.Cluster{Name: "prod", Nodes: []inventory.NodeDoc{{Name: "both"}, {Name: "configured"}, {Name: "direct"}, {Name: "silent"}},
		Kubelets: []posture.Kubelet{{Node: "both", Files: file("/agent")}, {Node: "configured", Config: map[string]string{"readOnlyPort": "0"}, Why: map[string]string{"files": "no agent"}}}}
	if err := f.nodeFiles(t.Context(), &c); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, k := range c.Kubelets {
		got[k.Node] = k.Files[0].Path + " " + k.Config["readOnlyPort"] + k.Why["files"]
	}
	if len(got) != 3 || got["both"] != "/agent " || got["configured"] != "/c 0" || got["direct"] != "/a " {
		t.Errorf("%v", got)
	}
}
