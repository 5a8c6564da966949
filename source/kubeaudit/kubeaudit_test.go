package kubeaudit

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/internal/clock"
)

// epoch is when these tests happen.
var epoch = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

// got is one event as a handler had it.
type got struct {
	event.Event
	Source
	doc string
}

// sink is a handler that keeps what it is given.
type sink struct {
	mu     sync.Mutex
	events []got
	losses []event.Loss
	fail   func(n int) error // asked before each event, with how many are kept
	came   chan struct{}     // has room for every event of a test
}

func (s *sink) handler() Handler {
	s.came = make(chan struct{}, 100_000)
	return Handler{
		Event: func(ev *event.Event, src Source) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.fail != nil {
				if err := s.fail(len(s.events)); err != nil {
					return err
				}
			}
			s.events = append(s.events, got{*ev.Clone(), src, string(ev.JSON)})
			s.came <- struct{}{}
			return nil
		},
		Loss: func(l event.Loss) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.losses = append(s.losses, l)
		},
	}
}

// ids lists the audit ids in order.
func (s *sink) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, e := range s.events {
		var v struct {
			AuditID string `json:"auditID"`
		}
		if err := json.Unmarshal([]byte(e.doc), &v); err != nil {
			out = append(out, "not JSON: "+err.Error())
			continue
		}
		out = append(out, v.AuditID)
	}
	return out
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func newIntake(s *sink) (*Intake, *clock.Manual) {
	c := clock.NewManual(epoch)
	return New(Options{Handler: s.handler(), Cluster: "here", Clock: c, Log: quiet()}), c
}

// hop returns the counts of a way and checks that they add up.
func hop(t testing.TB, in *Intake, way string) Hop {
	t.Helper()
	for _, h := range in.Stats().Hops {
		if h.Way == way {
			sum := h.Out + h.Duplicates
			for _, n := range h.Lost {
				sum += n
			}
			if sum != h.In {
				t.Errorf("hop %s does not add up: %+v", way, h)
			}
			return h
		}
	}
	return Hop{}
}

// audit writes one event in the form that API servers write it.
func audit(id string, more ...string) string {
	m := map[string]any{
		"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": id, "stage": "ResponseComplete",
		"requestURI": "/api/v1/namespaces/shop/pods", "verb": "create",
		"user":                     map[string]any{"username": "anna@example.org", "groups": []string{"system:authenticated"}},
		"sourceIPs":                []string{"203.0.113.9"},
		"userAgent":                "kubectl/v1.34.1 (linux/amd64) kubernetes/93248f9",
		"objectRef":                map[string]any{"resource": "pods", "namespace": "shop", "apiVersion": "v1"},
		"responseStatus":           map[string]any{"metadata": map[string]any{}, "code": 201},
		"requestReceivedTimestamp": "2026-11-20T07:59:58.100200Z",
		"stageTimestamp":           "2026-11-20T07:59:58.200300Z",
		"annotations":              map[string]any{"authorization.k8s.io/decision": "allow"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		if more[i+1] == "" {
			delete(m, more[i])
			continue
		}
		m[more[i]] = json.RawMessage(more[i+1])
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

const aks = "/SUBSCRIPTIONS/0F1E/RESOURCEGROUPS/RG-SHOP/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/AKS-SHOP"

// record wraps a log text as AKS's diagnostic settings do.
func record(category, log string) string {
	return fmt.Sprintf(`{"time":"2026-11-20T07:59:59Z","resourceId":%q,"category":%q,"operationName":"Microsoft.ContainerService/managedClusters/diagnosticLogs/Read","properties":{"log":%s,"stream":"stdout","pod":"kube-apiserver-6d5"}}`, aks, category, quote(log))
}

// row writes an event as a row of AKSAudit, each dynamic column as text.
func row(table, ev string) string {
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(ev), &m); err != nil {
		panic(err)
	}
	out := map[string]any{"TimeGenerated": "2026-11-20T08:00:00Z", "Type": table, "_ResourceId": strings.ToLower(aks), "PodName": "kube-apiserver-6d5"}
	for _, c := range rowColumns {
		v, ok := m[c.member]
		if !ok {
			continue
		}
		if v[0] == '"' {
			out[c.column] = v
		} else {
			out[c.column] = string(v)
		}
	}
	b, _ := json.Marshal(out)
	return string(b)
}

func zip(s string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.Bytes()
}

func read(t testing.TB, in *Intake, text string) {
	t.Helper()
	if err := in.Reader(strings.NewReader(text)).Run(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

// TestTheSameEventByEveryShape holds that whatever wraps an event, it comes out with the
// same id, once, and with the cluster that the wrapping names.
func TestTheSameEventByEveryShape(t *testing.T) {
	ev := audit("3f0c5d2e-0001")
	item := strings.Replace(ev, `"kind":"Event",`, "", 1)
	item = strings.Replace(item, `"apiVersion":"audit.k8s.io/v1",`, "", 1)
	var pretty bytes.Buffer
	_ = json.Indent(&pretty, []byte(ev), "", "  ")
	rows := func(doc string) string { // as the query API answers
		var m map[string]json.RawMessage
		_ = json.Unmarshal([]byte(doc), &m)
		var columns, values []string
		for k, v := range m {
			columns, values = append(columns, fmt.Sprintf(`{"name":%q,"type":"string"}`, k)), append(values, string(v))
		}
		return fmt.Sprintf(`{"tables":[{"name":"PrimaryResult","columns":[%s],"rows":[[%s]]}]}`, strings.Join(columns, ","), strings.Join(values, ","))
	}
	diagnostics := fmt.Sprintf(`{"TenantId":"t","Category":"kube-audit-admin","ResourceId":%q,"log_s":%s,"pod_s":"kube-apiserver"}`, aks, quote(ev))
	for _, c := range []struct{ name, text, cluster, category string }{
		{"a line", ev + "\n", "here", ""},
		{"without an end of line", ev, "here", ""},
		{"over many lines", pretty.String(), "here", ""},
		{"a list", "[" + ev + "]", "here", ""},
		{"compressed", string(zip(ev + "\n")), "here", ""},
		{"a byte order mark", "\ufeff" + ev, "here", ""},
		{"EventList", `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[` + item + `]}`, "here", ""},
		{"v1beta1", strings.Replace(ev, "audit.k8s.io/v1", "audit.k8s.io/v1beta1", 1), "here", ""},
		{"Event Hub", `{"records":[` + record("kube-audit", ev) + `]}`, "aks-shop", CategoryAudit},
		{"Storage", record("kube-audit-admin", ev+"\n") + "\r\n", "aks-shop", CategoryAuditAdmin},
		{"AzureDiagnostics", diagnostics, "aks-shop", CategoryAuditAdmin},
		{"AKSAudit", row("AKSAudit", ev), "aks-shop", CategoryAudit},
		{"AKSAuditAdmin in an Event Hub", `{"records":[` + row("AKSAuditAdmin", ev) + `]}`, "aks-shop", CategoryAuditAdmin},
		{"query API", rows(row("AKSAudit", ev)), "aks-shop", CategoryAudit},
		{"query API of AzureDiagnostics", rows(diagnostics), "aks-shop", CategoryAuditAdmin},
		{"CloudWatch", `{"messageType":"DATA_MESSAGE","logGroup":"/aws/eks/shop-eu/cluster","logStream":"kube-apiserver-audit-77","logEvents":[{"id":"1","timestamp":1,"message":` + quote(ev) + `}]}`, "shop-eu", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s sink
			in, _ := newIntake(&s)
			read(t, in, ev)
			read(t, in, c.text)
			if h := hop(t, in, "reader"); h.Out != 1 || h.Duplicates != 1 {
				t.Fatalf("after the same event twice: %+v, events %v", h, s.ids())
			}
			in, _ = newIntake(&s)
			s.events = nil
			read(t, in, c.text)
			if len(s.events) != 1 || len(s.losses) != 0 {
				t.Fatalf("events %v, losses %v", s.ids(), s.losses)
			}
			e := s.events[0]
			equal(t, "cluster", e.Cluster, c.cluster)
			equal(t, "category", e.Category, c.category)
			equal(t, "type", e.Type, event.TypePluginevent)
			equal(t, "source", e.Event.Source, event.SourceK8sAudit)
			equal(t, "time", e.Time, time.Date(2026, 11, 20, 7, 59, 58, 200300000, time.UTC).UnixNano())
			equal(t, "received", e.Received, epoch.UnixNano())
			if c.cluster == "aks-shop" {
				equal(t, "resource id", e.ResourceID, strings.ToLower(aks))
			}
			var want, have any
			_ = json.Unmarshal([]byte(ev), &want)
			if err := json.Unmarshal([]byte(e.doc), &have); err != nil {
				t.Fatal(err)
			}
			if c.name != "v1beta1" && fmt.Sprint(want) != fmt.Sprint(have) {
				t.Errorf("document:\n%v\nwant:\n%v", have, want)
			}
		})
	}
}

// TestAClientCannotHideARequestBehindAnother: the audit id is the client's to choose.
func TestAClientCannotHideARequestBehindAnother(t *testing.T) {
	var s sink
	in, _ := newIntake(&s)
	read(t, in, audit("same", "verb", `"get"`))
	read(t, in, audit("same"))
	read(t, in, audit("same", "requestURI", `"/api/v1/namespaces/kube-system/pods"`))
	read(t, in, audit("same", "requestReceivedTimestamp", `"2026-11-20T07:59:58.100201Z"`))
	read(t, in, audit("same", "stage", `"ResponseStarted"`))
	equal(t, "handed on", hop(t, in, "reader").Out, 5)
}

func TestRepeatsAreRememberedForAWhileOnly(t *testing.T) {
	var s sink
	in, c := newIntake(&s)
	for i, step := range []time.Duration{0, 4 * time.Minute, 5 * time.Minute} {
		c.Advance(step)
		read(t, in, audit("a"))
		if h := hop(t, in, "reader"); h.Out != 1 || h.Duplicates != uint64(i) {
			t.Fatalf("after %s: %+v", step, h)
		}
	}
	c.Advance(11 * time.Minute)
	read(t, in, audit("a"))
	equal(t, "handed on after the memory's time", hop(t, in, "reader").Out, 2)
	for i := range 2*recentMax + 10 {
		in.recent.add(event.ID{Seq: uint64(i)}, epoch)
	}
	if n := len(in.recent.young) + len(in.recent.old); n > 2*recentMax {
		t.Errorf("%d ids remembered, want at most %d", n, 2*recentMax)
	}
}

// TestBadInput walks through what the API server's side may send that is no event.
func TestBadInput(t *testing.T) {
	good, next := audit("good"), audit("next")
	deep := strings.Repeat("[", 3000) + strings.Repeat("]", 3000)
	for _, c := range []struct {
		name, text string
		lost       string // reason and count, "" none
		events     string
	}{
		{"a line cut in half", good[:len(good)/2] + "\n" + next + "\n", "cut 1", "next"},
		{"cut behind a colon", good[:strings.Index(good, `"user":`)+7] + "\n" + next + "\n" + good + "\n", "cut 1", "next good"},
		{"cut inside a list", good[:strings.Index(good, `"sourceIPs":[`)+13] + "\n" + next + "\n" + good + "\n", "cut 1", "next good"},
		{"cut at the end", next + "\n" + good[:len(good)-5], "cut 1", "next"},
		{"the end of a cut line", good[len(good)/2:] + "\n" + next + "\n", "not_json 1", "next"},
		{"klog text between", "W1120 08:00:00.000001       1 reflector.go:470] watch closed\n" + next, "klog_text 1", "next"},
		{"klog text in the envelope", `{"records":[` + record("kube-audit", "I1120 08:00:01.000001 1 trace.go:236] slow") + "," + record("kube-audit", next) + `]}`, "klog_text 1", "next"},
		{"half an event in the envelope", `{"records":[` + record("kube-audit", good[:300]) + "," + record("kube-audit", next) + `]}`, "cut 1", "next"},
		{"no log in the envelope", `{"records":[{"category":"kube-audit","properties":{}},` + record("kube-audit", next) + `]}`, "no_log 1", "next"},
		{"other text in the envelope", `{"records":[` + record("kube-audit", "hello") + `]}`, "not_json 1", ""},
		{"an event that is none", `{"records":[` + record("kube-audit", `{"kind":"Pod","apiVersion":"v1"}`) + `]}`, "unknown_version 1", ""},
		{"no audit id", audit("", "auditID", "") + "\n" + next, "no_audit_id 1", "next"},
		{"unknown version", strings.Replace(good, "audit.k8s.io/v1", "audit.k8s.io/v7", 1) + "\n" + next, "unknown_version 1", "next"},
		{"an audit policy", `{"kind":"Policy","apiVersion":"audit.k8s.io/v1","auditID":"x"}`, "not_an_event 1", ""},
		{"another list", `{"kind":"PodList","apiVersion":"v1","items":[{}]}`, "not_an_event 1", ""},
		{"Google's audit log", `{"protoPayload":{},"insertId":"1"}`, "google_audit_log 1", ""},
		{"unknown", `{"hello":1}` + "\n" + next, "unknown_document 1", "next"},
		{"numbers and words in a list", "[1,true,\n" + next + "]", "not_json 1", "next"},
		{"binary", "\xff\xfe\x00\x01\x02\n" + next, "not_json 1", "next"},
		{"zeros where a file was cut short", "\x00\x00\x00\x00" + next, "", "next"},
		{"broken gzip", string(zip(good)[:60]), "gzip_broken 1", ""},
		{"nested lists", `{"records":{"records":{"records":{"records":{"records":{"records":{"records":{"records":[]}}}}}}}}` + "\n" + next, "nested 1", "next"},
		{"a document within bounds nobody sends", `{"records":` + deep + "}\n" + next, "nested 1", "next"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s sink
			in, _ := newIntake(&s)
			read(t, in, c.text)
			var lost []string
			for k, n := range hop(t, in, "reader").Lost {
				lost = append(lost, fmt.Sprint(k, " ", n))
			}
			equal(t, "lost", strings.Join(lost, ","), c.lost)
			equal(t, "events", strings.Join(s.ids(), " "), c.events)
			told := uint64(0)
			for _, l := range s.losses {
				told += l.Count
				if l.Lane != event.LaneAudit || l.Hop != "kubeaudit.reader" || l.From == 0 {
					t.Errorf("loss %+v", l)
				}
			}
			equal(t, "losses told", told > 0, c.lost != "")
		})
	}
}

func TestOtherCategoriesAreSkippedAndCounted(t *testing.T) {
	var s sink
	in, _ := newIntake(&s)
	read(t, in, `{"records":[`+record("guard", "text")+","+record("kube-apiserver", "I1120 text")+","+record("made-up-by-somebody", "x")+","+record("KUBE-AUDIT", audit("a"))+`]}`)
	h := hop(t, in, "reader")
	equal(t, "skipped", fmt.Sprint(h.Skipped), "map[guard:1 kube-apiserver:1 other:1]")
	equal(t, "lost", len(h.Lost), 0)
	equal(t, "events", strings.Join(s.ids(), " "), "a")
}

// TestMetadataIsNeverLost: whatever a client writes into its object, who did what stays.
func TestMetadataIsNeverLost(t *testing.T) {
	big := `{"kind":"ConfigMap","data":{"x":"` + strings.Repeat("y", 700<<10) + `"}}`
	bigger := `{"kind":"ConfigMap","data":{"x":"` + strings.Repeat("y", 2<<20) + `"}}`
	many := `{"kind":"ConfigMap","x":[` + strings.Repeat("1,", 1<<20) + `1]}`
	deep := strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500)
	for _, c := range []struct {
		name              string
		more              []string
		request, response string // kind of what is left, or the mark
		note              string
	}{
		{"both too large together", []string{"requestObject", big, "responseObject", big}, "ConfigMap", "ConfigMap", "trimmed"},
		{"the request's too large", []string{"requestObject", bigger, "responseObject", `{"kind":"Status"}`}, "ConfigMap", "Status", "trimmed"},
		{"too many values", []string{"requestObject", many, "responseObject", `{"kind":"Status"}`}, TooBig, "Status", "trimmed"},
		{"nested beyond bounds", []string{"requestObject", deep, "responseObject", `{"kind":"Status"}`}, Unreadable, "Status", "trimmed"},
		{"left out by the exporter", []string{"requestObject", quote(TooBig), "responseObject", `{"kind":"Status"}`}, TooBig, "Status", "trimmed"},
		{"left out by the API server", []string{"annotations", `{"audit.k8s.io/truncated":"true"}`}, "", "", "trimmed"},
		{"escapes that grow", []string{"requestObject", `{"kind":"X","x":"` + strings.Repeat("\x7f", 600<<10) + `"}`, "responseObject", `{"kind":"Status"}`}, "X", "Status", "trimmed"},
		{"a huge agent", []string{"userAgent", quote(strings.Repeat("m", 2<<20)), "requestObject", `{"kind":"Pod"}`, "responseObject", `{"kind":"Status"}`}, "Pod", "Status", "trimmed"},
		{"many huge annotations", []string{"annotations", `{"a":"` + strings.Repeat("\x7f", 400<<10) + `"}`, "requestObject", `{"kind":"Pod"}`, "responseObject", `{"kind":"Status"}`}, TooBig, TooBig, "trimmed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s sink
			in, _ := newIntake(&s)
			read(t, in, audit("a", c.more...))
			if len(s.events) != 1 {
				t.Fatalf("events %v, losses %v", s.ids(), s.losses)
			}
			e := s.events[0]
			if len(e.doc) > MaxEvent {
				t.Errorf("%d bytes handed on, want at most %d", len(e.doc), MaxEvent)
			}
			var v struct {
				Verb                          string
				User                          struct{ Username string }
				RequestObject, ResponseObject json.RawMessage
				ObjectRef                     struct{ Namespace string }
			}
			if err := json.Unmarshal([]byte(e.doc), &v); err != nil {
				t.Fatal(err)
			}
			equal(t, "verb", v.Verb, "create")
			equal(t, "user", v.User.Username, "anna@example.org")
			equal(t, "namespace", v.ObjectRef.Namespace, "shop")
			what := func(b json.RawMessage) string {
				var o struct{ Kind string }
				if json.Unmarshal(b, &o) == nil {
					return o.Kind
				}
				return strings.Trim(string(b), `"`)
			}
			equal(t, "request", what(v.RequestObject), c.request)
			equal(t, "response", what(v.ResponseObject), c.response)
			equal(t, "flag", e.Flags&event.FlagTruncated != 0, true)
			equal(t, "note", hop(t, in, "reader").Notes[c.note], 1)
		})
	}
}

func TestFactsFromOutsideAreDropped(t *testing.T) {
	var s sink
	in, _ := newIntake(&s)
	ev := audit("a")
	for _, key := range []string{"dockreeve", "Dockreeve", `doc\u212aREEVE`, `d\u006fckreeve`} {
		read(t, in, strings.Replace(ev, `"kind"`, `"`+key+`":{"platform":true},"kind"`, 1))
	}
	if len(s.events) != 1 {
		t.Fatalf("%d events", len(s.events))
	}
	equal(t, "notes", hop(t, in, "reader").Notes["foreign_facts"], 1)
	s.events = nil
	in, _ = newIntake(&s)
	for i, key := range []string{"dockreeve", "Dockreeve", `doc\u212aREEVE`, `d\u006fckreeve`} {
		read(t, in, strings.Replace(audit(fmt.Sprint(i)), `"kind"`, `"`+key+`":{"platform":true},"kind"`, 1))
	}
	for _, e := range s.events {
		doc, err := event.WithAuditFacts([]byte(e.doc), &event.AuditFacts{Cluster: "c"})
		var v struct{ Dockreeve event.AuditFacts }
		if err == nil {
			err = json.Unmarshal(doc, &v)
		}
		if err != nil || v.Dockreeve.Platform || v.Dockreeve.Cluster != "c" {
			t.Errorf("facts from outside were read: %v %+v", err, v.Dockreeve)
		}
	}
	equal(t, "events", len(s.events), 4)
}

func TestClocks(t *testing.T) {
	for _, c := range []struct {
		name, stage, received, note string
		want                        time.Time
	}{
		{"stage", `"2026-11-20T07:00:00.5Z"`, `"2026-11-20T06:00:00Z"`, "", epoch.Add(-time.Hour + 500*time.Millisecond)},
		{"only received", "", `"2026-11-20T07:00:00Z"`, "", epoch.Add(-time.Hour)},
		{"a little ahead", `"2026-11-20T08:04:59Z"`, "", "", epoch.Add(5*time.Minute - time.Second)},
		{"ahead", `"2026-11-20T09:00:00Z"`, "", "clock_ahead", epoch},
		{"far ahead", `"9999-12-31T23:59:59Z"`, "", "time_missing", epoch},
		{"before time", `"0001-01-01T00:00:00Z"`, "", "time_missing", epoch},
		{"null", "null", "null", "time_missing", epoch},
		{"none", "", "", "time_missing", epoch},
		{"no time", `"yesterday"`, `7`, "time_missing", epoch},
		{"another zone", `"2026-11-20T09:00:00+02:00"`, "", "", epoch.Add(-time.Hour)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s sink
			in, _ := newIntake(&s)
			read(t, in, audit("a", "stageTimestamp", c.stage, "requestReceivedTimestamp", c.received))
			if len(s.events) != 1 {
				t.Fatal(s.losses)
			}
			equal(t, "time", time.Unix(0, s.events[0].Time).UTC(), c.want)
			if c.note != "" {
				equal(t, "note", hop(t, in, "reader").Notes[c.note], 1)
			}
			if c.note == "clock_ahead" && !strings.Contains(s.events[0].doc, "2026-11-20T09:00:00Z") {
				t.Error("the event's own time is not in its document any more")
			}
		})
	}
}

func TestTextIsMadeUTF8(t *testing.T) {
	var s sink
	in, _ := newIntake(&s)
	read(t, in, strings.Replace(audit("a"), "kubectl/", "k\xff\\ud800\u2028\x7f\\u0000/", 1))
	if len(s.events) != 1 {
		t.Fatal(s.losses)
	}
	equal(t, "note", hop(t, in, "reader").Notes["invalid_utf8"], 1)
	if want := "k\ufffd\ufffd\\u2028\\u007f\\u0000/v1.34.1"; !strings.Contains(s.events[0].doc, want) {
		t.Errorf("no %s in %s", want, s.events[0].doc)
	}
}

// TestADocumentIsOfferedAgain holds that a handler's error loses and doubles nothing.
func TestADocumentIsOfferedAgain(t *testing.T) {
	var s sink
	in, c := newIntake(&s)
	tries := 0
	s.fail = func(n int) error {
		if n == 2 && tries < 3 {
			tries++
			return errors.New("the spool is full")
		}
		return nil
	}
	text := `{"records":[` + record("kube-audit", audit("a")) + "," + record("kube-audit", "junk") + "," + record("kube-audit", audit("b")) + "," + record("kube-audit", audit("c")) + "]}\n" + audit("d")
	done := make(chan error)
	go func() { done <- in.Reader(strings.NewReader(text)).Run(context.Background()) }()
	for range 3 {
		c.WaitTimers(1)
		c.Advance(time.Minute)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	equal(t, "events", strings.Join(s.ids(), " "), "a b c d")
	h := hop(t, in, "reader")
	equal(t, "junk", h.Lost["not_json"], 1)
	equal(t, "errors", h.Errors["handler"], 3)
}

func TestReaderStops(t *testing.T) {
	var s sink
	in, c := newIntake(&s)
	s.fail = func(int) error { return errors.New("no") }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- in.Reader(strings.NewReader(audit("a"))).Run(ctx) }()
	c.WaitTimers(1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v", err)
	}
}

// TestReaderStopsWithoutInput: a standard input that says nothing holds up no shutdown.
func TestReaderStopsWithoutInput(t *testing.T) {
	for _, first := range []string{"", audit("a") + "\n", string(zip(audit("a")))[:20]} {
		var s sink
		in, _ := newIntake(&s)
		r, w := io.Pipe()
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- in.Reader(r).Run(ctx) }()
		if _, err := io.WriteString(w, first); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
		equal(t, "lost", len(hop(t, in, "reader").Lost), 0)
		_ = w.Close()
	}
}

func TestCoverageSaysWhatCannotBeSeen(t *testing.T) {
	var s sink
	in, c := newIntake(&s)
	said := func(k []string) string { return strings.Join(k, "\n") }
	if got := said(in.Coverage().NotAssessed); !strings.Contains(got, "No audit event has arrived since 2026-11-20T08:00:00Z") {
		t.Errorf("before anything came: %q", got)
	}
	read(t, in, record("kube-audit-admin", audit("a", "requestObject", `{"kind":"Pod"}`)))
	cov := in.Coverage()
	if len(cov.Clusters) != 1 || len(cov.NotAssessed) != 0 {
		t.Fatalf("%+v", cov)
	}
	got := said(cov.Clusters[0].NotAssessed)
	for _, want := range []string{"Only kube-audit-admin", "mass reading of secrets", "discovery", "enable the category kube-audit", "object of its response"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	c.Advance(time.Minute)
	read(t, in, record("kube-audit", audit("a", "requestObject", `{"kind":"Pod"}`)))
	read(t, in, record("kube-audit", audit("b", "verb", `"list"`, "responseObject", `{"kind":"Status"}`)))
	cov = in.Coverage()
	if k := cov.Clusters[0]; len(k.NotAssessed) != 0 || len(k.Seen) != 2 || k.Cluster != "aks-shop" {
		t.Errorf("with all seen: %+v", k)
	}
	equal(t, "both categories' events", cov.Clusters[0].Seen[0].Events+cov.Clusters[0].Seen[1].Events, 3)
	equal(t, "the same event by both categories", hop(t, in, "reader").Duplicates, 1)
	read(t, in, audit("c", "level", `"Metadata"`))
	k := in.Coverage().Clusters[1]
	got = said(k.NotAssessed)
	for _, want := range []string{"No get, list or watch", "metadata only"} {
		if k.Cluster != "here" || !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	for i := range maxClusters + 5 {
		in.seen.add(Source{Cluster: fmt.Sprint(i)}, about{}, 1)
	}
	equal(t, "clusters told apart", len(in.Coverage().Clusters), maxClusters)
	equal(t, "the rest is said", len(in.Coverage().NotAssessed), 1)
}

func TestClusterOf(t *testing.T) {
	var s sink
	c := clock.NewManual(epoch)
	in := New(Options{Handler: s.handler(), Clock: c, Log: quiet(), ClusterOf: func(id string) string {
		if strings.Contains(id, "/rg-shop/") {
			return "shop"
		}
		return ""
	}})
	other := strings.Replace(record("kube-audit", audit("b")), "RG-SHOP", "RG-LAB", 1)
	evil := strings.Replace(record("kube-audit", audit("c")), aks, `/x\u001b[31m\"><script>`, 1)
	read(t, in, record("kube-audit", audit("a"))+"\n"+other+"\n"+evil)
	var names []string
	for _, e := range s.events {
		names = append(names, e.Cluster)
	}
	if !slices.Equal(names, []string{"shop", "aks-shop", ""}) {
		t.Errorf("clusters %q, losses %v", names, s.losses)
	}
}

// TestBombs: what is small outside and endless inside is bounded.
func TestBombs(t *testing.T) {
	var s sink
	in, _ := newIntake(&s)
	r := in.Reader(bytes.NewReader(zip(audit("a") + "\n" + strings.Repeat(" ", 1<<20) + audit("b"))))
	r.inflated = 1 << 20
	if err := r.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	equal(t, "before the bound", strings.Join(s.ids(), " "), "a")
	equal(t, "lost", hop(t, in, "reader").Lost["gzip_too_big"], 1)

	in, _ = newIntake(&s)
	s.events = nil
	b := in.batch("reader")
	sp := &splitter{b: b, max: 4096}
	text := "{\"records\":[\"" + strings.Repeat("x", 10_000) + "\"]}\n" + audit("c") + "\n" + strings.Repeat("z", 10_000) + "\n" + audit("d") + "\n"
	if err := errors.Join(sp.write(context.Background(), []byte(text)), sp.finish(context.Background()), b.done(context.Background())); err != nil {
		t.Fatal(err)
	}
	equal(t, "after long lines", strings.Join(s.ids(), " "), "c d")
	h := hop(t, in, "reader")
	equal(t, "too long", h.Lost["too_long"], 1)
	equal(t, "long text", h.Lost["not_json"], 1)
}

// tellLog is a log that tells of each warning by a channel.
func tellLog(c chan struct{}) *slog.Logger { return slog.New(tell{c}) }

type tell struct{ c chan struct{} }

func (tell) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (t tell) Handle(context.Context, slog.Record) error  { t.c <- struct{}{}; return nil }
func (t tell) WithAttrs([]slog.Attr) slog.Handler         { return t }
func (t tell) WithGroup(string) slog.Handler              { return t }
