package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/dockreeve/dockreeve/query"
	"github.com/dockreeve/dockreeve/scan"
)

// useWords are the answers to "is it in use"; stored as 1 plus the index.
var useWords = []string{"yes", "no", "unknown"}

// ImageFields is what a filter of images may name.
func ImageFields() *query.Schema { return &imageFields }

var imageFields = query.Schema{Fields: []query.Field{
	{Name: "image", Aliases: []string{"name"}, Type: query.Text, Free: true, List: true, SQL: "json_each(names)", Doc: "a reference it was seen under: image:*nginx*"},
	{Name: "digest", Type: query.Text, Free: true, SQL: "key", Doc: "its digest: digest:sha256:4f2a*"},
	{Name: "severity", Aliases: []string{"sev"}, Type: query.Ranked, Words: severityWords(), SQL: "CASE WHEN critical > 0 THEN 5 WHEN high > 0 THEN 4 WHEN medium > 0 THEN 3 WHEN low > 0 THEN 2 WHEN unrated > 0 THEN 0 ELSE -1 END", Doc: "the worst vulnerability in it: severity:>=high"},
	{Name: "kev", Type: query.Bool, SQL: "CASE WHEN kev > 0 THEN 1 ELSE 0 END", Doc: "holds something known to be exploited"},
	{Name: "fixable", Type: query.Bool, SQL: "CASE WHEN fixable > 0 THEN 1 ELSE 0 END", Doc: "holds something that a newer version mends"},
	{Name: "in_use", Aliases: []string{"use"}, Type: query.Enum, Words: useWords, First: 1, SQL: "CASE WHEN in_use > 0 THEN 1 WHEN watched = 0 THEN 3 ELSE 2 END", Doc: "whether a vulnerable package of it was seen loaded; unknown where nobody watched"},
	{Name: "running", Type: query.Bool, SQL: "CASE WHEN running > 0 THEN 1 ELSE 0 END", Doc: "whether a container runs it now"},
	{Name: "assessed", Type: query.Bool, SQL: "CASE WHEN not_assessed = '' THEN 1 ELSE 0 END", Doc: "whether there is a verdict: assessed:no"},
	{Name: "id", Aliases: []string{"cve"}, Type: query.Text, List: true, Where: "n IN (SELECT ip.image FROM vuln_ids a JOIN package_vulns pv ON pv.vuln = a.vuln JOIN image_packages ip ON ip.package = pv.package WHERE a.id {})", Doc: "holds this vulnerability, by any of its ids: id:CVE-2024-3094"},
	{Name: "package", Aliases: []string{"pkg"}, Type: query.Text, List: true, Where: "n IN (SELECT ip.image FROM packages p JOIN image_packages ip ON ip.package = p.n WHERE p.name {})", Doc: "holds this package: package:openssl"},
	{Name: "workload", Type: query.Text, List: true, Where: "n IN (SELECT r.image FROM running r WHERE r.ended = 0 AND r.workload {})", Doc: "runs there now: workload:payments/*"},
	{Name: "node", Type: query.Text, List: true, Where: "n IN (SELECT r.image FROM running r WHERE r.ended = 0 AND r.node {})", Doc: "runs on that machine now"},
	{Name: "distro", Type: query.Text, Free: true, SQL: "distro", Doc: `its distribution, as that calls itself: distro:debian*; distro:"" has none`},
	{Name: "platform", Type: query.Text, SQL: "platform", Doc: "platform:linux/arm64"},
	{Name: "source", Type: query.Text, SQL: "source", Doc: "where it was read from: registry, docker, archive, sbom…"},
	{Name: "base", Type: query.Text, Free: true, SQL: "base", Doc: "the image it is built on"},
	{Name: "owner", Type: query.Text, Free: true, SQL: "owner", Doc: `who its labels say answers for it; owner:"" finds those without`},
	{Name: "gate", Type: query.Enum, Words: []string{"none", "failed", "passed"}, SQL: "gate", Doc: "how its last gate went"},
	{Name: "secrets", Type: query.Number, SQL: "secrets", Doc: "credentials found in it: secrets:>0"},
	{Name: "malware", Type: query.Number, SQL: "malware", Doc: "files in it that are on a list of malware"},
	{Name: "packages", Type: query.Number, SQL: "packages", Doc: "how many packages it holds"},
	{Name: "age", Type: query.Age, SQL: "last_seen", Doc: "since it was last scanned or seen running: age:<7d"},
	{Name: "first", Type: query.Time, SQL: "first_seen", Doc: "when it was first seen"},
	{Name: "scanned", Type: query.Age, SQL: "scanned_at", Doc: "since its last scan: scanned:>30d"},
}}

// Image is a row of the list.
type Image struct {
	Key         string
	Name        string
	Names       []string
	Source      string
	Platform    string
	Distro      string
	Created     int64
	Size        int64
	Base        string
	Owner       string // "" = unowned
	FirstSeen   int64
	LastSeen    int64
	ScannedAt   int64
	MatchedAt   int64
	NotAssessed string
	Gaps        int64
	Counts      scan.Counts
	Packages    int64
	Secrets     int64
	Missteps    int64
	Malware     int64
	Running     int64
	Watched     int64  // loads watched since; 0 = never
	Gate        string // passed, failed; "" = none recorded
	Workloads   []string
	ChangeSeq   uint64

	n int64
}

// MaxWorkloads bounds Image.Workloads.
const MaxWorkloads = 20

const imageColumns = `n, key, name, names, source, platform, distro, created, size, base, owner, first_seen, last_seen, scanned_at, matched_at, not_assessed, gaps,
	critical, high, medium, low, unrated, total, kev, fixable, in_use, packages, secrets, missteps, malware, running, watched, gate, change_seq`

func scanImage(scan func(...any) error, more ...any) (Image, error) {
	var i Image
	var names string
	var gate, seq int64
	c := &i.Counts
	err := scan(append([]any{&i.n, &i.Key, &i.Name, &names, &i.Source, &i.Platform, &i.Distro, &i.Created, &i.Size, &i.Base, &i.Owner, &i.FirstSeen, &i.LastSeen, &i.ScannedAt, &i.MatchedAt, &i.NotAssessed, &i.Gaps,
		&c.Critical, &c.High, &c.Medium, &c.Low, &c.Unrated, &c.Total, &c.KEV, &c.Fixable, &c.InUse, &i.Packages, &i.Secrets, &i.Missteps, &i.Malware, &i.Running, &i.Watched, &gate, &seq}, more...)...)
	i.Names, i.ChangeSeq = texts(names), uint64(seq)
	i.Gate = [...]string{"", "failed", "passed"}[max(0, min(gate, 2))]
	return i, err
}

// ImageQuery asks for one page of a list.
type ImageQuery struct {
	Filter query.Query
	Order  string // "-" before it turns it round
	Limit  int    // 1–500; 0 = 100
	Cursor string
	Now    int64 // for ages; 0 = the store's clock
}

// ImagePage is one page of images.
type ImagePage struct {
	Images   []Image
	Next     string
	Total    int64
	TotalAll int64
	Seq      uint64
}

// capped is a column that takes a bounded place in a sum.
func capped(column string, bound int) string {
	b := strconv.Itoa(bound)
	return "(CASE WHEN " + column + " > " + b + " THEN " + b + " ELSE " + column + " END)"
}

// risk orders images: those that run first, then by malware, by what is known to be
// exploited, and by severity.
var risk = "(CASE WHEN running > 0 THEN 1000000000000000 ELSE 0 END + " + capped("malware", 9) + " * 100000000000000 + " + capped("kev", 999) + " * 100000000000 + " +
	capped("critical", 999) + " * 100000000 + " + capped("high", 9999) + " * 10000 + " + capped("medium", 9999) + ")"

var imageOrders = map[string]string{"risk": risk, "last_seen": "last_seen", "first_seen": "first_seen", "critical": "critical", "kev": "kev", "in_use": "in_use", "size": "size", "name": "name"}

// list is one page of any table that has a number as its key, n.
type listing struct {
	table, all, columns string
	schema              *query.Schema
	orders              map[string]string
	first               string          // the order when none is asked for
	text                map[string]bool // orders by text, smallest first
}

// page counts and reads; each row ends with the value it is ordered by, as text.
func (db *DB) page(ctx context.Context, l *listing, q ImageQuery, row func(*sql.Rows, *string) (int64, error)) (next string, total, all int64, err error) {
	name, reverse := strings.CutPrefix(q.Order, "-")
	if name == "" {
		name = l.first
	}
	col, ok := l.orders[name]
	if !ok {
		return "", 0, 0, fmt.Errorf("%w: %q: %s", ErrImageOrder, q.Order, strings.Join(keysOf(l.orders), ", "))
	}
	limit, err := pageSize(q.Limit)
	if err != nil {
		return "", 0, 0, err
	}
	if q.Now == 0 {
		q.Now = db.opt.Now()
	}
	cond, args := q.Filter.SQL(l.schema, query.Dialect{}, q.Now)
	tx, err := db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return "", 0, 0, db.explain(err)
	}
	defer tx.Rollback()
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+l.table+" WHERE "+l.all).Scan(&all); err != nil {
		return "", 0, 0, db.explain(err)
	}
	total = all
	if len(q.Filter.Terms) > 0 {
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+l.table+" WHERE "+l.all+" AND "+cond, args...).Scan(&total); err != nil {
			return "", 0, 0, db.explain(err)
		}
	}
	dir, cmp := "DESC", "<"
	if reverse != l.text[name] {
		dir, cmp = "ASC", ">"
	}
	id := l.table + " " + l.all + " " + q.Order
	if q.Cursor != "" {
		n, value, err := readCursor(id, q.Cursor)
		if err != nil {
			return "", 0, 0, err
		}
		var at any = value
		if !l.text[name] {
			if at, err = strconv.ParseInt(value, 10, 64); err != nil {
				return "", 0, 0, fmt.Errorf("%w: fetch the first page again", ErrCursor)
			}
		}
		cond = "(" + cond + ") AND (" + col + ", n) " + cmp + " (?, ?)"
		args = append(args, at, n)
	}
	rows, err := tx.QueryContext(ctx, "SELECT "+l.columns+", "+col+" FROM "+l.table+" WHERE "+l.all+" AND "+cond+" ORDER BY "+col+" "+dir+", n "+dir+" LIMIT ?", append(args, limit+1)...)
	if err != nil {
		return "", 0, 0, db.explain(err)
	}
	defer rows.Close()
	var at string
	var n int64
	for i := 0; rows.Next(); i++ {
		if i == limit {
			return cursor(id, n, at), total, all, nil
		}
		if n, err = row(rows, &at); err != nil {
			return "", 0, 0, db.explain(err)
		}
	}
	return "", total, all, db.explain(rows.Err())
}

// ErrImageOrder says the order asked for does not exist.
var ErrImageOrder = fmt.Errorf("%w for this list", errOrder)

var errOrder = errors.New("there is no such order")

func keysOf(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sortText(out)
	return out
}

var imageListing = listing{table: "images", all: "1=1", columns: imageColumns, schema: &imageFields, orders: imageOrders, first: "risk", text: map[string]bool{"name": true}}

// Images lists images; the order is risk unless said otherwise.
func (db *DB) Images(ctx context.Context, q ImageQuery) (ImagePage, error) {
	page := ImagePage{Seq: db.Seq()}
	var err error
	page.Next, page.Total, page.TotalAll, err = db.page(ctx, &imageListing, q, func(rows *sql.Rows, at *string) (int64, error) {
		i, err := scanImage(rows.Scan, at)
		page.Images = append(page.Images, i)
		return i.n, err
	})
	if err != nil {
		return ImagePage{}, err
	}
	for i := range page.Images {
		if err := db.workloadsOf(ctx, &page.Images[i]); err != nil {
			return ImagePage{}, err
		}
	}
	return page, nil
}

func (db *DB) workloadsOf(ctx context.Context, i *Image) error {
	if i.Running == 0 {
		return nil
	}
	var err error
	i.Workloads, err = db.strings(ctx, "SELECT DISTINCT workload FROM running WHERE image = ? AND ended = 0 ORDER BY workload LIMIT ?", i.n, MaxWorkloads)
	return err
}

// Running is one container.
type Running struct {
	Workload, Node, Container, Name string
	Since, Until                    int64 // Until 0 = it runs now, as far as is known
}

// ImageHistory is one point at which an image's findings changed.
type ImageHistory struct {
	Time                     int64
	Cause                    string
	Counts                   scan.Counts
	Appeared, Gone           []string // the first 50 ids
	AppearedTotal, GoneTotal int64
}

// ImageDetail is one image whole, but for its vulnerabilities and packages.
type ImageDetail struct {
	Image
	Catalog   *scan.Catalog // nil = it was never scanned
	MatchGaps []scan.Gap
	Running   []Running // running ones first, then those gone last; at most MaxPage
	History   []ImageHistory
	Gates     []GateRun
	Seq       uint64
}

// Image returns one image by its key or any digest it is known by. The error wraps
// ErrNotFound.
func (db *DB) Image(ctx context.Context, key string) (ImageDetail, error) {
	d := ImageDetail{Seq: db.Seq()}
	var err error
	if d.Image, err = db.imageRow(ctx, key); err != nil {
		return d, err
	}
	if err := db.workloadsOf(ctx, &d.Image); err != nil {
		return d, err
	}
	if d.Catalog, err = db.catalog(ctx, d.n); err != nil {
		return d, err
	}
	var gaps string
	if err := db.read.QueryRowContext(ctx, "SELECT match_gaps FROM images WHERE n = ?", d.n).Scan(&gaps); err != nil {
		return d, db.explain(err)
	}
	if err := json.Unmarshal([]byte(gaps), &d.MatchGaps); err != nil {
		return d, fmt.Errorf("image %s: stored gaps: %w", key, err)
	}
	if d.Running, err = db.containers(ctx, d.n, MaxPage); err != nil {
		return d, err
	}
	if d.Gates, err = db.gates(ctx, d.n); err != nil {
		return d, err
	}
	rows, err := db.read.QueryContext(ctx, "SELECT time, cause, counts, appeared, gone, appeared_total, gone_total FROM image_history WHERE image = ? ORDER BY id DESC LIMIT ?", d.n, maxImageHistory)
	if err != nil {
		return d, db.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var h ImageHistory
		var counts, appeared, gone string
		if err := rows.Scan(&h.Time, &h.Cause, &counts, &appeared, &gone, &h.AppearedTotal, &h.GoneTotal); err != nil {
			return d, db.explain(err)
		}
		if err := json.Unmarshal([]byte(counts), &h.Counts); err != nil {
			return d, fmt.Errorf("image %s: stored counts: %w", key, err)
		}
		h.Appeared, h.Gone = texts(appeared), texts(gone)
		d.History = append(d.History, h)
	}
	return d, db.explain(rows.Err())
}

func (db *DB) imageRow(ctx context.Context, key string) (Image, error) {
	i, err := scanImage(db.read.QueryRowContext(ctx, "SELECT "+imageColumns+" FROM images WHERE n = COALESCE((SELECT n FROM images WHERE key = ?), (SELECT MIN(image) FROM image_keys WHERE key = ?))", clean(key), clean(key)).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return i, fmt.Errorf("image %q: %w", key, ErrNotFound)
	}
	return i, db.explain(err)
}

func (db *DB) catalog(ctx context.Context, n int64) (*scan.Catalog, error) {
	var blob []byte
	err := db.read.QueryRowContext(ctx, "SELECT catalog FROM image_catalogs WHERE image = ?", n).Scan(&blob)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, db.explain(err)
	}
	c, err := unpackCatalog(blob)
	if err != nil {
		return nil, fmt.Errorf("image %d: stored catalogue: %w", n, err)
	}
	return c, nil
}

func (db *DB) containers(ctx context.Context, n int64, limit int) ([]Running, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT workload, node, container, name, since, ended FROM running WHERE image = ? AND "+untold+" ORDER BY CASE WHEN ended = 0 THEN 0 ELSE 1 END, ended DESC, since DESC, container LIMIT ?", n, limit)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	var out []Running
	for rows.Next() {
		var r Running
		if err := rows.Scan(&r.Workload, &r.Node, &r.Container, &r.Name, &r.Since, &r.Until); err != nil {
			return nil, db.explain(err)
		}
		out = append(out, r)
	}
	return out, db.explain(rows.Err())
}

// ImageCoverage is the denominator of every count of images.
type ImageCoverage struct {
	Containers  int64 // running, as far as is known
	Running     int64 // images
	Assessed    int64 // of them
	Gated       int64 // of them, with a gate passed
	NotAssessed []scan.Gap
}

// maxCoverageGaps bounds the images named in ImageCoverage.
const maxCoverageGaps = 50

// ImageCoverage says which running images have a verdict.
func (db *DB) ImageCoverage(ctx context.Context) (ImageCoverage, error) {
	var c ImageCoverage
	var waiting int64
	if err := db.read.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM running WHERE ended = 0), (SELECT COUNT(DISTINCT ref) FROM running WHERE ended = 0 AND image = 0),
		COALESCE(SUM(CASE WHEN running > 0 THEN 1 ELSE 0 END),0), COALESCE(SUM(CASE WHEN running > 0 AND not_assessed = '' THEN 1 ELSE 0 END),0),
		COALESCE(SUM(CASE WHEN running > 0 AND gate = 2 THEN 1 ELSE 0 END),0) FROM images`).Scan(&c.Containers, &waiting, &c.Running, &c.Assessed, &c.Gated); err != nil {
		return c, db.explain(err)
	}
	c.Running += waiting
	if waiting > 0 {
		c.NotAssessed = append(c.NotAssessed, scan.Gap{What: strconv.FormatInt(waiting, 10) + " images", Reason: "they have only just been seen"})
	}
	rows, err := db.read.QueryContext(ctx, "SELECT CASE WHEN name = '' THEN key ELSE name END, not_assessed FROM images WHERE running > 0 AND not_assessed <> '' ORDER BY running DESC, n LIMIT ?", maxCoverageGaps-len(c.NotAssessed))
	if err != nil {
		return c, db.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var g scan.Gap
		if err := rows.Scan(&g.What, &g.Reason); err != nil {
			return c, db.explain(err)
		}
		c.NotAssessed = append(c.NotAssessed, g)
	}
	return c, db.explain(rows.Err())
}
