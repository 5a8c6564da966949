package advisory

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/finding"
)

const (
	kevText  = `{"title":"list","catalogVersion":"2029.01.02","dateReleased":"2029-01-02T03:04:05.0000Z","count":2,"vulnerabilities":[{"cveID":"CVE-2029-0001","dateAdded":"2029-01-02","dueDate":"2029-01-23","requiredAction":"Update it.","knownRansomwareCampaignUse":"Known"},{"cveID":"CVE-2029-0002","dateAdded":"2029-01-01","knownRansomwareCampaignUse":"Unknown"}]}`
	epssText = "#model_version:v1,score_date:2029-01-02T00:00:00+0000\ncve,epss,percentile\nCVE-2029-0001,0.97500,0.99900\nCVE-2029-0002,0.00043,0.08123\n"
)

func osvWorld(t *testing.T) *world {
	w := newWorld(t,
		Feed{Name: "osv/npm", Kind: "osv", URL: "/npm", Licence: "CC-BY-4.0"},
		Feed{Name: "kev", Kind: "file", URL: "/kev.json"},
		Feed{Name: "epss", Kind: "file", URL: "/epss.csv.gz"},
	)
	w.pub.put("/npm/all.zip", zipOf(map[string]string{
		"GHSA-1.json": osvText("GHSA-1", "2029-01-01T00:00:00Z", "npm", "left", "1.2.0", `,"aliases":["CVE-2029-0001"]`),
		"GHSA-2.json": osvText("GHSA-2", "2029-01-02T00:00:00Z", "npm", "right", "2.0.0"),
		"GHSA-3.json": osvText("GHSA-3", "2029-01-02T00:00:00Z", "npm", "up", "3.0.0"),
		"GHSA-4.json": osvText("GHSA-4", "2029-01-02T00:00:00Z", "npm", "down", "3.0.0", `,"withdrawn":"2029-01-02T00:00:00Z"`),
	}))
	w.pub.put("/npm/modified_id.csv", "2029-01-02T00:00:00.5Z,GHSA-3\n2029-01-02T00:00:00Z,GHSA-2\n2029-01-01T00:00:00Z,GHSA-1\n")
	w.pub.put("/kev.json", kevText)
	w.pub.put("/epss.csv.gz", gzipped(epssText))
	return w
}

func TestAnUpdateReadsEveryFeedAndTheNextOnlyWhatChanged(t *testing.T) {
	w := osvWorld(t)
	res := w.update()
	for name, want := range map[string]int{"osv/npm": 3, "kev": 2, "epss": 2} {
		if f := feedOf(t, res, name); f.Records != want || f.Error != "" {
			t.Errorf("%s: %+v, want %d records", name, f, want)
		}
	}
	if f := feedOf(t, res, "osv/npm"); f.Withdrawn != 1 {
		t.Errorf("withdrawn: %+v", f)
	}
	db := w.open()
	expect(t, db, "npm", "left", "GHSA-1 osv/npm [,1.2.0)")
	expect(t, db, "npm", "down")
	if e := db.EPSS("CVE-2029-0002"); e == nil || e.Score != 0.00043 || e.Percentile != 0.08123 || e.Date != "2029-01-02" {
		t.Errorf("EPSS: %+v", e)
	}
	if k := db.KEV("cve-2029-0001"); k == nil || !k.Ransomware || k.Added != "2029-01-02" || k.Due != "2029-01-23" {
		t.Errorf("KEV: %+v", k)
	}
	if db.KEV("CVE-2029-0009") != nil || db.EPSS("CVE-2029-0009") != nil || db.EPSS("GHSA-1") != nil {
		t.Error("what is not listed is found")
	}
	first := db.Info()
	w.pub.requests()

	// Nothing new: nothing but questions, and the same version.
	res = w.update()
	for _, f := range res.Feeds {
		if !f.Unchanged {
			t.Errorf("%+v", f)
		}
	}
	if got, want := w.pub.requests(), []string{"304 /epss.csv.gz", "304 /kev.json", "304 /npm/modified_id.csv"}; !slices.Equal(got, want) {
		t.Errorf("asked %q", got)
	}
	second := w.open().Info()
	if second.Version != first.Version || second.Built <= first.Built || second.Feeds[0].Fetched <= first.Feeds[0].Fetched {
		t.Errorf("first %+v\nsecond %+v", first, second)
	}
	expect(t, w.open(), "npm", "left", "GHSA-1 osv/npm [,1.2.0)")

	// One record changed, one is new, one withdrawn, one gone: those four and no zip.
	w.pub.put("/npm/modified_id.csv", "2029-01-05T00:00:00Z,GHSA-5\n2029-01-04T00:00:00Z,GHSA-1\n2029-01-03T00:00:00Z,GHSA-2\n2029-01-03T00:00:00Z,GHSA-3\n2029-01-02T00:00:00.5Z,GHSA-3\n")
	w.pub.put("/npm/GHSA-5.json", osvText("GHSA-5", "2029-01-05T00:00:00Z", "npm", "left", "0.5.0"))
	w.pub.put("/npm/GHSA-1.json", osvText("GHSA-1", "2029-01-04T00:00:00Z", "npm", "left", "1.2.1"))
	w.pub.put("/npm/GHSA-2.json", osvText("GHSA-2", "2029-01-03T00:00:00Z", "npm", "right", "2.0.0", `,"withdrawn":"2029-01-03T00:00:00Z"`))
	f := feedOf(t, w.update(), "osv/npm")
	if f.Read != 2 || f.Withdrawn != 2 || f.Records != 2 || f.Before != 3 {
		t.Errorf("%+v", f)
	}
	if got := w.pub.requests(); slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "zip") }) || len(got) != 7 {
		t.Errorf("asked %q", got)
	}
	db = w.open()
	expect(t, db, "npm", "left", "GHSA-1 osv/npm [,1.2.1)", "GHSA-5 osv/npm [,0.5.0)")
	expect(t, db, "npm", "right")
	expect(t, db, "npm", "up")

	// What changed is told by package.
	changed, all, err := db.ChangedSince(first.Version)
	if err != nil || all || len(changed) != 3 || changed[0] != (Key{"npm", "left"}) || changed[1] != (Key{"npm", "right"}) || changed[2] != (Key{"npm", "up"}) {
		t.Errorf("changed %v, all %v, %v", changed, all, err)
	}
	if changed, all, err := db.ChangedSince(db.Info().Version); len(changed) > 0 || all || err != nil {
		t.Errorf("since itself: %v %v %v", changed, all, err)
	}
	for _, v := range []string{"", "abc", "abc.1", strings.Split(first.Version, ".")[0] + ".99"} {
		if _, all, err := db.ChangedSince(v); !all || err != nil {
			t.Errorf("since %q: all %v, %v", v, all, err)
		}
	}
}

func TestANewListingAsExploitedChangesThePackagesConcerned(t *testing.T) {
	w := osvWorld(t)
	w.pub.put("/kev.json", strings.Replace(kevText, "CVE-2029-0001", "CVE-2029-0007", 1))
	w.update()
	version := w.open().Info().Version
	w.pub.put("/kev.json", kevText)
	w.update()
	changed, all, err := w.open().ChangedSince(version)
	if err != nil || all || !slices.Equal(changed, []Key{{"npm", "left"}}) {
		t.Errorf("changed %v, all %v, %v", changed, all, err)
	}
}

func TestAServerThatAsksToWaitIsWaitedFor(t *testing.T) {
	w := osvWorld(t)
	w.pub.fail("/kev.json", answer(429, "Retry-After", "17"), answer(503))
	w.pub.fail("/epss.csv.gz", answer(429, "Retry-After", time.Unix(0, 1_900_000_000e9+3600e9+30e9).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")))
	w.update()
	if want := []time.Duration{17 * time.Second, 2 * time.Second, 30 * time.Second}; !slices.Equal(w.wait, want) {
		t.Errorf("waited %v, want %v", w.wait, want)
	}
	w.pub.fail("/kev.json", answer(429, "Retry-After", "100000"))
	if f := feedOf(t, w.update(), "kev"); !strings.Contains(f.Error, "too long") || f.Records != 2 {
		t.Errorf("%+v", f)
	}
}

func TestABrokenDownloadGoesOnWhereItEnded(t *testing.T) {
	w := osvWorld(t)
	zip := w.pub.files["/npm/all.zip"]
	w.pub.fail("/npm/all.zip", cut(zip, 100))
	w.update()
	if got := w.pub.requests(); !slices.Contains(got, "206 /npm/all.zip bytes=100-") {
		t.Errorf("asked %q", got)
	}
	expect(t, w.open(), "npm", "right", "GHSA-2 osv/npm [,2.0.0)")

	// Also in another run of the program.
	_ = os.Remove(w.path)
	for range attempts {
		w.pub.fail("/npm/all.zip", cut(zip, 200))
	}
	if f := feedOf(t, w.update(), "osv/npm"); !strings.Contains(f.Error, "/npm/all.zip: ") {
		t.Errorf("%+v", f)
	}
	w.pub.requests()
	w.update()
	if got := w.pub.requests(); !slices.Contains(got, "206 /npm/all.zip bytes=200-") {
		t.Errorf("asked %q", got)
	}
	expect(t, w.open(), "npm", "right", "GHSA-2 osv/npm [,2.0.0)")
}

func TestAPartOfAnotherFileIsNotGoneOnWith(t *testing.T) {
	w := osvWorld(t)
	zip := w.pub.files["/npm/all.zip"]
	w.pub.fail("/npm/all.zip", cut(append([]byte("another file"), zip...), 50))
	w.update()
	expect(t, w.open(), "npm", "right", "GHSA-2 osv/npm [,2.0.0)")
}

func TestAFeedThatFailsKeepsItsLastGoodData(t *testing.T) {
	w := osvWorld(t)
	w.update()
	fetched := feedInfo(w.open(), "kev").Fetched
	for name, content := range map[string]any{
		"404":          nil,
		"cut short":    kevText[:100],
		"wrong format": "<html>sign in to the proxy</html>",
		"wrong types":  `{"catalogVersion":[],"vulnerabilities":{"cveID":1}}`,
		"empty":        "",
		"another feed": epssText,
		"emptied":      `{"catalogVersion":"x","vulnerabilities":[]}`,
	} {
		w.pub.put("/kev.json", content)
		f := feedOf(t, w.update(), "kev")
		if f.Error == "" || f.Records != 2 {
			t.Errorf("%s: %+v", name, f)
		}
		db := w.open()
		if db.KEV("CVE-2029-0001") == nil || db.EPSS("CVE-2029-0001") == nil {
			t.Errorf("%s: the data is gone", name)
		}
		if i := feedInfo(db, "kev"); i.Error == "" || i.Fetched != fetched {
			t.Errorf("%s: %+v", name, i)
		}
		if gaps := db.Stale(w.now, int64(time.Minute)); len(gaps) != 1 || !strings.Contains(gaps[0].What, "kev") || !gaps[0].Data {
			t.Errorf("%s: %+v", name, gaps)
		}
	}
	w.pub.put("/kev.json", kevText)
	if f := feedOf(t, w.update(), "kev"); f.Error != "" {
		t.Errorf("%+v", f)
	}
}

func feedInfo(db *DB, name string) (info FeedDetail) {
	for _, f := range db.Feeds() {
		if f.Name == name {
			return f
		}
	}
	return
}

func TestAMirrorThatWasEmptiedDoesNotEmptyTheDatabase(t *testing.T) {
	w := osvWorld(t)
	w.update()
	w.pub.put("/npm/modified_id.csv", nil)
	w.pub.put("/npm/all.zip", zipOf(map[string]string{"GHSA-9.json": osvText("GHSA-9", "2029-02-02T00:00:00Z", "npm", "left", "1")}))
	f := feedOf(t, w.update(), "osv/npm")
	if !strings.Contains(f.Error, "shrank from 3 to 1") || !strings.Contains(f.Error, "--accept-shrink") || f.Records != 3 {
		t.Errorf("%+v", f)
	}
	expect(t, w.open(), "npm", "left", "GHSA-1 osv/npm [,1.2.0)")
	w.opt.AcceptShrink = true
	if f := feedOf(t, w.update(), "osv/npm"); f.Error != "" || f.Records != 1 {
		t.Errorf("%+v", f)
	}
	expect(t, w.open(), "npm", "left", "GHSA-9 osv/npm [,1)")
}

func TestWithoutAnyFeedThereIsAnErrorAndNoYoungerDatabase(t *testing.T) {
	w := osvWorld(t)
	w.pub.Close()
	if _, err := Update(context.Background(), w.path, w.opt); err == nil || !strings.Contains(err.Error(), "no feed could be read") {
		t.Error(err)
	}
	if _, err := Open(w.path); !errors.Is(err, ErrMissing) {
		t.Error(err)
	}
	w = osvWorld(t)
	w.update()
	built := w.open().Info().Built
	w.pub.Close()
	w.now += 1e15
	if _, err := Update(context.Background(), w.path, w.opt); err == nil || !strings.Contains(err.Error(), "last good data stays") {
		t.Error(err)
	}
	if got := w.open().Info().Built; got != built {
		t.Errorf("built %d, then %d", built, got)
	}
}

func TestAMirrorIsAskedForTheSamePaths(t *testing.T) {
	w := osvWorld(t)
	for i := range w.opt.Config.Feeds {
		f := &w.opt.Config.Feeds[i]
		f.URL = strings.Replace(f.URL, w.pub.URL, "https://feeds.example", 1)
	}
	w.opt.Mirror = w.pub.URL + "/mirror/"
	for path, content := range w.pub.files {
		w.pub.put("/mirror/feeds.example"+path, content)
	}
	w.update()
	expect(t, w.open(), "npm", "up", "GHSA-3 osv/npm [,3.0.0)")
}

func TestTheBuiltInConfigurationIsInOrder(t *testing.T) {
	c, err := DefaultConfig()
	if err != nil {
		t.Fatal(err)
	}
	urls := map[string]string{}
	for _, f := range c.Feeds {
		urls[f.Name] = f.URL
		if f.Licence == "" {
			t.Errorf("%s has no licence", f.Name)
		}
	}
	for name, want := range map[string]string{
		"osv/Rocky Linux":    "https://osv-vulnerabilities.storage.googleapis.com/Rocky%20Linux",
		"alpine/v3.20/main":  "https://secdb.alpinelinux.org/v3.20/main.json",
		"ubuntu-cve/noble":   "https://security-metadata.canonical.com/oval/com.ubuntu.noble.cve.oval.xml.bz2",
		"debian-tracker":     "https://security-tracker.debian.org/tracker/data/json",
		"redhat-vex":         "https://security.access.redhat.com/data/csaf/v2/vex",
		"osv/GitHub Actions": "https://osv-vulnerabilities.storage.googleapis.com/GitHub%20Actions",
	} {
		if urls[name] != want {
			t.Errorf("%s: %q", name, urls[name])
		}
	}
	if l := c.licence("alpine/v9.9/main"); l != "CC-BY-SA-4.0" {
		t.Errorf("licence of a release that is not configured: %q", l)
	}
}

func TestSeverityIsReadFromVectorsAndWords(t *testing.T) {
	w := newWorld(t, Feed{Name: "osv/npm", Kind: "osv", URL: "/npm"})
	w.pub.put("/npm/all.zip", zipOf(map[string]string{
		"A.json": osvText("A-1", "2029-01-01T00:00:00Z", "npm", "a", "1", `,"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"},{"type":"CVSS_V4","score":"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}],"database_specific":{"severity":"MODERATE","more":[1]}`),
		"B.json": osvText("B-1", "2029-01-01T00:00:00Z", "npm", "b", "1", `,"severity":[{"type":"CVSS_V4","score":"nonsense"},{"type":"CVSS_V3","score":"CVSS:3.0/AV:L/AC:H/PR:L/UI:R/S:U/C:L/I:N/A:N"}],"database_specific":"odd"`),
	}))
	w.update()
	db := w.open()
	a := expect(t, db, "npm", "a", "A-1 osv/npm [,1)")[0]
	if a.Record.Severity != finding.Medium || !strings.HasPrefix(a.Vector, "CVSS:4.0") || a.CVSS != 9.3 {
		t.Errorf("%+v", a.Record)
	}
	b := expect(t, db, "npm", "b", "B-1 osv/npm [,1)")[0]
	if b.Record.Severity != finding.SeverityNone || b.CVSS != 2.2 {
		t.Errorf("%+v", b.Record)
	}
}
