package kube

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/posture"
	"github.com/dockreeve/dockreeve/server/client"
	"github.com/dockreeve/dockreeve/store"
	"github.com/dockreeve/dockreeve/test/kube/lab"
	"github.com/dockreeve/dockreeve/test/need"
)

// TestGovernanceOfARealCluster runs what an operator runs, server, cluster agent with the
// rights of the manifests, and node agent, and holds what the server's governance makes of
// it: rows that close by a canary and open without one, what pods request, and verdicts on
// kubelets where the right is given.
func TestGovernanceOfARealCluster(t *testing.T) {
	need.Root(t)
	t.Parallel()
	l := Start(t, lab.Options{Nodes: 1})
	conf := filepath.Join(t.TempDir(), "governance.yaml")
	if err := os.WriteFile(conf, []byte("provider: dockreeve\nstaleCanary: 15s\nposture: {servicePorts: [443]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := startHub(t, "--governance", conf)
	manifest := func(name string) { l.K(t, "apply", "-f", "../../deploy/kubernetes/"+name) }
	manifest("rbac.yaml")
	manifest("canary.yaml")
	agent := l.Account(t, "dockreeve", "dockreeve-cluster")
	nodes := fmt.Sprintf("127.0.0.1:%d", l.ReceiverPort()+10) // of the ports that the lab keeps free
	h.startAgent(agent, "--audit-webhook", fmt.Sprintf("%s:%d", l.APIIP, l.ReceiverPort()), "--listen", nodes, "--canary-every", "2s")
	l.SendAuditTo(t, filepath.Join(h.dir, "agent", "cluster", "lab", "audit-webhook", "kubeconfig"), "")

	ns := l.Namespace(t, "owner=payments")
	l.Apply(t, ns, fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "%s", command: [sleep, "3600"], resources: {requests: {cpu: 500m, memory: 64Mi}}}]
`, lab.ToolsImage))
	l.Ready(t, ns, "web")
	// What Azure's add-on makes; that its image is not to be had here is part of what is told.
	l.Apply(t, "kube-system", `apiVersion: apps/v1
kind: DaemonSet
metadata: {name: microsoft-defender-collector-ds}
spec:
  selector: {matchLabels: {app: mdc}}
  template:
    metadata: {labels: {app: mdc}}
    spec: {tolerations: [{operator: Exists}], containers: [{name: c, image: "localhost/none:1", imagePullPolicy: Never}]}
`)

	nodeBin := program(t, "dockreeve-node")
	token, err := h.cli("join-token", "--role", "node", "--cluster", "lab")
	if err != nil {
		t.Fatal(err)
	}
	var sensor *proc
	t.Cleanup(func() { sensor.kill() })
	watch := func(more ...string) {
		t.Helper()
		sensor.kill()
		sensor = h.startProgram(nodeBin, "node", append([]string{"--cluster", "lab", "--name", "node1", "--link", "https://" + nodes, "--join", strings.TrimSpace(token),
			"--state", filepath.Join(h.dir, "nodestate"), "--canary-every", "2s", "--status-every", "1s"}, more...)...)
	}
	watch()

	calls, err := client.New(client.Options{URL: h.url(), StateDir: h.state()})
	if err != nil {
		t.Fatal(err)
	}
	row := func() govern.ClusterRow {
		t.Helper()
		if _, err := calls.Governance.Reevaluate(t.Context(), connect.NewRequest(&v1.ReevaluateRequest{})); err != nil {
			t.Fatal(err)
		}
		var ev govern.Evaluation
		h.json(&ev, "coverage", "-o", "json")
		for _, r := range ev.Clusters {
			if r.Here == "lab" {
				return r
			}
		}
		return govern.ClusterRow{}
	}
	var last govern.ClusterRow
	become := func(what string, is func(r *govern.ClusterRow) bool) govern.ClusterRow {
		t.Helper()
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("%s: the row of the cluster was at last: inside %+v, runtime %+v, enforcement %+v, canaries %+v, sensor %+v", what, last.Inside, last.Runtime, last.Enforcement, last.Canaries, last.Sensor)
			}
		})
		l.Until(t, what, func() bool { last = row(); return is(&last) })
		return last
	}
	verdicts := func() map[string]posture.Result {
		var list []posture.Result
		h.json(&list, "posture", "-o", "json")
		out := map[string]posture.Result{}
		for _, r := range list {
			out[r.Control] = r
		}
		return out
	}

	r := become("cluster whose rows are closed by proof", func(r *govern.ClusterRow) bool {
		return r.Inside.State == govern.RowClosed && r.Runtime.State == govern.RowClosed && r.Sensor.Wanted == 1 &&
			len(r.Canaries) == 3 && !slices.ContainsFunc(r.Canaries, func(c govern.Canary) bool { return c.Sent == 0 || c.Seen == 0 }) // that it was sent comes by another lane than that it came back
	})
	for _, p := range []govern.Row{r.Inside, r.Runtime} {
		if !strings.Contains(p.Proof, "canary came back") || p.At == 0 || !slices.Equal(p.By, []string{"dockreeve"}) {
			t.Errorf("closed without a proof: %+v", p)
		}
	}
	if !r.Sensor.Seen || r.Sensor.Ready != 0 || !slices.Equal(r.Sensor.Where, []string{"kube-system/DaemonSet/microsoft-defender-collector-ds"}) {
		t.Errorf("Defender's sensor: %+v", r.Sensor)
	}
	kinds := map[string]bool{}
	for _, c := range r.Canaries {
		kinds[c.Kind+" "+c.Node] = c.Sent > 0 && c.Seen > 0 && c.Every == int64(2*time.Second)
	}
	if len(kinds) != 3 || !kinds["exec node1"] || !kinds["audit "] || !kinds["denial "] {
		t.Errorf("canaries: %+v", r.Canaries)
	}
	// Nothing enforces there, so the pod that must not run is let in by all but the quota of its namespace.
	if e := r.Enforcement; e.State != govern.RowOpen || !strings.Contains(e.Why, "nobody denied it") {
		t.Errorf("where nothing enforces: %+v", e)
	}
	l.K(t, "label", "namespace", "dockreeve-canary", "pod-security.kubernetes.io/enforce=restricted")
	e := become("row that closes because somebody denies", func(r *govern.ClusterRow) bool { return r.Enforcement.State == govern.RowClosed }).Enforcement
	if !slices.Equal(e.By, []string{"Pod Security Admission (restricted)"}) || !strings.HasPrefix(e.Proof, "denied ") || e.At == 0 {
		t.Errorf("closed by %+v", e)
	}
	for _, a := range h.alerts() {
		if strings.HasPrefix(a.RuleID, "canary-") || strings.Contains(a.Subject.Identity, "dockreeve-cluster") {
			t.Errorf("an alert of a canary: %+v", a)
		}
	}
	v := verdicts()
	if k := v["kubelet-anonymous"]; k.Verdict != posture.NotAssessed || !strings.Contains(k.Reason, "deploy/kubernetes/kubelet.yaml") {
		t.Errorf("without the right to ask kubelets: %+v", k)
	}
	if p := v["pods-privileged"]; p.Verdict != posture.Pass && p.Verdict != posture.Fail {
		t.Errorf("what runs is not judged: %+v", p)
	}

	// The optional rights; the agent asks kubelets when it starts.
	manifest("kubelet.yaml")
	manifest("metrics.yaml")
	h.agent.end(t)
	h.resumeAgent()
	l.Until(t, "verdicts on kubelets", func() bool {
		row()
		v = verdicts()
		return v["kubelet-anonymous"].Verdict == posture.Pass || v["kubelet-anonymous"].Verdict == posture.Fail
	})
	for _, id := range []string{"kubelet-anonymous", "kubelet-authorization", "kubelet-read-only-port"} {
		if k := v[id]; k.Verdict != posture.Pass || len(k.Evidence) == 0 {
			t.Errorf("%s: %+v", id, k)
		}
	}

	// The API server's word no longer arrives: it is sent where nobody listens.
	l.SendAuditTo(t, fmt.Sprintf("https://%s:%d/", l.APIIP, l.ReceiverPort()+11), "")
	become("row that opens because audit events do not arrive", func(r *govern.ClusterRow) bool {
		return r.Runtime.State == govern.RowOpen && strings.Contains(r.Runtime.Why, "did not come back in time") && r.Inside.State == govern.RowClosed
	})

	// The sensor runs, and its rule does not.
	watch("--disable", "Canary of the sensor")
	become("row that opens because the sensor does not detect", func(r *govern.ClusterRow) bool {
		return r.Inside.State == govern.RowOpen && strings.Contains(r.Inside.Why, "did not come back in time (node1)")
	})

	// What was told of use is in the store when all have ended.
	h.agent.end(t)
	h.resumeAgent() // what the agent's end left on its disk goes now
	from := time.Now().Add(-time.Hour).UnixNano()
	l.Until(t, "hours of use in the store", func() bool {
		h.agent.end(t)
		h.server.end(t)
		ok := false
		func() {
			db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(h.state(), "dockreeve.db")})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			rows, _, err := db.Usage(t.Context(), from-int64(time.Hour), time.Now().UnixNano(), 10_000)
			if err != nil {
				t.Fatal(err)
			}
			why := map[string]bool{}
			for _, u := range rows {
				if u.Namespace == ns && u.Requested > 0 && u.Charged == u.Requested && u.Owner == "payments" && u.Used == 0 {
					why[u.UsedWhy] = true
				}
			}
			for w := range why {
				ok = ok || strings.Contains(w, "no metrics API")
			}
			if !ok {
				t.Logf("%d rows, of the namespace for want of %v", len(rows), why)
			}
		}()
		if !ok {
			h.startServer(h.linkAddress())
			h.resumeAgent()
		}
		return ok
	})
}
