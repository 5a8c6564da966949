package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/dockreeve/dockreeve/inventory"
)

// decode reduces an object as it came from the server; nil when it cannot be understood,
// which is counted.
func (f *follower) decode(doc []byte) *inventory.Object {
	var err error
	if f.want.metadata {
		doc, err = onlyMetadata(doc, f.at.apiVersion(), f.want.apiKind)
	}
	if err == nil {
		var o *inventory.Object
		if o, err = f.w.decode(doc); err == nil && o.Kind != f.want.kind {
			err = fmt.Errorf("a %s where a %s was expected", cut(string(o.Kind), 64), f.want.apiKind)
		} else if err == nil {
			return o
		}
	}
	h := headerOf(doc)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cov.Undecoded++
	f.cov.Example = fmt.Sprintf("%s: %s", cut(path(h.Namespace, h.Name), 300), cut(err.Error(), 300))
	return nil
}

func path(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

// headerOf reads what finds an object again, as far as it is there.
func headerOf(doc []byte) header {
	var o struct {
		Metadata header `json:"metadata"`
	}
	_ = json.Unmarshal(doc, &o) // what cannot be read stays empty
	return o.Metadata
}

// apply hands one event on. It returns the version that the event leads to, and whether
// it ended the first part of a streamed list.
func (f *follower) apply(sink Sink, ev event, first *initial) (version string, end bool, err error) {
	f.heard()
	switch ev.Type {
	case "ERROR":
		return "", false, expired(failure(ev.Object))
	case "BOOKMARK":
		h := headerOf(ev.Object)
		if first == nil || h.Annotations[initialEventsEnd] != "true" {
			return h.ResourceVersion, false, nil
		}
		if h.ResourceVersion == "" {
			return "", false, errors.New("the bookmark that ends the list names no version")
		}
		all := make([]*inventory.Object, 0, len(first.objects))
		for _, o := range first.objects {
			all = append(all, o)
		}
		f.state(sink, all)
		f.connected()
		return h.ResourceVersion, true, nil
	case "ADDED", "MODIFIED", "DELETED":
	default:
		return "", false, fmt.Errorf("an event of the unknown type %q", cut(ev.Type, 64))
	}
	o := f.decode(typed(ev.Object, f.at.apiVersion(), f.want.apiKind))
	gone := ev.Type == "DELETED" || o == nil // what is no longer understood is no longer held
	var h header
	if o != nil {
		h = header{Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.Version}
	} else {
		h = headerOf(ev.Object)
	}
	name := path(h.Namespace, h.Name)
	switch {
	case first != nil && gone:
		delete(first.objects, name)
	case first != nil:
		if len(first.objects) >= maxPerKind {
			return "", false, fmt.Errorf("more than %d objects", maxPerKind)
		}
		first.objects[name] = o
	case gone:
		sink.Delete(inventory.Key{Kind: f.want.kind, Namespace: h.Namespace, Name: h.Name, As: f.want.folded()}, h.UID)
		f.hold(name, false)
	default:
		sink.Put(o)
		f.hold(name, true)
	}
	return h.ResourceVersion, false, nil
}

// failure reads the Status object of an error event.
func failure(doc []byte) error {
	var st status
	if err := json.Unmarshal(doc, &st); err != nil {
		return fmt.Errorf("an error event that cannot be read: %w", err)
	}
	return &StatusError{Code: st.Code, Reason: st.Reason, Message: cut(st.Message, 512), RetryAfter: seconds(st.Details.RetryAfterSeconds)}
}

// state tells the sink everything that there is of the resource.
func (f *follower) state(sink Sink, all []*inventory.Object) {
	sink.Replace(f.want.kind, f.want.folded(), all)
	now := f.w.clock.Now().UnixNano()
	defer f.w.noted()
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.held)
	for _, o := range all {
		f.held[f.hash(path(o.Namespace, o.Name))] = struct{}{}
	}
	if f.cov.Since == 0 || f.missed {
		f.cov.Since, f.missed = now, false
	}
	f.cov.LastEvent = now
	f.cov.Reason, f.cov.Remedy, f.refused = "", "", false
	f.synced = true
	f.settle()
}

func (f *follower) hash(name string) uint64 { return maphash.String(f.w.seed, name) }

func (f *follower) hold(name string, yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if yes {
		f.held[f.hash(name)] = struct{}{}
	} else {
		delete(f.held, f.hash(name))
	}
}

func (f *follower) heard() {
	now := f.w.clock.Now().UnixNano()
	f.mu.Lock()
	f.cov.LastEvent = now
	f.mu.Unlock()
}

// connected notes that a watch runs.
func (f *follower) connected() {
	defer f.w.noted()
	f.mu.Lock()
	f.cov.Down, f.cov.Reason, f.cov.Remedy, f.refused = 0, "", "", false
	f.mu.Unlock()
}

// interrupted notes that no watch runs.
func (f *follower) interrupted() {
	now := f.w.clock.Now().UnixNano()
	f.mu.Lock()
	if f.cov.Down == 0 {
		f.cov.Down = now
	}
	f.mu.Unlock()
}

// anew notes that changes were missed, and returns the version of a fresh start.
func (f *follower) anew() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.missed && f.synced {
		f.missed = true
		f.cov.Breaks++
	}
	return ""
}

// failed notes why it did not work and says how long to wait.
func (f *follower) failed(err error) time.Duration {
	defer f.w.noted()
	var st *StatusError
	refused := errors.As(err, &st) && (st.Code == http.StatusForbidden || st.Code == http.StatusUnauthorized)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cov.Failures++
	f.cov.Reason, f.cov.Remedy = explain(err, f.want)
	if refused && !f.refused {
		f.failures = 1 // whatever failed before, this is another matter
	}
	f.refused = refused
	if refused || f.failures >= relistAfter {
		f.settle()
	}
	switch {
	case errors.Is(err, errExpired) && f.failures <= 1:
		return 0 // usual after a long break: read anew at once
	case refused:
		// An API server that starts refuses everybody until it has read who may what: soon
		// at first, then as one that waits for a person.
		return jitter(min(forbiddenRetry, f.w.opt.Retry<<min(max(f.failures-1, 0), 8)))
	}
	return f.w.backoff(f.failures, err)
}

// backoff is how long to wait after so many failures in a row, of which err is the last:
// longer each time, and not shorter than the server asks.
func (w *Watcher) backoff(failures int, err error) time.Duration {
	wait := jitter(min(maxRetry, w.opt.Retry<<min(max(failures-1, 0), 10)))
	var st *StatusError
	if errors.As(err, &st) {
		wait = max(wait, st.RetryAfter)
	}
	return wait
}

// jitter spreads a wait over half to one and a half of it, so that not all come at once.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d+1) }

// notServed notes that the server has no such resource.
func (f *follower) notServed() {
	defer f.w.noted()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cov = Coverage{Resource: f.want.name(), Kind: f.want.kind, State: NotServed, Breaks: f.cov.Breaks, Failures: f.cov.Failures}
	if !f.want.optional {
		f.cov.Reason = "this API server does not serve " + f.want.name()
	}
	f.synced = false
	clear(f.held)
	f.settle()
}

// unknown notes that discovery could not tell whether the resource is served.
func (f *follower) unknown(err error) {
	defer f.w.noted()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cov.Failures++
	f.cov.Reason, f.cov.Remedy = explain(err, f.want)
	f.settle()
}

// settle notes, with mu held, that there is an outcome.
func (f *follower) settle() {
	if !f.settled {
		f.settled = true
		f.w.pending.Done()
	}
}

// coverage is what is to be said of the resource now.
func (f *follower) coverage(now time.Time) Coverage {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.cov
	c.Count = len(f.held)
	switch {
	case c.State == NotServed:
	case !f.synced && c.Reason != "":
		c.State = NotAssessed
	case !f.synced:
		c.State = Starting
	case f.once:
		c.State = Read
	case f.refused || c.Down != 0 && now.UnixNano()-c.Down > int64(staleAfter):
		c.State = Stale
		if c.Reason == "" {
			c.Reason = "the watch ended and is not running again yet"
		}
	default:
		c.State, c.Reason, c.Remedy = Watched, "", ""
	}
	if c.State != Watched {
		c.Since = 0
	}
	return c
}
