package event

import (
	"slices"
)

// Opens says which opens of files are wanted, as bits.
type Opens uint8

// The kinds of opens. An open may be of several kinds.
const (
	OpenReads    Opens = 1 << iota // asks to read
	OpenWrites                     // asks to write
	OpenCreates                    // created the file
	OpenFailures                   // returned an error
)

// Need is one wish for events, with the reason a person reads in Health.
type Need struct {
	Reason string // "rule Read credential file", "drift: files written in containers"
	Types  TypeSet
	Opens  Opens    // which opens, where Types holds open calls; 0 = none
	Env    []string // environment variables to keep from an exec
}

// Interest is what the kernel has to collect: the union of what the loaded rules
// and the product's own features need, each with its reason. The zero value
// wants nothing. It is not safe for concurrent use.
type Interest struct {
	Types TypeSet
	Opens Opens
	Env   []string // sorted, without repetition
	Needs []Need   // in the order they were added, at most MaxNeeds
}

// MaxNeeds bounds the reasons an Interest keeps; needs beyond it still count in
// the union.
const MaxNeeds = 4096

// Add takes up one need. A need with the reason of an earlier one is merged
// into it.
func (i *Interest) Add(n Need) {
	i.Types = i.Types.Union(n.Types)
	i.Opens |= n.Opens
	i.Env = mergeSorted(i.Env, n.Env)
	for k := range i.Needs {
		if have := &i.Needs[k]; have.Reason == n.Reason {
			have.Types = have.Types.Union(n.Types)
			have.Opens |= n.Opens
			have.Env = mergeSorted(have.Env, n.Env)
			return
		}
	}
	if len(i.Needs) < MaxNeeds {
		n.Env = mergeSorted(nil, n.Env)
		i.Needs = append(i.Needs, n)
	}
}

// Merge takes up everything another Interest wants.
func (i *Interest) Merge(o Interest) {
	for _, n := range o.Needs {
		i.Add(n)
	}
	i.Types = i.Types.Union(o.Types)
	i.Opens |= o.Opens
	i.Env = mergeSorted(i.Env, o.Env)
}

// Wants reports whether an open with these properties is wanted.
func (i *Interest) Wants(o Opens) bool { return i.Opens&o != 0 }

// Why returns the reasons for which events of type t are collected.
func (i *Interest) Why(t Type) []string {
	var out []string
	for k := range i.Needs {
		if i.Needs[k].Types.Has(t) {
			out = append(out, i.Needs[k].Reason)
		}
	}
	return out
}

func mergeSorted(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}
