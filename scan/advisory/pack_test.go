package advisory

import (
	"archive/zip"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
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

// What the database says is compared with a plain reading of the same files: every
// record of Debian, and every fix of Alpine.
func TestThePackSaysWhatItsFilesSay(t *testing.T) {
	dir := pack(t)
	path := filepath.Join(t.TempDir(), "advisories.db")
	res, err := Import(context.Background(), path, []string{dir + "/osv/Debian", dir + "/alpine", dir + "/azurelinux", dir + "/ubuntu"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range res.Feeds {
		if f.Error != "" || f.Skipped > 0 {
			t.Errorf("%+v", f)
		}
	}
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	compare := func(ecosystem, name string, want map[string]string) {
		t.Helper()
		list, err := db.Affected(ecosystem, name)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, e := range list {
			fixed := "0"
			if len(e.Ranges) > 0 {
				fixed = e.Ranges[0].Fixed
			}
			got[e.ID] = fixed
		}
		if len(got) != len(want) {
			t.Errorf("%s %s: %d advisories, %d in the file", ecosystem, name, len(got), len(want))
			return
		}
		for id, fixed := range want {
			if got[id] != fixed {
				t.Errorf("%s %s %s: fixed in %q, %q in the file", ecosystem, name, id, got[id], fixed)
			}
		}
	}
	each := func(path string, f func(name string, doc map[string]any)) {
		z, err := zip.OpenReader(path)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		for _, e := range z.File {
			r, err := e.Open()
			if err != nil {
				t.Fatal(err)
			}
			var doc map[string]any
			if err := json.NewDecoder(r).Decode(&doc); err != nil {
				t.Fatal(err)
			}
			r.Close()
			f(e.Name, doc)
		}
	}
	debian := map[string]map[string]string{}
	each(dir+"/osv/Debian/all.zip", func(_ string, doc map[string]any) {
		for _, a := range doc["affected"].([]any) {
			a := a.(map[string]any)
			name := a["package"].(map[string]any)["name"].(string)
			events := a["ranges"].([]any)[0].(map[string]any)["events"].([]any)
			if debian[name] == nil {
				debian[name] = map[string]string{}
			}
			debian[name][doc["id"].(string)], _ = events[len(events)-1].(map[string]any)["fixed"].(string)
		}
	})
	for name, want := range debian {
		compare("Debian:12", name, want)
	}
	if len(debian) < 2000 {
		t.Errorf("only %d packages of Debian", len(debian))
	}
	cve := regexp.MustCompile(`CVE-\d{4}-\d{4,}`)
	checked := 0
	each(dir+"/alpine/secdb.zip", func(_ string, doc map[string]any) {
		for _, p := range doc["packages"].([]any) {
			p := p.(map[string]any)["pkg"].(map[string]any)
			entries, err := db.Affected("Alpine:"+doc["distroversion"].(string), p["name"].(string))
			if err != nil {
				t.Fatal(err)
			}
			for version, ids := range p["secfixes"].(map[string]any) {
				list, _ := ids.([]any)
				for _, line := range list {
					for _, id := range cve.FindAllString(line.(string), -1) {
						ok := false
						for _, e := range entries {
							if e.ID == id && (e.NotAffected == (version == "0")) {
								ok = true // one listed twice keeps its later version
							}
						}
						if !ok {
							t.Errorf("%v %v: %s is missing", doc["distroversion"], p["name"], id)
						}
						checked++
					}
				}
			}
		}
	})
	if checked < 50_000 {
		t.Errorf("only %d fixes of Alpine", checked)
	}
}
