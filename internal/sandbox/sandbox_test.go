package sandbox

import (
	"os"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/test/need"
)

// TestSandbox runs commands in both kinds of container and checks that they are
// really apart from the host, and that nothing is left behind.
func TestSandbox(t *testing.T) {
	need.Root(t)
	need.Command(t, need.Kernel, "busybox")
	for _, native := range []bool{false, true} {
		name := map[bool]string{false: "runc", true: "native"}[native]
		t.Run(name, func(t *testing.T) {
			if !native {
				need.Command(t, need.Kernel, "runc")
			}
			s, err := Create(t.Context(), Options{Native: native, Env: []string{"GREETING=hello"},
				Files: map[string]string{"/srv/run.sh": "#!/bin/sh\necho $GREETING $(hostname) $$\n"}})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if s.Runtime != name {
				t.Errorf("runtime %s, want %s", s.Runtime, name)
			}
			out, err := s.Exec(t.Context(), "/srv/run.sh")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(out, "hello sandbox ") {
				t.Errorf("the script printed %q", out)
			}
			out, err = s.Exec(t.Context(), "sh", "-c", "ip addr show lo; cat /proc/1/comm; ls -d /proc/[0-9]* | wc -l; echo x > /tmp/f")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out, "LOOPBACK,UP") || !strings.Contains(out, "127.0.0.1") {
				t.Errorf("loopback is not up: %s", out)
			}
			if !strings.Contains(out, "sleep") {
				t.Errorf("pid 1 is not the sandbox's: %s", out)
			}
			if _, err := os.Stat(s.Rootfs + "/tmp/f"); err != nil {
				t.Errorf("what the container wrote is not in its root: %v", err)
			}
			if _, err := s.Exec(t.Context(), "false"); err == nil {
				t.Error("a command that failed gave no error")
			}
			dir := s.dir
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("%s is left behind: %v", dir, err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("second close: %v", err)
			}
		})
	}
}
