package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/detect/rules"
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/rule"
	"github.com/dockreeve/dockreeve/source/kubeaudit"
)

// sink keeps what is sent, and refuses while broken.
type sink struct {
	mu     sync.Mutex
	sent   []link.Envelope
	broken error
}

func (s *sink) Send(_ context.Context, lane link.Lane, kind link.Kind, b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil && lane == link.LaneAlert {
		return s.broken
	}
	s.sent = append(s.sent, link.Envelope{Lane: lane, Kind: kind, Bytes: bytes.Clone(b)})
	return nil
}

func (s *sink) kind(k link.Kind) (out [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.sent {
		if e.Kind == k {
			out = append(out, e.Bytes)
		}
	}
	return out
}

func shipped(t *testing.T) *rule.Rules {
	t.Helper()
	files, err := rules.Files()
	if err != nil {
		t.Fatal(err)
	}
	src, _ := rule.Load(files, rule.LoadOptions{ValidField: rule.ValidField})
	set, _ := rule.Compile(src, rule.CompileOptions{})
	return set
}

func agentWith(t *testing.T, s *sink, change func(*Options)) *Agent {
	t.Helper()
	opt := Options{Name: "prod", Version: "test", Rules: shipped(t), Sender: s}
	if change != nil {
		change(&opt)
	}
	a, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func request(id, who, verb, resource, namespace string) *event.Event {
	doc := fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":%q,"stage":"ResponseComplete","requestURI":"/api","verb":%q,"user":{"username":%q},"sourceIPs":["10.9.9.9"],"userAgent":"kubectl/v1","objectRef":{"resource":%q,"namespace":%q,"apiVersion":"v1"},"responseStatus":{"code":200},"annotations":{"authorization.k8s.io/decision":"allow"}}`, id, verb, who, resource, namespace)
	return &event.Event{ID: event.ID{Node: 1, Lane: event.LaneAudit, Seq: uint64(len(id))}, Type: event.TypePluginevent, Source: event.SourceK8sAudit, Time: 1_790_000_000e9, JSON: []byte(doc)}
}

func TestAnEventIsNotTakenUntilItsFindingIs(t *testing.T) {
	s := &sink{broken: errors.New("no room")}
	a := agentWith(t, s, nil)
	ev := request("one", "jo", "list", "secrets", "")
	if err := a.event(ev, kubeaudit.Source{}); err == nil {
		t.Fatal("the event was taken though its finding could not be sent")
	}
	s.broken = nil
	if err := a.event(request("one", "jo", "list", "secrets", ""), kubeaudit.Source{}); err != nil {
		t.Fatal(err)
	}
	got := s.kind(link.KindFinding)
	if len(got) != 1 {
		t.Fatalf("%d findings, want 1", len(got))
	}
	var f finding.Finding
	if err := json.Unmarshal(got[0], &f); err != nil {
		t.Fatal(err)
	}
	if f.Rule.ID != "k8s-secrets-listed" || f.Subject.Cluster != "prod" || f.Subject.Identity != "user:jo" {
		t.Errorf("finding %s on %s by %s", f.Rule.ID, f.Subject.Cluster, f.Subject.Identity)
	}
}

func TestHistoryKeepsWhatPeopleDo(t *testing.T) {
	s := &sink{}
	a := agentWith(t, s, nil)
	for i, who := range []string{"jo", "system:kube-scheduler", "system:serviceaccount:shop:web", "system:serviceaccount:shop:web"} {
		if err := a.event(request(strings.Repeat("x", i+1), who, "list", "pods", "shop"), kubeaudit.Source{}); err != nil {
			t.Fatal(err)
		}
	}
	// The person's, and the first of the application's; none of the scheduler's.
	if got := len(s.kind(link.KindAudit)); got != 2 {
		t.Errorf("%d events in the history, want 2", got)
	}
}

func TestOneStreamOfManyClusters(t *testing.T) {
	s := &sink{}
	a := agentWith(t, s, nil)
	if err := a.event(request("a", "jo", "list", "secrets", ""), kubeaudit.Source{Cluster: "other"}); err != nil {
		t.Fatal(err)
	}
	var f finding.Finding
	got := s.kind(link.KindFinding)
	if len(got) != 1 || json.Unmarshal(got[0], &f) != nil || f.Subject.Cluster != "other" {
		t.Errorf("%d findings, cluster %q", len(got), f.Subject.Cluster)
	}
	if n := len(s.kind(link.KindAudit)); n != 0 {
		t.Errorf("%d events of another cluster went into the history under our name", n)
	}
	alone := agentWith(t, s, func(o *Options) { o.Alone = true })
	if err := alone.event(request("bb", "jo", "list", "pods", "x"), kubeaudit.Source{Cluster: "other"}); err != nil {
		t.Fatal(err)
	}
	if n := len(s.kind(link.KindAudit)); n != 1 {
		t.Errorf("%d events of another cluster in the history of the hub's own process, want 1", n)
	}
}

func TestTheInventoryIsStatedWholeInMessagesThatFit(t *testing.T) {
	s := &sink{}
	a := agentWith(t, s, nil)
	for i := range 900 {
		o, err := inventory.Decode(fmt.Appendf(nil, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"namespace":"n%d","name":"web%d","labels":{"note":%q}},"spec":{"replicas":1,"template":{"spec":{"containers":[{"name":"c","image":"x:1","args":[%q]}]}}}}`, i%30, i, strings.Repeat("n", 60), strings.Repeat("a", 2000)))
		if err != nil {
			t.Fatal(err)
		}
		a.state.Put(o)
	}
	want := map[string]bool{}
	for _, d := range a.state.Full() {
		kind, key := d.Key()
		want[kind+" "+key] = true
	}
	if err := a.deltas(t.Context(), 7, a.state.Full(), nil, 7); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	parts := s.kind(link.KindInventory)
	for i, b := range parts {
		var d inventory.Delta
		if err := json.Unmarshal(b, &d); err != nil {
			t.Fatal(err)
		}
		if len(b) > link.MaxBytes || d.Generation != 7 || d.Done != (i == len(parts)-1) || d.Cluster != "prod" {
			t.Errorf("part %d of %d: %d bytes, generation %d, done %v", i, len(parts), len(b), d.Generation, d.Done)
		}
		for _, one := range d.Put {
			kind, key := one.Key()
			got[kind+" "+key] = true
		}
	}
	if len(parts) < 2 || !maps.Equal(got, want) {
		t.Errorf("%d parts with %d documents, want several with %d", len(parts), len(got), len(want))
	}
}

func TestWhatIsNotWatchedIsSaid(t *testing.T) {
	s := &sink{}
	a := agentWith(t, s, nil)
	if err := a.sendStatus(t.Context()); err != nil {
		t.Fatal(err)
	}
	var st link.Status
	if err := json.Unmarshal(s.kind(link.KindStatus)[0], &st); err != nil {
		t.Fatal(err)
	}
	if st.NotAssessed == "" || st.Node != "cluster/prod" || st.Mode != link.ModeCluster || st.RulesWatching != 0 || st.RulesNotAssessed == 0 {
		t.Errorf("status %+v", st)
	}
	a.Way("file")
	if err := a.sendStatus(t.Context()); err != nil {
		t.Fatal(err)
	}
	st = link.Status{}
	if err := json.Unmarshal(s.kind(link.KindStatus)[1], &st); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(st.NotAssessed, "has come in yet") || st.RulesWatching == 0 {
		t.Errorf("a way without events: %q", st.NotAssessed)
	}
}

func TestWhatWasLearnedIsKeptAcrossRuns(t *testing.T) {
	dir := t.TempDir()
	s := &sink{}
	a := agentWith(t, s, func(o *Options) { o.StateDir = dir })
	if err := a.event(request("a", "jo", "list", "pods", "x"), kubeaudit.Source{}); err != nil {
		t.Fatal(err)
	}
	if err := a.judge.save(); err != nil {
		t.Fatal(err)
	}
	again := agentWith(t, s, func(o *Options) { o.StateDir = dir })
	again.judge.auditor.AllChanged()
	if h := again.judge.auditor.Changed(10); !slices.ContainsFunc(h.List, func(h inventory.Habit) bool { return h.Identity == "user:jo" && h.Count == 1 }) {
		t.Errorf("habits after a restart: %+v", h.List)
	}
	file := filepath.Join(dir, "habits.json.gz")
	if err := os.WriteFile(file, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Name: "prod", Rules: shipped(t), Sender: s, StateDir: dir}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a broken file is learned anew without a word: %v", err)
	}
}

func TestTheWebhooksKubeconfigLetsTheAPIServerIn(t *testing.T) {
	s := &sink{}
	a := agentWith(t, s, nil)
	dir := t.TempDir()
	w, err := a.Webhook(WebhookOptions{Listen: "127.0.0.1:0", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	post := poster(t, filepath.Join(dir, HookKubeconfig))
	list := `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[` + string(request("a", "jo", "list", "secrets", "").JSON) + `]}`
	if code := post(list, true); code != 200 {
		t.Errorf("with the token: %d", code)
	}
	if code := post(list, false); code != 401 {
		t.Errorf("without a token: %d", code)
	}
	if n := len(s.kind(link.KindFinding)); n != 1 {
		t.Errorf("%d findings, want 1", n)
	}
	info := a.auditInfo()
	if !slices.ContainsFunc(info.gaps, func(g inventory.Gap) bool { return strings.Contains(g.Reason, "refused") }) {
		t.Errorf("a refused caller is not told: %+v", info.gaps)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := a.Webhook(WebhookOptions{Listen: "0.0.0.0:0", Dir: dir}); err == nil {
		t.Error("every address without a name by which the API server calls")
	}
	first, err := os.ReadFile(filepath.Join(dir, hookCert))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ownCertificate(dir, []string{"127.0.0.1"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if same, _ := os.ReadFile(filepath.Join(dir, hookCert)); !bytes.Equal(first, same) {
		t.Error("a good certificate was made anew: the API server would trust it no more")
	}
	if _, err := ownCertificate(dir, []string{"agent.example"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if other, _ := os.ReadFile(filepath.Join(dir, hookCert)); bytes.Equal(first, other) {
		t.Error("a certificate for another name was kept")
	}
}
