package bpf

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// What kernel 5.15 offers, by the numbers in its include/uapi/linux/bpf.h.
const (
	lastHelper  = 175 // bpf_task_pt_regs; 176 came with 5.16
	lastMapType = ebpf.TaskStorage
	maxStack    = 512
)

// tracepoints are the kernel's own that programs attach to; all existed in 5.15.
var attachPoints = []string{
	"sched_process_fork", "sched_process_exec", "sched_process_exit", "sys_exit", "task",
	"cgroup_mkdir", "cgroup_rmdir", "cgroup_attach_task",
}

// TestFloor walks the committed objects and refuses what a 5.15 kernel lacks.
func TestFloor(t *testing.T) {
	objects, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, o := range objects {
		if !strings.HasSuffix(o.Name(), ".o") {
			continue
		}
		checked++
		t.Run(o.Name(), func(t *testing.T) {
			spec, err := ebpf.LoadCollectionSpec(o.Name())
			if err != nil {
				t.Fatal(err)
			}
			for name, m := range spec.Maps {
				if m.Type > lastMapType {
					t.Errorf("map %s is a %s, which is newer than 5.15", name, m.Type)
				}
			}
			for name, p := range spec.Programs {
				if p.Type != ebpf.Tracing {
					t.Errorf("program %s is a %s; all are tracing programs", name, p.Type)
				}
				if p.AttachType != ebpf.AttachTraceRawTp && p.AttachType != ebpf.AttachTraceIter {
					t.Errorf("program %s attaches as %s: neither tp_btf nor an iterator", name, p.AttachType)
				}
				if !slices.Contains(attachPoints, p.AttachTo) {
					t.Errorf("program %s attaches to %s, which nobody checked against 5.15", name, p.AttachTo)
				}
				if p.License != "Dual BSD/GPL" {
					t.Errorf("program %s has licence %q", name, p.License)
				}
				for _, in := range p.Instructions {
					switch {
					case in.IsKfuncCall():
						t.Errorf("program %s calls a kernel function (%s): that is newer than 5.15", name, in.Reference())
					case in.IsBuiltinCall() && in.Constant > lastHelper:
						t.Errorf("program %s calls %s, which is newer than 5.15", name, asm.BuiltinFunc(in.Constant))
					case in.OpCode.Class() == asm.Jump32Class && in.OpCode.JumpOp() == asm.Ja:
						t.Errorf("program %s has a long jump, which is newer than 5.15", name)
					}
				}
			}
			for typ, err := range spec.Types.All() {
				if err != nil {
					t.Fatal(err)
				}
				if e, ok := typ.(*btf.Enum); ok && e.Size > 4 {
					t.Errorf("type %s is a 64-bit enum, which is newer than 5.15", typ)
				}
			}
		})
	}
	if checked < 2 {
		t.Errorf("%d objects checked, want amd64 and arm64", checked)
	}
}
