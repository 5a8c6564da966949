package kubeaudit

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// Caller is who may post audit events. All that is set must agree; one of CommonName and
// Token has to be set.
type Caller struct {
	// Cluster is the only cluster this caller may speak for; "" = any.
	Cluster string
	// CommonName is the common name of its client certificate, which the server's TLS
	// configuration must have verified (tls.VerifyClientCertIfGiven or stricter).
	CommonName string
	// Issuer is the SHA-256 of the certificate (DER) of an authority that must be in the
	// verified chain, in hexadecimal; "" = any that the server trusts.
	Issuer string
	// Token is a bearer token, in the header Authorization or as the last part of the path.
	// Proxies may log paths: prefer the header. At least 16 bytes.
	Token string
}

// WebhookOptions say who may post and how much.
type WebhookOptions struct {
	Callers []Caller // at most 1,000
	MaxBody int64    // bytes of one request, as sent and inflated; 0 = 16 MiB
}

// Webhook returns the handler of the API server's audit webhook backend: it takes POSTs
// of an EventList to …/audit/{cluster} or …/audit/{cluster}/{token}, gzip or not, and
// answers
//
//	200 when the handler has taken every event of it
//	400, 413, 415 when the body cannot be read: counted as a loss, the API server drops it
//	401, 403 when the caller shows no identity, or not the right one: counted in Hop.Refused
//	503 with Retry-After when the events cannot be taken now: the API server sends again
//
// At most four requests are decoded at once; more get 503. Its hop is named webhook. The
// error tells a caller of WebhookOptions that identifies nobody.
func (in *Intake) Webhook(opt WebhookOptions) (http.Handler, error) {
	if opt.MaxBody == 0 {
		opt.MaxBody = 16 << 20
	}
	if len(opt.Callers) == 0 || len(opt.Callers) > 1000 {
		return nil, fmt.Errorf("audit webhook: %d callers: want 1 to 1000, or nobody could post", len(opt.Callers))
	}
	w := &webhook{in: in, max: opt.MaxBody, slots: make(chan struct{}, 4)}
	for i, c := range opt.Callers {
		known := caller{Caller: c}
		switch {
		case c.CommonName == "" && c.Token == "":
			return nil, fmt.Errorf("audit webhook: caller %d has neither a common name nor a token: anybody could post", i+1)
		case c.Token != "" && len(c.Token) < 16:
			return nil, fmt.Errorf("audit webhook: the token of caller %d has %d bytes: want at least 16", i+1, len(c.Token))
		case c.Cluster != "" && !clusterName(c.Cluster):
			return nil, fmt.Errorf("audit webhook: %q, the cluster of caller %d: want letters, digits, '-', '.' and '_', at most 253", c.Cluster, i+1)
		}
		if c.Issuer != "" {
			b, err := hex.DecodeString(strings.ReplaceAll(c.Issuer, ":", ""))
			if err != nil || len(b) != sha256.Size {
				return nil, fmt.Errorf("audit webhook: the issuer of caller %d: want the SHA-256 of a certificate as 64 hexadecimal digits", i+1)
			}
			known.issuer = [32]byte(b)
		}
		known.token = sha256.Sum256([]byte(c.Token))
		w.callers = append(w.callers, known)
	}
	return w, nil
}

type caller struct {
	Caller
	issuer, token [32]byte
}

type webhook struct {
	in      *Intake
	callers []caller
	max     int64
	slots   chan struct{}
}

// clusterName reports whether a cluster's name can stand in a path and on a screen.
func clusterName(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !wordByte(c) && c != '_' || c == '+' {
			return false
		}
	}
	return s != "" && len(s) <= 253
}

func (w *webhook) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	_, path, ok := strings.Cut(r.URL.Path, "/audit/")
	cluster, token, _ := strings.Cut(path, "/")
	if !ok || !clusterName(cluster) || strings.Contains(token, "/") {
		http.Error(rw, "want the path /audit/{cluster}", http.StatusNotFound)
		return
	}
	if h := r.Header.Get("Authorization"); len(h) > 7 && strings.EqualFold(h[:7], "bearer ") {
		token = strings.TrimSpace(h[7:])
	}
	if status, why := w.identify(r, cluster, token); status != 0 {
		w.in.mu.Lock()
		w.in.hop("webhook").Refused[why]++
		w.in.mu.Unlock()
		w.in.say("audit webhook: caller refused", "webhook", why, fmt.Errorf("from %s for cluster %s", r.RemoteAddr, cluster))
		if status == http.StatusUnauthorized {
			rw.Header().Set("WWW-Authenticate", "Bearer")
		}
		http.Error(rw, "refused: "+why, status)
		return
	}
	if r.Method != http.MethodPost {
		rw.Header().Set("Allow", http.MethodPost)
		http.Error(rw, "want POST", http.StatusMethodNotAllowed)
		return
	}
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	default:
		w.busy(rw, "requests")
		return
	}
	b := w.in.batch("webhook")
	src := Source{Way: "webhook", Cluster: cluster}
	fail := func(status int, reason, text string) {
		b.lose(reason)
		if b.done(r.Context()) == nil {
			http.Error(rw, text, status)
		}
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		fail(http.StatusUnsupportedMediaType, "content_type", "want Content-Type: application/json")
		return
	}
	encoding := r.Header.Get("Content-Encoding")
	if encoding != "" && encoding != "identity" && encoding != "gzip" {
		fail(http.StatusUnsupportedMediaType, "content_encoding", "want Content-Encoding: gzip or none")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, w.max))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		fail(http.StatusRequestEntityTooLarge, "body_too_big", fmt.Sprintf("want a body of at most %d bytes: lower --audit-webhook-batch-max-size", w.max))
		return
	case err != nil: // the caller went away: it sends again
		w.in.trouble("webhook", "body", err)
		http.Error(rw, "the body ended too soon", http.StatusBadRequest)
		return
	}
	if encoding == "gzip" || compressed(body) {
		if body, err = gunzip(body, w.max); errors.Is(err, errInflated) {
			fail(http.StatusRequestEntityTooLarge, "gzip_too_big", fmt.Sprintf("want a body of at most %d bytes inflated", w.max))
			return
		} else if err != nil {
			fail(http.StatusBadRequest, "gzip_broken", "the body is not whole gzip")
			return
		}
	}
	v, rest, err := b.p.value(body)
	if err != nil || len(v) == 0 || v[0] != '{' || len(trimLeft(rest)) > 0 {
		fail(http.StatusBadRequest, "not_json", "want one JSON object: an audit.k8s.io/v1 EventList")
		return
	}
	err = b.whole(r.Context(), v, src)
	if err == nil {
		err = b.done(r.Context())
	}
	if err != nil {
		w.in.trouble("webhook", "handler", err)
		w.busy(rw, "events")
		return
	}
	rw.WriteHeader(http.StatusOK)
}

// busy asks the caller to come again.
func (w *webhook) busy(rw http.ResponseWriter, what string) {
	w.in.mu.Lock()
	w.in.hop("webhook").Errors["busy"]++
	w.in.mu.Unlock()
	rw.Header().Set("Retry-After", "1")
	http.Error(rw, "no more "+what+" can be taken now: send again", http.StatusServiceUnavailable)
}

// identify returns 0 when the caller may post for the cluster, else the status and why.
func (w *webhook) identify(r *http.Request, cluster, token string) (status int, why string) {
	sum := sha256.Sum256([]byte(token))
	var name string
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 && len(r.TLS.VerifiedChains[0]) > 0 {
		name = r.TLS.VerifiedChains[0][0].Subject.CommonName
	}
	elsewhere := false
	for _, c := range w.callers {
		if c.CommonName != "" && (name == "" || c.CommonName != name) || c.Issuer != "" && !issuedBy(r, c.issuer) {
			continue
		}
		if c.Token != "" && (token == "" || subtle.ConstantTimeCompare(sum[:], c.token[:]) != 1) {
			continue
		}
		if c.Cluster == "" || c.Cluster == cluster {
			return 0, ""
		}
		elsewhere = true
	}
	switch {
	case elsewhere:
		return http.StatusForbidden, "other_cluster"
	case token == "" && name == "":
		return http.StatusUnauthorized, "no_identity"
	case token != "":
		return http.StatusForbidden, "wrong_token"
	}
	return http.StatusForbidden, "unknown_certificate"
}

func issuedBy(r *http.Request, issuer [32]byte) bool {
	if r.TLS == nil {
		return false
	}
	for _, chain := range r.TLS.VerifiedChains {
		for _, c := range chain[min(1, len(chain)):] {
			if sha256.Sum256(c.Raw) == issuer {
				return true
			}
		}
	}
	return false
}
