package store

import (
	"context"
	"database/sql"
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

// Fold brings the images up to date with what advisories changed. It goes on where an
// earlier one was broken off.
func (db *DB) Fold(ctx context.Context) (images int, err error) {
	db.images.Lock()
	defer db.images.Unlock()
	return db.fold(ctx)
}

type journal struct {
	run, pkg, vuln, appeared                 int64
	sevBefore, sevAfter, fixBefore, fixAfter int64
	kevBefore, kevAfter                      int64
	cause                                    string
	time                                     int64
}

// holder is an image that holds a package.
type holder struct {
	image   int64
	counted bool
}

// state is what of an image a fold looks at.
type imageState struct {
	folded  int64
	running bool
}

// folding is one fold: the journal and what it touches, read outside the writer.
type folding struct {
	db      *DB
	rows    []journal
	run     int64
	images  map[int64]imageState
	holders map[int64][]holder       // by package
	used    map[int64]map[int64]bool // by package: images that loaded it
	ids     map[int64]string         // of vulnerabilities
	holds   *sql.Stmt
	uses    *sql.Stmt
	carries *sql.Stmt
}

func (db *DB) fold(ctx context.Context) (int, error) {
	f := &folding{db: db, images: map[int64]imageState{}, holders: map[int64][]holder{}, used: map[int64]map[int64]bool{}, ids: map[int64]string{}}
	if err := f.read(ctx); err != nil || len(f.rows) == 0 {
		return 0, err
	}
	if err := f.prepare(ctx); err != nil {
		return 0, err
	}
	defer f.holds.Close()
	defer f.uses.Close()
	defer f.carries.Close()
	work, err := f.vulns(ctx)
	if err != nil {
		return 0, fmt.Errorf("bring images up to date with advisories: %w", err)
	}
	done, err := f.write(ctx, work)
	if err != nil {
		return done, fmt.Errorf("bring images up to date with advisories: %w", err)
	}
	err = db.update(ctx, func(t *tx) error {
		if done > 0 {
			if _, err := t.tell(ChangeImage, ""); err != nil {
				return err
			}
		}
		_, err := t.exec("DELETE FROM advisory_changes WHERE run <= ?", f.run)
		return err
	})
	return done, err
}

func (f *folding) read(ctx context.Context) error {
	db := f.db
	rows, err := db.read.QueryContext(ctx, `SELECT run, package, vuln, appeared, severity_before, severity_after, fixable_before, fixable_after, kev_before, kev_after, cause, time
		FROM advisory_changes ORDER BY run, package, vuln`)
	if err != nil {
		return db.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var j journal
		if err := rows.Scan(&j.run, &j.pkg, &j.vuln, &j.appeared, &j.sevBefore, &j.sevAfter, &j.fixBefore, &j.fixAfter, &j.kevBefore, &j.kevAfter, &j.cause, &j.time); err != nil {
			return db.explain(err)
		}
		f.rows = append(f.rows, j)
		f.run = max(f.run, j.run)
	}
	if err := rows.Err(); err != nil || len(f.rows) == 0 {
		return db.explain(err)
	}
	all, err := db.read.QueryContext(ctx, "SELECT n, folded, running FROM images")
	if err != nil {
		return db.explain(err)
	}
	defer all.Close()
	for all.Next() {
		var n, running int64
		var s imageState
		if err := all.Scan(&n, &s.folded, &running); err != nil {
			return db.explain(err)
		}
		s.running = running > 0
		f.images[n] = s
	}
	return db.explain(all.Err())
}

func (f *folding) prepare(ctx context.Context) error {
	var err error
	if f.holds, err = f.db.read.PrepareContext(ctx, "SELECT image, counted FROM image_packages WHERE package = ?"); err != nil {
		return f.db.explain(err)
	}
	if f.uses, err = f.db.read.PrepareContext(ctx, "SELECT image FROM image_use WHERE package = ?"); err != nil {
		f.holds.Close()
		return f.db.explain(err)
	}
	f.carries, err = f.db.read.PrepareContext(ctx, "SELECT pv.package, v.id FROM vulns v LEFT JOIN package_vulns pv ON pv.vuln = v.n WHERE v.n = ?")
	if err != nil {
		f.holds.Close()
		f.uses.Close()
	}
	return f.db.explain(err)
}

// holding is the images that hold a package, read once.
func (f *folding) holding(ctx context.Context, pkg int64) ([]holder, error) {
	if h, ok := f.holders[pkg]; ok {
		return h, nil
	}
	rows, err := f.holds.QueryContext(ctx, pkg)
	if err != nil {
		return nil, f.db.explain(err)
	}
	defer rows.Close()
	var out []holder
	for rows.Next() {
		var h holder
		var counted int64
		if err := rows.Scan(&h.image, &counted); err != nil {
			return nil, f.db.explain(err)
		}
		h.counted = counted == 1
		out = append(out, h)
	}
	if err := rows.Err(); err != nil {
		return nil, f.db.explain(err)
	}
	used, err := f.uses.QueryContext(ctx, pkg)
	if err != nil {
		return nil, f.db.explain(err)
	}
	defer used.Close()
	for used.Next() {
		var image int64
		if err := used.Scan(&image); err != nil {
			return nil, f.db.explain(err)
		}
		if f.used[pkg] == nil {
			f.used[pkg] = map[int64]bool{}
		}
		f.used[pkg][image] = true
	}
	f.holders[pkg] = out
	return out, f.db.explain(used.Err())
}

// imageWork is what one image has to be told.
type imageWork struct {
	counts         scan.Counts // differences
	appeared, gone []int64     // vulnerabilities
	listed         []int64     // had already, and known to be exploited or critical only now
	cause          string
	time           int64
}

// vulns brings the counters of the vulnerabilities up to date and returns what the
// images have to be told.
func (f *folding) vulns(ctx context.Context) (map[int64]*imageWork, error) {
	work := map[int64]*imageWork{}
	of := func(image int64, j *journal) *imageWork {
		w := work[image]
		if w == nil {
			w = &imageWork{}
			work[image] = w
		}
		w.cause, w.time = j.cause, j.time
		return w
	}
	changed := map[int64][]*journal{} // by vulnerability: appeared or gone
	for i := range f.rows {
		j := &f.rows[i]
		holders, err := f.holding(ctx, j.pkg)
		if err != nil {
			return nil, err
		}
		if j.appeared != 0 {
			changed[j.vuln] = append(changed[j.vuln], j)
		}
		for _, h := range holders {
			if f.images[h.image].folded >= j.run {
				continue
			}
			w := of(h.image, j)
			if j.appeared == 0 && (j.kevAfter > j.kevBefore || j.sevAfter > j.sevBefore && j.sevAfter == 5) && !slices.Contains(w.listed, j.vuln) {
				w.listed = append(w.listed, j.vuln)
			}
			if !h.counted {
				continue
			}
			used := f.used[j.pkg][h.image]
			if j.appeared <= 0 {
				count(&w.counts, -1, j.sevBefore, j.kevBefore, j.fixBefore, used)
			}
			if j.appeared >= 0 {
				count(&w.counts, 1, j.sevAfter, j.kevAfter, j.fixAfter, used)
			}
		}
	}
	type counters struct{ vuln, images, running, used int64 }
	var list []counters
	for vuln, rows := range changed {
		after, err := f.carriers(ctx, vuln)
		if err != nil {
			return nil, err
		}
		c := counters{vuln: vuln}
		has := map[int64]bool{} // images, after
		used := map[int64]bool{}
		for pkg := range after {
			holders, err := f.holding(ctx, pkg)
			if err != nil {
				return nil, err
			}
			for _, h := range holders {
				has[h.image] = true
				if f.used[pkg][h.image] {
					used[h.image] = true
				}
			}
		}
		for image := range has {
			c.images++
			if f.images[image].running {
				c.running++
			}
		}
		c.used = int64(len(used))
		list = append(list, c)
		if err := f.differences(vuln, rows, after, has, work); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b counters) int { return int(a.vuln - b.vuln) })
	for part := range slices.Chunk(list, foldStep) {
		err := f.db.update(ctx, func(t *tx) error {
			seq, err := t.tell(ChangeVulnerability, "")
			if err != nil {
				return err
			}
			for _, c := range part {
				if _, err := t.exec("UPDATE vulns SET images = ?, running_images = ?, used_images = ?, change_seq = ? WHERE n = ?", c.images, c.running, c.used, int64(seq), c.vuln); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return work, nil
}

// differences notes for every image that has not been told yet whether the
// vulnerability appeared in it or went. An image may have it by several packages, of
// which only the first to come and the last to go count.
func (f *folding) differences(vuln int64, rows []*journal, after map[int64]bool, has map[int64]bool, work map[int64]*imageWork) error {
	type state struct{ first int64 }
	moved := map[int64]map[int64]*state{} // image → package → first change not told
	for _, j := range rows {              // by run
		for _, h := range f.holders[j.pkg] {
			if f.images[h.image].folded >= j.run {
				continue
			}
			m := moved[h.image]
			if m == nil {
				m = map[int64]*state{}
				moved[h.image] = m
			}
			if m[j.pkg] == nil {
				m[j.pkg] = &state{j.appeared}
			}
		}
	}
	// Packages that carry it and did not move: an image that holds one had it all along.
	still := map[int64]bool{}
	for pkg := range after {
		for _, h := range f.holders[pkg] {
			if m := moved[h.image]; m != nil && m[pkg] == nil {
				still[h.image] = true
			}
		}
	}
	for image, m := range moved {
		had := still[image]
		for _, s := range m {
			had = had || s.first < 0
		}
		switch {
		case !had && has[image]:
			work[image].appeared = append(work[image].appeared, vuln)
		case had && !has[image]:
			work[image].gone = append(work[image].gone, vuln)
		}
	}
	return nil
}

func (f *folding) carriers(ctx context.Context, vuln int64) (map[int64]bool, error) {
	rows, err := f.carries.QueryContext(ctx, vuln)
	if err != nil {
		return nil, f.db.explain(err)
	}
	defer rows.Close()
	out := map[int64]bool{}
	for rows.Next() {
		var pkg *int64
		var id string
		if err := rows.Scan(&pkg, &id); err != nil {
			return nil, f.db.explain(err)
		}
		f.ids[vuln] = id
		if pkg != nil {
			out[*pkg] = true
		}
	}
	return out, f.db.explain(rows.Err())
}

func count(c *scan.Counts, by int, severity, kev, fixable int64, used bool) {
	c.Total += by
	switch severity {
	case 5:
		c.Critical += by
	case 4:
		c.High += by
	case 3:
		c.Medium += by
	case 2, 1:
		c.Low += by
	default:
		c.Unrated += by
	}
	c.KEV += by * int(kev)
	c.Fixable += by * int(fixable)
	if used {
		c.InUse += by
	}
}

// imageStep bounds the images told in one transaction.
const imageStep = 200

func (f *folding) write(ctx context.Context, work map[int64]*imageWork) (int, error) {
	images := make([]int64, 0, len(work))
	for n := range work {
		images = append(images, n)
	}
	slices.Sort(images)
	done := 0
	for part := range slices.Chunk(images, imageStep) {
		err := f.db.update(ctx, func(t *tx) error {
			for _, n := range part {
				if err := f.tellImage(t, n, work[n]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return done, err
		}
		done += len(part)
	}
	return done, nil
}

func (f *folding) tellImage(t *tx, n int64, w *imageWork) error {
	var c scan.Counts
	d := &w.counts
	rows, err := t.rows(`UPDATE images SET critical = critical + ?, high = high + ?, medium = medium + ?, low = low + ?, unrated = unrated + ?, total = total + ?,
		kev = kev + ?, fixable = fixable + ?, in_use = in_use + ?, folded = ?, change_seq = ? WHERE n = ?
		RETURNING critical, high, medium, low, unrated, total, kev, fixable, in_use`,
		d.Critical, d.High, d.Medium, d.Low, d.Unrated, d.Total, d.KEV, d.Fixable, d.InUse, f.run, int64(t.seq), n)
	if err != nil {
		return err
	}
	if rows.Next() {
		err = rows.Scan(&c.Critical, &c.High, &c.Medium, &c.Low, &c.Unrated, &c.Total, &c.KEV, &c.Fixable, &c.InUse)
	}
	rows.Close()
	if err != nil || rows.Err() != nil {
		return firstError(err, rows.Err())
	}
	for _, v := range w.listed {
		if err := t.news(n, v, w.time, true); err != nil {
			return err
		}
	}
	if len(w.appeared)+len(w.gone) == 0 {
		return nil
	}
	if err := t.imageHistory(n, w.time, w.cause, c, f.names(w.appeared), f.names(w.gone)); err != nil {
		return err
	}
	for _, v := range w.appeared {
		if err := t.news(n, v, w.time, true); err != nil {
			return err
		}
	}
	if f.images[n].running {
		return t.checkWorkloads(n)
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *folding) names(vulns []int64) []string {
	out := make([]string, len(vulns))
	for i, n := range vulns {
		out[i] = f.ids[n]
	}
	slices.Sort(out)
	return out
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
