package vex

import (
	"encoding/json"
	"fmt"
	"strings"
)

// csaf is what is read of a CSAF document of profile VEX, or of a security advisory.
type csaf struct {
	Document struct {
		Version   string `json:"csaf_version"`
		Publisher struct {
			Name string `json:"name"`
		} `json:"publisher"`
		Tracking struct {
			ID      string `json:"id"`
			Current string `json:"current_release_date"`
			Initial string `json:"initial_release_date"`
		} `json:"tracking"`
	} `json:"document"`
	ProductTree struct {
		Branches      []csafBranch  `json:"branches"`
		FullNames     []csafProduct `json:"full_product_names"`
		Relationships []struct {
			Category  string      `json:"category"`
			Product   csafProduct `json:"full_product_name"`
			Reference string      `json:"product_reference"`
			RelatesTo string      `json:"relates_to_product_reference"`
		} `json:"relationships"`
		Groups []struct {
			ID       string   `json:"group_id"`
			Products []string `json:"product_ids"`
		} `json:"product_groups"`
	} `json:"product_tree"`
	Vulnerabilities []csafVulnerability `json:"vulnerabilities"`
}

type csafBranch struct {
	Branches []csafBranch `json:"branches"`
	Product  *csafProduct `json:"product"`
}

type csafProduct struct {
	ID     string `json:"product_id"`
	Name   string `json:"name"`
	Helper struct {
		PURL   string   `json:"purl"`
		PURLs  []string `json:"purls"`
		CPE    string   `json:"cpe"`
		Hashes []struct {
			Files []struct {
				Algorithm string `json:"algorithm"`
				Value     string `json:"value"`
			} `json:"file_hashes"`
		} `json:"hashes"`
	} `json:"product_identification_helper"`
}

func (p *csafProduct) ids() []string {
	var out []string
	if p.Helper.PURL != "" {
		out = append(out, p.Helper.PURL)
	}
	out = append(out, p.Helper.PURLs...)
	for _, h := range p.Helper.Hashes {
		for _, f := range h.Files {
			if strings.EqualFold(f.Algorithm, "sha256") && len(f.Value) == 64 {
				out = append(out, "sha256:"+strings.ToLower(f.Value))
			}
		}
	}
	if p.Helper.CPE != "" {
		out = append(out, p.Helper.CPE)
	}
	if len(out) == 0 {
		out = append(out, or(p.Name, p.ID))
	}
	return out
}

type csafVulnerability struct {
	CVE string `json:"cve"`
	IDs []struct {
		Text string `json:"text"`
	} `json:"ids"`
	Status struct {
		NotAffected   []string `json:"known_not_affected"`
		Fixed         []string `json:"fixed"`
		FirstFixed    []string `json:"first_fixed"`
		Affected      []string `json:"known_affected"`
		FirstAffected []string `json:"first_affected"`
		LastAffected  []string `json:"last_affected"`
		Investigated  []string `json:"under_investigation"`
	} `json:"product_status"`
	Flags   []csafNote `json:"flags"`
	Threats []csafNote `json:"threats"`
}

// csafNote is a flag (label) or a threat (category and details) for some products;
// naming none, it is for all.
type csafNote struct {
	Label    string   `json:"label"`
	Category string   `json:"category"`
	Details  string   `json:"details"`
	Products []string `json:"product_ids"`
	Groups   []string `json:"group_ids"`
}

// maxBranches bounds how deep the product tree is followed.
const maxBranches = 64

func readCSAF(b []byte) (*Document, error) {
	var in csaf
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("CSAF: %w", place(b, err))
	}
	if in.Document.Version == "" {
		return nil, fmt.Errorf(`%w: "document" has no csaf_version`, ErrFormat)
	}
	t := &in.Document.Tracking
	d := &Document{Format: "CSAF", ID: t.ID, Author: in.Document.Publisher.Name, Time: when(t.Current, t.Initial)}
	products, err := in.products()
	if err != nil {
		return nil, err
	}
	groups := map[string][]string{}
	for _, g := range in.ProductTree.Groups {
		groups[g.ID] = g.Products
	}
	for i := range in.Vulnerabilities {
		v := &in.Vulnerabilities[i]
		pos := fmt.Sprintf("vulnerability %d", i+1)
		var ids []string
		ids = add(ids, v.CVE)
		for _, id := range v.IDs {
			ids = add(ids, id.Text)
		}
		if len(ids) == 0 {
			return nil, fmt.Errorf("CSAF: %s has neither a cve nor ids", pos)
		}
		flags, err := csafNotes(v.Flags, groups, func(n *csafNote) string { return n.Label })
		if err != nil {
			return nil, err
		}
		impacts, err := csafNotes(v.Threats, groups, func(n *csafNote) string {
			if n.Category != "impact" {
				return ""
			}
			return n.Details
		})
		if err != nil {
			return nil, err
		}
		for _, s := range []struct {
			word   string
			status Status
			ids    []string
		}{
			{"known_not_affected", NotAffected, v.Status.NotAffected},
			{"fixed", Fixed, append(v.Status.Fixed, v.Status.FirstFixed...)},
			{"known_affected", Affected, append(append(v.Status.Affected, v.Status.FirstAffected...), v.Status.LastAffected...)},
			{"under_investigation", UnderInvestigation, v.Status.Investigated},
		} {
			// Products with the same justification make one statement.
			byReason := map[[2]string]int{}
			for _, id := range s.ids {
				reason := [2]string{flags.of(id), impacts.of(id)}
				k, ok := byReason[reason]
				if !ok {
					k = len(d.Statements)
					byReason[reason] = k
					d.Statements = append(d.Statements, Statement{Position: pos + " (" + s.word + ")", IDs: ids, Status: s.status,
						Justification: or(reason[0], reason[1]), Detail: reason[1]})
					if len(d.Statements) > MaxStatements {
						return nil, fmt.Errorf("CSAF: more than %d statements", MaxStatements)
					}
				}
				p, known := products[id]
				if !known {
					return nil, fmt.Errorf("CSAF: %s: product %q is not in the product tree", pos, short(id))
				}
				d.Statements[k].Products = append(d.Statements[k].Products, p)
			}
		}
	}
	return d, nil
}

// noted is what flags or threats say of products.
type noted struct {
	all string
	by  map[string]string
}

func (n noted) of(product string) string { return or(n.by[product], n.all) }

func csafNotes(notes []csafNote, groups map[string][]string, text func(*csafNote) string) (noted, error) {
	out := noted{by: map[string]string{}}
	left := maxProducts
	put := func(ids []string, s string) {
		left -= len(ids) + 1
		for _, id := range ids {
			if left >= 0 && out.by[id] == "" {
				out.by[id] = s
			}
		}
	}
	for i := range notes {
		n := &notes[i]
		s := text(n)
		if s == "" {
			continue
		}
		if len(n.Products) == 0 && len(n.Groups) == 0 {
			out.all = or(out.all, s)
		}
		put(n.Products, s)
		for _, g := range n.Groups {
			put(groups[g], s)
			if left < 0 {
				break
			}
		}
		if left < 0 {
			return out, fmt.Errorf("CSAF: flags and threats name more than %d products", maxProducts)
		}
	}
	return out, nil
}

// products flattens the product tree; a relationship is the component as part of what
// it relates to.
func (in *csaf) products() (map[string]Product, error) {
	plain := map[string][]string{}
	var walk func(list []csafBranch, depth int) error
	walk = func(list []csafBranch, depth int) error {
		if depth > maxBranches {
			return fmt.Errorf("CSAF: product tree is deeper than %d branches", maxBranches)
		}
		for i := range list {
			if p := list[i].Product; p != nil {
				plain[p.ID] = p.ids()
			}
			if err := walk(list[i].Branches, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(in.ProductTree.Branches, 0); err != nil {
		return nil, err
	}
	for i := range in.ProductTree.FullNames {
		p := &in.ProductTree.FullNames[i]
		plain[p.ID] = p.ids()
	}
	out := make(map[string]Product, len(plain))
	for id, ids := range plain {
		out[id] = Product{IDs: ids}
	}
	for i := range in.ProductTree.Relationships {
		r := &in.ProductTree.Relationships[i]
		part, ok := plain[r.Reference]
		if !ok {
			return nil, fmt.Errorf("CSAF: relationship %d: product %q is not in the product tree", i+1, short(r.Reference))
		}
		whole, ok := plain[r.RelatesTo]
		if !ok {
			return nil, fmt.Errorf("CSAF: relationship %d: product %q is not in the product tree", i+1, short(r.RelatesTo))
		}
		p := Product{IDs: whole, Parts: []Part{{part}}, Platform: len(whole) == 1 && strings.HasPrefix(whole[0], "cpe:")}
		if own := r.Product.Helper.PURL; own != "" {
			p.Parts[0].IDs = append([]string{own}, part...)
		}
		out[r.Product.ID] = p
	}
	return out, nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
