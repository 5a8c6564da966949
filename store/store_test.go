package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/query"
)

// This file is the conformance suite: what any database behind DB must do.

// fixture is a store with a clock moved by hand.
type fixture struct {
	*DB
	now atomic.Int64
}

const hour = int64(time.Hour)

func open(t *testing.T, opt Options) *fixture {
	t.Helper()
	f := &fixture{}
	f.now.Store(1_000_000 * hour)
	if opt.Path == "" {
		opt.Path = filepath.Join(t.TempDir(), "test.db")
	}
	opt.Now = f.now.Load
	db, err := Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	f.DB = db
	t.Cleanup(func() {
		if err := db.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return f
}

func sample(rule, workload string, n int, at int64, s finding.Severity) *finding.Finding {
	return &finding.Finding{
		ID: finding.ID(rule, workload, fmt.Sprint(n)), Fingerprint: finding.Fingerprint(rule, workload, "/bin/sh", ""),
		Rule:     finding.Rule{ID: rule, Name: "Rule " + rule, Tactics: []string{"Execution"}, Techniques: []string{"T1059"}},
		Severity: s, Time: at, Summary: fmt.Sprintf("%s in %s, time %d", rule, workload, n),
		Subject: finding.Subject{Node: "n1", Workload: workload, Process: "sh", Executable: "/bin/sh", User: "root"},
		Lineage: []finding.Process{{PID: 1, Name: "sh", Cmdline: "sh -c " + fmt.Sprint(n)}}, Event: json.RawMessage(`{}`),
	}
}

func (f *fixture) put(t *testing.T, fs ...*finding.Finding) Ingested {
	t.Helper()
	var items []Item
	for _, x := range fs {
		items = append(items, Item{Finding: x})
	}
	got, err := f.Ingest(t.Context(), items)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (f *fixture) list(t *testing.T, filter, order string) []string {
	t.Helper()
	q, err := query.Parse(AlertFields(), filter)
	if err != nil {
		t.Fatal(err)
	}
	page, err := f.Alerts(t.Context(), AlertQuery{Filter: q, Order: order, Limit: MaxPage})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, a := range page.Alerts {
		out = append(out, a.Latest.Rule.ID+"/"+a.Latest.Subject.Workload)
	}
	if int64(len(out)) != page.Total {
		t.Fatalf("%d rows, total %d", len(out), page.Total)
	}
	return out
}

func TestRedeliveryCountsOnce(t *testing.T) {
	f := open(t, Options{})
	a, b := sample("r", "web", 1, 10, finding.Low), sample("r", "web", 2, 20, finding.High)
	if got := f.put(t, a, b, a); len(got.Inserted) != 2 || got.Duplicate != 1 || got.Created != 1 {
		t.Fatalf("%+v", got)
	}
	if got := f.put(t, b, a); len(got.Inserted) != 0 || got.Duplicate != 2 {
		t.Fatalf("again: %+v", got)
	}
	d, err := f.Alert(t.Context(), finding.AlertID(a.Fingerprint))
	if err != nil {
		t.Fatal(err)
	}
	if d.Count != 2 || d.Severity != finding.High || d.FirstSeen != 10 || d.LastSeen != 20 || d.Latest.ID != b.ID || d.Latest.Lineage[0].Cmdline != "sh -c 2" {
		t.Fatalf("%+v", d.Alert)
	}

	// Over a link an envelope is known by its place, whatever it holds.
	loss := Item{Origin: "n", Epoch: 5, Lane: link.LaneLoss, Seq: 1, Loss: &event.Loss{Hop: "h", Reason: "r", Count: 4}}
	for range 3 {
		if _, err := f.Ingest(t.Context(), []Item{loss}); err != nil {
			t.Fatal(err)
		}
	}
	if l, err := f.Losses(t.Context(), f.now.Load()); err != nil || len(l) != 1 || l[0].Count != 4 {
		t.Fatalf("losses %v %v", l, err)
	}
	loss.Epoch = 6 // a new life of the sender starts at 1 again
	if _, err := f.Ingest(t.Context(), []Item{loss}); err != nil {
		t.Fatal(err)
	}
	if l, err := f.Losses(t.Context(), f.now.Load()); err != nil || l[0].Count != 8 {
		t.Fatalf("losses %v %v", l, err)
	}
}

// TestAnEarlierLifeOfASender is what a cluster agent may still hold of a node that has
// begun anew: what happened is counted, once, and how things are is not as it was.
func TestAnEarlierLifeOfASender(t *testing.T) {
	f := open(t, Options{})
	ingest := func(items ...Item) Ingested {
		t.Helper()
		got, err := f.Ingest(t.Context(), items)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	loss := func(epoch, seq uint64) Item {
		return Item{Origin: "node/c/n", Epoch: epoch, Lane: link.LaneLoss, Seq: seq, Loss: &event.Loss{Hop: "h", Reason: "r", Count: 1}}
	}
	status := func(epoch, seq uint64, kernel string) Item {
		return Item{Origin: "node/c/n", Epoch: epoch, Lane: link.LaneStatus, Seq: seq, Status: &link.Status{Node: "n", Kernel: kernel, Since: 1, Time: int64(seq)}}
	}
	rules := func(epoch, seq uint64, hash string) Item {
		return Item{Origin: "node/c/n", Epoch: epoch, Lane: link.LaneStatus, Seq: seq, Rules: &link.RuleSet{Node: "n", Hash: hash}}
	}
	ingest(loss(5, 1), loss(5, 2), status(5, 1, "old"))
	ingest(loss(7, 1), status(7, 1, "new"), rules(7, 2, "new"))
	for range 3 { // an agent that never hears the acknowledgement
		ingest(loss(5, 2), loss(5, 3), status(5, 2, "old"), rules(5, 3, "old"), loss(7, 1))
	}
	// Both lives in one batch, the older one after: as a relay's lanes may bring them.
	ingest(status(9, 1, "newest"), status(8, 1, "between"), loss(9, 1), loss(8, 1))
	ingest(loss(8, 1), loss(9, 1))
	if l, err := f.Losses(t.Context(), f.now.Load()); err != nil || len(l) != 1 || l[0].Count != 6 {
		t.Errorf("losses %+v %v, want 6 counted", l, err)
	}
	nodes, err := f.Nodes(t.Context())
	if err != nil || len(nodes) != 1 || nodes[0].Kernel != "newest" {
		t.Errorf("%+v %v", nodes, err)
	}
	sets, err := f.RuleSets(t.Context())
	if err != nil || len(sets) != 1 || sets[0].Hash != "new" {
		t.Errorf("%+v %v", sets, err)
	}
	for epoch := range uint64(100) { // a sender that begins anew all the time, or says so
		ingest(loss(100+epoch, 1))
	}
	var n int
	if err := f.read.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM received WHERE lane = ?", int64(link.LaneLoss)).Scan(&n); err != nil || n != maxEpochs {
		t.Errorf("%d lives are kept, want %d: %v", n, maxEpochs, err)
	}
}

func TestStateSurvivesReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dir", "x.db")
	f := open(t, Options{Path: path})
	f.put(t, sample("r", "web", 1, 10, finding.Low))
	seq := f.Seq()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Ingest(t.Context(), nil); !errors.Is(err, ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
	g := open(t, Options{Path: path})
	if got := g.list(t, "", ""); len(got) != 1 || g.Seq() != seq {
		t.Fatalf("%v, seq %d want %d", got, g.Seq(), seq)
	}
	if got := g.put(t, sample("r", "web", 1, 10, finding.Low)); got.Duplicate != 1 {
		t.Fatalf("%+v", got)
	}
}

func TestListFiltersOrdersAndPages(t *testing.T) {
	f := open(t, Options{})
	for i := range 10 {
		f.put(t, sample("a", fmt.Sprint("w", i), 1, int64(100+i), finding.Severity(1+i%5)))
	}
	f.put(t, sample("b", "pay_ments%", 1, 50, finding.Critical))
	for filter, want := range map[string]int{"": 11, "rule:a": 10, "-rule:a": 1, "severity:>=high": 5, "workload:w1,w2": 2, `workload:"pay_ments%"`: 1,
		"workload:*_*": 1, "tactic:execution": 11, "technique:T1059 rule:b": 1, "ments": 1, "status:open": 11, "status:dismissed": 0, "count:>1": 0, "in-container:no": 11, `assignee:""`: 11} {
		if got := f.list(t, filter, ""); len(got) != want {
			t.Errorf("%s: %d rows %v, want %d", filter, len(got), got, want)
		}
	}
	for _, order := range []string{"", "last_seen", "-last_seen", "severity", "-severity", "count", "first_seen", "-first_seen"} {
		whole := f.list(t, "", order)
		var paged []string
		cursor := ""
		for {
			page, err := f.Alerts(t.Context(), AlertQuery{Order: order, Limit: 3, Cursor: cursor})
			if err != nil {
				t.Fatal(err)
			}
			if page.Total != 11 || page.TotalAll != 11 {
				t.Fatalf("totals %d of %d", page.Total, page.TotalAll)
			}
			for _, a := range page.Alerts {
				paged = append(paged, a.Latest.Rule.ID+"/"+a.Latest.Subject.Workload)
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if !slices.Equal(paged, whole) {
			t.Errorf("order %q: pages %v, whole %v", order, paged, whole)
		}
	}
	if got := f.list(t, "", ""); got[0] != "a/w9" || got[10] != "b/pay_ments%" {
		t.Errorf("newest first: %v", got)
	}
	if got := f.list(t, "", "severity"); got[0] != "a/w4" && got[0] != "a/w9" && got[0] != "b/pay_ments%" {
		t.Errorf("worst first: %v", got)
	}
	for _, q := range []AlertQuery{{Cursor: "x"}, {Cursor: cursor("occurrences a", 1, "x")}, {Order: "colour"}, {Limit: 501}, {Limit: -1}} {
		if _, err := f.Alerts(t.Context(), q); !errors.Is(err, ErrCursor) && !errors.Is(err, ErrOrder) && !errors.Is(err, ErrLimit) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func TestStatusMovesWithHistoryAllOrNone(t *testing.T) {
	f := open(t, Options{})
	a, b := sample("r", "a", 1, 10, finding.Low), sample("r", "b", 1, 11, finding.Low)
	f.put(t, a, b)
	ids := []string{finding.AlertID(a.Fingerprint), finding.AlertID(b.Fingerprint)}
	list, err := f.SetStatus(t.Context(), ids, finding.Resolved, "ann", "patched")
	if err != nil || len(list) != 2 || list[1].Status != finding.Resolved {
		t.Fatalf("%v %v", list, err)
	}
	if _, err := f.SetStatus(t.Context(), ids, finding.Acknowledged, "ann", ""); !errors.Is(err, finding.ErrTransition) {
		t.Fatalf("closed to acknowledged: %v", err)
	}
	if _, err := f.SetStatus(t.Context(), []string{ids[0], "nosuch"}, finding.Open, "ann", ""); !errors.Is(err, ErrNotFound) {
		t.Fatalf("unknown id: %v", err)
	}
	if got := f.list(t, "status:resolved", ""); len(got) != 2 {
		t.Fatalf("half a move was stored: %v", got)
	}
	if got := f.put(t, sample("r", "a", 2, 12, finding.Low)); got.Reopened != 1 {
		t.Fatalf("%+v", got)
	}
	d, err := f.Alert(t.Context(), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	if len(d.History) != 2 || d.History[0].Who != "ann" || d.History[0].Why != "patched" || d.History[1].To != finding.Open || d.Status != finding.Open {
		t.Fatalf("%+v", d.History)
	}
	for i := range maxHistory + 20 {
		if _, err := f.SetStatus(t.Context(), ids[:1], []finding.Status{finding.Resolved, finding.Open}[i%2], "ann", ""); err != nil {
			t.Fatal(err)
		}
	}
	if d, err := f.Alert(t.Context(), ids[0]); err != nil || len(d.History) != maxHistory {
		t.Fatalf("%d lines of history, %v", len(d.History), err)
	}
	if _, err := f.SetStatus(t.Context(), nil, finding.Open, "", ""); !errors.Is(err, ErrLimit) {
		t.Fatalf("no ids: %v", err)
	}
}

func TestChangesAreToldOnceAndForgottenInOrder(t *testing.T) {
	f := open(t, Options{MaxChanges: 5})
	changed := f.Changed()
	f.put(t, sample("r", "a", 1, 10, finding.Low), sample("r", "a", 2, 11, finding.Low))
	select {
	case <-changed:
	default:
		t.Fatal("the commit woke nobody")
	}
	list, reset, err := f.Changes(t.Context(), 0, 100)
	if err != nil || reset || len(list) != 1 || list[0].Kind != ChangeAlert {
		t.Fatalf("%v %v %v: two findings of one alert in one batch are one change", list, reset, err)
	}
	for i := range 10 {
		f.put(t, sample("r", "a", 3+i, 12, finding.Low))
	}
	if _, reset, err := f.Changes(t.Context(), 1, 100); err != nil || !reset {
		t.Fatalf("reset %v, %v: change 2 is forgotten", reset, err)
	}
	list, reset, err = f.Changes(t.Context(), f.Seq()-3, 2)
	if err != nil || reset || len(list) != 2 || list[0].Seq != f.Seq()-2 {
		t.Fatalf("%v %v %v", list, reset, err)
	}
	if _, reset, err := f.Changes(t.Context(), f.Seq()+1, 2); err != nil || !reset {
		t.Fatalf("reset %v, %v: a number this database never gave", reset, err)
	}
	page, err := f.Alerts(t.Context(), AlertQuery{})
	if err != nil || page.Alerts[0].ChangeSeq != f.Seq() || page.Seq != f.Seq() {
		t.Fatalf("%+v %v", page, err)
	}
}

func TestWatchedStretches(t *testing.T) {
	f := open(t, Options{})
	say := func(s link.Status) {
		t.Helper()
		s.Node, s.Mode = "n1", link.ModeLive
		if _, err := f.Ingest(t.Context(), []Item{{Status: &s}}); err != nil {
			t.Fatal(err)
		}
	}
	say(link.Status{Since: 100, Time: 110})
	seq := f.Seq()
	say(link.Status{Since: 100, Time: 120, Events: 5})
	if f.Seq() != seq {
		t.Error("being still alive is not a change")
	}
	say(link.Status{NotAssessed: "no BTF", Time: 130})
	say(link.Status{Since: 140, Time: 150})
	say(link.Status{Since: 160, Time: 170}) // restarted
	if err := f.Silent(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	got, err := f.Watched(t.Context(), 0, 1000)
	want := []Stretch{{"n1", 100, 120, "no BTF"}, {"n1", 140, 150, "watching began anew"}, {"n1", 160, 170, "the node stopped reporting"}}
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("%+v %v", got, err)
	}
	say(link.Status{Since: 160, Time: 180}) // it was only slow
	if got, err := f.Watched(t.Context(), 175, 1000); err != nil || len(got) != 1 || got[0].Ended != "" || got[0].Until != 180 {
		t.Fatalf("%+v %v", got, err)
	}
	nodes, err := f.Nodes(t.Context())
	if err != nil || len(nodes) != 1 || nodes[0].Since != 160 || nodes[0].ReceivedAt != f.now.Load() {
		t.Fatalf("%+v %v", nodes, err)
	}
}

func TestRulesBeforeStatus(t *testing.T) {
	f := open(t, Options{})
	if _, err := f.Ingest(t.Context(), []Item{{Rules: &link.RuleSet{Node: "n1", Rules: []link.Rule{{ID: "a"}}}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Ingest(t.Context(), []Item{{Status: &link.Status{Node: "n1", Since: 5, Time: 6}}}); err != nil {
		t.Fatal(err)
	}
	sets, err := f.RuleSets(t.Context())
	if err != nil || len(sets) != 1 || sets[0].Rules[0].ID != "a" {
		t.Fatalf("%+v %v", sets, err)
	}
}

func TestLossesOfADayByHopAndReason(t *testing.T) {
	f := open(t, Options{})
	add := func(hop string, n uint64) {
		t.Helper()
		if _, err := f.Ingest(t.Context(), []Item{{Loss: &event.Loss{Hop: hop, Reason: "full", Lane: event.LaneProcess, Count: n, From: int64(n), To: int64(n)}}}); err != nil {
			t.Fatal(err)
		}
	}
	add("old", 1)
	f.now.Add(30 * hour)
	add("ring", 2)
	f.now.Add(2 * hour)
	add("ring", 3)
	got, err := f.Losses(t.Context(), f.now.Load())
	if err != nil || !slices.Equal(got, []Loss{{"ring", "full", "process", 5, 2, 3}}) {
		t.Fatalf("%+v %v", got, err)
	}
	var flood []Item
	for i := range maxLossRows + 50 {
		flood = append(flood, Item{Loss: &event.Loss{Hop: fmt.Sprint("h", i), Reason: "full", Count: 1}})
	}
	if _, err := f.Ingest(t.Context(), flood); err != nil {
		t.Fatal(err)
	}
	rows := 0
	if err := f.read.QueryRow("SELECT COUNT(*) FROM losses").Scan(&rows); err != nil || rows > maxLossRows+10 {
		t.Fatalf("%d rows, %v", rows, err)
	}
}

func TestEveryTableIsBounded(t *testing.T) {
	f := open(t, Options{MaxAlerts: 4, MaxOccurrences: 8, MaxFindings: 3, Keep: 24 * time.Hour})
	now := f.now.Load()
	for i := range 64 {
		f.put(t, sample("r", "a", i, now-int64(i), finding.High)) // older and older
	}
	id := finding.AlertID(finding.Fingerprint("r", "a", "/bin/sh", ""))
	rows, _, err := f.Occurrences(t.Context(), id, MaxPage, "")
	if err != nil || len(rows) > 8+pruneEvery {
		t.Fatalf("%d occurrences kept, %v", len(rows), err)
	}
	d, err := f.Alert(t.Context(), id)
	if err != nil || d.Count != 64 || d.Latest.Time != now || len(d.Latest.Lineage) != 1 {
		t.Fatalf("count %d, latest %d, %v", d.Count, d.Latest.Time, err)
	}
	for i := range 7 {
		f.put(t, sample("r", fmt.Sprint("w", i), 1, now+int64(i), finding.Severity(1+i%3)))
	}
	if _, err := f.SetStatus(t.Context(), []string{id}, finding.Resolved, "ann", ""); err != nil {
		t.Fatal(err)
	}
	f.now.Add(48 * hour)
	p, err := f.Prune(t.Context())
	if err != nil || p.Alerts != 4 || p.Occurrences == 0 {
		t.Fatalf("%+v %v", p, err)
	}
	// The closed one first although it is the worst, then the least severe.
	if got := f.list(t, "", "-severity"); len(got) != 4 || slices.Contains(got, "r/a") || !slices.Contains(got, "r/w5") {
		t.Fatalf("%v", got)
	}
	if l, err := f.Losses(t.Context(), f.now.Load()); err != nil || len(l) != 1 || l[0].Hop != "store.alerts" || l[0].Count != 4 {
		t.Fatalf("%v %v", l, err)
	}
	for _, a := range f.list(t, "", "") {
		w := a[2:]
		if d, err := f.Alert(t.Context(), finding.AlertID(finding.Fingerprint("r", w, "/bin/sh", ""))); err != nil || len(d.Latest.Lineage) != 1 {
			t.Fatalf("%s lost its newest finding: %v", a, err)
		}
	}
}

func TestCredentialsWorkUntilTakenOrExpired(t *testing.T) {
	f := open(t, Options{})
	ctx := t.Context()
	h := func(s string) []byte { return []byte(s) }
	add := func(s, kind string, expires int64) {
		t.Helper()
		if err := f.AddCredential(ctx, Credential{Hash: h(s), Kind: kind, Label: "op", Created: f.now.Load(), Expires: expires}); err != nil {
			t.Fatal(err)
		}
	}
	add("a", "code", f.now.Load()+10)
	add("t", "token", 0)
	if _, err := f.Credential(ctx, "session", h("a")); !errors.Is(err, ErrNotFound) {
		t.Fatalf("a code passed for a session: %v", err)
	}
	if c, err := f.TakeCredential(ctx, "code", h("a")); err != nil || c.Label != "op" {
		t.Fatalf("%v %v", c, err)
	}
	if _, err := f.TakeCredential(ctx, "code", h("a")); !errors.Is(err, ErrNotFound) {
		t.Fatalf("taken twice: %v", err)
	}
	add("b", "code", f.now.Load()+10)
	f.now.Add(10)
	if _, err := f.TakeCredential(ctx, "code", h("b")); !errors.Is(err, ErrNotFound) {
		t.Fatalf("expired: %v", err)
	}
	f.now.Add(1e6 * hour)
	if _, err := f.Credential(ctx, "token", h("t")); err != nil {
		t.Fatal(err)
	}
	if err := f.DropCredential(ctx, h("t")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Credential(ctx, "token", h("t")); !errors.Is(err, ErrNotFound) {
		t.Fatalf("dropped: %v", err)
	}
}

// What comes from containers may hold anything.
func TestHostileText(t *testing.T) {
	f := open(t, Options{})
	x := sample("r", "a\x00b\xff'; DROP TABLE alerts;--", 1, 10, finding.Low)
	x.Rule.Tactics = []string{"\x00\xff", `"]`}
	x.Subject.Process = "sh\x00"
	f.put(t, x)
	page, err := f.Alerts(t.Context(), AlertQuery{})
	if err != nil || len(page.Alerts) != 1 || page.Alerts[0].Latest.Rule.Tactics[1] != `"]` {
		t.Fatalf("%+v %v", page, err)
	}
	if got := f.list(t, `"DROP TABLE"`, ""); len(got) != 1 {
		t.Fatalf("%v", got)
	}
}

func TestManyWritersShareTransactions(t *testing.T) {
	f := open(t, Options{})
	done := make(chan error)
	for i := range 50 {
		go func() {
			_, err := f.Ingest(context.Background(), []Item{{Finding: sample("r", "a", i%10, int64(i%10), finding.Low)}})
			done <- err
		}()
	}
	for range 50 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	page, err := f.Alerts(t.Context(), AlertQuery{})
	if err != nil || page.Alerts[0].Count != 10 {
		t.Fatalf("%+v %v", page, err)
	}
}
