package govern

import (
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// TestCustomResourcesAloneAreNoSensor: what an uninstalled sensor leaves behind is told,
// and protects nothing.
func TestCustomResourcesAloneAreNoSensor(t *testing.T) {
	crds := []string{"policies.defender.microsoft.com", "runtimepolicies.defender.microsoft.com"}
	yes, no := true, false
	for name, c := range map[string]struct {
		profile *bool
		sensor  Sighting
		state   string
		says    string
	}{
		"remains":             {&no, Sighting{Custom: crds}, RowOpen, "no sensor runs in the cluster; its custom resources are there (policies.defender.microsoft.com, runtimepolicies.defender.microsoft.com)"},
		"a profile, remains":  {&yes, Sighting{Custom: crds}, RowOpen, "profile is on, but no sensor runs in the cluster; its custom resources are there"},
		"nothing":             {&no, Sighting{}, RowOpen, "no sensor runs in the cluster"},
		"a sensor from Helm":  {&no, Sighting{Custom: crds, Seen: true, Ready: 2, Wanted: 2, Where: []string{"mdc/DaemonSet/x"}}, RowClosed, "installed with Helm"},
		"a sensor, not ready": {&no, Sighting{Custom: crds, Seen: true, Ready: 1, Wanted: 2}, RowOpen, "ready on 1 of 2 nodes"},
	} {
		t.Run(name, func(t *testing.T) {
			c.sensor.At = testNow
			r := Evaluate(&Input{Now: testNow, Config: Config{Provider: providerDefender}, Observed: []Observed{{Cluster: "c", ID: "/c", Agent: "1", LastWord: testNow, Nodes: 2, NodesWatched: 2, Sensor: c.sensor}},
				Tenant: &cloud.Tenant{Collected: testNow - int64(time.Hour), Finished: testNow - int64(time.Hour), Subscriptions: []cloud.Subscription{{ID: "/subscriptions/s", Name: "s", Plan: &cloud.Plan{Standard: true}}},
					Clusters: []cloud.Cluster{{ID: "/c", Name: "c", Kind: cloud.KindAKS, Subscription: "/subscriptions/s", DefenderProfile: c.profile}}}}).Clusters[0]
			if r.Inside.State != c.state || !strings.Contains(r.Inside.Why, c.says) {
				t.Errorf("%+v", r.Inside)
			}
			if r.Inside.State == RowClosed && !strings.Contains(r.Inside.Proof, crds[1]) {
				t.Errorf("closed by %q", r.Inside.Proof)
			}
			if len(c.sensor.Custom) == 0 && strings.Contains(r.Inside.Why, "custom resources") {
				t.Errorf("%+v", r.Inside)
			}
		})
	}
}
