package images

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/image"
	"github.com/dockreeve/dockreeve/store"
)

// identify tells what a container of this machine was made of when its runtime's state
// does not: the image that containerd made it of, by the layers it stands on; else what
// its root file system was before it wrote to it. Nothing known is the zero value.
func (s *Images) identify(ctx context.Context, c store.Nameless) store.Identity {
	if !s.opt.Local {
		return store.Identity{}
	}
	found, err := image.ContainerOf(ctx, c.Container, s.opt.Containerd)
	switch {
	case err == nil && found.Digest != "":
		return store.Identity{Key: found.Digest, ImageID: found.ConfigDigest, Name: found.Image}
	case err == nil && found.Chain != "":
		return store.Identity{Key: rootfsKey("layers", found.Chain), Name: found.Image}
	}
	if err != nil && !errors.Is(err, image.ErrNotFound) {
		s.opt.Log.Debug("containerd's store does not tell what a container is made of", "container", c.Container, "error", err)
	}
	what := originOf(c)
	if what == "" {
		return store.Identity{}
	}
	return store.Identity{Key: rootfsKey("origin", c.Node, what), Name: cmp.Or(c.ImageName, c.Name)}
}

// rootfsKey names a root file system by what it is.
func rootfsKey(what ...string) string {
	h := sha256.Sum256([]byte(strings.Join(what, "\x00")))
	return "rootfs:" + hex.EncodeToString(h[:])
}

// originOf describes what a container's root file system is made of, the same for every
// container that starts with the same: the lower directories of an overlay, else the
// directory itself. "" when it cannot be looked at any more.
func originOf(c store.Nameless) string {
	if proc, err := procOf(c.PID, c.Container); err == nil {
		if m, ok := mountAt(proc+"/mountinfo", "/"); ok {
			if s := m.origin(proc + "/root"); s != "" {
				return s
			}
		}
	}
	if !filledDir(c.Rootfs) {
		return ""
	}
	m, _ := mountAt("/proc/self/mountinfo", c.Rootfs)
	return m.origin(c.Rootfs)
}

// procOf is where the kernel shows a process of a container. A process id may have come
// round: its control group must name the container.
func procOf(pid int64, container string) (string, error) {
	if pid <= 0 || container == "" {
		return "", errors.New("no process or path of it is known")
	}
	proc := "/proc/" + strconv.FormatInt(pid, 10)
	group, err := os.ReadFile(proc + "/cgroup")
	if err != nil {
		return "", errors.New("it has ended")
	}
	for _, part := range strings.FieldsFunc(string(group), func(r rune) bool { return r == '/' || r == ':' || r == '\n' }) {
		if part == container || strings.HasSuffix(strings.TrimSuffix(part, ".scope"), "-"+container) {
			return proc, nil
		}
	}
	return "", fmt.Errorf("process %d is no longer of this container", pid)
}

// filledDir reports whether a directory holds anything: what is left of a container
// that ended is often the empty place its file system was mounted at.
func filledDir(dir string) bool {
	if !filepath.IsAbs(dir) {
		return false
	}
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	names, _ := f.Readdirnames(1)
	return len(names) > 0
}

// mount is the root of a container as the kernel lists it.
type mount struct {
	device, root, kind, options string
}

// maxMountinfo bounds what is read of one process's mounts.
const maxMountinfo = 4 << 20

// mountAt finds what is mounted at a place; the last one covers the others.
func mountAt(mountinfo, at string) (m mount, ok bool) {
	f, err := os.Open(mountinfo)
	if err != nil {
		return m, false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxMountinfo))
	if err != nil {
		return m, false
	}
	return parseMounts(string(b), at)
}

func parseMounts(text, at string) (m mount, ok bool) {
	for line := range strings.Lines(text) {
		// id parent major:minor root place options [tags…] - kind source options
		before, after, found := strings.Cut(strings.TrimSpace(line), " - ")
		a, b := strings.Fields(before), strings.Fields(after)
		if !found || len(a) < 6 || len(b) < 3 || unescape(a[4]) != at {
			continue
		}
		m, ok = mount{device: a[2], root: unescape(a[3]), kind: b[0], options: b[2]}, true
	}
	return m, ok
}

// unescape resolves the kernel's octal escapes of blanks and backslashes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// origin describes what lies below what the container itself writes. dir is a path to
// the mount's root.
func (m *mount) origin(dir string) string {
	if m.kind != "overlay" {
		id := fileID(dir)
		if id == "" {
			return ""
		}
		return "directory " + id
	}
	for option := range strings.SplitSeq(m.options, ",") {
		lower, is := strings.CutPrefix(option, "lowerdir=")
		if !is {
			continue
		}
		// The place and, where it is seen from here, the very directory: a place may be
		// filled anew.
		out := "overlay " + lower
		for i, d := range strings.Split(unescape(lower), ":") {
			if filepath.IsAbs(d) && i < 512 {
				out += "\n" + fileID(d)
			}
		}
		return out
	}
	return ""
}

// contentKey names what a root file system holds, so that copies of it in many places
// are one image. What holds no package is told apart by its name alone.
func contentKey(t *store.ScanTarget, c *scan.Catalog) string {
	var parts []string
	for i := range c.Packages {
		p := &c.Packages[i]
		parts = append(parts, strings.Join([]string{"package", string(p.Type), p.Name, p.Version, p.Arch, p.Location}, "\x01"))
	}
	for i := range c.Secrets {
		parts = append(parts, "secret\x01"+c.Secrets[i].Rule+"\x01"+c.Secrets[i].Path)
	}
	for i := range c.Malware {
		parts = append(parts, "malware\x01"+c.Malware[i].Path+"\x01"+c.Malware[i].SHA256)
	}
	for i := range c.Config {
		parts = append(parts, "misstep\x01"+c.Config[i].Check+"\x01"+c.Config[i].Path)
	}
	slices.Sort(parts)
	node := ""
	if len(t.Containers) > 0 {
		node = t.Containers[0].Node
	}
	return rootfsKey(append([]string{"content", node, t.Name, c.Distro.ID, c.Distro.Version, c.Image.Platform}, parts...)...)
}
