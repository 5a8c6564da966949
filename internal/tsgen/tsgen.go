// Package tsgen writes TypeScript declarations of Go types as encoding/json would write
// them, so that a console reads documents of the API with the names and the optional
// members they really have. It does no I/O.
package tsgen

import (
	"encoding"
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Options say what to write.
type Options struct {
	Header string // the comment above everything, whole lines with //
	Types  []any  // values of the types to declare; what they hold is declared too
	Enums  []Enum
}

// Enum names the values that a type has.
type Enum struct {
	Values []any // of one type: strings, or encoding.TextMarshaler
	Open   bool  // other values may come
}

// Generate declares the types, in the order of their names. Types of two packages with the
// same name carry the name of their package before their own. A type that marshals itself
// and is no Enum is an error, for what it writes cannot be known.
func Generate(o Options) ([]byte, error) {
	g := &generator{enums: map[reflect.Type]string{}, seen: map[reflect.Type]bool{}}
	for _, e := range o.Enums {
		t, union, err := e.union()
		if err != nil {
			return nil, err
		}
		g.enums[t] = union
	}
	for _, v := range o.Types {
		if err := g.collect(reflect.TypeOf(v)); err != nil {
			return nil, err
		}
	}
	g.name()
	var b strings.Builder
	b.WriteString(o.Header)
	for _, t := range g.order {
		fmt.Fprintf(&b, "\n")
		if union, ok := g.enums[t]; ok {
			fmt.Fprintf(&b, "export type %s = %s;\n", g.names[t], union)
			continue
		}
		if t.Kind() != reflect.Struct {
			fmt.Fprintf(&b, "export type %s = %s;\n", g.names[t], g.plain(t))
			continue
		}
		fmt.Fprintf(&b, "export interface %s {\n", g.names[t])
		for _, m := range members(t) {
			fmt.Fprintf(&b, "  %s: %s;\n", m.key(), g.member(m))
		}
		b.WriteString("}\n")
	}
	return []byte(b.String()), nil
}

type generator struct {
	enums map[reflect.Type]string
	seen  map[reflect.Type]bool
	order []reflect.Type
	names map[reflect.Type]string
}

func (e Enum) union() (reflect.Type, string, error) {
	if len(e.Values) == 0 {
		return nil, "", fmt.Errorf("an enum without values")
	}
	t := reflect.TypeOf(e.Values[0])
	var words []string
	for _, v := range e.Values {
		if reflect.TypeOf(v) != t {
			return nil, "", fmt.Errorf("an enum of %s holds a %T", t, v)
		}
		w := reflect.ValueOf(v).String()
		if m, ok := v.(encoding.TextMarshaler); ok {
			text, err := m.MarshalText()
			if err != nil {
				return nil, "", fmt.Errorf("%s: %w", t, err)
			}
			w = string(text)
		} else if t.Kind() != reflect.String {
			return nil, "", fmt.Errorf("an enum of %s, which is no string", t)
		}
		words = append(words, strconv.Quote(w))
	}
	if e.Open {
		words = append(words, "(string & {})")
	}
	return t, strings.Join(words, " | "), nil
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
	raw           = reflect.TypeFor[json.RawMessage]()
)

// collect notes t and all it holds as types to declare.
func (g *generator) collect(t reflect.Type) error {
	if g.seen[t] {
		return nil
	}
	g.seen[t] = true
	if _, ok := g.enums[t]; ok {
		g.order = append(g.order, t)
		return nil
	}
	if t == raw {
		return nil
	}
	if t.Kind() != reflect.Pointer && (t.Implements(jsonMarshaler) || t.Implements(textMarshaler)) {
		return fmt.Errorf("%s writes itself: name its values as an enum", t)
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return g.collect(t.Elem())
	case reflect.Map:
		if err := g.collect(t.Key()); err != nil {
			return err
		}
		return g.collect(t.Elem())
	case reflect.Struct:
		if t.Name() == "" {
			return fmt.Errorf("a struct without a name: %s", t)
		}
		g.order = append(g.order, t)
		for _, m := range members(t) {
			if err := g.collect(m.typ); err != nil {
				return fmt.Errorf("%s.%s: %w", t, m.name, err)
			}
		}
		return nil
	case reflect.Chan, reflect.Func, reflect.Interface, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return fmt.Errorf("%s cannot be declared", t)
	}
	if t.PkgPath() != "" { // a named number or string
		g.order = append(g.order, t)
	}
	return nil
}

// name gives every type its name, and orders them by it.
func (g *generator) name() {
	count := map[string]int{}
	for _, t := range g.order {
		count[t.Name()]++
	}
	g.names = map[reflect.Type]string{}
	for _, t := range g.order {
		n := t.Name()
		if count[n] > 1 {
			p := path.Base(t.PkgPath())
			n = strings.ToUpper(p[:1]) + p[1:] + n
		}
		g.names[t] = n
	}
	slices.SortFunc(g.order, func(a, b reflect.Type) int { return strings.Compare(g.names[a], g.names[b]) })
}

// field is one member of an object as it is written.
type field struct {
	name     string
	typ      reflect.Type
	optional bool
}

func (m field) key() string {
	if m.optional {
		return m.name + "?"
	}
	return m.name
}

// members are a struct's, those of embedded structs among them, as encoding/json has them:
// an outer member hides an embedded one of the same name.
func members(t reflect.Type) []field {
	var out []field
	at := map[string]int{}
	var walk func(t reflect.Type, depth int)
	depths := map[string]int{}
	walk = func(t reflect.Type, depth int) {
		for f := range t.Fields() {
			name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" || !f.IsExported() && !f.Anonymous {
				continue
			}
			if f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct {
				walk(f.Type, depth+1)
				continue
			}
			if name == "" {
				name = f.Name
			}
			m := field{name, f.Type, slices.ContainsFunc(strings.Split(opts, ","), func(s string) bool {
				// omitempty leaves no struct away
				return s == "omitzero" || s == "omitempty" && f.Type.Kind() != reflect.Struct
			})}
			if i, ok := at[name]; ok {
				if depth < depths[name] {
					out[i], depths[name] = m, depth
				}
				continue
			}
			at[name], depths[name] = len(out), depth
			out = append(out, m)
		}
	}
	walk(t, 0)
	return out
}

// member is the type of a member: one that may be nil and is always written may be null.
func (g *generator) member(m field) string {
	s := g.ref(m.typ)
	switch m.typ.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if !m.optional && m.typ != raw {
			s += " | null"
		}
	}
	return s
}

func (g *generator) ref(t reflect.Type) string {
	if n, ok := g.names[t]; ok {
		return n
	}
	return g.plain(t)
}

func (g *generator) plain(t reflect.Type) string {
	if t == raw {
		return "unknown"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	case reflect.Pointer:
		return g.ref(t.Elem())
	case reflect.Slice, reflect.Array:
		if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
			return "string" // base64
		}
		e := g.ref(t.Elem())
		if strings.Contains(e, " ") {
			e = "(" + e + ")"
		}
		return e + "[]"
	case reflect.Map:
		key := "string"
		if n, ok := g.names[t.Key()]; ok && t.Key().Kind() == reflect.String {
			key = n
		}
		v := g.ref(t.Elem())
		if k := t.Elem().Kind(); k == reflect.Slice || k == reflect.Map || k == reflect.Pointer {
			v += " | null"
		}
		if key != "string" {
			return "{ [K in " + key + "]?: " + v + " }"
		}
		return "{ [key: string]: " + v + " | undefined }"
	}
	return "number"
}
