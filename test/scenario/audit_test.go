package scenario

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule"
)

// storyRules are rules of both sources for the stories of testdata/audit.scenario.
func storyRules(t testing.TB) *rule.Rules {
	t.Helper()
	data, err := os.ReadFile("testdata/audit.yaml")
	if err != nil {
		t.Fatal(err)
	}
	src, diags := rule.Load([]rule.File{{Name: "audit.yaml", Data: data}}, rule.LoadOptions{ValidField: rule.ValidField})
	set, more := rule.Compile(src, rule.CompileOptions{})
	for _, d := range append(diags, more...) {
		t.Fatal(d)
	}
	return set
}

// TestStoriesOfTheAPIServer plays stories with objects, requests and processes, directly
// and through a trace, as the stories of the shipped rules are.
func TestStoriesOfTheAPIServer(t *testing.T) {
	set := storyRules(t)
	data, err := os.ReadFile("testdata/audit.scenario")
	if err != nil {
		t.Fatal(err)
	}
	stories, err := Parse("audit.scenario", data)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stories {
		t.Run(s.Name, func(t *testing.T) {
			tape, err := s.Tell()
			if err != nil {
				t.Fatal(err)
			}
			for _, wrong := range tape.Check(s.File, play(set, tape)) {
				t.Error(wrong)
			}
			a, b := encodedAll(t, slices.Concat(play(set, tape)...)), encodedAll(t, replay(t, set, tape))
			if !slices.Equal(a, b) {
				t.Errorf("played and replayed differ\n%s\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
			}
		})
	}
}

// tellOne tells a story of one event and returns its document.
func tellOne(t *testing.T, lines string) map[string]any {
	t.Helper()
	stories, err := Parse("x", []byte("scenario: x\n"+lines))
	if err != nil {
		t.Fatal(err)
	}
	tape, err := stories[0].Tell()
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(tape.Records[len(tape.Records)-1].Event.JSON, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestARequestIsWrittenAsTheServerWritesIt(t *testing.T) {
	for line, want := range map[string]string{
		"audit eve get secrets ns=shop name=db":                              `{"requestURI":"/api/v1/namespaces/shop/secrets/db","verb":"get","objectRef":{"apiVersion":"v1","name":"db","namespace":"shop","resource":"secrets"},"responseStatus":{"code":200,"metadata":{}}}`,
		"audit eve create pods/exec ns=shop name=web query=command=sh":       `{"requestURI":"/api/v1/namespaces/shop/pods/web/exec?command=sh","objectRef":{"apiVersion":"v1","name":"web","namespace":"shop","resource":"pods","subresource":"exec"}}`,
		"audit eve patch deployments/scale ns=shop name=web":                 `{"requestURI":"/apis/apps/v1/namespaces/shop/deployments/web/scale"}`,
		"audit eve list widgets.example.com":                                 `{"requestURI":"/apis/example.com/v1/widgets","objectRef":{"apiGroup":"example.com","apiVersion":"v1","resource":"widgets"}}`,
		"audit eve get namespaces ns=shop name=shop":                         `{"requestURI":"/api/v1/namespaces/shop"}`,
		"audit anonymous get /version":                                       `{"requestURI":"/version","user":{"username":"system:anonymous","groups":["system:unauthenticated"]}}`,
		"audit sa:shop/web list secrets decision=forbid":                     `{"responseStatus":{"code":403,"metadata":{},"reason":"Forbidden","status":"Failure"},"annotations":{"authorization.k8s.io/decision":"forbid","authorization.k8s.io/reason":""}}`,
		"audit sa:shop/web list secrets token=web-1@n1 from=10.0.0.1,::1":    `{"sourceIPs":["10.0.0.1","::1"],"user":{"username":"system:serviceaccount:shop:web","groups":["system:serviceaccounts","system:serviceaccounts:shop","system:authenticated"],"extra":{"authentication.kubernetes.io/pod-name":["web-1"],"authentication.kubernetes.io/node-name":["n1"]}}}`,
		"audit eve get pods name=p-%d times=3 every=1s as=node:n1":           `{"auditID":"story-2-3","requestURI":"/api/v1/pods/p-3","impersonatedUser":{"username":"system:node:n1","groups":["system:nodes","system:authenticated"]}}`,
		"audit eve create pods stage=RequestReceived more={\"level\":\"x\"}": `{"level":"x","responseStatus":null}`,
		"audit eve create pods request=<<END\nspec:\n  hostPID: true\nEND":   `{"requestObject":{"spec":{"hostPID":true}}}`,
		"audit <<END facts={\"cluster\":\"c\"}\n{\"auditID\":\"y\"}\nEND":    `{"auditID":"y","dockreeve":{"cluster":"c"}}`,
	} {
		doc := tellOne(t, line)
		var members map[string]any
		if err := json.Unmarshal([]byte(want), &members); err != nil {
			t.Fatal(err)
		}
		for k, v := range members {
			a, _ := json.Marshal(doc[k])
			b, _ := json.Marshal(v)
			if string(a) != string(b) {
				t.Errorf("%s: %s is\n%s, want\n%s", line, k, a, b)
			}
		}
	}
}

func TestAWrongLineOfTheAPIServerSaysSo(t *testing.T) {
	for lines, want := range map[string]string{
		"audit eve get":                                   "x:2: audit: 2 words, want who, verb and resource",
		"audit eve get pods code=x":                       "x:2: code=x: not a number",
		"audit eve get pods facts=<<END\nnothing: 1\nEND": `x:2: facts: `,
		"audit eve get pods request=<<END\na: b":          "x:2: request: no line END ends the text",
		"object a":                                        "x:2: object: want <<END",
		"object <<END\nkind: Pod\nEND":                    "x:2: object: ",
		"wait soon":                                       `x:2: wait: "soon" is not a duration`,
		"audit eve get pods\ncluster prod":                "x:3: cluster: it comes before",
		"cluster prod config=<<END\ntenants: [{}]\nEND":   "x:2: tenants[0]: name is empty",
		"audit eve get pods times=1000001":                "x:2: times=1000001: want a number",
	} {
		stories, err := Parse("x", []byte("scenario: x\n"+lines))
		if err == nil {
			_, err = stories[0].Tell()
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", lines, err, want)
		}
	}
}

// TestComputedFactsTravel holds that facts are computed from the objects of the story
// and stand in the event once.
func TestComputedFactsTravel(t *testing.T) {
	doc := tellOne(t, "cluster prod\naudit eve get secrets ns=shop")
	var f event.AuditFacts
	b, _ := json.Marshal(doc[event.FactsKey])
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	if f.Cluster != "prod" || f.Actor != event.ActorUser || f.ActorName != "eve" || f.From != event.FromInternet {
		t.Errorf("%s", b)
	}
}
