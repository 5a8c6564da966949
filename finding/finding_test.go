package finding

import (
	"encoding/json"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestSeverityAndStatusTravelAsWords(t *testing.T) {
	f := Finding{ID: "x", Severity: High, Event: json.RawMessage(`{}`)}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]any
	if err := json.Unmarshal(b, &raw); err != nil {
		t.Fatal(err)
	}
	if raw["severity"] != "high" {
		t.Fatalf("severity in JSON is %v, want the word high", raw["severity"])
	}
	var back Finding
	if err := json.Unmarshal(b, &back); err != nil || back.Severity != High {
		t.Fatalf("read back %v, %v", back.Severity, err)
	}
	for s := SeverityNone; s <= Critical; s++ {
		if got, err := ParseSeverity(s.String()); err != nil || got != s {
			t.Errorf("ParseSeverity(%q) = %v, %v", s, got, err)
		}
	}
	for s := Open; s <= Dismissed; s++ {
		if got, err := ParseStatus(s.String()); err != nil || got != s {
			t.Errorf("ParseStatus(%q) = %v, %v", s, got, err)
		}
	}
	if _, err := ParseSeverity("severe"); !errors.Is(err, ErrWord) {
		t.Errorf("unknown severity: %v, want ErrWord", err)
	}
	if _, err := json.Marshal(Status(0)); err == nil {
		t.Error("a status that does not exist was written")
	}
	if err := json.Unmarshal([]byte(`{"severity":4}`), &back); err == nil {
		t.Error("a severity given as a number was accepted")
	}
}

func TestTransitions(t *testing.T) {
	for from := Open; from <= Dismissed; from++ {
		for to := Open; to <= Dismissed; to++ {
			closed := from == Resolved || from == Dismissed
			want := !(closed && to == Acknowledged)
			if err := from.Move(to); (err == nil) != want {
				t.Errorf("%s → %s: %v, want possible=%v", from, to, err, want)
			} else if err != nil && !errors.Is(err, ErrTransition) {
				t.Errorf("%s → %s: %v does not wrap ErrTransition", from, to, err)
			}
		}
	}
	for from, want := range map[Status]Status{Open: Open, Acknowledged: Acknowledged, Resolved: Open, Dismissed: Dismissed} {
		if got := from.Recur(); got != want {
			t.Errorf("%s recurs as %s, want %s", from, got, want)
		}
	}
}

// Committed alerts are found again by these values: a change of either function
// must come with a new version prefix.
func TestIdentitiesAreFixed(t *testing.T) {
	if got := ID("r", "1-2-1-3"); got != "010d0a67ad027783b8c2a8627ce21e9f" {
		t.Errorf("finding id moved: %s", got)
	}
	fp := Fingerprint("r", "ns/Pod/x", "/bin/sh", "file")
	if fp != "1:b2976be7de437ddda2cdf10ddd7d997a" {
		t.Errorf("fingerprint moved: %s", fp)
	}
	if got := AlertID(fp); len(got) != 16 {
		t.Errorf("alert id %q has %d characters, want 16", got, len(got))
	}
}

func TestIdentityTellsPartsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(rapid.StringN(0, 6, -1), 4, 4).Draw(t, "a")
		b := rapid.SliceOfN(rapid.StringN(0, 6, -1), 4, 4).Draw(t, "b")
		same := a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3]
		if (Fingerprint(a[0], a[1], a[2], a[3]) == Fingerprint(b[0], b[1], b[2], b[3])) != same {
			t.Fatalf("fingerprints of %q and %q: same parts %v", a, b, same)
		}
		if (ID(a[0], a[1:]...) == ID(b[0], b[1:]...)) != same {
			t.Fatalf("ids of %q and %q: same parts %v", a, b, same)
		}
	})
}
