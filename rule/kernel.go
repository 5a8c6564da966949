package rule

import (
	"fmt"
	"net/netip"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule/internal/strmatch"
)

// A kernel compares one value with the constants of a check.
type (
	textKernel   func(string) bool
	numberKernel func(int64) bool
	boolKernel   func(bool) bool
	addrKernel   func(netip.Addr) bool
)

// modified turns one kernel per constant into the kernel of oneof, anyof or allof.
// Without a constant none of them holds.
func modified[T any](modifier string, each []func(T) bool) func(T) bool {
	switch modifier {
	case "oneof":
		return func(v T) bool {
			n := 0
			for _, k := range each {
				if k(v) {
					if n++; n > 1 {
						return false
					}
				}
			}
			return n == 1
		}
	case "anyof":
		return func(v T) bool {
			return slices.ContainsFunc(each, func(k func(T) bool) bool { return k(v) })
		}
	}
	return func(v T) bool {
		for _, k := range each {
			if !k(v) {
				return false
			}
		}
		return len(each) > 0
	}
}

// textTest makes the kernel of a check on text. wanted are the constants.
func textTest(op, modifier string, typ event.FieldType, wanted []string) (textKernel, error) {
	switch op {
	case "in", "intersects":
		return memberOf(wanted), nil
	case "pmatch":
		p := strmatch.NewPaths(wanted)
		return p.Match, nil
	}
	if modifier != "" {
		each := make([]func(string) bool, len(wanted))
		for i, w := range wanted {
			k, err := oneText(op, typ, w)
			if err != nil {
				return nil, err
			}
			each[i] = k
		}
		return modified(modifier, each), nil
	}
	return oneText(op, typ, wanted[0])
}

func oneText(op string, typ event.FieldType, w string) (textKernel, error) {
	if typ != event.TypeBytes && strings.IndexByte(w, 0) >= 0 {
		return nil, fmt.Errorf(`filter error: filter value cannot contain a NUL byte (\x00)`)
	}
	switch op {
	case "bcontains", "bstartswith":
		b, err := parseHex(w)
		if err != nil {
			return nil, err
		}
		w, op = b, op[1:]
	}
	switch op {
	case "=":
		return func(v string) bool { return v == w }, nil
	case "!=":
		return func(v string) bool { return v != w }, nil
	case "<":
		return func(v string) bool { return v < w }, nil
	case "<=":
		return func(v string) bool { return v <= w }, nil
	case ">":
		return func(v string) bool { return v > w }, nil
	case ">=":
		return func(v string) bool { return v >= w }, nil
	case "contains":
		return func(v string) bool { return strings.Contains(v, w) }, nil
	case "icontains":
		low := strmatch.LowerASCII(w)
		return func(v string) bool { return strmatch.ContainsFold(v, low) }, nil
	case "startswith":
		return func(v string) bool { return strings.HasPrefix(v, w) }, nil
	case "endswith":
		return func(v string) bool { return strings.HasSuffix(v, w) }, nil
	case "glob":
		return func(v string) bool { return strmatch.Glob(w, v) }, nil
	case "iglob":
		return func(v string) bool { return strmatch.GlobFold(w, v) }, nil
	case "regex":
		re, err := compileRegex(w)
		if err != nil {
			return nil, err
		}
		return re.MatchString, nil
	}
	return nil, fmt.Errorf("unrecognized filter comparison operator '%s'", op)
}

// compileRegex compiles a POSIX extended expression that has to match the whole
// value. Perl's classes and groups are refused, as upstream refuses them; ^ and $
// match at line ends.
func compileRegex(text string) (*regexp.Regexp, error) {
	if _, err := syntax.Parse(text, syntax.POSIX); err != nil {
		return nil, fmt.Errorf("invalid regex pattern: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	re, err := regexp.Compile(`\A(?:(?m:` + text + `))\z`)
	if err != nil {
		return nil, fmt.Errorf("invalid regex pattern: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return re, nil
}

// memberOf makes the kernel of set membership.
func memberOf(wanted []string) textKernel {
	if len(wanted) <= 4 {
		return func(v string) bool { return slices.Contains(wanted, v) }
	}
	b := strmatch.NewBuilder(1)
	for _, w := range wanted {
		b.Add(w, 0)
	}
	set := b.Exact()
	return func(v string) bool { return set.Lookup(v)[0] != 0 }
}

func numberTest(op, modifier string, typ event.FieldType, wanted []int64) numberKernel {
	if op == "in" || op == "intersects" {
		if len(wanted) <= 8 {
			return func(v int64) bool { return slices.Contains(wanted, v) }
		}
		set := make(map[int64]struct{}, len(wanted))
		for _, w := range wanted {
			set[w] = struct{}{}
		}
		return func(v int64) bool { _, ok := set[v]; return ok }
	}
	if modifier != "" {
		each := make([]func(int64) bool, len(wanted))
		for i, w := range wanted {
			each[i] = oneNumber(op, typ, w)
		}
		return modified(modifier, each)
	}
	return oneNumber(op, typ, wanted[0])
}

// flip makes unsigned numbers, carried as the bits of an int64, compare as signed ones.
func flip(typ event.FieldType) int64 {
	if signed(typ) {
		return 0
	}
	return -1 << 63
}

func oneNumber(op string, typ event.FieldType, w int64) numberKernel {
	x := flip(typ)
	switch op {
	case "=":
		return func(v int64) bool { return v == w }
	case "!=":
		return func(v int64) bool { return v != w }
	case "<":
		return func(v int64) bool { return v^x < w^x }
	case "<=":
		return func(v int64) bool { return v^x <= w^x }
	case ">":
		return func(v int64) bool { return v^x > w^x }
	}
	return func(v int64) bool { return v^x >= w^x }
}

func boolTest(op, modifier string, wanted []bool) boolKernel {
	if len(wanted) == 1 { // oneof, anyof and allof mean the same then
		want := wanted[0] == (op != "!=")
		return func(v bool) bool { return v == want }
	}
	var each []func(bool) bool
	for _, w := range wanted {
		want := w == (op != "!=")
		each = append(each, func(v bool) bool { return v == want })
	}
	if modifier == "" {
		modifier = "anyof" // one constant, or a set
	}
	return modified(modifier, each)
}

func addrTest(op, modifier string, each []func(netip.Addr) bool) addrKernel {
	switch {
	case len(each) == 1:
		return each[0]
	case modifier == "": // a set
		return func(v netip.Addr) bool {
			for _, k := range each {
				if k(v) {
					return true
				}
			}
			return false
		}
	}
	return modified(modifier, each)
}

// compareText is the kernel of a check between two fields.
func compareText(op string) func(a, b string) bool {
	switch op {
	case "=", "in", "intersects":
		return func(a, b string) bool { return a == b }
	case "!=":
		return func(a, b string) bool { return a != b }
	case "<":
		return func(a, b string) bool { return a < b }
	case "<=":
		return func(a, b string) bool { return a <= b }
	case ">":
		return func(a, b string) bool { return a > b }
	case ">=":
		return func(a, b string) bool { return a >= b }
	case "contains", "bcontains":
		return strings.Contains
	case "icontains":
		return containsFoldBoth
	case "startswith", "bstartswith":
		return strings.HasPrefix
	case "endswith":
		return strings.HasSuffix
	case "glob":
		return func(a, b string) bool { return strmatch.Glob(b, a) }
	case "iglob":
		return func(a, b string) bool { return strmatch.GlobFold(b, a) }
	}
	return nil
}

// containsFoldBoth is icontains when neither side is a constant.
func containsFoldBoth(a, b string) bool {
	for i := 0; i+len(b) <= len(a); i++ {
		j := 0
		for j < len(b) && lowerByte(a[i+j]) == lowerByte(b[j]) {
			j++
		}
		if j == len(b) {
			return true
		}
	}
	return false
}

func lowerByte(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func compareNumber(op string, typ event.FieldType) func(a, b int64) bool {
	x := flip(typ)
	switch op {
	case "=", "in", "intersects":
		return func(a, b int64) bool { return a == b }
	case "!=":
		return func(a, b int64) bool { return a != b }
	case "<":
		return func(a, b int64) bool { return a^x < b^x }
	case "<=":
		return func(a, b int64) bool { return a^x <= b^x }
	case ">":
		return func(a, b int64) bool { return a^x > b^x }
	case ">=":
		return func(a, b int64) bool { return a^x >= b^x }
	}
	return nil
}
