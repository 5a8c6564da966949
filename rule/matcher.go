package rule

import (
	"math/bits"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule/internal/strmatch"
)

// Mode says how many rules one event may match.
type Mode uint8

// The modes.
const (
	First Mode = iota // the first rule in load order wins, as in Falco by default
	All               // every rule
)

// Matcher evaluates rules on events. It is used by one goroutine and reused for
// every event; after the first events it does not allocate.
type Matcher struct {
	rules *Rules
	p     *program
	all   bool
	s     scratch
	gen   uint64
	rows  []rowState
	// memo and part remember tests and shared parts: generation<<1 | truth.
	memo []uint64
	part []uint64
	cand []uint64 // set of rules

	explain scratch // so that Explain may be called from within Match
}

// rowState is a group's row for event number gen; bits is nil when the operand
// has no value.
type rowState struct {
	gen  uint64
	bits strmatch.Row
	own  strmatch.Row // room for rows that are put together
}

// NewMatcher makes a matcher of the enabled rules.
func NewMatcher(r *Rules, mode Mode) *Matcher {
	m := &Matcher{
		rules: r, p: r.program, all: mode == All,
		rows: make([]rowState, len(r.program.groups)),
		memo: make([]uint64, len(r.program.tests)),
		part: make([]uint64, len(r.program.shared)),
		cand: make([]uint64, r.program.words),
	}
	m.s.cached = make([]cachedText, r.program.slots)
	m.explain.cached = make([]cachedText, r.program.slots)
	for i := range m.rows {
		if g := &r.program.groups[i]; g.kind == mergeSubstring || g.left.ancestors {
			m.rows[i].own = make(strmatch.Row, 2*g.words)
		}
	}
	return m
}

// Match calls emit for the rule that ev matches, or in mode All for each of them,
// in order. emit may call Explain. The event is only read, but its derived strings
// are built.
func (m *Matcher) Match(ev *event.Event, emit func(*Rule)) {
	if int(ev.Source) >= sources || int(ev.Type) >= len(m.p.lists[ev.Source]) {
		return
	}
	list := m.p.lists[ev.Source][ev.Type]
	if list == nil {
		return
	}
	m.gen++
	m.s.reset(ev)
	for w, set := range m.candidates(list) {
		for ; set != 0; set &= set - 1 {
			e := &list.entries[w<<6+bits.TrailingZeros64(set)]
			if m.run(e.pc) {
				emit(e.rule)
				if !m.all {
					return
				}
			}
		}
	}
}

func (m *Matcher) run(pc int32) bool {
	code, gen := m.p.code, m.gen
	for pc >= 0 {
		in := &code[pc]
		var ok bool
		switch in.op {
		case opBit:
			st := &m.rows[in.arg]
			if st.gen != gen {
				m.fill(int(in.arg))
			}
			ok = int(in.word) < len(st.bits) && st.bits[in.word]&in.mask != 0
		case opNotBit:
			st := &m.rows[in.arg]
			if st.gen != gen {
				m.fill(int(in.arg))
			}
			ok = int(in.word) < len(st.bits) && st.bits[in.word]&in.mask == 0
		case opTest:
			ok = m.p.tests[in.arg].eval(&m.s)
		case opMemo:
			v := m.memo[in.arg]
			if v>>1 != gen {
				v = gen << 1
				if m.p.tests[in.arg].eval(&m.s) {
					v |= 1
				}
				m.memo[in.arg] = v
			}
			ok = v&1 != 0
		case opSeen:
			ok = !m.p.tests[in.arg].blind(&m.s)
		case opShared:
			v := m.part[in.arg]
			if v>>1 != gen {
				v = gen << 1
				if m.run(m.p.shared[in.arg]) {
					v |= 1
				}
				m.part[in.arg] = v
			}
			ok = v&1 != 0
		}
		if ok {
			pc = in.t
		} else {
			pc = in.f
		}
	}
	return pc == accept
}

// fill makes the row of a group for this event.
func (m *Matcher) fill(i int) {
	g, st := &m.p.groups[i], &m.rows[i]
	st.gen = m.gen
	if g.left.ancestors {
		m.fillAncestors(g, st)
		return
	}
	if g.kind == mergeNumber {
		st.bits = nil
		if v, ok := g.left.num(&m.s); ok {
			if st.bits = g.nums[v]; st.bits == nil {
				st.bits = g.zero
			}
		}
		return
	}
	v, ok := g.left.str(&m.s)
	if !ok {
		st.bits = nil
		return
	}
	st.bits = g.row(v, st.own)
}

// fillAncestors unites the rows of every ancestor.
func (m *Matcher) fillAncestors(g *group, st *rowState) {
	st.bits = nil
	get := g.left.field.Str
	if get == nil {
		return
	}
	sum, own := st.own[:g.words], st.own[g.words:]
	clear(sum)
	m.s.eachAncestor(func(e *event.Event) bool {
		if v, ok := get(e, self); ok {
			for w, bits := range g.row(v, own) {
				sum[w] |= bits
			}
			st.bits = sum
		}
		return false
	})
}

func (g *group) row(v string, own strmatch.Row) strmatch.Row {
	switch g.kind {
	case mergeExact:
		return g.exact.Lookup(v)
	case mergeSubstring:
		own = own[:g.words]
		g.sub.Match(v, own)
		return own
	}
	return g.affix.Match(v)
}
