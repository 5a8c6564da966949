package cluster

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
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

// one is a receiver of one list.
type one []link.Envelope

func (r one) Receive(context.Context, int) ([]link.Envelope, error) { return r, nil }
func (one) Ack(string, uint64, link.Lane, uint64) error             { return nil }

// TestTheNodeOfThisProcessTellsOfItsFiles: in the process of the hub the node has no
// certificate, and is believed; those that come from elsewhere are held to theirs.
func TestTheNodeOfThisProcessTellsOfItsFiles(t *testing.T) {
	a := agentWith(t, &sink{}, func(o *Options) { o.Alone = true })
	for _, n := range []string{"n1", "n2"} {
		a.state.Put(&inventory.Object{Key: inventory.Key{Kind: inventory.KindNode, Name: n}, Node: &inventory.Node{}})
	}
	says := func(origin, doc string) link.Envelope {
		return link.Envelope{Origin: origin, Lane: link.LaneInventory, Kind: link.KindKubelet, Bytes: []byte(doc)}
	}
	in := one{says("local", `{"node":"n1","at":1,"files":[{"path":"/p","role":"kubeconfig","mode":384}]}`), says("local/cluster", `{"node":"n2","files":[{"path":"/q"}]}`), says("node/other/n2", `{"node":"n2","files":[{"path":"/q"}]}`)}
	if list, err := a.FromNodes(in).Receive(context.Background(), 10); err != nil || len(list) != 3 {
		t.Fatal(list, err)
	}
	told := ""
	for _, d := range a.state.Full() {
		if d.Node != nil && d.Node.Kubelet != nil {
			told += d.Node.Name + " " + d.Node.Kubelet.Files[0].Path + ";"
		}
	}
	if told != "n1 /p;" {
		t.Errorf("told %q", told)
	}
}

func TestNodesSpeakOfTheirOwnFilesOnly(t *testing.T) {
	a := agentWith(t, &sink{}, nil)
	for _, n := range []string{"n1", "n2"} {
		a.state.Put(&inventory.Object{Key: inventory.Key{Kind: inventory.KindNode, Name: n}, Node: &inventory.Node{}})
	}
	says := func(origin, doc string) link.Envelope {
		return link.Envelope{Origin: origin, Lane: link.LaneInventory, Kind: link.KindKubelet, Bytes: []byte(doc)}
	}
	in := one{
		says("node/prod/n1", `{"node":"n2","at":1,"config":{"readOnlyPort":"0"},"files":[{"path":"/p","role":"kubeconfig","mode":384}],"why":{"config":"lies"}}`),
		says("node/other/n2", `{"node":"n2","files":[{"path":"/q"}]}`), says("local", `{"node":"n2","files":[{"path":"/q"}]}`), says("node/prod/n2", `{"files":`),
		{Origin: "node/prod/n2", Kind: link.KindStatus, Bytes: []byte(`{}`)},
	}
	out, err := a.FromNodes(in).Receive(context.Background(), 9)
	if err != nil || len(out) != len(in) {
		t.Fatalf("%d of %d went on: %v", len(out), len(in), err)
	}
	for _, d := range a.state.Full() {
		if d.Node == nil {
			continue
		}
		k := d.Node.Kubelet
		if d.Node.Name == "n2" && k != nil {
			t.Errorf("n2 is said to say %+v", k)
		}
		if d.Node.Name == "n1" && (k == nil || len(k.Files) != 1 || k.Config != nil || k.Why["config"] != "") {
			t.Errorf("n1 is said to say %+v", k)
		}
	}
}
