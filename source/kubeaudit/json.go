package kubeaudit

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// The JSON of audit events is read in two steps, because the objects inside come from
// whoever talks to the API server and must not be able to make the rest unreadable: scan
// finds where a value ends, whatever its depth, and node trees are built of one member at
// a time, so that a member that goes beyond the bounds costs only itself.

var (
	errCut    = errors.New("text ends inside a value")
	errSyntax = errors.New("not JSON")
	errDepth  = fmt.Errorf("nested deeper than %d", maxDepth)
	errNodes  = fmt.Errorf("more than %d values", maxNodes)
)

const (
	maxDepth = 128     // of a tree; deeper members are left out and marked
	maxNodes = 1 << 19 // values of one tree: 48 bytes and more each
)

// value returns the first JSON value of b, without white space around it, and what
// follows. Its error is errCut when b ends too soon and errSyntax when b is no JSON.
func (p *parser) value(b []byte) (v, rest []byte, err error) {
	b = trimLeft(b)
	p.scan.reset()
	n, done, err := p.scan.feed(b)
	switch {
	case err != nil:
		return nil, b[n:], err
	case done:
		return b[:n], b[n:], nil
	case p.scan.state == inWord && len(p.scan.stack) == 0:
		return b, nil, nil
	}
	return nil, nil, errCut
}

func trimLeft(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\n' || b[0] == '\t' || b[0] == '\r') {
		b = b[1:]
	}
	return b
}

// each calls item with each element of an array, or each member of an object and its
// key. b is one whole value that scan has seen.
func (p *parser) each(b []byte, item func(key string, v []byte) error) error {
	if len(b) < 2 {
		return errSyntax
	}
	object := b[0] == '{'
	b = trimLeft(b[1 : len(b)-1])
	for len(b) > 0 {
		key := ""
		if object {
			k, rest, err := p.value(b)
			if err != nil {
				return err
			}
			if key, err = p.text(k); err != nil {
				return err
			}
			if b = trimLeft(rest); len(b) == 0 || b[0] != ':' {
				return errSyntax
			}
			b = b[1:]
		}
		v, rest, err := p.value(b)
		if err != nil {
			return err
		}
		if err := item(key, v); err != nil {
			return err
		}
		if b = trimLeft(rest); len(b) == 0 {
			return nil
		}
		if b[0] != ',' {
			return errSyntax
		}
		b = b[1:]
	}
	return nil
}

// kind is what a node is.
type kind uint8

const (
	kNone kind = iota
	kObject
	kArray
	kString
	kBare // number, true, false or null, as written
)

// node is one value of a tree.
type node struct {
	kind kind
	key  string // its name, when it is a member
	text string // of a string, decoded; of a bare value, as written
	kids []node
}

// get returns the last member of that name, nil when there is none.
func (n *node) get(key string) *node {
	if n == nil || n.kind != kObject {
		return nil
	}
	for i := len(n.kids) - 1; i >= 0; i-- {
		if n.kids[i].key == key {
			return &n.kids[i]
		}
	}
	return nil
}

// str returns the text of a string member, "" when there is none.
func (n *node) str(key string) string {
	if m := n.get(key); m != nil && m.kind == kString {
		return m.text
	}
	return ""
}

// parser builds trees and counts what it had to change. Not safe for concurrent use.
type parser struct {
	scan  scan
	in    string
	at    int
	count int
	stack []node
	bad   bool // text that was not UTF-8 was replaced
	buf   []byte
}

// tree builds the tree of one whole value.
func (p *parser) tree(b []byte) (node, error) {
	p.in, p.at, p.count, p.stack = string(b), 0, 0, p.stack[:0]
	n, err := p.node(0)
	if err != nil {
		return node{}, err
	}
	if p.space(); p.at < len(p.in) {
		return node{}, errSyntax
	}
	return n, nil
}

func (p *parser) space() {
	for p.at < len(p.in) && (p.in[p.at] == ' ' || p.in[p.at] == '\n' || p.in[p.at] == '\t' || p.in[p.at] == '\r') {
		p.at++
	}
}

func (p *parser) node(depth int) (node, error) {
	if p.count++; p.count > maxNodes {
		return node{}, errNodes
	}
	if depth > maxDepth {
		return node{}, errDepth
	}
	p.space()
	if p.at >= len(p.in) {
		return node{}, errCut
	}
	switch c := p.in[p.at]; c {
	case '"':
		s, err := p.string()
		return node{kind: kString, text: s}, err
	case '{', '[':
		return p.list(depth, c)
	default:
		from := p.at
		for p.at < len(p.in) && wordByte(p.in[p.at]) {
			p.at++
		}
		w := p.in[from:p.at]
		if w != "true" && w != "false" && w != "null" && !number(w) {
			return node{}, errSyntax
		}
		return node{kind: kBare, text: w}, nil
	}
}

func (p *parser) list(depth int, open byte) (node, error) {
	out, end := node{kind: kArray}, byte(']')
	if open == '{' {
		out.kind, end = kObject, '}'
	}
	p.at++
	base := len(p.stack)
	for first := true; ; first = false {
		p.space()
		if p.at >= len(p.in) {
			return node{}, errCut
		}
		if p.in[p.at] == end && first {
			p.at++
			break
		}
		key := ""
		if end == '}' {
			if p.in[p.at] != '"' {
				return node{}, errSyntax
			}
			var err error
			if key, err = p.string(); err != nil {
				return node{}, err
			}
			if p.space(); p.at >= len(p.in) || p.in[p.at] != ':' {
				return node{}, errSyntax
			}
			p.at++
		}
		n, err := p.node(depth + 1)
		if err != nil {
			return node{}, err
		}
		n.key = key
		p.stack = append(p.stack, n)
		p.space()
		if p.at >= len(p.in) {
			return node{}, errCut
		}
		c := p.in[p.at]
		p.at++
		if c == end {
			break
		}
		if c != ',' {
			return node{}, errSyntax
		}
	}
	if len(p.stack) > base {
		out.kids = append([]node(nil), p.stack[base:]...)
		p.stack = p.stack[:base]
		if out.kind == kObject {
			out.kids = unique(out.kids)
		}
	}
	return out, nil
}

// unique keeps the last of members with the same name, as Kubernetes reads them.
func unique(kids []node) []node {
	if len(kids) <= 16 {
		out := kids[:0]
	next:
		for i := range kids {
			for j := i + 1; j < len(kids); j++ {
				if kids[j].key == kids[i].key {
					continue next
				}
			}
			out = append(out, kids[i])
		}
		return out
	}
	last := make(map[string]int, len(kids))
	for i := range kids {
		last[kids[i].key] = i
	}
	if len(last) == len(kids) {
		return kids
	}
	out := kids[:0]
	for i := range kids {
		if last[kids[i].key] == i {
			out = append(out, kids[i])
		}
	}
	return out
}

// text decodes one string.
func (p *parser) text(b []byte) (string, error) {
	p.in, p.at = string(b), 0
	if len(b) < 2 || b[0] != '"' {
		return "", errSyntax
	}
	return p.string()
}

// string reads the string that begins at p.at. What is not UTF-8 becomes U+FFFD.
func (p *parser) string() (string, error) {
	p.at++
	from := p.at
	for p.at < len(p.in) {
		c := p.in[p.at]
		if c == '"' {
			s := p.in[from:p.at]
			p.at++
			return s, nil
		}
		if c == '\\' || c < 0x20 || c >= utf8.RuneSelf {
			break
		}
		p.at++
	}
	p.buf = append(p.buf[:0], p.in[from:p.at]...)
	for p.at < len(p.in) {
		c := p.in[p.at]
		switch {
		case c == '"':
			p.at++
			return string(p.buf), nil
		case c < 0x20:
			return "", errSyntax
		case c == '\\':
			if err := p.escape(); err != nil {
				return "", err
			}
		case c < utf8.RuneSelf:
			p.buf = append(p.buf, c)
			p.at++
		default:
			r, n := utf8.DecodeRuneInString(p.in[p.at:])
			if r == utf8.RuneError && n == 1 {
				p.bad = true
			}
			p.buf = utf8.AppendRune(p.buf, r)
			p.at += n
		}
	}
	return "", errCut
}

func (p *parser) escape() error {
	if p.at+1 >= len(p.in) {
		return errCut
	}
	c := p.in[p.at+1]
	p.at += 2
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		r, err := p.hex()
		if err != nil {
			return err
		}
		if utf16.IsSurrogate(r) {
			pair := rune(utf8.RuneError)
			if p.at+5 < len(p.in) && p.in[p.at] == '\\' && p.in[p.at+1] == 'u' {
				at := p.at
				p.at += 2
				low, err := p.hex()
				if err != nil {
					return err
				}
				if pair = utf16.DecodeRune(r, low); pair == utf8.RuneError {
					p.at = at
				}
			}
			p.bad = p.bad || pair == utf8.RuneError
			r = pair
		}
		p.buf = utf8.AppendRune(p.buf, r)
		return nil
	default:
		return errSyntax
	}
	p.buf = append(p.buf, c)
	return nil
}

func (p *parser) hex() (rune, error) {
	if p.at+4 > len(p.in) {
		return 0, errCut
	}
	n, err := strconv.ParseUint(p.in[p.at:p.at+4], 16, 16)
	if err != nil {
		return 0, errSyntax
	}
	p.at += 4
	return rune(n), nil
}

// number reports whether w has the form of a JSON number.
func number(w string) bool {
	i := 0
	digits := func() bool {
		from := i
		for i < len(w) && w[i] >= '0' && w[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(w) && w[i] == '-' {
		i++
	}
	if i < len(w) && w[i] == '0' {
		i++
	} else if !digits() {
		return false
	}
	if i < len(w) && w[i] == '.' {
		if i++; !digits() {
			return false
		}
	}
	if i < len(w) && w[i]|0x20 == 'e' {
		if i++; i < len(w) && (w[i] == '+' || w[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	return i == len(w)
}

// append writes the tree as compact JSON.
func (n *node) append(b []byte) []byte {
	switch n.kind {
	case kString:
		return appendText(b, n.text)
	case kBare:
		return append(b, n.text...)
	case kArray:
		b = append(b, '[')
		for i := range n.kids {
			if i > 0 {
				b = append(b, ',')
			}
			b = n.kids[i].append(b)
		}
		return append(b, ']')
	case kObject:
		b = append(b, '{')
		for i := range n.kids {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendText(b, n.kids[i].key), ':')
			b = n.kids[i].append(b)
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

const hexDigits = "0123456789abcdef"

// appendText writes a JSON string on one line, whoever's idea of a line it is.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(append(b, s[from:i]...), '\\', c)
			from = i + 1
		case c == '\n':
			b = append(append(b, s[from:i]...), '\\', 'n')
			from = i + 1
		case c < 0x20 || c == 0x7f:
			b = append(append(b, s[from:i]...), '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			from = i + 1
		case c == 0xe2 && i+2 < len(s) && s[i+1] == 0x80 && s[i+2]&^1 == 0xa8: // U+2028, U+2029
			b = append(append(b, s[from:i]...), '\\', 'u', '2', '0', '2', hexDigits[s[i+2]&15])
			i += 2
			from = i + 1
		}
	}
	return append(append(b, s[from:]...), '"')
}
