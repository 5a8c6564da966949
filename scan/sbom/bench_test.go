package sbom

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/dockreeve/dockreeve/scan"
)

// large is a catalogue of 300 packages, the size of an ordinary image.
func large() *scan.Catalog {
	c := sample()
	for i := range 300 - len(c.Packages) {
		c.Packages = append(c.Packages, scan.Package{Type: scan.Deb, Name: fmt.Sprintf("lib%d", i), Version: fmt.Sprintf("1.%d-1", i), Arch: "amd64",
			Source: fmt.Sprintf("src%d", i/3), Licenses: []string{"MIT"}, Location: "var/lib/dpkg/status", Layer: i % 2})
	}
	return c
}

func BenchmarkDecode(b *testing.B) {
	for name, encode := range formats {
		b.Run(name, func(b *testing.B) {
			var doc bytes.Buffer
			if err := encode(&doc, large(), Options{}); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(doc.Len()))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(bytes.NewReader(doc.Bytes())); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for name, encode := range formats {
		b.Run(name, func(b *testing.B) {
			c := large()
			b.ReportAllocs()
			for b.Loop() {
				var doc bytes.Buffer
				if err := encode(&doc, c, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
