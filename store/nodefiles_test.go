package store

import (
	"reflect"
	"testing"

	"github.com/dockreeve/dockreeve/inventory"
)

func TestWhatNodesSayOfTheirFilesIsKept(t *testing.T) {
	f := open(t, Options{})
	now := f.now.Load()
	tell := func(cluster, node string, at int64, path string) {
		f.tell(t, Item{Files: &NodeFiles{Cluster: cluster, Kubelet: inventory.Kubelet{Node: node, At: at, Files: []inventory.NodeFile{{Path: path, Role: "kubeconfig", Mode: 0o600}}}}})
	}
	tell("prod", "n1", now-10, "/new")
	tell("prod", "n1", now-20, "/late")
	tell("prod", "n2", now+1e15, "/ahead")
	tell("dev", "n1", now, "/dev")
	got, err := f.NodeFiles(t.Context(), "prod")
	if err != nil || len(got) != 2 || got["n1"].Files[0].Path != "/new" || got["n2"].At > f.now.Load() {
		t.Fatal(got, err)
	}
	f.now.Add(int64(2 * f.opt.Keep))
	tell("prod", "n3", f.now.Load(), "/kept")
	if err := f.pruneGovernance(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err = f.NodeFiles(t.Context(), "prod"); err != nil || !reflect.DeepEqual([]string{got["n3"].Files[0].Path}, []string{"/kept"}) || len(got) != 1 {
		t.Fatal(got, err)
	}
}
