package rule

import (
	"fmt"
	"sort"
	"strings"

	"github.com/dockreeve/dockreeve/rule/filter"
)

// exception is one entry of a rule's exceptions.
type exception struct {
	name   string
	fields entry
	comps  entry
	values []entry
	at     Place
}

// entry is a scalar or a list, as fields, comps and values may be.
type entry struct {
	list  bool
	text  string
	items []entry
	at    Place
}

func (e entry) empty() bool { return e.list && len(e.items) == 0 || !e.list && e.text == "" }

// exceptions reads the key of that name. An appended one may leave out its fields.
func (l *loader) exceptions(n yamlNode, item string, appended bool) ([]exception, *fault) {
	v, ok := n.get("exceptions")
	if !ok || v.null() {
		return nil, nil
	}
	if !v.isSeq() {
		return nil, faultAt(CodeYAMLValidate, v.place(), item, "the exceptions of a rule are a sequence, found "+v.kind(), "")
	}
	var out []exception
	seen := map[string]bool{}
	for _, e := range v.items() {
		if !e.isMap() {
			return nil, faultAt(CodeYAMLValidate, e.place(), item, "an exception is a mapping, found "+e.kind(), "give it name, fields and values")
		}
		name, _, err := l.text(e, "name", item)
		if err != nil {
			return nil, err
		}
		ex := exception{name: name, at: e.place()}
		where := fmt.Sprintf("%s, exception %q", item, name)
		if seen[name] {
			l.warn(CodeExceptionNotUniq, e.place(), where, "the rule has another exception of this name", "give each its own name")
		}
		seen[name] = true
		f, ok := e.get("fields")
		if !ok && !appended {
			return nil, faultAt(CodeYAMLValidate, e.place(), where, "the key \"fields\" is missing", "")
		}
		if ok {
			if ex.fields, err = l.entry(f, where, 1); err != nil {
				return nil, err
			}
		}
		if c, ok := e.get("comps"); ok {
			if ex.comps, err = l.entry(c, where, 1); err != nil {
				return nil, err
			}
		}
		if err := l.exceptionValues(e, where, appended, &ex); err != nil {
			return nil, err
		}
		l.unknownKeys(e, []string{"name", "fields", "comps", "values"}, where)
		out = append(out, ex)
	}
	return out, nil
}

func (l *loader) exceptionValues(e yamlNode, where string, appended bool, ex *exception) *fault {
	v, ok := e.get("values")
	if !ok {
		if appended {
			l.warn(CodeAppendNoValues, e.place(), where, "it appends no values", "add 'values'")
		}
		return nil
	}
	if !v.isSeq() {
		return faultAt(CodeYAMLValidate, v.place(), where, "the values of an exception are a sequence, found "+v.kind(), "")
	}
	for _, it := range v.items() {
		val, err := l.entry(it, where, 2)
		if err != nil {
			return err
		}
		ex.values = append(ex.values, val)
	}
	return nil
}

// entry reads a scalar, or lists of scalars up to depth.
func (l *loader) entry(n yamlNode, where string, depth int) (entry, *fault) {
	e := entry{at: n.place()}
	if err := l.spend(n, where); err != nil {
		return e, err
	}
	if s, ok := n.scalar(); ok {
		if s == "" {
			return e, faultAt(CodeYAMLValidate, n.place(), where, "a value of an exception is empty", "")
		}
		e.text = s
		return e, nil
	}
	if !n.isSeq() {
		return e, nil // nothing, or a mapping: an entry without value
	}
	if depth == 0 {
		return e, faultAt(CodeYAMLValidate, n.place(), where, "lists in an exception are nested too deeply", "values are tuples of values or lists of values")
	}
	e.list = true
	for _, it := range n.items() {
		sub, err := l.entry(it, where, depth-1)
		if err != nil {
			return e, err
		}
		e.items = append(e.items, sub)
	}
	return e, nil
}

// checkException completes and checks a newly defined exception.
func (l *loader) checkException(r *ruleInfo, ex *exception, item string) *fault {
	where := fmt.Sprintf("%s, exception %q", item, ex.name)
	fail := func(message, remedy string) *fault { return faultAt(CodeValidate, ex.at, where, message, remedy) }
	if ex.fields.empty() {
		return fail("its \"fields\" name no field", "")
	}
	fields := []entry{ex.fields}
	if ex.fields.list {
		fields = ex.fields.items
		if ex.comps.empty() {
			ex.comps = entry{list: true}
			for range fields {
				ex.comps.items = append(ex.comps.items, entry{text: "="})
			}
		}
		if !ex.comps.list || len(ex.comps.items) != len(fields) {
			return fail(fmt.Sprintf("it has %d fields but %d comps", len(fields), len(ex.comps.items)), "give one comparison for each field")
		}
		ex.comps.items = append([]entry(nil), ex.comps.items...)
		for i := range ex.comps.items {
			c := &ex.comps.items[i]
			c.text = strings.Trim(c.text, " \t\r\n")
			if base, mod := splitComp(c.text); !hasWord(filter.Operators(), c.text) && !(mod && filter.IsStringOperator(base)) {
				return fail(fmt.Sprintf("%q is no comparison operator", c.text), "the operators are "+strings.Join(filter.Operators(), " "))
			}
		}
	} else {
		if ex.comps.empty() {
			ex.comps = entry{text: "in"}
		}
		if ex.comps.list {
			return fail("its \"fields\" is one field but its \"comps\" is a list", "write both as lists, or both as single values")
		}
		ex.comps.text = strings.Trim(ex.comps.text, " \t\r\n")
		if !takesList(ex.comps.text) {
			return fail(fmt.Sprintf("with a single field, %q cannot be the comparison", ex.comps.text), "use in, pmatch, intersects, or an operator with oneof, anyof or allof")
		}
	}
	if l.opt.ValidField == nil || r.unknownSource {
		return nil
	}
	for _, f := range fields {
		if !l.opt.ValidField(r.source, f.text) {
			return fail(fmt.Sprintf("%q is no field of source %q", f.text, r.source), "")
		}
	}
	return nil
}

// splitComp splits "startswith oneof" into its operator; mod says there was a modifier.
func splitComp(s string) (op string, mod bool) {
	parts := strings.Fields(s)
	if len(parts) == 2 && filter.IsModifier(parts[1]) {
		return parts[0], true
	}
	return s, false
}

// takesList says whether a comparison has a list on its right.
func takesList(comp string) bool {
	op, mod := splitComp(comp)
	return mod && filter.IsStringOperator(op) || filter.IsListOperator(comp)
}

// addExceptions appends: to a known exception only values, or a new exception whole.
func (l *loader) addExceptions(r *ruleInfo, exs []exception, item string) *fault {
	for _, ex := range exs {
		where := fmt.Sprintf("%s, exception %q", item, ex.name)
		fail := func(message, remedy string) *fault { return faultAt(CodeValidate, ex.at, where, message, remedy) }
		var prev *exception
		for i := range r.exceptions {
			if r.exceptions[i].name == ex.name {
				prev = &r.exceptions[i]
				break
			}
		}
		switch {
		case prev == nil && ex.fields.empty():
			return fail("the rule has no exception of this name, and a new one needs \"fields\"", "check the name, or add fields")
		case prev == nil && len(ex.values) == 0:
			return fail("a new exception needs \"values\"", "")
		case prev == nil:
			if err := l.checkException(r, &ex, item); err != nil {
				return err
			}
			r.exceptions = append(r.exceptions, ex)
		case !ex.fields.empty():
			return fail("the fields of an existing exception cannot be appended to", "append values only")
		case !ex.comps.empty():
			return fail("the comps of an existing exception cannot be appended to", "append values only")
		default:
			prev.values = append(prev.values[:len(prev.values):len(prev.values)], ex.values...)
		}
	}
	return nil
}

// withExceptions appends to a condition what its exceptions exclude, as text:
// (condition) and not (…) and not (…). It also names the fields used.
func withExceptions(r *ruleInfo) (mapped, []string, *fault) {
	if len(r.exceptions) == 0 {
		return r.cond, nil, nil
	}
	item := itemName("rule", r.name)
	var b textBuilder
	b.fixed("(", r.at)
	b.copy(r.cond, 0, len(r.cond.text))
	b.fixed(")", r.at)
	used := map[string]bool{}
	for i := range r.exceptions {
		ex := &r.exceptions[i]
		if len(ex.values) == 0 {
			continue
		}
		where := fmt.Sprintf("%s, exception %q", item, ex.name)
		b.fixed(" and not (", ex.at)
		var err *fault
		if ex.fields.list {
			err = tupleException(&b, ex, where, used)
		} else {
			err = scalarException(&b, ex, where, used)
		}
		if err != nil {
			return mapped{}, nil, err
		}
		b.fixed(")", ex.at)
	}
	fields := make([]string, 0, len(used))
	for f := range used {
		fields = append(fields, f)
	}
	sort.Strings(fields)
	return b.done(), fields, nil
}

func scalarException(b *textBuilder, ex *exception, where string, used map[string]bool) *fault {
	used[ex.fields.text] = true
	b.fixed(ex.fields.text+" "+ex.comps.text+" (", ex.at)
	for i, v := range ex.values {
		if v.list {
			return faultAt(CodeValidate, v.at, where, "with a single field the values are single values, found a list", "write 'values: [a, b]'")
		}
		if i > 0 {
			b.fixed(", ", v.at)
		}
		b.fixed(quoteItem(v.text), v.at)
	}
	b.fixed(")", ex.at)
	return nil
}

func tupleException(b *textBuilder, ex *exception, where string, used map[string]bool) *fault {
	for i, tuple := range ex.values {
		if len(tuple.items) != len(ex.fields.items) {
			return faultAt(CodeValidate, tuple.at, where, fmt.Sprintf("it has %d fields but a tuple of %d values", len(ex.fields.items), len(tuple.items)), "give one value for each field")
		}
		if i > 0 {
			b.fixed(" or ", tuple.at)
		}
		b.fixed("(", tuple.at)
		for k, f := range ex.fields.items {
			used[f.text] = true
			if k > 0 {
				b.fixed(" and ", tuple.at)
			}
			v := tuple.items[k]
			comp := ex.comps.items[k].text
			b.fixed(" "+f.text+" "+comp+" ", v.at)
			switch {
			case v.list:
				b.fixed("(", v.at)
				for j, s := range v.items {
					if j > 0 {
						b.fixed(", ", s.at)
					}
					b.fixed(quoteItem(s.text), s.at)
				}
				b.fixed(")", v.at)
			case takesList(comp) && !strings.HasPrefix(v.text, "("):
				// A single value is not quoted here, so it may be written "a, b" (as in Falco).
				b.fixed("("+v.text+")", v.at)
			case takesList(comp):
				b.fixed(v.text, v.at)
			default:
				b.fixed(quoteItem(v.text), v.at)
			}
		}
		b.fixed(")", tuple.at)
	}
	return nil
}

// quoteItem puts quotes around a value with a blank in it, without escaping
// what is inside: rules in the field rely on that.
func quoteItem(s string) string {
	if strings.Contains(s, " ") && s[0] != '"' && s[0] != '\'' {
		return `"` + s + `"`
	}
	return s
}
