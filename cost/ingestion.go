package cost

import (
	"cmp"
	"fmt"
	"sort"
	"strings"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// Categories of AKS's control plane logs that are judged by name.
const (
	audit      = "kube-audit"
	auditAdmin = "kube-audit-admin"
)

// What a setting for a group of categories stands for.
var (
	groupAudit = []string{audit, auditAdmin, "guard"}
	groupAll   = []string{audit, auditAdmin, "cloud-controller-manager", "cluster-autoscaler", "csi-azuredisk-controller",
		"csi-azurefile-controller", "csi-snapshot-controller", "guard", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}
)

const (
	insights      = "container insights"
	ingestionDays = 28 // days looked back at for an average day
)

// insightTables are the tables that the monitoring add-on writes to, in lower case.
var insightTables = map[string]bool{"containerlog": true, "containerlogv2": true, "containerinventory": true, "containernodeinventory": true,
	"insightsmetrics": true, "perf": true, "kubepodinventory": true, "kubenodeinventory": true, "kubeservices": true, "kubeevents": true,
	"kubepvinventory": true, "kubemonagentevents": true, "kubehealth": true, "heartbeat": true}

// flow is what one cluster sends to one workspace, by table.
type flow struct {
	cluster string
	table   string // in lower case
	name    string // as Azure writes it
	what    string // categories, joined by +
}

// sent is an amount of logs and its money.
type sent struct {
	gb       float64
	gbKnown  bool
	money    Amount
	sharedBy int    // clusters that share it; 1 = it is told to be this one's
	table    string // "" = the bill does not tell tables
	whole    bool   // what a whole workspace takes in: others may write to it too
}

// intake is what workspaces took in from clusters in a time: by cluster and categories.
type intake map[string]map[string]*sent

// logs knows who sends what where.
type logs struct {
	l     *ledger
	flows map[string][]flow  // by workspace
	nodes map[string]float64 // by cluster
}

func newLogs(l *ledger) *logs {
	g := &logs{l: l, flows: map[string][]flow{}, nodes: map[string]float64{}}
	if l.in.Tenant == nil {
		return g
	}
	for i := range l.in.Tenant.Clusters {
		c := &l.in.Tenant.Clusters[i]
		id := lower(c.ID)
		g.nodes[id] = nodesOf(l, c)
		byTable := map[string]map[string]map[string]bool{}
		note := func(workspace, table, category string) {
			if byTable[workspace] == nil {
				byTable[workspace] = map[string]map[string]bool{}
			}
			if byTable[workspace][table] == nil {
				byTable[workspace][table] = map[string]bool{}
			}
			byTable[workspace][table][category] = true
		}
		for _, d := range c.Diagnostics {
			if d.Workspace == "" {
				continue
			}
			for _, category := range categoriesOf(&d) {
				note(lower(d.Workspace), tableOf(category, d.Dedicated), category)
			}
		}
		if c.Insights != nil && *c.Insights && c.InsightsTo != "" {
			note(lower(c.InsightsTo), insights, insights)
		}
		for _, w := range sortedKeys(byTable) {
			for _, t := range sortedKeys(byTable[w]) {
				g.flows[w] = append(g.flows[w], flow{id, lower(t), t, strings.Join(sortedKeys(byTable[w][t]), "+")})
			}
		}
	}
	return g
}

// nodesOf is how many nodes a cluster has: what agents saw in the last weeks, else what
// Azure says of its running pools.
func nodesOf(l *ledger, c *cloud.Cluster) float64 {
	sum, hours := 0.0, 0
	for _, u := range l.hours(lower(c.ID), l.to-ingestionDays*day, l.to) {
		if u.Namespace == "" && u.Nodes > 0 {
			sum += u.Nodes
			hours++
		}
	}
	if hours > 0 {
		return sum / float64(hours)
	}
	n := float64(c.Nodes)
	for _, p := range c.Pools {
		if p.Power != "Stopped" && c.Power != "Stopped" && p.Count > 0 {
			n += float64(p.Count)
		}
	}
	return n
}

func categoriesOf(d *cloud.Diagnostic) []string {
	var out []string
	for _, c := range d.Categories {
		switch lower(c) {
		case "group:alllogs":
			out = append(out, groupAll...)
		case "group:audit":
			out = append(out, groupAudit...)
		default:
			out = append(out, lower(c))
		}
	}
	return out
}

// tableOf is the table that a category of a cluster is written to.
func tableOf(category string, dedicated bool) string {
	switch {
	case !dedicated:
		return "AzureDiagnostics"
	case category == audit:
		return "AKSAudit"
	case category == auditAdmin:
		return "AKSAuditAdmin"
	}
	return "AKSControlPlane"
}

// told looks for a column by several names, in any case.
func told(c *Charge, names ...string) string {
	for k, v := range c.More {
		for _, n := range names {
			if v != "" && strings.EqualFold(k, n) {
				return v
			}
		}
	}
	return ""
}

// between adds up what workspaces took in from clusters on days [from, to).
func (g *logs) between(from, to int64) intake {
	type bucket struct{ workspace, table, category, cluster string }
	sums, of := map[bucket]*sent{}, map[uint32]*sent{} // of: by what rows are
	for c := range g.l.all() {
		if c.logs == noLogs || c.day < from || c.day >= to || !c.usage {
			continue
		}
		gb, known, _ := c.ingested()
		s := of[c.fact]
		if s == nil {
			b := bucket{workspace: c.resource, cluster: c.cluster,
				table:    told(c.Charge, "x_Table", "x_TableName", "x_LogTable", "x_DataType", "Table", "DataType"),
				category: lower(told(c.Charge, "x_LogCategory", "x_Category", "LogCategory"))}
			if b.cluster == "" {
				if id := clusterID(lower(told(c.Charge, "x_SourceResourceId", "x_LogResourceId", "_ResourceId"))); g.l.in.belongs.clusters[id] {
					b.cluster = id
				}
			}
			if s = sums[b]; s == nil {
				s = &sent{gbKnown: true}
				sums[b] = s
			}
			of[c.fact] = s
		}
		s.gb += gb
		s.gbKnown = s.gbKnown && known
		s.money += c.Billed
	}
	order := make([]bucket, 0, len(sums))
	for b := range sums {
		order = append(order, b)
	}
	sort.Slice(order, func(i, j int) bool {
		a, b := &order[i], &order[j]
		return cmp.Or(strings.Compare(a.workspace, b.workspace), strings.Compare(a.table, b.table), strings.Compare(a.category, b.category), strings.Compare(a.cluster, b.cluster)) < 0
	})
	out := intake{}
	for _, b := range order {
		g.assign(out, sums[b], b.workspace, b.table, b.category, b.cluster)
	}
	return out
}

// assign gives what a workspace took in to the clusters that sent it, by their nodes.
func (g *logs) assign(out intake, s *sent, workspace, table, category, cluster string) {
	flows := g.flows[workspace]
	what := map[string][]string{} // cluster → categories
	names := map[string]string{}
	for _, f := range flows {
		t := lower(table)
		switch {
		case cluster != "" && f.cluster != cluster:
		case category != "" && !strings.Contains("+"+f.what+"+", "+"+category+"+"):
		case t != "" && f.table != t && !(f.table == insights && insightTables[t]):
		default:
			w := f.what
			if category != "" {
				w = category
			}
			what[f.cluster] = append(what[f.cluster], w)
			names[f.cluster] = f.name
		}
	}
	if len(what) == 0 && cluster != "" {
		// The bill says more than the settings that were read.
		w := category
		switch {
		case w != "":
		case lower(table) == "aksaudit":
			w = audit
		case lower(table) == "aksauditadmin":
			w = auditAdmin
		case table != "":
			w = table
		default:
			w = "logs"
		}
		what[cluster] = []string{w}
	}
	var among []share
	for _, id := range sortedKeys(what) {
		n := g.nodes[id]
		if n == 0 && len(what) == 1 {
			n = 1
		}
		among = append(among, share{id, n})
	}
	parts, ok := split(s.money, among)
	if !ok {
		for i := range among {
			among[i].weight = 1
		}
		parts, _ = split(s.money, among)
	}
	all := 0.0
	for _, a := range among {
		all += a.weight
	}
	for i, a := range among {
		if a.weight == 0 && parts[i] == 0 {
			continue
		}
		if out[a.key] == nil {
			out[a.key] = map[string]*sent{}
		}
		words := what[a.key]
		if len(words) > 1 {
			words = strings.Split(strings.Join(words, "+"), "+")
			sort.Strings(words)
		}
		k := strings.Join(words, "+")
		have := out[a.key][k]
		if have == nil {
			have = &sent{gbKnown: true, table: table}
			out[a.key][k] = have
		}
		have.gb += s.gb * a.weight / all
		have.gbKnown = have.gbKnown && s.gbKnown
		have.money += parts[i]
		have.sharedBy = max(have.sharedBy, len(among))
		have.whole = have.whole || table == "" && category == "" && cluster == ""
	}
}

// ingestion says what the logs that clusters export cost, from the bills of the
// workspaces they go to, as an average of the last 28 days that have a bill. Where a bill
// tells tables, categories or clusters, they are told apart; what several clusters send
// to one workspace is divided by their nodes, and the source of the money says so.
// Beside kube-audit stands what kube-audit-admin would cost: the share of bytes that an
// agent measured there, else that of the tenant's clusters that export only the latter.
func ingestion(in *Input, r *Report) {
	l := billOf(in)
	g := newLogs(l)
	r.Ingestion = []Ingestion{}
	if in.Tenant == nil {
		return
	}
	end := l.complete()
	got := g.between(end-ingestionDays, end)
	reads := map[string]*cloud.Read{}
	for i := range in.Tenant.Reads {
		if rd := &in.Tenant.Reads[i]; rd.What == cloud.ReadDiagnostics {
			reads[lower(rd.Scope)] = rd
		}
	}
	days := map[string]int{}
	for sub, known := range l.known {
		for d := range known {
			if d >= end-ingestionDays && d < end {
				days[sub]++
			}
		}
	}
	most := 0
	for _, n := range days {
		most = max(most, n)
	}
	keeps, keepsWhy := g.keeps(got)
	for i := range in.Tenant.Clusters {
		c := &in.Tenant.Clusters[i]
		id := lower(c.ID)
		none := func(category, format string, args ...any) {
			why := fmt.Sprintf(format, args...)
			m := l.none("%s", why)
			r.Ingestion = append(r.Ingestion, Ingestion{Cluster: id, Category: category, Money: m, Cheaper: m, NotAssessed: why})
		}
		for _, k := range sortedKeys(got[id]) {
			r.Ingestion = append(r.Ingestion, l.ingestionOf(id, k, got[id][k], float64(most), keeps, keepsWhy))
		}
		rd := reads[id]
		switch {
		case rd != nil && rd.Outcome != cloud.ReadOK && rd.Outcome != cloud.ReadAbsent && rd.Outcome != cloud.ReadPartial:
			none("", "its diagnostic settings could not be read: %s %s", rd.Outcome, rd.Reason)
			continue
		case rd == nil && len(c.Diagnostics) == 0 && c.Kind != cloud.KindArc:
			none("", "its diagnostic settings were not read")
			continue
		}
		for _, d := range c.Diagnostics {
			category := strings.Join(categoriesOf(&d), "+")
			switch {
			case category == "":
			case d.Workspace == "" && d.EventHub != "":
				none(category, "it goes to an event hub: what that costs is not told by cluster")
			case d.Workspace == "" && d.Storage != "":
				none(category, "it goes to a storage account: what that costs is not told by cluster")
			case d.Workspace != "" && !hasAny(got[id], categoriesOf(&d)):
				none(category, "the bill has no ingestion of the workspace %s", lastOf(lower(d.Workspace)))
			}
		}
	}
	if in.AuditLoses == nil {
		for _, x := range r.Ingestion {
			if x.Cheaper.NotAssessed == "" {
				r.Gaps = append(r.Gaps, Gap{What: "what kube-audit-admin would not detect", Reason: "the rules that need reads (get, list) were not told"})
				break
			}
		}
	}
}

func hasAny(of map[string]*sent, categories []string) bool {
	for k := range of {
		for _, c := range categories {
			if strings.Contains("+"+k+"+", "+"+c+"+") {
				return true
			}
		}
	}
	return false
}

func (l *ledger) ingestionOf(id, category string, s *sent, days float64, keeps map[string]float64, keepsWhy string) Ingestion {
	x := Ingestion{Cluster: id, Category: category, Table: s.table}
	if days == 0 {
		x.NotAssessed = "the last 28 days have no bill"
		x.Money = l.none("%s", x.NotAssessed)
		x.Cheaper = x.Money
		return x
	}
	x.GBPerDay = s.gb / days
	if !s.gbKnown {
		x.GBPerDay = 0
		x.NotAssessed = "gigabytes are not in the bill: a commitment tier is billed by the day"
	}
	x.Money = l.money(bounded(s.money.Float() / days * 30))
	x.Money.Source = fmt.Sprintf("bill of %.0f days", days)
	if s.sharedBy > 1 {
		x.Money.Source += fmt.Sprintf("; %d clusters share the workspace: by their nodes", s.sharedBy)
	}
	if s.whole {
		x.Money.Source += "; the bill does not tell tables: what others send there is in it"
	}
	switch keep, ok := keeps[id]; {
	case category == auditAdmin:
		x.Cheaper = l.none("it is kube-audit-admin already")
	case !strings.Contains("+"+category+"+", "+"+audit+"+"):
		x.Cheaper = l.none("only kube-audit has a cheaper kind")
	case category != audit:
		x.Cheaper = l.none("the bill does not tell kube-audit apart from what else goes there: send it to its own table (resource-specific)")
	case !ok:
		x.Cheaper = l.none("%s", keepsWhy)
	default:
		x.Cheaper = x.Money
		x.Cheaper.Amount = bounded(x.Money.Amount.Float() * keep)
		x.Cheaper.Source = fmt.Sprintf("%.1f %% of the bytes are kept: %s", keep*100, keepsWhy)
		if _, ok := l.in.AuditKeeps[id]; ok {
			x.Cheaper.Source = fmt.Sprintf("%.1f %% of the bytes are kept: measured by its agent", keep*100)
		}
		x.Loses = l.in.AuditLoses
	}
	return x
}

// keeps tells for clusters which share of kube-audit kube-audit-admin would be.
func (g *logs) keeps(got intake) (map[string]float64, string) {
	var full, admin []float64
	for _, id := range sortedKeys(got) {
		if g.nodes[id] <= 0 {
			continue
		}
		if s := got[id][audit]; s != nil && s.gbKnown && s.gb > 0 {
			full = append(full, s.gb/g.nodes[id])
		}
		if s := got[id][auditAdmin]; s != nil && got[id][audit] == nil && s.gbKnown && s.gb > 0 {
			admin = append(admin, s.gb/g.nodes[id])
		}
	}
	out := map[string]float64{}
	why := "nobody measured how much of it are reads: let an agent take in its audit log"
	if len(full) >= 3 && len(admin) >= 3 {
		keep := median(admin) / median(full)
		if keep < 1 {
			why = fmt.Sprintf("%d clusters that export only kube-audit-admin against %d with kube-audit, GB per node, medians", len(admin), len(full))
			for id := range got {
				out[id] = keep
			}
		}
	}
	for id, k := range g.l.in.AuditKeeps {
		if k >= 0 && k <= 1 {
			out[lower(id)] = k
		}
	}
	return out, why
}

// complete is the first day that the bill may not hold whole: bills come in late, so
// neither today nor yesterday counts.
func (l *ledger) complete() int64 {
	return min(l.to/day-1, l.lastDay+1)
}
