package match

import "strings"

// The version orders of Debian and of rpm, which nearly all packages of images follow,
// without parsing either side into parts first: a kernel has two thousand advisories.
// What is written in an unusual way is left to the semantic package, with which these
// agree wherever they answer.

// compareFast orders a and b in the named order; ok is false where it does not answer.
func compareFast(order, a, b string) (n int, ok bool) {
	switch order {
	case "Debian", "Ubuntu":
		return compareDeb(a, b)
	case "Red Hat":
		return compareRPM(a, b)
	}
	return 0, false
}

// fastOrder reports whether a version can be read without the semantic package.
func fastOrder(order, v string) bool {
	switch order {
	case "Debian", "Ubuntu":
		_, _, _, ok := splitDeb(v)
		return ok
	case "Red Hat":
		return ascii(v)
	}
	return false
}

func compareDeb(a, b string) (n int, ok bool) {
	ae, av, ar, ok := splitDeb(a)
	if !ok {
		return 0, false
	}
	be, bv, br, ok := splitDeb(b)
	if !ok {
		return 0, false
	}
	if ae != be {
		if n := compareNumbers(ae, be); n != 0 {
			return n, true
		}
	}
	if n := compareDebPart(av, bv); n != 0 {
		return n, true
	}
	return compareDebPart(ar, br), true
}

// splitDeb cuts [epoch:]upstream[-revision]; ok is false for characters that no package
// may have and for an epoch that is no number.
func splitDeb(s string) (epoch, upstream, revision string, ok bool) {
	colon, dash := -1, -1
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isDigit(c), isLetter(c), c == '.', c == '+', c == '~':
		case c == '-':
			dash = i
		case c == ':':
			if colon < 0 {
				colon = i
			}
		default:
			return "", "", "", false
		}
	}
	upstream = s
	if colon >= 0 {
		epoch = s[:colon]
		if epoch == "" {
			return "", "", "", false
		}
		for i := 0; i < len(epoch); i++ {
			if !isDigit(epoch[i]) {
				return "", "", "", false
			}
		}
		upstream = s[colon+1:]
		dash -= colon + 1
	}
	if dash >= 0 {
		upstream, revision = upstream[:dash], upstream[dash+1:]
	}
	return epoch, upstream, revision, true
}

// compareDebPart compares text and numbers in turn: in text a tilde comes before the
// end, the end before letters, letters before all else.
func compareDebPart(a, b string) int {
	for a != "" || b != "" {
		i := 0
		for {
			var x, y int
			if i < len(a) && !isDigit(a[i]) {
				x = debWeight(a[i])
			}
			if i < len(b) && !isDigit(b[i]) {
				y = debWeight(b[i])
			}
			if x != y {
				return sign(x - y)
			}
			if x == 0 {
				break
			}
			i++
		}
		a, b = a[i:], b[i:]
		i, j := run(a, isDigit), run(b, isDigit)
		if n := compareNumbers(a[:i], b[:j]); n != 0 {
			return n
		}
		a, b = a[i:], b[j:]
	}
	return 0
}

// debWeight orders the characters of text; 0 is its end.
func debWeight(c byte) int {
	switch {
	case c == '~':
		return -1
	case isLetter(c):
		return int(c)
	}
	return int(c) + 256
}

// compareRPM compares [epoch:]version[-release] as rpm does.
func compareRPM(a, b string) (n int, ok bool) {
	if !ascii(a) || !ascii(b) {
		return 0, false
	}
	ae, av, ar := splitRPM(a)
	be, bv, br := splitRPM(b)
	if n := compareRPMPart(ae, be); n != 0 {
		return n, true
	}
	if n := compareRPMPart(av, bv); n != 0 {
		return n, true
	}
	return compareRPMPart(ar, br), true
}

func splitRPM(s string) (epoch, version, release string) {
	epoch = "0"
	if i := strings.IndexByte(s, ':'); i >= 0 && run(s[:i], isDigit) == i {
		if i > 0 {
			epoch = s[:i]
		}
		s = s[i+1:]
	}
	if i := strings.IndexByte(s, '-'); i >= 0 {
		return epoch, s[:i], s[i:]
	}
	return epoch, s, ""
}

func compareRPMPart(a, b string) int {
	if a == b {
		return 0
	}
	if a == "" || b == "" {
		return sign(len(a) - len(b))
	}
	for {
		a, b = a[run(a, separates):], b[run(b, separates):]
		at, bt := a != "" && a[0] == '~', b != "" && b[0] == '~'
		ac, bc := a != "" && a[0] == '^', b != "" && b[0] == '^'
		switch {
		case at && bt:
			a, b = a[1:], b[1:]
			continue
		case at:
			return -1
		case bt:
			return 1
		case ac && bc:
			a, b = a[1:], b[1:]
			continue
		case ac && b == "":
			return 1
		case ac:
			return -1
		case bc && a == "":
			return -1
		case bc:
			return 1
		}
		if a == "" || b == "" {
			return sign(len(a) - len(b))
		}
		number := isDigit(a[0])
		is := isLetter
		if number {
			is = isDigit
		}
		i, j := run(a, is), run(b, is)
		if j == 0 {
			if number {
				return 1
			}
			return -1
		}
		var n int
		if number {
			n = compareNumbers(a[:i], b[:j])
		} else {
			n = strings.Compare(a[:i], b[:j])
		}
		if n != 0 {
			return n
		}
		a, b = a[i:], b[j:]
	}
}

func separates(c byte) bool { return !isDigit(c) && !isLetter(c) && c != '~' && c != '^' }

// compareNumbers compares digits of any length; none are 0.
func compareNumbers(a, b string) int {
	for a != "" && a[0] == '0' {
		a = a[1:]
	}
	for b != "" && b[0] == '0' {
		b = b[1:]
	}
	if len(a) != len(b) {
		return sign(len(a) - len(b))
	}
	return strings.Compare(a, b)
}

// run is the length of the beginning of s whose bytes are all of one kind.
func run(s string, is func(byte) bool) int {
	i := 0
	for i < len(s) && is(s[i]) {
		i++
	}
	return i
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' }

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}
