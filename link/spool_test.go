package link

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestEveryPreciousEnvelopeArrivesOnceInOrder drives a spool, a relay's spool behind it
// and a store that knows numbers through cuts, restarts, lost acknowledgements and
// slowness in any order. In the end the store has what was sent: once, in order.
func TestEveryPreciousEnvelopeArrivesOnceInOrder(t *testing.T) {
	root := t.TempDir()
	if shm, err := os.MkdirTemp("/dev/shm", "link-test-"); err == nil { // order is in question here, not what fsync does
		root = shm
		defer os.RemoveAll(shm)
	}
	rapid.Check(t, func(rt *rapid.T) {
		base, err := os.MkdirTemp(root, "")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(base)
		open := func(name, origin string) *Spool {
			s, err := OpenSpool(SpoolOptions{Dir: filepath.Join(base, name), Origin: origin, Lazy: true, Bounds: map[Lane]Bound{LaneAlert: {Bytes: 64 << 10}, LaneInventory: {Bytes: 64 << 10}}})
			if err != nil {
				rt.Fatal(err)
			}
			return s
		}
		near, relay := open("near", "node/c1/n1"), open("relay", "cluster/c1")
		defer func() { near.Close(); relay.Close() }()
		sent := map[Lane]int{}
		type stored struct{ epoch, seq uint64 }
		marks := map[place]stored{} // as the store keeps them: the epoch is part of what is compared
		got := map[Lane]int{}
		ctx := context.Background()
		send := func(lane Lane) {
			// Long ones fill segments; a full lane would wait, so it is not tried.
			if near.Pending(lane) > 12 {
				return
			}
			if err := near.Send(ctx, lane, KindFinding, append(fmt.Appendf(nil, "%d ", sent[lane]), make([]byte, 2000)...)); err != nil {
				rt.Fatal(err)
			}
			sent[lane]++
		}
		hop := func(n int, heard bool) { // near to relay
			if relay.Pending(LaneAlert) > 10 || relay.Pending(LaneInventory) > 10 || near.Pending(LaneAlert)+near.Pending(LaneInventory) == 0 {
				return
			}
			near.Reconnect()
			list, err := near.Receive(ctx, n)
			if err != nil {
				rt.Fatal(err)
			}
			appendCtx, cancel := context.WithTimeout(ctx, 20*time.Second)
			defer cancel()
			if err := relay.Append(appendCtx, list); err != nil {
				rt.Fatal(err)
			}
			for _, e := range list {
				if heard {
					if err := near.Ack(e.Origin, e.Epoch, e.Lane, e.Seq); err != nil {
						rt.Fatal(err)
					}
				}
			}
		}
		store := func(n int, heard bool) { // relay to store
			if relay.Pending(LaneAlert)+relay.Pending(LaneInventory) == 0 {
				return
			}
			relay.Reconnect()
			list, err := relay.Receive(ctx, n)
			if err != nil {
				rt.Fatal(err)
			}
			for _, e := range list {
				p := place{e.Origin, 0, e.Lane}
				if m := marks[p]; e.Epoch < m.epoch {
					rt.Fatalf("an older epoch after a newer one: %+v", e)
				} else if e.Epoch != m.epoch || e.Seq > m.seq {
					marks[p] = stored{e.Epoch, e.Seq}
					if want := fmt.Sprintf("%d ", got[e.Lane]); !bytes.HasPrefix(e.Bytes, []byte(want)) {
						rt.Fatalf("lane %s: got %.10q, want %q", e.Lane, e.Bytes, want)
					}
					got[e.Lane]++
				}
				if heard {
					if err := relay.Ack(e.Origin, e.Epoch, e.Lane, e.Seq); err != nil {
						rt.Fatal(err)
					}
				}
			}
		}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			n := rapid.IntRange(1, 8).Draw(rt, "n")
			switch rapid.IntRange(0, 7).Draw(rt, "what") {
			case 0, 1:
				send(LaneAlert)
			case 2:
				send(LaneInventory)
			case 3:
				hop(n, rapid.Bool().Draw(rt, "heard"))
			case 4, 5:
				store(n, rapid.Bool().Draw(rt, "heard"))
			case 6:
				near.Close()
				near = open("near", "node/c1/n1")
			case 7:
				relay.Close()
				relay = open("relay", "cluster/c1")
			}
		}
		for near.Pending(LaneAlert)+near.Pending(LaneInventory)+relay.Pending(LaneAlert)+relay.Pending(LaneInventory) > 0 {
			hop(8, true)
			store(8, true)
		}
		for lane, n := range sent {
			if got[lane] != n {
				rt.Fatalf("lane %s: %d sent, %d stored", lane, n, got[lane])
			}
		}
	})
}

func TestATornEndIsCutCountedAndAnnounced(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir, "n")
	for i := range 3 {
		if err := s.Send(t.Context(), LaneAlert, KindFinding, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	segs, err := filepath.Glob(filepath.Join(dir, "alert-*.seg"))
	if err != nil || len(segs) != 1 {
		t.Fatal(segs, err)
	}
	info, err := os.Stat(segs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(segs[0], info.Size()-1); err != nil {
		t.Fatal(err)
	}
	s = openSpool(t, dir, "n")
	defer s.Close()
	if err := s.Send(t.Context(), LaneAlert, KindFinding, []byte("new")); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, e := range receive(t, s, 4) {
		texts = append(texts, string(e.Bytes))
	}
	if texts[0] != "0" || texts[1] != "1" || !strings.Contains(texts[2], `"reason":"torn"`) || texts[3] != "new" {
		t.Fatalf("%q", texts)
	}
	if h := s.Ledger().Hops(); len(h) == 0 || h[0].Lost != 1 {
		t.Fatalf("%+v", h)
	}
}

func TestAFullEventLaneDropsAndSaysSo(t *testing.T) {
	s, err := OpenSpool(SpoolOptions{Dir: t.TempDir(), Origin: "n", Bounds: map[Lane]Bound{LaneEvent: {Envelopes: 3}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	dropped := 0
	for i := range 5 {
		if err := s.Send(t.Context(), LaneEvent, KindUse, fmt.Append(nil, i)); errors.Is(err, ErrFull) {
			dropped++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	list := receive(t, s, 4)
	if dropped != 2 || string(list[2].Bytes) != "2" || list[3].Kind != KindLoss || !strings.Contains(string(list[3].Bytes), `"count":"2"`) {
		t.Fatalf("%d dropped, %+v", dropped, list)
	}
}

func TestTheNewestStatusReplacesWhatWaits(t *testing.T) {
	s := openSpool(t, t.TempDir(), "n")
	defer s.Close()
	for i := range 5 {
		for _, k := range []Kind{KindStatus, KindRules} {
			if err := s.Send(t.Context(), LaneStatus, k, fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := s.Pending(LaneStatus); n != 2 {
		t.Fatalf("%d wait", n)
	}
	for _, e := range receive(t, s, 2) {
		if string(e.Bytes) != "4" {
			t.Fatalf("%+v", e)
		}
	}
}

func TestASpoolIsOneOriginsAndOneProcesss(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir, "a")
	if _, err := OpenSpool(SpoolOptions{Dir: dir, Origin: "a"}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("%v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSpool(SpoolOptions{Dir: dir, Origin: "b"}); err == nil || !strings.Contains(err.Error(), "has a directory of its own") {
		t.Errorf("%v", err)
	}
}

// On a disk that is full events make way for alerts, and once nothing can, alerts wait
// and none is lost.
func TestAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	s, err := OpenSpool(SpoolOptions{Dir: dir, Origin: "n", Bounds: map[Lane]Bound{LaneEvent: {Bytes: 1 << 20}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	payload := make([]byte, 10<<10)
	for full := false; !full; {
		err := s.Send(t.Context(), LaneEvent, KindUse, payload)
		if full = errors.Is(err, ErrFull); err != nil && !full {
			t.Fatal(err)
		}
	}
	before := s.Pending(LaneEvent)
	alerts := 0
	for s.Pending(LaneEvent) > 0 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := s.Send(ctx, LaneAlert, KindFinding, payload)
		cancel()
		if err != nil {
			t.Fatalf("with %d events left to give, after %d alerts: %v", s.Pending(LaneEvent), alerts, err)
		}
		alerts++
	}
	if alerts == 0 || before == 0 {
		t.Fatal(before, alerts)
	}
	// Now nothing can give way: a sender waits, and goes on once something was acknowledged.
	waiting := make(chan error, 1)
	sent := 0
	for blocked := false; !blocked; {
		go func() { waiting <- s.Send(t.Context(), LaneAlert, KindFinding, payload) }()
		for settled := false; !settled; {
			select {
			case err := <-waiting:
				if err != nil {
					t.Fatal(err)
				}
				sent, settled = sent+1, true
			default:
				blocked = s.Failing() != nil
				settled = blocked
			}
		}
	}
	receive(t, s, alerts+sent)
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(appendHello(nil, hello{Version: 1, Envelopes: 3}))
	f.Add(appendFrame(nil, frameEnvelope, func(b []byte) []byte {
		return appendEnvelope(b, &Envelope{Origin: "o", Epoch: 1, Lane: LaneAlert, Seq: 1, Kind: KindFinding, Bytes: []byte("x")})
	}))
	f.Add(appendDown(nil, &Down{Kind: KindPods, Key: "k", Bytes: []byte("x")}))
	f.Add([]byte{2, 255, 255, 255, 255, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		var buf []byte
		for {
			kind, body, keep, err := readFrame(r, buf)
			buf = keep
			if err != nil {
				return
			}
			switch kind {
			case frameEnvelope:
				if e, err := parseEnvelope(body); err == nil {
					if again := appendEnvelope(nil, &e); !bytes.Equal(again, body) {
						t.Fatalf("%x was read as %+v, which is %x", body, e, again)
					}
				}
			case frameDown:
				if d, err := parseDown(body); err == nil && !bytes.Equal(appendDown(nil, &d)[5:], body) {
					t.Fatalf("%x was read as %+v", body, d)
				}
			case frameHello:
				_, _ = parseHello(body)
			case frameAck:
				_, _, _ = parsePlace(body)
			}
		}
	})
}

// Whatever lies in a segment, a spool opens; what it delivers of it is the same after the
// next start, and nothing is left once that is acknowledged. With whole, the bytes are the
// bodies of records that are whole, each after a byte of its length.
func FuzzSegment(f *testing.F) {
	envelope := func(seq uint64) []byte {
		return appendEnvelope([]byte{recordEnvelope}, &Envelope{Origin: "n", Epoch: 1, Lane: LaneAlert, Seq: seq, Kind: KindFinding, Bytes: []byte("x")})
	}
	ack := appendPlace([]byte{recordAck}, "n", 1, LaneAlert, 1)
	record := func(body []byte) []byte {
		return appendRecord(nil, body[0], func(b []byte) []byte { return append(b, body[1:]...) })
	}
	good := record(envelope(1))
	f.Add(good, false)
	f.Add(append(good, record(ack)...), false)
	var bodies []byte
	for _, b := range [][]byte{envelope(1), envelope(3), ack, envelope(2), envelope(1 << 62)} {
		bodies = append(append(bodies, byte(len(b))), b...)
	}
	f.Add(bodies, true)
	f.Fuzz(func(t *testing.T, b []byte, whole bool) {
		if whole {
			var records []byte
			for len(b) > 1 {
				n := min(max(1, int(b[0])), len(b)-1)
				records = append(records, record(b[1:1+n])...)
				b = b[1+n:]
			}
			b = records
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "alert-0000000000000001.seg"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		open := func() *spoolLane {
			l := &spoolLane{lane: LaneAlert, dir: dir, bound: spoolBounds[LaneAlert], segment: maxSegment, tracks: map[place]*track{}}
			if err := l.load(); err != nil {
				t.Fatal(err)
			}
			return l
		}
		all := func(l *spoolLane) (out []Envelope) {
			for {
				e, _, err := l.deliver()
				if err == io.EOF {
					return out
				}
				if err == nil {
					out = append(out, e)
				}
			}
		}
		l := open()
		first := all(l)
		if l.live != len(first) {
			t.Fatalf("%d of %d were delivered", len(first), l.live)
		}
		if err := l.close(); err != nil {
			t.Fatal(err)
		}
		l = open()
		if again := all(l); !reflect.DeepEqual(first, again) {
			t.Fatalf("%+v after the next start, before %+v", again, first)
		}
		for _, e := range first {
			if err := l.ack(place{e.Origin, e.Epoch, e.Lane}, e.Seq); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.close(); err != nil {
			t.Fatal(err)
		}
		l = open()
		if left := all(l); len(left) != 0 {
			t.Fatalf("acknowledged and there again: %+v", left)
		}
		if err := l.close(); err != nil {
			t.Fatal(err)
		}
	})
}
