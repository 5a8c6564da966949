package finding

import (
	"errors"
	"fmt"
	"strings"
)

// ErrTransition reports a status change that has no meaning.
var ErrTransition = errors.New("status change not possible")

// statusWords is indexed by Status; there is no status zero.
var statusWords = [...]string{"", "open", "acknowledged", "resolved", "dismissed"}

// StatusWords returns the words of the statuses, in the order of handling. The
// slice is the caller's.
func StatusWords() []string { return append([]string(nil), statusWords[1:]...) }

// String is the status's word; an out-of-range value shows its number.
func (s Status) String() string {
	if s.Valid() {
		return statusWords[s]
	}
	return fmt.Sprintf("status(%d)", uint8(s))
}

// Valid reports whether s is one of the declared statuses.
func (s Status) Valid() bool { return s >= Open && s <= Dismissed }

// ParseStatus reads a status's word, in any case. Its error wraps ErrWord.
func ParseStatus(word string) (Status, error) {
	for i, w := range statusWords[1:] {
		if strings.EqualFold(w, word) {
			return Status(i + 1), nil
		}
	}
	return 0, fmt.Errorf("status %q: %w: want one of %s", clip(word), ErrWord, strings.Join(statusWords[1:], ", "))
}

// MarshalText writes the word.
func (s Status) MarshalText() ([]byte, error) {
	if !s.Valid() {
		return nil, fmt.Errorf("status %d: %w", uint8(s), ErrWord)
	}
	return []byte(statusWords[s]), nil
}

// UnmarshalText reads the word.
func (s *Status) UnmarshalText(b []byte) error {
	v, err := ParseStatus(string(b))
	if err != nil {
		return err
	}
	*s = v
	return nil
}

// Move says whether a person may move an alert from s to to. Staying is allowed
// and changes nothing. A closed alert cannot be acknowledged: acknowledging says
// "I am on it", so it must be opened again first. The error wraps ErrTransition.
func (s Status) Move(to Status) error {
	switch {
	case !s.Valid():
		return fmt.Errorf("%w: the alert has no status (%d)", ErrTransition, uint8(s))
	case !to.Valid():
		return fmt.Errorf("%w: want one of %s", ErrTransition, strings.Join(statusWords[1:], ", "))
	case to == Acknowledged && (s == Resolved || s == Dismissed):
		return fmt.Errorf("%w: the alert is %s; open it before acknowledging it", ErrTransition, s)
	}
	return nil
}

// Recur is the status after a new occurrence: resolved alerts reopen, because
// whoever resolved it had not seen this one; dismissed ones stay dismissed.
func (s Status) Recur() Status {
	if s == Resolved {
		return Open
	}
	return s
}
