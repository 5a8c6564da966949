package sbom

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/test/need"
	"github.com/package-url/packageurl-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// official compiles a schema of those that DOCKREEVE_SCHEMAS holds, or skips.
func official(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	dir := os.Getenv("DOCKREEVE_SCHEMAS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "schemas")
	}
	if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
		need.Skip(t, need.Shared, "the official JSON schemas are not at DOCKREEVE_SCHEMAS: "+err.Error())
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	id := ""
	files, _ := filepath.Glob(filepath.Join(dir, "*.schema.json"))
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		url, _ := doc.(map[string]any)["$id"].(string)
		if url == "" {
			url, _ = doc.(map[string]any)["id"].(string)
		}
		if err := c.AddResource(url, doc); err != nil {
			t.Fatal(err)
		}
		if filepath.Base(path) == name {
			id = url
		}
	}
	s, err := c.Compile(id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hostileWords are what an image may call its packages.
var hostileWords = []string{"\x1b[2J", "##vso[task.setvariable variable=a]b", "</script><script>alert(1)</script>", "=cmd|' /C calc'!A0",
	"\u202egnp.exe", "a\nb: c", "\x00", "\xff\xfe", `"quote"`, "%0A::error::x", "é", strings.Repeat("long", 900)}

func hostile() *scan.Catalog {
	c := sample()
	for i, w := range hostileWords {
		c.Packages = append(c.Packages, scan.Package{Type: types[i%len(types)], Name: "x" + w, Version: w + "1", Source: w, PURL: w, Location: w,
			Licenses: []string{w, "MIT"}, OwnedBy: w, Layer: 1})
		c.NotAssessed = append(c.NotAssessed, scan.Gap{What: w, Reason: w})
	}
	c.Image.Name = strings.Join(hostileWords, "")
	c.Image.Repository = c.Image.Name
	return c
}

func vulnerable() Options {
	o := Options{Now: 1.7e18, Version: "1", Vulnerabilities: []scan.Vulnerability{
		{ID: "CVE-2026-1", Aliases: []string{"DSA-1"}, Package: 0, Status: scan.Fixed, FixedIn: "2", Severity: finding.Critical, SeverityFrom: "debian", CVSS: 9.8,
			Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", EPSS: &scan.EPSS{Score: 0.5}, KEV: &scan.KEV{Added: "2026-01-01"}, Title: "a title",
			References: []string{"https://security.example/1"}, Source: "debian-tracker", Published: 1.6e18, Modified: 1.65e18},
		{ID: "CVE-2026-1", Package: 1, Status: scan.WontFix, Severity: finding.Informational, Vector: "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"},
		{ID: "CVE-2026-2", Package: 1, Vector: "AV:N/AC:L/Au:N/C:P/I:P/A:P"}}}
	o.Suppressed = []scan.Suppressed{{Vulnerability: scan.Vulnerability{ID: "CVE-2026-3", Package: 2, Severity: finding.Low}, By: "file:1", Reason: "no"}}
	return o
}

// documents are what both formats make of ordinary, empty and hostile catalogues.
func documents(t *testing.T, each func(t *testing.T, format string, doc []byte)) {
	for name, c := range map[string]*scan.Catalog{"sample": sample(), "empty": {}, "hostile": hostile()} {
		for format, encode := range formats {
			t.Run(format+" "+name, func(t *testing.T) {
				o := Options{}
				if name != "empty" {
					o = vulnerable()
				}
				var b bytes.Buffer
				if err := encode(&b, c, o); err != nil {
					t.Fatal(err)
				}
				each(t, format, b.Bytes())
			})
		}
	}
}

func TestOfficialSchemas(t *testing.T) {
	names := map[string]string{"CycloneDX": "bom-1.6.schema.json", "SPDX": "spdx-2.3.schema.json"}
	schemas := map[string]*jsonschema.Schema{}
	documents(t, func(t *testing.T, format string, doc []byte) {
		if schemas[format] == nil {
			schemas[format] = official(t, names[format]) // a format whose schema is missing skips by itself
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
		if err != nil {
			t.Fatal(err)
		}
		if err := schemas[format].Validate(v); err != nil {
			t.Errorf("%v", err)
		}
	})
}

// The same in our own words, for those who have no schemas at hand: what a reader of
// either format relies on.
func TestStructure(t *testing.T) {
	documents(t, func(t *testing.T, format string, doc []byte) {
		var m map[string]any
		if err := json.Unmarshal(doc, &m); err != nil {
			t.Fatal(err)
		}
		if format == "CycloneDX" {
			cyclonedxIsSound(t, m)
		} else {
			spdxIsSound(t, m)
		}
	})
}

func str(m any, key string) string {
	s, _ := m.(map[string]any)[key].(string)
	return s
}

func items(m any, key string) []any {
	l, _ := m.(map[string]any)[key].([]any)
	return l
}

func oneOf(t *testing.T, what, have string, want ...string) {
	t.Helper()
	if !slices.Contains(want, have) {
		t.Errorf("%s is %q, want one of %v", what, have, want)
	}
}

func isTime(t *testing.T, what, have string) {
	t.Helper()
	if _, err := time.Parse(time.RFC3339, have); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func cyclonedxIsSound(t *testing.T, m map[string]any) {
	oneOf(t, "bomFormat", str(m, "bomFormat"), "CycloneDX")
	oneOf(t, "specVersion", str(m, "specVersion"), "1.6")
	if !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(str(m, "serialNumber")) {
		t.Errorf("serialNumber %q is no UUID", str(m, "serialNumber"))
	}
	isTime(t, "timestamp", str(m["metadata"], "timestamp"))
	refs := map[string]bool{}
	component := func(c any) {
		ref := str(c, "bom-ref")
		if ref == "" || refs[ref] {
			t.Errorf("bom-ref %q is empty or not unique", ref)
		}
		refs[ref] = true
		oneOf(t, "type", str(c, "type"), "container", "library", "operating-system", "device")
		if str(c, "name") == "" {
			t.Errorf("component %q has no name", ref)
		}
		if p := str(c, "purl"); p != "" {
			if _, err := packageurl.FromString(p); err != nil {
				t.Errorf("purl %q: %v", p, err)
			}
		}
		for _, l := range items(c, "licenses") {
			license, _ := l.(map[string]any)["license"]
			if license == nil && (str(l, "expression") == "" || len(items(c, "licenses")) != 1) ||
				license != nil && (str(license, "id") == "") == (str(license, "name") == "") {
				t.Errorf("licence %v is neither one expression nor either id or name", l)
			}
		}
	}
	component(m["metadata"].(map[string]any)["component"])
	for _, c := range items(m, "components") {
		component(c)
	}
	for _, c := range items(m, "compositions") {
		oneOf(t, "aggregate", str(c, "aggregate"), "complete", "incomplete")
		for _, ref := range items(c, "assemblies") {
			if !refs[ref.(string)] {
				t.Errorf("assembly %v names no component", ref)
			}
		}
	}
	for _, v := range items(m, "vulnerabilities") {
		if str(v, "id") == "" || len(items(v, "affects")) == 0 {
			t.Errorf("vulnerability %v has no id or affects nothing", v)
		}
		for _, r := range items(v, "ratings") {
			oneOf(t, "severity", str(r, "severity"), "critical", "high", "medium", "low", "info", "unknown")
			oneOf(t, "method", str(r, "method"), "", "CVSSv2", "CVSSv3", "CVSSv31", "CVSSv4")
		}
		for _, a := range items(v, "affects") {
			if !refs[str(a, "ref")] {
				t.Errorf("%s affects %q, which is no component", str(v, "id"), str(a, "ref"))
			}
		}
	}
}

func spdxIsSound(t *testing.T, m map[string]any) {
	oneOf(t, "spdxVersion", str(m, "spdxVersion"), "SPDX-2.3")
	oneOf(t, "dataLicense", str(m, "dataLicense"), "CC0-1.0")
	if !strings.HasPrefix(str(m, "documentNamespace"), "https://") || strings.Contains(str(m, "documentNamespace"), "#") || str(m, "name") == "" {
		t.Error("no namespace or name")
	}
	isTime(t, "created", str(m["creationInfo"], "created"))
	id := regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`)
	ids := map[string]bool{str(m, "SPDXID"): true}
	licenses := map[string]bool{}
	for _, l := range items(m, "hasExtractedLicensingInfos") {
		if licenses[str(l, "licenseId")] || str(l, "extractedText") == "" {
			t.Errorf("extracted licence %q is there twice or empty", str(l, "licenseId"))
		}
		licenses[str(l, "licenseId")] = true
	}
	for _, p := range items(m, "packages") {
		if !id.MatchString(str(p, "SPDXID")) || ids[str(p, "SPDXID")] {
			t.Errorf("SPDXID %q is malformed or not unique", str(p, "SPDXID"))
		}
		ids[str(p, "SPDXID")] = true
		oneOf(t, "purpose", str(p, "primaryPackagePurpose"), "CONTAINER", "OPERATING_SYSTEM", "LIBRARY")
		if str(p, "name") == "" || str(p, "downloadLocation") == "" {
			t.Errorf("%s has no name or download location", str(p, "SPDXID"))
		}
		for word := range strings.FieldsSeq(strings.NewReplacer("(", " ", ")", " ").Replace(str(p, "licenseDeclared"))) {
			if !licenses[word] && !licenseIDs[strings.TrimSuffix(word, "+")] && !exceptions[word] && !slices.Contains([]string{"AND", "OR", "WITH", noAssertion}, word) {
				t.Errorf("licence %q of %s is not declared", word, str(p, "SPDXID"))
			}
		}
		for _, r := range items(p, "externalRefs") {
			oneOf(t, "category", str(r, "referenceCategory"), "PACKAGE-MANAGER")
			if strings.ContainsAny(str(r, "referenceLocator"), " \n\t") {
				t.Errorf("locator %q has white space", str(r, "referenceLocator"))
			}
		}
		for _, a := range items(p, "annotations") {
			isTime(t, "annotationDate", str(a, "annotationDate"))
			if !strings.HasPrefix(str(a, "annotator"), "Tool: ") {
				t.Errorf("annotator %q", str(a, "annotator"))
			}
		}
	}
	for _, r := range items(m, "relationships") {
		oneOf(t, "relationship", str(r, "relationshipType"), "DESCRIBES", "CONTAINS")
		if !ids[str(r, "spdxElementId")] || !ids[str(r, "relatedSpdxElement")] {
			t.Errorf("relationship %v names no element", r)
		}
	}
}

// The reader of package URLs agrees with packageurl-go, but for the case of names.
func TestPURLAgainstPackageURL(t *testing.T) {
	for _, c := range []*scan.Catalog{sample(), hostile()} {
		for i := range c.Packages {
			s := PURL(&c.Packages[i], c.Distro)
			ours, err := parsePURL(s)
			theirs, err2 := packageurl.FromString(s)
			if err != nil || err2 != nil {
				t.Fatalf("%q: %v, %v", s, err, err2)
			}
			if !strings.EqualFold(ours.Namespace, theirs.Namespace) || ours.Version != valid(theirs.Version) ||
				!strings.EqualFold(strings.ReplaceAll(ours.Name, "_", "-"), strings.ReplaceAll(valid(theirs.Name), "_", "-")) {
				t.Errorf("%q: have %+v, packageurl-go %+v", s, ours, theirs)
			}
			for k, v := range theirs.Qualifiers.Map() {
				if ours.Qualifiers[k] != valid(v) {
					t.Errorf("%q: qualifier %s is %q, want %q", s, k, ours.Qualifiers[k], v)
				}
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{trivyCDX, syftCDX, syftSPDX, tagValueSPDX, cdxXML} {
		f.Add([]byte(s))
	}
	for _, encode := range formats {
		var b bytes.Buffer
		if err := encode(&b, sample(), vulnerable()); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Decode(bytes.NewReader(b))
		if err != nil {
			return
		}
		// What was read can be written and read again, and is then the same.
		for name, encode := range formats {
			var w bytes.Buffer
			if err := encode(&w, c, Options{}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			again, err := Decode(&w)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if len(again.Packages) != len(c.Packages) {
				t.Fatalf("%s: %d packages of %d", name, len(again.Packages), len(c.Packages))
			}
			for i := range c.Packages {
				if again.Packages[i].Name != c.Packages[i].Name || again.Packages[i].Version != c.Packages[i].Version ||
					again.Packages[i].Source != c.Packages[i].Source || again.Packages[i].Layer != c.Packages[i].Layer {
					t.Fatalf("%s: have %+v, want %+v", name, again.Packages[i], c.Packages[i])
				}
			}
		}
	})
}
