package images

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/scan/image"
	"github.com/dockreeve/dockreeve/scan/registry"
)

// Registry is a registry that is walked, or that tells of pushes, or both.
type Registry struct {
	Host         string
	Client       image.Registry // how to speak with it
	Repositories []string       // globs; none = all
	Exclude      []string
	Tags         []string
	Newest       int
	Every        time.Duration // how often it is walked; 0 = never
	// Secret authenticates its push notifications, as a bearer token or a password; "" =
	// they are refused.
	Secret string
	// Walk walks it; nil = registry.Walk.
	Walk func(context.Context, registry.Options) (*registry.Summary, error)
}

// walk is how the last walk of a registry went.
type walk struct {
	err string
}

// saveEvery bounds how often the state of a walk is written: it may be megabytes.
const saveEvery = 30 * time.Second

// walks walks each registry on its schedule, one after the other.
func (s *Images) walks(ctx context.Context) {
	due := map[string]time.Time{}
	for _, r := range s.opt.Registries {
		if r.Every <= 0 {
			continue
		}
		st, err := s.opt.DB.Registry(ctx, r.Host)
		if err != nil {
			s.opt.Log.Warn("reading the state of a registry failed", "registry", r.Host, "error", err)
		}
		due[r.Host] = time.Unix(0, st.WalkedAt).Add(r.Every)
	}
	if len(due) == 0 {
		return
	}
	for {
		for i := range s.opt.Registries {
			r := &s.opt.Registries[i]
			if at, ok := due[r.Host]; !ok || s.opt.Clock.Now().Before(at) {
				continue
			}
			err := s.Walk(ctx, r)
			if ctx.Err() != nil {
				return
			}
			next := r.Every
			if err != nil {
				next = min(next, 10*time.Minute)
				s.opt.Log.Warn("walking a registry failed, trying again", "registry", r.Host, "error", err)
			}
			due[r.Host] = s.opt.Clock.Now().Add(next)
		}
		if !s.wait(ctx, sweepEvery) {
			return
		}
	}
}

// Walk lists one registry and scans what is new since the last time; it goes on where
// an earlier walk was broken off.
func (s *Images) Walk(ctx context.Context, r *Registry) error {
	st, err := s.opt.DB.Registry(ctx, r.Host)
	if err != nil {
		return err
	}
	state := &registry.State{}
	if len(st.State) > 0 {
		if state, err = registry.ReadState(bytes.NewReader(st.State)); err != nil {
			s.opt.Log.Warn("the state of a registry is not readable: it is walked from the start", "registry", r.Host, "error", err)
			state = &registry.State{}
		}
	}
	saved := s.opt.Clock.Now()
	save := func(x *registry.State) error {
		b, err := json.Marshal(x)
		if err != nil {
			return err
		}
		saved = s.opt.Clock.Now()
		st.State = b
		return s.opt.DB.SetRegistry(ctx, st)
	}
	run := r.Walk
	if run == nil {
		run = registry.Walk
	}
	sum, err := run(ctx, registry.Options{
		Host: r.Host, Client: r.Client, Repositories: r.Repositories, Exclude: r.Exclude, Tags: r.Tags, Newest: r.Newest, Concurrency: 1, State: state,
		Save: func(x *registry.State) error {
			if s.opt.Clock.Now().Sub(saved) < saveEvery {
				return nil
			}
			return save(x)
		},
		Scan: func(ctx context.Context, ref, tag, _ string) error {
			j := job{ref: ref, cause: "first seen in " + r.Host}
			if repo, _, ok := strings.Cut(ref, "@"); ok && tag != "" {
				j.name = repo + ":" + tag
			}
			return s.scanRef(ctx, j)
		},
	})
	st.Name, st.Error = r.Host, ""
	if err != nil {
		st.Error = err.Error()
	} else {
		st.WalkedAt = s.opt.Clock.Now().UnixNano()
		if n := len(sum.Gaps) + sum.MoreGaps; n > 0 {
			st.Error = fmt.Sprintf("%d things could not be listed or scanned; the first: %s: %s", n, sum.Gaps[0].What, sum.Gaps[0].Reason)
		}
	}
	s.state.Lock()
	s.state.walks[r.Host] = &walk{err: st.Error}
	s.state.Unlock()
	if ctx.Err() != nil {
		ctx = context.WithoutCancel(ctx) // what was done is kept
	}
	return errors.Join(err, save(state))
}

// maxHook bounds a push notification.
const maxHook = 256 << 10

// Hook answers the push notifications of registries at /hooks/registry/{acr|distribution}.
// A notification is believed only from a registry that is configured and that knows its
// secret, and only about itself.
func (s *Images) Hook(w http.ResponseWriter, req *http.Request) {
	parse := map[string]func(io.Reader) ([]registry.Push, error){"acr": registry.ParseAzure, "distribution": registry.ParseDistribution}[req.PathValue("kind")]
	if parse == nil {
		http.Error(w, "want /hooks/registry/acr or /hooks/registry/distribution", http.StatusNotFound)
		return
	}
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "registries POST their notifications", http.StatusMethodNotAllowed)
		return
	}
	known := s.authenticate(req)
	if len(known) == 0 {
		w.Header().Set("WWW-Authenticate", `Basic realm="dockreeve registry hooks"`)
		http.Error(w, "send the secret that is configured for this registry, as a bearer token or as the password", http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxHook))
	if err != nil {
		http.Error(w, "the notification is too long, or broke off", http.StatusRequestEntityTooLarge)
		return
	}
	pushes, err := parse(bytes.NewReader(body))
	if err != nil {
		http.Error(w, "not a notification of this kind of registry: "+err.Error(), http.StatusBadRequest)
		return
	}
	for _, p := range pushes {
		r := known[strings.ToLower(p.Registry)]
		if r == nil || p.Action != registry.Pushed || p.Digest == "" || !validDigest(p.Digest) || !wanted(r, p.Repository) {
			continue
		}
		j := job{ref: r.Host + "/" + p.Repository + "@" + p.Digest, cause: "pushed to " + r.Host}
		if p.Tag != "" {
			j.name = r.Host + "/" + p.Repository + ":" + p.Tag
		}
		if !s.work.push(j) {
			w.Header().Set("Retry-After", "60")
			http.Error(w, "too many images wait to be scanned: send it again later", http.StatusServiceUnavailable)
			return
		}
	}
	w.WriteHeader(http.StatusAccepted)
}

// authenticate returns the registries whose secret the request knows, by host. It
// compares with every one of them, in constant time.
func (s *Images) authenticate(req *http.Request) map[string]*Registry {
	given, ok := "", false
	if _, password, basic := req.BasicAuth(); basic {
		given, ok = password, true
	} else if scheme, token, found := strings.Cut(req.Header.Get("Authorization"), " "); found && strings.EqualFold(scheme, "Bearer") {
		given, ok = strings.TrimSpace(token), true
	}
	if !ok || given == "" || len(given) > maxText {
		return nil
	}
	hash := sha256.Sum256([]byte(given))
	out := map[string]*Registry{}
	for i := range s.opt.Registries {
		r := &s.opt.Registries[i]
		want := sha256.Sum256([]byte(r.Secret))
		if subtle.ConstantTimeCompare(hash[:], want[:]) == 1 && r.Secret != "" {
			out[strings.ToLower(r.Host)] = r
		}
	}
	return out
}

// wanted reports whether a repository is among those configured. Names are kept to
// what the distribution specification allows: they become part of a reference.
func wanted(r *Registry, repository string) bool {
	if repository == "" || len(repository) > 255 || strings.Trim(repository, "abcdefghijklmnopqrstuvwxyz0123456789._-/") != "" || strings.Contains(repository, "..") {
		return false
	}
	parts := strings.Split(repository, "/")
	among := func(globs []string) bool {
		return slices.ContainsFunc(globs, func(g string) bool { return glob(strings.Split(g, "/"), parts) })
	}
	return (len(r.Repositories) == 0 || among(r.Repositories)) && !among(r.Exclude)
}

// glob matches as the walk of a registry does: * within a path element, ** any number
// of them.
func glob(pattern, parts []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			for i := range len(parts) + 1 {
				if glob(pattern[1:], parts[i:]) {
					return true
				}
			}
			return false
		}
		if len(parts) == 0 {
			return false
		}
		if ok, err := path.Match(pattern[0], parts[0]); err != nil || !ok {
			return false
		}
		pattern, parts = pattern[1:], parts[1:]
	}
	return len(parts) == 0
}
