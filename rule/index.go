package rule

import (
	"math/bits"
	"slices"
)

// Most rules cannot match most events, and one look-up tells so for many of them:
// a rule that asks for one of some file names is a candidate only when a bit of
// that group's row is set. ruleList keeps, by such triggers, which rules become
// candidates; only candidates are run, in order.

// bucket is rules of a list that share a guard.
type bucket struct {
	guard    int32   // code that has to hold, noGuard for none
	always   []int32 // rules without a trigger
	triggers []trigger
}

const noGuard int32 = -3

// trigger is the bits of one group that make candidates.
type trigger struct {
	group int32
	mask  []uint64
	rules [][]int32 // by bit
}

// Below these sizes an index costs more than it saves.
const (
	indexPays = 6 // rules of a list
	guardPays = 3 // rules behind a guard
)

// index fills the buckets of a list.
func (l *linker) index(list *ruleList, roots []root) {
	list.words = (len(roots) + 63) / 64
	if len(roots) < indexPays {
		all := bucket{guard: noGuard}
		for i := range roots {
			all.always = append(all.always, int32(i))
		}
		list.buckets = []bucket{all}
		return
	}
	uses := map[nodeID]int{}
	popular := map[int32]int{}
	for _, r := range roots {
		for _, k := range l.conjuncts(r.id) {
			uses[k]++
		}
		for _, g := range l.reachable(r.id) {
			popular[g]++
		}
	}
	byGuard := map[nodeID]int{}
	for i, r := range roots {
		guard, best := nodeTrue, 1.0
		for _, k := range l.conjuncts(r.id) {
			if gain := float64(uses[k]) * (1 - l.g.nodes[k].odds); uses[k] >= guardPays && gain > best {
				guard, best = k, gain
			}
		}
		at, ok := byGuard[guard]
		if !ok {
			at = len(list.buckets)
			byGuard[guard] = at
			b := bucket{guard: noGuard}
			if guard != nodeTrue {
				b.guard = l.emit(guard, accept, reject)
			}
			list.buckets = append(list.buckets, b)
		}
		list.buckets[at].add(l, int32(i), l.triggers(r.id, popular))
	}
}

// conjuncts returns what has to hold for a node.
func (l *linker) conjuncts(id nodeID) []nodeID {
	if n := &l.g.nodes[id]; n.kind == kindAnd {
		return n.kids
	}
	return nil
}

func (b *bucket) add(l *linker, rule int32, by []placed) {
	if by == nil {
		b.always = append(b.always, rule)
		return
	}
	for _, p := range by {
		at := slices.IndexFunc(b.triggers, func(t trigger) bool { return t.group == p.group })
		if at < 0 {
			at = len(b.triggers)
			words := l.p.groups[p.group].words
			b.triggers = append(b.triggers, trigger{group: p.group, mask: make([]uint64, words), rules: make([][]int32, 64*words)})
		}
		t := &b.triggers[at]
		t.mask[p.bit>>6] |= 1 << (p.bit & 63)
		t.rules[p.bit] = append(t.rules[p.bit], rule)
	}
}

// indexable returns the bit of a node that can be a trigger.
func (l *linker) indexable(n *gate) (placed, bool) {
	if n.kind != kindTest {
		return placed{}, false
	}
	p, ok := l.place[n.test]
	t := l.g.tests[n.test]
	return p, ok && !t.invert && !t.left.ancestors && t.odds < tooCommon
}

// reachable returns the groups that could be triggers of a node.
func (l *linker) reachable(id nodeID) []int32 {
	var out []int32
	seen := map[nodeID]bool{}
	var visit func(nodeID)
	visit = func(id nodeID) {
		if seen[id] {
			return
		}
		seen[id] = true
		n := &l.g.nodes[id]
		if p, ok := l.indexable(n); ok && !slices.Contains(out, p.group) {
			out = append(out, p.group)
		}
		for _, k := range n.kids {
			visit(k)
		}
	}
	visit(id)
	return out
}

// choice is bits of which at least one is set whenever a node holds.
type choice struct {
	bits  []placed
	score float64
}

// tooCommon is the chance from which on a test tells candidates apart too badly.
const tooCommon = 0.35

// maxTriggers bounds the bits of one rule.
const maxTriggers = 256

// triggers returns the best bits for a node, nil when it has none.
func (l *linker) triggers(id nodeID, popular map[int32]int) []placed {
	memo := map[nodeID]*choice{}
	var visit func(nodeID) *choice
	visit = func(id nodeID) *choice {
		if c, ok := memo[id]; ok {
			return c
		}
		var out *choice
		n := &l.g.nodes[id]
		switch n.kind {
		case kindTest:
			if p, ok := l.indexable(n); ok {
				out = &choice{[]placed{p}, n.odds + 0.5/float64(popular[p.group]+1)}
			}
		case kindAnd:
			for _, k := range n.kids {
				if c := visit(k); c != nil && (out == nil || c.score < out.score) {
					out = c
				}
			}
		case kindOr:
			out = &choice{}
			for _, k := range n.kids {
				c := visit(k)
				if c == nil || len(out.bits)+len(c.bits) > maxTriggers {
					out = nil
					break
				}
				for _, b := range c.bits {
					if !slices.Contains(out.bits, b) {
						out.bits = append(out.bits, b)
					}
				}
				out.score += c.score
			}
		}
		memo[id] = out
		return out
	}
	if c := visit(id); c != nil {
		return c.bits
	}
	return nil
}

// candidates marks the rules of a list that may match this event.
func (m *Matcher) candidates(list *ruleList) []uint64 {
	cand := m.cand[:list.words]
	clear(cand)
	for i := range list.buckets {
		b := &list.buckets[i]
		if b.guard != noGuard && !m.run(b.guard) {
			continue
		}
		for _, r := range b.always {
			cand[r>>6] |= 1 << (r & 63)
		}
		for j := range b.triggers {
			t := &b.triggers[j]
			st := &m.rows[t.group]
			if st.gen != m.gen {
				m.fill(int(t.group))
			}
			for w, row := range st.bits {
				for x := row & t.mask[w]; x != 0; x &= x - 1 {
					for _, r := range t.rules[w<<6+bits.TrailingZeros64(x)] {
						cand[r>>6] |= 1 << (r & 63)
					}
				}
			}
		}
	}
	return cand
}
