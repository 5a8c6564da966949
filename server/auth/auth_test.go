package auth

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/internal/clock"
	"github.com/dockreeve/dockreeve/store"
)

const host = "127.0.0.1:7370"

type rig struct {
	*Auth
	clock   *clock.Manual
	db      *store.DB
	handler http.Handler
	dir     string
}

func newRig(t *testing.T, tls bool) *rig {
	t.Helper()
	r := &rig{clock: clock.NewManual(time.Unix(1_000_000, 0)), dir: t.TempDir()}
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(r.dir, "x.db"), Now: func() int64 { return r.clock.Now().UnixNano() }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	r.db = db
	r.Auth = New(Options{Store: db, Clock: r.clock, TLS: tls, Hosts: []string{host, "localhost:7370"}})
	mux := http.NewServeMux()
	mux.HandleFunc("/signin", r.SignIn)
	mux.HandleFunc("/signout", r.SignOut)
	mux.Handle("/in", r.Required(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { w.Write([]byte(Who(req.Context()))) })))
	mux.Handle("/link", r.Required(http.HandlerFunc(r.NewLink)))
	r.handler = r.Front(mux)
	return r
}

// ask sends a request; headers are name, value pairs.
func (r *rig) ask(method, path string, headers ...string) *http.Response {
	req := httptest.NewRequest(method, path, nil)
	req.Host = host
	req.RemoteAddr = "127.0.0.1:5000"
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		} else {
			req.Header.Add(headers[i], headers[i+1])
		}
	}
	rec := httptest.NewRecorder()
	r.handler.ServeHTTP(rec, req)
	return rec.Result()
}

func (r *rig) session(t *testing.T) string {
	t.Helper()
	code, err := r.NewCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	res := r.ask("GET", SignInPath(code))
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/" {
		t.Fatalf("sign-in: %s", res.Status)
	}
	return strings.Split(res.Header.Get("Set-Cookie"), ";")[0]
}

func (r *rig) token(t *testing.T) string {
	t.Helper()
	path := filepath.Join(r.dir, "token")
	if err := r.TokenFile(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	tok, err := ReadToken(path)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestSignInLinkWorksOnceAndForTenMinutes(t *testing.T) {
	r := newRig(t, false)
	code, err := r.NewCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if res := r.ask("POST", SignInPath(code)); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", res.Status)
	}
	if res := r.ask("GET", SignInPath(code)); res.StatusCode != http.StatusSeeOther {
		t.Fatalf("first use: %s", res.Status)
	}
	if res := r.ask("GET", SignInPath(code)); res.StatusCode != http.StatusForbidden {
		t.Errorf("second use: %s", res.Status)
	}
	code, err = r.NewCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(CodeLife)
	if res := r.ask("GET", SignInPath(code)); res.StatusCode != http.StatusForbidden {
		t.Errorf("after ten minutes: %s", res.Status)
	}
	if res := r.ask("GET", "/signin?code="+strings.Repeat("A", 43)); res.StatusCode != http.StatusForbidden {
		t.Errorf("forged: %s", res.Status)
	}
}

func TestSessionCookieIsKeptFromScriptsAndOtherSites(t *testing.T) {
	for _, tls := range []bool{false, true} {
		r := newRig(t, tls)
		code, err := r.NewCode(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c := r.ask("GET", SignInPath(code)).Cookies()[0]
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.Secure != tls || c.MaxAge != int(SessionLife.Seconds()) {
			t.Errorf("TLS %v: %+v", tls, c)
		}
		if strings.HasPrefix(c.Name, "__Host-") != tls {
			t.Errorf("TLS %v: cookie named %s", tls, c.Name)
		}
	}
}

func TestSessionEnds(t *testing.T) {
	r := newRig(t, false)
	s := r.session(t)
	if res := r.ask("GET", "/in", "Cookie", s); res.StatusCode != http.StatusOK || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("signed in: %s", res.Status)
	}
	if res := r.ask("POST", "/signout", "Cookie", s, "Origin", "http://"+host); res.StatusCode != http.StatusNoContent {
		t.Fatalf("sign out: %s", res.Status)
	}
	if res := r.ask("GET", "/in", "Cookie", s); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("after sign-out: %s", res.Status)
	}
	s = r.session(t)
	r.clock.Advance(SessionLife)
	if res := r.ask("GET", "/in", "Cookie", s); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("after its life: %s", res.Status)
	}
	for _, forged := range []string{"dockreeve=", "dockreeve=x", "dockreeve=" + strings.Repeat("A", 43), "dockreeve=" + strings.Repeat("A", 9000)} {
		if res := r.ask("GET", "/in", "Cookie", forged); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%.20s: %s", forged, res.Status)
		}
	}
}

func TestTokens(t *testing.T) {
	r := newRig(t, false)
	tok := r.token(t)
	if again := r.token(t); again != tok {
		t.Error("a known token was replaced")
	}
	if info, err := os.Stat(filepath.Join(r.dir, "token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	if res := r.ask("POST", "/in", "Authorization", "Bearer "+tok); res.StatusCode != http.StatusOK {
		t.Fatalf("token: %s", res.Status)
	}
	code, err := r.NewCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	session := strings.TrimPrefix(r.session(t), "dockreeve=")
	for name, h := range map[string]string{"forged": "Bearer dockreeve_" + strings.Repeat("A", 43), "cut": "Bearer " + tok[:len(tok)-1], "no prefix": "Bearer " + strings.TrimPrefix(tok, secretPrefix),
		"basic": "Basic " + tok, "empty": "Bearer ", "code as token": "Bearer dockreeve_" + code, "session as token": "Bearer dockreeve_" + session} {
		res := r.ask("GET", "/in", "Authorization", h)
		if res.StatusCode != http.StatusUnauthorized || res.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %s", name, res.Status)
		}
	}
	path := filepath.Join(r.dir, "token")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadToken(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a token others can read: %v", err)
	}
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Chmod(path, 0o600)
	if fresh := r.token(t); fresh == tok {
		t.Error("the damaged token file was kept")
	}
}

func TestOnlyOwnHostsAndOrigins(t *testing.T) {
	r := newRig(t, false)
	tok := "Bearer " + r.token(t)
	s := r.session(t)
	for _, c := range []struct {
		name    string
		method  string
		headers []string
		want    int
	}{
		{"own origin", "POST", []string{"Cookie", s, "Origin", "http://" + host}, 200},
		{"own origin by name", "POST", []string{"Cookie", s, "Host", "localhost:7370", "Origin", "http://LOCALHOST:7370"}, 200},
		{"rebound name", "GET", []string{"Cookie", s, "Host", "evil.example:7370"}, 421},
		{"other port", "GET", []string{"Cookie", s, "Host", "127.0.0.1:80"}, 421},
		{"no host", "GET", []string{"Cookie", s, "Host", ""}, 421},
		{"forged origin", "POST", []string{"Cookie", s, "Origin", "http://evil.example"}, 403},
		{"forged origin, reading", "GET", []string{"Cookie", s, "Origin", "http://evil.example"}, 403},
		{"forged origin with token", "POST", []string{"Authorization", tok, "Origin", "http://evil.example"}, 403},
		{"origin null", "POST", []string{"Cookie", s, "Origin", "null"}, 403},
		{"origin of other scheme", "POST", []string{"Cookie", s, "Origin", "https://" + host}, 403},
		{"origin with our host as user", "POST", []string{"Cookie", s, "Origin", "http://" + host + "@evil.example"}, 403},
		{"origin with our host as prefix", "POST", []string{"Cookie", s, "Origin", "http://" + host + ".evil.example"}, 403},
		{"two origins", "POST", []string{"Cookie", s, "Origin", "http://" + host, "Origin", "http://evil.example"}, 403},
		{"cookie without origin", "POST", []string{"Cookie", s}, 401},
		{"cookie, fetched by own page", "POST", []string{"Cookie", s, "Sec-Fetch-Site", "same-origin"}, 200},
		{"cookie, fetched by a sibling site", "POST", []string{"Cookie", s, "Sec-Fetch-Site", "same-site"}, 401},
		{"cross-site fetch", "GET", []string{"Cookie", s, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 403},
		{"cross-site form", "POST", []string{"Cookie", s, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 403},
		{"followed link", "GET", []string{"Cookie", s, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 200},
		{"command line", "POST", []string{"Authorization", tok}, 200},
		{"nobody", "GET", nil, 401},
	} {
		res := r.ask(c.method, "/in", c.headers...)
		if res.StatusCode != c.want {
			t.Errorf("%s: %s, want %d", c.name, res.Status, c.want)
		}
		csp := res.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "script-src 'self' ") || res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", c.name, res.Header)
		}
		if res.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: other origins are invited", c.name)
		}
	}
}

func TestFailedSignInsAreLimited(t *testing.T) {
	r := newRig(t, false)
	last := 0
	for range limitBurst + 2 {
		last = r.ask("GET", "/signin?code=wrong").StatusCode
	}
	if last != http.StatusTooManyRequests {
		t.Fatalf("after %d failures: %d", limitBurst+2, last)
	}
	r.clock.Advance(2 * limitRefill)
	r.session(t)
	for i := range 3 * limitKeep {
		r.limit.failed(string(rune(i)))
	}
	if n := len(r.limit.debt); n > limitKeep {
		t.Fatalf("%d addresses remembered, bound %d", n, limitKeep)
	}
}

func TestNewLinkForSignedIn(t *testing.T) {
	r := newRig(t, false)
	if res := r.ask("POST", "/link"); res.StatusCode != http.StatusUnauthorized {
		t.Fatalf("without token: %s", res.Status)
	}
	res := r.ask("POST", "/link", "Authorization", "Bearer "+r.token(t))
	b := make([]byte, 200)
	n, _ := res.Body.Read(b)
	u, err := url.Parse(strings.TrimSpace(string(b[:n])))
	if err != nil || r.ask("GET", u.String()).StatusCode != http.StatusSeeOther {
		t.Fatalf("link %q %v", b[:n], err)
	}
}

func TestSecretsAreNotStored(t *testing.T) {
	r := newRig(t, false)
	tok := strings.TrimPrefix(r.token(t), secretPrefix)
	session := strings.TrimPrefix(r.session(t), "dockreeve=")
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(r.dir, "x.db*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), tok) || strings.Contains(string(b), session) {
			t.Errorf("%s holds a secret", filepath.Base(f))
		}
	}
}
