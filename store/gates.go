package store

import (
	"context"
	"errors"
	"fmt"
)

// GateRun is one time that a pipeline held an image against a gate.
type GateRun struct {
	Key      string // digest of the image
	Time     int64
	Passed   bool
	Commit   string
	Pipeline string
	Policy   string // as it was asked
	Reasons  []string
	URL      string
	Who      string // signed in as
}

// Bounds of what is kept of gates; the oldest go first.
const (
	maxGateRuns    = 100_000
	maxGatesOfKey  = 20
	maxGateText    = 1024
	maxGateReasons = 50
)

// ErrGate says that a gate's run cannot be recorded as it is.
var ErrGate = errors.New("gate run cannot be recorded")

// RecordGate stores a run. The image need not be known yet. The error wraps ErrGate
// when it names none.
func (db *DB) RecordGate(ctx context.Context, g GateRun) error {
	if g.Key == "" || len(g.Key) > maxGateText {
		return fmt.Errorf("%w: it names no image: give the digest that was judged", ErrGate)
	}
	now := db.opt.Now()
	if g.Time <= 0 || g.Time > now {
		g.Time = now
	}
	text := func(s string) string { return clean(s)[:min(len(clean(s)), maxGateText)] }
	reasons := make([]string, 0, len(g.Reasons))
	for _, r := range g.Reasons[:min(len(g.Reasons), maxGateReasons)] {
		reasons = append(reasons, text(r))
	}
	passed := int64(0)
	if g.Passed {
		passed = 1
	}
	return db.update(ctx, func(t *tx) error {
		// The same run told twice, as a pipeline does that tries again, is one.
		n, err := t.exec(`INSERT INTO gate_runs (id, key, time, passed, commit_id, pipeline, policy, reasons, url, who)
			SELECT (SELECT COALESCE(MAX(id),0)+1 FROM gate_runs), ?,?,?,?,?,?,?,?,? WHERE NOT EXISTS
			(SELECT 1 FROM gate_runs WHERE key = ? AND time = ? AND pipeline = ? AND commit_id = ? AND policy = ?)`,
			clean(g.Key), g.Time, passed, text(g.Commit), text(g.Pipeline), text(g.Policy), list(reasons), text(g.URL), text(g.Who),
			clean(g.Key), g.Time, text(g.Pipeline), text(g.Commit), text(g.Policy))
		if err != nil || n == 0 {
			return err
		}
		for _, q := range []struct {
			sql  string
			args []any
		}{
			{`DELETE FROM gate_runs WHERE key = ? AND id IN (SELECT id FROM gate_runs WHERE key = ? ORDER BY time DESC, id DESC LIMIT 9223372036854775807 OFFSET ?)`, []any{clean(g.Key), clean(g.Key), maxGatesOfKey}},
			{`DELETE FROM gate_runs WHERE id <= (SELECT MAX(id) FROM gate_runs) - ?`, []any{maxGateRuns}},
		} {
			if _, err := t.exec(q.sql, q.args...); err != nil {
				return err
			}
		}
		image, err := t.findImage(clean(g.Key))
		if err != nil || image == 0 {
			return err
		}
		return t.joinGates(image)
	})
}

// joinGates brings an image's row up to date with the newest gate run of its digests.
func (t *tx) joinGates(n int64) error {
	changed, err := t.exec(`UPDATE images SET gate = g.gate FROM
		(SELECT COALESCE((SELECT 1 + passed FROM gate_runs WHERE key IN (SELECT key FROM image_keys WHERE image = ?) ORDER BY time DESC, id DESC LIMIT 1), 0) AS gate) AS g
		WHERE images.n = ? AND images.gate <> g.gate`, n, n)
	if err != nil || changed == 0 {
		return err
	}
	var key string
	if err := t.row("SELECT key FROM images WHERE n = ?", []any{n}, &key); err != nil {
		return err
	}
	_, err = t.tell(ChangeImage, key)
	return err
}

// gates returns the runs of an image, newest first.
func (db *DB) gates(ctx context.Context, n int64) ([]GateRun, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT key, time, passed, commit_id, pipeline, policy, reasons, url, who FROM gate_runs
		WHERE key IN (SELECT key FROM image_keys WHERE image = ?) ORDER BY time DESC, id DESC LIMIT ?`, n, maxGatesOfKey)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	var out []GateRun
	for rows.Next() {
		var g GateRun
		var passed int64
		var reasons string
		if err := rows.Scan(&g.Key, &g.Time, &passed, &g.Commit, &g.Pipeline, &g.Policy, &reasons, &g.URL, &g.Who); err != nil {
			return nil, db.explain(err)
		}
		g.Passed, g.Reasons = passed == 1, texts(reasons)
		out = append(out, g)
	}
	return out, db.explain(rows.Err())
}
