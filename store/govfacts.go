package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory"
)

// maxAlertFacts bounds the alerts that KPIs rest on; the newest come, the rest is counted.
const maxAlertFacts = 100_000

// minerTechnique is ATT&CK's resource hijacking: what mines.
const minerTechnique = "T1496"

// DefenderRule begins the rule id of what Defender itself said.
const DefenderRule = "defender/"

// GovernanceRule begins the rule id of what governance itself judged.
const GovernanceRule = "governance/"

// AlertFacts reduces the alerts that happened since then to what KPIs need. Judgements of
// governance itself are not among them: they are not runtime alerts.
func (db *DB) AlertFacts(ctx context.Context, since, now int64) (*govern.AlertFacts, error) {
	f := &govern.AlertFacts{NodeDays: map[string]float64{}}
	if err := db.read.QueryRowContext(ctx, "SELECT COALESCE(MIN(since),0) FROM watched").Scan(&f.Since); err != nil {
		return nil, db.explain(err)
	}
	rows, err := db.read.QueryContext(ctx, `SELECT id, rule_id, title, severity, status, cluster, workload, owner, tactics, techniques, first_seen, last_seen, count, image, digest,
		COALESCE((SELECT MIN(h.time) FROM alert_history h WHERE h.alert_id = alerts.id AND h.from_status = ? AND h.to_status <> ?),0),
		COALESCE((SELECT MAX(h.time) FROM alert_history h WHERE h.alert_id = alerts.id AND h.to_status IN (?, ?)),0)
		FROM alerts WHERE last_seen >= ? AND rule_id NOT LIKE ? ORDER BY last_seen DESC, id LIMIT ?`,
		int64(finding.Open), int64(finding.Open), int64(finding.Resolved), int64(finding.Dismissed), since, GovernanceRule+"%", maxAlertFacts)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var a govern.AlertFact
		var tactics, techniques string
		if err := rows.Scan(&a.ID, &a.Rule, &a.Title, &a.Severity, &a.Status, &a.Cluster, &a.Workload, &a.Owner, &tactics, &techniques, &a.First, &a.Last, &a.Count, &a.Image, &a.Digest, &a.Acked, &a.Closed); err != nil {
			return nil, db.explain(err)
		}
		if a.Status != finding.Resolved && a.Status != finding.Dismissed {
			a.Closed = 0
		}
		a.Source, a.Tactics = "dockreeve", texts(tactics)
		if strings.HasPrefix(a.Rule, DefenderRule) {
			a.Source = "defender"
		}
		a.Miner = slices.ContainsFunc(texts(techniques), func(t string) bool { return t == minerTechnique || strings.HasPrefix(t, minerTechnique+".") })
		f.Alerts = append(f.Alerts, a)
	}
	if err := rows.Err(); err != nil {
		return nil, db.explain(err)
	}
	if len(f.Alerts) == maxAlertFacts {
		var n int64
		if err := db.read.QueryRowContext(ctx, "SELECT COUNT(*) FROM alerts WHERE last_seen >= ? AND rule_id NOT LIKE ?", since, GovernanceRule+"%").Scan(&n); err != nil {
			return nil, db.explain(err)
		}
		f.Dropped = uint64(max(0, n-maxAlertFacts))
	}
	if err := db.dismissed(ctx, f, now); err != nil {
		return nil, err
	}
	return f, db.nodeDays(ctx, since, now, func(_ string, from, to int64) {
		for at := from; at < to; {
			year, week := time.Unix(0, at).UTC().ISOWeek()
			end := min(to, nextWeek(at))
			f.NodeDays[fmt.Sprintf("%d-W%02d", year, week)] += float64(end-at) / float64(24*time.Hour)
			at = end
		}
	})
}

// nextWeek is when the ISO week after that of a time begins.
func nextWeek(at int64) int64 {
	t := time.Unix(0, at).UTC()
	monday := t.Truncate(24*time.Hour).AddDate(0, 0, -(int(t.Weekday())+6)%7)
	return monday.AddDate(0, 0, 7).UnixNano()
}

// nodeDays hands on every stretch since then in which a node was watched.
func (db *DB) nodeDays(ctx context.Context, since, now int64, each func(node string, from, to int64)) error {
	rows, err := db.read.QueryContext(ctx, "SELECT node, since, until FROM watched WHERE until > ? AND since < ? AND node NOT LIKE 'cluster/%'", since, now)
	if err != nil {
		return db.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var node string
		var from, to int64
		if err := rows.Scan(&node, &from, &to); err != nil {
			return db.explain(err)
		}
		if from, to = max(from, since), min(to, now); from < to {
			each(node, from, to)
		}
	}
	return db.explain(rows.Err())
}

// NodeDays is how many node-days since then were watched, by node as it reports.
func (db *DB) NodeDays(ctx context.Context, since, now int64) (map[string]float64, error) {
	out := map[string]float64{}
	err := db.nodeDays(ctx, since, now, func(node string, from, to int64) { out[node] += float64(to-from) / float64(24*time.Hour) })
	return out, err
}

// maxSuppressed bounds what is told of alerts that people keep quiet.
const maxSuppressed = 1000

// dismissed is what people keep quiet by dismissing: occurrences count, but raise nothing.
func (db *DB) dismissed(ctx context.Context, f *govern.AlertFacts, now int64) error {
	rows, err := db.read.QueryContext(ctx, `SELECT a.rule_id, COALESCE(h.who,''), COALESCE(h.why,''), COALESCE(h.time,0),
		(SELECT COUNT(*) FROM occurrences o WHERE o.alert_id = a.id AND o.time >= ?)
		FROM alerts a LEFT JOIN alert_history h ON h.id = (SELECT MAX(x.id) FROM alert_history x WHERE x.alert_id = a.id AND x.to_status = ?)
		WHERE a.status = ? ORDER BY a.last_seen DESC, a.id LIMIT ?`, now-30*24*int64(time.Hour), int64(finding.Dismissed), int64(finding.Dismissed), maxSuppressed)
	if err != nil {
		return db.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		s := govern.Suppressed{Source: "dockreeve"}
		if err := rows.Scan(&s.Rule, &s.By, &s.Why, &s.Since, &s.Count30d); err != nil {
			return db.explain(err)
		}
		if strings.HasPrefix(s.Rule, DefenderRule) {
			s.Source = "defender"
		}
		f.Suppressed = append(f.Suppressed, s)
	}
	return db.explain(rows.Err())
}

// ImageFacts says what runs, whether it was scanned, and how long vulnerabilities stand:
// those open, and those that ended since then. staleBefore is before when a verdict is
// stale. Nil when nothing runs that is known.
func (db *DB) ImageFacts(ctx context.Context, since, staleBefore int64) (*govern.ImageFacts, error) {
	f := &govern.ImageFacts{}
	if err := db.read.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(SUM(CASE WHEN not_assessed = '' THEN 1 ELSE 0 END),0),
		COALESCE(SUM(CASE WHEN not_assessed = '' AND matched_at < ? THEN 1 ELSE 0 END),0) FROM images WHERE running > 0`, staleBefore).Scan(&f.Running, &f.Scanned, &f.Stale); err != nil {
		return nil, db.explain(err)
	}
	rows, err := db.read.QueryContext(ctx, `SELECT COALESCE(v.id,''), CASE WHEN c.stopped = 0 THEN COALESCE(v.severity, c.severity) ELSE c.severity END, c.workload, COALESCE(NULLIF(w.owner,''), d.owner, ''), COALESCE(d.cluster,''), c.started, c.stopped
		FROM clocks c LEFT JOIN vulns v ON v.n = c.vuln LEFT JOIN workloads w ON w.name = c.workload
		LEFT JOIN (SELECT key, MIN(owner) AS owner, CASE WHEN COUNT(*) = 1 THEN MIN(cluster) ELSE '' END AS cluster FROM inventory WHERE kind = 'workload' GROUP BY key) d ON d.key = c.workload
		WHERE (c.stopped = 0 OR c.stopped >= ?) AND c.outcome <> ? LIMIT ?`, since, clockGone, maxClocksRead)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var r govern.Remedy
		var severity int64
		if err := rows.Scan(&r.Vulnerability, &severity, &r.Workload, &r.Owner, &r.Cluster, &r.From, &r.To); err != nil {
			return nil, db.explain(err)
		}
		r.Severity = severityOf(severity).String()
		if r.Owner == "" {
			r.Owner = inventory.Unowned
		}
		f.Remediation = append(f.Remediation, r)
	}
	if err := rows.Err(); err != nil {
		return nil, db.explain(err)
	}
	if f.Running == 0 && len(f.Remediation) == 0 {
		return nil, nil
	}
	return f, nil
}

// maxWithout bounds the images named that ran without a gate.
const maxWithout = 50

// GateFacts says which running images passed a gate. Nil when no gate was ever told of.
func (db *DB) GateFacts(ctx context.Context) (*govern.GateFacts, error) {
	var f govern.GateFacts
	if err := db.read.QueryRowContext(ctx, `SELECT COALESCE((SELECT MAX(time) FROM gate_runs),0), COUNT(*), COALESCE(SUM(CASE WHEN gate = 2 THEN 1 ELSE 0 END),0), COALESCE(SUM(CASE WHEN gate = 1 THEN 1 ELSE 0 END),0)
		FROM images WHERE running > 0`).Scan(&f.Last, &f.Running, &f.Gated, &f.Failed); err != nil {
		return nil, db.explain(err)
	}
	if f.Last == 0 {
		return nil, nil
	}
	var err error
	f.Without, err = db.strings(ctx, "SELECT CASE WHEN name = '' THEN key ELSE name END FROM images WHERE running > 0 AND gate = 0 ORDER BY running DESC, n LIMIT ?", maxWithout)
	return &f, err
}

// ClusterRisk is what runs in a cluster and stands open there.
type ClusterRisk struct {
	Images, Assessed int            // distinct ones that its workloads run, and those with a verdict
	Vulnerabilities  map[string]int // open ones, by severity, each image once; nil = no image has a verdict
	Exploited        int
	AlertsOpen       map[string]int // by severity
	High7d           int            // alerts, high and critical, that happened within seven days
}

// ClusterRisk adds up one cluster.
func (db *DB) ClusterRisk(ctx context.Context, cluster string, now int64) (ClusterRisk, error) {
	r := ClusterRisk{AlertsOpen: map[string]int{}}
	var c [5]int
	if err := db.read.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(SUM(CASE WHEN not_assessed = '' THEN 1 ELSE 0 END),0), COALESCE(SUM(critical),0), COALESCE(SUM(high),0), COALESCE(SUM(medium),0), COALESCE(SUM(low),0), COALESCE(SUM(unrated),0), COALESCE(SUM(kev),0)
		FROM images WHERE n IN (SELECT k.image FROM workload_images w JOIN image_keys k ON k.key = w.ref WHERE w.cluster = ?)`, clean(cluster)).
		Scan(&r.Images, &r.Assessed, &c[0], &c[1], &c[2], &c[3], &c[4], &r.Exploited); err != nil {
		return r, db.explain(err)
	}
	if r.Assessed > 0 {
		r.Vulnerabilities = map[string]int{"critical": c[0], "high": c[1], "medium": c[2], "low": c[3], "unrated": c[4]}
	}
	rows, err := db.read.QueryContext(ctx, "SELECT severity, COALESCE(SUM(CASE WHEN status = ? THEN 1 ELSE 0 END),0), COALESCE(SUM(CASE WHEN last_seen >= ? THEN 1 ELSE 0 END),0) FROM alerts WHERE cluster = ? AND rule_id NOT LIKE ? GROUP BY severity",
		int64(finding.Open), now-7*24*int64(time.Hour), clean(cluster), GovernanceRule+"%")
	if err != nil {
		return r, db.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var severity finding.Severity
		var open, lately int
		if err := rows.Scan(&severity, &open, &lately); err != nil {
			return r, db.explain(err)
		}
		if open > 0 {
			r.AlertsOpen[severity.String()] = open
		}
		if severity >= finding.High {
			r.High7d += lately
		}
	}
	return r, db.explain(rows.Err())
}

// ClusterIdentities and ClusterExposures return the documents of a cluster, by key.
func (db *DB) ClusterIdentities(ctx context.Context, cluster string) ([]inventory.IdentityDoc, error) {
	return documentsOf[inventory.IdentityDoc](ctx, db, cluster, inventory.DocIdentity)
}

// ClusterExposures returns the exposures of a cluster, by key.
func (db *DB) ClusterExposures(ctx context.Context, cluster string) ([]inventory.ExposureDoc, error) {
	return documentsOf[inventory.ExposureDoc](ctx, db, cluster, inventory.DocExposure)
}

// ClusterWorkloads returns the workloads of a cluster, by key.
func (db *DB) ClusterWorkloads(ctx context.Context, cluster string) ([]inventory.WorkloadDoc, error) {
	return documentsOf[inventory.WorkloadDoc](ctx, db, cluster, inventory.DocWorkload)
}

// Twin is an alert of ours as another product's is compared with it.
type Twin struct {
	ID         string
	Status     finding.Status
	Rule       string
	Cluster    string
	Namespace  string
	Pod        string
	Workload   string
	Image      string
	Identity   string
	Techniques []string
	Answers    []string // rows of the public Defender alert list its rule answers
	First      int64
	Last       int64
	Note       string
}

// Twins returns alerts of a cluster that happened within from..to and are not of Defender
// or of governance, the newest first, at most MaxPage.
func (db *DB) Twins(ctx context.Context, cluster string, from, to int64) ([]Twin, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT a.id, a.status, a.rule_id, a.cluster, a.namespace, a.pod, a.workload, a.image, a.identity, a.techniques, a.first_seen, a.last_seen, a.note, o.finding
		FROM alerts a LEFT JOIN occurrences o ON o.finding_id = a.latest_finding
		WHERE a.cluster = ? AND a.last_seen >= ? AND a.first_seen <= ? AND a.rule_id NOT LIKE ? AND a.rule_id NOT LIKE ? ORDER BY a.last_seen DESC, a.id LIMIT ?`,
		clean(cluster), from, to, DefenderRule+"%", GovernanceRule+"%", MaxPage)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	var out []Twin
	for rows.Next() {
		var t Twin
		var techniques string
		var raw []byte
		if err := rows.Scan(&t.ID, &t.Status, &t.Rule, &t.Cluster, &t.Namespace, &t.Pod, &t.Workload, &t.Image, &t.Identity, &techniques, &t.First, &t.Last, &t.Note, &raw); err != nil {
			return nil, db.explain(err)
		}
		t.Techniques = texts(techniques)
		if raw != nil {
			var f struct {
				Rule struct {
					Answers []string `json:"answers"`
				} `json:"rule"`
			}
			if err := json.Unmarshal(raw, &f); err != nil {
				return nil, fmt.Errorf("alert %s: stored finding: %w", t.ID, err)
			}
			t.Answers = f.Rule.Answers
		}
		out = append(out, t)
	}
	return out, db.explain(rows.Err())
}

// maxAlertNote bounds the note of an alert, in bytes.
const maxAlertNote = 4096

// AddNote appends a line to the note of an alert, unless it stands there; the oldest lines
// go where it grows too long. The error wraps ErrNotFound.
func (db *DB) AddNote(ctx context.Context, id, line string) (added bool, err error) {
	line = clip(clean(line))
	err = db.update(ctx, func(t *tx) error {
		added = false
		var note string
		if err := t.row("SELECT note FROM alerts WHERE id = ?", []any{id}, &note); err != nil {
			return noRow(err, "alert %q", id)
		}
		lines := strings.Split(note, "\n")
		if slices.Contains(lines, line) {
			return nil
		}
		if note == "" {
			lines = nil
		}
		lines = append(lines, line)
		for len(strings.Join(lines, "\n")) > maxAlertNote && len(lines) > 1 {
			lines = lines[1:]
		}
		seq, err := t.tell(ChangeAlert, id)
		if err != nil {
			return err
		}
		added = true
		_, err = t.exec("UPDATE alerts SET note = ?, change_seq = ? WHERE id = ?", strings.Join(lines, "\n"), int64(seq), id)
		return err
	})
	return added, err
}

// Raised is a judgement that was made an alert of.
type Raised struct {
	Key   string
	Hash  []byte
	Alert string
	At    int64
	Gone  int64 // when it was first found to be gone; 0 = it stands
}

// Raised returns what was made alerts of, by key.
func (db *DB) Raised(ctx context.Context) (map[string]Raised, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT key, hash, alert, at, gone FROM gov_raised")
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	out := map[string]Raised{}
	for rows.Next() {
		var r Raised
		if err := rows.Scan(&r.Key, &r.Hash, &r.Alert, &r.At, &r.Gone); err != nil {
			return nil, db.explain(err)
		}
		out[r.Key] = r
	}
	return out, db.explain(rows.Err())
}

// maxRaised bounds what is remembered of judgements that were made alerts of: those gone
// longest go first.
const maxRaised = 100_000

// SetRaised remembers judgements that were made alerts of, or that are gone.
func (db *DB) SetRaised(ctx context.Context, list []Raised) error {
	for part := range slices.Chunk(list, govStep) {
		if err := db.update(ctx, func(t *tx) error {
			for i := range part {
				r := &part[i]
				if _, err := t.exec("INSERT INTO gov_raised (key, hash, alert, at, gone) VALUES (?,?,?,?,?) ON CONFLICT (key) DO UPDATE SET hash = excluded.hash, alert = excluded.alert, at = excluded.at, gone = excluded.gone",
					short(r.Key), r.Hash, r.Alert, r.At, r.Gone); err != nil {
					return err
				}
			}
			_, err := t.exec(`DELETE FROM gov_raised WHERE key IN (SELECT key FROM gov_raised ORDER BY CASE WHEN gone = 0 THEN 0 ELSE 1 END, gone DESC, at DESC LIMIT 9223372036854775807 OFFSET ?)`, maxRaised)
			return err
		}); err != nil {
			return fmt.Errorf("remember what was raised: %w", err)
		}
	}
	return nil
}

// noRow turns the absence of a row into ErrNotFound.
func noRow(err error, format string, args ...any) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf(format+": %w", append(args, ErrNotFound)...)
	}
	return err
}

// FailingImages names images that run in a cluster and have a vulnerability of high or
// critical severity that a newer version mends, at most most of them, and counts all. at
// is when those of the cluster were last matched.
func (db *DB) FailingImages(ctx context.Context, cluster string, most int) (names []string, count int, at int64, err error) {
	const there = "FROM images WHERE n IN (SELECT k.image FROM workload_images w JOIN image_keys k ON k.key = w.ref WHERE w.cluster = ?)"
	if err := db.read.QueryRowContext(ctx, "SELECT COALESCE(MAX(matched_at),0) "+there, clean(cluster)).Scan(&at); err != nil {
		return nil, 0, 0, db.explain(err)
	}
	const failing = there + " AND critical + high > 0 AND EXISTS (SELECT 1 FROM image_packages ip JOIN package_vulns pv ON pv.package = ip.package WHERE ip.image = images.n AND pv.severity >= 4 AND pv.fixed_in <> '')"
	if err := db.read.QueryRowContext(ctx, "SELECT COUNT(*) "+failing, clean(cluster)).Scan(&count); err != nil {
		return nil, 0, 0, db.explain(err)
	}
	names, err = db.strings(ctx, "SELECT CASE WHEN name = '' THEN key ELSE name END "+failing+" ORDER BY critical DESC, high DESC, n LIMIT ?", clean(cluster), most)
	return names, count, at, err
}

// Silence is how long after its last report a node counts as not reporting.
func (n *Node) Silence() time.Duration { return max(10*time.Second, 3*time.Duration(n.Every)) }

// Watching says whether the node's kernel is watched: it says so, and has said it lately.
func (n *Node) Watching(now int64) bool {
	return now-n.ReceivedAt <= int64(n.Silence()) && n.NotAssessed == "" && n.Since > 0
}
