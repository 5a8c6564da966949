package event

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ID names an event for good: the node that read it, that node's boot, the lane
// and the sequence number in it. It is given when the event is read, so the
// same event has the same id at the edge, at the hub and on replay.
type ID struct {
	Node uint64 // hash of the node's machine id
	Boot uint64 // hash of the kernel's boot id
	Lane Lane
	Seq  uint64 // rises by one per lane; starts above every earlier run of the same boot
}

// ErrID reports text that is not an event id.
var ErrID = errors.New("not an event id")

// String renders the id as node-boot-lane-seq, hexadecimal.
func (id ID) String() string {
	b := make([]byte, 0, 56)
	return string(id.Append(b))
}

// Append adds the text form to b without allocating when b has room.
func (id ID) Append(b []byte) []byte {
	b = strconv.AppendUint(b, id.Node, 16)
	b = append(b, '-')
	b = strconv.AppendUint(b, id.Boot, 16)
	b = append(b, '-')
	b = strconv.AppendUint(b, uint64(id.Lane), 16)
	b = append(b, '-')
	return strconv.AppendUint(b, id.Seq, 16)
}

// ParseID reads the text form back. Its error wraps ErrID.
func ParseID(s string) (ID, error) {
	parts := strings.Split(s, "-")
	if len(parts) != 4 {
		return ID{}, fmt.Errorf("%w: %q has %d parts, want node-boot-lane-seq", ErrID, clip(s), len(parts))
	}
	var n [4]uint64
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 16, 64)
		if err != nil {
			return ID{}, fmt.Errorf("%w: part %d of %q is not hexadecimal", ErrID, i+1, clip(s))
		}
		n[i] = v
	}
	if n[2] > 255 {
		return ID{}, fmt.Errorf("%w: lane %d of %q is out of range", ErrID, n[2], clip(s))
	}
	return ID{Node: n[0], Boot: n[1], Lane: Lane(n[2]), Seq: n[3]}, nil
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
