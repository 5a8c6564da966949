package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Down ends everything a lab started and removes every trace of it but, unless its
// directory was a temporary one, its logs. Down of a lab that is half up or half down is
// fine.
func (l *Lab) Down(ctx context.Context) error {
	if l.log == nil {
		l.log, l.began = io.Discard, time.Now()
	}
	return withRegister(func(reg string) error { return l.remove(ctx, reg) })
}

// remove is Down under the register's lock.
func (l *Lab) remove(ctx context.Context, reg string) error {
	var problems []error
	// What makes pods first, then the pods, then what watches over them, then the rest.
	for _, n := range l.Nodes {
		for _, name := range []string{"kube-proxy-" + n.Name, "kubelet-" + n.Name} {
			l.endNamed(name)
		}
	}
	l.endNamed("kwok")
	for _, n := range l.Nodes {
		killCgroup(n.Cgroup)
		l.endNamed("containerd-" + n.Name)
		if p := l.program("node-" + n.Name); p != nil && alive(p.PID, p.Start) {
			problems = append(problems, killNamespace(p.PID))
		}
	}
	for i := len(l.Programs) - 1; i >= 0; i-- {
		l.Programs[i].end(5 * time.Second)
	}
	for _, n := range l.Nodes {
		wire := "/sys/class/net/" + n.Wire
		if _, err := os.Stat(wire); err == nil {
			err := run(ctx, "ip", "link", "del", n.Wire)
			// It goes by itself with the namespace of its other end, any moment now.
			if _, there := os.Stat(wire); err != nil && there == nil {
				problems = append(problems, err)
			}
		}
	}
	if len(l.Nodes) > 0 {
		problems = append(problems, removeCgroups(strings.SplitN(l.Nodes[0].Cgroup, "/", 2)[0]))
	}
	if l.api != nil {
		l.api.CloseIdleConnections()
	}
	if l.Temporary {
		problems = append(problems, removeAll(l.Dir))
	} else {
		files, err := os.ReadDir(l.Dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, err)
		}
		for _, f := range files {
			if f.Name() != "log" {
				problems = append(problems, removeAll(l.File(f.Name())))
			}
		}
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("the lab in %s is not all gone: %w", l.Dir, err)
	}
	// Only now: what is left of a lab that could not be removed stays claimed.
	if err := os.Remove(slotFile(reg, l.Slot)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(claims(reg)) > 0 {
		return nil
	}
	return unmakeDirs(reg)
}

func (l *Lab) endNamed(name string) {
	if p := l.program(name); p != nil {
		p.end(10 * time.Second)
	}
}

// killCgroup ends every process below a cgroup: those of a node's pods.
func killCgroup(name string) {
	for range 50 {
		none := true
		for _, root := range cgroupRoots(name) {
			_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.Name() != "cgroup.procs" {
					return nil
				}
				b, _ := os.ReadFile(path)
				for pid := range strings.FieldsSeq(string(b)) {
					if n, err := strconv.Atoi(pid); err == nil && n > 1 {
						none = false
						_ = unix.Kill(n, unix.SIGKILL)
					}
				}
				return nil
			})
		}
		if none {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// cgroupRoots are where a cgroup is, in each hierarchy that has it.
func cgroupRoots(name string) (dirs []string) {
	roots, _ := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs")
	for _, r := range append(roots, "/sys/fs/cgroup/cgroup.procs") {
		if d := filepath.Join(filepath.Dir(r), name); isDir(d) {
			dirs = append(dirs, d)
		}
	}
	return dirs
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

func removeCgroups(name string) error {
	var last error
	for range 50 {
		last = nil
		for _, root := range cgroupRoots(name) {
			var dirs []string
			_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
			for i := len(dirs) - 1; i >= 0; i-- {
				if err := unix.Rmdir(dirs[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
					last = fmt.Errorf("remove cgroup %s: %w", dirs[i], err)
				}
			}
		}
		if last == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond) // a cgroup goes when the last of its dead is reaped
	}
	return last
}

// killNamespace ends what still lives in a node's mount namespace, the shims above all,
// except the process that holds it.
func killNamespace(holder int) error {
	ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", holder))
	if err != nil {
		return err
	}
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, e := range procs {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == holder {
			continue
		}
		if at, err := os.Readlink("/proc/" + e.Name() + "/ns/mnt"); err == nil && at == ns {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	return nil
}

// removeAll removes a tree, and never what is mounted in it: the namespaces that mounted
// there are gone, but their mounts may need a moment.
func removeAll(path string) error {
	var err error
	for range 50 {
		if err = os.RemoveAll(path); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

// unmakeDirs removes the directories that makeDirs made, where they are empty.
func unmakeDirs(reg string) error {
	b, err := os.ReadFile(filepath.Join(reg, "made"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	dirs := strings.Split(strings.TrimSpace(string(b)), "\n")
	for i := len(dirs) - 1; i >= 0; i-- {
		if err := unix.Rmdir(dirs[i]); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTEMPTY) {
			return fmt.Errorf("remove %s: %w", dirs[i], err)
		}
	}
	return os.Remove(filepath.Join(reg, "made"))
}
