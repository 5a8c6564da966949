package arm

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/dockreeve/dockreeve/demo/tenant"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// lists are the lists below a subscription, by path.
var lists = map[string]string{
	"/resourcegroups": cloud.ReadResourceGroups,
	"/providers/microsoft.containerservice/managedclusters":                cloud.ReadClusters,
	"/providers/microsoft.kubernetes/connectedclusters":                    cloud.ReadArc,
	"/providers/microsoft.containerregistry/registries":                    cloud.ReadRegistries,
	"/providers/microsoft.security/pricings":                               cloud.ReadPlan,
	"/providers/microsoft.authorization/policyassignments":                 cloud.ReadAssignments,
	"/providers/microsoft.authorization/policyexemptions":                  cloud.ReadExemptions,
	"/providers/microsoft.policyinsights/policystates/latest/queryresults": cloud.ReadStates,
	"/providers/microsoft.authorization/roleassignments":                   cloud.ReadRoles,
	"/providers/microsoft.consumption/budgets":                             cloud.ReadBudgets,
	"/providers/microsoft.costmanagement/alerts":                           cloud.ReadCostAlerts,
	"/providers/microsoft.security/alerts":                                 cloud.ReadAlerts,
	"/providers/microsoft.security/assessments":                            cloud.ReadAssessments,
	"/providers/microsoft.security/alertssuppressionrules":                 cloud.ReadSuppressions,
	"/providers/microsoft.insights/eventtypes/management/values":           cloud.ReadActivity,
	"/providers/microsoft.compute/skus":                                    cloud.ReadSizes,
	"/resources":                                                           cloud.ReadOthers,
}

// ofClusters are the reads below a cluster.
var ofClusters = map[string]string{
	"/providers/microsoft.insights/diagnosticsettings":        cloud.ReadDiagnostics,
	"/providers/microsoft.kubernetesconfiguration/extensions": cloud.ReadExtensions,
	"/providers/microsoft.security/pricings/containers":       cloud.ReadClusterPlan,
}

// groupOf is the beginning of a management group's path.
const groupOf = "/providers/microsoft.management/managementgroups"

// route finds who answers a path.
func (s *Server) route(c *call) {
	post := c.r.Method == http.MethodPost
	if !post && c.r.Method != http.MethodGet {
		c.fail(http.StatusMethodNotAllowed, "HttpMethodNotAllowed", "The method '"+c.r.Method+"' is not allowed: this tenant is only read.")
		return
	}
	switch {
	case c.path == "/api/retail/prices":
		s.prices(c)
	case c.path == "/providers/microsoft.resourcegraph/resources" && post:
		s.graph(c)
	case c.path == "/providers/microsoft.management/getentities" && post:
		s.page(c, func(out func(json.RawMessage) error) error {
			return s.o.World.Whole(tenant.Ask{What: cloud.ReadGroups}, out)
		})
	case strings.Contains(c.path, "/providers/microsoft.authorization/policydefinitions/") || strings.Contains(c.path, "/providers/microsoft.authorization/policysetdefinitions/"):
		s.single(c, tenant.Ask{What: cloud.ReadDefinitions}, c.path)
	case strings.HasPrefix(c.path, groupOf):
		s.groups(c)
	case c.path == "/subscriptions":
		s.page(c, func(out func(json.RawMessage) error) error {
			return s.o.World.Whole(tenant.Ask{What: cloud.ReadSubscriptions}, out)
		})
	case strings.HasPrefix(c.path, "/subscriptions/"):
		s.below(c, post)
	default:
		c.fail(http.StatusNotFound, "InvalidResourceType", "The resource type could not be found for this path.")
	}
}

// below answers for what is in a subscription.
func (s *Server) below(c *call, post bool) {
	sub := c.path
	if i := strings.IndexByte(sub[len("/subscriptions/"):], '/'); i >= 0 {
		sub = sub[:len("/subscriptions/")+i]
	}
	rest := c.path[len(sub):]
	known := false
	for _, id := range s.o.World.Subscriptions() {
		known = known || id == sub
	}
	if !known {
		c.fail(http.StatusNotFound, "SubscriptionNotFound", "The subscription '"+strings.TrimPrefix(sub, "/subscriptions/")+"' could not be found.")
		return
	}
	if rest == "" {
		s.single(c, tenant.Ask{What: cloud.ReadSubscriptions}, sub)
		return
	}
	if rest == "/providers/microsoft.costmanagement/query" && post {
		s.costs(c, sub)
		return
	}
	if what, ok := lists[rest]; ok {
		if post != (what == cloud.ReadStates) {
			c.fail(http.StatusMethodNotAllowed, "HttpMethodNotAllowed", "The method '"+c.r.Method+"' is not allowed here.")
			return
		}
		ask := tenant.Ask{What: what, Scope: sub}
		if what == cloud.ReadSizes {
			ask.Scope = ""
		}
		s.page(c, func(out func(json.RawMessage) error) error { return s.o.World.Whole(ask, out) })
		return
	}
	if name, ok := strings.CutPrefix(rest, "/providers/microsoft.security/pricings/"); ok {
		s.single(c, tenant.Ask{What: cloud.ReadPlan, Scope: sub}, sub+"/providers/microsoft.security/pricings/"+name)
		return
	}
	for suffix, what := range ofClusters {
		id, ok := strings.CutSuffix(c.path, suffix)
		if !ok {
			continue
		}
		ask := tenant.Ask{What: what, Scope: id}
		if what == cloud.ReadClusterPlan {
			s.single(c, ask, c.path)
			return
		}
		s.page(c, func(out func(json.RawMessage) error) error { return s.o.World.Whole(ask, out) })
		return
	}
	for _, what := range []string{cloud.ReadClusters, cloud.ReadArc, cloud.ReadRegistries, cloud.ReadResourceGroups} {
		if d := s.find(tenant.Ask{What: what, Scope: sub}, c.path); d != nil {
			c.answer(http.StatusOK, d)
			return
		}
	}
	c.fail(http.StatusNotFound, "ResourceNotFound", "The resource under '"+sub+"' was not found.")
}

// idOf is a document's id in lower case.
func idOf(d json.RawMessage) string {
	var x struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(d, &x) != nil {
		return ""
	}
	return strings.ToLower(x.ID)
}

// find gives the document of an id among those of a read; nil = there is none.
func (s *Server) find(ask tenant.Ask, id string) (found json.RawMessage) {
	_ = s.o.World.Whole(ask, func(d json.RawMessage) error { // an error means: no such thing
		if idOf(d) == id {
			found = d
		}
		return nil
	})
	return found
}

// single answers with one document.
func (s *Server) single(c *call, ask tenant.Ask, id string) {
	if d := s.find(ask, id); d != nil {
		c.answer(http.StatusOK, d)
		return
	}
	c.fail(http.StatusNotFound, "ResourceNotFound", "The resource '"+id+"' was not found.")
}

// keep holds a whole list between the calls for its pages, the newest few.
func (s *Server) keep(key string, fill func() ([]json.RawMessage, error)) ([]json.RawMessage, error) {
	s.mu.Lock()
	have, ok := s.kept[key]
	s.mu.Unlock()
	if ok {
		return have, nil
	}
	list, err := fill()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.kept[key]; !ok {
		if len(s.order) == maxKept {
			delete(s.kept, s.order[0])
			s.order = s.order[1:]
		}
		s.kept[key], s.order = list, append(s.order, key)
	}
	return list, nil
}

// fields reads what a $filter may name in a document, at its top and in its properties.
func fields(d json.RawMessage) func(string) string {
	var doc map[string]any
	_ = json.Unmarshal(d, &doc) // it was made here
	return func(name string) string {
		switch strings.ToLower(name) {
		case "location":
			if l, ok := doc["locations"].([]any); ok && len(l) > 0 {
				return text(l[0])
			}
		case "pricetype":
			return text(doc["type"])
		case "resourceuri":
			return text(doc["resourceId"])
		}
		var v any = doc
		for _, part := range strings.Split(name, "/") {
			v = member(v, part)
		}
		return text(v)
	}
}

// member finds a key of an object, in any case.
func member(v any, key string) any {
	m, _ := v.(map[string]any)
	if x, ok := m[key]; ok {
		return x
	}
	for k, x := range m {
		if strings.EqualFold(k, key) {
			return x
		}
	}
	return nil
}

// text is a word of JSON; of ARM's localised words the value.
func text(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case map[string]any:
		return text(x["value"])
	case bool:
		return strconv.FormatBool(x)
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return ""
}

// listOf makes the whole list that a call asks for, as its $filter leaves it.
func (s *Server) listOf(c *call, each func(func(json.RawMessage) error) error) ([]json.RawMessage, error, bool) {
	f, err := parseFilter(c.r.URL.Query().Get("$filter"))
	if err != nil {
		return nil, err, true
	}
	q := c.r.URL.Query()
	list, err := s.keep(c.path+"?"+q.Get("$filter")+"&"+q.Get("currencyCode"), func() ([]json.RawMessage, error) {
		list := []json.RawMessage{}
		err := each(func(d json.RawMessage) error {
			if f(fields(d)) {
				list = append(list, d)
			}
			return nil
		})
		return list, err
	})
	return list, err, false
}

// page answers with a page of a list.
func (s *Server) page(c *call, each func(func(json.RawMessage) error) error) {
	list, err, asked := s.listOf(c, each)
	if asked {
		c.fail(http.StatusBadRequest, "BadRequest", "Invalid $filter: "+err.Error())
		return
	}
	if err != nil {
		c.fail(http.StatusNotFound, "ResourceNotFound", "The resource was not found: "+err.Error())
		return
	}
	from, ok := offset(c.r.URL.Query().Get("$skiptoken"), len(list))
	if !ok {
		c.fail(http.StatusBadRequest, "InvalidSkipToken", "The skip token is not valid.")
		return
	}
	to := min(from+s.o.PageSize, len(list))
	out := map[string]any{"value": list[from:to]}
	link := "nextLink"
	if strings.Contains(c.path, "/policystates/") {
		out["@odata.context"], out["@odata.count"], link = c.here()+c.path+"/$metadata#latest", len(list), "@odata.nextLink"
	}
	if to < len(list) {
		out[link] = c.next("$skiptoken", "s"+strconv.Itoa(to))
	}
	c.answer(http.StatusOK, out)
}

// offset reads a skip token.
func offset(token string, n int) (int, bool) {
	if token == "" {
		return 0, true
	}
	i, err := strconv.Atoi(strings.TrimPrefix(token, "s"))
	return i, err == nil && token[0] == 's' && i >= 0 && i <= n
}

// groups answers for management groups: all, one, or what is below one.
func (s *Server) groups(c *call) {
	all := func(keep func(kind, id string, d map[string]any) map[string]any) func(func(json.RawMessage) error) error {
		return func(out func(json.RawMessage) error) error {
			return s.o.World.Whole(tenant.Ask{What: cloud.ReadGroups}, func(raw json.RawMessage) error {
				var d map[string]any
				if err := json.Unmarshal(raw, &d); err != nil {
					return err
				}
				made := keep(text(d["type"]), strings.ToLower(text(d["id"])), d)
				if made == nil {
					return nil
				}
				b, err := json.Marshal(made)
				if err != nil {
					return err
				}
				return out(b)
			})
		}
	}
	short := func(d map[string]any) map[string]any {
		return map[string]any{"id": d["id"], "type": d["type"], "name": d["name"], "properties": map[string]any{"tenantId": s.o.World.TenantID(), "displayName": member(d["properties"], "displayName")}}
	}
	rest := strings.TrimPrefix(strings.TrimPrefix(c.path, groupOf), "/")
	name, below, _ := strings.Cut(rest, "/")
	switch {
	case name == "":
		s.page(c, all(func(kind, _ string, d map[string]any) map[string]any {
			if strings.HasSuffix(kind, "/managementGroups") {
				return short(d)
			}
			return nil
		}))
	case below == "descendants":
		s.page(c, all(func(kind, id string, d map[string]any) map[string]any {
			chain, _ := member(d["properties"], "parentNameChain").([]any)
			for _, up := range chain {
				if strings.EqualFold(text(up), name) {
					if kind == "/subscriptions" {
						kind = "Microsoft.Management/managementGroups/subscriptions"
					}
					return map[string]any{"id": d["id"], "type": kind, "name": d["name"], "properties": map[string]any{"displayName": member(d["properties"], "displayName"), "parent": member(d["properties"], "parent")}}
				}
			}
			return nil
		}))
	case below == "":
		if d := s.find(tenant.Ask{What: cloud.ReadGroups}, groupOf+"/"+name); d != nil {
			var doc map[string]any
			if json.Unmarshal(d, &doc) == nil {
				one := short(doc)
				one["properties"].(map[string]any)["details"] = map[string]any{"parent": member(doc["properties"], "parent")}
				c.answer(http.StatusOK, one)
				return
			}
		}
		c.fail(http.StatusNotFound, "NotFound", "The management group '"+name+"' was not found.")
	default:
		c.fail(http.StatusNotFound, "InvalidResourceType", "The resource type could not be found for this path.")
	}
}
