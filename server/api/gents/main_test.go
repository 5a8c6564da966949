package main

import (
	"bytes"
	"os"
	"testing"
)

func TestTheConsolesTypesAreCurrent(t *testing.T) {
	want, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../../ui/src/gen/govern.ts")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("ui/src/gen/govern.ts is not what the Go types give: run go generate ./server/api/gents")
	}
}
