package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/query"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/match"
)

func sortText(s []string) { slices.Sort(s) }

// FindingFields is what a filter of one image's vulnerabilities may name.
func FindingFields() *query.Schema { return &findingFields }

var findingFields = query.Schema{Fields: []query.Field{
	{Name: "severity", Aliases: []string{"sev"}, Type: query.Ranked, Words: severityWords(), Doc: "how bad it is: severity:>=high"},
	{Name: "id", Aliases: []string{"cve"}, Type: query.Text, Free: true, List: true, Doc: "any of its ids: id:CVE-2024-3094"},
	{Name: "package", Aliases: []string{"pkg"}, Type: query.Text, Free: true, Doc: "the package that has it"},
	{Name: "type", Type: query.Text, Doc: "type of the package: deb, npm, golang…"},
	{Name: "kev", Type: query.Bool, Doc: "known to be exploited"},
	{Name: "fixable", Type: query.Bool, Doc: "a newer version mends it"},
	{Name: "in_use", Aliases: []string{"use"}, Type: query.Enum, Words: useWords, First: 1, Doc: "whether its package was seen loaded; unknown where nobody watched"},
	{Name: "status", Type: query.Enum, Words: statusWords, First: 1, Doc: "what can be done: status:unfixed,wont-fix"},
	{Name: "epss", Type: query.Decimal, Doc: "probability of exploitation within 30 days, 0 to 1: epss:>=0.5"},
	{Name: "cvss", Type: query.Decimal, Doc: "base score, 0 to 10"},
	{Name: "layer", Type: query.Number, Doc: "layer that brought the package, lowest is 0"},
	{Name: "location", Type: query.Text, Free: true, Doc: "file the package was read from"},
	{Name: "title", Type: query.Text, Free: true, Doc: "its title"},
	{Name: "age", Type: query.Age, Doc: "since it was first detected in this image: age:<7d"},
}}

// VulnerabilityFields is what a filter of vulnerabilities over all images may name.
func VulnerabilityFields() *query.Schema { return &vulnerabilityFields }

const ofImages = "n IN (SELECT pv.vuln FROM package_vulns pv JOIN image_packages ip ON ip.package = pv.package WHERE ip.image IN "

var vulnerabilityFields = query.Schema{Fields: []query.Field{
	{Name: "severity", Aliases: []string{"sev"}, Type: query.Ranked, Words: severityWords(), SQL: "severity", Doc: "the worst rating of it: severity:>=high"},
	{Name: "id", Aliases: []string{"cve"}, Type: query.Text, Free: true, List: true, Where: "n IN (SELECT a.vuln FROM vuln_ids a WHERE a.id {})", Doc: "any of its ids: id:GHSA-*"},
	{Name: "kev", Type: query.Bool, SQL: "kev", Doc: "known to be exploited"},
	{Name: "fixable", Type: query.Bool, SQL: "fixable", Doc: "a newer version of every package that has it mends it"},
	{Name: "in_use", Aliases: []string{"use"}, Type: query.Enum, Words: useWords, First: 1, SQL: `CASE WHEN used_images > 0 THEN 1 WHEN EXISTS (SELECT 1 FROM package_vulns pv JOIN image_packages ip ON ip.package = pv.package JOIN images i ON i.n = ip.image
		WHERE pv.vuln = vulns.n AND i.watched = 0) THEN 3 ELSE 2 END`, Doc: "whether a package that has it was seen loaded; unknown unless every image that has it was watched"},
	{Name: "running", Type: query.Bool, SQL: "CASE WHEN running_images > 0 THEN 1 ELSE 0 END", Doc: "whether an image that has it runs now"},
	{Name: "status", Type: query.Enum, Words: statusWords, First: 1, SQL: "status", Doc: "what can be done at best: status:unfixed,wont-fix"},
	{Name: "epss", Type: query.Decimal, SQL: "epss", Doc: "probability of exploitation within 30 days, 0 to 1: epss:>=0.5"},
	{Name: "cvss", Type: query.Decimal, SQL: "cvss", Doc: "base score, 0 to 10"},
	{Name: "images", Type: query.Number, SQL: "images", Doc: "how many images have it: images:>=10"},
	{Name: "title", Type: query.Text, Free: true, SQL: "title", Doc: "its title"},
	{Name: "package", Aliases: []string{"pkg"}, Type: query.Text, List: true, Where: "n IN (SELECT pv.vuln FROM packages p JOIN package_vulns pv ON pv.package = p.n WHERE p.name {})", Doc: "a package that has it: package:openssl"},
	{Name: "image", Type: query.Text, List: true, Where: ofImages + "(SELECT i.n FROM images i, json_each(i.names) j WHERE j.value {}))", Doc: "an image that has it: image:*nginx*"},
	{Name: "distro", Type: query.Text, List: true, Where: ofImages + "(SELECT i.n FROM images i WHERE i.distro {}))", Doc: "distribution of an image that has it"},
	{Name: "workload", Type: query.Text, List: true, Where: ofImages + "(SELECT r.image FROM running r WHERE r.ended = 0 AND r.workload {}))", Doc: "a workload that runs it now: workload:payments/*"},
	{Name: "owner", Type: query.Text, List: true, Where: ofImages + "(SELECT r.image FROM running r JOIN workloads w ON w.name = r.workload WHERE r.ended = 0 AND w.owner {}))", Doc: "who answers for a workload that runs it now"},
	{Name: "age", Type: query.Age, SQL: "first_detected", Doc: "since it was first detected anywhere: age:<7d"},
	{Name: "published", Type: query.Time, SQL: "published", Doc: "when it was published: published:>=2026-01-31"},
}}

// Vulnerability is one id over all images.
type Vulnerability struct {
	ID            string
	Aliases       []string
	References    []string
	Title         string
	Severity      int64 // number of a finding.Severity
	CVSS          float64
	Vector        string
	EPSS          *scan.EPSS
	KEV           *scan.KEV
	Fixable       bool
	Status        scan.Status
	Packages      []string // at most 10
	Images        int64
	RunningImages int64
	Workloads     int64
	UsedImages    int64
	FirstDetected int64
	Published     int64
	Rank          float64

	n int64
}

const vulnColumns = `n, id, aliases, refs, title, severity, cvss, vector, epss, percentile, epss_date, kev_entry, fixable, status, images, running_images, used_images, first_detected, published, rank_max`

func scanVuln(scanRow func(...any) error, more ...any) (Vulnerability, error) {
	var v Vulnerability
	var aliases, refs, entry, date string
	var cvss, epss, percentile, fixable, status, rank int64
	if err := scanRow(append([]any{&v.n, &v.ID, &aliases, &refs, &v.Title, &v.Severity, &cvss, &v.Vector, &epss, &percentile, &date, &entry, &fixable, &status,
		&v.Images, &v.RunningImages, &v.UsedImages, &v.FirstDetected, &v.Published, &rank}, more...)...); err != nil {
		return v, err
	}
	v.Aliases, v.References, v.CVSS, v.Fixable, v.Status, v.Rank = texts(aliases), texts(refs), unmicro(cvss), fixable == 1, statusOf(status), unmicro(rank)
	v.EPSS, v.KEV = epssOf(epss, percentile, date), kevOf(entry)
	return v, nil
}

func epssOf(score, percentile int64, date string) *scan.EPSS {
	if score < 0 {
		return nil
	}
	return &scan.EPSS{Score: unmicro(score), Percentile: unmicro(percentile), Date: date}
}

func kevOf(entry string) *scan.KEV {
	if entry == "" {
		return nil
	}
	var k scan.KEV
	if json.Unmarshal([]byte(entry), &k) != nil { // written by kevText only
		return &scan.KEV{}
	}
	return &k
}

// VulnerabilityPage is one page of vulnerabilities.
type VulnerabilityPage struct {
	Vulnerabilities []Vulnerability
	Next            string
	Total           int64
	TotalAll        int64
	Seq             uint64
}

var vulnListing = listing{table: "vulns", all: "images > 0", columns: vulnColumns, schema: &vulnerabilityFields, first: "rank",
	orders: map[string]string{"rank": "rank_max", "severity": "severity", "epss": "epss", "cvss": "cvss", "images": "images", "running": "running_images", "in_use": "used_images", "first_detected": "first_detected", "published": "published", "id": "id"},
	text:   map[string]bool{"id": true}}

// Vulnerabilities lists every vulnerability of any image ever seen; the order is rank
// unless said otherwise.
func (db *DB) Vulnerabilities(ctx context.Context, q ImageQuery) (VulnerabilityPage, error) {
	page := VulnerabilityPage{Seq: db.Seq()}
	var err error
	page.Next, page.Total, page.TotalAll, err = db.page(ctx, &vulnListing, q, func(rows *sql.Rows, at *string) (int64, error) {
		v, err := scanVuln(rows.Scan, at)
		page.Vulnerabilities = append(page.Vulnerabilities, v)
		return v.n, err
	})
	if err != nil {
		return VulnerabilityPage{}, err
	}
	for i := range page.Vulnerabilities {
		if err := db.where(ctx, &page.Vulnerabilities[i]); err != nil {
			return VulnerabilityPage{}, err
		}
	}
	return page, nil
}

// where adds the packages and the number of workloads.
func (db *DB) where(ctx context.Context, v *Vulnerability) error {
	var err error
	if v.Packages, err = db.strings(ctx, "SELECT DISTINCT p.name FROM package_vulns pv JOIN packages p ON p.n = pv.package WHERE pv.vuln = ? ORDER BY p.name LIMIT 10", v.n); err != nil {
		return err
	}
	if v.RunningImages == 0 {
		return nil
	}
	err = db.read.QueryRowContext(ctx, `SELECT COUNT(DISTINCT r.workload) FROM running r WHERE r.ended = 0 AND EXISTS
		(SELECT 1 FROM image_packages ip JOIN package_vulns pv ON pv.package = ip.package AND pv.vuln = ? WHERE ip.image = r.image)`, v.n).Scan(&v.Workloads)
	return db.explain(err)
}

// AffectedImage is an image that has a vulnerability.
type AffectedImage struct {
	Image
	Findings []ImageFinding
	Running  []Running
	Owner    string // "" = unowned
}

// VulnerabilityDetail is one vulnerability and everything that has it.
type VulnerabilityDetail struct {
	Vulnerability
	Affected []AffectedImage // at most maxAffected, running ones first
	Total    int64
	Seq      uint64
}

const maxAffected = 1000

// Vulnerability finds a vulnerability by its id or any alias, over every image ever
// seen. An alias of several, as of an advisory that mends many, gives all that have any of them
// under the most urgent one. The error wraps ErrNotFound when no image has or had it.
func (db *DB) Vulnerability(ctx context.Context, id string) (VulnerabilityDetail, error) {
	d := VulnerabilityDetail{Seq: db.Seq()}
	tx, err := db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return d, db.explain(err)
	}
	defer tx.Rollback()
	up := strings.ToUpper(clean(id))
	rows, err := tx.QueryContext(ctx, "SELECT "+vulnColumns+" FROM vulns WHERE n IN (SELECT vuln FROM vuln_ids WHERE id = ?) ORDER BY CASE WHEN UPPER(id) = ? THEN 0 ELSE 1 END, rank_max DESC, n LIMIT 100", up, up)
	if err != nil {
		return d, db.explain(err)
	}
	var found []Vulnerability
	for rows.Next() {
		v, err := scanVuln(rows.Scan)
		if err != nil {
			rows.Close()
			return d, db.explain(err)
		}
		found = append(found, v)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return d, db.explain(err)
	}
	if len(found) == 0 {
		return d, fmt.Errorf("vulnerability %q: %w", id, ErrNotFound)
	}
	d.Vulnerability = found[0]
	if strings.EqualFold(found[0].ID, id) {
		found = found[:1] // the others only name it
	}
	if err := db.where(ctx, &d.Vulnerability); err != nil {
		return d, err
	}
	marks := strings.TrimSuffix(strings.Repeat("?,", len(found)), ",")
	var args []any
	for i := range found {
		args = append(args, found[i].n)
	}
	images := "(SELECT DISTINCT ip.image FROM package_vulns pv JOIN image_packages ip ON ip.package = pv.package WHERE pv.vuln IN (" + marks + "))"
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+images+" AS x", args...).Scan(&d.Total); err != nil {
		return d, db.explain(err)
	}
	if rows, err = tx.QueryContext(ctx, "SELECT "+imageColumns+" FROM images WHERE n IN "+images+" ORDER BY CASE WHEN running > 0 THEN 0 ELSE 1 END, last_seen DESC, n LIMIT ?", append(slices.Clip(args), maxAffected)...); err != nil {
		return d, db.explain(err)
	}
	for rows.Next() {
		i, err := scanImage(rows.Scan)
		if err != nil {
			rows.Close()
			return d, db.explain(err)
		}
		d.Affected = append(d.Affected, AffectedImage{Image: i})
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return d, db.explain(err)
	}
	find, err := tx.PrepareContext(ctx, affectedQuery)
	if err != nil {
		return d, db.explain(err)
	}
	defer find.Close()
	for i := range d.Affected {
		a := &d.Affected[i]
		for j := range found {
			if err := a.findings(ctx, find, &found[j]); err != nil {
				return d, db.explain(err)
			}
		}
		if err := db.complete(ctx, tx, a); err != nil {
			return d, err
		}
	}
	return d, nil
}

const affectedQuery = `SELECT p.type, p.name, p.version, pv.status, pv.fixed_in, pv.severity, pv.severity_from, pv.cvss, pv.vector, pv.source, pv.detected, ip.visible,
		COALESCE(u.first,0), COALESCE(u.last,0), COALESCE(u.path,'') FROM package_vulns pv CROSS JOIN image_packages ip ON ip.image = ? AND ip.package = pv.package JOIN packages p ON p.n = pv.package
		LEFT JOIN image_use u ON u.image = ip.image AND u.package = ip.package WHERE pv.vuln = ? ORDER BY p.name, p.version`

func (a *AffectedImage) findings(ctx context.Context, query *sql.Stmt, v *Vulnerability) error {
	rows, err := query.QueryContext(ctx, a.n, v.n)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var f ImageFinding
		var status, severity, cvss, visible int64
		if err := rows.Scan(&f.Package.Type, &f.Package.Name, &f.Package.Version, &status, &f.FixedIn, &severity, &f.SeverityFrom, &cvss, &f.Vector, &f.Source, &f.FirstDetected, &visible, &f.Use.First, &f.Use.Last, &f.Use.Path); err != nil {
			return err
		}
		f.ID, f.Aliases, f.Title, f.EPSS, f.KEV, f.Published = v.ID, v.Aliases, v.Title, v.EPSS, v.KEV, v.Published
		f.Status, f.Severity, f.CVSS = statusOf(status), severityOf(severity), unmicro(cvss)
		f.FirstDetected = max(f.FirstDetected, a.FirstSeen)
		f.Package.Layer = -1
		f.Use.Since = a.Watched
		switch {
		case f.Use.Last > 0:
			f.Use.State = scan.Loaded
		case a.Watched == 0:
			f.Use.Reason = "no container of this image has been watched from its start"
		case visible == 0:
			f.Use.Reason = "no file of it is known whose load could be seen"
		default:
			f.Use.State = scan.NotSeen
		}
		f.Rank = match.Rank(&f.Vulnerability)
		a.Findings = append(a.Findings, f)
	}
	return rows.Err()
}

// ImageFinding is a vulnerability of a package of an image; its Package index is
// that of the image's catalogue, -1 where that was not read.
type ImageFinding struct {
	scan.Vulnerability
	Package       scan.Package
	FirstDetected int64
}

type findingRow struct{ *ImageFinding }

func (r findingRow) Text(f *query.Field) string {
	switch f.Name {
	case "package":
		return r.Package.Name
	case "type":
		return string(r.Package.Type)
	case "location":
		return r.Package.Location
	}
	return r.Title
}

func (r findingRow) Texts(*query.Field) []string { return append([]string{r.ID}, r.Aliases...) }

func (r findingRow) Int(f *query.Field) int64 {
	yes := func(b bool) int64 {
		if b {
			return 1
		}
		return 0
	}
	switch f.Name {
	case "severity":
		return int64(r.Severity)
	case "kev":
		return yes(r.KEV != nil)
	case "fixable":
		return yes(r.Fixable())
	case "in_use":
		return useNumber(r.Use)
	case "status":
		return statusNumber(r.Status)
	case "epss":
		score, _, _ := epssColumns(r.EPSS)
		return score
	case "cvss":
		return micro(r.CVSS)
	case "layer":
		return int64(r.Package.Layer)
	}
	return r.FirstDetected
}

func useNumber(u scan.Use) int64 {
	switch u.State {
	case scan.Loaded:
		return 1
	case scan.NotSeen:
		return 2
	}
	return 3
}

// FindingPage is one page of an image's vulnerabilities.
type FindingPage struct {
	Findings        []ImageFinding
	Next            string
	Total, TotalAll int64
}

var findingOrders = map[string]func(a, b *ImageFinding) int{
	"rank":           func(a, b *ImageFinding) int { return cmp.Compare(b.Rank, a.Rank) },
	"severity":       func(a, b *ImageFinding) int { return cmp.Compare(b.Severity, a.Severity) },
	"package":        func(a, b *ImageFinding) int { return strings.Compare(a.Package.Name, b.Package.Name) },
	"first_detected": func(a, b *ImageFinding) int { return cmp.Compare(b.FirstDetected, a.FirstDetected) },
	"cvss":           func(a, b *ImageFinding) int { return cmp.Compare(b.CVSS, a.CVSS) },
	"id":             func(a, b *ImageFinding) int { return strings.Compare(a.ID, b.ID) },
	"epss": func(a, b *ImageFinding) int {
		x, _, _ := epssColumns(a.EPSS)
		y, _, _ := epssColumns(b.EPSS)
		return cmp.Compare(y, x)
	},
}

// ImageVulnerabilities lists the vulnerabilities of one image, once per package and
// version; the order is rank unless said otherwise. The error wraps ErrNotFound.
func (db *DB) ImageVulnerabilities(ctx context.Context, key string, q ImageQuery) (FindingPage, error) {
	var page FindingPage
	all, err := db.Findings(ctx, key)
	if err != nil {
		return page, err
	}
	name, reverse := strings.CutPrefix(q.Order, "-")
	if name == "" {
		name = "rank"
	}
	order, ok := findingOrders[name]
	if !ok {
		return page, fmt.Errorf("%w: %q: cvss, epss, first_detected, id, package, rank, severity", ErrImageOrder, q.Order)
	}
	if q.Now == 0 {
		q.Now = db.opt.Now()
	}
	page.TotalAll = int64(len(all))
	kept := slices.DeleteFunc(all, func(f ImageFinding) bool { return !q.Filter.Match(&findingFields, findingRow{&f}, q.Now) })
	slices.SortStableFunc(kept, func(a, b ImageFinding) int {
		c := order(&a, &b)
		if reverse {
			c = -c
		}
		return c
	})
	page.Total = int64(len(kept))
	page.Findings, page.Next, err = cut("findings "+key+" "+q.Order, kept, q)
	return page, err
}

// cut takes one page out of a list that is made whole each time.
func cut[T any](list string, all []T, q ImageQuery) ([]T, string, error) {
	limit, err := pageSize(q.Limit)
	if err != nil {
		return nil, "", err
	}
	at := int64(0)
	if q.Cursor != "" {
		if at, _, err = readCursor(list, q.Cursor); err != nil {
			return nil, "", err
		}
	}
	if at < 0 || at > int64(len(all)) {
		return nil, "", nil
	}
	all = all[at:]
	if len(all) > limit {
		return all[:limit], cursor(list, at+int64(limit), ""), nil
	}
	return all, "", nil
}

// Findings returns every vulnerability of one image, highest rank first, with what is
// known of use. The error wraps ErrNotFound.
func (db *DB) Findings(ctx context.Context, key string) ([]ImageFinding, error) {
	i, err := db.imageRow(ctx, key)
	if err != nil {
		return nil, err
	}
	c, err := db.catalog(ctx, i.n)
	if err != nil || c == nil {
		return nil, err
	}
	at := map[string]int{}
	for j := range c.Packages {
		p := &c.Packages[j]
		if id := string(ident(distroOf(&c.Distro, p), p)); at[id] == 0 {
			at[id] = j + 1
		}
	}
	view, err := db.view(ctx, i.n)
	if err != nil {
		return nil, err
	}
	rows, err := db.read.QueryContext(ctx, `SELECT p.ident, v.id, v.aliases, v.refs, v.title, v.published, v.modified, v.epss, v.percentile, v.epss_date, v.kev_entry,
		pv.status, pv.fixed_in, pv.severity, pv.severity_from, pv.cvss, pv.vector, pv.source, pv.detected
		FROM image_packages ip JOIN packages p ON p.n = ip.package JOIN package_vulns pv ON pv.package = ip.package JOIN vulns v ON v.n = pv.vuln WHERE ip.image = ? AND ip.counted = 1`, i.n)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	uses := map[int]scan.Use{}
	var out []ImageFinding
	for rows.Next() {
		var f ImageFinding
		var id []byte
		var aliases, refs, date, entry string
		var epss, percentile, status, severity, cvss int64
		if err := rows.Scan(&id, &f.ID, &aliases, &refs, &f.Title, &f.Published, &f.Modified, &epss, &percentile, &date, &entry, &status, &f.FixedIn, &severity, &f.SeverityFrom, &cvss, &f.Vector, &f.Source, &f.FirstDetected); err != nil {
			return nil, db.explain(err)
		}
		n := at[string(id)] - 1
		if n < 0 {
			continue // the image is being replaced under this read
		}
		f.Vulnerability.Package, f.Package = n, c.Packages[n]
		f.Package.Files, f.Package.Dirs = nil, nil
		f.Aliases, f.References = texts(aliases), texts(refs)
		f.EPSS, f.KEV = epssOf(epss, percentile, date), kevOf(entry)
		f.Status, f.Severity, f.CVSS = statusOf(status), severityOf(severity), unmicro(cvss)
		f.FirstDetected = max(f.FirstDetected, i.FirstSeen)
		u, ok := uses[n]
		if !ok {
			u = view.Of(&c.Packages[n])
			uses[n] = u
		}
		f.Use = u
		f.Rank = match.Rank(&f.Vulnerability)
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b ImageFinding) int {
		return cmp.Or(cmp.Compare(b.Rank, a.Rank), cmp.Compare(b.Severity, a.Severity), strings.Compare(a.ID, b.ID), cmp.Compare(a.Vulnerability.Package, b.Vulnerability.Package))
	})
	return out, db.explain(rows.Err())
}

// AffectedBy returns one image with its findings of one vulnerability. The error wraps
// ErrNotFound when there is no such image.
func (db *DB) AffectedBy(ctx context.Context, image, vuln int64) (AffectedImage, error) {
	var a AffectedImage
	tx, err := db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return a, db.explain(err)
	}
	defer tx.Rollback()
	if a.Image, err = scanImage(tx.QueryRowContext(ctx, "SELECT "+imageColumns+" FROM images WHERE n = ?", image).Scan); errors.Is(err, sql.ErrNoRows) {
		return a, fmt.Errorf("image %d: %w", image, ErrNotFound)
	} else if err != nil {
		return a, db.explain(err)
	}
	v, err := scanVuln(tx.QueryRowContext(ctx, "SELECT "+vulnColumns+" FROM vulns WHERE n = ?", vuln).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return a, fmt.Errorf("vulnerability %d: %w", vuln, ErrNotFound)
	} else if err != nil {
		return a, db.explain(err)
	}
	find, err := tx.PrepareContext(ctx, affectedQuery)
	if err != nil {
		return a, db.explain(err)
	}
	defer find.Close()
	if err := a.findings(ctx, find, &v); err != nil {
		return a, db.explain(err)
	}
	return a, db.complete(ctx, tx, &a)
}

// complete adds where an affected image runs and who owns it.
func (db *DB) complete(ctx context.Context, tx *sql.Tx, a *AffectedImage) error {
	a.Owner = a.Image.Owner
	if a.Image.Running == 0 {
		return nil
	}
	var err error
	if a.Running, err = db.containers(ctx, a.n, 100); err != nil {
		return err
	}
	a.Running = slices.DeleteFunc(a.Running, func(r Running) bool { return r.Until != 0 })
	if err := db.workloadsOf(ctx, &a.Image); err != nil {
		return err
	}
	if a.Owner == "" && len(a.Workloads) > 0 {
		err = tx.QueryRowContext(ctx, "SELECT COALESCE(MAX(owner),'') FROM workloads WHERE name = ?", a.Workloads[0]).Scan(&a.Owner)
	}
	return db.explain(err)
}
