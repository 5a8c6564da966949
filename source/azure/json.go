package azure

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Bounds of what one document may say. What is beyond is cut.
const (
	maxDoc    = 16 << 20 // bytes of one document
	maxDepth  = 64       // levels of nesting
	maxShort  = 512      // bytes of a text that is kept in a map
	maxText   = 4096     // bytes of any other text
	maxTags   = 64       // entries of a map of short texts
	maxReason = 400
)

// node is a place in a document. Getting what is not there gives a node that is not
// there; asking it for another kind than it has notes that in the document and gives the
// zero value, so one odd member never costs the rest. Keys are found whatever their case.
type node struct {
	v    any
	path string
	doc  *document
}

// document collects what was not understood in one document.
type document struct{ wrong string }

// open reads a document.
func open(raw json.RawMessage) (node, error) {
	if err := sound(raw); err != nil {
		return node{}, err
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return node{}, fmt.Errorf("no JSON: %w", err)
	}
	return node{v: v, doc: &document{}}, nil
}

// sound checks size and nesting before anything is decoded, so that a hostile document
// costs no more than its bytes.
func sound(raw json.RawMessage) error {
	if len(raw) > maxDoc {
		return fmt.Errorf("document of %d bytes: want at most %d", len(raw), maxDoc)
	}
	depth, quoted, escaped := 0, false, false
	for _, c := range raw {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = c == '\\', c != '"'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return fmt.Errorf("document nested deeper than %d levels", maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	if raw = bytes.TrimLeft(raw, " \t\r\n"); len(raw) == 0 || raw[0] != '{' {
		return fmt.Errorf("want a JSON object")
	}
	return nil
}

// odd notes that the node is not what was expected of it.
func (n node) odd(want string) {
	if n.doc.wrong != "" {
		return
	}
	got := "something else"
	switch v := n.v.(type) {
	case string:
		got = strconv.Quote(clip(v, 40))
	case float64:
		got = strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		got = strconv.FormatBool(v)
	case []any:
		got = "an array"
	case map[string]any:
		got = "an object"
	}
	n.doc.wrong = clip(strings.TrimPrefix(n.path, ".")+": want "+want+", got "+got, maxReason)
}

// find looks a key up: as written first, then whatever its case.
func find(m map[string]any, key string) (any, bool) {
	if v, ok := m[key]; ok {
		return v, v != nil
	}
	best := ""
	for k := range m {
		if len(k) == len(key) && strings.EqualFold(k, key) && (best == "" || k < best) {
			best = k
		}
	}
	v := m[best]
	return v, best != "" && v != nil
}

// at follows keys into objects.
func (n node) at(keys ...string) node {
	for _, k := range keys {
		m, ok := n.v.(map[string]any)
		if !ok && n.v != nil {
			n.odd("an object")
		}
		v, _ := find(m, k)
		n = node{v: v, path: n.path + "." + k, doc: n.doc}
	}
	return n
}

// prop finds a property, which ARM keeps under "properties" and az often does not.
func (n node) prop(keys ...string) node {
	if m, ok := n.v.(map[string]any); ok {
		if p, ok := find(m, "properties"); ok {
			if inner, ok := p.(map[string]any); ok {
				if _, ok := find(inner, keys[0]); ok {
					return node{v: p, path: n.path + ".properties", doc: n.doc}.at(keys...)
				}
			}
		}
	}
	return n.at(keys...)
}

func (n node) there() bool { return n.v != nil }

// object gives the keys of an object, sorted.
func (n node) keys() []string {
	m, ok := n.v.(map[string]any)
	if !ok {
		if n.v != nil {
			n.odd("an object")
		}
		return nil
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// items gives the elements of an array, or of the array under "value".
func (n node) items() []node {
	if m, ok := n.v.(map[string]any); ok {
		if _, ok := find(m, "value"); ok {
			n = n.at("value")
		}
	}
	a, ok := n.v.([]any)
	if !ok {
		if n.v != nil {
			n.odd("an array")
		}
		return nil
	}
	out := make([]node, len(a))
	for i, v := range a {
		out[i] = node{v: v, path: n.path + "[" + strconv.Itoa(i) + "]", doc: n.doc}
	}
	return out
}

// text is a string; a number or a boolean is taken as it is written, and of
// {"value": …, "localizedValue": …} the value.
func (n node) text() string {
	switch v := n.v.(type) {
	case nil:
	case string:
		return clip(v, maxText)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case map[string]any:
		if s, ok := find(v, "value"); ok {
			return node{v: s, path: n.path + ".value", doc: n.doc}.text()
		}
		if len(v) > 0 {
			n.odd("a text")
		}
	default:
		n.odd("a text")
	}
	return ""
}

// id is an ARM id, lowered, without a trailing slash.
func (n node) id() string { return armID(n.text()) }

// flag is a boolean, which Azure also writes as "True"; nil = not told.
func (n node) flag() *bool {
	switch v := n.v.(type) {
	case nil:
		return nil
	case bool:
		return &v
	case string:
		switch strings.ToLower(v) {
		case "true", "enabled":
			return ptr(true)
		case "false", "disabled":
			return ptr(false)
		case "":
			return nil
		}
	}
	n.odd("true or false")
	return nil
}

func (n node) is() bool {
	b := n.flag()
	return b != nil && *b
}

// number is a number, which az writes as a string in places.
func (n node) number() float64 {
	switch v := n.v.(type) {
	case nil:
		return 0
	case float64:
		return v
	case string:
		if v == "" {
			return 0
		}
		if f, err := strconv.ParseFloat(v, 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
	}
	n.odd("a number")
	return 0
}

// count is a whole number from 0 to a million.
func (n node) count() int {
	f := n.number()
	if f < 0 || f > 1e6 || f != math.Trunc(f) {
		n.odd("a count")
		return 0
	}
	return int(f)
}

// time gives Unix nanoseconds; 0 where there is none.
func (n node) time() int64 {
	if n.v == nil || n.v == "" {
		return 0
	}
	at, ok := int64(0), false
	switch v := n.v.(type) {
	case string:
		at, ok = parseTime(v)
	case float64:
		at, ok = parseTime(strconv.FormatFloat(v, 'f', 0, 64))
	}
	if !ok {
		n.odd("a time")
	}
	return at
}

// strings gives the texts of an array.
func (n node) strings() []string {
	var out []string
	for _, e := range n.items() {
		if s := e.text(); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// texts is a map of short texts: tags, extended properties. A value that is no text is
// kept as JSON.
func (n node) texts() map[string]string {
	keys := n.keys()
	if len(keys) == 0 {
		return nil
	}
	out := make(map[string]string, min(len(keys), maxTags))
	for _, k := range keys[:min(len(keys), maxTags)] {
		var s string
		switch v := n.v.(map[string]any)[k].(type) {
		case nil:
		case string:
			s = v
		default:
			b, _ := json.Marshal(v) // it was JSON
			s = string(b)
		}
		out[clip(k, maxShort)] = clip(s, maxShort)
	}
	return out
}

// parseTime gives Unix nanoseconds, 0 for the years that stand for never (1, 9999).
// Times without a zone are UTC.
func parseTime(s string) (int64, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02", "20060102"} {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if t.Year() < 1971 || t.Year() > 2200 {
			return 0, true
		}
		return t.UnixNano(), true
	}
	return 0, false
}

// span reads an ISO 8601 duration (P29DT12H), or what az makes of it
// ("29 days, 12:00:00"), in whole seconds.
func (n node) span() int64 {
	s := n.text()
	if s == "" {
		return 0
	}
	seconds, ok := int64(0), false
	if strings.HasPrefix(s, "P") {
		seconds, ok = parseISO(s[1:])
	} else {
		seconds, ok = parseClock(s)
	}
	if !ok {
		n.odd("a duration")
	}
	return seconds
}

func parseClock(s string) (int64, bool) {
	total := int64(0)
	if before, rest, found := strings.Cut(s, "day"); found {
		n, err := strconv.ParseInt(strings.TrimSpace(before), 10, 32)
		if err != nil || n < 0 {
			return 0, false
		}
		total, s = n*86400, strings.TrimLeft(rest, "s, ")
		if s == "" {
			return total, true
		}
	}
	parts := strings.Split(s, ":")
	if len(parts) != 3 {
		return 0, false
	}
	for i, unit := range []int64{3600, 60, 1} {
		whole, _, _ := strings.Cut(parts[i], ".")
		n, err := strconv.ParseInt(whole, 10, 32)
		if err != nil || n < 0 {
			return 0, false
		}
		total += n * unit
	}
	return total, true
}

func parseISO(s string) (int64, bool) {
	units := map[byte]float64{'Y': 365 * 86400, 'M': 30 * 86400, 'W': 7 * 86400, 'D': 86400}
	total, start, told := 0.0, 0, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == 'T' && i == start:
			units, start = map[byte]float64{'H': 3600, 'M': 60, 'S': 1}, i+1
			continue
		case c >= '0' && c <= '9' || c == '.':
			continue
		}
		n, err := strconv.ParseFloat(s[start:i], 64)
		if units[c] == 0 || err != nil || n > 1e6 {
			return 0, false
		}
		total, start, told = total+n*units[c], i+1, true
	}
	return int64(total), told && start == len(s)
}

// clip cuts a text to at most n bytes, at a rune.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}
