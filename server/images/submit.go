package images

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/base"
	"github.com/dockreeve/dockreeve/scan/match"
	"github.com/dockreeve/dockreeve/store"
)

// ErrCatalog says that a catalogue given to Submit is not one. The text names what and why.
var ErrCatalog = errors.New("catalogue is not valid")

// Submit matches a catalogue with the advisories as of now and stores both. ref is what
// running calls the image where that is none of its digests; "" else. cause goes into the
// image's history; "" = a scan.
func (s *Images) Submit(ctx context.Context, c *scan.Catalog, ref, cause string) (key string, counts scan.Counts, err error) {
	return s.submit(ctx, c, ref, cause, poorer, s.opt.DB.PutImage)
}

// SubmitFromPipeline is Submit for who may add to what is known of a digest and never
// take away: a pipeline's token must not make the findings of what runs go away.
func (s *Images) SubmitFromPipeline(ctx context.Context, c *scan.Catalog) (key string, counts scan.Counts, err error) {
	return s.submit(ctx, c, "", "", func(c, stored *scan.Catalog) bool { return poorer(c, stored) || !covers(c, stored) }, s.opt.DB.PutImage)
}

func (s *Images) submit(ctx context.Context, c *scan.Catalog, ref, cause string, refuse func(c, stored *scan.Catalog) bool, put func(context.Context, store.ImageScan) (string, scan.Counts, error)) (key string, counts scan.Counts, err error) {
	if err := Check(c); err != nil {
		return "", counts, err
	}
	if c.Image.Key() == "" && ref == "" {
		return "", counts, fmt.Errorf("%w: image.digest and image.configDigest are both empty: there is nothing to store it by", ErrCatalog)
	}
	if c.Base == nil {
		known, err := s.opt.DB.Bases(ctx, &c.Image)
		if err != nil {
			return "", counts, err
		}
		c.Base = base.Find(&c.Image, known)
		base.Mark(&c.Image, c.Base)
	}
	if k := c.Image.Key(); k != "" {
		d, err := s.opt.DB.Image(ctx, k)
		switch {
		case err == nil && d.Catalog != nil && refuse(c, d.Catalog):
			return d.Key, d.Counts, nil
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return "", counts, err
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	found := store.ImageScan{Catalog: c, Ref: ref, Cause: cause, Keys: func(i int) []store.PackageKey { return keysOf(c, i) }}
	if s.db == nil {
		found.NotAssessed = "there are no advisories to match it with"
		if s.noDB != nil {
			found.NotAssessed = s.noDB.Error()
		}
	} else {
		found.Vulnerabilities, found.Gaps, err = match.Match(c, s.db, match.Options{Now: s.opt.Clock.Now().UnixNano()})
		if err != nil {
			return "", counts, fmt.Errorf("match %s: %w", c.Image.Name, err)
		}
		found.Matched, found.Version = true, s.db.Info().Version
		found.NotAssessed = noVerdict(c, found.Vulnerabilities, found.Gaps)
	}
	return put(ctx, found)
}

// poorer reports whether a catalogue saw less of an image than the one that is stored
// of it. What a digest names does not change: packages missing from a later scan because
// a layer could not be read, or because it is only a list, are not gone, and no clock
// may stop for them.
func poorer(c, stored *scan.Catalog) bool {
	if c.Image.Kind == scan.KindSBOM && stored.Image.Kind != scan.KindSBOM {
		return true
	}
	return len(c.Packages) < len(stored.Packages) && unread(c) && !unread(stored)
}

// covers reports whether a catalogue holds everything that the stored one does.
func covers(c, stored *scan.Catalog) bool {
	type id struct {
		t                       scan.Type
		name, version, location string
	}
	have := make(map[id]bool, len(c.Packages))
	for i := range c.Packages {
		p := &c.Packages[i]
		have[id{p.Type, p.Name, p.Version, p.Location}] = p.OwnedBy == ""
	}
	for i := range stored.Packages {
		p := &stored.Packages[i]
		free, ok := have[id{p.Type, p.Name, p.Version, p.Location}]
		if !ok || !free && p.OwnedBy == "" {
			return false
		}
	}
	return c.Distro.ID == stored.Distro.ID && c.Distro.Version == stored.Distro.Version && len(c.Secrets) >= len(stored.Secrets) && len(c.Malware) >= len(stored.Malware)
}

func unread(c *scan.Catalog) bool {
	for i := range c.Image.Layers {
		if c.Image.Layers[i].NotAssessed != "" {
			return true
		}
	}
	for _, g := range c.NotAssessed {
		if g.Unread || strings.HasPrefix(g.What, "layer ") {
			return true
		}
	}
	return false
}

func keysOf(c *scan.Catalog, i int) []store.PackageKey {
	one := scan.Catalog{Distro: c.Distro, Packages: c.Packages[i : i+1]}
	var out []store.PackageKey
	for _, k := range match.Keys(&one) {
		out = append(out, store.PackageKey{Ecosystem: k.Ecosystem, Name: k.Name})
	}
	return out
}

// Verdict matches a stored image with the advisories as of now. The error wraps
// store.ErrNotFound when the image was never scanned.
func (s *Images) Verdict(ctx context.Context, key string) (*scan.Report, error) {
	d, err := s.opt.DB.Image(ctx, key)
	if err != nil {
		return nil, err
	}
	if d.Catalog == nil {
		return nil, fmt.Errorf("image %s has been seen but not scanned (%s): %w", key, d.NotAssessed, store.ErrNotFound)
	}
	view, err := s.opt.DB.View(ctx, key)
	if err != nil {
		return nil, err
	}
	status, err := s.Status(ctx)
	if err != nil {
		return nil, err
	}
	r := &scan.Report{Catalog: *d.Catalog, Database: status.Info}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db != nil {
		vulns, gaps, err := match.Match(d.Catalog, s.db, match.Options{Now: s.opt.Clock.Now().UnixNano()})
		if err != nil {
			return nil, fmt.Errorf("match %s: %w", key, err)
		}
		r.Vulnerabilities = vulns
		r.NotAssessed = append(r.NotAssessed, gaps...)
	}
	for _, g := range status.Gaps {
		if g.Data {
			r.NotAssessed = append(r.NotAssessed, g)
		}
	}
	match.Use(r, view)
	return r, nil
}

// Bounds of a catalogue that comes from elsewhere.
const (
	maxText     = 4096
	maxLayers   = 512
	maxFindings = 20_000 // secrets, missteps, malware, gaps: each
	maxListed   = 1024   // labels, environment, history…: each
)

// Check says what of a catalogue from elsewhere is out of bounds: whoever may submit
// scans must not be able to fill the store or break those who read it.
func Check(c *scan.Catalog) error {
	bad := func(where, format string, args ...any) error {
		return fmt.Errorf("%w: %s: %s", ErrCatalog, where, fmt.Sprintf(format, args...))
	}
	i := &c.Image
	for _, d := range []struct{ where, digest string }{{"image.digest", i.Digest}, {"image.indexDigest", i.IndexDigest}, {"image.configDigest", i.ConfigDigest}} {
		if d.digest != "" && !validDigest(d.digest) {
			return bad(d.where, "%.80q is not sha256: and 64 hex digits", d.digest)
		}
	}
	for _, n := range []struct {
		where     string
		have, max int
	}{
		{"packages", len(c.Packages), store.MaxImagePackages}, {"image.layers", len(i.Layers), maxLayers}, {"image.tags", len(i.Tags), maxListed}, {"secrets", len(c.Secrets), maxFindings},
		{"config", len(c.Config), maxFindings}, {"malware", len(c.Malware), maxFindings}, {"notAssessed", len(c.NotAssessed), maxFindings}, {"image.config.labels", len(i.Config.Labels), maxListed},
		{"image.config.env", len(i.Config.Env), maxListed}, {"image.config.history", len(i.Config.History), maxListed}, {"image.config.entrypoint", len(i.Config.Entrypoint), maxListed}, {"image.config.cmd", len(i.Config.Cmd), maxListed},
	} {
		if n.have > n.max {
			return bad(n.where, "%d of them, at most %d", n.have, n.max)
		}
	}
	if i.Size < 0 || c.ScannedAt < 0 {
		return bad("image", "a size or time is negative")
	}
	text := func(where string, all ...string) error {
		for _, s := range all {
			if len(s) > maxText {
				return bad(where, "a text of %d bytes, at most %d", len(s), maxText)
			}
			if !utf8.ValidString(s) {
				return bad(where, "a text is not UTF-8")
			}
		}
		return nil
	}
	if err := text("image", i.Name, i.Repository, i.Platform, string(i.Kind), c.Distro.ID, c.Distro.Version, c.Distro.Name, c.Distro.Codename); err != nil {
		return err
	}
	if err := text("image.tags", i.Tags...); err != nil {
		return err
	}
	for j := range c.Packages {
		p := &c.Packages[j]
		where := fmt.Sprintf("packages[%d]", j)
		if p.Name == "" || p.Type == "" {
			return bad(where, "it has no name or no type")
		}
		if len(p.Files) > scan.MaxFiles || len(p.Dirs) > scan.MaxFiles || len(p.Licenses) > maxListed {
			return bad(where, "%d files and %d directories, at most %d", len(p.Files), len(p.Dirs), scan.MaxFiles)
		}
		if p.Layer < -1 || p.Layer >= max(len(i.Layers), 1) {
			return bad(where, "layer %d of %d", p.Layer, len(i.Layers))
		}
		if err := text(where, string(p.Type), p.Name, p.Version, p.Arch, p.Source, p.SourceVersion, p.Module, p.Vendor, p.PURL, p.Location, p.OwnedBy); err != nil {
			return err
		}
	}
	for j := range c.Secrets {
		x := &c.Secrets[j]
		if err := text(fmt.Sprintf("secrets[%d]", j), x.Rule, x.Title, x.Path, x.Where, x.Redacted); err != nil {
			return err
		}
		// The value itself is never kept, whoever scanned.
		if shown := strings.TrimRight(x.Redacted, "*…"); utf8.RuneCountInString(shown) > 4 {
			return bad(fmt.Sprintf("secrets[%d].redacted", j), "more than four characters of a secret are shown")
		}
		if x.Line < 0 || x.Line > math.MaxInt32 || !x.Severity.Valid() {
			return bad(fmt.Sprintf("secrets[%d]", j), "its line or severity is out of range")
		}
	}
	return nil
}

func validDigest(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}
