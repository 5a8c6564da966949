package kube

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/detect/audit"
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/process"
	"github.com/dockreeve/dockreeve/source/kube"
	"github.com/dockreeve/dockreeve/source/kubeaudit"
	"github.com/dockreeve/dockreeve/test/kube/lab"
	tracefile "github.com/dockreeve/dockreeve/trace"
)

// recordings is where DOCKREEVE_RECORD says that recordings of the lab go, "" = none are
// made: test/scenario/testdata holds those that the tests there play.
func recordings() string { return os.Getenv("DOCKREEVE_RECORD") }

// writeRecording writes audit events in the order of their time.
func writeRecording(t *testing.T, name, comment string, events []*event.Event) {
	t.Helper()
	slices.SortStableFunc(events, func(a, b *event.Event) int { return int(a.Time - b.Time) })
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	w, err := tracefile.NewWriter(z, tracefile.Header{Cluster: "lab", Environment: "Kubernetes v1.37.2, test/kube/lab", Comment: comment, Started: events[0].Time}, process.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range events {
		if err := w.Event(ev, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(""), z.Close(), os.WriteFile(filepath.Join(recordings(), name+".ndjson.gz"), out.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d events, %d bytes", name, len(events), out.Len())
}

// recorder computes the facts of a lab's audit events as its agent would, as they come.
type recorder struct {
	mu     sync.Mutex
	events []*event.Event
}

func record(t *testing.T, l *Lab, conf inventory.Config, opt audit.Options) *recorder {
	t.Helper()
	r := &recorder{}
	opt.Cluster, opt.State = "lab", inventory.NewState(inventory.Options{Config: conf, Cluster: "lab"})
	auditor := audit.New(opt)
	rest, err := kube.LoadConfig(kube.ConfigOptions{Kubeconfig: l.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	objects, err := kube.Open(kube.Options{Config: rest.REST})
	if err != nil {
		t.Fatal(err)
	}
	in := kubeaudit.New(kubeaudit.Options{Cluster: "lab", Log: slog.New(slog.DiscardHandler), Handler: kubeaudit.Handler{
		Event: func(ev *event.Event, _ kubeaudit.Source) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			f := auditor.Facts(ev)
			doc, err := event.WithAuditFacts(ev.JSON, &f)
			if err != nil {
				return err
			}
			kept := *ev
			kept.JSON = doc
			r.events = append(r.events, &kept)
			return nil
		},
		Loss: func(event.Loss) {},
	}})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	wg.Go(func() { _ = objects.Run(ctx, opt.State) })
	<-objects.Synced()
	var names []string
	for _, d := range opt.State.Full() {
		if d.Namespace != nil {
			names = append(names, d.Namespace.Name)
		}
	}
	auditor.Seed(names)
	marks := kubeaudit.Folder(t.TempDir())
	wg.Go(func() {
		_ = in.File(kubeaudit.FileOptions{Path: l.AuditFile(), AtEnd: true, Checkpoints: marks}).Run(ctx)
	})
	return r
}

// network is a list of anonymising networks of one.
type network struct{ netip.Prefix }

// split writes the misuse of a run and its ordinary work as two recordings.
func (r *recorder) split(t *testing.T, all []misuse) {
	time.Sleep(2 * time.Second) // what was done last is being written
	bad, good := map[string]bool{"system:anonymous": true}, map[string]bool{}
	for _, m := range all {
		if m.rule == "" {
			good[m.name] = true
		} else {
			bad[m.name] = true
		}
	}
	writeRecording(t, "cluster-attack", "What test/kube does for each rule on the API server, by real calls to one: the requests of those who misuse it alone, with what the inventory said of them.",
		r.of(func(name string) bool {
			return bad[name] || strings.HasPrefix(name, "system:serviceaccount:m-") || strings.HasPrefix(name, "system:serviceaccount:red:")
		}))
	writeRecording(t, "cluster-work", "Ordinary work with kubectl at a real API server: the requests of those who do it alone, with what the inventory said of them.",
		r.of(func(name string) bool { return good[name] }))
}

// of are the events of some users, without those that pods and controllers cause.
func (r *recorder) of(users func(name string) bool) (events []*event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ev := range r.events {
		if name, _ := ev.JSONText("user", "username"); users(name) {
			events = append(events, ev)
		}
	}
	return events
}

// month is fourteen days of a cluster as requests: hour by hour what teams, pipelines, their
// applications and operators do, and now and then somebody who should not be there. Each
// hour begins with a request of the audit id hour-N; a misuse has the audit id
// attack-MODELS-N, MODELS being those that should find it, joined by +, or none.
type month struct {
	t       *testing.T
	l       *Lab
	callers map[string]*caller
	apps    map[string][]string
	teams   []string
	release map[string]int
	replica map[string]int
	n       int // of requests, from which everything follows that is not the same each time
	misuses int
}

// pick gives a number below n that looks drawn and is the same each time.
func (m *month) pick(n int) int {
	m.n++
	return int(uint32(m.n*2654435761) >> 8 % uint32(n))
}

func (m *month) do(who, agent, from, method, path, body string, more ...string) int {
	code, _ := m.callers[who].do(m.t.Context(), method, path, body, append([]string{"User-Agent=" + agent, "X-Forwarded-For=" + from}, more...)...)
	return code
}

func account(ns, name string) string { return "system:serviceaccount:" + ns + ":" + name }

// TestRecordAMonth makes the recording that TestTheModelsOnARecordedCluster of
// test/scenario plays.
func TestRecordAMonth(t *testing.T) {
	if recordings() == "" {
		t.Skip("DOCKREEVE_RECORD names no directory for recordings")
	}
	l := Start(t, lab.Options{})
	m := &month{t: t, l: l, callers: map[string]*caller{}, apps: map[string][]string{}, release: map[string]int{}, replica: map[string]int{}}
	m.found()
	root := l.caller(t, "admin", "")
	for h := range 24 * 14 {
		root.must(t, 200, "GET", "/api/v1/namespaces/default", "", fmt.Sprintf("Audit-ID=hour-%d", h))
		m.hour(h)
		if h > 24*5 && h%8 == 5 {
			m.misuse(m.misuses)
			m.misuses++
		}
		if h%24 == 12 { // controllers come after
			time.Sleep(time.Second)
		}
	}
	time.Sleep(3 * time.Second)
	b, err := os.ReadFile(l.AuditFile())
	if err != nil {
		t.Fatal(err)
	}
	var events []*event.Event
	in := kubeaudit.New(kubeaudit.Options{Cluster: "lab", Log: slog.New(slog.DiscardHandler), Handler: kubeaudit.Handler{
		Event: func(ev *event.Event, _ kubeaudit.Source) error {
			if kept := trimmed(t, ev); kept != nil {
				events = append(events, kept)
			}
			return nil
		},
		Loss: func(l event.Loss) { t.Error("lost:", l) },
	}})
	if err := in.Reader(bytes.NewReader(b)).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	begins := slices.IndexFunc(events, func(ev *event.Event) bool { id, _ := ev.JSONText("auditID"); return id == "hour-0" })
	writeRecording(t, "cluster-month", "Fourteen days of a cluster, made in minutes: the audit id hour-N begins each hour, attack-MODELS-N marks misuse. "+
		"Left out: what the control plane did as itself but its changes of objects, the objects it sent, all answers, events, leases and reviews of tokens.", events[begins:])
}

// trimmed is an event as a thrifty audit policy would have it; nil = not at all.
func trimmed(t *testing.T, ev *event.Event) *event.Event {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(ev.JSON, &doc); err != nil {
		t.Fatal(err)
	}
	text := func(path ...string) string { s, _ := ev.JSONText(path...); return s }
	user, verb, resource := text("user", "username"), text("verb"), text("objectRef", "resource")
	platform := strings.HasPrefix(user, "system:") && !strings.HasPrefix(user, "system:serviceaccount:") || strings.HasPrefix(user, "system:serviceaccount:kube-system:")
	id := text("auditID")
	switch {
	case strings.HasPrefix(id, "hour-"):
		delete(doc, "requestObject")
	case user == "lab-admin" || slices.Contains([]string{"events", "leases", "tokenreviews", "subjectaccessreviews"}, resource):
		return nil
	case platform && (slices.Contains([]string{"get", "list", "watch"}, verb) || text("objectRef", "subresource") == "status" || resource == ""):
		return nil
	case platform:
		delete(doc, "requestObject")
	}
	delete(doc, "responseObject")
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	kept := *ev
	kept.JSON = b
	return &kept
}

// found makes teams, their applications with accounts, the pipeline, operators and people.
func (m *month) found() {
	t, l := m.t, m.l
	root := l.caller(t, "admin", "")
	post := func(path, body string) {
		t.Helper()
		if code, answer := root.do(t.Context(), "POST", path, body); code != 201 && code != 409 {
			t.Fatal(path, code, answer)
		}
	}
	bind := func(name, role, subject string) {
		post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", `{"metadata":{"name":"`+name+`"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"`+role+`"},"subjects":[`+subject+`]}`)
	}
	of := func(ns, name string) string {
		return `{"kind":"ServiceAccount","namespace":"` + ns + `","name":"` + name + `"}`
	}
	sa := func(ns, name string) {
		post("/api/v1/namespaces/"+ns+"/serviceaccounts", `{"metadata":{"name":"`+name+`"}}`)
		answer := root.must(t, 201, "POST", "/api/v1/namespaces/"+ns+"/serviceaccounts/"+name+"/token", `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"expirationSeconds":36000}}`)
		var made struct{ Status struct{ Token string } }
		if err := json.Unmarshal([]byte(answer), &made); err != nil {
			t.Fatal(err)
		}
		m.callers[account(ns, name)] = l.caller(t, "", made.Status.Token)
	}
	// Applications may do too much, as they often do.
	post("/apis/rbac.authorization.k8s.io/v1/clusterroles", `{"metadata":{"name":"too-much"},"rules":[{"apiGroups":[""],"resources":["secrets","pods","pods/exec","configmaps","endpoints","services"],"verbs":["get","list","watch","create"]},{"apiGroups":["coordination.k8s.io"],"resources":["leases"],"verbs":["*"]}]}`)
	for _, ns := range []string{"ci", "operators"} {
		post("/api/v1/namespaces", `{"metadata":{"name":"`+ns+`"}}`)
	}
	for i := range 6 {
		team := fmt.Sprintf("team-%c", 'a'+i)
		m.teams = append(m.teams, team)
		post("/api/v1/namespaces", `{"metadata":{"name":"`+team+`"}}`)
		for j := range 2 + i%2 {
			app := fmt.Sprintf("app%d", j)
			m.apps[team] = append(m.apps[team], app)
			sa(team, app)
			bind(team+"-"+app, "too-much", of(team, app))
			post("/api/v1/namespaces/"+team+"/secrets", `{"metadata":{"name":"`+app+`-credentials"}}`)
		}
		for j := range 40 {
			post("/api/v1/namespaces/"+team+"/secrets", fmt.Sprintf(`{"metadata":{"name":"tls-%d"}}`, j%30))
			post("/api/v1/namespaces/"+team+"/secrets", fmt.Sprintf(`{"metadata":{"name":"stolen%c%c-key"}}`, 'a'+j%26, 'a'+j/26))
		}
	}
	for _, who := range [][2]string{{"ci", "deployer"}, {"operators", "certs"}, {"operators", "autoscaler"}} {
		sa(who[0], who[1])
		bind(who[1], "cluster-admin", of(who[0], who[1]))
	}
	for i := range 4 {
		name := fmt.Sprintf("person%d@example.org", i)
		l.User(t, name)
		bind(fmt.Sprintf("person-%d", i), "cluster-admin", `{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"`+name+`"}`)
		m.callers[name] = l.caller(t, "user-"+fileOf(name), "")
	}
	for _, team := range m.teams {
		for _, app := range m.apps[team] {
			m.chart(team, app)
		}
	}
	time.Sleep(2 * time.Second)
}

const ciFrom, opsFrom = "10.240.200.9", "10.240.9.9"

// chart installs or upgrades a release as a chart does.
func (m *month) chart(team, app string) {
	who, agent, ns := account("ci", "deployer"), "Helm/3.17", "/api/v1/namespaces/"+team
	key := team + "/" + app
	n := m.release[key]
	m.release[key]++
	m.do(who, agent, ciFrom, "GET", ns+"/secrets?labelSelector=owner%3Dhelm", "")
	m.do(who, agent, ciFrom, "GET", fmt.Sprintf("%s/secrets/sh.helm.release.v1.%s.v%d", ns, app, n), "")
	m.do(who, agent, ciFrom, "POST", ns+"/secrets", fmt.Sprintf(`{"metadata":{"name":"sh.helm.release.v1.%s.v%d","labels":{"owner":"helm"}},"type":"helm.sh/release.v1"}`, app, n+1))
	apply := "Content-Type=application/apply-patch+yaml"
	m.do(who, agent, ciFrom, "PATCH", ns+"/configmaps/"+app+"?fieldManager=helm&force=true", fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"v":"%d"}}`, app, n), apply)
	m.do(who, agent, ciFrom, "PATCH", ns+"/services/"+app+"?fieldManager=helm&force=true", fmt.Sprintf(`{"apiVersion":"v1","kind":"Service","metadata":{"name":%[1]q},"spec":{"selector":{"app":%[1]q},"ports":[{"port":80}]}}`, app), apply)
	m.deploy(who, agent, ciFrom, team, app, fmt.Sprintf("registry.example/%s/%s:v%d", team, app, n), apply)
}

// deploy rolls a version out; controllers do the rest.
func (m *month) deploy(who, agent, from, team, app, image string, more ...string) int {
	body := fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":%[1]q},"spec":{"selector":{"matchLabels":{"app":%[1]q}},"template":{"metadata":{"labels":{"app":%[1]q}},"spec":{"serviceAccountName":%[1]q,"containers":[{"name":"c","image":%[2]q}]}}}}`, app, image)
	return m.do(who, agent, from, "PATCH", "/apis/apps/v1/namespaces/"+team+"/deployments/"+app+"?fieldManager="+strings.ToLower(strings.SplitN(agent, "/", 2)[0])+"&force=true", body, more...)
}

func (m *month) address(team, app string) string {
	return fmt.Sprintf("10.240.%d.%d", 1+slices.Index(m.teams, team), 10+len(app)+m.release[team+"/"+app]%200)
}

// work is what an application does by itself.
func (m *month) work(team, app string) {
	who, from, agent, ns := account(team, app), m.address(team, app), app+"/v1 (linux/amd64)", "/api/v1/namespaces/"+team
	switch m.pick(4) {
	case 0:
		ctx, cancel := context.WithTimeout(m.t.Context(), 30*time.Millisecond)
		m.callers[who].do(ctx, "GET", ns+"/configmaps?watch=true", "", "User-Agent="+agent, "X-Forwarded-For="+from)
		cancel()
	case 1:
		m.do(who, agent, from, "GET", ns+"/secrets/"+app+"-credentials", "")
	default:
		m.do(who, agent, from, "GET", ns+"/endpoints", "")
	}
}

// operators reconcile certificates, and scale by load.
func (m *month) operators() {
	team := m.teams[m.pick(len(m.teams))]
	secret := fmt.Sprintf("/api/v1/namespaces/%s/secrets/tls-%d", team, m.pick(30))
	m.do(account("operators", "certs"), "certs-controller/1.9", opsFrom, "GET", secret, "")
	m.do(account("operators", "certs"), "certs-controller/1.9", opsFrom, "PATCH", secret, fmt.Sprintf(`{"metadata":{"annotations":{"renewed":"%d"}}}`, m.n), "Content-Type=application/merge-patch+json")
	who, agent, at := account("operators", "autoscaler"), "autoscaler/2", "/apis/apps/v1/namespaces/"+team+"/deployments/app0/scale"
	m.replica[team] = 1 + m.pick(3)
	m.do(who, agent, opsFrom, "GET", at, "")
	m.do(who, agent, opsFrom, "PATCH", at, fmt.Sprintf(`{"spec":{"replicas":%d}}`, m.replica[team]), "Content-Type=application/merge-patch+json")
}

// person looks around and mends things in the namespaces of two teams.
func (m *month) person(i int) {
	who, agent, from := fmt.Sprintf("person%d@example.org", i), "kubectl/v1.37.2 (linux/amd64)", fmt.Sprintf("198.51.100.%d", 10+i)
	team := m.teams[(i*2+m.pick(2))%len(m.teams)]
	ns := "/api/v1/namespaces/" + team
	for _, what := range []string{"pods", "services", "configmaps"} {
		m.do(who, agent, from, "GET", ns+"/"+what, "")
	}
	switch m.pick(6) {
	case 0:
		m.do(who, agent, from, "GET", ns+"/secrets/"+m.apps[team][0]+"-credentials", "")
	case 1:
		m.deploy(who, agent, from, team, m.apps[team][0], fmt.Sprintf("registry.example/%s/%s:v%d", team, m.apps[team][0], m.release[team+"/"+m.apps[team][0]]), "Content-Type=application/apply-patch+yaml")
	case 2:
		m.do(who, agent, from, "PATCH", "/apis/apps/v1/namespaces/"+team+"/deployments/"+m.apps[team][0], fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"%d"}}}}}`, m.n), "Content-Type=application/strategic-merge-patch+json")
	}
}

func (m *month) hour(h int) {
	for range 5 {
		team := m.teams[m.pick(len(m.teams))]
		m.work(team, m.apps[team][m.pick(len(m.apps[team]))])
	}
	m.operators()
	if h%24 >= 8 && h%24 < 18 {
		team := m.teams[m.pick(len(m.teams))]
		m.chart(team, m.apps[team][m.pick(len(m.apps[team]))])
		m.person(m.pick(4))
	}
}

// misuse is one of the ways in which an identity is misused.
func (m *month) misuse(kind int) {
	team := m.teams[m.pick(len(m.teams))]
	other := m.teams[(slices.Index(m.teams, team)+3)%len(m.teams)]
	app := m.apps[team][0]
	who, from := account(team, app), m.address(team, app)
	id := func(models string) string { m.n++; return fmt.Sprintf("Audit-ID=attack-%s-%d", models, m.n) }
	both := audit.ModelSecrets + "+" + audit.ModelAccounts
	switch kind % 8 {
	case 0: // an application's token lists all secrets
		m.do(who, "curl/8.5.0", from, "GET", "/api/v1/secrets", "", id(both))
	case 1: // and reads another team's
		m.do(who, "python-requests/2.31", from, "GET", "/api/v1/namespaces/"+other+"/secrets/app0-credentials", "", id(both))
	case 2: // it starts a pod where the pipeline deploys
		m.do(who, "curl/8.5.0", from, "POST", "/api/v1/namespaces/"+team+"/pods", fmt.Sprintf(`{"metadata":{"name":"helper-%d"},"spec":{"containers":[{"name":"c","image":"docker.io/other/tool:latest"}]}}`, m.misuses), id(audit.ModelPods+"+"+audit.ModelAccounts))
	case 3: // it tries to run something in a pod of another team
		m.do(who, "kubectl/v1.30.0", from, "POST", "/api/v1/namespaces/"+other+"/pods/app0/exec?command=id&stdout=true", "", id(audit.ModelAccounts))
	case 4: // a person's account from a program nobody knows, into a namespace that is not theirs
		m.deploy("person0@example.org", "okhttp/4", "198.51.100.10", m.teams[4], "sync", "unknown.example/unknown/sync:1", "Content-Type=application/apply-patch+yaml", id(audit.ModelPods))
	case 5: // the pipeline's account reads everything there is; when it is noticed is left open up to the thirtieth
		for i := range 40 {
			models := "none"
			if i >= 30 {
				models = audit.ModelSecrets
			}
			m.do(account("ci", "deployer"), "Go-http-client/1.1", ciFrom, "GET", fmt.Sprintf("/api/v1/namespaces/%s/secrets/stolen%c%c-key", team, 'a'+i%26, 'a'+i/26), "", id(models))
		}
	case 6: // an application's account tries to give itself more, and is refused
		m.do(who, "curl/8.5.0", from, "POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", `{"metadata":{"name":"more"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},"subjects":[]}`, id(audit.ModelAccounts))
	case 7: // the autoscaler's token is used from beyond the cluster to deploy
		m.deploy(account("operators", "autoscaler"), "curl/8.5.0", "203.0.113.77", team, "app0", "docker.io/other/tool:latest", "Content-Type=application/apply-patch+yaml", id(audit.ModelPods+"+"+audit.ModelAccounts))
	}
}
