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

// canary asks the API server something harmless now and then that its audit log must
// show: the finding of rule canary-audit is the proof that it arrives.
func (a *Agent) canary(ctx context.Context, synced <-chan struct{}) error {
	if a.opt.CanaryEvery < 0 {
		return nil
	}
	every := a.opt.CanaryEvery
	if every == 0 {
		every = canaryEvery
	}
	select {
	case <-synced:
	case <-ctx.Done():
		return nil
	}
	for wait := min(canaryFirst, every); ; wait = every {
		ring, stop := a.opt.Clock.After(wait)
		select {
		case <-ring:
		case <-ctx.Done():
			stop()
			return nil
		}
		c := inventory.Canary{Kind: "audit", Every: int64(every), Sent: a.opt.Clock.Now().UnixNano()}
		a.mu.Lock()
		watched := len(a.ways) > 0
		a.mu.Unlock()
		if !watched {
			c.Sent, c.NotAssessed = 0, "the API server is not watched: see docs/audit.md"
		} else if err := a.opt.Objects.Canary(ctx); err != nil && ctx.Err() == nil {
			c.Sent, c.NotAssessed = 0, "the canary could not be sent: "+err.Error()
		}
		b, err := json.Marshal(inventory.CanaryReport{Cluster: a.opt.Name, Time: a.opt.Clock.Now().UnixNano(), List: []inventory.Canary{c}})
		if err != nil {
			return fmt.Errorf("encode canary: %w", err)
		}
		if err := a.opt.Sender.Send(ctx, link.LaneInventory, link.KindCanary, b); err != nil && ctx.Err() == nil && !errors.Is(err, link.ErrFull) {
			return fmt.Errorf("send canary: %w", err)
		}
	}
}
