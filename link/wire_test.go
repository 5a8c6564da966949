package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/internal/pki"
)

// hub is an authority with a listener behind real TLS.
type hub struct {
	dir      string
	ca       *pki.CA
	tokens   *pki.Tokens
	listener *Listener
	addr     string
	silence  time.Duration // of its clients
	stop     func()
}

func newHub(t testing.TB, opt ListenerOptions) *hub {
	t.Helper()
	h := &hub{dir: t.TempDir()}
	var err error
	if h.ca, err = pki.OpenCA(h.dir, nil); err != nil {
		t.Fatal(err)
	}
	if h.tokens, err = pki.OpenTokens(h.dir, h.ca); err != nil {
		t.Fatal(err)
	}
	h.start(t, "127.0.0.1:0", opt)
	return h
}

func (h *hub) start(t testing.TB, addr string, opt ListenerOptions) {
	t.Helper()
	cfg, err := h.ca.ServerTLS()
	if err != nil {
		t.Fatal(err)
	}
	var ln net.Listener
	for range 100 { // the address of the one before may linger
		if ln, err = net.Listen("tcp", addr); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.addr = ln.Addr().String()
	h.listener = NewListener(opt)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, ln, ServeOptions{Listener: h.listener, TLS: cfg, Join: h.tokens.Handler()})
	}()
	stopped := false
	h.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	}
	t.Cleanup(h.stop)
}

func (h *hub) url() string { return "https://" + h.addr }

func (h *hub) join(t testing.TB, who pki.Identity) *pki.Credentials {
	t.Helper()
	tok, _, err := h.tokens.Issue(who.Role, who.Cluster, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := pki.Join(context.Background(), h.url(), tok.String(), filepath.Join(t.TempDir(), "creds"), who, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func node(name string) pki.Identity {
	return pki.Identity{Role: pki.RoleNode, Cluster: "c1", Node: name}
}

func (h *hub) client(t testing.TB, creds *pki.Credentials, src Source, down func(Down)) (*Client, func()) {
	t.Helper()
	c, err := NewClient(ClientOptions{URL: h.url(), TLS: creds.ClientTLS(), Source: src, Down: down, Silence: h.silence, Pause: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("client: %v", err)
		}
	}
	t.Cleanup(stop)
	return c, stop
}

// receive takes n envelopes and acknowledges them.
func receive(t testing.TB, from Receiver, n int) []Envelope {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out []Envelope
	for len(out) < n {
		list, err := from.Receive(ctx, n-len(out))
		if err != nil {
			t.Fatalf("after %d of %d: %v", len(out), n, err)
		}
		out = append(out, list...)
		for _, e := range list {
			if err := from.Ack(e.Origin, e.Epoch, e.Lane, e.Seq); err != nil {
				t.Fatal(err)
			}
		}
	}
	return out
}

func openSpool(t testing.TB, dir, origin string) *Spool {
	t.Helper()
	s, err := OpenSpool(SpoolOptions{Dir: dir, Origin: origin})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// until waits for what another goroutine is about to do.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within half a minute", what)
		}
	}
}

func TestEnvelopesGoUpAndMessagesComeDown(t *testing.T) {
	h := newHub(t, ListenerOptions{})
	if err := h.listener.SetDown("node/c1/n1", Down{Kind: KindPods, Bytes: []byte("early")}); err != nil {
		t.Fatal(err)
	}
	creds := h.join(t, node("n1"))
	sp := openSpool(t, t.TempDir(), "node/c1/n1")
	defer sp.Close()
	got := make(chan Down, 10)
	_, _ = h.client(t, creds, sp, func(d Down) { got <- d })
	if d := <-got; string(d.Bytes) != "early" || d.Kind != KindPods {
		t.Fatalf("%+v", d)
	}
	for i := range 2000 {
		if err := sp.Send(t.Context(), LaneEvent, KindUse, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	for i, e := range receive(t, h.listener, 2000) {
		if string(e.Bytes) != fmt.Sprint(i) || e.Origin != "node/c1/n1" || e.Lane != LaneEvent || e.Epoch != sp.Epoch() {
			t.Fatalf("%d: %+v", i, e)
		}
	}
	until(t, "the spool is empty", func() bool { return sp.Pending(LaneEvent) == 0 })
	if err := h.listener.SetDownAll(Down{Kind: KindRuleFiles, Key: "k", Bytes: []byte("rules")}); err != nil {
		t.Fatal(err)
	}
	if d := <-got; string(d.Bytes) != "rules" || d.Key != "k" {
		t.Fatalf("%+v", d)
	}
	if p := h.listener.Peers(); len(p) != 1 || p[0].Name != "node/c1/n1" {
		t.Fatalf("%+v", p)
	}
}

func TestNobodySendsInAnothersName(t *testing.T) {
	h := newHub(t, ListenerOptions{})
	creds := h.join(t, node("n1"))
	sp := openSpool(t, t.TempDir(), "node/c1/n2")
	defer sp.Close()
	c, _ := h.client(t, creds, sp, nil)
	if err := sp.Send(t.Context(), LaneAlert, KindFinding, []byte("forged")); err != nil {
		t.Fatal(err)
	}
	until(t, "the forger is hung up on", func() bool {
		_, _, err := c.Connected()
		return err != nil && contains(err.Error(), "may not send in the name of")
	})
	if n := sp.Pending(LaneAlert); n != 1 {
		t.Fatalf("%d pending", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if list, err := h.listener.Receive(ctx, 10); err == nil {
		t.Fatalf("the hub took %+v", list)
	}
}

func contains(s, part string) bool {
	for i := 0; i+len(part) <= len(s); i++ {
		if s[i:i+len(part)] == part {
			return true
		}
	}
	return false
}

func TestRelayKeepsOriginAndNumbers(t *testing.T) {
	h := newHub(t, ListenerOptions{})
	agent := h.join(t, pki.Identity{Role: pki.RoleCluster, Cluster: "c1"})
	// The cluster agent: a listener for nodes, a spool, a client to the hub.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	below := NewListener(ListenerOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	var done [2]chan error
	for i := range done {
		done[i] = make(chan error, 1)
	}
	go func() {
		done[0] <- Serve(ctx, ln, ServeOptions{Listener: below, TLS: agent.ServerTLS(), Join: agent.Forward(h.url())})
	}()
	spool := openSpool(t, t.TempDir(), "cluster/c1")
	go func() { done[1] <- Relay(ctx, below, spool) }()
	defer func() {
		cancel()
		if err := errors.Join(<-done[0], <-done[1], spool.Close()); err != nil {
			t.Error(err)
		}
	}()
	_, stopAgent := h.client(t, agent, spool, nil)
	defer stopAgent()

	tok, _, err := h.tokens.Issue(pki.RoleNode, "c1", 0)
	if err != nil {
		t.Fatal(err)
	}
	creds, err := pki.Join(t.Context(), "https://"+ln.Addr().String(), tok.String(), t.TempDir(), node("n1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	sp := openSpool(t, t.TempDir(), "node/c1/n1")
	defer sp.Close()
	to := &hub{addr: ln.Addr().String()}
	_, stopNode := to.client(t, creds, sp, nil)
	defer stopNode()
	for i := range 300 {
		if err := sp.Send(t.Context(), LaneAlert, KindFinding, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := spool.Send(t.Context(), LaneInventory, KindInventory, []byte("of the agent")); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range receive(t, h.listener, 301) {
		if e.Lane == LaneInventory {
			if e.Origin != "cluster/c1" {
				t.Fatalf("%+v", e)
			}
			continue
		}
		if e.Origin != "node/c1/n1" || e.Epoch != sp.Epoch() || string(e.Bytes) != fmt.Sprint(n) {
			t.Fatalf("%d: %+v", n, e)
		}
		n++
	}
	until(t, "both spools are empty", func() bool { return sp.Pending(LaneAlert)+spool.Pending(LaneAlert) == 0 })
}

func TestMain(m *testing.M) {
	if dir := os.Getenv("LINK_TEST_CHILD"); dir != "" {
		child(dir)
	}
	os.Exit(m.Run())
}
