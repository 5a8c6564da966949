package tenant

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Addresses from which the company works, and from which thieves do: of the blocks that
// are reserved for documentation.
const (
	officeFrom = "203.0.113.24"
	stolenFrom = "198.51.100.77"
)

// act is one event of the Activity Log, in short.
type act struct {
	At        time.Time
	Resource  string
	Operation string
	Status    string
	Sub       string
	Caller    string
	Object    string
	App       string
	Identity  string
	Address   string
	Props     doc
}

// appPipeline is the application that deploys.
const pipelineName = "deploy-pipeline"

func (w *World) actsOf(s *subscription) (out []act) {
	pipeline := w.guidOf("app", pipelineName)
	for _, c := range s.clusters {
		if c.Arc {
			continue
		}
		r := w.rng("activity|"+c.Name, 0)
		kind := "Microsoft.ContainerService/managedClusters"
		work := func(day int) time.Time { // in office hours
			return w.day(day).Add(time.Duration(8+r.IntN(9))*time.Hour + time.Duration(r.IntN(3600))*time.Second)
		}
		for range 1 + r.IntN(3) {
			p := one(r, c.Pools)
			out = append(out, act{At: work(1 + r.IntN(29)), Resource: c.path() + "/agentPools/" + p.Name, Operation: kind + "/agentPools/write", Status: "Succeeded", Caller: pipeline, Object: w.guidOf("app-object", pipelineName), App: pipeline, Address: officeFrom})
		}
		for range r.IntN(3) {
			out = append(out, act{At: work(1 + r.IntN(29)), Resource: c.path(), Operation: kind + "/listClusterUserCredential/action", Status: "Succeeded", Caller: c.Owner.Mail, Object: c.Owner.Object, Address: officeFrom})
		}
		if chance(r, 15) {
			out = append(out, act{At: work(1 + r.IntN(29)), Resource: c.path(), Operation: kind + "/listClusterAdminCredential/action", Status: "Succeeded", Caller: c.Owner.Mail, Object: c.Owner.Object, Address: officeFrom})
		}
		if chance(r, 10) {
			out = append(out, act{At: work(1 + r.IntN(29)), Resource: c.path(), Operation: kind + "/write", Status: "Failed", Sub: "BadRequest", Caller: pipeline, App: pipeline, Object: w.guidOf("app-object", pipelineName), Address: officeFrom,
				Props: doc{"statusCode": "BadRequest", "statusMessage": "{\"error\":{\"code\":\"QuotaExceeded\",\"message\":\"cores\"}}"}})
		}
		// What add-ons do of themselves all day.
		if slices.Contains(c.Uses, "azurepolicy") {
			out = append(out, act{At: work(1 + r.IntN(7)), Resource: c.path(), Operation: "Microsoft.PolicyInsights/policyStates/read", Status: "Succeeded", Caller: c.identity["azurepolicy"][1], Object: c.identity["azurepolicy"][1],
				App: c.identity["azurepolicy"][0], Identity: c.identityPath("azurepolicy"), Address: "20.50.1." + fmt.Sprint(c.i%250)})
		}
		out = append(out, act{At: work(1 + r.IntN(7)), Resource: c.sub.path() + "/resourceGroups/" + c.nodeGroup() + "/providers/Microsoft.Network/loadBalancers/kubernetes", Operation: "Microsoft.Network/loadBalancers/write", Status: "Succeeded",
			Caller: c.identity["cluster"][1], Object: c.identity["cluster"][1], App: c.identity["cluster"][0], Address: "20.50.2." + fmt.Sprint(c.i%250)})
		out = append(out, w.storyActs(c)...)
	}
	slices.SortStableFunc(out, func(a, b act) int { return b.At.Compare(a.At) }) // newest first, as Azure gives them
	return out
}

func (w *World) storyActs(c *cluster) (out []act) {
	kind := "Microsoft.ContainerService/managedClusters"
	switch c.Story {
	case "miner":
		thief := person{Mail: "svc.backup@" + Domain, Object: w.guidOf("person", "svc.backup")}
		night := w.day(3).Add(2*time.Hour + 17*time.Minute)
		pool := c.path() + "/agentPools/gpuburst"
		out = append(out,
			act{At: night.Add(-9 * time.Minute), Resource: c.path(), Operation: kind + "/listClusterAdminCredential/action", Status: "Succeeded", Caller: thief.Mail, Object: thief.Object, Address: stolenFrom},
			act{At: night, Resource: pool, Operation: kind + "/agentPools/write", Status: "Accepted", Sub: "Created", Caller: thief.Mail, Object: thief.Object, Address: stolenFrom,
				Props: doc{"statusCode": "Created", "requestbody": `{"properties":{"count":6,"vmSize":"Standard_NC24ads_A100_v4","scaleSetPriority":"Spot","mode":"User"}}`}},
			act{At: night.Add(6 * time.Minute), Resource: pool, Operation: kind + "/agentPools/write", Status: "Succeeded", Caller: thief.Mail, Object: thief.Object, Address: stolenFrom})
	case "stolen-identity":
		at := w.day(5).Add(22*time.Hour + 41*time.Minute)
		id, path := c.identity["omsagent"], c.identityPath("omsagent")
		steal := func(after time.Duration, resource, op, status string) {
			out = append(out, act{At: at.Add(after), Resource: resource, Operation: op, Status: status, Caller: id[1], Object: id[1], App: id[0], Identity: path, Address: stolenFrom})
		}
		shared := c.sub.path() + "/resourceGroups/rg-observability/providers/"
		steal(0, c.sub.path(), "Microsoft.Authorization/roleAssignments/read", "Failed")
		steal(2*time.Minute, shared+"Microsoft.Storage/storageAccounts/st"+strings.ReplaceAll(c.sub.GUID[:13], "-", ""), "Microsoft.Storage/storageAccounts/listKeys/action", "Succeeded")
		steal(11*time.Minute, c.sub.path()+"/resourceGroups/"+c.nodeGroup()+"/providers/Microsoft.Compute/virtualMachines/jump01", "Microsoft.Compute/virtualMachines/write", "Failed")
		k := c.identity["kubelet"]
		out = append(out, act{At: at.Add(19 * time.Minute), Resource: c.sub.path() + "/resourceGroups/" + c.nodeGroup() + "/providers/Microsoft.Compute/virtualMachines/jump01", Operation: "Microsoft.Compute/virtualMachines/write", Status: "Succeeded",
			Caller: k[1], Object: k[1], App: k[0], Identity: c.identityPath("kubelet"), Address: stolenFrom})
	case "lost-profile":
		out = append(out, act{At: w.day(1).Add(9 * time.Hour), Resource: c.path(), Operation: kind + "/write", Status: "Succeeded", Caller: c.Owner.Mail, Object: c.Owner.Object, Address: officeFrom,
			Props: doc{"requestbody": `{"properties":{"securityProfile":{"defender":{"securityMonitoring":{"enabled":false}}}}}`}})
	}
	return out
}

func localized(s string) doc { return doc{"value": s, "localizedValue": s} }

func (w *World) activityDocs(s *subscription, out emit) error {
	for i, a := range w.actsOf(s) {
		id := w.guidOf("event", s.GUID, fmt.Sprint(i), a.Operation)
		correlation := w.guidOf("correlation", s.GUID, a.Resource, a.Operation, a.At.Truncate(time.Hour).String())
		provider := strings.SplitN(a.Operation, "/", 2)[0]
		group := ""
		if parts := strings.Split(a.Resource, "/"); len(parts) > 4 {
			group = parts[4]
		}
		claims := doc{"aud": "https://management.core.windows.net/", "iss": "https://sts.windows.net/" + w.tenant + "/", "http://schemas.microsoft.com/identity/claims/objectidentifier": a.Object}
		if a.App != "" {
			claims["appid"], claims["idtyp"] = a.App, "app"
		} else {
			claims["http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"], claims["appid"] = a.Caller, "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
		}
		if a.Identity != "" {
			claims["xms_mirid"] = a.Identity
		}
		if a.Address != "" {
			claims["ipaddr"] = a.Address
		}
		props := a.Props
		if props == nil {
			props = doc{"statusCode": "OK", "serviceRequestId": nil, "eventCategory": "Administrative"}
		}
		if err := out(doc{"id": a.Resource + "/events/" + id + "/ticks/" + fmt.Sprint(a.At.Unix()*10_000_000+621_355_968_000_000_000), "eventDataId": id, "operationId": correlation, "correlationId": correlation,
			"resourceId": a.Resource, "resourceGroupName": group, "resourceProviderName": localized(provider), "resourceType": localized(resourceType(a.Operation)), "operationName": localized(a.Operation), "status": localized(a.Status), "subStatus": localized(a.Sub),
			"category": localized("Administrative"), "eventName": localized("EndRequest"), "level": "Informational", "channels": "Operation", "caller": a.Caller, "eventTimestamp": micro(a.At), "submissionTimestamp": micro(a.At.Add(95 * time.Second)),
			"subscriptionId": s.GUID, "tenantId": w.tenant, "claims": claims, "authorization": doc{"action": a.Operation, "scope": a.Resource}, "httpRequest": doc{"clientRequestId": correlation, "clientIpAddress": a.Address, "method": "PUT"}, "properties": props}); err != nil {
			return err
		}
	}
	return nil
}

// resourceType is an operation without its verb.
func resourceType(op string) string {
	op = strings.TrimSuffix(op, "/action")
	if i := strings.LastIndexByte(op, '/'); i > 0 {
		return op[:i]
	}
	return op
}
