package posture

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// aks gives the subject's AKS cluster as ARM tells it; nil when the control says nothing
// of it, or nothing was told.
func (s *subject) aks(t *tally) *cloud.Cluster {
	switch {
	case s.arm == nil && s.in != nil && s.in.Platform != "" && s.in.Platform != "AKS":
		t.notRelevant("not an AKS cluster but " + clip(s.in.Platform, 40))
	case s.arm == nil && s.in != nil && s.in.ID == "":
		t.unknown("no cloud tells of this cluster: give its ARM id to the cluster agent if it is one of AKS")
	case s.arm == nil:
		t.unknown("the cluster is in none of the subscriptions that were read")
	case s.arm.Kind != cloud.KindAKS:
		t.notRelevant("not an AKS cluster")
	default:
		t.at = s.w.at
		return s.arm
	}
	return nil
}

// flag judges a setting that is yes or no.
func (s *subject) flag(t *tally, field string, v *bool, want bool) {
	if v == nil {
		t.unknown(field + ": " + s.w.missing(cloud.ReadClusters, s.id))
		return
	}
	t.judge(*v == want, s.id, field, strconv.FormatBool(*v), FromARM)
}

func auditLogs(s *subject, t *tally) {
	c := s.aks(t)
	if c == nil {
		return
	}
	t.say("the API server's audit log leaves the cluster", "the API server's audit log is kept nowhere")
	why := s.w.denied(cloud.ReadDiagnostics, s.id)
	if why == "" && s.w.read(cloud.ReadDiagnostics, s.id) == nil && c.Diagnostics == nil {
		why = s.w.missing(cloud.ReadDiagnostics, s.id)
	}
	found := false
	for _, d := range c.Diagnostics {
		if d.Workspace == "" && d.Storage == "" && d.EventHub == "" {
			continue
		}
		for _, k := range d.Categories {
			if slices.Contains([]string{"kube-audit", "kube-audit-admin", "group:alllogs", "group:audit"}, strings.ToLower(k)) {
				found = true
				t.saw(s.id, "diagnosticSettings/"+d.Name, k, FromARM)
			}
		}
	}
	switch {
	case found:
	case why != "":
		t.unknown(why)
	default:
		t.fail(s.id, "diagnosticSettings", fmt.Sprintf("%d, none with kube-audit or kube-audit-admin", len(c.Diagnostics)), FromARM)
	}
}

func defenderProfile(s *subject, t *tally) {
	if c := s.aks(t); c != nil {
		t.say("the Defender profile is on", "the Defender profile is off")
		s.flag(t, "securityProfile.defender.securityMonitoring.enabled", c.DefenderProfile, true)
	}
}

func policyAddon(s *subject, t *tally) {
	if c := s.aks(t); c != nil {
		t.say("the Azure Policy add-on is on", "the Azure Policy add-on is off")
		s.flag(t, "addonProfiles.azurepolicy.enabled", c.PolicyAddon, true)
	}
}

// arcExtension demands an extension of an Arc cluster, by its type's name.
func arcExtension(kind, words string) check {
	return func(s *subject, t *tally) {
		switch {
		case s.arm == nil && s.in != nil && s.in.Platform == "AKS":
			t.notRelevant("not an Arc cluster but one of AKS")
			return
		case s.arm == nil:
			t.unknown("whether the cluster is connected to Arc is not known: it is in none of the subscriptions that were read")
			return
		case s.arm.Kind != cloud.KindArc:
			t.notRelevant("not an Arc cluster")
			return
		}
		t.at = s.w.at
		t.say(words+" is installed", words+" is not installed")
		for _, e := range s.arm.Extensions {
			if strings.EqualFold(e.Name, kind) {
				t.judge(e.Enabled, s.id, "extensions/"+e.Name, strings.TrimSpace(fmt.Sprint(e.Enabled, " ", e.State)), FromARM)
				return
			}
		}
		if s.arm.Extensions == nil {
			if r := s.w.read(cloud.ReadExtensions, s.id); r == nil || r.Outcome != cloud.ReadOK && r.Outcome != cloud.ReadAbsent {
				t.unknown(s.w.missing(cloud.ReadExtensions, s.id))
				return
			}
		} else if why := s.w.denied(cloud.ReadExtensions, s.id); why != "" {
			t.unknown(why)
			return
		}
		t.fail(s.id, "extensions", fmt.Sprintf("%d, none is %s", len(s.arm.Extensions), kind), FromARM)
	}
}

// plan gives the subscription's Defender plan; nil says why to the tally.
func (s *subject) plan(t *tally) *cloud.Plan {
	t.at = s.w.at
	if s.sub == nil {
		t.unknown("the subscription was not read")
		return nil
	}
	if s.sub.Plan == nil {
		t.unknown(s.w.missing(cloud.ReadPlan, s.sub.ID))
		return nil
	}
	return s.sub.Plan
}

func defenderPlan(s *subject, t *tally) {
	t.say("Defender for Containers is on", "Defender for Containers is off")
	if p := s.plan(t); p != nil {
		v := "Free"
		if p.Standard {
			v = "Standard"
		}
		if p.Legacy != "" {
			v += ", by the older plan " + p.Legacy
		}
		t.judge(p.Standard, s.id, "pricings/Containers.pricingTier", v, FromARM)
	}
}

// imageScanning wants the images of a registry to be scanned: by Defender's plan.
func imageScanning(s *subject, t *tally) {
	t.say("images of the registry are scanned", "nothing scans the images of the registry")
	p := s.plan(t)
	if p == nil {
		return
	}
	on := p.Standard && slices.ContainsFunc(p.Extensions, func(e cloud.Extension) bool {
		return strings.EqualFold(e.Name, cloud.ExtRegistries) && e.Enabled
	})
	// The older plan of registries scanned without an extension.
	on = on || strings.EqualFold(p.Legacy, "ContainerRegistry")
	t.judge(on, s.sub.ID, "pricings/Containers.extensions."+cloud.ExtRegistries, strconv.FormatBool(on), FromARM)
}

func workloadIdentity(s *subject, t *tally) {
	if c := s.aks(t); c != nil {
		t.say("workloads can have cloud identities of their own", "workloads share the cloud identity of their node")
		s.flag(t, "oidcIssuerProfile.enabled", c.OIDCIssuer, true)
		s.flag(t, "securityProfile.workloadIdentity.enabled", c.WorkloadIdentity, true)
	}
}

func kms(s *subject, t *tally) {
	if c := s.aks(t); c != nil {
		t.say("secrets are encrypted with a key of Key Vault before they are stored", "secrets are stored without a key of their own")
		s.flag(t, "securityProfile.azureKeyVaultKms.enabled", c.KMS, true)
	}
}

func authorizedRanges(s *subject, t *tally) {
	c := s.aks(t)
	if c == nil {
		return
	}
	t.say("only listed or private addresses reach the API server", "any address on the internet may reach the API server")
	switch {
	case c.Private != nil && *c.Private:
		t.saw(s.id, "apiServerAccessProfile.enablePrivateCluster", "true", FromARM)
	case slices.ContainsFunc(c.AuthorizedRanges, anywhere):
		t.fail(s.id, "apiServerAccessProfile.authorizedIPRanges", strings.Join(c.AuthorizedRanges, ", "), FromARM)
	case len(c.AuthorizedRanges) > 0:
		t.saw(s.id, "apiServerAccessProfile.authorizedIPRanges", strings.Join(c.AuthorizedRanges, ", "), FromARM)
	case c.Private == nil:
		t.unknown("apiServerAccessProfile: " + s.w.missing(cloud.ReadClusters, s.id))
	default:
		t.fail(s.id, "apiServerAccessProfile.authorizedIPRanges", "none", FromARM)
	}
}

// anywhere reports whether a range lets every address in.
func anywhere(cidr string) bool { return strings.HasSuffix(cidr, "/0") }

func privateEndpoint(s *subject, t *tally) {
	c := s.aks(t)
	if c == nil {
		return
	}
	t.say("the API server has a private address only", "the API server has a public name or address")
	s.flag(t, "apiServerAccessProfile.enablePrivateCluster", c.Private, true)
	// The public name of a private cluster is on unless it was switched off.
	if c.PrivatePublic != nil && c.Private != nil && *c.Private {
		t.judge(!*c.PrivatePublic, s.id, "apiServerAccessProfile.enablePrivateClusterPublicFQDN", strconv.FormatBool(*c.PrivatePublic), FromARM)
	}
}

func privateNodes(s *subject, t *tally) {
	c := s.aks(t)
	if c == nil {
		return
	}
	t.say("no node of the {of} pools has a public address", "{n} of {of} pools give their nodes public addresses")
	if len(c.Pools) == 0 {
		t.unknown("no node pools were told")
	}
	for _, p := range c.Pools {
		field := "agentPoolProfiles/" + p.Name + ".enableNodePublicIP"
		if p.PublicIP == nil {
			t.unknown(field + " was not told")
			continue
		}
		t.judge(!*p.PublicIP, s.id, field, strconv.FormatBool(*p.PublicIP), FromARM)
	}
}

func networkPolicy(s *subject, t *tally) {
	if c := s.aks(t); c != nil {
		t.say("network policies take effect", "network policies have no effect: nothing enforces them")
		v := strings.ToLower(c.NetworkPolicy)
		switch {
		case v == "azure" || v == "calico" || v == "cilium":
			t.saw(s.id, "networkProfile.networkPolicy", v, FromARM)
		case strings.EqualFold(c.Dataplane, "cilium"):
			t.saw(s.id, "networkProfile.networkDataplane", "cilium", FromARM)
		case strings.EqualFold(c.NetworkPlugin, "none"):
			t.unknown("the cluster brings its own network plugin (networkPlugin none): what that enforces is not told")
		default:
			t.fail(s.id, "networkProfile.networkPolicy", "none", FromARM)
		}
	}
}

// cni wants a network plugin that Azure keeps current with the nodes' images.
func cni(s *subject, t *tally) {
	c := s.aks(t)
	if c == nil {
		return
	}
	t.say("Azure keeps the network plugin current", "the network plugin is not kept current")
	switch plugin := strings.ToLower(c.NetworkPlugin); plugin {
	case "azure":
		t.saw(s.id, "networkProfile.networkPlugin", plugin, FromARM)
	case "kubenet":
		t.fail(s.id, "networkProfile.networkPlugin", plugin, FromARM)
	case "":
		t.unknown("networkProfile.networkPlugin was not told")
		return
	default:
		t.unknown("the version of network plugin " + clip(plugin, 40) + " is not Azure's to keep, and is not known")
		return
	}
	kept := channel(c.Upgrade) || channel(c.NodeUpgrade)
	t.judge(kept, s.id, "autoUpgradeProfile", channels(c), FromARM)
}

// channel reports whether an upgrade channel upgrades anything.
func channel(s string) bool {
	return s != "" && !strings.EqualFold(s, "none") && !strings.EqualFold(s, "unmanaged")
}

func channels(c *cloud.Cluster) string {
	word := func(s string) string {
		if s == "" {
			return "none"
		}
		return s
	}
	return "upgradeChannel " + word(c.Upgrade) + ", nodeOSUpgradeChannel " + word(c.NodeUpgrade)
}

func upgrades(s *subject, t *tally) {
	c := s.aks(t)
	if c == nil {
		return
	}
	t.say("fixes of Kubernetes and of AKS's own pods come by themselves", "fixes of Kubernetes and of AKS's own pods wait for somebody to upgrade")
	// node-image changes nodes only, not what runs of AKS in the cluster.
	ok := channel(c.Upgrade) && !strings.EqualFold(c.Upgrade, "node-image")
	t.judge(ok, s.id, "autoUpgradeProfile", channels(c), FromARM)
	s.assessments(t)
}

// assessments adds what Defender itself says of the control at the subject, and reports
// whether it said anything.
func (s *subject) assessments(t *tally) bool {
	told := false
	for _, a := range s.w.assessed[strings.ToLower(s.id)] {
		if !slices.Contains(t.control.Assessments, strings.ToLower(a.Key)) && !slices.Contains(t.control.Assessments, base(a.Policy)) {
			continue
		}
		switch {
		case strings.EqualFold(a.Status, "Healthy"):
			told = true
			t.saw(s.id, "assessments/"+a.Key, a.Status, FromARM)
		case strings.EqualFold(a.Status, "Unhealthy"):
			told = true
			t.fail(s.id, "assessments/"+a.Key, strings.TrimSpace(a.Status+" "+a.Cause), FromARM)
		}
	}
	return told
}

func entra(s *subject, t *tally) {
	if c := s.aks(t); c != nil {
		t.say("people sign in with Entra ID", "people sign in with certificates of the cluster, not with Entra ID")
		s.flag(t, "aadProfile.managed", c.Entra, true)
	}
}

func azureRBAC(s *subject, t *tally) {
	if c := s.aks(t); c != nil {
		t.say("rights in the cluster are given in Azure", "rights in the cluster are not given in Azure")
		s.flag(t, "aadProfile.enableAzureRBAC", c.AzureRBAC, true)
	}
}

func rbac(s *subject, t *tally) {
	if c := s.aks(t); c != nil {
		t.say("role-based access control is on", "role-based access control is off: whoever gets in may do everything")
		s.flag(t, "enableRBAC", c.RBAC, true)
	}
}

func localAccounts(s *subject, t *tally) {
	if c := s.aks(t); c != nil {
		t.say("the cluster's own administrator account is off", "an administrator account that nobody signs in to can be used")
		s.flag(t, "disableLocalAccounts (inverted)", c.LocalAccounts, false)
	}
}
