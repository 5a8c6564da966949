package event

import (
	"net/netip"
	"strconv"
	"strings"
)

func fdNum(e *Event, _ *Arg) (int64, bool) { return e.FD, e.Flags&FlagHasFD != 0 }

// Word returns the kind as fd.type says it, "" for FDNone.
func (k FDKind) Word() string {
	switch k {
	case FDNone:
		return ""
	case FDFile, FDDevice:
		return "file"
	case FDDirectory:
		return "directory"
	case FDIPv4:
		return "ipv4"
	case FDIPv6:
		return "ipv6"
	case FDUnix:
		return "unix"
	case FDPipe:
		return "pipe"
	case FDEvent:
		return "event"
	}
	return "other"
}

// Letter returns the kind as fd.typechar says it, "" for FDNone.
func (k FDKind) Letter() string {
	switch k {
	case FDNone:
		return ""
	case FDFile, FDDevice:
		return "f"
	case FDDirectory:
		return "d"
	case FDIPv4:
		return "4"
	case FDIPv6:
		return "6"
	case FDUnix:
		return "u"
	case FDPipe:
		return "p"
	case FDEvent:
		return "e"
	}
	return "o"
}

func fdType(e *Event, _ *Arg) (string, bool) { return e.FDKind.Word(), e.FDKind != FDNone }

func fdTypeChar(e *Event, _ *Arg) (string, bool) { return e.FDKind.Letter(), e.FDKind != FDNone }

// isFile reports whether the event is about a file or, for a call that failed
// and left no descriptor, about a path.
func (e *Event) isFile() bool {
	switch e.FDKind {
	case FDFile, FDDevice:
		return true
	case FDNone:
		return e.Path != ""
	}
	return false
}

func (e *Event) isInet() bool {
	if e.FDKind == FDIPv4 || e.FDKind == FDIPv6 {
		return true
	}
	return e.FDKind == FDNone && e.Server.IsValid()
}

func fdName(e *Event, _ *Arg) (string, bool) {
	if e.Path != "" {
		return e.Path, true
	}
	if s, ok, built := e.cached(derFDName); built {
		return s, ok
	}
	from := len(e.scratch)
	switch {
	case e.isInet() && e.Server.IsValid():
		if e.Client.IsValid() {
			e.scratch = appendAddrPort(e.scratch, e.Client)
			e.scratch = append(e.scratch, "->"...)
		}
		e.scratch = appendAddrPort(e.scratch, e.Server)
	case e.FDKind == FDUnix || e.SockPath != "":
		e.scratch = strconv.AppendUint(e.scratch, e.Ino, 10)
		e.scratch = append(e.scratch, "->0 "...)
		e.scratch = append(e.scratch, e.SockPath...)
	case e.FDKind == FDPipe:
		e.scratch = append(e.scratch, "pipe:["...)
		e.scratch = strconv.AppendUint(e.scratch, e.Ino, 10)
		e.scratch = append(e.scratch, ']')
	default:
		return e.keepNone(derFDName)
	}
	return e.keep(derFDName, from)
}

// appendAddrPort renders "address:port", IPv6 without brackets as the rule
// language does.
func appendAddrPort(b []byte, a netip.AddrPort) []byte {
	b = a.Addr().Unmap().AppendTo(b)
	b = append(b, ':')
	return strconv.AppendUint(b, uint64(a.Port()), 10)
}

func fdNameRaw(e *Event, _ *Arg) (string, bool) {
	if e.Raw == "" || !strings.Contains(e.Raw, "//") {
		return e.Raw, e.Raw != ""
	}
	if s, ok, built := e.cached(derNameRaw); built {
		return s, ok
	}
	from := len(e.scratch)
	for i := 0; i < len(e.Raw); i++ {
		if e.Raw[i] == '/' && i > 0 && e.Raw[i-1] == '/' {
			continue
		}
		e.scratch = append(e.scratch, e.Raw[i])
	}
	return e.keep(derNameRaw, from)
}

func fsPath(e *Event, _ *Arg) (string, bool) { return e.Path, e.Path != "" }

// fdHostPath translates a path in a container by the mount it lies below, the deepest
// where one lies in another, the last where several are at one place. Sources that are no path, tmpfs and the like, are of the
// container alone.
func fdHostPath(e *Event, _ *Arg) (string, bool) {
	c := e.Container
	if e.Path == "" || c == nil {
		return "", false
	}
	if on, _ := procInHostRoot(e, nil); on { // it sees the host's files by their own names
		return e.Path, true
	}
	if c.Unknown != "" {
		return "", false
	}
	if s, ok, built := e.cached(derHostPath); built {
		return s, ok
	}
	var under *Mount
	for i := range c.Mounts {
		m := &c.Mounts[i]
		if below(e.Path, m.Dest) && (under == nil || len(m.Dest) >= len(under.Dest)) {
			under = m
		}
	}
	if under == nil || !strings.HasPrefix(under.Source, "/") {
		return e.keepNone(derHostPath)
	}
	source, rest := strings.TrimSuffix(under.Source, "/"), e.Path[len(strings.TrimSuffix(under.Dest, "/")):]
	if source+rest == "" {
		rest = "/"
	}
	from := len(e.scratch)
	e.scratch = append(append(e.scratch, source...), rest...)
	return e.keep(derHostPath, from)
}

// below reports whether a path is dir or in it.
func below(path, dir string) bool {
	dir = strings.TrimSuffix(dir, "/")
	return strings.HasPrefix(path, dir) && (len(path) == len(dir) || path[len(dir)] == '/')
}

func fdDirectory(e *Event, _ *Arg) (string, bool) {
	if e.Path == "" {
		return "", false
	}
	if e.FDKind == FDDirectory {
		return e.Path, true
	}
	if !e.isFile() {
		return "", false
	}
	if i := strings.LastIndexByte(e.Path, '/'); i > 0 {
		return e.Path[:i], true
	}
	return "/", true
}

func fdFilename(e *Event, _ *Arg) (string, bool) {
	if e.Path == "" || !e.isFile() {
		return "", false
	}
	return e.Path[strings.LastIndexByte(e.Path, '/')+1:], true
}

// hasRole reports whether client and server are known.
func (e *Event) hasRole() bool { return e.Role != RoleUnknown && e.isInet() }

// local and remote return this host's end and the other one.
func (e *Event) local() netip.AddrPort {
	if e.Role == RoleServer {
		return e.Server
	}
	return e.Client
}

func (e *Event) remote() netip.AddrPort {
	if e.Role == RoleServer {
		return e.Client
	}
	return e.Server
}

func addrOf(a netip.AddrPort, ok bool) (netip.Addr, bool) {
	if !ok || !a.IsValid() {
		return netip.Addr{}, false
	}
	return a.Addr().Unmap(), true
}

func portOf(a netip.AddrPort, ok bool) (int64, bool) {
	if !ok || !a.IsValid() {
		return 0, false
	}
	return int64(a.Port()), true
}

func fdClientIP(e *Event, _ *Arg) (netip.Addr, bool) { return addrOf(e.Client, e.hasRole()) }
func fdServerIP(e *Event, _ *Arg) (netip.Addr, bool) { return addrOf(e.Server, e.hasRole()) }
func fdLocalIP(e *Event, _ *Arg) (netip.Addr, bool)  { return addrOf(e.local(), e.isInet()) }
func fdRemoteIP(e *Event, _ *Arg) (netip.Addr, bool) { return addrOf(e.remote(), e.isInet()) }
func fdClientPort(e *Event, _ *Arg) (int64, bool)    { return portOf(e.Client, e.hasRole()) }
func fdServerPort(e *Event, _ *Arg) (int64, bool)    { return portOf(e.Server, e.hasRole()) }
func fdLocalPort(e *Event, _ *Arg) (int64, bool)     { return portOf(e.local(), e.isInet()) }
func fdRemotePort(e *Event, _ *Arg) (int64, bool)    { return portOf(e.remote(), e.isInet()) }

func fdIPs(e *Event, _ *Arg, to []netip.Addr) []netip.Addr {
	if a, ok := addrOf(e.Client, e.isInet()); ok {
		to = append(to, a)
	}
	if a, ok := addrOf(e.Server, e.isInet()); ok {
		to = append(to, a)
	}
	return to
}

func fdPorts(e *Event, _ *Arg, to []int64) []int64 {
	if p, ok := portOf(e.Client, e.isInet()); ok {
		to = append(to, p)
	}
	if p, ok := portOf(e.Server, e.isInet()); ok {
		to = append(to, p)
	}
	return to
}

func fdL4(e *Event, _ *Arg) (string, bool) {
	s := e.L4.String()
	return s, s != "" && e.isInet()
}

func fdSockFamily(e *Event, _ *Arg) (string, bool) {
	switch {
	case e.isInet():
		return "ip", true
	case e.FDKind == FDUnix || e.SockPath != "":
		return "unix", true
	}
	return "", false
}

func fdIsServer(e *Event, _ *Arg) (bool, bool) { return e.Role == RoleServer, e.hasRole() }

func fdConnected(e *Event, _ *Arg) (bool, bool) {
	failed := e.Type == TypeConnect && e.Flags&FlagHasRet != 0 && e.Ret < 0
	switch {
	case e.isInet():
		return !failed && e.Role != RoleUnknown, true
	case e.FDKind == FDUnix:
		return !failed && e.Type == TypeConnect, true
	}
	return false, false
}

func fdNameChanged(e *Event, _ *Arg) (bool, bool) { return e.Type == TypeConnect, true }

// devMinorBits is where the major number begins in a kernel device number.
const devMinorBits = 20

func (e *Event) hasDev() bool { return e.Path != "" && e.Ino != 0 }

func fdDev(e *Event, _ *Arg) (int64, bool) { return int64(userDev(e.Dev)), e.hasDev() }

func fdDevMajor(e *Event, _ *Arg) (int64, bool) { return int64(e.Dev >> devMinorBits), e.hasDev() }

func fdDevMinor(e *Event, _ *Arg) (int64, bool) {
	return int64(e.Dev & (1<<devMinorBits - 1)), e.hasDev()
}

// userDev turns a kernel device number into the 32-bit form of stat(2).
func userDev(dev uint64) uint64 {
	major, minor := dev>>devMinorBits, dev&(1<<devMinorBits-1)
	return minor&0xff | major<<8 | (minor&^0xff)<<12
}

func fdIno(e *Event, _ *Arg) (int64, bool) { return int64(e.Ino), e.Ino != 0 }
