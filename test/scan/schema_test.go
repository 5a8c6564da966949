package scan_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/dockreeve/dockreeve/test/need"
)

// schema compiles an official schema, or skips. Those that it refers to lie beside it.
func schema(t *testing.T, file string) *jsonschema.Schema {
	t.Helper()
	dirs := []string{os.Getenv("DOCKREEVE_SCHEMAS")}
	if dirs[0] == "" {
		dirs = []string{filepath.Join(module, "../shared/schemas"), filepath.Join(module, ".dockreeve/schemas")}
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			continue
		}
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		id := ""
		for _, path := range must(filepath.Glob(filepath.Join(dir, "*.schema.json")))(t) {
			doc := must(jsonschema.UnmarshalJSON(bytes.NewReader(must(os.ReadFile(path))(t))))(t)
			m, _ := doc.(map[string]any)
			url, _ := m["$id"].(string)
			if url == "" {
				url, _ = m["id"].(string)
			}
			if err := c.AddResource(url, doc); err != nil {
				t.Fatal(err)
			}
			if filepath.Base(path) == file {
				id = url
			}
		}
		return must(c.Compile(id))(t)
	}
	need.Skip(t, need.Schemas, file+" is not at DOCKREEVE_SCHEMAS (make setup fetches the schemas that npm packages carry; none carries SPDX 2.3)")
	return nil
}

// TestOfficialSchemas holds what a scan of the real image writes against the official
// schemas: hundreds of findings and packages, and every field that real ones fill.
func TestOfficialSchemas(t *testing.T) {
	r := realImage(t)
	h := newHome(t)
	h.invent(r)
	archive := dockerArchive(t, h.path("real.tar"), "example.test/real:1", r.image)
	out := map[string][]byte{}
	h.want(0, "scan", "-o", "json="+h.path("json.json"), "-o", "sarif="+h.path("sarif.json"), "-o", "cyclonedx="+h.path("cyclonedx.json"), "-o", "spdx="+h.path("spdx.json"), archive)
	for _, f := range []string{"json", "sarif", "cyclonedx", "spdx"} {
		out[f] = must(os.ReadFile(h.path(f + ".json")))(t)
	}
	x := parse(t, string(out["json"]))
	for format, file := range map[string]string{"sarif": "sarif-2.1.0.schema.json", "cyclonedx": "bom-1.6.schema.json", "spdx": "spdx-2.3.schema.json"} {
		t.Run(format, func(t *testing.T) {
			s := schema(t, file)
			doc := must(jsonschema.UnmarshalJSON(bytes.NewReader(out[format])))(t)
			if err := s.Validate(doc); err != nil {
				t.Errorf("%.4000s", err)
			}
			// The schema would also refuse what is wrong.
			m := doc.(map[string]any)
			for _, k := range []string{"version", "specVersion", "SPDXID"} {
				delete(m, k)
			}
			if s.Validate(m) == nil {
				t.Error("the schema takes anything")
			}
		})
	}
	t.Run("spdx, by hand", func(t *testing.T) {
		var doc struct {
			SPDXVersion, SPDXID, DataLicense, DocumentNamespace string
			Packages                                            []struct {
				SPDXID, Name, DownloadLocation string
				ExternalRefs                   []struct{ ReferenceType, ReferenceLocator string }
			}
			Relationships []struct{ SPDXElementID, RelatedSPDXElement, RelationshipType string }
		}
		if err := json.Unmarshal(out["spdx"], &doc); err != nil {
			t.Fatal(err)
		}
		if doc.SPDXVersion != "SPDX-2.3" || doc.SPDXID != "SPDXRef-DOCUMENT" || doc.DataLicense != "CC0-1.0" || doc.DocumentNamespace == "" {
			t.Errorf("head of the document: %s %s %s %s", doc.SPDXVersion, doc.SPDXID, doc.DataLicense, doc.DocumentNamespace)
		}
		ids, purls := map[string]bool{"SPDXRef-DOCUMENT": true}, map[string]bool{}
		for _, p := range doc.Packages {
			if ids[p.SPDXID] || p.Name == "" || p.DownloadLocation == "" {
				t.Errorf("package %+v", p)
			}
			ids[p.SPDXID] = true
			for _, r := range p.ExternalRefs {
				if r.ReferenceType == "purl" {
					purls[r.ReferenceLocator] = true
				}
			}
		}
		described := 0
		for _, r := range doc.Relationships {
			if !ids[r.SPDXElementID] || !ids[r.RelatedSPDXElement] {
				t.Errorf("relationship %+v leads nowhere", r)
			}
			if r.RelationshipType == "DESCRIBES" {
				described++
			}
		}
		if described == 0 {
			t.Error("the document describes nothing")
		}
		for _, p := range x.Packages {
			if !purls[p.PURL] {
				t.Errorf("%s is not in the document", p.PURL)
			}
		}
	})
	t.Run("counts", func(t *testing.T) {
		var sarif struct {
			Runs []struct {
				Tool struct {
					Driver struct{ Rules []struct{ ID string } }
				}
				Results []struct {
					RuleID    string
					RuleIndex *int
				}
			}
		}
		if err := json.Unmarshal(out["sarif"], &sarif); err != nil {
			t.Fatal(err)
		}
		ids, want := map[string]bool{}, map[string]bool{}
		for _, r := range sarif.Runs[0].Results {
			if strings.HasPrefix(r.RuleID, "CVE-") || strings.HasPrefix(r.RuleID, "G") || strings.HasPrefix(r.RuleID, "PYSEC") {
				ids[r.RuleID] = true
			}
			if r.RuleIndex != nil && sarif.Runs[0].Tool.Driver.Rules[*r.RuleIndex].ID != r.RuleID {
				t.Errorf("result of %s points to the rule %s", r.RuleID, sarif.Runs[0].Tool.Driver.Rules[*r.RuleIndex].ID)
			}
		}
		for _, v := range x.Vulnerabilities {
			want[v.ID] = true
		}
		for id := range want {
			if !ids[id] {
				t.Errorf("SARIF has no %s", id)
			}
		}
		for id := range ids {
			if !want[id] {
				t.Errorf("SARIF has %s too much", id)
			}
		}
		var bom struct{ Components []struct{ PURL string } }
		if err := json.Unmarshal(out["cyclonedx"], &bom); err != nil {
			t.Fatal(err)
		}
		purls := map[string]bool{}
		for _, c := range bom.Components {
			purls[c.PURL] = true
		}
		for _, p := range x.Packages {
			if !purls[p.PURL] {
				t.Errorf("CycloneDX has no %s", p.PURL)
			}
		}
	})
}
