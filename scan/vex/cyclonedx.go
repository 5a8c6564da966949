package vex

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// cycloneDX is what is read of a CycloneDX document for VEX: the components only to
// know what a vulnerability's references mean.
type cycloneDX struct {
	Serial   string `json:"serialNumber"`
	Metadata struct {
		Timestamp string        `json:"timestamp"`
		Component *cdxComponent `json:"component"`
		Authors   []struct {
			Name string `json:"name"`
		} `json:"authors"`
	} `json:"metadata"`
	Components      []cdxComponent `json:"components"`
	Vulnerabilities []struct {
		ID         string `json:"id"`
		References []struct {
			ID string `json:"id"`
		} `json:"references"`
		Updated   string `json:"updated"`
		Published string `json:"published"`
		Analysis  *struct {
			State         string   `json:"state"`
			Justification string   `json:"justification"`
			Response      []string `json:"response"`
			Detail        string   `json:"detail"`
			FirstIssued   string   `json:"firstIssued"`
			LastUpdated   string   `json:"lastUpdated"`
		} `json:"analysis"`
		Affects []struct {
			Ref      string `json:"ref"`
			Versions []struct {
				Version string `json:"version"`
				Range   string `json:"range"`
				Status  string `json:"status"`
			} `json:"versions"`
		} `json:"affects"`
	} `json:"vulnerabilities"`
}

type cdxComponent struct {
	Ref     string `json:"bom-ref"`
	Type    string `json:"type"`
	Group   string `json:"group"`
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl"`
	CPE     string `json:"cpe"`
	Hashes  []struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	} `json:"hashes"`
	Components []cdxComponent `json:"components"`
}

func (c *cdxComponent) ids() []string {
	var out []string
	if c.PURL != "" {
		out = append(out, c.PURL)
	}
	if c.Type == "container" {
		if isDigest(c.Version) {
			out = append(out, c.Version)
		} else if c.PURL == "" && c.Name != "" {
			ref := c.Name
			if c.Version != "" {
				ref += ":" + c.Version
			}
			out = append(out, ref)
		}
		for _, h := range c.Hashes {
			if h.Algorithm == "SHA-256" && len(h.Content) == 64 {
				out = append(out, "sha256:"+strings.ToLower(h.Content))
			}
		}
	}
	if c.CPE != "" {
		out = append(out, c.CPE)
	}
	if len(out) == 0 && c.Name != "" {
		out = append(out, strings.TrimSuffix(c.Name+"@"+c.Version, "@"))
	}
	return out
}

// cdxStates are CycloneDX's words for our statuses.
var cdxStates = map[string]Status{"resolved": Fixed, "resolved_with_pedigree": Fixed, "exploitable": Affected, "in_triage": UnderInvestigation,
	"false_positive": NotAffected, "not_affected": NotAffected}

// maxNested bounds how deep components hold components.
const maxNested = 64

func readCycloneDX(b []byte) (*Document, error) {
	var in cycloneDX
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("CycloneDX: %w", place(b, err))
	}
	d := &Document{Format: "CycloneDX", ID: in.Serial, Time: when(in.Metadata.Timestamp)}
	for _, a := range in.Metadata.Authors {
		d.Author = or(d.Author, a.Name)
	}
	byRef := map[string]*cdxComponent{}
	var walk func(list []cdxComponent, depth int) error
	walk = func(list []cdxComponent, depth int) error {
		if depth > maxNested {
			return fmt.Errorf("CycloneDX: components are nested deeper than %d", maxNested)
		}
		for i := range list {
			if r := list[i].Ref; r != "" {
				byRef[r] = &list[i]
			}
			if err := walk(list[i].Components, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(in.Components, 0); err != nil {
		return nil, err
	}
	about := in.Metadata.Component
	if about != nil && about.Ref != "" {
		byRef[about.Ref] = about
	}
	for i := range in.Vulnerabilities {
		v := &in.Vulnerabilities[i]
		pos := fmt.Sprintf("vulnerability %d", i+1)
		if v.Analysis == nil {
			continue // a finding without a judgement is no statement
		}
		status, ok := cdxStates[v.Analysis.State]
		if !ok {
			return nil, fmt.Errorf("CycloneDX: %s: analysis state %q: want resolved, resolved_with_pedigree, exploitable, in_triage, false_positive or not_affected", pos, short(v.Analysis.State))
		}
		s := Statement{Position: pos, Status: status, Justification: or(v.Analysis.Justification, v.Analysis.Detail),
			Detail: join("; ", v.Analysis.Detail, strings.Join(v.Analysis.Response, ", ")), Time: when(v.Analysis.LastUpdated, v.Analysis.FirstIssued, v.Updated)}
		s.IDs = add(s.IDs, v.ID)
		for _, r := range v.References {
			s.IDs = add(s.IDs, r.ID)
		}
		if len(s.IDs) == 0 {
			return nil, fmt.Errorf("CycloneDX: %s has no id", pos)
		}
		for _, a := range v.Affects {
			p := cdxProduct(a.Ref, byRef, about)
			for _, ver := range a.Versions {
				switch {
				case ver.Range != "":
					p.Versions = append(p.Versions, "range "+ver.Range)
				case ver.Version != "" && !(status.suppresses() && ver.Status == "affected"):
					p.Versions = append(p.Versions, ver.Version)
				}
			}
			s.Products = append(s.Products, p)
		}
		if len(v.Affects) == 0 && about != nil {
			s.Products = append(s.Products, Product{IDs: about.ids()})
		}
		d.Statements = append(d.Statements, s)
	}
	return d, nil
}

// cdxProduct tells what a reference means: a component of the document, a package URL
// itself, or either behind a link to another document. In a document about an image,
// a component is meant as part of that image.
func cdxProduct(ref string, byRef map[string]*cdxComponent, about *cdxComponent) Product {
	if rest, ok := strings.CutPrefix(ref, "urn:cdx:"); ok {
		if _, fragment, ok := strings.Cut(rest, "#"); ok {
			if plain, err := url.PathUnescape(fragment); err == nil && (byRef[fragment] == nil) {
				fragment = plain
			}
			ref = fragment
		}
	}
	c := byRef[ref]
	ids := []string{ref}
	if c != nil {
		ids = c.ids()
	}
	if about != nil && c != about && about.Type == "container" {
		if whole := about.ids(); len(whole) > 0 {
			return Product{IDs: whole, Parts: []Part{{ids}}}
		}
	}
	return Product{IDs: ids}
}
