package advisory

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// OVAL tells of an advisory in pieces: a definition names tests, a test an object (which
// package) and a state (which version), an object perhaps a variable (a list of
// packages). Definitions come first, so a file is read twice: the pieces, then the
// definitions.

const (
	maxPieces = 3_000_000 // tests, objects, states and names of one file
	maxXML    = 16 << 20  // bytes of one definition or piece
)

type ovalFile struct {
	tests    map[string]ovalTest
	names    map[string][]string // object → package names
	states   map[string]ovalState
	platform string         // of the first definition that names one
	product  string         // of the generator
	date     int64          // of the file
	releases map[string]int // azl3, cm2: how often versions end so
	pieces   int
}

type ovalTest struct{ object, state string }

type ovalState struct {
	version string
	upTo    bool // this version is affected too
	arch    string
}

// ovalPiece is any element of tests, objects, states or variables.
type ovalPiece struct {
	ID     string `xml:"id,attr"`
	Object struct {
		Ref string `xml:"object_ref,attr"`
	} `xml:"object"`
	State struct {
		Ref string `xml:"state_ref,attr"`
	} `xml:"state"`
	Name struct {
		Text string `xml:",chardata"`
		Var  string `xml:"var_ref,attr"`
	} `xml:"name"`
	EVR struct {
		Text string `xml:",chardata"`
		Op   string `xml:"operation,attr"`
	} `xml:"evr"`
	Arch   string   `xml:"arch"`
	Values []string `xml:"value"`
}

type ovalDefinition struct {
	ID       string       `xml:"id,attr"`
	Class    string       `xml:"class,attr"`
	Metadata ovalMetadata `xml:"metadata"`
	Criteria ovalCriteria `xml:"criteria"`
}

type ovalMetadata struct {
	Title      string   `xml:"title"`
	Platforms  []string `xml:"affected>platform"`
	References []struct {
		ID     string `xml:"ref_id,attr"`
		URL    string `xml:"ref_url,attr"`
		Source string `xml:"source,attr"`
	} `xml:"reference"`
	Description string `xml:"description"`
	Patchable   string `xml:"patchable"`
	Date        string `xml:"advisory_date"`
	Severity    string `xml:"severity"`
	Advisory    struct {
		Severity string `xml:"severity"`
		Issued   struct {
			Date string `xml:"date,attr"`
		} `xml:"issued"`
		Public string `xml:"public_date"`
		CVEs   []struct {
			ID       string `xml:",chardata"`
			Priority string `xml:"priority,attr"`
			Vector   string `xml:"cvss_vector,attr"`
		} `xml:"cve"`
	} `xml:"advisory"`
}

type ovalCriteria struct {
	Criteria   []ovalCriteria `xml:"criteria"`
	Criterions []struct {
		Test    string `xml:"test_ref,attr"`
		Comment string `xml:"comment,attr"`
		Negate  string `xml:"negate,attr"`
	} `xml:"criterion"`
}

// readOVAL reads an OVAL file of Azure Linux, Mariner or Ubuntu and returns the feed it
// is; open is called twice.
func (b *builder) readOVAL(open func() (io.ReadCloser, error)) (feed string, err error) {
	f := &ovalFile{tests: map[string]ovalTest{}, names: map[string][]string{}, states: map[string]ovalState{}, releases: map[string]int{}}
	if err := readTwice(open, f.piece); err != nil {
		return "", err
	}
	feed, ecosystem, convert, err := f.kind()
	if err != nil {
		return "", err
	}
	if err := b.may(feed); err != nil {
		return "", err
	}
	c := b.feed(feed)
	c.mode, c.date = replacing, f.date
	err = readTwice(open, func(d *xml.Decoder, section string, el xml.StartElement) error {
		if section != "definitions" || el.Name.Local != "definition" {
			return d.Skip()
		}
		var def ovalDefinition
		if err := d.DecodeElement(&def, &el); err != nil {
			return err
		}
		if def.Class == "inventory" {
			return nil
		}
		r, err := convert(f, &def, ecosystem)
		if err != nil {
			c.skip(def.ID, err)
			return nil
		}
		if r == nil {
			return nil
		}
		return b.add(feed, r)
	})
	if err == nil && c.records == 0 {
		err = errors.New("it holds no definition that can be used")
	}
	return feed, err
}

// readTwice walks a file once and calls each for every element within its sections,
// which reads the element to its end.
func readTwice(open func() (io.ReadCloser, error), each func(d *xml.Decoder, section string, el xml.StartElement) error) error {
	in, err := open()
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	l := &leash{r: in, max: maxXML}
	d := xml.NewDecoder(l)
	// The decoder keeps a whole token, and a whole element where one is decoded: what is
	// read is measured from the beginning of either.
	from := int64(0)
	l.used = func() int64 { return from }
	var path []string
	for {
		from = d.InputOffset()
		tok, err := d.Token()
		if errors.Is(err, io.EOF) && len(path) == 0 {
			return nil
		} else if err != nil {
			return fmt.Errorf("at byte %d: %w", d.InputOffset(), err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if len(path) == 2 {
				if err := each(d, path[1], t); err != nil {
					return fmt.Errorf("at byte %d: %w", d.InputOffset(), err)
				}
				continue
			}
			if len(path) == 0 && t.Name.Local != "oval_definitions" {
				return fmt.Errorf("its root is <%.40s>, not <oval_definitions>", t.Name.Local)
			}
			path = append(path, t.Name.Local)
		case xml.EndElement:
			path = path[:len(path)-1]
		}
	}
}

func (f *ovalFile) piece(d *xml.Decoder, section string, el xml.StartElement) error {
	switch section {
	case "generator":
		var text string
		if err := d.DecodeElement(&text, &el); err != nil {
			return err
		}
		switch el.Name.Local {
		case "timestamp":
			f.date = parseTime(text)
		case "product_name":
			f.product = clip(text, 100)
		}
		return nil
	case "definitions":
		if f.platform != "" {
			return d.Skip()
		}
		var def ovalDefinition
		if err := d.DecodeElement(&def, &el); err != nil {
			return err
		}
		if strings.HasPrefix(def.ID, "oval:com.ubuntu.") {
			f.platform, _, _ = strings.Cut(strings.TrimPrefix(def.ID, "oval:com.ubuntu."), ":")
		} else if len(def.Metadata.Platforms) > 0 {
			f.platform = clip(def.Metadata.Platforms[0], 100)
		}
		return nil
	case "tests", "objects", "states", "variables":
	default:
		return d.Skip()
	}
	var p ovalPiece
	if err := d.DecodeElement(&p, &el); err != nil {
		return err
	}
	f.pieces += 1 + len(p.Values)
	if f.pieces > maxPieces {
		return fmt.Errorf("more than %d tests, objects and states", maxPieces)
	}
	switch {
	case section == "tests" && p.Object.Ref != "":
		f.tests[p.ID] = ovalTest{p.Object.Ref, p.State.Ref}
	case section == "objects" && p.Name.Var != "":
		f.names[p.ID] = []string{"\x00" + p.Name.Var}
	case section == "objects" && p.Name.Text != "":
		f.names[p.ID] = []string{strings.TrimSpace(p.Name.Text)}
	case section == "states" && p.EVR.Text != "":
		s := ovalState{version: strings.TrimPrefix(strings.TrimSpace(p.EVR.Text), "0:"), upTo: p.EVR.Op == "less than or equal", arch: strings.TrimSpace(p.Arch)}
		if p.EVR.Op != "less than" && !s.upTo {
			return nil // says which version is not affected, or is a pattern
		}
		f.states[p.ID] = s
		if i := strings.LastIndexByte(s.version, '.'); i >= 0 && len(f.releases) < 100 {
			f.releases[s.version[i+1:]]++
		}
	case section == "variables" && len(p.Values) > 0:
		f.names[p.ID] = p.Values
	}
	return nil
}

// packages resolves a test to package names and a version.
func (f *ovalFile) packages(test string) (names []string, state ovalState, ok bool) {
	t, ok := f.tests[test]
	if !ok {
		return nil, state, false
	}
	names = f.names[t.object]
	if len(names) == 1 && strings.HasPrefix(names[0], "\x00") {
		names = f.names[names[0][1:]]
	}
	state, ok = f.states[t.state]
	return names, state, ok || t.state == ""
}

type ovalConvert func(f *ovalFile, def *ovalDefinition, ecosystem string) (*Record, error)

var distTag = regexp.MustCompile(`^(azl|cm)([0-9]+)$`)

// kind tells whose file it is.
func (f *ovalFile) kind() (feed, ecosystem string, convert ovalConvert, err error) {
	switch {
	case strings.HasPrefix(f.platform, "Azure Linux"), strings.Contains(f.platform, "Mariner"):
		best, release := 0, ""
		for tag, n := range f.releases {
			if m := distTag.FindStringSubmatch(tag); m != nil && n > best {
				best, release = n, m[2]
			}
		}
		if release == "" {
			return "", "", nil, errors.New("no version in it ends with the release, as .azl3 or .cm2 do")
		}
		return "azurelinux/" + release, "Azure Linux:" + release, convertAzure, nil
	case strings.Contains(f.product, "Canonical") || strings.Contains(f.product, "Ubuntu"):
		name := f.platform[strings.LastIndexByte(f.platform, '.')+1:]
		release, ok := codename("ubuntu", name)
		if !ok {
			return "", "", nil, fmt.Errorf("unknown Ubuntu release %q", name)
		}
		kind := "ubuntu-cve/"
		if strings.Contains(f.product, "USN") {
			kind = "ubuntu-usn/"
		}
		return kind + name, "Ubuntu:" + release, convertUbuntu, nil
	}
	return "", "", nil, fmt.Errorf("OVAL of %q for %q is not known here; Debian, Rocky, AlmaLinux and SUSE are read through OSV", f.product, f.platform)
}

func (c *ovalCriteria) walk(depth int, f func(test, comment string) error) error {
	if depth > 20 {
		return errors.New("criteria nested more than 20 deep")
	}
	for _, k := range c.Criterions {
		if k.Negate == "true" {
			continue
		}
		if err := f(k.Test, k.Comment); err != nil {
			return err
		}
	}
	for i := range c.Criteria {
		if err := c.Criteria[i].walk(depth+1, f); err != nil {
			return err
		}
	}
	return nil
}

// convertAzure reads a definition of Azure Linux: one CVE, one package.
func convertAzure(f *ovalFile, def *ovalDefinition, ecosystem string) (*Record, error) {
	m := &def.Metadata
	r := &Record{Title: m.Title, Published: parseTime(m.Date), Severity: severityOf(m.Severity)}
	for _, ref := range m.References {
		if r.ID == "" && IsCVE(ref.ID) {
			r.ID = ref.ID
		}
		r.References = append(r.References, ref.URL)
	}
	if r.ID == "" {
		return nil, errors.New("it refers to no CVE")
	}
	never := strings.EqualFold(m.Patchable, "Not Applicable")
	err := def.Criteria.walk(0, func(test, _ string) error {
		names, state, ok := f.packages(test)
		if !ok || len(names) == 0 {
			return fmt.Errorf("test %s leads to no package and version", clip(test, 80))
		}
		for _, n := range names {
			a := Affected{Ecosystem: ecosystem, Name: n, Severity: r.Severity}
			switch {
			case never:
				a.NotAffected = true // "no longer is or never was applicable"
			case state.upTo:
				a.Ranges = []Range{{LastAffected: state.version}}
			default:
				a.Ranges = []Range{{Fixed: state.version}}
			}
			r.Affected = append(r.Affected, a)
		}
		return nil
	})
	return r, err
}

// What Canonical writes in the comments of criteria says how an issue stands.
var (
	ubuntuName = regexp.MustCompile(`^(?:\([A-Z0-9-]+\) )?(?:The )?(?:vulnerability of the )?'?([a-z0-9][a-z0-9+.-]*)'?(?: package in |: )`)
	ubuntuNote = regexp.MustCompile(`\(note: '([^']*)'\)`)
)

// convertUbuntu reads a definition of Ubuntu: one CVE, or one notice about several.
func convertUbuntu(f *ovalFile, def *ovalDefinition, ecosystem string) (*Record, error) {
	m := &def.Metadata
	r := &Record{Title: m.Title, Published: parseTime(m.Advisory.Issued.Date)}
	if r.Published == 0 {
		r.Published = parseTime(m.Advisory.Public)
	}
	var cves []string
	for _, ref := range m.References {
		switch {
		case IsCVE(ref.ID):
			cves = append(cves, ref.ID)
		case r.ID == "" && isID(ref.ID):
			r.ID = ref.ID
		}
		r.References = append(r.References, ref.URL)
	}
	severity := severityOf(m.Advisory.Severity)
	for _, c := range m.Advisory.CVEs {
		severity = max(severity, severityOf(c.Priority))
		if v, ok := cvss(c.Vector); ok && c.Vector != "" {
			r.Vector, r.CVSS = c.Vector, v
		}
	}
	if strings.HasPrefix(r.ID, "LSN-") {
		return nil, nil // live patches of a running kernel: no package
	}
	if r.ID == "" && len(cves) > 0 {
		r.ID = cves[0]
	} else {
		r.Upstream = cves
	}
	if r.ID == "" {
		return nil, errors.New("it refers to neither a CVE nor a notice")
	}
	if severity == finding.SeverityNone && len(cves) == 0 {
		severity = finding.Informational
	}
	err := def.Criteria.walk(0, func(test, comment string) error {
		names, state, ok := f.packages(test)
		if n := ubuntuName.FindStringSubmatch(comment); n != nil {
			names = n[1:2]
		} else if !ok || len(names) == 0 {
			return nil // about the running kernel: another criterion names its package
		}
		base := Affected{Ecosystem: ecosystem, Severity: severity}
		switch {
		case strings.Contains(comment, "related to the CVE in some way and has been fixed"), strings.Contains(comment, "is not affected"):
			base.NotAffected = true
			if note := ubuntuNote.FindStringSubmatch(comment); note != nil && isVersion(note[1]) {
				base.NotAffected = false
				base.Ranges = []Range{{Fixed: note[1]}}
			}
		case strings.Contains(comment, "decision has been made to ignore"):
			base.Ranges, base.Status = []Range{{}}, scan.WontFix
			if strings.Contains(comment, "end of life") || strings.Contains(comment, "end-of-life") {
				base.Status = scan.EndOfLife
			}
		case strings.Contains(comment, "decision has been made to defer"):
			base.Ranges, base.Status = []Range{{}}, scan.Deferred
		case strings.Contains(comment, "may need fixing"), strings.Contains(comment, "pending evaluation"):
			base.Ranges, base.Status = []Range{{}}, scan.UnderReview
		case state.version != "" && state.version != "0" && state.upTo:
			base.Ranges = []Range{{LastAffected: state.version}}
		case state.version != "" && state.version != "0":
			base.Ranges = []Range{{Fixed: state.version}}
		default:
			base.Ranges, base.Status = []Range{{}}, scan.Unfixed
		}
		for _, n := range names {
			a := base
			a.Name = strings.TrimSpace(n)
			a.Ranges = slices.Clone(base.Ranges)
			r.Affected = append(r.Affected, a)
		}
		return nil
	})
	if err != nil || len(r.Affected) == 0 {
		return nil, err
	}
	// The same package is named once for each of the tests that are about it.
	slices.SortStableFunc(r.Affected, func(a, b Affected) int { return strings.Compare(a.Name, b.Name) })
	r.Affected = slices.CompactFunc(r.Affected, func(a, b Affected) bool {
		return a.Name == b.Name && a.Status == b.Status && slices.Equal(a.Ranges, b.Ranges)
	})
	return r, nil
}

// isVersion tells a version of a package from a remark.
func isVersion(s string) bool {
	return s != "" && '0' <= s[0] && s[0] <= '9' && !strings.Contains(s, " ") && !regexp.MustCompile(`^\d{4}-\d\d-\d\d$`).MatchString(s)
}
