// Package ring is the one bounded queue of the house: its constructor asks for a
// name, a bound and the reason under which losses are counted, so no queue exists
// without them. It promises never to hold more than its bound. It does not lock:
// the owner does.
package ring

import "fmt"

// Ring is a first-in first-out queue of at most Bound values. The zero value is
// not usable; call New. Not safe for concurrent use.
type Ring[T any] struct {
	name   string
	reason string
	bound  int
	buf    []T // grows up to bound, so an idle ring costs nothing
	head   int
	n      int
	lost   uint64
}

// New returns an empty ring. name says what it holds and reason how its losses
// are counted; both appear in health reports. It panics on a bound below one or
// an empty name or reason: those are mistakes of the program, not of its input.
func New[T any](name string, bound int, reason string) *Ring[T] {
	if bound < 1 || name == "" || reason == "" {
		panic(fmt.Sprintf("ring %q: bound %d, loss reason %q: all three are needed", name, bound, reason))
	}
	return &Ring[T]{name: name, reason: reason, bound: bound}
}

// Name, Reason and Bound are what New was given.
func (r *Ring[T]) Name() string   { return r.name }
func (r *Ring[T]) Reason() string { return r.reason }
func (r *Ring[T]) Bound() int     { return r.bound }

// Len is how many values wait; Lost how many Push refused and PushEvict threw out.
func (r *Ring[T]) Len() int     { return r.n }
func (r *Ring[T]) Lost() uint64 { return r.lost }

// Full reports whether the next Push would be refused.
func (r *Ring[T]) Full() bool { return r.n == r.bound }

// Push adds v at the end. It reports false, and counts a loss, when the ring is full.
func (r *Ring[T]) Push(v T) bool {
	if r.n == r.bound {
		r.lost++
		return false
	}
	if r.n == len(r.buf) {
		r.grow()
	}
	r.buf[(r.head+r.n)%len(r.buf)] = v
	r.n++
	return true
}

// PushEvict adds v at the end; when the ring is full the oldest value makes room,
// is counted as lost and is returned.
func (r *Ring[T]) PushEvict(v T) (old T, evicted bool) {
	if r.n == r.bound {
		old, evicted = r.Pop()
		r.lost++
	}
	r.Push(v)
	return old, evicted
}

// Pop takes the oldest value.
func (r *Ring[T]) Pop() (v T, ok bool) {
	if r.n == 0 {
		return v, false
	}
	var zero T
	v, r.buf[r.head] = r.buf[r.head], zero
	r.head = (r.head + 1) % len(r.buf)
	r.n--
	return v, true
}

// At is a pointer to the i-th oldest value, valid until the next Push or Pop. It
// panics when i is out of range, as a slice does.
func (r *Ring[T]) At(i int) *T {
	if i < 0 || i >= r.n {
		panic(fmt.Sprintf("ring %s: index %d of %d", r.name, i, r.n))
	}
	return &r.buf[(r.head+i)%len(r.buf)]
}

func (r *Ring[T]) grow() {
	next := make([]T, min(r.bound, max(8, 2*len(r.buf))))
	for i := range r.n {
		next[i] = r.buf[(r.head+i)%len(r.buf)]
	}
	r.buf, r.head = next, 0
}
