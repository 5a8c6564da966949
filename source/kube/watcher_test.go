package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/internal/clock"
	"github.com/dockreeve/dockreeve/inventory"
)

// TestWatchedStateEqualsTheServer holds that after any interleaving of changes and
// failures what the sink has is what the server has.
func TestWatchedStateEqualsTheServer(t *testing.T) {
	resources := []string{"pods", "httproutes", "grpcroutes"}
	rapid.Check(t, func(rt *rapid.T) {
		f := newFakeAPI(t, resources...)
		defer f.close()
		f.version = rapid.SampledFrom([]string{"v1.31.4", "v1.34.1", "v1.27.0-eks-123", "odd"}).Draw(rt, "version")
		f.noStream = rapid.Bool().Draw(rt, "no streamed lists")
		sink := newRecord()
		w, _ := f.open(t, Options{Lists: 2})
		markers := 0
		settle := func() {
			markers++
			mark := fmt.Sprintf("marker/m%d", markers)
			for _, r := range resources {
				f.put(r, mark, "")
			}
			if !sink.wait(func(has map[string]string) bool {
				return has["Pod "+mark] != "" && has["HTTPRoute "+mark] != "" && has["GRPCRoute "+mark] != ""
			}) {
				rt.Fatalf("%s did not arrive; coverage %+v", mark, w.Coverage())
			}
		}
		for i := range rapid.IntRange(0, 8).Draw(rt, "objects before") {
			f.put(resources[i%3], fmt.Sprintf("a/o%d", i), "")
		}
		stop := start(t, w, sink)
		defer stop()
		for range rapid.IntRange(0, 40).Draw(rt, "steps") {
			r := rapid.SampledFrom(resources).Draw(rt, "resource")
			name := fmt.Sprintf("a/o%d", rapid.IntRange(0, 9).Draw(rt, "name"))
			switch rapid.SampledFrom([]string{"put", "put", "put", "remove", "bad", "bookmark", "cut", "compact", "restart", "settle", "fault", "fault"}).Draw(rt, "step") {
			case "put":
				f.put(r, name, "")
			case "bad":
				f.put(r, name, bad)
			case "remove":
				f.remove(r, name)
			case "bookmark":
				f.bookmark()
			case "cut":
				f.cut()
			case "compact":
				f.compact()
			case "restart":
				f.restart()
			case "settle":
				settle()
			case "fault":
				f.fault(rapid.SampledFrom([]string{"429", "500", "down", "html", "cut-list", "expired-page", "cut-stream", "cut-watch", "end-watch", "error-event"}).Draw(rt, "fault"))
			}
		}
		settle()
		sink.mu.Lock()
		has := maps.Clone(sink.has)
		sink.mu.Unlock()
		if want := f.names(resources...); !maps.Equal(has, want) {
			rt.Fatalf("the sink has\n%v\nthe server has\n%v", has, want)
		}
	})
}

func TestARightThatIsMissingIsSaidAndTriedAgain(t *testing.T) {
	f := newFakeAPI(t, "pods", "services")
	f.forbidden["services"] = true
	f.put("pods", "shop/web-1", "")
	f.put("services", "shop/web", "")
	w, await := f.open(t, Options{})
	sink := newRecord()
	start(t, w, sink)
	<-w.Synced()
	await(func(by map[string]Coverage) bool {
		return by["pods"].State == Watched && by["services"].State == NotAssessed
	})
	for _, c := range w.Coverage() {
		if c.Resource == "services" && (!strings.Contains(c.Reason, `User "agent" cannot list`) || !strings.Contains(c.Remedy, "get, list and watch on services")) {
			t.Errorf("services: %q, %q: neither reason nor remedy", c.Reason, c.Remedy)
		}
	}
	var gaps []string
	for _, g := range Gaps(w.Coverage()) {
		gaps = append(gaps, g.What)
	}
	if !slices.Equal(gaps, []string{"services"}) {
		t.Errorf("gaps %v, want services alone: what is not served is no gap", gaps)
	}
	f.with(func() { f.forbidden["services"] = false })
	await(func(by map[string]Coverage) bool { return by["services"].State == Watched && by["services"].Count == 1 })

	// Taken away again, what is there is not passed off as current.
	f.with(func() { f.forbidden["services"] = true; f.epoch++ })
	await(func(by map[string]Coverage) bool {
		c := by["services"]
		return c.State == Stale && strings.Contains(c.Reason, "no right") && c.Down != 0
	})
}

func TestAKindThatIsServedLaterIsFoundAndOneThatGoesIsForgotten(t *testing.T) {
	f := newFakeAPI(t, "pods")
	f.put("httproutes", "shop/web", "")
	w, await := f.open(t, Options{Rediscover: time.Millisecond})
	sink := newRecord()
	start(t, w, sink)
	const routes = "httproutes.gateway.networking.k8s.io"
	await(func(by map[string]Coverage) bool { return by[routes].State == NotServed })
	f.with(func() { f.served["httproutes"] = true })
	await(func(by map[string]Coverage) bool { return by[routes].State == Watched && by[routes].Count == 1 })
	f.with(func() { delete(f.served, "httproutes"); f.epoch++ })
	await(func(by map[string]Coverage) bool { return by[routes].State == NotServed && by[routes].Count == 0 })
	if !sink.wait(func(has map[string]string) bool { return has["HTTPRoute shop/web"] == "" }) {
		t.Error("a route of a kind that is no longer served is still there")
	}
}

func TestContentOfSecretsIsNeitherAskedForNorRead(t *testing.T) {
	f := newFakeAPI(t, "pods", "secrets")
	f.put("secrets", "shop/db", `,"data":{"password":"aHVudGVyMg=="},"stringData":{"also":"hunter2"}`)
	plain, _ := f.open(t, Options{})
	if err := plain.ReadOnce(t.Context(), newRecord()); err != nil {
		t.Fatal(err)
	}
	for _, path := range f.asked {
		if strings.Contains(path, "secrets") {
			t.Errorf("asked for %s without having been told to", path)
		}
	}
	names, _ := f.open(t, Options{Secrets: true})
	var mu sync.Mutex
	var seen bytes.Buffer
	names.decode = func(doc []byte) (*inventory.Object, error) {
		mu.Lock()
		seen.Write(doc)
		mu.Unlock()
		return inventory.Decode(doc)
	}
	sink := newRecord()
	if err := names.ReadOnce(t.Context(), sink); err != nil {
		t.Fatal(err)
	}
	if sink.has["Secret shop/db"] == "" {
		t.Fatalf("the secret's name is not there: %v; coverage %+v", sink.has, names.Coverage())
	}
	// This server sends more than it was asked for: it is dropped unread.
	if bytes.Contains(seen.Bytes(), []byte("aHVudGVyMg")) || bytes.Contains(seen.Bytes(), []byte("hunter2")) {
		t.Errorf("content of a secret was handed on: %s", seen.String())
	}
	if last := f.asked[slices.IndexFunc(f.asked, func(s string) bool { return strings.Contains(s, "/secrets") })]; !strings.Contains(last, "as=PartialObjectMetadataList") {
		t.Errorf("secrets were asked for as %q, not as metadata", last)
	}
}

func TestReadOnce(t *testing.T) {
	f := newFakeAPI(t, "pods", "services")
	f.forbidden["services"] = true
	for i := range 10 {
		f.put("pods", fmt.Sprintf("shop/web-%d", i), "")
	}
	f.fault("429", "500", "cut-list", "expired-page")
	w, _ := f.open(t, Options{})
	sink := newRecord()
	if err := w.ReadOnce(t.Context(), sink); err != nil {
		t.Fatal(err)
	}
	if len(sink.has) != 10 {
		t.Errorf("%d pods were read, want 10: %v", len(sink.has), sink.has)
	}
	for _, c := range w.Coverage() {
		want := NotServed
		switch c.Resource {
		case "pods":
			want = Read
		case "services":
			want = NotAssessed
		}
		if c.State != want {
			t.Errorf("%s is %q (%s), want %q", c.Resource, c.State, c.Reason, want)
		}
	}
	<-w.Synced()
	if v := w.Server(); v.Version != "v1.31.4" {
		t.Errorf("the server's version is %q", v.Version)
	}
}

func TestAServerThatCannotBeAskedIsAnError(t *testing.T) {
	f := newFakeAPI(t)
	f.close()
	w, _ := f.open(t, Options{})
	err := w.ReadOnce(t.Context(), newRecord())
	if err == nil {
		t.Fatal("reading from a server that is not there succeeded")
	}
	if reason, remedy := explain(err, want{groups: core, resource: "pods"}); !strings.Contains(reason, "no connection") || remedy == "" {
		t.Errorf("%q is explained as %q, %q", err, reason, remedy)
	}
}

// TestDown holds what is said while a watch is interrupted: for a minute nothing, as it
// usually comes back, and then that it is stale.
func TestDown(t *testing.T) {
	clk := clock.NewManual(time.Unix(1_800_000_000, 0))
	w, err := Open(Options{Config: &rest.Config{Host: "http://127.0.0.1:1"}, Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	f := w.followers[0]
	if got := f.coverage(clk.Now()); got.State != Starting || got.Since != 0 {
		t.Errorf("before anything: %+v", got)
	}
	f.failed(errors.New("broken"))
	if got := f.coverage(clk.Now()); got.State != NotAssessed || got.Reason != "broken" {
		t.Errorf("after a failure: %+v", got)
	}
	f.state(newRecord(), nil)
	f.connected()
	since := clk.Now().UnixNano()
	clk.Advance(time.Hour)
	if got := f.coverage(clk.Now()); got.State != Watched || got.Since != since || got.Reason != "" {
		t.Errorf("while watched: %+v", got)
	}
	f.interrupted()
	f.failed(&StatusError{Code: 503, Message: "shutting down"})
	clk.Advance(time.Minute)
	if got := f.coverage(clk.Now()); got.State != Watched {
		t.Errorf("a minute after the watch went down: %+v", got)
	}
	clk.Advance(time.Second)
	got := f.coverage(clk.Now())
	if got.State != Stale || !strings.Contains(got.Reason, "503: shutting down") || got.Since != 0 {
		t.Errorf("more than a minute after the watch went down: %+v", got)
	}
	if gap, ok := got.Gap(); !ok || !strings.Contains(gap.Reason, "what changed since 2027-01-15T09:00:00Z is not known: ") {
		t.Errorf("its gap: %+v", gap)
	}
	f.connected() // resumed from where it was: nothing was missed
	if got := f.coverage(clk.Now()); got.State != Watched || got.Since != since {
		t.Errorf("after it was resumed: %+v", got)
	}
	f.interrupted()
	f.anew()
	f.state(newRecord(), nil)
	f.connected()
	if got := f.coverage(clk.Now()); got.State != Watched || got.Since != clk.Now().UnixNano() || got.Breaks != 1 {
		t.Errorf("after changes were missed: %+v", got)
	}
}

func TestWaitsAfterFailures(t *testing.T) {
	w, err := Open(Options{Config: &rest.Config{Host: "http://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	f := w.followers[0]
	f.failures = 1
	if got := f.failed(&StatusError{Code: 429, RetryAfter: 7 * time.Second}); got < 7*time.Second {
		t.Errorf("the server asked to wait for 7s, and it is asked again after %s", got)
	}
	if got := f.failed(errExpired); got != 0 {
		t.Errorf("after a version that is too old, everything is read anew in %s, want at once", got)
	}
	f.failures = 40
	if got := f.failed(errors.New("broken")); got < maxRetry/2 || got > maxRetry*3/2 {
		t.Errorf("after 40 failures it waits for %s, want about %s", got, maxRetry)
	}
	// An API server that starts refuses for a moment what it will allow.
	if got := f.failed(&StatusError{Code: 403}); got > time.Second {
		t.Errorf("after a first refusal it waits for %s, want about %s", got, w.opt.Retry)
	}
	f.failures = 40
	if got := f.failed(&StatusError{Code: 403}); got < forbiddenRetry/2 {
		t.Errorf("after 40 refusals it waits for %s, want about %s", got, forbiddenRetry)
	}
}

// TestAnOutageIsNoReasonToReadEverything holds that watches go on from where they were
// once the server is back, however long it was away.
func TestAnOutageIsNoReasonToReadEverything(t *testing.T) {
	f := newFakeAPI(t, "pods")
	f.put("pods", "shop/a", "")
	w, await := f.open(t, Options{})
	sink := newRecord()
	start(t, w, sink)
	<-w.Synced()
	for range 10 * relistAfter { // more than are needed: a client may try a request twice
		f.fault("down")
	}
	f.cut()
	await(func(by map[string]Coverage) bool { return by["pods"].Failures > relistAfter })
	f.with(func() { f.faults = nil })
	f.put("pods", "shop/b", "")
	if !sink.wait(func(has map[string]string) bool { return has["Pod shop/b"] != "" }) {
		t.Fatal("the watch did not go on")
	}
	for _, c := range w.Coverage() {
		if c.Resource == "pods" && c.Breaks != 0 {
			t.Errorf("everything was read anew: %+v", c)
		}
	}
}

// TestAVersionThatTheServerChokesOnIsLeft holds that a watch that only ever gets errors
// begins anew.
func TestAVersionThatTheServerChokesOnIsLeft(t *testing.T) {
	f := newFakeAPI(t, "pods")
	f.put("pods", "shop/a", "")
	w, await := f.open(t, Options{})
	start(t, w, newRecord())
	<-w.Synced()
	for range relistAfter {
		f.fault("500")
	}
	f.cut()
	await(func(by map[string]Coverage) bool { return by["pods"].Breaks == 1 && by["pods"].State == Watched })
}

func TestAStalledRequestIsGivenUp(t *testing.T) {
	clk := clock.NewManual(time.Unix(1_800_000_000, 0))
	arrived := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}))
	defer srv.Close()
	w, err := Open(Options{Config: &rest.Config{Host: srv.URL}, Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- w.ReadOnce(context.Background(), newRecord()) }()
	<-arrived
	clk.WaitTimers(1)
	clk.Advance(stall)
	if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a request without answer ended with %v", err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	followed := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	defer other.Close()
	srv := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer srv.Close()
	w, err := Open(Options{Config: &rest.Config{Host: srv.URL, BearerToken: "secret"}})
	if err != nil {
		t.Fatal(err)
	}
	var st *StatusError
	if err := w.ReadOnce(t.Context(), newRecord()); !errors.As(err, &st) || st.Code != http.StatusTemporaryRedirect {
		t.Errorf("a redirect ended with %v", err)
	}
	if followed {
		t.Error("the credentials were taken to where the redirect led")
	}
}
