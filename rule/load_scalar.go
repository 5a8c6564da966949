package rule

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// spend counts one scalar read against the bound.
func (l *loader) spend(n yamlNode, item string) *fault {
	l.scalars++
	if l.scalars > maxScalars {
		return faultAt(CodeYAMLValidate, n.place(), item, fmt.Sprintf("the rule files hold more than %d values once aliases are followed", maxScalars), "split them, or drop the aliases")
	}
	return nil
}

// text reads a required, non-empty scalar.
func (l *loader) text(item yamlNode, key, name string) (string, yamlNode, *fault) {
	v, ok := item.get(key)
	if !ok {
		return "", v, faultAt(CodeYAMLValidate, item.place(), name, fmt.Sprintf("the key %q is missing", key), "")
	}
	if v.null() {
		return "", v, faultAt(CodeYAMLValidate, v.place(), name, fmt.Sprintf("the key %q has no value", key), "")
	}
	s, ok := v.scalar()
	if !ok {
		return "", v, faultAt(CodeYAMLValidate, v.place(), name, fmt.Sprintf("the value of %q is a single value, found %s", key, v.kind()), "")
	}
	if s == "" {
		return "", v, faultAt(CodeYAMLValidate, v.place(), name, fmt.Sprintf("the value of %q is empty", key), "")
	}
	return s, v, l.spend(v, name)
}

// flag reads an optional boolean as YAML 1.1 knows them.
func (l *loader) flag(item yamlNode, key, name string, into *bool) *fault {
	if !item.has(key) {
		return nil
	}
	s, v, err := l.text(item, key, name)
	if err != nil {
		return err
	}
	b, ok := parseBool(s)
	if !ok {
		return faultAt(CodeYAMLValidate, v.place(), name, fmt.Sprintf("the value of %q is true or false, found %q", key, s), "")
	}
	*into = b
	return nil
}

// parseBool reads true, yes, on, y and their opposites in lower, Capital or UPPER case.
func parseBool(s string) (value, ok bool) {
	low := strings.ToLower(s)
	if s != low && s != strings.ToUpper(s) && s != strings.ToUpper(low[:1])+low[1:] {
		return false, false
	}
	switch low {
	case "true", "yes", "on", "y":
		return true, true
	case "false", "no", "off", "n":
		return false, true
	}
	return false, false
}

// number reads an optional unsigned 32-bit number.
func (l *loader) number(item yamlNode, key, name string, into *uint32) *fault {
	if !item.has(key) {
		return nil
	}
	s, v, err := l.text(item, key, name)
	if err != nil {
		return err
	}
	n, perr := strconv.ParseUint(s, 0, 32)
	if perr != nil {
		return faultAt(CodeYAMLValidate, v.place(), name, fmt.Sprintf("the value of %q is a number from 0 to %d, found %q", key, uint32(math.MaxUint32), s), "")
	}
	*into = uint32(n)
	return nil
}

// texts reads a sequence of scalars.
func (l *loader) texts(item yamlNode, key, name string) ([]string, *fault) {
	v, ok := item.get(key)
	if !ok {
		return nil, faultAt(CodeYAMLValidate, item.place(), name, fmt.Sprintf("the key %q is missing", key), "")
	}
	if !v.isSeq() {
		return nil, faultAt(CodeYAMLValidate, v.place(), name, fmt.Sprintf("the value of %q is a sequence, found %s", key, v.kind()), "write [a, b] or one '- a' per line")
	}
	items := v.items()
	out := make([]string, 0, len(items))
	for _, it := range items {
		s, ok := it.scalar()
		if !ok {
			return nil, faultAt(CodeYAMLValidate, it.place(), name, fmt.Sprintf("the values in %q are single values, found %s", key, it.kind()), "")
		}
		if err := l.spend(it, name); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// mapped is a text whose bytes know where they come from.
type mapped struct {
	text string
	segs []segment
}

// mappedScalar pairs the value of a scalar with its places in the file.
func mappedScalar(n yamlNode) mapped {
	n = n.target()
	m := mapped{text: n.y.Value}
	if m.text != "" {
		m.segs = []segment{{place: n.place(), lines: alignScalar(n)}}
	}
	return m
}

// alignScalar walks a scalar's value and its source side by side. YAML changes
// only blanks and, in quotes, escapes; where the two cannot be matched the
// last known place stands for the rest.
func alignScalar(n yamlNode) *scalarMap {
	src := n.src
	m := &scalarMap{file: src.name}
	i := src.offset(n.y.Line+n.base, n.y.Column)
	data := src.data
	for i < len(data) && (data[i] == '&' || data[i] == '!') { // anchor and tag come first
		for i < len(data) && data[i] > ' ' {
			i++
		}
		for i < len(data) && data[i] <= ' ' {
			i++
		}
	}
	var quote byte
	switch {
	case n.y.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		for i < len(data) && data[i] != '\n' { // the header line
			i++
		}
	case n.y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 && i < len(data):
		quote = data[i]
		i++
	}
	value := n.y.Value
	last := -1 // source minus value offset of the run before
	for v := 0; v < len(value); v++ {
		if isYAMLBlank(value[v]) {
			continue
		}
		for i < len(data) && isYAMLBlank(data[i]) {
			i++
		}
		at, width := i, 1
		if quote != 0 && i+1 < len(data) {
			switch {
			case quote == '\'' && data[i] == '\'':
				width = 2
			case quote == '"' && data[i] == '\\':
				esc, ok := escapeWidth(data[i:])
				if !ok {
					i += esc // an escaped blank or line break
					v--
					continue
				}
				width = esc
			}
		}
		if i >= len(data) || width == 1 && data[i] != value[v] {
			break
		}
		if at-v != last {
			p := src.place(at)
			m.starts = append(m.starts, scalarLine{off: v, line: p.Line, col: p.Col})
			last = at - v
		}
		i += width
		if width > 2 { // \u and \x may stand for several bytes of the value
			break
		}
	}
	return m
}

func isYAMLBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// escapeWidth measures an escape in double quotes; ok is false when it stands for a blank.
func escapeWidth(b []byte) (int, bool) {
	switch b[1] {
	case 'n', 't', 'r', ' ', '\t', '\n', 'N', 'L', 'P', '_':
		return 2, false
	case '\r':
		return 2, false
	case 'x':
		return 4, true
	case 'u':
		return 6, true
	case 'U':
		return 10, true
	}
	return 2, true
}
