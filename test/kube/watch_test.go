package kube

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/agent/node"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/rule"
	"github.com/dockreeve/dockreeve/source/kube"
	"github.com/dockreeve/dockreeve/test/need"
)

// markRules find programs that a test marks with an argument, and the program that holds a
// pod's namespaces.
const markRules = `
- rule: marked
  desc: A program that a test marks with an argument.
  condition: evt.type in (execve, execveat) and container.id != host and proc.args contains dr-mark
  output: marked (args=%proc.args)
  priority: NOTICE
- rule: pause
  desc: What holds a pod's namespaces.
  condition: evt.type in (execve, execveat) and container.id != host and proc.name = pause
  output: pause
  priority: NOTICE
`

// watched is a node agent in this process that watches the lab's node1, told of pods by an
// inventory that follows the lab's API server: the path of the real agents without links.
type watched struct {
	state *inventory.State
	mu    sync.Mutex
	found []finding.Finding
}

// watch starts one with rules; cluster = false leaves the inventory out. It ends with the
// test.
func watch(t *testing.T, l *Lab, rules string, cluster bool) *watched {
	t.Helper()
	need.Root(t)
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	set, diags, err := node.RuleSet{Paths: []string{file}, NoBuiltin: true}.Load()
	bad := slices.ContainsFunc(diags, func(d rule.Diagnostic) bool { return d.Severity == rule.SeverityError })
	if err != nil || bad {
		t.Fatal(err, diags)
	}
	w := &watched{state: inventory.NewState(inventory.Options{})}
	n, err := node.New(node.Options{Name: "node1", Rules: set, Sender: w})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := n.Open(ctx); err != nil {
		t.Fatal(err)
	}
	wg.Go(func() {
		if err := n.Run(ctx); err != nil {
			t.Error("the node agent:", err)
		}
	})
	if !cluster {
		return w
	}
	conf, err := kube.LoadConfig(kube.ConfigOptions{Kubeconfig: l.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	watcher, err := kube.Open(kube.Options{Config: conf.REST})
	if err != nil {
		t.Fatal(err)
	}
	wg.Go(func() {
		if err := watcher.Run(ctx, w.state); err != nil && ctx.Err() == nil {
			t.Error("the inventory:", err)
		}
	})
	select {
	case <-watcher.Synced():
	case <-time.After(time.Minute):
		t.Fatal("the inventory is not complete after a minute")
	}
	w.state.DirtyPods()
	n.Pods(inventory.PodsFor{Node: "node1", Full: true, Put: w.state.PodsOf("node1")})
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if c, ok := w.state.DirtyPods()["node1"]; ok {
					n.Pods(inventory.PodsFor{Node: "node1", Put: c.Put, Gone: c.Gone})
				}
			}
		}
	})
	return w
}

// Send keeps findings; it makes watched a link.Sender.
func (w *watched) Send(_ context.Context, _ link.Lane, kind link.Kind, payload []byte) error {
	if kind != link.KindFinding {
		return nil
	}
	var f finding.Finding
	if err := json.Unmarshal(payload, &f); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found = append(w.found, f)
	return nil
}

// findings are those so far that pass.
func (w *watched) findings(pass func(*finding.Finding) bool) (fs []finding.Finding) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.found {
		if pass(&w.found[i]) {
			fs = append(fs, w.found[i])
		}
	}
	return fs
}

// marked passes findings whose offender has a word among its arguments.
func marked(word string) func(*finding.Finding) bool {
	return func(f *finding.Finding) bool {
		return f.Rule.Name == "marked" && len(f.Lineage) > 0 && slices.Contains(strings.Fields(f.Lineage[0].Cmdline), word)
	}
}
