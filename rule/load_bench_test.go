package rule

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkLoad reads generated rule files: bytes per second of YAML to resolved rules.
func BenchmarkLoad(b *testing.B) {
	for _, rules := range []int{100, 10_000} {
		var text strings.Builder
		for i := range rules {
			fmt.Fprintf(&text, "- list: l%d\n  items: [a%d, b, c]\n- macro: m%d\n  condition: proc.name in (l%d) and fd.num > 3\n"+
				"- rule: r%d\n  desc: some description\n  condition: >\n    evt.type = open and m%d\n    and not (proc.name = x or proc.pname in (l%d, zz))\n"+
				"  output: out %%proc.name\n  priority: INFO\n", i, i, i, i, i, i, i)
		}
		f := File{Name: "bench.yaml", Data: []byte(text.String())}
		b.Run(fmt.Sprintf("rules=%d", rules), func(b *testing.B) {
			b.SetBytes(int64(len(f.Data)))
			b.ReportAllocs()
			for b.Loop() {
				if src, diags := Load([]File{f}, LoadOptions{}); len(src.Rules) != rules || len(diags) > 0 {
					b.Fatal(diags)
				}
			}
		})
	}
}
