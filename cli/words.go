package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

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

// obeyed reports whether a terminal, or the eye, would be led astray by r: control
// characters, marks of direction, separators of lines.
func obeyed(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// clean makes text from a container safe for a terminal: control characters, escape
// sequences among them, are shown instead of obeyed.
func clean(s string) string {
	bad := func(r rune) bool { return obeyed(r) || r == unicode.ReplacementChar }
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

// cleanAll is clean for each of a list.
func cleanAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = clean(s)
	}
	return out
}

// cleanLines is clean for texts of several lines, such as errors, which repeat names that
// images and registries have chosen.
func cleanLines(s string) string {
	return strings.Join(cleanAll(strings.Split(s, "\n")), "\n")
}

// cleanJSON makes JSON safe for a terminal without changing what it says: Go escapes
// the control characters below space only, so the others get their escapes here. Line
// feeds between values stay.
func cleanJSON(doc []byte) []byte {
	bad := func(r rune) bool { return r != '\n' && obeyed(r) }
	if !bytes.ContainsFunc(doc, bad) {
		return doc
	}
	out := make([]byte, 0, len(doc)+64)
	for len(doc) > 0 {
		r, n := utf8.DecodeRune(doc)
		if bad(r) {
			for _, u := range utf16.AppendRune(nil, r) {
				out = fmt.Appendf(out, "\\u%04x", u)
			}
		} else {
			out = append(out, doc[:n]...)
		}
		doc = doc[n:]
	}
	return out
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

// printValue writes a document of ours as JSON, as the API gives it.
func printValue(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
