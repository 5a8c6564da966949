// Package testimage makes container images for tests and benchmarks out of real
// parts: Debian's packages by debootstrap, npm's packages by npm, programs by go build.
// It writes them by go-containerregistry, which the scanner's own layer reader does
// not use, so that the two do not share a mistake.
package testimage

import (
	"archive/tar"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// File is one entry of a layer made by hand.
type File struct {
	Name string // without a leading slash; ending in "/" = a directory
	Body string
	Link string // symbolic link to this, instead of a body
	Hard string // hard link to this entry, instead of a body
	Mode int64  // 0 = 0644, or 0755 for a directory
}

// Whiteout deletes name in lower layers.
func Whiteout(name string) File {
	return File{Name: filepath.Join(filepath.Dir(name), ".wh."+filepath.Base(name))}
}

// Opaque hides everything that lower layers put into a directory.
func Opaque(dir string) File { return File{Name: dir + "/.wh..wh..opq"} }

// epoch dates every entry made by hand: layers are the same in each run.
var epoch = time.Unix(1_700_000_000, 0)

// Tar writes files as an uncompressed layer.
func Tar(files ...File) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.Name, Mode: cmp.Or(f.Mode, 0o644), ModTime: epoch, Typeflag: tar.TypeReg, Size: int64(len(f.Body))}
		switch {
		case strings.HasSuffix(f.Name, "/"):
			h.Typeflag, h.Size, h.Mode = tar.TypeDir, 0, cmp.Or(f.Mode, 0o755)
		case f.Link != "":
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, f.Link, 0
		case f.Hard != "":
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, f.Hard, 0
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err) // a mistake in the test itself
		}
		if h.Size > 0 {
			if _, err := io.WriteString(w, f.Body); err != nil {
				panic(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// Layer makes a gzip layer of an uncompressed one.
func Layer(raw []byte) (v1.Layer, error) {
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil })
}

// LayerFile makes a gzip layer of an uncompressed layer on disk; it is read again
// each time.
func LayerFile(path string) (v1.Layer, error) {
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return os.Open(path) })
}

// Image puts layers, lowest first, under a configuration.
func Image(config v1.Config, layers ...v1.Layer) (v1.Image, error) {
	img := mutate.MediaType(empty.Image, types.DockerManifestSchema2)
	cf := &v1.ConfigFile{OS: "linux", Architecture: "amd64", Created: v1.Time{Time: epoch}, Config: config}
	img, err := mutate.ConfigFile(img, cf)
	if err != nil {
		return nil, err
	}
	adds := make([]mutate.Addendum, len(layers))
	for i, l := range layers {
		adds[i] = mutate.Addendum{Layer: l, History: v1.History{CreatedBy: fmt.Sprintf("layer %d", i), Created: v1.Time{Time: epoch}}}
	}
	return mutate.Append(img, adds...)
}

// Of makes an image of layers given as files, lowest first.
func Of(config v1.Config, layers ...[]File) (v1.Image, error) {
	var ls []v1.Layer
	for _, files := range layers {
		l, err := Layer(Tar(files...))
		if err != nil {
			return nil, err
		}
		ls = append(ls, l)
	}
	return Image(config, ls...)
}

// Snapshot is what a directory tree held at one moment, for Diff.
type Snapshot map[string]stamp

type stamp struct {
	mode fs.FileMode
	size int64
	ino  uint64
	mod  int64
}

// Take takes a snapshot of the tree below root.
func Take(root string) (Snapshot, error) {
	s := Snapshot{}
	err := walk(root, func(name string, info fs.FileInfo) error {
		s[name] = stampOf(info)
		return nil
	})
	return s, err
}

func stampOf(info fs.FileInfo) stamp {
	st := info.Sys().(*syscall.Stat_t)
	return stamp{info.Mode(), info.Size(), st.Ino, info.ModTime().UnixNano()}
}

// walk visits everything below root but kernel file systems, by name.
func walk(root string, f func(name string, info fs.FileInfo) error) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil || name == "." {
			return err
		}
		if d.IsDir() && slices.Contains([]string{"proc", "sys", "dev"}, name) {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return f(name, info)
	})
}

// Diff writes, as an uncompressed layer, what differs below root from before: new and
// changed entries, and whiteouts of those that are gone. A nil before writes all.
func Diff(w io.Writer, root string, before Snapshot) error {
	t := tar.NewWriter(w)
	seen := map[string]bool{}
	links := map[uint64]string{}
	err := walk(root, func(name string, info fs.FileInfo) error {
		seen[name] = true
		if old, ok := before[name]; ok && (old == stampOf(info) || info.IsDir() && old.mode == info.Mode()) {
			return nil
		}
		return add(t, root, name, info, links)
	})
	if err != nil {
		return err
	}
	var gone []string
	for name := range before {
		if !seen[name] {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	for _, name := range gone {
		if dir := filepath.Dir(name); dir != "." && !seen[dir] {
			continue // its directory's whiteout takes it along
		}
		wh := Whiteout(name)
		if err := t.WriteHeader(&tar.Header{Name: wh.Name, Mode: 0o644, ModTime: epoch, Typeflag: tar.TypeReg}); err != nil {
			return err
		}
	}
	return t.Close()
}

func add(t *tar.Writer, root, name string, info fs.FileInfo, links map[uint64]string) error {
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if target, err = os.Readlink(filepath.Join(root, name)); err != nil {
			return err
		}
	}
	if info.Mode()&(fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		return nil
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	h.Name, h.Uname, h.Gname = name, "", ""
	if info.IsDir() {
		h.Name += "/"
	}
	if st := info.Sys().(*syscall.Stat_t); info.Mode().IsRegular() && st.Nlink > 1 {
		if first, ok := links[st.Ino]; ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
		} else {
			links[st.Ino] = name
		}
	}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	f, err := os.Open(filepath.Join(root, name))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(t, f)
	return err
}
