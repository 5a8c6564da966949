package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// hostile holds everything a name from a container may try on a terminal.
const hostile = "a\x1b]0;pwned\a\x1b[31m\u009b31m\u202egnp\u2066\u200b\ufeff\u2028\u2029\U000E0041\r\n\tz\x7f\x00"

func TestTextOfOthersIsShownNotObeyed(t *testing.T) {
	got := clean(hostile + "\xff\xfe")
	if !utf8.ValidString(got) || strings.ContainsFunc(got, obeyed) {
		t.Errorf("%q", got)
	}
	if want := `a\u001b]0;pwned\u0007`; !strings.HasPrefix(got, want) {
		t.Errorf("%q, want %q first", got, want)
	}
	if same := "naïve 名前 🚢 ▶"; clean(same) != same {
		t.Errorf("harmless text became %q", clean(same))
	}
}

func TestJSONIsSafeForATerminalAndSaysTheSame(t *testing.T) {
	var b strings.Builder
	if err := writeJSON(&b, map[string]string{"name": hostile, "other": "naïve"}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsFunc(strings.ReplaceAll(b.String(), "\n", ""), obeyed) {
		t.Errorf("%q", b.String())
	}
	var back map[string]string
	if err := json.Unmarshal([]byte(b.String()), &back); err != nil || back["name"] != hostile || back["other"] != "naïve" {
		t.Errorf("%q came back, %v", back, err)
	}
}

// Errors repeat names that images have chosen; their own lines stay lines.
func TestErrorsOfSeveralLinesAreShownNotObeyed(t *testing.T) {
	if got, want := cleanLines("gate failed\n  app/\x1b[2Jx: bad"), "gate failed\n  app/\\u001b[2Jx: bad"; got != want {
		t.Errorf("shown as %q, want %q", got, want)
	}
}
