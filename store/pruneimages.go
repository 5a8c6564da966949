package store

import (
	"context"
	"fmt"
	"time"

	"github.com/dockreeve/dockreeve/event"
)

// keepClocks is how long a clock that has stopped is kept: a year's report, and what
// lies on its edge.
const keepClocks = 400 * 24 * time.Hour

// pruneImages lets go of what no image and nothing that runs needs any more. What is
// to go is looked for outside the writer, and goes in short steps.
func (db *DB) pruneImages(ctx context.Context) error {
	db.images.Lock() // a package that is being stored has no image yet
	defer db.images.Unlock()
	now := db.opt.Now()
	cutoff := now - int64(db.opt.Keep)
	for _, q := range []struct {
		find string
		args []any
		drop []string // each takes the number
	}{
		{"SELECT p.n FROM packages p WHERE NOT EXISTS (SELECT 1 FROM image_packages ip WHERE ip.package = p.n) LIMIT ?", nil,
			[]string{"DELETE FROM package_vulns WHERE package = ?", "DELETE FROM package_keys WHERE package = ?", "DELETE FROM packages WHERE n = ?"}},
		{"SELECT v.n FROM vulns v WHERE v.images <= 0 AND NOT EXISTS (SELECT 1 FROM package_vulns pv WHERE pv.vuln = v.n) AND NOT EXISTS (SELECT 1 FROM clocks c WHERE c.vuln = v.n AND c.stopped = 0) LIMIT ?", nil,
			[]string{"DELETE FROM vuln_ids WHERE vuln = ?", "DELETE FROM vulns WHERE n = ?"}},
	} {
		for {
			ns, err := db.readNumbers(ctx, q.find, append(q.args, pruneStep)...)
			if err != nil {
				return err
			}
			if len(ns) == 0 {
				break
			}
			if err := db.update(ctx, func(t *tx) error {
				for _, n := range ns {
					for _, sql := range q.drop {
						if _, err := t.exec(sql, n); err != nil {
							return err
						}
					}
				}
				return nil
			}); err != nil {
				return fmt.Errorf("prune images: %w", err)
			}
		}
	}
	for _, q := range []struct {
		sql  string
		args []any
	}{
		{"DELETE FROM running WHERE (node, container) IN (SELECT node, container FROM running WHERE ended <> 0 AND ended < ? LIMIT ?)", []any{cutoff, pruneStep}},
		{"DELETE FROM load_watches WHERE (ref, node, container, since) IN (SELECT ref, node, container, since FROM load_watches WHERE until < ? LIMIT ?)", []any{cutoff, pruneStep}},
		{`DELETE FROM loads WHERE (ref, path) IN (SELECT ref, path FROM loads WHERE last < ? AND ref NOT IN (SELECT ref FROM running WHERE ended = 0) LIMIT ?)`, []any{cutoff, pruneStep}},
		{"DELETE FROM clocks WHERE (workload, vuln, started) IN (SELECT workload, vuln, started FROM clocks WHERE stopped <> 0 AND stopped < ? LIMIT ?)", []any{now - int64(keepClocks), pruneStep}},
		{`DELETE FROM workloads WHERE name IN (SELECT w.name FROM workloads w WHERE w.check_at = 0 AND NOT EXISTS (SELECT 1 FROM running r WHERE r.workload = w.name)
			AND NOT EXISTS (SELECT 1 FROM clocks c WHERE c.workload = w.name) LIMIT ?)`, []any{pruneStep}},
	} {
		for {
			var n int64
			if err := db.update(ctx, func(t *tx) error {
				var err error
				n, err = t.exec(q.sql, q.args...)
				return err
			}); err != nil {
				return fmt.Errorf("prune images: %w", err)
			}
			if n < pruneStep {
				break
			}
		}
	}
	if err := db.pruneOver(ctx, "clocks", db.opt.MaxClocks, "too_many_clocks",
		"DELETE FROM clocks WHERE (workload, vuln, started) IN (SELECT workload, vuln, started FROM clocks ORDER BY CASE WHEN stopped = 0 THEN 1 ELSE 0 END, stopped, started LIMIT ?)", now); err != nil {
		return err
	}
	return db.pruneOver(ctx, "running", db.opt.MaxContainers, "too_many_containers",
		"DELETE FROM running WHERE (node, container) IN (SELECT node, container FROM running ORDER BY CASE WHEN ended = 0 THEN 1 ELSE 0 END, ended, until LIMIT ?)", now)
}

// pruneOver keeps a table within a number of rows and counts what goes.
func (db *DB) pruneOver(ctx context.Context, table string, bound int, reason, drop string, now int64) error {
	for {
		var n int64
		if err := db.read.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
			return db.explain(err)
		}
		over := min(n-int64(bound), pruneStep)
		if over <= 0 {
			return nil
		}
		if err := db.update(ctx, func(t *tx) error {
			gone, err := t.exec(drop, over)
			if err != nil || gone == 0 {
				return err
			}
			return t.loss("hub", &event.Loss{Hop: HopImages, Reason: reason, Count: uint64(gone), From: now, To: now}, now)
		}); err != nil {
			return fmt.Errorf("prune %s: %w", table, err)
		}
	}
}

func (db *DB) readNumbers(ctx context.Context, query string, args ...any) ([]int64, error) {
	rows, err := db.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	var out []int64
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, db.explain(err)
		}
		out = append(out, n)
	}
	return out, db.explain(rows.Err())
}
