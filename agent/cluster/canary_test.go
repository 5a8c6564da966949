package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/dockreeve/dockreeve/internal/clock"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/source/kube"
)

// TestTheAgentTellsWhoDenied moves the agent's clock from canary to canary: without the
// namespace, which it waits for, then refused, then denied, then let in.
func TestTheAgentTellsWhoDenied(t *testing.T) {
	var answer atomic.Value
	var asked atomic.Int64
	answer.Store(`pods is forbidden: User "x" cannot create resource "pods" in API group "" in the namespace "dockreeve-canary"`)
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/pods") {
			rw.WriteHeader(http.StatusCreated)
			return
		}
		asked.Add(1)
		rw.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(rw, `{"kind":"Status","message":%q}`, answer.Load())
	}))
	defer srv.Close()
	w, err := kube.Open(kube.Options{Config: &rest.Config{Host: srv.URL}})
	if err != nil {
		t.Fatal(err)
	}
	s, clk := &sink{}, clock.NewManual(time.Unix(1_790_000_000, 0))
	a := agentWith(t, s, func(o *Options) { o.Objects, o.Clock, o.CanaryEvery = w, clk, time.Minute })
	ctx, cancel := context.WithCancel(t.Context())
	synced, ended := make(chan struct{}), make(chan error, 1)
	close(synced)
	go func() { ended <- a.canary(ctx, synced) }()
	next := func(d time.Duration) map[string]inventory.Canary {
		t.Helper()
		clk.WaitTimers(1)
		clk.Advance(d)
		clk.WaitTimers(1) // it waits for the next one: this one was told
		var r inventory.CanaryReport
		list := s.kind(link.KindCanary)
		if err := json.Unmarshal(list[len(list)-1], &r); err != nil || len(r.List) != 2 || r.Cluster != "prod" {
			t.Fatal(r, err)
		}
		return map[string]inventory.Canary{r.List[0].Kind: r.List[0], r.List[1].Kind: r.List[1]}
	}
	for range 3 {
		if c := next(time.Minute)["denial"]; c.Sent != 0 || !strings.Contains(c.NotAssessed, "deploy/kubernetes/canary.yaml") {
			t.Errorf("without the right: %+v", c)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times without the right", n)
	}
	// The namespace was made, and an API server that starts refuses all the same.
	a.state.Put(&inventory.Object{Key: inventory.Key{Kind: inventory.KindNamespace, Name: kube.CanaryNamespace}})
	asked.Store(0)
	answer.Store(`pods is forbidden: User "x" cannot create resource "pods" in API group "" in the namespace "dockreeve-canary"`)
	for i, d := range []time.Duration{canaryAgain, canaryAgain, 2 * canaryAgain} {
		if c := next(d)["denial"]; c.Sent != 0 || c.NotAssessed == "" || asked.Load() != int64(i+1) {
			t.Errorf("refused once more, asked %d times: %+v", asked.Load(), c)
		}
	}
	answer.Store(`pods "dockreeve-canary" is forbidden: violates PodSecurity "baseline:latest": all of it`)
	got := next(4 * canaryAgain)
	if c := got["denial"]; c.Sent == 0 || c.Denied != c.Sent || c.By != "Pod Security Admission (baseline)" || c.Every != int64(time.Minute) || !strings.Contains(c.Untold, "not watched") {
		t.Errorf("denied: %+v", c)
	}
	if c := got["audit"]; c.Sent != 0 || c.NotAssessed == "" {
		t.Errorf("nobody watches: %+v", c)
	}
	a.Way("webhook")
	answer.Store(`pods "dockreeve-canary" is forbidden: exceeded quota: no-pods, requested: pods=1, used: pods=0, limited: pods=0`)
	got = next(time.Minute)
	if c := got["denial"]; c.Sent == 0 || c.Denied != 0 || c.By != "" || c.Answer == "" || c.Untold != "" {
		t.Errorf("let in: %+v", c)
	}
	if c := got["audit"]; c.Sent == 0 || c.NotAssessed != "" {
		t.Errorf("watched: %+v", c)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
