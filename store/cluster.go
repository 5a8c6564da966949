package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inventory"
)

// HopInventory is the name under which documents and habits that were not kept are counted.
const HopInventory = "store.inventory"

// Bounds of what is kept of clusters.
const (
	maxClusters  = 1000 // the ones silent longest go first
	maxDocuments = 500_000
	maxDocText   = 1024 // bytes of one text that filters look into
	maxDocList   = 256  // texts of one list that filters look into
)

// Cluster is what is kept of one cluster.
type Cluster struct {
	Name          string
	Doc           inventory.ClusterDoc // zero but for its name until its agent has told it
	ReceivedAt    int64                // last word of its agent
	StatedAt      int64                // when it last told all it holds; 0 = it has not yet
	Stating       bool                 // it is telling all it holds
	Stale         int64                // messages in a row that were older than what is kept
	HabitsSince   int64                // what identities did is added up since; 0 = nothing was told
	HabitsDropped int64                // things done that are in no habit
	ChangeSeq     uint64

	// Joined from elsewhere.
	AlertsOpen, AlertsCritical, AlertsHigh int64
	Exposed                                int64 // exposures that reach the internet
	Unowned                                int64 // workloads without an owner

	time, generation, statement int64
	n                           int64
}

// inventory takes in what a cluster's agent says of its inventory. What is older than
// what was taken before is not taken: an agent that was replaced may still be heard.
// A statement is begun by a generation not seen before and ended by its Done, upon
// which what it did not name goes.
func (t *tx) inventory(d *inventory.Delta, now int64) error {
	c, err := t.cluster(d.Cluster, now)
	if err != nil {
		return err
	}
	if d.Time < c.time {
		_, err := t.exec("UPDATE clusters SET stale = stale + 1 WHERE n = ?", c.n)
		return err
	}
	open := c.Stating
	if d.Generation != 0 && d.Generation != c.generation {
		// Numbered by us: an agent's numbers may come again where its clock goes back.
		c.generation, open = d.Generation, true
		c.statement++
	}
	seq, err := t.tellSoon(ChangeCluster, c.Name, now)
	if err != nil {
		return err
	}
	if err := t.documents(&c, d, seq, now); err != nil {
		return err
	}
	for i := range d.Gone {
		if err := t.goneDocument(c.Name, d.Gone[i].Kind, d.Gone[i].Key, now); err != nil {
			return err
		}
	}
	stated := c.StatedAt
	if d.Done && d.Generation == c.generation && open {
		open, stated = false, now
		if err := t.dropUnnamed(&c, now); err != nil {
			return err
		}
	}
	// A clock ahead of ours must not shut out what comes once it is right.
	_, err = t.exec("UPDATE clusters SET received_at = ?, time = ?, generation = ?, statement = ?, open = ?, stated_at = ?, stale = 0, change_seq = ? WHERE n = ?",
		now, min(d.Time, now), c.generation, c.statement, flag(open), stated, int64(seq), c.n)
	return err
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

const clusterColumns = `n, name, received_at, time, generation, statement, open, stated_at, stale, habits_since, habits_dropped, change_seq, doc`

func scanCluster(scan func(...any) error, more ...any) (Cluster, error) {
	var c Cluster
	var open, seq int64
	var doc []byte
	err := scan(append([]any{&c.n, &c.Name, &c.ReceivedAt, &c.time, &c.generation, &c.statement, &open, &c.StatedAt, &c.Stale, &c.HabitsSince, &c.HabitsDropped, &seq, &doc}, more...)...)
	if err != nil {
		return c, err
	}
	c.Stating, c.ChangeSeq = open == 1, uint64(seq)
	if err := json.Unmarshal(doc, &c.Doc); err != nil {
		return c, fmt.Errorf("cluster %s: stored document: %w", c.Name, err)
	}
	c.Doc.Name = c.Name
	return c, nil
}

// cluster reads the row of a cluster, or makes it.
func (t *tx) cluster(name string, now int64) (Cluster, error) {
	name = clip(clean(name))
	c, err := scanCluster(func(dest ...any) error {
		return t.row("SELECT "+clusterColumns+" FROM clusters WHERE name = ?", []any{name}, dest...)
	})
	if err == nil || !errors.Is(err, sql.ErrNoRows) {
		return c, err
	}
	if err := t.forgetClusters(now); err != nil {
		return c, err
	}
	if err := t.row("SELECT COALESCE(MAX(n),0)+1 FROM clusters", nil, &c.n); err != nil {
		return c, err
	}
	c.Name, c.Doc.Name = name, name
	_, err = t.exec(`INSERT INTO clusters (n, name, uid, version, platform, agent, audited, received_at, time, generation, statement, open, stated_at, stale, habits_time, habits_since, habits_dropped, change_seq, doc)
		VALUES (?, ?, '', '', '', '', 0, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, ?, ?)`, c.n, name, now, int64(t.seq), []byte("{}"))
	return c, err
}

func (t *tx) forgetClusters(now int64) error {
	var n int
	if err := t.row("SELECT COUNT(*) FROM clusters", nil, &n); err != nil || n < maxClusters {
		return err
	}
	var name string
	if err := t.row("SELECT name FROM clusters ORDER BY received_at, name LIMIT 1", nil, &name); err != nil {
		return err
	}
	if _, err := t.tell(ChangeCluster, name); err != nil {
		return err
	}
	if err := t.endRuns(name, "", now); err != nil {
		return err
	}
	for _, q := range []string{"DELETE FROM inventory WHERE cluster = ?", "DELETE FROM workload_images WHERE cluster = ?", "DELETE FROM habits WHERE cluster = ?", "DELETE FROM clusters WHERE name = ?"} {
		if _, err := t.exec(q, name); err != nil {
			return err
		}
	}
	return t.loss("hub", &event.Loss{Hop: HopInventory, Reason: "too_many_clusters", Count: 1, From: now, To: now}, now)
}

// documents stores what a delta puts.
func (t *tx) documents(c *Cluster, d *inventory.Delta, seq uint64, now int64) error {
	if len(d.Put) == 0 {
		return nil
	}
	var have int
	if err := t.row("SELECT COUNT(*) FROM inventory", nil, &have); err != nil {
		return err
	}
	var lost uint64
	for i := range d.Put {
		doc := &d.Put[i]
		if doc.Cluster != nil {
			if err := t.clusterDoc(c, doc.Cluster); err != nil {
				return err
			}
			continue
		}
		added, full, err := t.document(c, doc, d.Time, seq, now, have < t.db.opt.MaxDocuments)
		if err != nil {
			return err
		}
		if added {
			have++
		}
		if full {
			lost++
		}
	}
	if lost == 0 {
		return nil
	}
	return t.loss(senderOf(c.Name), &event.Loss{Hop: HopInventory, Reason: "too_many_documents", Count: lost, From: now, To: now}, now)
}

// senderOf is what a cluster's agent is called among senders.
func senderOf(cluster string) string { return "cluster/" + cluster }

func (t *tx) clusterDoc(c *Cluster, doc *inventory.ClusterDoc) error {
	b, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("encode document of cluster %s: %w", c.Name, err)
	}
	_, err = t.exec("UPDATE clusters SET uid = ?, version = ?, platform = ?, agent = ?, audited = ?, doc = ? WHERE n = ?",
		short(doc.UID), short(doc.Version), short(doc.Platform), short(doc.Agent), flag(doc.AuditMode != ""), b, c.n)
	return err
}

// document stores one document: added says that it was not there, full that there was
// no room for it.
func (t *tx) document(c *Cluster, doc *inventory.Document, at int64, seq uint64, now int64, room bool) (added, full bool, err error) {
	kind, key := doc.Key()
	key = short(key)
	whole, cols := columnsOf(doc)
	if whole == nil || key == "" {
		return false, false, nil
	}
	b, err := json.Marshal(whole)
	if err != nil {
		return false, false, fmt.Errorf("encode %s %s of cluster %s: %w", kind, key, c.Name, err)
	}
	var n int64
	var old []byte
	err = t.row("SELECT n, doc FROM inventory WHERE cluster = ? AND kind = ? AND key = ?", []any{c.Name, kind, key}, &n, &old)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if !room {
			return false, true, nil
		}
		if err := t.row("SELECT COALESCE(MAX(n),0)+1 FROM inventory", nil, &n); err != nil {
			return false, false, err
		}
		added = true
	case err != nil:
		return false, false, err
	case bytes.Equal(old, b): // said again
		_, err := t.exec("UPDATE inventory SET statement = ?, at = ? WHERE n = ?", c.statement, at, n)
		return false, false, err
	}
	args := append([]any{n, c.Name, kind, key, c.statement, at, int64(seq)}, cols.args()...)
	if _, err := t.exec(`INSERT INTO inventory (n, cluster, kind, key, statement, at, change_seq, namespace, type, name, owner, tenant, platform, created, pods, identity, reach, reach_rank,
		scope, danger, powers, grants, mounts, apps, risks, images, nodes, workloads, tenants, addresses, doc)
		VALUES (?,?,?,?,?,?,?, ?,?,?,?,?,?,?,?,?,?,?, ?,?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (cluster, kind, key) DO UPDATE SET statement = excluded.statement, at = excluded.at, change_seq = excluded.change_seq,
		namespace = excluded.namespace, type = excluded.type, name = excluded.name, owner = excluded.owner, tenant = excluded.tenant, platform = excluded.platform,
		created = excluded.created, pods = excluded.pods, identity = excluded.identity, reach = excluded.reach, reach_rank = excluded.reach_rank, scope = excluded.scope,
		danger = excluded.danger, powers = excluded.powers, grants = excluded.grants, mounts = excluded.mounts, apps = excluded.apps, risks = excluded.risks,
		images = excluded.images, nodes = excluded.nodes, workloads = excluded.workloads, tenants = excluded.tenants, addresses = excluded.addresses, doc = excluded.doc`,
		append(args, b)...); err != nil {
		return false, false, err
	}
	if doc.Workload != nil {
		return added, false, t.workloadRuns(c.Name, doc.Workload, now)
	}
	return added, false, nil
}

func (t *tx) goneDocument(cluster, kind, key string, now int64) error {
	key = short(key)
	if kind == inventory.DocWorkload {
		if err := t.endRuns(cluster, key, now); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM workload_images WHERE cluster = ? AND workload = ?", cluster, key); err != nil {
			return err
		}
	}
	_, err := t.exec("DELETE FROM inventory WHERE cluster = ? AND kind = ? AND key = ?", cluster, kind, key)
	return err
}

// dropUnnamed drops what a statement that has ended did not name.
func (t *tx) dropUnnamed(c *Cluster, now int64) error {
	rows, err := t.rows("SELECT kind, key FROM inventory WHERE cluster = ? AND statement <> ?", c.Name, c.statement)
	if err != nil {
		return err
	}
	var gone []inventory.Gone
	for rows.Next() {
		var g inventory.Gone
		if err := rows.Scan(&g.Kind, &g.Key); err != nil {
			rows.Close()
			return err
		}
		gone = append(gone, g)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return err
	}
	for _, g := range gone {
		if err := t.goneDocument(c.Name, g.Kind, g.Key, now); err != nil {
			return err
		}
	}
	return nil
}

// docColumns are the copies that filters look into.
type docColumns struct {
	namespace, kind, name, owner, tenant                                              string
	platform                                                                          bool
	created, pods                                                                     int64
	identity, reach, scope                                                            string
	danger                                                                            int64
	powers, grants, mounts, apps, risks, images, nodes, workloads, tenants, addresses []string
}

func (c *docColumns) args() []any {
	out := []any{short(c.namespace), short(c.kind), short(c.name), short(c.owner), short(c.tenant), flag(c.platform), c.created, c.pods, short(c.identity), short(c.reach), reachRank(c.reach),
		short(c.scope), c.danger}
	for _, l := range [][]string{c.powers, c.grants, c.mounts, c.apps, c.risks, c.images, c.nodes, c.workloads, c.tenants, c.addresses} {
		out = append(out, shortList(l))
	}
	return out
}

func short(s string) string { return strings.ToValidUTF8(clip(clean(s)), "") }

func shortList(l []string) string {
	out := make([]string, 0, min(len(l), maxDocList))
	for _, s := range l[:min(len(l), maxDocList)] {
		out = append(out, short(s))
	}
	return list(out)
}

// reachWords ranks how far something can be reached, least first; what is not known
// comes first because nothing follows from it.
var reachWords = []string{inventory.ReachUnknown, inventory.ReachNone, inventory.ReachCluster, inventory.ReachHostPort, inventory.ReachNodePort, inventory.ReachPrivate, inventory.ReachRestricted, inventory.ReachInternet}

func reachRank(s string) int64 { return int64(max(0, slices.Index(reachWords, s))) }

// powerOrder ranks what a role can give, gravest first.
var powerOrder = []string{event.PowerClusterAdmin, event.PowerEscalate, event.PowerImpersonate, event.PowerWebhooks, event.PowerApproveCerts, event.PowerTokens, event.PowerSecretsRead,
	event.PowerExec, event.PowerNodesProxy, event.PowerPodsCreate, event.PowerNodesWrite, event.PowerVolumesWrite, event.PowerEphemeral, event.PowerWildcard, event.PowerEventsDelete, event.PowerConfigMaps}

// dangerOf orders by what something may do: the gravest power first, then how many.
func dangerOf(grants []string, more int) int64 {
	worst := 0
	for _, g := range grants {
		if i := slices.Index(powerOrder, g); i >= 0 {
			worst = max(worst, len(powerOrder)-i)
		}
	}
	return int64(worst)*10_000 + int64(min(len(grants), 99))*100 + int64(min(more, 99))
}

// columnsOf is the part of a document that is set, and what filters look into of it.
func columnsOf(doc *inventory.Document) (whole any, c docColumns) {
	switch {
	case doc.Node != nil:
		d := doc.Node
		c = docColumns{name: d.Name, kind: "Node", owner: d.Owner, created: d.Since, pods: int64(d.Pods), tenants: d.Tenants, addresses: slices.Concat(d.Node.Addresses, d.Node.External)}
		return d, c
	case doc.Namespace != nil:
		d := doc.Namespace
		return d, docColumns{name: d.Name, namespace: d.Name, kind: "Namespace", owner: d.Owner, tenant: d.Tenant, created: d.Since, pods: int64(d.Pods)}
	case doc.Workload != nil:
		d := doc.Workload
		c = docColumns{namespace: d.Namespace, kind: d.Kind, name: d.Name, owner: d.Owner, tenant: d.Tenant, platform: d.Platform, created: d.Created, pods: int64(d.PodsTotal),
			identity: d.Identity, reach: d.Reach, danger: dangerOf(d.Grants, len(d.Powers)+len(d.Mounts)), powers: d.Powers, grants: d.Grants, mounts: d.Mounts, apps: d.Apps, tenants: d.SharedNodes}
		for i := range d.Images {
			if !slices.Contains(c.images, d.Images[i].Image) {
				c.images = append(c.images, d.Images[i].Image)
			}
		}
		for i := range d.Pods {
			if n := d.Pods[i].Node; n != "" && !slices.Contains(c.nodes, n) {
				c.nodes = append(c.nodes, n)
			}
		}
		return d, c
	case doc.Identity != nil:
		d := doc.Identity
		return d, docColumns{namespace: d.Namespace, kind: d.Kind, name: d.Name, owner: d.Owner, tenant: d.Tenant, platform: d.Platform, created: d.Created, scope: d.Scope,
			identity: HabitKey(d.Key), danger: dangerOf(d.Grants, len(d.Rights)), grants: d.Grants, workloads: d.Workloads, tenants: d.Crosses}
	case doc.Exposure != nil:
		d := doc.Exposure
		return d, docColumns{namespace: d.Namespace, kind: d.Kind, name: d.Name, owner: d.Owner, tenant: d.Tenant, created: d.Created, reach: d.Reach, danger: int64(len(d.Risks)),
			apps: d.Apps, risks: d.Risks, workloads: d.Workloads, addresses: slices.Concat(d.Hosts, d.Addresses, d.Ports)}
	}
	return nil, c
}

// HabitKey is what the habits of an identity are kept under: nodes and the anonymous
// user are users to RBAC, and have words of their own where it is told who acts.
func HabitKey(key string) string {
	if key == "user:system:anonymous" {
		return "anonymous"
	}
	if node, ok := strings.CutPrefix(key, "user:system:node:"); ok {
		return "node:" + node
	}
	return key
}

// documentKey is the inverse of HabitKey.
func documentKey(key string) string {
	if key == "anonymous" {
		return "user:system:anonymous"
	}
	if node, ok := strings.CutPrefix(key, "node:"); ok {
		return "user:system:node:" + node
	}
	return key
}

// ClusterByName returns one cluster. The error wraps ErrNotFound.
func (db *DB) ClusterByName(ctx context.Context, name string) (Cluster, error) {
	c, err := scanCluster(db.read.QueryRowContext(ctx, "SELECT "+clusterColumns+" FROM clusters WHERE name = ?", clean(name)).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return c, fmt.Errorf("cluster %q: %w", name, ErrNotFound)
	}
	if err != nil {
		return c, db.explain(err)
	}
	err = db.clusterCounts(ctx, &c)
	return c, err
}
