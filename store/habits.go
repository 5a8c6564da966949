package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inventory"
)

// habits takes in what identities have done. Sums replace those before: the agent adds
// up. A message older than the last one taken changes nothing.
func (t *tx) habits(h *inventory.Habits, now int64) error {
	c, err := t.cluster(h.Cluster, now)
	if err != nil {
		return err
	}
	var last int64
	if err := t.row("SELECT habits_time FROM clusters WHERE n = ?", []any{c.n}, &last); err != nil {
		return err
	}
	if h.Time < last {
		_, err := t.exec("UPDATE clusters SET stale = stale + 1 WHERE n = ?", c.n)
		return err
	}
	seq, err := t.tellSoon(ChangeCluster, c.Name, now)
	if err != nil {
		return err
	}
	for i := range h.List {
		b := &h.List[i]
		if _, err := t.exec(`INSERT INTO habits (cluster, identity, verb, resource, namespace, count, denied, first, last, sources, agents, unusual) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)
			ON CONFLICT (cluster, identity, verb, resource, namespace) DO UPDATE SET count = excluded.count, denied = excluded.denied, first = excluded.first, last = excluded.last,
			sources = excluded.sources, agents = excluded.agents, unusual = excluded.unusual`,
			c.Name, short(b.Identity), short(b.Verb), short(b.Resource), short(b.Namespace), b.Count, b.Denied, b.First, b.Last, shortList(b.Sources), shortList(b.Agents), shortList(b.Unusual)); err != nil {
			return err
		}
	}
	_, err = t.exec("UPDATE clusters SET received_at = ?, habits_time = ?, habits_since = ?, habits_dropped = ?, change_seq = ? WHERE n = ?",
		now, min(h.Time, now), h.Since, h.Dropped, int64(seq), c.n)
	return err
}

// pruneHabits keeps the newest MaxHabits. They have no age: what an identity last did a
// year ago is what a review of its rights asks for.
func (t *tx) pruneHabits(now int64) (int64, error) {
	var n int64
	if err := t.row("SELECT COUNT(*) FROM habits", nil, &n); err != nil {
		return 0, err
	}
	over := min(n-int64(t.db.opt.MaxHabits), pruneStep)
	if over <= 0 {
		return 0, nil
	}
	// Each cluster has to say that its sums have holes.
	if _, err := t.exec(`UPDATE clusters SET habits_dropped = habits_dropped + (SELECT COUNT(*) FROM (SELECT cluster FROM habits ORDER BY last, cluster, identity, verb, resource, namespace LIMIT ?) o WHERE o.cluster = clusters.name)`, over); err != nil {
		return 0, err
	}
	gone, err := t.exec(`DELETE FROM habits WHERE (cluster, identity, verb, resource, namespace) IN
		(SELECT cluster, identity, verb, resource, namespace FROM habits ORDER BY last, cluster, identity, verb, resource, namespace LIMIT ?)`, over)
	if err != nil || gone == 0 {
		return gone, err
	}
	return gone, t.loss("hub", &event.Loss{Hop: HopInventory, Reason: "too_many_habits", Count: uint64(gone), From: now, To: now}, now)
}

// maxUses bounds the habits told of one identity.
const maxUses = 500

// unusualFor is how long what was unusual is told of an identity.
const unusualFor = 7 * 24 * time.Hour

// Usage sums up what an identity has done, as far as was audited.
type Usage struct {
	First, Last      int64 // 0 = never
	Requests, Denied int64
	Unusual          []string // models that found something unusual in the last seven days
}

func (db *DB) usage(ctx context.Context, cluster, identity string, now int64) (Usage, error) {
	var u Usage
	if err := db.read.QueryRowContext(ctx, "SELECT COALESCE(MIN(first),0), COALESCE(MAX(last),0), COALESCE(SUM(count),0), COALESCE(SUM(denied),0) FROM habits WHERE cluster = ? AND identity = ?",
		cluster, identity).Scan(&u.First, &u.Last, &u.Requests, &u.Denied); err != nil {
		return u, db.explain(err)
	}
	var err error
	u.Unusual, err = db.strings(ctx, "SELECT DISTINCT u.value FROM habits h, json_each(h.unusual) u WHERE h.cluster = ? AND h.identity = ? AND h.last >= ? ORDER BY u.value LIMIT 20",
		cluster, identity, now-int64(unusualFor))
	return u, err
}

// Uses returns what an identity has done, the newest first, at most 500.
func (db *DB) Uses(ctx context.Context, cluster, key string) ([]inventory.Habit, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT identity, verb, resource, namespace, count, denied, first, last, sources, agents, unusual FROM habits WHERE cluster = ? AND identity = ? ORDER BY last DESC, verb, resource, namespace LIMIT ?",
		clean(cluster), HabitKey(clean(key)), maxUses)
	if err != nil {
		return nil, db.explain(err)
	}
	return scanHabits(db, rows)
}

func scanHabits(db *DB, rows *sql.Rows) ([]inventory.Habit, error) {
	defer rows.Close()
	var out []inventory.Habit
	for rows.Next() {
		var h inventory.Habit
		var sources, agents, unusual string
		if err := rows.Scan(&h.Identity, &h.Verb, &h.Resource, &h.Namespace, &h.Count, &h.Denied, &h.First, &h.Last, &sources, &agents, &unusual); err != nil {
			return nil, db.explain(err)
		}
		h.Sources, h.Agents, h.Unusual = texts(sources), texts(agents), texts(unusual)
		out = append(out, h)
	}
	return out, db.explain(rows.Err())
}
