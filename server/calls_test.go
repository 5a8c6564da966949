package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/api/dockreeve/v1/dockreevev1connect"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/server/auth"
	"github.com/dockreeve/dockreeve/server/client"
	"github.com/dockreeve/dockreeve/store"
)

func TestWrongCallsSayWhatToDo(t *testing.T) {
	h := start(t)
	c := h.client(t)
	ctx := t.Context()
	list := func(r *v1.ListAlertsRequest) error {
		_, err := c.Alerts.ListAlerts(ctx, connect.NewRequest(r))
		return err
	}
	_, getErr := c.Alerts.GetAlert(ctx, connect.NewRequest(&v1.GetAlertRequest{Id: "nosuch"}))
	_, occErr := c.Alerts.ListOccurrences(ctx, connect.NewRequest(&v1.ListOccurrencesRequest{AlertId: "nosuch"}))
	_, setErr := c.Alerts.SetAlertStatus(ctx, connect.NewRequest(&v1.SetAlertStatusRequest{Ids: []string{"nosuch"}, Status: v1.AlertStatus_ALERT_STATUS_OPEN}))
	_, zeroErr := c.Alerts.SetAlertStatus(ctx, connect.NewRequest(&v1.SetAlertStatusRequest{Ids: []string{"nosuch"}}))
	_, manyErr := c.Alerts.SetAlertStatus(ctx, connect.NewRequest(&v1.SetAlertStatusRequest{Ids: make([]string, 501), Status: v1.AlertStatus_ALERT_STATUS_OPEN}))
	for _, x := range []struct {
		err  error
		code connect.Code
		says string
	}{
		{list(&v1.ListAlertsRequest{Filter: "sevrity:high"}), connect.CodeInvalidArgument, "did you mean severity:?"},
		{list(&v1.ListAlertsRequest{Cursor: "%%%"}), connect.CodeInvalidArgument, "fetch the first page again"},
		{list(&v1.ListAlertsRequest{Order: "colour"}), connect.CodeInvalidArgument, "last_seen, severity"},
		{list(&v1.ListAlertsRequest{PageSize: 501}), connect.CodeInvalidArgument, "1 to 500"},
		{list(&v1.ListAlertsRequest{Filter: strings.Repeat("x", 300<<10)}), connect.CodeResourceExhausted, ""},
		{getErr, connect.CodeNotFound, "nosuch"},
		{occErr, connect.CodeNotFound, "nosuch"},
		{setErr, connect.CodeNotFound, "nosuch"},
		{zeroErr, connect.CodeInvalidArgument, "ALERT_STATUS_OPEN"},
		{manyErr, connect.CodeInvalidArgument, "1 to 500"},
	} {
		if connect.CodeOf(x.err) != x.code || !strings.Contains(x.err.Error(), x.says) {
			t.Errorf("%v: want %s saying %q", x.err, x.code, x.says)
		}
	}
}

func TestPlainJSONOverHTTP(t *testing.T) {
	h := start(t)
	token, err := auth.ReadToken(filepath.Join(h.dir, "token"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("POST", h.URL()+"/dockreeve.v1.StatusService/GetStatus", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 || !strings.Contains(string(b), "no node has reported yet") {
		t.Fatalf("%s %s %v", res.Status, b, err)
	}
}

func TestGRPCOnTheSameAddress(t *testing.T) {
	h := start(t)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	token, err := auth.ReadToken(filepath.Join(h.dir, "token"))
	if err != nil {
		t.Fatal(err)
	}
	c := dockreevev1connect.NewChangeServiceClient(&http.Client{Transport: transport}, h.URL(), connect.WithGRPC())
	req := connect.NewRequest(&v1.WatchRequest{})
	req.Header().Set("Authorization", "Bearer "+token)
	stream, err := c.Watch(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if !stream.Receive() {
		t.Fatal(stream.Err())
	}
	h.send(t, link.LaneAlert, link.KindFinding, sample(1))
	if !stream.Receive() || stream.Msg().Changes[0].Kind != store.ChangeAlert {
		t.Fatalf("%v %v", stream.Msg(), stream.Err())
	}
}

func TestClientSaysWhatIsMissing(t *testing.T) {
	for want, opt := range map[string]client.Options{
		"is a server running":   {URL: "http://127.0.0.1:1", StateDir: t.TempDir()},
		"want http://host:port": {URL: "127.0.0.1:7370", Token: "x"},
		"the server running":    {URL: "http://127.0.0.1:1", Token: "x"},
	} {
		c, err := client.New(opt)
		if err == nil {
			_, err = c.SignInURL(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", opt, err, want)
		}
	}
}

func TestWatchTellsAClientThatIsBehindToStartAgain(t *testing.T) {
	h := start(t)
	stream, err := h.client(t).Changes.Watch(t.Context(), connect.NewRequest(&v1.WatchRequest{SinceSeq: 999}))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for stream.Receive() {
		if stream.Msg().Reset_ {
			if stream.Msg().Seq != h.db.Seq() {
				t.Fatalf("reset to %d, want %d", stream.Msg().Seq, h.db.Seq())
			}
			return
		}
	}
	t.Fatalf("no reset: %v", stream.Err())
}

func TestListenBeyondThisMachineMustBeAllowed(t *testing.T) {
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "x.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "example.com:80", "nonsense"} {
		if _, err := New(Options{DB: db, Listen: addr}); err == nil || !strings.Contains(err.Error(), "listen") {
			t.Errorf("%s: %v", addr, err)
		}
	}
	s, err := New(Options{DB: db, Listen: "0.0.0.0:0", AllowRemote: true})
	if err != nil {
		t.Fatal(err)
	}
	s.listener.Close()
	if _, err := New(Options{}); err == nil {
		t.Error("a server without a store was made")
	}
}

func TestMetricsTellHopsAndLatency(t *testing.T) {
	h := start(t)
	h.send(t, link.LaneAlert, link.KindFinding, sample(1))
	changed := h.db.Changed()
	if h.db.Seq() == 0 {
		<-changed
	}
	get := func(headers ...string) (int, string) {
		req, err := http.NewRequest("GET", h.URL()+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	code, text := get()
	for _, want := range []string{`dockreeve_hop_in_total{hop="server.ingest"} 1`, "dockreeve_kernel_to_stored_seconds_bucket", "dockreeve_storing_fails 0"} {
		if code != 200 || !strings.Contains(text, want) {
			t.Errorf("%d: metrics lack %s", code, want)
		}
	}
	if code, _ := get("X-Forwarded-For", "203.0.113.9"); code != http.StatusUnauthorized {
		t.Errorf("through a proxy without sign-in: %d", code)
	}
}

// The server may stop at any moment; what the link holds comes again, and is
// counted once.
func TestServerRestartsWithoutLosingOrCountingTwice(t *testing.T) {
	dir := t.TempDir()
	pipe := link.NewPipe(link.PipeOptions{Origin: "n"})
	const n = 300
	sent := make(chan error, 1)
	go func() {
		for i := range n {
			b, err := json.Marshal(sample(i))
			if err == nil {
				err = pipe.Send(context.Background(), link.LaneAlert, link.KindFinding, b)
			}
			if err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	var total int64
	for round := 0; total < n; round++ {
		if round > 1000 {
			t.Fatalf("only %d of %d after %d rounds", total, n, round)
		}
		db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(dir, "x.db")})
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(Options{DB: db, Receiver: pipe, Listen: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		changed := db.Changed()
		go func() { done <- s.Run(ctx) }()
		select {
		case <-changed: // at least one batch; others may be under way
		case <-time.After(10 * time.Second):
			t.Fatal("nothing more arrives")
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		page, err := db.Alerts(t.Context(), store.AlertQuery{})
		if err != nil {
			t.Fatal(err)
		}
		total = page.Alerts[0].Count
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-sent; err != nil || total != n {
		t.Fatalf("%d findings counted of %d, %v", total, n, err)
	}
	if p := pipe.Pending(link.LaneAlert); p != 0 {
		t.Logf("%d stored but not acknowledged when the server stopped: they come again, as they may", p)
	}
}
