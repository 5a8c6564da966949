package catalog

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

const (
	maxJarDepth   = 5
	maxDirectory  = 8 << 20 // bytes of a zip's central directory: about 100,000 entries
	maxProperties = 64 << 10
	maxManifest   = 256 << 10
	maxPoms       = 4096
	maxNested     = 64 << 20 // one archive within another; it is held in memory
)

// parseAt reads a file with random access.
func parseAt(f *file, r io.ReaderAt, size int64, lim Limits) error {
	switch f.Kind {
	case rpmSQLite, rpmNDB, rpmBDB:
		return parseRPM(f, r, size)
	case program:
		return parseProgram(f, r)
	case javaArchive:
		j := jars{file: f, budget: lim.NestedBytes}
		return j.read(f.Path, r, size, 1)
	}
	return nil
}

// jars reads a Java archive and those within it.
type jars struct {
	file   *file
	budget int64
}

// artifact is a Maven coordinate.
type artifact struct{ group, name, version string }

func (j *jars) read(where string, r io.ReaderAt, size int64, depth int) error {
	dir := &limitedAt{r: r, left: maxDirectory}
	z, err := zip.NewReader(dir, size)
	if err != nil {
		if dir.left < 0 {
			return errors.New("an archive with too many entries")
		}
		if !bytesAt(r, "PK") {
			return nil // named like an archive, and none
		}
		return fmt.Errorf("a damaged archive: %w", err)
	}
	dir.left = -1 << 62 // the directory is read; from here on others bound
	dir.open = true
	var errs []error
	var poms []artifact
	var licenses []string
	var manifest map[string]string
	for _, e := range z.File {
		switch base := e.Name[strings.LastIndexByte(e.Name, '/')+1:]; {
		case base == "pom.properties" && strings.HasPrefix(e.Name, "META-INF/maven/"):
			if len(poms) >= maxPoms {
				if len(poms) == maxPoms {
					errs = append(errs, fmt.Errorf("more than %d artifacts in one archive", maxPoms))
				}
				continue
			}
			b, err := unzip(e, maxProperties)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if a := pomProperties(b); a.group != "" && a.name != "" && a.version != "" {
				poms = append(poms, a)
			}
		case e.Name == "META-INF/MANIFEST.MF":
			b, err := unzip(e, maxManifest)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			manifest = parseManifest(b)
		case archiveExt(path.Ext(base)):
			if err := j.nested(where, e, depth); err != nil {
				errs = append(errs, err)
			}
		}
	}
	if l := manifest["bundle-license"]; l != "" && len(l) < 200 {
		licenses = []string{field([]byte(l))}
	}
	if len(poms) == 0 {
		if a := guess(where, manifest); a.name != "" && a.version != "" {
			poms = []artifact{a}
		}
	}
	main := ownPom(where, poms)
	for i, a := range poms {
		p := scan.Package{Type: scan.Maven, Name: a.group + ":" + a.name, Version: a.version, Location: where, Files: []string{j.file.Path}}
		if i == main {
			p.Licenses = licenses
		}
		if !slices.ContainsFunc(j.file.Packages[max(0, len(j.file.Packages)-64):], func(q scan.Package) bool {
			return q.Name == p.Name && q.Version == p.Version && q.Location == p.Location
		}) {
			j.file.Packages = append(j.file.Packages, p)
		}
	}
	return errors.Join(errs[:min(len(errs), 5)]...)
}

// nested opens an archive within an archive.
func (j *jars) nested(where string, e *zip.File, depth int) error {
	name := where + "!/" + e.Name
	if len(e.Name) > 1024 {
		name = where + "!/" + e.Name[:1024]
	}
	if depth >= maxJarDepth {
		return fmt.Errorf("%s: archives nested more than %d deep", e.Name, maxJarDepth)
	}
	b, err := unzip(e, min(maxNested, j.budget))
	if err != nil {
		return err
	}
	j.budget -= int64(len(b))
	if err := j.read(name, bytes.NewReader(b), int64(len(b)), depth+1); err != nil {
		return fmt.Errorf("%s: %w", e.Name, err)
	}
	return nil
}

// unzip returns one entry, which may be at most most bytes.
func unzip(e *zip.File, most int64) ([]byte, error) {
	if e.UncompressedSize64 > uint64(max(0, most)) {
		return nil, fmt.Errorf("%s: %d bytes, more than the bound of %d", e.Name, e.UncompressedSize64, most)
	}
	r, err := e.Open()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Name, err)
	}
	defer r.Close()
	// The size is a claim: what is really there grows the buffer.
	var b bytes.Buffer
	b.Grow(int(min(e.UncompressedSize64, 1<<20)) + bytes.MinRead)
	n, err := b.ReadFrom(io.LimitReader(r, most+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Name, err)
	}
	if n > most {
		return nil, fmt.Errorf("%s: more than the bound of %d bytes", e.Name, most)
	}
	return b.Bytes(), nil
}

// limitedAt bounds how much of a file is read until open is set.
type limitedAt struct {
	r    io.ReaderAt
	left int64
	open bool
}

func (l *limitedAt) ReadAt(p []byte, off int64) (int, error) {
	if !l.open {
		if l.left -= int64(len(p)); l.left < 0 {
			return 0, errors.New("too much")
		}
	}
	return l.r.ReadAt(p, off)
}

func bytesAt(r io.ReaderAt, s string) bool {
	var b [4]byte
	n, _ := r.ReadAt(b[:len(s)], 0)
	return string(b[:n]) == s
}

func pomProperties(b []byte) artifact {
	var a artifact
	lines(b, func(line []byte) {
		key, v, ok := bytes.Cut(line, []byte("="))
		if !ok {
			return
		}
		value := field(v)
		if strings.Contains(value, "${") { // never filled in
			return
		}
		switch string(bytes.TrimSpace(key)) {
		case "groupId":
			a.group = value
		case "artifactId":
			a.name = value
		case "version":
			a.version = value
		}
	})
	return a
}

// parseManifest returns the main attributes, names in lower case; a line that begins
// with a space continues the one before.
func parseManifest(b []byte) map[string]string {
	m := map[string]string{}
	var last string
	ended := false
	lines(b, func(line []byte) {
		switch {
		case ended:
		case len(line) == 0:
			ended = len(m) > 0
		case line[0] == ' ':
			if last != "" && len(m[last]) < 4096 {
				m[last] += string(line[1:])
			}
		default:
			key, v, ok := bytes.Cut(line, []byte(":"))
			if ok && len(m) < 200 {
				last = strings.ToLower(string(key))
				m[last] = strings.ToValidUTF8(string(bytes.TrimSpace(v[:min(len(v), maxField)])), "\ufffd")
			}
		}
	})
	return m
}

// ownPom says which of several coordinates is the archive's own: the one its name
// begins with, the longest; -1 = cannot be told.
func ownPom(where string, poms []artifact) int {
	if len(poms) == 1 {
		return 0
	}
	base := path.Base(where)
	best, n := -1, 0
	for i, a := range poms {
		if strings.HasPrefix(base, a.name) && len(a.name) > n {
			best, n = i, len(a.name)
		}
	}
	return best
}

// guess tells the coordinate of an archive without Maven's own description from its
// manifest and name.
func guess(where string, m map[string]string) artifact {
	var a artifact
	stem := strings.TrimSuffix(path.Base(where), path.Ext(where))
	a.name, a.version = splitName(stem)
	pick := func(keys ...string) string {
		for _, k := range keys {
			if v := strings.TrimSpace(m[k]); v != "" && !strings.ContainsAny(v, "${} /") {
				return v
			}
		}
		return ""
	}
	if a.version == "" {
		a.version = pick("implementation-version", "bundle-version", "specification-version")
	}
	symbolic, _, _ := strings.Cut(m["bundle-symbolicname"], ";")
	symbolic = strings.TrimSpace(symbolic)
	a.group = pick("implementation-vendor-id")
	if !strings.Contains(a.group, ".") {
		a.group = ""
	}
	if a.group == "" && symbolic != "" && !strings.ContainsAny(symbolic, " /:") {
		// org.apache.commons.lang3 for commons-lang3: the group is what stands before the
		// part that the name ends in.
		a.group = symbolic
		if i := strings.LastIndexByte(symbolic, '.'); i > 0 {
			last := symbolic[i+1:]
			if last == a.name || strings.HasSuffix(a.name, "-"+last) || strings.HasSuffix(a.name, last) {
				a.group = symbolic[:i]
			}
		}
	}
	if a.group == "" {
		a.group = a.name // as the oldest artifacts are published: junit:junit
	}
	return a
}

// splitName splits guava-31.1-jre into guava and 31.1-jre.
func splitName(stem string) (name, version string) {
	for i := 0; i+1 < len(stem); i++ {
		if stem[i] == '-' && stem[i+1] >= '0' && stem[i+1] <= '9' {
			return field([]byte(stem[:i])), field([]byte(stem[i+1:]))
		}
	}
	return field([]byte(stem)), ""
}
