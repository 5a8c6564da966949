package kube

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/test/kube/lab"
	"github.com/dockreeve/dockreeve/test/need"
)

// TestTheNodeAgentInAPod runs dockreeve-node as a DaemonSet would: privileged, in the
// host's PID namespace, with the host's cgroups, and no directory of any runtime mounted.
func TestTheNodeAgentInAPod(t *testing.T) {
	need.Root(t)
	l := labs.Node(t)
	ns := l.Namespace(t)
	dir := t.TempDir()
	if err := os.Link(program(t, "dockreeve-node"), filepath.Join(dir, "dockreeve-node")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "rules.yaml"), []byte(markRules), 0o644); err != nil {
		t.Fatal(err)
	}
	l.Apply(t, ns, fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: agent}
spec:
  hostPID: true
  terminationGracePeriodSeconds: 0
  containers:
  - name: node
    image: "%s"
    command: [/agent/dockreeve-node, --name, node1, --no-builtin-rules, --rules, /agent/rules.yaml, --status-every, 500ms]
    securityContext: {privileged: true}
    volumeMounts: [{name: agent, mountPath: /agent, readOnly: true}, {name: cgroup, mountPath: /sys/fs/cgroup, readOnly: true}]
  volumes:
  - {name: agent, hostPath: {path: "%s", type: Directory}}
  - {name: cgroup, hostPath: {path: /sys/fs/cgroup, type: Directory}}
`, lab.BusyboxImage, dir))
	l.Ready(t, ns, "agent")
	said := func(kind string) (lines []json.RawMessage) {
		sc := bufio.NewScanner(strings.NewReader(l.K(t, "-n", ns, "logs", "agent")))
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			var line struct {
				Kind string
				Data json.RawMessage
			}
			if json.Unmarshal(sc.Bytes(), &line) == nil && line.Kind == kind {
				lines = append(lines, line.Data)
			}
		}
		return lines
	}
	l.Until(t, "status of the agent", func() bool { return len(said("status")) > 0 })
	l.Apply(t, ns, fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: seen}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers: [{name: brief, image: "%s", command: [/bin/echo, dr-mark]}]
`, lab.ToolsImage))
	var f finding.Finding
	l.Until(t, "finding", func() bool {
		found := said("finding")
		for _, b := range found {
			if err := json.Unmarshal(b, &f); err != nil {
				t.Fatal(err)
			}
			if f.Rule.Name == "marked" {
				return true
			}
		}
		return false
	})
	if c := f.Subject.Container; c == nil || c.Pod != "seen" || c.Namespace != ns || c.Name != "brief" || c.Image != lab.ToolsImage || c.Runtime != "containerd" || c.Unknown != "" {
		t.Errorf("attributed to %+v", c)
	}
}
