package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

const (
	maxOwned    = 4 * scan.MaxFiles // candidates per package; merge keeps at most scan.MaxFiles
	maxMarks    = 50_000            // files per package by which language packages are known
	maxLicenses = 16
	maxField    = 512 // bytes of a name, version or licence
)

// parse reads a file that is in memory whole. The content is valid during the call only:
// everything kept is copied.
func parse(f *file, b []byte) error {
	switch f.Kind {
	case dpkgStatus, dpkgStatusD:
		return parseDpkg(f, b)
	case dpkgList:
		name := strings.TrimSuffix(path.Base(f.Path), ".list")
		f.Owns = []owns{parseFileList(name, b, 0)}
	case dpkgMD5:
		name := strings.TrimSuffix(path.Base(f.Path), ".md5sums")
		f.Owns = []owns{parseFileList(name, b, 34)} // 32 digits and two spaces before each path
	case debCopyright:
		parseCopyright(f, b)
	case apkInstalled:
		return parseApk(f, b)
	case osRelease:
		f.Distro = parseOSRelease(b)
	case rpmManifest:
		parseRPMManifest(f, b)
	case rpmWAL:
		if len(b) > 32 {
			return errors.New("the rpm database has a write-ahead log that was never merged; packages in it are not listed")
		}
	case nodePackage:
		return parseNode(f, b)
	case pythonMetadata:
		return parsePython(f, b)
	case pythonRecord:
		parseRecord(f, b)
	case rubyGem:
		return parseGem(f, b)
	case composerInstalled:
		return parseComposer(f, b)
	case dotnetDeps:
		return parseDotnet(f, b)
	case lockFile:
		return parseLock(f, b)
	}
	return nil
}

// lines calls each for every line of b, without its end.
func lines(b []byte, each func(line []byte)) {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			i = len(b)
		}
		each(bytes.TrimSuffix(b[:i], []byte{'\r'}))
		b = b[min(i+1, len(b)):]
	}
}

// field is a bounded copy of a value.
func field(v []byte) string {
	v = bytes.TrimSpace(v)
	if len(v) > maxField {
		v = v[:maxField]
	}
	return strings.ToValidUTF8(string(v), "\ufffd")
}

// parseDpkg reads stanzas of dpkg's status file. Packages that are only half there
// still count: their files are; those of which only configuration is left do not.
func parseDpkg(f *file, b []byte) error {
	var p scan.Package
	var status string
	bad := 0
	end := func() {
		switch {
		case p.Name == "" && p.Version == "":
		case p.Name == "" || p.Version == "":
			if installed(status) {
				bad++
			}
		case installed(status):
			p.Type, p.Location = scan.Deb, f.Path
			if p.Source == p.Name && p.SourceVersion == "" {
				p.Source = ""
			}
			if p.Source != "" && p.SourceVersion == "" {
				p.SourceVersion = p.Version
			}
			f.Packages = append(f.Packages, p)
		}
		p, status = scan.Package{}, ""
	}
	lines(b, func(line []byte) {
		if len(line) == 0 {
			end()
			return
		}
		// A switch on the first letter: most lines of the file are dependencies and texts.
		switch line[0] {
		case 'P':
			if v, ok := bytes.CutPrefix(line, []byte("Package:")); ok {
				p.Name = field(v)
			}
		case 'S':
			if v, ok := bytes.CutPrefix(line, []byte("Status:")); ok {
				status = field(v)
			} else if v, ok := bytes.CutPrefix(line, []byte("Source:")); ok {
				name, version, _ := strings.Cut(field(v), " ")
				p.Source, p.SourceVersion = name, strings.Trim(strings.TrimSpace(version), "()")
			}
		case 'V':
			if v, ok := bytes.CutPrefix(line, []byte("Version:")); ok {
				p.Version = field(v)
			}
		case 'A':
			if v, ok := bytes.CutPrefix(line, []byte("Architecture:")); ok {
				p.Arch = field(v)
			}
		case 'M':
			if v, ok := bytes.CutPrefix(line, []byte("Maintainer:")); ok {
				p.Vendor = field(v)
			}
		}
	})
	end()
	if bad > 0 {
		return fmt.Errorf("%d entries have no name or no version: the file is damaged", bad)
	}
	return nil
}

func installed(status string) bool {
	if status == "" {
		return true // distroless keeps none, nor do tools that write the file without dpkg
	}
	words := strings.Fields(status)
	switch words[len(words)-1] {
	case "not-installed", "config-files":
		return false
	}
	return true
}

// parseFileList reads the files of one dpkg package: one absolute path per line, after
// skip bytes of checksum.
func parseFileList(name string, b []byte, skip int) owns {
	o := owns{Package: strings.Clone(name)}
	lines(b, func(line []byte) {
		if len(line) <= skip {
			return
		}
		o.add(bytes.TrimPrefix(bytes.TrimPrefix(line[skip:], []byte(".")), []byte("/")))
	})
	o.done()
	return o
}

// add notes one file of a package, as far as it matters.
func (o *owns) add(p []byte) {
	if len(p) == 0 || len(p) > 4096 || dull(p) {
		return
	}
	base := p[bytes.LastIndexByte(p, '/')+1:]
	if markName(base) {
		s := string(p)
		if isMark(s) && len(o.Marks) < maxMarks {
			o.Marks = append(o.Marks, hashPath(s))
		}
	}
	if dir, file := libraryRoot(p); dir != "" {
		if len(o.Dirs) < maxOwned && !slices.Contains(o.Dirs[max(0, len(o.Dirs)-4):], dir) {
			o.Dirs = append(o.Dirs, dir)
		}
		return
	} else if file {
		if len(o.Scripts) < maxOwned {
			o.Scripts = append(o.Scripts, string(p))
		}
		return
	}
	if bytes.HasSuffix(base, []byte(".h")) || bytes.HasSuffix(base, []byte(".py")) || bytes.HasSuffix(base, []byte(".gz")) || bytes.IndexByte(p, '/') < 0 {
		return
	}
	if len(o.Files) < maxOwned {
		o.Files = append(o.Files, string(p))
	}
}

func (o *owns) done() {
	slices.Sort(o.Dirs)
	o.Dirs = slices.Compact(o.Dirs)
	// A library root may lie in another: usr/lib/python3/dist-packages/a and …/a/b.
	o.Dirs = slices.Clip(o.Dirs)
	slices.Sort(o.Marks)
}

// dull reports whether nothing below p is ever loaded as code: documentation,
// translations, headers, configuration, state.
func dull(p []byte) bool {
	switch p[0] {
	case 'u':
		for _, dir := range dullDirs {
			if bytes.HasPrefix(p, dir) {
				return true
			}
		}
		return false
	case 'e', 'v': // etc, var
		return bytes.HasPrefix(p, dullEtc) || bytes.HasPrefix(p, dullVar)
	}
	return false
}

var (
	dullEtc  = []byte("etc/")
	dullVar  = []byte("var/")
	dullDirs = [][]byte{
		[]byte("usr/share/doc/"), []byte("usr/share/man/"), []byte("usr/share/locale/"), []byte("usr/share/zoneinfo/"), []byte("usr/share/icons/"),
		[]byte("usr/share/info/"), []byte("usr/share/lintian/"), []byte("usr/share/bug/"), []byte("usr/share/i18n/"), []byte("usr/include/"),
		[]byte("usr/share/terminfo/"), []byte("usr/share/bash-completion/"), []byte("usr/share/mime/"), []byte("usr/share/fonts/"), []byte("usr/src/"),
		[]byte("usr/share/unicode/"), []byte("usr/share/keyrings/"), []byte("usr/share/licenses/"), []byte("usr/share/applications/"), []byte("usr/share/help/"),
	}
)

// markName is a cheap first look for isMark.
func markName(base []byte) bool {
	switch base[max(0, len(base)-1)] {
	case 'n', 'A', 'O', 'o', 'c', 'r', 'R': // package.json, METADATA, PKG-INFO, .egg-info, .gemspec, .jar
		return true
	}
	i := bytes.LastIndexByte(base, '.')
	return i >= 0 && archiveExt(string(base[i:]))
}

// libraryRoot tells where an interpreter's library begins: the directory whose files
// all belong to one thing, or file for a single-file module.
func libraryRoot(p []byte) (dir string, file bool) {
	for _, r := range libraryRoots {
		i := bytes.Index(p, r.below)
		if i < 0 {
			continue
		}
		at := i + len(r.below)
		rest := p[at:]
		if r.python { // usr/lib/python3.11/…
			j := bytes.IndexByte(rest, '/')
			if j < 0 {
				return "", false
			}
			at += j + 1
			rest = rest[j+1:]
		}
		if bytes.HasPrefix(rest, []byte("dist-packages/")) || bytes.HasPrefix(rest, []byte("site-packages/")) {
			at += len("dist-packages/")
			rest = p[at:]
		}
		n := bytes.IndexByte(rest, '/')
		if n > 0 && rest[0] == '@' { // npm scope
			if m := bytes.IndexByte(rest[n+1:], '/'); m >= 0 {
				n += 1 + m
			} else {
				return "", false
			}
		}
		if n <= 0 {
			return "", bytes.HasSuffix(rest, r.ext)
		}
		top := rest[:n]
		if bytes.HasSuffix(top, []byte("-info")) || bytes.Equal(top, []byte("__pycache__")) || bytes.HasSuffix(p, []byte(".so")) {
			return "", false
		}
		return string(p[:at+n]), false
	}
	return "", bytes.HasSuffix(p, []byte(".pm"))
}

var libraryRoots = []struct {
	below, ext []byte
	python     bool
}{
	{[]byte("usr/lib/python"), []byte(".py"), true},
	{[]byte("usr/lib64/python"), []byte(".py"), true},
	{[]byte("usr/share/nodejs/"), []byte(".js"), false},
	{[]byte("usr/lib/nodejs/"), []byte(".js"), false},
	{[]byte("lib/node_modules/"), []byte(".js"), false},
	{[]byte("usr/lib/ruby/vendor_ruby/"), []byte(".rb"), false},
	{[]byte("usr/share/rubygems-integration/all/gems/"), []byte(".rb"), false},
	{[]byte("usr/share/php/"), []byte(".php"), false},
}

// parseCopyright takes the licences of a Debian package from its copyright file, where
// that is in the machine-readable form.
func parseCopyright(f *file, b []byte) {
	p := scan.Package{Name: path.Base(path.Dir(f.Path))}
	lines(b, func(line []byte) {
		v, ok := bytes.CutPrefix(line, []byte("License:"))
		if !ok || len(p.Licenses) >= maxLicenses {
			return
		}
		if l := field(v); l != "" && len(l) < 128 && !slices.Contains(p.Licenses, l) {
			p.Licenses = append(p.Licenses, l)
		}
	})
	if len(p.Licenses) > 0 {
		f.Packages = []scan.Package{p}
	}
}

// parseApk reads apk's database of installed packages.
func parseApk(f *file, b []byte) error {
	var p scan.Package
	var o owns
	var dir []byte
	bad := 0
	end := func() {
		switch {
		case p.Name != "" && p.Version != "":
			p.Type, p.Location = scan.Apk, f.Path
			if p.Source != "" {
				p.SourceVersion = p.Version
			}
			o.Package, o.Version = p.Name, p.Version
			o.done()
			f.Packages = append(f.Packages, p)
			if len(o.Files)+len(o.Dirs)+len(o.Scripts)+len(o.Marks) > 0 {
				f.Owns = append(f.Owns, o)
			}
		case p.Name != "" || p.Version != "":
			bad++
		}
		p, o, dir = scan.Package{}, owns{}, nil
	}
	var buf []byte
	lines(b, func(line []byte) {
		if len(line) == 0 {
			end()
			return
		}
		if len(line) < 2 || line[1] != ':' {
			return
		}
		v := line[2:]
		switch line[0] {
		case 'P':
			p.Name = field(v)
		case 'V':
			p.Version = field(v)
		case 'A':
			p.Arch = field(v)
		case 'o':
			if s := field(v); s != p.Name {
				p.Source = s
			}
		case 'm':
			p.Vendor = field(v)
		case 'L':
			if s := field(v); s != "" {
				p.Licenses = []string{s}
			}
		case 'F':
			dir = v
		case 'R':
			buf = append(buf[:0], dir...)
			if len(dir) > 0 {
				buf = append(buf, '/')
			}
			o.add(append(buf, v...))
		}
	})
	end()
	if bad > 0 {
		return fmt.Errorf("%d entries have no name or no version: the file is damaged", bad)
	}
	return nil
}

// parseOSRelease reads os-release; values may be quoted as in a shell.
func parseOSRelease(b []byte) *scan.Distro {
	var d scan.Distro
	lines(b, func(line []byte) {
		key, v, ok := bytes.Cut(line, []byte("="))
		if !ok {
			return
		}
		value := field(v)
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = strings.NewReplacer(`\"`, `"`, `\$`, `$`, "\\`", "`", `\\`, `\`).Replace(value[1 : n-1])
		}
		switch string(bytes.TrimSpace(key)) {
		case "ID":
			d.ID = strings.ToLower(value)
		case "VERSION_ID":
			d.Version = value
		case "VERSION_CODENAME":
			d.Codename = value
		case "PRETTY_NAME":
			d.Name = value
		case "ID_LIKE":
			d.Like = strings.Fields(value)
		}
	})
	if d.ID == "" && d.Name == "" {
		return nil
	}
	return &d
}
