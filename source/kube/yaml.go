package kube

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of one YAML document, or item of a list.
const (
	maxYAMLBytes = 8 << 20
	maxYAMLMarks = 2_000_000 // line ends, commas, colons and brackets: what a parser makes nodes of
	maxYAMLDepth = 128
	maxYAMLVisit = 4_000_000 // nodes, those behind aliases counted each time
)

// yamlFile reads a file of YAML documents. The items of a list that kubectl wrote are
// taken one by one, so that its length does not matter.
func (e *Export) yamlFile(name string, in *bufio.Reader) error {
	d := &yamlDoc{e: e, file: name}
	for line := 1; ; line++ {
		text, err := readLine(in, maxYAMLBytes)
		if len(text) > 0 {
			if err := d.line(line, text); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return d.end()
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
}

// readLine returns the next line with its end; of one that is longer than limit, the
// first part.
func readLine(in *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(line) <= limit {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// yamlDoc collects the lines of the document, or of the item of a list, that is read.
type yamlDoc struct {
	e      *Export
	file   string
	text   bytes.Buffer // of the document without its items, or of the item
	start  int          // line of its first
	list   bool         // below the key items: of the outermost mapping
	item   bool         // within one of its items
	indent int          // of its items
	frame  []byte       // what stood before the key items:; nil = the document has had none
	first  int          // line of its first
	big    bool         // it is larger than is read
}

func (d *yamlDoc) line(n int, text []byte) error {
	body := bytes.TrimLeft(text, " ")
	indent := len(text) - len(body)
	empty := len(bytes.TrimSpace(body)) == 0 || body[0] == '#'
	switch {
	case isMark(text, "---"):
		if err := d.end(); err != nil {
			return err
		}
		// What stands behind the mark belongs to the document.
		if rest := bytes.TrimSpace(text[3:]); len(rest) > 0 && rest[0] != '#' {
			d.append(n, append(bytes.Clone(rest), '\n'))
		}
		return nil
	case isMark(text, "..."):
		return d.end()
	case d.frame == nil && d.text.Len() > 0 && bytes.Equal(bytes.TrimRight(text, " \t\r\n"), []byte("items:")):
		d.list, d.item, d.frame, d.first = true, false, bytes.Clone(d.text.Bytes()), d.start
		d.text.Reset()
		return nil
	case !d.list || empty:
	case bytes.HasPrefix(body, []byte("- ")) && (!d.item || indent == d.indent):
		if err := d.flush(); err != nil {
			return err
		}
		d.item, d.indent = true, indent
		body[0] = ' '
	case !d.item && indent > 0: // no list after all
		frame := append(d.frame, "items:\n"...)
		d.list, d.frame = false, nil
		d.text.Reset()
		d.append(d.first, frame)
	case indent == 0: // the list's own fields go on
		if err := d.flush(); err != nil {
			return err
		}
		d.list, d.item = false, false
	}
	d.append(n, text)
	return nil
}

func isMark(line []byte, mark string) bool {
	return bytes.HasPrefix(line, []byte(mark)) && (len(line) == 3 || line[3] == ' ' || line[3] == '\t' || line[3] == '\r' || line[3] == '\n')
}

func (d *yamlDoc) append(n int, text []byte) {
	if d.text.Len() == 0 {
		d.start = n
	}
	if d.text.Len()+len(text) > maxYAMLBytes {
		d.big = true
		return
	}
	d.text.Write(text)
}

// end ends a document.
func (d *yamlDoc) end() error {
	err := d.flush()
	d.list, d.item, d.frame = false, false, nil
	return err
}

// flush takes what was collected as an object, unless it is the frame of a list.
func (d *yamlDoc) flush() error {
	defer func() { d.text.Reset(); d.big = false }()
	if d.frame != nil && !d.item {
		return nil
	}
	if d.big {
		d.e.problem(d.file, d.start, fmt.Sprintf("a document of more than %d MiB", maxYAMLBytes>>20), "export it as JSON (kubectl get … -o json), which is read piece by piece")
		return nil
	}
	return d.e.yaml(d.file, d.start, d.text.Bytes(), d.frame)
}

// yaml takes one YAML document that starts on a line; frame is that of the list of which
// it is an item.
func (e *Export) yaml(file string, start int, text, frame []byte) error {
	if blank(text) {
		return nil
	}
	docs, line, err := yamlToJSON(text)
	if err != nil {
		if bytes.Contains(text, []byte("{{")) {
			e.template(file, start)
		} else {
			e.problem(file, start+max(line-1, 0), err.Error(), "")
		}
		return nil
	}
	for _, doc := range docs {
		if kind, _ := kindOf(doc.json); kind == "" && frame != nil {
			if list, _, err := yamlToJSON(frame); err == nil && len(list) == 1 { // the list says it once for all
				kind, version := kindOf(list[0].json)
				doc.json = typed(doc.json, version, strings.TrimSuffix(kind, "List"))
			}
		}
		if err := e.add(file, start+doc.line-1, doc.json); err != nil {
			return err
		}
	}
	return nil
}

// blank reports whether a document has only comments and empty lines.
func blank(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// jsonDoc is one object with the line at which it starts, from 1.
type jsonDoc struct {
	json []byte
	line int
}

// yamlToJSON turns one YAML document into the JSON of its objects: those of a list, or
// itself. It returns the line of an error, 0 = not known.
func yamlToJSON(text []byte) (docs []jsonDoc, line int, err error) {
	marks := 0
	for _, c := range text {
		switch c {
		case '\n', ',', ':', '[', '{', '-', '?':
			marks++
		}
	}
	if marks > maxYAMLMarks {
		return nil, 1, fmt.Errorf("more than %d keys and values in one document", maxYAMLMarks)
	}
	defer func() { // the parser is not ours, and the text is anybody's
		if r := recover(); r != nil {
			docs, line, err = nil, 1, fmt.Errorf("not YAML: %v", r)
		}
	}()
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		line, what := yamlError(err)
		return nil, line, errors.New("not YAML: " + what)
	}
	if len(root.Content) == 0 {
		return nil, 0, nil
	}
	top := resolve(root.Content[0])
	if top.Kind == yaml.ScalarNode && top.ShortTag() == "!!null" {
		return nil, 0, nil
	}
	c := converter{left: maxYAMLVisit}
	list := field(top, "items")
	if kind := field(top, "kind"); list == nil || list.Kind != yaml.SequenceNode || kind == nil || !strings.HasSuffix(kind.Value, "List") {
		list = nil
	}
	if list == nil {
		doc, err := c.convert(top)
		return []jsonDoc{{doc, top.Line}}, c.line, err
	}
	for _, item := range list.Content {
		doc, err := c.convert(resolve(item))
		if err != nil {
			return nil, c.line, err
		}
		kind, _ := kindOf(doc)
		if kind == "" { // the list says it once for all
			doc = typed(doc, scalar(field(top, "apiVersion")), strings.TrimSuffix(scalar(field(top, "kind")), "List"))
		}
		docs = append(docs, jsonDoc{doc, item.Line})
	}
	return docs, 0, nil
}

// yamlError takes the line from a parser's message.
func yamlError(err error) (int, string) {
	what := strings.TrimPrefix(err.Error(), "yaml: ")
	var line int
	if n, _ := fmt.Sscanf(what, "line %d:", &line); n == 1 {
		_, what, _ = strings.Cut(what, ": ")
		// Of what its second stage finds, the parser counts lines from 0.
		for _, late := range []string{"<document start>", "node content", "'-' indicator", "',' or ']'", "',' or '}'", "key"} {
			if what == "did not find expected "+late {
				line++
			}
		}
	}
	return line, what
}

func resolve(n *yaml.Node) *yaml.Node {
	for range maxYAMLDepth {
		if n.Kind != yaml.AliasNode || n.Alias == nil {
			break
		}
		n = n.Alias
	}
	return n
}

// field finds a value of a mapping; nil when there is none.
func field(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return resolve(n.Content[i+1])
		}
	}
	return nil
}

func scalar(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// converter writes nodes as JSON. It bounds what aliases can make of a small document.
type converter struct {
	out  bytes.Buffer
	left int // nodes that may still be visited
	line int // of the last node, or of the error
}

func (c *converter) convert(n *yaml.Node) ([]byte, error) {
	c.out.Reset()
	if err := c.node(n, 0); err != nil {
		return nil, err
	}
	return bytes.Clone(c.out.Bytes()), nil
}

var errYAMLBomb = errors.New("aliases make the document larger than is read")

func (c *converter) node(n *yaml.Node, depth int) error {
	c.line = n.Line
	if c.left--; c.left < 0 || c.out.Len() > maxYAMLBytes {
		return errYAMLBomb
	}
	if depth > maxYAMLDepth {
		return fmt.Errorf("nested more than %d deep", maxYAMLDepth)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return c.node(n.Alias, depth+1)
	case yaml.SequenceNode:
		c.out.WriteByte('[')
		for i, v := range n.Content {
			if i > 0 {
				c.out.WriteByte(',')
			}
			if err := c.node(v, depth+1); err != nil {
				return err
			}
		}
		c.out.WriteByte(']')
		return nil
	case yaml.MappingNode:
		c.out.WriteByte('{')
		seen := map[string]bool{}
		if err := c.mapping(n, depth, seen, false); err != nil {
			return err
		}
		c.out.WriteByte('}')
		return nil
	case yaml.ScalarNode:
		return c.scalar(n)
	}
	return fmt.Errorf("a node of the unknown kind %d", n.Kind)
}

// mapping writes the pairs of a mapping, then those that it merges in and does not have.
func (c *converter) mapping(n *yaml.Node, depth int, seen map[string]bool, merged bool) error {
	c.line = n.Line
	if depth > maxYAMLDepth {
		return fmt.Errorf("nested more than %d deep", maxYAMLDepth)
	}
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolve(n.Content[i]), n.Content[i+1]
		if c.left--; c.left < 0 {
			return errYAMLBomb
		}
		if key.Kind != yaml.ScalarNode {
			c.line = key.Line
			return errors.New("a key that is no text")
		}
		if key.Value == "<<" && key.ShortTag() == "!!merge" {
			merges = append(merges, value)
			continue
		}
		if seen[key.Value] {
			if merged {
				continue
			}
			c.line = key.Line
			return fmt.Errorf("the key %q stands twice", cut(key.Value, 64))
		}
		if len(seen) > 0 {
			c.out.WriteByte(',')
		}
		seen[key.Value] = true
		c.text(key.Value)
		c.out.WriteByte(':')
		if err := c.node(value, depth+1); err != nil {
			return err
		}
	}
	for _, m := range merges {
		m = resolve(m)
		parts := []*yaml.Node{m}
		if m.Kind == yaml.SequenceNode {
			parts = m.Content
		}
		for _, p := range parts {
			if p = resolve(p); p.Kind != yaml.MappingNode {
				c.line = p.Line
				return errors.New("<< merges what is no mapping")
			}
			if err := c.mapping(p, depth+1, seen, true); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *converter) text(s string) {
	doc, _ := json.Marshal(s) // of a string it cannot fail
	c.out.Write(doc)
}

// scalar writes a value with the type that kubectl would see: yes and on are true, as in
// YAML 1.1.
func (c *converter) scalar(n *yaml.Node) error {
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		c.text(n.Value)
		return nil
	}
	switch n.ShortTag() {
	case "!!null":
		c.out.WriteString("null")
	case "!!bool":
		fmt.Fprintf(&c.out, "%t", strings.EqualFold(n.Value, "true"))
	case "!!int":
		var i int64
		if n.Decode(&i) == nil {
			fmt.Fprintf(&c.out, "%d", i)
			return nil
		}
		c.text(n.Value)
	case "!!float":
		var v float64
		if n.Decode(&v) == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
			doc, _ := json.Marshal(v) // of a finite number it cannot fail
			c.out.Write(doc)
			return nil
		}
		c.text(n.Value)
	default:
		switch n.Value {
		case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON":
			c.out.WriteString("true")
		case "n", "N", "no", "No", "NO", "off", "Off", "OFF":
			c.out.WriteString("false")
		default:
			c.text(n.Value)
		}
	}
	return nil
}
