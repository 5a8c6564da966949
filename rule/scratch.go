package rule

import (
	"net/netip"
	"strconv"
	"unsafe"

	"github.com/dockreeve/dockreeve/event"
)

// maxScratch bounds the text memory a scratch keeps between events, bytes.
const maxScratch = 1 << 20

// scratch is the memory one evaluation works in: the event, and room for values
// made on the way. It grows to what the largest event needs and is reused.
type scratch struct {
	ev   *event.Event
	text []byte // strings made by transforms; valid until reset

	// Lists, used as stacks: who appends notes the length before and cuts back.
	strs  []string
	ints  []int64
	addrs []netip.Addr

	// ancestor is an event of its own whose process is an ancestor of ev's, so that
	// walking a lineage reads each process once.
	ancestor event.Event

	cached []cachedText // one per operand worth keeping, see operand.slot
	gen    uint64       // number of the event
}

// cachedText is a string operand's value for event number gen.
type cachedText struct {
	gen  uint64
	ok   bool
	text string
}

func (s *scratch) reset(ev *event.Event) {
	s.ev = ev
	s.gen++
	if cap(s.text) > maxScratch {
		s.text = nil
	}
	s.text = s.text[:0]
}

// made returns what was appended to text since from as a string. The bytes are
// not written again until reset; text that grows leaves the old bytes in place.
func (s *scratch) made(from int) string {
	if from == len(s.text) {
		return ""
	}
	return unsafe.String(&s.text[from], len(s.text)-from)
}

func (s *scratch) number(v int64, typ event.FieldType) string {
	from := len(s.text)
	s.text = appendNumber(s.text, v, typ)
	return s.made(from)
}

func (s *scratch) address(a netip.Addr) string {
	from := len(s.text)
	s.text = a.Unmap().AppendTo(s.text)
	return s.made(from)
}

// signed says whether numbers of the type may be negative.
func signed(t event.FieldType) bool { return t == event.TypeInt }

func appendNumber(b []byte, v int64, t event.FieldType) []byte {
	if signed(t) {
		return strconv.AppendInt(b, v, 10)
	}
	return strconv.AppendUint(b, uint64(v), 10)
}

func boolText(v bool) string {
	if v {
		return "true"
	}
	return "false"
}
