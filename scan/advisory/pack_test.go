package advisory

import (
	"archive/zip"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/test/need"
)

// pack returns the directory of real advisories, or skips.
func pack(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("DOCKREEVE_ADVISORIES")
	if dir == "" {
		dir = "../../../shared/advisories"
	}
	if _, err := os.Stat(filepath.Join(dir, "osv")); err != nil {
		need.Skip(t, need.Shared, "no advisory pack (set DOCKREEVE_ADVISORIES): "+err.Error())
	}
	return dir
}

// countOSV counts, by plain decoding, the records of a zip that are not withdrawn.
func countOSV(t testing.TB, path string) (n int) {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, ".json") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.NewDecoder(r).Decode(&m); err != nil {
			t.Fatal(err)
		}
		r.Close()
		if _, gone := m["withdrawn"]; !gone {
			n++
		}
	}
	return n
}

func TestThePackIsImportedWhole(t *testing.T) {
	dir := pack(t)
	path := filepath.Join(t.TempDir(), "advisories.db")
	res, err := Import(context.Background(), path, []string{dir + "/osv", dir + "/kev", dir + "/epss"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]FeedResult{}
	for _, f := range res.Feeds {
		if f.Error != "" || f.Skipped > 0 {
			t.Errorf("%s: %d skipped %q, error %q", f.Name, f.Skipped, f.Why, f.Error)
		}
		got[f.Name] = f
	}
	zips, err := filepath.Glob(dir + "/osv/*/all.zip")
	if err != nil || len(zips) == 0 {
		t.Fatal(zips, err)
	}
	for _, z := range zips {
		name := "osv/" + filepath.Base(filepath.Dir(z))
		if want := countOSV(t, z); got[name].Records != want {
			t.Errorf("%s: %d records, %d in the zip", name, got[name].Records, want)
		}
	}
	if got["epss"].Records != 360142 || got["kev"].Records != 1674 {
		t.Errorf("epss %d, kev %d", got["epss"].Records, got["kev"].Records)
	}
}
