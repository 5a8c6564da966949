package sensor

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"unsafe"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/sensor/bpf"
)

// names looks up user and group names; the resolver of package container does.
type names interface {
	UserName(cgroup uint64, uid uint32) string
	GroupName(cgroup uint64, gid uint32) string
}

// converter turns kernel records into events and facts. It owns the buffers that
// an event's strings point into: one event at a time. Strings of process images
// are copies, because the process table keeps them.
type converter struct {
	path, raw, sock []byte
	env             []string // keys to keep
	names           names
	root            fileID // the root directory of the last task converted
	wall            int64  // what to add to boot time to get Unix time
	machine         uint64
	boot            uint64
	seq             [5]uint64 // by lane

	ev    event.Event
	facts event.Facts
	image event.Process
}

// fileID is a file's device and inode, as the kernel numbers them.
type fileID struct {
	dev uint32
	ino uint64
}

// view is b as a string that lives as long as b stays.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// begin fills what every record has.
func (c *converter) begin(h *bpf.SensorHdr, t event.Type, lane event.Lane, received int64) {
	c.ev.Reset()
	c.facts = event.Facts{
		PID: int32(h.Pid), Start: int64(h.Start), ExecGen: h.Gen, Comm: comm(&h.Comm), Heal: c.facts.Heal[:0],
	}
	c.image = event.Process{}
	c.seq[lane]++
	e := &c.ev
	e.ID = event.ID{Node: c.machine, Boot: c.boot, Lane: lane, Seq: c.seq[lane]}
	e.Type, e.Source = t, event.SourceSyscall
	e.Boot, e.Time, e.Received = int64(h.Boot), int64(h.Boot)+c.wall, received
	e.CPU, e.TID, e.Ret = int32(h.Cpu), int32(h.Tid), h.Ret
	e.FD = -1
	if h.Flags&recTrunc != 0 {
		e.Flags |= event.FlagTruncated
	}
	if h.Flags&recUser != 0 {
		e.Flags |= event.FlagUserMemory
	}
	if h.Flags&recCompat != 0 {
		e.Flags |= event.FlagCompat
	}
}

func (c *converter) ids(p *event.Process, h *bpf.SensorHdr, d *bpf.SensorIds) {
	p.PID, p.Start, p.Time = int32(h.Pid), int64(h.Start), int64(h.Start)+c.wall
	p.PPID, p.ExecGen, p.CgroupID = int32(d.Ppid), h.Gen, h.Cgroup
	p.VPID, p.VPPID = int32(d.Vpid), int32(d.Vppid)
	p.PGID, p.VPGID, p.SID, p.VSID = int32(d.Pgid), int32(d.Vpgid), int32(d.Sid), int32(d.Vsid)
	p.PIDNS, p.MntNS = d.Pidns, d.Mntns
}

func (c *converter) fork(b []byte, received int64) error {
	var r bpf.SensorForkRec
	if _, err := unpack(b, &r); err != nil {
		return err
	}
	c.begin(&r.H, event.TypeClone, event.LaneProcess, received)
	c.ev.Flags |= event.FlagHasRet
	c.ids(&c.image, &r.H, &r.Ids)
	c.facts.Image = &c.image
	c.facts.ForkPID, c.facts.ForkStart = int32(r.ByPid), int64(r.ByStart)
	return nil
}

func (c *converter) exit(b []byte, received int64) error {
	var r bpf.SensorExitRec
	if _, err := unpack(b, &r); err != nil {
		return err
	}
	c.begin(&r.H, event.TypeProcexit, event.LaneProcess, received)
	c.image.ExitCode = r.Code
	c.facts.Image = &c.image
	return nil
}

func (c *converter) exec(b []byte, received int64) error {
	var r bpf.SensorTaskRec
	tx, err := unpack(b, &r)
	if err != nil {
		return err
	}
	c.begin(&r.H, event.TypeExecve, event.LaneProcess, received)
	c.ev.Flags |= event.FlagHasRet
	file, argv, env, err := c.task(&c.image, &r, &tx)
	if err != nil {
		return err
	}
	p := &c.image
	p.ExecTime = c.ev.Time
	c.raw = append(c.raw[:0], cstr(file)...)
	c.ev.Raw = view(c.raw)
	head, tail := argv[:min(len(argv), int(r.T.ArgvLen))], argv[min(len(argv), int(r.T.ArgvLen)):]
	p.ArgsTruncated = int(r.T.ArgvTotal) > len(argv)
	cut := setArgs(p, head, tail)
	p.Env = keepEnv(c.env, env)
	p.RedactCut(cut) // before anything else sees the process
	c.facts.Image = p
	return nil
}

// task reads what exec records and iterated tasks share. It returns the texts that
// only an exec record has.
func (c *converter) task(p *event.Process, r *bpf.SensorTaskRec, tx *texts) (file, argv, env []byte, err error) {
	t := &r.T
	c.ids(p, &r.H, &t.Ids)
	c.root = fileID{t.Ids.RootDev, t.Ids.RootIno}
	p.Comm = comm(&r.H.Comm)
	p.TTY, p.UID, p.GID, p.LoginUID = userTTY(t.Tty), t.Uid, t.Gid, t.Loginuid
	p.CapInheritable, p.CapPermitted, p.CapEffective = t.CapInh, t.CapPerm, t.CapEff
	p.ExeDev, p.ExeIno, p.ExeCtime, p.ExeMtime = uint64(t.ExeDev), t.ExeIno, t.ExeCtime, t.ExeMtime
	p.ExeUpper = t.ExeUpper == 2
	if c.names != nil {
		p.User, p.Group = c.names.UserName(r.H.Cgroup, t.Uid), c.names.GroupName(r.H.Cgroup, t.Gid)
		if t.Loginuid != 1<<32-1 {
			p.LoginUser = c.names.UserName(0, t.Loginuid)
		}
	}
	var part [3][]byte
	for i, n := range []uint16{t.ExeLen, t.CwdLen, t.FileLen} {
		if part[i], err = tx.next(int(n)); err != nil {
			return nil, nil, nil, err
		}
	}
	if argv, err = tx.next(int(t.ArgvLen) + int(t.TailLen)); err != nil {
		return nil, nil, nil, err
	}
	if env, err = tx.next(int(t.EnvLen)); err != nil {
		return nil, nil, nil, err
	}
	c.path = appendPath(c.path[:0], part[0], t.ExeState)
	p.ExeMemfd = bytes.HasPrefix(c.path, []byte("/memfd:")) && t.ExeState == pathOutside
	if p.ExeMemfd {
		c.path = c.path[1:]
	}
	p.ExePath = string(c.path)
	p.ExeWritable = writable(t)
	c.path = appendPath(c.path[:0], part[1], t.CwdState)
	if n := len(c.path); n > 0 && c.path[n-1] != '/' {
		c.path = append(c.path, '/')
	}
	p.Cwd = string(c.path)
	for i := range t.Stdio {
		p.Stdio[i] = stream(&t.Stdio[i])
	}
	return part[2], argv, env, nil
}

// userTTY turns the kernel's device number into the one users and the rule
// language know (major << 8 | minor for the terminals there are).
func userTTY(dev uint32) uint32 {
	if dev == 0 {
		return 0
	}
	major, minor := dev>>20, dev&0xfffff
	return minor&0xff | major<<8 | minor&^0xff<<12
}

const capDacOverride = 1

// writable judges by mode bits and the override capability; read-only mounts,
// access lists and security modules are not looked at.
func writable(t *bpf.SensorTaskInfo) bool {
	switch {
	case t.ExeIno == 0:
		return false
	case t.CapEff>>capDacOverride&1 != 0:
		return true
	case t.Uid == t.ExeUid:
		return t.ExeMode&0o200 != 0
	case t.Gid == t.ExeGid:
		return t.ExeMode&0o020 != 0
	}
	return t.ExeMode&0o002 != 0
}

// setArgs splits argv as it lies in memory: strings ended by NULs. Where the
// middle is missing (tail does not continue head), the arguments cut on either
// side stay apart, and cut is the index in Args of the first one behind the gap,
// -1 without a gap. The texts are as they came: secrets are in them.
func setArgs(p *event.Process, head, tail []byte) (cut int) {
	text := string(head)
	if !p.ArgsTruncated {
		text += string(tail)
		tail = nil
	}
	args := splitNul(nil, text)
	cut = -1
	if len(tail) > 0 {
		cut = len(args) - 1
		args = splitNul(args, string(tail))
	}
	p.Exe = ""
	p.Args = nil
	if len(args) > 0 {
		p.Exe, p.Args = args[0], args[1:]
	}
	p.Cmdline = p.Comm
	if len(p.Args) > 0 {
		p.Cmdline += " " + strings.Join(p.Args, " ")
	}
	return cut
}

func splitNul(dst []string, s string) []string {
	for len(s) > 0 {
		i := strings.IndexByte(s, 0)
		if i < 0 {
			return append(dst, s)
		}
		dst = append(dst, s[:i])
		s = s[i+1:]
	}
	return dst
}

// keepEnv copies the variables asked for.
func keepEnv(keys []string, env []byte) []string {
	var out []string
	for len(env) > 0 && len(keys) > 0 {
		kv := cstr(env)
		env = env[min(len(env), len(kv)+1):]
		k, _, ok := bytes.Cut(kv, []byte{'='})
		if !ok {
			continue
		}
		for _, want := range keys {
			if want == view(k) {
				out = append(out, string(kv))
				break
			}
		}
	}
	return out
}

func (c *converter) open(b []byte, received int64) error {
	var r bpf.SensorOpenRec
	tx, err := unpack(b, &r)
	if err != nil {
		return err
	}
	c.begin(&r.H, openType(r.Nr), event.LaneActivity, received)
	comps, err := tx.next(int(r.PathLen))
	if err != nil {
		return err
	}
	raw, err := tx.next(int(r.RawLen))
	if err != nil {
		return err
	}
	e := &c.ev
	e.Flags |= event.FlagHasFD | event.FlagHasRet
	e.FD, e.OpenFlags, e.Mode = r.H.Ret, r.Oflags, r.Mode
	c.raw = append(c.raw[:0], cstr(raw)...)
	e.Raw = view(c.raw)
	c.path = appendPath(c.path[:0], comps, r.PathState)
	if r.H.Ret >= 0 {
		e.FDKind = fileKind(r.Imode)
		e.Dev, e.Ino = uint64(r.Dev), r.Ino
		if r.H.Flags&recCreated != 0 {
			e.Flags |= event.FlagCreated
		}
		if r.PathState != pathRoot {
			e.Flags |= event.FlagPathPartial
		}
		e.Path = view(c.path)
		return nil
	}
	// It failed: the name as given, on the directory it is relative to.
	if len(c.raw) > 0 {
		if c.raw[0] != '/' {
			if r.PathState != pathRoot {
				e.Flags |= event.FlagPathPartial
			}
			c.path = append(append(c.path, '/'), c.raw...)
		} else {
			c.path = append(c.path[:0], c.raw...)
		}
		c.path = clean(c.path)
		e.Path = view(c.path)
		e.FDKind = event.FDFile
	}
	return nil
}

// clean resolves dots and doubled slashes of an absolute path in place, by text
// alone: links were not there to be followed.
func clean(p []byte) []byte {
	if len(p) == 0 || p[0] != '/' {
		return p // a cut path keeps its mark
	}
	out := p[:0]
	for i := 0; i < len(p); {
		for i < len(p) && p[i] == '/' {
			i++
		}
		start := i
		for i < len(p) && p[i] != '/' {
			i++
		}
		switch part := p[start:i]; {
		case len(part) == 0 || len(part) == 1 && part[0] == '.':
		case len(part) == 2 && part[0] == '.' && part[1] == '.':
			out = out[:max(bytes.LastIndexByte(out, '/'), 0)]
		default:
			out = append(append(out, '/'), part...)
		}
	}
	if len(out) == 0 {
		return append(out, '/')
	}
	return out
}

func (c *converter) connect(b []byte, received int64) error {
	var r bpf.SensorConnectRec
	tx, err := unpack(b, &r)
	if err != nil {
		return err
	}
	c.begin(&r.H, event.TypeConnect, event.LaneActivity, received)
	path, err := tx.next(int(r.PathLen))
	if err != nil {
		return err
	}
	addr, err := tx.next(int(r.AddrLen))
	if err != nil {
		return err
	}
	e, s := &c.ev, &r.S
	e.Flags |= event.FlagHasFD | event.FlagHasRet
	e.FD, e.FDKind, e.Ino = int64(r.Fd), streamKind(s), s.Ino
	e.Family, e.L4 = s.Family, l4(s)
	family, given, sun := sockaddr(addr)
	switch s.Family {
	case afInet, afInet6:
		e.Role = event.RoleClient
		e.Client = addrPort(s.Family, &s.Laddr, s.Lport)
		e.Server = addrPort(s.Family, &s.Raddr, s.Rport)
		if s.Rport == 0 && (family == afInet || family == afInet6) {
			// A refused or never begun connection leaves no peer in the socket.
			e.Server = given
			e.Flags |= event.FlagUserMemory
			if e.Client.Port() == 0 && e.Client.Addr().IsUnspecified() {
				e.Client = netip.AddrPort{}
			}
		}
	case afUnix:
		e.Role = event.RoleClient
		if len(path) == 0 {
			path = sun
			e.Flags |= event.FlagUserMemory
		}
		c.sock = sockPath(c.sock[:0], path)
		e.SockPath = view(c.sock)
	}
	return nil
}

func (c *converter) dup(b []byte, received int64) error {
	var r bpf.SensorDupRec
	if _, err := unpack(b, &r); err != nil {
		return err
	}
	c.begin(&r.H, dupType(r.Nr), event.LaneActivity, received)
	e, s := &c.ev, &r.S
	e.Flags |= event.FlagHasFD | event.FlagHasRet
	e.FD, e.OldFD, e.FDKind, e.Ino = r.H.Ret, int64(r.Oldfd), streamKind(s), s.Ino
	e.Family, e.L4 = s.Family, l4(s)
	if s.Rport != 0 {
		// Which end connected is not in the socket.
		e.Client = addrPort(s.Family, &s.Laddr, s.Lport)
		e.Server = addrPort(s.Family, &s.Raddr, s.Rport)
	}
	return nil
}

func (c *converter) blind(b []byte, received int64) error {
	var r bpf.SensorBlindRec
	if _, err := unpack(b, &r); err != nil {
		return err
	}
	t := event.TypeIoUringSetup
	if r.H.Kind == kindCompat {
		t = compatType(r.Nr)
	}
	c.begin(&r.H, t, event.LaneActivity, received)
	c.ev.Flags |= event.FlagHasRet
	return nil
}

// iterated reads a task of iter/task into a process image with strings of its own.
// foreign means that its program is not in its own file tree, as that of a runtime
// setting a container up.
func (c *converter) iterated(b []byte) (p event.Process, foreign bool, err error) {
	var r bpf.SensorTaskRec
	tx, err := unpack(b, &r)
	if err != nil {
		return p, false, err
	}
	if _, _, _, err = c.task(&p, &r, &tx); err != nil {
		return p, false, err
	}
	p.Cmdline = p.Comm
	return p, r.T.ExeState == pathOutside && !p.ExeMemfd, nil
}

// kindOf is the kind of a record whose header was read; 0 when it is too short.
func kindOf(b []byte) uint16 {
	if len(b) < headerSize {
		return 0
	}
	return binary.LittleEndian.Uint16(b[4:])
}
