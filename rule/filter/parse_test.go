package filter

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// shape writes a tree so that every structural choice shows.
func shape(n any) string {
	list := func(name string, kids ...any) string {
		var parts []string
		for _, k := range kids {
			parts = append(parts, shape(k))
		}
		return name + "(" + strings.Join(parts, " ") + ")"
	}
	lit := func(l *Literal) string {
		if l.Quoted {
			return fmt.Sprintf("%q", l.Text)
		}
		return l.Text
	}
	switch e := n.(type) {
	case *And:
		var kids []any
		for _, k := range e.Kids {
			kids = append(kids, k)
		}
		return list("and", kids...)
	case *Or:
		var kids []any
		for _, k := range e.Kids {
			kids = append(kids, k)
		}
		return list("or", kids...)
	case *Not:
		return list("not", e.Kid)
	case *Macro:
		return "$" + e.Name
	case *Check:
		op := e.Op
		if e.Modifier != "" {
			op += "." + e.Modifier
		}
		if e.Right == nil {
			return list(op, e.Left)
		}
		return list(op, e.Left, e.Right)
	case *Field:
		s := e.Name
		if e.HasArg {
			s += "[" + e.Arg + "]"
		}
		return s
	case *Transform:
		var kids []any
		for _, k := range e.Args {
			kids = append(kids, k)
		}
		s := list(e.Name, kids...)
		if e.HasSelector {
			s += "[" + e.Selector + "]"
		}
		return s
	case *Tuple:
		var kids []any
		for _, k := range e.Items {
			kids = append(kids, k)
		}
		return list("tuple", kids...)
	case *Literal:
		return lit(e)
	case *List:
		var parts []string
		for _, it := range e.Items {
			parts = append(parts, lit(it))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case *Ident:
		return "@" + e.Name
	}
	return fmt.Sprintf("?%T", n)
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"spawned", "$spawned"},
		{"a and b or c and not d", "or(and($a $b) and($c not($d)))"},
		{"a and (b and c)", "and($a and($b $c))"},
		{"a or(b)or c", "or($a $b $c)"},
		{"not not a", "$a"},
		{"not(not a)", "not(not($a))"},
		{"not not(a)", "$a"},
		{"notify", "$notify"},
		{"proc.name=sh", "=(proc.name sh)"},
		{"proc.name==sh", "==(proc.name sh)"},
		{"proc.aname[2] != 'a b'", `!=(proc.aname[2] "a b")`},
		{`evt.arg["x y"] exists`, "exists(evt.arg[x y])"},
		{`evt.arg[""] exists`, "exists(evt.arg[])"},
		{"fd.num >= -1.5e+3", ">=(fd.num -1.5e+3)"},
		{"fd.num < 0xFf", "<(fd.num 0xFf)"},
		{"proc.name in (sh, \"b c\",d)", `in(proc.name {sh,"b c",d})`},
		{"proc.name in ()", "in(proc.name {})"},
		{"proc.name in shells", "in(proc.name @shells)"},
		{"proc.name inshells", "in(proc.name @shells)"}, // odd, and the same upstream
		{"fd.name pmatch (/etc, /usr/*)", "pmatch(fd.name {/etc,/usr/*})"},
		{"fd.name startswith anyof (/a, /b)", "startswith.anyof(fd.name {/a,/b})"},
		{"proc.name = oneof names", "=.oneof(proc.name @names)"},
		{"proc.name = oneof", "=(proc.name oneof)"},
		{"proc.name = allof and a", "and(=(proc.name allof) $a)"},
		{"proc.name contains not", "contains(proc.name not)"},
		{"tolower(proc.name) = val(fd.name)", "=(tolower(proc.name) fd.name)"},
		{"proc.name = toupper(basename(proc.exe))", "=(proc.name toupper(basename(proc.exe)))"},
		{`getopt(proc.args, "ab:")[b] = 1`, `=(getopt(proc.args "ab:")[b] 1)`},
		{`join(",", (proc.name, "x", 3, len(fd.name))) = y`, `=(join("," tuple(proc.name "x" 3 len(fd.name))) y)`},
		{"fd.name in concat(a.b, \"x\")", `in(fd.name concat(a.b "x"))`},
		{"a.b=c and(d.e=f)", "and(=(a.b c) =(d.e f))"},
		{`a.b = "q\"\\\x41\/\n"`, `=(a.b "q\"\\A/\n")`},
		{`a.b = "legacy\ x"`, `=(a.b "legacy\\x")`},
		{"a.b = ünïcode", "=(a.b ünïcode)"},
		{"\n\ta\n", "$a"},
	} {
		e, err := Parse(c.in, Options{})
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
			continue
		}
		if got := shape(e); got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.in, got, c.want)
		}
		roundTrip(t, e)
	}
}

func roundTrip(t *testing.T, e Expr) {
	t.Helper()
	for _, text := range []string{Format(e), Pretty(e, 0), Pretty(e, 10)} {
		again, err := Parse(text, Options{MaxDepth: 10 * DefaultMaxDepth})
		if err != nil {
			t.Errorf("%q does not parse again: %v", text, err)
			continue
		}
		if !Equal(e, again) {
			t.Errorf("%q comes back as %s, was %s", text, shape(again), shape(e))
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "1:1: the condition is empty"},
		{"a andb", "1:6: expected a blank or '(' after 'and', found \"b\""},
		{"a and", "1:6: expected a blank or '(' after 'and', found the end of the condition"},
		{"a and\n  ", "2:3: expected a field, a macro, 'not' or '(', found the end of the condition"},
		{"proc.name ~ x", "1:11: expected an operator (exists <= < >= > == = != glob iglob contains icontains bcontains startswith bstartswith endswith regex intersects in pmatch), found \"~\""},
		{"(a\nor b", "2:5: expected ')', 'and' or 'or', found the end of the condition"},
		{"a)", "1:2: this ')' closes nothing"},
		{"fd.num > x", "1:10: expected a number, a transform or val(field), found \"x\""},
		{"a.b = 'x", "1:7: this quoted string is never closed"},
		{`a.b = "x\\"`, `1:7: this quoted string is never closed; a backslash before the closing quote escapes it (write \x5c for a final backslash)`},
		{`a.b = "x\q"`, `1:9: unknown escape \q; known: \b \f \n \r \t \\ \/ \" \' \xHH`},
		{`a.b in ("x\q")`, `1:11: unknown escape \q; known: \b \f \n \r \t \\ \/ \" \' \xHH`},
		{`a.b = "\x4"`, `1:8: \x needs two hexadecimal digits`},
		{"a.b in (x y)", "1:11: expected ',' or ')' in a list, found \"y\""},
		{"a.b in (x,)", "1:11: expected a list item (a quoted string or a bare word), found \")\""},
		{"a.b[] = 1", "1:5: expected an argument: a quoted string, or characters other than blanks, brackets and quotes, found \"]\""},
		{"a b", "1:3: expected 'and', 'or' or the end of the condition, found \"b\""},
		{"a.b = \xff", "1:7: expected a value (put it in quotes if it holds blanks, quotes, commas, '=' or parentheses), a transform or val(field), found \"\\xff\""},
		{"a.b = x\xff", "1:8: the condition is not valid UTF-8"},
	} {
		_, err := Parse(c.in, Options{})
		var se *SyntaxError
		if !errors.As(err, &se) {
			t.Errorf("%q: got %v", c.in, err)
			continue
		}
		if got := err.Error(); got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.in, got, c.want)
		}
	}
}

func TestParseDepth(t *testing.T) {
	for name, text := range map[string]string{
		"parentheses": strings.Repeat("(", 10000) + "a" + strings.Repeat(")", 10000),
		"open only":   strings.Repeat("(", 1000000),
		"not(":        strings.Repeat("not(", 10000) + "a" + strings.Repeat(")", 10000),
		"and(":        strings.Repeat("a and(", 10000) + "a" + strings.Repeat(")", 10000),
		"transforms":  strings.Repeat("tolower(", 10000) + "a.b" + strings.Repeat(")", 10000) + " = x",
	} {
		_, err := Parse(text, Options{})
		if err == nil || !strings.Contains(err.Error(), "nested too deeply") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	// Flat chains are no nesting, however long.
	for name, text := range map[string]string{
		"not": strings.Repeat("not ", 100001) + "a",
		"and": "a" + strings.Repeat(" and a", 100000),
		"or":  "a" + strings.Repeat(" or a", 100000),
	} {
		e, err := Parse(text, Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		roundTrip(t, e)
	}
	if _, err := Parse(strings.Repeat("(", 190)+"a"+strings.Repeat(")", 190), Options{}); err != nil {
		t.Errorf("190 parentheses: %v", err)
	}
}

func TestQuote(t *testing.T) {
	for _, s := range []string{"", " ", `\`, `a\`, `\\`, `"`, `'`, "\x00", "a\x00b", "\xff\xfe", "ü", "\u2028", "\x7f", `\x41`, "a=b", "\n\t\v"} {
		e, err := Parse("a.b = "+Quote(s), Options{})
		if err != nil {
			t.Errorf("%q: %v", s, err)
			continue
		}
		if got := e.(*Check).Right.(*Literal).Text; got != s {
			t.Errorf("%q comes back as %q", s, got)
		}
	}
}

func TestPretty(t *testing.T) {
	e, err := Parse("spawned and (proc.name in (sh, bash) or proc.pname = nginx or fd.name startswith /very/long/path) and not (a and b.c exists) and not (d or not (proc.cmdline contains something_long and proc.args contains x))", Options{})
	if err != nil {
		t.Fatal(err)
	}
	const want = `spawned
and (
  proc.name in (sh, bash)
  or proc.pname = nginx
  or fd.name startswith /very/long/path
)
and not (a and b.c exists)
and not (
  d
  or not (
    proc.cmdline contains something_long
    and proc.args contains x
  )
)`
	if got := Pretty(e, 50); got != want {
		t.Errorf("got\n%s", got)
	}
	roundTrip(t, e)
}

func TestRewriteAndWalk(t *testing.T) {
	e, err := Parse("a and (b or c.d in (x, y)) and not a", Options{})
	if err != nil {
		t.Fatal(err)
	}
	before := shape(e)
	sub, err := Parse("z.z = 1", Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Rewrite(e, func(leaf Expr) (Expr, error) {
		if m, ok := leaf.(*Macro); ok && m.Name == "a" {
			return sub, nil
		}
		return leaf, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := "and(=(z.z 1) or($b in(c.d {x,y})) not(=(z.z 1)))"; shape(got) != want {
		t.Errorf("got %s", shape(got))
	}
	if shape(e) != before {
		t.Errorf("the tree itself changed: %s", shape(e))
	}
	if got.(*And).Kids[1] != e.(*And).Kids[1] {
		t.Error("an unchanged subtree was copied")
	}
	n := 0
	Walk(got, func(any) bool { n++; return true })
	if n != 15 {
		t.Errorf("visited %d nodes", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"a and (b or not c.d in (x, \"y z\")) and e.f[1] >= 0x1f",
		`getopt(proc.args, "ab:")[b] = val(a.b)`, "a.b = oneof (x)", "not(not a)",
		`a.b = "\x41\ \\"`, "a.b = oneof and_x", "((((", `join(",", (a.b, 3)) exists`,
		"a.b inx", "a.b = allof or c", "a.b startswith anyof ()",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		e, err := Parse(in, Options{})
		if err != nil {
			var se *SyntaxError
			if !errors.As(err, &se) || se.Pos.Idx > len(in) || se.Message == "" {
				t.Fatalf("bad error for %q: %#v", in, err)
			}
			return
		}
		text := Format(e)
		again, err := Parse(text, Options{MaxDepth: 4 * DefaultMaxDepth})
		if err != nil {
			t.Fatalf("%q → %q: %v", in, text, err)
		}
		if !Equal(e, again) {
			t.Fatalf("%q → %q changes the tree", in, text)
		}
		if twice := Format(again); twice != text {
			t.Fatalf("format is not stable: %q then %q", text, twice)
		}
		pretty, err := Parse(Pretty(e, 20), Options{MaxDepth: 4 * DefaultMaxDepth})
		if err != nil || !Equal(e, pretty) {
			t.Fatalf("%q → pretty %q: %v", in, Pretty(e, 20), err)
		}
	})
}
