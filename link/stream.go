package link

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/event"
)

// ServeHTTP carries one sender's stream for as long as it lasts.
func (l *Listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	peer, may, err := l.opt.Who(r)
	if err != nil {
		l.refuse("refused", 1)
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	if r.Method != http.MethodPost || r.ProtoMajor < 2 {
		http.Error(w, "the link is a POST over HTTP/2", http.StatusMethodNotAllowed)
		return
	}
	rc := http.NewResponseController(w)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	s := &session{
		peer: peer, remote: r.RemoteAddr, since: l.opt.Now(), heard: l.opt.Now(), may: may, ended: cancel,
		acks: map[place]uint64{}, stale: map[downKey]bool{}, wake: make(chan struct{}, 1),
	}
	in := &frames{r: bufio.NewReaderSize(r.Body, 16<<10), deadline: func(t time.Time) { _ = rc.SetReadDeadline(t) }, silence: l.opt.Silence}
	context.AfterFunc(ctx, in.interrupt)
	defer in.detach()
	// The caller waits for the headers before it reads anything.
	w.WriteHeader(http.StatusOK)
	if err := l.write(w, rc, nil); err != nil {
		return
	}
	err = l.begin(in, s)
	if err == nil {
		if err := l.write(w, rc, appendHello(nil, hello{Version: wireVersion, Envelopes: l.opt.Window.Envelopes, Bytes: l.opt.Window.Bytes})); err != nil {
			l.remove(s)
			return
		}
		var writing sync.WaitGroup
		writing.Go(func() { l.speak(ctx, w, rc, s) })
		err = l.listen(ctx, in, s)
		cancel()
		writing.Wait()
		l.remove(s)
	}
	l.mu.Lock()
	why := s.why
	l.mu.Unlock()
	if why == "" && errors.Is(err, ErrWire) {
		l.refuse("invalid", 1)
		why = err.Error()
	} else if why == "" && err != nil && ctx.Err() == nil && !errors.Is(err, io.EOF) {
		why = err.Error()
	}
	l.opt.Log.Info("a stream of the link ended", "peer", peer, "remote", r.RemoteAddr, "why", why, "error", err)
	if why != "" {
		_ = l.write(w, rc, appendFrame(nil, frameEnd, func(b []byte) []byte { return append(b, why[:min(len(why), maxEnd)]...) }))
	}
}

// refuse counts what was not taken from a stream: its sender keeps it.
func (l *Listener) refuse(reason string, n uint64) {
	now := l.opt.Now()
	l.opt.Ledger.Lost(event.Loss{Hop: HopListen + ".streams", Reason: reason, Count: n, From: now, To: now})
}

func (l *Listener) begin(in *frames, s *session) error {
	kind, body, err := in.next()
	if err != nil {
		return err
	}
	if kind != frameHello {
		return fmt.Errorf("%w: its first frame is of kind %d, not a hello", ErrWire, kind)
	}
	if _, err := parseHello(body); err != nil {
		return err
	}
	if err := l.add(s); err != nil {
		return err
	}
	l.opt.Log.Info("a stream of the link began", "peer", s.peer, "remote", s.remote)
	if l.opt.Connected != nil {
		l.opt.Connected(s.peer)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range []*downs{l.all, l.downs[s.peer]} {
		if d != nil {
			for k := range d.of {
				s.stale[k] = true
			}
		}
	}
	s.poke()
	return nil
}

// listen takes frames in until the stream ends.
func (l *Listener) listen(ctx context.Context, in *frames, s *session) error {
	for {
		kind, body, err := in.next()
		if err != nil {
			return err
		}
		l.mu.Lock()
		s.heard = l.opt.Now()
		over := s.count >= l.opt.Window.Envelopes || s.count > 0 && s.bytes >= 2*l.opt.Window.Bytes+maxEnvelope
		l.mu.Unlock()
		switch kind {
		case frameBeat:
		case frameEnd:
			return io.EOF
		case frameEnvelope:
			e, err := parseEnvelope(body)
			if err != nil {
				return err
			}
			if !s.may(e.Origin) {
				return fmt.Errorf("%w: %s may not send in the name of %.200q", ErrWire, s.peer, e.Origin)
			}
			if over {
				return fmt.Errorf("%w: more than the window of %d envelopes and %d bytes is on its way", ErrWire, l.opt.Window.Envelopes, l.opt.Window.Bytes)
			}
			if err := l.push(ctx, s, e, in.pause); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: a frame of kind %d goes down, not up", ErrWire, kind)
		}
	}
}

// speak writes acknowledgements, downs and beats until ctx ends.
func (l *Listener) speak(ctx context.Context, w http.ResponseWriter, rc *http.ResponseController, s *session) {
	beat := time.NewTicker(l.opt.Silence / 3)
	defer beat.Stop()
	var b []byte
	for {
		b = b[:0]
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			b = appendFrame(b, frameBeat, nil)
		case <-s.wake:
		}
		l.mu.Lock()
		for p, seq := range s.acks {
			b = appendFrame(b, frameAck, func(b []byte) []byte { return appendPlace(b, p.origin, p.epoch, p.lane, seq) })
		}
		clear(s.acks)
		for k := range s.stale {
			delete(s.stale, k)
			if text := l.down(s.peer, k); text != nil {
				b = appendDown(b, &Down{Kind: k.kind, Key: k.key, Bytes: text})
			}
			if len(b) > 1<<20 {
				s.poke()
				break
			}
		}
		l.mu.Unlock()
		if len(b) == 0 {
			continue
		}
		if err := l.write(w, rc, b); err != nil {
			s.ended()
			return
		}
		if cap(b) > 1<<20 {
			b = nil
		}
	}
}

func (l *Listener) write(w http.ResponseWriter, rc *http.ResponseController, b []byte) error {
	_ = rc.SetWriteDeadline(time.Now().Add(l.opt.Silence))
	if _, err := w.Write(b); err != nil {
		return err
	}
	return rc.Flush()
}

// SetDown sets what a peer is told of a kind and key, now and after every reconnect; nil
// bytes end that. Its error says what does not fit.
func (l *Listener) SetDown(peer string, d Down) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.downs[peer]
	if at == nil {
		if d.Bytes == nil {
			return nil
		}
		if len(l.downs) >= 4*l.opt.Peers {
			return fmt.Errorf("link: messages are kept for %d peers, which is the bound", len(l.downs))
		}
		at = &downs{of: map[downKey][]byte{}}
		l.downs[peer] = at
	}
	if err := at.set(d); err != nil {
		return fmt.Errorf("link: message for %s: %w", peer, err)
	}
	if len(at.of) == 0 {
		delete(l.downs, peer)
	}
	l.tell(func(s *session) bool { return s.peer == peer }, d)
	return nil
}

// SetDownAll is SetDown for every peer, those that come later too. What SetDown says of
// the same kind and key goes before it.
func (l *Listener) SetDownAll(d Down) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.all.set(d); err != nil {
		return fmt.Errorf("link: message for all: %w", err)
	}
	l.tell(func(*session) bool { return true }, d)
	return nil
}

func (l *Listener) tell(whom func(*session) bool, d Down) {
	for _, s := range l.sessions {
		if s.stale != nil && whom(s) {
			s.stale[downKey{d.Kind, d.Key}] = true
			s.poke()
		}
	}
}

func (l *Listener) down(peer string, k downKey) []byte {
	if d := l.downs[peer]; d != nil && d.of[k] != nil {
		return d.of[k]
	}
	return l.all.of[k]
}

func (d *downs) set(m Down) error {
	k := downKey{m.Kind, m.Key}
	have, ok := d.of[k]
	if m.Bytes == nil {
		d.bytes -= len(have)
		delete(d.of, k)
		return nil
	}
	switch {
	case len(m.Bytes) > maxDown || len(m.Key) > maxDownKey:
		return fmt.Errorf("%w: %d bytes with a key of %d, at most %d and %d", ErrTooBig, len(m.Bytes), len(m.Key), maxDown, maxDownKey)
	case !ok && len(d.of) >= maxDownKeys, d.bytes-len(have)+len(m.Bytes) > maxDownBytes:
		return fmt.Errorf("%w: %d messages of %d bytes are kept", ErrFull, len(d.of), d.bytes)
	}
	d.bytes += len(m.Bytes) - len(have)
	d.of[k] = append([]byte{}, m.Bytes...)
	return nil
}

// frames reads frames, each within the silence that is borne.
type frames struct {
	r        *bufio.Reader
	buf      []byte
	deadline func(time.Time)
	silence  time.Duration

	mu          sync.Mutex
	set         time.Time
	interrupted bool
}

func (f *frames) next() (byte, []byte, error) {
	f.mu.Lock()
	// Moving the deadline costs a word with the connection's goroutine: seldom is enough.
	if now := time.Now(); !f.interrupted && now.Sub(f.set) > f.silence/4 {
		f.set = now
		f.deadline(now.Add(f.silence + f.silence/4))
	}
	f.mu.Unlock()
	kind, body, buf, err := readFrame(f.r, f.buf)
	f.buf = buf
	if cap(f.buf) > 256<<10 {
		f.buf = nil
	}
	return kind, body, err
}

// pause takes the deadline away: it is we who make the sender wait.
func (f *frames) pause() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.interrupted { // a deadline in the past stays
		f.set = time.Time{}
		f.deadline(time.Time{})
	}
}

func (f *frames) interrupt() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.interrupted {
		f.interrupted = true
		f.deadline(time.Unix(1, 0))
	}
}

// detach ends the use of the stream: its handler returns.
func (f *frames) detach() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.interrupted = true
}
