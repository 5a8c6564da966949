package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/dockreeve/dockreeve/scan"
)

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
