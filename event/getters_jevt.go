package event

import (
	"strconv"
	"strings"
)

// jevtValue follows a JSON pointer (RFC 6901), whose first slash may be left out.
func jevtValue(e *Event, a *Arg) (string, bool) {
	if a == nil || !e.indexed() {
		return "", false
	}
	n, rest := int32(0), strings.TrimPrefix(a.Key, "/")
	for more := a.Key != ""; more; {
		var key string
		key, rest, more = strings.Cut(rest, "/")
		if n = e.pointed(n, key); n == 0 {
			return "", false
		}
	}
	return e.nodeText(n), true
}

// pointed is member for a part of a JSON pointer, in which ~1 is a slash and ~0 a tilde.
func (e *Event) pointed(n int32, key string) int32 {
	t := &e.tape
	if strings.IndexByte(key, '~') < 0 || t.nodes[n].kind != nodeObject {
		return e.member(n, key)
	}
	end := int32(t.nodes[n].next)
	for k := n + 1; k < end; k = int32(t.nodes[k+1].next) {
		if samePointer(key, e.nodeText(k)) {
			return k + 1
		}
	}
	return 0
}

func samePointer(part, key string) bool {
	for part != "" {
		c := part[0]
		part = part[1:]
		if c == '~' && part != "" && (part[0] == '0' || part[0] == '1') {
			c = "~/"[part[0]-'0']
			part = part[1:]
		}
		if key == "" || key[0] != c {
			return false
		}
		key = key[1:]
	}
	return key == ""
}

func evtPluginName(e *Event, _ *Arg) (string, bool) {
	return "k8saudit", e.Source == SourceK8sAudit
}

// evtPluginInfo is who asked for what.
func evtPluginInfo(e *Event, _ *Arg) (string, bool) {
	if s, ok, built := e.cached(derPluginInfo); built {
		return s, ok
	}
	parts := [...]struct {
		key  topKey
		name string
		sep  byte
	}{{topUser, "username", 0}, {topVerb, "", ' '}, {topObjectRef, "resource", ' '}, {topObjectRef, "subresource", '/'}, {topObjectRef, "namespace", ' '}, {topObjectRef, "name", '/'}}
	var texts [len(parts)]string // read first: what has escapes goes to the scratch before the joined text
	for i, p := range parts {
		if p.name == "" {
			texts[i], _ = e.textAt(p.key)
		} else {
			texts[i], _ = e.textAt(p.key, p.name)
		}
	}
	if e.at(topAuditID) == 0 {
		return e.keepNone(derPluginInfo)
	}
	from := len(e.scratch)
	for i, p := range parts {
		if texts[i] == "" {
			continue
		}
		if sep := p.sep; sep != 0 && len(e.scratch) > from {
			if sep == '/' && p.name == "name" && texts[i-1] == "" {
				sep = ' '
			}
			e.scratch = append(e.scratch, sep)
		}
		e.scratch = append(e.scratch, texts[i]...)
	}
	return e.keep(derPluginInfo, from)
}

func jevtObj(e *Event, _ *Arg) (string, bool) {
	if s, ok, built := e.cached(derJSONObj); built {
		return s, ok
	}
	if !e.indexed() {
		return e.keepNone(derJSONObj)
	}
	from := len(e.scratch)
	e.scratch = appendIndented(e.scratch, e.JSON)
	return e.keep(derJSONObj, from)
}

func jevtRawTime(e *Event, _ *Arg) (string, bool) {
	if s, ok, built := e.cached(derJSONRawTime); built {
		return s, ok
	}
	from := len(e.scratch)
	e.scratch = strconv.AppendInt(e.scratch, e.Time, 10)
	return e.keep(derJSONRawTime, from)
}
