package rule

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// source is a file's text, by lines.
type sourceText struct {
	name  string
	data  []byte
	lines []int // offset of each line's first byte
}

func newSourceText(f File) *sourceText {
	s := &sourceText{name: f.Name, data: f.Data, lines: []int{0}}
	for i, c := range f.Data {
		if c == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// offset gives the byte offset of a YAML mark, whose column counts characters.
func (s *sourceText) offset(line, col int) int {
	if line < 1 || line > len(s.lines) {
		return len(s.data)
	}
	off := s.lines[line-1]
	for ; col > 1 && off < len(s.data) && s.data[off] != '\n'; col-- {
		_, w := utf8.DecodeRune(s.data[off:])
		off += w
	}
	return off
}

// place turns a byte offset into a place.
func (s *sourceText) place(off int) Place {
	lo, hi := 0, len(s.lines)
	for lo < hi {
		mid := (lo + hi) / 2
		if s.lines[mid] <= off {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return Place{File: s.name, Line: lo, Col: off - s.lines[lo-1] + 1}
}

// yamlNode is a YAML node with the text it came from. The zero yamlNode is absent.
type yamlNode struct {
	y    *yaml.Node
	src  *sourceText
	base int // lines before the chunk that was parsed
}

func (n yamlNode) place() Place {
	if n.y == nil {
		return Place{}
	}
	line := n.y.Line + n.base
	return n.src.place(n.src.offset(line, n.y.Column))
}

// target follows an alias.
func (n yamlNode) target() yamlNode {
	for i := 0; i < 100 && n.y != nil && n.y.Kind == yaml.AliasNode; i++ {
		n.y = n.y.Alias
	}
	return n
}

func (n yamlNode) null() bool {
	t := n.target().y
	return t == nil || t.Kind == yaml.ScalarNode && t.ShortTag() == "!!null"
}

func (n yamlNode) isMap() bool {
	t := n.target().y
	return t != nil && t.Kind == yaml.MappingNode
}

func (n yamlNode) isSeq() bool {
	t := n.target().y
	return t != nil && t.Kind == yaml.SequenceNode
}

// scalar gives the text of a scalar that is not null.
func (n yamlNode) scalar() (string, bool) {
	t := n.target().y
	if t == nil || t.Kind != yaml.ScalarNode || n.null() {
		return "", false
	}
	return t.Value, true
}

func (n yamlNode) kind() string {
	switch {
	case n.null():
		return "nothing"
	case n.isMap():
		return "a mapping"
	case n.isSeq():
		return "a sequence"
	}
	return "a scalar"
}

// get finds the value of a key; the first one counts.
func (n yamlNode) get(key string) (yamlNode, bool) {
	t := n.target()
	if t.y == nil || t.y.Kind != yaml.MappingNode {
		return yamlNode{}, false
	}
	for i := 0; i+1 < len(t.y.Content); i += 2 {
		if k := t.with(t.y.Content[i]).target(); k.y != nil && k.y.Kind == yaml.ScalarNode && k.y.Value == key {
			return t.with(t.y.Content[i+1]), true
		}
	}
	return yamlNode{}, false
}

func (n yamlNode) has(key string) bool {
	_, ok := n.get(key)
	return ok
}

func (n yamlNode) with(y *yaml.Node) yamlNode { return yamlNode{y: y, src: n.src, base: n.base} }

// each visits the keys of a mapping in order.
func (n yamlNode) each(visit func(key string, at, value yamlNode)) {
	t := n.target()
	if t.y == nil || t.y.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(t.y.Content); i += 2 {
		k := t.with(t.y.Content[i]).target()
		visit(k.y.Value, t.with(t.y.Content[i]), t.with(t.y.Content[i+1]))
	}
}

// items gives the elements of a sequence.
func (n yamlNode) items() []yamlNode {
	t := n.target()
	if t.y == nil || t.y.Kind != yaml.SequenceNode {
		return nil
	}
	out := make([]yamlNode, len(t.y.Content))
	for i, y := range t.y.Content {
		out[i] = t.with(y)
	}
	return out
}

// readYAML gives the items of every document of a file. Where the YAML is
// broken it falls back to reading the file one top-level item at a time, so
// that the damage stays where it is.
func readYAML(f File) ([][]yamlNode, []Diagnostic) {
	whole := func(code, message, remedy string) []Diagnostic {
		return []Diagnostic{{Severity: SeverityError, Code: code, File: f.Name, Message: message, Remedy: remedy}}
	}
	if len(f.Data) > MaxFileBytes {
		return nil, whole(CodeFileRead, fmt.Sprintf("the file is larger than %d MiB", MaxFileBytes>>20), "split it")
	}
	if n := estimateTokens(f.Data); n > maxYAMLTokens {
		return nil, whole(CodeYAMLParse, fmt.Sprintf("the file holds about %d YAML elements, more than the %d allowed", n, maxYAMLTokens), "split it")
	}
	src := newSourceText(f)
	if i := invalidUTF8(f.Data); i >= 0 {
		at := src.place(i)
		d := whole(CodeYAMLParse, fmt.Sprintf("the file is not valid UTF-8 (byte 0x%02x)", f.Data[i]), "save it as UTF-8")
		d[0].Line, d[0].Col = at.Line, at.Col
		return nil, d
	}
	docs, err := parseYAML(src, f.Data, 0)
	if err == nil {
		return checkDocs(docs)
	}
	bad := []Diagnostic{*err}
	chunks := topLevelItems(f.Data)
	if len(chunks) < 2 || len(chunks) > maxRecovered {
		return nil, bad
	}
	var good [][]yamlNode
	found := false
	for _, c := range chunks {
		docs, err := parseYAML(src, f.Data[c.from:c.to], c.line)
		if err != nil {
			if !found {
				bad = bad[:0]
			}
			found = true
			bad = append(bad, *err)
			if len(bad) > maxBrokenItems {
				bad[len(bad)-1].Message = fmt.Sprintf("more than %d items are broken; the rest of the file is not read", maxBrokenItems)
				break
			}
			continue
		}
		items, problems := checkDocs(docs)
		good = append(good, items...)
		bad = append(bad, problems...)
	}
	return good, bad
}

// estimateTokens counts the bytes that start YAML elements, a rough upper
// bound of the nodes the parser will make.
func estimateTokens(b []byte) int {
	n := 0
	for _, c := range b {
		switch c {
		case '\n', ',', '[', '{', ':':
			n++
		}
	}
	return n
}

func invalidUTF8(b []byte) int {
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, w := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && w == 1 {
			return i
		}
		i += w
	}
	return -1
}

// checkDocs wants every document to be a sequence.
func checkDocs(docs []yamlNode) ([][]yamlNode, []Diagnostic) {
	var out [][]yamlNode
	var bad []Diagnostic
	for _, d := range docs {
		switch {
		case d.null():
		case d.isSeq():
			out = append(out, d.items())
		default:
			at := d.place()
			bad = append(bad, Diagnostic{Severity: SeverityError, Code: CodeYAMLValidate, File: at.File, Line: at.Line, Col: at.Col,
				Message: "a rule file is a sequence of items, found " + d.kind(), Remedy: "start each item with '- '"})
		}
	}
	return out, bad
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?(.*)$`)

// parseYAML reads all documents of text, whose first line is line base+1 of src.
func parseYAML(src *sourceText, text []byte, base int) (docs []yamlNode, bad *Diagnostic) {
	defer func() {
		// The library answers some malformed input with a panic; that too is a fault of the file.
		if r := recover(); r != nil {
			docs, bad = nil, &Diagnostic{Severity: SeverityError, Code: CodeYAMLParse, File: src.name, Line: base + 1, Message: fmt.Sprint(r)}
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var y yaml.Node
		err := dec.Decode(&y)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			d := &Diagnostic{Severity: SeverityError, Code: CodeYAMLParse, File: src.name, Message: err.Error(),
				Remedy: "check the indentation, the quotes and the colons around there"}
			if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
				d.Message = "this is not YAML: " + m[2]
				if line, err := strconv.Atoi(m[1]); err == nil {
					d.Line = min(base+line, len(src.lines))
				}
			}
			return nil, d
		}
		if y.Kind == yaml.DocumentNode && len(y.Content) == 1 {
			docs = append(docs, yamlNode{y: y.Content[0], src: src, base: base})
		}
	}
}

// The bounds of reading a broken file item by item.
const (
	maxRecovered   = 50_000
	maxBrokenItems = 200
)

type chunk struct{ from, to, line int }

// topLevelItems cuts a file where lines start with "- " at the margin.
func topLevelItems(b []byte) []chunk {
	var out []chunk
	line := 0
	for off := 0; off < len(b); line++ {
		end := bytes.IndexByte(b[off:], '\n')
		if end < 0 {
			end = len(b) - off - 1
		}
		text := b[off : off+end+1]
		if bytes.HasPrefix(text, []byte("- ")) || bytes.HasPrefix(text, []byte("---")) || strings.TrimSpace(string(text[:min(2, len(text))])) == "-" {
			if n := len(out); n > 0 {
				out[n-1].to = off
			}
			out = append(out, chunk{from: off, to: len(b), line: line})
		}
		off += end + 1
	}
	return out
}
