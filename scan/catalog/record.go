package catalog

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/config"
)

// record is what one layer yields, whatever lies below it: the unit of the cache.
// Paths are as the layer spells them, cleaned.
type record struct {
	Size    int64 // uncompressed bytes
	Entries int

	Files  []file
	Links  []link   // symbolic: target as written
	Hard   []link   // hard: target a path of the layer's root
	Gone   []string // whiteouts: the path they delete from the layers below
	Opaque []string // directories of which nothing shows through from below

	// Sets of paths, by hash: enough to know what an upper layer replaces.
	Plain hashes // all that is no directory
	Dirs  hashes
	Loads hashes // regular files that are programs, shared objects, or archives of code

	Secrets []scan.Secret
	Malware []scan.Malware
	Facts   config.Facts
	Gaps    []scan.Gap // of single files; a layer with a gap of its own is never cached
}

// packages counts what the layer's files list.
func (r *record) packages() int {
	n := 0
	for i := range r.Files {
		n += len(r.Files[i].Packages)
	}
	return n
}

// file is one parsed file.
type file struct {
	Path     string
	Kind     kind
	Packages []scan.Package
	Distro   *scan.Distro
	Owns     []owns
}

// owns is what one distribution package installed, as far as it matters.
type owns struct {
	Package string   // name, for dpkg with :arch where the list is named so
	Version string   // "" = whatever version is installed
	Files   []string // candidates for loads; those that no layer holds as loadable are dropped
	Scripts []string // single-file modules and programs: loaded when opened, whatever their mode
	Dirs    []string // roots of interpreted libraries
	Marks   []uint64 // hashes of the files by which language packages are known
}

// link is a symbolic or hard link.
type link struct{ Path, Target string }

const factMax = 4096

// hashes is a sorted set of path hashes.
type hashes []uint64

func (h hashes) has(x uint64) bool {
	_, ok := slices.BinarySearch(h, x)
	return ok
}

func (h hashes) sorted() hashes {
	slices.Sort(h)
	return slices.Clip(slices.Compact(h))
}

// hashPath is stable across processes, since records are. SHA-256, cut: a stranger must
// not find two names by which one hides the other with pencil and paper.
func hashPath(p string) uint64 {
	var b [256]byte
	sum := sha256.Sum256(append(b[:0], p...))
	return binary.LittleEndian.Uint64(sum[:8])
}
