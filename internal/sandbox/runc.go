package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The parts of the OCI runtime configuration we write.
type (
	ociSpec struct {
		Version     string            `json:"ociVersion"`
		Process     ociProcess        `json:"process"`
		Root        ociRoot           `json:"root"`
		Hostname    string            `json:"hostname"`
		Mounts      []ociMount        `json:"mounts"`
		Annotations map[string]string `json:"annotations,omitempty"`
		Linux       ociLinux          `json:"linux"`
	}
	ociProcess struct {
		Terminal bool     `json:"terminal"`
		User     ociUser  `json:"user"`
		Args     []string `json:"args"`
		Env      []string `json:"env"`
		Cwd      string   `json:"cwd"`
		Caps     ociCaps  `json:"capabilities"`
		NoNew    bool     `json:"noNewPrivileges"`
	}
	ociUser struct {
		UID int `json:"uid"`
		GID int `json:"gid"`
	}
	ociCaps struct {
		Bounding  []string `json:"bounding"`
		Effective []string `json:"effective"`
		Permitted []string `json:"permitted"`
	}
	ociRoot struct {
		Path     string `json:"path"`
		Readonly bool   `json:"readonly"`
	}
	ociMount struct {
		Destination string   `json:"destination"`
		Type        string   `json:"type"`
		Source      string   `json:"source"`
		Options     []string `json:"options,omitempty"`
	}
	ociLinux struct {
		CgroupsPath string         `json:"cgroupsPath"`
		Namespaces  []ociNamespace `json:"namespaces"`
		Resources   ociResources   `json:"resources"`
		Masked      []string       `json:"maskedPaths"`
		Readonly    []string       `json:"readonlyPaths"`
	}
	ociNamespace struct {
		Type string `json:"type"`
	}
	ociResources struct {
		Devices []ociDevice `json:"devices"`
		Pids    *ociPids    `json:"pids,omitempty"`
	}
	ociDevice struct {
		Allow  bool   `json:"allow"`
		Access string `json:"access"`
	}
	ociPids struct {
		Limit int64 `json:"limit"`
	}
)

// maxProcesses bounds a fork loop inside a runc container.
const maxProcesses = 1024

// writeSpec writes the bundle's configuration. A native container gets one too,
// though nothing but attribution reads it.
func (s *Sandbox) writeSpec(o Options, first []string) error {
	caps := o.Capabilities
	if caps == nil {
		caps = usual
	}
	spec := ociSpec{
		Version:     "1.0.2",
		Process:     ociProcess{Args: first, Env: s.env, Cwd: "/", Caps: ociCaps{caps, caps, caps}, NoNew: true},
		Root:        ociRoot{Path: s.Rootfs},
		Hostname:    s.hostname,
		Annotations: s.labels,
		Mounts: []ociMount{
			{"/proc", "proc", "proc", nil},
			{"/dev", "tmpfs", "tmpfs", []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{"/dev/pts", "devpts", "devpts", []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
			{"/dev/shm", "tmpfs", "shm", []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
			{"/sys", "sysfs", "sysfs", []string{"nosuid", "noexec", "nodev", "ro"}},
		},
		Linux: ociLinux{
			CgroupsPath: "/" + s.Name,
			Namespaces:  []ociNamespace{{"pid"}, {"mount"}, {"network"}, {"uts"}, {"ipc"}, {"cgroup"}},
			Resources:   ociResources{Devices: []ociDevice{{Allow: false, Access: "rwm"}}},
			Masked:      []string{"/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"},
			Readonly:    []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
	// runc refuses a limit whose controller the host does not offer.
	if hasPids() {
		spec.Linux.Resources.Pids = &ociPids{maxProcesses}
	}
	b, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		return fmt.Errorf("write the container's configuration: %w", err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "config.json"), b, 0o644); err != nil {
		return fmt.Errorf("write the container's configuration: %w", err)
	}
	return nil
}

func (s *Sandbox) startRunc(ctx context.Context) error {
	pidFile := filepath.Join(s.dir, "pid")
	cmd := exec.CommandContext(ctx, s.runc, "--log", filepath.Join(s.dir, "log"), "run", "--detach", "--bundle", s.dir, "--pid-file", pidFile, s.Name)
	// A detached container keeps runc's own output, so that must not be a pipe that
	// someone waits on, nor a file that could grow: what runc has to say is in its log.
	if err := cmd.Run(); err != nil {
		out, _ := os.ReadFile(filepath.Join(s.dir, "log")) // only makes the message better
		return fmt.Errorf("start container %.12s with runc: %w: %s", s.Name, err, bytes.TrimSpace(out))
	}
	p, err := os.ReadFile(pidFile)
	if err != nil {
		return fmt.Errorf("start container %.12s: %w", s.Name, err)
	}
	if s.Pid, err = strconv.Atoi(strings.TrimSpace(string(p))); err != nil {
		return fmt.Errorf("start container %.12s: its pid file holds %q: %w", s.Name, p, err)
	}
	return nil
}

// deleteRunc kills a container and removes its state; one that runc does not know
// is no error.
func deleteRunc(runc, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, runc, "delete", "--force", name).CombinedOutput()
	if err != nil {
		return fmt.Errorf("delete container %.12s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}
