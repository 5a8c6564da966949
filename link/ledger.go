package link

import (
	"slices"
	"strings"
	"sync"

	"github.com/dockreeve/dockreeve/event"
)

// Bounds of a Ledger. What is beyond them is counted under the hop or reason
// "other", so that nothing from outside can make it grow and no count is lost.
const (
	maxLedgerHops   = 128
	maxLedgerLosses = 512
)

// Ledger counts what each hop of a process took in, handed on and lost. The zero
// value is ready. Safe for concurrent use.
type Ledger struct {
	mu     sync.Mutex
	hops   map[string]*Hop
	losses map[lossKey]*event.Loss // not yet taken
}

type lossKey struct {
	hop, reason string
	lane        event.Lane
}

// In counts n things that arrived at hop.
func (l *Ledger) In(hop string, n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hop(hop).In += n
}

// Out counts n things that hop handed on.
func (l *Ledger) Out(hop string, n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hop(hop).Out += n
}

// Lost counts a loss and keeps it for Take. Losses of the same hop, reason and
// lane are added up and their stretch of time widened.
func (l *Ledger) Lost(loss event.Loss) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hop(loss.Hop).Lost += loss.Count
	l.pend(loss)
}

// count counts a loss that is announced elsewhere.
func (l *Ledger) count(hop string, n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hop(hop).Lost += n
}

func (l *Ledger) pend(loss event.Loss) {
	if l.losses == nil {
		l.losses = map[lossKey]*event.Loss{}
	}
	k := lossKey{loss.Hop, loss.Reason, loss.Lane}
	if _, ok := l.losses[k]; !ok && len(l.losses) >= maxLedgerLosses {
		loss.Hop, loss.Reason = "other", "other"
		k = lossKey{loss.Hop, loss.Reason, loss.Lane}
	}
	have, ok := l.losses[k]
	if !ok {
		l.losses[k] = &loss
		return
	}
	have.Count += loss.Count
	have.From = min(have.From, loss.From)
	have.To = max(have.To, loss.To)
}

// Take returns the losses counted since the last Take, sorted by hop and reason,
// and forgets them: the caller announces them. Give back what could not be
// announced with Return.
func (l *Ledger) Take() []event.Loss {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]event.Loss, 0, len(l.losses))
	for _, loss := range l.losses {
		out = append(out, *loss)
	}
	clear(l.losses)
	slices.SortFunc(out, func(a, b event.Loss) int {
		if c := strings.Compare(a.Hop, b.Hop); c != 0 {
			return c
		}
		if c := strings.Compare(a.Reason, b.Reason); c != 0 {
			return c
		}
		return int(a.Lane) - int(b.Lane)
	})
	return out
}

// Return puts losses back that were taken but not announced. The hop counters,
// which counted them already, stay.
func (l *Ledger) Return(losses []event.Loss) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, loss := range losses {
		l.pend(loss)
	}
}

// Hops is a copy of all counters, sorted by hop.
func (l *Ledger) Hops() []Hop {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Hop, 0, len(l.hops))
	for _, h := range l.hops {
		out = append(out, *h)
	}
	slices.SortFunc(out, func(a, b Hop) int { return strings.Compare(a.Hop, b.Hop) })
	return out
}

func (l *Ledger) hop(name string) *Hop {
	if l.hops == nil {
		l.hops = map[string]*Hop{}
	}
	h, ok := l.hops[name]
	if !ok && len(l.hops) >= maxLedgerHops {
		name = "other"
		h, ok = l.hops[name]
	}
	if !ok {
		h = &Hop{Hop: name}
		l.hops[name] = h
	}
	return h
}
