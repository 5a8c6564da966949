package api

import (
	"testing"

	"github.com/dockreeve/dockreeve/server/images"
)

// Whatever a scan handed in says, it is taken or refused with words, within its bounds.
func FuzzSubmittedCatalog(f *testing.F) {
	f.Add([]byte(`{"image":{"digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000"},"packages":[{"type":"deb","name":"a","version":"1","layer":0}]}`), false)
	f.Add([]byte(`{"secrets":[{"redacted":"abcd***","line":-1}]}`), false)
	f.Add([]byte("\x1f\x8b\x08\x00"), true)
	f.Fuzz(func(t *testing.T, b []byte, zipped bool) {
		c, err := decodeCatalog(b, zipped)
		if err != nil {
			return
		}
		if images.Check(c) != nil {
			return
		}
		for i := range c.Packages {
			if c.Packages[i].Name == "" || c.Packages[i].Layer < -1 {
				t.Fatalf("taken: %+v", c.Packages[i])
			}
		}
	})
}
