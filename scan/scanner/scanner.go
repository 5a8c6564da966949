// Package scanner runs a scan: it opens an image, reads what it holds and matches that
// with the advisories. What people have decided about the findings (scan/vex,
// scan/gate) comes after it.
//
//	ref ─▶ image.Open ─▶ catalog.Read ─▶ base.Find ─▶ match.Match ─▶ scan.Report
//
// It holds the order of the steps and no judgement of its own. The two halves can be
// called apart: Catalogs depends on the image's bytes alone, Report on a catalogue and
// the advisories of the moment.
package scanner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/advisory"
	"github.com/dockreeve/dockreeve/scan/base"
	"github.com/dockreeve/dockreeve/scan/catalog"
	"github.com/dockreeve/dockreeve/scan/image"
	"github.com/dockreeve/dockreeve/scan/license"
	"github.com/dockreeve/dockreeve/scan/match"
	"github.com/dockreeve/dockreeve/scan/sbom"
	"github.com/dockreeve/dockreeve/scan/secret"
)

// Options say what to look for and where. The zero value reads packages and matches
// nothing.
type Options struct {
	Image   image.Options
	Catalog catalog.Options // also says whether secrets, configuration and malware are looked for

	// Vulnerabilities matches packages with Advisories; nil = there is no database, and
	// every report says so. AdvisoryGaps is what is already known to be wrong with it.
	Vulnerabilities bool
	Advisories      *advisory.DB
	AdvisoryGaps    []scan.Gap
	// MaxAge is how old the database may be, in nanoseconds; older is a gap. 0 = any age.
	MaxAge int64
	// Bases are images seen before, for naming an image's base. Reports are the
	// business of whoever keeps them: Newer only names, it does not compare.
	Bases []base.Known

	Now func() int64 // Unix nanoseconds; nil = the machine's clock
}

// NotAskedFor is the reason of a gap that whoever scans chose.
const NotAskedFor = "not asked for"

// Scanner scans. It is safe for concurrent use.
type Scanner struct{ opt Options }

// New makes a scanner.
func New(opt Options) *Scanner {
	if opt.Now == nil {
		opt.Now = func() int64 { return time.Now().UnixNano() }
	}
	if opt.Catalog.Now == nil {
		opt.Catalog.Now = opt.Now
	}
	if opt.Image.Redact == nil {
		opt.Image.Redact = secret.Redact
	}
	return &Scanner{opt: opt}
}

// Each opens ref and calls visit for each image in it, one per platform asked for. The
// image's identity is known then, and none of its layers has been read: read does that.
// The error is for what could not be opened at all, or visit's own.
func (s *Scanner) Each(ctx context.Context, ref string, visit func(img *scan.Image, read func() (*scan.Catalog, error)) error) (err error) {
	opened, err := image.Open(ctx, ref, s.opt.Image)
	var list *image.SBOMError
	if errors.As(err, &list) {
		c, err := sbom.Decode(list.Content)
		if err = errors.Join(err, list.Content.Close()); err != nil {
			return fmt.Errorf("%s: %w", list.Name, err)
		}
		if c.Image.Name == "" {
			c.Image.Name = list.Name
		}
		c.ScannedAt = s.opt.Now()
		return visit(&c.Image, func() (*scan.Catalog, error) { return c, nil })
	}
	if err != nil {
		return err
	}
	defer func() {
		for _, o := range opened {
			err = errors.Join(err, o.Close())
		}
	}()
	for _, o := range opened {
		read := func() (*scan.Catalog, error) { return s.read(ctx, o) }
		if err := visit(&o.Image, read); err != nil {
			return fmt.Errorf("%s: %w", o.Image.Name, err)
		}
	}
	return nil
}

// Catalogs opens ref and reads what it holds: one catalogue for each platform asked
// for, or one for a root file system or an SBOM. Parts that cannot be read are gaps of
// their catalogue; the error is for what could not be opened at all.
func (s *Scanner) Catalogs(ctx context.Context, ref string) ([]*scan.Catalog, error) {
	var out []*scan.Catalog
	err := s.Each(ctx, ref, func(_ *scan.Image, read func() (*scan.Catalog, error)) error {
		c, err := read()
		if err == nil {
			out = append(out, c)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Scanner) read(ctx context.Context, o *image.Opened) (*scan.Catalog, error) {
	c, err := catalog.Read(ctx, o, s.opt.Catalog)
	if err != nil {
		return nil, err
	}
	for i := range c.Packages {
		c.Packages[i].Licenses = license.Normalize(c.Packages[i].Licenses)
	}
	c.Base = base.Find(&c.Image, s.opt.Bases)
	base.Mark(&c.Image, c.Base)
	c.NotAssessed = append(c.NotAssessed, s.unasked()...)
	return c, nil
}

// unasked says what nobody asked to look for. It goes with the catalogue wherever that
// is kept, so that no gate takes "not looked for" for "none".
func (s *Scanner) unasked() []scan.Gap {
	var out []scan.Gap
	for _, k := range [...]struct {
		asked          bool
		what, scanners string
	}{
		{s.opt.Catalog.Secrets, scan.GapSecrets, "secret"},
		{s.opt.Catalog.Config, scan.GapConfig, "config"},
		{s.opt.Catalog.Malware != nil, scan.GapMalware, "malware"},
	} {
		if !k.asked {
			out = append(out, scan.Gap{What: k.what, Reason: NotAskedFor, Remedy: "add " + k.scanners + " to --scanners"})
		}
	}
	return out
}

// Report matches a catalogue with the advisories. c becomes part of the report.
func (s *Scanner) Report(c *scan.Catalog) (*scan.Report, error) {
	r := &scan.Report{Catalog: *c}
	r.NotAssessed = append([]scan.Gap(nil), c.NotAssessed...)
	if !s.opt.Vulnerabilities {
		r.NotAssessed = append(r.NotAssessed, scan.Gap{What: "vulnerabilities", Reason: NotAskedFor, Remedy: "add vuln to --scanners"})
		return r, nil
	}
	r.NotAssessed = append(r.NotAssessed, s.opt.AdvisoryGaps...)
	db := s.opt.Advisories
	if db == nil {
		if len(s.opt.AdvisoryGaps) == 0 {
			r.NotAssessed = append(r.NotAssessed, scan.Gap{What: "vulnerabilities", Reason: "there is no advisory database", Remedy: "dockreeve db update, or dockreeve db import FILE where there is no network", Data: true})
		}
		return r, nil
	}
	r.Database = db.Info()
	r.NotAssessed = append(r.NotAssessed, advisory.Stale(&r.Database, s.opt.Now(), s.opt.MaxAge)...)
	vulns, gaps, err := match.Match(c, db, match.Options{Now: s.opt.Now(), Dev: s.opt.Catalog.LockFiles})
	if err != nil {
		return nil, fmt.Errorf("match %s: %w", c.Image.Name, err)
	}
	r.Vulnerabilities = vulns
	r.NotAssessed = append(r.NotAssessed, gaps...)
	return r, nil
}
