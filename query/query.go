package query

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Query is a parsed filter: every term must hold. The zero Query matches all.
// It is immutable once parsed and safe for concurrent use.
type Query struct {
	Terms []Term
}

// Term is one condition: any of its values may match; Negate turns it round.
type Term struct {
	Negate bool
	Field  *Field // nil = words looked for in every free text field
	Values []Value
}

// Value is one alternative of a term.
type Value struct {
	Op   Op
	Text string // Text fields: the pattern, with Stars telling where * is; free words: the words
	// Stars are the byte offsets in Text of each * that stands for any characters.
	// A quoted * is an ordinary character.
	Stars []int
	Num   int64 // every other type: rank, number, millionths, 0/1, Unix nanoseconds, nanoseconds of age
	To    int64 // Range: the upper end, included
}

// Op is how a value is compared.
type Op uint8

// The operators. Only Equal applies to Text, Enum and Bool.
const (
	Equal Op = iota
	Less
	LessEqual
	Greater
	GreaterEqual
	Range // Num..To, both included
)

var opText = [...]string{"", "<", "<=", ">", ">=", ""}

// String is the canonical text: parsing it again gives the same Query, and two
// filters that mean the same by spelling have the same text.
func (q Query) String() string {
	var b strings.Builder
	for i, t := range q.Terms {
		if i > 0 {
			b.WriteByte(' ')
		}
		if t.Negate {
			b.WriteByte('-')
		}
		if t.Field == nil {
			b.WriteString(quote(t.Values[0].Text, nil))
			continue
		}
		b.WriteString(t.Field.Name)
		b.WriteByte(':')
		for j, v := range t.Values {
			if j > 0 {
				b.WriteByte(',')
			}
			b.WriteString(v.text(t.Field))
		}
	}
	return b.String()
}

func (v Value) text(f *Field) string {
	if f.Type == Text {
		return quote(v.Text, v.Stars)
	}
	if v.Op == Range {
		return word(f, v.Num, false) + ".." + word(f, v.To, false)
	}
	return opText[v.Op] + word(f, v.Num, v.Op == Less || v.Op == GreaterEqual)
}

// word writes a value that is not text. A date stands for its first moment only
// where the operator makes it so; elsewhere it is the whole day, so the time is
// written out.
func word(f *Field, n int64, dates bool) string {
	switch f.Type {
	case Enum, Ranked:
		if i := n - f.First; i >= 0 && i < int64(len(f.Words)) {
			return f.Words[i]
		}
	case Bool:
		if n != 0 {
			return "yes"
		}
		return "no"
	case Time:
		t := time.Unix(0, n).UTC()
		if dates && t.Truncate(24*time.Hour).Equal(t) {
			return t.Format(time.DateOnly)
		}
		return t.Format(time.RFC3339Nano)
	case Age:
		return age(n)
	case Decimal:
		return decimal(n)
	}
	return strconv.FormatInt(n, 10)
}

var ageUnits = [...]struct {
	name string
	size int64
}{
	{"w", int64(7 * 24 * time.Hour)},
	{"d", int64(24 * time.Hour)},
	{"h", int64(time.Hour)},
	{"m", int64(time.Minute)},
	{"s", int64(time.Second)},
}

// age writes a duration in its largest whole unit: 7d, not 168h; 2w, not 14d.
func age(n int64) string {
	for _, u := range ageUnits {
		if n != 0 && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n/int64(time.Second), 10) + "s"
}

// decimal writes millionths as a number without idle zeros.
func decimal(n int64) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%s%d.%06d", sign, n/1_000_000, n%1_000_000), "0"), ".")
}

// quote writes text so that it parses back: bare when it can be, quoted when it
// holds anything with a meaning. Text with both a wildcard and characters that
// need quotes is written in alternating parts: "a b"*"c d".
func quote(s string, stars []int) string {
	var b strings.Builder
	part := func(p string) {
		if p == "" {
			return
		}
		if bare(p) {
			b.WriteString(p)
			return
		}
		b.WriteByte('"')
		for i := range len(p) {
			if p[i] == '"' || p[i] == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(p[i])
		}
		b.WriteByte('"')
	}
	at := 0
	for _, i := range stars {
		part(s[at:i])
		b.WriteByte('*')
		at = i + 1
	}
	part(s[at:])
	if b.Len() == 0 {
		return `""`
	}
	return b.String()
}

func bare(p string) bool {
	return !strings.ContainsAny(p, " \t\n\r\",:*\\()") && p[0] != '-' && !strings.ContainsRune("<>=", rune(p[0])) && p[0] != '+'
}

// Error says what is wrong with a filter and where. Pos and End are byte offsets
// into the text given to Parse.
type Error struct {
	Pos, End int
	Msg      string
	Suggest  string // what was probably meant; "" = nothing near
}

// Error names the place, the cause and the remedy in one line.
func (e *Error) Error() string {
	s := fmt.Sprintf("filter, character %d: %s", e.Pos+1, e.Msg)
	if e.Suggest != "" {
		s += "; did you mean " + e.Suggest + "?"
	}
	return s
}
