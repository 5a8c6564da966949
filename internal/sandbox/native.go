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
)

// StateRoot is where a native sandbox leaves its state.json, in runc's shape, so
// that the sensor finds its metadata the way it finds runc's.
const StateRoot = "/run/dockreeve/sandbox"

func stateDir(name string) string { return filepath.Join(StateRoot, name) }

// native is a container made with clone flags, a cgroup and pivot_root, by a shell
// script of busybox: what runc does, without what makes runc safe.
type native struct {
	busybox string
	cgroups map[string]string // cgroup directories by controllers, one per hierarchy used
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
hostname "$HOSTNAME_INSIDE"
unset SETUP HOSTNAME_INSIDE
ip link set lo up
command -v "$1" >/dev/null || { echo "$1: not found" >&2; exit 127; }
echo ready
exec "$@" </dev/null >/dev/null 2>&1
`

func (s *Sandbox) startNative(ctx context.Context, busybox string, first []string) error {
	n := &native{busybox: busybox}
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
	n.init.Env = append([]string{"SETUP=" + setup, "HOSTNAME_INSIDE=" + s.hostname}, s.env...)
	n.init.WaitDelay = 5 * time.Second
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

// makeCgroups makes one cgroup in every hierarchy that may tell containers apart:
// the unified one and, beside it on older set-ups, pids and memory.
func (n *native) makeCgroups(name string) error {
	where, err := hierarchies()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	n.cgroups = map[string]string{}
	for key, root := range where {
		if key != "" && key != "pids" && key != "memory" {
			continue
		}
		d := filepath.Join(root, name)
		if err := os.Mkdir(d, 0o755); err != nil {
			return fmt.Errorf("%w: make cgroup %s: %w", ErrUnavailable, d, err)
		}
		n.cgroups[key] = d
	}
	if len(n.cgroups) == 0 {
		return fmt.Errorf("%w: no usable cgroup hierarchy is mounted; mount cgroup2 at /sys/fs/cgroup", ErrUnavailable)
	}
	return nil
}

func (n *native) writeState(s *Sandbox) error {
	labels := []string{"bundle=" + s.dir}
	for k, v := range s.labels {
		labels = append(labels, k+"="+v)
	}
	start, err := startOf(n.pid)
	if err != nil {
		return fmt.Errorf("write the sandbox's state: %w", err)
	}
	b, err := json.Marshal(map[string]any{
		"id": s.Name, "init_process_pid": n.pid, "init_process_start": start, "created": time.Now().UTC(), "cgroup_paths": n.cgroups,
		"config": map[string]any{"rootfs": s.Rootfs, "labels": labels},
	})
	if err != nil {
		return fmt.Errorf("write the sandbox's state: %w", err)
	}
	if err := os.MkdirAll(stateDir(s.Name), 0o711); err != nil {
		return fmt.Errorf("write the sandbox's state: %w", err)
	}
	if err := os.WriteFile(filepath.Join(stateDir(s.Name), "state.json"), b, 0o600); err != nil {
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

// close kills the first process, whose death takes the whole pid namespace with
// it; what a broken set-up left is in the cgroups.
func (n *native) close() error {
	if n.init == nil || n.init.Process == nil {
		return nil
	}
	if n.pid != 0 {
		return kill(n.pid)
	}
	if err := n.init.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the sandbox: %w", err)
	}
	return nil
}

// wait collects the process that close killed; its exit status is our own kill.
func (n *native) wait() {
	if n.init != nil && n.init.Process != nil {
		_ = n.init.Wait()
	}
}
