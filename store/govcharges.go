package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inventory"
)

// Bounds of what is kept of money and use; what goes for want of room is counted under
// HopGovernance, the oldest first.
const (
	keepCharges = 400 // days
	maxCharges  = 3_000_000
	chargePart  = 20_000  // charges in one part
	maxWaiting  = 250_000 // charges of a delivery in memory: 72 bytes each
	maxDistinct = 50_000  // of them that differ in more than day and figures: about 1 KiB each
	keepUsage   = 90      // days
	maxUsage    = 2_000_000
	maxCanaries = 50_000
)

// ErrBusy says that another delivery of charges is under way.
var ErrBusy = errors.New("another delivery of charges is under way: try again when it is done")

// Delivery takes charges in: nothing of it is in force until Commit, and then all of it.
// One goroutine uses it.
type Delivery struct {
	db      *DB
	id      int64
	origin  string
	replace bool
	waiting *cost.Bill
	days    map[string]bool // that it speaks of
	ended   bool
}

// Where charges come from. Both tell the same money: cost.Merge says which counts.
const (
	ChargesBill  = "bill"  // exports that people hand in
	ChargesQuery = "query" // what a snapshot of the tenant holds
)

// NewDelivery begins a delivery. With replace, the days that it speaks of hold nothing else
// of the subscriptions it speaks of then; without, charges that were there stay, but for
// those it tells anew: of the same period, resource and meter. The other origin is left
// alone. The error wraps ErrBusy while another one is under way.
func (db *DB) NewDelivery(ctx context.Context, origin string, replace bool) (*Delivery, error) {
	if !db.delivering.TryLock() {
		return nil, fmt.Errorf("take charges in: %w", ErrBusy)
	}
	d := &Delivery{db: db, origin: origin, replace: replace, waiting: &cost.Bill{}, days: map[string]bool{}}
	err := db.update(ctx, func(t *tx) error {
		// What a delivery left that was broken off.
		if _, err := t.exec("DELETE FROM gov_charges WHERE valid = 0"); err != nil {
			return err
		}
		return t.row("SELECT COALESCE(MAX(delivery),0)+1 FROM gov_charges", nil, &d.id)
	})
	if err != nil {
		db.delivering.Unlock()
		return nil, fmt.Errorf("take charges in: %w", err)
	}
	return d, nil
}

// Add takes one charge and keeps its maps. Its times must be set.
func (d *Delivery) Add(ctx context.Context, c *cost.Charge) error {
	d.days[dayOf(c.Start)] = true
	if d.waiting.Add(c); d.waiting.Len() < maxWaiting && d.waiting.Distinct() < maxDistinct {
		return nil
	}
	return d.flush(ctx)
}

// flush writes what waits, by day.
func (d *Delivery) flush(ctx context.Context) error {
	parts := d.db.packCharges(d.waiting)
	d.waiting = &cost.Bill{}
	if len(parts) == 0 {
		return nil
	}
	return d.db.update(ctx, func(t *tx) error { return t.chargeParts(d.origin, d.id, 0, parts) })
}

func (t *tx) chargeParts(origin string, delivery, valid int64, parts []packedCharges) error {
	for i := range parts {
		p := &parts[i]
		if _, err := t.exec("INSERT INTO gov_charges (n, origin, day, delivery, valid, charges, doc) VALUES ((SELECT COALESCE(MAX(n),0)+1 FROM gov_charges),?,?,?,?,?,?)", origin, p.day, delivery, valid, int64(p.n), p.blob); err != nil {
			return err
		}
	}
	return nil
}

// Commit puts the delivery in force and returns the days it spoke of, oldest first.
func (d *Delivery) Commit(ctx context.Context) (days []string, err error) {
	defer d.end()
	if err := d.flush(ctx); err != nil {
		return nil, err
	}
	days = slices.Sorted(maps.Keys(d.days))
	kept := map[string][]packedCharges{}
	for _, day := range days {
		if kept[day], err = d.others(ctx, day); err != nil {
			return nil, err
		}
	}
	err = d.db.update(ctx, func(t *tx) error {
		for _, day := range days {
			if _, err := t.exec("DELETE FROM gov_charges WHERE origin = ? AND day = ? AND valid = 1", d.origin, day); err != nil {
				return err
			}
			if err := t.chargeParts(d.origin, d.id, 1, kept[day]); err != nil {
				return err
			}
		}
		if _, err := t.exec("UPDATE gov_charges SET valid = 1 WHERE delivery = ?", d.id); err != nil {
			return err
		}
		_, err := t.tell(ChangeGovernance, "")
		return err
	})
	return days, err
}

// Abort drops what was added. After Commit it does nothing.
func (d *Delivery) Abort(ctx context.Context) error {
	if d.ended {
		return nil
	}
	defer d.end()
	return d.db.update(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM gov_charges WHERE delivery = ? AND valid = 0", d.id)
		return err
	})
}

func (d *Delivery) end() {
	if !d.ended {
		d.ended = true
		d.db.delivering.Unlock()
	}
}

// chargeKey is what makes a charge told anew the same.
type chargeKey struct {
	start, end                                                    int64
	resource, meter, meterID, sku, category, class, currency, use string
	pricing, account, description                                 string
}

func keyOfCharge(c *cost.Charge) chargeKey {
	return chargeKey{c.Start, c.End, c.Resource, c.Meter, c.MeterID, c.SKU, c.Category, c.Class, c.Currency, c.CommitmentUse, c.Pricing, c.SubAccount, c.Description}
}

// others are the charges of a day in force that the delivery does not tell anew.
func (d *Delivery) others(ctx context.Context, day string) ([]packedCharges, error) {
	old, _, err := d.db.billWhere(ctx, math.MaxInt, "origin = ? AND day = ? AND valid = 1", d.origin, day)
	if err != nil || old.Len() == 0 {
		return nil, err
	}
	anew, _, err := d.db.billWhere(ctx, math.MaxInt, "origin = ? AND day = ? AND delivery = ? AND valid = 0", d.origin, day, d.id)
	if err != nil {
		return nil, err
	}
	keyOf := keyOfCharge
	if d.replace {
		keyOf = func(c *cost.Charge) chargeKey { return chargeKey{account: c.SubAccount} }
	}
	told := map[chargeKey]bool{}
	for c := range anew.All() {
		told[keyOf(&c)] = true
	}
	rest := &cost.Bill{}
	for c := range old.All() {
		if !told[keyOf(&c)] {
			rest.Add(&c)
		}
	}
	return d.db.packCharges(rest), nil
}

// ChargeDays says how many charges are kept, by day.
func (db *DB) ChargeDays(ctx context.Context) (map[string]int64, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT day, SUM(charges) FROM gov_charges WHERE valid = 1 GROUP BY day")
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	out := map[string]int64{}
	for rows.Next() {
		var day string
		var n int64
		if err := rows.Scan(&day, &n); err != nil {
			return nil, db.explain(err)
		}
		out[day] = n
	}
	return out, db.explain(rows.Err())
}

// govUsage keeps what namespaces used; an hour told again by the same start of an agent
// replaces what that told of it.
func (t *tx) govUsage(r *inventory.UsageReport) error {
	for i := range r.List {
		u := &r.List[i]
		u.Cluster = r.Cluster
		b, err := json.Marshal(u)
		if err != nil {
			return fmt.Errorf("encode use of %s: %w", r.Cluster, err)
		}
		if _, err := t.exec("INSERT INTO gov_usage (cluster, hour, namespace, boot, doc) VALUES (?,?,?,?,?) ON CONFLICT (cluster, hour, namespace, boot) DO UPDATE SET doc = excluded.doc",
			short(r.Cluster), u.Hour, short(u.Namespace), u.Boot, string(b)); err != nil {
			return err
		}
	}
	return nil
}

// SetUsage keeps what namespaces and clusters used, by hour.
func (db *DB) SetUsage(ctx context.Context, list []inventory.Usage) error {
	for part := range slices.Chunk(list, govStep) {
		if err := db.update(ctx, func(t *tx) error {
			for i := range part {
				if err := t.govUsage(&inventory.UsageReport{Cluster: part[i].Cluster, List: part[i : i+1]}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return fmt.Errorf("store use: %w", err)
		}
	}
	return nil
}

// Usage returns what was used in the hours that begin within from..to, to excluded, the
// oldest first; more says that there is more than most, the newest of which came.
func (db *DB) Usage(ctx context.Context, from, to int64, most int) (list []inventory.Usage, more bool, err error) {
	rows, err := db.read.QueryContext(ctx, "SELECT doc FROM gov_usage WHERE hour >= ? AND hour < ? ORDER BY hour DESC, cluster, namespace LIMIT ?", from, to, most+1)
	if err != nil {
		return nil, false, db.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		if len(list) == most {
			more = true
			break
		}
		var doc []byte
		var u inventory.Usage
		if err := rows.Scan(&doc); err != nil {
			return nil, false, db.explain(err)
		}
		if err := json.Unmarshal(doc, &u); err != nil {
			return nil, false, fmt.Errorf("stored use: %w", err)
		}
		list = append(list, u)
	}
	slices.Reverse(list)
	return list, more, db.explain(rows.Err())
}

// govCanaries keeps how canaries fared; nothing that an older message says undoes a newer.
func (t *tx) govCanaries(r *inventory.CanaryReport) error {
	for i := range r.List {
		c := &r.List[i]
		if _, err := t.exec(`INSERT INTO gov_canaries (cluster, node, kind, sent, seen, every, not_assessed, at, denied, denied_by, answer, untold) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)
			ON CONFLICT (cluster, node, kind) DO UPDATE SET denied_by = CASE WHEN excluded.sent > gov_canaries.sent THEN excluded.denied_by ELSE gov_canaries.denied_by END,
			answer = CASE WHEN excluded.sent > gov_canaries.sent THEN excluded.answer ELSE gov_canaries.answer END,
			denied = CASE WHEN excluded.denied > gov_canaries.denied THEN excluded.denied ELSE gov_canaries.denied END, untold = excluded.untold, sent = CASE WHEN excluded.sent > gov_canaries.sent THEN excluded.sent ELSE gov_canaries.sent END,
			seen = CASE WHEN excluded.seen > gov_canaries.seen THEN excluded.seen ELSE gov_canaries.seen END, every = excluded.every, not_assessed = excluded.not_assessed, at = excluded.at
			WHERE excluded.at >= gov_canaries.at`, short(r.Cluster), short(c.Node), short(c.Kind), c.Sent, c.Seen, c.Every, short(c.NotAssessed), r.Time, c.Denied, short(c.By), short(c.Answer), short(c.Untold)); err != nil {
			return err
		}
	}
	return nil
}

// CameBack is a canary that came back as a finding.
type CameBack struct {
	Cluster, Node, Kind string
	Time                int64
}

// canaryBack notes it. That it came back proves what it was sent for, whether or not the
// word that it was sent has arrived.
func (t *tx) canaryBack(b *CameBack) error {
	_, err := t.exec(`INSERT INTO gov_canaries (cluster, node, kind, sent, seen, every, not_assessed, at) VALUES (?,?,?,0,?,0,'',0)
		ON CONFLICT (cluster, node, kind) DO UPDATE SET seen = excluded.seen WHERE excluded.seen > gov_canaries.seen`, short(b.Cluster), short(b.Node), short(b.Kind), b.Time)
	return err
}

// SetCanaries keeps how the canaries of a cluster fared.
func (db *DB) SetCanaries(ctx context.Context, r *inventory.CanaryReport) error {
	return db.update(ctx, func(t *tx) error { return t.govCanaries(r) })
}

// Canaries returns how the canaries of every cluster fared last.
func (db *DB) Canaries(ctx context.Context) (map[string][]inventory.Canary, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT cluster, node, kind, sent, seen, every, not_assessed, denied, denied_by, answer, untold FROM gov_canaries ORDER BY cluster, kind, node")
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	out := map[string][]inventory.Canary{}
	for rows.Next() {
		var cluster string
		var c inventory.Canary
		if err := rows.Scan(&cluster, &c.Node, &c.Kind, &c.Sent, &c.Seen, &c.Every, &c.NotAssessed, &c.Denied, &c.By, &c.Answer, &c.Untold); err != nil {
			return nil, db.explain(err)
		}
		out[cluster] = append(out[cluster], c)
	}
	return out, db.explain(rows.Err())
}

// pruneGovernance enforces the bounds of charges, use, canaries and files of nodes.
func (db *DB) pruneGovernance(ctx context.Context) error {
	return db.update(ctx, func(t *tx) error {
		now := db.opt.Now()
		if _, err := t.exec("DELETE FROM gov_charges WHERE valid = 1 AND day < ?", dayOf(now-keepCharges*int64(24*time.Hour))); err != nil {
			return err
		}
		if err := t.pruneCharges(now); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM gov_usage WHERE hour < ?", now-keepUsage*int64(24*time.Hour)); err != nil {
			return err
		}
		if err := t.pruneUsage(now); err != nil {
			return err
		}
		if err := t.pruneNodeFiles(now, db.opt.Keep); err != nil {
			return err
		}
		// A cluster that has not told of its canaries for long has none.
		if _, err := t.exec("DELETE FROM gov_canaries WHERE at < ? AND seen < ?", now-int64(db.opt.Keep), now-int64(db.opt.Keep)); err != nil {
			return err
		}
		_, err := t.exec("DELETE FROM gov_canaries WHERE at <= (SELECT at FROM gov_canaries ORDER BY at DESC LIMIT 1 OFFSET ?)", maxCanaries)
		return err
	})
}

func (t *tx) pruneCharges(now int64) error {
	for {
		var n int64
		if err := t.row("SELECT COALESCE(SUM(charges),0) FROM gov_charges WHERE valid = 1", nil, &n); err != nil || n <= maxCharges {
			return err
		}
		var day string
		var gone int64
		if err := t.row("SELECT day, SUM(charges) FROM gov_charges WHERE valid = 1 GROUP BY day ORDER BY day LIMIT 1", nil, &day, &gone); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM gov_charges WHERE valid = 1 AND day = ?", day); err != nil {
			return err
		}
		if err := t.loss("hub", &event.Loss{Hop: HopGovernance, Reason: "too_many_charges", Count: uint64(gone), From: now, To: now}, now); err != nil {
			return err
		}
	}
}

func (t *tx) pruneUsage(now int64) error {
	var n int64
	if err := t.row("SELECT COUNT(*) FROM gov_usage", nil, &n); err != nil || n <= maxUsage {
		return err
	}
	gone, err := t.exec("DELETE FROM gov_usage WHERE hour <= (SELECT hour FROM gov_usage ORDER BY hour LIMIT 1 OFFSET ?)", n-maxUsage-1)
	if err != nil {
		return err
	}
	return t.loss("hub", &event.Loss{Hop: HopGovernance, Reason: "too_much_use", Count: uint64(gone), From: now, To: now}, now)
}
