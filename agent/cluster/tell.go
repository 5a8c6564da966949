package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dockreeve/dockreeve/agent"
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/rule"
)

// How often what is told.
const (
	podsEvery      = 20 * time.Millisecond // a pod's metadata must be at its node before its first process
	inventoryEvery = time.Second
	fullEvery      = 30 * time.Minute
	habitsEvery    = 15 * time.Second
	saveEvery      = 5 * time.Minute
	statusEvery    = 5 * time.Second
)

// deltaBytes is about how much one message of the inventory holds.
const deltaBytes = 256 << 10

// tellInventory states the whole inventory once it is read, and every half hour, and
// what changed in between.
func (a *Agent) tellInventory(ctx context.Context, synced <-chan struct{}) error {
	select {
	case <-synced:
	case <-ctx.Done():
		return nil
	}
	a.describe()
	var stated int64
	return a.every(ctx, inventoryEvery, func(ctx context.Context) error {
		now := a.opt.Clock.Now().UnixNano()
		a.describe()
		put, gone := a.state.Dirty()
		if now-stated >= int64(fullEvery) {
			if err := a.deltas(ctx, now, a.state.Full(), nil, now); err != nil {
				return err
			}
			stated = now
			return nil
		}
		if len(put) == 0 && len(gone) == 0 {
			return nil
		}
		return a.deltas(ctx, now, put, gone, 0)
	})
}

// describe gives the state what it cannot know of the cluster.
func (a *Agent) describe() {
	doc := inventory.ClusterDoc{Name: a.opt.Name, Agent: a.opt.Version, Since: a.start}
	if a.opt.Objects != nil {
		told := a.opt.Objects.Cluster()
		doc.UID, doc.Version, doc.Platform, doc.Server, doc.ResourceID = told.UID, told.Version, told.Platform, told.Server, told.ResourceID
		doc.Gaps = append(doc.Gaps, a.opt.Objects.Gaps()...)
	} else {
		doc.Gaps = append(doc.Gaps, inventory.Gap{What: "inventory", Reason: "no API server was given to this agent", Remedy: "--kubeconfig, or run inside the cluster"})
	}
	info := a.auditInfo()
	doc.AuditMode, doc.AuditAs, doc.AuditSince, doc.AuditLast = info.Mode, info.As, info.Since, info.Last
	if info.Resource != "" {
		doc.ResourceID = info.Resource
	}
	doc.Gaps = append(doc.Gaps, info.Gaps...)
	a.judge.mu.Lock()
	doc.Audited = a.judge.events
	a.judge.mu.Unlock()
	doc.Baselines = a.judge.learned()
	// Counters that move with every event would make a change of every tick.
	doc.AuditLast -= doc.AuditLast % int64(10*time.Second)
	doc.Audited -= doc.Audited % 100
	a.state.SetCluster(doc)
}

func (a *Agent) auditInfo() AuditInfo {
	if a.opt.AuditInfo != nil {
		return a.opt.AuditInfo()
	}
	return AuditInfo{Gaps: []inventory.Gap{{
		What: "API server", Reason: "no audit events come in: who does what through it is not watched", Remedy: "docs/audit.md: connect the webhook, a file or the event hub",
	}}}
}

// deltas sends documents in messages that fit. generation is 0 for a change only.
func (a *Agent) deltas(ctx context.Context, now int64, put []inventory.Document, gone []inventory.Gone, generation int64) error {
	send := func(d inventory.Delta) error {
		b, err := json.Marshal(&d)
		if err != nil {
			return fmt.Errorf("encode the inventory: %w", err)
		}
		if len(b) > link.MaxBytes {
			if len(d.Put) == 1 {
				kind, key := d.Put[0].Key()
				a.opt.Log.Error("a document of the inventory is too large and is not told", "kind", kind, "key", key, "bytes", len(b))
				a.judge.loss(event.Loss{Hop: "cluster.inventory", Reason: "too_big", Count: 1, From: now, To: now})
				return nil
			}
			for i := range d.Put {
				one := d
				one.Put, one.Gone, one.Done = d.Put[i:i+1], nil, false
				if err := a.deltas(ctx, now, one.Put, nil, -generation); err != nil {
					return err
				}
			}
			d.Put = nil
			if b, err = json.Marshal(&d); err != nil {
				return err
			}
		}
		if err := a.opt.Sender.Send(ctx, link.LaneInventory, link.KindInventory, b); err != nil {
			return fmt.Errorf("send the inventory: %w", err)
		}
		return nil
	}
	part := generation < 0 // of a message that was too large
	d := inventory.Delta{Cluster: a.opt.Name, Generation: max(generation, -generation), Time: now, Gone: gone}
	size := 0
	for i := range put {
		b, err := json.Marshal(&put[i])
		if err != nil {
			return fmt.Errorf("encode the inventory: %w", err)
		}
		if size += len(b); size > deltaBytes && len(d.Put) > 0 {
			if err := send(d); err != nil {
				return err
			}
			d.Put, d.Gone, size = nil, nil, len(b)
		}
		d.Put = append(d.Put, put[i])
	}
	d.Done = generation > 0 && !part
	return send(d)
}

// tellPods carries pods down to their nodes as soon as they are known.
func (a *Agent) tellPods(ctx context.Context) error {
	told := map[string]bool{}
	return a.every(ctx, podsEvery, func(context.Context) error {
		for node, change := range a.state.DirtyPods() {
			if node == "" {
				continue
			}
			msg := inventory.PodsFor{Cluster: a.opt.Name, Node: node, Put: change.Put, Gone: change.Gone, Time: a.opt.Clock.Now().UnixNano()}
			if a.opt.Pods != nil {
				a.opt.Pods(msg)
			}
			if a.opt.Nodes == nil {
				continue
			}
			// What waits for a node that is away is its whole list, under one key: only the
			// newest counts.
			msg.Put, msg.Gone, msg.Full = a.state.PodsOf(node), nil, true
			b, err := json.Marshal(&msg)
			if err != nil {
				return fmt.Errorf("encode pods of %s: %w", node, err)
			}
			told[node] = true
			a.opt.Nodes.Down(node, link.KindPods, "pods", b)
		}
		return nil
	})
}

func (a *Agent) tellHabits(ctx context.Context) error {
	var saved int64
	a.judge.mu.Lock()
	a.judge.auditor.AllChanged()
	a.judge.mu.Unlock()
	return a.every(ctx, habitsEvery, func(ctx context.Context) error {
		now := a.opt.Clock.Now().UnixNano()
		for {
			a.judge.mu.Lock()
			h := a.judge.auditor.Changed(500)
			a.judge.mu.Unlock()
			if len(h.List) == 0 {
				break
			}
			h.Time = now
			b, err := json.Marshal(&h)
			if err != nil {
				return fmt.Errorf("encode habits: %w", err)
			}
			if err := a.opt.Sender.Send(ctx, link.LaneInventory, link.KindHabits, b); err != nil {
				return fmt.Errorf("send habits: %w", err)
			}
		}
		if now-saved >= int64(saveEvery) {
			saved = now
			if err := a.judge.save(); err != nil {
				a.opt.Log.Error("what was learned is not kept", "error", err)
			}
		}
		return nil
	})
}

func (a *Agent) tellStatus(ctx context.Context) error {
	if err := a.sendStatus(ctx); err != nil {
		return err
	}
	return a.every(ctx, statusEvery, a.sendStatus)
}

func (a *Agent) sendStatus(ctx context.Context) error {
	info := a.auditInfo()
	st := link.Status{
		Node: "cluster/" + a.opt.Name, Version: a.opt.Version, Mode: link.ModeCluster, Time: a.opt.Clock.Now().UnixNano(), Every: int64(statusEvery), Since: info.Since,
	}
	if info.Since == 0 {
		st.NotAssessed = "no audit event of this cluster came in yet"
		if len(a.opt.Audit) == 0 {
			st.NotAssessed, st.Remedy = "the API server is not watched: no way for audit events is set up", "docs/audit.md"
		}
	}
	a.judge.mu.Lock()
	st.LastEvent, st.Events, st.Lost = a.judge.last, a.judge.events, a.judge.lost
	st.Hops = append(st.Hops, link.Hop{Hop: "detect.audit", In: a.judge.events, Out: a.judge.findings})
	a.judge.mu.Unlock()
	st.Hops = append(info.Hops, st.Hops...)
	for _, g := range info.Gaps {
		st.Gaps = append(st.Gaps, link.Gap{What: g.What, Reason: g.Reason, Remedy: g.Remedy})
	}
	if a.opt.Objects != nil {
		for _, g := range a.opt.Objects.Gaps() {
			st.Gaps = append(st.Gaps, link.Gap{What: g.What, Reason: g.Reason, Remedy: g.Remedy})
		}
	}
	for _, r := range a.opt.Rules.All() {
		i := r.Info()
		switch {
		case !i.Enabled || i.Source != event.SourceK8sAudit.String():
		case i.Assessment.State == rule.NotAssessed:
			st.RulesNotAssessed++
		default:
			st.RulesWatching++
		}
	}
	b, err := json.Marshal(&st)
	if err != nil {
		return fmt.Errorf("encode status: %w", err)
	}
	if err := a.opt.Sender.Send(ctx, link.LaneStatus, link.KindStatus, b); err != nil && !errors.Is(err, link.ErrFull) {
		return fmt.Errorf("send status: %w", err)
	}
	return nil
}

// sendRules tells which rules judge audit events here.
func (a *Agent) sendRules(ctx context.Context) error {
	set := agent.RuleSet("cluster/"+a.opt.Name, a.opt.Rules, func(source string) string {
		if source == event.SourceK8sAudit.String() {
			return ""
		}
		return "judged by the sensors of nodes, not by the cluster agent"
	})
	b, err := set.Encode()
	if err != nil {
		return err
	}
	if err := a.opt.Sender.Send(ctx, link.LaneStatus, link.KindRules, b); err != nil && !errors.Is(err, link.ErrFull) {
		return fmt.Errorf("send rules: %w", err)
	}
	return nil
}
