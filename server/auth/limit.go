package auth

import (
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/internal/clock"
)

// Failed sign-ins: at most limitBurst at once and one more every limitRefill, for
// each address. A code cannot be guessed anyway; this keeps the log and the disk quiet.
const (
	limitBurst  = 10
	limitRefill = 6 * time.Second
	limitKeep   = 1024 // addresses remembered
)

// limiter remembers failures by address. Safe for concurrent use.
type limiter struct {
	clock clock.Clock
	mu    sync.Mutex
	debt  map[string]time.Time // when the address has its whole burst again
}

func newLimiter(c clock.Clock) *limiter {
	return &limiter{clock: c, debt: map[string]time.Time{}}
}

func (l *limiter) allow(who string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.debt[who].Sub(l.clock.Now()) <= (limitBurst-1)*limitRefill
}

func (l *limiter) failed(who string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	if _, known := l.debt[who]; !known && len(l.debt) >= limitKeep {
		l.forget(now)
	}
	from := now
	if d := l.debt[who]; d.After(now) {
		from = d
	}
	l.debt[who] = from.Add(limitRefill)
}

// forget drops who has paid, else whoever owes least.
func (l *limiter) forget(now time.Time) {
	var least string
	var at time.Time
	for who, d := range l.debt {
		if !d.After(now) {
			delete(l.debt, who)
		} else if least == "" || d.Before(at) {
			least, at = who, d
		}
	}
	if len(l.debt) >= limitKeep {
		delete(l.debt, least)
	}
}
