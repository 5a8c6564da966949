package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/scan"
)

// Bounds of one stored image.
const (
	MaxImagePackages = 20_000
	MaxImageFindings = 100_000
	maxCatalogBytes  = 64 << 20 // of JSON
	maxNames         = 20
)

// ErrImage says that a catalogue cannot be stored as it is.
var ErrImage = errors.New("catalogue cannot be stored")

// ImageScan is a catalogue and what was found by it.
type ImageScan struct {
	Catalog         *scan.Catalog
	Vulnerabilities []scan.Vulnerability
	Gaps            []scan.Gap               // what the advisories lack for this image
	Keys            func(i int) []PackageKey // what advisories call package i; nil = it is never matched again
	Matched         bool                     // the advisories were there; else why not is in NotAssessed
	NotAssessed     string                   // why there is no verdict
	Version         string                   // of the advisories
	Cause           string                   // for the history; "" = "first scan" or "scanned again"
	Ref             string                   // what running calls it, where that is none of its digests
}

// PutImage stores a scan under its image's key, replacing an earlier one of the same
// image, and returns the counts. It is safe to call again with the same. The error
// wraps ErrImage when the catalogue is out of its bounds.
func (db *DB) PutImage(ctx context.Context, s ImageScan) (key string, counts scan.Counts, err error) {
	if err := checkScan(&s); err != nil {
		return "", counts, err
	}
	blob, err := packCatalog(s.Catalog)
	if err != nil {
		return "", counts, err
	}
	db.images.Lock()
	defer db.images.Unlock()
	now := db.opt.Now()
	list := gather(&s)
	unmatched, err := db.intern(ctx, list, s.Matched, now)
	if err != nil {
		return "", counts, fmt.Errorf("store packages of %s: %w", s.Catalog.Image.Name, err)
	}
	if len(unmatched) > 0 {
		if err := db.rematch(ctx, unmatched, "the first advisories", now); err != nil {
			return "", counts, err
		}
		if _, err := db.fold(ctx); err != nil {
			return "", counts, err
		}
	}
	err = db.update(ctx, func(t *tx) error {
		key, counts, err = t.putImage(&s, list, blob, now)
		return err
	})
	if err != nil {
		return "", counts, fmt.Errorf("store image %s: %w", s.Catalog.Image.Name, err)
	}
	return key, counts, nil
}

func checkScan(s *ImageScan) error {
	c := s.Catalog
	switch {
	case c == nil:
		return fmt.Errorf("%w: there is none", ErrImage)
	case c.Image.Key() == "" && s.Ref == "":
		return fmt.Errorf("%w: %s has no digest to store it by", ErrImage, c.Image.Name)
	case len(c.Packages) > MaxImagePackages:
		return fmt.Errorf("%w: %d packages, at most %d", ErrImage, len(c.Packages), MaxImagePackages)
	case len(s.Vulnerabilities) > MaxImageFindings:
		return fmt.Errorf("%w: %d vulnerabilities, at most %d", ErrImage, len(s.Vulnerabilities), MaxImageFindings)
	}
	for i := range s.Vulnerabilities {
		if p := s.Vulnerabilities[i].Package; p < 0 || p >= len(c.Packages) {
			return fmt.Errorf("%w: vulnerability %s is of package %d of %d", ErrImage, s.Vulnerabilities[i].ID, p, len(c.Packages))
		}
	}
	return nil
}

func packCatalog(c *scan.Catalog) ([]byte, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	if len(b) > maxCatalogBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrImage, len(b), maxCatalogBytes)
	}
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer w.Close()
	return w.EncodeAll(b, nil), nil
}

func unpackCatalog(blob []byte) (*scan.Catalog, error) {
	r, err := zstd.NewReader(bytes.NewReader(blob), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxCatalogBytes+1))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxCatalogBytes+1))
	if err != nil {
		return nil, err
	}
	var c scan.Catalog
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, err
	}
	return &c, nil
}

// imageKeys are the digests an image is known by.
func imageKeys(i *scan.Image, ref string) []string {
	var out []string
	for _, k := range []string{i.Digest, i.ConfigDigest, i.IndexDigest, ref} {
		if k != "" && !slices.Contains(out, k) {
			out = append(out, clean(k))
		}
	}
	return out
}

// findImage is the number of the image of a key; 0 when there is none. Of several
// platforms behind one index it is the one seen first.
func (t *tx) findImage(key string) (int64, error) {
	var n int64
	err := t.row("SELECT n FROM images WHERE key = ?", []any{key}, &n)
	if errors.Is(err, sql.ErrNoRows) {
		err = t.row("SELECT image FROM image_keys WHERE key = ? ORDER BY image LIMIT 1", []any{key}, &n)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, err
}

// newImage makes the row of an image not seen before.
func (t *tx) newImage(key, name string, now int64) (int64, error) {
	if err := t.makeRoom(now); err != nil {
		return 0, err
	}
	var n int64
	if err := t.row("SELECT COALESCE(MAX(n),0)+1 FROM images", nil, &n); err != nil {
		return 0, err
	}
	var names []string
	if name != "" {
		names = []string{name}
	}
	_, err := t.exec(`INSERT INTO images (n, key, name, names, source, platform, distro, distro_id, digest, config_digest, created, size, base, owner,
		first_seen, last_seen, scanned_at, matched_at, matched_with, not_assessed, gaps, match_gaps,
		critical, high, medium, low, unrated, total, kev, fixable, in_use, packages, secrets, missteps, malware, running, watched, gate, tries, retry_at, folded, change_seq)
		VALUES (?,?,?,?, '','','','','','',0,0,'','', ?,?, 0,0,'','not scanned yet',0,'[]', 0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0)`,
		n, key, name, list(names), now, now)
	if err != nil {
		return 0, err
	}
	_, err = t.exec("INSERT INTO image_keys (key, image) VALUES (?, ?) ON CONFLICT DO NOTHING", key, n)
	return n, err
}

// makeRoom lets the images go that were seen longest ago and run nowhere, when there
// are more than the bound, and counts them.
func (t *tx) makeRoom(now int64) error {
	var have int64
	if err := t.row("SELECT COUNT(*) FROM images", nil, &have); err != nil {
		return err
	}
	over := have + 1 - int64(t.db.opt.MaxImages)
	if over <= 0 {
		return nil
	}
	ns, err := t.numbers("SELECT n FROM images ORDER BY CASE WHEN running > 0 THEN 1 ELSE 0 END, last_seen, n LIMIT ?", min(over, 20))
	if err != nil {
		return err
	}
	for _, n := range ns {
		if err := t.dropImage(n); err != nil {
			return err
		}
	}
	return t.loss("hub", &event.Loss{Hop: HopImages, Reason: "too_many_images", Count: uint64(len(ns)), From: now, To: now}, now)
}

// HopImages is the name under which images that are no longer kept are counted.
const HopImages = "store.images"

func (t *tx) numbers(query string, args ...any) ([]int64, error) {
	rows, err := t.rows(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []int64
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, rows.Err()
}

func (t *tx) dropImage(n int64) error {
	var key string
	if err := t.row("SELECT key FROM images WHERE n = ?", []any{n}, &key); err != nil {
		return err
	}
	if err := t.unlink(n); err != nil {
		return err
	}
	for _, q := range []string{
		"DELETE FROM images WHERE n = ?", "DELETE FROM image_catalogs WHERE image = ?", "DELETE FROM image_chains WHERE image = ?", "DELETE FROM image_keys WHERE image = ?", "DELETE FROM image_packages WHERE image = ?",
		"DELETE FROM image_history WHERE image = ?", "DELETE FROM image_use WHERE image = ?", "DELETE FROM news WHERE image = ?",
		"UPDATE running SET image = 0 WHERE image = ?",
	} {
		if _, err := t.exec(q, n); err != nil {
			return err
		}
	}
	_, err := t.tell(ChangeImage, key)
	return err
}

const imageVulns = "SELECT DISTINCT pv.vuln FROM image_packages ip JOIN package_vulns pv ON pv.package = ip.package WHERE ip.image = ?"
const imageUsedVulns = "SELECT DISTINCT pv.vuln FROM image_use u JOIN package_vulns pv ON pv.package = u.package WHERE u.image = ?"

// unlink takes an image out of the counters of its vulnerabilities.
func (t *tx) unlink(n int64) error {
	var running int64
	if err := t.row("SELECT running FROM images WHERE n = ?", []any{n}, &running); err != nil {
		return err
	}
	if _, err := t.exec("UPDATE vulns SET images = images - 1, running_images = running_images - ? WHERE n IN ("+imageVulns+")", min(running, 1), n); err != nil {
		return err
	}
	_, err := t.exec("UPDATE vulns SET used_images = used_images - 1 WHERE n IN ("+imageUsedVulns+")", n)
	return err
}

func (t *tx) link(n int64) error {
	var running int64
	if err := t.row("SELECT running FROM images WHERE n = ?", []any{n}, &running); err != nil {
		return err
	}
	seq, err := t.tell(ChangeVulnerability, "")
	if err != nil {
		return err
	}
	if _, err := t.exec("UPDATE vulns SET images = images + 1, running_images = running_images + ?, change_seq = ? WHERE n IN ("+imageVulns+")", min(running, 1), int64(seq), n); err != nil {
		return err
	}
	_, err = t.exec("UPDATE vulns SET used_images = used_images + 1 WHERE n IN ("+imageUsedVulns+")", n)
	return err
}

// ownerLabels are the labels of an image that name who answers for it, the first one
// that is there decides.
var ownerLabels = []string{"dockreeve.owner", "owner", "team", "org.opencontainers.image.authors", "maintainer"}

func ownerOf(labels map[string]string) string {
	for _, l := range ownerLabels {
		if s := strings.TrimSpace(clean(labels[l])); s != "" {
			return s[:min(len(s), 200)]
		}
	}
	return ""
}

func (t *tx) putImage(s *ImageScan, packages []*interned, blob []byte, now int64) (string, scan.Counts, error) {
	c := s.Catalog
	i := &c.Image
	var counts scan.Counts
	keys := imageKeys(i, s.Ref)
	key := clean(i.Key())
	if key == "" {
		key = clean(s.Ref)
	}
	n := int64(0)
	for _, k := range keys {
		var err error
		if k == clean(i.IndexDigest) && k != key {
			// A row that only an index names is taken over if nothing is known of it yet:
			// other platforms of the same index have rows of their own.
			err = t.row("SELECT n FROM images WHERE key = ? AND scanned_at = 0", []any{k}, &n)
			if errors.Is(err, sql.ErrNoRows) {
				err = nil
			}
		} else {
			n, err = t.findImage(k)
		}
		if err != nil {
			return "", counts, err
		}
		if n != 0 {
			break
		}
	}
	if n == 0 {
		var err error
		if n, err = t.newImage(key, "", now); err != nil {
			return "", counts, err
		}
	}
	for _, k := range keys {
		if _, err := t.exec("INSERT INTO image_keys (key, image) VALUES (?, ?) ON CONFLICT DO NOTHING", k, n); err != nil {
			return "", counts, err
		}
	}
	var oldKey, names string
	var scanned int64
	if err := t.row("SELECT key, names, scanned_at FROM images WHERE n = ?", []any{n}, &oldKey, &names, &scanned); err != nil {
		return "", counts, err
	}
	if oldKey != key && i.Digest == "" {
		key = oldKey // this scan knows less than what named the row
	}
	before, err := t.ids(n)
	if err != nil {
		return "", counts, err
	}
	if err := t.unlink(n); err != nil {
		return "", counts, err
	}
	if _, err := t.exec("DELETE FROM image_packages WHERE image = ?", n); err != nil {
		return "", counts, err
	}
	for _, x := range packages {
		if _, err := t.exec("INSERT INTO image_packages (image, package, counted, visible) VALUES (?, ?, ?, ?)", n, x.n, x.counted, x.visible); err != nil {
			return "", counts, err
		}
	}
	if _, err := t.exec("DELETE FROM image_use WHERE image = ? AND package NOT IN (SELECT package FROM image_packages WHERE image = ?)", n, n); err != nil {
		return "", counts, err
	}
	if err := t.link(n); err != nil {
		return "", counts, err
	}
	if _, err := t.exec("INSERT INTO image_catalogs (image, catalog) VALUES (?, ?) ON CONFLICT (image) DO UPDATE SET catalog = excluded.catalog", n, blob); err != nil {
		return "", counts, err
	}
	if err := t.putChain(n, c); err != nil {
		return "", counts, err
	}
	at := now
	if c.ScannedAt > 0 && c.ScannedAt < now {
		at = c.ScannedAt
	}
	seq, err := t.tell(ChangeImage, key)
	if err != nil {
		return "", counts, err
	}
	base := ""
	if c.Base != nil {
		base = clean(c.Base.Name)
	}
	gaps, err := json.Marshal(s.Gaps[:min(len(s.Gaps), 100)])
	if err != nil {
		return "", counts, err
	}
	matched := int64(0)
	notAssessed := s.NotAssessed
	if s.Matched {
		matched = now
	} else if notAssessed == "" {
		notAssessed = "there are no advisories to match it with"
	}
	allNames := mergeNames(texts(names), i)
	first := ""
	if len(allNames) > 0 {
		first = allNames[0]
	}
	if _, err := t.exec(`UPDATE images SET key = ?, name = ?, names = ?, source = ?, platform = ?, distro = ?, distro_id = ?, digest = ?, config_digest = ?, created = ?, size = ?, base = ?, owner = ?,
		last_seen = ?, scanned_at = ?, matched_at = ?, matched_with = ?, not_assessed = ?, gaps = ?, match_gaps = ?, packages = ?, secrets = ?, missteps = ?, malware = ?,
		tries = 0, retry_at = 0, folded = ?, change_seq = ? WHERE n = ?`,
		key, first, list(allNames), clean(string(i.Kind)), clean(i.Platform), clean(c.Distro.Name), clean(c.Distro.ID+":"+c.Distro.Version), clean(i.Digest), clean(i.ConfigDigest), i.Created, i.Size, base, ownerOf(i.Config.Labels),
		now, at, matched, clean(s.Version), clean(notAssessed), len(c.NotAssessed)+len(s.Gaps), clean(string(gaps)), len(c.Packages), len(c.Secrets), len(c.Config), len(c.Malware),
		t.db.run, int64(seq), n); err != nil {
		return "", counts, err
	}
	if counts, err = t.recount(n); err != nil {
		return "", counts, err
	}
	after, err := t.ids(n)
	if err != nil {
		return "", counts, err
	}
	cause := s.Cause
	if cause == "" {
		cause = "scanned again"
		if scanned == 0 {
			cause = "first scan"
		}
	}
	appeared, gone := differ(before, after)
	if scanned == 0 || len(appeared)+len(gone) > 0 {
		if err := t.imageHistory(n, now, cause, counts, idsOf(appeared), idsOf(gone)); err != nil {
			return "", counts, err
		}
	}
	for _, v := range appeared {
		if err := t.news(n, v.n, now, false); err != nil {
			return "", counts, err
		}
	}
	// What runs may have waited for this image; its loads have packages now.
	if _, err := t.exec("UPDATE running SET dirty = 1 WHERE ref IN (SELECT key FROM image_keys WHERE image = ?)", n); err != nil {
		return "", counts, err
	}
	if _, err := t.exec("UPDATE loads SET dirty = 1 WHERE ref IN (SELECT key FROM image_keys WHERE image = ?)", n); err != nil {
		return "", counts, err
	}
	if err := t.checkWorkloads(n); err != nil {
		return "", counts, err
	}
	return key, counts, t.joinGates(n)
}

func mergeNames(have []string, i *scan.Image) []string {
	var out []string
	add := func(s string) {
		s = clean(s)
		if s != "" && len(s) <= 1024 && len(out) < maxNames && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	add(i.Name)
	for _, tag := range i.Tags {
		switch {
		case strings.Contains(tag, ":"): // a whole reference, as most sources give it
			add(tag)
		case i.Repository != "":
			add(i.Repository + ":" + tag)
		}
	}
	for _, s := range have {
		add(s)
	}
	return out
}

// named is a vulnerability by number and id.
type named struct {
	n  int64
	id string
}

func idsOf(list []named) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.id
	}
	return out
}

// ids are the vulnerabilities of an image, by id.
func (t *tx) ids(image int64) ([]named, error) {
	rows, err := t.rows("SELECT n, id FROM vulns WHERE n IN ("+imageVulns+") ORDER BY id", image)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []named
	for rows.Next() {
		var v named
		if err := rows.Scan(&v.n, &v.id); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

func differ(before, after []named) (appeared, gone []named) {
	was := map[int64]bool{}
	for _, v := range before {
		was[v.n] = true
	}
	for _, v := range after {
		if !was[v.n] {
			appeared = append(appeared, v)
		}
		delete(was, v.n)
	}
	for _, v := range before {
		if was[v.n] {
			gone = append(gone, v)
		}
	}
	return appeared, gone
}

// recount counts an image's vulnerabilities from its packages.
func (t *tx) recount(n int64) (scan.Counts, error) {
	var c scan.Counts
	err := t.row(`SELECT COUNT(*), COALESCE(SUM(CASE WHEN pv.severity = 5 THEN 1 ELSE 0 END),0), COALESCE(SUM(CASE WHEN pv.severity = 4 THEN 1 ELSE 0 END),0),
		COALESCE(SUM(CASE WHEN pv.severity = 3 THEN 1 ELSE 0 END),0), COALESCE(SUM(CASE WHEN pv.severity IN (1,2) THEN 1 ELSE 0 END),0), COALESCE(SUM(CASE WHEN pv.severity = 0 THEN 1 ELSE 0 END),0),
		COALESCE(SUM(v.kev),0), COALESCE(SUM(CASE WHEN pv.fixed_in <> '' THEN 1 ELSE 0 END),0), COALESCE(SUM(CASE WHEN u.package IS NULL THEN 0 ELSE 1 END),0)
		FROM image_packages ip JOIN package_vulns pv ON pv.package = ip.package JOIN vulns v ON v.n = pv.vuln
		LEFT JOIN image_use u ON u.image = ip.image AND u.package = ip.package WHERE ip.image = ? AND ip.counted = 1`, []any{n},
		&c.Total, &c.Critical, &c.High, &c.Medium, &c.Low, &c.Unrated, &c.KEV, &c.Fixable, &c.InUse)
	if err != nil {
		return c, err
	}
	_, err = t.exec("UPDATE images SET critical = ?, high = ?, medium = ?, low = ?, unrated = ?, total = ?, kev = ?, fixable = ?, in_use = ? WHERE n = ?",
		c.Critical, c.High, c.Medium, c.Low, c.Unrated, c.Total, c.KEV, c.Fixable, c.InUse, n)
	return c, err
}

// Bounds of an image's history.
const (
	maxImageHistory = 200
	maxHistoryIDs   = 50
)

func (t *tx) imageHistory(n, now int64, cause string, c scan.Counts, appeared, gone []string) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if _, err := t.exec("DELETE FROM image_history WHERE image = ? AND id <= (SELECT MAX(id) FROM image_history WHERE image = ?) - ?", n, n, maxImageHistory-1); err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO image_history (image, id, time, cause, counts, appeared, gone, appeared_total, gone_total)
		VALUES (?, (SELECT COALESCE(MAX(id),0)+1 FROM image_history WHERE image = ?), ?, ?, ?, ?, ?, ?, ?)`, n, n, now, clean(cause), string(b),
		list(appeared[:min(len(appeared), maxHistoryIDs)]), list(gone[:min(len(gone), maxHistoryIDs)]), len(appeared), len(gone))
	return err
}

// news notes a vulnerability that is new in an image: one known to be exploited always,
// a critical one where advisories brought it. A scan of an image not seen before would
// bring dozens at once, none of which is new to the world: those are in the list.
func (t *tx) news(image, vuln, now int64, critical bool) error {
	least := 6
	if critical {
		least = 5
	}
	_, err := t.exec(`INSERT INTO news (image, vuln, time) SELECT ?, v.n, ? FROM vulns v WHERE v.n = ? AND (v.kev = 1 OR v.severity >= ?) ON CONFLICT DO NOTHING`, image, now, vuln, least)
	return err
}

// TargetContainer is a container through which an image may be reached.
type TargetContainer struct {
	Node, Container, Name, Rootfs, Runtime string
	PID                                    int64
}

// ScanTarget is an image that runs and has no verdict.
type ScanTarget struct {
	N          int64
	Key, Ref   string // Ref is what the runtime calls it
	Name       string // as the runtime names it
	Digest     string // "" unknown
	ImageID    string // "" unknown
	Tries      int
	Containers []TargetContainer // at most 5
	Cluster    string            // whose agent told that it runs, where no node did
}

// NextScan is the image that runs, was never scanned and has waited longest for the
// next try.
func (db *DB) NextScan(ctx context.Context, now int64) (ScanTarget, bool, error) {
	var t ScanTarget
	err := db.read.QueryRowContext(ctx, "SELECT n, key, name, tries FROM images WHERE running > 0 AND scanned_at = 0 AND retry_at <= ? ORDER BY retry_at, first_seen, n LIMIT 1", now).Scan(&t.N, &t.Key, &t.Name, &t.Tries)
	if errors.Is(err, sql.ErrNoRows) {
		return t, false, nil
	}
	if err != nil {
		return t, false, db.explain(err)
	}
	rows, err := db.read.QueryContext(ctx, "SELECT ref, image_name, image_id, node, container, name, rootfs, runtime, pid, cluster FROM running WHERE image = ? AND ended = 0 ORDER BY copies, since DESC, container LIMIT 5", t.N)
	if err != nil {
		return t, false, db.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var c TargetContainer
		var ref, name, id, cluster string
		if err := rows.Scan(&ref, &name, &id, &c.Node, &c.Container, &c.Name, &c.Rootfs, &c.Runtime, &c.PID, &cluster); err != nil {
			return t, false, db.explain(err)
		}
		switch {
		case cluster == "":
			t.Containers = append(t.Containers, c)
		case len(t.Containers) == 0 && t.Cluster == "":
			t.Cluster = cluster
		}
		if t.Ref == "" {
			t.Ref = ref
		}
		if t.Name == "" {
			t.Name = name
		}
		if t.ImageID == "" {
			t.ImageID = id
		}
		if t.Digest == "" && ref != id && isDigest(ref) {
			t.Digest = ref
		}
	}
	return t, true, db.explain(rows.Err())
}

// ScanFailed notes why an image could not be scanned, and when it is tried again.
func (db *DB) ScanFailed(ctx context.Context, n int64, reason string, retryAt int64) error {
	return db.update(ctx, func(t *tx) error {
		var key string
		err := t.row("SELECT key FROM images WHERE n = ?", []any{n}, &key)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		seq, err := t.tell(ChangeImage, key)
		if err != nil {
			return err
		}
		_, err = t.exec("UPDATE images SET not_assessed = ?, tries = tries + 1, retry_at = ?, change_seq = ? WHERE n = ? AND scanned_at = 0", clean(reason), retryAt, int64(seq), n)
		return err
	})
}

// RegistryState is what is kept of walking one registry.
type RegistryState struct {
	Name     string
	WalkedAt int64  // when the last walk came to its end; 0 = never
	Error    string // of the last walk
	State    []byte // as the walker keeps it
}

// Registry returns what is kept of a registry; the zero value with its name when nothing is.
func (db *DB) Registry(ctx context.Context, name string) (RegistryState, error) {
	s := RegistryState{Name: name}
	err := db.read.QueryRowContext(ctx, "SELECT walked_at, error, state FROM registries WHERE name = ?", clean(name)).Scan(&s.WalkedAt, &s.Error, &s.State)
	if errors.Is(err, sql.ErrNoRows) {
		return s, nil
	}
	return s, db.explain(err)
}

// maxRegistryState bounds what is kept of one registry.
const maxRegistryState = 256 << 20

// SetRegistry stores it.
func (db *DB) SetRegistry(ctx context.Context, s RegistryState) error {
	if len(s.State) > maxRegistryState {
		return fmt.Errorf("state of registry %s: %d bytes, at most %d: %w", s.Name, len(s.State), maxRegistryState, ErrRejected)
	}
	if s.State == nil {
		s.State = []byte{}
	}
	return db.update(ctx, func(t *tx) error {
		_, err := t.exec("INSERT INTO registries (name, walked_at, error, state) VALUES (?,?,?,?) ON CONFLICT (name) DO UPDATE SET walked_at = excluded.walked_at, error = excluded.error, state = excluded.state",
			clean(s.Name), s.WalkedAt, clean(s.Error), s.State)
		return err
	})
}
