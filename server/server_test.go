package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/api/dockreeve/v1/dockreevev1connect"
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/server/client"
	"github.com/dockreeve/dockreeve/store"
)

// hub is a running server with a pipe into it.
type hub struct {
	*Server
	db   *store.DB
	pipe *link.Pipe
	dir  string
	stop func()
}

func start(t *testing.T) *hub {
	t.Helper()
	return startAs(t, "node-1")
}

// startAs is start with a sender of that origin.
func startAs(t *testing.T, origin string) *hub {
	t.Helper()
	dir := t.TempDir()
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(dir, "dockreeve.db")})
	if err != nil {
		t.Fatal(err)
	}
	pipe := link.NewPipe(link.PipeOptions{Origin: origin})
	s, err := New(Options{DB: db, Receiver: pipe, Listen: "127.0.0.1:0", StateDir: dir, Version: "test",
		UI: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "console") })})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	h := &hub{Server: s, db: db, pipe: pipe, dir: dir}
	h.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	}
	t.Cleanup(h.stop)
	// The listener is open since New; an answer means that the token is written.
	res, err := http.Get(s.URL() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return h
}

func (h *hub) client(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{URL: h.URL(), StateDir: h.dir})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (h *hub) send(t *testing.T, lane link.Lane, kind link.Kind, v any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.pipe.Send(t.Context(), lane, kind, b); err != nil {
		t.Fatal(err)
	}
}

func sample(n int) finding.Finding {
	return finding.Finding{
		ID: finding.ID("shell", fmt.Sprint(n)), Fingerprint: finding.Fingerprint("shell", "web", "/bin/sh", ""),
		Rule: finding.Rule{ID: "shell", Name: "Shell from a web server", Hash: "h", Tactics: []string{"Execution"}}, Severity: finding.High,
		Summary: "nginx started a shell", Output: "out", Time: time.Now().UnixNano(),
		Subject: finding.Subject{Node: "node-1", Workload: "web", Process: "sh", Executable: "/bin/sh", Container: &finding.Container{ID: "abc", Name: "web"}},
		Why:     []finding.Condition{{Expr: "proc.name = sh", Field: "proc.name", Op: "=", Want: "sh", Got: "sh", True: true}},
		Lineage: []finding.Process{{PID: 7, Name: "sh", Path: "/bin/sh", Cmdline: "sh -c id"}},
		Event:   json.RawMessage(`{"evt.type":"execve"}`), EventIDs: []string{fmt.Sprint(n)},
	}
}

// next reads the stream until a message says something about kind.
func next(t *testing.T, s *connect.ServerStreamForClient[v1.WatchResponse], kind string) *v1.Change {
	t.Helper()
	for s.Receive() {
		for _, c := range s.Msg().Changes {
			if c.Kind == kind {
				return c
			}
		}
	}
	t.Fatalf("the stream ended before a change of kind %s: %v", kind, s.Err())
	return nil
}

func TestFindingTravelsFromPipeToWatcher(t *testing.T) {
	h := start(t)
	c := h.client(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	empty, err := c.Alerts.ListAlerts(ctx, connect.NewRequest(&v1.ListAlertsRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	if w := empty.Msg.Watched; w == nil || w.Since != 0 || w.NotAssessed == "" {
		t.Fatalf("an empty list must say why nothing is watched, got %v", w)
	}

	stream, err := c.Changes.Watch(ctx, connect.NewRequest(&v1.WatchRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if !stream.Receive() {
		t.Fatalf("no first message: %v", stream.Err())
	}

	since := time.Now().UnixNano()
	h.send(t, link.LaneStatus, link.KindStatus, link.Status{Node: "node-1", Mode: link.ModeLive, Since: since, Events: 12, RulesWatching: 8})
	h.send(t, link.LaneStatus, link.KindRules, link.RuleSet{Node: "node-1", Rules: []link.Rule{{ID: "shell", Hash: "h", Condition: "proc.name = sh", Enabled: true}}})
	h.send(t, link.LaneLoss, link.KindLoss, event.Loss{Hop: "sensor.ring", Reason: "ring_full", Lane: event.LaneActivity, Count: 3, From: 1, To: 2})
	h.send(t, link.LaneAlert, link.KindFinding, sample(1))
	h.send(t, link.LaneAlert, link.KindFinding, sample(1)) // the same finding again
	if err := h.pipe.Send(ctx, link.LaneAlert, link.KindFinding, []byte(`{"severity":9`)); err != nil {
		t.Fatal(err)
	}
	h.send(t, link.LaneAlert, link.KindFinding, sample(2))

	alert := next(t, stream, "alert")
	for h.pipe.Pending(link.LaneAlert)+h.pipe.Pending(link.LaneLoss)+h.pipe.Pending(link.LaneStatus) > 0 {
		changed := h.db.Changed()
		select { // acknowledged after the commit that wakes this
		case <-changed:
		case <-time.After(time.Millisecond):
		}
	}

	got, err := c.Alerts.GetAlert(ctx, connect.NewRequest(&v1.GetAlertRequest{Id: alert.Id}))
	if err != nil {
		t.Fatal(err)
	}
	d := got.Msg.Alert
	if d.Alert.Count != 2 || d.Alert.Severity != v1.Severity_SEVERITY_HIGH || d.Alert.Title != "Shell from a web server" {
		t.Errorf("alert %v: want two distinct findings of high severity", d.Alert)
	}
	if len(d.Why) != 1 || len(d.Lineage) != 1 || d.EventJson != `{"evt.type":"execve"}` || d.Rule.Condition != "proc.name = sh" {
		t.Errorf("alert is not whole: %v", d)
	}

	page, err := c.Alerts.ListAlerts(ctx, connect.NewRequest(&v1.ListAlertsRequest{Filter: `severity:>=high status:open "nginx"`}))
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Msg.Alerts) != 1 || page.Msg.Total != 1 || page.Msg.Watched.Since != since || page.Msg.Watched.NotAssessed != "" {
		t.Errorf("list: %v", page.Msg)
	}
	status, err := c.Status.GetStatus(ctx, connect.NewRequest(&v1.GetStatusRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	if status.Msg.StoredLatency.Count != 2 || len(status.Msg.Nodes) != 1 || !status.Msg.Nodes[0].Reporting {
		t.Errorf("status: %v", status.Msg)
	}
	losses := map[string]uint64{}
	for _, l := range status.Msg.Losses {
		losses[l.Hop+" "+l.Reason] = l.Count
	}
	if losses["sensor.ring ring_full"] != 3 || losses["server.ingest invalid"] != 1 {
		t.Errorf("losses %v: want the node's 3 and the bad envelope", losses)
	}

	moved, err := c.Alerts.SetAlertStatus(ctx, connect.NewRequest(&v1.SetAlertStatusRequest{Ids: []string{alert.Id}, Status: v1.AlertStatus_ALERT_STATUS_RESOLVED, Why: "patched"}))
	if err != nil || moved.Msg.Alerts[0].Status != v1.AlertStatus_ALERT_STATUS_RESOLVED {
		t.Fatalf("resolve: %v %v", moved, err)
	}
	h.send(t, link.LaneAlert, link.KindFinding, sample(3))
	for {
		next(t, stream, "alert")
		got, err := c.Alerts.GetAlert(ctx, connect.NewRequest(&v1.GetAlertRequest{Id: alert.Id}))
		if err != nil {
			t.Fatal(err)
		}
		if got.Msg.Alert.Alert.Count == 3 {
			if s := got.Msg.Alert.Alert.Status; s != v1.AlertStatus_ALERT_STATUS_OPEN {
				t.Errorf("a resolved alert that recurs is %s, want open", s)
			}
			if n := len(got.Msg.Alert.History); n != 2 || got.Msg.Alert.History[0].Who != "command line" {
				t.Errorf("history %v", got.Msg.Alert.History)
			}
			break
		}
	}
}

func TestSignInLinkGivesABrowserASession(t *testing.T) {
	h := start(t)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	call := func() error {
		c := dockreevev1connect.NewAlertServiceClient(browser, h.URL())
		req := connect.NewRequest(&v1.ListAlertsRequest{})
		req.Header().Set("Origin", h.URL())
		_, err := c.ListAlerts(t.Context(), req)
		return err
	}
	if err := call(); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Fatalf("before sign-in: %v, want unauthenticated", err)
	}
	link, err := h.SignInURL(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	res, err := browser.Get(link)
	if err != nil || res.StatusCode != http.StatusOK || !strings.HasSuffix(res.Request.URL.Path, "/") {
		t.Fatalf("sign-in: %v %v", res, err)
	}
	res.Body.Close()
	if err := call(); err != nil {
		t.Fatalf("after sign-in: %v", err)
	}
	res, err = (&http.Client{}).Get(link)
	if err != nil || res.StatusCode != http.StatusForbidden {
		t.Fatalf("the link worked twice: %v %v", res, err)
	}
	res.Body.Close()
	fresh, err := h.client(t).SignInURL(t.Context())
	if err != nil || fresh == link || !strings.HasPrefix(fresh, h.URL()+"/signin?code=") {
		t.Fatalf("a new link by token: %q %v", fresh, err)
	}
}
