package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/posture"
)

// table writes CSV whose texts no spreadsheet takes for formulas.
func table(w io.Writer, header []string, rows func(func(...string)) error) error {
	out := csv.NewWriter(w)
	if err := out.Write(header); err != nil {
		return err
	}
	err := rows(func(cells ...string) {
		for i, c := range cells {
			cells[i] = cell(c)
		}
		_ = out.Write(cells) // kept by the writer and returned below
	})
	out.Flush()
	if err != nil {
		return err
	}
	return out.Error()
}

func yesOrWhy(a inventory.Assessed) string {
	switch {
	case a.NotAssessed != "":
		return "not assessed: " + a.NotAssessed
	case a.Value:
		return "yes"
	}
	return "no"
}

func moneyCell(m cost.Money) string {
	if m.NotAssessed != "" || m.Currency == "" {
		return ""
	}
	return strconv.FormatFloat(m.Amount.Float(), 'f', 2, 64)
}

func countCell(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

func timeCell(ns int64) string {
	if ns == 0 {
		return ""
	}
	return time.Unix(0, ns).UTC().Format(time.RFC3339)
}

// Clusters writes one line of CSV for each cluster. What is not assessed is an empty cell
// or says why, never a zero.
func Clusters(w io.Writer, ev *govern.Evaluation) error {
	return ClusterRows(w, func(yield func(*govern.ClusterRow, error) bool) {
		for i := range ev.Clusters {
			if !yield(&ev.Clusters[i], nil) {
				return
			}
		}
	})
}

// ClusterRows is Clusters of rows that are read as they are written, so that they are never
// all in memory. It ends with the first error among them.
func ClusterRows(w io.Writer, rows iter.Seq2[*govern.ClusterRow, error]) error {
	return table(w, []string{"name", "id", "kind", "subscription", "location", "environment", "environment_from", "production", "owner", "owner_from", "business_unit", "cost_centre", "missing_tags",
		"protected", "inside", "images", "runtime", "enforcement", "why", "plan", "profile", "policy_addon", "audit_export", "agents", "score", "critical_running", "alerts_open",
		"month_to_date", "budget", "forecast", "security_cost", "currency", "anomaly", "risk", "first_seen", "uncovered_since", "stopped"}, func(row func(...string)) error {
		for r, err := range rows {
			if err != nil {
				return err
			}
			score, why := "", ""
			if r.Score != nil {
				score = strconv.FormatFloat(*r.Score, 'f', 3, 64)
			}
			for _, p := range []govern.Row{r.Inside, r.Images, r.Runtime} {
				if p.State != govern.RowClosed && why == "" {
					why = p.Why
				}
			}
			row(r.Name, r.ID, r.Kind, r.SubscriptionName, r.Location, r.Environment, r.EnvironmentFrom, strconv.FormatBool(r.Production), r.Ownership.Owner, r.Ownership.From, r.Ownership.BusinessUnit, r.Ownership.CostCentre, strings.Join(r.Ownership.Missing, " "),
				yesOrWhy(r.Protected), r.Inside.State, r.Images.State, r.Runtime.State, r.Enforcement.State, why, yesOrWhy(r.Plan), yesOrWhy(r.Profile), yesOrWhy(r.PolicyAddon), yesOrWhy(r.AuditExport.Assessed), yesOrWhy(r.Agents), score, countCell(r.Critical), countCell(r.AlertsOpen),
				moneyCell(r.MonthToDate), moneyCell(r.Budget), moneyCell(r.Forecast), moneyCell(r.Security), r.MonthToDate.Currency, r.Anomaly, fmt.Sprintf("%.1f", r.Risk), timeCell(r.FirstSeen), timeCell(r.UncoveredSince), strconv.FormatBool(r.Stopped))
		}
		return nil
	})
}

// Results writes one line of CSV for each verdict, with its first evidence.
func Results(w io.Writer, list []posture.Result, controls []posture.Control) error {
	known := map[string]*posture.Control{}
	for i := range controls {
		known[controls[i].ID] = &controls[i]
	}
	return table(w, []string{"control", "cis_aks_1_8", "title", "severity", "cluster", "resource", "verdict", "reason", "checked", "failing", "evidence", "at", "exempted"}, func(row func(...string)) error {
		for i := range list {
			r := &list[i]
			var title, severity, ids string
			if c := known[r.Control]; c != nil {
				title, severity, ids = c.Title, c.Severity, strings.Join(c.Maps["cis-aks-1.8"], " ")
			}
			evidence := ""
			if len(r.Evidence) > 0 {
				e := r.Evidence[0]
				evidence = e.Where + " " + e.Field + " = " + e.Value + " (" + e.From + ")"
			}
			row(r.Control, ids, title, severity, r.Cluster, r.Resource, string(r.Verdict), r.Reason, strconv.Itoa(r.Checked), strconv.Itoa(r.Failing), evidence, timeCell(r.At), r.Exempted)
		}
		return nil
	})
}
