package sensor

import (
	"github.com/cilium/ebpf"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/sensor/bpf"
)

// compatSlot is the slot of the handler of 32-bit calls, NR_COMPAT in C.
const compatSlot = 512

// call is one system call the sensor can report.
type call struct {
	nr      uint32
	typ     event.Type
	handler func(*bpf.SensorObjects) *ebpf.Program
}

func open(o *bpf.SensorObjects) *ebpf.Program    { return o.SysOpen }
func connect(o *bpf.SensorObjects) *ebpf.Program { return o.SysConnect }
func dup(o *bpf.SensorObjects) *ebpf.Program     { return o.SysDup }
func fcntl(o *bpf.SensorObjects) *ebpf.Program   { return o.SysFcntl }
func mmap(o *bpf.SensorObjects) *ebpf.Program    { return o.SysMmap }
func uring(o *bpf.SensorObjects) *ebpf.Program   { return o.SysIoUringSetup }

// switches says which handler slots to fill for an interest; nil empties one. The
// blind-spot hooks are always on: they cost nothing until someone is blind to us.
// Where loads are wanted and an open call is not, its slot has the handler of loads
// alone; the handler of opens goes on to it by itself.
func switches(i event.TypeSet, o *bpf.SensorObjects) map[uint32]*ebpf.Program {
	m := map[uint32]*ebpf.Program{compatSlot: o.SysCompat}
	for _, c := range calls {
		var p *ebpf.Program
		if i.Has(c.typ) || c.typ == event.TypeIoUringSetup {
			p = c.handler(o)
		} else if i.Has(event.TypeLoad) && isOpen(c.typ) {
			p = o.SysOpenLoad
		}
		if m[c.nr] == nil {
			m[c.nr] = p
		}
	}
	return m
}

func isOpen(t event.Type) bool {
	return t == event.TypeOpen || t == event.TypeOpenat || t == event.TypeOpenat2
}

func openType(nr uint32) event.Type {
	for _, c := range calls {
		if c.nr == nr {
			return c.typ
		}
	}
	return event.TypeOpen
}

// dupType names a copy of a descriptor; fcntl(F_DUPFD) is told as the dup it is.
func dupType(nr uint32) event.Type {
	if t := openType(nr); t != event.TypeOpen {
		return t
	}
	return event.TypeDup
}

// compatNames are the 32-bit x86 numbers of the calls the sensor knows; of
// other 32-bit calls only the fact and the number are known.
var compatNames = map[uint32]event.Type{
	5: event.TypeOpen, 8: event.TypeCreat, 295: event.TypeOpenat, 437: event.TypeOpenat2, 11: event.TypeExecve,
	358: event.TypeExecveat, 362: event.TypeConnect, 41: event.TypeDup, 63: event.TypeDup2, 330: event.TypeDup3,
	2: event.TypeFork, 120: event.TypeClone, 190: event.TypeVfork, 425: event.TypeIoUringSetup,
}

// compatType names a 32-bit call; TypeNone when the sensor has no name for it.
func compatType(nr uint32) event.Type { return compatNames[nr] }
