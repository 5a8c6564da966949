package rule

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule/filter"
)

// shape is what a value is made of; it decides which getter of an operand is set.
type shape uint8

const (
	shapeText shape = iota
	shapeNumber
	shapeBool
	shapeAddr
)

func shapeOf(t event.FieldType) shape {
	switch t {
	case event.TypeString, event.TypePath, event.TypeBytes:
		return shapeText
	case event.TypeBool:
		return shapeBool
	case event.TypeIP, event.TypeNet:
		return shapeAddr
	}
	return shapeNumber
}

// typeName is the public name of a field type, as error texts give it.
func typeName(t event.FieldType) string {
	switch t {
	case event.TypeString, event.TypePath:
		return "CHARBUF"
	case event.TypeBytes:
		return "BYTEBUF"
	case event.TypeBool:
		return "BOOL"
	case event.TypeInt:
		return "INT64"
	case event.TypeUint:
		return "UINT64"
	case event.TypePort:
		return "PORT"
	case event.TypeIP:
		return "IPADDR"
	case event.TypeNet:
		return "IPNET"
	case event.TypeRelTime:
		return "RELTIME"
	case event.TypeAbsTime:
		return "ABSTIME"
	}
	return "NONE"
}

// operand is a typed value of a condition or an output: a field, a transform over
// operands, or a constant. Exactly one getter is set, the one for its shape and
// list; getters report false for "no value". List getters append to the stacks
// of the scratch.
type operand struct {
	name string // canonical text; equal names mean equal operands
	typ  event.FieldType
	list bool

	field     *event.Field // set when the operand is a field itself
	arg       *event.Arg
	ancestors bool // any ancestor's value will do
	either    bool // both ends of a connection: list getters, scalar semantics
	noRHS     bool // may not stand on the right, nor face a field
	noTransf  bool

	uses []fieldUse // every field it reads
	slot int        // index into scratch.cached; -1 = not worth keeping
	cost float64    // rough time to read it, nanoseconds

	str   func(*scratch) (string, bool)
	num   func(*scratch) (int64, bool)
	flag  func(*scratch) (bool, bool)
	addr  func(*scratch) (netip.Addr, bool)
	strs  func(*scratch) bool
	ints  func(*scratch) bool
	addrs func(*scratch) bool
}

// fieldUse is a field as a rule uses it.
type fieldUse struct {
	name  string // with its argument
	field *event.Field
	arg   *event.Arg
}

// compileError is one thing wrong with a condition or an output.
type compileError struct {
	pos     filter.Pos
	message string
	remedy  string
	unknown bool // an unknown field or event type: skip-if-unknown-filter applies
}

func (e *compileError) Error() string { return e.message }

func failAt(p filter.Pos, format string, args ...any) *compileError {
	return &compileError{pos: p, message: fmt.Sprintf(format, args...)}
}

// resolver finds fields by the name in a condition, see event.ResolveField.
type resolver func(name string) (f *event.Field, key string, ok bool)

// builder makes operands for the rules of one source.
type builder struct {
	resolve resolver
	source  event.Source
	// slots gives each operand worth keeping its slot; nil = none is kept (outputs).
	slots map[string]int
}

// operand builds what can stand on the left, or as an argument of a transform.
func (b *builder) operand(v filter.Value) (*operand, *compileError) {
	switch v := v.(type) {
	case *filter.Field:
		return b.fieldOperand(v)
	case *filter.Transform:
		return b.transform(v)
	case *filter.Literal:
		return constant(v.Text), nil
	case *filter.Tuple:
		return b.tuple(v)
	}
	return nil, failAt(v.Position(), "filter error: unexpected value %s", filter.FormatValue(v))
}

func constant(text string) *operand {
	return &operand{name: filter.Quote(text), typ: event.TypeString, slot: -1, str: func(*scratch) (string, bool) { return text, true }}
}

func (b *builder) fieldOperand(v *filter.Field) (*operand, *compileError) {
	f, key, ok := b.resolve(v.Name)
	if !ok || !fieldInSource(f, b.source) {
		e := failAt(v.Pos, "filter_check called with nonexistent field %s", v.Name)
		e.unknown = true
		switch {
		case ok:
			e.remedy = fmt.Sprintf("%s belongs to another event source", v.Name)
		default:
			if near := nearestField(v.Name); near != "" {
				e.remedy = fmt.Sprintf("did you mean %s?", near)
			}
		}
		return nil, e
	}
	arg, err := fieldArg(f, key, v)
	if err != nil {
		return nil, err
	}
	o := &operand{name: v.Name, typ: f.Type, list: f.List, field: f, arg: arg, slot: -1, cost: 3}
	if v.HasArg {
		o.name = filter.FormatOperand(&filter.Field{Name: v.Name, Arg: v.Arg, HasArg: true})
	}
	o.uses = []fieldUse{{o.name, f, arg}}
	o.ancestors = f.Ancestors && arg == nil
	o.either = f.EitherEnd
	o.noRHS = f.Ancestors || f.EitherEnd || f.Name == "evt.rawarg"
	o.noTransf = o.noRHS
	switch {
	case o.ancestors:
		o.cost = 20
	case arg != nil:
		o.cost = 5
	}
	o.bind(f, arg)
	return o, nil
}

// fieldInSource reports whether rules of a source may use a field: their own
// family's, and evt.* which every event has.
func fieldInSource(f *event.Field, s event.Source) bool {
	return f.Source == s || strings.HasPrefix(f.Name, "evt.")
}

func fieldArg(f *event.Field, key string, v *filter.Field) (*event.Arg, *compileError) {
	text, has := v.Arg, v.HasArg
	if key != "" {
		if has {
			return nil, failAt(v.Pos, "field %s takes its argument after the dot or in brackets, not both", v.Name)
		}
		text, has = key, true
	}
	if !has {
		if f.Arg == event.ArgIndexRequired || f.Arg == event.ArgKeyRequired {
			return nil, failAt(v.Pos, "field %s requires an argument: write %s[...]", v.Name, v.Name)
		}
		return nil, nil
	}
	if f.Arg == event.ArgNone {
		e := failAt(v.Pos, "filter_check called with nonexistent field %s[%s]", v.Name, text)
		e.unknown, e.remedy = true, fmt.Sprintf("%s takes no argument", v.Name)
		return nil, e
	}
	if text == "" {
		return nil, failAt(v.Pos, "field %s has an empty argument", v.Name)
	}
	a := &event.Arg{Key: text}
	if n, err := strconv.ParseUint(text, 10, 31); err == nil && text[0] != '+' {
		a.Index, a.IsNum = int(n), true
	}
	if !a.IsNum && (f.Arg == event.ArgIndexOptional || f.Arg == event.ArgIndexRequired) {
		return nil, failAt(v.Pos, "field %s takes a number as its argument, not %q", v.Name, text)
	}
	return a, nil
}

// bind sets the getter. A field that nothing supplies has none: it never has a value.
func (o *operand) bind(f *event.Field, a *event.Arg) {
	sh := shapeOf(o.typ)
	if o.list || o.either {
		switch sh {
		case shapeText:
			get := f.Strs
			o.strs = func(s *scratch) bool {
				if get == nil {
					return false
				}
				n := len(s.strs)
				s.strs = get(s.ev, a, s.strs)
				return len(s.strs) > n
			}
		case shapeAddr:
			get := f.Addrs
			o.addrs = func(s *scratch) bool {
				if get == nil {
					return false
				}
				n := len(s.addrs)
				s.addrs = get(s.ev, a, s.addrs)
				return len(s.addrs) > n
			}
		default:
			get := f.Ints
			o.ints = func(s *scratch) bool {
				if get == nil {
					return false
				}
				n := len(s.ints)
				s.ints = get(s.ev, a, s.ints)
				return len(s.ints) > n
			}
		}
		return
	}
	switch sh {
	case shapeText:
		o.str = never[string]
		if get := f.Str; get != nil {
			o.str = func(s *scratch) (string, bool) { return get(s.ev, a) }
		}
	case shapeNumber:
		o.num = never[int64]
		if get := f.Int; get != nil {
			o.num = func(s *scratch) (int64, bool) { return get(s.ev, a) }
		}
	case shapeBool:
		o.flag = never[bool]
		if get := f.Bool; get != nil {
			o.flag = func(s *scratch) (bool, bool) { return get(s.ev, a) }
		}
	case shapeAddr:
		o.addr = never[netip.Addr]
		if get := f.Addr; get != nil {
			o.addr = func(s *scratch) (netip.Addr, bool) { return get(s.ev, a) }
		}
	}
}

func never[T any](*scratch) (v T, ok bool) { return v, false }

// self is the argument that makes a getter of the ancestors family read the
// process of the event itself.
var self = &event.Arg{Key: "0", IsNum: true}

// eachAncestor calls visit with an event for every ancestor of the process,
// parent first, until visit returns true; it reports whether one did.
func (s *scratch) eachAncestor(visit func(*event.Event) bool) bool {
	if s.ev.Process == nil {
		return false
	}
	p := s.ev.Process.Parent
	for n := 0; p != nil && n < event.MaxLineage; n++ {
		s.ancestor.Invalidate()
		s.ancestor.Process = p
		if visit(&s.ancestor) {
			return true
		}
		p = p.Parent
	}
	return false
}

// supplied reports whether every field the operand reads is supplied by something.
func (o *operand) supplied() bool {
	for _, u := range o.uses {
		if !u.field.Supplied() {
			return false
		}
	}
	return true
}

// nearestField returns the known field whose name is most like name, "" when none is close.
func nearestField(name string) string {
	best, dist := "", 3
	for _, f := range event.Fields() {
		if d := distance(name, f.Name, dist); d < dist {
			best, dist = f.Name, d
		}
	}
	return best
}

// distance is the Levenshtein distance, given up at limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit || len(a) > 64 {
		return limit
	}
	prev := make([]int, len(b)+1)
	cur := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 0; i < len(a); i++ {
		cur[0] = i + 1
		for j := 0; j < len(b); j++ {
			d := prev[j]
			if a[i] != b[j] {
				d++
			}
			cur[j+1] = min(d, prev[j+1]+1, cur[j]+1)
		}
		prev, cur = cur, prev
	}
	return prev[len(b)]
}
