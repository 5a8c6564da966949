package azure

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

func written(t testing.TB, rs []Record) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, Head{Tenant: guidB, Started: 5, Source: "live"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rs {
		if r.Doc != nil && !json.Valid(r.Doc) {
			t.Fatalf("no JSON: %s", r.Doc)
		}
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(time.Unix(0, 9)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(b)
	if e := z.Close(); err != nil || e != nil {
		t.Fatal(err, e)
	}
	return out.Bytes()
}

func TestASnapshotGivesBackWhatWasWritten(t *testing.T) {
	for _, raw := range [][]byte{written(t, documents()), gzipped(t, written(t, documents()))} {
		var got []Record
		h, err := ReadRecords(bytes.NewReader(raw), func(r Record) error { got = append(got, r); return nil })
		if err != nil {
			t.Fatal(err)
		}
		if h.Tenant != guidB || h.Started != 5 || h.Finished != 9 || h.Records != len(documents()) || h.Version != Version {
			t.Errorf("head: %+v", h)
		}
		want, _ := json.Marshal(documents())
		if have, _ := json.Marshal(got); !bytes.Equal(have, want) {
			t.Errorf("differs:\n%s\n%s", have, want)
		}
	}
}

// TestASnapshotCutAnywhereKeepsWhatStandsBefore cuts after every byte.
func TestASnapshotCutAnywhereKeepsWhatStandsBefore(t *testing.T) {
	raw := written(t, documents())
	head := bytes.IndexByte(raw, '\n')
	for n := head; n < len(raw)-1; n++ {
		if bytes.Count(raw[head:n], []byte("\n")) > 3 && n%17 != 0 {
			continue
		}
		b, docs := NewBuilder(), 0
		h, err := ReadRecords(bytes.NewReader(raw[:n]), func(r Record) error {
			if r.What != cloud.ReadSnapshot {
				docs++
			}
			return b.Add(r)
		})
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		b.Describe(h)
		s := b.Snapshot()
		r := readOf(t, s, cloud.ReadSnapshot, "")
		if s.Tenant.Finished != 0 || h.Finished != 0 || r.Outcome != cloud.ReadPartial || !strings.Contains(r.Reason, "cut short") {
			t.Fatalf("cut at %d: %+v, %+v", n, h, r)
		}
		if whole := bytes.Count(raw[:n+1], []byte("\n")) - 1; docs < whole || docs > whole+1 {
			t.Fatalf("cut at %d: %d records of %d whole lines", n, docs, whole)
		}
	}
}

func TestAGzippedSnapshotCutShort(t *testing.T) {
	raw := gzipped(t, written(t, documents()))
	b := NewBuilder()
	h, err := ReadRecords(bytes.NewReader(raw[:len(raw)/2]), b.Add)
	if err != nil {
		t.Fatal(err)
	}
	b.Describe(h)
	if s := b.Snapshot(); s.Tenant.Finished != 0 || readOf(t, s, cloud.ReadSnapshot, "").Outcome != cloud.ReadPartial {
		t.Fatalf("got %+v", s.Tenant)
	}
}

func TestABadLineIsPassedOverAndCounted(t *testing.T) {
	lines := bytes.SplitAfter(written(t, documents()), []byte("\n"))
	lines[2] = []byte("{half a li\n")
	lines[3] = []byte(`{"what":"clusters"}` + "\n")
	b := NewBuilder()
	h, err := ReadRecords(bytes.NewReader(bytes.Join(lines, nil)), b.Add)
	if err != nil {
		t.Fatal(err)
	}
	b.Describe(h)
	s := b.Snapshot()
	r := readOf(t, s, cloud.ReadSnapshot, "")
	if h.Records != len(documents())-2 || r.Bad != 2 || !strings.HasPrefix(r.Reason, "line 3: ") || h.Finished != 9 {
		t.Fatalf("%+v, %+v", h, r)
	}
	if s.Tenant.Finished != 0 {
		t.Error("a snapshot with losses passes for whole")
	}
}

func TestWhatIsNoSnapshot(t *testing.T) {
	for name, c := range map[string]struct{ raw, want string }{
		"empty":      {"", "the file is empty"},
		"other JSON": {`[{"id":1}]`, "not its header"},
		"newer":      {`{"format":"dockreeve-azure-snapshot","version":2}` + "\n", "has version 2, this program knows up to 1"},
		"none":       {`{"format":"dockreeve-azure-snapshot"}` + "\n", "version 0"},
		"gzip":       {"\x1f\x8bnope", "broken gzip"},
	} {
		_, err := ReadRecords(strings.NewReader(c.raw), func(Record) error { return nil })
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenReadsAFileAndSaysFromWhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot.json")
	if err := os.WriteFile(path, written(t, documents()), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b := NewBuilder()
	for _, r := range documents() {
		_ = b.Add(r)
	}
	b.Describe(Head{Tenant: guidB, Source: "snapshot", Started: 5, Finished: 9})
	if want := b.Snapshot(); !sameSnapshot(s, want) {
		t.Errorf("differs:\n%+v\n%+v", s.Tenant, want.Tenant)
	}
	if _, err := Open(path + "x"); err == nil {
		t.Error("a file that is not there opens")
	}
}

func FuzzReadRecords(f *testing.F) {
	raw := written(f, documents()[:4])
	f.Add(raw)
	f.Add(raw[:len(raw)/2])
	f.Add(gzipped(f, raw))
	f.Add([]byte(`{"format":"dockreeve-azure-snapshot","version":1}` + "\n" + `{"end":true,"records":0}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b := NewBuilder()
		n := 0
		h, err := ReadRecords(bytes.NewReader(raw), func(r Record) error {
			if n++; r.What == "" {
				t.Fatal("a record of nothing")
			}
			return b.Add(r)
		})
		if err != nil {
			return
		}
		b.Describe(h)
		s := b.Snapshot()
		if n < h.Records {
			t.Fatalf("%d records told, %d given", h.Records, n)
		}
		if h.Finished == 0 && h.Records == 0 && n == 0 && len(s.Tenant.Reads) == 0 && !bytes.Contains(raw, []byte("end")) {
			t.Fatal("a file without an end passes for whole")
		}
	})
}
