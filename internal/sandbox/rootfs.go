package sandbox

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// findBusybox returns a busybox that runs without any library, because the root
// filesystem holds none.
func findBusybox(given string) (string, error) {
	const remedy = "install the package busybox-static (Debian, Ubuntu) or put a static busybox on the PATH"
	at := given
	if at == "" {
		var err error
		if at, err = exec.LookPath("busybox"); err != nil {
			return "", fmt.Errorf("%w: busybox is not installed; %s", ErrUnavailable, remedy)
		}
	}
	f, err := elf.Open(at)
	if err != nil {
		return "", fmt.Errorf("%w: read %s: %w; %s", ErrUnavailable, at, err, remedy)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return "", fmt.Errorf("%w: %s needs shared libraries; %s", ErrUnavailable, at, remedy)
		}
	}
	return at, nil
}

// layFiles lays the busybox file system down as an overlay's lower layer, so that
// what the container writes lands in the upper one as with a real image.
func (s *Sandbox) layFiles(ctx context.Context, busybox string, o Options) error {
	lower := filepath.Join(s.dir, "lower")
	if err := os.Mkdir(lower, 0o755); err != nil {
		return fmt.Errorf("make the root filesystem: %w", err)
	}
	// A Root, because the links in there point to places that exist on the host too.
	root, err := os.OpenRoot(lower)
	if err != nil {
		return fmt.Errorf("make the root filesystem: %w", err)
	}
	defer root.Close()
	for _, d := range []string{"bin", "sbin", "usr/bin", "usr/sbin", "etc", "proc", "sys", "dev", "root", "var/run", "var/www", "home", "run", "tmp"} {
		if err := root.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("make the root filesystem: %w", err)
		}
	}
	if err := root.Chmod("tmp", 0o777|os.ModeSticky); err != nil {
		return fmt.Errorf("make the root filesystem: %w", err)
	}
	if err := copyIn(root, "/bin/busybox", busybox); err != nil {
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
		if err := root.Symlink("busybox", "bin/"+applet); err != nil {
			return fmt.Errorf("make the root filesystem: %w", err)
		}
	}
	files := map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
		"/etc/group":  "root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n",
		"/etc/shadow": "root:*:19000:0:99999:7:::\nwww-data:*:19000:0:99999:7:::\n",
		"/etc/hosts":  "127.0.0.1 localhost\n::1 localhost\n",
	}
	for name, text := range o.Files {
		files[path.Clean("/"+name)] = text
	}
	modes := map[string]os.FileMode{"/etc/shadow": 0o640}
	for name, mode := range o.Modes {
		modes[path.Clean("/"+name)] = mode
	}
	for name, text := range files {
		mode, ok := modes[name]
		switch {
		case ok:
		case strings.HasPrefix(text, "#!"):
			mode = 0o755
		default:
			mode = 0o644
		}
		if err := writeIn(root, name, []byte(text), mode); err != nil {
			return err
		}
	}
	for name, from := range o.Binaries {
		if err := copyIn(root, name, from); err != nil {
			return err
		}
	}
	return s.mountOverlay(lower)
}

func (s *Sandbox) mountOverlay(lower string) error {
	s.Rootfs = filepath.Join(s.dir, "rootfs")
	upper, work := filepath.Join(s.dir, "upper"), filepath.Join(s.dir, "work")
	for _, d := range []string{s.Rootfs, upper, work} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return fmt.Errorf("make the root filesystem: %w", err)
		}
	}
	// The options have no quoting that every kernel knows, so such a path goes without.
	if !strings.ContainsAny(s.dir, ",:\\") &&
		unix.Mount("overlay", s.Rootfs, "overlay", 0, "lowerdir="+lower+",upperdir="+upper+",workdir="+work) == nil {
		return nil
	}
	// Overlay on overlay and some file systems refuse; a plain directory does
	// everything but tell the image's files from the container's.
	if err := errors.Join(os.Remove(s.Rootfs), os.Rename(lower, s.Rootfs)); err != nil {
		return fmt.Errorf("make the root filesystem: %w", err)
	}
	return nil
}

// writeIn replaces the file or link that is there: writing through one of
// busybox's links would change every applet.
func writeIn(root *os.Root, name string, data []byte, mode os.FileMode) error {
	at := strings.TrimPrefix(path.Clean("/"+name), "/")
	if err := root.MkdirAll(path.Dir(at), 0o755); err != nil {
		return fmt.Errorf("write %s into the root filesystem: %w", name, err)
	}
	if err := root.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write %s into the root filesystem: %w", name, err)
	}
	// Chmod, because the umask may have taken bits away.
	if err := errors.Join(root.WriteFile(at, data, mode), root.Chmod(at, mode)); err != nil {
		return fmt.Errorf("write %s into the root filesystem: %w", name, err)
	}
	return nil
}

func copyIn(root *os.Root, name, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("copy into the root filesystem: %w", err)
	}
	return writeIn(root, name, b, 0o755)
}
