package event

// tapeBuilder reads JSON as RFC 8259 has it, without recursion.
type tapeBuilder struct {
	doc   []byte
	pos   int
	nodes []node
}

// noNode stands for the container around the document.
const noNode = ^uint32(0)

func (b *tapeBuilder) run() bool {
	open, depth := noNode, 0
	for {
		// A value stands here.
		b.space()
		if b.pos >= len(b.doc) {
			return false
		}
		switch c := b.doc[b.pos]; c {
		case '{', '[':
			if depth++; depth > maxTapeDepth {
				return false
			}
			b.nodes = append(b.nodes, node{from: uint32(b.pos), next: open, kind: c})
			open = uint32(len(b.nodes) - 1)
			b.pos++
			b.space()
			if b.at(c + 2) { // '}' and ']' are two after their openings
				break
			}
			if c == '{' && !b.key() {
				return false
			}
			continue
		case '"':
			if !b.text() {
				return false
			}
		case 't':
			if !b.word("true", nodeTrue) {
				return false
			}
		case 'f':
			if !b.word("false", nodeFalse) {
				return false
			}
		case 'n':
			if !b.word("null", nodeNull) {
				return false
			}
		default:
			if !b.number() {
				return false
			}
		}
		// A value has ended, unless the container that was just opened ends at once.
		for {
			b.space()
			if open == noNode {
				return b.pos == len(b.doc)
			}
			if b.pos >= len(b.doc) {
				return false
			}
			in := &b.nodes[open]
			switch c := b.doc[b.pos]; {
			case c == in.kind+2:
				b.pos++
				around := in.next
				in.to, in.next = uint32(b.pos), uint32(len(b.nodes))
				open = around
				depth--
				continue
			case c == ',':
				b.pos++
				if in.kind == nodeObject {
					b.space()
					if !b.key() {
						return false
					}
				}
			default:
				return false
			}
			break
		}
	}
}

func (b *tapeBuilder) at(c byte) bool { return b.pos < len(b.doc) && b.doc[b.pos] == c }

func (b *tapeBuilder) space() {
	for b.pos < len(b.doc) {
		switch b.doc[b.pos] {
		case ' ', '\t', '\n', '\r':
			b.pos++
		default:
			return
		}
	}
}

// key reads a key and the colon after it.
func (b *tapeBuilder) key() bool {
	if !b.at('"') || !b.text() {
		return false
	}
	b.space()
	if !b.at(':') {
		return false
	}
	b.pos++
	return true
}

// text reads a string. Bytes that are no UTF-8 are kept as they are.
func (b *tapeBuilder) text() bool {
	from, kind := b.pos+1, nodeString
	for i := from; i < len(b.doc); i++ {
		switch c := b.doc[i]; {
		case c == '"':
			b.pos = i + 1
			b.leaf(from, i, kind)
			return true
		case c == '\\':
			kind = nodeEscaped
			if i++; i >= len(b.doc) {
				return false
			}
			switch b.doc[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if _, ok := hex4(b.doc[i+1:]); !ok {
					return false
				}
				i += 4
			default:
				return false
			}
		case c < ' ':
			return false
		}
	}
	return false
}

func (b *tapeBuilder) leaf(from, to int, kind byte) {
	b.nodes = append(b.nodes, node{from: uint32(from), to: uint32(to), next: uint32(len(b.nodes) + 1), kind: kind})
}

func (b *tapeBuilder) word(w string, kind byte) bool {
	if len(b.doc)-b.pos < len(w) || string(b.doc[b.pos:b.pos+len(w)]) != w {
		return false
	}
	b.leaf(b.pos, b.pos+len(w), kind)
	b.pos += len(w)
	return true
}

func (b *tapeBuilder) number() bool {
	from := b.pos
	if b.at('-') {
		b.pos++
	}
	switch {
	case b.at('0'):
		b.pos++
	case !b.digits():
		return false
	}
	if b.at('.') {
		b.pos++
		if !b.digits() {
			return false
		}
	}
	if b.at('e') || b.at('E') {
		b.pos++
		if b.at('+') || b.at('-') {
			b.pos++
		}
		if !b.digits() {
			return false
		}
	}
	b.leaf(from, b.pos, nodeNumber)
	return true
}

func (b *tapeBuilder) digits() bool {
	from := b.pos
	for b.pos < len(b.doc) && b.doc[b.pos] >= '0' && b.doc[b.pos] <= '9' {
		b.pos++
	}
	return b.pos > from
}
