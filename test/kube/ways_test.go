package kube

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/test/kube/lab"
)

// TestWaysIntoPodsAreSeen goes into pods of a real node in each way there is, and does the
// harmless things that look like it, with an agent that follows the API server's file.
func TestWaysIntoPodsAreSeen(t *testing.T) {
	l := labs.Node(t)
	ns := l.Namespace(t)
	l.Pod(t, ns, "web")
	l.Pod(t, ns, "other")
	h := startHub(t)
	h.startAgent(l.Kubeconfig(), "--audit-file", l.AuditFile(), "--audit-from-now")
	until(t, "mark in the file", func() bool {
		marks, err := filepath.Glob(filepath.Join(h.dir, "agent", "cluster", "lab", "audit-files", "*"))
		return err == nil && len(marks) > 0
	})
	user := func(name string, groups ...string) func(args ...string) (string, error) {
		kube := l.User(t, name, groups...)
		return func(args ...string) (string, error) { return l.KAs(t, kube, append([]string{"-n", ns}, args...)...) }
	}
	must := func(out string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	// What goes on until it is ended is ended after a moment.
	briefly := func(name string, args ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, _ = l.KubectlAs(ctx, l.User(t, name, "system:masters"), "", append([]string{"-n", ns}, args...)...)
	}
	must(user("runner", "system:masters")("exec", "web", "--", "id"))
	briefly("listener", "attach", "web")
	briefly("tunneller", "port-forward", "pod/web", ":8080")
	must(user("lister", "system:masters")("get", "--raw", "/api/v1/nodes/node1/proxy/pods"))

	// The token of one pod in another.
	token := l.Exec(t, ns, "web", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token")
	path := "/api/v1/namespaces/" + ns + "/pods"
	_, _ = l.Kubectl(t.Context(), "-n", ns, "exec", "web", "--", "apicall", "get", path+"?limit=1")
	until(t, "account of the pod's own use", func() bool {
		out, err := h.cli("audit", "list", "resource:pods")
		return err == nil && strings.Contains(out, ns)
	})
	if got := h.alerts("rule:k8s-token-elsewhere"); len(got) > 0 {
		t.Errorf("a token in its own pod: %+v", got)
	}
	_, _ = l.Kubectl(t.Context(), "-n", ns, "exec", "other", "--", "sh", "-c", "echo "+strings.TrimSpace(token)+" >/tmp/t; apicall -token /tmp/t get "+path)

	// A pod that a node starts from a file.
	static := filepath.Join(l.Nodes[0].Host, "etc/kubernetes/manifests/implant.yaml")
	if err := os.WriteFile(static, fmt.Appendf(nil, "apiVersion: v1\nkind: Pod\nmetadata: {name: implant, namespace: %s}\nspec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: %q, command: [sleep, '1000']}]}\n", ns, lab.BusyboxImage), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(static); err != nil {
			t.Error(err)
		}
	})

	// What looks like it and is harmless.
	scraper := user("scraper", "system:masters")
	must(scraper("get", "--raw", "/api/v1/nodes/node1/proxy/metrics"))
	must(scraper("get", "--raw", "/api/v1/nodes/node1/proxy/stats/summary"))
	must(scraper("logs", "web"))
	must(scraper("cp", "--help"))
	if _, err := user("stranger")("exec", "web", "--", "id"); err == nil {
		t.Error("a stranger may run a command")
	}
	want := map[string]string{
		"user:runner": "k8s-exec", "user:listener": "k8s-attach", "user:tunneller": "k8s-port-forward", "user:lister": "k8s-kubelet-proxy",
		"serviceaccount:" + ns + "/default": "k8s-token-elsewhere", "node:node1": "k8s-static-pod", "user:scraper": "", "user:stranger": "",
	}
	got := map[string][]string{}
	find := func() bool {
		clear(got)
		for _, a := range h.alerts() {
			if id := a.Subject.Identity; !slices.Contains(got[id], a.RuleID) {
				got[id] = append(got[id], a.RuleID)
			}
		}
		for id, rule := range want {
			if rule != "" && !slices.Contains(got[id], rule) {
				return false
			}
		}
		return true
	}
	within(t, time.Minute, find)
	for id, rule := range want {
		if rule == "" && len(got[id]) > 0 || rule != "" && !slices.Equal(got[id], []string{rule}) {
			t.Errorf("%s: found %v, want %q", id, got[id], rule)
		}
	}
}
