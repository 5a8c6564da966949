package filter

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Format writes a tree on one line with as few parentheses as keep its shape:
// for every tree that Parse made, Parse(Format(e)) equals e but for positions.
func Format(e Expr) string {
	var f formatter
	f.expr(e, levelOr)
	return f.b.String()
}

// FormatOperand writes a field or a transform.
func FormatOperand(o Operand) string {
	var f formatter
	f.value(o)
	return f.b.String()
}

// FormatValue writes a right-hand side.
func FormatValue(v Value) string {
	var f formatter
	f.right(v)
	return f.b.String()
}

// Quote writes s as a quoted string that Parse reads back as s.
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); {
		c := s[i]
		r, w := utf8.DecodeRuneInString(s[i:])
		switch {
		case c == '"':
			b.WriteString(`\"`)
		case c == '\\' && i == len(s)-1:
			b.WriteString(`\x5c`) // a backslash before the closing quote would escape it
		case c == '\\':
			b.WriteString(`\\`)
		case c == '\b':
			b.WriteString(`\b`)
		case c == '\f':
			b.WriteString(`\f`)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c == 0x7f || r == utf8.RuneError && w == 1:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteString(s[i : i+w])
		}
		i += w
	}
	b.WriteByte('"')
	return b.String()
}

// The levels of binding, loosest first.
const (
	levelOr = iota
	levelAnd
	levelNot
)

type formatter struct{ b strings.Builder }

// expr writes e where the grammar wants something that binds at least as tightly as level.
func (f *formatter) expr(e Expr, level int) {
	switch e := e.(type) {
	case *Or:
		f.group(e.Kids, " or ", level > levelOr, levelAnd)
	case *And:
		f.group(e.Kids, " and ", level > levelAnd, levelNot)
	case *Not:
		f.b.WriteString("not ")
		f.notKid(e.Kid)
	case *Macro:
		f.b.WriteString(e.Name)
	case *Check:
		f.check(e)
	}
}

// notKid writes what a not negates; a not inside needs parentheses, because two in a row cancel.
func (f *formatter) notKid(kid Expr) {
	if _, twice := kid.(*Not); twice {
		f.b.WriteByte('(')
		f.expr(kid, levelOr)
		f.b.WriteByte(')')
		return
	}
	f.expr(kid, levelNot)
}

func (f *formatter) group(kids []Expr, word string, paren bool, level int) {
	if paren {
		f.b.WriteByte('(')
	}
	for i, k := range kids {
		if i > 0 {
			f.b.WriteString(word)
		}
		f.expr(k, level)
	}
	if paren {
		f.b.WriteByte(')')
	}
}

func (f *formatter) check(c *Check) {
	f.value(c.Left)
	f.b.WriteByte(' ')
	f.b.WriteString(c.Op)
	if c.Op == "exists" {
		return
	}
	if c.Modifier != "" {
		f.b.WriteString(" " + c.Modifier)
	}
	f.b.WriteByte(' ')
	if l, ok := c.Right.(*Literal); ok && IsNumberOperator(c.Op) {
		f.b.WriteString(l.Text) // numbers cannot be quoted
		return
	}
	f.right(c.Right)
}

// right writes a right-hand side, where a field stands inside val().
func (f *formatter) right(v Value) {
	if fd, ok := v.(*Field); ok {
		f.b.WriteString("val(")
		f.value(fd)
		f.b.WriteByte(')')
		return
	}
	f.value(v)
}

func (f *formatter) value(v Value) {
	switch v := v.(type) {
	case *Field:
		f.b.WriteString(v.Name)
		if v.HasArg {
			f.argument(v.Arg, v.Quoted)
		}
	case *Transform:
		f.b.WriteString(v.Name)
		f.arguments(v.Args)
		if v.HasSelector {
			f.argument(v.Selector, false)
		}
	case *Tuple:
		f.arguments(v.Items)
	case *Literal:
		f.literal(v)
	case *List:
		f.b.WriteByte('(')
		for i, it := range v.Items {
			if i > 0 {
				f.b.WriteString(", ")
			}
			f.literal(it)
		}
		f.b.WriteByte(')')
	case *Ident:
		f.b.WriteString(v.Name)
	}
}

func (f *formatter) literal(l *Literal) {
	if l.Quoted || !IsBare(l.Text) {
		f.b.WriteString(Quote(l.Text))
		return
	}
	f.b.WriteString(l.Text)
}

func (f *formatter) arguments(args []Value) {
	f.b.WriteByte('(')
	for i, a := range args {
		if i > 0 {
			f.b.WriteString(", ")
		}
		f.value(a)
	}
	f.b.WriteByte(')')
}

func (f *formatter) argument(arg string, quoted bool) {
	f.b.WriteByte('[')
	if quoted || arg == "" || bareLen(arg, isArgByte) != len(arg) {
		f.b.WriteString(Quote(arg))
	} else {
		f.b.WriteString(arg)
	}
	f.b.WriteByte(']')
}

// Pretty writes a tree over several lines, for people: chains that do not fit
// into width columns are broken before each and/or and indented by two. A width
// of 0 means 80. Parse reads the result back as the same tree.
func Pretty(e Expr, width int) string {
	if width <= 0 {
		width = 80
	}
	var b strings.Builder
	pretty(&b, e, levelOr, 0, width)
	return b.String()
}

func pretty(b *strings.Builder, e Expr, level, indent, width int) {
	var kids []Expr
	word, paren, kidLevel := "", false, levelAnd
	switch e := e.(type) {
	case *Or:
		kids, word, paren = e.Kids, "or ", level > levelOr
	case *And:
		kids, word, paren, kidLevel = e.Kids, "and ", level > levelAnd, levelNot
	case *Not:
		if fits(e, indent, width) {
			break
		}
		b.WriteString("not ")
		_, twice := e.Kid.(*Not)
		_, or := e.Kid.(*Or)
		_, and := e.Kid.(*And)
		if !twice && !or && !and {
			pretty(b, e.Kid, levelNot, indent, width)
			return
		}
		b.WriteString("(")
		newline(b, indent+1)
		pretty(b, e.Kid, levelOr, indent+1, width)
		newline(b, indent)
		b.WriteString(")")
		return
	}
	if c, ok := e.(*Check); ok && !fits(e, indent, width) && prettyList(b, c, indent, width) {
		return
	}
	if kids == nil || fits(e, indent, width) {
		var f formatter
		f.expr(e, level)
		b.WriteString(f.b.String())
		return
	}
	at := indent
	if paren {
		at++
		b.WriteString("(")
		newline(b, at)
	}
	for i, k := range kids {
		if i > 0 {
			newline(b, at)
			b.WriteString(word)
		}
		pretty(b, k, kidLevel, at, width)
	}
	if paren {
		newline(b, indent)
		b.WriteString(")")
	}
}

// prettyList breaks a comparison with a long list; false when there is none.
func prettyList(b *strings.Builder, c *Check, indent, width int) bool {
	list, ok := c.Right.(*List)
	if !ok || len(list.Items) < 2 {
		return false
	}
	var head formatter
	head.check(&Check{Left: c.Left, Op: c.Op, Modifier: c.Modifier, Right: &List{}})
	b.WriteString(strings.TrimSuffix(head.b.String(), ")"))
	room := 0
	for i, it := range list.Items {
		var f formatter
		f.literal(it)
		if i < len(list.Items)-1 {
			f.b.WriteByte(',')
		}
		if room -= f.b.Len() + 1; room < 0 {
			newline(b, indent+1)
			room = width - 2*min(indent+1, 40) - f.b.Len()
		} else {
			b.WriteByte(' ')
		}
		b.WriteString(f.b.String())
	}
	newline(b, indent)
	b.WriteByte(')')
	return true
}

func newline(b *strings.Builder, indent int) {
	b.WriteByte('\n')
	for i := 0; i < min(indent, 40); i++ {
		b.WriteString("  ")
	}
}

// fits says whether e stays on one line. It gives up early, so that deciding
// for every level of a big tree stays cheap.
func fits(e Expr, indent, width int) bool {
	budget := width - 2*min(indent, 40)
	return shorter(e, &budget)
}

func shorter(e Expr, budget *int) bool {
	if *budget < 0 {
		return false
	}
	switch e := e.(type) {
	case *Or:
		return shorterAll(e.Kids, budget)
	case *And:
		return shorterAll(e.Kids, budget)
	case *Not:
		*budget -= 4
		return shorter(e.Kid, budget)
	case *Macro:
		*budget -= len(e.Name)
	case *Check:
		if l, ok := e.Right.(*List); ok && 3*len(l.Items) > *budget {
			*budget = -1
			break
		}
		*budget -= len(Format(e))
	}
	return *budget >= 0
}

func shorterAll(kids []Expr, budget *int) bool {
	for _, k := range kids {
		*budget -= 5
		if !shorter(k, budget) {
			return false
		}
	}
	return true
}
