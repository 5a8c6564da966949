package event

import (
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// The bounds of an audit event's document: one beyond them, or one that is not JSON,
// gives no field a value. A document of MaxEncoded bytes has at most half as many
// nodes, so their number needs no bound of its own.
const maxTapeDepth = 10_000 // arrays and objects within one another, as encoding/json

// tape is an index of Event.JSON: its values in the order they stand, keys of objects
// between them. It is built once an event, on the first look-up, and its memory is
// kept by Reset. Of keys that an object has twice the first counts; only of
// FactsKey the last one does, because WithAuditFacts appends it.
type tape struct {
	state tapeState
	doc   *byte // what the nodes point into: a document put in its place is read anew
	size  int
	nodes []node
	top   [topCount]int32 // node of the value of a member of the document; 0 = none
}

type tapeState uint8

const (
	tapeNone tapeState = iota
	tapeGood
	tapeBad
)

// node is one value or key. A container's next is, while the tape is being built, the
// container around it.
type node struct {
	from, to uint32 // its text; a string's without the quotes
	next     uint32 // the node after it and everything in it
	kind     byte
}

// The kinds of node.
const (
	nodeString  byte = 's' // without escapes
	nodeEscaped byte = 'e' // with escapes
	nodeDecoded byte = 'd' // its text is in Event.scratch
	nodeNumber  byte = 'n'
	nodeTrue    byte = 't'
	nodeFalse   byte = 'f'
	nodeNull    byte = '0'
	nodeObject  byte = '{'
	nodeArray   byte = '['
)

// topKey is a member of an audit event that fields read, so that none of them has to
// look for it.
type topKey uint8

const (
	topAuditID topKey = iota
	topStage
	topLevel
	topVerb
	topUser
	topImpersonated
	topObjectRef
	topRequestURI
	topUserAgent
	topSourceIPs
	topResponseStatus
	topRequestObject
	topResponseObject
	topAnnotations
	topFacts
	topCount
)

func topKeyOf(key string) (topKey, bool) {
	switch key {
	case "auditID":
		return topAuditID, true
	case "stage":
		return topStage, true
	case "level":
		return topLevel, true
	case "verb":
		return topVerb, true
	case "user":
		return topUser, true
	case "impersonatedUser":
		return topImpersonated, true
	case "objectRef":
		return topObjectRef, true
	case "requestURI":
		return topRequestURI, true
	case "userAgent":
		return topUserAgent, true
	case "sourceIPs":
		return topSourceIPs, true
	case "responseStatus":
		return topResponseStatus, true
	case "requestObject":
		return topRequestObject, true
	case "responseObject":
		return topResponseObject, true
	case "annotations":
		return topAnnotations, true
	case FactsKey:
		return topFacts, true
	}
	return 0, false
}

// maxKeptNodes and maxKeptScratch bound the memory an event keeps for the next one,
// nodes and bytes; one that needed more gives it back.
const (
	maxKeptNodes   = 1 << 16
	maxKeptScratch = 1 << 20
)

// forget makes the tape one that was not built, and keeps its memory.
func (t *tape) forget() {
	n := t.nodes[:0]
	if cap(n) > maxKeptNodes {
		n = nil
	}
	*t = tape{nodes: n}
}

// indexed builds the tape if that was not done and reports whether it is good.
func (e *Event) indexed() bool {
	t := &e.tape
	if t.state != tapeNone && t.size == len(e.JSON) && t.doc == unsafe.SliceData(e.JSON) {
		return t.state == tapeGood
	}
	t.forget()
	t.doc, t.size = unsafe.SliceData(e.JSON), len(e.JSON)
	t.state = tapeBad
	if len(e.JSON) > MaxEncoded || len(e.JSON) == 0 {
		return false
	}
	b := tapeBuilder{doc: e.JSON, nodes: t.nodes}
	if b.run() {
		t.state = tapeGood
	}
	t.nodes = b.nodes
	if t.state == tapeBad {
		t.nodes = t.nodes[:0]
		return false
	}
	e.findTop()
	return true
}

// findTop notes the members of the document that fields read.
func (e *Event) findTop() {
	t := &e.tape
	if t.nodes[0].kind != nodeObject {
		return
	}
	for k := int32(1); k < int32(t.nodes[0].next); k = int32(t.nodes[k+1].next) {
		if key, ok := topKeyOf(e.nodeText(k)); ok && (t.top[key] == 0 || key == topFacts) {
			t.top[key] = k + 1
		}
	}
}

func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// appendUnescaped appends the text of a JSON string, which was checked before. Half a
// surrogate pair becomes U+FFFD.
func appendUnescaped(dst, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		i++
		switch c = text[i]; c {
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
			r, _ := hex4(text[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				low := rune(utf8.RuneError)
				if i+2 < len(text) && text[i+1] == '\\' && text[i+2] == 'u' {
					low, _ = hex4(text[i+3:])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

// nodeText is the text of a string or key, and of anything else as it stands in the
// document, without the blanks between its parts.
func (e *Event) nodeText(n int32) string {
	v := &e.tape.nodes[n]
	switch v.kind {
	case nodeDecoded:
		return e.view(span{int(v.from), int(v.to)})
	case nodeEscaped:
		from := len(e.scratch)
		e.scratch = appendUnescaped(e.scratch, e.JSON[v.from:v.to])
		*v = node{uint32(from), uint32(len(e.scratch)), v.next, nodeDecoded}
		return e.view(span{from, len(e.scratch)})
	case nodeObject, nodeArray:
		text := e.JSON[v.from:v.to]
		if i := firstBlank(text); i >= 0 {
			from := len(e.scratch)
			e.scratch = appendCompact(e.scratch, text)
			return e.view(span{from, len(e.scratch)})
		}
	}
	if v.from == v.to {
		return ""
	}
	return unsafe.String(&e.JSON[v.from], v.to-v.from)
}

// firstBlank finds a blank outside strings.
func firstBlank(text []byte) int {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			quoted = !quoted
		case '\\':
			i++
		case ' ', '\t', '\n', '\r':
			if !quoted {
				return i
			}
		}
	}
	return -1
}

func appendCompact(dst, text []byte) []byte {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '"':
			quoted = !quoted
		case '\\':
			dst = append(dst, c)
			i++
		case ' ', '\t', '\n', '\r':
			if !quoted {
				continue
			}
		}
		dst = append(dst, text[i])
	}
	return dst
}

// appendIndented appends JSON, which was checked before, with each value on a line of
// its own, two blanks a level.
func appendIndented(dst, text []byte) []byte {
	depth := 0
	line := func() {
		dst = append(dst, '\n')
		for range depth {
			dst = append(dst, ' ', ' ')
		}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case ' ', '\t', '\n', '\r':
		case '"':
			from := i
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			dst = append(dst, text[from:i+1]...)
		case '{', '[':
			dst = append(dst, c)
			j := i + 1
			for text[j] == ' ' || text[j] == '\t' || text[j] == '\n' || text[j] == '\r' {
				j++
			}
			if text[j] == c+2 {
				dst = append(dst, c+2)
				i = j
				continue
			}
			depth++
			line()
		case '}', ']':
			depth--
			line()
			dst = append(dst, c)
		case ',':
			dst = append(dst, c)
			line()
		case ':':
			dst = append(dst, ':', ' ')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// member finds a member of an object, or an item of an array by its number; 0 = none.
func (e *Event) member(n int32, key string) int32 {
	t := &e.tape
	end := int32(t.nodes[n].next)
	switch t.nodes[n].kind {
	case nodeObject:
		for k := n + 1; k < end; k = int32(t.nodes[k+1].next) {
			if e.nodeText(k) == key {
				return k + 1
			}
		}
	case nodeArray:
		if i, ok := itemNumber(key); ok {
			return e.item(n, i)
		}
	}
	return 0
}

// item finds an item of an array; 0 = none.
func (e *Event) item(n int32, i int) int32 {
	t := &e.tape
	end := int32(t.nodes[n].next)
	for k := n + 1; k < end; k = int32(t.nodes[k].next) {
		if i == 0 {
			return k
		}
		i--
	}
	return 0
}

// itemNumber reads a position in an array.
func itemNumber(key string) (n int, ok bool) {
	if key == "" || len(key) > 7 || len(key) > 1 && key[0] == '0' {
		return 0, false
	}
	for i := 0; i < len(key); i++ {
		if key[i] < '0' || key[i] > '9' {
			return 0, false
		}
		n = n*10 + int(key[i]-'0')
	}
	return n, true
}

// at finds a value below one of the document's members; 0 = none.
func (e *Event) at(k topKey, path ...string) int32 {
	if !e.indexed() {
		return 0
	}
	n := e.tape.top[k]
	for _, key := range path {
		if n == 0 {
			return 0
		}
		n = e.member(n, key)
	}
	return n
}

// JSONText returns the value at a path of the document in JSON: the text of a string,
// anything else as JSON. It has none when the path leads nowhere or the document
// is no JSON. It is valid as long as the Event.
func (e *Event) JSONText(path ...string) (string, bool) {
	n := e.lookup(path)
	if n < 0 {
		return "", false
	}
	return e.nodeText(n), true
}

// JSONRaw returns the bytes of the document that hold the value at a path, quotes
// included; nil when there is none. It is a part of JSON: do not write to it.
func (e *Event) JSONRaw(path ...string) []byte {
	n := e.lookup(path)
	if n < 0 {
		return nil
	}
	v := e.tape.nodes[n]
	switch v.kind {
	case nodeString, nodeEscaped:
		return e.JSON[v.from-1 : v.to+1]
	case nodeDecoded:
		return appendString(nil, e.nodeText(n))
	}
	return e.JSON[v.from:v.to]
}

func (e *Event) lookup(path []string) int32 {
	if !e.indexed() {
		return -1
	}
	n := int32(0)
	for i, key := range path {
		if k, ok := topKeyOf(key); ok && i == 0 {
			n = e.tape.top[k]
		} else {
			n = e.member(n, key)
		}
		if n == 0 {
			return -1
		}
	}
	return n
}
