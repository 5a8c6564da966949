package rule

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// naiveExpand is the textual expansion as upstream's behaviour is described:
// find the name, widen over blanks, splice, go on behind the splice.
func naiveExpand(text, name, items string) string {
	find := func(from int) int {
		if from > len(text) {
			return -1
		}
		i := strings.Index(text[from:], name)
		if i < 0 {
			return -1
		}
		return from + i
	}
	for start := find(0); start >= 0; {
		end := start + len(name)
		if (start == 0 || isListEdge(text[start-1])) && (end == len(text) || isListEdge(text[end])) {
			for start > 0 && isYAMLBlank(text[start-1]) {
				start--
			}
			for end < len(text) && isYAMLBlank(text[end]) {
				end++
			}
			if items == "" {
				if start > 0 && text[start-1] == ',' {
					start--
				} else if end < len(text) && text[end] == ',' {
					end++
				}
			}
			spliced := ""
			if start > 0 {
				spliced = text[:start] + " "
			}
			text = spliced + items + " " + text[end:]
			start += len(items) + 1
		}
		start = find(start + 1)
	}
	return text
}

func TestExpandListAgainstTheNaiveWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune("aab(),= \n\"x")), 0, 40, -1).Draw(t, "text")
		name := rapid.SampledFrom([]string{"a", "aa", "ab", "a b", "x"}).Draw(t, "name")
		items := rapid.SampledFrom([]string{"", "q", "a, q", "q, a", "aa"}).Draw(t, "items")
		m := mapped{text: text}
		if text != "" {
			m.segs = []segment{{place: Place{File: "f", Line: 1, Col: 1}, fixed: true}}
		}
		got, _ := (&loader{}).expandList(m, &listInfo{name: name, text: items})
		if want := naiveExpand(text, name, items); got.text != want {
			t.Fatalf("%q with %s=(%s): got %q, want %q", text, name, items, got.text, want)
		}
		for i, s := range got.segs {
			if s.start > len(got.text) || i > 0 && s.start < got.segs[i-1].start {
				t.Fatalf("segments out of order: %+v", got.segs)
			}
		}
	})
}
