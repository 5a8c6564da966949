package container

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// roots are the file systems in which runtimes may keep their state, as directories that
// lead there: this process's own, those the options name, the host's where this process
// has another (a DaemonSet that shares the PID namespace), and those of runtimes that live
// in a mount namespace of their own.
//
// A container could run something that is called containerd and keeps false state. So only
// processes outside of every container, in the user namespace of the host, are believed;
// a runtime inside a container is believed only where an option names its root.
type roots struct {
	proc  string
	mode  Mode
	given []string
	now   func() time.Time

	mu     sync.Mutex
	found  []foundRoot
	looked time.Time
}

// foundRoot is the root of a runtime's process, good as long as that process is in the
// namespace it was found in.
type foundRoot struct {
	pid int
	ns  string
}

// Bounds of a search for runtimes.
const (
	maxRoots     = 8
	maxProcesses = 1 << 16
	lookAgain    = time.Second // at the soonest
)

// runtimes are the names of programs that hold the state of containers, as comm cuts them.
var runtimes = map[string]bool{"containerd": true, "containerd-shim": true, "dockerd": true, "crio": true, "conmon": true}

// list returns the directories to look in, the most trusted first; "" is this process's
// own root.
func (r *roots) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	dirs := append([]string{""}, r.given...)
	live := r.found[:0]
	for _, f := range r.found {
		if ns, err := os.Readlink(filepath.Join(r.proc, strconv.Itoa(f.pid), "ns/mnt")); err != nil || ns != f.ns {
			r.looked = time.Time{} // it ended: perhaps another lives there
			continue
		}
		live = append(live, f)
		dirs = append(dirs, filepath.Join(r.proc, strconv.Itoa(f.pid), "root"))
	}
	r.found = live
	return dirs
}

// search looks for runtimes in other mount namespaces, at most once a second, and reports
// whether it found one that was not known.
func (r *roots) search() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); now.Sub(r.looked) < lookAgain {
		return false
	} else {
		r.looked = now
	}
	own, err := os.Readlink(filepath.Join(r.proc, "self/ns/mnt"))
	if err != nil {
		return false
	}
	known := map[string]bool{own: true}
	for _, f := range r.found {
		known[f.ns] = true
	}
	user, err := os.Readlink(filepath.Join(r.proc, "self/ns/user")) // the host's: no other may load eBPF programs
	if err != nil {
		return false
	}
	added := false
	// Process 1 has the host's root, where it is the host's.
	for _, pid := range append([]int{1}, r.candidates()...) {
		if len(r.found) == maxRoots {
			break
		}
		dir := filepath.Join(r.proc, strconv.Itoa(pid))
		ns, err := os.Readlink(filepath.Join(dir, "ns/mnt"))
		if err != nil || known[ns] {
			continue
		}
		if u, err := os.Readlink(filepath.Join(dir, "ns/user")); err != nil || u != user {
			continue
		}
		if pid != 1 && r.contained(dir) {
			continue
		}
		known[ns] = true
		r.found = append(r.found, foundRoot{pid, ns})
		added = true
	}
	return added
}

// candidates are processes with a runtime's name, in the order of their numbers: the
// oldest lives the longest.
func (r *roots) candidates() (pids []int) {
	d, err := os.Open(r.proc)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(maxProcesses)
	for _, n := range names {
		pid, err := strconv.Atoi(n)
		if err != nil {
			continue
		}
		comm, err := os.ReadFile(filepath.Join(r.proc, n, "comm"))
		if err == nil && runtimes[strings.TrimSpace(string(comm))] {
			pids = append(pids, pid)
		}
	}
	return pids
}

// contained reports whether a process is in a container, or may be.
func (r *roots) contained(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	if err != nil {
		return true
	}
	path, ok := cgroupOf(string(b), r.mode)
	if !ok {
		return true
	}
	if _, is := ParseCgroup(path); is {
		return true
	}
	if path == "/" || systemUnit(path) {
		return false
	}
	_, is, coming := Dirs{}.orUsual().byState(path, r.mode)
	return is || coming
}

// cgroupOf finds the path of one hierarchy in the text of /proc/PID/cgroup.
func cgroupOf(text string, mode Mode) (string, bool) {
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		if mode == ModeV2 && f[1] == "" {
			return f[2], true
		}
		for c := range strings.SplitSeq(f[1], ",") {
			if c == mode.String() && mode != ModeV2 {
				return f[2], true
			}
		}
	}
	return "", false
}
