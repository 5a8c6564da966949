package sbom

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// list reads a JSON array, at most maxList long: without the bound a document of
// "{},{},…" would take many times its own size in memory.
type list[T any] []T

func (l *list[T]) UnmarshalJSON(b []byte) error {
	if bytes.Equal(bytes.TrimSpace(b), []byte("null")) {
		return nil
	}
	if len(b) <= smallList {
		return json.Unmarshal(b, (*[]T)(l)) // cannot grow to much, and is far the commonest
	}
	return each(b, func(dec *json.Decoder) error {
		if len(*l) >= maxList {
			return fmt.Errorf("%w: a list of over %d entries", ErrBound, maxList)
		}
		var v T
		if err := dec.Decode(&v); err != nil {
			return err
		}
		*l = append(*l, v)
		return nil
	})
}

// each calls f at every element of a JSON array. Anything but an array is an error.
func each(b []byte, f func(*json.Decoder) error) error {
	if len(b) == 0 || bytes.Equal(bytes.TrimSpace(b), []byte("null")) {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	t, err := dec.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('[') {
		return fmt.Errorf("want a list, have %v", t)
	}
	for dec.More() {
		if err := f(dec); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

// The parts of CycloneDX 1.2 to 1.6 that are read, in JSON and XML.
type (
	cdxIn struct {
		SpecVersion string `json:"specVersion"`
		Metadata    struct {
			Component  *cdxInComponent `json:"component" xml:"component"`
			Properties list[cdxInFact] `json:"properties" xml:"properties>property"`
		} `json:"metadata"`
		Components json.RawMessage `json:"components"`
	}
	cdxInComponent struct {
		Type       string             `json:"type" xml:"type,attr"`
		Group      string             `json:"group" xml:"group"`
		Name       string             `json:"name" xml:"name"`
		Version    string             `json:"version" xml:"version"`
		PURL       string             `json:"purl" xml:"purl"`
		Licenses   list[cdxInLicense] `json:"licenses" xml:"-"`
		LicensesX  cdxInLicensesXML   `json:"-" xml:"licenses"`
		Properties list[cdxInFact]    `json:"properties" xml:"properties>property"`
		Components json.RawMessage    `json:"components" xml:"-"`
		Nested     []cdxInComponent   `json:"-" xml:"components>component"`
		Evidence   struct {
			Occurrences list[struct {
				Location string `json:"location" xml:"location"`
			}] `json:"occurrences" xml:"occurrences>occurrence"`
		} `json:"evidence" xml:"evidence"`
	}
	cdxInLicense struct {
		License struct {
			ID   string `json:"id" xml:"id"`
			Name string `json:"name" xml:"name"`
		} `json:"license"`
		Expression string `json:"expression"`
	}
	cdxInLicensesXML struct {
		License []struct {
			ID   string `xml:"id"`
			Name string `xml:"name"`
		} `xml:"license"`
		Expression []string `xml:"expression"`
	}
	cdxInFact struct {
		Name  string `json:"name" xml:"name,attr"`
		Value string `json:"value" xml:",chardata"`
	}
)

func (d *decoder) cyclonedxJSON(b []byte) error {
	var in cdxIn
	if err := json.Unmarshal(b, &in); err != nil {
		return place("CycloneDX", err)
	}
	if err := d.cdxVersion(in.SpecVersion); err != nil {
		return err
	}
	if err := d.cdxMetadata(in.Metadata.Component, in.Metadata.Properties); err != nil {
		return err
	}
	if err := d.cdxComponents(in.Components, 0); err != nil {
		return place("CycloneDX components", err)
	}
	return nil
}

func (d *decoder) cdxVersion(version string) error {
	switch version {
	case "1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6":
	default:
		if !strings.HasPrefix(version, "1.") {
			return fmt.Errorf("%w: CycloneDX specVersion %q: want 1.2 to 1.6; convert it", ErrFormat, clip(version, 20))
		}
		// Minor versions only add: what is read here has not changed since 1.2.
	}
	return nil
}

func (d *decoder) cdxMetadata(c *cdxInComponent, facts []cdxInFact) error {
	for _, f := range facts {
		d.image(fact(f))
	}
	if c == nil {
		return nil
	}
	if c.Type == "container" || c.Type == "device" || c.Type == "" {
		d.cat.Image.Name = c.Name
		if strings.HasPrefix(c.Version, "sha256:") {
			d.cat.Image.Digest = c.Version
		}
		d.imagePURL(c.PURL)
	} else {
		d.cat.Image.Name = c.Name
	}
	d.rootFacts(c.Properties)
	if err := d.cdxComponents(c.Components, 1); err != nil {
		return place("CycloneDX metadata.component", err)
	}
	return nil
}

func (d *decoder) cdxComponents(b []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: components nested deeper than %d", ErrBound, maxDepth)
	}
	return each(b, func(dec *json.Decoder) error {
		var c cdxInComponent
		if err := dec.Decode(&c); err != nil {
			return err
		}
		if err := d.count(); err != nil {
			return err
		}
		for _, l := range c.Licenses {
			c.addLicense(l.License.ID, l.License.Name, l.Expression)
		}
		d.cdxComponent(&c)
		return d.cdxComponents(c.Components, depth+1)
	})
}

// addLicense collects licences as they were written, in LicensesX.Expression.
func (c *cdxInComponent) addLicense(names ...string) {
	for _, n := range names {
		if n != "" && len(n) <= maxText {
			c.LicensesX.Expression = append(c.LicensesX.Expression, n)
			return
		}
	}
}

func (d *decoder) cdxComponent(c *cdxInComponent) {
	s := says{purl: c.PURL, group: c.Group, name: c.Name, version: c.Version, licenses: c.LicensesX.Expression}
	for _, f := range c.Properties {
		s.property(f.Name, f.Value)
	}
	if s.location == "" && len(c.Evidence.Occurrences) > 0 && len(c.Evidence.Occurrences[0].Location) <= maxText {
		s.location = strings.TrimPrefix(c.Evidence.Occurrences[0].Location, "/")
	}
	switch c.Type {
	case "operating-system":
		d.operatingSystem(c.Name, c.Version, c.Properties)
		return
	case "file", "data", "container", "device", "firmware", "platform", "cryptographic-asset", "machine-learning-model", "device-driver":
		if c.PURL == "" {
			return // parts of an image that are no packages
		}
	}
	if c.PURL == "" && has(c.Properties, "aquasecurity:trivy:Type") {
		return // Trivy's stand-in for a lock file; the packages in it are components too
	}
	d.add(s)
}

func has(facts []cdxInFact, name string) bool {
	for _, f := range facts {
		if f.Name == name {
			return true
		}
	}
	return false
}

// cyclonedxXML reads components one by one as they come, wherever they are.
func (d *decoder) cyclonedxXML(b []byte) error {
	dec := xml.NewDecoder(bytes.NewReader(b))
	var root bool
	var parents []string
	for {
		t, err := dec.Token()
		if errors.Is(err, io.EOF) {
			if !root {
				return fmt.Errorf("%w: XML without a CycloneDX bom element", ErrFormat)
			}
			return nil
		}
		if err != nil {
			return place("CycloneDX XML", err)
		}
		switch t := t.(type) {
		case xml.EndElement:
			parents = parents[:len(parents)-1]
		case xml.StartElement:
			if !root {
				version, ok := strings.CutPrefix(t.Name.Space, "http://cyclonedx.org/schema/bom/")
				if t.Name.Local != "bom" || !ok {
					return fmt.Errorf("%w: XML whose root is %q and not a CycloneDX bom", ErrFormat, clip(t.Name.Local, 40))
				}
				if err := d.cdxVersion(version); err != nil {
					return err
				}
				root = true
			}
			at := strings.Join(parents, ">")
			if t.Name.Local == "component" && (at == "bom>metadata" || at == "bom>components") {
				var c cdxInComponent
				if err := dec.DecodeElement(&c, &t); err != nil {
					return place("CycloneDX XML component", err)
				}
				if at == "bom>metadata" {
					err = d.cdxMetadata(&c, nil)
				} else {
					err = d.cdxNested(&c, 0)
				}
				if err != nil {
					return err
				}
				continue
			}
			if t.Name.Local == "property" && at == "bom>metadata>properties" {
				var f cdxInFact
				if err := dec.DecodeElement(&f, &t); err != nil {
					return place("CycloneDX XML property", err)
				}
				d.image(fact(f))
				continue
			}
			if parents = append(parents, t.Name.Local); len(parents) > 100 {
				return fmt.Errorf("%w: XML nested deeper than 100", ErrBound)
			}
		}
	}
}

func (d *decoder) cdxNested(c *cdxInComponent, depth int) error {
	if err := d.count(); err != nil {
		return err
	}
	if depth > maxDepth {
		return fmt.Errorf("%w: components nested deeper than %d", ErrBound, maxDepth)
	}
	expressions := c.LicensesX.Expression
	c.LicensesX.Expression = nil
	for _, l := range c.LicensesX.License {
		c.addLicense(l.ID, l.Name)
	}
	c.LicensesX.Expression = append(c.LicensesX.Expression, expressions...)
	d.cdxComponent(c)
	for i := range c.Nested {
		if err := d.cdxNested(&c.Nested[i], depth+1); err != nil {
			return err
		}
	}
	return nil
}

// place says where in a document reading failed, by byte where the parser tells.
func place(what string, err error) error {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.Is(err, ErrBound), errors.Is(err, ErrFormat):
		return fmt.Errorf("%s: %w", what, err)
	case errors.As(err, &syntax):
		return fmt.Errorf("%w: %s: byte %d: %s", ErrFormat, what, syntax.Offset, syntax.Error())
	case errors.As(err, &typ):
		return fmt.Errorf("%w: %s: byte %d: field %s is a %s", ErrFormat, what, typ.Offset, clip(typ.Field, 100), clip(typ.Value, 40))
	}
	return fmt.Errorf("%w: %s: %s", ErrFormat, what, clip(err.Error(), 200))
}
