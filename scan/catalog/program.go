package catalog

import (
	"bytes"
	"compress/zlib"
	"debug/buildinfo"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

const (
	goMagic     = "\xff Go buildinf:" // the linker puts it at an address divisible by 16
	rustSection = ".dep-v0\x00"       // cargo-auditable's section, as the table of section names spells it
	rustTail    = 4 << 20             // where in a big program that table is looked for
	maxInfo     = 4 << 20             // bytes of module information or of cargo's list, unpacked
)

// goMagicWord is the first eight bytes of goMagic.
var goMagicWord = binary.LittleEndian.Uint64([]byte(goMagic))

// maybeProgram looks at a file that no parser wants by name. Programs are known by
// their first bytes. They pass by without being held: Go since 1.18 writes what it was
// built from in one piece, found by its alignment; only what needs random access (older
// Go, Rust) is held where it is small, or read a second time.
func (w *walker) maybeProgram(p string, c content) error {
	head, err := c.next(chunkBytes)
	if err != nil {
		return err
	}
	if !programMagic(head) {
		return nil
	}
	if packedProgram(head) {
		w.gapPacked(p)
		return nil
	}
	size := c.size()
	if size <= inMemory {
		b := append(w.grow(size)[:0], head...)
		for c.rest() > 0 {
			more, err := c.next(c.rest())
			if err != nil {
				return err
			}
			b = append(b, more...)
		}
		w.heldProgram(p, b)
		return nil
	}
	var s goScan
	s.write(head)
	rust := false
	var joint [2 * len(rustSection)]byte // the end of one piece and the start of the next
	for c.rest() > 0 {
		tail := c.rest() <= rustTail
		b, err := c.next(c.rest())
		if err != nil {
			return err
		}
		s.write(b)
		if tail && !rust {
			n := len(rustSection)
			copy(joint[n:], b)
			rust = bytes.Contains(joint[:], []byte(rustSection)) || bytes.Contains(b, []byte(rustSection))
			clear(joint[n:])
			copy(joint[:n], b[max(0, len(b)-n):])
		}
	}
	switch {
	case s.info != nil:
		w.keepGo(p, s.info)
	case s.old || rust:
		if size > w.opt.Limits.SpillBytes {
			w.gap(p, fmt.Sprintf("a program of %d bytes, more than the bound of %d", size, w.opt.Limits.SpillBytes), "")
		} else if len(w.again) < 1000 {
			if w.again == nil {
				w.again = map[string]kind{}
			}
			w.again[strings.Clone(p)] = program
		}
	}
	return nil
}

// heldProgram looks at a program that is in memory whole.
func (w *walker) heldProgram(p string, b []byte) {
	if packedProgram(b) {
		w.gapPacked(p)
		return
	}
	var s goScan
	s.write(b)
	switch {
	case s.info != nil:
		w.keepGo(p, s.info)
	case s.old || bytes.Contains(sectionNames(b), []byte(rustSection)):
		w.parseRandom(p, program, bytes.NewReader(b), int64(len(b)))
	}
}

// packedProgram reports whether UPX has compressed a program: its mark stands behind
// the headers of ELF, and in the names of sections of PE.
func packedProgram(b []byte) bool {
	b = b[:min(len(b), 1024)]
	return bytes.Contains(b, []byte("UPX!")) || b[0] == 'M' && bytes.Contains(b, []byte("UPX0"))
}

func (w *walker) gapPacked(p string) {
	w.gap(p, "a program compressed by UPX: what it was built from cannot be seen", "do not compress it, or unpack it with upx -d before it goes into the image")
}

// sectionNames returns the names of an ELF file's sections where they lie; nil where it
// has none, or is damaged, or big-endian.
func sectionNames(b []byte) []byte {
	if len(b) < 64 || b[0] != 0x7f || b[5] != 1 {
		return nil
	}
	le := binary.LittleEndian
	var table, each, offset, size uint64
	var last uint16
	if wide := b[4] == 2; wide {
		table, each, last = le.Uint64(b[40:]), uint64(le.Uint16(b[58:])), le.Uint16(b[62:])
	} else {
		table, each, last = uint64(le.Uint32(b[32:])), uint64(le.Uint16(b[46:])), le.Uint16(b[50:])
	}
	n := uint64(len(b))
	at := table + each*uint64(last)
	if each < 40 || table > n || at > n-40 {
		return nil
	}
	if b[4] == 2 {
		if at > n-64 {
			return nil
		}
		offset, size = le.Uint64(b[at+24:]), le.Uint64(b[at+32:])
	} else {
		offset, size = uint64(le.Uint32(b[at+16:])), uint64(le.Uint32(b[at+20:]))
	}
	if offset > n || size > n-offset {
		return nil
	}
	return b[offset : offset+size]
}

func (w *walker) grow(n int64) []byte {
	if int64(cap(w.buf)) < n {
		w.buf = make([]byte, 0, max(64<<10, n+n/4))
	}
	return w.buf
}

func (w *walker) keepGo(p string, info *debug.BuildInfo) {
	w.keep(file{Path: p, Kind: program, Packages: goPackages(p, info)})
}

// programMagic reports whether b begins like ELF, PE or Mach-O.
func programMagic(b []byte) bool {
	if len(b) < 16 {
		return false
	}
	switch binary.BigEndian.Uint32(b) {
	case 0x7f454c46, 0xfeedface, 0xfeedfacf, 0xcefaedfe, 0xcffaedfe:
		return true
	}
	return b[0] == 'M' && b[1] == 'Z'
}

// goScan finds Go's build information in a program that passes by in pieces. Every
// piece but the last must be a multiple of 16 bytes.
type goScan struct {
	info *debug.BuildInfo
	old  bool   // from before Go 1.18: pointers, which need the whole file
	got  []byte // from the magic on, while it is not complete
}

func (s *goScan) write(b []byte) {
	if s.info != nil {
		return
	}
	if s.got != nil {
		s.got = append(s.got, b[:min(len(b), maxInfo+1024)]...)
		s.try()
		if s.info != nil {
			return
		}
	}
	for i := 0; i+16 <= len(b); i += 16 {
		if binary.LittleEndian.Uint64(b[i:]) == goMagicWord && s.got == nil && string(b[i:i+len(goMagic)]) == goMagic {
			switch flags := b[i+15]; {
			case flags&2 != 0:
				s.got = bytes.Clone(b[i:min(len(b), i+maxInfo+1024)])
				if s.try(); s.info != nil {
					return
				}
			case b[i+14] == 4 || b[i+14] == 8:
				s.old = true
			}
		}
	}
}

// try decodes what was gathered; got becomes nil where it is not build information.
func (s *goScan) try() {
	const header = 32
	if len(s.got) < header {
		return
	}
	rest := s.got[header:]
	version, rest, ok, bad := inlineString(rest, 256)
	var mod string
	if ok {
		if !strings.HasPrefix(version, "go") && !strings.HasPrefix(version, "devel") {
			bad = true
		} else {
			mod, _, ok, bad = inlineString(rest, maxInfo)
		}
	}
	switch {
	case bad || !ok && len(s.got) > maxInfo+512:
		s.got = nil
		return
	case !ok:
		return // more to come
	}
	s.got = nil
	info := &debug.BuildInfo{}
	// The text stands between two marks of 16 bytes.
	if len(mod) >= 33 && mod[len(mod)-17] == '\n' {
		parsed, err := debug.ParseBuildInfo(mod[16 : len(mod)-16])
		if err == nil {
			info = parsed
		}
	}
	info.GoVersion = version
	s.info = info
}

// inlineString reads a length and that many bytes. ok is false while b is too short.
func inlineString(b []byte, most uint64) (s string, rest []byte, ok, bad bool) {
	n, used := binary.Uvarint(b)
	switch {
	case used < 0 || used > 0 && n > most:
		return "", nil, false, true
	case used == 0:
		return "", nil, false, len(b) >= binary.MaxVarintLen64
	case uint64(len(b)-used) < n:
		return "", nil, false, false
	}
	return string(b[used : used+int(n)]), b[used+int(n):], true, false
}

// goPackages lists the standard library, the main module and its dependencies.
func goPackages(p string, info *debug.BuildInfo) []scan.Package {
	var out []scan.Package
	add := func(name, version string) {
		if name = field([]byte(name)); name != "" {
			out = append(out, scan.Package{Type: scan.Golang, Name: name, Version: field([]byte(version)), Location: p, Files: []string{p}})
		}
	}
	// "go1.22.3 X:nocoverageredesign" and "devel go1.23-abc": the release alone is compared.
	for word := range strings.FieldsSeq(info.GoVersion) {
		if v, ok := strings.CutPrefix(word, "go"); ok {
			// go1.20.4-google builds and the like are the release before the dash.
			v, _, _ = strings.Cut(v, "-")
			add("stdlib", v)
			break
		}
	}
	if info.Main.Path != "" {
		add(info.Main.Path, info.Main.Version)
	}
	for _, d := range info.Deps {
		if d.Replace != nil && d.Replace.Version != "" {
			d = d.Replace
		}
		add(d.Path, d.Version)
	}
	return out
}

// parseProgram reads a program with random access: Go before 1.18, and Rust built with
// cargo-auditable.
func parseProgram(f *file, r io.ReaderAt) error {
	if info, err := buildinfo.Read(r); err == nil {
		f.Packages = goPackages(f.Path, info)
		return nil
	}
	list, err := rustList(r)
	if err != nil || list == nil {
		return err
	}
	var doc struct {
		Packages []struct{ Name, Version, Source, Kind string }
	}
	if err := json.Unmarshal(list, &doc); err != nil {
		return fmt.Errorf("its list of crates is damaged: %w", err)
	}
	for _, c := range doc.Packages {
		if c.Kind == "build" || c.Name == "" || c.Version == "" {
			continue
		}
		f.Packages = append(f.Packages, scan.Package{Type: scan.Cargo, Name: field([]byte(c.Name)), Version: field([]byte(c.Version)), Location: f.Path, Files: []string{f.Path}})
	}
	return nil
}

// rustList returns the JSON that cargo-auditable left; nil = none.
func rustList(r io.ReaderAt) (list []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // debug/elf on a hostile file
			list, err = nil, fmt.Errorf("a damaged program: %v", p)
		}
	}()
	e, err := elf.NewFile(r)
	if err != nil {
		return nil, nil
	}
	s := e.Section(".dep-v0")
	if s == nil || s.Type == elf.SHT_NOBITS {
		return nil, nil
	}
	if s.FileSize > maxInfo {
		return nil, errors.New("its list of crates is too long")
	}
	z, err := zlib.NewReader(io.NewSectionReader(r, int64(s.Offset), int64(s.FileSize)))
	if err != nil {
		return nil, fmt.Errorf("its list of crates is damaged: %w", err)
	}
	list, err = io.ReadAll(io.LimitReader(z, maxInfo+1))
	if err == nil && len(list) > maxInfo {
		err = errors.New("its list of crates is too long")
	}
	if err != nil {
		return nil, fmt.Errorf("its list of crates is damaged: %w", err)
	}
	return list, nil
}
