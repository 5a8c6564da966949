package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
)

// tellUsage samples each minute what namespaces request and use, and tells the sums.
func (a *Agent) tellUsage(ctx context.Context, synced <-chan struct{}) error {
	select {
	case <-synced:
	case <-ctx.Done():
		return nil
	}
	sampler := inventory.Sampler{Cluster: a.opt.Name, Boot: a.start}
	sampler.Sample(a.state, nil, "", a.opt.Clock.Now().UnixNano()) // from here on time counts
	n := 0
	return a.every(ctx, usageEvery, func(ctx context.Context) error {
		used, err := a.opt.Objects.PodCPU(ctx)
		why := ""
		if err != nil {
			why = err.Error()
		}
		now := a.opt.Clock.Now().UnixNano()
		sampler.Sample(a.state, used, why, now)
		if n++; n%usageTold != 0 && !ends(ctx) {
			return nil
		}
		return a.usageRows(ctx, now, sampler.Take(now))
	})
}

// ends tells the last call that every makes, which has a deadline, from the others.
func ends(ctx context.Context) bool { _, last := ctx.Deadline(); return last }

// usageRows sends rows in messages of bounded size.
func (a *Agent) usageRows(ctx context.Context, now int64, rows []inventory.Usage) error {
	const most = 1000
	for len(rows) > 0 {
		part := rows[:min(most, len(rows))]
		rows = rows[len(part):]
		b, err := json.Marshal(inventory.UsageReport{Cluster: a.opt.Name, Time: now, List: part})
		if err != nil {
			return fmt.Errorf("encode usage: %w", err)
		}
		if err := a.opt.Sender.Send(ctx, link.LaneInventory, link.KindUsage, b); err != nil && !errors.Is(err, link.ErrFull) { // a full lane counts its loss
			return fmt.Errorf("send usage: %w", err)
		}
	}
	return nil
}
