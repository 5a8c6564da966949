package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inuse"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/triage"
)

// Item is one decoded envelope. At most one of the pointers is set; none means
// that the envelope said nothing worth storing and only its place is recorded.
type Item struct {
	Origin string // "" = did not come over a link: only the finding's id tells it apart
	Epoch  uint64
	Lane   link.Lane
	Seq    uint64

	Finding *finding.Finding
	Raw     []byte // JSON of Finding, stored as it came
	Loss    *event.Loss
	Status  *link.Status
	Rules   *link.RuleSet
	Use     *inuse.Report

	Inventory *inventory.Delta
	Habits    *inventory.Habits
	Audit     *AuditEvent
	Usage     *inventory.UsageReport
	Canaries  *inventory.CanaryReport
	CameBack  *CameBack
	Files     *NodeFiles
}

// Ingested says what a batch did.
type Ingested struct {
	StoredAt  int64              // the time written beside the findings, Unix nanoseconds
	Inserted  []*finding.Finding // those not stored before
	Duplicate int                // items that were stored before
	Created   int                // alerts opened
	Reopened  int                // alerts that had been resolved
}

// Ingest stores a batch in one transaction: all of it or, with an error, nothing.
// It is idempotent: by (Origin, Epoch, Lane, Seq), and for findings by their id.
func (db *DB) Ingest(ctx context.Context, items []Item) (Ingested, error) {
	var out Ingested
	db.pack(items)
	err := db.update(ctx, func(t *tx) error {
		out = Ingested{StoredAt: db.opt.Now()}
		return t.ingest(items, &out)
	})
	if err != nil {
		return Ingested{}, fmt.Errorf("store %d items: %w", len(items), err)
	}
	return out, nil
}

func (t *tx) ingest(items []Item, out *Ingested) error {
	marks := received{}
	for i := range items {
		it := &items[i]
		seen, replaced, err := t.seen(marks, it)
		if err != nil {
			return err
		}
		if seen || replaced && (it.Status != nil || it.Rules != nil) {
			out.Duplicate++
			continue
		}
		switch {
		case it.Finding != nil:
			err = t.finding(it, out)
		case it.Loss != nil:
			err = t.loss(it.Origin, it.Loss, out.StoredAt)
		case it.Status != nil:
			err = t.status(it.Status, out.StoredAt)
		case it.Rules != nil:
			err = t.rules(it.Rules, out.StoredAt)
		case it.Use != nil:
			err = t.use(it.Use, out.StoredAt)
		case it.Inventory != nil:
			err = t.inventory(it.Inventory, out.StoredAt)
		case it.Habits != nil:
			err = t.habits(it.Habits, out.StoredAt)
		case it.Audit != nil:
			err = t.audit(it.Audit)
		case it.Usage != nil:
			err = t.govUsage(it.Usage)
		case it.Canaries != nil:
			err = t.govCanaries(it.Canaries)
		case it.CameBack != nil:
			err = t.canaryBack(it.CameBack)
		case it.Files != nil:
			err = t.nodeFiles(it.Files, out.StoredAt)
		}
		if err != nil {
			return err
		}
	}
	return t.saveReceived(marks, out.StoredAt)
}

func (t *tx) finding(it *Item, out *Ingested) error {
	f := it.Finding
	raw := it.Raw
	if raw == nil {
		var err error
		if raw, err = json.Marshal(f); err != nil {
			return fmt.Errorf("encode finding %s: %w", f.ID, err)
		}
	}
	alertID := finding.AlertID(f.Fingerprint)
	cmdline := ""
	if len(f.Lineage) > 0 {
		cmdline = f.Lineage[0].Cmdline
	}
	n, err := t.exec(`INSERT INTO occurrences (finding_id, alert_id, time, stored_at, summary, cmdline, finding)
		VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (finding_id) DO NOTHING`,
		f.ID, alertID, f.Time, out.StoredAt, clean(f.Summary), clean(cmdline), raw)
	if err != nil {
		return err
	}
	if n == 0 {
		out.Duplicate++
		return nil
	}
	prev, err := t.alert(alertID)
	if err != nil {
		return err
	}
	a, what := triage.Apply(prev, f, out.StoredAt)
	seq, err := t.tell(ChangeAlert, a.ID)
	if err != nil {
		return err
	}
	switch {
	case what.Created:
		out.Created++
		err = t.insertAlert(&a, seq)
	case what.Latest:
		err = t.updateLatest(&a, seq)
	default:
		err = t.updateCounts(&a, seq)
	}
	if err != nil {
		return err
	}
	if what.Reopened {
		out.Reopened++
		if err := t.history(a.ID, StatusChange{Time: out.StoredAt, From: what.From, To: a.Status, Who: "dockreeve", Why: "it happened again"}); err != nil {
			return err
		}
	}
	out.Inserted = append(out.Inserted, f)
	if err := t.eventAlerts(f, a.ID); err != nil {
		return err
	}
	// Now and then rather than each time: the bound may be passed by this many.
	if prev != nil && a.Count/pruneEvery != prev.Count/pruneEvery {
		return t.pruneOccurrences(&a)
	}
	return nil
}

// pruneEvery is how many occurrences of an alert pass between two prunings.
const pruneEvery = 16

// alert reads what triage needs to know; nil when there is no such alert.
func (t *tx) alert(id string) (*finding.Alert, error) {
	a := finding.Alert{ID: id}
	err := t.row(`SELECT fingerprint, status, severity, first_seen, last_seen, count, stored_at, kernel_time, latest_finding FROM alerts WHERE id = ?`, []any{id},
		&a.Fingerprint, &a.Status, &a.Severity, &a.FirstSeen, &a.LastSeen, &a.Count, &a.StoredAt, &a.Latest.Time, &a.Latest.ID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &a, nil
}

const latestColumns = `kernel_time = ?, latest_finding = ?, affected_by_loss = ?, rule_id = ?, title = ?, summary = ?, tactics = ?, techniques = ?,
	node = ?, workload = ?, process = ?, executable = ?, username = ?, object = ?, object_class = ?, in_container = ?,
	container_id = ?, container_name = ?, image = ?, digest = ?, pod = ?, namespace = ?, runtime = ?, container_unknown = ?,
	cluster = ?, identity = ?, source = ?, agent = ?, owner = ?, owner_from = ?, tenant = ?, reaches = ?`

func (t *tx) latestArgs(f *finding.Finding) ([]any, error) {
	owner, from, err := t.route(&f.Subject)
	if err != nil {
		return nil, err
	}
	c := f.Subject.Container
	inContainer := 1
	if c == nil {
		c, inContainer = &finding.Container{}, 0
	}
	affected := 0
	if len(f.Losses) > 0 {
		affected = 1
	}
	s := &f.Subject
	return []any{f.Time, f.ID, affected, clean(f.Rule.ID), clean(f.Rule.Name), clean(f.Summary), list(f.Rule.Tactics), list(f.Rule.Techniques),
		clean(s.Node), clean(s.Workload), clean(s.Process), clean(s.Executable), clean(s.User), clean(s.Object), clean(s.ObjectClass), inContainer,
		clean(c.ID), clean(c.Name), clean(c.Image), clean(c.Digest), clean(c.Pod), clean(c.Namespace), clean(c.Runtime), clean(c.Unknown),
		clean(s.Cluster), clean(s.Identity), clean(s.Source), clean(s.Agent), clean(owner), from, clean(s.Tenant), list(s.Reaches)}, nil
}

func (t *tx) insertAlert(a *finding.Alert, seq uint64) error {
	latest, err := t.latestArgs(&a.Latest)
	if err != nil {
		return err
	}
	args := append([]any{a.ID, a.Fingerprint, int64(a.Status), int64(a.Severity), a.FirstSeen, a.LastSeen, a.Count, a.StoredAt, int64(seq)}, latest...)
	_, err = t.exec(`INSERT INTO alerts (id, fingerprint, status, severity, first_seen, last_seen, count, stored_at, change_seq,
		kernel_time, latest_finding, affected_by_loss, rule_id, title, summary, tactics, techniques,
		node, workload, process, executable, username, object, object_class, in_container,
		container_id, container_name, image, digest, pod, namespace, runtime, container_unknown, cluster, identity, source, agent, owner, owner_from, tenant, reaches)
		VALUES (?,?,?,?,?,?,?,?,?, ?,?,?,?,?,?,?,?, ?,?,?,?,?,?,?,?, ?,?,?,?,?,?,?,?, ?,?,?,?,?,?,?,?)`, args...)
	return err
}

func (t *tx) updateLatest(a *finding.Alert, seq uint64) error {
	latest, err := t.latestArgs(&a.Latest)
	if err != nil {
		return err
	}
	args := append(latest, int64(a.Status), int64(a.Severity), a.FirstSeen, a.LastSeen, a.Count, a.StoredAt, int64(seq), a.ID)
	_, err = t.exec("UPDATE alerts SET "+latestColumns+`, status = ?, severity = ?, first_seen = ?, last_seen = ?, count = ?, stored_at = ?, change_seq = ? WHERE id = ?`, args...)
	return err
}

func (t *tx) updateCounts(a *finding.Alert, seq uint64) error {
	_, err := t.exec(`UPDATE alerts SET status = ?, severity = ?, first_seen = ?, last_seen = ?, count = ?, stored_at = ?, change_seq = ? WHERE id = ?`,
		int64(a.Status), int64(a.Severity), a.FirstSeen, a.LastSeen, a.Count, a.StoredAt, int64(seq), a.ID)
	return err
}

// clean makes text that every database takes and compares alike: valid UTF-8
// without NUL. The finding's JSON keeps what was said.
func clean(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func list(ss []string) string {
	cleaned := make([]string, len(ss))
	for i, s := range ss {
		cleaned[i] = clean(s)
	}
	b, err := json.Marshal(cleaned)
	if err != nil { // text always marshals
		return "[]"
	}
	return string(b)
}
