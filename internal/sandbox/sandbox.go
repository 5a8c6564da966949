package sandbox

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Options of a Sandbox; the zero value is a good one.
type Options struct {
	// Name is the container's id; "" invents a name of 64 hexadecimal digits, as
	// Docker and containerd do.
	Name string
	// Hostname inside; "" is "sandbox".
	Hostname string
	// Image is the image's name as attribution shall show it: it goes into the
	// annotation org.opencontainers.image.ref.name. Nothing is pulled.
	Image string
	// Env are K=V pairs for every command; PATH is set when absent.
	Env []string
	// Files are written into the root filesystem's lower layer, path to content;
	// mode 0644, 0755 where the content begins with "#!", unless Modes says another.
	Files map[string]string
	// Modes are permission bits for some of Files.
	Modes map[string]os.FileMode
	// Binaries are host files copied into the root filesystem, path inside to
	// path on the host.
	Binaries map[string]string
	// Addresses are added to the loopback interface, each as a network of its own,
	// so that connecting to them stays inside. IPv4 only.
	Addresses []netip.Addr
	// Annotations go into the bundle's config.json and into the runtime's state.
	Annotations map[string]string
	// Native skips runc even where it is installed.
	Native bool
	// Busybox is the static busybox to use; "" looks it up.
	Busybox string
	// Init is the first command; "" sleeps until Close. Its output is discarded.
	Init []string
	// Capabilities of its commands, CAP_ names; nil means Docker's usual set, an
	// empty list means none. Native containers keep root's.
	Capabilities []string
}

// Sandbox is one running container. Its methods may be called concurrently.
type Sandbox struct {
	Name    string // the container's id
	Runtime string // "runc" or "native"
	Rootfs  string // host path
	Pid     int    // of its first process, host namespace

	dir      string
	env      []string
	hostname string
	labels   map[string]string
	runc     string
	native   *native

	closing sync.Mutex
	closed  bool
}

// ErrUnavailable wraps what is missing for a sandbox on this machine.
var ErrUnavailable = errors.New("no sandbox can be made here")

// ImageAnnotation is the annotation that carries Options.Image.
const ImageAnnotation = "org.opencontainers.image.ref.name"

// maxOutput bounds what Exec keeps of each stream, in bytes.
const maxOutput = 4 << 20

// usual are the capabilities that container runtimes grant when nobody asks.
var usual = []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"}

// Create starts a container and returns once its first process runs. Its error
// wraps ErrUnavailable when the machine lacks what is needed; after an error
// nothing is left behind.
func Create(ctx context.Context, o Options) (_ *Sandbox, err error) {
	busybox, err := available(o.Busybox)
	if err != nil {
		return nil, err
	}
	s := &Sandbox{Name: o.Name, env: slices.Clone(o.Env), hostname: o.Hostname, labels: map[string]string{}}
	if s.Name == "" {
		var b [32]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, fmt.Errorf("invent a container id: %w", err)
		}
		s.Name = hex.EncodeToString(b[:])
	}
	if !validName(s.Name) {
		return nil, fmt.Errorf("sandbox name %q: want 1 to 128 letters, digits and _ + - . that do not begin with a dot", s.Name)
	}
	for _, a := range o.Addresses {
		if !a.Is4() {
			return nil, fmt.Errorf("sandbox address %v: only IPv4 addresses can be added", a)
		}
	}
	if s.hostname == "" {
		s.hostname = "sandbox"
	}
	for k, v := range o.Annotations {
		s.labels[k] = v
	}
	if o.Image != "" {
		s.labels[ImageAnnotation] = o.Image
	}
	if !slices.ContainsFunc(s.env, func(e string) bool { return strings.HasPrefix(e, "PATH=") }) {
		s.env = append(s.env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	s.Runtime = "native"
	if path, e := exec.LookPath("runc"); e == nil && !o.Native {
		s.runc, s.Runtime = path, "runc"
	}
	if s.dir, err = os.MkdirTemp("", dirPrefix); err != nil {
		return nil, fmt.Errorf("make the sandbox's directory: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.writeOwner(); err != nil {
		return nil, err
	}
	// The container's users must be able to pass through.
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("open the sandbox's directory: %w", err)
	}
	if err := s.layFiles(ctx, busybox, o); err != nil {
		return nil, err
	}
	first := o.Init
	if len(first) == 0 {
		first = []string{"/bin/sleep", "2000000000"}
	}
	if err := s.writeSpec(o, first); err != nil {
		return nil, err
	}
	if s.runc != "" {
		err = s.startRunc(ctx)
	} else {
		err = s.startNative(ctx, busybox, first)
	}
	if err != nil {
		return nil, err
	}
	if err := addAddresses(s.Pid, o.Addresses); err != nil {
		return nil, err
	}
	return s, nil
}

// Available says what this machine lacks for a sandbox, wrapping ErrUnavailable, or nil.
func Available() error {
	_, err := available("")
	return err
}

func available(busybox string) (string, error) {
	if os.Geteuid() != 0 {
		return "", fmt.Errorf("%w: it needs root; run with sudo", ErrUnavailable)
	}
	return findBusybox(busybox)
}

// validName is what runc accepts as an id.
func validName(name string) bool {
	if name == "" || len(name) > 128 || name[0] == '.' {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_+-.", r)
	})
}

// Command prepares a command inside, as `kubectl exec` would run it; nothing runs
// until the caller starts it. When ctx ends, what waits for it ends; what runs
// inside may live until Close.
func (s *Sandbox) Command(ctx context.Context, argv ...string) *exec.Cmd {
	if s.native != nil {
		return s.native.command(ctx, s.env, argv)
	}
	cmd := exec.CommandContext(ctx, s.runc, append([]string{"exec", s.Name}, argv...)...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// Exec runs a command inside to its end and returns what it printed, at most 4 MiB
// of it. A command that fails gives an *exec.ExitError with its output in the message.
func (s *Sandbox) Exec(ctx context.Context, argv ...string) (stdout string, err error) {
	cmd := s.Command(ctx, argv...)
	var out, errb bounded
	cmd.Stdout, cmd.Stderr = &out, &errb
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("run %q in sandbox %.12s: %w: %s", argv, s.Name, err, strings.TrimSpace(errb.String()))
	}
	if out.lost > 0 {
		return out.String(), fmt.Errorf("run %q in sandbox %.12s: it printed %d bytes more than the %d kept", argv, s.Name, out.lost, maxOutput)
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
// called more than once; what a failed Close could not remove the next one tries
// again, and so does Sweep.
func (s *Sandbox) Close() error {
	s.closing.Lock()
	defer s.closing.Unlock()
	if s.closed {
		return nil
	}
	var errs []error
	if s.runc != "" {
		errs = append(errs, deleteRunc(s.runc, s.Name))
	}
	if s.native != nil {
		errs = append(errs, s.native.close())
	}
	errs = append(errs, remove(s.Name, s.dir))
	if s.native != nil {
		s.native.wait()
	}
	err := errors.Join(errs...)
	s.closed = err == nil
	return err
}

// remove takes away what either runtime leaves, the processes first and the
// directory last: as long as that is there, Sweep can find the rest.
func remove(name, dir string) error {
	errs := []error{removeCgroups(name), os.RemoveAll(stateDir(name)), unmountBelow(dir)}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// bounded keeps the first maxOutput bytes and counts the rest.
type bounded struct {
	kept bytes.Buffer
	lost int
}

func (b *bounded) String() string { return b.kept.String() }

func (b *bounded) Write(p []byte) (int, error) {
	keep := p[:min(len(p), maxOutput-b.kept.Len())]
	b.lost += len(p) - len(keep)
	b.kept.Write(keep) // never fails
	return len(p), nil
}

// kill sends SIGKILL; a process that is gone is no error.
func kill(pid int) error {
	if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	return nil
}
