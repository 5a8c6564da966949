package rule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule/filter"
)

// Assessed says how far a rule's conditions can be judged from what is supplied.
type Assessed uint8

const (
	// AssessedFully means that everything the rule asks for is supplied.
	AssessedFully Assessed = iota
	// AssessedPartly means that the rule can match, but parts of it are blind: it
	// may miss matches, or match where an exception would have spared it.
	AssessedPartly
	// NotAssessed means that the rule cannot match, because nothing supplies what
	// it needs. Its silence says nothing.
	NotAssessed
)

// String gives "assessed", "partly assessed" or "not assessed".
func (a Assessed) String() string {
	return [...]string{"assessed", "partly assessed", "not assessed"}[min(a, NotAssessed)]
}

// Assessment is the verdict on one rule. Fields and Types name what nothing
// supplies, sorted; Reason says it in words and is "" when the rule is fully assessed.
type Assessment struct {
	State  Assessed
	Reason string
	Fields []string
	Types  []string
	// Never is set when the condition cannot be true whatever is supplied, as
	// with evt.num=0.
	Never bool
}

// assess fills the assessment of every rule. For each event type that is
// supplied it asks whether the condition can still be true when checks on fields
// that this type does not have are taken as "no value".
func (r *Rules) assess(supplied event.TypeSet) {
	g := r.graph
	can := map[event.Type]*possible{}
	kernel := supplied.Intersect(event.NewTypeSet(event.TypePluginevent).Complement())
	for _, x := range r.rules {
		a := &x.info.Assessment
		supplied := supplied
		if x.source == event.SourceSyscall {
			supplied = kernel
		}
		at := x.types.Intersect(supplied)
		fires := false
		for typ := range at.All() {
			if can[typ] == nil {
				can[typ] = newPossible(g, typ)
			}
			if can[typ].true(x.node) {
				fires = true
				break
			}
		}
		a.Types = missingTypes(x.types, supplied)
		a.Fields = r.missingFields(x, at)
		switch {
		case !fires && x.types.Empty() || x.node == nodeFalse && len(a.Fields) == 0:
			a.Never, a.Fields, a.Types = true, nil, nil
			a.Reason = "its condition can never be true"
		case !fires:
			a.State = NotAssessed
		case len(a.Fields)+len(a.Types) > 0:
			a.State = AssessedPartly
		}
		if a.State != AssessedFully {
			a.Reason = reason(a, x)
		}
	}
}

func reason(a *Assessment, x *Rule) string {
	var parts []string
	if len(a.Types) > 0 {
		what := "event types"
		if x.source != event.SourceSyscall {
			what = "events of the source " + x.info.Source
			parts = append(parts, what)
		} else {
			parts = append(parts, what+" "+some(a.Types))
		}
	}
	if len(a.Fields) > 0 {
		parts = append(parts, "fields "+some(a.Fields))
	}
	s := "nothing supplies " + strings.Join(parts, " and ")
	if len(parts) == 0 {
		s = "the fields it asks for do not occur together in one event"
	}
	if a.State == AssessedPartly {
		return s + "; what depends on them is blind"
	}
	return s + ", so it cannot match"
}

func some(words []string) string {
	const most = 12
	if len(words) > most {
		return strings.Join(words[:most], ", ") + fmt.Sprintf(" and %d more", len(words)-most)
	}
	return strings.Join(words, ", ")
}

// missingTypes names the types a rule waits for in vain. A rule that is open to
// nearly every type names none.
func missingTypes(types, supplied event.TypeSet) []string {
	if types.Len() > maxEventTypes {
		return nil
	}
	var out []string
	for t := range types.Intersect(supplied.Complement()).All() {
		out = append(out, t.String())
	}
	slices.Sort(out)
	return out
}

// missingFields names the fields of a rule that nothing supplies on any of the types.
func (r *Rules) missingFields(x *Rule, types event.TypeSet) []string {
	var out []string
	eachCheck(x.res.Condition, func(c *filter.Check) {
		for _, u := range r.graph.tests[r.checks[x.source][c].test].fields {
			has := u.field.Types
			if types.Empty() && !has.Empty() {
				continue // the types are what is missing
			}
			both := has.Intersect(types)
			if both.Empty() && !slices.Contains(out, u.name) {
				out = append(out, u.name)
			}
		}
	})
	slices.Sort(out)
	return out
}

// possible answers whether nodes can be true on events of one type.
type possible struct {
	g    *graph
	typ  event.Type
	memo []int8 // 0 not asked, 1 yes, -1 no
}

func newPossible(g *graph, typ event.Type) *possible {
	return &possible{g: g, typ: typ, memo: make([]int8, len(g.nodes))}
}

func (p *possible) true(id nodeID) bool {
	if id <= nodeTrue {
		return id == nodeTrue
	}
	if p.memo[id] != 0 {
		return p.memo[id] > 0
	}
	ok := p.decide(&p.g.nodes[id])
	p.memo[id] = -1
	if ok {
		p.memo[id] = 1
	}
	return ok
}

func (p *possible) decide(n *gate) bool {
	switch n.kind {
	case kindAnd:
		return !slices.ContainsFunc(n.kids, func(k nodeID) bool { return !p.true(k) })
	case kindOr:
		return slices.ContainsFunc(n.kids, p.true)
	case kindTest, kindNot:
		t := p.g.tests[n.test]
		if t.types != nil {
			return t.types.Has(p.typ) == (n.kind == kindTest)
		}
		if n.kind == kindNot {
			return true
		}
		for _, u := range t.fields {
			if !u.field.Types.Has(p.typ) {
				return false
			}
		}
	}
	return true
}
