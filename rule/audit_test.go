package rule

import (
	"encoding/json"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/event"
)

// genAuditFields are audit fields of every shape.
var genAuditFields = []genField{
	{"ka.verb", "text"}, {"ka.user.name", "text"}, {"jevt.value[/stage]", "text"}, {"jevt.value[/requestObject/spec/containers/0/image]", "text"},
	{"ka.target.name", "text"}, {"ka.req.configmap.obj", "text"}, {"ka.uri.param[a]", "text"}, {"tolower(ka.verb)", "text"}, {"concat(ka.verb, ka.user.name)", "text"},
	{`join(",", ka.user.groups)`, "text"}, {"ka.user.groups", "texts"}, {"ka.req.pod.containers.image", "texts"}, {"ka.req.pod.containers.image[1]", "texts"},
	{"ka.req.pod.containers.image.repository", "texts"}, {"ka.req.pod.containers.eff_run_as_user", "texts"}, {"tolower(ka.sourceips)", "texts"},
	{"len(ka.user.groups)", "number"}, {"audit.count.secrets", "number"}, {"audit.tenant.crossed", "bool"}, {"audit.sourceip", "addr"},
	{"audit.actor.kind", "text"}, {"audit.grants", "texts"}, {"evt.type", "type"}, {"evt.num", "number"},
}

// genAudit makes an audit event, now and then one whose document is no JSON.
func genAudit(t *rapid.T) *event.Event {
	doc := map[string]any{}
	maybe := func(what string) bool { return rapid.Bool().Draw(t, what) }
	text := func(what string) string { return genText.Draw(t, what) }
	if rapid.IntRange(0, 7).Draw(t, "id") > 0 {
		doc["auditID"] = "x"
	}
	for _, k := range []string{"verb", "stage"} {
		if maybe(k) {
			doc[k] = text(k)
		}
	}
	if maybe("user") {
		doc["user"] = map[string]any{"username": text("username"), "groups": rapid.SliceOfN(genText, 0, 3).Draw(t, "groups")}
	}
	if maybe("uri") {
		doc["requestURI"] = "/x?a=" + rapid.SampledFrom([]string{"", "b", "%2Fa%2Fb", "x+y", "%"}).Draw(t, "param")
	}
	if maybe("request") {
		var containers []any
		for range rapid.IntRange(0, 3).Draw(t, "containers") {
			c := map[string]any{}
			if maybe("image") {
				c["image"] = text("image") + rapid.SampledFrom([]string{"", ":1", "@sha256:1"}).Draw(t, "tag")
			}
			if maybe("context") {
				c["securityContext"] = map[string]any{"runAsUser": rapid.IntRange(0, 2).Draw(t, "uid")}
			}
			containers = append(containers, c)
		}
		doc["requestObject"] = map[string]any{"data": map[string]any{"a": text("data")}, "spec": map[string]any{"containers": containers}}
	}
	if maybe("from") {
		doc["sourceIPs"] = rapid.SliceOfN(genAddr, 0, 2).Draw(t, "addresses")
	}
	if maybe("target") {
		doc["objectRef"] = map[string]any{"name": text("name")}
	}
	if maybe("facts") {
		doc[event.FactsKey] = event.AuditFacts{
			Actor: text("actor"), CrossTenant: maybe("crossed"), Grants: rapid.SliceOfN(genText, 0, 2).Draw(t, "grants"), SecretsRead: rapid.IntRange(0, 3).Draw(t, "secrets"),
		}
	}
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if rapid.IntRange(0, 15).Draw(t, "cut") == 0 {
		b = b[:len(b)-1]
	}
	return &event.Event{ID: event.ID{Lane: event.LaneAudit, Seq: 3}, Type: event.TypePluginevent, Source: event.SourceK8sAudit, JSON: b}
}

// TestEngineAgreesWithNaiveOnAudit is TestEngineAgreesWithNaive for audit events.
func TestEngineAgreesWithNaiveOnAudit(t *testing.T) {
	n := naive{testFields()}
	rapid.Check(t, func(t *rapid.T) {
		var checks []string
		for range rapid.IntRange(2, 14).Draw(t, "checks") {
			checks = append(checks, genCheckOf(t, genAuditFields, []string{"ka.verb", "ka.target.name", "audit.actor.kind"}))
		}
		var conditions []string
		for range rapid.IntRange(1, 12).Draw(t, "rules") {
			conditions = append(conditions, genCondition(t, checks, rapid.IntRange(0, 4).Draw(t, "depth")))
		}
		rules, diags := tryCompileFor("k8s_audit", conditions...)
		for _, d := range diags {
			if d.Severity == SeverityError {
				t.Fatalf("%s in %q", d, conditions)
			}
		}
		all, first := NewMatcher(rules, All), NewMatcher(rules, First)
		for range 6 {
			ev := genAudit(t)
			var want []string
			for _, r := range rules.All() {
				if n.holds(r.res.Condition, ev, false) {
					want = append(want, r.info.Name)
				}
			}
			if got := matches(all, ev); !slices.Equal(got, want) {
				t.Fatalf("got %v, want %v\nrules %q\nevent %s", got, want, conditions, ev.JSON)
			}
			if got := matches(first, ev); !slices.Equal(got, want[:min(len(want), 1)]) {
				t.Fatalf("first: got %v, all %v", got, want)
			}
		}
	})
}

// TestSourcesAreApart holds that rules see the events of their own source only, in both
// directions, whatever their conditions say of evt.type.
func TestSourcesAreApart(t *testing.T) {
	rules := compileFiles(t, []File{{Name: "t.yaml", Data: []byte(`
- {rule: k1, desc: d, output: o, priority: INFO, condition: evt.type exists}
- {rule: k2, desc: d, output: o, priority: INFO, condition: evt.type = pluginevent}
- {rule: k3, desc: d, output: o, priority: INFO, condition: not proc.name = x}
- {rule: a1, desc: d, output: o, priority: INFO, source: k8s_audit, condition: not ka.verb = x}
- {rule: a2, desc: d, output: o, priority: INFO, source: k8s_audit, condition: evt.type != openat}
- {rule: a3, desc: d, output: o, priority: INFO, source: k8s_audit, condition: evt.type = openat}
`)}})
	m := NewMatcher(rules, All)
	audit := &event.Event{Type: event.TypePluginevent, Source: event.SourceK8sAudit, JSON: []byte(`{"auditID":"x"}`)}
	kernel := &event.Event{Type: event.TypeOpenat}
	odd := &event.Event{Type: event.TypeOpenat, Source: event.SourceK8sAudit} // nothing makes one
	for _, c := range []struct {
		ev   *event.Event
		want []string
	}{{audit, []string{"a1", "a2"}}, {kernel, []string{"k1", "k3"}}, {odd, nil}} {
		if got := matches(m, c.ev); !slices.Equal(got, c.want) {
			t.Errorf("%s of %s: %v, want %v", c.ev.Type, c.ev.Source, got, c.want)
		}
	}
	for name, want := range map[string]Assessed{"k1": AssessedFully, "k2": NotAssessed, "a1": AssessedFully, "a2": AssessedFully, "a3": NotAssessed} {
		if r, _ := rules.Find(name); r.info.Assessment.State != want {
			t.Errorf("%s is %s, want %s: %s", name, r.info.Assessment.State, want, r.info.Assessment.Reason)
		}
	}
	only := compileFiles(t, []File{{Name: "t.yaml", Data: []byte("- {rule: a, desc: d, output: o, priority: INFO, source: k8s_audit, condition: ka.verb = get}")}})
	if i := only.Interest(); !i.Types.Empty() {
		t.Errorf("an audit rule asks the kernel for %d types of events", i.Types.Len())
	}
}
