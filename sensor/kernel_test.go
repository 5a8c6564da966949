package sensor

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/sensor/bpf"
	"github.com/dockreeve/dockreeve/test/need"
)

// TestKernelExec runs a program and waits for its exec record on the ring.
func TestKernelExec(t *testing.T) {
	need.Root(t)
	k, err := loadKernel(kernelOptions{lifeBytes: 1 << 20, actBytes: 1 << 20, loadBytes: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	if missing, err := k.attach(); err != nil || len(missing) > 0 {
		t.Fatal(missing, err)
	}
	if err := exec.Command("/bin/sh", "-c", "exec /bin/echo marker-4711").Run(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for time.Now().Before(deadline) {
		if err := k.poll(20 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
		for b := k.life.peek(); b != nil; b = k.life.peek() {
			var h bpf.SensorHdr
			if err := header(b, &h); err != nil {
				t.Fatal(err)
			}
			if h.Kind == kindExec {
				var r bpf.SensorTaskRec
				tx, err := unpack(b, &r)
				if err != nil {
					t.Fatal(err)
				}
				exe, _ := tx.next(int(r.T.ExeLen))
				cwd, _ := tx.next(int(r.T.CwdLen))
				file, _ := tx.next(int(r.T.FileLen))
				argv, _ := tx.next(int(r.T.ArgvLen))
				t.Logf("gen %d exe %s cwd %s file %q argv %q %+v", h.Gen, appendPath(nil, exe, r.T.ExeState), appendPath(nil, cwd, r.T.CwdState), file, argv, r)
				if strings.Contains(string(argv), "marker-4711") && !strings.Contains(string(argv), "exec") {
					return
				}
			}
			k.life.take()
		}
	}
	t.Fatal("no exec record came")
}
