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
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dockreeve/dockreeve/detect"
	"github.com/dockreeve/dockreeve/detect/audit"
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/internal/clock"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/rule"
	"github.com/dockreeve/dockreeve/source/kube"
	"github.com/dockreeve/dockreeve/source/kubeaudit"
)

// Options say what to run. Name, Sender and Rules are needed.
type Options struct {
	Name    string // of the cluster
	Version string // of this program
	Rules   *rule.Rules
	Which   detect.Which
	Sender  link.Sender // up, to the hub
	// Alone says that what is sent up may speak for other clusters too, whose events come
	// with the same stream: in the process of the hub. Elsewhere findings on them are sent,
	// but not their history.
	Alone bool

	Inventory inventory.Config
	Objects   *kube.Watcher  // nil = the inventory is not kept, and status says so
	Nodes     *link.Listener // nil = no nodes are told about pods by this agent
	// Pods is called with what changed of a node's pods, for a node in this process; nil =
	// there is none.
	Pods func(inventory.PodsFor)

	Learn    time.Duration // before models judge; 0 = three days
	Auditor  audit.Options // Proxies and Settle; the rest is set here
	StateDir string        // what was learned is kept here; "" = it is forgotten at the end

	// CanaryEvery is how often the API server's audit log has to prove that it arrives; 0
	// means six hours, less than 0 never.
	CanaryEvery time.Duration

	Clock clock.Clock  // nil = the machine's
	Log   *slog.Logger // nil = nowhere
}

// Agent runs the cluster role once.
type Agent struct {
	opt    Options
	state  *inventory.State
	judge  *judge
	intake *kubeaudit.Intake
	start  int64

	mu     sync.Mutex
	ways   []string // by which audit events come, in words
	others map[string]*judge
	rules  *rule.Rules // that run, or will from the next event on
	bad    *link.Gap   // rules that were sent and are not taken; nil = none
}

// maxOthers bounds the other clusters whose events one stream may bring.
const maxOthers = 500

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
	a := &Agent{opt: opt, start: opt.Clock.Now().UnixNano(), others: map[string]*judge{}, rules: opt.Rules}
	a.state = inventory.NewState(inventory.Options{Config: opt.Inventory, Cluster: opt.Name})
	a.judge = a.newJudge(opt.Name, a.state)
	a.intake = kubeaudit.New(kubeaudit.Options{
		Handler: kubeaudit.Handler{Event: a.event, Loss: a.judge.loss}, Cluster: opt.Name, Clock: opt.Clock, Log: opt.Log,
	})
	if opt.StateDir != "" {
		a.judge.file = filepath.Join(opt.StateDir, "habits.json.gz")
		if err := a.judge.restore(); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// newJudge makes a judge of a cluster's events. The lock is held, or nobody else is there yet.
func (a *Agent) newJudge(cluster string, state *inventory.State) *judge {
	aud := a.opt.Auditor
	aud.State, aud.Cluster, aud.LearnFor = state, cluster, int64(a.opt.Learn)
	return &judge{
		auditor: audit.New(aud), engine: detect.New(detect.Options{Rules: a.rules, Which: a.opt.Which}),
		sender: a.opt.Sender, now: func() int64 { return a.opt.Clock.Now().UnixNano() }, log: a.opt.Log, history: true,
	}
}

// event judges one event of whatever cluster and returns once its findings are with the link.
func (a *Agent) event(ev *event.Event, from kubeaudit.Source) error {
	if from.Cluster == "" || from.Cluster == a.opt.Name {
		return a.judge.event(ev)
	}
	a.mu.Lock()
	j := a.others[from.Cluster]
	if j == nil && len(a.others) < maxOthers {
		// Its objects are not known here: facts that need them say so by being empty.
		j = a.newJudge(from.Cluster, inventory.NewState(inventory.Options{Cluster: from.Cluster}))
		j.history = a.opt.Alone
		a.others[from.Cluster] = j
	}
	a.mu.Unlock()
	if j == nil {
		a.judge.loss(event.Loss{Hop: "cluster.audit", Reason: "too_many_clusters", Lane: event.LaneAudit, Count: 1, From: ev.Time, To: ev.Time})
		return nil
	}
	return j.event(ev)
}

// Intake is where audit events come in: make the ways with it, and give those that run
// to Run.
func (a *Agent) Intake() *kubeaudit.Intake { return a.intake }

// Way notes a way by which audit events come, in a word for people: webhook, file…
func (a *Agent) Way(word string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ways = append(a.ways, word)
}

// Way is one that runs; those of kubeaudit do.
type Way interface {
	Run(ctx context.Context) error
}

// State is the inventory of this cluster.
func (a *Agent) State() *inventory.State { return a.state }

// Run works until ctx ends or a part fails, then hands on what it still has.
func (a *Agent) Run(ctx context.Context, ways ...Way) error {
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
		group.Go(func() error { return a.tellUsage(ctx, synced) })
		group.Go(func() error { return a.askKubelets(ctx, synced) })
		group.Go(func() error { return a.canary(ctx, synced) })
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
	for _, in := range ways {
		group.Go(func() error {
			if err := in.Run(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("take in audit events: %w", err)
			}
			return nil
		})
	}
	err := group.Wait()
	for _, j := range a.judges() {
		err = errors.Join(err, j.flush())
	}
	return errors.Join(err, a.judge.save())
}

// judges are all there are, that of the agent's own cluster first.
func (a *Agent) judges() []*judge {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*judge{a.judge}, slices.Collect(maps.Values(a.others))...)
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
