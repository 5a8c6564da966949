package kube

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/test/kube/lab"
)

// TestDemoAttackKubernetes is the command a newcomer runs against a cluster, with everything
// in one process that watches node and API server: every expected alert, attributed to
// pod, owner and identity, and nothing left behind, also when it is interrupted.
func TestDemoAttackKubernetes(t *testing.T) {
	l := Start(t, lab.Options{Nodes: 1})
	dir := t.TempDir()
	h := &hub{t: t, dir: dir, bin: program(t, "dockreeve")}
	state := filepath.Join(dir, "hub")
	up := func(name string, args ...string) *proc {
		p := h.start(name, append([]string{"up", "--state", state, "--listen", "127.0.0.1:0", "--node-name", "node1", "--no-image-scan"}, args...)...)
		h.untilAlive(p, "server that watches", func() bool {
			b, err := os.ReadFile(p.log)
			return err == nil && bytes.Contains(b, []byte("Watching this machine"))
		})
		return p
	}
	demo := func(args ...string) *exec.Cmd {
		return exec.CommandContext(t.Context(), h.bin, append([]string{"demo", "attack", "--kubernetes", "--kubeconfig", l.Kubeconfig(), "--state", state, "--cluster", "lab", "--image", lab.BusyboxImage}, args...)...)
	}
	nothingLeft := func(after string) {
		t.Helper()
		if out := l.K(t, "get", "namespaces,clusterrolebindings", "-l", "app.kubernetes.io/managed-by=dockreeve-demo", "-o", "name"); out != "" {
			t.Errorf("left after %s: %s", after, out)
		}
	}

	// Without audit events: what only the API server sees cannot be expected, and says so.
	p := up("blind", "--kubeconfig", l.Kubeconfig(), "--cluster", "lab")
	h.untilAlive(p, "cluster that is told of", func() bool {
		out, err := exec.Command(h.bin, "clusters", "list", "--state", state).Output()
		return err == nil && strings.Contains(string(out), "lab")
	})
	t.Run("a preview", func(t *testing.T) {
		out, err := demo().CombinedOutput()
		if code := exitCode(err); code != 2 || !bytes.Contains(out, []byte("nothing was done: add --yes")) || !bytes.Contains(out, []byte("cluster role binding dockreeve-demo-intruder")) {
			t.Errorf("exit code %d:\n%s", code, out)
		}
		nothingLeft("a preview")
	})
	t.Run("no audit events", func(t *testing.T) {
		r, code := demoReport(t, demo("--yes", "-o", "json"))
		if code != 4 || len(r.Missing) > 0 || len(r.NotAssessed) == 0 {
			t.Errorf("exit code %d, missing %v, not assessed %v", code, r.Missing, r.NotAssessed)
		}
		for _, a := range r.Alerts {
			if api := strings.HasPrefix(a.Rule, "k8s-"); api == a.Found || api != strings.Contains(a.NotAssessed, "no audit events of cluster lab are connected") {
				t.Errorf("%s: found %v, not assessed %q", a.Rule, a.Found, a.NotAssessed)
			}
		}
		nothingLeft("a demo")
	})
	p.kill()

	// The first of these only makes what the API server is to be started with.
	audited := []string{"--kubeconfig", l.Kubeconfig(), "--cluster", "lab", "--audit-webhook", net.JoinHostPort(l.APIIP, strconv.Itoa(l.ReceiverPort()))}
	p = up("first", audited...)
	p.kill()
	l.SendAuditTo(t, filepath.Join(state, "cluster", "lab", "audit-webhook", "kubeconfig"), "")
	p = up("seeing", audited...)
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			b, _ := os.ReadFile(p.log)
			t.Logf("the end of what up said:\n%s", b[max(0, len(b)-4000):])
		}
	})
	h.untilAlive(p, "audit event that came in", func() bool {
		out, err := exec.Command(h.bin, "clusters", "list", "--state", state).Output()
		return err == nil && strings.Contains(string(out), "webhook")
	})
	t.Run("everything watched", func(t *testing.T) {
		r, code := demoReport(t, demo("--yes", "-o", "json"))
		if code != 0 || len(r.Missing) > 0 || len(r.NotAssessed) > 0 {
			t.Errorf("exit code %d, missing %v, not assessed %v", code, r.Missing, r.NotAssessed)
		}
		var rules []string
		for _, a := range r.Alerts {
			rules = append(rules, a.Rule)
			pod, identity := r.Namespace+"/"+r.Pod, ""
			switch a.Rule {
			case "container-nsenter", "container-on-host":
				pod = r.Namespace + "/node-shell"
			case "k8s-privileged-container":
				pod, identity = r.Namespace+"/node-shell", "user:lab-admin"
			case "k8s-exec":
				identity = "user:lab-admin"
			case "k8s-service-account-recon", "k8s-secrets-read-in-bulk":
				pod, identity = "", "serviceaccount:"+r.Namespace+"/shop"
			case "k8s-dangerous-grant", "k8s-cluster-admin-binding":
				pod, identity = "", "user:lab-admin"
			}
			owner := r.Namespace
			if a.Rule == "k8s-cluster-admin-binding" {
				owner = "" // the binding is nobody's
			}
			if !a.Found || a.Pod != pod || a.Identity != identity || a.Owner != owner {
				t.Errorf("%s: found %v %q, pod %q, owner %q, identity %q; want %q, %q, %q", a.Rule, a.Found, a.NotAssessed, a.Pod, a.Owner, a.Identity, pod, owner, identity)
			}
		}
		for _, want := range []string{"drift", "reverse-shell", "container-on-host", "k8s-exec", "k8s-secrets-read-in-bulk"} {
			if !slices.Contains(rules, want) {
				t.Errorf("the demo does not expect %s", want)
			}
		}
		nothingLeft("a demo")
	})
	t.Run("interrupted", func(t *testing.T) {
		cmd := demo("--yes")
		var out bytes.Buffer
		cmd.Stderr = &out
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		sent := false
		for {
			n, err := pipe.Read(buf)
			out.Write(buf[:n])
			if !sent && bytes.Contains(out.Bytes(), []byte("\nsecrets: ")) {
				sent = true
				if err := cmd.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
			}
			if err != nil {
				break
			}
		}
		if code := exitCode(cmd.Wait()); code == 0 || !sent {
			t.Errorf("interrupted: %v, exit code %d:\n%s", sent, code, out.Bytes())
		}
		nothingLeft("an interrupted demo")
	})
	t.Run("what is not ours", func(t *testing.T) {
		l.K(t, "create", "namespace", "dockreeve-demo")
		out, err := demo("--yes").CombinedOutput()
		if code := exitCode(err); code != 3 || !bytes.Contains(out, []byte("there is a namespace dockreeve-demo already")) {
			t.Errorf("exit code %d:\n%s", code, out)
		}
		if out, err := exec.Command(h.bin, "demo", "clean", "--kubernetes", "--kubeconfig", l.Kubeconfig()).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("clean: %v %s", err, out)
		}
		l.K(t, "get", "namespace", "dockreeve-demo")
	})
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := err.(*exec.ExitError); ok {
		return e.ExitCode()
	}
	return -1
}

// demoSaid is what the demo's JSON says.
type demoSaid struct {
	Namespace, Pod       string
	Missing, NotAssessed []string
	Alerts               []struct {
		Rule, NotAssessed, Pod, Owner, Identity string
		Found                                   bool
	}
}

func demoReport(t *testing.T, cmd *exec.Cmd) (r demoSaid, code int) {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("the report is not JSON: %v\n%s\n%s", err, out, stderr.Bytes())
	}
	return r, exitCode(err)
}
