package azure

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// listed is a list that is read of a subscription or a cluster: what, and where below it.
type listed struct {
	what    string
	path    string // below the subscription
	version string
	filter  string // $filter
	query   []byte // a POST of this, where set
	// relevant: only of subscriptions that hold a cluster or a registry, or may
	relevant bool
}

// perSub are the lists of each subscription. What Resource Graph knows (graphs) is asked
// here only where that gave nothing.
func perSub() []listed {
	return []listed{
		{what: cloud.ReadResourceGroups, path: "/resourcegroups", version: "2021-04-01"},
		{what: cloud.ReadClusters, path: "/providers/Microsoft.ContainerService/managedClusters", version: "2024-09-01"},
		{what: cloud.ReadArc, path: "/providers/Microsoft.Kubernetes/connectedClusters", version: "2024-01-01"},
		{what: cloud.ReadRegistries, path: "/providers/Microsoft.ContainerRegistry/registries", version: "2023-07-01"},
		{what: cloud.ReadOthers, path: "/resources", version: "2021-04-01"},
		{what: cloud.ReadPlan, path: "/providers/Microsoft.Security/pricings", version: "2024-01-01"},
		{what: cloud.ReadAssignments, path: "/providers/Microsoft.Authorization/policyAssignments", version: "2023-04-01"},
		{what: cloud.ReadExemptions, path: "/providers/Microsoft.Authorization/policyExemptions", version: "2022-07-01-preview"},
		{what: cloud.ReadStates, path: "/providers/Microsoft.PolicyInsights/policyStates/latest/queryResults", version: "2019-10-01", query: []byte{}, relevant: true,
			filter: "resourceType eq 'Microsoft.ContainerService/managedClusters' or resourceType eq 'Microsoft.Kubernetes/connectedClusters' or resourceType eq 'Microsoft.ContainerRegistry/registries' or resourceType eq 'Microsoft.Resources/subscriptions'"},
		{what: cloud.ReadRoles, path: "/providers/Microsoft.Authorization/roleAssignments", version: "2022-04-01", filter: "atScope()"},
		{what: cloud.ReadBudgets, path: "/providers/Microsoft.Consumption/budgets", version: "2024-08-01"},
		{what: cloud.ReadCostAlerts, path: "/providers/Microsoft.CostManagement/alerts", version: "2023-11-01"},
		{what: cloud.ReadAlerts, path: "/providers/Microsoft.Security/alerts", version: "2022-01-01", relevant: true},
		{what: cloud.ReadAssessments, path: "/providers/Microsoft.Security/assessments", version: "2021-06-01", relevant: true},
		{what: cloud.ReadSuppressions, path: "/providers/Microsoft.Security/alertsSuppressionRules", version: "2019-01-01-preview", relevant: true},
	}
}

// perCluster are the reads of one cluster.
func perCluster(kind string) []listed {
	if kind == cloud.KindArc {
		return []listed{{what: cloud.ReadExtensions, path: "/providers/Microsoft.KubernetesConfiguration/extensions", version: "2023-05-01"}}
	}
	return []listed{
		{what: cloud.ReadClusterPlan, path: "/providers/Microsoft.Security/pricings/Containers", version: "2024-01-01"},
		{what: cloud.ReadDiagnostics, path: "/providers/Microsoft.Insights/diagnosticSettings", version: "2021-05-01-preview"},
	}
}

type graph struct{ what, query string }

// graphs are the Resource Graph queries: one for up to graphBatch subscriptions. Clusters
// are not among them: Resource Graph does not tell when one was made (systemData).
func graphs() []graph {
	const judged = "('microsoft.containerservice/managedclusters', 'microsoft.kubernetes/connectedclusters', 'microsoft.containerregistry/registries', 'microsoft.resources/subscriptions')"
	return []graph{
		{cloud.ReadResourceGroups, "resourcecontainers | where type =~ 'microsoft.resources/subscriptions/resourcegroups' | project id, name, type, location, tags, managedBy, subscriptionId"},
		{cloud.ReadRegistries, "resources | where type =~ 'microsoft.containerregistry/registries' | project id, name, type, location, tags, sku, subscriptionId, properties"},
		{cloud.ReadOthers, "resources | where not(type in~ " + judged + ") | project id, type, subscriptionId"},
		{cloud.ReadPlan, "securityresources | where type =~ 'microsoft.security/pricings' | project id, name, type, subscriptionId, properties"},
		{cloud.ReadAssignments, "policyresources | where type =~ 'microsoft.authorization/policyassignments' | project id, name, type, subscriptionId, identity, properties"},
		{cloud.ReadExemptions, "policyresources | where type =~ 'microsoft.authorization/policyexemptions' | project id, name, type, subscriptionId, systemData, properties"},
		{cloud.ReadStates, "policyresources | where type =~ 'microsoft.policyinsights/policystates' | where properties.resourceType in~ " + judged + " | project id, type, subscriptionId, properties"},
		{cloud.ReadAssessments, "securityresources | where type =~ 'microsoft.security/assessments' | where id has 'managedClusters' or id has 'connectedClusters' or id has 'registries' | project id, name, type, subscriptionId, properties"},
	}
}

const (
	graphPath    = "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01"
	graphBatch   = 200
	graphRows    = 1000
	groupsPath   = "/providers/Microsoft.Management/managementGroups?api-version=2023-04-01"
	subsPath     = "/subscriptions?api-version=2022-12-01"
	costPath     = "/providers/Microsoft.CostManagement/query?api-version=2023-11-01"
	activityPath = "/providers/Microsoft.Insights/eventtypes/management/values"
	sizesPath    = "/providers/Microsoft.Compute/skus"
	policyAPI    = "2023-04-01"
)

// url gives the address of a list below an id.
func (l listed) url(base, id string) string {
	q := url.Values{"api-version": {l.version}}
	if l.filter != "" {
		q.Set("$filter", l.filter)
	}
	return base + id + l.path + "?" + q.Encode()
}

// Rights are the actions that each read needs, by cloud's Read… word. role.json holds them
// all.
func Rights() map[string][]string {
	return map[string][]string{
		cloud.ReadGroups:         {"Microsoft.Management/managementGroups/read", "Microsoft.Management/managementGroups/descendants/read"},
		cloud.ReadSubscriptions:  {"Microsoft.Resources/subscriptions/read"},
		cloud.ReadResourceGroups: {"Microsoft.Resources/subscriptions/resourceGroups/read"},
		cloud.ReadClusters:       {"Microsoft.ContainerService/managedClusters/read"},
		cloud.ReadArc:            {"Microsoft.Kubernetes/connectedClusters/read"},
		cloud.ReadRegistries:     {"Microsoft.ContainerRegistry/registries/read"},
		cloud.ReadOthers:         {"Microsoft.Resources/subscriptions/resources/read"},
		cloud.ReadPlan:           {"Microsoft.Security/pricings/read"},
		cloud.ReadClusterPlan:    {"Microsoft.Security/pricings/read"},
		cloud.ReadDefinitions:    {"Microsoft.Authorization/policyDefinitions/read", "Microsoft.Authorization/policySetDefinitions/read"},
		cloud.ReadAssignments:    {"Microsoft.Authorization/policyAssignments/read"},
		cloud.ReadExemptions:     {"Microsoft.Authorization/policyExemptions/read"},
		cloud.ReadStates:         {"Microsoft.PolicyInsights/policyStates/queryResults/read"},
		cloud.ReadDiagnostics:    {"Microsoft.Insights/diagnosticSettings/read"},
		cloud.ReadExtensions:     {"Microsoft.KubernetesConfiguration/extensions/read"},
		cloud.ReadRoles:          {"Microsoft.Authorization/roleAssignments/read"},
		cloud.ReadBudgets:        {"Microsoft.Consumption/budgets/read"},
		cloud.ReadCostAlerts:     {"Microsoft.CostManagement/alerts/read"},
		cloud.ReadCosts:          {"Microsoft.CostManagement/query/read"},
		cloud.ReadAmortized:      {"Microsoft.CostManagement/query/read"},
		cloud.ReadPrices:         nil, // public
		cloud.ReadSizes:          {"Microsoft.Compute/skus/read"},
		cloud.ReadActivity:       {"Microsoft.Insights/eventtypes/values/read"},
		cloud.ReadAlerts:         {"Microsoft.Security/alerts/read"},
		cloud.ReadAssessments:    {"Microsoft.Security/assessments/read"},
		cloud.ReadSuppressions:   {"Microsoft.Security/alertsSuppressionRules/read"},
	}
}

// graphRight is what Resource Graph itself needs.
const graphRight = "Microsoft.ResourceGraph/resources/read"

// Actions are all actions that a whole collection needs, sorted.
func Actions() []string {
	out := []string{graphRight}
	for _, actions := range Rights() {
		out = append(out, actions...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

//go:embed role.json
var roleFile []byte

// Role gives the definition of a custom role with exactly Actions, ready for
// `az role definition create --role-definition @file`, to be assigned at the scopes:
// management groups or subscriptions, as ARM ids. Without any it has the placeholder of
// role.json.
func Role(scopes ...string) ([]byte, error) {
	if len(scopes) == 0 {
		return slices.Clone(roleFile), nil
	}
	var role struct {
		Name             string
		IsCustom         bool
		Description      string
		Actions          []string
		NotActions       []string
		DataActions      []string
		NotDataActions   []string
		AssignableScopes []string
	}
	if err := json.Unmarshal(roleFile, &role); err != nil {
		return nil, fmt.Errorf("role.json: %w", err)
	}
	role.AssignableScopes = scopes
	out, err := json.MarshalIndent(role, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("role.json: %w", err)
	}
	return append(out, '\n'), nil
}
