package rule

import (
	"strings"
	"unsafe"
)

// stringBytes shows a string as bytes that are only read.
func stringBytes(s string) []byte {
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

// optSpec is a getopt(3) option string: which short options exist, which take a value.
type optSpec struct{ known, valued [4]uint64 }

func parseOptSpec(s string) (o optSpec) {
	s = strings.TrimPrefix(s, ":")
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == ':' {
			continue
		}
		o.known[c>>6] |= 1 << (c & 63)
		if i+1 < len(s) && s[i+1] == ':' {
			o.valued[c>>6] |= 1 << (c & 63)
			i++
		}
	}
	return o
}

func (o *optSpec) takes(c byte) (known, valued bool) {
	bit := uint64(1) << (c & 63)
	return c != ':' && o.known[c>>6]&bit != 0, o.valued[c>>6]&bit != 0
}

// scanOptions walks arguments as getopt does, short options only: it stops at
// "--" and at the first argument that is no option, and skips long options.
// visit gets each option (a part of its argument) and its value; known is false
// for an option that does not exist, and missing true when its value is not there.
func scanOptions(args []string, spec *optSpec, visit func(opt, value string, known, valued, missing bool)) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			return
		}
		if len(a) > 2 && a[:2] == "--" {
			continue
		}
		if len(a) < 2 || a[0] != '-' {
			return
		}
		for j := 1; j < len(a); j++ {
			known, valued := spec.takes(a[j])
			opt := a[j : j+1]
			if !known || !valued {
				visit(opt, "", known, false, false)
				continue
			}
			switch {
			case j+1 < len(a):
				visit(opt, a[j+1:], true, true, false)
			case i+1 < len(args):
				i++
				visit(opt, args[i], true, true, false)
			default:
				visit(opt, "", true, true, true)
			}
			break
		}
	}
}

// getoptList gives options and values in the order they stand in, "?" for an
// option that does not exist and "" for a value that is missing.
func getoptList(argv func(*scratch) bool, spec func(*scratch) (string, bool)) func(*scratch) bool {
	return func(s *scratch) bool {
		text, ok := spec(s)
		if !ok {
			return false
		}
		from := len(s.strs)
		if !argv(s) {
			s.strs = s.strs[:from]
			return false
		}
		o := parseOptSpec(text)
		to := len(s.strs)
		scanOptions(s.strs[from:to:to], &o, func(opt, value string, known, valued, missing bool) {
			switch {
			case !known:
				s.strs = append(s.strs, "?")
			case missing:
				s.strs = append(s.strs, "")
			case valued:
				s.strs = append(s.strs, opt, value)
			default:
				s.strs = append(s.strs, opt)
			}
		})
		n := copy(s.strs[from:], s.strs[to:])
		s.strs = s.strs[:from+n]
		return true
	}
}

// getoptOne gives the last value of one option, the option itself when it takes
// none, and no value when it is not there.
func getoptOne(argv func(*scratch) bool, spec func(*scratch) (string, bool), want byte) func(*scratch) (string, bool) {
	return func(s *scratch) (string, bool) {
		text, ok := spec(s)
		if !ok {
			return "", false
		}
		from := len(s.strs)
		if !argv(s) {
			s.strs = s.strs[:from]
			return "", false
		}
		o := parseOptSpec(text)
		out, found := "", false
		scanOptions(s.strs[from:], &o, func(opt, value string, known, valued, _ bool) {
			switch {
			case !known || opt[0] != want:
			case valued:
				out, found = value, true
			default:
				out, found = opt, true
			}
		})
		s.strs = s.strs[:from]
		return out, found
	}
}
