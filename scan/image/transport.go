package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
)

// guard lets plain HTTP through only where it was allowed, and chooses whether a
// certificate must be good. It also ends answers that stall.
type guard struct {
	c           *Client
	strict, lax http.RoundTripper
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	rt := g.strict
	insecure := g.c.insecure(req.URL.Host)
	if insecure {
		rt = g.lax
	}
	if req.URL.Scheme != "https" && !insecure && !loopback(req.URL.Host) {
		return nil, fmt.Errorf("%s speaks plain HTTP, in which anyone on the way can read and change what is sent: allow it by naming %s as insecure", req.URL.Host, req.URL.Host)
	}
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", g.c.opt.UserAgent)
	ctx, cancel := context.WithCancelCause(req.Context())
	res, err := rt.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	res.Body = newStalling(res.Body, ctx, cancel, g.c.opt.Timeout, req.URL.Host)
	return res, nil
}

// stalling is a body whose reads must not take longer than the timeout each.
type stalling struct {
	io.ReadCloser
	ctx     context.Context
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	timeout time.Duration
	reading atomic.Bool
}

func newStalling(r io.ReadCloser, ctx context.Context, cancel context.CancelCauseFunc, timeout time.Duration, host string) *stalling {
	s := &stalling{ReadCloser: r, ctx: ctx, cancel: cancel, timeout: timeout}
	s.timer = time.AfterFunc(timeout, func() {
		// Whoever reads slowly is no stall of the registry.
		if s.reading.Load() {
			cancel(fmt.Errorf("%s sent nothing for %s", host, timeout))
		}
	})
	return s
}

func (s *stalling) Read(p []byte) (int, error) {
	s.reading.Store(true)
	s.timer.Reset(s.timeout)
	n, err := s.ReadCloser.Read(p)
	s.reading.Store(false)
	s.timer.Stop()
	if err != nil && err != io.EOF {
		if cause := context.Cause(s.ctx); cause != nil {
			err = cause
		}
	}
	return n, err
}

func (s *stalling) Close() error {
	s.timer.Stop()
	s.cancel(nil)
	return s.ReadCloser.Close()
}

// maxRetryAfter is the longest wait that a registry may ask for.
const maxRetryAfter = 2 * time.Minute

// retrying tries again what may succeed later.
type retrying struct {
	c     *Client
	inner http.RoundTripper
}

func (r *retrying) RoundTrip(req *http.Request) (*http.Response, error) {
	for try := 0; ; try++ {
		if try > 0 && req.Body != nil {
			if req.GetBody == nil {
				return nil, errors.New("a request with a body cannot be repeated")
			}
			body, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			req = req.Clone(req.Context())
			req.Body = body
		}
		res, err := r.inner.RoundTrip(req)
		if try >= r.c.opt.Retries || req.Context().Err() != nil || !again(res, err) {
			return res, err
		}
		pause := backoff(try)
		if res != nil {
			if after, ok := retryAfter(res.Header.Get("Retry-After"), r.c.opt.Now()); ok {
				if after > maxRetryAfter {
					return res, nil // the caller says so; no one waits for hours
				}
				pause = after
			}
			io.CopyN(io.Discard, res.Body, 64<<10)
			res.Body.Close()
		}
		if err := r.c.opt.Wait(req.Context(), pause); err != nil {
			return nil, err
		}
	}
}

// again: a later try may go better.
func again(res *http.Response, err error) bool {
	if err != nil {
		var temporary interface{ Timeout() bool }
		return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &temporary) && temporary.Timeout() || connectionReset(err)
	}
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// backoff is ½, 1, 2, 4… seconds, a quarter of it by chance so that many do not come
// back at once.
func backoff(try int) time.Duration {
	d := 500 * time.Millisecond << min(try, 6)
	return d*3/4 + rand.N(d/2)
}

// retryAfter reads seconds or a date.
func retryAfter(s string, now int64) (time.Duration, bool) {
	if s == "" {
		return 0, false
	}
	if n, err := strconv.Atoi(s); err == nil && n >= 0 && n < 1<<30 {
		return time.Duration(n) * time.Second, true
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(t.Sub(time.Unix(0, now)), 0), true
	}
	return 0, false
}

// maxResumes is how often one layer goes on after its connection broke.
const maxResumes = 5

// blob opens a blob and, when the connection breaks on the way, goes on where it broke.
func (c *Client) blob(ctx context.Context, repo name.Repository, d descriptor) (io.ReadCloser, error) {
	res, err := c.Get(ctx, repo, "blobs/"+d.Digest, "application/octet-stream, */*")
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", short(d.Digest), err)
	}
	return &resuming{c: c, ctx: ctx, repo: repo, d: d, body: res.Body}, nil
}

type resuming struct {
	c     *Client
	ctx   context.Context
	repo  name.Repository
	d     descriptor
	body  io.ReadCloser
	at    int64
	tries int
}

func (r *resuming) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	r.at += int64(n)
	broken := err != nil && err != io.EOF || err == io.EOF && r.at < r.d.Size
	if !broken || n > 0 && err != io.EOF || r.d.Size <= 0 {
		if n > 0 && broken && err != io.EOF {
			err = nil // the next Read meets it again
		}
		return n, err
	}
	if n > 0 {
		return n, nil
	}
	if r.tries >= min(maxResumes, r.c.opt.Retries) || r.ctx.Err() != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, fmt.Errorf("blob %s broke off at byte %d of %d: %w", short(r.d.Digest), r.at, r.d.Size, err)
	}
	r.tries++
	r.body.Close()
	if err := r.c.opt.Wait(r.ctx, backoff(r.tries-1)); err != nil {
		return 0, err
	}
	res, rerr := r.c.Do(r.ctx, http.MethodGet, r.repo, "blobs/"+r.d.Digest, http.Header{"Range": {fmt.Sprintf("bytes=%d-", r.at)}})
	if rerr != nil {
		r.body = io.NopCloser(errReader{rerr})
		return 0, rerr
	}
	r.body = res.Body
	if res.StatusCode == http.StatusOK { // no ranges there: read over what is known
		if _, err := io.CopyN(io.Discard, res.Body, r.at); err != nil {
			return 0, fmt.Errorf("blob %s: %w", short(r.d.Digest), err)
		}
	}
	return 0, nil
}

func (r *resuming) Close() error { return r.body.Close() }

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

// foreign fetches a layer from an address that the image names. No credentials go there.
func (c *Client) foreign(ctx context.Context, d descriptor) (io.ReadCloser, error) {
	var errs []error
	for i, u := range d.URLs {
		if i >= 4 {
			break
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		h := http.Client{Transport: c.base, CheckRedirect: c.redirect("")}
		res, err := h.Do(req)
		if err == nil && res.StatusCode == http.StatusOK {
			return res.Body, nil
		}
		if err == nil {
			err = answer(res)
			res.Body.Close()
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("foreign layer %s: %w", short(d.Digest), errors.Join(errs...))
}
