package filter

import "unicode/utf8"

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isHex(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// isBareByte tells the bytes of a bare value: all but blanks, quotes and ()=,
func isBareByte(c byte) bool {
	switch c {
	case '(', ')', '"', '\'', '=', ',':
		return false
	}
	return !isSpace(c)
}

// isArgByte tells the bytes of a bare argument in brackets.
func isArgByte(c byte) bool {
	switch c {
	case '[', ']', '"', '\'':
		return false
	}
	return !isSpace(c)
}

// bareLen counts the bytes of s up to the first that ok refuses; bytes that are
// not UTF-8 end it too.
func bareLen(s string, ok func(byte) bool) int {
	n := 0
	for n < len(s) {
		if c := s[n]; c < utf8.RuneSelf {
			if !ok(c) {
				break
			}
			n++
			continue
		}
		r, w := utf8.DecodeRuneInString(s[n:])
		if r == utf8.RuneError && w == 1 {
			break
		}
		n += w
	}
	return n
}

func identLen(s string) int {
	if s == "" || !isLetter(s[0]) {
		return 0
	}
	n := 1
	for n < len(s) && (isLetter(s[n]) || isDigit(s[n]) || s[n] == '_') {
		n++
	}
	return n
}

// IsIdentifier says whether s can name a macro.
func IsIdentifier(s string) bool { return s != "" && identLen(s) == len(s) }

// IsBare says whether s can be written as a value without quotes.
func IsBare(s string) bool { return s != "" && bareLen(s, isBareByte) == len(s) }
