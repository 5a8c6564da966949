package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/query"
)

// AlertFields is what a filter of alerts may name.
func AlertFields() *query.Schema { return &alertFields }

var alertFields = query.Schema{Fields: []query.Field{
	{Name: "severity", Aliases: []string{"sev"}, Type: query.Ranked, Words: finding.SeverityWords(), First: int64(finding.Informational), SQL: "severity", Doc: "how bad it is: severity:>=high"},
	{Name: "status", Type: query.Enum, Words: finding.StatusWords(), First: int64(finding.Open), SQL: "status", Doc: "where it stands: status:open,acknowledged"},
	{Name: "age", Type: query.Age, SQL: "last_seen", Doc: "since it last happened: age:<7d"},
	{Name: "last", Type: query.Time, SQL: "last_seen", Doc: "when it last happened: last:>=2026-01-31"},
	{Name: "first", Type: query.Time, SQL: "first_seen", Doc: "when it first happened"},
	{Name: "count", Type: query.Number, SQL: "count", Doc: "how often it happened: count:>=10"},
	{Name: "rule", Type: query.Text, SQL: "rule_id", Doc: "the rule's id"},
	{Name: "title", Type: query.Text, Free: true, SQL: "title", Doc: "the rule's name"},
	{Name: "summary", Type: query.Text, Free: true, SQL: "summary", Doc: "the plain sentence"},
	{Name: "tactic", Type: query.Text, List: true, SQL: "json_each(tactics)", Doc: `ATT&CK tactic: tactic:"Credential Access"`},
	{Name: "technique", Type: query.Text, List: true, SQL: "json_each(techniques)", Doc: "ATT&CK technique: technique:T1552*"},
	{Name: "node", Type: query.Text, Free: true, SQL: "node", Doc: "the machine"},
	{Name: "namespace", Aliases: []string{"ns"}, Type: query.Text, Free: true, SQL: "namespace", Doc: "Kubernetes namespace"},
	{Name: "pod", Type: query.Text, Free: true, SQL: "pod", Doc: "Kubernetes pod"},
	{Name: "workload", Type: query.Text, Free: true, SQL: "workload", Doc: "namespace/kind/name, else container name, else host"},
	{Name: "container", Type: query.Text, Free: true, SQL: "container_name", Doc: "container name"},
	{Name: "container.id", Type: query.Text, SQL: "container_id", Doc: "container id: container.id:4f2a*"},
	{Name: "image", Type: query.Text, Free: true, SQL: "image", Doc: "image as the runtime names it: image:*nginx*"},
	{Name: "process", Aliases: []string{"proc"}, Type: query.Text, Free: true, SQL: "process", Doc: "command name"},
	{Name: "executable", Aliases: []string{"exe"}, Type: query.Text, Free: true, SQL: "executable", Doc: "path of the executable"},
	{Name: "user", Type: query.Text, SQL: "username", Doc: "user it ran as"},
	{Name: "object", Type: query.Text, Free: true, SQL: "object", Doc: "file, address… it was about"},
	{Name: "cluster", Type: query.Text, Free: true, SQL: "cluster", Doc: `the cluster; cluster:"" is outside of any`},
	{Name: "identity", Type: query.Text, Free: true, SQL: "identity", Doc: "who used the API: identity:serviceaccount:shop/*"},
	{Name: "owner", Type: query.Text, Free: true, SQL: "owner", Doc: "who answers for the workload, or else for the cluster: owner:unowned"},
	{Name: "tenant", Type: query.Text, Free: true, SQL: "tenant", Doc: "whose it is, where clusters have tenants"},
	{Name: "source", Type: query.Text, Free: true, SQL: "source", Doc: "address the API was used from: source:10.0.*"},
	{Name: "agent", Type: query.Text, SQL: "agent", Doc: "what the API was used with: agent:*curl*"},
	{Name: "reaches", Type: query.Text, List: true, SQL: "json_each(reaches)", Doc: "another workload or tenant it reaches into"},
	{Name: "assignee", Type: query.Text, SQL: "assignee", Doc: `who deals with it; assignee:"" finds those without`},
	{Name: "note", Type: query.Text, SQL: "note", Doc: "the note people left"},
	{Name: "in-container", Type: query.Bool, SQL: "in_container", Doc: "whether it happened in a container: in-container:no"},
	{Name: "loss", Type: query.Bool, SQL: "affected_by_loss", Doc: "whether lost events may have affected it"},
	{Name: "id", Type: query.Text, SQL: "id", Doc: "the alert's id"},
}}

// Alert is a row of the list. Its Latest holds what the list shows: id, time,
// rule id, name, tactics and techniques, summary and subject; Alert gives it whole.
type Alert struct {
	finding.Alert
	OwnerFrom      string // "" = the finding says its owner itself; RoutedByCluster
	AffectedByLoss bool
	ChangeSeq      uint64
}

// StatusChange is one line of an alert's history.
type StatusChange struct {
	Time     int64
	From, To finding.Status
	Who, Why string
}

// AlertQuery asks for one page.
type AlertQuery struct {
	Filter query.Query // parsed against AlertFields
	Order  string      // see AlertOrders; "" = last_seen; "-" before it turns it round
	Limit  int         // 1–500; 0 = 100
	Cursor string      // of the page before; "" = the first
	Now    int64       // for ages; 0 = the store's clock
}

// AlertPage is one page, and what it is a page of.
type AlertPage struct {
	Alerts   []Alert
	Next     string // cursor of the next page; "" = this was the last
	Total    int64  // matching the filter
	TotalAll int64  // without it
	Seq      uint64 // the change this page reflects, or a later one
}

// MaxPage bounds one page of any list.
const MaxPage = 500

// alertOrders are the columns a list may be ordered by, largest first.
var alertOrders = map[string]string{
	"last_seen":  "last_seen",
	"first_seen": "first_seen",
	"severity":   "severity",
	"count":      "count",
}

// ErrOrder says the order asked for does not exist.
var ErrOrder = errors.New("order is not one of last_seen, severity, count, first_seen")

const alertColumns = `id, fingerprint, status, severity, first_seen, last_seen, count, stored_at, kernel_time, assignee, note, latest_finding,
	affected_by_loss, change_seq, rule_id, title, summary, tactics, techniques, node, workload, process, executable, username, object, object_class,
	in_container, container_id, container_name, image, digest, pod, namespace, runtime, container_unknown, cluster, identity, source, agent, owner, owner_from, tenant, reaches`

func scanAlert(scan func(...any) error) (Alert, error) {
	var a Alert
	var tactics, techniques, reaches string
	var affected, inContainer, seq int64
	var c finding.Container
	f := &a.Latest
	s := &f.Subject
	err := scan(&a.ID, &a.Fingerprint, &a.Status, &a.Severity, &a.FirstSeen, &a.LastSeen, &a.Count, &a.StoredAt, &f.Time, &a.Assignee, &a.Note, &f.ID,
		&affected, &seq, &f.Rule.ID, &f.Rule.Name, &f.Summary, &tactics, &techniques, &s.Node, &s.Workload, &s.Process, &s.Executable, &s.User, &s.Object, &s.ObjectClass,
		&inContainer, &c.ID, &c.Name, &c.Image, &c.Digest, &c.Pod, &c.Namespace, &c.Runtime, &c.Unknown,
		&s.Cluster, &s.Identity, &s.Source, &s.Agent, &s.Owner, &a.OwnerFrom, &s.Tenant, &reaches)
	if err != nil {
		return a, err
	}
	f.Fingerprint, f.Severity = a.Fingerprint, a.Severity
	a.AffectedByLoss, a.ChangeSeq = affected != 0, uint64(seq)
	if inContainer != 0 {
		s.Container = &c
	}
	for _, l := range []struct {
		text string
		to   *[]string
	}{{tactics, &f.Rule.Tactics}, {techniques, &f.Rule.Techniques}, {reaches, &s.Reaches}} {
		if err := json.Unmarshal([]byte(l.text), l.to); err != nil {
			return a, fmt.Errorf("alert %s: stored list %q: %w", a.ID, l.text, err)
		}
	}
	return a, nil
}

// Alerts lists alerts. Rows that change while pages are fetched may move
// between pages; the change stream tells which.
func (db *DB) Alerts(ctx context.Context, q AlertQuery) (AlertPage, error) {
	var page AlertPage
	name, reverse := strings.CutPrefix(q.Order, "-")
	if name == "" {
		name = "last_seen"
	}
	col, ok := alertOrders[name]
	if !ok {
		return page, fmt.Errorf("%w: %q", ErrOrder, q.Order)
	}
	limit, err := pageSize(q.Limit)
	if err != nil {
		return page, err
	}
	if q.Now == 0 {
		q.Now = db.opt.Now()
	}
	page.Seq = db.Seq()
	cond, args := q.Filter.SQL(&alertFields, query.Dialect{}, q.Now)
	tx, err := db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // totals and rows of the same moment
	if err != nil {
		return page, db.explain(err)
	}
	defer tx.Rollback()
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM alerts").Scan(&page.TotalAll); err != nil {
		return page, db.explain(err)
	}
	page.Total = page.TotalAll
	if len(q.Filter.Terms) > 0 {
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM alerts WHERE "+cond, args...).Scan(&page.Total); err != nil {
			return page, db.explain(err)
		}
	}
	dir, cmp := "DESC", "<"
	if reverse {
		dir, cmp = "ASC", ">"
	}
	list := "alerts " + q.Order
	if q.Cursor != "" {
		at, id, err := readCursor(list, q.Cursor)
		if err != nil {
			return page, err
		}
		cond = "(" + cond + ") AND (" + col + ", id) " + cmp + " (?, ?)"
		args = append(args, at, id)
	}
	rows, err := tx.QueryContext(ctx, "SELECT "+alertColumns+" FROM alerts WHERE "+cond+" ORDER BY "+col+" "+dir+", id "+dir+" LIMIT ?", append(args, limit+1)...)
	if err != nil {
		return page, db.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		a, err := scanAlert(rows.Scan)
		if err != nil {
			return page, db.explain(err)
		}
		page.Alerts = append(page.Alerts, a)
	}
	if err := rows.Err(); err != nil {
		return page, db.explain(err)
	}
	if len(page.Alerts) > limit {
		page.Alerts = page.Alerts[:limit]
		last := &page.Alerts[limit-1]
		at := map[string]int64{"last_seen": last.LastSeen, "first_seen": last.FirstSeen, "severity": int64(last.Severity), "count": last.Count}[name]
		page.Next = cursor(list, at, last.ID)
	}
	return page, nil
}

// AlertDetail is one alert with its newest finding whole and its history, oldest first.
type AlertDetail struct {
	Alert
	History []StatusChange
	Seq     uint64
}

// Alert returns one alert. The error wraps ErrNotFound when there is none.
func (db *DB) Alert(ctx context.Context, id string) (AlertDetail, error) {
	var d AlertDetail
	d.Seq = db.Seq()
	tx, err := db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return d, db.explain(err)
	}
	defer tx.Rollback()
	d.Alert, err = scanAlert(tx.QueryRowContext(ctx, "SELECT "+alertColumns+" FROM alerts WHERE id = ?", id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return d, fmt.Errorf("alert %q: %w", id, ErrNotFound)
	}
	if err != nil {
		return d, db.explain(err)
	}
	var raw []byte
	if err := tx.QueryRowContext(ctx, "SELECT finding FROM occurrences WHERE finding_id = ?", d.Latest.ID).Scan(&raw); err != nil {
		return d, fmt.Errorf("alert %s: its newest finding %s: %w", id, d.Latest.ID, db.explain(err))
	}
	var f finding.Finding
	if err := json.Unmarshal(raw, &f); err != nil {
		return d, fmt.Errorf("alert %s: stored finding %s: %w", id, d.Latest.ID, err)
	}
	f.Subject.Owner = d.Latest.Subject.Owner // it may have come from the cluster
	d.Latest = f
	rows, err := tx.QueryContext(ctx, "SELECT time, from_status, to_status, who, why FROM alert_history WHERE alert_id = ? ORDER BY id", id)
	if err != nil {
		return d, db.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var c StatusChange
		if err := rows.Scan(&c.Time, &c.From, &c.To, &c.Who, &c.Why); err != nil {
			return d, db.explain(err)
		}
		d.History = append(d.History, c)
	}
	return d, db.explain(rows.Err())
}

// Occurrence is one finding of an alert, in short.
type Occurrence struct {
	FindingID string
	Time      int64
	StoredAt  int64
	Summary   string
	Cmdline   string
}

// Occurrences lists what is kept of an alert's occurrences, newest first. The
// error wraps ErrNotFound when there is no such alert.
func (db *DB) Occurrences(ctx context.Context, alertID string, limit int, after string) (list []Occurrence, next string, err error) {
	if limit, err = pageSize(limit); err != nil {
		return nil, "", err
	}
	var n int
	if err := db.read.QueryRowContext(ctx, "SELECT COUNT(*) FROM alerts WHERE id = ?", alertID).Scan(&n); err != nil {
		return nil, "", db.explain(err)
	}
	if n == 0 {
		return nil, "", fmt.Errorf("alert %q: %w", alertID, ErrNotFound)
	}
	cond, args := "alert_id = ?", []any{alertID}
	if after != "" {
		at, id, err := readCursor("occurrences "+alertID, after)
		if err != nil {
			return nil, "", err
		}
		cond += " AND (time, finding_id) < (?, ?)"
		args = append(args, at, id)
	}
	rows, err := db.read.QueryContext(ctx, "SELECT finding_id, time, stored_at, summary, cmdline FROM occurrences WHERE "+cond+
		" ORDER BY time DESC, finding_id DESC LIMIT ?", append(args, limit+1)...)
	if err != nil {
		return nil, "", db.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var o Occurrence
		if err := rows.Scan(&o.FindingID, &o.Time, &o.StoredAt, &o.Summary, &o.Cmdline); err != nil {
			return nil, "", db.explain(err)
		}
		list = append(list, o)
	}
	if err := rows.Err(); err != nil {
		return nil, "", db.explain(err)
	}
	if len(list) > limit {
		list = list[:limit]
		next = cursor("occurrences "+alertID, list[limit-1].Time, list[limit-1].FindingID)
	}
	return list, next, nil
}

// SetStatus moves alerts, all of them or none, and records who and why. Alerts
// that stand there already are left alone. At most MaxPage ids. The error wraps
// ErrNotFound or finding.ErrTransition.
func (db *DB) SetStatus(ctx context.Context, ids []string, to finding.Status, who, why string) ([]Alert, error) {
	if len(ids) == 0 || len(ids) > MaxPage {
		return nil, fmt.Errorf("%w: %d alerts named, 1 to %d are possible at once", ErrLimit, len(ids), MaxPage)
	}
	var out []Alert
	err := db.update(ctx, func(t *tx) error {
		out = out[:0]
		now := db.opt.Now()
		for _, id := range ids {
			prev, err := t.alert(id)
			if err != nil {
				return err
			}
			if prev == nil {
				return fmt.Errorf("alert %q: %w", id, ErrNotFound)
			}
			if err := prev.Status.Move(to); err != nil {
				return fmt.Errorf("alert %s: %w", id, err)
			}
			if prev.Status != to {
				seq, err := t.tell(ChangeAlert, id)
				if err != nil {
					return err
				}
				if _, err := t.exec("UPDATE alerts SET status = ?, change_seq = ? WHERE id = ?", int64(to), int64(seq), id); err != nil {
					return err
				}
				if err := t.history(id, StatusChange{Time: now, From: prev.Status, To: to, Who: clean(who), Why: clean(why)}); err != nil {
					return err
				}
			}
			var a Alert
			a, err = scanAlert(func(dest ...any) error {
				return t.row("SELECT "+alertColumns+" FROM alerts WHERE id = ?", []any{id}, dest...)
			})
			if err != nil {
				return err
			}
			out = append(out, a)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("set status %s: %w", to, err)
	}
	return out, nil
}

// maxHistory bounds the lines of one alert's history; the oldest go first.
const maxHistory = 200

func (t *tx) history(alertID string, c StatusChange) error {
	if _, err := t.exec(`DELETE FROM alert_history WHERE alert_id = ? AND id IN
		(SELECT id FROM alert_history WHERE alert_id = ? ORDER BY id DESC LIMIT 9223372036854775807 OFFSET ?)`, alertID, alertID, maxHistory-1); err != nil {
		return err
	}
	_, err := t.exec(`INSERT INTO alert_history (id, alert_id, time, from_status, to_status, who, why)
		VALUES ((SELECT COALESCE(MAX(id),0)+1 FROM alert_history), ?, ?, ?, ?, ?, ?)`, alertID, c.Time, int64(c.From), int64(c.To), c.Who, c.Why)
	return err
}

// ErrLimit says a page or a list of ids is out of its bounds.
var ErrLimit = errors.New("out of bounds")

func pageSize(n int) (int, error) {
	switch {
	case n == 0:
		return 100, nil
	case n < 0 || n > MaxPage:
		return 0, fmt.Errorf("%w: page size %d, 1 to %d are possible", ErrLimit, n, MaxPage)
	}
	return n, nil
}

// cursor is opaque to callers: the list it belongs to, and the last row's key.
func cursor(list string, at int64, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + "\x00" + strconv.FormatInt(at, 10) + "\x00" + id))
}

func readCursor(list, c string) (at int64, id string, err error) {
	b, err := base64.RawURLEncoding.DecodeString(c)
	parts := strings.Split(string(b), "\x00")
	if err != nil || len(parts) != 3 || parts[0] != list {
		return 0, "", fmt.Errorf("%w: fetch the first page again", ErrCursor)
	}
	if at, err = strconv.ParseInt(parts[1], 10, 64); err != nil {
		return 0, "", fmt.Errorf("%w: fetch the first page again", ErrCursor)
	}
	return at, parts[2], nil
}
