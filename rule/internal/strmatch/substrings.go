package strmatch

// MaxSubstringBytes bounds the patterns of one Substrings, summed; its table takes
// up to a few hundred bytes for each.
const MaxSubstringBytes = 8 << 10

// Substrings finds the bits of the patterns that occur in a value, in one pass
// over it whatever their number (Aho–Corasick).
type Substrings struct {
	class [256]uint8 // byte → column; bytes in no pattern share column 0
	width int
	next  []uint16 // state*width+column → state
	hit   []bool   // the state ends some pattern
	// step is next for the search: entries hold state*width, doubled, plus one when
	// the state ends some pattern.
	step   []uint32
	rows   []Row
	always Row // bits of the empty pattern; nil when there is none
}

// Substrings builds the structure. It returns nil when the patterns are longer
// than MaxSubstringBytes together.
func (b *Builder) Substrings() *Substrings {
	if b.bytes > MaxSubstringBytes {
		return nil
	}
	m := &Substrings{width: 1}
	for _, v := range b.values {
		for i := 0; i < len(v); i++ {
			if m.class[v[i]] == 0 {
				if m.width == 256 {
					return nil // every byte occurs: no column is left for "others"
				}
				m.class[v[i]] = uint8(m.width)
				m.width++
			}
		}
	}
	newState := func() int {
		m.next = append(m.next, make([]uint16, m.width)...)
		m.rows = append(m.rows, make(Row, b.words))
		m.hit = append(m.hit, false)
		return len(m.rows) - 1
	}
	newState()
	for _, v := range b.values {
		if v == "" {
			m.always = b.rows[v]
			continue
		}
		at := 0
		for i := 0; i < len(v); i++ {
			edge := at*m.width + int(m.class[v[i]])
			if m.next[edge] == 0 {
				to := newState()
				m.next[edge] = uint16(to)
			}
			at = int(m.next[edge])
		}
		m.rows[at].or(b.rows[v])
		m.hit[at] = true
	}
	m.close()
	return m
}

// close turns the trie into an automaton: missing edges go where the longest
// proper suffix that is also a prefix of some pattern would go.
func (m *Substrings) close() {
	fail := make([]int, len(m.rows))
	queue := make([]int, 0, len(m.rows))
	for c := 0; c < m.width; c++ {
		if to := int(m.next[c]); to != 0 {
			queue = append(queue, to)
		}
	}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if m.hit[fail[at]] {
			m.hit[at] = true
			m.rows[at].or(m.rows[fail[at]])
		}
		for c := 0; c < m.width; c++ {
			edge := at*m.width + c
			back := int(m.next[fail[at]*m.width+c])
			if to := int(m.next[edge]); to != 0 {
				fail[to] = back
				queue = append(queue, to)
			} else {
				m.next[edge] = uint16(back)
			}
		}
	}
	m.step = make([]uint32, len(m.next))
	for i, to := range m.next {
		m.step[i] = uint32(to) * uint32(m.width) << 1
		if m.hit[to] {
			m.step[i] |= 1
		}
	}
	m.next, m.hit = nil, nil
}

// Match clears dst, which has the builder's width, and sets the bits of s in it.
func (m *Substrings) Match(s string, dst Row) {
	clear(dst)
	if m.always != nil {
		dst.or(m.always)
	}
	at, step := uint32(0), m.step
	for i := 0; i < len(s); i++ {
		to := step[at+uint32(m.class[s[i]])]
		at = to >> 1
		if to&1 != 0 {
			dst.or(m.rows[at/uint32(m.width)])
		}
	}
}
