package sbom

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// spdxIn is a package as it is read, from JSON or tag-value.
type spdxIn struct {
	ID          string                  `json:"SPDXID"`
	Name        string                  `json:"name"`
	Version     string                  `json:"versionInfo"`
	Purpose     string                  `json:"primaryPackagePurpose"`
	Declared    string                  `json:"licenseDeclared"`
	Concluded   string                  `json:"licenseConcluded"`
	SourceInfo  string                  `json:"sourceInfo"`
	Checksums   list[spdxChecksum]      `json:"checksums"`
	Refs        list[spdxRef]           `json:"externalRefs"`
	Annotations list[spdxInAnnotations] `json:"annotations"`
	Attribution list[string]            `json:"attributionTexts"`
}

type spdxInAnnotations struct {
	Comment string `json:"comment"`
}

func spdxVersion(version string) error {
	switch strings.TrimSpace(version) {
	case "SPDX-2.2", "SPDX-2.3":
		return nil
	}
	return fmt.Errorf("%w: %q: want SPDX-2.2 or SPDX-2.3; convert it", ErrFormat, clip(version, 20))
}

func (d *decoder) spdxJSON(b []byte, version string) error {
	if err := spdxVersion(version); err != nil {
		return err
	}
	var in struct {
		Name          string                  `json:"name"`
		Packages      json.RawMessage         `json:"packages"`
		Extracted     list[spdxExtracted]     `json:"hasExtractedLicensingInfos"`
		Describes     list[string]            `json:"documentDescribes"`
		Relationships json.RawMessage         `json:"relationships"`
		Annotations   list[spdxInAnnotations] `json:"annotations"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return place("SPDX", err)
	}
	described := map[string]bool{}
	for _, id := range in.Describes {
		described[id] = true
	}
	err := each(in.Relationships, func(dec *json.Decoder) error {
		var r spdxRelationship
		if err := dec.Decode(&r); err != nil {
			return err
		}
		if r.Type == "DESCRIBES" && len(described) < 1000 {
			described[r.Related] = true
		}
		return nil
	})
	if err != nil {
		return place("SPDX relationships", err)
	}
	extracted := byLicense(in.Extracted)
	err = each(in.Packages, func(dec *json.Decoder) error {
		var p spdxIn
		if err := dec.Decode(&p); err != nil {
			return err
		}
		return d.spdxPackage(&p, described[p.ID], extracted)
	})
	if err != nil {
		return place("SPDX packages", err)
	}
	return nil
}

// spdxPackage adds one package, or takes from it what it says of the image.
func (d *decoder) spdxPackage(p *spdxIn, described bool, extracted map[string]spdxExtracted) error {
	if err := d.count(); err != nil {
		return err
	}
	s := says{name: p.Name, version: p.Version}
	class := false
	texts := p.Attribution
	for _, a := range p.Annotations {
		texts = append(texts, a.Comment)
	}
	for _, text := range texts {
		if facts, ok := strings.CutPrefix(text, annotationMark); ok {
			var l list[fact]
			if err := json.Unmarshal([]byte(facts), &l); err != nil {
				return fmt.Errorf("annotation of %s: %w", clip(p.ID, 80), err)
			}
			s.facts = append(s.facts, l...)
			continue
		}
		name, value, ok := strings.Cut(text, ": ") // Trivy's
		if ok && len(value) <= maxText {
			class = class || name == "Class"
			switch name {
			case "LayerDiffID", "LayerDigest":
				s.property("aquasecurity:trivy:"+name, value)
			}
		}
	}
	for _, r := range p.Refs {
		if r.Type == "purl" && s.purl == "" {
			s.purl = r.Locator
		}
	}
	purpose := strings.ReplaceAll(p.Purpose, "-", "_")
	u, _ := parsePURL(s.purl)
	switch {
	case purpose == "OPERATING_SYSTEM":
		d.operatingSystem(p.Name, p.Version, nil)
		return nil
	case purpose == "CONTAINER", u.Type == "oci", u.Type == "docker", described && s.purl == "":
		d.spdxImage(p, s)
		return nil
	case s.purl == "" && (class || purpose == "FILE"):
		return nil // Trivy's stand-in for a lock file; the packages in it are listed too
	}
	if rest, ok := strings.CutPrefix(p.SourceInfo, "built package from: "); ok { // Trivy's
		s.srcName, s.srcVersion, _ = strings.Cut(rest, " ")
	} else if rest, ok := strings.CutPrefix(p.SourceInfo, "acquired package info from "); ok { // Syft's
		if _, paths, ok := strings.Cut(rest, ": "); ok {
			first, _, _ := strings.Cut(paths, ", ")
			s.location = strings.TrimPrefix(clip(first, maxText), "/")
		}
	}
	s.licenses = splitLicense(p.Declared, extracted)
	if len(s.licenses) == 0 {
		s.licenses = splitLicense(p.Concluded, extracted)
	}
	d.add(s)
	return nil
}

func (d *decoder) spdxImage(p *spdxIn, s says) {
	i := &d.cat.Image
	if i.Name == "" {
		i.Name = clip(p.Name, maxText)
	}
	if strings.HasPrefix(p.Version, "sha256:") && len(p.Version) == 71 {
		i.Digest = p.Version
	}
	for _, c := range p.Checksums {
		if c.Algorithm == "SHA256" && len(c.Value) == 64 && i.Digest == "" {
			i.Digest = "sha256:" + c.Value
		}
	}
	d.imagePURL(s.purl)
	for _, f := range s.facts {
		d.image(f)
	}
}

// spdxTagValue reads the tag-value form: lines of "Tag: value", where a value may span
// lines between <text> and </text>. A package begins at its PackageName.
func (d *decoder) spdxTagValue(b []byte) error {
	var packages []spdxIn
	var extracted []spdxExtracted
	described := map[string]bool{}
	byID := map[string]int{}
	var comment, about string // of the annotation that is being read
	version := ""
	inPackage := false
	annotate := func() {
		if i, ok := byID[about]; ok && comment != "" && len(packages[i].Annotations) < maxList {
			packages[i].Annotations = append(packages[i].Annotations, spdxInAnnotations{comment})
		}
		comment, about = "", ""
	}
	for n := 1; len(b) > 0; n++ {
		tag, value, rest, lines, err := tagValue(b)
		if err != nil {
			return fmt.Errorf("%w: SPDX line %d: %w", ErrFormat, n, err)
		}
		b = rest
		at := n
		n += lines
		if tag == "" {
			continue
		}
		if version == "" && tag != "SPDXVersion" {
			return fmt.Errorf("%w: SPDX line %d: want SPDXVersion first", ErrFormat, at)
		}
		var p *spdxIn
		if inPackage {
			p = &packages[len(packages)-1]
		}
		switch tag {
		case "SPDXVersion":
			if err := spdxVersion(value); err != nil {
				return err
			}
			version = value
		case "PackageName":
			if len(packages) >= MaxPackages {
				return fmt.Errorf("%w: SPDX line %d: over %d packages", ErrBound, at, MaxPackages)
			}
			packages, inPackage = append(packages, spdxIn{Name: value}), true
		case "FileName", "SnippetSPDXID", "Creator":
			inPackage = false
		case "LicenseID":
			inPackage = false
			if len(extracted) < maxList {
				extracted = append(extracted, spdxExtracted{ID: value})
			}
		case "ExtractedText":
			if len(extracted) > 0 {
				extracted[len(extracted)-1].Text = value
			}
		case "LicenseName":
			if len(extracted) > 0 {
				extracted[len(extracted)-1].Name = value
			}
		case "Relationship":
			words := strings.Fields(value)
			if len(words) == 3 && words[1] == "DESCRIBES" && len(described) < 1000 {
				described[words[2]] = true
			}
		case "Annotator":
			annotate()
		case "SPDXREF":
			about = value
			if comment != "" {
				annotate()
			}
		case "AnnotationComment":
			comment = value
			if about != "" {
				annotate()
			}
		}
		if p == nil {
			continue
		}
		switch tag {
		case "SPDXID":
			if p.ID == "" {
				p.ID = value
				byID[value] = len(packages) - 1
			}
		case "PackageVersion":
			p.Version = value
		case "PrimaryPackagePurpose":
			p.Purpose = value
		case "PackageLicenseDeclared":
			p.Declared = value
		case "PackageLicenseConcluded":
			p.Concluded = value
		case "PackageSourceInfo":
			p.SourceInfo = value
		case "PackageAttributionText":
			if len(p.Attribution) < maxList {
				p.Attribution = append(p.Attribution, value)
			}
		case "PackageChecksum":
			if algorithm, sum, ok := strings.Cut(value, ": "); ok && len(p.Checksums) < 100 {
				p.Checksums = append(p.Checksums, spdxChecksum{algorithm, sum})
			}
		case "ExternalRef":
			if words := strings.Fields(value); len(words) == 3 && len(p.Refs) < 1000 {
				p.Refs = append(p.Refs, spdxRef{words[0], words[1], words[2]})
			}
		}
	}
	texts := byLicense(extracted)
	for i := range packages {
		if err := d.spdxPackage(&packages[i], described[packages[i].ID], texts); err != nil {
			return place("SPDX packages", err)
		}
	}
	return nil
}

// tagValue cuts the first entry off b; lines is by how many lines it is longer than one.
func tagValue(b []byte) (tag, value string, rest []byte, lines int, err error) {
	line, rest, _ := bytes.Cut(b, []byte("\n"))
	text := strings.TrimSpace(string(line))
	if text == "" || text[0] == '#' {
		return "", "", rest, 0, nil
	}
	tag, value, ok := strings.Cut(text, ":")
	if !ok {
		return "", "", nil, 0, fmt.Errorf("%q is no \"Tag: value\"", clip(text, 60))
	}
	value = strings.TrimSpace(value)
	open := strings.Index(value, "<text>")
	if open < 0 {
		return tag, value, rest, 0, nil
	}
	head := value[:open]
	if body, after, ok := strings.Cut(value[open+6:], "</text>"); ok {
		return tag, head + body + after, rest, 0, nil
	}
	start := len(b) - len(rest)
	begin := bytes.Index(b[:start], []byte("<text>")) + 6
	end := bytes.Index(b[begin:], []byte("</text>"))
	if end < 0 {
		return "", "", nil, 0, fmt.Errorf("%s: <text> without </text>", clip(tag, 40))
	}
	body := b[begin : begin+end]
	_, rest, _ = bytes.Cut(b[begin+end:], []byte("\n"))
	return tag, head + string(body), rest, bytes.Count(body, []byte("\n")), nil
}
