package store

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// BenchmarkFindingWhileImagesAreStored tells how long a finding waits for the writer
// while images of 3,000 packages, none seen before, are stored one after the other.
func BenchmarkFindingWhileImagesAreStored(b *testing.B) {
	db, err := Open(b.Context(), Options{Path: filepath.Join(b.TempDir(), "x.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() {
		for n := 1; ctx.Err() == nil; n++ {
			var packages []scan.Package
			var vulns []scan.Vulnerability
			for i := range 3000 {
				packages = append(packages, lib(fmt.Sprintf("p%d-%d", n, i), "1"))
				if i%3 == 0 {
					vulns = append(vulns, cve(fmt.Sprint("CVE-", i), i, finding.High, "2"))
				}
			}
			if _, _, err := db.PutImage(context.WithoutCancel(ctx), imageOf(n, "r.example/big", packages, vulns...)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	var longest time.Duration
	for n := 0; b.Loop(); n++ {
		at := time.Now()
		if _, err := db.Ingest(ctx, []Item{{Finding: sample("r", "w", n, int64(n+1), finding.Low)}}); err != nil {
			b.Fatal(err)
		}
		longest = max(longest, time.Since(at))
	}
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(longest.Milliseconds()), "ms-longest")
}
