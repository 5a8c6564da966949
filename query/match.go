package query

import (
	"strings"
)

// Row gives the values of one thing to Match. Only the method that fits a
// field's type is called.
type Row interface {
	Text(f *Field) string
	Texts(f *Field) []string // of a List field
	Int(f *Field) int64      // Enum, Ranked, Number, Decimal (millionths), Bool (0 or 1), Time; Age: the time it counts from
}

// Match reports whether every term holds for r. now is Unix nanoseconds.
func (q Query) Match(s *Schema, r Row, now int64) bool {
	for _, t := range q.Terms {
		if t.match(s, r, now) == t.Negate {
			return false
		}
	}
	return true
}

func (t Term) match(s *Schema, r Row, now int64) bool {
	if t.Field == nil {
		for i := range s.Fields {
			f := &s.Fields[i]
			if f.Free && anyText(f, r, func(have string) bool { return strings.Contains(lower(have), lower(t.Values[0].Text)) }) {
				return true
			}
		}
		return false
	}
	for _, v := range t.Values {
		if v.match(t.Field, r, now) {
			return true
		}
	}
	return false
}

func anyText(f *Field, r Row, ok func(string) bool) bool {
	if !f.List {
		return ok(r.Text(f))
	}
	for _, have := range r.Texts(f) {
		if ok(have) {
			return true
		}
	}
	return false
}

func (v Value) match(f *Field, r Row, now int64) bool {
	if f.Type == Text {
		if f.List && v.Text == "" {
			return len(r.Texts(f)) == 0
		}
		return anyText(f, r, v.like)
	}
	have := r.Int(f)
	op, num, to := v.bounds(f, now)
	switch op {
	case Less:
		return have < num
	case LessEqual:
		return have <= num
	case Greater:
		return have > num
	case GreaterEqual:
		return have >= num
	case Range:
		return num <= have && have <= to
	}
	return have == num
}

// bounds turns an age into a comparison of times: younger means later.
func (v Value) bounds(f *Field, now int64) (op Op, num, to int64) {
	if f.Type != Age {
		return v.Op, v.Num, v.To
	}
	switch v.Op {
	case Less:
		return Greater, now - v.Num, 0
	case LessEqual:
		return GreaterEqual, now - v.Num, 0
	case Greater:
		return Less, now - v.Num, 0
	case GreaterEqual:
		return LessEqual, now - v.Num, 0
	case Range:
		return Range, now - v.To, now - v.Num
	}
	return v.Op, now - v.Num, 0
}

// parts are the literal stretches between the stars.
func (v Value) parts() []string {
	out := make([]string, 0, len(v.Stars)+1)
	at := 0
	for _, i := range v.Stars {
		out = append(out, v.Text[at:i])
		at = i + 1
	}
	return append(out, v.Text[at:])
}

// like matches the whole of have, ASCII case aside. Leftmost matching of the
// middle parts is complete because a star is their only wildcard.
func (v Value) like(have string) bool {
	have = lower(have)
	parts := v.parts()
	for i := range parts {
		parts[i] = lower(parts[i])
	}
	if len(parts) == 1 {
		return have == parts[0]
	}
	have, ok := strings.CutPrefix(have, parts[0])
	if !ok {
		return false
	}
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(have, p)
		if i < 0 {
			return false
		}
		have = have[i+len(p):]
	}
	return strings.HasSuffix(have, parts[len(parts)-1])
}
