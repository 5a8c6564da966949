package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/match"
)

// Rematched says what a change of advisories did.
type Rematched struct {
	Packages int // looked at
	Appeared int // vulnerabilities of packages
	Gone     int
	Images   int // whose findings changed
}

// Rematch stores what the advisories say of packages now. Images that hold them
// follow with Fold; until then their counts are the earlier ones. cause goes into the
// images' history. It may be called in parts.
func (db *DB) Rematch(ctx context.Context, list []PackageMatch, cause string) (Rematched, error) {
	db.images.Lock()
	defer db.images.Unlock()
	before := db.rematched
	err := db.rematch(ctx, list, cause, db.opt.Now())
	return Rematched{Packages: len(list), Appeared: db.rematched.Appeared - before.Appeared, Gone: db.rematched.Gone - before.Gone}, err
}

// change of what one package has.
type factChange struct {
	pkg      int64
	vuln     int64 // 0 = not stored before
	v        *scan.Vulnerability
	before   *storedFact
	after    *fact
	sameFact bool // only what all packages share has changed
}

func (db *DB) rematch(ctx context.Context, list []PackageMatch, cause string, now int64) error {
	var changes []factChange
	flush := func() error {
		err := db.applyFacts(ctx, changes, cause, now)
		changes = changes[:0]
		return err
	}
	query, err := db.read.PrepareContext(ctx, factQuery)
	if err != nil {
		return db.explain(err)
	}
	defer query.Close()
	for i := range list {
		m := &list[i]
		have, err := facts(ctx, query, m.N)
		if err != nil {
			return db.explain(err)
		}
		for j := range m.Vulnerabilities {
			v := &m.Vulnerabilities[j]
			id := clean(v.ID)
			f := factOf(v)
			old, ok := have[id]
			delete(have, id)
			switch {
			case !ok:
				changes = append(changes, factChange{pkg: m.N, v: v, after: &f})
			case old.fact != f:
				changes = append(changes, factChange{pkg: m.N, vuln: old.vuln, v: v, before: &old, after: &f})
			case old.modified != v.Modified || old.title != clean(v.Title[:min(len(v.Title), maxTitle)]):
				changes = append(changes, factChange{pkg: m.N, vuln: old.vuln, v: v, before: &old, after: &f, sameFact: true})
			}
		}
		for _, old := range have {
			changes = append(changes, factChange{pkg: m.N, vuln: old.vuln, before: &old})
		}
		if len(changes) >= foldStep {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	for part := range slices.Chunk(list, foldStep) {
		if err := db.update(ctx, func(t *tx) error {
			for i := range part {
				if _, err := t.exec("UPDATE packages SET matched = 1 WHERE n = ? AND matched = 0", part[i].N); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// foldStep bounds what one transaction changes.
const foldStep = 200

func (db *DB) applyFacts(ctx context.Context, changes []factChange, cause string, now int64) error {
	for part := range slices.Chunk(changes, foldStep) {
		run := max(now, db.run+1)
		var appeared, gone int
		err := db.update(ctx, func(t *tx) error {
			appeared, gone = 0, 0
			touched := map[int64]bool{}
			for i := range part {
				c := &part[i]
				n := c.vuln
				if c.v != nil {
					var err error
					if n, err = t.vuln(c.v, now); err != nil {
						return err
					}
				}
				if c.sameFact {
					continue
				}
				touched[n] = true
				var kev int64
				if err := t.row("SELECT kev FROM vulns WHERE n = ?", []any{n}, &kev); err != nil {
					return err
				}
				var what, sevBefore, sevAfter, fixBefore, fixAfter int64
				if c.before != nil {
					what, sevBefore, fixBefore = -1, c.before.severity, c.before.fixable()
				}
				if c.after != nil {
					what, sevAfter, fixAfter = what+1, c.after.severity, c.after.fixable()
					if err := t.insertFact(c.pkg, n, c.after, now); err != nil {
						return err
					}
				} else if _, err := t.exec("DELETE FROM package_vulns WHERE package = ? AND vuln = ?", c.pkg, n); err != nil {
					return err
				}
				switch what {
				case 1:
					appeared++
				case -1:
					gone++
				}
				if what == 0 && sevBefore == sevAfter && fixBefore == fixAfter {
					continue // nothing that images count
				}
				if _, err := t.exec(`INSERT INTO advisory_changes (run, package, vuln, appeared, severity_before, severity_after, fixable_before, fixable_after, kev_before, kev_after, cause, time)
					VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING`, run, c.pkg, n, what, sevBefore, sevAfter, fixBefore, fixAfter, kev, kev, clean(cause), now); err != nil {
					return err
				}
			}
			for n := range touched {
				if err := t.worst(n); err != nil {
					return err
				}
			}
			if len(touched) > 0 {
				_, err := t.tell(ChangeVulnerability, "")
				return err
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("store what advisories say: %w", err)
		}
		db.run = run
		db.rematched.Appeared += appeared
		db.rematched.Gone += gone
	}
	return nil
}

// Scores are what changes every day without any advisory changing.
type Scores struct {
	EPSS *scan.EPSS
	KEV  *scan.KEV
}

// RefreshScores asks of for the scores of every vulnerability stored, and ranks those
// that changed anew. Images follow with Fold.
func (db *DB) RefreshScores(ctx context.Context, of func(id string, aliases []string) Scores, cause string) (changed int, err error) {
	db.images.Lock()
	defer db.images.Unlock()
	now := db.opt.Now()
	type row struct {
		n, epss, percentile, kev int64
		id, aliases, date, entry string
	}
	for after := int64(0); ; {
		rows, err := db.read.QueryContext(ctx, "SELECT n, id, aliases, epss, percentile, epss_date, kev, kev_entry FROM vulns WHERE n > ? ORDER BY n LIMIT 1000", after)
		if err != nil {
			return changed, db.explain(err)
		}
		var page []row
		for rows.Next() {
			var r row
			if err := rows.Scan(&r.n, &r.id, &r.aliases, &r.epss, &r.percentile, &r.date, &r.kev, &r.entry); err != nil {
				rows.Close()
				return changed, db.explain(err)
			}
			page = append(page, r)
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return changed, db.explain(err)
		}
		if len(page) == 0 {
			return changed, nil
		}
		after = page[len(page)-1].n
		type update struct {
			old row
			new Scores
		}
		var updates []update
		for _, r := range page {
			s := of(r.id, texts(r.aliases))
			score, percentile, _ := epssColumns(s.EPSS)
			kev, entry := kevText(s.KEV)
			if score != r.epss || percentile != r.percentile || kev != r.kev || entry != r.entry {
				updates = append(updates, update{r, s})
			}
		}
		for part := range slices.Chunk(updates, foldStep) {
			run := max(now, db.run+1)
			err := db.update(ctx, func(t *tx) error {
				for _, u := range part {
					if err := t.score(u.old.n, u.old.kev, u.new, run, now, cause); err != nil {
						return err
					}
				}
				_, err := t.tell(ChangeVulnerability, "")
				return err
			})
			if err != nil {
				return changed, fmt.Errorf("store scores: %w", err)
			}
			db.run = run
			changed += len(part)
		}
	}
}

func (t *tx) score(n, kevBefore int64, s Scores, run, now int64, cause string) error {
	score, percentile, date := epssColumns(s.EPSS)
	kev, entry := kevText(s.KEV)
	if _, err := t.exec("UPDATE vulns SET epss = ?, percentile = ?, epss_date = ?, kev = ?, kev_entry = ? WHERE n = ?", score, percentile, date, kev, entry, n); err != nil {
		return err
	}
	rows, err := t.rows("SELECT package, status, fixed_in, severity, cvss, vector, rank_base FROM package_vulns WHERE vuln = ?", n)
	if err != nil {
		return err
	}
	type held struct {
		pkg int64
		fact
	}
	var all []held
	for rows.Next() {
		var h held
		if err := rows.Scan(&h.pkg, &h.status, &h.fixedIn, &h.severity, &h.cvss, &h.vector, &h.rank); err != nil {
			rows.Close()
			return err
		}
		all = append(all, h)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return err
	}
	for _, h := range all {
		v := scan.Vulnerability{Status: statusOf(h.status), FixedIn: h.fixedIn, Severity: severityOf(h.severity), CVSS: unmicro(h.cvss), Vector: h.vector, EPSS: s.EPSS, KEV: s.KEV}
		if r := micro(match.Rank(&v)); r != h.rank {
			if _, err := t.exec("UPDATE package_vulns SET rank_base = ? WHERE package = ? AND vuln = ?", r, h.pkg, n); err != nil {
				return err
			}
		}
		if kev != kevBefore {
			if _, err := t.exec(`INSERT INTO advisory_changes (run, package, vuln, appeared, severity_before, severity_after, fixable_before, fixable_after, kev_before, kev_after, cause, time)
				VALUES (?,?,?,0,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING`, run, h.pkg, n, h.severity, h.severity, h.fixable(), h.fixable(), kevBefore, kev, clean(cause), now); err != nil {
				return err
			}
		}
	}
	return t.worst(n)
}

// SetMatched notes that every stored image has been matched with this version.
func (db *DB) SetMatched(ctx context.Context, s MatchState) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return db.update(ctx, func(t *tx) error {
		if _, err := t.exec("UPDATE images SET matched_at = ?, matched_with = ? WHERE scanned_at > 0 AND matched_at > 0", s.Time, s.Version); err != nil {
			return err
		}
		if _, err := t.exec("INSERT INTO meta (name, value) VALUES ('matched', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", string(b)); err != nil {
			return err
		}
		_, err := t.tell(ChangeAdvisories, s.Version)
		return err
	})
}

// MatchState says when all stored images were last matched, and with what.
type MatchState struct {
	Version string `json:"version"`
	Time    int64  `json:"time"`
	Images  int    `json:"images"` // whose findings changed
	// Ecosystems the database had, sorted: another one changes what could not be judged.
	Ecosystems []string `json:"ecosystems,omitempty"`
}

// Matched returns what SetMatched noted last; the zero value when never.
func (db *DB) Matched(ctx context.Context) (MatchState, error) {
	var s MatchState
	var text string
	err := db.read.QueryRowContext(ctx, "SELECT COALESCE((SELECT value FROM meta WHERE name = 'matched'), '')").Scan(&text)
	if err != nil {
		return s, db.explain(err)
	}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return s, fmt.Errorf("stored state of matching: %w", err)
		}
	}
	return s, nil
}

// News is a vulnerability that is new in an image and critical or known to be exploited.
type News struct {
	Image, Vuln int64
	Time        int64
	ID          string // of the vulnerability
	Key         string // of the image
}

// News returns up to limit of what is new and has not been forgotten, oldest first.
func (db *DB) News(ctx context.Context, limit int) ([]News, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT w.image, w.vuln, w.time, v.id, i.key FROM news w JOIN vulns v ON v.n = w.vuln JOIN images i ON i.n = w.image ORDER BY w.time, w.image, w.vuln LIMIT ?`, limit)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	var out []News
	for rows.Next() {
		var n News
		if err := rows.Scan(&n.Image, &n.Vuln, &n.Time, &n.ID, &n.Key); err != nil {
			return nil, db.explain(err)
		}
		out = append(out, n)
	}
	return out, db.explain(rows.Err())
}

// ForgetNews takes news off the list once they have been looked at.
func (db *DB) ForgetNews(ctx context.Context, list []News) error {
	for part := range slices.Chunk(list, foldStep) {
		err := db.update(ctx, func(t *tx) error {
			for _, n := range part {
				if _, err := t.exec("DELETE FROM news WHERE image = ? AND vuln = ?", n.Image, n.Vuln); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// GapImage is an image whose gaps may have changed with the advisories.
type GapImage struct {
	N       int64
	Key     string
	Matched bool // it has been matched before
}

// GapImages returns up to limit scanned images with a number above after: all of them,
// or only those never matched.
func (db *DB) GapImages(ctx context.Context, after int64, limit int, all bool) ([]GapImage, error) {
	every := 0
	if all {
		every = 1
	}
	rows, err := db.read.QueryContext(ctx, "SELECT n, key, matched_at FROM images WHERE n > ? AND scanned_at > 0 AND (matched_at = 0 OR ? = 1) ORDER BY n LIMIT ?", after, every, limit)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	var out []GapImage
	for rows.Next() {
		var g GapImage
		var at int64
		if err := rows.Scan(&g.N, &g.Key, &at); err != nil {
			return nil, db.explain(err)
		}
		g.Matched = at > 0
		out = append(out, g)
	}
	return out, db.explain(rows.Err())
}

// SetGaps stores what the advisories of a version lack for an image, and with that
// that it has been matched. notAssessed is why there is no verdict all the same.
func (db *DB) SetGaps(ctx context.Context, n int64, gaps []scan.Gap, notAssessed, version string) error {
	b, err := json.Marshal(gaps[:min(len(gaps), 100)])
	if err != nil {
		return err
	}
	c, err := db.catalog(ctx, n)
	if err != nil || c == nil {
		return err
	}
	return db.update(ctx, func(t *tx) error {
		if _, err := t.exec("UPDATE images SET match_gaps = ?, gaps = ?, not_assessed = ?, matched_at = ?, matched_with = ? WHERE n = ?",
			clean(string(b)), len(gaps)+len(c.NotAssessed), clean(notAssessed), db.opt.Now(), clean(version), n); err != nil {
			return err
		}
		return t.checkWorkloads(n)
	})
}
