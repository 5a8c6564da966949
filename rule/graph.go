package rule

import (
	"encoding/binary"
	"slices"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule/filter"
)

// A condition becomes a node of one graph shared by all rules: negations are
// pushed down to the tests, and equal nodes are the same node, so that whatever
// two rules have in common is evaluated once.

// nodeID names a node of a graph.
type nodeID int32

// The constant nodes, the same in every graph.
const (
	nodeFalse nodeID = iota
	nodeTrue
)

type nodeKind uint8

const (
	kindConst nodeKind = iota
	kindTest           // a test holds
	kindNot            // a test does not hold
	kindSeen           // a test is not blind, see test.blind
	kindAnd
	kindOr
)

// gate is one node.
type gate struct {
	kind nodeKind
	test int32
	kids []nodeID
	cost float64 // rough time to evaluate, nanoseconds
	odds float64 // rough chance of being true
	size int     // tests below, counted with repetition, at most maxNodeSize
}

const maxNodeSize = 1 << 20

// graph holds nodes and the tests they stand on.
type graph struct {
	nodes  []gate
	byKey  map[string]nodeID
	tests  []*test
	byTest map[string]int32 // by source and test key
	key    []byte
}

func newGraph() *graph {
	return &graph{
		nodes:  []gate{{odds: 0}, {odds: 1}},
		byKey:  map[string]nodeID{},
		byTest: map[string]int32{},
	}
}

// addTest returns the number of the test, that of an equal one if there is one.
func (g *graph) addTest(t *test, source event.Source) int32 {
	key := string(rune('0'+source)) + t.key
	if i, ok := g.byTest[key]; ok {
		return i
	}
	i := int32(len(g.tests))
	g.tests = append(g.tests, t)
	g.byTest[key] = i
	return i
}

func (g *graph) leaf(kind nodeKind, test int32) nodeID {
	t := g.tests[test]
	n := gate{kind: kind, test: test, cost: t.cost, odds: t.odds, size: 1}
	switch kind {
	case kindNot:
		n.odds = 1 - t.odds
	case kindSeen:
		n.cost, n.odds = 2, 1
	}
	return g.intern(n)
}

func (g *graph) intern(n gate) nodeID {
	k := append(g.key[:0], byte(n.kind))
	k = binary.LittleEndian.AppendUint32(k, uint32(n.test))
	for _, kid := range n.kids {
		k = binary.LittleEndian.AppendUint32(k, uint32(kid))
	}
	g.key = k
	if id, ok := g.byKey[string(k)]; ok {
		return id
	}
	id := nodeID(len(g.nodes))
	g.nodes = append(g.nodes, n)
	g.byKey[string(k)] = id
	return id
}

// join makes the conjunction or disjunction of kids, which it may reorder: tests
// have no effects and a missing value is just false, so order changes nothing but time.
func (g *graph) join(kind nodeKind, kids []nodeID) nodeID {
	neutral, ruling := nodeTrue, nodeFalse
	if kind == kindOr {
		neutral, ruling = nodeFalse, nodeTrue
	}
	set := make([]nodeID, 0, len(kids))
	for _, k := range kids {
		if k == ruling {
			return ruling
		}
		if k != neutral {
			set = append(set, k)
		}
	}
	slices.Sort(set)
	set = slices.Compact(set)
	switch len(set) {
	case 0:
		return neutral
	case 1:
		return set[0]
	}
	n := gate{kind: kind, kids: set}
	// First what is cheap for the chance that it settles the matter.
	rank := func(id nodeID) float64 {
		k := &g.nodes[id]
		settles := 1 - k.odds
		if kind == kindOr {
			settles = k.odds
		}
		return (k.cost + 1) / (settles + 0.001)
	}
	slices.SortStableFunc(set, func(a, b nodeID) int {
		switch x, y := rank(a), rank(b); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return int(a - b)
	})
	reached := 1.0
	for _, id := range set {
		k := &g.nodes[id]
		n.cost += reached * k.cost
		n.size = min(n.size+k.size, maxNodeSize)
		if kind == kindAnd {
			reached *= k.odds
		} else {
			reached *= 1 - k.odds
		}
	}
	n.odds = reached
	if kind == kindOr {
		n.odds = 1 - reached
	}
	return g.intern(n)
}

// given returns what is left of a node for one event type: tests on evt.type are
// decided. memo holds the answers so far, one slot per node, -1 for none.
func (g *graph) given(id nodeID, typ event.Type, memo []nodeID) nodeID {
	if id <= nodeTrue {
		return id
	}
	if int(id) < len(memo) && memo[id] >= 0 {
		return memo[id]
	}
	out := id
	n := g.nodes[id] // a copy: the slice may grow below
	switch n.kind {
	case kindTest, kindNot:
		if set := g.tests[n.test].types; set != nil {
			out = nodeFalse
			if set.Has(typ) == (n.kind == kindTest) {
				out = nodeTrue
			}
		}
	case kindAnd, kindOr:
		kids := make([]nodeID, len(n.kids))
		changed := false
		for i, k := range n.kids {
			kids[i] = g.given(k, typ, memo)
			changed = changed || kids[i] != k
		}
		if changed {
			out = g.join(n.kind, kids)
		}
	}
	if int(id) < len(memo) {
		memo[id] = out
	}
	return out
}

// lowering turns the conditions of one source's rules into nodes. Trees share
// subtrees, so every subtree is lowered once for each polarity.
type lowering struct {
	graph  *graph
	build  *builder
	checks map[*filter.Check]loweredCheck
	done   map[lowerKey]nodeID
}

type loweredCheck struct {
	test int32
	err  *compileError
}

type lowerKey struct {
	expr filter.Expr
	not  bool
}

func newLowering(g *graph, b *builder) *lowering {
	return &lowering{graph: g, build: b, checks: map[*filter.Check]loweredCheck{}, done: map[lowerKey]nodeID{}}
}

// lower returns the node of e, or of its negation. A check that does not compile
// counts as false; errors finds it.
func (l *lowering) lower(e filter.Expr, not bool) nodeID {
	key := lowerKey{e, not}
	if id, ok := l.done[key]; ok {
		return id
	}
	id := nodeFalse
	switch e := e.(type) {
	case *filter.And:
		id = l.lowerAll(e.Kids, not, kindAnd)
	case *filter.Or:
		id = l.lowerAll(e.Kids, not, kindOr)
	case *filter.Not:
		id = l.lower(e.Kid, !not)
	case *filter.Check:
		id = l.lowerCheck(e, not)
	}
	l.done[key] = id
	return id
}

func (l *lowering) lowerAll(exprs []filter.Expr, not bool, kind nodeKind) nodeID {
	if not { // De Morgan
		kind = kindAnd + kindOr - kind
	}
	kids := make([]nodeID, len(exprs))
	for i, e := range exprs {
		kids[i] = l.lower(e, not)
	}
	return l.graph.join(kind, kids)
}

func (l *lowering) lowerCheck(c *filter.Check, not bool) nodeID {
	lc, ok := l.checks[c]
	if !ok {
		t, err := l.build.test(c)
		if err == nil {
			lc.test = l.graph.addTest(t, l.build.source)
		}
		lc.err = err
		l.checks[c] = lc
	}
	if lc.err != nil {
		return nodeFalse
	}
	if set, known := constantCheck(c); known {
		if set.Empty() == not {
			return nodeTrue
		}
		return nodeFalse
	}
	g := l.graph
	t := g.tests[lc.test]
	supplied := true
	for _, u := range t.fields {
		supplied = supplied && u.field.Supplied()
	}
	switch {
	case !supplied && !not:
		return nodeFalse // it never has a value
	case !supplied && !t.meta:
		return nodeTrue
	case !supplied:
		return g.leaf(kindSeen, lc.test)
	case !not:
		return g.leaf(kindTest, lc.test)
	case t.meta:
		return g.join(kindAnd, []nodeID{g.leaf(kindSeen, lc.test), g.leaf(kindNot, lc.test)})
	}
	return g.leaf(kindNot, lc.test)
}

// errors returns what is wrong in e, in the order of the text, at most max.
func (l *lowering) errors(e filter.Expr, max int) []*compileError {
	var out []*compileError
	seen := map[filter.Expr]bool{}
	filter.Walk(e, func(n any) bool {
		x, ok := n.(filter.Expr)
		if !ok || len(out) >= max || seen[x] {
			return false
		}
		seen[x] = true
		switch x := n.(type) {
		case *filter.Check:
			if err := l.checks[x].err; err != nil {
				out = append(out, err)
			}
			return false
		case *filter.Macro:
			out = append(out, failAt(x.Pos, "filter error: unexpected identifier '%s'", x.Name))
			return false
		}
		return true
	})
	return out
}
