package azure

import (
	"errors"
	"strings"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

func (b *Builder) definition(_ string, n node) error {
	id := n.at("id").id()
	if id == "" {
		return errNoID
	}
	d := cloud.Definition{ID: id, Name: nameOf(n, id), Title: n.prop("displayName").text(), Set: strings.Contains(id, "/policysetdefinitions/"), Inside: strings.EqualFold(n.prop("mode").text(), "Microsoft.Kubernetes.Data")}
	for _, m := range n.prop("policyDefinitions").items() {
		if s := m.at("policyDefinitionId").id(); s != "" {
			d.Members = append(d.Members, s)
		}
	}
	return keep(b.definitions, id, d)
}

func (b *Builder) assignment(_ string, n node) error {
	id := n.at("id").id()
	if id == "" {
		return errNoID
	}
	a := cloud.Assignment{
		ID: id, Name: nameOf(n, id), Title: n.prop("displayName").text(), Scope: n.prop("scope").id(), Definition: n.prop("policyDefinitionId").id(),
		Enforced: !strings.EqualFold(n.prop("enforcementMode").text(), "DoNotEnforce"),
	}
	for _, s := range n.prop("notScopes").strings() {
		a.NotScopes = append(a.NotScopes, armID(s))
	}
	if kind := n.at("identity", "type").text(); kind != "" && !strings.EqualFold(kind, "None") {
		a.HasIdentity = true
	}
	if a.Scope == "" {
		a.Scope = parentOf(id)
	}
	if a.Definition == "" {
		return errors.New("policyDefinitionId: missing")
	}
	return keep(b.assignments, id, a)
}

func (b *Builder) exemption(_ string, n node) error {
	id := n.at("id").id()
	if id == "" {
		return errNoID
	}
	e := cloud.Exemption{
		ID: id, Title: n.prop("displayName").text(), Scope: parentOf(id), Assignment: n.prop("policyAssignmentId").id(),
		References: n.prop("policyDefinitionReferenceIds").strings(), Category: n.prop("exemptionCategory").text(), Expires: n.prop("expiresOn").time(),
		Created: n.at("systemData", "createdAt").time(), By: n.at("systemData", "createdBy").text(), Why: n.prop("description").text(),
	}
	if e.Assignment == "" {
		return errors.New("policyAssignmentId: missing")
	}
	return keep(b.exemptions, id, e)
}

// denies reports whether a verdict is of a policy that denies.
func denies(n node) bool { return strings.EqualFold(n.prop("policyDefinitionAction").text(), "deny") }

// state takes one verdict of Azure Policy in; of several of one resource and policy the
// newest is kept.
func (b *Builder) state(_ string, n node) error {
	s := cloud.PolicyState{
		Resource: n.prop("resourceId").id(), Assignment: n.prop("policyAssignmentId").id(), Definition: n.prop("policyDefinitionId").id(),
		Reference: n.prop("policyDefinitionReferenceId").text(), State: n.prop("complianceState").text(), Action: strings.ToLower(n.prop("policyDefinitionAction").text()), At: n.prop("timestamp").time(),
	}
	if s.Resource == "" || s.Definition == "" || s.State == "" {
		return errors.New("resourceId, policyDefinitionId or complianceState: missing")
	}
	key := s.Resource + "|" + s.Assignment + "|" + s.Definition + "|" + s.Reference
	if old, ok := b.states[key]; ok && old.At != s.At {
		if s.At > old.At {
			b.states[key] = s
		}
		return nil
	}
	return keep(b.states, key, s)
}

// ownerRole is the id of the built-in role Owner, the same everywhere.
const ownerRole = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"

// role takes an assignment of Owner in; other roles are passed over.
func (b *Builder) role(_ string, n node) error {
	id := n.at("id").id()
	if id == "" {
		return errNoID
	}
	def := n.prop("roleDefinitionId").id()
	if def == "" {
		return errors.New("roleDefinitionId: missing")
	}
	if !strings.HasSuffix(def, "/"+ownerRole) {
		return nil
	}
	r := cloud.RoleHolder{
		Scope: n.prop("scope").id(), Role: "Owner", Principal: n.prop("principalId").text(),
		Kind: n.prop("principalType").text(), Name: n.prop("principalName").text(),
	}
	if r.Scope == "" {
		r.Scope = parentOf(id)
	}
	return keep(b.roles, id, r)
}

// event takes an event of the Activity Log in. Its bodies of requests and answers are not
// kept: they can hold more than anybody should store.
func (b *Builder) event(scope string, n node) error {
	id := n.at("eventDataId").text()
	if id == "" {
		return errors.New("eventDataId: missing")
	}
	claims := n.at("claims")
	a := cloud.Activity{
		ID: id, At: n.at("eventTimestamp").time(), Resource: n.at("resourceId").id(), Operation: n.at("operationName").text(),
		Status: n.at("status").text(), SubStatus: n.at("subStatus").text(), Category: n.at("category").text(), Caller: n.at("caller").text(),
		ObjectID: claims.at(objectClaim).text(), AppID: claims.at("appid").text(), IdentityID: claims.at("xms_mirid").id(),
		Address: n.at("httpRequest", "clientIpAddress").text(), Correlation: n.at("correlationId").text(), Properties: n.at("properties").texts(),
	}
	if a.ObjectID == "" {
		a.ObjectID = claims.at("oid").text()
	}
	if a.Address == "" {
		a.Address = claims.at("ipaddr").text()
	}
	for k := range a.Properties {
		if isBody(k) {
			delete(a.Properties, k)
		}
	}
	for k, v := range asked(n.at("properties")) {
		a.Properties[k] = v
	}
	if a.Subscription = subscriptionOf(a.Resource); a.Subscription == "" {
		if s := strings.ToLower(n.at("subscriptionId").text()); isGUID(s) {
			a.Subscription = "/subscriptions/" + s
		} else {
			a.Subscription = subscriptionOf(scope)
		}
	}
	if a.At == 0 {
		return errors.New("eventTimestamp: missing")
	}
	return keep(b.activity, id, a)
}

const objectClaim = "http://schemas.microsoft.com/identity/claims/objectidentifier"

// isBody names the properties of an event that hold what was sent or answered.
func isBody(key string) bool {
	return strings.EqualFold(key, "requestbody") || strings.EqualFold(key, "responseBody")
}
