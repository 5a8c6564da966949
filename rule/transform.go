package rule

import (
	"encoding/base64"
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule/filter"
)

// transform builds a function over operands.
func (b *builder) transform(t *filter.Transform) (*operand, *compileError) {
	args := make([]*operand, len(t.Args))
	for i, a := range t.Args {
		o, err := b.operand(a)
		if err != nil {
			return nil, err
		}
		args[i] = o
	}
	out := &operand{slot: -1, cost: 5}
	names := make([]string, len(args))
	for i, a := range args {
		names[i] = a.name
		out.uses = append(out.uses, a.uses...)
		out.cost += a.cost + 10
		if a.noTransf {
			return nil, failAt(t.Pos, "field '%s' does not support transformers", a.name)
		}
	}
	out.name = t.Name + "(" + strings.Join(names, ",") + ")"
	if t.HasSelector {
		out.name += "[" + filter.Quote(t.Selector) + "]"
	}
	var err *compileError
	if len(args) == 1 {
		err = unary(out, t, args[0])
	} else {
		err = b.nary(out, t, args)
	}
	if err != nil {
		return nil, err
	}
	b.keep(out)
	return out, nil
}

// keep gives a scalar text operand a slot, so that it is made once per event.
func (b *builder) keep(o *operand) {
	if b.slots == nil || o.str == nil {
		return
	}
	slot, ok := b.slots[o.name]
	if !ok {
		slot = len(b.slots)
		b.slots[o.name] = slot
	}
	o.slot = slot
	get := o.str
	o.str = func(s *scratch) (string, bool) {
		if slot >= len(s.cached) {
			return get(s)
		}
		c := &s.cached[slot]
		if c.gen != s.gen {
			c.text, c.ok = get(s)
			c.gen = s.gen
		}
		return c.text, c.ok
	}
}

func unary(out *operand, t *filter.Transform, a *operand) *compileError {
	if t.HasSelector {
		return failAt(t.Pos, "filter error: transformer '%s' does not support field arguments", t.Name)
	}
	text := a.typ == event.TypeString || a.typ == event.TypePath
	var change func(*scratch, string) (string, bool)
	ok := false
	switch t.Name {
	case "tolower":
		change, ok = lowerText, text
	case "toupper":
		change, ok = upperText, text
	case "basename":
		change, ok = baseName, text
	case "b64":
		change, ok = decode64, a.typ == event.TypeString || a.typ == event.TypePath || a.typ == event.TypeBytes
	case "len":
		if !a.list && shapeOf(a.typ) != shapeText {
			break
		}
		out.typ = event.TypeUint
		out.num = lengthOf(a)
		return nil
	default:
		return failAt(t.Pos, "unknown field transfomer '%s'", t.Name) // spelt as upstream does
	}
	if !ok {
		of := ""
		if a.list {
			of = "list "
		}
		return failAt(t.Pos, "can't add field transformer: type '%s' is not supported by '%s' transformer applied on %sfield '%s'",
			typeName(a.typ), t.Name, of, a.name)
	}
	out.typ, out.list = a.typ, a.list
	if a.list {
		get := a.strs
		out.strs = func(s *scratch) bool {
			from := len(s.strs)
			if !get(s) {
				return false
			}
			for i := from; i < len(s.strs); i++ {
				v, ok := change(s, s.strs[i])
				if !ok {
					return false
				}
				s.strs[i] = v
			}
			return true
		}
		return nil
	}
	get := a.str
	out.str = func(s *scratch) (string, bool) {
		v, ok := get(s)
		if !ok {
			return "", false
		}
		return change(s, v)
	}
	return nil
}

func lowerText(s *scratch, v string) (string, bool) {
	return mapText(s, v, func(c byte) byte {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	})
}

func upperText(s *scratch, v string) (string, bool) {
	return mapText(s, v, func(c byte) byte {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		return c
	})
}

// mapText changes bytes and copies only text that does change.
func mapText(s *scratch, v string, f func(byte) byte) (string, bool) {
	for i := 0; i < len(v); i++ {
		if f(v[i]) == v[i] {
			continue
		}
		from := len(s.text)
		s.text = append(s.text, v...)
		for j := from + i; j < len(s.text); j++ {
			s.text[j] = f(s.text[j])
		}
		return s.made(from), true
	}
	return v, true
}

func baseName(_ *scratch, v string) (string, bool) {
	return v[strings.LastIndexByte(v, '/')+1:], true
}

// decode64 decodes standard base64; up to two '=' at the end may be left out.
func decode64(s *scratch, v string) (string, bool) {
	v = strings.TrimSuffix(strings.TrimSuffix(v, "="), "=")
	if strings.ContainsAny(v, "\r\n") { // Go would skip them
		return "", false
	}
	from := len(s.text)
	out, err := base64.RawStdEncoding.AppendDecode(s.text, stringBytes(v))
	if err != nil {
		return "", false
	}
	s.text = out
	return s.made(from), true
}

func lengthOf(a *operand) func(*scratch) (int64, bool) {
	switch {
	case a.strs != nil:
		return func(s *scratch) (int64, bool) {
			from := len(s.strs)
			ok := a.strs(s)
			n := len(s.strs) - from
			s.strs = s.strs[:from]
			return int64(n), ok
		}
	case a.ints != nil:
		return func(s *scratch) (int64, bool) {
			from := len(s.ints)
			ok := a.ints(s)
			n := len(s.ints) - from
			s.ints = s.ints[:from]
			return int64(n), ok
		}
	case a.addrs != nil:
		return func(s *scratch) (int64, bool) {
			from := len(s.addrs)
			ok := a.addrs(s)
			n := len(s.addrs) - from
			s.addrs = s.addrs[:from]
			return int64(n), ok
		}
	case a.str == nil: // a list of booleans: nothing supplies one
		return never[int64]
	}
	return func(s *scratch) (int64, bool) {
		v, ok := a.str(s)
		return int64(len(v)), ok
	}
}

func (b *builder) nary(out *operand, t *filter.Transform, args []*operand) *compileError {
	if t.HasSelector && t.Name != "getopt" {
		return failAt(t.Pos, "transformer '%s' does not support field arguments", t.Name)
	}
	isText := func(o *operand) bool { return o.typ == event.TypeString || o.typ == event.TypePath }
	out.typ = event.TypeString
	switch t.Name {
	case "join":
		switch {
		case len(args) != 2:
			return failAt(t.Pos, "join() requires exactly 2 arguments: separator and list")
		case args[0].list:
			return failAt(t.Pos, "join() first argument (separator) must be a single value, not a list")
		case !args[1].list:
			return failAt(t.Pos, "join() second argument must be a list")
		}
		out.str = join(args[0].asText(), args[1].appendTexts())
	case "concat":
		parts := make([]func(*scratch) (string, bool), len(args))
		for i, a := range args {
			if a.list || !isText(a) {
				return failAt(t.Pos, "concat() arguments must be strings")
			}
			parts[i] = a.str
		}
		out.str = concat(parts)
	case "getopt":
		switch {
		case len(args) != 2:
			return failAt(t.Pos, "getopt() requires exactly 2 arguments: args list and optstring")
		case !args[0].list:
			return failAt(t.Pos, "getopt() first argument must be a list")
		case args[1].list:
			return failAt(t.Pos, "getopt() second argument (optstring) must be a single value")
		case !isText(args[0]) || !isText(args[1]):
			return failAt(t.Pos, "getopt() arguments must be strings")
		}
		if !t.HasSelector {
			out.list = true
			out.strs = getoptList(args[0].strs, args[1].str)
			break
		}
		if len(t.Selector) != 1 {
			return failAt(t.Pos, "getopt() field argument must be a single option character")
		}
		out.str = getoptOne(args[0].strs, args[1].str, t.Selector[0])
	default:
		return failAt(t.Pos, "unknown multivalue transformer '%s'", t.Name)
	}
	return nil
}

// asText gives a scalar operand's value as text.
func (o *operand) asText() func(*scratch) (string, bool) {
	switch shapeOf(o.typ) {
	case shapeNumber:
		return func(s *scratch) (string, bool) {
			v, ok := o.num(s)
			if !ok {
				return "", false
			}
			return s.number(v, o.typ), true
		}
	case shapeBool:
		return func(s *scratch) (string, bool) {
			v, ok := o.flag(s)
			return boolText(v), ok
		}
	case shapeAddr:
		return func(s *scratch) (string, bool) {
			v, ok := o.addr(s)
			if !ok {
				return "", false
			}
			return s.address(v), true
		}
	}
	return o.str
}

// appendTexts gives a list operand's values as text, on the stack of strings.
func (o *operand) appendTexts() func(*scratch) bool {
	switch {
	case o.ints != nil:
		return func(s *scratch) bool {
			from := len(s.ints)
			ok := o.ints(s)
			for _, v := range s.ints[from:] {
				s.strs = append(s.strs, s.number(v, o.typ))
			}
			s.ints = s.ints[:from]
			return ok
		}
	case o.addrs != nil:
		return func(s *scratch) bool {
			from := len(s.addrs)
			ok := o.addrs(s)
			for _, v := range s.addrs[from:] {
				s.strs = append(s.strs, s.address(v))
			}
			s.addrs = s.addrs[:from]
			return ok
		}
	}
	return o.strs
}

// tuple builds a list literal: the values of its items, one after the other.
// It has no value when one of them has none.
func (b *builder) tuple(t *filter.Tuple) (*operand, *compileError) {
	out := &operand{typ: event.TypeString, list: true, slot: -1, cost: 5}
	var items []func(*scratch) bool
	var names []string
	for _, it := range t.Items {
		o, err := b.operand(it)
		if err != nil {
			return nil, err
		}
		if o.either || o.ancestors {
			return nil, failAt(it.Position(), "field '%s' does not support transformers", o.name)
		}
		names = append(names, o.name)
		out.uses = append(out.uses, o.uses...)
		out.cost += o.cost
		if o.list {
			items = append(items, o.appendTexts())
			continue
		}
		get := o.asText()
		items = append(items, func(s *scratch) bool {
			v, ok := get(s)
			if ok {
				s.strs = append(s.strs, v)
			}
			return ok
		})
	}
	out.name = "(" + strings.Join(names, ",") + ")"
	out.strs = func(s *scratch) bool {
		from := len(s.strs)
		for _, get := range items {
			if !get(s) {
				s.strs = s.strs[:from]
				return false
			}
		}
		return true
	}
	return out, nil
}

func join(sep func(*scratch) (string, bool), list func(*scratch) bool) func(*scratch) (string, bool) {
	return func(s *scratch) (string, bool) {
		by, ok := sep(s)
		if !ok {
			return "", false
		}
		from := len(s.strs)
		if !list(s) {
			s.strs = s.strs[:from]
			return "", false
		}
		at := len(s.text)
		for i, v := range s.strs[from:] {
			if i > 0 {
				s.text = append(s.text, by...)
			}
			s.text = append(s.text, v...)
		}
		s.strs = s.strs[:from]
		return s.made(at), true
	}
}

func concat(parts []func(*scratch) (string, bool)) func(*scratch) (string, bool) {
	return func(s *scratch) (string, bool) {
		from := len(s.strs)
		for _, get := range parts { // all first: making one may append to text
			v, ok := get(s)
			if !ok {
				s.strs = s.strs[:from]
				return "", false
			}
			s.strs = append(s.strs, v)
		}
		at := len(s.text)
		for _, v := range s.strs[from:] {
			s.text = append(s.text, v...)
		}
		s.strs = s.strs[:from]
		return s.made(at), true
	}
}
