package govern

import (
	"testing"
)

// TestAnOwnerIsOneHoweverItIsSpelt: the spelling met most often is shown, and nothing drifts.
func TestAnOwnerIsOneHoweverItIsSpelt(t *testing.T) {
	owned := func(owner string) map[string]string { return map[string]string{"owner": owner} }
	tn := tenantOf(aks(subA, "one", yes(), owned("Container-Platform@corp.example")), aks(subA, "two", yes(), owned("container-platform@corp.example")), aks(subB, "three", yes(), owned("container-platform@corp.example")))
	before := Evaluate(&Input{Now: testNow - testDay, Tenant: tenantOf(aks(subA, "one", yes(), owned("Container-Platform@corp.example")))})
	seen := watched(&tn.Clusters[0], 1)
	seen.Namespaces = []NamespaceOwner{{Namespace: "shop", Owner: "CONTAINER-platform@corp.example", Workloads: 2}}
	in := &Input{Now: testNow, Tenant: tn, Observed: []Observed{seen}, History: []Day{before.Day}}
	ev := Evaluate(in)
	for i := range ev.Clusters {
		if o := ev.Clusters[i].Ownership.Owner; o != "container-platform@corp.example" {
			t.Errorf("%s: %s", ev.Clusters[i].Name, o)
		}
	}
	for _, c := range ev.Coverage.Drift {
		if c.What == "owner" {
			t.Errorf("a change of case is told as drift: %+v", c)
		}
	}
	of, _ := owners(in)
	for key, o := range of {
		if o != "container-platform@corp.example" {
			t.Errorf("money of %s goes to %s", key, o)
		}
	}
	if len(of) != 4 {
		t.Errorf("%v", of)
	}
}
