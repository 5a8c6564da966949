// Package server is the composition root of the hub: it joins the link's far
// end, the store, the API, sign-in and the console into one listener. It holds
// no logic of its own beyond starting, watching and stopping them.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/dockreeve/dockreeve/internal/clock"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/server/api"
	"github.com/dockreeve/dockreeve/server/auth"
	"github.com/dockreeve/dockreeve/server/governance"
	"github.com/dockreeve/dockreeve/server/images"
	"github.com/dockreeve/dockreeve/server/ingest"
	"github.com/dockreeve/dockreeve/store"
)

// DefaultListen is where the server listens unless told otherwise.
const DefaultListen = "127.0.0.1:7370"

// Options say what to run. DB is needed; the rest works as zero.
type Options struct {
	DB       *store.DB
	Receiver link.Receiver // nil = nothing comes in, and status says so
	// Link listens for cluster agents and nodes; nil = nobody can join. Without a Receiver
	// its own is received from. Run serves it.
	Link *Link
	// Images says how images are kept up to date; its DB, Raise, Lost, Clock and Log are
	// set by New. The zero value matches nothing and scans nothing, and status says so.
	Images images.Options
	// Governance says how the tenant is judged; its DB, Raise, Clock and Log are set by New,
	// and so is its Dir where StateDir is given. The zero value asks Azure nothing and judges
	// what is known here.
	Governance governance.Options
	Ledger     *link.Ledger // what the near end of an in-process link counts, so that status tells it too; nil = none
	UI         http.Handler // the console; nil = none
	Version    string

	Listen      string   // host:port; "" = DefaultListen; port 0 takes a free one
	AllowRemote bool     // let Listen be more than this machine
	Hosts       []string // further names the server may be called by, with port if not 80 or 443
	TLS         *tls.Config

	StateDir string // where the command line's token file goes; "" = none is written

	Clock clock.Clock  // nil means the machine's
	Log   *slog.Logger // nil means nowhere
}

// Server is one hub. Make it with New, then Run it once.
type Server struct {
	opt      Options
	listener net.Listener
	auth     *auth.Auth
	ingest   *ingest.Ingest // nil without a Receiver
	images   *images.Images
	govern   *governance.Governance
	handler  http.Handler
}

// New takes the address, so that URL and SignInURL are known before Run.
func New(opt Options) (*Server, error) {
	if opt.DB == nil {
		return nil, errors.New("server: no store given")
	}
	if opt.Listen == "" {
		opt.Listen = DefaultListen
	}
	if opt.Clock == nil {
		opt.Clock = clock.Real{}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	l, err := listen(opt)
	if err != nil {
		return nil, err
	}
	if opt.AllowRemote && opt.TLS == nil {
		opt.Log.Warn("listening beyond this machine without TLS: put a proxy with TLS in front, or give a certificate")
	}
	s := &Server{opt: opt, listener: l}
	s.auth = auth.New(auth.Options{Store: opt.DB, Clock: opt.Clock, TLS: opt.TLS != nil, Hosts: s.hosts(), Scopes: api.Scopes(), ScopeOf: api.ScopeOf})
	if opt.Receiver == nil && opt.Link != nil {
		opt.Receiver = opt.Link.Receiver()
	}
	if opt.Receiver != nil {
		s.ingest = ingest.New(ingest.Options{Store: opt.DB, Receiver: opt.Receiver, Ledger: opt.Ledger, Clock: opt.Clock, Log: opt.Log})
	}
	s.images = images.New(s.imageOptions())
	s.govern = governance.New(s.governanceOptions())
	s.handler = s.routes()
	return s, nil
}

// imageOptions joins the keeper of images with the rest. What it finds goes through an
// intake like any finding, and so does what it loses.
func (s *Server) imageOptions() images.Options {
	opt := s.opt.Images
	opt.DB, opt.Clock, opt.Log = s.opt.DB, s.opt.Clock, s.opt.Log
	in := s.intake()
	opt.Raise, opt.Lost = in.Raise, in.Ledger().Lost
	return opt
}

// intake is what stores findings of the hub's own.
func (s *Server) intake() *ingest.Ingest {
	if s.ingest != nil {
		return s.ingest
	}
	return ingest.New(ingest.Options{Store: s.opt.DB, Ledger: s.opt.Ledger, Clock: s.opt.Clock, Log: s.opt.Log})
}

// governanceOptions joins the keeper of governance with the rest.
func (s *Server) governanceOptions() governance.Options {
	opt := s.opt.Governance
	opt.DB, opt.Clock, opt.Log = s.opt.DB, s.opt.Clock, s.opt.Log
	opt.Raise = s.intake().Raise
	if opt.Dir == "" {
		opt.Dir = s.opt.StateDir
	}
	return opt
}

func listen(opt Options) (net.Listener, error) {
	host, _, err := net.SplitHostPort(opt.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: want host:port, as in %s: %w", opt.Listen, DefaultListen, err)
	}
	if ip := net.ParseIP(host); !opt.AllowRemote && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("listen address %q is more than this machine: allow that explicitly, and give a certificate, or listen on %s", opt.Listen, DefaultListen)
	}
	l, err := net.Listen("tcp", opt.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: is another server running? %w", opt.Listen, err)
	}
	return l, nil
}

// hosts are the Host headers the server answers to.
func (s *Server) hosts() []string {
	host, port, _ := net.SplitHostPort(s.listener.Addr().String()) // a TCP listener's address always splits
	out := []string{net.JoinHostPort("localhost", port), net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port), net.JoinHostPort(host, port)}
	return append(out, s.opt.Hosts...)
}

// Governance is the keeper of governance.
func (s *Server) Governance() *governance.Governance { return s.govern }

// Addr is the address listened on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// URL is where the console is.
func (s *Server) URL() string {
	scheme := "http"
	if s.opt.TLS != nil {
		scheme = "https"
	}
	host, port, _ := net.SplitHostPort(s.listener.Addr().String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// SignInURL makes a link that signs one browser in, once, within ten minutes.
func (s *Server) SignInURL(ctx context.Context) (string, error) {
	code, err := s.auth.NewCode(ctx)
	if err != nil {
		return "", fmt.Errorf("make a sign-in link: %w", err)
	}
	return s.URL() + auth.SignInPath(code), nil
}

// Handler is everything the server serves; tests call it without a network.
func (s *Server) Handler() http.Handler { return s.handler }

func (s *Server) routes() http.Handler {
	opt := api.Options{DB: s.opt.DB, Ingest: s.ingest, Images: s.images, Governance: s.govern, Version: s.opt.Version, Who: auth.Who, Clock: s.opt.Clock, Log: s.opt.Log}
	if s.opt.Link != nil {
		opt.JoinToken = s.opt.Link.CreateJoinToken
	}
	a := api.New(opt)
	calls := http.NewServeMux()
	a.Register(calls)
	calls.HandleFunc("/auth/link", s.auth.NewLink)
	calls.HandleFunc("/auth/ci", s.auth.CI)
	mux := http.NewServeMux()
	inside := s.auth.Required(calls)
	for _, path := range a.Paths() {
		mux.Handle(path, inside)
	}
	mux.Handle("/auth/link", inside)
	mux.Handle("/auth/ci", inside)
	mux.Handle("/reports/", s.auth.Required(s.reports()))
	mux.HandleFunc("/hooks/registry/{kind}", s.images.Hook) // has secrets of its own
	mux.Handle("/metrics", s.metrics())
	mux.HandleFunc("/signin", s.auth.SignIn)
	mux.HandleFunc("/signout", s.auth.SignOut)
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	if s.opt.UI != nil {
		mux.Handle("/", s.opt.UI)
	}
	return api.WithDeadlines(s.auth.Front(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, api.MaxBody(r.URL.Path))
		mux.ServeHTTP(w, r)
	})))
}
