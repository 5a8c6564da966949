package advisory

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// zeros gives n bytes of one letter without keeping them.
type zeros struct{ n int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n <= 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), z.n))
	for i := range p[:n] {
		p[i] = 'a'
	}
	z.n -= int64(n)
	return n, nil
}

// read gives a document to the importer and returns what it says, with the peak of
// what it held.
func read(t *testing.T, doc func() io.Reader) (bad feedState, err error, heap uint64) {
	t.Helper()
	b := newBuilder(t.TempDir(), nil)
	defer b.close()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	bad, err = b.readDocument("doc", func() (io.ReadCloser, error) { return io.NopCloser(doc()), nil })
	runtime.ReadMemStats(&after)
	if after.HeapSys > before.HeapSys {
		heap = after.HeapSys - before.HeapSys
	}
	return bad, err, heap
}

func TestHostileDocumentsAreRefusedWithinBounds(t *testing.T) {
	const huge = 128 << 20
	long := func(before, after string) func() io.Reader {
		return func() io.Reader {
			return io.MultiReader(strings.NewReader(before), &zeros{huge}, strings.NewReader(after))
		}
	}
	text := func(s string) func() io.Reader { return func() io.Reader { return strings.NewReader(s) } }
	deep := func(s string, n int) string { return strings.Repeat(s, n) }
	for name, c := range map[string]struct {
		doc   func() io.Reader
		words string
	}{
		"kev with one huge text":          {long(`{"catalogVersion":"1","vulnerabilities":[{"cveID":"`, `"}]}`), "one value of more than"},
		"kev with a huge key":             {long(`{"catalogVersion":"1","`, `":1}`), "one value of more than"},
		"tracker with a huge issue":       {long(`{"p":{"CVE-2029-0001":{"releases":{"sid":{"status":"open","repositories":{},"urgency":"low","x":"`, `"}}}}}`), "one value of more than"},
		"secdb with a huge list":          {long(`{"distroversion":"v3.20","reponame":"main","packages":[{"pkg":{"name":"`, `"}}]}`), "one value of more than"},
		"csaf with a huge text":           {long(`{"document":{"csaf_version":"2.0","title":"`, `"}}`), "one value of more than"},
		"epss with a huge line":           {long("cve,epss,percentile\n", "\n"), "more than 64 KiB"},
		"osv record of a hundred MB":      {long(`{"id":"A-1","modified":"x","details":"`, `"}`), "more than 33554432 bytes"},
		"oval with a huge text":           {long(`<oval_definitions><definitions><definition id="x"><metadata><title>`, `</title>`), "one value of more than"},
		"oval with a huge attribute":      {long(`<oval_definitions><definitions><definition id="`, `">`), "one value of more than"},
		"oval that grows by its entities": {text(`<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><oval_definitions><definitions><definition id="&b;"/></definitions></oval_definitions>`), "entity"},
		"oval nested without end":         {text("<oval_definitions><definitions>" + deep("<a>", 200_000)), "at byte"},
		"json nested without end":         {text(`{"catalogVersion":"1","x":` + deep("[", 200_000)), "at byte"},
		"csaf branches without end":       {text(`{"document":{"csaf_version":"2.0"},"product_tree":` + deep(`{"branches":[`, 50)), "more than 30 deep"},
		"html":                            {text("<html><body>Please sign in.</body></html>"), "not a format of advisories"},
		"nothing":                         {text(""), "it is empty"},
		"binary":                          {text("\x7fELF\x00\x01\x02"), "not a format of advisories"},
	} {
		_, err, heap := read(t, c.doc)
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %.300v", name, err)
		}
		if heap > 220<<20 {
			t.Errorf("%s: the heap grew by %d MB", name, heap>>20)
		}
	}
}

// A zip whose entries expand a thousandfold: the records that are too large are skipped
// and told, the others taken.
func TestAZipBombCostsOnlyItsRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "all.zip")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for i := range 3 {
		w, _ := z.Create(fmt.Sprintf("BOMB-%d.json", i))
		_, _ = io.Copy(w, io.MultiReader(strings.NewReader(`{"id":"BOMB","details":"`), &zeros{200 << 20}))
	}
	w, _ := z.Create("A-1.json")
	_, _ = io.WriteString(w, osvText("A-1", "2029-01-01T00:00:00Z", "npm", "left", "1"))
	for name, text := range map[string]string{
		"LIST":   `[]`,
		"TYPE":   `{"id":7}`,
		"NOID":   `{"affected":[]}`,
		"CUT":    `{"id":"CUT"`,
		"EVENTS": osvText("EVENTS", "x", "npm", "left", "") + " ",
		"MANY":   `{"id":"MANY","affected":[{"package":{"ecosystem":"npm","name":"left"},"versions":["1"` + strings.Repeat(`,"1"`, maxVersions) + `]}]}`,
		"LINES":  osvText("LI\nNES", "x", "npm", "left", "1"),
		"NAME":   osvText("NAME", "x", "npm", strings.Repeat("n", 5000), "1"),
		"OTHER":  osvText("OTHER", "x", "PyPI", "left", "1"),
		"LOTS":   `{"id":"LOTS","affected":[` + strings.Repeat(`{"package":{"ecosystem":"npm","name":"left"}},`, maxAffected) + `{"package":{"ecosystem":"npm","name":"left"}}]}`,
		"SHA":    `{"id":"SHA","affected":[{"package":{"ecosystem":"npm","name":"left"},"ranges":[{"type":"GIT","events":[{"introduced":"0"}]}]}]}`,
	} {
		w, _ := z.Create(name + ".json")
		_, _ = io.WriteString(w, text)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	b := newBuilder(t.TempDir(), nil)
	defer b.close()
	if _, err := b.readOSVZip(r, "npm"); err != nil {
		t.Fatal(err)
	}
	c := b.changes["osv/npm"]
	// EVENTS has a beginning and an empty end, which is no end: it counts.
	if c.records != 2 || c.state.Skipped != 13 || len(c.state.Why) != maxWhy {
		t.Errorf("%d records, %d skipped: %q", c.records, c.state.Skipped, c.state.Why)
	}
	for _, why := range c.state.Why {
		if len(why) > 400 {
			t.Errorf("a reason of %d bytes", len(why))
		}
	}
}

// A gzip that expands without end is stopped; what it holds is no record anyway.
func TestImportNamesWhatItCouldNotRead(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"good.json":  []byte(osvText("A-1", "2029-01-01T00:00:00Z", "npm", "left", "1")),
		"cut.gz":     gzipped(epssText)[:40],
		"broken.zip": zipOf(map[string]string{"a.json": "{}"})[:60],
		"notes.txt":  []byte("remember the milk"),
		"empty.json": nil,
		"nested.gz":  gzipped(string(gzipped(kevText))),
		"bad.xz":     {0xfd, '7', 'z', 'X', 'Z', 0, 1, 2, 3},
		"bad.zst":    {0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3},
		"bad.bz2":    []byte("BZh9 no"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "db")
	res, err := Import(context.Background(), path, []string{dir}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, f := range res.Failed() {
		failed = append(failed, filepath.Base(f.Name))
	}
	if got := strings.Join(failed, " "); got != "bad.bz2 bad.xz bad.zst broken.zip cut.gz empty.json notes.txt epss" && got != "bad.bz2 bad.xz bad.zst broken.zip cut.gz empty.json notes.txt" {
		t.Errorf("%s", got)
	}
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	expect(t, db, "npm", "left", "A-1 osv/npm [,1)")
	if db.KEV("CVE-2029-0001") == nil || db.EPSS("CVE-2029-0001") != nil {
		t.Error("kev missing, or half of epss taken")
	}
}

func FuzzDocument(f *testing.F) {
	f.Add([]byte(kevText))
	f.Add([]byte(epssText))
	f.Add([]byte(trackerText))
	f.Add([]byte(`{"distroversion":"v3.20","reponame":"main","packages":[{"pkg":{"name":"crane","secfixes":{"1-r0":["CVE-2029-0001 XSA-1"],"0":["CVE-2029-0002"]}}}]}`))
	f.Add([]byte(azureText([5]string{"CVE-2029-0001", "crane", "less than", "0:1.2-3.azl3", "true"})))
	f.Add([]byte(vexText("CVE-2029-0001", "2029-01-05T00:00:00+00:00", vexFixed)))
	f.Add([]byte(osvText("A-1", "2029-01-01T00:00:00Z", "npm", "left", "1", `,"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]`)))
	f.Add(tarZst(map[string]string{"a.json": vexText("CVE-2029-0001", "2029-01-05T00:00:00+00:00", vexOpen)}))
	f.Add(gzipped(epssText))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, doc []byte) {
		b := newBuilder(dir, nil)
		defer b.close()
		_, err := b.readDocument("doc", func() (io.ReadCloser, error) { return decompress(io.NopCloser(bytes.NewReader(doc))) })
		if err != nil && len(err.Error()) > 4096 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
		// Whatever was taken can be written and read again.
		path := filepath.Join(dir, "db")
		_ = os.Remove(path)
		out, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		if err := b.writeTo(out, 1); err != nil {
			t.Fatal(err)
		}
		db, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.Verify(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzDatabase opens files that nobody wrote.
func FuzzDatabase(f *testing.F) {
	raw, err := os.ReadFile(built(f, osvText("CVE-2029-0001", "2029-01-01T00:00:00Z", "npm", "left", "1"), osvText("A-2", "2029-01-01T00:00:00Z", "npm", "right", "1")))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, doc []byte) {
		path := filepath.Join(dir, "db")
		if err := os.WriteFile(path, doc, 0o644); err != nil {
			t.Fatal(err)
		}
		db, err := Open(path)
		if err != nil {
			return
		}
		defer db.Close()
		_ = db.Verify()
		_, _ = db.Affected("npm", "left")
		_, _ = db.Find("A-2")
		_, _, _ = db.ChangedSince(db.dir.Lineage + ".0")
		_ = db.EPSS("CVE-2029-0001")
		_ = db.KEV("CVE-2029-0001")
	})
}

// FuzzRecord decodes bytes as records, past the checksums that guard them in a file.
func FuzzRecord(f *testing.F) {
	f.Add(appendRecord(nil, &Record{ID: "A", Affected: []Affected{{Ecosystem: "npm", Name: "left", Ranges: []Range{{Fixed: "1"}}}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decodeRecord(b); err == nil {
			if _, err := decodeRecord(appendRecord(nil, r)); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = decodeEntry(b)
		_, _ = decodeKEV(b)
	})
}

func FuzzLists(f *testing.F) {
	f.Add("2029-01-02T00:00:00.5Z,GHSA-3\n2029-01-02T00:00:00Z,npm/GHSA-2\n", "2029-01-01T00:00:00Z")
	f.Fuzz(func(t *testing.T, text, cursor string) {
		ids, _, err := readModified(strings.NewReader(text), cursor)
		if err != nil {
			return
		}
		for _, id := range ids {
			if strings.ContainsAny(id, "/?#%\\ ") || id == ".." || id == "." {
				t.Errorf("%q would go into an address", id)
			}
		}
	})
}
