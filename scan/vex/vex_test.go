package vex_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/vex"
)

const (
	digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	other  = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	index  = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
)

// report is of an image with a distribution package, a Go program and its dependency,
// and the same dependency in a program of somebody else.
func report() *scan.Report {
	r := &scan.Report{Catalog: scan.Catalog{
		Image: scan.Image{Kind: scan.KindRegistry, Name: "registry.example/team/app:1.2", Repository: "registry.example/team/app", Tags: []string{"1.2"},
			Digest: digest, IndexDigest: index, Platform: "linux/amd64"},
		Distro: scan.Distro{ID: "rhel", Version: "9.4"},
		Packages: []scan.Package{
			{Type: scan.RPM, Name: "openssl-libs", Version: "1:3.0.7-27.el9", Source: "openssl", SourceVersion: "1:3.0.7-27.el9", PURL: "pkg:rpm/redhat/openssl-libs@3.0.7-27.el9?arch=x86_64&epoch=1"},
			{Type: scan.Golang, Name: "example.org/app", Version: "v1.0.0", PURL: "pkg:golang/example.org/app@v1.0.0", Location: "usr/bin/app"},
			{Type: scan.Golang, Name: "golang.org/x/net", Version: "v0.17.0", PURL: "pkg:golang/golang.org/x/net@v0.17.0", Location: "usr/bin/app"},
			{Type: scan.Golang, Name: "golang.org/x/net", Version: "v0.17.0", PURL: "pkg:golang/golang.org/x/net@v0.17.0", Location: "usr/bin/other"},
		},
	}}
	r.Vulnerabilities = []scan.Vulnerability{
		{ID: "CVE-2024-0001", Package: 0},
		{ID: "CVE-2024-0002", Aliases: []string{"GO-2024-0002", "GHSA-aaaa-bbbb-cccc"}, Package: 2},
		{ID: "CVE-2024-0002", Aliases: []string{"GO-2024-0002", "GHSA-aaaa-bbbb-cccc"}, Package: 3},
	}
	return r
}

// left writes what remains: "CVE-2024-0002@usr/bin/app".
func left(r *scan.Report) string {
	var out []string
	for _, v := range r.Vulnerabilities {
		p := r.Packages[v.Package]
		out = append(out, strings.TrimSuffix(v.ID[len("CVE-2024-"):]+"@"+p.Location, "@"))
	}
	return strings.Join(out, " ")
}

func read(t *testing.T, text string) *vex.Document {
	t.Helper()
	d, err := vex.Read("a.json", strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return d
}

// statement is an OpenVEX document of one statement.
func statement(vulnerability, products, rest string) string {
	return `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://example.org/vex/1","author":"Ann","timestamp":"2024-05-01T00:00:00Z","version":1,
	"statements":[{"vulnerability":` + vulnerability + `,"products":` + products + `,` + rest + `}]}`
}

const whole = "0001 0002@usr/bin/app 0002@usr/bin/other"

func TestAProductIsTheImageOrAPackageOrSomethingInside(t *testing.T) {
	const not = `"status":"not_affected","justification":"vulnerable_code_not_present"`
	x := `[{"@id":"pkg:golang/golang.org/x/net"}]`
	for name, tt := range map[string]struct {
		products, left, why string
	}{
		"package":                                     {`[{"@id":"pkg:golang/golang.org/x/net@v0.17.0"}]`, "0001", ""},
		"package, early spelling":                     {`["pkg:golang/golang.org/x/net"]`, "0001", ""},
		"package by identifier":                       {`[{"@id":"net","identifiers":{"purl":"pkg:golang/golang.org/x/net@0.17.0"}}]`, "0001", ""},
		"another version":                             {`[{"@id":"pkg:golang/golang.org/x/net@v0.16.0"}]`, whole, "version differs: it speaks of v0.16.0, installed is v0.17.0"},
		"a qualifier we lack":                         {`[{"@id":"pkg:golang/golang.org/x/net?goos=windows"}]`, whole, "qualifier goos differs"},
		"another package":                             {`[{"@id":"pkg:golang/golang.org/x/text"}]`, whole, "it speaks of golang/golang.org/x/text, the package is golang/golang.org/x/net"},
		"image by digest":                             {`[{"@id":"` + digest + `"}]`, "0001", ""},
		"image by hash":                               {`[{"@id":"our image","hashes":{"sha-256":"` + digest[7:] + `"}}]`, "0001", ""},
		"image by the list's digest":                  {`[{"@id":"registry.example/team/app@` + index + `"}]`, "0001", ""},
		"repository and digest":                       {`[{"@id":"registry.example/team/app@` + digest + `"}]`, "0001", ""},
		"the same content elsewhere":                  {`[{"@id":"mirror.example/app@` + digest + `"}]`, "0001", ""},
		"repository and another digest":               {`[{"@id":"registry.example/team/app@` + other + `"}]`, whole, "product digest differs: it speaks of sha256:222222222222…, the image is sha256:111111111111…"},
		"repository and tag":                          {`[{"@id":"registry.example/team/app:1.2"}]`, "0001", ""},
		"another tag":                                 {`[{"@id":"registry.example/team/app:1.3"}]`, whole, "tag differs: it speaks of 1.3"},
		"oci purl by digest":                          {`[{"@id":"pkg:oci/app@` + strings.Replace(digest, ":", "%3A", 1) + `?repository_url=registry.example/team/app&arch=amd64"}]`, "0001", ""},
		"oci purl, another digest":                    {`[{"@id":"pkg:oci/app@` + strings.Replace(other, ":", "%3A", 1) + `?repository_url=registry.example/team/app"}]`, whole, "product digest differs"},
		"oci purl without digest":                     {`[{"@id":"pkg:oci/app?repository_url=registry.example/team/app"}]`, "0001", ""},
		"oci purl, repository without name":           {`[{"@id":"pkg:oci/app?repository_url=registry.example/team"}]`, "0001", ""},
		"oci purl of another repository":              {`[{"@id":"pkg:oci/app?repository_url=registry.example/them/app"}]`, whole, "is not this image"},
		"oci purl of another architecture":            {`[{"@id":"pkg:oci/app?repository_url=registry.example/team/app&arch=arm64"}]`, whole, "architecture differs"},
		"image, part":                                 {`[{"@id":"pkg:oci/app?repository_url=registry.example/team/app","subcomponents":` + x + `}]`, "0001", ""},
		"image, part that is not there":               {`[{"@id":"` + digest + `","subcomponents":[{"@id":"pkg:golang/golang.org/x/text"}]}]`, whole, "subcomponent pkg:golang/golang.org/x/text is not the package golang.org/x/net"},
		"image, part of another version":              {`[{"@id":"` + digest + `","subcomponents":[{"@id":"pkg:golang/golang.org/x/net@v0.1.0"}]}]`, whole, "subcomponent's version differs: it speaks of v0.1.0"},
		"program, part: only in that program":         {`[{"@id":"pkg:golang/example.org/app","subcomponents":` + x + `}]`, "0001 0002@usr/bin/other", ""},
		"program of another version, part":            {`[{"@id":"pkg:golang/example.org/app@v2.0.0","subcomponents":` + x + `}]`, whole, "its product is in the image, but version differs"},
		"program that is not there, part":             {`[{"@id":"pkg:golang/example.org/nothing","subcomponents":` + x + `}]`, whole, "its product pkg:golang/example.org/nothing is not in the image"},
		"a CPE":                                       {`[{"@id":"cpe:2.3:a:golang:net:0.17.0:*:*:*:*:*:*:*"}]`, whole, "is a CPE"},
		"a name":                                      {`[{"@id":"our product"}]`, whole, "neither a package URL, a digest nor an image reference"},
		"none":                                        {`[]`, whole, "it names no product"},
		"several, one right":                          {`[{"@id":"pkg:golang/golang.org/x/text"},{"@id":"` + digest + `"}]`, "0001", ""},
		"several, none right: the closest is told of": {`[{"@id":"pkg:golang/golang.org/x/text"},{"@id":"pkg:golang/golang.org/x/net@v9"}]`, whole, "version differs: it speaks of v9, installed is v0.17.0 (the closest of 2 products)"},
	} {
		r := report()
		notes := vex.Apply(r, read(t, statement(`{"name":"GHSA-aaaa-bbbb-cccc"}`, tt.products, not)))
		if got := left(r); got != tt.left {
			t.Errorf("%s: left %q, want %q (%v)", name, got, tt.left, notes)
		}
		if len(r.Vulnerabilities)+len(r.Suppressed) != 3 {
			t.Errorf("%s: a finding is lost", name)
		}
		if tt.why == "" {
			if len(notes) != 0 || r.Suppressed[0].By != "a.json, statement 1" || !strings.Contains(r.Suppressed[0].Reason, "not affected: vulnerable_code_not_present") {
				t.Errorf("%s: notes %v, suppressed %+v", name, notes, r.Suppressed[0])
			}
		} else if len(notes) != 1 || notes[0].Applied || !strings.Contains(notes[0].Text, tt.why) {
			t.Errorf("%s: notes %v, want %q", name, notes, tt.why)
		}
	}
}

func TestStatusAndJustificationAndAge(t *testing.T) {
	products := `[{"@id":"` + digest + `"}]`
	dated := func(status, at string) string {
		return statement(`"CVE-2024-0001"`, products, `"status":"`+status+`","impact_statement":"because","timestamp":"`+at+`"`)
	}
	for name, tt := range map[string]struct {
		docs []string
		left string
		says []string
	}{
		"not affected, no justification": {[]string{statement(`"CVE-2024-0001"`, products, `"status":"not_affected"`)}, whole, []string{"no justification"}},
		"an impact statement will do":    {[]string{dated("not_affected", "2024-01-01T00:00:00Z")}, "0002@usr/bin/app 0002@usr/bin/other", nil},
		"fixed":                          {[]string{statement(`"CVE-2024-0001"`, products, `"status":"fixed"`)}, "0002@usr/bin/app 0002@usr/bin/other", nil},
		"affected":                       {[]string{statement(`"CVE-2024-0001"`, products, `"status":"affected","action_statement":"update"`)}, whole, []string{"is affected: update"}},
		"under investigation":            {[]string{statement(`"CVE-2024-0001"`, products, `"status":"under_investigation"`)}, whole, []string{"is under_investigation"}},
		"the newer affected wins":        {[]string{dated("affected", "2024-02-01T00:00:00Z"), dated("not_affected", "2024-01-01T00:00:00Z")}, whole, []string{"a newer statement says affected", "is affected: because"}},
		"the newer not affected wins":    {[]string{dated("affected", "2024-01-01T00:00:00Z"), dated("not_affected", "2024-02-01T00:00:00+01:00")}, "0002@usr/bin/app 0002@usr/bin/other", []string{"a newer statement says not_affected"}},
		"equally new: the last":          {[]string{dated("affected", "2024-01-01T00:00:00Z"), dated("fixed", "2024-01-01T00:00:00Z")}, "0002@usr/bin/app 0002@usr/bin/other", []string{"newer"}},
		"no vulnerability of ours":       {[]string{statement(`{"name":"CVE-1999-0001"}`, products, `"status":"not_affected"`)}, whole, nil},
		"by alias and address":           {[]string{statement(`{"@id":"https://pkg.go.dev/vuln/GO-2024-0002","name":"x","aliases":["y"]}`, products, `"status":"fixed"`)}, "0001", nil},
	} {
		r := report()
		var docs []*vex.Document
		for _, d := range tt.docs {
			docs = append(docs, read(t, d))
		}
		notes := vex.Apply(r, docs...)
		if got := left(r); got != tt.left {
			t.Errorf("%s: left %q, want %q", name, got, tt.left)
		}
		if len(notes) != len(tt.says) {
			t.Errorf("%s: notes %v", name, notes)
			continue
		}
		for i, want := range tt.says {
			if !strings.Contains(notes[i].String(), want) {
				t.Errorf("%s: note %q, want %q", name, notes[i], want)
			}
		}
	}
}

// csafText relates openssl-libs to a release and states something of it.
func csafText(cpe, purl, vulnerability string) string {
	return `{"document":{"category":"csaf_vex","csaf_version":"2.0","publisher":{"name":"Vendor"},"title":"t",
	"tracking":{"id":"V-1","current_release_date":"2024-06-01T00:00:00Z","initial_release_date":"2024-01-01T00:00:00Z"}},
	"product_tree":{"branches":[{"category":"vendor","name":"Vendor","branches":[
		{"category":"product_version","name":"rel","product":{"name":"Release","product_id":"REL","product_identification_helper":{"cpe":"` + cpe + `"}}},
		{"category":"product_version","name":"ssl","product":{"name":"openssl-libs","product_id":"SSL","product_identification_helper":{"purl":"` + purl + `"}}},
		{"category":"product_version","name":"img","product":{"name":"image","product_id":"IMG","product_identification_helper":{"purl":"pkg:oci/app@` + strings.Replace(digest, ":", "%3A", 1) + `?repository_url=registry.example/team/app"}}},
		{"category":"product_version","name":"bare","product":{"name":"Bare Product","product_id":"BARE"}}]}],
	"relationships":[{"category":"default_component_of","product_reference":"SSL","relates_to_product_reference":"REL","full_product_name":{"name":"both","product_id":"REL:SSL"}},
		{"category":"default_component_of","product_reference":"SSL","relates_to_product_reference":"IMG","full_product_name":{"name":"both","product_id":"IMG:SSL"}}],
	"product_groups":[{"group_id":"G","product_ids":["REL:SSL"]}]},
	"vulnerabilities":[` + vulnerability + `]}`
}

func TestCSAF(t *testing.T) {
	const rhel9 = "cpe:/o:redhat:enterprise_linux:9::baseos"
	const ssl = "pkg:rpm/redhat/openssl-libs@3.0.7-27.el9?arch=x86_64&epoch=1"
	flag := func(products string) string {
		return `{"cve":"CVE-2024-0001","product_status":{"known_not_affected":[` + products + `]},"flags":[{"label":"component_not_present","product_ids":[` + products + `]}]}`
	}
	for name, tt := range map[string]struct {
		cpe, purl, vulnerability, left, says string
	}{
		"component of the release":          {rhel9, ssl, flag(`"REL:SSL"`), "0002@usr/bin/app 0002@usr/bin/other", ""},
		"flag by group":                     {rhel9, ssl, `{"cve":"CVE-2024-0001","product_status":{"known_not_affected":["REL:SSL"]},"flags":[{"label":"component_not_present","group_ids":["G"]}]}`, "0002@usr/bin/app 0002@usr/bin/other", ""},
		"impact instead of a flag":          {rhel9, ssl, `{"cve":"CVE-2024-0001","product_status":{"known_not_affected":["REL:SSL"]},"threats":[{"category":"impact","details":"not built"}]}`, "0002@usr/bin/app 0002@usr/bin/other", ""},
		"source package":                    {rhel9, "pkg:rpm/redhat/openssl?arch=src", flag(`"REL:SSL"`), "0002@usr/bin/app 0002@usr/bin/other", ""},
		"fixed version":                     {rhel9, ssl, `{"cve":"CVE-2024-0001","product_status":{"fixed":["REL:SSL"]}}`, "0002@usr/bin/app 0002@usr/bin/other", ""},
		"component of the image":            {rhel9, ssl, flag(`"IMG:SSL"`), "0002@usr/bin/app 0002@usr/bin/other", ""},
		"the image":                         {rhel9, ssl, flag(`"IMG"`), "0002@usr/bin/app 0002@usr/bin/other", ""},
		"another release":                   {"cpe:/o:redhat:enterprise_linux:8::baseos", ssl, flag(`"REL:SSL"`), whole, "its platform is enterprise_linux 8, the image is 9.4"},
		"a release of somebody else":        {"cpe:/o:debian:debian_linux:12", ssl, flag(`"REL:SSL"`), whole, "its platform is debian_linux 12, the image is rhel 9.4"},
		"another version of the component":  {rhel9, "pkg:rpm/redhat/openssl-libs@3.0.7-28.el9?arch=x86_64", flag(`"REL:SSL"`), whole, "subcomponent's version differs"},
		"another architecture":              {rhel9, "pkg:rpm/redhat/openssl-libs@3.0.7-27.el9?arch=aarch64", flag(`"REL:SSL"`), whole, "subcomponent's qualifier arch differs: it speaks of aarch64, the package has x86_64"},
		"a product nobody can tell":         {rhel9, ssl, flag(`"BARE"`), whole, "neither a package URL"},
		"no justification":                  {rhel9, ssl, `{"cve":"CVE-2024-0001","product_status":{"known_not_affected":["REL:SSL"]}}`, whole, "no justification"},
		"justified for another product":     {rhel9, ssl, `{"cve":"CVE-2024-0001","product_status":{"known_not_affected":["REL:SSL"]},"flags":[{"label":"component_not_present","product_ids":["IMG"]}]}`, whole, "no justification"},
		"affected":                          {rhel9, ssl, `{"cve":"CVE-2024-0001","product_status":{"known_affected":["REL:SSL"]},"threats":[{"category":"impact","details":"bad"}]}`, whole, "is affected: bad"},
		"by another id of the same finding": {rhel9, "pkg:golang/golang.org/x/net", `{"ids":[{"system_name":"x","text":"GO-2024-0002"}],"product_status":{"fixed":["IMG:SSL"]}}`, "0001", ""},
	} {
		r := report()
		notes := vex.Apply(r, read(t, csafText(tt.cpe, tt.purl, tt.vulnerability)))
		if got := left(r); got != tt.left {
			t.Errorf("%s: left %q, want %q (%v)", name, got, tt.left, notes)
		}
		if tt.says == "" && len(notes) > 0 || tt.says != "" && (len(notes) != 1 || !strings.Contains(notes[0].String(), tt.says)) {
			t.Errorf("%s: notes %v, want %q", name, notes, tt.says)
		}
	}
	d := read(t, csafText(rhel9, ssl, flag(`"REL:SSL"`)))
	if d.Format != "CSAF" || d.ID != "V-1" || d.Author != "Vendor" || d.Time != time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC).UnixNano() || d.Statements[0].Position != "vulnerability 1 (known_not_affected)" {
		t.Errorf("%+v", d)
	}
}

func TestCycloneDX(t *testing.T) {
	doc := func(metadata, affects, analysis string) string {
		return `{"bomFormat":"CycloneDX","specVersion":"1.6","serialNumber":"urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79","version":1,
		"metadata":{"timestamp":"2024-05-01T00:00:00Z"` + metadata + `},
		"components":[{"type":"library","bom-ref":"net","name":"net","purl":"pkg:golang/golang.org/x/net@v0.17.0"},
			{"type":"application","bom-ref":"outer","name":"outer","components":[{"type":"library","bom-ref":"inner","name":"text","purl":"pkg:golang/golang.org/x/text@v0.1.0"}]}],
		"vulnerabilities":[{"id":"GHSA-aaaa-bbbb-cccc","references":[{"id":"CVE-2024-0002","source":{"name":"NVD"}}],"analysis":` + analysis + `,"affects":[` + affects + `]}]}`
	}
	const not = `{"state":"not_affected","justification":"code_not_reachable","response":["will_not_fix"],"detail":"never called"}`
	image := func(d string) string {
		return `,"component":{"type":"container","bom-ref":"root","name":"registry.example/team/app","version":"` + d + `"}`
	}
	for name, tt := range map[string]struct {
		metadata, affects, analysis, left, says string
	}{
		"by reference":           {"", `{"ref":"net"}`, not, "0001", ""},
		"by package URL":         {"", `{"ref":"pkg:golang/golang.org/x/net"}`, not, "0001", ""},
		"by link to a BOM":       {"", `{"ref":"urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#pkg%3Agolang%2Fgolang.org%2Fx%2Fnet%40v0.17.0"}`, not, "0001", ""},
		"another component":      {"", `{"ref":"inner"}`, not, whole, "it speaks of golang/golang.org/x/text"},
		"a reference to nothing": {"", `{"ref":"gone away"}`, not, whole, "neither a package URL"},
		"versions listed":        {"", `{"ref":"pkg:golang/golang.org/x/net","versions":[{"version":"v0.16.0"},{"range":"vers:golang/<0.16"}]}`, not, whole, "version differs: it speaks of v0.16.0, range vers:golang/<0.16, installed is v0.17.0"},
		"version listed":         {"", `{"ref":"pkg:golang/golang.org/x/net","versions":[{"version":"v0.17.0","status":"unaffected"}]}`, not, "0001", ""},
		"in this image":          {image(digest), `{"ref":"net"}`, not, "0001", ""},
		"in another image":       {image(other), `{"ref":"net"}`, not, whole, "product digest differs"},
		"the image itself":       {image(digest), `{"ref":"root"}`, not, "0001", ""},
		"resolved":               {"", `{"ref":"net"}`, `{"state":"resolved"}`, "0001", ""},
		"false positive":         {"", `{"ref":"net"}`, `{"state":"false_positive","detail":"other thing"}`, "0001", ""},
		"no reason given":        {"", `{"ref":"net"}`, `{"state":"not_affected"}`, whole, "no justification"},
		"exploitable":            {"", `{"ref":"net"}`, `{"state":"exploitable","response":["update"]}`, whole, "is affected: update"},
	} {
		r := report()
		notes := vex.Apply(r, read(t, doc(tt.metadata, tt.affects, tt.analysis)))
		if got := left(r); got != tt.left {
			t.Errorf("%s: left %q, want %q (%v)", name, got, tt.left, notes)
		}
		if tt.says == "" && len(notes) > 0 || tt.says != "" && (len(notes) == 0 || !strings.Contains(notes[0].String(), tt.says)) {
			t.Errorf("%s: notes %v, want %q", name, notes, tt.says)
		}
	}
}

func TestBadDocumentsSayWhere(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "not a VEX document",
		"[]":                                "not a VEX document",
		"{\n\"a\":\n?}":                     "line 3",
		`{"spdxVersion":"SPDX-2.3"}`:        "want OpenVEX",
		`{"document":{}}`:                   "no csaf_version",
		statement(`"CVE-1"`, `[]`, `"x":1`): `statement 1: status ""`,
		statement(`{"name":""}`, `[]`, `"status":"fixed"`):                      "statement 1 names no vulnerability",
		statement(`7`, `[]`, `"status":"fixed"`):                                "OpenVEX",
		csafText("", "", `{"product_status":{"fixed":["IMG"]}}`):                "vulnerability 1 has neither a cve nor ids",
		csafText("", "", `{"cve":"CVE-1","product_status":{"fixed":["NONE"]}}`): `product "NONE" is not in the product tree`,
		`{"document":{"csaf_version":"2.0"},"product_tree":{"branches":` + strings.Repeat(`[{"branches":`, 90) + `[]` + strings.Repeat(`}]`, 90) + `}}`: "deeper than 64",
		`{"bomFormat":"CycloneDX","vulnerabilities":[{"id":"CVE-1","analysis":{"state":"maybe"}}]}`:                                                     `analysis state "maybe"`,
		`{"bomFormat":"CycloneDX","components":` + strings.Repeat(`[{"components":`, 90) + `[]` + strings.Repeat(`}]`, 90) + `}`:                        "deeper than 64",
	} {
		_, err := vex.Read("bad.json", strings.NewReader(text))
		if err == nil || !strings.HasPrefix(err.Error(), "bad.json: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %q", text, err, want)
		}
	}
	if _, err := vex.Read("big", io.LimitReader(zeros{}, vex.MaxSize+10)); err == nil || !strings.Contains(err.Error(), "32 MiB") {
		t.Errorf("%v", err)
	}
	if _, err := vex.Read("none", strings.NewReader("{}")); !errors.Is(err, vex.ErrFormat) {
		t.Errorf("%v", err)
	}
	if _, err := vex.Load(filepath.Join(t.TempDir(), "absent.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestEveryDocumentOfAPublicHubIsRead reads a pack of documents that projects publish,
// and applies each to a report made from its own products.
func TestEveryDocumentOfAPublicHubIsRead(t *testing.T) {
	dir := os.Getenv("DOCKREEVE_ADVISORIES")
	if dir == "" {
		dir = "../../../shared/advisories"
	}
	f, err := os.Open(filepath.Join(dir, "vex", "vexhub.tar.gz"))
	if err != nil {
		t.Skipf("no pack of VEX documents (DOCKREEVE_ADVISORIES): %v", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	docs, statements, suppressed := 0, 0, 0
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(h.Name, ".json") || filepath.Base(h.Name) == "manifest.json" || h.Typeflag != tar.TypeReg {
			continue
		}
		d, err := vex.Read(h.Name, tr)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		docs++
		statements += len(d.Statements)
		for i := range d.Statements {
			s := &d.Statements[i]
			for _, p := range s.Products {
				r := ownReport(s, &p)
				if r == nil {
					continue
				}
				notes := vex.Apply(r, &vex.Document{Name: d.Name, Statements: []vex.Statement{*s}})
				if s.Status == vex.NotAffected && (s.Justification != "" || s.Detail != "") && len(r.Suppressed) != 1 {
					t.Errorf("%s, %s: not applied to its own product %v: %v", d.Name, s.Position, p, notes)
				}
				suppressed += len(r.Suppressed)
			}
		}
	}
	t.Logf("%d documents, %d statements, applied to their own products %d times", docs, statements, suppressed)
	if docs < 50 {
		t.Errorf("only %d documents", docs)
	}
}

// ownReport is a report whose one finding is the statement's about the product.
func ownReport(s *vex.Statement, p *vex.Product) *scan.Report {
	purl := func(ids []string) string {
		i := slices.IndexFunc(ids, func(id string) bool { return strings.HasPrefix(id, "pkg:") })
		if i < 0 {
			return ""
		}
		return ids[i]
	}
	r := &scan.Report{Vulnerabilities: []scan.Vulnerability{{ID: s.IDs[0]}}}
	product := purl(p.IDs)
	if product == "" {
		return nil
	}
	inner := product
	if len(p.Parts) > 0 {
		if inner = purl(p.Parts[0].IDs); inner == "" {
			return nil
		}
		r.Packages = append(r.Packages, scan.Package{Name: "inner", PURL: inner, Location: "bin/x"})
	}
	if name, ok := strings.CutPrefix(product, "pkg:oci/"); ok {
		_, q, _ := strings.Cut(name, "?")
		for _, kv := range strings.Split(q, "&") {
			if repo, ok := strings.CutPrefix(kv, "repository_url="); ok {
				r.Image.Repository = strings.ReplaceAll(repo, "%2F", "/")
			}
		}
		if r.Image.Repository == "" || strings.Contains(name, "@") || len(p.Parts) == 0 {
			return nil
		}
	} else {
		r.Packages = append(r.Packages, scan.Package{Name: "outer", PURL: product, Location: "bin/x"})
	}
	return r
}

func FuzzRead(f *testing.F) {
	f.Add(statement(`{"name":"CVE-2024-0001","aliases":["x"]}`, `[{"@id":"pkg:oci/app?repository_url=registry.example/team/app","subcomponents":[{"@id":"pkg:golang/golang.org/x/net"}]}]`, `"status":"not_affected","justification":"x"`))
	f.Add(csafText("cpe:/o:redhat:enterprise_linux:9", "pkg:rpm/redhat/openssl-libs", `{"cve":"CVE-2024-0001","product_status":{"known_not_affected":["REL:SSL","IMG:SSL"],"fixed":["IMG"]},"flags":[{"label":"l","group_ids":["G"]}]}`))
	f.Add(`{"bomFormat":"CycloneDX","metadata":{"component":{"type":"container","bom-ref":"r","name":"registry.example/team/app","version":"` + digest + `"}},"vulnerabilities":[{"id":"CVE-2024-0002","analysis":{"state":"resolved"},"affects":[{"ref":"pkg:golang/golang.org/x/net"}]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := vex.Read("f", strings.NewReader(text))
		if err != nil {
			return
		}
		r := report()
		notes := vex.Apply(r, d)
		if len(r.Vulnerabilities)+len(r.Suppressed) != 3 {
			t.Fatal("a finding is lost")
		}
		for _, n := range notes {
			if n.Text == "" {
				t.Fatalf("a note without words: %+v", n)
			}
		}
		_ = fmt.Sprint(notes)
	})
}
