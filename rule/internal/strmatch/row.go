// Package strmatch tests strings: one value against many patterns at once, and the
// single comparisons that need more than package strings offers (globs, path
// prefixes, case folding).
//
// Everything built here is immutable and safe for concurrent use, and no test
// allocates. It knows no field and no event.
package strmatch

// Row says which patterns a value satisfies: pattern i is bit i&63 of word i>>6.
// Rows handed out are shared and must not be written to.
type Row []uint64

// Has reports whether bit i is set.
func (r Row) Has(i int) bool { return i>>6 < len(r) && r[i>>6]&(1<<(i&63)) != 0 }

func (r Row) set(i int) { r[i>>6] |= 1 << (i & 63) }

func (r Row) or(o Row) {
	for i, w := range o {
		r[i] |= w
	}
}

// Builder collects patterns by bit and makes the structure that tests them.
type Builder struct {
	words  int
	values []string
	rows   map[string]Row
	bytes  int
}

// NewBuilder makes a Builder for rows of n bits.
func NewBuilder(n int) *Builder {
	return &Builder{words: (n + 63) / 64, rows: map[string]Row{}}
}

// Add says that value is a pattern of the given bit. A bit may have many values
// and a value many bits.
func (b *Builder) Add(value string, bit int) {
	r, ok := b.rows[value]
	if !ok {
		r = make(Row, b.words)
		b.rows[value] = r
		b.values = append(b.values, value)
		b.bytes += len(value)
	}
	r.set(bit)
}

// Len returns the number of distinct values; Bytes the sum of their lengths.
func (b *Builder) Len() int { return len(b.values) }

// Bytes returns the sum of the lengths of the distinct values.
func (b *Builder) Bytes() int { return b.bytes }
