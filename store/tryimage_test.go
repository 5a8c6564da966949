package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// dump is every row of every table.
func (f *fixture) dump(t *testing.T) map[string][]string {
	t.Helper()
	tables, err := f.strings(t.Context(), "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, name := range tables {
		rows, err := f.read.QueryContext(t.Context(), "SELECT * FROM "+name)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			row := make([]any, len(columns))
			for i := range row {
				row[i] = new(any)
			}
			if err := rows.Scan(row...); err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, v := range row {
				fmt.Fprintf(&b, "%v\x00", *v.(*any))
			}
			out[name] = append(out[name], b.String())
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// An image that is tried is read back as it was stored, and leaves no row of any table
// otherwise than it was: not of its own, nor of images that share its packages.
func TestAnImageThatIsTriedLeavesNothing(t *testing.T) {
	f := open(t, Options{})
	shared := lib("alpha", "1.2-3")
	f.putImage(t, imageOf(1, "shop:1", []scan.Package{shared, lib("zlib", "1")}, cve("CVE-2024-7", 0, finding.High, "2")))
	before, seq := f.dump(t), f.Seq()
	for i, s := range []ImageScan{
		imageOf(2, "canary", []scan.Package{lib("alpha", "0-1"), lib("new", "1")}, cve("CVE-2024-1001", 0, finding.Critical, "1.2-3"), cve("CVE-2024-7", 0, finding.Low, "9")),
		imageOf(3, "canary", []scan.Package{shared}, cve("CVE-2024-7", 0, finding.High, "2")),
		imageOf(1, "canary", []scan.Package{lib("other", "1")}, cve("CVE-2024-8", 0, finding.High, "2")), // even under a key that is taken
	} {
		got, err := f.TryImage(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		want := [][]string{{"CVE-2024-1001", "CVE-2024-7"}, {"CVE-2024-7"}, {"CVE-2024-8"}}[i]
		if !slices.Equal(got.Vulnerabilities, want) || got.Counts.Total != len(want) || got.Key != s.Catalog.Image.Digest || len(got.Catalog.Packages) != len(s.Catalog.Packages) {
			t.Errorf("%+v", got)
		}
		after := f.dump(t)
		for _, name := range slices.Sorted(maps.Keys(after)) {
			if !slices.Equal(before[name], after[name]) {
				t.Errorf("table %s: %q, was %q", name, after[name], before[name])
			}
		}
		if f.Seq() != seq {
			t.Errorf("watchers are woken: %d, was %d", f.Seq(), seq)
		}
	}
	if _, err := f.TryImage(t.Context(), ImageScan{}); err == nil {
		t.Error("no image was taken")
	}
	// What is stored next takes the numbers as if nothing had been.
	if _, counts := f.putImage(t, imageOf(4, "shop:2", []scan.Package{lib("alpha", "0-1")}, cve("CVE-2024-1001", 0, finding.Critical, "1.2-3"))); counts.Critical != 1 {
		t.Errorf("%+v", counts)
	}
}

func TestTheTestImageIsKept(t *testing.T) {
	f := open(t, Options{})
	if c, err := f.ImageCanary(t.Context()); err != nil || c != (ImageCanary{}) {
		t.Fatal(c, err)
	}
	want := ImageCanary{Sent: 5, Seen: 6, Done: 6, Every: 7, What: "CVE", Built: 4, Version: "a.1", Failed: 3, Why: "w", Missed: "m", NotAssessed: "n"}
	if err := f.SetImageCanary(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := open(t, Options{Path: f.path}).ImageCanary(t.Context()); err != nil || c != want {
		t.Fatal(c, err)
	}
}
