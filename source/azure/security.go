package azure

import (
	"errors"
	"strings"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// Names of the plan for containers: today's, and the two that it replaced.
const planName = "containers"

var legacyPlans = []string{"KubernetesService", "ContainerRegistry"}

// plan takes a Defender plan in; those of other resources are passed over.
func (b *Builder) plan(scope string, n node) error {
	id := n.at("id").id()
	at := scope
	if i := strings.Index(id, "/providers/microsoft.security/pricings/"); i > 0 {
		at = id[:i]
	}
	name := strings.ToLower(nameOf(n, id))
	if name == "" {
		return errNoID
	}
	if name != planName && name != "kubernetesservice" && name != "containerregistry" {
		return nil
	}
	if at == "" {
		return errors.New("id: want /subscriptions/…/providers/Microsoft.Security/pricings/…")
	}
	tier := n.prop("pricingTier")
	p := cloud.Plan{
		Standard: strings.EqualFold(tier.text(), "Standard"), Inherited: n.prop("inherited").is(),
		InheritedFrom: n.prop("inheritedFrom").id(), Since: n.prop("enablementTime").time(),
		TrialSeconds: n.prop("freeTrialRemainingTime").span(),
	}
	if !p.Standard && !strings.EqualFold(tier.text(), "Free") {
		return errors.New("pricingTier: want Free or Standard, got " + clip(tier.text(), 40))
	}
	for _, e := range n.prop("extensions").items() {
		x := cloud.Extension{Name: e.at("name").text(), Enabled: e.at("isEnabled").is(), More: e.at("additionalExtensionProperties").texts()}
		if x.State = e.at("operationStatus", "code").text(); x.Name == "" {
			e.odd("a name")
			continue
		}
		p.Extensions = append(p.Extensions, x)
	}
	return keepIn(b.plans, at, name, p)
}

// joinPlan gives the plan that holds: today's, else one by an older name.
func joinPlan(plans map[string]cloud.Plan) *cloud.Plan {
	p, ok := plans[planName]
	if ok && p.Standard {
		return &p
	}
	for _, name := range legacyPlans {
		if old := plans[strings.ToLower(name)]; old.Standard {
			if old.Legacy = name; p.Legacy != "" {
				old.Legacy = p.Legacy + ", " + name
			}
			p, ok = old, true
		}
	}
	if !ok && len(plans) == 0 {
		return nil
	}
	return &p
}

func (b *Builder) alert(_ string, n node) error {
	id := n.at("id").id()
	if id == "" {
		return errNoID
	}
	a := cloud.DefenderAlert{
		ID: id, Type: n.prop("alertType").text(), Title: n.prop("alertDisplayName").text(), Text: n.prop("description").text(),
		Severity: n.prop("severity").text(), Status: n.prop("status").text(), Start: n.prop("startTimeUtc").time(), End: n.prop("endTimeUtc").time(),
		Generated: n.prop("timeGeneratedUtc").time(), Intent: n.prop("intent").text(), Techniques: n.prop("techniques").strings(),
		Link: n.prop("alertUri").text(), Properties: n.prop("extendedProperties").texts(),
	}
	if a.Type == "" {
		return errors.New("alertType: missing")
	}
	if !strings.HasPrefix(a.Link, "https://") {
		a.Link = ""
	}
	for _, r := range n.prop("resourceIdentifiers").items() {
		if s := r.at("azureResourceId").id(); s != "" {
			a.Resource = s
			break
		}
	}
	entities(n.prop("entities"), &a)
	fallBack(&a)
	return keep(b.alerts, id, a)
}

// entities reads where an alert happened. Entities refer to each other by
// {"$ref": id}, or hold each other.
func entities(list node, a *cloud.DefenderAlert) {
	items := list.items()
	if len(items) > 500 {
		items = items[:500]
	}
	byID := map[string]node{}
	for _, e := range items {
		if id := e.at("$id").text(); id != "" {
			byID[id] = e
		}
	}
	follow := func(n node) node {
		if ref := n.at("$ref").text(); ref != "" {
			return byID[ref].orEmpty(n)
		}
		return n
	}
	set := func(to *string, v string) {
		if *to == "" {
			*to = v
		}
	}
	for _, e := range items {
		switch strings.ToLower(e.at("type").text()) {
		case "k8s-namespace":
			set(&a.Namespace, e.at("name").text())
		case "k8s-pod":
			set(&a.Pod, e.at("name").text())
			set(&a.Namespace, follow(e.at("namespace")).at("name").text())
		case "container":
			set(&a.Container, e.at("name").text())
			set(&a.Image, follow(e.at("image")).at("imageId").text())
			set(&a.Pod, follow(e.at("pod")).at("name").text())
		case "container-image":
			set(&a.Image, e.at("imageId").text())
		case "k8s-service-account", "account", "k8s-user":
			set(&a.Identity, e.at("name").text())
		case "process":
			set(&a.Process, e.at("commandLine").text())
		case "azure-resource", "k8s-cluster":
			r := e.at("resourceId")
			if !r.there() {
				r = follow(e.at("cloudResource")).at("resourceId")
			}
			set(&a.Resource, r.id())
		}
	}
}

// orEmpty is the node, or one that is not there, in the document of other.
func (n node) orEmpty(other node) node {
	if n.doc == nil {
		return node{path: other.path, doc: other.doc}
	}
	return n
}

// fallBack fills what entities did not tell from the extended properties, whose keys
// differ from alert to alert.
func fallBack(a *cloud.DefenderAlert) {
	get := func(to *string, keys ...string) {
		for _, k := range keys {
			if *to != "" {
				return
			}
			for p, v := range a.Properties {
				if strings.EqualFold(p, k) {
					*to = max(*to, v)
				}
			}
		}
	}
	get(&a.Namespace, "Namespace", "Pod namespace")
	get(&a.Pod, "Pod name", "Pod")
	get(&a.Container, "Container name", "Container")
	get(&a.Image, "Image", "Image name", "Container image")
	get(&a.Identity, "Service account", "Username", "User")
	get(&a.Process, "Command line", "Commandline", "Suspicious process")
}

func (b *Builder) assessment(_ string, n node) error {
	id := n.at("id").id()
	if id == "" {
		return errNoID
	}
	d, s := n.prop("resourceDetails"), n.prop("status")
	a := cloud.Assessment{
		ID: id, Key: strings.ToLower(nameOf(n, id)), Title: n.prop("displayName").text(), Resource: d.at("id").id(),
		Status: s.at("code").text(), Cause: s.at("cause").text(), Severity: n.prop("metadata", "severity").text(),
		Policy: n.prop("metadata", "policyDefinitionId").id(), First: s.at("firstEvaluationDate").time(), Changed: s.at("statusChangeDate").time(),
	}
	if a.Resource == "" {
		a.Resource = d.at("resourceId").id()
	}
	if a.Resource == "" {
		a.Resource = parentOf(id)
	}
	if a.Status == "" {
		return errors.New("status.code: missing")
	}
	return keep(b.assessments, id, a)
}

func (b *Builder) suppression(_ string, n node) error {
	id := n.at("id").id()
	if id == "" {
		return errNoID
	}
	var scope []cloud.SuppressionScope
	for _, c := range n.prop("suppressionAlertsScope", "allOf").items() {
		scope = append(scope, cloud.SuppressionScope{Field: c.at("field").text(), In: c.at("in").strings(), Contains: c.at("contains").text()})
	}
	return keep(b.rules, id, cloud.Suppression{
		Scope: scope,
		ID:    id, Type: n.prop("alertType").text(), Reason: n.prop("reason").text(), State: n.prop("state").text(),
		Expires: n.prop("expirationDateUtc").time(), Text: n.prop("comment").text(),
	})
}
