package event

import "strings"

// LookupField finds a field by its exact name, without argument: "proc.aname",
// not "proc.aname[2]". The Field is shared and must not be written to.
func LookupField(name string) (*Field, bool) {
	lo, hi := 0, len(fieldTable)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if fieldTable[mid].Name < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(fieldTable) && fieldTable[lo].Name == name {
		return &fieldTable[lo], true
	}
	return nil, false
}

// ResolveField finds a field as it is written in a condition: the exact name,
// or evt.arg.NAME and evt.rawarg.NAME, whose argument is part of the name; key
// is that argument, "" otherwise.
func ResolveField(name string) (f *Field, key string, ok bool) {
	if f, ok = LookupField(name); ok {
		return f, "", true
	}
	for _, base := range [...]string{"evt.arg", "evt.rawarg"} {
		if rest, found := strings.CutPrefix(name, base); found && len(rest) > 1 && rest[0] == '.' {
			f, ok = LookupField(base)
			return f, rest[1:], ok
		}
	}
	return nil, "", false
}

// Fields returns every field, sorted by name. The slice is the caller's; the
// Fields are shared and must not be written to.
func Fields() []*Field {
	out := make([]*Field, len(fieldTable))
	for i := range fieldTable {
		out[i] = &fieldTable[i]
	}
	return out
}
