package node

import (
	"testing"
	"time"
)

func TestHowOftenACanaryIsSent(t *testing.T) {
	for flag, want := range map[time.Duration]time.Duration{0: -1, time.Second: time.Second, 6 * time.Hour: 6 * time.Hour, time.Millisecond: 0, -time.Hour: 0} {
		got, err := CanaryEvery(flag)
		if (err != nil) != (want == 0) || got != want {
			t.Errorf("%s: %s, %v", flag, got, err)
		}
	}
}
