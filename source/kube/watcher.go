package kube

import (
	"context"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"

	"github.com/dockreeve/dockreeve/internal/clock"
	"github.com/dockreeve/dockreeve/inventory"
)

// Sink takes what is read. *inventory.State is one. Calls for one resource come one
// after the other; calls for different resources come at the same time.
type Sink interface {
	Put(*inventory.Object)
	Delete(k inventory.Key, uid string)
	Replace(kind inventory.Kind, apiKind string, all []*inventory.Object)
}

// Options says which API server to watch. Only Config is needed.
type Options struct {
	Config    *rest.Config
	Namespace string // read only this one of what is in namespaces; "" = all
	Secrets   bool   // read names of secrets (their metadata; never their content)

	Clock      clock.Clock
	Retry      time.Duration // first wait after a failure, doubled with each up to 8 s; 0 = 500 ms
	Rediscover time.Duration // how often to look for kinds that are served since; 0 = 2 min
	Lists      int           // lists at one time; 0 = 3
}

// Watcher keeps a Sink equal to an API server. All methods are safe for concurrent use;
// Run and ReadOnce are called once, and not both.
type Watcher struct {
	opt   Options
	conn  *conn
	clock clock.Clock
	seed  maphash.Seed
	turns chan struct{} // one for each list that may run

	followers []*follower
	pending   sync.WaitGroup // followers without an outcome
	synced    chan struct{}

	mu     sync.Mutex
	server Server

	decode func([]byte) (*inventory.Object, error)
	page   int    // objects of one page
	noted  func() // tests wait for it: called when the coverage of a kind has changed
}

// Server is what the API server says of itself.
type Server struct {
	Address  string // as in the kubeconfig
	Version  string // v1.34.2
	Platform string // where the version or the APIs tell: EKS, GKE, k3s, RKE2, OpenShift; else ""
	// Custom are the custom resources that are served and say that something is, or was,
	// installed there, at most 16: runtimepolicies.defender.microsoft.com.
	Custom []string
}

// Open makes a watcher. It does not connect yet.
func Open(opt Options) (*Watcher, error) {
	c, err := dial(opt.Config)
	if err != nil {
		return nil, err
	}
	if opt.Clock == nil {
		opt.Clock = clock.Real{}
	}
	if opt.Retry <= 0 {
		opt.Retry = 500 * time.Millisecond
	}
	if opt.Rediscover <= 0 {
		opt.Rediscover = 2 * time.Minute
	}
	if opt.Lists <= 0 {
		opt.Lists = 3
	}
	w := &Watcher{
		opt: opt, conn: c, clock: opt.Clock, seed: maphash.MakeSeed(), turns: make(chan struct{}, opt.Lists),
		synced: make(chan struct{}), decode: inventory.Decode, page: pageSize, noted: func() {},
		server: Server{Address: c.base.Scheme + "://" + c.base.Host},
	}
	for _, wanted := range wanted(opt.Secrets) {
		w.followers = append(w.followers, newFollower(w, wanted))
	}
	w.pending.Add(len(w.followers))
	go func() {
		w.pending.Wait()
		close(w.synced)
	}()
	return w, nil
}

// Synced is closed once every kind has been read, or has a reason why not.
func (w *Watcher) Synced() <-chan struct{} { return w.synced }

// Server returns what is known of the server; Version is "" before the first answer.
func (w *Watcher) Server() Server {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.server
}

// Coverage says of every kind how well it is known.
func (w *Watcher) Coverage() []Coverage {
	now := w.clock.Now()
	list := make([]Coverage, 0, len(w.followers))
	for _, f := range w.followers {
		list = append(list, f.coverage(now))
	}
	return list
}

// Run keeps the sink equal to the server until the context ends, whatever happens to the
// server, and then returns the context's error.
func (w *Watcher) Run(ctx context.Context, sink Sink) error {
	var running sync.WaitGroup
	defer running.Wait()
	active := make([]func(), len(w.followers)) // ends a follower; nil where none runs
	ended := make(chan int)
	missing := make([]int, len(w.followers))
	failures := 0
	for ctx.Err() == nil {
		found, err := w.discover(ctx)
		wait := w.opt.Rediscover
		if err != nil {
			failures++
			wait = w.backoff(failures, err)
			w.undiscovered(active, err)
		} else {
			failures = 0
			for i, f := range w.followers {
				at, ok := found.at[f.want.name()]
				switch {
				case ok && active[i] != nil && f.at == at:
				case ok && active[i] != nil: // served in another version now; it starts anew once it has ended
					active[i]()
				case ok:
					missing[i] = 0
					active[i] = w.follow(ctx, i, f, at, sink, &running, ended)
				case found.failed[f.want.name()] != nil:
					if active[i] == nil {
						f.unknown(found.failed[f.want.name()])
					}
				default:
					// An API server that starts may not know its own resources yet: what was
					// there is missed twice before it counts as gone.
					if missing[i]++; missing[i] == 1 && f.everSynced() {
						wait = min(wait, 10*w.opt.Retry)
						continue
					}
					if active[i] != nil {
						active[i]()
					}
					sink.Replace(f.want.kind, f.want.folded(), nil)
					f.notServed()
				}
			}
		}
		w.idle(ctx, wait, ended, active)
	}
	go func() { // whoever still ends is heard, so that it can
		for range ended {
		}
	}()
	running.Wait()
	close(ended)
	return ctx.Err()
}

// follow starts a follower and returns what ends it.
func (w *Watcher) follow(ctx context.Context, i int, f *follower, at endpoint, sink Sink, running *sync.WaitGroup, ended chan<- int) func() {
	ctx, cancel := context.WithCancel(ctx)
	f.place(at)
	running.Go(func() {
		defer cancel()
		f.run(ctx, sink)
		ended <- i
	})
	return cancel
}

// idle waits for the time of the next discovery, or until a follower has ended because
// its resource went away.
func (w *Watcher) idle(ctx context.Context, wait time.Duration, ended <-chan int, active []func()) {
	bell, stop := w.clock.After(wait)
	defer func() { stop() }()
	for {
		select {
		case <-ctx.Done():
			return
		case <-bell:
			return
		case i := <-ended:
			active[i] = nil
			stop()
			bell, stop = w.clock.After(min(wait, w.opt.Retry))
		}
	}
}

// undiscovered notes why kinds that are not followed are not.
func (w *Watcher) undiscovered(active []func(), err error) {
	for i, f := range w.followers {
		if active[i] == nil {
			f.unknown(err)
		}
	}
}

// ReadOnce reads everything once. It fails only when the server cannot be asked at all;
// what could not be read is in Coverage.
func (w *Watcher) ReadOnce(ctx context.Context, sink Sink) error {
	found, err := w.discover(ctx)
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	for _, f := range w.followers {
		at, ok := found.at[f.want.name()]
		if !ok {
			if err := found.failed[f.want.name()]; err != nil {
				f.unknown(err)
			} else {
				f.notServed()
			}
			continue
		}
		f.place(at)
		running.Go(func() { f.read(ctx, sink) })
	}
	running.Wait()
	return ctx.Err()
}

// read lists the resource, with a few attempts where waiting may help.
func (f *follower) read(ctx context.Context, sink Sink) {
	f.mu.Lock()
	f.once = true
	f.mu.Unlock()
	for ctx.Err() == nil {
		release, err := f.w.slot(ctx)
		if err != nil {
			return
		}
		_, err = f.list(ctx, sink)
		release()
		if err == nil || ctx.Err() != nil {
			return
		}
		if isGone(err) {
			f.notServed()
			return
		}
		f.failures++
		wait := f.failed(err)
		f.mu.Lock()
		hopeless := f.refused || f.failures >= relistAfter
		f.mu.Unlock()
		if hopeless || f.w.sleep(ctx, wait) != nil {
			return
		}
	}
}

func (f *follower) place(at endpoint) {
	f.at = at
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cov.APIVersion = at.apiVersion()
	if f.cov.State == NotServed {
		f.cov.State, f.cov.Reason = Starting, ""
	}
}

func (f *follower) everSynced() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.synced
}

// discover asks the server what it is and what it serves.
func (w *Watcher) discover(ctx context.Context) (served, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dog := w.watchdog(stall, cancel)
	defer dog.stop()
	var v struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := w.conn.fetch(ctx, "/version", &v); err != nil {
		return served{}, dog.err(fmt.Errorf("ask for the API server's version: %w", err))
	}
	list := make([]want, len(w.followers))
	for i, f := range w.followers {
		list[i] = f.want
	}
	found, err := discover(ctx, w.conn, list)
	if err != nil {
		return found, dog.err(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.server.Version = cut(v.GitVersion, 64)
	w.server.Platform = platform(v.GitVersion, found.groups)
	w.server.Custom = found.custom
	return found, nil
}

// platform is what the version and the APIs say of who made the cluster. AKS leaves no
// trace in them; its nodes do.
func platform(version string, groups []string) string {
	for _, hint := range []struct{ in, name string }{{"+k3s", "k3s"}, {"+rke2", "RKE2"}, {"-eks-", "EKS"}, {"-gke.", "GKE"}} {
		if strings.Contains(version, hint.in) {
			return hint.name
		}
	}
	for _, g := range groups {
		if g == "config.openshift.io" {
			return "OpenShift"
		}
	}
	return ""
}

// streams reports whether the server is new enough to stream lists: an older one would
// take the request for a watch that never says that all is told. On by default since 1.32.
func (w *Watcher) streams() bool {
	var major, minor int
	if n, _ := fmt.Sscanf(w.Server().Version, "v%d.%d", &major, &minor); n != 2 {
		return false
	}
	return major > 1 || major == 1 && minor >= 32
}

// slot waits for the turn to list; the function it returns gives the turn back, once.
func (w *Watcher) slot(ctx context.Context) (func(), error) {
	select {
	case w.turns <- struct{}{}:
		return sync.OnceFunc(func() { <-w.turns }), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w *Watcher) sleep(ctx context.Context, d time.Duration) error {
	bell, stop := w.clock.After(d)
	defer stop()
	select {
	case <-bell:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watchdog cancels a request during which nothing was alive for d.
type watchdog struct {
	d     time.Duration
	signs atomic.Uint64
	bit   atomic.Bool
	stop  func()
}

func (w *Watcher) watchdog(d time.Duration, cancel func()) *watchdog {
	dog, done := &watchdog{d: d}, make(chan struct{})
	dog.stop = sync.OnceFunc(func() { close(done) })
	go func() {
		for {
			before := dog.signs.Load()
			bell, quiet := w.clock.After(d)
			select {
			case <-done:
				quiet()
				return
			case <-bell:
			}
			if dog.signs.Load() == before {
				dog.bit.Store(true)
				cancel()
				return
			}
		}
	}()
	return dog
}

func (d *watchdog) alive() { d.signs.Add(1) }

// err tells a request that the watchdog ended from others.
func (d *watchdog) err(err error) error {
	if err != nil && d.bit.Load() {
		return fmt.Errorf("nothing came for %s: %w", d.d, context.DeadlineExceeded)
	}
	return err
}
