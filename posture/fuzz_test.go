package posture

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// FuzzEvaluate gives whatever shape a tenant and its clusters can come in: no result
// passes without evidence, and none is without a reason or beyond its bounds.
func FuzzEvaluate(f *testing.F) {
	f.Add([]byte(`{"Now":1,"Tenant":{"reads":[{"scope":"/subscriptions/s","what":"clusters","outcome":"denied"}],"subscriptions":[{"id":"/subscriptions/s"}],
		"clusters":[{"id":"/subscriptions/s/c","kind":"aks","pools":[{"publicIP":true}],"authorizedRanges":["/0"]},{"id":"a","kind":"arc","extensions":[{}]}],"registries":[{"id":"r"}],
		"assignments":[{"id":"a"}],"exemptions":[{"assignment":"a","scope":"/"}],"assessments":[{"resource":"R","status":"Unhealthy"}]},
		"Clusters":[{"Name":"c","ID":"/Subscriptions/s/C","At":1,"Workloads":[{"key":"a/Pod/b","namespace":"a","template":{"seLinux":":","seccomp":":","containers":[{"role":"init","probeHosts":[""],"addCapsAs":[""]},{"role":"?"}],"volumes":[{}]}},{}],
		"Nodes":[{"name":"n"}],"Kubelets":[{"node":"n","config":{"eventRecordQPS":"-"},"files":[{"role":"azure-json"}]}],"Identities":[{"key":"k","kind":"User","grants":["read-secrets"],"rights":[{"verbs":["get"],"groups":[""],"resources":["secrets"]}],"more":1}],
		"Exposures":[{"ports":["x"]}],"Namespaces":[{"name":"a","pods":1}],"Scan":{"Running":-1,"Scanned":9,"Failing":["x"],"Count":-4}}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		var x struct {
			Now      int64
			Tenant   *cloud.Tenant
			Clusters []Cluster
		}
		if len(doc) > 64<<10 || json.Unmarshal(doc, &x) != nil {
			return
		}
		results := Evaluate(&Input{Now: x.Now, Tenant: x.Tenant, Clusters: x.Clusters, Settings: Settings{ServicePorts: []int{443}}})
		for _, r := range results {
			if (r.Verdict == Pass || r.Verdict == Fail) && len(r.Evidence) == 0 || r.Reason == "" || len(r.Reason) > 4<<10 || len(r.Evidence) > MaxEvidence || r.Failing < 0 || r.Failing > r.Checked {
				t.Fatalf("%+v", r)
			}
			for _, e := range r.Evidence {
				if !utf8.ValidString(e.Where+e.Field+e.Value) || len(e.Value) > 500 {
					t.Fatalf("%+v", e)
				}
			}
		}
		for _, s := range Scores(results) {
			if s.Ratio < 0 || s.Ratio > 1 {
				t.Fatalf("%+v", s)
			}
		}
	})
}
