package store

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inuse"
	"github.com/dockreeve/dockreeve/scan"
)

// rating is what the world of the test says of one vulnerability of one package.
type rating struct {
	severity finding.Severity
	fixed    bool
}

// world is the naive model: which package has what, which image holds what, what runs
// and what was loaded.
type world struct {
	advisories map[string]map[string]rating // package → id
	kev        map[string]bool
	images     map[int][]string        // image → packages
	running    map[string]int          // container → image
	loaded     map[int]map[string]bool // image → packages
	ended      int
}

// maxWorlds bounds the random histories of one run of the tests.
const maxWorlds = 30

var worldPackages = []string{"a", "b", "c", "d", "e"}
var worldIDs = []string{"CVE-1", "CVE-2", "CVE-3", "CVE-4"}

// images follow whatever advisories, scores, scans, containers and loads do, also when
// the program stops between two of its steps.
func TestCountsFollowWhateverHappens(t *testing.T) {
	dir := t.TempDir()
	var runs atomic.Int64
	rapid.Check(t, func(t *rapid.T) {
		if runs.Add(1) > maxWorlds {
			return // each is hundreds of transactions
		}
		path := filepath.Join(dir, fmt.Sprint(runs.Load())+".db")
		var now atomic.Int64
		now.Store(1_000_000 * hour)
		var db *DB
		ctx := context.Background()
		reopen := func() {
			if db != nil {
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			}
			var err error
			if db, err = Open(ctx, Options{Path: path, Now: now.Load, noSync: true}); err != nil {
				t.Fatal(err)
			}
		}
		reopen()
		defer func() { db.Close() }()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		w := &world{advisories: map[string]map[string]rating{}, kev: map[string]bool{}, images: map[int][]string{}, running: map[string]int{}, loaded: map[int]map[string]bool{}}
		for _, p := range worldPackages {
			w.advisories[p] = map[string]rating{}
		}
		next := 0
		t.Repeat(map[string]func(*rapid.T){
			"scan": func(t *rapid.T) {
				now.Add(1e9)
				n := rapid.IntRange(1, 4).Draw(t, "image")
				names := rapid.SliceOfNDistinct(rapid.SampledFrom(worldPackages), 0, 4, rapid.ID[string]).Draw(t, "packages")
				w.images[n] = names
				for p := range w.loaded[n] {
					if !slices.Contains(names, p) {
						delete(w.loaded[n], p)
					}
				}
				_, counts, err := db.PutImage(ctx, w.scan(n))
				must(err)
				if want := w.counts(n); counts != want {
					t.Fatalf("scan of %d counts %+v, want %+v", n, counts, want)
				}
				settleAll(t, db)
				w.reload(n)
			},
			"advisories": func(t *rapid.T) {
				now.Add(1e9)
				for range rapid.IntRange(1, 3).Draw(t, "changes") {
					p, id := rapid.SampledFrom(worldPackages).Draw(t, "package"), rapid.SampledFrom(worldIDs).Draw(t, "id")
					if rapid.Bool().Draw(t, "gone") {
						delete(w.advisories[p], id)
					} else {
						w.advisories[p][id] = rating{finding.Severity(rapid.IntRange(0, 5).Draw(t, "severity")), rapid.Bool().Draw(t, "fixed")}
					}
				}
				list, err := db.Packages(ctx, 0, 100)
				must(err)
				var matches []PackageMatch
				for _, p := range list {
					matches = append(matches, PackageMatch{N: p.N, Vulnerabilities: w.vulns(p.Package.Name, 0)})
				}
				_, err = db.Rematch(ctx, matches, "test")
				must(err)
				if rapid.Bool().Draw(t, "stop here") {
					reopen()
				}
			},
			"scores": func(t *rapid.T) {
				now.Add(1e9)
				id := rapid.SampledFrom(worldIDs).Draw(t, "id")
				w.kev[id] = !w.kev[id]
				_, err := db.RefreshScores(ctx, func(id string, _ []string) Scores {
					if w.kev[id] {
						return Scores{KEV: &scan.KEV{Added: "2024-01-01"}}
					}
					return Scores{}
				}, "test")
				must(err)
			},
			"start": func(t *rapid.T) {
				now.Add(1e9)
				if len(w.running) > 5 {
					return
				}
				next++
				c, n := fmt.Sprint("c", next), rapid.IntRange(1, 4).Draw(t, "image")
				w.running[c] = n
				_, err := db.Ingest(ctx, []Item{{Use: w.report(c, n, now.Load(), nil, false)}})
				must(err)
			},
			"stop": func(t *rapid.T) {
				now.Add(1e9)
				for c, n := range w.running {
					_, err := db.Ingest(ctx, []Item{{Use: w.report(c, n, now.Load(), nil, true)}})
					must(err)
					delete(w.running, c)
					return
				}
			},
			"load": func(t *rapid.T) {
				now.Add(1e9)
				for c, n := range w.running {
					p := rapid.SampledFrom(worldPackages).Draw(t, "package")
					_, err := db.Ingest(ctx, []Item{{Use: w.report(c, n, now.Load(), []string{p}, false)}})
					must(err)
					if w.loaded[-n] == nil {
						w.loaded[-n] = map[string]bool{} // files loaded, whatever the image holds
					}
					w.loaded[-n][p] = true
					w.reload(n)
					return
				}
			},
			"": func(t *rapid.T) {
				_, err := db.Fold(ctx)
				must(err)
				settleAll(t, db)
				w.check(t, db)
			},
		})
	})
}

func settleAll(t *rapid.T, db *DB) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = db.Settle(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) reload(n int) {
	for p := range w.loaded[-n] {
		if slices.Contains(w.images[n], p) {
			if w.loaded[n] == nil {
				w.loaded[n] = map[string]bool{}
			}
			w.loaded[n][p] = true
		}
	}
}

func (w *world) vulns(p string, index int) []scan.Vulnerability {
	var out []scan.Vulnerability
	for _, id := range worldIDs {
		r, ok := w.advisories[p][id]
		if !ok {
			continue
		}
		fixed := ""
		if r.fixed {
			fixed = "2"
		}
		v := cve(id, index, r.severity, fixed)
		if w.kev[id] {
			v.KEV = &scan.KEV{Added: "2024-01-01"}
		}
		out = append(out, v)
	}
	return out
}

func (w *world) scan(n int) ImageScan {
	var packages []scan.Package
	var vulns []scan.Vulnerability
	for i, p := range w.images[n] {
		packages = append(packages, lib(p, "1"))
		vulns = append(vulns, w.vulns(p, i)...)
	}
	return imageOf(n, fmt.Sprintf("r.example/app:%d", n), packages, vulns...)
}

func (w *world) report(c string, n int, at int64, loads []string, ended bool) *inuse.Report {
	r := &inuse.Report{Node: "n", Container: c, Workload: "w", Image: "r.example/app", Digest: digest(n), Started: 1, Since: 1, Until: at, Ended: ended}
	for _, p := range loads {
		r.Loads = append(r.Loads, inuse.Load{Path: "usr/lib/" + p + ".so", First: at, Last: at})
	}
	return r
}

func (w *world) counts(n int) scan.Counts {
	r := scan.Report{}
	for i, p := range w.images[n] {
		r.Packages = append(r.Packages, lib(p, "1"))
		for _, v := range w.vulns(p, i) {
			if w.loaded[n][p] {
				v.Use.State = scan.Loaded
			}
			r.Vulnerabilities = append(r.Vulnerabilities, v)
		}
	}
	return scan.Count(&r)
}

func (w *world) check(t *rapid.T, db *DB) {
	ctx := context.Background()
	run := map[int]int64{}
	for _, n := range w.running {
		run[n]++
	}
	for n := 1; n <= 4; n++ {
		d, err := db.Image(ctx, digest(n))
		if err != nil {
			if w.images[n] != nil || run[n] > 0 {
				t.Fatalf("image %d: %v", n, err)
			}
			continue
		}
		if want := w.counts(n); d.Counts != want || d.Image.Running != run[n] {
			t.Fatalf("image %d: %+v running %d, want %+v running %d", n, d.Counts, d.Image.Running, want, run[n])
		}
		if len(d.History) > 0 && w.images[n] != nil {
			had := map[string]bool{}
			for _, h := range slices.Backward(d.History) {
				for _, id := range h.Appeared {
					if had[id] {
						t.Fatalf("image %d: %s appeared twice: %+v", n, id, d.History)
					}
					had[id] = true
				}
				for _, id := range h.Gone {
					if !had[id] {
						t.Fatalf("image %d: %s went before it came: %+v", n, id, d.History)
					}
					delete(had, id)
				}
			}
			want := map[string]bool{}
			for _, p := range w.images[n] {
				for id := range w.advisories[p] {
					want[id] = true
				}
			}
			if fmt.Sprint(had) != fmt.Sprint(want) {
				t.Fatalf("image %d: its history says %v, it has %v", n, had, want)
			}
		}
	}
	for _, id := range worldIDs {
		var images, running, used int64
		worst := finding.SeverityNone
		for n, packages := range w.images {
			has, uses := false, false
			for _, p := range packages {
				if r, ok := w.advisories[p][id]; ok {
					has, uses, worst = true, uses || w.loaded[n][p], max(worst, r.severity)
				}
			}
			if has {
				images++
				running += min(run[n], 1)
			}
			if uses {
				used++
			}
		}
		d, err := db.Vulnerability(ctx, id)
		if err != nil {
			if images > 0 {
				t.Fatalf("%s: %v", id, err)
			}
			continue
		}
		if d.Images != images || d.RunningImages != running || d.UsedImages != used || d.Total != images || (d.KEV != nil) != w.kev[id] {
			t.Fatalf("%s: %d images, %d running, %d in use, %d affected, kev %v; want %d, %d, %d, kev %v", id, d.Images, d.RunningImages, d.UsedImages, d.Total, d.KEV, images, running, used, w.kev[id])
		}
	}
}
