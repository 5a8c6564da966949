package azure

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// Bounds of a folder of exports.
const (
	maxExports    = 20_000
	maxExportSize = 512 << 20
)

// kinds says what a resource type is read as.
func kinds() map[string]string {
	return map[string]string{
		"microsoft.management/managementgroups":               cloud.ReadGroups,
		"/providers/microsoft.management/managementgroups":    cloud.ReadGroups,
		"microsoft.management/managementgroups/subscriptions": cloud.ReadGroups,
		"/subscriptions":                                   cloud.ReadGroups,
		"microsoft.resources/subscriptions":                cloud.ReadSubscriptions,
		"microsoft.resources/resourcegroups":               cloud.ReadResourceGroups,
		"microsoft.resources/subscriptions/resourcegroups": cloud.ReadResourceGroups,
		"microsoft.containerservice/managedclusters":       cloud.ReadClusters,
		"microsoft.kubernetes/connectedclusters":           cloud.ReadArc,
		"microsoft.containerregistry/registries":           cloud.ReadRegistries,
		"microsoft.security/pricings":                      cloud.ReadPlan,
		"microsoft.authorization/policydefinitions":        cloud.ReadDefinitions,
		"microsoft.authorization/policysetdefinitions":     cloud.ReadDefinitions,
		"microsoft.authorization/policyassignments":        cloud.ReadAssignments,
		"microsoft.authorization/policyexemptions":         cloud.ReadExemptions,
		"microsoft.policyinsights/policystates":            cloud.ReadStates,
		"microsoft.insights/diagnosticsettings":            cloud.ReadDiagnostics,
		"microsoft.kubernetesconfiguration/extensions":     cloud.ReadExtensions,
		"microsoft.authorization/roleassignments":          cloud.ReadRoles,
		"microsoft.consumption/budgets":                    cloud.ReadBudgets,
		"microsoft.costmanagement/alerts":                  cloud.ReadCostAlerts,
		"microsoft.costmanagement/query":                   cloud.ReadCosts,
		"microsoft.security/locations/alerts":              cloud.ReadAlerts,
		"microsoft.security/alerts":                        cloud.ReadAlerts,
		"microsoft.security/assessments":                   cloud.ReadAssessments,
		"microsoft.security/alertssuppressionrules":        cloud.ReadSuppressions,
	}
}

// recognise says what a document is, by its type, its id or the members that only such a
// document has; "" = something else.
func recognise(n node) string {
	table := kinds()
	if typ := strings.ToLower(n.at("type").text()); table[typ] != "" {
		return table[typ]
	}
	has := func(keys ...string) bool {
		for _, k := range keys {
			if !n.prop(k).there() {
				return false
			}
		}
		return true
	}
	switch {
	case has("eventDataId", "operationName"):
		return cloud.ReadActivity
	case has("policyDefinitionId", "complianceState"):
		return cloud.ReadStates
	case has("retailPrice", "meterId"):
		return cloud.ReadPrices
	case has("columns", "rows"), has("usageDate", "cost"), has("usageDate", "preTaxCost"):
		return cloud.ReadCosts
	case has("capabilities") && strings.EqualFold(n.at("resourceType").text(), "virtualMachines"), has("numberOfCores", "memoryInMB"):
		return cloud.ReadSizes
	}
	id := n.at("id").id()
	if what := table[typeOfID(id)]; what != "" {
		return what
	}
	if isGUID(id) && has("tenantId", "state") {
		return cloud.ReadSubscriptions
	}
	return ""
}

// scopeOf says under which scope a document is read, as Collect would.
func scopeOf(what string, n node) string {
	id := n.at("id").id()
	switch what {
	case cloud.ReadGroups, cloud.ReadSubscriptions, cloud.ReadDefinitions, cloud.ReadPrices, cloud.ReadSizes:
		return ""
	case cloud.ReadDiagnostics, cloud.ReadExtensions, cloud.ReadClusterPlan:
		return parentOf(id)
	case cloud.ReadCosts, cloud.ReadAmortized:
		return subscriptionOf("/" + strings.TrimPrefix(id, "/")) // az prints it without its slash
	case cloud.ReadActivity, cloud.ReadStates:
		if s := subscriptionOf(n.prop("resourceId").id()); s != "" {
			return s
		}
		if s := strings.ToLower(n.prop("subscriptionId").text()); isGUID(s) {
			return "/subscriptions/" + s
		}
	}
	return subscriptionOf(id)
}

// isExportFile takes the JSON files of a folder.
func isExportFile(name string) bool { return strings.EqualFold(filepath.Ext(name), ".json") }

// ReadExports reads every .json file of a folder (not of folders in it) as output of
// `az … -o json`, in the order of their names: arrays, {"value": […]}, {"data": […]} of az
// graph query, {"Items": […]} of the retail prices, rows of a cost query, or one document.
// What a file holds is told by its content. One that is not recognised, or empty, becomes
// the end of a read of cloud.ReadExport that says so, unless the file's name says of what an
// empty list is: WHAT.SUBSCRIPTION.json (named).
func ReadExports(dir string, each func(Record) error) (Head, error) {
	h := Head{Source: "exports"}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return h, fmt.Errorf("reading the folder of exports: %w", err)
	}
	x := &exports{each: each, reads: map[readKey]*cloud.Read{}}
	for _, e := range entries {
		if e.IsDir() || !isExportFile(e.Name()) {
			continue
		}
		if x.files++; x.files > maxExports {
			return h, fmt.Errorf("%s: more than %d files: want fewer, larger ones", dir, maxExports)
		}
		if err := x.file(dir, e.Name()); err != nil {
			return h, err
		}
	}
	if x.files == 0 {
		return h, fmt.Errorf("%s: no .json file in it: docs/azure.md lists the commands that write them", dir)
	}
	h.Started, h.Finished = x.oldest, x.newest
	return h, x.end()
}

type exports struct {
	each           func(Record) error
	reads          map[readKey]*cloud.Read
	files          int
	oldest, newest int64
	at             int64 // of the present file
	name           named // says the present file's name
	cost           tellers
}

func (x *exports) file(dir, name string) error {
	path := filepath.Join(dir, name)
	f, err := os.Open(path)
	if err != nil {
		return x.failed(name, err.Error(), "make the file readable")
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return x.failed(name, err.Error(), "make the file readable")
	}
	if x.at = info.ModTime().UnixNano(); x.oldest == 0 || x.at < x.oldest {
		x.oldest = x.at
	}
	x.newest = max(x.newest, x.at)
	raw, err := io.ReadAll(io.LimitReader(f, maxExportSize+1))
	switch {
	case err != nil:
		return x.failed(name, err.Error(), "copy the file again")
	case len(raw) > maxExportSize:
		return x.failed(name, fmt.Sprintf("larger than %d MiB", maxExportSize>>20), "export one subscription at a time")
	}
	x.name = nameSays(name)
	return x.content(name, raw)
}

func (x *exports) failed(name, reason, remedy string) error {
	r := cloud.Read{What: cloud.ReadExport, Scope: name, At: x.at, Outcome: cloud.ReadFailed, Reason: clip(reason, maxReason), Remedy: remedy}
	return x.each(Record{What: r.What, Scope: name, Read: &r})
}

// content takes one file's bytes in.
func (x *exports) content(name string, raw []byte) error {
	raw = bytes.TrimSpace(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))) // PowerShell writes a mark
	if bytes.HasPrefix(raw, []byte{0xff, 0xfe}) {
		return x.failed(name, "encoded in UTF-16", "write it as UTF-8: az … -o json | Out-File -Encoding utf8")
	}
	docs, more, cut, err := elements(raw)
	if err != nil {
		return x.failed(name, "no JSON: "+err.Error(), "export it again with -o json")
	}
	known, first := 0, ""
	x.cost.left, x.cost.sub = 0, ""
	x.name.amortized = x.name.amortized || amortizedIn(raw, docs)
	for _, d := range docs {
		n, err := open(d)
		what := ""
		if err == nil {
			if what = x.name.kind(recognise(n)); what == "" && n.at("id").id() != "" && typeOfID(n.at("id").id()) != "" {
				what = cloud.ReadOthers
			}
		}
		if what == "" {
			if first == "" {
				first = "holds something that is not recognised: " + clip(string(d), 80)
				if err != nil {
					first = err.Error()
				}
			}
			continue
		}
		if why := x.name.contradicted(what, n); why != "" {
			if first == "" {
				first = why
			}
			continue
		}
		known++
		part := more || cut
		if what == cloud.ReadCosts || what == cloud.ReadAmortized {
			part = part || n.prop("nextLink").there() && n.prop("nextLink").text() != ""
			if d, err = x.once(what, n, d, part); err != nil {
				return err
			}
			if d == nil {
				continue
			}
		}
		if err := x.give(what, n, d, part); err != nil {
			return err
		}
	}
	if x.cost.left > 0 {
		if err := x.twice(name, known); err != nil {
			return err
		}
	}
	switch {
	case len(docs) == 0 && !cut && x.name.tells():
		return x.empty(more)
	case len(docs) == 0 && !cut:
		r := cloud.Read{What: cloud.ReadExport, Scope: name, At: x.at, Outcome: cloud.ReadSkipped, Reason: "an empty list: it does not say of what", Remedy: "name the file WHAT.SUBSCRIPTION.json, as in registries.00000000-0000-0000-0000-000000000001.json (docs/azure.md)"}
		return x.each(Record{What: r.What, Scope: name, Read: &r})
	case cut:
		r := cloud.Read{What: cloud.ReadExport, Scope: name, At: x.at, Outcome: cloud.ReadPartial, Reason: "the file ends within a document: it is cut short", Remedy: "export it again", Rows: known, Bad: 1}
		return x.each(Record{What: r.What, Scope: name, Read: &r})
	case known == 0:
		return x.failed(name, first, "docs/azure.md lists the commands whose output is understood")
	case known < len(docs):
		r := cloud.Read{What: cloud.ReadExport, Scope: name, At: x.at, Outcome: cloud.ReadPartial, Reason: first, Rows: known, Bad: len(docs) - known}
		return x.each(Record{What: r.What, Scope: name, Read: &r})
	}
	return nil
}

// give hands one document on and counts it for the end of its read.
func (x *exports) give(what string, n node, d json.RawMessage, partial bool) error {
	if what == cloud.ReadPlan && strings.Contains(n.at("id").id(), "/managedclusters/") {
		what = cloud.ReadClusterPlan
	}
	scope := scopeOf(what, n)
	if scope == "" && (what == cloud.ReadCosts || what == cloud.ReadAmortized) {
		scope = x.cost.sub
	}
	k := readKey{what, scope}
	r := x.reads[k]
	if r == nil {
		r = &cloud.Read{What: what, Scope: scope, Outcome: cloud.ReadOK}
		x.reads[k] = r
	}
	r.Rows++
	if r.At == 0 || x.at < r.At {
		r.At = x.at
	}
	if partial {
		r.Outcome, r.Reason = cloud.ReadPartial, "the export holds only a part"
		r.Remedy = "export it again, whole: az graph query --first 1000, and page on with --skip-token"
	}
	return x.each(Record{What: what, Scope: scope, Doc: d})
}

// end tells how each read came out, in a stable order.
func (x *exports) end() error {
	for _, r := range values(byText(x.reads)) {
		if err := x.each(Record{What: r.What, Scope: r.Scope, Read: r}); err != nil {
			return err
		}
	}
	return nil
}

func byText(m map[readKey]*cloud.Read) map[string]*cloud.Read {
	out := make(map[string]*cloud.Read, len(m))
	for k, r := range m {
		out[k.what+"|"+k.scope] = r
	}
	return out
}

// elements splits a file into documents. more says that the service had more than the file
// holds, cut that the file ends within a document; what stands before is given.
func elements(raw []byte) (docs []json.RawMessage, more, cut bool, err error) {
	if len(raw) == 0 {
		return nil, false, false, errors.New("the file is empty")
	}
	switch raw[0] {
	case '[':
		docs, cut, err = array(json.NewDecoder(bytes.NewReader(raw)))
		return docs, false, cut, err
	case '{':
	default:
		return nil, false, false, errors.New("want an object or an array")
	}
	var o map[string]json.RawMessage
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, false, false, err
	}
	for _, k := range []string{"skip_token", "skipToken", "$skipToken", "nextLink", "NextPageLink", "@odata.nextLink"} {
		if v := o[k]; len(v) > 0 && string(v) != "null" && string(v) != `""` {
			more = true
		}
	}
	if o["id"] == nil {
		for _, k := range []string{"value", "data", "Items", "items"} {
			if v := bytes.TrimSpace(o[k]); len(v) > 0 && v[0] == '[' {
				docs, cut, err = array(json.NewDecoder(bytes.NewReader(v)))
				return docs, more, cut, err
			}
		}
	}
	return []json.RawMessage{raw}, more, false, nil
}

// array reads the elements of an array one by one, so that those before a break are kept.
func array(dec *json.Decoder) (docs []json.RawMessage, cut bool, err error) {
	if _, err := dec.Token(); err != nil {
		return nil, false, err
	}
	for dec.More() {
		var d json.RawMessage
		if err := dec.Decode(&d); err != nil {
			return slices.Clip(docs), true, nil
		}
		docs = append(docs, d)
	}
	_, err = dec.Token()
	return docs, err != nil, nil
}
