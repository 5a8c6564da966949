package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inuse"
	"github.com/dockreeve/dockreeve/query"
	"github.com/dockreeve/dockreeve/scan"
)

// A full disk stores nothing of a scan's image row and loses no other image; the same
// scan succeeds once there is room.
func TestFullDatabaseRefusesAScanWhole(t *testing.T) {
	f := open(t, Options{maxPages: 400})
	big := func(n int) ImageScan {
		var packages []scan.Package
		var vulns []scan.Vulnerability
		for i := range 200 {
			p := lib(fmt.Sprintf("lib%d-%d", n, i), "1")
			p.Vendor = strings.Repeat("v", 500)
			packages = append(packages, p)
			vulns = append(vulns, cve(fmt.Sprintf("CVE-%d-%d", n, i), i, finding.Low, ""))
		}
		return imageOf(n, fmt.Sprintf("r.example/%d", n), packages, vulns...)
	}
	stored := 0
	for n := 1; ; n++ {
		_, _, err := f.PutImage(t.Context(), big(n))
		if errors.Is(err, ErrFull) {
			break
		}
		if err != nil || n > 100 {
			t.Fatalf("after %d: %v, want ErrFull", stored, err)
		}
		stored++
	}
	page, err := f.Images(t.Context(), ImageQuery{})
	if err != nil || page.Total != int64(stored) {
		t.Fatalf("%d of %d images, %v", page.Total, stored, err)
	}
	for _, i := range page.Images {
		if i.Counts.Total != 200 {
			t.Fatalf("%+v", i)
		}
	}
	if _, err := f.conn.ExecContext(t.Context(), "PRAGMA max_page_count = 100000"); err != nil {
		t.Fatal(err)
	}
	if _, counts := f.putImage(t, big(stored+1)); counts.Total != 200 {
		t.Fatalf("%+v", counts)
	}
}

func TestImagesAreBoundedAndTheirLossIsCounted(t *testing.T) {
	f := open(t, Options{MaxImages: 3})
	at := f.now.Load()
	f.use(t, inuse.Report{Node: "n", Container: "c", Workload: "w", Digest: digest(1), Started: at, Since: at, Until: at})
	for n := 1; n <= 5; n++ {
		f.now.Add(hour)
		f.putImage(t, imageOf(n, fmt.Sprint("r.example/", n), []scan.Package{lib("a", "1")}, cve("CVE-1", 0, finding.Low, "")))
	}
	if got := strings.Join(f.images_(t, ""), " "); got != "r.example/1 r.example/4 r.example/5" {
		t.Fatalf("%s: what runs stays, and what was seen last", got)
	}
	losses, err := f.Losses(t.Context(), f.now.Load())
	if err != nil || len(losses) != 1 || losses[0].Hop != HopImages || losses[0].Count != 2 {
		t.Fatalf("%+v %v", losses, err)
	}
	if d, err := f.Vulnerability(t.Context(), "CVE-1"); err != nil || d.Images != 3 || d.RunningImages != 1 || d.Total != 3 {
		t.Fatalf("%+v %v", d, err)
	}
}

func TestReportsAgainChangeNothing(t *testing.T) {
	f := town(t)
	dump := func() string {
		d, err := f.Image(t.Context(), digest(1))
		if err != nil {
			t.Fatal(err)
		}
		d.Seq, d.ChangeSeq, d.LastSeen = 0, 0, 0
		p, err := f.ImagePackages(t.Context(), digest(1), ImageQuery{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal([]any{d, p})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	at := f.now.Load()
	r := inuse.Report{Node: "n1", Container: "c1", Workload: "shop/Deployment/web", Image: "r.example/web:1", Digest: digest(1), Started: at - hour, Since: at - hour, Until: at, Full: true,
		Loads: []inuse.Load{{Path: "lib/openssl.so", First: at - 100, Last: at - 50}}}
	before := dump()
	old := r
	old.Until, old.Full, old.Loads = at-hour/2, false, nil
	f.use(t, r, old, r)
	if after := dump(); after != before {
		t.Fatalf("a report again:\n%s\nbefore:\n%s", after, before)
	}
	r.Ended = true
	f.use(t, r)
	old.Until = at // late, and out of order
	f.use(t, old)
	if d, err := f.Image(t.Context(), digest(1)); err != nil || d.Image.Running != 0 || d.Running[0].Until == 0 {
		t.Fatalf("an end is an end: %+v %v", d.Running, err)
	}
}

func TestLoadsOfAChangedFileAreNotTheImages(t *testing.T) {
	f := open(t, Options{})
	f.putImage(t, imageOf(1, "x", []scan.Package{lib("a", "1")}))
	at := f.now.Load()
	f.use(t, inuse.Report{Node: "n", Container: "c", Workload: "w", Digest: digest(1), Started: at, Since: at, Until: at, Loads: []inuse.Load{{Path: "usr/lib/a.so", First: at, Last: at, Changed: true}}})
	p, err := f.ImagePackages(t.Context(), digest(1), ImageQuery{})
	if err != nil || p.Packages[0].Use.State != scan.NotSeen {
		t.Fatalf("%+v %v", p, err)
	}
}

func TestWhatRunsBeforeItIsScannedIsJoined(t *testing.T) {
	f := open(t, Options{})
	at := f.now.Load()
	index := digest(77)
	r := inuse.Report{Node: "n", Container: "c", Workload: "w", Image: "r.example/x:1", Digest: index, ImageID: digest(1_000_001), Started: at, Since: at, Until: at, Loads: []inuse.Load{{Path: "lib/a.so", First: at, Last: at}}}
	f.use(t, r)
	target, ok, err := f.NextScan(t.Context(), at)
	if err != nil || !ok || target.Digest != index || target.ImageID != digest(1_000_001) || target.Name != "r.example/x:1" || len(target.Containers) != 1 {
		t.Fatalf("%+v %v %v", target, ok, err)
	}
	if err := f.ScanFailed(t.Context(), target.N, "Docker's store: none here", at+minute); err != nil {
		t.Fatal(err)
	}
	c, err := f.ImageCoverage(t.Context())
	if err != nil || c.Running != 1 || c.Assessed != 0 || c.NotAssessed[0].Reason != "Docker's store: none here" {
		t.Fatalf("%+v %v", c, err)
	}
	if _, ok, _ := f.NextScan(t.Context(), at); ok {
		t.Fatal("tried again at once")
	}
	s := imageOf(1, "r.example/x:1", []scan.Package{lib("a", "1")}, cve("CVE-1", 0, finding.High, ""))
	s.Catalog.Image.IndexDigest = index
	key, _ := f.putImage(t, s)
	f.settle(t)
	d, err := f.Image(t.Context(), index)
	if err != nil || d.Key != key || key != digest(1) || d.Image.Running != 1 || d.NotAssessed != "" || d.Counts.InUse != 1 {
		t.Fatalf("%+v %v", d.Image, err)
	}
	if page, err := f.Images(t.Context(), ImageQuery{}); err != nil || page.TotalAll != 1 {
		t.Fatalf("one image, not two: %+v %v", page, err)
	}
	if _, ok, _ := f.NextScan(t.Context(), at+hour); ok {
		t.Fatal("it is scanned")
	}
}

func TestGateOfARunningDigest(t *testing.T) {
	f := town(t)
	g := GateRun{Key: digest(1), Time: f.now.Load(), Passed: false, Commit: "abc", Pipeline: "ci", Policy: "fail-on=high", Reasons: []string{"CVE-2024-1"}}
	for range 2 { // told twice
		if err := f.RecordGate(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	f.now.Add(hour)
	g.Time, g.Passed, g.Reasons = f.now.Load(), true, nil
	if err := f.RecordGate(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	d, err := f.Image(t.Context(), digest(1))
	if err != nil || len(d.Gates) != 2 || !d.Gates[0].Passed || d.Image.Gate != "passed" {
		t.Fatalf("%+v %v", d.Gates, err)
	}
	if c, err := f.ImageCoverage(t.Context()); err != nil || c.Gated != 1 {
		t.Fatalf("%+v %v", c, err)
	}
	// A gate may run before the image is known.
	if err := f.RecordGate(t.Context(), GateRun{Key: digest(9), Passed: false}); err != nil {
		t.Fatal(err)
	}
	f.putImage(t, imageOf(9, "r.example/late", nil))
	if got := f.images_(t, "gate:failed"); len(got) != 1 {
		t.Fatalf("%v", got)
	}
	if err := f.RecordGate(t.Context(), GateRun{}); !errors.Is(err, ErrGate) {
		t.Fatal(err)
	}
}

func TestPagesOfImagesCoverAll(t *testing.T) {
	f := open(t, Options{})
	for n := range 25 {
		f.putImage(t, imageOf(n+1, fmt.Sprintf("r.example/%02d", n%7), []scan.Package{lib("a", fmt.Sprint(n%3))}, cve("CVE-1", 0, finding.Severity(n%6), "")))
	}
	for order := range imageOrders {
		for _, dash := range []string{"", "-"} {
			seen := map[string]bool{}
			q := ImageQuery{Order: dash + order, Limit: 4}
			for {
				page, err := f.Images(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				for _, i := range page.Images {
					if seen[i.Key] {
						t.Fatalf("%s: %s twice", q.Order, i.Key)
					}
					seen[i.Key] = true
				}
				if q.Cursor = page.Next; q.Cursor == "" {
					break
				}
			}
			if len(seen) != 25 {
				t.Fatalf("%s%s: %d of 25", dash, order, len(seen))
			}
		}
	}
	if _, err := f.Images(t.Context(), ImageQuery{Order: "colour"}); !errors.Is(err, ErrImageOrder) {
		t.Fatal(err)
	}
	if _, err := f.Images(t.Context(), ImageQuery{Cursor: "x"}); !errors.Is(err, ErrCursor) {
		t.Fatal(err)
	}
}

// BenchmarkAreWeAffected asks for one vulnerability among 10,000 images of 300
// packages, of which 3,000 have it.
func BenchmarkAreWeAffected(b *testing.B) {
	images, each := 10_000, 300
	if testing.Short() {
		images = 1000
	}
	db, err := Open(b.Context(), Options{Path: filepath.Join(b.TempDir(), "x.db"), noSync: true})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	seed := uint64(1)
	random := func(n int) int { // the same images each time
		seed = seed*6364136223846793005 + 1442695040888963407
		return int(seed>>33) % n
	}
	for n := range images {
		var packages []scan.Package
		var vulns []scan.Vulnerability
		at := random(1000)
		for i := range each {
			name := (at + i*7) % 5000
			p := lib(fmt.Sprintf("lib%d", name), fmt.Sprint(random(4)))
			packages = append(packages, p)
			if name%3 == 0 && p.Version != "3" {
				vulns = append(vulns, cve(fmt.Sprintf("CVE-2024-%d", name), i, finding.High, "3"))
			}
		}
		if n%3 == 0 {
			packages = append(packages, lib("glibc", fmt.Sprint(n%50)))
			vulns = append(vulns, cve("CVE-2030-1", each, finding.Critical, "", "GHSA-XXXX"))
		}
		if _, _, err := db.PutImage(b.Context(), imageOf(n+1, fmt.Sprintf("r.example/%d:1", n), packages, vulns...)); err != nil {
			b.Fatal(err)
		}
	}
	parseIt := func(s *query.Schema, text string) query.Query {
		q, err := query.Parse(s, text)
		if err != nil {
			b.Fatal(err)
		}
		return q
	}
	for name, f := range map[string]func(context.Context) error{
		"by alias": func(ctx context.Context) error {
			d, err := db.Vulnerability(ctx, "GHSA-XXXX")
			if err == nil && (d.Total != int64(images+2)/3 || len(d.Affected) != min(1000, (images+2)/3)) {
				return fmt.Errorf("%d affected", d.Total)
			}
			return err
		},
		"not there": func(ctx context.Context) error {
			if _, err := db.Vulnerability(ctx, "CVE-1999-1"); !errors.Is(err, ErrNotFound) {
				return fmt.Errorf("found: %w", err)
			}
			return nil
		},
		"list of vulnerabilities": func(ctx context.Context) error {
			_, err := db.Vulnerabilities(ctx, ImageQuery{Filter: parseIt(VulnerabilityFields(), "severity:>=high")})
			return err
		},
		"list of images": func(ctx context.Context) error {
			_, err := db.Images(ctx, ImageQuery{Filter: parseIt(ImageFields(), "severity:>=high")})
			return err
		},
		"images by id": func(ctx context.Context) error {
			_, err := db.Images(ctx, ImageQuery{Filter: parseIt(ImageFields(), "id:CVE-2030-1")})
			return err
		},
		"one image's vulnerabilities": func(ctx context.Context) error {
			_, err := db.ImageVulnerabilities(ctx, digest(1), ImageQuery{})
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := f(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestPruneKeepsWhatIsNeededAndBoundsTheRest(t *testing.T) {
	f := open(t, Options{MaxContainers: 3})
	f.putImage(t, imageOf(1, "r.example/a", []scan.Package{lib("old", "1"), lib("kept", "1")}, cve("CVE-OLD", 0, finding.Low, ""), cve("CVE-KEPT", 1, finding.Low, "")))
	f.putImage(t, imageOf(1, "r.example/a", []scan.Package{lib("kept", "1")}, cve("CVE-KEPT", 0, finding.Low, "")))
	at := f.now.Load()
	for n := range 5 {
		f.use(t, inuse.Report{Node: "n", Container: fmt.Sprint("c", n), Workload: "w", Digest: digest(1), Started: at, Since: at, Until: at + int64(n), Ended: n < 4})
	}
	if _, err := f.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	d, err := f.Image(t.Context(), digest(1))
	if err != nil || len(d.Running) != 3 || d.Running[0].Container != "c4" || d.Running[0].Until != 0 {
		t.Fatalf("%+v %v", d.Running, err)
	}
	if _, err := f.Vulnerability(t.Context(), "CVE-OLD"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("nothing has it any more: %v", err)
	}
	if d, err := f.Vulnerability(t.Context(), "CVE-KEPT"); err != nil || d.Images != 1 || d.RunningImages != 1 {
		t.Fatalf("%+v %v", d, err)
	}
	losses, err := f.Losses(t.Context(), f.now.Load())
	if err != nil || len(losses) != 1 || losses[0].Reason != "too_many_containers" || losses[0].Count != 2 {
		t.Fatalf("%+v %v", losses, err)
	}
	f.now.Add(31 * 24 * hour)
	if _, err := f.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d, err := f.Image(t.Context(), digest(1)); err != nil || len(d.Running) != 1 || d.Image.Running != 1 {
		t.Fatalf("%+v %v", d.Running, err)
	}
}

func TestLoadsOfOneImageAreBounded(t *testing.T) {
	f := open(t, Options{})
	f.putImage(t, imageOf(1, "x", []scan.Package{lib("a", "1")}))
	at := f.now.Load()
	r := inuse.Report{Node: "n", Container: "c", Workload: "w", Digest: digest(1), Started: at, Since: at, Until: at}
	for n := range maxLoads {
		r.Loads = append(r.Loads, inuse.Load{Path: fmt.Sprint("p/", n), First: at, Last: at})
	}
	f.use(t, r)
	r.Loads = []inuse.Load{{Path: "p/1", First: at, Last: at + 5}, {Path: "q/1", First: at, Last: at}, {Path: "q/2", First: at, Last: at}}
	f.use(t, r)
	losses, err := f.Losses(t.Context(), at)
	if err != nil || len(losses) != 1 || losses[0].Count != 2 || losses[0].Reason != "too_many_loads" {
		t.Fatalf("%+v %v", losses, err)
	}
}
