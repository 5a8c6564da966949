package render

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// plain makes s safe to show on a terminal and in a build log, on one line: control
// characters, terminal escapes, characters that change direction or show as nothing,
// and bytes that are no UTF-8 are written as \x1b or \u202e. So is what a build agent
// would take for a command: "##", which Azure's agent and GitHub's older syntax look for
// anywhere in a line, and "::" at the beginning of a word, which may come to begin one.
// Doing it twice changes nothing more.
func plain(s string) string {
	clean := !strings.Contains(s, "##") && !strings.Contains(s, "::")
	for _, r := range s {
		if r == utf8.RuneError || !shown(r) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	last := ' '
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case last == '#' && r == '#', last == ' ' && strings.HasPrefix(s[i:], "::"):
			fmt.Fprintf(&b, `\x%02x`, r)
		case shown(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		last = r
	}
	return b.String()
}

// shown reports whether r shows as itself wherever it stands. unicode.IsPrint leaves
// out controls, format characters (directions, zero widths, tags) and spaces but the
// ordinary one; the fillers it lets through show as nothing.
func shown(r rune) bool {
	switch r {
	case 0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0:
		return false
	}
	if r >= 0xFE00 && r <= 0xFE0F || r >= 0xE0100 && r <= 0xE01EF {
		return false // variation selectors
	}
	return unicode.IsPrint(r)
}

// clip shortens s to n columns, with an ellipsis for what is gone.
func clip(s string, n int) string {
	if n < 1 || width(s) <= n {
		return s
	}
	w := 0
	for i, r := range s {
		w += runeWidth(r)
		if w > n-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// width is how many terminal columns s takes.
func width(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3,
		r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60,
		r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}
