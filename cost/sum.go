package cost

import (
	"fmt"
	"math"
	"math/bits"
	"sort"
)

// ErrOverflow is returned where a sum is larger than an Amount can hold.
var ErrOverflow = fmt.Errorf("the sum is larger than can be held")

// Sum adds amounts of one currency. It refuses other currencies (ErrCurrency), sums that
// an Amount cannot hold (ErrOverflow) and amounts that were not assessed. Source and AsOf
// of the result are those of the amounts where all agree, the oldest date where not.
func Sum(of ...Money) (Money, error) {
	var out Money
	for i, m := range of {
		if m.NotAssessed != "" {
			return Money{}, fmt.Errorf("amount %d of the sum: not assessed: %s", i+1, m.NotAssessed)
		}
		if i == 0 {
			out = m
			continue
		}
		if m.Currency != out.Currency {
			return Money{}, fmt.Errorf("amount %d of the sum is in %s, those before in %s: %w", i+1, m.Currency, out.Currency, ErrCurrency)
		}
		a, ok := add(out.Amount, m.Amount)
		if !ok {
			return Money{}, fmt.Errorf("amount %d of the sum: %w", i+1, ErrOverflow)
		}
		out.Amount = a
		if m.Source != out.Source {
			out.Source = "several"
		}
		if m.AsOf < out.AsOf {
			out.AsOf = m.AsOf
		}
	}
	return out, nil
}

// add adds, and says whether the sum can be held.
func add(a, b Amount) (Amount, bool) {
	c := a + b
	return c, (c > a) == (b > 0)
}

// share is a part in split: a name, to break ties by, and a weight.
type share struct {
	key    string
	weight float64
}

// split divides an amount among shares in proportion to their weights, to the micro: the
// parts add up to the amount. What is left after rounding down goes, micro by micro, to
// the largest remainders, ties by key. Weights that are not positive numbers get nothing;
// if none is positive, nothing is divided and ok is false. A negative amount (a refund)
// is divided like its opposite.
func split(of Amount, among []share) (parts []Amount, ok bool) {
	parts = make([]Amount, len(among))
	most := 0.0
	for _, s := range among {
		if s.weight > most && !math.IsInf(s.weight, 0) {
			most = s.weight
		}
	}
	if most == 0 {
		return parts, false
	}
	// Weights become whole numbers of 40 bits, so that the division below is exact.
	whole := make([]uint64, len(among))
	var all uint64
	for i, s := range among {
		if s.weight > 0 && !math.IsInf(s.weight, 0) {
			whole[i] = uint64(math.Round(s.weight / most * (1 << 40)))
			all += whole[i]
		}
	}
	size := uint64(of)
	if of < 0 {
		size = -size
	}
	type rest struct {
		i    int
		left uint64
	}
	rests := make([]rest, 0, len(among))
	remaining := size
	for i, w := range whole {
		if w == 0 {
			continue
		}
		hi, lo := bits.Mul64(size, w)
		q, left := bits.Div64(hi, lo, all)
		parts[i] = Amount(q)
		remaining -= q
		rests = append(rests, rest{i, left})
	}
	sort.Slice(rests, func(a, b int) bool {
		if rests[a].left != rests[b].left {
			return rests[a].left > rests[b].left
		}
		return among[rests[a].i].key < among[rests[b].i].key
	})
	// Fewer micros than shares are left: each remainder is below one.
	for k := uint64(0); k < remaining; k++ {
		parts[rests[k].i]++
	}
	if of < 0 {
		for i := range parts {
			parts[i] = -parts[i]
		}
	}
	return parts, true
}
