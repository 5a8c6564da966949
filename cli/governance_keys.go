package cli

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dockreeve/dockreeve/govern"
)

// unknownKeys says of each key of a configuration that is none on which line it stands, and
// which key it is nearest to; nil where it finds none.
func unknownKeys(raw []byte) []string {
	var doc yaml.Node
	if yaml.Unmarshal(raw, &doc) != nil || len(doc.Content) == 0 {
		return nil
	}
	var out []string
	walkKeys(doc.Content[0], reflect.TypeFor[govern.Config](), "", 0, &out)
	return out
}

// walkKeys compares mappings with the members of t. It goes 20 levels deep, which no
// configuration does, and tells ten keys.
func walkKeys(n *yaml.Node, t reflect.Type, at string, depth int, out *[]string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if depth > 20 || len(*out) >= 10 {
		return
	}
	switch {
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for _, item := range n.Content {
			walkKeys(item, t.Elem(), at, depth+1, out)
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Map:
		for i := 1; i < len(n.Content); i += 2 {
			walkKeys(n.Content[i], t.Elem(), at, depth+1, out)
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		members := map[string]reflect.Type{}
		var names []string
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name = cmp.Or(name, f.Name); name != "-" {
				members[strings.ToLower(name)] = f.Type
				names = append(names, name)
			}
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			member := members[strings.ToLower(key.Value)]
			if member == nil {
				where := "here"
				if at != "" {
					where = "of " + at
				}
				*out = append(*out, fmt.Sprintf("line %d: %q is no key %s; the nearest is %q", key.Line, clean(key.Value), where, nearest(key.Value, names)))
				continue
			}
			walkKeys(n.Content[i+1], member, strings.TrimPrefix(at+"."+key.Value, "."), depth+1, out)
		}
	}
}

// nearest is the word that takes the fewest changed letters.
func nearest(word string, words []string) string {
	return slices.MinFunc(words, func(a, b string) int { return cmp.Compare(apart(word, a), apart(word, b)) })
}

// apart counts letters to insert, remove or change, case aside. A word longer than 64 bytes
// is compared by its beginning.
func apart(a, b string) int {
	a, b = strings.ToLower(a[:min(len(a), 64)]), strings.ToLower(b[:min(len(b), 64)])
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			n := left
			if a[i] != b[j] {
				n = 1 + min(left, row[j], row[j+1])
			}
			left, row[j+1] = row[j+1], n
		}
	}
	return row[len(b)]
}
