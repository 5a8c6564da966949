package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// auditPod is somebody creating a pod with all that the fields look for.
const auditPod = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a-1","stage":"ResponseComplete",
 "requestURI":"/api/v1/namespaces/shop/pods?command=sh&command=-c&command=cat+%2Fetc%2Fshadow&x=%zz&y=%41","verb":"create",
 "user":{"username":"system:serviceaccount:shop:web","groups":["system:serviceaccounts","system:authenticated"],"extra":{"scopes":["a","b"]}},
 "impersonatedUser":{"username":"root@\u0065xample"},"sourceIPs":["10.1.2.3","::ffff:192.0.2.7"],"userAgent":"curl/8",
 "objectRef":{"resource":"pods","namespace":"shop","name":"evil","apiVersion":"v1"},
 "responseStatus":{"code":201,"reason":"Created"},
 "requestObject":{"kind":"Pod","data":{"k": "v", "n" : [1, 2]},"spec":{"hostPID":true,"hostNetwork":true,"type":"NodePort","ports":[{"port": 80}],
  "securityContext":{"runAsUser":7,"fsGroup":9,"supplementalGroups":[1,2]},
  "containers":[
   {"name":"a","image":"reg.io:5000/x/y:1@sha256:aa","command":["sh","-c","a \"b\""],"args":["x"],"ports":[{"containerPort":80},{"containerPort":81,"hostPort":8081}],
    "securityContext":{"privileged":true,"runAsUser":1000,"capabilities":{"add":["SYS_ADMIN","NET_RAW"]},"procMount":"Unmasked"}},
   {"name":"b","image":"busybox"},
   {"name":"c","command":[]}],
  "initContainers":[{"name":"i","image":"init:2"}],
  "volumes":[{"name":"v","hostPath":{"path":"/etc","type":""}},{"name":"w","emptyDir":{}},{"name":"x","flexVolume":{"driver":"d"}}]},
  "rules":[{"verbs":["get","list"],"resources":["secrets"],"apiGroups":[""]},{"verbs":["*"],"nonResourceURLs":["/metrics"]}],
  "roleRef":{"name":"cluster-admin"},
  "subjects":[{"kind":"User","name":"u"},{"kind":"ServiceAccount","name":"sa","namespace":"ns"},{"kind":"Group","name":"g"},{"kind":"User"}]},
 "responseObject":{"metadata":{"name":"evil-1"}},
 "annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC","a/b~c":"odd"},
 "dockreeve":{"cluster":"prod","actor":"service-account","elsewhere":true,"grants":["cluster-admin"],"secretsRead":12,"learned":5}}`

func auditEvent(doc string) *Event {
	return &Event{ID: ID{Node: 1, Lane: LaneAudit, Seq: 5}, Type: TypePluginevent, Source: SourceK8sAudit, Time: 1_700_000_000_123_456_789, JSON: []byte(doc), FD: -1, CPU: -1}
}

func TestAuditGetters(t *testing.T) {
	const none = "<none>"
	e := auditEvent(auditPod)
	bare := auditEvent(`{"auditID":"x","verb":"get"}`)
	foreign := auditEvent(`{"verb":"get","stage":"ResponseComplete"}`)
	num := func(n int) *Arg { return &Arg{Index: n, IsNum: true} }
	key := func(k string) *Arg { return &Arg{Key: k} }
	for _, c := range []struct {
		e    *Event
		name string
		arg  *Arg
		want string
	}{
		{e, "ka.auditid", nil, "a-1"},
		{e, "ka.stage", nil, "ResponseComplete"},
		{e, "ka.verb", nil, "create"},
		{e, "ka.user.name", nil, "system:serviceaccount:shop:web"},
		{e, "ka.user.groups", nil, "system:serviceaccounts,system:authenticated"},
		{e, "ka.impuser.name", nil, "root@example"},
		{e, "ka.auth.decision", nil, "allow"},
		{e, "ka.auth.reason", nil, "RBAC"},
		{e, "ka.auth.openshift.decision", nil, none},
		{e, "ka.uri.param", key("command"), "sh"},
		{e, "ka.uri.param", key("y"), "A"},
		{e, "ka.uri.param", key("x"), none},
		{e, "ka.uri.param", key("z"), none},
		{e, "ka.target.name", nil, "evil"},
		{e, "ka.target.namespace", nil, "shop"},
		{e, "ka.target.resource", nil, "pods"},
		{e, "ka.target.subresource", nil, none},
		{e, "ka.target.pod.name", nil, "evil-1"},
		{e, "ka.resp.name", nil, "evil-1"},
		{e, "ka.response.code", nil, "201"},
		{e, "ka.response.reason", nil, "Created"},
		{e, "ka.req.configmap.obj", nil, `{"k":"v","n":[1,2]}`},
		{e, "ka.req.binding.role", nil, "cluster-admin"},
		{e, "ka.req.binding.subjects", nil, `{"kind":"User","name":"u"},{"kind":"ServiceAccount","name":"sa","namespace":"ns"},{"kind":"Group","name":"g"},{"kind":"User"}`},
		{e, "ka.req.binding.subjects.user_names", nil, "u"},
		{e, "ka.req.binding.subjects.group_names", nil, "g"},
		{e, "ka.req.binding.subjects.serviceaccount_names", nil, "sa"},
		{e, "ka.req.binding.subjects.serviceaccount_ns_names", nil, "ns:sa"},
		{e, "ka.req.binding.subject.has_name", key("sa"), "true"},
		{e, "ka.req.binding.subject.has_name", key("s"), "false"},
		{e, "ka.req.container.image", nil, "reg.io:5000/x/y:1@sha256:aa"},
		{e, "ka.req.container.image.repository", nil, "reg.io"},
		{e, "ka.req.container.privileged", nil, "true"},
		{e, "ka.req.container.host_network", nil, "true"},
		{e, "ka.req.pod.host_pid", nil, "true"},
		{e, "ka.req.pod.host_ipc", nil, none},
		{e, "ka.req.pod.run_as_user", nil, "7"},
		{e, "ka.req.pod.run_as_group", nil, none},
		{e, "ka.req.pod.fs_group", nil, "9"},
		{e, "ka.req.pod.supplemental_groups", nil, "1,2"},
		{e, "ka.req.pod.containers.name", nil, "a,b,c"},
		{e, "ka.req.pod.containers.image", nil, "reg.io:5000/x/y:1@sha256:aa,busybox"},
		{e, "ka.req.pod.containers.image", num(1), "busybox"},
		{e, "ka.req.pod.containers.image", num(2), none},
		{e, "ka.req.pod.containers.image", num(9), none},
		{e, "ka.req.pod.containers.image.repository", nil, "reg.io,busybox"},
		{e, "ka.req.pod.containers.command", nil, `sh -c a "b",`},
		{e, "ka.req.pod.containers.args", nil, "x"},
		{e, "ka.req.pod.containers.privileged", nil, "true"},
		{e, "ka.req.pod.containers.add_capabilities", nil, "SYS_ADMIN,NET_RAW"},
		{e, "ka.req.pod.containers.proc_mount", num(0), "Unmasked"},
		{e, "ka.req.pod.containers.run_as_user", nil, "1000"},
		{e, "ka.req.pod.containers.eff_run_as_user", nil, "1000,7,7"},
		{e, "ka.req.pod.containers.eff_run_as_user", num(1), "7"},
		{e, "ka.req.pod.containers.eff_run_as_group", nil, "0,0,0"},
		{e, "ka.req.pod.containers.host_port", nil, "80,8081"},
		{e, "ka.req.pod.initContainers.image.repository", nil, "init"},
		{e, "ka.req.pod.ephemeralContainers.image", nil, none},
		{e, "ka.req.pod.volumes.hostpath", nil, "/etc"},
		{e, "ka.req.pod.volumes.flexvolume_driver", nil, "d"},
		{e, "ka.req.pod.volumes.volume_type", nil, "hostPath,emptyDir,flexVolume"},
		{e, "ka.req.pod.volumes.volume_type", num(1), "emptyDir"},
		{e, "ka.req.volume.hostpath", key("/etc"), "true"},
		{e, "ka.req.volume.hostpath", key("/e*"), "true"},
		{e, "ka.req.volume.hostpath", key("/e"), "false"},
		{e, "ka.req.role.rules.verbs", nil, "get,list,*"},
		{e, "ka.req.role.rules.verbs", num(1), "*"},
		{e, "ka.req.role.rules.resources", nil, "secrets"},
		{e, "ka.req.role.rules.apiGroups", nil, ""},
		{e, "ka.req.role.rules.nonResourceURLs", nil, "/metrics"},
		{e, "ka.req.service.type", nil, "NodePort"},
		{e, "ka.req.service.ports", nil, `[{"port":80}]`},
		{e, "ka.useragent", nil, "curl/8"},
		{e, "ka.sourceips", nil, "10.1.2.3,::ffff:192.0.2.7"},
		{e, "ka.sourceips", num(0), "10.1.2.3"},
		{e, "ka.sourceips", num(2), none},
		{e, "ka.cluster.name", nil, "prod"},
		{e, "jevt.value", key("/stage"), "ResponseComplete"},
		{e, "jevt.value", key("stage"), "ResponseComplete"},
		{e, "jevt.value", key("/requestObject/spec/containers/1/name"), "b"},
		{e, "jevt.value", key("/requestObject/spec/hostPID"), "true"},
		{e, "jevt.value", key("/annotations/a~1b~0c"), "odd"},
		{e, "jevt.value", key("/requestObject/spec/nothing"), none},
		{e, "jevt.value", key("/requestObject/spec/containers/01"), none},
		{foreign, "jevt.value", key("/stage"), "ResponseComplete"},
		{e, "jevt.rawtime", nil, "1700000000123456789"},
		{auditEvent(`{"a":[1,{"b":"{}"}],"c":{} }`), "jevt.obj", nil, "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"{}\"\n    }\n  ],\n  \"c\": {}\n}"},
		{foreign, "ka.verb", nil, none},
		{e, "json.value", key("/verb"), "create"},
		{e, "evt.pluginname", nil, "k8saudit"},
		{e, "evt.plugininfo", nil, "system:serviceaccount:shop:web create pods shop/evil"},
		{auditEvent(`{"auditID":"x","verb":"list","objectRef":{"resource":"nodes","subresource":"proxy","name":"n\u0031"}}`), "evt.plugininfo", nil, "list nodes/proxy n1"},
		{e, "evt.type", nil, "pluginevent"},
		{e, "evt.source", nil, "k8s_audit"},
		{e, "evt.rawtime", nil, "1700000000123456789"},
		{e, "audit.cluster", nil, "prod"},
		{e, "audit.actor.kind", nil, "service-account"},
		{e, "audit.actor.tenant", nil, none},
		{e, "audit.token.elsewhere", nil, "true"},
		{e, "audit.tenant.crossed", nil, "false"},
		{bare, "audit.tenant.crossed", nil, none},
		{e, "audit.grants", nil, "cluster-admin"},
		{e, "audit.tools", nil, none},
		{e, "audit.count.secrets", nil, "12"},
		{e, "audit.count.denied", nil, "0"},
		{bare, "audit.count.denied", nil, none},
		{e, "audit.learned", nil, "5"},
		{e, "audit.stage", nil, "ResponseComplete"},
		{e, "audit.level", nil, "RequestResponse"},
		{e, "audit.sourceip", nil, "10.1.2.3"},
		{auditEvent(`{"sourceIPs":["::ffff:192.0.2.7"]}`), "audit.sourceip", nil, "192.0.2.7"},
		{auditEvent(`{"sourceIPs":["somewhere"]}`), "audit.sourceip", nil, none},
		{e, "audit.target.apigroup", nil, ""},
		{bare, "audit.target.apigroup", nil, none},
		{auditEvent(`{"objectRef":{"apiGroup":"apps"}}`), "audit.target.apigroup", nil, "apps"},
		{e, "audit.userextra", key("scopes"), "a,b"},
		{e, "audit.userextra", key("other"), none},
		// The first of a repeated key counts, but of the facts the last: they were appended.
		{auditEvent(`{"auditID":"x","verb":"a","verb":"b"}`), "ka.verb", nil, "a"},
		{auditEvent(`{"dockreeve":{"cluster":"forged"},"dockreeve":{"cluster":"ours"}}`), "audit.cluster", nil, "ours"},
		{auditEvent(`{"d\u006fckreeve":{"cluster":"x"}}`), "audit.cluster", nil, "x"},
		{auditEvent(`{"auditID":"x","verb":"a\ud83d\ude00\ud800\n"}`), "ka.verb", nil, "a😀\uFFFD\n"},
		{auditEvent(`{"auditID":"x","verb":null}`), "ka.verb", nil, "null"},
		{auditEvent(`{"auditID":"x","requestObject":{"subjects":null,"rules":[null,[["a"]]],"spec":{"containers":[null,1,"x",{"image":"a"}]}}}`), "ka.req.pod.containers.image", nil, "a"},
	} {
		got, ok := value(t, c.e, c.name, c.arg)
		if !ok {
			got = none
		}
		if got != c.want {
			t.Errorf("%s[%+v]: got %q, want %q", c.name, c.arg, got, c.want)
		}
	}
}

// TestEveryFactHasAField holds that rules can ask for each of the facts.
func TestEveryFactHasAField(t *testing.T) {
	f := AuditFacts{
		Cluster: "v", First: true, Actor: "v", ActorName: "v", By: "v", Platform: true, ActorWorkload: "v", ActorTenant: "v", ActorOwner: "v",
		From: "v", FromPod: "v", FromNode: "v", FromWorkload: "v", FromTenant: "v", TokenPod: "v", TokenNode: "v", Elsewhere: true,
		Target: "v", TargetTenant: "v", TargetOwner: "v", CrossTenant: true, Grants: []string{"v"}, GrantsTo: []string{"v"}, GrantsScope: "v",
		GrantsNew: true, Powers: []string{"v"}, Mounts: []string{"v"}, Images: []string{"v"}, NewImages: []string{"v"}, Tools: []string{"v"},
		Exposure: "v", Ports: []string{"v"}, Apps: []string{"v"}, Risks: []string{"v"}, HookURLs: []string{"v"}, Unusual: []string{"v"}, Why: []string{"v"}, Learned: 7,
		SecretsRead: 7, Denied: 7, Probes: 7, Deleted: 7, NotAssessed: []string{"v"},
	}
	plain, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(plain, &members); err != nil {
		t.Fatal(err)
	}
	doc, err := WithAuditFacts([]byte(`{"auditID":"x"}`), &f)
	if err != nil {
		t.Fatal(err)
	}
	e, n := auditEvent(string(doc)), 0
	for _, field := range Fields() {
		if !strings.HasPrefix(field.Name, "audit.") {
			continue
		}
		got, ok := format(field, e, &Arg{Key: "x"})
		if ok && (got == "v" || got == "true" || got == "7") {
			n++
		}
	}
	if n != len(members) {
		t.Errorf("%d fields have a value, of %d facts", n, len(members))
	}
	v := slices.Collect(func(yield func(string) bool) {
		for k := range members {
			if !yield(k) {
				return
			}
		}
	})
	if len(v) != 43 {
		t.Errorf("%d facts: a new one needs a field, a line above and this number", len(v))
	}
}

// TestAuditFieldsDoNotAllocate holds every audit field to what Field promises, once the
// event's memory is warm.
func TestAuditFieldsDoNotAllocate(t *testing.T) {
	e := auditEvent(auditPod)
	doc := e.JSON
	var strs []string
	args := []*Arg{nil, {Key: "x", Index: 1, IsNum: true}}
	n := testing.AllocsPerRun(50, func() {
		e.Reset()
		e.Type, e.Source, e.JSON = TypePluginevent, SourceK8sAudit, doc
		for i := range fieldTable {
			f := &fieldTable[i]
			if f.Source != SourceK8sAudit {
				continue
			}
			for _, a := range args {
				switch {
				case f.Str != nil:
					f.Str(e, a)
				case f.Strs != nil:
					strs = f.Strs(e, a, strs[:0])
				case f.Int != nil:
					f.Int(e, a)
				case f.Bool != nil:
					f.Bool(e, a)
				case f.Addr != nil:
					f.Addr(e, a)
				}
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations an event", n)
	}
}

func TestTapeFollowsTheDocument(t *testing.T) {
	e := auditEvent(`{"auditID":"x","verb":"get"}`)
	if s, _ := kaVerb(e, nil); s != "get" {
		t.Fatal(s)
	}
	doc, err := WithAuditFacts(e.JSON, &AuditFacts{Cluster: "c"})
	if err != nil {
		t.Fatal(err)
	}
	e.JSON = doc
	if s, _ := auditCluster(e, nil); s != "c" {
		t.Errorf("a document that was put in its place is not read: %q", s)
	}
	e.JSON = append(e.JSON[:0:0], `{"auditID":"x","verb":`...)
	if s, ok := kaVerb(e, nil); ok {
		t.Errorf("half a document has the verb %q", s)
	}
	if got := string(auditEvent(`{"a":{"b":"c\u0064"}}`).JSONRaw("a", "b")); got != `"c\u0064"` {
		t.Errorf("raw: %s", got)
	}
	if got, ok := auditEvent(`{"a":{"b":[1, 2]}}`).JSONText("a", "b"); !ok || got != "[1,2]" {
		t.Errorf("text: %s", got)
	}
	c := auditEvent(auditPod)
	kaVerb(c, nil)
	d := c.Clone()
	c.JSON[0] = 'x'
	if s, _ := kaVerb(d, nil); s != "create" {
		t.Errorf("a clone reads %q", s)
	}
}

func TestTapeIsBounded(t *testing.T) {
	for _, c := range []struct {
		doc  string
		good bool
	}{
		{strings.Repeat("[", maxTapeDepth) + strings.Repeat("]", maxTapeDepth), true},
		{strings.Repeat("[", maxTapeDepth+1) + strings.Repeat("]", maxTapeDepth+1), false},
		{`"` + strings.Repeat("a", MaxEncoded-2) + `"`, true},
		{`"` + strings.Repeat("a", MaxEncoded-1) + `"`, false},
	} {
		e := auditEvent(c.doc)
		if got := e.indexed(); got != c.good {
			t.Errorf("%d bytes: %v", len(c.doc), got)
		}
	}
	e := auditEvent("[" + strings.Repeat("1,", maxKeptNodes) + "1]")
	if !e.indexed() {
		t.Fatal("not read")
	}
	if e.Reset(); cap(e.tape.nodes) != 0 {
		t.Errorf("room for %d nodes is kept", cap(e.tape.nodes))
	}
}

// FuzzTape holds the tape to encoding/json: the same documents are JSON, and every value
// is found with the same text.
func FuzzTape(f *testing.F) {
	for _, s := range []string{auditPod, `{}`, `[]`, `[1,]`, `{"a":1,}`, `{"a"}`, `-0.5e+7`, `01`, `"\ud800\u0041"`, ` [ ] `, `nul`, `{"a":{"b":[{},[],""]}}`, `"\`, `{"":""}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if len(doc) > 1<<16 {
			return
		}
		e := auditEvent(string(doc))
		good := e.indexed()
		if good != json.Valid(doc) {
			t.Fatalf("%q: read %v, encoding/json %v", doc, good, json.Valid(doc))
		}
		for i := range fieldTable {
			if fl := &fieldTable[i]; fl.Source == SourceK8sAudit {
				format(fl, e, &Arg{Key: "/a/0", Index: 1, IsNum: true})
				if fl.Arg == ArgNone || fl.Arg == ArgIndexOptional {
					format(fl, e, nil)
				}
			}
		}
		if !good {
			return
		}
		var want any
		d := json.NewDecoder(bytes.NewReader(bytes.ToValidUTF8(doc, []byte("\uFFFD"))))
		d.UseNumber()
		if bytes.ContainsRune(doc, 0xFFFD) || !json.Valid(doc) || d.Decode(&want) != nil || string(bytes.ToValidUTF8(doc, nil)) != string(doc) {
			return
		}
		same(t, e, 0, want)
		var a, b bytes.Buffer
		if s, ok := jevtObj(e, nil); !ok || json.Compact(&a, []byte(s)) != nil || json.Compact(&b, doc) != nil || a.String() != b.String() {
			t.Fatalf("%q is written as %q", doc, s)
		}
	})
}

func same(t *testing.T, e *Event, n int32, want any) {
	switch w := want.(type) {
	case map[string]any:
		seen := map[string]int{}
		for k := n + 1; k < int32(e.tape.nodes[n].next); k = int32(e.tape.nodes[k+1].next) {
			seen[e.nodeText(k)]++
		}
		for k, v := range w {
			m := e.member(n, k)
			if m == 0 {
				t.Fatalf("no member %q in %q", k, e.JSON)
			}
			if seen[k] == 1 {
				same(t, e, m, v)
			}
		}
	case []any:
		for i, v := range w {
			m := e.item(n, i)
			if m == 0 {
				t.Fatalf("no item %d in %q", i, e.JSON)
			}
			same(t, e, m, v)
		}
	default:
		got := e.nodeText(n)
		if w == nil {
			w = "null"
		}
		if got != fmt.Sprint(w) {
			t.Fatalf("%q: got %q, want %q", e.JSON, got, fmt.Sprint(w))
		}
	}
}
