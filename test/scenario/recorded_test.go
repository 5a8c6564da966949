package scenario

import (
	"compress/gzip"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/detect"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/process"
	"github.com/dockreeve/dockreeve/trace"
)

var update = flag.Bool("update", false, "write what was found over testdata/*.findings")

// TestRecordedTracesGiveTheKnownFindings plays recordings of real containers and of a real
// API server: attacks, where nothing may be missing, and ordinary work, where nothing may be
// found. They hold the events of the containers and users in question only; their comments
// say what was left out. DOCKREEVE_RECORD=$PWD/test/scenario/testdata go test ./test/kube
// -run 'TestAWatchedControlPlane/EveryRule' records those of the API server anew.
func TestRecordedTracesGiveTheKnownFindings(t *testing.T) {
	for _, name := range []string{"demo-attack", "ordinary-work", "cluster-attack", "cluster-work"} {
		t.Run(name, func(t *testing.T) {
			events, got := playFile(t, "testdata/"+name+".ndjson.gz")
			if events == 0 {
				t.Fatal("the recording holds no events")
			}
			golden := "testdata/" + name + ".findings"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("found\n%s\nwant\n%s\nif that is meant, run with -update", got, want)
			}
		})
	}
}

// playFile gives the number of events of a recording and one line for each finding.
func playFile(t *testing.T, path string) (events int, lines string) {
	t.Helper()
	file, err := os.Open(path)
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
	engine := detect.New(detect.Options{Rules: ownRules(t), Node: r.Header().Node})
	var out strings.Builder
	show := func(f *finding.Finding) {
		fmt.Fprintf(&out, "%s %s: %s\n", f.Severity, f.Rule.ID, f.Summary)
	}
	err = trace.Replay(r, process.New(process.Options{}), func(rec *trace.Record) error {
		if rec.Loss != nil {
			engine.ObserveLoss(*rec.Loss)
		} else if rec.Event != nil {
			events++
			engine.Observe(rec.Event, show)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return events, out.String()
}
