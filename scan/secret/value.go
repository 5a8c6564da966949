package secret

import (
	"bytes"
	"math"
)

// class says what a byte may be part of.
type class uint8

const (
	lower class = 1 << iota
	upper
	digit
	dash  // '-' and '_'
	dot   // '.'
	plus  // '+' and '/'
	equal // '='
	hexa  // a-f, 0-9
)

const (
	base62  = lower | upper | digit
	base64u = base62 | dash
	base64s = base62 | plus
)

var classes = func() (t [256]class) {
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-32] = lower, upper
	}
	for c := 'a'; c <= 'f'; c++ {
		t[c] |= hexa
	}
	for c := '0'; c <= '9'; c++ {
		t[c] = digit | hexa
	}
	t['-'], t['_'], t['.'], t['+'], t['/'], t['='] = dash, dash, dot, plus, plus, equal
	return t
}()

// run returns where the bytes of a class, from i on, end; at most most of them.
func run(b []byte, i, most int, c class) int {
	for end := min(len(b), i+most); i < end && classes[b[i]]&c != 0; i++ {
	}
	return i
}

// runBack returns where the bytes of a class that end before i begin.
func runBack(b []byte, i, most int, c class) int {
	for end := max(0, i-most); i > end && classes[b[i-1]]&c != 0; i-- {
	}
	return i
}

// startsWord reports whether no letter or digit stands before i, but for one that is
// part of an escape: \n, \t, \r, %3D.
func startsWord(b []byte, i int) bool {
	if i == 0 || classes[b[i-1]]&base62 == 0 && b[i-1] != '_' {
		return true
	}
	if i >= 2 && b[i-2] == '\\' && (b[i-1] == 'n' || b[i-1] == 't' || b[i-1] == 'r') {
		return true
	}
	return i >= 3 && b[i-3] == '%' && classes[b[i-2]]&digit != 0
}

// entropy is Shannon's, in bits a byte.
func entropy(b []byte) float64 {
	var n [256]int
	for _, c := range b {
		n[c]++
	}
	h := 0.0
	for _, k := range n {
		if k > 0 {
			p := float64(k) / float64(len(b))
			h -= p * math.Log2(p)
		}
	}
	return h
}

// random reports whether b looks as if drawn at random from an alphabet of size
// letters: its entropy is near what so many draws give, and it holds no runs.
func random(b []byte, size int) bool {
	if len(b) < 8 || invented(b) {
		return false
	}
	// So many draws show about this many bits at most; texts stay well below.
	most := math.Min(math.Log2(float64(size)), math.Log2(float64(len(b))))
	return entropy(b) >= 0.72*most
}

// invented reports whether a value shows that someone made it up: five equal bytes in a
// row, a run along the alphabet, the digits or the keyboard, a short pattern repeated,
// or a word that says so.
func invented(b []byte) bool {
	same, up := 1, 1
	for i := 1; i < len(b); i++ {
		if b[i] == b[i-1] {
			same++
		} else {
			same = 1
		}
		if b[i] == b[i-1]+1 || b[i] == '0' && b[i-1] == '9' {
			up++
		} else {
			up = 1
		}
		if same >= 5 || up >= 6 {
			return true
		}
	}
	for p := 1; p <= 8 && p*3 <= len(b); p++ {
		if bytes.Equal(b[p:], b[:len(b)-p]) {
			return true
		}
	}
	var low [96]byte
	n := 0
	for _, c := range b {
		if n == len(low) {
			break
		}
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		low[n] = c
		n++
	}
	for _, w := range inventedWords {
		if bytes.Contains(low[:n], w) {
			return true
		}
	}
	return false
}

// inventedWords say that a value is none. They are long enough that chance writes one
// into a random key of 88 bytes less than once in fifty thousand.
var inventedWords = [...][]byte{
	[]byte("example"), []byte("dummy"), []byte("sample"), []byte("placeholder"), []byte("changeme"), []byte("change_me"), []byte("change-me"),
	[]byte("redacted"), []byte("insert"), []byte("replace"), []byte("your_"), []byte("your-"), []byte("yourt"), []byte("yourp"), []byte("yours"), []byte("yourk"), []byte("notreal"), []byte("not-real"),
	[]byte("abcdef"), []byte("qwerty"), []byte("asdfgh"), []byte("deadbeef"), []byte("foobar"), []byte("secret"), []byte("passw0rd"), []byte("password"), []byte("token"), []byte("testtest"), []byte("****"), []byte("...."), []byte("____"),
}
