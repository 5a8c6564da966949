package images

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/internal/clock"
	"github.com/dockreeve/dockreeve/inuse"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/advisory"
	"github.com/dockreeve/dockreeve/scan/registry"
	"github.com/dockreeve/dockreeve/store"
)

// book is an advisory database held in memory: every version of a package below the
// fixed one is affected.
type book struct {
	mu      sync.Mutex
	version int
	entries map[advisory.Key][]advisory.Entry
	changed map[advisory.Key]int // version at which it changed
	kev     map[string]*scan.KEV
	epss    map[string]*scan.EPSS
	fails   error
	built   int64
}

func newBook() *book {
	return &book{version: 1, entries: map[advisory.Key][]advisory.Entry{}, changed: map[advisory.Key]int{}, kev: map[string]*scan.KEV{}, epss: map[string]*scan.EPSS{}}
}

// say adds or replaces one advisory.
func (b *book) say(name, id string, s finding.Severity, fixed string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := advisory.Key{Ecosystem: "Debian:12", Name: name}
	b.version++
	b.changed[k] = b.version
	list := slices.DeleteFunc(slices.Clone(b.entries[k]), func(e advisory.Entry) bool { return e.Record.ID == id })
	if fixed != "-" {
		list = append(list, advisory.Entry{Record: &advisory.Record{ID: id, Feed: "debian", Title: "about " + id, Severity: s},
			Affected: advisory.Affected{Ecosystem: k.Ecosystem, Name: name, Severity: s, Ranges: []advisory.Range{{Fixed: fixed}}}})
	}
	b.entries[k] = list
}

func (b *book) Affected(ecosystem, name string) ([]advisory.Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.entries[advisory.Key{Ecosystem: ecosystem, Name: name}], b.fails
}
func (b *book) Has(e string) bool          { return e == "Debian:12" || e == "Debian" }
func (b *book) EPSS(cve string) *scan.EPSS { return b.epss[cve] }
func (b *book) KEV(cve string) *scan.KEV   { return b.kev[cve] }
func (b *book) Ecosystems() map[string]int { return map[string]int{"Debian:12": len(b.entries)} }
func (b *book) Close() error               { return nil }
func (b *book) Info() scan.DatabaseInfo {
	b.mu.Lock()
	defer b.mu.Unlock()
	return scan.DatabaseInfo{Built: b.built, Version: fmt.Sprint("book.", b.version)}
}
func (b *book) Find(id string) ([]*advisory.Record, error) { return nil, nil }
func (b *book) NamesAfter(ecosystem, after string, limit int) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for k, list := range b.entries {
		if k.Ecosystem == ecosystem && k.Name > after && len(list) > 0 {
			out = append(out, k.Name)
		}
	}
	slices.Sort(out)
	return out[:min(len(out), limit)], nil
}
func (b *book) ChangedSince(version string) ([]advisory.Key, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var since int
	if _, err := fmt.Sscanf(version, "book.%d", &since); err != nil {
		return nil, true, nil
	}
	var out []advisory.Key
	for k, v := range b.changed {
		if v > since {
			out = append(out, k)
		}
	}
	return out, false, nil
}

// harbour is a keeper over a real store, with a book, a clock moved by hand and a
// scanner that has what it is told.
type harbour struct {
	*Images
	db     *store.DB
	book   *book
	clock  *clock.Manual
	path   string
	raised []*finding.Finding
	fail   error
	lost   []event.Loss
	have   map[string]func() ([]*scan.Catalog, error) // by ref
	asked  []string
}

func (h *harbour) Catalogs(ctx context.Context, ref string) ([]*scan.Catalog, error) {
	h.asked = append(h.asked, ref)
	if f := h.have[ref]; f != nil {
		return f()
	}
	return nil, errors.New("none here")
}

func open(t *testing.T, change func(*Options)) *harbour {
	t.Helper()
	h := &harbour{book: newBook(), clock: clock.NewManual(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)), have: map[string]func() ([]*scan.Catalog, error){}}
	h.book.built = h.clock.Now().UnixNano()
	dir := t.TempDir()
	var err error
	h.db, err = store.Open(t.Context(), store.Options{Path: filepath.Join(dir, "x.db"), Now: func() int64 { return h.clock.Now().UnixNano() }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.db.Close() })
	h.path = filepath.Join(dir, "advisories.db")
	if err := os.WriteFile(h.path, []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	opt := Options{
		DB: h.db, Clock: h.clock, Database: h.path, Scanner: h, Lost: func(l event.Loss) { h.lost = append(h.lost, l) },
		Open: func(string) (Advisories, error) { return h.book, h.book.fails },
		Raise: func(ctx context.Context, list []*finding.Finding) error {
			if h.fail != nil {
				return h.fail
			}
			var items []store.Item
			for _, f := range list {
				items = append(items, store.Item{Finding: f})
			}
			_, err := h.db.Ingest(ctx, items)
			h.raised = append(h.raised, list...)
			return err
		},
	}
	if change != nil {
		change(&opt)
	}
	h.Images = New(opt)
	return h
}

func (h *harbour) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// turnOver does what the running keeper does every few seconds.
func (h *harbour) turnOver(t *testing.T) {
	t.Helper()
	for more := true; more; {
		var err error
		more, err = h.db.Settle(t.Context())
		h.must(t, err)
	}
	h.must(t, h.Refresh(t.Context()))
	h.must(t, h.Raise(t.Context()))
}

func digest(n int) string { return fmt.Sprintf("sha256:%064x", n) }

func catalogOf(n int, name string, packages ...string) *scan.Catalog {
	c := &scan.Catalog{Image: scan.Image{Kind: scan.KindRegistry, Name: name, Digest: digest(n), ConfigDigest: digest(n + 1000), Layers: []scan.Layer{{DiffID: digest(5)}}},
		Distro: scan.Distro{ID: "debian", Version: "12", Codename: "bookworm", Name: "Debian 12"}}
	for _, p := range packages {
		name, version, _ := strings.Cut(p, "=")
		c.Packages = append(c.Packages, scan.Package{Type: scan.Deb, Name: name, Version: version, Arch: "amd64", Files: []string{"usr/lib/" + name + ".so"}})
	}
	return c
}

func (h *harbour) submit(t *testing.T, c *scan.Catalog) scan.Counts {
	t.Helper()
	_, counts, err := h.Submit(t.Context(), c, "", "")
	h.must(t, err)
	return counts
}

func (h *harbour) run(t *testing.T, container string, image int, name string) {
	t.Helper()
	at := h.clock.Now().UnixNano()
	_, err := h.db.Ingest(t.Context(), []store.Item{{Use: &inuse.Report{Node: "n1", Container: container, Workload: "shop/Deployment/web", Image: name, Digest: digest(image), Started: at, Since: at, Until: at}}})
	h.must(t, err)
	h.turnOver(t)
}

func (h *harbour) ids(t *testing.T, key string) string {
	t.Helper()
	list, err := h.db.Findings(t.Context(), key)
	h.must(t, err)
	var out []string
	for _, f := range list {
		out = append(out, f.ID)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestNewAdvisoriesReachStoredImagesWithoutAPull(t *testing.T) {
	h := open(t, nil)
	h.book.say("openssl", "CVE-2024-1", finding.High, "3.0.5-1")
	h.turnOver(t)
	if c := h.submit(t, catalogOf(1, "r.example/web:1", "openssl=3.0.1-1", "zlib=1.2-1")); c.Total != 1 || c.High != 1 {
		t.Fatalf("%+v", c)
	}
	h.submit(t, catalogOf(2, "r.example/idle:1", "zlib=1.2-1"))
	h.run(t, "c1", 1, "r.example/web:1")
	if len(h.raised) != 0 {
		t.Fatalf("high and not exploited: only history, got %+v", h.raised)
	}
	h.clock.Advance(time.Hour)
	h.book.say("zlib", "CVE-2026-9999", finding.Critical, "1.3-1")
	h.turnOver(t)
	if got := h.ids(t, digest(1)); got != "CVE-2024-1 CVE-2026-9999" {
		t.Fatal(got)
	}
	if len(h.asked) != 0 {
		t.Fatalf("something was pulled: %v", h.asked)
	}
	d, err := h.db.Image(t.Context(), digest(1))
	h.must(t, err)
	if len(d.History) != 2 || !slices.Equal(d.History[0].Appeared, []string{"CVE-2026-9999"}) || d.History[0].Cause != "advisories of 2026-06-01" || d.History[0].Counts.Total != 2 {
		t.Fatalf("%+v", d.History)
	}
	// One alert for the image that runs and one for that seen lately; the first names everything.
	if len(h.raised) != 2 {
		t.Fatalf("%d raised", len(h.raised))
	}
	f := h.raised[0]
	if f.Rule.ID != "vulnerability/CVE-2026-9999" || f.Severity != finding.Critical || f.Subject.Workload != "shop/Deployment/web" || f.Subject.Object != "r.example/web:1" || f.Subject.ObjectClass != "image" ||
		!strings.Contains(f.Summary, "zlib 1.2-1") || !strings.Contains(f.Rule.Response[0], "zlib 1.3-1") {
		t.Fatalf("%+v", f)
	}
	// The same again says nothing; withdrawn, it goes.
	h.turnOver(t)
	if len(h.raised) != 2 {
		t.Fatalf("told again: %d", len(h.raised))
	}
	h.book.say("zlib", "CVE-2026-9999", 0, "-")
	h.turnOver(t)
	if got := h.ids(t, digest(1)); got != "CVE-2024-1" {
		t.Fatal(got)
	}
	if d, err := h.db.Image(t.Context(), digest(2)); err != nil || len(d.History[0].Gone) != 1 || d.Counts.Total != 0 {
		t.Fatalf("%+v %v", d.History, err)
	}
}

func TestARebuildThatStillHasItOpensNoSecondAlert(t *testing.T) {
	h := open(t, nil)
	h.book.kev["CVE-2026-9999"] = &scan.KEV{Added: "2026-06-02"}
	h.book.say("zlib", "CVE-2026-9999", finding.Critical, "1.3-1")
	h.turnOver(t)
	for n := 1; n <= 3; n++ {
		h.submit(t, catalogOf(n, fmt.Sprintf("r.example/team/web:%d", n), "zlib=1.2-1"))
		h.run(t, fmt.Sprint("c", n), n, fmt.Sprintf("r.example/team/web:%d", n))
		h.clock.Advance(time.Hour)
	}
	page, err := h.db.Alerts(t.Context(), store.AlertQuery{})
	h.must(t, err)
	if len(page.Alerts) != 1 || page.Alerts[0].Count != 3 {
		t.Fatalf("%+v", page.Alerts)
	}
}

func TestAFirstScanDoesNotFloodWithWhatIsOld(t *testing.T) {
	h := open(t, nil)
	h.book.say("zlib", "CVE-2020-1111", finding.Critical, "1.3-1")
	h.turnOver(t)
	h.submit(t, catalogOf(1, "r.example/web:1", "zlib=1.2-1"))
	h.run(t, "c1", 1, "r.example/web:1")
	if len(h.raised) != 0 {
		t.Fatalf("%+v", h.raised)
	}
	if d, err := h.db.Image(t.Context(), digest(1)); err != nil || d.Counts.Critical != 1 {
		t.Fatalf("%+v %v", d.Counts, err)
	}
}

func TestListedAsExploitedIsNews(t *testing.T) {
	h := open(t, nil)
	h.book.say("zlib", "CVE-2026-9999", finding.Medium, "")
	h.turnOver(t)
	h.submit(t, catalogOf(1, "r.example/web:1", "zlib=1.2-1"))
	h.run(t, "c1", 1, "r.example/web:1")
	if len(h.raised) != 0 {
		t.Fatal("medium")
	}
	h.book.kev["CVE-2026-9999"] = &scan.KEV{Added: "2026-06-02"}
	h.book.epss["CVE-2026-9999"] = &scan.EPSS{Score: 0.9, Percentile: 0.99}
	h.book.say("other", "CVE-0", finding.Low, "") // its own package is not among the changed
	h.turnOver(t)
	if len(h.raised) != 1 || h.raised[0].Severity != finding.Critical || !strings.Contains(h.raised[0].Summary, "known to be exploited") {
		t.Fatalf("%+v", h.raised)
	}
	d, err := h.db.Image(t.Context(), digest(1))
	if err != nil || d.Counts.KEV != 1 {
		t.Fatalf("%+v %v", d.Counts, err)
	}
}

func TestWhatRunsNowhereAndWasNotSeenLatelyIsOnlyHistory(t *testing.T) {
	h := open(t, nil)
	h.book.say("x", "CVE-1", finding.Low, "")
	h.turnOver(t)
	h.submit(t, catalogOf(1, "r.example/old:1", "zlib=1.2-1"))
	h.clock.Advance(30 * 24 * time.Hour)
	h.book.say("zlib", "CVE-2026-9999", finding.Critical, "")
	h.turnOver(t)
	if len(h.raised) != 0 || h.ids(t, digest(1)) != "CVE-2026-9999" {
		t.Fatalf("%+v", h.raised)
	}
}

func TestNewsIsNotLostWhenFindingsCannotBeStored(t *testing.T) {
	h := open(t, nil)
	h.book.kev["CVE-2026-9999"] = &scan.KEV{Added: "2026-06-02"}
	h.book.say("zlib", "CVE-2026-9999", finding.Critical, "")
	h.turnOver(t)
	h.submit(t, catalogOf(1, "r.example/web:1", "zlib=1.2-1"))
	h.fail = store.ErrFull
	if err := h.Raise(t.Context()); !errors.Is(err, store.ErrFull) {
		t.Fatal(err)
	}
	h.fail = nil
	h.must(t, h.Raise(t.Context()))
	h.must(t, h.Raise(t.Context()))
	if len(h.raised) != 1 {
		t.Fatalf("%d", len(h.raised))
	}
}

func TestNoDatabaseIsNoCleanImage(t *testing.T) {
	h := open(t, func(o *Options) { o.Database = "" })
	h.submit(t, catalogOf(1, "r.example/web:1", "zlib=1.2-1"))
	d, err := h.db.Image(t.Context(), digest(1))
	if err != nil || !strings.Contains(d.NotAssessed, "no advisory database") {
		t.Fatalf("%+v %v", d.Image, err)
	}
	s, err := h.Status(t.Context())
	if err != nil || s.NotAssessed == "" || len(s.Gaps) == 0 {
		t.Fatalf("%+v %v", s, err)
	}
	// A database that comes later judges what was stored without one.
	g := New(Options{DB: h.db, Clock: h.clock, Database: h.path, Open: func(string) (Advisories, error) { return h.book, nil }})
	h.book.say("zlib", "CVE-2026-9999", finding.Critical, "")
	h.must(t, g.Refresh(t.Context()))
	d, err = h.db.Image(t.Context(), digest(1))
	if err != nil || d.NotAssessed != "" || d.Counts.Critical != 1 || d.MatchedAt == 0 {
		t.Fatalf("%+v %v", d.Image, err)
	}
}

func TestAMissingEcosystemIsNoCleanImage(t *testing.T) {
	h := open(t, nil)
	h.turnOver(t)
	c := catalogOf(1, "r.example/alpine:1")
	c.Distro = scan.Distro{ID: "alpine", Version: "3.20", Name: "Alpine 3.20"}
	c.Packages = []scan.Package{{Type: scan.Apk, Name: "musl", Version: "1.2.5-r0"}}
	h.submit(t, c)
	d, err := h.db.Image(t.Context(), digest(1))
	if err != nil || d.NotAssessed == "" || len(d.MatchGaps) == 0 {
		t.Fatalf("%+v %v", d.Image, err)
	}
}

func TestAnOldOrBrokenDatabaseIsSaid(t *testing.T) {
	h := open(t, func(o *Options) { o.MaxAge = 24 * time.Hour })
	h.turnOver(t)
	h.clock.Advance(25 * time.Hour)
	s, err := h.Status(t.Context())
	if err != nil || !s.Stale || !strings.Contains(fmt.Sprint(s.Gaps), "older than") {
		t.Fatalf("%+v %v", s, err)
	}
	h.submit(t, catalogOf(1, "r.example/web:1", "zlib=1.2-1"))
	r, err := h.Verdict(t.Context(), digest(1))
	if err != nil || !slices.ContainsFunc(r.NotAssessed, func(g scan.Gap) bool { return g.Data }) {
		t.Fatalf("%+v %v", r, err)
	}
	// A replaced file that cannot be read leaves the good one at work.
	h.book.fails = errors.New("damaged")
	h.must(t, os.WriteFile(h.path, []byte("22"), 0o600))
	if err := h.Refresh(t.Context()); err == nil {
		t.Fatal("no error")
	}
	if s, err := h.Status(t.Context()); err != nil || s.NotAssessed != "" {
		t.Fatalf("%+v %v", s, err)
	}
}

func TestAnImageFirstSeenRunningIsScanned(t *testing.T) {
	h := open(t, func(o *Options) { o.Local, o.Pull = true, true })
	h.book.kev["CVE-2026-9999"] = &scan.KEV{Added: "2026-06-02"}
	h.book.say("zlib", "CVE-2026-9999", finding.Critical, "1.3-1")
	h.turnOver(t)
	moved := catalogOf(9, "r.example/web:1", "zlib=9")
	h.have["docker:r.example/web@"+digest(1)] = func() ([]*scan.Catalog, error) { return []*scan.Catalog{moved}, nil }
	h.have["registry:r.example/web@"+digest(1)] = func() ([]*scan.Catalog, error) {
		return []*scan.Catalog{catalogOf(1, "r.example/web@"+digest(1), "zlib=1.2-1")}, nil
	}
	h.run(t, "c1", 1, "r.example/web:1")
	if !h.work.one(t.Context()) {
		t.Fatal("nothing to do")
	}
	d, err := h.db.Image(t.Context(), digest(1))
	if err != nil || d.ScannedAt == 0 || d.Counts.Critical != 1 || d.Image.Running != 1 || d.Name != "r.example/web:1" {
		t.Fatalf("%+v %v", d.Image, err)
	}
	if want := []string{"docker:r.example/web@" + digest(1), "containerd:r.example/web@" + digest(1), "registry:r.example/web@" + digest(1)}; !slices.Equal(h.asked, want) {
		t.Fatalf("asked %v", h.asked)
	}
	h.turnOver(t)
	if len(h.raised) != 1 || h.raised[0].Severity != finding.Critical {
		t.Fatalf("%d raised", len(h.raised))
	}
	if h.work.one(t.Context()) {
		t.Fatal("scanned again")
	}
}

func TestWhatCannotBeScannedSaysWhyAndIsTriedAgain(t *testing.T) {
	h := open(t, func(o *Options) { o.Local = true })
	h.turnOver(t)
	h.run(t, "c1", 1, "r.example/web:1")
	var waits []time.Duration
	last := h.clock.Now()
	for range 5 {
		for !h.work.one(t.Context()) {
			h.clock.Advance(30 * time.Second)
		}
		waits = append(waits, h.clock.Now().Sub(last))
		last = h.clock.Now()
	}
	if !slices.IsSorted(waits[1:]) || waits[1] != time.Minute || waits[4] != 8*time.Minute {
		t.Fatalf("%v", waits)
	}
	d, err := h.db.Image(t.Context(), digest(1))
	h.must(t, err)
	for _, says := range []string{"Docker's store: none here", "containerd's store", "container c1", "not pulled: --pull-images is off"} {
		if !strings.Contains(d.NotAssessed, says) {
			t.Errorf("%q does not say %q", d.NotAssessed, says)
		}
	}
	h.have["docker:r.example/web@"+digest(1)] = func() ([]*scan.Catalog, error) { panic("hostile") }
	h.clock.Advance(time.Hour)
	h.work.one(t.Context()) // a panic of the scanner is one failed try
	if d, err := h.db.Image(t.Context(), digest(1)); err != nil || !strings.Contains(d.NotAssessed, "scanner failed") {
		t.Fatalf("%+v %v", d.Image, err)
	}
}

func TestRootFileSystemIsTheLastResortAndSaysSo(t *testing.T) {
	h := open(t, func(o *Options) { o.Local = true })
	h.turnOver(t)
	root := t.TempDir()
	h.must(t, os.Mkdir(filepath.Join(root, "etc"), 0o755))
	at := h.clock.Now().UnixNano()
	_, err := h.db.Ingest(t.Context(), []store.Item{{Use: &inuse.Report{Node: "n1", Container: "abcdef", Workload: "w", Rootfs: root, Unknown: "the runtime does not say", Started: at, Since: at, Until: at,
		Loads: []inuse.Load{{Path: "lib/zlib.so", First: at, Last: at}}}}})
	h.must(t, err)
	h.turnOver(t)
	c := catalogOf(1, root, "zlib=1.2-1")
	c.Image.Kind, c.Image.Digest, c.Image.ConfigDigest, c.Image.Layers = scan.KindRootfs, "", "", nil
	h.have["rootfs:"+root] = func() ([]*scan.Catalog, error) { return []*scan.Catalog{c}, nil }
	h.work.one(t.Context())
	h.turnOver(t)
	d, err := h.db.Image(t.Context(), "container:abcdef")
	if err != nil || d.ScannedAt == 0 || d.Source != "rootfs" || d.Image.Running != 1 || d.Gaps == 0 {
		t.Fatalf("%+v %v", d.Image, err)
	}
	p, err := h.db.ImagePackages(t.Context(), d.Key, store.ImageQuery{})
	if err != nil || p.Packages[0].Use.State != scan.Loaded {
		t.Fatalf("%+v %v", p, err)
	}
}

func TestARegistryIsWalkedAndGoesOnWhereItWas(t *testing.T) {
	h := open(t, nil)
	h.turnOver(t)
	h.have["registry:r.example/a@"+digest(1)] = func() ([]*scan.Catalog, error) { return []*scan.Catalog{catalogOf(1, "x", "zlib=1")}, nil }
	var given []string
	r := &Registry{Host: "r.example", Walk: func(ctx context.Context, o registry.Options) (*registry.Summary, error) {
		given = slices.Collect(maps.Keys(o.State.Repositories))
		sum := &registry.Summary{}
		for _, d := range []int{1, 2} {
			if err := o.Scan(ctx, "r.example/a@"+digest(d), "v1", digest(d)); err != nil {
				sum.Failed++
				sum.Gaps = append(sum.Gaps, scan.Gap{What: "a", Reason: err.Error()})
			}
		}
		o.State.Registry = "r.example"
		o.State.Repositories = map[string]map[string]string{"a": {"v1": digest(1)}}
		return sum, o.Save(o.State)
	}}
	h.must(t, h.Walk(t.Context(), r))
	d, err := h.db.Image(t.Context(), digest(1))
	if err != nil || d.Name != "r.example/a:v1" {
		t.Fatalf("%+v %v", d.Image, err)
	}
	s, err := h.Status(t.Context())
	if err != nil || !strings.Contains(fmt.Sprint(s.Gaps), "none here") {
		t.Fatalf("what the walk could not scan is said: %+v %v", s.Gaps, err)
	}
	h.must(t, h.Walk(t.Context(), r))
	if !slices.Equal(given, []string{"a"}) {
		t.Fatalf("the second walk was given %v", given)
	}
}
