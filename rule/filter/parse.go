package filter

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// DefaultMaxDepth bounds the recursion of Parse when Options says nothing. One
// pair of parentheses costs five levels, as in Falco.
const DefaultMaxDepth = 1000

// Options tunes Parse. The zero value is right for most callers.
type Options struct {
	MaxDepth int // recursion bound; 0 means DefaultMaxDepth
	Text     int // goes into the Pos of every node
}

// SyntaxError says where a condition stops making sense.
type SyntaxError struct {
	Pos      Pos
	Expected string // what could stand there; may be empty
	Found    string // what does; may be empty
	Message  string // the whole sentence, without the position
}

// Error gives "line:col: message".
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%d:%d: %s", e.Pos.Line, e.Pos.Col, e.Message)
}

// Parse turns a condition into a tree. Every error is a *SyntaxError. It uses
// at most Options.MaxDepth levels of recursion whatever the text says.
func Parse(text string, opt Options) (Expr, error) {
	if opt.MaxDepth <= 0 {
		opt.MaxDepth = DefaultMaxDepth
	}
	p := &parser{in: text, max: opt.MaxDepth, pos: Pos{Line: 1, Col: 1, Text: opt.Text}}
	if text == "" {
		return nil, p.fail("a condition", "the condition is empty")
	}
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.pos.Idx != len(p.in) {
		return nil, p.trailing()
	}
	return e, nil
}

// ParseOperand reads the left-hand side of a comparison and nothing else: a
// field or a transform. Exceptions and output formats use it.
func ParseOperand(text string, opt Options) (Operand, error) {
	if opt.MaxDepth <= 0 {
		opt.MaxDepth = DefaultMaxDepth
	}
	p := &parser{in: text, max: opt.MaxDepth, pos: Pos{Line: 1, Col: 1, Text: opt.Text}}
	p.blank()
	op, err := p.operand()
	if err != nil {
		return nil, err
	}
	if op == nil {
		return nil, p.expected("a field or a transform")
	}
	p.blank()
	if p.pos.Idx != len(p.in) {
		return nil, p.expected("the end of the field")
	}
	return op, nil
}

type parser struct {
	in    string
	pos   Pos
	depth int
	max   int
}

// enter counts one level of recursion; the caller defers leave.
func (p *parser) enter() error {
	p.depth++
	if p.depth >= p.max {
		return &SyntaxError{Pos: p.pos, Message: fmt.Sprintf("the condition is nested too deeply (more than %d levels of the grammar); split it into macros", p.max)}
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

func (p *parser) rest() string { return p.in[p.pos.Idx:] }

// advance moves over n bytes.
func (p *parser) advance(n int) {
	for i := p.pos.Idx; i < p.pos.Idx+n; i++ {
		p.pos.Col++
		if c := p.in[i]; c == '\n' || c == '\r' {
			p.pos.Col = 1
			p.pos.Line++
		}
	}
	p.pos.Idx += n
}

// lit moves over s if it stands here.
func (p *parser) lit(s string) bool {
	if !strings.HasPrefix(p.rest(), s) {
		return false
	}
	p.advance(len(s))
	return true
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\b' || c == '\r' || c == '\n' }

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func (p *parser) blank() bool {
	s := p.rest()
	n := 0
	for n < len(s) && isBlank(s[n]) {
		n++
	}
	p.advance(n)
	return n > 0
}

// found describes what stands at the cursor, shortened to what fits in a sentence.
func (p *parser) found() string {
	s := strings.TrimLeft(p.rest(), " \t\b\r\n")
	if s == "" {
		return "the end of the condition"
	}
	n := min(bareLen(s, isBareByte), 24)
	for n > 0 && n < len(s) && !utf8.RuneStart(s[n]) {
		n--
	}
	return fmt.Sprintf("%q", s[:max(n, 1)])
}

func (p *parser) fail(expected, message string) *SyntaxError {
	return &SyntaxError{Pos: p.pos, Expected: expected, Found: p.found(), Message: message}
}

func (p *parser) expected(what string) *SyntaxError {
	e := p.fail(what, "")
	e.Message = fmt.Sprintf("expected %s, found %s", what, e.Found)
	return e
}

// trailing explains input left over after a complete condition.
func (p *parser) trailing() *SyntaxError {
	s := p.rest()
	switch {
	case s[0] == ')':
		return p.fail("'and', 'or' or the end", "this ')' closes nothing")
	case !utf8.ValidString(s):
		return p.fail("'and', 'or' or the end", "the condition is not valid UTF-8")
	}
	return p.expected("'and', 'or' or the end of the condition")
}

func (p *parser) or() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	at := p.pos
	p.blank()
	kids, err := p.chain("or", p.and)
	if err != nil {
		return nil, err
	}
	if len(kids) == 1 {
		return kids[0], nil
	}
	return &Or{Pos: at, Kids: kids}, nil
}

func (p *parser) and() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	p.blank()
	at := p.pos
	kids, err := p.chain("and", p.not)
	if err != nil {
		return nil, err
	}
	if len(kids) == 1 {
		return kids[0], nil
	}
	return &And{Pos: at, Kids: kids}, nil
}

// chain reads one or more operands joined by word. After the word stands a
// blank, or an opening parenthesis at once.
func (p *parser) chain(word string, operand func() (Expr, error)) ([]Expr, error) {
	first, err := operand()
	if err != nil {
		return nil, err
	}
	kids := []Expr{first}
	p.blank()
	for p.lit(word) {
		var kid Expr
		switch {
		case p.blank():
			kid, err = operand()
		case p.lit("("):
			kid, err = p.embedded()
		default:
			return nil, p.expected("a blank or '(' after '" + word + "'")
		}
		if err != nil {
			return nil, err
		}
		kids = append(kids, kid)
		p.blank()
	}
	return kids, nil
}

func (p *parser) not() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	p.blank()
	at := p.pos
	negate := false
	for {
		s := p.rest()
		n := len("not")
		if !strings.HasPrefix(s, "not") || len(s) == n || !isSpace(s[n]) {
			break
		}
		for n < len(s) && isSpace(s[n]) {
			n++
		}
		p.advance(n)
		negate = !negate
	}
	var kid Expr
	var err error
	if p.lit("not(") {
		negate = !negate
		kid, err = p.embedded()
	} else {
		kid, err = p.check()
	}
	if err != nil {
		return nil, err
	}
	if negate {
		return &Not{Pos: at, Kid: kid}, nil
	}
	return kid, nil
}

// embedded reads the rest of a parenthesised condition.
func (p *parser) embedded() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	p.blank()
	if !p.lit(")") {
		return nil, p.expected("')', 'and' or 'or'")
	}
	return e, nil
}

func (p *parser) check() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	p.blank()
	at := p.pos
	if p.lit("(") {
		return p.embedded()
	}
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	if left != nil {
		return p.condition(left, at)
	}
	if name := p.identifier(); name != "" {
		return &Macro{Pos: at, Name: name}, nil
	}
	return nil, p.expected("a field, a macro, 'not' or '('")
}

// operand reads a field or a transform; nil when neither stands here.
func (p *parser) operand() (Operand, error) {
	at := p.pos
	if name := p.fieldName(); name != "" {
		return p.field(name, at)
	}
	if name := p.transformName(); name != "" {
		return p.transform(name, at)
	}
	return nil, nil
}

func (p *parser) field(name string, at Pos) (*Field, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	f := &Field{Pos: at, Name: name}
	var err error
	f.Arg, f.Quoted, f.HasArg, err = p.argument()
	return f, err
}

// argument reads an optional [argument]; no blank may come before it.
func (p *parser) argument() (arg string, quoted, has bool, err error) {
	if !p.lit("[") {
		return "", false, false, nil
	}
	arg, quoted, err = p.quoted()
	if err != nil {
		return "", false, false, err
	}
	if !quoted {
		s := p.rest()
		n := bareLen(s, isArgByte)
		if n == 0 {
			return "", false, false, p.expected("an argument: a quoted string, or characters other than blanks, brackets and quotes")
		}
		arg = s[:n]
		p.advance(n)
	}
	if !p.lit("]") {
		return "", false, false, p.expected("']'")
	}
	return arg, quoted, true, nil
}

func (p *parser) transform(name string, at Pos) (*Transform, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	t := &Transform{Pos: at, Name: name}
	for {
		arg, err := p.transformArg()
		if err != nil {
			return nil, err
		}
		t.Args = append(t.Args, arg)
		p.blank()
		if !p.lit(",") {
			break
		}
	}
	if !p.lit(")") {
		return nil, p.expected("',' or ')' after an argument of " + name)
	}
	var err error
	t.Selector, _, t.HasSelector, err = p.argument()
	return t, err
}

func (p *parser) transformArg() (Value, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	p.blank()
	at := p.pos
	if num := p.number(); num != "" {
		return &Literal{Pos: at, Text: num}, nil
	}
	if s, ok, err := p.quoted(); ok || err != nil {
		return &Literal{Pos: at, Text: s, Quoted: true}, err
	}
	if p.lit("(") {
		return p.tuple(at)
	}
	op, err := p.operand()
	if err != nil {
		return nil, err
	}
	if op == nil {
		return nil, p.expected("a field, a transform, a quoted string, a number or a list")
	}
	return op, nil
}

// tuple reads the rest of a parenthesised list in a transform's arguments.
func (p *parser) tuple(at Pos) (Value, error) {
	t := &Tuple{Pos: at}
	p.blank()
	if p.lit(")") {
		return t, nil
	}
	for {
		p.blank()
		itemAt := p.pos
		op, err := p.operand()
		if err != nil {
			return nil, err
		}
		switch s, ok, err := p.quotedUnless(op != nil); {
		case err != nil:
			return nil, err
		case op != nil:
			t.Items = append(t.Items, op)
		case ok:
			t.Items = append(t.Items, &Literal{Pos: itemAt, Text: s, Quoted: true})
		default:
			num := p.number()
			if num == "" {
				return nil, p.expected("a field, a transform, a quoted string or a number")
			}
			t.Items = append(t.Items, &Literal{Pos: itemAt, Text: num})
		}
		p.blank()
		if !p.lit(",") {
			break
		}
	}
	if !p.lit(")") {
		return nil, p.expected("',' or ')'")
	}
	return t, nil
}

func (p *parser) quotedUnless(skip bool) (string, bool, error) {
	if skip {
		return "", false, nil
	}
	return p.quoted()
}
