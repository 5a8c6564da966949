package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// PackageKey is what advisories call a package.
type PackageKey struct{ Ecosystem, Name string }

// StoredPackage is a package as advisories see it: what is left out (files, place in
// the image, licences) does not decide whether an advisory applies.
type StoredPackage struct {
	N       int64
	Distro  scan.Distro
	Package scan.Package
}

// PackageMatch is what the advisories say of a package now.
type PackageMatch struct {
	N               int64
	Vulnerabilities []scan.Vulnerability // Package is not looked at
}

// statusWords are the statuses of vulnerabilities, the most actionable first; stored
// as 1 plus the index.
var statusWords = []string{string(scan.Fixed), string(scan.Unfixed), string(scan.WontFix), string(scan.Deferred), string(scan.EndOfLife), string(scan.UnderReview)}

func statusNumber(s scan.Status) int64 {
	if i := slices.Index(statusWords, string(s)); i >= 0 {
		return int64(i + 1)
	}
	return 2 // what a source does not word is not fixed
}

func statusOf(n int64) scan.Status {
	if n < 1 || n > int64(len(statusWords)) {
		return scan.Unfixed
	}
	return scan.Status(statusWords[n-1])
}

// micro is a number in millionths, as filters compare it. What is no number is 0.
func micro(f float64) int64 {
	if math.IsNaN(f) || math.Abs(f) > 1e12 {
		return 0
	}
	return int64(math.Round(f * 1e6))
}

func unmicro(n int64) float64 { return float64(n) / 1e6 }

// fact is a row of package_vulns without its keys and its date.
type fact struct {
	status       int64
	fixedIn      string
	severity     int64
	severityFrom string
	cvss         int64
	vector       string
	source       string
	rank         int64
}

func (f *fact) fixable() int64 {
	if f.fixedIn != "" {
		return 1
	}
	return 0
}

func factOf(v *scan.Vulnerability) fact {
	return fact{statusNumber(v.Status), clean(v.FixedIn), int64(v.Severity), clean(v.SeverityFrom), micro(v.CVSS), clean(v.Vector), clean(v.Source), micro(v.Rank)}
}

// ident is the same for packages that every advisory treats alike.
func ident(d string, p *scan.Package) []byte {
	h := sha256.New()
	var n [4]byte
	for _, s := range []string{d, string(p.Type), p.Name, p.Version, p.Arch, p.Source, p.SourceVersion, p.Module, p.Vendor, p.OwnedBy, dev(p)} {
		binary.BigEndian.PutUint32(n[:], uint32(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	return h.Sum(nil)[:16]
}

func dev(p *scan.Package) string {
	if p.Dev {
		return "dev"
	}
	return ""
}

// distroOf is the part of the distribution that decides, as text; "" for packages
// that answer to their own ecosystem wherever they are installed.
func distroOf(d *scan.Distro, p *scan.Package) string {
	if !p.Type.Distribution() && p.OwnedBy == "" {
		return ""
	}
	x := *d
	x.Name = "" // how it calls itself decides nothing
	b, err := json.Marshal(x)
	if err != nil { // text always marshals
		return ""
	}
	return clean(string(b))
}

// interned is a package on its way to its row.
type interned struct {
	n       int64 // 0 = has no row yet
	ident   []byte
	distro  string
	pkg     *scan.Package
	keys    []PackageKey
	vulns   []*scan.Vulnerability
	counted int64
	visible int64
}

// gather makes one interned of every distinct package of a catalogue.
func gather(s *ImageScan) []*interned {
	c := s.Catalog
	byIdent := map[string]*interned{}
	type unit struct {
		t             scan.Type
		name, version string
	}
	counted := map[unit]bool{}
	at := make([]*interned, len(c.Packages))
	var list []*interned
	for i := range c.Packages {
		p := &c.Packages[i]
		d := distroOf(&c.Distro, p)
		id := ident(d, p)
		x := byIdent[string(id)]
		if x == nil {
			x = &interned{ident: id, distro: d, pkg: p}
			if s.Keys != nil {
				x.keys = s.Keys(i)
			}
			if u := (unit{p.Type, p.Name, p.Version}); !counted[u] {
				counted[u] = true
				x.counted = 1
			}
			byIdent[string(id)] = x
			list = append(list, x)
		}
		at[i] = x
		if !p.Dev && len(p.Files)+len(p.Dirs) > 0 && len(p.Files) < scan.MaxFiles {
			x.visible = 1
		}
	}
	for i := range s.Vulnerabilities {
		v := &s.Vulnerabilities[i]
		x := at[v.Package]
		if !slices.ContainsFunc(x.vulns, func(w *scan.Vulnerability) bool { return w.ID == v.ID }) {
			x.vulns = append(x.vulns, v)
		}
	}
	return list
}

// internStep bounds the packages written in one transaction.
const internStep = 100

// intern gives every package its row, writing those that are new with their
// vulnerabilities. It returns what those have now that are known and were stored when
// there were no advisories; of the others the advisories' changes keep track.
func (db *DB) intern(ctx context.Context, list []*interned, matched bool, now int64) ([]PackageMatch, error) {
	fresh, known, err := db.sift(ctx, list, matched)
	if err != nil {
		return nil, err
	}
	for part := range slices.Chunk(fresh, internStep) {
		err := db.update(ctx, func(t *tx) error {
			for _, x := range part {
				if err := t.insertPackage(x, matched, now); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return known, nil
}

// sift finds the packages that have a row already.
func (db *DB) sift(ctx context.Context, list []*interned, matched bool) (fresh []*interned, unmatched []PackageMatch, err error) {
	tx, err := db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, nil, db.explain(err)
	}
	defer tx.Rollback()
	find, err := tx.PrepareContext(ctx, "SELECT n, matched FROM packages WHERE ident = ?")
	if err != nil {
		return nil, nil, db.explain(err)
	}
	defer find.Close()
	for _, x := range list {
		var was int64
		err := find.QueryRowContext(ctx, x.ident).Scan(&x.n, &was)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			fresh = append(fresh, x)
		case err != nil:
			return nil, nil, db.explain(err)
		case matched && was == 0:
			m := PackageMatch{N: x.n}
			for _, v := range x.vulns {
				m.Vulnerabilities = append(m.Vulnerabilities, *v)
			}
			unmatched = append(unmatched, m)
		}
	}
	return fresh, unmatched, nil
}

func (t *tx) insertPackage(x *interned, matched bool, now int64) error {
	p := x.pkg
	was := 0
	if matched {
		was = 1
	}
	if err := t.row("SELECT COALESCE(MAX(n),0)+1 FROM packages", nil, &x.n); err != nil {
		return err
	}
	if _, err := t.exec(`INSERT INTO packages (n, ident, distro, type, name, version, arch, source, source_version, module, vendor, owned_by, dev, matched)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)`, x.n, x.ident, x.distro, clean(string(p.Type)), clean(p.Name), clean(p.Version), clean(p.Arch),
		clean(p.Source), clean(p.SourceVersion), clean(p.Module), clean(p.Vendor), clean(p.OwnedBy), dev(p), was); err != nil {
		return err
	}
	for _, k := range x.keys {
		if _, err := t.exec("INSERT INTO package_keys (ecosystem, name, package) VALUES (?,?,?) ON CONFLICT DO NOTHING", clean(k.Ecosystem), clean(k.Name), x.n); err != nil {
			return err
		}
	}
	for _, v := range x.vulns {
		n, err := t.vuln(v, now)
		if err != nil {
			return err
		}
		f := factOf(v)
		if err := t.insertFact(x.n, n, &f, now); err != nil {
			return err
		}
		if err := t.worst(n); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) insertFact(pkg, vuln int64, f *fact, now int64) error {
	_, err := t.exec(`INSERT INTO package_vulns (package, vuln, status, fixed_in, severity, severity_from, cvss, vector, source, rank_base, detected)
		VALUES (?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (package, vuln) DO UPDATE SET status = excluded.status, fixed_in = excluded.fixed_in, severity = excluded.severity,
		severity_from = excluded.severity_from, cvss = excluded.cvss, vector = excluded.vector, source = excluded.source, rank_base = excluded.rank_base`,
		pkg, vuln, f.status, f.fixedIn, f.severity, f.severityFrom, f.cvss, f.vector, f.source, f.rank, now)
	return err
}

// Bounds of what is kept of one vulnerability.
const (
	maxAliases    = 64
	maxReferences = 10
	maxTitle      = 300
)

func kevText(k *scan.KEV) (int64, string) {
	if k == nil {
		return 0, ""
	}
	b, err := json.Marshal(k)
	if err != nil {
		return 1, "{}"
	}
	return 1, clean(string(b))
}

func epssColumns(e *scan.EPSS) (score, percentile int64, date string) {
	if e == nil {
		return -1, 0, ""
	}
	return micro(e.Score), micro(e.Percentile), clean(e.Date)
}

// vuln gives the vulnerability its row and keeps what all its packages share up to
// date, but for what decides counts: see RefreshScores.
func (t *tx) vuln(v *scan.Vulnerability, now int64) (int64, error) {
	var n, published, modified int64
	var aliases, title, refs string
	newAliases, newRefs := list(v.Aliases[:min(len(v.Aliases), maxAliases)]), list(v.References[:min(len(v.References), maxReferences)])
	newTitle := clean(v.Title[:min(len(v.Title), maxTitle)])
	err := t.row("SELECT n, aliases, title, refs, published, modified FROM vulns WHERE id = ?", []any{clean(v.ID)}, &n, &aliases, &title, &refs, &published, &modified)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if err := t.row("SELECT COALESCE(MAX(n),0)+1 FROM vulns", nil, &n); err != nil {
			return 0, err
		}
		score, percentile, date := epssColumns(v.EPSS)
		kev, entry := kevText(v.KEV)
		if _, err := t.exec(`INSERT INTO vulns (n, id, aliases, title, refs, published, modified, epss, percentile, epss_date, kev, kev_entry,
			severity, cvss, vector, fixable, status, rank_max, first_detected, images, running_images, used_images, change_seq)
			VALUES (?,?,?,?,?,?,?,?,?,?,?,?, 0,0,'',0,2,0,?, 0,0,0, ?)`,
			n, clean(v.ID), newAliases, newTitle, newRefs, v.Published, v.Modified, score, percentile, date, kev, entry, now, int64(t.seq)); err != nil {
			return 0, err
		}
	case err != nil:
		return 0, err
	case aliases == newAliases && title == newTitle && refs == newRefs && published == v.Published && modified == v.Modified:
		return n, nil
	default:
		// Aliases differ by source: one that another package's advisory named is kept.
		newAliases = union(aliases, newAliases)
		if _, err := t.exec("UPDATE vulns SET aliases = ?, title = CASE WHEN ? = '' THEN title ELSE ? END, refs = ?, published = ?, modified = ? WHERE n = ?",
			newAliases, newTitle, newTitle, newRefs, v.Published, v.Modified, n); err != nil {
			return 0, err
		}
	}
	for _, id := range append([]string{v.ID}, v.Aliases[:min(len(v.Aliases), maxAliases)]...) {
		if _, err := t.exec("INSERT INTO vuln_ids (id, vuln) VALUES (?, ?) ON CONFLICT DO NOTHING", strings.ToUpper(clean(id)), n); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func union(a, b string) string {
	all := texts(a)
	for _, s := range texts(b) {
		if len(all) < maxAliases && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	slices.Sort(all)
	return list(all)
}

// texts reads a stored list of text.
func texts(s string) []string {
	var out []string
	if json.Unmarshal([]byte(s), &out) != nil { // written by list only
		return nil
	}
	return out
}

// worst brings the columns of a vulnerability that sum up its packages up to date.
func (t *tx) worst(vuln int64) error {
	_, err := t.exec(`UPDATE vulns SET (severity, cvss, fixable, status, rank_max, first_detected) =
		(SELECT COALESCE(MAX(severity),0), COALESCE(MAX(cvss),0), COALESCE(MIN(CASE WHEN fixed_in <> '' THEN 1 ELSE 0 END),0), COALESCE(MIN(status),2), COALESCE(MAX(rank_base),0), COALESCE(MIN(detected), vulns.first_detected)
			FROM package_vulns WHERE vuln = vulns.n),
		vector = COALESCE((SELECT vector FROM package_vulns WHERE vuln = vulns.n ORDER BY cvss DESC, package LIMIT 1), '') WHERE n = ?`, vuln)
	return err
}

const factQuery = `SELECT v.id, v.n, v.kev, v.aliases, v.title, v.modified, pv.status, pv.fixed_in, pv.severity, pv.severity_from, pv.cvss, pv.vector, pv.source, pv.rank_base
	FROM package_vulns pv JOIN vulns v ON v.n = pv.vuln WHERE pv.package = ?`

// facts reads what is stored of a package: by the vulnerability's id.
func facts(ctx context.Context, query *sql.Stmt, pkg int64) (map[string]storedFact, error) {
	rows, err := query.QueryContext(ctx, pkg)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]storedFact{}
	for rows.Next() {
		var id string
		var f storedFact
		if err := rows.Scan(&id, &f.vuln, &f.kev, &f.aliases, &f.title, &f.modified, &f.status, &f.fixedIn, &f.severity, &f.severityFrom, &f.cvss, &f.vector, &f.source, &f.rank); err != nil {
			return nil, err
		}
		out[id] = f
	}
	return out, rows.Err()
}

type storedFact struct {
	fact
	vuln, kev, modified int64
	aliases, title      string
}

// ChangedPackages returns the packages ever seen that advisories of these keys speak of.
func (db *DB) ChangedPackages(ctx context.Context, keys []PackageKey) ([]StoredPackage, error) {
	find, err := db.read.PrepareContext(ctx, "SELECT "+packageColumns+" FROM package_keys k JOIN packages p ON p.n = k.package WHERE k.ecosystem = ? AND k.name = ?")
	if err != nil {
		return nil, db.explain(err)
	}
	defer find.Close()
	seen := map[int64]bool{}
	var out []StoredPackage
	for _, k := range keys {
		rows, err := find.QueryContext(ctx, clean(k.Ecosystem), clean(k.Name))
		if err != nil {
			return nil, db.explain(err)
		}
		for rows.Next() {
			p, err := scanPackage(rows)
			if err != nil {
				rows.Close()
				return nil, db.explain(err)
			}
			if !seen[p.N] {
				seen[p.N] = true
				out = append(out, p)
			}
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return nil, db.explain(err)
		}
	}
	return out, nil
}

// Unmatched returns up to limit packages that were stored when there were no advisories.
func (db *DB) Unmatched(ctx context.Context, limit int) ([]StoredPackage, error) {
	return db.packages(ctx, "p.matched = 0 ORDER BY p.n LIMIT ?", limit)
}

// Packages returns up to limit packages ever seen with a number above after.
func (db *DB) Packages(ctx context.Context, after int64, limit int) ([]StoredPackage, error) {
	return db.packages(ctx, "p.n > ? ORDER BY p.n LIMIT ?", after, limit)
}

func (db *DB) packages(ctx context.Context, where string, args ...any) ([]StoredPackage, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT "+packageColumns+" FROM packages p WHERE "+where, args...)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	var out []StoredPackage
	for rows.Next() {
		p, err := scanPackage(rows)
		if err != nil {
			return nil, db.explain(err)
		}
		out = append(out, p)
	}
	return out, db.explain(rows.Err())
}

const packageColumns = "p.n, p.distro, p.type, p.name, p.version, p.arch, p.source, p.source_version, p.module, p.vendor, p.owned_by, p.dev"

func scanPackage(rows *sql.Rows) (StoredPackage, error) {
	var s StoredPackage
	var distro, only string
	p := &s.Package
	if err := rows.Scan(&s.N, &distro, &p.Type, &p.Name, &p.Version, &p.Arch, &p.Source, &p.SourceVersion, &p.Module, &p.Vendor, &p.OwnedBy, &only); err != nil {
		return s, err
	}
	p.Layer, p.Dev = -1, only != ""
	if distro != "" {
		if err := json.Unmarshal([]byte(distro), &s.Distro); err != nil {
			return s, fmt.Errorf("package %d: stored distribution: %w", s.N, err)
		}
	}
	return s, nil
}

func severityOf(n int64) finding.Severity {
	if s := finding.Severity(n); n >= 0 && n <= 255 && s.Valid() {
		return s
	}
	return finding.SeverityNone
}
