package advisory

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/scan"
)

// importAt imports texts as files at a moment; the files were written when they say.
func importAt(t *testing.T, path string, now time.Time, written time.Time, files map[string]string) *DB {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, written, written); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Import(context.Background(), path, []string{dir}, Options{Now: now.UnixNano}); err != nil {
		t.Fatal(err)
	}
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

const week = int64(7 * 24 * time.Hour)

func TestAFileIsAsOldAsItsDataWheneverItIsImported(t *testing.T) {
	now := time.Date(2029, 6, 1, 12, 0, 0, 0, time.UTC)
	osv := func(modified string) map[string]string {
		return map[string]string{"all.zip": string(zipOf(map[string]string{
			"GHSA-1.json": osvText("GHSA-1", "2020-02-02T00:00:00Z", "npm", "left", "1"),
			"GHSA-2.json": osvText("GHSA-2", modified, "npm", "left", "2"),
		}))}
	}
	oldKEV := strings.Replace(kevText, `"vulnerabilities"`, `"dateReleased":"2021-05-05T00:00:00Z","vulnerabilities"`, 1)
	for _, c := range []struct {
		name    string
		files   map[string]string
		written time.Time
		want    string // day up to which it knows
	}{
		{"newest record", osv("2024-03-04T00:00:00Z"), now, "2024-03-04"},
		{"a record of the future says nothing of today", osv("2099-01-01T00:00:00Z"), now, "2020-02-02"},
		{"a record of in an hour is of now", osv("2029-06-01T13:00:00Z"), now, "2029-06-01"},
		{"KEV", map[string]string{"kev.json": oldKEV}, now, "2021-05-05"},
		{"EPSS", map[string]string{"epss.csv": "#model_version:v2025,score_date:2022-01-02T00:00:00Z\ncve,epss,percentile\nCVE-2029-0001,0.5,0.5\n"}, now, "2022-01-02"},
		{"without a date of its own its file's", map[string]string{"main.json": `{"distroversion":"v3.20","reponame":"main","packages":[{"pkg":{"name":"hull","secfixes":{"1.1-r0":["CVE-2029-0001"]}}}]}`}, time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), "2025-01-01"},
		{"nor does a file without dates make others younger", map[string]string{"all.zip": osv("2024-03-04T00:00:00Z")["all.zip"],
			"main.json": `{"distroversion":"v3.20","reponame":"main","packages":[{"pkg":{"name":"hull","secfixes":{"1.1-r0":["CVE-2029-0001"]}}}]}`}, now, "2024-03-04"},
		{"scores make advisories no younger", map[string]string{"all.zip": osv("2024-03-04T00:00:00Z")["all.zip"],
			"epss.csv": "#model_version:v2025,score_date:2029-06-01T00:00:00Z\ncve,epss,percentile\nCVE-2029-0001,0.5,0.5\n"}, now, "2024-03-04"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := importAt(t, filepath.Join(t.TempDir(), "db"), now, c.written, c.files)
			info := db.Info()
			if got := day(AsOf(&info)); got != c.want {
				t.Errorf("as of %s, want %s: %+v", got, c.want, info.Feeds)
			}
			for _, f := range info.Feeds {
				if !f.Imported || f.Fetched != now.UnixNano() || f.Date > now.UnixNano() {
					t.Errorf("%+v", f)
				}
			}
			gaps := db.Stale(now.UnixNano(), week)
			if fresh := c.want == "2029-06-01"; fresh && len(gaps) != 0 {
				t.Errorf("%+v", gaps)
			} else if !fresh && (len(gaps) != 1 || !gaps[0].Data || !strings.Contains(gaps[0].Reason, c.want)) {
				t.Errorf("%+v", gaps)
			}
			if db.Stale(now.UnixNano(), 0) != nil || TooOld(&info, now.UnixNano(), 0) {
				t.Error("any age was allowed")
			}
		})
	}
}

func TestOneOldFileAmongFreshAdvisoriesIsToldAndNoMore(t *testing.T) {
	now := time.Date(2029, 6, 1, 12, 0, 0, 0, time.UTC)
	db := importAt(t, filepath.Join(t.TempDir(), "db"), now, now, map[string]string{
		"npm.zip":  string(zipOf(map[string]string{"a.json": osvText("GHSA-1", "2024-02-02T00:00:00Z", "npm", "left", "1")})),
		"pypi.zip": string(zipOf(map[string]string{"b.json": osvText("GHSA-2", "2029-05-31T00:00:00Z", "PyPI", "left", "1")})),
	})
	gaps := db.Stale(now.UnixNano(), week)
	if len(gaps) != 1 || gaps[0].Data || !strings.Contains(gaps[0].Reason, "osv/npm of 2024-02-02") || strings.Contains(gaps[0].Reason, "PyPI") {
		t.Errorf("%+v", gaps)
	}
}

// What a publisher said of its data, that nothing is newer than it, must not be believed
// of what was imported over it.
func TestAnUpdateAfterAnImportReadsTheFeedAnew(t *testing.T) {
	w := osvWorld(t)
	w.update()
	before := feedInfo(w.open(), "kev")
	if before.Imported {
		t.Fatalf("%+v", before)
	}
	old := strings.Replace(kevText, "CVE-2029-0001", "CVE-2029-0009", 1)
	importAt(t, w.path, time.Unix(0, w.now), time.Unix(0, w.now), map[string]string{"kev.json": old})
	if i := feedInfo(w.open(), "kev"); !i.Imported {
		t.Fatalf("%+v", i)
	}
	if f := feedOf(t, w.update(), "kev"); f.Unchanged || f.Error != "" {
		t.Errorf("%+v", f)
	}
	db := w.open()
	if i := feedInfo(db, "kev"); i.Imported || db.KEV("CVE-2029-0001") == nil || db.KEV("CVE-2029-0009") != nil {
		t.Errorf("%+v", i)
	}
	// A single record beside those that were fetched makes the feed no older.
	importAt(t, w.path, time.Unix(0, w.now), time.Unix(0, w.now), map[string]string{"one.json": osvText("GHSA-77", "2020-01-01T00:00:00Z", "npm", "left", "1")})
	if i := feedInfo(w.open(), "osv/npm"); i.Imported {
		t.Errorf("%+v", i)
	}
}

func TestADatabaseWithoutFeedsIsAsOldAsItsFile(t *testing.T) {
	info := scan.DatabaseInfo{Built: 5 * week}
	if TooOld(&info, 6*week, week) || !TooOld(&info, 6*week+1, week) {
		t.Error("judged otherwise")
	}
}
