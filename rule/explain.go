package rule

import (
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule/filter"
)

// Condition is one comparison of a rule as it stood for one event.
type Condition struct {
	Expr   string // as written, macros and lists expanded; long lists are cut
	Field  string // left side
	Op     string
	Want   string // right side; for another field its name and value
	Got    string // the event's value; "" with Null
	Null   bool   // the event had no value, so the comparison does not hold
	True   bool   // the outcome with the negation applied
	Negate bool   // the rule asks for the opposite
	// Truncated says that the value was longer than is kept: that a negative test
	// held may be due to the missing part.
	Truncated bool
	Pos       Place // in the rule file
}

// Bounds of an explanation.
const (
	MaxConditions = 48  // conditions given
	maxGot        = 512 // bytes of a value
	maxWant       = 240 // bytes of the right side
)

// Explain says why r matches ev, or why it does not: the conditions that decide
// the outcome, in the order of the rule. Where one of several alternatives holds,
// only those that hold are given. At most MaxConditions are returned; negative
// ones give way first.
func (m *Matcher) Explain(r *Rule, ev *event.Event) []Condition {
	m.explain.reset(ev)
	x := &explainer{
		g: m.rules.graph, checks: m.rules.checks[r.source], s: &m.explain, rule: r,
		truth: map[lowerKey]bool{}, given: map[lowerKey]bool{},
	}
	x.collect(r.res.Condition, false)
	return bounded(x.out)
}

// explainer walks the condition of one rule for one event.
type explainer struct {
	g      *graph
	checks map[*filter.Check]loweredCheck
	s      *scratch
	truth  map[lowerKey]bool
	given  map[lowerKey]bool
	rule   *Rule
	out    []Condition
}

func (x *explainer) holds(e filter.Expr, not bool) bool {
	key := lowerKey{e, not}
	if v, ok := x.truth[key]; ok {
		return v
	}
	v := false
	switch e := e.(type) {
	case *filter.And:
		v = x.all(e.Kids, not, !not)
	case *filter.Or:
		v = x.all(e.Kids, not, not)
	case *filter.Not:
		v = x.holds(e.Kid, !not)
	case *filter.Check:
		t := x.test(e)
		v = t.eval(x.s)
		if not {
			v = !v && !(t.meta && t.blind(x.s))
		}
	}
	x.truth[key] = v
	return v
}

func (x *explainer) all(kids []filter.Expr, not, every bool) bool {
	for _, k := range kids {
		if x.holds(k, not) != every {
			return !every
		}
	}
	return every
}

func (x *explainer) test(c *filter.Check) *test { return x.g.tests[x.checks[c].test] }

// collect gives the checks that make e come out as it does.
func (x *explainer) collect(e filter.Expr, not bool) {
	key := lowerKey{e, not}
	if x.given[key] || len(x.out) > 20*MaxConditions {
		return
	}
	x.given[key] = true
	switch e := e.(type) {
	case *filter.And:
		x.deciding(e, e.Kids, not)
	case *filter.Or:
		x.deciding(e, e.Kids, not)
	case *filter.Not:
		x.collect(e.Kid, !not)
	case *filter.Check:
		x.out = append(x.out, x.condition(e, not))
	}
}

func (x *explainer) deciding(e filter.Expr, kids []filter.Expr, not bool) {
	outcome := x.holds(e, not)
	for _, k := range kids {
		if x.holds(k, not) == outcome {
			x.collect(k, not)
		}
	}
}

func (x *explainer) condition(c *filter.Check, not bool) Condition {
	t := x.test(c)
	out := Condition{
		Field: filter.FormatOperand(c.Left), Op: c.Op, Negate: not, True: x.holds(c, not), Pos: x.rule.res.Place(c.Pos),
	}
	if c.Modifier != "" {
		out.Op += " " + c.Modifier
	}
	out.Want = wantText(c)
	out.Expr = out.Field + " " + out.Op
	if out.Want != "" {
		out.Expr += " " + out.Want
	}
	if not {
		out.Expr = "not " + out.Expr
	}
	if t.right != nil {
		if v, ok := values(t.right, x.s); ok {
			out.Want += " = " + clip(v, maxGot)
		}
	}
	got, ok := values(t.left, x.s)
	out.Got, out.Null = clip(got, maxGot), !ok
	out.Truncated = truncated(t, x.s.ev)
	return out
}

// values gives the values of an operand as text, several joined by ", ".
func values(o *operand, s *scratch) (string, bool) {
	from := len(s.strs)
	defer func() { s.strs = s.strs[:from] }()
	switch {
	case o.ancestors:
		s.eachAncestor(func(e *event.Event) bool {
			if o.field.Str != nil {
				if v, ok := o.field.Str(e, self); ok {
					s.strs = append(s.strs, strings.Clone(v))
				}
			} else if o.field.Int != nil {
				if v, ok := o.field.Int(e, self); ok {
					s.strs = append(s.strs, s.number(v, o.typ))
				}
			}
			return false
		})
		return strings.Join(s.strs[from:], ", "), len(s.strs) > from
	case o.list || o.either:
		ok := o.appendTexts()(s)
		return strings.Join(s.strs[from:], ", "), ok
	}
	v, ok := o.render(s)
	return strings.Clone(v), ok
}

// truncated reports whether a test reads text of the event that was cut.
func truncated(t *test, ev *event.Event) bool {
	for _, u := range t.fields {
		name := u.field.Name
		switch {
		case strings.HasPrefix(name, "proc.args"), strings.HasPrefix(name, "proc.cmd"), name == "proc.exeline":
			if ev.Process != nil && ev.Process.ArgsTruncated {
				return true
			}
		case strings.HasPrefix(name, "fd."), strings.HasPrefix(name, "evt.arg"):
			if ev.Flags&event.FlagTruncated != 0 {
				return true
			}
		}
	}
	return false
}

// wantText writes the right side of a check, cut to maxWant.
func wantText(c *filter.Check) string {
	switch v := c.Right.(type) {
	case nil:
		return ""
	case *filter.List:
		var b strings.Builder
		b.WriteByte('(')
		for i, it := range v.Items {
			if i > 0 {
				b.WriteString(", ")
			}
			if b.Len() > maxWant {
				b.WriteString("…")
				break
			}
			b.WriteString(clip(filter.FormatValue(it), maxWant))
		}
		b.WriteByte(')')
		return b.String()
	}
	return clip(filter.FormatValue(c.Right), maxWant)
}

// bounded drops what is over MaxConditions, negative conditions first.
func bounded(all []Condition) []Condition {
	for i := len(all) - 1; i >= 0 && len(all) > MaxConditions; i-- {
		if all[i].Negate {
			all = slices.Delete(all, i, i+1)
		}
	}
	return all[:min(len(all), MaxConditions)]
}
