package arm

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/dockreeve/dockreeve/demo/tenant"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// tables are Resource Graph's, and what of a subscription each is made of; hidden are the
// list whose faults keep rows out of it.
var tables = map[string][]struct{ what, path string }{
	"resources": {{cloud.ReadClusters, "/providers/microsoft.containerservice/managedclusters"}, {cloud.ReadArc, "/providers/microsoft.kubernetes/connectedclusters"},
		{cloud.ReadRegistries, "/providers/microsoft.containerregistry/registries"}, {cloud.ReadOthers, "/resources"}},
	"resourcecontainers": {{cloud.ReadResourceGroups, "/resourcegroups"}},
	"securityresources":  {{cloud.ReadPlan, "/providers/microsoft.security/pricings"}, {cloud.ReadAssessments, "/providers/microsoft.security/assessments"}, {cloud.ReadAlerts, "/providers/microsoft.security/alerts"}},
	"policyresources": {{cloud.ReadAssignments, "/providers/microsoft.authorization/policyassignments"}, {cloud.ReadExemptions, "/providers/microsoft.authorization/policyexemptions"},
		{cloud.ReadStates, "/providers/microsoft.policyinsights/policystates/latest/queryresults"}},
}

// typesOf says which reads a type comes from, so that a query for it makes no others.
var typesOf = map[string]string{
	"microsoft.containerservice/managedclusters": cloud.ReadClusters, "microsoft.kubernetes/connectedclusters": cloud.ReadArc, "microsoft.containerregistry/registries": cloud.ReadRegistries,
	"microsoft.resources/subscriptions/resourcegroups": cloud.ReadResourceGroups, "microsoft.resources/subscriptions": cloud.ReadSubscriptions, "microsoft.management/managementgroups": cloud.ReadGroups,
	"microsoft.security/pricings": cloud.ReadPlan, "microsoft.security/assessments": cloud.ReadAssessments, "microsoft.security/locations/alerts": cloud.ReadAlerts,
	"microsoft.authorization/policyassignments": cloud.ReadAssignments, "microsoft.authorization/policyexemptions": cloud.ReadExemptions, "microsoft.policyinsights/policystates": cloud.ReadStates,
}

// graph answers a query of Resource Graph: a table, then where, project, order by, limit
// and summarize count() by, as far as collections use them.
func (s *Server) graph(c *call) {
	var in struct {
		Subscriptions    []string `json:"subscriptions"`
		ManagementGroups []string `json:"managementGroups"`
		Query            string   `json:"query"`
		Options          struct {
			SkipToken    string `json:"$skipToken"`
			Top          int    `json:"$top"`
			ResultFormat string `json:"resultFormat"`
		} `json:"options"`
	}
	bad := func(text string) {
		c.answer(http.StatusBadRequest, map[string]any{"error": map[string]any{"code": "BadRequest", "message": "Please provide below info when asking for support: the query could not be run.",
			"details": []any{map[string]any{"code": "InvalidQuery", "message": text}}}})
	}
	if err := json.Unmarshal(c.body, &in); err != nil {
		bad("the body is no query: " + err.Error())
		return
	}
	if f := in.Options.ResultFormat; f != "" && f != "objectArray" {
		bad("result format " + f + " is not served here")
		return
	}
	q, err := parseQuery(in.Query)
	if err != nil {
		bad(err.Error())
		return
	}
	subs := in.Subscriptions
	if len(subs) == 0 {
		for _, id := range s.o.World.Subscriptions() {
			subs = append(subs, strings.TrimPrefix(id, "/subscriptions/"))
		}
	}
	if len(subs) > 1000 {
		bad("at most 1000 subscriptions may be named")
		return
	}
	list, err := s.keep("graph\n"+in.Query+"\n"+strings.Join(subs, ","), func() ([]json.RawMessage, error) { return s.rows(q, subs) })
	if err != nil {
		c.fail(http.StatusInternalServerError, "InternalServerError", err.Error())
		return
	}
	from, ok := offset(in.Options.SkipToken, len(list))
	if !ok {
		bad("the skip token is not valid")
		return
	}
	rows := s.o.GraphRows
	if in.Options.Top > 0 {
		rows = min(rows, in.Options.Top)
	}
	to := min(from+rows, len(list))
	out := map[string]any{"totalRecords": len(list), "count": to - from, "resultTruncated": "false", "facets": []any{}, "data": list[from:to]}
	if to < len(list) {
		out["$skipToken"] = "s" + strconv.Itoa(to)
	}
	c.w.Header().Set("x-ms-user-quota-remaining", "14")
	c.w.Header().Set("x-ms-user-quota-resets-after", "00:00:05")
	c.answer(http.StatusOK, out)
}

// rows makes all rows of a query. Of what may not be read it leaves the rows out, as
// Resource Graph does, without a word.
func (s *Server) rows(q *kql, subs []string) ([]json.RawMessage, error) {
	var out []map[string]any
	seen := map[string]bool{}
	add := func(what, sub string, raw json.RawMessage) error {
		r, err := graphRow(what, sub, s.o.World.TenantID(), raw)
		if err != nil {
			return err
		}
		if id := text(r["id"]); seen[strings.ToLower(id)] || !q.holds(r) {
			return nil
		} else if what != cloud.ReadStates {
			seen[strings.ToLower(id)] = true
		}
		out = append(out, r)
		return nil
	}
	for _, guid := range subs {
		sub := "/subscriptions/" + strings.ToLower(guid)
		for _, of := range tables[q.table] {
			if !q.wants(of.what) || s.hides(sub+of.path) {
				continue
			}
			if err := s.o.World.Whole(tenant.Ask{What: of.what, Scope: sub}, func(d json.RawMessage) error { return add(of.what, sub, d) }); err != nil {
				break // no such subscription: nothing of it, without a word
			}
		}
	}
	if q.table == "resourcecontainers" {
		for _, what := range []string{cloud.ReadSubscriptions, cloud.ReadGroups} {
			if !q.wants(what) {
				continue
			}
			if err := s.o.World.Whole(tenant.Ask{What: what}, func(d json.RawMessage) error {
				id := idOf(d)
				isSub := strings.HasPrefix(id, "/subscriptions/")
				if isSub != (what == cloud.ReadSubscriptions) || isSub && (!slices.Contains(subs, strings.TrimPrefix(id, "/subscriptions/")) || s.hides(id+"/resourcegroups")) {
					return nil
				}
				return add(what, "", d)
			}); err != nil {
				return nil, err
			}
		}
	}
	return q.finish(out)
}

// graphRow writes a document as Resource Graph shows it.
func graphRow(what, sub, tenantID string, raw json.RawMessage) (map[string]any, error) {
	var d map[string]any
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, err
	}
	id := text(d["id"])
	guid := strings.TrimPrefix(sub, "/subscriptions/")
	row := map[string]any{"id": id, "name": text(d["name"]), "type": strings.ToLower(text(d["type"])), "tenantId": tenantID, "kind": text(d["kind"]), "location": text(d["location"]), "resourceGroup": "",
		"subscriptionId": guid, "managedBy": text(d["managedBy"]), "sku": d["sku"], "plan": nil, "properties": d["properties"], "tags": d["tags"], "identity": d["identity"], "zones": nil, "extendedLocation": nil}
	if parts := strings.Split(strings.ToLower(id), "/"); len(parts) > 4 && parts[3] == "resourcegroups" {
		row["resourceGroup"] = parts[4]
	}
	switch what {
	case cloud.ReadResourceGroups:
		row["type"] = "microsoft.resources/subscriptions/resourcegroups"
	case cloud.ReadSubscriptions:
		row["type"], row["name"], row["subscriptionId"] = "microsoft.resources/subscriptions", d["displayName"], d["subscriptionId"]
		row["properties"] = map[string]any{"state": d["state"], "subscriptionPolicies": d["subscriptionPolicies"], "managedByTenants": []any{}}
	case cloud.ReadGroups:
		row["subscriptionId"] = ""
		row["properties"] = map[string]any{"tenantId": tenantID, "displayName": member(d["properties"], "displayName"), "details": map[string]any{"parent": member(d["properties"], "parent")}}
	case cloud.ReadStates:
		row["id"] = text(d["resourceId"]) + "/providers/microsoft.policyinsights/policystates/" + text(d["policyAssignmentName"])
		row["type"], row["properties"] = "microsoft.policyinsights/policystates", d
	case cloud.ReadAssignments:
		if strings.HasPrefix(id, "/providers/") { // of a management group, above every subscription
			row["subscriptionId"] = ""
		}
		row["systemData"] = d["systemData"]
	case cloud.ReadExemptions:
		row["systemData"] = d["systemData"]
	}
	return row, nil
}

// kql is a query that was understood.
type kql struct {
	table  string
	types  []string // where type is one of them, in lower case; nil = any
	where  []func(map[string]any) bool
	fields []string // project
	order  string   // order by, ascending
	limit  int
	count  string // summarize count() by
}

// wants says whether rows of a read can be among the answers.
func (q *kql) wants(what string) bool {
	if q.types == nil {
		return true
	}
	for _, t := range q.types {
		if typesOf[t] == what || typesOf[t] == "" && what == cloud.ReadOthers {
			return true
		}
	}
	return false
}

func (q *kql) holds(row map[string]any) bool {
	for _, w := range q.where {
		if !w(row) {
			return false
		}
	}
	return true
}

func (q *kql) finish(rows []map[string]any) ([]json.RawMessage, error) {
	if q.count != "" {
		n := map[string]int{}
		for _, r := range rows {
			n[column(r, q.count)]++
		}
		rows = nil
		for k, v := range n {
			rows = append(rows, map[string]any{q.count: k, "count_": v})
		}
		slices.SortFunc(rows, func(a, b map[string]any) int { return strings.Compare(text(a[q.count]), text(b[q.count])) })
	}
	if q.order != "" {
		slices.SortStableFunc(rows, func(a, b map[string]any) int { return strings.Compare(column(a, q.order), column(b, q.order)) })
	}
	if q.limit > 0 && len(rows) > q.limit {
		rows = rows[:q.limit]
	}
	out := make([]json.RawMessage, 0, len(rows))
	for _, r := range rows {
		if len(q.fields) > 0 && q.count == "" {
			made := map[string]any{}
			for _, f := range q.fields {
				made[f] = r[f]
			}
			r = made
		}
		b, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// column reads a.b.c of a row.
func column(row map[string]any, path string) string {
	var v any = row
	for _, p := range strings.Split(path, ".") {
		v = member(v, p)
	}
	return text(v)
}

func parseQuery(s string) (*kql, error) {
	if len(s) > 16<<10 {
		return nil, fmt.Errorf("query of %d bytes: too long", len(s))
	}
	parts := strings.Split(s, "|")
	q := &kql{table: strings.ToLower(strings.TrimSpace(parts[0]))}
	if _, ok := tables[q.table]; !ok {
		return nil, fmt.Errorf("there is no table %q", q.table)
	}
	for _, p := range parts[1:] {
		p = strings.TrimSpace(p)
		verb, rest, _ := strings.Cut(p, " ")
		rest = strings.TrimSpace(rest)
		switch strings.ToLower(verb) {
		case "where":
			if err := q.addWhere(rest); err != nil {
				return nil, err
			}
		case "project":
			for _, f := range strings.Split(rest, ",") {
				if f = strings.TrimSpace(f); f == "" || strings.ContainsAny(f, " =.()") {
					return nil, fmt.Errorf("project %q: want names of columns", f)
				}
				q.fields = append(q.fields, f)
			}
		case "order", "sort":
			f := strings.Fields(strings.TrimPrefix(rest, "by "))
			if len(f) == 0 || len(f) > 2 || len(f) == 2 && f[1] != "asc" {
				return nil, fmt.Errorf("%s: want order by COLUMN asc", p)
			}
			q.order = f[0]
		case "limit", "take":
			n, err := strconv.Atoi(rest)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("%s: want a number", p)
			}
			q.limit = n
		case "summarize":
			f := strings.Fields(rest)
			if len(f) != 3 || f[0] != "count()" || f[1] != "by" {
				return nil, fmt.Errorf("%s: want summarize count() by COLUMN", p)
			}
			q.count = f[2]
		default:
			return nil, fmt.Errorf("operator %q is not known", verb)
		}
	}
	return q, nil
}

// addWhere reads one where: terms joined by or, or terms joined by and.
func (q *kql) addWhere(s string) error {
	for _, all := range strings.Split(s, " and ") {
		var either []func(map[string]any) bool
		terms := strings.Split(all, " or ")
		for _, t := range terms {
			field, op, values, err := parseTerm(t)
			if err != nil {
				return err
			}
			if strings.EqualFold(field, "type") && len(terms) == 1 && op != "has" && op != "!=" {
				for _, v := range values {
					q.types = append(q.types, strings.ToLower(v))
				}
			}
			either = append(either, compare(field, op, values))
		}
		q.where = append(q.where, func(row map[string]any) bool {
			return slices.ContainsFunc(either, func(f func(map[string]any) bool) bool { return f(row) })
		})
	}
	return nil
}

func compare(field, op string, values []string) func(map[string]any) bool {
	return func(row map[string]any) bool {
		have := column(row, field)
		switch op {
		case "==", "in":
			return slices.Contains(values, have)
		case "!=":
			return !slices.Contains(values, have)
		case "has":
			return strings.Contains(strings.ToLower(have), strings.ToLower(values[0]))
		}
		return slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, have) }) // =~ and in~
	}
}

// parseTerm reads FIELD OP 'value' or FIELD in~ ('a', 'b').
func parseTerm(s string) (field, op string, values []string, err error) {
	s = strings.TrimSpace(s)
	field, rest, _ := strings.Cut(s, " ")
	op, rest, _ = strings.Cut(strings.TrimSpace(rest), " ")
	rest = strings.TrimSpace(rest)
	op = strings.ToLower(op)
	switch op {
	case "=~", "==", "!=", "has", "in", "in~":
	default:
		return "", "", nil, fmt.Errorf("where %q: operator %q is not known", s, op)
	}
	list := strings.HasPrefix(op, "in")
	if list {
		if !strings.HasPrefix(rest, "(") || !strings.HasSuffix(rest, ")") {
			return "", "", nil, fmt.Errorf("where %q: want a list in brackets", s)
		}
		rest = rest[1 : len(rest)-1]
	}
	for _, v := range strings.Split(rest, ",") {
		v = strings.TrimSpace(v)
		if len(v) < 2 || v[0] != v[len(v)-1] || v[0] != '\'' && v[0] != '"' {
			return "", "", nil, fmt.Errorf("where %q: want words in quotes", s)
		}
		values = append(values, v[1:len(v)-1])
	}
	if !list && len(values) != 1 {
		return "", "", nil, fmt.Errorf("where %q: want one word", s)
	}
	return field, op, values, nil
}
