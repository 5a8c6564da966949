package bpf

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"

	"github.com/dockreeve/dockreeve/test/need"
)

// TestLoad has the running kernel's verifier accept every program.
func TestLoad(t *testing.T) {
	need.Root(t)
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	var objs SensorObjects
	err := LoadSensorObjects(&objs, &ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{LogLevel: ebpf.LogLevelStats}})
	var ve *ebpf.VerifierError
	if errors.As(err, &ve) {
		t.Fatalf("%+50v", ve)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer objs.Close()
	t.Logf("walk: %s", objs.OnExec.VerifierLog)
	t.Logf("open: %s", objs.SysOpen.VerifierLog)
}
