package store

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inuse"
	"github.com/dockreeve/dockreeve/scan"
)

// report stores reports, and settles what comes of them with identify.
func (f *fixture) identified(t *testing.T, identify func(context.Context, Nameless) Identity, reports ...inuse.Report) {
	t.Helper()
	for i := range reports {
		if err := f.update(t.Context(), func(tx *tx) error { return tx.use(&reports[i], f.now.Load()) }); err != nil {
			t.Fatal(err)
		}
	}
	for more := true; more; {
		var err error
		if more, err = f.SettleWith(t.Context(), identify); err != nil {
			t.Fatal(err)
		}
	}
}

func (f *fixture) rows(t *testing.T) []Image {
	t.Helper()
	page, err := f.Images(t.Context(), ImageQuery{Order: "first_seen"})
	if err != nil {
		t.Fatal(err)
	}
	return page.Images
}

// A container whose runtime tells no digest is joined with the image it stands on,
// together with what it loaded before that was known.
func TestANamelessContainerIsOfTheImageItStandsOn(t *testing.T) {
	f := open(t, Options{})
	f.putImage(t, imageOf(1, "r.example/web:1", []scan.Package{lib("a", "1")}, cve("CVE-1", 0, finding.High, "")))
	at := f.now.Load()
	asked := 0
	identify := func(_ context.Context, c Nameless) Identity {
		asked++
		if c.Container != "web1" || c.Rootfs != "/run/web1/rootfs" || c.PID != 7 {
			t.Errorf("asked about %+v", c)
		}
		return Identity{Key: digest(1), Name: "r.example/web:1"}
	}
	r := inuse.Report{Node: "n", Container: "web1", Workload: "container/web1", Rootfs: "/run/web1/rootfs", PID: 7, Started: at, Since: at, Until: at + 1, Full: true, Loads: []inuse.Load{{Path: "lib/a.so", First: at, Last: at}}}
	f.identified(t, identify, r)
	later := r
	later.Until, later.Full, later.Loads = at+minute, false, []inuse.Load{{Path: "lib/b.so", First: at + 9, Last: at + 9}}
	f.identified(t, identify, later)
	rows := f.rows(t)
	if len(rows) != 1 || rows[0].Key != digest(1) || rows[0].Running != 1 || rows[0].Counts.InUse != 1 || rows[0].Watched != at || asked != 1 {
		t.Fatalf("asked %d times; %+v", asked, rows)
	}
	if v, err := f.View(t.Context(), digest(1)); err != nil || len(v.Loads) != 2 {
		t.Fatalf("%+v %v", v, err)
	}
}

// Ten containers that start with the same are one image, however short they live; and
// where nothing could be looked at the row says just that.
func TestTenRestartsAreOneImage(t *testing.T) {
	for name, identify := range map[string]func(context.Context, Nameless) Identity{
		"by their root file system": func(context.Context, Nameless) Identity { return Identity{Key: "rootfs:" + strings.Repeat("a", 64)} },
		"nothing is known":          func(context.Context, Nameless) Identity { return Identity{} },
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, Options{})
			for i := range 10 {
				at := f.now.Add(minute)
				id := fmt.Sprintf("%064d", i)
				f.identified(t, identify, inuse.Report{Node: "n", Container: id, Workload: "container/" + id[:12], Rootfs: "/nowhere", Started: at, Since: at, Until: at + 1, Ended: true, Full: true})
			}
			rows := f.rows(t)
			if len(rows) != 1 || rows[0].Running != 0 || rows[0].NotAssessed != "its container ended before it could be looked into" {
				t.Fatalf("%+v", rows)
			}
			at := f.now.Add(minute)
			f.identified(t, identify, inuse.Report{Node: "n", Container: "z", Workload: "container/z", Rootfs: "/nowhere", Started: at, Since: at, Until: at + 1, Full: true})
			if rows := f.rows(t); len(rows) != 1 || rows[0].Running != 1 || rows[0].NotAssessed != "not scanned yet" {
				t.Fatalf("one more that goes on: %+v", rows)
			}
		})
	}
}

// An id that is used again is of the image that it is now of, and what it loaded before
// is said of the old one.
func TestAnIDUsedAgain(t *testing.T) {
	f := open(t, Options{})
	f.putImage(t, imageOf(1, "r.example/web:1", []scan.Package{lib("a", "1"), lib("b", "1")}))
	f.putImage(t, imageOf(2, "r.example/web:2", []scan.Package{lib("a", "1"), lib("b", "1")}))
	now := 1
	identify := func(context.Context, Nameless) Identity { return Identity{Key: digest(now)} }
	at := f.now.Load()
	r := inuse.Report{Node: "n", Container: "web", Workload: "container/web", Started: at, Since: at, Until: at + 1, Full: true, Loads: []inuse.Load{{Path: "lib/a.so", First: at, Last: at}}}
	f.identified(t, identify, r)
	end := r
	end.Until, end.Ended = at+minute, true
	now = 2
	r = inuse.Report{Node: "n", Container: "web", Workload: "container/web", Started: at + minute + 1, Since: at + minute + 1, Until: at + minute + 2, Full: true, Loads: []inuse.Load{{Path: "lib/b.so", First: at + minute + 2, Last: at + minute + 2}}}
	f.identified(t, identify, end, r)
	for n, want := range map[int]struct {
		running int64
		path    string
	}{1: {0, "lib/a.so"}, 2: {1, "lib/b.so"}} {
		d, err := f.Image(t.Context(), digest(n))
		if err != nil || d.Image.Running != want.running {
			t.Errorf("image %d: %+v %v", n, d.Image, err)
		}
		v, err := f.View(t.Context(), digest(n))
		if err != nil || len(v.Loads) != 1 || v.Loads[0].Path != "usr/"+want.path && v.Loads[0].Path != want.path {
			t.Errorf("image %d: %+v %v", n, v, err)
		}
	}
	d, err := f.Image(t.Context(), digest(2))
	if err != nil || len(d.Running) != 1 || d.Running[0].Since != at+minute+1 || d.Running[0].Until != 0 {
		t.Errorf("%+v %v", d.Running, err)
	}
}

// A container held to have ended because nothing was heard of it goes on when it is
// heard of again, and keeps its start and what it loaded.
func TestAContainerHeardOfAgain(t *testing.T) {
	f := open(t, Options{})
	at := f.now.Load()
	r := inuse.Report{Node: "n", Container: "c", Workload: "w", Digest: digest(1), Started: at, Since: at, Until: at + 1}
	f.use(t, r, inuse.Report{Node: "n", Container: "d", Workload: "w", Digest: digest(1), Started: at, Since: at, Until: at + hour})
	if n, err := f.SweepRunning(t.Context(), 15*minute); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	f.settle(t)
	if rows := f.rows(t); rows[0].Running != 1 {
		t.Fatalf("%+v", rows)
	}
	r.Until = at + 2*hour
	f.use(t, r)
	if rows := f.rows(t); rows[0].Running != 2 || rows[0].Watched != at {
		t.Fatalf("%+v", rows)
	}
}

// Copies of one root file system in many places are one image once their content is known.
func TestCopiesOfOneContentAreOneImage(t *testing.T) {
	f := open(t, Options{})
	content := "rootfs:" + strings.Repeat("c", 64)
	for i := range 3 {
		at := f.now.Add(minute)
		key := fmt.Sprintf("rootfs:%064d", i)
		f.identified(t, func(context.Context, Nameless) Identity { return Identity{Key: key} },
			inuse.Report{Node: "n", Container: fmt.Sprint("c", i), Workload: "container/x", Started: at, Since: at, Until: at + 1, Full: true, Loads: []inuse.Load{{Path: fmt.Sprintf("lib/%c.so", 'a'+i), First: at, Last: at}}})
		target, ok, err := f.NextScan(t.Context(), f.now.Load())
		if err != nil || !ok || target.Digest != "" || target.Ref != key {
			t.Fatalf("%+v %v %v", target, ok, err)
		}
		merged, err := f.SameContent(t.Context(), target.N, content)
		if err != nil || merged != (i > 0) {
			t.Fatalf("copy %d: merged %v, %v", i, merged, err)
		}
		if !merged {
			s := imageOf(1, "x", []scan.Package{lib("a", "1"), lib("b", "1"), lib("c", "1")})
			s.Catalog.Image.Digest, s.Catalog.Image.ConfigDigest, s.Ref = "", "", target.Ref
			f.putImage(t, s)
		}
		f.settle(t)
	}
	rows := f.rows(t)
	if len(rows) != 1 || rows[0].Running != 3 {
		t.Fatalf("%+v", rows)
	}
	if v, err := f.View(t.Context(), rows[0].Key); err != nil || len(v.Loads) != 3 {
		t.Fatalf("%+v %v", v, err)
	}
}

// The clock of a vulnerability goes on while the container of one name is replaced by a
// rebuild that still has it, and stops when the mended image has its name.
func TestClockAcrossAnIDUsedAgain(t *testing.T) {
	f := open(t, Options{})
	for n, version := range map[int]string{1: "1", 2: "1", 3: "2"} {
		s := imageOf(n, fmt.Sprint("r.example/web:", n), []scan.Package{lib("openssl", version)})
		if version == "1" {
			s = imageOf(n, fmt.Sprint("r.example/web:", n), []scan.Package{lib("openssl", "1")}, cve("CVE-1", 0, finding.Critical, "2"))
		}
		f.putImage(t, s)
	}
	now := 1
	identify := func(context.Context, Nameless) Identity { return Identity{Key: digest(now)} }
	life := func(n int) (end inuse.Report) {
		now = n
		at := f.now.Load()
		r := inuse.Report{Node: "n", Container: "web", Workload: "container/web", Started: at, Since: at, Until: at + 1, Full: true}
		f.identified(t, identify, r)
		return r
	}
	stop := func(r inuse.Report) {
		r.Until, r.Ended = f.now.Load(), true
		f.identified(t, identify, r)
	}
	first := life(1)
	f.pass(t, 60)
	stop(first)
	f.pass(t, 1)
	second := life(2)
	f.pass(t, 60)
	if r := f.remediation(t); r.Open != 1 || r.OpenMax != 121*minute || r.Closed+r.Gone != 0 {
		t.Fatalf("a rebuild that still has it: %+v", r)
	}
	stop(second)
	f.pass(t, 1)
	third := life(3)
	f.pass(t, 60)
	if r := f.remediation(t); r.Open != 0 || r.Closed != 1 || r.Gone != 0 || r.ClosedP50 != 121*minute {
		t.Fatalf("the mended image: %+v", r)
	}
	stop(third)
	f.pass(t, 60)
	now = 1
	last := life(1)
	f.pass(t, 60)
	stop(last)
	f.pass(t, 60)
	if r := f.remediation(t); r.Open != 0 || r.Closed != 1 || r.Gone != 1 {
		t.Fatalf("deleted with it: %+v", r)
	}
}
