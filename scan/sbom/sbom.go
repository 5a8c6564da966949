// Package sbom reads and writes lists of packages: CycloneDX and SPDX.
//
// A package URL decides what a package is; everything that it cannot carry (the source
// package, the layer, who owns the file) is kept beside it under names that begin with
// "dockreeve:", and read from the names that Trivy and Syft give it. What cannot be read
// becomes a scan.Gap, never a package that is silently left out. Writing is
// deterministic: the same catalogue and the same time give the same bytes. The package
// does no I/O but on the reader and writer given, reads no clock, and holds no state:
// all functions are safe for concurrent use.
package sbom

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// Bounds of what Decode reads.
const (
	MaxBytes    = 128 << 20 // of one document
	MaxPackages = 200_000   // components of any kind, nested ones too
	maxList     = 20_000    // properties, licences, files… of one component
	smallList   = 32 << 10  // bytes of JSON that hold fewer
	maxText     = 4096      // bytes of a name, version, package URL or path
	maxDepth    = 32        // of components within components
	maxGaps     = 1000
)

// ErrFormat reports a document that is none of the formats read here.
var ErrFormat = errors.New("not a list of packages in a known format")

// ErrBound reports a document larger than the bounds of this package.
var ErrBound = errors.New("the document is too large")

// Options say how to write. The zero value writes packages only, dated 1970.
type Options struct {
	Now     int64  // when the document is made, Unix nanoseconds
	Version string // of the program, named as the tool
	// Vulnerabilities and Suppressed are written too, by CycloneDX alone; their
	// Package indexes the catalogue's packages.
	Vulnerabilities []scan.Vulnerability
	Suppressed      []scan.Suppressed
}

// Decode reads a list of packages: CycloneDX 1.2 to 1.6 as JSON or XML, SPDX 2.2 and
// 2.3 as JSON or tag-value, bare or as the predicate of an in-toto statement (also in a
// DSSE envelope, whose signature is not checked and said so). The catalogue's kind is
// scan.KindSBOM, and what such a list cannot tell is in NotAssessed.
//
// A document that is no such list fails with ErrFormat, one beyond MaxBytes or
// MaxPackages with ErrBound. A component that cannot be used is a gap.
func Decode(r io.Reader) (*scan.Catalog, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the SBOM: %w", err)
	}
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("%w: over %d MiB; split it by image", ErrBound, MaxBytes>>20)
	}
	d := &decoder{distros: map[string]int{}, unusable: map[string]int{}}
	if err := d.document(b, 0); err != nil {
		return nil, err
	}
	return d.finish(), nil
}

// decoder collects one catalogue.
type decoder struct {
	cat      scan.Catalog
	seen     int            // components so far
	distros  map[string]int // distributions that package URLs name, by how many do
	order    []string       // of distros, as first seen
	unusable map[string]int // components without use, by reason
	reasons  []string
	pending  []located // packages whose layer is named by digest
	subject  string    // digest that an attestation is about
	dropped  int       // gaps beyond maxGaps
}

// located is a package that says which layer it is from.
type located struct {
	index          int
	diffID, digest string
}

func (d *decoder) gap(g scan.Gap) {
	for _, have := range d.cat.NotAssessed {
		if have == g {
			return
		}
	}
	if len(d.cat.NotAssessed) >= maxGaps {
		d.dropped++
		return
	}
	d.cat.NotAssessed = append(d.cat.NotAssessed, g)
}

func (d *decoder) unused(reason string) {
	if d.unusable[reason] == 0 {
		if len(d.reasons) >= 100 {
			reason = "other reasons"
			if d.unusable[reason] > 0 {
				d.unusable[reason]++
				return
			}
		}
		d.reasons = append(d.reasons, reason)
	}
	d.unusable[reason]++
}

func (d *decoder) count() error {
	d.seen++
	if d.seen > MaxPackages {
		return fmt.Errorf("%w: over %d components; split it by image", ErrBound, MaxPackages)
	}
	return nil
}

// says is what the parts of a document say of one component, before it is a package.
type says struct {
	purl, group, name, version string
	licenses                   []string
	location                   string
	diffID, digest             string
	// of the source package, in the parts that others keep it in
	srcName, srcVersion, srcRelease, srcEpoch string
	facts                                     []fact
}

// add makes a package of what is said, or counts why it cannot.
func (d *decoder) add(s says) {
	for _, text := range []string{s.purl, s.name, s.version, s.group} {
		if len(text) > maxText {
			d.unused(fmt.Sprintf("a name, version or package URL over %d bytes", maxText))
			return
		}
	}
	if s.purl == "" {
		d.unused("no package URL")
		return
	}
	u, err := parsePURL(s.purl)
	if err != nil {
		d.unused("a package URL that cannot be read")
		return
	}
	p, ok := u.pkg()
	if !ok {
		d.unused("type " + clip(u.Type, 40) + ", for which no advisories are read")
		return
	}
	p.PURL = s.purl
	if p.Version == "" {
		p.Version = s.version
	}
	// Package URLs are lower case for some types where the ecosystem is not.
	for _, name := range []string{s.name, s.group + "/" + s.name} {
		if name != p.Name && strings.EqualFold(name, p.Name) {
			p.Name = name
		}
	}
	p.Licenses, p.Location, p.Layer = s.licenses, s.location, -1
	s.source(&p)
	if distro := u.distro(p.Type); distro != "" {
		if d.distros[distro] == 0 && len(d.order) < 100 {
			d.order = append(d.order, distro)
		}
		if d.distros[distro] > 0 || len(d.distros) < 100 {
			d.distros[distro]++
		}
	}
	for _, f := range s.facts {
		f.apply(&p)
	}
	if p.Version == "" {
		d.unused("no version")
		return
	}
	if s.diffID != "" || s.digest != "" {
		d.pending = append(d.pending, located{len(d.cat.Packages), s.diffID, s.digest})
	}
	d.cat.Packages = append(d.cat.Packages, p)
}

// finish joins what was read: layers by digest, the distribution, and what is missing.
func (d *decoder) finish() *scan.Catalog {
	c := &d.cat
	c.Image.Kind = scan.KindSBOM
	if c.Image.Digest == "" {
		c.Image.Digest = d.subject
	}
	d.layers()
	d.distribution()
	for _, reason := range d.reasons {
		d.gap(scan.Gap{What: fmt.Sprintf("%d components of the SBOM", d.unusable[reason]), Reason: reason,
			Remedy: "scan the image itself"})
	}
	if d.dropped > 0 {
		c.NotAssessed = append(c.NotAssessed, scan.Gap{What: fmt.Sprintf("%d more gaps", d.dropped), Reason: "too many to keep"})
	}
	only := scan.Gap{What: "secrets, configuration, malware", Reason: "an SBOM lists packages only", Remedy: "scan the image itself"}
	for _, g := range c.NotAssessed {
		if g == only {
			return c
		}
	}
	c.NotAssessed = append(c.NotAssessed, only)
	return c
}

// layers resolves the layers that packages name by digest. A document that lists no
// layers of its own gets those that its packages name, in that order.
func (d *decoder) layers() {
	c := &d.cat
	index := make(map[string]int, 2*len(c.Image.Layers))
	for i, l := range c.Image.Layers {
		for _, digest := range []string{l.DiffID, l.Digest} {
			if _, have := index[digest]; !have && digest != "" {
				index[digest] = i
			}
		}
	}
	for _, at := range d.pending {
		i, ok := index[at.diffID]
		if !ok {
			i, ok = index[at.digest]
		}
		if !ok && len(c.Image.Layers) < 1000 {
			i, ok = len(c.Image.Layers), true
			c.Image.Layers = append(c.Image.Layers, scan.Layer{DiffID: at.diffID, Digest: at.digest})
		}
		if !ok {
			continue
		}
		l := &c.Image.Layers[i]
		if l.Digest == "" {
			l.Digest = at.digest
		}
		for _, digest := range []string{at.diffID, at.digest} {
			if _, have := index[digest]; !have && digest != "" {
				index[digest] = i
			}
		}
		c.Packages[at.index].Layer = i
	}
	for i := range c.Packages {
		if c.Packages[i].Layer >= len(c.Image.Layers) || c.Packages[i].Layer < -1 {
			c.Packages[i].Layer = -1
		}
	}
}

// distribution takes the distribution from the package URLs where the document has no
// operating system of its own.
func (d *decoder) distribution() {
	if d.cat.Distro.ID != "" && d.cat.Distro.Version != "" {
		return
	}
	best := ""
	for _, name := range d.order {
		if d.distros[name] > d.distros[best] {
			best = name
		}
	}
	id, version, _ := strings.Cut(best, "\x00")
	if d.cat.Distro.ID == "" {
		d.cat.Distro.ID = id
	}
	if id == d.cat.Distro.ID && d.cat.Distro.Version == "" {
		if version != "" && version[0] >= '0' && version[0] <= '9' {
			d.cat.Distro.Version = version
		} else {
			d.cat.Distro.Codename = version
		}
	}
	if len(d.order) > 1 {
		d.gap(scan.Gap{What: "distribution", Reason: fmt.Sprintf("the packages name %d; %s is taken", len(d.order), clip(strings.ReplaceAll(best, "\x00", " "), 80))})
	}
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// source sets the source package from the parts that other tools keep apart.
func (s *says) source(p *scan.Package) {
	if !p.Type.Distribution() || s.srcName == "" && s.srcVersion == "" {
		return
	}
	if s.srcName != "" {
		p.Source = s.srcName
	}
	version := s.srcVersion
	if s.srcRelease != "" {
		version += "-" + s.srcRelease
	}
	if s.srcEpoch != "" && s.srcEpoch != "0" {
		version = s.srcEpoch + ":" + version
	}
	if version != "" && p.Type != scan.RPM {
		p.SourceVersion = version
	}
	if p.SourceVersion == p.Version {
		p.SourceVersion = ""
	}
	if p.Source == p.Name && p.SourceVersion == "" {
		p.Source = ""
	}
}
