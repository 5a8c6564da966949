package kube

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/test/kube/lab"
)

// TestPodsAreAttributed runs every kind of container a pod can have, with and without what
// the cluster tells, and looks at where the node agent says its programs ran.
func TestPodsAreAttributed(t *testing.T) {
	l := labs.Node(t)
	ns := l.Namespace(t)
	w := watch(t, l, markRules, true)
	l.Apply(t, ns, fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      terminationGracePeriodSeconds: 0
      initContainers:
      - {name: prepare, image: "%[2]s", command: [echo, dr-mark, as-init]}
      containers:
      - {name: web, image: "%[1]s", command: [sh, -c, "echo dr-mark; /bin/echo dr-mark as-main; exec sleep 3600"]}
      - {name: helper, image: "%[2]s", command: [sh, -c, "/bin/echo dr-mark as-privileged; exec sleep 3600"], securityContext: {privileged: true}}
`, lab.ToolsImage, lab.BusyboxImage))
	l.K(t, "-n", ns, "wait", "--for=condition=Available", "deployment/shop", "--timeout=90s")
	pod := strings.TrimSpace(l.K(t, "-n", ns, "get", "pods", "-l", "app=shop", "-o", "jsonpath={.items[0].metadata.name}"))
	l.K(t, "-n", ns, "exec", pod, "-c", "web", "--", "/bin/echo", "dr-mark", "as-exec")
	l.K(t, "-n", ns, "debug", pod, "--image="+lab.BusyboxImage, "--image-pull-policy=IfNotPresent", "--profile=general", "-q", "-c", "dbg", "--attach=false", "--", "echo", "dr-mark", "as-ephemeral")

	// A static pod: the kubelet knows it by another uid than the API server does.
	static := filepath.Join(l.Nodes[0].Host, "etc/kubernetes/manifests/static.yaml")
	if err := os.WriteFile(static, fmt.Appendf(nil, `apiVersion: v1
kind: Pod
metadata: {name: fixed, namespace: kube-system}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: only, image: "%s", command: [sh, -c, "/bin/echo dr-mark as-static; exec sleep 3600"]}]
`, lab.BusyboxImage), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(static); err != nil {
			t.Error(err)
		}
	})

	for _, want := range []struct{ mark, container, image, namespace, pod, workload string }{
		{"as-init", "prepare", lab.BusyboxImage, ns, pod, ns + "/Deployment/shop"},
		{"as-main", "web", lab.ToolsImage, ns, pod, ns + "/Deployment/shop"},
		{"as-privileged", "helper", lab.BusyboxImage, ns, pod, ns + "/Deployment/shop"},
		{"as-exec", "web", lab.ToolsImage, ns, pod, ns + "/Deployment/shop"},
		{"as-ephemeral", "dbg", lab.BusyboxImage, ns, pod, ns + "/Deployment/shop"},
		{"as-static", "only", lab.BusyboxImage, "kube-system", "fixed-node1", "kube-system/Pod/fixed-node1"},
	} {
		t.Run(want.mark, func(t *testing.T) {
			var found []finding.Finding
			until(t, "finding of the program marked "+want.mark, func() bool {
				found = w.findings(marked(want.mark))
				return len(found) > 0
			})
			for _, f := range found {
				c := f.Subject.Container
				if c == nil {
					t.Errorf("%s is said to be on the host", f.Lineage[0].Cmdline)
					continue
				}
				if c.Name != want.container || c.Image != want.image || c.Namespace != want.namespace || c.Pod != want.pod || c.Runtime != "containerd" || c.Unknown != "" {
					t.Errorf("%s ran in %+v, want %+v", f.Lineage[0].Cmdline, *c, want)
				}
				// A static pod's mirror is made by its kubelet after it has started.
				if f.Subject.Workload != want.workload && want.mark != "as-static" {
					t.Errorf("%s is of workload %q, want %q", f.Lineage[0].Cmdline, f.Subject.Workload, want.workload)
				}
			}
		})
	}
	t.Run("pause", func(t *testing.T) {
		found := w.findings(func(f *finding.Finding) bool {
			return f.Rule.Name == "pause" && f.Subject.Container != nil && f.Subject.Container.Pod == pod
		})
		if len(found) != 1 || found[0].Subject.Container.Name != "POD" || found[0].Subject.Container.Image != lab.PauseImage {
			t.Errorf("the container that holds the pod's namespaces: %+v", found)
		}
	})
}

// TestPodsThatLiveOneSecond makes sixty pods that live about a second, as a Job would, and
// counts what is missing from the findings of what they run.
func TestPodsThatLiveOneSecond(t *testing.T) {
	const pods = 60
	l := labs.Node(t)
	ns := l.Namespace(t)
	w := watch(t, l, markRules, true)
	l.Apply(t, ns, fmt.Sprintf(`apiVersion: batch/v1
kind: Job
metadata: {name: churn}
spec:
  completions: %[1]d
  parallelism: 12
  template:
    metadata: {labels: {app: churn}}
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 0
      containers: [{name: brief, image: "%[2]s", command: [sh, -c, "/bin/echo dr-mark $HOSTNAME churn; sleep 1"]}]
`, pods, lab.BusyboxImage))
	l.K(t, "-n", ns, "wait", "--for=condition=Complete", "job/churn", "--timeout=240s")
	names := strings.Fields(l.K(t, "-n", ns, "get", "pods", "-l", "app=churn", "-o", "jsonpath={.items[*].metadata.name}"))
	if len(names) < pods {
		t.Fatalf("%d pods ran, want %d", len(names), pods)
	}
	want := map[string]bool{}
	for _, n := range names {
		want[n] = true
	}
	var found []finding.Finding
	// The program, and the shell that has it in its script.
	until(t, fmt.Sprintf("finding of each of the %d pods", len(names)), func() bool {
		found = w.findings(func(f *finding.Finding) bool {
			return f.Rule.Name == "marked" && len(f.Lineage) > 0 && strings.Contains(f.Lineage[0].Cmdline, "churn")
		})
		seen := map[string]bool{}
		for _, f := range found {
			for _, word := range strings.Fields(f.Lineage[0].Cmdline) {
				if want[word] {
					seen[word] = true
				}
			}
		}
		return len(seen) == len(names)
	})
	missing := map[string]int{}
	wrong := 0
	for _, f := range found {
		c := f.Subject.Container
		if c == nil {
			missing["container"]++
			continue
		}
		for what, value := range map[string]string{"pod": c.Pod, "namespace": c.Namespace, "container name": c.Name, "image": c.Image} {
			if value == "" {
				missing[what]++
			}
		}
		if f.Subject.Workload != ns+"/Job/churn" {
			missing["workload"]++
		}
		// What the pod says of itself, where the program's arguments have it.
		for _, word := range strings.Fields(f.Lineage[0].Cmdline) {
			if want[word] && word != c.Pod {
				wrong++
			}
		}
	}
	t.Logf("%d pods, %d findings; without: %v; of the wrong pod: %d", len(names), len(found), missing, wrong)
	if len(missing) > 0 || wrong > 0 {
		t.Errorf("of %d findings: missing %v, wrong pod %d; want none", len(found), missing, wrong)
	}
}
