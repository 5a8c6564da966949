package cluster

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/source/kube"
)

func TestWhatKubeletsSayGoesWithTheNodesDocument(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/nodes/n1/proxy/configz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		fmt.Fprint(rw, `{"kubeletconfig":{"readOnlyPort":10255}}`)
	}))
	defer srv.Close()
	w, err := kube.Open(kube.Options{Config: &rest.Config{Host: srv.URL}})
	if err != nil {
		t.Fatal(err)
	}
	a := agentWith(t, &sink{}, func(o *Options) { o.Objects = w })
	a.state.Put(&inventory.Object{Key: inventory.Key{Kind: inventory.KindNode, Name: "n1"}, Node: &inventory.Node{}})
	a.state.Put(&inventory.Object{Key: inventory.Key{Kind: inventory.KindNode, Name: "v"}, Node: &inventory.Node{Virtual: true}})
	a.askOnce(context.Background())
	told := ""
	for _, d := range a.state.Full() {
		if d.Node != nil && d.Node.Kubelet != nil {
			told += d.Node.Name + " " + d.Node.Kubelet.Config["readOnlyPort"]
		}
	}
	if told != "n1 10255" {
		t.Errorf("told %q", told)
	}
}
