package azure_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/demo/tenant"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/source/azure"
	"github.com/dockreeve/dockreeve/test/arm"
)

// jump is a clock that moves as soon as anybody waits.
type jump struct {
	mu  sync.Mutex
	now time.Time
}

func (j *jump) Now() time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.now
}

func (j *jump) After(d time.Duration) (<-chan time.Time, func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.now = j.now.Add(max(d, 0))
	c := make(chan time.Time, 1)
	c <- j.now
	return c, func() {}
}

func world(t testing.TB, seed int64) *tenant.World {
	t.Helper()
	return tenant.New(tenant.Options{Seed: seed, Now: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC), Subscriptions: 12, Clusters: 16, Resources: 300, Days: 10})
}

// collected reads a world from a server that speaks as ARM does, and gives the snapshot
// and the file that was written meanwhile.
func collected(t testing.TB, w *tenant.World, o arm.Options, change func(*azure.Options)) (*azure.Snapshot, []byte, *arm.Server) {
	t.Helper()
	o.World = w
	s := arm.New(o)
	web := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		// The server does not know the definitions that stand at a management group.
		if id := strings.ToLower(in.URL.Path); strings.Contains(id, "/managementgroups/") && strings.Contains(id, "/policysetdefinitions/") {
			_ = w.Whole(tenant.Ask{What: cloud.ReadDefinitions}, func(d json.RawMessage) error {
				if strings.Contains(strings.ToLower(string(d)), `"id":"`+id+`"`) {
					_, _ = out.Write(d)
				}
				return nil
			})
			return
		}
		s.ServeHTTP(out, in)
	}))
	t.Cleanup(web.Close)
	b := azure.NewBuilder()
	var file bytes.Buffer
	out, err := azure.NewWriter(&file, azure.Head{Tenant: w.TenantID(), Source: "live", Started: w.Now().UnixNano()})
	if err != nil {
		t.Fatal(err)
	}
	opts := azure.Options{
		Credential: s.Credential(), Endpoint: web.URL, PricesEndpoint: web.URL, Currency: "EUR", ActivityDays: 89, CostDays: 10, Clock: &jump{now: w.Now()},
		Sink: func(r azure.Record) error {
			if err := out.Write(r); err != nil {
				return err
			}
			return b.Add(r)
		},
	}
	if change != nil {
		change(&opts)
	}
	if err := azure.Collect(context.Background(), opts); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(w.Now()); err != nil {
		t.Fatal(err)
	}
	b.Describe(azure.Head{Tenant: w.TenantID(), Source: "live", Started: w.Now().UnixNano(), Finished: w.Now().UnixNano()})
	return b.Snapshot(), file.Bytes(), s
}

// same fails where two snapshots differ, but for the members that left takes out.
func same(t *testing.T, name string, a, b *azure.Snapshot, left func(*azure.Snapshot)) {
	t.Helper()
	text := func(s *azure.Snapshot) []string {
		c, tn := *s, *s.Tenant
		c.Tenant = &tn
		if left != nil {
			left(&c)
		}
		raw, err := json.MarshalIndent(c, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(string(raw), "\n")
	}
	x, y := text(a), text(b)
	if slices.Equal(x, y) {
		return
	}
	i := 0
	for i < min(len(x), len(y)) && x[i] == y[i] {
		i++
	}
	from := max(0, i-12)
	t.Errorf("%s: differ at line %d of %d and %d:\n%s\n---\n%s", name, i, len(x), len(y), strings.Join(x[from:min(len(x), i+6)], "\n"), strings.Join(y[from:min(len(y), i+6)], "\n"))
}

// TestALiveRunASnapshotOfItAndTheDocumentsThemselvesAgree is the promise of the package:
// one Builder, so one answer.
func TestALiveRunASnapshotOfItAndTheDocumentsThemselvesAgree(t *testing.T) {
	for seed := range int64(2) {
		w := world(t, seed)
		live, file, _ := collected(t, w, arm.Options{PageSize: 40, GraphRows: 100, Faults: arm.WorldFaults(w)}, nil)

		path := filepath.Join(t.TempDir(), "snapshot.json")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		opened, err := azure.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		same(t, fmt.Sprintf("seed %d: live and snapshot", seed), live, opened, func(s *azure.Snapshot) { s.Tenant.Source = "" })

		b := azure.NewBuilder()
		if err := w.Records(b.Add); err != nil {
			t.Fatal(err)
		}
		// What of a whole list comes before an answer breaks off differs, so assessments are
		// compared where they are whole. Only prices and sizes of what is in use are asked for.
		same(t, fmt.Sprintf("seed %d: live and documents", seed), live, b.Snapshot(), func(s *azure.Snapshot) {
			s.Tenant.Source, s.Tenant.Collected, s.Tenant.Finished = "", 0, 0
			broken := map[string]bool{}
			for _, r := range s.Tenant.Reads {
				broken[r.Scope] = broken[r.Scope] || r.What == cloud.ReadAssessments && r.Outcome == cloud.ReadPartial
			}
			s.Tenant.Assessments = slices.DeleteFunc(slices.Clone(s.Tenant.Assessments), func(a cloud.Assessment) bool {
				return broken["/"+strings.Join(strings.Split(a.ID, "/")[1:3], "/")]
			})
			used := map[string]bool{}
			for _, c := range s.Tenant.Clusters {
				for _, p := range c.Pools {
					used[p.Size] = true
				}
			}
			s.Tenant.Sizes = slices.DeleteFunc(slices.Clone(s.Tenant.Sizes), func(z cloud.Size) bool { return !used[z.Name] })
			s.Tenant.Reads, s.Prices = nil, nil
		})
		outcomes(t, w, live)
	}
}

// TestALiveRunToldBothSumsOfTheBill compares both with the bill itself, to the micro.
func TestALiveRunToldBothSumsOfTheBill(t *testing.T) {
	w := world(t, 5)
	live, _, _ := collected(t, w, arm.Options{Faults: arm.WorldFaults(w)}, nil)
	type sums struct{ billed, effective cost.Amount }
	read := map[string]sums{}
	for c := range live.Bill.All() {
		s := read[c.SubAccount]
		read[c.SubAccount] = sums{s.billed + c.Billed, s.effective + c.Effective}
	}
	differ := 0
	for _, r := range live.Tenant.Reads {
		if r.What != cloud.ReadAmortized || r.Outcome != cloud.ReadOK {
			continue
		}
		var want sums
		err := w.EachChargeOf(r.Scope, func(c cost.Charge) error {
			want.billed += c.Billed
			want.effective += c.Effective
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if read[r.Scope] != want {
			t.Errorf("%s: read %+v, the bill says %+v", r.Scope, read[r.Scope], want)
		}
		if want.billed != want.effective {
			differ++
		}
	}
	if differ == 0 {
		t.Error("nothing in this world is paid for by a reservation: the test shows nothing")
	}
}

// outcomes compares what came of each read with what the world says of it.
func outcomes(t *testing.T, w *tenant.World, live *azure.Snapshot) {
	t.Helper()
	got := map[string]cloud.Read{}
	for _, r := range live.Tenant.Reads {
		got[r.What+" of "+r.Scope] = r
	}
	for _, ask := range w.Asks() {
		r, ok := got[ask.What+" of "+ask.Scope]
		if !ok {
			t.Errorf("%s of %s: never read", ask.What, ask.Scope)
			continue
		}
		if r.Bad != 0 {
			t.Errorf("documents that were not understood: %+v", r)
		}
		if want := w.Outcome(ask).Outcome; r.Outcome != want && r.Outcome != cloud.ReadSkipped {
			t.Errorf("%s of %s: %s, want %s: %s", ask.What, ask.Scope, r.Outcome, want, r.Reason)
		}
	}
}

// TestExportsOfATenantGiveTheSameTenant saves the documents as az prints them, with
// properties nested and flattened, and opens the folder.
func TestExportsOfATenantGiveTheSameTenant(t *testing.T) {
	w := world(t, 7)
	for _, flat := range []bool{false, true} {
		files := map[string][]json.RawMessage{}
		b := azure.NewBuilder()
		err := w.Records(func(r azure.Record) error {
			if r.Doc == nil {
				return b.Add(r)
			}
			doc := r.Doc
			if flat && r.What != cloud.ReadActivity {
				doc = flatten(t, doc)
			}
			if r.What == cloud.ReadCosts || r.What == cloud.ReadAmortized {
				doc = append([]byte(`{"id":"`+r.Scope[1:]+`/providers/Microsoft.CostManagement/query/q","type":"Microsoft.CostManagement/query",`), doc[1:]...)
			}
			files[r.What] = append(files[r.What], doc)
			return b.Add(r)
		})
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		for what, docs := range files {
			raw, err := json.Marshal(docs)
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("%x.json", what)
			if what == cloud.ReadAmortized { // rows of cost do not say which they are
				name = "amortized-costs.json"
			}
			if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := azure.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range s.Tenant.Reads {
			if r.Bad != 0 || r.Outcome != cloud.ReadOK {
				t.Errorf("flat %v: %+v", flat, r)
			}
		}
		same(t, fmt.Sprintf("exports and documents, flat %v", flat), s, b.Snapshot(), func(s *azure.Snapshot) {
			s.Tenant.Source, s.Tenant.Collected, s.Tenant.Finished, s.Tenant.Reads = "", 0, 0, nil
			s.Tenant.Clusters = slices.Clone(s.Tenant.Clusters)
			for i := range s.Tenant.Clusters {
				if c := &s.Tenant.Clusters[i]; c.Kind == cloud.KindArc && len(c.Extensions) == 0 {
					c.PolicyAddon, c.Insights, c.SecretsProvider = nil, nil, nil // an empty list leaves no export
				}
			}
			s.Prices = slices.Clone(s.Prices)
			for i := range s.Prices {
				s.Prices[i].AsOf = "" // the day of the export
			}
		})
	}
}

// flatten moves the properties of a document up, as az does.
func flatten(t *testing.T, doc json.RawMessage) json.RawMessage {
	t.Helper()
	var o map[string]json.RawMessage
	if err := json.Unmarshal(doc, &o); err != nil {
		t.Fatal(err)
	}
	var p map[string]json.RawMessage
	if json.Unmarshal(o["properties"], &p) != nil {
		return doc
	}
	delete(o, "properties")
	for k, v := range p {
		if _, taken := o[k]; !taken {
			o[k] = v
		}
	}
	out, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestACollectionOfATenantGoesOnAfterAnyCut cuts a snapshot at several places, goes on
// from each, and wants what a whole collection gives.
func TestACollectionOfATenantGoesOnAfterAnyCut(t *testing.T) {
	w := world(t, 3)
	whole, file, first := collected(t, w, arm.Options{}, nil)
	for _, part := range []int{5, 80} {
		cut := file[:len(file)*part/100]
		again, _, s := collected(t, w, arm.Options{}, func(o *azure.Options) {
			o.Previous = func(each func(azure.Record) error) error {
				_, err := azure.ReadRecords(bytes.NewReader(cut), each)
				return err
			}
		})
		same(t, fmt.Sprintf("cut at %d %%", part), again, whole, nil)
		if s.Total() >= first.Total() && part > 5 {
			t.Errorf("cut at %d %%: %d calls, as many as the first time (%d)", part, s.Total(), first.Total())
		}
	}
}
