// Package event owns the one normalised event, the processes and containers it
// points to, the field catalogue over them, their codec and their ids.
//
// A signal becomes an Event exactly once, at its source (the kernel sensor, an
// audit log, a replayed trace); nothing after that converts it again. The
// package imports only the standard library, does no I/O and reads no clock.
//
// Lifetime: an Event handed to a handler, and every string and slice in it, is
// valid only until the handler returns, because sources reuse their buffers.
// Clone what must be kept. An Event is not safe for concurrent use.
package event

import "net/netip"

// Event is one thing that happened: flat, with fixed slots, no maps and no any.
// Which slots a type fills is in the catalogue (docs/fields.md). A slot that a
// type does not fill holds its zero value, and the catalogue's getters then
// report "no value" rather than that zero.
type Event struct {
	ID     ID
	Type   Type   // what happened, by its rule-language name (evt.type)
	Source Source // which family of fields applies
	Flags  Flags

	Time     int64 // wall clock, Unix nanoseconds, from the sampled boot→wall offset
	Boot     int64 // nanoseconds since boot, the ordering clock; 0 for non-kernel events
	Received int64 // wall clock at which user space read it, Unix nanoseconds

	CPU int32 // processor it happened on; -1 unknown
	TID int32 // thread that did it, host pid namespace
	Ret int64 // raw return value of the system call: ≥ 0 success, < 0 -errno

	Process   *Process   // who did it; nil when not known
	Container *Container // where; nil means the host itself

	// File descriptor the event is about (the one returned, or passed in).
	FD     int64  // number; negative when there is none (see HasFD)
	FDKind FDKind // what the descriptor refers to
	Path   string // absolute path, cwd/dirfd and dots resolved; "" when not a file
	Raw    string // path exactly as the caller passed it

	OpenFlags uint32 // kernel O_* bits of the open family
	Mode      uint32 // permission bits passed
	Dev       uint64 // device of the file object as the kernel holds it: major<<20 | minor
	Ino       uint64 // inode of the file, pipe or socket object
	OldFD     int64  // dup family: the descriptor that was copied

	// Socket slots. Client and Server follow the connection's roles: the
	// side that connects is the client. With Role unknown (a descriptor seen
	// without its connect or accept) Client holds this host's end and Server
	// the other one, and fd.cip, fd.sip and their kin give no value.
	Role     Role
	Family   uint16 // AF_*: 1 unix, 2 IPv4, 10 IPv6
	L4       L4
	Client   netip.AddrPort
	Server   netip.AddrPort
	SockPath string // unix socket path, leading NUL of abstract names written as '@'

	JSON []byte // audit sources: the event's JSON document, already redacted

	scratch []byte // backing store for derived strings; see scratch.go
	derived derived
	tape    tape // index of JSON; see tape.go
}

// Process is one process as the process table knows it. The table owns and
// mutates it in event order (exec replaces the image in place and raises
// ExecGen), so a Process is valid only inside the handler: Clone it to keep it.
type Process struct {
	PID   int32 // thread-group id, host namespace
	PPID  int32 // parent at the last fork or reparenting
	Start int64 // start time, nanoseconds since boot: (PID, Start) identifies it
	Time  int64 // start as wall clock, Unix nanoseconds

	ExecGen  uint32 // how many execs this process has done
	ExecTime int64  // wall clock of the last exec, Unix nanoseconds; 0 none seen

	Parent *Process // nil when unknown or none; walking it always ends (bounded by MaxLineage)

	Comm    string   // kernel task name, ≤ 15 bytes (proc.name)
	Exe     string   // argv[0] (proc.exe)
	ExePath string   // path of the executable file by the kernel (proc.exepath)
	Args    []string // argv[1:], first 4 KiB and last 1 KiB of the text
	Cmdline string   // Comm + " " + Args joined by one space, kept so rules need not build it
	Env     []string // K=V; only what event.Interest asked for, secrets redacted
	Cwd     string   // absolute, ends in '/'

	VPID, VPPID     int32 // in the process's own pid namespace
	PGID, VPGID     int32
	SID, VSID       int32
	TTY             uint32 // device number of the controlling terminal; 0 none
	UID, GID        uint32 // effective
	LoginUID        uint32 // audit login uid; math.MaxUint32 = unset
	User, LoginUser string // names; "" unknown
	Group           string
	CapInheritable  uint64
	CapPermitted    uint64
	CapEffective    uint64
	ExeDev, ExeIno  uint64
	ExeCtime        int64 // inode change time of the executable, Unix nanoseconds
	ExeMtime        int64
	ExeUpper        bool // executable comes from an overlay's upper layer
	ExeMemfd        bool // executable is an anonymous memory file
	ExeWritable     bool // the process's user may write its own executable
	ExeWritten      bool // the executable was seen written in this container since it started
	ArgsTruncated   bool // Args lost their middle
	ArgsUser        bool // Args were read from user memory after the fact (marked, may be forged)
	Seeded          bool // found by iter/task, not by its own fork/exec: exec-time facts may be missing
	Phase           Phase
	Stdio           [3]Stream // what 0, 1 and 2 point to, as of exec or the last dup
	CgroupID        uint64
	PIDNS, MntNS    uint32
	HostMnt         Tristate   // MntNS is the host's: that of pid 1, as of the last fork or exec
	HostRoot        Tristate   // its root directory is that of pid 1, as of the last exec
	Container       *Container // nil = host
	ExitTime        int64      // boot nanoseconds; 0 while alive
	ExitCode        int32
}

// Stream says what one standard stream of a process points to.
type Stream struct {
	Kind   FDKind
	Ino    uint64         // pipe or socket inode; equal inodes join two processes
	Peer   string         // for a pipe: Comm of the process seen holding the other end; "" unknown
	Remote netip.AddrPort // for a connected internet socket: the other end

	// Pending says that the stream was inherited or set by a dup since the last
	// exec: its holder may be about to become another program, so it is nobody's
	// Peer yet.
	Pending bool
}

// MaxLineage bounds every walk from a process to its ancestors.
const MaxLineage = 64

// Container is one container as its runtime describes it. It is immutable once
// published; what is learnt later replaces it.
type Container struct {
	ID      string // whole id, 64 hex digits for runc and containerd; "" while unknown
	Runtime string // runc, containerd, docker, cri-o, podman
	Name    string
	// Image as the runtime names it, and its parts.
	Image, ImageRepo, ImageTag, ImageDigest, ImageID string

	PodName, PodNamespace, PodUID string
	// Workload is the top of the pod's owners, namespace/Kind/name; Owner is who answers for
	// it and Tenant whose it is, as the cluster agent tells. "" = not told (yet).
	Workload, Owner, Tenant string
	Labels                  []Label // runtime labels, sorted by key, at most 64
	Mounts                  []Mount // at most 64
	Privileged              Tristate
	StartTime, CreatedTime  int64  // wall clock, Unix nanoseconds; 0 unknown
	CgroupPath              string // path below the attribution hierarchy
	Rootfs                  string // host path of the root filesystem; "" unknown

	// Unknown is why the metadata is not known ("" = known). A container with
	// Unknown set matches no predicate about its metadata, negative ones
	// included; it heals when the metadata arrives.
	Unknown string
}

// Label is one runtime label.
type Label struct{ Key, Value string }

// Mount is one mount of a container.
type Mount struct {
	Source, Dest, Mode, Propagation string
	ReadOnly                        bool
}

// Tristate is a boolean that may not be known.
type Tristate uint8

// The values of Tristate.
const (
	Unknown Tristate = iota
	No
	Yes
)

// Phase tells container set-up from the container's own work.
type Phase uint8

const (
	// PhaseRun is ordinary execution, on the host or inside a container.
	PhaseRun Phase = iota
	// PhaseInit lasts from joining a container's cgroup to the first exec in
	// it: the runtime setting the container up, which is not an escape.
	PhaseInit
)

// Source is the family an event belongs to; it selects which fields exist.
type Source uint8

// The sources. Their names are those of the rule language's `source` key.
const (
	SourceSyscall  Source = iota // "syscall"
	SourceK8sAudit               // "k8s_audit"
)

// Flags qualify an event.
type Flags uint16

const (
	// FlagUserMemory marks paths or addresses read from user memory because
	// the call failed and left no kernel object; the caller could forge them.
	FlagUserMemory Flags = 1 << iota
	// FlagTruncated marks text longer than its slot. A negative test on
	// truncated text is never a silent match.
	FlagTruncated
	// FlagHealed marks an event whose process was missing and was rebuilt
	// from iter/task.
	FlagHealed
	// FlagPathPartial marks a Path that could not be resolved to the root.
	FlagPathPartial
	// FlagCreated marks an open that created the file.
	FlagCreated
	// FlagCompat marks a 32-bit system call.
	FlagCompat
	// FlagHasFD says FD, FDKind and what they imply are filled.
	FlagHasFD
	// FlagHasRet says Ret is filled.
	FlagHasRet
	// FlagMapped marks a load that was mapped executable; one without it was
	// opened for reading by an interpreter's kind of name.
	FlagMapped
	// FlagUpper marks a load of a file in an overlay's upper layer: written or
	// copied up in this container.
	FlagUpper
)

// FDKind is what a descriptor refers to, in the letters of fd.typechar.
type FDKind byte

// The descriptor kinds.
const (
	FDNone      FDKind = 0
	FDFile      FDKind = 'f'
	FDDirectory FDKind = 'd'
	FDIPv4      FDKind = '4'
	FDIPv6      FDKind = '6'
	FDUnix      FDKind = 'u'
	FDPipe      FDKind = 'p'
	FDEvent     FDKind = 'e'
	FDDevice    FDKind = 'v' // character or block device; reported as a file by fd.type
	FDOther     FDKind = 'o'
)

// Role is this host's part in a connection.
type Role uint8

// The roles.
const (
	RoleUnknown Role = iota
	RoleClient       // this side connected
	RoleServer       // this side accepted
)

// L4 is a transport protocol.
type L4 uint8

// The transports.
const (
	L4None L4 = iota
	L4TCP
	L4UDP
	L4ICMP
	L4Raw
)

// Lane separates what must never be lost from what may.
type Lane uint8

// The lanes, most precious first.
const (
	LaneProcess  Lane = 1 // exec, fork, exit
	LaneActivity Lane = 2 // opens, connects, dups
	LaneAudit    Lane = 3
	LaneLoad     Lane = 4 // loads: which files of an image are in use
)

// Loss records events that a hop could not deliver. It travels inline, in
// order, so a reader knows exactly which stretch is incomplete.
type Loss struct {
	Hop    string // sensor.ring, sensor.pending, link.pipe, server.ingest, trace.writer…
	Reason string // ring_full, torn_record, spool_full, invalid…
	Lane   Lane
	Count  uint64
	From   int64 // wall clock bounds of the stretch, Unix nanoseconds
	To     int64
}
