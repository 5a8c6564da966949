package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hierarchies returns where each cgroup hierarchy is mounted: the controllers of
// the old kind, joined by commas, or "" for the unified one.
func hierarchies() (map[string]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find the cgroup hierarchies: %w", err)
	}
	defer f.Close()
	found := map[string]string{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		// id parent major:minor root where options … - type source superoptions
		before, after, _ := strings.Cut(lines.Text(), " - ")
		head, tail := strings.Fields(before), strings.Fields(after)
		if len(head) < 5 || len(tail) < 3 || head[3] != "/" {
			continue
		}
		key := ""
		switch tail[0] {
		case "cgroup2":
		case "cgroup":
			var own []string
			for _, o := range strings.Split(tail[2], ",") {
				if !slices.Contains([]string{"rw", "ro", "xattr", "clone_children", "noprefix"}, o) && !strings.HasPrefix(o, "release_agent=") {
					own = append(own, o)
				}
			}
			key = strings.Join(own, ",")
		default:
			continue
		}
		if _, twice := found[key]; !twice {
			found[key] = head[4]
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("find the cgroup hierarchies: %w", err)
	}
	return found, nil
}

func hasPids() bool {
	where, err := hierarchies()
	if err != nil {
		return false
	}
	for key := range where {
		if slices.Contains(strings.Split(key, ","), "pids") {
			return true
		}
	}
	if root, ok := where[""]; ok {
		b, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
		return err == nil && slices.Contains(strings.Fields(string(b)), "pids")
	}
	return false
}

// CgroupPaths returns the directories of the cgroups its first process is in, by
// controllers as /proc/PID/cgroup names them; the unified hierarchy is "". A
// hierarchy where it is in the root is left out.
func (s *Sandbox) CgroupPaths() (map[string]string, error) {
	where, err := hierarchies()
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", s.Pid))
	if err != nil {
		return nil, fmt.Errorf("find the cgroups of sandbox %.12s: %w", s.Name, err)
	}
	paths := map[string]string{}
	for line := range strings.Lines(string(b)) {
		part := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(part) != 3 || part[2] == "/" {
			continue
		}
		if root, ok := where[part[1]]; ok {
			paths[part[1]] = filepath.Join(root, part[2])
		}
	}
	return paths, nil
}

// removeCgroups kills what is left in the cgroups of that name and removes them.
func removeCgroups(name string) error {
	where, err := hierarchies()
	if err != nil {
		return err
	}
	var errs []error
	for _, root := range where {
		errs = append(errs, removeCgroup(filepath.Join(root, name)))
	}
	return errors.Join(errs...)
}

func removeCgroup(dir string) error {
	// A cgroup is busy for a moment after its last process died.
	const tries, pause = 500, 10 * time.Millisecond
	for try := 0; ; try++ {
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("empty cgroup %s: %w", dir, err)
		}
		for _, p := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(p); err == nil && pid > 1 {
				if err := kill(pid); err != nil {
					return err
				}
			}
		}
		err = unix.Rmdir(dir)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if try == tries {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
		time.Sleep(pause)
	}
}
