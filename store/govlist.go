package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/query"
)

// The kinds of thing that an evaluation lists.
const (
	GovCluster        = "cluster"
	GovSubscription   = "subscription"
	GovResult         = "result"
	GovRecommendation = "recommendation"
	GovFinding        = "finding"
)

// ErrGovKind says that an evaluation lists no such kind.
var ErrGovKind = errors.New("kind is not one of cluster, subscription, result, recommendation, finding")

// GovernanceFields is what a filter of one kind may name; nil of a kind that is none.
func GovernanceFields(kind string) *query.Schema {
	if l := govListing(kind); l != nil {
		return l.schema
	}
	return nil
}

func govListing(kind string) *listing {
	switch kind {
	case GovCluster:
		return &govClusterListing
	case GovSubscription:
		return &govSubscriptionListing
	case GovResult:
		return &govResultListing
	case GovRecommendation:
		return &govRecommendationListing
	case GovFinding:
		return &govFindingListing
	}
	return nil
}

const govItemColumns = "n, key, change_seq, doc"

// what is not assessed comes last where the largest comes first.
func orLast(column string) string { return "COALESCE(" + column + ",-9000000000000000000)" }

var govClusterListing = listing{table: "gov_clusters", all: "1=1", columns: govItemColumns, schema: &govClusterFields, first: "riskmoney",
	text: map[string]bool{"name": true, "owner": true, "environment": true, "subscription": true},
	orders: map[string]string{"riskmoney": "risk_money", "risk": "risk", "name": "name", "owner": "owner", "environment": "environment", "subscription": "subscription",
		"score": orLast("score"), "change": orLast("score_change"), "critical": orLast("critical"), "alerts": orLast("alerts"), "cost": orLast("cost"), "forecast": orLast("forecast"), "budget": orLast("budget"),
		"security": orLast("security"), "protected": "protected", "canary": orLast("canary"), "uncovered": orLast("uncovered"), "seen": orLast("first_seen")}}

var govClusterFields = query.Schema{Fields: []query.Field{
	{Name: "cluster", Aliases: []string{"name"}, Type: query.Text, Free: true, SQL: "name", Doc: "its name in Azure, else here"},
	{Name: "id", Type: query.Text, SQL: "key", Doc: "ARM id, else its name here"},
	{Name: "here", Type: query.Text, SQL: "here", Doc: `its name in Dockreeve; here:"" is not onboarded`},
	{Name: "onboarded", Type: query.Bool, SQL: "CASE WHEN here <> '' THEN 1 ELSE 0 END", Doc: "whether Dockreeve sees it from the inside: onboarded:no"},
	{Name: "kind", Type: query.Text, SQL: "kind", Doc: "aks, arc, other"},
	{Name: "subscription", Aliases: []string{"sub"}, Type: query.Text, Free: true, SQL: "subscription", Doc: "name of its subscription"},
	{Name: "group", Type: query.Text, SQL: "resource_group", Doc: "its resource group"},
	{Name: "location", Type: query.Text, SQL: "location", Doc: "Azure region"},
	{Name: "version", Type: query.Text, SQL: "version", Doc: "of Kubernetes: version:1.33*"},
	{Name: "owner", Type: query.Text, Free: true, SQL: "owner", Doc: "who answers for it: owner:unowned"},
	{Name: "unit", Type: query.Text, SQL: "business_unit", Doc: "business unit"},
	{Name: "costcentre", Type: query.Text, SQL: "cost_centre", Doc: "cost centre"},
	{Name: "environment", Aliases: []string{"env"}, Type: query.Text, Free: true, SQL: "environment", Doc: "production, staging…, unknown"},
	{Name: "production", Aliases: []string{"prod"}, Type: query.Bool, SQL: "production", Doc: "whether it counts as production; an unknown environment does"},
	{Name: "stopped", Type: query.Bool, SQL: "stopped", Doc: "whether it is stopped"},
	{Name: "protected", Type: query.Enum, Words: triWords, First: 1, SQL: "protected", Doc: "by the provider that is accepted: protected:no,unknown"},
	{Name: "plan", Type: query.Enum, Words: triWords, First: 1, SQL: "plan", Doc: "Defender for Containers is on for it"},
	{Name: "profile", Type: query.Enum, Words: triWords, First: 1, SQL: "profile", Doc: "its Defender profile is on, as ARM says"},
	{Name: "policy", Type: query.Enum, Words: triWords, First: 1, SQL: "policy", Doc: "its Azure Policy add-on is on"},
	{Name: "agents", Type: query.Enum, Words: triWords, First: 1, SQL: "agents", Doc: "Dockreeve's own agents, all of them, are there"},
	{Name: "audited", Type: query.Enum, Words: triWords, First: 1, SQL: "audited", Doc: "its audit log leaves it"},
	{Name: "inside", Type: query.Text, SQL: "inside", Doc: "eyes inside pods: closed, open, not-assessed"},
	{Name: "images", Type: query.Text, SQL: "images", Doc: "images: closed, open, not-assessed"},
	{Name: "runtime", Type: query.Text, SQL: "runtime", Doc: "runtime threats: closed, open, not-assessed"},
	{Name: "enforcement", Type: query.Text, SQL: "enforcement", Doc: "enforcement: closed, open, not-assessed"},
	{Name: "score", Type: query.Decimal, SQL: "score", Doc: "of the benchmark that is shown, 0 to 1: score:<0.8"},
	{Name: "change", Type: query.Decimal, SQL: "score_change", Doc: "of the score in seven days: change:<0"},
	{Name: "critical", Type: query.Number, SQL: "critical", Doc: "critical vulnerabilities that run: critical:>0"},
	{Name: "exploited", Type: query.Number, SQL: "exploited", Doc: "of those known to be exploited"},
	{Name: "alerts", Type: query.Number, SQL: "alerts", Doc: "open alerts, high and critical: alerts:>0"},
	{Name: "cost", Type: query.Decimal, SQL: "cost", Doc: "month to date, in its currency: cost:>=1000"},
	{Name: "budget", Type: query.Decimal, SQL: "budget", Doc: "budget that applies to it alone"},
	{Name: "forecast", Type: query.Decimal, SQL: "forecast", Doc: "of the whole month"},
	{Name: "over", Type: query.Bool, SQL: "CASE WHEN budget IS NULL OR forecast IS NULL THEN NULL WHEN forecast > budget THEN 1 ELSE 0 END", Doc: "whether its forecast is above its budget: over:yes"},
	{Name: "security", Type: query.Decimal, SQL: "security", Doc: "cost of protection, month to date"},
	{Name: "anomaly", Type: query.Bool, SQL: "anomaly", Doc: "whether its cost is unusual: anomaly:yes"},
	{Name: "risk", Type: query.Decimal, SQL: "risk", Doc: "0 to 100: risk:>=50"},
	{Name: "riskmoney", Type: query.Decimal, SQL: "risk_money", Doc: "risk times money: the order of the list"},
	{Name: "canary", Type: query.Number, SQL: "canary / 1000000000", Doc: "age of its oldest canary that came back, in seconds: canary:>93600"},
	{Name: "uncovered", Type: query.Age, SQL: "uncovered", Doc: "since it is without protection: uncovered:>7d"},
	{Name: "age", Type: query.Age, SQL: "first_seen", Doc: "since it was first seen: age:<7d"},
	{Name: "gap", Type: query.Text, List: true, SQL: "json_each(gaps)", Doc: "something that is not assessed: gap:*; gap:defender-plan"},
}}

var govSubscriptionListing = listing{table: "gov_subscriptions", all: "1=1", columns: govItemColumns, schema: &govSubscriptionFields, first: "clusters", text: map[string]bool{"name": true, "owner": true},
	orders: map[string]string{"name": "name", "owner": "owner", "clusters": "clusters", "registries": "registries", "plan": "plan"}}

var govSubscriptionFields = query.Schema{Fields: []query.Field{
	{Name: "subscription", Aliases: []string{"name", "sub"}, Type: query.Text, Free: true, SQL: "name", Doc: "its name"},
	{Name: "id", Type: query.Text, SQL: "key", Doc: "/subscriptions/guid"},
	{Name: "owner", Type: query.Text, Free: true, SQL: "owner", Doc: "who answers for it: owner:unowned"},
	{Name: "relevant", Type: query.Enum, Words: triWords, First: 1, SQL: "relevant", Doc: "whether it holds a cluster or a registry; unknown where it could not be read"},
	{Name: "plan", Type: query.Enum, Words: triWords, First: 1, SQL: "plan", Doc: "whether Defender for Containers is on: plan:no,unknown"},
	{Name: "clusters", Type: query.Number, SQL: "clusters", Doc: "how many it holds"},
	{Name: "registries", Type: query.Number, SQL: "registries", Doc: "how many it holds"},
	{Name: "missing", Type: query.Text, List: true, SQL: "json_each(missing)", Doc: "an extension of the plan that is off: missing:ContainerSensor"},
	{Name: "group", Type: query.Text, List: true, Free: true, SQL: "json_each(path)", Doc: "a management group above it"},
	{Name: "gap", Type: query.Text, List: true, SQL: "json_each(gaps)", Doc: "something that is not assessed: gap:*"},
}}

// verdictOrder puts what fails first, then what is not assessed.
const verdictOrder = "(CASE verdict WHEN 'fail' THEN 40 WHEN 'not-assessed' THEN 30 WHEN 'exempt' THEN 20 WHEN 'pass' THEN 10 ELSE 0 END + severity)"

var govResultListing = listing{table: "gov_results", all: "1=1", columns: govItemColumns, schema: &govResultFields, first: "verdict", text: map[string]bool{"control": true, "cluster": true, "owner": true},
	orders: map[string]string{"verdict": verdictOrder, "severity": "severity", "control": "control", "cluster": "cluster", "owner": "owner", "failing": "failing"}}

var govResultFields = query.Schema{Fields: []query.Field{
	{Name: "control", Type: query.Text, Free: true, SQL: "control", Doc: "id of the control"},
	{Name: "verdict", Type: query.Text, SQL: "verdict", Doc: "pass, fail, not-assessed, exempt, not-applicable"},
	{Name: "severity", Aliases: []string{"sev"}, Type: query.Ranked, Words: finding.SeverityWords(), First: int64(finding.Informational), SQL: "severity", Doc: "of the control: severity:>=high"},
	{Name: "framework", Type: query.Text, List: true, Where: "control IN (SELECT control FROM gov_maps WHERE framework {})", Doc: "a framework that asks for it: framework:cis-aks-1.8"},
	{Name: "requirement", Type: query.Text, List: true, Where: "control IN (SELECT control FROM gov_maps WHERE requirement {})", Doc: "the framework's own number: requirement:5.4.1"},
	{Name: "cluster", Type: query.Text, Free: true, SQL: "cluster", Doc: "ARM id of the cluster, else its name here: cluster:*/prod-1"},
	{Name: "resource", Type: query.Text, Free: true, SQL: "resource", Doc: "what was judged: an ARM id, or the cluster"},
	{Name: "owner", Type: query.Text, Free: true, SQL: "owner", Doc: "of the cluster: owner:unowned"},
	{Name: "failing", Type: query.Number, SQL: "failing", Doc: "objects that fail: failing:>10"},
}}

var govRecommendationListing = listing{table: "gov_recommendations", all: "1=1", columns: govItemColumns, schema: &govRecommendationFields, first: "rank", text: map[string]bool{"title": true, "owner": true},
	orders: map[string]string{"rank": "rank", "severity": "severity", "title": "title", "owner": "owner", "count": "count", "workloads": "workloads", "effort": "effort", "due": orLast("due"), "first": orLast("first_seen")}}

var govRecommendationFields = query.Schema{Fields: []query.Field{
	{Name: "title", Type: query.Text, Free: true, SQL: "title", Doc: "what to do, in one line"},
	{Name: "id", Type: query.Text, Free: true, SQL: "id", Doc: "the control's, or defender:key"},
	{Name: "severity", Aliases: []string{"sev"}, Type: query.Ranked, Words: finding.SeverityWords(), First: int64(finding.Informational), SQL: "severity", Doc: "how bad it is not to: severity:>=high"},
	{Name: "owner", Type: query.Text, Free: true, SQL: "owner", Doc: "whose it is: owner:unowned"},
	{Name: "source", Type: query.Text, List: true, SQL: "json_each(sources)", Doc: "who says so: dockreeve, defender"},
	{Name: "overdue", Type: query.Bool, SQL: "overdue", Doc: "whether its time has passed: overdue:yes"},
	{Name: "fixed", Type: query.Bool, SQL: "fixed", Doc: "whether an evaluation has seen it done: fixed:no"},
	{Name: "disagree", Type: query.Bool, SQL: "disagree", Doc: "whether Defender and Dockreeve say different things of it"},
	{Name: "rank", Type: query.Decimal, SQL: "rank", Doc: "risk times workloads by effort"},
	{Name: "count", Type: query.Number, SQL: "count", Doc: "how many resources need it"},
	{Name: "workloads", Type: query.Number, SQL: "workloads", Doc: "how many workloads it touches"},
	{Name: "effort", Type: query.Number, SQL: "effort", Doc: "1 a setting, 2 a change of a workload, 3 a project"},
	{Name: "due", Type: query.Time, SQL: "due", Doc: "when it is due: due:<2026-12-31"},
	{Name: "age", Type: query.Age, SQL: "first_seen", Doc: "since it was first given: age:>30d"},
}}

var govFindingListing = listing{table: "gov_findings", all: "1=1", columns: govItemColumns, schema: &govFindingFields, first: "severity", text: map[string]bool{"rule": true, "owner": true, "subject": true},
	orders: map[string]string{"severity": "severity", "at": "at", "rule": "rule", "owner": "owner", "subject": "subject"}}

var govFindingFields = query.Schema{Fields: []query.Field{
	{Name: "rule", Type: query.Text, Free: true, SQL: "rule", Doc: "what judged: rule:unowned*"},
	{Name: "severity", Aliases: []string{"sev"}, Type: query.Ranked, Words: finding.SeverityWords(), First: int64(finding.Informational), SQL: "severity", Doc: "how bad it is: severity:>=high"},
	{Name: "owner", Type: query.Text, Free: true, SQL: "owner", Doc: "whose it is: owner:unowned"},
	{Name: "kind", Type: query.Text, SQL: "kind", Doc: "of its subject: subscription, cluster, registry, budget…"},
	{Name: "subject", Type: query.Text, Free: true, SQL: "subject", Doc: "what it is about"},
	{Name: "summary", Type: query.Text, Free: true, SQL: "summary", Doc: "the plain sentence"},
	{Name: "age", Type: query.Age, SQL: "at", Doc: "since it was judged: age:<1d"},
}}

// GovItem is one thing of an evaluation, whole.
type GovItem struct {
	Key       string
	Doc       []byte // JSON
	ChangeSeq uint64
}

// GovPage is one page.
type GovPage struct {
	Items    []GovItem
	Next     string
	Total    int64
	TotalAll int64
	Seq      uint64
}

// Governance lists one kind of thing of the current evaluation: clusters by risk times
// money, subscriptions by clusters, results with failures first, recommendations by rank,
// findings by severity, unless said otherwise. The error wraps ErrGovKind.
func (db *DB) Governance(ctx context.Context, kind string, q ImageQuery) (GovPage, error) {
	l := govListing(kind)
	if l == nil {
		return GovPage{}, fmt.Errorf("%w: %.40q", ErrGovKind, kind)
	}
	page := GovPage{Seq: db.Seq()}
	var err error
	page.Next, page.Total, page.TotalAll, err = db.page(ctx, l, q, func(rows *sql.Rows, at *string) (int64, error) {
		var it GovItem
		var n, seq int64
		err := rows.Scan(&n, &it.Key, &seq, &it.Doc, at)
		it.ChangeSeq = uint64(seq)
		page.Items = append(page.Items, it)
		return n, err
	})
	return page, err
}

// GovernanceCluster returns the row of a cluster and its money, by ARM id or by the name
// it has here, as JSON; costs is nil when no money is known. The error wraps ErrNotFound.
func (db *DB) GovernanceCluster(ctx context.Context, id string) (row GovItem, costs []byte, err error) {
	id = short(id)
	var seq int64
	err = db.read.QueryRowContext(ctx, "SELECT key, change_seq, doc FROM gov_clusters WHERE key = ? OR here = ? ORDER BY CASE WHEN key = ? THEN 0 ELSE 1 END LIMIT 1", id, id, id).Scan(&row.Key, &seq, &row.Doc)
	if errors.Is(err, sql.ErrNoRows) || id == "" {
		return row, nil, fmt.Errorf("cluster %q in the last evaluation: %w", id, ErrNotFound)
	}
	if err != nil {
		return row, nil, db.explain(err)
	}
	row.ChangeSeq = uint64(seq)
	err = db.read.QueryRowContext(ctx, "SELECT doc FROM gov_costs WHERE key = ?", row.Key).Scan(&costs)
	if errors.Is(err, sql.ErrNoRows) {
		return row, nil, nil
	}
	return row, costs, db.explain(err)
}

// FirstFindings returns the findings of the current evaluation that are worst, as JSON, by
// severity and then by key, at most limit of them, and how many there are in all.
func (db *DB) FirstFindings(ctx context.Context, limit int) (docs [][]byte, all int64, err error) {
	rows, err := db.read.QueryContext(ctx, "SELECT doc, (SELECT COUNT(*) FROM gov_findings) FROM gov_findings ORDER BY severity DESC, key LIMIT ?", limit)
	if err != nil {
		return nil, 0, db.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b, &all); err != nil {
			return nil, 0, db.explain(err)
		}
		docs = append(docs, b)
	}
	return docs, all, db.explain(rows.Err())
}

// maxClusterResults bounds the results told of one cluster.
const maxClusterResults = 2000

// GovernanceResults returns the results of a cluster, as JSON, failures first, at most
// 2,000 of them.
func (db *DB) GovernanceResults(ctx context.Context, cluster string) ([][]byte, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT doc FROM gov_results WHERE cluster = ? ORDER BY "+verdictOrder+" DESC, control, key LIMIT ?", short(cluster), maxClusterResults)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	var out [][]byte
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, db.explain(err)
		}
		out = append(out, b)
	}
	return out, db.explain(rows.Err())
}

// GovernanceVerdicts counts the current results, by control and verdict.
func (db *DB) GovernanceVerdicts(ctx context.Context) (map[string]map[string]int64, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT control, verdict, COUNT(*) FROM gov_results GROUP BY control, verdict")
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	out := map[string]map[string]int64{}
	for rows.Next() {
		var control, verdict string
		var n int64
		if err := rows.Scan(&control, &verdict, &n); err != nil {
			return nil, db.explain(err)
		}
		if out[control] == nil {
			out[control] = map[string]int64{}
		}
		out[control][verdict] = n
	}
	return out, db.explain(rows.Err())
}
