package images

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/internal/ring"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/store"
)

// Bounds of scanning.
const (
	maxPushes   = 1000
	scanLimit   = 10 * time.Minute // one image; real time: a scanner that hangs knows no other
	firstRetry  = time.Minute
	lastRetry   = 6 * time.Hour
	maxReason   = 1000
	retryPushes = 3
)

// queue scans one image at a time: what was first seen running, which the store
// remembers, and what a registry said was pushed, which is only held here.
type queue struct {
	s    *Images
	wake chan struct{}

	mu     sync.Mutex
	pushes *ring.Ring[job]
}

// job is an image to be pulled and scanned.
type job struct {
	ref   string // registry.example/team/app@sha256:…
	name  string // registry.example/team/app:tag, or the same as ref
	cause string
	tries int
	probe func(context.Context) // in place of the registry: a test image
}

func newQueue(s *Images) *queue {
	return &queue{s: s, wake: make(chan struct{}, 1), pushes: ring.New[job]("images pushed", maxPushes, "push_queue_full")}
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// push adds a job and reports whether there was room.
func (q *queue) push(j job) bool {
	q.mu.Lock()
	ok := q.pushes.Push(j)
	q.mu.Unlock()
	if !ok {
		q.s.lost(q.pushes.Reason(), 1)
		return false
	}
	q.signal()
	return true
}

// room adds a job where there is room, and counts no loss where there is none.
func (q *queue) room(j job) bool {
	q.mu.Lock()
	ok := !q.pushes.Full() && q.pushes.Push(j)
	q.mu.Unlock()
	if ok {
		q.signal()
	}
	return ok
}

func (q *queue) pop() (job, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pushes.Pop()
}

// look wakes the worker when an image waits.
func (q *queue) look(ctx context.Context) {
	if _, ok, err := q.s.opt.DB.NextScan(ctx, q.s.opt.Clock.Now().UnixNano()); err == nil && ok {
		q.signal()
	}
}

func (q *queue) run(ctx context.Context) {
	for {
		select {
		case <-q.wake:
		case <-ctx.Done():
			return
		}
		for q.one(ctx) && ctx.Err() == nil {
		}
	}
}

// one scans the next image and reports whether there was one. Running images and
// pushes take turns, so that neither waits for all of the other.
func (q *queue) one(ctx context.Context) bool {
	did := false
	t, ok, err := q.s.opt.DB.NextScan(ctx, q.s.opt.Clock.Now().UnixNano())
	if err != nil && ctx.Err() == nil {
		q.s.opt.Log.Warn("looking for images to scan failed", "error", err)
	}
	if ok {
		did = true
		q.s.scanRunning(ctx, &t)
	}
	if j, ok := q.pop(); ok {
		did = true
		if j.probe != nil {
			j.probe(ctx)
		} else if err := q.s.scanRef(ctx, j); err != nil && ctx.Err() == nil {
			j.tries++
			q.s.opt.Log.Warn("scanning a pushed image failed", "image", j.ref, "tries", j.tries, "error", err)
			if j.tries >= retryPushes {
				q.s.lost("push_not_scanned", 1)
			} else {
				q.push(j)
			}
		}
	}
	return did
}

// scanRef pulls and scans an image of a registry that is configured.
func (s *Images) scanRef(ctx context.Context, j job) error {
	if s.opt.Scanner == nil {
		return errors.New("no scanner is configured")
	}
	ctx, cancel := context.WithTimeout(ctx, scanLimit)
	defer cancel()
	list, err := s.catalogs(ctx, "registry:"+j.ref)
	if err != nil {
		return err
	}
	for _, c := range list {
		if j.name != "" {
			c.Image.Name = j.name
		}
		if _, _, err := s.Submit(ctx, c, "", j.cause); err != nil {
			return err
		}
	}
	return nil
}

// catalogs keeps a scanner's panic from ending the server: what it reads is hostile.
func (s *Images) catalogs(ctx context.Context, ref string) (list []*scan.Catalog, err error) {
	defer func() {
		if r := recover(); r != nil {
			s.opt.Log.Error("panic while scanning", "image", ref, "panic", r)
			list, err = nil, fmt.Errorf("the scanner failed at %s; the log says more", ref)
		}
	}()
	return s.opt.Scanner.Catalogs(ctx, ref)
}

// scanRunning looks into an image that runs, where it can be had: in this machine's
// stores, in the root file system of a container, in its registry. What comes of it is stored.
func (s *Images) scanRunning(ctx context.Context, t *store.ScanTarget) {
	now := s.opt.Clock.Now()
	reason := "no scanner is configured: scan it with dockreeve scan --server"
	retry := now.Add(lastRetry)
	if s.opt.Scanner != nil {
		var reasons []string
		limited, cancel := context.WithTimeout(ctx, scanLimit)
		defer cancel()
		for _, a := range s.attempts(t) {
			err := a.why
			if err == nil {
				err = s.attempt(limited, t, a)
			}
			if err == nil {
				return
			}
			if ctx.Err() != nil {
				return // stopping; it is still waiting when we start again
			}
			reasons = append(reasons, a.what+": "+err.Error())
		}
		reason = strings.Join(reasons, "; ")
		retry = now.Add(min(firstRetry<<min(t.Tries, 10), lastRetry))
	}
	reason = clip(reason, maxReason)
	if err := s.opt.DB.ScanFailed(ctx, t.N, reason, retry.UnixNano()); err != nil && ctx.Err() == nil {
		s.opt.Log.Warn("storing why an image was not scanned failed", "image", t.Name, "error", err)
	}
}

// pulledWhat is what is not known where only a root file system could be read.
const pulledWhat = "the image as it was pulled"

// attempt is one way to an image's content.
type attempt struct {
	what   string                 // in words
	ref    string                 // for the scanner
	why    error                  // why it cannot be tried
	rootfs *store.TargetContainer // whose root file system it is
}

func (s *Images) attempts(t *store.ScanTarget) []attempt {
	var out []attempt
	named := t.Name
	if t.Digest != "" && t.Name != "" {
		named = Repository(t.Name) + "@" + t.Digest
	}
	if s.opt.Local {
		if ref := or(t.ImageID, named); ref != "" {
			out = append(out, attempt{what: "Docker's store", ref: "docker:" + ref})
		}
		if ref := or(named, t.ImageID); ref != "" {
			out = append(out, attempt{what: "containerd's store", ref: "containerd:" + ref})
		}
		for i := range t.Containers {
			c := &t.Containers[i]
			a := attempt{what: "root file system of container " + short(c.Container), rootfs: c}
			dir, err := rootOf(*c)
			if err != nil {
				a.why = err
			}
			a.ref = "rootfs:" + dir
			out = append(out, a)
		}
	} else {
		out = append(out, attempt{what: "the node's stores", why: errors.New("it runs on another machine")})
	}
	switch {
	case !s.opt.Pull:
		out = append(out, attempt{what: "its registry", why: errors.New("not pulled: --pull-images is off")})
	case t.Digest == "" || t.Name == "":
		out = append(out, attempt{what: "its registry", why: errors.New("neither the runtime nor the name tells its digest: a tag may have moved")})
	default:
		out = append(out, attempt{what: "its registry", ref: "registry:" + named})
	}
	return out
}

func clip(s string, n int) string {
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func short(id string) string { return id[:min(len(id), 12)] }

// errEnded says that a container was too short-lived to be looked into.
var errEnded = errors.New("it ended before it could be looked into")

// rootOf is the path to a container's root on this machine.
func rootOf(c store.TargetContainer) (string, error) {
	if filledDir(c.Rootfs) {
		return c.Rootfs, nil
	}
	proc, err := procOf(c.PID, c.Container)
	if err != nil {
		return "", fmt.Errorf("%w (%w)", errEnded, err)
	}
	return proc + "/root", nil
}

func (s *Images) attempt(ctx context.Context, t *store.ScanTarget, a attempt) error {
	list, err := s.catalogs(ctx, a.ref)
	if err != nil {
		return err
	}
	for _, c := range list {
		if a.rootfs != nil {
			// An end while it is read leaves a tree with holes, or an empty one.
			if _, err := rootOf(*a.rootfs); err != nil {
				return err
			}
			// Not the image itself: what the container has written since is in it.
			c.Image.Digest, c.Image.ConfigDigest, c.Image.IndexDigest = "", "", ""
			c.Image.Kind, c.Image.Layers = scan.KindRootfs, nil
			for i := range c.Packages {
				c.Packages[i].Layer = -1
			}
			for i := range c.Secrets {
				c.Secrets[i].Layer = -1
			}
			c.Image.Name = or(t.Name, or(a.rootfs.Name, t.Key))
			c.NotAssessed = append(c.NotAssessed, scan.Gap{What: pulledWhat, Reason: "the image was in no store here, so a running container's root file system was read: what it has written since it started is part of it, and the layers and configuration of the image are not known"})
			if merged, err := s.opt.DB.SameContent(ctx, t.N, contentKey(t, c)); err != nil || merged {
				return err
			}
			_, _, err := s.Submit(ctx, c, t.Ref, "scan of a running container")
			return err
		}
		if !s.is(t, c) {
			continue
		}
		if t.Name != "" {
			c.Image.Name = t.Name
		}
		cause := ""
		if t.Cluster != "" {
			cause = "found running in cluster " + t.Cluster
		}
		_, _, err := s.Submit(ctx, c, t.Ref, cause)
		return err
	}
	return errors.New("what goes by that name is another image")
}

// is reports whether a catalogue is of the image that runs: a tag may have moved.
func (s *Images) is(t *store.ScanTarget, c *scan.Catalog) bool {
	i := &c.Image
	return t.ImageID != "" && t.ImageID == i.ConfigDigest || t.Digest != "" && (t.Digest == i.Digest || t.Digest == i.IndexDigest || t.Digest == i.ConfigDigest)
}
