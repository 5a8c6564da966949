// Package need lets a test say what it needs from the machine. Where the need is
// missing the test skips with a reason that the closing table shows; where
// DOCKREEVE_REQUIRE names the need, the skip is a failure instead, so that
// continuous integration can never pass by not looking.
package need

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The needs a test can name.
const (
	Kernel   = "kernel"   // root, BTF and eBPF
	Chromium = "chromium" // a real browser, and Node
	Postgres = "pg"
	Lab      = "lab"     // the Kubernetes lab
	Debian   = "debian"  // debootstrap, dpkg and npm with their registries, for real images
	Schemas  = "schemas" // the official JSON schemas of the outputs; `make setup` fetches them
	Shared   = "shared"  // conformance suites and big data, read from a path
)

// Skip ends the test as skipped because what is missing, or fails it where
// DOCKREEVE_REQUIRE lists what.
func Skip(t testing.TB, what, why string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("DOCKREEVE_REQUIRE"), ","), what) {
		t.Fatalf("needs %s, which DOCKREEVE_REQUIRE demands: %s", what, why)
	}
	t.Skipf("needs %s: %s", what, why)
}

// Root skips unless the test runs as root, which kernel tests need.
func Root(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		Skip(t, Kernel, "not root")
	}
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		Skip(t, Kernel, "the kernel offers no BTF: "+err.Error())
	}
}

// Command skips unless a program is on the PATH, and returns where it is.
func Command(t testing.TB, what, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Skip(t, what, name+" is not installed")
	}
	return path
}
