package tenant

import (
	"strings"
	"time"
)

func definitionPath(name string) string {
	return "/providers/Microsoft.Authorization/policyDefinitions/" + name
}

// guardrails are the policies that the company assigns: by group, or by subscription.
var guardrails = []struct {
	Name, Title, Definition string // of the definition
	At                      string // management group; "" = subscriptions
	Enforced, Acts          bool   // Acts: it needs an identity
	Inside                  bool   // it denies what a cluster should not run
	Complies                func(c *cluster) bool
}{
	{"aks-defender-profile", "AKS clusters have the Defender profile", "a1840de2-8088-4ea8-b153-b4c723e9cb01", short, true, false, false, func(c *cluster) bool { return c.Profile }},
	{"aks-policy-addon", "AKS clusters have the Policy add-on", "0a15ec92-a229-4763-bb14-0ea34a568f8d", short + "-landingzones", true, false, false, func(c *cluster) bool { return c.Policy }},
	{"aks-logs", "AKS clusters export resource logs", "245fc9df-fa96-4414-9a0b-3738c2f7341c", short + "-corp", true, false, false, func(c *cluster) bool { return c.Logs.Kind != "" }},
	{"aks-configure-defender", "Configure AKS clusters to enable Defender profile", "64def556-fbad-4622-930e-72d1d5589bf5", short + "-online", false, true, false, func(c *cluster) bool { return c.Profile }},
	{"tag-owner", "Resources carry an owner", "871b6d14-10aa-478d-b590-94f262ecfa99", "", false, false, false, func(c *cluster) bool { return c.Tags["owner"] != "" }},
	{"aks-no-privileged", "AKS clusters let in no privileged containers", "95edb821-ddaf-4404-9732-666045e056b4", short, true, false, true, func(c *cluster) bool { return !c.few(44) }},
}

// titles of the built-in definitions, as Azure shows them.
var definitionTitles = map[string]string{
	"a1840de2-8088-4ea8-b153-b4c723e9cb01": "Azure Kubernetes Service clusters should have Defender profile enabled",
	"0a15ec92-a229-4763-bb14-0ea34a568f8d": "Azure Policy Add-on for Kubernetes service (AKS) should be installed and enabled on your clusters",
	"245fc9df-fa96-4414-9a0b-3738c2f7341c": "Resource logs in Azure Kubernetes Service should be enabled",
	"64def556-fbad-4622-930e-72d1d5589bf5": "Configure Azure Kubernetes Service clusters to enable Defender profile",
	"871b6d14-10aa-478d-b590-94f262ecfa99": "Require a tag on resources",
	"95edb821-ddaf-4404-9732-666045e056b4": "Privileged containers are not let in",
}

// under reports whether a subscription lies under a management group.
func (w *World) under(s *subscription, group string) bool {
	above := map[string]string{}
	for _, g := range w.managementGroups() {
		above[g[0]] = g[2]
	}
	for n := s.Group; n != ""; n = above[n] {
		if n == group {
			return true
		}
	}
	return false
}

func assignmentPath(scope, name string) string {
	return scope + "/providers/Microsoft.Authorization/policyAssignments/" + name
}

// scopeOf is where a guardrail is assigned as far as a subscription sees it; "" = it is
// not, there.
func (w *World) scopeOf(s *subscription, i int) string {
	switch at := guardrails[i].At; {
	case at != "" && w.under(s, at):
		return groupPath(at)
	case at == "" && s.i%3 == 0:
		return s.path()
	}
	return ""
}

// definitionDocs are those that assignments name, and the set of the company.
func (w *World) definitionDocs(out emit) error {
	for _, g := range guardrails {
		mode := "Indexed"
		if g.Inside {
			mode = "Microsoft.Kubernetes.Data"
		}
		if err := out(doc{"id": definitionPath(g.Definition), "name": g.Definition, "type": "Microsoft.Authorization/policyDefinitions",
			"properties": doc{"displayName": definitionTitles[g.Definition], "policyType": "BuiltIn", "mode": mode, "version": "1.0.0", "metadata": doc{"category": "Kubernetes", "version": "1.0.0"}, "parameters": doc{}}}); err != nil {
			return err
		}
	}
	var members []doc
	for _, g := range guardrails[:3] {
		members = append(members, doc{"policyDefinitionId": definitionPath(g.Definition), "policyDefinitionReferenceId": g.Name, "groupNames": []string{}, "parameters": doc{}})
	}
	return out(doc{"id": groupPath(short) + "/providers/Microsoft.Authorization/policySetDefinitions/container-baseline", "name": "container-baseline", "type": "Microsoft.Authorization/policySetDefinitions",
		"properties": doc{"displayName": "Container baseline of " + Company, "policyType": "Custom", "metadata": doc{"category": "Kubernetes"}, "policyDefinitions": members}})
}

func (w *World) assignmentDocs(s *subscription, out emit) error {
	for i, g := range guardrails {
		scope := w.scopeOf(s, i)
		if scope == "" {
			continue
		}
		mode := "DoNotEnforce"
		if g.Enforced {
			mode = "Default"
		}
		d := doc{"id": assignmentPath(scope, g.Name), "name": g.Name, "type": "Microsoft.Authorization/policyAssignments",
			"systemData": doc{"createdBy": teams[12].mail(), "createdByType": "User", "createdAt": micro(w.ago(500 * 24 * time.Hour))},
			"properties": doc{"displayName": g.Title, "policyDefinitionId": definitionPath(g.Definition), "scope": scope, "notScopes": []string{}, "parameters": doc{}, "enforcementMode": mode, "metadata": doc{}, "nonComplianceMessages": []any{}}}
		if g.Name == "aks-policy-addon" && len(w.subs) > 10 {
			d["properties"].(doc)["notScopes"] = []string{w.subs[5].path()}
		}
		if g.Acts {
			d["location"], d["identity"] = "westeurope", doc{"type": "SystemAssigned", "principalId": w.guidOf("assign", g.Name), "tenantId": w.tenant}
		}
		if err := out(d); err != nil {
			return err
		}
	}
	if !w.under(s, short) {
		return nil
	}
	return out(doc{"id": assignmentPath(groupPath(short), "container-baseline"), "name": "container-baseline", "type": "Microsoft.Authorization/policyAssignments",
		"properties": doc{"displayName": "Container baseline", "policyDefinitionId": groupPath(short) + "/providers/Microsoft.Authorization/policySetDefinitions/container-baseline", "scope": groupPath(short), "notScopes": []string{}, "enforcementMode": "Default", "parameters": doc{}}})
}

// exempted says how a cluster is exempt from the profile's policy: "" = it is not.
func (c *cluster) exempted() string {
	if c.Profile || c.Arc || c.Flags>>16%5 != 0 {
		return ""
	}
	return []string{"dated", "expired", "undated"}[c.Flags>>20%3]
}

func (w *World) exemptionDocs(s *subscription, out emit) error {
	for _, c := range s.clusters {
		how := c.exempted()
		if how == "" || !w.under(s, short) {
			continue
		}
		p := doc{"policyAssignmentId": assignmentPath(groupPath(short), guardrails[0].Name), "policyDefinitionReferenceIds": []string{}, "exemptionCategory": []string{"Waiver", "Mitigated"}[c.Flags>>23&1],
			"displayName": c.Name + " goes without the profile", "description": []string{"sensor comes with the next rebuild", "vendor appliance, no daemon sets allowed", ""}[c.Flags>>25%3], "metadata": doc{}}
		switch how {
		case "dated":
			p["expiresOn"] = micro(w.now.AddDate(0, 2, 0))
		case "expired":
			p["expiresOn"] = micro(w.ago(35 * 24 * time.Hour))
		}
		made := w.ago(time.Duration(60+c.Flags%500) * 24 * time.Hour)
		if err := out(doc{"id": c.path() + "/providers/Microsoft.Authorization/policyExemptions/no-profile", "name": "no-profile", "type": "Microsoft.Authorization/policyExemptions",
			"systemData": doc{"createdBy": c.Owner.Mail, "createdByType": "User", "createdAt": micro(made), "lastModifiedBy": c.Owner.Mail, "lastModifiedByType": "User", "lastModifiedAt": micro(made)}, "properties": p}); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) stateDocs(s *subscription, out emit) error {
	at := w.ago(5 * time.Hour)
	for _, c := range s.clusters {
		if c.Arc {
			continue
		}
		for i, g := range guardrails {
			scope := w.scopeOf(s, i)
			if scope == "" || g.Inside && !c.Policy { // without the add-on nobody looks inside
				continue
			}
			state, action := "NonCompliant", "audit"
			if g.Inside {
				action = "deny"
			}
			switch {
			case g.Complies(c):
				state = "Compliant"
			case i == 0 && (c.exempted() == "dated" || c.exempted() == "undated"):
				state = "Exempt"
			}
			if err := out(doc{"@odata.id": nil, "@odata.context": "https://management.azure.com" + s.path() + "/providers/Microsoft.PolicyInsights/policyStates/$metadata#latest/$entity",
				"timestamp": micro(at), "resourceId": strings.ToLower(c.path()), "policyAssignmentId": strings.ToLower(assignmentPath(scope, g.Name)), "policyDefinitionId": definitionPath(g.Definition),
				"isCompliant": state == "Compliant", "subscriptionId": s.GUID, "resourceType": "Microsoft.ContainerService/managedClusters", "resourceLocation": c.Region.Name, "resourceGroup": strings.ToLower(c.RG),
				"policyAssignmentName": g.Name, "policyAssignmentScope": scope, "policyDefinitionName": g.Definition, "policyDefinitionAction": action, "policyDefinitionReferenceId": "",
				"policySetDefinitionId": "", "policySetDefinitionName": "", "complianceState": state, "policyDefinitionGroupNames": []string{""}}); err != nil {
				return err
			}
		}
	}
	return nil
}
