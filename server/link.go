package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/internal/pki"
	"github.com/dockreeve/dockreeve/link"
)

// LinkOptions say where the hub listens for cluster agents and nodes. Listen and
// StateDir are needed.
type LinkOptions struct {
	Listen   string // host:port; port 0 takes a free one
	StateDir string // the authority and its tokens live in its directory link
	Ledger   *link.Ledger
	Log      *slog.Logger // nil means nowhere
	Now      func() time.Time

	// Rules reads what cluster agents and nodes are to run beside their own rules. It is
	// called at the start, where its error is one, and every RulesEvery (0 = 5 s); nil =
	// nothing is sent.
	Rules      func() (link.RuleFiles, error)
	RulesEvery time.Duration
}

// Link is the hub's end of the link: authority, join tokens and listener.
type Link struct {
	opt      LinkOptions
	ca       *pki.CA
	tokens   *pki.Tokens
	listener *link.Listener
	net      net.Listener
	pushed   []byte // rules that are sent down
}

// OpenLink reads the authority, or makes one the first time, and takes the address.
func OpenLink(opt LinkOptions) (*Link, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.RulesEvery <= 0 {
		opt.RulesEvery = rulesEvery
	}
	if opt.StateDir == "" {
		return nil, errors.New("link: a state directory is needed: the authority lives there")
	}
	dir := filepath.Join(opt.StateDir, "link")
	ca, err := pki.OpenCA(dir, opt.Now)
	if err != nil {
		return nil, err
	}
	tokens, err := pki.OpenTokens(dir, ca)
	if err != nil {
		return nil, err
	}
	if _, _, err := net.SplitHostPort(opt.Listen); err != nil {
		return nil, fmt.Errorf("link address %q: want host:port, as in :7371: %w", opt.Listen, err)
	}
	ln, err := net.Listen("tcp", opt.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for the link on %s: is another server running? %w", opt.Listen, err)
	}
	l := &Link{opt: opt, ca: ca, tokens: tokens, net: ln}
	l.listener = link.NewListener(link.ListenerOptions{Ledger: opt.Ledger, Log: opt.Log})
	if err := l.pushRules(); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return l, nil
}

// Receiver is what the hub's intake receives from: every stream, and what is attached
// to it in this process.
func (l *Link) Receiver() *link.Listener { return l.listener }

// Addr is the address listened on.
func (l *Link) Addr() net.Addr { return l.net.Addr() }

// Hash names the authority, as join tokens do.
func (l *Link) Hash() string { return l.ca.Hash() }

// CreateJoinToken makes a token with which one cluster agent (role cluster) or node
// (role node, whose cluster is named) joins once. ttl zero means an hour. It returns
// the token, its end and the authority's hash. An error that wraps
// pki.ErrIdentity is the caller's.
func (l *Link) CreateJoinToken(_ context.Context, role, cluster string, ttl time.Duration) (token string, expires time.Time, hash string, err error) {
	t, end, err := l.tokens.Issue(role, cluster, ttl)
	if err != nil {
		return "", time.Time{}, "", err
	}
	expires = time.Unix(0, end)
	l.opt.Log.Info("a join token was made", "role", role, "cluster", cluster, "expires", expires.UTC())
	return t.String(), expires, l.ca.Hash(), nil
}

// Run serves until ctx ends.
func (l *Link) Run(ctx context.Context) error {
	cfg, err := l.ca.ServerTLS()
	if err != nil {
		return errors.Join(err, l.net.Close())
	}
	watching, stop := context.WithCancel(ctx)
	var rules sync.WaitGroup
	rules.Go(func() { l.watchRules(watching) })
	defer rules.Wait()
	defer stop()
	return link.Serve(ctx, l.net, link.ServeOptions{Listener: l.listener, TLS: cfg, Join: l.tokens.Handler(), Log: l.opt.Log})
}

// Close gives the address back where Run was never called.
func (l *Link) Close() error { return l.net.Close() }
