package kubeaudit

import (
	"time"

	"github.com/dockreeve/dockreeve/event"
)

// recent remembers which events were handed on lately: between 100,000 and 200,000 of
// the last, or those of the last five to ten minutes, whichever are fewer. It holds two
// generations, about 20 MB when full. The zero value is ready.
type recent struct {
	young, old map[event.ID]struct{}
	born       time.Time
}

const (
	recentMax = 100_000
	recentAge = 5 * time.Minute
)

func (r *recent) has(id event.ID, now time.Time) bool {
	r.turn(now)
	_, ok := r.young[id]
	if !ok {
		_, ok = r.old[id]
	}
	return ok
}

func (r *recent) add(id event.ID, now time.Time) {
	r.turn(now)
	r.young[id] = struct{}{}
}

// turn begins a new generation when the young one is full or old.
func (r *recent) turn(now time.Time) {
	age := now.Sub(r.born)
	if r.young != nil && len(r.young) < recentMax && age < recentAge && age > -recentAge {
		return
	}
	if r.old = r.young; age >= 2*recentAge {
		r.old = nil
	}
	r.young, r.born = map[event.ID]struct{}{}, now
}
