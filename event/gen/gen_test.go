package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestCurrent holds the committed files to what the tables give.
func TestCurrent(t *testing.T) {
	const root = "../.."
	files, err := Generate(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		have, err := os.ReadFile(filepath.Join(root, f.Path))
		if err != nil {
			t.Errorf("%v: run go generate ./event", err)
			continue
		}
		if !bytes.Equal(have, f.Data) {
			t.Errorf("%s is not what the tables give: run go generate ./event", f.Path)
		}
	}
}
