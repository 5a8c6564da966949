//go:build conformance

package filter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/rule/internal/cppsource"
)

const (
	libsEnv  = "DOCKREEVE_FALCO_LIBS"
	testsDir = "userspace/libsinsp/test/"
	libsMax  = 100 // the depth limit libsinsp's own tests run with
)

// TestConformanceParser replays libsinsp's parser assertions: every accepted and rejected condition.
func TestConformanceParser(t *testing.T) {
	src := cppsource.Read(t, cppsource.Dir(t, libsEnv), testsDir+"filter_parser.ut.cpp")
	accepted, rejected, unread := 0, 0, 0
	for _, c := range cppsource.Calls(src, "test_accept", "test_reject", "test_reject_msg", "test_equal_ast") {
		if c.Test == "" {
			continue // the helper's own definition
		}
		if len(c.Args) == 0 || !c.Args[0].Literal {
			t.Logf("line %d: argument is computed: %s", c.Line, c.Args[0].Text)
			unread++
			continue
		}
		in := c.Args[0].Text
		if c.Name == "test_accept" || c.Name == "test_equal_ast" {
			accepted++
			forms := []string{in}
			if len(c.Args) == 1 {
				padded := " " + in + " "
				forms = append(forms, padded, strings.ReplaceAll(padded, " ", "\n"), strings.ReplaceAll(padded, " ", "\t"))
			}
			for _, form := range forms {
				if _, err := Parse(form, Options{MaxDepth: libsMax}); err != nil {
					t.Errorf("line %d: upstream accepts %q: %v", c.Line, form, err)
				}
			}
			continue
		}
		rejected++
		if e, err := Parse(in, Options{MaxDepth: libsMax}); err == nil {
			t.Errorf("line %d: upstream rejects %q, got %s", c.Line, in, Format(e))
		}
	}
	t.Logf("%d accepted, %d rejected, %d not read", accepted, rejected, unread)
	if accepted < 300 || rejected < 150 {
		t.Errorf("only %d + %d assertions found: has the suite's form changed?", accepted, rejected)
	}
}

// TestConformancePositions replays the suite's position assertions.
func TestConformancePositions(t *testing.T) {
	src := cppsource.Read(t, cppsource.Dir(t, libsEnv), testsDir+"filter_parser.ut.cpp")
	in, n := "", 0
	for _, c := range cppsource.Calls(src, "parser", "EXPECT_STREQ") {
		switch {
		case c.Name == "parser" && len(c.Args) == 1 && c.Args[0].Literal:
			in = c.Args[0].Text
		case c.Name == "EXPECT_STREQ" && len(c.Args) == 2 && strings.HasPrefix(c.Args[0].Text, "pv."):
			e, err := Parse(in, Options{})
			if err != nil {
				t.Errorf("line %d: %q: %v", c.Line, in, err)
				continue
			}
			n++
			want := c.Args[1].Text
			if i := strings.Index(in, "val("); i >= 0 {
				// val() has no node of its own in our tree: the field stands for it.
				want = strings.Replace(want, fmt.Sprintf("transformer%d 1 %d", i, i+1), "", 1)
			}
			if got := positions(e); got != want {
				t.Errorf("line %d: %q\n got %s\nwant %s", c.Line, in, got, want)
			}
		}
	}
	t.Logf("%d position assertions", n)
	if n < 8 {
		t.Errorf("only %d assertions found", n)
	}
}

func positions(e any) string {
	at := func(name string, p Pos) string { return fmt.Sprintf("%s%d %d %d", name, p.Idx, p.Line, p.Col) }
	all := func(kids []Expr) (s string) {
		for _, k := range kids {
			s += positions(k)
		}
		return s
	}
	switch e := e.(type) {
	case *And:
		return at("and", e.Pos) + all(e.Kids)
	case *Or:
		return at("or", e.Pos) + all(e.Kids)
	case *Not:
		return at("not", e.Pos) + positions(e.Kid)
	case *Macro:
		return at("identifier", e.Pos)
	case *Check:
		if e.Right == nil {
			return at("unary", e.Pos) + positions(e.Left)
		}
		return at("binary", e.Pos) + positions(e.Left) + positions(e.Right)
	case *Field:
		return at("field", e.Pos)
	case *Literal:
		return at("value", e.Pos)
	case *Ident:
		return at("value", e.Pos)
	case *List:
		return at("list", e.Pos)
	case *Transform:
		s := at("transformer", e.Pos)
		for _, a := range e.Args {
			s += positions(a)
		}
		return s
	case *Tuple:
		return at("transformer_list", e.Pos)
	}
	return "?"
}

// TestConformanceStrings replays the suite's printing assertions: its exact
// text from a printer of the same form, and our own Format by round trip.
func TestConformanceStrings(t *testing.T) {
	src := cppsource.Read(t, cppsource.Dir(t, libsEnv), testsDir+"string_visitor.ut.cpp")
	n := 0
	for _, c := range cppsource.Calls(src, "unidirectional", "bidirectional") {
		if c.Test == "" || !c.Args[0].Literal {
			continue
		}
		n++
		e, err := Parse(c.Args[0].Text, Options{})
		if err != nil {
			t.Errorf("line %d: %v", c.Line, err)
			continue
		}
		if c.Name == "unidirectional" {
			if got := upstreamString(e); got != c.Args[1].Text {
				t.Errorf("line %d:\n got %s\nwant %s", c.Line, got, c.Args[1].Text)
			}
		}
		for _, text := range []string{upstreamString(e), Format(e), Pretty(e, 40)} {
			again, err := Parse(text, Options{})
			if err != nil || !Equal(e, again) {
				t.Errorf("line %d: %q does not come back: %v", c.Line, text, err)
			}
		}
	}
	t.Logf("%d printing assertions", n)
	if n < 30 {
		t.Errorf("only %d assertions found", n)
	}
}

// upstreamString prints as libsinsp does: every chain in parentheses.
func upstreamString(n any) string {
	chain := func(kids []Expr, word string) string {
		var parts []string
		for _, k := range kids {
			parts = append(parts, upstreamString(k))
		}
		return "(" + strings.Join(parts, word) + ")"
	}
	lit := func(s string) string {
		if strings.ContainsAny(s, "\b\f\n\r\t =\\\"'") {
			return Quote(s)
		}
		return s
	}
	arg := func(has bool, s string) string {
		if !has {
			return ""
		}
		if s == "" {
			return `[""]`
		}
		return "[" + lit(s) + "]"
	}
	values := func(vs []Value) string {
		var parts []string
		for _, v := range vs {
			parts = append(parts, upstreamString(v))
		}
		return "(" + strings.Join(parts, ",") + ")"
	}
	switch e := n.(type) {
	case *And:
		return chain(e.Kids, " and ")
	case *Or:
		return chain(e.Kids, " or ")
	case *Not:
		return "not " + upstreamString(e.Kid)
	case *Macro:
		return e.Name
	case *Check:
		s := upstreamString(e.Left) + " " + e.Op
		if e.Modifier != "" {
			s += " " + e.Modifier
		}
		if e.Right != nil {
			s += " " + upstreamString(e.Right)
		}
		return s
	case *Field:
		return e.Name + arg(e.HasArg, e.Arg)
	case *Literal:
		return lit(e.Text)
	case *Ident:
		return e.Name
	case *List:
		var parts []string
		for _, it := range e.Items {
			parts = append(parts, lit(it.Text))
		}
		return "(" + strings.Join(parts, ", ") + ")"
	case *Transform:
		return e.Name + values(e.Args) + arg(e.HasSelector, e.Selector)
	case *Tuple:
		return values(e.Items)
	}
	return "?"
}
