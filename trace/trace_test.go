package trace

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/process"
	"github.com/dockreeve/dockreeve/process/processtest"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden file")

// small are bounds that a short script fills.
var small = process.Options{MaxProcesses: 9, MaxWritten: 3, MaxPipes: 3, KeepDead: 5}

// drawn turns bytes into the numbers a script draws.
func drawn(data []byte) func(int) int {
	at := 0
	return func(n int) int {
		if len(data) == 0 {
			return 0
		}
		at++
		return int(data[at%len(data)]+byte(at/len(data))) % n
	}
}

// record runs steps through a live table, recording from step cut on, and
// returns the trace and what a handler saw live.
func record(t interface{ Fatal(...any) }, steps []processtest.Step, cut int) (string, []string) {
	var out bytes.Buffer
	var seen []string
	live := process.New(small)
	for _, s := range steps[:cut] {
		live.Apply(s.Event, s.Facts)
	}
	w, err := NewWriter(&out, Header{Kernel: "6.1.0", Node: "n1", Environment: "test", Started: 1}, live.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	healed := event.Container{ID: "cccc", CgroupPath: "/c", Name: "late"}
	for i, s := range steps[cut:] {
		check(w.Event(s.Event, s.Facts))
		live.Apply(s.Event, s.Facts)
		seen = append(seen, string(s.Event.AppendJSON(nil)))
		switch i % 11 {
		case 4:
			l := event.Loss{Hop: "sensor.ring", Reason: "ring_full", Lane: event.LaneActivity, Count: 7, From: 1, To: 2}
			check(w.Loss(l))
			seen = append(seen, string(l.AppendJSON(nil)))
		case 9:
			if old := s.Facts.Container; old != nil && old.ID == "" {
				check(w.Replace(old, &healed))
				live.SetContainer(old, &healed)
			}
		}
	}
	check(w.Close(""))
	return out.String(), seen
}

// replay plays a trace and returns what a handler saw.
func replay(in string, opt ReaderOptions) (seen []string, err error) {
	r, err := NewReader(strings.NewReader(in), opt)
	if err != nil {
		return nil, err
	}
	err = Replay(r, process.New(small), func(rec *Record) error {
		switch {
		case rec.Event != nil:
			seen = append(seen, string(rec.Event.AppendJSON(nil)))
		case rec.Loss != nil:
			seen = append(seen, string(rec.Loss.AppendJSON(nil)))
		}
		return nil
	})
	return seen, err
}

// TestRecordReplay holds the promise of the package: what a handler sees on
// replay is what it saw live, byte for byte, wherever the recording began.
func TestRecordReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := processtest.Script(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "d") }, rapid.IntRange(1, 50).Draw(t, "n"))
		text, want := record(t, steps, rapid.IntRange(0, len(steps)).Draw(t, "cut"))
		got, err := replay(text, ReaderOptions{})
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if len(got) != len(want) {
			t.Fatalf("%d records, want %d", len(got), len(want))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("record %d:\nlive   %s\nreplay %s", i, want[i], got[i])
			}
		}
	})
}

func golden(t testing.TB) string {
	seed := []byte("a history for the golden file, long enough to hold a bit of everything")
	text, _ := record(t, processtest.Script(drawn(seed), 30), 10)
	return text
}

func TestGolden(t *testing.T) {
	const path = "testdata/golden.ndjson"
	text := golden(t)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("the format changed: raise Version or run with -update")
	}
	if _, err := replay(string(want), ReaderOptions{}); err != nil {
		t.Error(err)
	}
}

// TestCutShort cuts a trace after every byte: the reader delivers what is whole,
// then says that the trace is cut, and where.
func TestCutShort(t *testing.T) {
	text := golden(t)
	whole, err := replay(text, ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	header := strings.IndexByte(text, '\n')
	for n := range text {
		got, err := replay(text[:n], ReaderOptions{})
		if n < header {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("cut at %d, inside the header: %v", n, err)
			}
			continue
		}
		if n == len(text)-1 { // only the last newline is missing
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		if !errors.Is(err, ErrCut) || !strings.Contains(err.Error(), "line") {
			t.Fatalf("cut at %d: %v", n, err)
		}
		if len(got) > len(whole) {
			t.Fatalf("cut at %d: %d records of %d", n, len(got), len(whole))
		}
		for i := range got {
			if got[i] != whole[i] {
				t.Fatalf("cut at %d: record %d differs", n, i)
			}
		}
	}
}

func TestBadLines(t *testing.T) {
	const head = `{"format":"dockreeve-trace","version":1}` + "\n"
	const open = `{"event":{"type":"openat","path":"/x"},"facts":{"pid":5,"start":"7","comm":"cat"}}` + "\n"
	const end = `{"end":{"events":1,"losses":0,"lost":0,"ended":"0"}}` + "\n"
	if got, err := replay(head+open+end, ReaderOptions{}); err != nil || len(got) != 1 || !strings.Contains(got[0], `"comm":"cat"`) {
		t.Fatalf("written by hand: %v %v", got, err)
	}
	for _, c := range []struct {
		name, text, says string
		is               error
	}{
		{"empty", "", "empty", ErrFormat},
		{"not a trace", "hello\n", "line 1", ErrFormat},
		{"another format", `{"format":"pcap","version":1}` + "\n", "pcap", ErrFormat},
		{"a later version", `{"format":"dockreeve-trace","version":2}` + "\n", "version 2", ErrFormat},
		{"not JSON", head + "{\n" + open + end, "line 2", ErrLine},
		{"unknown record", head + `{"foo":1}` + "\n", "foo", ErrLine},
		{"unknown key", head + `{"event":{"type":"open","foo":1},"facts":{}}` + "\n", `"foo"`, ErrLine},
		{"two records", head + `{"event":{},"facts":{},"loss":{}}` + "\n", "2 kinds", ErrLine},
		{"no facts", head + `{"event":{}}` + "\n", "facts", ErrLine},
		{"process inside", head + `{"event":{"process":{}},"facts":{}}` + "\n", "process", ErrLine},
		{"no such container", head + `{"event":{},"facts":{},"in":9}` + "\n", "container 9", ErrLine},
		{"late snapshot", head + open + `{"process":{"process":{"pid":1}}}` + "\n", "after the first event", ErrLine},
		{"after the end", head + open + end + open, "after the end", ErrLine},
		{"wrong count", head + open + strings.Replace(end, `:1`, `:2`, 1), "counts 2 events", ErrCut},
		{"no end", head + open, "line 2", ErrCut},
		{"header alone", head, "no end record", ErrCut},
		{"too long", head + strings.Repeat("x", MaxLine+1) + "\n" + open + end, "longer than", ErrLine},
		{"short snapshot", strings.Replace(head, "}", `,"processes":3}`, 1) + open + end, "0 of 3 processes", ErrLine},
	} {
		_, err := replay(c.text, ReaderOptions{})
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	r, err := NewReader(strings.NewReader(head+"garbage\n"+strings.Repeat("x", MaxLine+9)+"\n"+open+"more\n"+end), ReaderOptions{SkipBad: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := Replay(r, process.New(small), func(*Record) error { return nil }); err != nil || r.Skipped() != 3 || r.Counts().Events != 1 {
		t.Errorf("skipping: %v, %d skipped, %d events", err, r.Skipped(), r.Counts().Events)
	}
	if _, err := NewReader(strings.NewReader(head+strings.Repeat(`{"process":{"process":{"pid":1}}}`+"\n", 5)), ReaderOptions{MaxSnapshot: 3}); !errors.Is(err, ErrLine) {
		t.Errorf("snapshot without end: %v", err)
	}
}

// fullDisk fails after n bytes.
type fullDisk struct{ n int }

func (d *fullDisk) Write(b []byte) (int, error) {
	if d.n -= len(b); d.n < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(b), nil
}

func TestWriterFailure(t *testing.T) {
	w, err := NewWriter(&fullDisk{n: 100 << 10}, Header{}, process.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	ev := &event.Event{Type: event.TypeOpen, Path: strings.Repeat("p", 1000)}
	for range 300 {
		err = w.Event(ev, &event.Facts{})
	}
	if err == nil || w.Close("") == nil {
		t.Fatal("a full disk went unnoticed")
	}
	written, lost := w.Counts()
	if written.Events == 0 || lost == 0 || written.Events+lost > 300 {
		t.Errorf("%d written, %d lost", written.Events, lost)
	}
}

func TestTooLongIsALoss(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, Header{}, process.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Event(&event.Event{JSON: make([]byte, MaxLine)}, &event.Facts{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close("enough"); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(&out, ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rec, err := r.Next()
	if err != nil || rec.Loss == nil || rec.Loss.Reason != "too_long" {
		t.Errorf("%+v %v", rec, err)
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// TestManyContainers uses more containers than a trace refers back to.
func TestManyContainers(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, Header{}, process.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	first := &event.Container{ID: "first"}
	for i := range 2*maxContainers + 10 {
		c := &event.Container{ID: "c"}
		if i%100 == 0 {
			c = first
		}
		f := &event.Facts{PID: 1, HasContainer: true, Container: c, Heal: []event.Process{{PID: 2, Container: first}}}
		if err := w.Event(&event.Event{Type: event.TypeOpen}, f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(""); err != nil {
		t.Fatal(err)
	}
	n := 0
	r, err := NewReader(&out, ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := Replay(r, process.New(small), func(rec *Record) error {
		if want := map[bool]string{true: "first", false: "c"}[n%100 == 0]; rec.Event.Container.ID != want {
			t.Fatalf("event %d in %s", n, rec.Event.Container.ID)
		}
		n++
		return nil
	}); err != nil || n != 2*maxContainers+10 {
		t.Errorf("%d events, %v", n, err)
	}
}

// A source that never ends its first line, as /dev/zero, is refused, not read for ever.
func TestEndlessHeader(t *testing.T) {
	_, err := NewReader(zeros{}, ReaderOptions{})
	if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "line 1 is longer than") {
		t.Fatal(err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// FuzzTraceReader feeds arbitrary files: no panic, and an error is one of ours.
func FuzzTraceReader(f *testing.F) {
	f.Add([]byte(golden(f)))
	f.Add([]byte(`{"format":"dockreeve-trace","version":1}` + "\n" + `{"event":{"type":"execve"},"facts":{"pid":1,"image":{"comm":"sh"}}}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, opt := range []ReaderOptions{{}, {SkipBad: true}} {
			_, err := replay(string(data), opt)
			if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrLine) && !errors.Is(err, ErrCut) {
				t.Fatalf("an error of no kind: %v", err)
			}
			if opt.SkipBad && errors.Is(err, ErrLine) {
				t.Fatalf("a bad line was to be skipped: %v", err)
			}
		}
	})
}

func BenchmarkReplay(b *testing.B) {
	text := golden(b)
	r, err := replay(text, ReaderOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := replay(text, ReaderOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(r))*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
