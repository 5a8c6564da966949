package link

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dockreeve/dockreeve/event"
	"pgregory.net/rapid"
)

var gone = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// TestPipeAgainstModel drives a small pipe at random: everything taken on a
// precious lane arrives in order and at least once, what is not acknowledged
// comes again after a reconnect, and what is dropped is announced, to the last one.
func TestPipeAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bound := rapid.IntRange(1, 6).Draw(t, "bound")
		p := NewPipe(PipeOptions{Epoch: 1, Now: func() int64 { return 5 }, Bounds: map[Lane]Bound{
			LaneAlert: {Envelopes: bound}, LaneLoss: {Envelopes: bound}, LaneEvent: {Envelopes: bound}}})
		sent := 0
		var alerts, stored []string // taken by the pipe; acknowledged by the receiver
		var events []string
		dropped, announced := 0, 0
		newest := ""
		type got struct {
			seq  uint64
			text string
			loss int
		}
		var open = map[Lane][]got{} // delivered since the last reconnect, not acknowledged
		last := map[Lane]uint64{}   // highest Seq delivered on this connection
		acked := map[Lane]uint64{}

		receive := func(t *rapid.T, max int) int {
			list, err := p.Receive(gone, max)
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				return 0
			}
			if len(list) > max {
				t.Fatalf("%d envelopes, asked for %d", len(list), max)
			}
			for _, e := range list {
				if e.Seq <= last[e.Lane] || e.Seq <= acked[e.Lane] {
					t.Fatalf("lane %s: seq %d after %d, acknowledged to %d", e.Lane, e.Seq, last[e.Lane], acked[e.Lane])
				}
				last[e.Lane] = e.Seq
				g := got{seq: e.Seq, text: string(e.Bytes)}
				if e.Kind == KindLoss {
					var l event.Loss
					if err := json.Unmarshal(e.Bytes, &l); err != nil {
						t.Fatal(err)
					}
					g.loss = int(l.Count)
				}
				open[e.Lane] = append(open[e.Lane], g)
				clear(e.Bytes) // ours to spoil: a redelivery must not notice
			}
			return len(list)
		}
		ack := func(t *rapid.T, lane Lane, n int) {
			if n == 0 {
				return
			}
			seq := open[lane][n-1].seq
			if err := p.Ack("local", 1, lane, seq); err != nil {
				t.Fatal(err)
			}
			acked[lane] = seq
			for _, g := range open[lane][:n] {
				switch {
				case g.loss > 0:
					announced += g.loss
				default:
					stored = append(stored, g.text)
				}
			}
			open[lane] = open[lane][n:]
		}

		t.Repeat(map[string]func(*rapid.T){
			"send alert": func(t *rapid.T) {
				sent++
				text := fmt.Sprint("alert ", sent)
				err := p.Send(gone, LaneAlert, KindFinding, []byte(text))
				if full := p.Pending(LaneAlert) == bound; err != nil && !full {
					t.Fatalf("refused with room: %v", err)
				}
				if err == nil {
					alerts = append(alerts, text)
				} else if !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
			},
			"send event": func(t *rapid.T) {
				sent++
				text := fmt.Sprint("event ", sent)
				switch err := p.Send(gone, LaneEvent, KindFinding, []byte(text)); {
				case err == nil:
					events = append(events, text)
				case errors.Is(err, ErrFull):
					dropped++
				default:
					t.Fatal(err)
				}
			},
			"send status": func(t *rapid.T) {
				sent++
				newest = fmt.Sprint("status ", sent)
				if err := p.Send(gone, LaneStatus, KindStatus, []byte(newest)); err != nil && !errors.Is(err, ErrFull) {
					t.Fatal(err)
				}
			},
			"receive": func(t *rapid.T) { receive(t, rapid.IntRange(1, 8).Draw(t, "max")) },
			"acknowledge": func(t *rapid.T) {
				lane := rapid.SampledFrom(lanes[:]).Draw(t, "lane")
				ack(t, lane, rapid.IntRange(0, len(open[lane])).Draw(t, "n"))
			},
			"reconnect": func(t *rapid.T) {
				p.Reconnect()
				clear(open)
				clear(last)
			},
			"": func(t *rapid.T) {
				for _, l := range p.lanes {
					if l.q.Len() > l.q.Bound() || l.sent > l.q.Len() {
						t.Fatalf("lane %s holds %d, bound %d, sent %d", l.lane, l.q.Len(), l.q.Bound(), l.sent)
					}
					total := 0
					for i := range l.q.Len() {
						total += len(l.q.At(i).Bytes)
					}
					if total != l.bytes {
						t.Fatalf("lane %s counts %d bytes, holds %d", l.lane, l.bytes, total)
					}
				}
			},
		})

		for range 3 { // the second round fetches a loss announced by the first one's acknowledgement
			for receive(t, 100) > 0 {
			}
			for _, lane := range lanes {
				ack(t, lane, len(open[lane]))
			}
		}
		pick := func(prefix string) []string {
			return slices.DeleteFunc(slices.Clone(stored), func(s string) bool { return !strings.HasPrefix(s, prefix) })
		}
		if got := pick("alert"); !slices.Equal(got, alerts) {
			t.Fatalf("alerts stored %q, want %q", got, alerts)
		}
		if got := pick("event"); !slices.Equal(got, events) {
			t.Fatalf("events stored %q, want %q", got, events)
		}
		if announced != dropped {
			t.Fatalf("%d losses announced, %d happened", announced, dropped)
		}
		if s := pick("status"); len(s) > 0 && s[len(s)-1] != newest || len(s) == 0 && newest != "" {
			t.Fatalf("status stored %q, newest was %q", s, newest)
		}
		for _, h := range p.Ledger().Hops() {
			if h.Hop == "link.event" && h.Lost != uint64(dropped) {
				t.Fatalf("ledger says %d events lost, want %d", h.Lost, dropped)
			}
			if h.Hop == "link.alert" && h.In != h.Out+h.Lost {
				t.Fatalf("alerts: %+v does not add up", h)
			}
		}
	})
}

// A full precious lane holds its sender back until the receiver has stored.
func TestFullPreciousLaneHoldsTheSenderBack(t *testing.T) {
	p := NewPipe(PipeOptions{Bounds: map[Lane]Bound{LaneAlert: {Envelopes: 2}}})
	const n = 100
	done := make(chan error, 1)
	go func() {
		for i := range n {
			if err := p.Send(context.Background(), LaneAlert, KindFinding, fmt.Append(nil, i)); err != nil {
				done <- err
				return
			}
		}
		done <- p.Close()
	}()
	for want := 0; ; {
		list, err := p.Receive(context.Background(), 10)
		if err == io.EOF {
			if want != n {
				t.Fatalf("%d arrived, want %d", want, n)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if p.Pending(LaneAlert) > 2 {
			t.Fatalf("%d held, bound 2", p.Pending(LaneAlert))
		}
		for _, e := range list {
			if string(e.Bytes) != fmt.Sprint(want) || e.Seq != uint64(want+1) {
				t.Fatalf("got %s (seq %d), want %d", e.Bytes, e.Seq, want)
			}
			want++
			if err := p.Ack(e.Origin, e.Epoch, e.Lane, e.Seq); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := p.Send(context.Background(), LaneAlert, KindFinding, nil); !errors.Is(err, ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
}

func TestManySendersAtOnce(t *testing.T) {
	p := NewPipe(PipeOptions{Bounds: map[Lane]Bound{LaneAlert: {Envelopes: 3}, LaneEvent: {Envelopes: 3}}})
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for range 50 {
				if err := p.Send(context.Background(), LaneAlert, KindFinding, []byte("a")); err != nil {
					t.Error(err)
				}
				if err := p.Send(context.Background(), LaneEvent, KindFinding, []byte("e")); err != nil && !errors.Is(err, ErrFull) {
					t.Error(err)
				}
			}
		})
	}
	go func() { senders.Wait(); p.Close() }()
	alerts := 0
	for {
		list, err := p.Receive(context.Background(), 7)
		if err == io.EOF {
			break
		}
		for _, e := range list {
			if e.Lane == LaneAlert {
				alerts++
			}
			if err := p.Ack(e.Origin, e.Epoch, e.Lane, e.Seq); err != nil {
				t.Fatal(err)
			}
		}
	}
	if alerts != 200 {
		t.Fatalf("%d alerts arrived, want 200", alerts)
	}
}

func TestSendRefusesWhatItCannotCarry(t *testing.T) {
	p := NewPipe(PipeOptions{Now: func() int64 { return 9 }})
	if err := p.Send(context.Background(), LaneAlert, KindFinding, make([]byte, MaxBytes+1)); !errors.Is(err, ErrTooBig) {
		t.Errorf("too big: %v", err)
	}
	if err := p.Send(context.Background(), Lane(9), KindFinding, nil); err == nil {
		t.Error("a lane that does not exist took an envelope")
	}
	if err := p.Ack("local", p.epoch, LaneAlert, 1); !errors.Is(err, ErrAck) {
		t.Errorf("acknowledging what was never delivered: %v", err)
	}
	if err := p.Ack("local", p.epoch-1, LaneAlert, 1); err != nil {
		t.Errorf("an acknowledgement from an earlier life: %v", err)
	}
	want := []event.Loss{{Hop: "link.alert", Reason: "too_big", Count: 1, From: 9, To: 9}}
	if got := p.Ledger().Take(); !slices.Equal(got, want) {
		t.Errorf("losses %v, want %v", got, want)
	}
}

func TestFloodOfAlertsLeavesRoomForStatus(t *testing.T) {
	p := NewPipe(PipeOptions{})
	for range 50 {
		if err := p.Send(context.Background(), LaneAlert, KindFinding, []byte("a")); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Send(context.Background(), LaneStatus, KindStatus, []byte("s")); err != nil {
		t.Fatal(err)
	}
	list, err := p.Receive(context.Background(), 10)
	if err != nil || len(list) != 10 || list[9].Lane != LaneStatus {
		t.Fatalf("%v %v: want nine alerts and the status", list, err)
	}
}

func TestLedgerIsBoundedAndLosesNoCount(t *testing.T) {
	var l Ledger
	for i := range 2000 {
		l.Lost(event.Loss{Hop: fmt.Sprint("hop", i), Reason: fmt.Sprint("r", i), Count: 1, From: int64(i), To: int64(i)})
	}
	var hops, losses uint64
	for _, h := range l.Hops() {
		hops += h.Lost
	}
	taken := l.Take()
	for _, x := range taken {
		losses += x.Count
	}
	if hops != 2000 || losses != 2000 || len(l.Hops()) > maxLedgerHops+1 || len(taken) > maxLedgerLosses+1 {
		t.Fatalf("%d by hop in %d rows, %d by reason in %d rows", hops, len(l.Hops()), losses, len(taken))
	}
	l.Return(taken)
	if again := l.Take(); len(again) != len(taken) || len(l.Take()) != 0 {
		t.Fatalf("returned %d, took %d", len(taken), len(again))
	}
}

func TestRuleSetFitsOneEnvelope(t *testing.T) {
	s := RuleSet{Node: "n"}
	for range 40 {
		s.Rules = append(s.Rules, Rule{ID: "r", Condition: strings.Repeat("é", 1<<15)})
	}
	b, err := s.Encode()
	if err != nil || len(b) > MaxBytes {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	var back RuleSet
	if err := json.Unmarshal(b, &back); err != nil || back.LeftOut == 0 || len(back.Rules)+back.LeftOut != 40 {
		t.Fatalf("%d rules and %d left out of 40, %v", len(back.Rules), back.LeftOut, err)
	}
}
