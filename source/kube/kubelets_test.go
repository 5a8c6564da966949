package kube

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
)

// kubelets is an API server that hands on to kubelets, by node.
type kubelets struct {
	mu    sync.Mutex
	asked int
	nodes map[string]func(http.ResponseWriter)
}

func (k *kubelets) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	k.asked++
	k.mu.Unlock()
	node, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/api/v1/nodes/"), "/proxy/configz")
	if answer := k.nodes[node]; ok && answer != nil {
		answer(rw)
		return
	}
	refuse(rw, 404, "NotFound", fmt.Sprintf("nodes %q not found", node))
}

func says(doc string) func(http.ResponseWriter) {
	return func(rw http.ResponseWriter) { fmt.Fprint(rw, doc) }
}

func askKubelets(t *testing.T, k *kubelets, nodes ...string) map[string]string {
	t.Helper()
	srv := httptest.NewServer(k)
	defer srv.Close()
	w, err := Open(Options{Config: &rest.Config{Host: srv.URL}})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, x := range w.Kubelets(context.Background(), nodes) {
		if x.At == 0 {
			t.Errorf("%s has no time", x.Node)
		}
		out[x.Node] = x.Why["config"]
		if x.Config != nil {
			out[x.Node] = "anonymous " + x.Config["authentication.anonymous.enabled"] + ", port " + x.Config["readOnlyPort"]
		}
	}
	return out
}

func TestKubeletsTellTheirConfiguration(t *testing.T) {
	k := &kubelets{nodes: map[string]func(http.ResponseWriter){
		"a": says(`{"kubeletconfig":{"authentication":{"anonymous":{"enabled":false}},"readOnlyPort":10255}}`),
		"b": says(`{"kubeletconfig":{"authentication":{"anonymous":{"enabled":true}}}}`),
		"c": func(rw http.ResponseWriter) { refuse(rw, 502, "BadGateway", "dial tcp 10.0.0.9:10250: i/o timeout") },
		"d": says(`<html>`),
		"e": says(`{"kubeletconfig":{"x":"` + strings.Repeat("y", maxConfigz) + `"}}`),
	}}
	got := askKubelets(t, k, "a", "b", "c", "d", "e", "gone")
	for node, want := range map[string]string{
		"a": "anonymous false, port 10255", "b": "anonymous true, port 0", "c": "the kubelet of c did not answer: the API server answers 502: dial tcp",
		"d": "configz", "e": "more than", "gone": "did not answer: the API server answers 404",
	} {
		if !strings.Contains(got[node], want) {
			t.Errorf("%s: %q, want %q in it", node, got[node], want)
		}
	}
}

func TestARightThatIsMissingIsAskedForOnce(t *testing.T) {
	no := func(rw http.ResponseWriter) { refuse(rw, 403, "Forbidden", "nodes is forbidden") }
	k := &kubelets{nodes: map[string]func(http.ResponseWriter){"a": no, "b": no, "c": no}}
	got := askKubelets(t, k, "a", "b", "c")
	for _, node := range []string{"a", "b", "c"} {
		if !strings.Contains(got[node], "grant get on nodes/proxy") {
			t.Errorf("%s: %q", node, got[node])
		}
	}
	if k.asked != 1 {
		t.Errorf("asked %d times", k.asked)
	}
	if got := askKubelets(t, k); len(got) != 0 {
		t.Errorf("of no nodes: %v", got)
	}
}
