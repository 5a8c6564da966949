package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/internal/clock"
	"github.com/dockreeve/dockreeve/inuse"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/store"
)

// shelf is a store that fails as told and remembers what it took.
type shelf struct {
	mu     sync.Mutex
	fail   func([]store.Item) error
	items  []store.Item
	stored chan int // how many items, after each success
}

func (s *shelf) Ingest(_ context.Context, items []store.Item) (store.Ingested, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		if err := s.fail(items); err != nil {
			return store.Ingested{}, err
		}
	}
	var out store.Ingested
	for _, it := range items {
		if it.Finding != nil {
			out.Inserted = append(out.Inserted, it.Finding)
		}
	}
	s.items = append(s.items, items...)
	s.stored <- len(items)
	return out, nil
}

func (s *shelf) set(fail func([]store.Item) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

func good(id string, at int64) []byte {
	b, err := json.Marshal(finding.Finding{ID: id, Fingerprint: "1:a", Rule: finding.Rule{ID: "r"}, Severity: finding.Low, Time: at, Event: json.RawMessage("{}")})
	if err != nil {
		panic(err)
	}
	return b
}

type rig struct {
	*Ingest
	shelf *shelf
	pipe  *link.Pipe
	clock *clock.Manual
	done  chan error
}

func start(t *testing.T) *rig {
	r := &rig{shelf: &shelf{stored: make(chan int, 1000)}, pipe: link.NewPipe(link.PipeOptions{}), clock: clock.NewManual(time.Unix(1000, 0)), done: make(chan error, 1)}
	r.Ingest = New(Options{Store: r.shelf, Receiver: r.pipe, Clock: r.clock})
	return r
}

func (r *rig) run(ctx context.Context) { go func() { r.done <- r.Run(ctx) }() }

func (r *rig) send(t *testing.T, payload []byte) {
	t.Helper()
	if err := r.pipe.Send(t.Context(), link.LaneAlert, link.KindFinding, payload); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) finish(t *testing.T) {
	t.Helper()
	r.pipe.Close()
	if err := <-r.done; err != nil {
		t.Fatal(err)
	}
}

func TestNothingIsAcknowledgedBeforeItIsStored(t *testing.T) {
	r := start(t)
	full := fmt.Errorf("%w: the disk", store.ErrFull)
	r.shelf.set(func([]store.Item) error { return full })
	r.send(t, good("a", r.clock.Now().UnixNano()-int64(3*time.Millisecond)))
	r.run(t.Context())
	for range 3 { // each failure is followed by a wait
		r.clock.WaitTimers(1)
		if err, since := r.Failing(); !errors.Is(err, store.ErrFull) || since != time.Unix(1000, 0).UnixNano() {
			t.Fatalf("state: %v since %d", err, since)
		}
		if n := r.pipe.Pending(link.LaneAlert); n != 1 || len(r.shelf.stored) != 0 {
			t.Fatalf("%d held by the link, want 1", n)
		}
		r.clock.Advance(time.Second)
	}
	r.clock.WaitTimers(1)
	r.shelf.set(nil)
	r.clock.Advance(5 * time.Second)
	<-r.shelf.stored
	r.finish(t)
	if n := r.pipe.Pending(link.LaneAlert); n != 0 {
		t.Fatalf("%d not acknowledged", n)
	}
	if err, _ := r.Failing(); err != nil {
		t.Fatalf("still failing: %v", err)
	}
	if r.Latency().Count() != 1 || r.Latency().Max() < int64(5*time.Second) {
		t.Fatalf("latency %d, max %d: the wait counts", r.Latency().Count(), r.Latency().Max())
	}
}

func TestStoppedIntakeGetsItsBatchAgain(t *testing.T) {
	r := start(t)
	r.shelf.set(func([]store.Item) error { return store.ErrFull })
	r.send(t, good("a", 1))
	ctx, cancel := context.WithCancel(t.Context())
	r.run(ctx)
	r.clock.WaitTimers(1)
	cancel()
	if err := <-r.done; err != nil {
		t.Fatal(err)
	}
	r.shelf.set(nil)
	r.run(t.Context())
	<-r.shelf.stored
	r.finish(t)
	if len(r.shelf.items) != 1 || r.shelf.items[0].Finding.ID != "a" {
		t.Fatalf("%+v", r.shelf.items)
	}
}

func TestBadEnvelopesAreCountedAndDoNotBlock(t *testing.T) {
	r := start(t)
	bad := [][]byte{nil, []byte("{"), []byte(`{"id":"x"}`), []byte(`{"id":"x","fingerprint":"y","rule":{"id":"z"},"severity":"low","time":-1}`),
		[]byte(`{"id":"x\u0000","fingerprint":"y","rule":{"id":"z"},"severity":"low","time":1}`), []byte(`{"severity":7}`), []byte(strings.Repeat("[", 20000))}
	for _, b := range bad {
		r.send(t, b)
	}
	r.send(t, good("a", 1))
	if err := r.pipe.Send(t.Context(), link.LaneStatus, link.KindStatus, []byte(`{"node":"n","since":0}`)); err != nil { // since never, without a reason
		t.Fatal(err)
	}
	if err := r.pipe.Send(t.Context(), link.LaneEvent, link.Kind(77), nil); err != nil {
		t.Fatal(err)
	}
	r.run(t.Context())
	<-r.shelf.stored
	r.finish(t)
	hop := r.Ledger().Hops()[0]
	if want := (link.Hop{Hop: Hop, In: uint64(len(bad) + 3), Out: 1, Lost: uint64(len(bad) + 2)}); hop != want {
		t.Fatalf("%+v, want %+v", hop, want)
	}
	var loss *event.Loss
	for _, it := range r.shelf.items {
		if it.Loss != nil {
			loss = it.Loss
		}
	}
	if loss == nil || loss.Count != uint64(len(bad)+2) || loss.Reason != "invalid" {
		t.Fatalf("the loss stored is %+v", loss)
	}
	for _, lane := range []link.Lane{link.LaneAlert, link.LaneStatus, link.LaneEvent} {
		if n := r.pipe.Pending(lane); n != 0 {
			t.Errorf("lane %s is wedged with %d", lane, n)
		}
	}
}

func TestWhatTheDatabaseRefusesDoesNotTakeTheRestAlong(t *testing.T) {
	r := start(t)
	r.shelf.set(func(items []store.Item) error {
		for _, it := range items {
			if it.Finding != nil && it.Finding.ID == "poison" {
				return fmt.Errorf("insert: %w", store.ErrRejected)
			}
		}
		return nil
	})
	for _, id := range []string{"a", "poison", "b"} {
		r.send(t, good(id, 1))
	}
	r.run(t.Context())
	<-r.shelf.stored
	<-r.shelf.stored
	r.finish(t)
	if len(r.shelf.items) != 2 || r.pipe.Pending(link.LaneAlert) != 0 {
		t.Fatalf("stored %d, held %d", len(r.shelf.items), r.pipe.Pending(link.LaneAlert))
	}
	if l := r.Ledger().Take(); len(l) != 1 || l[0].Reason != "rejected" || l[0].Count != 1 {
		t.Fatalf("losses %v", l)
	}
}

func TestHistogramQuantilesAreWithinAnEighth(t *testing.T) {
	var h Histogram
	for i := range int64(10000) {
		h.Add(i * 1000)
	}
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 1} {
		want := float64(10000*1000) * q
		if got := float64(h.Quantile(q)); got < want*0.99-1000 || got > want*1.13 {
			t.Errorf("quantile %v is %v, want %v to %v", q, got, want, want*1.125)
		}
	}
	for i := range 8 * 61 {
		if b := bucket(upper(i)); b != i {
			t.Fatalf("bucket %d ends at %d, which lies in %d", i, upper(i), b)
		}
		if i > 0 && bucket(upper(i-1)+1) != i {
			t.Fatalf("bucket %d does not begin after %d", i, upper(i-1))
		}
	}
	h.Add(-5)
	h.Add(1<<63 - 1)
	if h.Max() != 1<<63-1 || h.Count() != 10002 {
		t.Fatal("extremes")
	}
}

func TestLongStatusIsCutAndSaysSo(t *testing.T) {
	s := link.Status{Node: "n", Since: 1, Gaps: make([]link.Gap, link.MaxGaps+10)}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	it, _, err := decode(link.Envelope{Kind: link.KindStatus, Bytes: b})
	if err != nil || len(it.Status.Gaps) != link.MaxGaps || it.Status.Gaps[link.MaxGaps-1].What != "11 more things" {
		t.Fatalf("%d gaps, %v", len(it.Status.Gaps), err)
	}
}

// Neither a rule named in another language nor a finding that somebody made long may
// be refused: that would be a way to go unseen.
func TestNoFindingIsRefusedForItsNamesOrItsLength(t *testing.T) {
	long := strings.Repeat("ü", maxText)
	f := finding.Finding{
		ID: "a", Fingerprint: "1:a", Rule: finding.Rule{ID: "syscall/Zugriff auf Schlüssel 鍵 \x1b", Name: long, Tactics: make([]string, maxWords+1)},
		Severity: finding.Low, Time: 1, Summary: long, Why: make([]finding.Condition, maxWhy+1), Lineage: make([]finding.Process, 2*event.MaxLineage),
		EventIDs: make([]string, maxEvents+1), Losses: make([]event.Loss, maxLosses+1), Event: json.RawMessage("{}"),
	}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	it, _, err := decode(link.Envelope{Kind: link.KindFinding, Bytes: b})
	if err != nil {
		t.Fatal(err)
	}
	got := it.Finding
	if got.Rule.ID != f.Rule.ID || it.Raw != nil || len(got.Summary) > maxText+4 || !utf8.ValidString(got.Summary) || len(got.Why) != maxWhy ||
		len(got.Lineage) != event.MaxLineage+1 || len(got.EventIDs) != maxEvents || len(got.Losses) != maxLosses || len(got.Rule.Tactics) != maxWords {
		t.Errorf("%.300q", fmt.Sprint(got))
	}
}

func TestReportsOfUse(t *testing.T) {
	const head = `"node":"n","container":"c","workload":"w"`
	for _, tc := range []struct{ in, why string }{
		{`{` + head + `,"since":1,"until":2,"full":true,"loads":[{"path":"bin/sh","first":1,"last":2,"changed":true}]}`, ""},
		{`{` + head + `,"since":0,"until":2,"notWatched":"lost"}`, ""},
		{`{` + head + `,"since":0,"until":2}`, "since never"},
		{`{` + head + `,"since":3,"until":2}`, "watched from 3 until 2"},
		{`{` + head + `,"since":-1,"until":2}`, "watched from -1"},
		{`{"node":"n","workload":"w","since":1,"until":2}`, "names a container of 0 bytes"},
		{`{"container":"c","workload":"w","since":1,"until":2}`, "node name"},
		{`{` + head + `,"since":1,"until":2,"loads":[{"path":"/bin/sh","first":1,"last":2}]}`, "leading slash"},
		{`{` + head + `,"since":1,"until":2,"loads":[{"path":"","first":1,"last":2}]}`, "leading slash"},
		{`{` + head + `,"since":1,"until":2,"loads":[{"path":"a","first":0,"last":2}]}`, "loaded from 0"},
		{`{` + head + `,"since":1,"until":2,"loads":[{"path":"a","first":3,"last":2}]}`, "loaded from 3"},
		{`{` + head + `,"since":1,"until":2,"image":"` + strings.Repeat("i", maxUseName+1) + `"}`, "a name of 1025 bytes"},
		{`{` + head + `,"since":1,"until":2,"rootfs":"` + strings.Repeat("i", maxUsePath+1) + `"}`, "a text of 4097 bytes"},
		{`{` + head + `,"since":1,"until":2,"loads":[` + strings.Repeat(`{"path":"a","first":1,"last":2},`, inuse.MaxPaths) + `{"path":"a","first":1,"last":2}]}`, "8193 files"},
		{`{` + head + `,"since":"x"}`, "use:"},
	} {
		it, _, err := decode(link.Envelope{Kind: link.KindUse, Lane: link.LaneEvent, Seq: 7, Bytes: []byte(tc.in)})
		if tc.why == "" {
			if err != nil || it.Use == nil || it.Use.Container != "c" || it.Lane != link.LaneEvent || it.Seq != 7 {
				t.Errorf("%.200s: %+v, %v", tc.in, it, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tc.why) || it.Use != nil {
			t.Errorf("%.200s: %v, want an error with %q", tc.in, err, tc.why)
		}
	}
}

// Whatever the tracker says, decode takes.
func TestDecodeTakesWhatATrackerSays(t *testing.T) {
	tr := inuse.New(inuse.Options{Node: "n"})
	tr.Begin(1, nil)
	c := &event.Container{ID: strings.Repeat("c", 200), Image: strings.Repeat("\xff", 9000), Name: strings.Repeat("ü", 5000), Rootfs: strings.Repeat("\x01", 9000), Unknown: strings.Repeat("ü", 9000)}
	for i := range 3000 {
		p := &event.Process{PID: 1, Start: 1, Container: c, ExePath: "/" + strings.Repeat("\x02\xfe", i%2048) + fmt.Sprint(i)}
		tr.Observe(&event.Event{Type: event.TypeExecve, Time: 5, Container: c, Process: p})
	}
	tr.Loss(event.Loss{Hop: "sensor.kernel", Reason: "ring_full", Lane: event.LaneLoad, Count: 1, To: 9})
	reports := append(tr.Due(7), tr.Due(10*inuse.FullEvery)...)
	for _, r := range reports {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := decode(link.Envelope{Kind: link.KindUse, Bytes: b}); err != nil {
			t.Errorf("%.300v", err)
		}
	}
	if len(reports) < 10 {
		t.Errorf("%d reports", len(reports))
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(uint8(link.KindFinding), good("a", 1))
	f.Add(uint8(link.KindLoss), []byte(`{"hop":"a","reason":"b","count":1}`))
	f.Add(uint8(link.KindStatus), []byte(`{"node":"a","since":1,"gaps":[{"what":"x"}]}`))
	f.Add(uint8(link.KindRules), []byte(`{"node":"a","rules":[{"id":"x"}]}`))
	f.Add(uint8(link.KindUse), []byte(`{"node":"a","container":"c","workload":"w","since":1,"until":2,"loads":[{"path":"bin/sh","first":1,"last":2}]}`))
	f.Add(uint8(link.KindInventory), []byte(`{"cluster":"prod","time":1,"generation":1,"done":true,"put":[{"workload":{"key":"a/Pod/x","images":[{"container":"c","image":"i"}]}}],"gone":[{"kind":"node","key":"n"}]}`))
	f.Add(uint8(link.KindHabits), []byte(`{"cluster":"prod","time":1,"list":[{"identity":"user:a","verb":"get","count":1,"first":1,"last":2}]}`))
	f.Add(uint8(link.KindAudit), auditOf(f, "prod", ""))
	f.Add(uint8(link.KindUsage), []byte(`{"cluster":"prod","time":7200000000000,"list":[{"hour":3600000000000,"namespace":"a","requested":1,"charged":1,"samples":60}]}`))
	f.Add(uint8(link.KindCanary), []byte(`{"cluster":"prod","time":9,"list":[{"kind":"exec","node":"n","sent":5,"seen":6}]}`))
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		it, _, err := decode(link.Envelope{Kind: link.Kind(kind), Bytes: b})
		some := it.Finding != nil || it.Loss != nil || it.Status != nil || it.Rules != nil || it.Use != nil || it.Inventory != nil || it.Habits != nil || it.Audit != nil ||
			it.Usage != nil || it.Canaries != nil || it.CameBack != nil || link.Kind(kind) == link.KindKubelet && err == nil
		if some != (err == nil) {
			t.Fatalf("error %v, item %+v", err, it)
		}
	})
}
