package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/process"
)

func auditEvent(seq uint64, doc string) *event.Event {
	return &event.Event{ID: event.ID{Node: 1, Lane: event.LaneAudit, Seq: seq}, Type: event.TypePluginevent, Source: event.SourceK8sAudit, Time: int64(seq) * 1e9, JSON: []byte(doc)}
}

// TestAuditOnlyTrace holds that a recording without kernel, snapshot and processes is
// one: its events come back with their facts, and touch no process table.
func TestAuditOnlyTrace(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, Header{Cluster: "prod"}, process.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range uint64(5) {
		doc, err := event.WithAuditFacts([]byte(fmt.Sprintf(`{"auditID":"a%d","verb":"get\u0041\n"}`, i)), &event.AuditFacts{Cluster: "prod", SecretsRead: int(i)})
		if err != nil {
			t.Fatal(err)
		}
		ev := auditEvent(i+1, string(doc))
		if err := w.Event(ev, nil); err != nil {
			t.Fatal(err)
		}
		want = append(want, string(ev.AppendJSON(nil)))
	}
	if err := w.Event(auditEvent(9, `"`+strings.Repeat("x", MaxLine)+`"`), nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(""); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(bytes.NewReader(out.Bytes()), ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if h := r.Header(); h.Cluster != "prod" || h.Node != "" {
		t.Errorf("header %+v", h)
	}
	table := process.New(process.Options{})
	var got []string
	losses := 0
	err = Replay(r, table, func(rec *Record) error {
		if rec.Loss != nil {
			losses++
			return nil
		}
		if rec.Event.Process != nil || rec.Facts == nil {
			t.Errorf("an audit event with process %v and facts %v", rec.Event.Process, rec.Facts)
		}
		got = append(got, string(rec.Event.AppendJSON(nil)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || losses != 1 {
		t.Errorf("%d losses; got\n%s\nwant\n%s", losses, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n := len(table.Snapshot().Processes); n != 0 {
		t.Errorf("the table has %d processes", n)
	}
}

func TestOnlyAuditEventsMayLackFacts(t *testing.T) {
	const head = `{"format":"dockreeve-trace","version":1}` + "\n"
	for line, good := range map[string]bool{
		`{"event":{"type":"openat","path":"/x"}}`:                                     false,
		`{"event":{"type":"pluginevent","source":"k8s_audit","json":"{}"}}`:           true,
		`{"event":{"type":"pluginevent","source":"k8s_audit"},"facts":{}}`:            true,
		`{"event":{"type":"pluginevent","source":"k8s_audit"},"facts":{"nothing":1}}`: false,
	} {
		r, err := NewReader(strings.NewReader(head+line+"\n"), ReaderOptions{})
		if err == nil {
			_, err = r.Next()
		}
		if errors.Is(err, ErrLine) == good {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestTheExamplesOfTheManual reads the traces that docs/trace-format.md shows whole.
func TestTheExamplesOfTheManual(t *testing.T) {
	page, err := os.ReadFile("../docs/trace-format.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(page, -1) {
		if !bytes.Contains(m[1], []byte(`"end"`)) {
			continue
		}
		n++
		r, err := NewReader(bytes.NewReader(m[1]), ReaderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", m[1], err)
		}
	}
	if n != 2 {
		t.Errorf("%d examples", n)
	}
}
