package sensor

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/internal/sandbox"
	"github.com/dockreeve/dockreeve/test/need"
)

// box makes a container for a test.
func box(t *testing.T, o sandbox.Options) *sandbox.Sandbox {
	t.Helper()
	need.Root(t)
	need.Command(t, need.Kernel, "busybox")
	if !o.Native {
		need.Command(t, need.Kernel, "runc")
	}
	s, err := sandbox.Create(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the sandbox: %v", err)
		}
	})
	return s
}

// newID is a container id as runtimes make them.
func newID(t *testing.T) string {
	t.Helper()
	var b [32]byte
	if _, err := rand.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b[:])
}

// in accepts the events of a container.
func in(id string) func(*event.Event) bool {
	return func(e *event.Event) bool { return e.Container != nil && e.Container.ID == id }
}

// TestAttribution starts containers under a watching sensor and asks that every
// event from the first on carries the container with its metadata, and that the
// runtime's own set-up is told from the container's work.
func TestAttribution(t *testing.T) {
	for _, tc := range []struct {
		name, id string
		native   bool
	}{
		{"runc with an id of hexadecimal digits", "", false},
		{"runc with a name", "plain-name", false},
		{"without runc", "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var all []string
			if tc.id == "" {
				tc.id = newID(t)
			}
			_, w := watch(t, Options{Interest: everything()}, func(e *event.Event) bool {
				if in(tc.id)(e) && len(all) < 400 {
					all = append(all, fmt.Sprintf("%s %d %s %s phase=%d container=%.12s unknown=%q", e.Type, e.Process.PID, e.Process.ExePath, e.Process.Cmdline, e.Process.Phase, e.Container.ID, e.Container.Unknown))
				}
				return in(tc.id)(e)
			})
			s := box(t, sandbox.Options{Name: tc.id, Native: tc.native, Image: "registry.example:5000/team/app:1.2",
				Files: map[string]string{"/etc/passwd": "root:x:0:0::/:/bin/sh\nappuser:x:0:0::/:/bin/sh\n"}})
			if _, err := s.Exec(t.Context(), "/bin/sh", "-c", "cat /etc/shadow > /tmp/out; /bin/echo marker-in"); err != nil {
				t.Fatal(err)
			}
			e := w.find(t, "exec of echo in the container", func(e *event.Event) bool {
				return e.Type == event.TypeExecve && slices.Contains(e.Process.Args, "marker-in")
			})
			c := e.Container
			if c.ID != s.Name || c.Unknown != "" || c.Image != "registry.example:5000/team/app:1.2" || c.ImageRepo != "registry.example:5000/team/app" || c.ImageTag != "1.2" {
				t.Errorf("container: %+v", c)
			}
			if !tc.native && (c.Privileged != event.No || len(c.Mounts) == 0 || c.Runtime != "runc") {
				t.Errorf("container: %+v", c)
			}
			if c.Rootfs != s.Rootfs {
				t.Errorf("rootfs %q, want %q", c.Rootfs, s.Rootfs)
			}
			if e.Process.ExePath != "/bin/busybox" || e.Process.VPID == 0 || e.Process.VPID == e.Process.PID || e.Process.User != "root" {
				t.Errorf("process: %+v", e.Process)
			}
			w.find(t, "exit of echo", func(x *event.Event) bool { return x.Type == event.TypeProcexit && x.Process.PID == e.Process.PID })
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, e := range w.events {
				if e.Container.ID != s.Name || e.Container.Unknown != "" {
					t.Errorf("%s of %q is in container %q, unknown %q", e.Type, e.Process.Cmdline, e.Container.ID, e.Container.Unknown)
				}
				p := e.Process
				own := strings.HasPrefix(p.Cmdline, "sleep ") || strings.HasPrefix(p.Cmdline, "sh -c cat") || strings.HasPrefix(p.Cmdline, "echo ")
				if e.Type == event.TypeExecve && own && p.Phase != event.PhaseRun {
					t.Errorf("%s %q is still set-up", e.Type, p.Cmdline)
				}
				if strings.HasPrefix(p.ExePath, "/usr/") && e.Type != event.TypeProcexit && p.Phase != event.PhaseInit {
					t.Errorf("%s %q (%s) is not set-up", e.Type, p.Cmdline, p.ExePath)
				}
			}
			if t.Failed() || testing.Verbose() {
				for _, l := range all {
					t.Log(l)
				}
			}
		})
	}
}
