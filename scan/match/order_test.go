package match

import (
	"testing"

	"github.com/google/osv-scalibr/semantic"
	"pgregory.net/rapid"
)

// Both ways of comparing must agree wherever the fast one answers, on versions made of
// what versions are made of and on the odd ones.
func TestFastOrdersAgreeWithTheSemanticPackage(t *testing.T) {
	piece := rapid.SampledFrom([]string{"0", "1", "2", "9", "10", "007", "00", "123456789012345678901234567890", ".", ".", "-", "-", "~", "^", "+", ":", "a", "b", "rc", "Z",
		"deb12u1", "+dfsg", "ubuntu0.1", "~bpo12+1", ".el9", "_", "-r", " ", "é", "git20240101", "1:", "2:", "0:"})
	text := rapid.Custom(func(t *rapid.T) string {
		s := ""
		for range rapid.IntRange(0, 8).Draw(t, "pieces") {
			s += piece.Draw(t, "piece")
		}
		return s
	})
	for _, order := range []string{"Debian", "Ubuntu", "Red Hat"} {
		t.Run(order, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				a := text.Draw(t, "a")
				b := text.Draw(t, "b")
				if rapid.Bool().Draw(t, "alike") { // share a beginning, so that the ends decide
					b = a[:rapid.IntRange(0, len(a)).Draw(t, "cut")] + b
				}
				agree(t, order, a, b)
			})
		})
	}
}

type fataler interface{ Fatalf(string, ...any) }

// agree reports whether the fast order answered.
func agree(t fataler, order, a, b string) bool {
	got, ok := compareFast(order, a, b)
	if back, okBack := compareFast(order, b, a); okBack != ok {
		t.Fatalf("%s: %q, %q is answered one way only (%d, %d)", order, a, b, got, back)
	}
	if !ok {
		return false
	}
	v, err := semantic.Parse(a, order)
	if err != nil {
		t.Fatalf("%s: %q is read by the fast order, elsewhere %v", order, a, err)
	}
	want, err := v.CompareStr(b)
	if err != nil || sign(want) != got {
		t.Fatalf("%s: %q against %q is %d, elsewhere %d (%v)", order, a, b, got, want, err)
	}
	return true
}

func FuzzFastOrders(f *testing.F) {
	f.Add("1:2.36-9+deb12u4", "2.36-9")
	f.Add("(none):4.0~rc1^git-3.el9_2.1", "0:4.0-3.el9")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > maxVersion || len(b) > maxVersion {
			t.Skip("longer than a version may be")
		}
		for _, order := range []string{"Debian", "Red Hat"} {
			agree(t, order, a, b)
		}
	})
}
