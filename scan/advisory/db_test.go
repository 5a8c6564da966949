package advisory

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// built makes a database of npm records and returns its path.
func built(t testing.TB, records ...string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "advisories.db")
	importOSV(t, path, records...)
	return path
}

func importOSV(t testing.TB, path string, records ...string) {
	t.Helper()
	files := map[string]string{}
	for i, r := range records {
		files[fmt.Sprintf("%d.json", i)] = r
	}
	from := filepath.Join(t.TempDir(), "all.zip")
	if err := os.WriteFile(from, zipOf(files), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Import(context.Background(), path, []string{from}, Options{}); err != nil {
		t.Fatal(err)
	}
}

func TestAReaderKeepsTheFileItOpened(t *testing.T) {
	path := built(t, osvText("A-1", "2029-01-01T00:00:00Z", "npm", "left", "1"))
	old, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	importOSV(t, path, osvText("A-2", "2029-01-01T00:00:00Z", "npm", "left", "2"))
	importOSV(t, path, osvText("A-3", "2029-01-01T00:00:00Z", "npm", "left", "3"))
	expect(t, old, "npm", "left", "A-1 osv/npm [,1)")
	now, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer now.Close()
	expect(t, now, "npm", "left", "A-3 osv/npm [,3)")
	before, err := Open(Previous(path))
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	expect(t, before, "npm", "left", "A-2 osv/npm [,2)")
	// Nothing is left lying about.
	entries, _ := os.ReadDir(filepath.Dir(path))
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"advisories.db", "advisories.db.lock", "advisories.db.previous"}; !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
}

func TestADamagedFileIsToldAndThePreviousUsed(t *testing.T) {
	var records []string
	for i := range 300 {
		records = append(records, osvText(fmt.Sprintf("A-%d", i), "2029-01-01T00:00:00Z", "npm", fmt.Sprintf("left-%d", i), "1"))
	}
	path := built(t, records...)
	importOSV(t, path, records...)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.Clone(good)
	binary.LittleEndian.PutUint32(newer[8:], formatVersion+1)
	flip := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 0x40
		return b
	}
	for name, c := range map[string]struct {
		content []byte
		is      error
		words   string
	}{
		"empty":             {nil, ErrDamaged, "it has only 0 bytes"},
		"text":              {[]byte(strings.Repeat("not a database\n", 100)), ErrDamaged, "does not begin like"},
		"cut in the middle": {good[:len(good)/2], ErrDamaged, "cut short"},
		"one byte less":     {good[:len(good)-1], ErrDamaged, "cut short"},
		"more at the end":   {append(bytes.Clone(good), good...), ErrDamaged, "was written with"},
		"directory":         {flip(len(good) - footerSize - 10), ErrDamaged, "directory has a wrong checksum"},
		"footer":            {flip(len(good) - footerSize), ErrDamaged, ""},
		"newer":             {newer, ErrNewer, "update dockreeve"},
	} {
		if err := os.WriteFile(path+".x", c.content, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".x", path); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.words) || !strings.Contains(err.Error(), "dockreeve db update") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		db, gaps, err := OpenLast(path)
		if err != nil || len(gaps) != 1 || !gaps[0].Data || !strings.Contains(gaps[0].Reason, "previous") {
			t.Errorf("%s: %v, %+v", name, err, gaps)
			continue
		}
		expect(t, db, "npm", "left-7", "A-7 osv/npm [,1)")
		_ = db.Close()
	}
	// The next update starts from the previous one and does not keep the damaged one.
	importOSV(t, path, records...)
	for _, p := range []string{path, Previous(path)} {
		if db, err := Open(p); err != nil {
			t.Error(err)
		} else {
			_ = db.Close()
		}
	}

	// Damage within a block is found when it is read, whatever byte it is.
	step := len(good)/199 + 1
	for at := headerSize; at < len(good)-footerSize; at += step {
		if err := os.WriteFile(path+".y", flip(at), 0o644); err != nil {
			t.Fatal(err)
		}
		db, err := Open(path + ".y")
		if err != nil {
			continue
		}
		if err := db.Verify(); err == nil {
			t.Errorf("byte %d changed and nobody noticed", at)
		} else if !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d: %v", at, err)
		}
		for i := range 300 {
			if list, err := db.Affected("npm", fmt.Sprintf("left-%d", i)); err == nil && len(list) != 1 {
				t.Errorf("byte %d: left-%d has %d advisories and no error", at, i, len(list))
			}
		}
		_ = db.Close()
	}
}

func TestOneUpdateAtATime(t *testing.T) {
	path := built(t, osvText("A-1", "2029-01-01T00:00:00Z", "npm", "left", "1"))
	j, err := begin(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.end()
	if _, err := begin(path, Options{}); err == nil || !strings.Contains(err.Error(), "another update") {
		t.Error(err)
	}
}

func TestNamesAreFoundAsPackageManagersSpellThem(t *testing.T) {
	path := built(t, osvText("A-1", "2029-01-01T00:00:00Z", "PyPI", "Zope.Interface__X", "1"))
	importOSV(t, path, osvText("A-2", "2029-01-01T00:00:00Z", "Maven", "org.Example:Thing", "1"))
	importOSV(t, path, osvText("A-3", "2029-01-01T00:00:00Z", "Rocky Linux:9.3", "crane", "1"))
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, n := range []string{"zope-interface-x", "Zope_Interface.X", "ZOPE.-_interface-x"} {
		expect(t, db, "PyPI", n, "A-1 osv/PyPI [,1)")
	}
	expect(t, db, "Maven", "org.Example:Thing", "A-2 osv/Maven [,1)")
	expect(t, db, "Maven", "org.example:thing")
	expect(t, db, "Rocky Linux:9", "crane", "A-3 osv/Rocky Linux [,1)")
	for eco, want := range map[string]bool{"PyPI": true, "Rocky Linux": true, "Rocky Linux:9": true, "Rocky Linux:8": false, "npm": false, "": false} {
		if db.Has(eco) != want {
			t.Errorf("Has(%q) is %v", eco, !want)
		}
	}
}

// A record of two ecosystems belongs to both feeds, and each zip brings only its own.
func TestEachZipSpeaksForItsEcosystemOnly(t *testing.T) {
	both := `{"id":"GHSA-1","modified":"2029-01-01T00:00:00Z","affected":[
	 {"package":{"ecosystem":"npm","name":"left"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1"}]}]},
	 {"package":{"ecosystem":"PyPI","name":"left"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"last_affected":"2"}]}]}]}`
	path := built(t, both, osvText("GHSA-2", "2029-01-01T00:00:00Z", "npm", "right", "1"))
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	expect(t, db, "npm", "left", "GHSA-1 osv/npm [,1)")
	if db.Has("PyPI") {
		t.Error("a stray record makes PyPI look assessed")
	}
}

func TestEventsBecomeRanges(t *testing.T) {
	in := func(s string) osvEvent { return osvEvent{Introduced: s} }
	fix := func(s string) osvEvent { return osvEvent{Fixed: s} }
	last := func(s string) osvEvent { return osvEvent{LastAffected: s} }
	for _, c := range []struct {
		events []osvEvent
		want   []Range
	}{
		{[]osvEvent{in("0"), fix("1")}, []Range{{Fixed: "1"}}},
		{[]osvEvent{in("0"), fix("1"), in("2"), fix("3")}, []Range{{Fixed: "1"}, {Introduced: "2", Fixed: "3"}}},
		{[]osvEvent{in("1")}, []Range{{Introduced: "1"}}},
		{[]osvEvent{in("1"), last("2"), fix("3")}, []Range{{Introduced: "1", Fixed: "3"}}},
		{[]osvEvent{fix("1"), in("0")}, []Range{{Fixed: "1"}}},
		{[]osvEvent{in("2"), in("0"), fix("3"), fix("1")}, []Range{{Fixed: "1"}, {Introduced: "2", Fixed: "3"}}},
		{[]osvEvent{in("1.10"), in("0"), fix("1.11"), fix("1.9")}, []Range{{Fixed: "1.9"}, {Introduced: "1.10", Fixed: "1.11"}}},
	} {
		got, err := pairEvents("PyPI", c.events)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: %+v, %v, want %+v", c.events, got, err, c.want)
		}
	}
}

// TestTheDatabaseAnswersAsAMapWould builds databases step by step, by whole feeds and
// by changes, and compares every answer with plain maps.
func TestTheDatabaseAnswersAsAMapWould(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		path := filepath.Join(dir, "db")
		for _, p := range []string{path, Previous(path)} {
			_ = os.Remove(p)
		}
		model := map[string]map[string]*Record{} // feed → id → record
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-c]{1,3}`), 3, 6, rapid.ID[string]).Draw(t, "names")
		versions := map[string]map[Key]string{} // version of the database → what it said
		for step := range rapid.IntRange(1, 4).Draw(t, "steps") {
			j, err := begin(path, Options{Now: func() int64 { return int64(step+1) * 1e9 }})
			if err != nil {
				t.Fatal(err)
			}
			j.b.records.limit = rapid.SampledFrom([]int{200, 1 << 20}).Draw(t, "memory")
			for _, feed := range []string{"osv/x", "osv/y"} {
				c := j.b.feed(feed)
				if rapid.Bool().Draw(t, "whole") {
					c.mode = replacing
					model[feed] = map[string]*Record{}
				} else if model[feed] == nil {
					model[feed] = map[string]*Record{}
				}
				for range rapid.IntRange(0, 8).Draw(t, "records") {
					id := rapid.StringMatching(`CVE-2029-000[0-9]`).Draw(t, "id")
					if c.mode == merging && rapid.IntRange(0, 3).Draw(t, "gone") == 0 {
						c.withdraw(id)
						if model[feed][id] != nil && model[feed][id].Modified <= int64(step)*1e9 {
							delete(model[feed], id)
						}
						continue
					}
					if r := model[feed][id]; r != nil && r.Modified > int64(step)*1e9 {
						continue // came in this step already
					}
					r := &Record{ID: id, Modified: int64(step+1) * 1e9, Severity: finding.Severity(rapid.IntRange(0, 5).Draw(t, "severity"))}
					if rapid.Bool().Draw(t, "rated") {
						r.CVSS = float64(rapid.IntRange(0, 100).Draw(t, "score")) / 10
						r.Vector = rapid.SampledFrom([]string{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "AV:N/AC:L/Au:N/C:N/I:N/A:P", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:P", "AV:N,AC:L/Au:N/C:N/I:N/A:P"}).Draw(t, "vector")
					}
					for _, n := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 3, rapid.ID[string]).Draw(t, "packages") {
						r.Affected = append(r.Affected, Affected{Ecosystem: "x", Name: n, Ranges: []Range{{Fixed: rapid.SampledFrom([]string{"1", "2"}).Draw(t, "fixed")}}})
					}
					if err := j.b.add(feed, r); err != nil {
						t.Fatal(err)
					}
					keep := *r
					model[feed][id] = &keep
				}
			}
			_, err = j.finish(nil, true)
			j.end()
			if err != nil {
				if strings.Contains(err.Error(), "shrank") {
					t.Skip()
				}
				t.Fatal(err)
			}
			db, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range db.Feeds() {
				if f.Error != "" { // refused because it shrank: out of the model
					_ = db.Close()
					return
				}
			}
			if err := db.Verify(); err != nil {
				t.Fatal(err)
			}
			now := map[Key]string{}
			for _, n := range names {
				var want, got []string
				for feed, records := range model {
					for _, r := range records {
						for _, a := range r.Affected {
							if a.Name == n {
								want = append(want, said(Entry{&Record{ID: r.ID, Feed: feed}, a})+r.Severity.String())
							}
						}
					}
				}
				list, err := db.Affected("x", n)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range list {
					got = append(got, said(e)+e.Record.Severity.String())
				}
				slices.Sort(want)
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Fatalf("step %d, %s:\n got %q\nwant %q", step, n, got, want)
				}
				now[Key{"x", n}] = strings.Join(got, "|")
			}
			for i := range 10 {
				id := fmt.Sprintf("CVE-2029-000%d", i)
				want := 0
				for _, records := range model {
					if records[id] != nil {
						want++
					}
				}
				if list, err := db.Find(strings.ToLower(id)); err != nil || len(list) != want {
					t.Fatalf("step %d, %s: %d records, %v, want %d", step, id, len(list), err, want)
				}
				var best *Rating
				for _, feed := range []string{"osv/x", "osv/y"} {
					if r := model[feed][id]; r != nil && r.Vector != "" && (best == nil || r.CVSS > best.CVSS) {
						best = &Rating{r.Vector, r.CVSS, r.ID}
					}
				}
				for _, got := range []*Rating{db.Rating(id), db.findRating(id)} {
					if (got == nil) != (best == nil) || got != nil && (got.CVSS != best.CVSS || got.From != best.From) {
						t.Fatalf("step %d, %s: rating %+v, want %+v", step, id, got, best)
					}
				}
				if got := db.Rating(id); got != nil && *got != *db.findRating(id) {
					t.Fatalf("step %d, %s: the table says %+v, the records %+v", step, id, got, db.findRating(id))
				}
			}
			// Every package that answers differently than in an earlier version is told.
			for version, before := range versions {
				changed, all, err := db.ChangedSince(version)
				if err != nil || all {
					t.Fatal(all, err)
				}
				for key, text := range before {
					if now[key] != text && !slices.Contains(changed, key) {
						t.Fatalf("step %d: %v changed since %s and is not told", step, key, version)
					}
				}
			}
			versions[db.Info().Version] = now
			_ = db.Close()
		}
	})
}

func TestRecordsSurviveTheirCodec(t *testing.T) {
	text := rapid.StringN(0, 20, 60)
	list := rapid.SliceOfN(text, 0, 3)
	rapid.Check(t, func(t *rapid.T) {
		some := func(l []string) []string {
			if len(l) == 0 {
				return nil
			}
			return l
		}
		r := &Record{
			ID: text.Draw(t, "id"), Feed: text.Draw(t, "feed"), Aliases: some(list.Draw(t, "aliases")), Upstream: some(list.Draw(t, "upstream")),
			Title: text.Draw(t, "title"), Severity: finding.Severity(rapid.IntRange(0, 5).Draw(t, "severity")), Vector: text.Draw(t, "vector"),
			CVSS: float64(rapid.IntRange(0, 100).Draw(t, "cvss")) / 10, Published: rapid.Int64().Draw(t, "published"), Modified: rapid.Int64().Draw(t, "modified"),
			References: some(list.Draw(t, "references")),
		}
		for range rapid.IntRange(0, 3).Draw(t, "affected") {
			a := Affected{
				Ecosystem: text.Draw(t, "ecosystem"), Name: text.Draw(t, "name"), Versions: some(list.Draw(t, "versions")),
				Status:   rapid.SampledFrom([]scan.Status{"", scan.Fixed, scan.Unfixed, scan.WontFix, scan.Deferred, scan.EndOfLife, scan.UnderReview}).Draw(t, "status"),
				Severity: finding.Severity(rapid.IntRange(0, 5).Draw(t, "rated")), Module: text.Draw(t, "module"), Arches: some(list.Draw(t, "arches")),
				NotAffected: rapid.Bool().Draw(t, "not"),
			}
			for range rapid.IntRange(0, 3).Draw(t, "ranges") {
				a.Ranges = append(a.Ranges, Range{text.Draw(t, "from"), text.Draw(t, "fixed"), text.Draw(t, "last")})
			}
			r.Affected = append(r.Affected, a)
		}
		got, err := decodeRecord(appendRecord(nil, r))
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, got, r)
		}
	})
}
