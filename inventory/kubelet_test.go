package inventory

import (
	"reflect"
	"strings"
	"testing"
)

func TestConfigzIsReducedToWhatIsJudged(t *testing.T) {
	doc := `{"kubeletconfig":{
		"enableServer":true,"authentication":{"x509":{"clientCAFile":"/etc/kubernetes/certs/ca.crt"},"webhook":{"enabled":true,"cacheTTL":"2m0s"},"anonymous":{"enabled":false}},
		"authorization":{"mode":"Webhook"},"streamingConnectionIdleTimeout":"4h0m0s","makeIPTablesUtilChains":true,"eventRecordQPS":0,"rotateCertificates":true,
		"featureGates":{"RotateKubeletServerCertificate":true},"clusterDNS":["10.0.0.10"]}}`
	want := map[string]string{
		"authentication.anonymous.enabled": "false", "authentication.webhook.enabled": "true", "authentication.x509.clientCAFile": "/etc/kubernetes/certs/ca.crt",
		"authorization.mode": "Webhook", "readOnlyPort": "0", "streamingConnectionIdleTimeout": "4h0m0s", "makeIPTablesUtilChains": "true", "eventRecordQPS": "0",
		"rotateCertificates": "true", "serverTLSBootstrap": "false", "featureGates.RotateKubeletServerCertificate": "true",
	}
	got, err := ReduceConfigz([]byte(doc))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%v", got, err)
	}
	for doc, want := range map[string]string{
		`{}`: "without kubeletconfig", `{"kubeletconfig":{}}`: "without kubeletconfig", `[]`: "configz:", `{"kubeletconfig":3}`: "configz:",
		strings.Repeat(" ", maxConfigz+1): "more than",
	} {
		if _, err := ReduceConfigz([]byte(doc)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v", doc, err)
		}
	}
	// What is of another shape is not known, rather than taken for its default.
	got, err = ReduceConfigz([]byte(`{"kubeletconfig":{"readOnlyPort":[1],"rotateCertificates":null,"authentication":"no","eventRecordQPS":{}}}`))
	if err != nil || !reflect.DeepEqual(got, map[string]string{"serverTLSBootstrap": "false"}) {
		t.Errorf("%v %v", got, err)
	}
}

func FuzzReduceConfigz(f *testing.F) {
	f.Add([]byte(`{"kubeletconfig":{"authentication":{"anonymous":{"enabled":false}},"readOnlyPort":10255,"featureGates":{"RotateKubeletServerCertificate":true}}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		got, err := ReduceConfigz(doc)
		if (err == nil) != (got != nil) || len(got) > 11 {
			t.Fatalf("%v %v", got, err)
		}
		for k, v := range got {
			if len(v) > maxName {
				t.Fatalf("%s has %d bytes", k, len(v))
			}
		}
	})
}

func TestWhatANodesKubeletSaidGoesWithTheNode(t *testing.T) {
	node := func() *Object { return &Object{Key: Key{Kind: KindNode, Name: "n"}, Node: &Node{OS: "linux"}} }
	s := NewState(Options{Cluster: "c"})
	s.SetKubelet(&Kubelet{Node: "n", At: 1})
	s.Put(node())
	s.Dirty()
	s.SetKubelet(&Kubelet{Node: "n", At: 2, Files: make([]NodeFile, MaxNodeFiles+1)})
	put, _ := s.Dirty()
	if len(put) != 1 || put[0].Node == nil || put[0].Node.Kubelet == nil || put[0].Node.Kubelet.At != 2 || len(put[0].Node.Kubelet.Files) != MaxNodeFiles {
		t.Fatalf("%+v", put)
	}
	s.Delete(Key{Kind: KindNode, Name: "n"}, "")
	s.Put(node())
	for _, d := range s.Full() {
		if d.Node != nil && d.Node.Kubelet != nil {
			t.Error("a new node of the name has what the old one said")
		}
	}
	if got := s.NodeNames(); !reflect.DeepEqual(got, []string{"n"}) {
		t.Errorf("%v", got)
	}
}

func TestTheTwoHalvesOfAKubeletComeApart(t *testing.T) {
	s := NewState(Options{Cluster: "c"})
	s.Put(&Object{Key: Key{Kind: KindNode, Name: "n"}, Node: &Node{}})
	told := func() *Kubelet {
		for _, d := range s.Full() {
			if d.Node != nil {
				return d.Node.Kubelet
			}
		}
		return nil
	}
	s.SetKubelet(&Kubelet{Node: "n", At: 5, Config: map[string]string{"a": "1"}})
	s.SetKubelet(&Kubelet{Node: "n", At: 4, Files: []NodeFile{{Path: "/p"}}})
	if k := told(); k.Config["a"] != "1" || len(k.Files) != 1 || k.At != 5 || k.Why != nil {
		t.Errorf("%+v", k)
	}
	s.SetKubelet(&Kubelet{Node: "n", At: 6, Why: map[string]string{"config": "no right"}})
	if k := told(); k.Config != nil || len(k.Files) != 1 || k.Why["config"] != "no right" {
		t.Errorf("a right that was taken away leaves what was known: %+v", k)
	}
	s.SetKubelet(&Kubelet{Node: "n", At: 7, Why: map[string]string{"files": "not seen"}})
	if k := told(); k.Files != nil || k.Why["config"] != "no right" || k.Why["files"] != "not seen" {
		t.Errorf("%+v", k)
	}
}

func FuzzDecodeKubelet(f *testing.F) {
	f.Add([]byte(`{"node":"n","at":1,"files":[{"path":"/etc/kubernetes/azure.json","role":"azure-json","mode":384}],"why":{"config":"x"}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		k, err := DecodeKubelet(doc)
		if (k == nil) == (err == nil) || k != nil && len(k.Files) > MaxNodeFiles {
			t.Fatalf("%+v %v", k, err)
		}
	})
}
