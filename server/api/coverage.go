package api

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/server/ingest"
	"github.com/dockreeve/dockreeve/store"
)

// coverage is what stands behind every count.
type coverage struct {
	watched *v1.Watched
	nodes   []store.Node
	losses  []store.Loss
}

// Reporting says whether the node has reported lately enough.
func Reporting(n *store.Node, now int64) bool {
	return now-n.ReceivedAt <= int64(n.Silence())
}

func (a *API) coverage(ctx context.Context, now int64) (coverage, error) {
	var c coverage
	var err error
	if c.nodes, err = a.opt.DB.Nodes(ctx); err != nil {
		return c, err
	}
	if c.losses, err = a.opt.DB.Losses(ctx, now); err != nil {
		return c, err
	}
	c.watched = watchedOf(c.nodes, c.losses, now)
	return c, nil
}

// watchedOf says since when everything that is watched now has been watched
// without a break: the latest start among the nodes that watch.
func watchedOf(nodes []store.Node, losses []store.Loss, now int64) *v1.Watched {
	w := &v1.Watched{}
	var reasons []string
	for i := range nodes {
		n := &nodes[i]
		w.LastEvent = max(w.LastEvent, n.LastEvent)
		if why := notWatching(n, now); why != "" {
			reasons = append(reasons, n.Node+": "+why)
			continue
		}
		w.Since = max(w.Since, n.Since)
		w.EventsSeen += int64(n.Events)
	}
	for _, l := range losses {
		w.EventsLost += int64(l.Count)
	}
	if w.Since == 0 {
		switch {
		case len(nodes) == 0:
			w.NotAssessed = "no node has reported yet"
		case len(reasons) > 3:
			w.NotAssessed = fmt.Sprintf("%s; and %d more nodes", strings.Join(reasons[:3], "; "), len(reasons)-3)
		default:
			w.NotAssessed = strings.Join(reasons, "; ")
		}
	}
	return w
}

// notWatching is why the node's kernel is not watched; "" when it is.
func notWatching(n *store.Node, now int64) string {
	switch {
	case !Reporting(n, now):
		return "has not reported for " + time.Duration(now-n.ReceivedAt).Round(time.Second).String()
	case n.NotAssessed != "":
		return n.NotAssessed
	case n.Since == 0:
		return "does not say since when it watches"
	}
	return ""
}

// GetStatus says what is watched, what is not and why, and what was lost.
func (a *API) GetStatus(ctx context.Context, _ *connect.Request[v1.GetStatusRequest]) (*connect.Response[v1.GetStatusResponse], error) {
	now := a.opt.Clock.Now().UnixNano()
	c, err := a.coverage(ctx, now)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.GetStatusResponse{Version: a.opt.Version, Now: now, Watched: c.watched}
	for _, l := range c.losses {
		out.Losses = append(out.Losses, &v1.Loss{Hop: l.Hop, Reason: l.Reason, Lane: l.Lane, Count: l.Count, From: l.From, To: l.To})
	}
	hops := map[string]*v1.HopCount{}
	add := func(list []link.Hop) {
		for _, h := range list {
			sum := hops[h.Hop]
			if sum == nil {
				sum = &v1.HopCount{Hop: h.Hop}
				hops[h.Hop] = sum
				out.Hops = append(out.Hops, sum)
			}
			sum.In += h.In
			sum.Out += h.Out
			sum.Lost += h.Lost
		}
	}
	if len(c.nodes) == 0 {
		out.NotAssessed = append(out.NotAssessed, &v1.Gap{What: "every kernel", Reason: "no node has reported yet", Remedy: "start a node: dockreeve up watches this machine"})
	}
	var nodeRules, clusterRules [2]int // watching, not assessed
	for i := range c.nodes {
		n := &c.nodes[i]
		why := notWatching(n, now)
		out.Nodes = append(out.Nodes, &v1.Node{Name: n.Node, LastReport: n.ReceivedAt, Since: n.Since, Reporting: Reporting(n, now), Kernel: n.Kernel, Mode: n.Mode,
			NotAssessed: why, Containers: n.Containers, Processes: n.Processes, Events: int64(n.Events), Lost: int64(n.Lost)})
		if why != "" {
			what := "kernel of " + n.Node
			if n.Mode == link.ModeCluster {
				what = "API server of " + strings.TrimPrefix(n.Node, agentPrefix)
			}
			out.NotAssessed = append(out.NotAssessed, &v1.Gap{What: what, Reason: why, Remedy: n.Remedy})
		}
		for _, g := range n.Gaps {
			what := g.What
			switch {
			case n.Mode == link.ModeCluster:
				what = inCluster(what, strings.TrimPrefix(n.Node, agentPrefix))
			case len(c.nodes) > 1:
				what += " on " + n.Node
			}
			out.NotAssessed = append(out.NotAssessed, &v1.Gap{What: what, Reason: g.Reason, Remedy: g.Remedy})
		}
		if Reporting(n, now) {
			// Nodes run the same rules, and so do clusters; who has most tells their number.
			r := &nodeRules
			if n.Mode == link.ModeCluster {
				r = &clusterRules
			}
			r[0], r[1] = max(r[0], n.RulesWatching), max(r[1], n.RulesNotAssessed)
			add(n.Hops)
		}
	}
	out.RulesWatching, out.RulesNotAssessed = int32(nodeRules[0]+clusterRules[0]), int32(nodeRules[1]+clusterRules[1])
	if err := a.clusterGaps(ctx, now, c.nodes, out); err != nil {
		return nil, a.fail(err)
	}
	canaries, err := a.opt.DB.Canaries(ctx)
	if err != nil {
		return nil, a.fail(err)
	}
	missed := missedCanaries(canaries, c.nodes, now)
	out.NotAssessed = append(out.NotAssessed, missed[:min(len(missed), max(0, maxStatusGaps-len(out.NotAssessed)))]...)
	if a.opt.Ingest == nil {
		out.NotAssessed = append(out.NotAssessed, &v1.Gap{What: "new findings", Reason: "nothing is taken in by this server", Remedy: "run a server with an intake"})
	} else {
		add(a.opt.Ingest.Ledger().Hops())
		out.StoredLatency = latencyOf(a.opt.Ingest.Latency())
		if failing, since := a.opt.Ingest.Failing(); failing != nil {
			out.NotAssessed = append(out.NotAssessed, &v1.Gap{What: "findings since " + time.Unix(0, since).UTC().Format(time.RFC3339),
				Reason: failing.Error(), Remedy: "nothing is lost: senders hold what is not stored, and storing is tried again"})
		}
	}
	if a.opt.Images != nil {
		status, err := a.opt.Images.Status(ctx)
		if err != nil {
			return nil, a.fail(err)
		}
		for i := range status.Gaps {
			out.NotAssessed = append(out.NotAssessed, gapOf(&status.Gaps[i]))
		}
	}
	if a.opt.Governance != nil {
		for _, g := range a.opt.Governance.Status() {
			out.NotAssessed = append(out.NotAssessed, inventoryGap(&g))
		}
	}
	slices.SortFunc(out.Hops, func(x, y *v1.HopCount) int { return strings.Compare(x.Hop, y.Hop) })
	return connect.NewResponse(out), nil
}

// canaryPatience is how long a canary may be on its way before it is missed.
const canaryPatience = 2 * time.Minute

// missedCanaries are the canaries that were sent and did not come back, of what reports:
// it runs, and is not proven to detect. Of what is silent that stands there already.
func missedCanaries(all map[string][]inventory.Canary, nodes []store.Node, now int64) (out []*v1.Gap) {
	s := make(senders, len(nodes))
	for i := range nodes {
		s[nodes[i].Node] = &nodes[i]
	}
	for _, cluster := range slices.Sorted(maps.Keys(all)) {
		for _, k := range all[cluster] {
			g := &v1.Gap{Remedy: "docs/governance.md: canaries"}
			var from *store.Node
			switch k.Kind {
			case "exec":
				from, g.What = s.node(cluster, k.Node), "proof that the sensor of "+k.Node+" sees"
			case "audit":
				from, g.What = s[agentPrefix+cluster], "proof that the audit log arrives"
			case "denial":
				from, g.What = s[agentPrefix+cluster], "proof that the cluster denies what must not run"
			}
			if cluster != "" {
				g.What = inCluster(g.What, cluster)
			}
			if from == nil || notWatching(from, now) != "" {
				continue
			}
			switch {
			case k.Kind == "denial" && k.NotAssessed+k.Untold != "": // whether it is asked for is a choice; that nobody watches stands with the audit canary
				continue
			case k.NotAssessed != "":
				g.Reason = k.NotAssessed
			case k.Sent > k.Seen && now-k.Sent > int64(canaryPatience):
				g.Reason = "its canary of " + time.Unix(0, k.Sent).UTC().Format(time.RFC3339) + " did not come back as a finding: it runs and does not detect"
			default:
				continue
			}
			out = append(out, g)
		}
	}
	return out
}

// clusterGaps adds what clusters do not tell: API servers that nobody watches, nodes
// without a sensor, agents that fell silent. What a cluster's agent reports of itself
// stands there already.
func (a *API) clusterGaps(ctx context.Context, now int64, nodes []store.Node, out *v1.GetStatusResponse) error {
	s := make(senders, len(nodes))
	for i := range nodes {
		s[nodes[i].Node] = &nodes[i]
	}
	page, err := a.opt.DB.Clusters(ctx, store.ImageQuery{Limit: store.MaxPage, Now: now})
	if err != nil {
		return err
	}
	have := map[string]bool{}
	keyOf := func(g *v1.Gap) string {
		if strings.HasPrefix(g.What, "API server of ") {
			return g.What // why nothing at all is watched there: once is enough
		}
		return g.What + "\x00" + g.Reason
	}
	for _, g := range out.NotAssessed {
		have[keyOf(g)] = true
	}
	add := func(g *v1.Gap) {
		if key := keyOf(g); !have[key] && len(out.NotAssessed) < maxStatusGaps {
			have[key] = true
			out.NotAssessed = append(out.NotAssessed, g)
		}
	}
	for i := range page.Clusters {
		c := &page.Clusters[i]
		for _, g := range gapsOf(c, s, now) {
			g.What = inCluster(g.What, c.Name)
			add(g)
		}
		names, err := a.opt.DB.ClusterNodeNames(ctx, c.Name)
		if err != nil {
			return err
		}
		unwatched, first := 0, ""
		for _, n := range names {
			if r := s.node(c.Name, n); r == nil {
				if unwatched++; first == "" {
					first = n
				}
			}
		}
		if unwatched > 0 {
			add(&v1.Gap{What: "kernels of " + c.Name, Reason: fmt.Sprintf("no sensor has reported from %d of %d nodes, the first of them %s", unwatched, len(names), first), Remedy: "run dockreeve-node on every node"})
		}
	}
	return nil
}

// inCluster names the cluster of a gap, once: its agent's status and its document tell of
// the same, and two clusters may lack the same.
func inCluster(what, cluster string) string {
	if strings.HasSuffix(what, " "+cluster) {
		return what
	}
	return what + " in " + cluster
}

// maxStatusGaps bounds the list of what is not assessed.
const maxStatusGaps = 500

func latencyOf(h *ingest.Histogram) *v1.Latency {
	return &v1.Latency{Count: h.Count(), P50: h.Quantile(0.5), P90: h.Quantile(0.9), P99: h.Quantile(0.99), Max: h.Max(), Sum: h.Sum()}
}

// judgedElsewhere begins the reason of a rule that another role judges.
const judgedElsewhere = "judged by "

// ListRules answers every rule any node has, once per content.
func (a *API) ListRules(ctx context.Context, _ *connect.Request[v1.ListRulesRequest]) (*connect.Response[v1.ListRulesResponse], error) {
	sets, err := a.opt.DB.RuleSets(ctx)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.ListRulesResponse{}
	type key struct{ id, hash, notAssessed string }
	seen := map[key]bool{}
	watched := map[[2]string]bool{}
	for i := range sets {
		for j := range sets[i].Rules {
			if r := &sets[i].Rules[j]; r.NotAssessed == "" {
				watched[[2]string{r.ID, r.Hash}] = true
			}
		}
	}
	for i := range sets {
		for j := range sets[i].Rules {
			r := &sets[i].Rules[j]
			if r.NotAssessed != "" && strings.HasPrefix(r.NotAssessed, judgedElsewhere) && watched[[2]string{r.ID, r.Hash}] {
				continue
			}
			if k := (key{r.ID, r.Hash, r.NotAssessed}); !seen[k] {
				seen[k] = true
				out.Rules = append(out.Rules, ruleOf(r))
			}
		}
	}
	slices.SortStableFunc(out.Rules, func(x, y *v1.Rule) int { return strings.Compare(x.Id, y.Id) })
	return connect.NewResponse(out), nil
}
