package tenant

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/source/azure"
)

// doc is a JSON object on its way out.
type doc = map[string]any

// emit takes one document.
type emit func(doc) error

// Ask is one read: what of which scope.
type Ask struct {
	What  string // one of cloud's Read… words
	Scope string // id of a subscription or cluster in lower case; "" = the tenant
}

// perSubscription are the reads of a subscription, in order.
var perSubscription = []string{
	cloud.ReadResourceGroups, cloud.ReadClusters, cloud.ReadArc, cloud.ReadRegistries, cloud.ReadOthers, cloud.ReadPlan, cloud.ReadAssignments,
	cloud.ReadExemptions, cloud.ReadStates, cloud.ReadRoles, cloud.ReadBudgets, cloud.ReadCostAlerts, cloud.ReadCosts, cloud.ReadAmortized, cloud.ReadActivity,
	cloud.ReadAlerts, cloud.ReadAssessments, cloud.ReadSuppressions,
}

// Asks are all reads of a whole collection, in a stable order.
func (w *World) Asks() []Ask {
	out := []Ask{{What: cloud.ReadGroups}, {What: cloud.ReadSubscriptions}, {What: cloud.ReadDefinitions}, {What: cloud.ReadPrices}, {What: cloud.ReadSizes}}
	for _, s := range w.subs {
		for _, what := range perSubscription {
			out = append(out, Ask{what, s.id()})
		}
		if s.Fault == faultDenied {
			continue // its clusters are not known of
		}
		for _, c := range s.clusters {
			if c.Arc {
				out = append(out, Ask{cloud.ReadExtensions, c.id()})
				continue
			}
			out = append(out, Ask{cloud.ReadClusterPlan, c.id()}, Ask{cloud.ReadDiagnostics, c.id()})
		}
	}
	return out
}

// Records gives every document and the outcome of every read, in the order in which a
// collection asks. It ends with the first error that the function returns.
func (w *World) Records(out func(azure.Record) error) error {
	return w.each(func(string) bool { return true }, out)
}

// each gives those of the reads that are wanted.
func (w *World) each(wanted func(what string) bool, out func(azure.Record) error) error {
	for _, ask := range w.Asks() {
		if !wanted(ask.What) {
			continue
		}
		read := w.Outcome(ask)
		half := w.half(ask)
		err := w.Each(ask, func(d json.RawMessage) error {
			if read.Outcome == cloud.ReadPartial && read.Rows >= half {
				return errHalf
			}
			read.Rows++
			return out(azure.Record{What: ask.What, Scope: ask.Scope, Doc: d})
		})
		if err != nil && err != errHalf {
			return err
		}
		if err := out(azure.Record{What: ask.What, Scope: ask.Scope, Read: &read}); err != nil {
			return err
		}
	}
	return nil
}

var errHalf = fmt.Errorf("the rest of the page did not come")

// half is how many documents of a partial read come.
func (w *World) half(ask Ask) int {
	s := w.bySub[ask.Scope]
	if s == nil {
		return 0
	}
	return len(s.clusters) + 1
}

// Outcome says what comes of a read, without its count of rows.
func (w *World) Outcome(ask Ask) cloud.Read {
	read := cloud.Read{Scope: ask.Scope, What: ask.What, At: w.now.UnixNano(), Outcome: cloud.ReadOK}
	s := w.bySub[ask.Scope]
	if c := w.byID[ask.Scope]; c != nil && (c.sub.Fault == faultDenied || c.sub.Fault == faultAbsent) {
		s = c.sub
	}
	if s == nil {
		return read
	}
	security := ask.What == cloud.ReadClusterPlan || ask.What == cloud.ReadPlan || ask.What == cloud.ReadAlerts || ask.What == cloud.ReadAssessments || ask.What == cloud.ReadSuppressions
	switch {
	case s.Fault == faultDenied:
		read.Outcome = cloud.ReadDenied
		read.Reason = "the identity that reads has no right to this subscription"
		read.Remedy = "give it Reader and Security Reader on " + s.path() + ", or on a management group above it"
	case s.Fault == faultThrottled && ask.What == cloud.ReadStates:
		read.Outcome = cloud.ReadThrottled
		read.Reason = "told to wait for longer than was allowed"
		read.Remedy = "collect again later, or allow longer waits"
	case s.Fault == faultPartial && ask.What == cloud.ReadAssessments:
		read.Outcome = cloud.ReadPartial
		read.Reason = "the answer ended in the middle of a page"
		read.Remedy = "collect again"
	case s.Fault == faultAbsent && security:
		read.Outcome = cloud.ReadAbsent
		read.Reason = "Microsoft.Security is not registered in this subscription"
	}
	return read
}

// Each gives the documents of one read, as they would come if nothing went wrong but for
// rights: a read that is denied, throttled or absent has none.
func (w *World) Each(ask Ask, out func(json.RawMessage) error) error {
	switch w.Outcome(ask).Outcome {
	case cloud.ReadOK, cloud.ReadPartial:
	default:
		return nil
	}
	return w.Whole(ask, out)
}

// Whole gives the documents of one read as Azure holds them, whoever may read them.
func (w *World) Whole(ask Ask, out func(json.RawMessage) error) error {
	write := func(d doc) error {
		b, err := json.Marshal(d)
		if err != nil {
			return fmt.Errorf("%s of %q: %w", ask.What, ask.Scope, err)
		}
		return out(b)
	}
	switch ask.What {
	case cloud.ReadGroups:
		return w.groupDocs(write)
	case cloud.ReadSubscriptions:
		return w.subscriptionDocs(write)
	case cloud.ReadDefinitions:
		return w.definitionDocs(write)
	case cloud.ReadPrices:
		return w.priceDocs(write)
	case cloud.ReadSizes:
		return w.sizeDocs(write)
	case cloud.ReadClusterPlan, cloud.ReadDiagnostics, cloud.ReadExtensions:
		c := w.byID[ask.Scope]
		if c == nil {
			return fmt.Errorf("read %s: no cluster %q in the demo tenant", ask.What, ask.Scope)
		}
		switch ask.What {
		case cloud.ReadClusterPlan:
			return w.clusterPlanDocs(c, write)
		case cloud.ReadDiagnostics:
			return w.diagnosticDocs(c, write)
		}
		return w.extensionDocs(c, write)
	}
	s := w.bySub[strings.ToLower(ask.Scope)]
	if s == nil {
		return fmt.Errorf("read %s: no subscription %q in the demo tenant", ask.What, ask.Scope)
	}
	reads := map[string]func(*subscription, emit) error{
		cloud.ReadResourceGroups: w.resourceGroupDocs, cloud.ReadClusters: w.clusterDocs, cloud.ReadArc: w.arcDocs, cloud.ReadRegistries: w.registryDocs,
		cloud.ReadOthers: w.otherDocs, cloud.ReadPlan: w.planDocs, cloud.ReadAssignments: w.assignmentDocs, cloud.ReadExemptions: w.exemptionDocs,
		cloud.ReadStates: w.stateDocs, cloud.ReadRoles: w.roleDocs, cloud.ReadBudgets: w.budgetDocs, cloud.ReadCostAlerts: w.costAlertDocs,
		cloud.ReadCosts: w.actualDocs, cloud.ReadAmortized: w.amortizedDocs, cloud.ReadActivity: w.activityDocs, cloud.ReadAlerts: w.alertDocs, cloud.ReadAssessments: w.assessmentDocs,
		cloud.ReadSuppressions: w.suppressionDocs,
	}
	read := reads[ask.What]
	if read == nil {
		return fmt.Errorf("read %q: the demo tenant has no such documents", ask.What)
	}
	return read(s, write)
}
