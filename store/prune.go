package store

import (
	"context"
	"fmt"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
)

// pruneOccurrences keeps the newest occurrences of an alert, and the newest of
// those whole. The alert's count goes on holding all of them.
func (t *tx) pruneOccurrences(a *finding.Alert) error {
	if _, err := t.exec(`DELETE FROM occurrences WHERE alert_id = ? AND finding_id <> ? AND finding_id IN
		(SELECT finding_id FROM occurrences WHERE alert_id = ? ORDER BY time DESC, finding_id DESC LIMIT 9223372036854775807 OFFSET ?)`,
		a.ID, a.Latest.ID, a.ID, t.db.opt.MaxOccurrences); err != nil {
		return err
	}
	_, err := t.exec(`UPDATE occurrences SET finding = NULL WHERE alert_id = ? AND finding IS NOT NULL AND finding_id <> ? AND finding_id IN
		(SELECT finding_id FROM occurrences WHERE alert_id = ? ORDER BY time DESC, finding_id DESC LIMIT 9223372036854775807 OFFSET ?)`,
		a.ID, a.Latest.ID, a.ID, t.db.opt.MaxFindings)
	return err
}

// Pruned says what Prune removed.
type Pruned struct {
	Occurrences int64 // older than Keep
	Alerts      int64 // over MaxAlerts: counted as losses under hop store.alerts
}

// pruneStep bounds what one transaction removes, so that storing never waits long.
const pruneStep = 500

// Prune enforces the bounds that depend on time and on the number of alerts, containers
// and clocks. Call
// it every few minutes. An alert and its newest finding stay however old they
// are; alerts go only when there are more than MaxAlerts: closed ones first, then
// the least severe, then the oldest.
func (db *DB) Prune(ctx context.Context) (Pruned, error) {
	var total Pruned
	for {
		var step Pruned
		err := db.update(ctx, func(t *tx) error {
			step = Pruned{}
			return t.prune(&step)
		})
		if err != nil {
			return total, fmt.Errorf("prune: %w", err)
		}
		total.Occurrences += step.Occurrences
		total.Alerts += step.Alerts
		if step.Occurrences < pruneStep && step.Alerts < pruneStep {
			if err := db.pruneClusters(ctx); err != nil {
				return total, err
			}
			if err := db.pruneGovernance(ctx); err != nil {
				return total, fmt.Errorf("prune governance: %w", err)
			}
			return total, db.pruneImages(ctx)
		}
	}
}

func (t *tx) prune(p *Pruned) error {
	now := t.db.opt.Now()
	cutoff := now - int64(t.db.opt.Keep)
	var err error
	if p.Occurrences, err = t.exec(`DELETE FROM occurrences WHERE finding_id IN (SELECT finding_id FROM occurrences WHERE time < ? AND stored_at < ?
		AND finding_id NOT IN (SELECT latest_finding FROM alerts) LIMIT ?)`, cutoff, cutoff, pruneStep); err != nil {
		return err
	}
	for _, q := range []struct {
		sql string
		arg int64
	}{
		{"DELETE FROM watched WHERE ended <> '' AND until < ?", cutoff},
		{"DELETE FROM losses WHERE hour < ?", now/int64(time.Hour) - 48},
		{"DELETE FROM received WHERE at < ?", cutoff},
		{"DELETE FROM credentials WHERE expires <> 0 AND expires <= ?", now},
	} {
		if _, err := t.exec(q.sql, q.arg); err != nil {
			return err
		}
	}
	return t.pruneAlerts(p, now)
}

func (t *tx) pruneAlerts(p *Pruned, now int64) error {
	var n int64
	if err := t.row("SELECT COUNT(*) FROM alerts", nil, &n); err != nil {
		return err
	}
	over := min(n-int64(t.db.opt.MaxAlerts), pruneStep)
	if over <= 0 {
		return nil
	}
	rows, err := t.rows(`SELECT id FROM alerts ORDER BY CASE WHEN status IN (?, ?) THEN 0 ELSE 1 END, severity, last_seen, id LIMIT ?`,
		int64(finding.Resolved), int64(finding.Dismissed), over)
	if err != nil {
		return err
	}
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			rows.Close()
			return err
		}
		ids = append(ids, id)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return err
	}
	for _, id := range ids {
		for _, q := range []string{"DELETE FROM alerts WHERE id = ?", "DELETE FROM occurrences WHERE alert_id = ?", "DELETE FROM alert_history WHERE alert_id = ?", "DELETE FROM event_alerts WHERE alert = ?"} {
			if _, err := t.exec(q, id); err != nil {
				return err
			}
		}
		if _, err := t.tell(ChangeAlert, id); err != nil {
			return err
		}
	}
	p.Alerts = int64(len(ids))
	return t.loss("hub", &event.Loss{Hop: "store.alerts", Reason: "too_many_alerts", Count: uint64(len(ids)), From: now, To: now}, now)
}
