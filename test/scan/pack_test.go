package scan_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/dockreeve/dockreeve/test/need"
	"github.com/dockreeve/dockreeve/test/testimage"
)

func skipShared(t testing.TB, why string) {
	t.Helper()
	need.Skip(t, need.Shared, why)
}

// eachRecord visits the JSON documents of a zip.
func eachRecord(t testing.TB, file string, visit func(doc []byte)) {
	t.Helper()
	z := must(zip.OpenReader(file))(t)
	defer z.Close()
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, ".json") {
			continue
		}
		rc := must(f.Open())(t)
		b := must(io.ReadAll(rc))(t)
		rc.Close()
		visit(b)
	}
}

// TestPackAgainstDpkg scans an image of hundreds of Debian packages whose versions stand
// around what the real advisories call fixed, and asks dpkg about each.
func TestPackAgainstDpkg(t *testing.T) {
	dir := pack()
	if dir == "" {
		skipShared(t, "no advisory pack at DOCKREEVE_ADVISORIES (default ../shared/advisories)")
	}
	zip := filepath.Join(dir, "osv/Debian/all.zip")
	type claim struct{ id, fixed string }
	fixes := map[string]map[string][]string{}
	eachRecord(t, zip, func(doc []byte) { readFixes(t, doc, fixes) })
	claims := map[string][]claim{}
	for source, at := range fixes {
		for fixed, ids := range at {
			for _, id := range ids {
				claims[source] = append(claims[source], claim{id, fixed})
			}
		}
		slices.SortFunc(claims[source], func(a, b claim) int { return strings.Compare(a.id, b.id) })
	}
	names := make([]string, 0, len(claims))
	for n, c := range claims {
		if len(c) <= 40 {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	order := debOrder{}
	var status bytes.Buffer
	var want []string
	n := 0
	for i := 0; i < len(names) && n < 400; i += max(1, len(names)/400) {
		source := names[i]
		version := claims[source][i%len(claims[source])].fixed
		switch i % 3 {
		case 1:
			version += "~"
		case 2:
			version += "+b1"
		}
		n++
		// The binary package has a name and a version of its own; the source decides.
		binary := "lib" + source + "-bin"
		fmt.Fprintf(&status, "Package: %s\nStatus: install ok installed\nArchitecture: amd64\nSource: %s (%s)\nVersion: 99:1\nMaintainer: a <a@debian.org>\nDescription: x\n\n", binary, source, version)
		for _, c := range claims[source] {
			if order.older(t, version, c.fixed) {
				want = append(want, strings.Join([]string{"deb", binary, "99:1", c.id, "fixed", c.fixed}, " "))
			}
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)
	h := newHome(t)
	h.importing(zip)
	img := must(testimage.Of(v1.Config{}, []testimage.File{{Name: "etc/os-release", Body: "ID=debian\nVERSION_ID=\"12\"\n"}, {Name: "var/lib/dpkg/status", Body: status.String()}}))(t)
	x := h.scan(0, "--max-db-age", "0", dockerArchive(t, h.path("a.tar"), "example.test/pack:1", img))
	var have []string
	for _, v := range x.Vulnerabilities {
		p := x.Packages[v.Package]
		have = append(have, strings.Join([]string{p.Type, p.Name, p.Version, v.ID, v.Status, v.FixedIn}, " "))
	}
	slices.Sort(have)
	if len(want) < 500 {
		t.Fatalf("dpkg finds only %d", len(want))
	}
	t.Logf("%d packages, %d findings, %d comparisons by dpkg", n, len(want), len(order))
	same(t, "real advisories", slices.Compact(have), want)
}

// TestRealImageAndRealAdvisories scans the real image with the advisories of the pack.
// What they say of the old modules and packages in it is known by hand.
func TestRealImageAndRealAdvisories(t *testing.T) {
	dir := pack()
	if dir == "" {
		skipShared(t, "no advisory pack at DOCKREEVE_ADVISORIES (default ../shared/advisories)")
	}
	r := realImage(t)
	h := newHome(t)
	for _, eco := range []string{"Debian", "Go", "PyPI", "npm", "Maven"} {
		h.importing(filepath.Join(dir, "osv", eco, "all.zip"))
	}
	x := h.scan(0, "--max-db-age", "0", dockerArchive(t, h.path("real.tar"), "example.test/real:1", r.image))
	// x/text before 0.3.7 and 0.3.8, yaml.v2 before 2.2.3, 2.2.4 and 2.2.8, urllib3 before 1.26.5.
	for _, want := range []string{
		"golang golang.org/x/text v0.3.5 CVE-2021-38561 fixed 0.3.7",
		"golang golang.org/x/text v0.3.5 CVE-2022-32149 fixed 0.3.8",
		"golang gopkg.in/yaml.v2 v2.2.2 CVE-2022-3064 fixed 2.2.4",
		"golang gopkg.in/yaml.v2 v2.2.2 CVE-2021-4235 fixed 2.2.3",
		"golang gopkg.in/yaml.v2 v2.2.2 CVE-2019-11254 fixed 2.2.8",
		"pypi urllib3 1.26.4 CVE-2021-33503 fixed 1.26.5",
	} {
		if !slices.ContainsFunc(x.findings(), func(s string) bool { return strings.HasPrefix(s, want+" ") }) {
			t.Errorf("missing: %s", want)
		}
	}
	// Debian: every fix of the pack against every installed package, asked of dpkg.
	order := debOrder{}
	fixes := map[string]map[string][]string{} // source → fixed version → ids
	eachRecord(t, filepath.Join(dir, "osv/Debian/all.zip"), func(doc []byte) { readFixes(t, doc, fixes) })
	var want, have []string
	for _, d := range installed(t, r.root) {
		for fixed, ids := range fixes[d.source] {
			if order.older(t, d.sourceVersion, fixed) {
				for _, id := range ids {
					want = append(want, d.name+" "+d.version+" "+id)
				}
			}
		}
	}
	for _, v := range x.Vulnerabilities {
		if p := x.Packages[v.Package]; p.Type == "deb" {
			have = append(have, p.Name+" "+p.Version+" "+v.ID)
		}
	}
	slices.Sort(want)
	slices.Sort(have)
	same(t, "Debian", slices.Compact(have), slices.Compact(want))
	t.Logf("%d findings; Debian's %d by %d comparisons of dpkg", len(x.Vulnerabilities), len(want), len(order))
}

// readFixes notes what a record of Debian's says is fixed in bookworm, and where.
func readFixes(t testing.TB, doc []byte, fixes map[string]map[string][]string) {
	t.Helper()
	var r struct {
		ID       string
		Affected []struct {
			Package struct{ Ecosystem, Name string }
			Ranges  []struct{ Events []map[string]string }
		}
	}
	if err := json.Unmarshal(doc, &r); err != nil {
		t.Fatal(err)
	}
	for _, a := range r.Affected {
		if a.Package.Ecosystem != "Debian:12" {
			continue
		}
		for _, g := range a.Ranges {
			if len(g.Events) != 2 || g.Events[0]["introduced"] != "0" || g.Events[1]["fixed"] == "" {
				t.Fatalf("%s has events that this test does not read: %v", r.ID, g.Events)
			}
			if fixes[a.Package.Name] == nil {
				fixes[a.Package.Name] = map[string][]string{}
			}
			at := g.Events[1]["fixed"]
			id := r.ID // Debian's view of a CVE is about that CVE
			if cve, ok := strings.CutPrefix(id, "DEBIAN-"); ok && strings.HasPrefix(cve, "CVE-") {
				id = cve
			}
			fixes[a.Package.Name][at] = append(fixes[a.Package.Name][at], id)
		}
	}
}
