package activity_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/detect/activity"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/source/azure"
	"github.com/dockreeve/dockreeve/test/arm"
)

// TestALiveRunItsSnapshotAndExportsAreJudgedAlike holds that it does not matter how the
// log was read. What a live run leaves out (what people did elsewhere) is not judged.
func TestALiveRunItsSnapshotAndExportsAreJudgedAlike(t *testing.T) {
	w, _ := demo(t, 4, 20)
	s := arm.Serve(arm.Options{World: w})
	defer s.Close()
	live := azure.NewBuilder()
	var file bytes.Buffer
	out, err := azure.NewWriter(&file, azure.Head{Source: "live", Started: now.UnixNano()})
	if err != nil {
		t.Fatal(err)
	}
	if err := azure.Collect(t.Context(), azure.Options{
		Credential: s.Credential(), Endpoint: s.URL, ActivityDays: 89, Clock: jump{now},
		Skip: []string{cloud.ReadCosts, cloud.ReadAmortized, cloud.ReadPrices, cloud.ReadStates, cloud.ReadAssessments, cloud.ReadAlerts, cloud.ReadDefinitions},
		Sink: func(r azure.Record) error {
			if err := out.Write(r); err != nil {
				return err
			}
			return live.Add(r)
		},
	}); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(now); err != nil {
		t.Fatal(err)
	}
	path, dir := filepath.Join(t.TempDir(), "s.json"), t.TempDir()
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	docs := map[string][]json.RawMessage{}
	if err := w.Records(func(r azure.Record) error {
		if r.Doc != nil && (r.What == cloud.ReadActivity || r.What == cloud.ReadClusters || r.What == cloud.ReadSubscriptions || r.What == cloud.ReadRoles) {
			docs[r.What] = append(docs[r.What], r.Doc)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for what, list := range docs {
		b, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%x.json", what)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := activity.Judge(&activity.Input{Tenant: live.Snapshot().Tenant})
	if len(want.Findings) != 5 {
		t.Fatalf("%d findings of a live run, want those of the stories", len(want.Findings))
	}
	for name, from := range map[string]string{"the snapshot": path, "exports": dir} {
		snap, err := azure.Open(from)
		if err != nil {
			t.Fatal(err)
		}
		if got := activity.Judge(&activity.Input{Tenant: snap.Tenant}); !reflect.DeepEqual(got.Findings, want.Findings) || got.Expected != want.Expected || got.Usual != want.Usual {
			t.Errorf("%s: %+v\nlive: %+v", name, got, want)
		}
	}
}

// jump is a clock at which nobody waits.
type jump struct{ at time.Time }

func (j jump) Now() time.Time { return j.at }

func (j jump) After(time.Duration) (<-chan time.Time, func()) {
	c := make(chan time.Time, 1)
	c <- j.at
	return c, func() {}
}
