package strmatch

import "hash/maphash"

// Exact finds the bits of the patterns that equal a value.
type Exact struct {
	seed  maphash.Seed
	mask  uint32
	slots []exactSlot
	zero  Row
	// sizes has bit n set when some key has n bytes (63: 63 or more); most values
	// are told apart from every key by it.
	sizes uint64
}

type exactSlot struct {
	hash uint32
	used bool
	key  string
	row  Row
}

// Exact builds the structure.
func (b *Builder) Exact() *Exact {
	size := uint32(4)
	for int(size) < 3*len(b.values) {
		size *= 2
	}
	e := &Exact{seed: maphash.MakeSeed(), mask: size - 1, slots: make([]exactSlot, size), zero: make(Row, b.words)}
	for _, v := range b.values {
		e.sizes |= 1 << min(len(v), 63)
		h := e.hash(v)
		i := h & e.mask
		for e.slots[i].used {
			i = (i + 1) & e.mask
		}
		e.slots[i] = exactSlot{hash: h, used: true, key: v, row: b.rows[v]}
	}
	return e
}

func (e *Exact) hash(s string) uint32 { return uint32(maphash.String(e.seed, s) >> 32) }

// Lookup returns the row of s, a row without bits when no pattern equals it.
func (e *Exact) Lookup(s string) Row {
	if e.sizes&(1<<min(len(s), 63)) == 0 {
		return e.zero
	}
	h := e.hash(s)
	for i := h & e.mask; e.slots[i].used; i = (i + 1) & e.mask {
		if sl := &e.slots[i]; sl.hash == h && sl.key == s {
			return sl.row
		}
	}
	return e.zero
}
