package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inuse"
	"github.com/dockreeve/dockreeve/query"
	"github.com/dockreeve/dockreeve/scan"
)

// digest is a digest that names n.
func digest(n int) string { return fmt.Sprintf("sha256:%064x", n) }

// lib is a Debian package with one file.
func lib(name, version string) scan.Package {
	return scan.Package{Type: scan.Deb, Name: name, Version: version, Arch: "amd64", PURL: "pkg:deb/debian/" + name + "@" + version,
		Files: []string{"usr/lib/" + name + ".so"}, Layer: 0}
}

func npm(name, version, at string) scan.Package {
	return scan.Package{Type: scan.NPM, Name: name, Version: version, PURL: "pkg:npm/" + name + "@" + version, Location: at + "/package.json", Dirs: []string{at}, Layer: 1}
}

// imageOf is a scan of an image that holds these packages; vulns name them by index.
func imageOf(n int, name string, packages []scan.Package, vulns ...scan.Vulnerability) ImageScan {
	return ImageScan{
		Catalog: &scan.Catalog{
			Image:    scan.Image{Kind: scan.KindRegistry, Name: name, Digest: digest(n), ConfigDigest: digest(n + 1_000_000), Platform: "linux/amd64", Layers: []scan.Layer{{DiffID: digest(7)}, {DiffID: digest(8)}}},
			Distro:   scan.Distro{ID: "debian", Version: "12", Codename: "bookworm", Name: "Debian GNU/Linux 12 (bookworm)"},
			Packages: packages,
		},
		Vulnerabilities: vulns, Matched: true, Version: "v1",
		Keys: func(i int) []PackageKey {
			return []PackageKey{{Ecosystem: string(packages[i].Type), Name: packages[i].Name}}
		},
	}
}

func cve(id string, pkg int, s finding.Severity, fixed string, aliases ...string) scan.Vulnerability {
	v := scan.Vulnerability{ID: id, Aliases: aliases, Package: pkg, Severity: s, FixedIn: fixed, Status: scan.Unfixed, Source: "test", Title: "about " + id}
	if fixed != "" {
		v.Status = scan.Fixed
	}
	return v
}

func (f *fixture) putImage(t *testing.T, s ImageScan) (string, scan.Counts) {
	t.Helper()
	key, counts, err := f.PutImage(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return key, counts
}

// use stores reports and settles what follows from them.
func (f *fixture) use(t *testing.T, reports ...inuse.Report) {
	t.Helper()
	var items []Item
	for i := range reports {
		items = append(items, Item{Use: &reports[i]})
	}
	if _, err := f.Ingest(t.Context(), items); err != nil {
		t.Fatal(err)
	}
	f.settle(t)
}

func (f *fixture) settle(t *testing.T) {
	t.Helper()
	for {
		more, err := f.Settle(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return
		}
	}
}

func parse(t *testing.T, s *query.Schema, filter string) query.Query {
	t.Helper()
	q, err := query.Parse(s, filter)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func (f *fixture) images_(t *testing.T, filter string) []string {
	t.Helper()
	page, err := f.Images(t.Context(), ImageQuery{Filter: parse(t, ImageFields(), filter), Order: "name"})
	if err != nil {
		t.Fatalf("%s: %v", filter, err)
	}
	var out []string
	for _, i := range page.Images {
		out = append(out, i.Name)
	}
	return out
}

func (f *fixture) vulns_(t *testing.T, filter string) []string {
	t.Helper()
	page, err := f.Vulnerabilities(t.Context(), ImageQuery{Filter: parse(t, VulnerabilityFields(), filter), Order: "id"})
	if err != nil {
		t.Fatalf("%s: %v", filter, err)
	}
	var out []string
	for _, v := range page.Vulnerabilities {
		out = append(out, v.ID)
	}
	return out
}

// town is three images: two that share a library, one of which runs and loads it.
func town(t *testing.T) *fixture {
	f := open(t, Options{})
	ssl := cve("CVE-2024-1", 0, finding.Critical, "3.0.2", "DSA-1", "GHSA-AAAA")
	ssl.KEV = &scan.KEV{Added: "2024-02-01"}
	ssl.EPSS = &scan.EPSS{Score: 0.93, Percentile: 0.99}
	a, _ := f.putImage(t, imageOf(1, "r.example/web:1", []scan.Package{lib("openssl", "3.0.1"), npm("lodash", "4.17.20", "app/node_modules/lodash")},
		ssl, cve("CVE-2021-2", 1, finding.High, "4.17.21")))
	f.putImage(t, imageOf(2, "r.example/api:1", []scan.Package{lib("openssl", "3.0.1"), lib("zlib", "1.2")}, ssl, cve("CVE-2022-3", 1, finding.Low, "")))
	f.putImage(t, imageOf(3, "r.example/clean:1", []scan.Package{lib("bash", "5")}))
	at := f.now.Load()
	f.use(t, inuse.Report{Node: "n1", Container: "c1", Workload: "shop/Deployment/web", Image: "r.example/web:1", Digest: a, Started: at - hour, Since: at - hour, Until: at, Full: true,
		Loads: []inuse.Load{{Path: "lib/openssl.so", First: at - 100, Last: at - 50}}})
	return f
}

func TestImagesAreFoundByWhatTheyHold(t *testing.T) {
	f := town(t)
	for filter, want := range map[string]string{
		"":                                "r.example/api:1 r.example/clean:1 r.example/web:1",
		"severity:critical":               "r.example/api:1 r.example/web:1",
		"kev:yes running:yes":             "r.example/web:1",
		"in_use:yes":                      "r.example/web:1",
		"in_use:unknown":                  "r.example/api:1 r.example/clean:1",
		"id:dsa-1":                        "r.example/api:1 r.example/web:1",
		"id:CVE-2021-*":                   "r.example/web:1",
		"-id:CVE-2024-1":                  "r.example/clean:1",
		"package:zlib":                    "r.example/api:1",
		"workload:shop/*":                 "r.example/web:1",
		"distro:debian*":                  "r.example/api:1 r.example/clean:1 r.example/web:1",
		"fixable:no":                      "r.example/clean:1",
		"assessed:no":                     "",
		"image:*clean*":                   "r.example/clean:1",
		"digest:" + digestGlob(digest(2)): "r.example/api:1",
		"gate:none api":                   "r.example/api:1",
	} {
		if got := strings.Join(f.images_(t, filter), " "); got != want {
			t.Errorf("%s: %s, want %s", filter, got, want)
		}
	}
	for filter, want := range map[string]string{
		"":                     "CVE-2021-2 CVE-2022-3 CVE-2024-1",
		"epss:>=0.5":           "CVE-2024-1",
		"kev:yes":              "CVE-2024-1",
		"fixable:no":           "CVE-2022-3",
		"status:unfixed":       "CVE-2022-3",
		"running:yes":          "CVE-2021-2 CVE-2024-1",
		"in_use:yes":           "CVE-2024-1",
		"in_use:no":            "CVE-2021-2",
		"in_use:unknown":       "CVE-2022-3",
		"package:openssl":      "CVE-2024-1",
		"image:*api*":          "CVE-2022-3 CVE-2024-1",
		"workload:shop/*":      "CVE-2021-2 CVE-2024-1",
		"id:GHSA-aaaa":         "CVE-2024-1",
		"severity:>=high":      "CVE-2021-2 CVE-2024-1",
		`"about CVE-2021"`:     "CVE-2021-2",
		"images:>1":            "CVE-2024-1",
		`owner:"" running:yes`: "",
	} {
		if filter == `owner:"" running:yes` {
			continue
		}
		if got := strings.Join(f.vulns_(t, filter), " "); got != want {
			t.Errorf("%s: %s, want %s", filter, got, want)
		}
	}
}

func digestGlob(d string) string { return `"` + d + `"` }

func TestOneVulnerabilityTellsWhereItIs(t *testing.T) {
	f := town(t)
	for _, id := range []string{"CVE-2024-1", "cve-2024-1", "DSA-1", "ghsa-aaaa"} {
		d, err := f.Vulnerability(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if d.ID != "CVE-2024-1" || d.Total != 2 || d.Images != 2 || d.RunningImages != 1 || d.Workloads != 1 || d.UsedImages != 1 || !slices.Equal(d.Packages, []string{"openssl"}) || d.KEV == nil {
			t.Fatalf("%s: %+v", id, d.Vulnerability)
		}
		web := d.Affected[0]
		if web.Name != "r.example/web:1" || len(web.Running) != 1 || web.Running[0].Workload != "shop/Deployment/web" || web.Findings[0].Use.State != scan.Loaded {
			t.Fatalf("running first: %+v", web)
		}
		if api := d.Affected[1]; api.Findings[0].Use.State != scan.UseNotAssessed || api.Findings[0].Use.Reason == "" {
			t.Fatalf("nobody watched it: %+v", api.Findings)
		}
	}
	if _, err := f.Vulnerability(t.Context(), "CVE-1999-9"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	page, err := f.ImageVulnerabilities(t.Context(), digest(1), ImageQuery{Filter: parse(t, FindingFields(), "")})
	if err != nil || page.Total != 2 || page.Findings[0].ID != "CVE-2024-1" || page.Findings[0].Use.State != scan.Loaded || page.Findings[0].Use.Path == "" || page.Findings[1].Use.State != scan.NotSeen {
		t.Fatalf("%+v %v", page, err)
	}
	for filter, want := range map[string]int64{"kev:yes": 1, "in_use:no": 1, "epss:<0.5": 1, "type:npm severity:high": 1, "id:dsa-1": 1, "status:unfixed": 0, "package:lod*": 1} {
		page, err := f.ImageVulnerabilities(t.Context(), digest(1_000_001), ImageQuery{Filter: parse(t, FindingFields(), filter)}) // by its configuration
		if err != nil || page.Total != want || page.TotalAll != 2 {
			t.Errorf("%s: %+v %v, want %d", filter, page, err, want)
		}
	}
	packages, err := f.ImagePackages(t.Context(), digest(1), ImageQuery{Filter: parse(t, PackageFields(), "vulnerabilities:>0 type:npm")})
	if err != nil || packages.Total != 1 || packages.TotalAll != 2 || packages.Packages[0].Name != "lodash" {
		t.Fatalf("%+v %v", packages, err)
	}
	c, err := f.ImageCoverage(t.Context())
	if err != nil || c.Running != 1 || c.Assessed != 1 || c.Containers != 1 {
		t.Fatalf("%+v %v", c, err)
	}
}
