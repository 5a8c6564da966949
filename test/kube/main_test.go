package kube

import (
	"os"
	"testing"
)

// labs are shared by the tests of this package.
var labs Labs

func TestMain(m *testing.M) {
	if dir := os.Getenv("DOCKREEVE_TEST_CRASHING_LAB"); dir != "" {
		crashingLab(dir)
	}
	os.Exit(labs.Run(m))
}
