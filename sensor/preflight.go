package sensor

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Unsupported says why kernel events cannot be had here, and what to do about it.
type Unsupported struct {
	Check  string // what was looked at: platform, capabilities, kernel, btf, lockdown, proc, pidns, load
	Why    string // what was found
	Remedy string
	Err    error // the underlying error, when there is one
}

// Error gives the cause and the remedy in one line.
func (u *Unsupported) Error() string {
	s := "kernel events are not available: " + u.Why
	if u.Err != nil {
		s += ": " + u.Err.Error()
	}
	return s + "; " + u.Remedy
}

// Unwrap returns the underlying error.
func (u *Unsupported) Unwrap() error { return u.Err }

// Facts are what Preflight judges: everything it needs to know of a machine.
type Facts struct {
	OS, Arch     string
	Caps         uint64 // effective capabilities of this process
	Release      string // uname -r
	BTF          error  // why /sys/kernel/btf/vmlinux cannot be read; nil when it can
	Lockdown     string // /sys/kernel/security/lockdown, "" when absent
	Proc         error  // why /proc cannot be read
	PIDNamespace uint64 // inode of /proc/self/ns/pid
}

// The floor: what the committed programs are written to.
const (
	floorMajor = 5
	floorMinor = 15
)

// hostPIDNamespace is the inode of the initial pid namespace, fixed in the kernel
// (PROC_PID_INIT_INO).
const hostPIDNamespace = 0xEFFFFFFC

const (
	capSysAdmin = 21
	capPerfmon  = 38
	capBPF      = 39
)

// Look gathers the facts of this machine.
func Look() Facts {
	f := Facts{OS: runtime.GOOS, Arch: runtime.GOARCH}
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		f.Release = unix.ByteSliceToString(u.Release[:])
	}
	if st, err := os.Open("/proc/self/status"); err != nil {
		f.Proc = err
	} else {
		sc := bufio.NewScanner(st)
		for sc.Scan() {
			if v, ok := strings.CutPrefix(sc.Text(), "CapEff:"); ok {
				f.Caps, _ = strconv.ParseUint(strings.TrimSpace(v), 16, 64)
			}
		}
		f.Proc = errors.Join(sc.Err(), st.Close())
	}
	if b, err := os.Open("/sys/kernel/btf/vmlinux"); err != nil {
		f.BTF = err
	} else {
		f.BTF = b.Close()
	}
	if b, err := os.ReadFile("/sys/kernel/security/lockdown"); err == nil {
		f.Lockdown = string(b)
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &st); err == nil {
		f.PIDNamespace = st.Ino
	}
	return f
}

// Preflight judges facts: nil when kernel events should work, else an *Unsupported
// that names the first obstacle and its remedy.
func Preflight(f Facts) error {
	no := func(check, why, remedy string, err error) error {
		return &Unsupported{Check: check, Why: why, Remedy: remedy, Err: err}
	}
	if f.OS != "linux" || f.Arch != "amd64" && f.Arch != "arm64" {
		return no("platform", "the sensor is built for Linux on amd64 and arm64, this is "+f.OS+"/"+f.Arch,
			"replay a recorded trace instead (--replay FILE)", nil)
	}
	if f.Proc != nil {
		return no("proc", "/proc cannot be read", "mount procfs at /proc, the host's one in a container", f.Proc)
	}
	has := func(bit int) bool { return f.Caps>>bit&1 != 0 }
	if !has(capSysAdmin) && !(has(capBPF) && has(capPerfmon)) {
		return no("capabilities", "this process may not load eBPF programs (it has neither CAP_SYS_ADMIN nor CAP_BPF with CAP_PERFMON)",
			"run as root (sudo), or in Kubernetes with securityContext.privileged: true", nil)
	}
	major, minor, ok := release(f.Release)
	if !ok {
		return no("kernel", fmt.Sprintf("the kernel release %q has no version in it", f.Release), "replay a recorded trace instead (--replay FILE)", nil)
	}
	if major < floorMajor || major == floorMajor && minor < floorMinor {
		return no("kernel", fmt.Sprintf("kernel %s is older than %d.%d", f.Release, floorMajor, floorMinor),
			fmt.Sprintf("run on kernel %d.%d or newer (AKS: Ubuntu 22.04, Azure Linux 3 or later node images)", floorMajor, floorMinor), nil)
	}
	if f.BTF != nil {
		why, remedy := "the kernel offers no type information at /sys/kernel/btf/vmlinux", "use a kernel built with CONFIG_DEBUG_INFO_BTF=y (every current distribution's is)"
		if !errors.Is(f.BTF, fs.ErrNotExist) {
			why = "/sys/kernel/btf/vmlinux cannot be read"
			remedy = "give the process read access to /sys of the host"
		}
		return no("btf", why, remedy, f.BTF)
	}
	if strings.Contains(f.Lockdown, "[confidentiality]") {
		return no("lockdown", "kernel lockdown is in confidentiality mode, which forbids eBPF to read kernel memory",
			"boot with lockdown=integrity or none", nil)
	}
	if f.PIDNamespace != 0 && f.PIDNamespace != hostPIDNamespace {
		return no("pidns", "this process runs in its own pid namespace, so the host's processes are out of its sight",
			"share the host's (Kubernetes: hostPID: true; docker run --pid=host)", nil)
	}
	return nil
}

// release reads major and minor out of a uname release.
func release(s string) (major, minor int, ok bool) {
	a, rest, found := strings.Cut(s, ".")
	if !found {
		return 0, 0, false
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	major, err1 := strconv.Atoi(a)
	minor, err2 := strconv.Atoi(rest[:end])
	return major, minor, err1 == nil && err2 == nil
}

// loadError explains a refusal by the kernel itself.
func loadError(err error) error {
	u := &Unsupported{Check: "load", Err: err, Why: "the kernel refused the sensor's eBPF programs",
		Remedy: "report the kernel release and this message; meanwhile replay a recorded trace (--replay FILE)"}
	switch {
	case errors.Is(err, unix.EPERM):
		u.Why = "the kernel forbids this process to load eBPF programs (a seccomp profile, a security module or lockdown)"
		u.Remedy = "run privileged: no seccomp filter on bpf(2) and perf_event_open(2)"
	case errors.Is(err, unix.ENOMEM):
		u.Why = "no memory for the sensor's eBPF maps"
		u.Remedy = "raise the memory limit or RLIMIT_MEMLOCK, or lower the ring sizes"
	}
	return u
}
