package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/source/kube"
)

// notWatched is why nothing that is asked of the API server can come back as a finding.
const notWatched = "the API server is not watched: see docs/audit.md"

// canary asks the API server something harmless now and then, and something that it must
// deny. That its audit log arrives, the findings of the rules canary-audit and
// canary-denial prove; who denied, its answer says.
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
	var again time.Time // not before, for who asks without the right looks like somebody who feels his way
	denied := func() inventory.Canary {
		now := a.opt.Clock.Now()
		if now.Before(again) {
			return inventory.Canary{Kind: "denial", NotAssessed: kube.ErrNoCanary.Error()}
		}
		answer, err := a.opt.Objects.Deny(ctx)
		if errors.Is(err, kube.ErrNoCanary) {
			again = now.Add(denialRetry)
		}
		return denialCanary(answer, err, now.UnixNano())
	}
	for wait := min(canaryFirst, every); ; wait = every {
		ring, stop := a.opt.Clock.After(wait)
		select {
		case <-ring:
		case <-ctx.Done():
			stop()
			return nil
		}
		a.mu.Lock()
		watched := len(a.ways) > 0
		a.mu.Unlock()
		audit := inventory.Canary{Kind: "audit", Every: int64(every), Sent: a.opt.Clock.Now().UnixNano()}
		if !watched {
			audit.Sent, audit.NotAssessed = 0, notWatched
		} else if err := a.opt.Objects.Canary(ctx); err != nil && ctx.Err() == nil {
			audit.Sent, audit.NotAssessed = 0, "the canary could not be sent: "+err.Error()
		}
		denial := denied()
		if ctx.Err() != nil {
			return nil
		}
		denial.Every = int64(every)
		if !watched {
			denial.Untold = notWatched
		}
		b, err := json.Marshal(inventory.CanaryReport{Cluster: a.opt.Name, Time: a.opt.Clock.Now().UnixNano(), List: []inventory.Canary{audit, denial}})
		if err != nil {
			return fmt.Errorf("encode canaries: %w", err)
		}
		if err := a.opt.Sender.Send(ctx, link.LaneInventory, link.KindCanary, b); err != nil && ctx.Err() == nil && !errors.Is(err, link.ErrFull) {
			return fmt.Errorf("send canaries: %w", err)
		}
	}
}

// denialCanary is how the dry run fared that was sent then.
func denialCanary(answer kube.Denial, err error, sent int64) inventory.Canary {
	c := inventory.Canary{Kind: "denial"}
	if err != nil {
		c.NotAssessed = err.Error()
		return c
	}
	c.Sent, c.By, c.Answer = sent, answer.By, answer.Answer
	if answer.Denied {
		c.Denied = sent
	}
	return c
}
