package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/agent"
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/internal/pki"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/rule"
	"github.com/dockreeve/dockreeve/source/kube"
)

// How often what is told.
const (
	podsEvery      = 20 * time.Millisecond // a pod's metadata must be at its node before its first process
	inventoryEvery = time.Second
	fullEvery      = 30 * time.Minute
	habitsEvery    = 15 * time.Second
	saveEvery      = 5 * time.Minute
	statusEvery    = 5 * time.Second
	usageEvery     = time.Minute
	usageTold      = 5 // samples
	canaryEvery    = 6 * time.Hour
	canaryFirst    = 30 * time.Second
	canaryAgain    = 10 * time.Second // after one that could not be tried, then twice as long each time,
	canaryRetry    = 30 * time.Minute // and at most this
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
		told := a.opt.Objects.Server()
		doc.Version, doc.Platform, doc.Server, doc.Custom = told.Version, told.Platform, told.Address, told.Custom
		doc.Gaps = append(doc.Gaps, kube.Gaps(a.opt.Objects.Coverage())...)
	} else {
		doc.Gaps = append(doc.Gaps, inventory.Gap{What: "inventory", Reason: "no API server was given to this agent", Remedy: "--kubeconfig, or run inside the cluster"})
	}
	info := a.auditInfo()
	doc.AuditMode, doc.AuditAs, doc.AuditSince, doc.AuditLast, doc.ResourceID = info.mode, info.as, info.since, info.last, info.resource
	doc.Gaps = append(doc.Gaps, info.gaps...)
	a.judge.mu.Lock()
	doc.Audited = a.judge.events
	a.judge.mu.Unlock()
	doc.Baselines = a.judge.learned()
	// Counters that move with every event would make a change of every tick.
	doc.AuditLast -= doc.AuditLast % int64(10*time.Second)
	doc.Audited -= doc.Audited % 100
	a.state.SetCluster(doc)
}

// auditInfo says how the API server is watched.
type auditInfo struct {
	mode     string // webhook, file…
	as       string // kube-audit, kube-audit-admin, "" = not told
	since    int64  // the first event came; 0 = none has
	last     int64
	resource string // ARM id, where the stream tells it
	gaps     []inventory.Gap
	hops     []link.Hop
	quiet    string // why it counts as not watched although it was; "" = it does not
}

// quietAfter is how long an API server that was heard may say nothing: watches alone, our
// own among them, end and begin anew every few minutes.
const quietAfter = 15 * time.Minute

func (a *Agent) auditInfo() auditInfo {
	a.mu.Lock()
	info := auditInfo{mode: strings.Join(a.ways, ", ")}
	a.mu.Unlock()
	const what, remedy = "API server", "docs/audit.md says how to connect it"
	const parts = "parts of the audit log" // it is watched, but not whole
	if info.mode == "" {
		info.gaps = []inventory.Gap{{What: what, Reason: "no way for audit events is set up: who does what through it is not watched", Remedy: remedy}}
		return info
	}
	stats := a.intake.Stats()
	for _, h := range stats.Hops {
		var lost uint64
		for _, n := range h.Lost {
			lost += n
		}
		info.hops = append(info.hops, link.Hop{Hop: "audit." + h.Way, In: h.In, Out: h.Out + h.Duplicates, Lost: lost})
		var refused uint64
		for _, n := range h.Refused {
			refused += n
		}
		if refused > 0 {
			info.gaps = append(info.gaps, inventory.Gap{What: parts, Reason: fmt.Sprintf("%d calls of the audit %s were refused, for want of the right identity", refused, h.Way), Remedy: remedy})
		}
	}
	for _, c := range stats.Coverage.Clusters {
		if c.Cluster != a.opt.Name {
			continue
		}
		info.resource = c.ResourceID
		for _, s := range c.Seen {
			if info.since == 0 || s.First < info.since {
				info.since = s.First
			}
			info.last = max(info.last, s.Last)
			if s.Category != "" && !strings.Contains(info.as, s.Category) {
				info.as = strings.TrimPrefix(info.as+", "+s.Category, ", ")
			}
		}
		for _, n := range c.NotAssessed {
			info.gaps = append(info.gaps, inventory.Gap{What: parts, Reason: n, Remedy: "docs/audit.md: the audit policy"})
		}
	}
	if a.opt.Auditor.Anonymisers == nil {
		info.gaps = append(info.gaps, inventory.Gap{What: "use of the API from anonymising networks", Reason: "no list of their addresses was given", Remedy: "--anonymisers FILE"})
	}
	a.judge.mu.Lock()
	blind, why := a.judge.auditor.Blind()
	a.judge.mu.Unlock()
	if blind > 0 { // in steps, or each request would be a change
		info.gaps = append(info.gaps, inventory.Gap{What: "what requests allow", Reason: fmt.Sprintf("at least %d requests that were carried out could not be looked into: rules on workloads, rights and exposure did not judge them; as in %s", 1<<(bits.Len64(blind)-1), why), Remedy: "docs/audit.md: the audit policy"})
	}
	if quiet := a.opt.Clock.Now().UnixNano() - info.last; info.since > 0 && quiet > int64(quietAfter) {
		info.quiet = fmt.Sprintf("no audit event has come for %s: the API server may send none any more", time.Duration(quiet).Truncate(quietAfter/3))
		info.gaps = append(info.gaps, inventory.Gap{What: what, Reason: info.quiet, Remedy: remedy})
	}
	if info.since == 0 {
		info.gaps = append(info.gaps, inventory.Gap{What: what, Reason: "no audit event of this cluster has come in yet", Remedy: remedy})
	}
	return info
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
			if len(msg.Put) == 0 {
				b = nil // nothing needs to be kept for a node without pods
			}
			to := pki.Identity{Role: pki.RoleNode, Cluster: a.opt.Name, Node: node}
			if err := a.opt.Nodes.SetDown(to.String(), link.Down{Kind: link.KindPods, Bytes: b}); err != nil {
				a.opt.Log.Error("a node is not told of its pods", "node", node, "error", err)
				a.judge.loss(event.Loss{Hop: "cluster.pods", Reason: "too_big", Count: 1, From: msg.Time, To: msg.Time})
			}
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
		Node: "cluster/" + a.opt.Name, Version: a.opt.Version, Mode: link.ModeCluster, Time: a.opt.Clock.Now().UnixNano(), Every: int64(statusEvery), Since: info.since,
	}
	if info.since == 0 {
		g := info.gaps[len(info.gaps)-1]
		st.NotAssessed, st.Remedy = g.What+": "+g.Reason, g.Remedy
	}
	if info.quiet != "" {
		st.NotAssessed, st.Remedy = info.quiet, "docs/audit.md says how to connect it"
	}
	a.judge.mu.Lock()
	st.LastEvent, st.Events, st.Lost = a.judge.last, a.judge.events, a.judge.lost
	st.Hops = append(st.Hops, link.Hop{Hop: "detect.audit", In: a.judge.events, Out: a.judge.findings})
	a.judge.mu.Unlock()
	st.Hops = append(info.hops, st.Hops...)
	for _, g := range info.gaps {
		st.Gaps = append(st.Gaps, link.Gap{What: g.What, Reason: g.Reason, Remedy: g.Remedy})
	}
	if a.opt.Objects != nil {
		for _, g := range kube.Gaps(a.opt.Objects.Coverage()) {
			st.Gaps = append(st.Gaps, link.Gap{What: g.What, Reason: g.Reason, Remedy: g.Remedy})
		}
	}
	rules, gaps := a.running()
	st.RulesHash, st.Gaps = agent.Hash(rules), append(st.Gaps, gaps...)
	for _, r := range rules.All() {
		i := r.Info()
		switch {
		case !i.Enabled || i.Source != event.SourceK8sAudit.String():
		case i.Assessment.State == rule.NotAssessed || info.mode == "":
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

// audited reports whether there is a way by which audit events can come.
func (a *Agent) audited() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.ways) > 0
}

// sendRules tells which rules judge audit events here.
func (a *Agent) sendRules(ctx context.Context) error {
	audited := a.audited()
	rules, _ := a.running()
	set := agent.RuleSet("cluster/"+a.opt.Name, rules, func(source string) string {
		switch {
		case source == event.SourceK8sAudit.String() && audited:
			return ""
		case source == event.SourceK8sAudit.String():
			return agent.AtCluster
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
