package arm

import (
	"fmt"
	"strings"
	"time"
)

// filter is a compiled $filter, of the part of OData that ARM's lists take: eq, ne, ge, gt,
// le, lt of a field and a word in quotes, and, or, brackets, and functions such as
// atScope(), which hold always.
type filter func(field func(name string) string) bool

func parseFilter(s string) (filter, error) {
	if strings.TrimSpace(s) == "" {
		return func(func(string) string) bool { return true }, nil
	}
	if len(s) > 16<<10 {
		return nil, fmt.Errorf("filter of %d bytes: too long", len(s))
	}
	p := &parser{rest: s}
	f, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t != "" {
		return nil, fmt.Errorf("filter: %q is not expected", t)
	}
	return f, nil
}

type parser struct{ rest string }

// peek gives the next token without taking it; "" at the end.
func (p *parser) peek() string {
	s := strings.TrimLeft(p.rest, " \t\n")
	p.rest = s
	if s == "" {
		return ""
	}
	switch s[0] {
	case '(', ')', ',':
		return s[:1]
	case '\'':
		for i := 1; i < len(s); i++ {
			if s[i] != '\'' {
				continue
			}
			if i+1 < len(s) && s[i+1] == '\'' {
				i++
				continue
			}
			return s[:i+1]
		}
		return s
	}
	if i := strings.IndexAny(s, " \t\n(),'"); i > 0 {
		return s[:i]
	}
	return s
}

func (p *parser) take() string {
	t := p.peek()
	p.rest = p.rest[len(t):]
	return t
}

func (p *parser) list(word string, depth int, of func(int) (filter, error), join func(a, b bool) bool) (filter, error) {
	f, err := of(depth)
	for err == nil && strings.EqualFold(p.peek(), word) {
		p.take()
		var g filter
		if g, err = of(depth); err != nil {
			break
		}
		a := f
		f = func(field func(string) string) bool { return join(a(field), g(field)) }
	}
	return f, err
}

func (p *parser) or(depth int) (filter, error) {
	return p.list("or", depth, p.and, func(a, b bool) bool { return a || b })
}

func (p *parser) and(depth int) (filter, error) {
	return p.list("and", depth, p.term, func(a, b bool) bool { return a && b })
}

// maxDepth bounds brackets.
const maxDepth = 50

func (p *parser) term(depth int) (filter, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("filter: brackets deeper than %d", maxDepth)
	}
	t := p.take()
	if t == "(" {
		f, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if end := p.take(); end != ")" {
			return nil, fmt.Errorf("filter: %q where a bracket ends", end)
		}
		return f, nil
	}
	if t == "" || t == ")" || t == "," || t[0] == '\'' {
		return nil, fmt.Errorf("filter: %q where a field is named", t)
	}
	if p.peek() == "(" {
		p.take()
		if end := p.take(); end != ")" {
			return nil, fmt.Errorf("filter: %s takes nothing", t)
		}
		return func(func(string) string) bool { return true }, nil
	}
	op := strings.ToLower(p.take())
	value := p.take()
	if len(value) < 2 || value[0] != '\'' || value[len(value)-1] != '\'' {
		return nil, fmt.Errorf("filter: %s %s %q: want a word in quotes", t, op, value)
	}
	value = strings.ReplaceAll(value[1:len(value)-1], "''", "'")
	order := func(ok func(n int) bool) (filter, error) {
		return func(field func(string) string) bool {
			have := field(t)
			a, errA := time.Parse(time.RFC3339, have)
			b, errB := time.Parse(time.RFC3339, value)
			if errA == nil && errB == nil {
				return ok(a.Compare(b))
			}
			return ok(strings.Compare(strings.ToLower(have), strings.ToLower(value)))
		}, nil
	}
	switch op {
	case "eq":
		return order(func(n int) bool { return n == 0 })
	case "ne":
		return order(func(n int) bool { return n != 0 })
	case "ge":
		return order(func(n int) bool { return n >= 0 })
	case "gt":
		return order(func(n int) bool { return n > 0 })
	case "le":
		return order(func(n int) bool { return n <= 0 })
	case "lt":
		return order(func(n int) bool { return n < 0 })
	}
	return nil, fmt.Errorf("filter: no operator %q", op)
}
