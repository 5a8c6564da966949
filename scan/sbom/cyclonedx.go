package sbom

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// The parts of CycloneDX 1.6 that are written.
type (
	cdxBOM struct {
		Schema          string             `json:"$schema"`
		Format          string             `json:"bomFormat"`
		SpecVersion     string             `json:"specVersion"`
		Serial          string             `json:"serialNumber,omitempty"`
		Version         int                `json:"version"`
		Metadata        cdxMetadata        `json:"metadata"`
		Components      []cdxComponent     `json:"components"`
		Compositions    []cdxComposition   `json:"compositions,omitempty"`
		Vulnerabilities []cdxVulnerability `json:"vulnerabilities,omitempty"`
	}
	cdxMetadata struct {
		Timestamp  string       `json:"timestamp"`
		Tools      cdxTools     `json:"tools"`
		Component  cdxComponent `json:"component"`
		Properties []fact       `json:"properties,omitempty"`
	}
	cdxTools struct {
		Components []cdxComponent `json:"components"`
	}
	cdxComponent struct {
		Ref        string       `json:"bom-ref,omitempty"`
		Type       string       `json:"type"`
		Group      string       `json:"group,omitempty"`
		Name       string       `json:"name"`
		Version    string       `json:"version,omitempty"`
		Licenses   []cdxLicense `json:"licenses,omitempty"`
		PURL       string       `json:"purl,omitempty"`
		Properties []fact       `json:"properties,omitempty"`
	}
	cdxLicense struct {
		License    *cdxLicenseName `json:"license,omitempty"`
		Expression string          `json:"expression,omitempty"`
	}
	cdxLicenseName struct {
		ID   string `json:"id,omitempty"`
		Name string `json:"name,omitempty"`
	}
	cdxComposition struct {
		Aggregate  string   `json:"aggregate"`
		Assemblies []string `json:"assemblies"`
	}
	cdxVulnerability struct {
		ID             string        `json:"id"`
		Source         *cdxSource    `json:"source,omitempty"`
		References     []cdxAlias    `json:"references,omitempty"`
		Ratings        []cdxRating   `json:"ratings,omitempty"`
		Description    string        `json:"description,omitempty"`
		Recommendation string        `json:"recommendation,omitempty"`
		Advisories     []cdxAdvisory `json:"advisories,omitempty"`
		Published      string        `json:"published,omitempty"`
		Updated        string        `json:"updated,omitempty"`
		Analysis       *cdxAnalysis  `json:"analysis,omitempty"`
		Affects        []cdxAffects  `json:"affects"`
		Properties     []fact        `json:"properties,omitempty"`
	}
	cdxSource struct {
		Name string `json:"name"`
	}
	cdxAlias struct {
		ID     string    `json:"id"`
		Source cdxSource `json:"source"`
	}
	cdxRating struct {
		Source   *cdxSource `json:"source,omitempty"`
		Score    float64    `json:"score,omitempty"`
		Severity string     `json:"severity"`
		Method   string     `json:"method,omitempty"`
		Vector   string     `json:"vector,omitempty"`
	}
	cdxAdvisory struct {
		URL string `json:"url"`
	}
	cdxAnalysis struct {
		Response []string `json:"response,omitempty"`
		Detail   string   `json:"detail,omitempty"`
	}
	cdxAffects struct {
		Ref      string       `json:"ref"`
		Versions []cdxVersion `json:"versions"`
	}
	cdxVersion struct {
		Version string `json:"version"`
		Status  string `json:"status"`
	}
)

const (
	rootRef    = "image"
	maxVersion = 1000 // bytes; CycloneDX takes 1,024 characters. The package URL has all of it
)

// EncodeCycloneDX writes c as CycloneDX 1.6 JSON. The serial number is made of the
// content, so that the same content written at another time is known to be the same.
func EncodeCycloneDX(w io.Writer, c *scan.Catalog, opt Options) error {
	bom := cdxBOM{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Components: make([]cdxComponent, 0, len(c.Packages)+1),
	}
	bom.Metadata.Tools.Components = []cdxComponent{{Type: "application", Group: "dockreeve", Name: "dockreeve", Version: opt.Version}}
	root := cdxComponent{Ref: rootRef, Type: "container", Name: imageName(&c.Image), Version: clip(c.Image.Digest, maxVersion), PURL: imagePURL(&c.Image)}
	if c.Image.Kind == scan.KindRootfs || c.Image.Kind == scan.KindHost {
		root.Type = "device"
	}
	root.Properties = imageFacts(c)
	bom.Metadata.Component = root

	taken := map[string]bool{rootRef: true}
	unique := func(want string) string {
		ref := want
		for n := 2; taken[ref]; n++ {
			ref = want + "#" + strconv.Itoa(n)
		}
		taken[ref] = true
		return ref
	}
	if c.Distro.ID != "" {
		bom.Components = append(bom.Components, cdxComponent{Ref: unique("os"), Type: "operating-system", Name: c.Distro.ID, Version: clip(c.Distro.Version, maxVersion)})
	}
	refs := make([]string, len(c.Packages))
	next := map[string]int{} // keeps a purl that very many packages share from costing the square
	for i := range c.Packages {
		p := &c.Packages[i]
		url := urlOf(p, c.Distro)
		want := url
		if next[url]++; next[url] > 1 {
			want = url + "#" + strconv.Itoa(next[url])
		}
		refs[i] = unique(want)
		licenses, said := cdxLicenses(p.Licenses)
		b := back(p, url, said)
		group, name := cdxName(p)
		bom.Components = append(bom.Components, cdxComponent{
			Ref: refs[i], Type: "library", Group: group, Name: name, Version: clip(p.Version, maxVersion),
			Licenses: licenses, PURL: url, Properties: packageFacts(p, &b),
		})
	}
	aggregate := "complete"
	if len(c.NotAssessed) > 0 {
		aggregate = "incomplete"
	}
	bom.Compositions = []cdxComposition{{Aggregate: aggregate, Assemblies: []string{rootRef}}}
	bom.vulnerabilities(c, refs, opt)
	serial, err := contentID(&bom)
	if err != nil {
		return fmt.Errorf("encode CycloneDX: %w", err)
	}
	bom.Serial = "urn:uuid:" + serial
	bom.Metadata.Timestamp = stamp(opt.Now)
	return writeJSON(w, &bom)
}

func (bom *cdxBOM) vulnerabilities(c *scan.Catalog, refs []string, opt Options) {
	type key struct{ id, ref string }
	seen := map[key]bool{}
	add := func(v *scan.Vulnerability, s *scan.Suppressed) {
		if v.Package < 0 || v.Package >= len(refs) || seen[key{v.ID, refs[v.Package]}] {
			return
		}
		seen[key{v.ID, refs[v.Package]}] = true
		bom.Vulnerabilities = append(bom.Vulnerabilities, cdxVulnerabilityOf(v, s, &c.Packages[v.Package], refs[v.Package]))
	}
	for i := range opt.Vulnerabilities {
		add(&opt.Vulnerabilities[i], nil)
	}
	for i := range opt.Suppressed {
		add(&opt.Suppressed[i].Vulnerability, &opt.Suppressed[i])
	}
}

func cdxVulnerabilityOf(v *scan.Vulnerability, s *scan.Suppressed, p *scan.Package, ref string) cdxVulnerability {
	out := cdxVulnerability{ID: v.ID, Description: v.Title,
		Affects: []cdxAffects{{Ref: ref, Versions: []cdxVersion{{Version: clip(p.Version, maxVersion), Status: "affected"}}}}}
	if v.Source != "" {
		out.Source = &cdxSource{Name: v.Source}
	}
	for _, alias := range v.Aliases {
		prefix, _, _ := strings.Cut(alias, "-")
		out.References = append(out.References, cdxAlias{ID: alias, Source: cdxSource{Name: prefix}})
	}
	rating := cdxRating{Severity: cdxSeverity(v.Severity), Score: v.CVSS, Vector: v.Vector}
	if v.SeverityFrom != "" {
		rating.Source = &cdxSource{Name: v.SeverityFrom}
	}
	switch {
	case strings.HasPrefix(v.Vector, "CVSS:4"):
		rating.Method = "CVSSv4"
	case strings.HasPrefix(v.Vector, "CVSS:3.1"):
		rating.Method = "CVSSv31"
	case strings.HasPrefix(v.Vector, "CVSS:3"):
		rating.Method = "CVSSv3"
	case v.Vector != "":
		rating.Method = "CVSSv2"
	}
	out.Ratings = []cdxRating{rating}
	for _, ref := range v.References {
		out.Advisories = append(out.Advisories, cdxAdvisory{URL: ref})
	}
	if v.Published != 0 {
		out.Published = stamp(v.Published)
	}
	if v.Modified != 0 {
		out.Updated = stamp(v.Modified)
	}
	if v.Fixable() {
		out.Recommendation = fmt.Sprintf("Update %s to %s or later.", p.Name, v.FixedIn)
	}
	if v.Status == scan.WontFix {
		out.Analysis = &cdxAnalysis{Response: []string{"will_not_fix"}}
	}
	property := func(name, value string) {
		if value != "" {
			out.Properties = append(out.Properties, fact{Prefix + name, value})
		}
	}
	property("status", string(v.Status))
	property("fixedIn", v.FixedIn)
	if v.EPSS != nil {
		property("epss", strconv.FormatFloat(v.EPSS.Score, 'f', -1, 64))
	}
	if v.KEV != nil {
		property("kev", v.KEV.Added)
	}
	property("use", string(v.Use.State))
	if s != nil {
		if out.Analysis == nil {
			out.Analysis = &cdxAnalysis{}
		}
		out.Analysis.Detail = "Suppressed by " + s.By + ": " + s.Reason
		property("suppressedBy", s.By)
		property("suppressedReason", s.Reason)
		property("suppressedUntil", s.Until)
	}
	return out
}

func cdxSeverity(s finding.Severity) string {
	switch s {
	case finding.Critical, finding.High, finding.Medium, finding.Low:
		return s.String()
	case finding.Informational:
		return "info"
	}
	return "unknown"
}

// cdxName splits a name as its package URL does.
func cdxName(p *scan.Package) (group, name string) {
	sep := ""
	switch p.Type {
	case scan.Maven:
		sep = ":"
	case scan.NPM, scan.Composer:
		sep = "/"
	}
	if i := strings.LastIndex(p.Name, sep); sep != "" && i > 0 && i+1 < len(p.Name) {
		return p.Name[:i], p.Name[i+1:]
	}
	return "", p.Name
}

// cdxLicenses gives the licences as CycloneDX has them, and what reading them back gives.
func cdxLicenses(licenses []string) (out []cdxLicense, back []string) {
	if len(licenses) == 1 && expression(licenses[0]) && !licenseIDs[licenses[0]] {
		return []cdxLicense{{Expression: licenses[0]}}, licenses
	}
	for _, l := range licenses {
		switch {
		case l == "":
			continue
		case licenseIDs[l]:
			out = append(out, cdxLicense{License: &cdxLicenseName{ID: l}})
		default:
			out = append(out, cdxLicense{License: &cdxLicenseName{Name: l}})
		}
		back = append(back, l)
	}
	return out, back
}

func imageName(i *scan.Image) string {
	for _, name := range []string{i.Name, i.Repository, i.Digest} {
		if name != "" {
			return name
		}
	}
	return "unnamed"
}

// imagePURL names an image that a registry holds; "" for any other.
func imagePURL(i *scan.Image) string {
	if i.Repository == "" || i.Digest == "" {
		return ""
	}
	name := i.Repository[strings.LastIndexByte(i.Repository, '/')+1:]
	var b strings.Builder
	b.WriteString("pkg:oci/")
	escapePURL(&b, strings.ToLower(name))
	b.WriteByte('@')
	escapePURL(&b, i.Digest)
	sep := byte('?')
	if parts := strings.Split(i.Platform, "/"); len(parts) >= 2 {
		b.WriteString("?arch=")
		escapePURL(&b, parts[1])
		sep = '&'
	}
	b.WriteByte(sep)
	b.WriteString("repository_url=")
	escapePURL(&b, i.Repository)
	return b.String()
}

func stamp(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339) }

// contentID is a version 8 UUID of the SHA-256 of v as JSON.
func contentID(v any) (string, error) {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(v); err != nil {
		return "", err
	}
	b := h.Sum(nil)[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write the SBOM: %w", err)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write the SBOM: %w", err)
	}
	return nil
}
