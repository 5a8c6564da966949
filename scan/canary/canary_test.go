package canary

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dockreeve/dockreeve/scan/advisory"
	"github.com/dockreeve/dockreeve/scan/match"
	"github.com/dockreeve/dockreeve/scan/scanner"
	"github.com/dockreeve/dockreeve/test/need"
)

// load makes a real database of files.
func load(t *testing.T, files ...string) *advisory.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "advisories.db")
	if _, err := advisory.Import(t.Context(), path, files, advisory.Options{}); err != nil {
		t.Fatal(err)
	}
	db, err := advisory.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func osv(t *testing.T, records ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "all.zip")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	for i, r := range records {
		e, err := w.Create(fmt.Sprintf("%d.json", i))
		if err == nil {
			_, err = e.Write([]byte(r))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// record is one advisory; events is JSON of what OSV calls so.
func record(id, cve, ecosystem, name, events string) string {
	return fmt.Sprintf(`{"schema_version":"1.6.0","id":%q,"modified":"2026-05-01T00:00:00Z","aliases":[%q],"affected":[{"package":{"ecosystem":%q,"name":%q},"ranges":[{"type":"ECOSYSTEM","events":[%s]}]}]}`, id, cve, ecosystem, name, events)
}

func fixedIn(v string) string { return `{"introduced":"0"},{"fixed":"` + v + `"}` }

// ids are the vulnerabilities that a scan finds in the image of a case at a version.
func ids(t *testing.T, db *advisory.DB, c *Case, version string) []string {
	t.Helper()
	b, err := c.Image(version, 1)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := scanner.New(scanner.Options{}).Catalogs(context.Background(), "oci:"+path)
	if err != nil || len(list) != 1 || list[0].Image.Digest == "" || len(list[0].Packages) != 1 {
		t.Fatalf("%+v %v", list, err)
	}
	vulns, _, err := match.Match(list[0], db, match.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, v := range vulns {
		out = append(out, v.ID)
	}
	return out
}

// Every ecosystem that is chosen makes an image that the scanner reads, found vulnerable
// below the fixed version and not at it.
func TestACaseOfEachEcosystem(t *testing.T) {
	for _, x := range []struct{ ecosystem, name, fixed string }{
		{"Debian:12", "alpha", "1.2-3"}, {"Debian:13", "alpha", "2:1.0-3+deb13u1"}, {"Ubuntu:24.04:LTS", "alpha", "1.2-3ubuntu0.1"}, {"Ubuntu:23.10", "alpha", "1.2-3"},
		{"Alpine:v3.20", "alpha", "1.2.3-r4"}, {"npm", "alpha", "1.2.3"},
	} {
		t.Run(x.ecosystem, func(t *testing.T) {
			db := load(t, osv(t, record("X-1", "CVE-2024-1001", x.ecosystem, x.name, fixedIn(x.fixed)), record("X-2", "CVE-2024-1002", x.ecosystem, x.name, fixedIn("9"+x.fixed))))
			c, err := Choose(db)
			if err != nil || c.CVE != "CVE-2024-1001" || c.Fixed != x.fixed || c.Package != x.name || c.Ecosystem != x.ecosystem || c.Record != "X-1" {
				t.Fatalf("%+v %v", c, err)
			}
			if got := ids(t, db, &c, c.Vulnerable); !slices.Equal(got, []string{"CVE-2024-1001", "CVE-2024-1002"}) {
				t.Errorf("vulnerable: %v", got)
			}
			if got := ids(t, db, &c, c.Fixed); !slices.Equal(got, []string{"CVE-2024-1002"}) {
				t.Errorf("fixed: %v", got)
			}
		})
	}
}

// What leaves a doubt is passed over.
func TestOnlyWhatIsPlainIsChosen(t *testing.T) {
	const plainly = "CVE-2024-9999"
	for what, records := range map[string][]string{
		"no fix":                   {record("X-1", "CVE-2024-1001", "Debian:12", "alpha", `{"introduced":"0"}`)},
		"never affected":           {record("X-1", "CVE-2024-1001", "Debian:12", "alpha", fixedIn("0"))},
		"a fix that may be lower":  {record("X-1", "CVE-2024-1001", "Debian:12", "alpha", fixedIn("0~20240101-1"))},
		"not from the first":       {record("X-1", "CVE-2024-1001", "Debian:12", "alpha", `{"introduced":"1.0"},{"fixed":"2.0-1"}`)},
		"two intervals":            {record("X-1", "CVE-2024-1001", "Debian:12", "alpha", `{"introduced":"0"},{"fixed":"1.0-1"},{"introduced":"2.0"},{"fixed":"2.1-1"}`)},
		"told twice":               {record("X-1", "CVE-2024-1001", "Debian:12", "alpha", fixedIn("1.0-1")), record("X-2", "CVE-2024-1001", "Debian:12", "alpha", fixedIn("2.0-1"))},
		"no CVE":                   {record("X-1", "GHSA-aaaa-bbbb-cccc", "Debian:12", "alpha", fixedIn("1.0-1"))},
		"a kernel":                 {record("X-1", "CVE-2024-1001", "Debian:12", "linux", fixedIn("6.1-1"))},
		"a name that is no name":   {record("X-1", "CVE-2024-1001", "Debian:12", "a b", fixedIn("1.0-1"))},
		"a version that is a line": {record("X-1", "CVE-2024-1001", "Debian:12", "alpha", fixedIn(`1.0\nPackage: x`))},
		"no ecosystem of ours":     {record("X-1", "CVE-2024-1001", "crates.io", "alpha", fixedIn("1.0.0"))},
	} {
		t.Run(what, func(t *testing.T) {
			if c, err := Choose(load(t, osv(t, records...))); !errors.Is(err, ErrNone) {
				t.Errorf("%+v %v", c, err)
			}
			with := append(slices.Clone(records), record("Y-1", plainly, "Debian:12", "zeta", fixedIn("1.0-1")))
			if c, err := Choose(load(t, osv(t, with...))); err != nil || c.CVE != plainly {
				t.Errorf("beside it: %+v %v", c, err)
			}
		})
	}
}

// Looking is bounded, whatever the database holds.
type endless struct{ asked int }

func (e *endless) Ecosystems() map[string]int {
	m := map[string]int{"npm": 1}
	for i := range 99 {
		m[fmt.Sprintf("Debian:%d", i)] = 1 << 30
	}
	return m
}
func (e *endless) NamesAfter(_, after string, limit int) ([]string, error) {
	n := 0
	fmt.Sscanf(after, "p%d", &n)
	var out []string
	for i := range limit {
		out = append(out, fmt.Sprintf("p%09d", n+i+1))
	}
	return out, nil
}
func (e *endless) Affected(string, string) ([]advisory.Entry, error) {
	e.asked++
	return nil, nil
}

func TestLookingIsBounded(t *testing.T) {
	e := &endless{}
	if _, err := Choose(e); !errors.Is(err, ErrNone) || e.asked > maxLooked {
		t.Errorf("%d asked, %v", e.asked, err)
	}
}

// An image's digest cannot be known beforehand, and its size is bounded.
func TestImagesDiffer(t *testing.T) {
	c := Case{Record: "X", Ecosystem: "Debian:12", Package: "alpha"}
	a, err := c.Image("1", 1)
	b, err2 := c.Image("1", 2)
	if err != nil || err2 != nil || string(a) == string(b) || len(a) > 16<<10 {
		t.Errorf("%d bytes, %v %v", len(a), err, err2)
	}
	c.Ecosystem = "Go"
	if _, err := c.Image("1", 1); err == nil {
		t.Error("an image of an ecosystem that there is none of")
	}
}

// Over real advisories, where they are at hand.
func TestACaseOfRealAdvisories(t *testing.T) {
	dir := os.Getenv("DOCKREEVE_ADVISORIES")
	if dir == "" {
		dir = "../../../shared/advisories"
	}
	for _, ecosystem := range []string{"Debian", "Alpine", "npm"} {
		path := filepath.Join(dir, "osv", ecosystem)
		if _, err := os.Stat(path); err != nil {
			need.Skip(t, need.Shared, "no advisory pack (set DOCKREEVE_ADVISORIES): "+err.Error())
		}
		db := load(t, path)
		c, err := Choose(db)
		if err != nil {
			t.Fatalf("%s: %v", ecosystem, err)
		}
		t.Log(c.String())
		if got := ids(t, db, &c, c.Vulnerable); !slices.Contains(got, c.CVE) {
			t.Errorf("%s: %v", c.String(), got)
		}
		if got := ids(t, db, &c, c.Fixed); slices.Contains(got, c.CVE) {
			t.Errorf("%s: fixed and found", c.String())
		}
	}
}
