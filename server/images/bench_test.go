package images

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/internal/clock"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/store"
)

// BenchmarkRematch matches 10,000 stored images of 300 packages with an update of
// 1,000 advisories, half of which apply to what is installed.
func BenchmarkRematch(b *testing.B) {
	const each, names, changed = 300, 5000, 1000
	images := 10_000
	if testing.Short() {
		images = 1000
	}
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	db, err := store.Open(b.Context(), store.Options{Path: filepath.Join(b.TempDir(), "x.db"), Now: func() int64 { return now.UnixNano() }})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	book := newBook()
	for n := range names {
		if n%10 == 0 {
			book.say(fmt.Sprintf("lib%d", n), fmt.Sprintf("CVE-2024-%05d", n), finding.High, "3")
		}
	}
	s := New(Options{DB: db, Clock: clock.NewManual(now), Database: "/dev/null", Open: func(string) (Advisories, error) { return book, nil }})
	ctx := context.Background()
	if err := s.Refresh(ctx); err != nil {
		b.Fatal(err)
	}
	seed := uint64(1)
	random := func(n int) int { // the same images each time
		seed = seed*6364136223846793005 + 1442695040888963407
		return int(seed>>33) % n
	}
	for n := range images {
		c := &scan.Catalog{Image: scan.Image{Kind: scan.KindRegistry, Name: fmt.Sprintf("r.example/%d:1", n), Digest: digest(n + 1)}, Distro: scan.Distro{ID: "debian", Version: "12", Codename: "bookworm"}}
		at := random(names)
		for i := range each {
			c.Packages = append(c.Packages, scan.Package{Type: scan.Deb, Name: fmt.Sprintf("lib%d", (at+i*13)%names), Version: fmt.Sprint(1 + random(4)), Arch: "amd64", Layer: -1})
		}
		if _, _, err := s.Submit(ctx, c, "", ""); err != nil {
			b.Fatal(err)
		}
	}
	round := 0
	for b.Loop() {
		b.StopTimer()
		round++
		for i := range changed {
			n := i * (names / changed)
			book.say(fmt.Sprintf("lib%d", n), fmt.Sprintf("CVE-2026-%d%04d", round, i), finding.High, fmt.Sprint(1+(i+round)%4))
		}
		b.StartTimer()
		if err := s.Refresh(ctx); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		m, err := db.Matched(ctx)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(m.Images), "images-changed")
		b.StartTimer()
	}
}
