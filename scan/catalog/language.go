package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// parseNode reads an npm package.json where a package is installed, and not where one
// is merely lying about.
func parseNode(f *file, b []byte) error {
	inModules, ok := nodePlace(f.Path)
	if !ok {
		return nil
	}
	var doc struct {
		Name, Version string
		Private       bool
		License       json.RawMessage
		Licenses      json.RawMessage
	}
	if err := json.Unmarshal(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), &doc); err != nil {
		var kind *json.UnmarshalTypeError
		switch {
		case errors.As(err, &kind): // the rest is read all the same: "private": "true" is seen
		case !inModules:
			return nil
		default:
			return fmt.Errorf("not a package.json: %w", err)
		}
	}
	if doc.Name == "" || doc.Version == "" || !inModules && doc.Private {
		return nil
	}
	p := scan.Package{Type: scan.NPM, Name: field([]byte(doc.Name)), Version: field([]byte(strings.TrimPrefix(doc.Version, "v"))), Location: f.Path, Dirs: []string{path.Dir(f.Path)}}
	for _, raw := range []json.RawMessage{doc.License, doc.Licenses} {
		p.Licenses = appendLicenses(p.Licenses, raw)
	}
	f.Packages = []scan.Package{p}
	return nil
}

// appendLicenses understands "MIT", {"type":"MIT"} and lists of either.
func appendLicenses(to []string, raw json.RawMessage) []string {
	if len(raw) == 0 || len(to) >= maxLicenses {
		return to
	}
	var one string
	var object struct{ Type string }
	var list []json.RawMessage
	switch raw[0] {
	case '"':
		if json.Unmarshal(raw, &one) == nil && one != "" {
			to = append(to, field([]byte(one)))
		}
	case '{':
		if json.Unmarshal(raw, &object) == nil && object.Type != "" {
			to = append(to, field([]byte(object.Type)))
		}
	case '[':
		if json.Unmarshal(raw, &list) == nil {
			for _, r := range list[:min(len(list), maxLicenses)] {
				if r[0] != '[' {
					to = appendLicenses(to, r)
				}
			}
		}
	}
	return to
}

// nodePlace tells an installed package's package.json by where it lies: directly in
// node_modules/name, or in a Node root of a distribution; outside of any it may be an
// application's own.
func nodePlace(p string) (inModules, ok bool) {
	dir := path.Dir(p)
	for _, root := range [...]string{"node_modules/", "usr/share/nodejs/", "usr/lib/nodejs/"} {
		i := strings.LastIndex(dir, root)
		if i < 0 || i > 0 && dir[i-1] != '/' {
			continue
		}
		rest := dir[i+len(root):]
		n := strings.Count(rest, "/")
		return true, n == 0 && rest != "" && rest[0] != '@' || n == 1 && rest[0] == '@'
	}
	return false, true
}

// parsePython reads the header of METADATA, PKG-INFO or a single-file egg-info.
func parsePython(f *file, b []byte) error {
	p := scan.Package{Type: scan.PyPI, Location: f.Path}
	if i := bytes.Index(b, []byte("\n\n")); i >= 0 {
		b = b[:i]
	} else if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
		b = b[:i]
	}
	var license, expression string
	lines(b, func(line []byte) {
		key, v, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(key) == 0 || key[0] == ' ' || key[0] == '\t' {
			return
		}
		switch string(key) {
		case "Name":
			p.Name = field(v)
		case "Version":
			p.Version = field(v)
		case "License":
			license = field(v)
		case "License-Expression":
			expression = field(v)
		}
	})
	if p.Name == "" || p.Version == "" {
		return errors.New("names no package or no version")
	}
	switch {
	case expression != "":
		p.Licenses = []string{expression}
	case license != "" && license != "UNKNOWN" && len(license) < 100:
		p.Licenses = []string{license}
	}
	f.Packages = []scan.Package{p}
	return nil
}

// pythonInfo is the directory (or file) that holds a Python package's metadata, and
// the directory it is installed into.
func pythonInfo(p string) (info, root string) {
	info = path.Dir(p)
	if strings.HasSuffix(p, ".egg-info") {
		info = p
	}
	root = path.Dir(info)
	if strings.HasSuffix(info, "EGG-INFO") { // an unzipped egg is its own root
		root = info[:max(0, len(info)-len("/EGG-INFO"))]
	}
	return info, root
}

// parseRecord takes from RECORD, top_level.txt or installed-files.txt what a Python
// package put beside its metadata.
func parseRecord(f *file, b []byte) {
	info, root := pythonInfo(f.Path)
	o := owns{}
	base := path.Base(f.Path)
	add := func(dir bool, p string) {
		to := &o.Scripts
		if dir {
			to = &o.Dirs
		}
		if len(*to) < 256 && !slices.Contains(*to, p) {
			*to = append(*to, p)
		}
	}
	own := path.Base(info)
	// A top directory with an __init__.py is this package's; without, it is a namespace
	// that several share, and what counts is what lies in it.
	type inner struct {
		name string
		dir  bool
	}
	tops := map[string][]inner{}
	var order []string
	regular := map[string]bool{}
	lines(b, func(line []byte) {
		name := line
		if base == "RECORD" {
			if len(line) > 0 && line[0] == '"' {
				return
			}
			name, _, _ = bytes.Cut(line, []byte(","))
		}
		if len(name) == 0 || len(name) > 4096 {
			return
		}
		if base == "top_level.txt" {
			add(true, path.Join(root, field(name)))
			add(false, path.Join(root, field(name)+".py"))
			return
		}
		from := root
		if base == "installed-files.txt" {
			from = info
		}
		p := path.Clean("/" + from + "/" + string(name))[1:]
		rest, ok := strings.CutPrefix(p, root+"/")
		if root == "" || root == "." {
			rest, ok = p, true
		}
		top, below, deep := strings.Cut(rest, "/")
		switch {
		case !ok: // a program, usually
			add(false, p)
		case top == own:
		case top == "__pycache__", !deep:
			add(false, p)
		case below == "__init__.py":
			regular[top] = true
			fallthrough
		default:
			if _, ok := tops[top]; !ok {
				if len(order) >= 256 {
					return
				}
				order = append(order, top)
			}
			second, _, dir := strings.Cut(below, "/")
			in := inner{second, dir}
			if known := tops[top]; len(known) < 64 && !slices.Contains(known, in) {
				tops[top] = append(known, in)
			}
		}
	})
	for _, top := range order {
		if regular[top] || len(tops[top]) >= 64 {
			add(true, path.Join(root, top))
			continue
		}
		for _, in := range tops[top] {
			add(in.dir, path.Join(root, top, in.name))
		}
	}
	if len(o.Dirs)+len(o.Scripts) > 0 {
		f.Owns = []owns{o}
	}
}

// parseGem reads an installed gem's specification: its stub line, which RubyGems
// writes to be read without Ruby, else the assignments.
func parseGem(f *file, b []byte) error {
	p := scan.Package{Type: scan.Gem, Location: f.Path}
	lines(b, func(line []byte) {
		line = bytes.TrimSpace(line)
		if rest, ok := bytes.CutPrefix(line, []byte("# stub: ")); ok && p.Name == "" {
			if words := strings.Fields(field(rest)); len(words) >= 2 {
				p.Name, p.Version = words[0], words[1]
			}
			return
		}
		i := bytes.IndexByte(line, '=')
		if i < 0 || len(line) > 1024 {
			return
		}
		key := bytes.TrimSpace(line[:i])
		switch {
		case bytes.HasSuffix(key, []byte(".name")) && p.Name == "":
			p.Name = firstQuoted(line[i+1:])
		case bytes.HasSuffix(key, []byte(".version")) && p.Version == "":
			p.Version = firstQuoted(line[i+1:])
		case bytes.HasSuffix(key, []byte(".license")), bytes.HasSuffix(key, []byte(".licenses")):
			for rest := line[i+1:]; len(p.Licenses) < maxLicenses; {
				l := firstQuoted(rest)
				if l == "" {
					break
				}
				p.Licenses = append(p.Licenses, l)
				rest = rest[bytes.Index(rest, []byte(l))+len(l)+1:]
			}
		}
	})
	if p.Name == "" || p.Version == "" {
		return errors.New("names no gem or no version")
	}
	// …/specifications/rack-2.2.3.gemspec describes …/gems/rack-2.2.3.
	root := strings.TrimSuffix(path.Dir(f.Path), "/default")
	p.Dirs = []string{path.Join(path.Dir(root), "gems", strings.TrimSuffix(path.Base(f.Path), ".gemspec"))}
	f.Packages = []scan.Package{p}
	return nil
}

func firstQuoted(b []byte) string {
	i := bytes.IndexAny(b, `"'`)
	if i < 0 {
		return ""
	}
	j := bytes.IndexByte(b[i+1:], b[i])
	if j < 0 {
		return ""
	}
	return field(b[i+1 : i+1+j])
}

// parseComposer reads vendor/composer/installed.json of Composer 1 and 2.
func parseComposer(f *file, b []byte) error {
	type pkg struct {
		Name, Version string
		License       json.RawMessage
		Path          string `json:"install-path"`
	}
	var doc struct{ Packages []pkg }
	var err error
	if trimmed := bytes.TrimSpace(b); len(trimmed) > 0 && trimmed[0] == '[' {
		err = json.Unmarshal(b, &doc.Packages)
	} else {
		err = json.Unmarshal(b, &doc)
	}
	if err != nil {
		return fmt.Errorf("not Composer's list of packages: %w", err)
	}
	dir := path.Dir(f.Path)
	for _, d := range doc.Packages {
		if d.Name == "" || d.Version == "" {
			continue
		}
		p := scan.Package{Type: scan.Composer, Name: strings.ToLower(field([]byte(d.Name))), Version: field([]byte(strings.TrimPrefix(d.Version, "v"))), Location: f.Path, Licenses: appendLicenses(nil, d.License)}
		where := path.Join(path.Dir(dir), p.Name)
		if d.Path != "" && len(d.Path) < 4096 {
			where = path.Clean("/" + dir + "/" + d.Path)[1:]
		}
		p.Dirs = []string{where}
		f.Packages = append(f.Packages, p)
	}
	return nil
}

// parseDotnet reads an application's .deps.json.
func parseDotnet(f *file, b []byte) error {
	var doc struct {
		Libraries map[string]struct{ Type string }
		Targets   map[string]map[string]struct {
			Runtime map[string]json.RawMessage
			Native  map[string]json.RawMessage
		}
	}
	if err := json.Unmarshal(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), &doc); err != nil {
		return fmt.Errorf("not a .deps.json: %w", err)
	}
	dir := path.Dir(f.Path)
	for key, l := range doc.Libraries {
		name, version, ok := strings.Cut(key, "/")
		if l.Type != "package" || !ok || name == "" || version == "" {
			continue
		}
		p := scan.Package{Type: scan.NuGet, Name: field([]byte(name)), Version: field([]byte(version)), Location: f.Path}
		for _, target := range doc.Targets {
			for _, files := range []map[string]json.RawMessage{target[key].Runtime, target[key].Native} {
				for dll := range files {
					if len(p.Files) < 256 && len(dll) < 1024 {
						p.Files = append(p.Files, path.Join(dir, path.Base(dll)))
					}
				}
			}
		}
		slices.Sort(p.Files)
		p.Files = slices.Compact(p.Files)
		f.Packages = append(f.Packages, p)
	}
	slices.SortFunc(f.Packages, func(a, b scan.Package) int { return strings.Compare(a.Name, b.Name) })
	return nil
}
