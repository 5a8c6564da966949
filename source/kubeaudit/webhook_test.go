package kubeaudit

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const token = "a-token-of-32-bytes-or-so-0123456"

// list is a body as an API server's webhook backend sends it: its items say no kind.
func list(events ...string) string {
	for i, e := range events {
		events[i] = strings.Replace(e, `"apiVersion":"audit.k8s.io/v1",`, "", 1)
	}
	return `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[` + strings.Join(events, ",") + `]}`
}

func webhookOf(t *testing.T, in *Intake, opt WebhookOptions) http.Handler {
	t.Helper()
	h, err := in.Webhook(opt)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func post(h http.Handler, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestWebhookAcknowledgesAfterTheHandler(t *testing.T) {
	var s sink
	in, _ := newIntake(&s)
	h := webhookOf(t, in, WebhookOptions{Callers: []Caller{{Token: token}}})
	body := list(audit("a"), `{"broken":true}`, audit("b"), audit("c"))
	s.fail = func(n int) error {
		if n == 2 {
			return errors.New("the spool is full")
		}
		return nil
	}
	w := post(h, "/audit/shop", body)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Fatalf("%d %v: %s", w.Code, w.Header(), w.Body)
	}
	s.fail = nil
	equal(t, "status of the second try", post(h, "/audit/shop", body).Code, 200)
	equal(t, "status of a third", post(h, "/audit/shop", body).Code, 200)
	equal(t, "events", strings.Join(s.ids(), " "), "a b c")
	equal(t, "cluster", s.events[0].Cluster, "shop")
	hh := hop(t, in, "webhook")
	equal(t, "lost", hh.Lost["unknown_document"], 2) // once for each time it was acknowledged
	equal(t, "duplicates", hh.Duplicates, 5)
}

func TestWebhookBodies(t *testing.T) {
	bomb := string(zip(`{"kind":"EventList","x":"` + strings.Repeat("a", 4<<20) + `"}`))
	for _, c := range []struct {
		name, body string
		header     []string
		status     int
		lost       string
	}{
		{"gzip", string(zip(list(audit("a")))), []string{"Content-Encoding", "gzip"}, 200, ""},
		{"one event", audit("a"), nil, 200, ""},
		{"with a charset", list(audit("a")), []string{"Content-Type", "application/json; charset=utf-8"}, 200, ""},
		{"nothing in it", list(), nil, 200, ""},
		{"a gzip bomb", bomb, []string{"Content-Encoding", "gzip"}, 413, "gzip_too_big"},
		{"half of gzip", string(zip(list(audit("a")))[:200]), []string{"Content-Encoding", "gzip"}, 400, "gzip_broken"},
		{"no gzip", "hello", []string{"Content-Encoding", "gzip"}, 400, "gzip_broken"},
		{"another encoding", "hello", []string{"Content-Encoding", "br"}, 415, "content_encoding"},
		{"another type", list(audit("a")), []string{"Content-Type", "application/x-protobuf"}, 415, "content_type"},
		{"no type", list(audit("a")), []string{"Content-Type", ""}, 415, "content_type"},
		{"too large", strings.Repeat(" ", 2<<20), nil, 413, "body_too_big"},
		{"cut", list(audit("a"))[:500], nil, 400, "not_json"},
		{"two", list(audit("a")) + list(audit("b")), nil, 400, "not_json"},
		{"empty", "", nil, 400, "not_json"},
		{"a list", "[" + audit("a") + "]", nil, 400, "not_json"},
		{"other objects", `{"kind":"PodList","apiVersion":"v1","items":[]}`, nil, 200, "not_an_event"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s sink
			in, _ := newIntake(&s)
			h := webhookOf(t, in, WebhookOptions{Callers: []Caller{{Token: token}}, MaxBody: 1 << 20})
			w := post(h, "/audit/shop", c.body, c.header...)
			equal(t, "status", w.Code, c.status)
			hh := hop(t, in, "webhook")
			if c.lost != "" {
				equal(t, "lost", hh.Lost[c.lost], 1)
				equal(t, "losses told", len(s.losses), 1)
			} else {
				equal(t, "lost", len(hh.Lost), 0)
			}
		})
	}
}

func TestWebhookAsksToComeAgainWhenItIsFull(t *testing.T) {
	var s sink
	in, _ := newIntake(&s)
	h := webhookOf(t, in, WebhookOptions{Callers: []Caller{{Token: token}}})
	in.turn <- struct{}{} // somebody hands on and does not come to an end
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := httptest.NewRequest(http.MethodPost, "/audit/shop", strings.NewReader(list(audit("a")))).WithContext(ctx)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	waited := httptest.NewRecorder()
	h.ServeHTTP(waited, r)
	equal(t, "status of one that waited in vain", waited.Code, 503)
	<-in.turn
	w := h.(*webhook)
	for range cap(w.slots) {
		w.slots <- struct{}{}
	}
	one := post(h, "/audit/shop", list(audit("b")))
	equal(t, "status of one more than are decoded at once", one.Code, 503)
	equal(t, "when to come again", one.Header().Get("Retry-After"), "1")
	<-w.slots
	equal(t, "status afterwards", post(h, "/audit/shop", list(audit("b"))).Code, 200)
	equal(t, "events", strings.Join(s.ids(), " "), "b")
}

// authority makes certificates for the tests of callers.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return authority{c, key}
}

func (a authority) client(t *testing.T, name string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a authority) pin() string {
	sum := sha256.Sum256(a.cert.Raw)
	return hex.EncodeToString(sum[:])
}

// TestWebhookCallers posts over TLS with and without the right identity.
func TestWebhookCallers(t *testing.T) {
	ours, other := newAuthority(t, "ours"), newAuthority(t, "other")
	var s sink
	in, _ := newIntake(&s)
	var logged bytes.Buffer
	in.opt.Log = slog.New(slog.NewTextHandler(&logged, nil))
	h := webhookOf(t, in, WebhookOptions{Callers: []Caller{
		{Cluster: "shop", CommonName: "audit-shop", Issuer: ours.pin()},
		{Cluster: "lab", Token: token},
		{Cluster: "both", CommonName: "audit-both", Token: token + "-both"},
	}})
	srv := httptest.NewUnstartedServer(h)
	pool := x509.NewCertPool()
	pool.AddCert(ours.cert)
	pool.AddCert(other.cert)
	srv.TLS = &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool}
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	for _, c := range []struct {
		name, path, token string
		cert              *tls.Certificate
		status            int
		refused           string
	}{
		{"its certificate", "/audit/shop", "", ours.client(t, "audit-shop"), 200, ""},
		{"its token", "/audit/lab", token, nil, 200, ""},
		{"its token in the path", "/audit/lab/" + token, "", nil, 200, ""},
		{"behind a prefix", "/dockreeve/audit/lab", token, nil, 200, ""},
		{"certificate and token", "/audit/both", token + "-both", ours.client(t, "audit-both"), 200, ""},
		{"nothing", "/audit/shop", "", nil, 401, "no_identity"},
		{"another name", "/audit/shop", "", ours.client(t, "audit-lab"), 403, "unknown_certificate"},
		{"another authority", "/audit/shop", "", other.client(t, "audit-shop"), 403, "unknown_certificate"},
		{"another token", "/audit/lab", token + "x", nil, 403, "wrong_token"},
		{"a token for a caller with a certificate", "/audit/shop", token, nil, 403, "other_cluster"},
		{"another cluster's token", "/audit/shop/" + token, "", nil, 403, "other_cluster"},
		{"another cluster's certificate", "/audit/lab", "", ours.client(t, "audit-shop"), 403, "other_cluster"},
		{"the token without the certificate", "/audit/both", token + "-both", nil, 403, "wrong_token"},
		{"the certificate without the token", "/audit/both", "", ours.client(t, "audit-both"), 403, "unknown_certificate"},
		{"no cluster", "/audit/", token, nil, 404, ""},
		{"a strange cluster", "/audit/%1b%5b31m", token, nil, 404, ""},
		{"more path", "/audit/lab/x/y", token, nil, 404, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := &tls.Config{InsecureSkipVerify: true}
			if c.cert != nil {
				cfg.Certificates = []tls.Certificate{*c.cert}
			}
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg}}
			defer client.CloseIdleConnections()
			r, _ := http.NewRequest(http.MethodPost, srv.URL+c.path, strings.NewReader(list(audit(c.name))))
			r.Header.Set("Content-Type", "application/json")
			if c.token != "" {
				r.Header.Set("Authorization", "Bearer "+c.token)
			}
			before := hop(t, in, "webhook").Refused[c.refused]
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			equal(t, "status", resp.StatusCode, c.status)
			if c.refused != "" {
				equal(t, "counted as "+c.refused, hop(t, in, "webhook").Refused[c.refused], before+1)
			}
		})
	}
	equal(t, "events", len(s.events), 5)
	equal(t, "lines of log, one for each reason", strings.Count(logged.String(), "caller refused"), 4)
	if strings.Contains(logged.String(), token) {
		t.Error("a token is in the log")
	}
	equal(t, "GET", func() int {
		r := httptest.NewRequest(http.MethodGet, "/audit/lab", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}(), 405)
}

func TestWebhookOptionsThatIdentifyNobody(t *testing.T) {
	in, _ := newIntake(&sink{})
	for _, c := range []struct {
		callers []Caller
		want    string
	}{
		{nil, "nobody could post"},
		{[]Caller{{Cluster: "a"}}, "anybody could post"},
		{[]Caller{{Token: "short"}}, "at least 16"},
		{[]Caller{{Token: token, Cluster: "a/b"}}, "the cluster of caller 1"},
		{[]Caller{{CommonName: "x", Issuer: "12"}}, "64 hexadecimal digits"},
	} {
		if _, err := in.Webhook(WebhookOptions{Callers: c.callers}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.callers, err, c.want)
		}
	}
}
