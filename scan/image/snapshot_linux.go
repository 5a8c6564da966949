package image

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// snapshotLayer makes layer i anew from the directory that containerd's overlay
// snapshotter unpacked it into; nil where there is none.
func snapshotLayer(root, namespace string, cfg *configFile, i int) *layer {
	dir := snapshotDir(root, namespace, cfg.RootFS.DiffIDs, i)
	if dir == "" {
		return nil
	}
	return &layer{size: -1, rebuilt: true, open: func(ctx context.Context) (io.ReadCloser, error) {
		top, err := os.OpenRoot(dir)
		if err != nil {
			return nil, err
		}
		r, w := io.Pipe()
		go func() {
			defer top.Close()
			w.CloseWithError(writeSnapshot(ctx, w, top))
		}()
		return r, nil
	}}
}

// writeSnapshot writes the upper directory of an overlay as the layer it came from:
// its devices 0/0 are whiteouts, its opaque directories hide what lies below.
func writeSnapshot(ctx context.Context, w io.Writer, top *os.Root) error {
	tw := tar.NewWriter(w)
	err := fs.WalkDir(top.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return firstError(err, ctx.Err())
		}
		if name == "." {
			return nil
		}
		st, err := top.Lstat(name)
		if err != nil {
			return err
		}
		sys, _ := st.Sys().(*syscall.Stat_t)
		if st.Mode()&os.ModeCharDevice != 0 && sys != nil && sys.Rdev == 0 {
			return tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path.Join(path.Dir(name), ".wh."+path.Base(name))})
		}
		if st.Mode()&os.ModeSocket != 0 {
			return nil
		}
		link := ""
		if st.Mode()&os.ModeSymlink != 0 {
			if link, err = top.Readlink(name); err != nil {
				return err
			}
		}
		h, err := tar.FileInfoHeader(st, link)
		if err != nil {
			return err
		}
		if h.Name = name; st.IsDir() {
			h.Name += "/"
		}
		h.Uname, h.Gname = "", ""
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		switch {
		case st.IsDir() && opaque(top, name):
			return tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path.Join(name, ".wh..wh..opq")})
		case st.Mode().IsRegular():
			f, err := top.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			if n, err := io.Copy(tw, io.LimitReader(f, h.Size)); err != nil {
				return err
			} else if n < h.Size {
				return fmt.Errorf("%s became shorter while it was read", name)
			}
		}
		return nil
	})
	return firstError(err, tw.Close())
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// opaque: overlayfs marks a directory that replaces the one below.
func opaque(top *os.Root, name string) bool {
	f, err := top.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	var v [8]byte
	for _, attr := range []string{"trusted.overlay.opaque", "user.overlay.opaque"} {
		if n, err := unix.Fgetxattr(int(f.Fd()), attr, v[:]); err == nil && strings.TrimRight(string(v[:n]), "\x00") == "y" {
			return true
		}
	}
	return false
}
