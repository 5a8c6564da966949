package audit

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dockreeve/dockreeve/inventory"
)

// world is a cluster as its API server sees it, played in fast time: people and
// pipelines that deploy, operators that reconcile, charts that are upgraded, replicas
// that come and go, and now and then somebody who should not be there.
type world struct {
	r      *rand.Rand
	a      *Auditor
	now    int64
	teams  []string
	apps   map[string][]string // by team
	people []string
	counts map[string]*score
	false_ map[string]int
	missed map[string]int
}

type score struct{ tp, fn, fp int }

func newWorld(seed uint64) *world {
	w := &world{r: rand.New(rand.NewPCG(seed, 7)), now: start, apps: map[string][]string{}, counts: map[string]*score{}, false_: map[string]int{}, missed: map[string]int{}}
	for _, m := range []string{ModelPods, ModelSecrets, ModelAccounts} {
		w.counts[m] = &score{}
	}
	for i := range 12 {
		t := fmt.Sprintf("team-%c", 'a'+i)
		w.teams = append(w.teams, t)
		for j := range 2 + w.r.IntN(5) {
			w.apps[t] = append(w.apps[t], fmt.Sprintf("app%d", j))
		}
	}
	for i := range 8 {
		w.people = append(w.people, fmt.Sprintf("person%d@example.org", i))
	}
	w.a = New(Options{State: inventory.NewState(inventory.Options{Cluster: "test"}), Cluster: "test"})
	return w
}

// do plays one request. want names the models that should find it unusual; a benign one
// wants none.
func (w *world) do(r req, want ...string) {
	w.now += 1e9 + w.r.Int64N(20e9)
	f := w.a.Facts(r.event(w.now))
	for m, s := range w.counts {
		switch got, should := slices.Contains(f.Unusual, m), slices.Contains(want, m); {
		case got && should:
			s.tp++
		case should:
			s.fn++
			w.missed[fmt.Sprintf("%s: %s %s %s/%s in %q with %s", m, r.user, r.verb, r.resource, r.sub, r.ns, r.agent)]++
		case got && len(want) == 0:
			s.fp++
			w.false_[m+": "+fmt.Sprint(f.Why)]++
		}
	}
}

func account(ns, name string) string { return "system:serviceaccount:" + ns + ":" + name }

func (w *world) address() string {
	return fmt.Sprintf("10.%d.%d.%d", 1+w.r.IntN(4), w.r.IntN(250), 1+w.r.IntN(250))
}

func image(repo, tag string) string {
	return fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x"},"spec":{"template":{"spec":{"containers":[{"name":"c","image":"registry.example/%s:%s"}]}}}}`, repo, tag)
}

func (w *world) deploy(team, app, agent, user string, want ...string) {
	w.do(req{user: user, verb: "patch", group: "apps", resource: "deployments", ns: team, name: app, agent: agent, ip: "10.200.0.9", body: image(team+"/"+app, fmt.Sprint("v", w.r.IntN(1000)))}, want...)
}

// chart installs or upgrades with a chart: it reads and writes release secrets, whose
// names count up, and touches a dozen objects.
func (w *world) chart(team, app, user string) {
	n := w.r.IntN(400)
	w.do(req{user: user, verb: "list", resource: "secrets", ns: team, agent: "Helm/3.17", ip: "10.200.0.9"})
	w.do(req{user: user, verb: "get", resource: "secrets", ns: team, name: fmt.Sprintf("sh.helm.release.v1.%s.v%d", app, n), agent: "Helm/3.17", ip: "10.200.0.9"})
	w.do(req{user: user, verb: "create", resource: "secrets", ns: team, name: fmt.Sprintf("sh.helm.release.v1.%s.v%d", app, n+1), agent: "Helm/3.17", ip: "10.200.0.9", code: 201})
	for _, kind := range []string{"services", "configmaps", "serviceaccounts"} {
		w.do(req{user: user, verb: "patch", resource: kind, ns: team, name: app, agent: "Helm/3.17", ip: "10.200.0.9"})
	}
	w.deploy(team, app, "Helm/3.17", user)
}

// work is what an application's own account does: leases, watches, its configuration,
// one secret of its own.
func (w *world) work(team, app string) {
	u, ip, agent := account(team, app), w.address(), app+"/v1 (linux/amd64)"
	switch w.r.IntN(5) {
	case 0:
		w.do(req{user: u, verb: "update", group: "coordination.k8s.io", resource: "leases", ns: team, name: app, ip: ip, agent: agent})
	case 1:
		w.do(req{user: u, verb: "watch", resource: "configmaps", ns: team, ip: ip, agent: agent})
	case 2:
		w.do(req{user: u, verb: "get", resource: "secrets", ns: team, name: app + "-credentials", ip: ip, agent: agent})
	default:
		w.do(req{user: u, verb: "list", resource: "endpoints", ns: team, ip: ip, agent: agent})
	}
}

// operator is a controller with wide rights that it uses all day, in every namespace.
func (w *world) operator() {
	u, team := account("operators", "certs"), w.teams[w.r.IntN(len(w.teams))]
	for _, verb := range []string{"get", "update"} {
		w.do(req{user: u, verb: verb, resource: "secrets", ns: team, name: fmt.Sprintf("tls-%d", w.r.IntN(30)), ip: "10.1.9.9", agent: "certs-controller/1.9"})
	}
	u = account("operators", "autoscaler")
	w.do(req{user: u, verb: "update", group: "apps", resource: "deployments", sub: "scale", ns: team, name: "app0", ip: "10.1.9.10", agent: "autoscaler/2"})
	w.do(req{user: u, verb: "create", resource: "events", ns: team, ip: "10.1.9.10", agent: "autoscaler/2", code: 201})
}

// person looks around and mends things, in the namespaces of two teams.
func (w *world) person(i int) {
	u := w.people[i]
	team := w.teams[(i*2+w.r.IntN(2))%len(w.teams)]
	for _, res := range []string{"pods", "services", "configmaps"} {
		w.do(req{user: u, verb: "list", resource: res, ns: team, ip: "10.50.0.7", agent: "kubectl/v1.33 (linux/amd64)"})
	}
	if w.r.IntN(4) == 0 {
		w.do(req{user: u, verb: "get", resource: "secrets", ns: team, name: w.apps[team][0] + "-credentials", ip: "10.50.0.7", agent: "kubectl/v1.33 (linux/amd64)"})
	}
	if w.r.IntN(6) == 0 {
		w.deploy(team, w.apps[team][0], "kubectl/v1.33 (linux/amd64)", u)
	}
}

func (w *world) hour(h int) {
	working := h%24 >= 8 && h%24 < 18
	for range 6 {
		team := w.teams[w.r.IntN(len(w.teams))]
		w.work(team, w.apps[team][w.r.IntN(len(w.apps[team]))])
	}
	w.operator()
	if working {
		team := w.teams[w.r.IntN(len(w.teams))]
		w.chart(team, w.apps[team][w.r.IntN(len(w.apps[team]))], account("ci", "deployer"))
		w.person(w.r.IntN(len(w.people)))
	}
	// A new application each second day, deployed by the pipeline, with an account of its own.
	if h%48 == 30 {
		team := w.teams[w.r.IntN(len(w.teams))]
		app := fmt.Sprintf("new%d", h)
		w.apps[team] = append(w.apps[team], app)
		w.chart(team, app, account("ci", "deployer"))
		for range 5 {
			w.work(team, app)
		}
	}
	w.now = start + int64(h+1)*hour
}

// attack is one of the ways in which an identity is misused.
func (w *world) attack(kind int) {
	team := w.teams[w.r.IntN(len(w.teams))]
	other := w.teams[(slices.Index(w.teams, team)+5)%len(w.teams)]
	app := w.apps[team][0]
	u, ip := account(team, app), w.address()
	switch kind % 6 {
	case 0: // the token of an application lists all secrets
		w.do(req{user: u, verb: "list", resource: "secrets", agent: "curl/8.5.0", ip: ip}, ModelSecrets, ModelAccounts)
	case 1: // and reads another team's
		w.do(req{user: u, verb: "get", resource: "secrets", ns: other, name: w.apps[other][0] + "-credentials", agent: "python-requests/2.31", ip: ip}, ModelSecrets, ModelAccounts)
	case 2: // starts a miner where the pipeline deploys
		w.do(req{user: u, verb: "create", resource: "pods", ns: team, name: "helper", agent: "curl/8.5.0", ip: ip, code: 201, body: `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"helper"},"spec":{"containers":[{"name":"c","image":"docker.io/other/tool:latest"}]}}`}, ModelPods, ModelAccounts)
	case 3: // runs something in another pod
		w.do(req{user: u, verb: "create", resource: "pods", sub: "exec", ns: other, name: "web", agent: "kubectl/v1.30", ip: ip, code: 101}, ModelAccounts)
	case 4: // a person's account from a pipeline nobody knows, into a namespace that is not theirs
		p := w.people[0]
		w.do(req{user: p, verb: "create", group: "apps", resource: "deployments", ns: "team-k", name: "sync", agent: "okhttp/4", ip: "10.50.0.7", code: 201, body: image("unknown/sync", "1")}, ModelPods)
	case 5: // the pipeline's account reads everything there is
		for i := range 40 {
			want := []string{}
			if i >= 30 {
				want = []string{ModelSecrets}
			}
			if i < 30 {
				want = []string{"-"} // whether the first ones are unusual is left open
			}
			w.do(req{user: account("ci", "deployer"), verb: "get", resource: "secrets", ns: team, name: fmt.Sprintf("stolen%c-key", 'a'+i%26), agent: "Go-http-client/1.1", ip: "10.200.0.9"}, want...)
		}
	}
}

// TestTheModelsOnAMixedTrace measures precision and recall on made-up worlds. The models
// were corrected on worlds of this making, these among them: it holds what was reached, and
// is no measure of the unseen. docs/audit.md has the figures, and those of worlds played once.
func TestTheModelsOnAMixedTrace(t *testing.T) {
	total := map[string]*score{ModelPods: {}, ModelSecrets: {}, ModelAccounts: {}}
	for seed := uint64(9001); seed <= 9010; seed++ {
		w := newWorld(seed)
		for h := range 24 * 14 {
			w.hour(h)
			if h > 24*5 && h%16 == 9 {
				w.attack(h / 16)
				w.now = start + int64(h+1)*hour
			}
		}
		for m, s := range w.counts {
			total[m].tp += s.tp
			total[m].fn += s.fn
			total[m].fp += s.fp
		}
		for why, n := range w.false_ {
			t.Logf("seed %d, false %d times: %s", seed, n, why)
		}
		for what, n := range w.missed {
			t.Logf("seed %d, missed %d times: %s", seed, n, what)
		}
	}
	for m, s := range total {
		precision, recall := float64(s.tp)/float64(max(1, s.tp+s.fp)), float64(s.tp)/float64(max(1, s.tp+s.fn))
		t.Logf("%s: precision %.3f, recall %.3f (%d found, %d missed, %d false)", m, precision, recall, s.tp, s.fn, s.fp)
		if precision < 0.9 || recall < 0.9 {
			t.Errorf("%s: precision %.3f, recall %.3f: want 0.9 of each", m, precision, recall)
		}
	}
}

func TestBootstrapOfAnIdentityIsQuiet(t *testing.T) {
	w := newWorld(1)
	for h := range 24 * 4 {
		w.hour(h)
	}
	f := w.a.Facts(req{user: account("team-a", "brand-new"), verb: "get", resource: "configmaps", ns: "team-a", agent: "x/1"}.event(w.now))
	if len(f.Unusual) > 0 {
		t.Errorf("a new account's harmless first step is unusual: %v", f.Why)
	}
	f = w.a.Facts(req{user: account("team-a", "brand-new"), verb: "create", resource: "pods", sub: "exec", ns: "team-b", name: "x", agent: "x/1", code: 101}.event(w.now))
	if !slices.Contains(f.Unusual, ModelAccounts) {
		t.Error("a new account that runs commands in another namespace is not unusual")
	}
}
