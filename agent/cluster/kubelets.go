package cluster

import (
	"context"
	"time"
)

// kubeletsEvery is how often kubelets are asked for their configuration, which changes
// with a node's image. Without the right that is one refused request.
const kubeletsEvery = 3 * time.Hour

// askKubelets keeps the inventory told of the kubelets.
func (a *Agent) askKubelets(ctx context.Context, synced <-chan struct{}) error {
	select {
	case <-synced:
	case <-ctx.Done():
		return nil
	}
	for {
		a.askOnce(ctx)
		ring, stop := a.opt.Clock.After(kubeletsEvery)
		select {
		case <-ring:
		case <-ctx.Done():
			stop()
			return nil
		}
	}
}

func (a *Agent) askOnce(ctx context.Context) {
	for _, k := range a.opt.Objects.Kubelets(ctx, a.state.NodeNames()) {
		a.state.SetKubelet(k)
	}
}
