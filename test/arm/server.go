// Package arm is a local HTTP server that answers as Azure Resource Manager does, over a
// tenant that never was (demo/tenant): its paths, its pages, its errors and its moods.
// Beside management.azure.com it answers for prices.azure.com.
//
//	s := arm.Serve(arm.Options{World: world})
//	defer s.Close()
//	err := azure.Collect(ctx, azure.Options{Endpoint: s.URL, PricesEndpoint: s.URL, Credential: s.Credential(), …})
//
// What goes wrong is written down as Faults; WorldFaults are those that the world itself
// tells of (denied subscriptions and so on), so that a collection and World.Records agree.
// Nothing sleeps: a Fault counts calls, or asks Options.Clock. Calls counts what was asked.
// All methods are safe for concurrent use.
package arm

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/demo/tenant"
)

// Options say what is served and how. World must be set.
type Options struct {
	World     *tenant.World
	PageSize  int              // rows of a page of a list; 0 = 100
	GraphRows int              // rows of a page of Resource Graph, at most 1,000; 0 = 1,000
	MaxGroups int              // groups that a cost query may have; more is a 400. 0 = any number
	Faults    []Fault          // the first that suits a call and is not over holds
	Clock     func() time.Time // for Fault.For and for tokens; nil = World.Now, always
}

// Server answers. It is an http.Handler too, for those who listen themselves.
type Server struct {
	URL string // set by Serve

	o     Options
	http  *httptest.Server
	mu    sync.Mutex
	calls map[string]int
	over  int // calls of paths beyond maxPaths
	fault []faultState
	token string
	serial,
	issued int
	kept  map[string][]json.RawMessage // whole lists of which pages are still to be asked
	order []string
}

// Bounds: paths that are counted each, and lists that are held between pages.
const (
	maxPaths = 200_000
	maxKept  = 32
)

// New makes a Server that does not listen. Links to next pages name the host that was
// asked.
func New(o Options) *Server {
	if o.PageSize < 1 {
		o.PageSize = 100
	}
	if o.GraphRows < 1 || o.GraphRows > 1000 {
		o.GraphRows = 1000
	}
	if o.Clock == nil {
		o.Clock = o.World.Now
	}
	return &Server{o: o, calls: map[string]int{}, fault: make([]faultState, len(o.Faults)), token: "token-0", kept: map[string][]json.RawMessage{}}
}

// Serve makes a Server that listens on this machine until Close.
func Serve(o Options) *Server {
	s := New(o)
	s.http = httptest.NewServer(s)
	s.URL = s.http.URL
	return s
}

// Close ends a Server that Serve made.
func (s *Server) Close() { s.http.Close() }

// Calls gives how often each path was asked: "GET /subscriptions", in lower case and
// without the query.
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]int, len(s.calls))
	for k, n := range s.calls {
		out[k] = n
	}
	return out
}

// Count adds the calls whose method and path contain the words, in any case.
func (s *Server) Count(words string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	words = strings.ToLower(words)
	for k, c := range s.calls {
		if strings.Contains(k, words) {
			n += c
		}
	}
	return n
}

// Total is the number of all calls.
func (s *Server) Total() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		n += c
	}
	return n + s.over
}

// call is one request on its way to an answer.
type call struct {
	w    http.ResponseWriter
	r    *http.Request
	path string // in lower case, without a trailing slash
	body []byte
}

// maxBody bounds what a query may hold.
const maxBody = 1 << 20

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{w: w, r: r, path: strings.ToLower(strings.TrimRight(r.URL.Path, "/"))}
	if c.path == "" {
		c.path = "/"
	}
	key := strings.ToLower(r.Method) + " " + c.path
	s.mu.Lock()
	if _, ok := s.calls[key]; ok || len(s.calls) < maxPaths {
		s.calls[key]++
	} else {
		s.over++
	}
	n := s.calls[key]
	s.mu.Unlock()

	w.Header().Set("x-ms-request-id", fmt.Sprintf("%08x-0000-4000-8000-%012x", len(c.path), n))
	w.Header().Set("Cache-Control", "no-cache")
	open := c.path == "/api/retail/prices"
	if !open && !s.authorized(c) {
		return
	}
	f, wait := s.faultOf(c)
	if f != nil && f.answers(s, c, wait) {
		return
	}
	if !open && !versioned(c) {
		return
	}
	var err error
	if c.body, err = readBody(r); err != nil {
		c.fail(http.StatusBadRequest, "InvalidRequestContent", "The request content could not be read.")
		return
	}
	if f != nil {
		c.w = f.spoil(c.w)
	}
	if !open {
		w.Header().Set("x-ms-ratelimit-remaining-subscription-reads", strconv.Itoa(max(0, 11999-n)))
		w.Header().Set("x-ms-correlation-request-id", w.Header().Get("x-ms-request-id"))
	}
	s.route(c)
}

var apiVersion = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(-preview)?$`)

// versioned holds a call to naming the version it wants.
func versioned(c *call) bool {
	switch v := c.r.URL.Query().Get("api-version"); {
	case v == "":
		c.fail(http.StatusBadRequest, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests.")
	case !apiVersion.MatchString(v):
		c.fail(http.StatusBadRequest, "InvalidApiVersionParameter", "The api-version '"+v+"' is invalid.")
	default:
		return true
	}
	return false
}

// fail answers with ARM's envelope of an error.
func (c *call) fail(status int, code, message string) {
	c.answer(status, map[string]any{"error": map[string]any{"code": code, "message": message, "details": []any{}}})
}

func (c *call) answer(status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":{"code":"InternalServerError","message":"no answer could be written"}}`)
	}
	c.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	c.w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	c.w.WriteHeader(status)
	_, _ = c.w.Write(b) // whoever asked may be gone
}

// here is the scheme and host that was asked.
func (c *call) here() string { return "http://" + c.r.Host }
