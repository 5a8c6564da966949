package image

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Registry says how registries are spoken to. The zero value uses the credentials of
// Docker and Podman, HTTPS, and no mirrors.
type Registry struct {
	// Username and Password, or Token (a bearer token), are for Host; where Host is
	// "", for the registry of the image asked for. They never go to a mirror. Empty
	// ones are taken from DOCKREEVE_REGISTRY_USERNAME, _PASSWORD, _TOKEN and
	// DOCKREEVE_REGISTRY (the host).
	Username, Password, Token string
	Host                      string
	// ACRToken is a Microsoft Entra access token, or a refresh token of Azure
	// Container Registry, exchanged at the registry's /oauth2/exchange. "" =
	// DOCKREEVE_ACR_TOKEN. It goes to hosts of Azure's registry domains and to
	// ACRHosts only.
	ACRToken string
	ACRHosts []string
	// Keychain replaces the credentials of Docker and Podman.
	Keychain authn.Keychain

	Mirrors  map[string][]string // registry → host[/prefix], tried in order before it
	Insecure []string            // registries, host or host:port, that may speak plain HTTP or show a bad certificate
	CAFile   string              // PEM, trusted beside the system's
	Timeout  time.Duration       // for the answer to begin, and for each stall of it; 0 = 60 s
	Retries  int                 // after 429, 5xx and broken connections; 0 = 4, negative = none
	// ForeignLayers allows fetching layers from addresses that an image names.
	ForeignLayers bool
	UserAgent     string
	// Offline refuses to speak with any registry: ErrOffline.
	Offline bool

	Wait func(context.Context, time.Duration) error // between tries; nil waits
	Now  func() int64                               // Unix nanoseconds, to read Retry-After dates; nil = the clock
}

// maxTransports bounds the registries and repositories that one Client remembers
// tokens for.
const maxTransports = 4096

const loginRemedy = " (some registries say so of a repository that does not exist, too): log in with `docker login`, or set DOCKREEVE_REGISTRY_USERNAME and DOCKREEVE_REGISTRY_PASSWORD"

// Client speaks with registries: authentication, mirrors, retries, timeouts. It is
// safe for concurrent use.
type Client struct {
	opt    Registry
	getenv func(string) string
	base   *retrying
	plain  []*http.Transport

	mu         sync.Mutex
	transports map[string]*session
	credErr    error // why credentials could not be read; said beside a 401
}

// session is an authenticated way to one repository of one host.
type session struct {
	mu sync.Mutex
	rt http.RoundTripper
}

// NewClient checks the options. getenv nil is os.Getenv.
func NewClient(opt Registry, getenv func(string) string) (*Client, error) {
	if opt.Offline {
		return nil, ErrOffline
	}
	if getenv == nil {
		getenv = os.Getenv
	}
	if opt.Username == "" && opt.Password == "" && opt.Token == "" {
		opt.Username, opt.Password = getenv("DOCKREEVE_REGISTRY_USERNAME"), getenv("DOCKREEVE_REGISTRY_PASSWORD")
		opt.Token = getenv("DOCKREEVE_REGISTRY_TOKEN")
		if opt.Host == "" {
			opt.Host = getenv("DOCKREEVE_REGISTRY")
		}
	}
	if opt.ACRToken == "" {
		opt.ACRToken = getenv("DOCKREEVE_ACR_TOKEN")
	}
	if opt.Timeout <= 0 {
		opt.Timeout = time.Minute
	}
	switch {
	case opt.Retries == 0:
		opt.Retries = 4
	case opt.Retries < 0:
		opt.Retries = 0
	}
	if opt.Wait == nil {
		opt.Wait = wait
	}
	if opt.Now == nil {
		opt.Now = func() int64 { return time.Now().UnixNano() }
	}
	if opt.UserAgent == "" {
		opt.UserAgent = "dockreeve"
	}
	if opt.Keychain == nil {
		opt.Keychain = authn.DefaultKeychain
	}
	c := &Client{opt: opt, getenv: getenv, transports: map[string]*session{}}
	var roots *x509.CertPool
	if opt.CAFile != "" {
		pem, err := os.ReadFile(opt.CAFile)
		if err != nil {
			return nil, fmt.Errorf("certificate authorities: %w", err)
		}
		if roots, err = x509.SystemCertPool(); err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("certificate authorities: %s holds no certificate in PEM", opt.CAFile)
		}
	}
	strict := newTransport(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, opt.Timeout)
	// Only ever used for hosts named in Insecure.
	lax := newTransport(&tls.Config{InsecureSkipVerify: true}, opt.Timeout) //nolint:gosec
	c.plain = []*http.Transport{strict, lax}
	c.base = &retrying{c: c, inner: &guard{c: c, strict: strict, lax: lax}}
	return c, nil
}

func newTransport(t *tls.Config, timeout time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: min(timeout, 30*time.Second), KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        t,
		TLSHandshakeTimeout:    min(timeout, 15*time.Second),
		ResponseHeaderTimeout:  timeout,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    8,
		MaxResponseHeaderBytes: 1 << 20,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // layers are what they are
	}
}

// Close lets go of idle connections.
func (c *Client) Close() error {
	for _, t := range c.plain {
		t.CloseIdleConnections()
	}
	return nil
}

// insecure: the host is named in Registry.Insecure.
func (c *Client) insecure(host string) bool {
	bare, _, err := net.SplitHostPort(host)
	if err != nil {
		bare = host
	}
	return slices.ContainsFunc(c.opt.Insecure, func(s string) bool { return s == host || s == bare })
}

// Repository parses host/name the way the options want the host to be spoken to.
func (c *Client) Repository(s string) (name.Repository, error) {
	r, err := name.NewRepository(s)
	if err == nil && c.insecure(r.RegistryStr()) {
		return name.NewRepository(s, name.Insecure)
	}
	return r, err
}

// Get asks for /v2/<repository>/<path>, at mirrors first, and returns an answer with
// status 200; anything else is an error.
func (c *Client) Get(ctx context.Context, repo name.Repository, path, accept string) (*http.Response, error) {
	return c.Do(ctx, http.MethodGet, repo, path, http.Header{"Accept": {accept}})
}

// Do is Get with a choice of method and headers. A HEAD is answered with an empty body.
// 206 passes where a Range was asked for.
func (c *Client) Do(ctx context.Context, method string, repo name.Repository, path string, header http.Header) (*http.Response, error) {
	var errs []error
	for _, m := range c.opt.Mirrors[mirrorKey(repo.RegistryStr(), c.opt.Mirrors)] {
		at, err := c.Repository(m + "/" + repo.RepositoryStr())
		if err != nil {
			errs = append(errs, fmt.Errorf("mirror %s: %w", m, err))
			continue
		}
		res, err := c.ask(ctx, method, at.Registry, at.RepositoryStr(), at.Scope(transport.PullScope), "/v2/"+at.RepositoryStr()+"/"+path, header, true)
		if err == nil {
			return res, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		errs = append(errs, fmt.Errorf("mirror %s: %w", m, err))
	}
	at, err := c.Repository(repo.Name())
	if err != nil {
		return nil, err
	}
	res, err := c.ask(ctx, method, at.Registry, at.RepositoryStr(), at.Scope(transport.PullScope), "/v2/"+at.RepositoryStr()+"/"+path, header, false)
	if err != nil && len(errs) > 0 {
		err = errors.Join(append([]error{err}, errs...)...)
	}
	return res, err
}

// GetRegistry asks for a path of the registry itself, with the right to its catalogue.
func (c *Client) GetRegistry(ctx context.Context, host, path string) (*http.Response, error) {
	r, err := c.registry(host)
	if err != nil {
		return nil, err
	}
	return c.ask(ctx, http.MethodGet, r, "", transport.CatalogScope, path, http.Header{"Accept": {"application/json"}}, false)
}

func (c *Client) registry(host string) (name.Registry, error) {
	if c.insecure(host) {
		return name.NewRegistry(host, name.Insecure)
	}
	return name.NewRegistry(host)
}

func mirrorKey(host string, mirrors map[string][]string) string {
	if host == name.DefaultRegistry {
		if _, ok := mirrors[host]; !ok {
			return "docker.io"
		}
	}
	return host
}

func (c *Client) ask(ctx context.Context, method string, reg name.Registry, repo, scope, path string, header http.Header, mirror bool) (*http.Response, error) {
	rt, err := c.session(ctx, reg, repo, scope, mirror)
	if err != nil {
		return nil, c.explain(err)
	}
	u := "https://" + reg.RegistryStr() + path
	req, err := http.NewRequestWithContext(ctx, method, u, nil)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = slices.Clone(v)
	}
	h := http.Client{Transport: rt, CheckRedirect: c.redirect(reg.RegistryStr())}
	res, err := h.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	if res.StatusCode == http.StatusOK || res.StatusCode == http.StatusPartialContent && header.Get("Range") != "" {
		return res, nil
	}
	defer res.Body.Close()
	return nil, c.explain(answer(res))
}

// explain adds to a refusal why there were no credentials.
func (c *Client) explain(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var status *statusError
	var terr *transport.Error
	if c.credErr != nil && (errors.As(err, &status) && status.status == 401 || errors.As(err, &terr) && terr.StatusCode == 401) {
		return fmt.Errorf("%w; and the credentials could not be read: %w", err, c.credErr)
	}
	if errors.As(err, &terr) && terr.StatusCode == 401 {
		return fmt.Errorf("%w%s", err, loginRemedy)
	}
	return err
}

// session authenticates with a host once for each scope.
func (c *Client) session(ctx context.Context, reg name.Registry, repo, scope string, mirror bool) (http.RoundTripper, error) {
	key := fmt.Sprint(reg.RegistryStr(), " ", scope, " ", mirror)
	c.mu.Lock()
	s := c.transports[key]
	if s == nil {
		if len(c.transports) >= maxTransports {
			clear(c.transports) // they only log in again
		}
		s = &session{}
		c.transports[key] = s
	}
	c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rt != nil {
		return s.rt, nil
	}
	auth, err := c.credentials(ctx, reg, repo, mirror)
	if err != nil {
		return nil, err
	}
	rt, err := transport.NewWithContext(ctx, reg, auth, &confined{reg.RegistryStr(), c.base}, []string{scope})
	if err != nil {
		return nil, err
	}
	s.rt = rt
	return rt, nil
}

// redirect follows to where blobs really are, but never from HTTPS to plain HTTP, nor
// to addresses that only mean something on this machine.
func (c *Client) redirect(host string) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errors.New("more than 10 redirects")
		}
		if req.URL.Host == host {
			return nil
		}
		if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
			return fmt.Errorf("redirect from HTTPS to %s://%s: refused", req.URL.Scheme, req.URL.Host)
		}
		if ownAddress(host, req.URL) {
			return fmt.Errorf("redirect to %s, an address of this machine or its metadata service: refused", req.URL.Host)
		}
		return nil
	}
}

// ownAddress: u leads from a registry elsewhere to what only means something here.
func ownAddress(host string, u *url.URL) bool {
	a, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return strings.EqualFold(u.Hostname(), "localhost") && !loopback(host)
	}
	a = a.Unmap()
	return a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsLoopback() && !loopback(host)
}

// confined keeps what a registry names besides itself, which is where to log in, off
// the addresses of this machine.
type confined struct {
	host  string
	inner http.RoundTripper
}

func (c *confined) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != c.host && ownAddress(c.host, req.URL) {
		return nil, fmt.Errorf("%s wants to be logged in to at %s, an address of this machine or its metadata service: refused", c.host, req.URL.Host)
	}
	return c.inner.RoundTrip(req)
}

func loopback(host string) bool {
	h, _, err := net.SplitHostPort(host)
	if err != nil {
		h = strings.Trim(host, "[]")
	}
	a, err := netip.ParseAddr(h)
	return h == "localhost" || err == nil && a.IsLoopback()
}

// answer describes a status that is not 200.
func answer(res *http.Response) error {
	e := &statusError{status: res.StatusCode}
	if res.Request != nil {
		u := url.URL{Scheme: res.Request.URL.Scheme, Host: res.Request.URL.Host, Path: res.Request.URL.Path} // no query: it may hold signatures
		e.url = res.Request.Method + " " + u.String()
	}
	b, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
	var body struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(b, &body) == nil && len(body.Errors) > 0 {
		e.detail = printable(clip(body.Errors[0].Code+" "+body.Errors[0].Message, 200))
	}
	return e
}

// printable takes control characters out of a text from outside.
func printable(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s))
}

// GetPath asks the registry of repo for an absolute path, with the rights of repo and
// never at a mirror: for listings, which a mirror has in part only.
func (c *Client) GetPath(ctx context.Context, repo name.Repository, path string) (*http.Response, error) {
	at, err := c.Repository(repo.Name())
	if err != nil {
		return nil, err
	}
	return c.ask(ctx, http.MethodGet, at.Registry, at.RepositoryStr(), at.Scope(transport.PullScope), path, http.Header{"Accept": {"application/json"}}, false)
}

// Digest asks which digest a tag has now, without pulling anything: the manifest's, or
// of an image for several platforms the manifest list's.
func (c *Client) Digest(ctx context.Context, repo name.Repository, tag string) (string, error) {
	res, err := c.Do(ctx, http.MethodHead, repo, "manifests/"+tag, http.Header{"Accept": {acceptManifest}})
	if err == nil {
		res.Body.Close()
		if d := res.Header.Get("Docker-Content-Digest"); validDigest(d) == nil {
			return d, nil
		}
	} else if s := StatusCode(err); s != http.StatusMethodNotAllowed && s != http.StatusNotImplemented {
		return "", err
	}
	// A registry that does not say: the manifest says it itself.
	p := &pull{client: c, ref: reference{repo: repo, id: tag, tag: tag}}
	d, _, err := p.resolve(ctx)
	return d.Digest, err
}

// Azure reports whether host is an Azure Container Registry, as far as its name tells.
func (c *Client) Azure(host string) bool { return c.azure(host) }

// StatusCode is the HTTP status that a registry refused with; 0: it was something else.
func StatusCode(err error) int {
	var s *statusError
	if errors.As(err, &s) {
		return s.status
	}
	var t *transport.Error
	if errors.As(err, &t) {
		return t.StatusCode
	}
	return 0
}
