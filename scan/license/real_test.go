package license

import (
	"os"
	"path/filepath"
	"sort"
	"testing"
)

// TestDebianCopyrightFiles reads those of this machine and tells what it cannot place.
func TestDebianCopyrightFiles(t *testing.T) {
	files, _ := filepath.Glob("/usr/share/doc/*/copyright")
	if len(files) < 20 {
		t.Skip("this machine has no Debian packages")
	}
	none, unknown, terms := 0, map[string]int{}, 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		got := DebCopyright(b)
		if len(got) == 0 {
			none++
		}
		for _, e := range got {
			terms++
			if CategoryOf(e) == Unknown {
				unknown[e]++
			}
		}
	}
	type u struct {
		s string
		n int
	}
	var top []u
	sum := 0
	for s, n := range unknown {
		top = append(top, u{s, n})
		sum += n
	}
	sort.Slice(top, func(i, j int) bool { return top[i].n > top[j].n })
	t.Logf("%d files, %d state nothing that could be read, %d expressions, %d of them of unknown category", len(files), none, terms, sum)
	for _, x := range top[:min(40, len(top))] {
		t.Logf("%4d %s", x.n, x.s)
	}
	if none*4 > len(files) || sum*4 > terms {
		t.Error("more than a quarter cannot be told")
	}
}
