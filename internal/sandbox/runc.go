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
		Namespaces []ociNamespace `json:"namespaces"`
	}
	ociNamespace struct {
		Type string `json:"type"`
	}
)

func (s *Sandbox) startRunc(ctx context.Context, o Options, first []string) error {
	caps := o.Capabilities
	if caps == nil {
		caps = usual
	}
	spec := ociSpec{
		Version:     "1.0.2",
		Process:     ociProcess{Args: first, Env: s.env, Cwd: "/", Caps: ociCaps{caps, caps, caps}, NoNew: true},
		Root:        ociRoot{Path: s.Rootfs},
		Hostname:    "sandbox",
		Annotations: o.Annotations,
		Mounts: []ociMount{
			{"/proc", "proc", "proc", nil},
			{"/dev", "tmpfs", "tmpfs", []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{"/dev/pts", "devpts", "devpts", []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
			{"/dev/shm", "tmpfs", "shm", []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
			{"/sys", "sysfs", "sysfs", []string{"nosuid", "noexec", "nodev", "ro"}},
		},
		Linux: ociLinux{[]ociNamespace{{"pid"}, {"mount"}, {"network"}, {"uts"}, {"ipc"}}},
	}
	b, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		return fmt.Errorf("write the container's configuration: %w", err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "config.json"), b, 0o644); err != nil {
		return fmt.Errorf("write the container's configuration: %w", err)
	}
	pidFile := filepath.Join(s.dir, "pid")
	cmd := exec.CommandContext(ctx, s.runc, "run", "--detach", "--bundle", s.dir, "--pid-file", pidFile, s.Name)
	// A detached container keeps runc's own output, so it must not be a pipe that
	// someone waits on.
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return fmt.Errorf("start container %.12s: %w", s.Name, err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		out, _ := os.ReadFile(log.Name())
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
