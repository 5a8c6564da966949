package scenario

import (
	"compress/gzip"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/detect/audit"
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/process"
	"github.com/dockreeve/dockreeve/trace"
)

// TestTheModelsOnARecordedCluster plays the recording of a real API server that
// TestRecordAMonth of test/kube makes, and measures what the models of habits find in it.
// It was made in minutes and stands for fourteen days: a request whose audit id is hour-N
// begins the Nth hour, and what passed since is stretched a hundred times. Misuse has audit
// ids that name the models which should find it. docs/audit.md carries the figures.
func TestTheModelsOnARecordedCluster(t *testing.T) {
	file, err := os.Open("testdata/cluster-month.ndjson.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := trace.NewReader(text, trace.ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a := audit.New(audit.Options{
		State: inventory.NewState(inventory.Options{Cluster: "lab"}), Cluster: "lab", Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
	})
	type score struct{ found, missed, wrong int }
	scores := map[string]*score{audit.ModelPods: {}, audit.ModelSecrets: {}, audit.ModelAccounts: {}}
	var began, hour, start int64
	events := 0
	told := map[string]int{}
	err = trace.Replay(r, process.New(process.Options{}), func(rec *trace.Record) error {
		ev := rec.Event
		if ev == nil {
			return nil
		}
		events++
		id, _ := ev.JSONText("auditID")
		if n, ok := strings.CutPrefix(id, "hour-"); ok {
			at, err := strconv.ParseInt(n, 10, 64)
			if err != nil {
				return err
			}
			if hour = at; start == 0 {
				start = ev.Time
			}
			began = ev.Time
		}
		ev.Time = start + hour*int64(time.Hour) + min(100*(ev.Time-began), int64(time.Hour)-1)
		f := a.Facts(ev)
		if !f.First { // of a request that takes long its end is told too: exec, watch
			return nil
		}
		var want []string
		left := false
		if of, ok := strings.CutPrefix(id, "attack-"); ok {
			of = of[:strings.LastIndexByte(of, '-')]
			want, left = strings.Split(of, "+"), true
		}
		for model, s := range scores {
			what := fmt.Sprintf("%s: %s %s in %s: %v", model, f.ActorName, verb(ev), id, f.Why)
			switch got, should := slices.Contains(f.Unusual, model), slices.Contains(want, model); {
			case got && should:
				s.found++
			case should:
				s.missed++
				told["missed "+what]++
			case got && !left:
				s.wrong++
				told["wrong "+what]++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d events", events)
	for _, k := range slices.Sorted(maps.Keys(told)) {
		t.Logf("%d times %s", told[k], k)
	}
	for model, s := range scores {
		precision, recall := float64(s.found)/float64(max(1, s.found+s.wrong)), float64(s.found)/float64(max(1, s.found+s.missed))
		t.Logf("%s: precision %.2f, recall %.2f (%d found, %d missed, %d wrong)", model, precision, recall, s.found, s.missed, s.wrong)
		if s.found == 0 || precision < 0.9 || recall < 0.9 {
			t.Errorf("%s: precision %.2f, recall %.2f: want 0.9 of each", model, precision, recall)
		}
	}
	if events < 3000 {
		t.Errorf("the recording holds %d events", events)
	}
}

func verb(ev *event.Event) string {
	v, _ := ev.JSONText("verb")
	r, _ := ev.JSONText("objectRef", "resource")
	return v + " " + r
}
