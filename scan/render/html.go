package render

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"net/url"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

//go:embed page.html
var page string

// htmlRows bounds the rows of one table, so that a browser can show the page.
const htmlRows = 3000

// HTML writes the report as one page that needs nothing else: no script, no request, a
// policy in the page that forbids both. It follows the reader's light or dark setting
// and prints. Escaping is html/template's, of text made safe by plain before.
func HTML(w io.Writer, r *scan.Report, o Options) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"plain": plain, "gap": gapLine,
	}).Parse(page)
	if err != nil {
		return fmt.Errorf("write HTML: %w", err)
	}
	if err := t.Execute(w, pageOf(r, o)); err != nil {
		return fmt.Errorf("write HTML: %w", err)
	}
	return nil
}

type (
	htmlPage struct {
		Report                       *scan.Report
		Name, Distro, Advisories     string
		Base, Suppressed, Made, Tool string
		Assessed                     bool
		Facts                        []htmlFact
		Totals                       []string
		Failed                       []string
		Severities                   []htmlCount
		Cards                        []htmlCard
		Groups                       []htmlGroup
		Secrets, Config, Malware     []htmlRow
		Taken                        []htmlTaken
		Licences                     []htmlCount
		LicencesNote                 string
	}
	htmlFact  struct{ Name, Value string }
	htmlCount struct {
		Name  string
		N, Of int
		Share float64
	}
	htmlCard  struct{ Value, Of, Name string }
	htmlGroup struct {
		Title, Note string
		Rows        []htmlVulnerability
		More        int
	}
	htmlVulnerability struct {
		Severity, ID, Link, Package, Version, Fix, Use, Title, EPSS, Path string
		KEV, Fixable, Loaded                                              bool
	}
	htmlRow   struct{ Severity, What, Where, Note, Layer string }
	htmlTaken struct{ ID, Package, By, Reason, Until string }
)

func pageOf(r *scan.Report, o Options) *htmlPage {
	p := &htmlPage{Report: r, Name: plain(subject(&r.Image)), Distro: plain(distroName(r.Distro)), Advisories: plain(advisories(r.Database, o.Now)),
		Assessed: r.Database.Built != 0}
	if o.Now != 0 {
		p.Made = day(o.Now)
	}
	p.Tool = plain(strings.TrimSpace("Dockreeve " + o.Version))
	if r.Base != nil {
		p.Base = plain(baseLine(r))
	}
	fact := func(name, value string) {
		if value != "" {
			p.Facts = append(p.Facts, htmlFact{name, plain(value)})
		}
	}
	fact("Image", r.Image.Name)
	fact("Digest", r.Image.Digest)
	fact("Config digest", r.Image.ConfigDigest)
	fact("Platform", r.Image.Platform)
	fact("Distribution", distroName(r.Distro))
	fact("Packages", fmt.Sprint(len(r.Packages)))
	if n := len(r.Image.Layers); n > 0 {
		fact("Layers", fmt.Sprint(n))
	}
	fact("Advisories", advisories(r.Database, o.Now))
	for _, s := range totals(r) {
		p.Totals = append(p.Totals, plain(s))
	}
	for _, f := range o.Failed {
		p.Failed = append(p.Failed, plain(f))
	}
	c := scan.Count(r)
	for _, s := range []htmlCount{{Name: "critical", N: c.Critical}, {Name: "high", N: c.High}, {Name: "medium", N: c.Medium}, {Name: "low", N: c.Low}, {Name: "unrated", N: c.Unrated}} {
		s.Of = c.Total
		if c.Total > 0 {
			s.Share = float64(s.N) / float64(c.Total) * 100
		}
		p.Severities = append(p.Severities, s)
	}
	of := fmt.Sprintf("of %d", c.Total)
	inUse := htmlCard{fmt.Sprint(c.InUse), of, "seen loaded"}
	if !watched(r) {
		inUse = htmlCard{"–", "not assessed", "in use"}
	}
	p.Cards = []htmlCard{{fmt.Sprint(c.Total), fmt.Sprintf("in %d of %s", hit(r), plural(len(r.Packages), "package", "packages")), "vulnerabilities"},
		{fmt.Sprint(c.KEV), of, "known to be exploited"}, {fmt.Sprint(c.Fixable), of, "with a fix"}, inUse}
	for _, g := range groups(r) {
		p.Groups = append(p.Groups, htmlGroupOf(r, g, o))
	}
	for i := range r.Secrets {
		s := &r.Secrets[i]
		p.Secrets = append(p.Secrets, htmlRow{severityWord(s.Severity), plain(s.Title), plain(secretPlace(s)), plain("begins " + s.Redacted), plain(layerName(r, s.Layer))})
	}
	for i := range r.Config {
		m := &r.Config[i]
		p.Config = append(p.Config, htmlRow{severityWord(m.Severity), plain(m.Title), plain(strings.TrimSpace(m.Path + " " + m.Detail)), plain(m.Remedy), plain(layerName(r, m.Layer))})
	}
	for _, m := range r.Malware {
		p.Malware = append(p.Malware, htmlRow{"critical", plain(m.Name), plain(m.Path), plain("list: " + m.List), plain(layerName(r, m.Layer))})
	}
	if len(r.Suppressed) > 0 {
		p.Suppressed = fmt.Sprintf("%d of %d", len(r.Suppressed), len(r.Suppressed)+len(r.Vulnerabilities))
		for i := range r.Suppressed {
			s := &r.Suppressed[i]
			p.Taken = append(p.Taken, htmlTaken{plain(s.ID), plain(pkg(r, &s.Vulnerability).Name), plain(s.By), plain(s.Reason), plain(s.Until)})
		}
	}
	if !o.Licences {
		return p
	}
	counts, none := licenceCounts(r)
	for i, l := range counts {
		if i == 200 {
			break
		}
		p.Licences = append(p.Licences, htmlCount{Name: plain(clip(l.name, 100)), N: l.n})
	}
	p.LicencesNote = fmt.Sprintf("named by %d of %s", len(r.Packages)-none, plural(len(r.Packages), "package", "packages"))
	return p
}

// hit is how many packages have a vulnerability.
func hit(r *scan.Report) int {
	m := map[int]bool{}
	for i := range r.Vulnerabilities {
		m[r.Vulnerabilities[i].Package] = true
	}
	return len(m)
}

func watched(r *scan.Report) bool {
	for i := range r.Vulnerabilities {
		if r.Vulnerabilities[i].Use.Since != 0 {
			return true
		}
	}
	return false
}

func htmlGroupOf(r *scan.Report, g *group, o Options) htmlGroup {
	out := htmlGroup{Title: plain(g.kind + " packages"), Note: fmt.Sprintf("%s among %s", plural(len(g.rows), "vulnerability", "vulnerabilities"), plural(g.packages, "package", "packages"))}
	if g.target != "" {
		out.Title = plain(g.target) + " · " + out.Title
	}
	rows := g.rows
	if len(rows) > htmlRows && !o.All {
		out.More = len(rows) - htmlRows
		rows = rows[:htmlRows]
	}
	for _, v := range rows {
		p := pkg(r, v)
		row := htmlVulnerability{Severity: severityWord(v.Severity), ID: plain(v.ID), Package: plain(p.Name), Version: plain(p.Version), Fix: plain(fixWord(v)),
			Use: useWord(v.Use), Title: plain(v.Title), KEV: v.KEV != nil, Fixable: v.Fixable(), Loaded: v.Use.State == scan.Loaded, Path: plain(p.Location)}
		if v.EPSS != nil {
			row.EPSS = fmt.Sprintf("%.1f%%", 100*v.EPSS.Score)
		}
		for _, ref := range v.References {
			if u, err := url.Parse(ref); err == nil && u.Scheme == "https" && u.Host != "" {
				row.Link = u.String()
				break
			}
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}
