package governance

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/query"
	"github.com/dockreeve/dockreeve/report"
	"github.com/dockreeve/dockreeve/store"
)

// Stored is the current evaluation as the store has it, with those of its lists that are
// named (store.GovCluster, …); the others are nil.
func (g *Governance) Stored(ctx context.Context, lists ...string) (*govern.Evaluation, error) {
	doc, _, _, err := g.opt.DB.GovDocument(ctx, store.GovEvaluation)
	if err != nil {
		return nil, err
	}
	ev := &govern.Evaluation{}
	if err := json.Unmarshal(doc, ev); err != nil {
		return nil, fmt.Errorf("stored evaluation: %w", err)
	}
	if len(lists) == 0 {
		return ev, nil
	}
	add := map[string]func([]byte) error{
		store.GovCluster: into(&ev.Clusters), store.GovSubscription: into(&ev.Subscriptions), store.GovRecommendation: into(&ev.Recommendations), store.GovFinding: into(&ev.Findings),
	}
	for _, kind := range lists {
		for cursor := ""; ; {
			page, err := g.opt.DB.Governance(ctx, kind, store.ImageQuery{Limit: store.MaxPage, Cursor: cursor})
			if err != nil {
				return nil, err
			}
			for _, item := range page.Items {
				if err := add[kind](item.Doc); err != nil {
					return nil, fmt.Errorf("stored %s %s: %w", kind, item.Key, err)
				}
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
	}
	return ev, nil
}

// StoredFirst is the current evaluation as the store has it, with the first top of its
// recommendations and findings, and what of those is not in it. That is all that most
// forms of the playbook show, and a small part of what there is.
func (g *Governance) StoredFirst(ctx context.Context, top int) (*govern.Evaluation, report.Rest, error) {
	var rest report.Rest
	ev, err := g.Stored(ctx)
	if err != nil {
		return nil, rest, err
	}
	open, err := query.Parse(store.GovernanceFields(store.GovRecommendation), "fixed:no")
	if err != nil {
		return nil, rest, err
	}
	page, err := g.opt.DB.Governance(ctx, store.GovRecommendation, store.ImageQuery{Filter: open, Limit: top})
	if err != nil {
		return nil, rest, err
	}
	add := into(&ev.Recommendations)
	for _, item := range page.Items {
		if err := add(item.Doc); err != nil {
			return nil, rest, fmt.Errorf("stored recommendation %s: %w", item.Key, err)
		}
	}
	docs, findings, err := g.opt.DB.FirstFindings(ctx, top)
	if err != nil {
		return nil, rest, err
	}
	add = into(&ev.Findings)
	for _, doc := range docs {
		if err := add(doc); err != nil {
			return nil, rest, fmt.Errorf("stored finding: %w", err)
		}
	}
	rest = report.Rest{Recommendations: int(page.Total) - len(page.Items), Fixed: int(page.TotalAll - page.Total), Findings: int(findings) - len(docs)}
	return ev, rest, nil
}

// StoredClusters gives the clusters of the current evaluation, page by page, the riskiest
// first, good until the next one is asked for. The error, after which there are no more,
// wraps store.ErrNotFound when nothing was evaluated yet.
func (g *Governance) StoredClusters(ctx context.Context) iter.Seq2[*govern.ClusterRow, error] {
	return func(yield func(*govern.ClusterRow, error) bool) {
		n := 0
		for cursor := ""; ; {
			page, err := g.opt.DB.Governance(ctx, store.GovCluster, store.ImageQuery{Limit: store.MaxPage, Cursor: cursor})
			if err != nil {
				yield(nil, err)
				return
			}
			for _, item := range page.Items {
				n++
				var r govern.ClusterRow
				if err := json.Unmarshal(item.Doc, &r); err != nil {
					yield(nil, fmt.Errorf("stored cluster %s: %w", item.Key, err))
					return
				}
				if !yield(&r, nil) {
					return
				}
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if n > 0 {
			return
		}
		if _, _, _, err := g.opt.DB.GovDocument(ctx, store.GovEvaluation); err != nil {
			yield(nil, err)
		}
	}
}

// StoredShowback are those of the stored costs that cost.WriteShowback writes; see
// StoredCosts.
func (g *Governance) StoredShowback(ctx context.Context) (*cost.Report, error) {
	doc, _, _, err := g.opt.DB.GovDocument(ctx, store.GovCosts)
	if err != nil {
		return nil, err
	}
	var some struct { // the rest of the document is not decoded
		From       int64             `json:"from"`
		To         int64             `json:"to"`
		Namespaces []cost.Allocation `json:"namespaces"`
		Billed     cost.Money        `json:"billed"`
		Idle       cost.Money        `json:"idle"`
		Shared     cost.Money        `json:"shared"`
		Unassigned cost.Money        `json:"unassigned"`
		Others     []cost.Money      `json:"others"`
	}
	if err := json.Unmarshal(doc, &some); err != nil {
		return nil, fmt.Errorf("stored costs: %w", err)
	}
	return &cost.Report{From: some.From, To: some.To, Namespaces: some.Namespaces, Billed: some.Billed, Idle: some.Idle, Shared: some.Shared, Unassigned: some.Unassigned, Others: some.Others}, nil
}

// StoredCosts are the costs of the current evaluation without its clusters, as the store
// has them. The error wraps store.ErrNotFound where there are none.
func (g *Governance) StoredCosts(ctx context.Context) (*cost.Report, error) {
	doc, _, _, err := g.opt.DB.GovDocument(ctx, store.GovCosts)
	if err != nil {
		return nil, err
	}
	costs := &cost.Report{}
	if err := json.Unmarshal(doc, costs); err != nil {
		return nil, fmt.Errorf("stored costs: %w", err)
	}
	return costs, nil
}

func into[T any](list *[]T) func([]byte) error {
	return func(doc []byte) error {
		var v T
		if err := json.Unmarshal(doc, &v); err != nil {
			return err
		}
		*list = append(*list, v)
		return nil
	}
}
