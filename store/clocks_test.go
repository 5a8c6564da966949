package store

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inuse"
	"github.com/dockreeve/dockreeve/query"
	"github.com/dockreeve/dockreeve/scan"
)

const minute = int64(time.Minute)

// rollout runs an image in a container of a workload.
func (f *fixture) rollout(t *testing.T, container, workload string, image int, ended bool) {
	t.Helper()
	at := f.now.Load()
	f.use(t, inuse.Report{Node: "n1", Container: container, Workload: workload, Image: "r.example/x", Digest: digest(image), Started: at, Since: at, Until: at, Ended: ended})
}

func (f *fixture) pass(t *testing.T, minutes int64) {
	t.Helper()
	f.now.Add(minutes * minute)
	f.settle(t)
}

func (f *fixture) remediation(t *testing.T) Remediation {
	t.Helper()
	rows, err := f.Remediation(t.Context(), query.Query{}, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) == 0 {
		return Remediation{}
	}
	return rows[0]
}

func TestClockRunsUntilNothingThatRunsHasIt(t *testing.T) {
	f := open(t, Options{})
	bad := func(n int) {
		f.putImage(t, imageOf(n, "r.example/x:1", []scan.Package{lib("openssl", "1")}, cve("CVE-1", 0, finding.Critical, "2")))
	}
	bad(1)
	bad(2)
	f.putImage(t, imageOf(3, "r.example/x:1", []scan.Package{lib("openssl", "2")}))

	f.rollout(t, "a", "web", 1, false)
	if r := f.remediation(t); r.Open != 1 || r.OpenMax != 0 || r.Severity != finding.Critical {
		t.Fatalf("started: %+v", r)
	}
	f.pass(t, 60)
	f.rollout(t, "b", "web", 2, false) // a rebuild that still has it, under the same tag
	f.rollout(t, "a", "web", 1, true)
	f.pass(t, 60)
	if r := f.remediation(t); r.Open != 1 || r.OpenMax != 120*minute || r.Closed+r.Gone != 0 {
		t.Fatalf("a rebuild that still has it stops nothing: %+v", r)
	}
	f.rollout(t, "b", "web", 2, true)
	f.pass(t, 5)
	f.rollout(t, "c", "web", 2, false) // a restart
	f.pass(t, 55)
	if r := f.remediation(t); r.Open != 1 || r.OpenMax != 180*minute {
		t.Fatalf("a restart stops nothing: %+v", r)
	}
	f.rollout(t, "d", "web", 3, false)
	f.pass(t, 30) // both run
	if r := f.remediation(t); r.Open != 1 {
		t.Fatalf("one instance still has it: %+v", r)
	}
	f.rollout(t, "c", "web", 2, true)
	f.pass(t, 9)
	if r := f.remediation(t); r.Open != 1 {
		t.Fatalf("too soon to tell: %+v", r)
	}
	f.pass(t, 2)
	if r := f.remediation(t); r.Open != 0 || r.Closed != 1 || r.ClosedP50 != 210*minute || r.ClosedP90 != 210*minute || r.Gone != 0 {
		t.Fatalf("it was mended when the last instance ended: %+v", r)
	}

	f.rollout(t, "e", "api", 1, false)
	f.pass(t, 60)
	f.rollout(t, "e", "api", 1, true)
	f.pass(t, 11)
	if r := f.remediation(t); r.Closed != 1 || r.Gone != 1 || r.Open != 0 {
		t.Fatalf("deleted is not mended: %+v", r)
	}
	f.pass(t, 60)
	f.rollout(t, "f", "api", 1, false) // scaled up again
	f.pass(t, 1)
	if r := f.remediation(t); r.Gone != 0 || r.Open != 1 || r.OpenMax != 132*minute {
		t.Fatalf("back within a week it is the same matter: %+v", r)
	}

	// What runs and was never looked into may still have it.
	f.rollout(t, "g", "api", 99, false)
	f.rollout(t, "f", "api", 1, true)
	f.pass(t, 60)
	if r := f.remediation(t); r.Open != 1 {
		t.Fatalf("an image nobody has scanned runs: %+v", r)
	}
}

// instance is a container of the naive model.
type instance struct {
	workload string
	image    int
	from, to int64 // minutes; to 0 = runs
}

// The clocks agree with a model that looks at the whole past again at every minute.
func TestClocksAgreeWithANaiveModel(t *testing.T) {
	dir := t.TempDir()
	var runs atomic.Int64
	holds := map[int][]int{1: {1}, 2: {1, 2}, 3: {2}, 4: {}} // image → vulnerabilities
	rapid.Check(t, func(t *rapid.T) {
		if runs.Add(1) > maxWorlds {
			return
		}
		var now atomic.Int64
		base := 1_000_000 * hour
		now.Store(base)
		ctx := context.Background()
		db, err := Open(ctx, Options{Path: filepath.Join(dir, fmt.Sprint(runs.Load())+".db"), Now: now.Load, noSync: true})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for n, vulns := range holds {
			packages, found := []scan.Package{}, []scan.Vulnerability{}
			for i, v := range vulns {
				packages = append(packages, lib(fmt.Sprint("p", v), "1"))
				found = append(found, cve(fmt.Sprint("CVE-", v), i, finding.High, ""))
			}
			if _, _, err := db.PutImage(ctx, imageOf(n, "x", packages, found...)); err != nil {
				t.Fatal(err)
			}
		}
		var all []*instance
		clockNow := int64(1) // minutes; 0 means never
		steps := rapid.IntRange(1, 25).Draw(t, "steps")
		model := map[string]*naive{}
		for range steps {
			// Something happens, then some minutes pass, each of which is looked at.
			switch w := rapid.SampledFrom([]string{"web", "api"}).Draw(t, "workload"); rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				i := &instance{workload: w, image: rapid.IntRange(1, 4).Draw(t, "image"), from: clockNow}
				all = append(all, i)
				report(t, db, len(all), i, now.Load())
			case 1:
				for n, i := range all {
					if i.to == 0 && i.workload == w {
						i.to = clockNow
						report(t, db, n+1, i, now.Load())
						break
					}
				}
			}
			settleAll(t, db)
			look(model, all, holds, clockNow)
			for range rapid.SampledFrom([]int{0, 1, 4, 12, 70}).Draw(t, "minutes") {
				clockNow++
				now.Add(minute)
				settleAll(t, db)
				look(model, all, holds, clockNow)
			}
			rows, err := db.Remediation(ctx, query.Query{}, 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			var have Remediation
			if len(rows) > 0 {
				have = rows[0]
			}
			want := sum(model, clockNow)
			have.Owner, have.Owned, have.Severity = "", false, 0
			if have != want {
				t.Fatalf("minute %d: clocks say %+v, the model %+v", clockNow, have, want)
			}
		}
	})
}

func report(t *rapid.T, db *DB, n int, i *instance, at int64) {
	t.Helper()
	r := &inuse.Report{Node: "n", Container: fmt.Sprint("c", n), Workload: i.workload, Digest: digest(i.image), Started: at, Since: at, Until: at, Ended: i.to != 0}
	if _, err := db.Ingest(context.Background(), []Item{{Use: r}}); err != nil {
		t.Fatal(err)
	}
}

// naive is what the model remembers of one workload and vulnerability: the minutes in
// which something that ran had it.
type naive struct {
	spans []span // closed and open ones, in order
}

type span struct {
	start, end int64 // minutes; end 0 = open
	gone       bool
}

// look is the definition, word for word: open while some running instance has it, or
// had it less than ten minutes ago; closed as mended when others run, as gone when none does.
func look(model map[string]*naive, all []*instance, holds map[int][]int, now int64) {
	for _, w := range []string{"web", "api"} {
		runs := slices.ContainsFunc(all, func(i *instance) bool { return i.workload == w && i.to == 0 && i.from <= now })
		for v := 1; v <= 2; v++ {
			has, last := false, int64(-1)
			for _, i := range all {
				if i.workload != w || !slices.Contains(holds[i.image], v) {
					continue
				}
				if i.to == 0 {
					has = true
				} else {
					last = max(last, i.to)
				}
			}
			k := fmt.Sprint(w, v)
			m := model[k]
			if m == nil {
				m = &naive{}
				model[k] = m
			}
			var s *span
			if n := len(m.spans); n > 0 {
				s = &m.spans[n-1]
			}
			switch {
			case has && s != nil && s.end == 0:
			case has && s != nil && s.gone && now-s.end < 7*24*60:
				s.end, s.gone = 0, false
			case has:
				m.spans = append(m.spans, span{start: now})
			case s != nil && s.end == 0 && now-last >= 10:
				s.end, s.gone = max(last, s.start), !runs
			}
		}
	}
}

func sum(model map[string]*naive, now int64) Remediation {
	var r Remediation
	var open, closed []int64
	for _, m := range model {
		for _, s := range m.spans {
			switch {
			case s.end == 0:
				open = append(open, (now-s.start)*minute)
			case s.gone:
				r.Gone++
			default:
				closed = append(closed, (s.end-s.start)*minute)
			}
		}
	}
	slices.Sort(open)
	slices.Sort(closed)
	nearest := func(list []int64, p float64) int64 {
		if len(list) == 0 {
			return 0
		}
		for i, v := range list {
			if float64(i+1) >= p*float64(len(list)) {
				return v
			}
		}
		return list[len(list)-1]
	}
	r.Open, r.Closed = int64(len(open)), int64(len(closed))
	r.OpenP50, r.OpenP90, r.OpenMax = nearest(open, 0.5), nearest(open, 0.9), nearest(open, 1)
	r.ClosedP50, r.ClosedP90 = nearest(closed, 0.5), nearest(closed, 0.9)
	return r
}
