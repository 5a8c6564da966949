package filter

import (
	"strconv"
	"strings"
)

// The operators, in the order in which they are tried. Words that need a blank
// after them are marked in stringOps.
var (
	numberOps = []string{"<=", "<", ">=", ">"}
	stringOps = []string{"==", "=", "!=", "glob", "iglob", "contains", "icontains", "bcontains",
		"startswith", "bstartswith", "endswith", "regex"}
	modifiers  = []string{"oneof", "anyof", "allof"}
	listOps    = []string{"intersects", "in", "pmatch"}
	transforms = []string{"tolower", "toupper", "b64", "basename", "len", "join", "concat", "getopt"}
)

// Operators lists every comparison operator as written, modifiers aside.
func Operators() []string {
	ops := []string{"exists"}
	ops = append(ops, numberOps...)
	ops = append(ops, stringOps...)
	return append(ops, listOps...)
}

// IsListOperator says whether op takes a list on its right (in, intersects, pmatch).
func IsListOperator(op string) bool { return oneOf(op, listOps) }

// IsNumberOperator says whether op takes a number on its right (<, <=, >, >=).
func IsNumberOperator(op string) bool { return oneOf(op, numberOps) }

// IsStringOperator says whether op takes a string on its right and admits a modifier.
func IsStringOperator(op string) bool { return oneOf(op, stringOps) }

// IsModifier says whether word is oneof, anyof or allof.
func IsModifier(word string) bool { return oneOf(word, modifiers) }

// Transforms lists the functions that may stand around a field; val, which
// only stands on the right, is not among them.
func Transforms() []string { return append([]string(nil), transforms...) }

func oneOf(s string, set []string) bool {
	for _, x := range set {
		if x == s {
			return true
		}
	}
	return false
}

// condition reads what follows a left-hand side.
func (p *parser) condition(left Operand, at Pos) (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	p.blank()
	if p.lit("exists") {
		return &Check{Pos: at, Left: left, Op: "exists"}, nil
	}
	c := &Check{Pos: at, Left: left}
	var err error
	switch {
	case p.operator(numberOps, &c.Op):
		c.Right, err = p.numberValue()
	case p.stringOperator(c):
		if c.Modifier != "" {
			c.Right, err = p.listValue(false)
		} else {
			c.Right, err = p.stringValue()
		}
	case p.operator(listOps, &c.Op):
		c.Right, err = p.listValue(true)
	default:
		return nil, p.expected("an operator (" + strings.Join(Operators(), " ") + ")")
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (p *parser) operator(ops []string, into *string) bool {
	for _, op := range ops {
		if p.lit(op) {
			*into = op
			return true
		}
	}
	return false
}

// stringOperator reads a string operator and its modifier. A word needs a blank
// after it. oneof, anyof and allof are modifiers only when a list follows:
// otherwise they are the value.
func (p *parser) stringOperator(c *Check) bool {
	for _, op := range stringOps {
		before := p.pos
		if !p.lit(op) {
			continue
		}
		blank := p.blank()
		if isLetter(op[0]) && !blank {
			p.pos = before
			continue
		}
		c.Op = op
		if !blank {
			return true
		}
		before = p.pos
		for _, m := range modifiers {
			if !p.lit(m) {
				continue
			}
			if p.blank() && p.listFollows() {
				c.Modifier = m
				return true
			}
			p.pos = before
		}
		return true
	}
	return false
}

func (p *parser) listFollows() bool {
	s := p.rest()
	if strings.HasPrefix(s, "(") {
		return true
	}
	for _, kw := range []string{"and", "or", "not"} {
		if strings.HasPrefix(s, kw) && (len(s) == len(kw) || !isLetter(s[len(kw)]) && !isDigit(s[len(kw)])) {
			return false
		}
	}
	return identLen(s) > 0
}

func (p *parser) numberValue() (Value, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	p.blank()
	at := p.pos
	if v, err := p.rightTransform(); v != nil || err != nil {
		return v, err
	}
	if num := p.number(); num != "" {
		return &Literal{Pos: at, Text: num}, nil
	}
	return nil, p.expected("a number, a transform or val(field)")
}

func (p *parser) stringValue() (Value, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	p.blank()
	if v, err := p.rightTransform(); v != nil || err != nil {
		return v, err
	}
	l, err := p.literal()
	if err != nil {
		return nil, err
	}
	if l == nil {
		return nil, p.expected("a value (put it in quotes if it holds blanks, quotes, commas, '=' or parentheses), a transform or val(field)")
	}
	return l, nil
}

// literal reads a quoted or bare string; nil when none stands here.
func (p *parser) literal() (*Literal, error) {
	at := p.pos
	s, ok, err := p.quoted()
	if err != nil {
		return nil, err
	}
	if ok {
		return &Literal{Pos: at, Text: s, Quoted: true}, nil
	}
	s = p.rest()
	n := bareLen(s, isBareByte)
	if n == 0 {
		return nil, nil
	}
	p.advance(n)
	return &Literal{Pos: at, Text: s[:n]}, nil
}

// listValue reads a list or the name of one; a transform too if the operator allows it.
func (p *parser) listValue(orTransform bool) (Value, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	p.blank()
	at := p.pos
	if p.lit("(") {
		return p.list(at)
	}
	if orTransform {
		if v, err := p.rightTransform(); v != nil || err != nil {
			return v, err
		}
	}
	if name := p.identifier(); name != "" {
		return &Ident{Pos: at, Name: name}, nil
	}
	return nil, p.expected("a list in parentheses or the name of one")
}

func (p *parser) list(at Pos) (Value, error) {
	l := &List{Pos: at}
	p.blank()
	if p.lit(")") {
		return l, nil
	}
	for {
		p.blank()
		item, err := p.literal()
		if err != nil {
			return nil, err
		}
		if item == nil {
			return nil, p.expected("a list item (a quoted string or a bare word)")
		}
		l.Items = append(l.Items, item)
		p.blank()
		if !p.lit(",") {
			break
		}
	}
	if !p.lit(")") {
		return nil, p.expected("',' or ')' in a list")
	}
	return l, nil
}

// rightTransform reads val(field) or a transform; nil when neither stands here.
func (p *parser) rightTransform() (Value, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	at := p.pos
	if p.lit("val(") {
		p.blank()
		fieldAt := p.pos
		name := p.fieldName()
		if name == "" {
			return nil, p.expected("a field inside val()")
		}
		f, err := p.field(name, fieldAt)
		if err != nil {
			return nil, err
		}
		p.blank()
		if !p.lit(")") {
			return nil, p.expected("')' after the field of val()")
		}
		return f, nil
	}
	if name := p.transformName(); name != "" {
		t, err := p.transform(name, at)
		if err != nil {
			return nil, err
		}
		return t, nil
	}
	return nil, nil
}

func (p *parser) transformName() string {
	for _, name := range transforms {
		if s := p.rest(); strings.HasPrefix(s, name) && len(s) > len(name) && s[len(name)] == '(' {
			p.advance(len(name) + 1)
			p.blank()
			return name
		}
	}
	return ""
}

func (p *parser) identifier() string {
	s := p.rest()
	n := identLen(s)
	p.advance(n)
	return s[:n]
}

// fieldName reads two or more identifiers joined by dots.
func (p *parser) fieldName() string {
	s := p.rest()
	n := identLen(s)
	if n == 0 {
		return ""
	}
	dotted := false
	for n < len(s) && s[n] == '.' {
		m := identLen(s[n+1:])
		if m == 0 {
			break
		}
		n += 1 + m
		dotted = true
	}
	if !dotted {
		return ""
	}
	p.advance(n)
	return s[:n]
}

// number reads a hexadecimal or decimal number; "" when none stands here.
func (p *parser) number() string {
	s := p.rest()
	n := numberLen(s)
	p.advance(n)
	return s[:n]
}

func numberLen(s string) int {
	if len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') && isHex(s[2]) {
		n := 3
		for n < len(s) && isHex(s[n]) {
			n++
		}
		return n
	}
	n := 0
	if n < len(s) && (s[n] == '+' || s[n] == '-') {
		n++
	}
	digits := n
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	if n == digits {
		return 0
	}
	if n < len(s) && s[n] == '.' {
		n++
	}
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	if n+2 < len(s) && (s[n] == 'e' || s[n] == 'E') && (s[n+1] == '+' || s[n+1] == '-') && isDigit(s[n+2]) {
		n += 3
		for n < len(s) && isDigit(s[n]) {
			n++
		}
	}
	return n
}

// quoted reads a quoted string and resolves its escapes. As in Falco, a quote
// ends the string unless the byte before it is a backslash, so a string cannot
// end in \\ : write \x5c there.
func (p *parser) quoted() (string, bool, error) {
	s := p.rest()
	if s == "" || s[0] != '"' && s[0] != '\'' {
		return "", false, nil
	}
	end := -1
	for i := 1; i < len(s) && s[i] != 0; i++ {
		if s[i] == s[0] && s[i-1] != '\\' {
			end = i
			break
		}
	}
	if end < 0 {
		e := p.fail("a closing quote", "this quoted string is never closed")
		if i := strings.Index(s, `\\`+s[:1]); i >= 0 {
			e.Message += `; a backslash before the closing quote escapes it (write \x5c for a final backslash)`
		}
		return "", false, e
	}
	text, err := p.unescape(s[1:end], s[0])
	if err != nil {
		return "", false, err
	}
	p.advance(end + 1)
	return text, true, nil
}

func (p *parser) unescape(s string, quote byte) (string, error) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		// The closing quote is never right after a backslash, so s[i] exists.
		switch c := s[i]; c {
		case 'b':
			b.WriteByte('\b')
		case 'f':
			b.WriteByte('\f')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case ' ', '\\': // backslash-space is legacy and means a backslash
			b.WriteByte('\\')
		case '/':
			b.WriteByte('/')
		case '"', '\'':
			if c != quote {
				return "", p.escapeError(i, `\`+string(c)+" may only be written inside "+string(c)+" quotes")
			}
			b.WriteByte(c)
		case 'x':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return "", p.escapeError(i, `\x needs two hexadecimal digits`)
			}
			v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", p.escapeError(i, `\x needs two hexadecimal digits`)
			}
			b.WriteByte(byte(v))
			i += 2
		default:
			return "", p.escapeError(i, `unknown escape \`+safeChar(s[i:])+`; known: \b \f \n \r \t \\ \/ \" \' \xHH`)
		}
	}
	return b.String(), nil
}

// escapeError places an error at the backslash before byte i of the string's inside.
func (p *parser) escapeError(i int, message string) *SyntaxError {
	at := *p
	at.advance(i)
	e := at.fail("", message)
	return e
}

func safeChar(s string) string {
	q := strconv.Quote(firstRune(s))
	return q[1 : len(q)-1]
}

func firstRune(s string) string {
	for i := range s {
		if i > 0 {
			return s[:i]
		}
	}
	return s
}
