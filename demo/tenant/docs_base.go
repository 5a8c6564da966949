package tenant

import (
	"strconv"
	"strings"
	"time"
)

// tagsOf is nil, and so null, where there are none.
func tagsOf(t map[string]string) any {
	if len(t) == 0 {
		return nil
	}
	return t
}

func groupPath(name string) string {
	return "/providers/Microsoft.Management/managementGroups/" + name
}

// groupDocs are the entities under the root: groups, and subscriptions with their parent.
func (w *World) groupDocs(out emit) error {
	title, above := map[string]string{}, map[string]string{}
	for _, g := range w.managementGroups() {
		title[g[0]], above[g[0]] = g[1], g[2]
	}
	chain := func(name string) (names, titles []string) {
		for n := name; n != ""; n = above[n] {
			names, titles = append([]string{n}, names...), append([]string{title[n]}, titles...)
		}
		return names, titles
	}
	for _, g := range w.managementGroups() {
		names, titles := chain(g[2])
		p := doc{"tenantId": w.tenant, "displayName": g[1], "permissions": "view", "inheritedPermissions": "view",
			"parentNameChain": names, "parentDisplayNameChain": titles, "parent": doc{"id": nil}}
		if g[2] != "" {
			p["parent"] = doc{"id": groupPath(g[2])}
		}
		if err := out(doc{"id": groupPath(g[0]), "name": g[0], "type": "Microsoft.Management/managementGroups", "properties": p}); err != nil {
			return err
		}
	}
	for _, s := range w.subs {
		names, titles := chain(s.Group)
		if err := out(doc{"id": s.path(), "name": s.GUID, "type": "/subscriptions", "properties": doc{"tenantId": w.tenant, "displayName": s.Name,
			"permissions": "view", "inheritedPermissions": "view", "parent": doc{"id": groupPath(s.Group)}, "parentNameChain": names, "parentDisplayNameChain": titles}}); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) subscriptionDocs(out emit) error {
	for _, s := range w.subs {
		d := doc{"id": s.path(), "subscriptionId": s.GUID, "tenantId": w.tenant, "displayName": s.Name, "state": s.State, "authorizationSource": "RoleBased",
			"managedByTenants": []any{}, "subscriptionPolicies": doc{"locationPlacementId": "Public_2014-09-01", "quotaId": s.Quota, "spendingLimit": "Off"}}
		if len(s.Tags) > 0 {
			d["tags"] = s.Tags
		}
		if err := out(d); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) resourceGroupDocs(s *subscription, out emit) error {
	for _, g := range s.groups {
		d := doc{"id": g.path(), "name": g.Name, "type": "Microsoft.Resources/resourceGroups", "location": g.Region.Name, "properties": doc{"provisioningState": "Succeeded"}}
		if g.ManagedBy != "" {
			d["managedBy"] = strings.Replace(g.ManagedBy, "/resourceGroups/", "/resourcegroups/", 1)
		}
		if len(g.Tags) > 0 {
			d["tags"] = g.Tags
		}
		if err := out(d); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) registryDocs(s *subscription, out emit) error {
	for i, g := range s.regs {
		r := w.rng("registry-doc|"+g.Name, i)
		deny := "Allow"
		if !g.Public && g.SKU == "Premium" {
			deny = "Deny"
		}
		public := "Enabled"
		if !g.Public {
			public = "Disabled"
		}
		var links []doc
		for n := range g.Links {
			links = append(links, doc{"id": g.path() + "/privateEndpointConnections/pe" + string(rune('1'+n)), "name": "pe" + string(rune('1'+n)), "type": "Microsoft.ContainerRegistry/registries/privateEndpointConnections",
				"properties": doc{"privateLinkServiceConnectionState": doc{"status": "Approved"}, "provisioningState": "Succeeded"}})
		}
		encryption := doc{"status": "disabled"}
		if g.Key {
			encryption = doc{"status": "enabled", "keyVaultProperties": doc{"keyIdentifier": "https://kv-" + g.Name + ".vault.azure.net/keys/registry", "keyRotationEnabled": true}}
		}
		by := w.someone(r).Mail
		if err := out(doc{"id": g.path(), "name": g.Name, "type": "Microsoft.ContainerRegistry/registries", "location": g.Region.Name, "tags": tagsOf(g.Tags),
			"sku":        doc{"name": g.SKU, "tier": g.SKU},
			"systemData": doc{"createdBy": by, "createdByType": "User", "createdAt": micro(g.Created), "lastModifiedBy": by, "lastModifiedByType": "User", "lastModifiedAt": micro(g.Created.Add(time.Hour))},
			"properties": doc{"loginServer": g.Name + ".azurecr.io", "creationDate": micro(g.Created), "provisioningState": "Succeeded", "adminUserEnabled": g.Admin, "anonymousPullEnabled": g.Open,
				"publicNetworkAccess": public, "networkRuleBypassOptions": "AzureServices", "networkRuleSet": doc{"defaultAction": deny, "ipRules": []any{}}, "encryption": encryption,
				"privateEndpointConnections": links, "dataEndpointEnabled": false, "zoneRedundancy": "Disabled",
				"policies": doc{"quarantinePolicy": doc{"status": "disabled"}, "trustPolicy": doc{"type": "Notary", "status": "disabled"}, "retentionPolicy": doc{"days": 7, "status": "disabled"}, "exportPolicy": doc{"status": "enabled"}}}}); err != nil {
			return err
		}
	}
	return nil
}

// roleDocs are the holders of Owner at the subscription, and a few others above.
func (w *World) roleDocs(s *subscription, out emit) error {
	const owner = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
	const reader = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
	add := func(scope, role, principal, kind, text string) error {
		id := w.guidOf("role", s.GUID, scope, role, principal)
		root := scope
		if scope == "/" {
			root = ""
		}
		return out(doc{"id": root + "/providers/Microsoft.Authorization/roleAssignments/" + id, "name": id, "type": "Microsoft.Authorization/roleAssignments",
			"properties": doc{"roleDefinitionId": s.path() + "/providers/Microsoft.Authorization/roleDefinitions/" + role, "principalId": principal, "principalType": kind, "scope": scope,
				"description": text, "condition": nil, "conditionVersion": nil, "delegatedManagedIdentityResourceId": nil, "createdOn": micro(s.Since.AddDate(-1, 0, 0)), "updatedOn": micro(s.Since), "createdBy": "", "updatedBy": ""}})
	}
	for _, p := range s.Owners {
		if err := add(s.path(), owner, p.Object, "User", "owner of the landing zone: "+p.Mail); err != nil {
			return err
		}
	}
	if err := add(groupPath(short), owner, w.guidOf("group", "platform-owners"), "Group", "platform owners, by request and for hours"); err != nil {
		return err
	}
	return add(groupPath(short), reader, w.guidOf("app", "dockreeve-reader"), "ServicePrincipal", "reads for Dockreeve")
}

// otherTypes are what a tenant is full of beside clusters.
var otherTypes = []string{"Microsoft.Compute/virtualMachineScaleSets", "Microsoft.Compute/disks", "Microsoft.Network/loadBalancers", "Microsoft.Network/publicIPAddresses", "Microsoft.Network/networkSecurityGroups",
	"Microsoft.Network/virtualNetworks", "Microsoft.Storage/storageAccounts", "Microsoft.KeyVault/vaults", "Microsoft.OperationalInsights/workspaces", "Microsoft.ManagedIdentity/userAssignedIdentities", "Microsoft.Sql/servers", "Microsoft.Web/sites"}

// otherDocs are resources of other types, of which a collection keeps the number only:
// Options.Resources less the clusters and registries, spread over the subscriptions.
func (w *World) otherDocs(s *subscription, out emit) error {
	all := max(0, w.opts.Resources-len(w.clusters)-len(w.regs))
	for i := s.i; i < all; i += len(w.subs) {
		kind := otherTypes[(i/len(w.subs)+s.i)%len(otherTypes)]
		g := s.groups[i/len(w.subs)%len(s.groups)]
		name := strings.ToLower(kind[strings.LastIndexByte(kind, '/')+1:]) + "-" + w.guidOf("other", s.GUID, kind)[:4] + strconv.Itoa(i)
		if err := out(doc{"id": g.path() + "/providers/" + kind + "/" + name, "name": name, "type": kind, "location": g.Region.Name, "tags": tagsOf(g.Tags)}); err != nil {
			return err
		}
	}
	return nil
}
