package event

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// ErrCodec reports bytes that are not the JSON form of an event, a process or
// what belongs to them.
var ErrCodec = errors.New("not an encoded event")

// The bounds of the JSON form. A decoder refuses what is larger.
const (
	MaxEncoded = 4 << 20 // bytes of one document
	MaxStrings = 8192    // items of a list of strings (arguments, environment)
	MaxLabels  = 64      // labels and mounts of one container
)

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string. A byte that is not part of valid UTF-8
// becomes the lone surrogate \udcXX, so every string survives the round trip
// and the text stays valid UTF-8 (the convention known as surrogateescape).
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case c == '"' || c == '\\':
				b = append(b, '\\', c)
			case c == '\n':
				b = append(b, '\\', 'n')
			case c == '\t':
				b = append(b, '\\', 't')
			case c < 0x20 || c == 0x7f:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			default:
				b = append(b, c)
			}
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(b, '\\', 'u', 'd', 'c', hexDigits[c>>4], hexDigits[c&15])
		case r == '\u2028' || r == '\u2029': // line ends to some readers of lines
			b = append(b, '\\', 'u', '2', '0', '2', hexDigits[r&15])
		default:
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	return append(b, '"')
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// appendKey starts a member of an object.
func appendKey(b []byte, key string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, key...)
	return append(b, '"', ':')
}

// appendInt64 and appendUint64 write 64-bit numbers as strings, because common
// readers of JSON round numbers beyond 2^53.
func appendInt64(b []byte, n int64) []byte {
	b = append(b, '"')
	b = strconv.AppendInt(b, n, 10)
	return append(b, '"')
}

func appendUint64(b []byte, n uint64) []byte {
	b = append(b, '"')
	b = strconv.AppendUint(b, n, 10)
	return append(b, '"')
}

func appendAddr(b []byte, a netip.AddrPort) []byte {
	return appendString(b, a.String()) // a zone may hold any byte
}

// decoder reads the JSON form strictly: known keys only, each once, no value of
// another type, nothing after the end. The first error stops it.
type decoder struct {
	in    []byte
	at    int
	err   error
	owned []bool // by depth: the process named its own container
	buf   []byte
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: byte %d: %s", ErrCodec, d.at+1, fmt.Sprintf(format, args...))
	}
	d.at = len(d.in)
}

func (d *decoder) space() {
	for d.at < len(d.in) {
		switch d.in[d.at] {
		case ' ', '\t', '\n', '\r':
			d.at++
		default:
			return
		}
	}
}

// peek returns the next byte that is not white space, 0 at the end.
func (d *decoder) peek() byte {
	d.space()
	if d.at < len(d.in) {
		return d.in[d.at]
	}
	return 0
}

func (d *decoder) expect(c byte) bool {
	if d.peek() == c {
		d.at++
		return true
	}
	if d.at >= len(d.in) {
		d.fail("text ends, want %q", c)
	} else {
		d.fail("%q, want %q", d.in[d.at], c)
	}
	return false
}

// literal consumes word if it is next.
func (d *decoder) literal(word string) bool {
	d.space()
	if len(d.in)-d.at >= len(word) && string(d.in[d.at:d.at+len(word)]) == word {
		d.at += len(word)
		return true
	}
	return false
}

// next moves to the next item of a list or object that ends with end; it
// reports false after the last. first is false again once it returns.
func (d *decoder) next(first *bool, end byte) bool {
	if d.err != nil {
		return false
	}
	if d.peek() == end {
		d.at++
		return false
	}
	if !*first && !d.expect(',') {
		return false
	}
	*first = false
	return d.err == nil
}

// key reads a member's name and the colon.
func (d *decoder) key() []byte {
	if !d.expect('"') {
		return nil
	}
	k := d.text()
	if d.err == nil {
		d.expect(':')
	}
	return k
}

// once notes that member number n of an object was seen.
func (d *decoder) once(seen *uint64, n int, key string) {
	if *seen&(1<<n) != 0 {
		d.fail("key %q twice", key)
	}
	*seen |= 1 << n
}

func (d *decoder) unknown(key []byte) { d.fail("unknown key %q", clip(string(key))) }

func (d *decoder) str() string {
	if !d.expect('"') {
		return ""
	}
	return string(d.text())
}

// text reads the rest of a string after its opening quote. The result is valid
// until the next call.
func (d *decoder) text() []byte {
	start := d.at
	for d.at < len(d.in) { // the common case: nothing escaped
		c := d.in[d.at]
		if c == '"' {
			s := d.in[start:d.at]
			if !utf8.Valid(s) {
				d.fail("string is not valid UTF-8: write bytes as \\udcXX")
				return nil
			}
			d.at++
			return s
		}
		if c == '\\' || c < 0x20 {
			break
		}
		d.at++
	}
	d.buf = append(d.buf[:0], d.in[start:d.at]...)
	if !utf8.Valid(d.buf) {
		d.fail("string is not valid UTF-8: write bytes as \\udcXX")
		return nil
	}
	for d.at < len(d.in) {
		c := d.in[d.at]
		switch {
		case c == '"':
			d.at++
			return d.buf
		case c < 0x20:
			d.fail("control character in a string")
			return nil
		case c == '\\':
			d.escape()
			if d.err != nil {
				return nil
			}
		case c < utf8.RuneSelf:
			d.buf = append(d.buf, c)
			d.at++
		default:
			r, n := utf8.DecodeRune(d.in[d.at:])
			if r == utf8.RuneError && n == 1 {
				d.fail("string is not valid UTF-8: write bytes as \\udcXX")
				return nil
			}
			d.buf = append(d.buf, d.in[d.at:d.at+n]...)
			d.at += n
		}
	}
	d.fail("text ends inside a string")
	return nil
}

func (d *decoder) escape() {
	if d.at+1 >= len(d.in) {
		d.fail("text ends inside a string")
		return
	}
	c := d.in[d.at+1]
	d.at += 2
	switch c {
	case '"', '\\', '/':
		d.buf = append(d.buf, c)
	case 'b':
		d.buf = append(d.buf, '\b')
	case 'f':
		d.buf = append(d.buf, '\f')
	case 'n':
		d.buf = append(d.buf, '\n')
	case 'r':
		d.buf = append(d.buf, '\r')
	case 't':
		d.buf = append(d.buf, '\t')
	case 'u':
		r := d.hex4()
		switch {
		case r < 0:
		case r >= 0xdc80 && r <= 0xdcff: // one byte that was not UTF-8
			d.buf = append(d.buf, byte(r))
		case utf16.IsSurrogate(r):
			if !d.literal2(`\u`) {
				d.fail("half a surrogate pair")
				return
			}
			low := d.hex4()
			pair := utf16.DecodeRune(r, low)
			if low < 0 || pair == utf8.RuneError {
				d.fail("half a surrogate pair")
				return
			}
			d.buf = utf8.AppendRune(d.buf, pair)
		default:
			d.buf = utf8.AppendRune(d.buf, r)
		}
	default:
		d.fail("unknown escape \\%c", c)
	}
}

// literal2 is literal without skipping white space.
func (d *decoder) literal2(word string) bool {
	if len(d.in)-d.at >= len(word) && string(d.in[d.at:d.at+len(word)]) == word {
		d.at += len(word)
		return true
	}
	return false
}

func (d *decoder) hex4() rune {
	if len(d.in)-d.at < 4 {
		d.fail("text ends inside a string")
		return -1
	}
	n, err := strconv.ParseUint(string(d.in[d.at:d.at+4]), 16, 16)
	if err != nil {
		d.fail("%q is not four hexadecimal digits", d.in[d.at:d.at+4])
		return -1
	}
	d.at += 4
	return rune(n)
}

// number returns the text of a number, written bare or as a string.
func (d *decoder) number() []byte {
	if d.peek() == '"' {
		d.at++
		return d.text()
	}
	start := d.at
	for d.at < len(d.in) {
		c := d.in[d.at]
		if c != '-' && (c < '0' || c > '9') {
			break
		}
		d.at++
	}
	return d.in[start:d.at]
}

func (d *decoder) int(bits int) int64 {
	text := d.number()
	n, err := strconv.ParseInt(string(text), 10, bits)
	if err != nil && d.err == nil {
		d.fail("%q is not a whole number of %d bits", clip(string(text)), bits)
	}
	return n
}

func (d *decoder) uint(bits int) uint64 {
	text := d.number()
	n, err := strconv.ParseUint(string(text), 10, bits)
	if err != nil && d.err == nil {
		d.fail("%q is not a whole number ≥ 0 of %d bits", clip(string(text)), bits)
	}
	return n
}

func (d *decoder) bool() bool {
	switch {
	case d.literal("true"):
		return true
	case d.literal("false"):
		return false
	}
	d.fail("want true or false")
	return false
}

// list reads a list of at most limit items.
func (d *decoder) list(limit int, item func()) {
	if !d.expect('[') {
		return
	}
	first, n := true, 0
	for d.next(&first, ']') {
		if n++; n > limit {
			d.fail("more than %d items", limit)
			return
		}
		item()
	}
}

func (d *decoder) strs() []string {
	var out []string
	d.list(MaxStrings, func() { out = append(out, d.str()) })
	return out
}

func (d *decoder) addr() netip.AddrPort {
	s := d.str()
	a, err := netip.ParseAddrPort(s)
	if err != nil && d.err == nil {
		d.fail("%q is not address:port", clip(s))
	}
	return a
}

// word reads a string and looks it up.
func word[T any](d *decoder, what string, find func(string) (T, bool)) T {
	s := d.str()
	v, ok := find(s)
	if !ok && d.err == nil {
		d.fail("%q is no %s", clip(s), what)
	}
	return v
}

// end checks that nothing follows and returns the first error.
func (d *decoder) end() error {
	if d.err == nil && d.peek() != 0 {
		d.fail("%q after the end", d.in[d.at])
	}
	if d.err == nil && d.at < len(d.in) { // a NUL byte
		d.fail("NUL after the end")
	}
	return d.err
}
