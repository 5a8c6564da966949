package link

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/internal/pki"
)

// certified is what a caller of any conduct shows: a certificate of ca for who.
func certified(t testing.TB, ca *pki.CA, who pki.Identity) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ca.Sign(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}), who)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	return tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}
}

// caller is a TLS configuration that trusts anybody and shows certs.
func caller(protocol string, certs ...tls.Certificate) *tls.Config {
	c := &tls.Config{InsecureSkipVerify: true, Certificates: certs}
	if protocol != "" {
		c.NextProtos = []string{protocol}
	}
	return c
}

// rude is a stream whose caller writes what it likes.
type rude struct {
	in    *io.PipeWriter
	res   *http.Response
	close func()
}

func (h *hub) rude(t testing.TB, who pki.Identity) *rude {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: caller("h2", certified(t, h.ca, who)), ForceAttemptHTTP2: true}
	body, in := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url()+Path, body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	r := &rude{in: in, res: res, close: func() { cancel(); in.Close(); res.Body.Close(); tr.CloseIdleConnections() }}
	t.Cleanup(r.close)
	return r
}

// last reads what comes down until the stream ends, and returns the reason it gives.
func (r *rude) last() string {
	in := bufio.NewReader(r.res.Body)
	var buf []byte
	for why := ""; ; {
		kind, body, keep, err := readFrame(in, buf)
		if err != nil {
			return why
		}
		if buf = keep; kind == frameEnd {
			why = string(body)
		}
	}
}

func aFrame(origin string, seq uint64, payload []byte) []byte {
	return appendFrame(nil, frameEnvelope, func(b []byte) []byte {
		return appendEnvelope(b, &Envelope{Origin: origin, Epoch: 1, Lane: LaneAlert, Seq: seq, Kind: KindFinding, Bytes: payload})
	})
}

func lostFor(l *Ledger, reason string) (n uint64) {
	losses := l.Take()
	for _, one := range losses {
		if one.Reason == reason {
			n += one.Count
		}
	}
	l.Return(losses)
	return n
}

// TestCallersWithoutTheRightCertificate: who is not of this hub's authority, or was once,
// gets nothing, and nothing of what they say is read.
func TestCallersWithoutTheRightCertificate(t *testing.T) {
	h := newHub(t, ListenerOptions{})
	stranger, err := pki.OpenCA(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	long, err := pki.OpenCA(h.dir, func() time.Time { return time.Now().AddDate(-2, 0, 0) })
	if err != nil {
		t.Fatal(err)
	}
	n1 := node("n1")
	call := func(cfg *tls.Config, first []byte) (int, string, error) {
		tr := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
		defer tr.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url()+Path, bytes.NewReader(first))
		if err != nil {
			t.Fatal(err)
		}
		res, err := tr.RoundTrip(req)
		if err != nil {
			return 0, "", err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		return res.StatusCode, string(b), err
	}
	say := append(appendHello(nil, hello{Version: wireVersion}), aFrame("node/c1/n1", 1, []byte("forged"))...)
	for name, cfg := range map[string]*tls.Config{
		"of another authority": caller("h2", certified(t, stranger, n1)),
		"past its end":         caller("h2", certified(t, long, n1)),
	} {
		if code, text, err := call(cfg, say); err == nil {
			t.Errorf("a certificate %s is answered with %d %q", name, code, text)
		}
	}
	if code, text, err := call(caller("h2"), say); err != nil || code != http.StatusForbidden || !strings.Contains(text, "no certificate was shown") {
		t.Errorf("without a certificate: %d %q %v", code, text, err)
	}
	if n := lostFor(h.listener.Ledger(), "refused"); n != 1 {
		t.Errorf("%d callers counted as refused, want 1: the others do not get beyond TLS", n)
	}
	// The hub's own authority, but its hub: it sends nothing in anybody's name.
	r := h.rude(t, pki.Identity{Role: pki.RoleHub})
	go r.in.Write(say)
	if why := r.last(); !strings.Contains(why, "may not send in the name of") {
		t.Errorf("a hub that sends as a node: %q", why)
	}
	// HTTP/1.1, by name and by silence.
	for _, protocol := range []string{"http/1.1", ""} {
		c, err := tls.Dial("tcp", h.addr, caller(protocol, certified(t, h.ca, n1)))
		if err != nil {
			continue // refused in the handshake
		}
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\n\r\n%s", Path, len(say), say)
		b, _ := io.ReadAll(c)
		c.Close()
		if bytes.Contains(b, []byte("200 OK")) {
			t.Errorf("HTTP/1.1 (%q) is answered with %.200q", protocol, b)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if list, err := h.listener.Receive(ctx, 10); err == nil {
		t.Errorf("the hub took %+v", list)
	}
	if p := h.listener.Peers(); len(p) != 0 {
		t.Errorf("streams left: %+v", p)
	}
}

// TestNonsenseEndsAStream: each caller is told why, is counted, and costs nobody else.
func TestNonsenseEndsAStream(t *testing.T) {
	h := newHub(t, ListenerOptions{Window: Bound{Envelopes: 4}})
	good := openSpool(t, t.TempDir(), "node/c1/good")
	defer good.Close()
	h.client(t, h.join(t, node("good")), good, nil)
	hi := appendHello(nil, hello{Version: wireVersion})
	cat := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	over := cat(hi)
	for i := range 5 {
		over = append(over, aFrame("node/c1/bad", uint64(i+1), []byte("x"))...)
	}
	cases := []struct {
		name, why string
		say       []byte
	}{
		{"a web page", "a frame of kind", []byte("<html>hello</html>")},
		{"zeros", "a frame of kind 0", make([]byte, 4096)},
		{"no hello", "not a hello", aFrame("node/c1/bad", 1, []byte("x"))},
		{"two hellos", "", cat(hi, hi)},
		{"another version", "version 9", appendHello(nil, hello{Version: 9})},
		{"a hello of noise", "its hello", appendFrame(nil, frameHello, func(b []byte) []byte { return append(b, 0xff, 0) })},
		{"a frame of 4 GiB", "at most", cat(hi, []byte{frameEnvelope, 255, 255, 255, 255}, make([]byte, 1000))},
		{"a payload too long", "at most", cat(hi, aFrame("node/c1/bad", 1, make([]byte, MaxBytes+maxOrigin+1)))},
		{"an acknowledgement", "goes down", cat(hi, appendFrame(nil, frameAck, func(b []byte) []byte { return appendPlace(b, "node/c1/bad", 1, LaneAlert, 1) }))},
		{"a cut envelope", "cut", cat(hi, appendFrame(nil, frameEnvelope, func(b []byte) []byte { return append(b, 0) }))},
		{"an origin of noise", "no text", cat(hi, aFrame("\xff\xfe", 1, nil))},
		{"number nought", "number 0", cat(hi, aFrame("node/c1/bad", 0, nil))},
		{"a lane that is none", "lane(77)", cat(hi, appendFrame(nil, frameEnvelope, func(b []byte) []byte { return append(appendPlace(b, "node/c1/bad", 1, 77, 1), 1) }))},
		{"more than the window", "more than the window", over},
	}
	for i, c := range cases {
		r := h.rude(t, node("bad"))
		go r.in.Write(c.say) // ends with the stream
		if why := r.last(); why == "" || !strings.Contains(why, c.why) {
			t.Errorf("%s: ended with %q", c.name, why)
		}
		r.close()
		if n := lostFor(h.listener.Ledger(), "invalid"); n != uint64(i+1) {
			t.Errorf("%s: %d streams counted as invalid, want %d", c.name, n, i+1)
		}
		if err := good.Send(t.Context(), LaneAlert, KindFinding, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		// What a bad stream had brought within its window was its own, and is forgotten with it.
		for got := ""; got != fmt.Sprint(i); {
			for _, e := range receive(t, h.listener, 1) {
				if e.Origin == "node/c1/good" {
					got = string(e.Bytes)
				}
			}
		}
	}
	until(t, "only the good stream is left", func() bool { return len(h.listener.Peers()) == 1 })
}

// TestSlowPeersAreCutOff: bytes that dribble, a hello that never comes, and a peer that
// does not read what it is told.
func TestSlowPeersAreCutOff(t *testing.T) {
	h := newHub(t, ListenerOptions{Silence: 200 * time.Millisecond})
	gone := func(what string) {
		t.Helper()
		until(t, what+" is cut off", func() bool { return len(h.listener.Peers()) == 0 })
	}
	mute := h.rude(t, node("mute"))
	mute.last() // returns when it is over
	gone("who never says hello")

	slow := h.rude(t, node("slow"))
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		b := append(appendHello(nil, hello{Version: wireVersion}), aFrame("node/c1/slow", 1, make([]byte, MaxBytes))...)
		for i := range b {
			if _, err := slow.in.Write(b[i : i+1]); err != nil {
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond): // always faster than the silence that is borne
			}
		}
	})
	slow.last()
	close(stop)
	slow.close()
	writing.Wait()
	gone("who dribbles")

	deaf := h.rude(t, node("deaf"))
	if _, err := deaf.in.Write(appendHello(nil, hello{Version: wireVersion})); err != nil {
		t.Fatal(err)
	}
	until(t, "the deaf one is there", func() bool { return len(h.listener.Peers()) == 1 })
	for i := range 4 {
		if err := h.listener.SetDownAll(Down{Kind: KindRuleFiles, Key: fmt.Sprint(i), Bytes: make([]byte, 7<<20)}); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for { // it lives, and says so
			if _, err := deaf.in.Write(appendFrame(nil, frameBeat, nil)); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	gone("who does not read")
	<-done
}

// frozen is a way between client and hub that can stop carrying without a word, as a
// pulled cable or a lost machine does.
type frozen struct {
	net.Listener
	mu    sync.Mutex
	stuck bool
	dead  chan struct{}
}

func freezer(t *testing.T, to string) *frozen {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &frozen{Listener: ln, dead: make(chan struct{})}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			d, err := net.Dial("tcp", to)
			if err != nil {
				c.Close()
				continue
			}
			f.mu.Lock()
			stuck := f.stuck
			f.mu.Unlock()
			for _, w := range [][2]net.Conn{{c, d}, {d, c}} {
				all.Go(func() { f.carry(w[0], w[1], stuck) })
			}
		}
	})
	t.Cleanup(func() {
		ln.Close()
		close(f.dead)
		all.Wait()
	})
	return f
}

// carry copies until the way freezes; then neither end hears anything, not even an end.
func (f *frozen) carry(from, to net.Conn, stuck bool) {
	buf := make([]byte, 16<<10)
	for !stuck {
		n, err := from.Read(buf)
		f.mu.Lock()
		stuck = f.stuck
		f.mu.Unlock()
		if stuck {
			break
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			from.Close()
			to.Close()
			return
		}
	}
	<-f.dead
	from.Close()
	to.Close()
}

func (f *frozen) freeze(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stuck = on
}

// TestAPeerThatVanishesIsNoticedAtBothEnds: a half-open connection ends within the
// silence that is borne, and what was on its way arrives once, in order, afterwards.
func TestAPeerThatVanishesIsNoticedAtBothEnds(t *testing.T) {
	h := newHub(t, ListenerOptions{Silence: 300 * time.Millisecond})
	way := freezer(t, h.addr)
	sp, err := OpenSpool(SpoolOptions{Dir: t.TempDir(), Origin: "node/c1/n1", Lazy: true})
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Close()
	c, err := NewClient(ClientOptions{
		URL: "https://" + way.Addr().String(), TLS: h.join(t, node("n1")).ClientTLS(), Source: sp, Silence: 300 * time.Millisecond, Pause: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	send := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			if err := sp.Send(t.Context(), LaneAlert, KindFinding, fmt.Appendf(nil, "%06d%s", i, strings.Repeat("x", 2000))); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(0, 100)
	receive(t, h.listener, 50) // the rest is at the hub, not acknowledged
	way.freeze(true)
	send(100, 800)
	until(t, "the client notices", func() bool {
		up, _, err := c.Connected()
		return !up && err != nil
	})
	until(t, "the hub notices", func() bool { return len(h.listener.Peers()) == 0 })
	way.freeze(false)
	got, seen := 50, map[uint64]bool{}
	for got < 800 {
		for _, e := range receive(t, h.listener, 1) {
			if seen[e.Seq] {
				continue // delivered again: what acknowledged it was lost on the way
			}
			seen[e.Seq] = true
			if want := fmt.Sprintf("%06d", got); string(e.Bytes[:6]) < want {
				continue // one of the first fifty
			} else if string(e.Bytes[:6]) != want {
				t.Fatalf("got %s, want %s", e.Bytes[:6], want)
			}
			got++
		}
	}
	until(t, "all is acknowledged", func() bool { return sp.Pending(LaneAlert) == 0 })
}

// TestAHubThatDoesNotAcknowledge holds its senders back and holds no more than it says,
// while the streams live on; afterwards everything is there once and in order.
func TestAHubThatDoesNotAcknowledge(t *testing.T) {
	const senders, each, payload, held = 4, 600, 1000, 150 << 10
	h := newHub(t, ListenerOptions{Window: Bound{Envelopes: 64, Bytes: 100 << 10}, Held: held, Silence: 3 * time.Second})
	h.silence = 3 * time.Second
	var spools []*Spool
	for n := range senders {
		who := node(fmt.Sprintf("n%d", n))
		sp, err := OpenSpool(SpoolOptions{Dir: t.TempDir(), Origin: who.String(), Lazy: true})
		if err != nil {
			t.Fatal(err)
		}
		defer sp.Close()
		spools = append(spools, sp)
		h.client(t, h.join(t, who), sp, nil)
		for i := range each {
			if err := sp.Send(t.Context(), LaneAlert, KindFinding, fmt.Appendf(nil, "%06d%s", i, strings.Repeat("x", payload))); err != nil {
				t.Fatal(err)
			}
		}
	}
	look := func() (count, bytes, most int) {
		h.listener.mu.Lock()
		defer h.listener.mu.Unlock()
		for _, s := range h.listener.sessions {
			count += s.count
			most = max(most, s.count)
		}
		return count, h.listener.held, most
	}
	until(t, "the hub is full", func() bool { _, b, _ := look(); return b > held-2*payload })
	since := h.listener.opt.Now()
	for h.listener.opt.Now()-since < int64(5*time.Second) { // longer than is borne: beats must keep the streams
		if n, b, most := look(); b > held || most > 64 {
			t.Fatalf("%d envelopes of %d bytes are held, %d of one stream", n, b, most)
		}
		time.Sleep(10 * time.Millisecond)
	}
	peers := h.listener.Peers()
	if len(peers) != senders {
		t.Fatalf("%d streams are left of %d", len(peers), senders)
	}
	for _, p := range peers {
		if p.Since > since {
			t.Errorf("the stream of %s was begun anew", p.Name)
		}
	}
	next := map[string]int{}
	for _, e := range receive(t, h.listener, senders*each) {
		if want := fmt.Sprintf("%06d", next[e.Origin]); string(e.Bytes[:6]) != want {
			t.Fatalf("%s: got %s, want %s", e.Origin, e.Bytes[:6], want)
		}
		next[e.Origin]++
	}
	until(t, "all is acknowledged", func() bool {
		n := 0
		for _, sp := range spools {
			n += sp.Pending(LaneAlert)
		}
		return n == 0
	})
	if n, b, _ := look(); n != 0 || b != 0 {
		t.Errorf("%d envelopes of %d bytes are still held", n, b)
	}
}

// TestMoreStreamsThanTheBound: those beyond are told, counted, and get in later.
func TestMoreStreamsThanTheBound(t *testing.T) {
	h := newHub(t, ListenerOptions{Peers: 2})
	var stops []func()
	var last *Client
	for i := range 3 {
		sp := openSpool(t, t.TempDir(), fmt.Sprintf("node/c1/n%d", i))
		defer sp.Close()
		c, stop := h.client(t, h.join(t, node(fmt.Sprintf("n%d", i))), sp, nil)
		defer stop()
		if last = c; i < 2 {
			until(t, "it is in", func() bool { up, _, _ := c.Connected(); return up })
		}
		stops = append(stops, stop)
	}
	until(t, "the third is told", func() bool {
		_, _, err := last.Connected()
		return err != nil && strings.Contains(err.Error(), "2 streams are open, which is the bound")
	})
	if lostFor(h.listener.Ledger(), "too_many") == 0 {
		t.Error("it is not counted")
	}
	stops[0]()
	until(t, "the third gets in", func() bool { up, _, _ := last.Connected(); return up })
}

// TestMoreConnectionsThanTheBound: connections that say nothing are cut off, so that
// they cannot keep others out for ever.
func TestMoreConnectionsThanTheBound(t *testing.T) {
	h := newHub(t, ListenerOptions{})
	cfg, err := h.ca.ServerTLS()
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, ln, ServeOptions{Listener: h.listener, TLS: cfg, Conns: 4, Patience: 200 * time.Millisecond})
	}()
	for range 12 {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	sp := openSpool(t, t.TempDir(), "node/c1/n1")
	defer sp.Close()
	creds := h.join(t, node("n1"))
	h.addr = ln.Addr().String()
	c, stop := h.client(t, creds, sp, nil)
	until(t, "a good one gets in", func() bool { up, _, _ := c.Connected(); return up })
	stop()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestALongStreamIsRenewedToo: a certificate must not end under a stream that never broke,
// for nobody could connect with it, nor renew it, afterwards.
func TestALongStreamIsRenewedToo(t *testing.T) {
	h := newHub(t, ListenerOptions{})
	sp := openSpool(t, t.TempDir(), "node/c1/n1")
	defer sp.Close()
	asked := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	c, err := NewClient(ClientOptions{
		URL: h.url(), TLS: h.join(t, node("n1")).ClientTLS(), Source: sp, BeforeEvery: time.Millisecond,
		Before: func(ctx context.Context) error {
			select {
			case asked <- struct{}{}:
			case <-ctx.Done():
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	<-asked
	for up := false; !up; up, _, _ = c.Connected() {
		select {
		case <-asked: // an attempt waits for it
		case <-time.After(time.Millisecond):
		}
	}
	_, since, _ := c.Connected()
	for range 3 {
		<-asked
	}
	if up, at, err := c.Connected(); !up || at != since {
		t.Errorf("the stream broke for it: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
