package link

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/internal/pki"
)

// Path is where a Listener takes streams.
const Path = "/link/v1/stream"

// Bounds of a Listener, where its options say nothing.
const (
	defaultPeers   = 2048
	defaultHeld    = 64 << 20
	defaultSilence = 30 * time.Second
	maxDownKeys    = 1024     // per peer
	maxDownBytes   = 32 << 20 // per peer
)

var defaultWindow = Bound{Envelopes: 512, Bytes: 4 << 20}

// HopListen is the name under which a Listener counts.
const HopListen = "link.listen"

// Source is what a Client drains and what a Listener can take in from this process: a
// Pipe or a Spool. Reconnect starts delivery again at the first envelope that is not
// acknowledged.
type Source interface {
	Receiver
	Reconnect()
}

var (
	_ Source       = (*Pipe)(nil)
	_ Source       = (*Listener)(nil)
	_ http.Handler = (*Listener)(nil)
)

// ListenerOptions say how a Listener works. The zero value works.
type ListenerOptions struct {
	Window  Bound         // of each stream: what may be unacknowledged; zero fields: 512 envelopes, 4 MiB
	Held    int           // bytes of all streams; 0 = 64 MiB. Beyond it streams are not read, so their senders wait
	Peers   int           // streams at once; 0 = 2,048
	Silence time.Duration // after which a stream that says nothing is ended; 0 = 30 s

	// Who says who calls and in whose name they may send; nil means by the certificate.
	Who func(*http.Request) (name string, may func(origin string) bool, err error)
	// Connected is called when a peer has come and before it gets the downs that are
	// kept for it; nil = nobody asks. It may call SetDown.
	Connected func(peer string)

	Ledger *Ledger // nil means a new one
	Now    func() int64
	Log    *slog.Logger
}

// Peer is one stream as it stands.
type Peer struct {
	Name   string
	Remote string
	Since  int64 // Unix nanoseconds
	Heard  int64 // last frame
}

// Listener is the far end for many senders at once: an http.Handler that takes their
// streams, and a Receiver. What a stream has brought is kept in memory until it is
// acknowledged; when a stream ends it is forgotten, for the sender still has it. It
// keeps downs per peer and states them to each stream anew. Safe for concurrent use,
// but one goroutine at a time receives.
type Listener struct {
	opt ListenerOptions

	mu       sync.Mutex
	sessions []*session
	next     int // whose turn it is
	held     int // bytes of all sessions
	closed   bool
	moved    chan struct{} // closed and replaced on every change
	downs    map[string]*downs
	all      *downs // for every peer
}

// session is one sender.
type session struct {
	peer   string
	remote string
	since  int64
	heard  int64
	may    func(string) bool
	ack    func(place, uint64) error // of a sender in this process; nil = on the wire

	lanes [len(lanes)][]held // not acknowledged, in the order they came
	count int
	bytes int

	acks  map[place]uint64 // to be written
	stale map[downKey]bool // downs to be written
	wake  chan struct{}    // capacity one
	ended context.CancelFunc
	why   string // told to the peer at the end
}

// held is an envelope that waits for its turn, or delivered, for its acknowledgement.
type held struct {
	e         Envelope
	delivered bool
}

// place is what an acknowledgement is about.
type place struct {
	origin string
	epoch  uint64
	lane   Lane
}

type downKey struct {
	kind Kind
	key  string
}

type downs struct {
	of    map[downKey][]byte
	bytes int
}

// NewListener returns a Listener that nobody has called yet.
func NewListener(opt ListenerOptions) *Listener {
	if opt.Window.Envelopes <= 0 {
		opt.Window.Envelopes = defaultWindow.Envelopes
	}
	if opt.Window.Bytes <= 0 {
		opt.Window.Bytes = defaultWindow.Bytes
	}
	if opt.Held <= 0 {
		opt.Held = defaultHeld
	}
	if opt.Peers <= 0 {
		opt.Peers = defaultPeers
	}
	if opt.Silence <= 0 {
		opt.Silence = defaultSilence
	}
	if opt.Who == nil {
		opt.Who = byCertificate
	}
	if opt.Ledger == nil {
		opt.Ledger = &Ledger{}
	}
	if opt.Now == nil {
		opt.Now = func() int64 { return time.Now().UnixNano() }
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Listener{opt: opt, moved: make(chan struct{}), downs: map[string]*downs{}, all: &downs{of: map[downKey][]byte{}}}
}

func byCertificate(r *http.Request) (string, func(string) bool, error) {
	who, err := pki.PeerOf(r.TLS)
	if err != nil {
		return "", nil, err
	}
	return who.String(), who.May, nil
}

// Receive returns up to max envelopes, at least one. Every stream that has some gets
// its share, and within a stream every lane; the precious ones fill the rest.
func (l *Listener) Receive(ctx context.Context, max int) ([]Envelope, error) {
	if max < 1 {
		max = 1
	}
	for {
		l.mu.Lock()
		out := l.take(max)
		closed, moved := l.closed, l.moved
		l.mu.Unlock()
		if len(out) > 0 {
			return out, nil
		}
		if closed {
			return nil, io.EOF
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (l *Listener) take(most int) []Envelope {
	var out []Envelope
	waiting := 0
	for _, s := range l.sessions {
		if s.waiting() > 0 {
			waiting++
		}
	}
	for waiting > 0 && len(out) < most {
		share := max(1, (most-len(out))/waiting)
		waiting = 0
		for range l.sessions {
			s := l.sessions[l.next%len(l.sessions)]
			l.next = (l.next + 1) % len(l.sessions)
			if len(out) < most {
				out = s.take(out, min(share, most-len(out)))
			}
			if s.waiting() > 0 {
				waiting++
			}
		}
	}
	if len(out) > 0 {
		l.opt.Ledger.Out(HopListen, uint64(len(out)))
	}
	return out
}

func (s *session) waiting() int {
	n := 0
	for i := range s.lanes {
		for j := range s.lanes[i] {
			if !s.lanes[i][j].delivered {
				n++
			}
		}
	}
	return n
}

// take delivers up to most envelopes: one of each lane first, then by lane.
func (s *session) take(out []Envelope, most int) []Envelope {
	for _, share := range []int{1, most} {
		for i := range s.lanes {
			n := 0
			for j := range s.lanes[i] {
				h := &s.lanes[i][j]
				if h.delivered {
					continue
				}
				if n == share || most == 0 {
					break
				}
				h.delivered = true
				e := h.e
				e.Bytes = bytes.Clone(e.Bytes) // ours must survive for a redelivery
				out = append(out, e)
				n++
				most--
			}
		}
	}
	return out
}

// Ack says that everything of the lane up to seq is stored. What no stream holds is
// passed over: its sender has gone, and sends it again.
func (l *Listener) Ack(origin string, epoch uint64, lane Lane, seq uint64) error {
	if !lane.Valid() {
		return fmt.Errorf("link: acknowledge %s: no such lane", lane)
	}
	p := place{origin, epoch, lane}
	l.mu.Lock()
	var local []*session
	for _, s := range l.sessions {
		if n, top := s.release(p, seq); n > 0 {
			l.held -= n
			if s.ack != nil {
				local = append(local, s)
				continue
			}
			// Of what this stream has brought; it may have more to bring that was stored before.
			s.acks[p] = max(s.acks[p], top)
			s.poke()
		}
	}
	l.wakeAll()
	l.mu.Unlock()
	for _, s := range local {
		if err := s.ack(p, seq); err != nil {
			return err
		}
	}
	return nil
}

// release forgets what is acknowledged and returns its cost, which is never zero when
// something was, and the highest number of it.
func (s *session) release(p place, seq uint64) (freed int, top uint64) {
	list := s.lanes[p.lane-1]
	kept := list[:0]
	for _, h := range list {
		if h.e.Seq <= seq && h.e.Origin == p.origin && h.e.Epoch == p.epoch {
			freed += cost(&h.e)
			top = max(top, h.e.Seq)
			s.count--
			continue
		}
		kept = append(kept, h)
	}
	clear(list[len(kept):])
	s.lanes[p.lane-1] = kept
	s.bytes -= freed
	return freed, top
}

// cost is what holding an envelope costs, about.
func cost(e *Envelope) int { return len(e.Bytes) + len(e.Origin) + 64 }

func (s *session) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (l *Listener) wakeAll() {
	close(l.moved)
	l.moved = make(chan struct{})
}

// Reconnect delivers again what was not acknowledged. A receiver calls it when it starts.
func (l *Listener) Reconnect() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sessions {
		for i := range s.lanes {
			for j := range s.lanes[i] {
				s.lanes[i][j].delivered = false
			}
		}
	}
	l.wakeAll()
}

// Close ends every stream. The receiver gets what there is, and then io.EOF.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, s := range l.sessions {
		s.end("the other end stops")
	}
	l.wakeAll()
	return nil
}

func (s *session) end(why string) {
	if s.why == "" {
		s.why = why
	}
	s.ended()
}

// Peers is every stream, by name.
func (l *Listener) Peers() []Peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Peer, 0, len(l.sessions))
	for _, s := range l.sessions {
		out = append(out, Peer{Name: s.peer, Remote: s.remote, Since: s.since, Heard: s.heard})
	}
	slices.SortFunc(out, func(a, b Peer) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return out
}

// Ledger is where the listener counts.
func (l *Listener) Ledger() *Ledger { return l.opt.Ledger }

// push takes an envelope in. It waits while there is no room and stop has not ended;
// before it waits for the first time it calls pause.
func (l *Listener) push(stop context.Context, s *session, e Envelope, pause func()) error {
	for {
		l.mu.Lock()
		if stop.Err() != nil || l.closed {
			l.mu.Unlock()
			return context.Canceled
		}
		if n := len(s.lanes[e.Lane-1]); n > 0 {
			// It has come already and waits: that one's acknowledgement is this one's too.
			for i := n - 1; i >= 0; i-- {
				if h := &s.lanes[e.Lane-1][i].e; h.Origin == e.Origin && h.Epoch == e.Epoch {
					if h.Seq >= e.Seq {
						l.mu.Unlock()
						return nil
					}
					break
				}
			}
		}
		if l.held == 0 || l.held+cost(&e) <= l.opt.Held {
			s.lanes[e.Lane-1] = append(s.lanes[e.Lane-1], held{e: e})
			s.count++
			s.bytes += cost(&e)
			l.held += cost(&e)
			l.opt.Ledger.In(HopListen, 1)
			l.wakeAll()
			l.mu.Unlock()
			return nil
		}
		moved := l.moved
		l.mu.Unlock()
		if pause != nil {
			pause()
			pause = nil
		}
		select {
		case <-moved:
		case <-stop.Done():
			return context.Canceled
		}
	}
}

// add registers a session; an older one of the same peer ends, for a peer that comes
// again has given it up.
func (l *Listener) add(s *session) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	others := 0
	for _, o := range l.sessions {
		if o.peer == s.peer {
			o.end("the same identity has connected again")
		} else {
			others++
		}
	}
	if others >= l.opt.Peers {
		now := l.opt.Now()
		l.opt.Ledger.Lost(event.Loss{Hop: HopListen + ".streams", Reason: "too_many", Count: 1, From: now, To: now})
		return fmt.Errorf("%d streams are open, which is the bound", others)
	}
	l.sessions = append(l.sessions, s)
	return nil
}

func (l *Listener) remove(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions = slices.DeleteFunc(l.sessions, func(o *session) bool { return o == s })
	l.held -= s.bytes
	l.next = 0
	l.wakeAll()
}

// Attach takes in what a sender in this process sends, until ctx ends or the source
// closes. name is shown among the peers.
func (l *Listener) Attach(ctx context.Context, name string, from Source) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &session{
		peer: name, remote: "this process", since: l.opt.Now(), heard: l.opt.Now(), ended: cancel, wake: make(chan struct{}, 1),
		ack: func(p place, seq uint64) error { return from.Ack(p.origin, p.epoch, p.lane, seq) },
	}
	if err := l.add(s); err != nil {
		return err
	}
	defer l.remove(s)
	from.Reconnect()
	for {
		list, err := from.Receive(ctx, 64)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			if err == io.EOF {
				l.emptied(ctx, s)
				return nil
			}
			return err
		}
		for _, e := range list {
			if err := l.room(ctx, s, nil); err != nil {
				return nil
			}
			if err := l.push(ctx, s, e, nil); err != nil {
				return nil
			}
		}
	}
}

// room waits until the session's own window has some.
func (l *Listener) room(ctx context.Context, s *session, most func() bool) error {
	for {
		l.mu.Lock()
		ok := s.count < l.opt.Window.Envelopes && (s.count == 0 || s.bytes < l.opt.Window.Bytes)
		if most != nil {
			ok = most()
		}
		moved := l.moved
		l.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// emptied waits until all of the session is acknowledged.
func (l *Listener) emptied(ctx context.Context, s *session) {
	_ = l.room(ctx, s, func() bool { return s.count == 0 || l.closed })
}
