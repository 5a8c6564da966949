package event

import "unsafe"

// derivedKey names one derived string of an event.
type derivedKey uint8

const (
	derFDName derivedKey = iota
	derNameRaw
	derArgs
	derExeline
	derEnv
	derCapEffective
	derCapPermitted
	derCapInheritable
	derMounts
	derLabels
	derTime
	derTimeS
	derTimeISO
	derDatetime
	derDatetimeS
	derEvtArgs
	derJSONObj
	derJSONRawTime
	derPluginInfo
	derHostPath
	derCount
)

// span is a stretch of Event.scratch.
type span struct{ from, to int }

// argSpan is one rendered parameter of an event.
type argSpan struct {
	param int
	raw   bool
	none  bool
	span
}

// derived caches strings computed from other slots, once per event, as
// stretches of Event.scratch.
type derived struct {
	has  uint32 // bit per derivedKey
	none uint32 // computed, and there is no value
	at   [derCount]span
	args []argSpan
}

// Reset empties the event for reuse and keeps the memory of its derived strings.
// Every string a getter returned before is invalid afterwards.
func (e *Event) Reset() {
	e.Invalidate()
	*e = Event{scratch: e.scratch, derived: derived{args: e.derived.args}, tape: e.tape}
}

// Invalidate forgets the derived strings. Call it after changing a slot of an
// event that getters have already read (a container that became known, say).
func (e *Event) Invalidate() {
	e.derived.has, e.derived.none = 0, 0
	e.derived.args = e.derived.args[:0]
	e.scratch = e.scratch[:0]
	if cap(e.scratch) > maxKeptScratch {
		e.scratch = nil
	}
	if e.tape.state != tapeNone { // most events have no document, and ancestors pass here often
		e.tape.forget()
	}
}

// cached returns the derived string k if it was built.
func (e *Event) cached(k derivedKey) (s string, ok, built bool) {
	if e.derived.has&(1<<k) == 0 {
		return "", false, false
	}
	if e.derived.none&(1<<k) != 0 {
		return "", false, true
	}
	return e.view(e.derived.at[k]), true, true
}

// keep records what was appended to scratch since from as the derived string k.
func (e *Event) keep(k derivedKey, from int) (string, bool) {
	at := span{from, len(e.scratch)}
	e.derived.at[k] = at
	e.derived.has |= 1 << k
	return e.view(at), true
}

// keepNone records that the derived string k has no value.
func (e *Event) keepNone(k derivedKey) (string, bool) {
	e.derived.has |= 1 << k
	e.derived.none |= 1 << k
	return "", false
}

// view shows a stretch of scratch as a string. The bytes are not written again
// until Reset or Invalidate; a scratch that grows leaves the old bytes in place.
func (e *Event) view(s span) string {
	if s.from == s.to {
		return ""
	}
	return unsafe.String(&e.scratch[s.from], s.to-s.from)
}
