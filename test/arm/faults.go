package arm

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/demo/tenant"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// Fault is something that goes wrong with the calls that it suits. Exactly one of Status,
// Cut and OtherHost says what; the answer is ARM's own for it.
type Fault struct {
	Path  string        // what a path must contain, in any case; "" = every path
	Skip  int           // calls that still go well
	Times int           // calls that go wrong; 0 = all (or while For lasts)
	For   time.Duration // from the first call on, by Options.Clock; 0 = for ever

	Status     int           // 403, 429, 500, 503, 409 (the provider is not registered), 404…
	Code       string        // "" = ARM's own for the status
	RetryAfter time.Duration // told with 429 and 503; with For, what is left of it
	Headers    map[string]string
	Cut        bool // the connection breaks in the middle of the answer
	OtherHost  bool // the next page is said to be at another host
}

// faultState counts what a Fault has seen.
type faultState struct {
	seen  int
	since time.Time
}

// WorldFaults are the faults that a world tells of itself, so that what a collection gets
// is what World.Records gives: 403 for denied subscriptions, 429 for the throttled one's
// policy states, half a page of assessments, Microsoft.Security not registered.
func WorldFaults(w *tenant.World) []Fault {
	var out []Fault
	for _, sub := range w.Subscriptions() {
		of := func(what string) string { return w.Outcome(tenant.Ask{What: what, Scope: sub}).Outcome }
		if of(cloud.ReadClusters) == cloud.ReadDenied {
			out = append(out, Fault{Path: sub + "/", Status: http.StatusForbidden})
			continue
		}
		if of(cloud.ReadStates) == cloud.ReadThrottled {
			out = append(out, Fault{Path: sub + "/providers/microsoft.policyinsights/", Status: http.StatusTooManyRequests, RetryAfter: 2 * time.Hour})
		}
		if of(cloud.ReadAssessments) == cloud.ReadPartial {
			out = append(out, Fault{Path: sub + "/providers/microsoft.security/assessments", Cut: true})
		}
		if of(cloud.ReadPlan) == cloud.ReadAbsent {
			out = append(out, Fault{Path: sub + "/providers/microsoft.security/", Status: http.StatusConflict}, Fault{Path: sub + "/resourcegroups/*/providers/microsoft.security/", Status: http.StatusConflict})
		}
	}
	return out
}

// suits matches a path against Fault.Path, in which * stands for anything.
func (f *Fault) suits(path string) bool {
	rest := path
	for _, part := range strings.Split(strings.ToLower(f.Path), "*") {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return true
}

// holds says whether the fault is not over, and what is left of For. Callers hold the lock.
func (s *Server) holds(i int) (bool, time.Duration) {
	f, st := &s.o.Faults[i], &s.fault[i]
	left := f.RetryAfter
	if f.For > 0 && !st.since.IsZero() {
		left = st.since.Add(f.For).Sub(s.o.Clock())
		if left <= 0 {
			return false, 0
		}
	} else if f.For > 0 {
		left = f.For
	}
	return f.Times == 0 || st.seen < f.Skip+f.Times, left
}

// faultOf gives the fault that holds for a call, and counts it.
func (s *Server) faultOf(c *call) (*Fault, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.o.Faults {
		f, st := &s.o.Faults[i], &s.fault[i]
		if !f.suits(c.path) {
			continue
		}
		ok, left := s.holds(i)
		if !ok {
			continue
		}
		st.seen++
		if st.seen <= f.Skip {
			continue
		}
		if st.since.IsZero() {
			st.since = s.o.Clock()
		}
		return f, left
	}
	return nil, 0
}

// hides says whether Resource Graph leaves the rows of a path out: it tells nothing of
// what cannot be read, and does not say so.
func (s *Server) hides(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.o.Faults {
		f := &s.o.Faults[i]
		if f.Path == "" || f.OtherHost || !f.suits(strings.ToLower(path)) {
			continue
		}
		if ok, _ := s.holds(i); ok {
			return true
		}
	}
	return false
}

// answers gives the fault's answer; false = the call goes on.
func (f *Fault) answers(s *Server, c *call, wait time.Duration) bool {
	for k, v := range f.Headers {
		c.w.Header().Set(k, v)
	}
	if f.Status == 0 {
		return false
	}
	if (f.Status == http.StatusTooManyRequests || f.Status == http.StatusServiceUnavailable) && wait > 0 {
		seconds := strconv.Itoa(int((wait + time.Second - 1) / time.Second))
		c.w.Header().Set("Retry-After", seconds)
		switch {
		case strings.Contains(c.path, "microsoft.costmanagement"):
			c.w.Header().Set("x-ms-ratelimit-microsoft.costmanagement-qpu-retry-after", seconds)
			c.w.Header().Set("x-ms-ratelimit-microsoft.costmanagement-entity-retry-after", seconds)
		case strings.Contains(c.path, "microsoft.resourcegraph"):
			c.w.Header().Set("x-ms-user-quota-remaining", "0")
			c.w.Header().Set("x-ms-user-quota-resets-after", time.Time{}.Add(wait).Format("15:04:05"))
		default:
			c.w.Header().Set("x-ms-ratelimit-remaining-subscription-reads", "0")
		}
	}
	code, text := f.Code, "The request failed."
	sub, _, _ := strings.Cut(strings.TrimPrefix(c.path, "/subscriptions/"), "/")
	provider := ""
	if i := strings.LastIndex(c.path, "/providers/"); i >= 0 {
		provider, _, _ = strings.Cut(c.path[i+len("/providers/"):], "/")
	}
	own := ""
	switch f.Status {
	case http.StatusForbidden:
		own, text = "AuthorizationFailed", "The client 'dockreeve-reader' does not have authorization to perform the action over scope '/subscriptions/"+sub+"' or the scope is invalid."
	case http.StatusTooManyRequests:
		own, text = "TooManyRequests", "Too many requests. Wait before asking again."
		if provider == "microsoft.resourcegraph" {
			own = "RateLimiting"
		}
	case http.StatusConflict:
		own, text = "MissingSubscriptionRegistration", "The subscription is not registered to use namespace '"+provider+"'."
	case http.StatusNotFound:
		own, text = "ResourceNotFound", "The resource was not found."
	case http.StatusServiceUnavailable:
		own, text = "ServiceUnavailable", "The service is not available now."
	default:
		own = "InternalServerError"
	}
	if code == "" {
		code = own
	}
	c.fail(f.Status, code, text)
	return true
}

// spoil wraps an answer that is to be broken.
func (f *Fault) spoil(w http.ResponseWriter) http.ResponseWriter {
	if f.Cut {
		return cut{w}
	}
	if f.OtherHost {
		return elsewhere{w}
	}
	return w
}

// cut sends half of what is written, and breaks the connection.
type cut struct{ http.ResponseWriter }

func (c cut) Write(b []byte) (int, error) {
	_, _ = c.ResponseWriter.Write(b[:len(b)/2])
	if f, ok := c.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
	panic(http.ErrAbortHandler)
}

// elsewhere marks an answer whose next page is to be at another host.
type elsewhere struct{ http.ResponseWriter }

// next gives the address of a next page: the same request with a token to skip.
func (c *call) next(param, token string) string {
	q := c.r.URL.Query()
	q.Set(param, token)
	host := c.here()
	if _, ok := c.w.(elsewhere); ok {
		host = "https://elsewhere.example"
	}
	return host + (&url.URL{Path: c.r.URL.Path, RawQuery: q.Encode()}).String()
}
