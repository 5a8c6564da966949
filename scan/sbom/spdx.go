package sbom

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// The parts of SPDX 2.3 that are written.
type (
	spdxDocument struct {
		Version       string             `json:"spdxVersion"`
		DataLicense   string             `json:"dataLicense"`
		ID            string             `json:"SPDXID"`
		Name          string             `json:"name"`
		Namespace     string             `json:"documentNamespace"`
		Creation      spdxCreation       `json:"creationInfo"`
		Packages      []spdxPackage      `json:"packages"`
		Relationships []spdxRelationship `json:"relationships"`
		Extracted     []spdxExtracted    `json:"hasExtractedLicensingInfos,omitempty"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		ID            string           `json:"SPDXID"`
		Name          string           `json:"name"`
		Version       string           `json:"versionInfo,omitempty"`
		Purpose       string           `json:"primaryPackagePurpose,omitempty"`
		Download      string           `json:"downloadLocation"`
		FilesAnalyzed bool             `json:"filesAnalyzed"`
		Concluded     string           `json:"licenseConcluded"`
		Declared      string           `json:"licenseDeclared"`
		Copyright     string           `json:"copyrightText"`
		SourceInfo    string           `json:"sourceInfo,omitempty"`
		Checksums     []spdxChecksum   `json:"checksums,omitempty"`
		Refs          []spdxRef        `json:"externalRefs,omitempty"`
		Annotations   []spdxAnnotation `json:"annotations,omitempty"`
	}
	spdxChecksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	spdxRef struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxAnnotation struct {
		Date      string `json:"annotationDate"`
		Type      string `json:"annotationType"`
		Annotator string `json:"annotator"`
		Comment   string `json:"comment"`
	}
	spdxRelationship struct {
		Element string `json:"spdxElementId"`
		Type    string `json:"relationshipType"`
		Related string `json:"relatedSpdxElement"`
	}
	spdxExtracted struct {
		ID   string `json:"licenseId"`
		Text string `json:"extractedText"`
		Name string `json:"name,omitempty"`
	}
)

const (
	spdxRoot    = "SPDXRef-Image"
	noAssertion = "NOASSERTION"
	// annotationMark begins the annotation that carries the facts of an element.
	annotationMark = "dockreeve facts: "
)

// EncodeSPDX writes c as SPDX 2.3 JSON. SPDX has no place for vulnerabilities: those of
// the options are not written. The namespace is made of the content.
func EncodeSPDX(w io.Writer, c *scan.Catalog, opt Options) error {
	created := stamp(opt.Now)
	tool := "Tool: dockreeve"
	if opt.Version != "" {
		tool += "-" + opt.Version
	}
	annotate := func(facts []fact) []spdxAnnotation {
		if len(facts) == 0 {
			return nil
		}
		b, _ := json.Marshal(facts)
		return []spdxAnnotation{{Type: "OTHER", Annotator: tool, Comment: annotationMark + string(b)}}
	}
	doc := spdxDocument{Version: "SPDX-2.3", DataLicense: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: imageName(&c.Image),
		Creation: spdxCreation{Creators: []string{"Organization: dockreeve", tool}}}
	doc.add(spdxPackage{ID: spdxRoot, Name: imageName(&c.Image), Version: c.Image.Digest, Purpose: "CONTAINER", Annotations: annotate(imageFacts(c))})
	root := &doc.Packages[0]
	if hex, ok := strings.CutPrefix(c.Image.Digest, "sha256:"); ok && len(hex) == 64 {
		root.Checksums = []spdxChecksum{{"SHA256", hex}}
	}
	if url := imagePURL(&c.Image); url != "" {
		root.Refs = []spdxRef{{"PACKAGE-MANAGER", "purl", url}}
	}
	doc.Relationships = append(doc.Relationships, spdxRelationship{doc.ID, "DESCRIBES", spdxRoot})
	if c.Distro.ID != "" {
		doc.add(spdxPackage{ID: "SPDXRef-OperatingSystem", Name: c.Distro.ID, Version: c.Distro.Version, Purpose: "OPERATING_SYSTEM"})
		doc.Relationships = append(doc.Relationships, spdxRelationship{spdxRoot, "CONTAINS", "SPDXRef-OperatingSystem"})
	}
	extracted := map[string]bool{}
	for i := range c.Packages {
		p := &c.Packages[i]
		url := urlOf(p, c.Distro)
		declared, said, refs := spdxLicense(p.Licenses)
		for _, ref := range refs {
			if !extracted[ref.ID] {
				extracted[ref.ID] = true
				doc.Extracted = append(doc.Extracted, ref)
			}
		}
		b := back(p, url, said)
		id := fmt.Sprintf("SPDXRef-Package-%06d", i+1)
		out := spdxPackage{ID: id, Name: p.Name, Version: p.Version, Purpose: "LIBRARY", Declared: declared,
			Refs: []spdxRef{{"PACKAGE-MANAGER", "purl", url}}, Annotations: annotate(packageFacts(p, &b))}
		if p.Location != "" {
			out.SourceInfo = "read from: " + p.Location
		}
		doc.add(out)
		doc.Relationships = append(doc.Relationships, spdxRelationship{spdxRoot, "CONTAINS", id})
	}
	id, err := contentID(&doc)
	if err != nil {
		return fmt.Errorf("encode SPDX: %w", err)
	}
	doc.Namespace = "https://github.com/dockreeve/dockreeve/spdx/" + id
	doc.Creation.Created = created
	for i := range doc.Packages {
		for j := range doc.Packages[i].Annotations {
			doc.Packages[i].Annotations[j].Date = created
		}
	}
	return writeJSON(w, &doc)
}

// add appends p with what every package must say.
func (doc *spdxDocument) add(p spdxPackage) {
	p.Download, p.Concluded, p.Copyright = noAssertion, noAssertion, noAssertion
	if p.Declared == "" {
		p.Declared = noAssertion
	}
	doc.Packages = append(doc.Packages, p)
}

// spdxLicense joins licences to one expression. What is no known expression becomes a
// reference whose text is the licence as it was written. back is what reading gives.
func spdxLicense(licenses []string) (declared string, back []string, refs []spdxExtracted) {
	var parts []string
	for _, l := range licenses {
		switch {
		case l == "":
			continue
		case !expression(l):
			sum := sha256.Sum256([]byte(l))
			ref := fmt.Sprintf("LicenseRef-%x", sum[:8])
			refs = append(refs, spdxExtracted{ref, l, clip(l, 200)})
			parts = append(parts, ref)
		case strings.Contains(l, " ") && len(licenses) > 1:
			parts = append(parts, "("+l+")")
		default:
			parts = append(parts, l)
		}
	}
	declared = strings.Join(parts, " AND ")
	return declared, splitLicense(declared, byLicense(refs)), refs
}

// splitLicense gives the licences that an expression joins by AND at its top level.
func splitLicense(declared string, refs map[string]spdxExtracted) []string {
	declared = strings.TrimSpace(declared)
	if declared == "" || declared == noAssertion || declared == "NONE" || len(declared) > 1<<16 {
		return nil
	}
	var out []string
	depth, start := 0, 0
	cut := func(end int) {
		part := strings.TrimSpace(declared[start:end])
		if inner, ok := strings.CutPrefix(part, "("); ok && strings.HasSuffix(inner, ")") && balanced(inner[:len(inner)-1]) {
			part = inner[:len(inner)-1]
		}
		if ref, ok := refs[part]; ok {
			part = ref.Text
			if part == "" || len(part) > maxText {
				part = ref.Name
			}
		}
		if part != "" && len(part) <= maxText && len(out) < maxList {
			out = append(out, part)
		}
	}
	for i := range len(declared) {
		switch {
		case declared[i] == '(':
			depth++
		case declared[i] == ')':
			depth--
		case depth == 0 && strings.HasPrefix(declared[i:], " AND "):
			cut(i)
			start = i + len(" AND ")
		case depth == 0 && strings.HasPrefix(declared[i:], " OR "):
			return []string{clip(declared, maxText)} // a choice: no single licence of it holds
		}
	}
	cut(len(declared))
	return out
}

func byLicense(refs []spdxExtracted) map[string]spdxExtracted {
	m := make(map[string]spdxExtracted, len(refs))
	for _, r := range refs {
		m[r.ID] = r
	}
	return m
}

func balanced(s string) bool {
	depth := 0
	for _, r := range s {
		switch r {
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return false
			}
		}
	}
	return depth == 0
}
