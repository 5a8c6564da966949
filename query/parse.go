package query

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of a filter. Beyond them Parse refuses.
const (
	MaxBytes  = 4096
	MaxTerms  = 64
	MaxValues = 64 // in one comma list
	maxStars  = 8  // in one pattern: keeps matching linear enough
)

// Parse reads a filter against a schema. The empty filter matches everything.
// Errors are of type *Error.
func Parse(s *Schema, text string) (Query, error) {
	if len(text) > MaxBytes {
		return Query{}, &Error{Pos: MaxBytes, End: len(text), Msg: fmt.Sprintf("the filter is %d bytes long, at most %d are read", len(text), MaxBytes)}
	}
	if !utf8.ValidString(text) {
		return Query{}, &Error{Pos: 0, End: len(text), Msg: "the filter is not valid UTF-8"}
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		return Query{}, &Error{Pos: i, End: i + 1, Msg: "the filter holds a NUL character"}
	}
	p := parser{schema: s, in: text}
	var q Query
	for {
		p.space()
		if p.at == len(p.in) {
			return q, nil
		}
		if len(q.Terms) == MaxTerms {
			return Query{}, p.fail(p.at, "more than %d conditions", MaxTerms)
		}
		t, err := p.term()
		if err != nil {
			return Query{}, err
		}
		q.Terms = append(q.Terms, t)
	}
}

type parser struct {
	schema *Schema
	in     string
	at     int
}

func (p *parser) fail(from int, format string, args ...any) *Error {
	return &Error{Pos: from, End: max(from, p.at), Msg: fmt.Sprintf(format, args...)}
}

func (p *parser) space() {
	for p.at < len(p.in) && isSpace(p.in[p.at]) {
		p.at++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func (p *parser) term() (Term, error) {
	var t Term
	start := p.at
	if p.in[p.at] == '-' {
		t.Negate = true
		p.at++
		if p.at == len(p.in) || isSpace(p.in[p.at]) {
			return t, p.fail(start, "- stands alone: put it right before the condition it turns round, or quote it")
		}
	}
	if name, ok := p.name(); ok {
		f := p.schema.find(name)
		if f == nil {
			err := p.fail(p.at-len(name)-1, "no field is called %q here", name)
			err.End = p.at - 1
			if near := nearest(name, p.schema.names()); near != "" {
				err.Suggest = near + ":"
			} else {
				err.Msg += fmt.Sprintf("; fields: %s; to look for these words, quote them", strings.Join(fieldNames(p.schema), ", "))
			}
			return t, err
		}
		t.Field = f
		for {
			v, err := p.value(f)
			if err != nil {
				return t, err
			}
			if len(t.Values) == MaxValues {
				return t, p.fail(start, "more than %d alternatives", MaxValues)
			}
			t.Values = append(t.Values, v)
			if p.at == len(p.in) || p.in[p.at] != ',' {
				return t, nil
			}
			p.at++
		}
	}
	// Free words: commas, colons and stars are ordinary characters here.
	text, _, err := p.text(" \t\n\r", false)
	if err != nil {
		return t, err
	}
	if text == "" {
		return t, p.fail(start, "empty quotes look for nothing: leave them out, or name the field, as in owner:\"\"")
	}
	t.Values = []Value{{Text: text}}
	return t, nil
}

func fieldNames(s *Schema) []string {
	var out []string
	for _, f := range s.Fields {
		out = append(out, f.Name)
	}
	return out
}

// name reads `name:` if it is there, and leaves p.at after the colon.
func (p *parser) name() (string, bool) {
	i := p.at
	for i < len(p.in) && (isLetter(p.in[i]) || i > p.at && (p.in[i] == '_' || p.in[i] == '.' || p.in[i] == '-' || '0' <= p.in[i] && p.in[i] <= '9')) {
		i++
	}
	if i == p.at || i >= len(p.in) || p.in[i] != ':' {
		return "", false
	}
	name := p.in[p.at:i]
	p.at = i + 1
	return name, true
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// text reads bare and quoted parts until one of stop or the end. It reports
// where unquoted stars are, as offsets into the result, when wild is set.
func (p *parser) text(stop string, wild bool) (string, []int, error) {
	var b []byte
	var stars []int
	start := p.at
	for p.at < len(p.in) && strings.IndexByte(stop, p.in[p.at]) < 0 {
		c := p.in[p.at]
		switch {
		case c == '"':
			open := p.at
			p.at++
			for {
				if p.at == len(p.in) {
					return "", nil, p.fail(open, "the quote that opens here is not closed")
				}
				c = p.in[p.at]
				p.at++
				if c == '"' {
					break
				}
				if c == '\\' {
					if p.at == len(p.in) {
						return "", nil, p.fail(open, "the quote that opens here is not closed")
					}
					c = p.in[p.at]
					p.at++
				}
				b = append(b, c)
			}
			continue
		case c == '*' && wild:
			if n := len(stars); n > 0 && stars[n-1] == len(b)-1 {
				p.at++ // ** is *
				continue
			}
			if len(stars) == maxStars {
				return "", nil, p.fail(start, "more than %d * in one value", maxStars)
			}
			stars = append(stars, len(b))
		}
		b = append(b, c)
		p.at++
	}
	return string(b), stars, nil
}

func (p *parser) value(f *Field) (Value, error) {
	start := p.at
	if f.Type == Text {
		text, stars, err := p.text(" \t\n\r,", true)
		if err != nil {
			return Value{}, err
		}
		if p.at == start {
			return Value{}, p.fail(start, "%s: needs a value; to find where there is none, write %s:\"\"", f.Name, f.Name)
		}
		return Value{Text: text, Stars: stars}, nil
	}
	v := Value{}
	for _, op := range [...]struct {
		text string
		op   Op
	}{{"<=", LessEqual}, {">=", GreaterEqual}, {"<", Less}, {">", Greater}, {"=", Equal}} {
		if strings.HasPrefix(p.in[p.at:], op.text) {
			v.Op = op.op
			p.at += len(op.text)
			break
		}
	}
	if v.Op != Equal && (f.Type == Enum || f.Type == Bool) {
		return v, p.fail(start, "%s has no order: name its values, as in %s:%s", f.Name, f.Name, strings.Join(wordsOf(f), ","))
	}
	from := p.at
	text, _, err := p.text(" \t\n\r,", false)
	if err != nil {
		return v, err
	}
	if text == "" {
		return v, p.fail(start, "%s: needs a value: %s", f.Name, expected(f))
	}
	if lo, hi, ok := strings.Cut(text, ".."); ok && v.Op == Equal && f.Type != Enum && f.Type != Bool {
		v.Op = Range
		if v.Num, _, err = p.parse(f, lo, from); err != nil {
			return v, err
		}
		var last int64
		if _, last, err = p.parse(f, hi, from); err != nil {
			return v, err
		}
		v.To = last
		if v.Num > v.To {
			return v, p.fail(from, "the range %s runs backwards: write the smaller end first", text)
		}
		return v, nil
	}
	var last int64
	if v.Num, last, err = p.parse(f, text, from); err != nil {
		return v, err
	}
	if last != v.Num { // a whole day
		switch v.Op {
		case Equal:
			v.Op, v.To = Range, last
		case LessEqual:
			v.Op, v.Num = Less, last+1
		case Greater:
			v.Op, v.Num = GreaterEqual, last+1
		}
	}
	if f.Type == Age && v.Op == Equal {
		return v, p.fail(start, "an age needs < or >: %s:<%s is younger than that", f.Name, text)
	}
	return v, nil
}

func wordsOf(f *Field) []string {
	if f.Type == Bool {
		return []string{"yes", "no"}
	}
	return f.Words
}

func expected(f *Field) string {
	switch f.Type {
	case Enum, Ranked, Bool:
		return "one of " + strings.Join(wordsOf(f), ", ")
	case Number:
		return "a whole number, as in >=10 or 10..20"
	case Decimal:
		return "a number, as in >=0.5 or 0.1..0.9"
	case Time:
		return "a date (2026-01-31) or a time (2026-01-31T15:04:05Z)"
	case Age:
		return "< or > and a duration in s, m, h, d or w, as in <7d"
	}
	return "text"
}

// parse reads one value that is not text. A date covers a whole day: last is its
// final nanosecond; otherwise last is the value itself.
func (p *parser) parse(f *Field, s string, from int) (first, last int64, err error) {
	bad := func() (int64, int64, error) {
		e := p.fail(from, "%q is not a value of %s: want %s", clip(s), f.Name, expected(f))
		if words := wordsOf(f); len(words) > 0 && f.Type != Number && f.Type != Decimal {
			e.Suggest = nearest(s, words)
		}
		return 0, 0, e
	}
	switch f.Type {
	case Enum, Ranked:
		i := slices.Index(f.Words, lower(s))
		if i < 0 {
			return bad()
		}
		return f.First + int64(i), f.First + int64(i), nil
	case Bool:
		switch lower(s) {
		case "yes", "true":
			return 1, 1, nil
		case "no", "false":
			return 0, 0, nil
		}
		return bad()
	case Number:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return bad()
		}
		return n, n, nil
	case Decimal:
		n, ok := millionths(s)
		if !ok {
			return bad()
		}
		return n, n, nil
	case Time:
		if t, err := time.Parse(time.DateOnly, s); err == nil && inRange(t) {
			return t.UnixNano(), t.UnixNano() + int64(24*time.Hour) - 1, nil
		}
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil || !inRange(t) {
			return bad()
		}
		return t.UnixNano(), t.UnixNano(), nil
	case Age:
		for _, u := range ageUnits {
			digits, ok := strings.CutSuffix(lower(s), u.name)
			if !ok {
				continue
			}
			n, err := strconv.ParseInt(digits, 10, 64)
			if err != nil || n < 0 || n > math.MaxInt64/4/u.size {
				return bad()
			}
			return n * u.size, n * u.size, nil
		}
		return bad()
	}
	return bad()
}

// millionths reads -12.345678 as -12345678.
func millionths(s string) (int64, bool) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, part, dot := strings.Cut(digits, ".")
	if whole == "" || len(whole) > 12 || len(part) > 6 || dot && part == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(whole+part+"000000"[len(part):], 10, 63)
	if err != nil {
		return 0, false
	}
	if negative {
		return -int64(n), true
	}
	return int64(n), true
}

// inRange keeps times where Unix nanoseconds do not overflow.
func inRange(t time.Time) bool { return t.Year() >= 1970 && t.Year() < 2200 }

func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}
