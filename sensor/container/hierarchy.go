package container

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Mode is a kind of cgroup hierarchy; the numbers are those of the eBPF programs.
type Mode uint32

// The modes, in order of preference.
const (
	ModeV2     Mode = 0
	ModePids   Mode = 1
	ModeMemory Mode = 2
)

// String names the mode.
func (m Mode) String() string { return [...]string{"v2", "pids", "memory"}[min(m, 2)] }

// Hierarchy is the one cgroup hierarchy by which containers are told apart.
type Hierarchy struct {
	Mode   Mode
	ID     uint32 // the kernel's hierarchy number; 0 is v2
	Root   string // where it is mounted
	RootID uint64 // cgroup id of its root
	Why    string // why this one was chosen
}

// ErrNoHierarchy reports a machine without a usable cgroup hierarchy.
var ErrNoHierarchy = errors.New("no cgroup hierarchy that tells containers apart")

// Detect chooses the hierarchy: v2 where it is the only one or where tasks are off
// its root (so runtimes use it), else pids, else memory. proc is where procfs is
// mounted.
func Detect(proc string) (Hierarchy, error) {
	mounts, err := cgroupMounts(filepath.Join(proc, "self/mountinfo"))
	if err != nil {
		return Hierarchy{}, err
	}
	ids, err := hierarchyIDs(filepath.Join(proc, "self/cgroup"))
	if err != nil {
		return Hierarchy{}, err
	}
	_, pids := mounts["pids"]
	_, memory := mounts["memory"]
	pick := func(m Mode, why string) (Hierarchy, error) {
		h := Hierarchy{Mode: m, Root: mounts[m.String()], Why: why}
		if m != ModeV2 {
			h.ID = ids[m.String()]
		}
		var st unix.Stat_t
		if err := unix.Stat(h.Root, &st); err != nil {
			return h, fmt.Errorf("look at cgroup hierarchy %s: %w", h.Root, err)
		}
		h.RootID = st.Ino
		return h, nil
	}
	if _, v2 := mounts["v2"]; v2 {
		if !pids && !memory {
			return pick(ModeV2, "it is the only hierarchy")
		}
		off, err := tasksOffRoot(proc)
		if err != nil {
			return Hierarchy{}, err
		}
		if off {
			return pick(ModeV2, "tasks are off its root")
		}
	}
	switch {
	case pids && ids["pids"] != 0:
		return pick(ModePids, "all tasks are on the root of v2")
	case memory && ids["memory"] != 0:
		return pick(ModeMemory, "all tasks are on the root of v2, and pids is not mounted")
	}
	return Hierarchy{}, fmt.Errorf("%w: neither cgroup2 nor the v1 pids or memory hierarchy is mounted; mount the host's /sys/fs/cgroup", ErrNoHierarchy)
}

// cgroupMounts maps v2, pids and memory to their mount points.
func cgroupMounts(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("find the cgroup hierarchies: %w", err)
	}
	defer f.Close()
	m := map[string]string{}
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		left, right, ok := strings.Cut(sc.Text(), " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 5 || len(r) < 1 {
			continue
		}
		put := func(key string) {
			if _, have := m[key]; !have {
				m[key] = l[4]
			}
		}
		switch r[0] {
		case "cgroup2":
			put("v2")
		case "cgroup":
			if len(r) < 3 {
				continue
			}
			for o := range strings.SplitSeq(r[2], ",") {
				if o == "pids" || o == "memory" {
					put(o)
				}
			}
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return m, nil
}

func hierarchyIDs(path string) (map[string]uint32, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("number the cgroup hierarchies: %w", err)
	}
	ids := map[string]uint32{}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		n, err := strconv.ParseUint(f[0], 10, 32)
		if err != nil {
			continue
		}
		for c := range strings.SplitSeq(f[1], ",") {
			ids[c] = uint32(n)
		}
	}
	return ids, nil
}

// tasksOffRoot looks whether some process is below the root of v2.
func tasksOffRoot(proc string) (bool, error) {
	d, err := os.Open(proc)
	if err != nil {
		return false, fmt.Errorf("look for tasks in cgroup v2: %w", err)
	}
	defer d.Close()
	names, err := d.Readdirnames(1 << 16)
	if err != nil && len(names) == 0 {
		return false, fmt.Errorf("look for tasks in cgroup v2: %w", err)
	}
	for _, n := range names {
		if n[0] < '0' || n[0] > '9' {
			continue
		}
		b, err := os.ReadFile(filepath.Join(proc, n, "cgroup"))
		if err != nil {
			continue // it ended meanwhile
		}
		for line := range strings.Lines(string(b)) {
			if p, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok && p != "/" && p != "" {
				return true, nil
			}
		}
	}
	return false, nil
}

// fileidKernfs is the handle type of kernfs files: an 8 byte inode id.
const fileidKernfs = 0xfe

// path finds a cgroup by its id: straight by file handle, which costs one call, or
// else by walking the hierarchy.
func (h Hierarchy) path(id uint64) (string, bool, error) {
	if id == h.RootID {
		return "/", true, nil
	}
	root, err := unix.Open(h.Root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", false, fmt.Errorf("open cgroup hierarchy %s: %w", h.Root, err)
	}
	defer unix.Close(root)
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], id)
	fd, err := unix.OpenByHandleAt(root, unix.NewFileHandle(fileidKernfs, b[:]), unix.O_PATH|unix.O_CLOEXEC)
	switch {
	case err == nil:
		defer unix.Close(fd)
		at, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if err != nil {
			return "", false, fmt.Errorf("name cgroup %d: %w", id, err)
		}
		if rel, ok := strings.CutPrefix(at, h.Root); ok {
			return rel, true, nil
		}
	case errors.Is(err, unix.ESTALE):
		return "", false, nil
	}
	return h.walk(id)
}

// maxCgroups bounds a walk of the hierarchy.
const maxCgroups = 1 << 16

func (h Hierarchy) walk(id uint64) (found string, ok bool, err error) {
	seen := 0
	err = filepath.WalkDir(h.Root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if !d.IsDir() {
			return nil
		}
		if seen++; seen > maxCgroups {
			return fmt.Errorf("more than %d cgroups", maxCgroups)
		}
		var st unix.Stat_t
		if unix.Stat(path, &st) == nil && st.Ino == id {
			found, ok = strings.TrimPrefix(path, h.Root), true
			return fs.SkipAll
		}
		return nil
	})
	if err != nil {
		return "", false, fmt.Errorf("look for cgroup %d below %s: %w", id, h.Root, err)
	}
	return found, ok, nil
}
