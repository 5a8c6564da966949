package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// tarIndex is where each file of a plain tar lies, read once.
type tarIndex struct {
	file    io.ReaderAt
	size    int64
	entries map[string]tarEntry
	// damaged is why the tar could not be read to its end; files before it are there.
	damaged error
}

type tarEntry struct {
	offset, size int64
	link         string // another entry, for the links of old docker save
	broken       string
}

// indexTar reads the headers of a tar of size bytes. It returns an error only when
// not even the first one can be read.
func indexTar(f io.ReaderAt, size int64, what string) (*tarIndex, error) {
	ix := &tarIndex{file: f, size: size, entries: map[string]tarEntry{}}
	sec := io.NewSectionReader(f, 0, size)
	tr := tar.NewReader(sec)
	for n := 0; ; n++ {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil && errors.Is(err, tar.ErrInsecurePath) && h != nil {
			err = nil // names are only compared, never used on a disk
		}
		if err != nil {
			if n == 0 {
				return nil, fmt.Errorf("%s: not a tar archive: %w", what, err)
			}
			pos, _ := sec.Seek(0, io.SeekCurrent)
			ix.damaged = fmt.Errorf("%s: damaged or cut off near byte %d of %d: %w", what, pos, size, err)
			break
		}
		if n >= maxEntries {
			return nil, fmt.Errorf("%s: more than %d entries: an image archive has a few per layer; if this is an unpacked root file system, unpack it and scan it as rootfs:DIR", what, maxEntries)
		}
		name, ok := archiveName(h.Name)
		if !ok {
			continue
		}
		switch h.Typeflag {
		case tar.TypeReg, tar.TypeRegA: //nolint:staticcheck // old archives have it
			offset, err := sec.Seek(0, io.SeekCurrent)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", what, err)
			}
			e := tarEntry{offset: offset, size: h.Size}
			if h.Size > size-offset {
				e.broken = fmt.Sprintf("the archive is cut off: it has %d of the %d bytes of %s", max(size-offset, 0), h.Size, name)
			}
			for k := range h.PAXRecords {
				if strings.HasPrefix(k, "GNU.sparse.") {
					e.broken = name + " is stored sparsely, which image archives are not"
				}
			}
			ix.entries[name] = e
		case tar.TypeGNUSparse:
			ix.entries[name] = tarEntry{broken: name + " is stored sparsely, which image archives are not"}
		case tar.TypeSymlink:
			if target, ok := archiveName(path.Join(path.Dir(name), h.Linkname)); ok && !path.IsAbs(h.Linkname) {
				ix.entries[name] = tarEntry{link: target}
			} else {
				ix.entries[name] = tarEntry{broken: fmt.Sprintf("%s is a link out of the archive, to %q", name, clip(h.Linkname, 80))}
			}
		case tar.TypeLink:
			if target, ok := archiveName(h.Linkname); ok {
				ix.entries[name] = tarEntry{link: target}
			}
		}
	}
	return ix, nil
}

// archiveName cleans a name within an archive; false for one that climbs out.
func archiveName(s string) (string, bool) {
	if strings.ContainsRune(s, 0) || len(s) > 4096 {
		return "", false
	}
	s = path.Clean(strings.TrimPrefix(s, "./"))
	if s == "." || s == ".." || strings.HasPrefix(s, "../") || path.IsAbs(s) {
		return "", false
	}
	return s, true
}

// find follows links to a file.
func (ix *tarIndex) find(name string) (tarEntry, error) {
	at, ok := archiveName(name)
	if !ok {
		return tarEntry{}, fmt.Errorf("%q is a path out of the archive: refused", clip(name, 80))
	}
	for hops := 0; hops < 8; hops++ {
		e, ok := ix.entries[at]
		switch {
		case !ok && ix.damaged != nil:
			return tarEntry{}, fmt.Errorf("%s is not in the part of the archive that could be read (%w)", clip(name, 80), ix.damaged)
		case !ok:
			return tarEntry{}, fmt.Errorf("%s: %w", clip(name, 80), os.ErrNotExist)
		case e.broken != "":
			return tarEntry{}, fmt.Errorf("%s: %w", e.broken, io.ErrUnexpectedEOF)
		case e.link == "":
			return e, nil
		}
		at = e.link
	}
	return tarEntry{}, fmt.Errorf("%s: links lead in a circle", clip(name, 80))
}

func (ix *tarIndex) has(name string) bool { _, ok := ix.entries[name]; return ok }

func (ix *tarIndex) section(e tarEntry) io.ReadCloser {
	return io.NopCloser(io.NewSectionReader(ix.file, e.offset, e.size))
}

// document reads a small file.
func (ix *tarIndex) document(name string) ([]byte, error) {
	e, err := ix.find(name)
	if err != nil {
		return nil, err
	}
	if e.size > MaxDocument {
		return nil, fmt.Errorf("%s: larger than %d MiB: no image needs that; it was not read", clip(name, 80), MaxDocument>>20)
	}
	return readDocument(io.NewSectionReader(ix.file, e.offset, e.size), name)
}
