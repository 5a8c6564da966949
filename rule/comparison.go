package rule

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule/filter"
)

// test is one comparison with its literals parsed. It is false when an operand
// has no value.
type test struct {
	key   string // canonical text; equal keys mean equal tests
	left  *operand
	right *operand // the field on the right, nil for constants
	op    string   // "=" for "=="
	mod   string
	want  []string // constants as written

	eval func(*scratch) bool
	cost float64 // rough time, nanoseconds
	odds float64 // rough chance of being true

	merge  mergeKind // how tests over one operand can be made together
	values []string  // for merge: the patterns
	nums   []int64   // for mergeNumber: the patterns
	invert bool      // for merge: true when none of the patterns is satisfied

	types  *event.TypeSet // evt.type against constants: the types it is true for
	fields []fieldUse
	meta   bool // reads what a container's runtime knows about it
}

type mergeKind uint8

const (
	mergeNone mergeKind = iota
	mergeExact
	mergePrefix
	mergeSuffix
	mergeSubstring
	mergeNumber
	mergeKinds
)

// test builds the comparison of one check.
func (b *builder) test(c *filter.Check) (*test, *compileError) {
	left, err := b.operand(c.Left)
	if err != nil {
		return nil, err
	}
	t := &test{left: left, op: c.Op, mod: c.Modifier, fields: left.uses}
	if t.op == "==" {
		t.op = "="
	}
	if msg := checkOperator(t.op, t.mod, left.typ, left.list); msg != "" {
		e := failAt(c.Pos, "filter error: %s", msg)
		e.remedy = left.name + " has the type " + typeName(left.typ)
		return nil, e
	}
	switch r := c.Right.(type) {
	case nil:
		b.exists(t)
	case *filter.Literal:
		t.want = []string{r.Text}
	case *filter.List:
		for _, it := range r.Items {
			t.want = append(t.want, it.Text)
		}
	case *filter.Ident:
		e := failAt(r.Pos, "filter error: unexpected identifier '%s'", r.Name)
		e.remedy = "no list has this name; write the values in parentheses"
		return nil, e
	default:
		if err := b.right(t, r); err != nil {
			return nil, err
		}
	}
	if t.eval == nil {
		if err := b.constants(t, c); err != nil {
			return nil, err
		}
	}
	t.finish()
	return t, nil
}

// finish derives what the compiler wants to know about the test.
func (t *test) finish() {
	var k strings.Builder
	k.WriteString(t.left.name + " " + t.op + " " + t.mod + " ")
	if t.right != nil {
		k.WriteString(t.right.name)
	}
	for _, w := range t.want {
		k.WriteString(strconv.Itoa(len(w)) + ":" + w)
	}
	t.key = k.String()
	for _, f := range t.fields {
		if isMeta(f.field) {
			t.meta = true
		}
	}
	t.odds = t.guess()
	t.cost = t.left.cost + 2
	if t.right != nil {
		t.cost += t.right.cost
	}
	switch t.op {
	case "in", "intersects":
		t.cost += 8
	case "contains", "bcontains":
		t.cost += 15
	case "icontains", "glob", "iglob", "pmatch":
		t.cost += 60
	case "regex":
		t.cost += 400
	}
	if t.mod != "" {
		t.cost += float64(5 * len(t.want))
	}
	t.mergeable()
}

// fewValues are text fields with so few values that a test on one says little.
var fewValues = map[string]bool{
	"fd.type": true, "fd.typechar": true, "fd.l4proto": true, "fd.sockfamily": true, "evt.res": true, "evt.category": true, "evt.dir": true,
	"evt.source": true, "container.id": true, "container.type": true, "proc.phase": true, "proc.stdin.type": true, "proc.stdout.type": true,
	"proc.stderr.type": true, "user.name": true, "user.loginname": true, "evt.type": true, "syscall.type": true,
}

// guess estimates how often the test holds; it orders tests and picks triggers.
func (t *test) guess() float64 {
	few := t.left.typ == event.TypeBool || t.left.field != nil && fewValues[t.left.field.Name]
	equal := min(0.3, 0.01+0.002*float64(len(t.want)))
	if few {
		equal = 0.5
	}
	switch t.op {
	case "!=":
		return 1 - equal
	case "exists":
		return 0.7
	case "<", "<=", ">", ">=":
		return 0.5
	case "=", "in", "intersects":
		if t.left.typ == event.TypePort {
			return 0.05
		}
		if shapeOf(t.left.typ) == shapeNumber {
			return 0.2
		}
		return equal
	}
	if few {
		return 0.4
	}
	return min(0.4, 0.03+0.005*float64(len(t.want)))
}

// isMeta reports whether a field is known only through a container's runtime.
func isMeta(f *event.Field) bool {
	return strings.HasPrefix(f.Name, "container.") || strings.HasPrefix(f.Name, "k8s.")
}

// blind reports whether the test has no value only because the runtime's word
// about the container is still missing: then neither it nor its negation holds.
func (t *test) blind(s *scratch) bool {
	c := s.ev.Container
	if c == nil || c.Unknown == "" {
		return false
	}
	for _, u := range t.fields {
		if isMeta(u.field) && !hasValue(s, u) {
			return true
		}
	}
	return false
}

func hasValue(s *scratch, u fieldUse) bool {
	f := u.field
	switch {
	case f.Str != nil:
		_, ok := f.Str(s.ev, u.arg)
		return ok
	case f.Int != nil:
		_, ok := f.Int(s.ev, u.arg)
		return ok
	case f.Bool != nil:
		_, ok := f.Bool(s.ev, u.arg)
		return ok
	}
	return false
}

// mergeable notes how the test can be made together with others on its operand.
func (t *test) mergeable() {
	if t.left.list || t.left.either || t.right != nil || len(t.want) == 0 || t.types != nil {
		return
	}
	any := t.mod == "" || t.mod == "anyof"
	if t.left.num != nil && !t.left.ancestors {
		switch {
		case t.op == "in" || t.op == "intersects" || t.op == "=" && any:
			t.merge = mergeNumber
		case t.op == "!=" && (t.mod == "" || t.mod == "allof"):
			t.merge, t.invert = mergeNumber, true
		}
	}
	if shapeOf(t.left.typ) != shapeText {
		return
	}
	switch {
	case t.op == "in" || t.op == "intersects" || t.op == "=" && any:
		t.merge = mergeExact
	case t.op == "!=" && (t.mod == "" || t.mod == "allof") && !t.left.ancestors:
		t.merge, t.invert = mergeExact, true
	case (t.op == "startswith" || t.op == "bstartswith") && any:
		t.merge = mergePrefix
	case t.op == "endswith" && any:
		t.merge = mergeSuffix
	case (t.op == "contains" || t.op == "bcontains") && any:
		t.merge = mergeSubstring
	default:
		return
	}
	t.values = t.want
	if t.op[0] == 'b' {
		t.values = nil
		for _, w := range t.want {
			v, _ := parseHex(w) // has been parsed before
			t.values = append(t.values, v)
		}
	}
}

func (b *builder) exists(t *test) {
	l := t.left
	switch {
	case l.ancestors:
		t.eval = func(s *scratch) bool {
			return s.eachAncestor(func(e *event.Event) bool { return hasValueOf(l, e) })
		}
	case l.strs != nil:
		t.eval = func(s *scratch) bool {
			n := len(s.strs)
			ok := l.strs(s)
			s.strs = s.strs[:n]
			return ok
		}
	case l.ints != nil:
		t.eval = func(s *scratch) bool {
			n := len(s.ints)
			ok := l.ints(s)
			s.ints = s.ints[:n]
			return ok
		}
	case l.addrs != nil:
		t.eval = func(s *scratch) bool {
			n := len(s.addrs)
			ok := l.addrs(s)
			s.addrs = s.addrs[:n]
			return ok
		}
	case l.str != nil:
		t.eval = func(s *scratch) bool { _, ok := l.str(s); return ok }
	case l.num != nil:
		t.eval = func(s *scratch) bool { _, ok := l.num(s); return ok }
	case l.flag != nil:
		t.eval = func(s *scratch) bool { _, ok := l.flag(s); return ok }
	default:
		t.eval = func(s *scratch) bool { _, ok := l.addr(s); return ok }
	}
}

func hasValueOf(l *operand, e *event.Event) bool {
	if l.field.Str != nil {
		_, ok := l.field.Str(e, self)
		return ok
	}
	if l.field.Int != nil {
		_, ok := l.field.Int(e, self)
		return ok
	}
	return false
}

// constants builds the comparison with literals.
func (b *builder) constants(t *test, c *filter.Check) *compileError {
	at := func(err error) *compileError { return failAt(c.Right.Position(), "%s", err.Error()) }
	if t.left.field != nil && t.left.field.Name == "evt.type" {
		if err := b.eventTypes(t, c); err != nil {
			return err
		}
	}
	l := t.left
	switch shapeOf(l.typ) {
	case shapeText:
		if l.typ != event.TypeBytes {
			for _, w := range t.want {
				if strings.IndexByte(w, 0) >= 0 {
					return failAt(c.Right.Position(), `filter error: filter value cannot contain a NUL byte (\x00)`)
				}
			}
		}
		k, err := textTest(t.op, t.mod, l.typ, t.want)
		if err != nil {
			return at(err)
		}
		t.eval = l.testText(t, k)
	case shapeNumber:
		wanted := make([]int64, len(t.want))
		for i, w := range t.want {
			v, err := parseNumber(w, l.typ)
			if err != nil {
				return at(err)
			}
			wanted[i] = v
		}
		k := numberTest(t.op, t.mod, l.typ, wanted)
		t.eval = l.testNumber(t, k)
		t.nums = wanted
	case shapeBool:
		wanted := make([]bool, len(t.want))
		for i, w := range t.want {
			v, err := literalBool(w)
			if err != nil {
				return at(err)
			}
			wanted[i] = v
		}
		if l.flag == nil {
			t.eval = func(*scratch) bool { return false } // no getter for lists of booleans exists
			break
		}
		k := boolTest(t.op, t.mod, wanted)
		t.eval = func(s *scratch) bool { v, ok := l.flag(s); return ok && k(v) }
	case shapeAddr:
		each, err := addrKernels(t.op, l.typ, t.want)
		if err != nil {
			return at(err)
		}
		t.eval = l.testAddr(t, addrTest(t.op, t.mod, each))
	}
	return nil
}

// addrKernels makes one kernel per constant. An address of the other family
// equals none, and so differs from all.
func addrKernels(op string, typ event.FieldType, want []string) ([]func(netip.Addr) bool, error) {
	var each []func(netip.Addr) bool
	ne := op == "!="
	for _, w := range want {
		if typ == event.TypeNet {
			n, err := parseNet(w)
			if err != nil {
				return nil, err
			}
			each = append(each, func(v netip.Addr) bool { return n.Contains(v) != ne })
			continue
		}
		a, err := parseAddr(w)
		if err != nil {
			return nil, err
		}
		each = append(each, func(v netip.Addr) bool { return (v == a) != ne })
	}
	return each, nil
}

// eventTypes checks the names compared with evt.type and finds the types the test
// is true for.
func (b *builder) eventTypes(t *test, c *filter.Check) *compileError {
	for i, w := range t.want {
		if _, ok := event.TypeByName(w); ok {
			continue
		}
		pos := c.Right.Position()
		if l, ok := c.Right.(*filter.List); ok {
			pos = l.Items[i].Pos
		}
		e := failAt(pos, "unknown event type %s", w)
		e.unknown = true
		return e
	}
	k, err := textTest(t.op, t.mod, event.TypeString, t.want)
	if err != nil {
		return failAt(c.Right.Position(), "%s", err.Error())
	}
	var set event.TypeSet
	for typ := range event.AllTypes().All() {
		if k(typ.String()) {
			set.Add(typ)
		}
	}
	t.types = &set
	return nil
}

func (l *operand) testText(t *test, k textKernel) func(*scratch) bool {
	switch {
	case l.ancestors:
		get := l.field.Str
		if get == nil {
			return func(*scratch) bool { return false }
		}
		return func(s *scratch) bool {
			return s.eachAncestor(func(e *event.Event) bool {
				v, ok := get(e, self)
				return ok && k(v)
			})
		}
	case l.strs != nil:
		all := t.op == "in"
		return func(s *scratch) bool {
			n := len(s.strs)
			ok := l.strs(s) && allOrAny(all, s.strs[n:], k)
			s.strs = s.strs[:n]
			return ok
		}
	}
	get := l.str
	if t.op == "=" && t.mod == "" {
		w := t.want[0]
		return func(s *scratch) bool { v, ok := get(s); return ok && v == w }
	}
	return func(s *scratch) bool { v, ok := get(s); return ok && k(v) }
}

// allOrAny applies a kernel to the values of a list: `in` wants all of them to
// hold (so an empty one does), everything else one.
func allOrAny[T any](all bool, values []T, k func(T) bool) bool {
	for _, v := range values {
		if k(v) != all {
			return !all
		}
	}
	return all
}

func (l *operand) testNumber(t *test, k numberKernel) func(*scratch) bool {
	switch {
	case l.ancestors:
		get := l.field.Int
		if get == nil {
			return func(*scratch) bool { return false }
		}
		return func(s *scratch) bool {
			return s.eachAncestor(func(e *event.Event) bool {
				v, ok := get(e, self)
				return ok && k(v)
			})
		}
	case l.ints != nil:
		all := t.op == "in"
		if l.either {
			all = t.op == "!="
		}
		return func(s *scratch) bool {
			n := len(s.ints)
			ok := l.ints(s) && allOrAny(all, s.ints[n:], k)
			s.ints = s.ints[:n]
			return ok
		}
	}
	get := l.num
	return func(s *scratch) bool { v, ok := get(s); return ok && k(v) }
}

func (l *operand) testAddr(t *test, k addrKernel) func(*scratch) bool {
	if l.addrs != nil {
		all := t.op == "in"
		if l.either {
			all = t.op == "!="
		}
		return func(s *scratch) bool {
			n := len(s.addrs)
			ok := l.addrs(s)
			if ok {
				for i, a := range s.addrs[n:] {
					s.addrs[n+i] = a.Unmap()
				}
				ok = allOrAny(all, s.addrs[n:], k)
			}
			s.addrs = s.addrs[:n]
			return ok
		}
	}
	get := l.addr
	return func(s *scratch) bool { v, ok := get(s); return ok && k(v.Unmap()) }
}

// right builds the comparison with another field or a transform.
func (b *builder) right(t *test, v filter.Value) *compileError {
	r, err := b.operand(v)
	if err != nil {
		return err
	}
	l := t.left
	pos := v.Position()
	switch {
	case t.op == "pmatch" || t.op == "regex" || t.mod != "":
		return failAt(pos, "operator '%s' doesn't support right-hand side fields", strings.ToUpper(t.op))
	case l.typ == event.TypeNet:
		return failAt(pos, "field type 'IPNET' doesn't support right-hand side fields")
	case l.noRHS:
		return failAt(pos, "field '%s' doesn't support right-hand side fields", l.name)
	case r.noRHS:
		return failAt(pos, "field '%s' can't be used as a right-hand side field", r.name)
	case typeName(l.typ) != typeName(r.typ) || l.list != r.list:
		mark := func(o *operand) string {
			if o.list {
				return " (list)"
			}
			return ""
		}
		return failAt(pos, "field '%s' has type '%s%s' while the right-hand side field '%s' has incompatible type '%s%s'",
			l.name, typeName(l.typ), mark(l), r.name, typeName(r.typ), mark(r))
	}
	t.right = r
	t.fields = append(slices.Clip(l.uses), r.uses...)
	switch {
	case l.list:
		t.eval = listPair(l, r, t.op == "in")
	case l.str != nil:
		k := compareText(t.op)
		t.eval = func(s *scratch) bool {
			a, ok := l.str(s)
			if !ok {
				return false
			}
			b, ok := r.str(s)
			return ok && k(a, b)
		}
	case l.num != nil:
		k := compareNumber(t.op, l.typ)
		t.eval = func(s *scratch) bool {
			a, ok := l.num(s)
			if !ok {
				return false
			}
			b, ok := r.num(s)
			return ok && k(a, b)
		}
	case l.flag != nil:
		ne := t.op == "!="
		t.eval = func(s *scratch) bool {
			a, ok := l.flag(s)
			if !ok {
				return false
			}
			b, ok := r.flag(s)
			return ok && (a != b) == ne
		}
	default:
		ne := t.op == "!="
		t.eval = func(s *scratch) bool {
			a, ok := l.addr(s)
			if !ok {
				return false
			}
			b, ok := r.addr(s)
			return ok && (a.Unmap() != b.Unmap()) == ne
		}
	}
	return nil
}

// listPair compares two lists: every (in) or some (intersects) value of the left
// one is in the right one.
func listPair(l, r *operand, all bool) func(*scratch) bool {
	if l.strs == nil || r.strs == nil {
		return func(*scratch) bool { return false } // nothing supplies such fields
	}
	return func(s *scratch) bool {
		n := len(s.strs)
		ok := l.strs(s)
		mid := len(s.strs)
		ok = ok && r.strs(s)
		if ok {
			right := s.strs[mid:]
			ok = allOrAny(all, s.strs[n:mid], func(v string) bool { return slices.Contains(right, v) })
		}
		s.strs = s.strs[:n]
		return ok
	}
}
