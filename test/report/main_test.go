package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestNoFailurePasses holds that whatever keeps a test from being run and passed fails the whole.
func TestNoFailurePasses(t *testing.T) {
	const (
		start  = `{"Action":"start","Package":"p"}` + "\n"
		passed = `{"Action":"pass","Package":"p","Test":"T"}` + "\n"
		end    = `{"Action":"pass","Package":"p"}` + "\n"
	)
	for _, c := range []struct {
		name, events string
		want         int
	}{
		{"passed", start + passed + end, 0},
		{"passed before", start + passed + `{"Action":"output","Package":"p","Output":"ok  \tp\t(cached)\n"}` + "\n" + end, 0},
		{"skipped with a reason", start + passed + `{"Action":"output","Package":"p","Test":"S","Output":"    s_test.go:1: needs kernel: not root\n"}` + "\n" + `{"Action":"skip","Package":"p","Test":"S"}` + "\n" + end, 0},
		{"skipped without one", start + passed + `{"Action":"output","Package":"p","Test":"S","Output":"--- SKIP: S (0.00s)\n"}` + "\n" + `{"Action":"skip","Package":"p","Test":"S"}` + "\n" + end, 1},
		{"failed", start + passed + `{"Action":"fail","Package":"p","Test":"F"}` + "\n" + `{"Action":"fail","Package":"p"}` + "\n", 1},
		{"failed outside of a test", start + passed + `{"Action":"fail","Package":"p"}` + "\n", 1},
		{"killed before its end", start + passed, 1},
		{"does not build", `{"Action":"build-output","ImportPath":"p","Output":"p.go:1: no\n"}` + "\n" + `{"Action":"build-fail","ImportPath":"p"}` + "\n" + start + `{"Action":"fail","Package":"p"}` + "\n", 1},
		{"not an event", start + passed + end + "panic: no\n", 1},
		{"nothing", "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "suite.json")
			if err := os.WriteFile(file, []byte(c.events), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, final := range []bool{false, true} {
				if got := run([]string{file}, final); got != c.want {
					t.Errorf("final %v: exit code %d, want %d", final, got, c.want)
				}
			}
		})
	}
	if got := run([]string{filepath.Join(t.TempDir(), "none.json")}, true); got == 0 {
		t.Error("a suite that left no file passes")
	}
}
