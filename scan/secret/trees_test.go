//go:build conformance

package secret

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRealTrees walks directories of this machine, as DOCKREEVE_SECRET_TREES names them
// (divided by colons), and tells every finding. It judges nothing, so it is apart: -tags conformance.
func TestRealTrees(t *testing.T) {
	trees := os.Getenv("DOCKREEVE_SECRET_TREES")
	if trees == "" {
		t.Skip("set DOCKREEVE_SECRET_TREES to directories to be searched")
	}
	d := New()
	for root := range strings.SplitSeq(trees, ":") {
		var files, bytes, large, found int
		filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return nil
			}
			i, err := e.Info()
			if err != nil {
				return nil
			}
			rel := strings.TrimPrefix(p, "/")
			switch d.WantReason(rel, i.Size()) {
			case TooLarge:
				large++
			case Read:
				c, err := os.ReadFile(p)
				if err != nil {
					return nil
				}
				files++
				bytes += len(c)
				for _, s := range d.Find(rel, c) {
					found++
					t.Logf("%s:%d %s %s %s", s.Path, s.Line, s.Severity, s.Rule, s.Title)
				}
			}
			return nil
		})
		t.Logf("%s: %d files, %d MB read, %d too large, %d found", root, files, bytes>>20, large, found)
	}
}
