package kube

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/test/kube/lab"
)

// hub is a Dockreeve server and the agent of one cluster, "lab", as processes of their own,
// as they are built. They end with the test.
type hub struct {
	t      testing.TB
	bin    string
	dir    string
	args   []string // of the agent, beyond those that join it
	extra  []string // of the server
	server *proc
	agent  *proc
}

// proc is one process; what it says goes to a file.
type proc struct {
	cmd  *exec.Cmd
	log  string
	over chan struct{}
}

// startHub starts a server, which listens for agents.
func startHub(t testing.TB, extra ...string) *hub {
	t.Helper()
	h := &hub{t: t, dir: t.TempDir(), bin: program(t, "dockreeve"), extra: extra}
	t.Cleanup(func() {
		for _, p := range []*proc{h.agent, h.server} {
			p.kill()
		}
		if t.Failed() {
			for _, name := range []string{"server", "agent"} {
				b, _ := os.ReadFile(filepath.Join(h.dir, name+".log"))
				t.Logf("the end of what the %s said:\n%s", name, b[max(0, len(b)-4000):])
			}
		}
	})
	h.startServer("127.0.0.1:0")
	return h
}

func (h *hub) start(name string, args ...string) *proc {
	h.t.Helper()
	p := &proc{log: filepath.Join(h.dir, name+".log"), over: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		h.t.Fatal(err)
	}
	defer out.Close()
	p.cmd = exec.Command(h.bin, args...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.over)
	}()
	return p
}

// kill ends a process at once, as a machine that fails would.
func (p *proc) kill() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.over
}

func (h *hub) state() string { return filepath.Join(h.dir, "hub") }

func (h *hub) linkAddress() string {
	b, err := os.ReadFile(filepath.Join(h.state(), "link-address"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// startServer starts the server and waits until its API answers.
func (h *hub) startServer(link string) {
	h.t.Helper()
	h.server = h.start("server", append([]string{"server", "--listen", "127.0.0.1:0", "--link-listen", link, "--state", h.state(), "--no-image-scan", "-v"}, h.extra...)...)
	h.untilAlive(h.server, "server that answers", func() bool {
		_, err := h.cli("alerts", "list")
		return err == nil || strings.Contains(err.Error(), "no node")
	})
}

func (h *hub) restartServer() {
	h.t.Helper()
	link := h.linkAddress()
	h.server.kill()
	h.startServer(link)
}

// startAgent starts the agent of the cluster of a kubeconfig; the first time it joins.
func (h *hub) startAgent(kubeconfig string, args ...string) {
	h.t.Helper()
	token, err := h.cli("join-token", "--role", "cluster", "--cluster", "lab")
	if err != nil {
		h.t.Fatal(err)
	}
	h.args = append([]string{"cluster", "--hub", "https://" + h.linkAddress(), "--cluster", "lab", "--kubeconfig", kubeconfig, "--state", filepath.Join(h.dir, "agent"), "-v"}, args...)
	h.agent = h.start("agent", append(slices.Clone(h.args), "--join", strings.TrimSpace(token))...)
	h.untilAlive(h.agent, "agent that has told of its cluster", func() bool {
		out, err := h.cli("clusters", "list")
		return err == nil && strings.Contains(out, "lab")
	})
}

func (h *hub) resumeAgent() {
	h.agent = h.start("agent", h.args...)
}

func (h *hub) untilAlive(p *proc, what string, is func() bool) {
	h.t.Helper()
	until(h.t, what, func() bool {
		select {
		case <-p.over:
			b, _ := os.ReadFile(p.log)
			h.t.Fatalf("no %s: it ended:\n%s", what, b)
		default:
		}
		return is()
	})
}

// cli runs a command of the program against the server; the error has what it said.
func (h *hub) cli(args ...string) (string, error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(h.t.Context(), h.bin, append(args, "--state", h.state())...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("dockreeve %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

// told is an alert as the API tells it.
type told struct {
	ID       string
	RuleID   string
	Severity string
	Summary  string
	Count    int64 `json:",string"`
	Subject  struct{ Identity, Object, Workload, Tenant, Source, Agent, Owner string }
}

// alerts are those that pass a filter of the query language.
func (h *hub) alerts(filter ...string) []told {
	h.t.Helper()
	out, err := h.cli(append([]string{"alerts", "list", "-o", "json", "--limit", "5000"}, filter...)...)
	if err != nil {
		h.t.Fatal(err)
	}
	var list struct{ Alerts []told }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		h.t.Fatalf("%v: %.400s", err, out)
	}
	return list.Alerts
}

// watchedLab is a control plane alone whose API server sends its audit events to the agent's
// webhook; args are further flags of the agent.
func watchedLab(t testing.TB, args ...string) (*Lab, *hub) {
	t.Helper()
	l := Start(t, lab.Options{})
	h := startHub(t)
	h.startAgent(l.Kubeconfig(), append([]string{"--audit-webhook", fmt.Sprintf("%s:%d", l.APIIP, l.ReceiverPort())}, args...)...)
	// What an operator would copy to the control plane.
	b, err := os.ReadFile(filepath.Join(h.dir, "agent", "cluster", "lab", "audit-webhook", "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.File("audit-webhook.kubeconfig"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	l.crash(t, "kube-apiserver")
	l.RestartAPIServer(t)
	return l, h
}

// crash kills one program of the lab, which says no more of what it has in memory.
func (l *Lab) crash(t testing.TB, name string) {
	t.Helper()
	for _, p := range l.Programs {
		if p.Name == name {
			if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// caller speaks to the API server as programs other than kubectl do.
type caller struct {
	l       *Lab
	http    *http.Client
	token   string
	headers map[string]string
}

// caller makes one; cert is the name of a file of the lab's pki, "" = no certificate.
func (l *Lab) caller(t testing.TB, cert, token string, headers ...string) *caller {
	t.Helper()
	ca, err := os.ReadFile(l.File("pki/ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	conf := &tls.Config{RootCAs: x509.NewCertPool()}
	conf.RootCAs.AppendCertsFromPEM(ca)
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(l.File("pki/"+cert+".crt"), l.File("pki/"+cert+".key"))
		if err != nil {
			t.Fatal(err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	tr := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 8}
	t.Cleanup(tr.CloseIdleConnections)
	return &caller{l: l, token: token, headers: pairs(headers), http: &http.Client{Transport: tr, Timeout: 30 * time.Second}}
}

// do makes one request and returns the status, 0 where there was no answer.
func (c *caller) do(ctx context.Context, method, path, body string, headers ...string) (int, string) {
	req, err := http.NewRequestWithContext(ctx, method, c.l.Server()+path, strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, m := range []map[string]string{c.headers, pairs(headers)} {
		for k, v := range m {
			req.Header.Set(k, v)
		}
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// must is do, where another status than those wanted fails the test.
func (c *caller) must(t testing.TB, want int, method, path, body string, headers ...string) string {
	t.Helper()
	code, answer := c.do(t.Context(), method, path, body, headers...)
	if code != want {
		t.Fatalf("%s %s: %d, want %d: %.300s", method, path, code, want, answer)
	}
	return answer
}

// csrPEM is a certificate request as the API takes it.
func csrPEM(t testing.TB, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// startProgram starts another program than dockreeve.
func (h *hub) startProgram(bin, name string, args ...string) *proc {
	h.t.Helper()
	other := *h
	other.bin = bin
	return other.start(name, args...)
}

// end asks a process to end, and waits until it has.
func (p *proc) end(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.over:
	case <-time.After(time.Minute):
		t.Fatalf("%s does not end", p.log)
	}
}

// url is where the server's console and API are.
func (h *hub) url() string {
	h.t.Helper()
	b, err := os.ReadFile(filepath.Join(h.state(), "address"))
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// json runs a command and reads what it prints.
func (h *hub) json(into any, args ...string) {
	h.t.Helper()
	out, err := h.cli(args...)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		h.t.Fatalf("%v: %.400s", err, out)
	}
}
