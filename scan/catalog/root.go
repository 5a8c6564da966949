package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/config"
)

// ReadRoot catalogues an unpacked root file system, or the running machine when the
// image is of scan.KindHost, as if it were an image of one layer; packages then have
// Layer -1. Links never lead out of root. Kernel file systems (proc, sys, dev, run) and
// other mounts are not entered, on a host neither are the stores of container
// runtimes; each of these is a gap of the catalogue. Nothing is cached.
func ReadRoot(ctx context.Context, img scan.Image, root string, opt Options) (*scan.Catalog, error) {
	opt = opt.orDefault()
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, fmt.Errorf("root file system %s: %w", root, err)
	}
	defer r.Close()
	top, err := r.Stat(".")
	if err != nil {
		return nil, fmt.Errorf("root file system %s: %w", root, err)
	}
	img.Layers = nil
	t := &tree{w: newWalker(opt, opt.detector()), host: img.Kind == scan.KindHost}
	t.device, _ = device(top)
	if err := t.dir(ctx, r, ""); err != nil {
		var bound *boundError
		if !errors.As(err, &bound) {
			return nil, fmt.Errorf("root file system %s: %w", root, err)
		}
		t.w.gap(root, err.Error(), "raise the limit if the file system is trusted")
	}
	rec := t.w.finish()
	c := merge(img, []*record{rec}, opt)
	return c, nil
}

// apart is a gap of what is no part of the file system that was asked for.
func (w *walker) apart(p, reason, remedy string) {
	w.gap(p, reason, remedy)
	if n := len(w.r.Gaps); n < maxGaps {
		w.r.Gaps[n-1].Unread = false
	}
}

// maxDepth is of directories; each holds two open files while it is walked.
const maxDepth = 200

// tree walks a directory.
type tree struct {
	w      *walker
	host   bool
	device uint64
	depth  int
}

// hostStores hold the files of containers, which are images of their own.
var hostStores = []string{
	"var/lib/docker", "var/lib/containerd", "var/lib/containers", "run/containerd", "var/lib/kubelet/pods", "var/lib/rancher", "var/snap",
	"var/lib/lxc", "var/lib/lxd", "var/lib/machines",
}

func (t *tree) skip(p string) (reason string, skip bool) {
	switch p {
	case "proc", "sys", "dev":
		return "", true // not files
	case "run":
		return "", t.host
	}
	if t.host {
		for _, s := range hostStores {
			if p == s {
				return "the store of a container runtime: its images are scanned on their own", true
			}
		}
	}
	return "", false
}

// dir walks one directory; here is that directory, so that every name below it is
// opened in one step and nothing that is moved meanwhile leads out.
func (t *tree) dir(ctx context.Context, here *os.Root, dir string) error {
	if t.depth++; t.depth > maxDepth {
		t.w.gap(dir, fmt.Sprintf("directories nested more than %d deep", maxDepth), "")
		t.depth--
		return nil
	}
	defer func() { t.depth-- }()
	d, err := here.Open(".")
	if err != nil {
		t.unreadable(dir, err)
		return nil
	}
	defer d.Close()
	for {
		// In the directory's own order and in pieces: a directory may have millions of entries.
		list, err := d.ReadDir(1024)
		for _, e := range list {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := t.entry(ctx, here, path.Join(dir, e.Name()), e); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			t.unreadable(dir, err)
			return nil
		}
	}
}

func (t *tree) unreadable(p string, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		return // gone since it was listed
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	remedy := ""
	if errors.Is(err, fs.ErrPermission) {
		remedy = "scan as root"
	}
	t.w.gap(p, err.Error(), remedy)
}

func (t *tree) entry(ctx context.Context, here *os.Root, p string, d fs.DirEntry) error {
	w := t.w
	if w.r.Entries++; w.r.Entries > w.opt.Limits.Entries {
		return bound("more than %d files", w.opt.Limits.Entries)
	}
	if len(p) > 4096 {
		w.skipped["names that are too long"]++
		return nil
	}
	info, err := d.Info()
	if err != nil {
		t.unreadable(p, err)
		return nil
	}
	uid, gid := ownerOf(info)
	e := config.Entry{Path: p, Mode: info.Mode(), UID: uid, GID: gid, Size: info.Size()}
	switch {
	case info.IsDir():
		if reason, skip := t.skip(p); skip {
			if reason != "" {
				w.apart(p, reason, "")
			}
			return nil
		}
		if dev, ok := device(info); ok && dev != t.device {
			w.apart(p, "another file system is mounted there", "scan it by its own path")
			return nil
		}
		w.dir(p, e)
		below, err := here.OpenRoot(d.Name())
		if err != nil {
			t.unreadable(p, err)
			return nil
		}
		defer below.Close()
		return t.dir(ctx, below, p)
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := here.Readlink(d.Name())
		if err != nil {
			t.unreadable(p, err)
			return nil
		}
		w.symlink(p, target, e)
	case info.Mode().IsRegular():
		return t.file(here, p, e, info)
	default:
		w.replace(p)
	}
	return nil
}

func (t *tree) file(here *os.Root, p string, e config.Entry, info fs.FileInfo) error {
	c := &fileContent{root: here, name: info.Name(), total: info.Size(), left: info.Size(), buf: t.w.chunk()}
	defer c.close()
	// In a layer the bytes pass by anyway; here a file that is not marked as a program has
	// to be opened to tell, and there may be millions.
	t.w.byName = !loadable(p, int64(info.Mode().Perm())) && info.Size() < 1<<20
	err := t.w.regular(p, int64(info.Mode().Perm()), e, c)
	if err != nil {
		t.unreadable(p, err)
	}
	if again := t.w.again; again != nil { // a program that needs random access, which a file has
		t.w.again = nil
		f, err := openRegular(here, info.Name())
		if err != nil {
			t.unreadable(p, err)
			return nil
		}
		defer f.Close()
		t.w.parseRandom(p, program, f, info.Size())
	}
	return nil
}

// fileContent reads a file of the tree, opened when the first byte is asked for.
type fileContent struct {
	root        *os.Root
	name        string
	f           *os.File
	total, left int64
	buf         []byte
}

func (c *fileContent) size() int64 { return c.total }
func (c *fileContent) rest() int64 { return c.left }

func (c *fileContent) next(n int64) ([]byte, error) {
	if c.f == nil {
		n = min(n, 4096) // most files are let go after their first bytes
		f, err := openRegular(c.root, c.name)
		if err != nil {
			return nil, err
		}
		c.f = f
	}
	m, err := io.ReadFull(c.f, c.buf[:min(n, c.left, int64(len(c.buf)))])
	c.left -= int64(m)
	if err == io.EOF || err == io.ErrUnexpectedEOF { // it shrank
		err = errors.New("the file changed while it was read")
	}
	return c.buf[:m], err
}

func (c *fileContent) close() {
	if c.f != nil {
		c.f.Close()
	}
}

// chunk is the buffer files are read through.
func (w *walker) chunk() []byte {
	if w.piece == nil {
		w.piece = make([]byte, chunkBytes)
	}
	return w.piece
}

// openRegular opens a file that was regular when it was listed, without waiting for
// whoever put a pipe in its place since.
func openRegular(root *os.Root, p string) (*os.File, error) {
	f, err := root.OpenFile(p, os.O_RDONLY|nonBlock, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("the file changed while it was read")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
