package cost

import (
	"math"
	"testing"
)

func TestFromFloat(t *testing.T) {
	for in, want := range map[float64]Amount{0: 0, 1: Unit, -1: -Unit, 0.0000005: 1, -0.0000005: -1, 0.0000004: 0, 12.3456789: 12_345_679,
		math.Inf(1): math.MaxInt64, math.Inf(-1): -math.MaxInt64, 1e300: math.MaxInt64, -1e300: -math.MaxInt64} {
		if got := FromFloat(in); got != want {
			t.Errorf("%g: got %d, want %d", in, got, want)
		}
	}
	if got := FromFloat(math.NaN()); got != 0 {
		t.Errorf("no number: got %d", got)
	}
}
