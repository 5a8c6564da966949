package rule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule/filter"
)

// Format is a compiled output text: %field, %field[arg], %transform(field), each
// with an optional width as in %10proc.name, which pads or cuts. It is immutable;
// its methods may be called from several goroutines, each with its own event.
type Format struct {
	tokens []token
	values []namedValue // what JSON output holds, in order of appearance
}

type token struct {
	text  string   // literal text, when value is nil
	value *operand // else
	width int
}

type namedValue struct {
	name  string
	value *operand
}

// NotAvailable is printed for a field without a value.
const NotAvailable = "<NA>"

// maxWidth bounds the width a format may ask for, bytes.
const maxWidth = 4096

// ParseFormat compiles an output text for rules of a source ("syscall",
// "k8s_audit"). A leading '*' is accepted and means nothing: missing values always
// print as <NA>.
func ParseFormat(text, source string) (*Format, error) {
	s, ok := sourceByName(source)
	if !ok {
		return nil, fmt.Errorf("format: unknown source %q: use syscall or k8s_audit", source)
	}
	f, err := compileFormat(text, s, event.ResolveField)
	if err != nil {
		return nil, fmt.Errorf("format: byte %d: %w", err.pos.Idx, err)
	}
	return f, nil
}

// compileFormat reads a format. A field ends where no longer text is a field: in
// "%proc.name." the dot is text.
func compileFormat(text string, source event.Source, resolve resolver) (*Format, *compileError) {
	b := &builder{resolve: resolve, source: source}
	f := &Format{}
	at := 0
	if strings.HasPrefix(text, "*") {
		at = 1
	}
	fail := func(format string, args ...any) (*Format, *compileError) {
		return nil, failAt(filter.Pos{Idx: at, Line: 1, Col: at + 1}, format, args...)
	}
	if text == "" {
		return fail("empty formatting token")
	}
	for at < len(text) {
		next := strings.IndexByte(text[at:], '%')
		if next < 0 {
			f.tokens = append(f.tokens, token{text: text[at:]})
			break
		}
		if next > 0 {
			f.tokens = append(f.tokens, token{text: text[at : at+next]})
		}
		at += next + 1
		if at == len(text) {
			return fail("invalid formatting syntax: formatting cannot end with a %%")
		}
		digits := at
		for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
			digits++
		}
		width := 0
		if digits > at {
			n, err := strconv.Atoi(text[at:digits])
			if err != nil || n > maxWidth {
				return fail("invalid formatting syntax: the width %s is over %d", clip(text[at:digits], 20), maxWidth)
			}
			width = n
			if digits == len(text) {
				return fail("invalid formatting syntax: formatting cannot end with a number")
			}
			at = digits
		}
		ast, value, n, err := formatOperand(b, text[at:])
		if err != nil {
			err.pos = filter.Pos{Idx: at, Line: 1, Col: at + 1}
			return nil, err
		}
		f.tokens = append(f.tokens, token{value: value, width: width})
		f.name(b, ast)
		at += n
	}
	return f, nil
}

// formatOperand reads the longest field or transform at the start of text.
func formatOperand(b *builder, text string) (filter.Operand, *operand, int, *compileError) {
	var first *compileError
	for _, n := range operandEnds(text) {
		ast, perr := filter.ParseOperand(text[:n], filter.Options{})
		if perr != nil {
			if first == nil {
				first = failAt(filter.Pos{}, "%v", perr)
			}
			continue
		}
		o, err := b.operand(ast)
		if err == nil {
			return ast, o, n, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = failAt(filter.Pos{}, "no field after '%%' at %q; a percent sign cannot stand for itself", clip(text, 24))
	}
	first.message = "unknown filter: " + first.message
	first.unknown = true
	return nil, nil, 0, first
}

// maxFieldName bounds the name of a field in a format, bytes.
const maxFieldName = 256

// operandEnds returns where a field or transform at the start of text may end,
// longest first.
func operandEnds(text string) []int {
	word := 0
	for word < len(text) && word < maxFieldName && (isWordByte(text[word]) || text[word] == '.') {
		word++
	}
	if word == 0 {
		return nil
	}
	var ends []int
	if word < len(text) && text[word] == '(' {
		end := closing(text, word)
		if end < 0 {
			return nil
		}
		if n := bracketed(text, end); n > end {
			ends = append(ends, n)
		}
		return append(ends, end)
	}
	if n := bracketed(text, word); n > word {
		ends = append(ends, n)
	}
	for ; word > 0; word-- {
		if text[word-1] != '.' {
			ends = append(ends, word)
		}
	}
	return ends
}

func isWordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// closing returns the end of the parentheses that open at i, -1 when they stay open.
func closing(text string, i int) int {
	depth := 0
	for ; i < len(text); i++ {
		switch c := text[i]; c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		case '"', '\'':
			for i++; i < len(text) && text[i] != c; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		}
	}
	return -1
}

// bracketed returns the end of the [argument] at i, i when there is none.
func bracketed(text string, i int) int {
	if i >= len(text) || text[i] != '[' {
		return i
	}
	end := i + 1
	if end < len(text) && (text[end] == '"' || text[end] == '\'') {
		quote := text[end]
		for end++; end < len(text) && text[end] != quote; end++ {
			if text[end] == '\\' {
				end++
			}
		}
		end++
	}
	for ; end < len(text); end++ {
		if text[end] == ']' {
			return end + 1
		}
	}
	return i
}

// name notes what JSON output holds for an operand: the fields inside it, and its
// transforms but for those that are just the last step before another.
func (f *Format) name(b *builder, ast filter.Value) {
	var found []filter.Value
	lastTransform := false
	var visit func(filter.Value)
	visit = func(v filter.Value) {
		switch v := v.(type) {
		case *filter.Field:
			found = append(found, v)
			lastTransform = false
		case *filter.Tuple:
			for _, it := range v.Items {
				visit(it)
			}
		case *filter.Transform:
			for _, a := range v.Args {
				visit(a)
			}
			if lastTransform {
				found = found[:len(found)-1]
			}
			found = append(found, v)
			lastTransform = true
		}
	}
	visit(ast)
	for _, v := range found {
		name := plainName(v)
		if slices.ContainsFunc(f.values, func(n namedValue) bool { return n.name == name }) {
			continue
		}
		if o, err := b.operand(v); err == nil {
			f.values = append(f.values, namedValue{name, o})
		}
	}
}

// plainName writes an operand as the public dialect names it in JSON: without
// blanks and quotes where they are not needed.
func plainName(v filter.Value) string {
	list := func(vs []filter.Value) string {
		parts := make([]string, len(vs))
		for i, a := range vs {
			parts[i] = plainName(a)
		}
		return "(" + strings.Join(parts, ",") + ")"
	}
	switch v := v.(type) {
	case *filter.Literal:
		if strings.ContainsAny(v.Text, "\b\f\n\r\t =\\\"'") {
			return filter.Quote(v.Text)
		}
		return v.Text
	case *filter.Transform:
		s := v.Name + list(v.Args)
		if v.HasSelector {
			s += "[" + v.Selector + "]"
		}
		return s
	case *filter.Tuple:
		return list(v.Items)
	case *filter.Field:
		if v.HasArg {
			return v.Name + "[" + v.Arg + "]"
		}
		return v.Name
	}
	return ""
}

// Fields returns the names that JSON output holds, in order of appearance.
func (f *Format) Fields() []string {
	out := make([]string, len(f.values))
	for i, v := range f.values {
		out[i] = v.name
	}
	return out
}

// Append appends the text for ev. Control characters in it are escaped and
// invalid UTF-8 is replaced by U+FFFD, so that an event cannot forge lines.
func (f *Format) Append(dst []byte, ev *event.Event) []byte {
	var s scratch
	s.reset(ev)
	for _, t := range f.tokens {
		if t.value == nil {
			dst = appendClean(dst, t.text)
			continue
		}
		text, ok := t.value.render(&s)
		if !ok {
			text = NotAvailable
		}
		if t.width > 0 {
			if len(text) > t.width {
				text = text[:t.width]
			}
			dst = appendClean(dst, text)
			for n := len(text); n < t.width; n++ {
				dst = append(dst, ' ')
			}
			continue
		}
		dst = appendClean(dst, text)
	}
	return dst
}

// AppendJSON appends the values as one JSON object, keys sorted: numbers and
// booleans as such, lists as arrays, null for what has no value.
func (f *Format) AppendJSON(dst []byte, ev *event.Event) []byte {
	dst = append(dst, '{')
	start := len(dst)
	dst = f.appendMembers(dst, ev, "")
	if len(dst) > start {
		copy(dst[start:], dst[start+1:]) // the first comma
		dst = dst[:len(dst)-1]
	}
	return append(dst, '}')
}

// appendMembers appends `,"name":value` for every value but the one named except.
func (f *Format) appendMembers(dst []byte, ev *event.Event, except string) []byte {
	var s scratch
	s.reset(ev)
	sorted := slices.Clone(f.values)
	slices.SortFunc(sorted, func(a, b namedValue) int { return strings.Compare(a.name, b.name) })
	for _, v := range sorted {
		if v.name == except {
			continue
		}
		dst = append(dst, ',')
		dst = appendJSONString(dst, v.name)
		dst = append(dst, ':')
		dst = v.value.appendJSON(dst, &s)
	}
	return dst
}

// render gives a value as text; lists as (a,b).
func (o *operand) render(s *scratch) (string, bool) {
	switch {
	case o.either: // filter only
		return "", false
	case o.ancestors && o.num != nil && o.field.Int != nil: // as upstream: the process itself
		v, ok := o.field.Int(s.ev, self)
		return s.number(v, o.typ), ok
	case o.ancestors: // all of them, parent first
		n := len(s.strs)
		s.eachAncestor(func(e *event.Event) bool {
			if o.field.Str != nil {
				if v, ok := o.field.Str(e, self); ok {
					s.strs = append(s.strs, strings.Clone(v))
				}
			}
			return false
		})
		text, ok := strings.Join(s.strs[n:], " "), len(s.strs) > n
		s.strs = s.strs[:n]
		return text, ok
	case o.list:
		n := len(s.strs)
		ok := o.appendTexts()(s)
		text := "(" + strings.Join(s.strs[n:], ",") + ")"
		s.strs = s.strs[:n]
		return text, ok
	case o.typ == event.TypeBytes:
		v, ok := o.str(s)
		return dots(v), ok
	}
	return o.asText()(s)
}

// dots shows bytes: what does not print is a dot.
func dots(v string) string {
	b := []byte(v)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '.'
		}
	}
	return string(b)
}

func (o *operand) appendJSON(dst []byte, s *scratch) []byte {
	switch {
	case o.either:
		return append(dst, "null"...)
	case o.list:
		n := len(s.strs)
		if !o.appendTexts()(s) {
			s.strs = s.strs[:n]
			return append(dst, "null"...)
		}
		dst = append(dst, '[')
		for i, v := range s.strs[n:] {
			if i > 0 {
				dst = append(dst, ',')
			}
			if o.ints != nil {
				dst = append(dst, v...)
			} else {
				dst = appendJSONString(dst, v)
			}
		}
		s.strs = s.strs[:n]
		return append(dst, ']')
	case o.num != nil:
		get := o.num
		if o.ancestors && o.field.Int != nil {
			get = func(s *scratch) (int64, bool) { return o.field.Int(s.ev, self) }
		}
		if v, ok := get(s); ok {
			return appendNumber(dst, v, o.typ)
		}
	case o.flag != nil:
		if v, ok := o.flag(s); ok {
			return strconv.AppendBool(dst, v)
		}
	default:
		if v, ok := o.render(s); ok {
			return appendJSONString(dst, v)
		}
	}
	return append(dst, "null"...)
}

// appendClean appends text with control characters escaped as in JSON and invalid
// UTF-8 replaced.
func appendClean(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			switch {
			case c == '\n':
				dst = append(dst, '\\', 'n')
			case c == '\r':
				dst = append(dst, '\\', 'r')
			case c == '\t':
				dst = append(dst, '\\', 't')
			case c < ' ' || c == 0x7f:
				dst = fmt.Appendf(dst, `\u%04x`, c)
			default:
				dst = append(dst, c)
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || r >= 0x80 && r < 0xa0 {
			r = utf8.RuneError
		}
		dst = utf8.AppendRune(dst, r)
		i += n
	}
	return dst
}

func appendJSONString(dst []byte, s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil { // a string always encodes
		return append(dst, `""`...)
	}
	return append(dst, bytes.TrimRight(b.Bytes(), "\n")...)
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// AppendLine appends the classic one-line form: time of day (or, with iso, the
// ISO 8601 time, UTC), priority and output.
func (r *Rule) AppendLine(dst []byte, ev *event.Event, iso bool) []byte {
	layout := "15:04:05.000000000"
	if iso {
		layout = "2006-01-02T15:04:05.000000000+0000"
	}
	dst = time.Unix(0, ev.Time).UTC().AppendFormat(dst, layout)
	dst = append(dst, ": "...)
	dst = append(dst, r.info.Priority.String()...)
	dst = append(dst, ' ')
	return r.output.Append(dst, ev)
}

// AppendJSON appends the JSON form that Falco's consumers read: hostname, output,
// output_fields (with evt.time in nanoseconds), priority, rule, source, tags, time.
func (r *Rule) AppendJSON(dst []byte, ev *event.Event, hostname string) []byte {
	dst = append(dst, `{"hostname":`...)
	dst = appendJSONString(dst, hostname)
	dst = append(dst, `,"output":`...)
	dst = appendJSONString(dst, string(r.AppendLine(nil, ev, false)))
	dst = append(dst, `,"output_fields":{"evt.time":`...)
	dst = strconv.AppendInt(dst, ev.Time, 10)
	dst = r.output.appendMembers(dst, ev, "evt.time")
	dst = append(dst, `},"priority":`...)
	dst = appendJSONString(dst, r.info.Priority.String())
	dst = append(dst, `,"rule":`...)
	dst = appendJSONString(dst, r.info.Name)
	dst = append(dst, `,"source":`...)
	dst = appendJSONString(dst, r.info.Source)
	dst = append(dst, `,"tags":[`...)
	for i, t := range r.info.Tags {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONString(dst, t)
	}
	dst = append(dst, `],"time":"`...)
	dst = time.Unix(0, ev.Time).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000000Z")
	return append(dst, `"}`...)
}
