// Package auth decides who may call the server: a one-time link signs a browser
// in, a token in a file signs a command line in, and every request must name a
// host the server goes by and come from a page of its own.
//
// It promises that secrets are 32 random bytes, stored only as hashes, compared
// in constant time, and that a link works once and for ten minutes. It knows one
// kind of person, the operator, who may do everything, and pipelines, whose tokens may
// do what their scopes say; roles of people and other sources of identity do not exist
// yet.
package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/internal/clock"
	"github.com/dockreeve/dockreeve/store"
)

// Lifetimes.
const (
	CodeLife    = 10 * time.Minute
	SessionLife = 12 * time.Hour
	CILife      = 365 * 24 * time.Hour
)

// The kinds of credential, as the store knows them.
const (
	kindCode    = "code"
	kindSession = "session"
	kindToken   = "token"
	kindCI      = "ci" // of a pipeline: may call only what its scopes let it
)

// secretPrefix marks a token so that scanners of leaked secrets can know it.
const secretPrefix = "dockreeve_"

// ErrDenied says that a secret is unknown, used up or expired; it never says which.
var ErrDenied = errors.New("not signed in")

// lacking is the refusal of a pipeline's token that is known and may not do this.
type lacking struct{ who, has, needs string }

func (l *lacking) Error() string {
	if l.needs == "" {
		return fmt.Sprintf("the token %q is a pipeline's, and no pipeline may do this, whatever its scopes: sign in as an operator", l.who)
	}
	return fmt.Sprintf("the token %q lacks the scope %q (it has: %s): an operator makes one with \"dockreeve login --pipeline NAME --scope %s\"", l.who, l.needs, l.has, l.needs)
}

// Store is the part of store.DB that auth uses.
type Store interface {
	AddCredential(ctx context.Context, c store.Credential) error
	Credential(ctx context.Context, kind string, hash []byte) (store.Credential, error)
	TakeCredential(ctx context.Context, kind string, hash []byte) (store.Credential, error)
	DropCredential(ctx context.Context, hash []byte) error
	Credentials(ctx context.Context, kind string) ([]store.Credential, error)
}

// Options say how to let people in. Store is needed.
type Options struct {
	Store Store
	Clock clock.Clock // nil means the machine's
	TLS   bool        // the server speaks TLS: cookies are Secure
	// Hosts are the names the server may be called by, with port: the Host
	// headers it answers and the origins it takes requests from.
	Hosts []string
	// Scopes are what pipelines' tokens can be made for; without one asked for, a token
	// gets the first. ScopeOf says which of them a path needs; "" = no pipeline's token
	// may call it, and so it is where ScopeOf is nil.
	Scopes  []string
	ScopeOf func(path string) string
}

// Auth signs people in and guards handlers. Safe for concurrent use.
type Auth struct {
	opt   Options
	hosts map[string]bool // lower case, with port
	limit *limiter
}

// New returns a guard for the given hosts.
func New(opt Options) *Auth {
	if opt.Clock == nil {
		opt.Clock = clock.Real{}
	}
	a := &Auth{opt: opt, hosts: map[string]bool{}, limit: newLimiter(opt.Clock)}
	for _, h := range opt.Hosts {
		a.hosts[strings.ToLower(h)] = true
	}
	return a
}

func newSecret() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails, it ends the program instead
	return base64.RawURLEncoding.EncodeToString(b)
}

func hashOf(kind, secret string) []byte {
	h := sha256.Sum256([]byte("dockreeve " + kind + "\x00" + secret))
	return h[:]
}

// NewCode makes a one-time sign-in code that works for CodeLife.
func (a *Auth) NewCode(ctx context.Context) (string, error) {
	return a.issue(ctx, kindCode, "operator", "", CodeLife)
}

func (a *Auth) issue(ctx context.Context, kind, label, scopes string, life time.Duration) (string, error) {
	secret := newSecret()
	now := a.opt.Clock.Now()
	c := store.Credential{Hash: hashOf(kind, secret), Kind: kind, Label: label, Scopes: scopes, Created: now.UnixNano()}
	if life > 0 {
		c.Expires = now.Add(life).UnixNano()
	}
	if err := a.opt.Store.AddCredential(ctx, c); err != nil {
		return "", err
	}
	return secret, nil
}

// check finds a live credential by its secret.
func (a *Auth) check(ctx context.Context, kind, secret string) (store.Credential, error) {
	if secret == "" || len(secret) > 128 {
		return store.Credential{}, ErrDenied
	}
	h := hashOf(kind, secret)
	c, err := a.opt.Store.Credential(ctx, kind, h)
	if errors.Is(err, store.ErrNotFound) || err == nil && subtle.ConstantTimeCompare(h, c.Hash) != 1 {
		return store.Credential{}, ErrDenied
	}
	return c, err
}

// TokenFile makes sure that path holds a token this server knows, and that only
// its owner can read it. A token that is there and known is kept.
func (a *Auth) TokenFile(ctx context.Context, path string) error {
	switch have, err := ReadToken(path); {
	case err == nil:
		if _, err := a.check(ctx, kindToken, strings.TrimPrefix(have, secretPrefix)); err == nil {
			return nil
		} else if !errors.Is(err, ErrDenied) {
			return err
		}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNoToken):
	default:
		return err
	}
	secret, err := a.issue(ctx, kindToken, "command line", "", 0)
	if err != nil {
		return err
	}
	// Written beside and renamed, so that no reader sees half a token.
	f, err := os.CreateTemp(filepath.Dir(path), ".token-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write token: %w", err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	if _, err := f.WriteString(secretPrefix + secret + "\n"); err != nil {
		f.Close()
		return fmt.Errorf("write token: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write token: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write token: %w", err)
	}
	return nil
}

var errNoToken = errors.New("holds no token")

// ReadToken reads a token file. It refuses one that others can read.
func ReadToken(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("token: %s can be read by others (mode %o): chmod 600 it, and delete it first if it may have been seen; the server writes a new one when it starts", path, info.Mode().Perm())
	}
	if info.Size() > 4096 {
		return "", fmt.Errorf("token: %s %w", path, errNoToken)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	s := strings.TrimSpace(string(b))
	if !strings.HasPrefix(s, secretPrefix) || strings.ContainsAny(s, " \t\r\n") {
		return "", fmt.Errorf("token: %s %w: delete it; the server writes a new one when it starts", path, errNoToken)
	}
	return s, nil
}

func (a *Auth) cookieName() string {
	if a.opt.TLS {
		return "__Host-dockreeve" // browsers then insist on Secure, Path=/ and no Domain
	}
	return "dockreeve"
}

func (a *Auth) cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: a.cookieName(), Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: a.opt.TLS, MaxAge: maxAge}
}
