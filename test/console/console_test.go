// Package console holds the console to its promises: its logic under Node, and
// its screens in a real Chromium, against the development mock (which can be
// driven into every state), against a real server with real alerts, and against
// the made tenant of the demo.
package console

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/query"
	"github.com/dockreeve/dockreeve/store"
	"github.com/dockreeve/dockreeve/test/need"
)

const patience = 18 * time.Minute // for a whole run on a busy machine, less than the suite has; no test waits for it to pass

// Made once, by the first test that asks: tests run beside each other.
var (
	packages sync.Mutex
	program  sync.Once
	binDir   string
	built    string // what building said where it failed
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "dockreeve-console-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binDir = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// dockreeve is the program as it is built.
func dockreeve(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(binDir, "dockreeve")
	program.Do(func() {
		cmd := exec.Command("go", "build", "-o", bin, "./cmd/dockreeve")
		cmd.Dir, cmd.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			built = fmt.Sprintf("go build: %v\n%s", err, out)
		}
	})
	if built != "" {
		t.Fatal(built)
	}
	return bin
}

// node makes sure that the locked packages are installed, once for a lockfile.
func node(t *testing.T) {
	t.Helper()
	need.Command(t, need.Chromium, "node")
	npm := need.Command(t, need.Chromium, "npm")
	packages.Lock()
	defer packages.Unlock()
	lock, err := os.Stat("../../ui/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if have, err := os.Stat("../../ui/node_modules/.package-lock.json"); err == nil && !have.ModTime().Before(lock.ModTime()) {
		return
	}
	run(t, "../../ui", nil, npm, "ci", "--no-audit", "--no-fund")
}

func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	need.Skip(t, need.Chromium, "no chromium is installed (Debian: apt install chromium)")
	return ""
}

func screenshots(t *testing.T, name string) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("../../out/screenshots", name))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestConsoleLogic(t *testing.T) {
	t.Parallel()
	node(t)
	run(t, "../../ui", nil, "npm", "run", "--silent", "check")
	t.Log(run(t, "../../ui", []string{"NO_COLOR=1"}, "npm", "run", "--silent", "test"))
}

// TestScreensInChromium has a browser and a mock for each half of the screens. The second half
// is whatever is not of the first, so that no test can be in neither.
func TestScreensInChromium(t *testing.T) {
	for _, half := range []struct{ name, part string }{{"alerts-governance", "alerts,governance"}, {"others", "!alerts,governance"}} {
		t.Run(half.name, func(t *testing.T) {
			t.Parallel()
			browser := chromium(t)
			node(t)
			t.Log(run(t, ".", []string{"CHROMIUM=" + browser, "OUT=" + screenshots(t, "mock-"+half.name), "DOCKREEVE_URL=", "PART=" + half.part}, "node", "browser.mjs"))
		})
	}
}

func TestEveryFilterTheConsoleProposesIsUnderstood(t *testing.T) {
	for _, list := range []struct {
		file, name string
		schema     *query.Schema
		also       []string // what chips and links ask for
	}{
		{"query.ts", "FIELDS", store.AlertFields(), []string{"-status:resolved -status:dismissed", "severity:>=high status:open", "age:<1h", "status:open,resolved"}},
		{"fields.ts", "IMAGE_FIELDS", store.ImageFields(), []string{"running:yes kev:yes in_use:yes fixable:yes", "running:yes assessed:no", "severity:unrated,low", `base:"docker.io/library/debian:12"`}},
		{"fields.ts", "VULNERABILITY_FIELDS", store.VulnerabilityFields(), []string{"kev:yes running:yes in_use:yes", "fixable:yes epss:>=0.1", "age:<7d", "-severity:unrated"}},
		{"clusterFields.ts", "CLUSTER_FIELDS", store.ClusterFields(), []string{"age:>5m", "audited:no", "alerts:>0"}},
		{"clusterFields.ts", "WORKLOAD_FIELDS", store.WorkloadFields(), []string{"platform:no reach:internet owner:unowned alerts:>0 kev:>0 power:privileged", `cluster:prod owner:unowned`, "reach:node-port,host-port"}},
		{"clusterFields.ts", "IDENTITY_FIELDS", store.IdentityFields(), []string{"platform:no grant:cluster-admin requests:0 unusual:* crosses:* denied:>0", "grant:* requests:0"}},
		{"clusterFields.ts", "EXPOSURE_FIELDS", store.ExposureFields(), []string{"reach:internet", "reach:restricted", "reach:node-port,host-port", "risk:* owner:unowned", "cluster:prod name:web namespace:shop"}},
		{"clusterFields.ts", "AUDIT_FIELDS", store.AuditFields(), []string{"unusual:* decision:forbid resource:secrets from:internet", "resource:pods/exec,pods/attach,pods/portforward,pods/ephemeralcontainers", "resource:*bindings*,*roles*", `identity:"serviceaccount:shop/web" unusual:secret-access,service-account`, "source:10.0.0.1"}},
		{"governFields.ts", "GOVERNED_FIELDS", store.GovernanceFields(store.GovCluster), []string{"production:yes protected:no owner:unowned", "over:yes anomaly:yes", `owner:"team a"`}},
		{"governFields.ts", "RECOMMENDATION_FIELDS", store.GovernanceFields(store.GovRecommendation), []string{"overdue:yes disagree:yes effort:1 source:defender fixed:no", `id:"aks-rbac"`}},
		{"governFields.ts", "RESULT_FIELDS", store.GovernanceFields(store.GovResult), []string{"verdict:not-assessed", `control:"aks-rbac" verdict:fail owner:payments`}},
		{"fields.ts", "FINDING_FIELDS", store.FindingFields(), []string{"kev:yes in_use:yes", "severity:>=high", "fixable:yes"}},
		{"fields.ts", "PACKAGE_FIELDS", store.PackageFields(), []string{"vulnerabilities:>0", "in_use:yes", `licence:""`}},
	} {
		source, err := os.ReadFile("../../ui/src/lib/" + list.file)
		if err != nil {
			t.Fatal(err)
		}
		_, text, ok := strings.Cut(string(source), "export const "+list.name+":")
		if !ok {
			t.Fatalf("ui/src/lib/%s has no %s", list.file, list.name)
		}
		text, _, _ = strings.Cut(text, "\n];")
		rows := regexp.MustCompile(`(?m)^  \["([a-z._-]+)", "[^"]+", (?:"([^"]+)"|'([^']+)')\],$`).FindAllStringSubmatch(text, -1)
		if len(rows) < 7 {
			t.Fatalf("only %d fields read from %s in ui/src/lib/%s: has its shape changed?", len(rows), list.name, list.file)
		}
		filters := list.also
		for _, m := range rows {
			filters = append(filters, m[2]+m[3], "-"+m[2]+m[3])
		}
		for _, f := range filters {
			if _, err := query.Parse(list.schema, f); err != nil {
				t.Errorf("%s: the console proposes %q: %v", list.name, f, err)
			}
		}
	}
}

// TestScreensAgainstARealServer watches this kernel, attacks a container and looks
// at what came of it.
func TestScreensAgainstARealServer(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	need.Root(t)
	need.Command(t, need.Kernel, "runc")
	node(t)
	dir, bin := t.TempDir(), dockreeve(t)
	state := filepath.Join(dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	base, link := up(t, bin, state)
	at := []string{"--server", base, "--state", state}
	attack := append([]string{"demo", "attack", "--timeout", "60s"}, at...)
	t.Log(run(t, dir, nil, bin, attack...))
	raise := fmt.Sprintf("%q demo attack --timeout 60s --only secrets --server %s --state %q", bin, base, state)
	t.Log(run(t, ".", []string{"CHROMIUM=" + browser, "OUT=" + screenshots(t, "server"), "DOCKREEVE_URL=" + base, "DOCKREEVE_LINK=" + link, "DOCKREEVE_RAISE=" + raise}, "node", "browser.mjs"))

	res, err := http.Get(base + "/alerts")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if csp := strings.Join(res.Header.Values("Content-Security-Policy"), "; "); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("the console is served with the policy %q", csp)
	}
}

// TestTheMadeTenantInChromium goes through governance of `dockreeve demo tenant` as a
// lead would, at a fixed time, and compares what is shown with what the API says.
func TestTheMadeTenantInChromium(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	node(t)
	base, link := serve(t, dockreeve(t), "demo", "tenant", "--clusters", "60", "--at", "2026-11-26T09:00:00Z")
	t.Log(run(t, ".", []string{"CHROMIUM=" + browser, "OUT=" + screenshots(t, "tenant"), "DOCKREEVE_URL=" + base, "DOCKREEVE_LINK=" + link, "DOCKREEVE_TENANT=1"}, "node", "browser.mjs"))
}

// up starts the program and reads its address and sign-in link from what it prints.
func up(t *testing.T, bin, state string, flags ...string) (base, link string) {
	t.Helper()
	return serve(t, bin, append([]string{"up", "--listen", "127.0.0.1:0", "--state", state}, flags...)...)
}

// serve starts a command that serves the console until the test ends.
func serve(t *testing.T, bin string, args ...string) (base, link string) {
	t.Helper()
	cmd := exec.Command(bin, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Errorf("stop dockreeve %s: %v", args[0], err)
		}
		<-ended
	})
	found := make(chan [2]string, 1)
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(out)
		var base string
		for lines.Scan() {
			said.WriteString(lines.Text() + "\n")
			f := strings.Fields(lines.Text())
			if len(f) == 2 && f[0] == "console" {
				u, err := url.Parse(f[1])
				if err != nil {
					fmt.Fprintln(os.Stderr, "the printed address:", err)
					continue
				}
				base = u.Scheme + "://" + u.Host // a room may follow it
			}
			if len(f) == 3 && f[0] == "sign" {
				found <- [2]string{base, f[2]}
			}
		}
		if err := lines.Err(); err != nil && err != io.EOF {
			fmt.Fprintln(os.Stderr, "read what dockreeve prints:", err)
		}
		close(found)
		if err := cmd.Wait(); err != nil {
			fmt.Fprintln(os.Stderr, "dockreeve ended:", err)
		}
	}()
	got, ok := <-found
	if !ok || got[0] == "" {
		<-ended
		t.Fatalf("dockreeve printed no address and link:\n%s", said.String())
	}
	return got[0], got[1]
}
