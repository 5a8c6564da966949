package catalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// Tags of an rpm header that matter here.
const (
	rpmName      = 1000
	rpmVersion   = 1001
	rpmRelease   = 1002
	rpmEpoch     = 1003
	rpmVendor    = 1011
	rpmLicense   = 1014
	rpmArch      = 1022
	rpmFileModes = 1030
	rpmSource    = 1044
	rpmDirIndex  = 1116
	rpmBaseNames = 1117
	rpmDirNames  = 1118
	rpmModule    = 5096
)

const maxRPMFiles = 500_000 // of one package

func parseRPM(f *file, r io.ReaderAt, size int64) error {
	bad := 0
	var first error
	err := eachRPM(f.Kind, r, size, func(blob []byte) error {
		if err := rpmPackage(f, blob); err != nil {
			if bad++; first == nil {
				first = err
			}
		}
		return nil
	})
	if err == nil && bad > 0 {
		err = fmt.Errorf("%d packages cannot be read: %w", bad, first)
	}
	return err
}

// rpmPackage adds the package of one header.
func rpmPackage(f *file, blob []byte) error {
	h, err := parseHeader(blob)
	if err != nil {
		return err
	}
	p := scan.Package{Type: scan.RPM, Name: h.text(rpmName), Arch: h.text(rpmArch), Vendor: h.text(rpmVendor), Module: rpmStream(h.text(rpmModule)), Location: f.Path}
	version, release := h.text(rpmVersion), h.text(rpmRelease)
	if p.Name == "" || version == "" {
		return errors.New("a package without a name or version")
	}
	if p.Name == "gpg-pubkey" { // a key, which rpm keeps among the packages
		return nil
	}
	p.Version = version
	if release != "" {
		p.Version += "-" + release
	}
	if e, ok := h.number(rpmEpoch, 0); ok && e != 0 {
		p.Version = fmt.Sprintf("%d:%s", e, p.Version)
	}
	if l := h.text(rpmLicense); l != "" {
		p.Licenses = []string{l}
	}
	p.Source, p.SourceVersion = rpmSourceName(h.text(rpmSource))
	o := h.files()
	o.Package, o.Version = p.Name, p.Version
	f.Packages = append(f.Packages, p)
	if len(o.Files)+len(o.Dirs)+len(o.Scripts)+len(o.Marks) > 0 {
		f.Owns = append(f.Owns, o)
	}
	return nil
}

// rpmStream cuts a modularity label, name:stream:version:context, to name:stream.
func rpmStream(label string) string {
	parts := strings.SplitN(label, ":", 3)
	if len(parts) < 2 {
		return ""
	}
	return parts[0] + ":" + parts[1]
}

// rpmSourceName splits bash-5.1.8-6.el9.src.rpm into bash and 5.1.8-6.el9.
func rpmSourceName(file string) (name, version string) {
	s := strings.TrimSuffix(file, ".rpm")
	s = strings.TrimSuffix(strings.TrimSuffix(s, ".src"), ".nosrc")
	r := strings.LastIndexByte(s, '-')
	if r <= 0 {
		return "", ""
	}
	v := strings.LastIndexByte(s[:r], '-')
	if v <= 0 {
		return "", ""
	}
	return s[:v], s[v+1:]
}

// header is the index of an rpm header over its data.
type header struct {
	tags map[int32]headerEntry
	data []byte
}

type headerEntry struct {
	kind   uint32
	off, n int
}

func parseHeader(b []byte) (*header, error) {
	if len(b) < 8 {
		return nil, errors.New("a header that is too short")
	}
	n, size := int64(binary.BigEndian.Uint32(b)), int64(binary.BigEndian.Uint32(b[4:]))
	if n > 1<<16 || size > maxBlob || 8+n*16+size > int64(len(b)) {
		return nil, errors.New("a header that is longer than its bytes")
	}
	h := &header{tags: make(map[int32]headerEntry, 16), data: b[8+n*16 : 8+n*16+size]}
	for i := range n {
		e := b[8+i*16:]
		tag := int32(binary.BigEndian.Uint32(e))
		switch tag {
		case rpmName, rpmVersion, rpmRelease, rpmEpoch, rpmVendor, rpmLicense, rpmArch, rpmFileModes, rpmSource, rpmDirIndex, rpmBaseNames, rpmDirNames, rpmModule:
			off, count := int64(binary.BigEndian.Uint32(e[8:])), int64(binary.BigEndian.Uint32(e[12:]))
			if off > size || count > size {
				return nil, fmt.Errorf("tag %d lies outside of the header", tag)
			}
			h.tags[tag] = headerEntry{binary.BigEndian.Uint32(e[4:]), int(off), int(count)}
		}
	}
	return h, nil
}

// text returns a string tag; the first of several.
func (h *header) text(tag int32) string {
	e, ok := h.tags[tag]
	if !ok || e.kind != 6 && e.kind != 8 && e.kind != 9 {
		return ""
	}
	s, _, _ := bytes.Cut(h.data[e.off:], []byte{0})
	return field(s)
}

func (h *header) number(tag int32, i int) (uint32, bool) {
	e, ok := h.tags[tag]
	if !ok || i >= e.n {
		return 0, false
	}
	switch {
	case e.kind == 4 && e.off+4*i+4 <= len(h.data):
		return binary.BigEndian.Uint32(h.data[e.off+4*i:]), true
	case e.kind == 3 && e.off+2*i+2 <= len(h.data):
		return uint32(binary.BigEndian.Uint16(h.data[e.off+2*i:])), true
	}
	return 0, false
}

// list returns the strings of an array where they lie.
func (h *header) list(tag int32) [][]byte {
	e, ok := h.tags[tag]
	if !ok || e.kind != 8 || e.n > maxRPMFiles {
		return nil
	}
	out := make([][]byte, 0, min(e.n, 4096))
	rest := h.data[e.off:]
	for range e.n {
		s, r, ok := bytes.Cut(rest, []byte{0})
		if !ok {
			break
		}
		out = append(out, s)
		rest = r
	}
	return out
}

// files tells what a package installed: programs by their mode, libraries by name.
func (h *header) files() owns {
	var o owns
	dirs := h.list(rpmDirNames)
	var buf []byte
	for i, base := range h.list(rpmBaseNames) {
		d, ok := h.number(rpmDirIndex, i)
		if !ok || int64(d) >= int64(len(dirs)) {
			continue
		}
		buf = append(append(buf[:0], bytes.TrimPrefix(dirs[d], []byte("/"))...), base...)
		mode, ok := h.number(rpmFileModes, i)
		if ok && mode&0o170000 != 0o100000 { // directories, links
			continue
		}
		if ok && mode&0o111 == 0 && !sharedObject(string(base)) && !archiveExt(path.Ext(string(base))) && !bytes.HasSuffix(base, []byte(".pm")) {
			// Not loaded by itself; it may still mark a language package or lie in a library root.
			n := len(o.Files)
			o.add(buf)
			o.Files = o.Files[:n]
			continue
		}
		o.add(buf)
	}
	o.done()
	return o
}

// parseRPMManifest reads the list that Azure Linux's distroless images keep: one
// package per line; name, version-release, install time, build time, vendor, epoch or
// (none), size, architecture, epoch number, source, between tabs.
func parseRPMManifest(f *file, b []byte) {
	lines(b, func(line []byte) {
		c := bytes.Split(line, []byte{'\t'})
		if len(c) < 10 || len(c) > 32 {
			return
		}
		p := scan.Package{Type: scan.RPM, Name: field(c[0]), Version: field(c[1]), Vendor: field(c[4]), Arch: field(c[7]), Location: f.Path}
		if p.Name == "" || p.Version == "" || p.Name == "gpg-pubkey" {
			return
		}
		if epoch := field(c[8]); epoch != "" && epoch != "0" && epoch != "(none)" {
			p.Version = epoch + ":" + p.Version
		}
		p.Source, p.SourceVersion = rpmSourceName(field(c[9]))
		f.Packages = append(f.Packages, p)
	})
}
