package rule

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/dockreeve/dockreeve/rule/filter"
	"go.yaml.in/yaml/v3"
)

// formatWidth is the line length at which formatFile wraps conditions.
const formatWidth = 100

// keyOrder is the canonical order of the keys of each kind of item.
var keyOrder = map[string][]string{
	"rule": {"rule", "desc", "condition", "exceptions", "output", "priority", "source", "tags", "enabled", "warn_evttypes",
		"skip-if-unknown-filter", "capture", "capture_duration", "append", "override", "dockreeve"},
	"macro":                    {"macro", "condition", "append", "override"},
	"list":                     {"list", "items", "append", "override"},
	"required_engine_version":  {"required_engine_version"},
	"required_plugin_versions": {"required_plugin_versions"},
}

// FormatFile rewrites a rule file in one canonical form: items apart by a blank
// line, keys in one order, conditions wrapped before and/or. Comments stay with
// the node they belong to. What a file means never changes: a file that is not
// valid YAML, or of which a comment would get lost, is refused with an error
// (Diagnostics, joined) and comes back as it was. FormatFile of its own result changes nothing.
func FormatFile(f File) ([]byte, error) {
	out, diags := formatFile(f)
	var errs []error
	for _, d := range diags {
		if d.Severity == SeverityError {
			errs = append(errs, d)
		}
	}
	return out, errors.Join(errs...)
}

func formatFile(f File) ([]byte, []Diagnostic) {
	docs, problems := readYAML(f)
	if HasErrors(problems) {
		return f.Data, problems
	}
	refuse := func(message, remedy string) ([]byte, []Diagnostic) {
		return f.Data, []Diagnostic{{Severity: SeverityError, Code: CodeYAMLValidate, File: f.Name, Message: message, Remedy: remedy}}
	}
	// Comments between items are moved by hand, because YAML's own rules tie
	// them to the wrong neighbour; the parser gets the text without them.
	m := newMargin(f.Data, docs)
	bare, problems := readYAML(File{Name: f.Name, Data: m.without})
	if HasErrors(problems) || !sameDocs(docs, bare) {
		return refuse("the comments between its items cannot be told from its content", "format it by hand")
	}
	var out bytes.Buffer
	n := 0
	for i, items := range bare {
		if i > 0 {
			out.WriteString("\n---\n\n")
		}
		for j, item := range items {
			if j > 0 {
				out.WriteByte('\n')
			}
			out.WriteString(m.before[n])
			n++
			text, err := formatItem(item)
			if err != nil {
				at := item.place()
				return f.Data, []Diagnostic{{Severity: SeverityError, Code: CodeYAMLValidate, File: f.Name, Line: at.Line, Col: at.Col, Message: err.Error()}}
			}
			out.Write(text)
		}
	}
	if m.after != "" {
		if n > 0 {
			out.WriteByte('\n')
		}
		out.WriteString(m.after)
	}
	if lost := lostComment(f.Data, out.Bytes()); lost != "" {
		return refuse(fmt.Sprintf("formatting would lose the comment %q", lost), "move it to a line of its own before an item")
	}
	again, problems := readYAML(File{Name: f.Name, Data: out.Bytes()})
	if HasErrors(problems) || !sameDocs(docs, again) {
		return refuse("this file cannot be formatted without changing what it says", "format it by hand")
	}
	return out.Bytes(), nil
}

// margin holds the comments between items.
type margin struct {
	before  []string // of each item, in file order
	after   string   // behind the last one
	without []byte   // the file, these comments blanked out
}

func newMargin(data []byte, docs [][]yamlNode) margin {
	lines := strings.Split(string(data), "\n")
	m := margin{}
	floor := 0
	for _, items := range docs {
		for _, it := range items {
			dash := it.place().Line - 1
			for dash > floor && !strings.HasPrefix(strings.TrimSpace(lines[dash]), "-") {
				dash--
			}
			m.before = append(m.before, takeComments(lines, dash, floor, indentOf(lines[dash])))
			floor = dash + 1
		}
	}
	m.after = strings.TrimRight(takeComments(lines, len(lines), floor, 0), "\n")
	if m.after != "" {
		m.after += "\n"
	}
	m.without = []byte(strings.Join(lines, "\n"))
	return m
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// takeComments cuts the comment lines right above line end, not above floor,
// and gives them with single blank lines between groups.
func takeComments(lines []string, end, floor, indent int) string {
	start := end
	for start > floor {
		text := strings.TrimSpace(lines[start-1])
		if text != "" && (text[0] != '#' || indentOf(lines[start-1]) > indent) {
			break
		}
		start--
	}
	var b strings.Builder
	blank := true
	for i := start; i < end; i++ {
		text := strings.TrimSpace(lines[i])
		lines[i] = ""
		if text != "" {
			b.WriteString(text + "\n")
		} else if !blank {
			b.WriteByte('\n')
		}
		blank = text == ""
	}
	return b.String()
}

// formatItem writes one element of the top-level sequence.
func formatItem(n yamlNode) ([]byte, error) {
	y := copyNode(n.y, 0)
	kind := ""
	if y.Kind == yaml.MappingNode {
		for _, k := range []string{"required_engine_version", "required_plugin_versions", "list", "macro", "rule"} {
			if n.has(k) {
				kind = k
				break
			}
		}
	}
	if kind != "" {
		sortKeys(y, keyOrder[kind])
		for i := 0; i+1 < len(y.Content); i += 2 {
			switch v := y.Content[i+1]; {
			case y.Content[i].Value == "condition" && (kind == "rule" || kind == "macro"):
				formatCondition(v)
			case kind == "rule" && isProse(y.Content[i].Value):
				formatProse(v)
			case v.Kind == yaml.SequenceNode && v.Style&yaml.FlowStyle != 0 && flowWidth(v) > formatWidth-len(y.Content[i].Value)-6:
				v.Style &^= yaml.FlowStyle
			}
		}
	}
	// The item's own comments are written here, at the margin.
	head, foot := y.HeadComment, y.FootComment
	y.HeadComment, y.FootComment = "", ""
	var b bytes.Buffer
	if head != "" {
		b.WriteString(head + "\n")
	}
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{y}}); err != nil {
		return nil, err
	}
	if err := enc.Close(); err != nil {
		return nil, err
	}
	if foot != "" {
		b.WriteString("\n" + foot + "\n")
	}
	return b.Bytes(), nil
}

// copyNode copies a tree deep enough that sorting and restyling leave the original alone.
func copyNode(y *yaml.Node, depth int) *yaml.Node {
	c := *y
	if depth < 3 {
		c.Content = make([]*yaml.Node, len(y.Content))
		for i, k := range y.Content {
			c.Content[i] = copyNode(k, depth+1)
		}
	}
	return &c
}

func sortKeys(y *yaml.Node, order []string) {
	rank := func(key string) int {
		for i, k := range order {
			if k == key {
				return i
			}
		}
		return len(order)
	}
	type pair struct{ k, v *yaml.Node }
	pairs := make([]pair, 0, len(y.Content)/2)
	for i := 0; i+1 < len(y.Content); i += 2 {
		pairs = append(pairs, pair{y.Content[i], y.Content[i+1]})
	}
	// A comment before the first key of an item is the item's own.
	lead := ""
	if len(pairs) > 0 {
		lead, pairs[0].k.HeadComment = pairs[0].k.HeadComment, ""
	}
	sort.SliceStable(pairs, func(i, j int) bool { return rank(pairs[i].k.Value) < rank(pairs[j].k.Value) })
	y.Content = y.Content[:0]
	for _, p := range pairs {
		y.Content = append(y.Content, p.k, p.v)
	}
	if lead != "" && y.HeadComment == "" {
		y.HeadComment = lead
	} else if lead != "" {
		y.HeadComment += "\n" + lead
	}
}

// formatCondition wraps a condition; a fragment that only parses once it is
// appended to another stays as it is.
func formatCondition(v *yaml.Node) {
	if v.Kind != yaml.ScalarNode || v.ShortTag() != "!!str" {
		return
	}
	text := v.Value
	e, err := filter.Parse(text, filter.Options{})
	if err != nil {
		return
	}
	pretty := filter.Pretty(e, formatWidth-4)
	again, err := filter.Parse(pretty, filter.Options{})
	if err != nil || !filter.Equal(e, again) {
		return
	}
	v.Value = pretty
	v.Style = 0
	if strings.Contains(pretty, "\n") || len(pretty) > formatWidth-16 {
		v.Value += "\n"
		v.Style = yaml.LiteralStyle
	}
}

// isProse tells the keys whose outer blanks mean nothing.
func isProse(key string) bool { return key == "desc" || key == "output" }

// formatProse drops the final line break of a block, which the encoder doubles.
func formatProse(v *yaml.Node) {
	if v.Kind == yaml.ScalarNode && v.Style&(yaml.FoldedStyle|yaml.LiteralStyle) != 0 && v.ShortTag() == "!!str" {
		v.Value = strings.TrimSpace(v.Value)
	}
}

// flowWidth measures a sequence of scalars on one line.
func flowWidth(v *yaml.Node) int {
	n := 2
	for _, it := range v.Content {
		if it.Kind != yaml.ScalarNode {
			return 0
		}
		n += len(it.Value) + 2
	}
	return n
}

// lostComment names a comment line of before that after no longer has.
func lostComment(before, after []byte) string {
	count := func(b []byte) map[string]int {
		m := map[string]int{}
		for _, line := range strings.Split(string(b), "\n") {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
				m[line]++
			}
		}
		return m
	}
	has := count(after)
	for line, n := range count(before) {
		if has[line] < n {
			return line
		}
	}
	return ""
}

// sameDocs compares documents by what a loader reads: keys, values and, for
// conditions, their trees.
func sameDocs(a, b [][]yamlNode) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if len(a[i]) != len(b[i]) {
			return false
		}
		for j := range a[i] {
			if !sameNode(a[i][j], b[i][j], "", 0) {
				return false
			}
		}
	}
	return true
}

func sameNode(a, b yamlNode, key string, depth int) bool {
	a, b = a.target(), b.target()
	if depth > 50 || a.y == nil || b.y == nil || a.y.Kind != b.y.Kind || len(a.y.Content) != len(b.y.Content) {
		return false
	}
	switch {
	case a.isMap():
		same := true
		a.each(func(k string, _, v yamlNode) {
			first, _ := a.get(k)
			if first.y != v.y {
				return // a second key of the same name means nothing
			}
			w, ok := b.get(k)
			same = same && ok && sameNode(v, w, k, depth+1)
		})
		return same
	case a.isSeq():
		as, bs := a.items(), b.items()
		for i := range as {
			if !sameNode(as[i], bs[i], "", depth+1) {
				return false
			}
		}
		return true
	}
	if a.y.Value == b.y.Value {
		return a.null() == b.null()
	}
	if isProse(key) {
		return strings.TrimSpace(a.y.Value) == strings.TrimSpace(b.y.Value)
	}
	if key != "condition" {
		return false
	}
	x, err := filter.Parse(a.y.Value, filter.Options{})
	if err != nil {
		return false
	}
	y, err := filter.Parse(b.y.Value, filter.Options{})
	return err == nil && filter.Equal(x, y)
}
