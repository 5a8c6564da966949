package cluster

import (
	"context"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
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

// FromNodes is the receiver of what nodes send, of which the agent takes in what they say
// of their files as it passes. Everything goes on to whoever receives, unchanged.
func (a *Agent) FromNodes(r link.Receiver) link.Receiver { return &passing{Receiver: r, a: a} }

type passing struct {
	link.Receiver
	a *Agent
}

func (p *passing) Receive(ctx context.Context, most int) ([]link.Envelope, error) {
	list, err := p.Receiver.Receive(ctx, most)
	for i := range list {
		if list[i].Kind == link.KindKubelet {
			p.a.nodeFiles(&list[i])
		}
	}
	return list, err
}

// Reconnect hands on, where there is something to.
func (p *passing) Reconnect() {
	if r, ok := p.Receiver.(interface{ Reconnect() }); ok {
		r.Reconnect()
	}
}

// nodeFiles takes in what a node says of its files. Which node it is, its certificate
// says, not its words; the node of this process has none and is believed.
func (a *Agent) nodeFiles(e *link.Envelope) {
	cluster, name, ok := strings.Cut(strings.TrimPrefix(e.Origin, "node/"), "/")
	here := a.opt.Alone && e.Origin == "local"
	if !here && (!ok || !strings.HasPrefix(e.Origin, "node/") || cluster != a.opt.Name) {
		return
	}
	k, err := inventory.DecodeKubelet(e.Bytes)
	if here && err == nil {
		name = k.Node
	}
	if err != nil {
		a.opt.Log.Warn("what a node says of its files is not understood", "node", name, "error", err)
		return
	}
	now := a.opt.Clock.Now().UnixNano()
	// A node knows its files. What it says of its configuration, the API server tells better.
	k = &inventory.Kubelet{Node: name, At: min(k.At, now), Files: k.Files, Why: k.Why}
	delete(k.Why, "config")
	a.state.SetKubelet(k)
}
