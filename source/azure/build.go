package azure

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// maxKind bounds how many of one kind are kept; what is beyond is counted in Read.Bad.
const maxKind = 2_000_000

// Builder reduces Records to a Snapshot. The order of Add does not matter: ids are unique,
// everything is sorted at the end, and of two documents with one id the same one wins
// whichever came first. Not safe for concurrent use.
//
// A document that cannot be read is passed over and counted in the Bad of its read, one of
// which a member is of the wrong kind is kept without that member and counted too; the
// first reason (in the order of the alphabet) is told. A read that passed documents over is
// partial. Members it does not know are ignored.
type Builder struct {
	head Head

	groups      map[string]cloud.Group
	subs        map[string]cloud.Subscription
	parents     map[string]string // subscription → management group
	names       map[string]string // subscription → name, where only its group told
	rgs         map[string]cloud.ResourceGroup
	clusters    map[string]cloud.Cluster
	registries  map[string]cloud.Registry
	plans       map[string]map[string]cloud.Plan // subscription or cluster → name of the plan
	definitions map[string]cloud.Definition
	assignments map[string]cloud.Assignment
	exemptions  map[string]cloud.Exemption
	states      map[string]cloud.PolicyState
	diagnostics map[string]map[string]cloud.Diagnostic // cluster → id
	extensions  map[string]map[string]arcExtension     // cluster → id
	roles       map[string]cloud.RoleHolder
	budgets     map[string]cloud.Budget
	costAlerts  map[string]cloud.CostAlert
	sizes       map[string]cloud.Size
	activity    map[string]cloud.Activity
	alerts      map[string]cloud.DefenderAlert
	assessments map[string]cloud.Assessment
	rules       map[string]cloud.Suppression
	bill        cost.Bill
	amortized   cost.Bill         // the same money, as its use tells it
	pages       map[string]*pages // by what they are read as
	prices      map[string]priced
	others      map[string]bool
	tenants     map[string]int // directory ids that documents name

	reduce map[string]func(*Builder, string, node) error

	reads map[readKey]*cloud.Read
	seen  map[readKey]int // documents
	bad   map[readKey]*badRows
}

type readKey struct{ what, scope string }

type badRows struct {
	n, lost int
	reason  string
}

// NewBuilder returns an empty Builder.
func NewBuilder() *Builder {
	return &Builder{
		groups: map[string]cloud.Group{}, subs: map[string]cloud.Subscription{}, parents: map[string]string{}, names: map[string]string{},
		rgs: map[string]cloud.ResourceGroup{}, clusters: map[string]cloud.Cluster{}, registries: map[string]cloud.Registry{},
		plans: map[string]map[string]cloud.Plan{}, definitions: map[string]cloud.Definition{}, assignments: map[string]cloud.Assignment{},
		exemptions: map[string]cloud.Exemption{}, states: map[string]cloud.PolicyState{}, diagnostics: map[string]map[string]cloud.Diagnostic{},
		extensions: map[string]map[string]arcExtension{}, roles: map[string]cloud.RoleHolder{}, budgets: map[string]cloud.Budget{},
		costAlerts: map[string]cloud.CostAlert{}, sizes: map[string]cloud.Size{}, activity: map[string]cloud.Activity{},
		alerts: map[string]cloud.DefenderAlert{}, assessments: map[string]cloud.Assessment{}, rules: map[string]cloud.Suppression{},
		reduce: reductions(), pages: map[string]*pages{}, prices: map[string]priced{}, others: map[string]bool{}, tenants: map[string]int{},
		reads: map[readKey]*cloud.Read{}, seen: map[readKey]int{}, bad: map[readKey]*badRows{},
	}
}

// Describe says where the records come from. Without it the tenant is the one that most
// documents name, and collection began and ended with the first and last read.
func (b *Builder) Describe(h Head) { b.head = h }

// Add takes one record in. What is wrong with a document is counted, not returned; the
// error is of a record that is none.
func (b *Builder) Add(r Record) error {
	scope := armID(r.Scope)
	if r.Read != nil {
		if len(r.Doc) > 0 {
			return fmt.Errorf("record of %s has a document and the end of a read: want one of them", r.What)
		}
		return b.addRead(*r.Read)
	}
	if len(r.Doc) == 0 {
		return fmt.Errorf("record of %q has neither a document nor the end of a read", r.What)
	}
	key := readKey{r.What, scope}
	if b.seen[key] == 0 && len(b.seen) >= maxKind {
		return fmt.Errorf("more than %d reads: want fewer subscriptions or clusters in one snapshot", maxKind)
	}
	b.seen[key]++
	reduce := b.reduce[r.What]
	if reduce == nil {
		b.countBad(key, true, "no such kind of record: "+clip(r.What, 40))
		return nil
	}
	doc, err := open(r.Doc)
	if err != nil {
		b.countBad(key, true, err.Error())
		return nil
	}
	if err := reduce(b, scope, doc); err != nil {
		b.countBad(key, true, err.Error())
	} else if doc.doc.wrong != "" {
		b.countBad(key, false, doc.doc.wrong)
	}
	return nil
}

// reductions says what takes in which kind of document.
func reductions() map[string]func(*Builder, string, node) error {
	return map[string]func(*Builder, string, node) error{
		cloud.ReadGroups:         (*Builder).group,
		cloud.ReadSubscriptions:  (*Builder).subscription,
		cloud.ReadResourceGroups: (*Builder).resourceGroup,
		cloud.ReadClusters:       (*Builder).aks,
		cloud.ReadArc:            (*Builder).arc,
		cloud.ReadRegistries:     (*Builder).registry,
		cloud.ReadPlan:           (*Builder).plan,
		cloud.ReadClusterPlan:    (*Builder).plan,
		cloud.ReadDefinitions:    (*Builder).definition,
		cloud.ReadAssignments:    (*Builder).assignment,
		cloud.ReadExemptions:     (*Builder).exemption,
		cloud.ReadStates:         (*Builder).state,
		cloud.ReadDiagnostics:    (*Builder).diagnostic,
		cloud.ReadExtensions:     (*Builder).extension,
		cloud.ReadRoles:          (*Builder).role,
		cloud.ReadBudgets:        (*Builder).budget,
		cloud.ReadCostAlerts:     (*Builder).costAlert,
		cloud.ReadCosts:          (*Builder).costs,
		cloud.ReadAmortized:      (*Builder).amortizedCosts,
		cloud.ReadPrices:         (*Builder).price,
		cloud.ReadSizes:          (*Builder).size,
		cloud.ReadActivity:       (*Builder).event,
		cloud.ReadAlerts:         (*Builder).alert,
		cloud.ReadAssessments:    (*Builder).assessment,
		cloud.ReadSuppressions:   (*Builder).suppression,
		cloud.ReadOthers:         (*Builder).other,
	}
}

func (b *Builder) countBad(k readKey, lost bool, reason string) {
	r := b.bad[k]
	if r == nil {
		r = &badRows{}
		b.bad[k] = r
	}
	r.n++
	if lost {
		r.lost++
	}
	if reason = clip(reason, maxReason); r.reason == "" || reason < r.reason {
		r.reason = reason
	}
}

// addRead keeps the newest end of a read; of two of the same time the one whose outcome
// comes first in the alphabet, so that order does not matter.
func (b *Builder) addRead(r cloud.Read) error {
	r.Scope = armID(r.Scope)
	r.Reason, r.Remedy = clip(r.Reason, maxText), clip(r.Remedy, maxText)
	k := readKey{r.What, r.Scope}
	old := b.reads[k]
	if old == nil && len(b.reads) >= maxKind {
		return fmt.Errorf("more than %d reads: want fewer subscriptions or clusters in one snapshot", maxKind)
	}
	if old == nil || r.At > old.At || r.At == old.At && cmp.Or(cmp.Compare(r.Outcome, old.Outcome), cmp.Compare(r.Reason, old.Reason), cmp.Compare(r.Rows, old.Rows)) < 0 {
		b.reads[k] = &r
	}
	return nil
}

// keep puts v into m under its id. Of two different documents with one id the fuller one
// wins, whatever their order.
func keep[V any](m map[string]V, id string, v V) error {
	old, had := m[id]
	if !had && len(m) >= maxKind {
		return fmt.Errorf("more than %d of one kind: passed over", maxKind)
	}
	if !had || fuller(v, old) {
		m[id] = v
	}
	return nil
}

// fuller says whether a tells more than b, or, where both tell as much, sorts after it.
func fuller[V any](a, b V) bool {
	x, _ := json.Marshal(a) // plain values always encode
	y, _ := json.Marshal(b)
	return cmp.Or(cmp.Compare(len(x), len(y)), bytes.Compare(x, y)) > 0
}

func keepIn[V any](m map[string]map[string]V, parent, id string, v V) error {
	inner := m[parent]
	if inner == nil {
		if len(m) >= maxKind {
			return fmt.Errorf("more than %d of one kind: passed over", maxKind)
		}
		inner = map[string]V{}
		m[parent] = inner
	}
	if len(inner) >= 1000 {
		return fmt.Errorf("more than 1000 of one kind at %s: passed over", parent)
	}
	return keep(inner, id, v)
}

// Snapshot gives what the records say. The Builder must not be used afterwards.
func (b *Builder) Snapshot() *Snapshot {
	t := &cloud.Tenant{ID: b.head.Tenant, Name: b.head.Name, Source: b.head.Source, Collected: b.head.Started, Finished: b.head.Finished}
	if t.ID == "" {
		t.ID = commonest(b.tenants)
	}
	told := b.amortizedOf()
	t.Reads = b.allReads()
	first, last, cut := int64(0), int64(0), false
	for _, r := range t.Reads {
		if r.At > 0 && (first == 0 || r.At < first) {
			first = r.At
		}
		last = max(last, r.At)
		cut = cut || r.What == cloud.ReadSnapshot && r.Outcome != cloud.ReadOK
	}
	if t.Collected == 0 {
		t.Collected = first
	}
	if t.Finished == 0 {
		t.Finished = last
	}
	if cut {
		t.Finished = 0
	}
	b.join()
	t.Groups = values(b.groups)
	t.Subscriptions = values(b.subs)
	t.ResourceGroups = values(b.rgs)
	t.Clusters = values(b.clusters)
	t.Registries = values(b.registries)
	t.Definitions = values(b.definitions)
	t.Assignments = values(b.assignments)
	t.Exemptions = values(b.exemptions)
	t.States = values(b.states)
	t.Roles = values(b.roles)
	t.Budgets = values(b.budgets)
	t.CostAlerts = values(b.costAlerts)
	t.Sizes = values(b.sizes)
	t.Activity = values(b.activity)
	slices.SortStableFunc(t.Activity, func(a, b cloud.Activity) int { return cmp.Compare(a.At, b.At) })
	t.DefenderAlerts = values(b.alerts)
	t.Assessments = values(b.assessments)
	t.Suppressions = values(b.rules)
	t.Others = len(b.others)
	b.bill.Amortise(&b.amortized, func(sub string) bool { return told[sub] })
	b.bill.Sort()
	return &Snapshot{Tenant: t, Bill: &b.bill, Prices: b.allPrices()}
}

// allReads joins the ends of reads with what the documents showed, and tells of documents
// whose read has no end.
func (b *Builder) allReads() []cloud.Read {
	for k, n := range b.seen {
		if b.reads[k] == nil {
			b.reads[k] = &cloud.Read{What: k.what, Scope: k.scope, Outcome: cloud.ReadPartial, Rows: n,
				Reason: "the end of this read is missing", Remedy: "collect again; what was read before can be taken over"}
		}
	}
	for k, bad := range b.bad {
		r := b.reads[k]
		r.Bad += bad.n
		r.Reason = join(r.Reason, bad.reason)
		if bad.lost > 0 && r.Outcome == cloud.ReadOK {
			r.Outcome = cloud.ReadPartial
		}
	}
	out := make([]cloud.Read, 0, len(b.reads))
	for _, r := range b.reads {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b cloud.Read) int {
		return cmp.Or(strings.Compare(a.What, b.What), strings.Compare(a.Scope, b.Scope))
	})
	return out
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// values gives the values of a map in the order of their keys.
func values[V any](m map[string]V) []V {
	if len(m) == 0 {
		return nil
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := make([]V, len(keys))
	for i, k := range keys {
		out[i] = m[k]
	}
	return out
}

func commonest(m map[string]int) string {
	best := ""
	for k, n := range m {
		if best == "" || n > m[best] || n == m[best] && k < best {
			best = k
		}
	}
	return best
}
