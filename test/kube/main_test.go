package kube

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// labs are shared by the tests of this package.
var labs Labs

// programs are those of this repository as they are built, once for all tests.
var programs struct {
	mu    sync.Mutex
	dir   string
	built map[string]bool
}

func TestMain(m *testing.M) {
	if dir := os.Getenv("DOCKREEVE_TEST_CRASHING_LAB"); dir != "" {
		crashingLab(dir)
	}
	dir, err := os.MkdirTemp("", "dockreeve-kube-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programs.dir, programs.built = dir, map[string]bool{}
	code := labs.Run(m)
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// program builds a program of cmd, unless that is done, and returns where it is.
func program(t testing.TB, name string) string {
	t.Helper()
	programs.mu.Lock()
	defer programs.mu.Unlock()
	bin := filepath.Join(programs.dir, name)
	if programs.built[name] {
		return bin
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "./cmd/"+name)
	build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", name, err, out)
	}
	programs.built[name] = true
	return bin
}
