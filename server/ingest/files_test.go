package ingest

import (
	"reflect"
	"testing"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
)

// TestANodeTellsTheHubOfItsFiles: one that links straight to the hub has nobody else to
// tell it, and speaks of itself only.
func TestANodeTellsTheHubOfItsFiles(t *testing.T) {
	files := []inventory.NodeFile{{Path: "/etc/kubernetes/kubelet.conf", Role: inventory.FileKubeconfig, Mode: 0o644}}
	said := inventory.Kubelet{Node: "another", At: 5, Files: files, Config: map[string]string{"readOnlyPort": "0"}, Why: map[string]string{"config": "x", "files": "y"}}
	take := func(origin string, k inventory.Kubelet) (cluster string, got *inventory.Kubelet, err error) {
		it, _, err := decode(link.Envelope{Origin: origin, Lane: link.LaneInventory, Kind: link.KindKubelet, Bytes: encode(t, k)})
		if it.Files == nil {
			return "", nil, err
		}
		return it.Files.Cluster, &it.Files.Kubelet, err
	}
	want := &inventory.Kubelet{Node: "n1", At: 5, Files: files, Why: map[string]string{"files": "y"}}
	if cluster, got, err := take("node/prod/n1", said); err != nil || cluster != "prod" || !reflect.DeepEqual(got, want) {
		t.Errorf("%s %+v %v", cluster, got, err)
	}
	for _, origin := range []string{"local", "node/n1", "cluster/prod"} { // in the process of its agent, of no cluster, no node
		if _, got, err := take(origin, said); err != nil || got != nil {
			t.Errorf("%s: %+v %v", origin, got, err)
		}
	}
	said.At = 0
	if _, _, err := take("node/prod/n1", said); err == nil {
		t.Error("files of no time were taken")
	}
	said.At, said.Files = 5, make([]inventory.NodeFile, inventory.MaxNodeFiles+1)
	if _, _, err := take("node/prod/n1", said); err == nil {
		t.Error("too many files were taken")
	}
}
