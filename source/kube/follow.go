package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/inventory"
)

// Times of a watch.
const (
	// watchFor is how long one watch request lasts, at least; up to twice that, so that
	// not all end at once.
	watchFor = 5 * time.Minute
	// watchGrace is how much longer than asked for a watch may last before it counts as hung.
	watchGrace = 30 * time.Second
	// stall is how long a list, or the first part of a streamed one, may bring nothing new.
	stall = time.Minute
	// maxRetry bounds the wait between attempts, forbiddenRetry that after a refusal
	// that only a person can mend.
	maxRetry       = 8 * time.Second
	forbiddenRetry = 2 * time.Minute
	// relistAfter is how many answers in a row that are no refusal make a watch begin anew:
	// the version it goes on from may be what the server chokes on. An outage does not, as
	// everybody would read everything when it ends.
	relistAfter = 5
)

// follower keeps one resource's objects in the sink. Its fields above mu belong to the
// goroutine that runs it.
type follower struct {
	w    *Watcher
	want want
	at   endpoint

	failures int  // in a row
	choked   int  // of those, as chokes says
	paged    bool // streamed lists do not work here

	mu      sync.Mutex
	cov     Coverage
	held    map[uint64]struct{} // hashed names of what the sink holds, for their number
	synced  bool                // everything was read once
	once    bool                // read once, not followed
	missed  bool                // changes were missed: the next list begins a new Since
	refused bool                // the last answer was that there is no right
	settled bool                // there is an outcome, good or bad
}

func newFollower(w *Watcher, wanted want) *follower {
	f := &follower{w: w, want: wanted, held: map[uint64]struct{}{}}
	f.cov = Coverage{Resource: wanted.name(), Kind: wanted.kind, State: Starting}
	return f
}

// errGone says that the resource is no longer served where it was.
var errGone = errors.New("no longer served")

// run follows the resource until the context ends or the server no longer serves it.
func (f *follower) run(ctx context.Context, sink Sink) error {
	version := ""
	for ctx.Err() == nil {
		var err error
		if version == "" {
			if version, err = f.begin(ctx, sink); err == nil && version == "" {
				err = errors.New("the list names no version to go on from")
			}
		} else {
			version, err = f.watch(ctx, sink, version, nil)
		}
		if ctx.Err() != nil {
			break
		}
		f.interrupted()
		if err == nil {
			continue
		}
		if isGone(err) {
			return errGone
		}
		if errors.Is(err, errExpired) {
			version = f.anew()
		}
		f.failures++
		if chokes(err) {
			f.choked++
		}
		if wait := f.failed(err); f.w.sleep(ctx, wait) != nil {
			break
		}
		if f.choked >= relistAfter && version != "" {
			version, f.choked = f.anew(), 0
		}
	}
	return ctx.Err()
}

// chokes reports whether an error may come from the version that a watch goes on from:
// the server answered, and neither refused nor asked to wait.
func chokes(err error) bool {
	var st *StatusError
	if errors.As(err, &st) {
		return st.Code == http.StatusBadRequest || st.Code == http.StatusInternalServerError || st.Code == http.StatusGatewayTimeout
	}
	var syntax *json.SyntaxError
	return errors.As(err, &syntax) || errors.Is(err, errTooLarge)
}

func isGone(err error) bool {
	var st *StatusError
	return errors.As(err, &st) && st.Code == http.StatusNotFound
}

// begin reads everything and returns the version from which to watch. A streamed list
// goes over into a watch, and returns when that ends.
func (f *follower) begin(ctx context.Context, sink Sink) (string, error) {
	release, err := f.w.slot(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	if !f.paged && f.w.streams() {
		version, err := f.watch(ctx, sink, "", &initial{objects: map[string]*inventory.Object{}, release: release})
		var st *StatusError
		refused := errors.As(err, &st) && (st.Code == http.StatusBadRequest || st.Code == http.StatusUnprocessableEntity)
		if version != "" || !refused && !errors.Is(err, errNoInitialEnd) {
			return version, err
		}
		f.paged = true
	}
	return f.list(ctx, sink)
}

// list reads everything page by page and states it to the sink.
func (f *follower) list(ctx context.Context, sink Sink) (string, error) {
	version, err := f.pages(ctx, sink, f.w.page)
	if errors.Is(err, errExpired) {
		// The pages took longer than the server keeps old versions: at once, then.
		return f.pages(ctx, sink, 0)
	}
	return version, err
}

func (f *follower) pages(ctx context.Context, sink Sink, limit int) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dog := f.w.watchdog(stall, cancel)
	defer dog.stop()
	var all []*inventory.Object
	next := ""
	for {
		query := url.Values{}
		if limit > 0 {
			query.Set("limit", strconv.Itoa(limit))
		}
		if next != "" {
			query.Set("continue", next)
		}
		head, err := f.page(ctx, query, func(item []byte) error {
			dog.alive()
			if len(all) >= maxPerKind {
				return fmt.Errorf("more than %d objects", maxPerKind)
			}
			if o := f.decode(typed(item, f.at.apiVersion(), f.want.apiKind)); o != nil {
				all = append(all, o)
			}
			return nil
		})
		if err != nil {
			return "", dog.err(err)
		}
		dog.alive()
		if next = head.Continue; next == "" {
			f.state(sink, all)
			return head.ResourceVersion, nil
		}
	}
}

func (f *follower) page(ctx context.Context, query url.Values, each func([]byte) error) (header, error) {
	body, err := f.w.conn.get(ctx, f.at.path(f.want.resource, f.w.opt.Namespace), f.accept("List"), query)
	if err != nil {
		return header{}, expired(err)
	}
	defer body.Close()
	return readList(body, each)
}

// accept is the form in which objects are asked for.
func (f *follower) accept(list string) string {
	if f.want.metadata {
		return "application/json;as=PartialObjectMetadata" + list + ";g=meta.k8s.io;v=v1"
	}
	return "application/json"
}

// expired turns the API's ways to say that a version is too old into errExpired.
func expired(err error) error {
	var st *StatusError
	if errors.As(err, &st) && (st.Code == http.StatusGone || st.Reason == "Expired" || st.Reason == "Gone") {
		return fmt.Errorf("%w: %s", errExpired, st.Message)
	}
	return err
}

// errNoInitialEnd says that a streamed list did not end as it should, errShort that a
// watch brought nothing.
var (
	errNoInitialEnd = errors.New("the streamed list did not come to its end")
	errShort        = errors.New("the API server ends the watch at once")
)

// initial collects the first part of a streamed list.
type initial struct {
	objects map[string]*inventory.Object // by namespace/name
	release func()                       // gives the turn to list to the next
}

// watch applies changes until the watch ends, and returns the version of the last one.
// With first, it begins by reading everything, and returns "" when that did not succeed.
func (f *follower) watch(ctx context.Context, sink Sink, version string, first *initial) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	span := watchFor + rand.N(watchFor)
	query := url.Values{"watch": {"1"}, "allowWatchBookmarks": {"true"}, "timeoutSeconds": {strconv.Itoa(int(span / time.Second))}}
	wait := span + watchGrace
	if first != nil {
		query.Set("sendInitialEvents", "true")
		query.Set("resourceVersionMatch", "NotOlderThan")
		wait = stall
	} else {
		query.Set("resourceVersion", version)
	}
	dog := f.w.watchdog(wait, cancel)
	defer func() { dog.stop() }()
	began, events := f.w.clock.Now(), 0
	body, err := f.w.conn.get(ctx, f.at.path(f.want.resource, f.w.opt.Namespace), f.accept(""), query)
	if err != nil {
		return version, dog.err(expired(err))
	}
	defer body.Close()
	if first == nil {
		f.connected()
	}
	err = readWatch(body, func(ev event) error {
		events++
		dog.alive()
		at, end, err := f.apply(sink, ev, first)
		if err != nil {
			return err
		}
		f.failures, f.choked = 0, 0
		if end {
			first.release()
			first = nil
			dog.stop()
			dog = f.w.watchdog(span+watchGrace, cancel)
		}
		if first == nil && at != "" {
			version = at
		}
		return nil
	})
	switch {
	case err == nil && first != nil:
		err = errNoInitialEnd
	case err == nil && events == 0 && f.w.clock.Now().Sub(began) < time.Second:
		err = errShort
	}
	return version, dog.err(err)
}
