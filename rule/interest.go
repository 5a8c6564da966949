package rule

import (
	"slices"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule/filter"
)

// Interest returns what the enabled syscall rules need to be collected, with the
// rule as the reason: the event types that can make a rule true, which kinds of
// opens, and the environment variables its condition and output name. A rule that
// cannot match on a type asks for none of it.
func (r *Rules) Interest() event.Interest {
	var out event.Interest
	memo := map[openKey]bool{}
	can := map[event.Type]*possible{}
	for _, x := range r.rules {
		if !x.info.Enabled || x.source != event.SourceSyscall || x.info.Assessment.Never {
			continue
		}
		n := event.Need{Reason: "rule " + x.info.Name, Env: x.environment()}
		var opens event.TypeSet
		for t := range x.types.All() {
			if isOpen(t) {
				opens.Add(t)
				continue
			}
			if can[t] == nil {
				can[t] = newPossible(r.graph, t)
			}
			if can[t].true(x.node) {
				n.Types.Add(t)
			}
		}
		n.Opens = r.opens(x, &opens, memo)
		n.Types = n.Types.Union(opens)
		if !n.Types.Empty() {
			out.Add(n)
		}
	}
	return out
}

func isOpen(t event.Type) bool {
	switch t {
	case event.TypeOpen, event.TypeOpenat, event.TypeOpenat2, event.TypeCreat:
		return true
	}
	return false
}

// environment returns the variables a rule reads, sorted.
func (r *Rule) environment() []string {
	var out []string
	add := func(u fieldUse) {
		if (u.field.Name == "proc.env" || u.field.Name == "proc.aenv") && u.arg != nil && !u.arg.IsNum && !slices.Contains(out, u.arg.Key) {
			out = append(out, u.arg.Key)
		}
	}
	for _, u := range r.uses {
		add(u)
	}
	for _, f := range []*Format{r.output, r.summary} {
		if f == nil {
			continue
		}
		for _, v := range f.values {
			for _, u := range v.value.uses {
				add(u)
			}
		}
	}
	slices.Sort(out)
	return out
}

// openKey is a node on an open of one combination of properties.
type openKey struct {
	id   nodeID
	typ  event.Type
	open event.Opens
}

// openCost ranks the kinds of opens by how many of them a machine does.
var openCost = []struct {
	bit  event.Opens
	cost int
}{{event.OpenCreates, 1}, {event.OpenWrites, 4}, {event.OpenFailures, 8}, {event.OpenReads, 20}}

// opens returns the cheapest kinds of opens that hold every open which can make
// the rule true, and takes the types that cannot out of types.
func (r *Rules) opens(x *Rule, types *event.TypeSet, memo map[openKey]bool) event.Opens {
	const kinds = event.OpenReads | event.OpenWrites | event.OpenCreates | event.OpenFailures
	var wanted []event.Opens
	var left event.TypeSet
	for t := range types.All() {
		for o := event.Opens(0); o <= kinds; o++ {
			if o&(event.OpenReads|event.OpenWrites) == 0 || o&event.OpenCreates != 0 && o&event.OpenFailures != 0 {
				continue // an open for a path alone has no kind to ask for; what failed created nothing
			}
			if (&openCase{r: r, memo: memo, typ: t, open: o}).possible(x.node) {
				left.Add(t)
				if !slices.Contains(wanted, o) {
					wanted = append(wanted, o)
				}
			}
		}
	}
	*types = left
	best, bestCost := event.Opens(0), 1<<30
	for set := event.Opens(0); set <= kinds; set++ {
		cost := 0
		for _, k := range openCost {
			if set&k.bit != 0 {
				cost += k.cost
			}
		}
		if cost < bestCost && !slices.ContainsFunc(wanted, func(o event.Opens) bool { return o&set == 0 }) {
			best, bestCost = set, cost
		}
	}
	return best
}

// openCase answers whether a node can be true on an open with given properties.
type openCase struct {
	r    *Rules
	memo map[openKey]bool
	typ  event.Type
	open event.Opens
}

func (c *openCase) possible(id nodeID) bool {
	if id <= nodeTrue {
		return id == nodeTrue
	}
	key := openKey{id, c.typ, c.open}
	if v, ok := c.memo[key]; ok {
		return v
	}
	n := &c.r.graph.nodes[id]
	v := true
	switch n.kind {
	case kindAnd:
		v = !slices.ContainsFunc(n.kids, func(k nodeID) bool { return !c.possible(k) })
	case kindOr:
		v = slices.ContainsFunc(n.kids, c.possible)
	case kindTest, kindNot:
		if truth, known := c.test(c.r.graph.tests[n.test]); known {
			v = truth == (n.kind == kindTest)
		} else if n.kind == kindTest {
			for _, u := range c.r.graph.tests[n.test].fields {
				v = v && u.field.Types.Has(c.typ)
			}
		}
	}
	c.memo[key] = v
	return v
}

// test decides the tests that depend on the properties of the open alone, by
// making such an open.
func (c *openCase) test(t *test) (truth, known bool) {
	if t.types != nil {
		return t.types.Has(c.typ), true
	}
	for _, u := range t.fields {
		switch u.field.Name {
		case "evt.is_open_read", "evt.is_open_write", "evt.is_open_create", "fd.created", "evt.failed":
		case "fd.num", "evt.rawres": // only their sign is known
			if !signOnly(t) {
				return false, false
			}
		default:
			return false, false
		}
	}
	ev := &event.Event{Type: c.typ, Flags: event.FlagHasFD | event.FlagHasRet, FD: 3, Ret: 3}
	if c.open&event.OpenFailures != 0 {
		ev.FD, ev.Ret = -2, -2
	}
	if c.open&event.OpenCreates != 0 {
		ev.Flags |= event.FlagCreated
	}
	const wronly, rdwr, creat = 1, 2, 0x40
	switch {
	case c.open&event.OpenReads != 0 && c.open&event.OpenWrites != 0:
		ev.OpenFlags = rdwr
	case c.open&event.OpenWrites != 0:
		ev.OpenFlags = wronly
	}
	if c.open&event.OpenCreates != 0 {
		ev.OpenFlags |= creat
	}
	var s scratch
	s.reset(ev)
	return t.eval(&s), true
}

// signOnly reports whether a numeric test comes out the same for all numbers of
// one sign.
func signOnly(t *test) bool {
	return t.right == nil && len(t.want) == 1 && (t.op == ">=" || t.op == "<") && t.want[0] == "0"
}

// usesOf returns the fields of a condition.
func (l *lowering) usesOf(e filter.Expr) []fieldUse {
	var out []fieldUse
	seen := map[string]bool{}
	eachCheck(e, func(ch *filter.Check) {
		for _, u := range l.graph.tests[l.checks[ch].test].fields {
			if !seen[u.name] {
				seen[u.name] = true
				out = append(out, u)
			}
		}
	})
	return out
}
