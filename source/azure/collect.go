package azure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/dockreeve/dockreeve/internal/clock"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// DefaultEndpoint and DefaultPrices are the addresses of Azure's public cloud.
const (
	DefaultEndpoint = "https://management.azure.com"
	DefaultPrices   = "https://prices.azure.com"
)

// Options say what to collect and how. Sink and Credential must be set.
type Options struct {
	Credential azcore.TokenCredential
	// Sink takes each record; it is never called twice at once. Its error ends the collection.
	Sink           func(Record) error
	Endpoint       string        // of ARM; "" = DefaultEndpoint. Plain HTTP only to this machine
	PricesEndpoint string        // of the retail prices; "" = DefaultPrices
	Subscriptions  []string      // ids (guids) to limit it to; none = all that can be seen
	Skip           []string      // cloud's Read… words that are not asked for
	ActivityDays   int           // of the Activity Log, up to 89; 0 = 7
	CostDays       int           // of daily cost, up to 365; 0 = 60
	Currency       string        // of the retail prices; "" = USD
	Concurrency    int           // requests at once, up to 64; 0 = 8
	Patience       time.Duration // how long Azure may make one lane wait without one answer; 0 = 10 minutes
	Client         *http.Client  // nil = one with a timeout of 2 minutes
	Clock          clock.Clock   // nil = the real one
	// Progress is told after each read and at each wait; never twice at once.
	Progress func(Progress)
	// Previous gives the records of an earlier collection that was cut short (ReadFile); it
	// is called twice. Reads that ended there are taken over and not asked again.
	Previous func(each func(Record) error) error
}

// Progress is how far a collection is. Total grows while it finds out what there is.
type Progress struct {
	Done, Total int
	Read        cloud.Read // the one that ended; What "" = none did
	Waiting     time.Time  // until when a lane waits; zero = none began to
	Lane        string     // which
}

type collector struct {
	o    Options
	c    *client
	base string
	skip map[string]bool

	stop context.CancelCauseFunc
	mu   sync.Mutex // Sink, Progress and everything below
	done map[readKey]bool
	read map[readKey]string // outcomes
	all  int
	ends int
	facts
}

// Collect reads a tenant, and gives each document and the outcome of each read to
// o.Sink. A read that is refused, throttled for too long or broken does not end the others;
// only an error of the sink, of the options, of signing in, or the end of ctx does.
func Collect(ctx context.Context, o Options) error {
	k, err := newCollector(o)
	if err != nil {
		return err
	}
	ctx, k.stop = context.WithCancelCause(ctx)
	defer k.stop(nil)
	if err := k.takeOver(); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{k.hierarchy, k.byGraph, k.bySubscription, k.details, k.rest} {
		if err := step(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

func newCollector(o Options) (*collector, error) {
	if o.Sink == nil || o.Credential == nil {
		return nil, errors.New("collecting from Azure: no sink or no credential")
	}
	if o.Endpoint == "" {
		o.Endpoint = DefaultEndpoint
	}
	if o.PricesEndpoint == "" {
		o.PricesEndpoint = DefaultPrices
	}
	endpoint, err := checkEndpoint(o.Endpoint)
	if err != nil {
		return nil, err
	}
	prices, err := checkEndpoint(o.PricesEndpoint)
	if err != nil {
		return nil, err
	}
	for _, n := range []struct {
		name     string
		v        *int
		def, top int
	}{{"ActivityDays", &o.ActivityDays, 7, 89}, {"CostDays", &o.CostDays, 60, 365}, {"Concurrency", &o.Concurrency, 8, 64}} {
		if *n.v == 0 {
			*n.v = n.def
		}
		if *n.v < 1 || *n.v > n.top {
			return nil, fmt.Errorf("collecting from Azure: %s %d: want 1 to %d", n.name, *n.v, n.top)
		}
	}
	if o.Patience == 0 {
		o.Patience = 10 * time.Minute
	}
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	if o.Currency == "" {
		o.Currency = "USD"
	}
	if len(o.Currency) != 3 || strings.Trim(o.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return nil, fmt.Errorf("currency %q: want three capital letters, such as EUR", o.Currency)
	}
	for i, s := range o.Subscriptions {
		if !isGUID(s) {
			return nil, fmt.Errorf("subscription %q: want its id, such as 00000000-0000-0000-0000-000000000000", s)
		}
		o.Subscriptions[i] = strings.ToLower(s)
	}
	k := &collector{o: o, base: strings.TrimRight(endpoint.String(), "/"), skip: map[string]bool{}, done: map[readKey]bool{}, read: map[readKey]string{}, facts: newFacts()}
	for _, s := range o.Skip {
		if reductions()[s] == nil {
			return nil, fmt.Errorf("no read is called %q", s)
		}
		k.skip[s] = true
	}
	web := http.Client{Timeout: 2 * time.Minute}
	if o.Client != nil {
		web = *o.Client
	}
	web.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(via) > 3 || req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme {
			return errors.New("a redirect to another host: not followed")
		}
		return nil
	}
	k.c = &client{http: &web, cred: o.Credential, endpoint: endpoint, prices: prices, clock: o.Clock, patience: o.Patience, lanes: map[string]*lane{}, waiting: k.waits}
	return k, nil
}

// checkEndpoint takes an address that a token may be sent to.
func checkEndpoint(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("endpoint %q: want https://host", s)
	}
	ip := net.ParseIP(u.Hostname())
	here := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && !(u.Scheme == "http" && here) {
		return nil, fmt.Errorf("endpoint %q: want https: a token is sent there", s)
	}
	u.Path = ""
	return u, nil
}

func (k *collector) waits(lane string, until time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.o.Progress != nil {
		k.o.Progress(Progress{Done: k.ends, Total: k.all, Waiting: until, Lane: lane})
	}
}

// takeOver gives on what an earlier collection read to its end.
func (k *collector) takeOver() error {
	if k.o.Previous == nil {
		return nil
	}
	err := k.o.Previous(func(r Record) error {
		if r.Read != nil && (r.Read.Outcome == cloud.ReadOK || r.Read.Outcome == cloud.ReadAbsent) && reductions()[r.What] != nil {
			k.done[readKey{r.What, armID(r.Scope)}] = true
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("taking over what was collected before: %w", err)
	}
	err = k.o.Previous(func(r Record) error {
		key := readKey{r.What, armID(r.Scope)}
		if !k.done[key] {
			return nil
		}
		if r.Read != nil {
			k.read[key] = r.Read.Outcome
			return k.o.Sink(r)
		}
		k.learn(r.What, key.scope, r.Doc)
		return k.o.Sink(r)
	})
	if err != nil {
		return fmt.Errorf("taking over what was collected before: %w", err)
	}
	return nil
}

// emit gives one document on.
func (k *collector) emit(what, scope string, doc json.RawMessage) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.learn(what, scope, doc)
	if err := k.o.Sink(Record{What: what, Scope: scope, Doc: doc}); err != nil {
		k.stop(err)
	}
}

// end tells how a read came out.
func (k *collector) end(ctx context.Context, what, scope string, rows int, f *fault) {
	if ctx.Err() != nil {
		return // interrupted: it did not end
	}
	r := cloud.Read{What: what, Scope: scope, At: k.o.Clock.Now().UnixNano(), Outcome: cloud.ReadOK, Rows: rows}
	if f != nil {
		r.Outcome, r.Reason, r.Remedy = f.outcome, f.reason, remedy(what, scope, f.outcome)
		if rows > 0 && f.outcome != cloud.ReadOK {
			r.Outcome = cloud.ReadPartial
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ends++
	k.read[readKey{what, scope}] = r.Outcome
	if err := k.o.Sink(Record{What: what, Scope: scope, Read: &r}); err != nil {
		k.stop(err)
		return
	}
	if k.o.Progress != nil {
		k.o.Progress(Progress{Done: k.ends, Total: max(k.all, k.ends), Read: r})
	}
}

func remedy(what, scope, outcome string) string {
	if scope == "" {
		scope = "the root management group"
	}
	switch outcome {
	case cloud.ReadDenied:
		return "grant " + strings.Join(Rights()[what], " and ") + " on " + scope + " (dockreeve azure export-role writes a role with all that is read)"
	case cloud.ReadThrottled, cloud.ReadFailed, cloud.ReadPartial:
		return "collect again later; what was read to its end can be taken over"
	}
	return ""
}

// job is one read.
type job struct {
	what, scope string
	run         func(context.Context) (int, *fault)
}

// do runs jobs, n at once, but for those that were done before or are not asked for.
func (k *collector) do(ctx context.Context, n int, jobs []job) {
	k.mu.Lock()
	jobs = slices.DeleteFunc(jobs, func(j job) bool { return k.done[readKey{j.what, j.scope}] })
	k.all += len(jobs)
	k.mu.Unlock()
	next := make(chan job)
	var wg sync.WaitGroup
	for range min(n, len(jobs)) {
		wg.Go(func() {
			for j := range next {
				if k.skip[j.what] {
					k.end(ctx, j.what, j.scope, 0, &fault{outcome: cloud.ReadSkipped, reason: "not asked for"})
					continue
				}
				rows, f := j.run(ctx)
				k.end(ctx, j.what, j.scope, rows, f)
			}
		})
	}
feed:
	for _, j := range jobs {
		select {
		case next <- j:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	wg.Wait()
}

// list reads all pages of a list and gives each document on, as take makes it (nil = as it
// is; a document it gives back as nil is left out).
func (k *collector) list(ctx context.Context, what, scope string, a ask, take func(json.RawMessage) json.RawMessage) (int, *fault) {
	rows := 0
	for range maxPages {
		raw, f := k.c.do(ctx, a)
		if f != nil && len(f.cut) == 0 {
			return rows, f
		}
		if f != nil {
			raw = f.cut
		}
		p, err := readPage(raw)
		for _, d := range p.items {
			if take != nil {
				if d = take(d); d == nil {
					continue
				}
			}
			k.emit(what, scope, d)
			rows++
		}
		switch {
		case f != nil || p.cut:
			return rows, &fault{outcome: cloud.ReadPartial, reason: fmt.Sprintf("a page broke off after %d documents", rows)}
		case err != nil:
			return rows, &fault{outcome: cloud.ReadFailed, reason: err.Error()}
		case p.next == "":
			return rows, nil
		}
		next, err := follow(a.url, p.next)
		if err != nil || next == a.url {
			return rows, &fault{outcome: cloud.ReadPartial, reason: cmpErr(err, "the next page is this page")}
		}
		a.url = next
	}
	return rows, &fault{outcome: cloud.ReadPartial, reason: fmt.Sprintf("more than %d pages", maxPages)}
}

func cmpErr(err error, other string) string {
	if err != nil {
		return err.Error()
	}
	return other
}

// one reads a single document.
func (k *collector) one(ctx context.Context, what, scope string, a ask) (int, *fault) {
	raw, f := k.c.do(ctx, a)
	if f != nil {
		f.cut = nil
		return 0, f
	}
	if err := sound(raw); err != nil || !json.Valid(raw) {
		return 0, &fault{outcome: cloud.ReadFailed, reason: "the answer is no JSON object"}
	}
	k.emit(what, scope, raw)
	return 1, nil
}

// hierarchy reads management groups and subscriptions.
func (k *collector) hierarchy(ctx context.Context) error {
	if _, err := k.c.token(ctx); err != nil {
		return fmt.Errorf("%s: run `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and a secret or a federated token", clean(err.Error()))
	}
	k.do(ctx, 1, []job{
		{cloud.ReadGroups, "", k.groups},
		{cloud.ReadSubscriptions, "", func(ctx context.Context) (int, *fault) {
			rows, f := k.list(ctx, cloud.ReadSubscriptions, "", ask{lane: "tenant", url: k.base + subsPath}, nil)
			if f == nil && rows == 0 {
				f = &fault{outcome: cloud.ReadOK, reason: "this identity can see no subscription"}
			}
			return rows, f
		}},
	})
	return nil
}

// groups reads management groups, and what is below the topmost that can be seen.
func (k *collector) groups(ctx context.Context) (int, *fault) {
	type seen struct {
		id   string
		root bool
	}
	var found []seen
	rows, f := k.list(ctx, cloud.ReadGroups, "", ask{lane: "tenant", url: k.base + groupsPath}, func(d json.RawMessage) json.RawMessage {
		if n, err := open(d); err == nil {
			id := n.at("id").id()
			found = append(found, seen{id, id != "" && id == groupPrefix+strings.ToLower(n.prop("tenantId").text())})
		}
		return d
	})
	if f != nil {
		return rows, f
	}
	if i := slices.IndexFunc(found, func(s seen) bool { return s.root }); i >= 0 {
		found = found[i : i+1] // its descendants are everything
	}
	for _, s := range found {
		if !strings.HasPrefix(s.id, groupPrefix) || strings.ContainsAny(s.id[len(groupPrefix):], "/?#%") {
			continue // the Builder counts it
		}
		n, f := k.list(ctx, cloud.ReadGroups, "", ask{lane: "tenant", url: k.base + s.id + "/descendants?api-version=2023-04-01"}, nil)
		if rows += n; f != nil {
			return rows, f
		}
	}
	return rows, nil
}
