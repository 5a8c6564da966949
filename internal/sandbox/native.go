package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// StateRoot is where a native sandbox leaves its state.json, in runc's shape, so
// that the sensor finds its metadata the way it finds runc's.
const StateRoot = "/run/dockreeve/sandbox"

// native is a container made with clone flags, a cgroup and pivot_root, by a shell
// script of busybox: what runc does, without what makes runc safe.
type native struct {
	busybox string
	rootfs  string
	cgroups []string // cgroup directories, one per hierarchy used
	state   string
	init    *exec.Cmd
	pid     int
}

// setup runs as the first process in the new namespaces, on the host's root.
const setup = `set -e
root="$1"; shift
mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
mkdir -p .old
pivot_root . .old
cd /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /dev
for n in null zero random urandom; do touch /dev/$n; mount --bind /.old/dev/$n /dev/$n; done
mount -t sysfs -o ro sysfs /sys || true
umount -l /.old
rmdir /.old
hostname sandbox
ip link set lo up
echo ready
exec "$@" </dev/null >/dev/null 2>&1
`

func (s *Sandbox) startNative(ctx context.Context, busybox string, first []string) error {
	n := &native{busybox: busybox, rootfs: s.Rootfs}
	s.native = n
	if err := n.makeCgroups(s.Name); err != nil {
		return err
	}
	// The shell puts itself into the cgroup before it makes the namespaces, so
	// the first process is never outside.
	join := ""
	for _, d := range n.cgroups {
		join += "echo $$ > " + d + "/cgroup.procs\n"
	}
	args := append([]string{"sh", "-c", join + `exec "$0" unshare -m -u -i -n -p -f "$0" sh -c "$SETUP" setup "$@"`, busybox, s.Rootfs}, first...)
	n.init = exec.Command(busybox, args...)
	n.init.Env = append([]string{"SETUP=" + setup}, s.env...)
	n.init.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := n.init.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start sandbox %.12s: %w", s.Name, err)
	}
	var problem strings.Builder
	n.init.Stderr = &problem
	if err := n.init.Start(); err != nil {
		return fmt.Errorf("start sandbox %.12s: %w", s.Name, err)
	}
	var b [16]byte
	stop := context.AfterFunc(ctx, func() { _ = n.init.Process.Kill() })
	got, _ := out.Read(b[:])
	stop()
	if !strings.HasPrefix(string(b[:got]), "ready") {
		_ = n.init.Process.Kill()
		err := n.init.Wait()
		return fmt.Errorf("start sandbox %.12s: its set-up ended early: %w: %s", s.Name, errors.Join(err, ctx.Err()), strings.TrimSpace(problem.String()))
	}
	// unshare -f forks: the container's first process is its child.
	kids, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", n.init.Process.Pid))
	if err != nil {
		return fmt.Errorf("start sandbox %.12s: find its first process: %w", s.Name, err)
	}
	if n.pid, err = strconv.Atoi(strings.TrimSpace(string(kids))); err != nil {
		return fmt.Errorf("start sandbox %.12s: its first process is not to be told from %q: %w", s.Name, kids, err)
	}
	s.Pid = n.pid
	return n.writeState(s)
}

// makeCgroups makes one cgroup per hierarchy that may tell containers apart: the
// unified one and, beside it on older set-ups, pids and memory.
func (n *native) makeCgroups(name string) error {
	var roots []string
	var st unix.Statfs_t
	const base = "/sys/fs/cgroup"
	if err := unix.Statfs(base, &st); err != nil {
		return fmt.Errorf("%w: no cgroups at %s: %w", ErrUnavailable, base, err)
	}
	if st.Type == unix.CGROUP2_SUPER_MAGIC {
		roots = []string{base}
	} else {
		for _, h := range []string{"unified", "pids", "memory"} {
			d := filepath.Join(base, h)
			if _, err := os.Stat(filepath.Join(d, "cgroup.procs")); err == nil {
				roots = append(roots, d)
			}
		}
	}
	for _, r := range roots {
		d := filepath.Join(r, "dockreeve-sandbox", name)
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("%w: make cgroup %s: %w", ErrUnavailable, d, err)
		}
		n.cgroups = append(n.cgroups, d)
	}
	if len(n.cgroups) == 0 {
		return fmt.Errorf("%w: no usable cgroup hierarchy below %s", ErrUnavailable, base)
	}
	return nil
}

func (n *native) writeState(s *Sandbox) error {
	paths := map[string]string{}
	for _, d := range n.cgroups {
		rest := strings.TrimPrefix(d, "/sys/fs/cgroup/")
		key, _, _ := strings.Cut(rest, "/")
		switch key {
		case "pids", "memory":
			paths[key] = d
		default:
			paths[""] = d
		}
	}
	b, err := json.Marshal(map[string]any{
		"id": s.Name, "init_process_pid": n.pid, "created": time.Now().UTC(), "cgroup_paths": paths,
		"config": map[string]any{"rootfs": s.Rootfs, "labels": []string{"bundle=" + s.dir}},
	})
	if err != nil {
		return fmt.Errorf("write the sandbox's state: %w", err)
	}
	n.state = filepath.Join(StateRoot, s.Name)
	if err := os.MkdirAll(n.state, 0o711); err != nil {
		return fmt.Errorf("write the sandbox's state: %w", err)
	}
	if err := os.WriteFile(filepath.Join(n.state, "state.json"), b, 0o600); err != nil {
		return fmt.Errorf("write the sandbox's state: %w", err)
	}
	return nil
}

func (n *native) command(ctx context.Context, env, argv []string) *exec.Cmd {
	join := ""
	for _, d := range n.cgroups {
		join += "echo $$ > " + d + "/cgroup.procs && "
	}
	enter := fmt.Sprintf(`exec "$0" nsenter -t %d -m -u -i -n -p "$@"`, n.pid)
	cmd := exec.CommandContext(ctx, n.busybox, append([]string{"sh", "-c", join + enter, n.busybox}, argv...)...)
	cmd.Env = env
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

func (n *native) close() error {
	var errs []error
	if n.init != nil && n.init.Process != nil {
		if n.pid != 0 {
			// Its death takes the whole pid namespace with it.
			if err := unix.Kill(n.pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				errs = append(errs, fmt.Errorf("kill the sandbox: %w", err))
			}
		} else {
			_ = n.init.Process.Kill()
		}
		_ = n.init.Wait() // its exit status is our own kill
	}
	for _, d := range n.cgroups {
		// A cgroup is busy for a moment after its last process died.
		for try := 0; ; try++ {
			err := unix.Rmdir(d)
			if err == nil || errors.Is(err, unix.ENOENT) {
				break
			}
			if try == 50 {
				errs = append(errs, fmt.Errorf("remove cgroup %s: %w", d, err))
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		_ = unix.Rmdir(filepath.Dir(d)) // fails while other sandboxes use it
	}
	if n.state != "" {
		errs = append(errs, os.RemoveAll(n.state))
	}
	return errors.Join(errs...)
}
