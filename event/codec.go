package event

import "fmt"

// AppendJSON appends the event's JSON form with its process, lineage and
// container: members with a zero value are left out, 64-bit numbers are strings,
// bytes that are no UTF-8 are \udcXX. A process or parent without "container" is
// in that of what encloses it; null means the host. It does not allocate when b
// has room.
func (e *Event) AppendJSON(b []byte) []byte {
	return appendEvent(b, e, true)
}

// AppendSlots is AppendJSON without process and container, for carriers that
// bring those another way.
func (e *Event) AppendSlots(b []byte) []byte {
	return appendEvent(b, e, false)
}

// UnmarshalJSON reads the form that AppendJSON and AppendSlots write. It is
// strict (unknown or repeated keys are errors), bounded (MaxEncoded, MaxStrings,
// MaxLabels, MaxLineage) and its errors wrap ErrCodec and name the byte. The
// event keeps no part of data.
func (e *Event) UnmarshalJSON(data []byte) error {
	d, err := newDecoder(data)
	if err != nil {
		return err
	}
	e.Reset()
	d.event(e)
	if err := d.end(); err != nil {
		return err
	}
	d.inherit(e.Process, e.Container)
	return nil
}

// MarshalJSON is AppendJSON for encoding/json. Here and below it has a value
// receiver, so that a value inside another struct is written as it is read. Note
// that encoding/json itself turns the lone surrogates of a string it decodes
// into U+FFFD; decode into this package's types to keep every byte.
func (e Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

// AppendJSON appends the process with its lineage and containers.
func (p *Process) AppendJSON(b []byte) []byte { return appendProcess(b, p, true, nil, 0) }

// MarshalJSON is AppendJSON for encoding/json.
func (p Process) MarshalJSON() ([]byte, error) { return p.AppendJSON(nil), nil }

// AppendFlat appends the process without parent and container.
func (p *Process) AppendFlat(b []byte) []byte { return appendProcess(b, p, false, nil, 0) }

// UnmarshalJSON reads what AppendJSON and AppendFlat write, as Event's does.
func (p *Process) UnmarshalJSON(data []byte) error {
	d, err := newDecoder(data)
	if err != nil {
		return err
	}
	*p = Process{}
	d.process(p, 0)
	if err := d.end(); err != nil {
		return err
	}
	d.inherit(p, nil)
	return nil
}

// AppendJSON appends the container.
func (c *Container) AppendJSON(b []byte) []byte { return appendContainer(b, c) }

// MarshalJSON is AppendJSON for encoding/json.
func (c Container) MarshalJSON() ([]byte, error) { return c.AppendJSON(nil), nil }

// UnmarshalJSON reads what AppendJSON writes, as Event's does.
func (c *Container) UnmarshalJSON(data []byte) error {
	*c = Container{}
	return decode(data, c, (*decoder).container)
}

// AppendJSON appends the facts, without the containers of Container and Heal.
func (f *Facts) AppendJSON(b []byte) []byte { return appendFacts(b, f) }

// MarshalJSON is AppendJSON for encoding/json.
func (f Facts) MarshalJSON() ([]byte, error) { return f.AppendJSON(nil), nil }

// UnmarshalJSON reads what AppendJSON writes, as Event's does.
func (f *Facts) UnmarshalJSON(data []byte) error {
	*f = Facts{}
	return decode(data, f, (*decoder).facts)
}

// AppendJSON appends the loss.
func (l *Loss) AppendJSON(b []byte) []byte { return appendLoss(b, l) }

// MarshalJSON is AppendJSON for encoding/json. It has a value receiver because
// losses travel as values, in findings and envelopes.
func (l Loss) MarshalJSON() ([]byte, error) { return appendLoss(nil, &l), nil }

// UnmarshalJSON reads what AppendJSON writes, as Event's does.
func (l *Loss) UnmarshalJSON(data []byte) error {
	*l = Loss{}
	return decode(data, l, (*decoder).loss)
}

// AppendJSON appends the kept process, without its container.
func (k *Kept) AppendJSON(b []byte) []byte { return appendKept(b, k) }

// MarshalJSON is AppendJSON for encoding/json.
func (k Kept) MarshalJSON() ([]byte, error) { return k.AppendJSON(nil), nil }

// UnmarshalJSON reads what AppendJSON writes, as Event's does.
func (k *Kept) UnmarshalJSON(data []byte) error {
	*k = Kept{}
	return decode(data, k, (*decoder).kept)
}

// AppendJSON appends the written file.
func (w *WrittenFile) AppendJSON(b []byte) []byte { return appendWrittenFile(b, w) }

// MarshalJSON is AppendJSON for encoding/json.
func (w WrittenFile) MarshalJSON() ([]byte, error) { return w.AppendJSON(nil), nil }

// UnmarshalJSON reads what AppendJSON writes, as Event's does.
func (w *WrittenFile) UnmarshalJSON(data []byte) error {
	*w = WrittenFile{}
	return decode(data, w, (*decoder).writtenFile)
}

// AppendJSON appends the pipe.
func (p *PipeEnds) AppendJSON(b []byte) []byte { return appendPipeEnds(b, p) }

// MarshalJSON is AppendJSON for encoding/json.
func (p PipeEnds) MarshalJSON() ([]byte, error) { return p.AppendJSON(nil), nil }

// UnmarshalJSON reads what AppendJSON writes, as Event's does.
func (p *PipeEnds) UnmarshalJSON(data []byte) error {
	*p = PipeEnds{}
	return decode(data, p, (*decoder).pipeEnds)
}

func decode[T any](data []byte, v *T, read func(*decoder, *T)) error {
	d, err := newDecoder(data)
	if err != nil {
		return err
	}
	read(d, v)
	return d.end()
}

func newDecoder(data []byte) (*decoder, error) {
	if len(data) > MaxEncoded {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrCodec, len(data), MaxEncoded)
	}
	return &decoder{in: data}, nil
}

// inherit gives each process of a lineage that named no container that of what
// encloses it.
func (d *decoder) inherit(p *Process, c *Container) {
	for depth := 0; p != nil; depth, p = depth+1, p.Parent {
		if depth < len(d.owned) && d.owned[depth] {
			c = p.Container
		} else {
			p.Container = c
		}
	}
}

// own notes that the process at depth names its own container.
func (d *decoder) own(depth int) {
	for len(d.owned) <= depth {
		d.owned = append(d.owned, false)
	}
	d.owned[depth] = true
}

// flagNames are the Flags by bit, as the JSON form writes them.
var flagNames = [...]string{
	"user_memory", "truncated", "healed", "path_partial", "created", "compat", "has_fd", "has_ret", "mapped", "upper",
}

func appendFlags(b []byte, f Flags) []byte {
	b = append(b, '[')
	for i, name := range flagNames {
		if f&(1<<i) == 0 {
			continue
		}
		if b[len(b)-1] != '[' {
			b = append(b, ',')
		}
		b = appendString(b, name)
	}
	return append(b, ']')
}

func (d *decoder) flags() Flags {
	var f Flags
	d.list(len(flagNames), func() {
		f |= word(d, "event flag", func(s string) (Flags, bool) {
			for i, name := range flagNames {
				if name == s {
					return 1 << i, true
				}
			}
			return 0, false
		})
	})
	return f
}

func (d *decoder) typ() Type { return word(d, "event type", TypeByName) }

func (d *decoder) source() Source {
	return word(d, "source", func(s string) (Source, bool) { return named(s, SourceSyscall, SourceK8sAudit) })
}

func (d *decoder) role() Role {
	return word(d, "role", func(s string) (Role, bool) { return named(s, RoleClient, RoleServer) })
}

func (d *decoder) l4() L4 {
	return word(d, "transport", func(s string) (L4, bool) { return named(s, L4TCP, L4UDP, L4ICMP, L4Raw) })
}

func (d *decoder) phase() Phase {
	return word(d, "phase", func(s string) (Phase, bool) { return named(s, PhaseRun, PhaseInit) })
}

func (d *decoder) tristate() Tristate {
	return word(d, "tristate", func(s string) (Tristate, bool) { return named(s, Yes, No) })
}

func (d *decoder) fdKind() FDKind {
	return word(d, "descriptor kind", func(s string) (FDKind, bool) {
		if len(s) != 1 {
			return 0, false
		}
		switch k := FDKind(s[0]); k {
		case FDFile, FDDirectory, FDIPv4, FDIPv6, FDUnix, FDPipe, FDEvent, FDDevice, FDOther:
			return k, true
		}
		return 0, false
	})
}

func (d *decoder) id() ID {
	return word(d, "event id", func(s string) (ID, bool) {
		id, err := ParseID(s)
		return id, err == nil
	})
}

func named[T interface{ String() string }](s string, values ...T) (zero T, ok bool) {
	for _, v := range values {
		if v.String() == s {
			return v, true
		}
	}
	return zero, false
}

// appendWord writes an enumeration's name, a number outside it as "".
func appendWord(b []byte, name string) []byte { return appendString(b, name) }

func appendFDKind(b []byte, k FDKind) []byte {
	letter := k.Letter()
	if k == FDDevice {
		letter = "v" // which fd.typechar calls a file
	}
	return appendString(b, letter)
}

func appendID(b []byte, id ID) []byte { return append(id.Append(append(b, '"')), '"') }
