package governance

import (
	"context"

	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/posture"
)

// Evidence is what an evidence bundle holds beyond the evaluation: facts, reviews,
// controls, and the days of the period with the last one before it. Of the tenant come
// its reads, exemptions and suppressions.
func (g *Governance) Evidence(ctx context.Context, from, to int64) (*govern.Input, error) {
	k, err := g.known(ctx, g.opt.Clock.Now().UnixNano())
	if err != nil {
		return nil, err
	}
	in := k.Input
	in.Observed = nil
	in.Controls = posture.Controls()
	in.History = nil
	for i, d := range k.History {
		if d.At >= to {
			break
		}
		if d.At < from && i+1 < len(k.History) && k.History[i+1].At < from {
			continue
		}
		d.Clusters, d.Subscriptions = nil, nil
		in.History = append(in.History, d)
	}
	if t := in.Tenant; t != nil {
		in.Tenant = &cloud.Tenant{ID: t.ID, Name: t.Name, Source: t.Source, Collected: t.Collected, Finished: t.Finished, Reads: t.Reads, Exemptions: t.Exemptions, Suppressions: t.Suppressions}
	}
	return &in, nil
}
