package store

import (
	"math"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/posture"
)

// govTable is a table of rows with a key, a document and copies for filters.
type govTable struct {
	name            string
	max             int
	put, drop, last string // statements
}

func govTableOf(name string, most int, columns string) govTable {
	all := []string{"n", "key", "hash", "change_seq", "doc"}
	if columns != "" {
		all = append(all, strings.Fields(columns)...)
	}
	var set []string
	for _, c := range all[2:] {
		set = append(set, c+" = excluded."+c)
	}
	return govTable{
		name: name, max: most,
		put:  "INSERT INTO " + name + " (" + strings.Join(all, ", ") + ") VALUES (?" + strings.Repeat(",?", len(all)-1) + ") ON CONFLICT (key) DO UPDATE SET " + strings.Join(set, ", "),
		drop: "DELETE FROM " + name + " WHERE key = ?",
		last: "SELECT COALESCE(MAX(n),0) FROM " + name,
	}
}

var (
	govClusters = govTableOf("gov_clusters", maxGovClusters, `name kind here subscription resource_group location version owner business_unit cost_centre environment production stopped
		protected plan profile policy agents audited inside images runtime enforcement score score_change critical exploited alerts cost budget forecast security anomaly risk risk_money canary uncovered first_seen gaps`)
	govCosts           = govTableOf("gov_costs", maxGovClusters, "")
	govSubscriptions   = govTableOf("gov_subscriptions", maxGovSubscriptions, "name owner relevant plan clusters registries missing path gaps")
	govResults         = govTableOf("gov_results", maxGovResults, "control cluster resource verdict severity owner failing")
	govRecommendations = govTableOf("gov_recommendations", maxGovRecommendations, "id title severity owner sources overdue fixed disagree rank count workloads effort due first_seen")
	govFindings        = govTableOf("gov_findings", maxGovFindings, "rule severity owner kind subject summary at")
)

func clusterColumnsOf(r *govern.ClusterRow) (string, []any) {
	o := &r.Ownership
	return r.ID, []any{
		short(r.Name), short(r.Kind), short(r.Here), either(r.SubscriptionName, r.Subscription), short(r.ResourceGroup), short(r.Location), short(r.Version), short(o.Owner), short(o.BusinessUnit), short(o.CostCentre),
		short(r.Environment), flag(r.Production), flag(r.Stopped),
		tri(r.Protected), tri(r.Plan), tri(r.Profile), tri(r.PolicyAddon), tri(r.Agents), tri(r.AuditExport.Assessed), short(r.Inside.State), short(r.Images.State), short(r.Runtime.State), short(r.Enforcement.State),
		microsOrNull(r.Score), microsOrNull(r.ScoreChange7d), countOrNull(r.Critical), int64(r.Exploited), countOrNull(r.AlertsOpen),
		amountOrNull(&r.MonthToDate), amountOrNull(&r.Budget), amountOrNull(&r.Forecast), amountOrNull(&r.Security), flag(r.Anomaly != ""), micros(r.Risk), micros(r.RiskMoney),
		timeOrNull(r.CanaryAge), timeOrNull(r.UncoveredSince), timeOrNull(r.FirstSeen), gapList(r.Gaps),
	}
}

func subscriptionColumnsOf(r *govern.SubscriptionRow) (string, []any) {
	return r.ID, []any{short(r.Name), short(r.Owner.Owner), tri(r.Relevant), tri(r.Plan), int64(r.Clusters), int64(r.Registries), shortList(r.Missing), shortList(r.Path), gapList(r.Gaps)}
}

func resultColumnsOf(r *posture.Result, controls map[string]*posture.Control, owners map[string]string) (string, []any) {
	severity := finding.SeverityNone
	if c := controls[r.Control]; c != nil {
		severity = severityWord(c.Severity)
	}
	owner := owners[r.Cluster]
	if owner == "" {
		owner = inventory.Unowned
	}
	key := r.Control + "@" + r.Resource
	if r.Cluster != r.Resource && r.Cluster != "" && !strings.HasPrefix(r.Resource, r.Cluster) {
		key = r.Control + "@" + r.Cluster + "@" + r.Resource
	}
	return key, []any{short(r.Control), short(r.Cluster), short(r.Resource), short(string(r.Verdict)), int64(severity), short(owner), int64(r.Failing)}
}

func recommendationColumnsOf(r *govern.Recommendation) (string, []any) {
	return r.ID + "@" + r.Owner, []any{short(r.ID), short(r.Title), int64(severityWord(r.Severity)), short(r.Owner), shortList(r.Sources), flag(r.Overdue), flag(r.Fixed != 0), flag(r.Disagree != ""),
		micros(r.Rank), int64(r.Count), int64(r.Workloads), int64(r.Effort), timeOrNull(r.Due), timeOrNull(r.FirstSeen)}
}

func findingColumnsOf(f *govern.Finding) (string, []any) {
	return f.Key, []any{short(f.Rule), int64(f.Severity), short(f.Owner), short(f.Subject.Kind), either(f.Subject.Name, f.Subject.ID), short(f.Summary), f.At}
}

func either(a, b string) string {
	if a == "" {
		a = b
	}
	return short(a)
}

// severityWord reads the word of a severity; what is no such word is none.
func severityWord(s string) finding.Severity {
	if i := slices.Index(finding.SeverityWords(), strings.ToLower(s)); i >= 0 {
		return finding.Informational + finding.Severity(i)
	}
	return finding.SeverityNone
}

// triWords are the answers to a question that may not be assessed; stored as 1 plus the index.
var triWords = []string{"yes", "no", "unknown"}

func tri(a inventory.Assessed) int64 {
	switch {
	case a.NotAssessed != "":
		return 3
	case a.Value:
		return 1
	}
	return 2
}

// micros is millionths, held within what a column can hold.
func micros(f float64) int64 {
	f *= 1e6
	switch {
	case math.IsNaN(f):
		return 0
	case f > 9e18:
		return 9e18
	case f < -9e18:
		return -9e18
	}
	return int64(math.Round(f))
}

func microsOrNull(f *float64) any {
	if f == nil {
		return nil
	}
	return micros(*f)
}

func countOrNull(n *int) any {
	if n == nil {
		return nil
	}
	return int64(*n)
}

func timeOrNull(t int64) any {
	if t == 0 {
		return nil
	}
	return t
}

func amountOrNull(m *cost.Money) any {
	if m.NotAssessed != "" || m.Currency == "" {
		return nil
	}
	return int64(m.Amount)
}

func gapList(gaps []inventory.Gap) string {
	var out []string
	for i := range gaps {
		out = append(out, gaps[i].What)
	}
	return shortList(out)
}
