package tenant

import (
	"fmt"
	"strings"
	"time"
)

func (w *World) clusterDocs(s *subscription, out emit) error {
	for _, c := range s.clusters {
		if c.Arc {
			continue
		}
		if err := out(w.aksDoc(c)); err != nil {
			return err
		}
	}
	return nil
}

func on(yes bool) doc { return doc{"enabled": yes} }

// identityPath is the ARM id of one of a cluster's managed identities.
func (c *cluster) identityPath(use string) string {
	name := c.Name + "-agentpool"
	if use != "kubelet" {
		name = strings.ToLower(use) + "-" + c.Name
	}
	return c.sub.path() + "/resourceGroups/" + c.nodeGroup() + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/" + name
}

func (c *cluster) identityDoc(use string) doc {
	id := c.identity[use]
	return doc{"clientId": id[0], "objectId": id[1], "resourceId": strings.Replace(c.identityPath(use), "/resourceGroups/", "/resourcegroups/", 1)}
}

func (c *cluster) addon(use string, config doc) doc {
	d := doc{"enabled": true, "config": nil, "identity": c.identityDoc(use)}
	if config != nil {
		d["config"] = config
	}
	return d
}

func (w *World) aksDoc(c *cluster) doc {
	power := "Running"
	if c.Stopped {
		power = "Stopped"
	}
	security := doc{}
	if c.Profile {
		d := doc{"logAnalyticsWorkspaceResourceId": c.sub.Workspace, "securityMonitoring": on(true)}
		if c.Gating {
			d["securityGating"] = doc{"enabled": true, "allowSecretAccess": true}
		}
		security["defender"] = d
	} else if c.flag(1) {
		security["defender"] = doc{"securityMonitoring": on(false)}
	}
	if c.flag(2) {
		security["workloadIdentity"] = on(true)
	}
	if c.few(4) {
		security["azureKeyVaultKms"] = doc{"enabled": true, "keyId": "https://kv-" + c.App + ".vault.azure.net/keys/etcd/" + strings.ReplaceAll(w.guidOf("kms", c.Name), "-", ""), "keyVaultNetworkAccess": "Private"}
	}
	if c.flag(8) {
		security["imageCleaner"] = doc{"enabled": true, "intervalHours": 168}
	}
	addons := doc{}
	if c.Policy {
		addons[[]string{"azurepolicy", "azurePolicy"}[c.Flags>>9&1]] = c.addon("azurepolicy", nil)
	} else if c.flag(10) {
		addons["azurepolicy"] = doc{"enabled": false, "config": nil}
	}
	if c.Insights {
		addons["omsagent"] = c.addon("omsagent", doc{"logAnalyticsWorkspaceResourceID": c.sub.Workspace, "useAADAuth": "true"})
	}
	if c.flag(3) {
		addons["azureKeyvaultSecretsProvider"] = c.addon("azureKeyvaultSecretsProvider", doc{"enableSecretRotation": "true", "rotationPollInterval": "2m"})
	}
	api := doc{"disableRunCommand": c.flag(11), "enablePrivateCluster": c.Private, "enableVnetIntegration": false}
	if c.Private {
		api["enablePrivateClusterPublicFQDN"] = c.flag(12)
		api["privateDNSZone"] = "system"
	}
	if len(c.Ranges) > 0 {
		api["authorizedIPRanges"] = c.Ranges
	}
	network := doc{"networkPlugin": "azure", "loadBalancerSku": "standard", "outboundType": []string{"loadBalancer", "userDefinedRouting"}[c.Flags>>13&1],
		"serviceCidr": "10.0.0.0/16", "dnsServiceIP": "10.0.0.10", "serviceCidrs": []string{"10.0.0.0/16"}, "ipFamilies": []string{"IPv4"}}
	switch c.Flags >> 14 & 3 {
	case 0:
		network["networkPolicy"], network["networkDataplane"], network["networkPluginMode"] = "cilium", "cilium", "overlay"
	case 1:
		network["networkPolicy"] = "azure"
	case 2:
		network["networkPolicy"] = "calico"
	default:
		network["networkPolicy"] = "none"
		if c.few(16) {
			network["networkPlugin"] = "kubenet"
			delete(network, "networkPolicy")
		}
	}
	var pools []doc
	for i := range c.Pools {
		pools = append(pools, w.poolDoc(c, &c.Pools[i]))
	}
	fqdn := fmt.Sprintf("%s-dns-%s", c.Name, w.guidOf("dns", c.Name)[:8])
	host := "hcp." + c.Region.Name + ".azmk8s.io"
	props := doc{
		"provisioningState": "Succeeded", "powerState": doc{"code": power}, "kubernetesVersion": c.Version, "currentKubernetesVersion": c.Version,
		"dnsPrefix": c.Name + "-dns", "agentPoolProfiles": pools, "nodeResourceGroup": c.nodeGroup(), "enableRBAC": !(c.few(20) && c.few(24)), "supportPlan": "KubernetesOfficial",
		"maxAgentPools": 100, "disableLocalAccounts": !c.Local, "apiServerAccessProfile": api, "networkProfile": network, "securityProfile": security,
		"servicePrincipalProfile": doc{"clientId": "msi"}, "addonProfiles": addons, "oidcIssuerProfile": doc{"enabled": c.flag(2)},
		"autoUpgradeProfile": doc{"upgradeChannel": []any{"patch", "stable", "none", nil}[c.Flags>>28&3], "nodeOSUpgradeChannel": []string{"NodeImage", "SecurityPatch", "None", "NodeImage"}[c.Flags>>30&3]},
		"identityProfile":    doc{"kubeletidentity": c.identityDoc("kubelet")}, "resourceUID": strings.ReplaceAll(w.guidOf("uid", c.Name), "-", "")[:24],
		"storageProfile": doc{"diskCSIDriver": on(true), "fileCSIDriver": on(true), "snapshotController": on(true)}, "workloadAutoScalerProfile": doc{},
	}
	if c.few(20) && c.flag(32) {
		props["servicePrincipalProfile"] = doc{"clientId": w.guidOf("sp", c.Name)}
	}
	if c.Private {
		props["privateFQDN"] = fqdn + "." + w.guidOf("zone", c.Name) + ".privatelink." + c.Region.Name + ".azmk8s.io"
		props["publicNetworkAccess"] = []string{"Enabled", "Disabled"}[c.Flags>>33&1]
		if c.flag(12) {
			props["fqdn"] = fqdn + "." + host
		}
	} else {
		props["fqdn"] = fqdn + "." + host
		props["azurePortalFQDN"] = fqdn + ".portal." + host
	}
	if c.flag(34) || c.production() {
		props["aadProfile"] = doc{"managed": true, "enableAzureRBAC": c.flag(35), "adminGroupObjectIDs": []string{w.guidOf("group", teams[c.Team].Name)}, "tenantID": w.tenant}
	}
	if c.few(36) {
		props["diskEncryptionSetID"] = c.sub.path() + "/resourceGroups/" + c.RG + "/providers/Microsoft.Compute/diskEncryptionSets/des-" + c.App
	}
	id := c.path()
	if c.flag(40) {
		id = strings.Replace(id, "/resourceGroups/", "/resourcegroups/", 1)
	}
	return doc{"id": id, "name": c.Name, "type": []string{"Microsoft.ContainerService/ManagedClusters", "Microsoft.ContainerService/managedClusters"}[c.Flags>>41&1],
		"location": c.Region.Name, "tags": tagsOf(c.Tags), "sku": doc{"name": "Base", "tier": c.Tier}, "kind": "Base",
		"identity":   doc{"type": "SystemAssigned", "principalId": c.identity["cluster"][1], "tenantId": w.tenant},
		"systemData": doc{"createdBy": c.Owner.Mail, "createdByType": "User", "createdAt": micro(c.Created), "lastModifiedBy": c.Owner.Mail, "lastModifiedByType": "User", "lastModifiedAt": micro(w.ago(time.Duration(1+c.Flags%60) * 24 * time.Hour))},
		"properties": props}
}

func (w *World) poolDoc(c *cluster, p *pool) doc {
	power := "Running"
	if p.Stopped || c.Stopped {
		power = "Stopped"
	}
	count := p.Nodes
	if power == "Stopped" {
		count = 0
	}
	image, sku := "AKSUbuntu-2204gen2containerd-202610.27.0", "Ubuntu"
	switch {
	case p.OS == "Windows":
		image, sku = "AKSWindows-2022-containerd-20348.4297.251014", "Windows2022"
	case c.flag(42):
		image, sku = "AKSAzureLinux-V3gen2-202611.03.0", "AzureLinux"
	}
	d := doc{"name": p.Name, "count": count, "vmSize": p.Size, "osType": p.OS, "osSKU": sku, "mode": p.Mode, "type": "VirtualMachineScaleSets", "osDiskSizeGB": 128, "osDiskType": "Managed",
		"maxPods": 110, "enableNodePublicIP": c.few(44) && p.Mode == "User", "enableEncryptionAtHost": c.flag(47), "enableFIPS": false, "enableUltraSSD": false, "nodeImageVersion": image,
		"orchestratorVersion": c.Version, "currentOrchestratorVersion": c.Version, "provisioningState": "Succeeded", "powerState": doc{"code": power}, "kubeletDiskType": "OS",
		"securityProfile": doc{"sshAccess": []string{"LocalUser", "Disabled"}[c.Flags>>48&1], "enableSecureBoot": c.flag(49), "enableVTPM": c.flag(49)}, "upgradeSettings": doc{"maxSurge": "10%"}}
	if c.production() {
		d["availabilityZones"] = []string{"1", "2", "3"}
	}
	if p.Autoscaled {
		d["enableAutoScaling"], d["minCount"], d["maxCount"] = true, p.Min, p.Max
	} else {
		d["enableAutoScaling"] = false
	}
	if p.Spot {
		d["scaleSetPriority"], d["scaleSetEvictionPolicy"], d["spotMaxPrice"] = "Spot", "Delete", -1
		d["nodeTaints"] = []string{"kubernetes.azure.com/scalesetpriority=spot:NoSchedule"}
	}
	return d
}

func (w *World) arcDocs(s *subscription, out emit) error {
	for _, c := range s.clusters {
		if !c.Arc {
			continue
		}
		nodes, cores := 0, 0
		for i := range c.Pools {
			nodes += c.Pools[i].Nodes
			cores += c.Pools[i].Nodes * w.cores(c.Pools[i].Size)
		}
		status := "Connected"
		if c.few(52) {
			status = "Offline"
		}
		if err := out(doc{"id": c.path(), "name": c.Name, "type": "microsoft.kubernetes/connectedclusters", "location": c.Region.Name, "tags": tagsOf(c.Tags),
			"identity":   doc{"type": "SystemAssigned", "principalId": c.identity["cluster"][1], "tenantId": w.tenant},
			"systemData": doc{"createdBy": c.Owner.Mail, "createdByType": "User", "createdAt": micro(c.Created), "lastModifiedBy": c.Owner.Mail, "lastModifiedByType": "User", "lastModifiedAt": micro(c.Created)},
			"properties": doc{"provisioningState": "Succeeded", "connectivityStatus": status, "distribution": []string{"k3s", "rke2", "openshift", "generic"}[c.Flags>>55&3], "infrastructure": "on_premises",
				"kubernetesVersion": c.Version, "totalNodeCount": nodes, "totalCoreCount": cores, "agentVersion": "1.29.4", "offering": "", "privateLinkState": "Disabled",
				"lastConnectivityTime": micro(w.ago(4 * time.Minute)), "managedIdentityCertificateExpirationTime": micro(w.now.AddDate(0, 2, 0))}}); err != nil {
			return err
		}
	}
	return nil
}

// extensionDocs are the extensions of an Arc cluster.
func (w *World) extensionDocs(c *cluster, out emit) error {
	add := func(name, kind, state string, settings doc) error {
		return out(doc{"id": c.path() + "/providers/Microsoft.KubernetesConfiguration/extensions/" + name, "name": name, "type": "Microsoft.KubernetesConfiguration/extensions",
			"systemData": doc{"createdAt": micro(c.Created), "lastModifiedAt": micro(c.Created.Add(time.Hour))}, "identity": doc{"type": "SystemAssigned", "principalId": w.guidOf("ext", c.Name, name)},
			"properties": doc{"extensionType": kind, "autoUpgradeMinorVersion": true, "releaseTrain": "Stable", "version": nil, "currentVersion": "0.9.30", "provisioningState": state, "isSystemExtension": false,
				"scope": doc{"cluster": doc{"releaseNamespace": "kube-system"}}, "configurationSettings": settings, "configurationProtectedSettings": doc{}, "statuses": []any{}, "errorInfo": nil}})
	}
	if c.Profile {
		state := "Succeeded"
		if c.few(57) {
			state = "Failed"
		}
		if err := add("microsoft.azuredefender.kubernetes", "microsoft.azuredefender.kubernetes", state, doc{"logAnalyticsWorkspaceResourceID": c.sub.Workspace}); err != nil {
			return err
		}
	}
	if c.Policy {
		if err := add("azurepolicy", "Microsoft.PolicyInsights", "Succeeded", doc{}); err != nil {
			return err
		}
	}
	if c.Insights {
		return add("azuremonitor-containers", "Microsoft.AzureMonitor.Containers", "Succeeded", doc{"logAnalyticsWorkspaceResourceID": c.sub.Workspace})
	}
	return nil
}

// diagnosticDocs are a cluster's diagnostic settings.
func (w *World) diagnosticDocs(c *cluster, out emit) error {
	l := c.Logs
	if l.Kind == "" && len(l.More) == 0 {
		return nil
	}
	var rows []doc
	keep := doc{"days": 0, "enabled": false}
	if l.Group {
		rows = append(rows, doc{"category": nil, "categoryGroup": "allLogs", "enabled": true, "retentionPolicy": keep})
	} else {
		want := map[string]bool{l.Kind: true}
		for _, m := range l.More {
			want[m] = true
		}
		for _, category := range []string{"kube-apiserver", "kube-audit", "kube-audit-admin", "kube-controller-manager", "kube-scheduler", "cluster-autoscaler", "cloud-controller-manager", "guard", "csi-azuredisk-controller"} {
			rows = append(rows, doc{"category": category, "categoryGroup": nil, "enabled": want[category], "retentionPolicy": keep})
		}
	}
	props := doc{"storageAccountId": nil, "serviceBusRuleId": nil, "workspaceId": nil, "eventHubAuthorizationRuleId": nil, "eventHubName": nil, "logAnalyticsDestinationType": nil, "logs": rows,
		"metrics": []doc{{"category": "AllMetrics", "enabled": false, "timeGrain": nil, "retentionPolicy": keep}}}
	shared := c.sub.path() + "/resourceGroups/rg-observability/providers/"
	switch l.To {
	case "storage":
		props["storageAccountId"] = shared + "Microsoft.Storage/storageAccounts/st" + strings.ReplaceAll(c.sub.GUID[:13], "-", "")
	case "event-hub":
		props["eventHubAuthorizationRuleId"], props["eventHubName"] = shared+"Microsoft.EventHub/namespaces/evhns-audit/authorizationRules/send", "kube-audit"
	default:
		props["workspaceId"] = c.sub.Workspace
		if l.Dedicated {
			props["logAnalyticsDestinationType"] = "Dedicated"
		}
	}
	return out(doc{"id": strings.ToLower(c.path()) + "/providers/microsoft.insights/diagnosticSettings/audit", "name": "audit", "type": "Microsoft.Insights/diagnosticSettings", "location": nil, "kind": nil, "tags": nil,
		"identity": nil, "properties": props})
}
