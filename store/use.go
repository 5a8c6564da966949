package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inuse"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/match"
)

// Bounds of what one report may say and of what is kept of one image's loads.
const (
	maxLoads    = 20_000 // paths of one image
	maxPath     = 4096
	maxUseText  = 1024
	containerID = "container:"
	// lateReport is how far a report may lie behind its container's end and still be one
	// that was overtaken by it; nanoseconds.
	lateReport = int64(60e9)
)

// refOf is what a report calls its image: the digest that decides, else the container
// itself, whose root file system can still be looked at.
func refOf(r *inuse.Report) string {
	switch {
	case r.Digest != "":
		return clip(clean(r.Digest))
	case r.ImageID != "":
		return clip(clean(r.ImageID))
	}
	return containerID + clip(clean(r.Container))
}

func clip(s string) string { return s[:min(len(s), maxUseText)] }

// use stores what a node says of a container. Everything that takes long, such as
// telling which package a file belongs to, is left to Settle: alerts share the writer.
// The same report again, or an older one, changes nothing.
func (t *tx) use(r *inuse.Report, now int64) error {
	ref := refOf(r)
	node, container := clip(clean(r.Node)), clip(clean(r.Container))
	if node == "" || container == "" {
		return nil
	}
	since := r.Started
	if since == 0 {
		since = r.Since
	}
	if since == 0 {
		since = r.Until
	}
	ended := int64(0)
	if r.Ended {
		ended = max(r.Until, 1)
	}
	var oldRef string
	var oldEnded int64
	err := t.row("SELECT ref, ended FROM running WHERE node = ? AND container = ?", []any{node, container}, &oldRef, &oldEnded)
	fresh := errors.Is(err, sql.ErrNoRows)
	if err != nil && !fresh {
		return err
	}
	// What reports after its end was started again, or its name was taken by another
	// container, maybe of another image.
	again := !fresh && oldEnded != 0 && !r.Ended && max(r.Started, r.Since) > oldEnded
	// What was held to have ended, as nothing was heard of it, and goes on.
	back := !again && !fresh && oldEnded != 0 && !r.Ended && r.Until > oldEnded+lateReport
	nameless := strings.HasPrefix(ref, containerID)
	switch {
	case again && nameless:
		if err := t.forgetLoads(ref); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM image_keys WHERE key = ?", ref); err != nil {
			return err
		}
	case again:
	case !fresh && nameless && !strings.HasPrefix(oldRef, containerID):
		ref = oldRef // as it was found out
	case !fresh && !nameless && strings.HasPrefix(oldRef, containerID):
		if err := t.moveLoads(oldRef, ref); err != nil {
			return err
		}
	}
	if back {
		if _, err := t.exec("UPDATE running SET ended = 0, dirty = 1 WHERE node = ? AND container = ?", node, container); err != nil {
			return err
		}
	}
	if again {
		if _, err := t.exec("UPDATE running SET ended = 0, since = ?, image_id = '', image_name = '', dirty = 1 WHERE node = ? AND container = ?", since, node, container); err != nil {
			return err
		}
	}
	if _, err := t.exec(`INSERT INTO running (node, container, name, workload, ref, image, image_name, image_id, runtime, rootfs, pid, unknown, not_watched, since, until, ended, dirty)
		VALUES (?,?,?,?,?,0,?,?,?,?,?,?,?,?,?,?,1) ON CONFLICT (node, container) DO UPDATE SET
		name = excluded.name, workload = excluded.workload, ref = excluded.ref,
		image_name = CASE WHEN excluded.image_name = '' THEN running.image_name ELSE excluded.image_name END, image_id = CASE WHEN excluded.image_id = '' THEN running.image_id ELSE excluded.image_id END, runtime = excluded.runtime,
		rootfs = excluded.rootfs, pid = excluded.pid, unknown = excluded.unknown, not_watched = excluded.not_watched,
		since = CASE WHEN excluded.since < running.since THEN excluded.since ELSE running.since END,
		until = excluded.until, ended = CASE WHEN running.ended <> 0 THEN running.ended ELSE excluded.ended END,
		dirty = CASE WHEN running.dirty = 1 OR running.ref <> excluded.ref OR running.workload <> excluded.workload OR running.image = 0 OR (running.ended = 0 AND excluded.ended <> 0) THEN 1 ELSE 0 END
		WHERE excluded.until >= running.until OR (running.ended = 0 AND excluded.ended <> 0)`,
		node, container, clip(clean(r.Name)), clip(clean(r.Workload)), ref, clip(clean(r.Image)), clip(clean(r.ImageID)), clip(clean(r.Runtime)), clip(clean(r.Rootfs)), int64(r.PID),
		clip(clean(r.Unknown)), clip(clean(r.NotWatched)), since, r.Until, ended); err != nil {
		return err
	}
	if r.Since > 0 && r.Until >= r.Since {
		if _, err := t.exec(`INSERT INTO load_watches (ref, node, container, since, until, started) VALUES (?,?,?,?,?,?)
			ON CONFLICT (ref, node, container, since) DO UPDATE SET until = CASE WHEN excluded.until > load_watches.until THEN excluded.until ELSE load_watches.until END`,
			ref, node, container, r.Since, r.Until, r.Started); err != nil {
			return err
		}
	}
	if err := t.loads(ref, r, now); err != nil {
		return err
	}
	if fresh || again || back || oldRef != ref || oldEnded == 0 && r.Ended {
		_, err = t.tell(ChangeImage, "")
		return err
	}
	return nil
}

// loads stores the files loaded. When an image has as many as are kept, only those
// known already are brought up to date, and the others are counted as lost.
func (t *tx) loads(ref string, r *inuse.Report, now int64) error {
	if len(r.Loads) == 0 {
		return nil
	}
	const newer = `first = CASE WHEN excluded.first < loads.first THEN excluded.first ELSE loads.first END,
		last = CASE WHEN excluded.last > loads.last THEN excluded.last ELSE loads.last END, dirty = 1
		WHERE excluded.first < loads.first OR excluded.last > loads.last`
	var have int
	if err := t.row("SELECT COUNT(*) FROM loads WHERE ref = ?", []any{ref}, &have); err != nil {
		return err
	}
	lost := uint64(max(0, len(r.Loads)-maxLoads))
	for i := range r.Loads[:min(len(r.Loads), maxLoads)] {
		l := &r.Loads[i]
		if l.Path == "" || len(l.Path) > maxPath || l.Changed { // a changed file is not the image's
			continue
		}
		path := clean(l.Path)
		if have+i >= maxLoads {
			var n int
			if err := t.row("SELECT COUNT(*) FROM loads WHERE ref = ? AND path = ?", []any{ref, path}, &n); err != nil {
				return err
			}
			if n == 0 {
				lost++
				continue
			}
		}
		if _, err := t.exec("INSERT INTO loads (ref, path, first, last, dirty) VALUES (?,?,?,?,1) ON CONFLICT (ref, path) DO UPDATE SET "+newer, ref, path, l.First, l.Last); err != nil {
			return err
		}
	}
	if lost == 0 {
		return nil
	}
	return t.loss(r.Node, &event.Loss{Hop: HopImages, Reason: "too_many_loads", Count: lost, From: now, To: now}, now)
}

// settleStep bounds what Settle does in one transaction.
const settleStep = 10

// Settle joins what runs with the images known, files with packages, and looks at the
// clocks that are due. It reports whether there is more to do. Call it after reports
// came in, and now and then.
func (db *DB) Settle(ctx context.Context) (more bool, err error) { return db.SettleWith(ctx, nil) }

// SettleWith is Settle where somebody can tell what containers are made of whose
// runtime does not: identify is asked once for each life of such a container. Nil means
// that nobody can: then each is an image of its own.
func (db *DB) SettleWith(ctx context.Context, identify func(context.Context, Nameless) Identity) (more bool, err error) {
	unnamed := false
	if identify != nil {
		if unnamed, err = db.identifyNameless(ctx, identify); err != nil {
			return false, fmt.Errorf("tell what containers are made of: %w", err)
		}
	}
	db.images.Lock()
	defer db.images.Unlock()
	now := db.opt.Now()
	n := 0
	err = db.update(ctx, func(t *tx) error {
		n, err = t.joinRunning(identify != nil, now)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("join what runs with its images: %w", err)
	}
	more = n == settleStep || unnamed
	again, err := db.settleLoads(ctx)
	if err != nil {
		return false, fmt.Errorf("join loads with packages: %w", err)
	}
	err = db.update(ctx, func(t *tx) error {
		n, err = t.checkClocks(now)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look at remediation clocks: %w", err)
	}
	return more || again || n == settleStep, nil
}

type runningRow struct {
	node, container, workload, ref, imageID, imageName, unknown string
	image, ended                                                int64
}

// joinRunning leaves out those that are still to be identified.
func (t *tx) joinRunning(identified bool, now int64) (int, error) {
	which := ""
	if identified {
		which = " AND ref NOT LIKE 'container:%'"
	}
	rows, err := t.rows("SELECT node, container, workload, ref, image_id, image_name, unknown, image, ended FROM running WHERE dirty = 1"+which+" ORDER BY node, container LIMIT ?", settleStep)
	if err != nil {
		return 0, err
	}
	var list []runningRow
	for rows.Next() {
		var r runningRow
		if err := rows.Scan(&r.node, &r.container, &r.workload, &r.ref, &r.imageID, &r.imageName, &r.unknown, &r.image, &r.ended); err != nil {
			rows.Close()
			return 0, err
		}
		list = append(list, r)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return 0, err
	}
	images := map[int64]bool{}
	for i := range list {
		r := &list[i]
		n, err := t.imageOf(r, now)
		if err != nil {
			return 0, err
		}
		if r.image != 0 && r.image != n {
			images[r.image] = true
		}
		images[n] = true
		if _, err := t.exec("UPDATE running SET image = ?, dirty = 0 WHERE node = ? AND container = ?", n, r.node, r.container); err != nil {
			return 0, err
		}
		if _, err := t.exec(`INSERT INTO workloads (name, owner, check_at) VALUES (?, (SELECT owner FROM images WHERE n = ?), 1)
			ON CONFLICT (name) DO UPDATE SET check_at = 1, owner = CASE WHEN excluded.owner <> '' THEN excluded.owner ELSE workloads.owner END`, r.workload, n); err != nil {
			return 0, err
		}
	}
	for n := range images {
		if err := t.countRunning(n, now); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}

// imageOf finds the image a container runs, or makes its row.
func (t *tx) imageOf(r *runningRow, now int64) (int64, error) {
	n := int64(0)
	for _, k := range []string{r.imageID, r.ref} { // an index names several platforms, a configuration one
		if k == "" {
			continue
		}
		var err error
		if n, err = t.findImage(k); err != nil {
			return 0, err
		}
		if n != 0 {
			break
		}
	}
	if n == 0 {
		var err error
		if n, err = t.newImage(r.ref, r.imageName, now); err != nil {
			return 0, err
		}
		if r.unknown != "" {
			if _, err := t.exec("UPDATE images SET not_assessed = ? WHERE n = ?", "the image is not known: "+r.unknown, n); err != nil {
				return 0, err
			}
		}
	}
	for _, k := range []string{r.ref, r.imageID} {
		if k == "" {
			continue
		}
		if _, err := t.exec("INSERT INTO image_keys (key, image) VALUES (?, ?) ON CONFLICT DO NOTHING", k, n); err != nil {
			return 0, err
		}
	}
	if r.imageName != "" {
		var names string
		if err := t.row("SELECT names FROM images WHERE n = ?", []any{n}, &names); err != nil {
			return 0, err
		}
		if have := texts(names); !slices.Contains(have, r.imageName) {
			have = append([]string{r.imageName}, have...)
			if _, err := t.exec("UPDATE images SET names = ?, name = ? WHERE n = ?", list(have[:min(len(have), maxNames)]), r.imageName, n); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// endedUnseen is why there is no verdict on what ran too shortly.
const endedUnseen = "its container ended before it could be looked into"

// countRunning brings what an image's row and its vulnerabilities say of where it
// runs up to date.
func (t *tx) countRunning(n, now int64) error {
	var was, is, lastEnd, watched int64
	var key string
	err := t.row("SELECT key, running FROM images WHERE n = ?", []any{n}, &key, &was)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := t.row("SELECT COALESCE(SUM(CASE WHEN ended = 0 AND copies = 0 THEN 1 ELSE 0 END),0), COALESCE(MAX(ended),0) FROM running WHERE image = ?", []any{n}, &is, &lastEnd); err != nil {
		return err
	}
	// Of what a cluster tells of a workload, only that which no node tells of too.
	var untold int64
	if err := t.row(`SELECT COALESCE(SUM(CASE WHEN c.told > c.seen THEN c.told - c.seen ELSE 0 END),0) FROM
		(SELECT SUM(r.copies) AS told, (SELECT COUNT(*) FROM running x WHERE x.image = ? AND x.workload = r.workload AND x.copies = 0 AND x.ended = 0) AS seen
		FROM running r WHERE r.image = ? AND r.copies > 0 AND r.ended = 0 GROUP BY r.cluster, r.workload) c`, []any{n, n}, &untold); err != nil {
		return err
	}
	is += untold
	reports, err := stretches(t.rows, n)
	if err != nil {
		return err
	}
	watched = match.ViewOf(reports).Since
	seq, err := t.tell(ChangeImage, key)
	if err != nil {
		return err
	}
	seen := lastEnd
	if is > 0 {
		seen = now
	}
	if _, err := t.exec("UPDATE images SET running = ?, watched = ?, last_seen = CASE WHEN last_seen > ? THEN last_seen ELSE ? END, change_seq = ? WHERE n = ?", is, watched, seen, seen, int64(seq), n); err != nil {
		return err
	}
	if flip := min(is, 1) - min(was, 1); flip != 0 || is == 0 {
		// An image nobody has looked into: a container that starts is a new chance, and
		// without one there is none.
		q, args := "UPDATE images SET retry_at = 0, not_assessed = CASE WHEN not_assessed = ? THEN 'not scanned yet' ELSE not_assessed END WHERE n = ? AND scanned_at = 0", []any{endedUnseen, n}
		if is == 0 {
			q = "UPDATE images SET not_assessed = ? WHERE n = ? AND scanned_at = 0 AND tries = 0"
		}
		if _, err := t.exec(q, args...); err != nil {
			return err
		}
	}
	if flip := min(is, 1) - min(was, 1); flip != 0 {
		if _, err := t.exec("UPDATE vulns SET running_images = running_images + ?, change_seq = ? WHERE n IN ("+imageVulns+")", flip, int64(seq), n); err != nil {
			return err
		}
	}
	return nil
}

// view is what is known of the loads of an image, wherever it runs.
func (db *DB) view(ctx context.Context, n int64) (match.View, error) {
	reports, err := stretches(func(query string, args ...any) (*sql.Rows, error) { return db.read.QueryContext(ctx, query, args...) }, n)
	if err != nil {
		return match.View{}, db.explain(err)
	}
	rows, err := db.read.QueryContext(ctx, "SELECT path, first, last FROM loads WHERE ref IN (SELECT key FROM image_keys WHERE image = ?)", n)
	if err != nil {
		return match.View{}, db.explain(err)
	}
	defer rows.Close()
	all := inuse.Report{Ended: true} // of no container: only its loads count
	for rows.Next() {
		var l inuse.Load
		if err := rows.Scan(&l.Path, &l.First, &l.Last); err != nil {
			return match.View{}, db.explain(err)
		}
		all.Loads = append(all.Loads, l)
	}
	if len(all.Loads) > 0 {
		reports = append(reports, all)
	}
	return match.ViewOf(reports), db.explain(rows.Err())
}

// View is what is known of the loads of an image, by its key. The error wraps ErrNotFound.
func (db *DB) View(ctx context.Context, key string) (match.View, error) {
	i, err := db.imageRow(ctx, key)
	if err != nil {
		return match.View{}, err
	}
	return db.view(ctx, i.n)
}

// loadsAt is the newest load of a view.
func loadsAt(v match.View) int64 {
	at := int64(0)
	for i := range v.Loads {
		at = max(at, v.Loads[i].Last)
	}
	return at
}

// untold leaves out what a cluster tells and nodes tell too.
const untold = `(copies = 0 OR ended = 0 AND copies > (SELECT COUNT(*) FROM running x WHERE x.image = running.image AND x.workload = running.workload AND x.copies = 0 AND x.ended = 0))`

// stretches is when the containers of an image were watched, as reports without loads.
func stretches(query func(string, ...any) (*sql.Rows, error), n int64) ([]inuse.Report, error) {
	var out []inuse.Report
	for _, q := range []string{
		// The newest stretch of each container: an older one ended with a break.
		`SELECT w.since, w.until, w.started, '', COALESCE((SELECT MAX(CASE WHEN r.ended = 0 THEN 0 ELSE 1 END) FROM running r WHERE r.node = w.node AND r.container = w.container), 1)
			FROM load_watches w WHERE w.ref IN (SELECT key FROM image_keys WHERE image = ?)
			AND w.since = (SELECT MAX(x.since) FROM load_watches x WHERE x.ref = w.ref AND x.node = w.node AND x.container = w.container) ORDER BY w.since DESC LIMIT 2000`,
		"SELECT 0, until, since, not_watched, CASE WHEN ended = 0 THEN 0 ELSE 1 END FROM running WHERE image = ? AND not_watched <> '' AND " + untold + " ORDER BY until DESC LIMIT 10",
	} {
		rows, err := query(q, n)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var r inuse.Report
			if err := rows.Scan(&r.Since, &r.Until, &r.Started, &r.NotWatched, &r.Ended); err != nil {
				rows.Close()
				return nil, err
			}
			out = append(out, r)
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// settleLoads tells which packages the newly loaded files of a few images belong to.
func (db *DB) settleLoads(ctx context.Context) (more bool, err error) {
	refs, err := db.strings(ctx, "SELECT DISTINCT ref FROM loads WHERE dirty = 1 ORDER BY ref LIMIT 10")
	if err != nil {
		return false, err
	}
	for _, ref := range refs {
		var n int64
		var blob []byte
		err := db.read.QueryRowContext(ctx, "SELECT c.image, c.catalog FROM image_keys k JOIN image_catalogs c ON c.image = k.image WHERE k.key = ? ORDER BY c.image LIMIT 1", ref).Scan(&n, &blob)
		if errors.Is(err, sql.ErrNoRows) {
			// Its scan marks them again.
			if err := db.update(ctx, func(t *tx) error {
				_, err := t.exec("UPDATE loads SET dirty = 0 WHERE ref = ?", ref)
				return err
			}); err != nil {
				return false, err
			}
			continue
		}
		if err != nil {
			return false, db.explain(err)
		}
		c, err := unpackCatalog(blob)
		if err != nil {
			return false, fmt.Errorf("stored catalogue of %s: %w", ref, err)
		}
		view, err := db.view(ctx, n)
		if err != nil {
			return false, err
		}
		var list []used
		for i := range c.Packages {
			p := &c.Packages[i]
			if u := view.Of(p); u.State == scan.Loaded {
				list = append(list, used{ident(distroOf(&c.Distro, p), p), u})
			}
		}
		at := loadsAt(view)
		if err := db.update(ctx, func(t *tx) error {
			if err := t.useOf(n, list); err != nil {
				return err
			}
			// What came in meanwhile stays to be looked at.
			_, err := t.exec("UPDATE loads SET dirty = 0 WHERE ref = ? AND last <= ?", ref, at)
			return err
		}); err != nil {
			return false, err
		}
	}
	return len(refs) == 10, nil
}

// used is a package seen loaded.
type used struct {
	ident []byte
	use   scan.Use
}

// useOf stores which packages of an image have been seen loaded.
func (t *tx) useOf(n int64, list []used) error {
	before, err := t.numbers(imageUsedVulns, n)
	if err != nil {
		return err
	}
	changed := false
	for _, u := range list {
		added, err := t.exec(`INSERT INTO image_use (image, package, first, last, path)
			SELECT ip.image, ip.package, ?, ?, ? FROM packages p JOIN image_packages ip ON ip.package = p.n AND ip.image = ? WHERE p.ident = ?
			ON CONFLICT (image, package) DO UPDATE SET path = excluded.path, last = excluded.last,
			first = CASE WHEN excluded.first < image_use.first THEN excluded.first ELSE image_use.first END
			WHERE excluded.first < image_use.first OR excluded.last > image_use.last`, u.use.First, u.use.Last, clean(u.use.Path), n, u.ident)
		if err != nil {
			return err
		}
		changed = changed || added > 0
	}
	if !changed {
		return nil
	}
	after, err := t.numbers(imageUsedVulns, n)
	if err != nil {
		return err
	}
	var key string
	if err := t.row("SELECT key FROM images WHERE n = ?", []any{n}, &key); err != nil {
		return err
	}
	seq, err := t.tell(ChangeImage, key)
	if err != nil {
		return err
	}
	was := make(map[int64]bool, len(before))
	for _, v := range before {
		was[v] = true
	}
	for _, v := range after {
		if !was[v] {
			if _, err := t.exec("UPDATE vulns SET used_images = used_images + 1, change_seq = ? WHERE n = ?", int64(seq), v); err != nil {
				return err
			}
		}
	}
	_, err = t.recount(n)
	return err
}

// SweepRunning ends containers that their node stopped speaking of while it went on
// speaking of others: their end was lost. after is how long, nanoseconds.
func (db *DB) SweepRunning(ctx context.Context, after int64) (int64, error) {
	var n int64
	err := db.update(ctx, func(t *tx) error {
		var err error
		n, err = t.exec(`UPDATE running SET ended = until, dirty = 1 WHERE ended = 0 AND copies = 0 AND until + ? < (SELECT MAX(r.until) FROM running r WHERE r.node = running.node)`, after)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("end containers no longer spoken of: %w", err)
	}
	return n, nil
}

func (db *DB) strings(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := db.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, db.explain(err)
		}
		out = append(out, s)
	}
	return out, db.explain(rows.Err())
}
