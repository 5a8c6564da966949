package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/query"
)

const (
	// clockGrace is how long a vulnerability must be away from everything that runs of
	// a workload before its clock stops: a restart or a rollout is not a remedy.
	clockGrace = int64(10 * time.Minute)
	// clockReturn is how soon a workload that was gone may come back and be the same
	// matter: what is scaled to nothing overnight has not been remedied.
	clockReturn = int64(7 * 24 * time.Hour)
)

// The outcomes of a clock.
const (
	clockFixed = 1
	clockGone  = 2
)

// checkWorkloads has the clocks of the workloads that run an image looked at.
func (t *tx) checkWorkloads(image int64) error {
	_, err := t.exec("UPDATE workloads SET check_at = 1 WHERE name IN (SELECT workload FROM running WHERE image = ? AND ended = 0)", image)
	return err
}

// checkClocks looks at the workloads that are due.
func (t *tx) checkClocks(now int64) (int, error) {
	rows, err := t.rows("SELECT name FROM workloads WHERE check_at > 0 AND check_at <= ? ORDER BY check_at LIMIT ?", now, settleStep)
	if err != nil {
		return 0, err
	}
	var names []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			rows.Close()
			return 0, err
		}
		names = append(names, s)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return 0, err
	}
	for _, w := range names {
		if err := t.checkWorkload(w, now); err != nil {
			return 0, err
		}
	}
	return len(names), nil
}

type clock struct{ vuln, started, absent int64 }

func (t *tx) checkWorkload(w string, now int64) error {
	var instances, unknown, lastEnd int64
	if err := t.row(`SELECT COALESCE(SUM(CASE WHEN r.ended = 0 THEN 1 ELSE 0 END),0),
		COALESCE(SUM(CASE WHEN r.ended = 0 AND (i.n IS NULL OR i.matched_at = 0) THEN 1 ELSE 0 END),0), COALESCE(MAX(r.ended),0)
		FROM running r LEFT JOIN images i ON i.n = r.image WHERE r.workload = ?`, []any{w}, &instances, &unknown, &lastEnd); err != nil {
		return err
	}
	present, err := t.numbers(`SELECT DISTINCT pv.vuln FROM running r JOIN image_packages ip ON ip.image = r.image JOIN package_vulns pv ON pv.package = ip.package WHERE r.workload = ? AND r.ended = 0`, w)
	if err != nil {
		return err
	}
	has := make(map[int64]bool, len(present))
	for _, v := range present {
		has[v] = true
	}
	open, err := t.openClocks(w)
	if err != nil {
		return err
	}
	next := int64(0)
	running := map[int64]bool{}
	for _, c := range open {
		running[c.vuln] = true
		due, err := t.checkClock(w, c, has[c.vuln], instances > 0, unknown > 0, lastEnd, now)
		if err != nil {
			return err
		}
		if due > 0 && (next == 0 || due < next) {
			next = due
		}
	}
	for _, v := range present {
		if !running[v] {
			if err := t.startClock(w, v, now); err != nil {
				return err
			}
		}
	}
	_, err = t.exec("UPDATE workloads SET check_at = ? WHERE name = ?", next, w)
	return err
}

func (t *tx) openClocks(w string) ([]clock, error) {
	rows, err := t.rows("SELECT vuln, started, absent FROM clocks WHERE stopped = 0 AND workload = ?", w)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []clock
	for rows.Next() {
		var c clock
		if err := rows.Scan(&c.vuln, &c.started, &c.absent); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// checkClock moves one open clock on and returns when to look at it again; 0 = when
// something changes.
func (t *tx) checkClock(w string, c clock, present, instances, unknown bool, lastEnd, now int64) (int64, error) {
	set := func(absent, stopped, outcome int64) error {
		_, err := t.exec(`UPDATE clocks SET absent = ?, stopped = ?, outcome = ?, severity = COALESCE((SELECT severity FROM vulns WHERE n = clocks.vuln), severity), kev = COALESCE((SELECT kev FROM vulns WHERE n = clocks.vuln), kev)
			WHERE workload = ? AND vuln = ? AND started = ?`, absent, stopped, outcome, w, c.vuln, c.started)
		return err
	}
	switch {
	case present:
		if c.absent != 0 {
			return 0, set(0, 0, 0)
		}
		return 0, nil
	case unknown:
		return 0, nil // something runs that nobody has looked into: it may be in there
	}
	absent := c.absent
	if absent == 0 {
		// Since the last container that had it ended; where none did, the image lost it
		// where it stands, as of now.
		var end int64
		if err := t.row(`SELECT COALESCE(MAX(r.ended),0) FROM running r WHERE r.workload = ? AND r.ended <> 0 AND EXISTS
			(SELECT 1 FROM image_packages ip JOIN package_vulns pv ON pv.package = ip.package WHERE ip.image = r.image AND pv.vuln = ?)`, []any{w, c.vuln}, &end); err != nil {
			return 0, err
		}
		absent = now
		if end > 0 {
			absent = min(end, now)
		} else if !instances && lastEnd > 0 {
			absent = min(lastEnd, now)
		}
		absent = max(absent, c.started)
	}
	if now-absent < clockGrace {
		return absent + clockGrace, set(absent, 0, 0)
	}
	if instances {
		return 0, set(absent, absent, clockFixed)
	}
	return 0, set(absent, absent, clockGone)
}

func (t *tx) startClock(w string, vuln, now int64) error {
	// A workload that was gone and is back takes its clock up again.
	var started int64
	err := t.row("SELECT started FROM clocks WHERE workload = ? AND vuln = ? AND outcome = ? AND stopped > ? ORDER BY started DESC LIMIT 1", []any{w, vuln, clockGone, now - clockReturn}, &started)
	if err == nil {
		_, err = t.exec("UPDATE clocks SET absent = 0, stopped = 0, outcome = 0 WHERE workload = ? AND vuln = ? AND started = ?", w, vuln, started)
		return err
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	_, err = t.exec(`INSERT INTO clocks (workload, vuln, started, severity, kev, absent, stopped, outcome) SELECT ?, n, ?, severity, kev, 0, 0, 0 FROM vulns WHERE n = ?
		ON CONFLICT (workload, vuln, started) DO UPDATE SET absent = 0, stopped = 0, outcome = 0`, w, now, vuln)
	return err
}

// RemediationFields is what a filter of remediation clocks may name.
func RemediationFields() *query.Schema { return &remediationFields }

var remediationFields = query.Schema{Fields: []query.Field{
	{Name: "severity", Aliases: []string{"sev"}, Type: query.Ranked, Words: severityWords(), SQL: "severity", Doc: "how bad the vulnerability is"},
	{Name: "id", Aliases: []string{"cve"}, Type: query.Text, Free: true, SQL: "id", Doc: "the vulnerability's id"},
	{Name: "kev", Type: query.Bool, SQL: "kev", Doc: "known to be exploited"},
	{Name: "workload", Type: query.Text, Free: true, SQL: "workload", Doc: "namespace/kind/name, else container name"},
	{Name: "owner", Type: query.Text, Free: true, SQL: "owner", Doc: `who answers for the workload; owner:"" finds those without`},
}}

// severityWords are the words of a vulnerability's severity, with that for what nobody
// has rated.
func severityWords() []string { return append([]string{"unrated"}, finding.SeverityWords()...) }

// Remediation is how fast vulnerabilities leave what runs, for one group of clocks.
type Remediation struct {
	Owner    string // "" = all, or those without
	Owned    bool   // whether Owner is meant
	Severity finding.Severity

	Closed, ClosedP50, ClosedP90    int64 // how many, and how long they stood open, nanoseconds
	Gone                            int64 // ended because the workload did
	Open, OpenP50, OpenP90, OpenMax int64 // how many, and how old they are
}

// maxClocksRead bounds the clocks that one report rests on.
const maxClocksRead = 500_000

// Remediation sums up the clocks that are open, or stopped since then: by severity,
// the worst first, then the critical ones by owner.
func (db *DB) Remediation(ctx context.Context, q query.Query, since, now int64) ([]Remediation, error) {
	if now == 0 {
		now = db.opt.Now()
	}
	cond, args := q.SQL(&remediationFields, query.Dialect{}, now)
	rows, err := db.read.QueryContext(ctx, `SELECT severity, owner, started, stopped, outcome FROM
		(SELECT CASE WHEN c.stopped = 0 THEN COALESCE(v.severity, c.severity) ELSE c.severity END AS severity, CASE WHEN c.stopped = 0 THEN COALESCE(v.kev, c.kev) ELSE c.kev END AS kev,
			COALESCE(v.id, '') AS id, c.workload AS workload, COALESCE(w.owner, '') AS owner, c.started AS started, c.stopped AS stopped, c.outcome AS outcome
			FROM clocks c LEFT JOIN vulns v ON v.n = c.vuln LEFT JOIN workloads w ON w.name = c.workload WHERE c.stopped = 0 OR c.stopped >= ?) AS x
		WHERE `+cond+" LIMIT ?", append(append([]any{since}, args...), maxClocksRead)...)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	type group struct {
		owned    bool
		owner    string
		severity int64
	}
	type ages struct {
		closed, open []int64
		gone         int64
	}
	groups := map[group]*ages{}
	add := func(g group, started, stopped, outcome int64) {
		a := groups[g]
		if a == nil {
			a = &ages{}
			groups[g] = a
		}
		switch {
		case stopped == 0:
			a.open = append(a.open, max(0, now-started))
		case outcome == clockGone:
			a.gone++
		default:
			a.closed = append(a.closed, max(0, stopped-started))
		}
	}
	for rows.Next() {
		var severity, started, stopped, outcome int64
		var owner string
		if err := rows.Scan(&severity, &owner, &started, &stopped, &outcome); err != nil {
			return nil, db.explain(err)
		}
		add(group{severity: severity}, started, stopped, outcome)
		if severity == int64(finding.Critical) {
			add(group{true, owner, severity}, started, stopped, outcome)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, db.explain(err)
	}
	var out []Remediation
	for g, a := range groups {
		slices.Sort(a.closed)
		slices.Sort(a.open)
		out = append(out, Remediation{Owner: g.owner, Owned: g.owned, Severity: severityOf(g.severity),
			Closed: int64(len(a.closed)), ClosedP50: quantile(a.closed, 50), ClosedP90: quantile(a.closed, 90), Gone: a.gone,
			Open: int64(len(a.open)), OpenP50: quantile(a.open, 50), OpenP90: quantile(a.open, 90), OpenMax: quantile(a.open, 100)})
	}
	slices.SortFunc(out, func(a, b Remediation) int {
		switch {
		case a.Owned != b.Owned:
			if b.Owned {
				return -1
			}
			return 1
		case a.Severity != b.Severity:
			return int(b.Severity) - int(a.Severity)
		case a.Open != b.Open:
			return int(b.Open - a.Open)
		}
		return compare(a.Owner, b.Owner)
	})
	return out, nil
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// quantile is the smallest value that p percent of the sorted values do not exceed; 0
// of none.
func quantile(sorted []int64, p int) int64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// ClocksSince is when the first clock was started; 0 = there is none.
func (db *DB) ClocksSince(ctx context.Context) (int64, error) {
	var n int64
	if err := db.read.QueryRowContext(ctx, "SELECT COALESCE(MIN(started),0) FROM clocks").Scan(&n); err != nil {
		return 0, fmt.Errorf("read clocks: %w", db.explain(err))
	}
	return n, nil
}
