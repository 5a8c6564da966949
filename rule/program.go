package rule

import (
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule/internal/strmatch"
)

// program is what matchers run: for each source and event type the rules that can
// match, in order, each with the entry of its code. Code is a decision diagram:
// an instruction decides one thing and says where to go on either way.
type program struct {
	code   []inst
	tests  []*test
	groups []group
	shared []int32 // entry of each shared part
	lists  [sources][]*ruleList
	slots  int // texts a scratch keeps
	words  int // of the widest list's set of rules
}

// sources is the number of event sources.
const sources = 2

// ruleList is the rules of one class of event types, in order, and what makes them
// candidates.
type ruleList struct {
	entries []ruleEntry
	words   int // of a set of entries
	buckets []bucket
}

type ruleEntry struct {
	rule *Rule
	pc   int32
}

// Where code ends.
const (
	accept int32 = -1
	reject int32 = -2
)

type opcode uint8

const (
	opBit    opcode = iota // a bit of a group's row
	opNotBit               // the operand has a value and the bit is not set
	opTest                 // a test
	opMemo                 // a test, remembered for the event
	opSeen                 // a test is not blind
	opShared               // a part of a condition that several rules have, remembered for the event
)

type inst struct {
	op   opcode
	word uint16
	arg  int32
	t, f int32 // where to go on
	mask uint64
}

// group is tests on one operand that are made together: one look-up gives the row
// of all of them.
type group struct {
	kind  mergeKind
	left  *operand
	words int
	exact *strmatch.Exact
	affix *strmatch.Affix
	sub   *strmatch.Substrings
	nums  map[int64]strmatch.Row
	zero  strmatch.Row // of a number that is no pattern
}

// maxGroup bounds the tests of a group, and so the width of its rows.
const maxGroup = 1024

// A group pays from this many patterns on.
var groupPays = [mergeKinds]int{mergeExact: 3, mergePrefix: 4, mergeSuffix: 4, mergeSubstring: 6, mergeNumber: 4}

// maxSpecial bounds the work of specialising conditions to event types; a rule set
// beyond it runs without.
const maxSpecial = 40 << 20

// linker makes a program.
type linker struct {
	g    *graph
	p    *program
	refs []int32 // how many places each node is used in

	place map[int32]placed // test → its bit
	entry map[nodeID]int32 // nodes emitted with the final exits
	calls map[nodeID]int32 // shared node → index into program.shared
}

type placed struct{ group, bit int32 }

// root is a rule with its condition.
type root struct {
	rule *Rule
	id   nodeID
}

// link makes the program of the given rules, which are in evaluation order.
func link(g *graph, roots []root, slots int) *program {
	l := &linker{
		g: g, p: &program{slots: slots},
		place: map[int32]placed{}, entry: map[nodeID]int32{}, calls: map[nodeID]int32{},
	}
	classes := l.classes(roots)
	l.count(classes)
	l.makeGroups()
	l.p.tests = g.tests
	for s := range classes {
		lists := map[*class]*ruleList{}
		l.p.lists[s] = make([]*ruleList, typeCount())
		for typ, c := range classes[s] {
			if c == nil || len(c.roots) == 0 {
				continue
			}
			if lists[c] == nil {
				lists[c] = l.list(c)
			}
			l.p.lists[s][typ] = lists[c]
		}
	}
	return l.p
}

// class is event types that no test tells apart, with what is left of each rule.
type class struct{ roots []root }

// classes sorts the event types of every source. The result has one entry per type.
func (l *linker) classes(roots []root) [sources][]*class {
	var out [sources][]*class
	var sets []*event.TypeSet
	for _, t := range l.g.tests {
		if t.types != nil {
			sets = append(sets, t.types)
		}
	}
	n := typeCount()
	for s := range out {
		var mine []root
		for _, r := range roots {
			if r.rule.source == event.Source(s) {
				mine = append(mine, r)
			}
		}
		out[s] = make([]*class, n)
		if len(mine) == 0 {
			continue
		}
		bySig := map[string]*class{}
		sig := make([]byte, len(sets))
		before := len(l.g.nodes)
		for typ := range out[s] {
			if !sourceHas(event.Source(s), event.Type(typ)) {
				continue
			}
			for i, set := range sets {
				sig[i] = 0
				if set.Has(event.Type(typ)) {
					sig[i] = 1
				}
			}
			c := bySig[string(sig)]
			if c == nil {
				c = &class{}
				bySig[string(sig)] = c
				special := len(bySig)*before <= maxSpecial
				memo := make([]nodeID, before)
				for i := range memo {
					memo[i] = -1
				}
				for _, r := range mine {
					id := r.id
					if special {
						id = l.g.given(r.id, event.Type(typ), memo)
					}
					if id != nodeFalse {
						c.roots = append(c.roots, root{r.rule, id})
					}
				}
			}
			out[s][typ] = c
		}
	}
	return out
}

// sourceHas reports whether events of a type can come from a source: all audit events
// are plugin events, and no other event is.
func sourceHas(s event.Source, t event.Type) bool {
	return s == event.SourceSyscall || t == event.TypePluginevent
}

// count fills refs for everything that can be reached.
func (l *linker) count(classes [sources][]*class) {
	l.refs = make([]int32, len(l.g.nodes))
	type use struct {
		rule *Rule
		id   nodeID
	}
	seen := map[use]bool{}
	var visit func(id nodeID)
	visit = func(id nodeID) {
		l.refs[id]++
		if l.refs[id] > 1 {
			return
		}
		for _, k := range l.g.nodes[id].kids {
			visit(k)
		}
	}
	for s := range classes {
		for _, c := range classes[s] {
			if c == nil {
				continue
			}
			for _, r := range c.roots {
				if !seen[use{r.rule, r.id}] {
					seen[use{r.rule, r.id}] = true
					visit(r.id)
				}
			}
		}
	}
}

// makeGroups finds the tests that are used and can be made together.
func (l *linker) makeGroups() {
	type key struct {
		left string
		kind mergeKind
	}
	members := map[key][]int32{}
	var order []key
	used := make([]bool, len(l.g.tests))
	for id, n := range l.g.nodes {
		if l.refs[id] == 0 || n.kind != kindTest && n.kind != kindNot || used[n.test] {
			continue
		}
		used[n.test] = true
		t := l.g.tests[n.test]
		if t.merge == mergeNone {
			continue
		}
		k := key{t.left.name, t.merge}
		if members[k] == nil {
			order = append(order, k)
		}
		members[k] = append(members[k], n.test)
	}
	for _, k := range order {
		for all := members[k]; len(all) > 0; {
			part := all[:min(len(all), maxGroup)]
			all = all[len(part):]
			l.makeGroup(k.kind, part)
		}
	}
}

func (l *linker) makeGroup(kind mergeKind, tests []int32) {
	if kind == mergeNumber {
		l.makeNumbers(tests)
		return
	}
	b := strmatch.NewBuilder(len(tests))
	for bit, t := range tests {
		for _, v := range l.g.tests[t].values {
			b.Add(v, bit)
		}
	}
	if b.Len() < groupPays[kind] {
		return
	}
	g := group{kind: kind, left: l.g.tests[tests[0]].left, words: (len(tests) + 63) / 64}
	switch kind {
	case mergeExact:
		g.exact = b.Exact()
	case mergePrefix:
		g.affix = b.Prefixes()
	case mergeSuffix:
		g.affix = b.Suffixes()
	case mergeSubstring:
		if g.sub = b.Substrings(); g.sub == nil {
			return // too long for one automaton: each test on its own
		}
	}
	l.addGroup(g, tests)
}

func (l *linker) makeNumbers(tests []int32) {
	words := (len(tests) + 63) / 64
	g := group{kind: mergeNumber, left: l.g.tests[tests[0]].left, words: words, nums: map[int64]strmatch.Row{}, zero: make(strmatch.Row, words)}
	for bit, t := range tests {
		for _, v := range l.g.tests[t].nums {
			if g.nums[v] == nil {
				g.nums[v] = make(strmatch.Row, words)
			}
			g.nums[v][bit>>6] |= 1 << (bit & 63)
		}
	}
	if len(g.nums) >= groupPays[mergeNumber] {
		l.addGroup(g, tests)
	}
}

func (l *linker) addGroup(g group, tests []int32) {
	at := int32(len(l.p.groups))
	l.p.groups = append(l.p.groups, g)
	for bit, t := range tests {
		l.place[t] = placed{at, int32(bit)}
	}
}

func (l *linker) list(c *class) *ruleList {
	out := &ruleList{}
	for _, r := range c.roots {
		pc, ok := l.entry[r.id]
		if !ok {
			pc = l.emit(r.id, accept, reject)
			l.entry[r.id] = pc
		}
		out.entries = append(out.entries, ruleEntry{r.rule, pc})
	}
	l.index(out, c.roots)
	l.p.words = max(l.p.words, out.words)
	return out
}

// emit writes the code of a node that goes on at t when it is true and at f when
// it is not, and returns its entry.
func (l *linker) emit(id nodeID, t, f int32) int32 {
	switch id {
	case nodeTrue:
		return t
	case nodeFalse:
		return f
	}
	n := &l.g.nodes[id]
	switch n.kind {
	case kindTest, kindNot, kindSeen:
		return l.emitTest(id, t, f)
	}
	if l.refs[id] > 1 && n.size > 2 {
		return l.emitShared(id, t, f)
	}
	return l.emitJoin(n, t, f)
}

func (l *linker) emitJoin(n *gate, t, f int32) int32 {
	at := l.emit(n.kids[len(n.kids)-1], t, f)
	for i := len(n.kids) - 2; i >= 0; i-- {
		if n.kind == kindAnd {
			at = l.emit(n.kids[i], at, f)
		} else {
			at = l.emit(n.kids[i], t, at)
		}
	}
	return at
}

func (l *linker) emitShared(id nodeID, t, f int32) int32 {
	part, ok := l.calls[id]
	if !ok {
		part = int32(len(l.p.shared))
		l.calls[id] = part
		l.p.shared = append(l.p.shared, 0)
		entry := l.emitJoin(&l.g.nodes[id], accept, reject)
		l.p.shared[part] = entry
	}
	return l.add(inst{op: opShared, arg: part, t: t, f: f})
}

func (l *linker) emitTest(id nodeID, t, f int32) int32 {
	n := &l.g.nodes[id]
	if n.kind == kindNot {
		t, f = f, t
	}
	in := inst{op: opTest, arg: n.test, t: t, f: f}
	tst := l.g.tests[n.test]
	switch p, merged := l.place[n.test]; {
	case n.kind == kindSeen:
		in.op = opSeen
	case merged:
		in.op, in.arg = opBit, p.group
		if tst.invert {
			in.op = opNotBit
		}
		in.word, in.mask = uint16(p.bit>>6), 1<<(p.bit&63)
	case l.refs[id] > 1 && tst.cost > 8:
		in.op = opMemo
	}
	return l.add(in)
}

func (l *linker) add(in inst) int32 {
	l.p.code = append(l.p.code, in)
	return int32(len(l.p.code) - 1)
}

// typeCount is one more than the highest event type.
func typeCount() int {
	all := event.AllTypes()
	return all.Len() + 1
}
