package match_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/advisory"
	"github.com/dockreeve/dockreeve/scan/match"
	"pgregory.net/rapid"
)

// drawRecords makes a small world of advisories, in which packages and ids meet often.
func drawRecords(t *rapid.T, label string) []advisory.Record {
	var out []advisory.Record
	for i := range rapid.IntRange(0, 8).Draw(t, label+" records") {
		eco := rapid.SampledFrom([]string{"Debian:12", "npm", "PyPI"}).Draw(t, "ecosystem")
		r := one(fmt.Sprintf("R-%s-%d", label, i), eco, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name"),
			below(rapid.SampledFrom([]string{"1.0", "2.0", "3.0", "0"}).Draw(t, "fixed")))
		for range rapid.IntRange(0, 2).Draw(t, "aliases") {
			r.Aliases = append(r.Aliases, rapid.SampledFrom([]string{"CVE-2024-0001", "CVE-2024-0002", "CVE-2024-0003", "GHSA-x", "GHSA-y"}).Draw(t, "alias"))
		}
		r.Severity = finding.Severity(rapid.IntRange(0, 5).Draw(t, "severity"))
		out = append(out, r)
	}
	return out
}

func TestMatchingAgainIsMatchingAnew(t *testing.T) {
	// Every ecosystem is there before and after: a new one is a change for everybody,
	// and the database says so.
	base := []advisory.Record{one("BASE-1", "Debian:12", "other", below("1")), one("BASE-2", "npm", "other", below("1")), one("BASE-3", "PyPI", "other", below("1"))}
	rapid.Check(t, func(t *rapid.T) {
		c := image(bookworm)
		for range rapid.IntRange(1, 6).Draw(t, "packages") {
			p := scan.Package{Type: rapid.SampledFrom([]scan.Type{scan.Deb, scan.NPM, scan.PyPI}).Draw(t, "type"),
				Name: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "package"), Version: rapid.SampledFrom([]string{"0.5", "1.5", "2.5"}).Draw(t, "version")}
			if p.Type == scan.Deb {
				p.Source, p.Name = p.Name, "lib"+p.Name
			}
			c.Packages = append(c.Packages, p)
		}
		before, after := append(slices.Clone(base), drawRecords(t, "before")...), append(slices.Clone(base), drawRecords(t, "after")...)
		was, now := db(before...), db(after...)
		var changed []advisory.Key
		for _, list := range [][]advisory.Record{before[len(base):], after[len(base):]} {
			for _, r := range list {
				changed = append(changed, advisory.Key{Ecosystem: r.Affected[0].Ecosystem, Name: r.Affected[0].Name})
			}
		}
		old, _, err := match.Match(c, was, match.Options{})
		if err != nil {
			t.Fatal(err)
		}
		want, _, err := match.Match(c, now, match.Options{})
		if err != nil {
			t.Fatal(err)
		}
		memo := match.NewMemo()
		if _, _, err := match.Again(c, old, match.ChangedSet(changed), now, match.Options{Memo: memo}); err != nil {
			t.Fatal(err)
		}
		// The second time all is remembered.
		got, touched, err := match.Again(c, old, match.ChangedSet(changed), now, match.Options{Memo: memo})
		if err != nil {
			t.Fatal(err)
		}
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		if string(a) != string(b) && len(got)+len(want) > 0 {
			t.Fatalf("again (touched %v)\n%s\nanew\n%s", touched, a, b)
		}
		keys := match.Keys(c)
		hit := slices.ContainsFunc(changed, func(k advisory.Key) bool { return slices.Contains(keys, k) })
		if hit != touched {
			t.Fatalf("keys say %v, Again says %v", hit, touched)
		}
	})
}

func TestMatchingAgainKeepsUseAndAsksOnlyForWhatChanged(t *testing.T) {
	c := image(bookworm, scan.Package{Type: scan.NPM, Name: "a", Version: "1.0.0"}, scan.Package{Type: scan.NPM, Name: "b", Version: "1.0.0"})
	was := db(one("CVE-2024-0001", "npm", "a", below("2.0.0")), one("CVE-2024-0002", "npm", "b", below("2.0.0")))
	old, _ := run(t, c, was)
	for i := range old {
		old[i].Use = scan.Use{State: scan.Loaded, Since: 1}
		old[i].Rank = match.Rank(&old[i])
	}
	now := db(one("CVE-2024-0001", "npm", "a", below("2.0.0")), one("CVE-2024-0002", "npm", "b", below("2.0.0")), one("CVE-2024-0003", "npm", "b", below("3.0.0")))
	got, touched, err := match.Again(c, old, match.ChangedSet([]advisory.Key{{Ecosystem: "npm", Name: "b"}}), now, match.Options{})
	if err != nil || !touched || len(got) != 3 || now.asked != 1 {
		t.Fatalf("%v, touched %v, %v, asked %d times", err, touched, say(c, got), now.asked)
	}
	for _, v := range got {
		if v.Use.State != scan.Loaded {
			t.Errorf("%s lost its use", v.ID)
		}
	}
	_, touched, err = match.Again(c, got, match.ChangedSet([]advisory.Key{{Ecosystem: "npm", Name: "z"}}), now, match.Options{})
	if err != nil || touched || now.asked != 1 {
		t.Errorf("%v, touched %v, asked %d times", err, touched, now.asked)
	}
	now.kev["CVE-2024-0003"] = &scan.KEV{Added: "2024-01-01"}
	if !match.Rescore(got, c.Packages, now) || got[0].ID != "CVE-2024-0003" || match.Rescore(got, c.Packages, now) {
		t.Errorf("after rescoring %v", say(c, got))
	}
}

// catalogues makes n images of 300 packages each, out of names the database knows.
func catalogues(tb testing.TB, d *advisory.DB, n int) []*scan.Catalog {
	tb.Helper()
	by := claims(tb, pack(tb)+"/osv/Debian/all.zip", "Debian:12")
	names := make([]string, 0, len(by))
	for k := range by {
		names = append(names, k)
	}
	slices.Sort(names)
	var out []*scan.Catalog
	for i := range n {
		c := &scan.Catalog{Distro: bookworm}
		for k := range 300 {
			name := names[(i*37+k*11)%len(names)]
			v := "1.0-1"
			if b := by[name][0].bounds(); len(b) > 0 {
				v = b[0]
			}
			c.Packages = append(c.Packages, scan.Package{Type: scan.Deb, Name: name, Version: v, Source: name, Arch: "amd64"})
		}
		out = append(out, c)
	}
	return out
}

// BenchmarkMatch300Packages matches an image of 300 packages, all of which have
// advisories, against the whole pack: opened anew each time, and kept open.
func BenchmarkMatch300Packages(b *testing.B) {
	dir := pack(b)
	path := filepath.Join(b.TempDir(), "advisories.db")
	if _, err := advisory.Import(b.Context(), path, []string{dir + "/osv", dir + "/kev", dir + "/epss", dir + "/alpine", dir + "/azurelinux", dir + "/ubuntu"}, advisory.Options{}); err != nil {
		b.Fatal(err)
	}
	warm, err := advisory.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer warm.Close()
	c := catalogues(b, warm, 1)[0]
	bench := func(b *testing.B, c *scan.Catalog, open func() *advisory.DB) {
		b.ReportAllocs()
		n, before := 0, cpu(b)
		for b.Loop() {
			v, _, err := match.Match(c, open(), match.Options{})
			if err != nil {
				b.Fatal(err)
			}
			n = len(v)
		}
		b.ReportMetric((cpu(b)-before)*1e3/float64(b.N), "cpu-ms/op")
		b.ReportMetric(float64(n), "findings")
	}
	b.Run("cold", func(b *testing.B) {
		var db *advisory.DB
		defer func() { _ = db.Close() }()
		bench(b, c, func() *advisory.DB {
			if db != nil {
				_ = db.Close()
			}
			var err error
			if db, err = advisory.Open(path); err != nil {
				b.Fatal(err)
			}
			return db
		})
	})
	b.Run("warm", func(b *testing.B) { bench(b, c, func() *advisory.DB { return warm }) })
	kernel := &scan.Catalog{Distro: bookworm, Packages: []scan.Package{{Type: scan.Deb, Name: "linux", Source: "linux", Version: "6.1.1-1", Arch: "amd64"}}}
	b.Run("kernel", func(b *testing.B) { bench(b, kernel, func() *advisory.DB { return warm }) })
}

// cpu is the processor time of this process in seconds.
func cpu(b *testing.B) float64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}

func BenchmarkAgain10000Catalogues1000Advisories(b *testing.B) {
	d := imported(b, pack(b)+"/osv/Debian/all.zip")
	cs := catalogues(b, d, 10_000)
	changed := map[advisory.Key]bool{} // of the packages that 1,000 advisories are about
	by := claims(b, pack(b)+"/osv/Debian/all.zip", "Debian:12")
	names := make([]string, 0, len(by))
	for n := range by {
		names = append(names, n)
	}
	slices.Sort(names)
	advisories := 0
	for i := 0; i < len(names) && advisories < 1000; i += 7 {
		changed[advisory.Key{Ecosystem: "Debian:12", Name: names[i]}] = true
		advisories += len(by[names[i]])
	}
	keys := make([]advisory.Key, 0, len(changed))
	for k := range changed {
		keys = append(keys, k)
	}
	set := match.ChangedSet(keys)
	b.ResetTimer()
	before := cpu(b)
	defer func() { b.ReportMetric((cpu(b)-before)/float64(b.N), "cpu-s/op") }()
	for range b.N {
		touched, found := 0, 0
		memo := match.NewMemo()
		for _, c := range cs {
			v, hit, err := match.Again(c, nil, set, d, match.Options{Memo: memo})
			if err != nil {
				b.Fatal(err)
			}
			if hit {
				touched++
			}
			found += len(v)
		}
		b.ReportMetric(float64(touched), "images")
		b.ReportMetric(float64(found), "findings")
	}
}
