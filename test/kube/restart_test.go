package kube

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
)

// series makes one CronJob after another, each with a name of its own, and goes on whatever
// fails. Each is an alert of its own.
type series struct {
	c    *caller
	ns   string
	next atomic.Int64
	mu   sync.Mutex
	done map[string]bool // by name; false = made, but whether the API server lived to write it down is not known
}

// name is the nth name, in letters: digits would be folded into one alert.
func (s *series) name(n int64) string {
	b := []byte("call")
	for range 4 {
		b = append(b, byte('a'+n%26))
		n /= 26
	}
	return string(b)
}

func (s *series) run(ctx context.Context) {
	for ctx.Err() == nil {
		name := s.name(s.next.Load())
		body := `{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"` + name + `"},"spec":{"schedule":"0 0 1 1 *","jobTemplate":{"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"registry.example/shop/web:1"}]}}}}}}`
		code, _ := s.c.do(ctx, "POST", "/apis/batch/v1/namespaces/"+s.ns+"/cronjobs", body)
		switch code {
		case 201, 409:
			s.mu.Lock()
			s.done[name] = code == 201
			s.mu.Unlock()
			s.next.Add(1)
		}
		select {
		case <-ctx.Done():
		case <-time.After(30 * time.Millisecond): // so that the series outlasts what is done meanwhile
		}
	}
}

// more waits for n further calls that went through.
func (s *series) more(t *testing.T, n int64) {
	t.Helper()
	goal := s.next.Load() + n
	until(t, fmt.Sprintf("%d further calls", n), func() bool { return s.next.Load() >= goal })
}

// givenUp is how many audit events the API server could not send to its webhook and sends no more.
func (l *Lab) givenUp(t *testing.T) (n float64) {
	t.Helper()
	b, err := l.API(t.Context(), "GET", "/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "apiserver_audit_error_total{"); ok && strings.Contains(rest, "webhook") {
			_, count, _ := strings.Cut(strings.TrimSpace(rest), "} ")
			v, err := strconv.ParseFloat(count, 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			n += v
		}
	}
	return n
}

// restarts kills the hub, the agent and the API server in turn, while calls that raise
// alerts go on, and counts the alerts at the end: each is there once. The agent reads the
// API server's file besides the webhook from here on: what an API server that is killed, or
// that cannot reach its webhook, has in memory is nowhere else.
func restarts(t *testing.T, l *Lab, h *hub) {
	h.agent.kill()
	h.args = append(h.args, "--audit-file", l.AuditFile(), "--audit-from-now")
	h.resumeAgent()
	h.untilAlive(h.agent, "agent that reads the file", func() bool {
		marks, err := filepath.Glob(filepath.Join(h.dir, "agent", "cluster", "lab", "audit-files", "*"))
		return err == nil && len(marks) > 0
	})
	const ns = "restarts"
	c := l.caller(t, "admin", "")
	c.must(t, 201, "POST", "/api/v1/namespaces", `{"metadata":{"name":"`+ns+`"}}`)
	s := &series{c: c, ns: ns, done: map[string]bool{}}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.run(ctx) })
	defer func() { stop(); wg.Wait() }()

	s.more(t, 20)
	h.server.kill()
	s.more(t, 20)
	h.startServer(h.linkAddress())
	s.more(t, 20)
	h.agent.kill()
	given := l.givenUp(t)
	until(t, "audit events that the API server has given up to send", func() bool { return l.givenUp(t) > given })
	h.resumeAgent()
	s.more(t, 20)
	l.crash(t, "kube-apiserver")
	l.RestartAPIServer(t)
	s.more(t, 20)
	// All at once, in the other order.
	h.agent.kill()
	h.server.kill()
	l.crash(t, "kube-apiserver")
	l.RestartAPIServer(t)
	s.more(t, 5)
	h.resumeAgent()
	s.more(t, 5)
	h.startServer(h.linkAddress())
	s.more(t, 20)
	stop()
	wg.Wait()

	seen := map[string]int64{}
	missing := func() (names []string) {
		clear(seen)
		for _, a := range h.alerts("rule:k8s-cronjob") {
			if _, name, ok := strings.Cut(a.Subject.Object, " "+ns+"/"); ok {
				seen[name] += a.Count
			}
		}
		for name, sure := range s.done {
			if sure && seen[name] == 0 {
				names = append(names, name)
			}
		}
		return names
	}
	var gone []string
	ok := within(t, 90*time.Second, func() bool { gone = missing(); return len(gone) == 0 })
	if !ok {
		t.Errorf("%d of %d alerts are missing: %v", len(gone), len(s.done), gone[:min(len(gone), 10)])
	}
	for name, n := range seen {
		if n != 1 {
			t.Errorf("%s is told %d times", name, n)
		}
	}
	unsure := 0
	for _, sure := range s.done {
		if !sure {
			unsure++
		}
	}
	t.Logf("%d calls, %d of them not answered before an API server died", len(s.done), unsure)
	if len(s.done) < 100 || unsure > 3 {
		t.Errorf("%d calls, %d of them of unknown end", len(s.done), unsure)
	}
}

// within asks until it is told yes, for at most so long.
func within(t *testing.T, limit time.Duration, is func() bool) bool {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for !is() {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(100 * time.Millisecond):
		}
	}
	return true
}

// badCallers calls the webhook with a wrong token, half an event, and a body that unpacks to
// more than is taken: each is refused, counted and shown, and what comes after is judged.
func badCallers(t *testing.T, l *Lab, h *hub) {
	token, err := os.ReadFile(filepath.Join(h.dir, "agent", "cluster", "lab", "audit-webhook", "token"))
	if err != nil {
		t.Fatal(err)
	}
	hook := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: 30 * time.Second}
	url := fmt.Sprintf("https://%s:%d/audit/lab", l.APIIP, l.ReceiverPort())
	call := func(token string, body []byte, headers ...string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "POST", url, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		for k, v := range pairs(headers) {
			req.Header.Set(k, v)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := hook.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	right := strings.TrimSpace(string(token))
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 64 {
		if _, err := z.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		got  int
		want int
	}{
		{"no token", call("", []byte(`{}`)), 401},
		{"a wrong token", call("wrong", []byte(`{}`)), 403},
		{"half an event", call(right, []byte(`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{"auditID":"x"`)), 400},
		{"a gzip bomb", call(right, bomb.Bytes(), "Content-Encoding=gzip"), 413},
	} {
		if c.got != c.want {
			t.Errorf("%s: answered %d, want %d", c.what, c.got, c.want)
		}
	}
	var shown string
	if !within(t, 30*time.Second, func() bool {
		out, err := h.cli("clusters", "show", "lab")
		shown = out
		return err == nil && strings.Contains(out, "2 calls of the audit webhook were refused")
	}) {
		t.Errorf("clusters show says nothing of the callers that were refused:\n%s", shown)
	}
	if !within(t, 30*time.Second, func() bool {
		out, err := h.cli("status")
		shown = out
		return err == nil && strings.Contains(out, "LOST")
	}) {
		t.Errorf("status says nothing of what was lost:\n%s", shown)
	}
}

// badNames has names that would break screens go all the way: the API tells them as they
// are, a terminal is not told to do anything.
func badNames(t *testing.T, l *Lab, h *hub) {
	const user = "<b>eve\u202e</b>\u0007"
	const owner = `"\"><img src=x onerror=alert(1)>\u202e\u200f\u001b[31m"` // as JSON
	l.User(t, user, "system:masters")
	c := l.caller(t, "user-"+fileOf(user), "", "User-Agent=\"><script>alert(1)</script>")
	body := fmt.Sprintf(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":%q,"annotations":{"owner":%s}},"rules":[{"apiGroups":[""],"resources":["users"],"verbs":["impersonate"]}]}`,
		"bad-"+strings.Repeat("x", 249), owner)
	c.must(t, 201, "POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", body)
	c.must(t, 201, "POST", "/api/v1/namespaces", `{"metadata":{"name":"bad-names","annotations":{"owner":`+owner+`}}}`)
	c.must(t, 201, "POST", "/api/v1/namespaces/bad-names/pods", `{"metadata":{"name":"`+strings.Repeat("p", 253)+`"},"spec":{"hostPID":true,"containers":[{"name":"c","image":"\"><script>alert(1)</script>\u202e\u001b[31mgnp"}]}}`)
	var mine []told
	until(t, "alerts of a user with a bad name", func() bool {
		mine = nil
		rules := map[string]bool{}
		for _, a := range h.alerts() {
			if strings.Contains(a.Subject.Identity, "<b>eve") {
				mine, rules[a.RuleID] = append(mine, a), true
			}
		}
		return rules["k8s-powerful-role"] && rules["k8s-privileged-container"]
	})
	for _, a := range mine {
		if a.Subject.Identity != "user:"+user {
			t.Errorf("the identity is told as %q", a.Subject.Identity)
		}
	}
	for _, args := range [][]string{{"alerts", "list"}, {"alerts", "show", mine[0].ID}, {"workloads", "list"}, {"identities", "list"}, {"audit", "list"}, {"clusters", "show", "lab"}} {
		out, err := h.cli(args...)
		if err != nil {
			t.Error(err)
		}
		for _, r := range out {
			if r != '\n' && r != '\t' && (unicode.IsControl(r) || r == '\u202e' || r == '\u200f') {
				t.Errorf("dockreeve %v writes %q", args, r)
				break
			}
		}
	}
}

// fileOf is how the lab calls the files of a user.
func fileOf(user string) string {
	b := []byte(user)
	for i, c := range b {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			b[i] = '_'
		}
	}
	return string(b)
}
