package event

// Type is what happened, by its name in the rule language (evt.type). The values
// and names are generated from catalogue/types.txt.
type Type uint16

// TypeSet is a set of Types; the zero value is empty.
type TypeSet [4]uint64

// Add puts t into the set.
func (s *TypeSet) Add(t Type) { s[t>>6&3] |= 1 << (t & 63) }

// Has reports whether t is in the set.
func (s *TypeSet) Has(t Type) bool { return s[t>>6&3]&(1<<(t&63)) != 0 }

// Empty reports whether the set has no member.
func (s *TypeSet) Empty() bool { return *s == TypeSet{} }

// derived caches strings computed from other slots, once per event.
type derived struct{}
