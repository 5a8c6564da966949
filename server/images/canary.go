package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/advisory"
	"github.com/dockreeve/dockreeve/scan/canary"
	"github.com/dockreeve/dockreeve/scan/match"
	"github.com/dockreeve/dockreeve/store"
)

// CanaryName is the name under which test images are scanned. No list ever shows it.
const CanaryName = "dockreeve.invalid/canary"

const (
	canaryEvery = 24 * time.Hour
	canaryFirst = 30 * time.Second // after the start: the database has been opened
	// canaryAgain is how soon the next is tried after one that did not come back or could
	// not be sent.
	canaryAgain = 10 * time.Minute
	// canaryPatience is how long one may wait behind other images before it is missed.
	canaryPatience = 30 * time.Minute
)

// errMoved says that the advisories were replaced while a test image was on its way.
var errMoved = errors.New("the advisories were replaced meanwhile")

// canaries sends a test image on its schedule, and after each new advisory database.
func (s *Images) canaries(ctx context.Context) {
	if !s.wait(ctx, min(canaryFirst, s.canaryPace())) {
		return
	}
	for {
		if err := s.Prove(ctx); err != nil && ctx.Err() == nil {
			s.opt.Log.Warn("proving that images are scanned failed, trying again", "error", err)
		}
		if !s.wait(ctx, min(lookEvery, s.canaryPace())) {
			return
		}
	}
}

// canaryPace is the interval, an hour where there is none.
func (s *Images) canaryPace() time.Duration {
	if s.opt.CanaryEvery < 0 {
		return time.Hour
	}
	return cmp.Or(s.opt.CanaryEvery, canaryEvery)
}

// Prove sends a test image if one is due and keeps what became of it: an image with one
// package at a version that the advisories call vulnerable must be found so by the road
// of every image, and the same at the version that mends it must not. It returns once
// both have come back. The error is the store's; all else is part of what is kept.
func (s *Images) Prove(ctx context.Context) error {
	was, err := s.opt.DB.ImageCanary(ctx)
	if err != nil {
		return err
	}
	now := s.opt.Clock.Now().UnixNano()
	c := was
	if s.opt.CanaryEvery < 0 {
		c.Every, c.NotAssessed = 0, "test images are switched off (--image-canary-every 0)"
		return s.keepCanary(ctx, was, c)
	}
	c.Every = int64(s.canaryPace())
	version, why := s.provable()
	if why != "" {
		c.NotAssessed, c.Done = why, now
		if was.NotAssessed == why {
			c.Done = was.Done // said already
		}
		return s.keepCanary(ctx, was, c)
	}
	matched, err := s.opt.DB.Matched(ctx)
	if err != nil || version == "" || matched.Version != version {
		return err // not opened yet, or stored packages are still judged by the advisories of before
	}
	failed := was.Missed != "" || was.NotAssessed != ""
	due := was.Done == 0 || was.Version != version || was.Every != c.Every || now-max(was.Sent, was.Done) >= c.Every ||
		was.Sent > was.Done || // the process ended before it came back
		failed && now-was.Done >= min(int64(canaryAgain), c.Every)
	if !due {
		return nil
	}
	return s.send(ctx, was, c)
}

// provable says by which advisories a test image would be judged now, or why none can be
// sent; neither while the database is being opened.
func (s *Images) provable() (version, why string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case s.opt.Scanner == nil:
		return "", "no scanner is configured, so no image is scanned here"
	case s.db != nil:
		return s.db.Info().Version, ""
	case s.noDB != nil:
		return "", s.noDB.Error()
	}
	return "", ""
}

func (s *Images) send(ctx context.Context, was, c store.ImageCanary) error {
	s.mu.RLock()
	var chosen canary.Case
	err := errNoDatabase
	var info scan.DatabaseInfo
	if s.db != nil {
		info = s.db.Info()
		chosen, err = canary.Choose(s.db)
	}
	s.mu.RUnlock()
	now := s.opt.Clock.Now().UnixNano()
	c.Version = info.Version
	if err != nil {
		c.NotAssessed, c.Done = "no test image can be made of the advisories: "+err.Error(), now
		return s.keepCanary(ctx, was, c)
	}
	done := make(chan error, 1)
	if !s.work.room(job{ref: CanaryName, cause: "test image", probe: func(ctx context.Context) { done <- s.probe(ctx, &chosen, info.Version) }}) {
		// What was proven lately still is; the queue may have room in a minute.
		c.Version = was.Version
		if full := "too many images wait to be scanned: the test image found no room among them"; was.NotAssessed != full && (was.Seen == 0 || now-was.Seen > c.Every) {
			c.NotAssessed, c.Done = full, now
		}
		return s.keepCanary(ctx, was, c)
	}
	c.Sent, c.NotAssessed, c.Missed = now, "", ""
	if err := s.keepCanary(ctx, was, c); err != nil {
		return err
	}
	select {
	case err = <-done:
	case <-ctx.Done():
		return nil // it is sent anew at the next start
	}
	if ctx.Err() != nil || errors.Is(err, errMoved) {
		sent := c
		c.Done, c.Version = c.Sent, "" // the next is due at once
		return s.keepCanary(context.WithoutCancel(ctx), sent, c)
	}
	sent := c
	c.Done = s.opt.Clock.Now().UnixNano()
	if err != nil {
		c.Missed = clip(err.Error(), maxReason)
		c.Failed, c.Why = c.Failed+1, c.Missed
		s.opt.Log.Error("the test image did not come back as it must: images may be scanned in name only", "case", chosen.String(), "error", err)
	} else {
		c.Failed, c.Why = 0, ""
		c.Seen, c.What, c.Built = c.Done, chosen.String(), advisory.AsOf(&info)
	}
	return s.keepCanary(ctx, sent, c)
}

func (s *Images) keepCanary(ctx context.Context, was, c store.ImageCanary) error {
	if c == was {
		return nil
	}
	return s.opt.DB.SetImageCanary(ctx, c)
}

// probe takes the two images of a case down the road that images take. nil = the first was
// found vulnerable, and the second was not.
func (s *Images) probe(ctx context.Context, c *canary.Case, version string) error {
	ctx, cancel := context.WithTimeout(ctx, scanLimit)
	defer cancel()
	for _, must := range []bool{true, false} {
		installed := c.Fixed
		if must {
			installed = c.Vulnerable
		}
		stored, again, err := s.road(ctx, c, installed, version)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("%s %s of %s", c.Package, installed, c.Ecosystem)
		switch {
		case must && !stored:
			return fmt.Errorf("%s was not found vulnerable to %s (record %s, fixed in %s)", what, c.CVE, c.Record, c.Fixed)
		case must && !again:
			return fmt.Errorf("%s was stored as vulnerable to %s, but its verdict does not say so", what, c.CVE)
		case !must && (stored || again):
			return fmt.Errorf("%s was found vulnerable to %s, which that version mends (record %s)", what, c.CVE, c.Record)
		}
	}
	return nil
}

// road scans one test image: from an archive through the scanner, the check of what is
// submitted, the advisories and the store, and from there to its verdict. It says whether
// what was stored has the vulnerability, and whether the verdict on what was stored has.
func (s *Images) road(ctx context.Context, c *canary.Case, installed, version string) (stored, again bool, err error) {
	b, err := c.Image(installed, s.opt.Clock.Now().UnixNano())
	if err != nil {
		return false, false, err
	}
	path, err := spool(b)
	if err != nil {
		return false, false, fmt.Errorf("the test image could not be written: %w", err)
	}
	defer os.Remove(path)
	list, err := s.catalogs(ctx, "oci:"+path)
	if err != nil {
		return false, false, fmt.Errorf("the test image could not be scanned: %w", err)
	}
	if len(list) != 1 {
		return false, false, fmt.Errorf("of the test image the scanner made %d catalogues instead of one", len(list))
	}
	cat := list[0]
	cat.Image.Name, cat.Image.Repository, cat.Image.Tags = CanaryName, "", nil
	var tried store.TriedImage
	put := func(ctx context.Context, scan store.ImageScan) (string, scan.Counts, error) {
		if scan.Version != version {
			return "", tried.Counts, errMoved
		}
		var err error
		tried, err = s.opt.DB.TryImage(ctx, scan)
		return tried.Key, tried.Counts, err
	}
	if _, _, err := s.submit(ctx, cat, "", "test image", func(_, _ *scan.Catalog) bool { return false }, put); err != nil {
		return false, false, fmt.Errorf("the test image could not be stored: %w", err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil || s.db.Info().Version != version {
		return false, false, errMoved
	}
	vulns, _, err := match.Match(tried.Catalog, s.db, match.Options{Now: s.opt.Clock.Now().UnixNano()})
	if err != nil {
		return false, false, fmt.Errorf("the test image has no verdict: %w", err)
	}
	return slices.Contains(tried.Vulnerabilities, c.CVE), slices.ContainsFunc(vulns, func(v scan.Vulnerability) bool { return v.ID == c.CVE }), nil
}

// spool writes an archive where the scanner can open it.
func spool(b []byte) (path string, err error) {
	f, err := os.CreateTemp("", "dockreeve-canary-*.tar")
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// canaryGap is what Health says of the test image; nil = it came back, or nothing more is
// known than what stands there already.
func canaryGap(c *store.ImageCanary, now int64) *scan.Gap {
	g := &scan.Gap{What: "proof that images are scanned", Remedy: "docs/governance.md: canaries"}
	switch {
	case c.Every == 0:
		return nil
	case c.NotAssessed != "":
		g.Reason = c.NotAssessed
	case c.Missed != "":
		g.Reason = "the test image of " + time.Unix(0, c.Sent).UTC().Format(time.RFC3339) + " did not come back as it must: " + c.Missed
	case c.Sent > c.Done && now-c.Sent > int64(canaryPatience):
		g.Reason = "the test image of " + time.Unix(0, c.Sent).UTC().Format(time.RFC3339) + " is still waiting to be scanned"
	default:
		return nil
	}
	return g
}
