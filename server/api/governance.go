package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/api/dockreeve/v1/dockreevev1connect"
	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/posture"
	"github.com/dockreeve/dockreeve/query"
	"github.com/dockreeve/dockreeve/store"
)

var _ dockreevev1connect.GovernanceServiceHandler = (*API)(nil)

// Why there is nothing, and what to do about it.
const (
	notEvaluated = "nothing was evaluated yet"
	evaluate     = "hand a snapshot of the tenant in: dockreeve azure collect, then dockreeve azure import; or wait for the first evaluation"
)

func inventoryGap(g *inventory.Gap) *v1.Gap {
	return &v1.Gap{What: text(g.What), Reason: text(g.Reason), Remedy: text(g.Remedy)}
}

// governanceGaps are what stands behind everything that the evaluation says.
func (a *API) governanceGaps(ctx context.Context) ([]*v1.Gap, error) {
	var out []*v1.Gap
	if a.opt.Governance == nil {
		out = append(out, &v1.Gap{What: "governance", Reason: "this server evaluates nothing: what is shown was evaluated before", Remedy: "run dockreeve server"})
	} else {
		for _, g := range a.opt.Governance.Status() {
			out = append(out, inventoryGap(&g))
		}
	}
	at, err := a.opt.DB.GovWriting(ctx)
	if err == nil && at > 0 {
		out = append(out, &v1.Gap{What: "lists of governance", Reason: "the evaluation of " + time.Unix(0, at).UTC().Format(time.RFC3339) + " is being written: lists may hold some of it already", Remedy: "ask again in a moment"})
	}
	return out, err
}

// GetGovernance answers the evaluation without its lists.
func (a *API) GetGovernance(ctx context.Context, _ *connect.Request[v1.GetGovernanceRequest]) (*connect.Response[v1.GetGovernanceResponse], error) {
	out := &v1.GetGovernanceResponse{}
	var err error
	if out.Gaps, err = a.governanceGaps(ctx); err != nil {
		return nil, a.fail(err)
	}
	doc, at, seq, err := a.opt.DB.GovDocument(ctx, store.GovEvaluation)
	if errors.Is(err, store.ErrNotFound) {
		out.NotAssessed, out.Remedy = notEvaluated, evaluate
		return connect.NewResponse(out), nil
	}
	if err != nil {
		return nil, a.fail(err)
	}
	out.EvaluationJson, out.At, out.ChangeSeq = text(string(doc)), at, seq
	return connect.NewResponse(out), nil
}

// ListGovernance answers one page of one kind of thing.
func (a *API) ListGovernance(ctx context.Context, req *connect.Request[v1.ListGovernanceRequest]) (*connect.Response[v1.ListGovernanceResponse], error) {
	schema := store.GovernanceFields(req.Msg.Kind)
	if schema == nil {
		return nil, a.fail(fmt.Errorf("%w: %.40q", store.ErrGovKind, req.Msg.Kind))
	}
	q, err := a.imageQuery(schema, req.Msg.Filter, req.Msg.Order, req.Msg.Cursor, req.Msg.PageSize)
	if err != nil {
		return nil, a.fail(err)
	}
	page, err := a.opt.DB.Governance(ctx, req.Msg.Kind, q)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.ListGovernanceResponse{NextCursor: page.Next, Total: page.Total, TotalAll: page.TotalAll, ChangeSeq: page.Seq}
	if out.NotAssessed, err = a.governanceGaps(ctx); err != nil {
		return nil, a.fail(err)
	}
	if out.At, err = a.opt.DB.GovEvaluated(ctx); err != nil {
		return nil, a.fail(err)
	}
	if out.At == 0 {
		out.NotAssessed = append(out.NotAssessed, &v1.Gap{What: "governance", Reason: notEvaluated, Remedy: evaluate})
	}
	for i := range page.Items {
		out.Items = append(out.Items, &v1.GovernanceItem{Key: text(page.Items[i].Key), DocJson: text(string(page.Items[i].Doc))})
	}
	return connect.NewResponse(out), nil
}

// GetGovernanceCluster answers one cluster with the evidence behind its row.
func (a *API) GetGovernanceCluster(ctx context.Context, req *connect.Request[v1.GetGovernanceClusterRequest]) (*connect.Response[v1.GetGovernanceClusterResponse], error) {
	row, costs, err := a.opt.DB.GovernanceCluster(ctx, req.Msg.Id)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.GetGovernanceClusterResponse{ClusterJson: text(string(row.Doc)), CostJson: text(string(costs))}
	results, err := a.opt.DB.GovernanceResults(ctx, row.Key)
	if err != nil {
		return nil, a.fail(err)
	}
	out.ResultsJson = text(list(results))
	var c struct {
		Name, Here string
	}
	if err := json.Unmarshal(row.Doc, &c); err != nil {
		return nil, a.fail(fmt.Errorf("cluster %s: stored row: %w", row.Key, err))
	}
	if out.HistoryJson, err = a.clusterHistory(ctx, row.Key, costs); err != nil {
		return nil, a.fail(err)
	}
	if out.AnomaliesJson, err = a.clusterAnomalies(ctx, row.Key); err != nil {
		return nil, a.fail(err)
	}
	name := c.Here
	if name == "" {
		name = c.Name // alerts of governance and of Defender name it so
	}
	if out.Alerts, err = a.alertsWith(ctx, "cluster", name); err != nil {
		return nil, a.fail(err)
	}
	return connect.NewResponse(out), nil
}

// list writes documents as one list.
func list(docs [][]byte) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, d := range docs {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(d)
	}
	b.WriteByte(']')
	return b.String()
}

func (a *API) clusterHistory(ctx context.Context, id string, costs []byte) (string, error) {
	at, days, err := a.opt.DB.GovClusterDays(ctx, id)
	if err != nil {
		return "", err
	}
	h := map[string][]govern.Point{"score": {}, "protected": {}, "cost": {}}
	for i := range days {
		d := &days[i]
		if d.Score != nil {
			h["score"] = append(h["score"], govern.Point{At: at[i], Value: *d.Score})
		}
		switch d.Protected {
		case "yes":
			h["protected"] = append(h["protected"], govern.Point{At: at[i], Value: 1, Of: 1})
		case "no":
			h["protected"] = append(h["protected"], govern.Point{At: at[i], Of: 1})
		}
	}
	if costs != nil {
		var c cost.ClusterCost
		if err := json.Unmarshal(costs, &c); err != nil {
			return "", fmt.Errorf("cluster %s: stored costs: %w", id, err)
		}
		for _, d := range c.Days {
			if t, err := time.Parse(time.DateOnly, d.Day); err == nil {
				h["cost"] = append(h["cost"], govern.Point{At: t.UnixNano(), Value: d.Billed.Float()})
			}
		}
	}
	b, err := json.Marshal(h)
	return string(b), err
}

func (a *API) clusterAnomalies(ctx context.Context, id string) (string, error) {
	doc, _, _, err := a.opt.DB.GovDocument(ctx, store.GovAnomalies)
	if errors.Is(err, store.ErrNotFound) {
		return "[]", nil
	}
	if err != nil {
		return "", err
	}
	var all []cost.Anomaly
	if err := json.Unmarshal(doc, &all); err != nil {
		return "", fmt.Errorf("stored anomalies: %w", err)
	}
	own := []cost.Anomaly{}
	for _, x := range all {
		if strings.EqualFold(x.Cluster, id) {
			own = append(own, x)
		}
	}
	b, err := json.Marshal(own)
	return string(b), err
}

// Bounds of what GetCost tells; what is beyond is told of in the report's gaps.
const (
	maxCostNamespaces = 1000
	maxAlertMarks     = store.MaxPage
)

// GetCost answers the cost report without its clusters, for a window of its days.
func (a *API) GetCost(ctx context.Context, req *connect.Request[v1.GetCostRequest]) (*connect.Response[v1.GetCostResponse], error) {
	out := &v1.GetCostResponse{}
	doc, at, _, err := a.opt.DB.GovDocument(ctx, store.GovCosts)
	if errors.Is(err, store.ErrNotFound) {
		out.NotAssessed, out.Remedy = "no costs were computed yet", "hand a bill in: dockreeve cost import, or a snapshot with costs: dockreeve azure collect, then dockreeve azure import"
		return connect.NewResponse(out), nil
	}
	if err != nil {
		return nil, a.fail(err)
	}
	var r cost.Report
	if err := json.Unmarshal(doc, &r); err != nil {
		return nil, a.fail(fmt.Errorf("stored costs: %w", err))
	}
	from, to := req.Msg.From, req.Msg.To
	if from < 0 || to < 0 || to > 0 && to <= from {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("from and to: want Unix nanoseconds, to after from; 0 is the report's own"))
	}
	if from == 0 {
		from = r.From
	}
	if to == 0 {
		to = r.To
	}
	window(&r, from, to)
	b, err := json.Marshal(&r)
	if err != nil {
		return nil, a.fail(err)
	}
	out.ReportJson, out.At = text(string(b)), at
	if out.Alerts, err = a.alertMarks(ctx, from, to); err != nil {
		return nil, a.fail(err)
	}
	return connect.NewResponse(out), nil
}

// window keeps of a report's series what lies in it. Sums stay those of the report.
func window(r *cost.Report, from, to int64) {
	first, last := time.Unix(0, from).UTC().Format(time.DateOnly), time.Unix(0, to).UTC().Format(time.DateOnly)
	lo, hi := 0, len(r.Days) // days are in order
	for lo < hi && r.Days[lo].Day < first {
		lo++
	}
	for hi > lo && r.Days[hi-1].Day > last {
		hi--
	}
	r.Days = r.Days[lo:hi]
	for i := range r.Allocated { // beside the days; one stored by an earlier version has none
		if s := &r.Allocated[i]; len(s.Days) >= hi {
			s.Days = s.Days[lo:hi]
		}
	}
	anomalies := r.Anomalies[:0]
	for _, x := range r.Anomalies {
		if x.To >= from && x.From <= to {
			anomalies = append(anomalies, x)
		}
	}
	r.Anomalies = anomalies
	if n := len(r.Namespaces) - maxCostNamespaces; n > 0 {
		r.Namespaces = r.Namespaces[:maxCostNamespaces]
		r.Gaps = append(r.Gaps, cost.Gap{What: "namespaces", Reason: fmt.Sprintf("%d more are not told here", n), Remedy: "dockreeve cost -o csv has them all"})
	}
}

// alertMarks are the high and critical alerts of a time, the newest first.
func (a *API) alertMarks(ctx context.Context, from, to int64) ([]*v1.AlertMark, error) {
	filter, err := query.Parse(store.AlertFields(), "severity:>=high -rule:"+store.GovernanceRule+"* last:>="+stamp(from)+" first:<="+stamp(to))
	if err != nil {
		return nil, err
	}
	page, err := a.opt.DB.Alerts(ctx, store.AlertQuery{Filter: filter, Limit: maxAlertMarks, Now: a.now()})
	if err != nil {
		return nil, err
	}
	var out []*v1.AlertMark
	for i := range page.Alerts {
		x := &page.Alerts[i]
		m := &v1.AlertMark{Id: x.ID, Title: x.Latest.Rule.Name, Severity: v1.Severity(x.Severity), At: max(x.FirstSeen, from), Cluster: x.Latest.Subject.Cluster}
		for _, t := range x.Latest.Rule.Techniques {
			m.Miner = m.Miner || t == minerTechnique || strings.HasPrefix(t, minerTechnique+".")
		}
		out = append(out, m)
	}
	return out, nil
}

// minerTechnique is ATT&CK's resource hijacking.
const minerTechnique = "T1496"

func stamp(at int64) string { return `"` + time.Unix(0, at).UTC().Format(time.RFC3339Nano) + `"` }

// GetCompliance answers controls, scores, their history and counts.
func (a *API) GetCompliance(ctx context.Context, _ *connect.Request[v1.GetComplianceRequest]) (*connect.Response[v1.GetComplianceResponse], error) {
	out := &v1.GetComplianceResponse{}
	doc, at, _, err := a.opt.DB.GovDocument(ctx, store.GovControls)
	if errors.Is(err, store.ErrNotFound) {
		out.NotAssessed = notEvaluated
		return connect.NewResponse(out), nil
	}
	if err != nil {
		return nil, a.fail(err)
	}
	out.ControlsJson, out.At = text(string(doc)), at
	if doc, _, _, err = a.opt.DB.GovDocument(ctx, store.GovScores); err != nil {
		return nil, a.fail(err)
	}
	var scores map[string][]posture.Score
	if err := json.Unmarshal(doc, &scores); err != nil {
		return nil, a.fail(fmt.Errorf("stored scores: %w", err))
	}
	out.ScoresJson = text(string(doc))
	if out.HistoryJson, err = a.scoreHistory(ctx); err != nil {
		return nil, a.fail(err)
	}
	counts, err := a.opt.DB.GovernanceVerdicts(ctx)
	if err != nil {
		return nil, a.fail(err)
	}
	b, err := json.Marshal(counts)
	if err != nil {
		return nil, a.fail(err)
	}
	out.ResultsJson = string(b)
	return connect.NewResponse(out), nil
}

func (a *API) scoreHistory(ctx context.Context) (string, error) {
	days, err := a.opt.DB.GovDays(ctx, a.now()+1, 0)
	if err != nil {
		return "", err
	}
	h := map[string][]govern.Point{}
	for i := range days {
		for name, v := range days[i].Values {
			if framework, ok := strings.CutPrefix(name, "score."); ok {
				h[framework] = append(h[framework], govern.Point{At: days[i].At, Value: v})
			}
		}
	}
	b, err := json.Marshal(h)
	return string(b), err
}

// ListReviews answers every review that is kept, the newest first.
func (a *API) ListReviews(ctx context.Context, _ *connect.Request[v1.ListReviewsRequest]) (*connect.Response[v1.ListReviewsResponse], error) {
	list, err := a.opt.DB.Reviews(ctx)
	if err != nil {
		return nil, a.fail(err)
	}
	b, err := json.Marshal(list)
	if err != nil {
		return nil, a.fail(err)
	}
	if list == nil {
		b = []byte("[]")
	}
	return connect.NewResponse(&v1.ListReviewsResponse{ReviewsJson: text(string(b))}), nil
}

// openItems is how many things a review of a subject looked at; 0 where that is not counted.
func (a *API) openItems(ctx context.Context, subject, scope string) (int, error) {
	if subject != govern.ReviewRecommendations {
		return 0, nil
	}
	schema := store.GovernanceFields(store.GovRecommendation)
	q, err := query.Parse(schema, "fixed:no")
	if err != nil {
		return 0, err
	}
	if scope != "" && !strings.HasPrefix(scope, "/") {
		for i := range schema.Fields {
			if schema.Fields[i].Name == "owner" {
				q.Terms = append(q.Terms, query.Term{Field: &schema.Fields[i], Values: []query.Value{{Text: scope}}})
			}
		}
	}
	page, err := a.opt.DB.Governance(ctx, store.GovRecommendation, store.ImageQuery{Filter: q, Limit: 1, Now: a.now()})
	return int(page.Total), err
}
