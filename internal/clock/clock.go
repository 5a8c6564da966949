// Package clock is the time of code that must be tested without waiting: the
// current time and timers, real or moved by hand. It promises that a Manual
// clock never advances by itself. It does not format or compare times.
package clock

import (
	"sync"
	"time"
)

// Clock tells the time and rings once after a while. Safe for concurrent use.
type Clock interface {
	Now() time.Time
	// After returns a channel that receives the time once d has passed, and a
	// function that gives the timer up.
	After(d time.Duration) (<-chan time.Time, func())
}

// Real is the machine's clock.
type Real struct{}

// Now is time.Now.
func (Real) Now() time.Time { return time.Now() }

// After is a timer of package time.
func (Real) After(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}

// Manual is a clock that moves only when Advance is called.
type Manual struct {
	mu     sync.Mutex
	now    time.Time
	timers map[chan time.Time]time.Time
	asked  chan struct{} // closed and replaced whenever a timer is set
}

// NewManual returns a clock that stands at now.
func NewManual(now time.Time) *Manual {
	return &Manual{now: now, timers: map[chan time.Time]time.Time{}, asked: make(chan struct{})}
}

// Now is where the clock stands.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// After rings when Advance has moved the clock by d or more.
func (m *Manual) After(d time.Duration) (<-chan time.Time, func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := make(chan time.Time, 1)
	if d <= 0 {
		c <- m.now
		return c, func() {}
	}
	m.timers[c] = m.now.Add(d)
	close(m.asked)
	m.asked = make(chan struct{})
	return c, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.timers, c)
	}
}

// Advance moves the clock and rings what is due.
func (m *Manual) Advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
	for c, at := range m.timers {
		if !at.After(m.now) {
			c <- m.now
			delete(m.timers, c)
		}
	}
}

// WaitTimers returns once at least n timers are set: how a test knows that the
// code under test has come to its wait.
func (m *Manual) WaitTimers(n int) {
	for {
		m.mu.Lock()
		have, asked := len(m.timers), m.asked
		m.mu.Unlock()
		if have >= n {
			return
		}
		<-asked
	}
}
