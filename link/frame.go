package link

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// The wire: frames in both directions of one HTTP/2 request, each a byte that says
// what it is, four bytes of length (big-endian) and so many bytes. docs/link.md is the
// format's page.
const (
	frameHello    = 1 // both, first: JSON of hello
	frameEnvelope = 2 // up
	frameAck      = 3 // down
	frameDown     = 4 // down
	frameBeat     = 5 // both, empty: I live
	frameEnd      = 6 // both: text, why this end hangs up
)

// wireVersion is the version of the wire. Another one is refused.
const wireVersion = 1

// Bounds of the wire.
const (
	maxOrigin   = 600     // an identity of two names
	maxDown     = 8 << 20 // a rule set or the pods of a node
	maxDownKey  = 600
	maxHello    = 4 << 10
	maxEnd      = 1 << 10
	maxEnvelope = MaxBytes + maxOrigin + envelopeHead
	// envelopeHead is what an encoded envelope holds beside origin and payload.
	envelopeHead = 2 + 8 + 1 + 8 + 1
)

// ErrWire says that the other end does not speak the link's language.
var ErrWire = errors.New("not the link's wire")

// hello is the first frame of each end.
type hello struct {
	Version int `json:"version"`
	// Envelopes and Bytes are the window: so much may be on its way without an
	// acknowledgement. The listener says it; a sender's are empty.
	Envelopes int `json:"envelopes,omitempty"`
	Bytes     int `json:"bytes,omitempty"`
}

// Down is a message from above. The newest of a kind and key replaces older ones, and
// all are sent again after a reconnect: it says how things are, not what happened.
type Down struct {
	Kind  Kind
	Key   string // "" where the kind has one only
	Bytes []byte // nil = there is none any more: it is not sent, and not again
}

func maxFrame(kind byte) int {
	switch kind {
	case frameHello:
		return maxHello
	case frameEnvelope:
		return maxEnvelope
	case frameAck:
		return maxOrigin + envelopeHead
	case frameDown:
		return maxDown + maxDownKey + 3
	case frameEnd:
		return maxEnd
	}
	return 0
}

// appendFrame puts the head before what body appends.
func appendFrame(b []byte, kind byte, body func([]byte) []byte) []byte {
	at := len(b)
	b = append(b, kind, 0, 0, 0, 0)
	if body != nil {
		b = body(b)
	}
	binary.BigEndian.PutUint32(b[at+1:], uint32(len(b)-at-5))
	return b
}

// readFrame reads one frame into buf, which it may grow, and returns its kind and
// body. The body is valid until the next call with the same buf. A frame that is too
// long for its kind is refused before anything of it is read.
func readFrame(r *bufio.Reader, buf []byte) (byte, []byte, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, buf, err
	}
	kind, n := head[0], int(binary.BigEndian.Uint32(head[1:]))
	switch kind {
	case frameHello, frameEnvelope, frameAck, frameDown, frameBeat, frameEnd:
	default:
		return 0, nil, buf, fmt.Errorf("%w: a frame of kind %d", ErrWire, kind)
	}
	if n > maxFrame(kind) {
		return 0, nil, buf, fmt.Errorf("%w: a frame of kind %d has %d bytes, at most %d", ErrWire, kind, n, maxFrame(kind))
	}
	// Grown as it comes: a length alone must not cost memory.
	const step = 64 << 10
	body := buf[:0]
	for len(body) < n {
		at := len(body)
		body = append(body, make([]byte, min(step, n-at))...)
		if _, err := io.ReadFull(r, body[at:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, nil, body, err
		}
	}
	return kind, body, body, nil
}

func appendHello(b []byte, h hello) []byte {
	return appendFrame(b, frameHello, func(b []byte) []byte {
		text, _ := json.Marshal(h) // numbers always marshal
		return append(b, text...)
	})
}

func parseHello(b []byte) (hello, error) {
	var h hello
	if err := json.Unmarshal(b, &h); err != nil {
		return h, fmt.Errorf("%w: its hello: %w", ErrWire, err)
	}
	if h.Version != wireVersion {
		return h, fmt.Errorf("%w: the other end speaks version %d, this one %d: bring both to the same release", ErrWire, h.Version, wireVersion)
	}
	return h, nil
}

// appendEnvelope encodes an envelope, the same for the wire and for the spool.
func appendEnvelope(b []byte, e *Envelope) []byte {
	b = appendPlace(b, e.Origin, e.Epoch, e.Lane, e.Seq)
	b = append(b, byte(e.Kind))
	return append(b, e.Bytes...)
}

func appendPlace(b []byte, origin string, epoch uint64, lane Lane, seq uint64) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(origin)))
	b = append(b, origin...)
	b = binary.BigEndian.AppendUint64(b, epoch)
	b = append(b, byte(lane))
	return binary.BigEndian.AppendUint64(b, seq)
}

// parsePlace reads what appendPlace wrote and returns what follows it.
func parsePlace(b []byte) (e Envelope, rest []byte, err error) {
	if len(b) < 2 {
		return e, nil, fmt.Errorf("%w: cut", ErrWire)
	}
	n := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	if n == 0 || n > maxOrigin || len(b) < n+17 {
		return e, nil, fmt.Errorf("%w: an origin of %d bytes among %d", ErrWire, n, len(b))
	}
	if !utf8.Valid(b[:n]) {
		return e, nil, fmt.Errorf("%w: an origin that is no text", ErrWire)
	}
	e.Origin, b = string(b[:n]), b[n:]
	e.Epoch, e.Lane, e.Seq = binary.BigEndian.Uint64(b), Lane(b[8]), binary.BigEndian.Uint64(b[9:])
	// Databases keep both as signed numbers.
	if !e.Lane.Valid() || e.Seq == 0 || e.Seq > 1<<63-1 || e.Epoch > 1<<63-1 {
		return e, nil, fmt.Errorf("%w: %s, number %d of epoch %d", ErrWire, e.Lane, e.Seq, e.Epoch)
	}
	return e, b[17:], nil
}

// parseEnvelope decodes one; its Bytes are a copy.
func parseEnvelope(b []byte) (Envelope, error) {
	e, rest, err := parsePlace(b)
	if err != nil {
		return e, err
	}
	if len(rest) < 1 || len(rest)-1 > MaxBytes {
		return e, fmt.Errorf("%w: a payload of %d bytes, at most %d", ErrWire, len(rest)-1, MaxBytes)
	}
	e.Kind, e.Bytes = Kind(rest[0]), append([]byte{}, rest[1:]...)
	return e, nil
}

func appendDown(b []byte, d *Down) []byte {
	return appendFrame(b, frameDown, func(b []byte) []byte {
		b = append(b, byte(d.Kind))
		b = binary.BigEndian.AppendUint16(b, uint16(len(d.Key)))
		b = append(b, d.Key...)
		return append(b, d.Bytes...)
	})
}

func parseDown(b []byte) (Down, error) {
	if len(b) < 3 {
		return Down{}, fmt.Errorf("%w: cut", ErrWire)
	}
	n := int(binary.BigEndian.Uint16(b[1:]))
	if n > maxDownKey || len(b) < 3+n || len(b)-3-n > maxDown {
		return Down{}, fmt.Errorf("%w: a key of %d bytes among %d", ErrWire, n, len(b))
	}
	return Down{Kind: Kind(b[0]), Key: string(b[3 : 3+n]), Bytes: append([]byte{}, b[3+n:]...)}, nil
}
