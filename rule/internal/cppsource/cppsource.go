// Package cppsource reads assertions out of C++ test sources, mechanically: it
// finds the calls of named functions and the string literals in their arguments.
// Conformance tests use it on upstream sources that a person provides. It
// understands literals (raw, adjacent, escaped), comments and string variables
// assigned from literals; it is no compiler and says which arguments it could
// not read.
package cppsource

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Dir gives the directory a person put into the environment variable env, and
// skips the test when it is unset.
func Dir(t testing.TB, env string) string {
	t.Helper()
	dir := os.Getenv(env)
	if dir == "" {
		t.Skipf("%s is not set (a checked-out source tree of the upstream project)", env)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	return dir
}

// Read gives the text of a file under a directory that Dir gave.
func Read(t testing.TB, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Arg is one argument of a call.
type Arg struct {
	Text    string // the value when Literal, the source text otherwise
	Literal bool
}

// Call is one call of a function the caller asked for.
type Call struct {
	Name string
	Args []Arg
	Line int
	Test string // second argument of the enclosing TEST or TEST_F
}

// Kind of a token.
type kind uint8

const (
	word kind = iota
	str
	punct
)

type token struct {
	kind kind
	text string
	line int
}

// Calls lists the calls of the named functions in source order, and the
// constructor-like `name var("…")` declarations as calls too.
func Calls(src string, names ...string) []Call {
	want := make(map[string]bool, len(names))
	for _, n := range names {
		want[n] = true
	}
	toks := scan(src)
	vars := map[string]string{}
	test := ""
	var out []Call
	for i := 0; i < len(toks); i++ {
		t := toks[i]
		if t.kind != word {
			continue
		}
		if (t.text == "TEST" || t.text == "TEST_F") && next(toks, i+1, "(") {
			if args, _ := arguments(toks, i+2, vars); len(args) >= 2 {
				test = args[1].Text
			}
		}
		if next(toks, i+1, "=") {
			if text, end, ok := value(toks, i+2, vars); ok && next(toks, end, ";") {
				vars[t.text] = text
			}
		}
		if !want[t.text] {
			continue
		}
		at := i + 1
		if at < len(toks) && toks[at].kind == word { // parser parser("…")
			at++
		}
		if !next(toks, at, "(") {
			continue
		}
		args, _ := arguments(toks, at+1, vars)
		out = append(out, Call{Name: t.text, Args: args, Line: t.line, Test: test})
	}
	return out
}

func next(toks []token, i int, text string) bool {
	return i < len(toks) && toks[i].kind == punct && toks[i].text == text
}

// literal joins adjacent string literals from token i on.
func literal(toks []token, i int) (string, int) {
	var b strings.Builder
	for i < len(toks) && toks[i].kind == str {
		b.WriteString(toks[i].text)
		i++
	}
	return b.String(), i
}

// value reads literals and known variables joined by '+'.
func value(toks []token, i int, vars map[string]string) (string, int, bool) {
	var b strings.Builder
	for {
		switch {
		case i < len(toks) && toks[i].kind == str:
			text, end := literal(toks, i)
			b.WriteString(text)
			i = end
		case i < len(toks) && toks[i].kind == word:
			text, ok := vars[toks[i].text]
			if !ok {
				return "", i, false
			}
			b.WriteString(text)
			i++
		default:
			return "", i, false
		}
		if !next(toks, i, "+") {
			return b.String(), i, true
		}
		i++
	}
}

// arguments reads from after the opening parenthesis to the closing one.
func arguments(toks []token, i int, vars map[string]string) ([]Arg, int) {
	var args []Arg
	depth := 0
	start := i
	flush := func(end int) {
		if end == start && len(args) == 0 {
			return
		}
		args = append(args, argument(toks[start:end], vars))
		start = end + 1
	}
	for ; i < len(toks); i++ {
		if toks[i].kind != punct {
			continue
		}
		switch toks[i].text {
		case "(", "{", "[":
			depth++
		case "}", "]":
			depth--
		case ")":
			if depth == 0 {
				flush(i)
				return args, i
			}
			depth--
		case ",":
			if depth == 0 {
				flush(i)
			}
		}
	}
	return args, i
}

func argument(toks []token, vars map[string]string) Arg {
	if text, end, ok := value(toks, 0, vars); ok && end == len(toks) {
		return Arg{Text: text, Literal: true}
	}
	var b strings.Builder
	for i, t := range toks {
		if i > 0 && t.kind == word && toks[i-1].kind == word {
			b.WriteByte(' ')
		}
		b.WriteString(t.text)
	}
	return Arg{Text: b.String()}
}

func scan(src string) []token {
	var toks []token
	line := 1
	for i := 0; i < len(src); {
		c := src[i]
		switch {
		case c == '\n':
			line++
			i++
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case strings.HasPrefix(src[i:], "//"):
			for i < len(src) && src[i] != '\n' {
				i++
			}
		case strings.HasPrefix(src[i:], "/*"):
			end := strings.Index(src[i:], "*/")
			if end < 0 {
				return toks
			}
			line += strings.Count(src[i:i+end], "\n")
			i += end + 2
		case strings.HasPrefix(src[i:], `R"`):
			open := strings.IndexByte(src[i:], '(')
			if open < 0 {
				return toks
			}
			closing := ")" + src[i+2:i+open] + `"`
			end := strings.Index(src[i+open:], closing)
			if end < 0 {
				return toks
			}
			text := src[i+open+1 : i+open+end]
			toks = append(toks, token{str, text, line})
			line += strings.Count(text, "\n")
			i += open + end + len(closing)
		case c == '"':
			text, n := quoted(src[i:])
			toks = append(toks, token{str, text, line})
			i += n
		case c == '\'':
			_, n := quoted(src[i:])
			toks = append(toks, token{punct, src[i : i+n], line})
			i += n
		case isWord(c):
			n := i
			for n < len(src) && isWord(src[n]) {
				n++
			}
			toks = append(toks, token{word, src[i:n], line})
			i = n
		default:
			toks = append(toks, token{punct, string(c), line})
			i++
		}
	}
	return toks
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// quoted reads a literal in either quote and gives its value and source length.
func quoted(s string) (string, int) {
	var b strings.Builder
	i := 1
	for i < len(s) && s[i] != s[0] {
		if s[i] != '\\' || i+1 >= len(s) {
			b.WriteByte(s[i])
			i++
			continue
		}
		i++
		switch c := s[i]; c {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
			b.WriteByte('\r')
		case 'b':
			b.WriteByte('\b')
		case 'f':
			b.WriteByte('\f')
		case 'v':
			b.WriteByte('\v')
		case 'a':
			b.WriteByte('\a')
		case '\n':
		case 'x':
			n := i + 1
			for n < len(s) && strings.IndexByte("0123456789abcdefABCDEF", s[n]) >= 0 {
				n++
			}
			v, err := strconv.ParseUint(s[i+1:n], 16, 64)
			if err == nil {
				b.WriteByte(byte(v))
			}
			i = n - 1
		case '0', '1', '2', '3', '4', '5', '6', '7':
			n := i
			for n < len(s) && n < i+3 && s[n] >= '0' && s[n] <= '7' {
				n++
			}
			v, err := strconv.ParseUint(s[i:n], 8, 64)
			if err == nil {
				b.WriteByte(byte(v))
			}
			i = n - 1
		default:
			b.WriteByte(c)
		}
		i++
	}
	return b.String(), min(i+1, len(s))
}
