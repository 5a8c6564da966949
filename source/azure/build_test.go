package azure

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

const (
	guidA = "0a000000-0000-4000-8000-000000000001"
	guidB = "0b000000-0000-4000-8000-000000000002"
	subA  = "/subscriptions/" + guidA
	subB  = "/subscriptions/" + guidB
	aksA  = subA + "/resourcegroups/rg-one/providers/microsoft.containerservice/managedclusters/aks-one"
	arcA  = subA + "/resourcegroups/rg-one/providers/microsoft.kubernetes/connectedclusters/arc-one"
)

// aksNested is a cluster as ARM writes it, aksFlat the same as `az aks list` prints it.
const aksNested = `{"id":"` + subA + `/resourceGroups/rg-one/providers/Microsoft.ContainerService/ManagedClusters/aks-one","name":"aks-one",
 "type":"Microsoft.ContainerService/ManagedClusters","location":"westeurope","tags":{"Owner":"team-a"},"sku":{"name":"Base","tier":"Standard"},
 "systemData":{"createdAt":"2026-03-01T10:00:00Z"},"identity":{"type":"SystemAssigned","principalId":"p-1"},
 "properties":{` + aksProperties + `}}`

const aksFlat = `{"id":"` + subA + `/resourcegroups/rg-one/providers/Microsoft.ContainerService/managedClusters/aks-one","name":"aks-one",
 "type":"Microsoft.ContainerService/ManagedClusters","location":"West Europe","tags":{"Owner":"team-a"},"sku":{"name":"Base","tier":"Standard"},"resourceGroup":"rg-one",
 "systemData":{"createdAt":"2026-03-01T10:00:00+00:00"},"identity":{"type":"SystemAssigned","principalId":"p-1"},` + aksProperties + `}`

const aksProperties = `"provisioningState":"Succeeded","powerState":{"code":"Running"},"kubernetesVersion":"1.33","currentKubernetesVersion":"1.33.4",
 "nodeResourceGroup":"MC_rg-one","enableRBAC":true,"disableLocalAccounts":true,"fqdn":"x.hcp.westeurope.azmk8s.io",
 "agentPoolProfiles":[{"name":"sys","count":3,"vmSize":"Standard_D4s_v5","osType":"Linux","mode":"System","enableAutoScaling":true,"minCount":1,"maxCount":5,"powerState":{"code":"Running"}},
  {"name":"spot","count":0,"vmSize":"Standard_E4-2ads_v5","scaleSetPriority":"Spot","enableNodePublicIP":true}],
 "securityProfile":{"defender":{"logAnalyticsWorkspaceResourceId":"/subscriptions/X/Workspaces/W","securityMonitoring":{"enabled":true}},"imageCleaner":{"enabled":"True"}},
 "addonProfiles":{"azurepolicy":{"enabled":true,"identity":{"clientId":"c-2","objectId":"o-2","resourceId":"/subscriptions/x/UA/policy"}},"omsAgent":{"enabled":true,"config":{"logAnalyticsWorkspaceResourceID":"/subscriptions/X/Workspaces/W2"}}},
 "apiServerAccessProfile":{"authorizedIPRanges":["203.0.113.0/24"],"enablePrivateCluster":false},
 "networkProfile":{"networkPlugin":"azure","networkPolicy":"cilium"},"servicePrincipalProfile":{"clientId":"msi"},
 "identityProfile":{"kubeletidentity":{"clientId":"c-1","objectId":"o-1","resourceId":"/subscriptions/x/UA/kubelet"}}`

func add(t testing.TB, b *Builder, what, scope, doc string) {
	t.Helper()
	if err := b.Add(Record{What: what, Scope: scope, Doc: json.RawMessage(doc)}); err != nil {
		t.Fatal(err)
	}
}

func ended(t testing.TB, b *Builder, r cloud.Read) {
	t.Helper()
	if err := b.Add(Record{What: r.What, Scope: r.Scope, Read: &r}); err != nil {
		t.Fatal(err)
	}
}

func readOf(t testing.TB, s *Snapshot, what, scope string) cloud.Read {
	t.Helper()
	for _, r := range s.Tenant.Reads {
		if r.What == what && r.Scope == scope {
			return r
		}
	}
	t.Fatalf("no read of %s of %q in %+v", what, scope, s.Tenant.Reads)
	return cloud.Read{}
}

func TestAClusterIsTheSameInARMsShapeAndInThatOfAz(t *testing.T) {
	var got []cloud.Cluster
	for _, doc := range []string{aksNested, aksFlat} {
		b := NewBuilder()
		add(t, b, cloud.ReadClusters, subA, doc)
		ended(t, b, cloud.Read{What: cloud.ReadClusters, Scope: subA, Outcome: cloud.ReadOK, At: 1, Rows: 1})
		s := b.Snapshot()
		if r := readOf(t, s, cloud.ReadClusters, subA); r.Bad != 0 || r.Outcome != cloud.ReadOK {
			t.Fatalf("read: %+v", r)
		}
		got = append(got, s.Tenant.Clusters...)
	}
	if len(got) != 2 || !reflect.DeepEqual(got[0], got[1]) {
		t.Fatalf("differ:\n%+v\n%+v", got[0], got[1])
	}
	c := got[0]
	yes := func(name string, b *bool, want bool) {
		t.Helper()
		if b == nil || *b != want {
			t.Errorf("%s: got %v, want %v", name, b, want)
		}
	}
	yes("DefenderProfile", c.DefenderProfile, true)
	yes("PolicyAddon", c.PolicyAddon, true)
	yes("Insights", c.Insights, true)
	yes("ImageCleaner", c.ImageCleaner, true)
	yes("KMS", c.KMS, false)
	yes("LocalAccounts", c.LocalAccounts, false)
	yes("RunCommand", c.RunCommand, true)
	yes("PublicIP", c.Pools[1].PublicIP, true)
	if c.PublicAccess != nil {
		t.Errorf("PublicAccess was not told, got %v", *c.PublicAccess)
	}
	if c.ID != aksA || c.Version != "1.33.4" || c.Location != "westeurope" || c.ServicePrincipal != "" || c.Tier != "Standard" || c.Created != time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC).UnixNano() {
		t.Errorf("got %+v", c)
	}
	if len(c.Pools) != 2 || c.Pools[0].Max != 5 || !c.Pools[1].Spot || c.Pools[1].Size != "Standard_E4-2ads_v5" {
		t.Errorf("pools: %+v", c.Pools)
	}
	if len(c.Identities) != 3 || c.Identities[1].Use != "kubelet" || c.Identities[2].Use != "azurepolicy" || c.Identities[2].ObjectID != "o-2" {
		t.Errorf("identities: %+v", c.Identities)
	}
}

func TestASummaryOfAClusterSaysNothingOfItsSettings(t *testing.T) {
	b := NewBuilder()
	add(t, b, cloud.ReadClusters, subA, `{"id":"`+aksA+`","name":"aks-one","type":"Microsoft.ContainerService/ManagedClusters","location":"westeurope"}`)
	ended(t, b, cloud.Read{What: cloud.ReadClusters, Scope: subA, Outcome: cloud.ReadOK, Rows: 1})
	s := b.Snapshot()
	if c := s.Tenant.Clusters; len(c) != 1 || c[0].DefenderProfile != nil || c[0].LocalAccounts != nil || c[0].PolicyAddon != nil {
		t.Fatalf("want a cluster that is there and of which nothing is known, got %+v", c)
	}
	if r := readOf(t, s, cloud.ReadClusters, subA); r.Bad != 1 || !strings.Contains(r.Reason, "agentPoolProfiles") {
		t.Fatalf("read: %+v", r)
	}
}

func TestAnOddMemberCostsOnlyItselfAndIsCounted(t *testing.T) {
	b := NewBuilder()
	add(t, b, cloud.ReadClusters, subA, strings.Replace(aksNested, `"count":3`, `"count":"many"`, 1))
	ended(t, b, cloud.Read{What: cloud.ReadClusters, Scope: subA, Outcome: cloud.ReadOK, Rows: 1})
	s := b.Snapshot()
	if c := s.Tenant.Clusters; len(c) != 1 || len(c[0].Pools) != 2 || !*c[0].DefenderProfile {
		t.Fatalf("got %+v", c)
	}
	r := readOf(t, s, cloud.ReadClusters, subA)
	if r.Outcome != cloud.ReadOK || r.Bad != 1 || r.Reason != `properties.agentPoolProfiles[0].count: want a number, got "many"` {
		t.Fatalf("read: %+v", r)
	}
}

func TestADocumentThatIsLostMakesItsReadPartial(t *testing.T) {
	for what := range reductions() {
		b := NewBuilder()
		add(t, b, what, subA, `{"surprise":true}`)
		add(t, b, what, subA, `[1,2]`)
		add(t, b, what, subA, `{"id":`)
		ended(t, b, cloud.Read{What: what, Scope: subA, Outcome: cloud.ReadOK, Rows: 3})
		r := readOf(t, b.Snapshot(), what, subA)
		if r.Outcome != cloud.ReadPartial || r.Bad != 3 || r.Reason == "" {
			t.Errorf("%s: %+v", what, r)
		}
	}
}

func TestDocumentsWhoseReadHasNoEndArePartial(t *testing.T) {
	b := NewBuilder()
	add(t, b, cloud.ReadClusters, subA, aksNested)
	s := b.Snapshot()
	if r := readOf(t, s, cloud.ReadClusters, subA); r.Outcome != cloud.ReadPartial || r.Rows != 1 || r.Remedy == "" {
		t.Fatalf("read: %+v", r)
	}
	if len(s.Tenant.Clusters) != 1 {
		t.Fatal("the cluster is lost")
	}
}

func TestASubscriptionThatOnlyItsGroupKnowsIsThere(t *testing.T) {
	b := NewBuilder()
	add(t, b, cloud.ReadGroups, "", `{"id":"/providers/Microsoft.Management/managementGroups/Prod","name":"Prod","type":"Microsoft.Management/managementGroups","properties":{"displayName":"Production","tenantId":"`+guidB+`"}}`)
	add(t, b, cloud.ReadGroups, "", `{"id":"/providers/Microsoft.Management/managementGroups/Prod","name":"Prod","type":"Microsoft.Management/managementGroups","properties":{"displayName":"Production","parent":{"id":"/providers/Microsoft.Management/managementGroups/root"}}}`)
	add(t, b, cloud.ReadGroups, "", `{"id":"`+subB+`","name":"`+guidB+`","type":"Microsoft.Management/managementGroups/subscriptions","properties":{"displayName":"hidden","parent":{"id":"/providers/Microsoft.Management/managementGroups/Prod"}}}`)
	add(t, b, cloud.ReadSubscriptions, "", `{"id":"`+guidA+`","name":"seen","state":"Enabled","tenantId":"`+guidB+`","isDefault":true}`)
	tn := b.Snapshot().Tenant
	if len(tn.Groups) != 1 || tn.Groups[0].Title != "Production" || tn.Groups[0].Parent != "/providers/microsoft.management/managementgroups/root" {
		t.Errorf("groups: %+v", tn.Groups)
	}
	if len(tn.Subscriptions) != 2 || tn.Subscriptions[0].Name != "seen" || tn.Subscriptions[1].Name != "hidden" || tn.Subscriptions[1].Group != "/providers/microsoft.management/managementgroups/prod" {
		t.Errorf("subscriptions: %+v", tn.Subscriptions)
	}
	if tn.ID != guidB {
		t.Errorf("tenant: %q", tn.ID)
	}
}

func TestPlans(t *testing.T) {
	plan := func(scope, name, rest string) string {
		return `{"id":"` + scope + `/providers/Microsoft.Security/pricings/` + name + `","name":"` + name + `","type":"Microsoft.Security/pricings",` + rest + `}`
	}
	b := NewBuilder()
	add(t, b, cloud.ReadSubscriptions, "", `{"id":"`+subA+`","displayName":"a","state":"Enabled"}`)
	add(t, b, cloud.ReadSubscriptions, "", `{"id":"`+subB+`","displayName":"b","state":"Enabled"}`)
	add(t, b, cloud.ReadClusters, subA, aksNested)
	add(t, b, cloud.ReadPlan, subA, plan(subA, "VirtualMachines", `"properties":{"pricingTier":"Standard"}`))
	add(t, b, cloud.ReadPlan, subA, plan(subA, "Containers", `"properties":{"pricingTier":"Standard","freeTrialRemainingTime":"P29DT12H","enablementTime":"2026-01-02T03:04:05.1234567Z","extensions":[{"name":"ContainerSensor","isEnabled":"True","additionalExtensionProperties":{"SecurityGatingEnabled":"False"}},{"name":"AgentlessVmScanning","isEnabled":"False"}]}`))
	add(t, b, cloud.ReadClusterPlan, aksA, plan(aksA, "Containers", `"properties":{"pricingTier":"Free","inherited":"False"}`))
	add(t, b, cloud.ReadPlan, subB, plan(subB, "Containers", `"pricingTier":"Free","freeTrialRemainingTime":"30 days, 0:00:00"`))
	add(t, b, cloud.ReadPlan, subB, plan(subB, "KubernetesService", `"pricingTier":"Standard"`))
	tn := b.Snapshot().Tenant
	p := tn.Subscriptions[0].Plan
	if p == nil || !p.Standard || p.TrialSeconds != 29*86400+12*3600 || p.Since == 0 || len(p.Extensions) != 2 || !p.Extensions[0].Enabled || p.Extensions[1].Enabled || p.Extensions[0].More["SecurityGatingEnabled"] != "False" {
		t.Errorf("plan of a: %+v", p)
	}
	if p := tn.Subscriptions[1].Plan; p == nil || !p.Standard || p.Legacy != "KubernetesService" {
		t.Errorf("plan of b: %+v", p)
	}
	if p := tn.Clusters[0].Plan; p == nil || p.Standard {
		t.Errorf("plan of the cluster: %+v", p)
	}
}

func TestArcExtensionsAreKnownMissingOnlyWhereTheyWereRead(t *testing.T) {
	arc := `{"id":"` + arcA + `","name":"arc-one","location":"westeurope","properties":{"kubernetesVersion":"1.31.2","distribution":"k3s","totalNodeCount":4,"totalCoreCount":"16"}}`
	b := NewBuilder()
	add(t, b, cloud.ReadArc, subA, arc)
	if c := b.Snapshot().Tenant.Clusters[0]; c.PolicyAddon != nil || c.Cores != 16 || c.Nodes != 4 {
		t.Errorf("before: %+v", c)
	}
	b = NewBuilder()
	add(t, b, cloud.ReadArc, subA, arc)
	add(t, b, cloud.ReadExtensions, arcA, `{"id":"`+arcA+`/providers/Microsoft.KubernetesConfiguration/extensions/defender","name":"defender","properties":{"extensionType":"Microsoft.AzureDefender.Kubernetes","provisioningState":"Succeeded"}}`)
	ended(t, b, cloud.Read{What: cloud.ReadExtensions, Scope: arcA, Outcome: cloud.ReadOK, Rows: 1})
	c := b.Snapshot().Tenant.Clusters[0]
	if c.PolicyAddon == nil || *c.PolicyAddon || len(c.Extensions) != 1 || c.Extensions[0].Name != "microsoft.azuredefender.kubernetes" || !c.Extensions[0].Enabled {
		t.Errorf("after: %+v", c)
	}
}

func TestAlertsSayWhereInTheCluster(t *testing.T) {
	b := NewBuilder()
	add(t, b, cloud.ReadAlerts, subA, `{"id":"`+subA+`/resourceGroups/rg-one/providers/Microsoft.Security/locations/westeurope/alerts/1","name":"1","properties":{"alertType":"K8S_X","alertDisplayName":"t","severity":"High","status":"Active",
 "startTimeUtc":"2026-11-01T00:00:00Z","alertUri":"javascript:alert(1)","resourceIdentifiers":[{"type":"AAD"},{"type":"AzureResource","azureResourceId":"`+aksA+`"}],
 "entities":[{"$id":"1","type":"K8s-namespace","name":"shop"},{"$id":"2","type":"K8s-pod","name":"web-1","namespace":{"$ref":"1"}},{"$id":"3","type":"container-image","imageId":"r.io/web:1"},{"$id":"4","type":"container","name":"web","image":{"$ref":"3"},"pod":{"$ref":"2"}}],
 "extendedProperties":{"Username":"sa:web","Big":{"a":1}}}}`)
	a := b.Snapshot().Tenant.DefenderAlerts[0]
	if a.Resource != aksA || a.Namespace != "shop" || a.Pod != "web-1" || a.Container != "web" || a.Image != "r.io/web:1" || a.Identity != "sa:web" || a.Link != "" || a.Properties["Big"] != `{"a":1}` {
		t.Errorf("got %+v", a)
	}
}

func TestBudgetsInBothShapes(t *testing.T) {
	props := `"category":"Cost","amount":%s,"timeGrain":"Monthly","timePeriod":{"startDate":"2026-01-01T00:00:00Z","endDate":"2027-01-01T00:00:00Z"},"currentSpend":{"amount":%s,"unit":"EUR"},"forecastSpend":{"amount":120.5,"unit":"EUR"},
 "filter":{"and":[{"dimensions":{"name":"MeterCategory","operator":"In","values":["Log Analytics"]}},{"tags":{"name":"team","operator":"In","values":["a"]}}]},
 "notifications":{"b":{"enabled":true,"operator":"GreaterThan","threshold":90,"thresholdType":"Forecasted","contactEmails":["x@example.org"]},"a":{"enabled":false,"threshold":50}}`
	var got []cloud.Budget
	for _, doc := range []string{`{"id":"` + subA + `/providers/Microsoft.Consumption/budgets/B","name":"B","properties":{` + strings.NewReplacer("%s", "100").Replace(props) + `}}`,
		`{"id":"` + subA + `/providers/Microsoft.Consumption/budgets/B","name":"B",` + strings.NewReplacer("%s", `"100.0"`).Replace(props) + `}`} {
		b := NewBuilder()
		add(t, b, cloud.ReadBudgets, subA, doc)
		got = append(got, b.Snapshot().Tenant.Budgets...)
	}
	if len(got) != 2 || !reflect.DeepEqual(got[0], got[1]) {
		t.Fatalf("differ: %+v", got)
	}
	g := got[0]
	if g.Scope != subA || g.Amount != 100 || *g.Forecast != 120.5 || len(g.Filters) != 2 || !g.Filters[1].Tag || len(g.Notices) != 2 || !g.Notices[1].Forecasted || g.Notices[0].Enabled {
		t.Errorf("got %+v", g)
	}
}

func TestCostRows(t *testing.T) {
	b := NewBuilder()
	add(t, b, cloud.ReadCosts, subA, `{"properties":{"columns":[{"name":"Cost","type":"Number"},{"name":"UsageQuantity","type":"Number"},{"name":"UsageDate","type":"Number"},{"name":"ResourceId","type":"String"},{"name":"MeterCategory","type":"String"},{"name":"ChargeType","type":"String"},{"name":"Currency","type":"String"}],
 "rows":[[12.3456789,24,20261101,"`+strings.ToUpper(aksA)+`","Virtual Machines","Usage","EUR"],[-2.5,0,20261102,"","Virtual Machines","Refund","EUR"],["x",0,20261102,"","","Usage","EUR"],[3,"much",20261104,"","","Usage","EUR"],[1,2]]}}`)
	add(t, b, cloud.ReadCosts, subA, `{"preTaxCost":"1.5","usageDate":"2026-11-03","currency":"usd","resourceId":"`+aksA+`"}`)
	ended(t, b, cloud.Read{What: cloud.ReadCosts, Scope: subA, Outcome: cloud.ReadOK, Rows: 5})
	s := b.Snapshot()
	charges := slices.Collect(s.Bill.All())
	if len(charges) != 4 || charges[3].Billed != 3000000 {
		t.Fatalf("got %+v", charges)
	}
	c := charges[0]
	if c.Billed != 12345679 || c.SubAccount != subA || c.Resource != aksA || c.End-c.Start != int64(24*time.Hour) || c.ResourceType != "microsoft.containerservice/managedclusters" || c.Category != "Usage" {
		t.Errorf("got %+v", c)
	}
	if c := charges[1]; c.Billed != -2500000 || c.Class != "Correction" || c.SubAccount != subA {
		t.Errorf("got %+v", c)
	}
	if c := charges[2]; c.Currency != "USD" || c.Billed != 1500000 {
		t.Errorf("got %+v", c)
	}
	if r := readOf(t, s, cloud.ReadCosts, subA); r.Bad != 3 || r.Outcome != cloud.ReadPartial {
		t.Errorf("read: %+v", r)
	}
}

func TestOfAMeterWithTiersTheFirstThatCostsIsKept(t *testing.T) {
	tier := func(from, price string) string {
		return `{"currencyCode":"USD","tierMinimumUnits":` + from + `,"retailPrice":` + price + `,"armRegionName":"westeurope","meterId":"M","meterName":"Data Ingestion","serviceName":"Log Analytics","unitOfMeasure":"1 GB","type":"Consumption","effectiveStartDate":"2026-01-01T00:00:00Z"}`
	}
	rapid.Check(t, func(t *rapid.T) {
		b := NewBuilder()
		for _, d := range rapid.Permutation([]string{tier("0", "0"), tier("5", "2.99"), tier("100", "1.99")}).Draw(t, "order") {
			if err := b.Add(Record{What: cloud.ReadPrices, Doc: json.RawMessage(d)}); err != nil {
				t.Fatal(err)
			}
		}
		p := b.Snapshot().Prices
		if len(p) != 1 || p[0].Amount != 2990000 || p[0].AsOf != "2026-01-01" {
			t.Fatalf("got %+v", p)
		}
	})
}

func TestSizesCountWhatAGuestHas(t *testing.T) {
	b := NewBuilder()
	add(t, b, cloud.ReadSizes, "", `{"resourceType":"virtualMachines","name":"Standard_E4-2ads_v5","capabilities":[{"name":"vCPUs","value":"4"},{"name":"vCPUsAvailable","value":"2"},{"name":"MemoryGB","value":"32"}]}`)
	add(t, b, cloud.ReadSizes, "", `{"resourceType":"disks","name":"P10"}`)
	if s := b.Snapshot().Tenant.Sizes; len(s) != 1 || s[0].VCPUs != 2 || s[0].Memory != 32 {
		t.Errorf("got %+v", s)
	}
}

func TestActivityKeepsWhoAndNoBodies(t *testing.T) {
	doc := `{"eventDataId":"e1","eventTimestamp":"2026-11-01T00:00:00.1234567Z","operationName":{"value":"Microsoft.ContainerService/managedClusters/agentPools/write","localizedValue":"x"},"status":{"value":"Succeeded"},"resourceId":"` + aksA + `","caller":"o-1",
 "claims":{"appid":"c-1","xms_mirid":"/subscriptions/X/UA/kubelet","http://schemas.microsoft.com/identity/claims/objectidentifier":"o-1","name":"A Person"},"httpRequest":{"clientIpAddress":"203.0.113.9"},"properties":{"requestbody":"{\"password\":\"p\"}","eventCategory":"Administrative"}}`
	trimmed := trimEvent(json.RawMessage(doc))
	if s := string(trimmed); strings.Contains(s, "password") || strings.Contains(s, "A Person") {
		t.Errorf("kept too much: %s", s)
	}
	var got []cloud.Activity
	for _, d := range []string{doc, string(trimmed)} {
		b := NewBuilder()
		add(t, b, cloud.ReadActivity, subA, d)
		got = append(got, b.Snapshot().Tenant.Activity...)
	}
	if len(got) != 2 || !reflect.DeepEqual(got[0], got[1]) {
		t.Fatalf("differ:\n%+v\n%+v", got[0], got[1])
	}
	if a := got[0]; a.ObjectID != "o-1" || a.IdentityID != "/subscriptions/x/ua/kubelet" || a.Address != "203.0.113.9" || a.Status != "Succeeded" || a.Subscription != subA || len(a.Properties) != 1 {
		t.Errorf("got %+v", a)
	}
	if trimEvent(json.RawMessage(`{"eventDataId":"e2","caller":"ann@example.org","operationName":{"value":"Microsoft.Web/sites/write"}}`)) != nil {
		t.Error("an event of other things is kept")
	}
}

// documents are one of each kind, with the ends of their reads.
func documents() []Record {
	d := func(what, scope, doc string) Record {
		return Record{What: what, Scope: scope, Doc: json.RawMessage(doc)}
	}
	out := []Record{
		d(cloud.ReadSubscriptions, "", `{"id":"`+subA+`","subscriptionId":"`+guidA+`","displayName":"a","state":"Enabled","tenantId":"`+guidB+`","subscriptionPolicies":{"quotaId":"Internal_2014-09-01"}}`),
		d(cloud.ReadResourceGroups, subA, `{"id":"`+subA+`/resourceGroups/rg-one","name":"rg-one","location":"westeurope","tags":{"env":"prod"}}`),
		d(cloud.ReadClusters, subA, aksNested), d(cloud.ReadClusters, subA, strings.Replace(aksNested, "team-a", "team-b", 1)),
		d(cloud.ReadRegistries, subA, `{"id":"`+subA+`/resourceGroups/rg-one/providers/Microsoft.ContainerRegistry/registries/reg","name":"reg","location":"westeurope","sku":{"name":"Premium"},"properties":{"loginServer":"reg.azurecr.io","adminUserEnabled":true,"publicNetworkAccess":"Disabled","networkRuleSet":{"defaultAction":"Deny"}}}`),
		d(cloud.ReadDiagnostics, aksA, `{"id":"`+aksA+`/providers/microsoft.insights/diagnosticSettings/audit","name":"audit","properties":{"workspaceId":"/subscriptions/X/W","logAnalyticsDestinationType":"Dedicated","logs":[{"category":"kube-audit-admin","enabled":true},{"category":"guard","enabled":false},{"categoryGroup":"allLogs","category":null,"enabled":true}]}}`),
		d(cloud.ReadAssignments, subA, `{"id":"`+subA+`/providers/Microsoft.Authorization/policyAssignments/p1","name":"p1","properties":{"policyDefinitionId":"/providers/Microsoft.Authorization/policyDefinitions/D1","enforcementMode":"DoNotEnforce"}}`),
		d(cloud.ReadExemptions, subA, `{"id":"`+subA+`/providers/Microsoft.Authorization/policyExemptions/x1","properties":{"policyAssignmentId":"`+subA+`/providers/Microsoft.Authorization/policyAssignments/p1","exemptionCategory":"Waiver","expiresOn":"2026-12-31T00:00:00Z"}}`),
		d(cloud.ReadStates, subA, `{"resourceId":"`+aksA+`","policyAssignmentId":"P1","policyDefinitionId":"D1","complianceState":"NonCompliant","timestamp":"2026-11-01T00:00:00Z"}`),
		d(cloud.ReadStates, subA, `{"properties":{"resourceId":"`+aksA+`","policyAssignmentId":"p1","policyDefinitionId":"d1","complianceState":"Compliant","timestamp":"2026-11-02T00:00:00Z"}}`),
		d(cloud.ReadDefinitions, "", `{"id":"/providers/Microsoft.Authorization/policySetDefinitions/S1","name":"S1","properties":{"displayName":"set","policyDefinitions":[{"policyDefinitionId":"/providers/Microsoft.Authorization/policyDefinitions/D1"}]}}`),
		d(cloud.ReadRoles, subA, `{"id":"`+subA+`/providers/Microsoft.Authorization/roleAssignments/r1","properties":{"roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/`+ownerRole+`","principalId":"u1","principalType":"User","scope":"`+subA+`"}}`),
		d(cloud.ReadAssessments, subA, `{"id":"`+aksA+`/providers/Microsoft.Security/assessments/K","name":"K","properties":{"displayName":"t","resourceDetails":{"Source":"Azure","Id":"`+aksA+`"},"status":{"code":"Unhealthy"}}}`),
		d(cloud.ReadSuppressions, subA, `{"id":"`+subA+`/providers/Microsoft.Security/alertsSuppressionRules/s","properties":{"alertType":"K8S_X","state":"Enabled","reason":"Noise"}}`),
		d(cloud.ReadCostAlerts, subA, `{"id":"`+subA+`/providers/Microsoft.CostManagement/alerts/a","properties":{"definition":{"type":"Budget"},"status":"Active","creationTime":"2026-11-01T00:00:00Z"}}`),
		d(cloud.ReadCosts, subA, `{"cost":1,"usageDate":20261101,"currency":"EUR","resourceId":"`+aksA+`"}`), d(cloud.ReadCosts, subA, `{"cost":2,"usageDate":20261101,"currency":"EUR","resourceId":"`+aksA+`"}`),
		d(cloud.ReadArc, subA, `{"nothing":1}`), d(cloud.ReadArc, subA, `{"id":"also nothing"}`),
	}
	for i, what := range []string{cloud.ReadSubscriptions, cloud.ReadClusters, cloud.ReadArc} {
		scope := subA
		if i == 0 {
			scope = ""
		}
		out = append(out, Record{What: what, Scope: scope, Read: &cloud.Read{What: what, Scope: scope, At: int64(i + 1), Outcome: cloud.ReadOK}})
	}
	return append(out, Record{What: cloud.ReadClusters, Scope: subA, Read: &cloud.Read{What: cloud.ReadClusters, Scope: subA, At: 2, Outcome: cloud.ReadDenied}})
}

func TestTheOrderOfRecordsDoesNotMatter(t *testing.T) {
	build := func(rs []Record) *Snapshot {
		b := NewBuilder()
		for _, r := range rs {
			if err := b.Add(r); err != nil {
				t.Fatal(err)
			}
		}
		return b.Snapshot()
	}
	want := build(documents())
	for kind, n := range map[string]int{"clusters": len(want.Tenant.Clusters), "registries": len(want.Tenant.Registries), "assignments": len(want.Tenant.Assignments), "exemptions": len(want.Tenant.Exemptions), "states": len(want.Tenant.States),
		"definitions": len(want.Tenant.Definitions), "roles": len(want.Tenant.Roles), "assessments": len(want.Tenant.Assessments), "suppressions": len(want.Tenant.Suppressions), "cost alerts": len(want.Tenant.CostAlerts)} {
		if n != 1 {
			t.Errorf("%s: got %d, want 1", kind, n)
		}
	}
	if s := want.Tenant.States[0]; s.State != "Compliant" {
		t.Errorf("want the newest state, got %+v", s)
	}
	if d := want.Tenant.Clusters[0].Diagnostics; len(d) != 1 || !d[0].Dedicated || !reflect.DeepEqual(d[0].Categories, []string{"kube-audit-admin", "group:allLogs"}) {
		t.Errorf("diagnostics: %+v", d)
	}
	rapid.Check(t, func(t *rapid.T) {
		if got := build(rapid.Permutation(documents()).Draw(t, "order")); !sameSnapshot(got, want) {
			t.Fatalf("differs:\n%+v\n%+v", got.Tenant, want.Tenant)
		}
	})
}

func FuzzBuilder(f *testing.F) {
	kinds := make([]string, 0, 30)
	for _, r := range documents() {
		if r.Doc != nil {
			f.Add(r.What, []byte(r.Doc))
		}
	}
	for what := range reductions() {
		kinds = append(kinds, what)
	}
	f.Add("costs", []byte(`{"columns":[{"name":"Cost"}],"rows":[[1e300]]}`))
	f.Fuzz(func(t *testing.T, what string, doc []byte) {
		b := NewBuilder()
		_ = b.Add(Record{What: what, Scope: subA, Doc: doc})
		for _, k := range kinds {
			_ = b.Add(Record{What: k, Scope: subA, Doc: doc})
		}
		s := b.Snapshot()
		if _, err := json.Marshal(s); err != nil {
			t.Fatalf("a snapshot that cannot be kept: %v", err)
		}
	})
}

// sameSnapshot compares all that two snapshots hold.
func sameSnapshot(a, b *Snapshot) bool {
	return reflect.DeepEqual(a.Tenant, b.Tenant) && reflect.DeepEqual(a.Prices, b.Prices) && reflect.DeepEqual(slices.Collect(a.Bill.All()), slices.Collect(b.Bill.All()))
}
