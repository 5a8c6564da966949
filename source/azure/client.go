package azure

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/dockreeve/dockreeve/internal/clock"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// Bounds of what is taken from the network.
const (
	maxBody  = 64 << 20 // bytes of one answer
	maxPages = 10_000   // of one read
	maxTries = 5        // of one request that fails on its way or at the server
)

// fault says why a request did not give what was asked.
type fault struct {
	outcome string // one of cloud's outcomes
	reason  string
	status  int
	cut     []byte // what came of an answer that broke off
}

// lane is what is throttled together: one provider in one subscription, Resource Graph, the
// price list. Cost Management has a lane for each subscription and one for all of them.
type lane struct {
	until time.Time // nothing is asked before
	since time.Time // since when it has been told to wait; zero = it is not
	told  int       // times it was told to wait without being told how long
}

// client asks Azure, and waits when told to. Safe for concurrent use.
type client struct {
	http     *http.Client
	cred     azcore.TokenCredential
	endpoint *url.URL
	prices   *url.URL
	clock    clock.Clock
	patience time.Duration
	waiting  func(lane string, until time.Time)

	mu    sync.Mutex
	lanes map[string]*lane
}

// wait returns once the lanes of a request may be used. A lane that has been told to wait
// for longer than the patience, without one answer in between, is given up until its time
// has come.
func (c *client) wait(ctx context.Context, a ask) *fault {
	for {
		c.mu.Lock()
		name, l := a.lane, c.lane(a.lane)
		if a.wide != "" && c.lane(a.wide).until.After(l.until) {
			name, l = a.wide, c.lane(a.wide)
		}
		now := c.clock.Now()
		if !l.until.After(now) {
			c.mu.Unlock()
			return nil
		}
		until, spent := l.until, l.until.Sub(l.since)
		c.mu.Unlock()
		if spent > c.patience {
			return &fault{outcome: cloud.ReadThrottled, reason: fmt.Sprintf("Azure asks to wait until %s: longer than the %s this collection waits", until.UTC().Format(time.TimeOnly), c.patience)}
		}
		c.waiting(name, until)
		ring, stop := c.clock.After(until.Sub(now))
		select {
		case <-ring:
		case <-ctx.Done():
			stop()
			return &fault{outcome: cloud.ReadFailed, reason: "interrupted"}
		}
	}
}

// lane finds a lane; callers hold the lock.
func (c *client) lane(name string) *lane {
	l := c.lanes[name]
	if l == nil {
		l = &lane{}
		c.lanes[name] = l
	}
	return l
}

// block holds a lane for d; 0 = Azure did not say how long.
func (c *client) block(name string, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, now := c.lane(name), c.clock.Now()
	if l.since.IsZero() {
		l.since = now
	}
	if d <= 0 {
		d = time.Second << min(l.told, 6)
		l.told++
	}
	if until := now.Add(d); until.After(l.until) {
		l.until = until
	}
}

// served notes an answer, and what its headers say of the next.
func (c *client) served(a ask, h http.Header) {
	c.mu.Lock()
	for _, name := range []string{a.lane, a.wide} {
		if l := c.lanes[name]; l != nil && !l.until.After(c.clock.Now()) {
			l.since, l.told = time.Time{}, 0
		}
	}
	c.mu.Unlock()
	name := a.lane
	if h.Get("x-ms-user-quota-remaining") == "0" {
		d, ok := parseClock(h.Get("x-ms-user-quota-resets-after"))
		if !ok || d > 3600 {
			d = 5
		}
		c.block(name, time.Duration(d)*time.Second)
	}
	for k := range h {
		if strings.HasPrefix(k, "X-Ms-Ratelimit-Remaining-") && h.Get(k) == "0" {
			c.block(name, time.Second) // the bucket fills by the second
			return
		}
	}
}

// waitTold reads how long an answer asks to wait, by any of the headers that say it; 0 =
// it does not say.
func waitTold(h http.Header, now time.Time) time.Duration {
	longest := time.Duration(0)
	for k := range h {
		if k != "Retry-After" && !(strings.HasPrefix(k, "X-Ms-Ratelimit-") && strings.HasSuffix(k, "-Retry-After")) {
			continue
		}
		v := strings.TrimSpace(h.Get(k))
		if n, err := strconv.ParseInt(v, 10, 32); err == nil && n >= 0 {
			longest = max(longest, time.Duration(n)*time.Second)
		} else if at, err := http.ParseTime(v); err == nil {
			longest = max(longest, at.Sub(now))
		}
	}
	if d, ok := parseClock(h.Get("x-ms-user-quota-resets-after")); ok && d < 1<<31 {
		longest = max(longest, time.Duration(d)*time.Second)
	}
	return longest
}

// widely says whether an answer asks everybody of this tenant or program to wait.
func widely(h http.Header) bool {
	for k := range h {
		for _, who := range []string{"-Tenant-Retry-After", "-Client-Retry-After", "-Clienttype-Retry-After"} {
			if strings.HasSuffix(k, who) {
				return true
			}
		}
	}
	return false
}

// ask is one request. Only GET, and POST of a query, are ever sent.
type ask struct {
	lane string
	wide string // a lane of many that it is in too
	url  string // absolute, on the endpoint's host
	body []byte // a query; nil = GET
	open bool   // no token: the price list
}

// do sends a request until it is answered, refused or given up.
func (c *client) do(ctx context.Context, a ask) ([]byte, *fault) {
	failed, denied := 0, false
	for {
		if f := c.wait(ctx, a); f != nil {
			return nil, f
		}
		body, header, status, err := c.once(ctx, a)
		now := c.clock.Now()
		if ctx.Err() != nil {
			return nil, &fault{outcome: cloud.ReadFailed, reason: "interrupted"}
		}
		switch {
		case errors.Is(err, errToken):
			return nil, &fault{outcome: cloud.ReadDenied, reason: clean(err.Error())}
		case errors.Is(err, errLarge):
			return nil, &fault{outcome: cloud.ReadFailed, reason: err.Error()}
		case err == nil && status < 300:
			c.served(a, header)
			return body, nil
		case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable && header.Get("Retry-After") != "":
			d := waitTold(header, now)
			if c.block(a.lane, d); a.wide != "" && widely(header) {
				c.block(a.wide, d)
			}
			continue
		case err == nil && status == http.StatusUnauthorized && !denied:
			denied = true // the token may have run out on the way
			continue
		case err != nil || status >= 500 || status == http.StatusRequestTimeout:
			if failed++; failed < maxTries {
				if f := c.pause(ctx, time.Second<<(failed-1)); f != nil {
					return nil, f
				}
				continue
			}
		}
		if err != nil {
			f := &fault{outcome: cloud.ReadFailed, reason: clean(err.Error()), status: status}
			if status == http.StatusOK {
				f.cut, f.reason = body, "the answer broke off"
			}
			return nil, f
		}
		c.served(a, header)
		return nil, refusal(status, body)
	}
}

// pause waits without holding the lane.
func (c *client) pause(ctx context.Context, d time.Duration) *fault {
	ring, stop := c.clock.After(d)
	select {
	case <-ring:
		return nil
	case <-ctx.Done():
		stop()
		return &fault{outcome: cloud.ReadFailed, reason: "interrupted"}
	}
}

var (
	errToken = errors.New("signing in to Azure")
	errLarge = fmt.Errorf("answer of more than %d MiB", maxBody>>20)
)

// token gives a token for the endpoint; the credential keeps it while it holds.
func (c *client) token(ctx context.Context) (string, error) {
	t, err := c.cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{c.endpoint.Scheme + "://" + c.endpoint.Host + "/.default"}})
	if err != nil {
		return "", fmt.Errorf("%w: %w", errToken, err)
	}
	return t.Token, nil
}

func (c *client) once(ctx context.Context, a ask) ([]byte, http.Header, int, error) {
	method, in := http.MethodGet, io.Reader(http.NoBody)
	if a.body != nil {
		method, in = http.MethodPost, bytes.NewReader(a.body)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.url, in)
	if err != nil {
		return nil, nil, 0, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "dockreeve")
	if a.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if !a.open {
		token, err := c.token(ctx)
		if err != nil {
			return nil, nil, 0, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if len(body) > maxBody {
		err = errLarge
	}
	return body, resp.Header, resp.StatusCode, err
}

// refusal reads an error of ARM.
func refusal(status int, body []byte) *fault {
	var e struct {
		Error struct{ Code, Message string }
		Code  string
		Text  string `json:"message"`
	}
	_ = json.Unmarshal(body, &e) // what is no ARM error is told by its status
	code, text := e.Error.Code, e.Error.Message
	if code == "" {
		code, text = e.Code, e.Text
	}
	reason := "HTTP " + strconv.Itoa(status)
	if code != "" {
		reason = clean(code + ": " + text)
	}
	f := &fault{outcome: cloud.ReadFailed, reason: reason, status: status}
	low := strings.ToLower(strings.ReplaceAll(code, " ", ""))
	switch {
	case strings.Contains(low, "notregistered") || strings.Contains(low, "missingsubscriptionregistration") || low == "noregisteredproviderfound":
		f.outcome = cloud.ReadAbsent
	case status == http.StatusUnauthorized || status == http.StatusForbidden || low == "authorizationfailed":
		f.outcome = cloud.ReadDenied
	case status == http.StatusNotFound && low != "subscriptionnotfound":
		f.outcome = cloud.ReadAbsent
	}
	return f
}

// clean makes a text of others fit for one line.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	return clip(strings.Join(strings.Fields(s), " "), maxReason)
}

// follow checks where a next page is: only on the host that was asked.
func follow(from, next string) (string, error) {
	base, err := url.Parse(from)
	if err != nil {
		return "", err
	}
	to, err := base.Parse(next)
	if err != nil {
		return "", errors.New("the next page has no address")
	}
	if to.Scheme != base.Scheme || to.Host != base.Host || to.User != nil {
		return "", fmt.Errorf("the next page is at another host (%s): not followed", clip(to.Host, 100))
	}
	return to.String(), nil
}

// page is one answer of a list, however its service writes it.
type page struct {
	items []json.RawMessage
	next  string // address of the next page
	skip  string // Resource Graph: token of the next page
	cut   bool   // the answer broke off; items holds what stood before
}

func readPage(raw []byte) (page, error) {
	var p struct {
		Value      []json.RawMessage `json:"value"`
		Data       []json.RawMessage `json:"data"`
		Items      []json.RawMessage `json:"Items"`
		NextLink   string            `json:"nextLink"`
		OData      string            `json:"@odata.nextLink"`
		NextPage   string            `json:"NextPageLink"`
		SkipToken  string            `json:"$skipToken"`
		Properties json.RawMessage   `json:"properties"`
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return salvage(raw)
	}
	out := page{items: append(append(p.Value, p.Data...), p.Items...), next: p.NextLink, skip: p.SkipToken}
	for _, n := range []string{p.OData, p.NextPage} {
		if out.next == "" {
			out.next = n
		}
	}
	return out, nil
}

// salvage takes the whole elements of a page that broke off.
func salvage(raw []byte) (page, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	for depth := 0; ; {
		t, err := dec.Token()
		if err != nil {
			return page{cut: true}, errors.New("the answer is no JSON")
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		case "value", "data", "Items":
			if depth == 1 && dec.More() {
				items, _, err := array(dec)
				return page{items: items, cut: true}, err
			}
		}
	}
}
