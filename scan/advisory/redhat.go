package advisory

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/google/osv-scalibr/semantic"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// Bounds of one VEX document. Red Hat's largest had 94 MB in 2026, nearly all of it
// products.
const (
	maxVEX      = 256 << 20
	maxProducts = 2_000_000
)

// vexProduct is one product of a CSAF product tree: a product with a CPE, or a package
// with a package URL.
type vexProduct struct {
	cpe, purl, name string
}

// vexLink says that one product is a part of another.
type vexLink struct{ part, whole string }

type vexBranch struct {
	ID     string `json:"product_id"`
	Name   string `json:"name"`
	Helper struct {
		CPE  string `json:"cpe"`
		PURL string `json:"purl"`
	} `json:"product_identification_helper"`
}

// vexDocument is a CSAF document while it is read.
type vexDocument struct {
	id       string
	severity finding.Severity
	created  int64
	changed  int64
	products map[string]vexProduct
	links    map[string]vexLink
	issues   []*vexIssue
}

type vexIssue struct {
	cve    string
	title  string
	vector string
	score  float64
	rated  finding.Severity
	refs   []string
	status map[string][]string // product status → product ids
	// no says why a product gets no fix.
	no map[string]scan.Status
}

// readVEX reads one CSAF document of Red Hat: a VEX file about one CVE, or an advisory
// about several. Documents come one by one, so they are merged by their id.
func (b *builder) readVEX(name string, in io.Reader) error {
	doc := &vexDocument{products: map[string]vexProduct{}, links: map[string]vexLink{}}
	d := newJSON(io.LimitReader(in, maxVEX), 4<<20)
	if err := doc.read(d); err != nil {
		return &badRecord{name, err}
	}
	if len(doc.issues) == 0 {
		return &badRecord{name, errors.New("it speaks of no vulnerability")}
	}
	c := b.feed(feedRedHat)
	for _, v := range doc.issues {
		r, err := doc.record(v)
		if err != nil {
			return &badRecord{name, err}
		}
		if len(r.Affected) == 0 {
			// Nothing that is installed as a package: what an earlier version of the
			// document said of packages does not hold any more.
			c.touch(r.ID)
			continue
		}
		if err := b.add(feedRedHat, r); err != nil {
			return err
		}
	}
	return nil
}

func (doc *vexDocument) read(d *jsonReader) error {
	return d.object(func(key string) error {
		switch key {
		case "document":
			var v struct {
				Severity struct {
					Text string `json:"text"`
				} `json:"aggregate_severity"`
				Tracking struct {
					ID      string `json:"id"`
					Created string `json:"initial_release_date"`
					Changed string `json:"current_release_date"`
				} `json:"tracking"`
			}
			if err := d.value(&v); err != nil {
				return err
			}
			doc.id, doc.severity = v.Tracking.ID, severityOf(v.Severity.Text)
			doc.created, doc.changed = parseTime(v.Tracking.Created), parseTime(v.Tracking.Changed)
			return nil
		case "product_tree":
			return d.object(func(key string) error {
				switch key {
				case "branches":
					return doc.branches(d, 0)
				case "full_product_names":
					return d.array(func(int) error { return doc.product(d) })
				case "relationships":
					return d.array(func(int) error {
						var v struct {
							Full struct {
								ID string `json:"product_id"`
							} `json:"full_product_name"`
							Part  string `json:"product_reference"`
							Whole string `json:"relates_to_product_reference"`
						}
						if err := d.value(&v); err != nil {
							return err
						}
						doc.links[v.Full.ID] = vexLink{v.Part, v.Whole}
						return doc.bound()
					})
				}
				return d.skip()
			})
		case "vulnerabilities":
			return d.array(func(int) error {
				v, err := readIssue(d)
				if len(doc.issues) >= 2000 {
					return errors.New("more than 2000 vulnerabilities")
				}
				doc.issues = append(doc.issues, v)
				return err
			})
		}
		return d.skip()
	})
}

func (doc *vexDocument) bound() error {
	if len(doc.products)+len(doc.links) > maxProducts {
		return fmt.Errorf("more than %d products", maxProducts)
	}
	return nil
}

func (doc *vexDocument) product(d *jsonReader) error {
	var p vexBranch
	if err := d.value(&p); err != nil {
		return err
	}
	doc.products[p.ID] = vexProduct{cpe: p.Helper.CPE, purl: p.Helper.PURL, name: p.Name}
	return doc.bound()
}

func (doc *vexDocument) branches(d *jsonReader, depth int) error {
	if depth > 30 {
		return errors.New("product tree more than 30 deep")
	}
	return d.array(func(int) error {
		return d.object(func(key string) error {
			switch key {
			case "branches":
				return doc.branches(d, depth+1)
			case "product":
				return doc.product(d)
			}
			return d.skip()
		})
	})
}

func readIssue(d *jsonReader) (*vexIssue, error) {
	v := &vexIssue{status: map[string][]string{}, no: map[string]scan.Status{}}
	products := 0
	err := d.object(func(key string) error {
		switch key {
		case "cve":
			return d.value(&v.cve)
		case "title":
			return d.value(&v.title)
		case "references":
			return d.array(func(int) error {
				var r struct {
					URL string `json:"url"`
				}
				err := d.value(&r)
				if len(v.refs) < 100 {
					v.refs = append(v.refs, r.URL)
				}
				return err
			})
		case "scores":
			return d.array(func(int) error {
				var s struct {
					V3 struct {
						Vector string `json:"vectorString"`
					} `json:"cvss_v3"`
					V4 struct {
						Vector string `json:"vectorString"`
					} `json:"cvss_v4"`
				}
				err := d.value(&s)
				for _, vector := range []string{s.V4.Vector, s.V3.Vector} {
					if score, ok := cvss(vector); ok && vector != "" && len(vector) < 300 && v.vector == "" {
						v.vector, v.score = vector, score
					}
				}
				return err
			})
		case "threats":
			return d.array(func(int) error {
				var t struct {
					Category string `json:"category"`
					Details  string `json:"details"`
				}
				err := d.value(&t)
				if t.Category == "impact" {
					v.rated = max(v.rated, severityOf(t.Details))
				}
				return err
			})
		case "remediations":
			return d.array(func(int) error {
				var r struct {
					Category string   `json:"category"`
					Details  string   `json:"details"`
					Products []string `json:"product_ids"`
				}
				if err := d.value(&r); err != nil {
					return err
				}
				status, ok := noFix(r.Category, r.Details)
				if !ok {
					return nil
				}
				for _, p := range r.Products {
					v.no[p] = status
				}
				return nil
			})
		case "product_status":
			return d.object(func(status string) error {
				return d.array(func(int) error {
					var id string
					if err := d.value(&id); err != nil {
						return err
					}
					if products++; products > maxProducts {
						return fmt.Errorf("more than %d product statuses", maxProducts)
					}
					v.status[status] = append(v.status[status], id)
					return nil
				})
			})
		}
		return d.skip()
	})
	return v, err
}

// noFix reads what Red Hat says of a product that has no fix.
func noFix(category, details string) (scan.Status, bool) {
	details = strings.ToLower(details)
	switch category {
	case "no_fix_planned":
		if strings.Contains(details, "out of support") {
			return scan.EndOfLife, true
		}
		return scan.WontFix, true
	case "none_available":
		if strings.Contains(details, "defer") {
			return scan.Deferred, true
		}
		return scan.Unfixed, true
	}
	return "", false
}

// resolve finds the package and the product that a product id speaks of. ok is false
// for what is no rpm of a product with a CPE, such as container images.
func (doc *vexDocument) resolve(id string) (a Affected, version string, ok bool) {
	link, found := doc.links[id]
	if !found {
		return a, "", false
	}
	whole := doc.products[link.whole]
	if up, nested := doc.links[link.whole]; nested {
		// A package of a module of a product.
		if p := doc.products[up.part]; strings.HasPrefix(p.purl, "pkg:rpmmod/") {
			a.Module = moduleOf(strings.TrimPrefix(p.purl, "pkg:rpmmod/"))
		} else {
			a.Module = moduleOf(p.name)
		}
		whole = doc.products[up.whole]
	}
	eco, ok := cpeEcosystem(whole.cpe)
	if !ok {
		return a, "", false
	}
	a.Ecosystem = eco
	name, version, module, ok := rpmPURL(doc.products[link.part])
	a.Name = name
	if module != "" {
		a.Module = module
	}
	return a, version, ok
}

// cpeEcosystem turns cpe:/o:redhat:enterprise_linux:9::baseos into an ecosystem.
func cpeEcosystem(cpe string) (string, bool) {
	rest, ok := strings.CutPrefix(cpe, "cpe:/")
	if !ok {
		return "", false
	}
	f := strings.Split(rest, ":")
	if len(f) < 4 || f[1] != "redhat" || f[2] == "" || f[3] == "" {
		if len(f) == 3 && f[1] == "redhat" && f[2] != "" {
			return "Red Hat:" + f[2], true
		}
		return "", false
	}
	return Ecosystem("Red Hat:" + f[2] + ":" + f[3]), true
}

// rpmPURL reads name, version and module of an rpm from its package URL.
func rpmPURL(p vexProduct) (name, version, module string, ok bool) {
	if rest, mod := strings.CutPrefix(p.purl, "pkg:rpmmod/redhat/"); mod {
		// An unfixed package of a module: pkg:rpmmod/redhat/nodejs:18/nodejs
		m, n, found := strings.Cut(rest, "/")
		n, _, _ = strings.Cut(n, "?")
		return n, "", moduleOf(m), found && n != ""
	}
	rest, ok := strings.CutPrefix(p.purl, "pkg:rpm/")
	if !ok {
		return "", "", "", false
	}
	rest, query, _ := strings.Cut(rest, "?")
	rest, version, _ = strings.Cut(rest, "@")
	name, err := url.PathUnescape(rest[strings.LastIndexByte(rest, '/')+1:])
	if err != nil || name == "" {
		return "", "", "", false
	}
	if version, err = url.PathUnescape(version); err != nil {
		return "", "", "", false
	}
	values, err := url.ParseQuery(strings.ReplaceAll(query, "+", "%2B"))
	if err != nil {
		return "", "", "", false
	}
	if e := values.Get("epoch"); e != "" && e != "0" && version != "" {
		version = e + ":" + version
	}
	if m := values.Get("rpmmod"); m != "" {
		module = moduleOf(m)
	}
	return name, version, module, true
}

// moduleOf cuts name:stream out of name:stream:version:context, also where the purl
// puts an @ or a path around it.
func moduleOf(s string) string {
	s, _, _ = strings.Cut(s, "?")
	s = strings.Replace(s[strings.LastIndexByte(s, '/')+1:], "@", ":", 1)
	f := strings.Split(s, ":")
	if len(f) < 2 {
		return ""
	}
	return f[0] + ":" + f[1]
}

// record turns what a document says of one CVE into a Record.
func (doc *vexDocument) record(v *vexIssue) (*Record, error) {
	if !IsCVE(v.cve) {
		return nil, fmt.Errorf("%q is no CVE", clip(v.cve, 40))
	}
	r := &Record{
		ID: v.cve, Title: v.title, Vector: v.vector, CVSS: v.score, Severity: v.rated,
		Published: doc.created, Modified: doc.changed,
		References: append([]string{"https://access.redhat.com/security/cve/" + v.cve}, v.refs...),
	}
	if r.Severity == finding.SeverityNone {
		r.Severity = doc.severity
	}
	type key struct{ ecosystem, name, module string }
	said := map[key]*Affected{}
	// The surest word comes first: what is fixed is not said to be unfixed again.
	for _, status := range []string{"fixed", "known_affected", "under_investigation", "known_not_affected"} {
		for _, id := range v.status[status] {
			a, version, ok := doc.resolve(id)
			if !ok {
				continue
			}
			k := key{a.Ecosystem, a.Name, a.Module}
			old := said[k]
			switch status {
			case "fixed":
				if version == "" {
					continue
				}
				if old != nil {
					// One stream may have been fixed more than once: the first fix counts.
					if n, err := semantic.ParseRedHatVersion(version).CompareStr(old.Ranges[0].Fixed); err == nil && n < 0 {
						old.Ranges[0].Fixed = version
					}
					continue
				}
				a.Ranges = []Range{{Fixed: version}}
			case "known_affected":
				a.Ranges, a.Status = []Range{{}}, scan.Unfixed
				if s, ok := v.no[id]; ok {
					a.Status = s
				}
			case "under_investigation":
				a.Ranges, a.Status = []Range{{}}, scan.UnderReview
			case "known_not_affected":
				a.NotAffected = true
			}
			if old == nil {
				said[k] = &a
			}
		}
	}
	for _, a := range said {
		r.Affected = append(r.Affected, *a)
	}
	slices.SortFunc(r.Affected, func(a, b Affected) int {
		return strings.Compare(a.Ecosystem+"\x00"+a.Name+"\x00"+a.Module, b.Ecosystem+"\x00"+b.Name+"\x00"+b.Module)
	})
	return r, nil
}
