package kube

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/detect/rules"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/test/kube/lab"
)

// packed is the text of one of our own rule files, with the words it needs.
func packed(t *testing.T, name string) string {
	t.Helper()
	files, err := rules.Files()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range files {
		if strings.HasSuffix(f.Name, "00-words.yaml") || strings.HasSuffix(f.Name, name) {
			b.Write(f.Data)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// TestAnEscapeReachesTheNodeAndItsTenants leaves a pod of tenant red by every way there is
// rule for, on a node that tenant blue shares, and holds that each alert names the node, whose
// pod it was, and whom of blue it reaches. Nothing is told of what blue's pod and the
// runtime do meanwhile.
func TestAnEscapeReachesTheNodeAndItsTenants(t *testing.T) {
	l := labs.Node(t)
	blue := l.Namespace(t, "tenant=blue", "owner=team-blue")
	red := l.Namespace(t, "tenant=red", "owner=team-red")
	deploy := func(ns, name, spec, container string) (pod, uid string) {
		l.Apply(t, ns, fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 0
      %[3]s
      containers: [{name: c, image: "%[2]s", command: [sleep, "3600"]%[4]s}]
`, name, lab.ToolsImage, spec, container))
		l.K(t, "-n", ns, "wait", "--for=condition=Available", "deployment/"+name, "--timeout=90s")
		said := strings.Fields(l.K(t, "-n", ns, "get", "pods", "-l", "app="+name, "-o", "jsonpath={.items[0].metadata.name} {.items[0].metadata.uid}"))
		return said[0], said[1]
	}
	w := watch(t, l, packed(t, "container-escape.yaml"), true)
	_, blueUID := deploy(blue, "db", "", "")
	tool, _ := deploy(red, "tool", `hostPID: true
      volumes: [{name: host, hostPath: {path: /}}]`, `, securityContext: {privileged: true}, volumeMounts: [{name: host, mountPath: /host, mountPropagation: HostToContainer}]`)
	db := blue + "/Deployment/db"
	run := func(command, proof string) {
		t.Helper()
		if out := l.Exec(t, red, tool, "sh", "-c", command); !strings.Contains(out, proof) {
			t.Fatalf("%s: %q", command, out)
		}
	}
	if early := w.findings(func(*finding.Finding) bool { return true }); len(early) > 0 {
		t.Errorf("found before anything happened: %s: %s", early[0].Rule.ID, early[0].Summary)
	}
	for _, way := range []struct{ name, command, proof, rule string }{
		{"nsenter", "nsenter -t 1 -m -- /bin/sh -c id || nsenter -t 2 -m -- /bin/sh -c id", "uid=0", "container-nsenter"},
		{"on the host", "true", "", "container-on-host"}, // by the nsenter before
		{"chroot", "chroot /host /bin/sh -c 'echo dr-chroot'", "dr-chroot", "container-on-host"},
		{"token", "cat /host/var/lib/kubelet/pods/" + blueUID + "/volumes/kubernetes.io~projected/*/token | wc -c", "", "other-pod-credentials"},
		{"static pod", "echo x > /host/etc/kubernetes/manifests/.dr-test && rm /host/etc/kubernetes/manifests/.dr-test && echo done", "done", "host-start-write"},
	} {
		t.Run(way.name, func(t *testing.T) {
			run(way.command, way.proof)
			var f finding.Finding
			until(t, "finding of "+way.rule, func() bool {
				found := w.findings(func(f *finding.Finding) bool {
					return f.Rule.ID == way.rule && (way.name != "chroot" || len(f.Lineage) > 0 && strings.Contains(f.Lineage[0].Cmdline, "dr-chroot"))
				})
				if len(found) > 0 {
					f = found[0]
				}
				return len(found) > 0
			})
			s := f.Subject
			if s.Node != "node1" || s.Workload != red+"/Deployment/tool" || s.Owner != "team-red" || s.Tenant != "red" || s.Container == nil || s.Container.Pod != tool {
				t.Errorf("whose: node %s workload %s owner %s tenant %s container %+v", s.Node, s.Workload, s.Owner, s.Tenant, s.Container)
			}
			if !slices.Contains(s.Reaches, "tenant:blue") || !slices.Contains(s.Reaches, db) || slices.Contains(s.Reaches, "tenant:red") {
				t.Errorf("reaches %v, want tenant:blue and %s", s.Reaches, db)
			}
			if !strings.Contains(f.Summary, db) {
				t.Errorf("the summary does not name %s: %s", db, f.Summary)
			}
			if way.name == "token" && !slices.Equal(s.Reaches, []string{"tenant:blue", db}) {
				t.Errorf("the token is one pod's: reaches %v", s.Reaches)
			}
		})
	}
	for _, f := range w.findings(func(f *finding.Finding) bool { return f.Subject.Workload != red+"/Deployment/tool" }) {
		t.Errorf("found of %s: %s: %s", f.Subject.Workload, f.Rule.ID, f.Summary)
	}
}
