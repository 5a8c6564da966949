package sbom

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// Prefix begins every name under which this package keeps what the formats have no
// field for.
const Prefix = "dockreeve:"

// fact is one such name and its value: a property in CycloneDX, an annotation in SPDX.
type fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// packageFacts are the facts of p beyond what is read back from its package URL and
// its licences, so that reading gives p again.
func packageFacts(p, back *scan.Package) []fact {
	var facts []fact
	differ := func(name, have, want string) {
		if have != want {
			facts = append(facts, fact{Prefix + "package:" + name, want})
		}
	}
	differ("type", string(back.Type), string(p.Type))
	differ("name", back.Name, p.Name)
	differ("version", back.Version, p.Version)
	differ("arch", back.Arch, p.Arch)
	differ("source", back.Source, p.Source)
	differ("sourceVersion", back.SourceVersion, p.SourceVersion)
	differ("module", back.Module, p.Module)
	if p.PURL != "" {
		differ("purl", back.PURL, p.PURL)
	}
	differ("vendor", "", p.Vendor)
	differ("location", "", p.Location)
	differ("ownedBy", "", p.OwnedBy)
	if p.Layer >= 0 {
		differ("layer", "", strconv.Itoa(p.Layer))
	}
	if p.Dev {
		differ("dev", "", "true")
	}
	if !slices.Equal(back.Licenses, p.Licenses) {
		b, _ := json.Marshal(p.Licenses)
		differ("licenses", "", string(b))
	}
	return facts
}

// apply sets what the fact says of a package; other facts are ignored.
func (f fact) apply(p *scan.Package) {
	name, ok := strings.CutPrefix(f.Name, Prefix+"package:")
	if !ok || len(f.Value) > maxText {
		return
	}
	switch name {
	case "type":
		if slices.Contains(types, scan.Type(f.Value)) {
			p.Type = scan.Type(f.Value)
		}
	case "name":
		p.Name = f.Value
	case "version":
		p.Version = f.Value
	case "arch":
		p.Arch = f.Value
	case "source":
		p.Source = f.Value
	case "sourceVersion":
		p.SourceVersion = f.Value
	case "module":
		p.Module = f.Value
	case "purl":
		p.PURL = f.Value
	case "vendor":
		p.Vendor = f.Value
	case "location":
		p.Location = f.Value
	case "ownedBy":
		p.OwnedBy = f.Value
	case "layer":
		if n, err := strconv.Atoi(f.Value); err == nil && n >= 0 {
			p.Layer = n
		}
	case "dev":
		p.Dev = f.Value == "true"
	case "licenses":
		var l []string
		if json.Unmarshal([]byte(f.Value), &l) == nil {
			p.Licenses = l
		}
	}
}

// imageFacts are what is known of the image, its distribution and the gaps.
func imageFacts(c *scan.Catalog) []fact {
	var facts []fact
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, fact{Prefix + name, value})
		}
	}
	text := func(name string, v any) {
		b, _ := json.Marshal(v)
		add(name, string(b))
	}
	i := &c.Image
	add("image:kind", string(i.Kind))
	add("image:name", i.Name)
	add("image:repository", i.Repository)
	for _, t := range i.Tags {
		add("image:tag", t)
	}
	add("image:digest", i.Digest)
	add("image:indexDigest", i.IndexDigest)
	add("image:configDigest", i.ConfigDigest)
	add("image:platform", i.Platform)
	if i.Created != 0 {
		add("image:created", strconv.FormatInt(i.Created, 10))
	}
	if i.Size != 0 {
		add("image:size", strconv.FormatInt(i.Size, 10))
	}
	for _, l := range i.Layers {
		text("image:layer", l)
	}
	if c.Base != nil {
		text("image:base", c.Base)
	}
	if c.Distro.ID != "" || c.Distro.Name != "" {
		text("distro", c.Distro)
	}
	for _, g := range c.NotAssessed {
		text("notAssessed", g)
	}
	return facts
}

// image sets what a fact says of the catalogue as a whole.
func (d *decoder) image(f fact) {
	name, ok := strings.CutPrefix(f.Name, Prefix)
	if !ok {
		return
	}
	c := &d.cat
	i := &c.Image
	switch name {
	case "image:name":
		i.Name = f.Value
	case "image:repository":
		i.Repository = f.Value
	case "image:tag":
		if len(i.Tags) < 1000 {
			i.Tags = append(i.Tags, f.Value)
		}
	case "image:digest":
		i.Digest = f.Value
	case "image:indexDigest":
		i.IndexDigest = f.Value
	case "image:configDigest":
		i.ConfigDigest = f.Value
	case "image:platform":
		i.Platform = f.Value
	case "image:created":
		i.Created, _ = strconv.ParseInt(f.Value, 10, 64)
	case "image:size":
		i.Size, _ = strconv.ParseInt(f.Value, 10, 64)
	case "image:layer":
		var l scan.Layer
		if json.Unmarshal([]byte(f.Value), &l) == nil && len(i.Layers) < 1000 {
			i.Layers = append(i.Layers, l)
		}
	case "image:base":
		var b scan.BaseImage
		if json.Unmarshal([]byte(f.Value), &b) == nil {
			c.Base = &b
		}
	case "distro":
		var v scan.Distro
		if json.Unmarshal([]byte(f.Value), &v) == nil {
			c.Distro = v
		}
	case "notAssessed":
		var g scan.Gap
		if json.Unmarshal([]byte(f.Value), &g) == nil {
			d.gap(g)
		}
	}
}

// back is what Decode would make of p from the formats' own fields alone.
func back(p *scan.Package, url string, licenses []string) scan.Package {
	u, err := parsePURL(url)
	if err != nil {
		return scan.Package{PURL: url, Licenses: licenses}
	}
	b, _ := u.pkg()
	b.PURL, b.Licenses = url, licenses
	return b
}

// urlOf is the package URL to write for p: its own, or one made of its fields where it
// has none that can be read.
func urlOf(p *scan.Package, d scan.Distro) string {
	if u, err := parsePURL(p.PURL); err == nil && slices.Contains(types, scan.Type(u.Type)) {
		return p.PURL
	}
	return PURL(p, d)
}
