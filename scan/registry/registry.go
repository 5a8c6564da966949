// Package registry walks a whole registry: it lists repositories and tags, finds what
// is new since the last time, and hands each new digest to the caller once. It also
// reads the notifications that registries send when something is pushed.
//
// It pulls nothing itself and decides nothing about images. One repository that cannot
// be read never stops the others.
package registry

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/image"
	"github.com/google/go-containerregistry/pkg/name"
)

// Bounds of one walk.
const (
	MaxRepositories = 100_000
	MaxTags         = 50_000 // of one repository
	maxGaps         = 1000
)

// Options say what to walk. Host and Scan are needed.
type Options struct {
	Host   string         // registry.example, registry.example:5000, name.azurecr.io
	Client image.Registry // how to speak with it; its mirrors are not used
	Getenv func(string) string

	// Repositories are globs of what to take; none = all. * matches within a path
	// element, ** any number of them. Where none has a wildcard the catalogue is not
	// asked, so that registries without one can be walked, too.
	Repositories []string
	Exclude      []string // globs of repositories to leave out
	Tags         []string // globs of tags to take; none = all
	// Newest takes only so many tags of a repository, the last updated; 0 = all. Only
	// Azure Container Registry tells when; elsewhere all are taken, and a gap says so.
	Newest int

	Concurrency int // scans at once; 0 = 4

	// State is what was seen before; Walk brings it up to date as it goes. nil = nothing.
	State *State
	// Save is called with the state after each digest that was scanned and at the end,
	// never at the same time twice. An error ends the walk.
	Save func(*State) error
	// Scan looks at one new digest; ref is host/repository@digest and tag the first
	// name it was seen under. It is called once for each repository and digest, by
	// several goroutines. After an error the digest counts as not seen, except for
	// image.ErrNotImage. The digest may be that of a manifest list.
	Scan func(ctx context.Context, ref, tag, digest string) error
}

// Summary is what a walk did.
type Summary struct {
	Repositories int // walked
	Tags         int // looked at
	Unchanged    int // tags whose digest was known
	Scanned      int // digests handed to Scan
	Failed       int // of them with an error
	NotImages    int // of them that are charts, signatures and the like (image.ErrNotImage)
	Skipped      int // repositories done before an earlier walk was interrupted
	// Gaps is what could not be listed or scanned. Beyond a thousand they are only counted.
	Gaps     []scan.Gap
	MoreGaps int
}

// Walk lists the registry and scans what is new. The error is for what ended the walk:
// the catalogue could not be read, ctx ended, Save failed. All else is in the Summary.
func Walk(ctx context.Context, opt Options) (*Summary, error) {
	if opt.Scan == nil || opt.Host == "" {
		return nil, errors.New("walking a registry needs its host and what to do with an image")
	}
	for _, g := range slices.Concat(opt.Repositories, opt.Exclude, opt.Tags) {
		if _, err := path.Match(g, ""); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", g, err)
		}
	}
	opt.Client.Mirrors = nil
	client, err := image.NewClient(opt.Client, opt.Getenv)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	w := &walk{opt: opt, client: client, state: opt.State, running: map[string]*once{}}
	if w.state == nil {
		w.state = &State{}
	}
	if err := w.state.begin(opt.Host); err != nil {
		return nil, err
	}
	err = w.run(ctx)
	if serr := w.save(); err == nil {
		err = serr
	}
	return &w.sum, err
}

type walk struct {
	opt    Options
	client *image.Client

	mu      sync.Mutex
	state   *State
	sum     Summary
	running map[string]*once // repository@digest being scanned, or scanned in this walk
	saveErr error
}

// once is one scan that several tags may wait for.
type once struct {
	done chan struct{}
	err  error
}

// job is one tag to look at.
type job struct {
	repo   name.Repository
	tag    string
	digest string // where the listing told
	left   *pending
}

// pending counts what is left of a repository.
type pending struct {
	name   string
	jobs   int
	listed bool
	known  map[string]bool // digests seen by earlier walks
}

func (w *walk) run(ctx context.Context) error {
	repos, whole, err := w.repositories(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	n := w.opt.Concurrency
	if n <= 0 {
		n = 4
	}
	jobs := make(chan job)
	var order []*pending // repositories begun and not yet behind the cursor
	var workers sync.WaitGroup
	finish := func(p *pending) {
		p.jobs--
		for len(order) > 0 && order[0].listed && order[0].jobs == 0 {
			w.state.Cursor = order[0].name
			order = order[1:]
		}
	}
	for range n {
		workers.Go(func() {
			for j := range jobs {
				if ctx.Err() == nil {
					w.look(ctx, j, cancel)
				}
				w.mu.Lock()
				if ctx.Err() == nil {
					finish(j.left)
				}
				w.mu.Unlock()
			}
		})
	}
	for _, r := range repos {
		if ctx.Err() != nil {
			break
		}
		if r <= w.state.resume {
			w.sum.Skipped++
			continue
		}
		p := &pending{name: r, jobs: 1} // one for the listing itself
		w.mu.Lock()
		order = append(order, p)
		w.sum.Repositories++
		w.mu.Unlock()
		w.repository(ctx, r, p, jobs)
		w.mu.Lock()
		if p.listed = true; ctx.Err() == nil {
			finish(p)
		}
		w.mu.Unlock()
	}
	close(jobs)
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if whole {
		w.state.keep(repos)
	}
	w.state.Cursor = ""
	return nil
}

// repository lists one repository's tags and hands them out.
func (w *walk) repository(ctx context.Context, r string, p *pending, jobs chan<- job) {
	repo, err := w.client.Repository(w.opt.Host + "/" + r)
	if err != nil {
		w.gap(r, "its name is none that can be asked for: "+err.Error(), "")
		return
	}
	tags, all, err := w.tags(ctx, repo)
	if err != nil {
		if ctx.Err() == nil {
			w.gap(r, "its tags could not be listed: "+err.Error(), "")
		}
		return
	}
	w.mu.Lock()
	p.known = w.state.digests(r)
	if all {
		w.state.keepTags(r, tags)
	}
	w.mu.Unlock()
	for _, t := range tags {
		if !matchAny(w.opt.Tags, t.name, true) {
			continue
		}
		w.mu.Lock()
		p.jobs++
		w.mu.Unlock()
		select {
		case jobs <- job{repo: repo, tag: t.name, digest: t.digest, left: p}:
		case <-ctx.Done():
			return
		}
	}
}

// look finds a tag's digest and scans it if it is new.
func (w *walk) look(ctx context.Context, j job, cancel context.CancelCauseFunc) {
	r := repositoryPath(j.repo, w.opt.Host)
	what := r + ":" + j.tag
	digest := j.digest
	if digest == "" {
		var err error
		if digest, err = w.client.Digest(ctx, j.repo, j.tag); err != nil {
			if ctx.Err() == nil {
				w.gap(what, "its digest could not be asked for: "+err.Error(), "")
			}
			return
		}
	}
	w.mu.Lock()
	w.sum.Tags++
	if w.state.Repositories[r][j.tag] == digest {
		w.sum.Unchanged++
		w.mu.Unlock()
		return
	}
	key := r + "@" + digest
	o, started := w.running[key]
	known := j.left.known[digest]
	if !started && !known {
		o = &once{done: make(chan struct{})}
		w.running[key] = o
		w.sum.Scanned++
	}
	w.mu.Unlock()
	switch {
	case started:
		select {
		case <-o.done:
		case <-ctx.Done():
			return
		}
	case !known:
		o.err = w.opt.Scan(ctx, w.opt.Host+"/"+r+"@"+digest, j.tag, digest)
		if errors.Is(o.err, image.ErrNotImage) {
			o.err = nil // it will not become one
			w.mu.Lock()
			w.sum.NotImages++
			w.mu.Unlock()
		}
		close(o.done)
		if o.err != nil {
			if ctx.Err() != nil {
				return
			}
			w.mu.Lock()
			w.sum.Failed++
			w.mu.Unlock()
			w.gap(what, o.err.Error(), "")
		}
	}
	if o != nil && o.err != nil {
		return // tried again by the next walk
	}
	w.mu.Lock()
	w.state.set(r, j.tag, digest)
	w.mu.Unlock()
	if o != nil && !started {
		if err := w.save(); err != nil {
			cancel(err)
		}
	}
}

func (w *walk) save() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.opt.Save == nil || w.saveErr != nil {
		return w.saveErr
	}
	if err := w.opt.Save(w.state); err != nil {
		w.saveErr = fmt.Errorf("saving the state of the walk: %w", err)
	}
	return w.saveErr
}

func (w *walk) gap(what, reason, remedy string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.sum.Gaps) >= maxGaps {
		w.sum.MoreGaps++
		return
	}
	w.sum.Gaps = append(w.sum.Gaps, scan.Gap{What: what, Reason: reason, Remedy: remedy})
}

// repositoryPath is the name as the catalogue has it; Docker Hub's library stays unsaid.
func repositoryPath(r name.Repository, host string) string {
	full := r.RepositoryStr()
	if r.RegistryStr() == name.DefaultRegistry && host != name.DefaultRegistry {
		return strings.TrimPrefix(full, "library/")
	}
	return full
}

// matchAny: one of the globs matches; without globs, none.
func matchAny(globs []string, s string, none bool) bool {
	if len(globs) == 0 {
		return none
	}
	return slices.ContainsFunc(globs, func(g string) bool { return glob(strings.Split(g, "/"), strings.Split(s, "/")) })
}

// glob matches path elements; ** is any number of them.
func glob(pattern, s []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			for len(pattern) > 1 && pattern[1] == "**" {
				pattern = pattern[1:]
			}
			for i := 0; i <= len(s); i++ {
				if glob(pattern[1:], s[i:]) {
					return true
				}
			}
			return false
		}
		if len(s) == 0 {
			return false
		}
		if ok, err := path.Match(pattern[0], s[0]); err != nil || !ok {
			return false
		}
		pattern, s = pattern[1:], s[1:]
	}
	return len(s) == 0
}

func wild(s string) bool { return strings.ContainsAny(s, `*?[\`) }
