package store

import (
	"context"
	"slices"

	"github.com/dockreeve/dockreeve/query"
	"github.com/dockreeve/dockreeve/scan"
)

// PackageFields is what a filter of one image's packages may name.
func PackageFields() *query.Schema { return &packageFields }

var packageFields = query.Schema{Fields: []query.Field{
	{Name: "package", Aliases: []string{"name", "pkg"}, Type: query.Text, Free: true, Doc: "its name: package:lib*"},
	{Name: "version", Type: query.Text, Free: true, Doc: "its version"},
	{Name: "type", Type: query.Text, Doc: "deb, apk, rpm, npm, golang…"},
	{Name: "licence", Aliases: []string{"license"}, Type: query.Text, List: true, Doc: "a licence it names: licence:GPL*"},
	{Name: "location", Type: query.Text, Free: true, Doc: "file it was read from"},
	{Name: "layer", Type: query.Number, Doc: "layer that brought it, lowest is 0"},
	{Name: "in_use", Aliases: []string{"use"}, Type: query.Enum, Words: useWords, First: 1, Doc: "whether it was seen loaded; unknown where nobody watched"},
	{Name: "vulnerabilities", Aliases: []string{"vulns"}, Type: query.Number, Doc: "how many it has: vulnerabilities:>0"},
}}

// ImagePackage is one package of an image.
type ImagePackage struct {
	scan.Package
	Use             scan.Use
	Vulnerabilities int64
}

type packageRow struct{ *ImagePackage }

func (r packageRow) Text(f *query.Field) string {
	switch f.Name {
	case "package":
		return r.Name
	case "version":
		return r.Version
	case "type":
		return string(r.Type)
	}
	return r.Location
}

func (r packageRow) Texts(*query.Field) []string { return r.Licenses }

func (r packageRow) Int(f *query.Field) int64 {
	switch f.Name {
	case "layer":
		return int64(r.Layer)
	case "in_use":
		return useNumber(r.Use)
	}
	return r.Vulnerabilities
}

// PackagePage is one page of an image's packages.
type PackagePage struct {
	Packages        []ImagePackage
	Next            string
	Total, TotalAll int64
}

// ImagePackages lists the packages of one image in the order of its catalogue. The
// error wraps ErrNotFound.
func (db *DB) ImagePackages(ctx context.Context, key string, q ImageQuery) (PackagePage, error) {
	var page PackagePage
	i, err := db.imageRow(ctx, key)
	if err != nil {
		return page, err
	}
	c, err := db.catalog(ctx, i.n)
	if err != nil || c == nil {
		return page, err
	}
	view, err := db.view(ctx, i.n)
	if err != nil {
		return page, err
	}
	rows, err := db.read.QueryContext(ctx, "SELECT p.ident, COUNT(*) FROM image_packages ip JOIN packages p ON p.n = ip.package JOIN package_vulns pv ON pv.package = p.n WHERE ip.image = ? GROUP BY p.n, p.ident", i.n)
	if err != nil {
		return page, db.explain(err)
	}
	defer rows.Close()
	vulns := map[string]int64{}
	for rows.Next() {
		var id []byte
		var n int64
		if err := rows.Scan(&id, &n); err != nil {
			return page, db.explain(err)
		}
		vulns[string(id)] = n
	}
	if err := rows.Err(); err != nil {
		return page, db.explain(err)
	}
	if q.Now == 0 {
		q.Now = db.opt.Now()
	}
	var kept []ImagePackage
	for j := range c.Packages {
		p := ImagePackage{Package: c.Packages[j], Use: view.Of(&c.Packages[j])}
		p.Vulnerabilities = vulns[string(ident(distroOf(&c.Distro, &p.Package), &p.Package))]
		p.Files, p.Dirs = nil, nil
		if q.Filter.Match(&packageFields, packageRow{&p}, q.Now) {
			kept = append(kept, p)
		}
	}
	page.Total, page.TotalAll = int64(len(kept)), int64(len(c.Packages))
	page.Packages, page.Next, err = cut("packages "+key, slices.Clip(kept), q)
	return page, err
}
