package rule

import (
	"encoding/base64"
	"encoding/hex"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule/filter"
)

// naive is the rule language as plainly as it can be written: it walks the tree
// for every event, compiles nothing and shares nothing. The engine is held to it.
type naive struct{ resolve resolver }

// nval is a value: one or several strings, int64s, bools or netip.Addrs.
type nval struct {
	typ    event.FieldType
	list   bool // several values; `in` wants all of them
	either bool // the two ends of a connection
	any    bool // any of them will do (ancestors)
	vals   []any
	ok     bool // it has a value
}

// holds says whether e (or, with not, its negation) is true of ev.
func (n naive) holds(e filter.Expr, ev *event.Event, not bool) bool {
	switch e := e.(type) {
	case *filter.And:
		return n.kids(e.Kids, ev, not, !not)
	case *filter.Or:
		return n.kids(e.Kids, ev, not, not)
	case *filter.Not:
		return n.holds(e.Kid, ev, !not)
	case *filter.Check:
		if not {
			return !n.check(e, ev) && !n.blind(e, ev)
		}
		return n.check(e, ev)
	}
	panic("unknown node")
}

func (n naive) kids(kids []filter.Expr, ev *event.Event, not, every bool) bool {
	for _, k := range kids {
		if n.holds(k, ev, not) != every {
			return !every
		}
	}
	return every
}

// blind: the check asks what a container's runtime has not told yet.
func (n naive) blind(c *filter.Check, ev *event.Event) bool {
	if ev.Container == nil || ev.Container.Unknown == "" {
		return false
	}
	blind := false
	see := func(node any) bool {
		if f, ok := node.(*filter.Field); ok && (strings.HasPrefix(f.Name, "container.") || strings.HasPrefix(f.Name, "k8s.")) {
			blind = blind || !n.value(f, ev).ok
		}
		return true
	}
	filter.WalkValue(c.Left, see)
	if c.Right != nil {
		filter.WalkValue(c.Right, see)
	}
	return blind
}

func (n naive) value(v filter.Value, ev *event.Event) nval {
	switch v := v.(type) {
	case *filter.Literal:
		return nval{typ: event.TypeString, vals: []any{v.Text}, ok: true}
	case *filter.Field:
		return n.field(v, ev)
	case *filter.Tuple:
		out := nval{typ: event.TypeString, list: true, ok: true}
		for _, it := range v.Items {
			x := n.value(it, ev)
			if !x.ok {
				return nval{typ: event.TypeString, list: true}
			}
			for _, e := range x.vals {
				out.vals = append(out.vals, ntext(e, x.typ))
			}
		}
		return out
	case *filter.Transform:
		return n.transform(v, ev)
	}
	panic("unknown value")
}

func (n naive) field(v *filter.Field, ev *event.Event) nval {
	f, key, found := n.resolve(v.Name)
	if !found {
		panic(v.Name)
	}
	var arg *event.Arg
	if v.HasArg || key != "" {
		arg = &event.Arg{Key: key}
		if v.HasArg {
			arg.Key = v.Arg
		}
		if i, err := strconv.Atoi(arg.Key); err == nil && i >= 0 {
			arg.Index, arg.IsNum = i, true
		}
	}
	out := nval{typ: f.Type, list: f.List, either: f.EitherEnd}
	one := func(a *event.Arg) {
		switch {
		case f.Str != nil:
			if s, ok := f.Str(ev, a); ok {
				out.vals = append(out.vals, strings.Clone(s))
			}
		case f.Int != nil:
			if i, ok := f.Int(ev, a); ok {
				out.vals = append(out.vals, i)
			}
		case f.Bool != nil:
			if b, ok := f.Bool(ev, a); ok {
				out.vals = append(out.vals, b)
			}
		case f.Addr != nil:
			if x, ok := f.Addr(ev, a); ok {
				out.vals = append(out.vals, x)
			}
		case f.Strs != nil:
			for _, s := range f.Strs(ev, a, nil) {
				out.vals = append(out.vals, strings.Clone(s))
			}
		case f.Ints != nil:
			for _, i := range f.Ints(ev, a, nil) {
				out.vals = append(out.vals, i)
			}
		case f.Addrs != nil:
			for _, x := range f.Addrs(ev, a, nil) {
				out.vals = append(out.vals, x)
			}
		}
	}
	if f.Ancestors && arg == nil {
		out.any = true
		for i := 1; i <= event.MaxLineage && ev.Process.Ancestor(i) != nil; i++ {
			one(&event.Arg{Index: i, IsNum: true})
		}
	} else {
		one(arg)
	}
	out.ok = len(out.vals) > 0
	return out
}

func ntext(v any, typ event.FieldType) string {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		if typ == event.TypeInt {
			return strconv.FormatInt(v, 10)
		}
		return strconv.FormatUint(uint64(v), 10)
	case bool:
		return strconv.FormatBool(v)
	case netip.Addr:
		return v.String()
	}
	panic("text")
}

func (n naive) transform(t *filter.Transform, ev *event.Event) nval {
	args := make([]nval, len(t.Args))
	for i, a := range t.Args {
		args[i] = n.value(a, ev)
	}
	a := args[0]
	each := func(f func(string) (string, bool)) nval {
		out := nval{typ: a.typ, list: a.list, ok: a.ok}
		for _, v := range a.vals {
			s, ok := f(v.(string))
			if !ok {
				return nval{typ: a.typ, list: a.list}
			}
			out.vals = append(out.vals, s)
		}
		return out
	}
	ascii := func(from, to byte, d int) func(string) (string, bool) {
		return func(s string) (string, bool) {
			b := []byte(s)
			for i, c := range b {
				if c >= from && c <= to {
					b[i] = byte(int(c) + d)
				}
			}
			return string(b), true
		}
	}
	switch t.Name {
	case "tolower":
		return each(ascii('A', 'Z', 32))
	case "toupper":
		return each(ascii('a', 'z', -32))
	case "basename":
		return each(func(s string) (string, bool) { p := strings.Split(s, "/"); return p[len(p)-1], true })
	case "b64":
		return each(func(s string) (string, bool) {
			s = strings.TrimSuffix(strings.TrimSuffix(s, "="), "=")
			b, err := base64.RawStdEncoding.DecodeString(s)
			return string(b), err == nil && !strings.ContainsAny(s, "\r\n")
		})
	case "len":
		out := nval{typ: event.TypeUint, ok: a.ok}
		if a.list {
			out.vals = []any{int64(len(a.vals))}
		} else if a.ok {
			out.vals = []any{int64(len(a.vals[0].(string)))}
		}
		return out
	case "join":
		if !a.ok || !args[1].ok {
			return nval{typ: event.TypeString}
		}
		var parts []string
		for _, v := range args[1].vals {
			parts = append(parts, ntext(v, args[1].typ))
		}
		return nval{typ: event.TypeString, ok: true, vals: []any{strings.Join(parts, ntext(a.vals[0], a.typ))}}
	case "concat":
		s := ""
		for _, x := range args {
			if !x.ok {
				return nval{typ: event.TypeString}
			}
			s += x.vals[0].(string)
		}
		return nval{typ: event.TypeString, ok: true, vals: []any{s}}
	}
	panic(t.Name)
}

func (n naive) check(c *filter.Check, ev *event.Event) bool {
	l := n.value(c.Left, ev)
	if !l.ok {
		return false
	}
	op := c.Op
	if op == "==" {
		op = "="
	}
	if op == "exists" {
		return true
	}
	var want []any
	switch r := c.Right.(type) {
	case *filter.Literal:
		want = []any{r.Text}
	case *filter.List:
		for _, it := range r.Items {
			want = append(want, it.Text)
		}
	default:
		rv := n.value(r, ev)
		if !rv.ok {
			return false
		}
		want = rv.vals
	}
	member := op == "in" || op == "intersects" || op == "pmatch"
	one := func(v any) bool {
		count := 0
		for _, w := range want {
			if n.compare(op, l.typ, v, w) {
				count++
			}
		}
		switch {
		case c.Modifier == "oneof":
			return count == 1
		case c.Modifier == "allof":
			return count == len(want) && count > 0
		case c.Modifier == "anyof" || member:
			return count > 0
		}
		return count == 1 // a single constant
	}
	all := l.list && op == "in" || l.either && op == "!="
	for _, v := range l.vals {
		if one(v) != all {
			return !all
		}
	}
	return all
}

func (n naive) compare(op string, typ event.FieldType, v, w any) bool {
	switch v := v.(type) {
	case string:
		return ncompareText(op, v, w.(string))
	case int64:
		x, ok := w.(int64)
		if s, text := w.(string); text {
			x, ok = nnumber(s, typ), true
		}
		if !ok {
			return false
		}
		if typ != event.TypeInt {
			return order(op, uint64(v) == uint64(x), uint64(v) < uint64(x))
		}
		return order(op, v == x, v < x)
	case bool:
		if s, text := w.(string); text {
			w = s == "true"
		}
		return order(op, v == w.(bool), false)
	case netip.Addr:
		eq := false
		switch s := w.(type) {
		case netip.Addr:
			eq = s.Unmap() == v.Unmap()
		case string:
			if typ == event.TypeNet {
				eq = netip.MustParsePrefix(s).Contains(v.Unmap())
			} else {
				eq = netip.MustParseAddr(s) == v.Unmap()
			}
		}
		return order(op, eq, false)
	}
	panic("compare")
}

func nnumber(s string, typ event.FieldType) int64 {
	if typ == event.TypePort {
		if p, ok := map[string]int64{"https": 443, "ssh": 22}[s]; ok {
			return p
		}
	}
	if i, err := strconv.ParseInt(s, 0, 64); err == nil {
		return i
	}
	u, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		panic(err)
	}
	return int64(u)
}

func order(op string, equal, less bool) bool {
	switch op {
	case "=", "in", "intersects":
		return equal
	case "!=":
		return !equal
	case "<":
		return less
	case "<=":
		return less || equal
	case ">":
		return !less && !equal
	case ">=":
		return !less
	}
	panic(op)
}

func ncompareText(op, v, w string) bool {
	switch op {
	case "contains":
		return strings.Contains(v, w)
	case "icontains":
		return strings.Contains(strings.ToLower(v), strings.ToLower(w))
	case "startswith":
		return strings.HasPrefix(v, w)
	case "endswith":
		return strings.HasSuffix(v, w)
	case "bcontains", "bstartswith":
		b, err := hex.DecodeString(w)
		if err != nil {
			panic(err)
		}
		return op == "bcontains" && strings.Contains(v, string(b)) || op == "bstartswith" && strings.HasPrefix(v, string(b))
	case "glob", "iglob":
		re := strings.NewReplacer(`\*`, "(?s:.*)", `\?`, "(?s:.)").Replace(regexp.QuoteMeta(w))
		if op == "iglob" {
			re = "(?i)" + re
		}
		return regexp.MustCompile("^" + re + "$").MatchString(v)
	case "regex":
		return regexp.MustCompile(`^(?:` + w + `)$`).MatchString(v)
	case "pmatch":
		slash := func(r rune) bool { return r == '/' }
		vs, ws := strings.FieldsFunc(v, slash), strings.FieldsFunc(w, slash)
		return len(ws) <= len(vs) && slices.EqualFunc(ws, vs[:len(ws)], func(a, b string) bool { return ncompareText("glob", b, a) })
	}
	return order(op, v == w, v < w)
}
