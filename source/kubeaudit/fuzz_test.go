package kubeaudit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/event"
)

// check holds what every event handed on promises.
func check(t testing.TB, s *sink) {
	t.Helper()
	for _, e := range s.events {
		if !json.Valid([]byte(e.doc)) || len(e.doc) > MaxEvent || strings.ContainsAny(e.doc, "\n\x00\u2028") {
			t.Fatalf("not one line of JSON of at most %d bytes: %.300q", MaxEvent, e.doc)
		}
		var top map[string]json.RawMessage
		if err := json.Unmarshal([]byte(e.doc), &top); err != nil {
			t.Fatal(err)
		}
		for k := range top {
			if strings.EqualFold(k, event.FactsKey) {
				t.Fatalf("facts from outside: %.300s", e.doc)
			}
		}
		var p parser
		n, err := p.tree([]byte(e.doc))
		if err != nil {
			t.Fatalf("%v: %.300s", err, e.doc)
		}
		var r redactor
		if r.event(&n) || string(n.append(nil)) != e.doc {
			t.Fatalf("a second redaction changes\n%s\nto\n%s", e.doc, n.append(nil))
		}
		if eventID(&n) != e.ID {
			t.Fatalf("another id the second time: %.300s", e.doc)
		}
		if e.Time == 0 || e.Time > e.Received+int64(ahead) || !printable(e.Cluster) || !printable(e.ResourceID) {
			t.Fatalf("event %+v", e)
		}
	}
}

// FuzzStream feeds any bytes whole and in two pieces.
func FuzzStream(f *testing.F) {
	ev := audit("a", "requestObject", `{"kind":"Secret","data":{"a":"b"}}`)
	f.Add([]byte(ev+"\n"), 10)
	f.Add([]byte(ev[:100]+"\n"+ev), 100)
	f.Add([]byte(`{"records":[`+record("kube-audit", ev)+`]}`), 3)
	f.Add([]byte(row("AKSAudit", ev)), 3)
	f.Add([]byte(`{"tables":[{"columns":[{"name":"AuditId"}],"rows":[["x"]]}]}`), 3)
	f.Add([]byte(`{"logGroup":"/aws/eks/x/cluster","logStream":"kube-apiserver-audit-1","logEvents":[{"message":`+quote(ev)+`}]}`), 3)
	f.Add([]byte("[\n"+ev+",\n"+ev+"\n]"), 1)
	f.Add([]byte("{\n\"a\":1,\n{\n"+ev+",\n"), 1)
	f.Add([]byte("\ufeff\x00W1120 text\n{\"auditID\":\"x\",\"Dockreeve\":1}"), 1)
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		whole := pieces(t, text)
		at = max(0, min(at, len(text)))
		if parts := pieces(t, text[:at], text[at:]); parts != whole {
			t.Fatalf("in two pieces: %s\nwhole: %s", parts, whole)
		}
	})
}

// pieces takes a stream in, piece by piece, and says what came of it.
func pieces(t testing.TB, parts ...[]byte) string {
	var s sink
	in, _ := newIntake(&s)
	b := in.batch("reader")
	sp := &splitter{b: b, max: 1 << 16}
	for _, p := range parts {
		if err := sp.write(context.Background(), p); err != nil {
			t.Fatal(err)
		}
	}
	if err := sp.finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := b.done(context.Background()); err != nil {
		t.Fatal(err)
	}
	check(t, &s)
	var out []string
	for _, e := range s.events {
		out = append(out, e.ID.String())
	}
	h := hop(t, in, "reader")
	return fmt.Sprint(out, h.Lost, h.Skipped, h.Duplicates)
}

// FuzzEvent feeds anything as the object of a request, where clients write.
func FuzzEvent(f *testing.F) {
	for _, o := range []string{`{"kind":"Secret","data":{"a":"b"}}`, `[{"op":"add","path":"/data/x","value":1}]`, `"text"`, `{"a":{"a":"` + strings.Repeat(`[`, 40) + `"}}`,
		`{"command":["sh","-c","mysql -px"],"args":[1]}`, `{"annotations":{"x":"{\"kind\":\"Secret\",\"data\":{\"a\":\"b\"}}"}}`, `{"name":"PASSWORD","value":"x=y token=z"}`} {
		f.Add(o, "/api/v1/secrets?command=a&token=b")
	}
	f.Fuzz(func(t *testing.T, object, uri string) {
		if !json.Valid([]byte(object)) {
			return
		}
		var s sink
		in, _ := newIntake(&s)
		b := in.batch("reader")
		doc := `{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","verb":"create","user":{"username":"anna"},"requestURI":` + quote(uri) + `,"requestObject":` + object + `}`
		if err := b.message(context.Background(), []byte(doc), Source{}); err != nil {
			t.Fatal(err)
		}
		if err := b.done(context.Background()); err != nil {
			t.Fatal(err)
		}
		if len(s.events) != 1 || hop(t, in, "reader").Out != 1 {
			t.Fatalf("%d events, losses %v, of %s", len(s.events), s.losses, doc)
		}
		check(t, &s)
	})
}

// TestHoweverTheStreamIsCut holds that the same bytes give the same events and losses in
// whatever pieces they come.
func TestHoweverTheStreamIsCut(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var text bytes.Buffer
		n := rapid.IntRange(1, 12).Draw(rt, "documents")
		for i := range n {
			ev := audit(fmt.Sprint(i))
			switch rapid.IntRange(0, 9).Draw(rt, "shape") {
			case 0, 1:
				fmt.Fprintln(&text, ev)
			case 2:
				_ = json.Indent(&text, []byte(ev), "", " ")
			case 3:
				fmt.Fprint(&text, ev)
			case 4:
				fmt.Fprintf(&text, "[%s,\n%s]", ev, audit("more"+fmt.Sprint(i)))
			case 5:
				fmt.Fprintln(&text, ev[:rapid.IntRange(0, len(ev)-1).Draw(rt, "cut")])
			case 6:
				fmt.Fprintln(&text, `{"records":[`+record("kube-audit", ev)+","+record("guard", "x")+"]}")
			case 7:
				fmt.Fprintln(&text, "E1120 08:00:00.1 1 x.go:1] text")
			case 8:
				text.WriteString(rapid.StringMatching(`[{}\[\]",:\n a0]{0,20}`).Draw(rt, "junk"))
			case 9:
				fmt.Fprintln(&text, row("AKSAudit", ev))
			}
		}
		cuts := rapid.SliceOfN(rapid.IntRange(0, text.Len()), 0, 8).Draw(rt, "pieces")
		slices.Sort(cuts)
		var parts [][]byte
		at := 0
		for _, c := range append(cuts, text.Len()) {
			parts = append(parts, text.Bytes()[at:c])
			at = c
		}
		whole, cut := pieces(t, text.Bytes()), pieces(t, parts...)
		if whole != cut {
			rt.Fatalf("whole %s\nin pieces %s\nof %q", whole, cut, text.String())
		}
	})
}
