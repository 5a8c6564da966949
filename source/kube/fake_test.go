package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/dockreeve/dockreeve/inventory"
)

// fakeAPI is an API server as far as lists, watches and discovery go: versions, pages,
// bookmarks, a history that ends, and every way to fail.
type fakeAPI struct {
	srv *httptest.Server

	mu        sync.Mutex
	cond      *sync.Cond
	version   string
	rv        int
	objects   map[string]map[string]fakeObject // resource → namespace/name
	log       map[string][]fakeChange
	floor     int             // changes up to here are forgotten
	epoch     int             // watches of an older one end
	served    map[string]bool // resources
	forbidden map[string]bool
	groups    string            // further API groups, JSON that begins with a comma
	others    map[string]string // answers by path
	noStream  bool              // streamed lists are refused
	dataOnly  bool              // takes no heed of a request for metadata only
	faults    []string
	asked     []string
}

type fakeObject struct {
	doc string
	rv  int
}

type fakeChange struct {
	kind string
	fakeObject
}

// fakeKinds are the resources that it can serve.
var fakeKinds = map[string]struct{ prefix, apiVersion, kind string }{
	"pods":       {"/api/v1", "v1", "Pod"},
	"services":   {"/api/v1", "v1", "Service"},
	"secrets":    {"/api/v1", "v1", "Secret"},
	"httproutes": {"/apis/gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1", "HTTPRoute"},
	"grpcroutes": {"/apis/gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1", "GRPCRoute"},
}

func newFakeAPI(t testing.TB, resources ...string) *fakeAPI {
	f := &fakeAPI{version: "v1.31.4", rv: 100, objects: map[string]map[string]fakeObject{}, log: map[string][]fakeChange{}, served: map[string]bool{}, forbidden: map[string]bool{}, floor: 100}
	f.cond = sync.NewCond(&f.mu)
	for _, r := range resources {
		f.served[r] = true
	}
	f.srv = httptest.NewServer(f)
	t.Cleanup(f.close)
	return f
}

func (f *fakeAPI) close() {
	f.cut()
	f.srv.CloseClientConnections()
	f.srv.Close()
}

func (f *fakeAPI) with(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	f.cond.Broadcast()
}

// put creates or changes an object; body goes between its braces.
func (f *fakeAPI) put(resource, name, body string) {
	f.with(func() {
		f.rv++
		ns, n, _ := strings.Cut(name, "/")
		k := fakeKinds[resource]
		doc := fmt.Sprintf(`{"kind":%q,"apiVersion":%q,"metadata":{"namespace":%q,"name":%q,"uid":"%s %s","resourceVersion":"%d"}%s}`, k.kind, k.apiVersion, ns, n, k.kind, name, f.rv, body)
		change := "ADDED"
		if f.objects[resource] == nil {
			f.objects[resource] = map[string]fakeObject{}
		} else if _, ok := f.objects[resource][name]; ok {
			change = "MODIFIED"
		}
		o := fakeObject{doc, f.rv}
		f.objects[resource][name] = o
		f.log[resource] = append(f.log[resource], fakeChange{change, o})
	})
}

func (f *fakeAPI) remove(resource, name string) {
	f.with(func() {
		o, ok := f.objects[resource][name]
		if !ok {
			return
		}
		f.rv++
		delete(f.objects[resource], name)
		o.doc = strings.Replace(o.doc, fmt.Sprintf(`"resourceVersion":"%d"`, o.rv), fmt.Sprintf(`"resourceVersion":"%d"`, f.rv), 1)
		o.rv = f.rv
		f.log[resource] = append(f.log[resource], fakeChange{"DELETED", o})
	})
}

// bookmark tells every watch the present version.
func (f *fakeAPI) bookmark() {
	f.with(func() {
		f.rv++
		for r := range f.served {
			k := fakeKinds[r]
			doc := fmt.Sprintf(`{"kind":%q,"apiVersion":%q,"metadata":{"resourceVersion":"%d"}}`, k.kind, k.apiVersion, f.rv)
			f.log[r] = append(f.log[r], fakeChange{"BOOKMARK", fakeObject{doc, f.rv}})
		}
	})
}

// cut ends all watches; compact forgets the changes so far.
func (f *fakeAPI) cut()     { f.with(func() { f.epoch++ }) }
func (f *fakeAPI) compact() { f.with(func() { f.rv++; f.floor = f.rv; clear(f.log) }) }

// restart ends every connection and forgets.
func (f *fakeAPI) restart() {
	f.compact()
	f.cut()
	f.srv.CloseClientConnections()
}

// fault makes one of the next requests fail.
func (f *fakeAPI) fault(kinds ...string) { f.with(func() { f.faults = append(f.faults, kinds...) }) }

func (f *fakeAPI) take(kinds ...string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, k := range f.faults {
		if slices.Contains(kinds, k) {
			f.faults = slices.Delete(f.faults, i, i+1)
			return k
		}
	}
	return ""
}

func apiStatus(code int, reason, message string) string {
	return fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","message":%q,"reason":%q,"code":%d}`, message, reason, code)
}

func refuse(rw http.ResponseWriter, code int, reason, message string) {
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(code)
	fmt.Fprint(rw, apiStatus(code, reason, message))
}

func (f *fakeAPI) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	f.with(func() { f.asked = append(f.asked, r.URL.Path+" "+r.Header.Get("Accept")) })
	switch r.URL.Path {
	case "/version":
		fmt.Fprintf(rw, `{"gitVersion":%q}`, f.version)
		return
	case "/apis":
		fmt.Fprintf(rw, `{"groups":[{"name":"gateway.networking.k8s.io","versions":[{"version":"v1"}],"preferredVersion":{"version":"v1"}}%s]}`, f.groups)
		return
	}
	if answer := f.others[r.URL.Path]; answer != "" {
		fmt.Fprint(rw, answer)
		return
	}
	for resource, k := range fakeKinds {
		switch r.URL.Path {
		case k.prefix:
			f.resources(rw, k.prefix)
			return
		case k.prefix + "/" + resource:
			f.serve(rw, r, resource)
			return
		}
	}
	refuse(rw, 404, "NotFound", "no such path")
}

func (f *fakeAPI) resources(rw http.ResponseWriter, prefix string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for r := range f.served {
		if fakeKinds[r].prefix == prefix {
			names = append(names, fmt.Sprintf(`{"name":%q,"namespaced":true}`, r))
		}
	}
	fmt.Fprintf(rw, `{"resources":[%s]}`, strings.Join(names, ","))
}

func (f *fakeAPI) serve(rw http.ResponseWriter, r *http.Request, resource string) {
	f.mu.Lock()
	served, forbidden := f.served[resource], f.forbidden[resource]
	f.mu.Unlock()
	if !served {
		refuse(rw, 404, "NotFound", "the server could not find the requested resource")
		return
	}
	if forbidden {
		refuse(rw, 403, "Forbidden", resource+` is forbidden: User "agent" cannot list resource`)
		return
	}
	switch f.take("429", "500", "down", "html") {
	case "429":
		refuse(rw, 429, "TooManyRequests", "too many requests, please try again later")
		return
	case "500":
		refuse(rw, 500, "InternalError", "etcdserver: leader changed")
		return
	case "down":
		panic(http.ErrAbortHandler)
	case "html":
		fmt.Fprint(rw, "<html>a proxy that means well</html>")
		return
	}
	if r.URL.Query().Get("watch") == "1" {
		f.watch(rw, r, resource)
	} else {
		f.list(rw, r, resource)
	}
}

// list serves a page; the continue token is version/offset over the names in order.
func (f *fakeAPI) list(rw http.ResponseWriter, r *http.Request, resource string) {
	q := r.URL.Query()
	fault := f.take("cut-list", "expired-page")
	f.mu.Lock()
	names := []string{}
	for n := range f.objects[resource] {
		names = append(names, n)
	}
	slices.Sort(names)
	version, from := f.rv, 0
	if token := q.Get("continue"); token != "" {
		fmt.Sscanf(token, "%d/%d", &version, &from)
		if version != f.rv || fault == "expired-page" { // keeps no old versions at all
			f.mu.Unlock()
			refuse(rw, 410, "Expired", "The provided continue parameter is too old")
			return
		}
	}
	limit, _ := strconv.Atoi(q.Get("limit"))
	next := ""
	names = names[min(from, len(names)):]
	if limit > 0 && len(names) > limit {
		names = names[:limit]
		next = fmt.Sprintf("%d/%d", version, from+limit)
	}
	var b strings.Builder
	k := fakeKinds[resource]
	fmt.Fprintf(&b, `{"kind":"%sList","apiVersion":%q,"metadata":{"resourceVersion":"%d","continue":%q},"items":[`, k.kind, k.apiVersion, version, next)
	for i, n := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		// As the real one: items of a typed list do not repeat their kind.
		b.WriteString("{" + f.objects[resource][n].doc[strings.Index(f.objects[resource][n].doc, `"metadata"`):])
	}
	b.WriteString("]}")
	f.mu.Unlock()
	out := b.String()
	if fault == "cut-list" {
		rw.Write([]byte(out[:len(out)*2/3]))
		rw.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	fmt.Fprint(rw, out)
}

func (f *fakeAPI) watch(rw http.ResponseWriter, r *http.Request, resource string) {
	q := r.URL.Query()
	flush := rw.(http.Flusher)
	send := func(kind, doc string) {
		fmt.Fprintf(rw, `{"type":%q,"object":%s}`+"\n", kind, doc)
		flush.Flush()
	}
	f.mu.Lock()
	epoch := f.epoch
	f.mu.Unlock()
	at := 0
	if q.Get("sendInitialEvents") == "true" {
		f.mu.Lock()
		refused := f.noStream
		docs := []string{}
		for _, o := range f.objects[resource] {
			docs = append(docs, o.doc)
		}
		at = f.rv
		f.mu.Unlock()
		if refused {
			refuse(rw, 422, "Invalid", "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled")
			return
		}
		rw.WriteHeader(200)
		for i, d := range docs {
			if i == 1 && f.take("cut-stream") != "" {
				fmt.Fprint(rw, `{"type":"ADDED","obj`)
				flush.Flush()
				panic(http.ErrAbortHandler)
			}
			send("ADDED", d)
		}
		send("BOOKMARK", fmt.Sprintf(`{"metadata":{"resourceVersion":"%d","annotations":{"k8s.io/initial-events-end":"true"}}}`, at))
	} else {
		var err error
		if at, err = strconv.Atoi(q.Get("resourceVersion")); err != nil {
			refuse(rw, 400, "BadRequest", "invalid resourceVersion")
			return
		}
		f.mu.Lock()
		old := at < f.floor
		f.mu.Unlock()
		if old && at%2 == 0 { // a real one answers in either of two ways
			refuse(rw, 410, "Expired", "too old resource version")
			return
		}
		rw.WriteHeader(200)
		if old {
			send("ERROR", apiStatus(410, "Expired", "too old resource version"))
			return
		}
	}
	flush.Flush()
	stop := context.AfterFunc(r.Context(), f.cond.Broadcast)
	defer stop()
	for {
		var next *fakeChange
		f.mu.Lock()
		for next == nil && f.epoch == epoch && r.Context().Err() == nil {
			if at < f.floor {
				f.mu.Unlock()
				send("ERROR", apiStatus(410, "Expired", "too old resource version"))
				return
			}
			for i := range f.log[resource] {
				if c := f.log[resource][i]; c.rv > at {
					next = &c
					break
				}
			}
			if next == nil {
				f.cond.Wait()
			}
		}
		f.mu.Unlock()
		if next == nil {
			return
		}
		switch f.take("cut-watch", "end-watch", "error-event") {
		case "cut-watch":
			fmt.Fprintf(rw, `{"type":"%s","object":%s`, next.kind, next.doc[:len(next.doc)/2])
			flush.Flush()
			panic(http.ErrAbortHandler)
		case "end-watch":
			return
		case "error-event":
			send("ERROR", apiStatus(500, "InternalError", "unable to decode watch event"))
			return
		}
		send(next.kind, next.doc)
		at = next.rv
	}
}

// names returns what the server has of a resource and can be understood, with versions.
func (f *fakeAPI) names(resources ...string) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[string]string{}
	for _, r := range resources {
		for n, o := range f.objects[r] {
			if !strings.Contains(o.doc, bad) {
				all[fakeKinds[r].kind+" "+n] = strconv.Itoa(o.rv)
			}
		}
	}
	return all
}

// bad makes an object one that is not what it is served as.
const bad = `,"kind":"Gadget"`

// record is a sink that remembers.
type record struct {
	mu   sync.Mutex
	cond *sync.Cond
	has  map[string]string // API kind namespace/name → version
}

func newRecord() *record {
	r := &record{has: map[string]string{}}
	r.cond = sync.NewCond(&r.mu)
	return r
}

func apiKindOf(o *inventory.Object) string {
	if o.APIKind != "" {
		return o.APIKind
	}
	return string(o.Kind)
}

func (r *record) with(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
	r.cond.Broadcast()
}

func (r *record) Put(o *inventory.Object) {
	r.with(func() { r.has[apiKindOf(o)+" "+path(o.Namespace, o.Name)] = o.Version })
}

// Delete finds the object by its uid, which of the fake is what it is remembered by.
func (r *record) Delete(_ inventory.Key, uid string) { r.with(func() { delete(r.has, uid) }) }

func (r *record) Replace(kind inventory.Kind, apiKind string, all []*inventory.Object) {
	if apiKind == "" {
		apiKind = string(kind)
	}
	r.with(func() {
		for k := range r.has {
			if strings.HasPrefix(k, apiKind+" ") {
				delete(r.has, k)
			}
		}
		for _, o := range all {
			r.has[apiKindOf(o)+" "+path(o.Namespace, o.Name)] = o.Version
		}
	})
}

// wait returns once ok holds of what was recorded; false when a minute did not suffice.
func (r *record) wait(ok func(map[string]string) bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer context.AfterFunc(ctx, r.cond.Broadcast)()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !ok(r.has) {
		if ctx.Err() != nil {
			return false
		}
		r.cond.Wait()
	}
	return true
}

// open makes a watcher of the fake that does not wait long, and what waits until its
// coverage is as it should be.
func (f *fakeAPI) open(t testing.TB, opt Options) (*Watcher, func(func(map[string]Coverage) bool)) {
	opt.Config = &rest.Config{Host: f.srv.URL}
	if opt.Retry == 0 {
		opt.Retry = time.Millisecond
	}
	w, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	w.page = 3
	notes := make(chan struct{}, 1)
	w.noted = func() {
		select {
		case notes <- struct{}{}:
		default:
		}
	}
	return w, func(ok func(map[string]Coverage) bool) {
		t.Helper()
		late := time.After(time.Minute)
		for {
			by := map[string]Coverage{}
			for _, c := range w.Coverage() {
				by[c.Resource] = c
			}
			if ok(by) {
				return
			}
			select {
			case <-notes:
			case <-late:
				doc, _ := json.MarshalIndent(by, "", " ")
				t.Fatalf("the coverage did not become what it should within a minute:\n%s", doc)
			}
		}
	}
}

// start runs a watcher until the test ends.
func start(t testing.TB, w *Watcher, sink Sink) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		w.Run(ctx, sink)
		close(done)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}
