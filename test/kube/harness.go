// Package kube runs Dockreeve against a real Kubernetes: the lab of test/kube/lab.
//
// Labs starts a lab when a test first asks for one and shares it with the tests after it;
// TestMain takes it down. A test works in a namespace of its own, so tests do not meet.
// Where the machine cannot run a lab the test skips through test/need, or fails where
// DOCKREEVE_REQUIRE names lab.
package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/test/kube/lab"
	"github.com/dockreeve/dockreeve/test/need"
)

// Labs are the labs of one test binary.
type Labs struct {
	mu      sync.Mutex
	control *Lab
	node    *Lab
	failed  map[int]error
}

// Run is the body of TestMain: it runs the tests and takes down what they started.
func (s *Labs) Run(m *testing.M) int {
	code := m.Run()
	for _, l := range []*Lab{s.control, s.node} {
		if l == nil {
			continue
		}
		if err := l.Down(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

// Control returns the shared control plane: API server and controllers, no node, so pods
// stay Pending. It needs no root.
func (s *Labs) Control(t testing.TB) *Lab { return s.get(t, 0, &s.control) }

// Node returns the shared lab with one real node, node1. It needs root.
func (s *Labs) Node(t testing.TB) *Lab { return s.get(t, 1, &s.node) }

func (s *Labs) get(t testing.TB, nodes int, at **Lab) *Lab {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if *at != nil {
		return *at
	}
	if err := s.failed[nodes]; err != nil {
		t.Fatal("the lab did not come up for an earlier test:", err)
	}
	l, err := start(t, lab.Options{Nodes: nodes})
	if err != nil {
		if s.failed == nil {
			s.failed = map[int]error{}
		}
		s.failed[nodes] = err
		t.Fatal(err)
	}
	*at = l
	return l
}

// Start brings up a lab for one test alone, which takes it down at its end.
func Start(t testing.TB, o lab.Options) *Lab {
	t.Helper()
	l, err := start(t, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

func start(t testing.TB, o lab.Options) (*Lab, error) {
	t.Helper()
	if err := lab.Possible(o.Nodes); err != nil {
		need.Skip(t, need.Lab, err.Error())
	}
	if o.Log == nil {
		o.Log = os.Stderr // a first build takes minutes: it is told as it goes
	}
	l, err := lab.Up(t.Context(), o)
	if err != nil {
		return nil, err
	}
	return &Lab{Lab: l}, nil
}

// Lab is a lab with what tests want of it: what fails, fails the test.
type Lab struct{ *lab.Lab }

// K runs kubectl as the administrator and returns what it printed.
func (l *Lab) K(t testing.TB, args ...string) string {
	t.Helper()
	out, err := l.Kubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// KAs runs kubectl with a kubeconfig. The error is what the API server refused, or nil.
func (l *Lab) KAs(t testing.TB, kubeconfig string, args ...string) (string, error) {
	t.Helper()
	return l.KubectlAs(t.Context(), kubeconfig, "", args...)
}

// Apply creates or changes the objects of a manifest, in a namespace unless they say one.
func (l *Lab) Apply(t testing.TB, namespace, manifest string) {
	t.Helper()
	if _, err := l.KubectlAs(t.Context(), l.Kubeconfig(), manifest, "-n", namespace, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

var notName = regexp.MustCompile(`[^a-z0-9]+`)

// Namespace makes a namespace with labels, key=value, and returns its name when its
// default service account is there. It is deleted when the test ends.
func (l *Lab) Namespace(t testing.TB, labels ...string) string {
	t.Helper()
	name := strings.Trim(notName.ReplaceAllString(strings.ToLower(t.Name()), "-"), "-")
	meta := map[string]any{"generateName": name[:min(len(name), 40)] + "-", "labels": pairs(labels)}
	body, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := l.API(t.Context(), "POST", "/api/v1/namespaces", body)
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ Metadata struct{ Name string } }
	if err := json.Unmarshal(answer, &made); err != nil {
		t.Fatal(err)
	}
	ns := made.Metadata.Name
	t.Cleanup(func() {
		// Pods go at once; the namespace follows by itself.
		_, err1 := l.API(context.Background(), "DELETE", "/api/v1/namespaces/"+ns+"/pods?gracePeriodSeconds=0", nil)
		_, err2 := l.API(context.Background(), "DELETE", "/api/v1/namespaces/"+ns, nil)
		if err := errors.Join(err1, err2); err != nil {
			t.Error(err)
		}
	})
	l.Until(t, "the default service account of "+ns, func() bool {
		_, err := l.API(t.Context(), "GET", "/api/v1/namespaces/"+ns+"/serviceaccounts/default", nil)
		return err == nil
	})
	return ns
}

func pairs(labels []string) map[string]string {
	m := map[string]string{}
	for _, s := range labels {
		k, v, _ := strings.Cut(s, "=")
		m[k] = v
	}
	return m
}

// Pod runs a pod of one container, c, from the lab's image of tools, and waits until it is
// ready. spec is YAML in flow style that is added to the pod's spec: "hostPID: true".
func (l *Lab) Pod(t testing.TB, namespace, name string, spec ...string) {
	t.Helper()
	l.Apply(t, namespace, fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {app: %s}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "%s", command: [sleep, "3600"]}]
  %s
`, name, name, lab.ToolsImage, strings.Join(spec, "\n  ")))
	l.Ready(t, namespace, name)
}

// Ready waits until a pod is ready.
func (l *Lab) Ready(t testing.TB, namespace, pod string) {
	t.Helper()
	l.K(t, "-n", namespace, "wait", "--for=condition=Ready", "pod/"+pod, "--timeout=90s")
}

// Exec runs a command in a pod, through the API server, and returns what it printed.
func (l *Lab) Exec(t testing.TB, namespace, pod string, command ...string) string {
	t.Helper()
	return l.K(t, append([]string{"-n", namespace, "exec", pod, "--"}, command...)...)
}

// User makes a user with the rights bound to the name and groups; it returns a kubeconfig.
func (l *Lab) User(t testing.TB, name string, groups ...string) string {
	t.Helper()
	file, err := l.UserKubeconfig(name, groups...)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// Account makes a service account, unless it is there, and returns a kubeconfig with a
// token of it. rules, where there are any, are RBAC rules in YAML that it gets in its
// namespace: `{apiGroups: [""], resources: [pods], verbs: [get, list]}`.
func (l *Lab) Account(t testing.TB, namespace, name string, rules ...string) string {
	t.Helper()
	if name != "default" {
		l.Apply(t, namespace, fmt.Sprintf("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: %s}\n", name))
	}
	if len(rules) > 0 {
		l.Apply(t, namespace, fmt.Sprintf(`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: %[1]s}
rules: [%[3]s]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %[1]s}
subjects: [{kind: ServiceAccount, name: %[1]s, namespace: %[2]s}]
`, name, namespace, strings.Join(rules, ", ")))
	}
	token := strings.TrimSpace(l.K(t, "-n", namespace, "create", "token", name))
	file, err := l.TokenKubeconfig(namespace+"-"+name, token)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// RestartAPIServer ends the API server and waits until it answers again.
func (l *Lab) RestartAPIServer(t testing.TB) {
	t.Helper()
	if err := l.Restart(t.Context(), "kube-apiserver"); err != nil {
		t.Fatal(err)
	}
}

// SendAuditTo has the API server send its audit events to a receiver, as lab.AuditTo.
func (l *Lab) SendAuditTo(t testing.TB, url, caFile string) {
	t.Helper()
	if err := l.AuditTo(t.Context(), url, caFile); err != nil {
		t.Fatal(err)
	}
}

// AuditEvents are the events the API server has written to its file so far, as JSON.
func (l *Lab) AuditEvents(t testing.TB) []json.RawMessage {
	t.Helper()
	files, err := filepath.Glob(strings.TrimSuffix(l.AuditFile(), ".jsonl") + "*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var events []json.RawMessage
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if strings.HasSuffix(line, "\n") { // the last one may be being written
				events = append(events, json.RawMessage(strings.TrimSpace(line)))
			}
		}
	}
	return events
}

// Until waits, at most two minutes, for something to come true.
func (l *Lab) Until(t testing.TB, what string, is func() bool) {
	t.Helper()
	until(t, what, is)
}

func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatalf("no %s within two minutes", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
