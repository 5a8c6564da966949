package cli

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/detect/rules"
)

// TestKubeDemoVerdict holds that only this run's alerts count, and what each outcome is worth.
func TestKubeDemoVerdict(t *testing.T) {
	const began = int64(1_700_000_000e9)
	report := func() *kubeReport {
		return &kubeReport{Namespace: "demo", Alerts: []kubeAlert{
			{Rule: "drift", began: began, cid: "c0ffee"}, {Rule: "k8s-exec", began: began, identity: "user:ann"},
			{Rule: "k8s-cronjob", began: began, identity: "user:ann", NotAssessed: "no audit events"},
		}}
	}
	silent := func(string, ...any) {}
	r := report()
	for _, s := range []sighting{
		{Rule: "drift", Container: "other", Kernel: began}, {Rule: "drift", Container: "c0ffee", Kernel: began - 60e9},
		{Rule: "k8s-exec", Identity: "user:bob", Kernel: began}, {Rule: "k8s-cronjob", Identity: "user:ann", Kernel: began},
		{Rule: "extra", Workload: "demo/Deployment/shop", Kernel: began}, {Rule: "extra", Workload: "shop/Deployment/shop", Kernel: began},
	} {
		r.take(&s, silent)
	}
	if r.Alerts[0].Found || r.Alerts[1].Found || r.Alerts[2].Found || !r.waiting() || len(r.Also) != 1 || r.Also[0].Count != 1 {
		t.Errorf("alerts of others count: %+v, also %+v", r.Alerts, r.Also)
	}
	r.take(&sighting{Rule: "drift", Container: "c0ffee", Kernel: began, Seen: began + 2e6, Pod: "demo/shop-1", Owner: "ann", Severity: "high"}, silent)
	r.take(&sighting{Rule: "k8s-exec", Identity: "user:ann", Kernel: began - 1e9, Seen: began}, silent)
	if r.waiting() || r.Alerts[0].Pod != "demo/shop-1" || r.Alerts[0].Visible != 2 {
		t.Errorf("%+v", r.Alerts)
	}
	var out bytes.Buffer
	if err := r.print(&out); err != nil || !strings.Contains(out.String(), "not assessed") || !strings.Contains(out.String(), "because:\n  no audit events") {
		t.Errorf("%v\n%s", err, out.String())
	}
	for _, tc := range []struct {
		name string
		r    kubeReport
		code int
	}{
		{"missing", kubeReport{Missing: []string{"drift"}, NotAssessed: []string{"k8s-exec"}, failed: true}, exitFindings},
		{"a step failed", kubeReport{NotAssessed: []string{"drift"}, failed: true}, exitFailed},
		{"not watched", kubeReport{NotAssessed: []string{"drift"}}, exitData},
		{"all came", kubeReport{}, 0},
	} {
		var coded *exitError
		err := tc.r.verdict(time.Second)
		if got := errors.As(err, &coded); got != (tc.code != 0) || got && coded.code != tc.code {
			t.Errorf("%s: %v, want exit code %d", tc.name, err, tc.code)
		}
	}
}

// TestKubeDemoExpectsShippedRules holds the steps to the rule pack.
func TestKubeDemoExpectsShippedRules(t *testing.T) {
	files, err := rules.Files()
	if err != nil {
		t.Fatal(err)
	}
	var pack []byte
	for _, f := range files {
		pack = append(pack, f.Data...)
	}
	s := &kubeStory{world: &kubeWorld{namespace: "demo"}}
	for _, st := range s.steps() {
		if strings.Contains(st.Shown, tokenFile) && st.Proof == "demo-token" {
			t.Errorf("%q would print a real token", st.Shown)
		}
		for _, id := range append(st.Node, st.API...) {
			if !regexp.MustCompile(`(?m)^\s+id: ` + id + `$`).Match(pack) {
				t.Errorf("%s expects the rule %s, which is not in the pack", st.Attack, id)
			}
		}
	}
}

// recorded plays an exec back.
type recorded struct{ in [][]byte }

func (r *recorded) ReadMessage() (int, []byte, error) {
	if len(r.in) == 0 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	b := r.in[0]
	r.in = r.in[1:]
	return binaryFrame, b, nil
}
func (r *recorded) WriteMessage(int, []byte) error { return nil }
func (r *recorded) SetReadLimit(int64)             {}
func (r *recorded) Close() error                   { return nil }

func TestExecAsAConnection(t *testing.T) {
	c := &execConn{frames: &recorded{[][]byte{{}, {execStdout}, []byte("\x01hel"), []byte("\x02noise"), []byte("\x01lo"), []byte("\x03{}")}}}
	b, err := io.ReadAll(c)
	if err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
	for said, ok := range map[string]bool{
		`{"status":"Success"}`: true, `{"status":"Failure","reason":"NonZeroExitCode"}`: true, `{"status":"Failure","message":"no such container"}`: false, `{`: false,
	} {
		if err := execResult([]byte(said)); (err == nil) != ok {
			t.Errorf("%s: %v", said, err)
		}
	}
}
