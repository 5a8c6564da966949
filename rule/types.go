package rule

import (
	"strconv"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule/filter"
)

// typeAnalysis finds the event types a condition can be true for, from its text
// alone, as upstream does: checks on evt.type say which, every other check says
// nothing, negation goes down to the checks. Subtrees are analysed once.
type typeAnalysis struct {
	done map[lowerKey]event.TypeSet
}

func newTypeAnalysis() *typeAnalysis {
	return &typeAnalysis{done: map[lowerKey]event.TypeSet{}}
}

func (a *typeAnalysis) of(e filter.Expr, not bool) event.TypeSet {
	key := lowerKey{e, not}
	if s, ok := a.done[key]; ok {
		return s
	}
	set := event.AllTypes()
	switch e := e.(type) {
	case *filter.And:
		set = a.all(e.Kids, not, !not)
	case *filter.Or:
		set = a.all(e.Kids, not, not)
	case *filter.Not:
		set = a.of(e.Kid, !not)
	case *filter.Check:
		set = checkTypes(e, not)
	}
	a.done[key] = set
	return set
}

func (a *typeAnalysis) all(kids []filter.Expr, not, both bool) event.TypeSet {
	var set event.TypeSet
	if both {
		set = event.AllTypes()
	}
	for _, k := range kids {
		s := a.of(k, not)
		if both {
			set = set.Intersect(s)
		} else {
			set = set.Union(s)
		}
	}
	return set
}

// checkTypes returns the types one check, or its negation, can hold for.
func checkTypes(c *filter.Check, not bool) event.TypeSet {
	f, ok := c.Left.(*filter.Field)
	if !ok || f.HasArg || c.Modifier != "" {
		return event.AllTypes()
	}
	set, known := event.TypeSet{}, false
	switch f.Name {
	case "evt.num":
		set, known = numberInvariant(c)
	case "evt.type", "syscall.type":
		set, known = namedTypes(c)
	}
	switch {
	case !known:
		return event.AllTypes()
	case not:
		return set.Complement()
	}
	return set
}

func namedTypes(c *filter.Check) (set event.TypeSet, known bool) {
	switch c.Op {
	case "exists":
		return event.AllTypes(), true
	case "=", "==", "!=", "in":
	default:
		return set, false
	}
	add := func(l *filter.Literal) {
		if t, ok := event.TypeByName(l.Text); ok {
			set.Add(t)
		}
	}
	switch r := c.Right.(type) {
	case *filter.Literal:
		add(r)
	case *filter.List:
		for _, l := range r.Items {
			add(l)
		}
	default:
		return set, false
	}
	if c.Op == "!=" {
		set = set.Complement()
	}
	return set, true
}

// constantCheck decides checks whose outcome is the same for every event; the set
// is empty when it is false.
func constantCheck(c *filter.Check) (set event.TypeSet, known bool) {
	if f, ok := c.Left.(*filter.Field); ok && f.Name == "evt.num" && !f.HasArg && c.Modifier == "" {
		return numberInvariant(c)
	}
	return set, false
}

// numberInvariant decides checks on evt.num, which starts at 1: evt.num=0 is the
// usual way to write "never".
func numberInvariant(c *filter.Check) (set event.TypeSet, known bool) {
	number := func(l *filter.Literal) (uint64, bool) {
		n, err := strconv.ParseUint(l.Text, 10, 64)
		return n, err == nil
	}
	if l, ok := c.Right.(*filter.List); ok && c.Op == "in" {
		for _, it := range l.Items {
			if n, ok := number(it); !ok || n != 0 {
				return set, false
			}
		}
		return set, true
	}
	l, ok := c.Right.(*filter.Literal)
	if !ok {
		return set, false
	}
	n, ok := number(l)
	if !ok {
		return set, false
	}
	switch c.Op {
	case "=", "==", "<=":
		return set, n == 0
	case "<":
		return set, n <= 1
	case "!=", ">":
		return event.AllTypes(), n == 0
	case ">=":
		return event.AllTypes(), n <= 1
	}
	return set, false
}
