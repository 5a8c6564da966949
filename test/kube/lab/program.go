package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Program is one process of a lab. Its pid and the time it started name it, so that a
// number used again is never mistaken for it.
type Program struct {
	Name  string   `json:"name"`
	PID   int      `json:"pid"`
	Start uint64   `json:"start"` // clock ticks since boot
	Args  []string `json:"args"`
	Env   []string `json:"env,omitempty"`
}

// start runs a program in a session of its own, nicer than what uses the lab.
func (l *Lab) start(name string, env []string, args ...string) (*Program, error) {
	p := &Program{Name: name, Args: args, Env: env}
	if err := l.launch(p); err != nil {
		return nil, err
	}
	l.Programs = append(l.Programs, p)
	return p, l.save()
}

func (l *Lab) launch(p *Program) error {
	out, err := os.OpenFile(l.File("log/"+p.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command("nice", append([]string{"-n", "3"}, p.Args...)...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.PID = cmd.Process.Pid
	p.Start, err = startTime(p.PID)
	if err != nil {
		return fmt.Errorf("start %s: it ended at once: %s", p.Name, l.tail(p.Name+".log"))
	}
	go func() { _ = cmd.Wait() }() // its end is seen by its pid, here and in other processes
	return nil
}

// startTime is the 22nd field of /proc/PID/stat.
func startTime(pid int) (uint64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 20 {
		return 0, errors.New("a stat line of another kind")
	}
	if f[0] == "Z" || f[0] == "X" {
		return 0, os.ErrProcessDone
	}
	return strconv.ParseUint(f[19], 10, 64)
}

// alive reports whether the process that was recorded still runs.
func alive(pid int, start uint64) bool {
	t, err := startTime(pid)
	return err == nil && t == start
}

// apiGrace is all that an API server is given to end: it would wait a minute for those who
// watch, and what it has answered is in etcd and in its audit file.
const apiGrace = time.Second

// end stops a program: by signal, and by force after wait.
func (p *Program) end(wait time.Duration) {
	if p.Name == "kube-apiserver" {
		wait = min(wait, apiGrace)
	}
	defer p.reaped()
	if !alive(p.PID, p.Start) {
		return
	}
	_ = unix.Kill(p.PID, unix.SIGTERM)
	for until := time.Now().Add(wait); alive(p.PID, p.Start) && time.Now().Before(until); {
		time.Sleep(20 * time.Millisecond)
	}
	if alive(p.PID, p.Start) {
		_ = unix.Kill(p.PID, unix.SIGKILL)
		for until := time.Now().Add(5 * time.Second); alive(p.PID, p.Start) && time.Now().Before(until); {
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// reaped waits for the last thread of a program that was killed: its first may be a zombie
// while others still hold its ports. Whoever started it takes its pid away then.
func (p *Program) reaped() {
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat("/proc/" + strconv.Itoa(p.PID)); err != nil {
			return
		}
	}
}

func (l *Lab) program(name string) *Program {
	i := slices.IndexFunc(l.Programs, func(p *Program) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return l.Programs[i]
}

// Stop ends one program and leaves it in the lab, for Restart. The programs are etcd,
// kube-apiserver, kube-controller-manager, kube-scheduler, hook, and on nodes
// containerd-NODE, kubelet-NODE and kube-proxy-NODE.
func (l *Lab) Stop(name string) error {
	p := l.program(name)
	if p == nil {
		return fmt.Errorf("the lab has no program %q", name)
	}
	p.end(15 * time.Second)
	return nil
}

// Restart ends one program where it runs and starts it again with the same arguments; it
// returns when an API server restarted so is ready.
func (l *Lab) Restart(ctx context.Context, name string) error {
	if err := l.Stop(name); err != nil {
		return err
	}
	if err := l.launch(l.program(name)); err != nil {
		return err
	}
	if err := l.save(); err != nil {
		return err
	}
	if name != "kube-apiserver" {
		return nil
	}
	return l.wait(ctx, "API server again", name+".log", time.Minute, l.apiReady)
}

func (l *Lab) apiReady(ctx context.Context) bool {
	_, err := l.API(ctx, "GET", "/readyz", nil)
	return err == nil
}

// inside are the arguments of nsenter for a command on a node.
func (l *Lab) inside(node string, command ...string) []string {
	return append([]string{"-t", strconv.Itoa(l.program("node-" + node).PID), "-m", "-n", "--"}, command...)
}

// onNode runs a command on a node and waits for it.
func (l *Lab) onNode(ctx context.Context, node string, command ...string) error {
	return run(ctx, "nsenter", l.inside(node, command...)...)
}

func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
