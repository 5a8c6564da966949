package secret

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// corpus is text as images hold it: the library of the Go installation, without what
// the rules find in it.
func corpus(b *testing.B, suffix string) []byte {
	root := filepath.Join(goroot(b), "src")
	var all []byte
	filepath.Walk(root, func(p string, i os.FileInfo, err error) error {
		if err == nil && strings.HasSuffix(p, suffix) && !strings.HasSuffix(p, "_test.go") && len(all) < 4<<20 {
			c, _ := os.ReadFile(p)
			all = append(all, c...)
		}
		return nil
	})
	return all[:min(len(all), 4<<20)]
}

func BenchmarkFind(b *testing.B) {
	junk := make([]byte, 4<<20)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(junk)
	noNUL := bytes.ReplaceAll(junk, []byte{0}, []byte{1})
	prose := bytes.Repeat([]byte("The quick brown fox jumps over the lazy dog, and nobody has asked it why it does.\n"), 60000)[:4<<20]
	for _, c := range []struct {
		name, path string
		content    []byte
	}{
		{"prose", "app/notes.txt", prose},
		{"source", "app/main.go", corpus(b, ".go")},
		{"random_without_NUL", "app/data", noNUL},
		{"binary", "app/program", junk},
	} {
		b.Run(c.name, func(b *testing.B) {
			d := New()
			d.Find(c.path, c.content)
			b.SetBytes(int64(len(c.content)))
			b.ReportAllocs()
			for b.Loop() {
				d.Find(c.path, c.content)
			}
		})
	}
}
