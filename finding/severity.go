package finding

import (
	"errors"
	"fmt"
	"strings"
)

// ErrWord reports a word that names no severity or status.
var ErrWord = errors.New("unknown word")

// severityWords is indexed by Severity. They are the words of JSON, of the
// command line and of the query grammar.
var severityWords = [...]string{"not_assessed", "informational", "low", "medium", "high", "critical"}

// SeverityWords returns the words of the severities a finding may have, least
// first. The slice is the caller's.
func SeverityWords() []string { return append([]string(nil), severityWords[1:]...) }

// String is the severity's word; an out-of-range value shows its number.
func (s Severity) String() string {
	if int(s) < len(severityWords) {
		return severityWords[s]
	}
	return fmt.Sprintf("severity(%d)", uint8(s))
}

// Valid reports whether s is one of the declared severities, SeverityNone included.
func (s Severity) Valid() bool { return int(s) < len(severityWords) }

// ParseSeverity reads a severity's word, in any case. "not_assessed" gives
// SeverityNone. Its error wraps ErrWord.
func ParseSeverity(word string) (Severity, error) {
	for i, w := range severityWords {
		if strings.EqualFold(w, word) {
			return Severity(i), nil
		}
	}
	return 0, fmt.Errorf("severity %q: %w: want one of %s", clip(word), ErrWord, strings.Join(severityWords[:], ", "))
}

// MarshalText writes the word, so JSON carries words and not numbers.
func (s Severity) MarshalText() ([]byte, error) {
	if !s.Valid() {
		return nil, fmt.Errorf("severity %d: %w", uint8(s), ErrWord)
	}
	return []byte(severityWords[s]), nil
}

// UnmarshalText reads the word.
func (s *Severity) UnmarshalText(b []byte) error {
	v, err := ParseSeverity(string(b))
	if err != nil {
		return err
	}
	*s = v
	return nil
}

func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}
