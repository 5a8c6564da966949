package event

import "net/netip"

// Field is one row of the catalogue: a name of the rule language and how to read
// it from an Event. Rows come from catalogue/fields.txt by `make generate`.
//
// Exactly one getter is set, the one that fits Type and List; all are nil for a
// field that nothing supplies yet (Supplied reports false): rules on it load and
// show `not assessed`. Getters do not allocate, and the strings they return are
// valid as long as the Event. The ancestors family without an argument reads the parent;
// the engine walks the rest with Index. Their second result is false for "no value", which
// makes every comparison false.
type Field struct {
	Name       string
	Type       FieldType
	List       bool // yields several values; only in, intersects and exists apply
	Arg        ArgKind
	Doc        string
	Source     Source
	Types      TypeSet // event types that can give it a value; empty = nothing supplies it
	Deprecated bool
	Ancestors  bool // proc.aname family: without an argument, any ancestor may satisfy the test
	Extension  bool // ours, not in the public rule dialect
	EitherEnd  bool // fd.ip, fd.port, fd.net: compares both ends of a connection

	Str   func(*Event, *Arg) (string, bool)             // String, Path, Bytes
	Int   func(*Event, *Arg) (int64, bool)              // Int, Uint, PID, FD, Port, UID, RelTime, AbsTime
	Bool  func(*Event, *Arg) (bool, bool)               // Bool
	Addr  func(*Event, *Arg) (netip.Addr, bool)         // IP, Net
	Strs  func(*Event, *Arg, []string) []string         // List of strings: appended to the slice given
	Ints  func(*Event, *Arg, []int64) []int64           // List of numbers (and EitherEnd ports)
	Addrs func(*Event, *Arg, []netip.Addr) []netip.Addr // EitherEnd addresses
}

// Supplied reports whether anything gives this field a value today.
func (f *Field) Supplied() bool { return !f.Types.Empty() }

// Arg is the parsed argument of a field: proc.aname[2] has Index 2, proc.env[HOME]
// has Key "HOME". A field without an argument gets nil.
type Arg struct {
	Key   string
	Index int
	IsNum bool // the argument is a non-negative decimal number, in Index
}

// ArgKind says which argument a field takes.
type ArgKind uint8

// The argument kinds.
const (
	ArgNone          ArgKind = iota
	ArgIndexOptional         // proc.aname, proc.aname[2]
	ArgIndexRequired
	ArgKeyOptional // proc.env, proc.env[HOME]
	ArgKeyRequired // evt.arg[…] and evt.arg.name
)

// FieldType is the type of a field's value; it decides which operators apply.
type FieldType uint8

// The field types.
const (
	TypeString  FieldType = iota
	TypePath              // a string that is a file path
	TypeBytes             // raw bytes in a string; NUL allowed
	TypeBool              // true, false
	TypeInt               // signed number
	TypeUint              // unsigned number, carried as int64 bits
	TypePort              // number or service name
	TypeIP                // one address
	TypeNet               // an address tested against CIDR prefixes
	TypeRelTime           // duration, nanoseconds
	TypeAbsTime           // Unix nanoseconds
)
