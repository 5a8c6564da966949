package kubeaudit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/event"
)

// handed wraps an error of the handler, so that it is told from bad input: the input has
// to be offered again.
type handed struct{ err error }

func (h handed) Error() string { return "the event could not be taken: " + h.err.Error() }
func (h handed) Unwrap() error { return h.err }

// about is what coverage and counts want to know of an event.
type about struct {
	notes    []string
	read     bool // get, list or watch
	request  bool // holds a request's object
	response bool
}

// bodyMembers are the members that hold whole objects, the one that matters less first.
var bodyMembers = [...]string{"responseObject", "requestObject"}

// event takes one JSON object that should be an audit event. version is what the list
// around it said. The error is of the handler only; what is no event is noted as lost.
func (b *batch) event(ctx context.Context, raw []byte, src Source, version string) error {
	var root node
	var err error
	cut := false
	if len(raw) <= MaxEvent {
		root, err = b.p.tree(raw)
	}
	if err != nil || len(raw) > MaxEvent {
		if root, cut, err = b.rescue(raw); err != nil {
			b.lose("not_json")
			return nil
		}
	}
	return b.give(ctx, &root, src, version, cut)
}

// rescue builds the tree of an event that is too large or holds a member beyond the
// bounds: that member is left out, the rest kept.
func (b *batch) rescue(raw []byte) (root node, cut bool, err error) {
	root.kind = kObject
	room := MaxEvent
	type part struct {
		key string
		v   []byte
	}
	var parts []part
	err = b.p.each(raw, func(key string, v []byte) error {
		if len(parts) == 256 {
			cut = true // an event has some twenty members
			return nil
		}
		parts = append(parts, part{key, v})
		if !bodyMember(key) && len(v) <= MaxEvent {
			room -= len(v)
		}
		return nil
	})
	if err != nil {
		return node{}, false, err
	}
	keep := map[string]bool{}
	for i := len(bodyMembers) - 1; i >= 0; i-- { // the request's object has the first claim
		for _, p := range parts {
			if p.key == bodyMembers[i] && len(p.v) <= room {
				room -= len(p.v)
				keep[p.key] = true
			}
		}
	}
	for _, p := range parts {
		n := node{kind: kString, text: TooBig}
		body := bodyMember(p.key)
		switch {
		case body && !keep[p.key]:
			cut = true
			if small, size := b.slim(p.v, room); size > 0 {
				n, room = small, room-size
			}
		case !body && len(p.v) > MaxEvent:
			cut = true
		default:
			if n, err = b.p.tree(p.v); err != nil {
				n, cut = node{kind: kString, text: Unreadable}, true
			}
		}
		n.key = p.key
		root.kids = append(root.kids, n)
	}
	root.kids = unique(root.kids)
	return root, cut, nil
}

// maxSlim bounds the body that is looked into for what is worth keeping of it.
const maxSlim = 4 << 20

// lightest are members of objects that decide little, what matters least first.
var lightest = []string{"managedFields", "status", "annotations", "env", "args", "command", "labels"}

// slim keeps of a body that is too large what decides on it: who makes a pod large, with a
// long annotation or a thousand variables, must not hide what the pod may do. Texts
// longer than a name or path are left out whole, so that none is cut in the middle of a
// secret. It returns the tree and its size as JSON; 0 = it cannot be made small enough.
func (b *batch) slim(body []byte, room int) (node, int) {
	if len(body) > maxSlim {
		return node{}, 0
	}
	n, err := b.p.tree(body)
	if err != nil {
		return node{}, 0
	}
	for _, drop := range [][]string{lightest[:2], lightest} {
		thin(&n, drop)
		if size := len(n.append(nil)); size <= room {
			return n, size
		}
	}
	return node{}, 0
}

func thin(n *node, drop []string) {
	if len(n.text) > 512 {
		n.kind, n.text = kString, TooBig
	}
	kept := n.kids[:0]
	for i := range n.kids {
		if slices.Contains(drop, n.kids[i].key) {
			continue
		}
		thin(&n.kids[i], drop)
		kept = append(kept, n.kids[i])
	}
	n.kids = kept
}

func bodyMember(key string) bool { return key == "requestObject" || key == "responseObject" }

// give redacts one event's tree and hands it on.
func (b *batch) give(ctx context.Context, root *node, src Source, version string, cut bool) error {
	if root.kind != kObject {
		b.lose("not_an_event")
		return nil
	}
	var a about
	now := b.in.opt.Clock.Now()
	if v := root.str("apiVersion"); v != "" {
		version = v
	}
	switch version {
	case "", "audit.k8s.io/v1", "audit.k8s.io/v1beta1":
	default:
		b.lose("unknown_version")
		return nil
	}
	if k := root.str("kind"); k != "" && k != "Event" {
		b.lose("not_an_event")
		return nil
	}
	if root.str("auditID") == "" {
		b.lose("no_audit_id")
		return nil
	}
	if dropFacts(root) {
		a.notes = append(a.notes, "foreign_facts")
	}
	if version == "" {
		version = "audit.k8s.io/v1"
	}
	if root.get("apiVersion") == nil {
		root.kids = append([]node{{kind: kString, key: "apiVersion", text: version}}, root.kids...)
	}
	if root.get("kind") == nil {
		root.kids = append([]node{{kind: kString, key: "kind", text: "Event"}}, root.kids...)
	}
	if b.r.event(root) {
		a.notes = append(a.notes, "redacted")
	}
	doc := root.append(b.out[:0])
	for step := 0; len(doc) > MaxEvent; step++ { // escaping can make a text longer
		if !shrink(root, step) {
			b.lose("too_big")
			return nil
		}
		cut = true
		doc = root.append(doc[:0])
	}
	if cap(doc) <= MaxEvent {
		b.out = doc
	}
	if b.p.bad {
		b.p.bad = false
		a.notes = append(a.notes, "invalid_utf8")
	}
	for _, key := range bodyMembers {
		m := root.get(key)
		if m == nil {
			continue
		}
		if m.kind == kString {
			cut = true // left out here, or by whoever exported it
		} else if m.kind != kBare {
			a.request = a.request || key == "requestObject"
			a.response = a.response || key == "responseObject"
		}
	}
	if root.get("annotations").str("audit.k8s.io/truncated") == "true" {
		cut = true // the API server left the objects out (--audit-webhook-truncate-enabled)
	}
	if cut {
		a.notes = append(a.notes, "trimmed")
	}
	switch root.str("verb") {
	case "get", "list", "watch":
		a.read = true
	}
	ev := event.Event{
		ID: eventID(root), Type: event.TypePluginevent, Source: event.SourceK8sAudit, CPU: -1, FD: -1,
		Received: now.UnixNano(), JSON: doc,
	}
	if cut {
		ev.Flags |= event.FlagTruncated
	}
	t, ok := stamp(root, "stageTimestamp")
	if !ok {
		t, ok = stamp(root, "requestReceivedTimestamp")
	}
	switch {
	case !ok:
		a.notes = append(a.notes, "time_missing")
		ev.Time = ev.Received
	case t.Sub(now) > ahead:
		a.notes = append(a.notes, "clock_ahead")
		b.in.say("audit intake: an API server's clock is ahead of ours; its events are ordered by their arrival", b.way, "clock_ahead", nil)
		ev.Time = ev.Received
	default:
		ev.Time = t.UnixNano()
	}
	if err := b.hand(ctx, &ev, src, a); err != nil {
		return handed{err}
	}
	return nil
}

// stamp reads a time; one before 1970 or beyond what 64 bits of nanoseconds hold is none.
func stamp(root *node, key string) (time.Time, bool) {
	s := root.str(key)
	if s == "" || len(s) > 64 {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() < 1970 || t.Year() > 2261 {
		return time.Time{}, false
	}
	return t, true
}

// dropFacts takes out what only Dockreeve writes. Readers of JSON in Go do not mind the
// case of a name, so neither does this.
func dropFacts(root *node) bool {
	kept := root.kids[:0]
	for _, k := range root.kids {
		if !strings.EqualFold(k.key, event.FactsKey) {
			kept = append(kept, k)
		}
	}
	dropped := len(kept) < len(root.kids)
	root.kids = kept
	return dropped
}

// shrink makes an event smaller, in the order of what matters least.
func shrink(root *node, step int) bool {
	switch step {
	case 0:
		for _, key := range bodyMembers {
			if m := root.get(key); m != nil && m.kind != kBare && m.kind != kString {
				thin(m, lightest)
			}
		}
	case 1, 2:
		if m := root.get(bodyMembers[step-1]); m != nil && m.kind != kBare {
			*m = node{kind: kString, key: m.key, text: TooBig}
		}
	case 3:
		clip(root, 1024, 128)
	case 4:
		kept := root.kids[:0]
		for _, k := range root.kids {
			switch k.key {
			case "kind", "apiVersion", "level", "auditID", "stage", "requestURI", "verb", "userAgent", "objectRef", "responseStatus",
				"requestReceivedTimestamp", "stageTimestamp", "requestObject", "responseObject":
				kept = append(kept, k)
			case "user", "impersonatedUser":
				name := k.get("username")
				k.kids = nil
				if name != nil {
					k.kids = []node{*name}
				}
				kept = append(kept, k)
			}
		}
		root.kids = kept
		clip(root, 1024, 16)
	default:
		return false
	}
	return true
}

// clip cuts texts to at most text bytes and lists and objects to items.
func clip(n *node, text, items int) {
	if len(n.text) > text {
		n.text = strings.ToValidUTF8(n.text[:text], "")
		if n.kind == kBare {
			n.text = "0" // a number of a thousand digits
		}
	}
	if len(n.key) > text {
		n.key = strings.ToValidUTF8(n.key[:text], "")
	}
	if len(n.kids) > items && n.key != "" {
		n.kids = n.kids[:items]
	}
	for i := range n.kids {
		clip(&n.kids[i], text, items)
	}
}

// eventID names an event by what every way in tells of it. The audit id alone will not
// do: a client may choose it (header Audit-ID), and could hide one request behind another.
func eventID(root *node) event.ID {
	h := sha256.New()
	part := func(s string) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	part(root.str("auditID"))
	part(root.str("stage"))
	part(root.str("verb"))
	part(root.str("requestURI"))
	part(root.get("user").str("username"))
	if c := root.get("responseStatus").get("code"); c != nil {
		part(c.text)
	} else {
		part("")
	}
	if t, ok := stamp(root, "requestReceivedTimestamp"); ok {
		part(strconv.FormatInt(t.UnixMicro(), 10))
	} else {
		part("")
	}
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return event.ID{
		Node: binary.BigEndian.Uint64(sum[0:]), Boot: binary.BigEndian.Uint64(sum[8:]), Lane: event.LaneAudit,
		Seq: binary.BigEndian.Uint64(sum[16:]),
	}
}
