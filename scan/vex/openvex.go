package vex

import (
	"encoding/json"
	"fmt"
)

// openVEX is what is read of an OpenVEX document. Early versions of the format write
// vulnerabilities and products as plain strings.
type openVEX struct {
	ID          string `json:"@id"`
	Author      string `json:"author"`
	Timestamp   string `json:"timestamp"`
	LastUpdated string `json:"last_updated"`
	Statements  []struct {
		Vulnerability   openVulnerability `json:"vulnerability"`
		Timestamp       string            `json:"timestamp"`
		LastUpdated     string            `json:"last_updated"`
		Products        []openProduct     `json:"products"`
		Subcomponents   []openComponent   `json:"subcomponents"` // early versions
		Status          Status            `json:"status"`
		StatusNotes     string            `json:"status_notes"`
		Justification   string            `json:"justification"`
		ImpactStatement string            `json:"impact_statement"`
		ActionStatement string            `json:"action_statement"`
	} `json:"statements"`
}

type openVulnerability struct {
	ID      string   `json:"@id"`
	Name    string   `json:"name"`
	Aliases []string `json:"aliases"`
}

func (v *openVulnerability) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &v.Name)
	}
	type plain openVulnerability
	return json.Unmarshal(b, (*plain)(v))
}

type openComponent struct {
	ID          string            `json:"@id"`
	Identifiers map[string]string `json:"identifiers"`
	Hashes      map[string]string `json:"hashes"`
}

func (c *openComponent) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &c.ID)
	}
	type plain openComponent
	return json.Unmarshal(b, (*plain)(c))
}

type openProduct struct {
	openComponent
	Subcomponents []openComponent `json:"subcomponents"`
}

func (p *openProduct) UnmarshalJSON(b []byte) error {
	if err := p.openComponent.UnmarshalJSON(b); err != nil || len(b) == 0 || b[0] == '"' {
		return err
	}
	var more struct {
		Subcomponents []openComponent `json:"subcomponents"`
	}
	err := json.Unmarshal(b, &more)
	p.Subcomponents = more.Subcomponents
	return err
}

// ids are all the ways a component is named, package URLs first.
func (c *openComponent) ids() []string {
	var out []string
	if p := c.Identifiers["purl"]; p != "" {
		out = append(out, p)
	}
	if c.ID != "" && (len(out) == 0 || out[0] != c.ID) {
		out = append(out, c.ID)
	}
	for _, k := range []string{"cpe23", "cpe22"} {
		if v := c.Identifiers[k]; v != "" {
			out = append(out, v)
		}
	}
	for _, k := range []string{"sha-256", "sha256"} {
		if v := c.Hashes[k]; len(v) == 64 {
			out = append(out, "sha256:"+v)
		}
	}
	return out
}

func readOpenVEX(b []byte) (*Document, error) {
	var in openVEX
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("OpenVEX: %w", place(b, err))
	}
	d := &Document{Format: "OpenVEX", ID: in.ID, Author: in.Author, Time: when(in.LastUpdated, in.Timestamp)}
	for i := range in.Statements {
		s := &in.Statements[i]
		pos := fmt.Sprintf("statement %d", i+1)
		switch s.Status {
		case NotAffected, Fixed, Affected, UnderInvestigation:
		default:
			return nil, fmt.Errorf("OpenVEX: %s: status %q: want not_affected, affected, fixed or under_investigation", pos, short(string(s.Status)))
		}
		out := Statement{Position: pos, Status: s.Status, Justification: s.Justification,
			Detail: join("; ", s.ImpactStatement, s.ActionStatement, s.StatusNotes), Time: when(s.LastUpdated, s.Timestamp)}
		if s.ImpactStatement == "" && s.Justification == "" {
			out.Detail = join("; ", s.ActionStatement, s.StatusNotes)
		}
		out.IDs = add(out.IDs, s.Vulnerability.Name, s.Vulnerability.ID)
		out.IDs = add(out.IDs, s.Vulnerability.Aliases...)
		if len(out.IDs) == 0 {
			return nil, fmt.Errorf("OpenVEX: %s names no vulnerability", pos)
		}
		if out.Justification == "" && s.ImpactStatement != "" {
			out.Justification = s.ImpactStatement
		}
		for k := range s.Products {
			p := &s.Products[k]
			product := Product{IDs: p.ids()}
			for _, list := range [][]openComponent{p.Subcomponents, s.Subcomponents} {
				for n := range list {
					product.Parts = append(product.Parts, Part{list[n].ids()})
				}
			}
			out.Products = append(out.Products, product)
		}
		d.Statements = append(d.Statements, out)
	}
	return d, nil
}
