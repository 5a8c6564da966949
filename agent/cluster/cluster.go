// Package cluster is the composition root of the cluster role: source/kube keeps the
// inventory, source/kubeaudit brings what happens at the API server, detect judges it,
// link carries pods and rules down to the nodes and everything else up to the hub.
//
// It promises that an audit event is acknowledged to whoever sent it only after the
// findings on it are with the link, that the hub's picture of the inventory heals after
// any break, and that what is not watched is said.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dockreeve/dockreeve/detect"
	"github.com/dockreeve/dockreeve/detect/audit"
	"github.com/dockreeve/dockreeve/internal/clock"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/rule"
)

// Objects keeps a State up to date with what a cluster holds; *kube.Watcher is one.
type Objects interface {
	// Run feeds the state until ctx ends.
	Run(ctx context.Context, state *inventory.State) error
	// Synced is closed once everything there is was read.
	Synced() <-chan struct{}
	// Cluster is what the API server says of itself.
	Cluster() inventory.ClusterDoc
	// Gaps is what is not read, or not kept up to date, now.
	Gaps() []inventory.Gap
}

// Audit is a way by which audit events come in; those of source/kubeaudit are.
type Audit interface {
	Run(ctx context.Context) error
}

// Nodes is where what nodes need to know goes; *link.Listener is one.
type Nodes interface {
	// Down has a message delivered to a node now or when it is next connected. A newer one
	// of the same kind and key takes the place of an older one that still waits.
	Down(node string, kind link.Kind, key string, payload []byte)
}

// Options say what to run. Name, Sender and Rules are needed.
type Options struct {
	Name    string // of the cluster
	Version string // of this program
	Rules   *rule.Rules
	Which   detect.Which
	Sender  link.Sender // up, to the hub

	Inventory inventory.Config
	Objects   Objects // nil = the inventory is not kept, and status says so
	Audit     []Audit // none = the API server is not watched, and status says so
	AuditInfo func() AuditInfo
	Nodes     Nodes // nil = no nodes are told about pods by this agent
	// Pods is called with what changed of a node's pods, beside Nodes; nil = nobody else.
	Pods func(inventory.PodsFor)

	Learn    time.Duration // before models judge; 0 = three days
	Auditor  audit.Options // Proxies and Settle; the rest is set here
	StateDir string        // what was learned is kept here; "" = it is forgotten at the end

	Clock clock.Clock  // nil = the machine's
	Log   *slog.Logger // nil = nowhere
}

// AuditInfo says how the API server is watched.
type AuditInfo struct {
	Mode     string // webhook, file, stdin, event-hub
	As       string // kube-audit, kube-audit-admin, "" = not told
	Since    int64  // watched since
	Last     int64  // time of the last event
	Resource string // ARM id, where the stream tells it
	Gaps     []inventory.Gap
	Hops     []link.Hop
}

// Agent runs the cluster role once.
type Agent struct {
	opt   Options
	state *inventory.State
	judge *judge
	start int64
}

// New makes an agent. What was learned in earlier runs is read now; what cannot be read
// is an error, so that a broken file is not silently learned anew.
func New(opt Options) (*Agent, error) {
	if opt.Name == "" || opt.Sender == nil || opt.Rules == nil {
		return nil, errors.New("cluster: a name, a sender and rules are required")
	}
	if opt.Clock == nil {
		opt.Clock = clock.Real{}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	a := &Agent{opt: opt, start: opt.Clock.Now().UnixNano()}
	a.state = inventory.NewState(inventory.Options{Config: opt.Inventory, Cluster: opt.Name})
	aud := opt.Auditor
	aud.State, aud.Cluster, aud.LearnFor = a.state, opt.Name, int64(opt.Learn)
	a.judge = &judge{
		auditor: audit.New(aud), engine: detect.New(detect.Options{Rules: opt.Rules, Which: opt.Which}),
		sender: opt.Sender, now: func() int64 { return opt.Clock.Now().UnixNano() }, log: opt.Log,
	}
	if opt.StateDir != "" {
		a.judge.file = filepath.Join(opt.StateDir, "habits.json.gz")
		if err := a.judge.restore(); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// State is the inventory of this cluster.
func (a *Agent) State() *inventory.State { return a.state }

// Run works until ctx ends or a part fails, then hands on what it still has.
func (a *Agent) Run(ctx context.Context) error {
	if err := a.sendRules(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	synced := make(chan struct{})
	if a.opt.Objects != nil {
		group.Go(func() error {
			if err := a.opt.Objects.Run(ctx, a.state); err != nil && ctx.Err() == nil {
				return fmt.Errorf("watch the cluster's objects: %w", err)
			}
			return nil
		})
		group.Go(func() error { return a.tellPods(ctx) })
		group.Go(func() error {
			select {
			case <-a.opt.Objects.Synced():
				a.judge.seed(a.state)
				close(synced)
			case <-ctx.Done():
			}
			return nil
		})
	} else {
		close(synced)
	}
	group.Go(func() error { return a.tellInventory(ctx, synced) })
	group.Go(func() error { return a.tellHabits(ctx) })
	group.Go(func() error { return a.tellStatus(ctx) })
	for _, in := range a.opt.Audit {
		group.Go(func() error {
			if err := in.Run(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("take in audit events: %w", err)
			}
			return nil
		})
	}
	return errors.Join(group.Wait(), a.judge.flush(), a.judge.save())
}

// every calls do at an interval until ctx ends, and once more at the end.
func (a *Agent) every(ctx context.Context, interval time.Duration, do func(ctx context.Context) error) error {
	for {
		ring, stop := a.opt.Clock.After(interval)
		select {
		case <-ring:
			if err := do(ctx); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
		case <-ctx.Done():
			stop()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			return do(last)
		}
	}
}
