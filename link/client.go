package link

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/internal/pki"
)

// How long a Client waits between attempts: twice as long each time, and of that a
// random part, so that a fleet does not come back at once.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 30 * time.Second
)

// ClientOptions say what a Client carries where. URL, TLS and Source are needed.
type ClientOptions struct {
	URL    string      // https://HOST:PORT of what listens
	TLS    *tls.Config // proves who calls, and checks who answers
	Source Source      // what goes up: a Spool, or a Pipe
	// Down is given what comes down, one at a time, in order per kind and key; nil = it
	// is passed over.
	Down func(Down)
	// Before is called before each attempt to connect: where certificates are renewed.
	// Its error is logged; the attempt is made all the same. nil = nothing.
	Before func(context.Context) error
	// BeforeEvery is how often Before is called beside that, so that a stream that lasts
	// does not outlive what is renewed; 0 = 12 h.
	BeforeEvery time.Duration

	Silence time.Duration // after which an end that says nothing is given up; 0 = 30 s
	Pause   time.Duration // longest wait between attempts; 0 = 30 s
	Log     *slog.Logger
}

// Client carries envelopes of a Source to a Listener and messages back, over one
// HTTP/2 request, and connects again for as long as it runs. It holds nothing of its
// own: what is not acknowledged stays with the Source.
type Client struct {
	opt     ClientOptions
	renewal sync.Mutex // one at a time

	mu        sync.Mutex
	connected bool
	since     int64 // of that state
	err       error // why it is not connected
}

// NewClient returns a client that Run starts. A URL that is none is an error.
func NewClient(opt ClientOptions) (*Client, error) {
	u, err := pki.Address(opt.URL)
	if err != nil {
		return nil, err
	}
	if opt.TLS == nil || opt.Source == nil {
		return nil, errors.New("link: client: TLS and a source are needed")
	}
	opt.URL = u
	if opt.Silence <= 0 {
		opt.Silence = defaultSilence
	}
	if opt.Pause <= 0 {
		opt.Pause = lastPause
	}
	if opt.BeforeEvery <= 0 {
		opt.BeforeEvery = 12 * time.Hour
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{opt: opt, since: time.Now().UnixNano(), err: errors.New("not tried yet")}, nil
}

// Connected says whether the other end answers, since when that is so (Unix
// nanoseconds), and if not why.
func (c *Client) Connected() (bool, int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connected, c.since, c.err
}

func (c *Client) state(connected bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case connected && !c.connected:
		c.opt.Log.Info("the link is up", "to", c.opt.URL)
	case !connected && (c.connected || c.err == nil || err.Error() != c.err.Error()):
		c.opt.Log.Warn("the link is down, trying again; what happens meanwhile is kept", "to", c.opt.URL, "error", err)
	}
	if connected != c.connected {
		c.since = time.Now().UnixNano()
	}
	c.connected, c.err = connected, err
}

// Run connects, and connects again, until ctx ends or the source is closed and all of
// it is acknowledged.
func (c *Client) Run(ctx context.Context) error {
	again, stop := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	defer renewing.Wait()
	defer stop()
	renewing.Go(func() {
		tick := time.NewTicker(c.opt.BeforeEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				c.before(again)
			case <-again.Done():
				return
			}
		}
	})
	pause := firstPause
	for ctx.Err() == nil {
		c.before(ctx)
		up, err := c.stream(ctx)
		if errors.Is(err, errDrained) {
			c.state(false, errors.New("all is delivered"))
			return nil
		}
		if ctx.Err() != nil {
			break
		}
		if err == nil {
			err = errors.New("the other end hung up")
		}
		c.state(false, err)
		if up {
			pause = firstPause
		}
		t := time.NewTimer(pause/2 + rand.N(pause/2+1))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
		pause = min(2*pause, c.opt.Pause)
	}
	return nil
}

func (c *Client) before(ctx context.Context) {
	if c.opt.Before == nil {
		return
	}
	c.renewal.Lock()
	defer c.renewal.Unlock()
	if err := c.opt.Before(ctx); err != nil && ctx.Err() == nil {
		c.opt.Log.Warn("renewing what the link needs", "error", err)
	}
}

var errDrained = errors.New("all is delivered")

// stream is one connection's life. up says that the other end accepted it.
func (c *Client) stream(ctx context.Context) (up bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(c.opt.Silence, func() {
		cancel(fmt.Errorf("the other end said nothing for %v", c.opt.Silence))
	})
	defer silent.Stop()
	dial := &net.Dialer{Timeout: c.opt.Silence}
	t := &http.Transport{
		DialContext: dial.DialContext, TLSClientConfig: c.opt.TLS.Clone(), ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: c.opt.Silence, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
	}
	defer t.CloseIdleConnections()
	body, into := io.Pipe()
	defer body.CloseWithError(io.ErrClosedPipe)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.opt.URL+Path, body)
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/vnd.dockreeve.link")
	s := &sending{c: c, w: bufio.NewWriterSize(into, 32<<10), freed: make(chan struct{}, 1), open: make(chan Bound, 1)}
	var writing sync.WaitGroup
	var wrote error
	writing.Go(func() {
		wrote = s.run(ctx)
		into.CloseWithError(io.EOF)
		if wrote != nil {
			cancel(wrote)
		}
	})
	res, err := t.RoundTrip(req)
	if err == nil {
		up, err = c.hear(res, s, silent)
		res.Body.Close()
	}
	cancel(err)
	writing.Wait()
	if wrote != nil && !errors.Is(wrote, context.Canceled) && (err == nil || errors.Is(wrote, errDrained)) {
		err = wrote
	}
	if cause := context.Cause(ctx); errors.Is(err, context.Canceled) && cause != nil {
		err = cause
	}
	return up, err
}

// hear reads what comes down until the stream ends.
func (c *Client) hear(res *http.Response, s *sending, silent *time.Timer) (up bool, err error) {
	if res.StatusCode != http.StatusOK || res.ProtoMajor < 2 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 512)) // what there is of an explanation
		return false, fmt.Errorf("%s answers %s over %s: %q", c.opt.URL, res.Status, res.Proto, text)
	}
	r := bufio.NewReaderSize(res.Body, 16<<10)
	var buf []byte
	for first := true; ; first = false {
		var kind byte
		var body []byte
		kind, body, buf, err = readFrame(r, buf)
		if err != nil {
			return up, err
		}
		silent.Reset(c.opt.Silence)
		if kind != frameEnd && first != (kind == frameHello) {
			return up, fmt.Errorf("%w: a frame of kind %d out of place", ErrWire, kind)
		}
		switch kind {
		case frameHello:
			h, err := parseHello(body)
			if err != nil {
				return false, err
			}
			if h.Envelopes < 1 || h.Bytes < 1 {
				return false, fmt.Errorf("%w: a window of %d envelopes and %d bytes", ErrWire, h.Envelopes, h.Bytes)
			}
			s.open <- Bound{Envelopes: h.Envelopes, Bytes: h.Bytes}
			up = true
			c.state(true, nil)
		case frameAck:
			e, rest, err := parsePlace(body)
			if err != nil || len(rest) > 0 {
				return up, fmt.Errorf("%w: an acknowledgement: %w", ErrWire, err)
			}
			if err := c.opt.Source.Ack(e.Origin, e.Epoch, e.Lane, e.Seq); err != nil {
				return up, err
			}
			s.acked(place{e.Origin, e.Epoch, e.Lane}, e.Seq)
		case frameDown:
			d, err := parseDown(body)
			if err != nil {
				return up, err
			}
			if c.opt.Down != nil {
				silent.Stop() // what is done with it may take its time
				c.opt.Down(d)
				silent.Reset(c.opt.Silence)
			}
			if cap(buf) > 256<<10 {
				buf = nil
			}
		case frameEnd:
			return up, fmt.Errorf("the other end hangs up: %.500q", body)
		case frameBeat:
		default:
			return up, fmt.Errorf("%w: a frame of kind %d goes up, not down", ErrWire, kind)
		}
	}
}

// sending is the upward half of a stream.
type sending struct {
	c     *Client
	w     *bufio.Writer
	open  chan Bound // gets the window once
	freed chan struct{}

	mu     sync.Mutex
	flight []flying
	bytes  int
}

// flying is an envelope on its way.
type flying struct {
	place
	seq   uint64
	bytes int
}

func (s *sending) acked(p place, seq uint64) {
	s.mu.Lock()
	kept := s.flight[:0]
	for _, f := range s.flight {
		if f.place == p && f.seq <= seq {
			s.bytes -= f.bytes
			continue
		}
		kept = append(kept, f)
	}
	s.flight = kept
	s.mu.Unlock()
	select {
	case s.freed <- struct{}{}:
	default:
	}
}

// run writes until ctx ends, a write fails, or the source has ended and all of it is
// acknowledged (errDrained).
func (s *sending) run(ctx context.Context) error {
	if _, err := s.w.Write(appendHello(nil, hello{Version: wireVersion})); err != nil {
		return err
	}
	if err := s.w.Flush(); err != nil {
		return err
	}
	beat := time.NewTicker(s.c.opt.Silence / 3)
	defer beat.Stop()
	var window Bound
	for window.Envelopes == 0 {
		select {
		case window = <-s.open:
		case <-beat.C:
			if err := s.beat(); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	// The source may block for ever; meanwhile beats must go out.
	ctx, cancel := context.WithCancel(ctx)
	ask, got := make(chan int), make(chan received)
	var reading sync.WaitGroup
	reading.Go(func() { read(ctx, s.c.opt.Source, ask, got) })
	defer reading.Wait()
	defer cancel()
	s.c.opt.Source.Reconnect()
	var waiting []Envelope
	asked, ended := false, false
	var b []byte
	for {
		s.mu.Lock()
		inFlight, bytes := len(s.flight), s.bytes
		s.mu.Unlock()
		room := window.Envelopes - inFlight
		if len(waiting) > 0 && room > 0 && (inFlight == 0 || bytes+len(waiting[0].Bytes) <= window.Bytes) {
			e := &waiting[0]
			s.mu.Lock() // before the bytes leave: the acknowledgement may be fast
			s.flight = append(s.flight, flying{place{e.Origin, e.Epoch, e.Lane}, e.Seq, len(e.Bytes)})
			s.bytes += len(e.Bytes)
			s.mu.Unlock()
			b = appendFrame(b[:0], frameEnvelope, func(b []byte) []byte { return appendEnvelope(b, e) })
			if _, err := s.w.Write(b); err != nil {
				return err
			}
			waiting = waiting[1:]
			continue
		}
		if s.w.Buffered() > 0 {
			if err := s.w.Flush(); err != nil {
				return err
			}
		}
		if ended && len(waiting) == 0 && inFlight == 0 {
			return errDrained
		}
		var offer chan int
		if len(waiting) == 0 && !asked && !ended && room > 0 {
			offer = ask
		}
		select {
		case offer <- min(room, 64):
			asked = true
		case r := <-got:
			asked = false
			switch {
			case r.err == io.EOF:
				ended = true
			case r.err != nil:
				return r.err
			}
			waiting = r.list
		case <-s.freed:
		case <-beat.C:
			if err := s.beat(); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *sending) beat() error {
	if _, err := s.w.Write(appendFrame(nil, frameBeat, nil)); err != nil {
		return err
	}
	return s.w.Flush()
}

type received struct {
	list []Envelope
	err  error
}

// read asks the source whenever it is asked.
func read(ctx context.Context, from Source, ask <-chan int, got chan<- received) {
	for {
		select {
		case n := <-ask:
			list, err := from.Receive(ctx, n)
			select {
			case got <- received{list, err}:
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
