package main

import (
	"strings"
	"testing"
)

func TestNumbersAreShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 3: "3", 1234567: "1,234,567", 1000.4: "1,000", 123.4: "123", 12.34: "12.3", 1.234: "1.23", 0.004: "0.00"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestDistribution(t *testing.T) {
	var ns []int64
	for i := range 1000 {
		ns = append(ns, int64(1000-i)*1e6)
	}
	if got, want := distributionOf(ns), (distribution{n: 1000, p50: 501, p99: 991, max: 1000}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := distributionOf(nil); got.n != 0 {
		t.Errorf("of nothing: %+v", got)
	}
}

// TestGoalsNotMetAreSaid holds the table to saying so.
func TestGoalsNotMetAreSaid(t *testing.T) {
	var s section
	s.Name = "x"
	s.add("fast", 10, "ms").atMost(50, "≤ 50 ms").per(5, "limit")
	s.add("slow", 60, "ms").atMost(50, "≤ 50 ms")
	s.NotMeasured = []string{"y: z is missing"}
	var b strings.Builder
	if err := (&report{Sections: []section{s}}).print(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 × limit", "goal ≤ 50 ms: met", "goal ≤ 50 ms: NOT MET", "not measured: y: z is missing"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
}
