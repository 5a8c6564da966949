package activity

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

var update = flag.Bool("update", false, "write the golden file")

// TestAReportAsItIsWritten holds what a report says, word by word: of an identity, of a
// stranger and of a subscription, with what could not be judged.
func TestAReportAsItIsWritten(t *testing.T) {
	tn := world()
	other := tn.Clusters[0]
	other.ID, other.Name, other.NodeGroup = aksID+"2", "aks2", "MC_rg_aks2_west"
	other.Identities = []cloud.Identity{tn.Clusters[0].Identities[2]} // one identity, two clusters
	tn.Clusters = append(tn.Clusters, other, cloud.Cluster{ID: bareID + "/resourcegroups/x/providers/microsoft.containerservice/managedclusters/y", Name: "y", Kind: cloud.KindAKS, Subscription: bareID})
	tn.Reads = []cloud.Read{{What: cloud.ReadActivity, Scope: subID, Outcome: cloud.ReadOK}, {What: cloud.ReadActivity, Scope: bareID, Outcome: cloud.ReadDenied, Reason: "no right to read", Remedy: "give it Reader"}}
	tn.Subscriptions[0].Plan = &cloud.Plan{}
	at := day0.AddDate(0, 0, 4).UnixNano()
	add := func(id string, minutes int64, who, op, resource, status string, more func(*cloud.Activity)) {
		a := cloud.Activity{ID: id, At: at + minutes*60e9, Subscription: subID, Resource: resource, Operation: op, Status: status, Caller: who, Address: "198.51.100.9"}
		if more != nil {
			more(&a)
		}
		tn.Activity = append(tn.Activity, a)
	}
	add("1", 0, "object-omsagent", "Microsoft.Storage/storageAccounts/listKeys/action", subID+"/resourcegroups/o/providers/microsoft.storage/storageaccounts/a", "Succeeded", nil)
	add("2", 1, "object-omsagent", "Microsoft.Storage/storageAccounts/listKeys/action", subID+"/resourcegroups/o/providers/microsoft.storage/storageaccounts/b", "Failed", func(a *cloud.Activity) { a.SubStatus = "Forbidden" })
	add("3", 2, "object-omsagent", "Microsoft.EventHub/namespaces/write", subID+"/resourcegroups/o/providers/microsoft.eventhub/namespaces/n", "Succeeded", nil)
	add("4", 3, "eve@shop.example", "Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action", aksID, "Succeeded", nil)
	add("5", 4, "eve@shop.example", "Microsoft.ContainerService/managedClusters/agentPools/write", aksID+"/agentpools/gpu", "Succeeded", nil)
	add("6", 5, "ann", "Microsoft.Security/pricings/write", subID+"/providers/microsoft.security/pricings/containers", "Succeeded", nil)
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	rep := Judge(&Input{Tenant: tn, Owners: map[string]string{aksID: "payments"}, Names: map[string]string{aksID: "shop-prod"}})
	for i := range rep.Findings {
		rep.Findings[i].Rule.Hash = "" // changes with every word of the rules
	}
	if err := enc.Encode(rep); err != nil {
		t.Fatal(err)
	}
	const path = "testdata/report.json"
	if *update {
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("the report differs from %s (go test -update writes it):\n%s", path, out.String())
	}
}

// TestNothingReadIsNotNothingFound holds that an empty report says why it is empty.
func TestNothingReadIsNotNothingFound(t *testing.T) {
	for name, in := range map[string]*cloud.Tenant{
		"no tenant":       nil,
		"no log":          {},
		"a denied one":    {Reads: []cloud.Read{{What: cloud.ReadActivity, Scope: subID, Outcome: cloud.ReadDenied}}},
		"a short one":     {Activity: world().Activity, Reads: []cloud.Read{{What: cloud.ReadActivity, Outcome: cloud.ReadOK}}},
		"records unread":  {Activity: world().Activity, Reads: []cloud.Read{{What: cloud.ReadActivity, Outcome: cloud.ReadOK, Bad: 3}}},
		"no identities":   {Clusters: []cloud.Cluster{{ID: aksID, Kind: cloud.KindAKS}}, Reads: []cloud.Read{{What: cloud.ReadActivity, Outcome: cloud.ReadOK}}, Activity: world().Activity},
		"it was left out": {Reads: []cloud.Read{{What: cloud.ReadActivity, Outcome: cloud.ReadSkipped}}},
	} {
		if out := Judge(&Input{Tenant: in}); len(out.Findings) != 0 || len(out.Gaps) == 0 {
			t.Errorf("%s: %+v", name, out)
		}
	}
}

// TestPatterns holds what a star stands for.
func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"a/b", "a/b", true}, {"a/b", "a/bc", false}, {"a/*", "a/", true}, {"a/*", "a/b/c", true}, {"*/c", "a/b/c", true}, {"*/c", "a/c/d", false},
		{"a/*/c", "a/b/x/c", true}, {"a/*/c", "a/c", false}, {"*", "", true}, {"", "", true}, {"", "a", false}, {"a*b*c", "a1b2b3c", true}, {"a*b*c", "a1c2b", false}, {"*a*", strings.Repeat("b", 99) + "a", true}, {"**", "x", true},
	} {
		if got := glob(c.pattern, c.s); got != c.want {
			t.Errorf("%q of %q: %v", c.pattern, c.s, got)
		}
	}
}

// TestARuleThatIsWrongIsRefused holds that a mistake in the table is told, with its place.
func TestARuleThatIsWrongIsRefused(t *testing.T) {
	for from, to := range map[string]string{
		"actor: stranger":          "actor: nobody",
		"still: plan-off":          "still: standing",
		"refused: 3\n":             "",
		"learn: 72h":               "learn: soon",
		"where: nodes\n":           "where: there\n",
		"severity: critical":       "severity: dreadful",
		"id: azure-mi-keys\n":      "id: azure-mi-compute\n",
		"    undone: {operations:": "    undoes: {operations:",
		"asOf: \"2026-11-26\"":     "asOf: lately",
	} {
		doc := strings.Replace(string(rulesFile), from, to, 1)
		if doc == string(rulesFile) {
			t.Errorf("%q is not there", from)
		} else if _, err := load([]byte(doc)); err == nil {
			t.Errorf("%q was taken for %q", to, from)
		}
	}
}

// FuzzJudge holds that no tenant, however odd, stops it; that ids are unique and every
// finding can be stored.
func FuzzJudge(f *testing.F) {
	b, err := json.Marshal(world())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"clusters":[{"identities":[{"use":"cluster"},{"use":"x","id":"/"}]}],"activity":[{"id":"1","at":1,"operation":"*","identityID":"/"},{"at":-1},{"at":9223372036854775807,"operation":"Microsoft.Security/pricings/write","status":"Succeeded"}]}`))
	f.Add([]byte(`{"clusters":[{"id":"/s/g/p/c","subscription":"/s","nodeGroup":"n"}],"activity":[{"id":"1","at":1,"operation":"a/listKeys/action","identityID":"/s/resourcegroups/n/providers/x","status":"Succeeded"}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		var tn cloud.Tenant
		if json.Unmarshal(doc, &tn) != nil {
			return
		}
		out := Judge(&Input{Tenant: &tn})
		seen := map[string]bool{}
		for i := range out.Findings {
			x := &out.Findings[i]
			if seen[x.ID] || x.ID == "" || x.Fingerprint == "" || !x.Severity.Valid() || x.Severity == 0 || x.Time <= 0 || x.Summary == "" || len(x.Why) == 0 {
				t.Errorf("%+v", x)
			}
			seen[x.ID] = true
		}
		if len(out.Places) != len(out.Findings) {
			t.Errorf("%d places of %d findings", len(out.Places), len(out.Findings))
		}
	})
}
