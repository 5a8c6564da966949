package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// parseLock reads a lock file: what a project would install, with Dev set, since
// nothing says that it is.
func parseLock(f *file, b []byte) error {
	add := func(t scan.Type, name, version string) {
		if name != "" && version != "" && len(f.Packages) < 100_000 {
			f.Packages = append(f.Packages, scan.Package{Type: t, Name: field([]byte(name)), Version: field([]byte(version)), Location: f.Path, Dev: true})
		}
	}
	switch path.Base(f.Path) {
	case "package-lock.json", "npm-shrinkwrap.json":
		var doc struct {
			Packages     map[string]struct{ Name, Version string }
			Dependencies map[string]struct{ Version string }
		}
		if err := json.Unmarshal(b, &doc); err != nil {
			return fmt.Errorf("not a package-lock.json: %w", err)
		}
		for where, p := range doc.Packages {
			i := strings.LastIndex(where, "node_modules/")
			if i < 0 {
				continue
			}
			if p.Name == "" {
				p.Name = where[i+len("node_modules/"):]
			}
			add(scan.NPM, p.Name, p.Version)
		}
		if len(doc.Packages) == 0 {
			for name, p := range doc.Dependencies {
				add(scan.NPM, name, p.Version)
			}
		}
	case "composer.lock":
		var doc struct {
			Packages []struct{ Name, Version string }
			Dev      []struct{ Name, Version string } `json:"packages-dev"`
		}
		if err := json.Unmarshal(b, &doc); err != nil {
			return fmt.Errorf("not a composer.lock: %w", err)
		}
		for _, p := range append(doc.Packages, doc.Dev...) {
			add(scan.Composer, strings.ToLower(p.Name), strings.TrimPrefix(p.Version, "v"))
		}
	case "poetry.lock", "uv.lock":
		tomlPackages(b, func(name, version string) { add(scan.PyPI, name, version) })
	case "Cargo.lock":
		tomlPackages(b, func(name, version string) { add(scan.Cargo, name, version) })
	case "Gemfile.lock":
		lines(b, func(line []byte) { // four spaces: what is locked; six: what that asks for
			if s := string(line[:min(len(line), maxField)]); strings.HasPrefix(s, "    ") && !strings.HasPrefix(s, "     ") {
				if name, version, ok := strings.Cut(strings.TrimSpace(s), " ("); ok {
					add(scan.Gem, name, strings.TrimSuffix(version, ")"))
				}
			}
		})
	case "go.mod":
		in := false
		lines(b, func(line []byte) {
			s, _, _ := strings.Cut(string(line[:min(len(line), 2*maxField)]), "//")
			words := strings.Fields(s)
			switch {
			case len(words) == 2 && words[0] == "require" && words[1] == "(":
				in = true
			case len(words) == 1 && words[0] == ")":
				in = false
			case len(words) == 3 && words[0] == "require":
				add(scan.Golang, words[1], words[2])
			case in && len(words) == 2:
				add(scan.Golang, words[0], words[1])
			}
		})
	case "requirements.txt":
		lines(b, func(line []byte) {
			s, _, _ := strings.Cut(string(line[:min(len(line), maxField)]), "#")
			s, _, _ = strings.Cut(s, ";")
			if name, version, ok := strings.Cut(s, "=="); ok && !strings.ContainsAny(version, "*,") {
				name, _, _ = strings.Cut(strings.TrimSpace(name), "[")
				version, _, _ = strings.Cut(strings.TrimSpace(version), " ")
				add(scan.PyPI, name, version)
			}
		})
	default:
		return fmt.Errorf("lock files of this kind are not read")
	}
	return nil
}

// tomlPackages reads the [[package]] tables of a generated lock file, in which name
// and version stand on lines of their own.
func tomlPackages(b []byte, each func(name, version string)) {
	var name, version string
	in := false
	end := func() {
		if in {
			each(name, version)
		}
		name, version = "", ""
	}
	lines(b, func(line []byte) {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) > 0 && line[0] == '[':
			end()
			in = string(line) == "[[package]]"
		case bytes.HasPrefix(line, []byte("name =")):
			name = firstQuoted(line)
		case bytes.HasPrefix(line, []byte("version =")):
			version = firstQuoted(line)
		}
	})
	end()
}
