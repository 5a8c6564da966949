package container

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/event"
)

// Options of a Resolver; the zero value reads the usual places of this machine.
type Options struct {
	Dirs Dirs
	// Roots are further file systems with runtimes' state, as directories: the host's own
	// where it is mounted for us (/host), or that of a runtime inside a container, which
	// is not believed unasked. The host's root and those of runtimes in a mount namespace
	// of their own are found without it.
	Roots []string
	Proc  string // where procfs is mounted; "" = /proc
	// Max bounds the cgroups remembered; 0 = 16384. Beyond it the longest unused
	// one is forgotten and looked up again when it returns.
	Max int
	// Changed is called, from the resolver's goroutines, when an answer changed.
	Changed func()
	Now     func() time.Time // nil = time.Now
}

// Status is how sure an answer is.
type Status uint8

// The statuses.
const (
	Pending Status = iota // being looked up; Container is the best known so far
	Host                  // not in a container
	Known                 // the runtime's metadata is there
	Unknown               // a container without metadata for now; Container.Unknown says why
)

// Answer is what is known about one cgroup. Container is nil for Host, and while
// Pending when not even the id is known.
type Answer struct {
	Status    Status
	Container *event.Container
}

// Stats counts what the resolver did since it was made.
type Stats struct {
	Cgroups    int    // remembered now
	Containers int    // of these, containers
	Unknown    int    // of these, without metadata
	Resolved   uint64 // metadata found
	Healed     uint64 // of these, after having been unknown
	Failed     uint64 // look-ups that found nothing (each try)
	Evicted    uint64
	QueueFull  uint64 // look-ups put off because the queue was full; retried at the next record

	Pods        int    // of this node, as the cluster tells
	PodsRefused uint64 // for want of room
}

// Resolver answers which container a cgroup is. All methods may be called
// concurrently; Get never blocks on I/O.
type Resolver struct {
	h    Hierarchy
	o    Options
	work chan *entry

	mu      sync.Mutex
	entries map[uint64]*entry
	stats   Stats
	host    *users
	pods    map[string]*knownPod // by uid; nil = the cluster tells of none

	roots *roots
}

type entry struct {
	id      uint64
	path    string
	fresh   bool // created while we watched: its state files may still be coming
	answer  Answer
	pid     int32 // a process seen in it
	queued  bool
	tries   int
	next    time.Time // when to try again; zero = not at all
	used    time.Time
	removed bool
	awaits  bool // known but for what the cluster is about to tell of its pod
	users   *users
}

// waits are the pauses between tries, 20 s in all and then every minute: runtimes
// write state within milliseconds, a node under pressure within seconds.
var waits = []time.Duration{5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond, 80 * time.Millisecond,
	160 * time.Millisecond, 320 * time.Millisecond, 640 * time.Millisecond, 1280 * time.Millisecond, 2560 * time.Millisecond, 5 * time.Second, 10 * time.Second,
	time.Minute, time.Minute, time.Minute, time.Minute, time.Minute}

// hostAfter is the try after which a fresh cgroup without a container's name and
// without state counts as the host's.
const hostAfter = 6

// NewResolver makes a resolver over a hierarchy. Run must run for it to answer.
func NewResolver(h Hierarchy, o Options) *Resolver {
	o.Dirs = o.Dirs.orUsual()
	if o.Max == 0 {
		o.Max = 16384
	}
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	r := &Resolver{h: h, o: o, work: make(chan *entry, 1024), entries: map[uint64]*entry{}}
	r.host = &users{}
	r.roots = &roots{proc: o.Proc, mode: h.Mode, given: o.Roots, now: o.Now}
	return r
}

// Hierarchy returns the hierarchy it answers for.
func (r *Resolver) Hierarchy() Hierarchy { return r.h }

// Get says what is known about a cgroup now, and starts a look-up when it is new.
// pid is a process in it, or 0.
func (r *Resolver) Get(id uint64, pid int32) Answer {
	if id == r.h.RootID || id == 0 {
		return Answer{Status: Host}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entry(id)
	if pid != 0 {
		e.pid = pid
	}
	if e.answer.Status == Pending && e.tries == 0 {
		r.enqueue(e)
	}
	return e.answer
}

// Created tells of a cgroup that has just been made, and its path.
func (r *Resolver) Created(id uint64, path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entry(id)
	e.path, e.fresh = path, true
	r.classify(e)
	r.enqueue(e)
}

// Removed tells of a cgroup that is gone; late events still find it for a while.
func (r *Resolver) Removed(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.entries[id]; ok {
		e.removed, e.next = true, time.Time{}
		r.stopAwaiting(e)
	}
}

// Stats returns the counts.
func (r *Resolver) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Cgroups = len(r.entries)
	for _, p := range r.pods {
		if p.gone.IsZero() {
			s.Pods++
		}
	}
	for _, e := range r.entries {
		if e.answer.Container != nil {
			s.Containers++
			if e.answer.Status == Unknown {
				s.Unknown++
			}
		}
	}
	return s
}

// Containers lists the containers known now, for a snapshot, by id.
func (r *Resolver) Containers() []*event.Container {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*event.Container
	for _, e := range r.entries {
		if e.answer.Container != nil && !e.removed {
			out = append(out, e.answer.Container)
		}
	}
	slices.SortFunc(out, func(a, b *event.Container) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// entry finds or makes an entry; the caller holds mu.
func (r *Resolver) entry(id uint64) *entry {
	e, ok := r.entries[id]
	if ok {
		e.used = r.o.Now()
		return e
	}
	if len(r.entries) >= r.o.Max {
		r.evict()
	}
	e = &entry{id: id, used: r.o.Now()}
	r.entries[id] = e
	return e
}

// evict forgets a removed cgroup, else the longest unused of a few.
func (r *Resolver) evict() {
	var old *entry
	looked := 0
	for _, e := range r.entries {
		if e.removed {
			old = e
			break
		}
		if old == nil || e.used.Before(old.used) {
			old = e
		}
		if looked++; looked == 64 {
			break
		}
	}
	delete(r.entries, old.id)
	r.stats.Evicted++
}

func (r *Resolver) enqueue(e *entry) {
	if e.queued {
		return
	}
	select {
	case r.work <- e:
		e.queued = true
	default:
		r.stats.QueueFull++
	}
}

// classify settles what the path alone can settle; the caller holds mu.
func (r *Resolver) classify(e *entry) {
	if e.answer.Status != Pending {
		return
	}
	n, ok := ParseCgroup(e.path)
	switch {
	case ok:
		e.answer.Container = &event.Container{ID: n.ID, Runtime: n.Runtime, PodUID: n.PodUID, CgroupPath: clip(e.path),
			Unknown: "its metadata is still being looked up"}
	case hostPath(e.path):
		e.answer = Answer{Status: Host}
	}
}

// Run does the look-ups until ctx ends.
func (r *Resolver) Run(ctx context.Context) {
	var wg sync.WaitGroup
	// Two, so that one file system that hangs does not stop all attribution.
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case e := <-r.work:
					r.resolve(e)
				}
			}
		})
	}
	wg.Go(func() { r.readHostUsers() })
	r.roots.search()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			wg.Wait()
			return
		case <-tick.C:
			// Slow down while nothing waits for a retry.
			if r.retry() {
				tick.Reset(5 * time.Millisecond)
			} else {
				tick.Reset(50 * time.Millisecond)
			}
		}
	}
}

// retry queues what is due and reports whether something waits.
func (r *Resolver) retry() bool {
	now := r.o.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting := false
	for _, e := range r.entries {
		if e.next.IsZero() {
			continue
		}
		waiting = waiting || e.next.Sub(now) < time.Second
		if !now.Before(e.next) {
			e.next = time.Time{}
			r.enqueue(e)
		}
	}
	return waiting
}

// resolve does one try for one cgroup.
func (r *Resolver) resolve(e *entry) {
	r.mu.Lock()
	e.queued = false
	path, fresh, tries, was, pid := e.path, e.fresh, e.tries, e.answer, e.pid
	r.mu.Unlock()

	answer, path, done, us := r.look(e.id, path, fresh, tries, was, pid)

	r.mu.Lock()
	e.path = path
	e.tries++
	if us != nil {
		e.users = us
	}
	if answer.Container != nil {
		answer.Container = r.withPod(answer.Container)
	}
	// Its pod may be on the way here: what it does first should carry its workload.
	e.awaits = answer.Status == Known && was.Status != Known && fresh && !e.removed && tries < awaitPod &&
		r.pods != nil && answer.Container.PodUID != "" && r.pods[answer.Container.PodUID] == nil
	if e.awaits {
		answer.Status = Pending
	}
	changed := answer.Status != was.Status || answer.Container != was.Container
	e.answer = answer
	switch {
	case e.awaits:
		e.next = r.o.Now().Add(waits[tries])
	case !done:
		r.stats.Failed++
		if !e.removed && tries < len(waits) {
			e.next = r.o.Now().Add(waits[tries])
		}
	}
	r.known(e, was.Status)
	r.mu.Unlock()
	if changed {
		r.o.Changed()
	}
}

// known counts an answer that became known; the caller holds mu.
func (r *Resolver) known(e *entry, was Status) {
	if e.answer.Status != Known || was == Known {
		return
	}
	r.stats.Resolved++
	if was == Unknown {
		r.stats.Healed++
	}
}

// look finds out about one cgroup; done means there is no more to learn.
func (r *Resolver) look(id uint64, path string, fresh bool, tries int, was Answer, pid int32) (a Answer, at string, done bool, us *users) {
	if path == "" {
		p, ok, err := r.h.path(id)
		switch {
		case err != nil:
			return unknown("", "its cgroup cannot be named: "+err.Error()), "", false, nil
		case !ok:
			return unknown("", "its cgroup is gone"), "", true, nil
		}
		path = p
	}
	n, ok := ParseCgroup(path)
	if !ok {
		if hostPath(path) {
			return Answer{Status: Host}, path, true, nil
		}
		var coming bool
		for _, root := range r.roots.list() {
			var c bool
			n, ok, c = r.o.Dirs.under(root).byState(path, r.h.Mode)
			if coming = coming || c; ok {
				break
			}
		}
		if !ok {
			if coming || fresh && tries < hostAfter {
				return was, path, false, nil
			}
			return Answer{Status: Host}, path, !fresh || tries >= hostAfter+4, nil
		}
	}
	c, err := r.describe(n, path)
	if c == nil {
		u := unknown(n.ID, err.Error()+" (looked in the state directories of runc, containerd, Docker, CRI-O and Podman)")
		u.Container.Runtime, u.Container.PodUID, u.Container.CgroupPath = n.Runtime, n.PodUID, clip(path)
		// Within the first tries nobody is told "unknown" yet: state is on its way.
		if fresh && tries < hostAfter {
			u.Status = Pending
		}
		if was.Container != nil && was.Status == u.Status && was.Container.Unknown == u.Container.Unknown {
			u.Container = was.Container
		}
		return u, path, false, nil
	}
	return Answer{Status: Known, Container: c}, path, true, readUsers(r.root(c, pid))
}

// describe asks the runtimes of every root; one that knows nothing says so in the error
// of the first.
func (r *Resolver) describe(n Name, path string) (*event.Container, error) {
	for {
		var first error
		for _, root := range r.roots.list() {
			c, err := r.o.Dirs.under(root).describe(n, path)
			if c != nil {
				return c, err
			}
			if first == nil {
				first = err
			}
		}
		if !r.roots.search() {
			return nil, first
		}
	}
}

func unknown(id, why string) Answer {
	return Answer{Status: Unknown, Container: &event.Container{ID: id, Unknown: why}}
}

// byState finds the container that a runtime's state says has this cgroup: the one
// named like it, or else any. coming means its directory is there and its state is
// not yet.
func (d Dirs) byState(path string, mode Mode) (n Name, ok, coming bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i := len(parts) - 1; i >= 0 && i >= len(parts)-8; i-- {
		own := "/" + strings.Join(parts[:i+1], "/")
		id := parts[i]
		if p, found := d.find(d.Runc, id, "state.json"); found && stateHas(p, own, mode) {
			return Name{ID: id}, true, false
		}
		if _, found := d.find(d.Runc, id, "."); found {
			coming = true
		}
	}
	// A cgroup path of the user's choice: ask every state there is.
	asked := 0
	for _, dir := range d.Runc {
		matches, err := filepath.Glob(d.in(dir))
		if err != nil {
			continue
		}
		for _, m := range matches {
			names, err := os.ReadDir(m)
			if err != nil {
				continue
			}
			for _, e := range names {
				if asked++; asked > maxStates {
					return n, false, coming
				}
				for i := len(parts); i > 0; i-- {
					if stateHas(filepath.Join(m, e.Name(), "state.json"), "/"+strings.Join(parts[:i], "/"), mode) {
						return Name{ID: e.Name()}, true, false
					}
				}
			}
		}
	}
	return n, false, coming
}

// maxStates bounds one search through all states.
const maxStates = 1024

// stateHas reports whether a state.json gives its container this cgroup.
func stateHas(file, cgroup string, mode Mode) bool {
	var st runcState
	if err := readJSON(file, &st); err != nil {
		return false
	}
	key := mode.String()
	if mode == ModeV2 {
		key = ""
	}
	return strings.HasSuffix(st.CgroupPaths[key], cgroup)
}

// root is a directory that is the container's root file system as seen from here,
// or "".
func (r *Resolver) root(c *event.Container, pid int32) string {
	if c.Rootfs != "" {
		if _, err := os.Stat(filepath.Join(c.Rootfs, "etc")); err == nil {
			return c.Rootfs
		} else if !errors.Is(err, os.ErrNotExist) {
			return ""
		}
	}
	return procRoot(r.o.Proc, pid)
}
