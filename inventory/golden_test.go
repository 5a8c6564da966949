package inventory

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// loaded is a state of the objects in testdata/shop.json.
func loaded(t *testing.T) *State {
	t.Helper()
	doc, err := os.ReadFile("testdata/shop.json")
	if err != nil {
		t.Fatal(err)
	}
	s := NewState(Options{Cluster: "lab"})
	err = DecodeList(doc, func(o *Object, err error) bool {
		if err != nil {
			t.Fatal(err)
		}
		s.Put(o)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestDocuments holds what the hub is told of a small cluster, field by field.
func TestDocuments(t *testing.T) {
	s := loaded(t)
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	for _, d := range s.Full() {
		if err := enc.Encode(d); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range s.PodsOf("n1") {
		if err := enc.Encode(p); err != nil {
			t.Fatal(err)
		}
	}
	const golden = "testdata/shop.golden"
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		got, exp := bytes.Split(out.Bytes(), []byte("\n")), bytes.Split(want, []byte("\n"))
		for i := range min(len(got), len(exp)) {
			if !bytes.Equal(got[i], exp[i]) {
				t.Fatalf("%s:%d: %s, now %s (go test -update writes it anew)", golden, i+1, exp[i], got[i])
			}
		}
		t.Fatalf("%s: %d lines, now %d", golden, len(exp), len(got))
	}
}
