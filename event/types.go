package event

//go:generate go run ./gen

import (
	"iter"
	"math/bits"
)

// Type is what happened, by its name in the rule language (evt.type). The values
// and names are generated from catalogue/types.txt.
type Type uint16

type typeInfo struct {
	name   string
	params []string
}

// String returns the name in the rule language, "" for TypeNone or a number
// that is no type.
func (t Type) String() string {
	if t >= typeCount {
		return ""
	}
	return typeTable[t].name
}

// Params returns the parameter names of the type, in the order of evt.args and
// evt.arg[n]. The slice is shared: do not write to it.
func (t Type) Params() []string {
	if t >= typeCount {
		return nil
	}
	return typeTable[t].params
}

// TypeByName finds a type by its exact name in the rule language.
func TypeByName(name string) (Type, bool) {
	t := typeByName(name)
	return t, t != TypeNone
}

// AllTypes returns the set of every type.
func AllTypes() TypeSet { return TypeSet{}.Complement() }

// SuppliedTypes returns the types that the kernel sensor supplies today; a rule
// on another type loads and shows `not assessed`.
func SuppliedTypes() TypeSet { return suppliedTypes }

// TypeSet is a set of Types; the zero value is empty. It is a value: copies are
// independent.
type TypeSet [8]uint64

// NewTypeSet returns the set of the given types.
func NewTypeSet(types ...Type) TypeSet {
	var s TypeSet
	for _, t := range types {
		s.Add(t)
	}
	return s
}

// Add puts t into the set; TypeNone and numbers that are no type are ignored.
func (s *TypeSet) Add(t Type) {
	if t != TypeNone && t < typeCount {
		s[t>>6] |= 1 << (t & 63)
	}
}

// Has reports whether t is in the set.
func (s *TypeSet) Has(t Type) bool { return s[t>>6&7]&(1<<(t&63)) != 0 }

// Empty reports whether the set has no member.
func (s *TypeSet) Empty() bool { return *s == TypeSet{} }

// Len returns the number of members.
func (s *TypeSet) Len() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// Union returns the types in either set.
func (s TypeSet) Union(o TypeSet) TypeSet {
	for i := range s {
		s[i] |= o[i]
	}
	return s
}

// Intersect returns the types in both sets.
func (s TypeSet) Intersect(o TypeSet) TypeSet {
	for i := range s {
		s[i] &= o[i]
	}
	return s
}

// Complement returns every type that is not in the set.
func (s TypeSet) Complement() TypeSet {
	for i := range s {
		s[i] = ^s[i]
	}
	s[0] &^= 1 // TypeNone
	for i := range s {
		switch first := i << 6; {
		case first >= int(typeCount):
			s[i] = 0
		case int(typeCount)-first < 64:
			s[i] &= 1<<(int(typeCount)-first) - 1
		}
	}
	return s
}

// All iterates over the members in ascending order.
func (s TypeSet) All() iter.Seq[Type] {
	return func(yield func(Type) bool) {
		for i, w := range s {
			for ; w != 0; w &= w - 1 {
				if !yield(Type(i<<6 + bits.TrailingZeros64(w))) {
					return
				}
			}
		}
	}
}
