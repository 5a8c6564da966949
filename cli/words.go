package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
)

func asExit(err error, target **exitError) bool { return errors.As(err, target) }

// oneOf checks a flag that takes one word of a few.
func oneOf(got string, want ...string) error {
	if slices.Contains(want, got) {
		return nil
	}
	return withCode(exitUsage, "-o %s is not known here: use %s", got, strings.Join(want, " or "))
}

func severityWord(s v1.Severity) string {
	if s == v1.Severity_SEVERITY_UNSPECIFIED {
		return "not assessed"
	}
	return strings.ToLower(strings.TrimPrefix(s.String(), "SEVERITY_"))
}

func statusWord(s v1.AlertStatus) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "ALERT_STATUS_"))
}

// clean makes text from a container safe for a terminal: control characters, escape
// sequences among them, are shown instead of obeyed.
func clean(s string) string {
	bad := func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar
	}
	if !strings.ContainsFunc(s, bad) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if bad(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// stamp prints a wall-clock time in local time, to the millisecond.
func stamp(ns int64) string {
	if ns == 0 {
		return "never"
	}
	return time.Unix(0, ns).Format("2006-01-02 15:04:05.000")
}

func ago(now time.Time, ns int64) string {
	if ns == 0 {
		return "never"
	}
	return span(now.Sub(time.Unix(0, ns))) + " ago"
}

// span prints a duration in the two largest units a person would use.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}

// clockTime prints hours to nanoseconds in UTC, as Falco's text lines begin.
func clockTime(ns int64) string { return time.Unix(0, ns).UTC().Format("15:04:05.000000000") }
