package sandbox

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Options of a Sandbox; the zero value is a good one.
type Options struct {
	// Name is the container's id; "" invents a name of 64 hexadecimal digits, as
	// Docker and containerd do.
	Name string
	// Env are K=V pairs for every command; PATH is set when absent.
	Env []string
	// Files are written into the root filesystem's lower layer, path to content;
	// mode 0644, 0755 where the content begins with "#!".
	Files map[string]string
	// Binaries are host files copied into the root filesystem, path inside to
	// path on the host.
	Binaries map[string]string
	// Annotations go into the bundle's config.json (runc only).
	Annotations map[string]string
	// Native skips runc even where it is installed.
	Native bool
	// Busybox is the static busybox to use; "" looks it up.
	Busybox string
	// Init is the first command; "" sleeps until Close.
	Init []string
	// Capabilities of its commands, CAP_ names; nil means Docker's usual set.
	Capabilities []string
}

// Sandbox is one running container. Exec and Start may be called concurrently.
type Sandbox struct {
	Name    string
	Runtime string // "runc" or "native"
	Rootfs  string // host path
	Pid     int    // of its first process, host namespace

	dir     string
	env     []string
	overlay bool
	runc    string
	native  *native
}

// ErrUnavailable wraps what is missing for a sandbox on this machine.
var ErrUnavailable = errors.New("no sandbox can be made here")

// usual are the capabilities that container runtimes grant when nobody asks.
var usual = []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"}

// Create starts a container and returns once its first process runs. Its error
// wraps ErrUnavailable when the machine lacks what is needed.
func Create(ctx context.Context, o Options) (_ *Sandbox, err error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: it needs root; run with sudo", ErrUnavailable)
	}
	busybox := o.Busybox
	if busybox == "" {
		if busybox, err = exec.LookPath("busybox"); err != nil {
			return nil, fmt.Errorf("%w: busybox is not installed; install busybox-static", ErrUnavailable)
		}
	}
	s := &Sandbox{Name: o.Name, env: slices.Clone(o.Env)}
	if s.Name == "" {
		var b [32]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, fmt.Errorf("invent a container id: %w", err)
		}
		s.Name = hex.EncodeToString(b[:])
	}
	if strings.ContainsAny(s.Name, "/\x00") || len(s.Name) > 128 {
		return nil, fmt.Errorf("sandbox name %q: want at most 128 bytes without a slash", s.Name)
	}
	if !slices.ContainsFunc(s.env, func(e string) bool { return strings.HasPrefix(e, "PATH=") }) {
		s.env = append(s.env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	if s.dir, err = os.MkdirTemp("", "dockreeve-sandbox-"); err != nil {
		return nil, fmt.Errorf("make the sandbox's directory: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	// The container's users must be able to pass through.
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("open the sandbox's directory: %w", err)
	}
	if err := s.rootfs(ctx, busybox, o); err != nil {
		return nil, err
	}
	first := o.Init
	if len(first) == 0 {
		first = []string{"/bin/sleep", "2000000000"}
	}
	if path, e := exec.LookPath("runc"); e == nil && !o.Native {
		s.runc, s.Runtime = path, "runc"
		return s, s.startRunc(ctx, o, first)
	}
	s.Runtime = "native"
	return s, s.startNative(ctx, busybox, first)
}

// Command prepares a command inside; nothing runs until the caller starts it.
func (s *Sandbox) Command(ctx context.Context, argv ...string) *exec.Cmd {
	if s.native != nil {
		return s.native.command(ctx, s.env, argv)
	}
	args := append([]string{"exec"}, s.Name)
	cmd := exec.CommandContext(ctx, s.runc, append(args, argv...)...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// Exec runs a command inside to its end and returns what it printed. A command
// that fails gives an *exec.ExitError with its output in the message.
func (s *Sandbox) Exec(ctx context.Context, argv ...string) (stdout string, err error) {
	cmd := s.Command(ctx, argv...)
	var out, errb bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errb
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("run %q in sandbox %.12s: %w: %s", argv, s.Name, err, strings.TrimSpace(errb.String()))
	}
	return out.String(), nil
}

// Start starts a command inside and returns at once; the caller waits for it.
func (s *Sandbox) Start(ctx context.Context, argv ...string) (*exec.Cmd, error) {
	cmd := s.Command(ctx, argv...)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %q in sandbox %.12s: %w", argv, s.Name, err)
	}
	return cmd, nil
}

// Close kills what runs inside and removes everything Create made. It may be
// called more than once.
func (s *Sandbox) Close() error {
	var errs []error
	if s.runc != "" {
		out, err := exec.Command(s.runc, "delete", "--force", s.Name).CombinedOutput()
		if err != nil {
			errs = append(errs, fmt.Errorf("delete container %.12s: %w: %s", s.Name, err, bytes.TrimSpace(out)))
		}
		s.runc = ""
	}
	if s.native != nil {
		errs = append(errs, s.native.close())
		s.native = nil
	}
	if s.overlay {
		if err := unix.Unmount(s.Rootfs, unix.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("unmount %s: %w", s.Rootfs, err))
		}
		s.overlay = false
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
		s.dir = ""
	}
	return errors.Join(errs...)
}

// rootfs lays the busybox file system down as an overlay's lower layer, so that
// what the container writes lands in the upper one as with a real image.
func (s *Sandbox) rootfs(ctx context.Context, busybox string, o Options) error {
	lower := filepath.Join(s.dir, "lower")
	for _, d := range []string{"bin", "sbin", "usr/bin", "usr/sbin", "etc", "proc", "sys", "dev", "root", "var/run", "var/www", "home", "run"} {
		if err := os.MkdirAll(filepath.Join(lower, d), 0o755); err != nil {
			return fmt.Errorf("make the root filesystem: %w", err)
		}
	}
	tmp := filepath.Join(lower, "tmp")
	if err := errors.Join(os.Mkdir(tmp, 0o777), os.Chmod(tmp, 0o777|os.ModeSticky)); err != nil {
		return fmt.Errorf("make the root filesystem: %w", err)
	}
	if err := copyFile(filepath.Join(lower, "bin/busybox"), busybox); err != nil {
		return err
	}
	list, err := exec.CommandContext(ctx, busybox, "--list").Output()
	if err != nil {
		return fmt.Errorf("ask %s for its applets: %w", busybox, err)
	}
	for _, applet := range strings.Fields(string(list)) {
		if applet == "busybox" || strings.ContainsRune(applet, '/') {
			continue
		}
		if err := os.Symlink("/bin/busybox", filepath.Join(lower, "bin", applet)); err != nil {
			return fmt.Errorf("make the root filesystem: %w", err)
		}
	}
	files := map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
		"/etc/group":  "root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n",
		"/etc/shadow": "root:*:19000:0:99999:7:::\nwww-data:*:19000:0:99999:7:::\n",
		"/etc/hosts":  "127.0.0.1 localhost\n::1 localhost\n",
	}
	for path, text := range o.Files {
		files[path] = text
	}
	for path, text := range files {
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		at := filepath.Join(lower, filepath.Clean("/"+path))
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), mode)); err != nil {
			return fmt.Errorf("write %s into the root filesystem: %w", path, err)
		}
	}
	for path, from := range o.Binaries {
		at := filepath.Join(lower, filepath.Clean("/"+path))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return fmt.Errorf("copy %s into the root filesystem: %w", path, err)
		}
		if err := copyFile(at, from); err != nil {
			return err
		}
	}
	s.Rootfs = filepath.Join(s.dir, "rootfs")
	upper, work := filepath.Join(s.dir, "upper"), filepath.Join(s.dir, "work")
	for _, d := range []string{s.Rootfs, upper, work} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return fmt.Errorf("make the root filesystem: %w", err)
		}
	}
	opts := "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + work
	if err := unix.Mount("overlay", s.Rootfs, "overlay", 0, opts); err != nil {
		// Overlay on overlay and some file systems refuse; a plain directory does
		// everything but tell the image's files from the container's.
		if e := os.Remove(s.Rootfs); e != nil {
			return fmt.Errorf("make the root filesystem: %w", e)
		}
		return os.Rename(lower, s.Rootfs)
	}
	s.overlay = true
	return nil
}

func copyFile(to, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("copy into the root filesystem: %w", err)
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		return fmt.Errorf("copy into the root filesystem: %w", err)
	}
	return nil
}
