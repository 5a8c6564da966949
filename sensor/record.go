package sensor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/sensor/bpf"
)

// The kinds of kernel record; enum kind in bpf/dockreeve.bpf.h.
const (
	kindFork         = 1
	kindExec         = 2
	kindExit         = 3
	kindTask         = 4
	kindCgroupMkdir  = 5
	kindCgroupRmdir  = 6
	kindCgroupAttach = 7
	kindOpen         = 16
	kindConnect      = 17
	kindDup          = 18
	kindUring        = 19
	kindCompat       = 20
	kindLoad         = 21
)

// Flags of a kernel record; enum rec_flags.
const (
	recUser    = 1
	recTrunc   = 2
	recCompat  = 4
	recCreated = 8
)

// loadMapped tells a file mapped executable from one opened; enum load_how.
const loadMapped = 1

// laneOf is the ring that a record of a kind comes by.
func laneOf(kind uint16) event.Lane {
	switch {
	case kind == kindLoad:
		return event.LaneLoad
	case kind >= kindOpen:
		return event.LaneActivity
	}
	return event.LaneProcess
}

// How far the kernel got walking a path; enum path_state.
const (
	pathNone    = 0
	pathRoot    = 1
	pathOutside = 2
	pathCut     = 3
)

// errTorn reports a record whose lengths contradict each other.
var errTorn = errors.New("torn kernel record")

const headerSize = int(unsafe.Sizeof(bpf.SensorHdr{}))

// fixed are the record types, by their fixed parts.
type fixed interface {
	bpf.SensorForkRec | bpf.SensorTaskRec | bpf.SensorExitRec | bpf.SensorCgroupRec |
		bpf.SensorOpenRec | bpf.SensorConnectRec | bpf.SensorDupRec | bpf.SensorBlindRec | bpf.SensorLoadRec
}

// header reads the part that every record begins with, without copying the rest.
func header(b []byte, h *bpf.SensorHdr) error {
	if len(b) < headerSize {
		return fmt.Errorf("%w: %d bytes, the header alone has %d", errTorn, len(b), headerSize)
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(h)), headerSize), b)
	if int(h.Len) > len(b) || int(h.Len) < headerSize {
		return fmt.Errorf("%w: says %d bytes of %d", errTorn, h.Len, len(b))
	}
	return nil
}

// unpack copies a record's fixed part out of b and returns the texts behind it.
func unpack[T fixed](b []byte, r *T) (texts, error) {
	size := int(unsafe.Sizeof(*r))
	if len(b) < size {
		return texts{}, fmt.Errorf("%w: %d bytes, its fixed part has %d", errTorn, len(b), size)
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(r)), size), b)
	n := int(binary.LittleEndian.Uint32(b))
	if n < size || n > len(b) {
		return texts{}, fmt.Errorf("%w: says %d bytes of %d", errTorn, n, len(b))
	}
	return texts{b[size:n]}, nil
}

// texts are the variable parts, in the order their lengths appear.
type texts struct{ rest []byte }

func (t *texts) next(n int) ([]byte, error) {
	if n > len(t.rest) {
		return nil, fmt.Errorf("%w: a text of %d bytes where %d are left", errTorn, n, len(t.rest))
	}
	s := t.rest[:n]
	t.rest = t.rest[n:]
	return s, nil
}

// appendPath turns the leaf-first, NUL-ended components of the kernel's walk into
// an absolute path. A path cut short keeps its tail, which is what tells files
// apart, behind a "…".
func appendPath(dst, comps []byte, state uint8) []byte {
	if state == pathNone {
		return dst
	}
	if state == pathCut {
		dst = append(dst, "…"...)
	}
	if len(comps) == 0 {
		return append(dst, '/')
	}
	end := len(comps)
	for end > 0 {
		// comps[end-1] is the NUL of the last component left.
		stop := end
		if comps[end-1] == 0 {
			stop--
		}
		start := stop
		for start > 0 && comps[start-1] != 0 {
			start--
		}
		dst = append(append(dst, '/'), comps[start:stop]...)
		end = start
	}
	return dst
}

// cstr is b up to its first NUL.
func cstr(b []byte) []byte {
	for i, c := range b {
		if c == 0 {
			return b[:i]
		}
	}
	return b
}

func comm(c *[16]int8) string {
	return string(cstr(unsafe.Slice((*byte)(unsafe.Pointer(c)), len(c))))
}

const (
	afUnix  = 1
	afInet  = 2
	afInet6 = 10
)

func addrPort(family uint16, addr *[16]uint8, port uint16) netip.AddrPort {
	switch family {
	case afInet:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(addr[:4])), port)
	case afInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(*addr).Unmap(), port)
	}
	return netip.AddrPort{}
}

// fileKind gives the descriptor kind of an inode's mode.
func fileKind(mode uint32) event.FDKind {
	switch mode & 0o170000 {
	case 0o100000:
		return event.FDFile
	case 0o040000:
		return event.FDDirectory
	case 0o010000:
		return event.FDPipe
	case 0o020000, 0o060000:
		return event.FDDevice
	case 0o140000:
		return event.FDOther // a socket of a family we do not name
	case 0:
		return event.FDEvent // an anonymous inode: eventfd, epoll, …
	}
	return event.FDOther
}

func streamKind(s *bpf.SensorStream) event.FDKind {
	switch {
	case s.Mode == 0:
		return event.FDNone
	case s.Mode == 1:
		return event.FDEvent
	case s.Family == afInet:
		return event.FDIPv4
	case s.Family == afInet6:
		return event.FDIPv6
	case s.Family == afUnix:
		return event.FDUnix
	}
	return fileKind(uint32(s.Mode))
}

func stream(s *bpf.SensorStream) event.Stream {
	o := event.Stream{Kind: streamKind(s), Ino: s.Ino}
	if s.Rport != 0 {
		o.Remote = addrPort(s.Family, &s.Raddr, s.Rport)
	}
	return o
}

// l4 names the transport of a socket.
func l4(s *bpf.SensorStream) event.L4 {
	if s.Family != afInet && s.Family != afInet6 {
		return event.L4None
	}
	switch s.Proto {
	case 6, 262: // TCP, MPTCP
		return event.L4TCP
	case 17, 136:
		return event.L4UDP
	case 1, 58:
		return event.L4ICMP
	}
	return event.L4Raw
}

// sockaddr reads the caller's own sockaddr: an address, or a unix path.
func sockaddr(b []byte) (family uint16, ap netip.AddrPort, path []byte) {
	if len(b) < 2 {
		return 0, netip.AddrPort{}, nil
	}
	family = binary.LittleEndian.Uint16(b)
	switch {
	case family == afInet && len(b) >= 8:
		ap = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:]))
	case family == afInet6 && len(b) >= 24:
		ap = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])).Unmap(), binary.BigEndian.Uint16(b[2:]))
	case family == afUnix:
		path = b[2:]
	}
	return family, ap, path
}

// sockPath writes a sun_path as users see it: an abstract name with '@' for its
// leading NUL, another one up to its first NUL.
func sockPath(dst, sun []byte) []byte {
	if len(sun) == 0 {
		return dst
	}
	if sun[0] == 0 {
		if len(sun) == 1 {
			return dst
		}
		return append(append(dst, '@'), sun[1:]...)
	}
	return append(dst, cstr(sun)...)
}
