package images

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/advisory"
	"github.com/dockreeve/dockreeve/scan/match"
	"github.com/dockreeve/dockreeve/scan/scanner"
	"github.com/dockreeve/dockreeve/store"
)

// stamp tells one file from the one that replaced it.
type stamp struct {
	info os.FileInfo
}

func (a stamp) same(b os.FileInfo) bool {
	return a.info != nil && os.SameFile(a.info, b) && a.info.ModTime().Equal(b.ModTime()) && a.info.Size() == b.Size()
}

// Refresh opens the database when its file has been replaced, and matches all that is
// stored with it when its content is another than before. Nothing is pulled.
func (s *Images) Refresh(ctx context.Context) error {
	if err := s.reopen(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return nil
	}
	err := s.rematch(ctx)
	s.state.Lock()
	s.state.matching = err
	s.state.Unlock()
	return err
}

func (s *Images) reopen() error {
	if s.opt.Database == "" {
		return nil
	}
	info, err := os.Stat(s.opt.Database)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && s.db != nil && s.seen.same(info) {
		return nil
	}
	var db Advisories
	if err == nil {
		db, err = s.opt.Open(s.opt.Database)
	}
	if errors.Is(err, fs.ErrNotExist) && s.db == nil {
		// An ordinary state of a new machine: said wherever it matters, no fault to log.
		s.noDB = fmt.Errorf("there is no advisory database at %s yet: make one with dockreeve db update, or dockreeve db import where there is no network", s.opt.Database)
		return nil
	}
	if err != nil {
		if s.db == nil {
			s.noDB = fmt.Errorf("the advisory database cannot be read: %w", err)
		}
		// One that is open stays: its file may be gone or half copied, it is not.
		return fmt.Errorf("open the advisory database: %w", err)
	}
	if s.db != nil {
		s.db.Close() // nobody reads: we hold the lock
	}
	s.db, s.noDB, s.seen = db, nil, stamp{info}
	return nil
}

func (s *Images) closeDB() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db != nil {
		s.db.Close()
		s.db, s.noDB, s.seen = nil, errors.New("the server is stopping"), stamp{}
	}
}

// Bounds of one step of matching again.
const (
	keyStep     = 500
	packageStep = 1000
)

// rematch matches what the new database may judge otherwise. It is called with the
// database held.
func (s *Images) rematch(ctx context.Context) error {
	info := s.db.Info()
	was, err := s.opt.DB.Matched(ctx)
	if err != nil {
		return err
	}
	if was.Version == info.Version {
		return s.leftOver(ctx, info)
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	cause := "advisories of " + time.Unix(0, info.Built).UTC().Format(time.DateOnly)
	var keys []advisory.Key
	all := was.Version == ""
	if !all {
		if keys, all, err = s.db.ChangedSince(was.Version); err != nil {
			return fmt.Errorf("ask what changed since %s: %w", was.Version, err)
		}
	}
	if all {
		err = s.matchAll(ctx, cause)
	} else {
		err = s.matchKeys(ctx, keys, cause)
	}
	if err != nil {
		return err
	}
	if _, err := s.opt.DB.RefreshScores(ctx, s.scores, cause); err != nil {
		return err
	}
	changed, err := s.opt.DB.Fold(ctx)
	if err != nil {
		return err
	}
	ecosystems := slices.Sorted(maps.Keys(s.db.Ecosystems()))
	if err := s.gaps(ctx, !slices.Equal(ecosystems, was.Ecosystems), info.Version); err != nil {
		return err
	}
	now := s.opt.Clock.Now().UnixNano()
	s.opt.Log.Info("stored images matched again", "advisories", info.Version, "keys", len(keys), "all", all, "images_changed", changed)
	return s.opt.DB.SetMatched(ctx, store.MatchState{Version: info.Version, Time: now, Images: changed, Ecosystems: ecosystems})
}

// leftOver finishes what an earlier run was broken off at, and matches what was stored
// while there was no database.
func (s *Images) leftOver(ctx context.Context, info scan.DatabaseInfo) error {
	for {
		list, err := s.opt.DB.Unmatched(ctx, packageStep)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			break
		}
		if err := s.matchPackages(ctx, list, "the first advisories"); err != nil {
			return err
		}
	}
	if _, err := s.opt.DB.Fold(ctx); err != nil {
		return err
	}
	return s.gaps(ctx, false, info.Version)
}

func (s *Images) matchAll(ctx context.Context, cause string) error {
	for after := int64(0); ; {
		list, err := s.opt.DB.Packages(ctx, after, packageStep)
		if err != nil || len(list) == 0 {
			return err
		}
		after = list[len(list)-1].N
		if err := s.matchPackages(ctx, list, cause); err != nil {
			return err
		}
	}
}

func (s *Images) matchKeys(ctx context.Context, keys []advisory.Key, cause string) error {
	for part := range slices.Chunk(keys, keyStep) {
		asked := make([]store.PackageKey, len(part))
		for i, k := range part {
			asked[i] = store.PackageKey{Ecosystem: k.Ecosystem, Name: k.Name}
		}
		list, err := s.opt.DB.ChangedPackages(ctx, asked)
		if err != nil {
			return err
		}
		for some := range slices.Chunk(list, packageStep) {
			if err := s.matchPackages(ctx, some, cause); err != nil {
				return err
			}
		}
	}
	return nil
}

// matchPackages matches packages of any distributions: those of one go together.
func (s *Images) matchPackages(ctx context.Context, list []store.StoredPackage, cause string) error {
	type group struct {
		c  scan.Catalog
		at []int // index into list
	}
	groups := map[string]*group{}
	for i := range list {
		p := &list[i]
		id := p.Distro.ID + "\x00" + p.Distro.Version + "\x00" + p.Distro.Codename
		g := groups[id]
		if g == nil {
			g = &group{c: scan.Catalog{Distro: p.Distro}}
			groups[id] = g
		}
		g.c.Packages = append(g.c.Packages, p.Package)
		g.at = append(g.at, i)
	}
	out := make([]store.PackageMatch, len(list))
	for i := range list {
		out[i].N = list[i].N
	}
	for _, g := range groups {
		vulns, _, err := match.Match(&g.c, s.db, match.Options{Now: s.opt.Clock.Now().UnixNano()})
		if err != nil {
			return fmt.Errorf("match stored packages: %w", err)
		}
		for _, v := range vulns {
			i := g.at[v.Package]
			out[i].Vulnerabilities = append(out[i].Vulnerabilities, v)
		}
	}
	_, err := s.opt.DB.Rematch(ctx, out, cause)
	return err
}

func (s *Images) scores(id string, aliases []string) store.Scores {
	var out store.Scores
	for _, name := range append([]string{id}, aliases...) {
		if !advisory.IsCVE(name) {
			continue
		}
		if out.EPSS == nil {
			out.EPSS = s.db.EPSS(name)
		}
		if out.KEV == nil {
			out.KEV = s.db.KEV(name)
		}
	}
	return out
}

// gaps says anew what could not be judged: of every image when the database holds
// other ecosystems, else of those that were never matched.
func (s *Images) gaps(ctx context.Context, all bool, version string) error {
	for after := int64(0); ; {
		list, err := s.opt.DB.GapImages(ctx, after, 100, all)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, g := range list {
			after = g.N
			d, err := s.opt.DB.Image(ctx, g.Key)
			if errors.Is(err, store.ErrNotFound) || err == nil && d.Catalog == nil {
				continue
			}
			if err != nil {
				return err
			}
			vulns, gaps, err := match.Match(d.Catalog, s.db, match.Options{Now: s.opt.Clock.Now().UnixNano()})
			if err != nil {
				return fmt.Errorf("match %s: %w", g.Key, err)
			}
			if err := s.opt.DB.SetGaps(ctx, g.N, gaps, noVerdict(d.Catalog, vulns, gaps), version); err != nil {
				return err
			}
		}
	}
}

// noVerdict is why an image has no verdict though it was matched: nothing was found,
// and the advisories for it are missing. "No vulnerabilities" would be no answer.
func noVerdict(c *scan.Catalog, vulns []scan.Vulnerability, gaps []scan.Gap) string {
	if len(vulns) > 0 {
		return ""
	}
	for _, g := range gaps {
		if g.Data {
			return g.What + ": " + g.Reason
		}
	}
	if len(c.Packages) > 0 {
		return ""
	}
	for _, g := range c.NotAssessed {
		// That a root file system has no image configuration is no reason to find no package.
		if !strings.HasSuffix(g.What, "configuration checks") && g.What != pulledWhat && g.Reason != scanner.NotAskedFor {
			return g.What + ": " + g.Reason
		}
	}
	if c.Image.Kind == scan.KindRootfs {
		return "no package was found in its root file system"
	}
	return "no package was found in it, so there is nothing to match"
}

// update brings the database up to date on a schedule, when there is one.
func (s *Images) update(ctx context.Context) {
	if s.opt.Update == nil {
		return
	}
	for {
		err := s.opt.Update(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.opt.Log.Warn("updating the advisory database failed, the last good one stays", "error", err)
		}
		s.state.Lock()
		s.state.updateErr = err
		s.state.Unlock()
		if !s.wait(ctx, s.opt.UpdateEvery) {
			return
		}
	}
}

// Status says which advisories there are and how far all is matched with them.
type Status struct {
	Info        scan.DatabaseInfo
	NotAssessed string // why nothing can be matched; "" = it can
	Stale       bool
	MaxAge      time.Duration
	UpdateError string
	Matched     store.MatchState
	Canary      store.ImageCanary
	Gaps        []scan.Gap // everything that is behind, or not done, and why
}

// Status tells how things stand.
func (s *Images) Status(ctx context.Context) (Status, error) {
	out := Status{MaxAge: s.opt.MaxAge}
	var err error
	if out.Matched, err = s.opt.DB.Matched(ctx); err != nil {
		return out, err
	}
	if out.Canary, err = s.opt.DB.ImageCanary(ctx); err != nil {
		return out, err
	}
	now := s.opt.Clock.Now()
	s.mu.RLock()
	if s.db != nil {
		out.Info = s.db.Info()
		out.Info.Built = advisory.AsOf(&out.Info) // what is shown as its age is that of its data
		out.Stale = advisory.TooOld(&out.Info, now.UnixNano(), int64(s.opt.MaxAge))
	} else if s.noDB != nil {
		out.NotAssessed = s.noDB.Error()
	} else {
		out.NotAssessed = "the advisory database is being opened"
	}
	s.mu.RUnlock()
	s.state.Lock()
	defer s.state.Unlock()
	if s.state.updateErr != nil {
		out.UpdateError = s.state.updateErr.Error()
	}
	gap := func(what, reason, remedy string) {
		out.Gaps = append(out.Gaps, scan.Gap{What: what, Reason: reason, Remedy: remedy, Data: true})
	}
	switch {
	case out.NotAssessed != "":
		gap("vulnerabilities of images", out.NotAssessed, "dockreeve db update, or dockreeve db import where there is no network")
	case out.Stale:
		gap("vulnerabilities published lately", fmt.Sprintf("the advisories are of %s, older than %s", time.Unix(0, advisory.AsOf(&out.Info)).UTC().Format(time.DateOnly), ageText(s.opt.MaxAge)), "dockreeve db update")
	}
	for _, g := range advisory.Stale(&out.Info, now.UnixNano(), int64(s.opt.MaxAge)) {
		if !g.Data {
			out.Gaps = append(out.Gaps, g)
		}
	}
	if s.state.matching != nil {
		gap("images under the newest advisories", "matching them failed: "+s.state.matching.Error(), "it is tried again every few seconds")
	}
	for _, f := range out.Info.Feeds {
		if f.Error != "" {
			gap("advisories of "+f.Name, "their last update failed: "+f.Error, "the last good ones are used")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.state.walks)) {
		if w := s.state.walks[name]; w.err != "" {
			gap("images in "+name, w.err, "it is tried again")
		}
	}
	if g := canaryGap(&out.Canary, now.UnixNano()); g != nil && out.NotAssessed == "" && s.opt.Scanner != nil { // why else stands there already
		out.Gaps = append(out.Gaps, *g)
	}
	if s.opt.Scanner == nil {
		out.Gaps = append(out.Gaps, scan.Gap{What: "images first seen running", Reason: "no scanner is configured", Remedy: "scan them with dockreeve scan --server"})
	}
	return out, nil
}

func ageText(d time.Duration) string {
	if d >= 48*time.Hour {
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
	return d.String()
}

// Known reports whether the advisories know an id at all, and every id of the same
// matter that they name.
func (s *Images) Known(id string) (known bool, ids []string, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return false, nil, nil
	}
	list, err := s.db.Find(id)
	if err != nil {
		return false, nil, fmt.Errorf("look up %s in the advisories: %w", id, err)
	}
	for _, r := range list {
		for _, x := range append([]string{r.ID}, r.Aliases...) {
			if len(ids) < 100 && !slices.Contains(ids, x) {
				ids = append(ids, x)
			}
		}
	}
	return len(list) > 0, ids, nil
}
