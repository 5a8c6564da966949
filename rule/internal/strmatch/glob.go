package strmatch

import "strings"

// Glob reports whether s matches pattern as fnmatch(3) with no flags does in the
// C locale: '*' and '?' match any byte, '/' and a leading '.' included; brackets
// take ranges, negation by '!' or '^' and [:classes:]; a backslash takes the next
// byte literally. An unclosed bracket stands for itself. It takes at most
// len(pattern) × len(s) steps.
func Glob(pattern, s string) bool { return glob(pattern, s, false) }

// GlobFold is Glob without regard to the case of ASCII letters.
func GlobFold(pattern, s string) bool { return glob(pattern, s, true) }

func glob(p, s string, fold bool) bool {
	pi, si := 0, 0
	starP, starS := -1, 0 // where to go on when a match after the last '*' fails
	for {
		if pi < len(p) && p[pi] == '*' {
			starP, starS = pi+1, si
			pi++
			continue
		}
		if si == len(s) {
			if pi == len(p) {
				return true
			}
		} else if pi < len(p) {
			if n, ok := globByte(p[pi:], s[si], fold); ok {
				pi += n
				si++
				continue
			}
		}
		if starP < 0 || starS >= len(s) {
			return false
		}
		starS++
		pi, si = starP, starS
	}
}

// globByte matches one byte against the first element of p and returns the
// element's length.
func globByte(p string, c byte, fold bool) (n int, ok bool) {
	switch p[0] {
	case '?':
		return 1, true
	case '[':
		if n, ok := bracket(p, c, fold); n > 0 {
			return n, ok
		}
	case '\\':
		if len(p) == 1 {
			return 0, false // fnmatch: a trailing backslash matches nothing
		}
		return 2, same(p[1], c, fold)
	}
	return 1, same(p[0], c, fold)
}

func same(a, b byte, fold bool) bool {
	return a == b || fold && lower(a) == lower(b)
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// bracket matches c against the bracket expression at the start of p; n is 0 when
// it is not closed.
func bracket(p string, c byte, fold bool) (n int, ok bool) {
	i := 1
	negate := i < len(p) && (p[i] == '!' || p[i] == '^')
	if negate {
		i++
	}
	match := false
	for start := i; ; {
		if i >= len(p) {
			return 0, false
		}
		if p[i] == ']' && i > start {
			return i + 1, match != negate
		}
		if strings.HasPrefix(p[i:], "[:") {
			if end := strings.Index(p[i+2:], ":]"); end >= 0 {
				name := p[i+2 : i+2+end]
				if inClass(name, c) || fold && (inClass(name, lower(c)) || inClass(name, upper(c))) {
					match = true
				}
				i += end + 4
				continue
			}
		}
		lo, w := bracketByte(p[i:])
		if w == 0 {
			return 0, false
		}
		i += w
		hi := lo
		if i+1 < len(p) && p[i] == '-' && p[i+1] != ']' {
			h, w := bracketByte(p[i+1:])
			if w == 0 {
				return 0, false
			}
			hi = h
			i += 1 + w
		}
		if lo <= c && c <= hi || fold && (lo <= lower(c) && lower(c) <= hi || lo <= upper(c) && upper(c) <= hi) {
			match = true
		}
	}
}

func bracketByte(p string) (c byte, n int) {
	if p == "" {
		return 0, 0
	}
	if p[0] == '\\' {
		if len(p) == 1 {
			return 0, 0
		}
		return p[1], 2
	}
	return p[0], 1
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - ('a' - 'A')
	}
	return c
}

func inClass(name string, c byte) bool {
	letter := lower(c) >= 'a' && lower(c) <= 'z'
	digit := c >= '0' && c <= '9'
	switch name {
	case "alpha":
		return letter
	case "digit":
		return digit
	case "alnum":
		return letter || digit
	case "upper":
		return c >= 'A' && c <= 'Z'
	case "lower":
		return c >= 'a' && c <= 'z'
	case "space":
		return c == ' ' || c >= '\t' && c <= '\r'
	case "blank":
		return c == ' ' || c == '\t'
	case "xdigit":
		return digit || lower(c) >= 'a' && lower(c) <= 'f'
	case "cntrl":
		return c < ' ' || c == 0x7f
	case "graph":
		return c > ' ' && c < 0x7f
	case "print":
		return c >= ' ' && c < 0x7f
	case "punct":
		return c > ' ' && c < 0x7f && !letter && !digit
	}
	return false
}

// ContainsFold reports whether s contains sub, both compared without regard to
// the case of ASCII letters. lowered is sub in lower case (LowerASCII).
func ContainsFold(s, lowered string) bool {
	n := len(lowered)
	if n == 0 {
		return true
	}
	c := lowered[0]
search:
	for i := 0; i+n <= len(s); i++ {
		if lower(s[i]) != c {
			continue
		}
		for j := 1; j < n; j++ {
			if lower(s[i+j]) != lowered[j] {
				continue search
			}
		}
		return true
	}
	return false
}

// LowerASCII lowers the ASCII letters of s and leaves every other byte alone.
func LowerASCII(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = lower(b[i])
	}
	return string(b)
}
