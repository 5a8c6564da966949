package images

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/advisory"
	"github.com/dockreeve/dockreeve/scan/scanner"
	"github.com/dockreeve/dockreeve/store"
)

// real gives a harbour the scanner that hubs have.
func real(o *Options) {
	var so scanner.Options
	so.Catalog.Secrets, so.Catalog.Config = true, true
	o.Scanner = scanner.New(so)
}

// prove is a turn of the schedule with a worker at hand, and what is kept of it.
func (h *harbour) prove(t *testing.T) store.ImageCanary {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.work.run(ctx)
	}()
	err := h.Prove(t.Context())
	cancel()
	<-ended
	h.must(t, err)
	return h.canary(t)
}

func (h *harbour) canary(t *testing.T) store.ImageCanary {
	t.Helper()
	c, err := h.db.ImageCanary(t.Context())
	h.must(t, err)
	return c
}

// osv writes what OSV would publish of Debian.
func osv(t *testing.T, records ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "all.zip")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	for i, r := range records {
		e, err := w.Create(fmt.Sprintf("%d.json", i))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Write([]byte(r)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func debian(id, pkg, fixed string, more ...string) string {
	return fmt.Sprintf(`{"schema_version":"1.6.0","id":"DEBIAN-%s","modified":"2026-05-01T00:00:00Z","upstream":[%q],%s"affected":[{"package":{"ecosystem":"Debian:12","name":%q},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":%q}]}]}]}`,
		id, id, strings.Join(more, ""), pkg, fixed)
}

func TestATestImageComesBackThroughARealDatabase(t *testing.T) {
	h := open(t, real)
	path := filepath.Join(t.TempDir(), "advisories.db")
	h.opt.Database = path
	h.opt.Open = func(path string) (Advisories, error) { return advisory.Open(path) }
	load := func(records ...string) {
		t.Helper()
		if _, err := advisory.Import(t.Context(), path, []string{osv(t, records...)}, advisory.Options{}); err != nil {
			t.Fatal(err)
		}
		h.turnOver(t)
	}
	load(debian("CVE-2024-1001", "alpha", "1.2-3"), debian("CVE-2024-1002", "beta", "2:2.0-1+deb12u1"))
	c := h.prove(t)
	if c.Missed != "" || c.NotAssessed != "" || c.Sent == 0 || c.Seen < c.Sent || c.Done < c.Sent || c.Every != int64(24*time.Hour) || c.Built == 0 ||
		c.What != "CVE-2024-1001 in alpha 0-1, fixed in 1.2-3 (Debian:12)" {
		t.Fatalf("%+v", c)
	}
	if again := h.prove(t); again != c {
		t.Errorf("sent again before it is due: %+v", again)
	}
	h.clock.Advance(time.Hour)
	load(debian("CVE-2024-1001", "alpha", "1.2-3", `"withdrawn":"2026-05-02T00:00:00Z",`), debian("CVE-2024-1002", "beta", "2:2.0-1+deb12u1"))
	if next := h.prove(t); next.Missed != "" || next.Seen <= c.Seen || next.What != "CVE-2024-1002 in beta 0-1, fixed in 2:2.0-1+deb12u1 (Debian:12)" {
		t.Fatalf("after a withdrawal: %+v", next)
	}
	h.clock.Advance(24 * time.Hour)
	last := h.canary(t)
	if next := h.prove(t); next.Seen-last.Seen != int64(24*time.Hour) {
		t.Errorf("a day later: %+v", next)
	}
	h.unseen(t)
}

// unseen fails where anything of a test image is left that somebody could see or that counts.
func (h *harbour) unseen(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	q := store.ImageQuery{Limit: 10, Now: h.clock.Now().UnixNano()}
	list, err := h.db.Images(ctx, q)
	h.must(t, err)
	for _, i := range list.Images {
		if strings.Contains(i.Name, CanaryName) {
			t.Errorf("the list of images holds %+v", i)
		}
	}
	vulns, err := h.db.Vulnerabilities(ctx, q)
	h.must(t, err)
	if vulns.TotalAll != 0 {
		t.Errorf("vulnerabilities: %+v", vulns.Vulnerabilities)
	}
	for _, id := range []string{"CVE-2024-1001", "CVE-2024-1002"} {
		if d, err := h.db.Vulnerability(ctx, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("are we affected by %s: %+v %v", id, d, err)
		}
	}
	news, err := h.db.News(ctx, 10)
	h.must(t, err)
	packages, err := h.db.Packages(ctx, 0, 10)
	h.must(t, err)
	facts, err := h.db.ImageFacts(ctx, 0, 0)
	h.must(t, err)
	cov, err := h.db.ImageCoverage(ctx)
	h.must(t, err)
	if len(news)+len(packages)+len(h.raised)+int(cov.Running) != 0 || facts != nil && facts.Running+facts.Scanned != 0 {
		t.Errorf("news %v, packages %v, findings %v, facts %+v, coverage %+v", news, packages, h.raised, facts, cov)
	}
}

func TestATestImageIsNeverSeenEvenWhileItIsThere(t *testing.T) {
	h := open(t, real)
	h.book.say("alpha", "CVE-2024-1001", finding.Critical, "1.2-3")
	h.turnOver(t)
	before := h.db.Seq()
	if c := h.prove(t); c.Seen == 0 {
		t.Fatalf("%+v", c)
	}
	h.unseen(t)
	told, _, err := h.db.Changes(t.Context(), before, 100)
	h.must(t, err)
	for _, c := range told {
		if c.Kind != store.ChangeAdvisories {
			t.Errorf("watchers are told of %+v", c)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "dockreeve-canary-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// distorted is a database of which matching reads another answer than what is true.
type distorted struct {
	*book
	change func(advisory.Affected) (advisory.Affected, bool)
}

func (d distorted) AffectedIf(ecosystem, name string, keep func(*advisory.Affected) bool) ([]advisory.Entry, error) {
	list, err := d.Affected(ecosystem, name)
	var out []advisory.Entry
	for _, e := range list {
		a, ok := d.change(e.Affected)
		if ok && keep(&a) {
			out = append(out, advisory.Entry{Record: e.Record, Affected: a})
		}
	}
	return out, err
}

func (d distorted) Close() error { return nil }

func TestATestImageTellsABrokenRoad(t *testing.T) {
	fixedNever := func(a advisory.Affected) (advisory.Affected, bool) {
		a.Ranges = []advisory.Range{{}}
		return a, true
	}
	blind := func(a advisory.Affected) (advisory.Affected, bool) { return a, false }
	for name, x := range map[string]struct {
		match  func(advisory.Affected) (advisory.Affected, bool)
		scan   func(ref string) ([]*scan.Catalog, error)
		missed string
	}{
		"everything is vulnerable": {match: fixedNever, missed: "alpha 1.2-3 of Debian:12 was found vulnerable to CVE-2024-1001, which that version mends"},
		"nothing is vulnerable":    {match: blind, missed: "alpha 0-1 of Debian:12 was not found vulnerable to CVE-2024-1001 (record CVE-2024-1001, fixed in 1.2-3)"},
		"no package is read": {scan: func(string) ([]*scan.Catalog, error) {
			return []*scan.Catalog{{Image: scan.Image{Kind: scan.KindOCI, Digest: digest(7)}}}, nil
		}, missed: "was not found vulnerable"},
		"nothing can be opened": {scan: func(string) ([]*scan.Catalog, error) { return nil, errors.New("disk full") }, missed: "the test image could not be scanned: disk full"},
		"the scanner panics":    {scan: func(string) ([]*scan.Catalog, error) { panic("x") }, missed: "the test image could not be scanned: the scanner failed"},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, real)
			h.book.say("alpha", "CVE-2024-1001", finding.High, "1.2-3")
			h.turnOver(t)
			good := h.prove(t)
			if good.Missed != "" || good.Seen == 0 {
				t.Fatalf("%+v", good)
			}
			if x.match != nil {
				h.db0(distorted{h.book, x.match})
			}
			if x.scan != nil {
				h.opt.Scanner = scans(x.scan)
			}
			h.clock.Advance(25 * time.Hour)
			bad := h.prove(t)
			if !strings.Contains(bad.Missed, x.missed) || bad.Seen != good.Seen || bad.What != good.What || bad.Sent <= good.Sent {
				t.Fatalf("%+v", bad)
			}
			s, err := h.Status(t.Context())
			h.must(t, err)
			last := s.Gaps[len(s.Gaps)-1]
			if last.What != "proof that images are scanned" || !strings.Contains(last.Reason, x.missed) || last.Data {
				t.Errorf("%+v", s.Gaps)
			}
			// It is tried again soon, three times within half an hour.
			for n := 2; n <= 3; n++ {
				h.clock.Advance(canaryAgain)
				if bad = h.prove(t); bad.Failed != n || !strings.Contains(bad.Why, x.missed) {
					t.Errorf("try %d: %+v", n, bad)
				}
			}
			// Mended is mended.
			h.db0(h.book)
			h.opt.Scanner = scanner.New(scanner.Options{})
			if early := h.prove(t); early != bad {
				t.Errorf("tried again at once: %+v", early)
			}
			h.clock.Advance(canaryAgain)
			if c := h.prove(t); c.Missed != "" || c.Seen != h.clock.Now().UnixNano() || c.Failed != 0 || c.Why != "" {
				t.Errorf("mended: %+v", c)
			}
			h.unseen(t)
		})
	}
}

// db0 puts another database in the place of the one at hand.
func (h *harbour) db0(db Advisories) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.Images.db = db
}

type scans func(ref string) ([]*scan.Catalog, error)

func (f scans) Catalogs(_ context.Context, ref string) ([]*scan.Catalog, error) { return f(ref) }

func TestWhyNoTestImageIsSent(t *testing.T) {
	none := func(o *Options) { real(o); o.Database = "" }
	missing := func(o *Options) { real(o); o.Database += ".none" }
	for name, x := range map[string]struct {
		opt func(*Options)
		say func(*book)
		why string
	}{
		"no database configured": {none, nil, "no advisory database is configured"},
		"no database yet":        {missing, nil, "there is no advisory database at"},
		"nothing that can be made": {real, func(b *book) { b.say("alpha", "CVE-2024-1", finding.High, "") },
			"no test image can be made of the advisories: no record that names its fixed version plainly among 1 packages of Debian:12"},
		"no scanner": {func(o *Options) { o.Scanner = nil }, func(b *book) { b.say("alpha", "CVE-2024-1", finding.High, "1-1") }, "no scanner is configured"},
		"never":      {func(o *Options) { real(o); o.CanaryEvery = -1 }, func(b *book) { b.say("alpha", "CVE-2024-1", finding.High, "1-1") }, "switched off (--image-canary-every 0)"},
		"queue full": {func(o *Options) { real(o); o.CanaryEvery = time.Hour }, func(b *book) { b.say("alpha", "CVE-2024-1", finding.High, "1-1") }, "found no room"},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, x.opt)
			if x.say != nil {
				x.say(h.book)
			}
			h.turnOver(t)
			if name == "queue full" {
				for range maxPushes {
					h.work.push(job{ref: "r.example/app@" + digest(1)})
				}
			}
			h.must(t, h.Prove(t.Context()))
			c := h.canary(t)
			if !strings.Contains(c.NotAssessed, x.why) || c.Sent != 0 || c.Seen != 0 {
				t.Fatalf("%+v", c)
			}
			seq := h.db.Seq()
			h.clock.Advance(time.Minute)
			h.must(t, h.Prove(t.Context()))
			if h.db.Seq() != seq {
				t.Error("the same is written again and again")
			}
			if len(h.lost) != 0 {
				t.Errorf("an image is counted as lost: %+v", h.lost)
			}
		})
	}
}

// A full queue takes nothing from what was proven a while ago, and the test image is sent
// once there is room.
func TestAFullQueueWaits(t *testing.T) {
	h := open(t, func(o *Options) { real(o); o.CanaryEvery = time.Hour })
	h.book.say("alpha", "CVE-2024-1001", finding.High, "1.2-3")
	h.turnOver(t)
	good := h.prove(t)
	for range maxPushes {
		h.work.push(job{ref: "r.example/app@" + digest(1)})
	}
	h.book.say("beta", "CVE-2024-1002", finding.High, "1.2-3") // new advisories: another one is due
	h.turnOver(t)
	h.must(t, h.Prove(t.Context()))
	if c := h.canary(t); c != good {
		t.Errorf("%+v", c)
	}
	h.clock.Advance(2 * time.Hour)
	h.must(t, h.Prove(t.Context()))
	if c := h.canary(t); !strings.Contains(c.NotAssessed, "found no room") || c.Seen != good.Seen {
		t.Errorf("%+v", c)
	}
	for {
		if _, ok := h.work.pop(); !ok {
			break
		}
	}
	h.clock.Advance(canaryAgain)
	if c := h.prove(t); c.NotAssessed != "" || c.Seen <= good.Seen {
		t.Errorf("%+v", c)
	}
}

// A process that ends between sending and coming back leaves nothing to be seen, and the
// next one sends anew at once.
func TestACrashInBetween(t *testing.T) {
	h := open(t, real)
	h.book.say("alpha", "CVE-2024-1001", finding.Critical, "1.2-3")
	h.turnOver(t)
	ctx, crash := context.WithCancel(t.Context())
	inside := h.opt.Scanner
	h.opt.Scanner = scans(func(ref string) ([]*scan.Catalog, error) {
		list, err := inside.Catalogs(t.Context(), ref)
		crash()
		return list, err
	})
	go h.work.run(ctx)
	h.must(t, h.Prove(ctx))
	if c := h.canary(t); c.Sent == 0 || c.Seen != 0 {
		t.Fatalf("%+v", c)
	}
	h.unseen(t)
	h.opt.Scanner = inside
	if c := h.prove(t); c.Seen == 0 || c.Missed != "" {
		t.Errorf("the next life: %+v", c)
	}
}

// Advisories that are replaced while a test image is on its way make it no failure.
func TestAdvisoriesReplacedOnTheWay(t *testing.T) {
	h := open(t, real)
	h.book.say("alpha", "CVE-2024-1001", finding.High, "1.2-3")
	h.turnOver(t)
	inside := h.opt.Scanner
	h.opt.Scanner = scans(func(ref string) ([]*scan.Catalog, error) {
		h.book.say("alpha", "CVE-2024-1001", finding.High, "-") // withdrawn
		h.book.say("beta", "CVE-2024-1002", finding.High, "2-1")
		return inside.Catalogs(t.Context(), ref)
	})
	if c := h.prove(t); c.Missed != "" || c.NotAssessed != "" || c.Seen != 0 {
		t.Fatalf("%+v", c)
	}
	h.opt.Scanner = inside
	h.turnOver(t)
	if c := h.prove(t); c.Seen == 0 || !strings.Contains(c.What, "CVE-2024-1002") {
		t.Errorf("%+v", c)
	}
}
