package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/link"
)

// maxNodes bounds the nodes remembered; the ones silent longest go first.
const maxNodes = 5000

// Node is what a node last said, and when.
type Node struct {
	link.Status
	ReceivedAt int64
}

// Nodes returns every known node, by name.
func (db *DB) Nodes(ctx context.Context) ([]Node, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT name, received_at, status FROM nodes ORDER BY name")
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	var out []Node
	for rows.Next() {
		var n Node
		var name string
		var raw []byte
		if err := rows.Scan(&name, &n.ReceivedAt, &raw); err != nil {
			return nil, db.explain(err)
		}
		if err := json.Unmarshal(raw, &n.Status); err != nil {
			return nil, fmt.Errorf("node %s: stored status: %w", name, err)
		}
		out = append(out, n)
	}
	return out, db.explain(rows.Err())
}

// RuleSets returns the rules each node last said it has, by node name.
func (db *DB) RuleSets(ctx context.Context) ([]link.RuleSet, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT name, rules FROM nodes WHERE rules IS NOT NULL ORDER BY name")
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	var out []link.RuleSet
	for rows.Next() {
		var s link.RuleSet
		var name string
		var raw []byte
		if err := rows.Scan(&name, &raw); err != nil {
			return nil, db.explain(err)
		}
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, fmt.Errorf("node %s: stored rules: %w", name, err)
		}
		out = append(out, s)
	}
	return out, db.explain(rows.Err())
}

// status stores what a node says. Watchers are told only when it says something
// new about coverage, not every second that it is still alive.
func (t *tx) status(s *link.Status, now int64) error {
	var raw []byte
	var prev link.Status
	err := t.row("SELECT status FROM nodes WHERE name = ?", []any{s.Node}, &raw)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if err := t.forgetNodes(); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(raw, &prev); err != nil {
			return fmt.Errorf("node %s: stored status: %w", s.Node, err)
		}
	}
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode status of %s: %w", s.Node, err)
	}
	if _, err := t.exec(`INSERT INTO nodes (name, received_at, status) VALUES (?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET received_at = excluded.received_at, status = excluded.status`, s.Node, now, b); err != nil {
		return err
	}
	ended, err := t.watch(s)
	if err != nil {
		return err
	}
	if raw == nil || ended || coverageDiffers(&prev, s) {
		_, err = t.tell(ChangeStatus, s.Node)
	}
	return err
}

func coverageDiffers(a, b *link.Status) bool {
	return a.Since != b.Since || a.NotAssessed != b.NotAssessed || a.Mode != b.Mode || a.Kernel != b.Kernel || a.Version != b.Version ||
		a.RulesWatching != b.RulesWatching || a.RulesNotAssessed != b.RulesNotAssessed || a.RulesHash != b.RulesHash ||
		a.Lost != b.Lost || !slices.Equal(a.Gaps, b.Gaps)
}

// maxStretches bounds the stretches kept of one node: one that restarts all the
// time must not fill the disk.
const maxStretches = 1000

// watch keeps the stretches in which the node watched. It reports whether one
// ended or began.
func (t *tx) watch(s *link.Status) (bool, error) {
	var since int64
	err := t.row("SELECT since FROM watched WHERE node = ? AND ended = '' ORDER BY since DESC LIMIT 1", []any{s.Node}, &since)
	open := err == nil
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	watching := s.NotAssessed == "" && s.Since > 0
	if open && watching && since == s.Since {
		_, err := t.exec("UPDATE watched SET until = ? WHERE node = ? AND since = ? AND until < ?", s.Time, s.Node, since, s.Time)
		return false, err
	}
	if open {
		why := s.NotAssessed
		if why == "" {
			why = "watching began anew"
		}
		if _, err := t.exec("UPDATE watched SET ended = ? WHERE node = ? AND ended = ''", clean(why), s.Node); err != nil {
			return false, err
		}
	}
	if watching {
		if _, err := t.exec(`DELETE FROM watched WHERE node = ? AND since IN
			(SELECT since FROM watched WHERE node = ? ORDER BY since DESC LIMIT 9223372036854775807 OFFSET ?)`, s.Node, s.Node, maxStretches-1); err != nil {
			return false, err
		}
		if _, err := t.exec(`INSERT INTO watched (node, since, until, ended) VALUES (?, ?, ?, '')
			ON CONFLICT (node, since) DO UPDATE SET until = excluded.until, ended = ''`, s.Node, s.Since, max(s.Since, s.Time)); err != nil {
			return false, err
		}
	}
	return open || watching, nil
}

// Silent ends a node's stretch because it stopped reporting, and tells watchers.
// Its next report begins where it says it did.
func (db *DB) Silent(ctx context.Context, node string) error {
	return db.update(ctx, func(t *tx) error {
		if _, err := t.exec("UPDATE watched SET ended = 'the node stopped reporting' WHERE node = ? AND ended = ''", node); err != nil {
			return err
		}
		_, err := t.tell(ChangeStatus, node)
		return err
	})
}

func (t *tx) rules(s *link.RuleSet, now int64) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode rules of %s: %w", s.Node, err)
	}
	n, err := t.exec("UPDATE nodes SET rules = ? WHERE name = ?", b, s.Node)
	if err != nil {
		return err
	}
	if n == 0 { // the rules came before the first status
		first, err := json.Marshal(link.Status{Node: s.Node, NotAssessed: "the node has not reported yet"})
		if err != nil {
			return err
		}
		if err := t.forgetNodes(); err != nil {
			return err
		}
		if _, err := t.exec("INSERT INTO nodes (name, received_at, status, rules) VALUES (?, ?, ?, ?)", s.Node, now, first, b); err != nil {
			return err
		}
	}
	_, err = t.tell(ChangeStatus, s.Node)
	return err
}

func (t *tx) forgetNodes() error {
	_, err := t.exec("DELETE FROM nodes WHERE name IN (SELECT name FROM nodes ORDER BY received_at DESC, name LIMIT 9223372036854775807 OFFSET ?)", maxNodes-1)
	return err
}

// Stretch is a time in which a node was watched without a break.
type Stretch struct {
	Node         string
	Since, Until int64
	Ended        string // why it ended; "" = it goes on as far as is known
}

// Watched returns the stretches that touch the time from..to, oldest first, at
// most MaxPage of them: the newest.
func (db *DB) Watched(ctx context.Context, from, to int64) ([]Stretch, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT node, since, until, ended FROM watched WHERE until >= ? AND since <= ? ORDER BY since DESC, node LIMIT ?", from, to, MaxPage)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	var out []Stretch
	for rows.Next() {
		var s Stretch
		if err := rows.Scan(&s.Node, &s.Since, &s.Until, &s.Ended); err != nil {
			return nil, db.explain(err)
		}
		out = append(out, s)
	}
	slices.Reverse(out)
	return out, db.explain(rows.Err())
}

// Loss is losses added up.
type Loss struct {
	Hop, Reason, Lane string
	Count             uint64
	From, To          int64
}

// maxLossRows bounds the kinds of loss told apart within an hour; what is beyond
// is added up under "other".
const maxLossRows = 2000

func (t *tx) loss(node string, l *event.Loss, now int64) error {
	hour := now / int64(time.Hour)
	hop, reason := clean(l.Hop), clean(l.Reason)
	var n int
	if err := t.row("SELECT COUNT(*) FROM losses WHERE hour = ?", []any{hour}, &n); err != nil {
		return err
	}
	if n >= maxLossRows {
		node, hop, reason = "other", "other", "other"
	}
	if err := t.addLoss(hour, node, hop, reason, l); err != nil {
		return err
	}
	_, err := t.tell(ChangeStatus, node)
	return err
}

func (t *tx) addLoss(hour int64, node, hop, reason string, l *event.Loss) error {
	_, err := t.exec(`INSERT INTO losses (hour, node, hop, reason, lane, count, from_time, to_time) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (hour, node, hop, reason, lane) DO UPDATE SET count = losses.count + excluded.count,
			from_time = CASE WHEN excluded.from_time < losses.from_time THEN excluded.from_time ELSE losses.from_time END,
			to_time = CASE WHEN excluded.to_time > losses.to_time THEN excluded.to_time ELSE losses.to_time END`,
		hour, node, hop, reason, laneWord(l.Lane), int64(min(l.Count, 1<<53)), l.From, l.To)
	return err
}

func laneWord(l event.Lane) string {
	switch l {
	case event.LaneProcess:
		return "process"
	case event.LaneActivity:
		return "activity"
	case event.LaneAudit:
		return "audit"
	case event.LaneLoad:
		return "load"
	}
	return ""
}

// Losses adds up the losses of the 24 hours before now, of all nodes, by hop,
// reason and lane. Hours are whole: it may reach up to 59 minutes further back.
func (db *DB) Losses(ctx context.Context, now int64) ([]Loss, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT hop, reason, lane, SUM(count), MIN(from_time), MAX(to_time) FROM losses
		WHERE hour >= ? GROUP BY hop, reason, lane ORDER BY SUM(count) DESC, hop, reason LIMIT ?`, now/int64(time.Hour)-24, MaxPage)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	var out []Loss
	for rows.Next() {
		var l Loss
		var n int64
		if err := rows.Scan(&l.Hop, &l.Reason, &l.Lane, &n, &l.From, &l.To); err != nil {
			return nil, db.explain(err)
		}
		l.Count = uint64(n)
		out = append(out, l)
	}
	return out, db.explain(rows.Err())
}
