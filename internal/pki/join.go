package pki

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// The paths of joining and renewing, at whatever listens for the link.
const (
	JoinPath  = "/link/v1/join"
	RenewPath = "/link/v1/renew"
)

const (
	maxJoin     = 16 << 10
	maxAnswer   = 64 << 10
	joinPatient = 30 * time.Second
)

// ReadToken is the token that a flag names: itself, or with @FILE what the file holds, which
// keeps it off the list of processes.
func ReadToken(flag string) (string, error) {
	file, ok := strings.CutPrefix(flag, "@")
	if !ok {
		return flag, nil
	}
	b, err := os.ReadFile(file)
	return strings.TrimSpace(string(b[:min(len(b), 4096)])), err
}

type joinRequest struct {
	Token    string `json:"token,omitempty"` // empty when renewing
	Identity string `json:"identity"`
	Request  string `json:"request"` // PEM
}

type joinAnswer struct {
	Certificate string `json:"certificate,omitempty"` // PEM
	Authority   string `json:"authority,omitempty"`   // PEM: what to trust
	Error       string `json:"error,omitempty"`
}

// Handler is the hub's end of joining and renewing.
func (t *Tokens) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+JoinPath, func(w http.ResponseWriter, r *http.Request) {
		t.serve(w, r, func(q joinRequest, who, peer Identity) ([]byte, error) {
			return t.Redeem(q.Token, who, []byte(q.Request), peer)
		})
	})
	mux.HandleFunc("POST "+RenewPath, func(w http.ResponseWriter, r *http.Request) {
		t.serve(w, r, func(q joinRequest, who, peer Identity) ([]byte, error) {
			if !peer.May(who.String()) {
				return nil, fmt.Errorf("%w: %q may not renew the certificate of %s", ErrIdentity, peer.String(), who)
			}
			return t.ca.Sign([]byte(q.Request), who)
		})
	})
	return mux
}

func (t *Tokens) serve(w http.ResponseWriter, r *http.Request, sign func(q joinRequest, who, peer Identity) ([]byte, error)) {
	var q joinRequest
	answer := func() (joinAnswer, int) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxJoin))
		if err != nil {
			return joinAnswer{Error: "the request is cut, or longer than " + fmt.Sprint(maxJoin) + " bytes"}, http.StatusBadRequest
		}
		if err := json.Unmarshal(b, &q); err != nil {
			return joinAnswer{Error: "the request is not the JSON that is wanted"}, http.StatusBadRequest
		}
		who, err := ParseIdentity(q.Identity)
		if err != nil {
			return joinAnswer{Error: err.Error()}, http.StatusBadRequest
		}
		var peer Identity
		if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
			if peer, err = PeerOf(r.TLS); err != nil {
				return joinAnswer{Error: err.Error()}, http.StatusForbidden
			}
		}
		cert, err := sign(q, who, peer)
		switch {
		case errors.Is(err, ErrToken), errors.Is(err, ErrUsed), errors.Is(err, ErrIdentity):
			return joinAnswer{Error: err.Error()}, http.StatusForbidden
		case err != nil:
			return joinAnswer{Error: err.Error()}, http.StatusUnprocessableEntity
		}
		return joinAnswer{Certificate: string(cert), Authority: string(t.ca.PEM())}, http.StatusOK
	}
	a, code := answer()
	writeAnswer(w, a, code)
}

func writeAnswer(w http.ResponseWriter, a joinAnswer, code int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(a) // who went away needs no answer
}

// Credentials are what one identity holds to prove who it is, in a directory of its
// own. Safe for concurrent use.
type Credentials struct {
	who Identity
	dir string
	now func() time.Time

	mu   sync.Mutex
	cert tls.Certificate
	ca   []*x509.Certificate
}

// Files of the directory of credentials.
const (
	keyFile  = "link.key"
	certFile = "link.crt"
)

// ErrNotJoined says that a directory holds no credentials yet.
var ErrNotJoined = errors.New("not joined yet")

// Load reads credentials. An error wraps ErrNotJoined where there are none, and
// ErrIdentity where they are somebody else's.
func Load(dir string, who Identity, now func() time.Time) (*Credentials, error) {
	if now == nil {
		now = time.Now
	}
	if err := who.Check(); err != nil {
		return nil, err
	}
	c := &Credentials{who: who, dir: dir, now: now}
	certs, err := readCerts(filepath.Join(dir, certFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s holds no certificate: join with a token", ErrNotJoined, dir)
	}
	if err != nil {
		return nil, err
	}
	key, err := readKey(filepath.Join(dir, keyFile))
	if err != nil {
		return nil, err
	}
	ca, err := readCerts(filepath.Join(dir, caCertFile))
	if err != nil {
		return nil, err
	}
	return c, c.take(certs[0], key, ca)
}

func (c *Credentials) take(cert *x509.Certificate, key *ecdsa.PrivateKey, ca []*x509.Certificate) error {
	who, err := identityOf(cert)
	if err != nil {
		return err
	}
	if who != c.who {
		return fmt.Errorf("%w: the certificate is that of %s, not of %s: use another state directory, or join again", ErrIdentity, who, c.who)
	}
	if pub, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || !pub.Equal(&key.PublicKey) {
		return errors.New("the certificate is not that of the key beside it")
	}
	if now := c.now(); now.After(cert.NotAfter) {
		return fmt.Errorf("%w: the certificate of %s ended on %s: join again with a new token", ErrNotJoined, who, cert.NotAfter.Format(time.DateOnly))
	}
	pool := x509.NewCertPool()
	for _, one := range ca {
		pool.AddCert(one)
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: c.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return fmt.Errorf("the certificate was not made by the authority beside it: %w", err)
	}
	chain := [][]byte{cert.Raw}
	for _, one := range ca { // joiners find the authority that they pin in the chain
		chain = append(chain, one.Raw)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cert, c.ca = tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: cert}, ca
	return nil
}

// Identity is whose they are.
func (c *Credentials) Identity() Identity { return c.who }

// Ends is when the certificate ends.
func (c *Credentials) Ends() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cert.Leaf.NotAfter
}

func (c *Credentials) pool() *x509.CertPool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := x509.NewCertPool()
	for _, one := range c.ca {
		p.AddCert(one)
	}
	return p
}

func (c *Credentials) own() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	cert := c.cert
	return &cert
}

// ClientTLS is how this identity calls the one above it.
func (c *Credentials) ClientTLS() *tls.Config {
	cfg := clientTLS(c.now, func(chain []*x509.Certificate) error {
		return checkServer(chain, c.pool(), c.now(), above(c.who))
	})
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.own(), nil }
	return cfg
}

// ServerTLS is how a cluster agent listens for its nodes.
func (c *Credentials) ServerTLS() *tls.Config {
	return serverTLS(c.pool(), c.now, func() (*tls.Certificate, error) { return c.own(), nil })
}

// Join gets credentials with a token from what listens at addr (https://host:port) and
// writes them to dir. It trusts nothing but the authority whose hash the token holds.
// Where dir holds good credentials of that identity they are used and the token is not.
func Join(ctx context.Context, addr, token, dir string, who Identity, now func() time.Time) (*Credentials, error) {
	c, err := Load(dir, who, now)
	if !errors.Is(err, ErrNotJoined) {
		return c, err
	}
	if token == "" {
		return nil, err
	}
	tok, err := ParseToken(token)
	if err != nil {
		return nil, err
	}
	if tok.Role != who.Role {
		return nil, fmt.Errorf("%w: it is for a %s, not for a %s", ErrToken, tok.Role, who.Role)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// The key is on disk before anybody is asked: should the answer get lost, the same
	// key may ask again.
	key, err := readKey(filepath.Join(dir, keyFile))
	if errors.Is(err, fs.ErrNotExist) {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err == nil {
			err = writeKey(filepath.Join(dir, keyFile), key)
		}
	}
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	c = &Credentials{who: who, dir: dir, now: now}
	cfg := clientTLS(now, func(chain []*x509.Certificate) error {
		for _, one := range chain {
			if one.IsCA && hashOf(one) == tok.CA {
				pool := x509.NewCertPool()
				pool.AddCert(one)
				return checkServer(chain, pool, now(), above(who))
			}
		}
		return fmt.Errorf("%w: %s is not of the hub that made this token", ErrToken, addr)
	})
	return c, c.ask(ctx, addr, JoinPath, cfg, key, token, func(ca []*x509.Certificate) error {
		if hashOf(ca[0]) != tok.CA {
			return fmt.Errorf("%w: the answer names another authority", ErrToken)
		}
		return nil
	})
}

// Renew asks what listens at addr for a new certificate where less than a third of the
// old one's life is left. It reports whether there is a new one.
func (c *Credentials) Renew(ctx context.Context, addr string) (bool, error) {
	own := c.own()
	if !Due(own.Leaf, c.now()) {
		return false, nil
	}
	key := own.PrivateKey.(*ecdsa.PrivateKey) // take put it there
	return true, c.ask(ctx, addr, RenewPath, c.ClientTLS(), key, "", func([]*x509.Certificate) error { return nil })
}

// ask sends a certificate request, checks the answer and keeps it.
func (c *Credentials) ask(ctx context.Context, addr, path string, cfg *tls.Config, key *ecdsa.PrivateKey, token string, trust func([]*x509.Certificate) error) error {
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return err
	}
	body, err := json.Marshal(joinRequest{Token: token, Identity: c.who.String(), Request: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))})
	if err != nil {
		return err
	}
	a, _, err := post(ctx, addr, path, cfg, body)
	if err != nil {
		return fmt.Errorf("join %s: %w", addr, err)
	}
	if a.Error != "" {
		if path == JoinPath {
			return fmt.Errorf("join %s: %w: %s", addr, ErrToken, printable(a.Error))
		}
		return fmt.Errorf("renew the certificate at %s: %s", addr, printable(a.Error))
	}
	certs, err := parseCerts([]byte(a.Certificate))
	if err != nil {
		return fmt.Errorf("join %s: the answer's certificate: %w", addr, err)
	}
	ca, err := parseCerts([]byte(a.Authority))
	if err != nil {
		return fmt.Errorf("join %s: the answer's authority: %w", addr, err)
	}
	if err := trust(ca); err != nil {
		return err
	}
	if err := c.take(certs[0], key, ca); err != nil {
		return fmt.Errorf("join %s: %w", addr, err)
	}
	// The certificate last: with it Load takes the directory for whole.
	if err := writeFile(filepath.Join(c.dir, caCertFile), []byte(a.Authority), 0o644); err != nil {
		return err
	}
	return writeFile(filepath.Join(c.dir, certFile), []byte(a.Certificate), 0o644)
}

// Forward hands the joins and renewals of a cluster's nodes on to the hub at addr, as
// the cluster agent: the hub decides, and the authority's key stays there.
func (c *Credentials) Forward(addr string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != JoinPath && r.URL.Path != RenewPath {
			http.NotFound(w, r)
			return
		}
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxJoin))
		var q joinRequest
		if err != nil || json.Unmarshal(b, &q) != nil {
			writeAnswer(w, joinAnswer{Error: "the request is not the JSON that is wanted"}, http.StatusBadRequest)
			return
		}
		// The hub takes our word for a renewal, so we check who asks.
		if r.URL.Path == RenewPath {
			if peer, err := PeerOf(r.TLS); err != nil || peer.String() != q.Identity {
				writeAnswer(w, joinAnswer{Error: "renewing needs the certificate that is to be renewed"}, http.StatusForbidden)
				return
			}
		}
		if q.Token == "" && r.URL.Path == JoinPath {
			writeAnswer(w, joinAnswer{Error: ErrToken.Error()}, http.StatusForbidden)
			return
		}
		a, code, err := post(r.Context(), addr, r.URL.Path, c.ClientTLS(), b)
		if err != nil {
			writeAnswer(w, joinAnswer{Error: "the hub cannot be reached by the cluster agent now: try again"}, http.StatusBadGateway)
			return
		}
		writeAnswer(w, a, code)
	})
}

func post(ctx context.Context, addr, path string, cfg *tls.Config, body []byte) (joinAnswer, int, error) {
	u, err := Address(addr)
	if err != nil {
		return joinAnswer{}, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, joinPatient)
	defer cancel()
	t := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true, TLSHandshakeTimeout: joinPatient, MaxResponseHeaderBytes: maxAnswer}
	defer t.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u+path, bytes.NewReader(body))
	if err != nil {
		return joinAnswer{}, 0, err
	}
	res, err := t.RoundTrip(req)
	if err != nil {
		return joinAnswer{}, 0, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return joinAnswer{}, 0, err
	}
	var a joinAnswer
	if err := json.Unmarshal(b, &a); err != nil || a.Error == "" && res.StatusCode != http.StatusOK {
		return joinAnswer{}, 0, fmt.Errorf("status %d, and not the answer of a link: is this the address of --link-listen?", res.StatusCode)
	}
	return a, res.StatusCode, nil
}

// Address checks the address of something that listens for the link and returns it
// without a path.
func Address(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.Port() == "" || u.User != nil || u.RawQuery != "" || u.Path != "" && u.Path != "/" {
		return "", fmt.Errorf("link address %.200q: want https://HOST:PORT", s)
	}
	return "https://" + u.Host, nil
}

// printable keeps another program's words from playing with a terminal.
func printable(s string) string {
	b := []rune(s[:min(len(s), 500)])
	for i, r := range b {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			b[i] = '?'
		}
	}
	return string(b)
}
