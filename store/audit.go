package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/query"
)

// HopAudit is the name under which audit events that were not kept are counted.
const HopAudit = "store.audit"

// maxAuditDoc bounds one stored audit event, as JSON.
const maxAuditDoc = 2 << 20

// AuditEvent is one event of an API server's audit log.
type AuditEvent struct {
	ID           string
	Cluster      string
	Time         int64
	Verb         string
	Resource     string // resource.group/subresource; a path for what is no resource
	Namespace    string
	Name         string
	User         string // whose rights were used
	Identity     string // serviceaccount:namespace/name, user:name, node:name, anonymous
	Impersonator string // who acted in the user's name
	Sources      []string
	Agent        string
	Code         int64
	Decision     string // allow, forbid
	Reason       string
	Unusual      []string
	From         string // pod, node, internet…
	FromName     string
	Workload     string // that the object is or belongs to
	Stage        string
	Level        string

	Doc []byte // JSON of the event, facts included; lists do not have it

	packed []byte
}

// pack compresses the events of a batch, outside the writer.
func (db *DB) pack(items []Item) {
	for i := range items {
		if a := items[i].Audit; a != nil && a.packed == nil {
			a.packed = db.zip.EncodeAll(a.Doc, nil)
		}
	}
}

// audit stores one event; one stored before changes nothing.
func (t *tx) audit(a *AuditEvent) error {
	n, err := t.exec(`INSERT INTO audit (id, cluster, time, verb, resource, namespace, name, username, identity, impersonator, sources, agent, code, decision, reason, unusual,
		origin, origin_name, workload, stage, level, bytes, doc) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING`,
		short(a.ID), short(a.Cluster), a.Time, short(a.Verb), short(a.Resource), short(a.Namespace), short(a.Name), short(a.User), short(a.Identity), short(a.Impersonator), shortList(a.Sources), short(a.Agent),
		a.Code, short(a.Decision), short(a.Reason), shortList(a.Unusual), short(a.From), short(a.FromName), short(a.Workload), short(a.Stage), short(a.Level), len(a.packed), a.packed)
	if err != nil || n == 0 {
		return err
	}
	_, err = t.tellSoon(ChangeAudit, short(a.Cluster), t.db.opt.Now())
	return err
}

// Bounds of what is kept of which alert rests on which event.
const (
	maxEventAlerts  = 1_000_000
	maxEventsLinked = 32 // of one finding
)

// eventAlerts notes which events of a cluster a finding rests on.
func (t *tx) eventAlerts(f *finding.Finding, alert string) error {
	if f.Subject.Cluster == "" {
		return nil
	}
	for _, id := range f.EventIDs[:min(len(f.EventIDs), maxEventsLinked)] {
		if _, err := t.exec("INSERT INTO event_alerts (event, alert, time) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", short(id), alert, f.Time); err != nil {
			return err
		}
	}
	return nil
}

// pruneAudit keeps what is younger than Keep and within the bounds, and counts as lost
// what goes before its age. It reports whether there is more to do.
func (t *tx) pruneAudit(now int64) (more bool, err error) {
	cutoff := now - int64(t.db.opt.Keep)
	old, err := t.exec("DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE time < ? ORDER BY time LIMIT ?)", cutoff, pruneStep)
	if err != nil {
		return false, err
	}
	links, err := t.exec(`DELETE FROM event_alerts WHERE (event, alert) IN (SELECT event, alert FROM event_alerts WHERE time < ? OR (SELECT COUNT(*) FROM event_alerts) > ? ORDER BY time LIMIT ?)`, cutoff, maxEventAlerts, pruneStep)
	if err != nil {
		return false, err
	}
	if old == pruneStep || links == pruneStep {
		return true, nil
	}
	var n, size int64
	if err := t.row("SELECT COUNT(*), COALESCE(SUM(bytes),0) FROM audit", nil, &n, &size); err != nil {
		return false, err
	}
	over := n - int64(t.db.opt.MaxAudit)
	if size > t.db.opt.MaxAuditBytes && n > 0 {
		over = max(over, (size-t.db.opt.MaxAuditBytes)/max(size/n, 1)+1)
	}
	if over <= 0 {
		return false, nil
	}
	gone, err := t.exec("DELETE FROM audit WHERE id IN (SELECT id FROM audit ORDER BY time, id LIMIT ?)", min(over, 10*pruneStep))
	if err != nil {
		return false, err
	}
	return true, t.loss("hub", &event.Loss{Hop: HopAudit, Reason: "too_many_events", Count: uint64(gone), From: now, To: now}, now)
}

// pruneClusters enforces the bounds of what is kept of clusters.
func (db *DB) pruneClusters(ctx context.Context) error {
	for more := true; more; {
		if err := db.update(ctx, func(t *tx) error {
			now := db.opt.Now()
			var err error
			if more, err = t.pruneAudit(now); err != nil {
				return err
			}
			n, err := t.pruneHabits(now)
			more = more || n > 0
			return err
		}); err != nil {
			return fmt.Errorf("prune clusters: %w", err)
		}
	}
	return nil
}

// AuditFields is what a filter of audit events may name.
func AuditFields() *query.Schema { return &auditFields }

var auditFields = query.Schema{Fields: []query.Field{
	{Name: "cluster", Type: query.Text, SQL: "cluster", Doc: "the cluster"},
	{Name: "identity", Aliases: []string{"id"}, Type: query.Text, Free: true, SQL: "identity", Doc: "who: identity:serviceaccount:shop/*"},
	{Name: "user", Type: query.Text, Free: true, SQL: "username", Doc: "whose rights were used, as Kubernetes names them"},
	{Name: "impersonator", Type: query.Text, SQL: "impersonator", Doc: `who acted in another's name; -impersonator:"" finds those`},
	{Name: "verb", Type: query.Text, SQL: "verb", Doc: "verb:create,delete"},
	{Name: "resource", Type: query.Text, Free: true, SQL: "resource", Doc: "resource.group/subresource: resource:pods/exec"},
	{Name: "namespace", Aliases: []string{"ns"}, Type: query.Text, Free: true, SQL: "namespace", Doc: "Kubernetes namespace"},
	{Name: "name", Type: query.Text, Free: true, SQL: "name", Doc: "the object's name"},
	{Name: "workload", Type: query.Text, Free: true, SQL: "workload", Doc: "that the object is or belongs to"},
	{Name: "source", Type: query.Text, List: true, SQL: "json_each(sources)", Doc: "address it came from: source:10.0.*"},
	{Name: "agent", Type: query.Text, Free: true, SQL: "agent", Doc: "user agent: agent:*curl*"},
	{Name: "code", Type: query.Number, SQL: "code", Doc: "HTTP status: code:>=400"},
	{Name: "decision", Type: query.Text, SQL: "decision", Doc: "decision:forbid"},
	{Name: "unusual", Type: query.Text, List: true, SQL: "json_each(unusual)", Doc: "what was unusual for the identity: unusual:secret-access"},
	{Name: "from", Type: query.Text, SQL: "origin", Doc: "pod, node, private, internet, loopback, unknown"},
	{Name: "from.name", Type: query.Text, Free: true, SQL: "origin_name", Doc: "the pod or node it came from"},
	{Name: "stage", Type: query.Text, SQL: "stage", Doc: "stage of the request: stage:ResponseComplete"},
	{Name: "level", Type: query.Text, SQL: "level", Doc: "how much was audited of it: level:Metadata"},
	{Name: "alert", Type: query.Text, List: true, Where: "id IN (SELECT e.event FROM event_alerts e WHERE e.alert {})", Doc: "an alert rests on it: alert:*, alert:3f2a…"},
	{Name: "event", Type: query.Text, SQL: "id", Doc: "the event's id"},
	{Name: "age", Type: query.Age, SQL: "time", Doc: "since it happened: age:<1h"},
	{Name: "time", Type: query.Time, SQL: "time", Doc: "when it happened: time:>=2026-01-31"},
}}

const auditColumns = `id, cluster, time, verb, resource, namespace, name, username, identity, impersonator, sources, agent, code, decision, reason, unusual, origin, origin_name, workload, stage, level`

func scanAudit(scan func(...any) error, more ...any) (AuditEvent, error) {
	var a AuditEvent
	var sources, unusual string
	err := scan(append([]any{&a.ID, &a.Cluster, &a.Time, &a.Verb, &a.Resource, &a.Namespace, &a.Name, &a.User, &a.Identity, &a.Impersonator, &sources, &a.Agent, &a.Code, &a.Decision, &a.Reason, &unusual,
		&a.From, &a.FromName, &a.Workload, &a.Stage, &a.Level}, more...)...)
	a.Sources, a.Unusual = texts(sources), texts(unusual)
	return a, err
}

// maxAuditTotal is how far a total of audit events is counted.
const maxAuditTotal = 10_000

// AuditPage is one page of audit events, newest first.
type AuditPage struct {
	Events    []AuditEvent
	Next      string
	Total     int64 // -1 = more than are counted
	KeptSince int64 // time of the oldest kept; 0 = none is kept
	Seq       uint64
}

// Audit lists audit events, newest first; Order of the query means nothing here.
func (db *DB) Audit(ctx context.Context, q ImageQuery) (AuditPage, error) {
	page := AuditPage{Seq: db.Seq()}
	limit, err := pageSize(q.Limit)
	if err != nil {
		return page, err
	}
	if q.Now == 0 {
		q.Now = db.opt.Now()
	}
	cond, args := q.Filter.SQL(&auditFields, query.Dialect{}, q.Now)
	tx, err := db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return page, db.explain(err)
	}
	defer tx.Rollback()
	if err := tx.QueryRowContext(ctx, "SELECT COALESCE(MIN(time),0) FROM audit").Scan(&page.KeptSince); err != nil {
		return page, db.explain(err)
	}
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM audit WHERE "+cond+" LIMIT ?) c", append(args[:len(args):len(args)], maxAuditTotal+1)...).Scan(&page.Total); err != nil {
		return page, db.explain(err)
	}
	if page.Total > maxAuditTotal {
		page.Total = -1
	}
	if q.Cursor != "" {
		at, id, err := readCursor("audit", q.Cursor)
		if err != nil {
			return page, err
		}
		cond = "(" + cond + ") AND (time, id) < (?, ?)"
		args = append(args, at, id)
	}
	rows, err := tx.QueryContext(ctx, "SELECT "+auditColumns+" FROM audit WHERE "+cond+" ORDER BY time DESC, id DESC LIMIT ?", append(args, limit+1)...)
	if err != nil {
		return page, db.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		a, err := scanAudit(rows.Scan)
		if err != nil {
			return page, db.explain(err)
		}
		page.Events = append(page.Events, a)
	}
	if len(page.Events) > limit {
		page.Events = page.Events[:limit]
		page.Next = cursor("audit", page.Events[limit-1].Time, page.Events[limit-1].ID)
	}
	return page, db.explain(rows.Err())
}

// AuditByID returns one event whole, and the alerts that rest on it. The error wraps
// ErrNotFound.
func (db *DB) AuditByID(ctx context.Context, id string) (AuditEvent, []string, error) {
	var blob []byte
	a, err := scanAudit(db.read.QueryRowContext(ctx, "SELECT "+auditColumns+", doc FROM audit WHERE id = ?", clean(id)).Scan, &blob)
	if errors.Is(err, sql.ErrNoRows) {
		return a, nil, fmt.Errorf("audit event %q: %w: it was never stored, or is older than what is kept", id, ErrNotFound)
	}
	if err != nil {
		return a, nil, db.explain(err)
	}
	if a.Doc, err = unzip(blob, maxAuditDoc); err != nil {
		return a, nil, fmt.Errorf("audit event %s: stored document: %w", id, err)
	}
	alerts, err := db.strings(ctx, "SELECT e.alert FROM event_alerts e JOIN alerts a ON a.id = e.alert WHERE e.event = ? ORDER BY a.severity DESC, e.alert LIMIT 100", a.ID)
	return a, alerts, err
}

func unzip(blob []byte, most int64) ([]byte, error) {
	r, err := zstd.NewReader(bytes.NewReader(blob), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(most)+1))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, most))
}
