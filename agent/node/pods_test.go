package node

import (
	"strconv"
	"testing"

	"github.com/dockreeve/dockreeve/inventory"
)

// TestPodsToldBeforeTheSensorIsOpen are kept, within a bound, those of other nodes are not.
func TestPodsToldBeforeTheSensorIsOpen(t *testing.T) {
	set, _, err := RuleSet{}.Load()
	if err != nil {
		t.Fatal(err)
	}
	n, err := New(Options{Name: "node1", Rules: set, Sender: &outbox{}})
	if err != nil {
		t.Fatal(err)
	}
	n.Pods(inventory.PodsFor{Node: "node2", Full: true, Put: []inventory.PodMeta{{UID: "other"}}})
	n.Pods(inventory.PodsFor{Node: "node1", Full: true, Put: []inventory.PodMeta{{UID: "a"}, {UID: "b", Workload: "old"}}})
	n.Pods(inventory.PodsFor{Node: "node1", Gone: []string{"a"}, Put: []inventory.PodMeta{{UID: "b", Workload: "x/Job/y", Owner: "o", Tenant: "t",
		Images: []inventory.PodImage{{Container: "c", Digest: "sha256:1", ImageID: "i"}}}}})
	if b := n.pods["b"]; len(n.pods) != 1 || b.Workload != "x/Job/y" || b.Owner != "o" || b.Tenant != "t" || len(b.Images) != 1 || b.Images[0].Digest != "sha256:1" || b.Images[0].Container != "c" || b.Images[0].ImageID != "i" {
		t.Errorf("%+v", n.pods)
	}
	many := make([]inventory.PodMeta, maxPendingPods+10)
	for i := range many {
		many[i].UID = strconv.Itoa(i)
	}
	n.Pods(inventory.PodsFor{Node: "node1", Full: true, Put: many})
	if len(n.pods) != maxPendingPods {
		t.Errorf("%d pods kept", len(n.pods))
	}
}
