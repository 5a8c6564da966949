package ring

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A ring behaves as a slice that refuses to grow over its bound.
func TestRingAgainstSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bound := rapid.IntRange(1, 20).Draw(t, "bound")
		r := New[int]("test", bound, "full")
		var model []int
		var lost uint64
		next := 0
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				next++
				if ok := r.Push(next); ok != (len(model) < bound) {
					t.Fatalf("push said %v with %d of %d", ok, len(model), bound)
				} else if ok {
					model = append(model, next)
				} else {
					lost++
				}
			},
			"evict": func(t *rapid.T) {
				next++
				old, evicted := r.PushEvict(next)
				if evicted != (len(model) == bound) {
					t.Fatalf("evicted %v with %d of %d", evicted, len(model), bound)
				}
				if evicted {
					if old != model[0] {
						t.Fatalf("evicted %d, want %d", old, model[0])
					}
					model = model[1:]
					lost++
				}
				model = append(model, next)
			},
			"pop": func(t *rapid.T) {
				v, ok := r.Pop()
				if ok != (len(model) > 0) || ok && v != model[0] {
					t.Fatalf("popped %d %v, model %v", v, ok, model)
				}
				if ok {
					model = model[1:]
				}
			},
			"": func(t *rapid.T) {
				got := make([]int, r.Len())
				for i := range got {
					got[i] = *r.At(i)
				}
				if !slices.Equal(got, model) || r.Lost() != lost || r.Full() != (len(model) == bound) {
					t.Fatalf("holds %v, want %v; lost %d, want %d", got, model, r.Lost(), lost)
				}
			},
		})
	})
}

func TestRingRefusesToBeUnbounded(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("a ring without a bound was made")
		}
	}()
	New[int]("x", 0, "full")
}
