package governance

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/posture"
	"github.com/dockreeve/dockreeve/store"
)

const (
	factDays = 60 // of alerts
	fixDays  = 90 // of vulnerabilities that ended
	// wholeDays is how many earlier evaluations come with what is by cluster.
	wholeDays = 10
	// defaultStaleScan is govern's own default: what no configuration says otherwise.
	defaultStaleScan  = 7 * 24 * time.Hour
	defaultStaleAgent = 15 * time.Minute
	// told begins how an ARM id is known that an agent was told, by itself or by the audit
	// stream, and nothing else shows.
	told = "its agent was told its ARM id"
)

// known puts together everything that an evaluation is judged from.
func (g *Governance) known(ctx context.Context, now int64) (*govern.Known, error) {
	k := &govern.Known{}
	k.Now, k.Config = now, g.opt.Config
	snap := g.Snapshot()
	if snap != nil {
		k.Tenant = snap.Tenant
	}
	db := g.opt.DB
	var money error
	var group sync.WaitGroup
	group.Go(func() { k.Money, money = g.money(ctx, snap, now) }) // as much work as all of the rest
	defer group.Wait()
	var err error
	if k.Observed, k.Clusters, err = g.observed(ctx, k.Tenant, now); err != nil {
		return nil, fmt.Errorf("clusters: %w", err)
	}
	if k.Alerts, err = db.AlertFacts(ctx, now-factDays*day, now); err != nil {
		return nil, fmt.Errorf("alerts: %w", err)
	}
	if k.Alerts.Since == 0 && len(k.Alerts.Alerts) == 0 {
		k.Alerts = nil // nobody watches
	}
	stale := cmp.Or(g.opt.Config.StaleScan, defaultStaleScan)
	if k.Images, err = db.ImageFacts(ctx, now-fixDays*day, now-int64(stale)); err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	if k.Gates, err = db.GateFacts(ctx); err != nil {
		return nil, fmt.Errorf("gates: %w", err)
	}
	if k.Reviews, err = db.Reviews(ctx); err != nil {
		return nil, fmt.Errorf("reviews: %w", err)
	}
	if k.History, err = db.GovDays(ctx, now, wholeDays); err != nil {
		return nil, fmt.Errorf("earlier days: %w", err)
	}
	if group.Wait(); money != nil {
		return nil, fmt.Errorf("charges: %w", money)
	}
	return k, nil
}

// observed is every cluster that Dockreeve's agents tell of, as they tell it.
func (g *Governance) observed(ctx context.Context, tenant *cloud.Tenant, now int64) (list []govern.Observed, inside []posture.Cluster, err error) {
	db := g.opt.DB
	nodes, err := db.Nodes(ctx)
	if err != nil {
		return nil, nil, err
	}
	s := sensors{now: now, nodes: make(map[string]*store.Node, len(nodes))}
	for i := range nodes {
		s.nodes[nodes[i].Node] = &nodes[i]
	}
	if s.days, err = db.NodeDays(ctx, now-7*day, now); err != nil {
		return nil, nil, err
	}
	if s.canaries, err = db.Canaries(ctx); err != nil {
		return nil, nil, err
	}
	tested, err := db.ImageCanary(ctx)
	if err != nil {
		return nil, nil, err
	}
	s.image = imageCanary(&tested)
	names := linker(tenant)
	q := store.ImageQuery{Limit: store.MaxPage, Now: now}
	for {
		page, err := db.Clusters(ctx, q)
		if err != nil {
			return nil, nil, err
		}
		for i := range page.Clusters {
			o, in, err := g.cluster(ctx, &page.Clusters[i], names, &s)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", page.Clusters[i].Name, err)
			}
			list, inside = append(list, o), append(inside, in)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			twins := oneEach(list, inside, int64(cmp.Or(g.opt.Config.StaleAgent, defaultStaleAgent)))
			g.set(func(s *State) { s.Twins = twins })
			return list, inside, nil
		}
	}
}

// oneEach holds that a cluster of Azure is one cluster here: of several that are taken for
// it, one keeps the id, and the others stand beside it as what they are. Who was heard
// within stale of the last one comes before who fell silent (it was onboarded anew); then
// who proves it by its nodes or its API server's name before who was merely told so; then
// the first by name, so that two that both speak do not take turns. It returns what to
// tell of clusters that are not the same; "" = nothing.
func oneEach(list []govern.Observed, inside []posture.Cluster, stale int64) string {
	newest, best := map[string]int64{}, map[string]int{}
	for i := range list {
		newest[list[i].ID] = max(newest[list[i].ID], list[i].LastWord)
	}
	rank := func(o *govern.Observed) (r int) {
		if newest[o.ID]-o.LastWord <= stale {
			r += 2
		}
		if !strings.HasPrefix(o.IDFrom, told) {
			r++
		}
		return r
	}
	for i := range list { // by name
		o := &list[i]
		if b, ok := best[o.ID]; !ok || rank(o) > rank(&list[b]) {
			best[o.ID] = i
		}
	}
	var twins []string
	for i := range list {
		o := &list[i]
		b := best[o.ID]
		if o.ID == "" || b == i {
			continue
		}
		if o.UID == "" || o.UID != list[b].UID || rank(o) > 1 { // not the same under an older name
			twins = append(twins, fmt.Sprintf("%s and %s are both taken for %s; %s keeps it: %s", list[b].Cluster, o.Cluster, o.ID, list[b].Cluster, list[b].IDFrom))
		}
		o.IDFrom = "taken for " + o.ID + ", which " + list[b].Cluster + " is: " + o.IDFrom
		o.ID, inside[i].ID = "", ""
	}
	if more := len(twins) - 5; more > 0 {
		twins = append(twins[:5], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(twins, "; ")
}

// sensors are those that report from nodes, and what came of their canaries.
type sensors struct {
	now      int64
	nodes    map[string]*store.Node
	days     map[string]float64
	canaries map[string][]inventory.Canary
	image    *govern.Canary // of this hub; nil = none was sent yet
}

// node is the name by which the sensor of a cluster's node reports: its cluster's before its
// own, or its own where it runs in this process.
func (s *sensors) node(cluster, name string) string {
	if full := cluster + "/" + name; s.nodes[full] != nil {
		return full
	}
	return name
}

func (g *Governance) cluster(ctx context.Context, c *store.Cluster, names *links, s *sensors) (govern.Observed, posture.Cluster, error) {
	d := &c.Doc
	o := govern.Observed{Cluster: c.Name, UID: d.UID, Platform: d.Platform, Agent: d.Agent, LastWord: c.ReceivedAt, AuditLast: d.AuditLast, AuditAs: d.AuditAs, Unowned: int(c.Unowned)}
	docs, err := g.documents(ctx, c)
	if err != nil {
		return o, posture.Cluster{}, err
	}
	in := posture.Gather(c.Name, c.ReceivedAt, docs)
	if err := g.nodeFiles(ctx, &in); err != nil {
		return o, in, err
	}
	o.ID, o.IDFrom = names.find(c, in.Nodes)
	in.ID = o.ID
	o.Nodes, o.Workloads = len(in.Nodes), len(in.Workloads)
	watched := map[string]bool{}
	for i := range in.Nodes {
		name := s.node(c.Name, in.Nodes[i].Name)
		watched[in.Nodes[i].Name] = true
		if n := s.nodes[name]; n != nil && n.Watching(s.now) {
			o.NodesWatched++
		}
		o.NodeDays7d += s.days[name]
	}
	o.Sensor, o.PolicyAddon = sighted(c, in.Workloads, defenderSensor), sighted(c, in.Workloads, policyAddon)
	o.Sensor.Custom = ofGroup(c.Doc.Custom, ".defender.microsoft.com")
	o.Canaries = canariesOf(s.canaries, c.Name, watched)
	of := map[string]int{}
	for i := range in.Workloads {
		of[in.Workloads[i].Namespace]++
	}
	for i := range in.Namespaces {
		n := &in.Namespaces[i]
		o.Namespaces = append(o.Namespaces, govern.NamespaceOwner{Namespace: n.Name, Owner: n.Owner, From: n.OwnerFrom, Workloads: of[n.Name]})
	}
	if err := g.risk(ctx, c, &o, &in, s.now); err != nil {
		return o, in, err
	}
	if o.Running != nil && s.image != nil { // by the road of its images
		o.Canaries = append(o.Canaries, *s.image)
	}
	return o, in, nil
}

// risk adds what runs in a cluster and stands open there.
func (g *Governance) risk(ctx context.Context, c *store.Cluster, o *govern.Observed, in *posture.Cluster, now int64) error {
	r, err := g.opt.DB.ClusterRisk(ctx, c.Name, now)
	if err != nil {
		return err
	}
	o.Running, o.Exploited = r.Vulnerabilities, r.Exploited
	switch {
	case r.Images == 0:
		o.RunningWhy = "no image that runs there is known by its digest yet"
	case r.Assessed == 0:
		o.RunningWhy = fmt.Sprintf("none of %d images that run there has a verdict", r.Images)
	case r.Assessed < r.Images:
		o.RunningWhy = fmt.Sprintf("%d of %d images that run there have no verdict", r.Images-r.Assessed, r.Images)
	}
	if o.NodesWatched > 0 || o.AuditLast > 0 {
		o.AlertsOpen, o.HighAlerts7d = r.AlertsOpen, r.High7d
	}
	if r.Assessed == 0 {
		return nil
	}
	scan := &posture.Scan{Running: r.Images, Scanned: r.Assessed}
	if scan.Failing, scan.Count, scan.At, err = g.opt.DB.FailingImages(ctx, c.Name, maxFailing); err != nil {
		return err
	}
	in.Scan = scan
	return nil
}

// maxFailing bounds the images named of one cluster.
const maxFailing = 20

// documents are everything that a cluster told of itself.
func (g *Governance) documents(ctx context.Context, c *store.Cluster) ([]inventory.Document, error) {
	var out []inventory.Document
	if c.StatedAt != 0 {
		out = append(out, inventory.Document{Cluster: &c.Doc})
	}
	db := g.opt.DB
	nodes, err := db.ClusterNodes(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	for i := range nodes {
		out = append(out, inventory.Document{Node: &nodes[i]})
	}
	namespaces, err := db.Namespaces(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	for i := range namespaces {
		out = append(out, inventory.Document{Namespace: &namespaces[i]})
	}
	workloads, err := db.ClusterWorkloads(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	for i := range workloads {
		out = append(out, inventory.Document{Workload: &workloads[i]})
	}
	identities, err := db.ClusterIdentities(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	for i := range identities {
		out = append(out, inventory.Document{Identity: &identities[i]})
	}
	exposures, err := db.ClusterExposures(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	for i := range exposures {
		out = append(out, inventory.Document{Exposure: &exposures[i]})
	}
	return out, nil
}

// defenderSensor is Defender's sensor, however it was installed: its images come from one
// place (learn.microsoft.com/azure/defender-for-cloud, deploy with Helm, read 2026-01), and
// the AKS add-on names it so.
func defenderSensor(w *inventory.WorkloadDoc) bool {
	if w.Kind != "DaemonSet" {
		return false
	}
	return strings.HasPrefix(w.Name, "microsoft-defender-") || slices.ContainsFunc(w.Images, func(i inventory.ImageDoc) bool { return strings.Contains(i.Image, "/azuredefender/") })
}

// ofGroup are the custom resources of one API group, as many as are told.
func ofGroup(names []string, suffix string) (out []string) {
	for _, n := range names {
		if strings.HasSuffix(n, suffix) && len(n) <= 253 && len(out) < 8 {
			out = append(out, n)
		}
	}
	return out
}

// policyAddon is Azure Policy's add-on, or the Gatekeeper that comes with it.
func policyAddon(w *inventory.WorkloadDoc) bool {
	return w.Kind == "Deployment" && (w.Name == "azure-policy" && w.Namespace == "kube-system" || strings.HasPrefix(w.Name, "gatekeeper-") && w.Namespace == "gatekeeper-system")
}

// sighted looks for something among the workloads of a cluster.
func sighted(c *store.Cluster, workloads []inventory.WorkloadDoc, is func(*inventory.WorkloadDoc) bool) govern.Sighting {
	s := govern.Sighting{At: c.ReceivedAt}
	if c.StatedAt == 0 {
		s.NotAssessed = "its agent has not yet told all it holds"
		return s
	}
	for i := range workloads {
		w := &workloads[i]
		if !is(w) {
			continue
		}
		s.Seen = true
		s.Where = append(s.Where, w.Key)
		s.Ready += int(w.Ready)
		s.Wanted += int(w.Wanted)
	}
	if s.Seen {
		return s
	}
	for _, gap := range c.Doc.Gaps { // it may be where nobody looked
		if what, _, _ := strings.Cut(gap.What, "."); what == "daemonsets" || what == "deployments" || what == "pods" || what == "objects" || what == "namespaces" {
			s.NotAssessed = gap.What + ": " + gap.Reason
			break
		}
	}
	return s
}

// imageCanary is the test image of this hub as govern judges it; nil = none was sent, and
// there is no reason.
func imageCanary(c *store.ImageCanary) *govern.Canary {
	if c.Sent == 0 && c.NotAssessed == "" {
		return nil
	}
	k := &govern.Canary{Kind: govern.CanaryImage, Sent: c.Sent, Seen: c.Seen, Every: c.Every, NotAssessed: c.NotAssessed, Failed: c.Failed}
	switch {
	case c.Failed > 0:
		k.Answer = c.Why
	case c.Missed != "":
		k.Answer = c.Missed
	case c.Seen != 0:
		k.Answer = c.What + "; advisories of " + time.Unix(0, c.Built).UTC().Format(time.DateOnly)
	}
	return k
}

// nodeFiles adds what nodes said of their files to this hub where the cluster's own agent
// does not tell it: their links do not pass it, or it came since it last told of them.
func (g *Governance) nodeFiles(ctx context.Context, c *posture.Cluster) error {
	at := map[string]int{}
	for i := range c.Kubelets {
		at[c.Kubelets[i].Node] = i
	}
	without := func(n string) bool {
		i, ok := at[n]
		return !ok || c.Kubelets[i].Files == nil
	}
	if !slices.ContainsFunc(c.Nodes, func(n inventory.NodeDoc) bool { return without(n.Name) }) {
		return nil
	}
	said, err := g.opt.DB.NodeFiles(ctx, c.Name)
	if err != nil {
		return fmt.Errorf("files of the nodes of %s: %w", c.Name, err)
	}
	for i := range c.Nodes {
		name := c.Nodes[i].Name
		k, told := said[name]
		if !told || !without(name) {
			continue
		}
		if j, ok := at[name]; ok {
			c.Kubelets[j] = c.Kubelets[j].WithFiles(&k)
		} else {
			c.Kubelets = append(c.Kubelets, k)
		}
	}
	slices.SortFunc(c.Kubelets, func(a, b posture.Kubelet) int { return strings.Compare(a.Node, b.Node) })
	return nil
}

// canariesOf are those of a cluster, and of its nodes that report under their own names
// only; what was told of one under both is one.
func canariesOf(all map[string][]inventory.Canary, cluster string, nodes map[string]bool) []govern.Canary {
	type key struct{ kind, node string }
	at := map[key]int{}
	var out []govern.Canary
	add := func(c *inventory.Canary) {
		if c.Kind == govern.CanaryImage {
			return // this hub's own, and no agent's
		}
		k := key{c.Kind, c.Node}
		i, ok := at[k]
		if !ok {
			at[k] = len(out)
			out = append(out, govern.Canary(*c))
			return
		}
		o := &out[i]
		o.Sent, o.Seen, o.Every = max(o.Sent, c.Sent), max(o.Seen, c.Seen), max(o.Every, c.Every)
		if o.NotAssessed == "" || c.Sent > 0 {
			o.NotAssessed = c.NotAssessed
		}
	}
	for i := range all[cluster] {
		c := all[cluster][i]
		if c.Node == "" || nodes[c.Node] { // one of a node that is gone proves nothing any more
			add(&c)
		}
	}
	if cluster != "" {
		for i := range all[""] {
			if c := all[""][i]; c.Node != "" && nodes[c.Node] {
				add(&c)
			}
		}
	}
	return out
}

// links find the cluster of a tenant that a cluster of ours is.
type links struct {
	byID, byNodes, byName map[string]string
}

func linker(t *cloud.Tenant) *links {
	l := &links{byID: map[string]string{}, byNodes: map[string]string{}, byName: map[string]string{}}
	if t == nil {
		return l
	}
	for i := range t.Clusters {
		c := &t.Clusters[i]
		id := strings.ToLower(c.ID)
		l.byID[id] = id
		if c.NodeGroup != "" {
			l.byNodes[strings.ToLower(c.Subscription+"/resourcegroups/"+c.NodeGroup)] = id
		}
		for _, name := range []string{c.FQDN, c.PrivateFQDN} {
			if name != "" {
				l.byName[strings.ToLower(name)] = id
			}
		}
	}
	return l
}

// find says which cluster of Azure ours is, and how that is known; "" where it is not.
func (l *links) find(c *store.Cluster, nodes []inventory.NodeDoc) (id, from string) {
	if id := strings.ToLower(c.Doc.ResourceID); id != "" {
		if l.byID[id] != "" {
			return id, told
		}
		return id, told + ", which the last snapshot of Azure does not hold"
	}
	for i := range nodes {
		group := nodeGroup(nodes[i].Node.ProviderID)
		if id := l.byNodes[group]; id != "" {
			return id, "its node " + nodes[i].Name + " is of the cluster's node resource group"
		}
	}
	if host := hostOf(c.Doc.Server); host != "" {
		if id := l.byName[host]; id != "" {
			return id, "its API server's name is the cluster's: " + host
		}
	}
	return "", ""
}

// nodeGroup is the resource group in a node's provider id, as
// azure:///subscriptions/…/resourceGroups/…/providers/… has it.
func nodeGroup(provider string) string {
	rest, ok := strings.CutPrefix(strings.ToLower(provider), "azure://")
	if !ok {
		return ""
	}
	parts := strings.Split(strings.TrimLeft(rest, "/"), "/")
	if len(parts) < 4 || parts[0] != "subscriptions" || parts[2] != "resourcegroups" {
		return ""
	}
	return "/" + strings.Join(parts[:4], "/")
}

func hostOf(server string) string {
	if u, err := url.Parse(server); err == nil && u.Host != "" {
		return strings.ToLower(u.Hostname())
	}
	if host, _, err := net.SplitHostPort(server); err == nil {
		return strings.ToLower(host)
	}
	return strings.ToLower(server)
}
