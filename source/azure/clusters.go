package azure

import (
	"errors"
	"strings"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// located reads what every resource has.
func located(n node, what string) (id, sub, group string, err error) {
	id = n.at("id").id()
	sub, group = subscriptionOf(id), after(id, "resourcegroups")
	if sub == "" || group == "" || after(id, what) == "" {
		return "", "", "", errors.New("id: want /subscriptions/…/resourceGroups/…/" + what + "/…")
	}
	return id, sub, group, nil
}

// not turns a switch that says "disabled" around.
func not(b *bool) *bool {
	if b == nil {
		return nil
	}
	return ptr(!*b)
}

// orElse is b, or what Azure means by leaving it out.
func orElse(b *bool, left bool) *bool {
	if b == nil {
		return &left
	}
	return b
}

// aks takes a managed cluster in. ARM leaves out what is off, so in a whole document what
// is missing is off; a summary (az resource list) is told by its missing node pools, and
// says nothing of any switch.
func (b *Builder) aks(_ string, n node) error {
	id, sub, group, err := located(n, "managedclusters")
	if err != nil {
		return err
	}
	c := cloud.Cluster{
		ID: id, Name: nameOf(n, id), Kind: cloud.KindAKS, Subscription: sub, ResourceGroup: group,
		Location: region(n.at("location").text()), Tags: n.at("tags").texts(), Created: n.at("systemData", "createdAt").time(),
		Version: n.prop("currentKubernetesVersion").text(), Power: n.prop("powerState", "code").text(),
		State: n.prop("provisioningState").text(), Tier: n.at("sku", "tier").text(),
		NodeGroup: strings.ToLower(n.prop("nodeResourceGroup").text()),
		FQDN:      n.prop("fqdn").text(), PrivateFQDN: n.prop("privateFqdn").text(),
	}
	if c.Version == "" {
		c.Version = n.prop("kubernetesVersion").text()
	}
	pools := n.prop("agentPoolProfiles")
	if !pools.there() {
		pools.doc.wrong = "agentPoolProfiles: missing: a summary of the cluster says nothing of its settings"
		return keep(b.clusters, id, c)
	}
	for i, p := range pools.items() {
		if i == 200 { // Azure allows 100
			p.odd("at most 200 node pools")
			break
		}
		c.Pools = append(c.Pools, pool(p))
	}
	security(n.prop("securityProfile"), &c)
	addons(n.prop("addonProfiles"), &c)
	if c.Insights == nil || !*c.Insights {
		if ci := n.prop("azureMonitorProfile", "containerInsights"); ci.at("enabled").is() {
			c.Insights, c.InsightsTo = ptr(true), ci.at("logAnalyticsWorkspaceResourceId").id()
		}
	}
	access(n, &c)
	identities(n, &c)
	return keep(b.clusters, id, c)
}

func pool(p node) cloud.Pool {
	out := cloud.Pool{
		Name: p.at("name").text(), Size: p.at("vmSize").text(), Count: p.at("count").count(),
		Min: p.at("minCount").count(), Max: p.at("maxCount").count(), Autoscaled: p.at("enableAutoScaling").is(),
		Spot: strings.EqualFold(p.at("scaleSetPriority").text(), "Spot"), Power: p.at("powerState", "code").text(),
		OS: p.at("osType").text(), SKU: p.at("osSKU").text(), Mode: p.at("mode").text(), Image: p.at("nodeImageVersion").text(),
		Version:  p.at("currentOrchestratorVersion").text(),
		PublicIP: orElse(p.at("enableNodePublicIP").flag(), false), Encrypted: orElse(p.at("enableEncryptionAtHost").flag(), false),
		SSH: p.at("securityProfile", "sshAccess").text(), Zones: p.at("availabilityZones").strings(),
	}
	if out.Version == "" {
		out.Version = p.at("orchestratorVersion").text()
	}
	return out
}

func security(s node, c *cloud.Cluster) {
	d := s.at("defender")
	c.DefenderProfile = orElse(d.at("securityMonitoring", "enabled").flag(), false)
	c.DefenderGating = orElse(d.at("securityGating", "enabled").flag(), false)
	c.Workspace = d.at("logAnalyticsWorkspaceResourceId").id()
	c.KMS = orElse(s.at("azureKeyVaultKms", "enabled").flag(), false)
	c.ImageCleaner = orElse(s.at("imageCleaner", "enabled").flag(), false)
	c.WorkloadIdentity = orElse(s.at("workloadIdentity", "enabled").flag(), false)
}

func addons(a node, c *cloud.Cluster) {
	c.PolicyAddon = orElse(a.at("azurepolicy", "enabled").flag(), false)
	c.Insights = orElse(a.at("omsagent", "enabled").flag(), false)
	c.InsightsTo = a.at("omsagent", "config", "logAnalyticsWorkspaceResourceID").id()
	c.SecretsProvider = orElse(a.at("azureKeyvaultSecretsProvider", "enabled").flag(), false)
}

func access(n node, c *cloud.Cluster) {
	c.RBAC = n.prop("enableRBAC").flag()
	aad := n.prop("aadProfile")
	c.Entra = orElse(aad.at("managed").flag(), false)
	c.AzureRBAC = orElse(aad.at("enableAzureRBAC").flag(), false)
	c.LocalAccounts = not(orElse(n.prop("disableLocalAccounts").flag(), false))
	api := n.prop("apiServerAccessProfile")
	c.AuthorizedRanges = api.at("authorizedIPRanges").strings()
	c.Private = orElse(api.at("enablePrivateCluster").flag(), false)
	c.PrivatePublic = api.at("enablePrivateClusterPublicFQDN").flag()
	c.RunCommand = not(orElse(api.at("disableRunCommand").flag(), false))
	c.PublicAccess = n.prop("publicNetworkAccess").flag()
	net := n.prop("networkProfile")
	c.NetworkPlugin, c.NetworkPolicy = net.at("networkPlugin").text(), net.at("networkPolicy").text()
	c.Dataplane, c.Outbound = net.at("networkDataplane").text(), net.at("outboundType").text()
	c.DiskEncryption = n.prop("diskEncryptionSetID").id()
	c.OIDCIssuer = orElse(n.prop("oidcIssuerProfile", "enabled").flag(), false)
	c.Upgrade = n.prop("autoUpgradeProfile", "upgradeChannel").text()
	c.NodeUpgrade = n.prop("autoUpgradeProfile", "nodeOSUpgradeChannel").text()
	if sp := n.prop("servicePrincipalProfile", "clientId").text(); !strings.EqualFold(sp, "msi") {
		c.ServicePrincipal = sp
	}
}

// identities lists the managed identities of a cluster: its own, the kubelet's, those of
// its add-ons.
func identities(n node, c *cloud.Cluster) {
	own := n.at("identity")
	if object := own.at("principalId").text(); object != "" {
		c.Identities = append(c.Identities, cloud.Identity{Use: "cluster", ObjectID: object})
	}
	users := own.at("userAssignedIdentities")
	for _, k := range users.keys() {
		u := users.at(k)
		c.Identities = append(c.Identities, cloud.Identity{Use: "cluster", ID: armID(k), ClientID: u.at("clientId").text(), ObjectID: u.at("principalId").text()})
	}
	if k := n.prop("identityProfile", "kubeletidentity"); k.there() {
		c.Identities = append(c.Identities, identity("kubelet", k))
	}
	a := n.prop("addonProfiles")
	for _, k := range a.keys() {
		if i := a.at(k, "identity"); i.there() {
			c.Identities = append(c.Identities, identity(strings.ToLower(clip(k, maxShort)), i))
		}
	}
}

func identity(use string, n node) cloud.Identity {
	return cloud.Identity{Use: use, ID: n.at("resourceId").id(), ClientID: n.at("clientId").text(), ObjectID: n.at("objectId").text()}
}

// arc takes a cluster in that Azure Arc knows.
func (b *Builder) arc(_ string, n node) error {
	id, sub, group, err := located(n, "connectedclusters")
	if err != nil {
		return err
	}
	return keep(b.clusters, id, cloud.Cluster{
		ID: id, Name: nameOf(n, id), Kind: cloud.KindArc, Subscription: sub, ResourceGroup: group,
		Location: region(n.at("location").text()), Tags: n.at("tags").texts(), Created: n.at("systemData", "createdAt").time(),
		Version: n.prop("kubernetesVersion").text(), State: n.prop("provisioningState").text(),
		Distribution: n.prop("distribution").text(), Nodes: n.prop("totalNodeCount").count(), Cores: n.prop("totalCoreCount").count(),
	})
}

// arcExtension is an extension of an Arc cluster.
type arcExtension struct{ cloud.Extension }

const (
	policyExtension   = "microsoft.policyinsights"
	insightsExtension = "microsoft.azuremonitor.containers"
	secretsExtension  = "microsoft.azurekeyvaultsecretsprovider"
)

func (b *Builder) extension(scope string, n node) error {
	id := n.at("id").id()
	if id == "" {
		return errNoID
	}
	cluster := parentOf(id)
	if cluster == "" {
		cluster = scope
	}
	typ, state := strings.ToLower(n.prop("extensionType").text()), n.prop("provisioningState").text()
	if typ == "" {
		return errors.New("extensionType: missing")
	}
	return keepIn(b.extensions, cluster, id, arcExtension{cloud.Extension{Name: typ, Enabled: strings.EqualFold(state, "Succeeded"), State: state}})
}

// joinExtensions gives a cluster its extensions. What an Arc cluster does not have is
// known only where the read of its extensions came to its end.
func (b *Builder) joinExtensions(c *cloud.Cluster) {
	for _, e := range values(b.extensions[c.ID]) {
		c.Extensions = append(c.Extensions, e.Extension)
	}
	if c.Kind != cloud.KindArc {
		return
	}
	if r := b.reads[readKey{cloud.ReadExtensions, c.ID}]; r == nil || r.Outcome != cloud.ReadOK && r.Outcome != cloud.ReadAbsent {
		return
	}
	has := func(name string) *bool {
		for _, e := range c.Extensions {
			if e.Name == name && e.Enabled {
				return ptr(true)
			}
		}
		return ptr(false)
	}
	c.PolicyAddon, c.Insights, c.SecretsProvider = has(policyExtension), has(insightsExtension), has(secretsExtension)
}

func (b *Builder) registry(_ string, n node) error {
	id, sub, group, err := located(n, "registries")
	if err != nil {
		return err
	}
	r := cloud.Registry{
		ID: id, Name: nameOf(n, id), Subscription: sub, ResourceGroup: group, Location: region(n.at("location").text()),
		Server: strings.ToLower(n.prop("loginServer").text()), SKU: n.at("sku", "name").text(), Tags: n.at("tags").texts(),
	}
	if r.Server == "" {
		n.doc.wrong = "loginServer: missing: a summary of the registry says nothing of its settings"
		return keep(b.registries, id, r)
	}
	r.Admin = orElse(n.prop("adminUserEnabled").flag(), false)
	r.Anonymous = orElse(n.prop("anonymousPullEnabled").flag(), false)
	r.PublicAccess = orElse(n.prop("publicNetworkAccess").flag(), true)
	r.DefaultDeny = ptr(strings.EqualFold(n.prop("networkRuleSet", "defaultAction").text(), "Deny"))
	r.CustomerKey = orElse(n.prop("encryption", "status").flag(), false)
	r.PrivateLinks = len(n.prop("privateEndpointConnections").items())
	return keep(b.registries, id, r)
}

func (b *Builder) diagnostic(scope string, n node) error {
	id := n.at("id").id()
	cluster := parentOf(id)
	if cluster == "" {
		cluster = scope
	}
	if cluster == "" || nameOf(n, id) == "" {
		return errNoID
	}
	d := cloud.Diagnostic{
		Name: nameOf(n, id), Workspace: n.prop("workspaceId").id(), Storage: n.prop("storageAccountId").id(), EventHub: n.prop("eventHubName").text(),
		Dedicated: strings.EqualFold(n.prop("logAnalyticsDestinationType").text(), "Dedicated"),
	}
	if d.EventHub == "" {
		d.EventHub = n.prop("eventHubAuthorizationRuleId").id()
	}
	for _, l := range n.prop("logs").items() {
		if !l.at("enabled").is() {
			continue
		}
		if c := l.at("category").text(); c != "" {
			d.Categories = append(d.Categories, c)
		} else if g := l.at("categoryGroup").text(); g != "" {
			d.Categories = append(d.Categories, "group:"+g)
		}
	}
	return keepIn(b.diagnostics, cluster, id+"|"+d.Name, d)
}
