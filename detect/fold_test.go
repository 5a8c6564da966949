package detect

import (
	"fmt"
	"testing"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/rule"
)

func oneRule(t testing.TB) *rule.Rules {
	t.Helper()
	src, diags := rule.Load([]rule.File{{Name: "t.yaml", Data: []byte(`
- rule: Opened
  desc: any open
  condition: evt.type = openat
  output: opened %fd.name
  priority: NOTICE
`)}}, rule.LoadOptions{})
	set, more := rule.Compile(src, rule.CompileOptions{})
	for _, d := range append(diags, more...) {
		t.Fatal(d)
	}
	return set
}

func opened(seq uint64, at int64, path string) *event.Event {
	return &event.Event{
		ID: event.ID{Node: 1, Boot: 1, Lane: event.LaneActivity, Seq: seq}, Type: event.TypeOpenat, Time: at, Boot: at, FD: 3, FDKind: event.FDFile,
		Path: path, Raw: path, Flags: event.FlagHasFD | event.FlagHasRet, Process: &event.Process{PID: 9, Comm: "cat", ExePath: "/bin/cat"},
	}
}

// TestAFloodIsCountedWholeAndToldInFew holds both halves: no match is lost from the
// count, and a burst costs a bounded number of findings.
func TestAFloodIsCountedWholeAndToldInFew(t *testing.T) {
	e := New(Options{Rules: oneRule(t), Node: "n"})
	var got []*finding.Finding
	keep := func(f *finding.Finding) { got = append(got, f) }
	const n = 5000
	for i := range int64(n) {
		e.Observe(opened(uint64(i+1), 1e18+i*1e6, "/data/x"), keep) // 5 s
	}
	if len(got) != burstWhole {
		t.Fatalf("within the window %d findings passed, want %d", len(got), burstWhole)
	}
	e.Observe(opened(n+1, 1e18+20e9, "/data/x"), keep) // a new burst ends the old one
	e.Flush(keep)
	var stands uint64
	ids := map[string]bool{}
	for _, f := range got {
		stands += 1 + f.Repeats
		ids[f.ID] = true
	}
	if stands != n+1 {
		t.Errorf("the findings stand for %d matches, want %d", stands, n+1)
	}
	if len(got) != burstWhole+2 || len(ids) != len(got) {
		t.Errorf("%d findings with %d ids, want %d of each", len(got), len(ids), burstWhole+2)
	}
	if c := e.Counts(); c.Findings+c.Folded != n+1 {
		t.Errorf("counts say %d told and %d folded, want %d together", c.Findings, c.Folded, n+1)
	}
}

// TestOneFloodDoesNotFoldAnother keeps a quiet alert whole beside a loud one.
func TestOneFloodDoesNotFoldAnother(t *testing.T) {
	e := New(Options{Rules: oneRule(t), Node: "n"})
	other := 0
	for i := range int64(1000) {
		e.Observe(opened(uint64(i+1), 1e18+i, "/data/loud"), func(*finding.Finding) {})
		if i%100 == 0 {
			e.Observe(opened(uint64(10000+i), 1e18+i, "/data/quiet"), func(*finding.Finding) { other++ })
		}
	}
	if other != 10 {
		t.Errorf("the quiet object gave %d findings, want 10", other)
	}
}

// TestNamesThatAnAttackerChoosesDoNotDefeatFolding spreads a flood over ever new
// objects of one container: it stays few findings, and whole in the count.
func TestNamesThatAnAttackerChoosesDoNotDefeatFolding(t *testing.T) {
	e := New(Options{Rules: oneRule(t), Node: "n"})
	told, stands := 0, uint64(0)
	keep := func(f *finding.Finding) { told++; stands += 1 + f.Repeats }
	const n = 30000
	for i := range int64(n) {
		e.Observe(opened(uint64(i+1), 1e18+i*1e5, fmt.Sprintf("/data/%c%c%c%c", 'a'+i%26, 'a'+i/26%26, 'a'+i/676%26, 'a'+i/17576)), keep)
	}
	if told > spreadWhole {
		t.Errorf("%d findings passed in one window, want at most %d", told, spreadWhole)
	}
	if len(e.folds.by) > maxBursts {
		t.Errorf("%d bursts are held, the bound is %d", len(e.folds.by), maxBursts)
	}
	e.Flush(keep)
	if stands != n {
		t.Errorf("the findings stand for %d matches, want %d", stands, n)
	}
	other := opened(1, 1e18+31e9, "/data/q")
	other.Container = &event.Container{ID: "another"}
	before := told
	e.Observe(other, keep)
	if told != before+1 {
		t.Error("another container's match was folded into the flood")
	}
}

// TestLossesMarkTheMinuteAfter says in a finding that the picture may be incomplete.
func TestLossesMarkTheMinuteAfter(t *testing.T) {
	e := New(Options{Rules: oneRule(t), Node: "n"})
	at := int64(1e18)
	e.ObserveLoss(event.Loss{Hop: "sensor.ring", Reason: "ring_full", Count: 7, From: at - 1e9, To: at})
	for _, c := range []struct {
		at   int64
		want int
	}{{at + 1e9, 1}, {at + 61e9, 0}, {at - 2e9, 0}} {
		e.Observe(opened(1, c.at, "/x"), func(f *finding.Finding) {
			if len(f.Losses) != c.want {
				t.Errorf("%d s after the loss the finding names %d losses, want %d", (c.at-at)/1e9, len(f.Losses), c.want)
			}
		})
	}
}

func BenchmarkFlood(b *testing.B) {
	e := New(Options{Rules: oneRule(b), Node: "n"})
	ev := opened(1, 1e18, "/data/x")
	b.ReportAllocs()
	for i := range b.N {
		ev.Time = 1e18 + int64(i)
		e.Observe(ev, func(*finding.Finding) {})
	}
}

// TestTheSeverestRuleIsReported holds that a mild rule never stands in the place of
// a grave one, and that ties go by load order.
func TestTheSeverestRuleIsReported(t *testing.T) {
	src, diags := rule.Load([]rule.File{{Name: "t.yaml", Data: []byte(`
- rule: Mild
  desc: x
  condition: evt.type = openat
  output: x
  priority: NOTICE
- rule: Grave
  desc: x
  condition: evt.type = openat and fd.name = /a
  output: x
  priority: CRITICAL
- rule: Also grave
  desc: x
  condition: evt.type = openat and fd.name = /a
  output: x
  priority: CRITICAL
`)}}, rule.LoadOptions{})
	set, more := rule.Compile(src, rule.CompileOptions{})
	for _, d := range append(diags, more...) {
		t.Fatal(d)
	}
	for which, want := range map[Which]string{Severest: "[Grave] [Mild]", First: "[Mild] [Mild]", All: "[Mild Grave Also grave] [Mild]"} {
		e := New(Options{Rules: set, Which: which})
		var a, b []string
		e.Observe(opened(1, 1e18, "/a"), func(f *finding.Finding) { a = append(a, f.Rule.Name) })
		e.Observe(opened(2, 1e18, "/b"), func(f *finding.Finding) { b = append(b, f.Rule.Name) })
		if got := fmt.Sprint(a, " ", b); got != want {
			t.Errorf("%v reports %s, want %s", which, got, want)
		}
	}
}

// TestRulesThatTakeOverKnowWhatWasLost holds that a change of rules hides no loss and
// begins no count anew.
func TestRulesThatTakeOverKnowWhatWasLost(t *testing.T) {
	e := New(Options{Rules: oneRule(t), Node: "n"})
	at := int64(1e18)
	e.Observe(opened(1, at, "/x"), func(*finding.Finding) {})
	e.ObserveLoss(event.Loss{Hop: "sensor.ring", Reason: "ring_full", Count: 7, From: at, To: at})
	e.Flush(func(*finding.Finding) {})
	e = e.Next(oneRule(t))
	var got []*finding.Finding
	e.Observe(opened(2, at+1e9, "/x"), func(f *finding.Finding) { got = append(got, f) })
	if len(got) != 1 || len(got[0].Losses) != 1 || got[0].Subject.Node != "n" || e.Counts().Events != 2 || e.Counts().Findings != 2 {
		t.Errorf("%+v, counts %+v", got, e.Counts())
	}
}
