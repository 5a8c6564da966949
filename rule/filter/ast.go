// Package filter owns the syntax of conditions: text → tree → text. It knows no
// field, no type and no event; package rule gives the tree its meaning.
package filter

// Pos is a place in a condition's text. Line and Col count from 1, Idx from 0, in bytes.
// Text tells texts apart once trees of several texts are joined (macros); Parse
// sets it to Options.Text.
type Pos struct{ Idx, Line, Col, Text int }

// Position returns the place itself; it makes every node that embeds Pos an Expr or Operand.
func (p Pos) Position() Pos { return p }

// Expr is a node with a truth value: *And, *Or, *Not, *Macro, *Check.
type Expr interface{ Position() Pos }

// And is true when every kid is. It has at least two kids.
type And struct {
	Pos
	Kids []Expr
}

// Or is true when some kid is. It has at least two kids.
type Or struct {
	Pos
	Kids []Expr
}

// Not is true when its kid is not.
type Not struct {
	Pos
	Kid Expr
}

// Macro is a bare identifier where a condition may stand.
type Macro struct {
	Pos
	Name string
}

// Check is one comparison, or `exists` (Right nil).
type Check struct {
	Pos
	Left     Operand
	Op       string // as written, "==" kept; "exists" for the unary check
	Modifier string // "", "oneof", "anyof" or "allof" after a string operator
	Right    Value
}

// Operand is what can stand on the left: *Field or *Transform.
type Operand interface{ Position() Pos }

// Value is what can stand on the right: *Literal, *List, *Ident, *Field (from
// val(field)) or *Transform.
type Value interface{ Position() Pos }

// Field names a field, with its argument if one is given in brackets.
type Field struct {
	Pos
	Name   string
	Arg    string
	HasArg bool
	Quoted bool // the argument was quoted
}

// Transform applies a named function to operands, values or list literals.
type Transform struct {
	Pos
	Name        string
	Args        []Value
	Selector    string // getopt(…)[c]
	HasSelector bool
}

// Tuple is a parenthesised list as an argument of a transform: join(",", (proc.name, "x")).
// Its items are *Literal, *Field or *Transform.
type Tuple struct {
	Pos
	Items []Value
}

// Literal is one scalar as meant (escapes resolved).
type Literal struct {
	Pos
	Text   string
	Quoted bool // was written in quotes
}

// List is a parenthesised list of literals.
type List struct {
	Pos
	Items []*Literal
}

// Ident is a bare name where a list is expected (`in shell_binaries`).
type Ident struct {
	Pos
	Name string
}
