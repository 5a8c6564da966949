package strmatch

import (
	"slices"
	"strings"
)

// Affix finds the bits of the patterns that a value starts with (or ends with).
type Affix struct {
	nodes []affixNode
	back  bool
}

// affixNode is reached by reading label; row holds the patterns that end on the
// way to it, this node included.
type affixNode struct {
	label string
	first string // first bytes of the kids' labels
	kids  int    // index of the first kid; kids lie side by side
	row   Row
	table *[256]uint8 // for many kids: byte → kid+1
}

// tableFrom is the number of kids from which on a table beats a search.
const tableFrom = 6

// kid returns the index of the kid whose label starts with c.
func (n *affixNode) kid(c byte) (int, bool) {
	if n.table != nil {
		k := int(n.table[c])
		return n.kids + k - 1, k > 0
	}
	for i := 0; i < len(n.first); i++ {
		if n.first[i] == c {
			return n.kids + i, true
		}
	}
	return 0, false
}

// Prefixes builds the structure for "starts with".
func (b *Builder) Prefixes() *Affix { return b.affix(false) }

// Suffixes builds the structure for "ends with".
func (b *Builder) Suffixes() *Affix { return b.affix(true) }

func (b *Builder) affix(back bool) *Affix {
	type pattern struct {
		text string
		row  Row
	}
	patterns := make([]pattern, 0, len(b.values))
	for _, v := range b.values {
		t := v
		if back {
			t = reverse(v)
		}
		patterns = append(patterns, pattern{t, b.rows[v]})
	}
	slices.SortFunc(patterns, func(x, y pattern) int { return strings.Compare(x.text, y.text) })
	a := &Affix{back: back, nodes: make([]affixNode, 1, len(patterns)+1)}
	a.nodes[0].row = make(Row, b.words)

	// build fills node at, whose patterns all share their first depth bytes. The
	// work list keeps the stack flat however long the patterns are.
	type job struct {
		at, depth int
		patterns  []pattern
	}
	jobs := []job{{0, 0, patterns}}
	for len(jobs) > 0 {
		j := jobs[len(jobs)-1]
		jobs = jobs[:len(jobs)-1]
		for len(j.patterns) > 0 && len(j.patterns[0].text) == j.depth {
			row := make(Row, b.words)
			copy(row, a.nodes[j.at].row)
			row.or(j.patterns[0].row)
			a.nodes[j.at].row = row
			j.patterns = j.patterns[1:]
		}
		a.nodes[j.at].kids = len(a.nodes)
		var first []byte
		for rest := j.patterns; len(rest) > 0; {
			c := rest[0].text[j.depth]
			n := 1
			for n < len(rest) && rest[n].text[j.depth] == c {
				n++
			}
			group := rest[:n]
			rest = rest[n:]
			end := j.depth + common(group[0].text[j.depth:], group[n-1].text[j.depth:])
			first = append(first, c)
			a.nodes = append(a.nodes, affixNode{label: group[0].text[j.depth:end], row: a.nodes[j.at].row})
			jobs = append(jobs, job{len(a.nodes) - 1, end, group})
		}
		a.nodes[j.at].first = string(first)
		if len(first) >= tableFrom && len(first) < 256 {
			var t [256]uint8
			for i, c := range first {
				t[c] = uint8(i + 1)
			}
			a.nodes[j.at].table = &t
		}
	}
	return a
}

func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func reverse(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

// Match returns the row of s.
func (a *Affix) Match(s string) Row {
	if a.back {
		return a.matchBack(s)
	}
	n := &a.nodes[0]
	for len(s) > 0 {
		k, ok := n.kid(s[0])
		if !ok {
			break
		}
		next := &a.nodes[k]
		if !strings.HasPrefix(s, next.label) {
			break
		}
		s = s[len(next.label):]
		n = next
	}
	return n.row
}

func (a *Affix) matchBack(s string) Row {
	n := &a.nodes[0]
descend:
	for len(s) > 0 {
		k, ok := n.kid(s[len(s)-1])
		if !ok {
			break
		}
		next := &a.nodes[k]
		l := next.label
		if len(l) > len(s) {
			break
		}
		for i := 1; i < len(l); i++ {
			if s[len(s)-1-i] != l[i] {
				break descend
			}
		}
		s = s[:len(s)-len(l)]
		n = next
	}
	return n.row
}
